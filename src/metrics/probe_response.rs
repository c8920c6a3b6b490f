//! The response to a scrape of `/probe`: the series of one target, and metrics named as blackbox_exporter's.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Format, encode_reports, table, write};
use crate::snapshot::{BackendReport, ExporterReport, Fleet, TargetReport};
use crate::verdict::unix;

/// A target that was probed on request.
#[derive(Debug)]
pub(crate) struct ProbeResponse {
    /// The target's report.
    pub(crate) report: Arc<TargetReport>,
    /// Whether the round is finished.
    pub(crate) ended: bool,
    /// Number of addresses that were not probed because `probe.allow` does not permit them; none for configured targets.
    pub(crate) refused: Option<usize>,
    /// Time from the request to the response.
    pub(crate) duration: Duration,
}

impl ProbeResponse {
    /// Whether the lookup succeeded, all its addresses are allowed, and every resolved backend is reachable, with a matching
    /// name and a valid chain.
    pub(crate) fn is_success(&self, now: SystemTime) -> bool {
        let looked_up = self.report.lookup.as_ref().is_none_or(|lookup| lookup.success);
        let is_ok = |backend: &Arc<BackendReport>| {
            backend.is_reachable() && backend.name_matches() == Some(true) && backend.chain_valid(now) == Some(true)
        };
        let all_allowed = self.report.not_allowed() == 0 && self.refused.unwrap_or_default() == 0;
        let complete = self.ended && looked_up && all_allowed;
        complete && self.report.resolved().next().is_some() && self.report.resolved().all(is_ok)
    }

    /// The earliest of the times that `read` returns for the chains of the resolved backends.
    fn earliest(&self, read: impl Fn(&crate::verdict::ChainVerdict) -> Option<i64>) -> Option<i64> {
        let last = self.report.resolved().filter_map(|backend| backend.last_certificate.as_ref());
        last.filter_map(|last| read(last.assessment.chain.verdict())).min()
    }

    /// Duration of the lookup; none while the first lookup is running.
    fn lookup(&self) -> Option<Duration> {
        match &self.report.lookup {
            Some(lookup) => Some(lookup.duration),
            None => self.ended.then_some(Duration::ZERO),
        }
    }
}

/// Writes the metrics of `response` as of `now`.
///
/// # Errors
/// If `out` returns an error.
pub(crate) fn encode_probe_response(
    response: ProbeResponse,
    now: SystemTime,
    format: Format,
    out: &mut impl fmt::Write,
) -> fmt::Result {
    let fleet = Fleet { targets: vec![Arc::clone(&response.report)], exporter: ExporterReport::default() };
    write(format, out, move |families| {
        let last_chain = response.earliest(|verdict| verdict.verified_not_after(unix(now)));
        // Prometheus adds the labels of the scrape.
        families.one(table::ONE_PROBE_SUCCESS, Some(response.is_success(now)))?;
        families.one(table::ONE_PROBE_DURATION, Some(response.duration))?;
        families.one(table::ONE_PROBE_LOOKUP, response.lookup())?;
        families.one(table::ONE_PROBE_EARLIEST, response.earliest(|verdict| verdict.earliest_not_after()))?;
        families.one(table::ONE_PROBE_LAST_CHAIN, last_chain)?;
        families.one(table::ONE_PROBE_REFUSED, response.refused)?;
        encode_reports(families, &fleet, now)
    })
}
