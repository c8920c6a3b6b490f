//! The runtime of the web server: requests do not queue behind the probes, which run on another one.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// A runtime that runs the web server. It may be dropped in async code, where dropping a [`Runtime`] panics.
pub(super) struct HttpRuntime {
    /// None only while it is dropped.
    runtime: Option<Runtime>,
    server: JoinHandle<io::Result<()>>,
}

impl HttpRuntime {
    /// Starts `server` on a new runtime.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(super) fn start(server: impl Future<Output = io::Result<()>> + Send + 'static) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(WORKERS).thread_name("http").enable_all().build()?;
        let server = runtime.spawn(server);
        Ok(Self { runtime: Some(runtime), server })
    }

    /// The result of the server. The runtime is shut down when it has ended.
    pub(super) async fn ended(mut self) -> io::Result<()> {
        (&mut self.server).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
    }
}

impl Drop for HttpRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Connections have been drained or are to be closed; a thread that still renders is not waited for.
            runtime.shutdown_background();
        }
    }
}

/// Rendering is done by blocking threads, so a worker is busy only for a moment.
const WORKERS: usize = 2;
