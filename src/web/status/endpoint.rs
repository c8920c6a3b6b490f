//! An endpoint of a target in full: its backends, their probes and what they hold.

use std::time::SystemTime;

use maud::{Markup, html};

use super::backend::verdicts;
use super::certificates::{self, ShownChains};
use super::links::{Links, backend_id};
use super::state::{needs_attention, rank};
use super::text::{counted, fact, grouped, listed, prose, shown, spaced};
use super::times::{measured, moment, moment_unix};
use super::view::TargetView;
use crate::reason::Resolves;
use crate::snapshot::{AlternateName, BackendReport, EndpointReport, LastCertificate, ProbeReport};
use crate::verdict::certificate::hex;
use crate::verdict::{Certificate, NameVerdict, unix};

/// The section of the endpoint with this number on the page.
pub(super) fn section(
    links: &Links,
    view: &TargetView<'_>,
    report: &EndpointReport,
    number: usize,
    now: SystemTime,
) -> Markup {
    let endpoint = &report.endpoint;
    let title = format!("endpoint-{}", number + 1);
    let mut shown = ShownChains::default();
    let (mut named, unnamed): (Vec<_>, Vec<_>) = report.backends.iter().partition(|backend| backend.resolved);
    // Stable: by address within a state.
    named.sort_by_key(|backend| rank(view.state_of(backend, now)));
    html! {
        section class="endpoint-section" aria-labelledby=(title) {
            h2 id=(title) { (endpoint.server_name) ":" (endpoint.port) " " small {
                (endpoint.tls.as_str())
                @if let Some(preference) = report.preference { ", preference " (preference) }
            } }
            (alternates(&report.alternates))
            @for (reason, count) in report.skipped.iter().filter(|(_, count)| *count > 0) {
                p { "Addresses not probed: " (grouped(*count)) ". " (prose(reason.doc())) }
            }
            @if report.backends.is_empty() { p class="nothing" { "No backend is known." } }
            @for backend in named.iter().take(MAX_BACKENDS) { (article(links, view, backend, &mut shown, now)) }
            @if !unnamed.is_empty() {
                h3 { "No longer named by DNS, still probed for a while" }
                @for backend in unnamed.iter().take(MAX_BACKENDS) { (article(links, view, backend, &mut shown, now)) }
            }
            @if let Some(more @ 1..) = named.len().max(unnamed.len()).checked_sub(MAX_BACKENDS) {
                p class="note" { (counted(more, "more backend")) " in the JSON" }
            }
        }
    }
}

/// A certificate's fingerprint as it is searched for.
pub(super) fn fingerprint(certificate: &Certificate) -> Markup {
    html! { code class="hex" { (hex(&certificate.fingerprint())) } }
}

fn alternates(names: &[AlternateName]) -> Markup {
    html! {
        @if !names.is_empty() {
            p { "Names that the certificates of all these backends carry:" }
            ul class="shared" {
                @for name in names.iter().take(MAX_SHARED) {
                    li {
                        code { (name.name) } " " (resolves_to(name.resolves))
                        @if !name.addresses.is_empty() {
                            ": " (listed(name.addresses.iter().map(ToString::to_string), MAX_ADDRESSES))
                        }
                    }
                }
            }
        }
    }
}

const fn resolves_to(resolves: Resolves) -> &'static str {
    match resolves {
        Resolves::All => "leads to all of them and nowhere else",
        Resolves::Part => "leads to a part of them",
        Resolves::Elsewhere => "leads elsewhere",
        Resolves::Nowhere => "has no address",
        Resolves::Unknown => "leads where could not be found out",
    }
}

fn article(
    links: &Links,
    view: &TargetView<'_>,
    backend: &BackendReport,
    shown: &mut ShownChains,
    now: SystemTime,
) -> Markup {
    let id = backend_id(&backend.backend);
    let state = view.state_of(backend, now);
    html! {
        article id=(id) class={ "card " (state.as_str()) } {
            h3 { (backend.backend.socket_addr()) }
            p class="verdicts" { (verdicts(view, backend, now)) }
            @if let Some(probe) = &backend.probe {
                dl class="facts" { (self::probe(backend, probe, now)) (certificate_facts(backend, now)) }
            }
            @if let Some(last) = &backend.last_certificate {
                (certificates::presented(last, &id, needs_attention(state), shown, now))
                p { a href=(links.chain(&view.report.target.name, &backend.backend)) download { "chain.pem" }
                    " " span class="note" { "what it presented, " (counted(last.assessment.chain.certificates().len(), "certificate")) } }
            }
        }
    }
}

fn probe(backend: &BackendReport, probe: &ProbeReport, now: SystemTime) -> Markup {
    html! {
        (fact("Probed", &html! { (moment(probe.at, now)) ", took " (measured(probe.duration)) }))
        @match &probe.outcome {
            Ok(tls) => (fact("TLS", &html! { (tls.version) ", " (tls.cipher) ", " (tls.group) })),
            Err(failure) => {
                (fact("Failed in", &html! { strong { (failure.stage) } ". " (failure.stage.doc()) }))
                (fact("Because", &html! { strong { (spaced(failure.reason.as_str())) } ". " (failure.reason.doc()) }))
                @if !failure.detail.is_empty() { (fact("It said", &html! { code { (shown(&failure.detail)) } })) }
                (fact("In a row", &html! { (counted(probe.consecutive_failures as usize, "failure")) }))
            }
        }
        @if backend.handshake_errors > 0 {
            (fact("In TLS", &html! { (counted(backend.handshake_errors as usize, "failure")) " in a row" }))
        }
        @if probe.phases.iter().next().is_some() {
            (fact("Phases", &html! {
                @for (phase, duration) in probe.phases.iter() {
                    span class="phase" { (phase) " " (measured(duration)) } " "
                }
            }))
        }
    }
}

/// The last certificate, judged again for now.
fn certificate_facts(backend: &BackendReport, now: SystemTime) -> Markup {
    let Some(last) = &backend.last_certificate else { return html! {} };
    let assessment = &last.assessment;
    let verdict = assessment.chain.verdict();
    html! {
        (fact("Certificate seen", &html! {
            (moment(last.seen_at, now))
            @if !backend.is_reachable() { ", last since then" }
            @if last.distinct > 1 { ", " (last.distinct) " different ones seen here" }
        }))
        @if let Some(NameVerdict::Mismatch(reason)) = assessment.name {
            (fact("Name", &html! { strong { (spaced(reason.as_str())) } ". " (reason.doc()) }))
        }
        @for reason in assessment.reasons(now).iter() {
            (fact("Chain", &html! { strong { (spaced(reason.as_str())) } ". " (reason.doc()) }))
        }
        @if let Some(end) = verdict.verified_not_after(unix(now)) {
            (fact("Verified path ends", &moment_unix(end, now)))
        }
        (samples(last))
        (fact("OCSP", &staple(last, now)))
    }
}

fn samples(last: &LastCertificate) -> Markup {
    html! {
        @if let Some(count) = last.mismatched_samples {
            (fact("Samples", &html! { (counted(count, "connection")) " of the last round showed a wrong name" }))
        }
        @if let Some(matches) = last.file_match {
            (fact("On disk", &html! { @if matches { "the same certificate" } @else { strong { "another certificate" } } }))
        }
        @match last.assessment.ehlo {
            Some(true) => (fact("EHLO name", &html! { "in the certificate" })),
            Some(false) => (fact("EHLO name", &html! { "not in the certificate" })),
            None => {}
        }
    }
}

fn staple(last: &LastCertificate, now: SystemTime) -> Markup {
    let ocsp = last.assessment.chain.ocsp();
    let reasons: Vec<_> = ocsp.reasons(unix(now)).collect();
    html! {
        @match ocsp.status() {
            Some(status) => { "stapled: " (status) }
            None if ocsp.is_stapled() => { "stapled" }
            None => { "not stapled" }
        }
        @if ocsp.must_staple() { ", the certificate demands it" }
        @for reason in reasons { br; strong { (spaced(reason.as_str())) } ". " (reason.doc()) }
    }
}

/// Backends of an endpoint that are shown in full, of those that DNS names and of the others.
const MAX_BACKENDS: usize = 64;
const MAX_SHARED: usize = 10;
const MAX_ADDRESSES: usize = 10;
