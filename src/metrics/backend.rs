//! The metric families of backends.

use std::borrow::Cow;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::family::Families;
use super::table;
use super::view::FleetView;
use crate::text::{SECONDS_PER_DAY, printable};
use crate::verdict::certificate::hex;
use crate::verdict::{Assessment, Facts, NameVerdict, unix};

pub(super) fn encode(families: &mut Families<'_>, view: &FleetView<'_>, now: SystemTime) -> fmt::Result {
    probes(families, view)?;
    certificates(families, view, now)?;
    chains(families, view, now)?;
    staples(families, view, now)
}

fn probes(families: &mut Families<'_>, view: &FleetView<'_>) -> fmt::Result {
    let each = || view.backends.iter().map(|row| (view.labels(row), &row.data));
    let probe = || each().map(|(labels, backend)| (labels, backend.probe));

    families.plain(table::BACKEND_RESOLVED, each(), |backend| Some(backend.report.resolved))?;
    families.plain(table::PROBE_SUCCESS, probe(), |probe| Some(probe.outcome.is_ok()))?;
    families.plain(table::PROBE_LAST, probe(), |probe| Some(unix(probe.at)))?;
    families.plain(table::PROBE_CONSECUTIVE_FAILURES, probe(), |probe| Some(probe.consecutive_failures))?;
    let failures = probe().filter_map(|(labels, probe)| {
        let failure = probe.outcome.as_ref().err()?;
        Some((labels, [failure.stage.as_str(), failure.reason.as_str()]))
    });
    families.info(table::PROBE_FAILURE, failures)?;
    families.plain(table::HANDSHAKE_ERRORS, each(), |backend| Some(backend.report.handshake_errors))?;
    families.plain(table::PROBE_DURATION, probe(), |probe| Some(probe.duration))?;
    let phases = probe().flat_map(|(labels, probe)| {
        probe.phases.iter().map(move |(phase, duration)| (labels, [phase.as_str()], duration))
    });
    families.labeled(table::PROBE_PHASE_DURATION, phases)?;
    families.plain(table::BACKEND_RATE_LIMITED, probe(), |probe| Some(probe.rate_limited))?;
    let connections = probe().filter_map(|(labels, probe)| {
        let connection = probe.outcome.as_ref().ok()?;
        Some((labels, [connection.version, connection.cipher, connection.group]))
    });
    families.info(table::CONNECTION_INFO, connections)
}

fn certificates(families: &mut Families<'_>, view: &FleetView<'_>, now: SystemTime) -> fmt::Result {
    let each = || view.certificates();
    let facts = || each().filter_map(|(labels, last)| Some((labels, last.assessment.facts()?)));
    let days_left = |facts: &Facts| (facts.not_after as f64 - unix_precisely(now)) / SECONDS_PER_DAY as f64;

    families.plain(table::CERT_LAST_SEEN, each(), |last| Some(unix(last.seen_at)))?;
    families.plain(table::CERT_HOSTNAME_MATCH, each(), |last| Some(last.assessment.name?.is_match()))?;
    let mismatches = each().filter_map(|(labels, last)| match last.assessment.name? {
        NameVerdict::Match => None,
        NameVerdict::Mismatch(reason) => {
            Some((labels, [Cow::from(reason.as_str()), presented(last.assessment.facts()?).into()]))
        }
    });
    families.info(table::CERT_HOSTNAME_MISMATCH, mismatches)?;
    expected_names(families, view)?;
    families.plain(table::CERT_EHLO_MATCH, each(), |last| last.assessment.ehlo)?;
    families.plain(table::CERT_NOT_BEFORE, facts(), |facts| Some(facts.not_before))?;
    families.plain(table::CERT_NOT_AFTER, facts(), |facts| Some(facts.not_after))?;
    families.plain(table::CERT_EXPIRY_DAYS, facts(), |facts| Some(days_left(facts)))?;
    let identities = each().filter_map(|(labels, last)| Some((labels, identity(&last.assessment)?)));
    families.info(table::CERT_INFO, identities)?;
    families.plain(table::CERT_FILE_MATCH, each(), |last| last.file_match)?;
    families.plain(table::CERT_MISMATCHED_SAMPLES, each(), |last| last.mismatched_samples)?;
    families.plain(table::BACKEND_DISTINCT_CERTIFICATES, each(), |last| Some(last.distinct))
}

/// Writes the verdicts on `expect_names`, which are in the order of the configuration.
fn expected_names(families: &mut Families<'_>, view: &FleetView<'_>) -> fmt::Result {
    let judged = view.backends.iter().filter_map(|row| {
        let expected = &row.data.report.last_certificate.as_ref()?.assessment.expected;
        let names = &row.data.target.target.settings.expect_names;
        // A verdict from before a reload can belong to other names.
        (names.len() == expected.len()).then(|| (view.labels(row), names.iter().zip(expected)))
    });
    let matches =
        judged.flat_map(|(labels, names)| names.map(move |(name, matches)| (labels, [name.to_string()], *matches)));
    families.labeled(table::CERT_NAME_MATCH, matches)
}

fn chains(families: &mut Families<'_>, view: &FleetView<'_>, now: SystemTime) -> fmt::Result {
    let each = || view.certificates().map(|(labels, last)| (labels, &last.assessment));

    families.plain(table::CHAIN_TRUSTED, each(), |assessment| assessment.trusted())?;
    families.plain(table::CHAIN_VALID, each(), |assessment| assessment.valid(now))?;
    let errors = each().flat_map(|(labels, assessment)| {
        assessment.reasons(now).iter().map(move |reason| (labels, [reason.as_str()], true))
    });
    families.labeled(table::CHAIN_ERROR, errors)?;
    families.plain(table::CHAIN_NOT_AFTER, each(), |assessment| assessment.chain.verdict().earliest_not_after())?;
    families.plain(table::VERIFIED_CHAIN_NOT_AFTER, each(), |assessment| {
        assessment.chain.verdict().verified_not_after(unix(now))
    })
}

fn staples(families: &mut Families<'_>, view: &FleetView<'_>, now: SystemTime) -> fmt::Result {
    let ocsp = || view.certificates().map(|(labels, last)| (labels, last.assessment.chain.ocsp()));

    families.plain(table::CERT_SCTS, view.certificates(), |last| Some(u32::from(last.assessment.facts()?.scts)))?;
    families.plain(table::OCSP_STAPLED, ocsp(), |ocsp| Some(ocsp.is_stapled()))?;
    let statuses = ocsp().filter_map(|(labels, ocsp)| Some((labels, [ocsp.status()?.as_str()], true)));
    families.labeled(table::OCSP_STATUS, statuses)?;
    families.plain(table::OCSP_NEXT_UPDATE, ocsp(), |ocsp| ocsp.next_update())?;
    let errors =
        ocsp().flat_map(|(labels, ocsp)| ocsp.reasons(unix(now)).map(move |reason| (labels, [reason.as_str()], true)));
    families.labeled(table::OCSP_ERROR, errors)
}

/// The labels of `cert_info`. If the certificate cannot be parsed, all but the fingerprint are empty.
fn identity(assessment: &Assessment) -> Option<[Cow<'_, str>; 6]> {
    let fingerprint = Cow::from(hex(&assessment.leaf()?.fingerprint()));
    Some(match assessment.facts() {
        None => [fingerprint, "".into(), "".into(), "".into(), "".into(), "".into()],
        Some(facts) => [
            fingerprint,
            facts.serial().into(),
            facts.subject().into(),
            facts.issuer().into(),
            facts.key.label().into(),
            facts.signature.name.into(),
        ],
    })
}

fn presented(facts: &Facts) -> String {
    let mut names = String::new();
    for name in facts.names() {
        // `printable` cuts the rest off.
        if names.len() > 4 * MAX_PRESENTED_CHARS {
            break;
        }
        if !names.is_empty() {
            names.push_str(", ");
        }
        names.push_str(&name.to_string());
    }
    printable(&names, MAX_PRESENTED_CHARS)
}

fn unix_precisely(time: SystemTime) -> f64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

const MAX_PRESENTED_CHARS: usize = 200;
