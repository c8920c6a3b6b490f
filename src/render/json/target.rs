//! Targets as JSON. `docs/api.md` tells every key; a test holds the two together.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::common::{Chain, Everyone, Finding, Leaf, Moment, Name};
use crate::advice::{Advice, advise};
use crate::observation::Connection;
use crate::reason::Phase;
use crate::snapshot::state::{State, is_ok, worst};
use crate::snapshot::{
    AlternateName, BackendReport, Change, Condition, EndpointReport, LastCertificate, LookupFailure, LookupReport,
    ProbeReport, StateChange, TargetReport,
};
use crate::target::{Backend, ServerName};
use crate::text::is_printable;
use crate::verdict::certificate::hex;
use crate::verdict::{Certificate, unix};

/// All of `targets` with the version of this shape and the moment.
pub(in crate::render) fn write_all(targets: &[Arc<TargetReport>], now: SystemTime) -> String {
    let targets = targets.iter().map(|report| Whole::new(report, advise(report, now), now)).collect();
    text(&Document { version: VERSION, at: unix(now).into(), targets })
}

/// One target with `advice` on it.
pub(in crate::render) fn one(report: &TargetReport, advice: Vec<Advice>, now: SystemTime) -> String {
    text(&Whole::new(report, advice, now))
}

fn text(what: &impl Serialize) -> String {
    // Maps have keys of text and numbers are finite: nothing here can fail.
    escaped(&serde_json::to_string_pretty(what).unwrap_or_default()) + "\n"
}

/// JSON in which characters that a terminal might obey are escaped: they can only stand in strings, where that changes
/// nothing of what is read.
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
struct Document<'a> {
    version: u32,
    at: Moment,
    targets: Vec<Whole<'a>>,
}

#[derive(Serialize)]
struct Whole<'a> {
    name: &'a str,
    kind: &'static str,
    labels: BTreeMap<&'a str, &'a str>,
    interval: f64,
    last_round: Option<Moment>,
    healthy: bool,
    state: &'static str,
    lookup: Option<Lookup>,
    endpoints: Vec<Endpoint<'a>>,
    file: Option<File>,
    advice: Vec<Hint>,
    changes: Vec<Changed>,
}

impl<'a> Whole<'a> {
    fn new(report: &'a TargetReport, advice: Vec<Advice>, now: SystemTime) -> Self {
        let target = &report.target;
        let state: State = worst(report, advice.iter().map(|advice| advice.severity), now);
        Self {
            name: target.name.as_str(),
            kind: target.kind.as_str(),
            labels: target.labels.iter().collect(),
            interval: target.settings.interval.as_secs_f64(),
            last_round: report.last_round.map(at),
            healthy: is_ok(report, now),
            state: state.as_str(),
            lookup: report.lookup.as_deref().map(Lookup::from),
            endpoints: report.endpoints.iter().map(|endpoint| Endpoint::new(report, endpoint, now)).collect(),
            file: report.file.as_deref().map(File::from),
            advice: advice.into_iter().map(Hint::from).collect(),
            changes: report.changes.iter().map(Changed::from).collect(),
        }
    }
}

#[derive(Serialize)]
struct Lookup {
    success: bool,
    hosts: Option<usize>,
    duration: f64,
    disagree: Option<bool>,
    failures: Vec<Unanswered>,
}

impl From<&LookupReport> for Lookup {
    fn from(report: &LookupReport) -> Self {
        let LookupReport { success, hosts, duration, disagree, ref failures } = *report;
        Self { success, hosts, duration: seconds(duration), disagree, failures: unanswered(failures) }
    }
}

#[derive(Serialize)]
struct Unanswered {
    name: String,
    r#type: &'static str,
    reason: &'static str,
    meaning: &'static str,
}

fn unanswered(failures: &[LookupFailure]) -> Vec<Unanswered> {
    let each = |failure: &LookupFailure| Unanswered {
        name: failure.name.to_string(),
        r#type: failure.record_type,
        reason: failure.reason.as_str(),
        meaning: failure.reason.doc(),
    };
    failures.iter().map(each).collect()
}

#[derive(Serialize)]
struct Endpoint<'a> {
    server_name: String,
    port: u16,
    tls: &'static str,
    preference: Option<u16>,
    skipped: Vec<Skipped>,
    shared_names: Vec<Shared>,
    backends: Vec<Member<'a>>,
}

impl<'a> Endpoint<'a> {
    fn new(target: &'a TargetReport, report: &'a EndpointReport, now: SystemTime) -> Self {
        let skipped = report.skipped.iter().map(|(reason, count)| Skipped { reason: reason.as_str(), count: *count });
        Self {
            server_name: report.endpoint.server_name.to_string(),
            port: report.endpoint.port,
            tls: report.endpoint.tls.as_str(),
            preference: report.preference,
            skipped: skipped.collect(),
            shared_names: report.alternates.iter().map(Shared::from).collect(),
            backends: report.backends.iter().map(|backend| Member::new(target, backend, now)).collect(),
        }
    }
}

#[derive(Serialize)]
struct Skipped {
    reason: &'static str,
    count: usize,
}

#[derive(Serialize)]
struct Shared {
    name: String,
    resolves: &'static str,
    addresses: Vec<String>,
}

impl From<&AlternateName> for Shared {
    fn from(shared: &AlternateName) -> Self {
        Self {
            name: shared.name.to_string(),
            resolves: shared.resolves.as_str(),
            addresses: shared.addresses.iter().map(ToString::to_string).collect(),
        }
    }
}

#[derive(Serialize)]
struct Member<'a> {
    backend: String,
    address: String,
    resolved: bool,
    ok: Option<bool>,
    probe: Option<Probe>,
    handshake_errors: u32,
    certificate: Option<Leaf<'a>>,
    presented: Option<usize>,
    name: Option<Name>,
    expected_names: Option<Vec<Expected>>,
    ehlo_match: Option<bool>,
    chain: Option<Chain>,
    ocsp: Option<Ocsp>,
    file_match: Option<bool>,
    seen_at: Option<Moment>,
    distinct: Option<usize>,
    mismatched_samples: Option<usize>,
}

impl<'a> Member<'a> {
    fn new(target: &'a TargetReport, report: &'a BackendReport, now: SystemTime) -> Self {
        let last = report.last_certificate.as_ref();
        let assessment = last.map(|last| &last.assessment);
        let server_name = &report.backend.endpoint.server_name;
        let leaf = |last: &'a LastCertificate| {
            let chain = &last.assessment.chain;
            Some(Leaf::new(last.assessment.leaf()?, chain.ocsp().must_staple(), unix(now), MAX_NAMES))
        };
        Self {
            backend: report.backend.socket_addr().to_string(),
            address: report.backend.address.to_string(),
            resolved: report.resolved,
            ok: Condition::of(report, now).map(|condition| condition.is_ok()),
            probe: report.probe.as_ref().map(Probe::from),
            handshake_errors: report.handshake_errors,
            certificate: last.and_then(leaf),
            presented: assessment.map(|assessment| assessment.chain.certificates().len()),
            name: assessment.map(|assessment| Name::new(server_name, assessment.name)),
            expected_names: last.map(|last| expected(&target.target.settings.expect_names, last)),
            ehlo_match: assessment.and_then(|assessment| assessment.ehlo),
            chain: last.map(|last| chain(last, now)),
            ocsp: last.map(|last| Ocsp::new(last, now)),
            file_match: last.and_then(|last| last.file_match),
            seen_at: last.map(|last| at(last.seen_at)),
            distinct: last.map(|last| last.distinct),
            mismatched_samples: last.and_then(|last| last.mismatched_samples),
        }
    }
}

#[derive(Serialize)]
struct Probe {
    at: Moment,
    duration: f64,
    phases: Phases,
    success: bool,
    stage: Option<&'static str>,
    reason: Option<&'static str>,
    meaning: Option<&'static str>,
    client_errors: Option<Everyone>,
    detail: Option<String>,
    tls: Option<Tls>,
    consecutive_failures: u32,
    rate_limited: bool,
}

impl From<&ProbeReport> for Probe {
    fn from(report: &ProbeReport) -> Self {
        let failure = report.outcome.as_ref().err();
        let finding = failure.map(|failure| Finding::from(failure.reason));
        let took = |phase| report.phases.iter().find(|(each, _)| *each == phase).map(|(_, took)| seconds(took));
        Self {
            at: at(report.at),
            duration: seconds(report.duration),
            phases: Phases {
                connect: took(Phase::Connect),
                greeting: took(Phase::Greeting),
                starttls: took(Phase::StartTls),
                handshake: took(Phase::Handshake),
            },
            success: failure.is_none(),
            stage: failure.map(|failure| failure.stage.as_str()),
            reason: finding.as_ref().map(|finding| finding.reason),
            meaning: finding.as_ref().map(|finding| finding.meaning),
            client_errors: finding.and_then(|finding| finding.client_errors),
            detail: failure.map(|failure| failure.detail.to_string()),
            tls: report.outcome.as_ref().ok().map(|Connection { version, cipher, group }| Tls {
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
struct Phases {
    connect: Option<f64>,
    greeting: Option<f64>,
    starttls: Option<f64>,
    handshake: Option<f64>,
}

#[derive(Serialize)]
struct Tls {
    version: &'static str,
    cipher: &'static str,
    group: &'static str,
}

#[derive(Serialize)]
struct Expected {
    name: String,
    r#match: Option<bool>,
}

fn expected(names: &[ServerName], last: &LastCertificate) -> Vec<Expected> {
    let matches = |place| last.assessment.expected.get(place).copied();
    names.iter().enumerate().map(|(place, name)| Expected { name: name.to_string(), r#match: matches(place) }).collect()
}

fn chain(last: &LastCertificate, now: SystemTime) -> Chain {
    let assessment = &last.assessment;
    let verdict = assessment.chain.verdict();
    Chain {
        trusted: assessment.trusted(),
        valid: assessment.valid(now),
        errors: assessment.reasons(now).iter().map(Finding::from).collect(),
        not_after: verdict.earliest_not_after().map(Moment::from),
        verified_not_after: verdict.verified_not_after(unix(now)).map(Moment::from),
    }
}

#[derive(Serialize)]
struct Ocsp {
    stapled: bool,
    status: Option<&'static str>,
    next_update: Option<Moment>,
    errors: Vec<Finding>,
}

impl Ocsp {
    fn new(last: &LastCertificate, now: SystemTime) -> Self {
        let verdict = last.assessment.chain.ocsp();
        Self {
            stapled: verdict.is_stapled(),
            status: verdict.status().map(|status| status.as_str()),
            next_update: verdict.next_update().map(Moment::from),
            errors: verdict.reasons(unix(now)).map(Finding::from).collect(),
        }
    }
}

/// The certificate that should be served.
#[derive(Serialize)]
struct File {
    fingerprint_sha256: String,
    thumbprint_sha1: String,
    not_after: Option<Moment>,
}

impl From<&Certificate> for File {
    fn from(certificate: &Certificate) -> Self {
        Self {
            fingerprint_sha256: hex(&certificate.fingerprint()),
            thumbprint_sha1: hex(&certificate.thumbprint()),
            not_after: certificate.facts().map(|facts| facts.not_after.into()),
        }
    }
}

#[derive(Serialize)]
struct Hint {
    kind: &'static str,
    severity: &'static str,
    backends: Vec<Place>,
    text: String,
    request: Option<String>,
    client_errors: Option<Everyone>,
}

impl From<Advice> for Hint {
    fn from(advice: Advice) -> Self {
        let Advice { kind, severity, backends, text, request, clients } = advice;
        Self {
            kind: kind.as_str(),
            severity: severity.as_str(),
            backends: backends.iter().map(Place::from).collect(),
            text,
            request,
            client_errors: clients.map(Everyone::from),
        }
    }
}

/// A backend of this target. The address alone may stand behind several server names.
#[derive(Serialize)]
struct Place {
    server_name: String,
    backend: String,
}

impl From<&Backend> for Place {
    fn from(backend: &Backend) -> Self {
        Self { server_name: backend.endpoint.server_name.to_string(), backend: backend.socket_addr().to_string() }
    }
}

/// One kind of change fills one of the last three keys.
#[derive(Serialize)]
struct Changed {
    at: Moment,
    server_name: Option<String>,
    backend: Option<String>,
    condition: Option<Became>,
    resolved: Option<bool>,
    failures: Option<Vec<Unanswered>>,
}

impl From<&StateChange> for Changed {
    fn from(change: &StateChange) -> Self {
        let (backend, condition, resolved, failures) = match &change.what {
            Change::Condition(backend, condition) => (Some(backend), Some(Became::from(condition)), None, None),
            Change::Named(backend, named) => (Some(backend), None, Some(*named), None),
            Change::Lookup(failures) => (None, None, None, Some(unanswered(failures))),
        };
        let (server_name, backend) = backend.map(Place::from).map(|place| (place.server_name, place.backend)).unzip();
        Self { at: at(change.at), server_name, backend, condition, resolved, failures }
    }
}

#[derive(Serialize)]
struct Became {
    ok: bool,
    stage: Option<&'static str>,
    reason: Option<&'static str>,
    name_match: Option<bool>,
    chain: Vec<&'static str>,
    ocsp: Vec<&'static str>,
    fingerprint_sha256: Option<String>,
}

impl From<&Condition> for Became {
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

fn at(time: SystemTime) -> Moment {
    unix(time).into()
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// Grows when a key goes or changes its meaning; keys that are new leave it.
const VERSION: u32 = 1;
/// Presented names of a certificate that are listed; `names_total` counts all.
const MAX_NAMES: usize = 100;

#[cfg(test)]
mod tests;
