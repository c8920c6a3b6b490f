//! A bound on the work for one presented chain, so that no server can make judging slow.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

/// The work left for everything that is derived from one presented chain. The unit is about a nanosecond in a release
/// build, but only the input counts: a verdict does not depend on the load of the host. Atomic only because the
/// library's trait of signature algorithms requires `Sync`.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicUsize,
    #[cfg(test)]
    pub(super) steps: AtomicUsize,
    #[cfg(test)]
    pub(super) signatures: AtomicUsize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            left: AtomicUsize::new(MAX_WORK),
            #[cfg(test)]
            steps: AtomicUsize::new(0),
            #[cfg(test)]
            signatures: AtomicUsize::new(0),
        }
    }
}

impl Budget {
    /// Takes `cost`. False if that was not left; then nothing is left.
    pub(super) fn spend(&self, cost: usize) -> bool {
        let left = self.left.load(Relaxed).saturating_sub(cost);
        self.left.store(left, Relaxed);
        left > 0
    }

    /// Takes the cost of a step of path building, which parses certificates of that many octets.
    pub(super) fn spend_step(&self, octets: usize) -> bool {
        let may_proceed = self.spend(OCTET.saturating_mul(octets));
        #[cfg(test)]
        self.steps.fetch_add(usize::from(may_proceed), Relaxed);
        may_proceed
    }

    /// Takes the cost of checking a signature.
    pub(super) fn spend_signature(&self) -> bool {
        let may_proceed = self.spend(SIGNATURE);
        #[cfg(test)]
        self.signatures.fetch_add(usize::from(may_proceed), Relaxed);
        may_proceed
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.left.load(Relaxed) == 0
    }
}

/// A signature algorithm that rejects everything when the budget is exhausted.
#[derive(Debug)]
pub(super) struct Budgeted<'a> {
    pub(super) algorithm: &'static dyn SignatureVerificationAlgorithm,
    pub(super) budget: &'a Budget,
}

impl SignatureVerificationAlgorithm for Budgeted<'_> {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        if !self.budget.spend_signature() {
            return Err(InvalidSignature);
        }
        self.algorithm.verify_signature(key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }
}

const OCTET: usize = 10;
/// With a key on P-521, the slowest; P-256 takes a fifth. Limits the checks to 100, as webpki does at each attempt.
const SIGNATURE: usize = 400_000;
/// 40 ms.
const MAX_WORK: usize = 40_000_000;
