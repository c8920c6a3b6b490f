//! What changed lately.

use std::time::SystemTime;

use maud::{Markup, html};

use super::moment::moment;
use super::state::{State, sign};
use super::text::{listed, spaced, unique};
use crate::snapshot::{Change, Condition, StateChange, TargetReport};
use crate::verdict::certificate::hex;

/// The last changes, the newest first.
pub(super) fn section(report: &TargetReport, now: SystemTime) -> Markup {
    html! {
        section aria-labelledby="changes" {
            h2 id="changes" { "Last changes" }
            @if report.changes.is_empty() {
                p class="nothing" { "None since the exporter began to watch this target." }
            } @else {
                (lines(report.changes.iter().rev().take(LATEST), now))
                @if report.changes.len() > LATEST {
                    details id="older-changes" {
                        summary { "Older changes" }
                        (lines(report.changes.iter().rev().skip(LATEST), now))
                    }
                }
            }
        }
    }
}

fn lines<'a>(changes: impl Iterator<Item = &'a StateChange>, now: SystemTime) -> Markup {
    html! { ol class="changes" { @for change in changes { (line(change, now)) } } }
}

fn line(change: &StateChange, now: SystemTime) -> Markup {
    let (state, text) = told(&change.what);
    html! {
        li {
            (moment(change.at, now)) " "
            span class={ "verdict " (state.as_str()) } { span class="sign" aria-hidden="true" { (sign(state)) } " " (text) }
        }
    }
}

fn told(change: &Change) -> (State, String) {
    match change {
        Change::Condition(backend, condition) => {
            (state(condition), format!("{} {}", backend.socket_addr(), condition_in_words(condition)))
        }
        Change::Resolved(backend, true) => (State::Ok, format!("{} is named by DNS", backend.socket_addr())),
        Change::Resolved(backend, false) => {
            (State::Warning, format!("{} is no longer named by DNS", backend.socket_addr()))
        }
        Change::Lookup(failures) if failures.is_empty() => (State::Ok, "lookup is well".to_owned()),
        Change::Lookup(failures) => {
            let failures = failures.iter().map(|failure| {
                format!("{} {}: {}", failure.name, failure.record_type, spaced(failure.reason.as_str()))
            });
            (State::Critical, format!("lookup fails: {}", listed(failures, MAX_FAILURES)))
        }
    }
}

fn state(condition: &Condition) -> State {
    match condition {
        condition if condition.is_ok() => State::Ok,
        Condition { failure: None, name: Some(true), chain, .. } if chain.is_empty() => State::Warning,
        _ => State::Critical,
    }
}

fn condition_in_words(condition: &Condition) -> String {
    let mut parts = Vec::new();
    if let Some((stage, reason)) = condition.failure {
        parts.push(format!("fails in {stage}: {}", spaced(reason.as_str())));
    }
    match condition.name {
        Some(false) => parts.push("name missing".to_owned()),
        None if condition.fingerprint.is_some() => parts.push("name unknown".to_owned()),
        Some(true) | None => {}
    }
    if !condition.chain.is_empty() {
        parts.push(format!("chain: {}", unique(condition.chain.iter().map(|reason| reason.as_str()))));
    }
    if !condition.staple.is_empty() {
        parts.push(format!("OCSP: {}", unique(condition.staple.iter().map(|reason| reason.as_str()))));
    }
    if parts.is_empty() {
        parts.push("is well".to_owned());
    }
    if let Some(short) = condition.fingerprint.as_ref().and_then(|fingerprint| fingerprint.get(..4)) {
        parts.push(format!("certificate {}…", hex(short)));
    }
    parts.join(", ")
}

/// Changes that are not folded away.
const LATEST: usize = 6;
/// Failed questions in a line.
const MAX_FAILURES: usize = 3;
