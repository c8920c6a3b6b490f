//! Trust stores: named sets of trusted roots. Keys and certificates of the exporter itself.

use std::sync::Arc;

use rustls::CertificateError;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;

pub mod anchors;
pub mod client_certificate;
pub mod server_tls;

/// What a chain may end at: a certificate, or only a name and a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    anchor: TrustAnchor<'static>,
    certificate: Option<CertificateDer<'static>>,
}

impl Root {
    /// A root with its dates and extensions, which senders check.
    ///
    /// # Errors
    /// If the certificate is not usable as a trust anchor.
    pub fn new(certificate: &CertificateDer<'_>) -> Result<Self, webpki::Error> {
        let anchor = webpki::anchor_from_trusted_cert(certificate)?.to_owned();
        Ok(Self { anchor, certificate: Some(certificate.clone().into_owned()) })
    }

    /// Its name, key and name constraints.
    pub fn anchor(&self) -> &TrustAnchor<'static> {
        &self.anchor
    }

    /// Its certificate; none if only name, key and name constraints are known.
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.certificate.as_ref()
    }
}

/// Checks that a certificate is valid at this time (RFC 5280 §4.1.2.5).
///
/// # Errors
/// If it is not valid yet, or has expired.
pub(crate) fn check_dates(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    match certificate.validity() {
        validity if now < validity.not_before.timestamp() => Err(CertificateError::NotValidYet),
        validity if now > validity.not_after.timestamp() => Err(CertificateError::Expired),
        _ => Ok(()),
    }
}

/// A root without dates: it never expires.
impl From<TrustAnchor<'static>> for Root {
    fn from(anchor: TrustAnchor<'static>) -> Self {
        Self { anchor, certificate: None }
    }
}

/// The roots that the chains of a target must build to.
#[derive(Clone, Debug)]
pub struct TrustStore {
    name: Arc<str>,
    roots: Arc<[Root]>,
    id: [u8; 32],
}

impl TrustStore {
    /// A store named `name` in the configuration.
    pub fn new(name: &str, roots: Vec<Root>) -> Self {
        let mut hash = Sha256::new();
        for Root { anchor, certificate } in &roots {
            let constraints = anchor.name_constraints.as_deref().unwrap_or_default();
            let certificate = certificate.as_deref().unwrap_or_default();
            for part in [&*anchor.subject, &*anchor.subject_public_key_info, constraints, certificate] {
                hash.update(part.len().to_be_bytes());
                hash.update(part);
            }
        }
        Self { name: name.into(), roots: roots.into(), id: hash.finalize().into() }
    }

    /// The name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The trusted roots.
    pub fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// Whether exactly this certificate is in the store.
    pub fn contains(&self, certificate: &CertificateDer<'_>) -> bool {
        self.roots
            .iter()
            .any(|root| root.certificate.as_ref().is_some_and(|root| root.as_ref() == certificate.as_ref()))
    }

    /// A hash over the roots in their order. Does not depend on the name.
    pub fn id(&self) -> [u8; 32] {
        self.id
    }
}

impl PartialEq for TrustStore {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.id == other.id
    }
}
