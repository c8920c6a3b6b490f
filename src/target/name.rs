//! Names of servers.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls_pki_types::DnsName;

/// The name a client wants: a lower-case A-label DNS name without trailing dot, or an IP address.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerName(Repr);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Repr {
    Dns(Arc<str>),
    Ip(IpAddr),
}

impl ServerName {
    /// Takes a host name (U-labels are turned into A-labels by UTS 46, a trailing dot and case are dropped)
    /// or an IP address, bracketed or not.
    ///
    /// # Errors
    /// When it is neither; underscores are accepted, as resolvers and certificates do.
    pub fn parse(text: &str) -> Result<Self, ServerNameError> {
        let unbracketed = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        if let Ok(ip) = unbracketed.unwrap_or(text).parse::<IpAddr>() {
            return Ok(Self(Repr::Ip(ip.to_canonical())));
        }
        let ascii = idna::domain_to_ascii(text).map_err(|_| ServerNameError::Idna)?;
        let ascii = ascii.strip_suffix('.').unwrap_or(&ascii);
        if ascii.is_empty() {
            return Err(ServerNameError::Empty);
        }
        if ascii.len() > 253 {
            return Err(ServerNameError::TooLong);
        }
        for label in ascii.split('.') {
            match label.len() {
                0 => return Err(ServerNameError::EmptyLabel),
                1..=63 => {}
                _ => return Err(ServerNameError::LabelTooLong),
            }
        }
        // The TLS library's own rule decides, so that no name fails later.
        DnsName::try_from(ascii).map_err(|_| ServerNameError::Characters)?;
        Ok(Self(Repr::Dns(ascii.to_ascii_lowercase().into())))
    }

    /// The address, where the name is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.0 {
            Repr::Ip(ip) => Some(ip),
            Repr::Dns(_) => None,
        }
    }

    /// The DNS name, where it is one.
    pub fn dns(&self) -> Option<&str> {
        match &self.0 {
            Repr::Dns(name) => Some(name),
            Repr::Ip(_) => None,
        }
    }

    /// The form that TLS and certificate libraries take. None cannot happen for a parsed name.
    pub fn to_pki(&self) -> Option<rustls_pki_types::ServerName<'static>> {
        match &self.0 {
            Repr::Ip(ip) => Some(rustls_pki_types::ServerName::IpAddress((*ip).into())),
            Repr::Dns(name) => rustls_pki_types::ServerName::try_from(name.to_string()).ok(),
        }
    }
}

impl From<IpAddr> for ServerName {
    fn from(ip: IpAddr) -> Self {
        Self(Repr::Ip(ip.to_canonical()))
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Dns(name) => f.write_str(name),
            Repr::Ip(ip) => ip.fmt(f),
        }
    }
}

impl fmt::Debug for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no server name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerNameError {
    /// Nothing there.
    Empty,
    /// Two dots in a row, or one at the start.
    EmptyLabel,
    /// A label of more than 63 octets (RFC 1035 §2.3.4).
    LabelTooLong,
    /// More than 253 octets in all.
    TooLong,
    /// A character that no host name has.
    Characters,
    /// Not a valid internationalized name (UTS 46).
    Idna,
}

impl fmt::Display for ServerNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the name is empty",
            Self::EmptyLabel => "a label of the name is empty",
            Self::LabelTooLong => "a label of the name has more than 63 octets",
            Self::TooLong => "the name has more than 253 octets",
            Self::Characters => "a host name has letters, digits, `-`, `_` and `.` only",
            Self::Idna => "not a valid internationalized name",
        })
    }
}

impl std::error::Error for ServerNameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, ServerNameError>) {
        let found = ServerName::parse(text).map(|name| name.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{text:?}");
        if let Ok(name) = ServerName::parse(text) {
            assert!(name.to_pki().is_some(), "{text:?} has a form for TLS");
        }
    }

    #[test]
    fn server_names() {
        check("smtp.example.com", Ok("smtp.example.com"));
        check("SMTP.Example.COM.", Ok("smtp.example.com"));
        check("mail_x.test", Ok("mail_x.test"));
        check("bücher.example", Ok("xn--bcher-kva.example"));
        check("192.0.2.1", Ok("192.0.2.1"));
        check("2001:DB8::1", Ok("2001:db8::1"));
        check("[2001:db8:0:0::1]", Ok("2001:db8::1"));
        check("::ffff:192.0.2.1", Ok("192.0.2.1"));
        check("", Err(ServerNameError::Empty));
        check(".", Err(ServerNameError::Empty));
        check("a..b", Err(ServerNameError::EmptyLabel));
        check(&format!("{}.test", "a".repeat(64)), Err(ServerNameError::LabelTooLong));
        check(&["abcdefghi"; 26].join("."), Err(ServerNameError::TooLong));
        check("two words", Err(ServerNameError::Characters));
        check("*.example.com", Err(ServerNameError::Characters));
    }
}
