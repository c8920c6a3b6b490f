//! CPU time of a probe: our whole street (schedule, admission, probe, verdicts, publication) in one process against a
//! bare loop in another that connects, says EHLO, STARTTLS, shakes hands, says EHLO and QUIT, and verifies nothing.
//! Both visit the same 200 loopback backends; the servers run in the parent and are not counted. A third process runs
//! the bare loop with the one check that no memory can spare, that of the handshake signature: what the proof costs.

use std::net::{Ipv4Addr, SocketAddr};
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

const TARGETS: u32 = 20;
const EACH: u32 = 10;
const ROUNDS: u32 = 20;
const PAIRS: usize = 5;
const AIM: f64 = 1.10;

fn main() {
    let runtime = support::runtime();
    match support::arguments().as_slice() {
        [mode, port, first, root] => {
            let port = port.parse().expect("a port");
            let first = first.parse().expect("an address");
            let micros = match mode.as_str() {
                "ours" => runtime.block_on(ours(port, first, root)),
                "proof" => runtime.block_on(bare(port, first, true)),
                _ => runtime.block_on(bare(port, first, false)),
            };
            println!("{micros}");
        }
        _ => runtime.block_on(compare()),
    }
}

async fn compare() {
    let pki = Arc::new(Pki::new());
    let root = support::RootFile::new(&pki);
    for (key, label) in [(KeyKind::P256, "P-256"), (KeyKind::Rsa2048, "RSA 2048")] {
        let farm = support::farm(&pki, false, key).await;
        let first = farm.addr(0).ip().to_string();
        let run = |mode: &str| {
            let args = [mode.to_owned(), farm.port().to_string(), first.clone(), root.path()];
            tokio::task::block_in_place(|| support::child(&args)).parse::<f64>().expect("a number")
        };
        type Triple = (f64, f64, f64);
        let runs: Vec<Triple> = (0..PAIRS).map(|_| (run("ours"), run("bare"), run("proof"))).collect();
        let median = |pick: fn(&Triple) -> f64| support::median(runs.iter().map(pick).collect());
        println!(
            "probe, {label} leaf: ours {:.0} us, bare {:.0} us, ratio {:.2} (aim {AIM}); \
             bare with the handshake signature checked {:.0} us, ratio to that {:.2}",
            median(|run| run.0),
            median(|run| run.1),
            median(|run| run.0 / run.1),
            median(|run| run.2),
            median(|run| run.0 / run.2),
        );
    }
}

/// Microseconds of CPU a probe, after a first round that fills what is remembered.
async fn ours(port: u16, first: Ipv4Addr, root: &str) -> f64 {
    let config = support::config(port, first, TARGETS, EACH, root);
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
    round().await;
    let begin = support::cpu_seconds();
    for _ in 0..ROUNDS {
        round().await;
    }
    let spent = support::cpu_seconds() - begin;
    let _ = stop.send(());
    running.await.expect("the monitor ends well");
    micros_per_probe(spent)
}

/// The same for the bare loop.
async fn bare(port: u16, first: Ipv4Addr, proof: bool) -> f64 {
    let signature_valid = Arc::new(AtomicBool::new(true));
    let verifier = if proof { AcceptAny::recording(&signature_valid) } else { AcceptAny::unchecked() };
    let mut config = verifier.into_config();
    config.resumption = Resumption::disabled();
    let connector = TlsConnector::from(Arc::new(config));
    let round = async || {
        let visits = (0..TARGETS * EACH).map(|n| {
            let address = SocketAddr::from((Ipv4Addr::from(u32::from(first) + n), port));
            tokio::spawn(visit(address, connector.clone()))
        });
        for visit in join_all(visits).await {
            visit.expect("a visit").expect("a visit without an error");
        }
    };
    round().await;
    let begin = support::cpu_seconds();
    for _ in 0..ROUNDS {
        round().await;
    }
    let spent = support::cpu_seconds() - begin;
    assert!(signature_valid.load(Ordering::Relaxed), "the handshake signature is valid");
    micros_per_probe(spent)
}

fn micros_per_probe(seconds: f64) -> f64 {
    seconds * 1e6 / f64::from(TARGETS * EACH * ROUNDS)
}

async fn visit(address: SocketAddr, connector: TlsConnector) -> std::io::Result<()> {
    let mut plain = TcpStream::connect(address).await?;
    plain.set_nodelay(true)?;
    reply(&mut plain).await?;
    say(&mut plain, b"EHLO probe.example.net\r\n").await?;
    say(&mut plain, b"STARTTLS\r\n").await?;
    let name = ServerName::try_from("smtp.example.com").expect("a name");
    let mut tls = connector.connect(name, plain).await?;
    say(&mut tls, b"EHLO probe.example.net\r\n").await?;
    say(&mut tls, b"QUIT\r\n").await?;
    tls.shutdown().await
}

async fn say(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), line: &[u8]) -> std::io::Result<()> {
    stream.write_all(line).await?;
    stream.flush().await?;
    reply(stream).await
}

/// Reads until a line with a code and a blank is complete.
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
