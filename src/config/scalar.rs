//! The values in the configuration: types that accept only what is allowed, and lists of them.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::value::{SeqAccessDeserializer, StrDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Unexpected, Visitor};

use self::Given::{Number, Text};
use super::duration;
use crate::metrics::table;
use crate::net::{Network, NetworkError, is_non_forwardable, is_unicast};
use crate::target::{AllowPattern, EhloName, IpFamily, ServerName, TargetKind, TargetName, TargetSpecError, TlsMode};
use crate::trust::anchors::Roots;

/// A value that is a string or a number in the file.
pub(super) trait Scalar: Sized {
    /// What is allowed, for messages.
    const EXPECTED: &'static str;

    /// The value; none if it has the wrong type. The error is the reason, or empty if what is expected says enough.
    fn parse(given: Given<'_>) -> Option<Result<Self, String>>;
}

/// A host or domain, and how it is written.
#[derive(Clone, Debug)]
pub(super) struct WrittenName {
    pub(super) name: ServerName,
    /// It ends in a dot.
    pub(super) is_qualified: bool,
}

impl From<ServerName> for WrittenName {
    fn from(name: ServerName) -> Self {
        Self { name, is_qualified: false }
    }
}

#[derive(Clone, Copy)]
pub(super) enum Given<'a> {
    Text(&'a str),
    Number(i128),
}

struct ScalarVisitor<T>(PhantomData<T>);

impl<T: Scalar> Visitor<'_> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        // Some parsers take more than linear time.
        let is_long = text.len() > MAX_TEXT;
        self.finish(if is_long { Some(Err(format!("{} bytes", text.len()))) } else { T::parse(Text(text)) })
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<T, E> {
        self.finish(T::parse(Number(number)))
    }
}

impl<T: Scalar> ScalarVisitor<T> {
    fn finish<E: Error>(&self, parsed: Option<Result<T, String>>) -> Result<T, E> {
        let unexpected = Unexpected::Other("value");
        match parsed {
            Some(Ok(value)) => Ok(value),
            Some(Err(reason)) if reason.is_empty() => Err(E::invalid_value(unexpected, self)),
            Some(Err(reason)) => Err(E::custom(format_args!("{reason} (expected {})", T::EXPECTED))),
            None => Err(E::invalid_type(unexpected, self)),
        }
    }
}

/// Defines newtypes of scalars: name and type, what is expected, and how a string or number is parsed.
macro_rules! scalars {
    ($( $(#[$meta:meta])* $name:ident($inner:ty), $expected:literal { $($given:pat $(if $guard:expr)? => $parse:expr),+ $(,)? } )+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub(super) struct $name(pub(super) $inner);

        impl Scalar for $name {
            const EXPECTED: &'static str = $expected;

            fn parse(given: Given<'_>) -> Option<Result<Self, String>> {
                let parsed: Result<$inner, String> = match given {
                    $($given $(if $guard)? => $parse,)+
                    _ => return None,
                };
                Some(parsed.map(Self))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(ScalarVisitor(PhantomData))
            }
        }
    )+};
}

scalars! {
    /// How TLS starts.
    Tls(TlsMode), "starttls or implicit" {
        Text(text) => one_of([TlsMode::StartTls, TlsMode::Implicit], TlsMode::as_str, text),
    }
    /// The addresses that are used.
    Family(IpFamily), "auto, any, ipv4 or ipv6" {
        Text(text) => one_of([IpFamily::Auto, IpFamily::Any, IpFamily::Ipv4, IpFamily::Ipv6], IpFamily::as_str, text),
    }
    /// The roots that a trust store starts with.
    RootSet(Roots), "system, mozilla or none" {
        Text(text) => one_of([Roots::System, Roots::Mozilla, Roots::None], Roots::as_str, text),
    }
    /// A TCP port.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    Port(u16), "a number from 1 to 65535" { Number(number) => whole(number, 1..=65_535) }
    /// Connections to each backend in a round.
    Samples(u32), "a number from 1 to 10" { Number(number) => whole(number, 1..=10) }
    /// Addresses of an endpoint that are probed.
    BackendLimit(usize), "a number from 1 to 4096" { Number(number) => whole(number, 1..=4096) }
    /// The number of probes that run at the same time; none is `auto`.
    ConcurrentProbes(Option<NonZeroUsize>), "auto or a number from 1 to 100000" {
        Text("auto") => Ok(None),
        Number(number) => whole(number, 1..=100_000).map(NonZeroUsize::new),
    }
    /// The time from one round to the next.
    Interval(Duration), "a duration from 1s to 1y, such as 90s or 1h30m" { Text(text) => span(text, 1_000..=YEAR) }
    /// The maximum duration of a probe, or of a part of it.
    Timeout(Duration), "a duration from 1ms to 1h, such as 90s or 1h30m" { Text(text) => span(text, 1..=3_600_000) }
    /// How long something is kept.
    Retention(Duration), "a duration from 0 to 1y, such as 90s or 1h30m" {
        Text(text) => span(text, 0..=YEAR),
        Number(0) => Ok(Duration::ZERO),
    }
    /// The argument of EHLO.
    Ehlo(EhloName), "a name such as probe.example.net, or an address such as [192.0.2.1] or [IPv6:2001:db8::1]" {
        Text(text) => ehlo_name(text).ok_or_else(String::new),
    }
    /// A host that can be connected to.
    Host(WrittenName), "a host name or an IP address" {
        Text(text) => server_name(text).and_then(|name| match name.ip() {
            Some(ip) => unicast(ip, name.into()),
            None => Ok(WrittenName { name, is_qualified: text.ends_with('.') }),
        }),
    }
    /// A domain whose DNS records list hosts.
    Domain(ServerName), "a domain" {
        Text(text) => match server_name(text) {
            Ok(name) if name.ip().is_some() => Err("an IP address".to_owned()),
            other => other,
        },
    }
    /// A name or address that a certificate may list.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    CertName(ServerName), "a host name or an IP address" { Text(text) => server_name(text) }
    /// An address that can be connected to, never an IPv4-mapped one.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    Address(IpAddr), "an IP address such as 192.0.2.10 or 2001:db8::10" {
        Text(text) => match text.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
            Ok(ip) => unicast(ip, ip),
            Err(_) => Err(String::new()),
        },
    }
    /// A network that hosts of records may be in.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    AllowedNetwork(Network), "a network such as 127.0.0.0/8 or \"::1/128\"" {
        Text(text) => text.parse().map_err(|error: NetworkError| error.to_string()).and_then(effective),
    }
    /// A name server with its port.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    NameServer(SocketAddr),
        "an IP address with an optional port, such as 192.0.2.53, 192.0.2.53:5353 or \"[2001:db8::53]:5353\"" {
        Text(text) => name_server(text),
    }
    /// The name of a target.
    Name(TargetName), "a string of 1 to 255 bytes without control characters" {
        Text(text) if text.len() > 255 || text.contains(char::is_control) => Err(String::new()),
        Text(text) => TargetName::new(text).ok_or_else(String::new),
    }
    /// The name of a label.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    LabelName(String), "a label name ([a-zA-Z_][a-zA-Z0-9_]*, not __*) that is not reserved" {
        Text(text) if is_reserved(text) => Err("reserved for Prometheus or this exporter".to_owned()),
        Text(text) => only_if(is_label_name(text) && !text.starts_with("__"), text),
    }
    /// The value of a label.
    LabelValue(String), "a string of at most 1024 bytes (numbers and booleans in quotes)" {
        Text(text) => only_if(text.len() <= MAX_LABEL, text),
    }
    /// The name of a trust store that the file defines.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    StoreKey(String), "a name of 1 to 64 letters, digits, `.`, `_` and `-`, other than the built-in system and mozilla" {
        Text(text) => only_if(is_key(text) && !BUILT_IN_STORES.contains(&text), text),
    }
    /// The name of a resolver that the file defines.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    ResolverKey(String), "a name of 1 to 64 letters, digits, `.`, `_` and `-`, other than the built-in system" {
        Text(text) => only_if(is_key(text) && text != BUILT_IN_RESOLVER, text),
    }
    /// The path of a file, as in the configuration.
    FilePath(PathBuf), "the path of a file" { Text(text) => only_if(is_path(text), text).map(PathBuf::from) }
    /// A pattern of target files.
    Glob(String), "a glob pattern such as targets/*.yaml" {
        Text(text) => match glob::Pattern::new(text) {
            Ok(_) => only_if(is_path(text), text),
            Err(error) => Err(error.msg.to_owned()),
        },
    }
    /// A pattern of targets that may be probed on request.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    Allowed(AllowPattern), "smtp.example.com, *.example.com or * (with or without :PORT), such a name after mx: or submission: \
                            (without), or a network such as 192.0.2.0/24" {
        Text(text) => text.parse().map_err(|error: TargetSpecError| error.to_string()),
    }
    /// A target of a group.
    Spec(TargetKind), "a target such as smtp.example.com, smtp.example.com:465, \"[2001:db8::1]:25\", mx:example.com or \
                       submission:example.com" {
        Text(text) => text.parse().map_err(|error: TargetSpecError| error.to_string()),
    }
}

/// A list without equal values.
#[derive(Clone, Debug)]
pub struct UniqueVec<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de> + Clone + Ord> Deserialize<'de> for UniqueVec<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(UniqueVisitor(BTreeSet::new())).map(Self)
    }
}

/// Reads a list, and each value in it, which must not be in the set yet.
struct UniqueVisitor<T>(BTreeSet<T>);

impl<'de, T: Deserialize<'de> + Clone + Ord> Visitor<'de> for UniqueVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(&mut self)? {
            values.push(value);
        }
        Ok(values)
    }
}

impl<'de, T: Deserialize<'de> + Clone + Ord> DeserializeSeed<'de> for &mut UniqueVisitor<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        let value = T::deserialize(deserializer)?;
        if self.0.insert(value.clone()) { Ok(value) } else { Err(D::Error::duplicate_field("value")) }
    }
}

/// One value, or a list of values that share all other keys of their entry.
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    pub(super) fn map<U>(self, map: fn(T) -> U) -> OneOrMany<U> {
        match self {
            Self::One(one) => OneOrMany::One(map(one)),
            Self::Many(many) => OneOrMany::Many(many.into_iter().map(map).collect()),
        }
    }
}

impl<'de, T: Scalar + Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor(PhantomData))
    }
}

struct OneOrManyVisitor<T>(PhantomData<T>);

impl<'de, T: Scalar + Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} or a list of them", T::EXPECTED)
    }

    fn visit_str<E: Error>(self, one: &str) -> Result<Self::Value, E> {
        T::deserialize(StrDeserializer::new(one)).map(OneOrMany::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(OneOrMany::Many)
    }
}

fn one_of<T: Copy>(all: impl IntoIterator<Item = T>, word: fn(T) -> &'static str, text: &str) -> Result<T, String> {
    all.into_iter().find(|value| word(*value) == text).ok_or_else(String::new)
}

/// The argument of EHLO (RFC 5321 §4.1.2, §4.1.3): a qualified host name in ASCII, or an address literal.
pub(super) fn ehlo_name(text: &str) -> Option<EhloName> {
    if let Some(literal) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        let v6 = literal.split_at_checked(5).filter(|(tag, _)| tag.eq_ignore_ascii_case("IPv6:"));
        let (ip, literal) = match v6 {
            Some((_, ip)) => ip.parse().map(|ip: Ipv6Addr| (IpAddr::from(ip), format!("[IPv6:{ip}]"))).ok()?,
            None => literal.parse().map(|ip: Ipv4Addr| (IpAddr::from(ip), format!("[{ip}]"))).ok()?,
        };
        return is_unicast(ip).then(|| EhloName::Name(literal.into()));
    }
    let name = ServerName::parse(text).ok()?;
    let name = name.dns().filter(|name| name.contains('.') && !name.contains('_'))?;
    Some(EhloName::Name(name.into()))
}

fn server_name(text: &str) -> Result<ServerName, String> {
    ServerName::parse(text).map_err(|error| match text.rsplit_once(':') {
        Some((host, port)) if ServerName::parse(host).is_ok() && port.parse::<u16>().is_ok() => {
            "a port, which is not part of the name".to_owned()
        }
        _ => error.to_string(),
    })
}

fn name_server(text: &str) -> Result<SocketAddr, String> {
    let bare = match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().map(IpAddr::V6),
        None => text.parse(),
    };
    let server = match bare {
        Ok(ip) => SocketAddr::new(ip, DNS),
        Err(_) => text.parse().map_err(|_| String::new())?,
    };
    let ip = server.ip().to_canonical();
    if server.port() == 0 { Err("port 0".to_owned()) } else { unicast(ip, SocketAddr::new(ip, server.port())) }
}

/// `value`, if its address can be connected to.
fn unicast<T>(ip: IpAddr, value: T) -> Result<T, String> {
    if is_unicast(ip) { Ok(value) } else { Err("not a unicast address".to_owned()) }
}

/// `network`, if it can permit addresses of MX and SRV records that are skipped otherwise.
fn effective(network: Network) -> Result<Network, String> {
    let reason = "no effect: not within one of the ranges that are skipped otherwise: 0.0.0.0/8, 127.0.0.0/8, \
                  169.254.0.0/16, 224.0.0.0/4, 255.255.255.255, ::, ::1, fe80::/10, ff00::/8, and IPv6 networks that embed \
                  one of them";
    if is_non_forwardable(network) { Ok(network) } else { Err(reason.to_owned()) }
}

fn only_if(is_allowed: bool, text: &str) -> Result<String, String> {
    is_allowed.then(|| text.to_owned()).ok_or_else(String::new)
}

fn whole<T: TryFrom<i128> + PartialOrd>(number: i128, range: RangeInclusive<T>) -> Result<T, String> {
    T::try_from(number).ok().filter(|number| range.contains(number)).ok_or_else(String::new)
}

/// A duration within a range of milliseconds.
fn span(text: &str, range: RangeInclusive<u128>) -> Result<Duration, String> {
    duration::parse(text).filter(|duration| range.contains(&duration.as_millis())).ok_or_else(String::new)
}

/// Whether the text may be the name of a trust store or resolver.
fn is_key(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn is_path(text: &str) -> bool {
    !text.is_empty() && !text.contains('\0')
}

/// Whether Prometheus accepts `name` as a label name without quotes.
pub fn is_label_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a label is one that Prometheus or the exporter sets.
pub fn is_reserved(name: &str) -> bool {
    table::PROMETHEUS_LABELS.contains(&name) || table::reserved_labels().any(|label| label == name)
}

/// Whether the value looks like a reference to an environment variable, as in a shell: `${name}`, also with an operator
/// such as `:-` after the name, `$NAME`, or `$name` without other text.
pub(super) fn is_variable(text: &str) -> bool {
    let in_capitals = |name: &str| {
        name.bytes().filter(u8::is_ascii_uppercase).count() >= 2 && !name.bytes().any(|byte| byte.is_ascii_lowercase())
    };
    text.match_indices('$').any(|(at, _)| {
        let rest = text.get(at + 1..).unwrap_or_default();
        let (in_braces, rest) = rest.strip_prefix('{').map_or((false, rest), |rest| (true, rest));
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(end).unwrap_or_default();
        is_label_name(name)
            && if in_braces {
                after.starts_with(['}', ':', '-', '=', '+', '?'])
            } else {
                in_capitals(name) || (at == 0 && after.is_empty())
            }
    })
}

/// The built-in trust stores.
pub(super) const BUILT_IN_STORES: [&str; 2] = ["system", "mozilla"];
/// The built-in resolver.
pub(super) const BUILT_IN_RESOLVER: &str = "system";
/// Bytes of a label value.
pub(super) const MAX_LABEL: usize = 1024;
const MAX_TEXT: usize = 4096;
/// The port of name servers.
const DNS: u16 = 53;
/// In milliseconds.
const YEAR: u128 = 365 * 24 * 3600 * 1000;
