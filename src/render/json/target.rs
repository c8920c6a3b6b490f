//! Targets as JSON. A test checks that `docs/api.md` describes every key.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::common::{CertificateJson, ChainJson, ClientErrorsJson, FindingJson, NameJson, TimeJson};
use crate::advice::{Advice, advise};
use crate::observation::Connection;
use crate::reason::Phase;
use crate::snapshot::state::{is_ok, worst};
use crate::snapshot::{
    AlternateName, BackendReport, Change, Condition, EndpointReport, LastCertificate, LookupFailure, LookupReport,
    ProbeReport, StateChange, TargetReport,
};
use crate::target::{Backend, ServerName};
use crate::text::is_printable;
use crate::verdict::certificate::hex;
use crate::verdict::{Certificate, unix};

/// All of `targets`, with the version of the format and the time.
pub(in crate::render) fn write_all(targets: &[Arc<TargetReport>], now: SystemTime) -> String {
    let targets = targets.iter().map(|report| TargetJson::new(report, advise(report, now), now)).collect();
    text(&DocumentJson { version: VERSION, at: unix(now).into(), targets })
}

/// One target with the `advice` on it.
pub(in crate::render) fn one(report: &TargetReport, advice: Vec<Advice>, now: SystemTime) -> String {
    text(&TargetJson::new(report, advice, now))
}

fn text(value: &impl Serialize) -> String {
    // Cannot fail: map keys are strings and numbers are finite.
    escaped(&serde_json::to_string_pretty(value).unwrap_or_default()) + "\n"
}

/// `json` with characters that control a terminal escaped. They occur only in strings, where an escape has the same value.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || is_printable(c) {
            out.push(c);
        } else {
            let _ = c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"));
        }
    }
    out
}

#[derive(Serialize)]
struct DocumentJson<'a> {
    version: u32,
    at: TimeJson,
    targets: Vec<TargetJson<'a>>,
}

#[derive(Serialize)]
struct TargetJson<'a> {
    name: &'a str,
    kind: &'static str,
    labels: BTreeMap<&'a str, &'a str>,
    interval: f64,
    last_round: Option<TimeJson>,
    healthy: bool,
    state: &'static str,
    lookup: Option<LookupJson>,
    endpoints: Vec<EndpointJson<'a>>,
    file: Option<FileJson>,
    advice: Vec<AdviceJson>,
    changes: Vec<ChangeJson>,
}

impl<'a> TargetJson<'a> {
    fn new(report: &'a TargetReport, advice: Vec<Advice>, now: SystemTime) -> Self {
        let target = &report.target;
        let state = worst(report, advice.iter().map(|advice| advice.severity), now);
        Self {
            name: target.name.as_str(),
            kind: target.kind.as_str(),
            labels: target.labels.iter().collect(),
            interval: target.settings.interval.as_secs_f64(),
            last_round: report.last_round.map(at),
            healthy: is_ok(report, now),
            state: state.as_str(),
            lookup: report.lookup.as_deref().map(LookupJson::from),
            endpoints: report.endpoints.iter().map(|endpoint| EndpointJson::new(report, endpoint, now)).collect(),
            file: report.file.as_deref().map(FileJson::from),
            advice: advice.into_iter().map(AdviceJson::from).collect(),
            changes: report.changes.iter().map(ChangeJson::from).collect(),
        }
    }
}

#[derive(Serialize)]
struct LookupJson {
    success: bool,
    hosts: Option<usize>,
    duration: f64,
    disagree: Option<bool>,
    failures: Vec<LookupFailureJson>,
}

impl From<&LookupReport> for LookupJson {
    fn from(report: &LookupReport) -> Self {
        let LookupReport { success, hosts, duration, disagree, ref failures } = *report;
        Self { success, hosts, duration: seconds(duration), disagree, failures: lookup_failures(failures) }
    }
}

#[derive(Serialize)]
struct LookupFailureJson {
    name: String,
    r#type: &'static str,
    reason: &'static str,
    meaning: &'static str,
}

fn lookup_failures(failures: &[LookupFailure]) -> Vec<LookupFailureJson> {
    let each = |failure: &LookupFailure| LookupFailureJson {
        name: failure.name.to_string(),
        r#type: failure.record_type,
        reason: failure.reason.as_str(),
        meaning: failure.reason.doc(),
    };
    failures.iter().map(each).collect()
}

#[derive(Serialize)]
struct EndpointJson<'a> {
    server_name: String,
    port: u16,
    tls: &'static str,
    preference: Option<u16>,
    skipped: Vec<SkippedJson>,
    shared_names: Vec<AlternateNameJson>,
    backends: Vec<BackendJson<'a>>,
}

impl<'a> EndpointJson<'a> {
    fn new(target: &'a TargetReport, report: &'a EndpointReport, now: SystemTime) -> Self {
        let skipped =
            report.skipped.iter().map(|(reason, count)| SkippedJson { reason: reason.as_str(), count: *count });
        Self {
            server_name: report.endpoint.server_name.to_string(),
            port: report.endpoint.port,
            tls: report.endpoint.tls.as_str(),
            preference: report.preference,
            skipped: skipped.collect(),
            shared_names: report.alternates.iter().map(AlternateNameJson::from).collect(),
            backends: report.backends.iter().map(|backend| BackendJson::new(target, backend, now)).collect(),
        }
    }
}

#[derive(Serialize)]
struct SkippedJson {
    reason: &'static str,
    count: usize,
}

#[derive(Serialize)]
struct AlternateNameJson {
    name: String,
    resolves: &'static str,
    addresses: Vec<String>,
}

impl From<&AlternateName> for AlternateNameJson {
    fn from(alternate: &AlternateName) -> Self {
        Self {
            name: alternate.name.to_string(),
            resolves: alternate.resolves.as_str(),
            addresses: alternate.addresses.iter().map(ToString::to_string).collect(),
        }
    }
}

#[derive(Serialize)]
struct BackendJson<'a> {
    backend: String,
    address: String,
    resolved: bool,
    ok: Option<bool>,
    probe: Option<ProbeJson>,
    handshake_errors: u32,
    certificate: Option<CertificateJson<'a>>,
    presented: Option<usize>,
    name: Option<NameJson>,
    expected_names: Option<Vec<ExpectedNameJson>>,
    ehlo_match: Option<bool>,
    chain: Option<ChainJson>,
    ocsp: Option<OcspJson>,
    file_match: Option<bool>,
    seen_at: Option<TimeJson>,
    distinct: Option<usize>,
    mismatched_samples: Option<usize>,
}

impl<'a> BackendJson<'a> {
    fn new(target: &'a TargetReport, report: &'a BackendReport, now: SystemTime) -> Self {
        let last = report.last_certificate.as_ref();
        let assessment = last.map(|last| &last.assessment);
        let server_name = &report.backend.endpoint.server_name;
        let leaf = |last: &'a LastCertificate| {
            let chain = &last.assessment.chain;
            Some(CertificateJson::new(last.assessment.leaf()?, chain.ocsp().must_staple(), unix(now), MAX_NAMES))
        };
        Self {
            backend: report.backend.socket_addr().to_string(),
            address: report.backend.address.to_string(),
            resolved: report.resolved,
            ok: Condition::of(report, now).map(|condition| condition.is_ok()),
            probe: report.probe.as_ref().map(ProbeJson::from),
            handshake_errors: report.handshake_errors,
            certificate: last.and_then(leaf),
            presented: assessment.map(|assessment| assessment.chain.certificates().len()),
            name: assessment.map(|assessment| NameJson::new(server_name, assessment.name)),
            expected_names: last.map(|last| expected(&target.target.settings.expect_names, last)),
            ehlo_match: assessment.and_then(|assessment| assessment.ehlo),
            chain: last.map(|last| chain(last, now)),
            ocsp: last.map(|last| OcspJson::new(last, now)),
            file_match: last.and_then(|last| last.file_match),
            seen_at: last.map(|last| at(last.seen_at)),
            distinct: last.map(|last| last.distinct),
            mismatched_samples: last.and_then(|last| last.mismatched_samples),
        }
    }
}

#[derive(Serialize)]
struct ProbeJson {
    at: TimeJson,
    duration: f64,
    phases: PhasesJson,
    success: bool,
    stage: Option<&'static str>,
    reason: Option<&'static str>,
    meaning: Option<&'static str>,
    client_errors: Option<ClientErrorsJson>,
    detail: Option<String>,
    tls: Option<ConnectionJson>,
    consecutive_failures: u32,
    rate_limited: bool,
}

impl From<&ProbeReport> for ProbeJson {
    fn from(report: &ProbeReport) -> Self {
        let failure = report.outcome.as_ref().err();
        let finding = failure.map(|failure| FindingJson::from(failure.reason));
        let phase = |wanted| report.phases.iter().find(|(phase, _)| *phase == wanted).map(|(_, time)| seconds(time));
        Self {
            at: at(report.at),
            duration: seconds(report.duration),
            phases: PhasesJson {
                connect: phase(Phase::Connect),
                greeting: phase(Phase::Greeting),
                starttls: phase(Phase::StartTls),
                handshake: phase(Phase::Handshake),
            },
            success: failure.is_none(),
            stage: failure.map(|failure| failure.stage.as_str()),
            reason: finding.as_ref().map(|finding| finding.reason),
            meaning: finding.as_ref().map(|finding| finding.meaning),
            client_errors: finding.and_then(|finding| finding.client_errors),
            detail: failure.map(|failure| failure.detail.to_string()),
            tls: report.outcome.as_ref().ok().map(|Connection { version, cipher, group }| ConnectionJson {
                version,
                cipher,
                group,
            }),
            consecutive_failures: report.consecutive_failures,
            rate_limited: report.rate_limited,
        }
    }
}

#[derive(Serialize)]
struct PhasesJson {
    connect: Option<f64>,
    greeting: Option<f64>,
    starttls: Option<f64>,
    handshake: Option<f64>,
}

#[derive(Serialize)]
struct ConnectionJson {
    version: &'static str,
    cipher: &'static str,
    group: &'static str,
}

#[derive(Serialize)]
struct ExpectedNameJson {
    name: String,
    r#match: Option<bool>,
}

fn expected(names: &[ServerName], last: &LastCertificate) -> Vec<ExpectedNameJson> {
    let matches = |index| last.assessment.expected.get(index).copied();
    names
        .iter()
        .enumerate()
        .map(|(index, name)| ExpectedNameJson { name: name.to_string(), r#match: matches(index) })
        .collect()
}

fn chain(last: &LastCertificate, now: SystemTime) -> ChainJson {
    let assessment = &last.assessment;
    let verdict = assessment.chain.verdict();
    ChainJson {
        trusted: assessment.trusted(),
        valid: assessment.valid(now),
        errors: assessment.reasons(now).iter().map(FindingJson::from).collect(),
        not_after: verdict.earliest_not_after().map(TimeJson::from),
        verified_not_after: verdict.verified_not_after(unix(now)).map(TimeJson::from),
    }
}

#[derive(Serialize)]
struct OcspJson {
    stapled: bool,
    status: Option<&'static str>,
    next_update: Option<TimeJson>,
    errors: Vec<FindingJson>,
}

impl OcspJson {
    fn new(last: &LastCertificate, now: SystemTime) -> Self {
        let verdict = last.assessment.chain.ocsp();
        Self {
            stapled: verdict.is_stapled(),
            status: verdict.status().map(|status| status.as_str()),
            next_update: verdict.next_update().map(TimeJson::from),
            errors: verdict.reasons(unix(now)).map(FindingJson::from).collect(),
        }
    }
}

/// The certificate in the target's `certificate_file`.
#[derive(Serialize)]
struct FileJson {
    fingerprint_sha256: String,
    thumbprint_sha1: String,
    not_after: Option<TimeJson>,
}

impl From<&Certificate> for FileJson {
    fn from(certificate: &Certificate) -> Self {
        Self {
            fingerprint_sha256: hex(&certificate.fingerprint()),
            thumbprint_sha1: hex(&certificate.thumbprint()),
            not_after: certificate.facts().map(|facts| facts.not_after.into()),
        }
    }
}

#[derive(Serialize)]
struct AdviceJson {
    kind: &'static str,
    severity: &'static str,
    backends: Vec<BackendIdJson>,
    text: String,
    request: Option<String>,
    client_errors: Option<ClientErrorsJson>,
}

impl From<Advice> for AdviceJson {
    fn from(advice: Advice) -> Self {
        let Advice { kind, severity, backends, text, request, clients } = advice;
        Self {
            kind: kind.as_str(),
            severity: severity.as_str(),
            backends: backends.iter().map(BackendIdJson::from).collect(),
            text,
            request,
            client_errors: clients.map(ClientErrorsJson::from),
        }
    }
}

/// A backend of this target. Several server names may resolve to one address.
#[derive(Serialize)]
struct BackendIdJson {
    server_name: String,
    backend: String,
}

impl From<&Backend> for BackendIdJson {
    fn from(backend: &Backend) -> Self {
        Self { server_name: backend.endpoint.server_name.to_string(), backend: backend.socket_addr().to_string() }
    }
}

/// Exactly one of the last three values is not null.
#[derive(Serialize)]
struct ChangeJson {
    at: TimeJson,
    server_name: Option<String>,
    backend: Option<String>,
    condition: Option<ConditionJson>,
    resolved: Option<bool>,
    failures: Option<Vec<LookupFailureJson>>,
}

impl From<&StateChange> for ChangeJson {
    fn from(change: &StateChange) -> Self {
        let (backend, condition, resolved, failures) = match &change.change {
            Change::Condition(backend, condition) => (Some(backend), Some(ConditionJson::from(condition)), None, None),
            Change::Resolved(backend, resolved) => (Some(backend), None, Some(*resolved), None),
            Change::Lookup(failures) => (None, None, None, Some(lookup_failures(failures))),
        };
        let (server_name, backend) = backend.map(BackendIdJson::from).map(|id| (id.server_name, id.backend)).unzip();
        Self { at: at(change.at), server_name, backend, condition, resolved, failures }
    }
}

#[derive(Serialize)]
struct ConditionJson {
    ok: bool,
    stage: Option<&'static str>,
    reason: Option<&'static str>,
    name_match: Option<bool>,
    chain: Vec<&'static str>,
    ocsp: Vec<&'static str>,
    fingerprint_sha256: Option<String>,
}

impl From<&Condition> for ConditionJson {
    fn from(condition: &Condition) -> Self {
        Self {
            ok: condition.is_ok(),
            stage: condition.failure.map(|(stage, _)| stage.as_str()),
            reason: condition.failure.map(|(_, reason)| reason.as_str()),
            name_match: condition.name,
            chain: condition.chain.iter().map(|reason| reason.as_str()).collect(),
            ocsp: condition.staple.iter().map(|reason| reason.as_str()).collect(),
            fingerprint_sha256: condition.fingerprint.map(|fingerprint| hex(&fingerprint)),
        }
    }
}

fn at(time: SystemTime) -> TimeJson {
    unix(time).into()
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// Incremented if a key is removed or changes its meaning, not for new keys.
const VERSION: u32 = 1;
/// Names listed per certificate; `names_total` counts all of them.
const MAX_NAMES: usize = 100;

#[cfg(test)]
mod tests;
