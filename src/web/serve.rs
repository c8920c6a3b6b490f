//! Listens, and serves connections within limits.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as BoundListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use futures_util::future::select_all;
use parking_lot::Mutex;
use rustls::ServerConfig;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::Accepted;
use super::connections::{ConnectionLimits, Connections};
use super::listen_address::ListenAddress;
use super::log_limit::LogLimit;
use crate::net::ClientAddress;
use crate::open_files::OpenFiles;

/// Listens on `address`. The listeners are nonblocking and not tied to a runtime.
///
/// # Errors
/// If a name cannot be resolved, or if an address cannot be bound.
pub async fn bind(address: &ListenAddress) -> io::Result<Vec<BoundListener>> {
    let listeners = match address {
        ListenAddress::All(port) => listen_on_all(*port).map(|listener| vec![listener]),
        ListenAddress::Ip(address) => bind_all(&[*address]),
        ListenAddress::Name(name, port) => {
            lookup_host((name.as_str(), *port)).await.and_then(|addresses| bind_all(&addresses.collect::<Vec<_>>()))
        }
    };
    listeners.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

/// Listens on all interfaces, IPv4 and IPv6.
fn listen_on_all(port: u16) -> io::Result<BoundListener> {
    // A host without IPv6. If the port is in use, IPv4 alone must not be bound.
    listen((Ipv6Addr::UNSPECIFIED, port).into()).or_else(|error| match error.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
        _ => listen((Ipv4Addr::UNSPECIFIED, port).into()),
    })
}

/// Listens on each of `addresses`. Those that this host does not have are skipped if it has another one: with IPv6
/// disabled, `localhost` may still resolve to `::1`.
pub(super) fn bind_all(addresses: &[SocketAddr]) -> io::Result<Vec<BoundListener>> {
    let (mut listeners, mut skipped) = (Vec::new(), Vec::new());
    // A hosts file may list an address of a name twice.
    for address in addresses.iter().copied().collect::<BTreeSet<_>>() {
        match listen(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_not_of_host(&error) => skipped.push((address, error)),
            Err(error) => return Err(error),
        }
    }
    if listeners.is_empty() {
        let not_found = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        return Err(skipped.into_iter().next().map_or_else(not_found, |(_, error)| error));
    }
    for (address, error) in skipped {
        tracing::warn!(%address, %error, "listen address skipped: not available on the exporter host");
    }
    Ok(listeners)
}

/// Whether the host has no such address, or does not support its family.
fn is_not_of_host(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

/// `[::]` accepts IPv4 as well, regardless of the system's default.
fn listen(address: SocketAddr) -> io::Result<BoundListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves `router` on `listeners`, with TLS if given, until the `shutdown`, then finishes the requests in progress, within limits.
///
/// # Errors
/// If there are no listeners, or if one cannot be registered with the runtime.
pub async fn serve(
    listeners: Vec<BoundListener>,
    router: Router,
    tls: Option<CurrentTls>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    serve_within(Limits::default().within_open_files(), listeners, router, tls, shutdown).await
}

/// The TLS of new connections, which may change.
pub type CurrentTls = watch::Receiver<Arc<ServerConfig>>;

/// Limits of clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) connections: ConnectionLimits,
    /// Until the TLS handshake is complete, until the head of a request is complete, and between two requests.
    pub(super) head: Duration,
    /// Between two requests with HTTP/2.
    pub(super) idle_http2: Duration,
    /// Without receiving a byte of a response.
    pub(super) write: Duration,
    /// From the shutdown until connections are closed.
    pub(super) drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: ConnectionLimits { total: 512, reserve: 64 },
            // Not a common scrape interval: kept-alive connections would be closed just as they are used again.
            head: Duration::from_secs(12),
            // More than common scrape intervals: the client is informed before such a connection is closed.
            idle_http2: Duration::from_secs(150),
            write: Duration::from_secs(30),
            // Less than the five seconds within which the process ends after SIGTERM.
            drain: Duration::from_secs(4),
        }
    }
}

impl Limits {
    /// With at most as many connections as the process may open files for.
    fn within_open_files(self) -> Self {
        let ConnectionLimits { total, reserve } = self.connections;
        let total = total.min(OpenFiles::current().http_connections());
        Self { connections: ConnectionLimits { total, reserve: reserve.min(total / 4) }, ..self }
    }
}

pub(super) async fn serve_within(
    limits: Limits,
    listeners: Vec<BoundListener>,
    router: Router,
    tls: Option<CurrentTls>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    if listeners.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no listeners"));
    }
    // A listener accepts on the runtime that it is registered with: the one that runs this.
    let listeners = listeners.into_iter().map(TcpListener::from_std).collect::<io::Result<Vec<_>>>()?;
    let open = Connections::new(limits.connections);
    let mut tasks = JoinSet::new();
    let handshakes = Arc::new(Mutex::new(LogLimit::new(HANDSHAKE_LOG_PERIOD)));
    let mut log = LogLimit::new(LOG_PERIOD);
    while let Some(accepted) = shutdown.run_until_cancelled(next(&listeners)).await {
        match accepted {
            Ok((stream, address)) => {
                let client = ClientAddress::from(address.ip());
                let connection = open.open(client);
                let tls = tls.as_ref().map(|tls| Arc::clone(&tls.borrow()));
                let (router, stop, log) = (router.clone(), shutdown.clone(), Arc::clone(&handshakes));
                let accepted = Accepted { client, connection, router, limits, stop, log };
                tasks.spawn(accepted.serve(stream, tls));
            }
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                // Most likely, no file descriptor is free; an immediate retry would spin.
                if let Some(omitted) = log.admit(&error.to_string(), Instant::now()) {
                    tracing::warn!(%error, omitted, "accepting a connection failed");
                }
                open.close_idle();
                shutdown.run_until_cancelled(sleep(ACCEPT_PAUSE)).await;
            }
        }
        while tasks.try_join_next().is_some() {}
        // Connections that are being closed must have freed their files.
        while tasks.len() > limits.connections.total + MAX_CLOSING {
            shutdown.run_until_cancelled(tasks.join_next()).await;
        }
    }
    drop(listeners);
    let ended = async { while tasks.join_next().await.is_some() {} };
    if timeout(limits.drain, ended).await.is_err() {
        tracing::info!(connections = tasks.len(), "closed connections that were still open after the drain time");
        tasks.shutdown().await;
    }
    Ok(())
}

/// The next connection on any of the listeners.
async fn next(listeners: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    let (accepted, ..) = select_all(listeners.iter().map(|listener| Box::pin(listener.accept()))).await;
    accepted
}

/// Errors of a connection that ended before it was accepted.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

const BACKLOG: i32 = 1024;
/// Connections that are being closed, besides those that are open.
const MAX_CLOSING: usize = 32;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const HANDSHAKE_LOG_PERIOD: Duration = Duration::from_secs(10);
const LOG_PERIOD: Duration = Duration::from_secs(30);
