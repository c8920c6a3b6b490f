//! Splits files into the parts that can use names, and text into words and tokens.

use serde_yaml::Value;

pub(super) struct Fragment {
    pub(super) file: String,
    pub(super) kind: Kind,
    pub(super) text: String,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// A file as a whole, or its path.
    Text,
    Prose,
    /// Text between backticks.
    Span,
    /// PromQL, the legend of a query, or labels and matchers that are written as PromQL here.
    Query,
    /// A command of the exporter, or a line of a shell script.
    Command,
    /// A part of the exporter's config.
    Config,
}

pub(super) fn fragments(file: &str, text: &str) -> Vec<Fragment> {
    // In JSON, `\n` is no part of the next word; `.*` and `.+` become `_`, by which shorthands end.
    let mut parts = vec![
        (Kind::Text, file.to_owned()),
        (Kind::Text, text.replace("\\n", " ").replace(".*", "_").replace(".+", "_")),
    ];
    if file.ends_with(".md") {
        page(text, &mut parts);
    } else {
        for line in text.lines() {
            let comment = line.trim_start().strip_prefix('#').or_else(|| Some(line.split_once(" # ")?.1));
            prose(comment.unwrap_or_default(), &mut parts);
        }
    }
    if file.ends_with(".json") || file.ends_with(".yaml") {
        values(&serde_yaml::from_str(text).expect(file), "", &mut parts);
    }
    parts.into_iter().map(|(kind, text)| Fragment { file: file.to_owned(), kind, text }).collect()
}

/// The strings of YAML or JSON whose keys say what they are.
fn values(value: &Value, key: &str, parts: &mut Vec<(Kind, String)>) {
    match value {
        Value::Sequence(values) => values.iter().for_each(|each| self::values(each, key, parts)),
        Value::Mapping(map) => {
            for (name, value) in map.iter().filter_map(|(name, value)| Some((name.as_str()?, value))) {
                if ["indexByName", "renameByName", "excludeByName"].contains(&key) {
                    parts.push((Kind::Query, format!("by ({name})")));
                }
                values(value, name, parts);
            }
        }
        Value::String(text) => match key {
            "definition" | "expr" | "query" | "series" | "legendFormat" => parts.push((Kind::Query, text.clone())),
            "matchers" | "source_matchers" | "target_matchers" => {
                parts.push((Kind::Query, format!("ALERTS{{{text}}}")));
            }
            "group_by" | "equal" => parts.push((Kind::Query, format!("by ({text})"))),
            "description" | "summary" => {
                // Without what promtool evaluates.
                let words = text.split("{{").filter_map(|part| part.rsplit("}}").next());
                parts.push((Kind::Prose, words.collect()));
            }
            _ => {}
        },
        _ => {}
    }
}

/// A page in Markdown.
fn page(text: &str, parts: &mut Vec<(Kind, String)>) {
    for (at, part) in text.split("```").enumerate() {
        if at % 2 == 0 {
            let (rows, lines): (Vec<&str>, Vec<&str>) = part.lines().partition(|line| line.starts_with("| "));
            prose(&lines.join("\n"), parts);
            table(&rows, parts);
            continue;
        }
        match part.split_once('\n') {
            Some(("promql", exprs)) => parts.extend(exprs.lines().map(|line| (Kind::Query, line.to_owned()))),
            Some(("sh", script)) => {
                let script = script.replace("\\\n", " ");
                parts.extend(script.lines().map(|line| (Kind::Command, line.to_owned())));
            }
            Some(("yaml", yaml)) if !yaml.contains("scrape_configs:") => parts.push((Kind::Config, yaml.to_owned())),
            _ => {}
        }
    }
}

/// The rows of tables, of which some have reasons in the first column.
fn table(rows: &[&str], parts: &mut Vec<(Kind, String)>) {
    let mut heading = "";
    for (first, rest) in rows.iter().filter_map(|row| row[2..].split_once(" | ")) {
        if !first.contains('`') {
            heading = first;
        }
        if heading == "reason" || heading == "verdict" {
            let reasons = first.split('`').skip(1).step_by(2);
            parts.extend(reasons.map(|reason| (Kind::Query, format!("ALERTS{{reason=\"{reason}\"}}"))));
        } else {
            prose(first, parts);
        }
        // The other columns of verdicts are messages of mail clients.
        if heading != "verdict" {
            prose(rest, parts);
        }
    }
}

/// Prose with code spans.
fn prose(text: &str, parts: &mut Vec<(Kind, String)>) {
    for (at, part) in text.split('`').enumerate() {
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        let kind = match part.starts_with("smtp-tls-exporter ") {
            _ if at % 2 == 0 => Kind::Prose,
            true => Kind::Command,
            false => Kind::Span,
        };
        parts.push((kind, part));
    }
}

pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_word(c)).map(|word| word.trim_matches([':', '$'])).filter(|word| !word.is_empty())
}

/// The tokens of PromQL: words, strings with their quotes, operators.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    let (mut rest, mut found) = (text.trim_start(), Vec::new());
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => rest[1..].find('"').map_or(rest.len(), |at| at + 2),
            _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ if ["=~", "!~", "!="].iter().any(|operator| rest.starts_with(operator)) => 2,
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        found.push(token);
        rest = after.trim_start();
    }
    found
}

/// Whether this is a name as metrics, labels and keys have them.
pub(super) fn is_plain(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '$')
}
