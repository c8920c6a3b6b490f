//! Rounds of targets that no config names: one round each, for whoever asks. They obey every bound of the others, stand
//! on no page, touch no other target's report, and nothing is left of them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use super::rounds::TargetState;
use super::work::{Job, Workshop};
use super::{State, TargetId};
use crate::config;
use crate::snapshot::TargetReport;
use crate::target::{Allow, AllowedAddresses, NotAllowed, Target, TargetKind, TargetName, UserLabels};
use crate::trust::TrustStore;

/// A one-off round that was begun. Letting go of it does not end it.
#[derive(Clone, Debug)]
pub struct OneOff(watch::Receiver<OneOffReport>);

impl OneOff {
    /// Waits until the round has ended, or the monitor has.
    pub async fn end(&mut self) {
        // An error means that nothing more will come.
        let _ = self.0.wait_for(|report| report.ended).await;
    }

    /// What is known of it by now.
    pub fn report(&self) -> OneOffReport {
        self.0.borrow().clone()
    }
}

/// How far a one-off round has come.
#[derive(Clone, Debug)]
pub struct OneOffReport {
    /// The target, under its default name.
    pub target: Arc<TargetReport>,
    /// Addresses that it leads to and that may not be connected to.
    pub refused: usize,
    /// Nothing more will come.
    pub ended: bool,
}

/// Why there is no one-off round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OneOffError {
    /// The config does not allow it. What it does allow; nothing at all where that is empty.
    NotAllowed(NotAllowed, Allow),
    /// As many as may be are under way.
    TooMany,
    /// The monitor has ended.
    Ended,
}

/// The one-off rounds that are under way.
pub(super) struct OneOffRounds {
    rules: Option<config::OneOffs>,
    underway: HashMap<TargetId, Underway>,
}

struct Underway {
    reach: AllowedAddresses,
    /// Kept, so that a reload changes nothing about a round that was begun.
    workshop: Arc<Workshop>,
    trust: TrustStore,
    refused: usize,
    reports: watch::Sender<OneOffReport>,
}

impl OneOffRounds {
    pub(super) fn new(rules: Option<config::OneOffs>) -> Self {
        Self { rules, underway: HashMap::new() }
    }

    /// Changes what is allowed from now on.
    pub(super) fn allow(&mut self, rules: Option<config::OneOffs>) {
        self.rules = rules;
    }

    /// Whether this is a target of one round.
    pub(super) fn has(&self, id: TargetId) -> bool {
        self.underway.contains_key(&id)
    }

    /// How the target is looked up.
    pub(super) fn tools(&self, id: TargetId) -> Option<(Arc<Workshop>, AllowedAddresses)> {
        self.underway.get(&id).map(|round| (Arc::clone(&round.workshop), round.reach.clone()))
    }

    /// Notes where the target would lead to and may not. Who asked is not told the addresses.
    pub(super) fn refused(&mut self, id: TargetId, target: &TargetName, refused: &[SocketAddr]) {
        if let Some(round) = self.underway.get_mut(&id)
            && !refused.is_empty()
        {
            tracing::debug!(%target, addresses = ?refused, "addresses skipped: not permitted by probe.allow");
            round.refused = refused.len();
        }
    }

    /// Takes the targets of one round out of all others, for these to be exchanged.
    pub(super) fn set_aside(&self, targets: &mut HashMap<TargetId, TargetState>) -> Vec<(TargetId, TargetState)> {
        self.underway.keys().filter_map(|id| targets.remove_entry(id)).collect()
    }
}

impl State {
    /// Begins a round of this target, or joins the one that is under way.
    pub(super) fn one_off(&mut self, kind: TargetKind) -> Result<OneOff, OneOffError> {
        let Some(rules) = &self.one_offs.rules else {
            return Err(OneOffError::NotAllowed(NotAllowed::Target, Allow::default()));
        };
        let refuse = |refusal| OneOffError::NotAllowed(refusal, rules.allow.clone());
        let reach = rules.allow.permit(&kind).map_err(refuse)?;
        let is_same = |id: &TargetId| self.targets.get(id).is_some_and(|state| state.target.kind == kind);
        if let Some((_, round)) = self.one_offs.underway.iter().find(|(id, _)| is_same(id)) {
            return Ok(OneOff(round.reports.subscribe()));
        }
        if self.one_offs.underway.len() >= MAX_ONE_OFFS {
            return Err(OneOffError::TooMany);
        }
        let settings = Arc::clone(&rules.settings);
        let trust = self.trust_stores.get(&settings.trust).cloned().ok_or(OneOffError::Ended)?;
        let name = kind.default_name().ok_or_else(|| refuse(NotAllowed::Target))?;
        let target = Arc::new(Target { name, kind, labels: UserLabels::default(), settings });
        let state = TargetState::new(target, NO_PLACE);
        let report = OneOffReport { target: Arc::new(state.report()), refused: 0, ended: false };
        let (reports, one_off) = watch::channel(report);
        self.next_id += 1;
        let id = self.next_id;
        let workshop = Arc::clone(&self.workshop);
        self.one_offs.underway.insert(id, Underway { reach, workshop, trust, refused: 0, reports });
        self.targets.insert(id, state);
        self.begin_round(id);
        Ok(OneOff(one_off))
    }

    /// The part of a one-off round in a probe.
    pub(super) fn one_off_job(&self, id: TargetId) -> Option<Job> {
        let (round, state) = (self.one_offs.underway.get(&id)?, self.targets.get(&id)?);
        let target = Arc::clone(&state.target);
        Some(Job { id, generation: state.generation, target, trust: round.trust.clone(), known: None })
    }

    /// Tells whoever waits how far a one-off round has come, and forgets it once it has ended.
    pub(super) fn publish_one_off(&mut self, id: TargetId, ended: bool) {
        let (Some(round), Some(state)) = (self.one_offs.underway.get(&id), self.targets.get(&id)) else { return };
        let target = Arc::new(state.report());
        // Who asked may be gone.
        round.reports.send_replace(OneOffReport { target, refused: round.refused, ended });
        if ended {
            self.one_offs.underway.remove(&id);
            self.targets.remove(&id);
        }
    }
}

/// One-off rounds at once.
const MAX_ONE_OFFS: usize = 32;
/// Where the board has no place.
const NO_PLACE: usize = usize::MAX;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::path::Path;
    use std::time::{Duration, Instant, SystemTime};

    use super::super::DueHeap;
    use super::super::sharing::Key;
    use super::*;
    use crate::config::Config;
    use crate::snapshot::Fleet;

    fn state(text: &str) -> State {
        let config = Config::parse(&format!("defaults: {{trust: mozilla}}\n{text}"), Path::new("config.yaml"));
        State::new(config.unwrap_or_else(|error| panic!("{error}")), Arc::new(SystemTime::now)).expect("a state")
    }

    /// Runs until no lookup or probe is in progress.
    async fn settle(state: &mut State) {
        loop {
            state.turn();
            tokio::select! {
                Some(ended) = state.probes.join_next_with_id() => state.probe_ended(ended),
                Some(ended) = state.lookups.join_next_with_id() => state.lookup_ended(ended),
                else => break,
            }
        }
    }

    /// The sizes of all collections that hold state.
    fn sizes(state: &State) -> [usize; 8] {
        [
            state.targets.len(),
            state.by_name.len(),
            state.pending.len(),
            state.probing.len(),
            state.looking_up.len(),
            state.lookup_queue.len(),
            state.one_offs.underway.len(),
            state.admission.in_use(),
        ]
    }

    fn begin(state: &mut State, target: &str) -> Result<OneOff, OneOffError> {
        state.one_off(target.parse().expect("a target"))
    }

    fn only(fleet: Fleet) -> Arc<TargetReport> {
        Arc::clone(fleet.targets.first().expect("a target"))
    }

    /// A loopback port on which nothing listens.
    fn dead_port() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        listener.local_addr().expect("an address").port()
    }

    #[tokio::test]
    async fn finished_one_offs_leave_no_state() {
        let port = dead_port();
        // The same endpoint as that of the first one-off, so the probe is shared.
        let targets = format!("targets: [{{host: 127.1.0.0, port: {port}, addresses: [127.1.0.0], name: own}}]");
        let mut state = state(&format!("probe: {{allow: [\"127.1.0.0/16:{port}\"]}}\n{targets}"));
        settle(&mut state).await;
        let (before, report, due) = (sizes(&state), only(state.board.fleet()), state.due.next());
        assert_eq!(report.counters.failures, 1, "nothing listens there");
        for batch in 0..40 {
            let mut rounds = Vec::new();
            for number in 0..25 {
                let target = format!("127.1.{batch}.{number}:{port}");
                rounds.push((begin(&mut state, &target).expect("a round"), target));
            }
            settle(&mut state).await;
            for (one_off, target) in rounds {
                let OneOffReport { target: report, refused, ended } = one_off.report();
                assert_eq!((report.target.name.as_str(), refused, ended), (&*target, 0, true));
                assert_eq!((report.counters.probes, report.counters.failures), (1, 1), "{target}");
            }
        }
        assert_eq!(sizes(&state), before);
        assert_eq!(state.due.next(), due);
        let falls_due = std::iter::from_fn(|| state.due.pop(Instant::now() + Duration::from_secs(1 << 24))).count();
        assert_eq!(falls_due, 2, "the next round of the target and the repeated probe");
        assert!(Arc::ptr_eq(&report, &only(state.board.fleet())), "its report is unchanged");
        let backend = report.endpoints[0].backends[0].backend.clone();
        let key = Key::new(&backend, None);
        assert_eq!(state.sharing.of(key).len(), 1);
    }

    #[tokio::test]
    async fn a_one_off_shares_the_probe_of_a_target() {
        let port = dead_port();
        let targets = format!("targets: [{{host: 127.1.0.0, port: {port}, addresses: [127.1.0.0], name: own}}]");
        let mut state = state(&format!("probe: {{allow: [\"127.1.0.0/16:{port}\"]}}\n{targets}"));
        let one_off = begin(&mut state, &format!("127.1.0.0:{port}")).expect("a round");
        state.turn();
        while let Some(ended) = state.lookups.join_next_with_id().await {
            state.lookup_ended(ended);
        }
        assert_eq!(state.pending.len(), 1, "both wait for the same probe");
        state.turn();
        assert_eq!(state.probing.len(), 1);
        let probed = state.probes.join_next_with_id().await.expect("a probe");
        state.probe_ended(probed);
        let (one_off, own) = (one_off.report(), only(state.board.fleet()));
        assert!(one_off.ended && own.last_round.is_some(), "{own:?}");
        assert_eq!((one_off.target.counters.probes, own.counters.probes), (1, 1));
        assert_eq!(sizes(&state), [1, 1, 0, 0, 0, 0, 0, 0]);
    }

    #[tokio::test]
    async fn limits_the_number_of_one_offs() {
        let mut state = state("probe: {allow: [10.0.0.0/8]}");
        for number in 0..MAX_ONE_OFFS {
            begin(&mut state, &format!("10.0.0.{number}")).expect("a round");
        }
        assert_eq!(begin(&mut state, "10.0.1.1").err(), Some(OneOffError::TooMany));
        let joined = begin(&mut state, "10.0.0.1:587").expect("the one that is under way");
        assert_eq!(sizes(&state)[0], MAX_ONE_OFFS);
        assert!(!joined.report().ended);
        // New rules apply to later one-offs only.
        state.one_offs.allow(None);
        let refused = OneOffError::NotAllowed(NotAllowed::Target, Allow::default());
        assert_eq!(begin(&mut state, "10.0.0.1").err(), Some(refused));
    }

    #[tokio::test]
    async fn a_reload_does_not_affect_running_one_offs() {
        let port = dead_port();
        let mut state = state(&format!("probe: {{allow: [\"127.1.0.0/16:{port}\"]}}"));
        let one_off = begin(&mut state, &format!("127.1.0.1:{port}")).expect("a round");
        let other = "defaults: {trust: mozilla, resolver: other}\nresolvers: {other: {nameservers: [192.0.2.53]}}\n\
                     targets: [{host: 192.0.2.1}]";
        state.reload(Config::parse(other, Path::new("config.yaml")).expect("a config")).expect("a reload");
        // The targets of the new config are not probed here.
        state.due = DueHeap::new();
        settle(&mut state).await;
        let OneOffReport { target, ended, .. } = one_off.report();
        assert!(ended && target.endpoints[0].backends[0].probe.is_some(), "{target:?}");
        assert_eq!(sizes(&state)[..2], [1, 1]);
    }
}
