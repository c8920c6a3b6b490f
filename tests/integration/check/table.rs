//! The table at different widths, with colors and without.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use expect_test::expect_file;
use futures_util::future::join_all;
use smtp_fleet::demo::Demo;
use smtp_fleet::{CertSpec, Dns, Fleet, Pki, ServerSpec, profiles};
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::render::{self, Style};
use smtp_tls_exporter::snapshot::{AlternateName, BackendReport, EndpointReport, TargetReport};
use smtp_tls_exporter::target::{Backend, Endpoint, HostTarget, Target, TargetKind};

use super::{CheckEnvironment, text};
use crate::golden::normalized;
use crate::support::{Environment, Running};

/// The report on these servers behind the alias.
async fn report(servers: impl FnOnce(&Pki) -> Vec<ServerSpec>) -> Arc<TargetReport> {
    let pki = Pki::new();
    let fleet = Fleet::start(servers(&pki)).await.expect("a fleet");
    let dns = Dns::start().await.expect("a name server");
    for name in [profiles::ALIAS, profiles::HOST] {
        dns.set_addresses(name, &fleet.ips());
    }
    let env = Environment::new(&pki);
    let one = format!("{{name: one, host: {}, port: {}}}", profiles::ALIAS, fleet.port());
    let running =
        Running::start(env.config(&Environment::yaml("resolver: test", &Environment::resolver(&dns), &[one])));
    let moved = moved(&*running.round("one").await, &mut HashMap::new());
    let name = moved.target.kind.default_name().expect("a name");
    let target = Arc::new(Target { name, ..(*moved.target).clone() });
    Arc::new(TargetReport { target, ..moved })
}

/// The reports on the targets of the demo.
async fn demo() -> Vec<Arc<TargetReport>> {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(folder.path()).await.expect("the demo");
    let config = Config::load(demo.config()).expect("a config");
    let names: Vec<String> = config.targets.iter().map(|target| target.name.to_string()).collect();
    let running = Running::start(config);
    join_all(names.iter().map(|name| running.round(name))).await;
    // A round may have ended before another server presented the intermediate that its chain lacks.
    running.handle.settled().await;
    let mut addresses = HashMap::new();
    let reports = names.iter().filter_map(|name| running.handle.find(name));
    reports.map(|report| Arc::new(moved(&report, &mut addresses))).collect()
}

/// The report with addresses from 192.0.2.10 on and port 587. Equal addresses stay equal.
fn moved(report: &TargetReport, addresses: &mut HashMap<IpAddr, IpAddr>) -> TargetReport {
    let mut address = |found: &IpAddr| {
        let next = 10 + u8::try_from(addresses.len()).expect("few addresses");
        *addresses.entry(*found).or_insert_with(|| IpAddr::V4(Ipv4Addr::new(192, 0, 2, next)))
    };
    let endpoint = |endpoint: &Endpoint| Arc::new(Endpoint { port: 587, ..endpoint.clone() });
    let mut backend = |report: &Arc<BackendReport>| {
        let found = &report.backend;
        let backend = Backend::new(endpoint(&found.endpoint), address(&found.address));
        Arc::new(BackendReport { backend, ..(**report).clone() })
    };
    let mut endpoints = Vec::new();
    for each in &report.endpoints {
        let backends: Vec<_> = each.backends.iter().map(&mut backend).collect();
        let mut moved = EndpointReport { endpoint: endpoint(&each.endpoint), backends, ..each.clone() };
        moved.backends.sort_by_key(|report| report.backend.address);
        endpoints.push(moved);
    }
    for each in &mut endpoints {
        let alternate = |name: &AlternateName| AlternateName {
            addresses: name.addresses.iter().map(&mut address).collect(),
            ..name.clone()
        };
        each.alternates = each.alternates.iter().map(alternate).collect();
    }
    let TargetKind::Host(host) = &report.target.kind else { panic!("a host") };
    let kind = TargetKind::Host(HostTarget { endpoint: endpoint(&host.endpoint), ..host.clone() });
    let target = Arc::new(Target { kind, ..(*report.target).clone() });
    TargetReport { target, endpoints, ..report.clone() }
}

/// The table without the section of actions: requests are not wrapped.
pub(super) fn findings(table: &str) -> String {
    let Some((before, rest)) = table.split_once("\n  ACTIONS\n") else { return table.to_owned() };
    let after = rest.find("\nCLIENT ERRORS\n").or_else(|| rest.find("\n1 target, ")).map_or("", |at| &rest[at..]);
    format!("{before}{after}")
}

fn table(reports: &[Arc<TargetReport>], style: Style) -> String {
    // An hour later, no validity period ends in a whole number of days.
    let now = SystemTime::now() + Duration::from_secs(3600);
    let one = |report: &Arc<TargetReport>| findings(&render::targets_table(&[Arc::clone(report)], now, &style));
    for table in reports.iter().map(one) {
        assert!(table.lines().all(|line| line.chars().count() <= style.width), "{table}");
    }
    render::targets_table(reports, now, &style)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_those_of_the_golden_file() {
    const DAY: i64 = 86_400;
    let classic =
        report(|pki| vec![profiles::good(pki), profiles::alias_missing(pki), profiles::alias_missing(pki)]).await;
    let trouble = report(|pki| {
        let many: Vec<String> = (10..40).map(|number| format!("host-{number}.example.com")).collect();
        let many: Vec<&str> = std::iter::once(profiles::ALIAS).chain(many.iter().map(String::as_str)).collect();
        let expired = CertSpec::valid_for(&[profiles::ALIAS]).with_validity(-90 * DAY, -3 * DAY);
        vec![
            ServerSpec::new(pki.issue(&CertSpec::valid_for(&many))),
            ServerSpec::new(pki.issue(&expired)),
            profiles::greeting_554(pki),
            profiles::no_starttls(pki),
        ]
    })
    .await;
    let (classic, trouble, demo) = ([classic], [trouble], demo().await);
    let narrow = Style::default();
    let mut golden = String::new();
    for (title, reports, style) in [
        ("The demo in 80 columns", &demo[..], narrow),
        ("One name, three backends, in 80 columns", &classic, narrow),
        ("The same in 120 columns with all certificates", &classic, Style { width: 120, certificates: true, ..narrow }),
        ("Different problems in 80 columns", &trouble, narrow),
    ] {
        writeln!(golden, "===== {title} =====\n\n{}", table(reports, style)).expect("a string");
    }
    expect_file!["../../golden/check-demo.txt"].assert_eq(&normalized(&golden));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn colors_and_width_follow_terminal_flags_and_environment() {
    let env = CheckEnvironment::classic().await;
    let target = env.at(profiles::ALIAS);
    let run = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = env.command(&[&["--config.file=config.yaml", &target], args].concat());
        let output = tokio::task::block_in_place(|| command.envs(variables.iter().copied()).output().expect("it runs"));
        // In the second of its issuance, a certificate has 90 full days.
        normalized(&text(&output.stdout).replace("  90  ", "  89  "))
    };
    let plain = run(&[], &[]);
    assert!(!plain.contains('\u{1b}'), "no colors in a pipe: {plain}");
    for (args, variables) in [
        (&["--color=never"][..], &[][..]),
        (&[], &[("NO_COLOR", "1")]),
        (&["--color=auto"], &[("TERM", "xterm"), ("CLICOLOR_FORCE", "1")]),
    ] {
        assert_eq!(run(args, variables), plain, "{args:?} {variables:?}");
    }
    let colored = run(&["--color=always"], &[("NO_COLOR", "1")]);
    for (color, count) in [("\u{1b}[31m", 5), ("\u{1b}[32m", 7)] {
        assert!(colored.matches(color).count() >= count, "{color:?} in {colored:?}");
    }
    assert_eq!(uncolored(&colored), plain, "colors change no text");
    let wide = run(&[], &[("COLUMNS", "120")]);
    let width = |text: &str| findings(text).lines().map(|line| line.chars().count()).max();
    assert!(width(&wide) > width(&plain), "{wide}");
}

fn uncolored(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + part.split_once('m').map_or(part, |(_, rest)| rest))
}
