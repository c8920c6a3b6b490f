//! Was this process itself late? A probe that times out while the runtime could not run says nothing about a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Remembers when the runtime was last found late. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct LagWatch {
    origin: Instant,
    /// Milliseconds from `origin`, plus one; 0 where it never was.
    late_at: Arc<AtomicU64>,
}

impl Default for LagWatch {
    fn default() -> Self {
        Self { origin: Instant::now(), late_at: Arc::default() }
    }
}

impl LagWatch {
    /// Sleeps and looks how late it wakes, for ever.
    pub(super) async fn watch(self) {
        loop {
            let due = Instant::now() + TICK;
            tokio::time::sleep_until(due.into()).await;
            if due.elapsed() > TOLERANCE {
                self.note_late(Instant::now());
            }
        }
    }

    fn note_late(&self, now: Instant) {
        let millis = now.duration_since(self.origin).as_millis();
        self.late_at.store(u64::try_from(millis).unwrap_or(u64::MAX - 1) + 1, Ordering::Relaxed);
    }

    /// Whether the runtime was late at `begin` or afterwards.
    pub(super) fn since(&self, begin: Instant) -> bool {
        let late_at = self.late_at.load(Ordering::Relaxed);
        late_at > 0 && self.origin + Duration::from_millis(late_at) >= begin
    }
}

const TICK: Duration = Duration::from_millis(250);
/// How late is too late.
pub(super) const TOLERANCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_lateness_since_the_given_time_only() {
        let watch = LagWatch::default();
        let begin = watch.origin + Duration::from_secs(10);
        assert!(!watch.since(begin), "never late");
        watch.note_late(watch.origin + Duration::from_secs(5));
        assert!(!watch.since(begin), "late before");
        watch.note_late(watch.origin + Duration::from_secs(12));
        assert!(watch.since(begin), "late afterwards");
    }
}
