//! CPU time per probe: the exporter (schedule, admission, probe, verdicts, publication) in one process, compared with a
//! bare client in another that connects, sends EHLO and STARTTLS, performs the handshake, sends EHLO and QUIT, and
//! verifies nothing. Both probe the same 200 loopback backends. A third process runs the bare client with a check of the
//! handshake signature, the only check whose result cannot be cached.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use futures_util::future::join_all;
use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use smtp_fleet::client::AcceptAny;
use smtp_fleet::{KeyKind, Pki};
use smtp_tls_exporter::monitor::Monitor;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

mod support;

use support::FarmArgs;

const TARGETS: u32 = 20;
const EACH: u32 = 10;
const ROUNDS: u32 = 20;
const RUNS: usize = 5;
const LIMIT: f64 = 1.10;

fn main() {
    support::run_on_farm(compare(), async |mode, farm| {
        if mode == "exporter" { exporter(&farm).await } else { bare(&farm, mode == "signature").await }
    });
}

async fn compare() {
    let pki = Arc::new(Pki::new());
    let root = support::RootFile::new(&pki);
    for (key, label) in [(KeyKind::P256, "P-256"), (KeyKind::Rsa2048, "RSA 2048")] {
        let farm = support::farm(&pki, false, key).await;
        let args = FarmArgs::new(&farm, &root);
        let run = |mode| support::child(&args.to_args(mode)).parse::<f64>().expect("a number");
        type Triple = (f64, f64, f64);
        let runs: Vec<Triple> = (0..RUNS).map(|_| (run("exporter"), run("bare"), run("signature"))).collect();
        let median = |pick: fn(&Triple) -> f64| support::median(runs.iter().map(pick).collect());
        println!(
            "probe, {label} leaf: exporter {:.0} us, bare client {:.0} us, ratio {:.2} (limit {LIMIT}); \
             bare client that checks the handshake signature {:.0} us, ratio {:.2}",
            median(|run| run.0),
            median(|run| run.1),
            median(|run| run.0 / run.1),
            median(|run| run.2),
            median(|run| run.0 / run.2),
        );
    }
}

/// Microseconds of CPU per probe of the exporter.
async fn exporter(farm: &FarmArgs) -> f64 {
    let config = farm.config(TARGETS, EACH);
    let names: Vec<_> = config.targets.iter().map(|target| target.name.clone()).collect();
    let (monitor, handle) = Monitor::new(config, Arc::new(SystemTime::now)).expect("a monitor");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(monitor.run(async {
        let _ = stopped.await;
    }));
    let round = async || {
        for report in join_all(names.iter().map(|name| handle.round(name))).await {
            let report = report.expect("a round");
            assert!(report.endpoints.iter().flat_map(|e| &e.backends).all(|backend| backend.is_reachable()));
        }
    };
    let micros = micros_per_probe(round).await;
    let _ = stop.send(());
    running.await.expect("the monitor stops");
    micros
}

/// The same for the bare client.
async fn bare(farm: &FarmArgs, check_signature: bool) -> f64 {
    let signature_valid = Arc::new(AtomicBool::new(true));
    let verifier = if check_signature { AcceptAny::recording(&signature_valid) } else { AcceptAny::unchecked() };
    let mut config = verifier.into_config();
    config.resumption = Resumption::disabled();
    let connector = TlsConnector::from(Arc::new(config));
    let round = async || {
        let probes = farm.addresses(TARGETS * EACH).map(|address| tokio::spawn(probe(address, connector.clone())));
        for probe in join_all(probes).await {
            probe.expect("a probe").expect("a probe without an error");
        }
    };
    let micros = micros_per_probe(round).await;
    assert!(signature_valid.load(Ordering::Relaxed), "the handshake signature is valid");
    micros
}

/// Microseconds of CPU per probe, after a first round that fills the caches.
async fn micros_per_probe(round: impl AsyncFn()) -> f64 {
    round().await;
    let start = support::cpu_seconds();
    for _ in 0..ROUNDS {
        round().await;
    }
    (support::cpu_seconds() - start) * 1e6 / f64::from(TARGETS * EACH * ROUNDS)
}

async fn probe(address: (Ipv4Addr, u16), connector: TlsConnector) -> std::io::Result<()> {
    let mut plain = TcpStream::connect(address).await?;
    plain.set_nodelay(true)?;
    reply(&mut plain).await?;
    command(&mut plain, b"EHLO probe.example.net\r\n").await?;
    command(&mut plain, b"STARTTLS\r\n").await?;
    let name = ServerName::try_from("smtp.example.com").expect("a name");
    let mut tls = connector.connect(name, plain).await?;
    command(&mut tls, b"EHLO probe.example.net\r\n").await?;
    command(&mut tls, b"QUIT\r\n").await?;
    tls.shutdown().await
}

async fn command(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), line: &[u8]) -> std::io::Result<()> {
    stream.write_all(line).await?;
    stream.flush().await?;
    reply(stream).await
}

/// Reads to the last line of a reply, which has a space after the code.
async fn reply(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(1024);
    while stream.read_buf(&mut buffer).await? > 0 {
        let last = buffer.strip_suffix(b"\r\n").and_then(|text| text.rsplit(|byte| *byte == b'\n').next());
        if last.is_some_and(|line| line.get(3) == Some(&b' ')) {
            return Ok(());
        }
    }
    Err(std::io::ErrorKind::UnexpectedEof.into())
}
