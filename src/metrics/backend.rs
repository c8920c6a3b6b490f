//! The metric families of backends.

use std::borrow::Cow;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::family::Families;
use super::table;
use super::view::{FleetView, LastCertificateView};
use crate::text::{SECONDS_PER_DAY, printable};
use crate::verdict::certificate::hex;
use crate::verdict::{Facts, NameVerdict, unix};

pub(super) fn encode(families: &mut Families<'_>, view: &FleetView<'_>, now: SystemTime) -> fmt::Result {
    probes(families, view)?;
    certificates(families, view, now)?;
    chains(families, view)?;
    staples(families, view, now)
}

fn probes(families: &mut Families<'_>, view: &FleetView<'_>) -> fmt::Result {
    let each = || view.backends.iter().map(|row| (view.labels(row), &row.data));
    let probe = || each().map(|(labels, backend)| (labels, backend.probe));

    families.plain(table::BACKEND_RESOLVED, each().map(|(labels, backend)| (labels, backend.report.resolved)))?;
    families.plain(table::PROBE_SUCCESS, probe().map(|(labels, probe)| (labels, probe.outcome.is_ok())))?;
    families.plain(table::PROBE_LAST, probe().map(|(labels, probe)| (labels, unix(probe.at))))?;
    families.plain(
        table::PROBE_CONSECUTIVE_FAILURES,
        probe().map(|(labels, probe)| (labels, probe.consecutive_failures)),
    )?;
    families.info(
        table::PROBE_FAILURE,
        probe().filter_map(|(labels, probe)| {
            let failure = probe.outcome.as_ref().err()?;
            Some((labels, [failure.stage.as_str(), failure.reason.as_str()]))
        }),
    )?;
    families
        .plain(table::HANDSHAKE_ERRORS, each().map(|(labels, backend)| (labels, backend.report.handshake_errors)))?;
    families.plain(table::PROBE_DURATION, probe().map(|(labels, probe)| (labels, probe.duration)))?;
    families.labeled(
        table::PROBE_PHASE_DURATION,
        probe().flat_map(|(labels, probe)| {
            probe.phases.iter().map(move |(phase, duration)| (labels, [phase.as_str()], duration))
        }),
    )?;
    families.plain(table::BACKEND_RATE_LIMITED, probe().map(|(labels, probe)| (labels, probe.rate_limited)))?;
    families.info(
        table::CONNECTION_INFO,
        probe().filter_map(|(labels, probe)| {
            let connection = probe.outcome.as_ref().ok()?;
            Some((labels, [connection.version, connection.cipher, connection.group]))
        }),
    )
}

fn certificates(families: &mut Families<'_>, view: &FleetView<'_>, now: SystemTime) -> fmt::Result {
    let each = || view.certificates();
    let facts = || each().filter_map(|(labels, last)| Some((labels, last.facts?)));

    families
        .plain(table::CERT_LAST_SEEN, each().map(|(labels, last)| (labels, unix(last.last_certificate.seen_at))))?;
    families.plain(
        table::CERT_HOSTNAME_MATCH,
        each().filter_map(|(labels, last)| Some((labels, last.last_certificate.assessment.name?.is_match()))),
    )?;
    families.info(
        table::CERT_HOSTNAME_MISMATCH,
        each().filter_map(|(labels, last)| match last.last_certificate.assessment.name? {
            NameVerdict::Match => None,
            NameVerdict::Mismatch(reason) => {
                Some((labels, [Cow::from(reason.as_str()), presented(last.facts?).into()]))
            }
        }),
    )?;
    expected_names(families, view)?;
    families.plain(
        table::CERT_EHLO_MATCH,
        each().filter_map(|(labels, last)| Some((labels, last.last_certificate.assessment.ehlo?))),
    )?;
    families.plain(table::CERT_NOT_BEFORE, facts().map(|(labels, facts)| (labels, facts.not_before)))?;
    families.plain(table::CERT_NOT_AFTER, facts().map(|(labels, facts)| (labels, facts.not_after)))?;
    families.plain(
        table::CERT_EXPIRY_DAYS,
        facts()
            .map(|(labels, facts)| (labels, (facts.not_after as f64 - unix_precisely(now)) / SECONDS_PER_DAY as f64)),
    )?;
    families.info(table::CERT_INFO, each().filter_map(|(labels, last)| Some((labels, identity(last)?))))?;
    families.plain(
        table::CERT_FILE_MATCH,
        each().filter_map(|(labels, last)| Some((labels, last.last_certificate.file_match?))),
    )?;
    families.plain(
        table::CERT_MISMATCHED_SAMPLES,
        each().filter_map(|(labels, last)| Some((labels, last.last_certificate.mismatched_samples?))),
    )?;
    families.plain(
        table::BACKEND_DISTINCT_CERTIFICATES,
        each().map(|(labels, last)| (labels, last.last_certificate.distinct)),
    )
}

/// Writes the verdicts on `expect_names`, which are in the order of the configuration.
fn expected_names(families: &mut Families<'_>, view: &FleetView<'_>) -> fmt::Result {
    let judged = view.backends.iter().filter_map(|row| {
        let expected = &row.data.last_certificate.as_ref()?.last_certificate.assessment.expected;
        let names = &row.data.target.target.settings.expect_names;
        // A verdict from before a reload can belong to other names.
        (names.len() == expected.len()).then(|| (view.labels(row), names.iter().zip(expected)))
    });
    families.labeled(
        table::CERT_NAME_MATCH,
        judged.flat_map(|(labels, names)| names.map(move |(name, matches)| (labels, [name.to_string()], *matches))),
    )
}

fn chains(families: &mut Families<'_>, view: &FleetView<'_>) -> fmt::Result {
    let each = || view.certificates();

    families.plain(table::CHAIN_TRUSTED, each().filter_map(|(labels, last)| Some((labels, last.trusted?))))?;
    families.plain(table::CHAIN_VALID, each().filter_map(|(labels, last)| Some((labels, last.valid?))))?;
    families.labeled(
        table::CHAIN_ERROR,
        each().flat_map(|(labels, last)| last.reasons.iter().map(move |reason| (labels, [reason.as_str()], true))),
    )?;
    families
        .plain(table::CHAIN_NOT_AFTER, each().filter_map(|(labels, last)| Some((labels, last.chain_not_after?))))?;
    families.plain(
        table::VERIFIED_CHAIN_NOT_AFTER,
        each().filter_map(|(labels, last)| Some((labels, last.verified_not_after?))),
    )
}

fn staples(families: &mut Families<'_>, view: &FleetView<'_>, now: SystemTime) -> fmt::Result {
    let each = || view.certificates();
    let ocsp = || each().map(|(labels, last)| (labels, last.last_certificate.assessment.chain.ocsp()));

    families
        .plain(table::CERT_SCTS, each().filter_map(|(labels, last)| Some((labels, u64::from(last.facts?.scts)))))?;
    families.plain(table::OCSP_STAPLED, ocsp().map(|(labels, ocsp)| (labels, ocsp.is_stapled())))?;
    families.labeled(
        table::OCSP_STATUS,
        ocsp().filter_map(|(labels, ocsp)| Some((labels, [ocsp.status()?.as_str()], true))),
    )?;
    families.plain(table::OCSP_NEXT_UPDATE, ocsp().filter_map(|(labels, ocsp)| Some((labels, ocsp.next_update()?))))?;
    families.labeled(
        table::OCSP_ERROR,
        ocsp().flat_map(|(labels, ocsp)| ocsp.reasons(unix(now)).map(move |reason| (labels, [reason.as_str()], true))),
    )
}

/// The labels of `cert_info`. If the certificate cannot be parsed, all but the fingerprint are empty.
fn identity<'a>(last: &LastCertificateView<'a>) -> Option<[Cow<'a, str>; 6]> {
    let fingerprint = Cow::from(hex(&last.last_certificate.assessment.leaf()?.fingerprint()));
    Some(match last.facts {
        None => [fingerprint, "".into(), "".into(), "".into(), "".into(), "".into()],
        Some(facts) => [
            fingerprint,
            Cow::from(facts.serial()),
            Cow::from(facts.subject()),
            Cow::from(facts.issuer()),
            facts.key.label().into(),
            facts.signature.name.into(),
        ],
    })
}

fn presented(facts: &Facts) -> String {
    let mut names = String::new();
    for name in facts.names() {
        // `printable` cuts the rest off.
        if names.len() > 4 * PRESENTED_LIMIT {
            break;
        }
        if !names.is_empty() {
            names.push_str(", ");
        }
        names.push_str(&name.to_string());
    }
    printable(&names, PRESENTED_LIMIT)
}

fn unix_precisely(time: SystemTime) -> f64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

/// Maximum length of the label `presented`, in characters.
const PRESENTED_LIMIT: usize = 200;
