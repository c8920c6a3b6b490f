//! Loads client certificates and their private keys from PEM files.

use std::fmt;
use std::path::Path;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
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
    let parsed: Vec<_> = chain.iter().map(|der| X509Certificate::from_der(der).ok().map(|(_, found)| found)).collect();
    let leaf = parsed.first().and_then(Option::as_ref).ok_or(Failed::Malformed)?;
    if let Some(public) = signer.public_key() {
        let is_of_key = |certificate: &X509Certificate<'_>| certificate.public_key().raw == public.as_ref();
        match parsed.iter().position(|certificate| certificate.as_ref().is_some_and(is_of_key)) {
            Some(0) => {}
            Some(index) => return Err(Failed::LeafNotFirst { number: index + 1 }),
            None => return Err(Failed::OtherKey),
        }
    }
    let [not_before, not_after] = [leaf.validity().not_before, leaf.validity().not_after].map(|time| time.timestamp());
    let permits_signatures = match leaf.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.digital_signature()),
        Err(_) => false,
    };
    let path = issuers_of(leaf, &parsed);
    let permits_client_auth = path.iter().chain([&leaf]).all(|certificate| permits_client_auth(certificate));
    Ok(ClientCertificate {
        file: cert.to_owned(),
        subject: printable(&leaf.subject().to_string(), MAX_NAME_CHARS).into(),
        issuer: printable(&leaf.issuer().to_string(), MAX_NAME_CHARS).into(),
        issuers: parsed.iter().flatten().map(|each| each.issuer().as_raw().into()).collect(),
        intermediates_not_after: path.iter().map(|each| each.validity().not_after.timestamp()).min(),
        not_before,
        not_after,
        permits_signatures,
        permits_client_auth,
        key: private,
        chain: chain.clone(),
    })
}

/// The issuers of `leaf` in the file, nearest first. Other certificates are sent, but are on no path.
fn issuers_of<'a>(leaf: &X509Certificate<'_>, all: &'a [Option<X509Certificate<'a>>]) -> Vec<&'a X509Certificate<'a>> {
    let mut path: Vec<&X509Certificate<'a>> = Vec::new();
    let mut wanted = leaf.issuer().as_raw();
    while let Some(issuer) = all.iter().skip(1).flatten().find(|each| each.subject().as_raw() == wanted) {
        if path.len() == all.len() || issuer.issuer() == issuer.subject() {
            break;
        }
        path.push(issuer);
        wanted = issuer.issuer().as_raw();
    }
    path
}

/// Whether the extended key usage permits client authentication (RFC 5280 §4.2.1.12). OpenSSL, and with it most servers,
/// does not count anyExtendedKeyUsage. An extension that cannot be parsed permits nothing.
fn permits_client_auth(certificate: &X509Certificate<'_>) -> bool {
    match certificate.extended_key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.client_auth),
        Err(_) => false,
    }
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
    /// The key is not the one of a certificate in the file with the chain.
    OtherKey,
    /// The key is the one of a later certificate.
    LeafNotFirst {
        /// Its position in the file, from 1.
        number: usize,
    },
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
            Self::LeafNotFirst { number } => {
                write!(f, "the private key belongs to certificate {number} of the file, which must be the first one")
            }
        }
    }
}

impl std::error::Error for ClientCertificateError {}

const MAX_NAME_CHARS: usize = 200;
