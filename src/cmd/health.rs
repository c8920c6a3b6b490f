//! Asks a running exporter whether it is ready: what a container's health check runs, where there is no shell.

use std::fmt;
use std::io;
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

use crate::cmd::cli::Address;

/// Asks for `/-/ready`, without following anywhere else.
///
/// # Errors
/// When there is no answer within `patience`, or another one than 200.
pub fn ask(address: &Address, patience: Duration) -> Result<(), HealthError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(HealthError::Runtime)?;
    let status = runtime.block_on(async {
        time::timeout(patience, request(address)).await.map_err(|_| HealthError::Silent(patience))?
    });
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    match status?.status() {
        StatusCode::OK => Ok(()),
        other => Err(HealthError::NotReady(other)),
    }
}

async fn request(address: &Address) -> Result<Response<Incoming>, HealthError> {
    let stream = TcpStream::connect(address.endpoint()).await.map_err(HealthError::Unreachable)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(HealthError::Http)?;
    // Ends with this function.
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

/// Why an exporter does not count as ready.
#[derive(Debug)]
pub enum HealthError {
    /// This process could not be set up.
    Runtime(io::Error),
    /// Nobody listens there, or the name leads nowhere.
    Unreachable(io::Error),
    /// No answer within this time.
    Silent(Duration),
    /// The request could not be written down.
    Request(hyper::http::Error),
    /// What answers does not speak HTTP, or ended before it had answered.
    Http(hyper::Error),
    /// 503 until the config is loaded and targets are scheduled, and again while it ends; others are not the exporter's.
    NotReady(StatusCode),
}

impl fmt::Display for HealthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime(error) => write!(f, "the runtime cannot be set up: {error}"),
            Self::Unreachable(error) => write!(f, "no connection: {error}"),
            Self::Silent(patience) => write!(f, "no answer within {} s", patience.as_secs_f64()),
            Self::Request(error) => write!(f, "the request: {error}"),
            Self::Http(error) => write!(f, "no answer of an exporter: {error}"),
            Self::NotReady(status) => write!(f, "not ready: it answers {status}"),
        }
    }
}

impl std::error::Error for HealthError {}
