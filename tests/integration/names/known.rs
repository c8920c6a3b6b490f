//! What there is to be named: read from the code, and from the rules that come with it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::CommandFactory;
use serde_json::Value;
use smtp_tls_exporter::cmd::cli::Args;
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::metrics::table::{Kind, METRICS, PROBE_METRICS, Scope};
use smtp_tls_exporter::reason::{
    AdviceKind, ChainReason, LocalReason, LookupReason, NameReason, OcspReason, OcspStatus, Phase, ProbeReason,
    Resolves, Severity, SkipReason, Stage,
};
use smtp_tls_exporter::target::{IpFamily, TlsMode};

use super::tables::{ELSEWHERE, PROMETHEUS, RECORD_TYPES, SCRAPED, USER_LABELS};
use crate::docs::BLACKBOX;

pub(super) type Names = BTreeSet<String>;

/// What series of one name have.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    pub(super) labels: Names,
    pub(super) is_counter: bool,
    /// All values of those labels whose values are bounded.
    pub(super) words: BTreeMap<String, Names>,
}

/// What alerts of one name have; several rules may share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Alert {
    /// The labels of what is sent to Alertmanager.
    pub(super) labels: Names,
    pub(super) severities: Names,
}

/// Everything that a text may name.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) series: BTreeMap<String, Series>,
    pub(super) alerts: BTreeMap<String, Alert>,
    /// Keys of the config with the way to each: `limits.backends_per_target`.
    pub(super) config: Names,
    /// Keys of the JSON that is printed and served, likewise: `backends[].chain.errors[].reason`.
    pub(super) json: Names,
    /// Long flags of the command and its sub-commands.
    pub(super) flags: Names,
    words: Names,
    needed: RefCell<BTreeSet<&'static str>>,
}

impl Known {
    /// What the code says; `json` has the keys of what it prints.
    pub(super) fn new(json: Names) -> Self {
        let config = config_keys();
        let (flags, commands) = flags();
        let mut words: Names = commands;
        for path in config.iter().chain(&json) {
            words.extend(path.split(['.', '[']).map(|key| key.trim_end_matches(']').to_owned()));
        }
        words.extend(bounded().into_iter().flat_map(|(_, _, words)| words));
        words.extend(strings(AdviceKind::ALL.iter().map(|word| word.as_str())));
        words.extend(strings(Severity::ALL.iter().map(|word| word.as_str())));
        words.extend(strings([IpFamily::Auto, IpFamily::Any, IpFamily::Ipv4, IpFamily::Ipv6].map(IpFamily::as_str)));
        words.extend(strings(["gauge", "counter", "info"]));
        let mut known =
            Self { series: series(), alerts: BTreeMap::new(), config, json, flags, words, needed: RefCell::default() };
        for (name, series) in &known.series {
            known.words.extend(series.labels.iter().cloned().chain([name.clone()]));
            known.words.extend(name.strip_prefix(PREFIX).map(str::to_owned));
        }
        known
    }

    /// Whether a word of prose is a metric (also without the prefix that all share), a label, a value of one, a key of
    /// the config or of JSON, a sub-command, or one of others that is listed.
    pub(super) fn has_word(&self, word: &str) -> bool {
        let is_renamed = word.strip_prefix("exported_").is_some_and(|label| self.words.contains(label));
        self.words.contains(word) || self.series.contains_key(word) || is_renamed || self.is_of_others(word)
    }

    /// Whether the word is none of the exporter's, and listed as such.
    pub(super) fn is_of_others(&self, word: &str) -> bool {
        let row = ELSEWHERE.iter().find(|(pattern, _)| match pattern.strip_suffix('*') {
            Some(start) => word.starts_with(start),
            None => word == *pattern,
        });
        if let Some((pattern, _)) = row {
            self.needed.borrow_mut().insert(pattern);
        }
        row.is_some()
    }

    /// Rows of the list of others' words that no text has needed so far.
    pub(super) fn needless(&self) -> Vec<&'static str> {
        let needed = self.needed.borrow();
        ELSEWHERE.iter().map(|(pattern, _)| *pattern).filter(|pattern| !needed.contains(pattern)).collect()
    }

    /// Whether the word is a value that a label `reason` can have.
    pub(super) fn is_reason(&self, word: &str) -> bool {
        self.series.values().any(|series| series.words.get("reason").is_some_and(|words| words.contains(word)))
    }

    /// What rules make of it: adds the metric that a recording rule makes.
    pub(super) fn record(&mut self, name: &str, labels: Names) {
        self.series.entry(name.to_owned()).or_default().labels.extend(labels);
    }

    /// Adds a variable of a dashboard.
    pub(super) fn variable(&mut self, name: &str) {
        self.words.insert(name.to_owned());
    }

    /// Adds an alert, whose labels those of the series `ALERTS` then have, too.
    pub(super) fn alert(&mut self, name: &str, labels: Names, severity: Option<&String>) {
        let alerts = self.series.entry("ALERTS".to_owned()).or_default();
        alerts.labels.extend(labels.iter().cloned());
        alerts.words.entry("alertname".to_owned()).or_default().insert(name.to_owned());
        alerts.words.entry("severity".to_owned()).or_default().extend(severity.cloned());
        let alert = self.alerts.entry(name.to_owned()).or_default();
        alert.labels.extend(labels);
        alert.severities.extend(severity.cloned());
    }
}

/// The exporter's metrics, those of others that are used, and what is put on all of them when they are scraped.
fn series() -> BTreeMap<String, Series> {
    let bounded = bounded();
    let own = METRICS.iter().chain(PROBE_METRICS).map(|metric| {
        let user: &[&str] = if metric.scope == Scope::Exporter { &[] } else { USER_LABELS };
        let labels = [metric.scope.labels(), metric.labels, user, SCRAPED].concat();
        let words = bounded.iter().filter(|(name, label, _)| *name == metric.name && metric.labels.contains(label));
        let words = words.map(|(_, label, words)| ((*label).to_owned(), words.clone())).collect();
        let series = Series { labels: strings(labels), is_counter: metric.kind == Kind::Counter, words };
        (metric.name.to_owned(), series)
    });
    let others = PROMETHEUS.iter().copied().chain(BLACKBOX.iter().map(|name| (*name, &[][..])));
    let others = others.map(|(name, labels)| {
        let mut words = BTreeMap::new();
        if labels.contains(&"alertstate") {
            words.insert("alertstate".to_owned(), strings(["pending", "firing"]));
        }
        let labels = strings([labels, SCRAPED].concat());
        (name.to_owned(), Series { labels, words, ..Series::default() })
    });
    own.chain(others).collect()
}

/// For each metric and label with bounded values: these.
fn bounded() -> Vec<(&'static str, &'static str, Names)> {
    macro_rules! all {
        ($words:ty) => {
            strings(<$words>::ALL.iter().map(|word| word.as_str()))
        };
    }
    let tls = strings([TlsMode::StartTls, TlsMode::Implicit].map(TlsMode::as_str));
    let rows = vec![
        ("smtp_tls_target_info", "kind", kinds()),
        ("smtp_tls_endpoint_info", "tls", tls),
        ("smtp_tls_target_lookup_failure_info", "type", strings(RECORD_TYPES.iter().copied())),
        ("smtp_tls_target_lookup_failure_info", "reason", all!(LookupReason)),
        ("smtp_tls_probe_failure_info", "stage", all!(Stage)),
        ("smtp_tls_probe_failure_info", "reason", all!(ProbeReason)),
        ("smtp_tls_probe_failure_reasons_total", "stage", all!(Stage)),
        ("smtp_tls_probe_failure_reasons_total", "reason", all!(ProbeReason)),
        ("smtp_tls_probe_phase_duration_seconds", "phase", all!(Phase)),
        ("smtp_tls_target_backends_skipped", "reason", all!(SkipReason)),
        ("smtp_tls_target_shared_name_info", "resolves", all!(Resolves)),
        ("smtp_tls_cert_hostname_mismatch_info", "reason", all!(NameReason)),
        ("smtp_tls_chain_error", "reason", all!(ChainReason)),
        ("smtp_tls_ocsp_status", "status", all!(OcspStatus)),
        ("smtp_tls_ocsp_error", "reason", all!(OcspReason)),
        ("smtp_tls_exporter_local_errors_total", "reason", all!(LocalReason)),
    ];
    let has = |name: &str, label| METRICS.iter().any(|metric| metric.name == name && metric.labels.contains(label));
    assert!(rows.iter().all(|(name, label, _)| has(name, label)), "a row without its metric");
    for metric in METRICS {
        for label in metric.labels.iter().filter(|label| ["stage", "reason", "phase", "status"].contains(*label)) {
            let is_there = rows.iter().any(|(name, each, _)| name == &metric.name && each == label);
            assert!(is_there, "{} and {label} need a row of {}", metric.name, file!());
        }
    }
    rows
}

fn kinds() -> Names {
    let text = "{defaults: {trust: mozilla}, targets: [{host: a.example}, {mx: a.example}, {submission: a.example}]}";
    let config = Config::parse(text, Path::new("kinds")).expect("a config");
    strings(config.targets.iter().map(|target| target.kind.as_str()))
}

/// The keys of the config, which tells those that it takes where it is given another one.
fn config_keys() -> Names {
    let mut keys = Names::new();
    for (place, document) in [
        ("", "?: 1"),
        ("defaults.", "defaults: {?: 1}"),
        ("targets[].", "targets: [{?: 1}]"),
        ("targets[].client_certificate.", "targets: [{host: a.example, client_certificate: {?: 1}}]"),
        ("trust_stores.", "trust_stores: {a: {?: 1}}"),
        ("resolvers.", "resolvers: {a: {?: 1}}"),
        ("limits.", "limits: {?: 1}"),
        ("probe.", "probe: {?: 1}"),
    ] {
        let text = document.replace('?', "no_such_key");
        let error = Config::parse(&text, Path::new("keys")).expect_err(document).to_string();
        let allowed = error.split("allowed are ").nth(1).and_then(|rest| rest.split(" (").next());
        keys.extend(allowed.expect(&error).split(", ").map(|key| format!("{place}{key}")));
    }
    keys
}

/// Long flags, and the names of sub-commands.
fn flags() -> (Names, Names) {
    let mut command = Args::command();
    command.build();
    let (mut flags, mut names) = (Names::new(), Names::new());
    let all = command.get_subcommands().chain([&command]);
    for each in all {
        flags.extend(each.get_arguments().filter_map(|flag| flag.get_long()).map(str::to_owned));
        names.insert(each.get_name().to_owned());
    }
    (flags, names)
}

/// The way to each key of `value`.
pub(super) fn json_keys(value: &Value, way: &str, found: &mut Names) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let way = if way.is_empty() { key.clone() } else { format!("{way}.{key}") };
                json_keys(value, &way, found);
                found.insert(way);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| json_keys(value, &format!("{way}[]"), found)),
        _ => {}
    }
}

pub(super) fn strings<'a>(words: impl IntoIterator<Item = &'a str>) -> Names {
    words.into_iter().map(str::to_owned).collect()
}

/// What the names of all metrics begin with that are about mail servers.
pub(super) const PREFIX: &str = "smtp_tls_";
