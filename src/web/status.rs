//! The pages for people: an overview of all targets, and one of each. Pure: a fleet and a moment give a page.
//!
//! Everything stands in the one answer, so that a browser needs nothing else; the policy that goes with it allows the
//! style and the script by their hashes and nothing besides. Pages work without the script.

use std::time::SystemTime;

use axum::http::HeaderValue;

mod backend;
mod certificates;
mod changes;
mod detail;
mod endpoint;
mod links;
mod overview;
mod query;
mod shell;
mod state;
mod text;
mod times;
mod view;

#[cfg(test)]
mod tests;

use links::Links;
pub(super) use query::Query;

use crate::snapshot::Fleet;

/// Writes pages.
#[derive(Debug)]
pub(super) struct Pages {
    links: Links,
    telemetry: String,
}

impl Pages {
    /// Pages whose links begin with `prefix` (empty, or with a leading and without a trailing slash), and where the
    /// metrics stand below it.
    pub(super) fn new(prefix: String, telemetry: String) -> Self {
        Self { links: Links::below(prefix), telemetry }
    }

    /// The overview.
    pub(super) fn overview(&self, fleet: &Fleet, query: &Query, now: SystemTime) -> String {
        self.page(fleet, &overview::parts(&self.links, fleet, query, now), now)
    }

    /// The page of the target of this name; none where there is no such target.
    pub(super) fn target(&self, fleet: &Fleet, name: &str, now: SystemTime) -> Option<String> {
        let report = fleet.targets.iter().find(|report| report.target.name.as_str() == name)?;
        Some(self.page(fleet, &detail::parts(&self.links, report, now), now))
    }

    /// What says that there is no such target.
    pub(super) fn not_found(&self, fleet: &Fleet, now: SystemTime) -> String {
        self.page(fleet, &detail::not_found(&self.links), now)
    }

    fn page(&self, fleet: &Fleet, parts: &shell::PageParts, now: SystemTime) -> String {
        shell::page(&self.links, &self.telemetry, &fleet.exporter, parts, now)
    }
}

/// The Content-Security-ProbeSettings that goes with pages; none cannot happen, for it is plain text.
pub(super) fn policy() -> Option<HeaderValue> {
    HeaderValue::try_from(shell::policy()).ok()
}
