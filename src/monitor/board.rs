//! Where the monitor puts its reports and readers take them from. One writer, any number of readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use crate::reason::LocalReason;
use crate::snapshot::{ExporterReport, Fleet, TargetReport};

/// What is published.
#[derive(Debug, Default)]
pub(super) struct Board {
    targets: Mutex<Vec<Arc<TargetReport>>>,
    config: Mutex<ConfigState>,
    reload_running: AtomicBool,
    probes_in_flight: AtomicUsize,
    waiting_since: Mutex<Option<Instant>>,
    local_errors: [AtomicU64; LocalReason::ALL.len()],
}

/// What is known of the config's loading.
#[derive(Clone, Debug, Default)]
pub(super) struct ConfigState {
    pub(super) successful: bool,
    pub(super) loaded_at: Option<SystemTime>,
    pub(super) trust_anchors: Vec<(Arc<str>, usize)>,
}

impl Board {
    pub(super) fn fleet(&self) -> Fleet {
        let config = self.config.lock().clone();
        let errors = LocalReason::ALL.iter().zip(&self.local_errors);
        Fleet {
            targets: self.targets.lock().clone(),
            exporter: ExporterReport {
                reload_successful: config.successful,
                reload_running: self.reload_running.load(Ordering::Relaxed),
                reload_success_at: config.loaded_at,
                trust_anchors: config.trust_anchors,
                probes_in_flight: self.probes_in_flight.load(Ordering::Relaxed),
                schedule_lag: self.waiting_since.lock().map_or(Duration::ZERO, |since| since.elapsed()),
                local_errors: errors.map(|(reason, count)| (*reason, count.load(Ordering::Relaxed))).collect(),
            },
        }
    }

    pub(super) fn replace_all(&self, reports: Vec<Arc<TargetReport>>) {
        *self.targets.lock() = reports;
    }

    pub(super) fn publish(&self, place: usize, report: TargetReport) {
        if let Some(slot) = self.targets.lock().get_mut(place) {
            *slot = Arc::new(report);
        }
    }

    pub(super) fn get(&self, place: usize) -> Option<Arc<TargetReport>> {
        self.targets.lock().get(place).cloned()
    }

    pub(super) fn set_config(&self, state: ConfigState) {
        *self.config.lock() = state;
    }

    pub(super) fn config_failed(&self) {
        self.config.lock().successful = false;
    }

    /// Returns the value before.
    pub(super) fn set_reload_running(&self, running: bool) -> bool {
        self.reload_running.swap(running, Ordering::AcqRel)
    }

    pub(super) fn set_load(&self, in_flight: usize, waiting_since: Option<Instant>) {
        self.probes_in_flight.store(in_flight, Ordering::Relaxed);
        *self.waiting_since.lock() = waiting_since;
    }

    /// Counts a local failure; true for the first of its kind.
    pub(super) fn count_local(&self, reason: LocalReason) -> bool {
        let counts = LocalReason::ALL.iter().zip(&self.local_errors);
        counts.into_iter().any(|(each, count)| *each == reason && count.fetch_add(1, Ordering::Relaxed) == 0)
    }
}
