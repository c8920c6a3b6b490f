//! Set-up and measurements of the benchmarks. The servers run in the parent process and are not counted; the measured work
//! runs in child processes.

#![expect(dead_code, reason = "each benchmark uses a part of it")]

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};
use std::sync::Arc;

use procfs::process::{Process, Status};
use rustix::time::{ClockId, clock_gettime};
use smtp_fleet::{CertSpec, Farm, Identity, KeyKind, Pki};
use smtp_tls_exporter::config::Config;
use tempfile::NamedTempFile;
use tokio::runtime::Builder;

/// Runs the benchmark's `parent`, or in a child process `child` with its arguments, and prints what it returns.
pub(crate) fn run<T: Display>(parent: impl Future<Output = ()>, child: impl AsyncFnOnce(&[String]) -> T) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    // Without the options of cargo.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if args.is_empty() {
        runtime.block_on(parent);
    } else {
        println!("{}", runtime.block_on(child(&args)));
    }
}

/// The same for a child whose arguments are a mode and a farm, as [`FarmArgs::to_args`] returns them.
pub(crate) fn run_on_farm<T: Display>(parent: impl Future<Output = ()>, child: impl AsyncFnOnce(&str, FarmArgs) -> T) {
    run(parent, async |args| {
        let (mode, farm) = FarmArgs::parse(args);
        child(mode, farm).await
    });
}

/// Runs this benchmark's own binary as a child process with `args`, on a thread that may block. Returns its trimmed output.
pub(crate) fn child(args: &[String]) -> String {
    let program = std::env::current_exe().expect("this program's path");
    let run = || Command::new(program).args(args).stderr(Stdio::inherit()).output().expect("the child runs");
    let output = tokio::task::block_in_place(run);
    assert!(output.status.success(), "the child failed: {}", output.status);
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// A temporary PEM file with the fleet's root certificate.
pub(crate) struct RootFile(NamedTempFile);

impl RootFile {
    pub(crate) fn new(pki: &Pki) -> Self {
        let file = NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), pki.root_pem()).expect("the root is written");
        Self(file)
    }

    /// The path, as an argument of a child process.
    pub(crate) fn path(&self) -> String {
        self.0.path().display().to_string()
    }
}

/// CPU time of this process in seconds, including finished threads.
pub(crate) fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Memory figures of this process.
pub(crate) fn memory() -> Status {
    Process::myself().and_then(|me| me.status()).expect("/proc/self/status")
}

/// The upper median.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().expect("values")
}

/// The backends of a farm, as arguments of a child process.
pub(crate) struct FarmArgs {
    port: u16,
    first: Ipv4Addr,
    root: String,
}

impl FarmArgs {
    pub(crate) fn new(farm: &Farm, root: &RootFile) -> Self {
        let IpAddr::V4(first) = farm.addr(0).ip() else { panic!("farms have IPv4 addresses") };
        Self { port: farm.port(), first, root: root.path() }
    }

    pub(crate) fn to_args(&self, mode: impl Display) -> [String; 4] {
        [mode.to_string(), self.port.to_string(), self.first.to_string(), self.root.clone()]
    }

    /// The mode and the farm.
    fn parse(args: &[String]) -> (&str, Self) {
        let [mode, port, first, root] = args else { panic!("four arguments: {args:?}") };
        let (port, first) = (port.parse().expect("a port"), first.parse().expect("an address"));
        (mode, Self { port, first, root: root.clone() })
    }

    /// The addresses of the first `count` backends.
    pub(crate) fn addresses(&self, count: u32) -> impl Iterator<Item = (Ipv4Addr, u16)> {
        let (first, port) = (u32::from(self.first), self.port);
        (first..first + count).map(move |ip| (Ipv4Addr::from(ip), port))
    }

    /// A configuration of `targets` targets with `each` backends, which trusts the farm's root.
    pub(crate) fn config(&self, targets: u32, each: u32) -> Config {
        let text = self.config_text(targets, each, 3600, Some(128));
        Config::parse(&text, std::path::Path::new("bench.yaml")).expect("a config")
    }

    /// The same as text, with an interval in seconds and a limit of concurrent probes.
    pub(crate) fn config_text(&self, targets: u32, each: u32, interval: u64, probes: Option<u32>) -> String {
        use std::fmt::Write;
        let mut text = format!(
            "defaults: {{interval: {interval}s, timeout: 60s, ehlo_name: probe.example.net, trust: farm}}\n\
             trust_stores: {{farm: {{roots: none, files: [{:?}]}}}}\n",
            self.root
        );
        if let Some(probes) = probes {
            writeln!(text, "limits: {{concurrent_probes: {probes}}}").expect("strings take everything");
        }
        text.push_str("targets:\n");
        let all: Vec<Ipv4Addr> = self.addresses(targets * each).map(|(ip, _)| ip).collect();
        for (target, addresses) in all.chunks(each as usize).enumerate() {
            let port = self.port;
            writeln!(
                text,
                "  - {{name: target-{target}, host: smtp.example.com, port: {port}, addresses: {addresses:?}}}"
            )
            .expect("strings take everything");
        }
        text
    }
}

/// A farm whose backends have a certificate each (`own`), or share one.
pub(crate) async fn farm(pki: &Arc<Pki>, own: bool, key: KeyKind) -> Farm {
    let shared = pki.issue(&CertSpec::valid_for(&["smtp.example.com"]).with_key(key));
    let pki = Arc::clone(pki);
    let identity = move |address: Ipv4Addr| -> Identity {
        if own {
            let host = format!("host-{address}.example.com").replace('.', "-");
            pki.issue_with_shared_key(&CertSpec::valid_for(&["smtp.example.com", &host]))
        } else {
            shared.clone()
        }
    };
    Farm::start(Arc::new(identity)).await.expect("a farm")
}
