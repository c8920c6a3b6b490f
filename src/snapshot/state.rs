//! The state of a target in one word.

use std::cmp::Reverse;
use std::time::SystemTime;

use super::{BackendReport, Condition, LastCertificate, TargetReport};
pub use crate::reason::HealthState;
use crate::reason::Severity;

impl From<Severity> for HealthState {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Critical => Self::Critical,
            Severity::Warning => Self::Warning,
            Severity::Info => Self::Ok,
        }
    }
}

/// The worst state of a target: of its lookup, its backends and the severities of the advice on it.
pub fn worst(report: &TargetReport, advice: impl IntoIterator<Item = Severity>, now: SystemTime) -> HealthState {
    states(report, now).chain(advice.into_iter().map(HealthState::from)).max().unwrap_or(HealthState::Ok)
}

/// Whether a round is finished without a problem: no lookup failed, and every resolved backend is ok and presents what the
/// configuration expects. Future problems, such as an expiry in some days, do not count.
pub fn is_ok(report: &TargetReport, now: SystemTime) -> bool {
    states(report, now).all(|state| state == HealthState::Ok)
}

/// The place of a target of this state among others. First are those of which only some backends currently in DNS have
/// problems: people do not find them by themselves, since clients fail intermittently. Then the worst state is first.
pub fn order(report: &TargetReport, state: HealthState, now: SystemTime) -> impl Ord + use<> {
    let backends = || report.resolved().map(|backend| state_of(backend, now));
    let some_have_problems = backends().any(|state| state > HealthState::Unknown);
    let is_partial = some_have_problems && backends().any(|state| state == HealthState::Ok);
    (!is_partial, Reverse(state), report.target.name.clone())
}

/// The state of a backend, in DNS or not.
pub fn state_of(report: &BackendReport, now: SystemTime) -> HealthState {
    let Some(condition) = Condition::of(report, now) else { return HealthState::Unknown };
    let is_unexpected = |last: &LastCertificate| {
        let has_mismatched_samples = last.mismatched_samples.is_some_and(|count| count > 0);
        last.assessment.expected.contains(&false) || last.file_match == Some(false) || has_mismatched_samples
    };
    if condition.failure.is_some() || condition.name == Some(false) || !condition.chain.is_empty() {
        HealthState::Critical
    } else if !condition.is_ok() || report.last_certificate.as_ref().is_some_and(is_unexpected) {
        HealthState::Warning
    } else {
        HealthState::Ok
    }
}

fn states(report: &TargetReport, now: SystemTime) -> impl Iterator<Item = HealthState> {
    let lookup = report.lookup.as_deref();
    // A domain may declare that it accepts no mail (RFC 7505 §3).
    let accepts_no_mail = lookup.is_some_and(|lookup| lookup.success && lookup.hosts == Some(0));
    let failed = lookup.is_some_and(|lookup| !lookup.success || !lookup.failures.is_empty());
    let disagree = lookup.is_some_and(|lookup| lookup.disagree == Some(true));
    let of_target = [
        (report.last_round.is_none(), HealthState::Unknown),
        (disagree, HealthState::Warning),
        (report.not_allowed() > 0, HealthState::Warning),
        (failed, if report.resolved().next().is_some() { HealthState::Warning } else { HealthState::Critical }),
        (report.last_round.is_some() && !accepts_no_mail && report.resolved().next().is_none(), HealthState::Critical),
    ];
    let of_target = of_target.into_iter().filter_map(|(holds, state)| holds.then_some(state));
    of_target.chain(report.resolved().map(move |backend| state_of(backend, now)))
}
