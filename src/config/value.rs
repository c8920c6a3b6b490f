//! How values are read from YAML: scalars, lists without repetition, mappings without repetition.
//!
//! All parsing happens while the value is visited: only then does an error carry its path, line and column.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::error::{ErrorKind, message, quoted};

/// A type that stands in the file as one scalar.
pub(super) trait Scalar: Sized {
    /// What is allowed, as the end of the message "found …, expected …".
    const ALLOWED: &'static str;

    fn from_text(_: &str) -> Result<Self, Refusal> {
        Err(Refusal::Type)
    }

    fn from_number(_: u64) -> Result<Self, Refusal> {
        Err(Refusal::Type)
    }

    fn from_flag(_: bool) -> Result<Self, Refusal> {
        Err(Refusal::Type)
    }
}

/// Why a scalar is not taken.
pub(super) enum Refusal {
    /// Its YAML type is wrong.
    Type,
    /// Its value is wrong.
    Value,
    /// Its value is wrong for a reason that is worth a word.
    Because(String),
}

/// Reads a scalar.
pub(super) fn scalar<'de, T: Scalar, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Fresh { taken: &|_: &T| false, kind: "" }.deserialize(deserializer)
}

/// Reads a scalar from a text that was visited already.
pub(super) fn text<T: Scalar, E: Error>(text: &str) -> Result<T, E> {
    Fresh { taken: &|_: &T| false, kind: "" }.visit_str(text)
}

/// Reads an optional key: it may be left out, not left blank.
pub(super) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A list in which no value stands twice.
#[derive(Clone)]
pub(super) struct Distinct<T>(pub(super) Vec<T>);

impl<'de, T: Scalar + Clone + Ord> Deserialize<'de> for Distinct<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(DistinctVisitor(PhantomData))
    }
}

struct DistinctVisitor<T>(PhantomData<T>);

impl<'de, T: Scalar + Clone + Ord> Visitor<'de> for DistinctVisitor<T> {
    type Value = Distinct<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        let mut seen = BTreeSet::new();
        while let Some(value) = list.next_element_seed(Fresh { taken: &|value| seen.contains(value), kind: "value" })? {
            seen.insert(T::clone(&value));
            values.push(value);
        }
        Ok(Distinct(values))
    }
}

/// A mapping with keys of the user's choice, none of which stands twice.
pub(super) struct Entries<K, V>(pub(super) BTreeMap<K, V>);

impl<K, V> Default for Entries<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, K: Scalar + Ord, V: Deserialize<'de>> Deserialize<'de> for Entries<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<K, V>(PhantomData<(K, V)>);

impl<'de, K: Scalar + Ord, V: Deserialize<'de>> Visitor<'de> for EntriesVisitor<K, V> {
    type Value = Entries<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping of names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(key) = map.next_key_seed(Fresh { taken: &|key| entries.contains_key(key), kind: "key" })? {
            let value = map.next_value()?;
            entries.insert(key, value);
        }
        Ok(Entries(entries))
    }
}

/// Reads a scalar that must not be one of those that stand there already.
struct Fresh<'a, T> {
    taken: &'a dyn Fn(&T) -> bool,
    /// What it is: `key` or `value`.
    kind: &'static str,
}

impl<'de, T: Scalar> DeserializeSeed<'de> for Fresh<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T: Scalar> Fresh<'_, T> {
    /// `shown` is the value in messages, `typed` the same with its YAML type.
    fn judge<E: Error>(self, value: Result<T, Refusal>, shown: &str, typed: &str) -> Result<T, E> {
        let kind = self.kind;
        let (error, message) = match value {
            Ok(value) if (self.taken)(&value) => {
                let message = message(format_args!("the {kind} {shown} twice"), format_args!("each {kind} once"));
                (ErrorKind::Duplicate, message)
            }
            Ok(value) => return Ok(value),
            Err(Refusal::Type) => (ErrorKind::WrongType, message(typed, T::ALLOWED)),
            Err(Refusal::Value) => (ErrorKind::InvalidValue, message(shown, T::ALLOWED)),
            Err(Refusal::Because(reason)) => {
                (ErrorKind::InvalidValue, message(format_args!("{shown} ({reason})"), T::ALLOWED))
            }
        };
        Err(E::custom(error.tag(&message)))
    }

    /// Refuses an integer that `u64` cannot hold: its type is wrong only where no number is allowed.
    fn out_of_range<E: Error>(self, number: impl fmt::Display) -> Result<T, E> {
        let typed = format!("the number {number}");
        let refusal = match T::from_number(u64::MAX) {
            Err(Refusal::Type) => Refusal::Type,
            _ => Refusal::Value,
        };
        self.judge(Err(refusal), &typed, &typed)
    }
}

impl<'de, T: Scalar> Visitor<'de> for Fresh<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::ALLOWED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        let bytes = text.len();
        if bytes > MAX_TEXT {
            return self.judge(Err(Refusal::Value), &format!("a string of {bytes} bytes"), "");
        }
        let shown = quoted(text);
        self.judge(T::from_text(text), &shown, &format!("the string {shown}"))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.judge(T::from_number(number), &number.to_string(), &format!("the number {number}"))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.out_of_range(number)
    }

    fn visit_u128<E: Error>(self, number: u128) -> Result<T, E> {
        self.out_of_range(number)
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<T, E> {
        self.out_of_range(number)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        self.judge(Err(Refusal::Type), "", &format!("the number {number}"))
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<T, E> {
        self.judge(T::from_flag(flag), &flag.to_string(), &format!("the boolean {flag}"))
    }
}

/// Octets of a text beyond which nothing is parsed: some parsers take time that is more than linear.
const MAX_TEXT: usize = 4096;
