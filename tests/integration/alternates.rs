//! Alternate names: names that all backends present, looked up while a backend does not list the server name.

use std::net::IpAddr;

use smtp_fleet::{Answer, CertSpec, Dns, Fleet, Pki, RecordType, ServerSpec, profiles};
use smtp_tls_exporter::reason::Resolves;
use smtp_tls_exporter::snapshot::TargetReport;

use crate::support::{Environment, Running};

const NAMES: &[&str] = &[
    profiles::HOST,
    "part.example.com",
    "other-host.example.com",
    "nowhere.example.com",
    "empty.example.com",
    "failing.example.com",
    "half.example.com",
];

/// Three servers behind the alias. The last one does not list it; all of them list the other names.
async fn start(pki: &Pki) -> (Fleet, Dns, Running, Environment) {
    let issue = |names: &[&str]| ServerSpec::new(pki.issue(&CertSpec::valid_for(names)));
    let all: Vec<&str> = NAMES.iter().copied().chain([profiles::ALIAS]).collect();
    let fleet = Fleet::start(vec![issue(&all), issue(&all), issue(NAMES)]).await.expect("a fleet");
    let dns = Dns::start().await.expect("a responder");
    let ips = fleet.ips();
    for name in [profiles::ALIAS, profiles::HOST] {
        dns.set_addresses(name, &ips);
    }
    dns.set_addresses("part.example.com", &ips[..2]);
    dns.set_addresses("other-host.example.com", &[ips[0], IpAddr::from([192, 0, 2, 1])]);
    dns.set("empty.example.com", RecordType::TXT, Answer::NoData);
    for record_type in [RecordType::A, RecordType::AAAA] {
        dns.set("failing.example.com", record_type, Answer::ServFail);
    }
    dns.set("half.example.com", RecordType::A, Answer::Addresses(ips));
    dns.set("half.example.com", RecordType::AAAA, Answer::ServFail);
    let env = Environment::new(pki);
    let one = format!("{{name: one, host: {}, port: {}}}", profiles::ALIAS, fleet.port());
    let text = Environment::yaml("resolver: test, interval: 60s", &Environment::resolver(&dns), &[one]);
    let running = Running::start(env.config(&text));
    (fleet, dns, running, env)
}

/// Each alternate name with what it resolves to and the number of its addresses.
#[track_caller]
fn check(report: &TargetReport, expected: &[(&str, Resolves, usize)]) {
    let [endpoint] = report.endpoints.as_slice() else { panic!("one endpoint: {report:?}") };
    let mut names: Vec<_> = endpoint
        .alternates
        .iter()
        .map(|alternate| (alternate.name.to_string(), alternate.resolves, alternate.addresses.len()))
        .collect();
    names.sort_unstable();
    let mut expected: Vec<_> =
        expected.iter().map(|(name, resolves, count)| (name.to_string(), *resolves, *count)).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looks_up_alternate_names_while_a_backend_does_not_list_the_server_name() {
    let pki = Pki::new();
    let (fleet, dns, running, _env) = start(&pki).await;
    let others = [
        ("part.example.com", Resolves::Part, 2),
        ("other-host.example.com", Resolves::Elsewhere, 2),
        ("nowhere.example.com", Resolves::Nowhere, 0),
        ("empty.example.com", Resolves::Nowhere, 0),
        ("failing.example.com", Resolves::Unknown, 0),
        ("half.example.com", Resolves::Unknown, 0),
    ];
    let expected = |resolves, count| [&[(profiles::HOST, resolves, count)], others.as_slice()].concat();
    check(&*running.round("one").await, &expected(Resolves::All, 3));
    dns.set_addresses(profiles::HOST, &fleet.ips()[1..]);
    check(&*running.round("one").await, &expected(Resolves::Part, 2));
    let asked = dns.queries().len();
    // All backends list the server name: only the server name itself is looked up.
    fleet.servers()[2].replace(profiles::good(&pki));
    check(&*running.round("one").await, &[]);
    assert_eq!(dns.queries().len(), asked + 2, "A and AAAA of the alias");
    // The last certificate of a backend that fails now counts, too.
    fleet.servers()[2].stop().await;
    fleet.servers()[1].replace(profiles::alias_missing(&pki));
    check(&*running.round("one").await, &[(profiles::HOST, Resolves::Part, 2)]);
    running.stop().await;
}
