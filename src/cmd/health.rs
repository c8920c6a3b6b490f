//! `health`: whether a running exporter is ready. A container image without a shell uses it as its health check.

use std::error::Error as _;
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use axum::body::Body;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONNECTION, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time;

use super::cli::{Address, HealthArgs};
use super::{Error, FAILURE, USAGE, exit_with, runtime_error};
use crate::file::{self, with_deadline};
use crate::tls_client::{Explained, ServerTrust, TlsClient};
use crate::trust::anchors::{self, Roots};
use crate::trust::client_certificate;

/// Requests `/-/ready`. The exit code is 0 if the exporter is ready, 1 if not, and 2 for invalid usage or an unusable file.
pub fn command(args: &HealthArgs) -> ExitCode {
    let files = args.clone();
    let client = match with_deadline(args.timeout, move || HealthClient::load(&files)) {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return exit_with(USAGE, &error),
        Err(error) => return exit_with(USAGE, &format_args!("reading the files failed: {error}")),
    };
    match check(&args.address, &client, args.timeout) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit_with(FAILURE, &error),
    }
}

/// How requests are made.
struct HealthClient {
    /// None for plain HTTP.
    tls: Option<TlsClient>,
    authorization: Option<HeaderValue>,
}

impl HealthClient {
    fn load(args: &HealthArgs) -> Result<Self, Error> {
        let tls = match args.address.is_https() {
            true => Some(tls_client(args)?),
            false if args.ca_file.is_some() || args.insecure || args.cert_file.is_some() => {
                return Err("--ca-file, --insecure and --cert-file require an https:// URL".into());
            }
            false => None,
        };
        let credentials = args.user.as_deref().zip(args.password_file.as_deref());
        let authorization = credentials.map(|(user, password)| authorization(user, password)).transpose()?;
        Ok(Self { tls, authorization })
    }
}

fn tls_client(args: &HealthArgs) -> Result<TlsClient, Error> {
    let trust = match &args.ca_file {
        _ if args.insecure => ServerTrust::Any,
        Some(file) => {
            ServerTrust::Roots(anchors::from_file(file).map_err(|error| format!("invalid --ca-file: {error}"))?)
        }
        None => ServerTrust::Roots(Roots::System.load()?),
    };
    let files = args.cert_file.as_deref().zip(args.key_file.as_deref());
    let certificate = files.map(|(cert, key)| {
        client_certificate::load(cert, key).map_err(|error| {
            let (flag, file) = if error.is_of_key() { ("--key-file", key) } else { ("--cert-file", cert) };
            format!("invalid {flag}: {}: {error}", file.display())
        })
    });
    Ok(TlsClient::new(trust, certificate.transpose()?)?)
}

/// The value of the Authorization field (RFC 7617 §2).
fn authorization(user: &str, password_file: &Path) -> Result<HeaderValue, Error> {
    let read = file::read(password_file, MAX_PASSWORD);
    let password = read.map_err(|error| format!("invalid --password-file: {}: {error}", password_file.display()))?;
    let password = password.strip_suffix(b"\n").unwrap_or(&password);
    let password = password.strip_suffix(b"\r").unwrap_or(password);
    let credentials = [user.as_bytes(), b":", password].concat();
    let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(credentials)))?;
    value.set_sensitive(true);
    Ok(value)
}

fn check(address: &Address, client: &HealthClient, timeout: Duration) -> Result<(), Error> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(runtime_error)?;
    let status = runtime.block_on(async { time::timeout(timeout, request(address, client)).await });
    // Does not wait for a pending name lookup.
    runtime.shutdown_background();
    match status.map_err(|_| format!("no response within {} s", timeout.as_secs_f64()))?? {
        StatusCode::OK => Ok(()),
        // Servers answer so to plain HTTP at a port with TLS, this exporter too.
        status @ StatusCode::BAD_REQUEST if client.tls.is_none() => {
            Err(format!("not ready: HTTP status {status}; if the port uses TLS, use a URL that begins with https://")
                .into())
        }
        // The exporter answers with 503 until the configuration is loaded and targets are scheduled, and again during shutdown,
        // and with 404 to another route prefix. A proxy in front of it may send anything.
        other => Err(format!("not ready: HTTP status {other}").into()),
    }
}

async fn request(address: &Address, client: &HealthClient) -> Result<StatusCode, Error> {
    let (host, port) = address.endpoint();
    let stream = TcpStream::connect((host, port)).await.map_err(|error| format!("cannot connect: {error}"))?;
    let request = Request::builder()
        .method(Method::GET)
        .uri(address.path())
        .header(HOST, address.authority())
        .header(CONNECTION, "close")
        .body(Body::empty());
    let mut request = request.map_err(|error| format!("invalid request: {error}"))?;
    request.headers_mut().extend(client.authorization.clone().map(|value| (AUTHORIZATION, value)));
    match &client.tls {
        Some(tls) => {
            let stream = tls.connect(host, stream).await;
            send(request, stream.map_err(|error| format!("TLS handshake failed: {}", Explained(&error)))?).await
        }
        None => send(request, stream).await,
    }
}

async fn send<S>(request: Request<Body>, stream: S) -> Result<StatusCode, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // In TLS 1.3, a server rejects a client certificate after the handshake.
    let failed = |error: hyper::Error| match error.source() {
        Some(source) => no_response(&Explained(source)),
        None => no_response(&error),
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Aborted when this function returns.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    Ok(sender.send_request(request).await.map_err(failed)?.status())
}

fn no_response(error: &dyn Display) -> String {
    format!("invalid HTTP response: {error}")
}

/// Bytes of a password file.
const MAX_PASSWORD: u64 = 4096;
