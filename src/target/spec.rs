//! Targets in one word each: `smtp.example.com`, `smtp.example.com:465`, `mx:example.com`, `submission:example.com`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::net::is_unicast;

use super::{HostTarget, MxTarget, ServerName, ServerNameError, SubmissionTarget, TargetKind, TlsMode};

impl FromStr for TargetKind {
    type Err = TargetSpecError;

    /// Takes `HOST`, `HOST:PORT`, `[IPv6]:PORT`, `mx:DOMAIN` or `submission:DOMAIN`, the prefixes in lower case. The
    /// port of a host is 587 where none is given, that of an `mx` target 25; TLS begins as the port has it by custom.
    fn from_str(text: &str) -> Result<Self, TargetSpecError> {
        if let Some(name) = text.strip_prefix("mx:") {
            return Ok(Self::Mx(MxTarget::new(domain(name)?)));
        }
        if let Some(name) = text.strip_prefix("submission:") {
            return Ok(Self::Submission(SubmissionTarget { domain: domain(name)? }));
        }
        let (host, port) = host_and_port(text)?;
        if host.ip().is_some_and(|ip| !is_unicast(ip)) {
            return Err(TargetSpecError::NoMachine);
        }
        Ok(Self::Host(HostTarget::new(host, port)))
    }
}

/// Why a text names no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetSpecError {
    /// The name in it is none.
    Name(ServerNameError),
    /// What follows the colon is no number from 1 to 65535.
    Port,
    /// An address that is no machine's: unspecified, multicast or broadcast.
    NoMachine,
    /// An IP address where a domain must be.
    AddressForDomain,
    /// A port after a domain, or in its place.
    PortForDomain,
    /// Brackets around something other than an IPv6 address.
    Brackets,
}

impl fmt::Display for TargetSpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Port => f.write_str("the port is no number from 1 to 65535"),
            Self::NoMachine => f.write_str("no machine has this address"),
            Self::AddressForDomain => f.write_str("an IP address is no domain"),
            Self::PortForDomain => f.write_str("a port does not go with a domain"),
            Self::Brackets => f.write_str("only an IPv6 address stands in brackets"),
        }
    }
}

impl std::error::Error for TargetSpecError {}

fn domain(text: &str) -> Result<ServerName, TargetSpecError> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        return Err(TargetSpecError::PortForDomain);
    }
    match ServerName::parse(text) {
        Ok(name) if name.ip().is_some() => Err(TargetSpecError::AddressForDomain),
        Ok(name) => Ok(name),
        Err(error) => {
            let host = text.rsplit_once(':').filter(|(host, _)| ServerName::parse(host).is_ok());
            Err(host.map_or(TargetSpecError::Name(error), |_| TargetSpecError::PortForDomain))
        }
    }
}

fn host_and_port(text: &str) -> Result<(ServerName, u16), TargetSpecError> {
    let name = |text: &str| ServerName::parse(text).map_err(TargetSpecError::Name);
    // Before any colon is taken for a port's: an IPv6 address has several.
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok((ip.into(), SUBMISSION));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, after) = rest.split_once(']').ok_or(TargetSpecError::Brackets)?;
        let ip: IpAddr = ip.parse().ok().filter(IpAddr::is_ipv6).ok_or(TargetSpecError::Brackets)?;
        let port = match after.strip_prefix(':') {
            Some(text) => port(text)?,
            None if after.is_empty() => SUBMISSION,
            None => return Err(TargetSpecError::Port),
        };
        return Ok((ip.into(), port));
    }
    match text.rsplit_once(':') {
        Some((host, text)) => Ok((name(host)?, port(text)?)),
        None => Ok((name(text)?, SUBMISSION)),
    }
}

fn port(text: &str) -> Result<u16, TargetSpecError> {
    // A sign is taken by the parser of numbers, but not here.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0).ok_or(TargetSpecError::Port)
}

impl HostTarget {
    /// `host` on `port`, found by DNS, asked for by its own name, with TLS as the port has it by custom.
    pub fn new(host: ServerName, port: u16) -> Self {
        let endpoint = super::Endpoint { server_name: host.clone(), port, tls: TlsMode::default_for(port) };
        Self { host, addresses: Vec::new(), endpoint: endpoint.into() }
    }
}

impl MxTarget {
    /// The mail hosts of `domain` on port 25.
    pub const fn new(domain: ServerName) -> Self {
        Self { domain, port: SMTP, tls: TlsMode::default_for(SMTP) }
    }
}

/// Where mail servers take mail from each other (RFC 5321 §4.5.4.2).
pub const SMTP: u16 = 25;

/// Where mail servers take mail from their users (RFC 6409 §3.1).
pub const SUBMISSION: u16 = 587;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(&str, u16, TlsMode), TargetSpecError>) {
        let found = text.parse::<TargetKind>().map(|kind| {
            let (port, tls) = match &kind {
                TargetKind::Host(host) => {
                    assert_eq!(host.endpoint.server_name, host.host);
                    (host.endpoint.port, host.endpoint.tls)
                }
                TargetKind::Mx(mx) => (mx.port, mx.tls),
                TargetKind::Submission(_) => (0, TlsMode::StartTls),
            };
            (kind.default_name().map(|name| name.to_string()).unwrap_or_default(), port, tls)
        });
        assert_eq!(found, expected.map(|(name, port, tls)| (name.to_owned(), port, tls)), "{text:?}");
    }

    #[test]
    fn hosts() {
        use TlsMode::{Implicit, StartTls};
        check("smtp.example.com", Ok(("smtp.example.com:587", 587, StartTls)));
        check("SMTP.Example.com.:25", Ok(("smtp.example.com:25", 25, StartTls)));
        check("smtp.example.com:465", Ok(("smtp.example.com:465", 465, Implicit)));
        check("bücher.example:465", Ok(("xn--bcher-kva.example:465", 465, Implicit)));
        check("192.0.2.1", Ok(("192.0.2.1:587", 587, StartTls)));
        check("192.0.2.1:25", Ok(("192.0.2.1:25", 25, StartTls)));
        check("2001:DB8::1", Ok(("[2001:db8::1]:587", 587, StartTls)));
        check("2001:db8::25", Ok(("[2001:db8::25]:587", 587, StartTls)));
        check("[2001:db8::1]", Ok(("[2001:db8::1]:587", 587, StartTls)));
        check("[2001:db8::1]:465", Ok(("[2001:db8::1]:465", 465, Implicit)));
        check("[::ffff:192.0.2.1]:25", Ok(("192.0.2.1:25", 25, StartTls)));
        check("mx", Ok(("mx:587", 587, StartTls)));
        check("MX:25", Ok(("mx:25", 25, StartTls)));
    }

    #[test]
    fn domains() {
        check("mx:Example.COM.", Ok(("mx:example.com", 25, TlsMode::StartTls)));
        check("mx:bücher.example", Ok(("mx:xn--bcher-kva.example", 25, TlsMode::StartTls)));
        check("submission:example.com", Ok(("submission:example.com", 0, TlsMode::StartTls)));
        for kind in ["mx", "submission"] {
            check(&format!("{kind}:192.0.2.1"), Err(TargetSpecError::AddressForDomain));
            check(&format!("{kind}:[2001:db8::1]"), Err(TargetSpecError::AddressForDomain));
            check(&format!("{kind}:example.com:25"), Err(TargetSpecError::PortForDomain));
            check(&format!("{kind}:25"), Err(TargetSpecError::PortForDomain));
            check(&format!("{kind}:"), Err(TargetSpecError::Name(ServerNameError::Empty)));
            check(&format!("{kind}:a..b"), Err(TargetSpecError::Name(ServerNameError::EmptyLabel)));
        }
    }

    #[test]
    fn what_names_no_target() {
        let name = |error| Err(TargetSpecError::Name(error));
        check("", name(ServerNameError::Empty));
        check(":25", name(ServerNameError::Empty));
        check("a..test", name(ServerNameError::EmptyLabel));
        check(" a.test", name(ServerNameError::Characters));
        check("https://a.test", Err(TargetSpecError::Port));
        check("smtp.a.test/x:25", name(ServerNameError::Characters));
        check(&["abcdefghi"; 26].join("."), name(ServerNameError::TooLong));
        for port in ["", "0", "65536", "-1", "+25", "smtp", "25 "] {
            check(&format!("a.test:{port}"), Err(TargetSpecError::Port));
            check(&format!("[2001:db8::1]:{port}"), Err(TargetSpecError::Port));
        }
        check("[2001:db8::1]25", Err(TargetSpecError::Port));
        check("[2001:db8::1", Err(TargetSpecError::Brackets));
        check("[a.test]:25", Err(TargetSpecError::Brackets));
        check("[192.0.2.1]:25", Err(TargetSpecError::Brackets));
        check("0.0.0.0", Err(TargetSpecError::NoMachine));
        check("[::]:25", Err(TargetSpecError::NoMachine));
        check("255.255.255.255:25", Err(TargetSpecError::NoMachine));
        check("[ff02::1]:25", Err(TargetSpecError::NoMachine));
    }
}
