//! Limits what is logged because of requests.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Messages that clients can cause at will: each of them is logged once in a period.
#[derive(Debug)]
pub struct LogLimit {
    period: Duration,
    logged: HashMap<String, Logged>,
}

#[derive(Debug)]
struct Logged {
    at: Instant,
    omitted: u64,
}

impl LogLimit {
    /// Logs each message once in a `period`.
    pub fn new(period: Duration) -> Self {
        Self { period, logged: HashMap::new() }
    }

    /// How often the message was omitted since it was logged, if it is to be logged now: `Some(None)` if never.
    pub fn admit(&mut self, message: &str, now: Instant) -> Option<Option<u64>> {
        let is_recent = |logged: &Logged| now.duration_since(logged.at) < self.period;
        if let Some(logged) = self.logged.get_mut(message)
            && is_recent(logged)
        {
            logged.omitted += 1;
            return None;
        }
        Some(self.record(message, now))
    }

    /// As [`LogLimit::admit`], but for a message that is logged in any case.
    pub fn record(&mut self, message: &str, now: Instant) -> Option<u64> {
        let before = self.logged.insert(message.to_owned(), Logged { at: now, omitted: 0 });
        // Those that were omitted are kept until they are reported.
        self.logged.retain(|_, logged| logged.omitted > 0 || now.duration_since(logged.at) < self.period);
        before.map(|logged| logged.omitted).filter(|omitted| *omitted > 0)
    }

    /// The messages that were omitted in periods that have ended, and how often.
    pub fn omitted(&mut self, now: Instant) -> Vec<(String, u64)> {
        let period = self.period;
        let ended = self.logged.extract_if(|_, logged| now.duration_since(logged.at) >= period);
        ended.filter(|(_, logged)| logged.omitted > 0).map(|(message, logged)| (message, logged.omitted)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_a_message_once_in_a_period_with_the_number_omitted() {
        let mut log = LogLimit::new(Duration::from_secs(10));
        let start = Instant::now();
        let mut check = |seconds: u64, message: &str, expected: Option<Option<u64>>| {
            assert_eq!(log.admit(message, start + Duration::from_secs(seconds)), expected, "{message} at {seconds}");
        };
        check(0, "a", Some(None));
        check(1, "a", None);
        check(2, "b", Some(None));
        check(9, "a", None);
        check(10, "a", Some(Some(2)));
        check(11, "a", None);
        check(12, "b", Some(None));
        check(13, "c", Some(None));
        assert_eq!(log.record("a", start + Duration::from_secs(14)), Some(1));
        assert_eq!(log.admit("a", start + Duration::from_secs(15)), None);
        assert_eq!(log.omitted(start + Duration::from_secs(23)), []);
        assert_eq!(log.omitted(start + Duration::from_secs(24)), [("a".to_owned(), 1)]);
        assert!(log.logged.is_empty());
    }
}
