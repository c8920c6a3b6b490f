//! An address where connecting times out.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::network::on_fresh_network;

/// A listener that answers no SYN, as a dropping firewall would.
///
/// Its accept queue is full and never emptied: Linux then drops SYNs without an answer
/// (`net.ipv4.tcp_abort_on_overflow` is 0 unless somebody changed it; with 1 they are reset, and `start` fails).
#[derive(Debug)]
pub struct Blackhole {
    addr: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Blackhole {
    /// Opens one. Takes the 150 ms in which a connection attempt has to stay unanswered.
    ///
    /// # Errors
    /// Where the kernel keeps answering (`Unsupported`), and whatever it says to binding.
    pub async fn start() -> io::Result<Self> {
        let listener = on_fresh_network(async |network| {
            let socket = TcpSocket::new_v4()?;
            socket.bind((network.host(0), 0).into())?;
            socket.listen(0)
        })
        .await?;
        let addr = listener.local_addr()?;
        let mut queued = Vec::new();
        while queued.len() < ENOUGH {
            match timeout(SILENCE, TcpStream::connect(addr)).await {
                Ok(stream) => queued.push(stream?),
                Err(_) => {
                    return Ok(Self { addr, _listener: listener, _queued: queued });
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::Unsupported, "connections are answered beyond the backlog"))
    }

    /// Where connecting times out.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

const SILENCE: Duration = Duration::from_millis(150);

/// A backlog of 0 queues one connection.
const ENOUGH: usize = 8;
