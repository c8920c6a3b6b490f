//! The page of one target: the advice in full, and all that is known of its backends.

use std::time::SystemTime;

use maud::{Markup, html};

use super::changes;
use super::endpoint;
use super::links::Links;
use super::shell::PageParts;
use super::state::{State, symbol, word};
use super::text::{fact, grouped, prose, shown, shown_lines, spaced};
use super::times::{measured, moment, span};
use super::view::TargetView;
use crate::advice::Advice;
use crate::client_errors::ClientErrors;
use crate::snapshot::TargetReport;

/// The page of `report`.
pub(super) fn parts(links: &Links, report: &TargetReport, now: SystemTime) -> PageParts {
    let view = TargetView::new(report, now);
    let name = shown(report.target.name.as_str());
    PageParts {
        title: format!("{} {name}", symbol(view.state)),
        banner: html! {
            nav class="crumbs" aria-label="Place" { a href=(links.home()) { "All targets" } " › " span { (name) } }
        },
        main: html! {
            div class={ "heading " (view.state.as_str()) } {
                span class="state" { span class="sign" aria-hidden="true" { (symbol(view.state)) } " " (word(view.state)) }
                h1 { (name) }
                p class="headline" { (shown(&view.headline(now))) }
            }
            (facts(links, &view, now))
            (advice(&view.advice))
            (changes::section(report, now))
            @for (number, report) in report.endpoints.iter().enumerate() {
                (endpoint::section(links, &view, report, number, now))
            }
        },
    }
}

/// The page for a name that no target has.
pub(super) fn not_found(links: &Links) -> PageParts {
    PageParts {
        title: "No such target".to_owned(),
        banner: html! {},
        main: html! {
            h1 { "No such target" }
            p { "The config has no target of this name, or no longer. " a href=(links.home()) { "All targets" } }
        },
    }
}

fn facts(links: &Links, view: &TargetView<'_>, now: SystemTime) -> Markup {
    let report = view.report;
    let target = &report.target;
    html! {
        dl class="facts" {
            (fact("Kind", &html! { (target.kind.as_str()) }))
            @if target.labels.iter().next().is_some() {
                (fact("Labels", &html! {
                    @for (key, value) in target.labels.iter().take(MAX_LABELS) {
                        code { (shown(key)) "=" (shown(value)) } " "
                    }
                }))
            }
            (fact("Last round", &html! {
                @match report.last_round {
                    Some(at) => { (moment(at, now)) ", every " (span(target.settings.interval.as_secs())) }
                    None => { "the first one is under way" }
                }
            }))
            (fact("Lookup", &lookup(report)))
            (fact("Probes", &html! {
                (number(report.counters.probes)) " since the start, "
                @if report.counters.failures == 0 { "none" } @else { (number(report.counters.failures)) } " failed"
            }))
            (fact("Trust store", &html! { (shown(&target.settings.trust)) }))
            @if let Some(path) = &target.settings.certificate_file {
                (fact("Certificate on disk", &html! {
                    (shown(&path.display().to_string())) ": "
                    @match report.file.as_deref() {
                        Some(certificate) => { (endpoint::fingerprint(certificate)) }
                        None => { "cannot be read" }
                    }
                }))
            }
            (fact("As data", &html! { a href=(links.json(&target.name)) { "JSON" } }))
        }
    }
}

fn lookup(report: &TargetReport) -> Markup {
    let Some(lookup) = report.lookup.as_deref() else {
        return html! { "not needed, or not finished yet" };
    };
    let state = if lookup.success { State::Ok } else { State::Critical };
    html! {
        span class={ "verdict " (state.as_str()) } {
            span class="sign" aria-hidden="true" { (symbol(state)) } " "
            (if lookup.success { "succeeded" } else { "FAILS" })
        }
        " in " (measured(lookup.duration))
        @if let Some(hosts) = lookup.hosts {
            ", " @if hosts == 0 { "the domain takes no mail (null MX)" } @else { "hosts: " (grouped(hosts)) }
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
                h2 id="advice-title" { "What to do" }
                ol class="advice" { @for (number, each) in advice.iter().enumerate() { (piece(each, number + 1)) } }
            }
        }
    }
}

fn piece(advice: &Advice, number: usize) -> Markup {
    html! {
        li id={ "advice-" (number) } class=(advice.severity.as_str()) {
            p { strong class="severity" { (advice.severity.as_str()) } " " (prose(&advice.text)) }
            @if let Some(text) = &advice.request { (request(text, number)) }
            @if let Some(clients) = &advice.clients { (words(clients, number)) }
        }
    }
}

/// A text for somebody else; the first one is unfolded.
fn request(text: &str, number: usize) -> Markup {
    let (id, is_open) = (format!("request-{number}"), number == 1);
    html! {
        details id={ "fold-" (id) } class="request" open[is_open] data-open[is_open] {
            summary { "A text to send to whoever runs this" }
            button class="scripted" type="button" data-copy=(id) { "Copy" }
            pre id=(id) tabindex="0" role="region" aria-label="Text to send" { (shown_lines(text)) }
        }
    }
}

/// What clients say, for whoever has an error of theirs in hand.
fn words(clients: &ClientErrors, number: usize) -> Markup {
    html! {
        details id={ "clients-" (number) } class="clients" {
            summary { "What clients report" }
            dl {
                @for (client, words) in clients.clients() {
                    dt { (client) }
                    @for text in words.texts { dd { code { (text) } } }
                    @if let Some(when) = words.accepts { dd { "accepts it " (when) } }
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
