//! The client's side of an SMTP dialogue (RFC 5321) over any stream.

use std::io;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

mod phrases;
pub mod reply;
pub mod reply_rules;

use reply::{Reply, ReplyDecoder, ReplyError};

/// A stream that carries SMTP, and the bytes that were read from it but not parsed yet.
#[derive(Debug)]
pub(super) struct Dialogue<S> {
    stream: S,
    unread: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, unread: Vec::with_capacity(READ_SIZE) }
    }

    /// Reads a complete reply. Nothing is sent until its last line: servers delay lines of a greeting to detect clients
    /// that do not wait (RFC 5321 §4.3.1).
    pub(super) async fn reply(&mut self) -> Result<Reply, SmtpError> {
        let mut decoder = ReplyDecoder::default();
        loop {
            let (taken, reply) = decoder.decode(&self.unread)?;
            self.unread.drain(..taken);
            if let Some(reply) = reply {
                return Ok(reply);
            }
            self.wait_for_more().await?;
        }
    }

    /// Waits for the first bytes of a reply.
    pub(super) async fn wait_for_bytes(&mut self) -> Result<(), SmtpError> {
        if self.unread.is_empty() { self.wait_for_more().await } else { Ok(()) }
    }

    async fn wait_for_more(&mut self) -> Result<(), SmtpError> {
        if self.stream.read_buf(&mut self.unread).await? == 0 { Err(SmtpError::Eof) } else { Ok(()) }
    }

    /// Sends one command line and reads its reply. A 421 that was received before is the reply to any command (RFC 5321
    /// §3.8), and nothing is sent.
    ///
    /// # Errors
    /// Also if other bytes were received before the command was sent, since replies could then not be assigned to commands.
    pub(super) async fn command(&mut self, line: &str) -> Result<Reply, SmtpError> {
        if !self.unread.is_empty() {
            return match ReplyDecoder::default().decode(&self.unread) {
                Ok((_, Some(reply))) if reply.code == 421 => Ok(reply),
                _ => Err(SmtpError::EarlyReply(self.unread.len())),
            };
        }
        let sent = self.send(line).await;
        match (self.reply().await, sent) {
            // If the peer replied and closed, so that the write failed, its reply or alert is the better evidence.
            (Ok(reply), _) => Ok(reply),
            (Err(SmtpError::Io(read)), _) if is_tls_error(&read) => Err(SmtpError::Io(read)),
            (Err(SmtpError::Io(_) | SmtpError::Eof), Err(write)) if !is_tls_error(&write) => Err(SmtpError::Io(write)),
            (Err(read), _) => Err(read),
        }
    }

    async fn send(&mut self, line: &str) -> io::Result<()> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.stream.flush().await
    }

    /// Sends QUIT, reads its reply and closes the stream (RFC 5321 §4.1.1.10), within `timeout`. Errors are ignored.
    pub(super) async fn quit(mut self, timeout: Duration) {
        let quit = async {
            self.command("QUIT").await.ok()?;
            self.stream.shutdown().await.ok()
        };
        let _ = tokio::time::timeout(timeout, quit).await;
    }

    /// Returns the stream for the TLS handshake.
    ///
    /// # Errors
    /// If bytes follow the 220 reply to STARTTLS. The client sends first after it, so such bytes are a fault or an
    /// injection (RFC 3207 §4.2 and §6).
    pub(super) async fn into_silent_stream(mut self) -> Result<S, SmtpError> {
        if !self.unread.is_empty() {
            return Err(SmtpError::BytesBeforeTls(self.unread.len()));
        }
        match self.stream.read(&mut [0]).now_or_never() {
            None => Ok(self.stream),
            Some(Ok(0)) => Err(SmtpError::Eof),
            Some(Ok(bytes)) => Err(SmtpError::BytesBeforeTls(bytes)),
            Some(Err(error)) => Err(error.into()),
        }
    }
}

/// Whether the TLS library rejects what the peer sent, in contrast to an error of the connection.
fn is_tls_error(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData || error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

#[derive(Debug)]
pub(super) enum SmtpError {
    /// The stream failed; inside TLS, an alert can be the cause.
    Io(io::Error),
    /// The peer closed the connection.
    Eof,
    /// The bytes are not a valid reply.
    Reply(ReplyError),
    /// This many bytes were received between the 220 reply to STARTTLS and TLS.
    BytesBeforeTls(usize),
    /// This many bytes were received before the command was sent.
    EarlyReply(usize),
}

impl From<io::Error> for SmtpError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Eof } else { Self::Io(error) }
    }
}

impl From<ReplyError> for SmtpError {
    fn from(error: ReplyError) -> Self {
        Self::Reply(error)
    }
}

const READ_SIZE: usize = 1024;
