//! Asks a running exporter whether it is ready: what a container's health check runs, where there is no shell.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper::http::uri::Scheme;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time;

/// Where an exporter serves: `http://HOST:PORT`, with the route prefix where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
    ready: Uri,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = || format!("allowed is http://HOST:PORT, with the route prefix behind it; found {text:?}");
        let uri = Uri::from_str(text).map_err(|_| allowed())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(allowed)?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        // Without a name and a password before it; what comes behind it must be a port.
        let port = match authority.strip_prefix(host).ok_or_else(allowed)? {
            "" => 80,
            port => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or_else(allowed)?,
        };
        if uri.scheme() != Some(&Scheme::HTTP) || uri.query().is_some() {
            return Err(allowed());
        }
        let ready = Uri::from_str(&format!("{}/-/ready", uri.path().trim_end_matches('/'))).map_err(|_| allowed())?;
        // A bracketed address is what a URL has; to connect there are no brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port, ready })
    }
}

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
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(HealthError::Unreachable)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(HealthError::Http)?;
    // Ends with this function.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = Request::builder()
        .method(Method::GET)
        .uri(address.ready.clone())
        .header(HOST, "localhost")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_that_of_an_exporter() {
        #[track_caller]
        fn check(text: &str, expected: Option<(&str, u16, &str)>) {
            let found = text.parse::<Address>();
            let found = found.as_ref().ok().map(|it| (it.host.as_str(), it.port, it.ready.path()));
            assert_eq!(found, expected, "{text}");
        }
        check("http://127.0.0.1:10465", Some(("127.0.0.1", 10465, "/-/ready")));
        check("http://127.0.0.1:10465/", Some(("127.0.0.1", 10465, "/-/ready")));
        check("http://[::1]:9115/smtp", Some(("::1", 9115, "/smtp/-/ready")));
        check("http://exporter.example.com/a/b/", Some(("exporter.example.com", 80, "/a/b/-/ready")));
        check("https://127.0.0.1:10465", None);
        check("127.0.0.1:10465", None);
        check("http://user:secret@127.0.0.1:10465", None);
        check("http://127.0.0.1:10465/?target=x", None);
        check("http://127.0.0.1:70000", None);
        check("http://127.0.0.1:", None);
        check("http://127.0.0.1@127.0.0.1:1", None);
        check("http://:10465", None);
        check("/metrics", None);
        check("", None);
    }
}
