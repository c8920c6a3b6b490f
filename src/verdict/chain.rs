//! Whether and when a chain builds to a trusted root.
//!
//! Trust and time are kept separate: a verdict holds the periods in which a path verifies, so that it can be read at
//! any later time without verifying again. Verifying at other times than now also reveals the errors that an expired
//! certificate hides, since verifiers stop at the first error. If no path verifies at any time, the diagnosis
//! finds the reasons.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, TrustAnchor};
use webpki::{EndEntityCert, Error, VerifiedPath};
use x509_parser::asn1_rs::Oid;
use x509_parser::oid_registry::{OID_X509_EXT_NAME_CONSTRAINTS, OID_X509_EXT_SUBJECT_ALT_NAME};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::budget::Budget;
use super::certificate::Certificate;
use super::diagnosis::{Diagnosis, diagnose, faults_of};
use super::order::OrderedChain;
use super::reasons::Reasons;
use super::roots::{self, CandidateRoot, PathRoot};
use super::signature::Signed;
use super::validity::ValidityPeriod;
use super::verifier::{Verifier, error_for, is_budget_exceeded, is_time_error, reason_for, time_error};
use super::warnings::{self, SenderView, Warnings};
use crate::reason::ChainReason;
use crate::trust::TrustStore;

/// The verdict on a chain, which can be read for any time from the one at which it was reached.
#[derive(Debug, PartialEq, Eq)]
pub struct ChainVerdict {
    /// The paths that verify, each for a period.
    paths: Box<[PathVerdict]>,
    /// Whether the search ended before all periods were found.
    is_cut_short: bool,
    trusted: Option<bool>,
    reasons: Reasons,
    earliest_not_after: Option<i64>,
    /// Set if no path verifies at any time.
    failure: Option<Box<ChainFailure>>,
}

/// A path that verifies.
#[derive(Debug, PartialEq, Eq)]
struct PathVerdict {
    /// When all its certificates are within their validity periods, the root included.
    period: ValidityPeriod,
    /// None if only the name and key of the root are known, or the server certificate is itself trusted.
    root: Option<Arc<PathRoot>>,
    warnings: Warnings,
}

/// The path with the fewest errors, if none verifies.
#[derive(Debug, PartialEq, Eq)]
struct ChainFailure {
    /// When all its certificates are within their validity periods; may be empty.
    validity: Option<ValidityPeriod>,
    /// The subject of the issuer that is neither presented nor trusted: DER without its header.
    missing_issuer: Option<Box<[u8]>>,
    /// The root at which it ends.
    root: Option<Arc<PathRoot>>,
    /// Whether the server certificate is itself in the trust store, although it is not self-signed.
    is_leaf_in_store: bool,
}

impl ChainVerdict {
    /// Whether a path verifies up to a trusted root at any time. `None` if no path verifies and the only errors are of
    /// time: the validity periods have no time in common.
    pub fn trusted(&self) -> Option<bool> {
        self.trusted
    }

    /// Whether a path verifies up to a trusted root at `now`.
    pub fn valid(&self, now: i64) -> bool {
        self.trusted == Some(true) && self.path_at(now).is_some()
    }

    /// Everything that is wrong at `now`.
    pub fn reasons(&self, now: i64) -> Reasons {
        let mut reasons = self.reasons;
        if self.path_at(now).is_some() {
            return reasons;
        }
        let (expired, early) = match &self.failure {
            None => {
                let expired = self.paths.iter().all(|path| path.period.until < now);
                let early = self.paths.iter().all(|path| now < path.period.from);
                // Between two periods, the path of the earlier one has expired.
                (expired || !early, early)
            }
            Some(failure) => {
                failure.validity.map_or((false, false), |validity| (validity.until < now, now < validity.from))
            }
        };
        reasons.insert_if(expired, ChainReason::Expired);
        reasons.insert_if(early, ChainReason::NotYetValid);
        reasons.insert_if(self.is_cut_short, ChainReason::TooComplex);
        reasons
    }

    /// What some senders refuse at `now` although the chain is valid. Empty if it is not.
    pub fn warnings(&self, now: i64) -> Warnings {
        self.path_at(now).filter(|_| self.valid(now)).map(|path| path.warnings).unwrap_or_default()
    }

    /// The earliest notAfter of all presented certificates, Unix seconds.
    pub fn earliest_not_after(&self) -> Option<i64> {
        self.earliest_not_after
    }

    /// The earliest notAfter on the path that verifies at `now`, the root included, otherwise on the one that verifies
    /// longest.
    pub fn verified_not_after(&self, now: i64) -> Option<i64> {
        self.longest_path(now).map(|path| path.period.until)
    }

    /// The root of that path; if no path verifies at any time, that of the one with the fewest errors. None if there is
    /// none, or only its name and key are known.
    pub fn root(&self, now: i64) -> Option<&PathRoot> {
        let failed = || self.failure.as_ref().and_then(|failure| failure.root.as_deref());
        self.longest_path(now).map_or_else(failed, |path| path.root.as_deref())
    }

    /// Whether no path verifies at any time and the server certificate is itself in the trust store: that is of no use unless
    /// it is self-signed.
    pub fn is_leaf_in_store(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.is_leaf_in_store)
    }

    /// The subject (DER without its header) of the issuer that the best path lacks, if none verifies.
    pub(super) fn missing_issuer(&self) -> Option<&[u8]> {
        self.failure.as_ref()?.missing_issuer.as_deref()
    }

    /// Sets the reasons if no path verifies at any time.
    fn set_failure(&mut self, diagnosis: Diagnosis, errors: &[Error], is_truncated: bool, is_leaf_in_store: bool) {
        let Diagnosis { reasons, validity, missing_issuer, root } = diagnosis;
        self.reasons = reasons;
        let untimed = || errors.iter().filter(|error| !is_time_error(error));
        if reasons.is_empty() {
            // webpki found an error that the diagnosis does not check for.
            untimed().for_each(|error| self.reasons.insert(reason_for(error)));
        }
        self.reasons.insert_if(self.is_cut_short, ChainReason::TooComplex);
        self.reasons.insert_if(untimed().any(|error| *error == Error::CertDistrusted), ChainReason::Distrusted);
        if is_truncated && self.reasons.contains(ChainReason::UnknownIssuer) {
            // The missing issuer may be among the certificates that were left out, and so may the issuer with the
            // right key.
            self.reasons.remove(ChainReason::UnknownIssuer);
            self.reasons.remove(ChainReason::BadSignature);
            self.reasons.insert(ChainReason::TooComplex);
        }
        self.trusted = untrusted_for(self.reasons);
        // A chain that took too much work is not extended.
        let missing_issuer = missing_issuer.filter(|_| !self.reasons.contains(ChainReason::TooComplex));
        self.failure = Some(Box::new(ChainFailure { validity, missing_issuer, root, is_leaf_in_store }));
    }

    /// The first path that verifies at `now`.
    fn path_at(&self, now: i64) -> Option<&PathVerdict> {
        self.paths.iter().find(|path| path.period.contains(now))
    }

    /// The path that verifies longest, of those that verify at `now` if there are any.
    fn longest_path(&self, now: i64) -> Option<&PathVerdict> {
        let current = self.paths.iter().filter(|path| path.period.contains(now)).max_by_key(|path| path.period.until);
        current.or_else(|| self.paths.iter().max_by_key(|path| path.period.until))
    }
}

/// Whether a chain is trusted that never verifies for `reasons`. A validity period that ends before it starts says
/// nothing about trust.
fn untrusted_for(mut reasons: Reasons) -> Option<bool> {
    reasons.remove(ChainReason::BadValidity);
    (!reasons.is_empty()).then_some(false)
}

/// The verdict on `chain`, leaf first, from `now` (Unix seconds) on, and the intermediates on the paths that verify.
pub(super) fn judge(
    chain: &[Arc<Certificate>],
    store: &TrustStore,
    now: i64,
    budget: &Budget,
) -> (ChainVerdict, Vec<Arc<Certificate>>) {
    let (mut verdict, intermediates) = find_paths(chain, store, now, budget);
    if chain.iter().any(|certificate| Signed::parse(certificate.der()).is_none()) {
        // Clients abort the handshake if something that is sent is not a certificate, even if no path needs it.
        verdict.reasons.insert(ChainReason::Malformed);
        verdict.trusted = Some(false);
    }
    (verdict, intermediates)
}

fn find_paths(
    chain: &[Arc<Certificate>],
    store: &TrustStore,
    now: i64,
    budget: &Budget,
) -> (ChainVerdict, Vec<Arc<Certificate>>) {
    let earliest_not_after =
        chain.iter().filter_map(|certificate| certificate.facts()).map(|facts| facts.not_after).min();
    let OrderedChain { certificates: ordered, is_truncated } = OrderedChain::new(chain);
    let mut verdict = ChainVerdict {
        paths: Box::default(),
        is_cut_short: false,
        trusted: Some(true),
        reasons: Reasons::default(),
        earliest_not_after,
        failure: None,
    };
    let self_signed = ordered.first().filter(|leaf| leaf.facts().is_some_and(|facts| facts.self_signed));
    if let Some(leaf) = self_signed.filter(|leaf| store.contains(leaf.der())) {
        set_trusted_leaf(&mut verdict, leaf, &SenderView::new(chain, store, budget), now);
        return (verdict, Vec::new());
    }
    let roots = roots::candidates(&ordered, store);
    // No sender builds a path from a self-signed certificate to another one.
    let leaf = ordered.first().filter(|_| self_signed.is_none());
    let attempts = leaf.map_or_else(Attempts::default, |leaf| verify(leaf, &ordered, &roots, now, budget));
    verdict.is_cut_short = attempts.errors.iter().any(is_budget_exceeded);
    if attempts.paths.is_empty() {
        let diagnosis = diagnose(&ordered, &roots, now, budget);
        verdict.is_cut_short |= budget.is_exhausted();
        let is_truncated = is_truncated || verdict.is_cut_short && ordered.len() > MAX_SEARCHED;
        let is_leaf_in_store = leaf.is_some_and(|leaf| store.contains(leaf.der()));
        verdict.set_failure(diagnosis, &attempts.errors, is_truncated, is_leaf_in_store);
    } else if leaf.and_then(|leaf| leaf.facts()).is_some_and(|leaf| leaf.key.is_weak()) {
        // Path validation checks the keys that signed a certificate; the key of the leaf signed none.
        verdict.reasons.insert(ChainReason::WeakKey);
        verdict.trusted = Some(false);
    }
    if !attempts.paths.is_empty() {
        let view = SenderView::new(chain, store, budget);
        let paths = attempts.paths.iter().map(|path| PathVerdict {
            period: path.period,
            root: roots.get(path.root).and_then(|root| root.summary(Reasons::default())),
            warnings: warnings::for_path(&view, &path.members, roots.get(path.root), path.verified_at),
        });
        verdict.paths = paths.collect();
    }
    (verdict, attempts.intermediates())
}

/// The verdict on a self-signed server certificate that is in the trust store: senders accept it even if it is a CA
/// certificate, and check everything else.
fn set_trusted_leaf(verdict: &mut ChainVerdict, leaf: &Certificate, view: &SenderView<'_>, now: i64) {
    let (reasons, period) = faults_of(leaf);
    verdict.reasons = reasons;
    if reasons.is_empty() {
        let warnings = warnings::for_trusted_leaf(view, now.max(period.from).min(period.until));
        verdict.paths = [PathVerdict { period, root: None, warnings }].into();
    } else {
        verdict.trusted = untrusted_for(reasons);
        let validity = Some(period).filter(|period| !period.is_empty());
        let failure = ChainFailure { validity, missing_issuer: None, root: None, is_leaf_in_store: false };
        verdict.failure = Some(Box::new(failure));
    }
}

#[derive(Debug, Default)]
struct Attempts {
    paths: Vec<FoundPath>,
    errors: Vec<Error>,
}

impl Attempts {
    /// The intermediates on the paths that verify.
    fn intermediates(self) -> Vec<Arc<Certificate>> {
        let mut used: Vec<Arc<Certificate>> = Vec::new();
        for member in self.paths.into_iter().flat_map(|path| path.members.into_iter().skip(1)) {
            if !used.iter().any(|known| Arc::ptr_eq(known, &member)) {
                used.push(member);
            }
        }
        used
    }
}

/// A path that verifies.
#[derive(Clone, Debug)]
struct FoundPath {
    period: ValidityPeriod,
    /// A time in that period.
    verified_at: i64,
    /// Leaf first.
    members: Vec<Arc<Certificate>>,
    /// The index of the root among the candidates.
    root: usize,
}

fn verify(
    leaf: &Arc<Certificate>,
    chain: &[Arc<Certificate>],
    roots: &[CandidateRoot<'_>],
    now: i64,
    budget: &Budget,
) -> Attempts {
    let end_entity = match EndEntityCert::try_from(leaf.der()) {
        Ok(end_entity) => end_entity,
        Err(error) => return Attempts { errors: vec![error], ..Attempts::default() },
    };
    // webpki does not check keyUsage.
    let may_sign =
        |certificate: &&Arc<Certificate>| certificate.facts().is_none_or(|facts| facts.may_sign_certificates);
    let intermediates: Vec<CertificateDer<'_>> =
        chain.iter().skip(1).filter(may_sign).map(|one| CertificateDer::from(one.der().as_ref())).collect();
    let anchors: Vec<TrustAnchor<'_>> = roots.iter().map(CandidateRoot::anchor).collect();
    let verifier = Verifier {
        leaf: &end_entity,
        intermediates: &intermediates,
        roots: &anchors,
        budget,
        cost: attempt_cost(chain, roots),
    };
    // Equal names and keys are different roots.
    let root_of = |path: &VerifiedPath<'_>| anchors.iter().position(|anchor| std::ptr::eq(anchor, path.anchor()));
    let verify_at = |time: i64| {
        let accept = |path: &VerifiedPath<'_>| {
            let root = root_of(path).and_then(|index| roots.get(index)).ok_or(Error::UnknownIssuer)?;
            let is_counted = |member: &&Arc<Certificate>| member.subject_der() != member.issuer_der();
            if let Some(reason) = root.reasons_above(|| members(path, chain).filter(is_counted).count()).iter().next() {
                return Err(error_for(reason));
            }
            if root.validity.contains(time) { Ok(()) } else { Err(time_error(root.validity, time)) }
        };
        let path = verifier.verify(time, &accept)?;
        let root = root_of(&path).unwrap_or(usize::MAX);
        let members: Vec<_> = std::iter::once(leaf).chain(members(&path, chain)).cloned().collect();
        let periods = members.iter().filter_map(|member| validity(member));
        let periods = periods.chain(roots.get(root).map(|root| root.validity));
        let period = periods.reduce(ValidityPeriod::intersect).unwrap_or(ValidityPeriod { from: time, until: time });
        Ok(FoundPath { period, verified_at: time, members, root })
    };
    let (paths, errors) = verified_paths(verify_at, &start_times(chain, roots, now), now);
    Attempts { paths, errors }
}

/// The cost of comparing all names of `chain` with all name constraints, which webpki does at each attempt that reaches
/// a root. It grows with the product of their lengths: `/ 2` for names of about five octets, longer ones take less.
fn attempt_cost(chain: &[Arc<Certificate>], roots: &[CandidateRoot<'_>]) -> usize {
    let octets = |id: &Oid<'_>| -> usize {
        let of_chain = chain.iter().map(|certificate| match X509Certificate::from_der(certificate.der()) {
            Ok((_, parsed)) => parsed.iter_extensions().filter(|one| one.oid == *id).map(|one| one.value.len()).sum(),
            Err(_) => certificate.der().len(),
        });
        of_chain.sum()
    };
    let of_roots =
        roots.iter().filter_map(|root| root.root.anchor().name_constraints.as_ref()).map(|der| der.len()).max();
    let constraints = octets(&OID_X509_EXT_NAME_CONSTRAINTS) + of_roots.unwrap_or(0);
    MIN_ATTEMPT + constraints.saturating_mul(octets(&OID_X509_EXT_SUBJECT_ALT_NAME)) / 2
}

fn validity(certificate: &Certificate) -> Option<ValidityPeriod> {
    certificate.facts().map(|facts| ValidityPeriod { from: facts.not_before, until: facts.not_after })
}

/// The presented intermediates on `path`.
fn members<'c>(path: &VerifiedPath<'_>, chain: &'c [Arc<Certificate>]) -> impl Iterator<Item = &'c Arc<Certificate>> {
    let find = move |der: CertificateDer<'_>| chain.iter().find(|certificate| *certificate.der() == der);
    path.intermediate_certificates().filter_map(move |intermediate| find(intermediate.der()))
}

/// The paths that verify, each for its period, from `verify_at`, which returns that of one time. Verifies at `now`, then
/// right after the end of each path; if no path verifies at `now`, at `other_times`.
fn verified_paths(
    mut verify_at: impl FnMut(i64) -> Result<FoundPath, Error>,
    other_times: &[i64],
    now: i64,
) -> (Vec<FoundPath>, Vec<Error>) {
    let mut paths: Vec<FoundPath> = Vec::new();
    let mut errors = Vec::new();
    let mut time = now;
    while paths.len() < MAX_PERIODS {
        match verify_at(time) {
            Ok(path) => {
                time = path.period.until.saturating_add(1);
                paths.push(path);
            }
            Err(error) => {
                errors.push(error);
                break;
            }
        }
    }
    if paths.is_empty() {
        for time in other_times {
            if errors.iter().any(is_budget_exceeded) {
                break;
            }
            match verify_at(*time) {
                Ok(path) if !paths.iter().any(|known| known.period == path.period) => paths.push(path),
                Ok(_) => {}
                Err(error) if !errors.contains(&error) => errors.push(error),
                Err(_) => {}
            }
        }
    }
    (paths, errors)
}

/// Times that are sufficient to find every path that ever verifies, if none verifies at `now`: each path starts to verify
/// at the notBefore of one of its certificates, and has one that is not valid at `now`.
fn start_times(chain: &[Arc<Certificate>], roots: &[CandidateRoot<'_>], now: i64) -> Vec<i64> {
    let Some(leaf) = chain.first().and_then(|leaf| validity(leaf)) else { return Vec::new() };
    let of_roots = roots.iter().map(|root| Some(root.validity));
    let periods: Vec<_> = chain.iter().map(|certificate| validity(certificate)).chain(of_roots).collect();
    let is_only_then = |time| {
        let mut periods = periods.iter();
        periods.any(|period| period.is_none_or(|period| period.contains(time) && !period.contains(now)))
    };
    let starts = periods.iter().flatten().map(|period| period.from);
    let mut times: Vec<i64> = starts.filter(|time| leaf.contains(*time) && is_only_then(*time)).collect();
    // The latest first: most certificates have become valid by then, so that a path is found before the budget is spent.
    times.sort_unstable_by(|one, other| other.cmp(one));
    times.dedup();
    times
}

/// Limits the number of attempts for a chain to 80.
const MIN_ATTEMPT: usize = 500_000;
/// Certificates among which the diagnosis considers all paths even if the budget is exhausted.
const MAX_SEARCHED: usize = 16;
/// Periods of paths that follow each other. In practice the path changes once or twice.
const MAX_PERIODS: usize = 8;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use rustls_pki_types::UnixTime;

    use super::*;

    const NOW: i64 = 100;

    fn expired() -> Error {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        Error::CertExpired { time: at(100), not_after: at(50) }
    }

    /// Checks the periods, the number of errors and the number of calls of `verify_at`.
    #[track_caller]
    fn check(
        verify_at: fn(i64) -> Result<(i64, i64), Error>,
        other_times: &[i64],
        expected: (&[(i64, i64)], usize, usize),
    ) {
        let calls = Cell::new(0);
        let counted = |time| {
            calls.set(calls.get() + 1);
            let path = |(from, until)| FoundPath {
                period: ValidityPeriod { from, until },
                verified_at: time,
                members: Vec::new(),
                root: 0,
            };
            verify_at(time).map(path)
        };
        let (paths, errors) = verified_paths(counted, other_times, NOW);
        let periods: Vec<_> = paths.iter().map(|path| (path.period.from, path.period.until)).collect();
        assert_eq!((&*periods, errors.len(), calls.get()), expected);
    }

    #[test]
    fn finds_periods_with_bounded_work() {
        let forever = |time| Ok((time, time));
        check(|time| if time <= 200 { Ok((0, 200)) } else { Err(expired()) }, &[0, 300], (&[(0, 200)], 1, 2));
        // A cross-signed path that is valid longer than the first one.
        check(
            |time| match time {
                ..=150 => Ok((0, 150)),
                151..=300 => Ok((50, 300)),
                _ => Err(expired()),
            },
            &[],
            (&[(0, 150), (50, 300)], 1, 3),
        );
        // Expired, trusted before.
        check(|time| if time <= 50 { Ok((0, 50)) } else { Err(expired()) }, &[0, 50], (&[(0, 50)], 1, 3));
        // Expired, which hides another error.
        check(|time| Err(if time <= 50 { Error::UnknownIssuer } else { expired() }), &[0, 50], (&[], 2, 3));
        // Expired and too complex: one such attempt is enough.
        let complex = |time| Err(if time <= 50 { Error::MaximumPathBuildCallsExceeded } else { expired() });
        check(complex, &[0, 10, 20, 30, 40, 50], (&[], 2, 2));
        let complex_now = |_| Err(Error::MaximumSignatureChecksExceeded);
        check(complex_now, &[0, 10], (&[], 1, 1));
        check(forever, &[], (&[100, 101, 102, 103, 104, 105, 106, 107].map(|time| (time, time)), 0, MAX_PERIODS));
    }
}
