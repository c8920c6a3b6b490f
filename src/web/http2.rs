//! Connections with HTTP/2. Flow control lets a client keep responses from being sent while it answers pings, so the time without
//! progress is limited here (RFC 9113 §10.5).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use futures_util::stream;
use hyper::Request;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http2;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use super::connection::{Accepted, ActiveBody, ConnectionError};
use super::connections::Activity;

impl Accepted {
    /// The implementation of HTTP/2 reads during requests, so it notices by itself that the client closes the connection. It
    /// limits how many streams a client resets (CVE-2023-44487).
    pub(super) async fn http2<S>(self, stream: S) -> Result<(), ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (limits, stop) = (self.limits, self.stop.clone());
        let responses = Responses::default();
        let counted = responses.clone();
        let service = self.service(move |activity| counted.begin(activity));
        let service = service_fn(move |request: Request<Incoming>| {
            let (head, body) = request.into_parts();
            let is_empty = body.is_end_stream();
            // No handler reads the body. It is not given away, so that it can be received before the response is sent.
            let visible = if is_empty {
                Body::empty()
            } else {
                Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())
            };
            let response = service.call(Request::from_parts(head, visible));
            async move {
                let response = response.await?;
                if !is_empty {
                    // What follows the response would reset the stream, which some clients report instead of the response.
                    let _ = timeout(BODY_TIME, discard(body)).await;
                }
                Ok::<_, Infallible>(response.map(|body| PacedBody { body, rest: Bytes::new() }))
            }
        });
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADERS)
            .max_send_buf_size(PIECE)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let early = tokio::select! {
            served = served.as_mut() => return served.map_err(ConnectionError::Http),
            early = responses.ended(limits.write, limits.idle_http2) => early,
            () = stop.cancelled() => Early::Idle,
            () = sleep(MAX_AGE) => Early::Idle,
        };
        if early == Early::Stalled {
            return Err(ConnectionError::Stalled);
        }
        // The client is informed (GOAWAY), so that it does not use the connection for another request.
        served.as_mut().graceful_shutdown();
        responses.restart_idle();
        tokio::select! {
            served = served => served.map_err(ConnectionError::Http),
            early = responses.ended(limits.write, GOODBYE) => match early {
                Early::Idle => Ok(()),
                Early::Stalled => Err(ConnectionError::Stalled),
            },
        }
    }
}

/// Receives a body up to a limit.
async fn discard(mut body: Incoming) {
    let mut received = 0;
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        received += frame.data_ref().map_or(0, Bytes::len);
        if received > MAX_BODY {
            return;
        }
    }
}

/// Why a connection is closed although its client keeps it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Early {
    /// There was no request.
    Idle,
    /// The client does not accept a response.
    Stalled,
}

/// The requests in progress on a connection. Cheap to clone.
#[derive(Clone)]
struct Responses(Arc<Mutex<State>>);

struct State {
    last: u64,
    in_progress: usize,
    /// Responses that the client has to accept a part of, and since when.
    waiting: BTreeMap<u64, Instant>,
    /// When the last request ended.
    idle_since: Instant,
}

/// A request in progress until this is dropped.
struct Exchange {
    responses: Responses,
    number: u64,
    activity: Activity,
}

impl Default for Responses {
    fn default() -> Self {
        let state = State { last: 0, in_progress: 0, waiting: BTreeMap::new(), idle_since: Instant::now() };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl Responses {
    fn begin(&self, activity: Activity) -> Exchange {
        let mut state = self.0.lock();
        state.last += 1;
        state.in_progress += 1;
        Exchange { responses: self.clone(), number: state.last, activity }
    }

    fn restart_idle(&self) {
        self.0.lock().idle_since = Instant::now();
    }

    /// Resolves when a response has waited for the client for `stalled`, or when there has been no request for `idle`.
    async fn ended(&self, stalled: Duration, idle: Duration) -> Early {
        let period = (stalled.min(idle) / 8).max(MIN_POLL);
        loop {
            if let Some(early) = self.0.lock().ended(stalled, idle, Instant::now()) {
                return early;
            }
            sleep(period).await;
        }
    }
}

impl State {
    fn ended(&self, stalled: Duration, idle: Duration, now: Instant) -> Option<Early> {
        if self.waiting.values().any(|since| now.duration_since(*since) >= stalled) {
            return Some(Early::Stalled);
        }
        (self.in_progress == 0 && now.duration_since(self.idle_since) >= idle).then_some(Early::Idle)
    }
}

impl Exchange {
    /// The client has to accept what the body has yielded. Until then, the request counts as idle: such connections are
    /// closed first.
    fn wait(&mut self) {
        self.responses.0.lock().waiting.insert(self.number, Instant::now());
        self.activity.suspend();
    }

    fn resume(&mut self) {
        self.responses.0.lock().waiting.remove(&self.number);
        self.activity.resume();
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut state = self.responses.0.lock();
        state.waiting.remove(&self.number);
        state.in_progress -= 1;
        state.idle_since = Instant::now();
    }
}

/// The body of a response, in pieces. A piece is sent when the client's flow control admits all bytes before it and one more. The
/// last byte is a piece, so this is dropped only when the client has admitted everything.
struct PacedBody {
    body: ActiveBody<Exchange>,
    /// Not yielded yet.
    rest: Bytes,
}

impl HttpBody for PacedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            this.body.guard.resume();
            let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(context)?) else { return Poll::Ready(None) };
            match frame.into_data() {
                Ok(data) if data.is_empty() => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(data) => this.rest = data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        this.body.guard.wait();
        let length = (this.rest.len() - 1).clamp(1, PIECE);
        Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Asked for before the first piece.
        if self.rest.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}

/// The largest head of a request, in bytes (RFC 9113 §6.5.2).
const MAX_HEADERS: u32 = 16 * 1024;
/// Requests in progress on a connection.
const MAX_STREAMS: u32 = 16;
/// Bytes that a client may send before they are read; the initial value of the protocol (RFC 9113 §6.9.2).
const WINDOW: u32 = 65_535;
/// Bytes of a response that are held for a client that does not accept them.
const PIECE: usize = 16 * 1024;
/// Bytes of a request's body that are received (and not kept) before the response, and the time for it.
const MAX_BODY: usize = 4 * 1024 * 1024;
const BODY_TIME: Duration = Duration::from_secs(1);
/// Between two pings, and until the answer to one.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// A client gets a new connection after this time.
const MAX_AGE: Duration = Duration::from_secs(600);
/// For the client to close a connection that it was asked to close.
const GOODBYE: Duration = Duration::from_secs(1);
const MIN_POLL: Duration = Duration::from_millis(5);
