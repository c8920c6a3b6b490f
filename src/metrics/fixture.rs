//! Small fleets for tests, made of the reports in [`crate::snapshot::fixture`].

use std::sync::Arc;
use std::time::Duration;

use crate::observation::{Connection, Failure, Phases};
use crate::reason::{LocalReason, LookupReason, Phase, ProbeReason, Resolves, SkipReason, Stage};
use crate::snapshot::fixture::{self, EndpointFixture};
pub(crate) use crate::snapshot::fixture::{TestCa, name, now};
use crate::snapshot::{
    AlternateName, BackendReport, Counters, ExporterReport, Fleet, LastCertificate, LookupFailure, LookupReport,
    ProbeReport, ShardReport, TargetReport,
};
use crate::target::{Endpoint, ServerName, TlsMode, UserLabels};
use crate::verdict::Assessment;

/// A target with one endpoint on port 587.
pub(crate) fn target(
    target_name: &str,
    labels: &[(&str, &str)],
    server_name: &ServerName,
    backends: Vec<BackendReport>,
) -> TargetReport {
    let labels = UserLabels::new(labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    fixture::target(target_name, labels, vec![name("mail.example.com")], &endpoint(server_name), backends)
}

fn endpoint(server_name: &ServerName) -> Arc<Endpoint> {
    Arc::new(Endpoint { server_name: server_name.clone(), port: 587, tls: TlsMode::StartTls })
}

/// A resolved backend that was never probed.
pub(crate) fn backend(server_name: &ServerName, address: &str) -> BackendReport {
    fixture::unprobed(&endpoint(server_name), address)
}

/// `backend` after a probe that succeeded 30 seconds ago.
pub(crate) fn reachable(backend: BackendReport, assessment: Assessment) -> BackendReport {
    let connection = Connection { version: "TLSv1.3", cipher: "TLS13_AES_256_GCM_SHA384", group: "X25519" };
    let mut phases = Phases::default();
    for (phase, milliseconds) in Phase::ALL.iter().zip([8, 125, 31, 62]) {
        phases.set(*phase, Duration::from_millis(milliseconds));
    }
    BackendReport {
        probe: Some(probe(Ok(connection), phases)),
        last_certificate: Some(last(assessment, Duration::from_secs(30))),
        ..backend
    }
}

/// `backend` after a probe that failed 30 seconds ago, and with `assessment` one that succeeded an hour earlier.
pub(crate) fn failing(backend: BackendReport, assessment: Option<Assessment>) -> BackendReport {
    let failure = Failure::new(Stage::Greeting, ProbeReason::Timeout, "no greeting");
    let mut phases = Phases::default();
    phases.set(Phase::Connect, Duration::from_millis(8));
    BackendReport {
        probe: Some(probe(Err(failure), phases)),
        last_certificate: assessment.map(|assessment| last(assessment, Duration::from_secs(3630))),
        ..backend
    }
}

fn probe(outcome: Result<Connection, Failure>, phases: Phases) -> ProbeReport {
    let consecutive_failures = if outcome.is_ok() { 0 } else { 2 };
    let at = now() - Duration::from_secs(30);
    ProbeReport { at, duration: Duration::from_millis(250), phases, outcome, consecutive_failures, client_auth: None }
}

fn last(assessment: Assessment, age: Duration) -> LastCertificate {
    LastCertificate { seen_at: now() - age, assessment, file_match: None, distinct: 1, mismatched_samples: None }
}

/// A target with a name mismatch and other problems, one whose lookup failed, and one that was not probed yet.
pub(crate) fn classic(ca: &TestCa) -> Fleet {
    let alias = name("smtp.example.com");
    let (good, bad) = (&["smtp.example.com", "mail.example.com"], &["mail.example.com", "192.0.2.11"]);
    let backends = vec![
        reachable(backend(&alias, "192.0.2.10"), ca.assess(&alias, good, (2026, 9))),
        BackendReport {
            handshake_errors: 1,
            ..reachable(backend(&alias, "192.0.2.11"), ca.assess(&alias, bad, (2027, 1)))
        },
        failing(backend(&alias, "192.0.2.12"), Some(ca.assess(&alias, &["other.example.com"], (2026, 5)))),
        backend(&alias, "192.0.2.13"),
        BackendReport {
            resolved: false,
            ..reachable(backend(&alias, "2001:db8::10"), ca.assess(&alias, good, (2026, 3)))
        },
    ];
    let mut relay = target("relay", &[("team", "mail")], &alias, backends);
    relay.lookup = Some(Arc::new(LookupReport {
        success: true,
        duration: Duration::from_millis(4),
        disagree: Some(false),
        ..LookupReport::default()
    }));
    relay.last_round = Some(now() - Duration::from_secs(29));
    let failure = Failure::new(Stage::Greeting, ProbeReason::Timeout, "");
    relay.counters = Counters { probes: 40, ..Counters::default() };
    relay.counters.count(&Err(failure.clone()));
    relay.counters.count(&Err(failure));
    for endpoint in &mut relay.endpoints {
        endpoint.found_as = Some(name("smtp.example.com.example.net"));
        endpoint.held = 1;
        endpoint.skipped = vec![(SkipReason::Cap, 3), (SkipReason::NoRoute, 0)];
        let alternates = [("mail.example.com", Resolves::All), ("mx.example.net", Resolves::Nowhere)];
        let alternates =
            alternates.map(|(other, resolves)| AlternateName { name: name(other), resolves, addresses: [].into() });
        endpoint.alternates = alternates.into();
    }

    let mut unknown = target("unknown", &[], &name("gone.example.com"), vec![]);
    let failure = LookupFailure {
        name: name("gone.example.com"),
        record_type: "A",
        reason: LookupReason::NxDomain,
        alias: None,
        is_partial: false,
    };
    let failures = vec![failure.clone(), LookupFailure { record_type: "AAAA", ..failure.clone() }, failure];
    unknown.lookup =
        Some(Arc::new(LookupReport { duration: Duration::from_millis(2), failures, ..LookupReport::default() }));
    let fresh = target("fresh", &[], &name("fresh.example.com"), vec![]);

    let exporter = ExporterReport {
        reload_successful: true,
        reload_running: false,
        reload_success_at: Some(now() - Duration::from_secs(3600)),
        web_reload_successful: Some(true),
        trust_anchors: vec![("test".into(), 1)],
        probes_in_flight: 2,
        schedule_lag: Duration::from_millis(1500),
        local_errors: vec![(LocalReason::Overloaded, 3)],
        shard: ShardReport::default(),
    };
    Fleet { targets: [relay, unknown, fresh].map(Arc::new).into(), exporter }
}

/// A target whose SRV records list one host and port for both TLS modes. With implicit TLS, probes fail and the last
/// certificate does not match.
pub(crate) fn both_modes(ca: &TestCa, target_name: &str, address: &str) -> TargetReport {
    let alias = name("smtp.example.com");
    let starttls = reachable(backend(&alias, address), ca.assess(&alias, &["smtp.example.com"], (2026, 9)));
    let mut report = target(target_name, &[], &alias, vec![starttls]);
    let implicit = EndpointFixture::at("smtp.example.com", 587, TlsMode::Implicit);
    let last = ca.assess(&alias, &["mail.example.com"], (2026, 5));
    report.endpoints.push(implicit.endpoint_report(vec![failing(implicit.unprobed(address), Some(last))]));
    report
}

/// A fleet of one target with this many reachable backends: about 4 KiB of exposition per backend.
pub(crate) fn large(ca: &TestCa, backends: u16) -> Fleet {
    let alias = name("smtp.example.com");
    let assessment = ca.assess(&alias, &["smtp.example.com"], (2026, 9));
    let backends = (0..backends).map(|n| {
        let [high, low] = n.to_be_bytes();
        reachable(backend(&alias, &format!("198.51.{high}.{low}")), assessment.clone())
    });
    let target = target("large", &[], &alias, backends.collect());
    Fleet { targets: vec![Arc::new(target)], exporter: ExporterReport::default() }
}
