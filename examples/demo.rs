//! The exporter against an embedded fleet of good and bad SMTP servers; nothing else is needed.
//!
//! `cargo run --release --example demo` serves until it is stopped, `-- --once` ends after one round.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use clap::Parser;
use futures_util::future::join_all;
use smtp_fleet::{Dns, Fleet, Pki, ServerSpec, TlsMode, cast};
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::service::{Service, termination};
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
    let pki = Pki::new();
    let cases = cases(&pki);
    let specs = cases.iter().flat_map(|case| case.servers.clone()).collect();
    let fleet = Fleet::start(specs).await?;
    let dns = Dns::start().await?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("root.pem"), pki.root_pem())?;

    let mut addresses = fleet.ips().into_iter();
    let mut targets = String::new();
    for case in &cases {
        let backends: Vec<IpAddr> = addresses.by_ref().take(case.servers.len()).collect();
        for name in case.names {
            dns.set_addresses(name, &backends);
            writeln!(targets, "  - {{host: {name}, port: {}, tls: {}, name: {name}}}", fleet.port(), case.tls())?;
        }
    }
    let config = config(folder.path(), &dns, &targets)?;
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
        running.until(termination()?).await?;
    }
    Ok(())
}

/// Names that share the backends behind them.
struct Case {
    names: &'static [&'static str],
    servers: Vec<ServerSpec>,
}

impl Case {
    fn tls(&self) -> &'static str {
        match self.servers.first().map(|server| server.tls) {
            Some(TlsMode::Implicit) => "implicit",
            _ => "starttls",
        }
    }
}

/// The classic case first: one backend of three carries the alias, all three carry the other name.
fn cases(pki: &Pki) -> Vec<Case> {
    let alone = |name: &'static [&'static str], spec: ServerSpec| Case { names: name, servers: vec![spec] };
    let named = |name: &str| smtp_fleet::CertSpec::valid_for(&[name]);
    let issue = |spec: smtp_fleet::CertSpec| ServerSpec::new(pki.issue(&spec));
    let as_named = |name, spec| ServerSpec { identity: Some(pki.issue(&named(name))), ..spec };
    const DAY: i64 = 86_400;
    vec![
        Case {
            names: &[cast::ALIAS, cast::HOST],
            servers: vec![cast::good(pki), cast::alias_missing(pki), cast::alias_missing(pki)],
        },
        alone(&["expired.example.com"], issue(named("expired.example.com").with_validity(-90 * DAY, -3 * DAY))),
        alone(&["soon.example.com"], issue(named("soon.example.com").with_validity(-85 * DAY, 5 * DAY))),
        alone(&["future.example.com"], issue(named("future.example.com").with_validity(DAY, 90 * DAY))),
        alone(
            &["self-signed.example.com"],
            issue(named("self-signed.example.com").with_issuer(smtp_fleet::Issuer::SelfSigned)),
        ),
        alone(
            &["incomplete.example.com"],
            issue(named("incomplete.example.com").with_presented(smtp_fleet::Presented::LeafOnly)),
        ),
        alone(
            &["private-ca.example.com"],
            issue(named("private-ca.example.com").with_issuer(smtp_fleet::Issuer::Stranger)),
        ),
        alone(&["implicit.example.com"], issue(named("implicit.example.com")).with_tls(TlsMode::Implicit)),
        alone(&["no-starttls.example.com"], cast::no_starttls(pki)),
        alone(
            &["no-longer-offered.example.com"],
            cast::starttls_refused(pki, "454 TLS not available due to local problem"),
        ),
        alone(&["busy.example.com"], cast::greeting_421(pki)),
        alone(
            &["postscreen.example.com"],
            as_named("postscreen.example.com", cast::screening(pki, Duration::from_secs(1))),
        ),
        alone(
            &["mutual.example.com"],
            as_named("mutual.example.com", cast::client_certificate(pki, smtp_fleet::TlsVersions::Tls13)),
        ),
        // Whoever runs a server writes what they like into its certificate.
        alone(
            &["markup.example.com"],
            issue(
                named("<img src=x onerror=alert('name')>")
                    .with_common_name(Some("</title><script>alert('subject')</script>")),
            ),
        ),
    ]
}

fn config(folder: &Path, dns: &Dns, targets: &str) -> Result<Config, Failure> {
    let text = format!(
        "defaults: {{interval: 15s, timeout: 10s, ehlo_name: probe.example.net, trust: demo, resolver: demo}}\n\
         trust_stores: {{demo: {{roots: none, files: [root.pem]}}}}\n\
         resolvers: {{demo: {{nameservers: [\"{}\"]}}}}\n\
         targets:\n{targets}",
        dns.addr()
    );
    Ok(Config::parse(&text, &folder.join("demo.yaml"))?)
}

fn print(report: &TargetReport, now: SystemTime) {
    println!("\n{}", report.target.name);
    for backend in report.endpoints.iter().flat_map(|endpoint| &endpoint.backends) {
        println!("  {:<22} {}", backend.backend.socket_addr().to_string(), line(backend, now));
    }
}

fn line(backend: &BackendReport, now: SystemTime) -> String {
    let tls = match backend.probe.as_ref().map(|probe| &probe.outcome) {
        None => "not probed".to_owned(),
        Some(Ok(connection)) => connection.version.to_owned(),
        Some(Err(failure)) => format!("FAILS in {}: {}", failure.stage, failure.reason),
    };
    let Some(assessment) = backend.held.as_ref().map(|held| &held.assessment) else { return tls };
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
