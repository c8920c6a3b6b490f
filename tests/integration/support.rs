//! Helpers shared by the tests: configs for a fleet, a running monitor, HTTP requests.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use smtp_fleet::{Dns, Pki, TlsMode};
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::monitor::{Handle, Monitor};
use smtp_tls_exporter::snapshot::{BackendReport, TargetReport};
use smtp_tls_exporter::target::{EhloName, IpFamily, ProbeSettings, TargetName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A temporary folder for config files, with the root of the fleet's PKI in `root.pem`.
pub(crate) struct Environment {
    pub(crate) folder: TempDir,
}

impl Environment {
    pub(crate) fn new(pki: &Pki) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("root.pem"), pki.root_pem()).expect("the root is written");
        Self { folder }
    }

    /// A config that trusts the fleet's root. `defaults` is added to the `defaults` section, `rest` are further top-level
    /// keys.
    pub(crate) fn yaml(defaults: &str, rest: &str, targets: &[String]) -> String {
        let mut text = format!(
            "defaults: {{trust: test, ehlo_name: probe.example.net, {defaults}}}\n\
             trust_stores: {{test: {{roots: none, files: [root.pem]}}}}\n{rest}\ntargets:\n"
        );
        for target in targets {
            writeln!(text, "  - {target}").expect("a string");
        }
        text
    }

    /// The top-level key that defines the resolver `test`, which queries `dns`.
    pub(crate) fn resolver(dns: &Dns) -> String {
        format!("resolvers: {{test: {{nameservers: [\"{}\"]}}}}", dns.addr())
    }

    pub(crate) fn config(&self, text: &str) -> Config {
        Config::parse(text, &self.folder.path().join("config.yaml")).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }
}

/// Settings with `timeout` for the connection and the whole probe.
pub(crate) fn settings(timeout: Duration) -> ProbeSettings {
    ProbeSettings {
        interval: Duration::from_secs(60),
        timeout,
        connect_timeout: timeout,
        ehlo_name: EhloName::Name("probe.example.net".into()),
        ip_family: IpFamily::Auto,
        allow_addresses: Vec::new(),
        allow_ports: Vec::new(),
        backend_retention: Duration::from_secs(3600),
        samples: 1,
        expect_names: Vec::new(),
        trust: "test".into(),
        resolver: "system".into(),
        client_certificate: None,
        certificate_file: None,
    }
}

/// A target with literal addresses, as YAML in flow style.
pub(crate) fn target(name: &str, host: &str, port: u16, tls: TlsMode, addresses: &[IpAddr]) -> String {
    let tls = match tls {
        TlsMode::StartTls => "starttls",
        TlsMode::Implicit => "implicit",
    };
    format!("{{name: {name}, host: {host}, port: {port}, tls: {tls}, addresses: {addresses:?}}}")
}

/// A monitor that runs until it is stopped or dropped.
pub(crate) struct Running {
    pub(crate) handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(config: Config) -> Self {
        Self::start_at(config, Arc::new(SystemTime::now))
    }

    pub(crate) fn start_at(config: Config, clock: smtp_tls_exporter::monitor::Clock) -> Self {
        let (monitor, handle) = Monitor::new(config, clock).expect("a monitor");
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(monitor.run(async {
            let _ = stopped.await;
        }));
        Self { handle, stop: Some(stop), task }
    }

    /// Waits for one round of a target: the one in progress, otherwise a new one.
    pub(crate) async fn round(&self, name: &str) -> Arc<TargetReport> {
        let name = TargetName::new(name).expect("a name");
        self.handle.round(&name).await.unwrap_or_else(|| panic!("no round of {name}"))
    }

    pub(crate) async fn stop(mut self) {
        self.stop.take().map(|stop| stop.send(()));
        (&mut self.task).await.expect("the monitor stops");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The report of one backend.
pub(crate) fn backend(report: impl AsRef<TargetReport>, address: SocketAddr) -> Arc<BackendReport> {
    let mut all = report.as_ref().backends();
    let found = all.find(|backend| backend.backend.socket_addr() == address);
    Arc::clone(found.unwrap_or_else(|| panic!("no backend {address}")))
}

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The value of a series, given as written in the text format.
    pub(crate) fn value(&self, series: &str) -> Option<f64> {
        self.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }
}

/// Sends one HTTP/1.0 request: no chunked encoding, no keep-alive. `fields` are header lines that end in CRLF.
pub(crate) async fn request(address: SocketAddr, method: &str, path: &str, fields: &str) -> Answer {
    answer(send(address.ip(), address, method, path, fields).await).await
}

/// As [`request`], from the address `client`, without waiting for the response.
pub(crate) async fn send(client: IpAddr, address: SocketAddr, method: &str, path: &str, fields: &str) -> TcpStream {
    let socket = if client.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.expect("a socket");
    socket.bind((client, 0).into()).expect("an address of this host");
    let mut stream = socket.connect(address).await.expect("a connection");
    let request = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).await.expect("the request is sent");
    stream
}

/// The response to the request that was sent.
pub(crate) async fn answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("a response");
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..at].to_vec()).expect("text");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head, body: bytes.split_off(at + 4) }
}

/// Polls until `poll` returns a value. Panics after a minute.
pub(crate) async fn until<T>(mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = std::time::Instant::now();
    loop {
        if let Some(value) = poll().await {
            return value;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "no result within a minute");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
