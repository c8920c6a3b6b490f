//! The scalars of the config file, each a type that holds only what is allowed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer};

use super::duration;
use super::value::{Refusal, Scalar, scalar};
use crate::metrics::table;
use crate::net::is_unicast;
use crate::target::{AllowPattern, EhloName, IpFamily, ServerName, TargetName, TargetSpecError, TlsMode};
use crate::trust::anchors::Roots;

/// Defines newtypes that are read by their [`Scalar`] rule.
macro_rules! scalars {
    ($( $(#[$meta:meta])* $name:ident($inner:ty); )+) => {$(
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq)]
        pub(super) struct $name(pub(super) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                scalar(deserializer)
            }
        }
    )+};
}

scalars! {
    /// From one round to the next.
    Interval(Duration);
    /// How long a probe, or a part of it, may take.
    Timeout(Duration);
    /// How long something is kept.
    Retention(Duration);
    /// Connections to a backend in a round.
    Samples(u32);
    /// A TCP port.
    Port(u16);
    /// How TLS begins.
    Tls(TlsMode);
    /// Which addresses are used.
    Family(IpFamily);
    /// What is said in EHLO.
    Ehlo(EhloName);
    /// A name, or an address that can be connected to.
    Host(ServerName);
    /// A domain with mail hosts.
    MxDomain(ServerName);
    /// A domain with submission hosts.
    SubmissionDomain(ServerName);
    /// A name or address that a certificate may carry.
    #[derive(PartialOrd, Ord)]
    CertName(ServerName);
    /// An address that can be connected to, never an IPv4-mapped one.
    #[derive(PartialOrd, Ord)]
    Address(IpAddr);
    /// A name server with its port.
    #[derive(PartialOrd, Ord)]
    NameServer(SocketAddr);
    /// A target's name.
    Name(TargetName);
    /// The key of a user label.
    #[derive(PartialOrd, Ord)]
    LabelName(String);
    /// The value of a user label.
    LabelValue(String);
    /// The name of a trust store that the file defines.
    #[derive(PartialOrd, Ord)]
    StoreKey(String);
    /// The name of a resolver that the file defines.
    #[derive(PartialOrd, Ord)]
    ResolverKey(String);
    /// The name of something that is defined elsewhere.
    Reference(String);
    /// A file's path as it stands in the config.
    FilePath(PathBuf);
    /// A glob of target files.
    Glob(String);
    /// How many probes run at once; none is `auto`.
    ConcurrentProbes(Option<NonZeroUsize>);
    /// How many addresses of a target are probed.
    BackendLimit(usize);
    /// A pattern of targets that may be asked for.
    #[derive(PartialOrd, Ord)]
    Allowed(AllowPattern);
    /// Yes or no.
    Flag(bool);
    /// The roots that a trust store begins with.
    RootsWord(Roots);
}

impl Scalar for Interval {
    const ALLOWED: &'static str = "a duration from 1s to 1y, such as 90s or 1h30m";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        within(text, Duration::from_secs(1), YEAR).map(Self)
    }
}

impl Scalar for Timeout {
    const ALLOWED: &'static str = "a duration from 1ms to 1h, such as 20s or 500ms";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        within(text, Duration::from_millis(1), Duration::from_secs(3600)).map(Self)
    }
}

impl Scalar for Retention {
    const ALLOWED: &'static str = "a duration from 0 to 1y, such as 1h or 1d";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        within(text, Duration::ZERO, YEAR).map(Self)
    }

    fn from_number(number: u64) -> Result<Self, Refusal> {
        if number == 0 { Ok(Self(Duration::ZERO)) } else { Err(Refusal::Type) }
    }
}

impl Scalar for Samples {
    const ALLOWED: &'static str = "1 to 10";

    fn from_number(number: u64) -> Result<Self, Refusal> {
        u32::try_from(number).ok().filter(|samples| (1..=10).contains(samples)).map(Self).ok_or(Refusal::Value)
    }
}

impl Scalar for Port {
    const ALLOWED: &'static str = "1 to 65535";

    fn from_number(number: u64) -> Result<Self, Refusal> {
        u16::try_from(number).ok().filter(|port| *port != 0).map(Self).ok_or(Refusal::Value)
    }
}

impl Scalar for Tls {
    const ALLOWED: &'static str = "starttls or implicit";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        one_of([TlsMode::StartTls, TlsMode::Implicit], TlsMode::as_str, text).map(Self)
    }
}

impl Scalar for Family {
    const ALLOWED: &'static str = "auto, any, ipv4 or ipv6";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let all = [IpFamily::Auto, IpFamily::Any, IpFamily::Ipv4, IpFamily::Ipv6];
        one_of(all, IpFamily::as_str, text).map(Self)
    }
}

impl Scalar for RootsWord {
    const ALLOWED: &'static str = "system, mozilla or none";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        one_of([Roots::System, Roots::Mozilla, Roots::None], Roots::as_str, text).map(Self)
    }
}

impl Scalar for Ehlo {
    const ALLOWED: &'static str =
        "a name such as probe.example.net, or an address such as [192.0.2.1] or [IPv6:2001:db8::1]";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        ehlo_name(text).map(Self).ok_or(Refusal::Value)
    }
}

/// The EHLO argument in its ASCII form (RFC 5321 §4.1.2, §4.1.3): what goes onto the wire can hold
/// neither spaces nor line breaks.
pub(super) fn ehlo_name(text: &str) -> Option<EhloName> {
    if let Some(literal) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        let v6 = literal.get(..5).filter(|tag| tag.eq_ignore_ascii_case("IPv6:")).and_then(|_| literal.get(5..));
        let (ip, literal) = match v6 {
            Some(v6) => v6.parse().map(|ip: Ipv6Addr| (IpAddr::from(ip), format!("[IPv6:{ip}]"))).ok()?,
            None => literal.parse().map(|ip: Ipv4Addr| (IpAddr::from(ip), format!("[{ip}]"))).ok()?,
        };
        return is_unicast(ip).then(|| EhloName::Name(literal.into()));
    }
    let name = ServerName::parse(text).ok()?;
    let name = name.dns()?;
    let (_, top) = name.rsplit_once('.')?;
    let host = |label: &str| {
        !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let numeric = top.bytes().all(|byte| byte.is_ascii_digit());
    (name.split('.').all(host) && !numeric).then(|| EhloName::Name(name.into()))
}

impl Scalar for Host {
    const ALLOWED: &'static str = "a host name or an IP address";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let name = server_name(text)?;
        if name.ip().is_none_or(is_unicast) { Ok(Self(name)) } else { Err(not_one_machine()) }
    }
}

impl Scalar for MxDomain {
    const ALLOWED: &'static str = "a domain, whose MX records are looked up";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        domain(text).map(Self)
    }
}

impl Scalar for SubmissionDomain {
    const ALLOWED: &'static str = "a domain, whose SRV records are looked up";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        domain(text).map(Self).map_err(|refusal| match refusal {
            Refusal::Because(reason) if reason == PORT_APART => {
                Refusal::Because("the records name the ports".to_owned())
            }
            other => other,
        })
    }
}

impl Scalar for CertName {
    const ALLOWED: &'static str = "a host name or an IP address";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        server_name(text).map(Self)
    }
}

impl Scalar for Address {
    const ALLOWED: &'static str = "an IP address such as 192.0.2.10 or 2001:db8::10";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let ip = text.parse::<IpAddr>().map_err(|_| Refusal::Value)?.to_canonical();
        if is_unicast(ip) { Ok(Self(ip)) } else { Err(not_one_machine()) }
    }
}

impl Scalar for NameServer {
    const ALLOWED: &'static str =
        "an IP address, with a port or without, such as 192.0.2.53, 192.0.2.53:5353 or \"[2001:db8::53]:5353\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let bare = match bare {
            Some(v6) => v6.parse::<Ipv6Addr>().map(IpAddr::V6),
            None => text.parse::<IpAddr>(),
        };
        let server = match bare {
            Ok(ip) => SocketAddr::new(ip, 53),
            Err(_) => text.parse().map_err(|_| Refusal::Value)?,
        };
        let server = SocketAddr::new(server.ip().to_canonical(), server.port());
        match server {
            _ if server.port() == 0 => Err(Refusal::Because("its port is 0".to_owned())),
            _ if !is_unicast(server.ip()) => Err(not_one_machine()),
            _ => Ok(Self(server)),
        }
    }
}

impl Scalar for Name {
    const ALLOWED: &'static str = "a string of 1 to 255 bytes without control characters";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let printable = text.len() <= 255 && !text.contains(char::is_control);
        TargetName::new(text).filter(|_| printable).map(Self).ok_or(Refusal::Value)
    }
}

impl Scalar for LabelName {
    const ALLOWED: &'static str =
        "a label name ([a-zA-Z_][a-zA-Z0-9_]*, not __*) that neither Prometheus nor this exporter uses itself";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let well_formed = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !text.starts_with("__");
        if !well_formed {
            return Err(Refusal::Value);
        }
        if table::PROMETHEUS_LABELS.contains(&text) {
            return Err(Refusal::Because("Prometheus sets it".to_owned()));
        }
        if table::reserved_labels().any(|label| label == text) {
            return Err(Refusal::Because("this exporter reserves it".to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Scalar for LabelValue {
    const ALLOWED: &'static str = "a string of at most 1024 bytes (numbers and booleans in quotes)";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        if text.len() <= 1024 { Ok(Self(text.to_owned())) } else { Err(Refusal::Value) }
    }
}

impl Scalar for StoreKey {
    const ALLOWED: &'static str =
        "a name of 1 to 64 letters, digits, `.`, `_` and `-`, other than the built-in system and mozilla";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        key(text, &BUILT_IN_STORES).map(Self)
    }
}

impl Scalar for ResolverKey {
    const ALLOWED: &'static str = "a name of 1 to 64 letters, digits, `.`, `_` and `-`, other than the built-in system";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        key(text, &[BUILT_IN_RESOLVER]).map(Self)
    }
}

impl Scalar for Reference {
    const ALLOWED: &'static str = "a name (numbers in quotes)";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        Ok(Self(text.to_owned()))
    }
}

impl Scalar for FilePath {
    const ALLOWED: &'static str = "a file's path";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() || text.contains('\0') { Err(Refusal::Value) } else { Ok(Self(text.into())) }
    }
}

impl Scalar for Glob {
    const ALLOWED: &'static str = "a glob of files, such as targets/*.yaml";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() || text.contains('\0') {
            return Err(Refusal::Value);
        }
        match glob::Pattern::new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(Refusal::Because(error.msg.to_owned())),
        }
    }
}

impl Scalar for ConcurrentProbes {
    const ALLOWED: &'static str = "auto or 1 to 100000";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        if text == "auto" { Ok(Self(None)) } else { Err(Refusal::Type) }
    }

    fn from_number(number: u64) -> Result<Self, Refusal> {
        let probes = usize::try_from(number).ok().filter(|number| *number <= 100_000).and_then(NonZeroUsize::new);
        probes.map(|probes| Self(Some(probes))).ok_or(Refusal::Value)
    }
}

impl Scalar for BackendLimit {
    const ALLOWED: &'static str = "1 to 4096";

    fn from_number(number: u64) -> Result<Self, Refusal> {
        usize::try_from(number).ok().filter(|limit| (1..=4096).contains(limit)).map(Self).ok_or(Refusal::Value)
    }
}

impl Scalar for Allowed {
    const ALLOWED: &'static str = "smtp.example.com, *.example.com or * (with or without :PORT), such a name after mx: or \
                                   submission: (without), or a network such as 192.0.2.0/24";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        text.parse().map(Self).map_err(|error: TargetSpecError| Refusal::Because(error.to_string()))
    }
}

impl Scalar for Flag {
    const ALLOWED: &'static str = "true or false";

    fn from_flag(flag: bool) -> Result<Self, Refusal> {
        Ok(Self(flag))
    }
}

fn within(text: &str, min: Duration, max: Duration) -> Result<Duration, Refusal> {
    duration::parse(text).filter(|duration| (min..=max).contains(duration)).ok_or(Refusal::Value)
}

fn one_of<T: Copy>(all: impl IntoIterator<Item = T>, word: fn(T) -> &'static str, text: &str) -> Result<T, Refusal> {
    all.into_iter().find(|value| word(*value) == text).ok_or(Refusal::Value)
}

fn server_name(text: &str) -> Result<ServerName, Refusal> {
    ServerName::parse(text).map_err(|error| {
        let port =
            text.rsplit_once(':').filter(|(host, port)| ServerName::parse(host).is_ok() && port.parse::<u16>().is_ok());
        Refusal::Because(if port.is_some() { PORT_APART.to_owned() } else { error.to_string() })
    })
}

fn domain(text: &str) -> Result<ServerName, Refusal> {
    let name = server_name(text)?;
    if name.ip().is_some() { Err(Refusal::Because("an IP address".to_owned())) } else { Ok(name) }
}

fn key(text: &str, built_in: &[&str]) -> Result<String, Refusal> {
    let well_formed = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if well_formed && !built_in.contains(&text) { Ok(text.to_owned()) } else { Err(Refusal::Value) }
}

fn not_one_machine() -> Refusal {
    Refusal::Because("not a unicast address".to_owned())
}

/// The trust stores that are always there.
pub(super) const BUILT_IN_STORES: [&str; 2] = ["system", "mozilla"];

/// The resolver that is always there.
pub(super) const BUILT_IN_RESOLVER: &str = "system";

const PORT_APART: &str = "the port has a key of its own";

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
