//! The config file: YAML in, typed targets out.
//!
//! `raw` mirrors the file and parses each scalar while it is read, so that errors know their line; `build` turns
//! it into the vocabulary. What comes out needs no further check.

mod build;
mod client_certificate;
mod duration;
mod error;
mod machine;
mod nesting;
mod policy;
mod raw;
mod scalar;
#[cfg(test)]
mod tests;
mod value;
mod yaml;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

pub use self::error::ConfigError;
use self::error::{Fault, message};
use crate::target::{ResolverSpec, Target};
use crate::trust::TrustStore;

/// What a config file says, with its trust stores loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// All targets in the order of the file, lists of hosts expanded; at least one, and no name twice.
    pub targets: Vec<Arc<Target>>,
    /// The trust stores that targets use, by name.
    pub trust_stores: BTreeMap<Arc<str>, TrustStore>,
    /// The resolvers that targets use, by name.
    pub resolvers: BTreeMap<Arc<str>, ResolverSpec>,
    /// Bounds of the exporter as a whole.
    pub limits: Limits,
}

/// Bounds of the exporter as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Probes that run at once; none leaves it to the number of files that this process may open.
    pub concurrent_probes: Option<NonZeroUsize>,
    /// Addresses of an endpoint that are probed; those beyond are counted as skipped.
    pub backends_per_target: usize,
}

impl Config {
    /// Reads the file at `path`, and the files that it names.
    ///
    /// # Errors
    /// When something in it, or in a file that it names, is not allowed. The first such thing is told.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes = read(path).map_err(|fault| ConfigError::new(path, fault))?;
        let text = str::from_utf8(&bytes).map_err(|error| {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let message = message("a byte that is not UTF-8", "UTF-8 text");
            let position = Some(yaml::end_of(before));
            ConfigError::new(path, Fault { place: String::new(), message, position })
        })?;
        Self::parse(text, path)
    }

    /// Parses the text of the file `origin`, whose name stands in errors and at whose folder relative paths begin.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, origin: &Path) -> Result<Self, ConfigError> {
        let folder = origin.parent().unwrap_or_else(|| Path::new(""));
        document(text)
            .and_then(|document| build::config(document, folder))
            .map_err(|fault| ConfigError::new(origin, fault))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let unreadable = |error: io::Error| {
        let found = match error.kind() {
            io::ErrorKind::NotFound => "no such file".to_owned(),
            io::ErrorKind::IsADirectory => "a directory".to_owned(),
            io::ErrorKind::PermissionDenied => "a file that this user may not read".to_owned(),
            _ => format!("a file that cannot be read ({error})"),
        };
        Fault::at("", found, "a readable YAML file")
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Fault::at("", "a file of more than 16 MiB", "16 MiB at most"));
    }
    Ok(bytes)
}

fn document(text: &str) -> Result<raw::Document, Fault> {
    let blank = |line: &str| matches!(line.trim_start().chars().next(), None | Some('#')) || line.trim_end() == "---";
    if text.trim_start_matches('\u{feff}').lines().all(blank) {
        return Err(Fault::at("", "an empty document", "a mapping of keys, `targets` among them"));
    }
    nesting::check(text)?;
    raw::Document::deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| yaml::fault(&error, text))
}

/// Octets of a config file that are read.
const MAX_FILE: u64 = 16 * 1024 * 1024;
