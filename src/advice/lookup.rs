//! Failed lookups, and name servers that disagree.

use super::Advice;
use super::phrases::advice;
use crate::reason::{AdviceKind, LookupReason, Severity};
use crate::snapshot::TargetReport;
use crate::target::{IpFamily, ServerName, TargetKind};
use crate::text::{conjunction, group_by};

/// About the target as a whole.
pub(super) fn advise(report: &TargetReport) -> Vec<Advice> {
    let Some(lookup) = &report.lookup else { return Vec::new() };
    let (target, resolver) = (&report.target, &report.target.settings.resolver);
    let mut found = Vec::new();
    let groups = group_by(&lookup.failures, |failure| (&failure.name, failure.reason));
    let families = if matches!(target.settings.ip_family, IpFamily::Auto | IpFamily::Any) { 2 } else { 1 };
    for ((name, reason), failures) in groups.into_iter().take(MAX_FAILURES) {
        let types = group_by(failures, |failure| failure.record_type).into_iter().map(|(kind, _)| kind);
        let types: Vec<&str> = types.collect();
        let is_whole = types.len() >= families || types.iter().any(|kind| !matches!(*kind, "A" | "AAAA"));
        let severity = match reason {
            LookupReason::NullMx => Severity::Info,
            _ if is_whole => Severity::Critical,
            _ => Severity::Warning,
        };
        found.push(advice(AdviceKind::Dns, severity, &failure_text(name, reason, &types, resolver)));
    }
    if let (TargetKind::Mx(mx), Some(0), true) = (&target.kind, lookup.hosts, lookup.success) {
        let text = format!("{} publishes a null MX: it accepts no mail (RFC 7505), so nothing is probed.", mx.domain);
        found.push(advice(AdviceKind::Dns, Severity::Info, &text));
    }
    if lookup.disagree == Some(true) {
        let text = format!(
            "The name servers of the resolver `{resolver}` give different answers for {}, so clients reach different \
             servers: compare the zone on each name server, starting with the SOA serial number.",
            target.name
        );
        found.push(advice(AdviceKind::NameServersDisagree, Severity::Warning, &text));
    }
    found
}

fn failure_text(name: &ServerName, reason: LookupReason, types: &[&str], resolver: &str) -> String {
    let types = conjunction(types.iter().map(ToString::to_string), types.len());
    match reason {
        LookupReason::NxDomain => {
            format!("{name} does not exist in DNS (queried for {types}): correct the name, or add it to its zone.")
        }
        LookupReason::NoData => {
            format!("{name} exists in DNS, but has no usable records of type {types}: correct its zone.")
        }
        LookupReason::Timeout => format!(
            "No name server of the resolver `{resolver}` answered in time for {name} ({types}): check the resolver and the \
             name servers of the zone."
        ),
        LookupReason::ServFail => format!(
            "The resolver `{resolver}` fails to resolve {name} ({types}; SERVFAIL, REFUSED or a similar error): check the \
             name servers of the zone, its delegation and its DNSSEC signatures."
        ),
        LookupReason::Bogus => format!(
            "The DNS answer for {name} ({types}) fails DNSSEC validation: fix the signatures of the zone or its DS record."
        ),
        LookupReason::NullMx => format!(
            "{name} publishes a null MX, which means that it accepts no mail (RFC 7505), next to other {types} records: \
             remove either the null MX or the other records."
        ),
    }
}

const MAX_FAILURES: usize = 10;
