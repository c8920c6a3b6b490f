//! A file of targets: entries as under `targets` of the config, or groups of Prometheus's `file_sd` format.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::entry::Entry;
use super::error::{ErrorKind, Fault, message};
use super::scalar::{LabelName, LabelValue};
use super::value::{Entries, Refusal, Scalar, scalar};
use super::{text, yaml};
use crate::target::{TargetKind, TargetSpecError};

/// What a file of targets holds.
pub(super) enum Content {
    Entries(Vec<Entry>),
    Groups(Vec<Group>),
}

/// Targets that share their labels.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct Group {
    pub(super) targets: Vec<Spec>,
    #[serde(default)]
    pub(super) labels: Entries<FoundLabel, LabelValue>,
}

/// A target in one word.
pub(super) struct Spec(pub(super) TargetKind);

/// The name of a label that service discovery gives.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FoundLabel {
    /// Begins with `__`: meant for relabelling in Prometheus, and on no series.
    Meta(String),
    User(LabelName),
}

/// Reads the file at `path`.
pub(super) fn read(path: &Path) -> Result<Content, Fault> {
    parse(&text::read(path)?)
}

fn parse(text: &str) -> Result<Content, Fault> {
    if text::is_blank(text) {
        return Err(Fault::at(
            ErrorKind::Missing,
            "",
            "an empty document",
            format_args!("{LIST} (`[]` where there are none)"),
        ));
    }
    // Twice, as the keys of the last entry may be those that tell; each form then has its own keys in its messages.
    match either(text)? {
        Form::Entries => either(text).map(Content::Entries),
        Form::Groups => either(text).map(Content::Groups),
    }
}

/// Reads YAML, which JSON is but for one thing: its escapes of characters beyond U+FFFF come in pairs of surrogates
/// (RFC 8259 §7), as many writers of JSON make them.
fn either<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    text::parse(text).or_else(|fault| {
        if !SURROGATES.iter().any(|begin| text.contains(begin)) {
            return Err(fault);
        }
        serde_json::from_str(text).map_err(|error| {
            if !error.is_data() {
                return fault;
            }
            let (line, column) = (error.line(), error.column());
            let said = error.to_string();
            let said = said.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&said);
            let (kind, message) = yaml::translate(said).unwrap_or_else(|| (ErrorKind::Syntax, said.to_owned()));
            Fault::in_text(kind, message, Some((line, column)))
        })
    })
}

/// How a file of targets is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Entries,
    Groups,
}

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FormVisitor)
    }
}

struct FormVisitor;

impl<'de> Visitor<'de> for FormVisitor {
    type Value = Form;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(LIST)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Form, A::Error> {
        let mut form = None;
        while let Some(OfEntry(next)) = list.next_element_seed(EntryForm(form))? {
            form = Some(next);
        }
        Ok(form.unwrap_or(Form::Entries))
    }
}

/// The form of an entry.
struct OfEntry(Form);

/// Reads the form of an entry, which is that of the entry before.
struct EntryForm(Option<Form>);

impl<'de> DeserializeSeed<'de> for EntryForm {
    type Value = OfEntry;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<OfEntry, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EntryForm {
    type Value = OfEntry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping of keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OfEntry, A::Error> {
        let mut form = Form::Entries;
        while let Some((Key(is_targets), IgnoredAny)) = map.next_entry()? {
            if is_targets {
                form = Form::Groups;
            }
        }
        let found = match (self.0, form) {
            (Some(Form::Entries), Form::Groups) => "an entry with the key `targets` after one without",
            (Some(Form::Groups), Form::Entries) => "an entry without the key `targets` after one with it",
            _ => return Ok(OfEntry(form)),
        };
        let message = message(found, "either targets as in the config or Prometheus's file_sd in one file");
        Err(Error::custom(ErrorKind::Conflict.tag(&message)))
    }
}

/// Whether a key is `targets`.
struct Key(bool);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeyVisitor)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
        Ok(Key(key == "targets"))
    }
}

impl Scalar for Spec {
    const ALLOWED: &'static str = "a target such as smtp.example.com, smtp.example.com:465, \"[2001:db8::1]:25\", mx:example.com or \
         submission:example.com";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        text.parse().map(Self).map_err(|error: TargetSpecError| Refusal::Because(error.to_string()))
    }
}

impl<'de> Deserialize<'de> for Spec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer)
    }
}

impl Scalar for FoundLabel {
    const ALLOWED: &'static str = LabelName::ALLOWED;

    fn from_text(text: &str) -> Result<Self, Refusal> {
        if text.starts_with("__") {
            Ok(Self::Meta(text.to_owned()))
        } else {
            LabelName::from_text(text).map(Self::User)
        }
    }
}

const LIST: &str = "a list of targets, or of groups as in Prometheus's file_sd";

/// How a JSON escape of a high surrogate begins.
const SURROGATES: [&str; 2] = ["\\ud", "\\uD"];
