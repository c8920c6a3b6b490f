//! The query of the overview: words, a state and a page.

use std::fmt::Write;
use std::time::SystemTime;

use super::elements::{self, HealthState};
use super::links::encoded;
use super::view::TargetView;
use crate::snapshot::BackendReport;
use crate::text::printable;

/// A query of the overview. Every query string is valid: unknown parameters and values are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::web) struct Query {
    /// Words that a target must all contain, separated by white space; printable and truncated.
    pub(super) words: String,
    /// Show targets in this state only.
    pub(super) state: Option<HealthState>,
    /// Counted from 0.
    pub(super) page: usize,
}

impl Query {
    pub(in crate::web) fn parse(raw: &str) -> Self {
        let mut query = Self::default();
        for (key, value) in form_urlencoded::parse(raw.as_bytes()) {
            match &*key {
                "q" => query.words = truncated(&value),
                "state" => query.state = elements::parse(&value),
                "page" => query.page = value.parse::<usize>().unwrap_or(1).clamp(1, MAX_PAGE) - 1,
                _ => {}
            }
        }
        query
    }

    /// The first page for the same words and another state.
    pub(super) fn with_state(&self, state: Option<HealthState>) -> Self {
        Self { words: self.words.clone(), state, page: 0 }
    }

    pub(super) fn with_page(&self, page: usize) -> Self {
        Self { page, ..self.clone() }
    }

    pub(super) fn link(&self, home: &str) -> String {
        let words = (!self.words.is_empty()).then(|| format!("q={}", encoded(&self.words)));
        let state = self.state.map(|state| format!("state={}", state.as_str()));
        let page = (self.page > 0).then(|| format!("page={}", self.page + 1));
        let pairs: Vec<String> = [words, state, page].into_iter().flatten().collect();
        if pairs.is_empty() { home.to_owned() } else { format!("{home}?{}", pairs.join("&")) }
    }

    /// Whether the target contains all words, ignoring case.
    pub(super) fn matches(&self, view: &TargetView<'_>) -> bool {
        let words = self.words.to_lowercase();
        let mut words = words.split_whitespace().peekable();
        if words.peek().is_none() {
            return true;
        }
        let text = searchable(view).to_lowercase();
        words.all(|word| text.contains(word))
    }
}

fn truncated(value: &str) -> String {
    printable(value.trim(), MAX_WORDS_CHARS).trim_end_matches('…').to_owned()
}

/// The text that words are searched in: names, labels, addresses, subjects, issuers and reasons.
fn searchable(view: &TargetView<'_>) -> String {
    let target = &view.report.target;
    let mut text = format!("{}\n{}\n", target.name, target.kind.as_str());
    for (key, value) in target.labels.iter() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key}={value}");
    }
    for failure in view.report.lookup.iter().flat_map(|lookup| &lookup.failures) {
        let _ = writeln!(text, "{} {}", failure.name, failure.reason);
    }
    for endpoint in &view.report.endpoints {
        let _ = writeln!(text, "{}:{}", endpoint.endpoint.server_name, endpoint.endpoint.port);
        if let Some(name) = &endpoint.found_as {
            let _ = writeln!(text, "{name}");
        }
        endpoint.backends.iter().for_each(|backend| add_backend(&mut text, backend, view.now));
    }
    for advice in view.advice.iter() {
        let _ = writeln!(text, "{}", advice.kind);
    }
    text
}

fn add_backend(text: &mut String, backend: &BackendReport, now: SystemTime) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}", backend.backend.socket_addr());
    if let Some(Err(failure)) = backend.probe.as_ref().map(|probe| &probe.outcome) {
        let _ = writeln!(text, "{} {}", failure.stage, failure.reason);
    }
    let Some(last) = &backend.last_certificate else { return };
    for reason in last.assessment.reasons(now).iter() {
        let _ = writeln!(text, "{reason}");
    }
    for (warning, _) in last.assessment.warnings(now).iter() {
        let _ = writeln!(text, "{warning}");
    }
    if let Some(facts) = last.assessment.facts() {
        let _ = writeln!(text, "{}\n{}", facts.subject(), facts.issuer());
    }
}

pub(super) const MAX_WORDS_CHARS: usize = 200;
const MAX_PAGE: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, words: &str, state: Option<HealthState>, page: usize, link: &str) {
        let query = Query::parse(raw);
        assert_eq!(query, Query { words: words.to_owned(), state, page }, "{raw}");
        assert_eq!(query.link("/"), link, "{raw}");
        let again = Query::parse(link.split_once('?').map_or("", |(_, raw)| raw));
        assert_eq!(again, query, "{raw}");
    }

    #[test]
    fn parses_any_query() {
        check("", "", None, 0, "/");
        check("q=&state=&page=", "", None, 0, "/");
        check(
            "q=relay&state=critical&page=3",
            "relay",
            Some(HealthState::Critical),
            2,
            "/?q=relay&state=critical&page=3",
        );
        check("q=a+b%20c&q=d", "d", None, 0, "/?q=d");
        check("q=+a%26b%3D%22c%3C+", "a&b=\"c<", None, 0, "/?q=a%26b%3D%22c%3C");
        check("state=CRITICAL&page=0&x=y", "", None, 0, "/");
        check("page=-1", "", None, 0, "/");
        check("page=99999999999999999999999", "", None, 0, "/");
        check("%zz&=&&q=%ff%1b%e2%80%ae", "\u{fffd}\u{fffd}\u{fffd}", None, 0, "/?q=%EF%BF%BD%EF%BF%BD%EF%BF%BD");
        let long = "x".repeat(201);
        let cut = "x".repeat(200);
        check(&format!("q={long}"), &cut, None, 0, &format!("/?q={cut}"));
    }
}
