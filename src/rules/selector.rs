//! Matchers of series in PromQL. What Prometheus refuses must be refused here: the rules that contain it would not load.

use std::fmt;
use std::str::Chars;

use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{
    Ast, ClassSetBinaryOp, ClassSetItem, Flag, Flags, FlagsItemKind, GroupKind, HexLiteralKind, Literal, LiteralKind,
    RepetitionKind, RepetitionRange, Visitor,
};
use serde::Deserialize;
use thiserror::Error;

use super::parameters::MAX_TEXT;
use crate::config::is_label_name;
use crate::text::is_printable;

/// Matchers of series in PromQL, without braces: `job="a",env!~"b|c"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Selector(String);

impl TryFrom<String> for Selector {
    type Error = InvalidSelector;

    fn try_from(text: String) -> Result<Self, InvalidSelector> {
        // The rules have it in a comment, in expressions, and in backquotes in a template.
        let is_allowed = |c: char| is_printable(c) && c != '`';
        if text.len() > MAX_TEXT || !text.chars().all(is_allowed) {
            return Err(InvalidSelector::Syntax);
        }
        let mut rest = text.as_str();
        loop {
            rest = matcher(rest)?;
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None if rest.is_empty() => return Ok(Self(text)),
                None => return Err(InvalidSelector::Syntax),
            }
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text is not a selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum InvalidSelector {
    /// Not a list of matchers.
    #[error(
        "expected matchers of PromQL without braces and backquotes, such as job=~\"smtp-.+\",env=\"prod\", at most {MAX_TEXT} bytes"
    )]
    Syntax,
    /// PromQL has no such escape sequence.
    #[error(
        "invalid escape sequence in a matcher: write a backslash of a regular expression twice, as in job=~\"a\\\\.b\""
    )]
    Escape,
    /// A regular expression that Prometheus (RE2) does not accept.
    #[error("invalid regular expression in a matcher: expected the syntax of RE2")]
    Regex,
}

/// What follows the matcher at the beginning of `text`.
fn matcher(text: &str) -> Result<&str, InvalidSelector> {
    let text = text.trim_start_matches(' ');
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').ok_or(InvalidSelector::Syntax)?;
    let (name, rest) = text.split_at_checked(end).ok_or(InvalidSelector::Syntax)?;
    // The rules have the name of the metric already.
    if !is_label_name(name) || name == "__name__" {
        return Err(InvalidSelector::Syntax);
    }
    let rest = rest.trim_start_matches(' ');
    let (is_regex, rest) = [("=~", true), ("!~", true), ("!=", false), ("=", false)]
        .into_iter()
        .find_map(|(operator, is_regex)| Some((is_regex, rest.strip_prefix(operator)?)))
        .ok_or(InvalidSelector::Syntax)?;
    let mut chars = rest.trim_start_matches(' ').chars();
    let quote = chars.next().filter(|c| matches!(c, '"' | '\'')).ok_or(InvalidSelector::Syntax)?;
    let value = string(&mut chars, quote)?;
    if is_regex && !is_regular_expression(&value) {
        return Err(InvalidSelector::Regex);
    }
    Ok(chars.as_str().trim_start_matches(' '))
}

/// The value of a string literal, up to the quote at its end, with the escape sequences of Go
/// (<https://prometheus.io/docs/prometheus/latest/querying/basics/#string-literals>).
fn string(chars: &mut Chars<'_>, quote: char) -> Result<String, InvalidSelector> {
    let mut bytes = Vec::new();
    let mut push = |c: char| bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    loop {
        match chars.next().ok_or(InvalidSelector::Syntax)? {
            c if c == quote => break,
            '\\' => match chars.next().ok_or(InvalidSelector::Syntax)? {
                c if c == quote => push(c),
                '\\' => push('\\'),
                'a' => push('\x07'),
                'b' => push('\x08'),
                'f' => push('\x0c'),
                'n' => push('\n'),
                'r' => push('\r'),
                't' => push('\t'),
                'v' => push('\x0b'),
                'u' => push(number(chars, 0, 4, 16).and_then(char::from_u32).ok_or(InvalidSelector::Escape)?),
                'U' => push(number(chars, 0, 8, 16).and_then(char::from_u32).ok_or(InvalidSelector::Escape)?),
                // Single bytes: other than ASCII is not accepted, because it can be written as such.
                'x' => push(number(chars, 0, 2, 16).and_then(ascii).ok_or(InvalidSelector::Escape)?),
                c => {
                    let first = c.to_digit(8).ok_or(InvalidSelector::Escape)?;
                    push(number(chars, first, 2, 8).and_then(ascii).ok_or(InvalidSelector::Escape)?);
                }
            },
            c => push(c),
        }
    }
    String::from_utf8(bytes).map_err(|_| InvalidSelector::Escape)
}

/// The number whose first digits are `first`, and the others the next `count` characters.
fn number(chars: &mut Chars<'_>, first: u32, count: usize, radix: u32) -> Option<u32> {
    (0..count).try_fold(first, |number, _| number.checked_mul(radix)?.checked_add(chars.next()?.to_digit(radix)?))
}

fn ascii(number: u32) -> Option<char> {
    char::from_u32(number).filter(char::is_ascii)
}

/// Whether a text is a regular expression in Rust, and has nothing that only Rust accepts. RE2 accepts a few more, such as
/// `\Q`, `\C`, octal escapes, braces that are no repetition, and brackets in brackets.
fn is_regular_expression(text: &str) -> bool {
    let Ok(ast) = Parser::new().parse(text) else { return false };
    regex_syntax::ast::visit(&ast, Re2::default()).is_ok()
}

/// Finds what RE2 does not accept, or reads in another way.
#[derive(Default)]
struct Re2 {
    /// How often the current part may be repeated, by each repetition around it.
    repetitions: Vec<u32>,
}

/// RE2 does not accept it.
struct NotInRe2;

impl Visitor for Re2 {
    type Output = ();
    type Err = NotInRe2;

    fn finish(self) -> Result<(), NotInRe2> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), NotInRe2> {
        accepted(match ast {
            Ast::Repetition(repetition) => {
                self.repetitions.push(most(&repetition.op.kind));
                let all = self.repetitions.iter().try_fold(1_u32, |all, count| all.checked_mul(*count));
                all.is_some_and(|all| all <= MAX_REPETITIONS) && !matches!(*repetition.ast, Ast::Repetition(_))
            }
            Ast::Flags(set) => are_flags(&set.flags),
            Ast::Group(group) => match &group.kind {
                GroupKind::CaptureIndex(_) => true,
                // Older versions of Prometheus accept names only after `P`.
                GroupKind::CaptureName { starts_with_p, .. } => *starts_with_p,
                GroupKind::NonCapturing(flags) => are_flags(flags),
            },
            Ast::Literal(literal) => !is_code_point(literal),
            _ => true,
        })
    }

    fn visit_post(&mut self, ast: &Ast) -> Result<(), NotInRe2> {
        if matches!(ast, Ast::Repetition(_)) {
            self.repetitions.pop();
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), NotInRe2> {
        accepted(match item {
            ClassSetItem::Bracketed(_) => false,
            ClassSetItem::Literal(literal) => !is_code_point(literal),
            ClassSetItem::Range(range) => !is_code_point(&range.start) && !is_code_point(&range.end),
            _ => true,
        })
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ClassSetBinaryOp) -> Result<(), NotInRe2> {
        Err(NotInRe2)
    }
}

const fn accepted(is_accepted: bool) -> Result<(), NotInRe2> {
    if is_accepted { Ok(()) } else { Err(NotInRe2) }
}

/// The greatest number in a repetition, at least 1.
fn most(kind: &RepetitionKind) -> u32 {
    let count = match kind {
        RepetitionKind::Range(RepetitionRange::Exactly(count) | RepetitionRange::AtLeast(count)) => *count,
        RepetitionKind::Range(RepetitionRange::Bounded(_, count)) => *count,
        _ => 1,
    };
    count.max(1)
}

/// Whether a literal is written `\u` or `\U`.
fn is_code_point(literal: &Literal) -> bool {
    matches!(literal.kind, LiteralKind::HexFixed(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong))
}

fn are_flags(flags: &Flags) -> bool {
    flags.items.iter().all(|item| match &item.kind {
        FlagsItemKind::Negation => true,
        FlagsItemKind::Flag(flag) => {
            matches!(flag, Flag::CaseInsensitive | Flag::MultiLine | Flag::DotMatchesNewLine | Flag::SwapGreed)
        }
    })
}

/// The limit of RE2 for a repetition, with those around it.
const MAX_REPETITIONS: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(), InvalidSelector>) {
        assert_eq!(Selector::try_from(text.to_owned()).map(drop), expected, "{text}");
    }

    #[test]
    fn a_selector_is_a_list_of_matchers() {
        for text in [
            r#"job="a""#,
            r#"job=~".*smtp[-_]tls.*",job!~".*probe.*""#,
            r#"job = 'a' , env != "b" "#,
            r#"job=~"a{2},a",b="c\"d""#,
            r#"job="}""#,
            r#"job='it\'s \\'"#,
            r#"job="\\""#,
            r#"job="é #:""#,
        ] {
            check(text, Ok(()));
        }
        let long = format!("job=\"{}\"", "a".repeat(MAX_TEXT));
        for text in [
            "",
            " ",
            "job",
            "job=",
            "job=a",
            r#"job="a"#,
            r#"job="a\""#,
            r#"job="a'"#,
            r#"{job="a"}"#,
            r#"job="a","#,
            r#"job="a" env="b""#,
            r#"job="a",,env="b""#,
            r#"job=="a""#,
            r#"1job="a""#,
            r#"a-b="a""#,
            r#"__name__="up""#,
            r#"job="a"} or up{job="b""#,
            "job=\"a\nb\"",
            "job=\"a\u{2028}b\"",
            "job=\u{a0}\"a\"",
            "job=\"a`b\"",
            "job=`a`",
            r#"job="a" # b"#,
            &*long,
        ] {
            check(text, Err(InvalidSelector::Syntax));
        }
    }

    #[test]
    fn escape_sequences_are_those_of_promql() {
        for text in [
            r#"job="\a\b\f\n\r\t\v\\\"""#,
            r#"job='\''"#,
            r#"job="\x41\101\u00e9\U0001F600""#,
            r#"job=~"a\\.b""#,
            r#"job=~"a[.]b""#,
        ] {
            check(text, Ok(()));
        }
        for text in [
            r#"job=~"a\.b""#,
            r#"job="\d""#,
            r#"job="\'""#,
            r#"job='\"'"#,
            r#"job="\x4""#,
            r#"job="\xe9""#,
            r#"job="\400""#,
            r#"job="\18""#,
            r#"job="\ud800""#,
            r#"job="\U00110000""#,
            r#"job="\é""#,
        ] {
            check(text, Err(InvalidSelector::Escape));
        }
    }

    #[test]
    fn regular_expressions_are_those_of_prometheus() {
        for text in [
            "",
            "a|",
            "a{2}",
            "a{2,1000}",
            "(a{50}b*){20}",
            "(?i)A",
            "(?:a|b)+?",
            "(?P<a>b)",
            "[[:alpha:]_]",
            r"\\d\\pL\\p{Greek}",
            "[^]a]",
            r"^a\\z$",
        ] {
            check(&format!("job=~\"{text}\""), Ok(()));
            check(&format!("job!~\"{text}\""), Ok(()));
        }
        for text in [
            "(",
            "a)",
            "[",
            "*",
            "a{3,2}",
            "a{1001}",
            "a**",
            "a{2}{3}",
            "(?=a)",
            "(?<!a)b",
            r"\\1",
            r"\\u0041",
            "(?x)a",
            "(?x:a)",
            r"\\",
            "a)(b",
            "(?<a>b)",
            "[a--b]",
            "[[:foo:]]",
            "(a{500}){3}",
            r"[\\u0041]",
        ] {
            check(&format!("job=~\"{text}\""), Err(InvalidSelector::Regex));
            check(&format!("job=\"{text}\""), Ok(()));
        }
    }
}
