//! Times on pages: in UTC, and relative to now.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};

use crate::text::{distance, rfc3339, utc};
use crate::verdict::unix;

/// A time and its distance from `now`: `2026-06-01 00:00:00 UTC, 30 s ago`.
pub(super) fn timestamp(at: SystemTime, now: SystemTime) -> Markup {
    timestamp_unix(unix(at), now)
}

pub(super) fn timestamp_unix(at: i64, now: SystemTime) -> Markup {
    html! { time datetime=[rfc3339(at)] { (utc(at)) ", " (distance(at, unix(now))) } }
}

/// The distance of a time from `now`; the time itself is in the title.
pub(super) fn relative(at: SystemTime, now: SystemTime) -> Markup {
    let at = unix(at);
    html! { time datetime=[rfc3339(at)] title=(utc(at)) { (distance(at, unix(now))) } }
}

/// A measured duration: `250 ms`, `1.25 s`.
pub(super) fn elapsed(duration: Duration) -> String {
    match duration.as_millis() {
        milliseconds @ ..1_000 => format!("{milliseconds} ms"),
        _ => format!("{:.2} s", duration.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact_and_relative() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_272_000);
        let exact = "<time datetime=\"2026-05-31T23:59:30Z\">2026-05-31 23:59:30 UTC, 30 s ago</time>";
        assert_eq!(timestamp_unix(1_780_271_970, now).into_string(), exact);
        let short = "<time datetime=\"2026-05-31T23:59:30Z\" title=\"2026-05-31 23:59:30 UTC\">30 s ago</time>";
        assert_eq!(relative(now - Duration::from_secs(30), now).into_string(), short);
        let far = timestamp_unix(i64::MAX, now).into_string();
        assert!(far.starts_with("<time>9223372036854775807 s since 1970, in "), "{far}");
        assert_eq!(elapsed(Duration::from_micros(12_900)), "12 ms");
        assert_eq!(elapsed(Duration::from_millis(1_250)), "1.25 s");
    }
}
