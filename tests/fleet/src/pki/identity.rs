//! A certificate with its chain and key.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate chain and the private key of its leaf. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

impl Identity {
    /// A chain, leaf first, and a key that aws-lc-rs supports.
    /// Nothing is checked: the key may belong to another certificate.
    ///
    /// # Panics
    /// If aws-lc-rs does not support the key.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        let signer = aws_lc_rs::sign::any_supported_type(&key).expect("a supported key");
        Self::from_parts(chain, Some(key), signer, None)
    }

    /// A chain whose handshakes are signed by `signer`, for keys that aws-lc-rs rejects.
    pub fn with_signer(chain: Vec<CertificateDer<'static>>, signer: Arc<dyn SigningKey>) -> Self {
        Self::from_parts(chain, None, signer, None)
    }

    pub(super) fn from_parts(
        chain: Vec<CertificateDer<'static>>,
        key: Option<PrivateKeyDer<'static>>,
        signer: Arc<dyn SigningKey>,
        staple: Option<Vec<u8>>,
    ) -> Self {
        Self(Arc::new(Inner { chain, key, signer, staple }))
    }

    /// The same key with another chain, for example padded, reordered or truncated.
    pub fn with_chain(&self, chain: Vec<CertificateDer<'static>>) -> Self {
        let key = self.0.key.as_ref().map(PrivateKeyDer::clone_key);
        let staple = self.0.staple.clone();
        Self::from_parts(chain, key, Arc::clone(&self.0.signer), staple)
    }

    /// The same identity with an OCSP response stapled to the handshake (RFC 6066 §8).
    pub fn with_staple(&self, response: Vec<u8>) -> Self {
        let key = self.0.key.as_ref().map(PrivateKeyDer::clone_key);
        let chain = self.0.chain.clone();
        Self::from_parts(chain, key, Arc::clone(&self.0.signer), Some(response))
    }

    /// The certificates that are sent, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.chain
    }

    /// The private key; `None` if the identity was created with a signer.
    pub fn key(&self) -> Option<&PrivateKeyDer<'static>> {
        self.0.key.as_ref()
    }

    /// The leaf certificate.
    ///
    /// # Panics
    /// If the chain is empty.
    pub fn leaf_der(&self) -> &CertificateDer<'static> {
        self.0.chain.first().expect("a chain has a leaf")
    }

    /// The chain as PEM, leaf first.
    pub fn chain_pem(&self) -> String {
        self.0.chain.iter().map(certificate_pem).collect()
    }

    /// The private key as PEM.
    ///
    /// # Panics
    /// If the identity was created with a signer.
    pub fn key_pem(&self) -> String {
        let key = self.0.key.as_ref().expect("an identity with a key");
        let label = match key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        pem::encode(&pem::Pem::new(label, key.secret_der()))
    }

    /// The form that rustls uses.
    pub(crate) fn certified(&self) -> CertifiedKey {
        let mut certified = CertifiedKey::new(self.0.chain.clone(), Arc::clone(&self.0.signer));
        certified.ocsp.clone_from(&self.0.staple);
        certified
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.0.chain.len()).finish_non_exhaustive()
    }
}

pub(super) fn certificate_pem(der: &CertificateDer<'_>) -> String {
    pem::encode(&pem::Pem::new("CERTIFICATE", der.as_ref()))
}

struct Inner {
    chain: Vec<CertificateDer<'static>>,
    key: Option<PrivateKeyDer<'static>>,
    signer: Arc<dyn SigningKey>,
    staple: Option<Vec<u8>>,
}
