//! The status page: an overview of all targets, and a page for each. Pure: a page depends on a fleet and a time.
//!
//! A page is one document. Its Content-Security-Policy allows the style and the script by their hashes and nothing else.
//! Pages work without the script.

use std::time::SystemTime;

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
pub(super) use shell::policy;

use crate::snapshot::Fleet;

#[derive(Debug)]
pub(super) struct Pages {
    links: Links,
    telemetry: String,
}

impl Pages {
    /// Pages whose links begin with `prefix`, which is empty, or has a leading and no trailing slash. `telemetry` is the
    /// path of the metrics below it.
    pub(super) fn new(prefix: String, telemetry: String) -> Self {
        Self { links: Links::new(prefix), telemetry }
    }

    pub(super) fn overview(&self, fleet: &Fleet, query: &Query, now: SystemTime) -> String {
        self.page(fleet, &overview::parts(&self.links, fleet, query, now), now)
    }

    /// The page of the target with this name; none if there is no such target.
    pub(super) fn target(&self, fleet: &Fleet, name: &str, now: SystemTime) -> Option<String> {
        let report = fleet.targets.iter().find(|report| report.target.name.as_str() == name)?;
        Some(self.page(fleet, &detail::parts(&self.links, report, now), now))
    }

    pub(super) fn not_found(&self, fleet: &Fleet, now: SystemTime) -> String {
        self.page(fleet, &detail::not_found(&self.links), now)
    }

    fn page(&self, fleet: &Fleet, parts: &shell::PageParts, now: SystemTime) -> String {
        shell::page(&self.links, &self.telemetry, &fleet.exporter, parts, now)
    }
}
