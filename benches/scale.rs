//! The exporter itself with 100,000 loopback backends at an interval of 120 s, from its start on: the longest scrape, the
//! schedule lag, memory and samples for each backend, and CPU time for each probe. The servers run in this process, on the
//! same cores.
//!
//! Arguments: the number of backends and the number of rounds, by default 100,000 and three.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use procfs::process::Process;
use procfs::{Current, LoadAverage};
use smtp_fleet::{KeyKind, Pki};

mod support;

use support::FarmArgs;

const EACH: u32 = 10;
const INTERVAL: u64 = 120;
const SCRAPE_LIMIT: f64 = 5.0;
const MEMORY_LIMIT: f64 = 1536.0;

fn main() {
    let numbers: Vec<u32> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    // `cargo test --benches` only checks that it runs.
    let backends = numbers.first().copied().unwrap_or(if is_bench { 100_000 } else { 200 });
    let seconds =
        numbers.get(1).map_or(if is_bench { 3 * INTERVAL } else { 5 }, |rounds| u64::from(*rounds) * INTERVAL);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let pki = Arc::new(Pki::new());
    let root = support::RootFile::new(&pki);
    let farm = runtime.block_on(support::farm(&pki, false, KeyKind::P256));
    let text = FarmArgs::new(&farm, &root).config_text(backends / EACH, EACH, INTERVAL, None);
    let config = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
    std::fs::write(config.path(), text).expect("the configuration is written");

    let address = free_address();
    // Other processes lengthen the scrapes, and caches that they share cost CPU time.
    let load = LoadAverage::current().expect("the load average").one;
    let exporter = Exporter::start(&config, address);
    let started = Instant::now();
    let (mut longest, mut lag, mut scrapes): (f64, f64, u32) = (0.0, 0.0, 0);
    let mut last = String::new();
    while started.elapsed() < Duration::from_secs(seconds) {
        let begin = Instant::now();
        let Some(text) = scrape(address) else {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        longest = longest.max(begin.elapsed().as_secs_f64());
        lag = lag.max(value(&text, "smtp_tls_exporter_schedule_lag_seconds"));
        (scrapes, last) = (scrapes + 1, text);
        std::thread::sleep(
            Duration::from_secs(5).min(Duration::from_secs(seconds) / 5).saturating_sub(begin.elapsed()),
        );
    }
    let count =
        |prefix: &str, is: &str| last.lines().filter(|line| line.starts_with(prefix) && line.ends_with(is)).count();
    let probed = count("smtp_tls_probe_success{", "");
    let status = Process::new(exporter.pid()).and_then(|process| process.status()).expect("the exporter's status");
    let resident = status.vmrss.unwrap_or_default() as f64 * 1024.0;
    let probes: f64 = last.lines().filter(|line| line.starts_with("smtp_tls_probes_total{")).map(number).sum();
    let cpu = value(&last, "process_cpu_seconds_total");
    let samples = last.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
    println!("load average before the start: {load:.2}");
    println!(
        "{backends} backends, interval {INTERVAL} s, {seconds} s: {probed} probed, {} of them ok, {probes} probes, \
         {:.0} us CPU for each, scrapes included: {:.0} probes per second and core",
        count("smtp_tls_probe_success{", " 1"),
        cpu / probes * 1e6,
        probes / cpu
    );
    println!(
        "{scrapes} scrapes of {} bytes: the longest took {longest:.2} s, {:.2} of the limit; {:.0} bytes in {:.1} samples for \
         each backend",
        last.len(),
        longest / SCRAPE_LIMIT,
        last.len() as f64 / f64::from(backends),
        samples as f64 / f64::from(backends)
    );
    println!("schedule lag: {lag:.2} s at most");
    println!(
        "resident memory: {:.0} MB, {:.0} B for each backend, {:.2} of {MEMORY_LIMIT} B",
        resident / 1e6,
        resident / f64::from(backends),
        resident / f64::from(backends) / MEMORY_LIMIT
    );
}

/// A running exporter, which is killed on drop.
struct Exporter(Child);

impl Exporter {
    fn start(config: &tempfile::NamedTempFile, address: SocketAddr) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"))
            .arg(format!("--config.file={}", config.path().display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .spawn();
        Self(child.expect("the exporter starts"))
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a process identifier")
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    listener.local_addr().expect("an address")
}

/// The metrics in the text format; none while nothing listens.
fn scrape(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("the request is sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("a whole response");
    Some(text)
}

fn value(text: &str, name: &str) -> f64 {
    text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '))).map_or(0.0, number)
}

fn number(line: &str) -> f64 {
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
