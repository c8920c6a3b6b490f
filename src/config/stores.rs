//! What targets refer to by name or path: trust stores, resolvers, client certificates.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::error::{ErrorKind, Fault, Place};
use super::files::{Anchors, PemFiles};
use super::machine::system_resolver;
use super::scalar::{
    BUILT_IN_RESOLVER, BUILT_IN_STORES, FilePath, NameServer, ResolverKey, RootSet, StoreKey, UniqueVec,
};
use super::{Source, folder};
use crate::target::{self, ClientCertificateFault as Rejected, ResolverSpec};
use crate::text::utc;
use crate::trust::TrustStore;
use crate::trust::anchors::Roots;
use crate::trust::client_certificate::ClientCertificateError;

/// An entry of `trust_stores`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct Store {
    roots: Option<RootSet>,
    #[serde(default)]
    files: Vec<FilePath>,
}

/// An entry of `resolvers`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct Resolver {
    nameservers: UniqueVec<NameServer>,
    compare: Option<bool>,
}

/// The key `client_certificate` of a target.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping of keys")]
pub(super) struct ClientCertificate {
    cert: FilePath,
    key: FilePath,
}

/// All trust stores that targets can refer to. Files are read immediately, so that a mistake is reported before a store is
/// used; the roots of the system and of Mozilla only if they are used.
pub(super) struct Stores(BTreeMap<Arc<str>, (Roots, Vec<Anchors>)>);

impl Stores {
    /// Loads the stores of the configuration `main`.
    pub(super) fn load(
        defined: BTreeMap<StoreKey, Store>,
        main: Source<'_>,
        pem: &mut PemFiles,
    ) -> Result<Self, Fault> {
        let built_in = BUILT_IN_STORES.into_iter().zip([Roots::System, Roots::Mozilla]);
        let mut stores: BTreeMap<_, _> = built_in.map(|(name, roots)| (name.into(), (roots, Vec::new()))).collect();
        for (StoreKey(name), store) in defined {
            let place = Place::default().key(TRUST_STORES).key(&*name);
            let roots = store.roots.map_or(Roots::None, |roots| roots.0);
            if roots == Roots::None && store.files.is_empty() {
                let message = "empty trust store: expected `roots` or `files`";
                return Err(Fault::new(ErrorKind::Missing, place, message));
            }
            let mut files = Vec::new();
            for (index, file) in store.files.into_iter().enumerate() {
                let place = place.key("files").index(index);
                let describe = |error| Fault::file(place, error, CA_FILE);
                files.push(pem.anchors(folder(main.path).join(file.0), main, describe)?);
            }
            stores.insert(name.into(), (roots, files));
        }
        Ok(Self(stores))
    }

    /// The names of all stores.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.0.keys().cloned().collect()
    }

    /// The stores with these names, complete.
    pub(super) fn used<'a>(
        mut self,
        names: impl Iterator<Item = &'a Arc<str>>,
        main: Source<'_>,
        pem: &mut PemFiles,
    ) -> Result<BTreeMap<Arc<str>, TrustStore>, Fault> {
        let mut used = BTreeMap::new();
        for name in names {
            let Some((roots, files)) = self.0.remove(name) else { continue };
            let place = Place::default().key(TRUST_STORES).key(&**name);
            let describe = |error| Fault::file(place, error, SYSTEM_ROOTS);
            let mut anchors = match roots {
                Roots::System => pem.system_roots(main, describe)?.to_vec(),
                Roots::Mozilla | Roots::None => roots.load().map_err(describe)?,
            };
            anchors.extend(files.iter().flat_map(|file| file.iter().cloned()));
            used.insert(Arc::clone(name), TrustStore::new(name, anchors));
        }
        Ok(used)
    }
}

/// All resolvers that targets can refer to.
pub(super) fn resolvers(defined: BTreeMap<ResolverKey, Resolver>) -> Result<BTreeMap<Arc<str>, ResolverSpec>, Fault> {
    let mut resolvers = BTreeMap::from([(BUILT_IN_RESOLVER.into(), ResolverSpec::System(system_resolver()))]);
    for (ResolverKey(name), resolver) in defined {
        let name_servers: Vec<_> = resolver.nameservers.0.into_iter().map(|server| server.0).collect();
        let count = name_servers.len();
        if !(1..=MAX_NAME_SERVERS).contains(&count) {
            let place = Place::default().key("resolvers").key(name).key("nameservers");
            let message = format!("invalid list: expected 1 to {MAX_NAME_SERVERS} addresses, got {count}");
            return Err(Fault::new(ErrorKind::InvalidValue, place, message));
        }
        let compare = resolver.compare.unwrap_or_default();
        resolvers.insert(name.into(), ResolverSpec::Listed { name_servers, compare });
    }
    Ok(resolvers)
}

impl ClientCertificate {
    /// The certificate, which `source` configures at `place`. Adds a warning if servers reject it.
    pub(super) fn load(
        &self,
        place: &Place,
        source: Source<'_>,
        pem: &mut PemFiles,
        warnings: &mut Vec<String>,
    ) -> Result<Arc<target::ClientCertificate>, Fault> {
        let files = [&self.cert, &self.key].map(|file| folder(source.path).join(&file.0));
        let describe = |error: ClientCertificateError| {
            let [cert, key] = &files;
            let (path, place, expected) = match error.is_of_key() {
                true => (key, place.key("key"), KEY_FILE),
                false => (cert, place.key("cert"), CERT_FILE),
            };
            Fault::file(place, format_args!("{}: {error}", path.display()), expected)
        };
        let (certificate, is_new) = pem.client_certificate(files.clone(), source, describe)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let fault = certificate.fault(now.try_into().unwrap_or(i64::MAX)).filter(|_| is_new);
        warnings.extend(fault.map(|fault| {
            let state = match fault {
                Rejected::Expired => format!("expired on {}", utc(certificate.not_after)),
                Rejected::NotYetValid => format!("is not valid before {}", utc(certificate.not_before)),
                Rejected::WrongPurpose => "does not permit client authentication (extended key usage)".to_owned(),
                Rejected::NoSignatures => "does not permit signatures (key usage)".to_owned(),
                Rejected::IntermediateExpired(end) => format!("has an intermediate that expired on {}", utc(end)),
            };
            source.warning(&place.key("cert"), format!("{}: client certificate {state}", certificate.file.display()))
        }));
        Ok(certificate)
    }
}

const TRUST_STORES: &str = "trust_stores";
const CA_FILE: &str = "a PEM file with one or more CA certificates";
const SYSTEM_ROOTS: &str = "roots from the package ca-certificates or SSL_CERT_FILE, or `trust: mozilla`";
const CERT_FILE: &str = "a PEM file with the certificate, then its intermediates";
const KEY_FILE: &str = "a PEM file with the private key of the certificate";
const MAX_NAME_SERVERS: usize = 16;
