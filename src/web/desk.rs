//! Renders responses that take a while on blocking threads, a few at a time.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::negotiate::{self, Coding};

/// Renders a few responses at a time; other requests wait.
#[derive(Debug)]
pub(super) struct Desk {
    slots: Arc<Semaphore>,
    patience: Duration,
}

/// A response before it is encoded.
#[derive(Debug)]
pub(super) struct Sheet {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) text: String,
}

impl Desk {
    pub(super) fn new(patience: Duration) -> Self {
        Self { slots: Arc::new(Semaphore::new(SLOTS)), patience }
    }

    /// The response that `write` returns, compressed if the client accepts that; status 503 if too many requests wait.
    pub(super) async fn answer(&self, headers: &HeaderMap, write: impl FnOnce() -> Sheet + Send + 'static) -> Response {
        let Ok(Ok(slot)) = timeout(self.patience, Arc::clone(&self.slots).acquire_owned()).await else {
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "10")], "too many concurrent requests\n")
                .into_response();
        };
        let coding = negotiate::coding(headers);
        let written = tokio::task::spawn_blocking(move || {
            let answer = coded(write(), coding);
            // If the client disconnects, the work goes on and keeps its slot.
            drop(slot);
            answer
        });
        written.await.unwrap_or_else(|error| {
            tracing::error!(%error, "rendering a response failed");
            (StatusCode::INTERNAL_SERVER_ERROR, "internal error\n").into_response()
        })
    }
}

fn coded(sheet: Sheet, coding: Coding) -> Response {
    let coding = if sheet.text.len() < MIN_COMPRESSED { Coding::Identity } else { coding };
    let mut response = (sheet.status, coding.encode(sheet.text)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(sheet.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if coding == Coding::Gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.extend(sheet.headers);
    response
}

const SLOTS: usize = 2;
/// Bytes below which compression does not save a packet.
const MIN_COMPRESSED: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn sheet(text: &str) -> Sheet {
        Sheet { status: StatusCode::OK, content_type: "text/plain", headers: Vec::new(), text: text.to_owned() }
    }

    #[tokio::test]
    async fn bounds_concurrent_responses() {
        let desk = Arc::new(Desk::new(Duration::from_millis(20)));
        let (started, mut starts) = tokio::sync::mpsc::channel(SLOTS);
        let (ends, tasks): (Vec<_>, Vec<_>) = (0..SLOTS)
            .map(|_| {
                let (end, ended) = mpsc::channel::<()>();
                let (desk, started) = (Arc::clone(&desk), started.clone());
                let work = move || {
                    started.blocking_send(()).expect("the receiver");
                    let _ = ended.recv();
                    sheet("done")
                };
                (end, tokio::spawn(async move { desk.answer(&HeaderMap::new(), work).await }))
            })
            .unzip();
        for _ in 0..SLOTS {
            starts.recv().await.expect("a start");
        }
        let refused = desk.answer(&HeaderMap::new(), || panic!("no slot is free")).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(ends);
        for task in tasks {
            assert_eq!(task.await.expect("no panic").status(), StatusCode::OK);
        }
        assert_eq!(desk.answer(&HeaderMap::new(), || sheet("free")).await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_panic_is_status_500_and_frees_the_slot() {
        let desk = Desk::new(Duration::from_secs(60));
        for _ in 0..=SLOTS {
            let answer = desk.answer(&HeaderMap::new(), || panic!("a defect")).await;
            assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        }
    }
}
