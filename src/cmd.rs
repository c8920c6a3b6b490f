//! The command line: arguments, sub-commands, logging and signals. Each sub-command returns its exit code.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use self::stderr::{Priority, Stderr};
use crate::config::Config;
use crate::file::with_deadline;
use crate::text::{escaped, is_printable};

pub mod check;
pub mod cli;
pub mod completions;
pub mod health;
pub mod logging;
pub mod man;
pub mod rules;
pub mod serve;
pub mod signals;
mod stderr;
pub mod verify;

/// Prints help, the version or a usage error, and returns the exit code.
pub fn print_usage(error: &clap::Error) -> ExitCode {
    if let Some(code) = check::nagios::usage(error) {
        return ExitCode::from(code);
    }
    if error.use_stderr() {
        let text = error.render().to_string();
        if io::stderr().is_terminal() && text.chars().all(|c| c == '\n' || is_printable(c)) {
            // In color.
            let _ = error.print();
        } else {
            Stderr::new().write(Priority::Error, &text);
        }
        return ExitCode::from(USAGE);
    }
    match written(error.print()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit_with(USAGE, &error),
    }
}

/// Prints an error and returns `code`.
fn exit_with(code: u8, error: &dyn Display) -> ExitCode {
    note(Priority::Error, error);
    ExitCode::from(code)
}

/// Prints a message on standard error, as one line.
fn note(priority: Priority, message: &dyn Display) {
    Stderr::new().write(priority, &escaped(&format!("smtp-tls-exporter: {message}")));
}

/// Makes panics known as errors where the journal of systemd reads standard error.
pub fn report_panics() {
    Stderr::new().report_panics();
}

/// Prints a result on standard output.
fn print(text: &str) -> Result<(), Error> {
    written(io::stdout().write_all(text.as_bytes()))
}

/// The result of writing to standard output. A reader that closes the pipe early is not an error.
fn written(result: io::Result<()>) -> Result<(), Error> {
    match result.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}").into())
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The result of `work`, which reads the configuration and the files that it refers to.
fn read_in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    with_deadline(READ_LIMIT, work).map_err(|error| format!("reading the configuration failed: {error}").into())
}

/// The configuration in a file, with all of its target files. Prints its warnings.
fn load_complete(file: &Path) -> Result<Config, Error> {
    let config = Config::load(file)?;
    for warning in &config.warnings {
        note(Priority::Warning, &format_args!("warning: {warning}"));
    }
    for glob in config.files.unmatched() {
        note(Priority::Warning, &format_args!("warning: no file matches target_files pattern `{glob}`"));
    }
    if let [first, others @ ..] = config.files.failures() {
        others.iter().for_each(|failure| note(Priority::Error, failure));
        return Err(first.to_string().into());
    }
    Ok(config)
}

fn runtime_error(error: io::Error) -> Error {
    format!("cannot start the runtime: {error}").into()
}

/// An error that ends the command: it is printed and not handled otherwise.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// The exit code for problems of the checked servers or certificates.
const FINDINGS: u8 = 1;
/// The exit code for a runtime failure.
const FAILURE: u8 = 1;
/// The exit code for invalid usage, an invalid configuration, or a file that cannot be read or written.
const USAGE: u8 = 2;
const READ_LIMIT: Duration = Duration::from_secs(30);
