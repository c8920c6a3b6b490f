//! What is wrong with a config, on one line.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a config was refused. Its `Display` is one line that names the file, the place in it,
/// what was found there and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: PathBuf,
    /// Boxed, as results should be small.
    fault: Box<Fault>,
}

impl ConfigError {
    /// The error of a fault that was found while `file` was read.
    pub(super) fn new(file: &Path, mut fault: Fault) -> Self {
        Self { file: fault.file.take().unwrap_or_else(|| file.to_owned()), fault: Box::new(fault) }
    }

    /// The file that is at fault: the config file as it was given, or one of its target files.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The key that is at fault, such as `targets[3].port`; empty where it is the file as a whole.
    pub fn place(&self) -> &str {
        &self.fault.place
    }

    /// What is wrong, apart from the wording.
    pub fn kind(&self) -> ErrorKind {
        self.fault.kind
    }

    /// Line and column, both counted from 1, where they are known.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.fault.position
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = format!("{}: ", self.file.display());
        if !self.fault.place.is_empty() {
            line.push_str(&self.fault.place);
            line.push_str(": ");
        }
        line.push_str(&self.fault.message);
        if let Some((at, column)) = self.fault.position {
            line.push_str(&format!(" (line {at}, column {column})"));
        }
        f.write_str(&one_line(&line))
    }
}

impl std::error::Error for ConfigError {}

/// What is wrong, apart from where it is and how the message says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Not one valid YAML document in UTF-8.
    Syntax,
    /// A key that does not exist in this place.
    UnknownKey,
    /// A required key, or the whole content, is absent.
    Missing,
    /// A key, a list element or a target name occurs twice.
    Duplicate,
    /// Keys or entries that exclude each other.
    Conflict,
    /// A value of the wrong YAML type.
    WrongType,
    /// A value of the right type that is malformed, out of range or inconsistent with another one.
    InvalidValue,
    /// The name of a trust store or resolver that is not defined.
    UnknownReference,
    /// A file that cannot be read, or a PEM file without usable content.
    File,
    /// Larger or deeper than the exporter reads.
    TooLarge,
}

impl ErrorKind {
    const ALL: [Self; 10] = [
        Self::Syntax,
        Self::UnknownKey,
        Self::Missing,
        Self::Duplicate,
        Self::Conflict,
        Self::WrongType,
        Self::InvalidValue,
        Self::UnknownReference,
        Self::File,
        Self::TooLarge,
    ];

    /// `message` with this kind: an error of serde carries text only. [`ErrorKind::split`] reads it back.
    pub(super) fn tag(self, message: &str) -> String {
        format!("{self:?}: {message}")
    }

    /// Kind and message of a text that [`ErrorKind::tag`] made.
    pub(super) fn split(text: &str) -> Option<(Self, &str)> {
        let (word, message) = text.split_once(": ")?;
        let kind = Self::ALL.into_iter().find(|kind| format!("{kind:?}") == word)?;
        (message.starts_with("found ") && message.contains(", expected ")).then_some((kind, message))
    }
}

/// A [`ConfigError`] that need not know its file yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The file that is at fault where it is not the one that is being read.
    pub(super) file: Option<PathBuf>,
    pub(super) kind: ErrorKind,
    pub(super) place: String,
    pub(super) message: String,
    pub(super) position: Option<(usize, usize)>,
}

impl Fault {
    pub(super) fn at(
        kind: ErrorKind,
        place: impl Into<String>,
        found: impl fmt::Display,
        allowed: impl fmt::Display,
    ) -> Self {
        Self { file: None, kind, place: place.into(), message: message(found, allowed), position: None }
    }

    /// A file that is unusable: `error` begins with its path.
    pub(super) fn file(place: impl Into<String>, error: impl fmt::Display, expected: &str) -> Self {
        let message = format!("{error} (expected {expected})");
        Self { file: None, kind: ErrorKind::File, place: place.into(), message, position: None }
    }

    /// A fault that is known by its line and column, in the file as a whole.
    pub(super) const fn in_text(kind: ErrorKind, message: String, position: Option<(usize, usize)>) -> Self {
        Self { file: None, kind, place: String::new(), message, position }
    }
}

/// The form of all messages.
pub(super) fn message(found: impl fmt::Display, allowed: impl fmt::Display) -> String {
    format!("found {found}, expected {allowed}")
}

/// `text` in backticks, cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN).collect();
    if shown.len() == text.len() { format!("`{text}`") } else { format!("`{shown}…`") }
}

/// `words`, separated by commas.
pub(super) fn listed(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut list = String::new();
    for word in words {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(word.as_ref());
    }
    list
}

/// Keys and values may hold line breaks and terminal controls; a log line must not.
pub(super) fn one_line(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if breaks(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// Characters of a value that a message shows.
const SHOWN: usize = 60;
