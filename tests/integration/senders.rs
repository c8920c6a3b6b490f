//! What senders do with the root, with a trusted server certificate and with what only some of them refuse: from the server
//! to the metrics, the JSON of the API and of `check`, the advice and the status page.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use smtp_fleet::cases::{self, Case, Outcome};
use smtp_tls_exporter::reason::{AdviceKind, Severity};

use crate::certificates::ServedCases;
use crate::service_fixture::metrics;
use crate::support::request;

/// A case, and the advice on it: its kind, its severity, whether it has a request to the server's operator, and words that it
/// contains.
type Row = (&'static str, &'static [(AdviceKind, Severity, bool, &'static [&'static str])]);

const ROWS: &[Row] = &[
    // The server's operator cannot renew a root.
    ("root-expired", &[(AdviceKind::Expired, Severity::Critical, false, &["CN=Old Root", "trust_stores"])]),
    (
        "root-not-yet-valid",
        &[(AdviceKind::NotYetValid, Severity::Critical, false, &["CN=Future Root", "trust_stores"])],
    ),
    ("root-expired-and-renewed", &[]),
    (
        "root-serial-negative",
        &[(AdviceKind::ChainWarning, Severity::Warning, false, &["CN=Private Root", "Go refuses"])],
    ),
    (
        "trusted-self-signed-after-another",
        &[(AdviceKind::ChainWarning, Severity::Warning, false, &["OpenSSL and Postfix", "trust_stores"])],
    ),
    ("root-expired-but-crossed", &[(AdviceKind::ChainWarning, Severity::Warning, false, &["OpenSSL and Postfix"])]),
    ("root-expires-soon", &[(AdviceKind::ExpiresSoon, Severity::Warning, false, &["CN=Private Root", "trust_stores"])]),
    (
        "root-without-key-cert-sign",
        &[(AdviceKind::BadChain, Severity::Critical, false, &["CN=Private Root", "keyCertSign"])],
    ),
    ("issuer-without-key-cert-sign", &[(AdviceKind::BadChain, Severity::Critical, true, &[])]),
    ("root-is-no-authority", &[(AdviceKind::BadChain, Severity::Critical, false, &["CA:TRUE"])]),
    ("root-allows-no-intermediate", &[(AdviceKind::BadChain, Severity::Critical, false, &["path length"])]),
    ("root-with-an-unknown-critical-extension", &[(AdviceKind::BadChain, Severity::Critical, false, &["extension"])]),
    (
        "root-is-an-intermediate",
        &[(AdviceKind::ChainWarning, Severity::Warning, false, &["OpenSSL and Postfix", "trust_stores"])],
    ),
    ("root-without-basic-constraints", &[(AdviceKind::ChainWarning, Severity::Warning, false, &["Go refuses"])]),
    ("trusted-self-signed-authority", &[]),
    (
        "trusted-self-signed-authority-for-signing-certificates",
        &[(AdviceKind::ChainWarning, Severity::Warning, true, &["OpenSSL, Postfix and GnuTLS refuse"])],
    ),
    ("trusted-self-signed-authority-expired", &[(AdviceKind::Expired, Severity::Critical, true, &[])]),
    (
        "trusted-self-signed-authority-of-another-name",
        &[
            (AdviceKind::Reissue, Severity::Critical, true, &[]),
            (AdviceKind::AlternateNameElsewhere, Severity::Info, false, &[]),
            (AdviceKind::QueuedMail, Severity::Info, false, &[]),
        ],
    ),
    (
        "leaf-among-the-roots",
        &[(AdviceKind::UnknownIssuer, Severity::Critical, true, &["not self-signed", "trust_stores"])],
    ),
    (
        "key-usage-cert-sign-only",
        &[(AdviceKind::ChainWarning, Severity::Warning, true, &["OpenSSL, Postfix and GnuTLS"])],
    ),
    ("key-usage-encipherment-only", &[(AdviceKind::ChainWarning, Severity::Warning, true, &["GnuTLS refuses"])]),
    ("identifier-differs", &[(AdviceKind::ChainWarning, Severity::Warning, true, &["OpenSSL, Postfix and GnuTLS"])]),
    ("serial-negative", &[(AdviceKind::ChainWarning, Severity::Warning, true, &["Go refuses"])]),
    ("forty-intermediates", &[(AdviceKind::BadChain, Severity::Warning, true, &[])]),
    ("validity-reversed", &[(AdviceKind::BadChain, Severity::Critical, true, &[])]),
    ("noise-after-the-chain", &[(AdviceKind::BadChain, Severity::Warning, true, &[])]),
    ("good", &[]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_output_agrees_on_roots_and_warnings() {
    let all = cases::all();
    let find = |name| all.iter().find(|case: &&Case| case.name == name).unwrap_or_else(|| panic!("{name}")).clone();
    let cases: Vec<Case> = ROWS.iter().map(|(name, _)| find(*name)).collect();
    let served = ServedCases::new(&cases).await;
    let (_running, address) = served.start().await;
    let answer = metrics(address).await;
    for (case, (name, advice)) in cases.iter().zip(ROWS) {
        let target = request(address, "GET", &format!("/api/v1/targets/{name}"), "").await;
        let target: Value = serde_json::from_str(target.text()).expect("JSON");
        let page = request(address, "GET", &format!("/targets/{name}"), "").await;
        check_target(case, &target, advice);
        // `check` has the same verdicts.
        let checked = checked(&served, name, target["healthy"] == true);
        check_target(case, &checked["targets"][0], advice);
        let chain = |document: &Value| document["endpoints"][0]["backends"][0]["chain"].clone();
        assert_eq!(chain(&target)["warnings"], chain(&checked["targets"][0])["warnings"], "{name}");
        for word in case.expected.warnings.iter().chain(case.expected.errors) {
            assert!(page.text().contains(&word.replace('_', " ")), "{name}: {word} on the page");
        }
        let ends = format!("smtp_tls_verified_chain_not_after_timestamp_seconds{{target=\"{name}\",");
        let end = answer.text().lines().find_map(|line| line.strip_prefix(&ends)?.rsplit_once(' '));
        if *name == "root-expires-soon" {
            let end: f64 = end.expect("an end").1.parse().expect("a number");
            let left = end - std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs_f64();
            assert!((80_000.0..90_000.0).contains(&left), "the path ends with the root: {left}");
        }
    }
}

#[track_caller]
fn check_target(case: &Case, target: &Value, expected: &[(AdviceKind, Severity, bool, &[&str])]) {
    let chain = target.pointer("/endpoints/0/backends/0/chain").unwrap_or_else(|| panic!("{target:#}"));
    let words = |list: &Value| -> Vec<Value> {
        list.as_array().expect("a list").iter().map(|item| item["reason"].clone()).collect()
    };
    assert_eq!(chain["valid"], json!(case.expected.valid), "{}", case.name);
    assert_eq!(words(&chain["errors"]), case.expected.errors, "{}", case.name);
    assert_eq!(words(&chain["warnings"]), case.expected.warnings, "{}", case.name);
    // Exactly the senders that refused the chain when they were run.
    let refused_by: Vec<&str> = ["openssl", "postfix", "gnutls", "go"]
        .into_iter()
        .filter(|sender| {
            let warnings = chain["warnings"].as_array().into_iter().flatten();
            warnings.flat_map(|warning| warning["refused_by"].as_array()).flatten().any(|known| known == sender)
        })
        .collect();
    let [openssl, gnutls, go] =
        case.outcomes().map(|outcome| matches!(outcome, Outcome::Refuses | Outcome::RefusesSince(_)));
    let refusing = [("openssl", openssl), ("postfix", openssl), ("gnutls", gnutls), ("go", go)];
    let refusing = refusing.into_iter().filter(|(_, refuses)| *refuses && case.expected.valid);
    assert_eq!(refused_by, refusing.map(|(sender, _)| sender).collect::<Vec<_>>(), "{}", case.name);
    let advice = target["advice"].as_array().expect("a list");
    assert_eq!(advice.len(), expected.len(), "{}: {advice:#?}", case.name);
    for (found, (kind, severity, has_request, words)) in advice.iter().zip(expected) {
        let text = found["text"].as_str().expect("a text");
        let found = (&found["kind"], &found["severity"], found["request"].is_string());
        assert_eq!(found, (&json!(kind), &json!(severity), *has_request), "{}: {text}", case.name);
        assert!(words.iter().all(|word| text.contains(word)), "{}: {words:?} in {text}", case.name);
    }
}

fn checked(served: &ServedCases, name: &str, is_healthy: bool) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"));
    command.args(["check", "--config.file=config.yaml", "--output=json", name]).current_dir(served.folder.path());
    let output = tokio::task::block_in_place(|| command.stdin(Stdio::null()).output().expect("it runs"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(if is_healthy { 0 } else { 1 }), "{name}: {text}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{name}: {error}: {text}"))
}
