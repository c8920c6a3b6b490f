//! What is named and is not the exporter's own, and what is the exporter's and not used: each with its reason.

/// Labels that Prometheus puts on what it scrapes; `pod` is there where it finds exporters in Kubernetes.
pub(super) const SCRAPED: &[&str] = &["job", "instance", "pod"];

/// Labels that a user's config gives to targets, as the examples do.
pub(super) const USER_LABELS: &[&str] = &["team"];

/// Types of the questions that a lookup asks: the values of `type`.
pub(super) const RECORD_TYPES: &[&str] = &["A", "AAAA", "MX", "SRV"];

/// Prometheus's own series, with their labels beyond [`SCRAPED`]. To `ALERTS` those of the alerts are added.
pub(super) const PROMETHEUS: &[(&str, &[&str])] =
    &[("up", &[]), ("scrape_duration_seconds", &[]), ("ALERTS", &["alertname", "alertstate", "severity"])];

/// Words that are neither metric, label, reason, key nor flag of the exporter, and whose they are. `*` stands for any
/// end. A row that no text needs fails the test.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    ("--deploy-hook", "certbot's"),
    ("blackbox_exporter", "whom some come from"),
    ("debug", "a parameter of blackbox_exporter's"),
    ("dmesg", "a command"),
    ("encrypt", "a level of Postfix"),
    ("env", "a label that service discovery gives"),
    ("exiwhat", "Exim's"),
    ("file_sd", "Prometheus's"),
    ("fixup", "Cisco's"),
    ("honor_labels", "a key of Prometheus's config"),
    ("hostname", "a parameter of `/probe`, as blackbox_exporter has it"),
    ("ip_protocol_fallback", "a key of blackbox_exporter's config"),
    ("keep_firing_for", "a key of Prometheus's rules"),
    ("key_file", "a key of blackbox_exporter's config"),
    ("may", "a level of Postfix"),
    ("metric_relabel_configs", "a key of Prometheus's config"),
    ("module", "a parameter of blackbox_exporter's"),
    ("mozilla", "a trust store that is built in"),
    ("no", "a value of Postfix's settings"),
    ("ok", "a state of targets on the status page and in JSON"),
    ("preferred_ip_protocol", "a key of blackbox_exporter's config"),
    ("query", "a function of Prometheus's templates"),
    ("query_response", "a key of blackbox_exporter's config"),
    ("relay", "the name of a target in examples"),
    ("repeat_interval", "a key of Alertmanager's config"),
    ("runbook_url", "an annotation of alerts, by custom"),
    ("secure", "a level of Postfix"),
    ("service", "a label that service discovery gives"),
    ("smtp_starttls", "a module of blackbox_exporter"),
    ("smtp_tls", "the scrape job of the examples"),
    ("smtp_tls_probe", "a scrape job in an example"),
    ("smtp_tls_protocols", "a setting of Postfix"),
    ("smtpd_*", "settings of Postfix"),
    ("system", "a trust store and a resolver that are built in"),
    ("tcp_tls", "a module of blackbox_exporter"),
    ("tls_certificate", "a setting of Exim"),
    ("tls_config.*", "keys of blackbox_exporter's config"),
];

/// Metrics that no dashboard and no rule uses, and why that is well. A row whose metric is used fails the test.
pub(super) const UNUSED: &[(&str, &str)] = &[
    ("smtp_tls_endpoint_info", "for joins; the label `backend` has the port"),
    ("smtp_tls_target_backends_chain_valid", "dashboards count a backend once, however many targets share it"),
    ("smtp_tls_target_earliest_not_after_timestamp_seconds", "rules and dashboards tell which backend it is"),
    ("smtp_tls_probe_last_timestamp_seconds", "whether probing goes on is watched by rounds"),
    ("smtp_tls_cert_ehlo_match", "no client asks for that name"),
    ("smtp_tls_cert_mismatched_samples", "`cert_hostname_match` is that of the worst sample"),
    ("smtp_tls_ocsp_next_update_timestamp_seconds", "`ocsp_error` says when it has passed"),
    ("process_virtual_memory_bytes", "the resident memory is what counts"),
    ("probe_success", ONE_PROBE),
    ("probe_duration_seconds", ONE_PROBE),
    ("probe_dns_lookup_time_seconds", ONE_PROBE),
    ("probe_ssl_earliest_cert_expiry", ONE_PROBE),
    ("probe_ssl_last_chain_expiry_timestamp_seconds", ONE_PROBE),
    ("probe_addresses_refused", ONE_PROBE),
];

const ONE_PROBE: &str = "in answers of `/probe`, for alerts that come from blackbox_exporter";
