//! One probe of each server profile: where and why it fails, what it still observes, and whether it sends QUIT.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use smtp_fleet::{Fleet, Pki, ServerSpec, Session, Step, Termination, TlsMode as FleetTls, TlsVersions, profiles};
use smtp_tls_exporter::observation::Observation;
use smtp_tls_exporter::probe::Prober;
use smtp_tls_exporter::reason::{ClientAuth, ProbeReason as Why, RejectionCause, Stage};
use smtp_tls_exporter::target::{Backend, Endpoint, ProbeSettings, ServerName, TlsMode};
use smtp_tls_exporter::trust::client_certificate;

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
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [cert, key] = ["client.pem", "client.key"].map(|file| folder.path().join(file));
    std::fs::write(&cert, identity.chain_pem()).expect("a file");
    std::fs::write(&key, identity.key_pem()).expect("a file");
    let certificate = Arc::new(client_certificate::load(&cert, &key).expect("a client certificate"));
    let prober = Prober::new().expect("a prober");
    for server in fleet.servers() {
        let settings = ProbeSettings { client_certificate: Some(certificate.clone()), ..settings(TIMEOUT) };
        let seen = probe(&prober, alias(), server.addr(), TlsMode::StartTls, &settings).await;
        assert!(seen.outcome.is_ok(), "{}: {:?}", server.addr(), seen.outcome);
        assert_eq!(seen.client_auth, Some(ClientAuth::Sent), "{}", server.addr());
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

/// A ServerHello (RFC 5246 §7.4.1.3, RFC 8446 §4.1.3) with these values, as a record.
fn server_hello(version: [u8; 2], random: [u8; 32], suite: [u8; 2], compression: u8, extensions: &[&[u8]]) -> Vec<u8> {
    let length = |bytes: usize| u16::try_from(bytes).expect("a short message").to_be_bytes();
    let extensions = extensions.concat();
    let body = [&version[..], &random, &[0], &suite, &[compression], &length(extensions.len()), &extensions].concat();
    let message = [&[2, 0][..], &length(body.len()), &body].concat();
    [&[22, 3, 3][..], &length(message.len()), &message].concat()
}

#[tokio::test]
async fn a_server_that_selects_what_was_not_offered_violates_the_protocol() {
    const TLS12: [u8; 2] = [3, 3];
    const ECDHE: [u8; 2] = [0xc0, 0x2f];
    const TLS13_SUITE: [u8; 2] = [0x13, 0x01];
    const SUPPORTED_VERSION: &[u8] = &[0, 43, 0, 2, 3, 4];
    // SHA-256 of "HelloRetryRequest" (RFC 8446 §4.1.3).
    const RETRY: [u8; 32] = [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2,
        0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
    ];
    let random = [7; 32];
    let rows = [
        ("RSA key exchange with CBC", server_hello(TLS12, random, [0, 0x2f], 0, &[]), Why::ProtocolViolation),
        ("a suite that does not exist", server_hello(TLS12, random, [0xfa, 0xfa], 0, &[]), Why::ProtocolViolation),
        ("a suite of TLS 1.3 in TLS 1.2", server_hello(TLS12, random, TLS13_SUITE, 0, &[]), Why::ProtocolViolation),
        (
            "a suite of TLS 1.2 in TLS 1.3",
            server_hello(TLS12, random, ECDHE, 0, &[SUPPORTED_VERSION]),
            Why::ProtocolViolation,
        ),
        (
            "an unknown suite in TLS 1.3",
            server_hello(TLS12, random, [0x13, 0x99], 0, &[SUPPORTED_VERSION]),
            Why::ProtocolViolation,
        ),
        ("compression", server_hello(TLS12, random, ECDHE, 1, &[]), Why::ProtocolViolation),
        (
            "an extension",
            server_hello(TLS12, random, ECDHE, 0, &[&[0, 16, 0, 5, 0, 3, 2, b'h', b'2']]),
            Why::ProtocolViolation,
        ),
        (
            "the group P-521",
            server_hello(TLS12, RETRY, TLS13_SUITE, 0, &[SUPPORTED_VERSION, &[0, 51, 0, 2, 0, 25]]),
            Why::ProtocolViolation,
        ),
        (
            "an extension in a retry",
            server_hello(TLS12, RETRY, TLS13_SUITE, 0, &[SUPPORTED_VERSION, &[0xfa, 0xfa, 0, 0]]),
            Why::ProtocolViolation,
        ),
        // An old server, which is the usual case.
        ("TLS 1.1", server_hello([3, 2], random, [0, 0x2f], 0, &[]), Why::TlsVersion),
    ];
    let pki = Pki::new();
    let records = rows.iter().map(|(_, record, _)| Termination::Record(record.clone().leak()));
    let specs = records.map(|record| profiles::terminates(&pki, Step::ClientHello, record)).collect();
    let fleet = Fleet::start(specs).await.expect("a fleet");
    let prober = Prober::new().expect("a prober");
    for ((case, _, reason), server) in rows.into_iter().zip(fleet.servers()) {
        let seen = probe(&prober, alias(), server.addr(), TlsMode::StartTls, &settings(TIMEOUT)).await;
        let failure = seen.outcome.expect_err("a failure");
        assert_eq!((failure.stage, failure.reason), (Stage::Handshake, reason), "{case}: {failure:?}");
    }
}

/// A chain that is a little smaller than the limit of the TLS library for a message does not fit its buffer together with the
/// headers of the records.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_is_accepted_or_too_large_at_every_size() {
    let pki = Pki::new();
    let identity = pki.issue(&smtp_fleet::CertSpec::valid_for(&[profiles::ALIAS]));
    let size: usize = identity.chain().iter().map(|der| der.len()).sum();
    let sizes =
        [60_000, 65_000, 65_300, 65_400, 65_450, 65_480, 65_490, 65_500, 65_505, 65_510, 65_515, 65_520, 66_000];
    let mut rows = Vec::new();
    for total in sizes {
        let padding = identity.chain().iter().cloned().chain([vec![0; total - size].into()]).collect::<Vec<_>>();
        let spec = ServerSpec::new(identity.clone().with_chain(padding));
        for (versions, tls) in [
            (TlsVersions::Tls12, FleetTls::StartTls),
            (TlsVersions::Tls13, FleetTls::StartTls),
            (TlsVersions::Tls12, FleetTls::Implicit),
            (TlsVersions::Tls13, FleetTls::Implicit),
        ] {
            rows.push((total, ServerSpec { versions, tls, ..spec.clone() }));
        }
    }
    let fleet = Fleet::start(rows.iter().map(|(_, spec)| spec.clone()).collect()).await.expect("a fleet");
    let prober = Prober::new().expect("a prober");
    let (mut fits, mut buffer_full) = (0, 0);
    for ((total, spec), server) in rows.into_iter().zip(fleet.servers()) {
        let tls = if spec.tls == FleetTls::Implicit { TlsMode::Implicit } else { TlsMode::StartTls };
        let seen = probe(&prober, alias(), server.addr(), tls, &settings(TIMEOUT)).await;
        let case = format!("{total} bytes, {:?}, {tls:?}", spec.versions);
        match seen.outcome {
            Ok(_) => {
                assert!(total < 65_520, "{case}");
                fits += 1;
            }
            Err(failure) => {
                let found = (failure.stage, failure.reason);
                assert_eq!(found, (Stage::Handshake, Why::ChainTooLarge), "{case}: {failure:?}");
                assert!(total > 65_000, "{case}: {failure:?}");
                buffer_full += usize::from(failure.detail.contains("record headers"));
            }
        }
    }
    assert!(fits >= 8 && buffer_full > 0, "{fits} chains fit, the buffer was full for {buffer_full}");
}

#[tokio::test]
async fn a_handshake_message_of_16_megabytes_is_rejected_at_its_header() {
    let hello = server_hello([3, 3], [7; 32], [0xc0, 0x2f], 0, &[]);
    // Certificate (11) with the largest length, in records of 16 KiB.
    let record = |message: &[u8]| [&[22, 3, 3, 0x40, 0][..], message].concat();
    let first = record(&[&[11, 0xff, 0xff, 0xff][..], &[0xff; 16_380]].concat());
    let more = record(&[0xff; 16_384]).repeat(8);
    let bytes: &'static [u8] = [hello, first, more].concat().leak();
    let pki = Pki::new();
    let spec = profiles::terminates(&pki, Step::ClientHello, Termination::Record(bytes));
    let fleet = Fleet::start(vec![spec.clone(), spec.with_tls(FleetTls::Implicit)]).await.expect("a fleet");
    let prober = Prober::new().expect("a prober");
    for (server, tls) in fleet.servers().iter().zip([TlsMode::StartTls, TlsMode::Implicit]) {
        let seen = probe(&prober, alias(), server.addr(), tls, &settings(TIMEOUT)).await;
        let failure = seen.outcome.expect_err("a failure");
        assert_eq!((failure.stage, failure.reason), (Stage::Handshake, Why::ChainTooLarge), "{tls:?}: {failure:?}");
    }
}
