//! Whatever dashboards, rules, runbooks, pages and examples name is there: metrics, labels, reasons, alerts, keys of the
//! config, flags. What there is, the code says; `names/tables.rs` lists what is others', each with its reason.

mod config;
mod dashboards;
mod known;
mod pages;
mod query;
mod routing;
mod rules;
mod spoilt;
mod tables;
mod template;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value as Json;
use serde_yaml::Value as Yaml;
use smtp_tls_exporter::metrics::table::{METRICS, PROBE_METRICS};

use self::known::{Known, Names, json_keys};
use self::tables::UNUSED;
use crate::docs::verification_json;

#[test]
fn what_is_named_is_there() {
    let texts = Texts::shipped();
    let known = texts.known();
    let (complaints, _) = texts.check(&known, |_| true);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    let needless = known.needless();
    assert!(needless.is_empty(), "no text needs these rows of tables.rs: {needless:?}");
}

/// With `--nocapture` it lists the metrics that nobody looks at.
#[test]
fn each_metric_is_used_or_has_a_reason_not_to_be() {
    let texts = Texts::shipped();
    let (_, used) = texts.check(&texts.known(), |file| !file.ends_with(".md"));
    let all = METRICS.iter().chain(PROBE_METRICS).map(|metric| metric.name);
    let unused: Vec<&str> = all.filter(|name| !used.contains(*name)).collect();
    for name in &unused {
        let reason = UNUSED.iter().find(|(each, _)| each == name);
        println!("unused: {name}: {}", reason.map_or("?", |(_, reason)| reason));
    }
    let listed: Vec<&str> = UNUSED.iter().map(|(name, _)| *name).collect();
    assert_eq!(unused, listed, "metrics that no dashboard and no rule uses, and those that tables.rs lists as such");
}

/// The texts that name things, by their paths.
#[derive(Clone)]
struct Texts(BTreeMap<String, String>);

impl Texts {
    /// All that ship.
    fn shipped() -> Self {
        let mut texts = Self(BTreeMap::new());
        for file in ["README.md", "CHANGELOG.md", "config.example.yaml", "dashboards/README.md"] {
            texts.read(Path::new(file), &[]);
        }
        texts.read(Path::new("deploy"), &[]);
        texts.read(Path::new("docs"), &["md"]);
        texts.read(Path::new("dashboards"), &["json"]);
        texts.read(Path::new("tests/rules"), &["yaml"]);
        assert!(texts.0.len() > 30, "{:?}", texts.0.keys());
        texts
    }

    /// Reads a file, or the files of a folder and of those below that end so; all where no endings are given.
    fn read(&mut self, path: &Path, endings: &[&str]) {
        if path.is_dir() {
            for entry in fs::read_dir(path).expect("a folder") {
                self.read(&entry.expect("an entry").path(), endings);
            }
        } else if endings.is_empty() || path.extension().is_some_and(|end| endings.iter().any(|each| end == *each)) {
            let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            if let Ok(text) = String::from_utf8(bytes) {
                self.0.insert(path.to_string_lossy().into_owned(), text);
            }
        }
    }

    /// Replaces the first `old` of a file, which must have it.
    #[track_caller]
    fn replace(&mut self, file: &str, old: &str, new: &str) {
        let text = self.0.get_mut(file).unwrap_or_else(|| panic!("no file {file}"));
        assert!(text.contains(old), "{file} has no {old}");
        *text = text.replacen(old, new, 1);
    }

    /// What the code knows, and what these rules define.
    fn known(&self) -> Known {
        self.define(Known::new(printed_keys()))
    }

    /// Adds what these rules and dashboards define.
    fn define(&self, mut known: Known) -> Known {
        for (file, text) in self.0.iter().filter(|(file, _)| !file.starts_with("tests/")) {
            match Kind::of(file, text) {
                Kind::Rules => rules::learn(text, &mut known),
                Kind::Dashboard => dashboards::learn(text, &mut known),
                _ => {}
            }
        }
        known
    }

    /// What is wrong with those files, and which metrics their rules and dashboards use.
    fn check(&self, known: &Known, wanted: impl Fn(&str) -> bool) -> (Vec<String>, Names) {
        let (mut list, mut used) = (Vec::new(), Names::new());
        for (file, text) in self.0.iter().filter(|(file, _)| wanted(file)) {
            let mut complaints = Complaints { file, list: &mut list };
            for (place, line) in lines(file, text) {
                words::names(&place, &line, known, &mut complaints);
            }
            let kind = Kind::of(file, text);
            if matches!(kind, Kind::Rules | Kind::RuleTests | Kind::Routing | Kind::OtherYaml) {
                words::comments(text, known, &mut complaints);
            }
            match kind {
                Kind::Page => pages::check(text, known, &mut complaints),
                Kind::Dashboard => used.extend(dashboards::check(text, known, &mut complaints)),
                Kind::Rules => used.extend(rules::check(text, known, &mut complaints)),
                Kind::RuleTests => rules::check_tests(text, known, &mut complaints),
                Kind::Routing => routing::check(text, known, &mut complaints),
                Kind::OtherYaml => config::check_file(text, &mut complaints),
                Kind::Other => {}
            }
        }
        (list, used)
    }
}

/// What a file is, by its ending and by its keys.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Page,
    Dashboard,
    Rules,
    RuleTests,
    /// A config of Alertmanager.
    Routing,
    OtherYaml,
    Other,
}

impl Kind {
    fn of(file: &str, text: &str) -> Self {
        match file.rsplit('.').next() {
            Some("md") => return Self::Page,
            Some("json") if file.starts_with("dashboards/") => return Self::Dashboard,
            Some("yaml" | "yml") => {}
            _ => return Self::Other,
        }
        let Ok(yaml) = serde_yaml::from_str::<Yaml>(text) else { return Self::OtherYaml };
        let kinds = [
            ("groups", Self::Rules),
            ("tests", Self::RuleTests),
            ("route", Self::Routing),
            ("inhibit_rules", Self::Routing),
        ];
        let kind = kinds.into_iter().find(|(key, _)| yaml.get(*key).is_some());
        kind.map_or(Self::OtherYaml, |(_, kind)| kind)
    }
}

/// What is wrong with one file.
struct Complaints<'a> {
    file: &'a str,
    list: &'a mut Vec<String>,
}

impl Complaints<'_> {
    fn one(&mut self, place: &str, what: String) {
        let complaint = format!("{}: {place}: {what}", self.file);
        if !self.list.contains(&complaint) {
            self.list.push(complaint);
        }
    }

    fn all(&mut self, place: &str, what: Vec<String>) {
        what.into_iter().for_each(|what| self.one(place, what));
    }
}

/// The lines of a text with their places; of JSON its strings without escapes.
fn lines(file: &str, text: &str) -> Vec<(String, String)> {
    fn strings(value: &Json, found: &mut Vec<(String, String)>) {
        match value {
            Json::String(text) => {
                let start: String = text.chars().take(40).collect();
                found.push((format!("{start:?}"), text.clone()));
            }
            Json::Array(values) => values.iter().for_each(|value| strings(value, found)),
            Json::Object(values) => values.values().for_each(|value| strings(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    if file.ends_with(".json") {
        strings(&serde_json::from_str(text).expect("JSON"), &mut found);
    } else {
        let numbered = text.lines().enumerate();
        found.extend(numbered.map(|(at, line)| (format!("line {}", at + 1), line.to_owned())));
    }
    found
}

/// The keys of all JSON: that of `verify`, and that of targets as its page has them, which a test of `report` holds
/// together with the code.
fn printed_keys() -> Names {
    static KEYS: LazyLock<Names> = LazyLock::new(|| {
        let mut keys = Names::new();
        json_keys(&verification_json(), "", &mut keys);
        keys.extend(documented_keys(&fs::read_to_string("docs/api.md").expect("the page about JSON")));
        keys
    });
    KEYS.clone()
}

fn documented_keys(page: &str) -> Names {
    let mut before = String::new();
    let mut found = Names::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            before = heading.split('`').nth(1).map(|place| format!("{place}.")).unwrap_or_default();
        }
        let Some(cell) = line.strip_prefix("| `").and_then(|rest| rest.split(" | ").next()) else { continue };
        found.extend(cell.split(", ").map(|key| format!("{before}{}", key.trim_matches('`'))));
    }
    found
}
