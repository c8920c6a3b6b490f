//! The overview: all targets, the worst first, paginated.

use std::io::{self, Write};

use maud::{Markup, html};

use super::backend::verdicts;
use super::elements::{HealthState, ROWS, STATES, clean, needs_attention, prose, relative, spaced, with_symbol, write};
use super::endpoint::{UNRESOLVED, mode};
use super::links::{Links, backend_id, target_id};
use super::query::{MAX_WORDS_CHARS, Query};
use super::shell::PageParts;
use super::view::TargetView;
use crate::advice::Advice;
use crate::snapshot::state::order;
use crate::snapshot::{BackendReport, EndpointReport, ShardReport};
use crate::text::{counted, distance, grouped, list};
use crate::verdict::unix;

/// The page, and the targets whose rows it shows.
pub(super) fn parts<'a>(
    links: &Links,
    mut views: Vec<TargetView<'a>>,
    query: &Query,
    shard: &ShardReport,
) -> (PageParts, Vec<TargetView<'a>>) {
    let (all, of_all) = (views.len(), count(&views));
    views.retain(|view| query.matches(view));
    let found = count(&views);
    views.retain(|view| query.state.is_none_or(|state| view.state == state));
    views.sort_by_cached_key(|view| order(&view.report, view.state, view.now));

    let pages = views.len().div_ceil(TARGETS).max(1);
    let page = query.page.min(pages - 1);
    let shown: Vec<TargetView<'_>> = views.into_iter().skip(page * TARGETS).take(TARGETS).collect();
    let parts = PageParts {
        title: title(&of_all),
        banner: search(links, query),
        main: html! {
            h1 class="hidden" { "Targets" }
            (states(links, query, &found))
            @if shard.shard.has_others() {
                p class="note" { (shard_note(shard)) }
            }
            @if all == 0 {
                p class="nothing" {
                    @if shard.other_targets() == 0 { "No targets are configured." } @else { "This shard has no targets." }
                }
            } @else if shown.is_empty() {
                p class="nothing" {
                    "No targets match the filter. " a href=(links.home()) { "Show all " (grouped(all)) }
                }
            }
            ul class="targets" { (ROWS) }
            @if pages > 1 { (pager(links, query, page, pages)) }
        },
    };
    (parts, shown)
}

fn shard_note(shard: &ShardReport) -> String {
    let (shard, others) = (shard.shard, counted(shard.other_targets(), "target"));
    format!("This is {shard}. Other shards probe {others}, which this page does not show.")
}

pub(super) fn write_rows(views: &[TargetView<'_>], out: &mut dyn Write) -> io::Result<()> {
    let mut backends = 0;
    views.iter().try_for_each(|view| {
        let is_brief = backends > BACKENDS;
        backends +=
            view.report.endpoints.iter().map(|endpoint| endpoint.backends.len().min(MAX_BACKENDS)).sum::<usize>();
        write(target(view, is_brief), out)
    })
}

type StateCounts = [(HealthState, usize); STATES.len()];

fn count(views: &[TargetView<'_>]) -> StateCounts {
    STATES.map(|state| (state, views.iter().filter(|view| view.state == state).count()))
}

fn title(counts: &StateCounts) -> String {
    let bad = counts.iter().filter(|(state, count)| *count > 0 && needs_attention(*state));
    let bad: Vec<String> = bad.map(|(state, count)| format!("{} {}", grouped(*count), state.as_str())).collect();
    if bad.is_empty() { "Status".to_owned() } else { bad.join(", ") }
}

fn search(links: &Links, query: &Query) -> Markup {
    html! {
        form id="search" role="search" action=(links.home()) {
            label for="q" { "Filter" }
            input id="q" type="search" name="q" value=(query.words) maxlength=(MAX_WORDS_CHARS) autocomplete="off"
                spellcheck="false" placeholder="name, label=value, address, issuer, reason";
            @if let Some(state) = query.state { input type="hidden" name="state" value=(state.as_str()); }
            button type="submit" { "Filter" }
        }
    }
}

/// The counts by state; each is a link that filters.
fn states(links: &Links, query: &Query, found: &StateCounts) -> Markup {
    let all: usize = found.iter().map(|(_, count)| count).sum();
    let link = |state| query.with_state(state).link(&links.home());
    let current = |state| (query.state == state).then_some("true");
    html! {
        nav class="states" aria-label="Targets by state" {
            a href=(link(None)) aria-current=[current(None)] { b { (grouped(all)) } " all" }
            @for (state, count) in *found {
                a class=(state.as_str()) href=(link(Some(state))) aria-current=[current(Some(state))] {
                    b { (grouped(count)) } " " (with_symbol(state, state.as_str()))
                }
            }
        }
    }
}

/// A target. If `is_brief`, its backends are on its own page only.
fn target(view: &TargetView<'_>, is_brief: bool) -> Markup {
    let target = &view.report.target;
    let (url, endpoints) = (view.links.target(&target.name), &view.report.endpoints);
    let is_open = needs_attention(view.state);
    html! {
        li id=(target_id(&target.name)) class={ "target " (view.state.as_str()) } {
            div class="name" {
                h2 {
                    span class="state" { (with_symbol(view.state, view.state.as_str())) }
                    " " a href=(url) { (clean(target.name.as_str())) }
                }
                @if is_open { (labels(view)) }
            }
            details open[is_open] data-open[is_open] {
                summary {
                    span class="headline" { (clean(&view.headline())) }
                    " " (when(view))
                }
                @if is_brief {
                    p class="note" { a href=(url) { (counted(view.report.resolved().count(), "backend")) } }
                } @else {
                    @for endpoint in endpoints.iter().take(MAX_ENDPOINTS) { (self::endpoint(&url, view, endpoint)) }
                    (more(&url, endpoints.len(), MAX_ENDPOINTS, "endpoint"))
                }
                (advice(&url, &view.advice))
            }
        }
    }
}

/// The earliest expiry of a certificate, and the time of the last round.
fn when(view: &TargetView<'_>) -> Markup {
    let end = view.earliest_expiry().filter(|end| *end >= unix(view.now));
    html! {
        span class="when" {
            @if let Some(end) = end { "expires " (distance(end, unix(view.now))) " · " }
            @match view.report.last_round {
                Some(at) => { "checked " (relative(at, view.now)) }
                None => { "first round in progress" }
            }
        }
    }
}

fn labels(view: &TargetView<'_>) -> Markup {
    let labels = view.report.target.labels.iter().map(|(key, value)| clean(&format!("{key}={value}")));
    let labels = list(labels, MAX_LABELS);
    html! { @if !labels.is_empty() { p class="labels" { (labels) } } }
}

fn endpoint(url: &str, view: &TargetView<'_>, report: &EndpointReport) -> Markup {
    let (resolved, unresolved) = view.backends(report);
    let rows = |backends: &[&BackendReport]| {
        html! {
            ul class="backends" { @for each in backends.iter().take(MAX_BACKENDS) { (backend(url, view, each)) } }
            (more(url, backends.len(), MAX_BACKENDS, "backend"))
        }
    };
    html! {
        p class="endpoint" {
            (report.endpoint.server_name) ":" (report.endpoint.port) " " (mode(report))
        }
        (rows(&resolved))
        @if !unresolved.is_empty() {
            p class="endpoint" { (UNRESOLVED) }
            (rows(&unresolved))
        }
        @for (reason, count) in report.skipped.iter().filter(|(_, count)| *count > 0) {
            p class="note" { "Addresses not probed: " (grouped(*count)) " (" (spaced(reason.as_str())) ")" }
        }
    }
}

fn backend(url: &str, view: &TargetView<'_>, backend: &BackendReport) -> Markup {
    html! {
        li class={ "backend " (view.state_of(backend).as_str()) } {
            a class="address" href={ (url) "#" (backend_id(&backend.backend)) } { (backend.backend.socket_addr()) }
            span class="verdicts" { (verdicts(view, backend)) }
        }
    }
}

fn advice(url: &str, advice: &[Advice]) -> Markup {
    html! {
        @if !advice.is_empty() {
            ul class="advice" {
                @for (number, each) in advice.iter().take(MAX_ADVICE).enumerate() {
                    li class=(each.severity.as_str()) {
                        strong class="severity" { (each.severity.as_str()) } " " (prose(&each.text))
                        @if each.request.is_some() { " " a href={ (url) "#advice-" (number + 1) } { "Request to send" } }
                    }
                }
            }
            (more(url, advice.len(), MAX_ADVICE, "action"))
        }
    }
}

/// A link to the rest of a list that is not shown in full.
fn more(url: &str, count: usize, most: usize, noun: &str) -> Markup {
    match count.checked_sub(most) {
        Some(more @ 1..) => html! { p class="note" { a href=(url) { (counted(more, &format!("more {noun}"))) } } },
        _ => html! {},
    }
}

fn pager(links: &Links, query: &Query, page: usize, pages: usize) -> Markup {
    let link = |page| query.with_page(page).link(&links.home());
    html! {
        nav class="pager" aria-label="Pages" {
            @if page > 0 { a rel="prev" href=(link(page - 1)) { "← Previous" } }
            span { "Page " (grouped(page + 1)) " of " (grouped(pages)) }
            @if page + 1 < pages { a rel="next" href=(link(page + 1)) { "Next →" } }
        }
    }
}

/// Targets on a page. This and the following limits bound the size of a page.
const TARGETS: usize = 250;
/// Backends on a page after which targets are shown without their backends.
const BACKENDS: usize = 2_000;
const MAX_ENDPOINTS: usize = 10;
const MAX_BACKENDS: usize = 12;
const MAX_ADVICE: usize = 6;
const MAX_LABELS: usize = 20;
