//! One probe of each kind of server: where it stops and why, what is seen all the same, how it leaves.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use smtp_fleet::{Fleet, Pki, Session, Step, Termination, TlsMode as FleetTls, TlsVersions, profiles};
use smtp_tls_exporter::observation::Observation;
use smtp_tls_exporter::probe::Prober;
use smtp_tls_exporter::reason::{ProbeReason as Why, Stage};
use smtp_tls_exporter::target::{Backend, Endpoint, ProbeSettings, ServerName, TlsMode};

use crate::support::settings;

/// What is expected of a probe.
struct Expected {
    /// None: success.
    failure: Option<(Stage, Why)>,
    presented: bool,
    /// Whether the server heard a QUIT; none where it closes by itself, so that either may come.
    quit: Option<bool>,
}

const fn ends(stage: Stage, reason: Why) -> Expected {
    Expected { failure: Some((stage, reason)), presented: false, quit: Some(false) }
}

const fn polite(stage: Stage, reason: Why) -> Expected {
    Expected { failure: Some((stage, reason)), presented: false, quit: Some(true) }
}

const WELL: Expected = Expected { failure: None, presented: true, quit: Some(true) };

fn expected(kind: &str) -> Expected {
    use Stage::{Ehlo, Greeting, Handshake, Session, StartTls};
    match kind {
        "good"
        | "implicit"
        | "alias_missing"
        | "expired"
        | "not_yet_valid"
        | "self_signed"
        | "missing_intermediate"
        | "untrusted"
        | "slow_greeting"
        | "screening"
        | "bare_codes"
        | "starttls_last"
        | "byte_by_byte"
        | "ehlo_refused_in_tls"
        | "tls12_only"
        | "tls13_only" => WELL,
        "no_starttls" => polite(StartTls, Why::StartTlsNotOffered),
        "starttls_454" | "starttls_501" => polite(StartTls, Why::StartTlsRefused),
        "greeting_421" => Expected { quit: None, ..polite(Greeting, Why::Rejected4xx) },
        "greeting_554" => polite(Greeting, Why::Rejected5xx),
        "ehlo_refused" => polite(Ehlo, Why::Rejected5xx),
        "garbage_greeting" => ends(Greeting, Why::MalformedReply),
        "mixed_codes" => ends(Ehlo, Why::MalformedReply),
        "endless_lines" | "endless_line" => ends(Greeting, Why::ReplyTooLarge),
        "injects_plaintext" => ends(StartTls, Why::PlaintextAfterStartTls),
        "closes_at_once" => ends(Greeting, Why::Eof),
        "silent" => ends(Greeting, Why::Timeout),
        "closes_mid_handshake" => ends(Handshake, Why::Eof),
        "resets_mid_handshake" => ends(Handshake, Why::Reset),
        "stalls_mid_handshake" => ends(Handshake, Why::Timeout),
        "unrecognized_name" => ends(Handshake, Why::UnrecognizedName),
        "old_tls" => ends(Handshake, Why::TlsVersion),
        "nothing_in_common" => ends(Handshake, Why::NoCommonParams),
        "internal_error" => ends(Handshake, Why::TlsAlert),
        "out_of_turn" => ends(Handshake, Why::ProtocolViolation),
        "no_certificate" => ends(Handshake, Why::NoCertificate),
        "plain_on_implicit_port" => ends(Handshake, Why::NotTls),
        "chain_too_large" => ends(Handshake, Why::ChainTooLarge),
        "dies_after_tls" => Expected { presented: true, ..ends(Session, Why::Eof) },
        "client_certificate_tls12" => Expected { presented: true, ..ends(Handshake, Why::ClientCertificateRequired) },
        "client_certificate_tls13" => Expected { presented: true, ..ends(Session, Why::ClientCertificateRequired) },
        other => panic!("a kind that this table does not know: {other}"),
    }
}

/// Where a kind of server stops a probe, and why.
pub(crate) fn failure_of(kind: &str) -> Option<(Stage, Why)> {
    expected(kind).failure
}

#[track_caller]
fn check(kind: &str, seen: &Observation, session: &Session) {
    let expected = expected(kind);
    let failure = seen.outcome.as_ref().err();
    let found = failure.map(|failure| (failure.stage, failure.reason));
    assert_eq!(found, expected.failure, "{kind}: {failure:?}");
    assert_eq!(seen.presented.is_some(), expected.presented, "{kind}: presented");
    let quit = expected.quit.unwrap_or(session.quit);
    assert_eq!(session.quit, quit, "{kind}: QUIT, after {:?}", session.commands);
    assert!(!session.early_talker, "{kind}: nothing is said before the greeting is over");
    if expected.failure.is_none() {
        assert!(seen.proof.is_some(), "{kind}: the handshake signature is kept");
        assert_eq!(session.sni.as_deref(), Some(profiles::ALIAS), "{kind}: SNI");
        assert!(!session.resumed, "{kind}: no resumption");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_server() {
    let pki = Pki::new();
    let (kinds, specs): (Vec<_>, Vec<_>) = profiles::all(&pki).into_iter().unzip();
    let implicit: Vec<bool> = specs.iter().map(|spec| spec.tls == FleetTls::Implicit).collect();
    let fleet = Fleet::start(specs).await.expect("a fleet");
    let prober = Prober::new().expect("a prober");
    let name = ServerName::parse(profiles::ALIAS).expect("a name");
    for ((kind, server), implicit) in kinds.iter().zip(fleet.servers()).zip(implicit) {
        let waits = matches!(*kind, "silent" | "stalls_mid_handshake");
        let settings = settings(Duration::from_secs(if waits { 1 } else { 20 }));
        let tls = if implicit || kind.contains("implicit") { TlsMode::Implicit } else { TlsMode::StartTls };
        let endpoint = Endpoint { server_name: name.clone(), port: fleet.port(), tls };
        let backend = Backend::new(Arc::new(endpoint), server.addr().ip());
        let begin = Instant::now();
        let seen = prober.probe(&backend, &settings, SystemTime::now()).await.expect("no local failure");
        let took = begin.elapsed();
        server.wait_sessions(1).await;
        let sessions = server.sessions();
        check(kind, &seen, &sessions[0]);
        assert_eq!(server.accepted(), 1, "{kind}: one connection");
        if *kind == "no_starttls" {
            assert!(took < Duration::from_secs(10), "{kind}: half of its time at most, took {took:?}");
        }
        if *kind == "greeting_421" {
            assert!(seen.rate_limited, "{kind}");
        }
    }
}

#[tokio::test]
async fn ehlo_is_said_again_inside_tls_and_nothing_after_quit() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki), profiles::implicit(&pki)]).await.expect("a fleet");
    let prober = Prober::new().expect("a prober");
    let name = ServerName::parse(profiles::ALIAS).expect("a name");
    let ehlo = "EHLO probe.example.net";
    for (server, tls, commands) in [
        (&fleet.servers()[0], TlsMode::StartTls, &[ehlo, "STARTTLS", ehlo, "QUIT"][..]),
        (&fleet.servers()[1], TlsMode::Implicit, &[ehlo, "QUIT"][..]),
    ] {
        let endpoint = Endpoint { server_name: name.clone(), port: fleet.port(), tls };
        let backend = Backend::new(Arc::new(endpoint), server.addr().ip());
        let settings = settings(Duration::from_secs(20));
        let seen = prober.probe(&backend, &settings, SystemTime::now()).await.expect("no local failure");
        let connection = seen.outcome.expect("a success");
        assert_eq!(connection.version, "TLSv1.3", "{tls:?}");
        assert!(connection.cipher.starts_with("TLS_"), "{tls:?}: {}", connection.cipher);
        assert_eq!(connection.group, "X25519", "{tls:?}");
        server.wait_sessions(1).await;
        assert_eq!(server.sessions()[0].commands, commands, "{tls:?}");
        assert!(seen.phases.iter().count() >= 3, "{tls:?}: {:?}", seen.phases);
    }
}

#[tokio::test]
async fn an_ip_literal_sends_no_sni() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki)]).await.expect("a fleet");
    let server = &fleet.servers()[0];
    let endpoint = Endpoint { server_name: server.addr().ip().into(), port: fleet.port(), tls: TlsMode::StartTls };
    let backend = Backend::new(Arc::new(endpoint), server.addr().ip());
    let prober = Prober::new().expect("a prober");
    let settings = settings(Duration::from_secs(20));
    let seen = prober.probe(&backend, &settings, SystemTime::now()).await.expect("no local failure");
    assert!(seen.outcome.is_ok(), "{:?}", seen.outcome);
    server.wait_sessions(1).await;
    assert_eq!(server.sessions()[0].sni, None);
}

#[tokio::test]
async fn what_does_not_answer_a_connect_is_told_apart() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki)]).await.expect("a fleet");
    fleet.servers()[0].stop().await;
    let black_hole = smtp_fleet::Blackhole::start().await.expect("a black hole");
    let prober = Prober::new().expect("a prober");
    for (address, reason) in [(fleet.servers()[0].addr(), Why::Refused), (black_hole.addr(), Why::Timeout)] {
        let name = ServerName::parse(profiles::ALIAS).expect("a name");
        let endpoint = Endpoint { server_name: name, port: address.port(), tls: TlsMode::StartTls };
        let backend = Backend::new(Arc::new(endpoint), address.ip());
        let settings =
            ProbeSettings { connect_timeout: Duration::from_millis(300), ..settings(Duration::from_secs(20)) };
        let seen = prober.probe(&backend, &settings, SystemTime::now()).await.expect("no local failure");
        let failure = seen.outcome.expect_err("a failure");
        assert_eq!((failure.stage, failure.reason), (Stage::Connect, reason), "{failure:?}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_demanded() {
    let pki = Pki::new();
    let specs = [TlsVersions::Tls12, TlsVersions::Tls13].map(|versions| profiles::client_certificate(&pki, versions));
    let fleet = Fleet::start(specs.to_vec()).await.expect("a fleet");
    let spec = smtp_fleet::CertSpec::valid_for(&["probe.example.net"]).with_purpose(smtp_fleet::Purpose::Client);
    let identity = pki.issue(&spec);
    let key = identity.key().expect("a key").clone_key();
    let certificate = smtp_tls_exporter::target::ClientCertificate::new(identity.chain().to_vec(), key);
    let prober = Prober::new().expect("a prober");
    for server in fleet.servers() {
        let name = ServerName::parse(profiles::ALIAS).expect("a name");
        let endpoint = Endpoint { server_name: name, port: fleet.port(), tls: TlsMode::StartTls };
        let backend = Backend::new(Arc::new(endpoint), server.addr().ip());
        let settings =
            ProbeSettings { client_certificate: Some(certificate.clone()), ..settings(Duration::from_secs(20)) };
        let seen = prober.probe(&backend, &settings, SystemTime::now()).await.expect("no local failure");
        assert!(seen.outcome.is_ok(), "{}: {:?}", server.addr(), seen.outcome);
    }
}

#[tokio::test]
async fn alerts_are_told_apart_and_named() {
    use Why::{ClientCertificateRequired, NoCommonParams, TlsAlert, TlsVersion, UnrecognizedName};
    // RFC 8446 §6.2, and what older servers send.
    let alerts: [(u8, &str, Why); 22] = [
        (10, "unexpected_message", TlsAlert),
        (20, "bad_record_mac", TlsAlert),
        (22, "record_overflow", TlsAlert),
        (40, "handshake_failure", NoCommonParams),
        (42, "bad_certificate", TlsAlert),
        (43, "unsupported_certificate", TlsAlert),
        (44, "certificate_revoked", TlsAlert),
        (45, "certificate_expired", TlsAlert),
        (46, "certificate_unknown", TlsAlert),
        (47, "illegal_parameter", TlsAlert),
        (48, "unknown_ca", TlsAlert),
        (49, "access_denied", TlsAlert),
        (50, "decode_error", TlsAlert),
        (51, "decrypt_error", TlsAlert),
        (70, "protocol_version", TlsVersion),
        (71, "insufficient_security", NoCommonParams),
        (80, "internal_error", TlsAlert),
        (86, "inappropriate_fallback", TlsAlert),
        (109, "missing_extension", TlsAlert),
        (112, "unrecognized_name", UnrecognizedName),
        (116, "certificate_required", ClientCertificateRequired),
        (200, "200", TlsAlert),
    ];
    let pki = Pki::new();
    let specs = alerts.map(|(number, ..)| profiles::terminates(&pki, Step::ClientHello, Termination::Alert(number)));
    let fleet = Fleet::start(specs.to_vec()).await.expect("a fleet");
    let prober = Prober::new().expect("a prober");
    let name = ServerName::parse(profiles::ALIAS).expect("a name");
    for ((number, word, reason), server) in alerts.into_iter().zip(fleet.servers()) {
        let endpoint = Endpoint { server_name: name.clone(), port: fleet.port(), tls: TlsMode::StartTls };
        let backend = Backend::new(Arc::new(endpoint), server.addr().ip());
        let seen = prober.probe(&backend, &settings(Duration::from_secs(20)), SystemTime::now()).await;
        let failure = seen.expect("no local failure").outcome.expect_err("a failure");
        assert_eq!((failure.stage, failure.reason), (Stage::Handshake, reason), "{number}: {failure:?}");
        assert!(failure.detail.contains(word), "{number}: {failure:?}");
    }
}
