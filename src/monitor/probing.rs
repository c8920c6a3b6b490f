//! Probes from the queue to the reports: equal ones are made once and reported under every target that leads there.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::task::{Id, JoinError};

use super::admission::Lane;
use super::rounds::TargetState;
use super::sharing::Key;
use super::work::{Job, Probed};
use super::{Due, State, TargetId, journal, rejudge};
use crate::observation::LocalFailure;
use crate::target::Backend;
use crate::trust::TrustStore;

/// A probe that is queued or runs.
#[derive(Debug)]
pub(super) struct Pending {
    backend: Backend,
    /// The targets whose rounds wait for it, with their generations.
    waiters: Vec<(TargetId, u32)>,
}

impl State {
    /// Asks for a probe in the name of a target. One that is pending serves it as well.
    pub(super) fn queue_probe(&mut self, id: TargetId, backend: Backend, since: Instant) {
        let Some(state) = self.targets.get_mut(&id) else { return };
        let key = state.key(&backend);
        let Some(lane) = state.queue(&backend) else { return };
        let lane = if self.one_offs.has(id) { Lane::Slow } else { lane };
        let waiter = (id, state.generation);
        if let Some(pending) = self.pending.get_mut(&key) {
            pending.waiters.push(waiter);
            return;
        }
        self.admission.request(key, backend.socket_addr(), lane, since);
        self.pending.insert(key, Pending { backend, waiters: vec![waiter] });
    }

    /// Whether another target sees to it that this backend is probed: the one that does so most often, while it does.
    pub(super) fn is_served_by_another(&self, id: TargetId, backend: &Backend) -> bool {
        let Some(state) = self.targets.get(&id) else { return false };
        let Some(last) = state.last_probe(backend) else { return false };
        let age = (self.clock)().duration_since(last).unwrap_or_default();
        let others = self.sharing.of(state.key(backend)).iter().filter(|other| **other != id);
        let mut sharers = others.filter_map(|other| Some((*other, self.targets.get(other)?)));
        sharers.any(|(other, theirs)| {
            let is_more_often = (theirs.pace(), other) < (state.pace(), id);
            let patience = theirs.pace() * 2 + theirs.target.settings.timeout;
            is_more_often && age <= patience && theirs.last_chain(backend).is_some()
        })
    }

    pub(super) fn start_probes(&mut self) {
        while let Some(admitted) = self.admission.admit() {
            let key = admitted.what;
            let Some(pending) = self.pending.get(&key) else {
                self.admission.release(admitted.ticket);
                continue;
            };
            let backend = pending.backend.clone();
            let jobs = self.jobs(key, &backend);
            if jobs.is_empty() {
                self.admission.release(admitted.ticket);
                self.give_up(key);
                continue;
            }
            let task = self.probes.spawn(Arc::clone(&self.workshop).probe(backend, jobs));
            self.probing.insert(task.id(), (key, admitted.ticket));
        }
    }

    /// All targets that have the backend now, the one that asks for it most often first: its settings apply. What only
    /// one-off rounds ask for is theirs alone.
    fn jobs(&self, key: Key, backend: &Backend) -> Vec<Job> {
        let waiters = self.pending.get(&key).map(|pending| &*pending.waiters).unwrap_or_default();
        let is_asked_for = waiters.iter().any(|(id, _)| !self.one_offs.has(*id));
        let sharers = if is_asked_for { self.sharing.of(key) } else { &[] };
        let sharers = sharers.iter().filter_map(|id| Some((*id, self.targets.get(id)?)));
        let mut jobs: Vec<Job> = sharers
            .filter_map(|(id, state)| {
                let trust = self.trust_stores.get(&state.target.settings.trust)?.clone();
                let known = state.last_chain(backend)?;
                Some(Job { id, generation: state.generation, target: Arc::clone(&state.target), trust, known })
            })
            .collect();
        jobs.sort_by_key(|job| (job.target.settings.pace(), job.id));
        jobs.extend(waiters.iter().filter_map(|(id, _)| self.one_off_job(*id)));
        jobs
    }

    /// Nobody has the backend any more.
    fn give_up(&mut self, key: Key) {
        let Some(Pending { backend, waiters }) = self.pending.remove(&key) else { return };
        for (id, generation) in waiters {
            if let Some(state) = self.current(id, generation) {
                state.not_probed(&backend);
                self.publish(id);
            }
        }
    }

    pub(super) fn probe_ended(&mut self, ended: Result<(Id, Probed), JoinError>) {
        let (task, probed) = match ended {
            Ok((task, probed)) => (task, probed),
            Err(error) => (error.id(), Err(Box::new(LocalFailure::defect("a probe ended by a panic")))),
        };
        let Some((key, ticket)) = self.probing.remove(&task) else { return };
        self.admission.release(ticket);
        let Some(Pending { backend, waiters }) = self.pending.remove(&key) else { return };
        let now = (self.clock)();
        let judged = match probed {
            Ok(judged) => judged,
            Err(local) => {
                self.count_local(&local);
                for (id, generation) in waiters {
                    if let Some(state) = self.current(id, generation) {
                        state.not_probed(&backend);
                        self.settle(id, generation, &backend);
                    }
                }
                return;
            }
        };
        let mut served = Vec::with_capacity(judged.len());
        for (id, generation, judged) in judged {
            let state = self.targets.get_mut(&id).filter(|state| state.generation == generation);
            let Some(state) = state else { continue };
            let roots = judged.assessment.as_ref().map(|assessment| assessment.chain.store());
            // An issuer may have been learned while the chain was verified, by a probe that was applied first.
            let judge = &self.workshop.judge;
            let may_be_completed = judged.issuers_learned < judge.issuers_learned()
                && judged.assessment.as_ref().is_some_and(|it| it.lacks_issuer() && !judge.is_quick(&it.chain));
            let news = state.probed(&backend, judged, now);
            state.rest(&backend, Instant::now());
            // The roots were changed while the probe ran.
            let current = self.trust_stores.get(&state.target.settings.trust).map(TrustStore::id);
            if (current != roots && roots.is_some()) || may_be_completed {
                rejudge(state, &self.trust_stores, judge, now);
            }
            if let Some(report) = news.filter(|_| !self.one_offs.has(id)) {
                journal::backend(&state.target.name, &report, now);
            }
            served.push((id, generation));
        }
        self.complete_chains(now);
        for (id, generation) in &served {
            self.settle(*id, *generation, &backend);
        }
        // Who came after it had begun is not served by it.
        for (id, generation) in waiters.into_iter().filter(|waiter| !served.contains(waiter)) {
            if let Some(state) = self.current(id, generation) {
                state.unqueue(&backend);
                self.queue_probe(id, backend.clone(), Instant::now());
            }
        }
    }

    /// After a probe: whether there is another one to plan, and what readers see.
    fn settle(&mut self, id: TargetId, generation: u32, backend: &Backend) {
        let Some(state) = self.current(id, generation) else { return };
        let planned = state.plan_reprobe(backend, Instant::now());
        if let Some(at) = planned.filter(|_| !self.one_offs.has(id)) {
            self.due.push(at, Due::Reprobe { target: id, generation, backend: backend.clone() });
        }
        self.publish(id);
    }

    fn current(&mut self, id: TargetId, generation: u32) -> Option<&mut TargetState> {
        self.targets.get_mut(&id).filter(|state| state.generation == generation)
    }

    /// Looks again at the chains that lack an issuer, where an intermediate was seen for the first time.
    fn complete_chains(&mut self, now: SystemTime) {
        let learned = self.workshop.judge.issuers_learned();
        if std::mem::replace(&mut self.issuers_learned, learned) == learned {
            return;
        }
        let judge = &self.workshop.judge;
        for state in self.targets.values_mut().filter(|state| state.may_be_completed(judge)) {
            rejudge(state, &self.trust_stores, judge, now);
            self.board.publish(state.place, state.report());
        }
    }
}
