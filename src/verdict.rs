//! What is concluded from an observation: does the name match, is the chain trusted, is the time right, does the peer
//! hold the key. Each is judged on its own and none hides another. Pure: time and roots are arguments.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::crypto::WebPkiSupportedAlgorithms;

use crate::observation::{KeyProof, PresentedChain};
use crate::reason::ChainReason;
use crate::target::ServerName;
use crate::trust::TrustStore;

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
pub mod ocsp;
mod oid;
mod order;
mod proof;
pub mod reasons;
mod signature;
#[cfg(test)]
mod tests;
pub mod validity;
mod verifier;

pub use cache::JudgedChain;
pub use certificate::{Certificate, Facts};
pub use chain::ChainVerdict;
pub use name::NameVerdict;
pub use ocsp::OcspVerdict;
pub use reasons::Reasons;

/// Judges observations; one for all probes, so that what is equal is parsed, judged and kept once.
#[derive(Debug)]
pub struct Judge {
    memo: cache::Memo,
    issuers: issuers::Issuers,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Default for Judge {
    fn default() -> Self {
        Self {
            memo: cache::Memo::default(),
            issuers: issuers::Issuers::default(),
            algorithms: rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms,
        }
    }
}

impl Judge {
    /// Judges what a server presented when it was asked for `question.server_name`.
    pub fn assess(
        &self,
        presented: PresentedChain,
        proof: Option<&KeyProof>,
        question: &Question<'_>,
        now: SystemTime,
    ) -> Assessment {
        let now = unix(now);
        let same = question.known.filter(|known| known.holds_for(&presented, question.trust, now)).cloned();
        let chain = same.unwrap_or_else(|| self.memo.judged(presented, question.trust, &self.issuers, now));
        let leaf = chain.certificates().first();
        let facts = leaf.and_then(|leaf| leaf.facts());
        let matches = |name: &ServerName| facts.is_some_and(|facts| name::judge(name, facts).is_match());
        Assessment {
            name: facts.map(|facts| name::judge(question.server_name, facts)),
            expected: facts.map(|_| question.expect_names.iter().map(matches).collect()).unwrap_or_default(),
            ehlo: facts
                .and(question.ehlo_name)
                .and_then(|name| ServerName::parse(name).ok())
                .map(|name| matches(&name)),
            proof: proof.zip(leaf).and_then(|(proof, leaf)| proof::judge(proof, leaf, &self.algorithms)),
            completed: self.completed(&chain, question.trust, now, MAX_MISSING),
            chain,
        }
    }

    /// The judged form of `presented`, where these roots have judged the same chain for anybody.
    pub fn recall(&self, presented: &PresentedChain, trust: &TrustStore, now: SystemTime) -> Option<Arc<JudgedChain>> {
        self.memo.recall(presented, trust, unix(now))
    }

    /// Judges anew what was presented before; what was proved of the key and said in EHLO stays.
    pub fn reassess(&self, before: &Assessment, question: &Question<'_>, now: SystemTime) -> Assessment {
        let Assessment { proof, ehlo, .. } = *before;
        Assessment { proof, ehlo, ..self.assess(before.chain.presented(), None, question, now) }
    }

    /// Whether judging anything that was presented as `known` is the work of a moment.
    pub fn is_quick(&self, known: &JudgedChain) -> bool {
        known.verdict().wanted().is_none_or(|wanted| self.issuers.of(wanted).is_empty())
    }

    /// How many intermediates were seen on paths that verify. Where this grows, what an [`Assessment::lacks_issuer`]
    /// says may be another.
    pub fn issuers_learnt(&self) -> u64 {
        self.issuers.learnt()
    }

    /// `chain` with up to `most` intermediates that it lacks and other servers presented, where they lead to a root.
    fn completed(&self, chain: &JudgedChain, store: &TrustStore, now: i64, most: usize) -> Option<Arc<JudgedChain>> {
        let wanted = chain.verdict().wanted()?;
        let left = most.checked_sub(1)?;
        self.issuers.of(wanted).iter().find_map(|issuer| {
            let mut presented = chain.presented();
            presented.certificates.push(issuer.der().clone());
            presented.staple = Box::default();
            let longer = self.memo.judged(presented, store, &self.issuers, now);
            match longer.verdict().wanted() {
                Some(_) => self.completed(&longer, store, now, left),
                // One of the same name with another key is not the one that is missing.
                None if longer.verdict().reasons(now).contains(ChainReason::BadSignature) => None,
                None => Some(longer),
            }
        })
    }
}

/// What is asked of a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The reference name.
    pub server_name: &'a ServerName,
    /// Further names that it must carry.
    pub expect_names: &'a [ServerName],
    /// The name that the server gave in EHLO.
    pub ehlo_name: Option<&'a str>,
    /// The roots.
    pub trust: &'a TrustStore,
    /// What was presented last time, where that is known: what is equal is not judged twice.
    pub known: Option<&'a Arc<JudgedChain>>,
}

/// All verdicts on what one server presented.
#[derive(Clone, Debug)]
pub struct Assessment {
    /// The chain and its verdict.
    pub chain: Arc<JudgedChain>,
    /// The chain and the intermediates that it lacks, where servers of this fleet presented them and a path to a root
    /// leads through them.
    pub completed: Option<Arc<JudgedChain>>,
    /// The server name against the presented names; none where the leaf cannot be parsed.
    pub name: Option<NameVerdict>,
    /// For each expected name in order, whether the certificate carries it; empty where the leaf cannot be parsed.
    pub expected: Box<[bool]>,
    /// Whether the certificate carries the name that the server gave in EHLO, where it gave one.
    pub ehlo: Option<bool>,
    /// Whether the peer holds the leaf's key; none where that could not be checked.
    pub proof: Option<bool>,
}

impl Assessment {
    /// The server's own certificate.
    pub fn leaf(&self) -> Option<&Arc<Certificate>> {
        self.chain.certificates().first()
    }

    /// The certificates that a path needs and the server does not present, as far as they are known.
    pub fn missing(&self) -> &[Arc<Certificate>] {
        let all = self.completed.as_ref().map(|completed| completed.certificates()).unwrap_or_default();
        all.get(self.chain.certificates().len()..).unwrap_or_default()
    }

    /// Whether no path leads to a root for want of an issuer that is not known.
    pub fn lacks_issuer(&self) -> bool {
        self.completed.is_none() && self.chain.verdict().wanted().is_some()
    }

    /// Whether the chain leads to a root, time set aside. Without a checked proof of the key nothing positive is said.
    pub fn trusted(&self) -> Option<bool> {
        self.with_proof(self.chain.verdict().trusted())
    }

    /// Whether the chain is trusted and in time at `now`.
    pub fn valid(&self, now: SystemTime) -> Option<bool> {
        self.with_proof(Some(self.chain.verdict().valid(unix(now))))
    }

    /// All that is wrong with the chain at `now`.
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

    fn with_proof(&self, verdict: Option<bool>) -> Option<bool> {
        match self.proof {
            Some(true) => verdict,
            Some(false) => Some(false),
            None => verdict.filter(|verdict| !verdict),
        }
    }
}

/// Intermediates that are looked for when a chain lacks some.
const MAX_MISSING: usize = 3;

/// Whole seconds since 1970, negative before.
pub fn unix(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
    }
}
