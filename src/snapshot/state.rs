//! What a target comes to in one word.

use std::time::SystemTime;

use super::{BackendReport, Condition, LastCertificate, TargetReport};
use crate::reason::Severity;

/// How a target is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// There is nothing to mend.
    Ok,
    /// No round is finished, or a backend could not be probed from this machine.
    Unknown,
    /// Some clients fail, or all of them will soon.
    Warning,
    /// Clients fail.
    Critical,
}

impl State {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl From<Severity> for State {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Critical => Self::Critical,
            Severity::Warning => Self::Warning,
            Severity::Info => Self::Ok,
        }
    }
}

/// The worst of what a target's reports show and of the severities of the advice on it.
pub fn worst(report: &TargetReport, advice: impl IntoIterator<Item = Severity>, now: SystemTime) -> State {
    findings(report, now).chain(advice.into_iter().map(State::from)).max().unwrap_or(State::Ok)
}

/// Whether a round is finished and found nothing to mend: each backend that DNS names is well, presents what the config
/// expects, and no lookup failed. What is yet to come, such as an expiry in some days, is not asked.
pub fn is_ok(report: &TargetReport, now: SystemTime) -> bool {
    findings(report, now).all(|state| state == State::Ok)
}

/// What one backend comes to, whether DNS names it or not.
pub fn of_backend(report: &BackendReport, now: SystemTime) -> State {
    let Some(condition) = Condition::of(report, now) else { return State::Unknown };
    let misses = |last: &LastCertificate| {
        last.assessment.expected.contains(&false) || last.file_match == Some(false) || is_partly_wrong(last)
    };
    if condition.failure.is_some() || condition.name == Some(false) || !condition.chain.is_empty() {
        State::Critical
    } else if !condition.is_ok() || report.last_certificate.as_ref().is_some_and(misses) {
        State::Warning
    } else {
        State::Ok
    }
}

fn is_partly_wrong(last: &LastCertificate) -> bool {
    last.mismatched_samples.is_some_and(|wrong| wrong > 0)
}

fn findings(report: &TargetReport, now: SystemTime) -> impl Iterator<Item = State> {
    let lookup = report.lookup.as_deref();
    // A domain that says that it takes no mail is as it should be (RFC 7505).
    let takes_none = lookup.is_some_and(|lookup| lookup.success && lookup.hosts == Some(0));
    let failed = lookup.is_some_and(|lookup| !lookup.success || !lookup.failures.is_empty());
    let disagree = lookup.is_some_and(|lookup| lookup.disagree == Some(true));
    let of_target = [
        (report.last_round.is_none(), State::Unknown),
        (disagree, State::Warning),
        (failed, if report.resolved().next().is_some() { State::Warning } else { State::Critical }),
        (report.last_round.is_some() && !takes_none && report.resolved().next().is_none(), State::Critical),
    ];
    let of_target = of_target.into_iter().filter_map(|(holds, state)| holds.then_some(state));
    of_target.chain(report.resolved().map(move |backend| of_backend(backend, now)))
}
