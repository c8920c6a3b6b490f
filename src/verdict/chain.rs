//! Whether and when a chain builds to a trusted root.
//!
//! Trust and time are kept separate: a verdict holds the periods in which a path verifies, so that it can be read at
//! any later time without verifying again. Verifying at other times than now also reveals the errors that an expired
//! certificate hides, since verifiers stop at the first error. If no path verifies at any time, the diagnosis
//! finds the reasons.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use webpki::{EndEntityCert, Error, VerifiedPath};
use x509_parser::asn1_rs::Oid;
use x509_parser::oid_registry::{OID_X509_EXT_NAME_CONSTRAINTS, OID_X509_EXT_SUBJECT_ALT_NAME};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::budget::Budget;
use super::certificate::Certificate;
use super::diagnosis::{Diagnosis, diagnose};
use super::order::OrderedChain;
use super::reasons::Reasons;
use super::validity::ValidityPeriod;
use super::verifier::{Verifier, is_budget_exceeded, is_time_error, reason_for};
use crate::reason::ChainReason;
use crate::trust::TrustStore;

/// The verdict on a chain, which can be read for any time from the one at which it was reached.
#[derive(Debug, PartialEq, Eq)]
pub struct ChainVerdict {
    /// When a path verifies.
    periods: Box<[ValidityPeriod]>,
    /// Whether the search ended before all periods were found.
    is_cut_short: bool,
    trusted: Option<bool>,
    reasons: Reasons,
    earliest_not_after: Option<i64>,
    /// Set if no path verifies at any time.
    failure: Option<Box<ChainFailure>>,
}

/// The path with the fewest errors, if none verifies.
#[derive(Debug, PartialEq, Eq)]
struct ChainFailure {
    /// When all its certificates are within their validity periods; may be empty.
    validity: Option<ValidityPeriod>,
    /// The subject of the issuer that is neither presented nor trusted: DER without its header.
    missing_issuer: Option<Box<[u8]>>,
}

impl ChainVerdict {
    /// Whether a path verifies up to a trusted root at any time. `None` if no path verifies and the only errors are of
    /// time: the validity periods have no time in common.
    pub fn trusted(&self) -> Option<bool> {
        self.trusted
    }

    /// Whether a path verifies up to a trusted root at `now`.
    pub fn valid(&self, now: i64) -> bool {
        self.trusted == Some(true) && self.verifies(now)
    }

    /// Everything that is wrong at `now`.
    pub fn reasons(&self, now: i64) -> Reasons {
        let mut reasons = self.reasons;
        if self.verifies(now) {
            return reasons;
        }
        let (expired, early) = match &self.failure {
            None => {
                let expired = self.periods.iter().all(|period| period.until < now);
                let early = self.periods.iter().all(|period| now < period.from);
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

    /// The earliest notAfter of all presented certificates, Unix seconds.
    pub fn earliest_not_after(&self) -> Option<i64> {
        self.earliest_not_after
    }

    /// The earliest notAfter on the path that verifies at `now`, otherwise on the one that verifies longest.
    pub fn verified_not_after(&self, now: i64) -> Option<i64> {
        let current = self.periods.iter().filter(|period| period.contains(now)).map(|period| period.until).max();
        current.or_else(|| self.periods.iter().map(|period| period.until).max())
    }

    /// The subject (DER without its header) of the issuer that the best path lacks, if none verifies.
    pub(super) fn missing_issuer(&self) -> Option<&[u8]> {
        self.failure.as_ref()?.missing_issuer.as_deref()
    }

    /// Sets the reasons if no path verifies at any time.
    fn set_failure(&mut self, diagnosis: Diagnosis, errors: &[Error], is_truncated: bool) {
        let Diagnosis { reasons, validity, missing_issuer } = diagnosis;
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
        self.trusted = (!self.reasons.is_empty()).then_some(false);
        // A chain that took too much work is not extended.
        let missing_issuer = missing_issuer.filter(|_| !self.reasons.contains(ChainReason::TooComplex));
        self.failure = Some(Box::new(ChainFailure { validity, missing_issuer }));
    }

    fn verifies(&self, now: i64) -> bool {
        self.periods.iter().any(|period| period.contains(now))
    }
}

/// The verdict on `chain`, leaf first, from `now` (Unix seconds) on, and the intermediates on the paths that verify.
pub(super) fn judge(
    chain: &[Arc<Certificate>],
    store: &TrustStore,
    now: i64,
    budget: &Budget,
) -> (ChainVerdict, Vec<Arc<Certificate>>) {
    let earliest_not_after =
        chain.iter().filter_map(|certificate| certificate.facts()).map(|facts| facts.not_after).min();
    let OrderedChain { certificates: chain, is_truncated } = OrderedChain::new(chain);
    let attempts = chain.first().map_or_else(Attempts::default, |leaf| verify(leaf, &chain, store, now, budget));
    let mut verdict = ChainVerdict {
        periods: attempts.periods.into(),
        is_cut_short: attempts.errors.iter().any(is_budget_exceeded),
        trusted: Some(true),
        reasons: Reasons::default(),
        earliest_not_after,
        failure: None,
    };
    if verdict.periods.is_empty() {
        let diagnosis = diagnose(chain.get(..MAX_DIAGNOSED).unwrap_or(&chain), store.anchors(), now, budget);
        verdict.is_cut_short |= budget.is_exhausted();
        let is_truncated = is_truncated || verdict.is_cut_short && chain.len() > MAX_DIAGNOSED;
        verdict.set_failure(diagnosis, &attempts.errors, is_truncated);
    } else if chain.first().and_then(|leaf| leaf.facts()).is_some_and(|leaf| leaf.key.is_weak()) {
        // Path validation checks the keys that signed a certificate; the key of the leaf signed none.
        verdict.reasons.insert(ChainReason::WeakKey);
        verdict.trusted = Some(false);
    }
    (verdict, attempts.intermediates)
}

#[derive(Debug, Default)]
struct Attempts {
    periods: Vec<ValidityPeriod>,
    errors: Vec<Error>,
    /// Those on the paths that verify.
    intermediates: Vec<Arc<Certificate>>,
}

fn verify(leaf: &Certificate, chain: &[Arc<Certificate>], store: &TrustStore, now: i64, budget: &Budget) -> Attempts {
    let end_entity = match EndEntityCert::try_from(leaf.der()) {
        Ok(end_entity) => end_entity,
        Err(error) => return Attempts { errors: vec![error], ..Attempts::default() },
    };
    let intermediates: Vec<CertificateDer<'_>> =
        chain.iter().skip(1).map(|certificate| CertificateDer::from(certificate.der().as_ref())).collect();
    let verifier = Verifier {
        leaf: &end_entity,
        intermediates: &intermediates,
        roots: store.anchors(),
        budget,
        cost: attempt_cost(chain, store),
    };
    let mut used: Vec<Arc<Certificate>> = Vec::new();
    let verify_at = |time: i64| {
        let path = verifier.verify(time)?;
        let members: Vec<&Arc<Certificate>> = members(&path, chain);
        for member in &members {
            if !used.iter().any(|known| Arc::ptr_eq(known, member)) {
                used.push(Arc::clone(member));
            }
        }
        let periods = members.iter().map(|member| &***member).chain([leaf]).filter_map(validity);
        Ok(periods.reduce(ValidityPeriod::intersect).unwrap_or(ValidityPeriod { from: time, until: time }))
    };
    let (periods, errors) = verified_periods(verify_at, &start_times(chain, now), now);
    Attempts { periods, errors, intermediates: used }
}

/// The cost of comparing all names of `chain` with all name constraints, which webpki does at each attempt that reaches
/// a root. It grows with the product of their lengths: `/ 2` for names of about five octets, longer ones take less.
fn attempt_cost(chain: &[Arc<Certificate>], store: &TrustStore) -> usize {
    let octets = |id: &Oid<'_>| -> usize {
        let of_chain = chain.iter().map(|certificate| match X509Certificate::from_der(certificate.der()) {
            Ok((_, parsed)) => parsed.iter_extensions().filter(|one| one.oid == *id).map(|one| one.value.len()).sum(),
            Err(_) => certificate.der().len(),
        });
        of_chain.sum()
    };
    let of_roots = store.anchors().iter().filter_map(|root| root.name_constraints.as_ref()).map(|der| der.len()).max();
    let constraints = octets(&OID_X509_EXT_NAME_CONSTRAINTS) + of_roots.unwrap_or(0);
    MIN_ATTEMPT + constraints.saturating_mul(octets(&OID_X509_EXT_SUBJECT_ALT_NAME)) / 2
}

fn validity(certificate: &Certificate) -> Option<ValidityPeriod> {
    certificate.facts().map(|facts| ValidityPeriod { from: facts.not_before, until: facts.not_after })
}

/// The presented intermediates on `path`. Trust anchors are left out, since their validity is not checked.
fn members<'c>(path: &VerifiedPath<'_>, chain: &'c [Arc<Certificate>]) -> Vec<&'c Arc<Certificate>> {
    let find = |der: CertificateDer<'_>| chain.iter().find(|certificate| *certificate.der() == der);
    path.intermediate_certificates().filter_map(|intermediate| find(intermediate.der())).collect()
}

/// The periods in which a path verifies, from `verify_at`, which returns that of the path at one time. Verifies at
/// `now`, then right after the end of each path; if no path verifies at `now`, at `other_times`.
fn verified_periods(
    mut verify_at: impl FnMut(i64) -> Result<ValidityPeriod, Error>,
    other_times: &[i64],
    now: i64,
) -> (Vec<ValidityPeriod>, Vec<Error>) {
    let mut periods: Vec<ValidityPeriod> = Vec::new();
    let mut errors = Vec::new();
    let mut time = now;
    while periods.len() < MAX_PERIODS {
        match verify_at(time) {
            Ok(period) => {
                periods.push(period);
                time = period.until.saturating_add(1);
            }
            Err(error) => {
                errors.push(error);
                break;
            }
        }
    }
    if periods.is_empty() {
        for time in other_times {
            if errors.iter().any(is_budget_exceeded) {
                break;
            }
            match verify_at(*time) {
                Ok(period) if !periods.contains(&period) => periods.push(period),
                Ok(_) => {}
                Err(error) if !errors.contains(&error) => errors.push(error),
                Err(_) => {}
            }
        }
    }
    (periods, errors)
}

/// Times that are sufficient to find every path that ever verifies, if none verifies at `now`: each path starts to verify
/// at the notBefore of one of its certificates, and has one that is not valid at `now`.
fn start_times(chain: &[Arc<Certificate>], now: i64) -> Vec<i64> {
    let Some(leaf) = chain.first().and_then(|leaf| validity(leaf)) else { return Vec::new() };
    let periods: Vec<_> = chain.iter().map(|certificate| validity(certificate)).collect();
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
const MAX_DIAGNOSED: usize = 16;
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
            verify_at(time).map(|(from, until)| ValidityPeriod { from, until })
        };
        let (periods, errors) = verified_periods(counted, other_times, NOW);
        let periods: Vec<_> = periods.iter().map(|period| (period.from, period.until)).collect();
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
