//! The names that exist: those of the code, and those that the shipped rules define.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::{CommandFactory, Parser, error::ErrorKind};
use smtp_tls_exporter::cmd::cli::Args;
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::metrics::table::{METRICS, PROBE_METRICS, reserved_labels};
use smtp_tls_exporter::reason::{
    AdviceKind, ChainReason, ChainWarning, ClientAuth, LocalReason, LookupReason, NameDifference, NameReason,
    OcspReason, OcspStatus, Phase, ProbeReason, RejectionCause, Resolves, Sender, Severity, SkipReason, Stage,
};
use smtp_tls_exporter::rules::Parameters;

use super::tables::{ADDED_LABELS, OTHER_VALUES, RESULT_LABELS};
use super::{RULES, Texts, tokens, words};
use crate::docs::{BLACKBOX, verification_json};

type Names = BTreeSet<String>;

#[derive(Default)]
pub(super) struct Known {
    /// The labels of each metric of the exporter.
    pub(super) series: BTreeMap<&'static str, Names>,
    /// Every label of a series, an alert or the result of a query.
    pub(super) labels: Names,
    pub(super) values: BTreeMap<&'static str, Names>,
    pub(super) alerts: Names,
    /// Long flags of the command and its sub-commands.
    pub(super) flags: Names,
    /// Everything that a code span may name: all of the above, keys of the config, of JSON and of the values of the Helm chart,
    /// sub-commands.
    pub(super) words: Names,
}

impl Known {
    pub(super) fn new(texts: &Texts) -> Self {
        let mut known = Self { values: values(), labels: names(RESULT_LABELS.iter().copied()), ..Self::default() };
        for metric in METRICS.iter().chain(PROBE_METRICS) {
            let labels = names([metric.scope.labels(), metric.labels, ADDED_LABELS].concat());
            known.labels.extend(labels.clone());
            known.words.extend(names([metric.name, metric.name.trim_start_matches("smtp_tls_")]));
            known.series.insert(metric.name, labels);
        }
        known.labels.extend(names(reserved_labels()));
        known.words.extend(names(BLACKBOX.iter().copied()));
        let mut command = Args::command();
        command.build();
        for command in command.get_subcommands().chain([&command]) {
            known.words.insert(command.get_name().to_owned());
            known.flags.extend(names(command.get_arguments().filter_map(|flag| flag.get_long())));
        }
        let rules = tokens(&texts[RULES]);
        let defined = |key| rules.windows(2).filter(move |pair| pair[0] == key).map(|pair| pair[1]);
        known.alerts.extend(names(defined("alert:")));
        known.words.extend(names(defined("record:")));
        known.words.extend(known.labels.iter().chain(known.values.values().flatten()).cloned());
        // The examples have all keys, some of them commented out; the page has all keys of the JSON in first columns.
        let files = ["config.example.yaml", "deploy/prometheus/parameters.yaml"].map(|file| &texts[file]);
        let config = files.into_iter().flat_map(|text| text.lines()).filter_map(|line| line.split_once(':'));
        known.words.extend(names(config.map(|(key, _)| key.trim_matches([' ', '-', '#']))));
        let values = texts["deploy/helm/smtp-tls-exporter/values.yaml"].lines().filter_map(|line| line.split_once(':'));
        known.words.extend(names(values.map(|(key, _)| key.trim())));
        let cells = texts["docs/api.md"].lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        known.words.extend(names(cells.flat_map(words)));
        let json = verification_json().to_string();
        known.words.extend(names(json.split("\":").filter_map(|part| part.rsplit('"').next())));
        known
    }
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

/// The error of a part of a file of parameters.
pub(super) fn invalid_parameters(part: &str) -> Option<String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, part).expect("it can be written");
    Parameters::load(file.path()).err().map(|error| error.to_string())
}

/// The values of labels that have a fixed set of them.
fn values() -> BTreeMap<&'static str, Names> {
    let others = OTHER_VALUES.iter().map(|(label, words)| (*label, names(words.split(' '))));
    let mut values: BTreeMap<_, _> = others.collect();
    macro_rules! add {
        ($($label:literal $words:ty)+) => {
            $( values.entry($label).or_default().extend(names(<$words>::ALL.iter().map(|word| word.as_str()))); )+
        };
    }
    add! {
        "stage" Stage "phase" Phase "resolves" Resolves "status" OcspStatus "cause" RejectionCause "severity" Severity "advice" AdviceKind
        "difference" NameDifference "client_certificate" ClientAuth
        "reason" ChainReason "reason" ChainWarning "refused_by" Sender "reason" LocalReason "reason" LookupReason
        "reason" NameReason
        "reason" OcspReason "reason" ProbeReason "reason" SkipReason
    };
    values
}

fn names<'a>(words: impl IntoIterator<Item = &'a str>) -> Names {
    words.into_iter().map(str::to_owned).collect()
}
