//! What somebody may have probed who is not the config: patterns of targets, and the addresses that these may lead to.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use crate::net::{AddressScope, Network, NetworkError};

use super::{SMTP, SUBMISSION, ServerName, ServerNameError, TargetKind};

/// Patterns of targets; a target that matches none is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow(Arc<[AllowPattern]>);

impl Allow {
    /// These patterns.
    pub fn new(patterns: impl IntoIterator<Item = AllowPattern>) -> Self {
        Self(patterns.into_iter().collect())
    }

    /// Whether nothing is allowed at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns, in order.
    pub fn patterns(&self) -> &[AllowPattern] {
        &self.0
    }

    /// What a target may connect to that a pattern allows. An address among its own is judged there, too.
    ///
    /// # Errors
    /// When none allows it.
    pub fn admit(&self, target: &TargetKind) -> Result<AllowedAddresses, Refusal> {
        let port = match target {
            TargetKind::Mx(mx) => Some(mx.port),
            TargetKind::Host(host) => Some(host.endpoint.port),
            TargetKind::Submission(_) => None,
        };
        let matches = |pattern: &Pattern| match (pattern, target) {
            (Pattern::Host(names, _), TargetKind::Host(host)) => names.match_name(&host.host),
            (Pattern::Network(network, _), TargetKind::Host(host)) => {
                host.host.ip().is_some_and(|ip| network.permits(ip))
            }
            (Pattern::Mx(names), TargetKind::Mx(mx)) => names.match_name(&mx.domain),
            (Pattern::Submission(names), TargetKind::Submission(submission)) => names.match_name(&submission.domain),
            _ => false,
        };
        let mut named = self.0.iter().map(|pattern| &pattern.0).filter(|pattern| matches(pattern)).peekable();
        if named.peek().is_none() {
            return Err(Refusal::Target);
        }
        let asked = port.unwrap_or(SUBMISSION);
        if named.any(|pattern| pattern.ports().contain(asked)) {
            Ok(AllowedAddresses { allow: self.clone(), port })
        } else {
            Err(Refusal::Port(asked))
        }
    }
}

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No pattern is about it.
    Target,
    /// Those that are about it do not allow this port.
    Port(u16),
}

/// The addresses and ports that an admitted target may connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedAddresses {
    allow: Allow,
    /// The port that the target was admitted with; none where DNS names the ports.
    port: Option<u16>,
}

impl AllowedAddresses {
    /// Whether the target may connect there: to public addresses at the port that it was admitted with, else at the
    /// usual ports, and to what networks among the patterns open.
    pub fn permits(&self, to: SocketAddr) -> bool {
        let public = AddressScope::of(to.ip()) == AddressScope::Global
            && self.port.map_or_else(|| Ports::Usual.contain(to.port()), |port| port == to.port());
        let opened = |pattern: &AllowPattern| match pattern.0 {
            Pattern::Network(network, ports) => network.permits(to.ip()) && ports.contain(to.port()),
            _ => false,
        };
        public || self.allow.patterns().iter().any(opened)
    }
}

/// One pattern: `smtp.example.com`, `*.example.com` (all names below, at any depth), `*` (all names), each with `:PORT`
/// or for the usual ports 25, 465 and 587; `mx:` or `submission:` before such a name; an address or network, with
/// `:PORT` or without (`192.0.2.0/24:2525`, `[2001:db8::/32]:2525`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AllowPattern(Pattern);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pattern {
    Host(Names, Ports),
    Network(Network, Ports),
    Mx(Names),
    Submission(Names),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Names {
    One(ServerName),
    /// Not the name itself.
    Below(ServerName),
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ports {
    Usual,
    One(u16),
}

impl Pattern {
    fn ports(&self) -> Ports {
        match self {
            Self::Host(_, ports) | Self::Network(_, ports) => *ports,
            Self::Mx(_) | Self::Submission(_) => Ports::Usual,
        }
    }
}

impl Names {
    fn match_name(&self, name: &ServerName) -> bool {
        let Some(dns) = name.dns() else { return false };
        match self {
            Self::One(one) => one == name,
            Self::Below(top) => {
                let label = top.dns().and_then(|top| dns.strip_suffix(top)).and_then(|rest| rest.strip_suffix('.'));
                label.is_some_and(|label| !label.is_empty())
            }
            Self::All => true,
        }
    }
}

impl Ports {
    fn contain(self, port: u16) -> bool {
        match self {
            Self::Usual => [SMTP, 465, SUBMISSION].contains(&port),
            Self::One(one) => one == port,
        }
    }
}

impl FromStr for AllowPattern {
    type Err = AllowPatternError;

    fn from_str(text: &str) -> Result<Self, AllowPatternError> {
        if let Some(rest) = text.strip_prefix("mx:") {
            return Ok(Self(Pattern::Mx(domains(rest)?)));
        }
        if let Some(rest) = text.strip_prefix("submission:") {
            return Ok(Self(Pattern::Submission(domains(rest)?)));
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (inner, after) = rest.split_once(']').ok_or(AllowPatternError::Brackets)?;
            let is_v6 = inner.contains(':');
            let ports = match after.strip_prefix(':') {
                Some(digits) => Ports::One(port(digits)?),
                None if after.is_empty() => Ports::Usual,
                None => return Err(AllowPatternError::Brackets),
            };
            let network = inner.parse().map_err(AllowPatternError::Network)?;
            return if is_v6 { Ok(Self(Pattern::Network(network, ports))) } else { Err(AllowPatternError::Brackets) };
        }
        if let Ok(network) = text.parse() {
            return Ok(Self(Pattern::Network(network, Ports::Usual)));
        }
        // What has several colons is IPv6, and has no port outside brackets.
        let (rest, ports) = match text.split_once(':') {
            Some((rest, digits)) if !digits.contains(':') => (rest, Ports::One(port(digits)?)),
            _ => (text, Ports::Usual),
        };
        if rest.contains('/') || rest.parse::<IpAddr>().is_ok() {
            return rest.parse().map(|net| Self(Pattern::Network(net, ports))).map_err(AllowPatternError::Network);
        }
        Ok(Self(Pattern::Host(names(rest)?, ports)))
    }
}

fn names(text: &str) -> Result<Names, AllowPatternError> {
    let name = |text: &str| match ServerName::parse(text).map_err(AllowPatternError::Name)? {
        name if name.ip().is_some() => Err(AllowPatternError::AddressForName),
        name => Ok(name),
    };
    match text.strip_prefix("*.") {
        _ if text == "*" => Ok(Names::All),
        Some(top) => name(top).map(Names::Below),
        None if text.contains('*') => Err(AllowPatternError::Star),
        None => name(text).map(Names::One),
    }
}

fn domains(text: &str) -> Result<Names, AllowPatternError> {
    match text.rsplit_once(':') {
        Some((before, _)) if names(before).is_ok() => Err(AllowPatternError::PortForDomain),
        _ => names(text),
    }
}

fn port(text: &str) -> Result<u16, AllowPatternError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0).ok_or(AllowPatternError::Port)
}

impl fmt::Display for AllowPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pattern::Host(names, ports) => write!(f, "{names}{ports}"),
            Pattern::Network(network, Ports::Usual) => network.fmt(f),
            Pattern::Network(network, ports) => {
                let text = network.to_string();
                if text.contains(':') { write!(f, "[{text}]{ports}") } else { write!(f, "{text}{ports}") }
            }
            Pattern::Mx(names) => write!(f, "mx:{names}"),
            Pattern::Submission(names) => write!(f, "submission:{names}"),
        }
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(name) => name.fmt(f),
            Self::Below(top) => write!(f, "*.{top}"),
            Self::All => f.write_str("*"),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usual => Ok(()),
            Self::One(port) => write!(f, ":{port}"),
        }
    }
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowPatternError {
    /// The name in it is none.
    Name(ServerNameError),
    /// The network in it is none.
    Network(NetworkError),
    /// What follows the colon is no number from 1 to 65535.
    Port,
    /// A port after a domain, whose records name the ports or are for port 25.
    PortForDomain,
    /// An IP address where a name must be.
    AddressForName,
    /// A star that is not all of the text before the first dot.
    Star,
    /// Brackets around something other than an IPv6 address or network, or something other than a port after them.
    Brackets,
}

impl fmt::Display for AllowPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Network(error) => error.fmt(f),
            Self::Port => f.write_str("the port is no number from 1 to 65535"),
            Self::PortForDomain => f.write_str("a port does not go with a domain"),
            Self::AddressForName => f.write_str("an IP address is no domain"),
            Self::Star => f.write_str("a `*` stands alone, or before the first dot"),
            Self::Brackets => f.write_str("only an IPv6 address or network stands in brackets, and only a port after"),
        }
    }
}

impl std::error::Error for AllowPatternError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(patterns: &str) -> Allow {
        let parse = |text: &str| text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        Allow::new(patterns.split_whitespace().map(parse))
    }

    /// The patterns, targets that they admit, targets that they refuse, and targets that are refused for their port.
    #[track_caller]
    fn check(patterns: &str, admitted: &str, refused: &str, refused_ports: &str) {
        let allow = allow(patterns);
        let admit = |text: &str| {
            let kind = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            allow.admit(&kind).map(drop)
        };
        for target in admitted.split_whitespace() {
            assert_eq!(admit(target), Ok(()), "{patterns} and {target}");
        }
        for target in refused.split_whitespace() {
            assert_eq!(admit(target), Err(Refusal::Target), "{patterns} and {target}");
        }
        for target in refused_ports.split_whitespace() {
            assert!(matches!(admit(target), Err(Refusal::Port(_))), "{patterns} and {target}");
        }
    }

    #[test]
    fn names_are_admitted_by_patterns() {
        check("", "", "a.test 192.0.2.1 mx:a.test submission:a.test", "");
        check(
            "a.test",
            "a.test A.Test. a.test:25 a.test:465",
            "b.test x.a.test a.test.b.test 1.1.1.1 mx:a.test",
            "a.test:2525",
        );
        check("*.a.test", "x.a.test x.y.a.test:25 X.A.TEST.", "a.test xa.test a.test.x", "x.a.test:22");
        check("*", "a.test xn--bcher-kva.test localhost 0x7f000001", "1.1.1.1 [2600::1]:25 mx:a.test", "a.test:22");
        check("a.test:2525 a.test", "a.test a.test:2525", "b.test:2525", "a.test:2526");
        check("a.test:2525", "a.test:2525", "", "a.test a.test:25");
        check("bücher.test", "bücher.test xn--bcher-kva.test BÜCHER.test", "bucher.test", "");
        check("mx:*.a.test mx:b.test", "mx:x.a.test mx:b.test", "mx:a.test x.a.test b.test submission:b.test", "");
        check("submission:*", "submission:a.test", "mx:a.test a.test", "");
        check("*.test:2525", "a.test:2525", "test:2525", "a.test:587");
    }

    #[test]
    fn addresses_are_admitted_by_networks() {
        check("10.0.0.0/8", "10.1.2.3 [::ffff:10.1.2.3]:25 10.1.2.3:465", "11.1.1.1 a.test 127.0.0.1", "10.1.2.3:22");
        check("10.0.0.0/8:2525", "10.1.2.3:2525", "11.1.1.1:2525", "10.1.2.3");
        check("0.0.0.0/0 ::/0", "1.1.1.1 [2600::1]:25", "127.0.0.1 10.0.0.1 [::1]:25 [fd00::1]:25", "1.1.1.1:22");
        check("::1 [fd00::/8]:2525", "[::1]:25 [fd00::1]:2525", "[fe80::1]:25 127.0.0.1", "[fd00::1]:25");
        check("* mx:* submission:*", "", "1.1.1.1 127.0.0.1 [::1]:25", "");
    }

    #[track_caller]
    fn check_reach(patterns: &str, target: &str, allowed: &str, refused: &str) {
        let kind = target.parse().unwrap_or_else(|error| panic!("{target}: {error}"));
        let reach = allow(patterns).admit(&kind).expect("an admitted target");
        for (expected, addresses) in [(true, allowed), (false, refused)] {
            for address in addresses.split_whitespace() {
                let to = address.parse().unwrap_or_else(|_| panic!("{address} is an address"));
                assert_eq!(reach.permits(to), expected, "{patterns}, {target}, {address}");
            }
        }
    }

    #[test]
    fn admitted_targets_reach_public_addresses_and_what_networks_open() {
        check_reach("*", "a.test", "1.1.1.1:587 [2600::1]:587", "127.0.0.1:587 10.0.0.1:587 [::1]:587 1.1.1.1:25");
        check_reach("*:2525", "a.test:2525", "1.1.1.1:2525", "1.1.1.1:25 127.0.0.1:2525 [::ffff:127.0.0.1]:2525");
        check_reach("mx:*", "mx:a.test", "1.1.1.1:25", "127.0.0.1:25 1.1.1.1:587 1.1.1.1:22 169.254.169.254:25");
        check_reach(
            "submission:*",
            "submission:a.test",
            "1.1.1.1:587 1.1.1.1:465 1.1.1.1:25",
            "1.1.1.1:22 127.0.0.1:587",
        );
        check_reach("submission:* 1.1.1.0/24:2525", "submission:a.test", "1.1.1.1:2525", "1.1.2.1:2525");
        check_reach("* 10.0.0.0/8", "a.test", "10.0.0.1:587 10.0.0.1:25", "10.0.0.1:22 127.0.0.1:587");
        check_reach("*:2525 10.0.0.0/8", "a.test:2525", "1.1.1.1:2525", "10.0.0.1:2525");
        check_reach("*:2525 10.0.0.0/8:2525", "a.test:2525", "10.0.0.1:2525", "10.0.0.1:2526");
        check_reach("* 0.0.0.0/0", "a.test", "1.1.1.1:587", "127.0.0.1:587 0.0.0.0:587 224.0.0.1:587");
        check_reach("127.0.0.1", "127.0.0.1:25", "127.0.0.1:25", "127.0.0.2:25");
    }

    #[test]
    fn patterns_are_shown_as_they_are_understood() {
        for (text, shown) in [
            ("SMTP.Example.com.", "smtp.example.com"),
            ("*.Bücher.example:2525", "*.xn--bcher-kva.example:2525"),
            ("mx:*", "mx:*"),
            ("submission:*.A.test", "submission:*.a.test"),
            ("10.0.0.0/8:25", "10.0.0.0/8:25"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("[2001:DB8::/32]:25", "[2001:db8::/32]:25"),
            ("[::1]", "::1"),
            ("192.0.2.1:25", "192.0.2.1:25"),
        ] {
            let pattern: AllowPattern = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(pattern.to_string(), shown);
            assert_eq!(shown.parse(), Ok(pattern), "{shown} means the same");
        }
    }

    #[test]
    fn what_is_no_pattern() {
        use AllowPatternError::{AddressForName, Brackets, Name, Network, Port, PortForDomain, Star};
        for (text, expected) in [
            ("", Name(ServerNameError::Empty)),
            ("*.", Name(ServerNameError::Empty)),
            ("a..test", Name(ServerNameError::EmptyLabel)),
            ("two words", Name(ServerNameError::Characters)),
            ("a.*.test", Star),
            ("a*.test", Star),
            ("**", Star),
            ("*.*.test", Name(ServerNameError::Characters)),
            ("*.10.0.0.1", AddressForName),
            ("a.test:", Port),
            ("a.test:0", Port),
            ("a.test:*", Port),
            ("mx:10.0.0.1", AddressForName),
            ("mx:a.test:25", PortForDomain),
            ("mx:10.0.0.0/8", Name(ServerNameError::Characters)),
            ("10.0.0.0/33", Network(NetworkError::Length)),
            ("10.0.0.0/33:25", Network(NetworkError::Length)),
            ("fd00::/129", Network(NetworkError::Length)),
            ("a.test/8", Network(NetworkError::Address)),
            ("10.1.0.0/8", Network(NetworkError::HostBits("10.0.0.0/8".parse().expect("a network")))),
            ("[10.0.0.0/8]:25", Brackets),
            ("[a.test]:25", Network(NetworkError::Address)),
            ("[fd00::/8", Brackets),
            ("[fd00::]/8", Brackets),
            ("[fd00::/8]25", Brackets),
        ] {
            assert_eq!(text.parse::<AllowPattern>(), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn addresses_in_other_spellings_are_no_names_that_lead_anywhere_else() {
        // What is no dotted quad is a DNS name, or nothing at all: no resolver of the system reads it as an address.
        for text in ["127.1", "0177.0.0.1", "2130706433", "0x7f.1", "127.0.0.1.", "１２７.0.0.1", "127。0。0。1"]
        {
            let parsed = text.parse::<TargetKind>();
            assert!(parsed.is_err(), "{text}: {parsed:?}");
        }
    }
}
