//! Dashboards: queries, legends, columns of tables, variables.

use serde_json::Value;

use super::known::{Known, Names, strings};
use super::query::{self, ANY, Labels};
use super::{Complaints, words};

/// Adds the variables of a dashboard to what is known.
pub(super) fn learn(text: &str, known: &mut Known) {
    let dashboard: Value = serde_json::from_str(text).expect("a dashboard");
    list(&dashboard["templating"], "list").for_each(|variable| known.variable(word(&variable["name"])));
}

/// Complains of a dashboard; gives the metrics that it uses.
pub(super) fn check(text: &str, known: &Known, complaints: &mut Complaints<'_>) -> Names {
    let dashboard: Value = serde_json::from_str(text).expect("a dashboard");
    let variables = Variables::of(&dashboard);
    let mut used = Names::new();
    for variable in list(&dashboard["templating"], "list").filter(|variable| variable["type"] == "query") {
        let place = format!("variable {}", word(&variable["name"]));
        let asked = word(&variable["query"]["query"]);
        let asked = if asked.is_empty() { word(&variable["query"]) } else { asked };
        used.extend(check_variable(&place, &variables.filled(asked), known, complaints));
    }
    for annotation in list(&dashboard["annotations"], "list").filter(|annotation| annotation["expr"].is_string()) {
        let place = format!("annotation {}", word(&annotation["name"]));
        used.extend(check_query(&place, &variables.filled(word(&annotation["expr"])), known, complaints).metrics);
    }
    words::prose("its description", word(&dashboard["description"]), known, complaints);
    for panel in list(&dashboard, "panels") {
        for panel in [panel].into_iter().chain(list(panel, "panels")) {
            used.extend(check_panel(panel, &variables, known, complaints));
        }
    }
    used
}

fn check_panel(panel: &Value, variables: &Variables, known: &Known, complaints: &mut Complaints<'_>) -> Names {
    let title = word(&panel["title"]);
    let (mut used, mut fields) = (Names::new(), Labels::new(strings(["Time", "Value"])));
    let mut legends = Names::new();
    for target in list(panel, "targets") {
        let id = word(&target["refId"]);
        let place = format!("panel {title:?} {id}");
        let reading = check_query(&place, &variables.filled(word(&target["expr"])), known, complaints);
        used.extend(reading.metrics);
        let legend = variables.filled(word(&target["legendFormat"]));
        for (_, rest) in legend.match_indices("{{").map(|(at, open)| legend.split_at(at + open.len())) {
            let label = rest.split("}}").next().unwrap_or_default().trim();
            if !reading.labels.has(label) {
                complaints.one(&place, format!("legend: the query gives no label {label}"));
            }
        }
        legends.insert(legend);
        fields.any |= reading.labels.any;
        fields.names.extend(reading.labels.names);
        fields.names.insert(format!("Value #{id}"));
    }
    let place = format!("panel {title:?}");
    words::prose(&place, word(&panel["description"]), known, complaints);
    for transformation in list(panel, "transformations") {
        fields = check_transformation(&place, transformation, fields, complaints);
    }
    for matcher in list(&panel["fieldConfig"], "overrides").map(|each| &each["matcher"]) {
        let field = word(&matcher["options"]);
        if matcher["id"] == "byName" && !fields.has(field) && !legends.contains(field) {
            complaints.one(&place, format!("a setting is for the field {field}, which there is not"));
        }
    }
    used
}

/// Complains of fields that are not there; gives those that there are afterwards.
fn check_transformation(
    place: &str,
    transformation: &Value,
    fields: Labels,
    complaints: &mut Complaints<'_>,
) -> Labels {
    let options = &transformation["options"];
    let keys = |key: &str| options[key].as_object().into_iter().flatten().map(|(key, _)| key.as_str());
    let id = word(&transformation["id"]);
    let named: Vec<&str> = match id {
        "merge" => Vec::new(),
        "organize" => ["indexByName", "renameByName", "excludeByName"].into_iter().flat_map(keys).collect(),
        "filterFieldsByName" => list(&options["include"], "names").map(word).collect(),
        "sortBy" => list(options, "sort").map(|by| word(&by["field"])).collect(),
        _ => {
            complaints.one(place, format!("the transformation {id} is not one that this test understands"));
            return Labels::any();
        }
    };
    for field in named.iter().filter(|field| !fields.has(field)) {
        complaints.one(place, format!("{id}: no query gives the field {field}"));
    }
    let renamed = options["renameByName"].as_object().filter(|_| id == "organize");
    let name = |field: &String| renamed.and_then(|names| names.get(field)?.as_str()).unwrap_or(field).to_owned();
    let names = fields.names.iter().map(name).collect();
    Labels { names, ..fields }
}

fn check_query(place: &str, expr: &str, known: &Known, complaints: &mut Complaints<'_>) -> query::Reading {
    let mut reading = query::read(expr, known);
    complaints.all(place, std::mem::take(&mut reading.complaints));
    reading
}

/// `label_values(SELECTOR, LABEL)` and `query_result(QUERY)`.
fn check_variable(place: &str, asked: &str, known: &Known, complaints: &mut Complaints<'_>) -> Names {
    let inside = |function: &str| asked.strip_prefix(function)?.strip_prefix('(')?.strip_suffix(')');
    if let Some((selector, label)) = inside("label_values").and_then(|inside| inside.rsplit_once(',')) {
        let reading = check_query(place, &format!("absent({selector})"), known, complaints);
        let label = label.trim();
        for metric in &reading.metrics {
            if known.series.get(metric).is_some_and(|series| !series.labels.contains(label)) {
                complaints.one(place, format!("{metric} has no label {label}"));
            }
        }
        reading.metrics
    } else if let Some(expr) = inside("query_result") {
        check_query(place, expr, known, complaints).metrics
    } else {
        complaints.one(place, format!("`{asked}` is not understood"));
        Names::new()
    }
}

/// What stands for a variable while its query is read.
struct Variables(Vec<(String, String)>);

impl Variables {
    /// What a person types in is what stands there at first; anything else can be anything.
    fn of(dashboard: &Value) -> Self {
        let own = list(&dashboard["templating"], "list").map(|variable| {
            let typed = (variable["type"] == "textbox").then(|| word(&variable["query"]));
            (word(&variable["name"]).to_owned(), typed.unwrap_or(ANY).to_owned())
        });
        let built_in = ["__rate_interval", "__interval", "__range"].map(|name| (name.to_owned(), "5m".to_owned()));
        let mut all: Vec<_> = own.chain(built_in).collect();
        // The longest first: `$job` begins `$jobs`, too.
        all.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self(all)
    }

    fn filled(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.0 {
            while let Some(at) = text.find(&format!("${{{name}")) {
                let Some(length) = text[at..].find('}') else { break };
                text.replace_range(at..=at + length, value);
            }
            text = text.replace(&format!("${name}"), value);
        }
        text
    }
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
