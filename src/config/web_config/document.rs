//! The keys of the web configuration, as they are written.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::config::error::{ErrorKind, Fault, Place, quoted, suggestion};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct Document {
    pub(super) tls_server_config: TlsKeys,
    pub(super) http_server_config: HttpKeys,
    pub(super) basic_auth_users: BTreeMap<String, Written>,
    pub(super) rate_limit: RateLimitKeys,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct TlsKeys {
    pub(super) cert: Written,
    pub(super) cert_file: Written,
    pub(super) key: Written,
    pub(super) key_file: Written,
    pub(super) client_ca: Written,
    pub(super) client_ca_file: Written,
    pub(super) client_auth_type: Written,
    pub(super) client_allowed_sans: Vec<Written>,
    pub(super) min_version: Written,
    pub(super) max_version: Written,
    pub(super) cipher_suites: Vec<Written>,
    pub(super) curve_preferences: Vec<Written>,
    pub(super) prefer_server_cipher_suites: Written,
}

impl TlsKeys {
    /// Whether a key is set that turns TLS on, as in the exporter toolkit of Prometheus.
    pub(super) fn is_enabled(&self) -> bool {
        let keys = [
            &self.cert,
            &self.cert_file,
            &self.key,
            &self.key_file,
            &self.client_ca,
            &self.client_ca_file,
            &self.client_auth_type,
        ];
        keys.into_iter().any(Written::is_set)
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct HttpKeys {
    pub(super) http2: Written,
    pub(super) headers: BTreeMap<String, Written>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct RateLimitKeys {
    pub(super) interval: Written,
    pub(super) burst: Written,
}

/// A scalar. The parser of the toolkit takes numbers and booleans for strings, and a key without a value for an absent one.
#[derive(Clone, Default, PartialEq)]
pub(super) enum Written {
    #[default]
    Nothing,
    Flag(bool),
    Number(i128),
    Float(f64),
    Text(String),
}

impl Written {
    /// Whether there is a value, and it is not the empty string.
    pub(super) fn is_set(&self) -> bool {
        !matches!(self, Self::Nothing) && !matches!(self, Self::Text(text) if text.is_empty())
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    /// A boolean, also as it is written in YAML 1.1; none without a value.
    pub(super) fn flag(&self, place: &Place) -> Result<Option<bool>, Fault> {
        match self {
            Self::Nothing => Ok(None),
            Self::Flag(flag) => Ok(Some(*flag)),
            Self::Text(text) if is_one_of(text, ["y", "yes", "on"]) => Ok(Some(true)),
            Self::Text(text) if is_one_of(text, ["n", "no", "off"]) => Ok(Some(false)),
            other => Err(invalid(place, &other.text(), "expected true or false")),
        }
    }

    /// A whole number; 0 without a value.
    pub(super) fn whole(&self, place: &Place) -> Result<i64, Fault> {
        let number = match self {
            Self::Nothing => Some(0),
            Self::Number(number) => i64::try_from(*number).ok(),
            Self::Flag(_) | Self::Float(_) | Self::Text(_) => None,
        };
        number.ok_or_else(|| invalid(place, &self.text(), "expected a whole number"))
    }

    /// A duration as Go writes it; zero without a value.
    pub(super) fn duration(&self, place: &Place) -> Result<Duration, Fault> {
        let duration = match self {
            Self::Nothing | Self::Number(0) => Some(Duration::ZERO),
            Self::Text(text) => go_duration(text),
            Self::Flag(_) | Self::Number(_) | Self::Float(_) => None,
        };
        let expected = "expected a duration with a unit, such as 1s, 1.5s, 500ms or 1m30s";
        duration.ok_or_else(|| invalid(place, &self.text(), expected))
    }

    /// One of these values; none without a value.
    pub(super) fn choice<T: Copy>(&self, place: &Place, options: &[(&str, T)]) -> Result<Option<T>, Fault> {
        if !self.is_set() {
            return Ok(None);
        }
        let text = self.text();
        let found = options.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        let names: Vec<_> = options.iter().map(|(name, _)| *name).collect();
        found.map(Some).ok_or_else(|| unknown(place, &text, &names))
    }
}

/// The fault of a value that is none of `names`.
pub(super) fn unknown(place: &Place, text: &str, names: &[&str]) -> Fault {
    match NOT_SUPPORTED.contains(&text) {
        true => invalid(place, text, &format!("not supported; expected one of {}", names.join(", "))),
        false => invalid(place, text, &suggestion(text, names)),
    }
}

pub(super) fn invalid(place: &Place, text: &str, expected: &str) -> Fault {
    Fault::new(ErrorKind::InvalidValue, place.clone(), format!("invalid value {}: {expected}", quoted(text)))
}

fn is_one_of<const N: usize>(text: &str, words: [&str; N]) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// Parses a duration of Go's package `time`, which is not negative: decimal numbers with units, or `0`.
fn go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut seconds = 0_f64;
    while !rest.is_empty() {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let (number, after) = rest.split_at(rest.find(|c| !is_number(c))?);
        let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let (_, scale) = GO_UNITS.iter().find(|(name, _)| *name == unit)?;
        seconds += number.parse::<f64>().ok()? * scale;
        rest = after;
    }
    let is_empty = text.is_empty() || text == "+";
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| !is_empty && *duration <= MAX_GO_DURATION)
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor)
    }
}

struct WrittenVisitor;

impl Visitor<'_> for WrittenVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a single value")
    }

    fn visit_unit<E: Error>(self) -> Result<Written, E> {
        Ok(Written::Nothing)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Written, E> {
        Ok(Written::Flag(flag))
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<Written, E> {
        Ok(Written::Number(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Written, E> {
        Ok(Written::Float(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Written, E> {
        Ok(Written::Text(text.to_owned()))
    }
}

/// Values that the toolkit accepts: versions before TLS 1.2 (RFC 8996), and what rustls does not implement.
const NOT_SUPPORTED: [&str; 11] = [
    "TLS10",
    "TLS11",
    "CurveP521",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
];
/// Units of Go's package `time`, in seconds. Both spellings of microseconds in Unicode are accepted.
const GO_UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("\u{b5}s", 1e-6),
    ("\u{3bc}s", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];
/// Go counts nanoseconds in 64 bits.
const MAX_GO_DURATION: Duration = Duration::from_nanos(i64::MAX.unsigned_abs());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_as_go_does() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(go_duration(text), expected.map(Duration::from_micros), "{text:?}");
        };
        check("0", Some(0));
        check("0s", Some(0));
        check("1s", Some(1_000_000));
        check("+1s", Some(1_000_000));
        check("1.5s", Some(1_500_000));
        check(".5s", Some(500_000));
        check("1.s", Some(1_000_000));
        check("500ms", Some(500_000));
        check("20us", Some(20));
        check("20µs", Some(20));
        check("1m30s", Some(90_000_000));
        check("30s1m", Some(90_000_000));
        check("1h", Some(3_600_000_000));
        check("", None);
        check("+", None);
        check("1", None);
        check("s", None);
        check(".s", None);
        check("1d", None);
        check("-1s", None);
        check("1..5s", None);
        check("1 s", None);
        check("infs", None);
        check("9999999h", None);
    }
}
