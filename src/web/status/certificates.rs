//! What a backend presented, certificate by certificate. A chain that several backends present is shown once.

use std::time::SystemTime;

use maud::{Markup, html};

use super::text::{counted, fact, grouped, shown};
use super::times::moment_unix;
use crate::snapshot::LastCertificate;
use crate::verdict::Certificate;
use crate::verdict::certificate::hex;

/// The chains that a section has shown, each with the element of the backend that presented it.
#[derive(Debug, Default)]
pub(super) struct ShownChains(Vec<(Vec<[u8; 32]>, String)>);

/// The last certificate of the backend whose element is `id`; where it is open, with the server's own certificate unfolded.
pub(super) fn presented(
    last: &LastCertificate,
    id: &str,
    is_open: bool,
    shown: &mut ShownChains,
    now: SystemTime,
) -> Markup {
    let chain = last.assessment.chain.certificates();
    let marks: Vec<[u8; 32]> = chain.iter().map(|certificate| certificate.fingerprint()).collect();
    if let Some((_, other)) = shown.0.iter().find(|(known, _)| *known == marks) {
        return html! { p { "Presents the same certificates as " a href={ "#" (other) } { "the backend above" } "." } };
    }
    shown.0.push((marks, id.to_owned()));
    let missing = last.assessment.missing();
    html! {
        @for (number, each) in chain.iter().take(MAX_CERTIFICATES).enumerate() {
            (certificate(each, &CertificateCard::sent(id, number, is_open), now))
        }
        @if let Some(more @ 1..) = chain.len().checked_sub(MAX_CERTIFICATES) {
            p class="note" { (counted(more, "more certificate")) " in chain.pem" }
        }
        @for (number, each) in missing.iter().enumerate() { (certificate(each, &CertificateCard::missing(id, number), now)) }
    }
}

/// Where a certificate stands in a chain.
struct CertificateCard {
    id: String,
    role: String,
    is_open: bool,
    names: usize,
}

impl CertificateCard {
    fn sent(backend: &str, number: usize, is_open: bool) -> Self {
        let id = format!("{backend}-{number}");
        match number {
            0 => Self { id, role: "The server's own certificate".to_owned(), is_open, names: MAX_NAMES },
            _ => Self { id, role: format!("Sent with it, {number}"), is_open: false, names: MAX_NAMES_ABOVE },
        }
    }

    fn missing(backend: &str, number: usize) -> Self {
        let role = "Missing here, seen at another server".to_owned();
        Self { id: format!("{backend}-missing-{number}"), role, is_open: false, names: MAX_NAMES_ABOVE }
    }
}

fn certificate(certificate: &Certificate, place: &CertificateCard, now: SystemTime) -> Markup {
    let facts = certificate.facts();
    let subject = facts.map_or("cannot be read", |facts| or_none(facts.subject()));
    html! {
        details id=(place.id) class="certificate" open[place.is_open] data-open[place.is_open] {
            summary { (place.role) ": " code { (shown(subject)) } }
            dl class="facts" {
                @if let Some(facts) = facts {
                    (fact("Subject", &html! { (shown(or_none(facts.subject()))) }))
                    (fact("Issuer", &html! { (shown(or_none(facts.issuer()))) @if facts.self_signed { " (self-signed)" } }))
                    (fact("Valid from", &moment_unix(facts.not_before, now)))
                    (fact("Valid until", &moment_unix(facts.not_after, now)))
                    (fact("Names", &names(facts.names().map(|name| name.to_string()), place.names)))
                    (fact("Key", &html! { (facts.key.label()) ", signed by " (facts.signature.name) }))
                    (fact("Serial", &html! { code class="hex" { (facts.serial()) } }))
                }
                (fact("SHA-256", &html! { code class="hex" { (hex(&certificate.fingerprint())) } }))
                (fact("SHA-1", &html! { code class="hex" { (hex(&certificate.thumbprint())) } }))
            }
        }
    }
}

fn names(mut names: impl Iterator<Item = String>, most: usize) -> Markup {
    let first: Vec<String> = names.by_ref().take(most).map(|name| shown(&name)).collect();
    let more = names.count();
    html! {
        @if first.is_empty() { "none" } @else {
            ul class="names" { @for name in first { li { code { (name) } } } }
        }
        @if more > 0 { (grouped(more)) " more" }
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// Certificates of a chain.
const MAX_CERTIFICATES: usize = 10;
/// Names of a server's own certificate.
const MAX_NAMES: usize = 100;
/// Names of one that was sent with it.
const MAX_NAMES_ABOVE: usize = 10;
