//! Elements of pages: states, text and times. Text from servers, DNS and the configuration goes through [`clean`]; the
//! templates escape it. Times are in UTC, and relative to now.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use maud::{Markup, PreEscaped, html};

pub(super) use crate::snapshot::state::HealthState;
use crate::text::{distance, printable, rfc3339, utc};
use crate::verdict::unix;

/// The place in a frame for what is written separately. It occurs nowhere else: text is escaped, and style and script
/// have no comments of this kind.
pub(super) const ROWS: PreEscaped<&str> = PreEscaped("<!---->");

/// Writes `frame` with what `rows` writes in place of [`ROWS`].
pub(super) fn write_around(
    frame: Markup,
    out: &mut dyn Write,
    rows: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let frame = frame.into_string();
    let (before, after) = frame.split_once(ROWS.0).unwrap_or((&frame, ""));
    out.write_all(before.as_bytes())?;
    rows(out)?;
    out.write_all(after.as_bytes())
}

pub(super) fn write(row: Markup, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(row.into_string().as_bytes())
}

/// The worst first.
pub(super) const STATES: [HealthState; 4] =
    [HealthState::Critical, HealthState::Warning, HealthState::Unknown, HealthState::Ok];

/// A symbol for each state, so that states can be distinguished without color.
pub(super) const fn symbol(state: HealthState) -> &'static str {
    match state {
        HealthState::Critical => "✗",
        HealthState::Warning => "!",
        HealthState::Unknown => "…",
        HealthState::Ok => "✓",
    }
}

/// The symbol of a state, hidden from screen readers, and a text.
pub(super) fn with_symbol(state: HealthState, text: &str) -> Markup {
    html! { span class="sign" aria-hidden="true" { (symbol(state)) } " " (text) }
}

pub(super) fn verdict(state: HealthState, text: &str) -> Markup {
    html! { span class={ "verdict " (state.as_str()) } { (with_symbol(state, text)) } }
}

/// Whether a target in this state is shown expanded.
pub(super) fn needs_attention(state: HealthState) -> bool {
    state >= HealthState::Warning
}

pub(super) fn parse(word: &str) -> Option<HealthState> {
    STATES.into_iter().find(|state| state.as_str() == word)
}

pub(super) fn fact(term: &str, value: &Markup) -> Markup {
    html! { div { dt { (term) } dd { (value) } } }
}

/// Printable and truncated.
pub(super) fn clean(text: &str) -> String {
    printable(text, MAX_TEXT_CHARS)
}

/// Printable line by line, and truncated.
pub(super) fn clean_lines(text: &str) -> String {
    text.lines().take(MAX_LINES).map(|line| printable(line, MAX_LINE_CHARS)).collect::<Vec<_>>().join("\n")
}

/// A sentence of the exporter with untrusted text in it: printable, truncated, and with text in backticks as code.
pub(super) fn prose(text: &str) -> Markup {
    let text = printable(text, MAX_PROSE_CHARS);
    let is_balanced = text.matches('`').count().is_multiple_of(2);
    html! {
        @if is_balanced {
            @for (index, part) in text.split('`').enumerate() {
                @if index % 2 == 1 { code { (part) } } @else { (part) }
            }
        } @else { (text) }
    }
}

/// A reason as words: `missing intermediate` for `missing_intermediate`.
pub(super) fn spaced(word: &str) -> String {
    word.replace('_', " ")
}

/// Each reason once, as words, in order of first appearance.
pub(super) fn unique<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for word in words {
        if !seen.contains(&word) {
            seen.push(word);
        }
    }
    spaced(&seen.join(", "))
}

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

const MAX_TEXT_CHARS: usize = 500;
const MAX_PROSE_CHARS: usize = 2_000;
const MAX_LINES: usize = 200;
const MAX_LINE_CHARS: usize = 1_000;

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
