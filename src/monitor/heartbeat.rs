//! Shows others that the owner task makes progress.

use std::fmt;
use std::time::{Duration, Instant};

/// Is called by the owner task once it runs, and then at least once in each period for as long as it makes progress.
pub struct Heartbeat {
    period: Duration,
    call: Box<dyn FnMut() + Send>,
    /// None before the first call.
    next: Option<Instant>,
}

impl Heartbeat {
    /// Calls `call` once in each `period`, which is at least 50 ms.
    pub fn new(period: Duration, call: impl FnMut() + Send + 'static) -> Self {
        Self { period: period.clamp(MIN_PERIOD, MAX_PERIOD), call: Box::new(call), next: None }
    }

    /// Calls if it is due. Returns when the next call is due.
    pub(super) fn beat(&mut self, now: Instant) -> Instant {
        if let Some(next) = self.next.filter(|next| *next > now) {
            return next;
        }
        (self.call)();
        let next = now + self.period;
        self.next = Some(next);
        next
    }
}

impl Default for Heartbeat {
    /// Calls nothing.
    fn default() -> Self {
        Self::new(MAX_PERIOD, || {})
    }
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat").field("period", &self.period).finish_non_exhaustive()
    }
}

const MIN_PERIOD: Duration = Duration::from_millis(50);
const MAX_PERIOD: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn calls_immediately_and_once_in_each_period() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let mut heartbeat =
            Heartbeat::new(Duration::from_secs(10), move || _ = counted.fetch_add(1, Ordering::Relaxed));
        let start = Instant::now();
        for (second, count, next) in [(0, 1, 10), (9, 1, 10), (10, 2, 20), (45, 3, 55), (54, 3, 55)] {
            let at = |second| start + Duration::from_secs(second);
            assert_eq!(heartbeat.beat(at(second)), at(next), "at {second}");
            assert_eq!(calls.load(Ordering::Relaxed), count, "at {second}");
        }
    }
}
