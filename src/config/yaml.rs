//! From a file to a tree of YAML values, and from a place in the tree to its line and column.
//!
//! serde_yaml has no positions in its values, but its errors have: to find a place, the tree is built again until there.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::Path;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::error::{ErrorKind, Fault, Place, Step, quoted};
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
            Self::Bool(_) => format!("the boolean {}", self.text()),
            Self::Integer(_) | Self::Float(_) => format!("the number {}", self.text()),
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

    /// The value one step below.
    pub(super) fn get(&self, step: &Step) -> Option<&Self> {
        match (self, step) {
            (Self::List(items), Step::Index(index)) => items.get(*index),
            (Self::Map(entries), Step::Key(key)) => {
                entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Calls `visit` with each string below `place`.
    pub(super) fn each_text<'a>(&'a self, place: &Place, visit: &mut impl FnMut(&Place, &'a str)) {
        match self {
            Self::Text(text) => visit(place, text),
            Self::List(items) => {
                items.iter().enumerate().for_each(|(index, item)| item.each_text(&place.index(index), visit));
            }
            Self::Map(entries) => entries.iter().for_each(|(key, value)| value.each_text(&place.key(key), visit)),
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Float(_) => {}
        }
    }
}

/// The text of the file at `path`, without a byte order mark.
pub(super) fn read(path: &Path) -> Result<String, Fault> {
    let bytes = file::read(path, MAX_FILE).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => Fault::of_file(ErrorKind::TooLarge, "file too large: expected at most 16 MiB"),
        io::ErrorKind::NotFound => Fault::of_file(ErrorKind::File, "file not found"),
        io::ErrorKind::IsADirectory => Fault::of_file(ErrorKind::File, "expected a file, got a directory"),
        io::ErrorKind::PermissionDenied => Fault::of_file(ErrorKind::File, "permission denied"),
        _ => Fault::of_file(ErrorKind::File, format!("cannot be read: {error}")),
    })?;
    match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        all => utf8(all),
    }
}

/// Parsers of YAML accept UTF-16 with a byte order mark (YAML 1.2 §5.2).
fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, Fault> {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let text = String::from_utf16(&pairs.iter().copied().map(unit).collect::<Vec<_>>());
    text.ok().filter(|_| odd.is_empty()).ok_or_else(|| Fault::of_file(ErrorKind::Syntax, "invalid UTF-16"))
}

/// In JSON, Go replaces bytes that are not UTF-8.
fn utf8(bytes: &[u8]) -> Result<String, Fault> {
    str::from_utf8(bytes).map(str::to_owned).or_else(|error| match String::from_utf8_lossy(bytes).into_owned() {
        text if is_json(&text) => Ok(text),
        _ => {
            let before = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default()).into_owned();
            Err(syntax("invalid UTF-8", &before))
        }
    })
}

/// Whether the text is a list in JSON.
pub(super) fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('[') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The first document in `text`, and whether there are more. An inventory is read as Prometheus reads it: targets and the
/// values of labels are strings, tags are ignored, and in JSON a repeated key replaces the one before, and case does not
/// matter in the keys of groups.
pub(super) fn parse(text: &str, is_inventory: bool) -> Result<(Node, bool), Fault> {
    let deep = check(text)?;
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let Some(document) = documents.next() else { return Ok((Node::Null, false)) };
    let mut builder = Builder::new(text, is_inventory);
    let node = builder.seed(Mode::Any).deserialize(document).map_err(|error| {
        let fault = builder.fault.take().unwrap_or_else(|| yaml_fault(&error, &builder.place));
        match deep {
            Some(deep) if fault.kind == ErrorKind::Syntax => deep,
            _ => Fault { position: location(&error), ..fault },
        }
    })?;
    Ok((node, documents.next().is_some()))
}

/// The string at `place`; none if there is another value or none.
pub(super) fn text(text: &str, place: &Place) -> Option<String> {
    let (node, _) = parse(text, is_in_inventory(place)).ok()?;
    match place.0.iter().try_fold(&node, |node, step| node.get(step))? {
        Node::Text(value) => Some(value.clone()),
        _ => None,
    }
}

/// Whether the document with this place is a list, as only target files are.
fn is_in_inventory(place: &Place) -> bool {
    matches!(place.0.first(), Some(Step::Index(_)))
}

/// Line and column, from 1, of the value at `place`, or of `key` in the mapping there. A merged key is where its mapping
/// is anchored.
pub(super) fn position(text: &str, place: &Place, key: Option<&str>) -> Option<(usize, usize)> {
    // Keys of the mapping itself hide merged ones.
    [false, true].into_iter().find_map(|merged| {
        let sought = Some(Sought { place, key, merged });
        let mut builder = Builder { budget: usize::MAX, sought, ..Builder::new(text, is_in_inventory(place)) };
        let document = serde_yaml::Deserializer::from_str(text).next()?;
        location(&builder.seed(Mode::Any).deserialize(document).err()?)
    })
}

fn location(error: &serde_yaml::Error) -> Option<(usize, usize)> {
    error.location().map(|at| (at.line(), at.column()))
}

/// Refuses what the scanner takes more than linear time for: it needs time for each token in proportion to the depth of
/// flow collections, and for each `%TAG` directive in proportion to their number. Otherwise, the fault to report if the
/// text is not YAML. The depth is an estimate: opening brackets in a quoted text of several lines count.
fn check(text: &str) -> Result<Option<Fault>, Fault> {
    let is_control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    if let Some((before, _)) = text.split_once(is_control) {
        return Err(syntax("invalid YAML: control characters are not allowed", before));
    }
    if text.lines().filter(|line| line.starts_with("%TAG")).count() > MAX_DEPTH {
        return Err(Fault::of_file(ErrorKind::TooLarge, "too many %TAG directives: expected at most 64"));
    }
    let (mut depth, mut previous, mut deep) = (0_usize, '\n', None);
    let mut budget = text.len().saturating_mul(MAX_DEPTH).saturating_add(MAX_EXPANDED);
    // The character that ends a quoted text or a comment, and the brackets that open in it on this line.
    let mut quote = None;
    // Whether a value may begin here, and whether its anchor or tag is being passed.
    let (mut starts, mut in_property) = (true, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some((end, _)), _) if c == end && (end, previous) != ('"', '\\') => quote = None,
            (Some((end, opened)), '\n') => (quote, depth) = (Some((end, 0)), depth + opened),
            (Some((end, opened)), '[' | '{') => quote = Some((end, opened + 1)),
            (Some(_), _) => {}
            (None, '#') if previous.is_whitespace() => quote = Some(('\n', 0)),
            (None, '"' | '\'') if starts => quote = Some((c, 0)),
            (None, '[' | '{') => (depth, starts) = (depth + 1, true),
            (None, ']' | '}') => (depth, starts) = (depth.saturating_sub(1), false),
            (None, ',') if depth > 0 => (starts, in_property) = (true, false),
            (None, ':') => (starts, in_property) = (true, false),
            (None, '&' | '!') if starts => in_property = true,
            (None, '-' | '?') => {}
            (None, c) if c.is_whitespace() => in_property = false,
            (None, _) => starts = starts && in_property,
        }
        starts = starts || c == '\n';
        previous = if (previous, c) == ('\\', '\\') { ' ' } else { c };
        if depth > MAX_DEPTH && deep.is_none() {
            let before = text.get(..at).unwrap_or_default();
            deep = Some(Fault { kind: ErrorKind::TooLarge, ..syntax(TOO_DEEP, before) });
        }
        match (budget.checked_sub(depth), &deep) {
            (Some(rest), _) => budget = rest,
            (None, Some(deep)) => return Err(deep.clone()),
            (None, None) => {}
        }
    }
    Ok(deep)
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
    if text.contains("invalid type: ") {
        return Fault::new(ErrorKind::WrongType, place.clone(), "invalid type: expected a string");
    }
    if text == "repetition limit exceeded" {
        let message = "too many aliases: expected at most 100 for each value in the file";
        return Fault::of_file(ErrorKind::TooLarge, message);
    }
    let at = error.location().map(|at| format!(" at line {} column {}", at.line(), at.column())).unwrap_or_default();
    Fault::of_file(ErrorKind::Syntax, format!("invalid YAML: {}", text.replacen(&at, "", 1)))
}

/// Builds a tree and keeps its size within bounds.
struct Builder<'a> {
    /// What may be added to the tree: each value counts [`NODE_SIZE`] and its text, as often as an alias repeats it.
    budget: usize,
    is_inventory: bool,
    is_json: bool,
    /// The place of the value that is being read.
    place: Place,
    /// Why building failed.
    fault: Option<Fault>,
    sought: Option<Sought<'a>>,
}

/// Where building stops with an error.
struct Sought<'a> {
    place: &'a Place,
    /// The key in the mapping there, if it is not the value.
    key: Option<&'a str>,
    /// Whether the place is below a merge key.
    merged: bool,
}

/// How values are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// By their YAML type.
    Any,
    /// As they are written: `1.10` is not a number.
    Raw,
    /// A list of raw values.
    Targets,
    /// A mapping with raw values.
    Labels,
}

struct Seed<'b, 'a> {
    builder: &'b mut Builder<'a>,
    mode: Mode,
    /// The keys that the mapping has already, if the value is a key.
    keys: Option<&'b mut HashSet<String>>,
}

impl<'a> Builder<'a> {
    fn new(text: &str, is_inventory: bool) -> Self {
        let budget = text.len().saturating_mul(SIZE_FACTOR).saturating_add(MAX_EXPANDED);
        let is_json = is_inventory && is_json(text);
        Self { budget, is_inventory, is_json, place: Place::default(), fault: None, sought: None }
    }

    fn seed(&mut self, mode: Mode) -> Seed<'_, 'a> {
        Seed { builder: self, mode, keys: None }
    }

    fn fail<T, E: Error>(&mut self, kind: ErrorKind, message: impl Into<String>) -> Result<T, E> {
        self.fault = Some(Fault::new(kind, self.place.clone(), message));
        Err(E::custom(""))
    }

    fn fail_whole<E: Error>(&mut self, message: &str) -> Result<(), E> {
        self.place = Place::default();
        self.fail(ErrorKind::TooLarge, message)
    }

    /// Starts a value whose text has this length.
    fn begin<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        if self.is_sought(None) {
            return Err(E::custom(""));
        }
        let Some(rest) = self.budget.checked_sub(NODE_SIZE + bytes) else {
            return self.fail_whole("aliases repeat too much: expected at most 16 MiB of repeated values");
        };
        self.budget = rest;
        Ok(())
    }

    fn enter<E: Error>(&mut self, step: Step) -> Result<(), E> {
        if self.place.0.len() == MAX_DEPTH {
            return self.fail_whole(TOO_DEEP);
        }
        self.place.0.push(step);
        Ok(())
    }

    /// Whether the value that is being read, or this key of it, is where building stops.
    fn is_sought(&self, key: Option<&str>) -> bool {
        let Some(sought) = self.sought.as_ref().filter(|sought| sought.key == key) else { return false };
        if !sought.merged {
            return self.place == *sought.place;
        }
        let is_merge = |step: Option<&Step>| matches!(step, Some(Step::Key(key)) if key == MERGE);
        let mut previous = None;
        let steps = self.place.0.iter().filter(|step| {
            let is_element = is_merge(previous.replace(*step)) && matches!(step, Step::Index(_));
            !is_element && !is_merge(Some(step))
        });
        steps.eq(&sought.place.0)
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        match self.mode {
            // An error of `visit_none` has no position.
            Mode::Raw if !self.builder.is_sought(None) => deserializer.deserialize_option(self),
            _ => deserializer.deserialize_any(self),
        }
    }
}

macro_rules! visit {
    ($($visit:ident($value:ty): $node:expr;)+) => {$(
        fn $visit<E: Error>(self, value: $value) -> Result<Node, E> {
            let node: fn($value) -> Node = $node;
            self.scalar(node(value))
        }
    )+};
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        self.scalar(Node::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        let node = if self.mode == Mode::Raw { Node::Text(String::new()) } else { Node::Null };
        self.scalar(node)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_str(self)
    }

    visit! {
        visit_bool(bool): Node::Bool;
        visit_u64(u64): |number| Node::Integer(number.into());
        visit_i64(i64): |number| Node::Integer(number.into());
        visit_i128(i128): Node::Integer;
        visit_u128(u128): |number| i128::try_from(number).map_or(Node::Float(number as f64), Node::Integer);
        visit_f64(f64): Node::Float;
        visit_str(&str): |text| Node::Text(text.to_owned());
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        self.builder.begin(0)?;
        let mode = if self.mode == Mode::Targets { Mode::Raw } else { self.mode };
        let mut items = Vec::new();
        loop {
            self.builder.enter(Step::Index(items.len()))?;
            let Some(item) = list.next_element_seed(self.builder.seed(mode))? else { break };
            self.builder.place.0.pop();
            items.push(item);
        }
        self.builder.place.0.pop();
        self.finish(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let builder = &mut *self.builder;
        builder.begin(0)?;
        let mut entries = Vec::new();
        let mut merged = Vec::new();
        let mut keys = HashSet::new();
        loop {
            let mode = if builder.is_inventory { Mode::Raw } else { Mode::Any };
            let key = Seed { builder: &mut *builder, mode, keys: Some(&mut keys) };
            let Some(key) = map.next_key_seed(key)? else { break };
            let mut key = key.text();
            if builder.is_json && ["targets", "labels"].iter().any(|known| key.eq_ignore_ascii_case(known)) {
                key.make_ascii_lowercase();
            }
            let mode = match (self.mode, key.as_str()) {
                (mode, MERGE) => mode,
                (Mode::Labels, _) => Mode::Raw,
                (_, "labels") if builder.is_inventory => Mode::Labels,
                (_, "targets") if builder.is_inventory => Mode::Targets,
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
        if builder.is_json {
            let mut later = HashSet::new();
            entries.reverse();
            entries.retain(|(key, _)| later.insert(key.clone()));
            entries.reverse();
        }
        merged.retain(|(key, _)| keys.insert(key.clone()));
        entries.extend(merged);
        self.finish(Node::Map(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Node, A::Error> {
        if !self.builder.is_inventory {
            return self.builder.fail(ErrorKind::WrongType, "invalid type: got a value with a tag");
        }
        let (_, value) = tagged.variant::<IgnoredAny>()?;
        value.newtype_variant_seed(self)
    }
}

impl Seed<'_, '_> {
    fn scalar<E: Error>(self, node: Node) -> Result<Node, E> {
        self.builder.begin(if let Node::Text(text) = &node { text.len() } else { 0 })?;
        self.finish(node)
    }

    fn finish<E: Error>(self, node: Node) -> Result<Node, E> {
        let Some(keys) = self.keys else { return Ok(node) };
        let key = node.text();
        if matches!(node, Node::List(_) | Node::Map(_)) {
            let message = format!("invalid type: expected a string as key, got {key}");
            return self.builder.fail(ErrorKind::WrongType, message);
        }
        if self.builder.is_sought(Some(&key)) {
            return Err(E::custom(""));
        }
        // Each merge key adds a mapping.
        if keys.insert(key.clone()) || key == MERGE || self.builder.is_json {
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

/// The key whose value is merged into its mapping.
const MERGE: &str = "<<";
/// Bytes of a file that are read.
const MAX_FILE: u64 = 16 * 1024 * 1024;
/// The maximum nesting of values. A configuration needs five levels.
const MAX_DEPTH: usize = 64;
const TOO_DEEP: &str = "nested too deep: expected at most 64 levels";
/// What a value counts in addition to its text.
const NODE_SIZE: usize = 8;
/// A tree without aliases is smaller than its text times this factor.
const SIZE_FACTOR: usize = 10;
/// What aliases may add to the tree.
const MAX_EXPANDED: usize = 16 * 1024 * 1024;
