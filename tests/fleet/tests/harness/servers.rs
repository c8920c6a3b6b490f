//! Tests of the server profiles and of the recorded sessions.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use smtp_fleet::{
    AuthoritySpec, CertSpec, Fleet, Issuer, KeyKind, Pki, Presented, Purpose, Server, ServerSpec, Session, TlsMode,
    profiles,
};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{read_reply, run_session, trusting};

/// Profiles whose sessions fail, with a part of the error.
const FAILING: [(&str, &str); 35] = [
    ("alias_missing", "handshake: Custom { kind: InvalidData, error: InvalidCertificate(NotValidForName"),
    ("expired", "handshake: Custom { kind: InvalidData, error: InvalidCertificate(Expired"),
    ("not_yet_valid", "handshake: Custom { kind: InvalidData, error: InvalidCertificate(NotValidYet"),
    ("self_signed", "InvalidCertificate(UnknownIssuer"),
    ("missing_intermediate", "InvalidCertificate(UnknownIssuer"),
    ("untrusted", "InvalidCertificate(UnknownIssuer"),
    ("chain_too_large", "HandshakePayloadTooLarge"),
    ("no_starttls", "ehlo: no STARTTLS"),
    ("starttls_454", "starttls: 454"),
    ("starttls_501", "starttls: 501"),
    ("greeting_421", "greeting: 421"),
    ("greeting_554", "greeting: 554"),
    ("implicit_greeting_421", "greeting: 421"),
    ("implicit_greeting_554", "greeting: 554"),
    ("garbage_greeting", "greeting: "),
    ("mixed_codes", "malformed"),
    ("ehlo_refused", "ehlo: no STARTTLS"),
    ("injects_plaintext", "plaintext after the reply"),
    ("plain_on_implicit_port", "InvalidContentType"),
    ("endless_lines", "greeting: Custom { kind: Other, error: \"too long\" }"),
    ("endless_line", "greeting: Custom { kind: Other, error: \"too long\" }"),
    ("closes_at_once", "greeting: Kind(UnexpectedEof)"),
    ("silent", "stalled"),
    ("closes_mid_handshake", "UnexpectedEof"),
    ("resets_mid_handshake", "ConnectionReset"),
    ("stalls_mid_handshake", "stalled"),
    ("unrecognized_name", "AlertReceived(UnrecognisedName)"),
    ("old_tls", "AlertReceived(ProtocolVersion)"),
    ("nothing_in_common", "AlertReceived(HandshakeFailure)"),
    ("internal_error", "AlertReceived(InternalError)"),
    ("out_of_turn", "InappropriateHandshakeMessage"),
    ("no_certificate", "NoCertificatesPresented"),
    ("dies_after_tls", "EHLO client.example.net: Kind(UnexpectedEof)"),
    ("client_certificate_tls12", "handshake: Custom { kind: InvalidData, error: AlertReceived(CertificateRequired)"),
    (
        "client_certificate_tls13",
        "EHLO client.example.net: Custom { kind: InvalidData, error: AlertReceived(CertificateRequired)",
    ),
];

/// Profiles whose sessions succeed, with the reply code to EHLO inside TLS.
const SUCCEEDING: [(&str, &str); 10] = [
    ("good", "250"),
    ("implicit", "250"),
    ("slow_greeting", "250"),
    ("screening", "250"),
    ("bare_codes", "250"),
    ("starttls_last", "250"),
    ("byte_by_byte", "250"),
    ("ehlo_refused_in_tls", "550"),
    ("tls12_only", "250"),
    ("tls13_only", "250"),
];

#[tokio::test]
async fn every_profile_behaves_as_described() {
    let pki = Pki::new();
    let (kinds, specs): (Vec<_>, Vec<_>) = profiles::all(&pki).into_iter().unzip();
    assert_eq!(kinds.len(), FAILING.len() + SUCCEEDING.len());
    let fleet = Fleet::start(specs).await.unwrap();
    let config = trusting(&pki, None);
    let mut sessions = JoinSet::new();
    for (kind, addr) in kinds.into_iter().zip(fleet.addrs()) {
        let config = config.clone();
        sessions.spawn(async move {
            let outcome = timeout(time_limit_of(kind), run_session(addr, mode_of(kind), &config)).await;
            (kind, outcome.unwrap_or_else(|_| Err("stalled".to_owned())))
        });
    }
    let mut outcomes: HashMap<_, _> = sessions.join_all().await.into_iter().collect();
    for (kind, ehlo) in SUCCEEDING {
        assert_eq!(outcomes.remove(kind).unwrap().unwrap().ehlo, ehlo, "{kind}");
    }
    for (kind, part) in FAILING {
        let error = outcomes.remove(kind).unwrap().unwrap_err();
        assert!(error.contains(part), "{kind}: {error}");
    }
}

fn mode_of(kind: &str) -> TlsMode {
    match kind {
        "implicit" | "implicit_greeting_421" | "implicit_greeting_554" | "plain_on_implicit_port" => TlsMode::Implicit,
        _ => TlsMode::StartTls,
    }
}

fn time_limit_of(kind: &str) -> Duration {
    match kind {
        "silent" | "stalls_mid_handshake" => Duration::from_millis(300),
        _ => Duration::from_secs(20),
    }
}

/// Runs one client session against `spec` and returns the session that the server recorded.
async fn recorded_session(spec: ServerSpec, tls: TlsMode, pki: &Pki) -> Session {
    let fleet = Fleet::start(vec![spec]).await.unwrap();
    let server = &fleet.servers()[0];
    let config = trusting(pki, None);
    // Other tests check the client's outcome.
    let _ = run_session(server.addr(), tls, &config).await;
    server.wait_sessions(1).await;
    assert_eq!(server.accepted(), 1);
    assert_eq!(server.peak_concurrency(), 1);
    server.sessions().remove(0)
}

#[tokio::test]
async fn sessions_record_what_the_client_did() {
    async fn check(spec: ServerSpec, tls: TlsMode, pki: &Pki, commands: &[&str], secured: bool) {
        let session = recorded_session(spec, tls, pki).await;
        assert_eq!(session.commands, commands);
        assert_eq!(session.tls, secured);
        assert_eq!(session.sni.as_deref(), secured.then_some(profiles::ALIAS));
        assert!(session.quit && !session.resumed && !session.early_talker);
    }
    const EHLO: &str = "EHLO client.example.net";
    let pki = Pki::new();
    let whole = [EHLO, "STARTTLS", EHLO, "QUIT"];
    check(profiles::good(&pki), TlsMode::StartTls, &pki, &whole, true).await;
    check(profiles::byte_by_byte(&pki), TlsMode::StartTls, &pki, &whole, true).await;
    check(profiles::implicit(&pki), TlsMode::Implicit, &pki, &[EHLO, "QUIT"], true).await;
    check(profiles::no_starttls(&pki), TlsMode::StartTls, &pki, &[EHLO, "QUIT"], false).await;
    check(profiles::greeting_554(&pki), TlsMode::StartTls, &pki, &["QUIT"], false).await;
}

#[tokio::test]
async fn detects_and_rejects_an_early_talker() {
    let pki = Pki::new();
    let spec = profiles::screening(&pki, Duration::from_secs(60));
    let fleet = Fleet::start(vec![spec]).await.unwrap();
    let server = &fleet.servers()[0];
    let mut connection = BufReader::new(TcpStream::connect(server.addr()).await.unwrap());
    connection.write_all(b"EHLO client.example.net\r\n").await.unwrap();
    // The `220-` line and the 521 after it have different codes.
    assert_eq!(read_reply(&mut connection).await.unwrap_err().to_string(), "malformed");
    drop(connection);
    server.wait_sessions(1).await;
    let session = server.sessions().remove(0);
    assert!(session.early_talker && !session.tls && !session.quit);
}

#[tokio::test]
async fn rejects_commands_out_of_sequence() {
    async fn check(connection: &mut BufReader<TcpStream>, command: &str, code: &str) {
        let line = format!("{command}\r\n");
        connection.write_all(line.as_bytes()).await.unwrap();
        assert_eq!(read_reply(connection).await.unwrap()[0][..3], *code, "{command}");
    }
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki)]).await.unwrap();
    let mut connection = BufReader::new(TcpStream::connect(fleet.addrs()[0]).await.unwrap());
    assert_eq!(read_reply(&mut connection).await.unwrap(), ["220 mail.example.com ESMTP"]);
    check(&mut connection, "STARTTLS", "503").await;
    check(&mut connection, "ehlo client.example.net", "250").await;
    check(&mut connection, "MAIL FROM:<>", "530").await;
    check(&mut connection, "NOOP", "250").await;
    check(&mut connection, "VRFY postmaster", "500").await;
    check(&mut connection, "quit", "221").await;
}

#[tokio::test]
async fn stops_starts_and_replaces_a_server() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki), profiles::good(&pki)]).await.unwrap();
    let config = trusting(&pki, None);
    let check = async |server: &Server, part: &str| {
        let outcome = run_session(server.addr(), TlsMode::StartTls, &config).await;
        let outcome = outcome.map_or_else(|error| error, |outcome| outcome.ehlo);
        assert!(outcome.contains(part), "{outcome}");
    };
    let [first, second] = fleet.servers() else {
        panic!("two servers");
    };
    assert_eq!(first.addr().port(), second.addr().port());
    let mut held = BufReader::new(TcpStream::connect(first.addr()).await.unwrap());
    read_reply(&mut held).await.unwrap();
    first.stop().await;
    assert_eq!(read_reply(&mut held).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    check(first, "connect: Os { code: 111").await;
    check(second, "250").await;
    first.start().await.unwrap();
    first.start().await.unwrap();
    check(first, "250").await;
    first.replace(profiles::alias_missing(&pki));
    check(first, "NotValidForName").await;
    check(second, "250").await;
}

#[tokio::test]
async fn presents_several_identities_in_turn() {
    let pki = Pki::new();
    let both =
        [CertSpec::valid_for(&[profiles::ALIAS]), CertSpec::valid_for(&[profiles::ALIAS]).with_issuer(Issuer::Root)];
    let fleet = Fleet::start(vec![profiles::load_balanced(&pki, &both)]).await.unwrap();
    let config = trusting(&pki, None);
    let mut leaves = Vec::new();
    for _ in 0..4 {
        let outcome = run_session(fleet.addrs()[0], TlsMode::StartTls, &config).await;
        leaves.push(outcome.unwrap().leaf);
    }
    assert_eq!(leaves[..2], leaves[2..]);
    assert_ne!(leaves[0], leaves[1]);
}

#[tokio::test]
async fn records_resumption_and_concurrency() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki)]).await.unwrap();
    let server = &fleet.servers()[0];
    let config = trusting(&pki, None);
    for _ in 0..2 {
        run_session(server.addr(), TlsMode::StartTls, &config).await.unwrap();
    }
    server.wait_sessions(2).await;
    let resumed: Vec<_> = server.sessions().iter().map(|it| it.resumed).collect();
    assert_eq!(resumed, [false, true]);
    assert_eq!(server.peak_concurrency(), 1);

    let mut held = Vec::new();
    for _ in 0..3 {
        let mut connection = BufReader::new(TcpStream::connect(server.addr()).await.unwrap());
        read_reply(&mut connection).await.unwrap();
        held.push(connection);
    }
    assert_eq!(server.peak_concurrency(), 3);
    drop(held);
    server.wait_sessions(5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consecutive_clients_do_not_count_as_concurrent() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki)]).await.unwrap();
    let server = &fleet.servers()[0];
    for _ in 0..200 {
        let mut connection = BufReader::new(TcpStream::connect(server.addr()).await.unwrap());
        read_reply(&mut connection).await.unwrap();
        connection.write_all(b"QUIT\r\n").await.unwrap();
    }
    server.wait_sessions(200).await;
    assert_eq!((server.accepted(), server.peak_concurrency()), (200, 1));
}

#[tokio::test]
async fn accepts_only_valid_client_certificates() {
    async fn check(kind: &str, purpose: Purpose, pki: &Pki, accepted: bool) {
        let mut profiles: HashMap<_, _> = profiles::all(pki).into_iter().collect();
        let fleet = Fleet::start(vec![profiles.remove(kind).unwrap()]).await.unwrap();
        let spec = CertSpec::valid_for(&["client.example.net"]).with_purpose(purpose);
        let config = trusting(pki, Some(&pki.issue(&spec)));
        let addr: SocketAddr = fleet.addrs()[0];
        let outcome = run_session(addr, TlsMode::StartTls, &config).await;
        assert_eq!(outcome.is_ok(), accepted, "{kind} {purpose:?} {outcome:?}");
    }
    let pki = Pki::new();
    check("client_certificate_tls12", Purpose::Client, &pki, true).await;
    check("client_certificate_tls13", Purpose::Client, &pki, true).await;
    check("client_certificate_tls12", Purpose::Server, &pki, false).await;
    check("client_certificate_tls13", Purpose::Server, &pki, false).await;
}

#[tokio::test]
async fn handshake_works_with_every_kind_of_key() {
    async fn check(spec: CertSpec, pki: &Pki) {
        let identity = pki.issue(&spec).with_staple(vec![48, 0]);
        let fleet = Fleet::start(vec![ServerSpec::new(identity.clone())]).await.unwrap();
        let outcome = run_session(fleet.addrs()[0], TlsMode::StartTls, &trusting(pki, None)).await;
        assert_eq!(outcome.unwrap().leaf, *identity.leaf_der());
    }
    let pki = Pki::new();
    let below = pki.root().sub(&AuthoritySpec {
        permitted_domains: vec!["example.com".to_owned()],
        ..AuthoritySpec::named("Constrained")
    });
    let spec = CertSpec::valid_for(&[profiles::ALIAS]);
    check(spec.clone().with_key(KeyKind::P384), &pki).await;
    check(spec.clone().with_key(KeyKind::Ed25519), &pki).await;
    check(spec.clone().with_key(KeyKind::Rsa2048), &pki).await;
    check(spec.clone().with_common_name(None).with_purpose(Purpose::Unspecified), &pki).await;
    check(spec.with_issuer(Issuer::Authority(below)), &pki).await;
}

#[test]
fn issues_the_requested_certificates() {
    #[track_caller]
    fn check(spec: &CertSpec, pki: &Pki, certificates: usize) {
        let (own, shared) = (pki.issue(spec), pki.issue_with_shared_key(spec));
        for identity in [&own, &shared] {
            assert_eq!(identity.chain().len(), certificates);
            assert_eq!(identity.chain_pem().matches("BEGIN CERT").count(), certificates);
            assert!(identity.key_pem().starts_with("-----BEGIN PRIVATE KEY-----"));
        }
        assert_ne!(own.leaf_der(), shared.leaf_der());
    }
    let pki = Pki::new();
    let spec = CertSpec::valid_for(&[profiles::ALIAS, "192.0.2.1", "2001:db8::1"]);
    check(&spec, &pki, 2);
    check(&spec.clone().with_presented(Presented::LeafOnly), &pki, 1);
    check(&spec.clone().with_issuer(Issuer::SelfSigned), &pki, 1);
    check(&spec.with_issuer(Issuer::Root), &pki, 1);
    assert!(pki.root_pem().starts_with("-----BEGIN CERTIFICATE-----"));
    assert_ne!(pki.root_pem(), pki.untrusted_root_pem());
}
