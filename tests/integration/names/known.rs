//! The names that exist: those of the code, and those that the shipped rules and dashboards define.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::{CommandFactory, Parser, error::ErrorKind};
use serde_json::Value;
use smtp_tls_exporter::cmd::cli::Args;
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::metrics::table::{METRICS, Metric, PROBE_METRICS, reserved_labels};
use smtp_tls_exporter::reason::{
    AdviceKind, ChainReason, LocalReason, LookupReason, NameReason, OcspReason, OcspStatus, Phase, ProbeReason,
    Resolves, Severity, SkipReason, Stage,
};
use smtp_tls_exporter::target::IpFamily;

use super::fragments::{Fragment, Kind, is_plain, tokens, words};
use super::tables::{ADDED_LABELS, ALERT_LABELS, OTHER_METRICS, OTHER_VALUES};
use super::{RULES, Texts};
use crate::docs::{BLACKBOX, verification_json};

/// The prefix of metrics that are about mail servers.
pub(super) const PREFIX: &str = "smtp_tls_";

type Names = BTreeSet<String>;

#[derive(Default)]
pub(super) struct Known {
    /// The labels of each metric; none where they are not known, as those of recording rules.
    pub(super) series: BTreeMap<String, Names>,
    /// Every label of a series, an alert or the result of a query.
    pub(super) labels: Names,
    /// The values of labels that have a fixed set of them.
    pub(super) values: BTreeMap<String, Names>,
    pub(super) alerts: Names,
    /// Long flags of the command and its sub-commands.
    pub(super) flags: Names,
    /// Everything that a code span may name: all of the above, keys of the config and of JSON, sub-commands.
    pub(super) words: Names,
}

impl Known {
    pub(super) fn new(texts: &Texts, fragments: &[Fragment]) -> Self {
        let mut known = Self { values: values(), labels: names(ALERT_LABELS.iter().copied()), ..Self::default() };
        for metric in metrics() {
            let labels = [metric.scope.labels(), metric.labels, ADDED_LABELS].concat();
            known.series.insert(metric.name.to_owned(), names(labels));
        }
        let others = OTHER_METRICS.iter().chain(BLACKBOX);
        known.series.extend(others.map(|name| ((*name).to_owned(), Names::new())));
        let mut command = Args::command();
        command.build();
        for command in command.get_subcommands().chain([&command]) {
            known.words.insert(command.get_name().to_owned());
            known.flags.extend(names(command.get_arguments().filter_map(|flag| flag.get_long())));
        }
        for rule in texts[RULES].lines().filter_map(|line| line.trim_start().strip_prefix("- ")?.split_once(": ")) {
            match rule {
                ("alert", name) => _ = known.alerts.insert(name.to_owned()),
                ("record", name) => _ = known.series.insert(name.to_owned(), Names::new()),
                _ => {}
            }
        }
        for (file, text) in texts.iter().filter(|(file, _)| file.ends_with(".json")) {
            let dashboard: Value = serde_json::from_str(text).expect(file);
            let variables = dashboard["templating"]["list"].as_array().into_iter().flatten();
            known.labels.extend(names(variables.filter_map(|variable| variable["name"].as_str())));
        }
        // A string argument that is a plain name is a label of `label_replace`.
        for query in fragments.iter().filter(|fragment| fragment.kind == Kind::Query) {
            for window in tokens(&query.text).windows(3).filter(|window| window[0] == "," && window[2] == ",") {
                let argument = window[1].strip_prefix('"').map(|argument| argument.trim_end_matches('"'));
                known.labels.extend(names(argument.filter(|label| is_plain(label))));
            }
        }
        known.labels.extend(known.series.values().flatten().cloned().collect::<Vec<_>>());
        known.labels.extend(names(reserved_labels()));
        let short = known.series.keys().filter_map(|name| name.strip_prefix(PREFIX));
        known.words.extend(short.map(str::to_owned).chain(known.series.keys().chain(&known.labels).cloned()));
        known.words.extend(known.values.values().flatten().cloned());
        known.words.extend(config_keys(&texts["config.example.yaml"]));
        json_keys(&verification_json(), &mut known.words);
        known.words.extend(first_cells(&texts["docs/api.md"]));
        known
    }
}

pub(super) fn metrics() -> impl Iterator<Item = &'static Metric> {
    METRICS.iter().chain(PROBE_METRICS).copied()
}

/// The error of the first command in a line of shell that the exporter would not accept. Arguments may be left out.
pub(super) fn invalid_command(line: &str) -> Option<String> {
    let line = line.split(" #").next().unwrap_or_default();
    line.split(['|', ';', '&', '>', '<', ')']).find_map(|command| {
        let words = command.split_whitespace().skip_while(|word| ["do", "$", "sudo", "…"].contains(word));
        let words: Vec<&str> = words.collect();
        words.first().filter(|program| program.rsplit('/').next() == Some("smtp-tls-exporter"))?;
        let error = Args::try_parse_from(&words).err()?;
        let is_fine = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::MissingRequiredArgument);
        (!is_fine).then(|| error.to_string().lines().next().unwrap_or_default().to_owned())
    })
}

/// The error of a part of a config; what every config needs is added.
pub(super) fn invalid_config(part: &str) -> Option<String> {
    let targets = if part.contains("targets:") { "" } else { "targets: [{host: smtp.example.com}]" };
    let text = format!("{part}\ndefaults: {{trust: mozilla}}\n{targets}\n");
    Config::parse(&text, Path::new("config")).err().map(|error| error.to_string())
}

fn values() -> BTreeMap<String, Names> {
    let mut values = BTreeMap::<String, Names>::new();
    macro_rules! add {
        ($($label:literal $words:ty)+) => {
            $( values.entry($label.to_owned()).or_default().extend(names(<$words>::ALL.iter().map(|word| word.as_str()))); )+
        };
    }
    add! {
        "stage" Stage "phase" Phase "resolves" Resolves "status" OcspStatus "severity" Severity "advice" AdviceKind
        "reason" ChainReason "reason" LocalReason "reason" LookupReason "reason" NameReason
        "reason" OcspReason "reason" ProbeReason "reason" SkipReason
    };
    let families = [IpFamily::Auto, IpFamily::Any, IpFamily::Ipv4, IpFamily::Ipv6].map(IpFamily::as_str);
    values.insert("family".to_owned(), names(families));
    values.extend(OTHER_VALUES.iter().map(|(label, words)| ((*label).to_owned(), names(words.iter().copied()))));
    values
}

/// The keys of the example config, also those that are commented out (`#key:`).
fn config_keys(example: &str) -> impl Iterator<Item = String> {
    let entries = example.lines().map(|line| line.trim_start().trim_start_matches('#').trim_start_matches("- "));
    entries.filter_map(|entry| entry.split_once(':')).map(|(key, _)| key.to_owned()).filter(|key| is_plain(key))
}

fn json_keys(value: &Value, found: &mut Names) {
    for (key, value) in value.as_object().into_iter().flatten() {
        found.insert(key.clone());
        json_keys(value, found);
    }
    value.as_array().into_iter().flatten().for_each(|value| json_keys(value, found));
}

/// The words in the first column of a page's tables.
fn first_cells(page: &str) -> Names {
    names(page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).flat_map(words))
}

fn names<'a>(words: impl IntoIterator<Item = &'a str>) -> Names {
    words.into_iter().map(str::to_owned).collect()
}
