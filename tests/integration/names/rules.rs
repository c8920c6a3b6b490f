//! Recording and alert rules, and the tests of rules.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::known::{Known, Names};
use super::query::{self, Labels};
use super::{Complaints, template, words};

/// Adds what the rules of `text` define to what is known: metrics and alerts.
pub(super) fn learn(text: &str, known: &mut Known) {
    let groups = groups(text);
    for rule in groups.iter().flat_map(|group| &group.rules) {
        if let Some(name) = &rule.record {
            let labels = query::read(&rule.expr, known).labels.names;
            known.record(name, labels.into_iter().chain(rule.labels.keys().cloned()).collect());
        }
    }
    for rule in groups.iter().flat_map(|group| &group.rules) {
        if let Some(name) = &rule.alert {
            let labels = query::read(&rule.expr, known).labels.names;
            let given = ["alertname".to_owned()].into_iter().chain(rule.labels.keys().cloned());
            known.alert(name, labels.into_iter().chain(given).collect(), rule.labels.get("severity"));
        }
    }
}

/// Complains of rules; gives the metrics that they use.
pub(super) fn check(text: &str, known: &Known, complaints: &mut Complaints<'_>) -> Names {
    let mut used = Names::new();
    for rule in groups(text).into_iter().flat_map(|group| group.rules) {
        let place = match (&rule.alert, &rule.record) {
            (Some(name), _) => match rule.labels.get("severity") {
                Some(severity) => format!("alert {name}, {severity}"),
                None => format!("alert {name}"),
            },
            (None, name) => format!("record {}", name.as_deref().unwrap_or_default()),
        };
        let reading = query::read(&rule.expr, known);
        complaints.all(&place, reading.complaints);
        used.extend(reading.metrics);
        for (name, text) in rule.annotations.iter().chain(&rule.labels) {
            let place = format!("{place}, {name}");
            let reading = template::read(text, &reading.labels, known);
            complaints.all(&place, reading.complaints);
            used.extend(reading.metrics);
            words::prose(&place, &reading.prose, known, complaints);
        }
    }
    used
}

/// Complains of tests of rules: series that the exporter would not give, labels that alerts don't have.
pub(super) fn check_tests(text: &str, known: &Known, complaints: &mut Complaints<'_>) {
    let file: TestFile = serde_yaml::from_str(text).expect("a test of rules");
    for test in file.tests {
        let place = format!("test {:?}", test.name);
        for input in &test.input_series {
            complaints.all(&place, selected(&input.series, known).complaints);
        }
        for expected in &test.alert_rule_test {
            let Some(alert) = known.alerts.get(&expected.alertname) else {
                complaints.one(&place, format!("no alert {}", expected.alertname));
                continue;
            };
            let given = expected.exp_alerts.iter().flat_map(|alert| alert.exp_labels.keys());
            for label in given.filter(|label| !alert.labels.contains(*label)) {
                complaints.one(&place, format!("{} has no label {label}", expected.alertname));
            }
        }
        for asked in &test.promql_expr_test {
            let reading = query::read(&asked.expr, known);
            complaints.all(&place, reading.complaints);
            for sample in &asked.exp_samples {
                complaints.all(&place, strange_labels(&sample.labels, &reading.labels));
            }
        }
    }
}

/// As [`query::read`], of a series: whether it is of a counter does not matter.
fn selected(series: &str, known: &Known) -> query::Reading {
    query::read(&format!("absent({series})"), known)
}

fn strange_labels(series: &str, labels: &Labels) -> Vec<String> {
    let inside = series.split_once('{').map(|(_, rest)| rest.trim_end().trim_end_matches('}')).unwrap_or_default();
    let given = inside.split("\",").filter_map(|pair| Some(pair.split_once('=')?.0.trim()));
    given.filter(|label| !labels.has(label)).map(|label| format!("{series}: the query gives no {label}")).collect()
}

fn groups(text: &str) -> Vec<Group> {
    let file: RuleFile = serde_yaml::from_str(text).expect("rules");
    file.groups
}

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    alert: Option<String>,
    record: Option<String>,
    expr: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct TestFile {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    #[serde(default)]
    name: String,
    #[serde(default)]
    input_series: Vec<InputSeries>,
    #[serde(default)]
    alert_rule_test: Vec<AlertTest>,
    #[serde(default)]
    promql_expr_test: Vec<QueryTest>,
}

#[derive(Deserialize)]
struct InputSeries {
    series: String,
}

#[derive(Deserialize)]
struct AlertTest {
    alertname: String,
    #[serde(default)]
    exp_alerts: Vec<ExpectedAlert>,
}

#[derive(Deserialize)]
struct ExpectedAlert {
    #[serde(default)]
    exp_labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct QueryTest {
    expr: String,
    #[serde(default)]
    exp_samples: Vec<ExpectedSample>,
}

#[derive(Deserialize)]
struct ExpectedSample {
    #[serde(default)]
    labels: String,
}
