//! Templates of annotations: the queries in them, and the labels that they read.

use super::known::{Known, Names};
use super::query::{self, ANY, Labels};

/// What a template says.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The metrics of its queries.
    pub(super) metrics: Names,
    pub(super) complaints: Vec<String>,
    /// What stands between the actions.
    pub(super) prose: String,
}

/// Reads the template of an alert whose series have `labels`.
pub(super) fn read(text: &str, labels: &Labels, known: &Known) -> Reading {
    let mut reader = Reader { known, alert: labels, scopes: Vec::new(), reading: Reading::default() };
    let mut rest = text;
    while let Some((prose, action)) = rest.split_once("{{") {
        reader.reading.prose.push_str(prose);
        let Some((action, after)) = split_action(action) else {
            reader.complain("an action is not closed".to_owned());
            return reader.reading;
        };
        let action = action.strip_prefix('-').unwrap_or(action);
        reader.action(&tokens(action.strip_suffix('-').unwrap_or(action)));
        rest = after;
    }
    reader.reading.prose.push_str(rest);
    if !reader.scopes.is_empty() {
        reader.complain("a range or if has no end".to_owned());
    }
    reader.reading
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Open,
    Close,
    Other,
}

/// What is open until the next `end`.
#[derive(Default)]
struct Scope {
    /// What the dot is, where it is a sample or a list of them.
    dot: Option<Samples>,
    /// The variable that stands for the same.
    variable: Option<String>,
}

/// What a query gives.
#[derive(Clone, Debug)]
struct Samples {
    labels: Labels,
    metrics: Names,
}

struct Reader<'a> {
    known: &'a Known,
    alert: &'a Labels,
    scopes: Vec<Scope>,
    reading: Reading,
}

impl Reader<'_> {
    fn action(&mut self, tokens: &[Token]) {
        let asked = self.queried(tokens);
        if let Some(samples) = &asked {
            self.sorted(tokens, samples);
        }
        let first = match tokens.first() {
            Some(Token::Word(word)) => word.as_str(),
            _ => "",
        };
        match first {
            "range" | "with" => {
                let words = tokens.iter().take_while(|token| matches!(token, Token::Word(_) | Token::Other));
                let variables = words.filter_map(|token| match token {
                    Token::Word(word) if word.starts_with('$') && !word.contains('.') => Some(word.clone()),
                    _ => None,
                });
                self.scopes.push(Scope { variable: variables.last(), dot: asked });
            }
            "if" => self.scopes.push(Scope::default()),
            "end" => {
                let ended = self.scopes.pop();
                if ended.is_none() {
                    self.complain("an end of nothing".to_owned());
                }
            }
            _ => {}
        }
        for (at, token) in tokens.iter().enumerate() {
            let Token::Word(word) = token else { continue };
            let Some((whose, label)) = word.split_once("abels.").filter(|(whose, _)| whose.ends_with(['l', 'L']))
            else {
                continue;
            };
            let samples = self.whose(&whose[..whose.len() - 1], word);
            if !samples.labels.has(label) {
                self.complain(format!("{word}: there is no label {label}"));
            }
            if let (Some(Token::Word(equal)), Some(Token::Text(value))) =
                (at.checked_sub(1).and_then(|before| tokens.get(before)), tokens.get(at + 1))
                && (equal == "eq" || equal == "ne")
            {
                self.compared(label, value, &samples);
            }
        }
    }

    /// What `$labels`, `.Labels` or `$it.Labels` belong to.
    fn whose(&mut self, owner: &str, word: &str) -> Samples {
        let alert = || Samples { labels: self.alert.clone(), metrics: Names::new() };
        let found = match owner {
            "$" => Some(alert()),
            "." => self.scopes.iter().rev().find_map(|scope| scope.dot.clone()),
            _ => {
                let name = owner.trim_end_matches('.');
                let scope = self.scopes.iter().rev().find(|scope| scope.variable.as_deref() == Some(name));
                scope.and_then(|scope| scope.dot.clone())
            }
        };
        found.unwrap_or_else(|| {
            self.complain(format!("{word} stands outside of a query's range"));
            Samples { labels: Labels::any(), metrics: Names::new() }
        })
    }

    /// Reads the query of an action.
    fn queried(&mut self, tokens: &[Token]) -> Option<Samples> {
        let at = tokens.iter().position(|token| *token == Token::Word("query".to_owned()))?;
        let text = match tokens.get(at + 1..) {
            Some([Token::Text(text), ..]) => text.clone(),
            Some([Token::Open, Token::Word(printf), Token::Text(format), ..]) if printf == "printf" => filled(format),
            _ => {
                self.complain("a query that is neither a text nor printf".to_owned());
                return Some(Samples { labels: Labels::any(), metrics: Names::new() });
            }
        };
        let query::Reading { metrics, labels, complaints } = query::read(&text, self.known);
        complaints.into_iter().for_each(|complaint| self.complain(complaint));
        self.reading.metrics.extend(metrics.iter().cloned());
        Some(Samples { labels, metrics })
    }

    /// Labels by which the answers are sorted.
    fn sorted(&mut self, tokens: &[Token], samples: &Samples) {
        for pair in tokens.windows(2) {
            if let [Token::Word(word), Token::Text(label)] = pair
                && (word == "sortByLabel" || word == "label")
                && !samples.labels.has(label)
            {
                self.complain(format!("{word} {label:?}: the query gives no such label"));
            }
        }
    }

    /// A value that a label is held against.
    fn compared(&mut self, label: &str, value: &str, samples: &Samples) {
        let known = self.known;
        let words = samples.metrics.iter().filter_map(|metric| known.series.get(metric)?.words.get(label));
        let words: Vec<_> = words.collect();
        if !words.is_empty() && !words.iter().any(|words| words.contains(value)) {
            self.complain(format!("{label} is never {value}"));
        }
    }

    fn complain(&mut self, complaint: String) {
        if !self.reading.complaints.contains(&complaint) {
            self.reading.complaints.push(complaint);
        }
    }
}

/// The inside of an action and what follows it: braces within texts do not end it.
fn split_action(text: &str) -> Option<(&str, &str)> {
    let mut is_text = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if is_text => escaped = true,
            '"' => is_text = !is_text,
            '}' if !is_text && text[at..].starts_with("}}") => return Some((&text[..at], &text[at + 2..])),
            _ => {}
        }
    }
    None
}

fn tokens(action: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = action.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            '"' => {
                let mut text = String::new();
                while let Some(c) = chars.next().filter(|c| *c != '"') {
                    text.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
                }
                tokens.push(Token::Text(text));
            }
            c if is_word(c) => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| is_word(*c)) {
                    word.push(c);
                }
                tokens.push(Token::Word(word));
            }
            c if c.is_whitespace() => {}
            _ => tokens.push(Token::Other),
        }
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '$')
}

/// What `printf` makes of a format, with values that are not known.
fn filled(format: &str) -> String {
    format.replace("%q", &format!("\"{ANY}\"")).replace("%s", ANY).replace("%d", "1").replace("%v", "1")
}
