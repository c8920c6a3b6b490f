//! Sockets for the DNS library that remember why one could not be used: the library does not pass that on.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hickory_resolver::net::runtime::{DnsUdpSocket, RuntimeProvider, TokioHandle, TokioRuntimeProvider, TokioTime};
use parking_lot::Mutex;
use tokio::net::UdpSocket;

use crate::net::has_route;
use crate::observation::LocalFailure;

/// The runtime and sockets of the client of one name server. UDP sockets are not connected, so that their errors come
/// from this host.
#[derive(Clone, Default)]
pub(super) struct Provider {
    tokio: TokioRuntimeProvider,
    pub(super) last_failure: LastFailure,
}

/// The last failure of a UDP socket.
#[derive(Clone, Debug, Default)]
pub(super) struct LastFailure(Arc<Mutex<Option<LocalFailure>>>);

impl LastFailure {
    pub(super) fn get(&self) -> Option<LocalFailure> {
        self.0.lock().clone()
    }

    fn set(&self, error: &io::Error, server: SocketAddr) {
        *self.0.lock() = LocalFailure::from_io(error, || has_route(server.ip()));
    }
}

/// A UDP socket.
pub(super) struct Socket {
    socket: UdpSocket,
    last_failure: LastFailure,
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

    fn connect_tcp(&self, server: SocketAddr, local: Option<SocketAddr>, limit: Option<Duration>) -> Bound<Self::Tcp> {
        self.tokio.connect_tcp(server, local, limit)
    }

    fn bind_udp(&self, local: SocketAddr, server: SocketAddr) -> Bound<Socket> {
        let last_failure = self.last_failure.clone();
        Box::pin(async move {
            let bound = UdpSocket::bind(local).await.inspect_err(|error| last_failure.set(error, server));
            bound.map(|socket| Socket { socket, last_failure })
        })
    }
}

impl DnsUdpSocket for Socket {
    type Time = TokioTime;

    fn poll_recv_from(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        DnsUdpSocket::poll_recv_from(&self.socket, cx, buffer)
    }

    fn poll_send_to(&self, cx: &mut Context<'_>, bytes: &[u8], server: SocketAddr) -> Poll<io::Result<usize>> {
        let sent = self.socket.poll_send_to(cx, bytes, server);
        sent.map_err(|error| {
            self.last_failure.set(&error, server);
            error
        })
    }
}
