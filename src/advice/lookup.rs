//! Failed lookups, and name servers that disagree.

use super::Advice;
use super::phrases::advice;
use crate::reason::{AdviceKind, LookupReason, Severity};
use crate::snapshot::TargetReport;
use crate::target::{IpFamily, ServerName, TargetKind};
use crate::text::{conjunction, group_by, list};

/// About the target as a whole.
pub(super) fn advise(report: &TargetReport) -> Vec<Advice> {
    let Some(lookup) = &report.lookup else { return Vec::new() };
    let (target, resolver) = (&report.target, &report.target.settings.resolver);
    let mut found = Vec::new();
    let groups = group_by(&lookup.failures, |failure| (&failure.name, failure.reason));
    for ((name, reason), failures) in groups.into_iter().take(MAX_FAILURES) {
        let severity = match reason {
            LookupReason::NullMx => Severity::Info,
            _ if failures.iter().all(|failure| failure.is_partial) => Severity::Warning,
            _ => Severity::Critical,
        };
        let alias = failures.iter().find_map(|failure| failure.alias.as_ref());
        let types = group_by(failures, |failure| failure.record_type).into_iter().map(|(kind, _)| kind);
        let types: Vec<&str> = types.collect();
        found.push(advice(AdviceKind::Dns, severity, &failure_text((name, alias), reason, &types, report)));
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
    if lookup.varies {
        let text = format!(
            "Repeated DNS queries for {} get different answers. The addresses in all of them were probed; clients get some \
             of them at a time. If this is not intended, compare the records on the name servers.",
            target.name
        );
        found.push(advice(AdviceKind::AnswersVary, Severity::Info, &text));
    }
    found
}

fn failure_text(
    (name, alias): (&ServerName, Option<&ServerName>),
    reason: LookupReason,
    types: &[&str],
    report: &TargetReport,
) -> String {
    let resolver = &report.target.settings.resolver;
    let is_ipv4_only = types == ["A"] && report.target.settings.ip_family == IpFamily::Auto;
    let types = conjunction(types.iter().map(ToString::to_string), types.len());
    // Both families are missing if both were queried.
    let not_queried =
        if is_ipv4_only { "; AAAA is not queried, because the exporter host has no IPv6 address" } else { "" };
    let searched = report.lookup.iter().flat_map(|lookup| &lookup.searched).map(ToString::to_string);
    let searched: Vec<String> = searched.collect();
    let searched = match searched.is_empty() {
        true => String::new(),
        false => format!(" The names of the search list have no addresses either: {}.", list(searched, MAX_SEARCHED)),
    };
    match reason {
        LookupReason::NxDomain | LookupReason::NoData if let Some(alias) = alias => {
            let lack = match reason {
                LookupReason::NxDomain => "does not exist in DNS",
                _ => "has no usable records",
            };
            format!(
                "{name} is an alias (CNAME) of {alias}, which {lack} (queried for {types}{not_queried}): correct the CNAME \
                 record, or add {alias} to its zone."
            )
        }
        LookupReason::NxDomain => format!(
            "{name} does not exist in DNS (queried for {types}{not_queried}): correct the name, or add it to its zone.{searched}"
        ),
        LookupReason::NoData => format!(
            "{name} exists in DNS, but has no usable records of type {types}{not_queried}: correct its zone.{searched}"
        ),
        LookupReason::Unreachable => format!(
            "No name server of the resolver `{resolver}` can be reached, so {name} ({types}) is not looked up: start the name \
             server, or correct {}.",
            if &**resolver == "system" {
                "/etc/resolv.conf of the exporter host, where no valid `nameserver` line means 127.0.0.1".to_owned()
            } else {
                format!("`nameservers` of `{resolver}` in the configuration")
            }
        ),
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
const MAX_SEARCHED: usize = 8;
