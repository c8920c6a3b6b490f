//! A table of text cells. The last columns share the width that the others leave.

use crate::render::style::{Highlight, Style};

/// The layout of the columns.
pub(super) struct Grid {
    head: Vec<&'static str>,
    /// Number of the last columns whose cells wrap.
    flexible: usize,
    widths: Vec<usize>,
    /// Whether each column is aligned to the right.
    is_right: Vec<bool>,
}

/// The text in one column of one row.
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) highlight: Highlight,
    /// Whether it is aligned to the right, as numbers are.
    pub(super) right: bool,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>, highlight: Highlight) -> Self {
        Self { text: text.into(), highlight, right: false }
    }

    pub(super) fn number(text: impl Into<String>, highlight: Highlight) -> Self {
        Self { right: true, ..Self::new(text, highlight) }
    }
}

impl Grid {
    /// The layout of `rows` in lines of `columns`. Each row has one cell per heading.
    pub(super) fn of(head: &[&'static str], flexible: usize, rows: &[Vec<Cell>], columns: usize) -> Self {
        let natural = |index: usize| {
            let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| length(&cell.text));
            cells.chain(head.get(index).map(|word| length(word))).max().unwrap_or_default()
        };
        let mut widths: Vec<usize> = (0..head.len()).map(natural).collect();
        let fixed = head.len().saturating_sub(flexible);
        let gaps = INDENT + GAP * head.len().saturating_sub(1);
        let taken: usize = widths.iter().take(fixed).sum::<usize>() + gaps;
        let mut left = columns.saturating_sub(taken);
        for (index, width) in widths.iter_mut().enumerate().skip(fixed) {
            // An even share: the next columns get what this one leaves.
            let share = left / (head.len() - index);
            *width = (*width).min(share.max(MIN_WIDTH));
            left = left.saturating_sub(*width);
        }
        let is_right = |index: usize| rows.iter().filter_map(|row| row.get(index)).any(|cell| cell.right);
        let is_right = (0..head.len()).map(is_right).collect();
        Self { head: head.to_vec(), flexible, widths, is_right }
    }

    pub(super) fn head(&self, out: &mut String, style: &Style) {
        let cells = self.head.iter().zip(&self.is_right).map(|(word, right)| {
            let cell = Cell::new(*word, Highlight::Heading);
            Cell { right: *right, ..cell }
        });
        self.row(out, &cells.collect::<Vec<_>>(), style);
    }

    pub(super) fn row(&self, out: &mut String, cells: &[Cell], style: &Style) {
        let fixed = self.head.len().saturating_sub(self.flexible);
        let wrapped: Vec<Vec<String>> = cells
            .iter()
            .zip(&self.widths)
            .enumerate()
            .map(
                |(index, (cell, width))| if index < fixed { vec![cell.text.clone()] } else { wrap(&cell.text, *width) },
            )
            .collect();
        let height = wrapped.iter().map(Vec::len).max().unwrap_or_default();
        for line in 0..height {
            out.extend(std::iter::repeat_n(' ', INDENT));
            let mut pending = 0;
            for ((cell, lines), width) in cells.iter().zip(&wrapped).zip(&self.widths) {
                let text = lines.get(line).map_or("", String::as_str);
                let padding = width.saturating_sub(length(text));
                // Spaces are written only if text follows.
                let before = pending + if cell.right { padding } else { 0 };
                if !text.is_empty() {
                    out.extend(std::iter::repeat_n(' ', before));
                    out.push_str(&style.paint(cell.highlight, text));
                    pending = 0;
                } else {
                    pending = before;
                }
                pending += GAP + if cell.right { 0 } else { padding };
            }
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
        }
    }
}

/// `text` in at most [`MAX_LINES`] lines of at most `width` characters. Longer words are broken, the rest is cut.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        while !rest.is_empty() {
            let Some(line) = lines.last_mut() else { break };
            let used = length(line);
            let is_empty = used == 0;
            let free = width.saturating_sub(used + usize::from(!is_empty));
            if rest.len() <= free || (is_empty && width <= free) {
                let taken = rest.len().min(free.max(1));
                if !is_empty {
                    line.push(' ');
                }
                line.extend(rest.drain(..taken));
            } else {
                lines.push(String::new());
            }
        }
    }
    if lines.len() > MAX_LINES {
        lines.truncate(MAX_LINES);
        if let Some(last) = lines.last_mut() {
            *last = last.chars().take(width.saturating_sub(1)).collect();
            last.push('…');
        }
    }
    lines
}

fn length(text: &str) -> usize {
    text.chars().count()
}

const INDENT: usize = 2;
const GAP: usize = 2;
/// Minimum width of columns that wrap.
const MIN_WIDTH: usize = 12;
/// Lines per cell.
pub(super) const MAX_LINES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_wrap() {
        for (text, width, expected) in [
            ("", 5, &[""][..]),
            ("one two", 7, &["one two"]),
            ("one two", 6, &["one", "two"]),
            ("abcdefghij", 4, &["abcd", "efgh", "ij"]),
            ("ab cdefghij", 4, &["ab", "cdef", "ghij"]),
            ("a b c d e f", 1, &["a", "b", "c", "…"]),
            ("aa bb cc dd ee", 2, &["aa", "bb", "cc", "d…"]),
            ("ü ü", 3, &["ü ü"]),
        ] {
            assert_eq!(wrap(text, width), expected, "{text:?} in {width}");
        }
    }

    #[track_caller]
    fn check(columns: usize, expected: &str) {
        let rows = [["192.0.2.1:25", "9", "CN=One"], ["192.0.2.10:25", "-10", "C=US, O=Example, CN=Two"]];
        let cells = |row: [&str; 3]| {
            let [a, b, c] = row;
            vec![Cell::new(a, Highlight::None), Cell::number(b, Highlight::Error), Cell::new(c, Highlight::None)]
        };
        let rows: Vec<_> = rows.into_iter().map(cells).collect();
        let grid = Grid::of(&["backend", "days", "issuer"], 1, &rows, columns);
        let (mut out, style) = (String::new(), Style::default());
        grid.head(&mut out, &style);
        rows.iter().for_each(|row| grid.row(&mut out, row, &style));
        assert_eq!(out, expected);
    }

    #[test]
    fn columns_are_aligned_and_fit_the_line() {
        check(
            80,
            "  backend        days  issuer\n\
             \x20 192.0.2.1:25      9  CN=One\n\
             \x20 192.0.2.10:25   -10  C=US, O=Example, CN=Two\n",
        );
        check(
            40,
            "  backend        days  issuer\n\
             \x20 192.0.2.1:25      9  CN=One\n\
             \x20 192.0.2.10:25   -10  C=US, O=Example,\n\
             \x20                      CN=Two\n",
        );
    }
}
