//! A target as a page shows it: its report, the advice on it, the state that follows, and all of it in one line.

use std::time::SystemTime;

use super::state::{self, State, state_of};
use super::text::{counted, unique};
use crate::advice::{self, Advice};
use crate::reason::{AdviceKind, Severity};
use crate::snapshot::{BackendCounts, BackendReport, TargetReport};
use crate::target::Backend;

/// A target at one moment.
pub(super) struct View<'a> {
    pub(super) report: &'a TargetReport,
    /// The most urgent first.
    pub(super) advice: Vec<Advice>,
    pub(super) state: State,
}

impl<'a> View<'a> {
    pub(super) fn new(report: &'a TargetReport, now: SystemTime) -> Self {
        let advice = advice::advise(report, now);
        let state = state::worst(report, advice.iter().map(|advice| advice.severity), now);
        Self { report, advice, state }
    }

    /// The state of a backend, with the advice that names it; what is good to know only does not count.
    pub(super) fn state_of(&self, backend: &BackendReport, now: SystemTime) -> State {
        let state = state_of(backend, now);
        let advised = self
            .advice
            .iter()
            .any(|advice| advice.severity != Severity::Info && names(advice, &backend.backend) && state == State::Ok);
        if advised { State::Warning } else { state }
    }

    /// Whether the advice of this kind names the backend.
    pub(super) fn advises(&self, kind: AdviceKind, backend: &Backend) -> bool {
        self.advice.iter().any(|advice| advice.kind == kind && names(advice, backend))
    }

    /// The target in one line: what is wrong with how many backends, or that all is well.
    pub(super) fn headline(&self, now: SystemTime) -> String {
        let counts = self.report.counts(now);
        let all = counts.resolved;
        let mut parts = Vec::new();
        if let Some(lookup) = self.report.lookup.as_deref().filter(|lookup| !lookup.failures.is_empty()) {
            let reasons = unique(lookup.failures.iter().map(|failure| failure.reason.as_str()));
            let kept = if all > 0 { ", known backends are kept" } else { "" };
            parts.push(format!("lookup fails: {reasons}{kept}"));
        }
        if all == 0 {
            return self.of_nothing(parts);
        }
        let of = |count: usize| match (count, all) {
            (1, 1) => "the backend".to_owned(),
            (count, all) if count == all => format!("all {all} backends"),
            (count, all) => format!("{count} of {all} backends"),
        };
        let verb = |count: usize, one: &str, many: &str| if count == 1 { one.to_owned() } else { many.to_owned() };
        let BackendCounts { mismatched, matched, .. } = counts;
        if mismatched > 0 {
            let when = if matched > 0 { ": clients fail now and then" } else { "" };
            parts.push(format!("{} {} the name{when}", of(mismatched), verb(mismatched, "lacks", "lack")));
        }
        let failures = || self.report.resolved().filter_map(|backend| backend.probe.as_ref()?.outcome.as_ref().err());
        let failing = failures().count();
        if failing > 0 {
            let reasons = unique(failures().map(|failure| failure.reason.as_str()));
            parts.push(format!("{} {}: {reasons}", of(failing), verb(failing, "fails", "fail")));
        }
        let refused = || self.report.resolved().filter_map(|backend| refusals(backend, now));
        let count = refused().count();
        if count > 0 {
            let words = unique(refused().flatten());
            parts.push(format!("{} {} a bad chain: {words}", of(count), verb(count, "has", "have")));
        }
        if parts.is_empty() {
            parts.extend(self.warnings());
        }
        let fresh = self.report.resolved().filter(|backend| backend.probe.is_none()).count();
        if fresh > 0 {
            parts.push(format!("{} not probed yet", of(fresh)));
        }
        if parts.is_empty() {
            return format!("{} well", counted(all, "backend"));
        }
        parts.join("; ")
    }

    /// The earliest end of a certificate that a resolved backend presents, Unix seconds.
    pub(super) fn earliest_end(&self) -> Option<i64> {
        let last = self.report.resolved().filter_map(|backend| backend.last_certificate.as_ref());
        last.filter_map(|last| Some(last.assessment.leaf()?.facts()?.not_after)).min()
    }

    /// Where there are no backends to speak of.
    fn of_nothing(&self, failing: Vec<String>) -> String {
        match self.report.lookup.as_deref() {
            _ if !failing.is_empty() => failing.join("; "),
            None => "not looked up yet".to_owned(),
            Some(lookup) if lookup.hosts == Some(0) => "takes no mail (null MX)".to_owned(),
            Some(_) => "no address to probe".to_owned(),
        }
    }

    /// What is amiss where clients do not fail yet, one word each.
    fn warnings(&self) -> Option<String> {
        let advised = self.advice.iter().filter(|advice| advice.severity != Severity::Info);
        let words = unique(advised.map(|advice| advice.kind.as_str()));
        match (words.is_empty(), self.state) {
            (false, _) => Some(words),
            (true, State::Warning) => Some("not quite as it should be".to_owned()),
            (true, _) => None,
        }
    }
}

fn names(advice: &Advice, backend: &Backend) -> bool {
    advice.backends.contains(backend)
}

/// What is wrong with the chain, where something is.
fn refusals(backend: &BackendReport, now: SystemTime) -> Option<impl Iterator<Item = &'static str>> {
    let reasons = backend.last_certificate.as_ref()?.assessment.reasons(now);
    (!reasons.is_empty()).then(|| reasons.iter().map(|reason| reason.as_str()))
}
