//! The owner task's state: decides what is started when, and applies the results.

mod requests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use rustls_pki_types::CertificateDer;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, Lane, Ticket};
use super::backend::Judged;
use super::dedup::BackendId;
use super::events::{self, LocalFailures};
use super::handle::Command;
use super::heartbeat::Heartbeat;
use super::lag::LagWatch;
use super::lookups::LookupQueues;
use super::once::Departure;
use super::phase::{LookupId, Step, TargetPhase};
use super::published::Published;
use super::schedule::{Cadence, DueHeap, splay};
use super::target_state::{Origin, TargetChange};
use super::targets::{Installed, Targets};
use super::verdicts::{VerdictJob, Verdicts};
use super::worker::{Output, Probed, ReassessJob, Reassessed, Worker, defect};
use super::{Clock, DRAIN, TargetId};
use crate::config::{Config, Limits};
use crate::discovery::{Discovered, Queries, Resolvers};
use crate::file::FileReader;
use crate::observation::LocalFailure;
use crate::open_files::OpenFiles;
use crate::probe::Prober;
use crate::snapshot::{ShardReport, TargetReport};
use crate::target::{Target, TargetKind, TargetName};
use crate::trust::TrustStore;
use crate::verdict::{Assessment, Judge};

/// Everything that the monitor knows.
pub(super) struct Owner {
    clock: Clock,
    started_at: Instant,
    worker: Arc<Worker>,
    limits: Limits,
    targets: Targets,
    due: DueHeap<Due>,
    admission: Admission<BackendId>,
    lookups: LookupQueues<(TargetId, LookupId)>,
    last_lookup: LookupId,
    verdicts: Verdicts,
    /// The result is none if the job ended by a panic.
    jobs: JoinSet<(Job, Option<Output>)>,
    local_failures: LocalFailures,
    settled: Vec<oneshot::Sender<()>>,
    /// The number of the last queued request for a one-off round.
    one_off_number: u64,
    /// Cancels the running probes for which only one-off rounds wait.
    running_ad_hoc: HashMap<BackendId, CancellationToken>,
    /// Clients that no longer wait for their one-off round. There are as many as requests, which are bounded.
    departures: (mpsc::UnboundedSender<Departure>, mpsc::UnboundedReceiver<Departure>),
}

/// What falls due.
#[derive(Debug)]
enum Due {
    Round(TargetId),
    /// The repetition of a failed lookup.
    Lookup(TargetId),
    /// A probe outside of a round.
    Reprobe(TargetId, BackendId),
}

/// What a job was started for.
#[derive(Debug)]
enum Job {
    Lookup { target: TargetId, lookup: LookupId, resolver: Option<Arc<str>> },
    FileRead { target: TargetId },
    Probe { id: BackendId, ticket: Ticket },
    Verify { id: BackendId, parties: Vec<TargetId> },
    Reassess { target: TargetId, id: BackendId },
}

impl Owner {
    pub(super) fn new(config: Config, clock: Clock, files: FileReader, queries: Queries) -> Result<Self, String> {
        let is_complete = config.files.failures().is_empty();
        let Config { targets, shard, other_shards, trust_stores, resolvers, limits, probe_access, one_offs, .. } =
            config;
        let worker = Worker {
            prober: Prober::new().map_err(|error| format!("TLS cannot be set up: {error}"))?,
            judge: Arc::new(Judge::default()),
            resolvers: Arc::new(Resolvers::new(&resolvers, &files, queries)),
            files,
            clock: Arc::clone(&clock),
            lag: LagWatch::default(),
        };
        let mut owner = Self {
            started_at: Instant::now(),
            worker: Arc::new(worker),
            admission: Admission::new(permits(limits, resolvers.len())),
            limits,
            targets: Targets::new(Arc::clone(&clock)),
            due: DueHeap::new(),
            lookups: LookupQueues::default(),
            last_lookup: 0,
            verdicts: Verdicts::default(),
            jobs: JoinSet::new(),
            local_failures: LocalFailures::default(),
            settled: Vec::new(),
            one_off_number: 0,
            running_ad_hoc: HashMap::new(),
            departures: mpsc::unbounded_channel(),
            clock,
        };
        owner.targets.set_one_offs(probe_access, one_offs);
        owner.targets.published.set_shard(ShardReport::new(shard, other_shards));
        owner.install(targets, trust_stores, is_complete);
        Ok(owner)
    }

    pub(super) fn published(&self) -> Arc<Published> {
        Arc::clone(&self.targets.published)
    }

    pub(super) fn lag(&self) -> LagWatch {
        self.worker.lag.clone()
    }

    /// Answers a request.
    pub(super) fn handle(&mut self, command: Command) {
        // Clients may be gone; what they requested is done nevertheless.
        match command {
            Command::Round { target, max_age, reply } => self.request_round(&target, max_age, reply),
            Command::OneOff(request) => self.request_one_off(*request),
            Command::Reload { config, is_complete, reply } => {
                self.reload(*config, is_complete);
                let _ = reply.send(());
            }
            Command::Settled { reply } => self.settled.push(reply),
        }
    }

    /// Starts what is due and what is admitted. Returns when the next thing falls due.
    pub(super) fn turn(&mut self) -> Option<Instant> {
        let now = Instant::now();
        while let Some((at, due)) = self.due.pop(now) {
            match due {
                Due::Round(id) => self.round_due(id, now),
                Due::Lookup(id) => self.lookup_due(id),
                Due::Reprobe(id, backend) => {
                    let state = self.targets.get(id).and_then(|state| state.backend(backend));
                    if state.is_some_and(|backend| backend.reprobe_at == Some(at)) {
                        self.queue_probe(id, backend, at);
                    }
                }
            }
        }
        self.start_one_offs();
        self.start_lookups();
        self.start_probes();
        self.start_verdicts();
        if self.verdicts.is_settled() {
            for reply in self.settled.drain(..) {
                // The client may be gone.
                let _ = reply.send(());
            }
        }
        let waiting = [self.admission.oldest(), self.verdicts.oldest()];
        self.targets.published.set_load(self.admission.in_use(), waiting.into_iter().flatten().min());
        self.targets.published.note_progress(now, self.jobs.is_empty());
        self.due.next()
    }

    /// Applies the next event: a job has ended, or a client no longer waits for its one-off round.
    pub(super) async fn next_event(&mut self) {
        tokio::select! {
            // The sender of the owner itself keeps it open.
            Some(departure) = self.departures.1.recv() => self.departed(departure),
            Some(ended) = self.jobs.join_next() => {
                // A job catches its panics, so it was aborted otherwise.
                if let Ok((job, output)) = ended {
                    self.apply(job, output);
                    self.targets.published.note_progress(Instant::now(), true);
                }
            }
        }
    }

    /// Lets running probes and their verdicts finish, for a limited time, and gives up the rest.
    pub(super) async fn drain(mut self, mut heartbeat: Heartbeat) {
        let deadline = tokio::time::sleep(DRAIN);
        tokio::pin!(deadline);
        while self.admission.in_use() > 0 || !self.verdicts.is_settled() {
            self.start_verdicts();
            let beat = heartbeat.beat(Instant::now());
            tokio::select! {
                () = self.next_event() => {}
                () = tokio::time::sleep_until(beat.into()) => {}
                () = &mut deadline => break,
            }
        }
        self.jobs.shutdown().await;
    }

    fn spawn(&mut self, job: Job, work: impl Future<Output = Output> + Send + 'static) {
        self.jobs.spawn(async move { (job, AssertUnwindSafe(work).catch_unwind().await.ok()) });
    }

    fn reload(&mut self, config: Config, is_complete: bool) {
        let Config { targets, shard, other_shards, trust_stores, resolvers, limits, probe_access, one_offs, .. } =
            config;
        let resolver_count = resolvers.len();
        let resolvers = Arc::new(Resolvers::new(&resolvers, &self.worker.files, Queries::Once));
        self.worker = Arc::new(Worker { resolvers, ..(*self.worker).clone() });
        self.limits = limits;
        self.targets.set_one_offs(probe_access, one_offs);
        self.targets.published.set_shard(ShardReport::new(shard, other_shards));
        self.admission.set_permits(permits(limits, resolver_count));
        self.install(targets, trust_stores, is_complete);
    }

    /// Schedules the configured targets.
    fn install(&mut self, targets: Vec<Arc<Target>>, trust_stores: BTreeMap<Arc<str>, TrustStore>, is_complete: bool) {
        let now = Instant::now();
        let installed = self.targets.install(targets, trust_stores, is_complete);
        let new = installed.iter().filter(|target| target.change.is_none()).count();
        for Installed { id, change, is_outdated } in installed {
            let Some(cadence) = self.cadence(id) else { continue };
            let at = match change {
                None => Some(cadence.first(now, splay(new, cadence.interval()))),
                Some(TargetChange::Labels) => None,
                Some(TargetChange::Settings) => Some(cadence.next(now)),
                Some(TargetChange::Everything) => Some(now),
            };
            if let Some(at) = at {
                self.due.push(at, Due::Round(id));
            }
            if is_outdated {
                let backends = self.targets.backends_of(id);
                backends.into_iter().for_each(|backend| self.queue_reassessment(id, backend));
            }
        }
    }

    fn cadence(&self, id: TargetId) -> Option<Cadence> {
        let target = &self.targets.get(id)?.target;
        Some(Cadence::new(self.started_at, target.name.as_str(), target.settings.interval))
    }

    fn request_round(
        &mut self,
        name: &TargetName,
        max_age: Option<Duration>,
        reply: oneshot::Sender<Arc<TargetReport>>,
    ) {
        let now = Instant::now();
        let Some(id) = self.targets.named(name) else { return };
        let Some(state) = self.targets.get(id) else { return };
        let is_recent = max_age.is_some_and(|max_age| state.ended_within(max_age, now));
        if let Origin::Configured { slot, .. } = state.origin
            && is_recent
            && state.phase == TargetPhase::Idle
            && let Some(report) = self.targets.published.get(slot)
        {
            drop(reply.send(report));
            return;
        }
        self.begin_round(id, true, now);
        if let Some(Origin::Configured { waiters, .. }) = self.targets.get_mut(id).map(|state| &mut state.origin) {
            // Those that have disconnected during the round.
            waiters.retain(|waiter| !waiter.is_closed());
            waiters.push(reply);
        }
    }

    fn round_due(&mut self, id: TargetId, now: Instant) {
        let (Some(state), Some(cadence)) = (self.targets.get(id), self.cadence(id)) else { return };
        // The first round has a time of its own; those after it follow the cadence.
        let next = if state.is_new() { cadence.settle(now) } else { cadence.next(now) };
        self.due.push(next, Due::Round(id));
        // A round that was requested a moment ago serves.
        if !state.began_within(cadence.interval() / 2, now) {
            self.begin_round(id, false, now);
        }
    }

    fn begin_round(&mut self, id: TargetId, is_requested: bool, now: Instant) {
        let known: Vec<BackendId> = self.targets.backends_of(id);
        let known: Vec<BackendId> =
            known.into_iter().filter(|backend| self.targets.is_probed(id, *backend, is_requested, now)).collect();
        let next = self.last_lookup + 1;
        let Some(state) = self.targets.get_mut(id) else { return };
        let Step::Begin { ends_last, lookup } = state.phase.round_due(known.clone(), next) else { return };
        if ends_last {
            self.targets.end_round(id);
        }
        if let Some(state) = self.targets.get_mut(id) {
            state.begin_round(now);
        }
        if let Some(lookup) = lookup {
            self.queue_lookup(id, lookup);
        }
        self.read_file(id);
        for backend in known {
            self.queue_probe(id, backend, now);
        }
    }

    /// Reads the file with the certificate that should be presented, unless a read is under way.
    fn read_file(&mut self, id: TargetId) {
        let state = self.targets.get_mut(id).filter(|state| !state.is_ad_hoc() && !state.is_reading_file);
        let Some(state) = state else { return };
        if let Some(path) = &state.target.settings.certificate_file {
            state.is_reading_file = true;
            state.outstanding += 1;
            let work = Arc::clone(&self.worker).read_file(Arc::clone(path));
            self.spawn(Job::FileRead { target: id }, work);
        }
    }

    fn file_read(&mut self, id: TargetId, file: Result<CertificateDer<'static>, Arc<str>>) {
        if let Some(state) = self.targets.get_mut(id) {
            state.is_reading_file = false;
            state.outstanding = state.outstanding.saturating_sub(1);
            state.set_file(file);
            self.advance(id);
        }
    }

    fn lookup_due(&mut self, id: TargetId) {
        let next = self.last_lookup + 1;
        let Some(state) = self.targets.get_mut(id).filter(|state| state.failed_lookups > 0) else { return };
        if state.phase.lookup_due(next) {
            state.begin_lookup();
            self.queue_lookup(id, next);
        }
    }

    fn queue_lookup(&mut self, id: TargetId, lookup: LookupId) {
        self.last_lookup = lookup;
        let Some(state) = self.targets.get(id) else { return };
        let needs_slot = match &state.target.kind {
            TargetKind::Host(host) => !host.is_literal(),
            TargetKind::Mx(_) | TargetKind::Submission(_) => true,
        };
        if needs_slot || matches!(state.phase, TargetPhase::ResolvingAlternates { .. }) {
            self.lookups.push(&state.target.settings.resolver, (id, lookup));
        } else {
            self.start_lookup(id, lookup, None);
        }
    }

    fn start_lookups(&mut self) {
        while let Some((resolver, (id, lookup))) = self.lookups.pop() {
            self.start_lookup(id, lookup, Some(resolver));
        }
    }

    fn start_lookup(&mut self, id: TargetId, lookup: LookupId, resolver: Option<Arc<str>>) {
        let Some(state) = self.targets.get(id).filter(|state| state.phase.awaits(lookup)) else {
            resolver.iter().for_each(|resolver| self.lookups.release(resolver));
            return;
        };
        let (target, worker) = (Arc::clone(&state.target), Arc::clone(&self.worker));
        let job = Job::Lookup { target: id, lookup, resolver };
        match &state.origin {
            Origin::AdHoc(origin) => {
                let (worker, cancel) = (Arc::clone(&origin.worker), origin.cancel.clone());
                let lookup = worker.look_up(target, Vec::new(), Some(origin.allowed.clone()));
                self.spawn(job, async move { cancel.run_until_cancelled(lookup).await.unwrap_or(Output::Cancelled) });
            }
            Origin::Configured { .. } if matches!(state.phase, TargetPhase::ResolvingAlternates { .. }) => {
                let names = state.alternates();
                self.spawn(job, worker.resolve(target, names));
            }
            Origin::Configured { .. } => {
                let known = state.known_hosts();
                self.spawn(job, worker.look_up(target, known, None));
            }
        }
    }

    /// Requests a probe on behalf of a target. One that is pending serves it as well.
    fn queue_probe(&mut self, id: TargetId, backend: BackendId, since: Instant) {
        let Some(lane) = self.targets.get_mut(id).and_then(|state| state.queue(backend)) else { return };
        let Some(address) = self.targets.dedup.backend(backend).map(|backend| backend.socket_addr()) else { return };
        let is_first = self.targets.dedup.wait(backend, id);
        let clients = if lane == Lane::AdHoc { self.targets.clients_of(backend) } else { Vec::new() };
        match (is_first, lane) {
            (true, _) => self.admission.request(backend, address, lane, clients, since),
            (false, Lane::AdHoc) => self.admission.set_clients(backend, clients),
            (false, Lane::Slow | Lane::Normal) => self.admission.lift(backend, lane),
        }
    }

    fn start_probes(&mut self) {
        while !self.verdicts.is_full()
            && let Some((id, ticket)) = self.admission.admit()
        {
            let parties = self.targets.parties(id);
            match self.targets.dedup.backend(id).cloned().filter(|_| !parties.is_empty()) {
                Some(backend) => {
                    let cancel = CancellationToken::new();
                    if ticket.is_ad_hoc() {
                        self.running_ad_hoc.insert(id, cancel.clone());
                    }
                    let work = Arc::clone(&self.worker).probe(id, backend, parties, cancel);
                    self.spawn(Job::Probe { id, ticket }, work);
                }
                None => {
                    self.admission.release(ticket);
                    self.not_probed(id);
                }
            }
        }
    }

    fn start_verdicts(&mut self) {
        while let Some(job) = self.verdicts.start() {
            let worker = Arc::clone(&self.worker);
            match job {
                // All rounds that it was made for were given up.
                VerdictJob::Verify(job) if job.targets().iter().all(|target| self.targets.get(*target).is_none()) => {
                    self.verdicts.ended(true);
                }
                VerdictJob::Verify(job) => {
                    self.spawn(Job::Verify { id: job.id, parties: job.targets() }, worker.verify(job));
                }
                VerdictJob::Reassess(job) => {
                    self.spawn(Job::Reassess { target: job.target_id, id: job.id }, worker.reassess(job));
                }
            }
        }
    }

    /// Applies the result of a job; none if it ended by a panic.
    fn apply(&mut self, job: Job, output: Option<Output>) {
        match job {
            Job::Verify { .. } => self.verdicts.ended(true),
            Job::Reassess { .. } => self.verdicts.ended(false),
            Job::Lookup { .. } | Job::FileRead { .. } | Job::Probe { .. } => {}
        }
        if output.is_none() {
            self.count_local(&defect("a job ended by a panic"));
        }
        match (job, output) {
            (Job::Lookup { target, lookup, resolver }, output) => {
                resolver.iter().for_each(|resolver| self.lookups.release(resolver));
                self.lookup_ended(target, lookup, output);
            }
            (Job::FileRead { target }, output) => {
                let file = match output {
                    Some(Output::FileRead(file)) => file,
                    _ => Err("cannot be read".into()),
                };
                self.file_read(target, file);
            }
            (Job::Probe { id, ticket }, output) => {
                self.admission.release(ticket);
                self.running_ad_hoc.remove(&id);
                let probed = if let Some(Output::Probed(probed)) = output { Some(probed) } else { None };
                self.probe_ended(id, probed);
            }
            (Job::Verify { .. }, Some(Output::Judged(id, judged))) => self.judged(id, judged),
            (Job::Verify { id, parties }, _) => parties.into_iter().for_each(|target| self.failed(target, id)),
            (Job::Reassess { .. }, Some(Output::Reassessed(reassessed))) => self.reassessed(reassessed),
            (Job::Reassess { target, id }, _) => {
                self.reassessed(Reassessed {
                    target_id: target,
                    id,
                    assessments: Vec::new(),
                    issuers_learned: u64::MAX,
                });
            }
        }
    }

    fn lookup_ended(&mut self, id: TargetId, lookup: LookupId, output: Option<Output>) {
        let Some(state) = self.targets.get_mut(id).filter(|state| state.phase.awaits(lookup)) else { return };
        match output {
            Some(Output::LookedUp(Ok(found))) => self.looked_up(id, found),
            Some(Output::LookedUp(Err(failure))) => {
                self.count_local(&failure);
                self.lookup_failed(id);
            }
            output if matches!(state.phase, TargetPhase::ResolvingAlternates { .. }) => {
                let found = if let Some(Output::Resolved(found)) = output { found } else { BTreeMap::new() };
                state.alternates_resolved(&found);
                state.phase.end();
                self.targets.end_round(id);
            }
            _ => self.lookup_failed(id),
        }
    }

    /// This host could not look the target up: nothing is known that was not known before.
    fn lookup_failed(&mut self, id: TargetId) {
        if let Some(state) = self.targets.get_mut(id) {
            state.failed_lookups = state.failed_lookups.saturating_add(1);
            state.phase.looked_up(|_| true, &[]);
            self.plan_lookup(id);
            self.advance(id);
        }
    }

    fn looked_up(&mut self, id: TargetId, found: Discovered) {
        let (now, cap) = (Instant::now(), self.limits.backends_per_target);
        let Some(state) = self.targets.get_mut(id) else { return };
        let (is_requested, is_ad_hoc, capped) = (state.is_requested(), state.is_ad_hoc(), state.over_cap());
        match &mut state.origin {
            Origin::Configured { .. } => {
                let (name, before) = (&state.target.name, state.lookup.as_deref());
                events::lookup(name, before, found.report.as_ref(), state.backends().next().is_some());
                if let Some(addresses) = state.newly_without_route(&found) {
                    events::without_route(name, addresses);
                }
                state
                    .new_not_allowed(&found)
                    .into_iter()
                    .for_each(|host| events::not_allowed(&state.target.name, host));
            }
            Origin::AdHoc(origin) => {
                origin.refused = found.hosts.iter().map(|host| host.not_allowed.len()).sum();
                events::not_permitted(&state.target.name, &found.hosts);
            }
        }
        let added = self.targets.discovered(id, found, cap, now);
        if let Some(state) = self.targets.get(id).filter(|state| state.over_cap() > 0 && capped == 0 && !is_ad_hoc) {
            events::over_cap(&state.target.name, state.over_cap(), cap);
        }
        for backend in added {
            if self.targets.is_probed(id, backend, is_requested, now) {
                self.queue_probe(id, backend, now);
            } else if let Some(state) = self.targets.get_mut(id) {
                state.phase.backend_done(backend);
            }
        }
        self.plan_lookup(id);
        self.advance(id);
    }

    fn plan_lookup(&mut self, id: TargetId) {
        let Some(state) = self.targets.get(id).filter(|state| !state.is_ad_hoc()) else { return };
        if let Some(at) = state.plan_lookup(Instant::now()) {
            self.due.push(at, Due::Lookup(id));
        }
    }

    fn probe_ended(&mut self, id: BackendId, probed: Option<Probed>) {
        let waiters = self.targets.dedup.probe_ended(id);
        let served: Vec<TargetId> = match probed {
            Some(Probed::Judged(judged)) => {
                let served = judged.iter().map(|(target, _)| *target).collect();
                self.judged(id, judged);
                served
            }
            Some(Probed::Unjudged(job)) => {
                let served = job.targets();
                if let Some(lead) = served.first() {
                    self.verdicts.verify(*lead, Instant::now(), job);
                }
                served
            }
            // Those that requested it meanwhile are served by another one.
            Some(Probed::Cancelled) => Vec::new(),
            Some(Probed::Failed(failure)) => {
                self.count_local(&failure);
                return waiters.into_iter().for_each(|target| self.failed(target, id));
            }
            None => return waiters.into_iter().for_each(|target| self.failed(target, id)),
        };
        // A target that requested it after it had started is not served by it.
        for target in waiters.into_iter().filter(|waiter| !served.contains(waiter)) {
            if let Some(backend) = self.targets.get_mut(target).and_then(|state| state.backend_mut(id)) {
                backend.in_progress = false;
                self.queue_probe(target, id, Instant::now());
            }
        }
    }

    /// No target has the backend any more.
    fn not_probed(&mut self, id: BackendId) {
        for target in self.targets.dedup.probe_ended(id) {
            if let Some(state) = self.targets.get_mut(target) {
                state.not_probed(id);
                self.advance(target);
            }
        }
    }

    /// This host could not probe the backend.
    fn failed(&mut self, target: TargetId, id: BackendId) {
        if let Some(state) = self.targets.get_mut(target) {
            state.not_probed(id);
            self.after_probe(target, id);
        }
    }

    fn judged(&mut self, id: BackendId, judged: Vec<(TargetId, Judged)>) {
        let (now, at) = (Instant::now(), (self.clock)());
        let mut served = Vec::with_capacity(judged.len());
        for (target, judged) in judged {
            let Some(state) = self.targets.get_mut(target) else { continue };
            let learned = judged.issuers_learned;
            let change = state.probed(id, judged, (now, at));
            if let Some(report) = change.filter(|_| !state.is_ad_hoc()) {
                events::backend(&state.target.name, &report, at);
            }
            self.check_verdicts(target, id, learned);
            served.push(target);
        }
        self.complete_chains();
        served.into_iter().for_each(|target| self.after_probe(target, id));
    }

    fn after_probe(&mut self, target: TargetId, id: BackendId) {
        let Some(state) = self.targets.get_mut(target) else { return };
        let planned = state.plan_reprobe(id, Instant::now());
        if let Some(at) = planned.filter(|_| !state.is_ad_hoc()) {
            self.due.push(at, Due::Reprobe(target, id));
        }
        self.advance(target);
    }

    /// Queues a reassessment if the trust store has changed, or if an issuer was learned, while the verdicts were computed.
    fn check_verdicts(&mut self, target: TargetId, id: BackendId, learned: u64) {
        let Some(state) = self.targets.get(target) else { return };
        let last = state.backend(id).and_then(|backend| backend.report.last_certificate.as_ref());
        let Some(Assessment { chain, .. }) = last.map(|last| &last.assessment) else { return };
        let trust = self.targets.trust(state).map(TrustStore::id);
        let lacks_issuer = last.is_some_and(|last| last.assessment.lacks_issuer());
        let judge = &self.worker.judge;
        let may_be_completed = lacks_issuer && learned < judge.issuers_learned() && !judge.is_quick(chain);
        let is_outdated = trust.is_some_and(|trust| trust != chain.store());
        self.targets.set_lacking(target, id, lacks_issuer);
        if may_be_completed || is_outdated {
            self.queue_reassessment(target, id);
        }
    }

    /// Queues reassessments of the chains that lack an issuer, if an intermediate was seen for the first time.
    fn complete_chains(&mut self) {
        if !self.verdicts.has_learned(self.worker.judge.issuers_learned()) {
            return;
        }
        for (target, id) in self.targets.lacking_issuer() {
            let backend = self.targets.get(target).and_then(|state| state.backend(id));
            let last = backend.and_then(|backend| backend.report.last_certificate.as_ref());
            if last.is_some_and(|last| !self.worker.judge.is_quick(&last.assessment.chain)) {
                self.queue_reassessment(target, id);
            }
        }
    }

    fn queue_reassessment(&mut self, target_id: TargetId, id: BackendId) {
        let Some(state) = self.targets.get(target_id) else { return };
        let Some(trust) = self.targets.trust(state).cloned() else { return };
        let Some(state) = self.targets.get_mut(target_id) else { return };
        let target = Arc::clone(&state.target);
        let Some(backend) = state.backend_mut(id) else { return };
        let assessments: Vec<_> = backend.assessments().cloned().collect();
        if assessments.is_empty() || std::mem::replace(&mut backend.reassessing, true) {
            return;
        }
        let backend = backend.report.backend.clone();
        state.outstanding += 1;
        let job = ReassessJob { target_id, id, backend, target, trust, assessments };
        self.verdicts.reassess(Instant::now(), Box::new(job));
    }

    fn reassessed(&mut self, reassessed: Reassessed) {
        let Reassessed { target_id, id, assessments, issuers_learned } = reassessed;
        let Some(state) = self.targets.get_mut(target_id) else { return };
        state.outstanding = state.outstanding.saturating_sub(1);
        if let Some(backend) = state.backend_mut(id) {
            backend.reassessing = false;
            backend.reassessed(&assessments);
        }
        self.check_verdicts(target_id, id, issuers_learned);
        self.complete_chains();
        self.advance(target_id);
    }

    /// Publishes what is known of a target, and ends its round if nothing of it is left.
    fn advance(&mut self, id: TargetId) {
        let lookup = self.last_lookup + 1;
        let Some(state) = self.targets.get_mut(id) else { return };
        if !state.phase.is_probed() || state.outstanding > 0 {
            return self.targets.publish(id, false);
        }
        // Names presented to one-off rounds are not looked up.
        if !state.is_ad_hoc() && state.choose_alternates() {
            state.phase.resolve_alternates(lookup);
            self.queue_lookup(id, lookup);
            return self.targets.publish(id, false);
        }
        state.phase.end();
        self.targets.end_round(id);
    }

    fn count_local(&mut self, failure: &LocalFailure) {
        self.targets.published.count_local(failure.reason);
        self.local_failures.note(failure, Instant::now());
    }
}

/// Concurrent probes: as many as this process may have files, less what it needs itself; or fewer, as configured.
fn permits(limits: Limits, resolvers: usize) -> usize {
    let possible = OpenFiles::raised().probes(resolvers);
    let Some(wanted) = limits.concurrent_probes else {
        if possible < MAX_PERMITS {
            let needed = OpenFiles::needed(MAX_PERMITS, resolvers);
            tracing::info!(concurrent_probes = possible, needed, "the open file limit reduces the concurrent probes");
        }
        return possible.min(MAX_PERMITS);
    };
    if wanted.get() > possible {
        let needed = OpenFiles::needed(wanted.get(), resolvers);
        tracing::warn!(%wanted, possible, needed, "limits.concurrent_probes exceeds the open file limit");
    }
    possible.min(wanted.get())
}

const MAX_PERMITS: usize = 1024;
