use super::*;
use crate::client_errors;
use crate::reason::{AdviceKind, NameReason};
use crate::render::fixture::{now, report};

#[track_caller]
fn check(write: impl FnOnce(&mut Page), expected: &str) {
    let style = Style { width: 60, ..Style::default() };
    let mut page = Page { out: String::new(), now: now(), style, said: Vec::new() };
    write(&mut page);
    let found = page.out.trim_start_matches('\n');
    assert!(found == expected.trim_start_matches('\n'), "{found}");
}

fn piece(severity: Severity, text: &str, request: Option<&str>) -> Advice {
    let clients = (severity == Severity::Critical).then(|| client_errors::for_name(NameReason::NotListed));
    let (kind, backends) = (AdviceKind::Reissue, Vec::new());
    Advice { kind, severity, backends, text: text.to_owned(), request: request.map(str::to_owned), clients }
}

#[test]
fn advice_with_its_request_and_its_words() {
    let advice = [
        piece(Severity::Critical, &"word ".repeat(14), Some("Dear all,\n\n  please\u{1b}[31m act.\n")),
        piece(Severity::Warning, "short", None),
        piece(Severity::Info, "info", None),
    ];
    check(
        |page| {
            page.out.push_str("before\n");
            page.advice(&advice);
            page.out.push_str(&format!("{:?}\n", page.said.iter().map(|(word, _)| *word).collect::<Vec<_>>()));
        },
        ADVICE,
    );
}

#[test]
fn everything_that_may_be_wrong_is_told_once() {
    let report = report();
    check(|page| page.wrong(&report), WRONG);
    check(
        |page| page.summary(&[Arc::new(report.clone()), Arc::new(TargetReport { last_round: None, ..report.clone() })]),
        "2 targets, 6 backends: 3 backends of 1 target are not well;\n1 target is not finished in time.\n",
    );
}

const ADVICE: &str = "
before

  WHAT TO DO
  - [critical] word word word word word word word word word
    word word word word word
    Text to send:

      Dear all,

        please\u{fffd}[31m act.

  - [warning] short
  - info
[\"reissue\"]
";

const WRONG: &str = "
  WHAT IS WRONG
  - lookup of smtp.example.com AAAA: dns_servfail: A name
    server answered SERVFAIL, REFUSED or another error, or
    could not be reached.
  - the name servers give different answers
  - handshake no_certificate: The server presented no
    certificate.
    at 192.0.2.11:587
  - not probed: this machine could not, or not in time
    at 192.0.2.12:587
  - name not_listed: The certificate lists other names.
    at 192.0.2.10:587
  - chain expired: A certificate on the path has expired
    (RFC 5280 §4.1.2.5).
    at 192.0.2.10:587
  - chain unknown_issuer: The path ends at a certificate
    whose issuer is not in the trust store and was not
    presented by this or any other server.
    at 192.0.2.10:587
  - ocsp staple_invalid: The stapled response cannot be
    parsed, reports an error, is for another certificate, is
    not yet valid, or is not validly signed (RFC 6960 §3.2).
    at 192.0.2.10:587
  - expected name missing: other.example.com
    at 192.0.2.10:587
  - another certificate than in the certificate_file is
    served
    at 192.0.2.10:587
";
