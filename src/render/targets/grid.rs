//! A table of text cells. The last columns share the width that the others leave.

use crate::render::page::{Page, length, wrap};
use crate::render::style::Highlight;

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
    pub(super) fn of<'a>(
        head: &[&'static str],
        flexible: usize,
        rows: impl Iterator<Item = &'a Vec<Cell>> + Clone,
        columns: usize,
    ) -> Self {
        let cells = |index: usize| rows.clone().filter_map(move |row| row.get(index));
        let natural = |index: usize| {
            let lengths = cells(index).map(|cell| length(&cell.text));
            lengths.chain(head.get(index).map(|word| length(word))).max().unwrap_or_default()
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
        let is_right = (0..head.len()).map(|index| cells(index).any(|cell| cell.right)).collect();
        Self { head: head.to_vec(), flexible, widths, is_right }
    }

    pub(super) fn head(&self, page: &mut Page) {
        let cells = self.head.iter().zip(&self.is_right);
        let cells = cells.map(|(word, right)| Cell { right: *right, ..Cell::new(*word, Highlight::Heading) });
        self.row(page, &cells.collect::<Vec<_>>());
    }

    pub(super) fn row(&self, page: &mut Page, cells: &[Cell]) {
        let fixed = self.head.len().saturating_sub(self.flexible);
        let lines = |(index, (cell, width)): (usize, (&Cell, &usize))| {
            if index < fixed { vec![cell.text.clone()] } else { cell_lines(&cell.text, *width) }
        };
        let wrapped: Vec<Vec<String>> = cells.iter().zip(&self.widths).enumerate().map(lines).collect();
        let height = wrapped.iter().map(Vec::len).max().unwrap_or_default();
        for line in 0..height {
            let mut out = " ".repeat(INDENT);
            let mut pending = 0;
            for ((cell, lines), width) in cells.iter().zip(&wrapped).zip(&self.widths) {
                let text = lines.get(line).map_or("", String::as_str);
                let padding = width.saturating_sub(length(text));
                // Spaces are written only if text follows.
                let before = pending + if cell.right { padding } else { 0 };
                if !text.is_empty() {
                    out.extend(std::iter::repeat_n(' ', before));
                    out.push_str(&page.style.paint(cell.highlight, text));
                    pending = 0;
                } else {
                    pending = before;
                }
                pending += GAP + if cell.right { 0 } else { padding };
            }
            page.line(&out);
        }
    }
}

/// `text` in at most [`MAX_LINES`] lines of at most `width` characters. Longer words are broken, the rest is cut.
fn cell_lines(text: &str, width: usize) -> Vec<String> {
    let pieces = text.split_whitespace().flat_map(|word| {
        let chars: Vec<char> = word.chars().collect();
        chars.chunks(width.max(1)).map(String::from_iter).collect::<Vec<String>>()
    });
    let mut lines = wrap(pieces, width);
    if lines.len() > MAX_LINES {
        lines.truncate(MAX_LINES);
        if let Some(last) = lines.last_mut() {
            *last = last.chars().take(width.saturating_sub(1)).collect();
            last.push('…');
        }
    }
    lines
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
            assert_eq!(cell_lines(text, width), expected, "{text:?} in {width}");
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
        let grid = Grid::of(&["backend", "days", "issuer"], 1, rows.iter(), columns);
        let mut page = Page::default();
        grid.head(&mut page);
        rows.iter().for_each(|row| grid.row(&mut page, row));
        assert_eq!(page.text, expected);
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
