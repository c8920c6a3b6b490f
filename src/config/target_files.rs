//! What a target file contains: entries as in the configuration, or groups in the `file_sd` format of Prometheus.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::Source;
use super::error::{ErrorKind, Fault, Place, quoted};
use super::scalar::{MAX_LABEL, Spec, is_label_name, is_reserved};
use super::target::{Candidate, Targets};
use super::yaml::{self, Node};
use crate::target::{Target, UserLabels};
use crate::text::counted;

/// A group of the `file_sd` format.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a mapping of keys")]
struct Group {
    targets: Vec<Spec>,
    labels: BTreeMap<String, String>,
}

/// What was changed in the labels of groups: how often, and the first example with its position.
#[derive(Default)]
pub(super) struct Adjusted {
    joined: Option<(usize, String)>,
    cut: Option<(usize, String)>,
}

impl Adjusted {
    /// One warning for each kind of change.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let joined = self.joined.iter().map(|(count, example)| {
            let targets = counted(*count, "target");
            format!(
                "{targets} listed again with other labels: they are merged, and the first value of each is used: {example}"
            )
        });
        let cut = self.cut.iter().map(|(count, example)| {
            format!("{} longer than {MAX_LABEL} bytes: cut to this length: {example}", counted(*count, "label value"))
        });
        joined.chain(cut)
    }
}

fn count(changes: &mut Option<(usize, String)>, example: impl FnOnce() -> String) {
    changes.get_or_insert_with(|| (0, example())).0 += 1;
}

impl Targets<'_> {
    /// Adds the targets of a file: all or, in case of an error, none.
    pub(super) fn add_file(&mut self, source: Source<'_>) -> Result<(), Fault> {
        // As Prometheus does. Such a file is most likely just being written.
        let is_json = source.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        if is_json && source.text.trim_ascii().is_empty() {
            let message = format!("invalid type: expected {LIST}, got an empty file");
            return Err(Fault::new(ErrorKind::WrongType, Place::default(), message));
        }
        let (node, several) = yaml::parse(source.text, true)?;
        if several {
            // As Prometheus does.
            self.warnings.push(source.warning(&Place::default(), "only the first YAML document is read".to_owned()));
        }
        source.warn_of_variables(&node, &mut self.warnings);
        let nodes = match &node {
            Node::Null => &[],
            Node::List(nodes) => nodes.as_slice(),
            other => {
                let message = format!("invalid type: expected {LIST}, got {}", other.described());
                return Err(Fault::new(ErrorKind::WrongType, Place::default(), message));
            }
        };
        let is_group = |node: &Node| match node {
            Node::Map(entries) => {
                Some(entries.iter().all(|(key, _)| key == "labels") || entries.iter().any(|(key, _)| key == "targets"))
            }
            _ => None,
        };
        let are_groups = nodes.iter().find_map(is_group).unwrap_or_else(|| nodes.contains(&Node::Null));
        if let Some(index) = nodes.iter().position(|node| is_group(node) == Some(!are_groups)) {
            let with = if are_groups { "without" } else { "with" };
            let message = format!("entry {with} the key `targets`: expected either targets or groups in one file");
            return Err(Fault::new(ErrorKind::Conflict, Place::default().index(index), message));
        }
        if are_groups { self.add_groups(source, nodes) } else { self.add_entries(source, &Place::default(), nodes) }
    }

    fn add_groups(&mut self, source: Source<'_>, nodes: &[Node]) -> Result<(), Fault> {
        let settings = self.default_settings()?;
        let (mut candidates, mut cut) = (Vec::new(), Vec::new());
        for (index, node) in nodes.iter().enumerate() {
            let place = Place::default().index(index);
            if *node == Node::Null {
                return Err(Fault::new(ErrorKind::Missing, place, "blank group: expected a mapping with `targets`"));
            }
            let group: Group = node.read(&place)?;
            let labels = labels(group.labels, &place, &mut cut)?;
            for (index, Spec(kind)) in group.targets.into_iter().enumerate() {
                let Some(name) = kind.default_name() else { continue };
                let place = place.key("targets").index(index);
                let target = Target { name, kind, labels: labels.clone(), settings: Arc::clone(&settings) };
                candidates.push(Candidate { place, target });
            }
        }
        let example = |place: &Place, name: &str| source.warning(place, format!("for example {}", quoted(name)));
        for (place, name) in &cut {
            count(&mut self.adjusted.cut, || example(place, name));
        }
        let file: Arc<Path> = source.path.into();
        for candidate in candidates {
            let Candidate { place, target } = &candidate;
            match self.places.get(&target.name).and_then(|(index, ..)| self.made.get_mut(*index)) {
                None => self.push(&file, candidate),
                Some(earlier)
                    if target.labels.iter().all(|label| earlier.labels.iter().any(|known| known == label)) => {}
                Some(earlier) => {
                    let labels = joined(&earlier.labels, &target.labels);
                    *earlier = Arc::new(Target { labels, ..Target::clone(earlier) });
                    count(&mut self.adjusted.joined, || example(place, target.name.as_str()));
                }
            }
        }
        Ok(())
    }
}

/// The labels of a group on the metrics of this exporter: without those for relabeling and empty ones. A label that
/// Prometheus or the exporter sets is renamed, as Prometheus does it for labels of a scraped target. The place and the name
/// of each label whose value is cut are added to `cut`.
fn labels(found: BTreeMap<String, String>, place: &Place, cut: &mut Vec<(Place, String)>) -> Result<UserLabels, Fault> {
    let place = place.key("labels");
    let mut labels = BTreeMap::new();
    let (clashing, others): (Vec<_>, Vec<_>) = found
        .into_iter()
        .filter(|(name, value)| !name.starts_with("__") && !name.is_empty() && !value.is_empty())
        .map(|(name, mut value)| {
            if value.len() > MAX_LABEL {
                value.truncate((0..=MAX_LABEL).rev().find(|end| value.is_char_boundary(*end)).unwrap_or_default());
                cut.push((place.key(&*name), name.clone()));
            }
            (name, value)
        })
        .partition(|(name, _)| is_reserved(name));
    for (name, value) in others {
        if !is_label_name(&name) {
            let message = format!("invalid label name {}: expected [a-zA-Z_][a-zA-Z0-9_]*", quoted(&name));
            return Err(Fault { key: Some(name), ..Fault::new(ErrorKind::InvalidValue, place, message) });
        }
        labels.insert(name, value);
    }
    for (name, value) in clashing {
        let mut name = format!("exported_{name}");
        while labels.contains_key(&name) || is_reserved(&name) {
            name.insert_str(0, "exported_");
        }
        labels.insert(name, value);
    }
    Ok(UserLabels::new(labels))
}

/// All labels of both; the first value of each counts.
fn joined(first: &UserLabels, second: &UserLabels) -> UserLabels {
    let labels: BTreeMap<_, _> = second.iter().chain(first.iter()).collect();
    UserLabels::new(labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())))
}

/// The text of a target file as YAML. JSON may have what the parser of YAML refuses: tabs before the first value, characters
/// as pairs of surrogates (RFC 8259 §7), and raw ones that are not allowed in YAML or that break lines there. Lone
/// surrogates are replaced, as in Go.
pub(super) fn as_yaml(text: String) -> String {
    if !yaml::is_json(&text) {
        return text;
    }
    let unit = |text: &str| u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok();
    let mut yaml = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            '\\' => {
                let units = [unit(rest), rest.get(6..).and_then(unit)];
                let (escaped, length) = match char::decode_utf16(units.into_iter().map_while(|unit| unit)).next() {
                    Some(Ok(character)) if character.len_utf16() == 2 => (Some(character), 12),
                    Some(Err(_)) => (Some(char::REPLACEMENT_CHARACTER), 6),
                    _ => (None, 2),
                };
                taken = length;
                match escaped {
                    Some(character) => yaml.push(character),
                    None => yaml.push_str(rest.get(..taken).unwrap_or_default()),
                }
            }
            '\t' => yaml.push(' '),
            '\n' | '\r' => yaml.push(c),
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => yaml.push_str(&escape(c)),
            c if c.is_control() => yaml.push_str(&escape(c)),
            c => yaml.push(c),
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    yaml
}

fn escape(c: char) -> String {
    format!("\\u{:04x}", u32::from(c))
}

const LIST: &str = "a list of targets, or of groups as in Prometheus's file_sd";
