//! A backend's condition: what a log line, a page's history and a reader compare.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::SystemTime;

use super::BackendReport;
use crate::reason::{ChainReason, OcspReason, ProbeReason, Stage};
use crate::verdict::unix;

/// What is well and what is not with a backend; what tells of changes tells of changes of this.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// Where and why the last probe stopped, where it failed.
    pub failure: Option<(Stage, ProbeReason)>,
    /// Whether the certificate carries the server name, where that is known.
    pub name: Option<bool>,
    /// All that is wrong with the chain.
    pub chain: Vec<ChainReason>,
    /// All that is wrong with the stapled OCSP response, or its absence.
    pub staple: Vec<OcspReason>,
    /// SHA-256 of the certificate.
    pub fingerprint: Option<[u8; 32]>,
}

impl Condition {
    /// The condition that `report` shows at `now`; none before the first probe.
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

    /// A number that tells conditions apart.
    pub fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// Whether there is nothing to mend.
    pub fn is_ok(&self) -> bool {
        self.failure.is_none() && self.name == Some(true) && self.chain.is_empty() && self.staple.is_empty()
    }
}
