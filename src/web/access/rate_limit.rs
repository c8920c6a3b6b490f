//! The rate limit of all requests together.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use thiserror::Error;

/// A token bucket, as `rate.Limiter` of golang.org/x/time: it is full at first, holds `burst` tokens, and gets one in each
/// interval. It counts the requests of all clients.
#[derive(Debug)]
pub struct RateLimit {
    interval: Duration,
    /// The bucket is empty if it would take longer than this until it is full.
    tolerance: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How long it took, at `since`, until the bucket is full.
    debt: Duration,
    since: Option<Instant>,
}

impl RateLimit {
    /// One request in each `interval`, and up to `burst` without a pause. None if the interval is 0: requests are not limited.
    ///
    /// # Errors
    /// If `burst` permits no request at all.
    pub fn new(interval: Duration, burst: i64) -> Result<Option<Self>, NoBurst> {
        if interval.is_zero() {
            return Ok(None);
        }
        if burst < 1 {
            return Err(NoBurst(burst));
        }
        let burst = u32::try_from(burst).unwrap_or(u32::MAX);
        let tolerance = interval.saturating_mul(burst - 1);
        Ok(Some(Self { interval, tolerance, state: Mutex::default() }))
    }

    /// Takes a token at the time `now`, if there is one.
    pub(super) fn admit(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let elapsed = state.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let debt = state.debt.saturating_sub(elapsed);
        if debt > self.tolerance {
            return false;
        }
        *state = State { debt: debt.saturating_add(self.interval), since: state.since.max(Some(now)) };
        true
    }
}

/// A burst without which no request is permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("invalid burst {0}: expected at least 1, else no request is permitted")]
pub struct NoBurst(i64);

#[cfg(test)]
mod tests {
    use super::*;

    /// The milliseconds at which requests are admitted, of those at `times`.
    fn admitted(interval: Duration, burst: i64, times: &[u64]) -> Vec<u64> {
        let limit = RateLimit::new(interval, burst).expect("a valid burst").expect("a limit");
        let start = Instant::now();
        let is_admitted = |time: &u64| limit.admit(start + Duration::from_millis(*time));
        times.iter().copied().filter(is_admitted).collect()
    }

    #[test]
    fn is_a_token_bucket() {
        let second = Duration::from_secs(1);
        assert_eq!(admitted(second, 1, &[0, 0, 999, 1000, 1500, 2000, 9000, 9000]), [0, 1000, 2000, 9000]);
        assert_eq!(admitted(second, 3, &[0, 0, 0, 0, 500, 1000, 1000, 3999, 4000]), [0, 0, 0, 1000, 3999, 4000]);
        // What is refused takes no token, and the bucket does not overflow.
        assert_eq!(admitted(second, 2, &[0, 0, 100, 200, 300, 1000, 90000, 90000, 90000]), [0, 0, 1000, 90000, 90000]);
        // A time before the last one, which two threads can have.
        assert_eq!(admitted(second, 1, &[2000, 1000, 2999, 3000]), [2000, 3000]);
        assert_eq!(admitted(Duration::MAX, 1, &[0, 1, 1 << 40]), [0]);
        assert_eq!(admitted(Duration::MAX, i64::MAX, &[0, 0, 0]), [0, 0, 0]);
        assert_eq!(admitted(Duration::from_nanos(1), 1, &[0, 1, 2]), [0, 1, 2]);
    }

    #[test]
    fn is_off_without_an_interval_and_invalid_without_a_burst() {
        assert!(matches!(RateLimit::new(Duration::ZERO, 0), Ok(None)));
        assert!(matches!(RateLimit::new(Duration::ZERO, -1), Ok(None)));
        for burst in [0, -1, i64::MIN] {
            assert_eq!(RateLimit::new(Duration::from_secs(1), burst).err(), Some(NoBurst(burst)));
        }
    }
}
