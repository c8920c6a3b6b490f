//! HTTP/2 over TLS: clients that do not accept responses, early answers, and how connections end.

use std::sync::Arc;
use std::time::Instant;

use axum::routing::any;
use h2::client::SendRequest;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

type Bytes = axum::body::Bytes;
type Connection = JoinHandle<std::result::Result<(), h2::Error>>;

/// Longer than a busy host delays a client that reads.
const STALL: Duration = Duration::from_secs(1);

struct TlsServer {
    server: Server,
    connector: TlsConnector,
}

impl TlsServer {
    async fn start(router: Router, limits: Limits) -> Self {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let certificate = certified.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("a certificate with its key");
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a root");
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec()];
        let listeners = bind(&"127.0.0.1:0".parse().expect("an address")).await.expect("a listener");
        let (address, stop) = (address_of(&listeners), CancellationToken::new());
        let tls = watch::channel(Arc::new(tls)).1;
        let task = tokio::spawn(serve_within(limits, listeners, router, Some(tls), stop.clone()));
        Self { server: Server { address, stop, task }, connector: TlsConnector::from(Arc::new(client)) }
    }

    async fn stream(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.server.address).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        self.connector.connect(name, stream).await.expect("a handshake")
    }

    /// A client that answers pings, and gives each stream this window.
    async fn client(&self, window: u32) -> (SendRequest<Bytes>, Connection) {
        let mut builder = h2::client::Builder::new();
        let handshake = builder.initial_window_size(window).handshake(self.stream().await);
        let (sender, connection) = handshake.await.expect("a connection");
        (sender.ready().await.expect("ready"), tokio::spawn(connection))
    }
}

fn request(method: Method, path: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("https://localhost{path}")).body(()).expect("a request")
}

async fn ended(connection: &mut Connection) -> std::result::Result<(), h2::Error> {
    timeout(LONG, connection).await.expect("the connection ends").expect("no panic")
}

/// The status and the length of the body.
async fn received(response: h2::client::ResponseFuture) -> std::result::Result<(StatusCode, usize), h2::Error> {
    let (head, mut body) = response.await?.into_parts();
    let mut length = 0;
    while let Some(data) = body.data().await {
        let data = data?;
        length += data.len();
        body.flow_control().release_capacity(data.len())?;
    }
    Ok((head.status, length))
}

#[tokio::test]
async fn a_client_that_does_not_accept_a_response_loses_its_connection() {
    let limits = Limits { write: STALL, idle_http2: LONG, ..Limits::default() };
    let server = TlsServer::start(site(large(&TestCa::new(), 500), &lifecycle()), limits).await;
    for (path, status) in [("/-/healthy", 200), ("/nowhere", 404), ("/metrics", 200), ("/-/reload", 405)] {
        for window in [0, 1, 7] {
            let (mut sender, mut connection) = server.client(window).await;
            let (response, _) = sender.send_request(request(Method::GET, path), true).expect("sent");
            let response = timeout(LONG, response).await.expect("a response").expect("a response");
            assert_eq!(response.status(), status, "{path}");
            // Others on the same connection change nothing.
            let second = sender.send_request(request(Method::GET, path), true);
            let _ = ended(&mut connection).await;
            drop((response, second));
        }
    }
    server.server.finish().await;
}

#[tokio::test]
async fn handlers_and_clients_that_read_have_their_time() {
    let wait = || async {
        tokio::time::sleep(3 * STALL).await;
        "done"
    };
    let long = || async { "x".repeat(300_000) };
    let router = Router::new().route("/wait", any(wait)).route("/long", any(long)).route("/empty", any(async || ""));
    let limits = Limits { write: STALL, idle_http2: SHORT, ..Limits::default() };
    let server = TlsServer::start(router, limits).await;
    for (path, length) in [("/wait", 4), ("/long", 300_000), ("/empty", 0)] {
        let (mut sender, _connection) = server.client(1_000).await;
        let (response, _) = sender.send_request(request(Method::GET, path), true).expect("sent");
        let found = timeout(LONG, received(response)).await.expect("a response").expect("a whole response");
        assert_eq!(found, (StatusCode::OK, length), "{path}");
    }
    server.server.finish().await;
}

#[tokio::test]
async fn requests_with_a_body_get_their_answer() {
    let server = TlsServer::start(site(classic(&TestCa::new()), &Options::default()), Limits::default()).await;
    let (sender, _connection) = server.client(65_535).await;
    for length in [1, 10_000] {
        for (method, path, status) in
            [(Method::GET, "/metrics", 400), (Method::POST, "/metrics", 405), (Method::POST, "/-/reload", 403)]
        {
            let mut sender = sender.clone().ready().await.expect("ready");
            let (response, mut body) = sender.send_request(request(method, path), false).expect("sent");
            tokio::task::yield_now().await;
            body.send_data(vec![b'x'; length].into(), true).expect("sent");
            let found = timeout(LONG, received(response)).await.expect("a response").expect("a whole response");
            assert_eq!(found.0, status, "{path}");
        }
    }
    // A body that never ends.
    let (response, _body) = sender.clone().send_request(request(Method::POST, "/metrics"), false).expect("sent");
    let response = timeout(LONG, response).await.expect("a response").expect("a response");
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    server.server.finish().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_order() {
    let limits = Limits { idle_http2: SHORT, ..Limits::default() };
    let server = TlsServer::start(site(nothing(), &Options::default()), limits).await;
    for requests in [0, 1] {
        let (mut sender, mut connection) = server.client(65_535).await;
        for _ in 0..requests {
            let (response, _) = sender.send_request(request(Method::GET, "/-/healthy"), true).expect("sent");
            received(response).await.expect("a response");
        }
        // With a close_notify: otherwise, rustls reports an error.
        ended(&mut connection).await.expect("no error");
        assert!(sender.ready().await.is_err(), "the client knows");
    }
    server.server.finish().await;
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_handshakes() {
    let limits = Limits { head: LONG, drain: LONG, ..Limits::default() };
    let server = TlsServer::start(site(nothing(), &Options::default()), limits).await;
    let _silent = server.server.connect("").await;
    let _half = server.server.connect("\u{16}\u{3}").await;
    // Accepted after the others.
    let (_sender, _connection) = server.client(65_535).await;
    let begin = Instant::now();
    server.server.finish().await;
    assert!(begin.elapsed() < LONG / 2);
}
