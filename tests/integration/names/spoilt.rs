//! The same texts with a mistake in them: each is told, by file, place and word.

use super::known::Known;
use super::{Texts, printed_keys};

/// For each row: where the first text stands first in `file`, the second is complained of as the third says. There `#`
/// is any line, and `…` any end.
#[track_caller]
fn check(file: &str, rows: &[(&str, &str, &str)]) {
    let whole = Texts::shipped();
    let code = Known::new(printed_keys());
    let known = whole.define(code.clone());
    let mut untold = Vec::new();
    for (old, new, expected) in rows {
        let mut texts = whole.clone();
        texts.replace(file, old, new);
        let changed = (file == RULES).then(|| texts.define(code.clone()));
        let (complaints, _) = texts.check(changed.as_ref().unwrap_or(&known), |each| each == file);
        let expected = format!("{file}: {expected}");
        if !complaints.iter().any(|complaint| is_told(complaint, &expected)) {
            untold.push(format!("{expected}\n  is not among\n  {}", complaints.join("\n  ")));
        }
    }
    assert!(untold.is_empty(), "{}", untold.join("\n"));
}

fn is_told(complaint: &str, expected: &str) -> bool {
    let complaint = match complaint.split_once(": line ") {
        Some((file, rest)) => format!("{file}: line #{}", rest.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => complaint.to_owned(),
    };
    expected.strip_suffix('…').map_or(complaint == expected, |start| complaint.starts_with(start))
}

#[test]
fn mistakes_in_rules_are_told() {
    check(
        RULES,
        &[
            (
                "min_over_time(smtp_tls_target_nameservers_disagree[30m])",
                "min_over_time(smtp_tls_target_nameservers_differ[30m])",
                "alert SmtpTlsNameServersDisagree, warning: no metric smtp_tls_target_nameservers_differ",
            ),
            (
                "max by (reason) (smtp_tls_chain_error{",
                "max by (reason) (smtp_tls_chain_errors{",
                "alert SmtpTlsChainInvalid, critical, description: no metric smtp_tls_chain_errors",
            ),
            (
                "max by (reason) (smtp_tls_chain_error{",
                "max by (cause) (smtp_tls_chain_error{",
                "alert SmtpTlsChainInvalid, critical, description: max by (cause): nothing below has this label",
            ),
            (
                "max by (reason) (smtp_tls_chain_error{job=%q",
                "max by (reason) (smtp_tls_chain_error{jobs=%q",
                "alert SmtpTlsChainInvalid, critical, description: smtp_tls_chain_error has no label jobs",
            ),
            (
                "smtp_tls_ocsp_error{reason=\"revoked\"}",
                "smtp_tls_ocsp_error{reason=\"revokd\"}",
                "alert SmtpTlsCertificateRevoked, critical: reason of smtp_tls_ocsp_error is never revokd",
            ),
            (
                "starttls_not_offered|starttls_refused",
                "starttls_not_offered|starttls_denied",
                "record backend:smtp_tls_probe_failure_info:starttls10m: \
             reason of smtp_tls_probe_failure_info is never starttls_denied",
            ),
            (
                "stage=~\"handshake|session\"",
                "stage=~\"hands.*|sess.+s\"",
                "record backend:smtp_tls_handshake_errors:max10m: stage of smtp_tls_probe_failure_info is never sess.+s",
            ),
            (
                "sum without (reason) (increase(smtp_tls_exporter_local_errors_total[15m]))",
                "sum without (reason) (smtp_tls_exporter_local_errors_total)",
                "alert SmtpTlsLocalErrors, warning: smtp_tls_exporter_local_errors_total is a counter: rate or increase",
            ),
            (
                "min without (instance, pod, target) (changes(smtp_tls_probe_success[2h]))",
                "min without (instance, pod, target) (increase(smtp_tls_probe_success[2h]))",
                "alert SmtpTlsBackendUnreliable, warning: smtp_tls_probe_success is no counter: neither rate nor increase",
            ),
            (
                "sum without (reason) (increase(",
                "sum without (cause) (increase(",
                "alert SmtpTlsLocalErrors, warning: sum without (cause): nothing below has this label",
            ),
            (
                "unless ignoring (server_name)",
                "unless",
                "alert SmtpTlsTargetDown, critical: \
             the sides of unless never match: one has [server_name], the other []",
            ),
            (
                "and ignoring (name) instance_backend",
                "and ignoring (names) instance_backend",
                "alert SmtpTlsExpectedNameMissing, warning: and ignoring (names): neither side has such a label",
            ),
            (
                "and ignoring (name) instance_backend",
                "and on (name) instance_backend",
                "alert SmtpTlsExpectedNameMissing, warning: and on (name): a side has no such label",
            ),
            (
                "\"port\", \"$1\", \"backend\"",
                "\"port\", \"$1\", \"address\"",
                "record target_port:smtp_tls_probe_success:max10m: \
             label_replace reads the label address, which nothing below has",
            ),
            (
                "backend:smtp_tls_probe_success:max10m == 0\n            unless",
                "backend:smtp_tls_probe_success:max15m == 0\n            unless",
                "alert SmtpTlsBackendDown, warning: no metric backend:smtp_tls_probe_success:max15m",
            ),
            (
                "All servers of {{ $labels.server_name }}",
                "All servers of {{ $labels.backend }}",
                "alert SmtpTlsTargetDown, critical, description: $labels.backend: there is no label backend",
            ),
            (
                "instance {{ .Labels.instance }} finished",
                "instance {{ .Labels.instances }} finished",
                "alert SmtpTlsRoundsStale, warning, description: .Labels.instances: there is no label instances",
            ),
            (
                "{{ $it.Labels.target }}",
                "{{ $it.Labels.goal }}",
                "alert SmtpTlsBackendDown, warning, description: $it.Labels.goal: there is no label goal",
            ),
            (
                "| sortByLabel \"instance\"",
                "| sortByLabel \"server\"",
                "alert SmtpTlsRoundsStale, warning, description: sortByLabel \"server\": the query gives no such label",
            ),
            (
                "eq .Labels.resolves \"elsewhere\"",
                "eq .Labels.resolves \"somewhere\"",
                "alert SmtpTlsTargetPartlyMismatched, critical, description: resolves is never somewhere",
            ),
            (
                "{{ .Labels.reason }}{{ end }}.",
                "{{ .Labels.reason }}.",
                "alert SmtpTlsLocalErrors, warning, description: a range or if has no end",
            ),
            (
                "Instance {{ $labels.instance }} could",
                "Instance {{ .Labels.instance }} could",
                "alert SmtpTlsReloadFailed, warning, description: .Labels.instance stands outside of a query's range",
            ),
            (
                "missing_intermediate: install",
                "missing_intermediates: install",
                "alert SmtpTlsChainInvalid, critical, description: what is missing_intermediates?",
            ),
            (
                "log, smtp_tls_exporter_schedule_lag_seconds",
                "log, smtp_tls_exporter_schedule_delay_seconds",
                "line #: no metric smtp_tls_exporter_schedule_delay_seconds",
            ),
            (
                "left to SmtpTlsCertificateExpiring",
                "left to SmtpTlsCertificateEnding",
                "line #: no alert SmtpTlsCertificateEnding",
            ),
            ("chain_trusted sets time aside", "chain_sound sets time aside", "line #: what is chain_sound?"),
        ],
    );
}

#[test]
fn mistakes_in_tests_of_rules_are_told() {
    check(
        "tests/rules/certificates.test.yaml",
        &[
            (
                "series: smtp_tls_chain_valid{",
                "series: smtp_tls_chain_good{",
                "test \"an intermediate is no longer sent\": no metric smtp_tls_chain_good",
            ),
            (
                "reason=\"weak_key\"",
                "reason=\"weak\"",
                "test \"an intermediate is no longer sent\": reason of smtp_tls_chain_error is never weak",
            ),
            (
                "alertname: SmtpTlsChainInvalid\n",
                "alertname: SmtpTlsChainBad\n",
                "test \"an intermediate is no longer sent\": no alert SmtpTlsChainBad",
            ),
            (
                "exp_labels:\n",
                "exp_labels:\n              hosts: x\n",
                "test \"an intermediate is no longer sent\": SmtpTlsChainInvalid has no label hosts",
            ),
        ],
    );
}

#[test]
fn mistakes_in_routes_and_inhibitions_are_told() {
    check(
        "deploy/alertmanager/alertmanager.example.yaml",
        &[
            ("severity=\"info\"", "severity=\"notice\"", "route to nobody: severity of an alert is never notice"),
            ("team=\"web\"", "group=\"web\"", "route to web-chat: no alert has a label group"),
            ("server_name]", "servername]", "route to monitoring: group_by: no alert has a label servername"),
            (
                "alertname=\"SmtpTlsTargetDown\"",
                "alertname=\"SmtpTlsTargetGone\"",
                "inhibit rule 2: alertname of an alert is never SmtpTlsTargetGone",
            ),
            (
                "alertname=\"SmtpTlsExporterDown\"', 'severity=\"critical\"",
                "alertname=\"SmtpTlsReloadFailed\"', 'severity=\"critical\"",
                "inhibit rule 1: no alert meets alertname=\"SmtpTlsReloadFailed\", severity=\"critical\"",
            ),
            (
                "alertname=~\"SmtpTls.+\"', 'backend=~\".+\"",
                "alertname=~\"SmtpTlsDns.+\"', 'backend=~\".+\"",
                "inhibit rule 2: no alert meets alertname=~\"SmtpTlsDns.+\", backend=~\".+\"",
            ),
            (
                "equal: [job, server_name, port]",
                "equal: [job, server_name, host]",
                "inhibit rule 2: equal: neither side has a label host",
            ),
        ],
    );
}

#[test]
fn mistakes_in_dashboards_are_told() {
    check(
        "dashboards/smtp-tls-exporter.json",
        &[
            (
                "max(smtp_tls_exporter_targets{",
                "max(smtp_tls_exporter_goals{",
                "panel \"Targets\" A: no metric smtp_tls_exporter_goals",
            ),
            (
                "sum by (reason) (rate(smtp_tls_exporter_local",
                "sum by (cause) (rate(smtp_tls_exporter_local",
                "panel \"Local errors by reason\" A: sum by (cause): nothing below has this label",
            ),
            (
                "\"{{stage}}: {{reason}}\"",
                "\"{{stage}}: {{cause}}\"",
                "panel \"Failed probes by stage and reason\" A: legend: the query gives no label cause",
            ),
            (
                "sum(rate(smtp_tls_probes_total{job=~\\\"$job\\\", instance=~\\\"$instance\\\"}[$__rate_interval]))",
                "sum(smtp_tls_probes_total)",
                "panel \"Probes\" A: smtp_tls_probes_total is a counter: rate or increase",
            ),
            (
                "\"query\": \"label_values(smtp_tls_exporter_build_info, job)",
                "\"query\": \"label_values(smtp_tls_exporter_builds, job)",
                "variable job: no metric smtp_tls_exporter_builds",
            ),
            (
                "\"query\": \"label_values(smtp_tls_exporter_build_info, job)",
                "\"query\": \"label_values(smtp_tls_exporter_build_info, jobs)",
                "variable job: smtp_tls_exporter_build_info has no label jobs",
            ),
            ("\"revision\": 2", "\"commit\": 2", "panel \"Versions\": organize: no query gives the field commit"),
            (
                "\"options\": \"finished\"",
                "\"options\": \"ended\"",
                "panel \"Probes\": a setting is for the field ended, which there is not",
            ),
        ],
    );
    check(
        "dashboards/smtp-tls-overview.json",
        &[
            (
                "resolves=\\\"some\\\"",
                "resolves=\\\"part\\\"",
                "panel \"Names that would work\" A: resolves of smtp_tls_target_shared_name_info is never part",
            ),
            (
                "alertstate=\\\"firing\\\"",
                "alertstate=\\\"burning\\\"",
                "panel \"Firing alerts\" A: alertstate of ALERTS is never burning",
            ),
            (
                "alertname=~\\\"SmtpTls.*\\\"",
                "alertname=~\\\"MailTls.*\\\"",
                "panel \"Firing alerts\" A: alertname of ALERTS is never MailTls.*",
            ),
        ],
    );
    check(
        "dashboards/smtp-tls-target.json",
        &[
            (
                "\\\"short\\\", \\\"$1\\\", \\\"fingerprint_sha256\\\"",
                "\\\"short\\\", \\\"$1\\\", \\\"fingerprint\\\"",
                "panel \"Certificates over time\" A: label_replace reads the label fingerprint, which nothing below has",
            ),
            (
                "max by (phase) (smtp_tls_probe_phase_duration_seconds{",
                "max by (phase (smtp_tls_probe_phase_duration_seconds{",
                "panel \"Duration of phases\" A: `max by (phase (smtp_tls_probe_phase…",
            ),
        ],
    );
}

#[test]
fn mistakes_in_pages_and_examples_are_told() {
    check(
        "docs/runbooks/SmtpTlsChainInvalid.md",
        &[
            ("smtp_tls_chain_error{", "smtp_tls_chain_fault{", "line #: no metric smtp_tls_chain_fault"),
            (
                "smtp_tls_chain_error{server_name",
                "smtp_tls_chain_error{host",
                "line #: smtp_tls_chain_error has no label host",
            ),
            ("| `self_signed` |", "| `selfsigned` |", "line #: no reason selfsigned"),
            ("| `self_signed` |", "| `backend` |", "line #: no reason backend"),
            ("--show-certs", "--show-all", "line #: `smtp-tls-exporter check --config.file=config.yaml --show-all…"),
        ],
    );
    check(
        "docs/runbooks/SmtpTlsBackendDown.md",
        &[
            ("`rejected_5xx`", "`rejected_5yz`", "line #: what is rejected_5yz?"),
            ("`connect`: `refused`", "`connect`: `refuse`", "line #: what is refuse?"),
            ("raise `interval`", "raise `intervals`", "line #: what is intervals?"),
            ("[SmtpTlsTargetDown](", "[SmtpTlsTargetGone](", "line #: no alert SmtpTlsTargetGone"),
            (
                "(stage, reason) (smtp",
                "(stages, reason) (smtp",
                "line #: max by (stages): nothing below has this label",
            ),
        ],
    );
    check(
        "docs/runbooks/README.md",
        &[(
            "| critical | no server of",
            "| warning | no server of",
            "line #: SmtpTlsTargetDown is critical, not warning",
        )],
    );
    check("docs/verdicts.md", &[("\n| `cn_only`", "\n| `cn`", "line #: no reason cn")]);
    check(
        "README.md",
        &[
            ("`smtp_tls_probe_success`", "`smtp_tls_success`", "line #: no metric smtp_tls_success"),
            ("`--show-certs`", "`--show-chains`", "line #: no flag --show-chains"),
            ("- submission: example.com", "- submissions: example.com", "line #: config: targets[3]: unknown key…"),
            (
                "hostname_matched > 0 and",
                "hostname_matched > 0 ond",
                "line #: `smtp_tls_target_backends_hostname_matched > 0 ond…",
            ),
        ],
    );
    check(
        "docs/from-blackbox.md",
        &[
            (
                "`smtp_tls_chain_valid == 0`",
                "`smtp_tls_chain_valid{reason=\"expired\"} == 0`",
                "line #: smtp_tls_chain_valid has no label reason",
            ),
            ("`probe_ip_protocol`", "`probe_ip_version`", "line #: what is probe_ip_version?"),
        ],
    );
    check(
        "docs/metrics.md",
        &[("`limits.backends_per_target`", "`limits.backends`", "line #: what is limits.backends?")],
    );
    check("docs/api.md", &[("`lookup.failures`", "`lookup.faults`", "line #: what is lookup.faults?")]);
    check("CHANGELOG.md", &[("`smtp_tls_ocsp_*`", "`smtp_tls_staple_*`", "line #: no metric smtp_tls_staple_*")]);
    check(
        "config.example.yaml",
        &[
            ("`compare`", "`compared`", "line #: what is compared?"),
            ("\nlimits:", "\nlimit:", "its keys: config: unknown key `limit`…"),
        ],
    );
    check(
        "deploy/prometheus/scrape.example.yaml",
        &[("`exported_team`", "`exported_crew`", "line #: what is exported_crew?")],
    );
}

#[test]
fn an_alert_that_is_renamed_is_missed_wherever_it_is_named() {
    let mut texts = Texts::shipped();
    texts.replace(RULES, "alert: SmtpTlsTargetDown", "alert: SmtpTlsTargetGone");
    let (complaints, _) = texts.check(&texts.known(), |_| true);
    for file in [
        "docs/runbooks/SmtpTlsBackendDown.md: line #: no alert SmtpTlsTargetDown",
        "deploy/alertmanager/alertmanager.example.yaml: inhibit rule 2: alertname of an alert is never SmtpTlsTargetDown",
        "tests/rules/servers.test.yaml: line #: no alert SmtpTlsTargetDown",
    ] {
        assert!(complaints.iter().any(|complaint| is_told(complaint, file)), "{file}\n{}", complaints.join("\n"));
    }
}

/// A place is the line of the file, also within blocks.
#[test]
fn places_are_lines() {
    let page = "# A page\n\n`no_such_word` and\n`smtp_tls_gone`\n\n```promql\nup\n\nsmtp_tls_lost\n```\n\n```sh\nls \\\n  x\n\
                smtp-tls-exporter --no\n```\n";
    let texts = Texts([("docs/made-up.md".to_owned(), page.to_owned())].into());
    let (complaints, _) = texts.check(&Texts::shipped().known(), |_| true);
    let expected = [
        "docs/made-up.md: line 4: no metric smtp_tls_gone",
        "docs/made-up.md: line 9: no metric smtp_tls_lost",
        "docs/made-up.md: line 3: what is no_such_word?",
        "docs/made-up.md: line 15: `smtp-tls-exporter --no`: error: unexpected argument '--no' found",
    ];
    assert_eq!(complaints, expected);
}

const RULES: &str = "deploy/prometheus/smtp-tls.rules.yaml";
