//! The table of certificates through the whole street: each case is presented by a server, and what is concluded is
//! read from the metrics.

use std::collections::BTreeSet;
use std::fmt::Write;

use futures_util::future::join_all;
use rustls_pki_types::CertificateDer;
use smtp_fleet::cases::{self, Case, NameOutcome};
use smtp_fleet::{Fleet, ServerSpec};
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::reason::{ChainReason, NameReason};
use smtp_tls_exporter::service::Service;
use smtp_tls_exporter::target::TargetName;
use smtp_tls_exporter::web;

use crate::support::{Answer, request};

/// What the metrics say of one target's only backend.
#[derive(Debug, PartialEq, Eq)]
struct Concluded {
    name: NameOutcome,
    trusted: Option<bool>,
    valid: Option<bool>,
    errors: Vec<&'static str>,
}

/// What differs from what is expected.
fn check(case: &Case, answer: &Answer) -> Option<String> {
    let expected = Concluded {
        name: case.expected.name,
        trusted: case.expected.trusted,
        valid: Some(case.expected.valid),
        errors: case.expected.errors.to_vec(),
    };
    let found = concluded(answer, case.name);
    (found != expected).then(|| format!("{}:\n  found    {found:?}\n  expected {expected:?}", case.name))
}

fn concluded(answer: &Answer, target: &str) -> Concluded {
    let of_target = |metric: &str| {
        let start = format!("smtp_tls_{metric}{{target=\"{target}\",");
        answer.text().lines().filter(move |line| line.starts_with(&start)).map(str::to_owned).collect::<Vec<_>>()
    };
    let verdict = |metric| match of_target(metric).as_slice() {
        [] => None,
        [line] => Some(line.ends_with(" 1")),
        lines => panic!("{target} has one backend: {lines:?}"),
    };
    let reason = |line: &str, word: &str| line.contains(&format!(",reason=\"{word}\""));
    let mismatch = of_target("cert_hostname_mismatch_info");
    let why =
        NameReason::ALL.iter().map(|reason| reason.as_str()).find(|word| mismatch.iter().any(|l| reason(l, word)));
    let errors = of_target("chain_error");
    Concluded {
        name: match (verdict("cert_hostname_match"), why) {
            (Some(true), None) => NameOutcome::Match,
            (Some(false), Some(word)) => NameOutcome::Mismatch(word),
            (None, None) => NameOutcome::Unknown,
            odd => panic!("{target}: {odd:?}"),
        },
        trusted: verdict("chain_trusted"),
        valid: verdict("chain_valid"),
        errors: {
            let words = ChainReason::ALL.iter().map(|reason| reason.as_str());
            words.filter(|word| errors.iter().any(|line| reason(line, word))).collect()
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_reaches_prometheus() {
    let mut cases = cases::all();
    assert_covered(&cases);
    // TLS cannot carry a certificate of no octets (RFC 8446 §4.4.2).
    cases.retain(|case| case.identity.chain().iter().all(|der| !der.is_empty()));
    // An exporter that has seen an intermediate somewhere knows who lacks it: where nobody may know, nobody shows one.
    let (unknown, others): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|case| case.expected.errors.contains(&"unknown_issuer"));
    let (lonely, shown): (Vec<_>, Vec<_>) = unknown.into_iter().partition(|case| case.other_servers.is_empty());
    assert!(others.len() > 70 && lonely.len() > 5 && shown.len() > 2);
    let mut differ = differences(&others).await;
    for cases in std::iter::once(&*lonely).chain(shown.chunks(1)) {
        differ.extend(differences(cases).await);
    }
    assert!(differ.is_empty(), "{} differ\n{}", differ.len(), differ.join("\n"));
}

/// Serves all of `cases` and probes them with one exporter; what differs from what is expected.
async fn differences(cases: &[Case]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let served = cases.iter().flat_map(|case| std::iter::once(&case.identity).chain(&case.other_servers));
    let specs: Vec<ServerSpec> = served.map(|identity| ServerSpec::new(identity.clone())).collect();
    let mut fleets = Vec::new();
    for specs in specs.chunks(200) {
        fleets.push(Fleet::start(specs.to_vec()).await.expect("a fleet"));
    }
    let mut addresses = fleets.iter().flat_map(Fleet::addrs);
    let (mut stores, mut targets, mut names) = (String::new(), String::new(), Vec::new());
    for Case { name, server_name, roots, other_servers, .. } in cases {
        std::fs::write(folder.path().join(format!("{name}.pem")), pem(roots)).expect("a file");
        let _ = writeln!(stores, "  {name}: {{roots: none, files: [{name}.pem]}}");
        for number in 0..=other_servers.len() {
            let target = if number == 0 { (*name).to_owned() } else { format!("{name}-elsewhere-{number}") };
            let (ip, port) = addresses.next().map(|at| (at.ip(), at.port())).expect("an address for each server");
            let _ = writeln!(
                targets,
                "  - {{name: {target}, host: {server_name:?}, port: {port}, addresses: [{ip}], trust: {name}}}",
            );
            names.push(TargetName::new(&target).expect("a name"));
        }
    }
    let text = format!("defaults: {{ehlo_name: probe.example.net}}\ntrust_stores:\n{stores}targets:\n{targets}");
    let config = Config::parse(&text, &folder.path().join("config.yaml")).unwrap_or_else(|error| panic!("{error}"));
    let listeners = web::bind("127.0.0.1:0").await.expect("a listener");
    let address = listeners[0].local_addr().expect("an address");
    let service = Service { config, config_file: None, listeners, web: web::Options::default() };
    let running = service.start().expect("a service");
    for report in join_all(names.iter().map(|name| running.handle.round(name))).await {
        report.expect("a round");
    }
    let answer = request(address, "GET", "/metrics", "Accept: text/plain;version=0.0.4\r\n").await;
    cases.iter().filter_map(|case| check(case, &answer)).collect()
}

fn pem(certificates: &[CertificateDer<'_>]) -> String {
    certificates.iter().map(|der| pem::encode(&pem::Pem::new("CERTIFICATE", der.as_ref()))).collect()
}

/// Each reason is met alone, and together with another one.
#[track_caller]
fn assert_covered(cases: &[Case]) {
    let errors = |alone: bool| -> BTreeSet<&str> {
        let sets = cases.iter().map(|case| case.expected.errors).filter(|errors| (errors.len() == 1) == alone);
        sets.flatten().copied().collect()
    };
    let all: BTreeSet<&str> = ChainReason::ALL.iter().map(|reason| reason.as_str()).collect();
    // Nobody holds a withdrawn key, so what one signed is always badly signed, too.
    assert_eq!(&errors(true) | &BTreeSet::from(["distrusted"]), all, "alone");
    assert_eq!(errors(false), all, "together");
    for reason in NameReason::ALL {
        let outcome = NameOutcome::Mismatch(reason.as_str());
        assert!(cases.iter().any(|case| case.expected.name == outcome), "{reason}");
    }
    assert!(cases.len() >= 80, "{} cases", cases.len());
}
