//! Names that dashboards, rules, runbooks, pages and examples use exist: metrics, labels, values of labels, alerts, flags,
//! sub-commands, config keys and JSON keys. What exists comes from the code and from the shipped rules; names of other
//! programs are in `names/tables.rs`, each with its owner.
//!
//! Deliberately not checked here:
//! - Syntax and types of PromQL in rules and panels: `promtool check rules`, in `tests/rules/run` and
//!   `tests/dashboards/run`. Queries in pages are only searched for names.
//! - Labels of an expression's result, vector matching, templates of annotations: `promtool test rules`, in
//!   `tests/rules/run`. Here, labels of a selector exist on its metric, and all other labels exist somewhere.
//! - Which reason a metric can have: a value of `reason` is checked against those of all metrics.
//! - Routing and inhibition: `amtool` and a running Alertmanager, in `tests/rules/run`.
//! - Variables, links, units and descriptions of dashboards: `tests/dashboards/run`.
//! - That `docs/api.md` has the keys of the JSON and `config.example.yaml` those of the config: unit tests in `src`.

mod fragments;
mod known;
mod misspelled;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use self::fragments::{Fragment, Kind, fragments, is_plain, tokens, words};
use self::known::{Known, PREFIX, invalid_command, invalid_config, metrics};
use self::tables::{EXTERNAL, UNUSED};

const RULES: &str = "deploy/prometheus/smtp-tls.rules.yaml";
const RUNBOOKS: &str = "docs/runbooks/";

#[test]
fn every_name_exists() {
    let checker = check(&shipped());
    assert!(checker.complaints.is_empty(), "{}", checker.complaints.join("\n"));
    let needless = EXTERNAL.iter().flat_map(|(_, names)| *names).filter(|name| !checker.external.contains(*name));
    assert_eq!(needless.collect::<Vec<_>>(), [&""; 0], "names in EXTERNAL that no text uses");
}

/// With `--nocapture` it lists them.
#[test]
fn every_unused_metric_has_a_reason() {
    let used = check(&shipped()).used;
    let unused: Vec<&str> = metrics().map(|metric| metric.name).filter(|name| !used.contains(*name)).collect();
    let listed: Vec<&str> = UNUSED.iter().map(|(name, _)| *name).collect();
    assert_eq!(unused, listed, "metrics that no dashboard or rule uses, and the rows of UNUSED");
    UNUSED.iter().for_each(|(name, reason)| println!("unused: {name}: {reason}"));
}

/// The texts that use names, by path.
type Texts = BTreeMap<String, String>;

fn shipped() -> Texts {
    let mut texts = Texts::new();
    for path in ["README.md", "CHANGELOG.md", "config.example.yaml", "dashboards", "deploy", "docs", "tests/rules"] {
        read(Path::new(path), &mut texts);
    }
    assert!(texts.len() > 30, "{:?}", texts.keys());
    texts
}

fn read(path: &Path, texts: &mut Texts) {
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("a directory");
        entries.for_each(|entry| read(&entry.expect("a directory entry").path(), texts));
    } else if !path.extension().is_some_and(|end| ["png", "py", "pyc"].iter().any(|other| end == *other)) {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        texts.insert(path.to_string_lossy().into_owned(), text);
    }
}

fn check(texts: &Texts) -> Checker {
    let fragments: Vec<_> = texts.iter().flat_map(|(file, text)| fragments(file, text)).collect();
    let mut checker = Checker { known: Known::new(texts, &fragments), ..Checker::default() };
    fragments.iter().for_each(|fragment| checker.fragment(fragment));
    for alert in checker.known.alerts.iter().filter(|alert| !texts.contains_key(&format!("{RUNBOOKS}{alert}.md"))) {
        checker.complaints.push(format!("{RULES}: alert without a runbook: {alert}"));
    }
    checker
}

#[derive(Default)]
struct Checker {
    known: Known,
    file: String,
    complaints: Vec<String>,
    /// The words of the expressions of rules and dashboards.
    used: BTreeSet<String>,
    /// Names of [`EXTERNAL`] that were needed.
    external: BTreeSet<&'static str>,
}

impl Checker {
    fn complain(&mut self, what: &str, name: &str) {
        self.complaints.push(format!("{}: {what}: {name}", self.file));
    }

    fn fragment(&mut self, fragment: &Fragment) {
        self.file.clone_from(&fragment.file);
        let text = fragment.text.as_str();
        match fragment.kind {
            Kind::Text => self.text(text),
            Kind::Prose => {
                words(text).filter(|word| is_plain(word) && word.contains('_')).for_each(|word| self.word(word));
            }
            Kind::Span => self.span(text),
            Kind::Query => self.query(text),
            Kind::Command => invalid_command(text).iter().for_each(|error| self.complain("invalid command", error)),
            Kind::Config => invalid_config(text).iter().for_each(|error| self.complain("invalid config", error)),
        }
    }

    /// Checks the names that are recognized anywhere by their prefix. Those that end in `_` are shorthands for several.
    fn text(&mut self, text: &str) {
        for word in words(text) {
            if word.contains(PREFIX) || ["probe_", "process_"].iter().any(|prefix| word.starts_with(prefix)) {
                self.word(word);
            } else if word.starts_with("SmtpTls") && word != "SmtpTls" && !has(&self.known.alerts, word) {
                self.complain("unknown alert", word);
            }
        }
        for flag in text.split([' ', '"', '`', '\n']).filter(|word| word.starts_with("--")) {
            if ["config.", "web.", "log."].iter().any(|prefix| flag[2..].starts_with(prefix)) {
                self.flag(flag);
            }
        }
    }

    /// A code span is a name, a path to a key, a flag or a query; anything else belongs to other programs.
    fn span(&mut self, text: &str) {
        let key = text.split(": ").next().unwrap_or_default();
        let is_path = !text.contains("example.") && ![".json", ".yaml", ".md"].iter().any(|end| text.ends_with(end));
        if text.starts_with("--") && !text.starts_with("-- ") {
            self.flag(text);
        } else if is_plain(key) {
            self.word(key);
        } else if is_path && text.split('.').all(|key| is_plain(key.trim_end_matches("[]"))) {
            text.split('.').for_each(|key| self.word(key.trim_end_matches("[]")));
        } else if tokens(text).iter().any(|token| self.known.series.contains_key(*token)) && !text.contains("_{") {
            self.query(text);
        }
    }

    fn flag(&mut self, text: &str) {
        let flag = text.split([' ', '=', ':']).next().unwrap_or_default();
        if !self.known.flags.contains(&flag[2..]) && !self.is_external(flag) {
            self.complain("unknown flag", flag);
        }
    }

    fn word(&mut self, word: &str) {
        let original = word.strip_prefix("exported_").unwrap_or(word);
        if !has(&self.known.words, original) && !self.is_external(word) {
            self.complain("unknown name", word);
        }
    }

    fn is_external(&mut self, name: &str) -> bool {
        let all = EXTERNAL.iter().flat_map(|(_, names)| *names);
        let found =
            all.copied().find(|each| each.strip_suffix('*').map_or(name == *each, |start| name.starts_with(start)));
        self.external.extend(found);
        found.is_some()
    }

    /// Checks the labels of selectors and of clauses such as `by (…)`, legends, and values of labels.
    fn query(&mut self, text: &str) {
        let tokens = tokens(text);
        if self.file == RULES || self.file.starts_with("dashboards/") {
            self.used.extend(words(text).map(str::to_owned));
        }
        for at in 0..tokens.len() {
            match &tokens[at..] {
                ["by" | "without" | "on" | "ignoring" | "group_left" | "group_right", "(", labels @ ..] => {
                    let labels = labels.iter().take_while(|token| **token != ")").filter(|token| is_plain(token));
                    labels.for_each(|label| self.label(None, label));
                }
                ["{", "{", label, "}", ..] => self.label(None, label),
                [",", label, ")"] if tokens[0] == "label_values" => self.label(None, label),
                [metric, "{", matchers @ ..] if self.known.series.contains_key(*metric) => {
                    let matchers: Vec<&str> = matchers.iter().copied().take_while(|token| *token != "}").collect();
                    for matcher in matchers.windows(3) {
                        let [label, operator @ ("=" | "!=" | "=~" | "!~"), value] = matcher else { continue };
                        self.label(Some(metric), label);
                        // A regular expression is checked if it is a list of values.
                        if !operator.ends_with('~') {
                            self.value(label, value.trim_matches('"'));
                        } else if !value.contains(['.', '*', '+', '(', '[']) {
                            value.trim_matches('"').split('|').for_each(|value| self.value(label, value));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn label(&mut self, metric: Option<&str>, label: &str) {
        let labels = metric.and_then(|metric| self.known.series.get(metric)).filter(|labels| !labels.is_empty());
        if is_plain(label) && !labels.unwrap_or(&self.known.labels).contains(label) {
            self.complain("unknown label", &format!("{label} {}", metric.unwrap_or_default()));
        }
    }

    /// Checks the value of a label that has a fixed set of them.
    fn value(&mut self, label: &str, value: &str) {
        let is_variable = value.is_empty() || value.contains(['$', '%']);
        if !is_variable && self.known.values.get(label).is_some_and(|values| !values.contains(value)) {
            self.complain("unknown label value", &format!("{label}={value}"));
        }
    }
}

/// Whether this is one of the names, or a shorthand for several that begin so.
fn has(names: &BTreeSet<String>, name: &str) -> bool {
    let is_shorthand = |start| names.iter().any(|each| each.starts_with(start));
    names.contains(name) || name.strip_suffix('_').is_some_and(is_shorthand)
}
