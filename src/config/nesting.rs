//! Refuses documents that the YAML scanner is slow on.
//!
//! Its time is proportional to the square of the depth of flow collections (40,000 `[` take seconds) and of the number of
//! `%TAG` directives; nesting by indentation is cheap. A linear pass before it finds them. It knows quotes, comments and
//! block scalars, so that it takes no text for nesting.

use super::error::{ErrorKind, Fault};

/// The maximum nesting of values. A configuration needs five levels.
pub(super) const MAX_DEPTH: usize = 64;

/// Refuses flow collections deeper than [`MAX_DEPTH`], and `%TAG` directives.
pub(super) fn check(text: &str) -> Result<(), Fault> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut block = None;
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start_matches(' ').len();
        if let Some(parent) = block {
            if line.trim().is_empty() || indent > parent {
                continue;
            }
            block = None;
        }
        if quote.is_none() && depth == 0 && line.starts_with("%TAG") {
            return Err(fault(ErrorKind::Syntax, "invalid YAML: %TAG directives are not supported", number, 0));
        }
        let mut scan = Line { bytes: line.as_bytes(), at: 0, node: quote.is_none(), parent: indent };
        while let Some(byte) = scan.next(&mut quote, depth > 0) {
            match byte {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                b'|' | b'>' => block = Some(scan.parent),
                _ => {}
            }
            if depth > MAX_DEPTH {
                let message = "nested too deep: expected at most 64 levels of `[` and `{`";
                return Err(fault(ErrorKind::TooLarge, message, number, scan.before().len()));
            }
        }
    }
    Ok(())
}

fn fault(kind: ErrorKind, message: &str, line: usize, column: usize) -> Fault {
    Fault { position: Some((line + 1, column + 1)), ..Fault::of_file(kind, message) }
}

/// The rest of a line.
struct Line<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether a value may begin here. Only there are quotes and, outside of flow collections, brackets indicators.
    node: bool,
    /// The column of the innermost key or dash so far. The lines of a block scalar are indented deeper.
    parent: usize,
}

impl Line<'_> {
    /// The next indicator: a bracket, or the `|` or `>` of a block scalar. None at the end of the line.
    fn next(&mut self, quote: &mut Option<u8>, flow: bool) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            let following = self.bytes.get(self.at + 1).copied();
            let ends_word = following.is_none_or(|next| next.is_ascii_whitespace());
            self.at += 1;
            match (*quote, byte) {
                (Some(b'"'), b'\\') => self.at += 1,
                (Some(b'\''), b'\'') if following == Some(b'\'') => self.at += 1,
                (Some(open), byte) => {
                    if open == byte {
                        *quote = None;
                    }
                }
                (None, b'"' | b'\'') if self.node => {
                    *quote = Some(byte);
                    self.node = false;
                }
                (None, b'#') if self.before().last().is_none_or(u8::is_ascii_whitespace) => return None,
                (None, b' ' | b'\t') => {}
                (None, b'-' | b'?') if self.node && !flow && ends_word => self.parent = self.at - 1,
                (None, b':') if ends_word || flow => self.node = true,
                (None, b'[' | b'{') if self.node || flow => {
                    self.node = true;
                    return Some(byte);
                }
                (None, b',' | b']' | b'}') if flow => {
                    self.node = byte == b',';
                    return Some(byte);
                }
                (None, b'|' | b'>') if self.node && !flow => return Some(byte),
                (None, b'&' | b'!') if self.node => {
                    // An anchor or tag precedes the value.
                    let rest = self.bytes.get(self.at..)?;
                    self.at += rest.iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
                }
                (None, _) => {
                    if self.node && !flow && byte != b':' {
                        self.key_column();
                    }
                    self.node = false;
                }
            }
        }
    }

    /// The line up to the byte that was read last.
    fn before(&self) -> &[u8] {
        self.at.checked_sub(1).and_then(|end| self.bytes.get(..end)).unwrap_or_default()
    }

    /// Sets `parent` to the column of a key, which in `- key: |` is not the indentation of the line.
    fn key_column(&mut self) {
        if self.before().iter().all(|byte| matches!(byte, b' ' | b'-' | b'?')) {
            self.parent = self.at - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check(text: &str, allowed: bool) {
        assert_eq!(super::check(text).is_ok(), allowed, "{}", &text[..text.len().min(60)]);
    }

    #[test]
    fn only_flow_collections_count() {
        let many = "[".repeat(100);
        let apart = "[{\n".repeat(100);
        check(&"[".repeat(64), true);
        check(&format!("a: {many}"), false);
        check(&format!("- {many}"), false);
        check(&format!("- - ? {many}"), false);
        check(&format!("a: &anchor !tag {many}"), false);
        check(&apart, false);
        check(&"{a: ".repeat(100), false);
        check(&"[a, 'b', \"c\", ".repeat(100), false);
        check(&"[ don't ,".repeat(100), false);
        check(&"[] {}\n".repeat(100), true);
        check(&"a: [x, {b: c}]\n".repeat(100), true);

        check(&format!("a: '{many}'"), true);
        check(&format!("a: 'it''s {many}'"), true);
        check(&format!("a: \"\\\"{many}\""), true);
        check(&format!("a: \"x\n  {many}\""), true);
        check(&format!("a: x{many}"), true);
        check(&format!("a: don't {many}"), true);
        check(&format!("a: x # {many}"), true);
        check(&format!("# {many}"), true);
        check(&format!("a: |\n  {many}\n\n  {many}\nb: c"), true);
        check(&format!("- a: >-\n    {many}\n  b: c"), true);
        check(&format!("- a: |\n    x\n  b: {many}"), false);
        check(&format!("a: |\n  x\nb: {many}"), false);
        check(&format!("a: 'x'\nb: {many}"), false);
        check(&format!("a: x#y\nb: {many}"), false);
    }

    #[test]
    fn tags_are_not_declared() {
        check("%YAML 1.2\n---\na: b\n", true);
        check("a: |\n  %TAG x\n", true);
        check("%TAG !x! y\n---\na: b\n", false);
    }
}
