//! The recording and alerting rules for Prometheus: a template, with parameters filled in.
//!
//! Prometheus adds labels to the series of each exporter replica, and PromQL cannot aggregate over labels that it does not
//! know. The rules therefore list the labels that alerts keep, and drop all others.

mod parameters;
mod selector;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use thiserror::Error;

pub use self::parameters::{Labels, Parameters};
use crate::config::{is_label_name, is_reserved_label};
use crate::target::Target;

/// The name of a label of targets that alerts keep.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct AlertLabel(String);

impl AlertLabel {
    /// Checks the name of a label.
    ///
    /// # Errors
    /// If targets cannot have the label, or alerts cannot keep it.
    pub fn parse(name: &str) -> Result<Self, AlertLabelError> {
        let is_one_of = |names: &[&str]| names.contains(&name);
        if name.len() > MAX_NAME {
            Err(AlertLabelError::TooLong)
        } else if is_one_of(PER_REPLICA) {
            Err(AlertLabelError::PerReplica)
        } else if !is_one_of(SCRAPE_LABELS) && is_reserved_label(name) {
            Err(AlertLabelError::Reserved)
        } else if !is_label_name(name) || name.starts_with("__") {
            Err(AlertLabelError::Malformed)
        } else if is_one_of(SET_BY_RULES) {
            Err(AlertLabelError::SetByRules)
        } else if NOT_IN_GROUPING.contains(&&*name.to_ascii_lowercase()) {
            Err(AlertLabelError::NotInGrouping)
        } else {
            Ok(Self(name.to_owned()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the shipped rules keep the label, whatever the configuration.
    fn is_always_kept(&self) -> bool {
        SCRAPE_LABELS.contains(&self.as_str())
    }
}

/// Why alerts cannot keep a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AlertLabelError {
    /// The name is longer than one in a configuration can be.
    #[error("name too long: expected at most {MAX_NAME} bytes")]
    TooLong,
    /// No target can have this label.
    #[error("not a label name: expected [a-zA-Z_][a-zA-Z0-9_]*, not __*")]
    Malformed,
    /// Prometheus or the exporter sets the label.
    #[error("reserved for Prometheus or this exporter; the rules keep such labels where they are needed")]
    Reserved,
    /// Prometheus sets the label to a different value for each replica of the exporter.
    #[error(
        "differs between replicas of the exporter: each would fire its own alerts. Give the targets a label of another name"
    )]
    PerReplica,
    /// Prometheus or the rules set the label on every alert.
    #[error("set on every alert by the rules: give the targets a label of another name")]
    SetByRules,
    /// PromQL reads the name as a number or a keyword.
    #[error("not usable in `by (…)` of PromQL: give the targets a label of another name")]
    NotInGrouping,
}

/// The labels of targets, by whether alerts can keep them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TargetLabels {
    /// Labels that alerts can keep.
    pub kept: BTreeSet<AlertLabel>,
    /// Labels that they cannot keep, with the reason.
    pub left_out: BTreeMap<String, AlertLabelError>,
}

impl TargetLabels {
    /// The label names of all targets.
    pub fn of<'a>(targets: impl IntoIterator<Item = &'a Target>) -> Self {
        let mut labels = Self::default();
        for (name, _) in targets.into_iter().flat_map(|target| target.labels.iter()) {
            match AlertLabel::parse(name) {
                Ok(label) => _ = labels.kept.insert(label),
                Err(error) => _ = labels.left_out.insert(name.to_owned(), error),
            }
        }
        labels
    }

    /// The labels that the shipped rules drop although alerts can keep them.
    pub fn dropped_by_shipped_rules(&self) -> impl Iterator<Item = &AlertLabel> {
        self.kept.iter().filter(|label| !label.is_always_kept() && label.as_str() != SHIPPED_LABEL)
    }
}

/// Whether alerts keep the label that the example routes of Alertmanager match.
pub fn keeps_route_label(labels: &BTreeSet<AlertLabel>) -> bool {
    labels.iter().any(|label| label.as_str() == SHIPPED_LABEL)
}

/// More label names than rules can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too many labels: {0} bytes of label names, expected at most {MAX_NAMES}")]
pub struct TooManyLabels(usize);

/// The rules as YAML.
///
/// # Errors
/// If the names of labels have more than 64 KiB.
pub fn render(parameters: &Parameters) -> Result<String, TooManyLabels> {
    let Parameters { selectors, labels, runbook_url, thresholds } = parameters;
    let of_jobs = labels.of_jobs();
    let own = labels.kept.iter().map(AlertLabel::as_str).filter(|label| !of_jobs.contains(label));
    let names: Vec<&str> = of_jobs.into_iter().chain(own).collect();
    let size = names.iter().map(|name| name.len()).sum();
    if size > MAX_NAMES {
        return Err(TooManyLabels(size));
    }
    let value = |mark: &str| {
        Some(match mark {
            "LABELS" => names.join(", "),
            "CLUSTER" => labels.cluster.as_str().to_owned(),
            "NAMESPACE" => labels.namespace.as_str().to_owned(),
            "EXPORTERS" => selectors.exporter.to_string(),
            "PROBES" => selectors.probe.to_string(),
            "RUNBOOKS" => runbook_url.to_string(),
            "CERTIFICATE_EXPIRING_DAYS" => thresholds.certificate_expiring_days.to_string(),
            "CERTIFICATE_EXPIRING_LIFETIME_RATIO" => thresholds.certificate_expiring_lifetime_ratio.to_string(),
            "CERTIFICATE_ABOUT_TO_EXPIRE_DAYS" => thresholds.certificate_about_to_expire_days.to_string(),
            "CERTIFICATE_ABOUT_TO_EXPIRE_LIFETIME_RATIO" => {
                thresholds.certificate_about_to_expire_lifetime_ratio.to_string()
            }
            "CLIENT_CERTIFICATE_EXPIRING_DAYS" => thresholds.client_certificate_expiring_days.to_string(),
            "NOT_RELOADED_HOURS" => thresholds.not_reloaded_hours.to_string(),
            "CERTIFICATES_DIFFER_HOURS" => thresholds.certificates_differ_hours.to_string(),
            "BACKEND_FLAPPING_CHANGES" => thresholds.backend_flapping_changes.to_string(),
            _ => return None,
        })
    };
    // Text and the names of marks alternate. Marks in values are kept as they are.
    let parts = TEMPLATE.split(MARK).enumerate();
    let filled = parts.map(|(number, part)| match number % 2 {
        1 => value(part).map_or_else(|| format!("{MARK}{part}{MARK}").into(), Cow::from),
        _ => Cow::from(part),
    });
    Ok(filled.collect())
}

const TEMPLATE: &str = include_str!("rules/template.yaml");
/// Encloses the names of marks in the template.
const MARK: &str = "@@";
/// The label that Prometheus sets to the name of the scrape job.
const JOB: &str = "job";
/// Labels that tell apart equally named jobs and targets in the shipped rules. Alerts always keep them, and inhibition rules
/// compare them.
const SCRAPE_LABELS: &[&str] = &[JOB, "cluster", "namespace"];
/// The label of targets that the shipped rules keep: the example routes of Alertmanager need it.
const SHIPPED_LABEL: &str = "team";
/// Labels that scrape configurations set to a value that differs between replicas of the exporter, or changes when one is
/// replaced: those of Prometheus, of service discovery in Kubernetes, of the usual charts, Nomad and Docker Swarm, and of pairs
/// of servers.
const PER_REPLICA: &[&str] = &[
    "instance",
    "pod",
    "exported_pod",
    "pod_name",
    "pod_ip",
    "pod_uid",
    "pod_template_hash",
    "controller_revision_hash",
    "kubernetes_pod_name",
    "statefulset_kubernetes_io_pod_name",
    "apps_kubernetes_io_pod_index",
    "container",
    "container_id",
    "endpoint",
    "node",
    "node_name",
    "nodename",
    "kubernetes_node",
    "alloc_id",
    "task_id",
    "replica",
    "prometheus_replica",
    "receive_replica",
    "rule_replica",
    "thanos_replica",
];
/// Labels that the rules, or Prometheus in `ALERTS`, set on alerts.
const SET_BY_RULES: &[&str] = &["alertname", "alertstate", "severity"];
/// What PromQL does not accept as a label name in `by (…)`, in lower case.
const NOT_IN_GROUPING: &[&str] = &["inf", "nan", "without"];
/// Bytes of a label name, as in the configuration.
const MAX_NAME: usize = 4096;
/// Bytes of all label names. The rules repeat them about 70 times.
const MAX_NAMES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn with_labels(kept: BTreeSet<AlertLabel>) -> Parameters {
        let mut parameters = Parameters::shipped().expect("valid");
        parameters.labels.kept = kept;
        parameters
    }

    #[track_caller]
    fn rendered(names: &[&str]) -> String {
        let labels = names.iter().map(|name| AlertLabel::parse(name).unwrap_or_else(|error| panic!("{name}: {error}")));
        render(&with_labels(labels.collect())).expect("few labels")
    }

    #[test]
    fn accepts_labels_of_targets_only() {
        use AlertLabelError::{Malformed, NotInGrouping, PerReplica, Reserved, SetByRules, TooLong};
        let long = "a".repeat(MAX_NAME);
        let too_long = "a".repeat(MAX_NAME + 1);
        for name in [
            "team",
            "tier",
            "env_name",
            "_a",
            "A1",
            "job",
            "cluster",
            "namespace",
            "service",
            "app_kubernetes_io_name",
            "exported_team",
            "exported_instance",
            "by",
            "on",
            "and",
            "bool",
            "offset",
            "group_left",
            "sum",
            "start",
            "atan2",
            "e",
            "x0",
            "hostname",
            "pods",
            &*long,
        ] {
            assert_eq!(AlertLabel::parse(name), Ok(AlertLabel(name.to_owned())), "{name}");
        }
        for (name, error) in [
            ("", Malformed),
            ("1a", Malformed),
            ("a-b", Malformed),
            ("a b", Malformed),
            ("a,b", Malformed),
            ("a)", Malformed),
            ("@@PROBES@@", Malformed),
            ("é", Malformed),
            ("__name__", Malformed),
            ("__replica__", Malformed),
            (&*too_long, TooLong),
            ("le", Reserved),
            ("quantile", Reserved),
            ("target", Reserved),
            ("server_name", Reserved),
            ("backend", Reserved),
            ("tls", Reserved),
            ("port", Reserved),
            ("name", Reserved),
            ("usage", Reserved),
            ("instance", PerReplica),
            ("pod", PerReplica),
            ("container", PerReplica),
            ("node", PerReplica),
            ("replica", PerReplica),
            ("prometheus_replica", PerReplica),
            ("endpoint", PerReplica),
            ("pod_template_hash", PerReplica),
            ("statefulset_kubernetes_io_pod_name", PerReplica),
            ("apps_kubernetes_io_pod_index", PerReplica),
            ("node_name", PerReplica),
            ("nodename", PerReplica),
            ("pod_uid", PerReplica),
            ("exported_pod", PerReplica),
            ("alloc_id", PerReplica),
            ("task_id", PerReplica),
            ("severity", SetByRules),
            ("alertname", SetByRules),
            ("alertstate", SetByRules),
            ("inf", NotInGrouping),
            ("NaN", NotInGrouping),
            ("Without", NotInGrouping),
        ] {
            assert_eq!(AlertLabel::parse(name), Err(error), "{name}");
        }
    }

    #[test]
    fn lists_each_label_once_in_every_aggregation() {
        for (names, expected) in [
            (&[][..], "job, cluster, namespace"),
            (&["team"], "job, cluster, namespace, team"),
            (&["tier", "cluster", "job", "env", "namespace", "tier"], "job, cluster, namespace, env, tier"),
        ] {
            let rules = rendered(names);
            assert!(!rules.contains("@@"), "{rules}");
            let aggregations: Vec<&str> = rules.split("by (").filter(|rest| rest.starts_with("job")).collect();
            assert!(aggregations.len() > 40, "{}", aggregations.len());
            for rest in aggregations {
                // Exporters as a whole, and instances of jobs for /probe, are aggregated without labels of targets.
                let is_expected = rest.starts_with(&format!("{expected}, "))
                    || rest.starts_with("job, cluster, namespace) (")
                    || rest.starts_with("job, cluster, namespace, instance) (");
                assert!(is_expected, "{names:?}: by ({}", rest.lines().next().unwrap_or_default());
            }
            assert!(!rules.contains("without ("), "aggregations that keep unknown labels");
        }
    }

    #[test]
    fn every_query_of_an_annotation_is_limited_to_the_cluster_and_the_namespace() {
        let rules = rendered(&["team"]);
        let queries = rules.matches("query (printf").count();
        let (limited, arguments) = ("{job=%q,cluster=%q,namespace=%q", "$labels.job $labels.cluster $labels.namespace");
        assert!(queries > 20, "{queries}");
        assert_eq!(rules.matches(limited).count(), queries);
        assert_eq!(rules.matches(arguments).count(), queries);
        assert_eq!(rules.matches("job=%q").count(), queries);
    }

    #[test]
    fn no_rule_has_the_default_name_of_a_renamed_label() {
        let mut parameters = Parameters::shipped().expect("valid");
        parameters.labels.cluster = AlertLabel::parse("k8s_a").expect("a name");
        parameters.labels.namespace = AlertLabel::parse("k8s_b").expect("a name");
        let rules = render(&parameters).expect("few labels");
        for name in ["cluster", "namespace"] {
            for text in [format!("$labels.{name}"), format!("{name}=%q"), format!(", {name},"), format!(", {name})")] {
                assert!(!rules.contains(&text), "{text}");
            }
        }
        assert!(rules.contains("by (job, k8s_a, k8s_b)"));
    }

    #[test]
    fn the_size_of_all_names_is_limited() {
        let names: Vec<String> = (0..17).map(|number| format!("{}{number:02}", "a".repeat(MAX_NAME - 2))).collect();
        let labels: BTreeSet<_> = names.iter().map(|name| AlertLabel::parse(name).expect("a name")).collect();
        let fewer = labels.iter().take(15).cloned().collect();
        let jobs = SCRAPE_LABELS.iter().map(|label| label.len()).sum::<usize>();
        assert!(render(&with_labels(fewer)).is_ok());
        assert_eq!(render(&with_labels(labels)), Err(TooManyLabels(17 * MAX_NAME + jobs)));
    }
}
