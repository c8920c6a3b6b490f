//! Listens, and serves connections within bounds.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::stall::WriteBounded;

/// Listens at `address`: `IP:PORT`, `NAME:PORT` (all its addresses), or `:PORT` (everywhere, IPv4 and IPv6).
///
/// # Errors
/// When the address is malformed, cannot be resolved or cannot be listened at.
pub async fn bind(address: &str) -> io::Result<Vec<TcpListener>> {
    let explain = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen at {address}: {error}"));
    let listeners = match address.strip_prefix(':') {
        Some(port) => {
            let port = port.parse().map_err(|_| explain(io::Error::new(io::ErrorKind::InvalidInput, "not a port")))?;
            listen((Ipv6Addr::UNSPECIFIED, port).into())
                // A machine without IPv6. One where the port is taken must not end up with half of it.
                .or_else(|error| match error.kind() {
                    io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
                    _ => listen((Ipv4Addr::UNSPECIFIED, port).into()),
                })
                .map(|listener| vec![listener])
        }
        None => lookup_host(address).await.and_then(|addresses| addresses.map(listen).collect()),
    };
    listeners.map_err(explain)
}

/// `[::]` takes IPv4 as well, whatever the system's default.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves `router` on `listeners` until `shutdown` is ready; requests that are under way then are finished, in bounds.
///
/// # Errors
/// When there is nothing to listen on.
pub async fn serve(listeners: Vec<TcpListener>, router: Router, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    serve_within(Bounds::default(), listeners, router, shutdown).await
}

/// What a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Connections at the same time; further ones wait in the kernel.
    pub(super) connections: usize,
    /// Until a request's head is complete, and between two requests.
    pub(super) head: Duration,
    /// Without taking a byte of an answer.
    pub(super) stall: Duration,
    /// Until connections are cut once the end has come.
    pub(super) drain: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 512,
            // Not a default scrape interval: a connection that is kept alive would end just as it is used again.
            head: Duration::from_secs(12),
            stall: Duration::from_secs(30),
            // Less than the five seconds within which the process ends after SIGTERM.
            drain: Duration::from_secs(4),
        }
    }
}

pub(super) async fn serve_within(
    bounds: Bounds,
    listeners: Vec<TcpListener>,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    if listeners.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "nothing to listen on"));
    }
    let slots = Arc::new(Semaphore::new(bounds.connections));
    let (stop, stopping) = watch::channel(());
    let mut acceptors = JoinSet::new();
    for listener in listeners {
        acceptors.spawn(accept(listener, router.clone(), Arc::clone(&slots), Stop(stopping.clone()), bounds));
    }
    shutdown.await;
    drop(stop);
    while acceptors.join_next().await.is_some() {}
    Ok(())
}

/// Accepts connections and owns them.
async fn accept(listener: TcpListener, router: Router, slots: Arc<Semaphore>, stop: Stop, bounds: Bounds) {
    let mut connections = JoinSet::new();
    while let Some((slot, accepted)) = stop.clone().or(next(&listener, &slots)).await {
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok(stream) => {
                let connection = connection(stream, router.clone(), stop.clone(), bounds);
                connections.spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                // Most likely descriptors have run out; trying at once again would spin.
                tracing::warn!(%error, "cannot accept connections");
                stop.clone().or(sleep(ACCEPT_PAUSE)).await;
            }
        }
    }
    drop(listener);
    let drained = timeout(bounds.drain, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::info!(connections = connections.len(), "cut connections that did not end in time");
        connections.shutdown().await;
    }
}

/// The next connection, once there is a slot for it.
async fn next(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (Option<tokio::sync::OwnedSemaphorePermit>, io::Result<TcpStream>) {
    // The semaphore is never closed.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    (slot, listener.accept().await.map(|(stream, _)| stream))
}

async fn connection(stream: TcpStream, router: Router, stop: Stop, bounds: Bounds) {
    // Answers are written in large pieces; the last one should not wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(WriteBounded::new(stream, bounds.stall));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(MAX_BUFFER);
    let mut connection = pin!(builder.serve_connection(io, TowerToHyperService::new(router)));
    let ended = match stop.or(connection.as_mut()).await {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// Errors of a connection that ended before it was accepted.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Tells that the end has come: its sender is gone.
#[derive(Clone)]
struct Stop(watch::Receiver<()>);

impl Stop {
    /// What `work` gives, or none where the end comes first.
    async fn or<T>(mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            _ = self.0.changed() => None,
            done = work => Some(done),
        }
    }
}

/// How many connections the kernel keeps waiting.
const BACKLOG: i32 = 1024;
/// How long accepting rests after an error.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// The longest head of a request, and what is gathered of an answer, in bytes.
const MAX_BUFFER: usize = 64 * 1024;
