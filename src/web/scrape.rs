//! Answers scrapes: a blocking thread writes the exposition directly into the body, in chunks.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use super::FleetSource;
use super::negotiate::{self, Coding};
use crate::metrics::{Format, Process, encode};

pub(super) struct Scraper {
    source: Arc<dyn FleetSource>,
    slots: Arc<Semaphore>,
    patience: Patience,
}

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// To receive one chunk.
    pub(super) chunk: Duration,
    /// To receive the whole body.
    pub(super) body: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { chunk: Duration::from_secs(30), body: Duration::from_secs(120) }
    }
}

impl Scraper {
    pub(super) fn new(source: Arc<dyn FleetSource>, patience: Patience) -> Self {
        Self { source, slots: Arc::new(Semaphore::new(CONCURRENT_SCRAPES)), patience }
    }

    /// The response to GET or HEAD; status 503 if too many scrapes are in progress.
    pub(super) fn answer(&self, method: &Method, headers: &HeaderMap) -> Response {
        let format = negotiate::format(headers);
        let coding = negotiate::coding(headers);
        if method == Method::HEAD {
            return head(format, coding);
        }
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], "too many concurrent scrapes\n")
                .into_response();
        };
        exposition(self.body(format, coding, slot), format, coding)
    }

    /// The body as it is written. `slot` is held until it is complete or aborted.
    fn body(&self, format: Format, coding: Coding, slot: OwnedSemaphorePermit) -> Body {
        let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
        let source = Arc::clone(&self.source);
        let runtime = Handle::current();
        let patience = self.patience;
        tokio::task::spawn_blocking(move || {
            let started = Instant::now();
            let chunks = Chunks { sender, runtime, patience, give_up: started + patience.body };
            if let Err(error) = write(&*source, format, coding, chunks) {
                tracing::debug!(%error, "scrape aborted");
            }
            drop(slot);
        });
        // A body without an announced end is aborted, so that no client takes a part for the whole.
        Body::from_stream(stream::unfold(Some(receiver), |receiver| async {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(Part::Chunk(chunk)) => Some((Ok(chunk), Some(receiver))),
                Some(Part::End) => None,
                None => Some((Err(io::Error::from(io::ErrorKind::UnexpectedEof)), None)),
            }
        }))
    }
}

pub(super) fn exposition(body: Body, format: Format, coding: Coding) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(format.content_type()));
    headers.insert(header::VARY, header::HeaderValue::from_static("accept, accept-encoding"));
    if coding == Coding::Gzip {
        headers.insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
    }
    response
}

/// The headers of an exposition that is not rendered. An empty body of unknown length, because `Content-Length: 0` would
/// not be the length of the response to GET (RFC 9110 §9.3.2).
pub(super) fn head(format: Format, coding: Coding) -> Response {
    exposition(Body::from_stream(stream::empty::<io::Result<Bytes>>()), format, coding)
}

fn write(source: &dyn FleetSource, format: Format, coding: Coding, chunks: Chunks) -> io::Result<()> {
    let (fleet, process) = (source.fleet(), Process::read());
    let now = SystemTime::now();
    match coding {
        Coding::Identity => {
            let mut out = Buffered::new(chunks);
            out.outcome(|out| encode(fleet, process, now, format, out))?;
            out.sink.end()
        }
        Coding::Gzip => {
            // Level 6 takes several times as long as rendering, and saves only a tenth of the size.
            let mut out = Buffered::new(GzEncoder::new(Buffered::new(chunks), Compression::fast()));
            out.outcome(|out| encode(fleet, process, now, format, out))?;
            let mut compressed = out.sink.finish()?;
            compressed.flush()?;
            compressed.sink.end()
        }
    }
}

/// Collects small writes.
struct Buffered<S> {
    buffer: Vec<u8>,
    sink: S,
    error: Option<io::Error>,
}

/// Takes the content of a buffer, or the buffer itself.
trait Sink {
    fn take(&mut self, buffer: &mut Vec<u8>) -> io::Result<()>;
}

impl<S: Sink> Buffered<S> {
    fn new(sink: S) -> Self {
        Self { buffer: Vec::with_capacity(CHUNK_BYTES), sink, error: None }
    }

    /// Runs `write` and flushes the buffer. The cause of a `fmt::Error`, which has none, is kept.
    fn outcome(&mut self, write: impl FnOnce(&mut Self) -> fmt::Result) -> io::Result<()> {
        let written = write(self);
        match self.error.take() {
            Some(error) => Err(error),
            None => written.map_err(io::Error::other).and_then(|()| self.hand_on()),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len() + bytes.len() > CHUNK_BYTES {
            self.hand_on()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn hand_on(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() { Ok(()) } else { self.sink.take(&mut self.buffer) }
    }
}

impl<S: Sink> fmt::Write for Buffered<S> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes()).map_err(|error| {
            self.error = Some(error);
            fmt::Error
        })
    }
}

impl<S: Sink> Write for Buffered<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hand_on()
    }
}

impl Sink for GzEncoder<Buffered<Chunks>> {
    fn take(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        self.write_all(buffer)?;
        buffer.clear();
        Ok(())
    }
}

enum Part {
    Chunk(Bytes),
    End,
}

/// The blocking side of a body.
struct Chunks {
    sender: mpsc::Sender<Part>,
    runtime: Handle,
    patience: Patience,
    give_up: Instant,
}

impl Sink for Chunks {
    fn take(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let full = std::mem::replace(buffer, Vec::with_capacity(CHUNK_BYTES));
        self.send(Part::Chunk(full.into()))
    }
}

impl Chunks {
    fn end(&self) -> io::Result<()> {
        self.send(Part::End)
    }

    /// Waits, within limits, until the client has received earlier parts.
    fn send(&self, part: Part) -> io::Result<()> {
        use mpsc::error::{SendTimeoutError, TrySendError};
        let part = match self.sender.try_send(part) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(io::ErrorKind::BrokenPipe.into()),
            Err(TrySendError::Full(part)) => part,
        };
        let patience = self.patience.chunk.min(self.give_up.saturating_duration_since(Instant::now()));
        self.runtime.block_on(self.sender.send_timeout(part, patience)).map_err(|error| match error {
            SendTimeoutError::Timeout(_) => io::ErrorKind::TimedOut.into(),
            SendTimeoutError::Closed(_) => io::ErrorKind::BrokenPipe.into(),
        })
    }
}

/// Concurrent scrapes: enough for a pair of Prometheus servers and a person.
const CONCURRENT_SCRAPES: usize = 4;
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks written before the client receives the first.
const CHUNKS_AHEAD: usize = 2;
