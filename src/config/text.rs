//! From a file to what serde makes of its YAML, with faults that know line and column.

use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::error::{ErrorKind, Fault, message};
use super::{nesting, yaml};
use crate::file;

/// The text of the file at `path`.
pub(super) fn read(path: &Path) -> Result<String, Fault> {
    let unreadable = |error: io::Error| {
        if error.kind() == io::ErrorKind::FileTooLarge {
            return Fault::at(ErrorKind::TooLarge, "", "a file of more than 16 MiB", "at most 16 MiB");
        }
        let found = match error.kind() {
            io::ErrorKind::NotFound => "no such file".to_owned(),
            io::ErrorKind::IsADirectory => "a directory".to_owned(),
            io::ErrorKind::PermissionDenied => "a file that this user may not read".to_owned(),
            _ => format!("a file that cannot be read ({error})"),
        };
        Fault::at(ErrorKind::File, "", found, "a readable YAML file")
    };
    let bytes = file::read(path, MAX_FILE).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let message = message("a byte that is not UTF-8", "UTF-8 text");
        Fault::in_text(ErrorKind::Syntax, message, Some(yaml::end_of(before)))
    })
}

/// Whether there is nothing in `text` but comments.
pub(super) fn is_blank(text: &str) -> bool {
    let blank = |line: &str| matches!(line.trim_start().chars().next(), None | Some('#')) || line.trim_end() == "---";
    text.trim_start_matches('\u{feff}').lines().all(blank)
}

/// What serde makes of `text`.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    nesting::check(text)?;
    T::deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| yaml::fault(&error, text))
}

/// Octets of a file that are read.
const MAX_FILE: u64 = 16 * 1024 * 1024;
