//! The table of certificate cases end to end: a server presents each case, and the verdicts are read from the metrics.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustls_pki_types::CertificateDer;
use smtp_fleet::cases::{self, CHAIN_WARNINGS, Case, NameOutcome};
use smtp_fleet::{Fleet, ServerSpec};
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::reason::{ChainReason, ChainWarning, NameReason};
use smtp_tls_exporter::service::Running;
use tempfile::TempDir;

use crate::service_fixture::{metrics, rounds, service};
use crate::support::Answer;

/// The verdicts on the only backend of a target, read from the metrics.
#[derive(Debug, PartialEq, Eq)]
struct Verdicts {
    name: NameOutcome,
    trusted: Option<bool>,
    valid: Option<bool>,
    errors: Vec<&'static str>,
    warnings: Vec<&'static str>,
}

/// Compares the metrics with the expected verdicts and describes the difference, if any.
fn difference(case: &Case, answer: &Answer) -> Option<String> {
    let expected = Verdicts {
        name: case.expected.name,
        trusted: case.expected.trusted,
        valid: Some(case.expected.valid),
        errors: case.expected.errors.to_vec(),
        warnings: case.expected.warnings.to_vec(),
    };
    let found = verdicts(answer, case.name);
    (found != expected).then(|| format!("{}:\n  found    {found:?}\n  expected {expected:?}", case.name))
}

fn verdicts(answer: &Answer, target: &str) -> Verdicts {
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
    let (errors, warnings) = (of_target("chain_error"), of_target("chain_warning"));
    Verdicts {
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
        warnings: {
            let words = ChainWarning::ALL.iter().map(|warning| warning.as_str());
            words.filter(|word| warnings.iter().any(|line| reason(line, word))).collect()
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exports_the_expected_verdicts_for_every_certificate_case() {
    let mut cases = cases::all();
    assert_covered(&cases);
    // TLS cannot carry a certificate of no octets (RFC 8446 §4.4.2).
    cases.retain(|case| case.identity.chain().iter().all(|der| !der.is_empty()));
    // An exporter that has seen an intermediate once reports `missing_intermediate` wherever it is missing. The cases
    // that expect `unknown_issuer` are therefore probed apart from the others.
    let (unknown, others): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|case| case.expected.errors.contains(&"unknown_issuer"));
    let (single, several): (Vec<_>, Vec<_>) = unknown.into_iter().partition(|case| case.other_servers.is_empty());
    assert!(others.len() > 70 && single.len() > 5 && several.len() > 2);
    let mut found = differences(&others).await;
    for cases in std::iter::once(&*single).chain(several.chunks(1)) {
        found.extend(differences(cases).await);
    }
    assert!(found.is_empty(), "{} cases differ\n{}", found.len(), found.join("\n"));
}

/// Serves all of `cases`, probes them with one exporter and returns the differences from the expected verdicts.
async fn differences(cases: &[Case]) -> Vec<String> {
    let served = ServedCases::new(cases).await;
    let (_running, address) = served.start().await;
    // What is learned from one server is applied to the reports of others after their rounds.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = metrics(address).await;
        let found: Vec<String> = cases.iter().filter_map(|case| difference(case, &answer)).collect();
        if found.is_empty() || Instant::now() > deadline {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Servers that present cases, and a folder with a configuration `config.yaml`: one target for each case, with its name and
/// its trust store.
pub(crate) struct ServedCases {
    pub(crate) folder: TempDir,
    targets: Vec<String>,
    _fleets: Vec<Fleet>,
}

impl ServedCases {
    pub(crate) async fn new(cases: &[Case]) -> Self {
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
                let target = if number == 0 { (*name).to_owned() } else { format!("{name}-other-{number}") };
                let (ip, port) = addresses.next().map(|at| (at.ip(), at.port())).expect("an address for each server");
                let _ = writeln!(
                    targets,
                    "  - {{name: {target}, host: {server_name:?}, port: {port}, addresses: [{ip}], trust: {name}}}",
                );
                names.push(target);
            }
        }
        let text = format!("defaults: {{ehlo_name: probe.example.net}}\ntrust_stores:\n{stores}targets:\n{targets}");
        std::fs::write(folder.path().join("config.yaml"), text).expect("a file");
        Self { folder, targets: names, _fleets: fleets }
    }

    /// An exporter that has finished a round of each target.
    pub(crate) async fn start(&self) -> (Running, SocketAddr) {
        let config = Config::load(&self.folder.path().join("config.yaml")).unwrap_or_else(|error| panic!("{error}"));
        let (service, address) = service(config, None).await;
        let running = service.start().expect("a service");
        rounds(&running, self.targets.iter().map(String::as_str)).await;
        (running, address)
    }
}

fn pem(certificates: &[CertificateDer<'_>]) -> String {
    certificates.iter().map(|der| pem::encode(&pem::Pem::new("CERTIFICATE", der.as_ref()))).collect()
}

/// Asserts that each reason occurs alone and together with another one.
#[track_caller]
fn assert_covered(cases: &[Case]) {
    let errors = |alone: bool| -> BTreeSet<&str> {
        let sets = cases.iter().map(|case| case.expected.errors).filter(|errors| (errors.len() == 1) == alone);
        sets.flatten().copied().collect()
    };
    let all: BTreeSet<&str> = ChainReason::ALL.iter().map(|reason| reason.as_str()).collect();
    // The keys of distrusted CAs are not available, so the signatures of such a case are invalid, too.
    assert_eq!(&errors(true) | &BTreeSet::from(["distrusted"]), all, "alone");
    assert_eq!(errors(false), all, "together");
    let warnings: Vec<&str> = ChainWarning::ALL.iter().map(|warning| warning.as_str()).collect();
    assert_eq!(warnings, CHAIN_WARNINGS);
    for reason in NameReason::ALL {
        let outcome = NameOutcome::Mismatch(reason.as_str());
        assert!(cases.iter().any(|case| case.expected.name == outcome), "{reason}");
    }
    assert!(cases.len() >= 80, "{} cases", cases.len());
}
