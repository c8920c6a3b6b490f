//! The verdicts on a backend. Each has a symbol and words, so that no color is needed to read them.

use std::time::SystemTime;

use maud::{Markup, html};

use super::elements::{HealthState, clean, relative, spaced, unique, verdict};
use super::view::TargetView;
use crate::reason::AdviceKind;
use crate::snapshot::{BackendReport, LastCertificate, ProbeReport};
use crate::text::{counted, distance, list_within};
use crate::verdict::near_miss::described_names;
use crate::verdict::{NameVerdict, unix};

pub(super) fn verdicts(view: &TargetView<'_>, backend: &BackendReport) -> Markup {
    let now = view.now;
    let Some(last) = &backend.last_certificate else {
        return html! { (connection(backend)) (rate_limited(backend)) };
    };
    html! {
        (connection(backend))
        (name(backend, last))
        (chain(last, now))
        (expiry(view, backend, last))
        (warnings(last, now))
        @if last.distinct > 1 { span class="note" { (last.distinct) " different certificates seen" } }
        (rate_limited(backend))
        @if !backend.is_reachable() { span class="note" { "certificate last seen " (relative(last.seen_at, now)) } }
    }
}

fn connection(backend: &BackendReport) -> Markup {
    match backend.probe.as_ref().map(|probe| &probe.outcome) {
        None => verdict(HealthState::Unknown, "not probed yet"),
        Some(Ok(connection)) => verdict(HealthState::Ok, connection.version),
        Some(Err(failure)) => {
            let text = format!("failed at {}: {}", failure.stage, spaced(failure.reason.as_str()));
            verdict(HealthState::Critical, &text)
        }
    }
}

fn rate_limited(backend: &BackendReport) -> Markup {
    let is_limited = backend.probe.as_ref().is_some_and(ProbeReport::rate_limited);
    html! { @if is_limited { span class="note" { "rate limited" } } }
}

fn name(backend: &BackendReport, last: &LastCertificate) -> Markup {
    match last.assessment.name {
        None => verdict(HealthState::Unknown, "name unknown"),
        Some(NameVerdict::Match) => verdict(HealthState::Ok, "name ok"),
        Some(NameVerdict::Mismatch(_)) => {
            verdict(HealthState::Critical, &format!("NAME MISMATCH: {}", presented(backend, last)))
        }
    }
}

fn chain(last: &LastCertificate, now: SystemTime) -> Markup {
    let reasons = last.assessment.reasons(now);
    if !reasons.is_empty() {
        let words = unique(reasons.iter().map(|reason| reason.as_str()));
        verdict(HealthState::Critical, &format!("CHAIN INVALID: {words}"))
    } else if last.assessment.valid(now) == Some(true) {
        verdict(HealthState::Ok, "chain ok")
    } else {
        verdict(HealthState::Unknown, "chain unknown")
    }
}

/// The end of the certificate's validity. The verdict on the chain covers whether it has passed.
fn expiry(view: &TargetView<'_>, backend: &BackendReport, last: &LastCertificate) -> Markup {
    let Some(facts) = last.assessment.facts() else { return html! {} };
    let (from, end, now) = (facts.not_before, facts.not_after, unix(view.now));
    let text = match (now < from, end < now) {
        (true, _) => format!("becomes valid {}", distance(from, now)),
        (_, true) => format!("expired {}", distance(end, now)),
        _ => format!("expires {}", distance(end, now)),
    };
    if view.advises(AdviceKind::ExpiresSoon, &backend.backend) {
        return verdict(HealthState::Warning, &text);
    }
    html! { span class="end" { (text) } }
}

fn warnings(last: &LastCertificate, now: SystemTime) -> Markup {
    let assessment = &last.assessment;
    let staple = unique(assessment.chain.ocsp().reasons(unix(now)).map(|reason| reason.as_str()));
    let refused = unique(assessment.warnings(now).iter().map(|(warning, _)| warning.as_str()));
    let warning = |text: &str| verdict(HealthState::Warning, text);
    html! {
        @if !refused.is_empty() { (warning(&format!("CHAIN: {refused}"))) }
        @if !staple.is_empty() { (warning(&format!("OCSP: {staple}"))) }
        @if assessment.expected.contains(&false) { (warning("expected name not listed")) }
        @if last.file_match == Some(false) { (warning("differs from the certificate on disk")) }
        @if let Some(count @ 1..) = last.mismatched_samples {
            (warning(&format!("name mismatch in {} of the last round", counted(count, "sample"))))
        }
    }
}

fn presented(backend: &BackendReport, last: &LastCertificate) -> String {
    let server_name = &backend.backend.endpoint.server_name;
    let facts = last.assessment.facts();
    let names = facts.into_iter().flat_map(|facts| described_names(server_name, facts, MAX_NAME_CHARS));
    let names = list_within(names.map(|name| clean(&name)), MAX_NAMES, MAX_NAMES_CHARS);
    if names.is_empty() { "lists no names".to_owned() } else { format!("lists {names}") }
}

const MAX_NAMES: usize = 3;
const MAX_NAME_CHARS: usize = 100;
const MAX_NAMES_CHARS: usize = 200;
