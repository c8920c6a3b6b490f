//! One name of each kind, misspelled or missing: the check reports it and nothing else.

use super::{RUNBOOKS, Texts, check, shipped};

#[track_caller]
fn expect_complaints(texts: &Texts, expected: &str) {
    let complaints = check(texts).complaints;
    let is_reported = !complaints.is_empty() && complaints.iter().all(|complaint| complaint.contains(expected));
    assert!(is_reported, "only complaints with {expected:?} are expected:\n{}", complaints.join("\n"));
}

#[test]
fn reports_each_kind_of_unknown_name() {
    let [dashboards, routes, rules] = ["dashboards/smtp-tls-", "deploy/alertmanager/", "deploy/prometheus/"];
    // In the first file that begins so and has the first text, the second takes its place.
    for (path, old, new, expected) in [
        ("README.md", "`--show-certs`", "`--show-chains`", "unknown flag: --show-chains"),
        ("README.md", "smtp-tls-exporter check ", "smtp-tls-exporter chekc ", "unrecognized subcommand 'chekc'"),
        ("README.md", "--config.check", "--config.chekc", "--config.chekc"),
        ("README.md", "- submission:", "- submissions:", "`submissions`"),
        (rules, "smtp_tls_target_hosts", "smtp_tls_target_host", "unknown name: smtp_tls_target_host"),
        (rules, "record: backend:", "record: server:", "unknown name: backend:smtp_tls_"),
        (rules, "exported_team", "exported_crew", "unknown name: exported_crew"),
        (dashboards, "smtp_tls_exporter_targets", "smtp_tls_exporter_goals", "unknown name: smtp_tls_exporter_goals"),
        ("docs/", "`limits.concurrent_probes`", "`limits.parallel_probes`", "unknown name: parallel_probes"),
        ("docs/verdicts.md", "`chain.trusted`", "`chain.sound`", "unknown name: sound"),
        ("docs/from-blackbox.md", "`probe_ip_protocol`", "`probe_ip_version`", "unknown name: probe_ip_version"),
        (rules, "reason=\"revoked\"", "reason=\"revokd\"", "unknown label value: reason=revokd"),
        ("tests/rules/", "weak_key", "weak_kee", "unknown label value: reason=weak_kee"),
        (routes, "severity=\"critical\"", "severity=\"urgent\"", "unknown label value: severity=urgent"),
        ("docs/runbooks/", "| `self_signed` |", "| `selfsigned` |", "unknown name: selfsigned"),
        (rules, "ignoring (stage, reason)", "ignoring (stage, cause)", "unknown label: cause"),
        (dashboards, "{cluster=~", "{clusters=~", "unknown label: clusters smtp_tls_"),
        (dashboards, "by (stage, reason)", "by (stage, cause)", "unknown label: cause"),
        (dashboards, "{{reason}}", "{{cause}}", "unknown label: cause"),
        (routes, "server_name]", "servername]", "unknown label: servername"),
        (routes, "alertname=\"SmtpTls", "alertname=\"SmtpTlsNo", "unknown alert: SmtpTlsNo"),
    ] {
        let mut texts = shipped();
        let mut files = texts.iter_mut().filter(|(file, text)| file.starts_with(path) && text.contains(old));
        let (_, text) = files.next().unwrap_or_else(|| panic!("no file {path}… has {old}"));
        *text = text.replacen(old, new, 1);
        expect_complaints(&texts, expected);
    }
}

#[test]
fn reports_an_alert_without_a_runbook_and_a_runbook_without_an_alert() {
    let mut texts = shipped();
    texts.remove(&format!("{RUNBOOKS}SmtpTlsTargetDown.md")).expect("a runbook");
    expect_complaints(&texts, "alert without a runbook: SmtpTlsTargetDown");
    let mut texts = shipped();
    texts.insert(format!("{RUNBOOKS}SmtpTlsNever.md"), String::new());
    expect_complaints(&texts, "unknown alert: SmtpTlsNever");
}
