//! What the benchmarks share: the farm in the parent, the measured work in a child process.

#![expect(dead_code, reason = "each benchmark uses a part of it")]

use std::process::{Command, Stdio};
use std::sync::Arc;

use procfs::process::Process;
use smtp_fleet::{CertSpec, Farm, Identity, KeyKind, Pki};
use smtp_tls_exporter::config::Config;
use tempfile::NamedTempFile;
use tokio::runtime::{Builder, Runtime};

/// The arguments of a child process; cargo's own options are skipped.
pub(crate) fn arguments() -> Vec<String> {
    std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect()
}

/// A runtime with two worker threads.
pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
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

/// Runs this benchmark's own binary as a child with `args`; its standard output, trimmed.
pub(crate) fn child(args: &[String]) -> String {
    let program = std::env::current_exe().expect("this program's path");
    let output = Command::new(program).args(args).stderr(Stdio::inherit()).output().expect("the child runs");
    assert!(output.status.success(), "the child ended by {}", output.status);
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// User and system time that this process has used, in seconds; of finished threads, too.
pub(crate) fn cpu_seconds() -> f64 {
    let stat = Process::myself().and_then(|me| me.stat()).expect("/proc/self/stat");
    #[expect(clippy::cast_precision_loss, reason = "a benchmark's process lives for seconds")]
    let ticks = (stat.utime + stat.stime) as f64;
    ticks / procfs::ticks_per_second() as f64
}

/// Resident memory of this process in bytes.
pub(crate) fn resident_bytes() -> u64 {
    let status = Process::myself().and_then(|me| me.status()).expect("/proc/self/status");
    status.vmrss.expect("VmRSS") * 1024
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().expect("values")
}

/// A farm whose backends each have a certificate of their own, or share one.
pub(crate) async fn farm(pki: &Arc<Pki>, own: bool, key: KeyKind) -> Farm {
    let shared = pki.issue(&CertSpec::valid_for(&["smtp.example.com"]).with_key(key));
    let pki = Arc::clone(pki);
    let identity = move |address: std::net::Ipv4Addr| -> Identity {
        if own {
            let host = format!("host-{address}.example.com").replace('.', "-");
            pki.issue_with_shared_key(&CertSpec::valid_for(&["smtp.example.com", &host]))
        } else {
            shared.clone()
        }
    };
    Farm::start(Arc::new(identity)).await.expect("a farm")
}

/// A config of `targets` targets with `each` of the farm's backends; trust comes from the PEM file `root`.
pub(crate) fn config(port: u16, first: std::net::Ipv4Addr, targets: u32, each: u32, root: &str) -> Config {
    use std::fmt::Write;
    let mut text = format!(
        "defaults: {{interval: 1h, timeout: 60s, ehlo_name: probe.example.net, trust: farm}}\n\
         limits: {{concurrent_probes: 128}}\n\
         trust_stores: {{farm: {{roots: none, files: [{root:?}]}}}}\ntargets:\n"
    );
    for target in 0..targets {
        let addresses: Vec<_> =
            (0..each).map(|n| std::net::Ipv4Addr::from(u32::from(first) + target * each + n)).collect();
        writeln!(text, "  - {{name: target-{target}, host: smtp.example.com, port: {port}, addresses: {addresses:?}}}")
            .expect("strings take everything");
    }
    Config::parse(&text, std::path::Path::new("bench.yaml")).expect("a config")
}
