//! The condition of a backend: logs and the history of changes report when it changes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::SystemTime;

use super::BackendReport;
use crate::reason::{ChainReason, OcspReason, ProbeReason, Stage};
use crate::verdict::unix;

/// The result of the last probe of a backend and the verdicts on its last certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// Where and why the last probe failed; none if it succeeded.
    pub failure: Option<(Stage, ProbeReason)>,
    /// Whether the certificate matches the server name; none if unknown.
    pub name: Option<bool>,
    /// The problems of the chain.
    pub chain: Vec<ChainReason>,
    /// The problems of the stapled OCSP response, a missing one included.
    pub staple: Vec<OcspReason>,
    /// SHA-256 of the certificate.
    pub fingerprint: Option<[u8; 32]>,
}

impl Condition {
    /// The condition of `report` at `now`; none before the first probe.
    pub fn of(report: &BackendReport, now: SystemTime) -> Option<Self> {
        let probe = report.probe.as_ref()?;
        let last = report.last_certificate.as_ref().map(|last| &last.assessment);
        Some(Self {
            failure: probe.outcome.as_ref().err().map(|failure| (failure.stage, failure.reason)),
            name: report.name_matches(),
            chain: last.map(|last| last.reasons(now).iter().collect()).unwrap_or_default(),
            staple: last.map(|last| last.chain.ocsp().reasons(unix(now)).collect()).unwrap_or_default(),
            fingerprint: last.and_then(|last| last.leaf()).map(|leaf| leaf.fingerprint()),
        })
    }

    /// A hash, to compare conditions without keeping them.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// Whether there is no problem.
    pub fn is_ok(&self) -> bool {
        self.failure.is_none() && self.name == Some(true) && self.chain.is_empty() && self.staple.is_empty()
    }
}
