//! The output of a monitoring plugin for Nagios, Icinga and others, by the Monitoring Plugins Development Guidelines: a
//! status line with performance data after `|`, then a line for each problem.
//!
//! Texts of servers contain neither `|`, which separates performance data, nor line feeds or other control characters.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use super::targets::{addresses, problems};
use crate::advice::{Advice, advise};
use crate::reason::{LookupReason, Severity};
use crate::snapshot::state::{HealthState, order, state_of, worst};
use crate::snapshot::{BackendReport, Fleet, TargetReport};
use crate::target::Backend;
use crate::text::{SECONDS_PER_DAY, counted, distance, group_by, grouped, list_within, plural, printable, utc};
use crate::verdict::unix;

#[cfg(test)]
mod tests;

/// The result of a check as a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginOutput {
    /// The worst state of all targets.
    pub state: HealthState,
    /// At most 4,000 bytes; the first line has the performance data.
    pub text: String,
}

/// The output for all targets of `fleet` at `now`. The check took `elapsed`, and would have ended after `limit`.
///
/// The state of a target is that of JSON and of the status page, with two differences. A certificate that expires soon has
/// the severity of the alert `SmtpTlsCertificateExpiring`. A target of which nothing is known because no name server
/// answered, or this host could not ask one, is unknown.
pub fn plugin_output(fleet: &Fleet, now: SystemTime, elapsed: Duration, limit: Duration) -> PluginOutput {
    let mut targets: Vec<TargetStatus<'_>> = fleet.targets.iter().map(|report| TargetStatus::of(report, now)).collect();
    let state = targets.iter().map(|target| target.state).max().unwrap_or(HealthState::Unknown);
    let data = performance_data(&targets, elapsed, limit);
    let local_errors: Vec<String> = fleet
        .exporter
        .local_errors
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(reason, _)| format!("{reason} on the checking host: {}", reason.doc()))
        .collect();
    targets.sort_by_cached_key(|target| order(target.report, target.state, now));
    let summary = line(&summary(&targets, &local_errors, state, now), MAX_SUMMARY);
    let mut text = format!("{} - {summary} | {data}\n", prefix(state));
    let lines = targets.iter().filter(|target| target.state != HealthState::Ok).flat_map(|target| target.lines(now));
    append(&mut text, lines.chain(local_errors.iter().map(|error| format!("- {error}"))));
    PluginOutput { state, text }
}

/// The output without performance data of a plugin that could not check anything. The first line of `message` is in the
/// status line.
pub fn plugin_status(state: HealthState, message: &str) -> String {
    let mut lines = message.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let mut text = format!("{} - {}\n", prefix(state), line(lines.next().unwrap_or("no message"), MAX_LINE));
    append(&mut text, lines.map(str::to_owned));
    text
}

fn prefix(state: HealthState) -> String {
    format!("SMTP TLS {}", state.as_str().to_ascii_uppercase())
}

/// Appends `lines` as long as they fit, then the number of the others.
fn append(text: &mut String, lines: impl Iterator<Item = String>) {
    let mut omitted = 0;
    for each in lines.map(|each| line(&each, MAX_LINE)) {
        if omitted > 0 || text.len() + each.len() > MAX_OUTPUT - MAX_OMITTED {
            omitted += 1;
        } else {
            text.push_str(&each);
            text.push('\n');
        }
    }
    if omitted > 0 {
        text.push_str(&format!("... {} omitted\n", counted(omitted, "line")));
    }
}

/// `text` as a part of a line: printable, without `|`, in at most `limit` bytes.
fn line(text: &str, limit: usize) -> String {
    let mut text = printable(text, limit).replace('|', "/");
    if text.len() > limit {
        let end = (0..=limit.saturating_sub(CUT.len())).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or_default());
        text.push_str(CUT);
    }
    text
}

/// A target and what its state is based on.
struct TargetStatus<'a> {
    report: &'a TargetReport,
    advice: Vec<Advice>,
    /// Of the backends currently in DNS.
    expiries: Vec<Expiry<'a>>,
    state: HealthState,
    /// Number of backends currently in DNS, and how many of them have problems or were not probed.
    backends: usize,
    failing: usize,
    not_probed: usize,
}

impl<'a> TargetStatus<'a> {
    fn of(report: &'a TargetReport, now: SystemTime) -> Self {
        let advice = advise(report, now);
        let expiries: Vec<_> = report.resolved().filter_map(|backend| Expiry::of(backend, now)).collect();
        let state = if is_lookup_impossible(report) {
            HealthState::Unknown
        } else {
            let state = worst(report, advice.iter().map(|each| each.severity), now);
            expiries.iter().map(|expiry| expiry.state).fold(state, HealthState::max)
        };
        let count = |is_counted: fn(HealthState) -> bool| {
            report.resolved().filter(|backend| is_counted(state_of(backend, now))).count()
        };
        Self {
            report,
            state,
            backends: report.resolved().count(),
            failing: count(|state| state > HealthState::Unknown),
            not_probed: count(|state| state == HealthState::Unknown),
            advice,
            expiries,
        }
    }

    fn name(&self) -> String {
        printable(self.report.target.name.as_str(), MAX_NAME)
    }

    /// Its problems in a few words each, without duplicates.
    fn causes(&self, now: SystemTime) -> Vec<String> {
        let words = problems::of(self.report, now).into_iter().map(|problem| {
            // A reason is followed by its meaning.
            let parts = if problem.finding.is_some() { 1 } else { 2 };
            problem.text.split(": ").take(parts).collect::<Vec<_>>().join(": ")
        });
        let expiry = self.expiring(now).min_by_key(|expiry| expiry.end);
        let mut causes: Vec<String> = words.chain(expiry.map(|expiry| expiry.phrase(now))).collect();
        if causes.is_empty() {
            causes.extend(self.severe_advice().map(|advice| advice.kind.as_str().replace('_', " ")));
        }
        let mut seen = HashSet::new();
        causes.retain(|cause| seen.insert(cause.clone()));
        causes
    }

    /// Its state, its problems with the backends that have them, and what to do.
    fn lines(&self, now: SystemTime) -> Vec<String> {
        let state = self.state.as_str().to_ascii_uppercase();
        let several = self.report.endpoints.len() > 1;
        let at = |backends: &[Backend]| match backends {
            [] => String::new(),
            some => format!(" ({})", addresses(some, self.backends, several)),
        };
        let problems = problems::of(self.report, now).into_iter();
        let problems = problems.map(|problem| format!("- {}{}", problem.text, at(&problem.backends)));
        // What the servers replied, or the error of the connection.
        let failed = self.report.resolved().filter_map(|backend| {
            let failure = backend.probe.as_ref()?.outcome.as_ref().err()?;
            (!failure.detail.is_empty()).then_some((&backend.backend, &*failure.detail))
        });
        let details = group_by(failed, |(_, detail)| detail).into_iter().map(|(detail, failed)| {
            let backends: Vec<Backend> = failed.into_iter().map(|(backend, _)| backend.clone()).collect();
            format!("- reason: {}{}", printable(detail, MAX_DETAIL), at(&backends))
        });
        let expiring = group_by(self.expiring(now), |expiry| expiry.end).into_iter().filter_map(|(end, expiries)| {
            let backends: Vec<Backend> = expiries.iter().map(|expiry| expiry.backend.clone()).collect();
            let phrase = expiries.first()?.phrase(now);
            Some(format!("- {phrase}, on {}{}", utc(end), at(&backends)))
        });
        let actions = self.severe_advice().map(|advice| format!("- action: {}", advice.text));
        let counts = counts(self.failing, self.not_probed, self.backends, "");
        let head = format!("{state} {}: {counts}", self.name());
        std::iter::once(head).chain(problems).chain(details).chain(expiring).chain(actions).collect()
    }

    /// The certificates that expire soon. One that has expired is a problem of its chain.
    fn expiring(&self, now: SystemTime) -> impl Iterator<Item = &Expiry<'a>> {
        self.expiries.iter().filter(move |expiry| expiry.state != HealthState::Ok && expiry.end > unix(now))
    }

    fn severe_advice(&self) -> impl Iterator<Item = &Advice> {
        self.advice.iter().filter(|advice| advice.severity != Severity::Info)
    }
}

/// Whether nothing is known about the target because no name server answered, or this host could not ask one.
fn is_lookup_impossible(report: &TargetReport) -> bool {
    let is_unanswered = |reason| matches!(reason, LookupReason::Unreachable | LookupReason::Timeout);
    report.resolved().next().is_none()
        && report.lookup.as_ref().is_none_or(|lookup| {
            !lookup.failures.is_empty() && lookup.failures.iter().all(|failure| is_unanswered(failure.reason))
        })
}

/// When the certificate of a backend expires, or the first certificate on its verified path if that is earlier.
#[derive(Clone, Copy)]
struct Expiry<'a> {
    backend: &'a Backend,
    /// Unix seconds.
    end: i64,
    /// In seconds from now.
    remaining: i64,
    /// The remaining seconds below which the state is warning and critical.
    warning: i64,
    critical: i64,
    state: HealthState,
}

impl<'a> Expiry<'a> {
    fn of(report: &'a BackendReport, now: SystemTime) -> Option<Self> {
        let assessment = &report.last_certificate.as_ref()?.assessment;
        let (facts, now) = (assessment.facts()?, unix(now));
        let path = assessment.chain.verdict().verified_not_after(now);
        let end = path.unwrap_or(facts.not_after).min(facts.not_after);
        let remaining = end.saturating_sub(now);
        let lifetime = facts.not_after.saturating_sub(facts.not_before).max(0);
        let warning = (21 * SECONDS_PER_DAY).min(lifetime / 4);
        let critical = (7 * SECONDS_PER_DAY).min(lifetime / 10);
        let state = match remaining {
            seconds if seconds < critical => HealthState::Critical,
            seconds if seconds < warning => HealthState::Warning,
            _ => HealthState::Ok,
        };
        Some(Self { backend: &report.backend, end, remaining, warning, critical, state })
    }

    fn phrase(&self, now: SystemTime) -> String {
        format!("certificate expires {}", distance(self.end, unix(now)))
    }

    /// As performance data: days, and the ranges outside of which they are a warning and critical.
    fn datum(&self, label: &str) -> String {
        let days = |seconds: i64| seconds as f64 / SECONDS_PER_DAY as f64;
        // Rounded down, so that 21 days less a minute are not 21.
        let remaining = (days(self.remaining) * 100.0).floor() / 100.0;
        format!("'{label}'={};{}:;{}:", decimal(remaining), decimal(days(self.warning)), decimal(days(self.critical)))
    }
}

/// The status in one sentence.
fn summary(targets: &[TargetStatus<'_>], local_errors: &[String], state: HealthState, now: SystemTime) -> String {
    let sum = |count: fn(&TargetStatus<'_>) -> usize| targets.iter().map(count).sum::<usize>();
    let backends = sum(|target| target.backends);
    let of = match targets {
        [only] => format!(" of {}", only.name()),
        all => format!(" of {}", counted(all.len(), "target")),
    };
    let head = counts(sum(|target| target.failing), sum(|target| target.not_probed), backends, &of);
    if state == HealthState::Ok {
        let first = targets.iter().flat_map(|target| &target.expiries).min_by_key(|expiry| expiry.end);
        return match first {
            Some(first) => format!("{head}, {}{}", plural(backends, "", "first "), first.phrase(now)),
            // RFC 7505 §3.
            None => format!("{head}: declared in DNS to accept no mail"),
        };
    }
    let causes = match targets {
        [only] if only.report.lookup.is_none() && only.backends == 0 => Vec::new(),
        [only] => only.causes(now),
        all => all.iter().filter(|target| target.state != HealthState::Ok).map(TargetStatus::name).collect(),
    };
    let local_errors = local_errors.iter().filter(|_| causes.is_empty()).cloned();
    let causes = list_within(causes.iter().cloned().chain(local_errors), MAX_CAUSES, MAX_SUMMARY / 2);
    let separator = if causes.is_empty() { "" } else { ": " };
    format!("{head}{separator}{causes}")
}

/// `2 of 3 backends failing, 1 not probed`, with `of` after the backends.
fn counts(failing: usize, not_probed: usize, backends: usize, of: &str) -> String {
    let all = counted(backends, "backend");
    match (failing, not_probed) {
        _ if backends == 0 => format!("no backends{of}"),
        (0, 0) => format!("{all}{of}"),
        (0, _) => format!("{} of {all}{of} not probed", grouped(not_probed)),
        (_, 0) => format!("{} of {all}{of} failing", grouped(failing)),
        _ => format!("{} of {all}{of} failing, {} not probed", grouped(failing), grouped(not_probed)),
    }
}

/// The days until the first certificate expires, the number of backends, the duration, and the days of each backend. The
/// latter are left out if there are too many, so that a series is complete or absent.
fn performance_data(targets: &[TargetStatus<'_>], elapsed: Duration, limit: Duration) -> String {
    let expiries = || targets.iter().flat_map(|target| &target.expiries);
    let sum = |count: fn(&TargetStatus<'_>) -> usize| targets.iter().map(count).sum::<usize>();
    let (backends, failing) = (sum(|target| target.backends), sum(|target| target.failing));
    let first = expiries().min_by_key(|expiry| expiry.end).map(|first| first.datum("days_until_expiry"));
    let mut data: Vec<String> = first.into_iter().collect();
    data.push(format!("'backends'={backends};;;0"));
    data.push(format!("'failing_backends'={failing};;;0;{backends}"));
    data.push(format!("'time'={:.3}s;;;0;{}", elapsed.as_secs_f64(), decimal(limit.as_secs_f64())));
    let mut labels = HashSet::new();
    let each = expiries().filter_map(|expiry| {
        let label = label(expiry.backend);
        let datum = expiry.datum(&label);
        labels.insert(label).then_some(datum)
    });
    let each: Vec<String> = each.collect();
    if each.iter().map(|datum| datum.len() + 1).sum::<usize>() <= MAX_BACKEND_DATA {
        data.extend(each);
    }
    data.join(" ")
}

/// The address comes first: RRDtool distinguishes 19 characters. Icinga reads `::` as a separator of check_multi.
fn label(backend: &Backend) -> String {
    let label = format!("{} {}", backend.socket_addr(), backend.endpoint.server_name);
    let is_allowed = |c: &char| c.is_ascii_graphic() && !matches!(c, '\'' | '=' | '|') || *c == ' ';
    label.replace("::", ":0:").chars().map(|c| if is_allowed(&c) { c } else { '_' }).collect()
}

/// With at most two decimals.
fn decimal(number: f64) -> String {
    let text = format!("{number:.2}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".to_owned(),
        text => text.to_owned(),
    }
}

/// Nagios 3 reads 4 KiB.
const MAX_OUTPUT: usize = 4000;
/// For the number of lines that are left out.
const MAX_OMITTED: usize = 40;
const MAX_LINE: usize = 500;
const MAX_SUMMARY: usize = 240;
/// Of the data of all backends.
const MAX_BACKEND_DATA: usize = 1600;
const MAX_CAUSES: usize = 3;
/// Characters of the name of a target.
const MAX_NAME: usize = 80;
/// Characters of what a server replied.
const MAX_DETAIL: usize = 200;
const CUT: &str = "…";
