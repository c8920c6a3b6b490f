//! One probe of each server profile: where and why it fails, what it still observes, and whether it sends QUIT.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use smtp_fleet::{Fleet, Pki, Session, Step, Termination, TlsMode as FleetTls, TlsVersions, profiles};
use smtp_tls_exporter::observation::Observation;
use smtp_tls_exporter::probe::Prober;
use smtp_tls_exporter::reason::{ProbeReason as Why, RejectionCause, Stage};
use smtp_tls_exporter::target::{Backend, ClientCertificate, Endpoint, ProbeSettings, ServerName, TlsMode};

use crate::support::settings;

/// The expected result of a probe.
struct Expected {
    /// `None` if it succeeds.
    failure: Option<(Stage, Why)>,
    /// Whether a chain was presented.
    presented: bool,
    /// Whether the server received QUIT; `None` if the server closes the connection, which may come first.
    quit: Option<bool>,
}

/// Longer than any successful probe takes.
const TIMEOUT: Duration = Duration::from_secs(20);

fn alias() -> ServerName {
    ServerName::parse(profiles::ALIAS).expect("a name")
}

async fn probe(
    prober: &Prober,
    server_name: ServerName,
    address: SocketAddr,
    tls: TlsMode,
    settings: &ProbeSettings,
) -> Observation {
    let endpoint = Endpoint { server_name, port: address.port(), tls };
    let backend = Backend::new(Arc::new(endpoint), address.ip());
    prober.probe(&backend, settings, SystemTime::now()).await.expect("no local failure")
}

const fn disconnects(stage: Stage, reason: Why) -> Expected {
    Expected { failure: Some((stage, reason)), presented: false, quit: Some(false) }
}

const fn quits(stage: Stage, reason: Why) -> Expected {
    Expected { failure: Some((stage, reason)), presented: false, quit: Some(true) }
}

const SUCCEEDS: Expected = Expected { failure: None, presented: true, quit: Some(true) };

fn expected(profile: &str) -> Expected {
    use Stage::{Ehlo, Greeting, Handshake, Session, StartTls};
    match profile {
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
        | "tls12_only"
        | "tls13_only" => SUCCEEDS,
        "no_starttls" => quits(StartTls, Why::StartTlsNotOffered),
        "starttls_454" | "starttls_501" => quits(StartTls, Why::StartTlsRefused),
        "greeting_421" => Expected { quit: None, ..quits(Greeting, Why::Rejected4xx) },
        "greeting_554" => quits(Greeting, Why::Rejected5xx),
        "ehlo_refused" => quits(Ehlo, Why::Rejected5xx),
        "ehlo_refused_in_tls" | "implicit_greeting_554" => {
            Expected { presented: true, ..quits(Session, Why::Rejected5xx) }
        }
        "implicit_greeting_421" => Expected { presented: true, quit: None, ..quits(Session, Why::Rejected4xx) },
        "garbage_greeting" => disconnects(Greeting, Why::MalformedReply),
        "mixed_codes" => disconnects(Ehlo, Why::MalformedReply),
        "endless_lines" | "endless_line" => disconnects(Greeting, Why::ReplyTooLarge),
        "injects_plaintext" => disconnects(StartTls, Why::PlaintextAfterStartTls),
        "closes_at_once" => disconnects(Greeting, Why::Eof),
        "silent" => disconnects(Greeting, Why::Timeout),
        "closes_mid_handshake" => disconnects(Handshake, Why::Eof),
        "resets_mid_handshake" => disconnects(Handshake, Why::Reset),
        "stalls_mid_handshake" => disconnects(Handshake, Why::Timeout),
        "unrecognized_name" => disconnects(Handshake, Why::UnrecognizedName),
        "old_tls" => disconnects(Handshake, Why::TlsVersion),
        "nothing_in_common" => disconnects(Handshake, Why::NoCommonParams),
        "internal_error" => disconnects(Handshake, Why::TlsAlert),
        "out_of_turn" => disconnects(Handshake, Why::ProtocolViolation),
        "no_certificate" => disconnects(Handshake, Why::NoCertificate),
        "plain_on_implicit_port" => disconnects(Handshake, Why::NotTls),
        "chain_too_large" => disconnects(Handshake, Why::ChainTooLarge),
        "dies_after_tls" => Expected { presented: true, ..disconnects(Session, Why::Eof) },
        "client_certificate_tls12" => {
            Expected { presented: true, ..disconnects(Handshake, Why::ClientCertificateRequired) }
        }
        "client_certificate_tls13" => {
            Expected { presented: true, ..disconnects(Session, Why::ClientCertificateRequired) }
        }
        other => panic!("no row for the profile {other}"),
    }
}

/// The stage and reason of the failure that a probe of this profile ends with.
pub(crate) fn expected_failure(profile: &str) -> Option<(Stage, Why)> {
    expected(profile).failure
}

#[track_caller]
fn check(profile: &str, seen: &Observation, session: &Session) {
    let expected = expected(profile);
    let failure = seen.outcome.as_ref().err();
    let found = failure.map(|failure| (failure.stage, failure.reason));
    assert_eq!(found, expected.failure, "{profile}: {failure:?}");
    assert_eq!(seen.presented.is_some(), expected.presented, "{profile}: presented");
    let quit = expected.quit.unwrap_or(session.quit);
    assert_eq!(session.quit, quit, "{profile}: QUIT, after {:?}", session.commands);
    assert!(!session.early_talker, "{profile}: the prober waits for the greeting");
    if expected.failure.is_none() {
        assert!(seen.proof.is_some(), "{profile}: key proof");
        assert_eq!(session.sni.as_deref(), Some(profiles::ALIAS), "{profile}: SNI");
        assert!(!session.resumed, "{profile}: no resumption");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_of_every_profile_end_as_expected() {
    let pki = Pki::new();
    let (profiles, specs): (Vec<_>, Vec<_>) = profiles::all(&pki).into_iter().unzip();
    let implicit: Vec<bool> = specs.iter().map(|spec| spec.tls == FleetTls::Implicit).collect();
    let fleet = Fleet::start(specs).await.expect("a fleet");
    let prober = Prober::new().expect("a prober");
    for ((profile, server), implicit) in profiles.iter().zip(fleet.servers()).zip(implicit) {
        let times_out = matches!(*profile, "silent" | "stalls_mid_handshake");
        let settings = settings(if times_out { Duration::from_secs(1) } else { TIMEOUT });
        let tls = if implicit || profile.contains("implicit") { TlsMode::Implicit } else { TlsMode::StartTls };
        let begin = Instant::now();
        let seen = probe(&prober, alias(), server.addr(), tls, &settings).await;
        let took = begin.elapsed();
        server.wait_sessions(1).await;
        let sessions = server.sessions();
        check(profile, &seen, &sessions[0]);
        assert_eq!(server.accepted(), 1, "{profile}: one connection");
        if *profile == "no_starttls" {
            assert!(took < Duration::from_secs(10), "{profile}: ends without waiting for the timeout, took {took:?}");
        }
        if profile.ends_with("greeting_421") {
            let cause = seen.outcome.err().and_then(|failure| failure.cause);
            assert_eq!(cause, Some(RejectionCause::ConnectionLimit), "{profile}");
        }
    }
}

#[tokio::test]
async fn sends_ehlo_again_inside_tls_and_ends_with_quit() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki), profiles::implicit(&pki)]).await.expect("a fleet");
    let prober = Prober::new().expect("a prober");
    let ehlo = "EHLO probe.example.net";
    for (server, tls, commands) in [
        (&fleet.servers()[0], TlsMode::StartTls, &[ehlo, "STARTTLS", ehlo, "QUIT"][..]),
        (&fleet.servers()[1], TlsMode::Implicit, &[ehlo, "QUIT"][..]),
    ] {
        let seen = probe(&prober, alias(), server.addr(), tls, &settings(TIMEOUT)).await;
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
async fn sends_no_sni_for_an_ip_address() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki)]).await.expect("a fleet");
    let server = &fleet.servers()[0];
    let prober = Prober::new().expect("a prober");
    let server_name = server.addr().ip().into();
    let seen = probe(&prober, server_name, server.addr(), TlsMode::StartTls, &settings(TIMEOUT)).await;
    assert!(seen.outcome.is_ok(), "{:?}", seen.outcome);
    server.wait_sessions(1).await;
    assert_eq!(server.sessions()[0].sni, None);
}

#[tokio::test]
async fn distinguishes_refused_and_unanswered_connections() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki)]).await.expect("a fleet");
    fleet.servers()[0].stop().await;
    let blackhole = smtp_fleet::Blackhole::start().await.expect("a blackhole");
    let prober = Prober::new().expect("a prober");
    for (address, reason) in [(fleet.servers()[0].addr(), Why::Refused), (blackhole.addr(), Why::Timeout)] {
        let settings = ProbeSettings { connect_timeout: Duration::from_millis(300), ..settings(TIMEOUT) };
        let seen = probe(&prober, alias(), address, TlsMode::StartTls, &settings).await;
        let failure = seen.outcome.expect_err("a failure");
        assert_eq!((failure.stage, failure.reason), (Stage::Connect, reason), "{failure:?}");
    }
}

#[tokio::test]
async fn presents_a_client_certificate_on_request() {
    let pki = Pki::new();
    let specs = [TlsVersions::Tls12, TlsVersions::Tls13].map(|versions| profiles::client_certificate(&pki, versions));
    let fleet = Fleet::start(specs.to_vec()).await.expect("a fleet");
    let spec = smtp_fleet::CertSpec::valid_for(&["probe.example.net"]).with_purpose(smtp_fleet::Purpose::Client);
    let identity = pki.issue(&spec);
    let key = identity.key().expect("a key").clone_key();
    let certificate = Arc::new(ClientCertificate {
        file: PathBuf::default(),
        chain: identity.chain().to_vec(),
        key,
        not_before: 0,
        not_after: i64::MAX,
        permits_client_auth: true,
    });
    let prober = Prober::new().expect("a prober");
    for server in fleet.servers() {
        let settings = ProbeSettings { client_certificate: Some(certificate.clone()), ..settings(TIMEOUT) };
        let seen = probe(&prober, alias(), server.addr(), TlsMode::StartTls, &settings).await;
        assert!(seen.outcome.is_ok(), "{}: {:?}", server.addr(), seen.outcome);
    }
}

#[tokio::test]
async fn maps_each_tls_alert_to_a_reason_and_names_it() {
    use Why::{ClientCertificateRequired, NoCommonParams, TlsAlert, TlsVersion, UnrecognizedName};
    // RFC 8446 §6.2, and alerts of earlier TLS versions.
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
    for ((number, word, reason), server) in alerts.into_iter().zip(fleet.servers()) {
        let seen = probe(&prober, alias(), server.addr(), TlsMode::StartTls, &settings(TIMEOUT)).await;
        let failure = seen.outcome.expect_err("a failure");
        assert_eq!((failure.stage, failure.reason), (Stage::Handshake, reason), "{number}: {failure:?}");
        assert!(failure.detail.contains(word), "{number}: {failure:?}");
    }
}
