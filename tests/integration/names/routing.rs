//! Alertmanager's config: its matchers must match some alert, by labels that alerts have.

use promql_parser::label::Matcher;
use serde::Deserialize;

use super::Complaints;
use super::known::{Alert, Known, Names};
use super::query;

/// Complains of routes and inhibitions that no alert can meet.
pub(super) fn check(text: &str, known: &Known, complaints: &mut Complaints<'_>) {
    let file: File = serde_yaml::from_str(text).expect("a config of Alertmanager");
    if let Some(route) = &file.route {
        check_route(route, &[], known, complaints);
    }
    for (number, rule) in file.inhibit_rules.iter().enumerate() {
        let place = format!("inhibit rule {}", number + 1);
        let sources = matched(&place, &rule.source_matchers, known, complaints);
        let targets = matched(&place, &rule.target_matchers, known, complaints);
        for label in rule.equal.iter().filter(|label| !sources.contains(*label) && !targets.contains(*label)) {
            complaints.one(&place, format!("equal: neither side has a label {label}"));
        }
    }
}

fn check_route(route: &Route, above: &[String], known: &Known, complaints: &mut Complaints<'_>) {
    let place = format!("route to {}", route.receiver.as_deref().unwrap_or_default());
    let matchers = [above, &route.matchers].concat();
    let labels = matched(&place, &matchers, known, complaints);
    for label in route.group_by.iter().filter(|label| *label != "..." && !labels.contains(*label)) {
        complaints.one(&place, format!("group_by: no alert has a label {label}"));
    }
    for below in &route.routes {
        check_route(below, &matchers, known, complaints);
    }
}

/// The labels of the alerts that can meet all `matchers`.
fn matched(place: &str, matchers: &[String], known: &Known, complaints: &mut Complaints<'_>) -> Names {
    let mut parsed = Vec::new();
    for text in matchers {
        match query::matcher(text) {
            Some(matcher) => parsed.push(matcher),
            None => complaints.one(place, format!("`{text}` is no matcher")),
        }
    }
    let mut is_strange = false;
    for matcher in &parsed {
        for complaint in strange(matcher, known) {
            is_strange = true;
            complaints.one(place, complaint);
        }
    }
    let meets = |name: &str, alert: &Alert| parsed.iter().all(|matcher| can_meet(name, alert, matcher));
    let alerts: Vec<_> = known.alerts.iter().filter(|(name, alert)| meets(name, alert)).collect();
    if alerts.is_empty() && !is_strange {
        complaints.one(place, format!("no alert meets {}", matchers.join(", ")));
    }
    alerts.into_iter().flat_map(|(_, alert)| alert.labels.iter().cloned()).collect()
}

fn strange(matcher: &Matcher, known: &Known) -> Vec<String> {
    let Some(alerts) = known.series.get("ALERTS") else { return Vec::new() };
    match alerts.words.get(&matcher.name) {
        _ if !alerts.labels.contains(&matcher.name) => vec![format!("no alert has a label {}", matcher.name)],
        Some(words) => {
            let strange = query::strange(matcher, words).into_iter();
            strange.map(|word| format!("{} of an alert is never {word}", matcher.name)).collect()
        }
        None => Vec::new(),
    }
}

/// Whether an alert of this name could meet the matcher: values of labels that are not bounded can be anything.
fn can_meet(name: &str, alert: &Alert, matcher: &Matcher) -> bool {
    match matcher.name.as_str() {
        "alertname" => matcher.is_match(name),
        "severity" => alert.severities.iter().any(|severity| matcher.is_match(severity)),
        label => alert.labels.contains(label) || matcher.is_match(""),
    }
}

#[derive(Deserialize)]
struct File {
    route: Option<Route>,
    #[serde(default)]
    inhibit_rules: Vec<InhibitRule>,
}

#[derive(Deserialize)]
struct Route {
    receiver: Option<String>,
    #[serde(default)]
    matchers: Vec<String>,
    #[serde(default)]
    group_by: Vec<String>,
    #[serde(default)]
    routes: Vec<Self>,
}

#[derive(Deserialize)]
struct InhibitRule {
    source_matchers: Vec<String>,
    target_matchers: Vec<String>,
    #[serde(default)]
    equal: Vec<String>,
}
