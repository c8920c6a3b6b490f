//! Names of other programs with their owners, and unused metrics with the reason.

/// Labels that any series can have: Prometheus adds them when it scrapes (`pod` in Kubernetes), or the examples do.
pub(super) const ADDED_LABELS: &[&str] = &["job", "instance", "pod", "team"];

/// Labels that only alerts have.
pub(super) const ALERT_LABELS: &[&str] = &["alertname", "alertstate", "severity"];

/// Prometheus's own series.
pub(super) const OTHER_METRICS: &[&str] = &["up", "scrape_duration_seconds", "ALERTS"];

/// Values that are not enums of the code: of labels, and of types of metrics.
pub(super) const OTHER_VALUES: &[(&str, &[&str])] = &[
    ("alertstate", &["pending", "firing"]),
    ("kind", &["host", "mx", "submission"]),
    ("tls", &["starttls", "implicit"]),
    ("type", &["A", "AAAA", "MX", "SRV", "gauge", "counter", "info"]),
];

/// Names of other programs. `*` stands for any end. A name that no text uses fails the test.
pub(super) const EXTERNAL: &[(&str, &[&str])] = &[
    ("certbot: flag", &["--deploy-hook"]),
    ("blackbox_exporter: itself and its modules", &["blackbox_exporter", "smtp_starttls", "tcp_tls"]),
    ("blackbox_exporter: URL parameters", &["debug", "module"]),
    ("blackbox_exporter: config", &["ip_protocol_fallback", "key_file", "preferred_ip_protocol", "query_response"]),
    ("blackbox_exporter: config below a key", &["tls_config", "ca_file", "cert_file", "insecure_skip_verify"]),
    ("Linux and Cisco: commands", &["dmesg", "fixup"]),
    (
        "Postfix: TLS security levels, settings, a value",
        &["encrypt", "may", "secure", "smtpd_*", "smtp_tls_protocols", "no"],
    ),
    ("Exim: a command and a setting", &["exiwhat", "tls_certificate"]),
    ("Prometheus: config and rules", &["file_sd", "honor_labels", "keep_firing_for", "metric_relabel_configs"]),
    ("Prometheus: template function, and an annotation by convention", &["query", "runbook_url"]),
    ("PromQL: an operator and a function", &["or", "max_over_time"]),
    ("Alertmanager: config", &["repeat_interval"]),
    ("Service discovery: labels", &["env", "service"]),
    ("Examples: a target and scrape jobs", &["relay", "smtp_tls", "smtp_tls_probe"]),
    ("Built-in trust stores and resolvers", &["mozilla", "system"]),
    ("This repository: a directory, and the user in the image", &["dashboards", "nonroot"]),
];

/// Metrics that no dashboard or rule uses. A row whose metric is used fails the test.
pub(super) const UNUSED: &[(&str, &str)] = &[
    ("smtp_tls_endpoint_info", "for joins; the label `backend` has the port"),
    ("smtp_tls_target_backends_chain_valid", "dashboards count each backend once, also if targets share it"),
    ("smtp_tls_target_earliest_not_after_timestamp_seconds", "rules and dashboards show which backend it is"),
    ("smtp_tls_probe_last_timestamp_seconds", "stalled probing is detected by rounds"),
    ("smtp_tls_cert_ehlo_match", "no client asks for this name"),
    ("smtp_tls_cert_mismatched_samples", "`cert_hostname_match` is that of the worst sample"),
    ("smtp_tls_ocsp_next_update_timestamp_seconds", "`ocsp_error` reports a stale response"),
    ("process_virtual_memory_bytes", "resident memory is the relevant figure"),
    ("probe_success", SINGLE_PROBE),
    ("probe_duration_seconds", SINGLE_PROBE),
    ("probe_dns_lookup_time_seconds", SINGLE_PROBE),
    ("probe_ssl_earliest_cert_expiry", SINGLE_PROBE),
    ("probe_ssl_last_chain_expiry_timestamp_seconds", SINGLE_PROBE),
    ("probe_addresses_refused", SINGLE_PROBE),
];

const SINGLE_PROBE: &str = "only in responses of `/probe`, for alerts written for blackbox_exporter";
