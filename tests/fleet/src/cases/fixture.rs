//! The authorities and keys that most cases use.

use rustls_pki_types::CertificateDer;

use super::{Case, HOST};
use crate::Identity;
use crate::pki::x509::{Ca, CertBuilder, Key, KeyAlgorithm};

pub(super) struct Fixture {
    /// The trusted root.
    pub(super) root: Ca,
    /// The default issuer, under that root.
    pub(super) intermediate: Ca,
    /// An untrusted root.
    pub(super) untrusted_root: Ca,
    /// The server's key.
    pub(super) key: Key,
    /// Generated once, because that is slow.
    pub(super) rsa_1024: Key,
    pub(super) rsa_2048: Key,
    pub(super) rsa_4096: Key,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let root = Ca::root(&CertBuilder::authority("Root"), &p256());
        Self {
            intermediate: root.sub(&CertBuilder::authority("Intermediate"), &p256()),
            root,
            untrusted_root: Ca::root(&CertBuilder::authority("Untrusted Root"), &p256()),
            key: p256(),
            rsa_1024: Key::generate(KeyAlgorithm::Rsa1024),
            rsa_2048: Key::generate(KeyAlgorithm::Rsa2048),
            rsa_4096: Key::generate(KeyAlgorithm::Rsa4096),
        }
    }

    /// A certificate from the intermediate, which is presented with it.
    pub(super) fn case(&self, name: &'static str, builder: &CertBuilder) -> Case {
        self.issued_by(name, &self.intermediate, builder)
    }

    /// A certificate from `issuer`, which is presented with it.
    pub(super) fn issued_by(&self, name: &'static str, issuer: &Ca, builder: &CertBuilder) -> Case {
        self.chain(name, vec![issuer.issue(builder, &self.key), issuer.der()])
    }

    /// A certificate from an intermediate under `root`, which is the trusted root.
    pub(super) fn under_root(&self, name: &'static str, root: &Ca, builder: &CertBuilder) -> Case {
        self.issued_by(name, &root.sub(&authority(), &p256()), builder).with_roots(&[&root.der()])
    }

    /// This chain, with the server's key and the trusted root.
    pub(super) fn chain(&self, name: &'static str, chain: Vec<CertificateDer<'static>>) -> Case {
        self.with_identity(name, self.key.identity(chain))
    }

    /// This identity, with the trusted root.
    pub(super) fn with_identity(&self, name: &'static str, identity: Identity) -> Case {
        Case::new(name, identity, vec![self.root.der()])
    }

    /// A certificate from the intermediate.
    pub(super) fn leaf(&self, builder: &CertBuilder) -> CertificateDer<'static> {
        self.intermediate.issue(builder, &self.key)
    }

    /// Another authority under the trusted root.
    pub(super) fn sub(&self, spec: &CertBuilder) -> Ca {
        self.root.sub(spec, &p256())
    }
}

/// A correct server certificate.
pub(super) fn leaf() -> CertBuilder {
    CertBuilder::leaf(&[HOST])
}

/// A correct CA certificate for an issuer other than the default one.
pub(super) fn authority() -> CertBuilder {
    CertBuilder::authority("Other Intermediate")
}

pub(super) fn p256() -> Key {
    Key::generate(KeyAlgorithm::P256)
}

/// Seconds.
pub(super) const HOUR: i64 = 3_600;
pub(super) const DAY: i64 = 86_400;
