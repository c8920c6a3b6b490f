//! Every metric: name, type, labels, help. The exposition takes names, labels and help from here and nowhere else.

/// What is said of a metric before its first sample.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name of its samples, with the suffix `_total` or `_info` where there is one.
    pub name: &'static str,
    /// The type.
    pub kind: MetricKind,
    /// What a series stands for.
    pub scope: Scope,
    /// Labels beyond those of the scope.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

impl Metric {
    /// The name without the suffix that its type demands: OpenMetrics' name of the family.
    pub fn family(&self) -> &'static str {
        self.name.strip_suffix(self.kind.suffix()).unwrap_or(self.name)
    }
}

/// A metric's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only grows while the exporter runs.
    Counter,
    /// Text in labels; the value is 1. Text format 0.0.4 calls it a gauge.
    Info,
}

impl MetricKind {
    /// What names of this type end in.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Gauge => "",
            Self::Counter => "_total",
            Self::Info => "_info",
        }
    }
}

/// What a series stands for, and with it the labels that it always has. The user's labels stand on all but `Exporter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The exporter itself.
    Exporter,
    /// A target.
    Target,
    /// A server name of a target.
    Endpoint,
    /// An address behind a server name; no series before its first finished probe.
    Backend,
}

impl Scope {
    /// The labels, in order.
    pub const fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Exporter => &[],
            Self::Target => &["target"],
            Self::Endpoint => &["target", "server_name"],
            Self::Backend => &["target", "server_name", "backend"],
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
    /// Every metric of the exporter's own page, in the order of the exposition.
    METRICS;

    TARGET_INFO: Info Target "smtp_tls_target_info" ["kind"]
        "A target of the config.";
    TARGET_INTERVAL: Gauge Target "smtp_tls_target_interval_seconds" []
        "Time from one round of the target to the next.";
    TARGET_LAST_ROUND: Gauge Target "smtp_tls_target_last_round_timestamp_seconds" []
        "Unix time at which the last round of lookup and probes was finished, 0 before the first.";
    TARGET_LOOKUP_SUCCESS: Gauge Target "smtp_tls_target_lookup_success" []
        "Whether the last lookup gave addresses for every host of the target.";
    TARGET_LOOKUP_DURATION: Gauge Target "smtp_tls_target_lookup_duration_seconds" []
        "Time from the first question of the last lookup to the last answer.";
    TARGET_HOSTS: Gauge Target "smtp_tls_target_hosts" []
        "Hosts that MX or SRV records named in the last lookup; 0 where the domain says that it has none.";
    TARGET_LOOKUP_FAILURE: Info Target "smtp_tls_target_lookup_failure_info" ["name", "type", "reason"]
        "A question of the last lookup that was not answered with addresses; only while it is not.";
    TARGET_NAMESERVERS_DISAGREE: Gauge Target "smtp_tls_target_nameservers_disagree" []
        "Whether the name servers that are compared gave different answers in the last lookup.";
    PROBES: Counter Target "smtp_tls_probes_total" []
        "Finished probes of the target's backends.";
    PROBE_FAILURES: Counter Target "smtp_tls_probe_failures_total" []
        "Probes of the target's backends that failed.";
    PROBE_FAILURE_REASONS: Counter Target "smtp_tls_probe_failure_reasons_total" ["stage", "reason"]
        "Probes of the target's backends that failed, by the stage at which they stopped and the reason.";

    ENDPOINT_INFO: Info Endpoint "smtp_tls_endpoint_info" ["port", "tls", "preference"]
        "A server name and port that a target expands to, how TLS begins there, and the preference of its MX or SRV record.";
    BACKENDS_RESOLVED: Gauge Endpoint "smtp_tls_target_backends_resolved" []
        "Backends that DNS names now.";
    BACKENDS_REACHABLE: Gauge Endpoint "smtp_tls_target_backends_reachable" []
        "Backends that DNS names now and whose last probe succeeded.";
    BACKENDS_MATCHED: Gauge Endpoint "smtp_tls_target_backends_hostname_matched" []
        "Backends that DNS names now and whose certificate, as of the last time one was seen, carries the server name.";
    BACKENDS_MISMATCHED: Gauge Endpoint "smtp_tls_target_backends_hostname_mismatched" []
        "Backends that DNS names now and whose certificate, as of the last time one was seen, lacks the server name.";
    BACKENDS_CHAIN_VALID: Gauge Endpoint "smtp_tls_target_backends_chain_valid" []
        "Backends that DNS names now and whose chain, as of the last time one was seen, is trusted and in time now.";
    BACKENDS_SKIPPED: Gauge Endpoint "smtp_tls_target_backends_skipped" ["reason"]
        "Addresses that DNS names now and that are not probed; no series where there are none.";
    DISTINCT_CERTIFICATES: Gauge Endpoint "smtp_tls_target_distinct_certificates" []
        "Different certificates on the backends that DNS names now, as of the last time each was seen.";
    EARLIEST_NOT_AFTER: Gauge Endpoint "smtp_tls_target_earliest_not_after_timestamp_seconds" []
        "Unix time at which the first certificate of the backends that DNS names now expires, as of the last time each was seen.";
    SHARED_NAME: Info Endpoint "smtp_tls_target_shared_name_info" ["name", "resolves"]
        "A name that the certificates of all backends carry that DNS names now, and where it leads; only while one of them lacks the server name.";

    BACKEND_RESOLVED: Gauge Backend "smtp_tls_backend_resolved" []
        "Whether DNS names the backend now.";
    PROBE_SUCCESS: Gauge Backend "smtp_tls_probe_success" []
        "Whether, as of the last probe, TLS came up and an SMTP reply was read inside it, whatever the certificate.";
    PROBE_LAST: Gauge Backend "smtp_tls_probe_last_timestamp_seconds" []
        "Unix time at which the last probe began.";
    PROBE_CONSECUTIVE_FAILURES: Gauge Backend "smtp_tls_probe_consecutive_failures" []
        "Probes in a row that failed, as of the last probe; 0 after a success.";
    PROBE_FAILURE: Info Backend "smtp_tls_probe_failure_info" ["stage", "reason"]
        "Where and why the last probe stopped; only while it fails.";
    HANDSHAKE_ERRORS: Gauge Backend "smtp_tls_handshake_errors" []
        "Probes in a row that ended in the TLS handshake or by a TLS alert after it, as of the last probe that reached TLS.";
    PROBE_DURATION: Gauge Backend "smtp_tls_probe_duration_seconds" []
        "Duration of the last probe.";
    PROBE_PHASE_DURATION: Gauge Backend "smtp_tls_probe_phase_duration_seconds" ["phase"]
        "Duration of each phase that the last probe finished.";
    BACKEND_RATE_LIMITED: Gauge Backend "smtp_tls_backend_rate_limited" []
        "Whether, as of the last probe, the server said that it limits connections or rate.";
    CONNECTION_INFO: Info Backend "smtp_tls_connection_info" ["version", "cipher", "group"]
        "TLS parameters that the last probe agreed on; only where it succeeded.";

    CERT_LAST_SEEN: Gauge Backend "smtp_tls_cert_last_seen_timestamp_seconds" []
        "Unix time at which a certificate was last seen; all values about certificate and chain are as of then.";
    CERT_HOSTNAME_MATCH: Gauge Backend "smtp_tls_cert_hostname_match" []
        "Whether the certificate carries the server name, as of the last time one was seen.";
    CERT_HOSTNAME_MISMATCH: Info Backend "smtp_tls_cert_hostname_mismatch_info" ["reason", "presented"]
        "Why the certificate does not match the server name and which names it carries, as of the last time one was seen.";
    CERT_NAME_MATCH: Gauge Backend "smtp_tls_cert_name_match" ["name"]
        "Whether the certificate carries a further name that the config expects, as of the last time one was seen.";
    CERT_EHLO_MATCH: Gauge Backend "smtp_tls_cert_ehlo_match" []
        "Whether the certificate carries the name that the server gives in EHLO, as of the last time one was seen.";
    CERT_NOT_BEFORE: Gauge Backend "smtp_tls_cert_not_before_timestamp_seconds" []
        "Unix time at which the certificate's validity begins, as of the last time one was seen.";
    CERT_NOT_AFTER: Gauge Backend "smtp_tls_cert_not_after_timestamp_seconds" []
        "Unix time at which the certificate's validity ends, as of the last time one was seen, trusted or not.";
    CERT_EXPIRY_DAYS: Gauge Backend "smtp_tls_cert_expiry_days" []
        "Days from this scrape until the certificate expires, negative once it has, as of the last time one was seen.";
    CERT_INFO: Info Backend "smtp_tls_cert_info"
        ["fingerprint_sha256", "serial", "subject", "issuer", "key", "signature"]
        "What the certificate says of itself, as of the last time one was seen.";
    CERT_FILE_MATCH: Gauge Backend "smtp_tls_cert_file_match" []
        "Whether the certificate is the one in the target's certificate_file, as of the last time one was seen.";
    CERT_MISMATCHED_SAMPLES: Gauge Backend "smtp_tls_cert_mismatched_samples" []
        "How many of the last connections, as many as there are samples in an interval, showed a certificate without the server name.";
    BACKEND_DISTINCT_CERTIFICATES: Gauge Backend "smtp_tls_backend_distinct_certificates" []
        "Different certificates seen at this address within the retention, as of the last time one was seen.";

    CHAIN_TRUSTED: Gauge Backend "smtp_tls_chain_trusted" []
        "Whether the chain leads to a trusted root, time set aside, as of the last time one was seen; absent where undecidable.";
    CHAIN_VALID: Gauge Backend "smtp_tls_chain_valid" []
        "Whether the chain, as of the last time one was seen, is trusted and in time now.";
    CHAIN_ERROR: Gauge Backend "smtp_tls_chain_error" ["reason"]
        "What is wrong now with the chain as of the last time one was seen; a series for each reason that holds.";
    CHAIN_NOT_AFTER: Gauge Backend "smtp_tls_chain_not_after_timestamp_seconds" []
        "Earliest Unix time at which a presented certificate's validity ends, as of the last time a chain was seen.";
    VERIFIED_CHAIN_NOT_AFTER: Gauge Backend "smtp_tls_verified_chain_not_after_timestamp_seconds" []
        "Earliest Unix time at which the validity of a certificate on the verified path ends, as of the last time a chain was seen.";

    CERT_SCTS: Gauge Backend "smtp_tls_cert_scts" []
        "Signed certificate timestamps embedded in the certificate, not verified, as of the last time one was seen.";
    OCSP_STAPLED: Gauge Backend "smtp_tls_ocsp_stapled" []
        "Whether the server stapled an OCSP response, however bad, as of the last time a certificate was seen.";
    OCSP_STATUS: Gauge Backend "smtp_tls_ocsp_status" ["status"]
        "What the stapled OCSP response says of the certificate, always 1, as of the last time one was seen; absent unless it is about this certificate and rightly signed.";
    OCSP_NEXT_UPDATE: Gauge Backend "smtp_tls_ocsp_next_update_timestamp_seconds" []
        "Unix time after which the stapled OCSP response is stale, as of the last time one was seen; absent where it gives none.";
    OCSP_ERROR: Gauge Backend "smtp_tls_ocsp_error" ["reason"]
        "What is wrong now with the stapled OCSP response or its absence, as of the last time a certificate was seen; a series for each reason that holds.";

    BUILD_INFO: Info Exporter "smtp_tls_exporter_build_info" ["version", "revision"]
        "The version of the exporter and the revision that it was built from.";
    RELOAD_SUCCESSFUL: Gauge Exporter "smtp_tls_exporter_config_last_reload_successful" []
        "Whether the last attempt to load the config succeeded.";
    RELOAD_SUCCESS_TIME: Gauge Exporter "smtp_tls_exporter_config_last_reload_success_timestamp_seconds" []
        "Unix time at which a config was last loaded.";
    TRUST_ANCHORS: Gauge Exporter "smtp_tls_exporter_trust_anchors" ["store"]
        "Roots in each trust store that is in use.";
    TARGETS: Gauge Exporter "smtp_tls_exporter_targets" []
        "Targets of the config.";
    PROBES_IN_FLIGHT: Gauge Exporter "smtp_tls_exporter_probes_in_flight" []
        "Probes that hold a connection now.";
    SCHEDULE_LAG: Gauge Exporter "smtp_tls_exporter_schedule_lag_seconds" []
        "How long the probe that is overdue the longest has been waiting for its turn, 0 where none is.";
    LOCAL_ERRORS: Counter Exporter "smtp_tls_exporter_local_errors_total" ["reason"]
        "Probes that failed on this machine's side and therefore say nothing about a server.";

    PROCESS_CPU: Counter Exporter "process_cpu_seconds_total" []
        "User and system CPU time of the exporter.";
    PROCESS_OPEN_FDS: Gauge Exporter "process_open_fds" []
        "File descriptors that the exporter holds open.";
    PROCESS_MAX_FDS: Gauge Exporter "process_max_fds" []
        "File descriptors that the exporter may hold open.";
    PROCESS_VIRTUAL_MEMORY: Gauge Exporter "process_virtual_memory_bytes" []
        "Virtual memory of the exporter.";
    PROCESS_RESIDENT_MEMORY: Gauge Exporter "process_resident_memory_bytes" []
        "Resident memory of the exporter.";
    PROCESS_START_TIME: Gauge Exporter "process_start_time_seconds" []
        "Unix time at which the exporter was started.";
    PROCESS_THREADS: Gauge Exporter "process_threads" []
        "Threads of the exporter.";
}

metrics! {
    /// What an answer of `/probe` has beyond the metrics of its target: named and meant as blackbox_exporter's.
    PROBE_METRICS;

    ONE_PROBE_SUCCESS: Gauge Exporter "probe_success" []
        "Whether the lookup gave addresses for every host of the target, and each backend that DNS names answered in time, presented a certificate with the server name, and a chain that is trusted and in time.";
    ONE_PROBE_DURATION: Gauge Exporter "probe_duration_seconds" []
        "Time that this answer took.";
    ONE_PROBE_LOOKUP: Gauge Exporter "probe_dns_lookup_time_seconds" []
        "Duration of the lookup, 0 where there was nothing to look up.";
    ONE_PROBE_EARLIEST: Gauge Exporter "probe_ssl_earliest_cert_expiry" []
        "Earliest Unix time at which the validity of a certificate that any backend presented ends, intermediates included; absent where none was seen.";
    ONE_PROBE_LAST_CHAIN: Gauge Exporter "probe_ssl_last_chain_expiry_timestamp_seconds" []
        "Unix time at which the first of the backends ceases to have a path to a root that is in time; absent where none has one.";
    ONE_PROBE_REFUSED: Gauge Exporter "probe_addresses_refused" []
        "Addresses that the target leads to and that were not probed because the config does not open them; only for targets that it does not name.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_table_is_sound() {
        let mut seen = HashSet::new();
        for metric in METRICS.iter().chain(PROBE_METRICS) {
            let Metric { name, kind, scope, labels, help } = metric;
            assert!(seen.insert(metric.family()), "{name}: listed twice");
            assert!(name.ends_with(kind.suffix()), "{name}: ends in {:?}", kind.suffix());
            let misleading = ["_total", "_info"].iter().any(|suffix| metric.family().ends_with(suffix));
            assert!(!misleading, "{name}: a suffix of another type");
            assert!(help.ends_with('.') && help.matches(". ").count() == 0, "{name}: help is one sentence");
            // Neither format's writer escapes help texts.
            assert!(!help.contains(['\\', '"', '\n']), "{name}: help with characters that need escaping");
            let all: Vec<_> = scope.labels().iter().chain(*labels).collect();
            assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "{name}: a label twice");
        }
    }
}
