//! Reloads the configuration while the service runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use thiserror::Error;
use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, interval_at, sleep_until, timeout};

use super::notify::{Notifier, status};
use super::web_config::{WebConfigError, WebSettings};
use crate::config::{Config, ConfigError, Files, Found, MainContent};
use crate::monitor::Handle;
use crate::target::Shard;
use crate::text::{counted, list};
use crate::web::{LogLimit, ReloadRequests};

/// Reloads the whole configuration on SIGHUP, on a request, or when its file changes, and the files that it refers to when
/// they change; likewise the web configuration, whose own file is always checked for changes as well.
pub(super) struct Loader {
    config_file: Option<PathBuf>,
    load: Arc<LoadFn>,
    /// The time limit of a read: the file system may hang.
    time_limit: Duration,
    handle: Handle,
    /// The files of the running configuration.
    files: Files,
    /// Whose targets are probed.
    shard: Shard,
    /// Their state at the last attempt to load them; none if the attempt did not end in time.
    seen: Option<Result<Found, ConfigError>>,
    /// Whether the last reload rejected the configuration file, so that the running configuration is older.
    rejected: bool,
    /// The configuration file at the last attempt to load it.
    tried: MainContent,
    /// The error of the last reload, if it failed.
    last_failure: Option<String>,
    notifier: Notifier,
    /// Between the end of a reload and the start of the next one.
    pause: Duration,
    web: Option<WebSettings>,
    log: LogLimit,
    /// Whether the current reload was requested by HTTP clients only, who may be many and get its result.
    is_log_limited: bool,
}

/// How often files are checked for changes. Not zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Polling {
    /// The files that the configuration refers to.
    pub(super) files: Duration,
    /// The configuration file; none if its changes have no effect.
    pub(super) config: Option<Duration>,
}

type LoadFn = dyn Fn(&Path, &Files) -> Result<Config, ConfigError> + Send + Sync;

/// Why a reload failed. `Display` is the text for the log.
#[derive(Debug, Error)]
enum LoadError {
    #[error(transparent)]
    Config(Box<ConfigError>),
    /// The configuration is in effect, apart from these files.
    #[error("configuration reloaded, except for {} with errors", counted(.0.len(), "file"))]
    InPart(Vec<ConfigError>),
    #[error("{0}")]
    Panicked(String),
    /// Contains nothing of a file.
    #[error("{0}")]
    Other(String),
}

impl LoadError {
    /// The text for HTTP clients. Files are shown relative to `folder`, that of the configuration file.
    fn public(&self, folder: &Path) -> String {
        match self {
            Self::Config(error) => {
                format!("configuration not reloaded: {}; see the log of the exporter", error.summary(folder))
            }
            Self::InPart(errors) => {
                let files = list(errors.iter().map(|error| error.summary(folder)), MAX_FILES);
                format!(
                    "configuration reloaded, except for {}, whose last valid content, if any, stays in effect; see the log \
                     of the exporter: {files}",
                    counted(errors.len(), "invalid file")
                )
            }
            Self::Panicked(_) => "internal error; see the log of the exporter".to_owned(),
            Self::Other(text) => text.clone(),
        }
    }
}

impl From<ConfigError> for LoadError {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}

impl From<String> for LoadError {
    fn from(text: String) -> Self {
        Self::Other(text)
    }
}

/// A reload, or a check of the files, that is under way. It exists as long as a thread reads for it, even if the
/// loader no longer waits for that.
struct Running(Handle);

impl Running {
    /// None if a read for the last reload or check has not returned yet: another one would hang as well.
    fn start(handle: &Handle) -> Option<Arc<Self>> {
        handle.start_reload().then(|| Arc::new(Self(handle.clone())))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.end_reload();
    }
}

impl Loader {
    /// The loader of a service that probes the targets of `shard` and runs with `files`. Logs what is wrong with them.
    pub(super) fn new(
        config_file: Option<PathBuf>,
        handle: Handle,
        files: Files,
        shard: Shard,
        web: Option<WebSettings>,
        notifier: Notifier,
    ) -> Self {
        let mut loader = Self {
            config_file,
            load: Arc::new(Config::load_after),
            time_limit: TIME_LIMIT,
            handle,
            seen: Some(Ok(files.found().clone())),
            tried: files.main_content(),
            files,
            shard,
            rejected: false,
            last_failure: None,
            notifier,
            pause: RELOAD_PAUSE,
            web,
            log: LogLimit::new(LOG_PERIOD),
            is_log_limited: false,
        };
        warn_of_unmatched(&loader.files, &[]);
        let _reported = loader.report_invalid();
        loader
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self, mut requests: ReloadRequests, mut hangup: Option<Signal>, polling: Polling) {
        let mut poll = interval(polling.files);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut config_poll = polling.config.map(|period| interval_at(Instant::now() + period, period));
        config_poll.iter_mut().for_each(|poll| poll.set_missed_tick_behavior(MissedTickBehavior::Delay));
        let mut earliest = Instant::now();
        loop {
            let mut is_by_clients = tokio::select! {
                Some(()) = requests.received() => true,
                Some(()) = received(hangup.as_mut()) => false,
                Some(()) = elapsed(config_poll.as_mut()) => {
                    if !self.is_reload_due().await {
                        continue;
                    }
                    tracing::info!("the configuration file has changed");
                    false
                }
                _ = poll.tick() => {
                    self.report_omitted();
                    if self.files.are_watched() {
                        self.poll_files().await;
                    }
                    // An error was logged.
                    let _ = self.reload_web(true).await;
                    continue;
                }
            };
            // What arrives until the reload starts shares it; what arrives later may refer to a later change of a file.
            sleep_until(earliest).await;
            is_by_clients &= received(hangup.as_mut()).now_or_never().flatten().is_none();
            requests.start();
            self.is_log_limited = is_by_clients;
            // After the signal was received: the service manager waits for a later time than that of its signal.
            self.notifier.reloading();
            let result = self.reload().await;
            let web_result = self.reload_web(false).await;
            self.notifier.ready(&status(&self.handle.fleet(), SystemTime::now()));
            self.is_log_limited = false;
            earliest = Instant::now() + self.pause;
            let folder = self.config_file.as_deref().and_then(Path::parent).unwrap_or_else(|| Path::new(""));
            let result = result.map_err(|error| error.public(folder));
            requests.finish(match (result, web_result.map_err(|error| error.public(folder))) {
                (Err(error), Err(web_error)) => Err(format!("{error}\n{web_error}")),
                (result, web_result) => result.and(web_result),
            });
        }
    }

    /// Reloads everything and returns the result.
    async fn reload(&mut self) -> Result<(), LoadError> {
        let result = match Running::start(&self.handle) {
            Some(running) => {
                let result = self.load(&running).await;
                let files = self.files.clone();
                // If only another file is invalid, the failure ends when that file becomes valid.
                self.rejected = result.is_err()
                    && !self.read(&running, move || files.are_of_current_config()).await.unwrap_or_default();
                result
            }
            None => Err(STILL_READING.to_owned().into()),
        };
        self.last_failure = result.as_ref().err().map(ToString::to_string);
        if let Err(error) = &result {
            self.report_failure(error);
            return result;
        }
        self.report_invalid()?;
        if let Some(omitted) = self.admit("configuration reloaded") {
            tracing::info!(omitted, "configuration reloaded");
        }
        result
    }

    /// Reloads the web configuration; with `only_changed`, only if one of its files has changed.
    async fn reload_web(&mut self, only_changed: bool) -> Result<(), WebConfigError> {
        let Some(web) = &mut self.web else { return Ok(()) };
        let result = web.reload(only_changed).await;
        let warnings = web.warnings().to_vec();
        match result {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) => {
                self.handle.web_config_loaded(false);
                if let Some(omitted) = self.admit(&error.to_string()) {
                    tracing::error!(%error, omitted, "web configuration reload failed; keeping the one in effect");
                }
                return Err(error);
            }
        }
        self.handle.web_config_loaded(true);
        for warning in &warnings {
            if let Some(omitted) = self.admit(warning) {
                tracing::warn!(warning, omitted, "web configuration warning");
            }
        }
        if let Some(omitted) = self.admit("web configuration reloaded") {
            tracing::info!(omitted, "web configuration reloaded");
        }
        Ok(())
    }

    async fn load(&mut self, running: &Arc<Running>) -> Result<(), LoadError> {
        let without_file = || "the exporter runs without a configuration file".to_owned();
        let file = self.config_file.clone().ok_or_else(without_file)?;
        let load = Arc::clone(&self.load);
        let previous = self.files.clone();
        // Noted before it is loaded, so that a later change is not missed.
        let read = move || (previous.main_content_now(), load(&file, &previous));
        let (content, config) = self.read(running, read).await?;
        self.tried = content;
        self.install(config?, true).await
    }

    /// Whether the configuration file has changed since the last attempt to load it. A file that was rejected is tried again,
    /// because a file that it refers to may have been the reason; it is due if the result would be another one.
    async fn is_reload_due(&mut self) -> bool {
        // A read that hangs was reported.
        let Some(running) = Running::start(&self.handle) else { return false };
        let files = self.files.clone();
        let content = match self.read(&running, move || files.main_content_now()).await {
            Ok(content) => content,
            Err(error) => {
                self.report_failure(&error);
                return false;
            }
        };
        if content != self.tried {
            return true;
        }
        let Some(file) = self.config_file.clone().filter(|_| self.rejected) else { return false };
        let (load, previous) = (Arc::clone(&self.load), self.files.clone());
        match self.read(&running, move || load(&file, &previous)).await {
            Ok(result) => result.err().map(|error| error.to_string()) != self.last_failure,
            Err(_) => false,
        }
    }

    /// Reloads the files if they have changed since the last check.
    async fn poll_files(&mut self) {
        // A read that hangs was reported.
        let Some(running) = Running::start(&self.handle) else { return };
        match self.load_changed_files(&running).await {
            Ok(false) => {}
            Ok(true) if self.report_invalid().is_err() => {}
            Ok(true) => {
                let files = self.files.target_files().len();
                tracing::info!(
                    target_files = files,
                    targets = self.handle.fleet().targets.len(),
                    "changed files reloaded"
                );
            }
            Err(error) => self.report_failure(&error),
        }
    }

    /// Returns whether the files have changed.
    async fn load_changed_files(&mut self, running: &Arc<Running>) -> Result<bool, LoadError> {
        let before = self.seen.take();
        let files = self.files.clone();
        let now = Some(self.read(running, move || files.look()).await?);
        if now == before {
            self.seen = now;
            return Ok(false);
        }
        let files = self.files.clone();
        let loaded = self.read(running, move || files.load()).await?;
        self.seen = now;
        let Some(config) = loaded else { return Ok(false) };
        // The configuration file may still be invalid.
        self.install(config?, !self.rejected).await?;
        Ok(true)
    }

    /// Applies a configuration. `is_current`: it is that of the configuration file as it is now.
    async fn install(&mut self, config: Config, is_current: bool) -> Result<(), LoadError> {
        let files = config.files.clone();
        for warning in &config.warnings {
            if let Some(omitted) = self.admit(warning) {
                tracing::warn!(warning, omitted, "configuration warning");
            }
        }
        let config = config.of_shard(self.shard);
        if is_current {
            self.handle.reload(config).await?;
        } else {
            self.handle.reload_in_part(config).await?;
        }
        warn_of_unmatched(&files, self.files.unmatched());
        self.seen = Some(Ok(files.found().clone()));
        self.files = files;
        Ok(())
    }

    fn report_failure(&mut self, error: &LoadError) {
        self.handle.reload_failed();
        if let Some(omitted) = self.admit(&error.to_string()) {
            tracing::error!(%error, omitted, "reload failed; keeping the running configuration");
        }
    }

    /// Logs each invalid file.
    ///
    /// # Errors
    /// If there are any.
    fn report_invalid(&mut self) -> Result<(), LoadError> {
        let failures = self.files.failures().to_vec();
        for error in &failures {
            if let Some(omitted) = self.admit(&error.to_string()) {
                tracing::error!(%error, omitted, "invalid file; its last valid content, if any, stays in effect");
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(LoadError::InPart(failures)) }
    }

    /// Whether to log a message now, and how often it was omitted before.
    fn admit(&mut self, message: &str) -> Option<Option<u64>> {
        let now = Instant::now().into_std();
        if self.is_log_limited { self.log.admit(message, now) } else { Some(self.log.record(message, now)) }
    }

    fn report_omitted(&mut self) {
        for (message, times) in self.log.omitted(Instant::now().into_std()) {
            tracing::info!(repeated = message, times, "repeated messages omitted");
        }
    }

    /// The result of `work` on a separate thread, which is left alone if it does not return in time.
    async fn read<T: Send + 'static>(
        &self,
        running: &Arc<Running>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LoadError> {
        if Arc::strong_count(running) > 1 {
            return Err(STILL_READING.to_owned().into());
        }
        let running = Arc::clone(running);
        let task = spawn_blocking(move || {
            let _running = running;
            work()
        });
        let limit = self.time_limit;
        let returned = timeout(limit, task).await.map_err(|_| {
            format!("reading the configuration did not end within {limit:?}: a file system does not respond")
        })?;
        returned.map_err(|panic| LoadError::Panicked(panic.to_string()))
    }
}

/// Resolves when the signal is received; immediately, with None, if it is not handled.
async fn received(signal: Option<&mut Signal>) -> Option<()> {
    signal?.recv().await
}

/// Resolves at the next tick; immediately, with None, if there is none.
async fn elapsed(interval: Option<&mut Interval>) -> Option<()> {
    interval?.tick().await;
    Some(())
}

/// Logs a warning for each pattern without a match, except for those in `before`: a pattern may match files later.
fn warn_of_unmatched(files: &Files, before: &[String]) {
    for glob in files.unmatched().iter().filter(|glob| !before.contains(glob)) {
        tracing::warn!(pattern = glob, "no file matches target_files pattern");
    }
}

const TIME_LIMIT: Duration = Duration::from_secs(30);
const RELOAD_PAUSE: Duration = Duration::from_secs(1);
/// In which HTTP clients can cause the same message once.
const LOG_PERIOD: Duration = Duration::from_secs(10);
/// Invalid files that a response lists.
const MAX_FILES: usize = 10;
const STILL_READING: &str = "an earlier reload still waits for a file system that does not respond";

#[cfg(test)]
mod tests;
