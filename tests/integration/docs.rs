//! `docs/metrics.md` and `docs/verdicts.md` are generated from the code by
//! `UPDATE_EXPECT=1 cargo test --workspace`.
//! `docs/from-blackbox.md` is written by hand, and leaves nothing out.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

use expect_test::expect_file;
use serde_json::Value;
use smtp_fleet::{CertSpec, Pki};
use smtp_tls_exporter::client_errors::{self, ClientErrors};
use smtp_tls_exporter::metrics::table::{METRICS, Metric, MetricKind, PROBE_METRICS, Scope};
use smtp_tls_exporter::reason::{
    ChainReason, LocalReason, LookupReason, NameReason, OcspReason, OcspStatus, Phase, ProbeReason, Resolves,
    SkipReason, Stage,
};
use smtp_tls_exporter::render;
use smtp_tls_exporter::target::ServerName;
use smtp_tls_exporter::verify::{Request, Verification, verify};

use crate::support::Environment;

fn words(page: &mut String, title: &str, intro: &str, rows: &[(&str, &str)]) {
    let _ = write!(page, "\n### {title}\n{intro}\n\n| value | when |\n|---|---|\n");
    for (word, doc) in rows {
        let _ = writeln!(page, "| `{word}` | {} |", one_line(doc));
    }
}

macro_rules! rows {
    ($words:ty) => {
        &<$words>::ALL.iter().map(|word| (word.as_str(), word.doc())).collect::<Vec<_>>()
    };
}

fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn metrics() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         <!-- Generated from the code by `UPDATE_EXPECT=1 cargo test --workspace`; do not edit. -->\n\n\
         Verdicts are 1 or 0, and **absent while they are not known**, never 0 for unknown. Probes run on the exporter's \
         own interval, so values are as of the last probe (`smtp_tls_probe_last_timestamp_seconds`). While a backend \
         fails, what is known of its certificate is kept and judged against the clock at each scrape; \
         `smtp_tls_cert_last_seen_timestamp_seconds` tells how old it is. Before its first finished probe a backend has \
         no series. Labels of the config's `labels` stand on all series of their target.\n\n\
         `_info` metrics have the value 1; they are of type `info` in OpenMetrics and `gauge` in the text format 0.0.4. \
         Join them, don't alert on their text.\n",
    );
    for (scope, title) in [
        (Scope::Target, "Targets"),
        (Scope::Endpoint, "Endpoints: a server name of a target"),
        (Scope::Backend, "Backends: one address of a server name"),
        (Scope::Exporter, "The exporter and its process"),
    ] {
        let labels = scope.labels().iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let _ = write!(page, "\n## {title}\n");
        if !labels.is_empty() {
            let _ = writeln!(page, "Labels of all: {labels}.");
        }
        page.push_str("\n| metric | type | more labels | meaning |\n|---|---|---|---|\n");
        METRICS.iter().filter(|metric| metric.scope == scope).for_each(|metric| row(&mut page, metric));
    }
    page.push_str(
        "\n## In answers of `/probe` only\n\
         Beside the series of their target, and without labels; [from-blackbox.md](from-blackbox.md) has more.\n\n\
         | metric | type | more labels | meaning |\n|---|---|---|---|\n",
    );
    PROBE_METRICS.iter().for_each(|metric| row(&mut page, metric));
    page.push_str("\n## Values of labels\n");
    words(&mut page, "`stage`", "Where a probe stopped.", rows!(Stage));
    words(&mut page, "`phase`", "Parts of a probe that are timed.", rows!(Phase));
    words(
        &mut page,
        "`reason` of failed probes",
        "On `probe_failure_info` and `probe_failure_reasons_total`.",
        rows!(ProbeReason),
    );
    words(&mut page, "`reason` of failed lookups", "On `target_lookup_failure_info`.", rows!(LookupReason));
    words(&mut page, "`reason` of bad chains", "On `chain_error`, a series each.", rows!(ChainReason));
    words(&mut page, "`status` of stapled OCSP responses", "On `ocsp_status`.", rows!(OcspStatus));
    words(&mut page, "`reason` of stapled OCSP responses", "On `ocsp_error`, a series each.", rows!(OcspReason));
    words(&mut page, "`reason` of names that do not match", "On `cert_hostname_mismatch_info`.", rows!(NameReason));
    words(&mut page, "`reason` of addresses that are not probed", "On `target_backends_skipped`.", rows!(SkipReason));
    words(
        &mut page,
        "`resolves` of names that all backends carry",
        "On `target_shared_name_info`, last against the backends of the server name.",
        rows!(Resolves),
    );
    words(&mut page, "`reason` of local failures", "On `exporter_local_errors_total`.", rows!(LocalReason));
    page
}

fn row(page: &mut String, metric: &Metric) {
    let kind = match metric.kind {
        MetricKind::Gauge => "gauge",
        MetricKind::Counter => "counter",
        MetricKind::Info => "info",
    };
    let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
    let _ = writeln!(page, "| `{}` | {kind} | {labels} | {} |", metric.name, metric.help.replace('|', "\\|"));
}

fn verdicts() -> String {
    let mut page = String::from(VERDICTS_HEAD);
    let _ = write!(page, "\n```\n$ {EXAMPLE}\n{}```\n", example());
    page.push_str(VERDICTS_JSON);
    page.push_str(VERDICTS_TABLE);
    page.push_str("| verdict | when |");
    for (client, _) in client_errors::for_chain(ChainReason::Expired).clients() {
        let _ = write!(page, " {client} |");
    }
    page.push_str("\n|---|---|---|---|---|---|\n");
    let chains = ChainReason::ALL.iter().map(|word| (word.as_str(), word.doc(), client_errors::for_chain(*word)));
    let names = NameReason::ALL.iter().map(|word| (word.as_str(), word.doc(), client_errors::for_name(*word)));
    let staples = OcspReason::ALL.iter().map(|word| (word.as_str(), word.doc(), client_errors::for_ocsp(*word)));
    let probes =
        ProbeReason::ALL.iter().filter_map(|word| Some((word.as_str(), word.doc(), client_errors::for_probe(*word)?)));
    for (word, doc, client_errors) in names.chain(chains).chain(staples).chain(probes) {
        let _ = writeln!(page, "| `{word}` | {} |{} |", one_line(doc), cells(&client_errors));
    }
    page
}

fn cells(client_errors: &ClientErrors) -> String {
    let cell = |words: client_errors::ClientError| {
        let texts = words.texts.iter().map(|text| format!("`{text}`"));
        let accepts = words.accepts.map(|when| format!("*accepts it {when}*"));
        format!(" {}", texts.chain(accepts).collect::<Vec<_>>().join("<br>"))
    };
    client_errors.clients().map(|(_, words)| cell(words)).join(" |")
}

/// What `verify` concludes in [`EXAMPLE`].
fn verification() -> Verification {
    const DAY: i64 = 86_400;
    let pki = Pki::new();
    let env = Environment::new(&pki);
    let identity = pki.issue(&CertSpec::valid_for(&["mail.example.com"]).with_validity(-10 * DAY, 80 * DAY));
    let chain = env.folder.path().join("chain.pem");
    std::fs::write(&chain, identity.chain_pem()).expect("a file");
    let name = |name| ServerName::parse(name).expect("a name");
    let request = Request {
        names: vec![name("mail.example.com"), name("smtp.example.com")],
        at: SystemTime::now() + Duration::from_secs(83 * 86_400 + 3600),
        chain,
        ca_files: vec![env.folder.path().join("root.pem")],
        system_roots: false,
    };
    verify(&request).expect("a verification")
}

/// The same as JSON.
pub(crate) fn verification_json() -> Value {
    serde_json::from_str(&render::json(&verification())).expect("JSON")
}

/// What [`EXAMPLE`] prints, with what differs from run to run replaced.
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
fn the_page_of_metrics_is_that_of_the_code() {
    expect_file!["../../docs/metrics.md"].assert_eq(&metrics());
}

#[test]
fn the_page_of_verdicts_is_that_of_the_code() {
    expect_file!["../../docs/verdicts.md"].assert_eq(&verdicts());
}

/// The page for users of blackbox_exporter names all that is alike, and all that is there only; that what it names is
/// here or there, `names` holds.
#[test]
fn the_way_from_blackbox_leaves_nothing_out() {
    let page = std::fs::read_to_string("docs/from-blackbox.md").expect("the page is there");
    let named: BTreeSet<_> = page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let wanted = PROBE_METRICS.iter().map(|metric| metric.name).chain(BLACKBOX.iter().copied());
    assert_eq!(wanted.filter(|name| !named.contains(name)).collect::<Vec<_>>(), [""; 0]);
}

/// What blackbox_exporter's TCP prober has and `/probe` has not.
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

const VERDICTS_HEAD: &str = "\
# Verdicts, and what others call them

<!-- Generated from the code by `UPDATE_EXPECT=1 cargo test --workspace`; do not edit. -->

The exporter judges name, chain and time apart, each with its reasons ([metrics](metrics.md)). `verify` gives the same
verdicts on a chain in a file, so that a certificate can be judged before it is installed, and without an exporter:
";

const VERDICTS_JSON: &str = "
The file is PEM, the server's own certificate first, then the intermediates, as servers take it; `-` is standard input.
`--host` is repeatable and takes names (internationalized ones, too) and addresses. `--at` judges at another moment
than now. `--ca-file` adds roots to this machine's, `--no-system-roots` leaves those out. Nobody proves in a file that he
holds the key, and no OCSP response is stapled to it: nothing is said of either.

The exit code is 0 where every name matches and nothing is wrong with the chain, 1 where something is found, 2 where a
file cannot be read or the usage is wrong. A certificate that cannot be parsed is a finding (`malformed`), not an
unreadable file.

`--output=json` prints one object. Its keys are always there; what is not known is null:

| key | what |
|---|---|
| `names[]` | for each `--host` in order: `name`; `match`, null where the certificate cannot be parsed; where it does not match, `reason`, `meaning` and `client_errors` |
| `chain.trusted` | whether a path leads to a root with time set aside; null where the certificates are valid at no common moment |
| `chain.valid` | whether one does at the moment |
| `chain.errors[]` | `reason`, `meaning` and `client_errors` of each thing that is wrong |
| `chain.not_after`, `chain.verified_not_after` | the earliest end of validity in the file, and on the verified path |
| `certificate` | the server's own: `fingerprint_sha256`, `thumbprint_sha1` (what Windows shows), `serial`, `subject`, `issuer`, `key`, `signature`, `not_before`, `not_after`, `expiry_days` from the moment on (negative once expired), `names`, `names_total`, `scts` (how many are embedded), `must_staple` |
| `presented` | how many certificates the file has |
| `at` | the moment that was judged at |

Moments are objects of `rfc3339` (UTC) and `unix` (seconds). `client_errors` has the table below: for `dotnet`, `openssl`,
`postfix` and `go` the `texts`, and `accepts`, null where that client never accepts it.
";

const VERDICTS_TABLE: &str = "
## What others say
What .NET and MailKit, OpenSSL, Postfix and Go say where the exporter gives a reason. What stands in angle brackets
varies.

- **.NET and MailKit**: `SslPolicyErrors`, then the `X509ChainStatusFlags` of the chain. MailKit accepts no settings error
  at all, and throws an `SslHandshakeException`: \"The server's SSL certificate could not be validated for the following
  reasons\". A name is its first complaint, where there are several.
- **OpenSSL**: as `openssl s_client` and `openssl verify` 3.0 print it, at security level 1 unless said otherwise.
- **Postfix**: the log of the SMTP client at the levels `verify` and `secure`, then the delivery status. At `may` and
  `encrypt` it logs an `Untrusted TLS connection` and delivers whatever the certificate.
- **Go**: errors of `crypto/x509` and `crypto/tls`, which callers prefix with `tls: failed to verify certificate: `.

";
