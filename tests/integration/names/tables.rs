//! Names of other programs with their owners, and unused metrics with the reason.

/// Labels that any series can have: Prometheus adds them when it scrapes (`pod` and `namespace` in Kubernetes), or the
/// examples do.
pub(super) const ADDED_LABELS: &[&str] = &["job", "instance", "cluster", "namespace", "pod", "team"];

/// Labels that only alerts have, or only results of queries on dashboards.
pub(super) const RESULT_LABELS: &[&str] =
    &["alertname", "alertstate", "severity", "alert", "bucket", "check", "detail", "ordinal", "short", "total"];

/// Values that are not enums of the code: of labels, of config keys, and of types of metrics.
pub(super) const OTHER_VALUES: &[(&str, &str)] = &[
    ("alertstate", "pending firing"),
    ("ip_family", "auto any ipv4 ipv6"),
    ("kind", "host mx submission"),
    ("tls", "starttls implicit"),
    ("trust", "mozilla system"),
    ("type", "A AAAA MX SRV gauge counter info"),
];

/// Names of other programs, separated by spaces. `*` stands for any end. A name that no text uses fails the test.
pub(super) const EXTERNAL: &[(&str, &str)] = &[
    (
        "Prometheus: metrics, operators, a field of alerts",
        "scrape_duration_seconds scrape_samples_scraped or by without for",
    ),
    ("Alertmanager: routes and inhibition rules", "equal group_by"),
    ("Prometheus: scrape jobs", "honor_labels job_name metrics_path scrape_configs scrape_interval scrape_timeout"),
    ("Prometheus: targets", "file_sd metric_relabel_configs relabel_configs source_labels static_configs target_label"),
    ("Prometheus: service discovery, relabeling", "file_sd_configs hashmod regex replacement"),
    ("Kubernetes: fields of a StatefulSet", "ordinals start"),
    ("Prometheus: TLS", "scheme tls_config ca_file cert_file insecure_skip_verify key_file"),
    ("curl, Docker: flags", "cacert cert no-healthcheck"),
    ("Prometheus: basic authentication", "basic_auth password_file"),
    ("Exporter toolkit: values of keys", "deny nosniff sameorigin"),
    ("Apache: a command", "htpasswd"),
    ("This repository: a source file", "web_config"),
    ("Prometheus: a template function", "query"),
    ("Grafana: variables", "datasource label value"),
    ("blackbox_exporter: modules and URL parameters", "blackbox_exporter smtp_starttls tcp_tls debug hostname module"),
    ("blackbox_exporter: a flag", "config.enable-auto-reload"),
    ("Prometheus: a page of its documentation; systemd: a function", "writing_exporters sd_notify"),
    (
        "exporter-toolkit: the web configuration, TLS",
        "tls_server_config client_ca client_ca_file client_auth_type client_allowed_sans min_version max_version",
    ),
    ("exporter-toolkit: TLS", "cipher_suites curve_preferences prefer_server_cipher_suites"),
    ("exporter-toolkit: HTTP", "http_server_config http2 headers basic_auth_users rate_limit burst"),
    ("YAML: values of the Helm chart", "true false"),
    ("blackbox_exporter: configuration", "ip_protocol_fallback preferred_ip_protocol query_response"),
    ("Postfix: settings", "default_process_limit inet_interfaces smtp_tls_protocols smtpd_* tls_server_sni_maps"),
    ("Postfix: values of settings", "encrypt may secure no"),
    ("Postfix: settings that refuse clients", "default_rbl_reply reject_unknown_client_hostname"),
    ("Exim, Sendmail: settings that refuse clients", "access_db helo_verify_hosts host_reject_connection require_rdns"),
    ("Postfix, Exim, OpenSMTPD: source files with replies", "postscreen_smtpd smtp_in smtp_session"),
    ("Exim: TLS settings", "tls_advertise_hosts tls_certificate tls_in_sni tls_on_connect_ports tls_privatekey"),
    ("Exim: other settings", "daemon_smtp_ports local_interfaces smtp_accept_max* smtp_load_reserve"),
    ("Exim: settings, a variable, a command", "tls_require_ciphers tls_verify_* received_ip_address exiwhat"),
    ("OpenSSL: a command and its options", "s_client crl_check tls1_2 verify_hostname verify_return_error"),
    ("Go: errors", "x509"),
    ("This project: a module", "open_files"),
    ("Rust: an architecture", "x86_64"),
    ("GnuTLS: a command; CryptoAPI: a structure", "certtool cert_trust_status"),
    ("Linux, Cisco, certbot: commands, settings, a flag", "dmesg ip_local_port_range fixup deploy-hook"),
    ("Service discovery: labels", "env node endpoint container"),
    ("prometheus-operator: labels, a field of objects", "prometheus prometheus_replica release spec"),
    (
        "Icinga: custom variables",
        "smtp_tls_ca_files smtp_tls_config_file smtp_tls_name smtp_tls_target smtp_tls_targets",
    ),
    ("Icinga: a custom variable; Nagios: a setting", "smtp_tls_timeout service_check_timeout"),
    (
        "Nagios: directives, a command",
        "check_command command_line command_name host_name service_description check_smtp_tls",
    ),
    ("Nagios: performance data of `check`", "days_until_expiry failing_backends"),
    ("Examples: a target and scrape jobs", "relay smtp_tls smtp_tls_probe smtp_tls_probe_0"),
    ("Examples: a label of a scrape", "k8s_cluster"),
    ("This repository: the user in the image, a module", "nonroot tls_client"),
];

/// Metrics that no dashboard or rule uses. A row whose metric is used fails the test.
pub(super) const UNUSED: &[(&str, &str)] = &[
    ("smtp_tls_endpoint_info", "for joins; the label `backend` has the port"),
    ("smtp_tls_endpoint_found_name_info", "shown on the status page; queries use `server_name`"),
    ("smtp_tls_target_backends_chain_valid", "dashboards count each backend once, also if targets share it"),
    ("smtp_tls_target_earliest_not_after_timestamp_seconds", "rules and dashboards show which backend it is"),
    ("smtp_tls_probe_last_timestamp_seconds", "stalled probing is detected by rounds"),
    ("smtp_tls_cert_ehlo_match", "no client asks for this name"),
    ("smtp_tls_cert_mismatched_samples", "`cert_hostname_match` is that of the worst sample"),
    ("smtp_tls_ocsp_next_update_timestamp_seconds", "`ocsp_error` reports a stale response"),
    ("smtp_tls_exporter_config_reload_running", "a reload that hangs fails, which has an alert"),
    ("process_virtual_memory_bytes", "resident memory is the relevant figure"),
];
