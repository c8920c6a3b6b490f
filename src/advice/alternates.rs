//! The remedies for a mismatch: an alternate name that all certificates list, else a name of one backend.

use std::cmp::Reverse;
use std::net::IpAddr;

use super::Advice;
use super::context::{BackendCertificate, Context};
use super::phrases::{self, advice, list};
use crate::reason::{AdviceKind, Resolves, Severity};
use crate::snapshot::alternates::{alternate_candidates, common_labels, resolves};
use crate::target::{ServerName, TargetKind};
use crate::text::{conjunction, grouped, plural};

/// What clients can do until the certificates are reissued.
pub(super) fn remedies(context: &Context<'_>) -> Vec<Advice> {
    let alternates = alternates(context);
    let usable: Vec<&Alternate<'_>> =
        alternates.iter().filter(|alternate| alternate.resolves == Resolves::All).collect();
    let mut found: Vec<Advice> = if let [best, others @ ..] = usable.as_slice() {
        use_alternate(context, best, others).into_iter().collect()
    } else if alternates.is_empty() {
        use_backend_name(context).into_iter().collect()
    } else {
        alternates_elsewhere(context, alternates)
    };
    // Senders look up MX records again for every attempt.
    if !found.is_empty() && !matches!(context.target.target.kind, TargetKind::Mx(_)) {
        let text = "Mail that is already queued keeps the name it was queued with: purge or requeue it after changing the \
                    name, then test again.";
        found.push(advice(AdviceKind::QueuedMail, Severity::Info, text));
    }
    found
}

/// A name that the certificates of all resolved backends list, and what it resolves to.
struct Alternate<'a> {
    name: ServerName,
    resolves: Resolves,
    addresses: &'a [IpAddr],
}

/// The alternate names of the report and candidates that are not looked up yet. Names are matched again, since backends
/// may have been added after the lookup.
fn alternates<'a>(context: &Context<'a>) -> Vec<Alternate<'a>> {
    if context.certificates.len() != context.resolved.len() {
        return Vec::new();
    }
    let matches_all = |name: &ServerName| {
        name != context.server_name() && context.certificates.iter().all(|certificate| certificate.lists(name))
    };
    let looked_up = context.report.alternates.iter().filter(|alternate| matches_all(&alternate.name));
    let mut found: Vec<Alternate<'_>> = looked_up
        .map(|alternate| {
            let addresses = (alternate.resolves != Resolves::Unknown).then_some(&*alternate.addresses);
            let resolves = resolves(addresses, context.report);
            Alternate { name: alternate.name.clone(), resolves, addresses: &alternate.addresses }
        })
        .collect();
    for name in alternate_candidates(context.report) {
        if !found.iter().any(|known| known.name == name) {
            found.push(Alternate { name, resolves: Resolves::Unknown, addresses: &[] });
        }
    }
    found
}

fn use_alternate(context: &Context<'_>, best: &Alternate<'_>, others: &[&Alternate<'_>]) -> Option<Advice> {
    let (name, in_records) = (&best.name, context.in_records());
    let same_backends = plural(context.resolved.len(), "the same backend", "the same backends");
    let (use_it, valid, but) = match invalid_chains(context) {
        None => ("Use".to_owned(), true, String::new()),
        Some((problem, remedy)) => (format!("{remedy}, then use"), false, format!(", but {problem}")),
    };
    let certificates = certificates_list_it(context, valid);
    let mut text =
        format!("{use_it} {name} instead{in_records}: {certificates}, and it resolves to {same_backends}{but}.");
    if !others.is_empty() {
        let names = conjunction(others.iter().map(|other| other.name.to_string()), MAX_NAMES);
        text.push_str(&format!(" The same applies to {names}."));
    }
    text.push_str(&caveats(context));
    about_all_backends(context, AdviceKind::UseAlternateName, &text)
}

/// The remedies with alternate names that are not known to resolve to exactly these backends.
fn alternates_elsewhere(context: &Context<'_>, mut alternates: Vec<Alternate<'_>>) -> Vec<Advice> {
    alternates.sort_by_key(|alternate| match alternate.resolves {
        Resolves::All | Resolves::Part => 0,
        Resolves::Unknown => 1,
        Resolves::Nowhere => 2,
        Resolves::Elsewhere => 3,
    });
    let addresses: Vec<IpAddr> = context.resolved.iter().map(|report| report.backend.address).collect();
    let (server_name, in_records) = (context.server_name(), context.in_records());
    let (certificates, but) = match invalid_chains(context) {
        None => (certificates_list_it(context, true), "but"),
        Some((problem, _)) => (format!("{}, but {problem}", certificates_list_it(context, false)), "and"),
    };
    let text = |alternate: &Alternate<'_>| {
        let name = &alternate.name;
        let (remedy, state) = match alternate.resolves {
            Resolves::All | Resolves::Part | Resolves::Nowhere => {
                let missing = addresses.iter().filter(|address| !alternate.addresses.contains(address));
                let missing = phrases::addresses(missing);
                let state = match alternate.addresses {
                    [] => "it has no address".to_owned(),
                    some => format!("it resolves to {} only", phrases::addresses(some)),
                };
                (format!("Add address records for {missing} to {name}, then use it instead{in_records}"), state)
            }
            Resolves::Elsewhere => {
                let others: Vec<&IpAddr> =
                    alternate.addresses.iter().filter(|address| !addresses.contains(address)).collect();
                let also = if others.len() < alternate.addresses.len() { "also " } else { "" };
                let which_are = plural(others.len(), "which is not an address", "which are not addresses");
                (
                    format!("Use {name} instead{in_records} only once it resolves to the same addresses"),
                    format!("it {also}resolves to {}, {which_are} of {server_name}", phrases::addresses(others)),
                )
            }
            Resolves::Unknown => (
                format!("Use {name} instead{in_records} if it resolves to the same addresses and to no others"),
                "it is not known what it resolves to".to_owned(),
            ),
        };
        format!("{remedy}: {certificates}, {but} {state}.{}", caveats(context))
    };
    let alternates = alternates.iter().take(MAX_NAMES);
    alternates
        .filter_map(|alternate| about_all_backends(context, AdviceKind::AlternateNameElsewhere, &text(alternate)))
        .collect()
}

/// The remedy without an alternate name: a name of one reachable backend whose chain is valid.
fn use_backend_name(context: &Context<'_>) -> Option<Advice> {
    let is_usable =
        |certificate: &&BackendCertificate<'_>| certificate.report.is_reachable() && certificate.valid == Some(true);
    let mut usable = context.certificates.iter().filter(is_usable);
    let (certificate, name) = usable.find_map(|certificate| Some((certificate, own_name(context, certificate)?)))?;
    let unread = context.resolved.iter().filter(|report| report.leaf().is_none_or(|leaf| leaf.facts().is_none()));
    let unread: Vec<&IpAddr> = unread.map(|report| &report.backend.address).collect();
    let reason = if unread.is_empty() {
        "No name was found that all certificates list.".to_owned()
    } else {
        format!(
            "It is not known whether all certificates have a name in common, because no certificate of {} could be read.",
            phrases::addresses(unread)
        )
    };
    let address = certificate.report.backend.address;
    let text = format!(
        "Until the certificates are reissued, use {name} instead{}, if it resolves to {address} and to no other address: the \
         certificate of {address} is valid and lists it. All mail then depends on this one server, without redundancy. \
         {reason}",
        context.in_records()
    );
    Some(list(&[certificate])?.advice(AdviceKind::UseBackendName, Severity::Info, &text))
}

/// A DNS name that a certificate lists, preferably one that few other certificates list.
fn own_name(context: &Context<'_>, certificate: &BackendCertificate<'_>) -> Option<ServerName> {
    let exact = certificate.facts?.dns_names().filter(|name| !name.contains('*'));
    let exact = exact.filter_map(|name| ServerName::parse(name).ok());
    let others = |name: &ServerName| context.certificates.iter().filter(|other| other.lists(name)).count();
    // Matching reads all names of a certificate: only a few names of a long list are tried.
    let own = exact.filter(|name| name.dns().is_some() && name != context.server_name()).take(MAX_OWN_NAMES);
    own.filter(|name| certificate.lists(name))
        .min_by_key(|name| (others(name), Reverse(common_labels(name, context.server_name()))))
}

/// `all 3 certificates list it`; with `valid`, that they are valid as well.
fn certificates_list_it(context: &Context<'_>, valid: bool) -> String {
    let count = context.resolved.len();
    let subject = match context.resolved.as_slice() {
        [one] => format!("the certificate of {}", one.backend.address),
        [_, _] => "both certificates".to_owned(),
        _ => format!("all {count} certificates"),
    };
    let valid = if valid { plural(count, "is valid and ", "are valid and ") } else { "" };
    format!("{subject} {valid}{}", plural(count, "lists it", "list it"))
}

/// Why not all chains are known to be valid, and what to do before an alternate name is used. None if all are valid.
fn invalid_chains(context: &Context<'_>) -> Option<(String, &'static str)> {
    let part = |valid, before: &str, state: &str| {
        let found = list(&context.certificates_where(|certificate| certificate.valid == valid))?;
        let (chains, are) = (found.plural("the chain of", "the chains of"), found.plural("is", "are"));
        Some(format!("{before}{chains} {} {are} {state}", found.list))
    };
    let (invalid, unknown) = (part(Some(false), "", "not valid"), part(None, "it is not known whether ", "valid"));
    let remedy = if invalid.is_none() { "Check the chain" } else { "Fix the chain" };
    let problems: Vec<String> = invalid.into_iter().chain(unknown).collect();
    (!problems.is_empty()).then(|| (problems.join(", and "), remedy))
}

/// What remains uncertain although all certificates are known.
fn caveats(context: &Context<'_>) -> String {
    let outdated = list(&context.certificates_where(|certificate| certificate.is_outdated))
        .map(|found| format!(" {} cannot be probed at present.", found.list));
    let several = list(&context.certificates_where(|certificate| certificate.last.distinct > 1)).map(|found| {
        format!(" {} recently presented more than one certificate, of which only one was considered.", found.list)
    });
    let skipped: usize = context.report.skipped.iter().map(|(_, count)| count).sum();
    let skipped = (skipped > 0).then(|| {
        let addresses = format!("{} more {}", grouped(skipped), plural(skipped, "address", "addresses"));
        let (are, them) = (plural(skipped, "is", "are"), plural(skipped, "it", "them"));
        let name = context.server_name();
        format!(" {addresses} of {name} {are} not probed, so nothing is known about {them}.")
    });
    [outdated, several, skipped].into_iter().flatten().collect()
}

fn about_all_backends(context: &Context<'_>, kind: AdviceKind, text: &str) -> Option<Advice> {
    Some(list(&context.certificates_where(|_| true))?.advice(kind, Severity::Info, text))
}

const MAX_NAMES: usize = 3;
/// Names of one certificate that are matched against all others.
const MAX_OWN_NAMES: usize = 8;
