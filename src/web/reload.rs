//! Requests to reload the configuration. Those that arrive before a reload starts share its result.

use tokio::sync::watch;

/// Requests reloads. The other end is [`ReloadRequests`].
#[derive(Clone, Debug)]
pub struct Reloader {
    /// The number of the last request.
    requested: watch::Sender<u64>,
    finished: watch::Receiver<Finished>,
}

/// The requests for reloads, and the results that they wait for.
#[derive(Debug)]
pub struct ReloadRequests {
    requested: watch::Receiver<u64>,
    finished: watch::Sender<Finished>,
    /// The last request that the current reload is for.
    current: u64,
}

#[derive(Clone, Debug)]
struct Finished {
    /// The last request that the reload was for.
    request: u64,
    result: ReloadResult,
}

/// The error is shown to clients: it contains no text of a file.
pub type ReloadResult = Result<(), String>;

/// Both ends of the requests for reloads.
pub fn reloads() -> (Reloader, ReloadRequests) {
    let (requested, requests) = watch::channel(0);
    let (results, finished) = watch::channel(Finished { request: 0, result: Ok(()) });
    (Reloader { requested, finished }, ReloadRequests { requested: requests, finished: results, current: 0 })
}

impl Reloader {
    /// The result of a reload that starts after this call; None if reloads have ended.
    pub async fn reload(&self) -> Option<ReloadResult> {
        let mut finished = self.finished.clone();
        let mut request = 0;
        self.requested.send_modify(|last| {
            *last += 1;
            request = *last;
        });
        let finished = finished.wait_for(|finished| finished.request >= request).await;
        finished.ok().map(|finished| finished.result.clone())
    }
}

impl ReloadRequests {
    /// Waits for requests. None if there can be none any more.
    pub async fn received(&mut self) -> Option<()> {
        self.requested.changed().await.ok()
    }

    /// A reload starts: it is for all requests so far.
    pub fn start(&mut self) {
        self.current = *self.requested.borrow_and_update();
    }

    /// The reload that was started has finished.
    pub fn finish(&self, result: ReloadResult) {
        // The clients may have disconnected.
        let _ = self.finished.send(Finished { request: self.current, result });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn requests_share_the_next_reload_that_starts() {
        let (reloader, mut requests) = reloads();
        let mut first = Box::pin(reloader.reload());
        assert!(first.as_mut().now_or_never().is_none());
        requests.received().await.expect("a request");
        requests.start();
        // While it is under way:
        let mut later = [Box::pin(reloader.reload()), Box::pin(reloader.reload())];
        assert!(later.iter_mut().all(|later| later.as_mut().now_or_never().is_none()));
        requests.finish(Err("first".to_owned()));
        assert_eq!(first.now_or_never(), Some(Some(Err("first".to_owned()))));
        assert!(later.iter_mut().all(|later| later.as_mut().now_or_never().is_none()));
        requests.received().await.expect("a request");
        requests.start();
        assert!(requests.received().now_or_never().is_none(), "one reload for both");
        requests.finish(Ok(()));
        for later in later {
            assert_eq!(later.now_or_never(), Some(Some(Ok(()))));
        }
        let waiting = reloader.reload();
        drop(requests);
        assert_eq!(waiting.await, None);
    }
}
