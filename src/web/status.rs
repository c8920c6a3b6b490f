//! The status page: an overview of all targets, and a page for each. A page depends on reports and a time.
//!
//! A page is one document. Its Content-Security-Policy allows the style and the script by their hashes and nothing else.
//! Pages work without the script.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::SystemTime;

mod backend;
mod certificates;
mod changes;
mod detail;
mod elements;
mod endpoint;
mod links;
mod overview;
mod query;
mod shell;
mod view;

#[cfg(test)]
mod tests;

use links::Links;
pub(super) use query::Query;
pub(super) use shell::policy;
use view::{AdviceCache, TargetView};

use crate::snapshot::{ExporterReport, Fleet, TargetReport};

#[derive(Debug)]
pub(super) struct Pages {
    links: Links,
    telemetry: String,
    advice: AdviceCache,
}

impl Pages {
    /// Pages whose links begin with `prefix`, which is empty, or has a leading and no trailing slash. `telemetry` is the
    /// path of the metrics below it.
    pub(super) fn new(prefix: String, telemetry: String) -> Self {
        Self { links: Links::new(prefix), telemetry, advice: AdviceCache::default() }
    }

    /// Writes the overview. The reports that it does not show are dropped before anything is written.
    pub(super) fn overview(&self, fleet: Fleet, query: &Query, now: SystemTime, out: &mut dyn Write) -> io::Result<()> {
        let Fleet { targets, exporter } = fleet;
        self.advice.forget_replaced(targets.len());
        let (parts, shown) = overview::parts(&self.links, self.views(targets, now), query, &exporter.shard);
        shell::write(self, &exporter, &parts, now, out, |out| overview::write_rows(&shown, out))
    }

    /// Writes the page of the target.
    pub(super) fn target(
        &self,
        report: Arc<TargetReport>,
        exporter: &ExporterReport,
        now: SystemTime,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let view = self.view(report, now);
        shell::write(self, exporter, &detail::parts(&view), now, out, |out| endpoint::write_all(&view, out))
    }

    /// Writes the page in place of that of the target `name`, which has no report.
    pub(super) fn not_found(
        &self,
        name: &str,
        exporter: &ExporterReport,
        now: SystemTime,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let other_shard = exporter.shard.refer_named(name);
        shell::write(self, exporter, &detail::not_found(&self.links, other_shard.as_deref()), now, out, |_| Ok(()))
    }

    fn views(&self, reports: Vec<Arc<TargetReport>>, now: SystemTime) -> Vec<TargetView<'_>> {
        reports.into_iter().map(|report| self.view(report, now)).collect()
    }

    fn view(&self, report: Arc<TargetReport>, now: SystemTime) -> TargetView<'_> {
        let (advice, state) = self.advice.of(&report, now);
        TargetView { links: &self.links, report, advice, state, now }
    }
}
