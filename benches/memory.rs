//! Resident memory a backend: a child process watches 2,000 and 10,000 backends, and the difference is what 8,000 of
//! them cost, free of what the process needs anyway. Once with a certificate of its own for each, once with one for
//! all. The limit is 1.5 KiB a backend and one copy of each distinct certificate.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::join_all;
use smtp_fleet::{KeyKind, Pki};
use smtp_tls_exporter::monitor::Monitor;

mod support;

const EACH: u32 = 10;
const FEW: u32 = 200;
const MANY: u32 = 1000;
const LIMIT: f64 = 1536.0;

fn main() {
    let runtime = support::runtime();
    match support::arguments().as_slice() {
        [targets, port, first, root] => {
            let number = |text: &String| text.parse().expect("a number");
            let port = port.parse().expect("a port");
            let first = first.parse().expect("an address");
            println!("{}", runtime.block_on(watch(number(targets), port, first, root)));
        }
        _ => runtime.block_on(compare()),
    }
}

async fn compare() {
    let pki = Arc::new(Pki::new());
    let root = support::RootFile::new(&pki);
    for (own, label) in [(false, "one certificate for all"), (true, "each its own certificate")] {
        let farm = support::farm(&pki, own, KeyKind::P256).await;
        let first = farm.addr(0).ip().to_string();
        let run = |targets: u32| {
            let args = [targets.to_string(), farm.port().to_string(), first.clone(), root.path()];
            let answer = tokio::task::block_in_place(|| support::child(&args));
            let (resident, der) = answer.split_once(' ').expect("two numbers");
            (resident.parse::<f64>().expect("a number"), der.parse::<f64>().expect("a number"))
        };
        let (few, many) = (run(FEW), run(MANY));
        let backends = f64::from((MANY - FEW) * EACH);
        let total = (many.0 - few.0) / backends;
        let certificates = (many.1 - few.1) / backends;
        println!(
            "memory, {label}: {total:.0} B a backend, of which {certificates:.0} B are certificates; \
             {:.0} B beside them, ratio {:.2} to {LIMIT:.0} B (aim 1.00); {:.1} MB resident at {} backends",
            total - certificates,
            (total - certificates) / LIMIT,
            many.0 / 1e6,
            MANY * EACH,
        );
    }
}

/// Resident bytes after three rounds, and the octets of all distinct certificates.
async fn watch(targets: u32, port: u16, first: Ipv4Addr, root: &str) -> String {
    let config = support::config(port, first, targets, EACH, root);
    let names: Vec<_> = config.targets.iter().map(|target| target.name.clone()).collect();
    let (monitor, handle) = Monitor::new(config, Arc::new(SystemTime::now)).expect("a monitor");
    let running = tokio::spawn(monitor.run(std::future::pending()));
    for _ in 0..3 {
        join_all(names.iter().map(|name| handle.round(name))).await;
    }
    let fleet = handle.fleet();
    let backends = fleet.targets.iter().flat_map(|target| target.backends());
    let certificates: std::collections::HashMap<_, _> = backends
        .filter_map(|backend| backend.last_certificate.as_ref())
        .flat_map(|last| last.assessment.chain.certificates())
        .map(|certificate| (certificate.fingerprint(), certificate.der().len()))
        .collect();
    let der: usize = certificates.values().sum();
    drop((names, certificates));
    let resident = support::resident_bytes();
    running.abort();
    format!("{resident} {der}")
}
