//! Small fleets for tests: real certificates with fixed dates, really judged, at a fixed moment.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SerialNumber, date_time_ymd};
use rustls::SignatureScheme;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::observation::{Connection, Failure, KeyProof, Phases, PresentedChain};
use crate::reason::{LocalReason, LookupReason, Phase, ProbeReason, Resolves, SkipReason, Stage};
use crate::snapshot::fixture;
pub(crate) use crate::snapshot::fixture::{name, now};
use crate::snapshot::{
    AlternateName, BackendReport, Counters, ExporterReport, Fleet, LastCertificate, LookupFailure, LookupReport,
    ProbeReport, TargetReport,
};
use crate::target::{Endpoint, ServerName, TlsMode, UserLabels};
use crate::trust::TrustStore;
use crate::verdict::{Assessment, AssessmentInput, Judge};

/// An authority and what is needed to judge certificates by it.
pub(crate) struct TestCa {
    issuer: Issuer<'static, KeyPair>,
    intermediate: CertificateDer<'static>,
    trust: TrustStore,
    judge: Judge,
}

impl TestCa {
    pub(crate) fn new() -> Self {
        let (root_key, key) = (key(), key());
        let mut params = authority("Example Root", 2040);
        let root = params.self_signed(&root_key).expect("a root");
        let anchor = webpki::anchor_from_trusted_cert(root.der()).expect("an anchor").to_owned();
        let root = Issuer::new(params, root_key);
        params = authority("Example Intermediate", 2030);
        let intermediate = params.signed_by(&key, &root).expect("an intermediate").der().clone();
        let trust = TrustStore::new("test", vec![anchor]);
        Self { issuer: Issuer::new(params, key), intermediate, trust, judge: Judge::default() }
    }

    /// What is concluded of a server that presents a certificate for `names`, valid from 2026-01-01 to the first day of
    /// `until`, when it is asked for `server_name`.
    pub(crate) fn assess(&self, server_name: &ServerName, names: &[&str], until: (i32, u8)) -> Assessment {
        let key = key();
        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
            .expect("names of a certificate");
        params.distinguished_name.push(DnType::CommonName, *names.first().unwrap_or(&""));
        params.serial_number = Some(SerialNumber::from(0x2a_u64));
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(until.0, until.1, 1);
        let leaf = params.signed_by(&key, &self.issuer).expect("a certificate").der().clone();
        let expect_names = [name("mail.example.com")];
        let input = AssessmentInput {
            server_name,
            expect_names: &expect_names,
            ehlo_name: Some("mail.example.com"),
            trust: &self.trust,
            known: None,
        };
        let presented = PresentedChain { certificates: vec![leaf, self.intermediate.clone()], staple: Box::default() };
        self.judge.assess(presented, Some(&proof(&key)), &input, now())
    }
}

fn authority(name: &str, until: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn proof(key: &KeyPair) -> KeyProof {
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let scheme = SignatureScheme::ECDSA_NISTP256_SHA256;
    let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).expect("a key that signs");
    let signer = signer.choose_scheme(&[scheme]).expect("a scheme");
    let message = b"handshake";
    let signature = signer.sign(message).expect("a signature").into();
    KeyProof { scheme: scheme.into(), tls13: true, message: message[..].into(), signature }
}

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

/// A backend that DNS names and that was never probed.
pub(crate) fn backend(server_name: &ServerName, address: &str) -> BackendReport {
    fixture::fresh(&endpoint(server_name), address)
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

/// `backend` after a probe that failed 30 seconds ago, and one that had succeeded an hour earlier.
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
    ProbeReport { at, duration: Duration::from_millis(250), phases, outcome, consecutive_failures, rate_limited: false }
}

fn last(assessment: Assessment, age: Duration) -> LastCertificate {
    LastCertificate { seen_at: now() - age, assessment, file_match: None, distinct: 1, mismatched_samples: None }
}

/// The case that the exporter was made for, and a target of which little is known.
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
        hosts: None,
        duration: Duration::from_millis(4),
        failures: vec![],
        disagree: Some(false),
    }));
    relay.last_round = Some(now() - Duration::from_secs(29));
    let failure = Failure::new(Stage::Greeting, ProbeReason::Timeout, "");
    relay.counters = Counters { probes: 40, ..Counters::default() };
    relay.counters.count(&Err(failure.clone()));
    relay.counters.count(&Err(failure));
    for endpoint in &mut relay.endpoints {
        endpoint.skipped = vec![(SkipReason::Cap, 3), (SkipReason::NoRoute, 0)];
        let shared = [("mail.example.com", Resolves::All), ("mx.example.net", Resolves::Nowhere)];
        let shared =
            shared.map(|(other, resolves)| AlternateName { name: name(other), resolves, addresses: [].into() });
        endpoint.alternates = shared.into();
    }

    let mut unknown = target("unknown", &[], &name("gone.example.com"), vec![]);
    let failure = LookupFailure { name: name("gone.example.com"), record_type: "A", reason: LookupReason::NxDomain };
    let failures = vec![failure.clone(), LookupFailure { record_type: "AAAA", ..failure.clone() }, failure];
    unknown.lookup = Some(Arc::new(LookupReport {
        success: false,
        hosts: None,
        duration: Duration::from_millis(2),
        failures,
        disagree: None,
    }));
    let fresh = target("fresh", &[], &name("fresh.example.com"), vec![]);

    let exporter = ExporterReport {
        reload_successful: true,
        reload_success_at: Some(now() - Duration::from_secs(3600)),
        trust_anchors: vec![("test".into(), 1)],
        probes_in_flight: 2,
        schedule_lag: Duration::from_millis(1500),
        local_errors: vec![(LocalReason::Overloaded, 3)],
    };
    Fleet { targets: [relay, unknown, fresh].map(Arc::new).into(), exporter }
}

/// A fleet of one target with so many backends that each succeeded: some 4 KiB of exposition to a backend.
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
