//! The exporter as a service: monitor and web together, until the end is asked for.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::config::Config;
use crate::monitor::{Handle, Monitor};
use crate::web::{self, ReloadRequest};

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
    /// Starts monitor and web.
    ///
    /// # Errors
    /// When the monitor cannot be set up.
    pub fn start(self) -> Result<Running, String> {
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
        let (reloads, stopped) = (reloads(self.config_file, handle.clone(), requests), until(&stop));
        tasks.spawn(async move {
            tokio::select! {
                result = reloads => result,
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

/// Resolves at SIGTERM or SIGINT.
///
/// # Errors
/// When the process cannot listen for signals.
pub fn termination() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Loads the config anew whenever a client or SIGHUP asks for it.
async fn reloads(file: Option<PathBuf>, handle: Handle, mut requests: mpsc::Receiver<ReloadRequest>) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        let request: Option<oneshot::Sender<_>> = tokio::select! {
            Some(request) = requests.recv() => Some(request),
            Some(()) = hangup.recv() => None,
            else => return Ok(()),
        };
        let result = reload(file.clone(), &handle).await;
        match &result {
            Ok(()) => tracing::info!("config loaded anew"),
            Err(error) => {
                handle.reload_failed();
                tracing::error!(%error, "config not loaded, the running one stays");
            }
        }
        if let Some(request) = request {
            // Who asked may have hung up.
            let _ = request.send(result);
        }
    }
}

async fn reload(file: Option<PathBuf>, handle: &Handle) -> Result<(), String> {
    let file = file.ok_or("this exporter has no config file")?;
    let load = tokio::task::spawn_blocking(move || Config::load(&file).map_err(|error| error.to_string()));
    let config = load.await.map_err(|panic| panic.to_string())??;
    handle.reload(config).await
}
