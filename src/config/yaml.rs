//! From a file to a tree of YAML values, and back from a place in the tree to its line and column.
//!
//! serde_yaml has no positions in its values, but its errors have: a second walk over the text raises an error at the
//! place that is sought.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::{ErrorKind, Fault, Place, Step, quoted};
use super::nesting;
use crate::file;

/// A value of a document. Merge keys (`<<`) are resolved.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Node {
    /// The value with its type, in words.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(flag) => format!("the boolean {flag}"),
            Self::Integer(number) => format!("the number {number}"),
            Self::Float(number) => format!("the number {number}"),
            Self::Text(text) => format!("the string {}", quoted(text).replace('`', "\"")),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }

    /// The text of a scalar; the type of anything else.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Bool(flag) => flag.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::Null | Self::List(_) | Self::Map(_) => self.described(),
        }
    }

    /// The elements of the list that is the value of `key`; none if there is no such list.
    pub(super) fn list(&self, key: &str) -> &[Self] {
        let Self::Map(entries) = self else { return &[] };
        match entries.iter().find(|(name, _)| name == key) {
            Some((_, Self::List(items))) => items,
            _ => &[],
        }
    }

    /// Calls `visit` with each string below `place`.
    pub(super) fn each_text(&self, place: &Place, visit: &mut impl FnMut(&Place, &str)) {
        match self {
            Self::Text(text) => visit(place, text),
            Self::List(items) => {
                items.iter().enumerate().for_each(|(index, item)| item.each_text(&place.index(index), visit));
            }
            Self::Map(entries) => {
                entries.iter().for_each(|(key, value)| value.each_text(&place.key(key), visit));
            }
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Float(_) => {}
        }
    }
}

/// The text of the file at `path`, without a byte order mark.
pub(super) fn read(path: &Path) -> Result<String, Fault> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::FileTooLarge => Fault::of_file(ErrorKind::TooLarge, "file too large: expected at most 16 MiB"),
        io::ErrorKind::NotFound => Fault::of_file(ErrorKind::File, "file not found"),
        io::ErrorKind::IsADirectory => Fault::of_file(ErrorKind::File, "expected a file, got a directory"),
        io::ErrorKind::PermissionDenied => Fault::of_file(ErrorKind::File, "permission denied"),
        _ => Fault::of_file(ErrorKind::File, format!("cannot be read: {error}")),
    };
    let bytes = file::read(path, MAX_FILE).map_err(unreadable)?;
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).map(<[u8]>::to_vec).unwrap_or(bytes);
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        syntax("invalid UTF-8", String::from_utf8_lossy(before).as_ref())
    })
}

/// The first document in `text`, and whether there are more. The values of labels are strings if `raw_labels` is set.
pub(super) fn parse(text: &str, raw_labels: bool) -> Result<(Node, bool), Fault> {
    nesting::check(text)?;
    let is_control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    if let Some((before, _)) = text.split_once(is_control) {
        return Err(syntax("invalid YAML: control characters are not allowed", before));
    }
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let Some(document) = documents.next() else { return Ok((Node::Null, false)) };
    let budget = text.len().saturating_mul(SIZE_FACTOR).saturating_add(MAX_EXPANDED);
    let mut builder = Builder { raw_labels, budget, ..Builder::default() };
    let node = builder.seed(Mode::Any).deserialize(document).map_err(|error| {
        let fault = builder.fault.take().unwrap_or_else(|| yaml_fault(&error, &builder.place));
        Fault { position: error.location().map(|at| (at.line(), at.column())), ..fault }
    })?;
    Ok((node, documents.next().is_some()))
}

/// A fault at the end of `before`.
fn syntax(message: &str, before: &str) -> Fault {
    let (lines, line) = (before.matches('\n').count(), before.rsplit('\n').next().unwrap_or_default());
    let position = Some((lines + 1, line.chars().count() + 1));
    Fault { position, ..Fault::of_file(ErrorKind::Syntax, message) }
}

/// The fault for an error of the parser.
fn yaml_fault(error: &serde_yaml::Error, place: &Place) -> Fault {
    let text = error.to_string();
    if text.contains(": invalid type: ") {
        return Fault::new(ErrorKind::WrongType, place.clone(), "invalid type: expected a string");
    }
    if text == REPETITIONS {
        return Fault::of_file(
            ErrorKind::TooLarge,
            "too many aliases: expected at most 100 for each value in the file",
        );
    }
    let at = error.location().map(|at| format!(" at line {} column {}", at.line(), at.column())).unwrap_or_default();
    Fault::of_file(ErrorKind::Syntax, format!("invalid YAML: {}", text.replacen(&at, "", 1)))
}

/// Builds a tree and keeps its size within bounds.
#[derive(Default)]
struct Builder {
    /// What may be added to the tree: each value counts [`NODE_SIZE`] and its text, as often as an alias repeats it.
    budget: usize,
    raw_labels: bool,
    /// The place of the value that is being read.
    place: Place,
    /// Why building failed.
    fault: Option<Fault>,
}

/// How scalars are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// By their YAML type.
    Any,
    /// The mapping below is one of labels: its values are read as they are written.
    Labels,
    /// As it is written: `1.10` is not a number.
    Raw,
}

struct Seed<'a> {
    builder: &'a mut Builder,
    mode: Mode,
    /// The keys that the mapping has already, if the value is a key.
    keys: Option<&'a mut HashSet<String>>,
}

impl Builder {
    fn seed(&mut self, mode: Mode) -> Seed<'_> {
        Seed { builder: self, mode, keys: None }
    }

    fn fail<T, E: Error>(&mut self, kind: ErrorKind, message: impl Into<String>) -> Result<T, E> {
        self.fault = Some(Fault::new(kind, self.place.clone(), message));
        Err(E::custom(""))
    }

    fn spend<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        let Some(rest) = self.budget.checked_sub(NODE_SIZE + bytes) else {
            return self.fail_whole("aliases repeat too much: expected at most 16 MiB of repeated values");
        };
        self.budget = rest;
        Ok(())
    }

    fn enter<E: Error>(&mut self, step: Step) -> Result<(), E> {
        if self.place.0.len() == nesting::MAX_DEPTH {
            return self.fail_whole("nested too deep: expected at most 64 levels");
        }
        self.place.0.push(step);
        Ok(())
    }

    fn fail_whole<E: Error>(&mut self, message: &str) -> Result<(), E> {
        self.place = Place::default();
        self.fail(ErrorKind::TooLarge, message)
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        match self.mode {
            Mode::Raw => deserializer.deserialize_option(self),
            Mode::Any | Mode::Labels => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        self.scalar(Node::Null, 0)
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        let node = if self.mode == Mode::Raw { Node::Text(String::new()) } else { Node::Null };
        self.scalar(node, 0)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_str(self)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Node, E> {
        self.scalar(Node::Bool(flag), 0)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Node, E> {
        self.scalar(Node::Integer(number.into()), 0)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Node, E> {
        self.scalar(Node::Integer(number.into()), 0)
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<Node, E> {
        self.scalar(Node::Integer(number), 0)
    }

    fn visit_u128<E: Error>(self, number: u128) -> Result<Node, E> {
        self.scalar(i128::try_from(number).map_or(Node::Float(number as f64), Node::Integer), 0)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Node, E> {
        self.scalar(Node::Float(number), 0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        self.scalar(Node::Text(text.to_owned()), text.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        self.builder.spend(0)?;
        let mut items = Vec::new();
        loop {
            self.builder.enter(Step::Index(items.len()))?;
            let Some(item) = list.next_element_seed(self.builder.seed(self.mode))? else { break };
            self.builder.place.0.pop();
            items.push(item);
        }
        self.builder.place.0.pop();
        self.finish(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let builder = &mut *self.builder;
        builder.spend(0)?;
        let mut entries = Vec::new();
        let mut merged = Vec::new();
        let mut keys = HashSet::new();
        loop {
            let key = Seed { builder: &mut *builder, mode: Mode::Any, keys: Some(&mut keys) };
            let Some(key) = map.next_key_seed(key)?.map(|key| key.text()) else { break };
            let mode = match self.mode {
                _ if key == MERGE => self.mode,
                Mode::Labels => Mode::Raw,
                _ if builder.raw_labels && key == "labels" => Mode::Labels,
                _ => Mode::Any,
            };
            builder.enter(Step::Key(key.clone()))?;
            let value = map.next_value_seed(builder.seed(mode))?;
            if key != MERGE {
                entries.push((key, value));
            } else if !merge(value, &mut merged) {
                return builder.fail(ErrorKind::WrongType, "invalid merge: expected a mapping or a list of mappings");
            }
            builder.place.0.pop();
        }
        merged.retain(|(key, _)| keys.insert(key.clone()));
        entries.extend(merged);
        self.finish(Node::Map(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Node, A::Error> {
        self.builder.fail(ErrorKind::WrongType, "invalid type: got a value with a tag")
    }
}

impl Seed<'_> {
    fn scalar<E: Error>(self, node: Node, bytes: usize) -> Result<Node, E> {
        self.builder.spend(bytes)?;
        self.finish(node)
    }

    fn finish<E: Error>(self, node: Node) -> Result<Node, E> {
        let Some(keys) = self.keys else { return Ok(node) };
        if matches!(node, Node::List(_) | Node::Map(_)) {
            let message = format!("invalid type: expected a string as key, got {}", node.described());
            return self.builder.fail(ErrorKind::WrongType, message);
        }
        if keys.insert(node.text()) {
            return Ok(node);
        }
        self.builder.fail(ErrorKind::Duplicate, format!("duplicate key {}", quoted(&node.text())))
    }
}

/// Adds the entries that the value of a merge key contributes. False if it is not a mapping or a list of them.
fn merge(value: Node, entries: &mut Vec<(String, Node)>) -> bool {
    match value {
        Node::Map(map) => {
            entries.extend(map);
            true
        }
        Node::List(maps) => maps.into_iter().all(|map| matches!(map, Node::Map(_)) && merge(map, entries)),
        _ => false,
    }
}

/// Line and column, from 1, of the value at `place`, or of `key` in the mapping there. A merged key is where its mapping
/// is anchored.
pub(super) fn position(text: &str, place: &Place, key: Option<&str>) -> Option<(usize, usize)> {
    let mut steps: Vec<_> = place.0.iter().map(Seek::Step).chain(key.map(Seek::Key)).collect();
    // Keys of the mapping itself hide merged ones, so that a merge is only looked into if the key is not there.
    loop {
        let mut reached = 0;
        let document = serde_yaml::Deserializer::from_str(text).next()?;
        match (Finder { steps: &steps, depth: 0, reached: &mut reached }).deserialize(document) {
            Err(error) => return error.location().map(|at| (at.line(), at.column())),
            Ok(()) if matches!(steps.get(reached), None | Some(Seek::Merge | Seek::Step(Step::Index(_)))) => {
                return None;
            }
            Ok(()) => steps.insert(reached, Seek::Merge),
        }
    }
}

#[derive(Clone, Copy)]
enum Seek<'a> {
    Step(&'a Step),
    /// The key itself.
    Key(&'a str),
    /// The mappings that are merged.
    Merge,
}

/// Walks along `steps` and fails at their end.
struct Finder<'a> {
    steps: &'a [Seek<'a>],
    depth: usize,
    /// The step that could not be taken.
    reached: &'a mut usize,
}

impl Finder<'_> {
    fn next(&mut self, by: usize) -> Finder<'_> {
        Finder { steps: self.steps, depth: self.depth + by, reached: &mut *self.reached }
    }
}

impl<'de> DeserializeSeed<'de> for Finder<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        *self.reached = self.depth;
        if self.depth < self.steps.len() {
            return deserializer.deserialize_any(self);
        }
        // Fails, since there is no budget.
        Builder::default().seed(Mode::Any).deserialize(deserializer).map(drop)
    }
}

impl<'de> Visitor<'de> for Finder<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or a mapping")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let wanted = self.steps.get(self.depth);
        for index in 0.. {
            let more = match wanted {
                Some(Seek::Step(Step::Index(wanted))) if *wanted == index => list.next_element_seed(self.next(1))?,
                // A list of mappings that are merged: the first one with the key.
                Some(Seek::Step(Step::Key(_)) | Seek::Key(_)) => list.next_element_seed(self.next(0))?,
                _ => list.next_element::<IgnoredAny>()?.map(drop),
            };
            if more.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let (wanted, is_key) = match self.steps.get(self.depth) {
            Some(Seek::Step(Step::Key(key))) => (key.as_str(), false),
            Some(Seek::Key(key)) => (*key, true),
            _ => (MERGE, false),
        };
        let mut builder = Builder { budget: usize::MAX, ..Builder::default() };
        loop {
            // Reading a key fails if it is in the set.
            let mut keys = is_key.then(|| wanted.to_owned()).into_iter().collect();
            let key = Seed { builder: &mut builder, mode: Mode::Any, keys: Some(&mut keys) };
            match map.next_key_seed(key)? {
                None => return Ok(()),
                Some(key) if key.text() == wanted => map.next_value_seed(self.next(1))?,
                Some(_) => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
    }
}

/// The key whose value is merged into its mapping.
const MERGE: &str = "<<";
/// The error of the parser for aliases of aliases.
const REPETITIONS: &str = "repetition limit exceeded";
/// Bytes of a file that are read.
const MAX_FILE: u64 = 16 * 1024 * 1024;
/// What a value counts in addition to its text.
const NODE_SIZE: usize = 8;
/// A tree without aliases is smaller than its text times this factor.
const SIZE_FACTOR: usize = 10;
/// What aliases may add to the tree.
const MAX_EXPANDED: usize = 16 * 1024 * 1024;
