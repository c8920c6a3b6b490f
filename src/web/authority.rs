//! Hosts with ports, and origins, as in URLs and header fields.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use hyper::http::uri;

/// A host and an optional port: `HOST[:PORT]` (RFC 3986 §3.2 without user information).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) host: Host,
    pub(super) port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// In lower case.
    Name(String),
    Address(IpAddr),
}

/// A scheme, host and port (RFC 6454 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

/// Not `HOST[:PORT]`, or not an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl FromStr for Authority {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let authority: uri::Authority = text.parse().map_err(|_| Malformed)?;
        let host = authority.host();
        // This excludes user information; only a port may follow.
        let port = match authority.as_str().strip_prefix(host).ok_or(Malformed)? {
            "" | ":" => None,
            port if port.starts_with(':') => Some(authority.port_u16().filter(|port| *port > 0).ok_or(Malformed)?),
            _ => return Err(Malformed),
        };
        Ok(Self { host: host.parse()?, port })
    }
}

impl FromStr for Host {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if let Some(address) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            return address.parse::<Ipv6Addr>().map(|address| Self::Address(address.into())).map_err(|_| Malformed);
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let labels = text.strip_suffix('.').unwrap_or(text);
        let is_name = text.bytes().all(is_of_name) && labels.split('.').all(|label| !label.is_empty());
        if is_name { Ok(Self::Name(text.to_ascii_lowercase())) } else { Err(Malformed) }
    }
}

impl Host {
    /// Whether both are the same host in DNS: a trailing dot makes no difference.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => without_dot(a) == without_dot(b),
            _ => self == other,
        }
    }

    /// Whether this name has one or more labels before `domain`.
    pub(super) fn is_below(&self, domain: &Self) -> bool {
        match (self, domain) {
            (Self::Name(name), Self::Name(domain)) => {
                let labels = without_dot(name).strip_suffix(without_dot(domain));
                labels.is_some_and(|labels| labels.ends_with('.'))
            }
            _ => false,
        }
    }

    /// Whether no name server can choose its address: an IP address, or a name of loopback (RFC 6761 §6.3).
    pub(super) fn is_fixed(&self) -> bool {
        match self {
            Self::Address(_) => true,
            Self::Name(name) => {
                let name = without_dot(name);
                name == LOCALHOST || name.strip_suffix(LOCALHOST).is_some_and(|labels| labels.ends_with('.'))
            }
        }
    }
}

fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

impl FromStr for Origin {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (scheme, authority) = text.split_once("://").ok_or(Malformed)?;
        let scheme = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
            _ if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
            _ => return Err(Malformed),
        };
        Ok(Self { scheme, authority: authority.parse()? })
    }
}

impl Origin {
    /// The origin of a URL. A host in Unicode is converted.
    ///
    /// # Errors
    /// If it is not an HTTP or HTTPS URL with a host, or if it contains user information.
    pub(super) fn of_url(url: &str) -> Result<Self, Malformed> {
        let (scheme, rest) = url.split_once("://").ok_or(Malformed)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, format!(":{port}")),
            _ => (authority, String::new()),
        };
        let host =
            if host.is_ascii() { host.to_owned() } else { idna::domain_to_ascii(host).map_err(|_| Malformed)? };
        format!("{scheme}://{host}{port}").parse()
    }

    /// Whether requests with this `Host` are sent to this origin.
    pub(super) fn is_at(&self, host: &Authority) -> bool {
        let default = match self.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        let port = |authority: &Authority| authority.port.unwrap_or(default);
        self.authority.host == host.host && port(&self.authority) == port(host)
    }

    /// Whether both are the same origin (RFC 6454 §5).
    pub(super) fn is(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.is_at(&other.authority)
    }
}

const LOCALHOST: &str = "localhost";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_hosts_with_ports() {
        #[track_caller]
        fn check(text: &str, expected: Option<(&str, Option<u16>)>) {
            let found = text.parse::<Authority>().ok().map(|authority| {
                let host = match authority.host {
                    Host::Name(name) => name,
                    Host::Address(address) => address.to_string(),
                };
                (host, authority.port)
            });
            assert_eq!(found, expected.map(|(host, port)| (host.to_owned(), port)), "{text}");
        }
        check("Mail.Example.com", Some(("mail.example.com", None)));
        check("a:10465", Some(("a", Some(10465))));
        check("a:", Some(("a", None)));
        check("smtp_exporter.:80", Some(("smtp_exporter.", Some(80))));
        check("192.0.2.1:80", Some(("192.0.2.1", Some(80))));
        check("[2001:DB8:0::1]", Some(("2001:db8::1", None)));
        check("[::1]:443", Some(("::1", Some(443))));
        for malformed in [
            "", ":80", ".", "a..b", ".a", "a:0", "a:65536", "a:x", "a:80:80", "u@a", "a/b", "a b", "a,b", "[::1", "::1",
        ] {
            check(malformed, None);
        }
        for malformed in ["[fe80::1%eth0]", "[v1.x]", "[::1]x", "[::1]:", "[192.0.2.1]", "ü", "*", "null", "a%2e"] {
            let is_empty_port = malformed.ends_with("]:");
            let found = malformed.parse::<Authority>();
            assert_eq!(found.is_ok(), is_empty_port || malformed == "null", "{malformed}");
        }
    }

    #[track_caller]
    fn origin(text: &str) -> Origin {
        text.parse().unwrap_or_else(|_| panic!("an origin: {text}"))
    }

    #[test]
    fn compares_origins() {
        #[track_caller]
        fn check(a: &str, b: &str, are_same: bool) {
            assert_eq!((origin(a).is(&origin(b)), origin(b).is(&origin(a))), (are_same, are_same), "{a} and {b}");
        }
        check("http://a", "HTTP://A:80", true);
        check("https://a:443", "https://a", true);
        check("http://a", "https://a", false);
        check("http://a:443", "https://a:443", false);
        check("http://a", "http://a.", false);
        check("http://a", "http://b", false);
        check("http://[::1]:80", "http://[0:0::1]", true);
        for malformed in ["null", "", "a", "a:80", "ftp://a", "http://", "http://a/", "http://u@a", "http://a http://b"]
        {
            assert_eq!(malformed.parse::<Origin>(), Err(Malformed), "{malformed}");
        }
    }

    #[test]
    fn knows_the_origin_of_a_url() {
        #[track_caller]
        fn check(url: &str, expected: Option<&str>) {
            assert_eq!(Origin::of_url(url).ok(), expected.map(origin), "{url}");
        }
        check("https://Example.com/x/?y#z", Some("https://example.com"));
        check("http://[::1]:80", Some("http://[::1]:80"));
        check("http://[::1]/", Some("http://[::1]"));
        check("https://bücher.example:8443/", Some("https://xn--bcher-kva.example:8443"));
        for malformed in ["/x", "", "https:///x", "ftp://a", "https://u:p@a/", "https://a:x/", "\"><b>"] {
            check(malformed, None);
        }
    }

    #[test]
    fn knows_hosts_that_dns_cannot_change() {
        for (host, is_fixed) in [
            ("192.0.2.1", true),
            ("[::1]", true),
            ("localhost", true),
            ("LOCALHOST.", true),
            ("a.localhost", true),
            ("alocalhost", false),
            ("localhost.example.com", false),
            ("0x7f.1", false),
        ] {
            assert_eq!(host.parse::<Host>().map(|host| host.is_fixed()), Ok(is_fixed), "{host}");
        }
        let [with_dot, without] = ["a.example.", "A.example"].map(|host| host.parse::<Host>().expect("a host"));
        assert!(with_dot.is(&without) && with_dot != without);
    }
}
