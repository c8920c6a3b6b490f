//! Advice on small fleets. The cases assert facts; their texts and requests as a whole are in `tests/golden/advice.txt`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use expect_test::expect_file;
use smtp_fleet::Extension;
use smtp_fleet::x509::{Ca, CertBuilder, Key, KeyAlgorithm, Name};

use super::*;
use crate::observation::{LookupFailure, LookupReport};
use crate::reason::{ChainReason, ChainWarning, LookupReason, OcspReason, ProbeReason, SkipReason, Stage};
use crate::snapshot::fixture::{
    EndpointFixture, TestCa, between, leaf, name, now, now_failing, unresolved, with_alternates,
};
use crate::snapshot::{BackendReport, LastCertificate};
use crate::target::{MxTarget, ProbeSettings, Target, TargetKind, TlsMode};
use crate::verdict::certificate::hex;
use crate::verdict::{Cause, Certificate, Senders};

mod alternates;
mod certificates;
mod facts;
mod probe_failures;

/// A report, and what must be advised on it.
struct Case {
    name: String,
    report: TargetReport,
    expected: &'static [Expected],
}

/// A [`summary`], and what the text mentions: names, addresses, dates, config keys.
type Expected = (&'static str, &'static [&'static str]);

fn case(name: &str, report: TargetReport, expected: &'static [Expected]) -> Case {
    Case { name: name.to_owned(), report, expected }
}

/// Severity, kind, backends, whether there is a request, and what .NET reports.
fn summary(advice: &Advice) -> String {
    let request = if advice.request.is_some() { " request" } else { "" };
    let clients = advice.clients.map(|clients| {
        let texts = clients.dotnet.texts;
        let flag = texts.iter().rev().find(|text| !text.contains(' ')).or_else(|| texts.first());
        format!(" {}", flag.unwrap_or(&"accepted"))
    });
    format!("{}{request}{}", heading(advice), clients.unwrap_or_default())
}

fn heading(advice: &Advice) -> String {
    let addresses: Vec<String> = advice.backends.iter().map(|backend| backend.address.to_string()).collect();
    format!("{} {} [{}]", advice.severity, advice.kind, addresses.join(" "))
}

fn cases() -> Vec<Case> {
    [alternates::cases(), certificates::cases(), probe_failures::cases()].into_iter().flatten().collect()
}

#[test]
fn advice_has_the_expected_facts() {
    let mut kinds = BTreeSet::new();
    for Case { name, report, expected } in cases() {
        let found = advise(&report, now());
        let summaries: Vec<String> = found.iter().map(summary).collect();
        let wanted: Vec<&str> = expected.iter().map(|(summary, _)| *summary).collect();
        assert_eq!(summaries, wanted, "{name}");
        for (advice, (_, mentions)) in found.iter().zip(expected) {
            kinds.insert(advice.kind);
            let text = advice.text.as_str();
            for part in *mentions {
                assert!(text.contains(part), "{name}: {part} in {text}");
            }
            is_well_formed(advice);
        }
    }
    assert_eq!(kinds, AdviceKind::ALL.iter().copied().collect(), "every kind has a case");
}

#[track_caller]
fn is_well_formed(advice: &Advice) {
    let text = advice.text.as_str();
    assert!(text.ends_with('.'), "{text}");
    for double in ["  ", ",,", "..", " .", " ,", "()", "\n"] {
        assert!(!text.contains(double), "{double:?} in {text}");
    }
    if let Some(request) = &advice.request {
        assert!(request.starts_with("Subject: "), "{request}");
        assert!(request.contains("openssl s_client -connect "), "{request}");
    }
}

#[test]
fn texts_and_requests() {
    let mut page = String::new();
    for Case { name, report, .. } in cases() {
        let _ = writeln!(page, "## {name}");
        let found = advise(&report, now());
        if found.is_empty() {
            page.push_str("\nno advice\n");
        }
        for advice in &found {
            write_advice(&mut page, advice);
        }
        page.push('\n');
    }
    page.push_str(&other_reasons());
    page.push_str(&probe_failures::every_failure());
    page.push_str(&probe_failures::every_cause());
    expect_file!["../../tests/golden/advice.txt"].assert_eq(&without_fingerprints(&page));
}

/// A request or list of client errors that was written before is not repeated.
fn write_advice(page: &mut String, advice: &Advice) {
    let _ = writeln!(page, "\n{}\n{}", heading(advice), advice.text);
    let mut write_once = |block: String, instead: &str| {
        let block = without_fingerprints(&block);
        page.push_str(if page.contains(&block) { instead } else { &block });
    };
    if let Some(request) = &advice.request {
        let lines = request.lines().map(|line| format!("    {line}").trim_end().to_owned() + "\n");
        write_once(lines.collect(), "    (a request as above)\n");
    }
    if let Some(clients) = &advice.clients {
        let lines = clients
            .clients()
            .into_iter()
            .map(|(client, error)| format!("  - {client}: {}\n", error.texts.first().unwrap_or(&"no error")));
        write_once(lines.collect(), "  - (client errors as above)\n");
    }
}

/// Reasons that no case above has.
fn other_reasons() -> String {
    let mut page = String::new();
    let mut write_problem = |reason: &str, problem: request::Problem| {
        let _ = writeln!(page, "\n{reason}: {}", problem.subject);
        let _ = writeln!(page, "{}", problem.text("192.0.2.11", ""));
    };
    for reason in ChainReason::ALL {
        let has_advice_of_its_own = matches!(
            reason,
            ChainReason::Expired
                | ChainReason::NotYetValid
                | ChainReason::SelfSigned
                | ChainReason::UnknownIssuer
                | ChainReason::MissingIntermediate
        );
        if !has_advice_of_its_own {
            write_problem(reason.as_str(), chain::chain_problem(*reason));
        }
    }
    for warning in ChainWarning::ALL {
        for cause in causes(*warning) {
            if *cause != Cause::Store {
                write_problem(warning.as_str(), chain::warning_problem(*warning, *cause, Senders::default()));
            }
        }
    }
    for reason in OcspReason::ALL {
        write_problem(reason.as_str(), chain::staple_problem(*reason));
    }
    for warning in ChainWarning::ALL.iter().filter(|warning| causes(**warning).contains(&Cause::Store)) {
        let text = chain::store_text(*warning, Some("root CN=Example Root"), "test", "192.0.2.11", Senders::default());
        let _ = writeln!(page, "\n{warning}, by the trust store\n{text}");
    }
    format!("## Other reasons of chains and stapled OCSP responses\n{page}\n")
}

/// What can cause a warning.
fn causes(warning: ChainWarning) -> &'static [Cause] {
    match warning {
        ChainWarning::KeyUsage => &Cause::ALL,
        ChainWarning::NoDigitalSignature | ChainWarning::CommonNameConstraints => &[Cause::ServerCertificate],
        ChainWarning::SubjectAltName | ChainWarning::ManyCertificates => &[Cause::Presented],
        ChainWarning::AuthorityKeyIdentifier | ChainWarning::SerialNumber | ChainWarning::IssuerOrder => {
            &[Cause::Presented, Cause::Store]
        }
        ChainWarning::RootNotSelfSigned
        | ChainWarning::RootBasicConstraints
        | ChainWarning::RootExtendedKeyUsage
        | ChainWarning::RootCriticalExtension => &[Cause::Store],
    }
}

/// Fingerprints differ from run to run.
fn without_fingerprints(page: &str) -> String {
    let mut out = String::new();
    let mut digits = String::new();
    for c in page.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() {
            digits.push(c);
            continue;
        }
        out.push_str(if digits.len() == 64 { "<fingerprint>" } else { &digits });
        digits.clear();
        out.push(c);
    }
    out.pop();
    out
}

#[test]
fn a_request_has_all_that_its_reader_needs() {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let report = alternates::classic(&ca, &fixture);
    let advice = advise(&report, now());
    let reissue = advice.first().expect("a reissue");
    assert_eq!(reissue.clients, Some(crate::client_errors::for_name(crate::reason::NameReason::NotListed)));
    let request = reissue.request.as_deref().expect("a request");
    let fingerprint =
        |backend: usize| hex(&report.endpoints[0].backends[backend].leaf().expect("a leaf").fingerprint());
    let openssl = |address: &str| {
        format!(
            "openssl s_client -connect {address}:587 -starttls smtp -servername smtp.example.com -verify_hostname \
             smtp.example.com\n"
        )
    };
    for part in [
        "Subject: 192.0.2.11 and 192.0.2.12: ",
        "port 587 (STARTTLS)",
        "\n192.0.2.11:587, seen at 2026-05-31 23:59",
        "\n192.0.2.12:587, seen at 2026-05-31 23:59",
        &fingerprint(1),
        &fingerprint(2),
        "names: mail.example.com\n",
        "issuer: CN=Example Intermediate\n",
        "2026-05-01 00:00",
        "2026-09-01 00:00",
        ".NET/MailKit: RemoteCertificateNameMismatch\n",
        "Postfix: server certificate verification failed for <server>: num=62:hostname mismatch\n",
        "Go: x509: certificate is valid for <presented>, not <name>\n",
        &openssl("192.0.2.11"),
        &openssl("192.0.2.12"),
        "Verify return code: 0 (ok)",
        "-CAfile",
    ] {
        assert!(request.contains(part), "{part} in:\n{request}");
    }
    assert!(request.contains("hostname mismatch (accepts it if a wildcard"), "{request}");
    assert!(!request.contains(&fingerprint(0)) && !request.contains("192.0.2.10"), "{request}");
}

#[test]
fn hostile_certificates_give_short_printable_texts() {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let long: Vec<String> = (0..800).map(|n| format!("{}{n}.example.com", "x".repeat(50))).collect();
    let mut names: Vec<&str> = vec!["\u{1b}[31m<script>", "a\u{202e}b.example.com", "a\rb"];
    names.extend(long.iter().map(String::as_str));
    let builder = leaf(&names).with_common_name("\u{1b}]0;x\u{7}<b>\n\u{202e}");
    let backends: Vec<_> =
        (1..=24).map(|n| fixture.presents(&ca, &format!("192.0.2.{n}"), &[builder.self_sign(&ca.key)])).collect();
    let advice = advise(&fixture.report(backends), now());
    for advice in &advice {
        assert!(advice.text.chars().count() <= phrases::MAX_TEXT_CHARS + 100, "{}", advice.text.len());
        assert!(advice.backends.len() <= 24);
        let request = advice.request.as_deref().unwrap_or_default();
        assert!(request.len() < 64 * 1024, "{}", request.len());
        let lines = advice.text.chars().chain(request.chars().filter(|c| *c != '\n'));
        let odd: Vec<char> = lines.filter(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(c)).collect();
        assert!(odd.is_empty(), "{odd:?} in {}", advice.text);
    }
    // It ends as a short one does: nothing is cut off.
    let reissue = advice.iter().find(|advice| advice.kind == AdviceKind::Reissue).expect("a reissue");
    assert!(reissue.text.contains("smtp.example.com") && reissue.text.ends_with('.'), "{}", reissue.text);
}
