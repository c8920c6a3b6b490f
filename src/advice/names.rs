//! Certificates that do not list a name: the server name, or one that the configuration expects.

use super::context::{BackendCertificate, Context};
use super::phrases::{self, list, list_with_notes};
use super::request::Problem;
use super::{Advice, alternates};
use crate::client_errors;
use crate::reason::{AdviceKind, NameReason, Severity};
use crate::target::ServerName;
use crate::text::{conjunction, counted, group_by, plural};
use crate::verdict::NameVerdict;
use crate::verdict::name::wildcard_parent;
use crate::verdict::near_miss::near_misses;

/// The certificates that do not list the server name, and the remedies for it.
pub(super) fn mismatches(context: &Context<'_>) -> Vec<Advice> {
    let lists_no_dns_name = |certificate: &BackendCertificate<'_>| {
        certificate.facts.is_some_and(|facts| facts.dns_names().next().is_none())
    };
    let mut found = Vec::new();
    for reason in NameReason::ALL {
        // If only the common name has the server name, some clients accept it unless the certificate lists DNS names.
        let groups = group_by(mismatched(context, *reason), |certificate| {
            *reason == NameReason::CnOnly && lists_no_dns_name(certificate)
        });
        found.extend(groups.iter().filter_map(|(no_dns_name, group)| mismatch(context, *reason, *no_dns_name, group)));
    }
    if !found.is_empty() {
        found.sort_by_key(|advice| advice.severity);
        found.extend(wildcards(context));
        found.extend(alternates::remedies(context));
    }
    found
}

fn mismatched<'c, 'a>(context: &'c Context<'a>, reason: NameReason) -> Vec<&'c BackendCertificate<'a>> {
    let mismatch = Some(NameVerdict::Mismatch(reason));
    context.certificates_where(|certificate| certificate.assessment().name == mismatch)
}

fn mismatch(
    context: &Context<'_>,
    reason: NameReason,
    no_dns_name: bool,
    mismatched: &[&BackendCertificate<'_>],
) -> Option<Advice> {
    let name = context.server_name();
    let backends = list_with_notes(mismatched, |certificate| presented_names(name, certificate))?;
    let list = &backends.list;
    let do_not_list = backends.plural("does not list", "do not list");
    let present = match &backends.note {
        Some(note) => format!(" ({} {note})", backends.plural("it presents", "they present")),
        None => ", only the names in parentheses".to_owned(),
    };
    let reissue = backends.plural("reissue its certificate", "reissue their certificates");
    let problem = match reason {
        NameReason::NotListed | NameReason::WildcardDepth => format!("{list} {do_not_list} {name}{present}"),
        NameReason::CnOnly => format!(
            "{list} {} {name} in the common name only, which clients no longer read (RFC 9525 §2)",
            backends.plural("has", "have")
        ),
        NameReason::NoSan => {
            let present = backends.plural("presents a certificate", "present certificates");
            format!("{list} {present} without any DNS name")
        }
        NameReason::IpReference => format!("{list} {do_not_list} {name} as an IP address{present}"),
    };
    let (kind, fix) = match reason {
        NameReason::IpReference => (
            AdviceKind::IpReference,
            format!("use a DNS name instead, or {reissue} with {name} added as an IP address subject alternative name"),
        ),
        _ => (AdviceKind::Reissue, format!("{reissue} with {name} added as a DNS subject alternative name")),
    };
    let clients = client_errors::for_name(reason);
    let severity = if no_dns_name { context.rejection_severity_by(&clients) } else { context.rejection_severity() };
    let advice = backends.advice(kind, severity, &format!("{problem}: {fix}."));
    Some(advice.with_request(context, &mismatch_problem(context, reason, mismatched), mismatched, Some(clients)))
}

/// A mismatch as the request describes it. The request also asks for the expected names that are missing.
fn mismatch_problem(context: &Context<'_>, reason: NameReason, mismatched: &[&BackendCertificate<'_>]) -> Problem {
    let name = context.server_name();
    let (subject, added) = match name.ip() {
        Some(_) => (format!("certificate does not list the IP address {name}"), format!("{name} (as an IP address)")),
        None => (format!("certificate does not list {name}"), name.to_string()),
    };
    let mut description = format!("{} {name} as a subject alternative name", do_not_list(mismatched));
    description.push_str(match reason {
        NameReason::NotListed | NameReason::IpReference => "",
        NameReason::WildcardDepth => ". A wildcard matches exactly one label (RFC 9525 §6.3)",
        NameReason::CnOnly => ", only in the common name, which clients no longer read (RFC 9525 §2)",
        NameReason::NoSan => ", nor any other DNS name",
    });
    let near = near_miss(name, mismatched);
    description.push_str(&near.map(|near| format!(": {near}")).unwrap_or_default());
    let missing = missing_names_of_all(context, mismatched);
    let added = std::iter::once(added).chain(missing.iter().map(ToString::to_string));
    Problem::new(subject, description, reissue_with(mismatched, &conjunction(added, MAX_EXPECTED + 1)))
}

fn do_not_list(certificates: &[&BackendCertificate<'_>]) -> &'static str {
    plural(certificates.len(), "the certificate does not list", "the certificates do not list")
}

fn reissue_with(certificates: &[&BackendCertificate<'_>], names: &str) -> String {
    let reissue = plural(
        certificates.len(),
        "reissue the certificate: keep the subject alternative names that it has",
        "reissue the certificates: keep the subject alternative names that they have",
    );
    format!("{reissue}, and add {names}. Then reload the {}", plural(certificates.len(), "server", "servers"))
}

/// The names on a certificate, and on how many connections, if the address presents several certificates.
fn presented_names(name: &ServerName, certificate: &BackendCertificate<'_>) -> String {
    let names = certificate.facts.map(|facts| phrases::names(name, facts, MAX_NAMES)).unwrap_or_default();
    match certificate.last.mismatched_samples.filter(|_| certificate.last.distinct > 1) {
        Some(count) => format!("{names} on {}", counted(count, "recent connection")),
        None => names,
    }
}

/// Why an entry does not match `name`, although it looks like it: the first one of these certificates.
fn near_miss(name: &ServerName, certificates: &[&BackendCertificate<'_>]) -> Option<String> {
    let near = certificates.iter().filter_map(|certificate| near_misses(name, certificate.facts?).into_iter().next());
    let near = near.into_iter().next()?;
    Some(format!("the entry {} {}", near.quoted(MAX_NAME_CHARS), near.predicate()))
}

fn wildcards(context: &Context<'_>) -> Vec<Advice> {
    let Some(name) = context.server_name().dns() else { return Vec::new() };
    let groups = group_by(mismatched(context, NameReason::WildcardDepth), |certificate| {
        certificate.facts?.dns_names().find_map(|presented| wildcard_parent(presented, name))
    });
    let mut found = Vec::new();
    for (parent, certificates) in groups.into_iter().take(MAX_WILDCARDS) {
        let (Some(parent), Some(backends)) = (parent, list(&certificates)) else { continue };
        let depth = name.split('.').count().saturating_sub(parent.split('.').count());
        let (depth, add) = match name.split_once('.') {
            Some((_, above)) if depth > 0 => {
                (format!("which is {depth} labels below {parent}"), format!("{name} or *.{above}"))
            }
            _ => ("which has no label in place of the wildcard".to_owned(), name.to_owned()),
        };
        let text = format!(
            "*.{parent} on {} matches exactly one label (RFC 9525 §6.3): it matches names such as mail.{parent}, but \
             not {name}, {depth}. Add {add} to the {}, or use a name one label below {parent}{} that resolves to the same \
             backends.",
            backends.list,
            backends.plural("certificate", "certificates"),
            context.in_records()
        );
        found.push(backends.advice(AdviceKind::WildcardDepth, Severity::Info, &text));
    }
    found
}

pub(super) fn expected_names(context: &Context<'_>) -> Vec<Advice> {
    let incomplete = context.certificates_where(|certificate| !missing_names(context, certificate).is_empty());
    let backends = list_with_notes(&incomplete, |certificate| {
        conjunction(missing_names(context, certificate).iter().map(ToString::to_string), MAX_EXPECTED)
    });
    let Some(backends) = backends else { return Vec::new() };
    let missing = missing_names_of_all(context, &incomplete);
    let added = plural(missing.len(), "the missing name", "the missing names");
    let text = format!(
        "{} {} {}, which the configuration expects (`expect_names`): {} with {added} added.",
        backends.list,
        backends.plural("does not list", "do not list"),
        backends.note.as_deref().unwrap_or("the names in parentheses"),
        backends.plural("reissue its certificate", "reissue their certificates")
    );
    let near = missing.iter().find_map(|name| near_miss(name, &incomplete));
    let text = text + &near.as_ref().map(|near| format!(" It looks listed, but {near}.")).unwrap_or_default();
    let names = conjunction(missing.iter().map(ToString::to_string), MAX_EXPECTED);
    let problem = Problem::new(
        format!("certificate does not list {names}"),
        format!(
            "{} {} that we expect: {names}{}",
            do_not_list(&incomplete),
            plural(missing.len(), "a name", "all of the names"),
            near.map(|near| format!(". It looks listed, but {near}")).unwrap_or_default()
        ),
        reissue_with(&incomplete, &names),
    );
    let advice = backends.advice(AdviceKind::ExpectedName, Severity::Warning, &text);
    vec![advice.with_request(context, &problem, &incomplete, None)]
}

/// The expected names that a certificate does not list, without the server name.
fn missing_names<'a>(context: &Context<'a>, certificate: &BackendCertificate<'_>) -> Vec<&'a ServerName> {
    let names = context.target.target.settings.expect_names.iter().zip(&certificate.assessment().expected);
    names.filter(|(name, matches)| !**matches && *name != context.server_name()).map(|(name, _)| name).collect()
}

fn missing_names_of_all<'a>(context: &Context<'a>, certificates: &[&BackendCertificate<'_>]) -> Vec<&'a ServerName> {
    let mut names: Vec<&ServerName> =
        certificates.iter().flat_map(|certificate| missing_names(context, certificate)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

const MAX_NAMES: usize = 5;
const MAX_NAME_CHARS: usize = 200;
const MAX_EXPECTED: usize = 10;
const MAX_WILDCARDS: usize = 3;
