//! Text in lines of limited width, with what the tables of `check` and of `verify` have in common.

use super::style::{Highlight, Style};
use crate::client_errors::ClientErrors;
use crate::text::{distance, list, or_none, rfc3339};
use crate::verdict::Certificate;
use crate::verdict::certificate::hex;
use crate::verdict::near_miss::shown;

/// Text that is written from top to bottom.
#[derive(Default)]
pub(super) struct Page {
    pub(super) text: String,
    pub(super) style: Style,
}

impl Page {
    /// Writes `lead` and the words of `text`, with further lines indented by the length of `lead`. A word that is longer
    /// than a line has a line of its own.
    pub(super) fn hang(&mut self, lead: &str, text: &str) {
        let indent = lead.chars().count();
        let mut lead = lead.to_owned();
        for line in wrap(text.split_whitespace().map(str::to_owned), self.style.columns().saturating_sub(indent)) {
            self.line(&(lead + &line));
            lead = " ".repeat(indent);
        }
    }

    /// As [`Self::hang`]; then `paint` colors the lines, because escape sequences have no width.
    pub(super) fn hang_painted(&mut self, lead: &str, text: &str, paint: impl Fn(&str, &Style) -> String) {
        let start = self.text.len();
        self.hang(lead, text);
        let lines = self.text.split_off(start);
        self.line(&paint(lines.trim_end(), &self.style));
    }

    /// Writes a line of any length.
    pub(super) fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    /// Ends a paragraph: what follows has an empty line above it.
    pub(super) fn paragraph(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// A heading, with an empty line above it.
    pub(super) fn title(&mut self, indent: &str, words: &str) {
        self.paragraph();
        let words = self.style.paint(Highlight::Heading, words);
        self.line(&format!("{indent}{words}"));
    }

    pub(super) fn row(&mut self, label: &str, value: &str) {
        self.hang(&format!("  {label:<12}  "), value);
    }

    /// The facts of one certificate as of `now` (Unix seconds), one row each.
    pub(super) fn certificate(&mut self, leaf: &Certificate, now: i64) {
        if let Some(facts) = leaf.facts() {
            let names = list(facts.names().map(|name| shown(name, 253)), MAX_NAMES);
            self.row("subject", or_none(facts.subject()));
            self.row("issuer", or_none(facts.issuer()));
            self.row("names", or_none(&names));
            self.row("not before", &time(facts.not_before));
            self.row("not after", &format!("{} ({})", time(facts.not_after), distance(facts.not_after, now)));
            self.row("key", &facts.key.label());
            self.row("signature", facts.signature.name);
            self.row("serial", facts.serial());
        }
        self.row("sha256", &hex(&leaf.fingerprint()));
        self.row("sha1", &hex(&leaf.thumbprint()));
    }

    /// The errors of each client, by reason; nothing if there are none.
    pub(super) fn client_errors(&mut self, all: &[(&'static str, ClientErrors)]) {
        if !all.is_empty() {
            self.title("", "CLIENT ERRORS");
        }
        for (word, errors) in all {
            self.hang("  ", word);
            for (client, error) in errors.clients() {
                let accepts = error.accepts.map(|when| format!("(accepts it {when})"));
                let texts = error.texts.iter().map(|text| (*text).to_owned()).chain(accepts);
                for (index, text) in texts.enumerate() {
                    let client = if index == 0 { client } else { "" };
                    self.hang(&format!("    {client:<12}  "), &text);
                }
            }
        }
    }
}

/// `words` in lines of at most `width` characters; a longer word has a line of its own. At least one line.
pub(super) fn wrap(words: impl IntoIterator<Item = String>, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words {
        match lines.last_mut() {
            Some(line) if line.is_empty() => *line = word,
            Some(line) if length(line) + 1 + length(&word) <= width => *line += &format!(" {word}"),
            _ => lines.push(word),
        }
    }
    lines
}

pub(super) fn length(text: &str) -> usize {
    text.chars().count()
}

/// Unix seconds as RFC 3339 writes them.
pub(super) fn time(unix: i64) -> String {
    rfc3339(unix).unwrap_or_else(|| format!("{unix} s since 1970"))
}

/// Names of one certificate; JSON has all of them.
const MAX_NAMES: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lead: &str, text: &str, expected: &str) {
        let mut page = Page::default();
        page.hang(lead, text);
        assert_eq!(page.text, expected);
    }

    #[test]
    fn further_lines_are_indented() {
        let (a, b, long) = ("a".repeat(40), "b".repeat(35), "c".repeat(90));
        check("key ", "value", "key value\n");
        check("key ", "", "key\n");
        check("key ", "two\n  words", "key two words\n");
        // 4 + 40 + 1 + 35 are 80.
        check("key ", &format!("{a} {b} c"), &format!("key {a} {b}\n    c\n"));
        check("key ", &format!("{a} {b}b c"), &format!("key {a}\n    {b}b c\n"));
        check("key ", &format!("x {long} y"), &format!("key x\n    {long}\n    y\n"));
        check("ü ", &format!("{a} {b}bb c"), &format!("ü {a} {b}bb\n  c\n"));
    }
}
