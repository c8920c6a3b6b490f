//! The stream of a connection, which is watched for its end while a request is in progress. The HTTP parser does not do that
//! once it holds bytes that follow the request: part of a body, or of another request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// A stream for the HTTP parser. While a request is in progress, the parser gets no bytes: [`WatchedStream::watch`] reads them, a
/// limited number ahead. Both must be polled by the same task. Cheap to clone.
pub(super) struct WatchedStream<S>(Arc<Mutex<State<S>>>);

struct State<S> {
    stream: Pin<Box<S>>,
    /// What was read while a request was in progress.
    ahead: BytesMut,
    requests: usize,
    /// Whether the parser has to be polled after the request.
    is_parser_waiting: bool,
}

/// A request in progress until this is dropped.
pub(super) struct InProgress<S>(WatchedStream<S>);

impl<S> Clone for WatchedStream<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: AsyncRead> WatchedStream<S> {
    pub(super) fn new(stream: S) -> Self {
        let (stream, ahead) = (Box::pin(stream), BytesMut::new());
        Self(Arc::new(Mutex::new(State { stream, ahead, requests: 0, is_parser_waiting: false })))
    }

    /// A request was received.
    pub(super) fn begin(&self) -> InProgress<S> {
        self.0.lock().requests += 1;
        InProgress(self.clone())
    }

    /// Polls `serve`, which uses the stream, and watches the stream. None if the client has closed the connection, or has
    /// sent too much ahead, during a request.
    pub(super) async fn watch<T>(&self, serve: impl Future<Output = T>) -> Option<T> {
        let mut serve = std::pin::pin!(serve);
        std::future::poll_fn(|context| match serve.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => self.0.lock().poll_closed(context).map(|()| None),
        })
        .await
    }
}

impl<S: AsyncRead> State<S> {
    /// Ready if the connection must be closed.
    fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.requests == 0 {
            if std::mem::take(&mut self.is_parser_waiting) {
                context.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        while self.ahead.len() < MAX_AHEAD {
            match ready!(poll_read_buf(self.stream.as_mut(), context, &mut self.ahead)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        Poll::Ready(())
    }
}

impl<S> Drop for InProgress<S> {
    fn drop(&mut self) {
        self.0.0.lock().requests -= 1;
    }
}

impl<S: AsyncRead> AsyncRead for WatchedStream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if state.requests > 0 {
            state.is_parser_waiting = true;
            return Poll::Pending;
        }
        if state.ahead.is_empty() {
            return state.stream.as_mut().poll_read(context, buffer);
        }
        let length = state.ahead.len().min(buffer.remaining());
        state.ahead.copy_to_slice(buffer.initialize_unfilled_to(length));
        buffer.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite> AsyncWrite for WatchedStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().stream.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().stream.as_mut().poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().stream.as_mut().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.lock().stream.is_write_vectored()
    }
}

/// Bytes that follow a request in progress.
const MAX_AHEAD: usize = 16 * 1024;
