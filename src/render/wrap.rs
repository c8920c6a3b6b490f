//! Wrapping at a line width.

/// [`hanging_in`] with a width of [`WIDTH`].
pub(super) fn hanging(out: &mut String, lead: &str, text: &str) {
    hanging_in(out, WIDTH, lead, text);
}

/// Writes `lead` and the words of `text` in lines of at most `width` columns, with further lines indented by the length of
/// `lead`. A word that is longer than a line has a line of its own.
pub(super) fn hanging_in(out: &mut String, width: usize, lead: &str, text: &str) {
    let indent = lead.chars().count();
    out.push_str(lead);
    let mut column = indent;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        let is_first = column == indent;
        if !is_first && column + 1 + length > width {
            end_line(out);
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if !is_first {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    end_line(out);
}

fn end_line(out: &mut String) {
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
}

/// Columns of a line if the width of the terminal is unknown.
pub(super) const WIDTH: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lead: &str, text: &str, expected: &str) {
        let mut out = String::new();
        hanging(&mut out, lead, text);
        assert_eq!(out, expected);
    }

    #[test]
    fn further_lines_are_indented() {
        let (a, b, long) = ("a".repeat(40), "b".repeat(35), "c".repeat(90));
        check("key ", "value", "key value\n");
        check("key ", "", "key\n");
        check("key ", "two\n  words", "key two words\n");
        // 4 + 40 + 1 + 35 are 80.
        check("key ", &format!("{a} {b} c"), &format!("key {a} {b}\n    c\n"));
        check("key ", &format!("{a} {b}b c"), &format!("key {a}\n    {b}b c\n"));
        check("key ", &format!("x {long} y"), &format!("key x\n    {long}\n    y\n"));
        check("ü ", &format!("{a} {b}bb c"), &format!("ü {a} {b}bb\n  c\n"));
    }
}
