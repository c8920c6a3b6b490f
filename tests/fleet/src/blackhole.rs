//! An address where connection attempts time out.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::network::on_fresh_network;

/// A listener that answers no SYN, like a firewall that drops packets.
///
/// Its accept queue is full and is never drained, so Linux drops further SYNs. This requires the default
/// `net.ipv4.tcp_abort_on_overflow=0`; with 1 they are reset, and `start` fails.
#[derive(Debug)]
pub struct Blackhole {
    addr: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Blackhole {
    /// Creates a black hole. Takes at least the 150 ms after which a connection attempt counts as unanswered.
    ///
    /// # Errors
    /// `Unsupported` if the kernel keeps answering; otherwise the error from binding or connecting.
    pub async fn start() -> io::Result<Self> {
        let listener = on_fresh_network(async |network| {
            let socket = TcpSocket::new_v4()?;
            socket.bind((network.host(0), 0).into())?;
            socket.listen(0)
        })
        .await?;
        let addr = listener.local_addr()?;
        let mut queued = Vec::new();
        while queued.len() < MAX_ATTEMPTS {
            match timeout(ATTEMPT_TIMEOUT, TcpStream::connect(addr)).await {
                Ok(stream) => queued.push(stream?),
                Err(_) => {
                    return Ok(Self { addr, _listener: listener, _queued: queued });
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::Unsupported, "connections are accepted beyond the backlog"))
    }

    /// The address where connection attempts time out.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(150);

/// More than needed: a backlog of 0 queues one connection.
const MAX_ATTEMPTS: usize = 8;
