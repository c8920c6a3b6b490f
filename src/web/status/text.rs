//! Text on pages. Text from servers, DNS and the configuration goes through [`clean`]; the templates escape it.

use maud::{Markup, html};

use crate::text::printable;

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

const MAX_TEXT_CHARS: usize = 500;
const MAX_PROSE_CHARS: usize = 2_000;
const MAX_LINES: usize = 200;
const MAX_LINE_CHARS: usize = 1_000;
