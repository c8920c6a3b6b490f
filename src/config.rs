//! The configuration: reads YAML once and returns typed targets that need no further checks.
//!
//! `yaml` parses a file to a tree, `de` deserializes the tree to structs of the types in `scalar`, and the other modules
//! turn these into the vocabulary: `stores`, `settings`, `target`, and `target_files` for files with further targets.
//! `overlay` reads files that are not configurations.

mod de;
mod duration;
mod error;
mod files;
mod machine;
mod matching_files;
mod overlay;
mod scalar;
mod selection;
mod settings;
mod stores;
mod target;
mod target_files;
#[cfg(test)]
mod tests;
mod web_config;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

pub use self::duration::{format as format_duration, parse as parse_duration};
pub use self::error::{ConfigError, ErrorKind};
use self::error::{Fault, Place, Step, quoted};
use self::files::PemFiles;
pub use self::files::{Files, Found, MainContent};
pub use self::overlay::{Inconsistency, load_over, parse_over};
use self::scalar::{Allowed, BackendLimit, ConcurrentProbes, Glob, ResolverKey, StoreKey};
pub use self::scalar::{UniqueVec, is_label_name, is_reserved as is_reserved_label};
pub use self::selection::{SelectError, Selection};
use self::settings::{Resolved, Settings};
use self::stores::{Resolver, Store, Stores};
use self::target::Targets;
pub use self::web_config::{RequestRate, WebConfig, WebConfigFiles};
use self::yaml::Node;
use crate::target::{Allow, ProbeAccess, ProbeSettings, ResolverSpec, Shard, Target};
use crate::text::counted;
use crate::trust::TrustStore;

/// A configuration file with its target files and trust stores.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// All targets in the order of the file, lists expanded, then those of the target files. Names are unique. There is at
    /// least one unless there are `target_files`, `one_offs` or other shards.
    pub targets: Vec<Arc<Target>>,
    /// Which of the targets in the files are in `targets`.
    pub shard: Shard,
    /// The targets in the files that other shards probe.
    pub other_shards: Vec<Arc<Target>>,
    /// The trust stores that targets use, by name.
    pub trust_stores: BTreeMap<Arc<str>, TrustStore>,
    /// The resolvers that targets use, by name.
    pub resolvers: BTreeMap<Arc<str>, ResolverSpec>,
    /// Limits of the exporter as a whole.
    pub limits: Limits,
    /// The files that were read.
    pub files: Files,
    /// What `/probe` accepts.
    pub probe_access: ProbeAccess,
    /// What may be probed on request without being a target; none if nothing may.
    pub one_offs: Option<OneOffs>,
    /// What is valid but probably not intended.
    pub warnings: Vec<String>,
}

/// Targets that are probed once on request.
#[derive(Clone, Debug, PartialEq)]
pub struct OneOffs {
    /// The permitted targets; never empty.
    pub allow: Allow,
    /// The settings in `defaults`, with one connection to each backend.
    pub settings: Arc<ProbeSettings>,
}

/// Limits of the exporter as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of concurrent probes; none to derive it from the limit on open files.
    pub concurrent_probes: Option<NonZeroUsize>,
    /// Maximum number of addresses of an endpoint that are probed. Further ones are counted as skipped.
    pub backends_per_target: usize,
}

impl Config {
    /// Reads the file at `path` and the files that it refers to.
    ///
    /// # Errors
    /// If the file is invalid, or a PEM file that it refers to. The first fault is reported. Invalid target files are
    /// reported by [`Files::failures`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_after(path, &Files::default())
    }

    /// As [`Config::load`]. For an invalid target file or PEM file, its last valid content in `previous` is used.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_after(path: &Path, previous: &Files) -> Result<Self, ConfigError> {
        let text = yaml::read(path).map_err(|fault| Source { path, text: "" }.error(&fault))?;
        Self::parse_after(&text, path, previous)
    }

    /// Parses the text of the file `origin`. Relative paths begin at its directory.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, origin: &Path) -> Result<Self, ConfigError> {
        Self::parse_after(text, origin, &Files::default())
    }

    fn parse_after(text: &str, origin: &Path, previous: &Files) -> Result<Self, ConfigError> {
        let source = Source { path: origin, text: text.strip_prefix('\u{feff}').unwrap_or(text) };
        let (node, mut document) = source.document()?;
        let one_offs = std::mem::take(&mut document.probe);
        let all = |targets: &mut Targets<'_>| Ok::<_, ConfigError>(std::mem::take(&mut targets.made));
        let config = build(source, &node, document, one_offs, previous, all)?;
        if config.targets.is_empty() && !config.files.has_target_files() && config.one_offs.is_none() {
            let message = "expected at least one target, here or in `target_files`";
            return Err(source.error(&Fault::new(ErrorKind::Missing, Place::default().key(TARGETS), message)));
        }
        Ok(config)
    }

    /// The configuration of one shard: without the targets of other shards, and what only these use.
    pub fn of_shard(mut self, shard: Shard) -> Self {
        let all = self.targets.into_iter().chain(self.other_shards);
        (self.targets, self.other_shards) = all.partition(|target| shard.ordinal_of(&target.name) == shard.ordinal());
        self.shard = shard;
        let settings = self.targets.iter().map(|target| &target.settings);
        let settings = settings.chain(self.one_offs.iter().map(|one_offs| &one_offs.settings));
        let (stores, resolvers): (BTreeSet<_>, BTreeSet<_>) =
            settings.map(|settings| (&*settings.trust, &*settings.resolver)).unzip();
        self.trust_stores.retain(|name, _| stores.contains(&**name));
        self.resolvers.retain(|name, _| resolvers.contains(&**name));
        self
    }

    /// The number of targets and of target files, and of targets of this shard, in words.
    pub fn summary(&self) -> String {
        let mut summary = counted(self.targets.len() + self.other_shards.len(), "target");
        if self.files.has_target_files() {
            summary += &format!(", {}", counted(self.files.target_files().len(), "target file"));
        }
        if self.shard.has_others() {
            summary += &format!("; {} probes {}", self.shard, counted(self.targets.len(), "target"));
        }
        summary
    }
}

/// A file that is being read.
#[derive(Clone, Copy)]
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    /// The error for a fault in this file, with a hint if the key or value looks like an environment variable.
    fn error(self, fault: &Fault) -> ConfigError {
        let names_variable = match &fault.key {
            Some(key) => scalar::is_variable(key),
            None if fault.is_of_whole_file() => false,
            None => yaml::text(self.text, &fault.place).is_some_and(|text| scalar::is_variable(&text)),
        };
        if !names_variable {
            return self.located(fault);
        }
        self.located(&Fault { message: format!("{}; {NOT_EXPANDED}", fault.message), ..fault.clone() })
    }

    /// Finds the position of the fault. Nothing has a position in a file that is rejected as a whole.
    fn located(self, fault: &Fault) -> ConfigError {
        let find = || yaml::position(self.text, &fault.place, fault.key.as_deref());
        let is_known = fault.is_of_whole_file() || fault.position.is_some();
        ConfigError::new(self.path, fault, if is_known { None } else { find() })
    }

    fn warning(self, place: &Place, message: String) -> String {
        self.located(&Fault::new(ErrorKind::InvalidValue, place.clone(), message)).to_string()
    }

    /// The document without the keys that begin with `x-`.
    fn document(self) -> Result<(Node, Document), ConfigError> {
        let (mut node, several) = yaml::parse(self.text, false).map_err(|fault| self.error(&fault))?;
        if several {
            return Err(self.error(&Fault::of_file(ErrorKind::Syntax, ONE_DOCUMENT)));
        }
        if let Node::Map(entries) = &mut node {
            entries.retain(|(key, _)| !key.starts_with("x-"));
        } else if node == Node::Null {
            return Err(self.error(&Fault::of_file(ErrorKind::Missing, "empty document: expected `targets` at least")));
        }
        let document = node.read(&Place::default()).map_err(|fault| self.error(&fault))?;
        Ok((node, document))
    }

    /// Adds a warning for each value that looks like a reference to an environment variable.
    fn warn_of_variables(self, node: &Node, warnings: &mut Vec<String>) {
        let mut found = 0;
        node.each_text(&Place::default(), &mut |place, value| {
            found += usize::from(scalar::is_variable(value));
            if scalar::is_variable(value) && found <= MAX_WARNINGS {
                let message = format!("{} is used as it is: {NOT_EXPANDED}", quoted(value));
                warnings.push(self.warning(place, message));
            }
        });
        if found > MAX_WARNINGS {
            let message = format!(
                "{} look like environment variables, the first {MAX_WARNINGS} are listed",
                counted(found, "value")
            );
            warnings.push(self.warning(&Place::default(), message));
        }
    }
}

/// The keys of the file.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
struct Document {
    defaults: Settings,
    trust_stores: BTreeMap<StoreKey, Store>,
    resolvers: BTreeMap<ResolverKey, Resolver>,
    limits: LimitKeys,
    probe: Probe,
    target_files: Vec<Glob>,
    /// Deserialized one by one, see [`Targets::add_entries`].
    targets: Vec<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
struct LimitKeys {
    concurrent_probes: Option<ConcurrentProbes>,
    backends_per_target: Option<BackendLimit>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
struct Probe {
    enabled: Option<bool>,
    configured: Option<bool>,
    allow: Option<UniqueVec<Allowed>>,
}

impl Probe {
    fn access(&self) -> ProbeAccess {
        let default = ProbeAccess::default();
        ProbeAccess {
            enabled: self.enabled.unwrap_or(default.enabled),
            configured: self.configured.unwrap_or(default.configured),
        }
    }
}

/// The configuration in `document`, which was read from `node`, with the targets that `choice` selects.
fn build<E: From<ConfigError>>(
    source: Source<'_>,
    node: &Node,
    document: Document,
    probe: Probe,
    previous: &Files,
    choice: impl FnOnce(&mut Targets<'_>) -> Result<Vec<Arc<Target>>, E>,
) -> Result<Config, E> {
    let main = |fault: Fault| source.error(&fault);
    let mut pem = PemFiles::new(previous);
    let stores = Stores::load(document.trust_stores, source, &mut pem).map_err(main)?;
    let resolvers = stores::resolvers(document.resolvers).map_err(main)?;
    let settings = Resolved::new(&document.defaults, stores.names(), resolvers.keys().cloned().collect());
    let mut targets = Targets::new(settings, pem);
    source.warn_of_variables(node, &mut targets.warnings);
    let probe_access = probe.access();
    let one_offs = one_offs(probe, &mut targets).map_err(main)?.filter(|_| probe_access.enabled);
    let entries = match node.get(&Step::Key(TARGETS.to_owned())) {
        Some(Node::List(entries)) => entries.as_slice(),
        _ => &[],
    };
    targets.add_entries(source, &Place::default().key(TARGETS), entries).map_err(main)?;
    let mut files = Files::find(document.target_files, source).map_err(main)?;
    files.add_to(&mut targets, source, previous)?;
    targets.warnings.extend(targets.adjusted.warnings());
    let chosen = choice(&mut targets)?;
    let used = |name: fn(&ProbeSettings) -> &Arc<str>| {
        let settings = chosen.iter().map(|target| &target.settings);
        settings.chain(one_offs.iter().map(|one_offs| &one_offs.settings)).map(move |settings| name(settings))
    };
    let mut pem = std::mem::take(&mut targets.pem);
    let trust_stores = stores.used(used(|settings| &settings.trust), source, &mut pem).map_err(main)?;
    files.add_pem(pem);
    let named: BTreeSet<_> = used(|settings| &settings.resolver).collect();
    let resolvers = resolvers.into_iter().filter(|(name, _)| named.contains(name)).collect();
    let limits = Limits {
        concurrent_probes: document.limits.concurrent_probes.and_then(|probes| probes.0),
        backends_per_target: document.limits.backends_per_target.map_or(BACKENDS_PER_TARGET, |limit| limit.0),
    };
    let warnings = targets.warnings;
    Ok(Config {
        targets: chosen,
        shard: Shard::default(),
        other_shards: Vec::new(),
        trust_stores,
        resolvers,
        limits,
        files,
        probe_access,
        one_offs,
        warnings,
    })
}

/// What may be probed on request, with the settings in `defaults`.
fn one_offs(probe: Probe, targets: &mut Targets<'_>) -> Result<Option<OneOffs>, Fault> {
    let patterns = probe.allow.map_or_else(Vec::new, |list| list.0);
    if patterns.is_empty() {
        return Ok(None);
    }
    let settings = targets.default_settings()?;
    let settings = Arc::new(ProbeSettings { samples: 1, ..ProbeSettings::clone(&settings) });
    Ok(Some(OneOffs { allow: Allow::new(patterns.into_iter().map(|pattern| pattern.0)), settings }))
}

/// The directory at which relative paths in the file `origin` begin.
fn folder(origin: &Path) -> &Path {
    origin.parent().unwrap_or_else(|| Path::new(""))
}

const TARGETS: &str = "targets";
const BACKENDS_PER_TARGET: usize = 64;
const ONE_DOCUMENT: &str = "invalid YAML: expected one document, got several";
const NOT_EXPANDED: &str = "environment variables are not expanded";
/// Values of a file with a warning of their own.
const MAX_WARNINGS: usize = 10;
