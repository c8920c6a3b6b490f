//! Examples of scrape configurations: for Prometheus (`deploy/prometheus`, `docs/from-blackbox.md`, the README) and for
//! prometheus-operator (`deploy/prometheus-operator`). They have the fields of their formats, names of jobs that the alert
//! rules select, and the interval that the guide recommends. `promtool` checks those for Prometheus
//! (`tests/rules/run`, `tests/dashboards/run`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use smtp_tls_exporter::target::TargetKind;

/// What the formats have in common.
#[derive(Debug)]
struct Job {
    name: String,
    path: String,
    interval: String,
    timeout: Option<String>,
    /// None if the format does not have it.
    honor_labels: Option<bool>,
    targets: Vec<String>,
    relabeling: Vec<Relabeling>,
}

#[test]
fn examples_for_prometheus_follow_the_guide() {
    for (file, path) in [
        ("deploy/prometheus/scrape.example.yaml", "/metrics"),
        ("deploy/prometheus/scrape-probe.example.yaml", "/probe"),
        ("docs/from-blackbox.md", "/probe"),
    ] {
        let text = read(file);
        let yaml = text.split("```").find(|part| part.contains("scrape_configs:")).unwrap_or(&text);
        let config: PrometheusConfig = parse(file, yaml.strip_prefix("yaml").unwrap_or(yaml));
        let [job] = <[ScrapeJob; 1]>::try_from(config.scrape_configs).expect("one job");
        check(file, path, &job.into());
    }
}

#[test]
fn examples_for_prometheus_operator_follow_the_guide() {
    let (mut service_monitors, mut probes, mut scrape_configs) = (0, 0, 0);
    for entry in fs::read_dir("deploy/prometheus-operator").expect("the directory") {
        let path = entry.expect("a directory entry").path();
        let file = path.to_string_lossy();
        let text = read(&path);
        let (found, path, job) = match parse::<Kind>(&file, &text).as_str() {
            ("monitoring.coreos.com/v1", "ServiceMonitor") => {
                let object: Object<ServiceMonitor> = parse(&file, &text);
                assert!(!object.spec.selector.match_labels.is_empty(), "{file}: selects every Service");
                let [endpoint] = <[Endpoint; 1]>::try_from(object.spec.endpoints).expect("one endpoint");
                (&mut service_monitors, "/metrics", endpoint.into())
            }
            ("monitoring.coreos.com/v1", "Probe") => {
                let object: Object<Probe> = parse(&file, &text);
                (&mut probes, "/probe", object.spec.into())
            }
            ("monitoring.coreos.com/v1alpha1", "ScrapeConfig") => {
                let object: Object<ScrapeConfig> = parse(&file, &text);
                (&mut scrape_configs, "/probe", object.spec.into())
            }
            other => panic!("{file}: unknown kind {other:?}"),
        };
        *found += 1;
        check(&file, path, &job);
    }
    assert_eq!((service_monitors, probes, scrape_configs), (1, 1, 1), "ServiceMonitors, Probes, ScrapeConfigs");
}

fn check(file: &str, path: &str, job: &Job) {
    // The selectors of the alert rules: `.*smtp[-_]tls.*`, and for /probe also `.*probe.*`.
    let is_selected = ["smtp_tls", "smtp-tls"].iter().any(|part| job.name.contains(part));
    assert!(is_selected, "{file}: the rules do not select the job {}", job.name);
    assert_eq!(job.path, path, "{file}: path");
    assert_ne!(job.honor_labels, Some(false), "{file}: honor_labels");
    if path == "/metrics" {
        assert!(!job.name.contains("probe"), "{file}: the rules take {} for a job for /probe", job.name);
        assert_eq!(job.interval, "1m", "{file}: interval");
        return;
    }
    assert!(job.name.contains("probe"), "{file}: the rules take {} for a job for /metrics", job.name);
    assert_eq!((job.interval.as_str(), job.timeout.as_deref()), ("2m", Some("45s")), "{file}: interval and timeout");
    let relabeled: Vec<_> = job.relabeling.iter().map(|each| each.target_label.as_str()).collect();
    assert_eq!(relabeled, ["__param_target", "instance", "__address__"], "{file}: relabeling");
    let exporter = &job.relabeling[2].replacement;
    assert!(exporter.as_ref().is_some_and(|address| address.ends_with(":10465")), "{file}: {exporter:?}");
    assert!(!job.targets.is_empty(), "{file}: no targets");
    for target in &job.targets {
        assert!(target.parse::<TargetKind>().is_ok(), "{file}: /probe does not accept {target}");
    }
}

fn read(file: impl AsRef<Path>) -> String {
    let file = file.as_ref();
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn parse<T: DeserializeOwned>(file: &str, yaml: &str) -> T {
    serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{file}: {error}"))
}

// --- Prometheus

#[derive(Debug, Deserialize)]
struct PrometheusConfig {
    scrape_configs: Vec<ScrapeJob>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScrapeJob {
    job_name: String,
    #[serde(default = "metrics")]
    metrics_path: String,
    scrape_interval: String,
    scrape_timeout: Option<String>,
    #[serde(default)]
    honor_labels: bool,
    static_configs: Vec<Group>,
    #[serde(default)]
    relabel_configs: Vec<Relabeling>,
}

fn metrics() -> String {
    "/metrics".to_owned()
}

impl From<ScrapeJob> for Job {
    fn from(job: ScrapeJob) -> Self {
        Self {
            name: job.job_name,
            path: job.metrics_path,
            interval: job.scrape_interval,
            timeout: job.scrape_timeout,
            honor_labels: Some(job.honor_labels),
            targets: targets(job.static_configs),
            relabeling: job.relabel_configs,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

fn targets(groups: Vec<Group>) -> Vec<String> {
    for group in &groups {
        assert!(!group.labels.contains_key("target"), "the label `target` hides that of the exporter");
    }
    groups.into_iter().flat_map(|group| group.targets).collect()
}

/// With the names of Prometheus, or of the operator.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Relabeling {
    #[serde(default, alias = "sourceLabels")]
    #[expect(dead_code, reason = "only its type is checked")]
    source_labels: Vec<String>,
    #[serde(alias = "targetLabel")]
    target_label: String,
    replacement: Option<String>,
}

// --- prometheus-operator: the fields of its custom resources that the examples use

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    api_version: String,
    kind: String,
}

impl Kind {
    fn as_str(&self) -> (&str, &str) {
        (&self.api_version, &self.kind)
    }
}

#[derive(Debug, Deserialize)]
struct Object<T> {
    spec: T,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ServiceMonitor {
    selector: Selector,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Selector {
    match_labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Endpoint {
    #[expect(dead_code, reason = "only its type is checked")]
    port: String,
    path: String,
    interval: String,
    scrape_timeout: String,
    #[serde(default)]
    honor_labels: bool,
    relabelings: Vec<Relabeling>,
}

impl From<Endpoint> for Job {
    fn from(endpoint: Endpoint) -> Self {
        let relabeling = endpoint.relabelings.iter().find(|each| each.target_label == "job");
        Self {
            name: relabeling.and_then(|each| each.replacement.clone()).expect("a relabeling that sets the job"),
            path: endpoint.path,
            interval: endpoint.interval,
            timeout: Some(endpoint.scrape_timeout),
            honor_labels: Some(endpoint.honor_labels),
            targets: Vec::new(),
            relabeling: endpoint.relabelings,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Probe {
    job_name: String,
    interval: String,
    scrape_timeout: String,
    prober: Prober,
    targets: ProbeTargets,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Prober {
    url: String,
    path: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ProbeTargets {
    static_config: StaticConfig,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct StaticConfig {
    #[serde(rename = "static")]
    targets: Vec<String>,
    labels: BTreeMap<String, String>,
}

impl From<Probe> for Job {
    fn from(probe: Probe) -> Self {
        let StaticConfig { targets: listed, labels } = probe.targets.static_config;
        // What the operator generates.
        let relabeling = [("__param_target", None), ("instance", None), ("__address__", Some(probe.prober.url))];
        Self {
            name: probe.job_name,
            path: probe.prober.path,
            interval: probe.interval,
            timeout: Some(probe.scrape_timeout),
            honor_labels: None,
            targets: targets(vec![Group { targets: listed, labels }]),
            relabeling: relabeling
                .map(|(label, replacement)| Relabeling {
                    source_labels: Vec::new(),
                    target_label: label.to_owned(),
                    replacement,
                })
                .into(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ScrapeConfig {
    job_name: String,
    metrics_path: String,
    scrape_interval: String,
    scrape_timeout: String,
    #[serde(default)]
    honor_labels: bool,
    static_configs: Vec<Group>,
    relabelings: Vec<Relabeling>,
}

impl From<ScrapeConfig> for Job {
    fn from(config: ScrapeConfig) -> Self {
        Self {
            name: config.job_name,
            path: config.metrics_path,
            interval: config.scrape_interval,
            timeout: Some(config.scrape_timeout),
            honor_labels: Some(config.honor_labels),
            targets: targets(config.static_configs),
            relabeling: config.relabelings,
        }
    }
}
