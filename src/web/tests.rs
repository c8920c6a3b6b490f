use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as BoundListener};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, request};
use flate2::read::GzDecoder;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready as at_once};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::serve::{Limits, bind_all, serve_within};
use super::*;
use crate::metrics::Format;
use crate::metrics::fixture::{TestCa, classic, large, target};
use crate::monitor::{OneOff, OneOffError};
use crate::net::ClientAddress;
use crate::snapshot::{ExporterReport, Fleet, TargetReport};
use crate::target::{NotAllowed, ProbeAccess, TargetKind, TargetName};

mod access;
mod golden;
mod hangups;
mod hosts;
mod http2;
mod load;
mod pages;
mod streams;

impl FleetSource for Fleet {
    fn fleet(&self) -> Fleet {
        self.clone()
    }

    fn is_ready(&self) -> bool {
        !self.targets.is_empty()
    }
}

/// A limit for what must happen, even on a slow host.
const LONG: Duration = Duration::from_secs(60);
/// A limit that a test is meant to exceed.
const SHORT: Duration = Duration::from_millis(50);

fn nothing() -> Fleet {
    Fleet { targets: vec![], exporter: ExporterReport::default() }
}

/// A router over `fleet`; reloads fail.
fn site(fleet: Fleet, options: &Options) -> Router {
    router(fleet, reloads().0, options)
}

async fn ask(router: &Router, request: request::Builder) -> Response {
    let request = request.body(Body::empty()).expect("a request");
    TowerToHyperService::new(router.clone()).call(request).await.expect("routers do not fail")
}

async fn get_page(router: &Router, path: &str) -> Response {
    ask(router, Request::get(path)).await
}

async fn bytes(response: Response) -> Vec<u8> {
    response.into_body().collect().await.expect("a whole body").to_bytes().to_vec()
}

async fn text(response: Response) -> String {
    String::from_utf8(bytes(response).await).expect("text")
}

fn field(response: &Response, name: header::HeaderName) -> &str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

/// With reloads over HTTP.
fn lifecycle() -> Options {
    Options { enable_lifecycle: true, ..Options::default() }
}

#[tokio::test]
async fn serves_each_endpoint() {
    let full = site(classic(&TestCa::new()), &lifecycle());
    let empty = site(nothing(), &Options::default());
    let (plain, html) = ("text/plain; charset=utf-8", "text/html; charset=utf-8");
    let metrics = "text/plain; version=0.0.4; charset=utf-8";
    for (router, method, path, status, content_type, allow) in [
        (&full, "GET", "/metrics", 200, metrics, ""),
        (&full, "HEAD", "/metrics", 200, metrics, ""),
        (&full, "GET", "/metrics?x=y", 200, metrics, ""),
        (&full, "GET", "/", 200, html, ""),
        (&full, "HEAD", "/", 200, html, ""),
        (&full, "GET", "/?q=relay&state=critical&page=1", 200, html, ""),
        (&empty, "GET", "/", 200, html, ""),
        (&full, "GET", "/targets/relay", 200, html, ""),
        (&full, "HEAD", "/targets/relay", 200, html, ""),
        (&full, "POST", "/targets/relay", 405, plain, "GET,HEAD"),
        (&full, "GET", "/-/healthy", 200, plain, ""),
        (&full, "GET", "/-/ready", 200, plain, ""),
        (&empty, "GET", "/-/healthy", 200, plain, ""),
        (&empty, "GET", "/-/ready", 503, plain, ""),
        (&full, "POST", "/-/reload", 500, plain, ""),
        (&full, "PUT", "/-/reload", 500, plain, ""),
        (&full, "GET", "/-/reload", 405, plain, "POST,PUT"),
        (&empty, "POST", "/-/reload", 403, plain, ""),
        (&empty, "PUT", "/-/reload", 403, plain, ""),
        (&empty, "GET", "/-/reload", 405, plain, "POST,PUT"),
        (&full, "POST", "/metrics", 405, plain, "GET,HEAD"),
        (&full, "DELETE", "/", 405, plain, "GET,HEAD"),
        (&full, "GET", "/favicon.ico", 404, plain, ""),
        (&full, "GET", "/metrics/", 404, plain, ""),
        (&full, "POST", "/nowhere", 404, plain, ""),
    ] {
        let response = ask(router, Request::builder().method(method).uri(path)).await;
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(field(&response, header::CONTENT_TYPE), content_type, "{method} {path}");
        assert_eq!(field(&response, header::ALLOW), allow, "{method} {path}");
        assert_eq!(field(&response, header::X_CONTENT_TYPE_OPTIONS), "nosniff", "{method} {path}");
        assert!(field(&response, header::CONTENT_SECURITY_POLICY).starts_with("default-src 'none'; "));
        assert_eq!(bytes(response).await.is_empty(), method == "HEAD", "{method} {path}");
    }
}

#[tokio::test]
async fn serves_below_any_prefix() {
    let check =
        async |telemetry: &str, prefix: Option<&str>, external: Option<&str>, expected: &[(&str, u16, &str)]| {
            let options = Options {
                telemetry_path: telemetry.to_owned(),
                route_prefix: prefix.map(str::to_owned),
                external_url: external.map(str::to_owned),
                ..Options::default()
            };
            let router = site(nothing(), &options);
            for (path, status, about) in expected {
                let response = get_page(&router, path).await;
                assert_eq!(response.status(), *status, "{path} with {options:?}");
                let location = field(&response, header::LOCATION).to_owned();
                let found = location + &text(response).await;
                assert!(found.contains(about), "{path} with {options:?}: {found}");
            }
        };
    let exposition = "# HELP smtp_tls_exporter_targets ";
    check("/metrics", None, None, &[("/", 200, "href=\"/metrics\""), ("/metrics", 200, exposition)]).await;
    check("stats/", None, None, &[("/", 200, "href=\"/stats\""), ("/stats", 200, exposition)]).await;
    let below = [("/", 303, "/x/y/"), ("/x/y", 303, "/x/y/"), ("/x/y/", 200, "href=\"/x/y/metrics\"")];
    check("/metrics", Some("/x/y"), None, &below).await;
    check("/metrics", Some("x/y/"), None, &[("/x/y/metrics", 200, exposition), ("/metrics", 404, "")]).await;
    check("/metrics", None, Some("https://example.com/x/y/"), &below).await;
    check("/metrics", None, Some("https://example.com"), &[("/metrics", 200, exposition)]).await;
    // Behind a proxy that strips the path.
    let stripped = [("/", 200, "href=\"/x/metrics\""), ("/metrics", 200, exposition), ("/x/metrics", 404, "")];
    check("/metrics", Some("/"), Some("https://example.com/x"), &stripped).await;
    // No path of the command line is taken as a route pattern, and none panics.
    check("", None, None, &[("/", 200, exposition), ("/-/healthy", 200, "healthy")]).await;
    check("/", Some("/x"), None, &[("/x/", 200, exposition)]).await;
    check("/-/healthy", None, None, &[("/-/healthy", 200, "healthy")]).await;
    check("/:a", None, None, &[("/:a", 200, exposition), ("/b", 404, "")]).await;
    check("/*a", None, None, &[("/*a", 200, exposition), ("/b", 404, "")]).await;
    check("/{a}", None, None, &[("/b", 404, "")]).await;
    check("/{*a", None, None, &[("/b", 404, "")]).await;
    check("/targets/{name}", Some("/{*x}"), None, &[("/b", 404, "")]).await;
    check("/ü\n", Some("/ \u{0}"), Some("\"><b>"), &[("/metrics", 404, "")]).await;
}

#[tokio::test]
async fn reports_the_outcome_of_a_reload() {
    for (answer, status, about) in [
        (Some(Ok(())), 200, ""),
        (Some(Err("targets[0].port: 0".to_owned())), 500, "targets[0].port: 0\n"),
        (None, 500, ""),
    ] {
        let (reloader, mut requests) = reloads();
        let router = router(nothing(), reloader, &lifecycle());
        let monitor = tokio::spawn(async move {
            requests.received().await.expect("a request");
            requests.start();
            if let Some(answer) = answer {
                requests.finish(answer);
            }
        });
        let response = ask(&router, Request::post("/-/reload")).await;
        assert_eq!(response.status().as_u16(), status);
        let body = text(response).await;
        assert!(body.contains(about) && body.ends_with('\n'), "{body}");
        monitor.await.expect("the monitor's stand-in");
    }
}

#[tokio::test]
async fn negotiates_format_and_coding_of_the_exposition() {
    let router = site(large(&TestCa::new(), 100), &Options::default());
    for (accept, accept_encoding, content_type, content_encoding) in [
        ("*/*", "", Format::Text, ""),
        ("*/*", "gzip", Format::Text, "gzip"),
        ("application/openmetrics-text", "identity", Format::OpenMetrics, ""),
        ("application/openmetrics-text", "gzip, br", Format::OpenMetrics, "gzip"),
    ] {
        let request = || Request::get("/metrics").header("accept", accept).header("accept-encoding", accept_encoding);
        let response = ask(&router, request()).await;
        let head = ask(&router, request().method("HEAD")).await;
        for response in [&response, &head] {
            assert_eq!(field(response, header::CONTENT_TYPE), content_type.content_type());
            assert_eq!(field(response, header::CONTENT_ENCODING), content_encoding);
            assert_eq!(field(response, header::VARY), "accept, accept-encoding");
        }
        let mut body = bytes(response).await;
        if content_encoding == "gzip" {
            let mut plain = Vec::new();
            GzDecoder::new(&*body).read_to_end(&mut plain).expect("gzip");
            assert!(plain.len() > 5 * body.len(), "{} bytes made of {}", body.len(), plain.len());
            body = plain;
        }
        let text = String::from_utf8(body).expect("text");
        assert!(text.len() > 4 * 65_536, "less than several chunks: {}", text.len());
        assert_eq!(text.matches("\nsmtp_tls_chain_valid{").count(), 100);
        assert_eq!(text.ends_with("\n# EOF\n"), content_type == Format::OpenMetrics);
        assert!(text.contains("\nprocess_threads "));
    }
}

/// A server on loopback.
struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    async fn start(router: Router, limits: Limits) -> Self {
        let listeners = bind(&listen_address("127.0.0.1:0")).await.expect("a listener");
        let address = address_of(&listeners);
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve_within(limits, listeners, router, None, stop.clone()));
        Self { address, stop, task }
    }

    async fn with_large_exposition(limits: Limits) -> Self {
        // More than what the kernel buffers of a connection.
        Self::start(site(large(&TestCa::new(), 4000), &Options::default()), limits).await
    }

    async fn connect(&self, sent: &str) -> TcpStream {
        self.connect_as(1, sent).await
    }

    /// Connects as the client with the address 127.0.0.`number`.
    async fn connect_as(&self, number: u8, sent: &str) -> TcpStream {
        self.connect_from(Ipv4Addr::new(127, 0, 0, number), sent).await
    }

    async fn connect_from(&self, client: Ipv4Addr, sent: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((client, 0).into()).expect("an address of loopback");
        let mut stream = socket.connect(self.address).await.expect("a connection");
        stream.write_all(sent.as_bytes()).await.expect("the request is sent");
        stream
    }

    /// Connects, and reads the first bytes of the answer.
    async fn begin(&self, sent: &str) -> TcpStream {
        let mut stream = self.connect(sent).await;
        stream.read_exact(&mut [0; 12]).await.expect("the start of an answer");
        stream
    }

    async fn finish(self) {
        assert!(!self.task.is_finished(), "serving goes on");
        self.stop.cancel();
        timeout(LONG, self.task).await.expect("serving ends").expect("no panic").expect("no error");
        assert!(TcpStream::connect(self.address).await.is_err(), "nothing listens any more");
    }
}

fn address_of(listeners: &[BoundListener]) -> SocketAddr {
    listeners.first().expect("a listener").local_addr().expect("an address")
}

/// Everything up to the end of the connection. A reset counts as the end.
async fn rest(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    let _ = timeout(LONG, stream.read_to_end(&mut received)).await.expect("the server closes the connection");
    String::from_utf8(received).expect("text")
}

const ASK: &str = "GET /-/healthy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
const ASK_AND_STAY: &str = "GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n";
const SCRAPE: &str = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn serves_http_1_requests() {
    let server = Server::start(site(nothing(), &Options::default()), Limits::default()).await;
    for (sent, begins, ends) in [
        (ASK, "HTTP/1.1 200 OK\r\n", "\r\n\r\nhealthy\n"),
        (SCRAPE, "HTTP/1.1 200 OK\r\n", "\r\n0\r\n\r\n"),
        ("HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\n"),
        (
            "GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\n",
            "\r\n\r\nnot found\n",
        ),
        ("EHLO x\r\n", "HTTP/1.1 400 Bad Request\r\n", "\r\n\r\n"),
    ] {
        let received = rest(&mut server.connect(sent).await).await;
        assert!(received.starts_with(begins) && received.ends_with(ends), "{sent}: {received}");
    }
    server.finish().await;
}

/// The status, and the content length if there is one, of a response that a method gets.
async fn status_and_length(server: &Server, method: &str, path: &str) -> (String, Option<String>) {
    let sent = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let received = rest(&mut server.connect(&sent).await).await;
    let (head, body) = received.split_once("\r\n\r\n").expect("the end of the head");
    assert_eq!(body.is_empty(), method == "HEAD", "{method} {path}: {received}");
    let status = head.lines().next().unwrap_or_default().to_owned();
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    (status, length)
}

#[tokio::test]
async fn head_has_the_content_length_of_get_or_none() {
    let server = Server::start(site(classic(&TestCa::new()), &Options::default()), Limits::default()).await;
    for path in ["/metrics", "/probe?target=relay"] {
        let (status, length) = status_and_length(&server, "HEAD", path).await;
        assert_eq!((&*status, length), ("HTTP/1.1 200 OK", None), "{path}");
    }
    for path in ["/probe", "/-/healthy", "/-/ready", "/-/reload", "/nowhere"] {
        let get = status_and_length(&server, "GET", path).await;
        assert!(get.1.is_some(), "{path}");
        assert_eq!(status_and_length(&server, "HEAD", path).await, get, "{path}");
    }
    server.finish().await;
}

#[tokio::test]
async fn closes_slow_connections() {
    let limits = Limits { head: SHORT, write: SHORT, drain: LONG, ..Limits::default() };
    for slow in ["", "GET /metr", ASK_AND_STAY] {
        let server = Server::with_large_exposition(limits).await;
        let mut stuck = server.connect(slow).await;
        let answer = rest(&mut server.connect(ASK).await).await;
        assert!(answer.ends_with("healthy\n"), "after {slow:?}: {answer}");
        assert!(!rest(&mut stuck).await.ends_with("\r\n0\r\n\r\n"), "after {slow:?}");
        server.finish().await;
    }
}

#[tokio::test]
async fn shutdown_finishes_requests() {
    let server = Server::with_large_exposition(Limits { drain: LONG, ..Limits::default() }).await;
    let mut idle = server.begin(ASK_AND_STAY).await;
    let mut busy = server.begin(SCRAPE).await;
    let end = tokio::spawn(server.finish());
    assert!(rest(&mut idle).await.ends_with("healthy\n"), "an idle connection is closed");
    let whole = rest(&mut busy).await;
    assert!(whole.ends_with("\r\n0\r\n\r\n"), "{} bytes", whole.len());
    end.await.expect("no panic");
}

#[tokio::test]
async fn shutdown_closes_connections_after_the_drain_time() {
    let server = Server::with_large_exposition(Limits { drain: SHORT, ..Limits::default() }).await;
    let mut stuck = server.begin(SCRAPE).await;
    server.finish().await;
    assert!(!rest(&mut stuck).await.ends_with("\r\n0\r\n\r\n"));
}

fn listen_address(text: &str) -> ListenAddress {
    text.parse().expect("an address")
}

#[tokio::test]
async fn binds_all_addresses_of_a_listen_address() {
    for (address, loopbacks) in [
        (":0", &["127.0.0.1", "::1"][..]),
        ("[::]:0", &["127.0.0.1", "::1"]),
        ("0.0.0.0:0", &["127.0.0.1"]),
        ("127.0.0.1:0", &["127.0.0.1"]),
        ("[::1]:0", &["::1"]),
        ("localhost:0", &[]),
    ] {
        let listeners = match bind(&listen_address(address)).await {
            Ok(listeners) => listeners,
            // A host without IPv6.
            Err(error) if address.starts_with('[') => {
                assert!(TcpListener::bind("[::1]:0").await.is_err(), "{error}");
                continue;
            }
            Err(error) => panic!("{address}: {error}"),
        };
        let port = address_of(&listeners).port();
        let v6 = address_of(&listeners).is_ipv6();
        for loopback in loopbacks.iter().filter(|loopback| v6 || !loopback.contains(':')) {
            TcpStream::connect((*loopback, port))
                .await
                .unwrap_or_else(|error| panic!("{address}, {loopback}: {error}"));
        }
    }
    let taken = bind(&listen_address("127.0.0.1:0")).await.expect("a listener");
    let taken = address_of(&taken);
    let error = bind(&ListenAddress::Ip(taken)).await.expect_err("the address is taken").to_string();
    assert!(error.contains(&format!(" {taken}: ")), "{error}");
    let listeners = bind(&listen_address(":0")).await.expect("a listener");
    let error = bind(&ListenAddress::All(address_of(&listeners).port())).await.expect_err("the port is taken");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let error = serve(vec![], Router::new(), None, CancellationToken::new()).await.expect_err("nothing to listen on");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn skips_addresses_of_other_hosts() {
    let loopback: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    // Reserved for documentation (RFC 5737, RFC 3849).
    let foreign = ["192.0.2.1:0", "[2001:db8::1]:0"].map(|address| address.parse().expect("an address"));
    let [v4, v6] = foreign;
    let listeners = bind_all(&[v4, loopback, v6, loopback]).expect("a listener");
    assert_eq!(listeners.len(), 1, "{listeners:?}");
    let taken = address_of(&listeners);
    assert_eq!(taken.ip(), loopback.ip());

    let error = bind_all(&foreign).expect_err("no address of this host");
    assert!(error.raw_os_error().is_some(), "the error of the system: {error}");
    let error = bind_all(&[]).expect_err("no address");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    // An address that this host has must not be skipped.
    for addresses in [&[v4, taken][..], &[loopback, taken]] {
        let error = bind_all(addresses).expect_err("the port is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{addresses:?}");
    }
}
