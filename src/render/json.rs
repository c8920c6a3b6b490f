//! Reports as JSON. Every key is always present; unknown values are null. Tests check that `docs/api.md` describes every
//! key of a target; `docs/verdicts.md` has those of `verify`.
#![expect(non_camel_case_types, reason = "in `object!`, each key is the name of its type parameter, too")]

use std::collections::BTreeMap;
use std::iter;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::advice::{Advice, advise};
use crate::client_errors::Finding;
use crate::reason::{ChainWarning, Phase};
use crate::snapshot::state::{is_ok, worst};
use crate::snapshot::{
    AlternateName, BackendReport, Change, Condition, EndpointReport, LastCertificate, LookupFailure, LookupReport,
    ProbeReport, ShardReport, StateChange, TargetReport,
};
use crate::target::ServerName;
use crate::text::{days, escaped_for_json, printable, rfc3339};
use crate::verdict::certificate::hex;
use crate::verdict::near_miss::near_misses;
use crate::verdict::{Certificate, Facts, NameVerdict, Senders, unix};
use crate::verify::Verification;

/// A JSON object with these keys, in this order: a struct whose fields have their values' types.
macro_rules! object {
    ($($key:ident: $value:expr,)+) => {{
        #[derive(Serialize)]
        struct Object<$($key),+> { $($key: $key),+ }
        Object { $($key: $value),+ }
    }};
}

/// Targets with their backends, verdicts and advice as one JSON object, indented; `docs/api.md` describes its keys.
pub fn targets_json(targets: &[Arc<TargetReport>], shard: &ShardReport, now: SystemTime) -> String {
    targets_json_pieces(targets.iter().cloned(), shard, now).collect()
}

/// The pieces of [`targets_json`], made one by one: one for each target, one before and one after them.
pub fn targets_json_pieces(
    targets: impl IntoIterator<Item = Arc<TargetReport>>,
    shard: &ShardReport,
    now: SystemTime,
) -> impl Iterator<Item = String> {
    let mut targets = targets.into_iter().peekable();
    let shard = object! {
        ordinal: shard.shard.ordinal(),
        total: shard.shard.total(),
        other_targets: shard.other_targets(),
    };
    let empty = text(&object! { version: VERSION, at: at(now), shard: shard, targets: [(); 0], });
    let (start, end) = empty.split_once("[]").unwrap_or_default();
    let (start, end) =
        (format!("{start}["), if targets.peek().is_none() { format!("]{end}") } else { format!("\n  ]{end}") });
    let items = targets.enumerate().map(move |(index, report)| {
        let separator = if index == 0 { "" } else { "," };
        let item = target_json(&report, now);
        // Strings have no line feeds: those are between the lines of the text.
        format!("{separator}\n    {}", item.trim_end().replace('\n', "\n    "))
    });
    iter::once(start).chain(items).chain(iter::once(end))
}

/// One target, in the form of an item of [`targets_json`].
pub fn target_json(report: &TargetReport, now: SystemTime) -> String {
    target(report, advise(report, now), now)
}

/// One target with the `advice` on it.
fn target(report: &TargetReport, advice: Vec<Advice>, now: SystemTime) -> String {
    let target = &report.target;
    let state = worst(report, advice.iter().map(|advice| advice.severity), now);
    text(&object! {
        name: target.name.as_str(),
        kind: target.kind.as_str(),
        labels: target.labels.iter().collect::<BTreeMap<_, _>>(),
        interval: seconds(target.settings.interval),
        last_round: report.last_round.map(at),
        healthy: is_ok(report, now),
        state: state,
        lookup: report.lookup.as_deref().map(lookup),
        endpoints: list(&report.endpoints, |each| endpoint(report, each, now)),
        file: report.file.as_ref().and_then(|file| file.as_deref().ok()).map(file),
        file_error: report.file.as_ref().and_then(|file| file.as_ref().err()).map(|error| &**error),
        advice: list(advice, advice_json),
        changes: list(&*report.changes, change),
    })
}

/// The result of `verify` as one JSON object; `docs/verdicts.md` describes its keys.
pub fn json(verification: &Verification) -> String {
    let chain = &verification.chain;
    let leaf = chain.certificates().first();
    text(&object! {
        names: list(&verification.names, |(reference, verdict)| name(reference, *verdict, leaf.and_then(|leaf| leaf.facts()))),
        chain: object! {
            trusted: verification.trusted,
            valid: verification.valid,
            errors: list(verification.reasons.iter(), Finding::from),
            warnings: list(verification.warnings.iter(), warning),
            not_after: verification.not_after.map(time),
            verified_not_after: verification.verified_not_after.map(time),
        },
        certificate: leaf.map(|leaf| certificate(leaf, chain.ocsp().must_staple(), verification.at, usize::MAX)),
        presented: chain.certificates().len(),
        leaf_position: verification.leaf_position,
        at: time(verification.at),
    })
}

/// `value` indented, with characters that are not printable escaped.
fn text(value: &impl Serialize) -> String {
    // Cannot fail: map keys are strings and numbers are finite.
    let json = serde_json::to_string_pretty(value).unwrap_or_default();
    escaped_for_json(&json) + "\n"
}

fn list<T, J>(items: impl IntoIterator<Item = T>, to_json: impl FnMut(T) -> J) -> Vec<J> {
    items.into_iter().map(to_json).collect()
}

fn lookup(report: &LookupReport) -> impl Serialize {
    object! {
        success: report.success,
        hosts: report.hosts,
        duration: seconds(report.duration),
        disagree: report.disagree,
        varies: report.varies,
        searched: list(&report.searched, ToString::to_string),
        failures: list(&report.failures, lookup_failure),
    }
}

fn lookup_failure(failure: &LookupFailure) -> impl Serialize {
    object! {
        name: failure.name.to_string(),
        r#type: failure.record_type,
        reason: failure.reason,
        meaning: failure.reason.doc(),
    }
}

fn endpoint(target: &TargetReport, report: &EndpointReport, now: SystemTime) -> impl Serialize {
    object! {
        server_name: report.endpoint.server_name.to_string(),
        port: report.endpoint.port,
        tls: report.endpoint.tls.as_str(),
        preference: report.preference,
        found_as: report.found_as.as_ref().map(ToString::to_string),
        held: report.held,
        skipped: list(&report.skipped, |(reason, count)| object! { reason: *reason, count: *count, }),
        not_allowed: list(&*report.not_allowed, ToString::to_string),
        shared_names: list(&*report.alternates, alternate),
        backends: list(&report.backends, |each| backend(target, each, now)),
    }
}

fn alternate(alternate: &AlternateName) -> impl Serialize {
    object! {
        name: alternate.name.to_string(),
        resolves: alternate.resolves,
        addresses: list(&alternate.addresses, ToString::to_string),
    }
}

fn backend(target: &TargetReport, report: &BackendReport, now: SystemTime) -> impl Serialize {
    let last = report.last_certificate.as_ref();
    let assessment = last.map(|last| &last.assessment);
    let server_name = &report.backend.endpoint.server_name;
    let leaf = assessment.and_then(|assessment| {
        let must_staple = assessment.chain.ocsp().must_staple();
        Some(certificate(assessment.leaf()?, must_staple, unix(now), MAX_NAMES))
    });
    object! {
        backend: report.backend.socket_addr().to_string(),
        address: report.backend.address.to_string(),
        resolved: report.resolved,
        ok: Condition::of(report, now).map(|condition| condition.is_ok()),
        probe: report.probe.as_ref().map(probe),
        handshake_errors: report.handshake_errors,
        certificate: leaf,
        presented: assessment.map(|assessment| assessment.chain.certificates().len()),
        name: assessment.map(|assessment| name(server_name, assessment.name, assessment.facts())),
        expected_names: last.map(|last| expected(&target.target.settings.expect_names, last)),
        ehlo_match: assessment.and_then(|assessment| assessment.ehlo),
        chain: last.map(|last| chain(last, now)),
        ocsp: last.map(|last| ocsp(last, now)),
        file_match: last.and_then(|last| last.file_match),
        seen_at: last.map(|last| at(last.seen_at)),
        distinct: last.map(|last| last.distinct),
        mismatched_samples: last.and_then(|last| last.mismatched_samples),
    }
}

fn probe(report: &ProbeReport) -> impl Serialize {
    let (connection, failure) = (report.outcome.as_ref().ok(), report.outcome.as_ref().err());
    let finding = failure.map(|failure| Finding::from(failure.reason));
    let phase = |wanted| report.phases.iter().find(|(phase, _)| *phase == wanted).map(|(_, time)| seconds(time));
    object! {
        at: at(report.at),
        duration: seconds(report.duration),
        phases: object! {
            connect: phase(Phase::Connect),
            greeting: phase(Phase::Greeting),
            starttls: phase(Phase::StartTls),
            handshake: phase(Phase::Handshake),
        },
        success: failure.is_none(),
        stage: failure.map(|failure| failure.stage),
        reason: finding.map(|finding| finding.reason),
        meaning: finding.map(|finding| finding.meaning),
        client_errors: finding.and_then(|finding| finding.client_errors),
        detail: failure.map(|failure| failure.detail.to_string()),
        cause: report.cause(),
        tls: connection.map(|connection| object! {
            version: connection.version,
            cipher: connection.cipher,
            group: connection.group,
        }),
        consecutive_failures: report.consecutive_failures,
        rate_limited: report.rate_limited(),
        client_certificate: report.client_auth,
    }
}

/// The facts of `leaf` as of `at` (Unix seconds), with at most `max_names` of its names.
fn certificate(leaf: &Certificate, must_staple: bool, at: i64, max_names: usize) -> impl Serialize {
    let facts = leaf.facts();
    object! {
        fingerprint_sha256: hex(&leaf.fingerprint()),
        thumbprint_sha1: hex(&leaf.thumbprint()),
        serial: facts.map(|facts| facts.serial()),
        subject: facts.map(|facts| facts.subject()),
        issuer: facts.map(|facts| facts.issuer()),
        key: facts.map(|facts| facts.key.label()),
        signature: facts.map(|facts| facts.signature.name),
        not_before: facts.map(|facts| time(facts.not_before)),
        not_after: facts.map(|facts| time(facts.not_after)),
        expiry_days: facts.map(|facts| days(at, facts.not_after)),
        names: facts.map(|facts| list(facts.names().take(max_names), |name| printable(&name.to_string(), 253))),
        names_total: facts.map(|facts| facts.names().count()),
        scts: facts.map(|facts| facts.scts),
        must_staple: must_staple,
    }
}

fn name(reference: &ServerName, verdict: Option<NameVerdict>, facts: Option<&Facts>) -> impl Serialize {
    let finding = match verdict {
        Some(NameVerdict::Mismatch(reason)) => Some(Finding::from(reason)),
        Some(NameVerdict::Match) | None => None,
    };
    let near = facts.map(|facts| near_misses(reference, facts)).unwrap_or_default();
    object! {
        name: reference.to_string(),
        r#match: verdict.map(NameVerdict::is_match),
        reason: finding.map(|finding| finding.reason),
        meaning: finding.map(|finding| finding.meaning),
        client_errors: finding.and_then(|finding| finding.client_errors),
        near_misses: list(near.into_iter().take(MAX_NEAR_MISSES), |near| object! {
            presented: near.presented.to_string().chars().take(MAX_NAME_CHARS).collect::<String>(),
            differences: near.differences.clone(),
            meaning: near.predicate(),
        }),
    }
}

fn expected(names: &[ServerName], last: &LastCertificate) -> impl Serialize {
    list(names.iter().enumerate(), |(index, name)| {
        object! {
            name: name.to_string(),
            r#match: last.assessment.expected.get(index).copied(),
        }
    })
}

fn chain(last: &LastCertificate, now: SystemTime) -> impl Serialize {
    let assessment = &last.assessment;
    let verdict = assessment.chain.verdict();
    object! {
        trusted: assessment.trusted(),
        valid: assessment.valid(now),
        errors: list(assessment.reasons(now).iter(), Finding::from),
        warnings: list(assessment.warnings(now).iter(), warning),
        not_after: verdict.earliest_not_after().map(time),
        verified_not_after: verdict.verified_not_after(unix(now)).map(time),
    }
}

fn warning((warning, senders): (ChainWarning, Senders)) -> impl Serialize {
    object! {
        reason: warning,
        meaning: warning.doc(),
        refused_by: list(senders.iter(), |sender| sender),
    }
}

fn ocsp(last: &LastCertificate, now: SystemTime) -> impl Serialize {
    let verdict = last.assessment.chain.ocsp();
    object! {
        stapled: verdict.is_stapled(),
        status: verdict.status(),
        next_update: verdict.next_update().map(time),
        errors: list(verdict.reasons(unix(now)), Finding::from),
    }
}

/// The certificate in the target's `certificate_file`.
fn file(certificate: &Certificate) -> impl Serialize {
    object! {
        fingerprint_sha256: hex(&certificate.fingerprint()),
        thumbprint_sha1: hex(&certificate.thumbprint()),
        not_after: certificate.facts().map(|facts| time(facts.not_after)),
    }
}

fn advice_json(advice: Advice) -> impl Serialize {
    object! {
        kind: advice.kind,
        severity: advice.severity,
        backends: list(&advice.backends, |backend| object! {
            server_name: backend.endpoint.server_name.to_string(),
            backend: backend.socket_addr().to_string(),
            tls: backend.endpoint.tls.as_str(),
        }),
        text: advice.text,
        request: advice.request,
        client_errors: advice.clients,
    }
}

/// Exactly one of the last three values is not null.
fn change(change: &StateChange) -> impl Serialize {
    let (backend, condition, resolved, failures) = match &change.change {
        Change::Condition(backend, condition) => (Some(backend), Some(condition), None, None),
        Change::Resolved(backend, resolved) => (Some(backend), None, Some(*resolved), None),
        Change::Lookup(failures) => (None, None, None, Some(failures)),
    };
    object! {
        at: at(change.at),
        server_name: backend.map(|backend| backend.endpoint.server_name.to_string()),
        backend: backend.map(|backend| backend.socket_addr().to_string()),
        tls: backend.map(|backend| backend.endpoint.tls.as_str()),
        condition: condition.map(|condition| object! {
            ok: condition.is_ok(),
            stage: condition.failure.map(|(stage, _)| stage),
            reason: condition.failure.map(|(_, reason)| reason),
            name_match: condition.name,
            chain: &condition.chain,
            ocsp: &condition.staple,
            fingerprint_sha256: condition.fingerprint.map(|fingerprint| hex(&fingerprint)),
        }),
        resolved: resolved,
        failures: failures.map(|failures| list(failures, lookup_failure)),
    }
}

fn at(at: SystemTime) -> impl Serialize {
    time(unix(at))
}

fn time(unix: i64) -> impl Serialize {
    object! { rfc3339: rfc3339(unix), unix: unix, }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// Incremented if a key is removed or changes its meaning, not for new keys.
const VERSION: u32 = 1;
/// Names listed per certificate; `names_total` counts all of them.
const MAX_NAMES: usize = 100;
/// For each name.
const MAX_NEAR_MISSES: usize = 10;
const MAX_NAME_CHARS: usize = 253;

#[cfg(test)]
mod tests;
