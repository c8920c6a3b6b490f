//! Turns the YAML library's errors into ours.
//!
//! An error that was raised while a value was visited reads `PATH: MESSAGE at line L column C`; others are of
//! the scanner and have no path.

use super::error::{ErrorKind, Fault, listed, message, quoted};

/// The same error in this crate's form; `document` is what was parsed.
pub(super) fn fault(error: &serde_yaml::Error, document: &str) -> Fault {
    let text = error.to_string();
    let position = error.location().map(|at| (at.line(), at.column()));
    if let Some((said, offset)) = text.rsplit_once(" at position ")
        && let Some(before) = offset.parse().ok().and_then(|offset| document.as_bytes().get(..offset))
    {
        // The reader tells an offset in octets, and as line and column the start of the file.
        return Fault::in_text(ErrorKind::Syntax, unparsed(said), Some(end_of(before)));
    }
    let at = position.map(|(line, column)| format!(" at line {line} column {column}")).unwrap_or_default();
    let text = match text.strip_suffix(&at) {
        Some(text) => text.to_owned(),
        None => text.replacen(&at, "", 1),
    };
    let (place, said) = split(&text);
    let (kind, message) = translate(said).unwrap_or_else(|| (ErrorKind::Syntax, unparsed(said)));
    // The library begins the places in a list at the root with a dot.
    let place = place.strip_prefix('.').filter(|place| place.starts_with('[')).unwrap_or(place);
    Fault { file: None, kind, place: place.to_owned(), message, position }
}

/// Line and column, from 1, of what comes after `before`.
pub(super) fn end_of(before: &[u8]) -> (usize, usize) {
    let line = before.split(|byte| *byte == b'\n').next_back().unwrap_or_default();
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    (lines + 1, String::from_utf8_lossy(line).chars().count() + 1)
}

fn unparsed(said: &str) -> String {
    message(format_args!("YAML that cannot be parsed ({said})"), "valid YAML")
}

/// The path, empty for the root, and the message.
fn split(text: &str) -> (&str, &str) {
    let starts = |text: &str| STARTS.iter().any(|start| text.starts_with(start)) || ErrorKind::split(text).is_some();
    if starts(text) {
        return ("", text);
    }
    text.match_indices(": ")
        .filter_map(|(colon, separator)| Some((text.get(..colon)?, text.get(colon + separator.len()..)?)))
        .find(|(_, message)| starts(message))
        .unwrap_or(("", text))
}

/// Kind and message of an error that serde or this crate raised; none for a syntax error.
pub(super) fn translate(said: &str) -> Option<(ErrorKind, String)> {
    if let Some((kind, message)) = ErrorKind::split(said) {
        return Some((kind, message.to_owned()));
    }
    if let Some(rest) = said.strip_prefix("unknown field `") {
        let (key, allowed) = rest.rsplit_once("`, expected ")?;
        let allowed = allowed.strip_prefix("one of ").unwrap_or(allowed);
        let keys = listed(allowed.split(['`', ' ', ',']).filter(|word| !word.is_empty() && *word != "or"));
        let one_of = if keys.contains(", ") { "one of " } else { "" };
        return Some((ErrorKind::UnknownKey, format!("unknown key {}, expected {one_of}{keys}", quoted(key))));
    }
    if let Some(rest) = said.strip_prefix("missing field `") {
        return Some((ErrorKind::Missing, format!("found no key `{rest}, which is required")));
    }
    if let Some(rest) = said.strip_prefix("duplicate field `") {
        return Some((ErrorKind::Duplicate, message(format_args!("the key `{rest} twice"), "each key once")));
    }
    if let Some(rest) = said.strip_prefix("invalid type: ") {
        let (found, expected) = rest.rsplit_once(", expected ")?;
        return Some((ErrorKind::WrongType, message(found_type(found), expected_type(expected))));
    }
    let (kind, found, allowed) = match said {
        "EOF while parsing a value" => (ErrorKind::Missing, "an empty document", "a mapping of keys"),
        "deserializing from YAML containing more than one document is not supported" => {
            (ErrorKind::Syntax, "several YAML documents", "one")
        }
        "repetition limit exceeded" => {
            (ErrorKind::TooLarge, "aliases that repeat values too often", "100 repetitions for each value in the file")
        }
        "recursion limit exceeded" => {
            (ErrorKind::TooLarge, "values nested over 128 levels deep", "the keys of the example config")
        }
        "unknown anchor" => {
            (ErrorKind::Syntax, "an alias to an anchor that is not defined before it", "a defined anchor")
        }
        _ => return None,
    };
    Some((kind, message(found, allowed)))
}

/// serde's words for what was found, in those of a config file.
fn found_type(found: &str) -> String {
    match found {
        "sequence" => "a list".to_owned(),
        "map" => "a mapping".to_owned(),
        "unit value" => "nothing".to_owned(),
        "enum" => "a value with a tag".to_owned(),
        _ => {
            let literal = |kind: &str| found.strip_prefix(kind)?.strip_suffix('`')?.strip_prefix('`');
            if let Some(number) = literal("integer ").or_else(|| literal("floating point ")) {
                format!("the number {number}")
            } else if let Some(flag) = literal("boolean ") {
                format!("the boolean {flag}")
            } else if let Some(text) = found.strip_prefix("string \"").and_then(|text| text.strip_suffix('"')) {
                format!("the string {}", quoted(text))
            } else {
                found.to_owned()
            }
        }
    }
}

fn expected_type(expected: &str) -> &str {
    match expected {
        "a sequence" => "a list",
        "field identifier" => "a key",
        _ => expected,
    }
}

/// How the messages begin that serde makes by itself.
const STARTS: [&str; 4] = ["unknown field `", "missing field `", "duplicate field `", "invalid type: "];
