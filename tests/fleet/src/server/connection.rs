//! A connection, plain or inside TLS, that reads lines and writes as the script delivers.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;

use super::session_log::Visit;
use crate::script::{Delivery, Termination};

/// A byte stream with a TCP socket below it.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin {
    fn socket(&self) -> &TcpStream;
}

impl Transport for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Transport for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A transport, with what was read from it and not yet used.
pub(super) struct Wire<S> {
    stream: S,
    unread: Vec<u8>,
    delivery: Delivery,
}

impl<S: Transport> Wire<S> {
    pub(super) fn new(stream: S, delivery: Delivery) -> Self {
        Self { stream, unread: Vec::new(), delivery }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.delivery {
            Delivery::Whole => self.stream.write_all(bytes).await?,
            Delivery::ByteByByte => {
                for byte in bytes.chunks(1) {
                    self.stream.write_all(byte).await?;
                    self.stream.flush().await?;
                    // Lets a client on this thread read the byte by itself.
                    yield_now().await;
                }
            }
        }
        self.stream.flush().await
    }

    /// The next line without its end; `None` once the client has ended, or goes on without ending the line.
    pub(super) async fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line);
                return Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()));
            }
            if self.unread.len() > LONGEST_LINE || !self.more().await? {
                return Ok(None);
            }
        }
    }

    /// Waits for `pause`, and says whether the client talked in the meantime. A client that ends is an error.
    pub(super) async fn overhears(&mut self, pause: Duration) -> io::Result<bool> {
        if pause.is_zero() {
            return Ok(false);
        }
        tokio::select! {
            () = sleep(pause) => Ok(false),
            more = self.more() => match more? {
                true => Ok(true),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// The transport, and whether the client had sent more than was read; that is forgotten (RFC 3207 §4.2).
    pub(super) fn into_transport(self) -> (S, bool) {
        (self.stream, !self.unread.is_empty())
    }

    pub(super) async fn end(self, how: Termination, visit: &mut Visit) -> io::Result<()> {
        end(self.stream, how, visit).await
    }

    /// Reads on; false at the client's end. Loses nothing when dropped before it is done.
    async fn more(&mut self) -> io::Result<bool> {
        Ok(self.stream.read_buf(&mut self.unread).await? > 0)
    }
}

/// Ends a connection.
pub(super) async fn end<S: Transport>(mut stream: S, how: Termination, visit: &mut Visit) -> io::Result<()> {
    match how {
        Termination::Stall => return drain(&mut stream).await,
        Termination::Reset => {
            visit.leave();
            return stream.socket().set_zero_linger();
        }
        Termination::Alert(description) => {
            visit.leave();
            // RFC 8446 §5.1 and §6: an alert record of two octets, level fatal.
            let record = [21, 3, 3, 0, 2, 2, description];
            stream.write_all(&record).await?;
        }
        Termination::Record(record) => {
            visit.leave();
            stream.write_all(record).await?;
        }
        Termination::Close => visit.leave(),
    }
    stream.shutdown().await?;
    visit.finish();
    // Closing over unread bytes would send RST, which can overtake the last reply.
    let drained = timeout(LINGER, drain(&mut stream)).await;
    drained.unwrap_or(Ok(()))
}

async fn drain<S: Transport>(stream: &mut S) -> io::Result<()> {
    let mut sink = [0; 4096];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

/// Beyond RFC 5321 §4.5.3.1.4's 512 octets; a ClientHello sent in clear may have no line end.
const LONGEST_LINE: usize = 8192;

const LINGER: Duration = Duration::from_secs(1);
