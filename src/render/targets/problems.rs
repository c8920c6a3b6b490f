//! What is wrong with a target, each thing once, with the backends of which it is true.

use std::time::SystemTime;

use crate::client_errors::{self, ClientErrors};
use crate::reason::{ChainReason, LookupReason, NameReason, OcspReason, ProbeReason, Stage};
use crate::snapshot::{BackendReport, LookupFailure, TargetReport};
use crate::target::{Backend, ServerName};
use crate::verdict::{NameVerdict, unix};

/// One thing that is wrong.
pub(super) struct Wrong {
    pub(super) what: What,
    /// Empty where it is about the target as a whole.
    pub(super) backends: Vec<Backend>,
}

/// What may be wrong. Equal things of several backends are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A name, the record types that were asked for, and why there was no answer.
    Lookup(ServerName, Vec<&'static str>, LookupReason),
    NoBackend,
    NameServersDisagree,
    NotProbed,
    Failure(Stage, ProbeReason),
    Name(NameReason),
    Chain(ChainReason),
    Staple(OcspReason),
    /// A name that the config expects is missing.
    Expected(String),
    OtherThanFile,
    /// The certificate cannot be parsed.
    Unreadable,
}

impl What {
    /// One sentence.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Lookup(name, kinds, reason) => {
                format!("lookup of {name} {}: {reason}: {}", kinds.join(" and "), reason.doc())
            }
            Self::NoBackend => "no backend: there is no address to probe".to_owned(),
            Self::NameServersDisagree => "the name servers give different answers".to_owned(),
            Self::NotProbed => "not probed: this machine could not, or not in time".to_owned(),
            Self::Failure(stage, reason) => format!("{stage} {reason}: {}", reason.doc()),
            Self::Name(reason) => format!("name {reason}: {}", reason.doc()),
            Self::Chain(reason) => format!("chain {reason}: {}", reason.doc()),
            Self::Staple(reason) => format!("ocsp {reason}: {}", reason.doc()),
            Self::Expected(name) => format!("expected name missing: {name}"),
            Self::OtherThanFile => "another certificate than in the certificate_file is served".to_owned(),
            Self::Unreadable => "the certificate cannot be read, so nothing is known of its names".to_owned(),
        }
    }

    /// The word for it with what clients say of it, where there is one.
    pub(super) fn client_errors(&self) -> Option<(&'static str, ClientErrors)> {
        match self {
            Self::Failure(_, reason) => Some((reason.as_str(), client_errors::for_probe(*reason)?)),
            Self::Name(reason) => Some((reason.as_str(), client_errors::for_name(*reason))),
            Self::Chain(reason) => Some((reason.as_str(), client_errors::for_chain(*reason))),
            Self::Staple(reason) => Some((reason.as_str(), client_errors::for_ocsp(*reason))),
            Self::Lookup(..)
            | Self::NoBackend
            | Self::NameServersDisagree
            | Self::NotProbed
            | Self::Expected(_)
            | Self::OtherThanFile
            | Self::Unreadable => None,
        }
    }
}

/// All that is wrong with `report` at `now`, in the order in which it is met.
pub(super) fn of(report: &TargetReport, now: SystemTime) -> Vec<Wrong> {
    let mut all = Vec::new();
    if let Some(lookup) = &report.lookup {
        for LookupFailure { name, record_type, reason } in &lookup.failures {
            let same = |wrong: &&mut Wrong| matches!(&wrong.what, What::Lookup(n, _, r) if n == name && r == reason);
            match all.iter_mut().find(same) {
                Some(Wrong { what: What::Lookup(_, kinds, _), .. }) => kinds.push(record_type),
                _ => note(&mut all, What::Lookup(name.clone(), vec![record_type], *reason), None),
            }
        }
        if lookup.disagree == Some(true) {
            note(&mut all, What::NameServersDisagree, None);
        }
    }
    let backends: Vec<_> = report.resolved().collect();
    let says_why = report.lookup.as_ref().is_some_and(|lookup| match lookup.hosts {
        Some(0) => lookup.success,
        _ => !lookup.failures.is_empty(),
    });
    if backends.is_empty() && report.last_round.is_some() && !says_why {
        note(&mut all, What::NoBackend, None);
    }
    for kind in KINDS {
        for backend in &backends {
            for what in kind(report, backend, now) {
                note(&mut all, what, Some(&backend.backend));
            }
        }
    }
    all
}

fn note(all: &mut Vec<Wrong>, what: What, backend: Option<&Backend>) {
    match all.iter_mut().find(|wrong| wrong.what == what) {
        Some(known) => known.backends.extend(backend.cloned()),
        None => all.push(Wrong { what, backends: backend.cloned().into_iter().collect() }),
    }
}

type Kind = fn(&TargetReport, &BackendReport, SystemTime) -> Vec<What>;

/// What stops clients first comes first.
const KINDS: [Kind; 5] = [probe, name, chain, staple, config];

fn probe(_: &TargetReport, report: &BackendReport, _: SystemTime) -> Vec<What> {
    match &report.probe {
        None => vec![What::NotProbed],
        Some(probe) => probe
            .outcome
            .as_ref()
            .err()
            .map(|failure| What::Failure(failure.stage, failure.reason))
            .into_iter()
            .collect(),
    }
}

fn name(_: &TargetReport, report: &BackendReport, _: SystemTime) -> Vec<What> {
    match report.last_certificate.as_ref().map(|last| last.assessment.name) {
        Some(Some(NameVerdict::Mismatch(reason))) => vec![What::Name(reason)],
        Some(None) => vec![What::Unreadable],
        Some(Some(NameVerdict::Match)) | None => Vec::new(),
    }
}

fn chain(_: &TargetReport, report: &BackendReport, now: SystemTime) -> Vec<What> {
    let reasons = report.last_certificate.as_ref().map(|last| last.assessment.reasons(now));
    reasons.map(|reasons| reasons.iter().map(What::Chain).collect()).unwrap_or_default()
}

fn staple(_: &TargetReport, report: &BackendReport, now: SystemTime) -> Vec<What> {
    let last = report.last_certificate.as_ref();
    last.map(|last| last.assessment.chain.ocsp().reasons(unix(now)).map(What::Staple).collect()).unwrap_or_default()
}

fn config(target: &TargetReport, report: &BackendReport, _: SystemTime) -> Vec<What> {
    let Some(last) = &report.last_certificate else { return Vec::new() };
    let expected = target.target.settings.expect_names.iter().zip(&last.assessment.expected);
    let missing = expected.filter(|(_, matches)| !**matches).map(|(name, _)| What::Expected(name.to_string()));
    missing.chain((last.file_match == Some(false)).then_some(What::OtherThanFile)).collect()
}
