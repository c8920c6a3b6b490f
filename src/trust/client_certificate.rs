//! Loads client certificates and their private keys from PEM files.

use std::fmt;
use std::path::Path;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::anchors::{self, PemFileError};
use crate::target::ClientCertificate;
use crate::text::printable;

/// Loads the chain in the PEM file `cert`, leaf first, and the key of the leaf in the PEM file `key`.
///
/// # Errors
/// If a file cannot be read or has no usable content, or the key is not the one of the leaf.
pub fn load(cert: &Path, key: &Path) -> Result<ClientCertificate, ClientCertificateError> {
    use ClientCertificateError as Failed;
    let chain = anchors::certificates(cert).map_err(Failed::Cert)?;
    let private = anchors::private_key(key).map_err(Failed::Key)?;
    let signer = any_supported_type(&private).map_err(|_| Failed::UnusableKey)?;
    match CertifiedKey::new(chain.clone(), signer).keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(Error::InconsistentKeys(_)) => return Err(Failed::OtherKey),
        Err(_) => return Err(Failed::Malformed),
    }
    let parse = |der| Some(X509Certificate::from_der(der).ok()?.1);
    let leaf = chain.first().and_then(|leaf| parse(leaf)).ok_or(Failed::Malformed)?;
    let [not_before, not_after] = [leaf.validity().not_before, leaf.validity().not_after].map(|time| time.timestamp());
    // RFC 5280 §4.2.1.12. An extension that cannot be parsed permits nothing.
    let permits_client_auth = match leaf.extended_key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.client_auth || usage.value.any),
        Err(_) => false,
    };
    let permits_signatures = match leaf.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.digital_signature()),
        Err(_) => false,
    };
    let certificates = || chain.iter().filter_map(|der| parse(der));
    Ok(ClientCertificate {
        file: cert.to_owned(),
        subject: printable(&leaf.subject().to_string(), MAX_NAME_CHARS).into(),
        issuer: printable(&leaf.issuer().to_string(), MAX_NAME_CHARS).into(),
        issuers: certificates().map(|each| each.issuer().as_raw().into()).collect(),
        intermediates_not_after: certificates().skip(1).map(|each| each.validity().not_after.timestamp()).min(),
        not_before,
        not_after,
        permits_signatures,
        permits_client_auth,
        key: private,
        chain: chain.clone(),
    })
}

/// Why a client certificate cannot be loaded.
#[derive(Debug)]
pub enum ClientCertificateError {
    /// The file with the chain is unusable.
    Cert(PemFileError),
    /// The first certificate of the chain cannot be parsed.
    Malformed,
    /// The file with the key is unusable.
    Key(PemFileError),
    /// The key is invalid or of an unsupported type.
    UnusableKey,
    /// The key is not the one of the first certificate.
    OtherKey,
}

impl ClientCertificateError {
    /// Whether the file with the key is at fault rather than the one with the chain.
    pub const fn is_of_key(&self) -> bool {
        matches!(self, Self::Key(_) | Self::UnusableKey | Self::OtherKey)
    }
}

impl fmt::Display for ClientCertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cert(error) | Self::Key(error) => error.fault.fmt(f),
            Self::Malformed => f.write_str("first certificate cannot be parsed"),
            Self::UnusableKey => f.write_str("private key is invalid or of an unsupported type"),
            Self::OtherKey => f.write_str("private key does not match the certificate"),
        }
    }
}

impl std::error::Error for ClientCertificateError {}

const MAX_NAME_CHARS: usize = 200;
