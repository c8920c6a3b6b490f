//! How wide lines are, and whether colours help the words.

use anstyle::{AnsiColor, Style as Ansi};

use super::wrap::WIDTH;

/// How a table is written. Colours say nothing that words don't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of a line, where words allow it; at least [`Style::NARROWEST`] are taken.
    pub width: usize,
    /// Whether escape sequences for colours are written.
    pub color: bool,
    /// Whether every presented certificate is told in full.
    pub certificates: bool,
}

impl Style {
    /// Fewer columns hold no table.
    pub const NARROWEST: usize = 60;

    pub(super) fn columns(&self) -> usize {
        self.width.max(Self::NARROWEST)
    }

    /// `text` in the colour of `tone`; what is added takes no room.
    pub(super) fn paint(&self, tone: Tone, text: &str) -> String {
        let ansi = match tone {
            Tone::Plain => return text.to_owned(),
            _ if !self.color => return text.to_owned(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Doubtful => AnsiColor::Yellow.on_default(),
            Tone::Title => Ansi::new().bold(),
        };
        format!("{ansi}{text}{ansi:#}")
    }
}

impl Default for Style {
    /// As for a file or a ticket.
    fn default() -> Self {
        Self { width: WIDTH, color: false, certificates: false }
    }
}

/// What a colour means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Bad,
    Doubtful,
    Title,
}
