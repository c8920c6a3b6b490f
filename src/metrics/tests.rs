mod unique_series;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use expect_test::expect_file;

use super::table::{METRICS, Metric, MetricKind, Scope};
use super::*;
use crate::metrics::fixture::{TestCa, backend, both_modes, classic, failing, name, now, reachable, target};
use crate::snapshot::{BackendReport, EndpointReport, ExporterReport, TargetReport};
use crate::target::Shard;
use crate::text::SECONDS_PER_DAY;
use crate::verdict::certificate::hex;

fn exposition(fleet: &Fleet, process: Option<Process>, now: SystemTime, format: Format) -> String {
    let mut text = String::new();
    encode(fleet.clone(), process, now, format, &mut text).expect("an exposition");
    text
}

#[derive(Debug)]
struct Sample {
    metric: &'static Metric,
    labels: Vec<(String, String)>,
    value: String,
}

/// The samples of an exposition, with unescaped label values. Metrics are looked up in the metric table.
fn samples(text: &str) -> Vec<Sample> {
    text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

fn sample(line: &str) -> Sample {
    let end_of_name = line.find(['{', ' ']).unwrap_or_else(|| panic!("no name: {line}"));
    let (name, mut rest) = line.split_at(end_of_name);
    let metric =
        METRICS.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("not in the table: {line}"));
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while let Some((key, after)) = rest.split_once("=\"") {
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next().unwrap_or_else(|| panic!("an open value: {line}")) {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next() {
                        Some((_, 'n')) => '\n',
                        Some((_, c @ ('\\' | '"'))) => c,
                        other => panic!("an escape {other:?}: {line}"),
                    }),
                    (_, c) => value.push(c),
                }
            };
            labels.push((key.to_owned(), value));
            rest = &after[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').unwrap_or_else(|| panic!("open labels: {line}"));
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("no value: {line}"));
    assert!(value.parse::<f64>().is_ok(), "{line}");
    Sample { metric, labels, value: value.to_owned() }
}

/// The values of the series of one backend or target, by metric name and the metric's own labels.
fn values(text: &str, label: &str, of: &str) -> BTreeMap<String, String> {
    let of_this = |sample: &Sample| sample.labels.iter().any(|(key, value)| key == label && value == of);
    samples(text)
        .into_iter()
        .filter(of_this)
        .map(|sample| {
            let own: Vec<&str> = (sample.labels.iter())
                .filter(|(key, _)| sample.metric.labels.contains(&&**key) && !key.starts_with("fingerprint"))
                .map(|(_, value)| &**value)
                .collect();
            (format!("{}{own:?}", sample.metric.name.trim_start_matches("smtp_tls_")).replace("[]", ""), sample.value)
        })
        .collect()
}

fn one_target(report: TargetReport) -> Fleet {
    Fleet { targets: vec![report.into()], exporter: Default::default() }
}

#[test]
fn expositions_match_the_golden_files() {
    let ca = TestCa::new();
    let fleet = classic(&ca);
    let process = Process {
        cpu_seconds: 1.5,
        open_fds: Some(21),
        max_fds: Some(1024),
        virtual_memory_bytes: 1 << 30,
        resident_memory_bytes: 1 << 24,
        start_time_seconds: Some(1_780_000_000.25),
        threads: 4,
    };
    for (format, golden) in [
        (Format::OpenMetrics, expect_file!["../../tests/golden/metrics-openmetrics.txt"]),
        (Format::Text, expect_file!["../../tests/golden/metrics-text.txt"]),
    ] {
        let mut text = exposition(&fleet, Some(process), now(), format);
        let (before, after) = text.split_once("{version=").expect("the build's version");
        let (_, after) = after.split_once('}').expect("an end of labels");
        text = format!("{before}{{<of the build>}}{after}");
        // Keys, and so fingerprints, differ in every run.
        let backends = fleet.targets.iter().flat_map(|target| target.backends());
        for backend in backends {
            let Some(last) = &backend.last_certificate else { continue };
            let fingerprint = hex(&last.assessment.leaf().expect("a leaf").fingerprint());
            text = text.replace(&fingerprint, &format!("<of {}>", backend.backend.address));
        }
        golden.assert_eq(&text);
    }
}

#[test]
fn expositions_follow_the_metric_table() {
    let ca = TestCa::new();
    let fleet = classic(&ca);
    for format in [Format::OpenMetrics, Format::Text] {
        let text = exposition(&fleet, Process::read(), now(), format);
        let mut seen = BTreeSet::new();
        let mut last = 0;
        for Sample { metric, labels, .. } in samples(&text) {
            let keys: Vec<&str> = labels.iter().map(|(key, _)| &**key).collect();
            let mut expected = [metric.scope.labels(), metric.labels].concat();
            if metric.scope != Scope::Exporter && labels.iter().any(|(_, value)| value == "relay") {
                expected.push("team");
            }
            assert_eq!(keys, expected, "{}", metric.name);
            assert!(seen.insert((metric.name, labels)), "{}: the same series twice", metric.name);
            let place = METRICS.iter().position(|other| other.name == metric.name).expect("a place");
            assert!(last <= place, "{} is written after {}", metric.name, METRICS[last].name);
            last = place;
        }
        for metric in METRICS {
            let (family, kind) = match (format, metric.kind) {
                (Format::OpenMetrics, MetricKind::Counter) => (metric.family(), "counter"),
                (Format::OpenMetrics, MetricKind::Info) => (metric.family(), "info"),
                (Format::Text, MetricKind::Counter) => (metric.name, "counter"),
                (_, MetricKind::Gauge) | (Format::Text, MetricKind::Info) => (metric.name, "gauge"),
            };
            let written = seen.iter().any(|(name, _)| *name == metric.name);
            for line in [format!("# HELP {family} {}\n", metric.help), format!("# TYPE {family} {kind}\n")] {
                assert_eq!(text.matches(&line).count(), usize::from(written), "{line}");
            }
        }
        let comments = text.lines().filter(|line| line.starts_with("# EOF") || line.starts_with("# UNIT"));
        assert_eq!(comments.count(), usize::from(format == Format::OpenMetrics));
        assert_eq!(text.ends_with("\n# EOF\n"), format == Format::OpenMetrics);
    }
}

/// Checks the series of `backend` at `at`. `expected` omits those that every probed backend has.
#[track_caller]
fn check(backend: BackendReport, at: SystemTime, expected: &[(&str, &str)]) {
    const ALWAYS: [&str; 6] = [
        "backend_resolved",
        "probe_success",
        "probe_last_timestamp_seconds",
        "probe_consecutive_failures",
        "probe_duration_seconds",
        "backend_rate_limited",
    ];
    let address = backend.backend.socket_addr().to_string();
    let probed = backend.probe.is_some();
    let server_name = backend.backend.endpoint.server_name.clone();
    let fleet = one_target(target("t", &[], &server_name, vec![backend]));
    let mut found = values(&exposition(&fleet, None, at, Format::OpenMetrics), "backend", &address);
    found.retain(|name, _| !name.starts_with("probe_phase"));
    for name in ALWAYS {
        assert_eq!(found.remove(name).is_some(), probed, "{name}");
    }
    let expected = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(found, expected);
}

const CONNECTION: (&str, &str) = (r#"connection_info["TLSv1.3", "TLS13_AES_256_GCM_SHA384", "X25519"]"#, "1");
const FAILURE: (&str, &str) = (r#"probe_failure_info["greeting", "timeout"]"#, "1");

#[test]
fn series_are_absent_while_their_value_is_unknown() {
    let ca = TestCa::new();
    let alias = name("smtp.example.com");
    let bare = || backend(&alias, "192.0.2.1");
    let days = |days: u64| now() + Duration::from_secs(days * SECONDS_PER_DAY.unsigned_abs());
    let last = |mut more: Vec<(&'static str, &'static str)>| {
        more.extend([
            ("handshake_errors", "0"),
            ("backend_distinct_certificates", "1"),
            ("cert_not_before_timestamp_seconds", "1767225600"),
            ("cert_not_after_timestamp_seconds", "1788220800"),
            ("chain_not_after_timestamp_seconds", "1788220800"),
            ("verified_chain_not_after_timestamp_seconds", "1788220800"),
            ("chain_trusted", "1"),
            ("cert_scts", "0"),
            ("ocsp_stapled", "0"),
        ]);
        more
    };
    let info =
        r#"cert_info["2a", "CN=smtp.example.com", "CN=Example Intermediate", "ECDSA P-256", "ecdsa-with-SHA256"]"#;
    let seen_now = ("cert_last_seen_timestamp_seconds", "1780271970");
    let matches = [
        (info, "1"),
        ("cert_hostname_match", "1"),
        (r#"cert_name_match["mail.example.com"]"#, "0"),
        ("cert_ehlo_match", "0"),
    ];
    let assessment = ca.assess(&alias, &["smtp.example.com"], (2026, 9));

    check(bare(), now(), &[]);
    check(failing(bare(), None), now(), &[FAILURE, ("handshake_errors", "0")]);
    let good =
        last([&matches[..], &[seen_now, CONNECTION, ("chain_valid", "1"), ("cert_expiry_days", "92.0")]].concat());
    check(reachable(bare(), assessment.clone()), now(), &good);

    // The last certificate is kept while probes fail, and its verdicts change with time.
    let seen_then = ("cert_last_seen_timestamp_seconds", "1780268370");
    let expired = [("chain_valid", "0"), (r#"chain_error["expired"]"#, "1"), ("cert_expiry_days", "-1.0")];
    let late = last([&matches[..], &expired, &[seen_then, FAILURE]].concat());
    check(failing(bare(), Some(assessment.clone())), days(93), &late);

    // Without a key proof the chain is never reported as trusted or valid, but its errors are reported.
    let unproved = crate::verdict::Assessment { proof: None, ..assessment.clone() };
    let mut unknown = last([&matches[..], &[seen_now, CONNECTION, ("cert_expiry_days", "92.0")]].concat());
    unknown.retain(|(name, _)| *name != "chain_trusted");
    check(reachable(bare(), unproved), now(), &unknown);

    // Optional series.
    let mut backend = reachable(bare(), crate::verdict::Assessment { ehlo: None, ..assessment });
    let report = backend.last_certificate.as_mut().expect("last");
    (report.file_match, report.mismatched_samples) = (Some(false), Some(2));
    let mut more = [&good[..], &[("cert_file_match", "0"), ("cert_mismatched_samples", "2")]].concat();
    more.retain(|(name, _)| *name != "cert_ehlo_match");
    check(backend, now(), &more);
}

#[test]
fn endpoints_that_differ_only_in_port_are_counted_together() {
    let ca = TestCa::new();
    let alias = name("smtp.example.com");
    let good = reachable(backend(&alias, "192.0.2.1"), ca.assess(&alias, &["smtp.example.com"], (2026, 9)));
    let bad = reachable(backend(&alias, "192.0.2.2"), ca.assess(&alias, &["x.example.com"], (2026, 8)));
    let mut report = target("t", &[], &alias, vec![good]);
    let endpoint = crate::target::Endpoint { server_name: alias, port: 465, tls: crate::target::TlsMode::Implicit };
    report.endpoints.push(EndpointReport {
        endpoint: endpoint.into(),
        preference: None,
        found_as: None,
        held: 0,
        backends: vec![bad.into()],
        skipped: vec![],
        not_allowed: [].into(),
        alternates: std::sync::Arc::default(),
    });
    let text = exposition(&one_target(report), None, now(), Format::Text);
    let found = values(&text, "target", "t");
    for (name, expected) in [
        (r#"endpoint_info["465", "implicit", ""]"#, "1"),
        (r#"endpoint_info["587", "starttls", ""]"#, "1"),
        ("target_backends_resolved", "2"),
        ("target_backends_hostname_matched", "1"),
        ("target_backends_hostname_mismatched", "1"),
        ("target_backends_chain_valid", "2"),
        ("target_distinct_certificates", "2"),
        ("target_earliest_not_after_timestamp_seconds", "1785542400"),
    ] {
        assert_eq!(found.get(name).map(String::as_str), Some(expected), "{name}");
    }
    assert_eq!(text.matches("\nsmtp_tls_target_backends_resolved{").count(), 1);
}

#[test]
fn endpoints_that_differ_only_in_tls_mode_have_their_own_series() {
    let report = both_modes(&TestCa::new(), "t", "192.0.2.1");
    let text = exposition(&one_target(report), None, now(), Format::Text);
    for (tls, success, matched, valid) in [("starttls", "1", "1", "1"), ("implicit", "0", "0", "0")] {
        let found = values(&text, "tls", tls);
        for (name, expected) in [("probe_success", success), ("cert_hostname_match", matched), ("chain_valid", valid)] {
            assert_eq!(found.get(name).map(String::as_str), Some(expected), "{tls}: {name}");
        }
    }
}

#[test]
fn escapes_hostile_text_in_label_values() {
    let ca = TestCa::new();
    let alias = name("smtp.example.com");
    let many: Vec<String> = (0..40).map(|n| format!("host-{n}.example.org")).collect();
    let names: Vec<&str> = many.iter().map(String::as_str).collect();
    let backend = reachable(backend(&alias, "192.0.2.1"), ca.assess(&alias, &names, (2026, 9)));
    let hostile = "a\"b\\c\nd{e=\"f\"} 1\n# HELP x y\r\\n\u{202e}";
    for hostile in [hostile, "\"", "\\", "\n", "\\n", ",", "}", " ", "ü"] {
        let fleet = one_target(target(hostile, &[("a", hostile), ("b", hostile)], &alias, vec![backend.clone()]));
        for format in [Format::OpenMetrics, Format::Text] {
            let samples = samples(&exposition(&fleet, None, now(), format));
            for Sample { metric, labels, .. } in samples.iter().filter(|s| s.metric.scope != Scope::Exporter) {
                for key in ["target", "a", "b"] {
                    let value = labels.iter().find(|(other, _)| other == key).map(|(_, value)| &**value);
                    assert_eq!(value, Some(hostile), "{}: {key}", metric.name);
                }
            }
            let presented = samples.iter().flat_map(|sample| &sample.labels).find(|(key, _)| key == "presented");
            let (_, presented) = presented.expect("presented names");
            assert!(presented.starts_with("host-0.example.org, host-1.example.org, "), "{presented}");
            assert!((180..=200).contains(&presented.chars().count()), "{presented}");
            assert!(presented.ends_with(" more"), "{presented}");
        }
    }
}

#[test]
fn presented_names_never_exceed_two_hundred_characters() {
    let ca = TestCa::new();
    let alias = name("smtp.example.com");
    let long = format!("{}.example.org", "x".repeat(5_000));
    for (names, expected) in [
        (vec!["a.example.org", "b.example.org"], "a.example.org, b.example.org".to_owned()),
        (vec![long.as_str()], format!("{}…", "x".repeat(199))),
        (vec![&long, "b.example.org"], format!("{}… and 1 more", "x".repeat(188))),
        (vec!["a.example.org", &long, "c.example.org"], "a.example.org and 2 more".to_owned()),
    ] {
        let backend = reachable(backend(&alias, "192.0.2.1"), ca.assess(&alias, &names, (2026, 9)));
        let text = exposition(&one_target(target("t", &[], &alias, vec![backend])), None, now(), Format::Text);
        assert!(text.contains(&format!("presented=\"{expected}\"")), "{expected} in {text}");
        assert!(expected.chars().count() <= 200, "{expected}");
    }
}

#[test]
fn the_exporter_reports_its_shard() {
    let mut fleet = Fleet { targets: vec![], exporter: ExporterReport::default() };
    for (shard, ordinal, total) in [(Shard::default(), "0", "1"), (Shard::new(1, 3).expect("a shard"), "1", "3")] {
        fleet.exporter.shard.shard = shard;
        let text = exposition(&fleet, None, now(), Format::Text);
        let value =
            |name| samples(&text).into_iter().find(|sample| sample.metric.name == name).map(|sample| sample.value);
        assert_eq!(value("smtp_tls_exporter_shard_ordinal").as_deref(), Some(ordinal));
        assert_eq!(value("smtp_tls_exporter_total_shards").as_deref(), Some(total));
    }
}

#[test]
fn an_empty_fleet_has_exporter_metrics_only() {
    let fleet = Fleet { targets: vec![], exporter: Default::default() };
    for sample in samples(&exposition(&fleet, None, now(), Format::OpenMetrics)) {
        assert_eq!(sample.metric.scope, Scope::Exporter, "{}", sample.metric.name);
    }
}

#[test]
fn reads_the_usage_of_this_process() {
    let process = Process::read().expect("/proc is there");
    assert!(process.threads >= 1 && process.open_fds >= Some(3), "{process:?}");
    assert!((1..process.virtual_memory_bytes).contains(&process.resident_memory_bytes), "{process:?}");
    let started = process.start_time_seconds.expect("a time");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64();
    assert!((now - started).abs() < SECONDS_PER_DAY as f64, "{started} against {now}");
}
