//! Small pieces of text. Whatever a server, DNS or a config gives goes through [`shown`] before it stands on a page;
//! escaping is the templates' own.

use maud::{Markup, html};

use crate::text::printable;

/// A name and what it is, in a list of facts.
pub(super) fn fact(name: &str, value: &Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// Printable and cut.
pub(super) fn shown(text: &str) -> String {
    printable(text, MAX_TEXT)
}

/// Printable line by line, and cut.
pub(super) fn shown_lines(text: &str) -> String {
    text.lines().take(MAX_LINES).map(|line| printable(line, MAX_LINE)).collect::<Vec<_>>().join("\n")
}

/// A text of our own about what others give, printable and cut; what stands in backticks is code.
pub(super) fn prose(text: &str) -> Markup {
    let text = printable(text, MAX_PROSE);
    let is_balanced = text.matches('`').count().is_multiple_of(2);
    html! {
        @if is_balanced {
            @for (place, part) in text.split('`').enumerate() {
                @if place % 2 == 1 { code { (part) } } @else { (part) }
            }
        } @else { (text) }
    }
}

/// A word of a vocabulary as people write it.
pub(super) fn spaced(word: &str) -> String {
    word.replace('_', " ")
}

/// Each word once, in the order in which they come first.
pub(super) fn unique<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for word in words {
        if !seen.contains(&word) {
            seen.push(word);
        }
    }
    spaced(&seen.join(", "))
}

/// A number and what is counted.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A number with its thousands apart.
pub(super) fn grouped(count: usize) -> String {
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

/// The first of `items`, and how many more there are.
pub(super) fn listed(items: impl Iterator<Item = String>, most: usize) -> String {
    let mut items = items.peekable();
    let first: Vec<String> = items.by_ref().take(most).collect();
    match items.count() {
        0 => first.join(", "),
        more => format!("{} and {} more", first.join(", "), grouped(more)),
    }
}

/// Characters of a text.
const MAX_TEXT: usize = 500;
/// Characters of advice.
const MAX_PROSE: usize = 2_000;
/// Lines of a text of several.
const MAX_LINES: usize = 200;
/// Characters of such a line.
const MAX_LINE: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces() {
        assert_eq!(shown("a\u{1b}[0m\u{202e}\n"), "a\u{fffd}[0m\u{fffd}\u{fffd}");
        assert_eq!(shown_lines("a\r\nb\u{202e}\n\nc"), "a\nb\u{fffd}\n\nc");
        assert_eq!(prose("set `a<b`.").into_string(), "set <code>a&lt;b</code>.");
        assert_eq!(prose("a ` b\u{202e}").into_string(), "a ` b\u{fffd}");
        assert_eq!(spaced("missing_intermediate"), "missing intermediate");
        assert_eq!(unique(["timeout", "tls_alert", "timeout"]), "timeout, tls alert");
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((counted(1, "backend"), counted(0, "backend")), ("1 backend".into(), "0 backends".into()));
        let names = || ["a", "b", "c"].into_iter().map(str::to_owned);
        assert_eq!((listed(names(), 3), listed(names(), 1)), ("a, b, c".into(), "a and 2 more".into()));
    }
}
