//! Serves one connection: the TLS handshake, then HTTP/1 or HTTP/2.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use hyper::Request;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

use super::connections::{Activity, Connection};
use super::serve::Limits;
use super::stream::WatchedStream;
use crate::net::ClientAddress;

/// A connection that was accepted.
pub(super) struct Accepted {
    pub(super) client: ClientAddress,
    pub(super) connection: Connection,
    pub(super) router: Router,
    pub(super) limits: Limits,
}

/// How a connection ended. `Display` is for the log.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("connection failed: {0}")]
    Http(hyper::Error),
    #[error("TLS handshake failed: {0}")]
    Handshake(io::Error),
    #[error("connection closed: no TLS handshake in time")]
    NoHandshake,
    #[error("connection closed: HTTP request to an HTTPS port")]
    PlainHttp,
    #[error("connection closed by the client during a request")]
    ByClient,
}

impl Accepted {
    /// Serves the connection. Requests have two extensions: the client, and a token that closes the connection immediately.
    pub(super) async fn serve(self, stream: TcpStream, tls: Option<Arc<ServerConfig>>, watcher: Watcher) {
        // Responses are written in large pieces; the last one must not wait for an acknowledgment.
        let _ = stream.set_nodelay(true);
        let close = self.connection.close.clone();
        match close.run_until_cancelled(self.run(stream, tls, watcher)).await {
            Some(Ok(())) => {}
            Some(Err(ended)) => tracing::debug!("{ended}"),
            None => tracing::debug!("connection closed: the client was too slow, or has too many connections"),
        }
    }

    async fn run(self, stream: TcpStream, tls: Option<Arc<ServerConfig>>, watcher: Watcher) -> Result<(), Ended> {
        let limits = self.limits;
        let Some(tls) = tls else { return self.http1(bounded(stream, &limits), watcher).await };
        let handshake = async {
            let mut first = [0];
            // An end or an error is noticed by the handshake.
            if stream.peek(&mut first).await.is_ok_and(|read| read > 0)
                && first.first().is_some_and(u8::is_ascii_uppercase)
            {
                refuse_plain_http(stream).await;
                return Err(Ended::PlainHttp);
            }
            let stream = bounded(stream, &limits);
            TlsAcceptor::from(tls).accept(stream).await.map_err(Ended::Handshake)
        };
        let stream = timeout(limits.head, handshake).await.map_err(|_| Ended::NoHandshake)??;
        if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) {
            self.http2(stream, watcher).await
        } else {
            self.http1(stream, watcher).await
        }
    }

    async fn http1<S>(self, stream: S, watcher: Watcher) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let stream = WatchedStream::new(stream);
        let (watched, head) = (stream.clone(), self.limits.head);
        let service = self.service(move || watched.begin());
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(MAX_BUFFER);
        let served = watcher.watch(builder.serve_connection(TokioIo::new(stream.clone()), service));
        match stream.watch(served).await {
            Some(served) => served.map_err(Ended::Http),
            None => Err(Ended::ByClient),
        }
    }

    /// The implementation of HTTP/2 reads during requests, so it notices by itself that the client closes the connection. It
    /// limits how many streams a client resets (CVE-2023-44487).
    async fn http2<S>(self, stream: S, watcher: Watcher) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (requests, head) = (Requests::default(), self.limits.head);
        let counted = requests.clone();
        let service = self.service(move || counted.begin());
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADERS)
            .max_send_buf_size(MAX_BUFFER)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        let served = watcher.watch(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            served = served => served.map_err(Ended::Http),
            () = requests.idle_for(head) => Ok(()),
        }
    }

    /// The service of the connection. `begin` is called for each request, and its result kept until the end of the response.
    fn service<G: Send + Unpin + 'static>(
        self,
        begin: impl Fn() -> G,
    ) -> impl Service<
        Request<Incoming>,
        Response = axum::http::Response<ActiveBody<G>>,
        Error = Infallible,
        Future: Send + 'static,
    > {
        let (router, client, connection) =
            (TowerToHyperService::new(self.router), self.client, Arc::new(self.connection));
        service_fn(move |mut request: Request<Incoming>| {
            let activity = (connection.begin(), begin());
            request.extensions_mut().insert(client);
            request.extensions_mut().insert(connection.close.clone());
            let response = router.call(request);
            async move { Ok::<_, Infallible>(response.await?.map(|body| ActiveBody { body, _activity: activity })) }
        })
    }
}

/// A stream that fails if the client does not receive a byte in time. TLS needs it pinned.
fn bounded(stream: TcpStream, limits: &Limits) -> Pin<Box<TimeoutStream<TcpStream>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write));
    Box::pin(stream)
}

/// Answers a request that is not encrypted. What was received is read first: otherwise, closing the connection would discard the
/// response.
async fn refuse_plain_http(mut stream: TcpStream) {
    let mut buffer = vec![0; MAX_BUFFER];
    let _ = stream.try_read(&mut buffer);
    let body = "client sent an HTTP request to an HTTPS server\n";
    let head = "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n";
    // The client may have disconnected.
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// The number of requests in progress on a connection with HTTP/2. Cheap to clone.
#[derive(Clone)]
struct Requests(watch::Sender<usize>);

impl Default for Requests {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

/// A request in progress until this is dropped.
struct Counted(Requests);

impl Requests {
    fn begin(&self) -> Counted {
        self.0.send_modify(|requests| *requests += 1);
        Counted(self.clone())
    }

    /// Resolves when there has been no request for this time.
    async fn idle_for(&self, limit: Duration) {
        let mut requests = self.0.subscribe();
        loop {
            // The sender exists.
            let _ = requests.wait_for(|requests| *requests == 0).await;
            if timeout(limit, requests.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.send_modify(|requests| *requests -= 1);
    }
}

/// The body of a response, which is in progress until this is dropped.
struct ActiveBody<G> {
    body: Body,
    _activity: (Activity, G),
}

impl<G: Unpin> HttpBody for ActiveBody<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The largest head of a request, and the write buffer of a response, in bytes.
const MAX_BUFFER: usize = 64 * 1024;
/// The largest head of a request with HTTP/2, in bytes (RFC 9113 §6.5.2).
const MAX_HEADERS: u32 = 64 * 1024;
/// Requests in progress on a connection with HTTP/2.
const MAX_STREAMS: u32 = 32;
/// Between two pings, and until the answer to one.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// The name of HTTP/2 over TLS (RFC 9113 §3.1).
const HTTP_2: &[u8] = b"h2";
