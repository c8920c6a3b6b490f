//! The problems of a target, each once, with the backends that have it.

use std::time::SystemTime;

use crate::client_errors::Finding;
use crate::snapshot::{BackendReport, TargetReport};
use crate::target::Backend;
use crate::text::group_by;
use crate::verdict::{NameVerdict, unix};

/// One problem.
pub(super) struct TargetProblem {
    /// Backends with the same text are grouped.
    pub(super) text: String,
    /// The reason, if the problem has one that clients may notice.
    pub(super) finding: Option<Finding>,
    /// Empty if it concerns the target as a whole.
    pub(super) backends: Vec<Backend>,
}

/// The problems of `report` at `now`: those of the lookup first, then in the order in which a client meets them.
pub(super) fn of(report: &TargetReport, now: SystemTime) -> Vec<TargetProblem> {
    let mut all = Vec::new();
    let mut add = |text: String, finding, backend: Option<&Backend>| match all
        .iter_mut()
        .find(|known: &&mut TargetProblem| known.text == text)
    {
        Some(known) => known.backends.extend(backend.cloned()),
        None => all.push(TargetProblem { text, finding, backends: backend.cloned().into_iter().collect() }),
    };
    let lookup = report.lookup.as_deref();
    let failures = lookup.iter().flat_map(|lookup| &lookup.failures);
    for ((name, reason), failures) in group_by(failures, |failure| (&failure.name, failure.reason)) {
        let types: Vec<&str> = failures.iter().map(|failure| failure.record_type).collect();
        add(format!("lookup of {name} {}: {reason}: {}", types.join(" and "), reason.doc()), None, None);
    }
    if lookup.is_some_and(|lookup| lookup.disagree == Some(true)) {
        add("the name servers return different answers".to_owned(), None, None);
    }
    let backends: Vec<_> = report.resolved().collect();
    let is_explained = lookup.is_some_and(|lookup| match lookup.hosts {
        Some(0) => lookup.success,
        _ => !lookup.failures.is_empty(),
    });
    if backends.is_empty() && report.last_round.is_some() && !is_explained {
        add("no backends: no address to probe".to_owned(), None, None);
    }
    for find in [probe, name, chain, staple, config] {
        for backend in &backends {
            for (text, finding) in find(report, backend, now) {
                add(text, finding, Some(&backend.backend));
            }
        }
    }
    all
}

type Found = Vec<(String, Option<Finding>)>;

/// A problem with a reason, which follows the words `what`.
fn with_reason(what: &str, reason: impl Into<Finding>) -> (String, Option<Finding>) {
    let finding = reason.into();
    (format!("{what} {}: {}", finding.reason, finding.meaning), Some(finding))
}

fn probe(target: &TargetReport, report: &BackendReport, _: SystemTime) -> Found {
    match report.probe.as_ref().map(|probe| &probe.outcome) {
        None if target.last_round.is_none() => vec![("not finished: no result before the timeout".to_owned(), None)],
        None => vec![("not probed: the exporter host could not probe it, or not in time".to_owned(), None)],
        Some(Ok(_)) => Vec::new(),
        Some(Err(failure)) => vec![with_reason(failure.stage.as_str(), failure.reason)],
    }
}

fn name(_: &TargetReport, report: &BackendReport, _: SystemTime) -> Found {
    match report.last_certificate.as_ref().map(|last| last.assessment.name) {
        Some(Some(NameVerdict::Mismatch(reason))) => vec![with_reason("name", reason)],
        Some(None) => vec![("the certificate cannot be parsed, so its names are unknown".to_owned(), None)],
        Some(Some(NameVerdict::Match)) | None => Vec::new(),
    }
}

fn chain(_: &TargetReport, report: &BackendReport, now: SystemTime) -> Found {
    let Some(last) = &report.last_certificate else { return Vec::new() };
    last.assessment.reasons(now).iter().map(|reason| with_reason("chain", reason)).collect()
}

fn staple(_: &TargetReport, report: &BackendReport, now: SystemTime) -> Found {
    let Some(last) = &report.last_certificate else { return Vec::new() };
    last.assessment.chain.ocsp().reasons(unix(now)).map(|reason| with_reason("ocsp", reason)).collect()
}

fn config(target: &TargetReport, report: &BackendReport, _: SystemTime) -> Found {
    let Some(last) = &report.last_certificate else { return Vec::new() };
    let expected = target.target.settings.expect_names.iter().zip(&last.assessment.expected);
    let missing =
        expected.filter(|(_, matches)| !**matches).map(|(name, _)| format!("expected name not listed: {name}"));
    let differs = (last.file_match == Some(false))
        .then(|| "the presented certificate is not the one in certificate_file".to_owned());
    missing.chain(differs).map(|text| (text, None)).collect()
}
