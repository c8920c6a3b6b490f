//! Runs the exporter with an embedded fleet of SMTP servers, healthy and broken ones. Needs no network.
//!
//! `cargo run --release --example demo` serves metrics until stopped; with `-- --once` it exits after one round.

use std::time::SystemTime;

use clap::Parser;
use futures_util::future::join_all;
use smtp_fleet::demo::Demo;
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::service::{Notifier, Service};
use smtp_tls_exporter::snapshot::{BackendReport, TargetReport};
use smtp_tls_exporter::text::{SECONDS_PER_DAY, list};
use smtp_tls_exporter::verdict::{Assessment, unix};
use smtp_tls_exporter::web::{self, ListenAddress};

/// Run the exporter with an embedded fleet of SMTP servers, healthy and broken ones.
#[derive(Debug, Parser)]
struct Args {
    /// Exit after one round of probes.
    #[arg(long)]
    once: bool,

    /// Listen address; repeatable (`:PORT` listens on all interfaces).
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = ":10465")]
    listen: Vec<ListenAddress>,
}

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let folder = tempfile::tempdir()?;
    let demo = Demo::start(folder.path()).await?;
    let config = Config::load(demo.config())?;
    let names: Vec<_> = config.targets.iter().map(|target| target.name.clone()).collect();

    let mut listeners = Vec::new();
    for address in &args.listen {
        listeners.extend(web::bind(address).await?);
    }
    let url = format!("http://localhost:{}/", listeners.first().ok_or("no listener")?.local_addr()?.port());
    let web = web::Options::default();
    let notifier = Notifier::default();
    let service = Service {
        config,
        config_file: None,
        hangup: None,
        auto_reload: None,
        listeners,
        web,
        web_config: None,
        notifier,
    };
    let running = service.start()?;
    let reports = join_all(names.iter().map(|name| running.handle.round(name))).await;
    for report in reports {
        let report = report.ok_or("a target was not probed")?;
        print(&report, SystemTime::now());
    }
    if args.once {
        running.until(std::future::ready(())).await?;
    } else {
        println!("\nMetrics: {url}metrics\nStatus page: {url}\nPress Ctrl-C to stop.");
        running
            .until(async {
                let _ = tokio::signal::ctrl_c().await;
            })
            .await?;
    }
    Ok(())
}

fn print(report: &TargetReport, now: SystemTime) {
    println!("\n{}", report.target.name);
    for backend in report.backends() {
        println!("  {:<22} {}", backend.backend.socket_addr().to_string(), line(backend, now));
    }
}

fn line(backend: &BackendReport, now: SystemTime) -> String {
    let tls = match backend.probe.as_ref().map(|probe| &probe.outcome) {
        None => "not probed".to_owned(),
        Some(Ok(connection)) => connection.version.to_owned(),
        Some(Err(failure)) => format!("FAILED in {}: {}", failure.stage, failure.reason),
    };
    let Some(assessment) = backend.last_certificate.as_ref().map(|last| &last.assessment) else { return tls };
    let name = match backend.name_matches() {
        Some(true) => "name ok".to_owned(),
        None => "name unknown".to_owned(),
        Some(false) => format!("NAME MISMATCH: presents {}", presented(assessment)),
    };
    let reasons: Vec<_> = assessment.reasons(now).iter().map(|reason| reason.as_str()).collect();
    let chain =
        if reasons.is_empty() { "chain ok".to_owned() } else { format!("CHAIN INVALID: {}", reasons.join(", ")) };
    let not_after = assessment.leaf().and_then(|leaf| leaf.facts()).map(|facts| facts.not_after);
    let days = not_after.map_or(0, |end| (end - unix(now)) / SECONDS_PER_DAY);
    format!("{tls}  {name}  {chain}  {days} days")
}

fn presented(assessment: &Assessment) -> String {
    let facts = assessment.leaf().and_then(|leaf| leaf.facts());
    let names = facts.into_iter().flat_map(|facts| facts.names()).map(|name| name.to_string());
    list(names, 3)
}
