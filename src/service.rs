//! The exporter as a service: the monitor and the web server, until shutdown.

mod loader;

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use self::loader::Loader;
use crate::config::Config;
use crate::monitor::{Handle, Monitor};
use crate::web;

/// The configuration, listeners and options that a service is started with.
#[derive(Debug)]
pub struct Service {
    /// The loaded configuration.
    pub config: Config,
    /// The file it was loaded from, for reloads; none without a file.
    pub config_file: Option<PathBuf>,
    /// The bound listeners, nonblocking as those of [`web::bind`].
    pub listeners: Vec<TcpListener>,
    /// The options of the web server.
    pub web: web::Options,
}

/// A running service.
#[derive(Debug)]
pub struct Running {
    /// The monitor's handle.
    pub handle: Handle,
    tasks: JoinSet<io::Result<()>>,
    stop: watch::Sender<bool>,
}

impl Service {
    /// Starts the monitor and the web server. Target files are checked for changes every [`WATCH_PERIOD`].
    ///
    /// # Errors
    /// If the monitor cannot be set up.
    pub fn start(self) -> Result<Running, String> {
        self.start_watching(WATCH_PERIOD)
    }

    /// As [`Service::start`], but checks target files every `period`, which must not be zero.
    ///
    /// # Errors
    /// If the monitor cannot be set up.
    pub fn start_watching(self, period: Duration) -> Result<Running, String> {
        let files = self.config.target_files.clone();
        let (monitor, handle) = Monitor::new(self.config, Arc::new(SystemTime::now))?;
        let (reload, requests) = mpsc::channel(1);
        let (stop, _) = watch::channel(false);
        let router = web::router(handle.clone(), reload, &self.web);
        let mut tasks = JoinSet::new();
        let stopped = until(&stop);
        tasks.spawn(async move {
            monitor.run(stopped).await;
            Ok(())
        });
        tasks.spawn(web::serve(self.listeners, router, until(&stop)));
        let loader = Loader::new(self.config_file, handle.clone(), files);
        let (loads, stopped) = (loader.run(requests, period), until(&stop));
        tasks.spawn(async move {
            tokio::select! {
                result = loads => result,
                () = stopped => Ok(()),
            }
        });
        Ok(Running { handle, tasks, stop })
    }
}

impl Running {
    /// Runs until `shutdown` resolves or a task fails, then stops all tasks. Requests and probes in progress may finish
    /// within a time limit.
    ///
    /// # Errors
    /// If a task failed. If several did, the error of the first.
    pub async fn until(mut self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let early = tokio::select! {
            () = shutdown => Ok(()),
            Some(ended) = self.tasks.join_next() => ended.unwrap_or_else(|panic| Err(io::Error::other(panic))),
        };
        self.stop.send_replace(true);
        let mut result = early;
        while let Some(ended) = self.tasks.join_next().await {
            let ended = ended.unwrap_or_else(|panic| Err(io::Error::other(panic)));
            result = result.and(ended);
        }
        result
    }
}

/// Resolves when the service stops.
fn until(stop: &watch::Sender<bool>) -> impl Future<Output = ()> + Send + use<> {
    let mut stop = stop.subscribe();
    async move {
        // An error means that the sender was dropped: the service stops as well.
        let _ = stop.wait_for(|stop| *stop).await;
    }
}

/// The time between checks of the target files for changes.
pub const WATCH_PERIOD: Duration = Duration::from_secs(5);
