//! Resident memory per backend: the difference between child processes with 2,000 and with 10,000 backends, once with one
//! certificate for all backends, once with one for each. The limit is 1.5 KiB per backend plus one copy of each distinct
//! certificate.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::join_all;
use smtp_fleet::{KeyKind, Pki};
use smtp_tls_exporter::monitor::Monitor;

mod support;

use support::FarmArgs;

const EACH: u32 = 10;
const FEW: u32 = 200;
const MANY: u32 = 1000;
const LIMIT: f64 = 1536.0;

fn main() {
    support::run_on_farm(compare(), async |targets, farm| watch(targets.parse().expect("a number"), &farm).await);
}

async fn compare() {
    let pki = Arc::new(Pki::new());
    let root = support::RootFile::new(&pki);
    for (own, label) in [(false, "one certificate for all"), (true, "one certificate per backend")] {
        let farm = support::farm(&pki, own, KeyKind::P256).await;
        let args = FarmArgs::new(&farm, &root);
        let run = |targets: u32| {
            let answer = support::child(&args.to_args(targets));
            let (resident, der) = answer.split_once(' ').expect("two numbers");
            (resident.parse::<f64>().expect("a number"), der.parse::<f64>().expect("a number"))
        };
        let (few, many) = (run(FEW), run(MANY));
        let backends = f64::from((MANY - FEW) * EACH);
        let total = (many.0 - few.0) / backends;
        let certificates = (many.1 - few.1) / backends;
        println!(
            "memory, {label}: {total:.0} B per backend, {certificates:.0} B of it certificates; \
             remaining {:.0} B, {:.2} of {LIMIT:.0} B (limit 1.00); {:.1} MB resident with {} backends",
            total - certificates,
            (total - certificates) / LIMIT,
            many.0 / 1e6,
            MANY * EACH,
        );
    }
}

/// Resident bytes after three rounds, and the size of all distinct certificates.
async fn watch(targets: u32, farm: &FarmArgs) -> String {
    let config = farm.config(targets, EACH);
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
    let resident = support::memory().vmrss.expect("VmRSS") * 1024;
    running.abort();
    format!("{resident} {der}")
}
