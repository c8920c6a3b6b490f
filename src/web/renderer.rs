//! Renders bodies while clients receive them: a blocking thread writes a body in chunks of limited size and number.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::slots::{Ended, Slot, Slots, Timeouts};
use crate::net::ClientAddress;

/// Renders a limited number of bodies at a time.
#[derive(Clone, Debug)]
pub(super) struct RenderPool {
    slots: Slots,
    /// What is rendered, in the plural, for the error.
    what: &'static str,
}

/// The error if no slot becomes free: status 503.
#[derive(Debug)]
pub(super) struct Busy(RenderPool);

impl RenderPool {
    pub(super) fn new(slots: usize, timeouts: Timeouts, what: &'static str) -> Self {
        Self { slots: Slots::new(slots, timeouts), what }
    }

    async fn slot_of(&self, client: Option<ClientAddress>) -> Result<Slot, Busy> {
        self.slots.acquire(client).await.ok_or_else(|| Busy(self.clone()))
    }

    /// The body of the response to GET or HEAD that `write` writes.
    pub(super) async fn body(
        &self,
        request: &Parts,
        write: impl FnOnce(&mut BodyWriter) -> io::Result<()> + Send + 'static,
    ) -> Result<Body, Busy> {
        if request.method == Method::HEAD {
            return Ok(unsized_body());
        }
        Ok(self.slot_of(request.extensions.get().copied()).await?.body(request, write))
    }
}

impl Slot {
    /// The body that `write` writes. It has no announced length: unless it is complete, it ends in an error, so that no
    /// client takes a part for the whole. If it takes longer than the limit, the connection is closed.
    pub(super) fn body(
        self,
        request: &Parts,
        write: impl FnOnce(&mut BodyWriter) -> io::Result<()> + Send + 'static,
    ) -> Body {
        let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
        // Closing the connection drops the body, and that ends the writer.
        let connection = request.extensions.get::<CancellationToken>().cloned().unwrap_or_default();
        self.begin(request.extensions.get().copied(), connection.clone());
        let limit = self.timeouts().body;
        let overdue = AbortOnDropHandle::new(tokio::spawn(async move {
            sleep(limit).await;
            connection.cancel();
        }));
        let slot = Arc::new(self);
        let of_writer = Arc::clone(&slot);
        tokio::task::spawn_blocking(move || {
            let mut out = BodyWriter::new(sender);
            if let Err(error) = write(&mut out).and_then(|()| out.end()) {
                tracing::debug!(%error, "response aborted");
            }
            drop(of_writer);
        });
        let chunks = stream::unfold(Some((receiver, slot, overdue)), |open| async {
            let mut open = open?;
            let chunk = match open.1.ask() {
                Ok(()) => open.0.recv().await,
                Err(Ended) => None,
            };
            match chunk {
                Some(Some(chunk)) => {
                    open.1.give();
                    Some((Ok(chunk), Some(open)))
                }
                Some(None) => None,
                None => Some((Err(io::Error::from(io::ErrorKind::UnexpectedEof)), None)),
            }
        });
        // Compression polls a body again after its end.
        Body::from_stream(chunks.fuse())
    }
}

impl IntoResponse for Busy {
    fn into_response(self) -> Response {
        let seconds = self.0.slots.timeouts().slot.as_secs().max(1);
        let retry_after = [(header::RETRY_AFTER, HeaderValue::from(seconds))];
        (StatusCode::SERVICE_UNAVAILABLE, retry_after, format!("too many concurrent {}\n", self.0.what)).into_response()
    }
}

/// An empty body of unknown length for HEAD, because `Content-Length: 0` would not be the length of the response to GET
/// (RFC 9110 §9.3.2).
pub(super) fn unsized_body() -> Body {
    Body::from_stream(stream::empty::<io::Result<Bytes>>())
}

/// Writes a body in chunks.
pub(super) struct BodyWriter {
    buffer: Vec<u8>,
    /// None is the end.
    sender: mpsc::Sender<Option<Bytes>>,
}

impl BodyWriter {
    fn new(sender: mpsc::Sender<Option<Bytes>>) -> Self {
        Self { buffer: Vec::with_capacity(CHUNK_BYTES), sender }
    }

    /// Waits until the client has received earlier chunks.
    fn send(&self, chunk: Option<Bytes>) -> io::Result<()> {
        self.sender.blocking_send(chunk).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn end(mut self) -> io::Result<()> {
        self.flush()?;
        self.send(None)
    }
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > CHUNK_BYTES {
            self.flush()?;
        }
        let piece = bytes.get(..CHUNK_BYTES).unwrap_or(bytes);
        self.buffer.extend_from_slice(piece);
        Ok(piece.len())
    }

    /// An exposition is written in millions of small pieces.
    #[inline]
    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len() + bytes.len() <= CHUNK_BYTES {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        while !bytes.is_empty() {
            let written = self.write(bytes)?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK_BYTES));
        self.send(Some(chunk.into()))
    }
}

/// Writes text to an [`io::Write`]. The cause of a `fmt::Error`, which has none, is kept.
pub(super) struct TextWriter<'a, W> {
    out: &'a mut W,
    error: Option<io::Error>,
}

impl<'a, W: Write> TextWriter<'a, W> {
    pub(super) fn write_to(out: &'a mut W, write: impl FnOnce(&mut Self) -> fmt::Result) -> io::Result<()> {
        let mut text = Self { out, error: None };
        write(&mut text).map_err(|error| text.error.unwrap_or_else(|| io::Error::other(error)))
    }
}

impl<W: Write> fmt::Write for TextWriter<'_, W> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.out.write_all(text.as_bytes()).map_err(|error| {
            self.error = Some(error);
            fmt::Error
        })
    }
}

pub(super) const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks written before the client receives the first.
const CHUNKS_AHEAD: usize = 2;
