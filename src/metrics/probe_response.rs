//! One target as a scrape of `/probe` reads it: its own series, and what blackbox_exporter would say in their place.

use std::fmt;
use std::iter::once;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

use super::family::{Families, Scoped, Value};
use super::table::{self, Metric};
use super::view::View;
use super::{Format, backend, target};
use crate::snapshot::{BackendReport, ExporterReport, Fleet, TargetReport};
use crate::verdict::unix;

/// A target that was probed because somebody asked.
#[derive(Debug)]
pub(crate) struct Probed {
    /// What is known of it.
    pub(crate) report: Arc<TargetReport>,
    /// Its round has ended.
    pub(crate) ended: bool,
    /// Addresses that were not probed because they may not be; none where the config names the target.
    pub(crate) refused: Option<usize>,
    /// How long it took.
    pub(crate) duration: Duration,
}

impl Probed {
    /// Whether all that clients may meet is well at `now`.
    pub(crate) fn is_success(&self, now: SystemTime) -> bool {
        let looked_up = self.report.lookup.as_ref().is_none_or(|lookup| lookup.success);
        let is_ok = |backend: &Arc<BackendReport>| {
            backend.is_reachable() && backend.name_matches() == Some(true) && backend.chain_valid(now) == Some(true)
        };
        let complete = self.ended && looked_up && self.refused.unwrap_or_default() == 0;
        complete && self.report.resolved().next().is_some() && self.report.resolved().all(is_ok)
    }

    /// The earliest of what `read` finds in the resolved backends' chains.
    fn earliest(&self, read: impl Fn(&crate::verdict::ChainVerdict) -> Option<i64>) -> Option<i64> {
        let last = self.report.resolved().filter_map(|backend| backend.last_certificate.as_ref());
        last.filter_map(|last| read(last.assessment.chain.verdict())).min()
    }

    /// None while the first lookup is under way.
    fn lookup(&self) -> Option<Duration> {
        match &self.report.lookup {
            Some(lookup) => Some(lookup.duration),
            None => self.ended.then_some(Duration::ZERO),
        }
    }
}

/// Writes what there is to say of `probed`, judged at `now`.
///
/// # Errors
/// Only those of `out`.
pub(crate) fn encode_probed(probed: Probed, now: SystemTime, format: Format, out: &mut impl fmt::Write) -> fmt::Result {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Answer { probed, now, format }));
    encode_registry(out, &registry)?;
    match format {
        Format::OpenMetrics => encode_eof(out),
        Format::Text => Ok(()),
    }
}

#[derive(Debug)]
struct Answer {
    probed: Probed,
    now: SystemTime,
    format: Format,
}

impl Collector for Answer {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (probed, now) = (&self.probed, self.now);
        let fleet = Fleet { targets: vec![Arc::clone(&probed.report)], exporter: ExporterReport::default() };
        let view = View::new(&fleet, now);
        let mut families = Families::new(encoder, self.format);
        let last_chain = probed.earliest(|verdict| verdict.verified_not_after(unix(now)));
        one(&mut families, table::ONE_PROBE_SUCCESS, Some(probed.is_success(now)))?;
        one(&mut families, table::ONE_PROBE_DURATION, Some(probed.duration))?;
        one(&mut families, table::ONE_PROBE_LOOKUP, probed.lookup())?;
        one(&mut families, table::ONE_PROBE_EARLIEST, probed.earliest(|verdict| verdict.earliest_not_after()))?;
        one(&mut families, table::ONE_PROBE_LAST_CHAIN, last_chain)?;
        one(&mut families, table::ONE_PROBE_REFUSED, probed.refused)?;
        target::encode(&mut families, &view)?;
        backend::encode(&mut families, &view, now)
    }
}

/// A sample without labels: Prometheus adds those of the scrape.
fn one(families: &mut Families<'_>, metric: &'static Metric, value: Option<impl Into<Value>>) -> fmt::Result {
    families.plain(metric, once(value).flatten().map(|value| (Scoped::default(), value)))
}
