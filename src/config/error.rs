//! What is wrong with a config, on one line.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a config was refused. Its `Display` is one line that names the file, the place in it,
/// what was found there and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: PathBuf,
    fault: Fault,
}

impl ConfigError {
    /// The error of a fault that was found while `file` was read.
    pub(super) fn new(file: &Path, mut fault: Fault) -> Self {
        Self { file: fault.file.take().unwrap_or_else(|| file.to_owned()), fault }
    }

    /// The file that is at fault: the config file as it was given, or one of its target files.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The key that is at fault, such as `targets[3].port`; empty where it is the file as a whole.
    pub fn place(&self) -> &str {
        &self.fault.place
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

/// A [`ConfigError`] that need not know its file yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The file that is at fault where it is not the one that is being read.
    pub(super) file: Option<PathBuf>,
    pub(super) place: String,
    pub(super) message: String,
    pub(super) position: Option<(usize, usize)>,
}

impl Fault {
    pub(super) fn at(place: impl Into<String>, found: impl fmt::Display, allowed: impl fmt::Display) -> Self {
        Self { file: None, place: place.into(), message: message(found, allowed), position: None }
    }

    /// A fault that is known by its line and column, in the file as a whole.
    pub(super) const fn in_text(message: String, position: Option<(usize, usize)>) -> Self {
        Self { file: None, place: String::new(), message, position }
    }
}

/// The form of all messages.
pub(super) fn message(found: impl fmt::Display, allowed: impl fmt::Display) -> String {
    format!("found {found}, allowed is {allowed}")
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
