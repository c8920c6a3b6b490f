//! What is known already: certificates by their bytes, chains by what decides their verdict. Nothing is kept alive
//! here; what no report holds any more is forgotten.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};

use super::certificate::{Certificate, fingerprint};
use super::chain::{self, ChainVerdict};
use super::issuers::Issuers;
use super::ocsp::{self, OcspVerdict};
use crate::observation::PresentedChain;
use crate::trust::TrustStore;

/// A presented chain with its verdict.
#[derive(Debug)]
pub struct JudgedChain {
    certificates: Box<[Arc<Certificate>]>,
    staple: Box<[u8]>,
    verdict: ChainVerdict,
    ocsp: OcspVerdict,
    store: [u8; 32],
    judged_at: i64,
}

impl JudgedChain {
    /// As sent, leaf first; never empty.
    pub fn certificates(&self) -> &[Arc<Certificate>] {
        &self.certificates
    }

    /// Whether this is the verdict on `presented`, too. Verdicts hold for every later moment.
    pub fn holds_for(&self, presented: &PresentedChain, store: &TrustStore, now: i64) -> bool {
        let ours = self.certificates.iter().map(|certificate| certificate.der());
        let same = self.judged_at <= now && self.store == store.id() && self.staple == presented.staple;
        same && ours.eq(&presented.certificates)
    }

    /// What was presented.
    pub(super) fn presented(&self) -> PresentedChain {
        let certificates = self.certificates.iter().map(|certificate| certificate.der().clone()).collect();
        PresentedChain { certificates, staple: self.staple.clone() }
    }

    /// Which roots it was judged by ([`TrustStore::id`]).
    pub fn store(&self) -> [u8; 32] {
        self.store
    }

    /// What is concluded from the staple that came with it, or from its absence.
    pub fn ocsp(&self) -> &OcspVerdict {
        &self.ocsp
    }

    /// What is concluded.
    pub fn verdict(&self) -> &ChainVerdict {
        &self.verdict
    }
}

/// Finds or makes judged chains. Shared by all probes.
#[derive(Debug, Default)]
pub(super) struct Memo {
    certificates: Mutex<WeakMap<Certificate>>,
    chains: Mutex<WeakMap<JudgedChain>>,
}

impl Memo {
    /// The judged form of `presented`: the one that is in use, unless the clock has stepped back behind its making.
    /// Intermediates by which it verifies are told to `issuers`.
    pub(super) fn judged(
        &self,
        presented: PresentedChain,
        store: &TrustStore,
        issuers: &Issuers,
        now: i64,
    ) -> Arc<JudgedChain> {
        let (key, fingerprints) = keys(&presented, store);
        if let Some(known) = self.chains.lock().get(&key).filter(|known| known.judged_at <= now) {
            return known;
        }
        let PresentedChain { certificates, staple } = presented;
        let certificates = fingerprints.iter().zip(certificates);
        let certificates: Box<[_]> = certificates.map(|(key, der)| self.certificate(key, der)).collect();
        // Judged outside the lock: two probes may do the same work once, none waits for another's.
        let (verdict, used) = chain::judge(&certificates, store, now);
        used.iter().for_each(|intermediate| issuers.learn(intermediate));
        let ocsp = ocsp::of_chain(&certificates, &staple, store);
        let judged = JudgedChain { certificates, staple, verdict, ocsp, store: store.id(), judged_at: now };
        let judged = Arc::new(judged);
        self.chains.lock().insert(key, &judged);
        judged
    }

    /// The judged form of `presented` where there is one already, whose ever it is.
    pub(super) fn recall(&self, presented: &PresentedChain, store: &TrustStore, now: i64) -> Option<Arc<JudgedChain>> {
        let (key, _) = keys(presented, store);
        self.chains.lock().get(&key).filter(|known| known.judged_at <= now)
    }

    /// Entries for certificates and for chains.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.certificates.lock().entries.len(), self.chains.lock().entries.len())
    }

    fn certificate(&self, key: &[u8; 32], der: CertificateDer<'static>) -> Arc<Certificate> {
        if let Some(known) = self.certificates.lock().get(key) {
            return known;
        }
        let fresh = Arc::new(Certificate::new(der));
        self.certificates.lock().insert(*key, &fresh);
        fresh
    }
}

/// What decides a chain's verdict, as one number, and the certificates' fingerprints.
fn keys(presented: &PresentedChain, store: &TrustStore) -> ([u8; 32], Vec<[u8; 32]>) {
    let fingerprints: Vec<[u8; 32]> = presented.certificates.iter().map(|der| fingerprint(der)).collect();
    let mut hash = Sha256::new();
    hash.update(store.id());
    hash.update(Sha256::digest(&presented.staple));
    for fingerprint in &fingerprints {
        hash.update(fingerprint);
    }
    (hash.finalize().into(), fingerprints)
}

#[derive(Debug)]
struct WeakMap<T> {
    entries: HashMap<[u8; 32], Weak<T>>,
    sweep_at: usize,
}

impl<T> Default for WeakMap<T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), sweep_at: SWEEP_MIN }
    }
}

impl<T> WeakMap<T> {
    fn get(&self, key: &[u8; 32]) -> Option<Arc<T>> {
        self.entries.get(key)?.upgrade()
    }

    /// Dead entries are swept whenever the map has doubled, so it never holds more than twice what is alive.
    fn insert(&mut self, key: [u8; 32], value: &Arc<T>) {
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|_, entry| entry.strong_count() > 0);
            self.entries.shrink_to_fit();
            self.sweep_at = (self.entries.len() * 2).max(SWEEP_MIN);
        }
        self.entries.insert(key, Arc::downgrade(value));
    }
}

const SWEEP_MIN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_are_swept() {
        let mut map = WeakMap::default();
        let kept = Arc::new(0u32);
        map.insert([0xff; 32], &kept);
        for n in 0..10_000u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&n.to_be_bytes());
            map.insert(key, &Arc::new(n));
        }
        assert!(map.entries.len() <= SWEEP_MIN, "{} entries for one that lives", map.entries.len());
        assert_eq!(map.get(&[0xff; 32]).as_deref(), Some(&0));
    }
}
