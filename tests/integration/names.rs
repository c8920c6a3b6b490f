//! Names in docs, rules, dashboards and examples exist: metrics, labels, label values, alerts, flags, sub-commands,
//! config keys and JSON keys. What exists comes from the code and from the shipped rules; names of other programs are
//! listed in `names/tables.rs`.
//!
//! Alerts and metrics are recognized everywhere by their prefix, in Markdown also other words with an underscore. Other
//! names are recognized by their place: matchers, `by (…)` and similar clauses, legends, code spans, shell commands and
//! YAML blocks.
//!
//! Not checked here:
//! - PromQL syntax, labels of results, templates of annotations: `promtool`, in `tests/rules/run` and
//!   `tests/dashboards/run`. Labels in matchers must exist on their metric, other labels on any metric.
//! - Which metric has which reason, routing and inhibition: unit tests of rules and `amtool`, in `tests/rules/run`.
//! - Variables and links of dashboards: `tests/dashboards/run`. Nothing checks column names of table panels.
//! - That `docs/api.md` and `config.example.yaml` are complete: unit tests in `src`.

mod known;
mod misspelled;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use smtp_tls_exporter::metrics::table::METRICS;

use self::known::{Known, invalid_command, invalid_config, invalid_parameters};
use self::tables::{EXTERNAL, UNUSED};

const RULES: &str = "deploy/prometheus/smtp-tls.rules.yaml";
const RUNBOOKS: &str = "docs/runbooks/";
/// Prefixes of metrics and flags of the exporter, by which they are recognized everywhere.
const PREFIXES: [&str; 3] = ["smtp_tls_", "probe_", "process_"];
/// Keys of files that are not configurations of the exporter.
const OTHER_FILES: [&str; 3] = ["scrape_configs:", "services:", "tls_server_config:"];
const FLAG_PREFIXES: [&str; 3] = ["config.", "web.", "log."];

#[test]
fn every_name_exists() {
    let checker = check(&shipped());
    assert!(checker.complaints.is_empty(), "{}", checker.complaints.join("\n"));
    let needless: Vec<_> = external().filter(|name| !checker.external.contains(name)).collect();
    assert!(needless.is_empty(), "names in EXTERNAL that no text uses: {needless:?}");
}

/// With `--nocapture` it lists them. `PROBE_METRICS` are left out: they are for alerts written for `blackbox_exporter`.
#[test]
fn every_unused_metric_has_a_reason() {
    let texts = shipped();
    let used: BTreeSet<&str> = texts.iter().flat_map(|(file, text)| expressions(file, text)).flat_map(words).collect();
    let unused: Vec<&str> = METRICS.iter().map(|metric| metric.name).filter(|name| !used.contains(name)).collect();
    let listed: Vec<&str> = UNUSED.iter().map(|(name, _)| *name).collect();
    assert_eq!(unused, listed, "metrics that no dashboard or rule uses, and the rows of UNUSED");
    UNUSED.iter().for_each(|(name, reason)| println!("unused: {name}: {reason}"));
}

/// The expressions of rules and dashboards.
fn expressions<'a>(file: &str, text: &'a str) -> impl Iterator<Item = &'a str> {
    let (start, end) = if file == RULES { (" expr:", "labels:") } else { ("\"expr\":", "\n") };
    text.split(start).skip(1).filter_map(move |rest| rest.split(end).next())
}

fn external() -> impl Iterator<Item = &'static str> {
    EXTERNAL.iter().flat_map(|(_, names)| names.split(' '))
}

/// The texts that use names, by path.
type Texts = BTreeMap<String, String>;

fn shipped() -> Texts {
    let mut texts = Texts::new();
    for path in ["README.md", "CHANGELOG.md", "config.example.yaml", "dashboards", "deploy", "docs", "tests/rules"] {
        read(Path::new(path), &mut texts);
    }
    // Its labels have other names.
    texts.retain(|file, _| !file.starts_with("tests/rules/parameters/"));
    texts
}

/// Copies of the rules and the dashboards in the Helm chart: `tests/helm/run` compares them.
const COPIES: &str = "deploy/helm/smtp-tls-exporter/files";

fn read(path: &Path, texts: &mut Texts) {
    let name = path.to_string_lossy().into_owned();
    if name == COPIES {
        return;
    }
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("a directory");
        entries.for_each(|entry| read(&entry.expect("a directory entry").path(), texts));
    } else if ![".png", ".py", ".pyc"].iter().any(|end| name.ends_with(end)) {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"));
        // Scripts have arguments and variables of their own.
        if !text.starts_with("#!") {
            texts.insert(name, text);
        }
    }
}

fn check(texts: &Texts) -> Checker {
    let mut checker = Checker { known: Known::new(texts), ..Checker::default() };
    for (file, text) in texts {
        checker.file.clone_from(file);
        checker.text(file);
        // `\"` and `\n` are escapes of JSON. A name that ends in `_` is a shorthand for all names that begin so.
        checker.text(&text.replace("\\\"", "\"").replace("\\n", " ").replace(".*\"", "_\""));
    }
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
    /// Names of [`EXTERNAL`] that were needed.
    external: BTreeSet<&'static str>,
}

impl Checker {
    fn complain(&mut self, what: &str, name: &str) {
        self.complaints.push(format!("{}: {what}: {name}", self.file));
    }

    fn text(&mut self, text: &str) {
        for word in words(text) {
            let is_metric = PREFIXES.iter().any(|prefix| word.starts_with(prefix)) || word.contains(":smtp_tls_");
            if is_metric || self.file.ends_with(".md") && is_plain(word) && word.contains('_') {
                self.name(word);
            } else if word.starts_with("SmtpTls") && word != "SmtpTls" && !has(&self.known.alerts, word) {
                self.complain("unknown alert", word);
            }
        }
        let flags = text.split("--").skip(1).filter(|flag| FLAG_PREFIXES.iter().any(|start| flag.starts_with(start)));
        flags.for_each(|flag| self.flag(flag));
        if !["/Dockerfile", "/run", "/generate", ".conf"].iter().any(|end| self.file.ends_with(end)) {
            self.labels(&tokens(text));
        }
        for (at, part) in text.split("```").enumerate() {
            if at % 2 == 0 {
                part.split('`').skip(1).step_by(2).for_each(|span| self.span(span));
            } else if let Some(script) = part.strip_prefix("sh\n") {
                script.replace("\\\n", " ").lines().for_each(|line| self.command(line));
            } else if let Some(parameters) = part.strip_prefix("yaml\n# parameters.yaml\n") {
                invalid_parameters(parameters).iter().for_each(|error| self.complain("invalid parameters", error));
            } else if let Some(config) =
                part.strip_prefix("yaml\n").filter(|yaml| !OTHER_FILES.iter().any(|key| yaml.contains(key)))
            {
                invalid_config(config).iter().for_each(|error| self.complain("invalid config", error));
            }
        }
    }

    /// A code span is a command, a flag, a name or a path of keys; anything else belongs to other programs.
    fn span(&mut self, span: &str) {
        let span = span.split_whitespace().collect::<Vec<_>>().join(" ");
        let path = span.split(": ").next().unwrap_or_default();
        let is_file_or_host = ["example.", ".json", ".yaml", ".md"].iter().any(|part| path.contains(part));
        let keys: Vec<&str> = path.split('.').map(|key| key.trim_end_matches("[]")).collect();
        if span.starts_with("smtp-tls-exporter ") {
            self.command(&span);
        } else if let Some(flag) = span.strip_prefix("--").filter(|flag| !flag.starts_with(' ')) {
            self.flag(flag);
        } else if !is_file_or_host && keys.iter().all(|key| is_plain(key)) {
            keys.iter().for_each(|key| self.name(key));
        }
    }

    fn command(&mut self, line: &str) {
        invalid_command(line).iter().for_each(|error| self.complain("invalid command", error));
    }

    /// Checks the flag that the text begins with, after the dashes.
    fn flag(&mut self, text: &str) {
        let flag = text.split(|c: char| !c.is_ascii_lowercase() && !['-', '.'].contains(&c)).next().unwrap_or_default();
        if !self.known.flags.contains(flag) && !self.is_external(flag) {
            self.complain("unknown flag", &format!("--{flag}"));
        }
    }

    fn name(&mut self, name: &str) {
        let original = name.strip_prefix("exported_").unwrap_or(name);
        if !has(&self.known.words, original) && !self.is_external(name) {
            self.complain("unknown name", name);
        }
    }

    fn is_external(&mut self, name: &str) -> bool {
        let is_name = |each: &&str| each.strip_suffix('*').map_or(name == *each, |start| name.starts_with(start));
        let found = external().find(is_name);
        self.external.extend(found);
        found.is_some()
    }

    /// Checks labels and their values in PromQL, legends, and the configuration of Alertmanager.
    fn labels(&mut self, tokens: &[&str]) {
        let is_dashboard = self.file.starts_with("dashboards/");
        let mut metric = None;
        for at in 0..tokens.len() {
            match &tokens[at..] {
                [name, "{", ..] if self.known.series.contains_key(*name) => metric = Some(*name),
                ["}", ..] => metric = None,
                [label, "=", "\"", value @ ..] | [label, "=" | "!", "=" | "~", "\"", value @ ..] => {
                    self.label(metric, label);
                    let words = value.iter().take_while(|token| **token != "\"").filter(|token| is_plain(token));
                    words.for_each(|word| self.value(label, word));
                }
                ["by" | "without" | "on" | "ignoring" | "group_left" | "group_right", "(", labels @ ..]
                | ["group_by:" | "equal:", "[", labels @ ..] => {
                    let labels = labels.iter().take_while(|token| ![")", "]"].contains(*token));
                    labels.for_each(|label| self.label(None, label));
                }
                // A legend, or the end of `label_values(metric, label)`.
                ["{", "{", label, "}", ..] | [",", label, ")", "\"", ..] if is_dashboard => self.label(None, label),
                _ => {}
            }
        }
    }

    fn label(&mut self, metric: Option<&str>, label: &str) {
        let labels = metric.and_then(|metric| self.known.series.get(metric));
        if is_plain(label) && !labels.unwrap_or(&self.known.labels).contains(label) {
            self.complain("unknown label", &format!("{label} {}", metric.unwrap_or_default()));
        }
    }

    fn value(&mut self, label: &str, value: &str) {
        if self.known.values.get(label).is_some_and(|values| !has(values, value)) {
            self.complain("unknown label value", &format!("{label}={value}"));
        }
    }
}

/// Whether this is one of the names, or a shorthand for several that begin so.
fn has(names: &BTreeSet<String>, name: &str) -> bool {
    let is_shorthand = |start| names.iter().any(|each| each.starts_with(start));
    names.contains(name) || name.strip_suffix('_').is_some_and(is_shorthand)
}

/// The words of a text and the single characters between them, without white space.
fn tokens(text: &str) -> Vec<&str> {
    let (mut rest, mut found) = (text.trim_start(), Vec::new());
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len()).max(first.len_utf8());
        found.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    found
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    tokens(text).into_iter().map(|token| token.trim_matches([':', '$'])).filter(|token| token.starts_with(is_word))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '$')
}

/// Whether a metric, a label or a key can have this name.
fn is_plain(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'))
}
