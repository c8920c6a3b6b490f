//! Lookups that fail, and name servers that disagree.

use super::{Advice, Story, phrases};
use crate::observation::LookupFailure;
use crate::reason::{AdviceKind, LookupReason, Severity};
use crate::snapshot::TargetReport;
use crate::target::{IpFamily, TargetKind};
use crate::text::printable;

/// About the target as a whole.
pub(super) fn of(report: &TargetReport) -> Vec<Story> {
    let Some(lookup) = &report.lookup else { return Vec::new() };
    let target = &report.target;
    let mut advice = Vec::new();
    let mut said: Vec<(&LookupFailure, Vec<&'static str>)> = Vec::new();
    for failure in &lookup.failures {
        let same = |known: &&mut (&LookupFailure, Vec<&'static str>)| {
            (&known.0.name, known.0.reason) == (&failure.name, failure.reason)
        };
        match said.iter_mut().find(same) {
            Some((_, types)) if types.contains(&failure.record_type) => {}
            Some((_, types)) => types.push(failure.record_type),
            None => said.push((failure, vec![failure.record_type])),
        }
    }
    let families = if matches!(target.settings.ip_family, IpFamily::Auto | IpFamily::Any) { 2 } else { 1 };
    for (failure, types) in said.into_iter().take(MAX_FAILURES) {
        let is_whole = types.len() >= families || types.iter().any(|kind| !matches!(*kind, "A" | "AAAA"));
        let severity = match failure.reason {
            LookupReason::NullMx => Severity::Info,
            _ if is_whole => Severity::Critical,
            _ => Severity::Warning,
        };
        advice.push(about(AdviceKind::Dns, severity, &failed(failure, &types, &target.settings.resolver)));
    }
    if let (TargetKind::Mx(mx), Some(0), true) = (&target.kind, lookup.hosts, lookup.success) {
        let text = format!("{} says by a null MX that it takes no mail (RFC 7505): nothing is probed.", mx.domain);
        advice.push(about(AdviceKind::Dns, Severity::Info, &text));
    }
    if lookup.disagree == Some(true) {
        let text = format!(
            "The name servers of the resolver `{}` give different answers for {}, so that clients meet different servers: \
             compare the zone on each (its serial, first).",
            target.settings.resolver, target.name
        );
        advice.push(about(AdviceKind::NameServersDisagree, Severity::Warning, &text));
    }
    advice.into_iter().map(|advice| vec![advice]).collect()
}

fn failed(failure: &LookupFailure, types: &[&'static str], resolver: &str) -> String {
    let (name, types) = (&failure.name, phrases::some_of(types.iter().map(ToString::to_string), types.len()));
    match failure.reason {
        LookupReason::NxDomain => {
            format!("{name} does not exist in DNS (asked for {types}): mend the name, or its zone.")
        }
        LookupReason::NoData => {
            format!("{name} exists in DNS, but has no {types} record that could be used: mend its zone.")
        }
        LookupReason::Timeout => format!(
            "No name server of the resolver `{resolver}` answered in time for {name} ({types}): see to the resolver, and to \
             the zone's own servers."
        ),
        LookupReason::ServFail => format!(
            "The resolver `{resolver}` fails on {name} ({types}; SERVFAIL, REFUSED or the like): see to the zone's servers, \
             its delegation and its DNSSEC signatures."
        ),
        LookupReason::Bogus => {
            format!(
                "What DNS says of {name} ({types}) fails DNSSEC validation: mend the zone's signatures or its DS record."
            )
        }
        LookupReason::NullMx => format!(
            "{name} says by a null MX that it takes no mail (RFC 7505), beside other {types} records: keep one or the other."
        ),
    }
}

fn about(kind: AdviceKind, severity: Severity, text: &str) -> Advice {
    let text = printable(text, phrases::MAX_TEXT);
    Advice { kind, severity, backends: Vec::new(), text, request: None, clients: None }
}

/// Failures that are told one by one.
const MAX_FAILURES: usize = 10;
