//! Trust stores: named sets of trusted roots.

use std::sync::Arc;

use rustls_pki_types::TrustAnchor;
use sha2::{Digest, Sha256};

pub mod anchors;
pub mod client_certificate;

/// The roots that the chains of a target must build to.
#[derive(Clone, Debug)]
pub struct TrustStore {
    name: Arc<str>,
    anchors: Arc<[TrustAnchor<'static>]>,
    id: [u8; 32],
}

impl TrustStore {
    /// A store named `name` in the configuration.
    pub fn new(name: &str, anchors: Vec<TrustAnchor<'static>>) -> Self {
        let mut hash = Sha256::new();
        for anchor in &anchors {
            let constraints = anchor.name_constraints.as_deref().unwrap_or_default();
            for part in [anchor.subject.as_ref(), anchor.subject_public_key_info.as_ref(), constraints] {
                hash.update(part.len().to_be_bytes());
                hash.update(part);
            }
        }
        Self { name: name.into(), anchors: anchors.into(), id: hash.finalize().into() }
    }

    /// The name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The trusted roots.
    pub fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
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
