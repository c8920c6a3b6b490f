//! From the file as it is written to the typed config: once, and with nothing left to check.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::TrustAnchor;

use super::client_certificate::ClientCertificates;
use super::error::{Fault, quoted};
use super::policy::{Own, Policies};
use super::raw::{self, Document, Hosts};
use super::scalar::{BUILT_IN_RESOLVER, BUILT_IN_STORES, CertName, Host, Name, Port, ResolverKey, StoreKey};
use super::{Config, Limits};
use crate::anchors::{self, Roots};
use crate::target::{Endpoint, HostTarget, Labels, ResolverSpec, ServerName, Target, TargetKind, TargetName, TlsMode};
use crate::trust::TrustStore;

/// Relative paths in the document begin at `folder`.
pub(super) fn config(document: Document, folder: &Path) -> Result<Config, Fault> {
    let stores = Stores::load(document.trust_stores.0, folder)?;
    let resolvers = resolvers(document.resolvers.0)?;
    let policies =
        Policies::new(&document.defaults, stores.0.keys().cloned().collect(), resolvers.keys().cloned().collect());
    let mut targets = Targets {
        folder,
        policies,
        certificates: ClientCertificates::default(),
        places: HashMap::new(),
        made: Vec::new(),
    };
    for (index, target) in document.targets.into_iter().enumerate() {
        targets.add(&format!("targets[{index}]"), target)?;
    }
    let targets = targets.made;
    if targets.is_empty() {
        return Err(Fault::at("targets", "no targets", "at least one"));
    }
    let used = |name: fn(&Target) -> &Arc<str>| targets.iter().map(move |target| name(target));
    let trust_stores = stores.used(used(|target| &target.policy.trust))?;
    let named: BTreeSet<_> = used(|target| &target.policy.resolver).collect();
    let resolvers = resolvers.into_iter().filter(|(name, _)| named.contains(name)).collect();
    let limits = Limits {
        concurrent_probes: document.limits.concurrent_probes.and_then(|it| it.0),
        backends_per_target: document.limits.backends_per_target.map_or(BACKENDS_PER_TARGET, |it| it.0),
    };
    Ok(Config { targets, trust_stores, resolvers, limits })
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
                return Err(Fault::at(place, "neither roots nor files", "one of them at least"));
            }
            let mut anchors = Vec::new();
            for (index, file) in store.files.into_iter().enumerate() {
                let loaded = anchors::from_file(&folder.join(file.0)).map_err(|error| {
                    Fault::at(format!("{place}.files[{index}]"), error, "a PEM file with one or more CA certificates")
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
                store.roots.load().map_err(|error| Fault::at(format!("trust store {name}"), error, NO_ROOTS_HELP))?;
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
            return Err(Fault::at(place, format_args!("{count} addresses"), format_args!("1 to {MAX_NAME_SERVERS}")));
        }
        let compare = resolver.compare.is_some_and(|compare| compare.0);
        resolvers.insert(name.0.into(), ResolverSpec::Listed { name_servers, compare });
    }
    Ok(resolvers)
}

/// The targets so far.
struct Targets<'a> {
    folder: &'a Path,
    policies: Policies<'a>,
    certificates: ClientCertificates,
    /// Where each name was given first.
    places: HashMap<TargetName, String>,
    made: Vec<Arc<Target>>,
}

impl Targets<'_> {
    /// Adds what the entry at `place` expands to.
    fn add(&mut self, place: &str, mut target: raw::Target) -> Result<(), Fault> {
        let settings = target.take_settings();
        let client_certificate = match target.client_certificate.take() {
            Some(files) => Some(self.certificates.load(&format!("{place}.client_certificate"), self.folder, files)?),
            None => None,
        };
        let certificate_file = target.certificate_file.take().map(|file| self.folder.join(file.0).into());
        let policy = self.policies.policy(place, settings, Own { client_certificate, certificate_file })?;
        let labels = Labels::new(target.labels.0.into_iter().map(|(name, value)| (name.0, value.0)));
        let Port(port) = target.port.unwrap_or(Port(SUBMISSION));
        let tls = target.tls.map_or_else(|| TlsMode::customary(port), |tls| tls.0);
        let addresses: Vec<_> =
            target.addresses.map_or_else(Vec::new, |list| list.0.into_iter().map(|it| it.0).collect());
        let server_name = target.server_name.map(|CertName(name)| name);

        for (host, place, name) in named(place, target.host, target.name, port)? {
            if let Some(first) = self.places.get(&name) {
                let found = format!("the name {} a second time, after {first}", quoted(name.as_str()));
                return Err(Fault::at(place, found, "a name of its own (key `name`) for each target"));
            }
            self.places.insert(name.clone(), place);
            let server_name = server_name.clone().unwrap_or_else(|| host.clone());
            let endpoint = Arc::new(Endpoint { server_name, port, tls });
            let kind = TargetKind::Host(HostTarget { host, addresses: addresses.clone(), endpoint });
            self.made.push(Arc::new(Target { name, kind, labels: labels.clone(), policy: Arc::clone(&policy) }));
        }
        Ok(())
    }
}

/// Each host of an entry with the place and the text of its target's name.
fn named(
    place: &str,
    hosts: Hosts,
    name: Option<Name>,
    port: u16,
) -> Result<Vec<(ServerName, String, TargetName)>, Fault> {
    let customary = |host: &ServerName| {
        TargetName::new(&match host.ip() {
            Some(ip) => SocketAddr::new(ip, port).to_string(),
            None => format!("{host}:{port}"),
        })
    };
    match (hosts, name) {
        (Hosts::One(Host(host)), Some(Name(name))) => Ok(vec![(host, format!("{place}.name"), name)]),
        (Hosts::One(Host(host)), None) => {
            let name = customary(&host);
            Ok(name.map(|name| (host, format!("{place}.host"), name)).into_iter().collect())
        }
        (Hosts::Many(hosts), _) if hosts.is_empty() => {
            Err(Fault::at(format!("{place}.host"), "an empty list", "at least one host"))
        }
        (Hosts::Many(_), Some(Name(name))) => {
            let found = format!("the name {} for a list of hosts, each of which is a target", quoted(name.as_str()));
            Err(Fault::at(
                format!("{place}.name"),
                found,
                "a name of its own for each target: give one host, or no name",
            ))
        }
        (Hosts::Many(hosts), None) => {
            let each = |(index, Host(host)): (usize, Host)| {
                let name = customary(&host)?;
                Some((host, format!("{place}.host[{index}]"), name))
            };
            Ok(hosts.into_iter().enumerate().filter_map(each).collect())
        }
    }
}

const NO_ROOTS_HELP: &str = "roots from the package ca-certificates or SSL_CERT_FILE, or `trust: mozilla`";
const SUBMISSION: u16 = 587;
const BACKENDS_PER_TARGET: usize = 64;
const MAX_NAME_SERVERS: usize = 16;
