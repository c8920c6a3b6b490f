//! The terminal: its width, colors, and the progress line.

use std::env;
use std::io::{self, IsTerminal, Write};

use terminal_size::{Width, terminal_size_of};

use crate::cmd::cli::Color;
use crate::render::Style;
use crate::target::TargetName;
use crate::text::{list, printable};

/// The style for standard output, by its width and the environment.
pub(super) fn style(color: Color, certificates: bool) -> Style {
    let is_terminal = io::stdout().is_terminal();
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let columns = set("COLUMNS").and_then(|value| value.to_str()?.parse().ok());
    let measured = || terminal_size_of(io::stdout()).map(|(Width(width), _)| width.into());
    // Shells do not export COLUMNS: if it is exported, that is deliberate.
    let width = columns.or_else(|| is_terminal.then(measured)?).unwrap_or(DEFAULT_WIDTH).min(MAX_WIDTH);
    let is_dumb = set("TERM").is_some_and(|it| it == "dumb");
    Style { width, color: wants_color(color, is_terminal, set("NO_COLOR").is_some(), is_dumb), certificates }
}

fn wants_color(color: Color, is_terminal: bool, no_color: bool, is_dumb: bool) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => is_terminal && !no_color && !is_dumb,
    }
}

/// A line on standard error with the progress, if that is a terminal. Removed on drop.
#[derive(Debug)]
pub(super) struct ProgressLine {
    width: Option<usize>,
    shown: bool,
}

impl ProgressLine {
    /// Nothing is shown yet.
    pub(super) fn new() -> Self {
        let width = || terminal_size_of(io::stderr()).map_or(DEFAULT_WIDTH, |(Width(width), _)| width.into());
        Self { width: io::stderr().is_terminal().then(width), shown: false }
    }

    /// Shows that the targets in `waiting`, of `total`, are not finished.
    pub(super) fn show(&mut self, total: usize, waiting: &[TargetName]) {
        let Some(width) = self.width.filter(|_| total > 1) else { return };
        let line = line(total, waiting, width.saturating_sub(1));
        // Progress is optional: a failed write changes nothing.
        let _ = write!(io::stderr(), "\r\x1b[K{line}");
        self.shown = true;
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(total: usize, waiting: &[TargetName], width: usize) -> String {
    let done = total - waiting.len();
    let names = list(waiting.iter().map(ToString::to_string), 1);
    let rest = if names.is_empty() { names } else { format!(", waiting for {names}") };
    printable(&format!("{done} of {total} targets finished{rest}"), width.saturating_sub(1))
}

const DEFAULT_WIDTH: usize = 80;
/// Longer lines are hard to read.
const MAX_WIDTH: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_for_terminals() {
        for (color, is_terminal, no_color, is_dumb, expected) in [
            (Color::Auto, true, false, false, true),
            (Color::Auto, false, false, false, false),
            (Color::Auto, true, true, false, false),
            (Color::Auto, true, false, true, false),
            (Color::Always, false, true, true, true),
            (Color::Never, true, false, false, false),
        ] {
            let found = wants_color(color, is_terminal, no_color, is_dumb);
            assert_eq!(found, expected, "{color:?} {is_terminal} {no_color} {is_dumb}");
        }
    }

    #[test]
    fn progress_fits_and_is_printable() {
        let names: Vec<_> = ["a.test:587", "b\u{1b}[2J"].iter().filter_map(|name| TargetName::new(name)).collect();
        for (total, waiting, width, expected) in [
            (3, &names[..0], 79, "3 of 3 targets finished"),
            (3, &names[..1], 79, "2 of 3 targets finished, waiting for a.test:587"),
            (9, &names[..], 79, "7 of 9 targets finished, waiting for a.test:587 and 1 more"),
            (9, &names[1..], 79, "8 of 9 targets finished, waiting for b\u{fffd}[2J"),
            (9, &names[..], 20, "7 of 9 targets fini…"),
        ] {
            assert_eq!(line(total, waiting, width), expected);
        }
    }
}
