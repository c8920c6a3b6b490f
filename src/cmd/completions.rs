//! `completions`: prints a script that completes the command line in a shell.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::cli::{Args, CompletionsArgs};
use super::{USAGE, exit_with, print};

/// Prints the script. The exit code is 2 if it cannot be written.
pub fn command(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), NAME, &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    let corrections = match args.shell {
        Shell::Bash => BASH,
        Shell::Fish => FISH,
        _ => &[],
    };
    for (generated, correct) in corrections {
        script = script.replace(generated, correct);
    }
    match print(&script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit_with(USAGE, &error),
    }
}

/// The name of the binary.
const NAME: &str = "smtp-tls-exporter";

/// Corrections of what clap_complete 4.6 generates for bash.
const BASH: &[(&str, &str)] = &[
    // It replaces the hyphens of the binary's name in two ways, so that no sub-command is found.
    ("smtp__subcmd__tls__subcmd__exporter", "smtp__tls__exporter"),
    // Bash splits `--flag=value` into three words.
    (
        "    prev=\"$3\"\n",
        "    prev=\"$3\"\n    if [[ $prev == = && COMP_CWORD -ge 2 ]]; then prev=${COMP_WORDS[COMP_CWORD - 2]}; fi\n",
    ),
];

/// Corrections of what clap_complete 4.6 generates for fish, whose `argparse` accepts no dots in the names of flags. Only
/// the first word can be a sub-command: flags of the binary itself and sub-commands exclude each other.
const FISH: &[(&str, &str)] = &[
    (
        "    argparse -s (__fish_smtp_tls_exporter_global_optspecs) -- $cmd 2>/dev/null\n    or return\n    if set -q argv[1]\n",
        "    if set -q cmd[1]; and not string match --quiet -- '-*' $cmd[1]\n",
    ),
    ("        echo $argv[1]\n", "        echo $cmd[1]\n"),
];
