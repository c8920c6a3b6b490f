//! The config file: YAML in, typed targets out.
//!
//! `raw` mirrors the file and parses each scalar while it is read, so that errors know their line; `build` turns
//! it into the vocabulary. What comes out needs no further check. Further files of targets are found by `target_files`
//! and read by `target_file`.

mod build;
mod client_certificate;
mod duration;
mod entry;
mod error;
mod keys;
mod machine;
mod nesting;
mod one_or_many;
mod raw;
mod scalar;
mod selection;
mod settings;
mod target_file;
mod target_files;
mod targets;
#[cfg(test)]
mod tests;
mod text;
mod value;
mod yaml;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

pub use self::duration::{format as format_duration, parse as parse_duration};
use self::error::Fault;
pub use self::error::{ConfigError, ErrorKind};
pub use self::selection::{SelectError, Selection};
pub use self::target_files::{Found, TargetFiles};
use crate::target::{Allow, ProbeSettings, ResolverSpec, Target};
use crate::text::counted;
use crate::trust::TrustStore;

/// What a config file says, with its trust stores loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// All targets in the order of the file, lists expanded, then those of the target files; no name twice, and at
    /// least one where there are no `target_files` to give more, and no `one_offs`.
    pub targets: Vec<Arc<Target>>,
    /// The trust stores that targets use, by name.
    pub trust_stores: BTreeMap<Arc<str>, TrustStore>,
    /// The resolvers that targets use, by name.
    pub resolvers: BTreeMap<Arc<str>, ResolverSpec>,
    /// Bounds of the exporter as a whole.
    pub limits: Limits,
    /// The files of targets that were read, too.
    pub target_files: TargetFiles,
    /// What may be probed beyond the targets; none where nothing may.
    pub one_offs: Option<OneOffs>,
}

/// Targets that are probed once, for whoever asks.
#[derive(Clone, Debug, PartialEq)]
pub struct OneOffs {
    /// Which ones; never empty.
    pub allow: Allow,
    /// How: as `defaults` says, by one connection to each backend.
    pub settings: Arc<ProbeSettings>,
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
        let text = text::read(path).map_err(|fault| ConfigError::new(path, fault))?;
        Self::parse(&text, path)
    }

    /// Parses the text of the file `origin`, whose name stands in errors and at whose folder relative paths begin.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, origin: &Path) -> Result<Self, ConfigError> {
        let main = |fault| ConfigError::new(origin, fault);
        let mut document = document(text).map_err(main)?;
        let globs = std::mem::take(&mut document.target_files);
        let target_files = TargetFiles::find(globs, text, origin).map_err(main)?;
        build::config(document, target_files, origin)
    }

    /// How many targets there are, and how many files of them, in words.
    pub fn summary(&self) -> String {
        let targets = counted(self.targets.len(), "target");
        if self.target_files.are_named() {
            format!("{targets}, {}", counted(self.target_files.paths().len(), "target file"))
        } else {
            targets
        }
    }
}

fn document(text: &str) -> Result<raw::Document, Fault> {
    if text::is_blank(text) {
        return Err(Fault::at(ErrorKind::Missing, "", "an empty document", "a mapping of keys, `targets` among them"));
    }
    text::parse(text)
}

/// Where relative paths in the file `origin` begin.
fn folder(origin: &Path) -> &Path {
    origin.parent().unwrap_or_else(|| Path::new(""))
}
