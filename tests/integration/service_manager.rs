//! The exporter under a service manager: notifications, and sockets that are passed on.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use smtp_fleet::Pki;

use crate::binary::{Exporter, exporter};
use crate::support::{Environment, request};

const CONFIG: &str = "targets: [{host: 127.0.0.1, port: 1, trust: mozilla}]";
const INVALID: &str = "targets: [";

/// Waits for a notification with this line, and returns the others of its datagram.
fn wait(receiver: &UnixDatagram, line: &str) -> Vec<String> {
    let mut buffer = [0; 4096];
    let mut seen = Vec::new();
    loop {
        let length = match receiver.recv(&mut buffer) {
            Ok(length) => length,
            // By a signal that another test handles.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => panic!("no {line} after {seen:?}: {error}"),
        };
        let text = str::from_utf8(&buffer[..length]).expect("text");
        if text.lines().any(|found| found == line) {
            return text.lines().filter(|found| *found != line).map(str::to_owned).collect();
        }
        seen.push(text.to_owned());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_manager_is_notified() {
    let env = Environment::new(&Pki::new());
    let path = env.folder.path().join("notify");
    let receiver = UnixDatagram::bind(&path).expect("a socket");
    receiver.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let start = |args: &[&str]| {
        let mut command = exporter(args);
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000").env_remove("WATCHDOG_PID");
        command
    };
    let exporter = Exporter::start_by(start, &env, CONFIG, &["--config.auto-reload-interval=1s"]);
    let status = wait(&receiver, "READY=1");
    assert!(matches!(&*status, [status] if status.starts_with("STATUS=1 target, ")), "{status:?}");
    assert!(wait(&receiver, "WATCHDOG=1").is_empty());
    assert_eq!(request(exporter.address(), "GET", "/-/ready", "").await.status, 200);

    std::fs::write(env.folder.path().join("config.yaml"), INVALID).expect("a file");
    // The file is reloaded because it has changed.
    let reloading = wait(&receiver, "RELOADING=1");
    assert!(reloading.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reloading:?}");
    let status = wait(&receiver, "READY=1");
    assert!(matches!(&*status, [status] if status.ends_with("; the last reload failed")), "{status:?}");
    std::fs::write(env.folder.path().join("config.yaml"), CONFIG).expect("a file");
    wait(&receiver, "RELOADING=1");
    let status = wait(&receiver, "READY=1");
    assert!(matches!(&*status, [status] if !status.contains("failed")), "{status:?}");
    assert_eq!(exporter.end().0, Some(0));
    wait(&receiver, "STOPPING=1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watchdog_of_another_process_and_a_missing_service_manager_have_no_effect() {
    let env = Environment::new(&Pki::new());
    let path = env.folder.path().join("notify");
    let receiver = UnixDatagram::bind(&path).expect("a socket");
    receiver.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let start = |args: &[&str]| {
        let mut command = exporter(args);
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000").env("WATCHDOG_PID", "1");
        command
    };
    let running = Exporter::start_by(start, &env, CONFIG, &[]);
    wait(&receiver, "READY=1");
    assert_eq!(running.end().0, Some(0));
    receiver.set_nonblocking(true).expect("nonblocking");
    let mut buffer = [0; 4096];
    while let Ok(length) = receiver.recv(&mut buffer) {
        assert!(!buffer[..length].starts_with(b"WATCHDOG"), "of another process");
    }
    drop(receiver);
    for socket in [path.to_str().expect("text"), "/nowhere/socket", "@nowhere", "vsock:2:1", "x"] {
        let start = |args: &[&str]| {
            let mut command = exporter(args);
            command.env("NOTIFY_SOCKET", socket);
            command
        };
        let running = Exporter::start_by(start, &env, CONFIG, &[]);
        assert_eq!(request(running.address(), "GET", "/-/healthy", "").await.status, 200, "{socket}");
        assert_eq!(running.end().0, Some(0), "{socket}");
    }
}

/// An exporter that is given `socket` as systemd does it. The shell gives the process its number.
fn activated(socket: OwnedFd, environment: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!(r#"exec 3<&0 </dev/null; {environment} exec "$0" "$@""#));
    command.arg(env!("CARGO_BIN_EXE_smtp-tls-exporter")).args(args).arg("--web.systemd-socket");
    command.stdin(Stdio::from(socket));
    command
}

const PASSED: &str = "LISTEN_PID=$$ LISTEN_FDS=1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listens_on_the_socket_that_systemd_passes() {
    let env = Environment::new(&Pki::new());
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    let start = |args: &[&str]| activated(listener.try_clone().expect("a socket").into(), PASSED, args);
    // The address of the fixture is not bound.
    let running = Exporter::start_by(start, &env, CONFIG, &[]);
    assert_eq!(running.address(), address);
    assert_eq!(request(address, "GET", "/-/ready", "").await.status, 200);
    assert_eq!(running.end().0, Some(0));
    // The socket is still open, so that no client is refused while the exporter is restarted.
    let client = TcpStream::connect(address).expect("a connection");
    let again = Exporter::start_by(start, &env, CONFIG, &[]);
    assert_eq!(request(address, "GET", "/-/ready", "").await.status, 200);
    drop(client);
    assert_eq!(again.end().0, Some(0));
}

#[test]
fn without_a_listening_tcp_socket_of_systemd_the_start_fails() {
    let env = Environment::new(&Pki::new());
    let file = env.folder.path().join("config.yaml");
    std::fs::write(&file, CONFIG).expect("a file");
    let config = format!("--config.file={}", file.display());
    let listener = || TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let connection = || {
        let listener = listener();
        TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection")
    };
    let datagrams = || UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let unix = || UnixDatagram::unbound().expect("a socket");
    let unix_listener = UnixListener::bind(env.folder.path().join("socket")).expect("a socket");
    let check = |socket: OwnedFd, environment: &str, cause: &str| {
        let output = activated(socket, environment, &[&config]).output().expect("it runs");
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{environment}: {log}");
        assert!(log.contains(cause), "{environment}: {log}");
    };
    check(listener().into(), "", "LISTEN_FDS");
    check(listener().into(), "LISTEN_FDS=1", "LISTEN_PID");
    check(listener().into(), "LISTEN_PID=1 LISTEN_FDS=1", "LISTEN_PID");
    check(listener().into(), "LISTEN_PID=$$ LISTEN_FDS=0", "LISTEN_FDS");
    check(listener().into(), "LISTEN_PID=$$ LISTEN_FDS=x", "LISTEN_FDS");
    check(listener().into(), "LISTEN_PID=$$ LISTEN_FDS=4000000000", "4000000000");
    check(listener().into(), "LISTEN_PID=$$ LISTEN_FDS=2", "socket: fd 4");
    let kind = "not a listening TCP socket: fd 3";
    check(connection().into(), PASSED, kind);
    check(datagrams().into(), PASSED, kind);
    check(unix().into(), PASSED, kind);
    check(unix_listener.into(), PASSED, kind);
    check(std::fs::File::open(&file).expect("a file").into(), PASSED, kind);
    check(listener().into(), &format!("exec 3<&-; {PASSED}"), kind);
}
