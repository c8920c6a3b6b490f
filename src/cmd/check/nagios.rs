//! `--output=nagios`: the exit codes and error messages of a monitoring plugin. Nagios reads standard output only, so errors are
//! a status line there, and the exit codes of the other outputs (2 for invalid usage) would be a false state.

use std::env;
use std::ffi::OsStr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::error::{ContextKind, ContextValue};

use crate::cmd::{Error, print, written};
use crate::render::plugin_status;
use crate::snapshot::state::HealthState;

/// The exit code of a state.
pub(super) const fn code(state: HealthState) -> u8 {
    match state {
        HealthState::Ok => 0,
        HealthState::Warning => 1,
        HealthState::Critical => 2,
        HealthState::Unknown => 3,
    }
}

/// The exit code of `check`: that of its result, else unknown, with the reason as the status line.
pub(super) fn run(check: impl FnOnce() -> Result<Option<u8>, Error>) -> u8 {
    match catch_unwind(AssertUnwindSafe(check)) {
        Ok(Ok(Some(code))) => code,
        Ok(Ok(None)) => unknown("interrupted"),
        Ok(Err(error)) => unknown(&error.to_string()),
        Err(_) => unknown("internal error: the check panicked"),
    }
}

/// The exit code for a usage error, or help, of a command line that asks for this output; none for others. Prints it.
pub(crate) fn usage(error: &clap::Error) -> Option<u8> {
    let is_suggested = match error.get(ContextKind::SuggestedValue) {
        Some(ContextValue::String(value)) => value == NAME,
        Some(ContextValue::Strings(values)) => values.iter().any(|value| value == NAME),
        _ => false,
    };
    if !is_suggested && !is_requested(env::args_os().skip(1)) {
        return None;
    }
    if error.use_stderr() {
        let text = error.render().to_string();
        return Some(unknown(text.strip_prefix("error: ").unwrap_or(&text)));
    }
    // A plugin that prints its help has checked nothing.
    let _ = written(error.print());
    Some(code(HealthState::Unknown))
}

/// Prints the status line and returns the exit code, which says the same if nothing can be printed.
fn unknown(message: &str) -> u8 {
    let _ = print(&plugin_status(HealthState::Unknown, message));
    code(HealthState::Unknown)
}

/// Whether arguments that are not valid ask for this output, whatever the flag is called.
fn is_requested(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> bool {
    let is_nagios = |value: &str| value.eq_ignore_ascii_case(NAME);
    let mut is_after_flag = false;
    for arg in args {
        let arg = arg.as_ref().to_string_lossy();
        match arg.split_once('=') {
            _ if arg == "--" => return false,
            Some((flag, value)) if flag.starts_with('-') && is_nagios(value) => return true,
            None if is_after_flag && is_nagios(&arg) => return true,
            found => is_after_flag = found.is_none() && arg.starts_with('-'),
        }
    }
    false
}

/// The value of `--output`.
const NAME: &str = "nagios";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_output_in_invalid_arguments() {
        for (args, expected) in [
            ("check a.test --output=nagios --nope", true),
            ("check a.test --output nagios --timeout=0", true),
            ("--output=nagios a.test", true),
            ("check a.test --outptu=nagios", true),
            ("check a.test --output=Nagios", true),
            ("chekc --output=json --output=nagios", true),
            ("check -- --output=nagios", false),
            ("check nagios", false),
            ("check --nope a.test nagios", false),
            ("check nagios --output=json", false),
            ("check a=nagios --nope", false),
            ("", false),
        ] {
            assert_eq!(is_requested(args.split_whitespace()), expected, "{args}");
        }
    }

    #[test]
    fn every_end_without_a_result_is_unknown() {
        for (end, expected) in [
            (run(|| Ok(Some(2))), 2),
            (run(|| Ok(Some(0))), 0),
            (run(|| Ok(None)), 3),
            (run(|| Err("no such file".into())), 3),
            (run(|| panic!("a defect")), 3),
        ] {
            assert_eq!(end, expected);
        }
    }

    #[test]
    fn states_have_the_codes_of_the_guidelines() {
        let codes = [HealthState::Ok, HealthState::Warning, HealthState::Critical, HealthState::Unknown].map(code);
        assert_eq!(codes, [0, 1, 2, 3]);
    }
}
