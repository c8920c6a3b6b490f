//! Failed lookups, and name servers that disagree.

use std::collections::{BTreeSet, HashSet};

use super::Advice;
use super::phrases::{addresses, advice};
use crate::reason::{AdviceKind, LookupReason, Severity, SkipReason};
use crate::snapshot::{EndpointReport, TargetReport};
use crate::target::{Endpoint, IpFamily, ServerName, TargetKind};
use crate::text::{conjunction, group_by, grouped, list, plural};

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
    found.extend(
        [SkipReason::AddressNotAllowed, SkipReason::PortNotAllowed]
            .iter()
            .filter_map(|reason| skipped(report, *reason)),
    );
    found.extend(without_route(report));
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

/// The hosts in records whose addresses or ports are not allowed.
fn skipped(report: &TargetReport, reason: SkipReason) -> Option<Advice> {
    let (records, domain) = match &report.target.kind {
        TargetKind::Host(_) => return None,
        TargetKind::Mx(mx) => ("MX", &mx.domain),
        TargetKind::Submission(submission) => ("SRV", &submission.domain),
    };
    let of_reason =
        |endpoint: &EndpointReport| endpoint.skipped.iter().find(|(other, _)| *other == reason).map(|it| it.1);
    let hosts = report.endpoints.iter().filter_map(|endpoint| Some((endpoint, of_reason(endpoint)?)));
    let hosts: Vec<(&EndpointReport, usize)> = hosts.collect();
    if hosts.is_empty() {
        return None;
    }
    let mut ports: BTreeSet<u16> = hosts.iter().map(|(endpoint, _)| endpoint.endpoint.port).collect();
    let has_port_0 = ports.remove(&0);
    let count: usize = hosts.iter().map(|(_, count)| count).sum();
    let (subject, are) =
        (format!("{} {}", grouped(count), plural(count, "address", "addresses")), plural(count, "is", "are"));
    let names: Vec<String> = {
        let name = |(endpoint, _): &(&EndpointReport, usize)| {
            let Endpoint { server_name, port, .. } = &*endpoint.endpoint;
            match reason {
                SkipReason::PortNotAllowed => server_name.with_port(*port),
                _ => format!("{server_name} ({})", addresses(&*endpoint.not_allowed)),
            }
        };
        // Records for STARTTLS and for implicit TLS may name the same port.
        unique(hosts.iter().map(name))
    };
    let (why, remedy) = match reason {
        SkipReason::PortNotAllowed => (
            plural(names.len(), "the port is not one of mail services", "the ports are not those of mail services")
                .to_owned(),
            port_remedy(&ports, has_port_0),
        ),
        _ => (
            format!(
                "{} that no router forwards (loopback, link-local or similar)",
                plural(count, "it is an address", "they are addresses")
            ),
            "If the servers are your own, add their network to `allow_addresses`.".to_owned(),
        ),
    };
    let no_mail = match &report.target.kind {
        TargetKind::Mx(_) if reason == SkipReason::AddressNotAllowed => {
            ", or with a null MX (RFC 7505) if the domain accepts no mail"
        }
        _ => "",
    };
    let text = format!(
        "{subject} of {} {are} not probed, because {why}. Ask the owner of {domain} to replace the {records} or address \
         records with those of the mail servers{no_mail}. {remedy}",
        conjunction(names, MAX_HOSTS)
    );
    let severity = if report.resolved().next().is_some() { Severity::Warning } else { Severity::Critical };
    Some(advice(AdviceKind::AddressesSkipped, severity, &text))
}

/// The items without repetitions, in order.
fn unique(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = HashSet::new();
    items.filter(|item| seen.insert(item.clone())).collect()
}

/// What to do about ports of SRV records that are not probed. Port 0 cannot be listed, since nothing listens on it.
fn port_remedy(ports: &BTreeSet<u16>, has_port_0: bool) -> String {
    let add = conjunction(ports.iter().map(ToString::to_string), MAX_HOSTS);
    let add = (!ports.is_empty()).then(|| format!("If the servers are for mail, add {add} to `allow_ports`."));
    let invalid = has_port_0.then(|| "An SRV record with port 0 is invalid, since no server has this port.".to_owned());
    [add, invalid].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The hosts none of whose addresses has a route from the exporter host.
fn without_route(report: &TargetReport) -> Option<Advice> {
    let lacks_route = |endpoint: &&EndpointReport| {
        let count = endpoint.skipped.iter().find(|(reason, _)| *reason == SkipReason::NoRoute).map(|(_, count)| *count);
        endpoint.resolved().next().is_none() && count.is_some_and(|count| count > 0)
    };
    let endpoints: Vec<&EndpointReport> = report.endpoints.iter().filter(lacks_route).collect();
    if endpoints.is_empty() {
        return None;
    }
    let name = |endpoint: &&EndpointReport| endpoint.endpoint.server_name.with_port(endpoint.endpoint.port);
    let names = unique(endpoints.iter().map(name));
    let severity = if report.without_route().is_some() { Severity::Critical } else { Severity::Info };
    let text = format!(
        "{} {} not probed, because DNS has only IPv6 addresses there and the exporter host has no IPv6 route to them. Give \
         the exporter host an IPv6 address and route (check `ip -6 route`; Docker networks have no IPv6 by default), or run \
         the exporter on a host that has them. If clients without IPv6 use the target, add A records. `ip_family` decides \
         which addresses are probed: `ipv4` reports the missing A records instead.",
        conjunction(names.iter().cloned(), MAX_HOSTS),
        plural(names.len(), "is", "are")
    );
    Some(advice(AdviceKind::AddressesSkipped, severity, &text))
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
const MAX_HOSTS: usize = 5;
const MAX_SEARCHED: usize = 8;
