//! `docs/metrics.md` is made from the code. `UPDATE_DOCS=1 cargo test docs` writes it anew.

use std::fmt::Write;

use smtp_tls_exporter::reason::{
    ChainReason, LocalReason, LookupReason, NameReason, Phase, ProbeReason, SkipReason, Stage,
};
use smtp_tls_exporter::web::metrics::table::{Kind, METRICS, Scope};

const PATH: &str = "docs/metrics.md";

fn words(page: &mut String, title: &str, intro: &str, rows: &[(&str, &str)]) {
    let _ = write!(page, "\n### {title}\n{intro}\n\n| value | when |\n|---|---|\n");
    for (word, doc) in rows {
        let _ = writeln!(page, "| `{word}` | {} |", doc.split_whitespace().collect::<Vec<_>>().join(" "));
    }
}

macro_rules! rows {
    ($words:ty) => {
        &<$words>::ALL.iter().map(|word| (word.as_str(), word.doc())).collect::<Vec<_>>()
    };
}

fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         <!-- Made from the code by `UPDATE_DOCS=1 cargo test docs`; a test holds the two together. -->\n\n\
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
        for metric in METRICS.iter().filter(|metric| metric.scope == scope) {
            let kind = match metric.kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
                Kind::Info => "info",
            };
            let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            let _ = writeln!(page, "| `{}` | {kind} | {labels} | {} |", metric.name, metric.help.replace('|', "\\|"));
        }
    }
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
    words(&mut page, "`reason` of names that do not match", "On `cert_hostname_mismatch_info`.", rows!(NameReason));
    words(&mut page, "`reason` of addresses that are not probed", "On `target_backends_skipped`.", rows!(SkipReason));
    words(&mut page, "`reason` of local failures", "On `exporter_local_errors_total`.", rows!(LocalReason));
    page
}

#[test]
fn the_page_of_metrics_is_that_of_the_code() {
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PATH, &page).expect("the page is written");
    }
    let found = std::fs::read_to_string(PATH).expect("the page is there");
    assert!(found == page, "{PATH} differs from the code; UPDATE_DOCS=1 cargo test docs writes it anew");
}
