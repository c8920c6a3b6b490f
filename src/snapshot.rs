//! Reports on the targets: immutable and cheap to clone. The monitor writes them, the outputs read them.

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
use crate::reason::{ClientAuth, LocalReason, ProbeReason, RejectionCause, Resolves, SkipReason, Stage};
use crate::target::{Backend, Endpoint, ServerName, Shard, Target, TargetIndex, TargetKind};
use crate::verdict::{Assessment, Certificate};

/// Reports on all targets and on the exporter at one time.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// In the order of the configuration.
    pub targets: Vec<Arc<TargetReport>>,
    /// The report on the exporter.
    pub exporter: ExporterReport,
}

/// The exporter's own state.
#[derive(Clone, Debug, Default)]
pub struct ExporterReport {
    /// Whether the last attempt to load the configuration succeeded.
    pub reload_successful: bool,
    /// Whether a reload, or a check of its files for changes, is in progress.
    pub reload_running: bool,
    /// When the configuration was last loaded successfully.
    pub reload_success_at: Option<SystemTime>,
    /// Whether the last attempt to load the web configuration succeeded; none without one.
    pub web_reload_successful: Option<bool>,
    /// The number of roots in each trust store in use, by its name.
    pub trust_anchors: Vec<(Arc<str>, usize)>,
    /// Number of probes in progress.
    pub probes_in_flight: usize,
    /// How long the oldest due probe has been waiting to start; 0 if none waits.
    pub schedule_lag: Duration,
    /// Number of failures of this host, by reason. They do not change the reports on targets.
    pub local_errors: Vec<(LocalReason, u64)>,
    /// Which of the configured targets have reports.
    pub shard: ShardReport,
}

/// Which of several exporters this one is, and the targets that the others probe.
#[derive(Clone, Debug, Default)]
pub struct ShardReport {
    /// This exporter.
    pub shard: Shard,
    /// In the order of the configuration.
    others: Arc<[Arc<Target>]>,
    index: Arc<TargetIndex>,
}

impl ShardReport {
    /// The report on `shard`, with the configured targets of other shards.
    pub fn new(shard: Shard, others: Vec<Arc<Target>>) -> Self {
        let index = Arc::new(TargetIndex::new(others.iter().map(|target| &**target)));
        Self { shard, others: others.into(), index }
    }

    /// The number of configured targets of other shards.
    pub fn other_targets(&self) -> usize {
        self.others.len()
    }

    /// Says which shard probes the target of another shard with this name. The text is the end of a sentence that begins with
    /// the target.
    pub fn refer_named(&self, name: &str) -> Option<String> {
        self.refer(self.index.find(name)?)
    }

    /// As [`Self::refer_named`], for the target that [`TargetIndex::find_service`] finds.
    pub fn refer_service(&self, kind: &TargetKind, server_name: Option<&ServerName>) -> Option<String> {
        self.refer(self.index.find_service(kind, server_name)?)
    }

    fn refer(&self, position: usize) -> Option<String> {
        let ordinal = self.shard.ordinal_of(&self.others.get(position)?.name);
        Some(format!("belongs to shard {ordinal} of {}; this is shard {}", self.shard.total(), self.shard.ordinal()))
    }
}

/// The report on one target.
#[derive(Clone, Debug)]
pub struct TargetReport {
    /// What is probed.
    pub target: Arc<Target>,
    /// The last lookup; none before the first is finished.
    pub lookup: Option<Arc<LookupReport>>,
    /// When the last round finished.
    pub last_round: Option<SystemTime>,
    /// The endpoints that the target expands to.
    pub endpoints: Vec<EndpointReport>,
    /// Since the start of the exporter; reloads keep them.
    pub counters: Counters,
    /// The certificate in the target's `certificate_file`; none if there is no such file or it cannot be read.
    pub file: Option<Result<Arc<Certificate>, Arc<str>>>,
    /// The last changes, newest last; at most [`MAX_CHANGES`].
    pub changes: Arc<[StateChange]>,
}

/// An endpoint of a target with its backends.
#[derive(Clone, Debug)]
pub struct EndpointReport {
    /// Server name, port and TLS mode.
    pub endpoint: Arc<Endpoint>,
    /// The preference of its MX record or the priority of its SRV record; none for a configured host.
    pub preference: Option<u16>,
    /// The name of the search list at which the addresses were found; none if it is the host as configured.
    pub found_as: Option<ServerName>,
    /// Number of backends that are kept because the last lookup of their address family failed.
    pub held: usize,
    /// Sorted by address.
    pub backends: Vec<Arc<BackendReport>>,
    /// Number of addresses that are not probed, by reason.
    pub skipped: Vec<(SkipReason, usize)>,
    /// The first ones of the addresses that are skipped because they are not allowed.
    pub not_allowed: Arc<[IpAddr]>,
    /// Names, other than the server name, that match the certificates of all resolved backends. Empty if all of them
    /// match the server name.
    pub alternates: Arc<[AlternateName]>,
}

/// A name that matches the certificates of all resolved backends of an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct AlternateName {
    /// Never the server name.
    pub name: ServerName,
    /// What it resolves to, compared with the resolved backends.
    pub resolves: Resolves,
    /// The addresses that it resolves to, sorted; incomplete if a lookup failed.
    pub addresses: Box<[IpAddr]>,
}

/// A change in the state of a target.
#[derive(Clone, Debug)]
pub struct StateChange {
    /// When it was observed.
    pub at: SystemTime,
    /// What changed.
    pub change: Change,
}

/// What changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// The new condition of a backend.
    Condition(Backend, Condition),
    /// A backend was added to DNS (true) or removed from it (false).
    Resolved(Backend, bool),
    /// The new failures of lookups; empty once lookups succeed.
    Lookup(Box<[LookupFailure]>),
}

/// The report on one backend.
#[derive(Clone, Debug)]
pub struct BackendReport {
    /// Endpoint and address.
    pub backend: Backend,
    /// Whether it is currently in DNS.
    pub resolved: bool,
    /// The last finished probe; none before the first.
    pub probe: Option<ProbeReport>,
    /// The certificate it presented last. A failed probe keeps it.
    pub last_certificate: Option<LastCertificate>,
    /// Number of consecutive probes that failed in the handshake, or later by a TLS alert. A probe that fails before TLS
    /// leaves it as it is.
    pub handshake_errors: u32,
}

/// The last probe of a backend.
#[derive(Clone, Debug)]
pub struct ProbeReport {
    /// When it started.
    pub at: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// The durations of its finished phases.
    pub phases: Phases,
    /// The TLS parameters, or where and why it failed.
    pub outcome: Result<Connection, Failure>,
    /// Number of consecutive failures; 0 after a success.
    pub consecutive_failures: u32,
    /// The answer to a request for a client certificate; none if the server requested none, or the answer was not sent.
    pub client_auth: Option<ClientAuth>,
}

impl ProbeReport {
    /// What the server's reply said, if it refused the client and the cause is known.
    pub fn cause(&self) -> Option<RejectionCause> {
        self.outcome.as_ref().err()?.cause
    }

    /// Whether the server replied that it limits connections or their rate.
    pub fn rate_limited(&self) -> bool {
        self.cause().is_some_and(RejectionCause::is_limit)
    }
}

/// The last certificate seen and the verdicts on it.
#[derive(Clone, Debug)]
pub struct LastCertificate {
    /// When it was last seen.
    pub seen_at: SystemTime,
    /// The verdicts. Those that depend on time are evaluated when read.
    pub assessment: Assessment,
    /// Whether it is the certificate in the target's `certificate_file`; none if that cannot be read.
    pub file_match: Option<bool>,
    /// Number of distinct certificates seen at this address within `backend_retention`.
    pub distinct: usize,
    /// How many of the last `samples` connections presented a certificate that does not match the server name; none if
    /// there is one connection per round.
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

    /// Number of addresses of all endpoints that are not probed, by reason; without reasons that do not occur.
    pub fn skipped(&self) -> Vec<(SkipReason, usize)> {
        let of_all = |reason: &SkipReason| {
            let skipped = self.endpoints.iter().flat_map(|endpoint| &endpoint.skipped);
            (*reason, skipped.filter(|(other, _)| other == reason).map(|(_, count)| count).sum())
        };
        SkipReason::ALL.iter().map(of_all).filter(|(_, count)| *count > 0).collect()
    }

    /// Number of addresses that are not probed because they are not allowed.
    pub fn not_allowed(&self) -> usize {
        self.skipped().iter().filter(|(reason, _)| reason.is_not_allowed()).map(|(_, count)| count).sum()
    }

    /// Number of addresses to which the exporter host has no route, if no other address is known: clients with IPv6 reach the
    /// target, and the exporter does not.
    pub fn without_route(&self) -> Option<usize> {
        let skipped = self.skipped().into_iter().find(|(reason, _)| *reason == SkipReason::NoRoute);
        skipped.filter(|_| self.resolved().next().is_none()).map(|(_, count)| count)
    }

    /// Number of backends that are kept because the last lookup of their address family failed.
    pub fn held(&self) -> usize {
        self.endpoints.iter().map(|endpoint| endpoint.held).sum()
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

    /// Its last server certificate.
    pub fn leaf(&self) -> Option<&Arc<Certificate>> {
        self.last_certificate.as_ref()?.assessment.leaf()
    }

    /// Whether its last certificate matches the server name; none if unknown.
    pub fn name_matches(&self) -> Option<bool> {
        Some(self.last_certificate.as_ref()?.assessment.name?.is_match())
    }
}

/// Counters of the probes of a target since the start of the exporter.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Finished probes.
    pub probes: u64,
    /// Failed probes.
    pub failures: u64,
    /// Failed probes by stage and reason; copied on write.
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

/// Maximum number of changes kept per target.
pub const MAX_CHANGES: usize = 32;
