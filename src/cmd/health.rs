//! `health`: whether a running exporter is ready. A container image without a shell uses it as its health check.

use std::fmt;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time;

use super::cli::{Address, HealthArgs};
use super::{FAILURE, exit_with};

/// Requests `/-/ready`. The exit code is 0 if the exporter is ready and 1 if not.
pub fn command(args: &HealthArgs) -> ExitCode {
    match check(&args.address, args.timeout) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit_with(FAILURE, &error),
    }
}

fn check(address: &Address, timeout: Duration) -> Result<(), HealthError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(HealthError::Runtime)?;
    let status = runtime
        .block_on(async { time::timeout(timeout, request(address)).await.map_err(|_| HealthError::Timeout(timeout))? });
    // Does not wait for a pending name lookup.
    runtime.shutdown_background();
    match status?.status() {
        StatusCode::OK => Ok(()),
        other => Err(HealthError::NotReady(other)),
    }
}

async fn request(address: &Address) -> Result<Response<Incoming>, HealthError> {
    let stream = TcpStream::connect(address.endpoint()).await.map_err(HealthError::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(HealthError::Http)?;
    // Aborted when this function returns.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = Request::builder()
        .method(Method::GET)
        .uri(address.ready().clone())
        .header(HOST, address.authority())
        .header(CONNECTION, "close")
        .body(Body::empty())
        .map_err(HealthError::Request)?;
    sender.send_request(request).await.map_err(HealthError::Http)
}

/// Why an exporter is not ready.
#[derive(Debug)]
enum HealthError {
    /// The runtime could not be started.
    Runtime(io::Error),
    /// The name does not resolve, or nothing accepts the connection.
    Connect(io::Error),
    /// No response within this time.
    Timeout(Duration),
    /// The request could not be built.
    Request(hyper::http::Error),
    /// The response is not HTTP, or ended early.
    Http(hyper::Error),
    /// 503 until the configuration is loaded and targets are scheduled, and again during shutdown; the exporter sends
    /// no other error codes.
    NotReady(StatusCode),
}

impl fmt::Display for HealthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime(error) => write!(f, "cannot start the runtime: {error}"),
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Timeout(timeout) => write!(f, "no response within {} s", timeout.as_secs_f64()),
            Self::Request(error) => write!(f, "invalid request: {error}"),
            Self::Http(error) => write!(f, "invalid HTTP response: {error}"),
            Self::NotReady(status) => write!(f, "not ready: HTTP status {status}"),
        }
    }
}

impl std::error::Error for HealthError {}
