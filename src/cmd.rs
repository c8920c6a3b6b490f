//! The command line: arguments, sub-commands, logging and signals. Each sub-command returns its exit code.

use std::fmt::Display;
use std::process::ExitCode;

pub mod check;
pub mod cli;
pub mod health;
pub mod logging;
pub mod serve;
mod signals;
pub mod verify;

/// Prints an error and returns `code`.
fn exit_with(code: u8, error: &dyn Display) -> ExitCode {
    eprintln!("smtp-tls-exporter: {error}");
    ExitCode::from(code)
}

/// The exit code for problems of the checked servers or certificates.
const FINDINGS: u8 = 1;
/// The exit code for a runtime failure.
const FAILURE: u8 = 1;
/// The exit code for invalid usage, an invalid configuration or an unreadable file.
const USAGE: u8 = 2;
