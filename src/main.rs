//! The exporter's binary.

use std::process::ExitCode;

use clap::Parser;
use smtp_tls_exporter::cmd::cli::{Args, Command};
use smtp_tls_exporter::cmd::{check, health, serve, verify};

fn main() -> ExitCode {
    let mut args = Args::parse();
    match args.command.take() {
        None => serve::command(args),
        Some(Command::Check(args)) => check::command(&args),
        Some(Command::Verify(args)) => verify::command(args),
        Some(Command::Health(args)) => health::command(&args),
    }
}
