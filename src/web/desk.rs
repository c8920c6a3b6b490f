//! Where answers are written that take more than a moment: off the threads that serve, a few at a time.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::negotiate::{self, Coding};

/// Answers at most a few requests at a time; others wait for a while.
#[derive(Debug)]
pub(super) struct Desk {
    slots: Arc<Semaphore>,
    patience: Duration,
}

/// What an answer says, before it is coded.
#[derive(Debug)]
pub(super) struct Sheet {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) text: String,
}

impl Default for Desk {
    fn default() -> Self {
        Self::with_patience(Duration::from_secs(10))
    }
}

impl Desk {
    /// A desk at which requests wait so long for their turn.
    pub(super) fn with_patience(patience: Duration) -> Self {
        Self { slots: Arc::new(Semaphore::new(SLOTS)), patience }
    }

    /// The answer that `write` gives, compressed where the client takes that; 503 where too many others are before it.
    pub(super) async fn answer(&self, headers: &HeaderMap, write: impl FnOnce() -> Sheet + Send + 'static) -> Response {
        let Ok(Ok(slot)) = timeout(self.patience, Arc::clone(&self.slots).acquire_owned()).await else {
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "10")], "too many requests at once\n")
                .into_response();
        };
        let coding = negotiate::coding(headers);
        let written = tokio::task::spawn_blocking(move || {
            let answer = coded(write(), coding);
            // A client that hangs up does not make room: the work goes on.
            drop(slot);
            answer
        });
        written.await.unwrap_or_else(|error| {
            tracing::error!(%error, "an answer could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, "internal error\n").into_response()
        })
    }
}

fn coded(sheet: Sheet, coding: Coding) -> Response {
    let (body, coding) = match coding {
        Coding::Gzip if sheet.text.len() >= MIN_COMPRESSED => (compressed(&sheet.text), Some("gzip")),
        Coding::Gzip | Coding::Identity => (sheet.text.into_bytes(), None),
    };
    let mut response = (sheet.status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(sheet.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(coding) = coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    headers.extend(sheet.headers);
    response
}

fn compressed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default()
}

/// Answers that are written at the same time.
const SLOTS: usize = 2;
/// Bytes below which compression saves no packet.
const MIN_COMPRESSED: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn sheet(text: &str) -> Sheet {
        Sheet { status: StatusCode::OK, content_type: "text/plain", headers: Vec::new(), text: text.to_owned() }
    }

    #[tokio::test]
    async fn no_more_than_the_slots_are_written_at_once() {
        let desk = Arc::new(Desk::with_patience(Duration::from_millis(20)));
        let (begun, mut begins) = tokio::sync::mpsc::channel(SLOTS);
        let (ends, tasks): (Vec<_>, Vec<_>) = (0..SLOTS)
            .map(|_| {
                let (end, ended) = mpsc::channel::<()>();
                let (desk, begun) = (Arc::clone(&desk), begun.clone());
                let work = move || {
                    begun.blocking_send(()).expect("somebody counts");
                    let _ = ended.recv();
                    sheet("done")
                };
                (end, tokio::spawn(async move { desk.answer(&HeaderMap::new(), work).await }))
            })
            .unzip();
        for _ in 0..SLOTS {
            begins.recv().await.expect("a beginning");
        }
        let refused = desk.answer(&HeaderMap::new(), || panic!("there is no room for this")).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(ends);
        for task in tasks {
            assert_eq!(task.await.expect("no panic").status(), StatusCode::OK);
        }
        assert_eq!(desk.answer(&HeaderMap::new(), || sheet("free")).await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_defect_is_an_answer_and_makes_room() {
        let desk = Desk::default();
        for _ in 0..=SLOTS {
            let answer = desk.answer(&HeaderMap::new(), || panic!("a defect")).await;
            assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        }
    }
}
