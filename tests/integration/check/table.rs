//! The table as people see it: 80 columns and more, with colours and without.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use smtp_fleet::{CertSpec, Pki, ServerSpec, profiles};
use smtp_tls_exporter::render::{self, Style};
use smtp_tls_exporter::snapshot::{BackendReport, EndpointReport, TargetReport};
use smtp_tls_exporter::target::{Backend, Endpoint, HostTarget, Target, TargetKind, TargetName};

use super::{CheckEnvironment, text};
use crate::support::{Environment, Running, target};

/// The report on servers of these kinds behind the alias, as if they were at 192.0.2.10 and on, port 587.
async fn report(servers: impl FnOnce(&Pki) -> Vec<ServerSpec>) -> Arc<TargetReport> {
    let pki = Pki::new();
    let fleet = smtp_fleet::Fleet::start(servers(&pki)).await.expect("a fleet");
    let env = Environment::new(&pki);
    let one = target("one", profiles::ALIAS, fleet.port(), smtp_fleet::TlsMode::StartTls, &fleet.ips());
    let running = Running::start(env.config(&Environment::yaml("", "", &[one])));
    Arc::new(moved(&*running.round("one").await))
}

fn moved(report: &TargetReport) -> TargetReport {
    let endpoint = |endpoint: &Endpoint| Arc::new(Endpoint { port: 587, ..endpoint.clone() });
    let backend = |(place, report): (u8, &Arc<BackendReport>)| {
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10 + place));
        Arc::new(BackendReport {
            backend: Backend::new(endpoint(&report.backend.endpoint), address),
            ..(**report).clone()
        })
    };
    let endpoints = report.endpoints.iter().map(|each| EndpointReport {
        endpoint: endpoint(&each.endpoint),
        backends: (0..).zip(&each.backends).map(backend).collect(),
        ..each.clone()
    });
    let TargetKind::Host(host) = &report.target.kind else { panic!("a host") };
    let kind = TargetKind::Host(HostTarget { endpoint: endpoint(&host.endpoint), ..host.clone() });
    let name = kind.default_name().and_then(|name| TargetName::new(name.as_str())).expect("a name");
    let target = Arc::new(Target { name, kind, ..(*report.target).clone() });
    TargetReport { target, endpoints: endpoints.collect(), ..report.clone() }
}

/// Without the part that says what to do: that has tests of its own, and texts to send that are not wrapped.
pub(super) fn findings(table: &str) -> String {
    let Some((before, rest)) = table.split_once("\n  WHAT TO DO\n") else { return table.to_owned() };
    let after = rest.find("\nWHAT OTHERS SAY\n").or_else(|| rest.find("\n1 target, ")).map_or("", |at| &rest[at..]);
    format!("{before}{after}")
}

#[track_caller]
fn check(report: &Arc<TargetReport>, width: usize, expected: &str) {
    let style = Style { width, ..Style::default() };
    // An hour on, no certificate ends at the full day.
    let now = SystemTime::now() + Duration::from_secs(3600);
    let table = render::targets_table(&[Arc::clone(report)], now, &style);
    let (found, expected) = (findings(&table), expected.trim_start_matches('\n'));
    assert!(found == expected, "found\n{found}\nexpected\n{expected}");
    assert!(found.lines().all(|line| line.chars().count() <= width), "{found}");
}

#[tokio::test]
async fn the_classic_case_on_80_columns() {
    let classic = |pki: &Pki| vec![profiles::good(pki), profiles::alias_missing(pki), profiles::alias_missing(pki)];
    let report = report(classic).await;
    check(&report, 80, CLASSIC);
    check(&report, 120, CLASSIC_WIDE);
}

#[tokio::test]
async fn all_kinds_of_trouble_on_80_columns() {
    let day = 86_400;
    let report = report(|pki| {
        let many: Vec<String> = (10..40).map(|number| format!("host-{number}.example.com")).collect();
        let many: Vec<&str> = std::iter::once(profiles::ALIAS).chain(many.iter().map(String::as_str)).collect();
        let expired = CertSpec::valid_for(&[profiles::ALIAS]).with_validity(-90 * day, -3 * day);
        vec![
            ServerSpec::new(pki.issue(&CertSpec::valid_for(&many))),
            ServerSpec::new(pki.issue(&expired)),
            profiles::greeting_554(pki),
            profiles::no_starttls(pki),
        ]
    })
    .await;
    check(&report, 80, TROUBLE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn colours_are_for_those_who_want_them() {
    let env = CheckEnvironment::classic().await;
    let target = env.at(profiles::ALIAS);
    let run = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = env.command(&[&["--config.file=config.yaml", &target], args].concat());
        let output = tokio::task::block_in_place(|| command.envs(variables.iter().copied()).output().expect("it runs"));
        // In the second of its making a certificate has 90 full days.
        text(&output.stdout).replace("  90  ", "  89  ")
    };
    let plain = run(&[], &[]);
    assert!(!plain.contains('\u{1b}'), "a file has no colours: {plain}");
    for (args, variables) in [
        (&["--color=never"][..], &[][..]),
        (&[], &[("NO_COLOR", "1")]),
        (&["--color=auto"], &[("TERM", "xterm"), ("CLICOLOR_FORCE", "1")]),
    ] {
        assert_eq!(run(args, variables), plain, "{args:?} {variables:?}");
    }
    let colored = run(&["--color=always"], &[("NO_COLOR", "1")]);
    assert!(colored.contains("\u{1b}[1m\u{1b}[31mNOT WELL: 2 of 3 backends\u{1b}[0m"), "{colored:?}");
    assert_eq!(uncolored(&colored), plain, "colours add nothing and cost no room");
    let wide = run(&[], &[("COLUMNS", "120")]);
    assert!(wide.lines().any(|line| line.ends_with("  names")), "{wide}");
}

fn uncolored(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + part.split_once('m').map_or(part, |(_, rest)| rest))
}

const CLASSIC: &str = "
smtp.example.com:587  NOT WELL: 2 of 3 backends
  backend         TLS      name  chain  days  issuer
  192.0.2.10:587  TLSv1.3  ok    ok       89  CN=Fleet Intermediate
    names   smtp.example.com, mail.example.com
  192.0.2.11:587  TLSv1.3  NO    ok       89  CN=Fleet Intermediate
    names   mail.example.com
  192.0.2.12:587  TLSv1.3  NO    ok       89  CN=Fleet Intermediate
    names   mail.example.com

  WHAT IS WRONG
  - name not_listed: The certificate lists other names.
    at 192.0.2.11:587, 192.0.2.12:587

WHAT OTHERS SAY
  not_listed
    .NET/MailKit  RemoteCertificateNameMismatch
                  The host name did not match the name given in the server's SSL
                  certificate.
    OpenSSL       verify error:num=62:hostname mismatch
                  (accepts it if a wildcard for a part of a label matches
                  (`m*.example.com`))
    Postfix       server certificate verification failed for <server>:
                  num=62:hostname mismatch
                  Server certificate not verified
    Go            x509: certificate is valid for <presented>, not <name>

1 target, 3 backends: 2 backends of 1 target are not well.
";

const CLASSIC_WIDE: &str = "
smtp.example.com:587  NOT WELL: 2 of 3 backends
  backend         TLS      name  chain  days  issuer                 names
  192.0.2.10:587  TLSv1.3  ok    ok       89  CN=Fleet Intermediate  smtp.example.com, mail.example.com
  192.0.2.11:587  TLSv1.3  NO    ok       89  CN=Fleet Intermediate  mail.example.com
  192.0.2.12:587  TLSv1.3  NO    ok       89  CN=Fleet Intermediate  mail.example.com

  WHAT IS WRONG
  - name not_listed: The certificate lists other names.
    at 192.0.2.11:587, 192.0.2.12:587

WHAT OTHERS SAY
  not_listed
    .NET/MailKit  RemoteCertificateNameMismatch
                  The host name did not match the name given in the server's SSL certificate.
    OpenSSL       verify error:num=62:hostname mismatch
                  (accepts it if a wildcard for a part of a label matches (`m*.example.com`))
    Postfix       server certificate verification failed for <server>: num=62:hostname mismatch
                  Server certificate not verified
    Go            x509: certificate is valid for <presented>, not <name>

1 target, 3 backends: 2 backends of 1 target are not well.
";

const TROUBLE: &str = "
smtp.example.com:587  NOT WELL: 3 of 4 backends
  backend         TLS             name  chain  days  issuer
  192.0.2.10:587  TLSv1.3         ok    ok       89  CN=Fleet Intermediate
    names   smtp.example.com, host-10.example.com, host-11.example.com,
            host-12.example.com, host-13.example.com, host-14.example.com and 25
            more
  192.0.2.11:587  TLSv1.3         ok    NO       -3  CN=Fleet Intermediate
    names   smtp.example.com
  192.0.2.12:587  FAILS greeting  -     -         -  -
    reason  rejected_5xx: 554 5.7.1 mail.example.com No SMTP service here
  192.0.2.13:587  FAILS starttls  -     -         -  -
    reason  starttls_not_offered: EHLO does not list STARTTLS

  WHAT IS WRONG
  - greeting rejected_5xx: The server sent a 5xx reply where a positive one was
    required (RFC 5321 §4.2.1).
    at 192.0.2.12:587
  - starttls starttls_not_offered: The EHLO reply does not list STARTTLS.
    at 192.0.2.13:587
  - chain expired: A certificate on the path has expired (RFC 5280 §4.1.2.5).
    at 192.0.2.11:587

WHAT OTHERS SAY
  starttls_not_offered
    .NET/MailKit  The SMTP server does not support the STARTTLS extension.
                  (accepts it in plaintext, with `StartTlsWhenAvailable`)
    OpenSSL       Didn't find STARTTLS in server response, trying anyway...
    Postfix       TLS is required, but was not offered by host <server>
                  (accepts it in plaintext, at security level `may`)
    Go            (accepts it in plaintext, with `smtp.SendMail`)
  expired
    .NET/MailKit  RemoteCertificateChainErrors
                  NotTimeValid
    OpenSSL       verify error:num=10:certificate has expired
    Postfix       server certificate verification failed for <server>:
                  certificate has expired
                  CA certificate verification failed for <server>: certificate
                  has expired
                  Server certificate not verified
    Go            x509: certificate has expired or is not yet valid: current
                  time <now> is after <notAfter>

1 target, 4 backends: 3 backends of 1 target are not well.
";
