//! Targets for people: a table of the backends of each target, its problems and the advice, and at the end the errors of
//! clients.

use std::sync::Arc;
use std::time::SystemTime;

use self::grid::{Cell, Grid};
use self::problems::TargetProblem;
use super::page::Page;
use super::style::{Highlight, Style};
use crate::advice::{Advice, advise};
use crate::client_errors::{ClientErrors, Finding};
use crate::observation::MAX_DETAIL;
use crate::reason::Severity;
use crate::snapshot::state::{HealthState, is_ok, order, state_of, worst};
use crate::snapshot::{BackendReport, TargetReport};
use crate::target::{Backend, Endpoint, TargetKind};
use crate::text::{counted, days, group_by, grouped, list, list_within, or_none, plural, printable};
use crate::verdict::near_miss::described_names;
use crate::verdict::{Certificate, Facts, unix};

mod grid;
pub(super) mod problems;
#[cfg(test)]
mod tests;

/// Targets as a table: the backends of each one, its problems and the advice on it. Those of which only some backends are
/// wrong come first, then those with the worst state, as on the page.
pub fn targets_table(reports: &[Arc<TargetReport>], now: SystemTime, style: &Style) -> String {
    let page = Page { text: String::new(), style: *style };
    let mut table = TargetTable { page, now, client_errors: Vec::new() };
    let mut ordered: Vec<(&TargetReport, Vec<Advice>)> =
        reports.iter().map(|report| (&**report, advise(report, now))).collect();
    ordered.sort_by_cached_key(|(report, advice)| {
        order(report, worst(report, advice.iter().map(|each| each.severity), now), now)
    });
    for (report, advice) in ordered {
        table.target(report, &advice);
    }
    if !table.client_errors.is_empty() {
        table.page.client_errors(&table.client_errors);
        table.page.paragraph();
    }
    table.summary(reports);
    table.page.text
}

struct TargetTable {
    page: Page,
    now: SystemTime,
    /// By reason or advice word, without duplicates.
    client_errors: Vec<(&'static str, ClientErrors)>,
}

impl TargetTable {
    fn target(&mut self, report: &TargetReport, advice: &[Advice]) {
        self.heading(report);
        self.backends(report);
        self.problems(report);
        self.advice(advice);
        if self.page.style.certificates {
            self.certificates(report);
        }
        self.page.paragraph();
    }

    fn heading(&mut self, report: &TargetReport) {
        let name = printable(report.target.name.as_str(), MAX_NAME);
        let all = report.resolved().count();
        let failing = self.failing(report);
        let (highlight, status) = if report.last_round.is_none() {
            (Highlight::Warning, "UNKNOWN: not finished in time".to_owned())
        } else if failing > 0 {
            (Highlight::Error, format!("FAILING: {} of {}", grouped(failing), counted(all, "backend")))
        } else if !is_ok(report, self.now) {
            (Highlight::Error, "FAILING".to_owned())
        } else if all == 0 {
            (Highlight::Ok, "OK: declares in DNS that it accepts no mail".to_owned())
        } else {
            (Highlight::Ok, format!("OK: {}", counted(all, "backend")))
        };
        let style = self.page.style;
        self.page.line(&format!("{}  {}", style.paint(Highlight::Heading, &name), style.paint(highlight, &status)));
    }

    /// The number of resolved backends that are not ok.
    fn failing(&self, report: &TargetReport) -> usize {
        report.resolved().filter(|backend| state_of(backend, self.now) != HealthState::Ok).count()
    }

    fn backends(&mut self, report: &TargetReport) {
        let columns = self.page.style.columns();
        let wide = columns >= WIDE;
        let head: &[&str] = if wide { &HEAD } else { HEAD.get(..HEAD.len() - 1).unwrap_or(&HEAD) };
        let rows = |backends: &[Arc<BackendReport>]| backends.iter().map(|each| row(each, self.now, wide)).collect();
        let rows: Vec<Vec<Vec<Cell>>> = report.endpoints.iter().map(|endpoint| rows(&endpoint.backends)).collect();
        let grid = Grid::of(head, if wide { 2 } else { 1 }, rows.iter().flatten(), columns);
        for (endpoint, rows) in report.endpoints.iter().zip(&rows) {
            if needs_endpoint_lines(report) {
                self.endpoint(&endpoint.endpoint, endpoint.preference);
            }
            if let Some(name) = &endpoint.found_as {
                self.page.hang("    note    ", &format!("found in DNS as {name}, by the search list of this host"));
            }
            if !rows.is_empty() {
                grid.head(&mut self.page);
            }
            for (backend, cells) in endpoint.backends.iter().zip(rows) {
                grid.row(&mut self.page, cells);
                self.details(backend, wide);
            }
            // The others are problems.
            for (reason, count) in endpoint.skipped.iter().filter(|(reason, _)| !reason.is_not_allowed()) {
                let addresses = plural(*count, "address", "addresses");
                let text = format!("{} {addresses} not probed: {}", grouped(*count), reason.doc());
                self.page.hang("    note    ", &text);
            }
        }
    }

    fn endpoint(&mut self, endpoint: &Endpoint, preference: Option<u16>) {
        let tls = endpoint.tls.title();
        let preference = preference.map(|preference| format!(", preference {preference}")).unwrap_or_default();
        self.page.hang("  ", &format!("{}, port {}, {tls}{preference}", endpoint.server_name, endpoint.port));
    }

    /// The lines below a row.
    fn details(&mut self, report: &BackendReport, wide: bool) {
        if let Some(Err(failure)) = report.probe.as_ref().map(|probe| &probe.outcome) {
            let detail = printable(&failure.detail, MAX_DETAIL);
            let separator = if detail.is_empty() { "" } else { ": " };
            self.page.hang("    reason  ", &format!("{}{separator}{detail}", failure.reason));
        }
        if !report.resolved {
            self.page.hang("    note    ", "no longer in DNS");
        }
        if !wide && let Some(facts) = facts(report) {
            let columns = self.page.style.columns().saturating_sub(DETAIL);
            self.page.hang("    names   ", &names(&report.backend, facts, NARROW_LINES * columns));
        }
    }

    fn problems(&mut self, report: &TargetReport) {
        let problems = problems::of(report, self.now);
        if problems.is_empty() {
            return;
        }
        let (all, several) = (report.resolved().count(), report.endpoints.len() > 1);
        self.page.title("  ", "PROBLEMS");
        for TargetProblem { text, finding, backends } in problems {
            self.page.hang("  - ", &text);
            if !backends.is_empty() {
                self.page.hang("    at ", &addresses(&backends, all, several));
            }
            if let Some(Finding { reason, client_errors: Some(errors), .. }) = finding {
                self.add_client_errors(reason, errors);
            }
        }
    }

    fn advice(&mut self, advice: &[Advice]) {
        if advice.is_empty() {
            return;
        }
        self.page.title("  ", "ACTIONS");
        for Advice { kind, severity, text, request, clients, .. } in advice {
            let (word, highlight) = match severity {
                Severity::Critical => ("[critical]", Highlight::Error),
                Severity::Warning => ("[warning]", Highlight::Warning),
                Severity::Info => ("", Highlight::None),
            };
            self.page.hang_painted("  - ", &format!("{word} {text}"), |lines, style| {
                lines.replacen(word, &style.paint(highlight, word), 1)
            });
            if let Some(request) = request {
                self.page.title("    ", "REQUEST TO SEND");
                self.page.paragraph();
                request.lines().for_each(|line| self.page.line(&format!("      {}", printable(line, MAX_LINE))));
                self.page.paragraph();
            }
            if let Some(errors) = clients {
                self.add_client_errors(kind.as_str(), *errors);
            }
        }
    }

    fn add_client_errors(&mut self, word: &'static str, errors: ClientErrors) {
        if !self.client_errors.iter().any(|(known, known_errors)| *known == word || *known_errors == errors) {
            self.client_errors.push((word, errors));
        }
    }

    /// Every certificate that the backends presented. Equal chains are printed once.
    fn certificates(&mut self, report: &TargetReport) {
        let presented = report.backends().filter_map(|backend| {
            let chain = backend.last_certificate.as_ref()?.assessment.chain.certificates();
            Some((&backend.backend, chain))
        });
        let fingerprints =
            |(_, chain): (_, &[Arc<Certificate>])| -> Vec<_> { chain.iter().map(|each| each.fingerprint()).collect() };
        for (_, same) in group_by(presented, fingerprints) {
            let addresses: Vec<String> = same.iter().map(|(backend, _)| backend.socket_addr().to_string()).collect();
            self.page.line("");
            self.page.hang("  CERTIFICATES of ", &addresses.join(", "));
            for (index, each) in same.first().iter().flat_map(|(_, chain)| *chain).enumerate() {
                let note = if index == 0 { "server certificate" } else { "" };
                self.page.hang(&format!("  {}  ", index + 1), note);
                self.page.certificate(each, unix(self.now));
            }
        }
    }

    fn summary(&mut self, reports: &[Arc<TargetReport>]) {
        let finished = || reports.iter().filter(|report| report.last_round.is_some());
        let backends: usize = reports.iter().map(|report| report.resolved().count()).sum();
        let failing_backends: usize = finished().map(|report| self.failing(report)).sum();
        let with_failing = finished().filter(|report| self.failing(report) > 0).count();
        let otherwise = finished().filter(|report| self.failing(report) == 0 && !is_ok(report, self.now)).count();
        let unfinished = reports.len() - finished().count();
        let mut parts = Vec::new();
        if failing_backends > 0 {
            let of = if reports.len() > 1 { format!(" in {}", counted(with_failing, "target")) } else { String::new() };
            parts.push(format!("{} failing{of}", counted(failing_backends, "backend")));
        }
        if otherwise > 0 {
            let other = if failing_backends > 0 { "other target" } else { "target" };
            parts.push(format!("{} failing", counted(otherwise, other)));
        }
        if unfinished > 0 {
            parts.push(format!("{} not finished in time", counted(unfinished, "target")));
        }
        let (highlight, result) = match parts.is_empty() {
            true => (Highlight::Ok, "everything ok".to_owned()),
            false => (Highlight::Error, parts.join(", ")),
        };
        let text = format!("{}, {}: {result}", counted(reports.len(), "target"), counted(backends, "backend"));
        self.page.hang_painted("", &text, |lines, style| style.paint(highlight, lines));
    }
}

fn row(report: &BackendReport, now: SystemTime, wide: bool) -> Vec<Cell> {
    let last = report.last_certificate.as_ref().map(|last| &last.assessment);
    let (tls, highlight) = match report.probe.as_ref().map(|probe| &probe.outcome) {
        None => ("not probed".to_owned(), Highlight::Warning),
        Some(Ok(connection)) => (connection.version.to_owned(), Highlight::Ok),
        Some(Err(failure)) => (format!("FAILED {}", failure.stage), Highlight::Error),
    };
    let name = last.map(|_| report.name_matches());
    let chain = last.map(|last| match (last.reasons(now).is_empty(), last.valid(now)) {
        (false, _) => Some(false),
        (true, valid) => valid,
    });
    let facts = facts(report);
    let left = facts.map(|facts| days(unix(now), facts.not_after).trunc());
    let days_highlight = match left {
        Some(left) if left < 0.0 => Highlight::Error,
        _ => Highlight::None,
    };
    let mut cells = vec![
        Cell::new(report.backend.socket_addr().to_string(), Highlight::None),
        Cell::new(tls, highlight),
        verdict(name),
        verdict(chain),
        Cell::number(left.map_or_else(|| "-".to_owned(), |left| format!("{}", left + 0.0)), days_highlight),
        Cell::new(facts.map_or("-", |facts| or_none(facts.issuer())), Highlight::None),
    ];
    if wide {
        let names = facts.map_or_else(|| "-".to_owned(), |facts| names(&report.backend, facts, WIDE_NAMES));
        cells.push(Cell::new(names, Highlight::None));
    }
    cells
}

/// The cell of a verdict; `-` without a certificate, `?` if the verdict is unknown.
fn verdict(verdict: Option<Option<bool>>) -> Cell {
    match verdict {
        None => Cell::new("-", Highlight::None),
        Some(None) => Cell::new("?", Highlight::Warning),
        Some(Some(true)) => Cell::new("ok", Highlight::Ok),
        Some(Some(false)) => Cell::new("NO", Highlight::Error),
    }
}

fn facts(report: &BackendReport) -> Option<&Facts> {
    report.last_certificate.as_ref()?.assessment.leaf()?.facts()
}

/// The names that the backend presented, those that look like the server name first, in at most `limit` characters.
fn names(backend: &Backend, facts: &Facts, limit: usize) -> String {
    let names = described_names(&backend.endpoint.server_name, facts, MAX_NAME);
    let names = list_within(names, usize::MAX, limit.min(MAX_NAMES));
    match facts.common_names().next() {
        _ if !names.is_empty() => names,
        Some(name) => format!("none (common name {})", printable(name, MAX_NAME)),
        None => "none".to_owned(),
    }
}

/// Whether the target's name does not say which host and port its endpoints have.
fn needs_endpoint_lines(report: &TargetReport) -> bool {
    let default = report.target.kind.default_name().as_ref() == Some(&report.target.name);
    match &report.target.kind {
        TargetKind::Host(host) => !default || host.endpoint.server_name != host.host,
        TargetKind::Mx(_) | TargetKind::Submission(_) => true,
    }
}

/// The addresses of `backends`, of `all` backends, with their server names if the target has several.
pub(super) fn addresses(backends: &[Backend], all: usize, with_names: bool) -> String {
    if backends.len() == all && all > 1 {
        return format!("all {}", counted(all, "backend"));
    }
    let address = |backend: &Backend| match with_names {
        true => format!("{} ({})", backend.socket_addr(), backend.endpoint.server_name),
        false => backend.socket_addr().to_string(),
    };
    list(backends.iter().map(address), MAX_ADDRESSES)
}

const HEAD: [&str; 7] = ["backend", "TLS", "name", "chain", "days", "issuer", "names"];
/// From this width on, names have their own column.
const WIDE: usize = 110;
/// Characters of names in that column.
const WIDE_NAMES: usize = 160;
/// Lines of names below a row otherwise.
const NARROW_LINES: usize = 2;
/// Indentation of the details below a row.
const DETAIL: usize = 12;
const MAX_NAME: usize = 253;
/// Characters of names at any width.
const MAX_NAMES: usize = 200;
const MAX_LINE: usize = 1000;
/// Backends listed per problem.
const MAX_ADDRESSES: usize = 16;
