//! Whether a name server answers, so that one that does not is queried last, and by few lookups at a time.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::query::QueryResult;
use crate::observation::LocalFailure;
use crate::reason::LookupReason;

/// What the last queries to one name server show.
#[derive(Debug)]
pub(super) struct Health {
    last: Mutex<Last>,
    /// Queries at a time while the server does not answer.
    permits: Semaphore,
}

#[derive(Debug, Default)]
struct Last {
    /// Queries that timed out since the last answer. Any answer counts: a server is not to blame for a zone whose own
    /// servers do not answer.
    timeouts: u32,
    /// When the server is queried first again; none if the last query was answered.
    retry_at: Option<Instant>,
}

impl Default for Health {
    fn default() -> Self {
        Self { last: Mutex::default(), permits: Semaphore::new(PERMITS) }
    }
}

impl Health {
    /// Whether other servers are queried first. If it is time to try the server again, only the first caller gets false.
    pub(super) fn is_last_choice(&self, now: Instant) -> bool {
        let mut last = self.last.lock();
        match last.retry_at {
            Some(retry_at) if retry_at <= now => {
                last.retry_at = Some(now + RETRY);
                false
            }
            retry_at => retry_at.is_some(),
        }
    }

    /// The result of `send` until `deadline`. If many queries in a row timed out, this one has to wait for a permit, no
    /// longer than for an answer.
    pub(super) async fn watch<T>(
        &self,
        deadline: Instant,
        send: impl Future<Output = Result<QueryResult<T>, LocalFailure>>,
    ) -> Result<QueryResult<T>, LocalFailure> {
        let is_silent = self.last.lock().timeouts >= MANY;
        let permit = if is_silent {
            let permit = timeout_at(deadline.min(Instant::now() + SERVER_TIMEOUT), self.permits.acquire()).await;
            // Too little time is left for a server that has not answered so far.
            let is_late = Instant::now() + MIN_WAIT > deadline;
            let Some(permit) = permit.ok().filter(|_| !is_late) else { return Ok(Err(LookupReason::Timeout)) };
            Some(permit)
        } else {
            None
        };
        let start = Instant::now();
        let result = timeout_at(deadline, send).await.unwrap_or(Ok(Err(LookupReason::Timeout)));
        drop(permit);
        let now = Instant::now();
        match &result {
            Err(_) => {}
            // It did not have the time to answer.
            Ok(Err(LookupReason::Timeout)) if now < start + MIN_WAIT => {}
            Ok(Err(LookupReason::Timeout)) => self.record_timeout(now),
            Ok(_) => *self.last.lock() = Last::default(),
        }
        result
    }

    fn record_timeout(&self, now: Instant) {
        let mut last = self.last.lock();
        last.timeouts = last.timeouts.saturating_add(1);
        last.retry_at = Some(now + RETRY);
    }
}

/// For all attempts of a query.
pub(super) const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
const MIN_WAIT: Duration = Duration::from_millis(500);
const RETRY: Duration = Duration::from_secs(30);
const MANY: u32 = 8;
const PERMITS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_query_at_a_time_tries_a_silent_server_first_again() {
        let health = Health::default();
        let start = Instant::now();
        assert!(!health.is_last_choice(start));
        health.record_timeout(start);
        for (seconds, expected) in [(0, true), (29, true), (30, false), (30, true), (59, true), (60, false)] {
            assert_eq!(health.is_last_choice(start + Duration::from_secs(seconds)), expected, "after {seconds} s");
        }
        let answer: QueryResult<()> = Err(LookupReason::NxDomain);
        let _ = health.watch(start + SERVER_TIMEOUT, async { Ok(answer) }).await;
        assert!(!health.is_last_choice(start));
    }
}
