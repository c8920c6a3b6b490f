//! The exporter's binary.

use std::process::ExitCode;

use clap::Parser;
use smtp_tls_exporter::cmd::cli::{Args, Command};
use smtp_tls_exporter::cmd::signals::BlockedSignals;
use smtp_tls_exporter::cmd::{check, completions, health, man, print_usage, report_panics, rules, serve, verify};

fn main() -> ExitCode {
    // First of all: until then, each of these signals ends the process.
    let signals = BlockedSignals::block();
    report_panics();
    let mut args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            signals.unblock();
            return print_usage(&error);
        }
    };
    match args.command.take() {
        None => serve::command(args, signals),
        Some(Command::Check(args)) => check::command(args, signals),
        Some(Command::Verify(args)) => {
            signals.unblock();
            verify::command(args)
        }
        Some(Command::Rules(args)) => {
            signals.unblock();
            rules::command(args)
        }
        Some(Command::Health(args)) => {
            signals.unblock();
            health::command(&args)
        }
        Some(Command::Completions(args)) => {
            signals.unblock();
            completions::command(&args)
        }
        Some(Command::Man(args)) => {
            signals.unblock();
            man::command(&args)
        }
    }
}
