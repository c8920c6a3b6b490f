//! The certificates that a backend presented. A chain that several backends present is shown once.

use std::time::SystemTime;

use maud::{Markup, html};

use super::elements::{clean, fact, timestamp_unix};
use crate::snapshot::LastCertificate;
use crate::text::{counted, grouped, or_none};
use crate::verdict::Certificate;
use crate::verdict::certificate::hex;
use crate::verdict::near_miss::shown;

/// The chains that a section has shown: their fingerprints, and the id of the backend's element.
#[derive(Debug, Default)]
pub(super) struct ShownChains(Vec<(Vec<[u8; 32]>, String)>);

/// The chain that the backend with the element `id` presented last. The server certificate is expanded if `is_open`.
pub(super) fn presented(
    last: &LastCertificate,
    id: &str,
    is_open: bool,
    shown: &mut ShownChains,
    now: SystemTime,
) -> Markup {
    let chain = last.assessment.chain.certificates();
    let fingerprints: Vec<[u8; 32]> = chain.iter().map(|certificate| certificate.fingerprint()).collect();
    if let Some((_, other)) = shown.0.iter().find(|(known, _)| *known == fingerprints) {
        return html! { p { "Presents the same certificates as " a href={ "#" (other) } { "the backend above" } "." } };
    }
    shown.0.push((fingerprints, id.to_owned()));
    let missing = last.assessment.missing();
    html! {
        @for (number, each) in chain.iter().take(MAX_CERTIFICATES).enumerate() {
            @let id = format!("{id}-{number}");
            @if number == 0 { (certificate(each, &id, "Server certificate", MAX_NAMES, is_open, now)) } @else {
                (certificate(each, &id, &format!("Chain certificate {number}"), MAX_NAMES_CHAIN, false, now))
            }
        }
        @if let Some(more @ 1..) = chain.len().checked_sub(MAX_CERTIFICATES) {
            p class="note" { (counted(more, "more certificate")) " in chain.pem" }
        }
        @for (number, each) in missing.iter().enumerate() {
            (certificate(each, &format!("{id}-missing-{number}"), MISSING, MAX_NAMES_CHAIN, false, now))
        }
    }
}

fn certificate(
    certificate: &Certificate,
    id: &str,
    role: &str,
    max_names: usize,
    is_open: bool,
    now: SystemTime,
) -> Markup {
    let facts = certificate.facts();
    let subject = facts.map_or("not parsable", |facts| or_none(facts.subject()));
    html! {
        details id=(id) class="certificate" open[is_open] data-open[is_open] {
            summary { (role) ": " code { (clean(subject)) } }
            dl class="facts" {
                @if let Some(facts) = facts {
                    (fact("Subject", &html! { (clean(or_none(facts.subject()))) }))
                    (fact("Issuer", &html! { (clean(or_none(facts.issuer()))) @if facts.self_signed { " (self-signed)" } }))
                    (fact("Valid from", &timestamp_unix(facts.not_before, now)))
                    (fact("Valid until", &timestamp_unix(facts.not_after, now)))
                    (fact("Names", &names(facts.names().map(|name| shown(name, MAX_NAME_CHARS)), max_names)))
                    (fact("Key", &html! { (facts.key.label()) ", signed with " (facts.signature.name) }))
                    (fact("Serial", &html! { code class="hex" { (facts.serial()) } }))
                }
                (fact("SHA-256", &html! { code class="hex" { (hex(&certificate.fingerprint())) } }))
                (fact("SHA-1", &html! { code class="hex" { (hex(&certificate.thumbprint())) } }))
            }
        }
    }
}

fn names(mut names: impl Iterator<Item = String>, limit: usize) -> Markup {
    let first: Vec<String> = names.by_ref().take(limit).map(|name| clean(&name)).collect();
    let more = names.count();
    html! {
        @if first.is_empty() { "none" } @else {
            ul class="names" { @for name in first { li { code { (name) } } } }
        }
        @if more > 0 { (grouped(more)) " more" }
    }
}

const MISSING: &str = "Missing certificate, presented by another server";
const MAX_CERTIFICATES: usize = 10;
const MAX_NAMES: usize = 100;
const MAX_NAME_CHARS: usize = 253;
const MAX_NAMES_CHAIN: usize = 10;
