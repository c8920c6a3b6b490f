//! `health`: whether a running exporter is ready. A container image without a shell uses it as its health check.

use std::process::ExitCode;
use std::time::Duration;

use axum::body::Body;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time;

use super::cli::{Address, HealthArgs};
use super::{Error, FAILURE, exit_with, runtime_error};

/// Requests `/-/ready`. The exit code is 0 if the exporter is ready and 1 if not.
pub fn command(args: &HealthArgs) -> ExitCode {
    match check(&args.address, args.timeout) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit_with(FAILURE, &error),
    }
}

fn check(address: &Address, timeout: Duration) -> Result<(), Error> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(runtime_error)?;
    let status = runtime.block_on(async { time::timeout(timeout, request(address)).await });
    // Does not wait for a pending name lookup.
    runtime.shutdown_background();
    match status.map_err(|_| format!("no response within {} s", timeout.as_secs_f64()))?? {
        StatusCode::OK => Ok(()),
        // 503 until the configuration is loaded and targets are scheduled, and again during shutdown; the exporter sends
        // no other error codes.
        other => Err(format!("not ready: HTTP status {other}").into()),
    }
}

async fn request(address: &Address) -> Result<StatusCode, Error> {
    let stream = TcpStream::connect(address.endpoint()).await.map_err(|error| format!("cannot connect: {error}"))?;
    let not_http = |error| format!("invalid HTTP response: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(not_http)?;
    // Aborted when this function returns.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = Request::builder()
        .method(Method::GET)
        .uri(address.path())
        .header(HOST, address.authority())
        .header(CONNECTION, "close")
        .body(Body::empty())
        .map_err(|error| format!("invalid request: {error}"))?;
    Ok(sender.send_request(request).await.map_err(not_http)?.status())
}
