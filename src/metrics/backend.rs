//! The metric families of backends.

use std::borrow::Cow;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::family::{Families, SampleValue, ScopeLabels};
use super::table::{self, Metric};
use super::view::{BackendView, FleetView};
use crate::text::{SECONDS_PER_DAY, list_within, printable};
use crate::verdict::certificate::hex;
use crate::verdict::{Assessment, Facts, NameVerdict, unix};

pub(super) fn encode(families: &mut Families<'_>, view: &FleetView<'_>, now: SystemTime) -> fmt::Result {
    let labels: Vec<ScopeLabels<'_>> = view.backends().map(|(labels, _)| labels).collect();
    for steps in STEPS.chunks(COLUMNS) {
        // The reports are spread over the heap: reading each of them once for several families is much faster than once for
        // each family.
        let column = || Vec::<Option<SampleValue>>::with_capacity(labels.len());
        let mut columns: Vec<_> = steps.iter().map(|_| column()).collect();
        for row in &view.backends {
            for (step, column) in steps.iter().zip(&mut columns) {
                if let Step::Plain(_, value) = step {
                    column.push(value(&row.data, now));
                }
            }
        }
        for (step, column) in steps.iter().zip(columns) {
            match step {
                Step::Plain(metric, _) => families.plain(metric, labels.iter().copied().zip(column), |value| value)?,
                Step::Labeled(write) => write(families, view, now)?,
            }
        }
    }
    Ok(())
}

/// A family of backends.
enum Step {
    /// Only labels of its scope, and a value of each backend that has one.
    Plain(&'static Metric, fn(&BackendView<'_>, SystemTime) -> Option<SampleValue>),
    /// Written by a function.
    Labeled(fn(&mut Families<'_>, &FleetView<'_>, SystemTime) -> fmt::Result),
}

/// All families of backends, in the order of the table.
const STEPS: &[Step] = &[
    Step::Plain(table::BACKEND_RESOLVED, |backend, _| Some(backend.report.resolved.into())),
    Step::Plain(table::PROBE_SUCCESS, |backend, _| Some(backend.probe.outcome.is_ok().into())),
    Step::Plain(table::PROBE_LAST, |backend, _| Some(unix(backend.probe.at).into())),
    Step::Plain(table::PROBE_CONSECUTIVE_FAILURES, |backend, _| Some(backend.probe.consecutive_failures.into())),
    Step::Labeled(|families, view, _| {
        let failures = view.backends().filter_map(|(labels, backend)| {
            let failure = backend.probe.outcome.as_ref().err()?;
            Some((labels, [failure.stage.as_str(), failure.reason.as_str()]))
        });
        families.info(table::PROBE_FAILURE, failures)
    }),
    Step::Plain(table::HANDSHAKE_ERRORS, |backend, _| Some(backend.report.handshake_errors.into())),
    Step::Plain(table::PROBE_DURATION, |backend, _| Some(backend.probe.duration.into())),
    Step::Labeled(|families, view, _| {
        let phases = view.backends().flat_map(|(labels, backend)| {
            backend.probe.phases.iter().map(move |(phase, duration)| (labels, [phase.as_str()], duration))
        });
        families.labeled(table::PROBE_PHASE_DURATION, phases)
    }),
    Step::Plain(table::BACKEND_RATE_LIMITED, |backend, _| Some(backend.probe.rate_limited().into())),
    Step::Labeled(|families, view, _| {
        let connections = view.backends().filter_map(|(labels, backend)| {
            let connection = backend.probe.outcome.as_ref().ok()?;
            Some((labels, [connection.version, connection.cipher, connection.group]))
        });
        families.info(table::CONNECTION_INFO, connections)
    }),
    Step::Plain(table::CERT_LAST_SEEN, |backend, _| Some(unix(backend.last()?.seen_at).into())),
    Step::Plain(table::CERT_HOSTNAME_MATCH, |backend, _| Some(backend.report.name_matches()?.into())),
    Step::Labeled(|families, view, _| {
        let mismatches = view.assessments().filter_map(|(labels, assessment)| match assessment.name? {
            NameVerdict::Match => None,
            NameVerdict::Mismatch(reason) => {
                Some((labels, [Cow::from(reason.as_str()), presented(assessment.facts()?).into()]))
            }
        });
        families.info(table::CERT_HOSTNAME_MISMATCH, mismatches)
    }),
    // The verdicts on `expect_names` are in the order of the configuration.
    Step::Labeled(|families, view, _| {
        let judged = view.backends().filter_map(|(labels, backend)| {
            let expected = &backend.assessment()?.expected;
            let names = &backend.target.target.settings.expect_names;
            // A verdict from before a reload can belong to other names.
            (names.len() == expected.len()).then(|| (labels, names.iter().zip(expected)))
        });
        let matches =
            judged.flat_map(|(labels, names)| names.map(move |(name, matches)| (labels, [name.to_string()], *matches)));
        families.labeled(table::CERT_NAME_MATCH, matches)
    }),
    Step::Plain(table::CERT_EHLO_MATCH, |backend, _| Some(backend.assessment()?.ehlo?.into())),
    Step::Plain(table::CERT_NOT_BEFORE, |backend, _| Some(backend.facts()?.not_before.into())),
    Step::Plain(table::CERT_NOT_AFTER, |backend, _| Some(backend.facts()?.not_after.into())),
    Step::Plain(table::CERT_EXPIRY_DAYS, |backend, now| Some(days_left(backend.facts()?, now).into())),
    Step::Labeled(|families, view, _| {
        let identities = view.assessments().filter_map(|(labels, assessment)| Some((labels, identity(assessment)?)));
        families.info(table::CERT_INFO, identities)
    }),
    Step::Plain(table::CERT_FILE_MATCH, |backend, _| Some(backend.last()?.file_match?.into())),
    Step::Plain(table::CERT_MISMATCHED_SAMPLES, |backend, _| Some(backend.last()?.mismatched_samples?.into())),
    Step::Plain(table::BACKEND_DISTINCT_CERTIFICATES, |backend, _| Some(backend.last()?.distinct.into())),
    Step::Plain(table::CHAIN_TRUSTED, |backend, _| Some(backend.assessment()?.trusted()?.into())),
    Step::Plain(table::CHAIN_VALID, |backend, now| Some(backend.report.chain_valid(now)?.into())),
    Step::Labeled(|families, view, now| {
        let errors = view.assessments().flat_map(|(labels, assessment)| {
            assessment.reasons(now).iter().map(move |reason| (labels, [reason.as_str()], true))
        });
        families.labeled(table::CHAIN_ERROR, errors)
    }),
    Step::Labeled(|families, view, now| {
        let warnings = view.assessments().flat_map(|(labels, assessment)| {
            assessment.warnings(now).iter().map(move |(warning, _)| (labels, [warning.as_str()], true))
        });
        families.labeled(table::CHAIN_WARNING, warnings)
    }),
    Step::Plain(table::CHAIN_NOT_AFTER, |backend, _| {
        Some(backend.assessment()?.chain.verdict().earliest_not_after()?.into())
    }),
    Step::Plain(table::VERIFIED_CHAIN_NOT_AFTER, |backend, now| {
        Some(backend.assessment()?.chain.verdict().verified_not_after(unix(now))?.into())
    }),
    Step::Plain(table::CERT_SCTS, |backend, _| Some(u32::from(backend.facts()?.scts).into())),
    Step::Plain(table::OCSP_STAPLED, |backend, _| Some(backend.assessment()?.chain.ocsp().is_stapled().into())),
    Step::Labeled(|families, view, _| {
        let statuses = view
            .assessments()
            .filter_map(|(labels, assessment)| Some((labels, [assessment.chain.ocsp().status()?.as_str()], true)));
        families.labeled(table::OCSP_STATUS, statuses)
    }),
    Step::Plain(table::OCSP_NEXT_UPDATE, |backend, _| Some(backend.assessment()?.chain.ocsp().next_update()?.into())),
    Step::Labeled(|families, view, now| {
        let errors = view.assessments().flat_map(|(labels, assessment)| {
            assessment.chain.ocsp().reasons(unix(now)).map(move |reason| (labels, [reason.as_str()], true))
        });
        families.labeled(table::OCSP_ERROR, errors)
    }),
];

/// Families whose values are read together: enough to keep reads few, and few enough to keep the values small beside the
/// labels.
const COLUMNS: usize = 8;

fn days_left(facts: &Facts, now: SystemTime) -> f64 {
    (facts.not_after as f64 - unix_precisely(now)) / SECONDS_PER_DAY as f64
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

/// The names that the certificate lists, and the number of those that do not fit.
fn presented(facts: &Facts) -> String {
    let names = facts.names().map(|name| printable(&name.to_string(), MAX_PRESENTED_CHARS + 1));
    list_within(names, usize::MAX, MAX_PRESENTED_CHARS)
}

fn unix_precisely(time: SystemTime) -> f64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

const MAX_PRESENTED_CHARS: usize = 200;
