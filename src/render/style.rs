//! Line width and colors.

use anstyle::{AnsiColor, Style as Ansi};

/// How a table is written. Colors add no information to the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns per line; at least [`Style::MIN_WIDTH`] are used.
    pub width: usize,
    /// Whether escape sequences for colors are written.
    pub color: bool,
    /// Whether every presented certificate is printed in full.
    pub certificates: bool,
}

impl Style {
    /// The columns that a table needs.
    pub const MIN_WIDTH: usize = 60;

    pub(super) fn columns(&self) -> usize {
        self.width.max(Self::MIN_WIDTH)
    }

    /// `text` in the color of `highlight`. The escape sequences take no columns.
    pub(super) fn paint(&self, highlight: Highlight, text: &str) -> String {
        let ansi = match highlight {
            Highlight::None => return text.to_owned(),
            _ if !self.color => return text.to_owned(),
            Highlight::Ok => AnsiColor::Green.on_default(),
            Highlight::Error => AnsiColor::Red.on_default().bold(),
            Highlight::Warning => AnsiColor::Yellow.on_default(),
            Highlight::Heading => Ansi::new().bold(),
        };
        format!("{ansi}{text}{ansi:#}")
    }
}

impl Default for Style {
    /// The style for a file: 80 columns, no colors.
    fn default() -> Self {
        Self { width: 80, color: false, certificates: false }
    }
}

/// The meaning of a color.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Highlight {
    None,
    Ok,
    Error,
    Warning,
    Heading,
}
