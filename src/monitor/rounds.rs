//! One target's state from round to round: who its backends are, what is known of each, and what readers see of it.
//! No I/O; time is an argument.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustls_pki_types::CertificateDer;
use tokio::sync::oneshot;

use super::admission::Lane;
use super::backend::{BackendState, Judged};
use super::history::History;
use super::host::HostState;
use super::roster::{Bounds, Round};
use super::sharing::Key;
use crate::discovery::{Discovered, KnownHost};
use crate::observation::LookupReport;
use crate::reason::SkipReason;
use crate::snapshot::{BackendReport, Change, Condition, Counters, LastCertificate, TargetReport};
use crate::target::{Backend, ServerName, Target, TargetKind};
use crate::verdict::{Assessment, Certificate, Judge, JudgedChain};

/// A target between its rounds and in them.
#[derive(Debug)]
pub(super) struct TargetState {
    pub(super) target: Arc<Target>,
    /// Where its report stands on the board.
    pub(super) place: usize,
    /// Due entries of an older generation are void.
    pub(super) generation: u32,
    pub(super) progress: Progress,
    /// Who asked for a round and waits for its end.
    pub(super) waiters: Vec<oneshot::Sender<Arc<TargetReport>>>,
    pub(super) counters: Counters,
    hosts: Vec<HostState>,
    lookup: Option<Arc<LookupReport>>,
    file: Option<Arc<Certificate>>,
    history: History,
    begun_at: Option<Instant>,
    last_round: Option<SystemTime>,
}

/// What a changed entry means for what is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retargeted {
    /// Nothing: due entries, the round and its probes go on.
    Labels,
    /// Due entries and probes under way are void.
    Settings,
    /// Likewise, and a round must begin at once.
    Everything,
}

/// Where a target stands in its round.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Between rounds.
    Idle,
    /// Its addresses are being looked up.
    LookingUp,
    /// These have not been probed in this round yet.
    Probing(Vec<Backend>),
    /// Names that may stand in for a server name are being looked up.
    Naming,
    /// They were looked up: nothing is left.
    Named,
}

impl TargetState {
    pub(super) fn new(target: Arc<Target>, place: usize) -> Self {
        Self {
            hosts: named_by_config(&target),
            target,
            place,
            generation: 0,
            progress: Progress::Idle,
            waiters: Vec::new(),
            counters: Counters::default(),
            lookup: None,
            file: None,
            history: History::default(),
            begun_at: None,
            last_round: None,
        }
    }

    /// Takes over a changed entry of the same name: counters stay, and so do the backends of an unchanged endpoint.
    pub(super) fn retarget(&mut self, target: Arc<Target>) -> Retargeted {
        let before = std::mem::replace(&mut self.target, target);
        let other_kind = before.kind != self.target.kind;
        if !other_kind && before.settings == self.target.settings {
            return Retargeted::Labels;
        }
        self.generation = self.generation.wrapping_add(1);
        let interrupted = self.progress != Progress::Idle || self.is_new();
        self.begun_at = None;
        self.progress = Progress::Idle;
        if other_kind {
            self.lookup = None;
            let named = named_by_config(&self.target);
            // Where only the addresses are given anew, what is known of those that stay is kept.
            if !named.is_empty() && self.hosts.iter().map(|host| &host.host).eq(named.iter().map(|host| &host.host)) {
                for host in &mut self.hosts {
                    host.forget_roster();
                }
            } else {
                self.hosts = named;
            }
        }
        for backend in self.hosts.iter_mut().flat_map(|host| &mut host.backends) {
            backend.busy = false;
            backend.reprobe_at = None;
            backend.samples.clear();
        }
        if interrupted || other_kind { Retargeted::Everything } else { Retargeted::Settings }
    }

    /// Replaces the verdicts on all last certificates.
    pub(super) fn rejudge(&mut self, judge: impl Fn(&Backend, &Assessment) -> Assessment) {
        for BackendState { report, samples, .. } in self.hosts.iter_mut().flat_map(|host| &mut host.backends) {
            for sample in samples {
                sample.assessment = judge(&report.backend, &sample.assessment);
            }
            if let Some(last) = &report.last_certificate {
                let last = LastCertificate { assessment: judge(&report.backend, &last.assessment), ..last.clone() };
                *report = Arc::new(BackendReport { last_certificate: Some(last), ..(**report).clone() });
            }
        }
    }

    /// Whether the last chain seen leads to no root for want of an issuer, and one of that name is known by now.
    pub(super) fn may_be_completed(&self, judge: &Judge) -> bool {
        let last = self.backends().filter_map(|backend| backend.report.last_certificate.as_ref());
        let mut lacking = last.map(|last| &last.assessment).filter(|assessment| assessment.lacks_issuer());
        lacking.any(|assessment| !judge.is_quick(&assessment.chain))
    }

    /// Whether no round was finished yet.
    pub(super) fn is_new(&self) -> bool {
        self.last_round.is_none()
    }

    /// Begins a round with its lookup.
    pub(super) fn begin(&mut self, now: Instant) {
        self.progress = Progress::LookingUp;
        self.begun_at = Some(now);
    }

    /// Whether the last round began so short a time ago.
    pub(super) fn begun_within(&self, time: Duration, now: Instant) -> bool {
        self.begun_at.is_some_and(|begun| now.duration_since(begun) < time)
    }

    /// The hosts as of the last lookup that found them out.
    pub(super) fn known_hosts(&self) -> Vec<KnownHost> {
        self.hosts.iter().filter(|host| host.named).map(|host| host.host.clone()).collect()
    }

    /// Takes in what a lookup brought, none where it brought nothing, and says what is to be probed now.
    pub(super) fn discovered(
        &mut self,
        found: Option<Discovered>,
        file: Option<CertificateDer<'static>>,
        cap: usize,
        now: SystemTime,
    ) -> Vec<Backend> {
        let named_before = (!self.is_new()).then(|| self.named());
        let retention = self.target.settings.backend_retention;
        let mut left = cap;
        let mut update = |host: &mut HostState, round: Round<'_>, without_route: usize| {
            host.update(round, without_route, Bounds { retention, cap: left }, now);
            left = left.saturating_sub(host.backends.len());
        };
        let is_known = found.is_some();
        let Discovered { hosts, report } = found.unwrap_or(Discovered { hosts: Vec::new(), report: None });
        let mut before = std::mem::take(&mut self.hosts);
        for found in hosts {
            let host = KnownHost { endpoint: found.endpoint, preference: found.preference };
            let at = before.iter().position(|known| known.host.endpoint == host.endpoint);
            let mut state = at.map_or_else(|| HostState::new(host.clone()), |at| before.remove(at));
            state.host.preference = host.preference;
            state.named = true;
            let (ipv4_failed, ipv6_failed) = (found.ipv4_failed, found.ipv6_failed);
            update(&mut state, Round { named: &found.addresses, ipv4_failed, ipv6_failed }, found.without_route);
            self.hosts.push(state);
        }
        // Hosts that are named no longer go as addresses do that are named no longer.
        for mut state in before {
            state.named &= !is_known;
            update(&mut state, Round { named: &[], ipv4_failed: !is_known, ipv6_failed: !is_known }, 0);
            if !state.backends.is_empty() || named_by_config(&self.target).iter().any(|named| named.host == state.host)
            {
                self.hosts.push(state);
            }
        }
        // A lookup that failed on this host says nothing about the names.
        if is_known {
            let failures =
                |report: Option<&LookupReport>| report.map(|report| report.failures.clone()).unwrap_or_default();
            let fails = failures(report.as_ref());
            if failures(self.lookup.as_deref()) != fails {
                self.history.note(now, Change::Lookup(fails.into()));
            }
            self.lookup = report.map(Arc::new);
        }
        self.take_file(file);
        if let Some(before) = named_before {
            self.note_named(&before, now);
        }
        let backends: Vec<Backend> = self.backends().map(|backend| backend.report.backend.clone()).collect();
        self.progress = Progress::Probing(backends.clone());
        backends
    }

    /// Marks a backend as queued; none where it is gone or queued already.
    pub(super) fn queue(&mut self, which: &Backend) -> Option<Lane> {
        let backend = self.backend(which).filter(|backend| !backend.busy)?;
        backend.busy = true;
        backend.reprobe_at = None;
        Some(backend.lane())
    }

    /// Whether `which` is a backend now, and the chain that it presented last.
    pub(super) fn last_chain(&self, which: &Backend) -> Option<Option<Arc<JudgedChain>>> {
        let backend = self.backends().find(|backend| backend.report.backend == *which)?;
        Some(backend.report.last_certificate.as_ref().map(|last| Arc::clone(&last.assessment.chain)))
    }

    /// When a backend was probed last, as far as this target knows.
    pub(super) fn last_probe(&self, which: &Backend) -> Option<SystemTime> {
        let backend = self.backends().find(|backend| backend.report.backend == *which)?;
        Some(backend.report.probe.as_ref()?.at)
    }

    /// Takes back that a backend is queued.
    pub(super) fn unqueue(&mut self, which: &Backend) {
        if let Some(backend) = self.backend(which) {
            backend.busy = false;
        }
    }

    /// After a finished probe: leaves the backend alone where its server said that it limits us.
    pub(super) fn rest(&mut self, which: &Backend, now: Instant) {
        let pace = self.pace();
        if let Some(backend) = self.backend(which) {
            backend.rest(pace, now);
        }
    }

    /// Whether a backend is left alone because its server limits us.
    pub(super) fn rests(&self, which: &Backend, now: Instant) -> bool {
        self.backends().any(|backend| backend.report.backend == *which && backend.rests(now))
    }

    /// Addresses beyond the cap.
    pub(super) fn over_cap(&self) -> usize {
        let skipped = self.hosts.iter().flat_map(|host| &host.skipped);
        skipped.filter(|(reason, _)| *reason == SkipReason::Cap).map(|(_, count)| count).sum()
    }

    /// Ticks a backend off that need not be probed in this round.
    pub(super) fn is_served(&mut self, which: &Backend) {
        self.tick_off(which);
    }

    /// From one probe of a backend to the next.
    pub(super) fn pace(&self) -> Duration {
        self.target.settings.pace()
    }

    /// What its backends have in common with equal ones of other targets.
    pub(super) fn key(&self, which: &Backend) -> Key {
        Key::new(which, self.target.settings.client_certificate.as_ref())
    }

    /// The keys of all its backends.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.backends().map(|backend| self.key(&backend.report.backend)).collect()
    }

    /// Whether a due entry for another probe outside a round still holds.
    pub(super) fn wants_reprobe(&mut self, which: &Backend, at: Instant) -> bool {
        self.backend(which).is_some_and(|backend| backend.reprobe_at == Some(at))
    }

    /// Takes in a finished probe; the report after it where the log is to tell of a change.
    pub(super) fn probed(&mut self, which: &Backend, judged: Judged, now: SystemTime) -> Option<Arc<BackendReport>> {
        self.counters.count(&judged.outcome);
        self.tick_off(which);
        let (target, file) = (Arc::clone(&self.target), self.file.as_ref().map(|file| file.fingerprint()));
        let backend = self.backend(which)?;
        let is_first = backend.report.probe.is_none();
        backend.busy = false;
        backend.take_in(judged, &target, file);
        let news = backend.news(now)?;
        if let Some(condition) = Condition::of(&news, now).filter(|condition| !is_first || !condition.is_ok()) {
            self.history.note(now, Change::Condition(which.clone(), condition));
        }
        Some(news)
    }

    /// Takes in a probe that this machine could not make.
    pub(super) fn not_probed(&mut self, which: &Backend) {
        self.tick_off(which);
        self.unqueue(which);
    }

    /// When a backend is to be probed outside a round, if at all: soon after a failure that is new, and for each
    /// further sample.
    pub(super) fn plan_reprobe(&mut self, which: &Backend, now: Instant) -> Option<Instant> {
        let settings = Arc::clone(&self.target.settings);
        let backend = self.backend(which)?;
        let failures = backend.report.probe.as_ref().map(|probe| probe.consecutive_failures);
        if backend.rests(now) {
            return None;
        }
        let after = match failures {
            // None: this machine failed before anything was known.
            None | Some(1 | 2) if settings.interval > REPROBE => REPROBE,
            Some(0) if backend.sampled < settings.samples => settings.interval / settings.samples,
            _ => return None,
        };
        backend.reprobe_at = Some(now + after);
        backend.reprobe_at
    }

    /// After the last probe of a round: whether names are to be looked up before it ends.
    pub(super) fn begin_naming(&mut self) -> bool {
        if !matches!(&self.progress, Progress::Probing(left) if left.is_empty()) {
            return false;
        }
        let any = self.hosts.iter_mut().map(HostState::choose_names).fold(false, |any, some| any | some);
        if any {
            self.progress = Progress::Naming;
        }
        any
    }

    /// The names that are to be looked up, each once.
    pub(super) fn names(&self) -> Vec<ServerName> {
        let mut names: Vec<_> = self.hosts.iter().flat_map(HostState::names).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Takes in where names lead. Those that are missing could not be looked up.
    pub(super) fn named_as(&mut self, found: &BTreeMap<ServerName, Option<Vec<IpAddr>>>) {
        for host in &mut self.hosts {
            host.resolve_names(found);
        }
        if self.progress == Progress::Naming {
            self.progress = Progress::Named;
        }
    }

    /// Ends the round where nothing of it is left; true if so.
    pub(super) fn end_round(&mut self, now: SystemTime) -> bool {
        let ended = match &self.progress {
            Progress::Probing(left) => left.is_empty(),
            Progress::Named => true,
            Progress::Idle | Progress::LookingUp | Progress::Naming => false,
        };
        if ended {
            self.progress = Progress::Idle;
            self.last_round = Some(now);
        }
        ended
    }

    /// What readers see.
    pub(super) fn report(&self) -> TargetReport {
        TargetReport {
            target: Arc::clone(&self.target),
            lookup: self.lookup.clone(),
            last_round: self.last_round,
            endpoints: self.hosts.iter().map(HostState::report).collect(),
            counters: self.counters.clone(),
            file: self.file.clone(),
            changes: self.history.changes(),
        }
    }

    pub(super) fn lookup(&self) -> Option<&Arc<LookupReport>> {
        self.lookup.as_ref()
    }

    /// Parses the file's certificate where it is another one than before.
    fn take_file(&mut self, file: Option<CertificateDer<'static>>) {
        let same = self.file.take().filter(|known| Some(known.der()) == file.as_ref());
        self.file = same.or_else(|| Some(Arc::new(Certificate::new(file?))));
    }

    /// The backends that DNS names.
    fn named(&self) -> Vec<Backend> {
        let named = self.backends().filter(|backend| backend.report.resolved);
        named.map(|backend| backend.report.backend.clone()).collect()
    }

    fn note_named(&mut self, before: &[Backend], now: SystemTime) {
        let after = self.named();
        let gone = before.iter().filter(|backend| !after.contains(backend)).map(|backend| (backend, false));
        let come = after.iter().filter(|backend| !before.contains(backend)).map(|backend| (backend, true));
        for (backend, named) in gone.chain(come) {
            self.history.note(now, Change::Resolved(backend.clone(), named));
        }
    }

    fn tick_off(&mut self, which: &Backend) {
        if let Progress::Probing(left) = &mut self.progress {
            left.retain(|each| each != which);
        }
    }

    fn backends(&self) -> impl Iterator<Item = &BackendState> {
        self.hosts.iter().flat_map(|host| &host.backends)
    }

    fn backend(&mut self, which: &Backend) -> Option<&mut BackendState> {
        let mut all = self.hosts.iter_mut().flat_map(|host| &mut host.backends);
        all.find(|backend| backend.report.backend == *which)
    }
}

/// The hosts that need not be found out.
fn named_by_config(target: &Target) -> Vec<HostState> {
    match &target.kind {
        TargetKind::Host(host) => {
            vec![HostState::new(KnownHost { endpoint: Arc::clone(&host.endpoint), preference: None })]
        }
        TargetKind::Mx(_) | TargetKind::Submission(_) => Vec::new(),
    }
}

/// After a new failure a backend is probed again this soon, where its interval is longer.
const REPROBE: Duration = Duration::from_secs(60);
