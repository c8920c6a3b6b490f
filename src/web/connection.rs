//! Serves one connection: the TLS handshake, then HTTP/1 or HTTP/2.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use hyper::Request;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::connections::{Activity, Connection};
use super::log_limit::LogLimit;
use super::serve::Limits;
use super::stream::WatchedStream;
use crate::net::ClientAddress;

/// A connection that was accepted.
pub(super) struct Accepted {
    pub(super) client: ClientAddress,
    pub(super) connection: Connection,
    pub(super) router: Router,
    pub(super) limits: Limits,
    /// Cancelled at the shutdown: requests in progress may finish.
    pub(super) stop: CancellationToken,
    /// Limits the messages about handshakes.
    pub(super) log: Arc<Mutex<LogLimit>>,
}

/// Why a connection ended early. `Display` is for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error("connection failed: {0}")]
    Http(hyper::Error),
    #[error("{0}")]
    Handshake(io::Error),
    #[error("not complete in time")]
    SlowHandshake,
    #[error("HTTP request to an HTTPS port")]
    PlainHttp,
    #[error("connection closed before a TLS handshake")]
    NoHandshake,
    #[error("connection closed by the client during a request")]
    ByClient,
    #[error("connection closed: the client did not accept a response in time")]
    Stalled,
}

impl ConnectionError {
    /// Whether the client began a TLS handshake and failed. Without a byte, it only checked the port.
    const fn is_of_handshake(&self) -> bool {
        matches!(self, Self::Handshake(_) | Self::SlowHandshake | Self::PlainHttp)
    }
}

impl Accepted {
    /// Serves the connection. Requests have two extensions: the client, and a token that closes the connection immediately.
    pub(super) async fn serve(self, stream: TcpStream, tls: Option<Arc<ServerConfig>>) {
        // Responses are written in large pieces; the last one must not wait for an acknowledgment.
        let _ = stream.set_nodelay(true);
        let (close, client, log) = (self.connection.close.clone(), self.client, Arc::clone(&self.log));
        match close.run_until_cancelled(self.run(stream, tls)).await {
            Some(Ok(())) => {}
            Some(Err(error)) if error.is_of_handshake() => {
                // One message for all clients: there can be many.
                if let Some(omitted) = log.lock().admit("", Instant::now()) {
                    tracing::warn!(%client, %error, omitted, "TLS handshake failed");
                }
            }
            Some(Err(error)) => tracing::debug!("{error}"),
            None => tracing::debug!("connection closed: the client was too slow, or has too many connections"),
        }
    }

    async fn run(self, stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> Result<(), ConnectionError> {
        let limits = self.limits;
        let Some(tls) = tls else { return self.http1(bounded(stream, &limits)).await };
        let Some(stream) = self.stop.run_until_cancelled(handshake(stream, tls, &limits)).await else {
            return Err(ConnectionError::NoHandshake);
        };
        let stream = stream?;
        if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) {
            self.http2(stream).await
        } else {
            self.http1(stream).await
        }
    }

    async fn http1<S>(self, stream: S) -> Result<(), ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let stream = WatchedStream::new(stream);
        let (watched, head, stop) = (stream.clone(), self.limits.head, self.stop.clone());
        let service = self.service(move |activity| (activity, watched.begin()));
        let service = service_fn(move |request: Request<Incoming>| service.call(request.map(Body::new)));
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(MAX_BUFFER);
        let connection = builder.serve_connection(TokioIo::new(stream.clone()), service);
        let served = async move {
            let mut connection = pin!(connection);
            tokio::select! {
                served = connection.as_mut() => return served,
                () = stop.cancelled() => {}
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        };
        match stream.watch(served).await {
            Some(served) => served.map_err(ConnectionError::Http),
            None => Err(ConnectionError::ByClient),
        }
    }

    /// The service of the connection. `begin` is called for each request, and its result kept until the end of the response.
    pub(super) fn service<G: Send + Unpin + 'static>(
        self,
        begin: impl Fn(Activity) -> G,
    ) -> impl Service<
        Request<Body>,
        Response = axum::http::Response<ActiveBody<G>>,
        Error = Infallible,
        Future: Send + 'static,
    > {
        let (router, client, connection) =
            (TowerToHyperService::new(self.router), self.client, Arc::new(self.connection));
        service_fn(move |mut request: Request<Body>| {
            let guard = begin(connection.begin());
            request.extensions_mut().insert(client);
            request.extensions_mut().insert(connection.close.clone());
            let response = router.call(request);
            async move { Ok::<_, Infallible>(response.await?.map(|body| ActiveBody { body, guard })) }
        })
    }
}

/// A stream whose writes are limited in time.
type BoundedStream = Pin<Box<TimeoutStream<TcpStream>>>;

async fn handshake(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    limits: &Limits,
) -> Result<TlsStream<BoundedStream>, ConnectionError> {
    let deadline = tokio::time::Instant::now() + limits.head;
    let mut first = [0];
    match timeout_at(deadline, stream.peek(&mut first)).await {
        Ok(Ok(1..)) => {}
        Ok(Ok(0) | Err(_)) | Err(_) => return Err(ConnectionError::NoHandshake),
    }
    if first.first().is_some_and(u8::is_ascii_uppercase) {
        let _ = timeout_at(deadline, refuse_plain_http(stream)).await;
        return Err(ConnectionError::PlainHttp);
    }
    let accepted = timeout_at(deadline, TlsAcceptor::from(tls).accept(bounded(stream, limits))).await;
    accepted.map_err(|_| ConnectionError::SlowHandshake)?.map_err(ConnectionError::Handshake)
}

/// A stream that fails if the client does not receive a byte in time. TLS needs it pinned.
fn bounded(stream: TcpStream, limits: &Limits) -> BoundedStream {
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

/// The body of a response, which is in progress until this is dropped.
pub(super) struct ActiveBody<G> {
    body: Body,
    pub(super) guard: G,
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
/// The name of HTTP/2 over TLS (RFC 9113 §3.1).
const HTTP_2: &[u8] = b"h2";
