//! Moments for people: how far off, and exactly, in UTC.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::verdict::unix;

/// A moment, seen from `now`: `2026-06-01 00:00:00 UTC, 30 s ago`.
pub(super) fn moment(at: SystemTime, now: SystemTime) -> Markup {
    moment_unix(unix(at), now)
}

/// The same for Unix seconds.
pub(super) fn moment_unix(at: i64, now: SystemTime) -> Markup {
    let distance = distance(at, unix(now));
    match rfc3339(at) {
        Some(exact) => html! { time datetime=(exact) { (readable(&exact)) ", " (distance) } },
        None => html! { (at) " s since 1970, " (distance) },
    }
}

/// The same where there is little room: the exact moment stands in the title.
pub(super) fn ago(at: SystemTime, now: SystemTime) -> Markup {
    let at = unix(at);
    let distance = distance(at, unix(now));
    match rfc3339(at) {
        Some(exact) => html! { time datetime=(exact) title=(readable(&exact)) { (distance) } },
        None => html! { (distance) },
    }
}

/// How far `at` is from `now`, both in Unix seconds: `in 3 days`, `12 s ago`.
pub(super) fn distance(at: i64, now: i64) -> String {
    let seconds = at.abs_diff(now);
    let text = span(seconds);
    match at.cmp(&now) {
        std::cmp::Ordering::Less => format!("{text} ago"),
        std::cmp::Ordering::Equal => "now".to_owned(),
        std::cmp::Ordering::Greater => format!("in {text}"),
    }
}

/// A span of so many seconds, in its greatest unit, rounded towards zero.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        172_800..63_115_200 => format!("{} days", seconds / 86_400),
        _ => format!("{} years", seconds / 31_557_600),
    }
}

/// A measured time: `250 ms`, `1.25 s`.
pub(super) fn measured(duration: Duration) -> String {
    match duration.as_millis() {
        milliseconds @ ..1_000 => format!("{milliseconds} ms"),
        _ => format!("{:.2} s", duration.as_secs_f64()),
    }
}

fn rfc3339(unix: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(unix).ok()?.format(&Rfc3339).ok()
}

fn readable(rfc3339: &str) -> String {
    rfc3339.replace('T', " ").replace('Z', " UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (at, expected) in [
            (1_000_000, "now"),
            (999_881, "119 s ago"),
            (999_880, "2 min ago"),
            (1_000_119, "in 119 s"),
            (1_000_000 - 7_199, "119 min ago"),
            (1_000_000 - 7_200, "2 h ago"),
            (1_000_000 + 172_800, "in 2 days"),
            (1_000_000 - 172_799, "47 h ago"),
            (1_000_000 + 731 * 86_400, "in 2 years"),
        ] {
            assert_eq!(distance(at, 1_000_000), expected, "{at}");
        }
        assert!(distance(i64::MAX, i64::MIN).starts_with("in "));
    }

    #[test]
    fn moments() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_272_000);
        let exact = "<time datetime=\"2026-05-31T23:59:30Z\">2026-05-31 23:59:30 UTC, 30 s ago</time>";
        assert_eq!(moment_unix(1_780_271_970, now).into_string(), exact);
        let short = "<time datetime=\"2026-05-31T23:59:30Z\" title=\"2026-05-31 23:59:30 UTC\">30 s ago</time>";
        assert_eq!(ago(now - Duration::from_secs(30), now).into_string(), short);
        assert!(moment_unix(i64::MAX, now).into_string().starts_with("9223372036854775807 s since 1970, in "));
        assert_eq!(measured(Duration::from_micros(12_900)), "12 ms");
        assert_eq!(measured(Duration::from_millis(1_250)), "1.25 s");
    }
}
