//! Targets for people and tickets: a table of each one's backends, what is wrong, what to do about it, and at the end the
//! words that others have for it. Without colours it says the same.

use std::sync::Arc;
use std::time::SystemTime;

use self::grid::{Cell, Grid};
use self::problems::{What, Wrong};
use super::moment::days;
use super::style::{Style, Tone};
use super::table::{counted, words};
use super::wrap::hanging_in;
use crate::advice::{Advice, advise};
use crate::client_errors::ClientErrors;
use crate::reason::Severity;
use crate::snapshot::state::{State, is_ok, of_backend};
use crate::snapshot::{BackendReport, EndpointReport, TargetReport};
use crate::target::{Backend, TargetKind, TlsMode};
use crate::text::printable;
use crate::verdict::{Facts, unix};

mod certificates;
mod grid;
#[cfg(test)]
mod tests;
mod problems;

/// All of `reports` in their order.
pub(super) fn write(reports: &[Arc<TargetReport>], now: SystemTime, style: &Style) -> String {
    let mut page = Page { out: String::new(), now, style: *style, said: Vec::new() };
    for report in reports {
        page.target(report);
    }
    page.others();
    page.summary(reports);
    page.out
}

struct Page {
    out: String,
    now: SystemTime,
    style: Style,
    /// Words for what is wrong, and what clients say of it.
    said: Vec<(&'static str, ClientErrors)>,
}

impl Page {
    fn target(&mut self, report: &TargetReport) {
        let advice = advise(report, self.now);
        self.heading(report);
        self.backends(report);
        self.wrong(report);
        self.advice(&advice);
        if self.style.certificates {
            certificates::write(&mut self.out, report, self.now, self.style.columns());
        }
        if !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn heading(&mut self, report: &TargetReport) {
        let name = printable(report.target.name.as_str(), MAX_NAME);
        let all = report.resolved().count();
        let bad = report.resolved().filter(|backend| of_backend(backend, self.now) != State::Ok).count();
        let (tone, status) = if report.last_round.is_none() {
            (Tone::Doubtful, "NOT FINISHED in time".to_owned())
        } else if bad > 0 {
            (Tone::Bad, format!("NOT WELL: {bad} of {}", counted(all, "backend")))
        } else if !is_ok(report, self.now) {
            (Tone::Bad, "NOT WELL".to_owned())
        } else if all == 0 {
            (Tone::Good, "ok: takes no mail, as its records say".to_owned())
        } else {
            (Tone::Good, format!("ok: {}", counted(all, "backend")))
        };
        let line = format!("{}  {}\n", self.style.paint(Tone::Title, &name), self.style.paint(tone, &status));
        self.out.push_str(&line);
    }

    fn backends(&mut self, report: &TargetReport) {
        let wide = self.style.columns() >= WIDE;
        let head: &[&str] = if wide { &HEAD } else { HEAD.get(..HEAD.len() - 1).unwrap_or(&HEAD) };
        let rows: Vec<Vec<Vec<Cell>>> = report
            .endpoints
            .iter()
            .map(|endpoint| endpoint.backends.iter().map(|backend| row(backend, self.now, wide)).collect())
            .collect();
        let (lengths, flat): (Vec<usize>, Vec<Vec<Cell>>) =
            (rows.iter().map(Vec::len).collect(), rows.into_iter().flatten().collect());
        let grid = Grid::of(head, if wide { 2 } else { 1 }, &flat, self.style.columns());
        let mut flat = flat.iter();
        for (endpoint, length) in report.endpoints.iter().zip(lengths) {
            if needs_a_title(report) {
                self.endpoint(endpoint);
            }
            if length > 0 {
                grid.head(&mut self.out, &self.style);
            }
            for (backend, cells) in endpoint.backends.iter().zip(flat.by_ref()) {
                grid.row(&mut self.out, cells, &self.style);
                self.details(backend, wide);
            }
            for (reason, count) in &endpoint.skipped {
                let what = format!("{} not probed: {}", counted_addresses(*count), reason.doc());
                self.hang("    note    ", &what);
            }
        }
    }

    fn endpoint(&mut self, report: &EndpointReport) {
        let endpoint = &report.endpoint;
        let tls = match endpoint.tls {
            TlsMode::StartTls => "STARTTLS",
            TlsMode::Implicit => "TLS at once",
        };
        let preference = report.preference.map(|preference| format!(", preference {preference}")).unwrap_or_default();
        let line = format!("{}, port {}, {tls}{preference}", endpoint.server_name, endpoint.port);
        self.hang("  ", &line);
    }

    /// What has no room in the row.
    fn details(&mut self, report: &BackendReport, wide: bool) {
        if let Some(Err(failure)) = report.probe.as_ref().map(|probe| &probe.outcome) {
            let detail = printable(&failure.detail, MAX_DETAIL);
            let between = if detail.is_empty() { "" } else { ": " };
            self.hang("    reason  ", &format!("{}{between}{detail}", failure.reason));
        }
        if !report.resolved {
            self.hang("    note    ", "DNS names it no longer");
        }
        if !wide && let Some(facts) = facts(report) {
            let room = self.style.columns().saturating_sub(DETAIL);
            self.hang("    names   ", &names(facts, NARROW_LINES * room));
        }
    }

    fn wrong(&mut self, report: &TargetReport) {
        let wrong = problems::of(report, self.now);
        if wrong.is_empty() {
            return;
        }
        let (all, several) = (report.resolved().count(), needs_server_names(report));
        self.title("  WHAT IS WRONG");
        for Wrong { what, backends } in wrong {
            // A target that is not finished is told as such.
            if what == What::NotProbed && report.last_round.is_none() {
                self.hang("  - ", "not finished: no answer yet when the time was over");
            } else {
                self.hang("  - ", &what.text());
            }
            if !backends.is_empty() {
                self.hang("    at ", &places(&backends, all, several));
            }
            if let Some((word, client_errors)) = what.client_errors() {
                self.say(word, client_errors);
            }
        }
    }

    fn advice(&mut self, advice: &[Advice]) {
        if advice.is_empty() {
            return;
        }
        self.title("  WHAT TO DO");
        for Advice { kind, severity, text, request, clients, .. } in advice {
            let (word, tone) = match severity {
                Severity::Critical => ("[critical] ", Tone::Bad),
                Severity::Warning => ("[warning] ", Tone::Doubtful),
                Severity::Info => ("", Tone::Plain),
            };
            let start = self.out.len();
            self.hang("  - ", &format!("{word}{text}"));
            let painted = self.style.paint(tone, word.trim_end());
            // Painted once the words have their places.
            let lines = self.out.split_off(start);
            self.out.push_str(&lines.replacen(word.trim_end(), &painted, usize::from(!word.is_empty())));
            if let Some(request) = request {
                self.out.push_str("    Text to send:\n\n");
                for line in request.lines() {
                    let line = format!("      {}", printable(line, MAX_LINE));
                    self.out.push_str(line.trim_end());
                    self.out.push('\n');
                }
                self.out.push('\n');
            }
            if let Some(clients) = clients {
                self.say(kind.as_str(), *clients);
            }
        }
    }

    fn say(&mut self, word: &'static str, client_errors: ClientErrors) {
        if !self.said.iter().any(|(known, said)| *known == word || *said == client_errors) {
            self.said.push((word, client_errors));
        }
    }

    fn others(&mut self) {
        if self.said.is_empty() {
            return;
        }
        self.title("WHAT OTHERS SAY");
        for (word, client_errors) in std::mem::take(&mut self.said) {
            self.hang("  ", word);
            words(&mut self.out, self.style.columns(), &client_errors);
        }
        self.out.push('\n');
    }

    fn summary(&mut self, reports: &[Arc<TargetReport>]) {
        let not_ok = |report: &TargetReport| {
            report.resolved().filter(|backend| of_backend(backend, self.now) != State::Ok).count()
        };
        let finished = || reports.iter().filter(|report| report.last_round.is_some());
        let backends: usize = reports.iter().map(|report| report.resolved().count()).sum();
        let bad: usize = finished().map(|report| not_ok(report)).sum();
        let with_bad = finished().filter(|report| not_ok(report) > 0).count();
        let others = finished().filter(|report| not_ok(report) == 0 && !is_ok(report, self.now)).count();
        let unfinished = reports.len() - finished().count();
        let mut parts = Vec::new();
        if bad > 0 {
            let is = if bad == 1 { "is" } else { "are" };
            parts.push(format!("{} of {} {is} not well", counted(bad, "backend"), counted(with_bad, "target")));
        }
        if others > 0 {
            let more = if bad > 0 { " otherwise" } else { "" };
            parts.push(format!("{} not well{more}", are(others, "target")));
        }
        if unfinished > 0 {
            parts.push(format!("{} not finished in time", are(unfinished, "target")));
        }
        let tone = if parts.is_empty() { Tone::Good } else { Tone::Bad };
        let found = if parts.is_empty() { "all is well".to_owned() } else { parts.join("; ") };
        let all = format!("{}, {}: ", counted(reports.len(), "target"), counted(backends, "backend"));
        let start = self.out.len();
        self.hang("", &format!("{all}{found}."));
        let lines = self.out.split_off(start);
        self.out.push_str(&self.style.paint(tone, lines.trim_end()));
        self.out.push('\n');
    }

    fn title(&mut self, text: &str) {
        if !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
        let words = text.trim_start();
        self.out.push_str(text.strip_suffix(words).unwrap_or_default());
        let painted = self.style.paint(Tone::Title, words);
        self.out.push_str(&painted);
        self.out.push('\n');
    }

    fn hang(&mut self, lead: &str, text: &str) {
        hanging_in(&mut self.out, self.style.columns(), lead, text);
    }
}

fn row(report: &BackendReport, now: SystemTime, wide: bool) -> Vec<Cell> {
    let last = report.last_certificate.as_ref().map(|last| &last.assessment);
    let (tls, tone) = match report.probe.as_ref().map(|probe| &probe.outcome) {
        None => ("not probed".to_owned(), Tone::Doubtful),
        Some(Ok(connection)) => (connection.version.to_owned(), Tone::Good),
        Some(Err(failure)) => (format!("FAILS {}", failure.stage), Tone::Bad),
    };
    let name = last.map(|_| report.name_matches());
    let chain = last.map(|last| match (last.reasons(now).is_empty(), last.valid(now)) {
        (false, _) => Some(false),
        (true, valid) => valid,
    });
    let facts = facts(report);
    let left = facts.map(|facts| days(unix(now), facts.not_after).trunc());
    let days_tone = match left {
        Some(left) if left < 0.0 => Tone::Bad,
        _ => Tone::Plain,
    };
    let mut cells = vec![
        Cell::new(report.backend.socket_addr().to_string(), Tone::Plain),
        Cell::new(tls, tone),
        verdict(name),
        verdict(chain),
        Cell::number(left.map_or_else(|| "-".to_owned(), |left| format!("{}", left + 0.0)), days_tone),
        Cell::new(facts.map_or("-", |facts| or_none(facts.issuer())), Tone::Plain),
    ];
    if wide {
        let names = facts.map_or_else(|| "-".to_owned(), |facts| names(facts, WIDE_NAMES));
        cells.push(Cell::new(names, Tone::Plain));
    }
    cells
}

/// A verdict of a certificate, where there is one.
fn verdict(of: Option<Option<bool>>) -> Cell {
    match of {
        None => Cell::new("-", Tone::Plain),
        Some(None) => Cell::new("?", Tone::Doubtful),
        Some(Some(true)) => Cell::new("ok", Tone::Good),
        Some(Some(false)) => Cell::new("NO", Tone::Bad),
    }
}

fn facts(report: &BackendReport) -> Option<&Facts> {
    report.last_certificate.as_ref()?.assessment.leaf()?.facts()
}

/// The presented names in about `room` characters, one at least, and how many there are beyond.
fn names(facts: &Facts, room: usize) -> String {
    let all = facts.names().count();
    let mut shown = String::new();
    let mut count = 0;
    for name in facts.names() {
        let name = printable(&name.to_string(), MAX_NAME);
        let length = shown.chars().count() + name.chars().count();
        if count > 0 && length + ROOM_FOR_MORE > room {
            break;
        }
        if count > 0 {
            shown.push_str(", ");
        }
        shown.push_str(&name);
        count += 1;
    }
    match (all, all - count) {
        (0, _) => match facts.common_names().next() {
            Some(name) => format!("none (common name {})", printable(name, MAX_NAME)),
            None => "none".to_owned(),
        },
        (_, 0) => shown,
        (_, more) => format!("{shown} and {more} more"),
    }
}

/// Whether the name of the target leaves open what is behind it.
fn needs_a_title(report: &TargetReport) -> bool {
    let default = report.target.kind.default_name().as_ref() == Some(&report.target.name);
    match &report.target.kind {
        TargetKind::Host(host) => !default || host.endpoint.server_name != host.host,
        TargetKind::Mx(_) | TargetKind::Submission(_) => true,
    }
}

/// Whether an address may stand behind several names.
fn needs_server_names(report: &TargetReport) -> bool {
    report.endpoints.len() > 1
}

/// Backends in words; `all` is how many there are.
fn places(backends: &[Backend], all: usize, with_names: bool) -> String {
    if backends.len() == all && all > 1 {
        return format!("all {all} backends");
    }
    let place = |backend: &Backend| match with_names {
        true => format!("{} ({})", backend.socket_addr(), backend.endpoint.server_name),
        false => backend.socket_addr().to_string(),
    };
    let shown: Vec<String> = backends.iter().take(MAX_PLACES).map(place).collect();
    match backends.len().saturating_sub(MAX_PLACES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

fn counted_addresses(count: usize) -> String {
    if count == 1 { "1 address is".to_owned() } else { format!("{count} addresses are") }
}

fn are(count: usize, what: &str) -> String {
    format!("{} {}", counted(count, what), if count == 1 { "is" } else { "are" })
}

const HEAD: [&str; 7] = ["backend", "TLS", "name", "chain", "days", "issuer", "names"];
/// From so many columns on, names have a column of their own.
const WIDE: usize = 110;
/// Characters of names there.
const WIDE_NAMES: usize = 160;
/// Lines of names below a row where they have none.
const NARROW_LINES: usize = 2;
/// Where details begin.
const DETAIL: usize = 12;
const ROOM_FOR_MORE: usize = " and 9999 more".len();
const MAX_NAME: usize = 253;
const MAX_DETAIL: usize = 200;
const MAX_LINE: usize = 1000;
/// Backends that are listed for one thing.
const MAX_PLACES: usize = 16;
