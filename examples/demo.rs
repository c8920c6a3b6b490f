//! The exporter against an embedded fleet of good and bad SMTP servers; nothing else is needed.
//!
//! `cargo run --release --example demo` serves until it is stopped, `-- --once` ends after one round.

use std::time::SystemTime;

use clap::Parser;
use futures_util::future::join_all;
use smtp_fleet::demo::Demo;
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::service::Service;
use smtp_tls_exporter::snapshot::{BackendReport, TargetReport};
use smtp_tls_exporter::web;

/// The exporter against an embedded fleet of good and bad SMTP servers.
#[derive(Debug, Parser)]
struct Args {
    /// End after one round.
    #[arg(long)]
    once: bool,

    /// Address to serve on, repeatable; without a host on all of them.
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = ":10465")]
    listen: Vec<String>,
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
    let url = format!("http://localhost:{}/metrics", listeners.first().ok_or("no listener")?.local_addr()?.port());
    let web = web::Options::default();
    let running = Service { config, config_file: None, listeners, web }.start()?;
    let reports = join_all(names.iter().map(|name| running.handle.round(name))).await;
    for report in reports {
        let report = report.ok_or("a target without a round")?;
        print(&report, SystemTime::now());
    }
    if args.once {
        running.until(std::future::ready(())).await?;
    } else {
        println!("\nServing {url}, for people {}; Ctrl-C ends it.", url.trim_end_matches("metrics"));
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
        Some(Err(failure)) => format!("FAILS in {}: {}", failure.stage, failure.reason),
    };
    let Some(assessment) = backend.last_certificate.as_ref().map(|last| &last.assessment) else { return tls };
    let name = match backend.name_matches() {
        Some(true) => "name ok".to_owned(),
        None => "name unknown".to_owned(),
        Some(false) => format!("NAME MISSING, presents {}", presented(assessment)),
    };
    let reasons: Vec<_> = assessment.reasons(now).iter().map(|reason| reason.as_str()).collect();
    let chain = if reasons.is_empty() { "chain ok".to_owned() } else { format!("CHAIN {}", reasons.join(", ")) };
    let not_after = assessment.leaf().and_then(|leaf| leaf.facts()).map(|facts| facts.not_after);
    let days = not_after.map_or(0, |end| (end - smtp_tls_exporter::verdict::unix(now)) / 86_400);
    format!("{tls}  {name}  {chain}  {days} days")
}

fn presented(assessment: &smtp_tls_exporter::verdict::Assessment) -> String {
    let facts = assessment.leaf().and_then(|leaf| leaf.facts());
    let names = facts.into_iter().flat_map(|facts| facts.names()).map(|name| name.to_string());
    names.collect::<Vec<_>>().join(", ")
}
