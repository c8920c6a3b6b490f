use std::path::Path;
use std::time::Instant;

use tempfile::TempDir;
use tokio::net::UnixDatagram as Receiver;
use tokio::time::timeout;

use super::*;
use crate::config::Config;
use crate::monitor::Monitor;
use crate::snapshot::ExporterReport;

/// A limit for what must happen, even on a slow host.
const LONG: Duration = Duration::from_secs(20);

/// A service manager.
struct Manager {
    receiver: Receiver,
    notifier: Notifier,
    _folder: TempDir,
}

impl Manager {
    fn start(watchdog: Option<Duration>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let receiver = Receiver::bind(&path).expect("a socket");
        let notifier = Notifier::new(path.as_os_str(), watchdog).expect("a notifier");
        Self { receiver, notifier, _folder: folder }
    }

    /// The lines of the next datagram.
    async fn next(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let length = timeout(LONG, self.receiver.recv(&mut buffer)).await.expect("a notification").expect("bytes");
        str::from_utf8(&buffer[..length]).expect("text").lines().map(str::to_owned).collect()
    }
}

fn monitor(text: &str) -> (Monitor, Handle) {
    let config = Config::parse(text, Path::new("config.yaml")).expect("a config");
    Monitor::new(config, Arc::new(SystemTime::now)).expect("a monitor")
}

/// 127.0.0.1:1 refuses connections.
const TARGETS: &str =
    "targets: [{host: 127.0.0.1, port: 1, trust: mozilla}, {host: 127.0.0.2, port: 1, trust: mozilla}]";

#[tokio::test]
async fn ready_is_sent_once_the_monitor_runs_and_then_changes_of_the_status() {
    let manager = Manager::start(None);
    let (monitor, handle) = monitor(TARGETS);
    let (heartbeat, started) = manager.notifier.heartbeat();
    let running = tokio::spawn(manager.notifier.clone().run(started, handle.clone(), Duration::from_millis(10)));
    tokio::task::yield_now().await;
    assert!(manager.receiver.try_recv(&mut [0; 4096]).is_err(), "the monitor does not run yet");
    tokio::spawn(monitor.run_with(heartbeat, std::future::pending()));
    let first = manager.next().await;
    assert_eq!(first.first().map(String::as_str), Some("READY=1"));
    assert!(first.get(1).is_some_and(|line| line.starts_with("STATUS=2 targets, ")), "{first:?}");
    let mut last = first.last().cloned();
    while last.as_deref() != Some("STATUS=2 targets, 2 failing") {
        let next = manager.next().await;
        assert!(next.len() == 1 && next.last() != last.as_ref(), "{next:?}");
        last = next.last().cloned();
    }
    running.abort();
}

#[tokio::test]
async fn ready_is_not_sent_if_the_monitor_has_not_run() {
    let manager = Manager::start(None);
    let (monitor, handle) = monitor(TARGETS);
    let (heartbeat, started) = manager.notifier.heartbeat();
    drop((monitor, heartbeat));
    let mut running = std::pin::pin!(manager.notifier.clone().run(started, handle, Duration::from_millis(10)));
    assert!(timeout(Duration::from_millis(50), &mut running).await.is_err());
    assert!(manager.receiver.try_recv(&mut [0; 4096]).is_err());
}

/// Only the owner task is blocked, by its clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_watchdog_is_not_notified_while_the_owner_task_is_stuck() {
    const WATCHDOG: Duration = Duration::from_millis(200);
    let manager = Manager::start(Some(WATCHDOG));
    let gate = Arc::new(parking_lot::Mutex::new(()));
    let clock = {
        let gate = Arc::clone(&gate);
        Arc::new(move || {
            drop(gate.lock());
            SystemTime::now()
        })
    };
    let config = Config::parse(TARGETS, Path::new("config.yaml")).expect("a config");
    let (monitor, handle) = Monitor::new(config, clock).expect("a monitor");
    let (heartbeat, _started) = manager.notifier.heartbeat();
    let running = tokio::spawn(monitor.run_with(heartbeat, std::future::pending()));
    assert_eq!(manager.next().await, ["WATCHDOG=1"]);
    let (locked, is_locked) = oneshot::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        let _held = gate.lock();
        let _ = locked.send(());
        let _ = released.recv();
    });
    is_locked.await.expect("the clock is blocked");
    // Uses the clock. Its answer is not awaited.
    let round = tokio::spawn({
        let handle = handle.clone();
        async move {
            let name = handle.fleet().targets.first().map(|report| report.target.name.clone());
            handle.recent_round(&name.expect("a target"), Duration::ZERO).await
        }
    });
    // What was sent before it was stuck.
    while timeout(4 * WATCHDOG, manager.next()).await.is_ok() {}
    assert!(!running.is_finished());
    release.send(()).expect("the holder waits");
    assert_eq!(manager.next().await, ["WATCHDOG=1"]);
    holder.join().expect("no panic");
    round.abort();
    running.abort();
}

#[tokio::test]
async fn a_reload_is_one_datagram_with_its_time() {
    let manager = Manager::start(None);
    manager.notifier.reloading();
    let lines = manager.next().await;
    assert_eq!(lines.first().map(String::as_str), Some("RELOADING=1"));
    let time = lines.get(1).and_then(|line| line.strip_prefix("MONOTONIC_USEC=")).expect("a time");
    assert!(time.parse::<u64>().is_ok_and(|time| time > 0), "{time}");
    manager.notifier.stopping();
    assert_eq!(manager.next().await.first().map(String::as_str), Some("STOPPING=1"));
}

#[tokio::test]
async fn the_watchdog_is_notified_for_as_long_as_the_monitor_runs() {
    let manager = Manager::start(Some(Duration::from_millis(200)));
    let (monitor, _handle) = monitor(TARGETS);
    let (heartbeat, _started) = manager.notifier.heartbeat();
    let running = tokio::spawn(monitor.run_with(heartbeat, std::future::pending()));
    let begin = Instant::now();
    for _ in 0..5 {
        assert_eq!(manager.next().await, ["WATCHDOG=1"]);
    }
    assert!(begin.elapsed() >= Duration::from_millis(300), "one in 100 ms");
    running.abort();
    assert!(running.await.is_err());
    while manager.receiver.try_recv(&mut [0; 4096]).is_ok() {}
    let silence = timeout(Duration::from_millis(300), manager.next()).await;
    assert!(silence.is_err(), "{silence:?}");
}

#[tokio::test]
async fn a_receiver_that_reads_nothing_does_not_delay_and_gets_ready_later() {
    let manager = Manager::start(None);
    let channel = manager.notifier.0.clone().expect("active");
    let mut sent = 0;
    while channel.send(&[NotifyState::Watchdog]) {
        sent += 1;
        assert!(sent < 1_000_000, "the queue of a socket is bounded");
    }
    let (monitor, handle) = monitor(TARGETS);
    let (heartbeat, started) = manager.notifier.heartbeat();
    tokio::spawn(monitor.run_with(heartbeat, std::future::pending()));
    tokio::spawn(manager.notifier.clone().run(started, handle, Duration::from_millis(10)));
    while !channel.owes_ready.load(Ordering::Relaxed) {
        tokio::task::yield_now().await;
    }
    for _ in 0..sent {
        assert_eq!(manager.next().await, ["WATCHDOG=1"]);
    }
    assert_eq!(manager.next().await.first().map(String::as_str), Some("READY=1"));
}

#[tokio::test]
async fn abstract_sockets_are_supported_and_a_missing_one_is_not_an_error() {
    let name = format!("smtp-tls-exporter-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("an address");
    let socket = UnixDatagram::bind_addr(&address).expect("a socket");
    socket.set_read_timeout(Some(LONG)).expect("a timeout");
    let notifier = Notifier::new(format!("@{name}").as_ref(), None).expect("a notifier");
    notifier.ready("1 target, 0 failing");
    let mut buffer = [0; 100];
    let length = socket.recv(&mut buffer).expect("a notification");
    assert_eq!(&buffer[..length], b"READY=1\nSTATUS=1 target, 0 failing\n");
    drop(socket);
    notifier.ready("");
    assert!(notifier.0.as_ref().is_some_and(|channel| channel.owes_ready.load(Ordering::Relaxed)));
    for invalid in ["vsock:2:1234", "relative", &format!("/{}", "x".repeat(200))] {
        assert!(Notifier::new(invalid.as_ref(), None).is_err(), "{invalid}");
    }
}

#[test]
fn the_status_counts_targets() {
    #[track_caller]
    fn check(fleet: &Fleet, expected: &str) {
        assert_eq!(status(fleet, crate::metrics::fixture::now()), expected);
    }
    let mut fleet = Fleet { targets: vec![], exporter: ExporterReport::default() };
    check(&fleet, "0 targets, 0 failing; the last reload failed");
    fleet.exporter.reload_successful = true;
    check(&fleet, "0 targets, 0 failing");
    fleet.exporter.web_reload_successful = Some(false);
    check(&fleet, "0 targets, 0 failing; the last reload of the web configuration failed");
    let mut classic = crate::metrics::fixture::classic(&crate::metrics::fixture::TestCa::new());
    classic.exporter.reload_successful = true;
    let targets = classic.targets.len();
    assert!(targets > 1);
    let text = status(&classic, crate::metrics::fixture::now());
    assert!(text.starts_with(&format!("{targets} targets, ")), "{text}");
}

#[tokio::test]
async fn a_reload_that_was_not_sent_is_sent_before_its_end() {
    let manager = Manager::start(None);
    let channel = manager.notifier.0.clone().expect("active");
    let mut sent = 0;
    while channel.send(&[NotifyState::Watchdog]) {
        sent += 1;
        assert!(sent < 1_000_000, "the queue of a socket is bounded");
    }
    manager.notifier.reloading();
    manager.notifier.ready("failing");
    assert!(channel.owes_ready.load(Ordering::Relaxed));
    for _ in 0..sent {
        assert_eq!(manager.next().await, ["WATCHDOG=1"]);
    }
    for first in ["RELOADING=1", "READY=1"] {
        manager.notifier.ready("healthy");
        assert_eq!(manager.next().await.first().map(String::as_str), Some(first));
    }
    assert!(!channel.owes_ready.load(Ordering::Relaxed));
    assert_eq!(manager.next().await.first().map(String::as_str), Some("READY=1"), "of the second call");
}
