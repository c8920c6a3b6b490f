//! An endpoint of a target: its backends, their probes and their certificates.

use std::io::{self, Write};
use std::time::SystemTime;

use maud::{Markup, html};

use super::backend::verdicts;
use super::certificates::{self, ShownChains};
use super::elements::{
    ROWS, clean, elapsed, fact, needs_attention, prose, spaced, timestamp, timestamp_unix, write, write_around,
};
use super::links::backend_id;
use super::view::TargetView;
use crate::reason::Resolves;
use crate::snapshot::{AlternateName, BackendReport, EndpointReport, LastCertificate, ProbeReport};
use crate::text::{counted, grouped, list};
use crate::verdict::certificate::hex;
use crate::verdict::{Certificate, NameVerdict, near_miss, unix};

/// Writes a section for each endpoint.
pub(super) fn write_all(view: &TargetView<'_>, out: &mut dyn Write) -> io::Result<()> {
    view.report.endpoints.iter().zip(1..).try_for_each(|(report, number)| write_section(view, report, number, out))
}

fn write_section(view: &TargetView<'_>, report: &EndpointReport, number: usize, out: &mut dyn Write) -> io::Result<()> {
    let endpoint = &report.endpoint;
    let title = format!("endpoint-{number}");
    let (resolved, unresolved) = view.backends(report);
    let section = html! {
        section class="endpoint-section" aria-labelledby=(title) {
            h2 id=(title) { (endpoint.server_name) ":" (endpoint.port) " " small { (mode(report)) } }
            @if let Some(name) = &report.found_as {
                p { "Found in DNS as " code { (name) } ", by the search list of the exporter host." }
            }
            @if report.held > 0 {
                p { "Backends kept because the lookup of their address family failed: " (grouped(report.held)) "." }
            }
            (alternates(&report.alternates))
            @for (reason, count) in report.skipped.iter().filter(|(_, count)| *count > 0) {
                p { "Addresses not probed: " (grouped(*count)) ". " (prose(reason.doc())) }
            }
            @if !report.not_allowed.is_empty() {
                p { "Addresses that are not allowed: " (list(report.not_allowed.iter().map(ToString::to_string), MAX_ADDRESSES)) "." }
            }
            @if report.backends.is_empty() { p class="nothing" { "No known backends." } }
            (ROWS)
            @if let Some(more @ 1..) = resolved.len().max(unresolved.len()).checked_sub(MAX_BACKENDS) {
                p class="note" { (counted(more, "more backend")) " in the JSON document" }
            }
        }
    };
    write_around(section, out, |out| {
        let mut shown = ShownChains::default();
        let mut write_articles = |backends: &[&BackendReport], out: &mut dyn Write| {
            let mut backends = backends.iter().take(MAX_BACKENDS);
            backends.try_for_each(|backend| write(article(view, backend, &mut shown), out))
        };
        write_articles(&resolved, out)?;
        if !unresolved.is_empty() {
            write(html! { h3 { (UNRESOLVED) } }, out)?;
        }
        write_articles(&unresolved, out)
    })
}

pub(super) fn mode(report: &EndpointReport) -> Markup {
    html! {
        (report.endpoint.tls.as_str()) @if let Some(preference) = report.preference { ", preference " (preference) }
    }
}

pub(super) fn fingerprint(certificate: &Certificate) -> Markup {
    html! { code class="hex" { (hex(&certificate.fingerprint())) } }
}

fn alternates(names: &[AlternateName]) -> Markup {
    html! {
        @if !names.is_empty() {
            p { "Alternate names, listed in the certificates of all these backends:" }
            ul class="alternates" {
                @for name in names.iter().take(MAX_ALTERNATES) {
                    li {
                        code { (name.name) } " " (resolves_to(name.resolves))
                        @if !name.addresses.is_empty() {
                            ": " (list(name.addresses.iter().map(ToString::to_string), MAX_ADDRESSES))
                        }
                    }
                }
            }
        }
    }
}

const fn resolves_to(resolves: Resolves) -> &'static str {
    match resolves {
        Resolves::All => "resolves to exactly these backends",
        Resolves::Part => "resolves to some of these backends",
        Resolves::Elsewhere => "resolves to other addresses",
        Resolves::Nowhere => "has no address",
        Resolves::Unknown => "could not be resolved",
    }
}

fn article(view: &TargetView<'_>, backend: &BackendReport, shown: &mut ShownChains) -> Markup {
    let (id, now) = (backend_id(&backend.backend), view.now);
    let state = view.state_of(backend);
    html! {
        article id=(id) class={ "card " (state.as_str()) } {
            h3 { (backend.backend.socket_addr()) }
            p class="verdicts" { (verdicts(view, backend)) }
            @if let Some(probe) = &backend.probe {
                dl class="facts" { (self::probe(backend, probe, now)) (certificate_facts(backend, now)) }
            }
            @if let Some(last) = &backend.last_certificate {
                (certificates::presented(last, &id, needs_attention(state), shown, now))
                p { a href=(view.links.chain(&view.report.target.name, &backend.backend)) download { "chain.pem" }
                    " " span class="note" { "as presented, " (counted(last.assessment.chain.certificates().len(), "certificate")) } }
            }
        }
    }
}

fn probe(backend: &BackendReport, probe: &ProbeReport, now: SystemTime) -> Markup {
    html! {
        (fact("Last probe", &html! { (timestamp(probe.at, now)) ", took " (elapsed(probe.duration)) }))
        @match &probe.outcome {
            Ok(tls) => (fact("TLS", &html! { (tls.version) ", " (tls.cipher) ", " (tls.group) })),
            Err(failure) => {
                (fact("Failed at", &html! { strong { (failure.stage) } ". " (failure.stage.doc()) }))
                (fact("Reason", &html! { strong { (spaced(failure.reason.as_str())) } ". " (failure.reason.doc()) }))
                @if !failure.detail.is_empty() { (fact("Detail", &html! { code { (clean(&failure.detail)) } })) }
                (fact("Consecutive failures", &html! { (grouped(probe.consecutive_failures as usize)) }))
            }
        }
        @if let Some(answer) = probe.client_auth { (fact("Client certificate", &html! { (prose(answer.doc())) })) }
        @if backend.handshake_errors > 0 {
            (fact("Consecutive TLS failures", &html! { (grouped(backend.handshake_errors as usize)) }))
        }
        @if probe.phases.iter().next().is_some() {
            (fact("Phases", &html! {
                @for (phase, duration) in probe.phases.iter() {
                    span class="phase" { (phase) " " (elapsed(duration)) } " "
                }
            }))
        }
    }
}

fn certificate_facts(backend: &BackendReport, now: SystemTime) -> Markup {
    let Some(last) = &backend.last_certificate else { return html! {} };
    let assessment = &last.assessment;
    let verdict = assessment.chain.verdict();
    html! {
        (fact("Certificate last seen", &html! {
            (timestamp(last.seen_at, now))
            @if last.distinct > 1 { ", one of " (last.distinct) " different ones" }
        }))
        @if let Some(NameVerdict::Mismatch(reason)) = assessment.name {
            (fact("Name", &html! { strong { (spaced(reason.as_str())) } ". " (reason.doc()) (near_misses(backend, last)) }))
        }
        @for reason in assessment.reasons(now).iter() {
            (fact("Chain", &html! { strong { (spaced(reason.as_str())) } ". " (reason.doc()) }))
        }
        @for (warning, senders) in assessment.warnings(now).iter() {
            (fact("Chain warning", &html! {
                strong { (spaced(warning.as_str())) } ". " (warning.doc())
                @for sender in senders.iter() { " " (sender.title()) " refuses it." }
            }))
        }
        @if let Some(end) = verdict.verified_not_after(unix(now)) {
            (fact("Verified chain valid until", &timestamp_unix(end, now)))
        }
        (extra_checks(last))
        (fact("OCSP", &staple(last, now)))
    }
}

/// The presented names that look like the server name.
fn near_misses(backend: &BackendReport, last: &LastCertificate) -> Markup {
    let server_name = &backend.backend.endpoint.server_name;
    let near = last.assessment.facts().map(|facts| near_miss::near_misses(server_name, facts)).unwrap_or_default();
    html! {
        @for near in near.iter().take(MAX_NEAR_MISSES) {
            br; "Presented: " code { (clean(&near.quoted(MAX_NAME_CHARS))) } ", which " (near.predicate()) "."
        }
    }
}

fn extra_checks(last: &LastCertificate) -> Markup {
    html! {
        @if let Some(count) = last.mismatched_samples {
            (fact("Samples", &html! { "name mismatch in " (counted(count, "connection")) " of the last round" }))
        }
        @if let Some(matches) = last.file_match {
            (fact("Certificate on disk", &html! { @if matches { "the same" } @else { strong { "a different one" } } }))
        }
        @if let Some(listed) = last.assessment.ehlo {
            (fact("EHLO name", &html! { @if !listed { "not " } "listed in the certificate" }))
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
        @if ocsp.must_staple() { ", required by the certificate (RFC 7633)" }
        @for reason in reasons { br; strong { (spaced(reason.as_str())) } ". " (reason.doc()) }
    }
}

pub(super) const UNRESOLVED: &str = "No longer in DNS, probed until backend_retention has passed";
/// Backends of an endpoint, of those in DNS and of the others.
const MAX_BACKENDS: usize = 64;
const MAX_ALTERNATES: usize = 10;
const MAX_NEAR_MISSES: usize = 3;
const MAX_NAME_CHARS: usize = 253;
const MAX_ADDRESSES: usize = 10;
