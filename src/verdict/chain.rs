//! Does a chain lead to a trusted root, and when?
//!
//! Trust and time are kept apart: a verdict holds the spans of time in which a path verifies, so that it can be read
//! at any later moment without being made again. Verifying at other moments than now also un-masks what an expired
//! certificate hides, since verifiers stop at the first thing that is wrong. Where nothing verifies, the diagnosis
//! says what is wrong.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use webpki::{EndEntityCert, Error, VerifiedPath};

use super::certificate::Certificate;
use super::diagnosis::{Diagnosis, diagnose};
use super::order::Candidates;
use super::reasons::Reasons;
use super::validity::Span;
use super::verifier::{self, is_of_effort, is_of_time, of_error};
use crate::reason::ChainReason;
use crate::trust::TrustStore;

/// What is concluded of a chain; a function of the moment it is read for.
#[derive(Debug, PartialEq, Eq)]
pub struct ChainVerdict {
    spans: Box<[Span]>,
    trusted: Option<bool>,
    reasons: Reasons,
    earliest_not_after: Option<i64>,
    /// Set where no path verifies at any moment.
    dead_end: Option<Box<DeadEnd>>,
}

/// The path on which least is wrong, where none verifies.
#[derive(Debug, PartialEq, Eq)]
struct DeadEnd {
    /// The time in which all its certificates are valid; begins after its end where there is none.
    window: Option<Span>,
    /// The name of the issuer that nobody has.
    wanted: Option<Box<[u8]>>,
}

impl ChainVerdict {
    /// Whether a path leads to a root with time set aside; none where no moment exists at which it could be said.
    pub fn trusted(&self) -> Option<bool> {
        self.trusted
    }

    /// Whether a path leads to a root at `now`.
    pub fn valid(&self, now: i64) -> bool {
        self.trusted == Some(true) && self.verifies(now)
    }

    /// All that is wrong at `now`.
    pub fn reasons(&self, now: i64) -> Reasons {
        let mut reasons = self.reasons;
        if self.verifies(now) {
            return reasons;
        }
        let (expired, early) = match &self.dead_end {
            None => {
                let expired = self.spans.iter().all(|span| span.until < now);
                let early = self.spans.iter().all(|span| now < span.from);
                // Between two spans nothing verifies: the path that did has ended.
                (expired || !early, early)
            }
            Some(end) => end.window.map_or((false, false), |window| (window.until < now, now < window.from)),
        };
        reasons.insert_if(expired, ChainReason::Expired);
        reasons.insert_if(early, ChainReason::NotYetValid);
        reasons
    }

    /// The earliest end of validity among all that was presented, Unix seconds.
    pub fn earliest_not_after(&self) -> Option<i64> {
        self.earliest_not_after
    }

    /// The earliest end of validity on the path that verifies at `now`, else on the one that verified longest.
    pub fn verified_not_after(&self, now: i64) -> Option<i64> {
        let current = self.spans.iter().filter(|span| span.contains(now)).map(|span| span.until).max();
        current.or_else(|| self.spans.iter().map(|span| span.until).max())
    }

    /// The name (DER without its header) of the issuer for want of which no path reaches a root.
    pub(super) fn wanted(&self) -> Option<&[u8]> {
        self.dead_end.as_ref()?.wanted.as_deref()
    }

    fn verifies(&self, now: i64) -> bool {
        self.spans.iter().any(|span| span.contains(now))
    }
}

/// Judges `chain`, leaf first, against the roots of `store`, beginning at `now` (Unix seconds); also gives the
/// intermediates by which it verifies. The verdict holds for every later moment, too.
pub(super) fn judge(chain: &[Arc<Certificate>], store: &TrustStore, now: i64) -> (ChainVerdict, Vec<Arc<Certificate>>) {
    let earliest_not_after =
        chain.iter().filter_map(|certificate| certificate.facts()).map(|facts| facts.not_after).min();
    let Candidates { certificates: chain, are_cut } = Candidates::of(chain);
    let sweep = chain.first().map_or_else(Sweep::default, |leaf| verify(leaf, &chain, store, now));
    let mut verdict = ChainVerdict {
        spans: sweep.spans.into(),
        trusted: Some(true),
        reasons: Reasons::default(),
        earliest_not_after,
        dead_end: None,
    };
    if verdict.spans.is_empty() {
        let diagnosis = diagnose(chain.get(..MAX_DIAGNOSED).unwrap_or(&chain), store.anchors(), now);
        verdict.close(diagnosis, &sweep.errors, are_cut);
    } else if chain.first().and_then(|leaf| leaf.facts()).is_some_and(|leaf| leaf.key.is_weak()) {
        // Verifiers judge the keys that signed on the path; the leaf's signs nothing before the handshake.
        verdict.reasons.insert(ChainReason::WeakKey);
        verdict.trusted = Some(false);
    }
    (verdict, sweep.used)
}

impl ChainVerdict {
    /// Says what is wrong, where nothing verifies at any moment.
    fn close(&mut self, diagnosis: Diagnosis, errors: &[Error], are_cut: bool) {
        let Diagnosis { reasons, window, wanted } = diagnosis;
        self.reasons = reasons;
        let untimed = || errors.iter().filter(|error| !is_of_time(error));
        if reasons.is_empty() {
            // The verifier has a reason that the diagnosis does not know.
            untimed().for_each(|error| self.reasons.insert(of_error(error)));
        }
        self.reasons.insert_if(errors.iter().any(is_of_effort), ChainReason::TooComplex);
        self.reasons.insert_if(untimed().any(|error| *error == Error::CertDistrusted), ChainReason::Distrusted);
        if are_cut && self.reasons.contains(ChainReason::UnknownIssuer) {
            // What was not looked at may lead on, and may be the issuer whose name others bear.
            self.reasons.remove(ChainReason::UnknownIssuer);
            self.reasons.remove(ChainReason::BadSignature);
            self.reasons.insert(ChainReason::TooComplex);
        }
        self.trusted = (!self.reasons.is_empty()).then_some(false);
        // What took too much work is not tried again with more certificates.
        let wanted = wanted.filter(|_| !self.reasons.contains(ChainReason::TooComplex));
        self.dead_end = Some(Box::new(DeadEnd { window, wanted }));
    }
}

/// What verifying brought at the moments at which it was tried.
#[derive(Debug, Default)]
struct Sweep {
    spans: Vec<Span>,
    errors: Vec<Error>,
    /// The intermediates on the paths that verify.
    used: Vec<Arc<Certificate>>,
}

fn verify(leaf: &Certificate, chain: &[Arc<Certificate>], store: &TrustStore, now: i64) -> Sweep {
    let end_entity = match EndEntityCert::try_from(leaf.der()) {
        Ok(end_entity) => end_entity,
        Err(error) => return Sweep { errors: vec![error], ..Sweep::default() },
    };
    let intermediates: Vec<CertificateDer<'_>> =
        chain.iter().skip(1).map(|certificate| CertificateDer::from(certificate.der().as_ref())).collect();
    let mut used: Vec<Arc<Certificate>> = Vec::new();
    let path = |moment: i64| {
        let path = verifier::verify(&end_entity, &intermediates, store.anchors(), moment)?;
        let members: Vec<&Arc<Certificate>> = members(&path, chain);
        for member in &members {
            if !used.iter().any(|known| Arc::ptr_eq(known, member)) {
                used.push(Arc::clone(member));
            }
        }
        let spans = members.iter().map(|member| &***member).chain([leaf]).filter_map(span_of);
        Ok(spans.reduce(Span::intersect).unwrap_or(Span { from: moment, until: moment }))
    };
    let (spans, errors) = sweep(path, &moments(chain, now), now);
    Sweep { spans, errors, used }
}

fn span_of(certificate: &Certificate) -> Option<Span> {
    certificate.facts().map(|facts| Span { from: facts.not_before, until: facts.not_after })
}

/// The presented certificates that stand on the path. Roots do not: anchors are not checked for expiry.
fn members<'c>(path: &VerifiedPath<'_>, chain: &'c [Arc<Certificate>]) -> Vec<&'c Arc<Certificate>> {
    let find = |der: CertificateDer<'_>| chain.iter().find(|certificate| *certificate.der() == der);
    path.intermediate_certificates().filter_map(|intermediate| find(intermediate.der())).collect()
}

/// Verifies at `now` and, while paths end, right after each end; where nothing verifies, at the other moments.
fn sweep(mut path: impl FnMut(i64) -> Result<Span, Error>, others: &[i64], now: i64) -> (Vec<Span>, Vec<Error>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut errors = Vec::new();
    let mut moment = now;
    while spans.len() < MAX_SPANS {
        match path(moment) {
            Ok(span) => {
                spans.push(span);
                moment = span.until.saturating_add(1);
            }
            Err(error) => {
                errors.push(error);
                break;
            }
        }
    }
    if spans.is_empty() {
        for moment in others {
            // What took all the work that one try may take is not tried again.
            if errors.iter().any(is_of_effort) {
                break;
            }
            match path(*moment) {
                Ok(span) if !spans.contains(&span) => spans.push(span),
                Ok(_) => {}
                Err(error) if !errors.contains(&error) => errors.push(error),
                Err(_) => {}
            }
        }
    }
    (spans, errors)
}

/// Moments enough to find every path that ever verifies: a path begins to when the last of its certificates becomes
/// valid.
fn moments(chain: &[Arc<Certificate>], now: i64) -> Vec<i64> {
    let Some(leaf) = chain.first().and_then(|leaf| span_of(leaf)) else { return Vec::new() };
    let starts = chain.iter().filter_map(|certificate| span_of(certificate)).map(|span| span.from);
    let mut moments: Vec<i64> = starts.filter(|moment| leaf.contains(*moment) && *moment != now).collect();
    moments.sort_unstable();
    moments.dedup();
    moments
}

/// Certificates that are diagnosed.
const MAX_DIAGNOSED: usize = 16;
/// Paths that follow one another in time; a real change of paths comes once or twice.
const MAX_SPANS: usize = 8;

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

    /// What verifying gives at each moment, the other moments to try, and what comes of it: the spans, how many
    /// errors, and how often it was tried.
    #[track_caller]
    fn check(path: fn(i64) -> Result<(i64, i64), Error>, others: &[i64], expected: (&[(i64, i64)], usize, usize)) {
        let tries = Cell::new(0);
        let counted = |moment| {
            tries.set(tries.get() + 1);
            path(moment).map(|(from, until)| Span { from, until })
        };
        let (spans, errors) = sweep(counted, others, NOW);
        let spans: Vec<_> = spans.iter().map(|span| (span.from, span.until)).collect();
        assert_eq!((&*spans, errors.len(), tries.get()), expected);
    }

    #[test]
    fn paths_are_followed_and_work_is_bounded() {
        let forever = |moment| Ok((moment, moment));
        check(|moment| if moment <= 200 { Ok((0, 200)) } else { Err(expired()) }, &[0, 300], (&[(0, 200)], 1, 2));
        // A cross-signed path that goes on after the first has ended.
        check(
            |moment| match moment {
                ..=150 => Ok((0, 150)),
                151..=300 => Ok((50, 300)),
                _ => Err(expired()),
            },
            &[],
            (&[(0, 150), (50, 300)], 1, 3),
        );
        // Expired now, and trusted while it was valid.
        check(|moment| if moment <= 50 { Ok((0, 50)) } else { Err(expired()) }, &[0, 50], (&[(0, 50)], 1, 3));
        // Expired now, and what that hid.
        check(|moment| Err(if moment <= 50 { Error::UnknownIssuer } else { expired() }), &[0, 50], (&[], 2, 3));
        // Expired now, and made to be hard: one such try is enough.
        let hard = |moment| Err(if moment <= 50 { Error::MaximumPathBuildCallsExceeded } else { expired() });
        check(hard, &[0, 10, 20, 30, 40, 50], (&[], 2, 2));
        let hard_now = |_| Err(Error::MaximumSignatureChecksExceeded);
        check(hard_now, &[0, 10], (&[], 1, 1));
        check(forever, &[], (&[100, 101, 102, 103, 104, 105, 106, 107].map(|moment| (moment, moment)), 0, MAX_SPANS));
    }
}
