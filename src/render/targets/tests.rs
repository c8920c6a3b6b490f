use super::*;
use crate::client_errors;
use crate::reason::{AdviceKind, NameReason};
use crate::render::fixture::{now, report};
use crate::snapshot::LastCertificate;
use crate::snapshot::fixture::{self, EndpointFixture, TestCa, leaf};
use crate::target::{Target, TargetName};

/// What `write` appends, in lines of 60 columns.
fn written(write: impl FnOnce(&mut TargetTable)) -> String {
    let style = Style { width: 60, ..Style::default() };
    let page = Page { text: String::new(), style };
    let mut table = TargetTable { page, now: now(), client_errors: Vec::new() };
    write(&mut table);
    assert!(table.page.text.lines().all(|line| line.chars().count() <= 60), "{}", table.page.text);
    table.page.text
}

fn advice(severity: Severity, text: &str, request: Option<&str>) -> Advice {
    let clients = (severity == Severity::Critical).then(|| client_errors::for_name(NameReason::NotListed));
    let (kind, backends) = (AdviceKind::Reissue, Vec::new());
    Advice { kind, severity, backends, text: text.to_owned(), request: request.map(str::to_owned), clients }
}

#[test]
fn prints_severity_text_and_request_of_each_advice() {
    let advice = [
        advice(Severity::Critical, &"word ".repeat(14), Some("Dear all,\n\n  please\u{1b}[31m act.\n")),
        advice(Severity::Warning, "short", None),
        advice(Severity::Info, "info", None),
    ];
    let mut words = Vec::new();
    let text = written(|table| {
        table.advice(&advice);
        words.extend(table.client_errors.iter().map(|(word, _)| *word));
    });
    for part in [
        "  - [critical] word word word word word word word word word\n    word word word word word\n",
        "\n      Dear all,\n\n        please\u{fffd}[31m act.\n\n",
        "  - [warning] short\n",
        "  - info\n",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert_eq!(words, ["reissue"], "client errors of the critical advice only");
}

#[test]
fn lists_each_problem_once_with_its_backends() {
    let found = problems::of(&report(), now());
    let expected = [
        ("lookup of smtp.example.com AAAA: dns_servfail: ", None, None),
        ("the name servers return different answers", None, None),
        ("handshake no_certificate: ", Some("no_certificate"), Some("192.0.2.11")),
        ("not probed: ", None, Some("192.0.2.12")),
        ("name not_listed: ", Some("not_listed"), Some("192.0.2.10")),
        ("name listed as \"smtp.example.com.\", which ends with a dot", None, Some("192.0.2.10")),
        ("chain expired: ", Some("expired"), Some("192.0.2.10")),
        ("chain unknown_issuer: ", Some("unknown_issuer"), Some("192.0.2.10")),
        ("ocsp staple_invalid: ", Some("staple_invalid"), Some("192.0.2.10")),
        ("expected name not listed: other.example.com", None, Some("192.0.2.10")),
        ("the presented certificate is not the one in certificate_file", None, Some("192.0.2.10")),
    ];
    assert_eq!(found.len(), expected.len());
    for (TargetProblem { text, finding, backends }, (start, reason, address)) in found.iter().zip(expected) {
        assert!(text.starts_with(start), "{text} starts with {start}");
        assert_eq!(finding.map(|finding| finding.reason), reason, "{text}");
        let addresses: Vec<String> = backends.iter().map(|backend| backend.address.to_string()).collect();
        assert_eq!(addresses, Vec::from_iter(address), "{text}");
    }
}

#[test]
fn a_problem_lists_a_backend_once() {
    let (ca, endpoint) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    // They differ after the end of what is printed.
    let odd = ["b", "c"].map(|end| format!("smtp.example.com/{}{end}", "a".repeat(300)));
    let names = [odd[0].as_str(), odd[1].as_str()];
    let presents = |address| endpoint.presents(&ca, address, &ca.chain(&leaf(&names)));
    let report = endpoint.report(vec![presents("192.0.2.10"), presents("192.0.2.11")]);
    let found = problems::of(&report, now());
    let listed = found.iter().find(|problem| problem.text.starts_with("name listed as")).expect("a near miss");
    let addresses: Vec<String> = listed.backends.iter().map(|backend| backend.address.to_string()).collect();
    assert_eq!(addresses, ["192.0.2.10", "192.0.2.11"]);
}

#[test]
fn prints_every_problem_with_its_words_and_addresses() {
    let report = report();
    let text = written(|table| table.problems(&report));
    for part in [
        "dns_servfail",
        "handshake no_certificate: ",
        "    at 192.0.2.11:587\n",
        "name not_listed: ",
        "chain expired: ",
        "chain unknown_issuer: ",
        "ocsp staple_invalid: ",
        "other.example.com",
    ] {
        assert_eq!(text.matches(part).count(), 1, "{part} in\n{text}");
    }
    assert_eq!(text.matches("\n  - ").count(), problems::of(&report, now()).len(), "{text}");
}

#[test]
fn targets_with_some_failing_backends_come_first() {
    let (ca, endpoint) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let presents = |name: &str| endpoint.presents(&ca, "192.0.2.10", &ca.chain(&leaf(&[name])));
    let (good, bad) = (presents("smtp.example.com"), presents("mail.example.com"));
    let other = good.last_certificate.clone().map(|good| LastCertificate { file_match: Some(false), ..good });
    let warns = BackendReport { last_certificate: other, ..good.clone() };
    let named = |name: &str, backends: &[&BackendReport], is_finished: bool| {
        let report = endpoint.report(backends.iter().copied().cloned().collect());
        let target = Target { name: TargetName::new(name).expect("a name"), ..(*report.target).clone() };
        let last_round = report.last_round.filter(|_| is_finished);
        Arc::new(TargetReport { target: Arc::new(target), last_round, ..report })
    };
    let reports = [
        named("a-ok", &[&good, &good], true),
        named("b-unknown", &[], false),
        named("b-warns", &[&warns], true),
        named("c-whole", &[&bad, &bad], true),
        named("d-partial", &[&bad, &good], true),
        named("e-whole", &[&bad], true),
        named("c-partly-warns", &[&warns, &good], true),
        named("f-partial", &[&good, &bad, &bad], true),
    ];
    let text = targets_table(&reports, fixture::now(), &Style::default());
    let names = reports.iter().map(|report| report.target.name.as_str());
    let mut found: Vec<(usize, &str)> = names.map(|name| (text.find(name).expect("a target"), name)).collect();
    found.sort_unstable();
    let names: Vec<&str> = found.into_iter().map(|(_, name)| name).collect();
    let expected = ["d-partial", "f-partial", "c-partly-warns", "c-whole", "e-whole", "b-warns", "b-unknown", "a-ok"];
    assert_eq!(names, expected, "{text}");
}

/// The names in the columns and lines of a table.
#[test]
fn names_never_exceed_their_characters() {
    let long = format!("{}.example.com", "x".repeat(3_000));
    for (presented, is_cut) in
        [(vec![long.as_str()], true), (vec![&long, "a.test", "b.test"], true), (vec!["a.test"], false)]
    {
        let pki = smtp_fleet::Pki::new();
        let identity = pki.issue_with_shared_key(&smtp_fleet::CertSpec::valid_for(&presented).with_common_name(None));
        let leaf = Certificate::new(identity.leaf_der().clone());
        let report = report();
        let backend = &report.endpoints[0].backends[0].backend;
        for limit in [20, 100, 160, 400] {
            let found = names(backend, leaf.facts().expect("facts"), limit);
            assert!(found.chars().count() <= limit.min(200), "{found} in {limit}");
            assert_eq!(found.contains('…'), is_cut, "{found}");
            assert_eq!(found.ends_with(" and 2 more"), presented.len() == 3, "{found}");
        }
    }
}

#[test]
fn the_summary_counts_targets_and_backends() {
    let report = report();
    let unfinished = TargetReport { last_round: None, ..report.clone() };
    let text = written(|table| table.summary(&[Arc::new(report), Arc::new(unfinished)]));
    let numbers: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
    assert_eq!(numbers, ["2", "6", "3", "1", "1"], "{text}");
}
