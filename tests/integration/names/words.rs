//! Words of prose, comments and code spans.

use clap::Parser;
use clap::error::ErrorKind;
use smtp_tls_exporter::cmd::cli::Args;

use super::Complaints;
use super::known::{Known, PREFIX};
use super::query;

/// Complains of metrics, recording rules and alerts that are named anywhere in a text and do not exist. Shorthands for
/// several are `smtp_tls_ocsp_*` and `smtp_tls_target_hosts_{a,b}`.
pub(super) fn names(place: &str, text: &str, known: &Known, complaints: &mut Complaints<'_>) {
    for (word, after) in words(text) {
        let is_beginning = after.starts_with(".*") || after.starts_with(".+");
        let is_alert = |name: &String| name == word || is_beginning && name.starts_with(word);
        if word.starts_with("SmtpTls") && word != "SmtpTls" && !known.alerts.keys().any(is_alert) {
            complaints.one(place, format!("no alert {word}"));
        }
        if word.contains(PREFIX) {
            for name in meant(word, after).iter().filter(|name| !is_metric(name, known)) {
                complaints.one(place, format!("no metric {name}"));
            }
        }
    }
}

/// Complains of words with an underscore that mean nothing.
pub(super) fn prose(place: &str, text: &str, known: &Known, complaints: &mut Complaints<'_>) {
    for (word, _) in words(text) {
        let is_name = is_plain(word) && word.contains('_') && !word.starts_with(PREFIX);
        if is_name && !known.has_word(word) {
            complaints.one(place, format!("what is {word}?"));
        }
    }
}

/// Complains of the comments of a YAML file.
pub(super) fn comments(text: &str, known: &Known, complaints: &mut Complaints<'_>) {
    for (number, line) in text.lines().enumerate() {
        let place = format!("line {}", number + 1);
        let Some(comment) = line.trim_start().strip_prefix('#').or_else(|| Some(line.split_once(" # ")?.1)) else {
            continue;
        };
        for (at, part) in comment.split('`').enumerate() {
            if at % 2 == 1 {
                span(&place, part, known, complaints);
            } else {
                prose(&place, part, known, complaints);
            }
        }
    }
}

/// Complains of what stands between backticks: a metric, label, reason or key; a way to a key; a query; a flag; a
/// command. What is none of these (other programs' commands and messages, addresses, files) is passed over.
pub(super) fn span(place: &str, text: &str, known: &Known, complaints: &mut Complaints<'_>) {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let first = text.split([' ', '=']).next().unwrap_or_default();
    if text.starts_with("smtp-tls-exporter ") {
        commands(place, &text, complaints);
    } else if let Some(flag) = first.strip_prefix("--").filter(|flag| !flag.is_empty()) {
        if !known.flags.contains(flag) && !known.is_of_others(first) {
            complaints.one(place, format!("no flag {first}"));
        }
    } else if is_query(&text, known) {
        complaints.all(place, query::read(&text, known).complaints);
    } else if let Some((key, _)) = text.split_once(": ").filter(|(key, _)| is_plain(key)) {
        if !known.has_word(key) {
            complaints.one(place, format!("what is {key}?"));
        }
    } else if let Some(start) = text.strip_suffix('*').filter(|start| is_plain(start)) {
        if !known.series.keys().any(|name| name.starts_with(start)) {
            complaints.one(place, format!("no metric {text}"));
        }
    } else if is_plain(&text) {
        if !text.starts_with(PREFIX) && !known.has_word(&text) {
            complaints.one(place, format!("what is {text}?"));
        }
    } else if is_way(&text) && !has_way(&text, known) {
        complaints.one(place, format!("what is {text}?"));
    }
}

/// Complains of commands of the exporter in a line that it would not understand; they need not be complete.
pub(super) fn commands(place: &str, line: &str, complaints: &mut Complaints<'_>) {
    let line = line.split(" #").next().unwrap_or_default();
    for command in line.split(['|', ';', '&', '>', '<', ')']) {
        let words = command.split_whitespace().skip_while(|word| BEFORE_COMMANDS.contains(word));
        let words: Vec<&str> = words.collect();
        let name = words.first().and_then(|program| program.rsplit('/').next());
        if name != Some("smtp-tls-exporter") {
            continue;
        }
        if let Err(error) = Args::try_parse_from(&words)
            && !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::MissingRequiredArgument)
        {
            let error = error.to_string();
            complaints.one(place, format!("`{}`: {}", words.join(" "), error.lines().next().unwrap_or_default()));
        }
    }
}

/// Whether the config or some JSON has a key at this place, or at one that ends so.
fn has_way(way: &str, known: &Known) -> bool {
    // `changes[]` is each of `changes`.
    let way = way.strip_suffix("[]").unwrap_or(way);
    let ends_so = |full: &String| full.strip_suffix(way).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    known.config.contains(way) || known.json.iter().any(ends_so) || known.is_of_others(way)
}

/// The words of a text, each with what follows it.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(is_word)?;
        let word = &rest[start..];
        let length = word.find(|c| !is_word(c)).unwrap_or(word.len());
        let (word, after) = word.split_at(length);
        rest = after;
        Some((word.trim_matches(':'), after))
    })
}

/// The names that a word stands for; those that end in `*` are beginnings.
fn meant(word: &str, after: &str) -> Vec<String> {
    if after.starts_with('*') || word.ends_with('_') && after.starts_with(['.', '[', '\\']) {
        return vec![format!("{word}*")];
    }
    match after.strip_prefix('{').and_then(|list| list.split_once('}')).filter(|_| word.ends_with('_')) {
        Some((list, _)) => list.split(',').map(|end| format!("{word}{}", end.trim())).collect(),
        None => vec![word.to_owned()],
    }
}

fn is_metric(name: &str, known: &Known) -> bool {
    match name.strip_suffix('*') {
        Some(start) => known.series.keys().any(|name| name.starts_with(start)),
        None => known.series.contains_key(name) || known.is_of_others(name),
    }
}

/// Whether this is a name as metrics, labels and keys have them.
fn is_plain(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Whether this is a way to a key, such as `lookup.failures[].name`, and no file nor host.
fn is_way(text: &str) -> bool {
    let is_file = FILES.iter().any(|ending| text.ends_with(ending));
    let mut parts = text.split('.');
    parts.all(|part| is_plain(part.strip_suffix("[]").unwrap_or(part))) && !is_file && !text.contains("example.")
}

fn is_query(text: &str, known: &Known) -> bool {
    let names = || words(text).map(|(word, _)| word);
    // `up` is a word, too.
    let is_metric = |word: &str| word.starts_with(PREFIX) || word != "up" && known.series.contains_key(word);
    (names().any(is_metric) || text.starts_with("up ") || text.starts_with("up{"))
        && text.contains(['(', '{', '=', '<', '>'])
        && !text.contains("_{")
}

const BEFORE_COMMANDS: &[&str] = &["do", "$", "sudo", "…"];
const FILES: &[&str] = &[".json", ".md", ".pem", ".rs", ".toml", ".yaml", ".yml"];
