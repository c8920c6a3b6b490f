//! Targets in text form: `smtp.example.com`, `smtp.example.com:465`, `mx:example.com`, `submission:example.com`.

use std::str::FromStr;

use thiserror::Error;

use crate::net::{NetworkError, is_unicast};

use super::{Endpoint, HostTarget, MxTarget, ServerName, ServerNameError, SubmissionTarget, TargetKind, TlsMode};

impl FromStr for TargetKind {
    type Err = TargetSpecError;

    /// Parses `HOST`, `HOST:PORT`, `[IPV6]:PORT`, `mx:DOMAIN` or `submission:DOMAIN`, with lower-case prefixes. The
    /// default port of a host is 587, the port of an `mx` target 25; the port determines the TLS mode.
    fn from_str(text: &str) -> Result<Self, TargetSpecError> {
        if let Some(name) = text.strip_prefix("mx:") {
            return Ok(Self::Mx(MxTarget::new(without_port(name, domain)?)));
        }
        if let Some(name) = text.strip_prefix("submission:") {
            return Ok(Self::Submission(SubmissionTarget { domain: without_port(name, domain)? }));
        }
        let HostPort { host, in_brackets, port } = HostPort::parse(text)?;
        let invalid = |error| if in_brackets { TargetSpecError::Brackets } else { TargetSpecError::Name(error) };
        let is_qualified = host.ends_with('.');
        let host = ServerName::parse(host).map_err(invalid)?;
        if host.ip().is_some_and(|ip| !is_unicast(ip)) {
            return Err(TargetSpecError::NotUnicast);
        }
        Ok(Self::Host(HostTarget { is_qualified, ..HostTarget::new(host, port.unwrap_or(SUBMISSION)) }))
    }
}

/// Why a text is not a valid target, or not a valid pattern of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TargetSpecError {
    /// The name is invalid.
    #[error("{0}")]
    Name(ServerNameError),
    /// The network is invalid.
    #[error("{0}")]
    Network(NetworkError),
    /// The port is not a number from 1 to 65535.
    #[error("invalid port: expected 1 to 65535")]
    Port,
    /// The address is unspecified, multicast or broadcast.
    #[error("not a unicast address")]
    NotUnicast,
    /// An IP address instead of a domain.
    #[error("expected a domain, got an IP address")]
    AddressForDomain,
    /// A port after a domain, or instead of it.
    #[error("expected a domain without a port")]
    PortForDomain,
    /// A `*` other than a whole first label.
    #[error("invalid wildcard: expected `*`, or `*.` before a domain")]
    Wildcard,
    /// Brackets around something other than an IPv6 address or network, or text other than a port after them.
    #[error("invalid brackets: expected `[IPV6]` or `[IPV6]:PORT`")]
    Brackets,
}

/// A host or network, and its port: `HOST`, `HOST:PORT`, `IPV6`, `[IPV6]` or `[IPV6]:PORT`.
pub(super) struct HostPort<'a> {
    pub(super) host: &'a str,
    pub(super) in_brackets: bool,
    pub(super) port: Option<u16>,
}

impl<'a> HostPort<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, TargetSpecError> {
        if let Some(rest) = text.strip_prefix('[') {
            let (host, after) = rest.split_once(']').ok_or(TargetSpecError::Brackets)?;
            let port = match after.strip_prefix(':') {
                Some(digits) => Some(port(digits)?),
                None if after.is_empty() => None,
                None => return Err(TargetSpecError::Brackets),
            };
            let is_v6 = host.contains(':');
            return if is_v6 { Ok(Self { host, in_brackets: true, port }) } else { Err(TargetSpecError::Brackets) };
        }
        let (host, port) = match text.split_once(':') {
            Some((host, digits)) if !digits.contains(':') => (host, Some(port(digits)?)),
            // Several colons: an IPv6 address or network, which has no port outside of brackets.
            _ => (text, None),
        };
        Ok(Self { host, in_brackets: false, port })
    }
}

fn port(text: &str) -> Result<u16, TargetSpecError> {
    // `u16::from_str` accepts a sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0).ok_or(TargetSpecError::Port)
}

pub(super) fn domain(text: &str) -> Result<ServerName, TargetSpecError> {
    let name = ServerName::parse(text).map_err(TargetSpecError::Name)?;
    if name.ip().is_some() { Err(TargetSpecError::AddressForDomain) } else { Ok(name) }
}

/// Parses `text` with `parse`. A port is an error, since the records of the domain determine the ports.
pub(super) fn without_port<T>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, TargetSpecError>,
) -> Result<T, TargetSpecError> {
    let is_port = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let has_port = text.rsplit_once(':').is_some_and(|(before, _)| parse(before).is_ok());
    if is_port || has_port { Err(TargetSpecError::PortForDomain) } else { parse(text) }
}

impl HostTarget {
    /// The target `host` on `port`: addresses from DNS, its own name as server name, the default TLS mode of the port.
    pub fn new(host: ServerName, port: u16) -> Self {
        let endpoint = Endpoint { server_name: host.clone(), port, tls: TlsMode::default_for(port) };
        Self { host, is_qualified: false, addresses: Vec::new(), endpoint: endpoint.into() }
    }
}

impl MxTarget {
    /// The mail hosts of `domain` on port 25.
    pub const fn new(domain: ServerName) -> Self {
        Self { domain, port: SMTP, tls: TlsMode::default_for(SMTP) }
    }
}

/// The port for mail between servers (RFC 5321 §4.5.4.2).
pub const SMTP: u16 = 25;

/// The port for message submission (RFC 6409 §3.1).
pub const SUBMISSION: u16 = 587;
/// The port of submission with implicit TLS (RFC 8314 §7.3).
pub const SUBMISSIONS: u16 = 465;

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
    fn parses_hosts() {
        for (text, name) in [
            ("smtp.example.com", "smtp.example.com:587"),
            ("SMTP.Example.com.:25", "smtp.example.com:25"),
            ("smtp.example.com:465", "smtp.example.com:465"),
            ("bücher.example:465", "xn--bcher-kva.example:465"),
            ("192.0.2.1", "192.0.2.1:587"),
            ("192.0.2.1:25", "192.0.2.1:25"),
            ("2001:DB8::1", "[2001:db8::1]:587"),
            ("2001:db8::25", "[2001:db8::25]:587"),
            ("[2001:db8::1]", "[2001:db8::1]:587"),
            ("[2001:db8::1]:465", "[2001:db8::1]:465"),
            ("[::ffff:192.0.2.1]:25", "192.0.2.1:25"),
            ("mx", "mx:587"),
            ("MX:25", "mx:25"),
        ] {
            let port = name.rsplit(':').next().expect("a port").parse().expect(name);
            let tls = if port == 465 { TlsMode::Implicit } else { TlsMode::StartTls };
            check(text, Ok((name, port, tls)));
        }
    }

    #[test]
    fn a_trailing_dot_is_kept_apart_from_the_name() {
        let parse = |text: &str| text.parse::<TargetKind>().expect("a target");
        for (text, expected) in [("smtp.mail.svc", false), ("smtp.mail.svc.", true), ("smtp.mail.svc.:25", true)] {
            let TargetKind::Host(host) = parse(text) else { panic!("{text} is a host") };
            assert_eq!((host.is_qualified, host.host.to_string()), (expected, "smtp.mail.svc".to_owned()), "{text}");
        }
        let (one, other) = (parse("a.test"), parse("a.test."));
        assert!(one != other && one.default_name() == other.default_name());
    }

    #[test]
    fn parses_domains() {
        check("mx:Example.COM.", Ok(("mx:example.com", 25, TlsMode::StartTls)));
        check("mx:bücher.example", Ok(("mx:xn--bcher-kva.example", 25, TlsMode::StartTls)));
        check("submission:example.com", Ok(("submission:example.com", 0, TlsMode::StartTls)));
        for kind in ["mx", "submission"] {
            for (domain, error) in [
                ("192.0.2.1", TargetSpecError::AddressForDomain),
                ("[2001:db8::1]", TargetSpecError::AddressForDomain),
                ("example.com:25", TargetSpecError::PortForDomain),
                ("25", TargetSpecError::PortForDomain),
                ("", TargetSpecError::Name(ServerNameError::Empty)),
                ("a..b", TargetSpecError::Name(ServerNameError::EmptyLabel)),
            ] {
                check(&format!("{kind}:{domain}"), Err(error));
            }
        }
    }

    #[test]
    fn rejects_invalid_targets() {
        use TargetSpecError::{Brackets, Name, NotUnicast, Port};
        let long = ["abcdefghi"; 26].join(".");
        for (text, error) in [
            ("", Name(ServerNameError::Empty)),
            (":25", Name(ServerNameError::Empty)),
            ("a..test", Name(ServerNameError::EmptyLabel)),
            (" a.test", Name(ServerNameError::Syntax)),
            ("https://a.test", Port),
            ("https://a.test:25", Name(ServerNameError::Syntax)),
            ("smtp.a.test/x:25", Name(ServerNameError::Syntax)),
            (&long, Name(ServerNameError::TooLong)),
            ("[2001:db8::1]25", Brackets),
            ("[2001:db8::1", Brackets),
            ("[a.test]:25", Brackets),
            ("[a:b]:25", Brackets),
            ("[192.0.2.1]:25", Brackets),
            ("0.0.0.0", NotUnicast),
            ("[::]:25", NotUnicast),
            ("255.255.255.255:25", NotUnicast),
            ("[ff02::1]:25", NotUnicast),
        ] {
            check(text, Err(error));
        }
        for port in ["", "0", "65536", "-1", "+25", "smtp", "25 "] {
            check(&format!("a.test:{port}"), Err(Port));
            check(&format!("[2001:db8::1]:{port}"), Err(Port));
        }
    }
}
