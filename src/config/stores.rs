//! What targets refer to by name or path: trust stores, resolvers, client certificates.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::TrustAnchor;
use serde::Deserialize;

use super::error::{ErrorKind, Fault, Place};
use super::scalar::{
    BUILT_IN_RESOLVER, BUILT_IN_STORES, FilePath, NameServer, ResolverKey, RootSet, StoreKey, UniqueVec,
};
use crate::target::{self, ResolverSpec};
use crate::trust::TrustStore;
use crate::trust::anchors::{self, Roots};

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
pub(super) struct Stores(BTreeMap<Arc<str>, (Roots, Vec<TrustAnchor<'static>>)>);

impl Stores {
    /// Loads the stores of the configuration; relative paths begin at `folder`.
    pub(super) fn load(defined: BTreeMap<StoreKey, Store>, folder: &Path) -> Result<Self, Fault> {
        let built_in = BUILT_IN_STORES.into_iter().zip([Roots::System, Roots::Mozilla]);
        let mut stores: BTreeMap<_, _> = built_in.map(|(name, roots)| (name.into(), (roots, Vec::new()))).collect();
        for (StoreKey(name), store) in defined {
            let place = Place::default().key(TRUST_STORES).key(&*name);
            let roots = store.roots.map_or(Roots::None, |roots| roots.0);
            if roots == Roots::None && store.files.is_empty() {
                return Err(Fault::new(ErrorKind::Missing, place, "empty trust store: expected `roots` or `files`"));
            }
            let mut anchors = Vec::new();
            for (index, file) in store.files.into_iter().enumerate() {
                let loaded = anchors::from_file(&folder.join(file.0));
                let place = || place.key("files").index(index);
                anchors.extend(loaded.map_err(|error| Fault::file(place(), error, CA_FILE))?);
            }
            stores.insert(name.into(), (roots, anchors));
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
    ) -> Result<BTreeMap<Arc<str>, TrustStore>, Fault> {
        let mut used = BTreeMap::new();
        for name in names {
            let Some((roots, files)) = self.0.remove(name) else { continue };
            let place = || Place::default().key(TRUST_STORES).key(&**name);
            let mut anchors = roots.load().map_err(|error| Fault::file(place(), error, SYSTEM_ROOTS))?;
            anchors.extend(files);
            used.insert(Arc::clone(name), TrustStore::new(name, anchors));
        }
        Ok(used)
    }
}

/// All resolvers that targets can refer to.
pub(super) fn resolvers(defined: BTreeMap<ResolverKey, Resolver>) -> Result<BTreeMap<Arc<str>, ResolverSpec>, Fault> {
    let mut resolvers = BTreeMap::from([(BUILT_IN_RESOLVER.into(), ResolverSpec::System)]);
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

/// Loads client certificates, each pair of files once.
#[derive(Default)]
pub(super) struct ClientCertificates(HashMap<(PathBuf, PathBuf), target::ClientCertificate>);

impl ClientCertificates {
    /// The certificate that is configured at `place`; relative paths begin at `folder`.
    pub(super) fn load(
        &mut self,
        place: &Place,
        folder: &Path,
        files: &ClientCertificate,
    ) -> Result<target::ClientCertificate, Fault> {
        let files = (folder.join(&files.cert.0), folder.join(&files.key.0));
        if let Some(loaded) = self.0.get(&files) {
            return Ok(loaded.clone());
        }
        let (cert, key) = &files;
        let cert_fault = |error: &dyn Display| Fault::file(place.key("cert"), error, CERT_FILE);
        let key_fault = |error: &dyn Display| Fault::file(place.key("key"), error, KEY_FILE);
        let chain = anchors::certificates(cert).map_err(|error| cert_fault(&error))?;
        let private = anchors::private_key(key).map_err(|error| key_fault(&error))?;
        let signer = any_supported_type(&private).map_err(|_| {
            key_fault(&format_args!("{}: private key is invalid or of an unsupported type", key.display()))
        })?;
        match CertifiedKey::new(chain.clone(), signer).keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => {
                return Err(key_fault(&format_args!("{}: private key does not match the certificate", key.display())));
            }
            Err(_) => {
                return Err(cert_fault(&format_args!("{}: first certificate cannot be parsed", cert.display())));
            }
        }
        let loaded = target::ClientCertificate::new(chain, private);
        self.0.insert(files, loaded.clone());
        Ok(loaded)
    }
}

const TRUST_STORES: &str = "trust_stores";
const CA_FILE: &str = "a PEM file with one or more CA certificates";
const SYSTEM_ROOTS: &str = "roots from the package ca-certificates or SSL_CERT_FILE, or `trust: mozilla`";
const CERT_FILE: &str = "a PEM file with the certificate, then its intermediates";
const KEY_FILE: &str = "a PEM file with the private key of the certificate";
const MAX_NAME_SERVERS: usize = 16;
