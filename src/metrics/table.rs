//! The metric table: name, type, labels and help of every metric. The exposition and `docs/metrics.md` are generated from
//! it.

/// A metric family.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name of the samples, including the suffix `_total` or `_info`.
    pub name: &'static str,
    /// The type.
    pub kind: MetricKind,
    /// What a series is about.
    pub scope: Scope,
    /// Labels beyond those of the scope.
    pub labels: &'static [&'static str],
    /// One noun phrase or `Whether` clause, with a full stop.
    pub help: &'static str,
}

impl Metric {
    /// Returns the name of the family in OpenMetrics: the name without the suffix that its type requires.
    pub fn family(&self) -> &'static str {
        self.name.strip_suffix(self.kind.suffix()).unwrap_or(self.name)
    }
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only increases while the exporter runs.
    Counter,
    /// Text in labels, with the value 1; a gauge in text format 0.0.4.
    Info,
}

impl MetricKind {
    /// Returns the suffix of names of this type.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Gauge => "",
            Self::Counter => "_total",
            Self::Info => "_info",
        }
    }
}

/// What a series is about, which determines the labels that it always has. Configured labels are on all scopes but
/// `Exporter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The exporter itself.
    Exporter,
    /// A target.
    Target,
    /// A server name of a target.
    Endpoint,
    /// An address and TLS mode of a server name; no series before its first finished probe.
    Backend,
}

impl Scope {
    /// Returns the labels, in order.
    pub const fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Exporter => &[],
            Self::Target => &["target"],
            Self::Endpoint => &["target", "server_name"],
            Self::Backend => &["target", "server_name", "backend", "tls"],
        }
    }
}

macro_rules! metrics {
    ($(#[$doc:meta])* $list:ident; $( $id:ident: $kind:ident $scope:ident $name:literal [$($label:literal),*] $help:literal; )+) => {
        $( pub(super) const $id: &Metric = &Metric {
            name: $name,
            kind: MetricKind::$kind,
            scope: Scope::$scope,
            labels: &[$($label),*],
            help: $help,
        }; )+

        $(#[$doc])*
        pub const $list: &[&Metric] = &[ $($id),+ ];
    };
}

metrics! {
    /// Every metric at `/metrics`, in the order of the exposition.
    METRICS;

    TARGET_INFO: Info Target "smtp_tls_target_info" ["kind"]
        "Configured target.";
    TARGET_INTERVAL: Gauge Target "smtp_tls_target_interval_seconds" []
        "Interval between two rounds of the target.";
    TARGET_LAST_ROUND: Gauge Target "smtp_tls_target_last_round_timestamp_seconds" []
        "Unix time at which the last round of lookup and probes finished, 0 before the first.";
    TARGET_LOOKUP_SUCCESS: Gauge Target "smtp_tls_target_lookup_success" []
        "Whether the last lookup returned addresses for every host of the target.";
    TARGET_LOOKUP_DURATION: Gauge Target "smtp_tls_target_lookup_duration_seconds" []
        "Duration of the last lookup.";
    TARGET_HOSTS: Gauge Target "smtp_tls_target_hosts" []
        "Number of hosts in the MX or SRV records of the last lookup, 0 if the domain declares that it has none.";
    TARGET_LOOKUP_FAILURE: Info Target "smtp_tls_target_lookup_failure_info" ["name", "type", "reason"]
        "Query of the last lookup that returned no addresses.";
    TARGET_HELD_BACKENDS: Gauge Target "smtp_tls_target_held_backends" []
        "Number of backends that are kept because the last lookup of their address family failed.";
    TARGET_ADDRESSES_SKIPPED: Gauge Target "smtp_tls_target_addresses_skipped" ["reason"]
        "Number of addresses in the last lookup that are not probed, by reason.";
    TARGET_NAMESERVERS_DISAGREE: Gauge Target "smtp_tls_target_nameservers_disagree" []
        "Whether the compared name servers returned different answers in the last lookup.";
    CLIENT_CERTIFICATE_NOT_AFTER: Gauge Target "smtp_tls_client_certificate_not_after_timestamp_seconds" []
        "Unix time at which the client certificate of the target expires.";
    PROBES: Counter Target "smtp_tls_probes_total" []
        "Total number of finished probes of the target's backends.";
    PROBE_FAILURES: Counter Target "smtp_tls_probe_failures_total" []
        "Total number of failed probes of the target's backends.";
    PROBE_FAILURE_REASONS: Counter Target "smtp_tls_probe_failure_reasons_total" ["stage", "reason"]
        "Total number of failed probes of the target's backends by stage and reason.";

    ENDPOINT_INFO: Info Endpoint "smtp_tls_endpoint_info" ["port", "tls", "preference"]
        "Endpoint of a target: server name, port, TLS mode, and preference of the MX or SRV record.";
    ENDPOINT_FOUND_NAME: Info Endpoint "smtp_tls_endpoint_found_name_info" ["name"]
        "Name of the search list at which the addresses of a host were found.";
    BACKENDS_RESOLVED: Gauge Endpoint "smtp_tls_target_backends_resolved" []
        "Number of backends currently in DNS.";
    BACKENDS_REACHABLE: Gauge Endpoint "smtp_tls_target_backends_reachable" []
        "Number of backends currently in DNS whose last probe succeeded.";
    BACKENDS_MATCHED: Gauge Endpoint "smtp_tls_target_backends_hostname_matched" []
        "Number of backends currently in DNS whose certificate matches the server name.";
    BACKENDS_MISMATCHED: Gauge Endpoint "smtp_tls_target_backends_hostname_mismatched" []
        "Number of backends currently in DNS whose certificate does not match the server name.";
    BACKENDS_CHAIN_VALID: Gauge Endpoint "smtp_tls_target_backends_chain_valid" []
        "Number of backends currently in DNS whose chain is trusted and within its validity period.";
    DISTINCT_CERTIFICATES: Gauge Endpoint "smtp_tls_target_distinct_certificates" []
        "Number of distinct certificates on the backends currently in DNS.";
    EARLIEST_NOT_AFTER: Gauge Endpoint "smtp_tls_target_earliest_not_after_timestamp_seconds" []
        "Unix time at which the first certificate of the backends currently in DNS expires.";
    SHARED_NAME: Info Endpoint "smtp_tls_target_shared_name_info" ["name", "resolves"]
        "Alternate name that the certificates of all backends currently in DNS list, and what it resolves to.";

    BACKEND_RESOLVED: Gauge Backend "smtp_tls_backend_resolved" []
        "Whether the backend is currently in DNS.";
    PROBE_SUCCESS: Gauge Backend "smtp_tls_probe_success" []
        "Whether the server answered positively inside TLS in the last probe, regardless of the certificate.";
    PROBE_LAST: Gauge Backend "smtp_tls_probe_last_timestamp_seconds" []
        "Unix time at which the last probe started.";
    PROBE_CONSECUTIVE_FAILURES: Gauge Backend "smtp_tls_probe_consecutive_failures" []
        "Number of consecutive failed probes, 0 after a success.";
    PROBE_FAILURE: Info Backend "smtp_tls_probe_failure_info" ["stage", "reason"]
        "Stage and reason of the failure of the last probe.";
    HANDSHAKE_ERRORS: Gauge Backend "smtp_tls_handshake_errors" []
        "Number of consecutive probes that failed in the TLS handshake or with a TLS alert after it, counting only probes that reached TLS; 0 once an SMTP reply is read inside TLS.";
    PROBE_DURATION: Gauge Backend "smtp_tls_probe_duration_seconds" []
        "Duration of the last probe.";
    PROBE_PHASE_DURATION: Gauge Backend "smtp_tls_probe_phase_duration_seconds" ["phase"]
        "Duration of each completed phase of the last probe.";
    BACKEND_RATE_LIMITED: Gauge Backend "smtp_tls_backend_rate_limited" []
        "Whether the server reported a connection or rate limit in the last probe.";
    CONNECTION_INFO: Info Backend "smtp_tls_connection_info" ["version", "cipher", "group"]
        "TLS parameters negotiated in the last probe.";

    CERT_LAST_SEEN: Gauge Backend "smtp_tls_cert_last_seen_timestamp_seconds" []
        "Unix time at which a certificate was last seen.";
    CERT_HOSTNAME_MATCH: Gauge Backend "smtp_tls_cert_hostname_match" []
        "Whether the certificate matches the server name.";
    CERT_HOSTNAME_MISMATCH: Info Backend "smtp_tls_cert_hostname_mismatch_info" ["reason", "presented"]
        "Reason why the certificate does not match the server name, and the names that it lists.";
    CERT_NAME_MATCH: Gauge Backend "smtp_tls_cert_name_match" ["name"]
        "Whether the certificate matches a name in expect_names.";
    CERT_EHLO_MATCH: Gauge Backend "smtp_tls_cert_ehlo_match" []
        "Whether the certificate matches the name in the server's EHLO reply.";
    CERT_NOT_BEFORE: Gauge Backend "smtp_tls_cert_not_before_timestamp_seconds" []
        "Unix time at which the certificate becomes valid.";
    CERT_NOT_AFTER: Gauge Backend "smtp_tls_cert_not_after_timestamp_seconds" []
        "Unix time at which the certificate expires.";
    CERT_EXPIRY_DAYS: Gauge Backend "smtp_tls_cert_expiry_days" []
        "Number of days until the certificate expires, negative after expiry.";
    CERT_INFO: Info Backend "smtp_tls_cert_info"
        ["fingerprint_sha256", "serial", "subject", "issuer", "key", "signature"]
        "Certificate: fingerprint, serial number, subject, issuer, key and signature algorithm.";
    CERT_FILE_MATCH: Gauge Backend "smtp_tls_cert_file_match" []
        "Whether the certificate is the one in certificate_file.";
    CERT_MISMATCHED_SAMPLES: Gauge Backend "smtp_tls_cert_mismatched_samples" []
        "Number of recent connections, out of the configured samples, that presented a certificate without the server name.";
    BACKEND_DISTINCT_CERTIFICATES: Gauge Backend "smtp_tls_backend_distinct_certificates" []
        "Number of distinct certificates seen at this address within backend_retention.";

    CHAIN_TRUSTED: Gauge Backend "smtp_tls_chain_trusted" []
        "Whether the chain builds to a trusted root, ignoring validity periods.";
    CHAIN_VALID: Gauge Backend "smtp_tls_chain_valid" []
        "Whether the chain is trusted and within its validity period.";
    CHAIN_ERROR: Gauge Backend "smtp_tls_chain_error" ["reason"]
        "Reason why the chain is not valid, one series per reason.";
    CHAIN_WARNING: Gauge Backend "smtp_tls_chain_warning" ["reason"]
        "Reason why some senders refuse the chain although it is valid, one series per reason.";
    CHAIN_NOT_AFTER: Gauge Backend "smtp_tls_chain_not_after_timestamp_seconds" []
        "Unix time at which the first of the presented certificates expires.";
    VERIFIED_CHAIN_NOT_AFTER: Gauge Backend "smtp_tls_verified_chain_not_after_timestamp_seconds" []
        "Unix time at which the first certificate on the verified path expires, the root included.";

    CERT_SCTS: Gauge Backend "smtp_tls_cert_scts" []
        "Number of signed certificate timestamps embedded in the certificate, not verified.";
    OCSP_STAPLED: Gauge Backend "smtp_tls_ocsp_stapled" []
        "Whether the server stapled an OCSP response, valid or not.";
    OCSP_STATUS: Gauge Backend "smtp_tls_ocsp_status" ["status"]
        "Certificate status in the stapled OCSP response, always 1, if the response is for this certificate and validly signed.";
    OCSP_NEXT_UPDATE: Gauge Backend "smtp_tls_ocsp_next_update_timestamp_seconds" []
        "Unix time of nextUpdate in the stapled OCSP response.";
    OCSP_ERROR: Gauge Backend "smtp_tls_ocsp_error" ["reason"]
        "Reason why the stapled OCSP response is not valid or is missing, one series per reason.";

    BUILD_INFO: Info Exporter "smtp_tls_exporter_build_info" ["version", "revision"]
        "Version and source revision of the exporter.";
    RELOAD_SUCCESSFUL: Gauge Exporter "smtp_tls_exporter_config_last_reload_successful" []
        "Whether the last configuration reload attempt was successful.";
    RELOAD_SUCCESS_TIME: Gauge Exporter "smtp_tls_exporter_config_last_reload_success_timestamp_seconds" []
        "Unix time of the last successful configuration reload.";
    RELOAD_RUNNING: Gauge Exporter "smtp_tls_exporter_config_reload_running" []
        "Whether a configuration reload, or a check of its files for changes, is in progress.";
    WEB_RELOAD_SUCCESSFUL: Gauge Exporter "smtp_tls_exporter_web_config_last_reload_successful" []
        "Whether the last attempt to load the web configuration was successful.";
    TRUST_ANCHORS: Gauge Exporter "smtp_tls_exporter_trust_anchors" ["store"]
        "Number of roots in each trust store in use.";
    TARGETS: Gauge Exporter "smtp_tls_exporter_targets" []
        "Number of configured targets of this shard.";
    SHARD_ORDINAL: Gauge Exporter "smtp_tls_exporter_shard_ordinal" []
        "Number of the shard of this exporter, counted from 0.";
    TOTAL_SHARDS: Gauge Exporter "smtp_tls_exporter_total_shards" []
        "Number of shards that the targets of the configuration are divided into, 1 if they are not.";
    PROBES_IN_FLIGHT: Gauge Exporter "smtp_tls_exporter_probes_in_flight" []
        "Number of probes that currently hold a connection.";
    SCHEDULE_LAG: Gauge Exporter "smtp_tls_exporter_schedule_lag_seconds" []
        "Time that the longest overdue probe has been waiting to start, 0 if none is overdue.";
    LOCAL_ERRORS: Counter Exporter "smtp_tls_exporter_local_errors_total" ["reason"]
        "Total number of probes and lookups that failed because of a problem on the exporter host.";

    PROCESS_CPU: Counter Exporter "process_cpu_seconds_total" []
        "Total user and system CPU time spent in seconds.";
    PROCESS_OPEN_FDS: Gauge Exporter "process_open_fds" []
        "Number of open file descriptors.";
    PROCESS_MAX_FDS: Gauge Exporter "process_max_fds" []
        "Maximum number of open file descriptors.";
    PROCESS_VIRTUAL_MEMORY: Gauge Exporter "process_virtual_memory_bytes" []
        "Virtual memory size in bytes.";
    PROCESS_RESIDENT_MEMORY: Gauge Exporter "process_resident_memory_bytes" []
        "Resident memory size in bytes.";
    PROCESS_START_TIME: Gauge Exporter "process_start_time_seconds" []
        "Start time of the process since the Unix epoch in seconds.";
    PROCESS_THREADS: Gauge Exporter "process_threads" []
        "Number of OS threads in the process.";
}

metrics! {
    /// The metrics of a `/probe` response beyond those of its target, with the names and meanings of blackbox_exporter.
    PROBE_METRICS;

    ONE_PROBE_SUCCESS: Gauge Exporter "probe_success" []
        "Whether the lookup returned addresses for every host, and every backend currently in DNS answered in time, matched the server name and presented a valid chain.";
    ONE_PROBE_DURATION: Gauge Exporter "probe_duration_seconds" []
        "Duration of the request in seconds.";
    ONE_PROBE_LOOKUP: Gauge Exporter "probe_dns_lookup_time_seconds" []
        "Duration of the DNS lookup in seconds, 0 if there was nothing to look up.";
    ONE_PROBE_EARLIEST: Gauge Exporter "probe_ssl_earliest_cert_expiry" []
        "Unix time at which the first certificate that any backend presented expires, including intermediates.";
    ONE_PROBE_LAST_CHAIN: Gauge Exporter "probe_ssl_last_chain_expiry_timestamp_seconds" []
        "Unix time at which the first of the backends no longer has a valid path to a trusted root.";
    ONE_PROBE_REFUSED: Gauge Exporter "probe_addresses_refused" []
        "Number of addresses of the target that were not probed because probe.allow does not permit them.";
}

/// Label names that Prometheus adds to a scrape, or uses for histograms and summaries.
pub const PROMETHEUS_LABELS: &[&str] = &["job", "instance", "le", "quantile"];

/// Label names of planned checks (DNSSEC, DANE, revocation, MTA-STS), reserved so that they break no configurations.
const FUTURE_LABELS: &str = "record status usage selector matching_type data usability variant policy_mode policy_id \
                             host_backend rua resolver result certificate";

/// Returns the label names that the exporter's metrics have or will have, some of them repeatedly. Configured labels must
/// not use them, nor [`PROMETHEUS_LABELS`].
pub fn reserved_labels() -> impl Iterator<Item = &'static str> {
    let present = METRICS.iter().flat_map(|metric| [metric.scope.labels(), metric.labels]).flatten().copied();
    present.chain(FUTURE_LABELS.split(' '))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_and_help_texts_are_well_formed() {
        let mut seen = HashSet::new();
        for metric in METRICS.iter().chain(PROBE_METRICS) {
            let Metric { name, kind, scope, labels, help } = metric;
            assert!(seen.insert(metric.family()), "{name}: listed twice");
            assert!(name.ends_with(kind.suffix()), "{name}: ends in {:?}", kind.suffix());
            let misleading = ["_total", "_info"].iter().any(|suffix| metric.family().ends_with(suffix));
            assert!(!misleading, "{name}: a suffix of another type");
            assert!(help.ends_with('.') && help.matches(". ").count() == 0, "{name}: help is not one sentence");
            // Neither format's writer escapes help texts.
            assert!(!help.contains(['\\', '"', '\n']), "{name}: help with characters that need escaping");
            let all: Vec<_> = scope.labels().iter().chain(*labels).collect();
            assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "{name}: a label twice");
        }
    }
}
