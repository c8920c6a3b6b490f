//! The last changes in the state of a target.

use std::time::SystemTime;

use maud::{Markup, html};

use super::elements::{HealthState, spaced, timestamp, unique, verdict};
use crate::snapshot::{Change, Condition, StateChange, TargetReport};
use crate::text::list;
use crate::verdict::certificate::hex;

pub(super) fn section(report: &TargetReport, now: SystemTime) -> Markup {
    html! {
        section aria-labelledby="changes" {
            h2 id="changes" { "Recent changes" }
            @if report.changes.is_empty() {
                p class="nothing" { "No changes since the exporter started to monitor this target." }
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
    let (state, text) = describe(&change.change);
    html! { li { (timestamp(change.at, now)) " " (verdict(state, &text)) } }
}

fn describe(change: &Change) -> (HealthState, String) {
    match change {
        Change::Condition(backend, condition) => {
            (state(condition), format!("{}: {}", backend.socket_addr(), describe_condition(condition)))
        }
        Change::Resolved(backend, true) => (HealthState::Ok, format!("{}: added to DNS", backend.socket_addr())),
        Change::Resolved(backend, false) => {
            (HealthState::Warning, format!("{}: removed from DNS", backend.socket_addr()))
        }
        Change::Lookup(failures) if failures.is_empty() => (HealthState::Ok, "lookup recovered".to_owned()),
        Change::Lookup(failures) => {
            let failures = failures.iter().map(|failure| {
                format!("{} {}: {}", failure.name, failure.record_type, spaced(failure.reason.as_str()))
            });
            (HealthState::Critical, format!("lookup failed: {}", list(failures, MAX_FAILURES)))
        }
    }
}

fn state(condition: &Condition) -> HealthState {
    match condition {
        condition if condition.is_ok() => HealthState::Ok,
        Condition { failure: None, name: Some(true), chain, .. } if chain.is_empty() => HealthState::Warning,
        _ => HealthState::Critical,
    }
}

fn describe_condition(condition: &Condition) -> String {
    let mut parts = Vec::new();
    if let Some((stage, reason)) = condition.failure {
        parts.push(format!("failed at {stage}: {}", spaced(reason.as_str())));
    }
    match condition.name {
        Some(false) => parts.push("name mismatch".to_owned()),
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
        parts.push("ok".to_owned());
    }
    if let Some(short) = condition.fingerprint.as_ref().and_then(|fingerprint| fingerprint.get(..4)) {
        parts.push(format!("certificate {}…", hex(short)));
    }
    parts.join(", ")
}

const LATEST: usize = 6;
const MAX_FAILURES: usize = 3;
