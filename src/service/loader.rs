//! Reloads the configuration while the service runs.

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use crate::config::{Config, ConfigError, Found, TargetFiles};
use crate::monitor::Handle;
use crate::web::ReloadRequest;

/// Reloads the whole configuration on SIGHUP or a request, and the target files when they change.
pub(super) struct Loader {
    config_file: Option<PathBuf>,
    handle: Handle,
    /// The target files of the running configuration.
    files: TargetFiles,
    /// Their state at the last attempt to load them.
    seen: Result<Found, ConfigError>,
    /// Whether the last reload rejected the configuration file, so that the running configuration is older.
    rejected: bool,
}

impl Loader {
    /// The loader of a service that runs with `files`. Logs a warning for each pattern without a match.
    pub(super) fn new(config_file: Option<PathBuf>, handle: Handle, files: TargetFiles) -> Self {
        warn_of_unmatched(&files, &[]);
        let seen = Ok(files.found().clone());
        Self { config_file, handle, files, seen, rejected: false }
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
                _ = poll.tick(), if self.files.are_named() => {
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
        let result = self.load().await;
        let files = self.files.clone();
        // If only a target file is invalid, the failure ends when that file becomes valid.
        self.rejected = result.is_err() && !blocking(move || files.are_of_current_config()).await.unwrap_or_default();
        match &result {
            Ok(()) => tracing::info!("configuration reloaded"),
            Err(error) => self.report_failure(error),
        }
        result
    }

    async fn load(&mut self) -> Result<(), String> {
        let file = self.config_file.clone().ok_or("the exporter runs without a configuration file")?;
        let config = blocking(move || Config::load(&file)).await?.map_err(|error| error.to_string())?;
        self.install(config).await
    }

    /// Reloads the target files if they have changed since the last check.
    async fn poll_files(&mut self) {
        let files = self.files.clone();
        let Ok(now) = blocking(move || files.look()).await else { return };
        if now == self.seen {
            return;
        }
        self.seen = now;
        let files = self.files.clone();
        let result = match blocking(move || files.load()).await {
            Ok(None) => return,
            Ok(Some(Ok(config))) => self.install(config).await,
            Ok(Some(Err(error))) => Err(error.to_string()),
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => {
                let files = self.files.paths().len();
                tracing::info!(files, targets = self.handle.fleet().targets.len(), "target files reloaded");
                if self.rejected {
                    // The configuration file is still invalid.
                    self.handle.reload_failed();
                }
            }
            Err(error) => self.report_failure(&error),
        }
    }

    async fn install(&mut self, config: Config) -> Result<(), String> {
        let files = config.target_files.clone();
        self.handle.reload(config).await?;
        warn_of_unmatched(&files, self.files.unmatched());
        self.seen = Ok(files.found().clone());
        self.files = files;
        Ok(())
    }

    fn report_failure(&self, error: &str) {
        self.handle.reload_failed();
        tracing::error!(%error, "reload failed; keeping the running configuration");
    }
}

/// Resolves when the signal is received; at once, with None, if it is not handled.
async fn received(signal: Option<&mut Signal>) -> Option<()> {
    signal?.recv().await
}

/// Runs `work`, which may wait for a disk, on a separate thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|panic| panic.to_string())
}

/// Logs a warning for each pattern without a match, except for those in `before`: a pattern may match files later.
fn warn_of_unmatched(files: &TargetFiles, before: &[String]) {
    for glob in files.unmatched().iter().filter(|glob| !before.contains(glob)) {
        tracing::warn!(pattern = glob, "no file matches target_files pattern");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::time::SystemTime;

    use tempfile::TempDir;

    use super::*;
    use crate::monitor::Monitor;

    /// A running monitor whose configuration has target files, and its loader.
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
            let files = config.target_files.clone();
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
    async fn an_invalid_file_changes_nothing_and_is_loaded_once() {
        let mut fixture = LoaderFixture::start();
        fixture.write("a.json", r#"[{"targets": ["127.0.0.1:1"]}]"#);
        fixture.write("b.json", r#"[{"targets": ["127.0.0.2:1"]}]"#);
        fixture.look(&["1", "2"], true).await;
        fixture.write("a.json", r#"[{"targets": ["127.0."#);
        fixture.look(&["1", "2"], false).await;

        // Another attempt to load it would fail again.
        let running = fixture.loader.files.clone();
        fixture.write("a.json", r#"[{"targets": ["127.0.0.1:1"]}]"#);
        let valid = running.load().expect("files are named").expect("a config");
        fixture.write("a.json", r#"[{"targets": ["127.0."#);
        fixture.loader.seen = fixture.loader.files.look();
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
        // The configuration file has changed, too.
        fixture.look(&["2"], false).await;
        fixture.reload(&["2"], true).await;
    }

    #[tokio::test]
    async fn a_configuration_without_target_files_ends_the_watch() {
        let mut fixture = LoaderFixture::start();
        fixture.write("config.yaml", "targets: [{host: 127.0.0.9, port: 1, trust: mozilla}]");
        fixture.reload(&["9"], true).await;
        fixture.write("a.json", r#"[{"targets": ["127.0.0.1:1"]}]"#);
        fixture.look(&["9"], true).await;
        assert!(!fixture.loader.files.are_named());
    }
}
