use std::fs;
use std::sync::mpsc::channel;
use std::time::SystemTime;

use parking_lot::Mutex;

use tempfile::TempDir;

use super::*;
use crate::monitor::Monitor;
use crate::target::Shard;
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
        Self { folder, loader: Loader::new(Some(main), handle, files, Shard::default(), None, Notifier::default()) }
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

/// Files that are invalid at the time of a reload, of which two have the same name.
#[tokio::test]
async fn a_reload_in_part_is_reported_as_such() {
    let mut fixture = LoaderFixture::start();
    for folder in ["one", "two"] {
        fs::create_dir(fixture.folder.path().join(folder)).expect("a folder");
    }
    fixture.write("config.yaml", &MAIN.replace("'*.json'", "'*/*.json', '*.json'"));
    fixture.write("one/a.json", r#"[{"targets": ["127.0.0.1:1"]}]"#);
    fixture.reload(&["1"], true).await;
    let time = |fixture: &LoaderFixture| fixture.loader.handle.fleet().exporter.reload_success_at;
    let success = time(&fixture);
    fixture.write("two/a.json", r#"[{"targets": ["127.0.0.2:1"], "labels": {"S3cret": []}}]"#);
    fixture.write("b.json", r#"[{"targets": ["127.0.0.3:1"]}]"#);
    fixture.write("one/a.json", r#"[{"targets": ["127.0."#);
    let error = fixture.loader.reload().await.expect_err("invalid files");
    let text = error.public(fixture.folder.path());
    for part in ["configuration reloaded, except for 2 ", "one/a.json: ", "two/a.json: [0].labels.*: "] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("S3cret") && !text.contains(fixture.folder.path().to_str().expect("text")), "{text}");
    fixture.check(std::panic::Location::caller(), &["3", "1"], false);
    assert_eq!(time(&fixture), success, "the time is that of the last complete reload");

    for number in 0..30 {
        fixture.write(&format!("two/c{number:02}.json"), "[{");
    }
    let text = fixture.loader.reload().await.expect_err("invalid files").public(fixture.folder.path());
    assert!(text.contains("except for 32 ") && text.matches(".json").count() <= MAX_FILES, "{text}");

    // Of an invalid configuration file, nothing is applied.
    fixture.write("config.yaml", "trust_stores: {S3cret: {files: [S3cret.pem]}}");
    let text = fixture.loader.reload().await.expect_err("an invalid file").public(fixture.folder.path());
    assert!(
        text.contains("not reloaded: config.yaml: trust_stores.*.files[0]: ") && !text.contains("S3cret"),
        "{text}"
    );
    assert_eq!(time(&fixture), success);
    fixture.write("b.json", r#"[{"targets": ["127.0.0.4:1"]}]"#);
    fixture.loader.poll_files().await;
    fixture.check(std::panic::Location::caller(), &["4", "1"], false);
    assert_eq!(time(&fixture), success, "the configuration file is still invalid");
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

impl LoaderFixture {
    /// Checks the configuration file, and reloads if that is due; whether it was.
    async fn poll_config(&mut self) -> bool {
        let is_due = self.loader.is_reload_due().await;
        if is_due {
            let _reported = self.loader.reload().await;
        }
        is_due
    }
}

#[tokio::test]
async fn a_changed_configuration_file_is_loaded_once() {
    let mut fixture = LoaderFixture::start();
    let place = std::panic::Location::caller();
    let targets = |name: &str| format!("targets: [{{host: 127.0.0.{name}, port: 1, trust: mozilla}}]\n");
    assert!(!fixture.poll_config().await);
    // Half of a file, as of an editor that writes it again.
    for (text, names, successful) in [
        (targets("1"), "1", true),
        (targets("2").replace("]\n", ""), "1", false),
        (targets("2"), "2", true),
        ("targets: [".to_owned(), "2", false),
        // As it was before.
        (targets("2"), "2", true),
    ] {
        fixture.write("config.yaml", &text);
        assert!(fixture.poll_config().await, "{text}");
        fixture.check(place, &[names], successful);
        assert!(!fixture.poll_config().await, "{text}");
    }
    let main = fixture.folder.path().join("config.yaml");
    fs::remove_file(&main).expect("removed");
    assert!(fixture.poll_config().await);
    assert!(!fixture.poll_config().await, "it is still missing");
    fixture.check(place, &["2"], false);

    // As the files of a Kubernetes ConfigMap.
    for number in ["3", "4"] {
        fs::create_dir(fixture.folder.path().join(number)).expect("a folder");
        fixture.write(&format!("{number}/config.yaml"), &targets(number));
    }
    let link = |to: &str, from: &str| {
        let new = fixture.folder.path().join("new");
        std::os::unix::fs::symlink(to, &new).expect("a link");
        fs::rename(new, fixture.folder.path().join(from)).expect("a replaced link");
    };
    link("3", "..data");
    link("..data/config.yaml", "config.yaml");
    assert!(fixture.loader.is_reload_due().await);
    fixture.loader.reload().await.expect("a reload");
    fs::rename(fixture.folder.path().join("..data"), fixture.folder.path().join("old")).expect("renamed");
    std::os::unix::fs::symlink("4", fixture.folder.path().join("..data")).expect("a link");
    assert!(fixture.poll_config().await);
    fixture.check(place, &["4"], true);
}

#[tokio::test]
async fn a_reload_for_another_reason_also_counts_as_an_attempt() {
    let mut fixture = LoaderFixture::start();
    fixture.write("config.yaml", "targets: [");
    fixture.reload(&[], false).await;
    assert!(!fixture.poll_config().await, "it was tried");
}

#[tokio::test]
async fn a_rejected_configuration_is_loaded_when_the_files_that_it_refers_to_are_valid() {
    let mut fixture = LoaderFixture::start();
    fixture.write(
        "config.yaml",
        "trust_stores: {own: {files: [own.pem]}}\ntargets: [{host: 127.0.0.1, port: 1, trust: own}]\n",
    );
    assert!(fixture.poll_config().await);
    assert!(!fixture.poll_config().await, "the same error");
    fixture.write("own.pem", "");
    assert!(fixture.poll_config().await, "another error");
    let pem = rcgen::generate_simple_self_signed(["ca.test".to_owned()]).expect("a certificate").cert.pem();
    fixture.write("own.pem", &pem);
    assert!(fixture.poll_config().await);
    fixture.check(std::panic::Location::caller(), &["1"], true);
    assert!(!fixture.poll_config().await);
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
    let running = tokio::spawn(loader.run(requests, None, Polling { files: TIME_LIMIT, config: None }));
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
        assert!(error.contains(": config.yaml: targets[0].port: ") && error.contains("line 1"), "{error}");
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
    // With a single subscriber, tracing would disable events that the thread of another test is the first to log.
    let _other = tracing::Dispatch::new(tracing_subscriber::registry());
    tracing::callsite::rebuild_interest_cache();
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
