//! The page of one target: the advice in full, and everything known about its backends.

use maud::{Markup, html};

use super::changes;
use super::elements::{
    HealthState, ROWS, clean, clean_lines, elapsed, fact, prose, spaced, symbol, timestamp, verdict, with_symbol,
};
use super::endpoint;
use super::links::Links;
use super::shell::PageParts;
use super::view::TargetView;
use crate::advice::Advice;
use crate::client_errors::ClientErrors;
use crate::snapshot::TargetReport;
use crate::text::{grouped, span};

pub(super) fn parts(view: &TargetView<'_>) -> PageParts {
    let name = clean(view.report.target.name.as_str());
    PageParts {
        title: format!("{} {name}", symbol(view.state)),
        banner: html! {
            nav class="crumbs" aria-label="Breadcrumb" { a href=(view.links.home()) { "All targets" } " › " span { (name) } }
        },
        main: html! {
            div class={ "heading " (view.state.as_str()) } {
                span class="state" { (with_symbol(view.state, view.state.as_str())) }
                h1 { (name) }
                p class="headline" { (clean(&view.headline())) }
            }
            (facts(view))
            (advice(&view.advice))
            (changes::section(&view.report, view.now))
            (ROWS)
        },
    }
}

/// `other_shard` says which other shard probes the target.
pub(super) fn not_found(links: &Links, other_shard: Option<&str>) -> PageParts {
    PageParts {
        title: "Target not found".to_owned(),
        banner: html! {},
        main: html! {
            h1 { "Target not found" }
            p { @match other_shard {
                Some(text) => { "The target " (text) ". " }
                None => { "No target with this name is configured. " }
            } a href=(links.home()) { "All targets" } }
        },
    }
}

fn facts(view: &TargetView<'_>) -> Markup {
    let report = &view.report;
    let target = &report.target;
    html! {
        dl class="facts" {
            (fact("Kind", &html! { (target.kind.as_str()) }))
            @if target.labels.iter().next().is_some() {
                (fact("Labels", &html! {
                    @for (key, value) in target.labels.iter().take(MAX_LABELS) {
                        code { (clean(key)) "=" (clean(value)) } " "
                    }
                }))
            }
            (fact("Last round", &html! {
                @match report.last_round {
                    Some(at) => { (timestamp(at, view.now)) ", every " (span(target.settings.interval.as_secs())) }
                    None => { "the first round is in progress" }
                }
            }))
            (fact("Lookup", &lookup(report)))
            (fact("Probes", &html! {
                (number(report.counters.probes)) ", "
                @if report.counters.failures == 0 { "none" } @else { (number(report.counters.failures)) } " failed"
            }))
            (fact("Trust store", &html! { (clean(&target.settings.trust)) }))
            @if let Some(path) = &target.settings.certificate_file {
                (fact("Certificate on disk", &html! {
                    (clean(&path.display().to_string())) ": "
                    @match &report.file {
                        Some(Ok(certificate)) => { (endpoint::fingerprint(certificate)) }
                        Some(Err(error)) => { (clean(error)) }
                        None => { "not read yet" }
                    }
                }))
            }
            (fact("API", &html! { a href=(view.links.json(&target.name)) { "JSON" } }))
        }
    }
}

fn lookup(report: &TargetReport) -> Markup {
    let Some(lookup) = report.lookup.as_deref() else {
        return html! { "not needed or not finished yet" };
    };
    let (state, outcome) = match (lookup.success, lookup.failures.is_empty()) {
        (true, true) => (HealthState::Ok, "succeeded"),
        (true, false) => (HealthState::Warning, "succeeded in part"),
        (false, _) => (HealthState::Critical, "FAILED"),
    };
    html! {
        (verdict(state, outcome)) " in " (elapsed(lookup.duration))
        @if let Some(hosts) = lookup.hosts {
            ", " @if hosts == 0 { "the domain accepts no mail (null MX)" } @else { "hosts: " (grouped(hosts)) }
        }
        @match lookup.disagree {
            Some(true) => { ", " strong { "name servers disagree" } }
            Some(false) => { ", name servers agree" }
            None => {}
        }
        @for failure in lookup.failures.iter().take(MAX_FAILURES) {
            br; (failure.name) " " (failure.record_type) ": " strong { (spaced(failure.reason.as_str())) } ". "
            (failure.reason.doc())
        }
    }
}

fn advice(advice: &[Advice]) -> Markup {
    html! {
        @if !advice.is_empty() {
            section id="advice" aria-labelledby="advice-title" {
                h2 id="advice-title" { "Actions" }
                ol class="advice" { @for (number, each) in advice.iter().enumerate() { (action(each, number + 1)) } }
            }
        }
    }
}

fn action(advice: &Advice, number: usize) -> Markup {
    html! {
        li id={ "advice-" (number) } class=(advice.severity.as_str()) {
            p { strong class="severity" { (advice.severity.as_str()) } " " (prose(&advice.text)) }
            @if let Some(text) = &advice.request { (request(text, number)) }
            @if let Some(clients) = &advice.clients { (client_errors(clients, number)) }
        }
    }
}

/// The request to send to the server's operator; the first one is expanded.
fn request(text: &str, number: usize) -> Markup {
    let (id, is_open) = (format!("request-{number}"), number == 1);
    html! {
        details id={ "fold-" (id) } class="request" open[is_open] data-open[is_open] {
            summary { "Request to send to the server's operator" }
            button class="scripted" type="button" data-copy=(id) { "Copy" }
            pre id=(id) tabindex="0" role="region" aria-label="Request to send" { (clean_lines(text)) }
        }
    }
}

/// The errors that clients report, so that the page can be searched for an error message.
fn client_errors(clients: &ClientErrors, number: usize) -> Markup {
    html! {
        details id={ "clients-" (number) } class="clients" {
            summary { "Client errors" }
            dl {
                @for (client, error) in clients.clients() {
                    dt { (client) }
                    @for text in error.texts { dd { code { (text) } } }
                    @if let Some(when) = error.accepts { dd { "accepts it " (prose(when)) } }
                }
            }
        }
    }
}

fn number(count: u64) -> String {
    grouped(usize::try_from(count).unwrap_or(usize::MAX))
}

const MAX_LABELS: usize = 50;
const MAX_FAILURES: usize = 10;
