//! One target's state from round to round: its backends, what is known of each, and what readers see. No I/O; time is an
//! argument.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::iter::once;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustls_pki_types::CertificateDer;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::admission::Lane;
use super::backend::{BackendState, Judged};
use super::dedup::{BackendId, ProbeKey};
use super::host::HostState;
use super::once::OneOffReport;
use super::phase::TargetPhase;
use super::roster::{Answers, Bounds, trim};
use super::worker::Worker;
use crate::discovery::{Discovered, FoundHost, KnownHost};
use crate::net::ClientAddress;
use crate::observation::LookupReport;
use crate::snapshot::{BackendReport, Change, Condition, Counters, MAX_CHANGES, StateChange, TargetReport};
use crate::target::{AllowedAddresses, Backend, ServerName, Target, TargetKind};
use crate::trust::TrustStore;
use crate::verdict::Certificate;

/// A target between its rounds and in them.
pub(super) struct TargetState {
    pub(super) target: Arc<Target>,
    pub(super) origin: Origin,
    pub(super) phase: TargetPhase,
    /// Reassessments of its certificates and reads of its file that have not ended. The end of the round waits for them.
    pub(super) outstanding: usize,
    pub(super) is_reading_file: bool,
    pub(super) counters: Counters,
    pub(super) lookup: Option<Arc<LookupReport>>,
    /// Number of consecutive failed lookups, those by a fault of this host included.
    pub(super) failed_lookups: u32,
    hosts: Vec<HostState>,
    file: Option<Result<Arc<Certificate>, Arc<str>>>,
    changes: Arc<[StateChange]>,
    started_at: Option<Instant>,
    ended: Option<(Instant, SystemTime)>,
}

/// What differs between targets of the configuration and those that are probed once.
pub(super) enum Origin {
    /// An entry of the configuration.
    Configured {
        /// The position of its report.
        slot: usize,
        /// Requests that wait for the end of the round.
        waiters: Vec<oneshot::Sender<Arc<TargetReport>>>,
    },
    /// Requested through `/probe`. It is removed when its round ends.
    AdHoc(Box<AdHoc>),
}

impl Default for Origin {
    fn default() -> Self {
        Self::Configured { slot: 0, waiters: Vec::new() }
    }
}

/// The context of a target that is probed once. A reload does not change it.
pub(super) struct AdHoc {
    pub(super) allowed: AllowedAddresses,
    pub(super) worker: Arc<Worker>,
    pub(super) trust: TrustStore,
    /// Number of addresses that it resolves to and that are not permitted.
    pub(super) refused: usize,
    pub(super) reports: watch::Sender<OneOffReport>,
    /// The client that started it, whose share of the one-off rounds it takes.
    pub(super) started_by: ClientAddress,
    /// The clients that wait for it, one entry for each request.
    pub(super) clients: Vec<ClientAddress>,
    /// Ends its lookup.
    pub(super) cancel: CancellationToken,
}

/// What a changed configuration entry means for its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TargetChange {
    /// Nothing: the schedule, the round and its probes go on.
    Labels,
    /// Results on the way are void.
    Settings,
    /// Likewise, and a round is due immediately.
    Everything,
}

/// How a lookup changed the backends.
#[derive(Debug, Default, PartialEq)]
pub(super) struct RosterChange {
    pub(super) added: Vec<BackendId>,
    pub(super) removed: Vec<BackendId>,
}

impl TargetState {
    pub(super) fn new(target: Arc<Target>, origin: Origin) -> Self {
        Self {
            hosts: configured_hosts(&target),
            target,
            origin,
            phase: TargetPhase::default(),
            outstanding: 0,
            is_reading_file: false,
            counters: Counters::default(),
            lookup: None,
            failed_lookups: 0,
            file: None,
            changes: Arc::default(),
            started_at: None,
            ended: None,
        }
    }

    /// Applies a changed entry of the same name: counters stay, and so do the backends of an unchanged endpoint.
    pub(super) fn retarget(&mut self, target: Arc<Target>) -> TargetChange {
        let before = std::mem::replace(&mut self.target, target);
        let other_kind = before.kind != self.target.kind;
        if !other_kind && before.settings == self.target.settings {
            return TargetChange::Labels;
        }
        let interrupted = self.phase != TargetPhase::Idle || self.is_new();
        let other_certificate = before.settings.client_certificate != self.target.settings.client_certificate;
        self.started_at = None;
        self.outstanding = 0;
        self.is_reading_file = false;
        self.phase.end();
        if other_kind {
            self.lookup = None;
            self.failed_lookups = 0;
            let configured = configured_hosts(&self.target);
            // If only the addresses have changed, what is known of those that stay is kept.
            let same = self.hosts.iter().map(|host| &host.host).eq(configured.iter().map(|host| &host.host));
            if same && !configured.is_empty() {
                self.hosts.iter_mut().for_each(HostState::forget_roster);
            } else {
                self.hosts = configured;
            }
        }
        let target = Arc::clone(&self.target);
        let check = |address| target.settings.check_address(&target.kind, address);
        self.hosts.iter_mut().for_each(|host| host.drop_not_allowed(check));
        self.backends_mut().for_each(BackendState::reset);
        let is_by_records = !matches!(self.target.kind, TargetKind::Host(_));
        let other_addresses = is_by_records && !before.settings.allows_as(&self.target.settings);
        if interrupted || other_kind || other_certificate || other_addresses {
            TargetChange::Everything
        } else {
            TargetChange::Settings
        }
    }

    /// Whether no round has ended yet.
    pub(super) fn is_new(&self) -> bool {
        self.ended.is_none()
    }

    pub(super) fn is_ad_hoc(&self) -> bool {
        matches!(self.origin, Origin::AdHoc(_))
    }

    /// Whether somebody waits for the end of the round.
    pub(super) fn is_requested(&self) -> bool {
        match &self.origin {
            Origin::Configured { waiters, .. } => !waiters.is_empty(),
            Origin::AdHoc(_) => true,
        }
    }

    /// A round begins: samples are counted from here.
    pub(super) fn begin_round(&mut self, now: Instant) {
        self.started_at = Some(now);
        for backend in self.backends_mut() {
            backend.sampled = 0;
            backend.reprobe_at = None;
        }
    }

    /// Only the lookup is repeated: the results of the last round do not become recent by it.
    pub(super) fn begin_lookup(&mut self) {
        self.started_at = None;
    }

    /// Whether the last round began less than `time` ago.
    pub(super) fn began_within(&self, time: Duration, now: Instant) -> bool {
        self.started_at.is_some_and(|started| now.duration_since(started) < time)
    }

    /// Whether the last round that probed with the present settings ended at most `time` ago.
    pub(super) fn ended_within(&self, time: Duration, now: Instant) -> bool {
        self.started_at.is_some() && self.ended.is_some_and(|(ended, _)| now.duration_since(ended) <= time)
    }

    pub(super) fn end_round(&mut self, now: Instant, at: SystemTime) {
        self.ended = Some((now, at));
    }

    /// The hosts as of the last lookup that found them.
    pub(super) fn known_hosts(&self) -> Vec<KnownHost> {
        self.hosts.iter().filter(|host| host.listed).map(|host| host.host.clone()).collect()
    }

    /// Applies a lookup; none if it found nothing out. `join` returns the identifier of a new backend.
    pub(super) fn discovered(
        &mut self,
        found: Option<Discovered>,
        cap: usize,
        (now, at): (Instant, SystemTime),
        mut join: impl FnMut(ProbeKey) -> BackendId,
    ) -> RosterChange {
        let client_certificate = self.target.settings.client_certificate.clone();
        let resolved_before = (!self.is_new()).then(|| self.resolved());
        let bounds = Bounds { retention: self.target.settings.backend_retention, cap };
        let is_known = found.is_some();
        let Discovered { hosts, report } = found.unwrap_or(Discovered { hosts: Vec::new(), report: None });
        let mut before = std::mem::take(&mut self.hosts);
        let mut updated: Vec<(HostState, usize)> = Vec::with_capacity(hosts.len() + before.len());
        let mut update = |mut state: HostState, answers: Answers<'_>| {
            let mut roster = std::mem::take(&mut state.roster);
            let over_cap = roster.update(answers, |address| state.is_answering(address), bounds, now);
            state.roster = roster;
            updated.push((state, over_cap));
        };
        for found in hosts {
            let host = KnownHost { endpoint: Arc::clone(&found.endpoint), preference: found.preference };
            let at = before.iter().position(|known| known.host.endpoint == host.endpoint);
            let mut known = at.map(|at| before.remove(at)).unwrap_or_else(|| HostState::new(host.clone()));
            known.host.preference = host.preference;
            known.listed = true;
            if !found.addresses.is_empty() || !found.not_allowed.is_empty() || found.without_route > 0 {
                known.found_as.clone_from(&found.found_as);
            }
            known.set_skipped(&found);
            let answers =
                Answers { listed: &found.addresses, ipv4_failed: found.ipv4_failed, ipv6_failed: found.ipv6_failed };
            update(known, answers);
        }
        // Hosts that are no longer listed are removed as their addresses are.
        for mut known in before {
            known.listed &= !is_known;
            if is_known {
                known.forget_skipped();
            }
            update(known, Answers { listed: &[], ipv4_failed: !is_known, ipv6_failed: !is_known });
        }
        let skipped = trim(&mut updated.iter_mut().map(|(host, _)| &mut host.roster).collect::<Vec<_>>(), cap);
        let mut change = RosterChange::default();
        let configured = configured_hosts(&self.target);
        for ((mut host, over_cap), also) in updated.into_iter().zip(skipped) {
            host.over_cap = over_cap + also;
            let removed = host.apply_roster(|backend| {
                let id = join(ProbeKey { backend, client_certificate: client_certificate.clone() });
                change.added.push(id);
                id
            });
            change.removed.extend(removed.iter().map(|backend| backend.id));
            if host.listed || !host.backends.is_empty() || configured.iter().any(|each| each.host == host.host) {
                self.hosts.push(host);
            }
        }
        self.set_lookup(report, at);
        if let Some(before) = resolved_before {
            self.note_resolved(&before, at);
        }
        change
    }

    /// Marks a backend as in progress and returns its lane; none if it is gone or in progress already.
    pub(super) fn queue(&mut self, id: BackendId) -> Option<Lane> {
        let is_ad_hoc = self.is_ad_hoc();
        let backend = self.backend_mut(id).filter(|backend| !backend.in_progress)?;
        backend.in_progress = true;
        backend.reprobe_at = None;
        Some(if is_ad_hoc { Lane::AdHoc } else { backend.lane() })
    }

    /// Addresses beyond the cap.
    pub(super) fn over_cap(&self) -> usize {
        self.hosts.iter().map(|host| host.over_cap).sum()
    }

    /// The number of addresses of a lookup, if this host has a route to none of them; none if the last lookup said the same.
    pub(super) fn newly_without_route(&self, found: &Discovered) -> Option<usize> {
        let is_without_route = |has_addresses: bool, count: usize| !has_addresses && count > 0;
        let count = found.hosts.iter().map(|host| host.without_route).sum();
        let before = self.hosts.iter().map(HostState::without_route).sum();
        let had_addresses = self.hosts.iter().any(|host| host.roster.is_listed());
        // A failed lookup is logged as such.
        let has_addresses = found.hosts.iter().any(|host| !host.addresses.is_empty() || host.ipv4_failed);
        (is_without_route(has_addresses, count) && !is_without_route(had_addresses, before)).then_some(count)
    }

    /// The hosts of a lookup some of whose addresses are not allowed, except those of which the last lookup said the same.
    pub(super) fn new_not_allowed<'a>(&self, found: &'a Discovered) -> Vec<&'a FoundHost> {
        let is_known = |host: &FoundHost| {
            self.hosts
                .iter()
                .any(|known| known.host.endpoint == host.endpoint && known.skips_as_before(&host.not_allowed))
        };
        found.hosts.iter().filter(|host| !host.not_allowed.is_empty() && !is_known(host)).collect()
    }

    /// Gives every backend another identifier.
    pub(super) fn rejoin(&mut self, mut join: impl FnMut(ProbeKey) -> BackendId) {
        let certificate = self.target.settings.client_certificate.clone();
        for state in self.backends_mut() {
            let backend = state.report.backend.clone();
            state.id = join(ProbeKey { backend, client_certificate: certificate.clone() });
        }
    }

    /// Applies a finished probe. Returns the report if its change is to be logged; none if a later probe was applied.
    pub(super) fn probed(
        &mut self,
        id: BackendId,
        judged: Judged,
        (now, at): (Instant, SystemTime),
    ) -> Option<Arc<BackendReport>> {
        let last = self.backend(id)?.report.probe.as_ref().map(|probe| probe.at);
        if last.is_some_and(|last| judged.at < last && at >= last) {
            return None;
        }
        self.phase.backend_done(id);
        self.counters.count(&judged.outcome);
        let (target, file) = (Arc::clone(&self.target), self.file_fingerprint());
        let backend = self.backend_mut(id)?;
        backend.probed(judged, &target.settings, file, now);
        let change = backend.condition_change(at)?;
        let condition = Condition::of(&change, at).filter(|condition| last.is_some() || !condition.is_ok());
        if let Some(condition) = condition {
            self.note(at, Change::Condition(change.backend.clone(), condition));
        }
        Some(change)
    }

    /// The backend is not probed in this round, or this host could not probe it.
    pub(super) fn not_probed(&mut self, id: BackendId) {
        self.phase.backend_done(id);
        if let Some(backend) = self.backend_mut(id) {
            backend.in_progress = false;
        }
    }

    /// When a backend is to be probed outside of a round, if at all: soon after a new failure, unless the server asks to
    /// wait, and for each further sample.
    pub(super) fn plan_reprobe(&mut self, id: BackendId, now: Instant) -> Option<Instant> {
        let (interval, samples) = (self.target.settings.interval, self.target.settings.samples);
        let may_probe = |backend: &&mut BackendState| !backend.is_backing_off(now) && !backend.asks_to_wait();
        let backend = self.backend_mut(id).filter(may_probe)?;
        let failures = backend.report.probe.as_ref().map(|probe| probe.consecutive_failures);
        let after = match failures {
            // None: this host failed before anything was known.
            None | Some(1 | 2) if interval > REPEAT => REPEAT,
            Some(0) if backend.sampled < samples => interval / samples,
            _ => return None,
        };
        backend.reprobe_at = Some(now + after);
        backend.reprobe_at
    }

    /// When a failed lookup is to be repeated, if at all.
    pub(super) fn plan_lookup(&self, now: Instant) -> Option<Instant> {
        let delay = self.target.settings.interval.min(REPEAT);
        (1..MAX_FAILED_LOOKUPS).contains(&self.failed_lookups).then_some(now + delay)
    }

    /// Chooses alternate names for all hosts; true if there are any.
    pub(super) fn choose_alternates(&mut self) -> bool {
        self.hosts.iter_mut().map(HostState::choose_alternates).fold(false, |any, some| any | some)
    }

    /// The alternate names, each once.
    pub(super) fn alternates(&self) -> Vec<ServerName> {
        let mut names: Vec<_> = self.hosts.iter().flat_map(HostState::alternates).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Applies what the alternate names resolve to. Those that are missing could not be looked up.
    pub(super) fn alternates_resolved(&mut self, found: &BTreeMap<ServerName, Option<Vec<IpAddr>>>) {
        self.hosts.iter_mut().for_each(|host| host.alternates_resolved(found));
    }

    /// What readers see.
    pub(super) fn report(&self) -> TargetReport {
        TargetReport {
            target: Arc::clone(&self.target),
            lookup: self.lookup.clone(),
            last_round: self.ended.map(|(_, at)| at),
            endpoints: self.hosts.iter().map(HostState::report).collect(),
            counters: self.counters.clone(),
            file: self.file.clone(),
            changes: Arc::clone(&self.changes),
        }
    }

    /// Applies the content of `certificate_file`, or why it cannot be read.
    pub(super) fn set_file(&mut self, file: Result<CertificateDer<'static>, Arc<str>>) {
        let file = match (file, &self.file) {
            (Ok(file), Some(Ok(known))) if *known.der() == file => return,
            (Err(error), Some(Err(known))) if *known == error => return,
            (file, _) => file.map(|file| Arc::new(Certificate::new(file))),
        };
        self.file = Some(file);
        let fingerprint = self.file_fingerprint();
        self.backends_mut().for_each(|backend| backend.compare_with_file(fingerprint));
    }

    pub(super) fn backends(&self) -> impl Iterator<Item = &BackendState> {
        self.hosts.iter().flat_map(|host| &host.backends)
    }

    pub(super) fn backend(&self, id: BackendId) -> Option<&BackendState> {
        self.backends().find(|backend| backend.id == id)
    }

    pub(super) fn backend_mut(&mut self, id: BackendId) -> Option<&mut BackendState> {
        self.backends_mut().find(|backend| backend.id == id)
    }

    fn backends_mut(&mut self) -> impl Iterator<Item = &mut BackendState> {
        self.hosts.iter_mut().flat_map(|host| &mut host.backends)
    }

    fn file_fingerprint(&self) -> Option<[u8; 32]> {
        self.file.as_ref()?.as_ref().ok().map(|file| file.fingerprint())
    }

    fn set_lookup(&mut self, report: Option<LookupReport>, at: SystemTime) {
        let failures = |report: Option<&LookupReport>| report.map(|report| report.failures.clone()).unwrap_or_default();
        let after = failures(report.as_ref());
        self.failed_lookups = if after.is_empty() { 0 } else { self.failed_lookups.saturating_add(1) };
        if failures(self.lookup.as_deref()) != after {
            self.note(at, Change::Lookup(after.into()));
        }
        self.lookup = report.map(Arc::new);
    }

    /// The backends in DNS.
    fn resolved(&self) -> Vec<Backend> {
        let resolved = self.backends().filter(|backend| backend.report.resolved);
        resolved.map(|backend| backend.report.backend.clone()).collect()
    }

    fn note_resolved(&mut self, before: &[Backend], at: SystemTime) {
        let after = self.resolved();
        let [was, is] = [before, &after].map(|backends| backends.iter().cloned().collect::<HashSet<_>>());
        let gone = before.iter().filter(|backend| !is.contains(backend)).map(|backend| (backend, false));
        let come = after.iter().filter(|backend| !was.contains(backend)).map(|backend| (backend, true));
        for (backend, resolved) in gone.chain(come) {
            self.note(at, Change::Resolved(backend.clone(), resolved));
        }
    }

    /// Records a change; the oldest is dropped if there are too many.
    fn note(&mut self, at: SystemTime, change: Change) {
        let too_many = (self.changes.len() + 1).saturating_sub(MAX_CHANGES);
        self.changes = self.changes.iter().skip(too_many).cloned().chain(once(StateChange { at, change })).collect();
    }
}

/// The hosts that need not be looked up.
fn configured_hosts(target: &Target) -> Vec<HostState> {
    match &target.kind {
        TargetKind::Host(host) => {
            vec![HostState::new(KnownHost { endpoint: Arc::clone(&host.endpoint), preference: None })]
        }
        TargetKind::Mx(_) | TargetKind::Submission(_) => Vec::new(),
    }
}

/// A failed lookup and a newly failed probe are repeated this soon, if the interval is longer.
const REPEAT: Duration = Duration::from_secs(60);
/// After so many consecutive failed lookups, the next one is that of the next round.
const MAX_FAILED_LOOKUPS: u32 = 3;
