//! `rules`: prints the rules for Prometheus.

use std::collections::BTreeSet;
use std::process::ExitCode;

use super::cli::RulesArgs;
use super::stderr::Priority;
use super::{Error, USAGE, exit_with, load_complete, note, print, read_in_time};
use crate::rules::{AlertLabel, TargetLabels, keeps_route_label, render, shipped_labels};

/// Prints the rules. The exit code is 2 if a configuration is invalid or the output cannot be written.
pub fn command(args: RulesArgs) -> ExitCode {
    match rules(args).and_then(|text| print(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit_with(USAGE, &error),
    }
}

fn rules(args: RulesArgs) -> Result<String, Error> {
    let RulesArgs { config_files, labels } = args;
    let is_shipped = config_files.is_empty() && labels.is_empty();
    let configs =
        read_in_time(move || config_files.iter().map(|file| load_complete(file)).collect::<Result<Vec<_>, _>>())??;
    let found = TargetLabels::of(configs.iter().flat_map(|config| &config.targets).map(|target| &**target));
    for (name, error) in &found.left_out {
        note(Priority::Warning, &format_args!("warning: alerts cannot keep the label `{name}` of targets: {error}"));
    }
    let is_from_config = !configs.is_empty();
    let all: BTreeSet<AlertLabel> = labels.into_iter().chain(found.kept).collect();
    if is_from_config && !keeps_route_label(&all) {
        note(
            Priority::Info,
            &"note: no target has the label `team`, so alerts do not keep it, and the routes of alertmanager.example.yaml do not \
              match; if the scrape configuration sets it, add `--label=team`",
        );
    }
    Ok(render(&if is_shipped { shipped_labels() } else { all })?)
}
