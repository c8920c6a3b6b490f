//! From a tree of YAML values to types that implement [`Deserialize`], with errors that have a kind and a place.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserialize, Deserializer, Error, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_path_to_error::{Segment, Track};

use super::error::{ErrorKind, Fault, Place, Step, quoted, suggestion};
use super::yaml::Node;

impl Node {
    /// Deserializes this value, which is at `place`.
    pub(super) fn read<'a, T: Deserialize<'a>>(&'a self, place: &Place) -> Result<T, Fault> {
        read(self, place)
    }

    /// Deserializes two structs from this mapping, each of which takes its own keys.
    pub(super) fn read_both<'a, A, B>(&'a self, place: &Place) -> Result<(A, B), Fault>
    where
        A: Deserialize<'a>,
        B: Deserialize<'a>,
    {
        let known = RefCell::default();
        let part = Part { node: self, known: &known };
        let both = (read(part, place)?, read(part, place)?);
        let known = known.into_inner();
        let Self::Map(entries) = self else { return Ok(both) };
        match entries.iter().map(|(key, _)| key.clone()).find(|key| !known.contains(&key.as_str())) {
            None => Ok(both),
            Some(key) => {
                let fault = Fault::new(ErrorKind::UnknownKey, place.clone(), unknown_key(&key, &known));
                Err(Fault { key: Some(key), ..fault })
            }
        }
    }
}

fn read<'a, T: Deserialize<'a>>(source: impl Deserializer<'a, Error = Mismatch>, place: &Place) -> Result<T, Fault> {
    let mut track = Track::new();
    let result = T::deserialize(serde_path_to_error::Deserializer::new(source, &mut track));
    result.map_err(|Mismatch { kind, message, key, .. }| {
        let path = track.path();
        // The path of a fault in a key ends with the key.
        let steps = path.iter().take(path.iter().len() - usize::from(key.is_some()));
        let steps = steps.filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        let place = Place(place.0.iter().cloned().chain(steps).collect());
        Fault { key, ..Fault::new(kind, place, message) }
    })
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    format!("unknown key {}: {}", quoted(key), suggestion(key, known))
}

/// Why a value does not have the type that is read.
#[derive(Debug)]
pub(super) struct Mismatch {
    kind: ErrorKind,
    /// Lacks the value unless `is_complete` is set.
    message: String,
    is_complete: bool,
    /// The key that is at fault, if it is not a value.
    key: Option<String>,
}

impl Mismatch {
    fn new(kind: ErrorKind, message: impl Into<String>, is_complete: bool) -> Self {
        Self { kind, message: message.into(), is_complete, key: None }
    }

    /// The same for `node`, unless the value within it is known already.
    fn of(mut self, node: &Node) -> Self {
        if !self.is_complete {
            self.is_complete = true;
            self.message = match self.kind {
                ErrorKind::WrongType => format!("invalid type: expected {}, got {}", self.message, node.described()),
                ErrorKind::Duplicate => format!("duplicate value {}", quoted(&node.text())),
                _ => format!("invalid value {}: {}", quoted(&node.text()), self.message),
            };
        }
        self
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mismatch {}

impl Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(ErrorKind::InvalidValue, message.to_string(), false)
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = match expected.to_string() {
            text if text == "a sequence" => "a list".to_owned(),
            text if text == "a map" => "a mapping".to_owned(),
            text if text == "field identifier" => "a string".to_owned(),
            text => text,
        };
        Self::new(ErrorKind::WrongType, expected, false)
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(ErrorKind::InvalidValue, format!("expected {expected}"), false)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(ErrorKind::UnknownKey, unknown_key(field, expected), true)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(ErrorKind::Missing, format!("missing key `{field}`"), true)
    }

    fn duplicate_field(_: &'static str) -> Self {
        Self::new(ErrorKind::Duplicate, "", false)
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        let result = match self {
            Node::Null => visitor.visit_unit(),
            Node::Bool(flag) => visitor.visit_bool(*flag),
            Node::Integer(number) => visitor.visit_i128(*number),
            Node::Float(number) => visitor.visit_f64(*number),
            Node::Text(text) => visitor.visit_borrowed_str(text),
            Node::List(items) => visitor.visit_seq(SeqDeserializer::new(items.iter())),
            Node::Map(entries) => {
                visitor.visit_map(MapDeserializer::new(entries.iter().map(|(key, value)| (Key(key), value))))
            }
        };
        result.map_err(|mismatch| mismatch.of(self))
    }

    /// A key that is there has a value: a blank one is an error of its type.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self).map_err(|mismatch| mismatch.of(self))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self {
            Node::Null => visitor.visit_seq(SeqDeserializer::new([(); 0].into_iter())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self {
            Node::Null => visitor.visit_map(MapDeserializer::new([((), ()); 0].into_iter())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self {
            // A struct would take the elements as its fields.
            Node::List(_) => Err(Mismatch::invalid_type(Unexpected::Seq, &visitor).of(self)),
            _ => self.deserialize_map(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct enum identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Mismatch> for &'de Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A key of a mapping.
struct Key<'a>(&'a str);

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_borrowed_str(self.0).map_err(|mismatch: Mismatch| {
            let key = Some(self.0.to_owned());
            Mismatch { key, ..mismatch.of(&Node::Text(self.0.to_owned())) }
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple seq
        map struct tuple_struct enum identifier ignored_any option newtype_struct
    }
}

impl<'de> IntoDeserializer<'de, Mismatch> for Key<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A mapping of which a struct takes its own keys.
#[derive(Clone, Copy)]
struct Part<'a, 'k> {
    node: &'a Node,
    /// The keys that were taken.
    known: &'k RefCell<Vec<&'static str>>,
}

impl<'de> Deserializer<'de> for Part<'de, '_> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.node.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.known.borrow_mut().extend(fields);
        let entries = match self.node {
            Node::Map(entries) => entries.as_slice(),
            Node::Null => &[],
            _ => return Err(Mismatch::invalid_type(Unexpected::Other(""), &visitor).of(self.node)),
        };
        let own = entries.iter().filter(|(key, _)| fields.contains(&key.as_str()));
        let own = MapDeserializer::new(own.map(|(key, value)| (Key(key), value)));
        visitor.visit_map(own).map_err(|mismatch| mismatch.of(self.node))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple seq
        map tuple_struct enum ignored_any option newtype_struct identifier
    }
}
