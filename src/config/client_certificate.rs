//! Loads client certificates, each pair of files once.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::error::Fault;
use super::keys;
use crate::target::ClientCertificate;
use crate::trust::anchors;

/// The certificates that were loaded already, by their files.
#[derive(Default)]
pub(super) struct ClientCertificates(HashMap<(PathBuf, PathBuf), ClientCertificate>);

impl ClientCertificates {
    /// The certificate of the target at `place`; relative paths begin at `folder`.
    pub(super) fn load(
        &mut self,
        place: &str,
        folder: &Path,
        files: keys::ClientCertificate,
    ) -> Result<ClientCertificate, Fault> {
        let files = (folder.join(files.cert.0), folder.join(files.key.0));
        if let Some(loaded) = self.0.get(&files) {
            return Ok(loaded.clone());
        }
        let (cert, key) = &files;
        let cert_fault = |found: &dyn Display| Fault::file(format!("{place}.cert"), found, CERT);
        let key_fault = |found: &dyn Display| Fault::file(format!("{place}.key"), found, KEY);
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
        let loaded = ClientCertificate::new(chain, private);
        self.0.insert(files, loaded.clone());
        Ok(loaded)
    }
}

const CERT: &str = "a PEM file with the certificate, then its intermediates";
const KEY: &str = "a PEM file with the private key of the certificate";
