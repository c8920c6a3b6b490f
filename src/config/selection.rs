//! Targets that are asked for one by one: names of a config, or targets that no config has.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{ConfigError, one_line, quoted};
use super::raw::Document;
use super::target_files::TargetFiles;
use super::targets::Targets;
use super::{Config, build, document, raw, text};
use crate::target::{ProbeSettings, Target, TargetKind, TargetName, TargetSpecError, UserLabels};
use crate::trust::TrustStore;

/// What is wanted of a config.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    /// Each the name of one of the config's targets, else a target as [`TargetKind`] reads it, which is probed as
    /// `defaults` say. None: all of the config's targets.
    pub targets: &'a [String],
    /// The roots to judge all of them by, in place of the config's trust stores.
    pub trust: Option<&'a TrustStore>,
}

impl Config {
    /// The selected targets of the file at `file`, in the order in which they are asked for, and what they need; without
    /// a file all is as in an empty one. What is asked for twice is there once.
    ///
    /// # Errors
    /// When something in the file, or in a file that it names, is not allowed, or when a word selects nothing.
    pub fn select(file: Option<&Path>, selection: Selection<'_>) -> Result<Self, SelectError> {
        let origin = file.unwrap_or_else(|| Path::new(""));
        let main = |fault| ConfigError::new(origin, fault);
        let (document, target_files) = match file {
            Some(path) => {
                let text = text::read(path).map_err(main)?;
                let mut document = document(&text).map_err(main)?;
                // What others may ask for is not asked for here.
                document.probe = raw::Probe::default();
                let globs = std::mem::take(&mut document.target_files);
                let files = TargetFiles::find(globs, &text, origin).map_err(main)?;
                (document, files)
            }
            None => (Document::default(), TargetFiles::default()),
        };
        let mut config = build::choose(document, target_files, origin, |targets| pick(targets, selection, file))?;
        if let Some(trust) = selection.trust {
            config.trust_stores = [(trust.name().into(), trust.clone())].into();
        }
        if config.targets.is_empty() { Err(SelectError::Nothing) } else { Ok(config) }
    }
}

fn pick(
    mut targets: Targets<'_>,
    selection: Selection<'_>,
    file: Option<&Path>,
) -> Result<Vec<Arc<Target>>, SelectError> {
    let mut picked: Vec<Arc<Target>> = Vec::new();
    for word in selection.targets {
        let named = |name: &TargetName| targets.made.iter().find(|target| target.name == *name).cloned();
        let target = match TargetName::new(word).and_then(|name| named(&name)) {
            Some(target) => target,
            None => {
                let unknown = |error| SelectError::Target { word: word.clone(), file: file.map(Into::into), error };
                let kind: TargetKind = word.parse().map_err(unknown)?;
                // A config that has it under the name that it would be given here knows more of it.
                match kind.default_name().and_then(|name| named(&name)) {
                    Some(target) => target,
                    None => Arc::new(unnamed(&mut targets, kind, file)?),
                }
            }
        };
        if !picked.iter().any(|known| known.name == target.name) {
            picked.push(target);
        }
    }
    if selection.targets.is_empty() {
        picked = targets.made;
    }
    Ok(match selection.trust {
        Some(trust) => picked.into_iter().map(|target| trusting(&target, trust)).collect(),
        None => picked,
    })
}

fn unnamed(targets: &mut Targets<'_>, kind: TargetKind, file: Option<&Path>) -> Result<Target, SelectError> {
    let origin = file.unwrap_or_else(|| Path::new(""));
    let settings = targets.default_policy().map_err(|fault| ConfigError::new(origin, fault))?;
    let name = kind.default_name().ok_or(SelectError::Nothing)?;
    Ok(Target { name, kind, labels: UserLabels::default(), settings })
}

fn trusting(target: &Target, trust: &TrustStore) -> Arc<Target> {
    let settings = ProbeSettings { trust: trust.name().into(), ..(*target.settings).clone() };
    Arc::new(Target { settings: Arc::new(settings), ..target.clone() })
}

/// Why nothing can be probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectError {
    /// Of the config.
    Config(ConfigError),
    /// A word is neither the name of a target of the file, where there is one, nor a target itself.
    Target {
        /// The word.
        word: String,
        /// The config file.
        file: Option<PathBuf>,
        /// Why it is not a valid target.
        error: TargetSpecError,
    },
    /// Nothing is asked for, and the config has nothing.
    Nothing,
}

impl From<ConfigError> for SelectError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Target { word, file, error } => {
                let word = one_line(&quoted(word));
                match file {
                    Some(file) => {
                        let file = file.display();
                        write!(f, "unknown target {word}: not in {file}, and not a valid host or domain: {error}")
                    }
                    None => write!(f, "invalid target {word}: {error}"),
                }
            }
            Self::Nothing => f.write_str("no targets"),
        }
    }
}

impl std::error::Error for SelectError {}
