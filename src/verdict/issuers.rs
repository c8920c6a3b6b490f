//! The intermediates that servers of this fleet presented on paths that verify: what one server forgets to send,
//! another often sends.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::certificate::Certificate;

/// A bounded collection; the oldest go first.
#[derive(Debug, Default)]
pub(super) struct Issuers {
    shelf: Mutex<Shelf>,
    /// How many were ever learnt.
    learnt: AtomicU64,
}

#[derive(Debug, Default)]
struct Shelf {
    /// By the subject, DER without its header.
    by_subject: HashMap<Box<[u8]>, Vec<Arc<Certificate>>>,
    order: VecDeque<(Box<[u8]>, [u8; 32])>,
}

impl Issuers {
    /// Remembers a certificate that was seen on a verified path.
    pub(super) fn learn(&self, certificate: &Arc<Certificate>) {
        let Some(subject) = certificate.subject_der() else { return };
        let mut shelf = self.shelf.lock();
        let known = shelf.by_subject.get(subject);
        let is = |other: &Arc<Certificate>| other.fingerprint() == certificate.fingerprint();
        if known.is_some_and(|known| known.iter().any(is)) {
            return;
        }
        while shelf.order.len() >= MAX_ISSUERS {
            shelf.forget_oldest();
        }
        shelf.order.push_back((subject.into(), certificate.fingerprint()));
        shelf.by_subject.entry(subject.into()).or_default().push(Arc::clone(certificate));
        self.learnt.fetch_add(1, Ordering::Relaxed);
    }

    /// Those of this subject (DER without its header), the latest first, a few at most.
    pub(super) fn of(&self, subject: &[u8]) -> Vec<Arc<Certificate>> {
        let shelf = self.shelf.lock();
        let known = shelf.by_subject.get(subject).map(Vec::as_slice).unwrap_or_default();
        known.iter().rev().take(MAX_CANDIDATES).cloned().collect()
    }

    /// Grows with each one that is learnt.
    pub(super) fn learnt(&self) -> u64 {
        self.learnt.load(Ordering::Relaxed)
    }
}

impl Shelf {
    fn forget_oldest(&mut self) {
        let Some((subject, fingerprint)) = self.order.pop_front() else { return };
        if let Some(known) = self.by_subject.get_mut(&subject) {
            known.retain(|certificate| certificate.fingerprint() != fingerprint);
            if known.is_empty() {
                self.by_subject.remove(&subject);
            }
        }
    }
}

/// Certificates that are remembered.
const MAX_ISSUERS: usize = 1024;
/// Certificates of one subject that are tried.
const MAX_CANDIDATES: usize = 2;

#[cfg(test)]
mod tests {
    use smtp_fleet::{Authority, AuthoritySpec};

    use super::*;

    fn certificate(name: &str) -> Arc<Certificate> {
        Arc::new(Certificate::new(Authority::root(&AuthoritySpec::named(name)).der().clone()))
    }

    #[test]
    fn what_was_seen_is_found_by_its_subject() {
        let issuers = Issuers::default();
        let (first, second, other) = (certificate("A"), certificate("A"), certificate("B"));
        for certificate in [&first, &second, &second, &other] {
            issuers.learn(certificate);
        }
        let subject = first.subject_der().expect("a subject");
        let found: Vec<_> = issuers.of(subject).iter().map(|certificate| certificate.fingerprint()).collect();
        assert_eq!(found, [second.fingerprint(), first.fingerprint()], "the latest first, each once");
        assert_eq!(issuers.of(b"nobody").len(), 0);
        assert_eq!(issuers.learnt(), 3);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let issuers = Issuers::default();
        let first = certificate("first");
        issuers.learn(&first);
        for number in 0..MAX_ISSUERS {
            issuers.learn(&certificate(&format!("number {number}")));
        }
        assert_eq!(issuers.of(first.subject_der().expect("a subject")).len(), 0);
        assert_eq!(issuers.shelf.lock().order.len(), MAX_ISSUERS);
        assert_eq!(issuers.shelf.lock().by_subject.len(), MAX_ISSUERS);
    }
}
