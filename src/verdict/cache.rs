//! Caches parsed certificates by their fingerprint, and verdicts on chains by the chain, its staple and the roots. The
//! references are weak: an entry lives as long as a report uses it.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};

use super::budget::Budget;
use super::certificate::{Certificate, fingerprint};
use super::chain::{self, ChainVerdict};
use super::issuers::KnownIssuers;
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
    /// The certificates as presented, leaf first. Never empty.
    pub fn certificates(&self) -> &[Arc<Certificate>] {
        &self.certificates
    }

    /// Whether this is also the verdict on `presented` with the roots of `store` at `now`. A verdict holds at every
    /// later time.
    pub fn holds_for(&self, presented: &PresentedChain, store: &TrustStore, now: i64) -> bool {
        let ours = self.certificates.iter().map(|certificate| certificate.der());
        let same = self.judged_at <= now && self.store == store.id() && self.staple == presented.staple;
        same && ours.eq(&presented.certificates)
    }

    pub(super) fn presented(&self) -> PresentedChain {
        let certificates = self.certificates.iter().map(|certificate| certificate.der().clone()).collect();
        PresentedChain { certificates, staple: self.staple.clone() }
    }

    /// The [`TrustStore::id`] of the roots that it was judged by.
    pub fn store(&self) -> [u8; 32] {
        self.store
    }

    /// The verdict on the stapled OCSP response, or on its absence.
    pub fn ocsp(&self) -> &OcspVerdict {
        &self.ocsp
    }

    /// The verdict on the chain.
    pub fn verdict(&self) -> &ChainVerdict {
        &self.verdict
    }
}

/// Verdicts in use; all probes share one cache.
#[derive(Debug, Default)]
pub(super) struct VerdictCache {
    certificates: Mutex<WeakMap<Certificate>>,
    chains: Mutex<WeakMap<JudgedChain>>,
}

impl VerdictCache {
    /// The verdict on `presented`: from the cache, unless it was reached after `now` (the clock was set back). The
    /// intermediates on the paths that verify are added to `issuers`.
    pub(super) fn judge(
        &self,
        presented: PresentedChain,
        store: &TrustStore,
        issuers: &KnownIssuers,
        now: i64,
        budget: &Budget,
    ) -> Arc<JudgedChain> {
        let (key, fingerprints) = cache_key(&presented, store);
        if let Some(known) = self.lookup(&key, now) {
            return known;
        }
        let PresentedChain { certificates, staple } = presented;
        let certificates = fingerprints.iter().zip(certificates);
        let certificates: Box<[_]> = certificates.map(|(key, der)| self.certificate(key, der, budget)).collect();
        // Outside the lock, so that no probe waits for the verdict of another chain.
        let (verdict, used) = chain::judge(&certificates, store, now, budget);
        used.iter().for_each(|intermediate| issuers.add(intermediate));
        let ocsp = ocsp::for_chain(&certificates, &staple, store);
        let judged = JudgedChain { certificates, staple, verdict, ocsp, store: store.id(), judged_at: now };
        let judged = Arc::new(judged);
        self.chains.lock().insert(key, &judged);
        judged
    }

    pub(super) fn get(&self, presented: &PresentedChain, store: &TrustStore, now: i64) -> Option<Arc<JudgedChain>> {
        self.lookup(&cache_key(presented, store).0, now)
    }

    fn lookup(&self, key: &[u8; 32], now: i64) -> Option<Arc<JudgedChain>> {
        self.chains.lock().get(key).filter(|known| known.judged_at <= now)
    }

    fn certificate(&self, key: &[u8; 32], der: CertificateDer<'static>, budget: &Budget) -> Arc<Certificate> {
        if let Some(known) = self.certificates.lock().get(key) {
            return known;
        }
        let fresh = Arc::new(Certificate::within(budget, der));
        self.certificates.lock().insert(*key, &fresh);
        fresh
    }
}

/// A hash over everything that the verdict on `presented` depends on, and the fingerprints of the certificates.
fn cache_key(presented: &PresentedChain, store: &TrustStore) -> ([u8; 32], Vec<[u8; 32]>) {
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

    /// Removes dead entries whenever the map has doubled since the last time, so that its size stays proportional to
    /// the number of live ones.
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

    impl VerdictCache {
        /// The numbers of entries for certificates and for chains.
        pub(in crate::verdict) fn sizes(&self) -> (usize, usize) {
            (self.certificates.lock().entries.len(), self.chains.lock().entries.len())
        }
    }

    #[test]
    fn removes_dead_entries() {
        let mut map = WeakMap::default();
        let kept = Arc::new(0u32);
        map.insert([0xff; 32], &kept);
        for n in 0..10_000u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&n.to_be_bytes());
            map.insert(key, &Arc::new(n));
        }
        assert!(map.entries.len() <= SWEEP_MIN, "{} entries, one of them alive", map.entries.len());
        assert_eq!(map.get(&[0xff; 32]).as_deref(), Some(&0));
    }
}
