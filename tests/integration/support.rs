//! What the tests share: configs for fleets, and a monitor that runs.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use smtp_fleet::{Pki, TlsMode};
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::monitor::{Handle, Monitor};
use smtp_tls_exporter::snapshot::{BackendReport, TargetReport};
use smtp_tls_exporter::target::TargetName;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A place for files, with the fleet's root in `root.pem`.
pub(crate) struct Lab {
    pub(crate) folder: TempDir,
}

impl Lab {
    pub(crate) fn new(pki: &Pki) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("root.pem"), pki.root_pem()).expect("the root is written");
        Self { folder }
    }

    /// The text of a config that trusts the fleet's root and says `head`, then `targets`.
    pub(crate) fn yaml(defaults: &str, rest: &str, targets: &[String]) -> String {
        let mut text = format!(
            "defaults: {{trust: lab, ehlo_name: probe.example.net, {defaults}}}\n\
             trust_stores: {{lab: {{roots: none, files: [root.pem]}}}}\n{rest}\ntargets:\n"
        );
        for target in targets {
            writeln!(text, "  - {target}").expect("strings take everything");
        }
        text
    }

    pub(crate) fn config(&self, text: &str) -> Config {
        Config::parse(text, &self.folder.path().join("config.yaml")).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }
}

/// A flow-style target of explicit addresses.
pub(crate) fn target(name: &str, host: &str, port: u16, tls: TlsMode, addresses: &[IpAddr]) -> String {
    let tls = match tls {
        TlsMode::StartTls => "starttls",
        TlsMode::Implicit => "implicit",
    };
    format!("{{name: {name}, host: {host}, port: {port}, tls: {tls}, addresses: {addresses:?}}}")
}

/// A monitor that runs until it is dropped or stopped.
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

    /// One round of a target, from now or under way.
    pub(crate) async fn round(&self, name: &str) -> Arc<TargetReport> {
        let name = TargetName::new(name).expect("a name");
        self.handle.round(&name).await.unwrap_or_else(|| panic!("no round of {name}"))
    }

    pub(crate) async fn stop(mut self) {
        self.stop.take().map(|stop| stop.send(()));
        (&mut self.task).await.expect("the monitor ends well");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The report of one backend.
pub(crate) fn backend(report: impl AsRef<TargetReport>, address: SocketAddr) -> Arc<BackendReport> {
    let mut all = report.as_ref().endpoints.iter().flat_map(|endpoint| &endpoint.backends);
    let found = all.find(|backend| backend.backend.socket_addr() == address);
    Arc::clone(found.unwrap_or_else(|| panic!("{address} is a backend")))
}
