//! Loads the config anew while the service runs.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use crate::config::{Config, ConfigError, Found, TargetFiles};
use crate::monitor::Handle;
use crate::web::ReloadRequest;

/// Loads the config anew: all of it whenever a client or SIGHUP asks for that, and the files of targets when they
/// change.
pub(super) struct Loader {
    config_file: Option<PathBuf>,
    handle: Handle,
    /// The files of targets of the running config.
    files: TargetFiles,
    /// What was there when they were last loaded, or tried to be.
    seen: Result<Found, ConfigError>,
    /// Whether another config file was asked for than the one that runs, and could not be had.
    refused: bool,
}

impl Loader {
    /// The loader of a service that runs with `files`. Warns where they lack something.
    pub(super) fn new(config_file: Option<PathBuf>, handle: Handle, files: TargetFiles) -> Self {
        warn_of_unmatched(&files, &[]);
        let seen = Ok(files.found().clone());
        Self { config_file, handle, files, seen, refused: false }
    }

    /// Loads until nobody can ask any more.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<ReloadRequest>, period: Duration) -> io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut look = tokio::time::interval(period);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let request: Option<oneshot::Sender<_>> = tokio::select! {
                Some(request) = requests.recv() => Some(request),
                Some(()) = hangup.recv() => None,
                _ = look.tick(), if self.files.are_named() => {
                    self.look().await;
                    continue;
                }
                else => return Ok(()),
            };
            let result = self.obey().await;
            if let Some(request) = request {
                // Who asked may have hung up.
                let _ = request.send(result);
            }
        }
    }

    /// Loads everything anew, as somebody has asked for it, and tells how that went.
    async fn obey(&mut self) -> Result<(), String> {
        let result = self.reload().await;
        let files = self.files.clone();
        // A failure that is a target file's alone ends when that file is mended.
        self.refused = result.is_err() && !blocking(move || files.are_of_current_config()).await.unwrap_or_default();
        match &result {
            Ok(()) => tracing::info!("config loaded anew"),
            Err(error) => self.tell_failure(error),
        }
        result
    }

    async fn reload(&mut self) -> Result<(), String> {
        let file = self.config_file.clone().ok_or("this exporter has no config file")?;
        let config = blocking(move || Config::load(&file)).await?.map_err(|error| error.to_string())?;
        self.install(config).await
    }

    /// Loads the files of targets anew where they have changed since they were last looked at.
    async fn look(&mut self) {
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
                tracing::info!(files, targets = self.handle.fleet().targets.len(), "target files loaded anew");
                if self.refused {
                    // The config file itself is still the one that was refused.
                    self.handle.reload_failed();
                }
            }
            Err(error) => self.tell_failure(&error),
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

    fn tell_failure(&self, error: &str) {
        self.handle.reload_failed();
        tracing::error!(%error, "config not loaded, the running one stays");
    }
}

/// Does what may wait for a disk, on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|panic| panic.to_string())
}

/// Warns of globs that match nothing, but for those that did `before`: the folder may fill later.
fn warn_of_unmatched(files: &TargetFiles, before: &[String]) {
    for glob in files.unmatched().iter().filter(|glob| !before.contains(glob)) {
        tracing::warn!(glob, "no file matches this glob of target_files");
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

    /// A monitor that runs with a config that names files of targets, and the loader of both.
    struct Site {
        folder: TempDir,
        loader: Loader,
    }

    impl Site {
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

        /// After a look at the files there are these targets, and the last load went so.
        #[track_caller]
        fn look(&mut self, names: &[&str], successful: bool) -> impl Future<Output = ()> {
            let place = std::panic::Location::caller();
            async move {
                self.loader.look().await;
                self.check(place, names, successful);
            }
        }

        /// As `look`, after all was to be loaded anew.
        #[track_caller]
        fn reload(&mut self, names: &[&str], successful: bool) -> impl Future<Output = ()> {
            let place = std::panic::Location::caller();
            async move {
                let result = self.loader.obey().await;
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
    async fn files_come_change_and_go() {
        let mut site = Site::start();
        site.look(&[], true).await;
        site.write("a.json", r#"[{"targets": ["127.0.0.1:1"]}]"#);
        site.look(&["1"], true).await;
        site.write("b.json", r#"[{"targets": ["127.0.0.2:1"]}]"#);
        site.look(&["1", "2"], true).await;
        site.write("a.json", r#"[{"targets": ["127.0.0.1:1", "127.0.0.3:1"]}]"#);
        site.look(&["1", "3", "2"], true).await;
        fs::remove_file(site.folder.path().join("a.json")).expect("removed");
        site.look(&["2"], true).await;
        fs::remove_file(site.folder.path().join("b.json")).expect("removed");
        site.look(&[], true).await;
    }

    #[tokio::test]
    async fn a_broken_file_changes_nothing_and_is_told_once() {
        let mut site = Site::start();
        site.write("a.json", r#"[{"targets": ["127.0.0.1:1"]}]"#);
        site.write("b.json", r#"[{"targets": ["127.0.0.2:1"]}]"#);
        site.look(&["1", "2"], true).await;
        site.write("a.json", r#"[{"targets": ["127.0."#);
        site.look(&["1", "2"], false).await;

        // Had the next look tried again, it would have failed again.
        let running = site.loader.files.clone();
        site.write("a.json", r#"[{"targets": ["127.0.0.1:1"]}]"#);
        let good = running.load().expect("files are named").expect("a config");
        site.write("a.json", r#"[{"targets": ["127.0."#);
        site.loader.seen = site.loader.files.look();
        site.loader.handle.reload(good).await.expect("it is taken");
        site.look(&["1", "2"], true).await;

        site.write("a.json", r#"[{"targets": ["127.0.0.4:1"]}]"#);
        site.look(&["4", "2"], true).await;
    }

    #[tokio::test]
    async fn a_half_edited_config_file_does_not_matter_to_them() {
        let mut site = Site::start();
        site.write("config.yaml", "targets: [");
        site.write("a.json", r#"[{"targets": ["127.0.0.1:1"]}]"#);
        site.look(&["1"], true).await;

        site.reload(&["1"], false).await;
        site.write("b.json", r#"[{"targets": ["127.0.0.2:1"]}]"#);
        // The new files are loaded, but the config file is still the one that was refused.
        site.look(&["1", "2"], false).await;

        site.write("config.yaml", &MAIN.replace("*.json", "b.json"));
        site.look(&["1", "2"], false).await;
        site.reload(&["2"], true).await;
        site.write("a.json", r#"[{"targets": ["127.0.0.3:1"]}, {"targets": []}]"#);
        site.look(&["2"], true).await;
        site.write("b.json", r#"[{"targets": ["127.0.0.4:1"]}, {"targets": []}]"#);
        site.look(&["4"], true).await;
    }

    #[tokio::test]
    async fn a_reload_that_fails_for_a_target_file_is_made_good_with_it() {
        let mut site = Site::start();
        site.write("a.json", "[{");
        site.look(&[], false).await;
        site.reload(&[], false).await;
        site.write("a.json", r#"[{"targets": ["127.0.0.1:1"]}]"#);
        site.look(&["1"], true).await;

        site.write("a.json", "[{");
        site.write("config.yaml", &MAIN.replace("1h", "2h"));
        site.reload(&["1"], false).await;
        site.write("a.json", r#"[{"targets": ["127.0.0.2:1"]}]"#);
        // What was asked for is another config file, too.
        site.look(&["2"], false).await;
        site.reload(&["2"], true).await;
    }

    #[tokio::test]
    async fn a_config_without_files_of_targets_ends_the_watch() {
        let mut site = Site::start();
        site.write("config.yaml", "targets: [{host: 127.0.0.9, port: 1, trust: mozilla}]");
        site.reload(&["9"], true).await;
        site.write("a.json", r#"[{"targets": ["127.0.0.1:1"]}]"#);
        site.look(&["9"], true).await;
        assert!(!site.loader.files.are_named());
    }
}
