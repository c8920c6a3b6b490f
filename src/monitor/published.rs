//! What the owner task publishes and readers take. One writer, any number of readers; locks are held only to copy a
//! reference.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use super::index::Reports;
use crate::config::OneOffs;
use crate::reason::LocalReason;
use crate::snapshot::{ExporterReport, Fleet, ShardReport, TargetReport};
use crate::target::{NotAllowed, ProbeAccess, ServerName, TargetKind};

/// The published state.
#[derive(Debug)]
pub(super) struct Published {
    targets: Mutex<Arc<Reports>>,
    config: Mutex<ConfigState>,
    probe_access: Mutex<ProbeAccess>,
    one_offs: Mutex<Option<Arc<OneOffs>>>,
    shard: Mutex<ShardReport>,
    reload_running: AtomicBool,
    /// Whether the last attempt to load the web configuration succeeded; none without one.
    web_config: Mutex<Option<bool>>,
    local_errors: [AtomicU64; LocalReason::ALL.len()],
    probes_in_flight: AtomicUsize,
    waiting_since: Mutex<Option<Instant>>,
    /// Times as milliseconds since `origin`.
    origin: Instant,
    alive_at: AtomicU64,
    /// When jobs last returned a result, or there were none.
    results_at: AtomicU64,
    /// How long a job may take, in milliseconds.
    job_limit: AtomicU64,
}

/// How loading the configuration went.
#[derive(Clone, Debug, Default)]
struct ConfigState {
    successful: bool,
    loaded_at: Option<SystemTime>,
    trust_anchors: Vec<(Arc<str>, usize)>,
}

impl Published {
    pub(super) fn new() -> Self {
        Self {
            targets: Mutex::default(),
            config: Mutex::default(),
            probe_access: Mutex::default(),
            one_offs: Mutex::default(),
            shard: Mutex::default(),
            reload_running: AtomicBool::new(false),
            web_config: Mutex::default(),
            local_errors: Default::default(),
            probes_in_flight: AtomicUsize::new(0),
            waiting_since: Mutex::new(None),
            origin: Instant::now(),
            alive_at: AtomicU64::new(0),
            results_at: AtomicU64::new(0),
            job_limit: AtomicU64::new(0),
        }
    }

    /// All reports, and the state of the exporter.
    pub(super) fn fleet(&self) -> Fleet {
        Fleet { targets: self.reports().all(), exporter: self.exporter() }
    }

    fn reports(&self) -> Arc<Reports> {
        Arc::clone(&self.targets.lock())
    }

    /// The report on the target with this name.
    pub(super) fn find(&self, name: &str) -> Option<Arc<TargetReport>> {
        self.reports().find(name)
    }

    /// As [`super::Handle::find_service`].
    pub(super) fn find_service(
        &self,
        kind: &TargetKind,
        server_name: Option<&ServerName>,
    ) -> Option<Arc<TargetReport>> {
        self.reports().find_service(kind, server_name)
    }

    /// The state of the exporter.
    pub(super) fn exporter(&self) -> ExporterReport {
        let config = self.config.lock().clone();
        let errors = LocalReason::ALL.iter().zip(&self.local_errors);
        ExporterReport {
            reload_successful: config.successful,
            reload_running: self.reload_running.load(Ordering::Relaxed),
            reload_success_at: config.loaded_at,
            web_reload_successful: *self.web_config.lock(),
            trust_anchors: config.trust_anchors,
            probes_in_flight: self.probes_in_flight.load(Ordering::Relaxed),
            schedule_lag: self.waiting_since.lock().map_or(Duration::ZERO, |since| since.elapsed()),
            local_errors: errors.map(|(reason, count)| (*reason, count.load(Ordering::Relaxed))).collect(),
            shard: self.shard.lock().clone(),
        }
    }

    pub(super) fn replace_all(&self, reports: impl IntoIterator<Item = TargetReport>) {
        let reports = Arc::new(Reports::new(reports));
        *self.targets.lock() = reports;
    }

    /// Replaces one report and returns it.
    pub(super) fn publish(&self, slot: usize, report: TargetReport) -> Arc<TargetReport> {
        let report = Arc::new(report);
        self.targets.lock().replace(slot, Arc::clone(&report));
        report
    }

    pub(super) fn get(&self, slot: usize) -> Option<Arc<TargetReport>> {
        self.targets.lock().get(slot)
    }

    /// `loaded_at` is none if a part of the configuration could not be loaded: then the time of the last success stays.
    pub(super) fn set_config(
        &self,
        loaded_at: Option<SystemTime>,
        trust_anchors: Vec<(Arc<str>, usize)>,
        job_limit: Duration,
    ) {
        let mut config = self.config.lock();
        let last = loaded_at.or(config.loaded_at);
        *config = ConfigState { successful: loaded_at.is_some(), loaded_at: last, trust_anchors };
        self.job_limit.store(millis(job_limit), Ordering::Relaxed);
    }

    /// What `/probe` accepts.
    pub(super) fn probe_access(&self) -> ProbeAccess {
        *self.probe_access.lock()
    }

    /// Whether the configuration permits a one-off round of this target.
    pub(super) fn permits(&self, kind: &TargetKind) -> Result<(), NotAllowed> {
        let one_offs = self.one_offs.lock().clone().ok_or(NotAllowed::Nothing)?;
        one_offs.allow.permit(kind).map(drop)
    }

    pub(super) fn set_probe_access(&self, access: ProbeAccess, one_offs: Option<Arc<OneOffs>>) {
        *self.probe_access.lock() = access;
        *self.one_offs.lock() = one_offs;
    }

    pub(super) fn set_shard(&self, shard: ShardReport) {
        *self.shard.lock() = shard;
    }

    pub(super) fn config_failed(&self) {
        self.config.lock().successful = false;
    }

    pub(super) fn set_web_config(&self, successful: bool) {
        *self.web_config.lock() = Some(successful);
    }

    /// Returns the value before.
    pub(super) fn set_reload_running(&self, running: bool) -> bool {
        self.reload_running.swap(running, Ordering::AcqRel)
    }

    pub(super) fn set_load(&self, in_flight: usize, waiting_since: Option<Instant>) {
        self.probes_in_flight.store(in_flight, Ordering::Relaxed);
        *self.waiting_since.lock() = waiting_since;
    }

    /// The owner task made progress; `has_result` says whether a job has returned a result, or there is none.
    pub(super) fn note_progress(&self, now: Instant, has_result: bool) {
        let now = millis(now.duration_since(self.origin));
        self.alive_at.store(now, Ordering::Relaxed);
        if has_result {
            self.results_at.store(now, Ordering::Relaxed);
        }
    }

    /// Whether the owner task makes progress, and results arrive if there are jobs.
    pub(super) fn is_healthy(&self, now: Instant) -> bool {
        let now = millis(now.duration_since(self.origin));
        let age = |at: &AtomicU64| now.saturating_sub(at.load(Ordering::Relaxed));
        age(&self.alive_at) <= millis(MAX_SILENCE)
            && age(&self.results_at) <= self.job_limit.load(Ordering::Relaxed).saturating_add(millis(RESULT_GRACE))
    }

    pub(super) fn count_local(&self, reason: LocalReason) {
        let counts = LocalReason::ALL.iter().zip(&self.local_errors);
        counts.filter(|(each, _)| **each == reason).for_each(|(_, count)| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The owner task makes progress at least every second.
const MAX_SILENCE: Duration = Duration::from_secs(5);
/// Time beyond the longest timeout within which some result must arrive.
const RESULT_GRACE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds since the start at which the owner made progress, those at which a result arrived, and whether that is healthy
    /// at the last one.
    #[track_caller]
    fn check(alive: u64, results: u64, now: u64, expected: bool) {
        let published = Published::new();
        let at = |second| published.origin + Duration::from_secs(second);
        published.set_config(None, vec![], Duration::from_secs(20));
        published.note_progress(at(results), true);
        published.note_progress(at(alive), false);
        assert_eq!(published.is_healthy(at(now)), expected, "alive at {alive}, results at {results}, now {now}");
    }

    #[test]
    fn health_requires_progress_and_results() {
        check(100, 100, 100, true);
        check(100, 100, 105, true);
        check(100, 100, 106, false);
        check(100, 55, 100, true);
        check(100, 49, 100, false);
    }
}
