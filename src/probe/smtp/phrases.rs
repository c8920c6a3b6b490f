//! Finds phrases in the text of a reply, without regard to case and to line breaks.
//!
//! A pattern is a list of words. `word*` matches every word with this beginning, `..` any number of words that carry no
//! meaning of their own ([`FILLERS`]), and `@name` an address or host name that contains `name` (`@` any). A phrase does not
//! continue over punctuation, except for brackets around an address or name, and does not count if the clause negates it.

/// The words of a reply, by clauses.
#[derive(Debug)]
pub(super) struct ReplyText {
    clauses: Vec<Vec<Word>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Word {
    /// Lower case.
    Plain(String),
    /// A host name, an address or what the client sent, in lower case: servers and clients choose these, so that their
    /// parts are no words of the reply.
    Name(String),
}

impl ReplyText {
    /// The words of these lines, without code and enhanced code.
    pub(super) fn new<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut text = Self { clauses: vec![Vec::new()] };
        // The first word of a greeting is the server's name (RFC 5321 §4.2). Servers repeat it on each line.
        let mut server = None;
        for (number, line) in lines.into_iter().enumerate() {
            let mut is_leading = true;
            for (place, chunk) in line.split_whitespace().enumerate() {
                if is_status(chunk) {
                    continue;
                }
                let is_server = is_leading && server.is_some_and(|name: &str| name.eq_ignore_ascii_case(chunk));
                if is_leading && number == 0 && is_host(chunk) {
                    server = Some(chunk);
                }
                is_leading = false;
                if is_server || number == 0 && place == 0 && is_host(chunk) {
                    continue;
                }
                text.push_chunk(chunk);
            }
        }
        text
    }

    /// Whether it contains a phrase that matches one of the patterns.
    pub(super) fn contains_any(&self, patterns: &[&str]) -> bool {
        self.clauses.iter().any(|clause| patterns.iter().any(|pattern| contains(clause, pattern)))
    }

    /// Whether it has no words besides names of hosts and of the protocol.
    pub(super) fn is_bare(&self) -> bool {
        self.clauses.iter().flatten().all(|word| match word {
            Word::Plain(_) => is_in(word, &["esmtp", "smtp"]),
            Word::Name(name) => is_host(name),
        })
    }

    fn push_chunk(&mut self, chunk: &str) {
        let bare = chunk.trim_matches(|c: char| c.is_ascii_punctuation());
        if chunk.starts_with('<') && chunk.contains('>') || is_name(bare) {
            let is_boundary = |c| is_boundary(c) && !is_bracket(c);
            self.end_clause_if(chunk.starts_with(is_boundary));
            self.push(Word::Name(chunk.to_lowercase()));
            self.end_clause_if(chunk.ends_with(is_boundary));
            return;
        }
        let mut word = String::new();
        for c in chunk.chars() {
            match c {
                // "isn't" is one word.
                '\'' | '’' => {}
                c if c.is_alphanumeric() => word.extend(c.to_lowercase()),
                c => {
                    self.push_plain(&mut word);
                    self.end_clause_if(is_boundary(c) || chunk == "-");
                }
            }
        }
        self.push_plain(&mut word);
    }

    fn push_plain(&mut self, word: &mut String) {
        if !word.is_empty() {
            self.push(Word::Plain(std::mem::take(word)));
        }
    }

    fn push(&mut self, word: Word) {
        if let Some(clause) = self.clauses.last_mut() {
            clause.push(word);
        }
    }

    fn end_clause_if(&mut self, ends: bool) {
        if ends && self.clauses.last().is_some_and(|clause| !clause.is_empty()) {
            self.clauses.push(Vec::new());
        }
    }
}

/// Whether `chunk` is an enhanced code (RFC 3463 §2), in the form of qmail (`#4.3.0`) too.
fn is_status(chunk: &str) -> bool {
    status(chunk).is_some()
}

/// Subject and detail of an enhanced code (RFC 3463 §2).
pub(super) fn status(chunk: &str) -> Option<(u16, u16)> {
    let digits = chunk.trim_start_matches(['#', '(']).trim_end_matches([':', ',', ')', '.']);
    let mut parts = digits.split('.');
    let class = parts.next().filter(|class| matches!(*class, "2" | "4" | "5"));
    let mut number = || parts.next().filter(|part| part.len() <= 3)?.parse().ok();
    let (subject, detail) = (number()?, number()?);
    (class.is_some() && parts.next().is_none()).then_some((subject, detail))
}

/// Whether it is a host name, an address or a URL. In "later.Please" only a space is missing.
fn is_name(chunk: &str) -> bool {
    let chars: Vec<char> = chunk.chars().collect();
    let is_inner_dot = |three: &[char]| match three {
        [before, '.', after] if before.is_alphanumeric() && after.is_alphanumeric() => {
            !(before.is_lowercase() && after.is_uppercase())
        }
        _ => false,
    };
    chunk.contains('@') || chunk.contains("://") || chars.windows(3).any(is_inner_dot)
}

/// Whether it is a host name or an address.
fn is_host(chunk: &str) -> bool {
    is_name(chunk) && !chunk.contains('@') && !chunk.contains("://")
}

fn is_boundary(c: char) -> bool {
    matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '(' | ')' | '[' | ']' | '|')
}

fn is_bracket(c: char) -> bool {
    matches!(c, '(' | ')' | '[' | ']')
}

fn contains(clause: &[Word], pattern: &str) -> bool {
    (0..clause.len()).any(|start| {
        let (before, rest) = clause.split_at(start);
        matched(rest, pattern).is_some_and(|after| !is_negated(before, after))
    })
}

/// The words after the phrase, if `words` begin with it.
fn matched<'a>(mut words: &'a [Word], pattern: &str) -> Option<&'a [Word]> {
    for part in pattern.split(' ') {
        if part == ".." {
            words = skip(words, is_filler);
            continue;
        }
        let (word, rest) = words.split_first()?;
        let is_match = match (word, part.strip_prefix('@'), part.strip_suffix('*')) {
            (Word::Name(name), Some(part), _) => name.contains(part),
            (Word::Plain(word), None, Some(beginning)) => word.starts_with(beginning),
            (Word::Plain(word), None, None) => word == part,
            _ => false,
        };
        words = is_match.then_some(rest)?;
    }
    Some(words)
}

/// Whether "not due to" precedes the phrase, or "is not the reason" follows it.
fn is_negated(before: &[Word], after: &[Word]) -> bool {
    let negator = before.iter().rev().find(|word| !is_in(word, BETWEEN));
    let after = skip(after, |word| is_in(word, AUXILIARIES));
    let denied = after.split_first().filter(|(word, _)| is_in(word, &["not"])).and_then(|(_, rest)| rest.first());
    negator.is_some_and(|word| is_in(word, NEGATORS)) || denied.is_some_and(|word| is_in(word, DENIED))
}

fn skip(words: &[Word], is_skipped: impl Fn(&Word) -> bool) -> &[Word] {
    let count = words.iter().take_while(|word| is_skipped(word)).count();
    words.get(count..).unwrap_or_default()
}

fn is_filler(word: &Word) -> bool {
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    is_in(word, FILLERS) || matches!(word, Word::Plain(word) if is_number(word))
}

fn is_in(word: &Word, words: &[&str]) -> bool {
    matches!(word, Word::Plain(word) if words.contains(&word.as_str()))
}

/// The words that `..` matches, besides numbers.
pub(super) const FILLERS: &[&str] = &[
    "a",
    "active",
    "are",
    "be",
    "been",
    "client",
    "concurrent",
    "count",
    "current",
    "currently",
    "for",
    "from",
    "has",
    "have",
    "host",
    "in",
    "inbound",
    "incoming",
    "ip",
    "is",
    "its",
    "maximum",
    "new",
    "number",
    "of",
    "on",
    "open",
    "parallel",
    "per",
    "rate",
    "remote",
    "server",
    "simultaneous",
    "smtp",
    "smtps",
    "source",
    "ssl",
    "tcp",
    "temporarily",
    "the",
    "this",
    "tls",
    "to",
    "was",
    "were",
    "your",
];

/// Words between a negator and what it negates.
const BETWEEN: &[&str] = &[
    "a",
    "an",
    "any",
    "because",
    "being",
    "by",
    "caused",
    "currently",
    "due",
    "exceeded",
    "for",
    "hit",
    "in",
    "of",
    "on",
    "our",
    "reached",
    "related",
    "subject",
    "the",
    "this",
    "to",
    "under",
    "yet",
    "your",
];
const NEGATORS: &[&str] = &[
    "arent", "didnt", "doesnt", "dont", "hasnt", "havent", "isnt", "neither", "never", "no", "nor", "not", "wasnt",
    "werent", "without",
];
const AUXILIARIES: &[&str] = &["are", "been", "did", "do", "does", "had", "has", "have", "is", "was", "were"];
/// What "not" must be followed by to negate the phrase before it: "Too many connections are not permitted" is no denial.
const DENIED: &[&str] = &[
    "a",
    "active",
    "apply",
    "applied",
    "enabled",
    "exceeded",
    "hit",
    "in",
    "involved",
    "reached",
    "relevant",
    "responsible",
    "the",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, pattern: &str, expected: bool) {
        assert_eq!(ReplyText::new(text.lines()).contains_any(&[pattern]), expected, "{pattern:?} in {text:?}");
    }

    #[test]
    fn finds_phrases_in_any_case_and_over_line_breaks() {
        check("Too MANY Connections", "too many connections", true);
        check("4.7.0 too\n4.7.0 many\n4.7.0 connections", "too many connections", true);
        check("mx.example.com Error: too many connections from 192.0.2.1", "too many connection*", true);
        check("too many concurrent SMTP connections", "too many .. connection*", true);
        check("too many messages in this connection", "too many .. connection*", false);
        check("try later.Too many connections", "too many connections", true);
        check("rate-limited", "rate limit*", true);
        check("unlimited", "limit*", false);
        check("too many: connections", "too many connections", false);
        check("see https://www.spamhaus.org/query/", "@spamhaus.org", true);
        check("", "a", false);
        check("Helo command [probe.example.net] blocked using", "helo command @ blocked", true);
        check("mx.example.com too many\nmx.example.com connections", "too many connections", true);
        check("4.7.0 mx.example.com too many\n4.7.0 MX.example.com connections", "too many connections", true);
        check("rejected\nhttps://www.spamhaus.org/query/", "@spamhaus.org", true);
    }

    #[test]
    fn does_not_take_names_for_words() {
        check("too-many-connections.example.com Service not available", "too many connections", false);
        check("TOO-MANY-CONNECTIONS.EXAMPLE.COM Service not available", "too many connections", false);
        check("Service not available at rate-limit.example.com", "rate limit*", false);
        check("5.5.2 <rate-limit>: Helo command rejected", "rate limit*", false);
        check("mx.spamhaus.org closing", "@spamhaus.org", false);
    }

    #[test]
    fn ignores_phrases_that_are_negated() {
        for text in [
            "not a rate limit",
            "This is no rate limit",
            "not due to any rate limit",
            "Service stopped, not because of a rate limit",
            "without rate limits",
            "isn't rate limited",
            "rate limit not reached",
            "rate limits are not the reason",
            "rate limits do not apply",
            "You haven't exceeded the rate limit",
        ] {
            check(text, "rate limit*", false);
        }
        for text in [
            "not available, rate limit exceeded",
            "not available due to rate limit",
            "do not exceed the rate limit",
            "rate limit: not available",
            "no, rate limit",
        ] {
            check(text, "rate limit*", true);
        }
        check("too many connections are not permitted", "too many connections", true);
    }

    #[test]
    fn reads_enhanced_codes() {
        for (chunk, expected) in [
            ("4.7.0", Some((7, 0))),
            ("5.7.28", Some((7, 28))),
            ("4.7.652", Some((7, 652))),
            ("#4.4.5", Some((4, 5))),
            ("(#4.3.0)", Some((3, 0))),
            ("4.7.0:", Some((7, 0))),
            ("3.7.11", None),
            ("4.7", None),
            ("4.7.0.1", None),
            ("4.7.1000", None),
            ("4.x.1", None),
            ("", None),
        ] {
            assert_eq!(status(chunk), expected, "{chunk}");
        }
    }
}
