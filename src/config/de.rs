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
        Reader { node: self, known: None }.read(place)
    }

    /// Deserializes two structs from this mapping, each of which takes its own keys.
    pub(super) fn read_both<'a, A, B>(&'a self, place: &Place) -> Result<(A, B), Fault>
    where
        A: Deserialize<'a>,
        B: Deserialize<'a>,
    {
        let known = RefCell::default();
        let reader = Reader { node: self, known: Some(&known) };
        let both = (reader.read(place)?, reader.read(place)?);
        let unknown = reader.entries().map(|(key, _)| key.0).find(|key| !known.borrow().contains(key));
        let Some(key) = unknown else { return Ok(both) };
        let message = unknown_key(key, &known.borrow());
        Err(Fault { key: Some(key.to_owned()), ..Fault::new(ErrorKind::UnknownKey, place.clone(), message) })
    }
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    format!("unknown key {}: {}", quoted(key), suggestion(key, known))
}

/// Why a value does not have the type that is read, without the value.
#[derive(Debug)]
pub(super) struct Mismatch {
    kind: ErrorKind,
    message: String,
    /// Whether a key is at fault, not a value.
    in_key: bool,
}

impl Mismatch {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), in_key: false }
    }

    /// The fault for this mismatch on the `path` in `node`, which is at `place`.
    fn fault(self, node: &Node, mut place: Place, path: &serde_path_to_error::Path) -> Fault {
        let mut steps: Vec<_> = path
            .iter()
            .filter_map(|segment| match segment {
                Segment::Seq { index } => Some(Step::Index(*index)),
                Segment::Map { key } => Some(Step::Key(key.clone())),
                Segment::Enum { .. } | Segment::Unknown => None,
            })
            .collect();
        let key = steps.pop_if(|_| self.in_key).map(|key| key.to_string());
        let value = match &key {
            Some(key) => &Node::Text(key.clone()),
            None => steps.iter().try_fold(node, |node, step| node.get(step)).unwrap_or(&Node::Null),
        };
        let message = match self.kind {
            ErrorKind::WrongType => format!("invalid type: expected {}, got {}", self.message, value.described()),
            ErrorKind::Duplicate => format!("duplicate value {}", quoted(&value.text())),
            ErrorKind::InvalidValue => format!("invalid value {}: {}", quoted(&value.text()), self.message),
            _ => self.message,
        };
        place.0.extend(steps);
        Fault { key, ..Fault::new(self.kind, place, message) }
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
        Self::new(ErrorKind::InvalidValue, message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = match expected.to_string() {
            text if text == "a sequence" => "a list".to_owned(),
            text if text == "a map" => "a mapping".to_owned(),
            text => text,
        };
        Self::new(ErrorKind::WrongType, expected)
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(ErrorKind::InvalidValue, format!("expected {expected}"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(ErrorKind::UnknownKey, unknown_key(field, expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(ErrorKind::Missing, format!("missing key `{field}`"))
    }

    fn duplicate_field(_: &'static str) -> Self {
        Self::new(ErrorKind::Duplicate, "")
    }
}

/// A value that is being read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a, 'k> {
    node: &'a Node,
    /// If structs take only their own keys from the mapping: the keys that were taken.
    known: Option<&'k RefCell<Vec<&'static str>>>,
}

impl<'a> Reader<'a, '_> {
    fn read<T: Deserialize<'a>>(self, place: &Place) -> Result<T, Fault> {
        let mut track = Track::new();
        let result = T::deserialize(serde_path_to_error::Deserializer::new(self, &mut track));
        result.map_err(|mismatch| mismatch.fault(self.node, place.clone(), &track.path()))
    }

    fn entries(self) -> impl Iterator<Item = (Key<'a>, &'a Node)> {
        let entries = if let Node::Map(entries) = self.node { entries.as_slice() } else { &[] };
        entries.iter().map(|(key, value)| (Key(key), value))
    }
}

impl<'de> Deserializer<'de> for Reader<'de, '_> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.node {
            Node::Null => visitor.visit_unit(),
            Node::Bool(flag) => visitor.visit_bool(*flag),
            Node::Integer(number) => visitor.visit_i128(*number),
            Node::Float(number) => visitor.visit_f64(*number),
            Node::Text(text) => visitor.visit_borrowed_str(text),
            Node::List(items) => visitor.visit_seq(SeqDeserializer::new(items.iter())),
            Node::Map(_) => visitor.visit_map(MapDeserializer::new(self.entries())),
        }
    }

    /// A key that is there has a value: a blank one is an error of its type.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.node {
            Node::Null => visitor.visit_seq(SeqDeserializer::new([(); 0].into_iter())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.node {
            Node::Null => visitor.visit_map(MapDeserializer::new(self.entries())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match (self.node, self.known) {
            // A struct would take the elements as its fields.
            (Node::List(_), _) => Err(Mismatch::invalid_type(Unexpected::Seq, &visitor)),
            (Node::Map(_), Some(known)) => {
                known.borrow_mut().extend(fields);
                visitor.visit_map(MapDeserializer::new(self.entries().filter(|(key, _)| fields.contains(&key.0))))
            }
            _ => self.deserialize_map(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        newtype_struct tuple_struct enum identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Mismatch> for &'de Node {
    type Deserializer = Reader<'de, 'static>;

    fn into_deserializer(self) -> Self::Deserializer {
        Reader { node: self, known: None }
    }
}

/// A key of a mapping.
struct Key<'a>(&'a str);

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_borrowed_str(self.0).map_err(|mismatch: Mismatch| Mismatch { in_key: true, ..mismatch })
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
