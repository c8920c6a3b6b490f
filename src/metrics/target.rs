//! The metric families of targets and of their server names.

use std::fmt;

use super::family::Families;
use super::table;
use super::view::FleetView;
use crate::snapshot::TargetReport;
use crate::verdict::unix;

pub(super) fn encode(families: &mut Families<'_>, view: &FleetView<'_>) -> fmt::Result {
    targets(families, view)?;
    endpoints(families, view)
}

fn targets(families: &mut Families<'_>, view: &FleetView<'_>) -> fmt::Result {
    let each = || view.targets.iter().map(|row| (view.labels(row), row.data));
    let looked_up = || each().filter_map(|(labels, report)| Some((labels, report.lookup.as_ref()?)));

    families.info(table::TARGET_INFO, each().map(|(labels, report)| (labels, [report.target.kind.as_str()])))?;
    families.plain(table::TARGET_INTERVAL, each(), |report| Some(report.target.settings.interval))?;
    families.plain(table::TARGET_LAST_ROUND, each(), |report| Some(report.last_round.map_or(0, unix)))?;
    families.plain(table::TARGET_LOOKUP_SUCCESS, looked_up(), |lookup| Some(lookup.success))?;
    families.plain(table::TARGET_LOOKUP_DURATION, looked_up(), |lookup| Some(lookup.duration))?;
    families.plain(table::TARGET_HOSTS, looked_up(), |lookup| lookup.hosts)?;
    let failures = looked_up().flat_map(|(labels, lookup)| {
        let failures = lookup.failures.iter().enumerate();
        // Equal failures of one query are one series.
        let unique = failures.filter(|(at, failure)| !lookup.failures.iter().take(*at).any(|other| other == *failure));
        unique.map(move |(_, failure)| {
            (labels, [failure.name.to_string(), failure.record_type.to_owned(), failure.reason.to_string()])
        })
    });
    families.info(table::TARGET_LOOKUP_FAILURE, failures)?;
    let held = each().filter(|(_, report)| report.lookup.is_some());
    families.plain(table::TARGET_HELD_BACKENDS, held, |report| Some(report.held()))?;
    let skipped = each().flat_map(|(labels, report)| {
        report.skipped().into_iter().map(move |(reason, count)| (labels, [reason.as_str()], count))
    });
    families.labeled(table::TARGET_ADDRESSES_SKIPPED, skipped)?;
    families.plain(table::TARGET_NAMESERVERS_DISAGREE, looked_up(), |lookup| lookup.disagree)?;
    let client_not_after = |report: &TargetReport| Some(report.target.settings.client_certificate.as_ref()?.not_after);
    families.plain(table::CLIENT_CERTIFICATE_NOT_AFTER, each(), client_not_after)?;
    families.plain(table::PROBES, each(), |report| Some(report.counters.probes))?;
    families.plain(table::PROBE_FAILURES, each(), |report| Some(report.counters.failures))?;
    let reasons = each().flat_map(|(labels, report)| {
        let reasons = report.counters.reasons.iter();
        reasons.map(move |(stage, reason, count)| (labels, [stage.as_str(), reason.as_str()], *count))
    });
    families.labeled(table::PROBE_FAILURE_REASONS, reasons)
}

fn endpoints(families: &mut Families<'_>, view: &FleetView<'_>) -> fmt::Result {
    let each = || view.server_names.iter().map(|row| (view.labels(row), &row.data));

    let endpoints = view.endpoints.iter().map(|row| {
        let endpoint = &row.data.endpoint;
        let preference = row.data.preference.map(|preference| preference.to_string()).unwrap_or_default();
        (view.labels(row), [endpoint.port.to_string(), endpoint.tls.as_str().to_owned(), preference])
    });
    families.info(table::ENDPOINT_INFO, endpoints)?;
    let found = each().filter_map(|(labels, name)| Some((labels, [name.found_as?.to_string()])));
    families.info(table::ENDPOINT_FOUND_NAME, found)?;
    families.plain(table::BACKENDS_RESOLVED, each(), |name| Some(name.counts.resolved))?;
    families.plain(table::BACKENDS_REACHABLE, each(), |name| Some(name.counts.reachable))?;
    families.plain(table::BACKENDS_MATCHED, each(), |name| Some(name.counts.matched))?;
    families.plain(table::BACKENDS_MISMATCHED, each(), |name| Some(name.counts.mismatched))?;
    families.plain(table::BACKENDS_CHAIN_VALID, each(), |name| Some(name.counts.chain_valid))?;
    families
        .plain(table::DISTINCT_CERTIFICATES, each(), |name| Some(name.certificates.len()).filter(|count| *count > 0))?;
    families.plain(table::EARLIEST_NOT_AFTER, each(), |name| name.earliest_not_after)?;
    let alternates = each().flat_map(|(labels, name)| {
        name.alternates.iter().map(move |other| (labels, [other.name.to_string(), other.resolves.to_string()]))
    });
    families.info(table::SHARED_NAME, alternates)
}
