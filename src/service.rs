//! The exporter as a service: monitor and web together, until the end is asked for.

mod loader;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use self::loader::Loader;
use crate::config::Config;
use crate::monitor::{Handle, Monitor};
use crate::web;

/// What a service needs.
#[derive(Debug)]
pub struct Service {
    /// Loaded already.
    pub config: Config,
    /// Where it was loaded from, for reloads; none where there is no file.
    pub config_file: Option<PathBuf>,
    /// Bound already.
    pub listeners: Vec<TcpListener>,
    /// Paths of the web interface.
    pub web: web::Options,
}

/// A service that runs.
#[derive(Debug)]
pub struct Running {
    /// The monitor's handle.
    pub handle: Handle,
    tasks: JoinSet<io::Result<()>>,
    stop: watch::Sender<bool>,
}

impl Service {
    /// Starts monitor and web. Files of targets are looked at every [`WATCH_PERIOD`].
    ///
    /// # Errors
    /// When the monitor cannot be set up.
    pub fn start(self) -> Result<Running, String> {
        self.start_watching(WATCH_PERIOD)
    }

    /// As [`Service::start`], with another time from one look at the files of targets to the next; not zero.
    ///
    /// # Errors
    /// When the monitor cannot be set up.
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
    /// Waits for `shutdown`, or for a part to fail, and ends the rest: clients and probes are let finish, within bounds.
    ///
    /// # Errors
    /// The failure of the part that failed.
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

/// Resolves once the end was asked for.
fn until(stop: &watch::Sender<bool>) -> impl Future<Output = ()> + Send + use<> {
    let mut stop = stop.subscribe();
    async move {
        // An error means that the sender is gone, which is an end, too.
        let _ = stop.wait_for(|stop| *stop).await;
    }
}

/// From one look at the files of targets to the next.
pub const WATCH_PERIOD: Duration = Duration::from_secs(5);
