//! Intermediates from paths that verify. An intermediate that one server does not present is often presented by
//! another.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::certificate::Certificate;

/// A bounded collection of intermediates. The oldest is removed first.
#[derive(Debug, Default)]
pub(super) struct KnownIssuers {
    inner: Mutex<Inner>,
    /// Number of certificates ever added.
    learned: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    /// By subject, DER without its header.
    by_subject: HashMap<Box<[u8]>, Vec<Arc<Certificate>>>,
    order: VecDeque<(Box<[u8]>, [u8; 32])>,
}

impl KnownIssuers {
    /// Adds a certificate that is on a verified path.
    pub(super) fn add(&self, certificate: &Arc<Certificate>) {
        let Some(subject) = certificate.subject_der() else { return };
        let mut inner = self.inner.lock();
        let known = inner.by_subject.get(subject);
        let is_same = |other: &Arc<Certificate>| other.fingerprint() == certificate.fingerprint();
        if known.is_some_and(|known| known.iter().any(is_same)) {
            return;
        }
        while inner.order.len() >= MAX_ISSUERS {
            inner.remove_oldest();
        }
        inner.order.push_back((subject.into(), certificate.fingerprint()));
        inner.by_subject.entry(subject.into()).or_default().push(Arc::clone(certificate));
        self.learned.fetch_add(1, Ordering::Relaxed);
    }

    /// The certificates of `subject` (DER without its header), newest first, at most [`MAX_PER_SUBJECT`].
    pub(super) fn by_subject(&self, subject: &[u8]) -> Vec<Arc<Certificate>> {
        let inner = self.inner.lock();
        let known = inner.by_subject.get(subject).map(Vec::as_slice).unwrap_or_default();
        known.iter().rev().take(MAX_PER_SUBJECT).cloned().collect()
    }

    pub(super) fn learned(&self) -> u64 {
        self.learned.load(Ordering::Relaxed)
    }
}

impl Inner {
    fn remove_oldest(&mut self) {
        let Some((subject, fingerprint)) = self.order.pop_front() else { return };
        if let Some(known) = self.by_subject.get_mut(&subject) {
            known.retain(|certificate| certificate.fingerprint() != fingerprint);
            if known.is_empty() {
                self.by_subject.remove(&subject);
            }
        }
    }
}

const MAX_ISSUERS: usize = 1024;
const MAX_PER_SUBJECT: usize = 2;

#[cfg(test)]
mod tests {
    use smtp_fleet::{Authority, AuthoritySpec};

    use super::*;

    fn certificate(name: &str) -> Arc<Certificate> {
        Arc::new(Certificate::new(Authority::root(&AuthoritySpec::named(name)).der().clone()))
    }

    #[test]
    fn finds_certificates_by_subject() {
        let issuers = KnownIssuers::default();
        let (first, second, other) = (certificate("A"), certificate("A"), certificate("B"));
        for certificate in [&first, &second, &second, &other] {
            issuers.add(certificate);
        }
        let subject = first.subject_der().expect("a subject");
        let found: Vec<_> = issuers.by_subject(subject).iter().map(|certificate| certificate.fingerprint()).collect();
        assert_eq!(found, [second.fingerprint(), first.fingerprint()], "newest first, without duplicates");
        assert_eq!(issuers.by_subject(b"unknown").len(), 0);
        assert_eq!(issuers.learned(), 3);
    }

    #[test]
    fn removes_the_oldest() {
        let issuers = KnownIssuers::default();
        let first = certificate("first");
        issuers.add(&first);
        for number in 0..MAX_ISSUERS {
            issuers.add(&certificate(&format!("number {number}")));
        }
        assert_eq!(issuers.by_subject(first.subject_der().expect("a subject")).len(), 0);
        assert_eq!(issuers.inner.lock().order.len(), MAX_ISSUERS);
        assert_eq!(issuers.inner.lock().by_subject.len(), MAX_ISSUERS);
    }
}
