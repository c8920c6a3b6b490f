//! A target as a page shows it: its report, the advice on it, its state and its headline.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use parking_lot::Mutex;

use super::elements::{HealthState, unique};
use super::links::Links;
use crate::advice::{Advice, advise};
use crate::reason::{AdviceKind, Severity, SkipReason};
use crate::snapshot::state::{state_of, worst};
use crate::snapshot::{BackendCounts, BackendReport, EndpointReport, TargetReport};
use crate::target::{Backend, TargetName};
use crate::text::{counted, grouped, plural};

pub(super) struct TargetView<'a> {
    pub(super) links: &'a Links,
    pub(super) report: Arc<TargetReport>,
    /// The most urgent first.
    pub(super) advice: Arc<[Advice]>,
    pub(super) state: HealthState,
    pub(super) now: SystemTime,
}

/// Advice by target. It is computed once for each report, and again if the state of the report changes with time.
#[derive(Debug, Default)]
pub(super) struct AdviceCache(Mutex<HashMap<TargetName, CachedAdvice>>);

#[derive(Debug)]
struct CachedAdvice {
    /// Does not keep the report, only its address from being reused.
    report: Weak<TargetReport>,
    /// Of the report alone.
    state: HealthState,
    advice: Arc<[Advice]>,
}

impl AdviceCache {
    /// The advice on the target, and its state as of `now`.
    pub(super) fn of(&self, report: &Arc<TargetReport>, now: SystemTime) -> (Arc<[Advice]>, HealthState) {
        let state = worst(report, [], now);
        let mut cached = self.0.lock();
        let advice = match cached.get(&report.target.name) {
            Some(known) if known.report.as_ptr() == Arc::as_ptr(report) && known.state == state => {
                Arc::clone(&known.advice)
            }
            _ => {
                let advice: Arc<[Advice]> = advise(report, now).into();
                let entry = CachedAdvice { report: Arc::downgrade(report), state, advice: Arc::clone(&advice) };
                cached.insert(report.target.name.clone(), entry);
                advice
            }
        };
        let state = advice.iter().map(|advice| HealthState::from(advice.severity)).fold(state, Ord::max);
        (advice, state)
    }

    /// Removes the advice on replaced reports if there is more of it than `targets`: some targets no longer exist.
    pub(super) fn forget_replaced(&self, targets: usize) {
        let mut cached = self.0.lock();
        if cached.len() > targets {
            cached.retain(|_, known| known.report.strong_count() > 0);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

impl TargetView<'_> {
    /// The state of a backend: at least a warning if advice of a severity above `info` names it.
    pub(super) fn state_of(&self, backend: &BackendReport) -> HealthState {
        let concerns = |advice: &Advice| advice.severity != Severity::Info && names(advice, &backend.backend);
        match state_of(backend, self.now) {
            HealthState::Ok if self.advice.iter().any(concerns) => HealthState::Warning,
            state => state,
        }
    }

    /// The backends of an endpoint, those in DNS and the others. The worst first, then by address.
    pub(super) fn backends<'b>(
        &self,
        endpoint: &'b EndpointReport,
    ) -> (Vec<&'b BackendReport>, Vec<&'b BackendReport>) {
        let mut backends: Vec<&BackendReport> = endpoint.backends.iter().map(|backend| &**backend).collect();
        backends.sort_by_key(|backend| Reverse(self.state_of(backend)));
        backends.into_iter().partition(|backend| backend.resolved)
    }

    pub(super) fn advises(&self, kind: AdviceKind, backend: &Backend) -> bool {
        self.advice.iter().any(|advice| advice.kind == kind && names(advice, backend))
    }

    /// The target in one line: what is wrong with how many backends, or that they are ok.
    pub(super) fn headline(&self) -> String {
        let counts = self.report.counts(self.now);
        let all = counts.resolved;
        let mut parts = Vec::new();
        if let Some(lookup) = self.report.lookup.as_deref().filter(|lookup| !lookup.failures.is_empty()) {
            let reasons = unique(lookup.failures.iter().map(|failure| failure.reason.as_str()));
            let what = if lookup.success {
                unique(lookup.failures.iter().map(|failure| failure.record_type)) + " lookup failed"
            } else {
                "lookup failed".to_owned()
            };
            let kept = if self.report.held() > 0 { ", keeping known backends" } else { "" };
            parts.push(format!("{what}: {reasons}{kept}"));
        }
        let lacks_route = self.report.without_route().is_some();
        let is_problem = |reason: SkipReason| reason.is_not_allowed() || lacks_route && reason == SkipReason::NoRoute;
        let skipped: Vec<_> = self.report.skipped().into_iter().filter(|(reason, _)| is_problem(*reason)).collect();
        if !skipped.is_empty() {
            let reasons = unique(skipped.iter().map(|(reason, _)| reason.as_str()));
            let count = skipped.iter().map(|(_, count)| count).sum();
            let (addresses, are) = (plural(count, "address", "addresses"), plural(count, "is", "are"));
            parts.push(format!("{} {addresses} {are} not probed: {reasons}", grouped(count)));
        }
        if all == 0 {
            return self.headline_without_backends(parts);
        }
        let backends = |count: usize, singular: &str, verb: &str| match (count, all) {
            (1, 1) => format!("the backend {singular}"),
            (count, all) if count == all => format!("all {} {verb}", counted(all, "backend")),
            (count, all) => {
                let verb = plural(count, singular, verb);
                format!("{} of {} {verb}", grouped(count), counted(all, "backend"))
            }
        };
        let BackendCounts { mismatched, matched, .. } = counts;
        if mismatched > 0 {
            let effect = if matched > 0 { ": clients fail intermittently" } else { "" };
            parts.push(match mismatched {
                count if count == all && all > 1 => format!("none of {} lists the name", counted(all, "backend")),
                count => backends(count, "does not list the name", "do not list the name") + effect,
            });
        }
        let failures = || self.report.resolved().filter_map(|backend| backend.probe.as_ref()?.outcome.as_ref().err());
        let failing = failures().count();
        if failing > 0 {
            let reasons = unique(failures().map(|failure| failure.reason.as_str()));
            parts.push(format!("{}: {reasons}", backends(failing, "fails the probe", "fail the probe")));
        }
        let invalid = || self.report.resolved().filter_map(|backend| chain_reasons(backend, self.now));
        let count = invalid().count();
        if count > 0 {
            let reasons = unique(invalid().flatten());
            let found = backends(count, "has an invalid chain", "have an invalid chain");
            parts.push(format!("{found}: {reasons}"));
        }
        if parts.is_empty() {
            parts.extend(self.warnings());
        }
        let unprobed = self.report.resolved().filter(|backend| backend.probe.is_none()).count();
        if unprobed > 0 {
            parts.push(backends(unprobed, "has not been probed yet", "have not been probed yet"));
        }
        if parts.is_empty() {
            return format!("{} ok", counted(all, "backend"));
        }
        parts.join("; ")
    }

    /// The earliest end of validity among the certificates of the resolved backends, in Unix seconds.
    pub(super) fn earliest_expiry(&self) -> Option<i64> {
        let last = self.report.resolved().filter_map(|backend| backend.last_certificate.as_ref());
        last.filter_map(|last| Some(last.assessment.facts()?.not_after)).min()
    }

    fn headline_without_backends(&self, problems: Vec<String>) -> String {
        match self.report.lookup.as_deref() {
            _ if !problems.is_empty() => problems.join("; "),
            None => "not resolved yet".to_owned(),
            Some(lookup) if lookup.hosts == Some(0) => "accepts no mail (null MX)".to_owned(),
            Some(_) => "no address to probe".to_owned(),
        }
    }

    /// What to show if no client fails yet: the kinds of advice above `info`.
    fn warnings(&self) -> Option<String> {
        let advised = self.advice.iter().filter(|advice| advice.severity != Severity::Info);
        let words = unique(advised.map(|advice| advice.kind.as_str()));
        match (words.is_empty(), self.state) {
            (false, _) => Some(words),
            (true, HealthState::Warning) => Some("has warnings".to_owned()),
            (true, _) => None,
        }
    }
}

fn names(advice: &Advice, backend: &Backend) -> bool {
    advice.backends.contains(backend)
}

fn chain_reasons(backend: &BackendReport, now: SystemTime) -> Option<impl Iterator<Item = &'static str>> {
    let reasons = backend.last_certificate.as_ref()?.assessment.reasons(now);
    (!reasons.is_empty()).then(|| reasons.iter().map(|reason| reason.as_str()))
}
