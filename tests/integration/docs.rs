//! Generates `docs/metrics.md` and `docs/verdicts.md` (`UPDATE_EXPECT=1 cargo test --workspace` updates them), and checks
//! that `docs/from-blackbox.md` is complete.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

use expect_test::expect_file;
use serde_json::Value;
use smtp_fleet::cases::{self, Case, DIFFERENCES, Difference, Outcome, SOURCES, VERSIONS};
use smtp_fleet::{CertSpec, Pki};
use smtp_tls_exporter::client_errors::{self, ClientError, ClientErrors};
use smtp_tls_exporter::metrics::table::{
    METRICS, Metric, MetricKind, PROBE_METRICS, PROMETHEUS_LABELS, Scope, reserved_labels,
};
use smtp_tls_exporter::probe::smtp::reply_rules::REPLY_RULES;
use smtp_tls_exporter::reason::{
    ChainReason, ChainWarning, LocalReason, LookupReason, NameDifference, NameReason, OcspReason, OcspStatus, Phase,
    ProbeReason, RejectionCause, Resolves, SkipReason, Stage,
};
use smtp_tls_exporter::render;
use smtp_tls_exporter::target::ServerName;
use smtp_tls_exporter::text::SECONDS_PER_DAY;
use smtp_tls_exporter::verify::{Request, Verification, verify};

use crate::support::Environment;

/// Appends a table of label values.
fn value_table(page: &mut String, title: &str, intro: &str, rows: &[(&str, &str)]) {
    let _ = write!(page, "\n### {title}\n{intro}\n\n| value | meaning |\n|---|---|\n");
    for (value, meaning) in rows {
        let _ = writeln!(page, "| `{value}` | {} |", one_line(meaning));
    }
}

macro_rules! rows {
    ($values:ty) => {
        <$values>::ALL.iter().map(|value| (value.as_str(), value.doc())).collect::<Vec<_>>()
    };
}

fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn metrics() -> String {
    let mut page = String::from(METRICS_HEAD);
    for (scope, title) in [
        (Scope::Target, "Targets"),
        (Scope::Endpoint, "Endpoints: the server names of a target"),
        (Scope::Backend, "Backends: the addresses of a server name"),
        (Scope::Exporter, "The exporter and its process"),
    ] {
        let _ = write!(page, "\n## {title}\n");
        if !scope.labels().is_empty() {
            let _ = writeln!(page, "Common labels: {}.", code_spans(scope.labels()));
        }
        page.push_str(METRICS_COLUMNS);
        METRICS.iter().filter(|metric| metric.scope == scope).for_each(|metric| row(&mut page, metric));
    }
    page.push_str(METRICS_PROBE);
    page.push_str(METRICS_COLUMNS);
    PROBE_METRICS.iter().for_each(|metric| row(&mut page, metric));
    page.push_str("\n## Label values\n");
    for (title, intro, rows) in [
        ("`stage`", "Where a probe stopped.", rows!(Stage)),
        ("`phase`", "The timed parts of a probe.", rows!(Phase)),
        ("`reason` of failed probes", METRICS_PROBE_REASONS, rows!(ProbeReason)),
        ("`reason` of failed lookups", "Label of `target_lookup_failure_info`.", rows!(LookupReason)),
        ("`reason` of bad chains", "Label of `chain_error`, one series per reason.", rows!(ChainReason)),
        ("`reason` of chain warnings", METRICS_WARNINGS, rows!(ChainWarning)),
        ("`status` of stapled OCSP responses", "Label of `ocsp_status`.", rows!(OcspStatus)),
        ("`reason` of bad OCSP responses", METRICS_OCSP_REASONS, rows!(OcspReason)),
        ("`reason` of name mismatches", "Label of `cert_hostname_mismatch_info`.", rows!(NameReason)),
        ("`reason` of addresses that are not probed", "Label of `target_addresses_skipped`.", rows!(SkipReason)),
        ("`resolves` of alternate names", METRICS_RESOLVES, rows!(Resolves)),
        ("`reason` of local failures", "Label of `exporter_local_errors_total`.", rows!(LocalReason)),
    ] {
        value_table(&mut page, title, intro, &rows);
    }
    let reserved: BTreeSet<&str> = reserved_labels().chain(PROMETHEUS_LABELS.iter().copied()).collect();
    let reserved: Vec<&str> = reserved.into_iter().collect();
    let _ = writeln!(page, "{METRICS_RESERVED}{}.", reserved.join(", "));
    page
}

fn code_spans(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn row(page: &mut String, metric: &Metric) {
    let kind = match metric.kind {
        MetricKind::Gauge => "gauge",
        MetricKind::Counter => "counter",
        MetricKind::Info => "info",
    };
    let labels = code_spans(metric.labels);
    let _ = writeln!(page, "| `{}` | {kind} | {labels} | {} |", metric.name, metric.help.replace('|', "\\|"));
}

fn verdicts() -> String {
    let mut page = String::from(VERDICTS_HEAD);
    let _ = write!(page, "\n```\n$ {EXAMPLE}\n{}```\n", example());
    page.push_str(VERDICTS_JSON);
    page.push_str(VERDICTS_NAMES);
    rows!(NameDifference).iter().for_each(|(value, doc)| {
        let _ = writeln!(page, "| `{value}` | {} |", one_line(doc));
    });
    page.push_str(VERDICTS_TABLE);
    page.push_str("| verdict | meaning |");
    for (client, _) in client_errors::for_chain(ChainReason::Expired).clients() {
        let _ = write!(page, " {client} |");
    }
    page.push_str("\n|---|---|---|---|---|---|\n");
    let chains =
        ChainReason::ALL.iter().map(|reason| (reason.as_str(), reason.doc(), client_errors::for_chain(*reason)));
    let names = NameReason::ALL.iter().map(|reason| (reason.as_str(), reason.doc(), client_errors::for_name(*reason)));
    let staples =
        OcspReason::ALL.iter().map(|reason| (reason.as_str(), reason.doc(), client_errors::for_ocsp(*reason)));
    let probes = ProbeReason::ALL
        .iter()
        .filter_map(|reason| Some((reason.as_str(), reason.doc(), client_errors::for_probe(*reason)?)));
    for (reason, doc, client_errors) in names.chain(chains).chain(staples).chain(probes) {
        let _ = writeln!(page, "| `{reason}` | {} |{} |", one_line(doc), cells(&client_errors));
    }
    page.push_str(&senders());
    page
}

/// Phrases in one code span, since `*` is markup outside.
fn quoted(phrases: &[&str]) -> String {
    if phrases.is_empty() { String::new() } else { format!("`{}`", phrases.join(", ")) }
}

fn replies() -> String {
    let mut page = String::from(REPLIES_HEAD);
    let code_list = |codes: &[u16]| {
        let code = |code: &u16| if *code < 10 { format!("{code}xx") } else { code.to_string() };
        codes.iter().map(code).collect::<Vec<_>>().join(", ")
    };
    for rule in REPLY_RULES {
        let status = rule.status.iter().map(|(subject, detail)| format!("X.{subject}.{detail}"));
        let cells = [
            format!("`{}`", rule.cause),
            match rule.is_certificate_requested {
                true => "any, if the server has requested a client certificate".to_owned(),
                false => code_spans(&rule.to.iter().map(|stage| stage.as_str()).collect::<Vec<_>>()),
            },
            code_list(rule.codes),
            status.collect::<Vec<_>>().join(", "),
            if rule.is_bare { "no text besides the name of the server".to_owned() } else { quoted(rule.phrases) },
            one_line(rule.source),
        ];
        let _ = writeln!(
            page,
            "| {} |",
            cells.map(|cell| if cell.is_empty() { "any".to_owned() } else { cell }).join(" | ")
        );
    }
    page.push_str(REPLIES_CAUSES);
    for cause in RejectionCause::ALL {
        let interval = match (cause.is_limit(), cause.asks_to_wait()) {
            (true, _) => "up to an hour, see below",
            (_, true) => "`interval`",
            _ => "a minute, twice; then `interval`",
        };
        let _ = writeln!(page, "| `{cause}` | {} | {interval} |", one_line(cause.doc()));
    }
    page.push_str(REPLIES_TAIL);
    page
}

/// What senders accept, from the table that `tests/real` checks against them.
fn senders() -> String {
    let mut page = VERDICTS_SENDERS.replace("<versions>", VERSIONS);
    for (number, source) in SOURCES.iter().enumerate() {
        let _ = writeln!(page, "- [{}] {source}.", number + 1);
    }
    let cases = cases::all();
    let part = |row: &Difference| {
        let is_refused = [row.openssl, row.gnutls, row.go].iter().all(|outcome| *outcome == Outcome::Refuses);
        match expected_of(&cases, row).iter().any(|case| case.expected.valid) {
            true => 0,
            false if is_refused => 1,
            false => 2,
        }
    };
    for (index, title) in VERDICTS_SENDERS_PARTS.iter().enumerate() {
        let rows = DIFFERENCES.iter().filter(|row| part(row) == index);
        let _ = write!(page, "\n### {title}\n\n{VERDICTS_SENDERS_COLUMNS}");
        for row in rows {
            let mut verdicts: Vec<String> = Vec::new();
            for case in expected_of(&cases, row) {
                let words = case.expected.warnings.iter().chain(case.expected.errors);
                for word in words.map(|word| format!("`{word}`")) {
                    if !verdicts.contains(&word) {
                        verdicts.push(word);
                    }
                }
            }
            let verdicts = if verdicts.is_empty() { "valid".to_owned() } else { verdicts.join(", ") };
            let _ = write!(page, "| {} | {verdicts} |", row.what);
            for outcome in [row.openssl, row.gnutls, row.go, row.dotnet, row.java] {
                let _ = write!(page, " {} |", outcome_text(outcome));
            }
            page.push('\n');
        }
    }
    page
}

fn expected_of<'c>(cases: &'c [Case], row: &Difference) -> Vec<&'c Case> {
    let find = |name: &&str| cases.iter().find(|case| case.name == *name).unwrap_or_else(|| panic!("{name}"));
    row.cases.iter().map(find).collect()
}

fn outcome_text(outcome: Outcome) -> String {
    match outcome {
        Outcome::Accepts => "accepts".to_owned(),
        Outcome::Refuses => "**refuses**".to_owned(),
        Outcome::RefusesSince(version) => format!("**refuses** since 1.{version}"),
        Outcome::AcceptsSince(version) => format!("accepts since 1.{version}"),
        Outcome::Varies => "accepts some".to_owned(),
        Outcome::Cited(source) => format!("refuses, cited [{}]", source + 1),
        Outcome::Unknown => "not known".to_owned(),
    }
}

fn cells(client_errors: &ClientErrors) -> String {
    let cell = |error: ClientError| {
        let texts = error.texts.iter().map(|text| format!("`{text}`"));
        let accepts = error.accepts.map(|when| format!("*accepts it {when}*"));
        format!(" {}", texts.chain(accepts).collect::<Vec<_>>().join("<br>"))
    };
    client_errors.clients().map(|(_, error)| cell(error)).join(" |")
}

/// The result of [`EXAMPLE`].
fn verification() -> Verification {
    let pki = Pki::new();
    let env = Environment::new(&pki);
    let identity = pki
        .issue(&CertSpec::valid_for(&["mail.example.com"]).with_validity(-10 * SECONDS_PER_DAY, 80 * SECONDS_PER_DAY));
    let chain = env.folder.path().join("chain.pem");
    std::fs::write(&chain, identity.chain_pem()).expect("a file");
    let name = |name| ServerName::parse(name).expect("a name");
    let request = Request {
        names: vec![name("mail.example.com"), name("smtp.example.com")],
        at: SystemTime::now() + Duration::from_secs(83 * SECONDS_PER_DAY.unsigned_abs() + 3600),
        chain,
        ca_files: vec![env.folder.path().join("root.pem")],
        system_roots: false,
    };
    verify(&request).expect("a verification")
}

/// The result of [`EXAMPLE`] as JSON.
pub(crate) fn verification_json() -> Value {
    serde_json::from_str(&render::json(&verification())).expect("JSON")
}

/// The output of [`EXAMPLE`], with fixed dates and digests.
fn example() -> String {
    let verification = verification();
    let json: Value = serde_json::from_str(&render::json(&verification)).expect("JSON");
    let mut text = render::table(&verification);
    for (at, fixed) in [
        ("/certificate/not_before/rfc3339", "2026-09-01T12:00:00Z"),
        ("/certificate/not_after/rfc3339", "2026-11-30T12:00:00Z"),
        ("/at/rfc3339", "2026-12-03T13:00:00Z"),
        ("/certificate/fingerprint_sha256", &"5fd1".repeat(16)),
        ("/certificate/thumbprint_sha1", &"0a83".repeat(10)),
    ] {
        let found = json.pointer(at).and_then(Value::as_str).unwrap_or_else(|| panic!("{at} of {json}"));
        text = text.replace(found, fixed);
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    text
}

#[test]
fn metrics_page_matches_the_code() {
    expect_file!["../../docs/metrics.md"].assert_eq(&metrics());
}

#[test]
fn verdicts_page_matches_the_code() {
    expect_file!["../../docs/verdicts.md"].assert_eq(&verdicts());
}

#[test]
fn replies_page_matches_the_code() {
    expect_file!["../../docs/replies.md"].assert_eq(&replies());
}

/// The page names every metric that both exporters have, and every metric that only blackbox_exporter has. The module
/// `names` checks that the metrics that it names exist.
#[test]
fn from_blackbox_page_names_every_metric() {
    let page = std::fs::read_to_string("docs/from-blackbox.md").expect("the page");
    let named: BTreeSet<_> = page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let wanted = PROBE_METRICS.iter().map(|metric| metric.name).chain(BLACKBOX.iter().copied());
    assert_eq!(wanted.filter(|name| !named.contains(name)).collect::<Vec<_>>(), [""; 0]);
}

/// Metrics of blackbox_exporter's TCP prober that `/probe` does not have.
pub(crate) const BLACKBOX: &[&str] = &[
    "probe_ssl_last_chain_info",
    "probe_tls_version_info",
    "probe_tls_cipher_info",
    "probe_failed_due_to_regex",
    "probe_ip_protocol",
    "probe_ip_addr_hash",
];

const EXAMPLE: &str =
    "smtp-tls-exporter verify --ca-file root.pem --host mail.example.com --host smtp.example.com chain.pem";

const METRICS_HEAD: &str = "\
# Metrics

<!-- Generated from the code by `UPDATE_EXPECT=1 cargo test --workspace`; do not edit. -->

The exporter probes on its own interval, not at the scrape: values are as of the last probe
(`smtp_tls_probe_last_timestamp_seconds`). A backend has no series before its first probe finishes.

Verdicts are 1 or 0. **A verdict that is not known is absent, never 0.** The same applies to every other value that is not
known, such as `smtp_tls_chain_trusted` while that cannot be decided or `smtp_tls_ocsp_next_update_timestamp_seconds` if
the response has no such time.

All metrics of certificates, chains and OCSP responses, including the counts over backends, are as of the last
certificate seen. While probes of a backend fail, the exporter keeps its last certificate and checks it against the
current time at each scrape. `smtp_tls_cert_last_seen_timestamp_seconds` tells you how old it is.

The labels that you configure with `labels` are on all series of the target.

Metrics that end in `_info` have the value 1. Their type is `info` in OpenMetrics and `gauge` in the text format 0.0.4. Join
them to other metrics, and don't alert on their text. Some exist only under a condition:

- `smtp_tls_probe_failure_info`: while the last probe failed
- `smtp_tls_connection_info`: while the last probe succeeded
- `smtp_tls_target_lookup_failure_info`: while the query fails
- `smtp_tls_endpoint_found_name_info`: while the addresses of a host are those of a name of the search list
- `smtp_tls_cert_hostname_mismatch_info`: while the certificate does not match
- `smtp_tls_target_shared_name_info`: while the certificate of a resolved backend does not match the server name
";

const METRICS_COLUMNS: &str = "\n| metric | type | more labels | meaning |\n|---|---|---|---|\n";

const METRICS_PROBE: &str = "
## Only in `/probe` responses
A response to `/probe` has the series of its target and these, which have no labels. See
[Migrating from blackbox_exporter](from-blackbox.md).
";

const METRICS_PROBE_REASONS: &str = "Label of `probe_failure_info` and `probe_failure_reasons_total`.";

const METRICS_WARNINGS: &str = "\
Label of `chain_warning`, one series per reason, only while the chain is valid. See [what senders \
accept](verdicts.md#what-senders-accept).";

const METRICS_OCSP_REASONS: &str = "\
Label of `ocsp_error`, one series per reason. The time thisUpdate may be up to five minutes in the future. The \
signature is checked only if the issuer's key is known; the responder must be the issuer, or be authorized by it \
and have a certificate that is currently valid (RFC 6960 §4.2.2.2).";

const METRICS_RESOLVES: &str = "Label of `target_shared_name_info`. The backends are those of the server name.";

const METRICS_RESERVED: &str = "
## Reserved label names
You cannot use these names in `labels`. Prometheus or the exporter uses them, or a later version will:
";

const REPLIES_HEAD: &str = "\
# Replies that refuse the exporter

<!-- Generated from the code by `UPDATE_EXPECT=1 cargo test --workspace`; do not edit. -->

If a server refuses the exporter with a 4xx or 5xx reply, the stage and the reason of the failure say which step was refused
(see [Metrics](metrics.md#reason-of-failed-probes)). The cause says why. It decides what the advice says, whether
`smtp_tls_backend_rate_limited` is 1, and when the server is probed again. The JSON documents have it as `probe.cause`; the
reply itself is in `probe.detail` and in the advice.

## Rules
The first row that applies decides. A row applies if each of its conditions holds:

- The reply answers the connection (`greeting`), EHLO (`ehlo`) or STARTTLS (`starttls`). Inside TLS, the failure has the stage
  `session`, and the same rows apply.
- The reply has one of the codes.
- The reply has the enhanced code (RFC 3463). `X` is the class, which the reply code repeats.
- The text contains one of the phrases. All lines of a reply are one text. Upper and lower case are the same. A phrase does not
  continue over punctuation other than brackets around a host name, and does not count if the text negates it (\"not a rate
  limit\"). Host names, URLs and what the server repeats in angle brackets are not searched. `word*` stands for words with this
  beginning, `..` for any number of words such as \"concurrent\", \"SMTP\" or \"from\", `@name` for a host name or URL that
  contains the name, and `@` for any.

Faults of the server come before limits: a reply that mentions both is a fault. If the server has requested a client certificate
and the cause is `client_certificate`, the failure has the reason `client_certificate_required` or `client_certificate_rejected`
instead of a cause.

| cause | answers | codes | enhanced code | phrases | source |
|---|---|---|---|---|---|
";

const REPLIES_CAUSES: &str = "
## Causes
A reply to which no row applies has no cause; it is treated as other failures are.

| cause | meaning | next probe after |
|---|---|---|
";

const REPLIES_TAIL: &str = "
With `interval` of a minute or less, every failed probe is repeated after `interval`.

Only a limit slows probes down: to twice the time between probes, then four times and so on, up to an hour, or `interval` if
that is longer. This applies only to the address that sent the reply. The first probe with another result ends it. Requests to
`/probe` for a configured target do not shorten it.
";

const VERDICTS_HEAD: &str = "\
# Verdicts and client errors

<!-- Generated from the code by `UPDATE_EXPECT=1 cargo test --workspace`; do not edit. -->

The exporter reports separate verdicts on name, chain and validity period, each with its reasons (see
[Metrics](metrics.md)). The command `verify` gives the same verdicts on a chain in a file. Use it to check a certificate
before you install it; you need no running exporter:
";

const VERDICTS_JSON: &str = "
The file is in PEM format: first the server certificate, then the intermediates, in the order in which a server sends them.
`-` reads standard input. `--host` is repeatable and takes a name (also an internationalized one) or an IP address. `--at`
verifies as of the given time instead of now. `--ca-file` adds roots to those of the system, and `--no-system-roots` excludes
the system's roots. A file contains neither a proof of the private key nor an OCSP response, so `verify` reports neither.

The exit code is 0 if every name matches and the chain is valid, 1 if there is a finding, and 2 if a file cannot be read or
the arguments are not valid. A certificate that cannot be parsed is a finding (`malformed`).

`--output=json` prints one object. All keys are always present; a value that is not known is null:

| key | meaning |
|---|---|
| `names[]` | for each `--host`, in order: `name`; `match`, null if the certificate cannot be parsed; `reason`, `meaning` and `client_errors`, null if the name matches; `near_misses`, see below |
| `chain.trusted` | whether the chain builds to a trusted root, ignoring validity periods; null if there is no time at which all certificates are valid |
| `chain.valid` | whether the chain builds to a trusted root at the time of verification |
| `chain.errors[]` | each error of the chain: `reason`, `meaning` and `client_errors` |
| `chain.warnings[]` | what some senders refuse although the chain is valid: `reason`, `meaning` and `refused_by` (`openssl`, `postfix`, `gnutls`, `go`) |
| `chain.not_after`, `chain.verified_not_after` | when the first certificate expires: in the file, and on the verified path, the root included |
| `certificate` | the server certificate: `fingerprint_sha256`, `thumbprint_sha1` (as Windows shows it), `serial`, `subject`, `issuer`, `key`, `signature`, `not_before`, `not_after`, `expiry_days` (days from the time of verification, negative after expiry), `names`, `names_total`, `scts` (number of embedded SCTs), `must_staple` |
| `presented` | number of certificates in the file |
| `at` | the time of verification |

Times are objects with `rfc3339` (UTC) and `unix` (seconds). `client_errors` has the contents of the table below: for each of
`dotnet`, `openssl`, `postfix` and `go` the `texts`, and `accepts`, null if the client never accepts it.
";

const VERDICTS_NAMES: &str = "
## Names that look right
Clients compare names strictly. If a certificate lists a name that people read as the server name, the reason is
`not_listed`, `no_san` or `ip_reference`, and `near_misses` has the name as presented and how it differs:

| difference | meaning of the entry |
|---|---|
";

const VERDICTS_TABLE: &str = "
## Client errors
What .NET with MailKit, OpenSSL, Postfix and Go print for each reason. Text in angle brackets varies.

- **.NET and MailKit**: `SslPolicyErrors`, then the `X509ChainStatusFlags` of the chain. MailKit accepts no policy error. It
  throws an `SslHandshakeException`: \"The server's SSL certificate could not be validated for the following reasons\". If
  there are several errors, the name mismatch comes first.
- **OpenSSL**: output of `openssl s_client` and `openssl verify` 3.0, at security level 1 by default.
- **Postfix**: log of the SMTP client at the security levels `verify` and `secure`, then the delivery status. At `may` and
  `encrypt`, it logs an `Untrusted TLS connection` and delivers regardless of the certificate.
- **Go**: errors of `crypto/x509` and `crypto/tls`. Callers prefix them with `tls: failed to verify certificate: `.

";

const VERDICTS_SENDERS: &str = "
## What senders accept
The verdict on a chain follows the senders of mail: OpenSSL (and Postfix, which uses it), Schannel and .NET, GnuTLS, and Go.
A chain that all of them refuse is not valid. A chain that only some of them refuse is valid, with a warning
(`smtp_tls_chain_warning`) that says which. A sender that could not be run counts only with a source. Java is reported, but
decides nothing. webpki builds the paths; the dates and extensions of the root, keyUsage and trusted self-signed server
certificates are checked in addition.

- **Roots.** The certificates of a trust store have dates. If several have the same name and key, one of them that is in time is
  sufficient, and so is a path to another root, for example by a cross-certificate. The end of the root's validity is part of
  `smtp_tls_verified_chain_not_after_timestamp_seconds`. Mozilla's roots (`trust: mozilla`) are built in as names, keys and
  name constraints without dates, and never expire; Mozilla removes them in time.
- **Self-signed server certificates.** One that is itself in the trust store (the same octets) and is signed with its own key is
  accepted, even if it is a CA certificate as `openssl req -x509` makes it. Its dates, key, extended key usage, critical
  extensions and names are checked like those of any server certificate. A certificate in the trust store that is not self-signed
  is not accepted as a server certificate.

The tables list every kind of chain on which the senders and the exporter, or the senders among each other, do not agree, or
which webpki alone would judge differently. Where webpki or RFC 5280 is stricter than some senders, the chain is not valid: the
last table has these. For all other chains in the tests, OpenSSL, GnuTLS and Go agree with the exporter.
Run: <versions>. \"Since 1.N\" is the version of Go that introduced the behavior, or the first one that was run. GnuTLS judges
key usage only in a handshake, so `certtool` accepts what `gnutls-cli` refuses. Sources for .NET, which was not run:

";

const VERDICTS_SENDERS_COLUMNS: &str =
    "| chain | exporter | OpenSSL, Postfix | GnuTLS | Go | .NET | Java |\n|---|---|---|---|---|---|---|\n";

const VERDICTS_SENDERS_PARTS: [&str; 3] = [
    "Valid, with a warning",
    "Not valid, because all reference senders refuse it",
    "Not valid, although some senders accept it",
];
