//! On random fleets: no exposition has the same series twice.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::super::table::{PROMETHEUS_LABELS, reserved_labels};
use super::*;
use crate::observation::Failure;
use crate::reason::{LocalReason, LookupReason, ProbeReason, Resolves, SkipReason, Stage};
use crate::snapshot::fixture::{self, EndpointFixture};
use crate::snapshot::{AlternateName, ExporterReport, LookupFailure, LookupReport};
use crate::target::{TlsMode, UserLabels};
use crate::verdict::Assessment;

/// The labels, expected names, endpoints, failed lookups and failed probes of a target.
#[derive(Clone, Debug)]
struct SampleTarget {
    name: String,
    labels: BTreeMap<String, String>,
    /// The configuration has no name twice.
    expected: BTreeMap<&'static str, bool>,
    endpoints: BTreeMap<(&'static str, u16, bool), SampleEndpoint>,
    lookups: Vec<(&'static str, &'static str, LookupReason)>,
    failures: Vec<(Stage, ProbeReason)>,
}

#[derive(Clone, Debug)]
struct SampleEndpoint {
    preference: Option<u16>,
    /// Address and index of its last certificate. With none it was not probed, with an index above the last one it never
    /// presented a certificate.
    backends: BTreeMap<&'static str, Option<usize>>,
    skipped: Vec<(SkipReason, usize)>,
    alternates: Vec<(&'static str, Resolves)>,
}

fn targets() -> impl Strategy<Value = Vec<SampleTarget>> {
    let text = || "[a\"\\\\\n\r,={}# é\u{202e}]{0,4}";
    let is_free =
        |name: &String| !reserved_labels().chain(PROMETHEUS_LABELS.iter().copied()).any(|label| label == name);
    let labels = btree_map("[a-z_]{1,2}".prop_filter("a free label name", is_free), text(), 0..3);
    let name = || select(NAMES);
    let endpoint = (
        proptest::option::of(0..2_u16),
        btree_map(select(ADDRESSES), proptest::option::of(0..CERTIFICATES + 1), 0..4),
        vec((select(SkipReason::ALL), 0..3_usize), 0..4),
        vec((name(), select(Resolves::ALL)), 0..4),
    );
    let endpoint = endpoint.prop_map(|(preference, backends, skipped, alternates)| SampleEndpoint {
        preference,
        backends,
        skipped,
        alternates,
    });
    let endpoints = btree_map((name(), select(&[25, 587][..]), any::<bool>()), endpoint, 0..5);
    let expected = btree_map(name(), any::<bool>(), 0..4);
    let lookups = vec((name(), select(&["A", "AAAA", "SRV"][..]), select(LookupReason::ALL)), 0..6);
    let failures = vec((select(Stage::ALL), select(ProbeReason::ALL)), 0..4);
    let target = (text(), labels, expected, endpoints, lookups, failures);
    let target = target.prop_map(|(name, labels, expected, endpoints, lookups, failures)| SampleTarget {
        name,
        labels,
        expected,
        endpoints,
        lookups,
        failures,
    });
    vec(target, 0..4)
}

fn build(index: usize, sample: &SampleTarget, certificates: &[Assessment]) -> TargetReport {
    let name_of_target = format!("{}{index}", sample.name);
    let names = sample.expected.keys().map(|expected| name(expected)).collect();
    let first = EndpointFixture::of("smtp.example.com");
    let mut report =
        fixture::target(&name_of_target, UserLabels::new(sample.labels.clone()), names, &first.endpoint, vec![]);
    let verdicts: Box<[bool]> = sample.expected.values().copied().collect();
    let endpoints = sample.endpoints.iter().map(|((server_name, port, implicit), sample)| {
        let tls = if *implicit { TlsMode::Implicit } else { TlsMode::StartTls };
        let endpoint = EndpointFixture::at(server_name, *port, tls);
        let backends = sample.backends.iter().map(|(address, certificate)| {
            let backend = endpoint.unprobed(address);
            let Some(certificate) = certificate else { return backend };
            match certificates.get(*certificate).cloned() {
                Some(last) if certificate % 2 == 0 => {
                    reachable(backend, Assessment { expected: verdicts.clone(), ..last })
                }
                last => failing(backend, last),
            }
        });
        let alternates = sample.alternates.iter().map(|(other, resolves)| AlternateName {
            name: name(other),
            resolves: *resolves,
            addresses: [].into(),
        });
        EndpointReport {
            preference: sample.preference,
            skipped: sample.skipped.clone(),
            not_allowed: [].into(),
            alternates: alternates.collect(),
            ..endpoint.endpoint_report(backends.collect())
        }
    });
    report.endpoints = endpoints.collect();
    let failures = sample.lookups.iter().map(|(query, record_type, reason)| LookupFailure {
        name: name(query),
        record_type,
        reason: *reason,
        alias: None,
        is_partial: false,
    });
    report.lookup = Some(std::sync::Arc::new(LookupReport {
        hosts: Some(2),
        duration: Duration::from_millis(2),
        failures: failures.collect(),
        disagree: Some(true),
        ..LookupReport::default()
    }));
    for (stage, reason) in &sample.failures {
        report.counters.count(&Err(Failure::new(*stage, *reason, "")));
    }
    report
}

#[test]
fn no_series_is_written_twice() {
    let ca = TestCa::new();
    let alias = name("smtp.example.com");
    let mut certificates: Vec<Assessment> =
        [(&["smtp.example.com"][..], 9), (&["x.test", "192.0.2.7"], 9), (&["*.test"], 5)]
            .into_iter()
            .map(|(names, month)| ca.assess(&alias, names, (2026, month)))
            .collect();
    let fixture = EndpointFixture::of("smtp.example.com");
    let lone = ca.chain(&fixture::leaf(&["smtp.example.com"])).into_iter().take(1).collect::<Vec<_>>();
    certificates.push(ca.assess_chain(&fixture, &lone));
    certificates.push(ca.assess_chain(&fixture, &[vec![0x30, 0x00].into()]));
    assert_eq!(certificates.len(), CERTIFICATES);
    let exporter = ExporterReport {
        trust_anchors: vec![("system".into(), 1), ("internal\"".into(), 1)],
        local_errors: LocalReason::ALL.iter().map(|reason| (*reason, 1)).collect(),
        ..ExporterReport::default()
    };

    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new_with_rng(config, rng).run(&targets(), |targets| {
        let reports = targets.iter().enumerate().map(|(index, target)| build(index, target, &certificates).into());
        let fleet = Fleet { targets: reports.collect(), exporter: exporter.clone() };
        for format in [Format::OpenMetrics, Format::Text] {
            let mut seen = HashSet::new();
            for Sample { metric, labels, .. } in samples(&exposition(&fleet, Process::read(), now(), format)) {
                // For Prometheus, an empty label is the same as none.
                let set: BTreeSet<_> = labels.iter().filter(|(_, value)| !value.is_empty()).cloned().collect();
                prop_assert!(seen.insert((metric.name, set)), "{} {labels:?} twice", metric.name);
                let keys: HashSet<&String> = labels.iter().map(|(key, _)| key).collect();
                prop_assert_eq!(keys.len(), labels.len(), "a label twice: {:?}", labels);
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

const NAMES: &[&str] = &["smtp.example.com", "mail.example.com", "192.0.2.7"];
const ADDRESSES: &[&str] = &["192.0.2.1", "192.0.2.2", "2001:db8::1"];
/// Valid, not listing the name, expired, without its intermediate, unreadable.
const CERTIFICATES: usize = 5;
