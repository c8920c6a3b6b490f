//! The addresses of `--web.listen-address`.

use std::fmt::{self, Display, Formatter};
use std::net::{Ipv6Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

use super::authority::Host;

/// An address to listen on. Port 0 is any free port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// `:PORT`: all interfaces, IPv4 and IPv6.
    All(u16),
    /// `IP:PORT` or `[IPv6]:PORT`.
    Ip(SocketAddr),
    /// `NAME:PORT`: all addresses of the name that this host has.
    Name(String, u16),
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, ListenAddressError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let (host, port) = text.rsplit_once(':').ok_or(ListenAddressError::Malformed)?;
        let has_digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let number = port.parse().ok().filter(|_| has_digits);
        if host.is_empty() {
            return number.map(Self::All).ok_or(ListenAddressError::Port);
        }
        if let (Ok(address), Some(port)) = (host.parse::<Ipv6Addr>(), number) {
            return Err(ListenAddressError::NoBrackets { address, port: Some(port) });
        }
        if let Ok(address) = text.parse() {
            return Err(ListenAddressError::NoBrackets { address, port: None });
        }
        match host.parse() {
            Ok(Host::Name(name)) if !ends_in_number(&name) => {
                number.map(|port| Self::Name(name, port)).ok_or(ListenAddressError::Port)
            }
            Ok(Host::Address(_)) => Err(ListenAddressError::Port),
            Ok(Host::Name(_)) | Err(_) => Err(ListenAddressError::Malformed),
        }
    }
}

/// Such a name is meant to be an IPv4 address: no top-level domain is a number (RFC 1123 §2.1).
fn ends_in_number(name: &str) -> bool {
    name.trim_end_matches('.').rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Display for ListenAddress {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(port) => write!(f, ":{port}"),
            Self::Ip(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

/// Why a text is not a [`ListenAddress`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ListenAddressError {
    /// None of the forms.
    #[error("expected NAME:PORT, IP:PORT, [IPv6]:PORT or :PORT")]
    Malformed,
    /// The port is missing or not valid.
    #[error("invalid port: expected a number from 0 to 65535")]
    Port,
    /// An IPv6 address is not in brackets, so that it may contain the port or not.
    #[error("an IPv6 address must be in brackets: did you mean `[{address}]:{}`?", port.map_or_else(|| "PORT".to_owned(), |port| port.to_string()))]
    NoBrackets {
        /// The address.
        address: Ipv6Addr,
        /// The number after it.
        port: Option<u16>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_addresses_with_a_port() {
        #[track_caller]
        fn check(text: &str, expected: ListenAddress, shown: &str) {
            let found = text.parse::<ListenAddress>();
            assert_eq!(found.as_ref(), Ok(&expected), "{text}");
            assert_eq!(expected.to_string(), shown);
        }
        let ip = |text: &str| ListenAddress::Ip(text.parse().expect("an address"));
        let name = |name: &str, port| ListenAddress::Name(name.to_owned(), port);
        check(":10465", ListenAddress::All(10465), ":10465");
        check(":0", ListenAddress::All(0), ":0");
        check("127.0.0.1:10465", ip("127.0.0.1:10465"), "127.0.0.1:10465");
        check("[::1]:80", ip("[::1]:80"), "[::1]:80");
        check("[::]:0", ip("[::]:0"), "[::]:0");
        check("[fe80::1%2]:80", ip("[fe80::1%2]:80"), "[fe80::1%2]:80");
        check("localhost:80", name("localhost", 80), "localhost:80");
        check("Exporter-1.example.com.:80", name("exporter-1.example.com.", 80), "exporter-1.example.com.:80");
    }

    #[test]
    fn refuses_everything_else() {
        #[track_caller]
        fn check(text: &str, expected: ListenAddressError) {
            assert_eq!(text.parse::<ListenAddress>(), Err(expected), "{text}");
        }
        use ListenAddressError::{Malformed, NoBrackets, Port};
        for text in ["", "foo", "10465", "127.0.0.1", "[::1", "[::1]", "[foo]:1", "a b:1", "http://a:1", "a..b:1"] {
            check(text, Malformed);
        }
        for text in ["1.2.3:1", "256.0.0.1:1", "ü:1", "-\u{0}:1", "a/b:1", "a@b:1"] {
            check(text, Malformed);
        }
        for text in [":", ":x", ":99999", ":+1", ":-1", ": 1", "a:", "a:x", "1.2.3.4:x", "1.2.3.4:65536", "[::1]:x"] {
            check(text, Port);
        }
        let address = Ipv6Addr::LOCALHOST;
        check("::1:80", NoBrackets { address, port: Some(80) });
        check("::1", NoBrackets { address, port: None });
        let error = "::1:80".parse::<ListenAddress>().expect_err("no brackets");
        assert!(error.to_string().contains("`[::1]:80`"), "{error}");
    }
}
