//! Targets that are selected one by one: by name from a configuration, or without one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::error::{ConfigError, quoted};
use super::files::Files;
use super::target::Targets;
use super::yaml::{self, Node};
use super::{Config, Document, Probe, Source, build};
use crate::target::{ProbeSettings, Target, TargetKind, TargetName, TargetSpecError, UserLabels};
use crate::text::escaped;
use crate::trust::TrustStore;

/// The targets that are selected, and how they are checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    /// Each is the name of a configured target, or a target in the form of [`TargetKind`], which gets the settings in
    /// `defaults`. If there are none, all configured targets are selected.
    pub targets: &'a [String],
    /// The roots for all of them, instead of the configured trust stores.
    pub trust: Option<&'a TrustStore>,
}

impl Config {
    /// The selected targets of the file at `file`, in the order of the selection and without repetition. Without a file, all
    /// settings are the defaults.
    ///
    /// # Errors
    /// If the file, or a file that it refers to, is invalid, or if a word is not a target.
    pub fn select(file: Option<&Path>, selection: Selection<'_>) -> Result<Self, SelectError> {
        let path = file.unwrap_or_else(|| Path::new(""));
        let text = file.map_or_else(|| Ok(String::new()), yaml::read);
        let text = text.map_err(|fault| Source { path, text: "" }.error(&fault))?;
        let source = Source { path, text: &text };
        let (node, document) = match file {
            Some(_) => source.document()?,
            None => (Node::Null, Document::default()),
        };
        let choice = |targets: &mut Targets<'_>| pick(targets, selection, source, file);
        let mut config = build(source, &node, document, Probe::default(), &Files::default(), choice)?;
        if let Some(failure) = config.files.failures().first() {
            return Err(failure.clone().into());
        }
        if let Some(trust) = selection.trust {
            config.trust_stores = [(trust.name().into(), trust.clone())].into();
        }
        if config.targets.is_empty() { Err(SelectError::Nothing) } else { Ok(config) }
    }
}

fn pick(
    targets: &mut Targets<'_>,
    selection: Selection<'_>,
    source: Source<'_>,
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
                // A configured target with this default name has settings of its own.
                match kind.default_name().and_then(|name| named(&name)) {
                    Some(target) => target,
                    None => Arc::new(unnamed(targets, kind, source)?),
                }
            }
        };
        if !picked.iter().any(|known| known.name == target.name) {
            picked.push(target);
        }
    }
    if selection.targets.is_empty() {
        picked = std::mem::take(&mut targets.made);
    }
    Ok(match selection.trust {
        Some(trust) => picked.into_iter().map(|target| trusting(&target, trust)).collect(),
        None => picked,
    })
}

fn unnamed(targets: &mut Targets<'_>, kind: TargetKind, source: Source<'_>) -> Result<Target, SelectError> {
    let settings = targets.default_settings().map_err(|fault| source.error(&fault))?;
    let name = kind.default_name().ok_or(SelectError::Nothing)?;
    Ok(Target { name, kind, labels: UserLabels::default(), settings })
}

fn trusting(target: &Target, trust: &TrustStore) -> Arc<Target> {
    let settings = ProbeSettings { trust: trust.name().into(), ..(*target.settings).clone() };
    Arc::new(Target { settings: Arc::new(settings), ..target.clone() })
}

/// Why no targets can be selected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A word is neither the name of a configured target nor a valid target.
    #[error("{} {}: {}{error}", if file.is_some() { "unknown target" } else { "invalid target" }, escaped(&quoted(word)),
        file.as_ref().map_or_else(String::new, |file| format!("not in {}, and not a valid host or domain: ", file.display())))]
    Target {
        /// The word.
        word: String,
        /// The configuration file.
        file: Option<PathBuf>,
        /// Why it is not a valid target.
        error: TargetSpecError,
    },
    /// No targets are selected, and none are configured.
    #[error("no targets")]
    Nothing,
}
