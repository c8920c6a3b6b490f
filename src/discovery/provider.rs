//! Sockets for the DNS library that remember why one could not be used: the library does not pass that on.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::net::runtime::{DnsUdpSocket, RuntimeProvider, TokioHandle, TokioRuntimeProvider, TokioTime};
use parking_lot::Mutex;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::sync::watch;

use crate::net::has_route;
use crate::observation::LocalFailure;

/// The runtime and sockets of the clients of one name server.
#[derive(Clone)]
pub(super) struct Provider {
    tokio: TokioRuntimeProvider,
    /// With the interface of a link-local address, which the library does not know.
    server: SocketAddr,
    local_failure: Arc<Mutex<Option<LocalFailure>>>,
    /// Changes when the server refuses a packet, or the network does not deliver it.
    pub(super) unreachable: watch::Sender<()>,
}

impl Provider {
    pub(super) fn new(server: SocketAddr) -> Self {
        Self {
            tokio: TokioRuntimeProvider::default(),
            server,
            local_failure: Arc::default(),
            unreachable: watch::Sender::new(()),
        }
    }

    /// The failure of this host, unless a later query could be sent.
    pub(super) fn local_failure(&self) -> Option<LocalFailure> {
        self.local_failure.lock().clone()
    }

    /// An error before a packet was sent is one of this host, if it looks like one.
    fn failed_to_send(&self, error: &io::Error) {
        if !self.note_local(error) {
            self.set_unreachable();
        }
    }

    /// Whether this host failed.
    fn note_local(&self, error: &io::Error) -> bool {
        let local = LocalFailure::from_io(error, || has_route(self.server.ip()));
        let is_local = local.is_some();
        if is_local {
            *self.local_failure.lock() = local;
        }
        is_local
    }

    fn set_unreachable(&self) {
        self.unreachable.send_replace(());
    }

    /// The address of the server as the library knows it.
    fn known_address(&self) -> SocketAddr {
        SocketAddr::new(self.server.ip(), self.server.port())
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("server", &self.server).finish_non_exhaustive()
    }
}

/// A UDP socket. It is connected, so that the kernel drops packets from other addresses and reports that a packet was
/// refused.
pub(super) struct Socket {
    socket: UdpSocket,
    provider: Provider,
}

type Bound<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl RuntimeProvider for Provider {
    type Handle = TokioHandle;
    type Timer = TokioTime;
    type Udp = Socket;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> TokioHandle {
        self.tokio.create_handle()
    }

    fn connect_tcp(&self, _: SocketAddr, local: Option<SocketAddr>, limit: Option<Duration>) -> Bound<Self::Tcp> {
        self.tokio.connect_tcp(self.server, local, limit)
    }

    fn bind_udp(&self, local: SocketAddr, _: SocketAddr) -> Bound<Socket> {
        let provider = self.clone();
        Box::pin(async move {
            // The library chooses the port, and chooses another one if it is in use.
            let socket = UdpSocket::bind(local).await.inspect_err(|error| {
                provider.note_local(error);
            })?;
            socket.connect(provider.server).await.inspect_err(|error| provider.failed_to_send(error))?;
            *provider.local_failure.lock() = None;
            Ok(Socket { socket, provider })
        })
    }
}

#[async_trait]
impl DnsUdpSocket for Socket {
    type Time = TokioTime;

    /// Unlike `poll_recv`, `recv` of tokio returns errors that the kernel reports while it waits.
    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let received = self.socket.recv(buffer).await;
        received.map(|length| (length, self.provider.known_address())).inspect_err(|_| self.provider.set_unreachable())
    }

    fn poll_recv_from(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut buffer = ReadBuf::new(buffer);
        self.socket.poll_recv(cx, &mut buffer).map(|received| {
            let received = received.map(|()| (buffer.filled().len(), self.provider.known_address()));
            received.inspect_err(|_| self.provider.set_unreachable())
        })
    }

    fn poll_send_to(&self, cx: &mut Context<'_>, bytes: &[u8], _: SocketAddr) -> Poll<io::Result<usize>> {
        self.socket.poll_send(cx, bytes).map_err(|error| {
            self.provider.failed_to_send(&error);
            error
        })
    }
}
