//! What a target file contains: entries as in the configuration, or groups in the `file_sd` format of Prometheus.

use std::borrow::Cow;
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

impl Targets<'_> {
    /// Adds the targets of a file: all or, in case of an error, none.
    pub(super) fn add_file(&mut self, source: Source<'_>) -> Result<(), Fault> {
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
                entries.iter().all(|(key, _)| key == "labels") || entries.iter().any(|(key, _)| key == "targets")
            }
            _ => false,
        };
        let are_groups = nodes.first().is_some_and(is_group);
        if let Some(index) = nodes.iter().position(|node| matches!(node, Node::Map(_)) && is_group(node) != are_groups)
        {
            let with = if are_groups { "without" } else { "with" };
            let message = format!("entry {with} the key `targets`: expected either targets or groups in one file");
            return Err(Fault::new(ErrorKind::Conflict, Place::default().index(index), message));
        }
        if are_groups { self.add_groups(source, nodes) } else { self.add_entries(source, &Place::default(), nodes) }
    }

    fn add_groups(&mut self, source: Source<'_>, nodes: &[Node]) -> Result<(), Fault> {
        let settings = self.default_settings()?;
        let mut candidates = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            let place = Place::default().index(index);
            let group: Group = node.read(&place)?;
            let labels = labels(group.labels, &place)?;
            for (index, Spec(kind)) in group.targets.into_iter().enumerate() {
                let Some(name) = kind.default_name() else { continue };
                let place = place.key("targets").index(index);
                let (labels, settings) = (labels.clone(), Arc::clone(&settings));
                candidates.push(Candidate { name, place, kind, labels, settings });
            }
        }
        let file: Arc<Path> = source.path.into();
        for candidate in candidates {
            match self.places.get(&candidate.name).and_then(|(index, ..)| self.made.get_mut(*index)) {
                None => self.push(&file, candidate),
                Some(earlier) if is_subset(&candidate.labels, &earlier.labels) => {}
                Some(earlier) => {
                    let labels = joined(&earlier.labels, &candidate.labels);
                    *earlier = Arc::new(Target { labels, ..Target::clone(earlier) });
                    let name = quoted(candidate.name.as_str());
                    self.joined.0 += 1;
                    self.joined
                        .1
                        .get_or_insert_with(|| source.warning(&candidate.place, format!("for example {name}")));
                }
            }
        }
        Ok(())
    }

    /// A warning if targets were listed with different labels.
    pub(super) fn joined_warning(&self) -> Option<String> {
        let (count, example) = &self.joined;
        let example = example.as_ref()?;
        Some(format!(
            "{} listed again with other labels: they are merged, and the first value of each is used: {example}",
            counted(*count, "target")
        ))
    }
}

/// The labels of a group on the metrics of this exporter: without those for relabeling and empty ones. A label that
/// Prometheus or the exporter sets is renamed, as Prometheus does it for labels of a scraped target.
fn labels(found: BTreeMap<String, String>, place: &Place) -> Result<UserLabels, Fault> {
    let mut labels = BTreeMap::new();
    let (clashing, others): (Vec<_>, Vec<_>) = found
        .into_iter()
        .filter(|(name, value)| !name.starts_with("__") && !value.is_empty())
        .partition(|(name, _)| is_reserved(name));
    for (name, value) in others {
        if !is_label_name(&name) {
            let message = format!("invalid label name {}: expected [a-zA-Z_][a-zA-Z0-9_]*", quoted(&name));
            let fault = Fault::new(ErrorKind::InvalidValue, place.key("labels"), message);
            return Err(Fault { key: Some(name), ..fault });
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
    Ok(UserLabels::new(labels.into_iter().map(|(name, mut value)| {
        let end = (0..=MAX_LABEL).rev().find(|end| value.is_char_boundary(*end));
        value.truncate(end.filter(|_| value.len() > MAX_LABEL).unwrap_or(value.len()));
        (name, value)
    })))
}

fn is_subset(labels: &UserLabels, of: &UserLabels) -> bool {
    labels.iter().all(|label| of.iter().any(|other| other == label))
}

/// All labels of both; the first value of each counts.
fn joined(first: &UserLabels, second: &UserLabels) -> UserLabels {
    let labels: BTreeMap<_, _> = second.iter().chain(first.iter()).collect();
    UserLabels::new(labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())))
}

/// JSON with each pair of escaped surrogates (RFC 8259 §7) replaced by its character. All other JSON is YAML.
pub(super) fn with_joined_surrogates(text: &str) -> Cow<'_, str> {
    let is_json = text.trim_start().starts_with('[');
    if !is_json || !["\\ud", "\\uD"].iter().any(|surrogate| text.contains(surrogate)) {
        return text.into();
    }
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.find('\\').and_then(|at| rest.split_at_checked(at)) {
        joined.push_str(before);
        let pair = escape.split_at_checked(12).and_then(|(pair, after)| Some((surrogate_pair(pair)?, after)));
        if let Some((c, after)) = pair {
            joined.push(c);
            rest = after;
        } else {
            let end = escape.char_indices().nth(2).map_or(escape.len(), |(end, _)| end);
            let (simple, after) = escape.split_at(end);
            joined.push_str(simple);
            rest = after;
        }
    }
    joined.push_str(rest);
    joined.into()
}

fn surrogate_pair(escapes: &str) -> Option<char> {
    let (high, low) = escapes.split_at_checked(6)?;
    let unit = |escape: &str| u16::from_str_radix(escape.strip_prefix("\\u")?, 16).ok();
    char::decode_utf16([unit(high)?, unit(low)?]).next()?.ok().filter(|c| c.len_utf16() == 2)
}

const LIST: &str = "a list of targets, or of groups as in Prometheus's file_sd";
