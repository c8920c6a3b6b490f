//! Runs the rounds: what is due is looked up, admitted, probed, judged and published. One task owns all state, so
//! there is one writer; tasks exist only for lookups and probes that were admitted.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustls_pki_types::CertificateDer;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{Id, JoinError, JoinSet};

use crate::config::{Config, Limits};
use crate::discovery::{Discovered, Resolvers};
use crate::file::FileReader;
use crate::observation::LocalFailure;
use crate::probe::Prober;
use crate::reason::LocalReason;
use crate::target::{Backend, Target, TargetName};
use crate::trust::TrustStore;
use crate::verdict::{AssessmentInput, Judge};

mod admission;
mod backend;
mod board;
mod handle;
mod history;
mod host;
mod journal;
mod lag;
mod once;
mod probing;
mod roster;
mod rounds;
mod schedule;
mod sharing;
mod work;

use admission::{Admission, Ticket};
use board::{Board, ConfigState};
pub use handle::Handle;
use handle::Order;
use lag::LagWatch;
use once::OneOffRounds;
pub use once::{OneOff, OneOffError, OneOffReport};
use probing::Pending;
use rounds::{Progress, Retargeted, TargetState};
use schedule::{DueHeap, Rhythm};
use sharing::{Key, Sharing};
use work::{LookedUp, Probed, Workshop};

/// The wall clock.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The monitor before it runs.
pub struct Monitor {
    orders: mpsc::Receiver<Order>,
    state: State,
}

impl Monitor {
    /// Sets up the monitor of `config`; nothing is asked nor probed until it runs.
    ///
    /// # Errors
    /// When TLS or a resolver cannot be set up.
    pub fn new(config: Config, clock: Clock) -> Result<(Self, Handle), String> {
        let (sender, orders) = mpsc::channel(ORDERS);
        let state = State::new(config, clock)?;
        let handle = Handle { board: Arc::clone(&state.board), orders: sender };
        Ok((Self { orders, state }, handle))
    }

    /// Runs until `shutdown`, then lets running probes finish for [`DRAIN`] and ends the rest.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { mut orders, mut state } = self;
        let mut lag = JoinSet::new();
        lag.spawn(state.lag.clone().watch());
        tokio::pin!(shutdown);
        loop {
            state.turn();
            let wake = tokio::time::Instant::from_std(state.due.next().unwrap_or_else(|| Instant::now() + IDLE));
            tokio::select! {
                () = &mut shutdown => break,
                Some(order) = orders.recv() => state.obey(order),
                Some(ended) = state.probes.join_next_with_id() => state.probe_ended(ended),
                Some(ended) = state.lookups.join_next_with_id() => state.lookup_ended(ended),
                () = tokio::time::sleep_until(wake) => {}
            }
        }
        orders.close();
        state.drain().await;
    }
}

type TargetId = u64;

/// What falls due.
#[derive(Debug)]
enum Due {
    Round { target: TargetId, generation: u32 },
    Reprobe { target: TargetId, generation: u32, backend: Backend },
}

/// Everything that the monitor knows.
struct State {
    clock: Clock,
    origin: Instant,
    board: Arc<Board>,
    workshop: Arc<Workshop>,
    limits: Limits,
    trust_stores: BTreeMap<Arc<str>, TrustStore>,
    targets: HashMap<TargetId, TargetState>,
    by_name: HashMap<TargetName, TargetId>,
    next_id: TargetId,
    due: DueHeap<Due>,
    sharing: Sharing,
    pending: HashMap<Key, Pending>,
    admission: Admission<Key>,
    probes: JoinSet<Probed>,
    probing: HashMap<Id, (Key, Ticket)>,
    lookups: JoinSet<LookedUp>,
    looking_up: HashMap<Id, (TargetId, u32)>,
    lookup_queue: VecDeque<(TargetId, u32, Instant)>,
    lag: LagWatch,
    one_offs: OneOffRounds,
    /// How many intermediates were known when chains that lack one were last looked at.
    issuers_learned: u64,
}

impl State {
    fn new(config: Config, clock: Clock) -> Result<Self, String> {
        let Config { targets, trust_stores, resolvers, limits, target_files: _, one_offs } = config;
        let prober = Prober::new().map_err(|error| format!("TLS cannot be set up: {error}"))?;
        let lag = LagWatch::default();
        let files = FileReader::default();
        let workshop = Workshop {
            prober,
            judge: Arc::new(Judge::default()),
            resolvers: Arc::new(Resolvers::new(&resolvers, &files)?),
            files,
            clock: Arc::clone(&clock),
            lag: lag.clone(),
            benches: Arc::new(Semaphore::new(work::BENCHES)),
        };
        let mut state = Self {
            origin: Instant::now(),
            board: Arc::default(),
            workshop: Arc::new(workshop),
            admission: Admission::new(permits(limits)),
            limits,
            trust_stores: BTreeMap::new(),
            targets: HashMap::new(),
            by_name: HashMap::new(),
            next_id: 0,
            due: DueHeap::new(),
            sharing: Sharing::default(),
            pending: HashMap::new(),
            probes: JoinSet::new(),
            probing: HashMap::new(),
            lookups: JoinSet::new(),
            looking_up: HashMap::new(),
            lookup_queue: VecDeque::new(),
            lag,
            one_offs: OneOffRounds::new(one_offs),
            issuers_learned: 0,
            clock,
        };
        state.install(targets, trust_stores);
        Ok(state)
    }

    /// Makes `targets` the ones that are watched, keeping what is known of those that stay.
    fn install(&mut self, targets: Vec<Arc<Target>>, trust_stores: BTreeMap<Arc<str>, TrustStore>) {
        let one_offs = self.one_offs.set_aside(&mut self.targets);
        let old_stores = std::mem::replace(&mut self.trust_stores, trust_stores);
        let now = Instant::now();
        let fresh = targets.iter().filter(|target| !self.by_name.contains_key(&target.name)).count();
        let mut before = std::mem::take(&mut self.targets);
        let mut names = std::mem::take(&mut self.by_name);
        for (place, target) in targets.into_iter().enumerate() {
            let name = target.name.clone();
            let interval = target.settings.interval;
            let rhythm = Rhythm::new(self.origin, name.as_str(), interval);
            let known = names.remove(&name).and_then(|id| Some((id, before.remove(&id)?)));
            let (id, state, at) = match known {
                Some((id, mut state)) => {
                    state.place = place;
                    let roots_changed =
                        old_stores.get(&target.settings.trust) != self.trust_stores.get(&target.settings.trust);
                    let change = state.retarget(Arc::clone(&target));
                    if change != Retargeted::Labels || roots_changed {
                        rejudge(&mut state, &self.trust_stores, &self.workshop.judge, (self.clock)());
                    }
                    let at = match change {
                        Retargeted::Labels => None,
                        Retargeted::Settings => Some(rhythm.next(now)),
                        Retargeted::Everything => Some(now),
                    };
                    (id, state, at)
                }
                None => {
                    self.next_id += 1;
                    let at = rhythm.first(now, schedule::spread(fresh, interval));
                    (self.next_id, TargetState::new(target, place), Some(at))
                }
            };
            if let Some(at) = at {
                self.due.push(at, Due::Round { target: id, generation: state.generation });
            }
            self.by_name.insert(name, id);
            self.targets.insert(id, state);
        }
        self.sharing.clear();
        for (id, state) in &self.targets {
            state.keys().into_iter().for_each(|key| self.sharing.join(key, *id));
        }
        let mut reports: Vec<_> = self.targets.values().map(|state| (state.place, Arc::new(state.report()))).collect();
        reports.sort_unstable_by_key(|(place, _)| *place);
        self.board.replace_all(reports.into_iter().map(|(_, report)| report).collect());
        let anchors = self.trust_stores.iter().map(|(name, store)| (Arc::clone(name), store.anchors().len()));
        self.board.set_config(ConfigState {
            successful: true,
            loaded_at: Some((self.clock)()),
            trust_anchors: anchors.collect(),
        });
        self.targets.extend(one_offs);
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Round { target, reply } => {
                let Some(id) = self.by_name.get(&target).copied() else { return };
                let Some(state) = self.targets.get_mut(&id) else { return };
                state.waiters.push(reply);
                if state.progress == Progress::Idle {
                    self.begin_round(id);
                }
            }
            Order::OneOff { target, reply } => {
                let _ = reply.send(self.one_off(*target));
            }
            Order::Reload { config, reply } => {
                // Who asked may be gone; the reload is done all the same.
                let _ = reply.send(self.reload(*config));
            }
        }
    }

    fn reload(&mut self, config: Config) -> Result<(), String> {
        let Config { targets, trust_stores, resolvers, limits, target_files: _, one_offs } = config;
        let resolvers = Resolvers::new(&resolvers, &self.workshop.files)?;
        self.workshop = Arc::new(self.workshop.with_resolvers(resolvers));
        self.limits = limits;
        self.one_offs.allow(one_offs);
        self.admission.set_permits(permits(limits));
        self.install(targets, trust_stores);
        Ok(())
    }

    /// Begins what is due and admits what may be.
    fn turn(&mut self) {
        let now = Instant::now();
        while let Some((at, what)) = self.due.pop(now) {
            match what {
                Due::Round { target, generation } => self.round_due(target, generation, now),
                Due::Reprobe { target, generation, backend } => {
                    let state = self.targets.get_mut(&target).filter(|state| state.generation == generation);
                    if state.is_some_and(|state| state.wants_reprobe(&backend, at)) {
                        self.queue_probe(target, backend, at);
                    }
                }
            }
        }
        self.start_lookups();
        self.start_probes();
        let lookup = self.lookup_queue.front().map(|(_, _, since)| *since);
        let oldest = [lookup, self.admission.oldest()].into_iter().flatten().min();
        self.board.set_load(self.admission.in_use(), oldest);
    }

    fn round_due(&mut self, id: TargetId, generation: u32, now: Instant) {
        let Some(state) = self.targets.get(&id).filter(|state| state.generation == generation) else { return };
        let rhythm = Rhythm::new(self.origin, state.target.name.as_str(), state.target.settings.interval);
        // The first round comes when it comes; those after it keep to the phase.
        let next = if state.is_new() { rhythm.settle(now) } else { rhythm.next(now) };
        // A round that is still under way is not followed by another, what waits shows as lag; nor is one that somebody
        // asked for a moment ago.
        let begins = state.progress == Progress::Idle && !state.begun_within(state.target.settings.interval / 2, now);
        self.due.push(next, Due::Round { target: id, generation });
        if begins {
            self.begin_round(id);
        }
    }

    fn begin_round(&mut self, id: TargetId) {
        let Some(state) = self.targets.get_mut(&id) else { return };
        state.begin(Instant::now());
        self.lookup_queue.push_back((id, state.generation, Instant::now()));
    }

    fn start_lookups(&mut self) {
        while self.lookups.len() < LOOKUPS {
            let Some((id, generation, _)) = self.lookup_queue.pop_front() else { break };
            let Some(state) = self.targets.get(&id).filter(|state| state.generation == generation) else { continue };
            let target = Arc::clone(&state.target);
            let task = match self.one_offs.tools(id) {
                Some((workshop, reach)) => self.lookups.spawn(workshop.look_up_within(reach, target)),
                None if state.progress == Progress::Naming => {
                    self.lookups.spawn(Arc::clone(&self.workshop).look_up_names(target, state.names()))
                }
                None => self.lookups.spawn(Arc::clone(&self.workshop).look_up(target, state.known_hosts())),
            };
            self.looking_up.insert(task.id(), (id, generation));
        }
    }

    fn lookup_ended(&mut self, ended: Result<(Id, LookedUp), JoinError>) {
        let (task, looked_up) = match ended {
            Ok((task, looked_up)) => (task, Some(looked_up)),
            Err(error) => (error.id(), None),
        };
        let Some((id, generation)) = self.looking_up.remove(&task) else { return };
        let Some(state) = self.targets.get_mut(&id).filter(|state| state.generation == generation) else { return };
        match looked_up {
            Some(LookedUp::Hosts { found, file, refused }) => {
                if self.one_offs.has(id) {
                    self.one_offs.refused(id, &state.target.name, &refused);
                } else {
                    journal::lookup(&state.target.name, state.lookup(), found.report.as_ref());
                }
                self.end_lookup(id, Some(found), file);
            }
            Some(LookedUp::Local(local, file)) => {
                self.count_local(&local);
                self.end_lookup(id, None, file);
            }
            Some(LookedUp::Names(found)) => {
                state.named_as(&found);
                self.publish(id);
            }
            None => {
                let is_naming = state.progress == Progress::Naming;
                self.count_local(&LocalFailure::defect("a lookup ended by a panic"));
                if !is_naming {
                    return self.end_lookup(id, None, None);
                }
                if let Some(state) = self.targets.get_mut(&id) {
                    state.named_as(&BTreeMap::new());
                }
                self.publish(id);
            }
        }
    }

    fn end_lookup(&mut self, id: TargetId, found: Option<Discovered>, file: Option<CertificateDer<'static>>) {
        let now = (self.clock)();
        let Some(state) = self.targets.get_mut(&id) else { return };
        let (before, capped) = (state.keys(), state.over_cap());
        let backends = state.discovered(found, file, self.limits.backends_per_target, now);
        let (after, is_asked_for): (HashSet<Key>, _) = (state.keys().into_iter().collect(), !state.waiters.is_empty());
        before.iter().filter(|key| !after.contains(key)).for_each(|key| self.sharing.leave(*key, id));
        let is_one_off = self.one_offs.has(id);
        after.iter().filter(|_| !is_one_off).for_each(|key| self.sharing.join(*key, id));
        if state.over_cap() > 0 && capped == 0 && !is_one_off {
            journal::over_cap(&state.target.name, state.over_cap(), self.limits.backends_per_target);
        }
        let due = Instant::now();
        for backend in backends {
            let rests = self.targets.get(&id).is_some_and(|state| state.rests(&backend, due));
            if is_asked_for || !rests && !self.is_served_by_another(id, &backend) {
                self.queue_probe(id, backend, due);
            } else if let Some(state) = self.targets.get_mut(&id) {
                state.is_served(&backend);
            }
        }
        self.publish(id);
    }

    /// Shows what is known of a target, and ends its round where that was the last of it.
    fn publish(&mut self, id: TargetId) {
        let now = (self.clock)();
        let Some(state) = self.targets.get_mut(&id) else { return };
        // What strangers present is not looked up.
        if !self.one_offs.has(id) && state.begin_naming() {
            self.lookup_queue.push_back((id, state.generation, Instant::now()));
        }
        let ended = state.end_round(now);
        if self.one_offs.has(id) {
            return self.publish_one_off(id, ended);
        }
        self.board.publish(state.place, state.report());
        if ended && let Some(report) = self.board.get(state.place) {
            for waiter in state.waiters.drain(..) {
                // A client that hung up has no use for it.
                let _ = waiter.send(Arc::clone(&report));
            }
        }
    }

    fn count_local(&self, failure: &LocalFailure) {
        if self.board.count_local(failure.reason) {
            tracing::warn!(reason = %failure.reason, detail = %failure.detail, "probe or lookup failed on the exporter host");
        }
    }

    async fn drain(mut self) {
        self.lookups.abort_all();
        let patience = tokio::time::sleep(DRAIN);
        tokio::pin!(patience);
        loop {
            tokio::select! {
                ended = self.probes.join_next_with_id() => match ended {
                    Some(ended) => self.probe_ended(ended),
                    None => break,
                },
                () = &mut patience => break,
            }
        }
        self.probes.shutdown().await;
        self.lookups.shutdown().await;
    }
}

/// Makes the verdicts on a target's backends anew: roots or expected names may be others.
fn rejudge(state: &mut TargetState, stores: &BTreeMap<Arc<str>, TrustStore>, judge: &Judge, now: SystemTime) {
    let target = Arc::clone(&state.target);
    let Some(trust) = stores.get(&target.settings.trust) else { return };
    state.rejudge(|backend, assessment| {
        let input = AssessmentInput {
            server_name: &backend.endpoint.server_name,
            expect_names: &target.settings.expect_names,
            ehlo_name: None,
            trust,
            known: None,
        };
        judge.reassess(assessment, &input, now)
    });
}

/// Connections at once: as many as this process may have files, less what it needs itself; as configured, if fewer.
fn permits(limits: Limits) -> usize {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let possible = usize::try_from(files.saturating_sub(OWN_FILES)).unwrap_or(usize::MAX).max(1);
    let Some(wanted) = limits.concurrent_probes else { return possible.min(MAX_PERMITS) };
    if wanted.get() > possible {
        tracing::warn!(%wanted, possible, "limits.concurrent_probes exceeds the open file limit");
    }
    possible.min(wanted.get())
}

impl LocalFailure {
    fn defect(detail: &str) -> Self {
        Self::new(LocalReason::Defect, detail)
    }
}

/// How long running probes may go on after the end was asked for.
pub const DRAIN: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(3600);
const ORDERS: usize = 64;
/// Lookups at once, each with a socket or two.
const LOOKUPS: usize = 64;
const OWN_FILES: u64 = 128;
const MAX_PERMITS: usize = 1024;
