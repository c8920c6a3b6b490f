//! The client's side of an SMTP dialogue (RFC 5321) over any stream.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

pub mod reply;

use reply::{Reply, ReplyDecoder, ReplyError};

/// A stream on which SMTP is spoken, with what was read from it and not used yet.
#[derive(Debug)]
pub(super) struct Dialogue<S> {
    stream: S,
    unread: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, unread: Vec::with_capacity(READ_SIZE) }
    }

    /// Waits for a whole reply. A greeting may take its time between its lines, so nothing is sent meanwhile.
    pub(super) async fn reply(&mut self) -> Result<Reply, SmtpError> {
        let mut decoder = ReplyDecoder::default();
        loop {
            let (taken, reply) = decoder.decode(&self.unread)?;
            self.unread.drain(..taken);
            if let Some(reply) = reply {
                return Ok(reply);
            }
            if self.stream.read_buf(&mut self.unread).await? == 0 {
                return Err(SmtpError::Eof);
            }
        }
    }

    /// Sends one command line and waits for its reply.
    ///
    /// A server that has spoken already answers something that was not asked: replies would be taken for each other's.
    pub(super) async fn command(&mut self, line: &str) -> Result<Reply, SmtpError> {
        if !self.unread.is_empty() {
            return Err(SmtpError::OutOfTurn(self.unread.len()));
        }
        let sent = self.send(line).await;
        match (self.reply().await, sent) {
            // A peer that said why and closed made the write fail: what it said is worth more.
            (Ok(reply), _) => Ok(reply),
            (Err(SmtpError::Io(_) | SmtpError::Eof), Err(write)) if !is_tls_error(&write) => Err(SmtpError::Io(write)),
            (Err(read), _) => Err(read),
        }
    }

    async fn send(&mut self, line: &str) -> io::Result<()> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.stream.flush().await
    }

    /// Leaves politely (RFC 5321 §4.1.1.10): QUIT, its reply, end of stream. For `patience` at most; nothing depends on it.
    pub(super) async fn quit(mut self, patience: Duration) {
        let farewell = async {
            self.command("QUIT").await.ok()?;
            self.stream.shutdown().await.ok()
        };
        // A peer that does not answer a QUIT is simply left.
        let _ = tokio::time::timeout(patience, farewell).await;
    }

    /// Gives the stream back where not a byte has come that belongs to nothing: after the 220 to STARTTLS the client
    /// speaks first, so what lies here was injected or is a fault (RFC 3207 §4.2 and §6).
    pub(super) async fn into_silent_stream(mut self) -> Result<S, SmtpError> {
        if !self.unread.is_empty() {
            return Err(SmtpError::Unexpected(self.unread.len()));
        }
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let pending = poll_fn(|cx| {
            Poll::Ready(match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => Ok(true),
                Poll::Ready(result) => result.map(|()| false),
            })
        })
        .await?;
        match (pending, buffer.filled().len()) {
            (true, _) => Ok(self.stream),
            (false, 0) => Err(SmtpError::Eof),
            (false, bytes) => Err(SmtpError::Unexpected(bytes)),
        }
    }
}

fn is_tls_error(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

/// Why no reply was had.
#[derive(Debug)]
pub(super) enum SmtpError {
    /// The stream failed; inside TLS the cause may be an alert.
    Io(io::Error),
    /// The peer closed.
    Eof,
    /// What came is no reply.
    Reply(ReplyError),
    /// This many bytes came between the 220 to STARTTLS and TLS.
    Unexpected(usize),
    /// This many bytes came before a command that they might answer.
    OutOfTurn(usize),
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
