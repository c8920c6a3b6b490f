//! Verdicts on an observation: whether the name matches, whether the chain is trusted, whether it is within its
//! validity period, and whether the peer holds the private key. Each verdict is reached separately, so that none hides
//! another. Pure: time and roots are arguments.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::crypto::WebPkiSupportedAlgorithms;

use crate::observation::{KeyProof, PresentedChain};
use crate::reason::ChainReason;
use crate::target::ServerName;
use crate::trust::TrustStore;
use budget::Budget;

mod budget;
mod cache;
pub mod certificate;
pub mod chain;
mod constraints;
mod der;
mod diagnosis;
mod extension;
mod issuers;
pub mod key;
pub mod name;
pub mod near_miss;
pub mod ocsp;
mod oid;
mod order;
mod proof;
pub mod reasons;
mod roots;
mod senders;
mod signature;
#[cfg(test)]
mod tests;
pub mod validity;
mod verifier;
mod warnings;

pub use cache::JudgedChain;
pub use certificate::{Certificate, Facts};
pub use chain::ChainVerdict;
pub use name::NameVerdict;
pub use ocsp::OcspVerdict;
pub use reasons::Reasons;
pub use roots::PathRoot;
pub use warnings::{Cause, Senders, Warnings};

/// Reaches verdicts on observations. All probes share one, so that equal certificates and chains are parsed, judged and
/// stored once.
#[derive(Debug)]
pub struct Judge {
    cache: cache::VerdictCache,
    issuers: issuers::KnownIssuers,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Default for Judge {
    fn default() -> Self {
        Self {
            cache: cache::VerdictCache::default(),
            issuers: issuers::KnownIssuers::default(),
            algorithms: rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms,
        }
    }
}

impl Judge {
    /// All verdicts at `now` on what a server presented when `input.server_name` was sent as SNI.
    pub fn assess(
        &self,
        presented: PresentedChain,
        proof: Option<&KeyProof>,
        input: &AssessmentInput<'_>,
        now: SystemTime,
    ) -> Assessment {
        let (now, budget) = (unix(now), Budget::default());
        let same = input.known.filter(|known| known.holds_for(&presented, input.trust, now)).cloned();
        let chain = same.unwrap_or_else(|| self.cache.judge(presented, input.trust, &self.issuers, now, &budget));
        let leaf = chain.certificates().first();
        let facts = leaf.and_then(|leaf| leaf.facts());
        let matches = |name: &ServerName| facts.is_some_and(|facts| name::judge(name, facts).is_match());
        Assessment {
            name: facts.map(|facts| name::judge(input.server_name, facts)),
            expected: facts.map(|_| input.expect_names.iter().map(matches).collect()).unwrap_or_default(),
            ehlo: facts.and(input.ehlo_name).and_then(|name| ServerName::parse(name).ok()).map(|name| matches(&name)),
            proof: proof.zip(leaf).and_then(|(proof, leaf)| proof::verify(proof, leaf, &self.algorithms)),
            completed: self.completed(&chain, input.trust, now, MAX_MISSING, &budget),
            chain,
        }
    }

    /// The verdict on `presented` if the same chain and staple were judged by the same roots before, for any target.
    pub fn cached(&self, presented: &PresentedChain, trust: &TrustStore, now: SystemTime) -> Option<Arc<JudgedChain>> {
        self.cache.get(presented, trust, unix(now))
    }

    /// Reassesses what was presented in `before`. The results for the key proof and the EHLO name are kept.
    pub fn reassess(&self, before: &Assessment, input: &AssessmentInput<'_>, now: SystemTime) -> Assessment {
        let Assessment { proof, ehlo, .. } = *before;
        Assessment { proof, ehlo, ..self.assess(before.chain.presented(), None, input, now) }
    }

    /// Whether a chain equal to `known` can be assessed without building paths: it lacks no issuer, or none that is
    /// known.
    pub fn is_quick(&self, known: &JudgedChain) -> bool {
        known.verdict().missing_issuer().is_none_or(|subject| self.issuers.by_subject(subject).is_empty())
    }

    /// Number of intermediates learned from paths that verify. When it grows, a reassessment may complete a chain that
    /// [`Assessment::lacks_issuer`].
    pub fn issuers_learned(&self) -> u64 {
        self.issuers.learned()
    }

    /// `chain` with at most `most` missing intermediates that other servers presented, if it then builds to a root.
    fn completed(
        &self,
        chain: &JudgedChain,
        store: &TrustStore,
        now: i64,
        most: usize,
        budget: &Budget,
    ) -> Option<Arc<JudgedChain>> {
        let missing_issuer = chain.verdict().missing_issuer()?;
        let left = most.checked_sub(1)?;
        self.issuers.by_subject(missing_issuer).iter().find_map(|issuer| {
            let mut presented = chain.presented();
            presented.certificates.push(issuer.der().clone());
            presented.staple = Box::default();
            let extended = self.cache.judge(presented, store, &self.issuers, now, budget);
            match extended.verdict().missing_issuer() {
                Some(_) => self.completed(&extended, store, now, left, budget),
                // An issuer with the same name and another key is not the missing one.
                None if extended.verdict().reasons(now).contains(ChainReason::BadSignature) => None,
                None => Some(extended),
            }
        })
    }
}

/// What an observation is assessed against.
#[derive(Clone, Copy, Debug)]
pub struct AssessmentInput<'a> {
    /// The reference identifier (RFC 9525 §6.1), also sent as SNI.
    pub server_name: &'a ServerName,
    /// Further names that the certificate must list.
    pub expect_names: &'a [ServerName],
    /// The name in the server's EHLO response.
    pub ehlo_name: Option<&'a str>,
    /// The trusted roots.
    pub trust: &'a TrustStore,
    /// The verdict on the chain presented last time, reused if the chain is the same.
    pub known: Option<&'a Arc<JudgedChain>>,
}

/// All verdicts on what one server presented.
#[derive(Clone, Debug)]
pub struct Assessment {
    /// The chain and its verdict.
    pub chain: Arc<JudgedChain>,
    /// The chain extended by its missing intermediates, if other servers presented them and it then builds to a root.
    pub completed: Option<Arc<JudgedChain>>,
    /// Whether the certificate lists the server name. `None` if the leaf cannot be parsed.
    pub name: Option<NameVerdict>,
    /// For each expected name in order, whether the certificate lists it. Empty if the leaf cannot be parsed.
    pub expected: Box<[bool]>,
    /// Whether the certificate lists the name in the EHLO response. `None` if there is no such name or no parsed leaf.
    pub ehlo: Option<bool>,
    /// Whether the peer holds the leaf's private key. `None` if that could not be checked.
    pub proof: Option<bool>,
}

impl Assessment {
    /// The server certificate.
    pub fn leaf(&self) -> Option<&Arc<Certificate>> {
        self.chain.certificates().first()
    }

    /// The facts in the server certificate. `None` if it cannot be parsed.
    pub fn facts(&self) -> Option<&Facts> {
        self.leaf()?.facts()
    }

    /// Intermediates that a path needs and the server does not present, if they are known.
    pub fn missing(&self) -> &[Arc<Certificate>] {
        let all = self.completed.as_ref().map(|completed| completed.certificates()).unwrap_or_default();
        all.get(self.chain.certificates().len()..).unwrap_or_default()
    }

    /// Whether there is no path to a root because an issuer is missing and not known.
    pub fn lacks_issuer(&self) -> bool {
        self.completed.is_none() && self.chain.verdict().missing_issuer().is_some()
    }

    /// Whether the chain builds to a trusted root at any time. `Some(true)` only if the key proof was verified.
    pub fn trusted(&self) -> Option<bool> {
        self.with_proof(self.chain.verdict().trusted())
    }

    /// Whether the chain is trusted and within its validity period at `now`. `Some(true)` only if the key proof was
    /// verified.
    pub fn valid(&self, now: SystemTime) -> Option<bool> {
        self.with_proof(Some(self.chain.verdict().valid(unix(now))))
    }

    /// Everything that is wrong with the chain at `now`.
    pub fn reasons(&self, now: SystemTime) -> Reasons {
        let mut reasons = self.chain.verdict().reasons(unix(now));
        if let Some(completed) = &self.completed {
            reasons.remove(ChainReason::UnknownIssuer);
            reasons.insert(ChainReason::MissingIntermediate);
            reasons.extend(completed.verdict().reasons(unix(now)));
        }
        reasons.insert_if(self.proof == Some(false), ChainReason::KeyProofFailed);
        reasons
    }

    /// What some senders refuse at `now` although the chain is valid.
    pub fn warnings(&self, now: SystemTime) -> Warnings {
        if self.proof == Some(false) { Warnings::default() } else { self.chain.verdict().warnings(unix(now)) }
    }

    fn with_proof(&self, verdict: Option<bool>) -> Option<bool> {
        match self.proof {
            Some(true) => verdict,
            Some(false) => Some(false),
            None => verdict.filter(|verdict| !verdict),
        }
    }
}

const MAX_MISSING: usize = 3;

/// Whole seconds since 1970, negative before.
pub fn unix(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
    }
}
