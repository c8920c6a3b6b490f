//! A target for tests: every optional value is present in at least one backend.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use smtp_fleet::x509::{Ca, CertBuilder, Key, KeyAlgorithm, Time};
use smtp_fleet::{CertSpec, Issuer, Pki};

use crate::observation::{Connection, Failure, LookupFailure, LookupReport, Phases, PresentedChain};
use crate::reason::{LookupReason, Phase, ProbeReason, Resolves, SkipReason, Stage};
use crate::snapshot::fixture::{name, settings};
use crate::snapshot::{
    AlternateName, BackendReport, Change, Condition, Counters, EndpointReport, LastCertificate, ProbeReport,
    StateChange, TargetReport,
};
use crate::target::{
    Backend, Endpoint, HostTarget, ProbeSettings, ServerName, Target, TargetKind, TargetName, TlsMode, UserLabels,
};
use crate::trust::{Root, TrustStore};
use crate::verdict::{AssessmentInput, Judge};

/// 2100-01-01T00:00:00Z, after all certificates have expired.
pub(super) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(4_102_444_800)
}

/// Three backends: one with an expired certificate for another name, one whose probe failed and whose last certificate has a
/// warning, one that was not probed.
pub(super) fn report() -> TargetReport {
    let host = name("smtp.example.com");
    let endpoint = Arc::new(Endpoint { server_name: host.clone(), port: 587, tls: TlsMode::StartTls });
    let last = last(&host);
    let failure = Failure::new(Stage::Handshake, ProbeReason::NoCertificate, "no certificate");
    let connection = Connection { version: "TLSv1.3", cipher: "TLS13_AES_256_GCM_SHA384", group: "X25519" };
    let backends = vec![
        backend(&endpoint, 10, Some(Ok(connection)), Some(last.clone())),
        backend(&endpoint, 11, Some(Err(failure)), Some(last_with_warning(&host))),
        backend(&endpoint, 12, None, None),
    ];
    let failures = [LookupFailure {
        name: host.clone(),
        record_type: "AAAA",
        reason: LookupReason::ServFail,
        alias: None,
        is_partial: true,
    }];
    let first = backends.first().expect("a backend");
    let condition = Condition::of(first, now()).expect("a condition");
    let changes = [
        Change::Condition(first.backend.clone(), condition),
        Change::Resolved(first.backend.clone(), false),
        Change::Lookup(failures.clone().into()),
    ];
    let alternate = AlternateName {
        name: name("mail.example.com"),
        resolves: Resolves::All,
        addresses: [first.backend.address].into(),
    };
    TargetReport {
        target: Arc::new(target(&host, &endpoint)),
        lookup: Some(Arc::new(LookupReport {
            success: false,
            hosts: None,
            duration: Duration::from_millis(4),
            failures: failures.into(),
            disagree: Some(true),
            varies: true,
            searched: vec![name("smtp.example.com.example.net")],
        })),
        last_round: Some(now()),
        endpoints: vec![EndpointReport {
            endpoint,
            preference: Some(10),
            found_as: Some(name("smtp.example.com.example.net")),
            held: 1,
            backends: backends.into_iter().map(Arc::new).collect(),
            skipped: vec![(SkipReason::Cap, 3)],
            not_allowed: [].into(),
            alternates: [alternate].into(),
        }],
        counters: Counters::default(),
        file: last.assessment.leaf().cloned().map(Ok),
        changes: changes.map(|change| StateChange { at: now(), change }).into(),
    }
}

fn target(host: &ServerName, endpoint: &Arc<Endpoint>) -> Target {
    let kind =
        HostTarget { host: host.clone(), is_qualified: false, addresses: Vec::new(), endpoint: Arc::clone(endpoint) };
    let settings = ProbeSettings { samples: 2, ..settings(vec![name("other.example.com")]) };
    Target {
        name: TargetName::new("smtp.example.com:587").expect("a name"),
        kind: TargetKind::Host(kind),
        labels: UserLabels::new([("team".to_owned(), "mail".to_owned())]),
        settings: Arc::new(settings),
    }
}

/// A certificate for another name from an unknown root, with an invalid OCSP staple.
fn last(host: &ServerName) -> LastCertificate {
    let pki = Pki::new();
    let identity =
        pki.issue(&CertSpec::valid_for(&["mail.example.com", "smtp.example.com."]).with_issuer(Issuer::Untrusted));
    let presented = PresentedChain { certificates: identity.chain().to_vec(), staple: b"no staple"[..].into() };
    let trust = TrustStore::new("test", Vec::new());
    let input = AssessmentInput {
        server_name: host,
        expect_names: &[name("other.example.com")],
        ehlo_name: Some("mail.example.com"),
        trust: &trust,
        known: None,
    };
    let assessment = Judge::default().assess(presented, None, &input, now());
    LastCertificate { seen_at: now(), assessment, file_match: Some(false), distinct: 1, mismatched_samples: Some(2) }
}

/// A valid certificate that some senders refuse.
fn last_with_warning(host: &ServerName) -> LastCertificate {
    let (root_key, key) = (Key::generate(KeyAlgorithm::P256), Key::generate(KeyAlgorithm::P256));
    let endless = |builder| CertBuilder { not_after: Time::Text("99991231235959Z"), ..builder };
    let root = Ca::root(&endless(CertBuilder::authority("Root")), &root_key);
    let leaf = CertBuilder { serial: vec![0xff], ..CertBuilder::leaf(&["smtp.example.com"]) };
    let presented = PresentedChain { certificates: vec![root.issue(&endless(leaf), &key)], staple: Box::default() };
    let trust = TrustStore::new("test", vec![Root::new(&root.der()).expect("a root")]);
    let input = AssessmentInput { server_name: host, expect_names: &[], ehlo_name: None, trust: &trust, known: None };
    let assessment = Judge::default().assess(presented, None, &input, now());
    LastCertificate { seen_at: now(), assessment, file_match: None, distinct: 1, mismatched_samples: None }
}

fn backend(
    endpoint: &Arc<Endpoint>,
    last: u8,
    outcome: Option<Result<Connection, Failure>>,
    last_certificate: Option<LastCertificate>,
) -> BackendReport {
    let mut phases = Phases::default();
    phases.set(Phase::Connect, Duration::from_millis(8));
    let probe = outcome.map(|outcome| ProbeReport {
        at: now(),
        duration: Duration::from_millis(250),
        phases,
        consecutive_failures: outcome.is_err().into(),
        outcome,
        client_auth: None,
    });
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
    let backend = Backend::new(Arc::clone(endpoint), address);
    BackendReport { backend, resolved: true, probe, last_certificate, handshake_errors: 0 }
}
