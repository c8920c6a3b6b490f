//! Reloads the configuration while the service runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, timeout};

use crate::config::{Config, ConfigError, Files, Found};
use crate::monitor::Handle;
use crate::web::ReloadRequest;

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
}

type LoadFn = dyn Fn(&Path, &Files) -> Result<Config, ConfigError> + Send + Sync;

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
        warn_of_unmatched(&files, &[]);
        let _reported = report_invalid(&handle, &files);
        let (load, seen) = (Arc::new(Config::load_after), Some(Ok(files.found().clone())));
        Self { config_file, load, time_limit: TIME_LIMIT, handle, files, seen, rejected: false }
    }

    /// Runs until no request can arrive.
    pub(super) async fn run(
        mut self,
        mut requests: mpsc::Receiver<ReloadRequest>,
        mut hangup: Option<Signal>,
        period: Duration,
    ) {
        let mut poll = tokio::time::interval(period);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let request: Option<oneshot::Sender<_>> = tokio::select! {
                Some(request) = requests.recv() => Some(request),
                Some(()) = received(hangup.as_mut()) => None,
                _ = poll.tick(), if self.files.are_watched() => {
                    self.poll_files().await;
                    continue;
                }
                else => return,
            };
            let result = self.reload().await;
            if let Some(request) = request {
                // The client may have disconnected.
                let _ = request.send(result);
            }
        }
    }

    /// Reloads everything and returns the result.
    async fn reload(&mut self) -> Result<(), String> {
        let result = match Running::start(&self.handle) {
            Some(running) => {
                let result = self.load(&running).await;
                let files = self.files.clone();
                // If only another file is invalid, the failure ends when that file becomes valid.
                self.rejected = result.is_err()
                    && !self.read(&running, move || files.are_of_current_config()).await.unwrap_or_default();
                result
            }
            None => Err(STILL_READING.to_owned()),
        };
        if let Err(error) = &result {
            self.report_failure(error);
            return result;
        }
        report_invalid(&self.handle, &self.files)?;
        tracing::info!("configuration reloaded");
        result
    }

    async fn load(&mut self, running: &Arc<Running>) -> Result<(), String> {
        let file = self.config_file.clone().ok_or("the exporter runs without a configuration file")?;
        let load = Arc::clone(&self.load);
        let previous = self.files.clone();
        let config = self.read(running, move || load(&file, &previous)).await?.map_err(|error| error.to_string())?;
        self.install(config).await
    }

    /// Reloads the files if they have changed since the last check.
    async fn poll_files(&mut self) {
        // A read that hangs was reported.
        let Some(running) = Running::start(&self.handle) else { return };
        match self.load_changed_files(&running).await {
            Ok(false) => {}
            Ok(true) if report_invalid(&self.handle, &self.files).is_err() => {}
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
    async fn load_changed_files(&mut self, running: &Arc<Running>) -> Result<bool, String> {
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
        self.install(config.map_err(|error| error.to_string())?).await?;
        Ok(true)
    }

    async fn install(&mut self, config: Config) -> Result<(), String> {
        let files = config.files.clone();
        for warning in &config.warnings {
            tracing::warn!(warning, "configuration warning");
        }
        self.handle.reload(config).await?;
        warn_of_unmatched(&files, self.files.unmatched());
        self.seen = Some(Ok(files.found().clone()));
        self.files = files;
        Ok(())
    }

    fn report_failure(&self, error: &str) {
        self.handle.reload_failed();
        tracing::error!(%error, "reload failed; keeping the running configuration");
    }

    /// The result of `work` on a separate thread, which is left alone if it does not return in time.
    async fn read<T: Send + 'static>(
        &self,
        running: &Arc<Running>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        if Arc::strong_count(running) > 1 {
            return Err(STILL_READING.to_owned());
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
        returned.map_err(|panic| panic.to_string())
    }
}

/// Resolves when the signal is received; immediately, with None, if it is not handled.
async fn received(signal: Option<&mut Signal>) -> Option<()> {
    signal?.recv().await
}

/// Logs each invalid file, and returns the first error.
fn report_invalid(handle: &Handle, files: &Files) -> Result<(), String> {
    for error in files.failures() {
        tracing::error!(%error, "invalid file; its last valid content, if any, stays in effect");
    }
    let Some(first) = files.failures().first() else { return Ok(()) };
    handle.reload_failed();
    Err(first.to_string())
}

/// Logs a warning for each pattern without a match, except for those in `before`: a pattern may match files later.
fn warn_of_unmatched(files: &Files, before: &[String]) {
    for glob in files.unmatched().iter().filter(|glob| !before.contains(glob)) {
        tracing::warn!(pattern = glob, "no file matches target_files pattern");
    }
}

const TIME_LIMIT: Duration = Duration::from_secs(30);
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

    #[tokio::test]
    async fn a_fifo_as_trust_store_is_rejected() {
        let mut fixture = LoaderFixture::start();
        let fifo = fixture.folder.path().join("roots.pem");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
        assert!(made.success());
        fixture.write("config.yaml", "trust_stores: {own: {files: [roots.pem]}}\ntarget_files: ['*.json']\n");
        let error = fixture.loader.reload().await.expect_err("a FIFO");
        assert!(error.contains("roots.pem: not a regular file"), "{error}");
        assert!(!fixture.loader.handle.fleet().exporter.reload_successful);
    }
}
