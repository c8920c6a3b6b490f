//! Text helpers that several outputs share: counts, lists, times, file names, and untrusted text made printable. Pure.

use std::cmp::Ordering;
use std::fmt::Write;
use std::iter;

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `text` with each character that is not [printable](is_printable) replaced by U+FFFD, cut after `limit` characters.
pub fn printable(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit * 4));
    for (count, c) in text.chars().enumerate() {
        if count == limit {
            out.push('…');
            break;
        }
        out.push(if is_printable(c) { c } else { '\u{fffd}' });
    }
    out
}

/// `text` with each character that is not [printable](is_printable) escaped as in Rust: `\n`, `\u{202e}`.
pub fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if is_printable(c) {
            out.push(c);
        } else {
            out.extend(c.escape_default());
        }
        out
    })
}

/// `json` with each character that is not [printable](is_printable) escaped, apart from line feeds. Such characters occur only
/// in strings of JSON, where an escape has the same value.
pub fn escaped_for_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        if c == '\n' || is_printable(c) {
            out.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"));
        }
    }
    out
}

/// Whether a character is visible, or a space, and does nothing else: not a control, format or separator character, and
/// not one that is ignored where fonts have no glyph for it (Unicode Standard Annex 44). The joiners U+200C and U+200D are
/// not printable, since names that differ only in them look the same.
pub fn is_printable(c: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator};
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    !matches!(category, Control | Format | LineSeparator | ParagraphSeparator)
        && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// `1 backend`, `0 backends`, `2,000 backends`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), plural(count, "", "s"))
}

/// `one` for a count of 1, else `many`.
pub const fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// A number with commas between thousands.
pub fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// For tables: `a, b, c`. Of more than `limit` items the first ones and the number of the others: `a, b and 2 more`.
pub fn list(items: impl IntoIterator<Item = String>, limit: usize) -> String {
    let (shown, more) = cut(items, limit);
    match more {
        0 => shown.join(SEPARATOR),
        more => shown.join(SEPARATOR) + &and_more(more),
    }
}

/// For sentences: `a`, `a and b`, `a, b and c`; else as [`list`].
pub fn conjunction(items: impl IntoIterator<Item = String>, limit: usize) -> String {
    let (mut shown, more) = cut(items, limit);
    if more > 0 {
        shown.push(format!("{} more", grouped(more)));
    }
    match shown.pop() {
        None => String::new(),
        Some(only) if shown.is_empty() => only,
        Some(last) => format!("{} and {last}", shown.join(", ")),
    }
}

/// As [`list`], of at most `limit` items, in at most `chars` characters. If the first item is too long, it is cut.
pub fn list_within(items: impl IntoIterator<Item = String>, limit: usize, chars: usize) -> String {
    let (shown, more) = fit(items, limit, chars);
    let count = shown.len();
    list(shown.into_iter().chain(iter::repeat_n(String::new(), more)), count)
}

/// As [`conjunction`], of at most `limit` items, in at most `chars` characters. If the first item is too long, it is cut.
pub fn conjunction_within(items: impl IntoIterator<Item = String>, limit: usize, chars: usize) -> String {
    let (shown, more) = fit(items, limit, chars.saturating_sub(AND.len() - SEPARATOR.len()));
    let count = shown.len();
    conjunction(shown.into_iter().chain(iter::repeat_n(String::new(), more)), count)
}

/// The first items that fit into a list of `limit` items and `chars` characters, and the number of the others.
fn fit(items: impl IntoIterator<Item = String>, limit: usize, chars: usize) -> (Vec<String>, usize) {
    let mut items = items.into_iter();
    let (mut shown, mut length) = (Vec::<String>::new(), 0);
    let width = |item: &str, is_first: bool| item.chars().count() + if is_first { 0 } else { SEPARATOR.len() };
    let mut next = None;
    for item in items.by_ref() {
        let added = width(&item, shown.is_empty());
        if shown.len() == limit || length + added > chars {
            next = Some(item);
            break;
        }
        length += added;
        shown.push(item);
    }
    let Some(mut next) = next else { return (shown, 0) };
    // The number of the others must fit, too.
    let mut more = 1 + items.count();
    let room = |more: usize| chars.saturating_sub(if more > 0 { and_more(more).len() } else { 0 });
    while let Some(last) = shown.pop() {
        if length <= room(more) {
            shown.push(last);
            return (shown, more);
        }
        length -= width(&last, shown.is_empty());
        more += 1;
        next = last;
    }
    let room = room(more - 1);
    if next.chars().count() > room {
        next = next.chars().take(room.saturating_sub(1)).chain(['…']).collect();
    }
    (vec![next], more - 1)
}

fn and_more(count: usize) -> String {
    format!("{AND}{} more", grouped(count))
}

/// Splits `items` by a key; groups and their members keep their order.
pub fn group_by<T: Copy, K: PartialEq>(items: impl IntoIterator<Item = T>, key: impl Fn(T) -> K) -> Vec<(K, Vec<T>)> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    for item in items {
        let key = key(item);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(item),
            None => groups.push((key, vec![item])),
        }
    }
    groups
}

fn cut(items: impl IntoIterator<Item = String>, limit: usize) -> (Vec<String>, usize) {
    let mut items = items.into_iter();
    (items.by_ref().take(limit).collect(), items.count())
}

/// `none` in place of an empty text.
pub fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// `text` with its first letter in upper case.
pub fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().collect::<String>() + rest.as_str()).unwrap_or_default()
}

/// Unix seconds in UTC, as RFC 3339 writes them; none outside of the years 0 to 9999.
pub fn rfc3339(unix: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(unix).ok()?.format(&Rfc3339).ok()
}

/// Unix seconds in UTC: `2026-06-01 12:00:00 UTC`.
pub fn utc(unix: i64) -> String {
    match rfc3339(unix) {
        Some(text) => text.replace('T', " ").replace('Z', " UTC"),
        None => format!("{unix} s since 1970"),
    }
}

/// Days from `from` to `to` (Unix seconds), negative if `to` is in the past.
pub fn days(from: i64, to: i64) -> f64 {
    to.saturating_sub(from) as f64 / SECONDS_PER_DAY as f64
}

/// A number of seconds in its largest unit, rounded toward zero: `119 s`, `5 min`, `3 h`, `12 days`, `2 years`.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        172_800..63_115_200 => format!("{} days", seconds / SECONDS_PER_DAY.unsigned_abs()),
        _ => format!("{} years", seconds / 31_557_600),
    }
}

/// How far `at` is from `now`, both in Unix seconds: `in 3 days`, `12 s ago`, `now`.
pub fn distance(at: i64, now: i64) -> String {
    let text = span(at.abs_diff(now));
    match at.cmp(&now) {
        Ordering::Less => format!("{text} ago"),
        Ordering::Equal => "now".to_owned(),
        Ordering::Greater => format!("in {text}"),
    }
}

/// A file name from these parts: letters, digits, `-`, `_` and dots, with no dot or hyphen at the start of a part. Each part
/// is cut at 56 characters, so that four of them fit the 255 octets of a file name.
pub fn file_name<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    parts.into_iter().map(safe).collect::<Vec<_>>().join("_")
}

fn safe(part: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let text: String = part.chars().take(MAX_PART).map(|c| if is_safe(c) { c } else { '-' }).collect();
    match text.strip_prefix(['.', '-']) {
        Some(rest) => format!("_{rest}"),
        None => text,
    }
}

const SEPARATOR: &str = ", ";
const AND: &str = " and ";
/// Seconds in a day.
pub const SECONDS_PER_DAY: i64 = 86_400;
const MAX_PART: usize = 56;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_foreign_text_printable() {
        for (text, limit, expected) in [
            ("plain", 10, "plain"),
            ("a\u{1b}[31mb", 20, "a\u{fffd}[31mb"),
            ("x\r\ny", 20, "x\u{fffd}\u{fffd}y"),
            ("\u{202e}evil", 20, "\u{fffd}evil"),
            ("abcdef", 3, "abc…"),
            ("übung", 2, "üb…"),
        ] {
            assert_eq!(printable(text, limit), expected, "{text:?}");
        }
    }

    #[test]
    fn characters_without_a_glyph_are_escaped() {
        for (text, expected) in [
            ("plain text, ümläut", None),
            // Hebrew, Arabic, Devanagari, Hangul, emoji; a space without a break.
            (
                "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{645}\u{631}\u{62d}\u{628}\u{627} \u{928}\u{92e}\u{938}\u{94d}\u{924}\u{947}",
                None,
            ),
            ("\u{d55c}\u{ae00} \u{1f600}\u{1f3fd} e\u{301}\u{a0}\u{3000}x", None),
            ("a\u{202e}b\u{202c}\u{2066}\u{2069}", Some(r"a\u{202e}b\u{202c}\u{2066}\u{2069}")),
            ("\u{200e}\u{200f}\u{61c}", Some(r"\u{200e}\u{200f}\u{61c}")),
            ("\u{200b}\u{2060}\u{feff}\u{ad}\u{180e}", Some(r"\u{200b}\u{2060}\u{feff}\u{ad}\u{180e}")),
            ("\u{200c}\u{200d}", Some(r"\u{200c}\u{200d}")),
            ("\u{2028}\u{2029}\u{85}\u{9b}31m", Some(r"\u{2028}\u{2029}\u{85}\u{9b}31m")),
            ("\u{e0001}\u{e0041}\u{e007f}", Some(r"\u{e0001}\u{e0041}\u{e007f}")),
            ("\u{fff9}\u{fffb}\u{206a}\u{206f}", Some(r"\u{fff9}\u{fffb}\u{206a}\u{206f}")),
            ("\u{34f}\u{115f}\u{3164}\u{ffa0}\u{fe0f}", Some(r"\u{34f}\u{115f}\u{3164}\u{ffa0}\u{fe0f}")),
            ("\u{1b}[2J\u{7}\r\n\t\0\u{7f}", Some(r"\u{1b}[2J\u{7}\r\n\t\u{0}\u{7f}")),
        ] {
            assert_eq!(escaped(text), expected.unwrap_or(text), "{text:?}");
            let json = escaped_for_json(&serde_json::to_string(text).expect("JSON"));
            assert!(json.chars().all(is_printable), "{json}");
            assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
        }
    }

    #[test]
    fn counts_have_their_plural() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1, 2_000].map(|count| counted(count, "day")), ["0 days", "1 day", "2,000 days"]);
    }

    #[test]
    fn lists_are_cut_at_the_limit() {
        let items = |count: usize| ["a", "b", "c"].into_iter().take(count).map(str::to_owned);
        for (count, limit, listed, sentence) in [
            (0, 9, "", ""),
            (1, 9, "a", "a"),
            (2, 9, "a, b", "a and b"),
            (3, 3, "a, b, c", "a, b and c"),
            (3, 2, "a, b and 1 more", "a, b and 1 more"),
            (3, 1, "a and 2 more", "a and 2 more"),
        ] {
            assert_eq!((&*list(items(count), limit), &*conjunction(items(count), limit)), (listed, sentence));
        }
    }

    #[test]
    fn lists_never_exceed_their_characters() {
        for (items, limit, expected) in [
            (&[][..], 5, ""),
            (&["ab"], 2, "ab"),
            (&["abc"], 2, "a…"),
            (&["ab", "cd"], 6, "ab, cd"),
            (&["ab", "cd", "ef"], 12, "ab, cd, ef"),
            (&["abcdefgh", "ijklmnop", "qrstuvwx"], 20, "abcdefgh and 2 more"),
            (&["abcdefgh", "ijklmnop", "qrstuvwx"], 18, "abcdef… and 2 more"),
            (&["abcdefghijklmnopqrstuvwxyz", "b"], 20, "abcdefgh… and 1 more"),
            (&["a", "bcdefghijklmnopqrstuvwxyz"], 20, "a and 1 more"),
            (&["üüüü", "b"], 7, "üüüü, b"),
        ] {
            let items = || items.iter().map(|item| (*item).to_owned());
            let (found, sentence) = (list_within(items(), 9, limit), conjunction_within(items(), 9, limit + 3));
            assert!(
                sentence.chars().count() <= limit + 3
                    && sentence.replace(" and ", ", ") == found.replace(" and ", ", "),
                "{sentence}"
            );
            assert_eq!(found, expected, "{limit}");
        }
        let items = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(list_within(items.clone(), 2, 99), "a, b and 1 more");
        assert_eq!(conjunction_within(items, 3, 99), "a, b and c");
        let many: Vec<String> = (0..12_345).map(|number| format!("host-{number}.example.com")).collect();
        for limit in 40..300 {
            let found = list_within(many.iter().cloned(), usize::MAX, limit);
            assert!(found.chars().count() <= limit && found.ends_with(" more"), "{found:?} in {limit}");
        }
    }

    #[test]
    fn times_are_utc() {
        for (unix, expected) in [
            (0, Some("1970-01-01T00:00:00Z")),
            (1_800_000_000, Some("2027-01-15T08:00:00Z")),
            (-1, Some("1969-12-31T23:59:59Z")),
            (253_402_300_799, Some("9999-12-31T23:59:59Z")),
            (253_402_300_800, None),
            (i64::MIN, None),
            (i64::MAX, None),
        ] {
            assert_eq!(rfc3339(unix).as_deref(), expected, "{unix}");
        }
        assert_eq!(utc(1_800_000_000), "2027-01-15 08:00:00 UTC");
        assert_eq!(utc(i64::MAX), "9223372036854775807 s since 1970");
    }

    #[test]
    fn days_are_negative_in_the_past() {
        assert_eq!(days(0, 129_600).to_bits(), 1.5f64.to_bits());
        assert_eq!(days(86_400, 0).to_bits(), (-1.0f64).to_bits());
        assert!(days(i64::MAX, i64::MIN).is_finite());
    }

    #[test]
    fn distances_have_one_unit() {
        for (at, expected) in [
            (1_000_000, "now"),
            (999_881, "119 s ago"),
            (999_880, "2 min ago"),
            (1_000_119, "in 119 s"),
            (1_000_000 - 7_199, "119 min ago"),
            (1_000_000 - 7_200, "2 h ago"),
            (1_000_000 + 172_800, "in 2 days"),
            (1_000_000 - 172_799, "47 h ago"),
            (1_000_000 + 731 * SECONDS_PER_DAY, "in 2 years"),
        ] {
            assert_eq!(distance(at, 1_000_000), expected, "{at}");
        }
        assert!(distance(i64::MAX, i64::MIN).starts_with("in "));
    }

    #[test]
    fn file_names_are_safe() {
        for (part, expected) in [
            ("smtp.example.com", "smtp.example.com"),
            ("mx:example.com", "mx-example.com"),
            ("2001:db8::1", "2001-db8--1"),
            ("../../etc/passwd", "_.-..-etc-passwd"),
            (".hidden", "_hidden"),
            ("-rf", "_rf"),
            ("a\0b\nc\\d\u{202e}", "a-b-c-d-"),
            ("", ""),
        ] {
            assert_eq!(file_name([part]), expected, "{part:?}");
        }
        assert_eq!(file_name(["a.test", "::1", "25"]), "a.test__-1_25");
        assert_eq!(file_name([&*"ü".repeat(300)]).len(), MAX_PART);
    }
}
