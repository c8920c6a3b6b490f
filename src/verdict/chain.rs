//! Does a chain lead to a trusted root, and when?
//!
//! Trust and time are kept apart: a verdict holds the spans of time in which a path verifies, so that it can be read
//! at any later moment without being made again. Verifying at other moments than now also un-masks what an expired
//! certificate hides, since verifiers stop at the first thing that is wrong.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage, VerifiedPath};

use super::certificate::{Certificate, Facts};
use crate::reason::ChainReason;
use crate::trust::TrustStore;

/// What is concluded of a chain; a function of the moment it is read for.
#[derive(Debug, PartialEq, Eq)]
pub struct ChainVerdict {
    spans: Box<[Span]>,
    trusted: Option<bool>,
    reasons: Reasons,
    earliest_not_after: Option<i64>,
}

/// A time in which a path verifies, Unix seconds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The latest start of validity on the path.
    pub from: i64,
    /// The earliest end of validity on the path.
    pub until: i64,
}

impl Span {
    fn contains(self, moment: i64) -> bool {
        (self.from..=self.until).contains(&moment)
    }
}

impl ChainVerdict {
    /// Whether a path leads to a root with time set aside; none where no moment exists at which it could be said.
    pub fn trusted(&self) -> Option<bool> {
        self.trusted
    }

    /// Whether a path leads to a root at `now`.
    pub fn valid(&self, now: i64) -> bool {
        self.spans.iter().any(|span| span.contains(now))
    }

    /// All that is wrong at `now`.
    pub fn reasons(&self, leaf: Option<&Facts>, now: i64) -> Reasons {
        let mut reasons = self.reasons;
        if self.valid(now) {
            return reasons;
        }
        let (expired, early) = match (self.spans.is_empty(), leaf) {
            (false, _) => {
                (self.spans.iter().all(|span| span.until < now), self.spans.iter().all(|span| now < span.from))
            }
            (true, Some(leaf)) => {
                let path_expired = self.trusted.is_none() && self.earliest_not_after.is_some_and(|end| end < now);
                (leaf.not_after < now || path_expired, now < leaf.not_before)
            }
            (true, None) => (false, false),
        };
        // Between two spans nothing verifies: the path that did has ended.
        let between = !self.spans.is_empty() && !expired && !early;
        if expired || between {
            reasons.insert(ChainReason::Expired);
        }
        if early {
            reasons.insert(ChainReason::NotYetValid);
        }
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
}

/// A set of reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(u32);

const _: () = assert!(ChainReason::ALL.len() <= u32::BITS as usize);

impl Reasons {
    /// Adds one.
    pub fn insert(&mut self, reason: ChainReason) {
        self.0 |= 1 << reason as u32;
    }

    /// Whether it is among them.
    pub fn contains(self, reason: ChainReason) -> bool {
        self.0 & (1 << reason as u32) != 0
    }

    /// All of them in the order of declaration.
    pub fn iter(self) -> impl Iterator<Item = ChainReason> {
        ChainReason::ALL.iter().copied().filter(move |reason| self.contains(*reason))
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Judges `chain`, leaf first, against the roots of `store`, beginning at `now` (Unix seconds).
/// The verdict holds for every later moment, too.
pub(super) fn judge(chain: &[Arc<Certificate>], store: &TrustStore, now: i64) -> ChainVerdict {
    let facts = || chain.iter().filter_map(|certificate| certificate.facts());
    let mut verdict = ChainVerdict {
        spans: Box::default(),
        trusted: Some(false),
        reasons: Reasons::default(),
        earliest_not_after: facts().map(|facts| facts.not_after).min(),
    };
    let Some((leaf, intermediates)) = chain.split_first() else { return verdict };
    if chain.len() > MAX_CERTIFICATES {
        verdict.reasons.insert(ChainReason::TooComplex);
        return verdict;
    }
    let weak_leaf = leaf.facts().is_some_and(|facts| facts.key.is_weak());
    let end_entity = match EndEntityCert::try_from(leaf.der()) {
        Ok(end_entity) => end_entity,
        Err(error) => {
            verdict.note(&error, chain);
            return verdict;
        }
    };
    let intermediates: Vec<CertificateDer<'_>> =
        intermediates.iter().map(|certificate| CertificateDer::from(certificate.der().as_ref())).collect();
    let path = |moment: i64| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(moment).unwrap_or(0)));
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        let usage = KeyUsage::server_auth();
        let path = end_entity.verify_for_usage(algorithms, store.anchors(), &intermediates, time, usage, None, None)?;
        Ok(span_of(&path, chain).unwrap_or(Span { from: moment, until: moment }))
    };
    let (spans, errors) = sweep(path, &moments(chain, now), now);
    let untimed: Vec<&Error> = errors.iter().filter(|error| !is_of_time(error)).collect();
    verdict.trusted = match (spans.is_empty(), untimed.is_empty()) {
        (false, _) => Some(true),
        (true, true) => None,
        (true, false) => Some(false),
    };
    // Only a leaf's key can be small on a path that verifies: no signature of a small CA key is accepted. Where none
    // verifies, a small key anywhere is the likely cause.
    if weak_leaf || spans.is_empty() && facts().any(|facts| facts.key.is_weak()) {
        verdict.reasons.insert(ChainReason::WeakKey);
    }
    if spans.is_empty() {
        for error in untimed {
            verdict.note(error, chain);
        }
    }
    if weak_leaf {
        verdict.trusted = verdict.trusted.map(|_| false);
    } else {
        verdict.spans = spans.into();
    }
    verdict
}

impl ChainVerdict {
    fn note(&mut self, error: &Error, chain: &[Arc<Certificate>]) {
        if let Some(reason) = reason(error, chain) {
            // A small key makes its signatures uncheckable: the cause is told, not what follows from it.
            let follows = reason == ChainReason::BadSignature && self.reasons.contains(ChainReason::WeakKey);
            if !follows {
                self.reasons.insert(reason);
            }
        }
    }
}

/// Verifies at `now` and, while paths end, right after each end; where nothing verifies, at the other moments.
fn sweep(path: impl Fn(i64) -> Result<Span, Error>, others: &[i64], now: i64) -> (Vec<Span>, Vec<Error>) {
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

/// The moments between which nothing about time changes, as far as they lie in the leaf's own validity.
fn moments(chain: &[Arc<Certificate>], now: i64) -> Vec<i64> {
    let Some(leaf) = chain.first().and_then(|leaf| leaf.facts()) else { return Vec::new() };
    let facts = chain.iter().filter_map(|certificate| certificate.facts());
    let mut moments: Vec<i64> = facts
        .flat_map(|facts| [facts.not_before, facts.not_after])
        .filter(|moment| (leaf.not_before..=leaf.not_after).contains(moment) && *moment != now)
        .collect();
    moments.sort_unstable();
    moments.dedup();
    moments.truncate(MAX_MOMENTS);
    moments
}

/// The time in which every certificate of the path is valid. Roots have none: anchors are not checked for expiry.
fn span_of(path: &VerifiedPath<'_>, chain: &[Arc<Certificate>]) -> Option<Span> {
    let leaf = chain.first()?.facts()?;
    let mut span = Span { from: leaf.not_before, until: leaf.not_after };
    for intermediate in path.intermediate_certificates() {
        let der = intermediate.der();
        let facts = chain.iter().find(|certificate| *certificate.der() == der)?.facts()?;
        span = Span { from: span.from.max(facts.not_before), until: span.until.min(facts.not_after) };
    }
    Some(span)
}

fn is_of_effort(error: &Error) -> bool {
    matches!(
        error,
        Error::MaximumNameConstraintComparisonsExceeded
            | Error::MaximumPathBuildCallsExceeded
            | Error::MaximumSignatureChecksExceeded
    )
}

fn is_of_time(error: &Error) -> bool {
    matches!(error, Error::CertExpired { .. } | Error::CertNotValidYet { .. })
}

/// None for what is about time, which is read from the spans.
fn reason(error: &Error, chain: &[Arc<Certificate>]) -> Option<ChainReason> {
    let self_signed = chain.first().and_then(|leaf| leaf.facts()).is_some_and(|leaf| leaf.self_signed);
    let weak_signature = chain.iter().filter_map(|certificate| certificate.facts()).any(|facts| facts.signature.weak);
    #[expect(deprecated, reason = "old variants may still come where the newer ones carry context")]
    Some(match error {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => return None,
        Error::UnknownIssuer | Error::CaUsedAsEndEntity if self_signed => ChainReason::SelfSigned,
        Error::UnknownIssuer => ChainReason::UnknownIssuer,
        Error::CaUsedAsEndEntity => ChainReason::CaAsEndEntity,
        Error::EndEntityUsedAsCa => ChainReason::NotACa,
        Error::InvalidCertValidity => ChainReason::BadValidity,
        Error::InvalidSignatureForPublicKey | Error::SignatureAlgorithmMismatch => ChainReason::BadSignature,
        Error::UnsupportedSignatureAlgorithm | Error::UnsupportedSignatureAlgorithmContext(_) if weak_signature => {
            ChainReason::WeakSignatureAlgorithm
        }
        Error::UnsupportedSignatureAlgorithm
        | Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKey
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => ChainReason::UnsupportedAlgorithm,
        Error::RequiredEkuNotFound | Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            ChainReason::MissingEku
        }
        Error::NameConstraintViolation | Error::MalformedNameConstraint | Error::InvalidNetworkMaskConstraint => {
            ChainReason::NameConstraints
        }
        Error::PathLenConstraintViolated | Error::MaximumPathDepthExceeded => ChainReason::PathTooLong,
        Error::MaximumNameConstraintComparisonsExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumSignatureChecksExceeded => ChainReason::TooComplex,
        Error::CertDistrusted => ChainReason::Distrusted,
        Error::UnsupportedCertVersion => ChainReason::UnsupportedVersion,
        Error::UnsupportedCriticalExtension => ChainReason::CriticalExtension,
        _ => ChainReason::Malformed,
    })
}

/// Certificates that are looked at; the search for paths grows with a power of their number.
const MAX_CERTIFICATES: usize = 16;
/// Paths that follow one another in time; a real change of paths comes once or twice.
const MAX_SPANS: usize = 8;
/// Moments tried for a chain that does not verify now: a bound on the work that a hostile chain can cause.
const MAX_MOMENTS: usize = 16;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

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
