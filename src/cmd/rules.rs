//! `rules`: prints the rules for Prometheus.

use std::process::ExitCode;

use super::cli::RulesArgs;
use super::stderr::Priority;
use super::{Error, USAGE, exit_with, load_complete, note, print, read_in_time};
use crate::rules::{Parameters, TargetLabels, keeps_route_label, render};

/// Prints the rules. The exit code is 2 if a file is invalid or the output cannot be written.
pub fn command(args: RulesArgs) -> ExitCode {
    match rules(args).and_then(|text| print(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit_with(USAGE, &error),
    }
}

fn rules(args: RulesArgs) -> Result<String, Error> {
    let RulesArgs { parameters: file, config_files, labels } = args;
    let is_from_config = !config_files.is_empty();
    let keeps_only_named = file.is_none() && (is_from_config || !labels.is_empty());
    let (mut parameters, configs) = read_in_time(move || -> Result<_, Error> {
        let parameters = file.map_or_else(Parameters::shipped, |file| Parameters::load(&file))?;
        Ok((parameters, config_files.iter().map(|file| load_complete(file)).collect::<Result<Vec<_>, _>>()?))
    })??;
    let found = TargetLabels::of(configs.iter().flat_map(|config| &config.targets).map(|target| &**target));
    for (name, error) in &found.left_out {
        note(Priority::Warning, &format_args!("warning: alerts cannot keep the label `{name}` of targets: {error}"));
    }
    let kept = &mut parameters.labels.kept;
    if keeps_only_named {
        kept.clear();
    }
    kept.extend(labels.into_iter().chain(found.kept));
    if is_from_config && !keeps_route_label(kept) {
        note(
            Priority::Info,
            &"note: no target has the label `team`, so alerts do not keep it, and the routes of alertmanager.example.yaml do not \
              match; if the scrape configuration sets it, add `--label=team`",
        );
    }
    Ok(render(&parameters)?)
}
