//! A backend in one row: its verdicts, each with a sign and words, so that no colour is needed to read them.

use std::time::SystemTime;

use maud::{Markup, html};

use super::state::{State, symbol};
use super::text::{listed, shown, spaced, unique};
use super::times::{ago, distance};
use super::view::TargetView;
use crate::reason::AdviceKind;
use crate::snapshot::{BackendReport, LastCertificate};
use crate::verdict::{NameVerdict, unix};

/// The row of a backend; `link` leads to more about it.
pub(super) fn row(view: &TargetView<'_>, backend: &BackendReport, link: &str, now: SystemTime) -> Markup {
    html! {
        li class={ "backend " (view.state_of(backend, now).as_str()) } {
            a class="address" href=(link) { (backend.backend.socket_addr()) }
            span class="verdicts" { (verdicts(view, backend, now)) }
        }
    }
}

/// The verdicts alone.
pub(super) fn verdicts(view: &TargetView<'_>, backend: &BackendReport, now: SystemTime) -> Markup {
    let Some(last) = &backend.last_certificate else {
        return html! { (connection(backend)) };
    };
    html! {
        (connection(backend))
        (name(last))
        (chain(last, now))
        (end(view, backend, last, now))
        @for warning in warnings(last, now) { (warning.markup()) }
        @if last.distinct > 1 { span class="note" { (last.distinct) " certificates seen here" } }
        @if backend.probe.as_ref().is_some_and(|probe| probe.rate_limited) { span class="note" { "limits connections" } }
        @if !backend.is_reachable() { span class="note" { "certificate last seen " (ago(last.seen_at, now)) } }
    }
}

/// A symbol, the state that colours it, and words.
struct VerdictLabel {
    state: State,
    text: String,
}

impl VerdictLabel {
    fn markup(&self) -> Markup {
        html! {
            span class={ "verdict " (self.state.as_str()) } {
                span class="sign" aria-hidden="true" { (symbol(self.state)) } " " (self.text)
            }
        }
    }
}

fn verdict(state: State, text: impl Into<String>) -> VerdictLabel {
    VerdictLabel { state, text: text.into() }
}

fn connection(backend: &BackendReport) -> Markup {
    let found = match backend.probe.as_ref().map(|probe| &probe.outcome) {
        None => verdict(State::Unknown, "not probed yet"),
        Some(Ok(connection)) => verdict(State::Ok, connection.version),
        Some(Err(failure)) => {
            verdict(State::Critical, format!("fails in {}: {}", failure.stage, spaced(failure.reason.as_str())))
        }
    };
    found.markup()
}

fn name(last: &LastCertificate) -> Markup {
    let found = match last.assessment.name {
        None => verdict(State::Unknown, "name unknown"),
        Some(NameVerdict::Match) => verdict(State::Ok, "name ok"),
        Some(NameVerdict::Mismatch(_)) => verdict(State::Critical, format!("NAME MISSING, lists {}", presented(last))),
    };
    found.markup()
}

fn chain(last: &LastCertificate, now: SystemTime) -> Markup {
    let reasons = last.assessment.reasons(now);
    let found = if !reasons.is_empty() {
        let words = unique(reasons.iter().map(|reason| reason.as_str()));
        verdict(State::Critical, format!("CHAIN: {words}"))
    } else if last.assessment.valid(now) == Some(true) {
        verdict(State::Ok, "chain ok")
    } else {
        verdict(State::Unknown, "chain unknown")
    };
    found.markup()
}

/// When the certificate ends; where it has, the verdict on the chain says so as well.
fn end(view: &TargetView<'_>, backend: &BackendReport, last: &LastCertificate, now: SystemTime) -> Markup {
    let Some(facts) = last.assessment.leaf().and_then(|leaf| leaf.facts()) else { return html! {} };
    let (from, end, now) = (facts.not_before, facts.not_after, unix(now));
    let text = match (now < from, end < now) {
        (true, _) => format!("begins {}", distance(from, now)),
        (_, true) => format!("expired {}", distance(end, now)),
        _ => format!("expires {}", distance(end, now)),
    };
    if view.advises(AdviceKind::ExpiresSoon, &backend.backend) {
        return verdict(State::Warning, text).markup();
    }
    html! { span class="end" { (text) } }
}

/// What else is not as it should be.
fn warnings(last: &LastCertificate, now: SystemTime) -> Vec<VerdictLabel> {
    let assessment = &last.assessment;
    let mut warnings = Vec::new();
    let mut warn = |text: String| warnings.push(verdict(State::Warning, text));
    let staple = unique(assessment.chain.ocsp().reasons(unix(now)).map(|reason| reason.as_str()));
    if !staple.is_empty() {
        warn(format!("OCSP: {staple}"));
    }
    if assessment.expected.contains(&false) {
        warn("an expected name is missing".to_owned());
    }
    if last.file_match == Some(false) {
        warn("not the certificate on disk".to_owned());
    }
    if let Some(count @ 1..) = last.mismatched_samples {
        warn(format!("{count} of the last samples lack the name"));
    }
    warnings
}

/// The first of the names in the certificate.
fn presented(last: &LastCertificate) -> String {
    let facts = last.assessment.leaf().and_then(|leaf| leaf.facts());
    let names = facts.into_iter().flat_map(|facts| facts.names()).map(|name| shown(&name.to_string()));
    let names = listed(names, MAX_NAMES);
    if names.is_empty() { "none".to_owned() } else { names }
}

/// Presented names in a row.
const MAX_NAMES: usize = 3;
