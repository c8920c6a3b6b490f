//! A plaintext or TLS connection that reads lines and writes with the script's delivery.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;

use super::session_log::SessionRecorder;
use crate::script::{Delivery, Termination};

/// A byte stream over a TCP socket.
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

/// A transport and the bytes that were read from it but not yet consumed.
pub(super) struct Connection<S> {
    stream: S,
    unread: Vec<u8>,
    delivery: Delivery,
}

impl<S: Transport> Connection<S> {
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
                    // Lets a client on this thread read the single byte.
                    yield_now().await;
                }
            }
        }
        self.stream.flush().await
    }

    /// The next line without its terminator; `None` at end of stream or if the line is too long.
    pub(super) async fn read_line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let text = String::from_utf8_lossy(&line);
                return Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()));
            }
            if self.unread.len() > MAX_LINE || !self.read_more().await? {
                return Ok(None);
            }
        }
    }

    /// Waits for `pause` and returns whether the client sent data meanwhile. End of stream is an error.
    pub(super) async fn client_talks_within(&mut self, pause: Duration) -> io::Result<bool> {
        if pause.is_zero() {
            return Ok(false);
        }
        tokio::select! {
            () = sleep(pause) => Ok(false),
            more = self.read_more() => match more? {
                true => Ok(true),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// The transport, and whether unread data was discarded (RFC 3207 §4.2).
    pub(super) fn into_transport(self) -> (S, bool) {
        (self.stream, !self.unread.is_empty())
    }

    pub(super) async fn terminate(self, how: Termination, recorder: &mut SessionRecorder) -> io::Result<()> {
        terminate(self.stream, how, recorder).await
    }

    /// Reads more bytes; false at end of stream. Cancel safe.
    async fn read_more(&mut self) -> io::Result<bool> {
        Ok(self.stream.read_buf(&mut self.unread).await? > 0)
    }
}

/// Terminates a connection.
pub(super) async fn terminate<S: Transport>(
    mut stream: S,
    how: Termination,
    recorder: &mut SessionRecorder,
) -> io::Result<()> {
    match how {
        Termination::Stall => return drain(&mut stream).await,
        Termination::Reset => {
            recorder.mark_closed();
            return stream.socket().set_zero_linger();
        }
        Termination::Alert(description) => {
            recorder.mark_closed();
            // RFC 8446 §5.1 and §6: an alert record of two bytes, level fatal.
            let record = [21, 3, 3, 0, 2, 2, description];
            stream.write_all(&record).await?;
        }
        Termination::Record(record) => {
            recorder.mark_closed();
            stream.write_all(record).await?;
        }
        Termination::Close => recorder.mark_closed(),
    }
    stream.shutdown().await?;
    recorder.finish();
    // Closing with unread bytes would send RST, which can overtake the last reply.
    let drained = timeout(LINGER, drain(&mut stream)).await;
    drained.unwrap_or(Ok(()))
}

async fn drain<S: Transport>(stream: &mut S) -> io::Result<()> {
    let mut sink = [0; 4096];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

/// More than the 512 bytes of RFC 5321 §4.5.3.1.4; a ClientHello sent to a plaintext server may contain no line end.
const MAX_LINE: usize = 8192;

const LINGER: Duration = Duration::from_secs(1);
