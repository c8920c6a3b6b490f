//! `man`: man pages of the binary and its sub-commands.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_mangen::Man;

use super::cli::{Args, ManArgs};
use super::{Error, USAGE, exit_with, print};

/// Prints the page of the binary, or writes all pages to a directory. The exit code is 2 if one cannot be written.
pub fn command(args: &ManArgs) -> ExitCode {
    match man(args.dir.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit_with(USAGE, &error),
    }
}

fn man(folder: Option<&Path>) -> Result<(), Error> {
    let mut root = Args::command().disable_help_subcommand(true);
    root.build();
    let Some(folder) = folder else { return print(&page(root)?.1) };
    fs::create_dir_all(folder).map_err(|error| format!("cannot create the directory {}: {error}", folder.display()))?;
    let commands: Vec<clap::Command> = root.get_subcommands().cloned().collect();
    for command in commands.into_iter().chain([root]) {
        let (name, text) = page(command)?;
        let file = folder.join(name);
        fs::write(&file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    Ok(())
}

/// The file name and the text of the page of one command. Pages have no date, so that they are reproducible.
fn page(command: clap::Command) -> Result<(String, String), Error> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let help = command.get_after_long_help().or_else(|| command.get_after_help()).map(ToString::to_string);
    let (has_flags, has_commands) = (command.get_arguments().next().is_some(), command.has_subcommands());
    let man = Man::new(command);
    let mut text = Vec::new();
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if has_flags {
        man.render_options_section(&mut text)?;
    }
    if has_commands {
        man.render_subcommands_section(&mut text)?;
    }
    let head = format!(".TH {} 1 \"\" \"smtp\\-tls\\-exporter {VERSION}\" \"User Commands\"\n", name.to_uppercase());
    let sections: String = help.iter().flat_map(|help| help.split("\n\n")).map(section).collect();
    Ok((format!("{name}.1"), head + &String::from_utf8(text)? + &sections))
}

/// A paragraph of a help text as a section: the first line is its heading, the others are not filled.
fn section(paragraph: &str) -> String {
    let (heading, lines) = paragraph.split_once(":\n").unwrap_or(("Notes", paragraph));
    let lines: String = lines.lines().map(|line| format!("{}\n", escaped(line))).collect();
    format!(".SH {}\n.nf\n{lines}.fi\n", escaped(&heading.to_uppercase()))
}

/// `line` without characters that have a meaning in roff.
fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga");
    if line.starts_with('.') { format!("\\&{line}") } else { line }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
