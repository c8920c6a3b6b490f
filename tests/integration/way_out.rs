//! What else is told of a target: names that would work in place of the one that does not, what changed, and the
//! certificate on disk.

use std::net::IpAddr;
use std::sync::Arc;

use smtp_fleet::{Answer, CertSpec, Dns, Fleet, Pki, RecordType, ServerSpec, TlsMode, profiles};
use smtp_tls_exporter::reason::{LookupReason, ProbeReason, Resolves, Stage};
use smtp_tls_exporter::snapshot::{Change, TargetReport};

use crate::support::{Environment, Running, target};

const NAMES: &[&str] = &[
    profiles::HOST,
    "part.example.com",
    "elsewhere.example.com",
    "nowhere.example.com",
    "empty.example.com",
    "failing.example.com",
    "half.example.com",
];

/// Three servers behind the alias, of which the last one lacks it; all have the other names.
async fn classic(pki: &Pki) -> (Fleet, Dns, Running, Environment) {
    let issue = |names: &[&str]| ServerSpec::new(pki.issue(&CertSpec::valid_for(names)));
    let all: Vec<&str> = NAMES.iter().copied().chain([profiles::ALIAS]).collect();
    let fleet = Fleet::start(vec![issue(&all), issue(&all), issue(NAMES)]).await.expect("a fleet");
    let dns = Dns::start().await.expect("a responder");
    let ips = fleet.ips();
    for name in [profiles::ALIAS, profiles::HOST] {
        dns.set_addresses(name, &ips);
    }
    dns.set_addresses("part.example.com", &ips[..2]);
    dns.set_addresses("elsewhere.example.com", &[ips[0], IpAddr::from([192, 0, 2, 1])]);
    dns.set("empty.example.com", RecordType::TXT, Answer::NoData);
    for record_type in [RecordType::A, RecordType::AAAA] {
        dns.set("failing.example.com", record_type, Answer::ServFail);
    }
    dns.set("half.example.com", RecordType::A, Answer::Addresses(ips));
    dns.set("half.example.com", RecordType::AAAA, Answer::ServFail);
    let env = Environment::new(pki);
    let resolvers = format!("resolvers: {{test: {{nameservers: [\"{}\"]}}}}", dns.addr());
    let one = format!("{{name: one, host: {}, port: {}}}", profiles::ALIAS, fleet.port());
    let running = Running::start(env.config(&Environment::yaml("resolver: test, interval: 60s", &resolvers, &[one])));
    (fleet, dns, running, env)
}

/// The names that would work, with where they lead.
#[track_caller]
fn check_names(report: &TargetReport, expected: &[(&str, Resolves, usize)]) {
    let [endpoint] = report.endpoints.as_slice() else { panic!("one endpoint: {report:?}") };
    let mut names: Vec<_> = endpoint
        .alternates
        .iter()
        .map(|shared| (shared.name.to_string(), shared.resolves, shared.addresses.len()))
        .collect();
    names.sort_unstable();
    let mut expected: Vec<_> = expected.iter().map(|(name, to, count)| (name.to_string(), *to, *count)).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_would_work_are_looked_up() {
    let pki = Pki::new();
    let (fleet, dns, running, _env) = classic(&pki).await;
    let others = [
        ("part.example.com", Resolves::Part, 2),
        ("elsewhere.example.com", Resolves::Elsewhere, 2),
        ("nowhere.example.com", Resolves::Nowhere, 0),
        ("empty.example.com", Resolves::Nowhere, 0),
        ("failing.example.com", Resolves::Unknown, 0),
        ("half.example.com", Resolves::Unknown, 0),
    ];
    let expected = |resolves, count| [&[(profiles::HOST, resolves, count)], others.as_slice()].concat();
    check_names(&*running.round("one").await, &expected(Resolves::All, 3));
    dns.set_addresses(profiles::HOST, &fleet.ips()[1..]);
    check_names(&*running.round("one").await, &expected(Resolves::Part, 2));
    let asked = dns.queries().len();
    // Where nothing is wrong, nothing else is asked for.
    fleet.servers()[2].replace(profiles::good(&pki));
    check_names(&*running.round("one").await, &[]);
    assert_eq!(dns.queries().len(), asked + 2, "A and AAAA of the alias");
    // What a server that fails now showed last counts, too.
    fleet.servers()[2].stop().await;
    fleet.servers()[1].replace(profiles::alias_missing(&pki));
    check_names(&*running.round("one").await, &[(profiles::HOST, Resolves::Part, 2)]);
    running.stop().await;
}

/// What changed, a line each.
fn changes(report: &TargetReport) -> Vec<String> {
    let of = |change: &Change| match change {
        Change::Condition(backend, condition) => {
            let failure = condition.failure.map(|(stage, reason)| format!("{stage} {reason}"));
            let what = failure.unwrap_or_else(|| format!("name {:?}", condition.name.expect("a verdict")));
            format!("{} {what}", backend.address)
        }
        Change::Resolved(backend, named) => format!("{} named {named}", backend.address),
        Change::Lookup(failures) => {
            let reasons: Vec<_> = failures.iter().map(|failure| failure.reason.as_str()).collect();
            format!("lookup {}", reasons.join(" "))
        }
    };
    report.changes.iter().map(|change| of(&change.what)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_remembered_in_order() {
    let pki = Pki::new();
    let (fleet, dns, running, _env) = classic(&pki).await;
    let ips = fleet.ips();
    let mut expected = vec![format!("{} name false", ips[2])];
    assert_eq!(changes(&*running.round("one").await), expected, "what is well from the start is no change");
    fleet.servers()[0].stop().await;
    expected.push(format!("{} {} {}", ips[0], Stage::Connect, ProbeReason::Refused));
    assert_eq!(changes(&*running.round("one").await), expected);
    fleet.servers()[0].start().await.expect("it comes back");
    expected.push(format!("{} name true", ips[0]));
    assert_eq!(changes(&*running.round("one").await), expected);
    for record_type in [RecordType::A, RecordType::AAAA] {
        dns.set(profiles::ALIAS, record_type, Answer::ServFail);
    }
    expected.push(format!("lookup {0} {0}", LookupReason::ServFail));
    assert_eq!(changes(&*running.round("one").await), expected);
    dns.set(profiles::ALIAS, RecordType::AAAA, Answer::NoData);
    dns.set_addresses(profiles::ALIAS, &ips[1..]);
    expected.push("lookup ".to_owned());
    assert_eq!(changes(&*running.round("one").await), expected);
    running.round("one").await;
    expected.push(format!("{} named false", ips[0]));
    assert_eq!(changes(&*running.round("one").await), expected, "named no longer from the third round");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_on_disk_is_read_in_each_round() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki)]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let entry = target("one", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips());
    let entry = entry.replace('}', ", certificate_file: served.pem}");
    let file = env.folder.path().join("served.pem");
    let renewed = pki.issue(&CertSpec::valid_for(&[profiles::ALIAS]));
    std::fs::write(&file, renewed.chain_pem()).expect("the file is written");
    let running = Running::start(env.config(&Environment::yaml("interval: 60s", "", &[entry])));
    let seen = |report: &Arc<TargetReport>| {
        let last = report.endpoints[0].backends[0].last_certificate.as_ref().map(|last| last.file_match);
        (report.file.is_some(), last)
    };
    let report = running.round("one").await;
    assert_eq!(seen(&report), (true, Some(Some(false))), "renewed, and not reloaded");
    let again = running.round("one").await;
    let both = [&report, &again].map(|report| report.file.clone().expect("a certificate"));
    assert!(Arc::ptr_eq(&both[0], &both[1]), "what did not change is not parsed again");
    fleet.servers()[0].replace(ServerSpec::new(renewed));
    assert_eq!(seen(&running.round("one").await), (true, Some(Some(true))));
    std::fs::write(&file, "no certificate").expect("the file is written");
    assert_eq!(seen(&running.round("one").await), (false, Some(None)));
    running.stop().await;
}
