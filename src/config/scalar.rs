//! The values in the configuration: types that accept only what is allowed, and lists of them.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::value::{SeqAccessDeserializer, StrDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Unexpected, Visitor};

use super::duration;
use crate::metrics::table;
use crate::net::is_unicast;
use crate::target::{AllowPattern, EhloName, IpFamily, ServerName, TargetKind, TargetName, TargetSpecError, TlsMode};
use crate::trust::anchors::Roots;

/// A value that is a string or a number in the file.
pub(super) trait Scalar: Sized {
    /// What is allowed, for messages.
    fn expected() -> String;

    /// The value of a string; none if a string is not allowed. The error is the reason, or empty if what is expected says
    /// enough.
    fn from_text(_: &str) -> Option<Result<Self, String>> {
        None
    }

    /// The value of a number, as [`Scalar::from_text`].
    fn from_number(_: i128) -> Option<Result<Self, String>> {
        None
    }
}

struct ScalarVisitor<T>(PhantomData<T>);

impl<T: Scalar> ScalarVisitor<T> {
    fn finish<E: Error>(&self, parsed: Option<Result<T, String>>) -> Result<T, E> {
        let unexpected = Unexpected::Other("value");
        match parsed {
            Some(Ok(value)) => Ok(value),
            Some(Err(reason)) if reason.is_empty() => Err(E::invalid_value(unexpected, self)),
            Some(Err(reason)) => Err(E::custom(format_args!("{reason} (expected {})", T::expected()))),
            None => Err(E::invalid_type(unexpected, self)),
        }
    }
}

impl<T: Scalar> Visitor<'_> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&T::expected())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        // Some parsers take more than linear time.
        let is_long = text.len() > MAX_TEXT;
        self.finish(if is_long { Some(Err(format!("{} bytes", text.len()))) } else { T::from_text(text) })
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<T, E> {
        self.finish(T::from_number(number))
    }
}

macro_rules! deserialize {
    ($name:ty $(, $generic:ident: $type:ty)*) => {
        impl<'de, $(const $generic: $type),*> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(ScalarVisitor(PhantomData))
            }
        }
    };
}

/// Defines newtypes of strings: name and type, what is expected, and the function that parses it.
macro_rules! texts {
    ($( $(#[$meta:meta])* $name:ident($inner:ty), $expected:literal, $parse:expr; )+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub(super) struct $name(pub(super) $inner);

        impl Scalar for $name {
            fn expected() -> String {
                $expected.to_owned()
            }

            fn from_text(text: &str) -> Option<Result<Self, String>> {
                let parse: fn(&str) -> Result<$inner, String> = $parse;
                Some(parse(text).map(Self))
            }
        }

        deserialize!($name);
    )+};
}

texts! {
    /// How TLS starts.
    Tls(TlsMode), "starttls or implicit", |text| one_of([TlsMode::StartTls, TlsMode::Implicit], TlsMode::as_str, text);
    /// The addresses that are used.
    Family(IpFamily), "auto, any, ipv4 or ipv6", |text| {
        one_of([IpFamily::Auto, IpFamily::Any, IpFamily::Ipv4, IpFamily::Ipv6], IpFamily::as_str, text)
    };
    /// The roots that a trust store starts with.
    RootSet(Roots), "system, mozilla or none", |text| {
        one_of([Roots::System, Roots::Mozilla, Roots::None], Roots::as_str, text)
    };
    /// The argument of EHLO.
    Ehlo(EhloName), "a name such as probe.example.net, or an address such as [192.0.2.1] or [IPv6:2001:db8::1]",
        |text| ehlo_name(text).ok_or_else(String::new);
    /// A host that can be connected to.
    Host(ServerName), "a host name or an IP address", |text| {
        server_name(text).and_then(|name| if name.ip().is_none_or(is_unicast) { Ok(name) } else { not_unicast() })
    };
    /// A domain whose DNS records list hosts.
    Domain(ServerName), "a domain", |text| match server_name(text) {
        Ok(name) if name.ip().is_some() => Err("an IP address".to_owned()),
        other => other,
    };
    /// A name or address that a certificate may list.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    CertName(ServerName), "a host name or an IP address", server_name;
    /// An address that can be connected to, never an IPv4-mapped one.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    Address(IpAddr), "an IP address such as 192.0.2.10 or 2001:db8::10", |text| {
        let ip = text.parse::<IpAddr>().map_err(|_| String::new())?.to_canonical();
        if is_unicast(ip) { Ok(ip) } else { not_unicast() }
    };
    /// A name server with its port.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    NameServer(SocketAddr),
        "an IP address with an optional port, such as 192.0.2.53, 192.0.2.53:5353 or \"[2001:db8::53]:5353\"",
        name_server;
    /// The name of a target.
    Name(TargetName), "a string of 1 to 255 bytes without control characters", |text| {
        let is_printable = text.len() <= 255 && !text.contains(char::is_control);
        TargetName::new(text).filter(|_| is_printable).ok_or_else(String::new)
    };
    /// The name of a label.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    LabelName(String), "a label name ([a-zA-Z_][a-zA-Z0-9_]*, not __*) that is not reserved", |text| {
        if !is_label_name(text) || text.starts_with("__") {
            Err(String::new())
        } else if is_reserved(text) {
            Err("reserved for Prometheus or this exporter".to_owned())
        } else {
            Ok(text.to_owned())
        }
    };
    /// The value of a label.
    LabelValue(String), "a string of at most 1024 bytes (numbers and booleans in quotes)", |text| {
        (text.len() <= MAX_LABEL).then(|| text.to_owned()).ok_or_else(String::new)
    };
    /// The name of a trust store that the file defines.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    StoreKey(String), "a name of 1 to 64 letters, digits, `.`, `_` and `-`, other than the built-in system and mozilla",
        |text| key(text, &BUILT_IN_STORES);
    /// The name of a resolver that the file defines.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    ResolverKey(String), "a name of 1 to 64 letters, digits, `.`, `_` and `-`, other than the built-in system",
        |text| key(text, &[BUILT_IN_RESOLVER]);
    /// The path of a file, as in the configuration.
    FilePath(PathBuf), "the path of a file", |text| path(text).map(PathBuf::from);
    /// A pattern of target files.
    Glob(String), "a glob pattern such as targets/*.yaml", |text| {
        glob::Pattern::new(text).map_err(|error| error.msg.to_owned())?;
        path(text).map(str::to_owned)
    };
    /// A pattern of targets that may be probed on request.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    Allowed(AllowPattern), "smtp.example.com, *.example.com or * (with or without :PORT), such a name after mx: or submission: \
                            (without), or a network such as 192.0.2.0/24",
        |text| text.parse().map_err(|error: TargetSpecError| error.to_string());
    /// A target of a group.
    Spec(TargetKind), "a target such as smtp.example.com, smtp.example.com:465, \"[2001:db8::1]:25\", mx:example.com or \
                       submission:example.com",
        |text| text.parse().map_err(|error: TargetSpecError| error.to_string());
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole<const MIN: u32, const MAX: u32>(pub(super) u32);

/// A TCP port.
pub(super) type Port = Whole<1, 65_535>;

impl<const MIN: u32, const MAX: u32> Scalar for Whole<MIN, MAX> {
    fn expected() -> String {
        format!("a number from {MIN} to {MAX}")
    }

    fn from_number(number: i128) -> Option<Result<Self, String>> {
        let allowed = u32::try_from(number).ok().filter(|number| (MIN..=MAX).contains(number));
        Some(allowed.map(Self).ok_or_else(String::new))
    }
}

deserialize!(Whole<MIN, MAX>, MIN: u32, MAX: u32);

/// The number of probes that run at the same time; none is `auto`.
pub(super) struct ConcurrentProbes(pub(super) Option<NonZeroUsize>);

impl Scalar for ConcurrentProbes {
    fn expected() -> String {
        "auto or a number from 1 to 100000".to_owned()
    }

    fn from_text(text: &str) -> Option<Result<Self, String>> {
        (text == "auto").then_some(Ok(Self(None)))
    }

    fn from_number(number: i128) -> Option<Result<Self, String>> {
        let allowed = usize::try_from(number).ok().filter(|number| *number <= 100_000).and_then(NonZeroUsize::new);
        Some(allowed.map(|number| Self(Some(number))).ok_or_else(String::new))
    }
}

deserialize!(ConcurrentProbes);

/// A duration from `MIN` to `MAX` milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<const MIN: u64, const MAX: u64>(pub(super) Duration);

/// The time from one round to the next.
pub(super) type Interval = Span<1_000, YEAR>;
/// The maximum duration of a probe, or of a part of it.
pub(super) type Timeout = Span<1, 3_600_000>;
/// How long something is kept.
pub(super) type Retention = Span<0, YEAR>;

impl<const MIN: u64, const MAX: u64> Scalar for Span<MIN, MAX> {
    fn expected() -> String {
        let [min, max] = [MIN, MAX].map(|millis| duration::format(Duration::from_millis(millis)));
        format!("a duration from {min} to {max}, such as 90s or 1h30m")
    }

    fn from_text(text: &str) -> Option<Result<Self, String>> {
        let range = Duration::from_millis(MIN)..=Duration::from_millis(MAX);
        let allowed = duration::parse(text).filter(|duration| range.contains(duration));
        Some(allowed.map(Self).ok_or_else(String::new))
    }

    fn from_number(number: i128) -> Option<Result<Self, String>> {
        (number == 0 && MIN == 0).then_some(Ok(Self(Duration::ZERO)))
    }
}

deserialize!(Span<MIN, MAX>, MIN: u64, MAX: u64);

/// A list without equal values.
#[derive(Clone, Debug)]
pub(super) struct UniqueVec<T>(pub(super) Vec<T>);

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
        write!(f, "{} or a list of them", T::expected())
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
    match server.ip().to_canonical() {
        _ if server.port() == 0 => Err("port 0".to_owned()),
        ip if is_unicast(ip) => Ok(SocketAddr::new(ip, server.port())),
        _ => not_unicast(),
    }
}

fn not_unicast<T>() -> Result<T, String> {
    Err("not a unicast address".to_owned())
}

fn key(text: &str, built_in: &[&str]) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_key = (1..=64).contains(&text.len()) && text.bytes().all(is_allowed);
    (is_key && !built_in.contains(&text)).then(|| text.to_owned()).ok_or_else(String::new)
}

fn path(text: &str) -> Result<&str, String> {
    if text.is_empty() || text.contains('\0') { Err(String::new()) } else { Ok(text) }
}

/// Whether Prometheus accepts `name` as a label name without quotes.
pub(super) fn is_label_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a label is one that Prometheus or the exporter sets.
pub(super) fn is_reserved(name: &str) -> bool {
    table::PROMETHEUS_LABELS.contains(&name) || table::reserved_labels().any(|label| label == name)
}

/// Whether the value looks like a reference to an environment variable.
pub(super) fn is_variable(text: &str) -> bool {
    text.match_indices('$').any(|(at, _)| {
        let rest = text.get(at + 1..).unwrap_or_default();
        let name = match rest.strip_prefix('{') {
            Some(rest) => rest.split_once('}').map(|(name, _)| name),
            None if at == 0 => Some(rest),
            None => None,
        };
        name.is_some_and(is_label_name)
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
const YEAR: u64 = 365 * 24 * 3600 * 1000;
