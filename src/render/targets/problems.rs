//! The problems of a target, each once, with the backends that have it.

use std::time::SystemTime;

use crate::client_errors::Finding;
use crate::reason::SkipReason;
use crate::snapshot::{BackendReport, TargetReport};
use crate::target::Backend;
use crate::text::{group_by, list, plural};
use crate::verdict::near_miss::near_misses;
use crate::verdict::{NameVerdict, unix};

/// One problem.
pub(in crate::render) struct TargetProblem {
    /// Backends with the same text are grouped.
    pub(in crate::render) text: String,
    /// The reason, if the problem has one that clients may notice.
    pub(in crate::render) finding: Option<Finding>,
    /// Empty if it concerns the target as a whole.
    pub(in crate::render) backends: Vec<Backend>,
}

/// The problems of `report` at `now`: those of the lookup first, then in the order in which a client meets them.
pub(in crate::render) fn of(report: &TargetReport, now: SystemTime) -> Vec<TargetProblem> {
    let mut all = Problems(Vec::new());
    let lookup = report.lookup.as_deref();
    let failures = lookup.iter().flat_map(|lookup| &lookup.failures);
    for ((name, reason), failures) in group_by(failures, |failure| (&failure.name, failure.reason)) {
        let types: Vec<&str> = failures.iter().map(|failure| failure.record_type).collect();
        all.add(None, &format!("lookup of {name} {}: {reason}: {}", types.join(" and "), reason.doc()));
    }
    if lookup.is_some_and(|lookup| lookup.disagree == Some(true)) {
        all.add(None, "the name servers return different answers");
    }
    for endpoint in &report.endpoints {
        let host = endpoint.endpoint.server_name.with_port(endpoint.endpoint.port);
        for (reason, count) in endpoint.skipped.iter().filter(|(reason, _)| reason.is_not_allowed()) {
            let addresses = list(endpoint.not_allowed.iter().map(ToString::to_string), MAX_ADDRESSES);
            let noun = plural(*count, "address", "addresses");
            all.add(None, &format!("{noun} of {host} not probed ({addresses}): {reason}: {}", reason.doc()));
        }
    }
    let is_explained = report.not_allowed() > 0
        || lookup.is_some_and(|lookup| match lookup.hosts {
            Some(0) => lookup.success,
            _ => !lookup.failures.is_empty(),
        });
    if report.resolved().next().is_none() && report.last_round.is_some() && !is_explained {
        let why = report.without_route().map(|_| (SkipReason::NoRoute, SkipReason::NoRoute.doc()));
        let why = why.map(|(reason, doc)| format!(": {reason}: {doc}")).unwrap_or_default();
        all.add(None, &format!("no backends: no address to probe{why}"));
    }
    for BackendReport { backend, probe, .. } in report.resolved().map(|backend| &**backend) {
        match probe.as_ref().map(|probe| &probe.outcome) {
            None if report.last_round.is_none() => all.add(Some(backend), "not finished: no result before the timeout"),
            None => all.add(Some(backend), "not probed: the exporter host could not probe it, or not in time"),
            Some(Ok(_)) => {}
            Some(Err(failure)) => all.add_finding(backend, failure.stage.as_str(), failure.reason),
        }
    }
    let certificates =
        || report.resolved().filter_map(|backend| Some((&backend.backend, backend.last_certificate.as_ref()?)));
    for (backend, last) in certificates() {
        match last.assessment.name {
            Some(NameVerdict::Match) => {}
            Some(NameVerdict::Mismatch(reason)) => {
                all.add_finding(backend, "name", reason);
                let near = last.assessment.facts().map(|facts| near_misses(&backend.endpoint.server_name, facts));
                for near in near.into_iter().flatten().take(MAX_NEAR_MISSES) {
                    all.add(
                        Some(backend),
                        &format!("name listed as {}, which {}", near.quoted(MAX_NAME), near.predicate()),
                    );
                }
            }
            None => all.add(Some(backend), "the certificate cannot be parsed, so its names are unknown"),
        }
    }
    for (backend, last) in certificates() {
        last.assessment.reasons(now).iter().for_each(|reason| all.add_finding(backend, "chain", reason));
    }
    for (backend, last) in certificates() {
        last.assessment.chain.ocsp().reasons(unix(now)).for_each(|reason| all.add_finding(backend, "ocsp", reason));
    }
    for (backend, last) in certificates() {
        let expected = report.target.settings.expect_names.iter().zip(&last.assessment.expected);
        for (name, _) in expected.filter(|(_, matches)| !**matches) {
            all.add(Some(backend), &format!("expected name not listed: {name}"));
        }
        if last.file_match == Some(false) {
            all.add(Some(backend), "the presented certificate is not the one in certificate_file");
        }
    }
    all.0
}

const MAX_ADDRESSES: usize = 5;
/// For each certificate.
const MAX_NEAR_MISSES: usize = 3;
const MAX_NAME: usize = 253;

struct Problems(Vec<TargetProblem>);

impl Problems {
    fn add(&mut self, backend: Option<&Backend>, text: &str) {
        self.add_to_group(backend, text.to_owned(), None);
    }

    /// Adds a problem with a reason, which follows the word `what`.
    fn add_finding(&mut self, backend: &Backend, what: &str, reason: impl Into<Finding>) {
        let finding = reason.into();
        let text = format!("{what} {}: {}", finding.reason, finding.meaning);
        self.add_to_group(Some(backend), text, Some(finding));
    }

    fn add_to_group(&mut self, backend: Option<&Backend>, text: String, finding: Option<Finding>) {
        match self.0.iter_mut().find(|known| known.text == text) {
            // A backend may have the same problem twice, one after the other.
            Some(known) => known.backends.extend(backend.filter(|each| known.backends.last() != Some(each)).cloned()),
            None => self.0.push(TargetProblem { text, finding, backends: backend.cloned().into_iter().collect() }),
        }
    }
}
