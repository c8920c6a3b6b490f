//! `verify`: verdicts on a certificate chain in a file.

use std::process::ExitCode;
use std::time::SystemTime;

use super::cli::{Output, VerifyArgs};
use super::{FINDINGS, USAGE, exit_with, print};
use crate::render;
use crate::verify::{Request, verify};

/// Prints the verdicts. The exit code is 0 if every name matches and the chain is valid, 1 if not, and 2 if a file cannot
/// be read or the output cannot be written.
pub fn command(args: VerifyArgs) -> ExitCode {
    let VerifyArgs { hosts: names, at, ca_files, no_system_roots, output, chain } = args;
    let at = at.unwrap_or_else(SystemTime::now);
    let verification = match verify(&Request { names, at, chain, ca_files, system_roots: !no_system_roots }) {
        Ok(verification) => verification,
        Err(error) => return exit_with(USAGE, &error),
    };
    let text = match output {
        Output::Table => render::table(&verification),
        Output::Json => render::json(&verification),
    };
    match print(&text) {
        Err(error) => exit_with(USAGE, &error),
        Ok(()) if verification.is_ok() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(FINDINGS),
    }
}
