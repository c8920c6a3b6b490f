//! `--web.config.file`: TLS, client certificates, HTTP/2, access and reloads, with real connections.

use std::process::Command;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use smtp_fleet::{CertSpec, Purpose};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::fixture::{
    Client, WebFixture, client_spec, exchange, issue, of_other_ca, replace, self_signed, tls, with_foreign_key,
    write_identity,
};
use crate::support::until;

mod fixture;

const DAY: i64 = 86_400;
const SUCCESSFUL: &str = "smtp_tls_exporter_web_config_last_reload_successful";

fn status(response: &str) -> u16 {
    response.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no status: {response}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asks_for_client_certificates_as_go_does() {
    let fleet_ca = "client_ca_file: ca.pem";
    let own = issue(&client_spec());
    let expired = issue(&client_spec().with_validity(-2 * DAY, -DAY));
    let server_purpose = issue(&client_spec().with_purpose(Purpose::Server));
    let clients = [
        ("none", None),
        ("self-signed", Some(self_signed())),
        ("issued", Some(own)),
        ("other CA", Some(of_other_ca())),
        ("expired", Some(expired)),
        ("for servers", Some(server_purpose)),
        ("foreign key", Some(with_foreign_key(&client_spec()))),
    ];
    // In the order of the clients.
    for (keys, accepted) in [
        ("client_auth_type: NoClientCert".to_owned(), "+++++++"),
        ("client_auth_type: RequestClientCert".to_owned(), "++++++-"),
        ("client_auth_type: RequireAnyClientCert".to_owned(), "-+++++-"),
        (format!("client_auth_type: VerifyClientCertIfGiven, {fleet_ca}"), "+-+----"),
        (format!("client_auth_type: RequireAndVerifyClientCert, {fleet_ca}"), "--+----"),
        (
            format!(
                "client_auth_type: RequireAndVerifyClientCert, {fleet_ca}, client_allowed_sans: [client.example.net]"
            ),
            "--+----",
        ),
        (
            format!("client_auth_type: RequireAndVerifyClientCert, {fleet_ca}, client_allowed_sans: [example.net]"),
            "-------",
        ),
        ("client_auth_type: RequestClientCert, client_allowed_sans: [client.example.net]".to_owned(), "-+++++-"),
        ("client_auth_type: RequireAnyClientCert, client_allowed_sans: [example.net]".to_owned(), "-------"),
    ] {
        let fixture = WebFixture::start(&tls(&keys)).await;
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let mut found = String::new();
            for (_, identity) in &clients {
                let client = Client { identity: identity.clone(), versions: vec![version], ..Client::default() };
                let response = fixture.get(&client, "/-/healthy", "").await;
                found.push(if response.is_ok_and(|response| status(&response) == 200) { '+' } else { '-' });
            }
            let names: Vec<_> = clients.iter().map(|(name, _)| *name).collect();
            assert_eq!(found, accepted, "{keys} with {:?}: {names:?}", version.version);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_certificates_may_be_listed_themselves_and_have_any_kind_of_name() {
    let listed = self_signed();
    let address = issue(&CertSpec::valid_for(&["192.0.2.1"]).with_purpose(Purpose::Client));
    for (client, sans, is_accepted) in [
        (&listed, "", true),
        (&listed, "client_allowed_sans: [client.example.net]", true),
        (&listed, "client_allowed_sans: []", false),
        (&address, "client_allowed_sans: [192.0.2.1]", true),
        (&address, "client_allowed_sans: [192.0.2.2, 192.0.2.10]", false),
        (&self_signed(), "", false),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        write_identity(folder.path(), "server", &issue(&CertSpec::valid_for(&["localhost"])));
        let root = crate::service_fixture::pki().root_pem();
        std::fs::write(folder.path().join("ca.pem"), format!("{}{root}", listed.chain_pem())).expect("a file");
        let keys = format!("client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, {sans}");
        let fixture = WebFixture::start_in(folder, &tls(&keys)).await;
        let response = fixture.get(&Client::with(client.clone()), "/-/healthy", "").await;
        assert_eq!(response.is_ok(), is_accepted, "{sans}: {response:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn negotiates_versions_suites_groups_and_protocols() {
    use rustls::version::{TLS12, TLS13};
    use rustls::{CipherSuite as Suite, NamedGroup as Group};
    let client = |edit: fn(&mut Client)| {
        let mut client = Client::default();
        edit(&mut client);
        client
    };
    let old = client(|client| client.versions = vec![&TLS12]);
    let new = client(|client| client.versions = vec![&TLS13]);
    let weak = client(|client| {
        client.versions = vec![&TLS12];
        client.suites = vec![Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256];
    });
    let p256 = client(|client| client.groups = vec![Group::secp256r1]);
    let h2 = client(|client| client.protocols = vec!["h2", "http/1.1"]);
    let suites = "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]";
    for (text, client, expected) in [
        (tls(""), &old, Ok(None)),
        (tls(""), &new, Ok(None)),
        (tls("min_version: TLS13"), &old, Err(())),
        (tls("min_version: TLS13"), &new, Ok(None)),
        (tls("max_version: TLS12"), &old, Ok(None)),
        (tls("max_version: TLS12"), &new, Err(())),
        (tls(suites), &old, Ok(None)),
        (tls(suites), &weak, Err(())),
        (tls(suites), &new, Ok(None)),
        (tls("curve_preferences: [CurveP384]"), &p256, Err(())),
        (tls("curve_preferences: [CurveP256]"), &p256, Ok(None)),
        (tls(""), &h2, Ok(Some(&b"h2"[..]))),
        (tls("") + "http_server_config: {http2: false}", &h2, Ok(Some(&b"http/1.1"[..]))),
    ] {
        let fixture = WebFixture::start(&text).await;
        let connection = fixture.connect(client).await;
        let found = connection.as_ref().map(|stream| stream.get_ref().1.alpn_protocol()).map_err(|_| ());
        assert_eq!(found, expected, "{text}: {:?}", connection.as_ref().err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serves_several_requests_over_http2() {
    let fixture = WebFixture::start(&tls("")).await;
    let client = Client { protocols: vec!["h2"], ..Client::default() };
    let stream = TokioIo::new(fixture.connect(&client).await.expect("a connection"));
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.expect("a connection");
    let connection = tokio::spawn(connection);
    let requests = (0..12).map(|_| {
        let mut sender = sender.clone();
        let request = Request::get("https://localhost/metrics").body(Empty::<bytes::Bytes>::new()).expect("a request");
        async move {
            let response = sender.send_request(request).await.expect("a response");
            let status = response.status();
            (status.as_u16(), response.into_body().collect().await.expect("a body").to_bytes())
        }
    });
    for (status, body) in futures_util::future::join_all(requests).await {
        assert_eq!(status, 200);
        let text = String::from_utf8(body.to_vec()).expect("text");
        assert!(text.contains(&format!("\n{SUCCESSFUL} 1")), "{text}");
    }
    drop(sender);
    connection.await.expect("a task").expect("the connection ends without an error");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_plain_http_and_does_not_wait_for_handshakes() {
    let fixture = WebFixture::start(&tls("")).await;
    // Connections that never send anything.
    let silent = futures_util::future::join_all((0..20).map(|_| TcpStream::connect(fixture.address))).await;
    let mut stream = TcpStream::connect(fixture.address).await.expect("a connection");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("a response");
    assert!(status(&response) == 400 && response.contains("HTTPS"), "{response}");
    let response = fixture.get(&Client::default(), "/-/healthy", "").await.expect("a response");
    assert_eq!(status(&response), 200);
    drop(silent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applies_users_headers_and_the_rate_limit() {
    let hash = bcrypt::hash("password", 4).expect("a hash");
    let text = tls("")
        + &format!("basic_auth_users: {{alice: {hash}}}\nrate_limit: {{interval: 1h, burst: 4}}\n")
        + "http_server_config: {headers: {X-Frame-Options: deny, Strict-Transport-Security: max-age=1}}";
    let fixture = WebFixture::start(&text).await;
    let credentials = |password: &str| {
        use base64::Engine;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("alice:{password}"));
        format!("Authorization: Basic {pair}\r\n")
    };
    for (fields, expected) in [
        (String::new(), 401),
        (credentials("wrong"), 401),
        (credentials("password"), 200),
        (credentials("password"), 200),
        (credentials("password"), 429),
    ] {
        let response = fixture.get(&Client::default(), "/metrics", &fields).await.expect("a response");
        assert_eq!(status(&response), expected, "{fields}");
        let head = response.to_lowercase();
        assert!(
            head.contains("x-frame-options: deny") && head.contains("strict-transport-security: max-age=1"),
            "{head}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_connections_have_the_new_certificate() {
    let fixture = WebFixture::start(&tls("")).await;
    let client = Client::default();
    let certificate = async || {
        let stream = fixture.connect(&client).await.expect("a connection");
        stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).expect("a certificate").clone()
    };
    let mut open = fixture.connect(&client).await.expect("a connection");
    let before = certificate().await;
    // The certificate first: until the key is replaced as well, the last valid pair stays in effect.
    let next = issue(&CertSpec::valid_for(&["localhost"]));
    replace(fixture.path(), "server.pem", next.chain_pem());
    until(async || metric(&fixture, &client).await.filter(|value| *value == 0.0)).await;
    assert_eq!(certificate().await, before);
    let response = reload_now(&fixture, &client).await;
    assert!(status(&response) == 500 && response.contains("key_file"), "{response}");
    replace(fixture.path(), "server.key", next.key_pem());
    until(async || metric(&fixture, &client).await.filter(|value| *value == 1.0)).await;
    assert_eq!(certificate().await.as_ref(), next.chain()[0].as_ref());
    let response = exchange(&mut open, "GET", "/-/healthy", "").await.expect("the old connection is still served");
    assert_eq!(status(&response), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_leaves_the_last_valid_one_in_effect() {
    let text = tls("client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem");
    let fixture = WebFixture::start(&text).await;
    let (client, stranger) = (Client::with(issue(&client_spec())), Client::with(of_other_ca()));
    let reload = |text: String| {
        std::fs::write(fixture.path().join("web.yaml"), text).expect("a file");
        reload_now(&fixture, &client)
    };
    for (text, part) in [
        ("basic_auth_users: [", "syntax error"),
        ("", "web.yaml: "),
        ("{}", "tls_server_config"),
        ("tls_server_config: {cert_file: none, key_file: server.key}", "tls_server_config.cert_file"),
        (&*(tls("") + "basic_auth_users: {alice: x}"), "basic_auth_users.*"),
        (&*(tls("") + "http_server_config: {headers: {X-Frame-Options: x}}"), "http_server_config.headers"),
    ] {
        let response = reload(text.to_owned()).await;
        assert!(status(&response) == 500 && response.contains(part), "{text}: {response}");
        assert_eq!(metric(&fixture, &client).await, Some(0.0), "{text}");
        assert!(fixture.get(&stranger, "/metrics", "").await.is_err(), "{text}");
    }
    let response = reload(tls("client_auth_type: RequestClientCert") + "http_server_config: {http2: false}").await;
    assert_eq!(status(&response), 200, "{response}");
    assert_eq!(metric(&fixture, &stranger).await, Some(1.0));
    let h2 = Client { protocols: vec!["h2", "http/1.1"], ..Client::default() };
    let stream = fixture.connect(&h2).await.expect("a connection");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn config_check_includes_the_web_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    write_identity(path, "server", &issue(&CertSpec::valid_for(&["localhost"])));
    write_identity(path, "expired", &issue(&CertSpec::valid_for(&["localhost"]).with_validity(-2 * DAY, -DAY)));
    std::fs::write(path.join("config.yaml"), "targets: [{host: 127.0.0.1, port: 1, trust: mozilla}]").expect("a file");
    let expired = "tls_server_config: {cert_file: expired.pem, key_file: expired.key}";
    let user = format!("{}basic_auth_users: {{alice: S3cret}}", tls(""));
    for (text, code, output) in [
        ("", 0, "TLS off"),
        (&*tls(""), 0, "TLS on"),
        (expired, 0, "warning: "),
        (expired, 0, "server certificate expired on "),
        (&*user, 2, "basic_auth_users.alice"),
        ("tls_server_config: {cert_file: server.pem, key_file: expired.key}", 2, "tls_server_config.key_file"),
    ] {
        std::fs::write(path.join("web.yaml"), text).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"));
        let args = ["--config.check", "--config.file=config.yaml", "--web.config.file=web.yaml"];
        let result = command.args(args).current_dir(path).output().expect("the exporter runs");
        let found = String::from_utf8_lossy(&[result.stdout, result.stderr].concat()).into_owned();
        assert_eq!(result.status.code(), Some(code), "{text}: {found}");
        assert!(found.contains(output) && !found.contains("S3cret"), "{text}: {found}");
    }
}

/// The response to `POST /-/reload`.
async fn reload_now(fixture: &WebFixture, client: &Client) -> String {
    let mut stream = fixture.connect(client).await.expect("a connection");
    exchange(&mut stream, "POST", "/-/reload", "Content-Length: 0\r\n").await.expect("a response")
}

/// The value of the metric of the last reload.
async fn metric(fixture: &WebFixture, client: &Client) -> Option<f64> {
    let response = fixture.get(client, "/metrics", "").await.ok()?;
    response.lines().find_map(|line| line.strip_prefix(SUCCESSFUL)?.trim().parse().ok())
}
