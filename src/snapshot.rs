//! What is known now, as readers see it: immutable reports that are cheap to clone. The monitor writes them, the
//! outputs read them.

use std::net::IpAddr;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub mod alternates;
mod condition;
#[cfg(test)]
pub(crate) mod fixture;
pub mod state;

pub use self::condition::Condition;
use crate::observation::{Connection, Failure, Phases};
pub use crate::observation::{LookupFailure, LookupReport};
use crate::reason::{LocalReason, ProbeReason, Resolves, SkipReason, Stage};
use crate::target::{Backend, Endpoint, ServerName, Target};
use crate::verdict::{Assessment, Certificate};

/// All targets and the exporter itself, at one moment.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// In the order of the config.
    pub targets: Vec<Arc<TargetReport>>,
    /// The exporter's own state.
    pub exporter: ExporterReport,
}

/// The exporter's own state.
#[derive(Clone, Debug, Default)]
pub struct ExporterReport {
    /// Whether the last attempt to load the config succeeded.
    pub reload_successful: bool,
    /// When a config was last loaded.
    pub reload_success_at: Option<SystemTime>,
    /// Roots in each trust store that is in use, by its name.
    pub trust_anchors: Vec<(Arc<str>, usize)>,
    /// Probes that hold a connection now.
    pub probes_in_flight: usize,
    /// How long the oldest probe that is due has been waiting for its turn; 0 where none waits.
    pub schedule_lag: Duration,
    /// Failures of this machine, which touch no report.
    pub local_errors: Vec<(LocalReason, u64)>,
}

/// One target.
#[derive(Clone, Debug)]
pub struct TargetReport {
    /// What is probed.
    pub target: Arc<Target>,
    /// The last lookup; none before the first one is finished.
    pub lookup: Option<Arc<LookupReport>>,
    /// When the last round was finished.
    pub last_round: Option<SystemTime>,
    /// What the target expands to.
    pub endpoints: Vec<EndpointReport>,
    /// Since the start of the exporter, over reloads.
    pub counters: Counters,
    /// The certificate in the target's `certificate_file`; none where there is no such file, or it cannot be read.
    pub file: Option<Arc<Certificate>>,
    /// The last changes of state, the newest last; [`MAX_CHANGES`] at most.
    pub changes: Arc<[StateChange]>,
}

/// One endpoint of a target with its backends.
#[derive(Clone, Debug)]
pub struct EndpointReport {
    /// Server name, port and TLS mode.
    pub endpoint: Arc<Endpoint>,
    /// The preference of its MX record or the priority of its SRV record; none for a host that the config names.
    pub preference: Option<u16>,
    /// Sorted by address.
    pub backends: Vec<Arc<BackendReport>>,
    /// Addresses that are not probed, by reason.
    pub skipped: Vec<(SkipReason, usize)>,
    /// Names that every backend which DNS names presents, without the server name; looked up where the certificate of
    /// one of them lacks the server name, empty otherwise.
    pub alternates: Arc<[AlternateName]>,
}

/// A name that the certificates of all backends of an endpoint carry.
#[derive(Clone, Debug, PartialEq)]
pub struct AlternateName {
    /// Not the server name.
    pub name: ServerName,
    /// Where it leads, compared with the backends that DNS names.
    pub resolves: Resolves,
    /// The addresses that it leads to, sorted; as far as they were found out.
    pub addresses: Box<[IpAddr]>,
}

/// One change of what is known of a target.
#[derive(Clone, Debug)]
pub struct StateChange {
    /// When it was noticed.
    pub at: SystemTime,
    /// What changed.
    pub what: Change,
}

/// What changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// The condition of a backend, to this one.
    Condition(Backend, Condition),
    /// DNS names a backend anew, or no longer.
    Named(Backend, bool),
    /// What fails in lookups, to this; empty where nothing does any more.
    Lookup(Box<[LookupFailure]>),
}

/// One backend.
#[derive(Clone, Debug)]
pub struct BackendReport {
    /// Endpoint and address.
    pub backend: Backend,
    /// DNS names it now.
    pub resolved: bool,
    /// The last finished probe; none before the first.
    pub probe: Option<ProbeReport>,
    /// What was last presented, which outlives failures.
    pub last_certificate: Option<LastCertificate>,
    /// Probes in a row that ended in the handshake, or in the session by a TLS alert.
    pub handshake_errors: u32,
}

/// How the last probe of a backend went.
#[derive(Clone, Debug)]
pub struct ProbeReport {
    /// When it began.
    pub at: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// How long its finished phases took.
    pub phases: Phases,
    /// TLS parameters, or where and why it stopped.
    pub outcome: Result<Connection, Failure>,
    /// Failures in a row; 0 after a success.
    pub consecutive_failures: u32,
    /// The server said that it limits connections or rate.
    pub rate_limited: bool,
}

/// A certificate that was seen, and the verdicts on it.
#[derive(Clone, Debug)]
pub struct LastCertificate {
    /// When it was last seen.
    pub seen_at: SystemTime,
    /// The verdicts; what is about time is read for the moment of reading.
    pub assessment: Assessment,
    /// Whether it is the certificate of the target's `certificate_file`, where that can be read.
    pub file_match: Option<bool>,
    /// Different certificates seen at this address within the retention.
    pub distinct: usize,
    /// How many of the last `samples` connections showed a wrong name; none where one is made a round.
    pub mismatched_samples: Option<usize>,
}

impl TargetReport {
    /// The backends of all endpoints, in their order.
    pub fn backends(&self) -> impl Iterator<Item = &Arc<BackendReport>> {
        self.endpoints.iter().flat_map(|endpoint| &endpoint.backends)
    }

    /// The backends currently in DNS.
    pub fn resolved(&self) -> impl Iterator<Item = &Arc<BackendReport>> {
        self.backends().filter(|backend| backend.resolved)
    }

    /// Counts of the backends currently in DNS, as of `now`.
    pub fn counts(&self, now: SystemTime) -> BackendCounts {
        BackendCounts::of(self.resolved(), now)
    }
}

impl EndpointReport {
    /// The backends currently in DNS.
    pub fn resolved(&self) -> impl Iterator<Item = &Arc<BackendReport>> {
        self.backends.iter().filter(|backend| backend.resolved)
    }

    /// Counts of the backends currently in DNS, as of `now`.
    pub fn counts(&self, now: SystemTime) -> BackendCounts {
        BackendCounts::of(self.resolved(), now)
    }
}

/// Counts of backends currently in DNS. Verdicts are those on the last certificate seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendCounts {
    /// All of them.
    pub resolved: usize,
    /// Those whose last probe succeeded.
    pub reachable: usize,
    /// Those whose certificate matches the server name.
    pub matched: usize,
    /// Those whose certificate does not match the server name.
    pub mismatched: usize,
    /// Those whose chain is valid.
    pub chain_valid: usize,
}

impl BackendCounts {
    fn of<'a>(backends: impl IntoIterator<Item = &'a Arc<BackendReport>>, now: SystemTime) -> Self {
        let mut counts = Self::default();
        for backend in backends {
            let matches = backend.name_matches();
            counts.resolved += 1;
            counts.reachable += usize::from(backend.is_reachable());
            counts.matched += usize::from(matches == Some(true));
            counts.mismatched += usize::from(matches == Some(false));
            counts.chain_valid += usize::from(backend.chain_valid(now) == Some(true));
        }
        counts
    }
}

impl AddAssign for BackendCounts {
    fn add_assign(&mut self, other: Self) {
        self.resolved += other.resolved;
        self.reachable += other.reachable;
        self.matched += other.matched;
        self.mismatched += other.mismatched;
        self.chain_valid += other.chain_valid;
    }
}

impl BackendReport {
    /// Whether the chain of its last certificate is trusted and within its validity period at `now`; none if unknown.
    pub fn chain_valid(&self, now: SystemTime) -> Option<bool> {
        self.last_certificate.as_ref()?.assessment.valid(now)
    }

    /// Whether its last probe succeeded.
    pub fn is_reachable(&self) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.outcome.is_ok())
    }

    /// The certificate of its own that it presented last.
    pub fn leaf(&self) -> Option<&Arc<Certificate>> {
        self.last_certificate.as_ref()?.assessment.leaf()
    }

    /// Whether the server name matches, as far as is known.
    pub fn name_matches(&self) -> Option<bool> {
        Some(self.last_certificate.as_ref()?.assessment.name?.is_match())
    }
}

/// Probes of a target since the start.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Finished.
    pub probes: u64,
    /// Failed.
    pub failures: u64,
    /// Failed, by stage and reason; shared until it changes.
    pub reasons: Arc<Vec<(Stage, ProbeReason, u64)>>,
}

impl Counters {
    /// Counts a finished probe.
    pub fn count(&mut self, outcome: &Result<Connection, Failure>) {
        self.probes += 1;
        let Err(failure) = outcome else { return };
        self.failures += 1;
        let reasons = Arc::make_mut(&mut self.reasons);
        match reasons.iter_mut().find(|(stage, reason, _)| (*stage, *reason) == (failure.stage, failure.reason)) {
            Some((_, _, count)) => *count += 1,
            None => reasons.push((failure.stage, failure.reason, 1)),
        }
    }
}

/// Changes that are remembered of a target.
pub const MAX_CHANGES: usize = 32;
