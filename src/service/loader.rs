//! Reloads the configuration while the service runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use thiserror::Error;
use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, sleep_until, timeout};

use crate::config::{Config, ConfigError, Files, Found};
use crate::monitor::Handle;
use crate::web::{LogLimit, ReloadRequests};

/// Reloads the whole configuration on SIGHUP or a request, and the files that it refers to when they change.
pub(super) struct Loader {
    config_file: Option<PathBuf>,
    load: Arc<LoadFn>,
    /// The time limit of a read: the file system may hang.
    time_limit: Duration,
    handle: Handle,
    /// The files of the running configuration.
    files: Files,
    /// Their state at the last attempt to load them; none if the attempt did not end in time.
    seen: Option<Result<Found, ConfigError>>,
    /// Whether the last reload rejected the configuration file, so that the running configuration is older.
    rejected: bool,
    /// Between the end of a reload and the start of the next one.
    pause: Duration,
    log: LogLimit,
    /// Whether the current reload was requested by HTTP clients only, who may be many and get its result.
    is_log_limited: bool,
}

type LoadFn = dyn Fn(&Path, &Files) -> Result<Config, ConfigError> + Send + Sync;

/// Why a reload failed. `Display` is the text for the log.
#[derive(Debug, Error)]
enum LoadError {
    #[error(transparent)]
    Config(Box<ConfigError>),
    #[error("{0}")]
    Panicked(String),
    /// Contains nothing of a file.
    #[error("{0}")]
    Other(String),
}

impl LoadError {
    /// The text for HTTP clients.
    fn public(&self) -> String {
        match self {
            Self::Config(error) => format!("{}; see the log of the exporter", error.summary()),
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
    /// The loader of a service that runs with `files`. Logs what is wrong with them.
    pub(super) fn new(config_file: Option<PathBuf>, handle: Handle, files: Files) -> Self {
        let mut loader = Self {
            config_file,
            load: Arc::new(Config::load_after),
            time_limit: TIME_LIMIT,
            handle,
            seen: Some(Ok(files.found().clone())),
            files,
            rejected: false,
            pause: RELOAD_PAUSE,
            log: LogLimit::new(LOG_PERIOD),
            is_log_limited: false,
        };
        warn_of_unmatched(&loader.files, &[]);
        let _reported = loader.report_invalid();
        loader
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self, mut requests: ReloadRequests, mut hangup: Option<Signal>, period: Duration) {
        let mut poll = tokio::time::interval(period);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut earliest = Instant::now();
        loop {
            let mut is_signal = tokio::select! {
                Some(()) = requests.received() => false,
                Some(()) = received(hangup.as_mut()) => true,
                _ = poll.tick() => {
                    self.report_omitted();
                    if self.files.are_watched() {
                        self.poll_files().await;
                    }
                    continue;
                }
            };
            // What arrives until the reload starts shares it; what arrives later may refer to a later change of a file.
            sleep_until(earliest).await;
            is_signal |= received(hangup.as_mut()).now_or_never().flatten().is_some();
            requests.start();
            self.is_log_limited = !is_signal;
            let result = self.reload().await;
            self.is_log_limited = false;
            earliest = Instant::now() + self.pause;
            requests.finish(result.map_err(|error| error.public()));
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

    async fn load(&mut self, running: &Arc<Running>) -> Result<(), LoadError> {
        let without_file = || "the exporter runs without a configuration file".to_owned();
        let file = self.config_file.clone().ok_or_else(without_file)?;
        let load = Arc::clone(&self.load);
        let previous = self.files.clone();
        let config = self.read(running, move || load(&file, &previous)).await??;
        self.install(config).await
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
                if self.rejected {
                    // The configuration file is still invalid.
                    self.handle.reload_failed();
                }
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
        self.install(config?).await?;
        Ok(true)
    }

    async fn install(&mut self, config: Config) -> Result<(), LoadError> {
        let files = config.files.clone();
        for warning in &config.warnings {
            if let Some(omitted) = self.admit(warning) {
                tracing::warn!(warning, omitted, "configuration warning");
            }
        }
        self.handle.reload(config).await?;
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

    /// Logs each invalid file, and returns the first error.
    fn report_invalid(&mut self) -> Result<(), LoadError> {
        let failures = self.files.failures().to_vec();
        for error in &failures {
            if let Some(omitted) = self.admit(&error.to_string()) {
                tracing::error!(%error, omitted, "invalid file; its last valid content, if any, stays in effect");
            }
        }
        let Some(first) = failures.into_iter().next() else { return Ok(()) };
        self.handle.reload_failed();
        Err(first.into())
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
const STILL_READING: &str = "an earlier reload still waits for a file system that does not respond";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::channel;
    use std::time::SystemTime;

    use parking_lot::Mutex;

    use tempfile::TempDir;

    use super::*;
    use crate::monitor::Monitor;
    use crate::web::reloads;

    /// A running monitor and its loader.
    struct LoaderFixture {
        folder: TempDir,
        loader: Loader,
    }

    impl LoaderFixture {
        fn start() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let main = folder.path().join("config.yaml");
            fs::write(&main, MAIN).expect("a file");
            let config = Config::load(&main).expect("a config");
            let files = config.files.clone();
            let (monitor, handle) = Monitor::new(config, Arc::new(SystemTime::now)).expect("a monitor");
            tokio::spawn(monitor.run(std::future::pending()));
            Self { folder, loader: Loader::new(Some(main), handle, files) }
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.folder.path().join(name), text).expect("a file");
        }

        /// Checks the files, then expects these targets and this result of the last load.
        #[track_caller]
        fn look(&mut self, names: &[&str], successful: bool) -> impl Future<Output = ()> {
            let place = std::panic::Location::caller();
            async move {
                self.loader.poll_files().await;
                self.check(place, names, successful);
            }
        }

        /// As `look`, after a reload of everything.
        #[track_caller]
        fn reload(&mut self, names: &[&str], successful: bool) -> impl Future<Output = ()> {
            let place = std::panic::Location::caller();
            async move {
                let result = self.loader.reload().await;
                assert_eq!(result.is_ok(), successful, "{place}: {result:?}");
                self.check(place, names, successful);
            }
        }

        fn check(&self, place: &std::panic::Location<'_>, names: &[&str], successful: bool) {
            let fleet = self.loader.handle.fleet();
            let found: Vec<_> = fleet.targets.iter().map(|report| report.target.name.to_string()).collect();
            let names: Vec<_> = names.iter().map(|name| format!("127.0.0.{name}:1")).collect();
            assert_eq!((found, fleet.exporter.reload_successful), (names, successful), "{place}");
        }
    }

    const MAIN: &str = "defaults: {trust: mozilla, interval: 1h}\ntarget_files: ['*.json']\n";

    #[tokio::test]
    async fn target_files_can_appear_change_and_disappear() {
        let mut fixture = LoaderFixture::start();
        fixture.look(&[], true).await;
        fixture.write("a.json", r#"[{"targets": ["127.0.0.1:1"]}]"#);
        fixture.look(&["1"], true).await;
        fixture.write("b.json", r#"[{"targets": ["127.0.0.2:1"]}]"#);
        fixture.look(&["1", "2"], true).await;
        fixture.write("a.json", r#"[{"targets": ["127.0.0.1:1", "127.0.0.3:1"]}]"#);
        fixture.look(&["1", "3", "2"], true).await;
        fs::remove_file(fixture.folder.path().join("a.json")).expect("removed");
        fixture.look(&["2"], true).await;
        fs::remove_file(fixture.folder.path().join("b.json")).expect("removed");
        fixture.look(&[], true).await;
    }

    #[tokio::test]
    async fn an_invalid_file_keeps_its_last_valid_content_and_is_loaded_once() {
        let mut fixture = LoaderFixture::start();
        fixture.write("a.json", r#"[{"targets": ["127.0.0.1:1"]}]"#);
        fixture.write("b.json", r#"[{"targets": ["127.0.0.2:1"]}]"#);
        fixture.look(&["1", "2"], true).await;
        fixture.write("a.json", r#"[{"targets": ["127.0."#);
        fixture.look(&["1", "2"], false).await;
        fixture.write("b.json", r#"[{"targets": ["127.0.0.3:1"]}]"#);
        fixture.look(&["1", "3"], false).await;
        fixture.reload(&["1", "3"], false).await;
        fixture.write("b.json", r#"[{"targets": ["127.0.0.2:1"]}]"#);
        fixture.look(&["1", "2"], false).await;

        // Another attempt to load it would fail again.
        let running = fixture.loader.files.clone();
        fixture.write("a.json", r#"[{"targets": ["127.0.0.1:1"]}]"#);
        let valid = running.load().expect("files are named").expect("a config");
        fixture.write("a.json", r#"[{"targets": ["127.0."#);
        fixture.loader.seen = Some(fixture.loader.files.look());
        fixture.loader.handle.reload(valid).await.expect("a reload");
        fixture.look(&["1", "2"], true).await;

        fixture.write("a.json", r#"[{"targets": ["127.0.0.4:1"]}]"#);
        fixture.look(&["4", "2"], true).await;
    }

    #[tokio::test]
    async fn an_invalid_configuration_file_does_not_stop_target_files() {
        let mut fixture = LoaderFixture::start();
        fixture.write("config.yaml", "targets: [");
        fixture.write("a.json", r#"[{"targets": ["127.0.0.1:1"]}]"#);
        fixture.look(&["1"], true).await;

        fixture.reload(&["1"], false).await;
        fixture.write("b.json", r#"[{"targets": ["127.0.0.2:1"]}]"#);
        // The new files are loaded, but the configuration file is still invalid.
        fixture.look(&["1", "2"], false).await;

        fixture.write("config.yaml", &MAIN.replace("*.json", "b.json"));
        fixture.look(&["1", "2"], false).await;
        fixture.reload(&["2"], true).await;
        fixture.write("a.json", r#"[{"targets": ["127.0.0.3:1"]}, {"targets": []}]"#);
        fixture.look(&["2"], true).await;
        fixture.write("b.json", r#"[{"targets": ["127.0.0.4:1"]}, {"targets": []}]"#);
        fixture.look(&["4"], true).await;
    }

    #[tokio::test]
    async fn fixing_a_target_file_ends_a_failure_that_it_caused() {
        let mut fixture = LoaderFixture::start();
        fixture.write("a.json", "[{");
        fixture.look(&[], false).await;
        fixture.reload(&[], false).await;
        fixture.write("a.json", r#"[{"targets": ["127.0.0.1:1"]}]"#);
        fixture.look(&["1"], true).await;

        fixture.write("a.json", "[{");
        fixture.write("config.yaml", &MAIN.replace("1h", "2h"));
        fixture.reload(&["1"], false).await;
        fixture.write("a.json", r#"[{"targets": ["127.0.0.2:1"]}]"#);
        fixture.look(&["2"], true).await;
        fixture.reload(&["2"], true).await;
    }

    #[tokio::test]
    async fn a_configuration_without_target_files_ends_the_watch() {
        let mut fixture = LoaderFixture::start();
        fixture.write("config.yaml", "targets: [{host: 127.0.0.9, port: 1, trust: mozilla}]");
        fixture.reload(&["9"], true).await;
        fixture.write("a.json", r#"[{"targets": ["127.0.0.1:1"]}]"#);
        fixture.look(&["9"], true).await;
        assert!(!fixture.loader.files.has_target_files());
    }

    #[tokio::test]
    async fn a_read_that_hangs_fails_the_reload_until_it_returns() {
        let mut fixture = LoaderFixture::start();
        let (release, hang) = channel::<()>();
        let (hang, loads) = (Mutex::new(hang), Arc::new(Mutex::new(Vec::new())));
        let (count, gauge) = (Arc::clone(&loads), fixture.loader.handle.clone());
        fixture.loader.load = Arc::new(move |path, files| {
            count.lock().push(gauge.fleet().exporter.reload_running);
            let _ = hang.lock().recv();
            Config::load_after(path, files)
        });
        fixture.loader.time_limit = Duration::from_millis(50);
        fixture.write("a.json", r#"[{"targets": ["127.0.0.1:1"]}]"#);
        let running = |fixture: &LoaderFixture| fixture.loader.handle.fleet().exporter.reload_running;
        assert!(!running(&fixture));
        for _ in 0..3 {
            fixture.reload(&[], false).await;
            fixture.look(&[], false).await;
            assert!(running(&fixture));
        }
        assert_eq!(*loads.lock(), [true], "one read");

        drop(release);
        fixture.loader.time_limit = TIME_LIMIT;
        while running(&fixture) {
            tokio::task::yield_now().await;
        }
        fixture.reload(&["1"], true).await;
        assert!(!running(&fixture));
        assert_eq!(*loads.lock(), [true, true]);
    }

    /// The loads of a loader that waits for a permission after each, when it has read the file.
    struct GatedLoads {
        begun: tokio::sync::mpsc::UnboundedReceiver<Instant>,
        gate: std::sync::mpsc::Sender<()>,
    }

    fn gate_loads(loader: &mut Loader) -> GatedLoads {
        let (read, begun) = tokio::sync::mpsc::unbounded_channel();
        let (gate, released) = channel();
        let released = Mutex::new(released);
        loader.load = Arc::new(move |path, files| {
            let begin = Instant::now();
            let config = Config::load_after(path, files);
            let _ = read.send(begin);
            let _ = released.lock().recv();
            config
        });
        GatedLoads { begun, gate }
    }

    #[tokio::test]
    async fn requests_during_a_reload_share_the_next_one() {
        let LoaderFixture { folder, mut loader } = LoaderFixture::start();
        let mut loads = gate_loads(&mut loader);
        loader.pause = Duration::from_millis(100);
        let (reloader, requests) = reloads();
        let handle = loader.handle.clone();
        let running = tokio::spawn(loader.run(requests, None, TIME_LIMIT));
        let request = || {
            let reloader = reloader.clone();
            let mut request = Box::pin(async move { reloader.reload().await.expect("a result") });
            assert!(request.as_mut().now_or_never().is_none());
            request
        };
        let first = request();
        let begin = loads.begun.recv().await.expect("a load");
        // The first reload has read the file before it changes.
        fs::write(folder.path().join("config.yaml"), "targets: [{host: 127.0.0.1, port: hidden}]").expect("a file");
        let others: Vec<_> = (0..20).map(|_| request()).collect();
        let ending = Instant::now();
        loads.gate.send(()).expect("a load");
        assert_eq!(first.await, Ok(()));
        assert!(loads.begun.recv().await.expect("a second load") >= ending + Duration::from_millis(100), "a pause");
        assert!(begin <= ending);
        loads.gate.send(()).expect("a load");
        for other in others {
            let error = other.await.expect_err("an invalid file");
            assert!(error.contains("config.yaml: targets[0].port: ") && error.contains("line 1"), "{error}");
            assert!(!error.contains("hidden") && !error.contains(folder.path().to_str().expect("text")), "{error}");
        }
        assert!(!handle.fleet().exporter.reload_successful);
        fs::write(folder.path().join("config.yaml"), MAIN).expect("a file");
        loads.gate.send(()).expect("a load");
        assert_eq!(request().await, Ok(()));
        assert!(loads.begun.try_recv().is_ok() && loads.begun.try_recv().is_err(), "three loads");
        assert!(handle.fleet().exporter.reload_successful);
        running.abort();
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn repeated_reloads_by_http_clients_are_logged_once() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).without_time().finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let mut fixture = LoaderFixture::start();
        fixture.write("a.json", "[{");
        let lines = || {
            let text = String::from_utf8(std::mem::take(&mut *log.0.lock())).expect("text");
            text.lines().filter(|line| line.contains("ERROR")).map(str::to_owned).collect::<Vec<_>>()
        };
        fixture.loader.is_log_limited = true;
        for expected in [1, 0, 0, 0] {
            fixture.reload(&[], false).await;
            assert_eq!(lines().len(), expected);
        }
        fixture.write("config.yaml", "targets: [");
        fixture.reload(&[], false).await;
        assert_eq!(lines().len(), 1, "another error");
        fixture.write("config.yaml", MAIN);
        // By a signal.
        fixture.loader.is_log_limited = false;
        fixture.reload(&[], false).await;
        let last = lines();
        assert!(matches!(&*last, [line] if line.contains("omitted=3")), "{last:?}");
    }

    #[tokio::test]
    async fn a_fifo_as_trust_store_is_rejected() {
        let mut fixture = LoaderFixture::start();
        let fifo = fixture.folder.path().join("roots.pem");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
        assert!(made.success());
        fixture.write("config.yaml", "trust_stores: {own: {files: [roots.pem]}}\ntarget_files: ['*.json']\n");
        let error = fixture.loader.reload().await.expect_err("a FIFO").to_string();
        assert!(error.contains("roots.pem: not a regular file"), "{error}");
        assert!(!fixture.loader.handle.fleet().exporter.reload_successful);
    }
}
