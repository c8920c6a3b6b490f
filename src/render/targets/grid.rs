//! Rows of cells under a head, as wide as they need to be; the last columns share what room is left.

use crate::render::style::{Style, Tone};

/// Columns in order; cells of the last ones wrap.
pub(super) struct Grid {
    head: Vec<&'static str>,
    /// How many of the last columns wrap.
    flexible: usize,
    widths: Vec<usize>,
    /// Which columns are of numbers.
    rights: Vec<bool>,
}

/// What stands in one column of one row.
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) tone: Tone,
    /// Numbers stand at the right.
    pub(super) right: bool,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone, right: false }
    }

    pub(super) fn number(text: impl Into<String>, tone: Tone) -> Self {
        Self { right: true, ..Self::new(text, tone) }
    }
}

impl Grid {
    /// The grid of these rows in lines of `columns`; each row has as many cells as the head has words.
    pub(super) fn of(head: &[&'static str], flexible: usize, rows: &[Vec<Cell>], columns: usize) -> Self {
        let natural = |place: usize| {
            let cells = rows.iter().filter_map(|row| row.get(place)).map(|cell| length(&cell.text));
            cells.chain(head.get(place).map(|word| length(word))).max().unwrap_or_default()
        };
        let mut widths: Vec<usize> = (0..head.len()).map(natural).collect();
        let fixed = head.len().saturating_sub(flexible);
        let gaps = INDENT + GAP * head.len().saturating_sub(1);
        let taken: usize = widths.iter().take(fixed).sum::<usize>() + gaps;
        let mut left = columns.saturating_sub(taken);
        for (place, width) in widths.iter_mut().enumerate().skip(fixed) {
            // An even share; what one column leaves, the next ones have.
            let share = left / (head.len() - place);
            *width = (*width).min(share.max(LEAST));
            left = left.saturating_sub(*width);
        }
        let is_right = |place: usize| rows.iter().filter_map(|row| row.get(place)).any(|cell| cell.right);
        let rights = (0..head.len()).map(is_right).collect();
        Self { head: head.to_vec(), flexible, widths, rights }
    }

    pub(super) fn head(&self, out: &mut String, style: &Style) {
        let cells = self.head.iter().zip(&self.rights).map(|(word, right)| {
            let cell = Cell::new(*word, Tone::Title);
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
                |(place, (cell, width))| if place < fixed { vec![cell.text.clone()] } else { wrap(&cell.text, *width) },
            )
            .collect();
        let height = wrapped.iter().map(Vec::len).max().unwrap_or_default();
        for number in 0..height {
            out.extend(std::iter::repeat_n(' ', INDENT));
            let mut due = 0;
            for ((cell, lines), width) in cells.iter().zip(&wrapped).zip(&self.widths) {
                let text = lines.get(number).map_or("", String::as_str);
                let room = width.saturating_sub(length(text));
                // Blanks are written once something follows them.
                let before = due + if cell.right { room } else { 0 };
                if !text.is_empty() {
                    out.extend(std::iter::repeat_n(' ', before));
                    out.push_str(&style.paint(cell.tone, text));
                    due = 0;
                } else {
                    due = before;
                }
                due += GAP + if cell.right { 0 } else { room };
            }
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
        }
    }
}

/// `text` in lines of at most `width`; longer words are broken, and what is over [`MAX_LINES`] is cut.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        while !rest.is_empty() {
            let Some(line) = lines.last_mut() else { break };
            let used = length(line);
            let begins = used == 0;
            let free = width.saturating_sub(used + usize::from(!begins));
            if rest.len() <= free || (begins && width <= free) {
                let taken = rest.len().min(free.max(1));
                if !begins {
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
/// Columns that wrap are at least as wide.
const LEAST: usize = 12;
/// Lines of a cell.
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
            vec![Cell::new(a, Tone::Plain), Cell::number(b, Tone::Bad), Cell::new(c, Tone::Plain)]
        };
        let rows: Vec<_> = rows.into_iter().map(cells).collect();
        let grid = Grid::of(&["backend", "days", "issuer"], 1, &rows, columns);
        let (mut out, style) = (String::new(), Style::default());
        grid.head(&mut out, &style);
        rows.iter().for_each(|row| grid.row(&mut out, row, &style));
        assert_eq!(out, expected);
    }

    #[test]
    fn columns_align_and_fit() {
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
