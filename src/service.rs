//! The exporter as a service: the monitor and the web server, until shutdown.

mod http;
mod loader;
mod notify;
mod web_config;

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::Signal;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::http::HttpRuntime;
use self::loader::{Loader, Polling};
pub use self::notify::Notifier;
use crate::config::Config;
use crate::monitor::{Handle, Monitor};
use crate::web;

pub use self::web_config::{WebConfigError, WebSettings};

/// The configuration, listeners and options that a service is started with.
#[derive(Debug)]
pub struct Service {
    /// The loaded configuration. Reloads keep its shard.
    pub config: Config,
    /// The file it was loaded from, for reloads; none without a file.
    pub config_file: Option<PathBuf>,
    /// SIGHUP, which reloads the configuration; none if it is not handled.
    pub hangup: Option<Signal>,
    /// How often the configuration file is checked for changes, which reload the configuration; not zero. None: never.
    pub auto_reload: Option<Duration>,
    /// The bound listeners, nonblocking as those of [`web::bind`].
    pub listeners: Vec<TcpListener>,
    /// The options of the web server. `web_config` replaces what it configures.
    pub web: web::Options,
    /// The web configuration, which is reloaded with the configuration; none for plain HTTP without users.
    pub web_config: Option<WebSettings>,
    /// Notifies the service manager of the start, reloads and the shutdown.
    pub notifier: Notifier,
}

/// A running service.
#[derive(Debug)]
pub struct Running {
    /// The monitor's handle.
    pub handle: Handle,
    notifier: Notifier,
    tasks: JoinSet<io::Result<()>>,
    /// Stops the tasks when it is dropped.
    stop: DropGuard,
}

impl Service {
    /// Starts the monitor on the current runtime, and the web server on a runtime of its own. The files that the configuration refers
    /// to are checked for changes every [`WATCH_PERIOD`].
    ///
    /// # Errors
    /// If the monitor or the runtime of the web server cannot be set up.
    pub fn start(self) -> Result<Running, String> {
        self.start_watching(WATCH_PERIOD)
    }

    /// As [`Service::start`], but checks the files every `period`, which must not be zero.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub fn start_watching(self, period: Duration) -> Result<Running, String> {
        let (files, shard) = (self.config.files.clone(), self.config.shard);
        let (monitor, handle) = Monitor::new(self.config, Arc::new(SystemTime::now))?;
        let (reload, requests) = web::reloads();
        let stop = CancellationToken::new();
        let mut options = self.web;
        let mut tls = None;
        if let Some(web_config) = &self.web_config {
            (options.access, tls) = (web_config.access(), web_config.tls());
            handle.web_config_loaded(true);
        }
        let router = web::router(handle.clone(), reload, &options);
        let http = HttpRuntime::start(web::serve(self.listeners, router, tls, stop.clone()))
            .map_err(|error| format!("cannot start the runtime of the web server: {error}"))?;
        let mut tasks = JoinSet::new();
        tasks.spawn(http.ended());
        let stopped = stop.clone().cancelled_owned();
        let (heartbeat, started) = self.notifier.heartbeat();
        tasks.spawn(async move {
            monitor.run_with(heartbeat, stopped).await;
            Ok(())
        });
        let loader =
            Loader::new(self.config_file, handle.clone(), files, shard, self.web_config, self.notifier.clone());
        let polling = Polling { files: period, config: self.auto_reload };
        let (loads, stopped) = (loader.run(requests, self.hangup, polling), stop.clone());
        tasks.spawn(async move {
            stopped.run_until_cancelled(loads).await;
            Ok(())
        });
        let (notifications, stopped) =
            (self.notifier.clone().run(started, handle.clone(), STATUS_PERIOD), stop.clone());
        tasks.spawn(async move {
            stopped.run_until_cancelled(notifications).await;
            Ok(())
        });
        Ok(Running { handle, notifier: self.notifier, tasks, stop: stop.drop_guard() })
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
        self.notifier.stopping();
        drop(self.stop);
        let mut result = early;
        while let Some(ended) = self.tasks.join_next().await {
            let ended = ended.unwrap_or_else(|panic| Err(io::Error::other(panic)));
            result = result.and(ended);
        }
        result
    }
}

/// The time between checks of files for changes.
pub const WATCH_PERIOD: Duration = Duration::from_secs(5);
/// The time between notifications of the status.
const STATUS_PERIOD: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::path::Path;
    use std::sync::mpsc as blocking;

    use super::*;

    /// A limit for what must happen, even on a slow host.
    const LONG: Duration = Duration::from_secs(20);

    fn start(listeners: Vec<TcpListener>) -> Running {
        let text = "targets: [{host: 127.0.0.1, port: 1, trust: mozilla}]";
        let config = Config::parse(text, Path::new("config.yaml")).expect("a config");
        let service = Service {
            config,
            config_file: None,
            hangup: None,
            auto_reload: None,
            listeners,
            web: web::Options::default(),
            web_config: None,
            notifier: Notifier::default(),
        };
        service.start().expect("a service")
    }

    async fn start_on_loopback() -> (Running, SocketAddr) {
        let listeners = web::bind(&"127.0.0.1:0".parse().expect("an address")).await.expect("a listener");
        let address = listeners.first().expect("a listener").local_addr().expect("an address");
        (start(listeners), address)
    }

    /// Scrapes without a runtime.
    fn scrape(address: SocketAddr) -> io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LONG))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn scrapes_do_not_wait_for_busy_probe_threads() {
        let (running, address) = start_on_loopback().await;
        let (started, is_busy) = blocking::channel();
        let (release, released) = blocking::channel::<()>();
        tokio::spawn(async move {
            started.send(()).expect("the test waits");
            // Keeps the only worker of the runtime of the probes from doing anything else.
            let _ = released.recv_timeout(2 * LONG);
        });
        is_busy.recv_timeout(LONG).expect("the worker is busy");
        let answer = scrape(address).expect("an answer although the worker is busy");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
        drop(release);
        running.until(ready(())).await.expect("no error");
        assert!(TcpStream::connect(address).is_err(), "nothing listens after the end of the service");
    }

    #[tokio::test]
    async fn a_dropped_service_stops_listening() {
        let (running, address) = start_on_loopback().await;
        drop(running);
        let closed = async {
            while TcpStream::connect(address).is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(LONG, closed).await.expect("the listener is closed");
    }

    #[tokio::test]
    async fn the_failure_of_the_web_server_ends_the_service() {
        let error = start(vec![]).until(std::future::pending()).await.expect_err("no listeners");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
