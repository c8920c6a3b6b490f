//! The addresses to which targets may connect, and the targets that may be probed without being configured.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use crate::net::{AddressScope, Network, non_forwardable_range};
use crate::reason::SkipReason;

use super::spec::{HostPort, domain, without_port};
use super::{ProbeSettings, SMTP, SUBMISSION, SUBMISSIONS, ServerName, TargetKind, TargetSpecError};

/// Which requests `/probe` accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeAccess {
    /// `probe.enabled`: whether it accepts requests at all.
    pub enabled: bool,
    /// `probe.configured`: whether configured targets are probed on request.
    pub configured: bool,
}

impl Default for ProbeAccess {
    fn default() -> Self {
        Self { enabled: true, configured: true }
    }
}

/// Patterns of targets; a target that matches none is not permitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow(Arc<[AllowPattern]>);

impl Allow {
    /// Permits the targets that match one of `patterns`.
    pub fn new(patterns: impl IntoIterator<Item = AllowPattern>) -> Self {
        Self(patterns.into_iter().collect())
    }

    /// Whether there is no pattern, so that nothing is permitted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns, in order.
    pub fn patterns(&self) -> &[AllowPattern] {
        &self.0
    }

    /// Returns the addresses that `target` may connect to.
    ///
    /// # Errors
    /// If no pattern permits `target`.
    pub fn permit(&self, target: &TargetKind) -> Result<AllowedAddresses, NotAllowed> {
        let port = match target {
            TargetKind::Mx(mx) => Some(mx.port),
            TargetKind::Host(host) => Some(host.endpoint.port),
            TargetKind::Submission(_) => None,
        };
        let matches = |pattern: &Pattern| match (pattern, target) {
            (Pattern::Host(names, _), TargetKind::Host(host)) => names.matches(&host.host),
            (Pattern::Network(network, _), TargetKind::Host(host)) => {
                host.host.ip().is_some_and(|ip| network.permits(ip))
            }
            (Pattern::Mx(names), TargetKind::Mx(mx)) => names.matches(&mx.domain),
            (Pattern::Submission(names), TargetKind::Submission(submission)) => names.matches(&submission.domain),
            _ => false,
        };
        let mut matching = self.0.iter().map(|pattern| &pattern.0).filter(|pattern| matches(pattern)).peekable();
        if matching.peek().is_none() {
            return Err(if self.is_empty() { NotAllowed::Nothing } else { NotAllowed::Target });
        }
        let requested = port.unwrap_or(SUBMISSION);
        if matching.any(|pattern| pattern.ports().contains(requested)) {
            Ok(AllowedAddresses { allow: self.clone(), port })
        } else {
            Err(NotAllowed::Port(requested))
        }
    }
}

/// Why a target is not permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAllowed {
    /// There are no patterns.
    Nothing,
    /// No pattern matches it.
    Target,
    /// No matching pattern has this port.
    Port(u16),
}

/// The addresses and ports that a permitted one-off target may connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedAddresses {
    allow: Allow,
    /// The port of the target; none if SRV records determine the ports.
    port: Option<u16>,
}

impl ProbeSettings {
    /// Checks whether a configured target may connect to `address`. The host names in MX and SRV records, and the ports in
    /// the latter, are chosen by others: they must not make the exporter connect to loopback, to services of its link, or to
    /// services other than mail. Hosts in the configuration are not restricted.
    ///
    /// # Errors
    /// If `address` is not forwardable and no network in `allow_addresses` within the same range contains it, or if the port
    /// is that of an SRV record and neither one of the usual ones nor in `allow_ports`.
    pub fn check_address(&self, target: &TargetKind, address: SocketAddr) -> Result<(), SkipReason> {
        let (ip, port) = (address.ip(), address.port());
        match target {
            TargetKind::Host(_) => return Ok(()),
            TargetKind::Mx(_) => {}
            TargetKind::Submission(_) if MAIL_PORTS.contains(&port) || self.allow_ports.contains(&port) => {}
            TargetKind::Submission(_) => return Err(SkipReason::PortNotAllowed),
        }
        let Some(range) = non_forwardable_range(ip) else { return Ok(()) };
        let mut listed = self.allow_addresses.iter();
        let is_listed = listed.any(|network| network.contains(ip) && network.is_within(range));
        if is_listed { Ok(()) } else { Err(SkipReason::AddressNotAllowed) }
    }

    /// Whether [`Self::check_address`] has the same results with `other`.
    pub fn allows_as(&self, other: &Self) -> bool {
        self.allow_addresses == other.allow_addresses && self.allow_ports == other.allow_ports
    }
}

impl AllowedAddresses {
    /// Checks whether the target may connect to `address`: a global address at the target's port (by default 25, 465 and
    /// 587), or an address and port that a network among the patterns permits.
    ///
    /// # Errors
    /// If it may not.
    pub fn check(&self, address: SocketAddr) -> Result<(), SkipReason> {
        let (ip, port) = (address.ip(), address.port());
        let ports = self.port.map_or(Ports::Default, Ports::One);
        let in_network = |pattern: &AllowPattern| match pattern.0 {
            Pattern::Network(network, ports) => network.permits(ip) && ports.contains(port),
            _ => false,
        };
        let is_ip_permitted =
            |pattern: &AllowPattern| matches!(pattern.0, Pattern::Network(network, _) if network.permits(ip));
        match AddressScope::of(ip) {
            _ if self.allow.patterns().iter().any(in_network) => Ok(()),
            AddressScope::Global if ports.contains(port) => Ok(()),
            AddressScope::Global => Err(SkipReason::PortNotAllowed),
            _ if self.allow.patterns().iter().any(is_ip_permitted) => Err(SkipReason::PortNotAllowed),
            AddressScope::Local | AddressScope::Unroutable => Err(SkipReason::AddressNotAllowed),
        }
    }
}

/// A pattern of targets: `smtp.example.com`, `*.example.com` (all names below it), `*` (all names), an address or a network
/// (`192.0.2.0/24`, `2001:db8::/32`), each with an optional port (`[2001:db8::/32]:2525`; by default 25, 465 and 587), or
/// `mx:` or `submission:` before such a name.
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
    /// All names below this one, at any depth.
    Below(ServerName),
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ports {
    /// 25, 465 and 587.
    Default,
    One(u16),
}

impl Pattern {
    fn ports(&self) -> Ports {
        match self {
            Self::Host(_, ports) | Self::Network(_, ports) => *ports,
            Self::Mx(_) | Self::Submission(_) => Ports::Default,
        }
    }
}

impl Names {
    fn matches(&self, name: &ServerName) -> bool {
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
    fn contains(self, port: u16) -> bool {
        match self {
            Self::Default => [SMTP, SUBMISSIONS, SUBMISSION].contains(&port),
            Self::One(one) => one == port,
        }
    }
}

impl FromStr for AllowPattern {
    type Err = TargetSpecError;

    fn from_str(text: &str) -> Result<Self, TargetSpecError> {
        if let Some(rest) = text.strip_prefix("mx:") {
            return Ok(Self(Pattern::Mx(without_port(rest, names)?)));
        }
        if let Some(rest) = text.strip_prefix("submission:") {
            return Ok(Self(Pattern::Submission(without_port(rest, names)?)));
        }
        let HostPort { host, in_brackets, port } = HostPort::parse(text)?;
        let ports = port.map_or(Ports::Default, Ports::One);
        if in_brackets || host.contains('/') || host.parse::<IpAddr>().is_ok() {
            return host.parse().map(|net| Self(Pattern::Network(net, ports))).map_err(TargetSpecError::Network);
        }
        Ok(Self(Pattern::Host(names(host)?, ports)))
    }
}

fn names(text: &str) -> Result<Names, TargetSpecError> {
    match text.strip_prefix("*.") {
        _ if text == "*" => Ok(Names::All),
        Some(parent) => domain(parent).map(Names::Below),
        None if text.contains('*') => Err(TargetSpecError::Wildcard),
        None => domain(text).map(Names::One),
    }
}

impl fmt::Display for AllowPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pattern::Host(names, ports) => write!(f, "{names}{ports}"),
            Pattern::Network(network, Ports::Default) => network.fmt(f),
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
            Self::Default => Ok(()),
            Self::One(port) => write!(f, ":{port}"),
        }
    }
}

/// The ports of SRV records that need not be listed: those of SMTP, and the usual alternative for submission.
const MAIL_PORTS: [u16; 4] = [SMTP, SUBMISSIONS, SUBMISSION, 2525];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::NetworkError;
    use crate::target::ServerNameError;

    fn allow(patterns: &str) -> Allow {
        let parse = |text: &str| text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        Allow::new(patterns.split_whitespace().map(parse))
    }

    /// The cells of a table with `|` between them.
    fn rows(table: &str) -> impl Iterator<Item = [&str; 4]> {
        table.lines().filter(|line| !line.trim().is_empty()).map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            cells.try_into().unwrap_or_else(|_| panic!("four cells: {line}"))
        })
    }

    #[test]
    fn permits_targets_that_match_name_and_port() {
        // Patterns | permitted targets | targets that no pattern matches | targets with another port
        let table = "
            | | a.test 192.0.2.1 mx:a.test submission:a.test |
            a.test | a.test A.Test. a.test:25 a.test:465 | b.test x.a.test a.test.b.test 1.1.1.1 mx:a.test | a.test:2525
            *.a.test | x.a.test x.y.a.test:25 X.A.TEST. | a.test xa.test a.test.x | x.a.test:22
            * | a.test xn--bcher-kva.test localhost 0x7f000001 | 1.1.1.1 [2600::1]:25 mx:a.test | a.test:22
            a.test:2525 a.test | a.test a.test:2525 | b.test:2525 | a.test:2526
            a.test:2525 | a.test:2525 | | a.test a.test:25
            bücher.test | bücher.test xn--bcher-kva.test BÜCHER.test | bucher.test |
            mx:*.a.test mx:b.test | mx:x.a.test mx:b.test | mx:a.test x.a.test b.test submission:b.test |
            submission:* | submission:a.test | mx:a.test a.test |
            *.test:2525 | a.test:2525 | test:2525 | a.test:587
            10.0.0.0/8 | 10.1.2.3 [::ffff:10.1.2.3]:25 10.1.2.3:465 | 11.1.1.1 a.test 127.0.0.1 | 10.1.2.3:22
            10.0.0.0/8:2525 | 10.1.2.3:2525 | 11.1.1.1:2525 | 10.1.2.3
            0.0.0.0/0 ::/0 | 1.1.1.1 [2600::1]:25 | 127.0.0.1 10.0.0.1 [::1]:25 [fd00::1]:25 | 1.1.1.1:22
            ::1 [fd00::/8]:2525 | [::1]:25 [fd00::1]:2525 | [fe80::1]:25 127.0.0.1 | [fd00::1]:25
            * mx:* submission:* | | 1.1.1.1 127.0.0.1 [::1]:25 |
        ";
        for [patterns, permitted, unmatched, other_port] in rows(table) {
            let allow = allow(patterns);
            let outcome = |target: &str| allow.permit(&target.parse().expect(target)).err();
            for target in permitted.split_whitespace() {
                assert_eq!(outcome(target), None, "{patterns}: {target}");
            }
            for target in unmatched.split_whitespace() {
                let expected = if allow.is_empty() { NotAllowed::Nothing } else { NotAllowed::Target };
                assert_eq!(outcome(target), Some(expected), "{patterns}: {target}");
            }
            for target in other_port.split_whitespace() {
                assert!(matches!(outcome(target), Some(NotAllowed::Port(_))), "{patterns}: {target}");
            }
        }
    }

    #[test]
    fn permits_connections_to_global_addresses_and_to_networks() {
        // Patterns | target | permitted addresses | other addresses
        let table = "
            * | a.test | 1.1.1.1:587 [2600::1]:587 | 127.0.0.1:587 10.0.0.1:587 [::1]:587 1.1.1.1:25
            *:2525 | a.test:2525 | 1.1.1.1:2525 | 1.1.1.1:25 127.0.0.1:2525 [::ffff:127.0.0.1]:2525
            mx:* | mx:a.test | 1.1.1.1:25 | 127.0.0.1:25 1.1.1.1:587 1.1.1.1:22 169.254.169.254:25
            submission:* | submission:a.test | 1.1.1.1:587 1.1.1.1:465 1.1.1.1:25 | 1.1.1.1:22 127.0.0.1:587
            submission:* 1.1.1.0/24:2525 | submission:a.test | 1.1.1.1:2525 | 1.1.2.1:2525
            * 10.0.0.0/8 | a.test | 10.0.0.1:587 10.0.0.1:25 | 10.0.0.1:22 127.0.0.1:587
            *:2525 10.0.0.0/8 | a.test:2525 | 1.1.1.1:2525 | 10.0.0.1:2525
            *:2525 10.0.0.0/8:2525 | a.test:2525 | 10.0.0.1:2525 | 10.0.0.1:2526
            * 0.0.0.0/0 | a.test | 1.1.1.1:587 | 127.0.0.1:587 0.0.0.0:587 224.0.0.1:587
            127.0.0.1 | 127.0.0.1:25 | 127.0.0.1:25 | 127.0.0.2:25
        ";
        for [patterns, target, permitted, other] in rows(table) {
            let allowed = allow(patterns).permit(&target.parse().expect(target)).expect("a permitted target");
            let permits = |address: &&str| allowed.check(address.parse().expect(address)).is_ok();
            let addresses = permitted.split_whitespace().chain(other.split_whitespace());
            assert_eq!(addresses.filter(permits).collect::<Vec<_>>().join(" "), permitted, "{patterns}: {target}");
        }
    }

    #[test]
    fn tells_refused_ports_from_refused_addresses() {
        use SkipReason::{AddressNotAllowed, PortNotAllowed};
        for (patterns, target, address, expected) in [
            ("submission:*", "submission:a.test", "1.1.1.1:22", PortNotAllowed),
            ("submission:*", "submission:a.test", "10.0.0.1:22", AddressNotAllowed),
            ("submission:* 10.0.0.0/8", "submission:a.test", "10.0.0.1:22", PortNotAllowed),
            ("submission:* 10.0.0.0/8", "submission:a.test", "127.0.0.1:587", AddressNotAllowed),
            ("submission:* 0.0.0.0/0", "submission:a.test", "10.0.0.1:22", AddressNotAllowed),
            ("*:2525 10.0.0.0/8", "a.test:2525", "10.0.0.1:2525", PortNotAllowed),
            ("* 10.0.0.0/8:2525", "a.test", "10.0.0.1:587", PortNotAllowed),
            ("submission:* 64:ff9b::/96", "submission:a.test", "[64:ff9b::10.0.0.1]:587", AddressNotAllowed),
            ("submission:* 64:ff9b::/96", "submission:a.test", "[64:ff9b::1.1.1.1]:22", PortNotAllowed),
        ] {
            let allowed = allow(patterns).permit(&target.parse().expect(target)).expect("a permitted target");
            assert_eq!(allowed.check(address.parse().expect(address)), Err(expected), "{patterns}: {address}");
        }
    }

    #[test]
    fn formats_patterns_in_canonical_form() {
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
    fn rejects_invalid_patterns() {
        use TargetSpecError::{AddressForDomain, Brackets, Name, Network, Port, PortForDomain, Wildcard};
        for (expected, texts) in [
            (Name(ServerNameError::Empty), &["", "*."][..]),
            (Name(ServerNameError::EmptyLabel), &["a..test"]),
            (Name(ServerNameError::Syntax), &["two words", "*.*.test", "mx:10.0.0.0/8"]),
            (Wildcard, &["a.*.test", "a*.test", "**"]),
            (AddressForDomain, &["*.10.0.0.1", "mx:10.0.0.1"]),
            (Port, &["a.test:", "a.test:0", "a.test:*"]),
            (PortForDomain, &["mx:a.test:25", "mx:25"]),
            (Network(NetworkError::PrefixLength), &["10.0.0.0/33", "10.0.0.0/33:25", "fd00::/129"]),
            (Network(NetworkError::Address), &["a.test/8", "[a:b]:25"]),
            (Network(NetworkError::HostBits("10.0.0.0/8".parse().expect("a network"))), &["10.1.0.0/8"]),
            (Brackets, &["[10.0.0.0/8]:25", "[a.test]:25", "[fd00::/8", "[fd00::]/8", "[fd00::/8]25"]),
        ] {
            for text in texts {
                assert_eq!(text.parse::<AllowPattern>(), Err(expected), "{text:?}");
            }
        }
    }

    #[test]
    fn rejects_other_notations_of_ip_addresses() {
        // They are not host names either, although `getaddrinfo` reads most of them as addresses.
        for text in ["127.1", "0177.0.0.1", "2130706433", "0x7f.1", "127.0.0.1.", "１２７.0.0.1", "127。0。0。1"]
        {
            let parsed = text.parse::<TargetKind>();
            assert!(parsed.is_err(), "{text}: {parsed:?}");
        }
    }

    #[test]
    fn hosts_of_records_do_not_reach_internal_addresses_unless_listed() {
        // `allow_addresses` | `allow_ports` | allowed addresses | refused ones: `a` for the address, `p` for the port
        let table = "
            | | 192.0.2.1:25 192.0.2.1:465 192.0.2.1:587 192.0.2.1:2525 10.0.0.1:25 100.64.0.1:587 [fd00::1]:465 | \
                p192.0.2.1:22 p192.0.2.1:0 p10.0.0.1:80 p127.0.0.1:22 a127.0.0.10:25 a[::1]:25 a[::ffff:127.0.0.1]:25 \
                a[64:ff9b::7f00:1]:587 a169.254.169.254:25 a0.0.0.0:465 a224.0.0.1:25 a255.255.255.255:25 a[fe80::1]:25
            127.0.0.0/8 | | 127.0.0.1:25 [::ffff:127.0.0.1]:25 | a[::1]:25 a[64:ff9b::7f00:1]:25 a[2002:7f00:1::1]:25 \
                a169.254.0.1:25 p127.0.0.1:22
            127.0.0.0/8 ::1 | 22 5000 | 127.0.0.1:22 [::1]:5000 192.0.2.1:22 | p127.0.0.1:23 a0.0.0.0:22
            127.0.0.10 | | 127.0.0.10:25 | a127.0.0.11:25
            0.0.0.0/0 ::/0 | | 192.0.2.1:25 [2600::1]:25 | a127.0.0.1:25 a0.0.0.0:25 a[::1]:25 a[fe80::1]:25
            0.0.0.0/1 126.0.0.0/7 ::/96 | | 192.0.2.1:25 | a127.0.0.1:25 a[::1]:25 a[::2]:25
            0.0.0.0/8 169.254.0.0/16 fe80::/10 | | 0.0.0.0:25 169.254.169.254:25 [fe80::1]:25 | a[::]:25 a127.0.0.1:25
            64:ff9b::127.0.0.0/104 | | [64:ff9b::7f00:1]:25 | a127.0.0.1:25 a[64:ff9b::169.254.0.1]:25
            64:ff9b::/96 | | [64:ff9b::8.8.8.8]:25 | a[64:ff9b::7f00:1]:25
        ";
        for [networks, ports, allowed, refused] in rows(table) {
            let settings = ProbeSettings {
                allow_addresses: networks.split_whitespace().map(|text| text.parse().expect(text)).collect(),
                allow_ports: ports.split_whitespace().map(|text| text.parse().expect(text)).collect(),
                ..ProbeSettings::default()
            };
            let [host, mx, submission] =
                ["a.test", "mx:a.test", "submission:a.test"].map(|text| text.parse().expect(text));
            let allowed = allowed.split_whitespace().map(|text| (text, None));
            let refused = refused.split_whitespace().map(|text| match text.split_at(1) {
                ("a", address) => (address, Some(SkipReason::AddressNotAllowed)),
                (_, address) => (address, Some(SkipReason::PortNotAllowed)),
            });
            for (text, expected) in allowed.chain(refused) {
                let address = text.parse().expect(text);
                assert_eq!(settings.check_address(&submission, address).err(), expected, "{networks}: {text}");
                assert_eq!(settings.check_address(&host, address), Ok(()), "{networks}: {text}");
                // The port of an `mx` target is configured.
                let is_refused = settings.check_address(&mx, address).is_err();
                assert_eq!(
                    is_refused,
                    settings.check_address(&submission, (address.ip(), 25).into()).is_err(),
                    "{text}"
                );
            }
        }
    }
}
