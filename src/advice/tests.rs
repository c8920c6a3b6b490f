//! Advice on small fleets, word for word.

use std::sync::Arc;
use std::time::Duration;

use smtp_fleet::Extension;
use smtp_fleet::x509::{Ca, CertBuilder, Key, KeyAlgorithm, Name};

use super::*;
use crate::observation::{LookupFailure, LookupReport};
use crate::reason::{LookupReason, ProbeReason, SkipReason, Stage};
use crate::snapshot::fixture::{EndpointFixture, TestCa, between, leaf, name, now, past, unnamed, with_alternates};
use crate::snapshot::{BackendReport, LastCertificate};
use crate::target::{MxTarget, ProbeSettings, Target, TargetKind, TlsMode};
use crate::verdict::Certificate;
use crate::verdict::certificate::hex;

mod certificates;
mod facts;
mod stops;

/// All advice, a line each: severity, kind, backends in brackets, text.
#[track_caller]
fn check(report: &TargetReport, expected: &[&str]) {
    let found: Vec<String> = advise(report, now()).iter().map(line).collect();
    assert_eq!(found, expected, "\n{}", found.join("\n"));
}

/// The text of the only advice of a kind.
#[track_caller]
fn check_text(report: &TargetReport, kind: AdviceKind, expected: &str) {
    let found: Vec<_> = advise(report, now()).into_iter().filter(|advice| advice.kind == kind).collect();
    let texts: Vec<&str> = found.iter().map(|advice| advice.text.as_str()).collect();
    assert_eq!(texts, [expected]);
}

fn line(advice: &Advice) -> String {
    let places: Vec<String> = advice.backends.iter().map(|backend| backend.address.to_string()).collect();
    format!("{} {} [{}] {}", advice.severity, advice.kind, places.join(" "), advice.text)
}

/// Three backends, `mail` on all, `smtp` on one.
fn classic(ca: &TestCa, fixture: &EndpointFixture) -> TargetReport {
    let (good, bad) = (leaf(&["smtp.example.com", "mail.example.com"]), leaf(&["mail.example.com"]));
    fixture.report(vec![
        fixture.shows(ca, "192.0.2.10", &ca.chain(&good)),
        fixture.shows(ca, "192.0.2.11", &ca.chain(&bad)),
        fixture.shows(ca, "192.0.2.12", &ca.chain(&bad)),
    ])
}

const ALL: &[&str] = &["192.0.2.10", "192.0.2.11", "192.0.2.12"];
const LACK: &str = "critical reissue [192.0.2.11 192.0.2.12] 192.0.2.11 and 192.0.2.12 lack smtp.example.com, they \
                    present mail.example.com: have their certificates reissued with smtp.example.com added to the names \
                    they have.";
const QUEUED: &str = "info queued_mail [] After a change from smtp.example.com to another name, mail already queued keeps \
                      the old name: purge or requeue, then test again and watch.";
const USE_MAIL: &str = "info use_shared_name [192.0.2.10 192.0.2.11 192.0.2.12] Let clients use mail.example.com: valid on \
                        all 3 and resolves to them.";

#[test]
fn the_classic_case() {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let report = with_alternates(classic(&ca, &fixture), &[("mail.example.com", Some(ALL))]);
    check(&report, &[LACK, USE_MAIL, QUEUED]);
    let advice = advise(&report, now());
    let reissue = advice.first().expect("a reissue");
    assert_eq!(reissue.clients.map(|clients| clients.dotnet.texts[0]), Some("RemoteCertificateNameMismatch"));
    let leaf = |place: usize| hex(&report.endpoints[0].backends[place].leaf().expect("a leaf").fingerprint());
    let expected = format!(
        "Subject: 192.0.2.11 and 192.0.2.12: certificate without smtp.example.com\n\
         \n\
         Clients that connect to smtp.example.com on port 587 (STARTTLS) reach these servers:\n\
         \n\
         192.0.2.11:587, seen on 2026-05-31 23:59 UTC\n\
         \u{20} certificate (SHA-256): {}\n\
         \u{20} names: mail.example.com\n\
         \u{20} issuer: CN=Example Intermediate\n\
         \u{20} valid: 2026-05-01 00:00 UTC to 2026-09-01 00:00 UTC\n\
         192.0.2.12:587, seen on 2026-05-31 23:59 UTC\n\
         \u{20} certificate (SHA-256): {}\n\
         \u{20} names: mail.example.com\n\
         \u{20} issuer: CN=Example Intermediate\n\
         \u{20} valid: 2026-05-01 00:00 UTC to 2026-09-01 00:00 UTC\n\
         \n\
         The certificate does not carry smtp.example.com. The certificate lists other names.\n\
         Clients report:\n\
         \u{20} .NET/MailKit: RemoteCertificateNameMismatch\n\
         \u{20} OpenSSL: verify error:num=62:hostname mismatch\n\
         \u{20} Postfix: server certificate verification failed for <server>: num=62:hostname mismatch\n\
         \u{20} Go: x509: certificate is valid for <presented>, not <name>\n\
         \n\
         Please: have the certificate reissued with the subject alternative names that it has, and add smtp.example.com; \
         then reload the server.\n\
         \n\
         To check it afterwards:\n\
         \u{20} openssl s_client -connect 192.0.2.11:587 -starttls smtp -servername smtp.example.com -verify_hostname smtp.example.com\n\
         \u{20} openssl s_client -connect 192.0.2.12:587 -starttls smtp -servername smtp.example.com -verify_hostname smtp.example.com\n\
         It must show the certificate, and say: Verify return code: 0 (ok)\n\
         (with -CAfile and the root's file, where the root is a private one)\n",
        leaf(1),
        leaf(2)
    );
    assert_eq!(reissue.request.as_deref(), Some(expected.as_str()));
}

#[test]
fn shared_names_lead_where_they_lead() {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let report = classic(&ca, &fixture);
    let astray = |leads: &str| {
        format!(
            "info shared_name_elsewhere [192.0.2.10 192.0.2.11 192.0.2.12] mail.example.com is valid on all 3, but {leads}."
        )
    };
    let told = |addresses: Option<&[&str]>, leads: &str| {
        let report = with_alternates(report.clone(), &[("mail.example.com", addresses)]);
        check(&report, &[LACK, &astray(leads), QUEUED]);
    };
    told(
        Some(&["192.0.2.10", "192.0.2.11"]),
        "resolves to 192.0.2.10 and 192.0.2.11 only: give it records for 192.0.2.12, too, then let clients use it",
    );
    told(
        Some(&["192.0.2.10", "198.51.100.7"]),
        "resolves also to 198.51.100.7, where smtp.example.com does not: let clients use it only once it leads to the same \
         addresses",
    );
    told(
        Some(&["198.51.100.7"]),
        "resolves to 198.51.100.7, where smtp.example.com does not: let clients use it only once it leads to the same \
         addresses",
    );
    told(
        Some(&[]),
        "has no address: give it records for 192.0.2.10, 192.0.2.11 and 192.0.2.12, then let clients use it",
    );
    let unknown = "whether it resolves to them and nowhere else is not known: look that up before clients use it";
    told(None, unknown);
    // Not looked up yet.
    check(&report, &[LACK, &astray(unknown), QUEUED]);
}

#[test]
fn one_backend_costs_redundancy() {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let shows = |address, names: &[&str]| fixture.shows(&ca, address, &ca.chain(&leaf(names)));
    let one = shows("192.0.2.10", &["smtp.example.com", "mx1.example.com"]);
    let two = shows("192.0.2.11", &["mx2.example.com"]);
    let end = "Until the certificates are reissued, clients can use mx1.example.com, which is valid on 192.0.2.10, if it \
               resolves to that and nowhere else. All mail then depends on this one server: redundancy is lost.";
    let use_one = |backends: Vec<BackendReport>, why: &str| {
        check_text(&fixture.report(backends), AdviceKind::UseBackendName, &format!("{why} {end}"));
    };
    use_one(vec![one.clone(), two.clone()], "No name was found that all backends carry.");
    let unknown =
        "Whether all backends carry a name in common is not known, since no certificate of 192.0.2.12 could be read.";
    use_one(vec![one.clone(), two.clone(), fixture.fresh("192.0.2.12")], unknown);
    let refused = fixture.fails("192.0.2.12", Stage::Connect, ProbeReason::Refused, "");
    use_one(vec![one.clone(), two.clone(), refused], unknown);
    // One that fails now is no way out.
    let report = fixture.report(vec![past(one), past(two)]);
    assert!(advise(&report, now()).iter().all(|advice| advice.kind != AdviceKind::UseBackendName));
}

#[test]
fn hostile_fleets_are_told_in_few_printable_words() {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let long: Vec<String> = (0..800).map(|n| format!("{}{n}.example.com", "x".repeat(50))).collect();
    let mut names: Vec<&str> = vec!["\u{1b}[31m<script>", "a\u{202e}b.example.com", "a\rb"];
    names.extend(long.iter().map(String::as_str));
    let builder = leaf(&names).with_common_name("\u{1b}]0;x\u{7}<b>\n\u{202e}");
    let backends: Vec<_> =
        (1..=24).map(|n| fixture.shows(&ca, &format!("192.0.2.{n}"), &[builder.self_sign(&ca.key)])).collect();
    let advice = advise(&fixture.report(backends), now());
    assert!(advice.iter().any(|advice| advice.kind == AdviceKind::Reissue));
    for advice in &advice {
        assert!(advice.text.chars().count() <= words::MAX_TEXT + 100, "{}", advice.text.len());
        assert!(advice.backends.len() <= 24);
        let request = advice.request.as_deref().unwrap_or_default();
        assert!(request.len() < 64 * 1024, "{}", request.len());
        let lines = advice.text.chars().chain(request.chars().filter(|c| *c != '\n'));
        let odd: Vec<char> = lines.filter(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(c)).collect();
        assert!(odd.is_empty(), "{odd:?} in {}", advice.text);
    }
    let reissue = advice.iter().find(|advice| advice.kind == AdviceKind::Reissue).map(|advice| advice.text.as_str());
    assert!(reissue.is_some_and(|text| text.ends_with("added to the names they have.")), "{reissue:?}");
}
