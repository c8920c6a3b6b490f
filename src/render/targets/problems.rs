//! The problems of a target, each once, with the backends that have it.

use std::time::SystemTime;

use crate::client_errors::{self, ClientErrors};
use crate::reason::{ChainReason, LookupReason, NameReason, OcspReason, ProbeReason, Stage};
use crate::snapshot::{BackendReport, LookupFailure, TargetReport};
use crate::target::{Backend, ServerName};
use crate::verdict::{NameVerdict, unix};

/// One problem.
pub(super) struct TargetProblem {
    pub(super) kind: ProblemKind,
    /// Empty if it concerns the target as a whole.
    pub(super) backends: Vec<Backend>,
}

/// What the problem is. Backends with equal problems are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ProblemKind {
    /// A name, the queried record types, and the reason why the lookup failed.
    Lookup(ServerName, Vec<&'static str>, LookupReason),
    NoBackend,
    NameServersDisagree,
    NotProbed,
    ProbeFailed(Stage, ProbeReason),
    NameMismatch(NameReason),
    ChainInvalid(ChainReason),
    OcspStaple(OcspReason),
    /// A name in `expect_names` that the certificate does not list.
    ExpectedNameMissing(String),
    DiffersFromFile,
    UnparsableCertificate,
}

impl ProblemKind {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Lookup(name, types, reason) => {
                format!("lookup of {name} {}: {reason}: {}", types.join(" and "), reason.doc())
            }
            Self::NoBackend => "no backends: no address to probe".to_owned(),
            Self::NameServersDisagree => "the name servers return different answers".to_owned(),
            Self::NotProbed => "not probed: the exporter host could not probe it, or not in time".to_owned(),
            Self::ProbeFailed(stage, reason) => format!("{stage} {reason}: {}", reason.doc()),
            Self::NameMismatch(reason) => format!("name {reason}: {}", reason.doc()),
            Self::ChainInvalid(reason) => format!("chain {reason}: {}", reason.doc()),
            Self::OcspStaple(reason) => format!("ocsp {reason}: {}", reason.doc()),
            Self::ExpectedNameMissing(name) => format!("expected name not listed: {name}"),
            Self::DiffersFromFile => "the presented certificate is not the one in certificate_file".to_owned(),
            Self::UnparsableCertificate => "the certificate cannot be parsed, so its names are unknown".to_owned(),
        }
    }

    /// The reason and its client errors; none if clients do not notice the problem.
    pub(super) fn client_errors(&self) -> Option<(&'static str, ClientErrors)> {
        match self {
            Self::ProbeFailed(_, reason) => Some((reason.as_str(), client_errors::for_probe(*reason)?)),
            Self::NameMismatch(reason) => Some((reason.as_str(), client_errors::for_name(*reason))),
            Self::ChainInvalid(reason) => Some((reason.as_str(), client_errors::for_chain(*reason))),
            Self::OcspStaple(reason) => Some((reason.as_str(), client_errors::for_ocsp(*reason))),
            Self::Lookup(..)
            | Self::NoBackend
            | Self::NameServersDisagree
            | Self::NotProbed
            | Self::ExpectedNameMissing(_)
            | Self::DiffersFromFile
            | Self::UnparsableCertificate => None,
        }
    }
}

/// The problems of `report` at `now`: those of the lookup first, then in the order in which a client meets them.
pub(super) fn of(report: &TargetReport, now: SystemTime) -> Vec<TargetProblem> {
    let mut all = Vec::new();
    if let Some(lookup) = &report.lookup {
        for LookupFailure { name, record_type, reason } in &lookup.failures {
            let same = |known: &&mut TargetProblem| matches!(&known.kind, ProblemKind::Lookup(n, _, r) if n == name && r == reason);
            match all.iter_mut().find(same) {
                Some(TargetProblem { kind: ProblemKind::Lookup(_, types, _), .. }) => types.push(record_type),
                _ => add(&mut all, ProblemKind::Lookup(name.clone(), vec![record_type], *reason), None),
            }
        }
        if lookup.disagree == Some(true) {
            add(&mut all, ProblemKind::NameServersDisagree, None);
        }
    }
    let backends: Vec<_> = report.resolved().collect();
    let is_explained = report.lookup.as_ref().is_some_and(|lookup| match lookup.hosts {
        Some(0) => lookup.success,
        _ => !lookup.failures.is_empty(),
    });
    if backends.is_empty() && report.last_round.is_some() && !is_explained {
        add(&mut all, ProblemKind::NoBackend, None);
    }
    for find in FINDERS {
        for backend in &backends {
            for kind in find(report, backend, now) {
                add(&mut all, kind, Some(&backend.backend));
            }
        }
    }
    all
}

fn add(all: &mut Vec<TargetProblem>, kind: ProblemKind, backend: Option<&Backend>) {
    match all.iter_mut().find(|known| known.kind == kind) {
        Some(known) => known.backends.extend(backend.cloned()),
        None => all.push(TargetProblem { kind, backends: backend.cloned().into_iter().collect() }),
    }
}

type ProblemFinder = fn(&TargetReport, &BackendReport, SystemTime) -> Vec<ProblemKind>;

const FINDERS: [ProblemFinder; 5] = [probe, name, chain, staple, config];

fn probe(_: &TargetReport, report: &BackendReport, _: SystemTime) -> Vec<ProblemKind> {
    match report.probe.as_ref().map(|probe| &probe.outcome) {
        None => vec![ProblemKind::NotProbed],
        Some(Ok(_)) => Vec::new(),
        Some(Err(failure)) => vec![ProblemKind::ProbeFailed(failure.stage, failure.reason)],
    }
}

fn name(_: &TargetReport, report: &BackendReport, _: SystemTime) -> Vec<ProblemKind> {
    match report.last_certificate.as_ref().map(|last| last.assessment.name) {
        Some(Some(NameVerdict::Mismatch(reason))) => vec![ProblemKind::NameMismatch(reason)],
        Some(None) => vec![ProblemKind::UnparsableCertificate],
        Some(Some(NameVerdict::Match)) | None => Vec::new(),
    }
}

fn chain(_: &TargetReport, report: &BackendReport, now: SystemTime) -> Vec<ProblemKind> {
    let Some(last) = &report.last_certificate else { return Vec::new() };
    last.assessment.reasons(now).iter().map(ProblemKind::ChainInvalid).collect()
}

fn staple(_: &TargetReport, report: &BackendReport, now: SystemTime) -> Vec<ProblemKind> {
    let Some(last) = &report.last_certificate else { return Vec::new() };
    last.assessment.chain.ocsp().reasons(unix(now)).map(ProblemKind::OcspStaple).collect()
}

fn config(target: &TargetReport, report: &BackendReport, _: SystemTime) -> Vec<ProblemKind> {
    let Some(last) = &report.last_certificate else { return Vec::new() };
    let expected = target.target.settings.expect_names.iter().zip(&last.assessment.expected);
    let missing = expected.filter(|(_, matches)| !**matches);
    let missing = missing.map(|(name, _)| ProblemKind::ExpectedNameMissing(name.to_string()));
    missing.chain((last.file_match == Some(false)).then_some(ProblemKind::DiffersFromFile)).collect()
}
