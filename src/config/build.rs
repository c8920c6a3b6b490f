//! From the file as it is written to the typed config: once, and with nothing left to check.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::TrustAnchor;

use super::error::{ConfigError, ErrorKind, Fault};
use super::keys::Settings;
use super::raw::{self, Document};
use super::scalar::{BUILT_IN_RESOLVER, BUILT_IN_STORES, ResolverKey, StoreKey};
use super::settings::{Own, Policies};
use super::target_files::TargetFiles;
use super::targets::Targets;
use super::{Config, Limits, OneOffs, folder};
use crate::target::{Allow, ProbeSettings, ResolverSpec, Target};
use crate::trust::TrustStore;
use crate::trust::anchors::{self, Roots};

/// The config of a document that stands in the file `origin`, at whose folder its relative paths begin.
pub(super) fn config(document: Document, target_files: TargetFiles, origin: &Path) -> Result<Config, ConfigError> {
    let all = |targets: Targets<'_>| -> Result<_, ConfigError> { Ok(targets.made) };
    let config = choose(document, target_files, origin, all)?;
    if config.targets.is_empty() && !config.target_files.are_named() && config.one_offs.is_none() {
        let fault = Fault::at(ErrorKind::Missing, "targets", "no targets", "at least one, here or in `target_files`");
        return Err(ConfigError::new(origin, fault));
    }
    Ok(config)
}

/// Likewise with the targets that `choice` makes of all that the document and its target files give, and what those
/// need.
pub(super) fn choose<E: From<ConfigError>>(
    document: Document,
    target_files: TargetFiles,
    origin: &Path,
    choice: impl FnOnce(Targets<'_>) -> Result<Vec<Arc<Target>>, E>,
) -> Result<Config, E> {
    let main = |fault| ConfigError::new(origin, fault);
    let stores = Stores::load(document.trust_stores.0, folder(origin)).map_err(main)?;
    let resolvers = resolvers(document.resolvers.0).map_err(main)?;
    let store_names = stores.0.keys().cloned().collect();
    let resolver_names = resolvers.keys().cloned().collect();
    let mut policies = Policies::new(origin, &document.defaults, store_names, resolver_names);
    let one_offs = one_offs(document.probe, &mut policies).map_err(main)?;
    let mut targets = Targets::new(policies);
    let file: Arc<Path> = origin.into();
    for (index, entry) in document.targets.into_iter().enumerate() {
        targets.add_entry(&file, &format!("targets[{index}]"), entry).map_err(main)?;
    }
    for path in target_files.paths() {
        targets.add_file(path).map_err(|fault| ConfigError::new(path, fault))?;
    }
    let targets = choice(targets)?;
    let used = |name: fn(&ProbeSettings) -> &Arc<str>| {
        let policies = targets.iter().map(|target| &target.settings);
        policies.chain(one_offs.iter().map(|one_offs| &one_offs.settings)).map(move |settings| name(settings))
    };
    let trust_stores = stores.used(used(|settings| &settings.trust)).map_err(main)?;
    let named: BTreeSet<_> = used(|settings| &settings.resolver).collect();
    let resolvers = resolvers.into_iter().filter(|(name, _)| named.contains(name)).collect();
    let limits = Limits {
        concurrent_probes: document.limits.concurrent_probes.and_then(|it| it.0),
        backends_per_target: document.limits.backends_per_target.map_or(BACKENDS_PER_TARGET, |it| it.0),
    };
    Ok(Config { targets, trust_stores, resolvers, limits, target_files, one_offs })
}

/// What may be probed that is no target, with settings from `defaults` alone.
fn one_offs(probe: raw::Probe, policies: &mut Policies<'_>) -> Result<Option<OneOffs>, Fault> {
    let patterns = probe.allow.map(|list| list.0).unwrap_or_default();
    if patterns.is_empty() {
        return Ok(None);
    }
    let own = Own { client_certificate: None, certificate_file: None };
    let settings = policies.settings("probe", Settings::default(), own)?;
    let settings = Arc::new(ProbeSettings { samples: 1, ..ProbeSettings::clone(&settings) });
    Ok(Some(OneOffs { allow: Allow::new(patterns.into_iter().map(|pattern| pattern.0)), settings }))
}

/// All trust stores that a target can name. The files are read at once, so that a mistake shows before the store
/// is used; the system's and Mozilla's roots only when they are.
struct Stores(BTreeMap<Arc<str>, Store>);

struct Store {
    roots: Roots,
    anchors: Vec<TrustAnchor<'static>>,
}

impl Stores {
    fn load(defined: BTreeMap<StoreKey, raw::Store>, folder: &Path) -> Result<Self, Fault> {
        let mut stores = BTreeMap::new();
        for (word, roots) in BUILT_IN_STORES.into_iter().zip([Roots::System, Roots::Mozilla]) {
            stores.insert(word.into(), Store { roots, anchors: Vec::new() });
        }
        for (name, store) in defined {
            let place = format!("trust_stores.{}", name.0);
            let roots = store.roots.map_or(Roots::None, |roots| roots.0);
            if roots == Roots::None && store.files.is_empty() {
                return Err(Fault::at(ErrorKind::Missing, place, "neither roots nor files", "at least one of them"));
            }
            let mut anchors = Vec::new();
            for (index, file) in store.files.into_iter().enumerate() {
                let loaded = anchors::from_file(&folder.join(file.0)).map_err(|error| {
                    let place = format!("{place}.files[{index}]");
                    Fault::file(place, error, "a PEM file with one or more CA certificates")
                })?;
                anchors.extend(loaded);
            }
            stores.insert(name.0.into(), Store { roots, anchors });
        }
        Ok(Self(stores))
    }

    /// The stores of these names, complete.
    fn used<'a>(mut self, names: impl Iterator<Item = &'a Arc<str>>) -> Result<BTreeMap<Arc<str>, TrustStore>, Fault> {
        let mut used = BTreeMap::new();
        for name in names {
            let Some(store) = self.0.remove(name) else { continue };
            let mut anchors =
                store.roots.load().map_err(|error| Fault::file(format!("trust store {name}"), error, NO_ROOTS_HELP))?;
            anchors.extend(store.anchors);
            used.insert(Arc::clone(name), TrustStore::new(name, anchors));
        }
        Ok(used)
    }
}

fn resolvers(defined: BTreeMap<ResolverKey, raw::Resolver>) -> Result<BTreeMap<Arc<str>, ResolverSpec>, Fault> {
    let mut resolvers = BTreeMap::from([(BUILT_IN_RESOLVER.into(), ResolverSpec::System)]);
    for (name, resolver) in defined {
        let name_servers: Vec<_> = resolver.nameservers.0.into_iter().map(|server| server.0).collect();
        let count = name_servers.len();
        if !(1..=MAX_NAME_SERVERS).contains(&count) {
            let place = format!("resolvers.{}.nameservers", name.0);
            let (found, allowed) = (format!("{count} addresses"), format!("1 to {MAX_NAME_SERVERS}"));
            return Err(Fault::at(ErrorKind::InvalidValue, place, found, allowed));
        }
        let compare = resolver.compare.is_some_and(|compare| compare.0);
        resolvers.insert(name.0.into(), ResolverSpec::Listed { name_servers, compare });
    }
    Ok(resolvers)
}

const NO_ROOTS_HELP: &str = "roots from the package ca-certificates or SSL_CERT_FILE, or `trust: mozilla`";
const BACKENDS_PER_TARGET: usize = 64;
const MAX_NAME_SERVERS: usize = 16;
