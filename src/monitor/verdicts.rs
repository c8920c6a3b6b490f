//! Verdicts that take a while: they wait for a thread, targets take turns. Pure.

use std::time::Instant;

use super::TargetId;
use super::fair_queue::FairQueue;
use super::worker::{ReassessJob, VerifyJob};

/// A job that computes verdicts.
#[derive(Debug)]
pub(super) enum VerdictJob {
    /// The first verdicts on an observation.
    Verify(Box<VerifyJob>),
    /// Further verdicts on the last certificates of a backend.
    Reassess(Box<ReassessJob>),
}

/// The jobs that wait or run.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    queue: FairQueue<TargetId, VerdictJob>,
    running: usize,
    /// Observations that wait for their verdicts, or for which they are being computed.
    unjudged: usize,
    issuers_learned: u64,
}

impl Verdicts {
    pub(super) fn verify(&mut self, lead: TargetId, now: Instant, job: Box<VerifyJob>) {
        self.unjudged += 1;
        self.queue.push(lead, now, VerdictJob::Verify(job));
    }

    pub(super) fn reassess(&mut self, now: Instant, job: Box<ReassessJob>) {
        self.queue.push(job.target_id, now, VerdictJob::Reassess(job));
    }

    /// The next job if a thread is free. It runs until [`Verdicts::ended`].
    pub(super) fn start(&mut self) -> Option<VerdictJob> {
        let job = if self.running < THREADS { self.queue.pop() } else { None };
        self.running += usize::from(job.is_some());
        job
    }

    /// A job has ended.
    pub(super) fn ended(&mut self, was_observation: bool) {
        self.running = self.running.saturating_sub(1);
        self.unjudged = self.unjudged.saturating_sub(usize::from(was_observation));
    }

    /// Whether nothing waits or runs.
    pub(super) fn is_settled(&self) -> bool {
        self.running == 0 && self.queue.is_empty()
    }

    /// Whether so many observations wait that no more should be made: their chains are kept in memory.
    pub(super) fn is_full(&self) -> bool {
        self.unjudged >= MAX_UNJUDGED
    }

    /// Since when the job that has waited longest has been waiting.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.queue.oldest()
    }

    /// Whether the number of learned issuers has changed since the last call.
    pub(super) fn has_learned(&mut self, issuers_learned: u64) -> bool {
        std::mem::replace(&mut self.issuers_learned, issuers_learned) != issuers_learned
    }

    #[cfg(test)]
    pub(super) fn set_all_threads_busy(&mut self, busy: bool) {
        self.running = if busy { THREADS } else { 0 };
    }
}

/// Threads that compute verdicts on new chains.
const THREADS: usize = 2;
/// Each has a chain of up to 64 KiB.
const MAX_UNJUDGED: usize = 512;
