//! YAML files beside the configuration, whose missing keys have the values of another document.

use std::mem;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::error::{ConfigError, ErrorKind, Fault, Place};
use super::yaml::{self, Node};
use super::{ONE_DOCUMENT, Source};

/// A value of the right type that is inconsistent with another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inconsistency {
    /// The keys that lead to each of the two values. The first one that is in the file is at fault.
    pub places: [&'static [&'static str]; 2],
    /// What is wrong, without the place.
    pub message: String,
}

/// Reads the file at `path`. Keys that it does not have are those of the document `defaults`.
///
/// # Errors
/// If the file cannot be read or has more than 16 MiB, it is not YAML of the type `T`, or `check` finds an inconsistency.
pub fn load_over<T: DeserializeOwned>(
    path: &Path,
    defaults: &str,
    check: impl FnOnce(&T) -> Result<(), Inconsistency>,
) -> Result<T, ConfigError> {
    let text = yaml::read(path).map_err(|fault| Source { path, text: "" }.error(&fault))?;
    parse_over(&text, path, defaults, check)
}

/// Parses the text of the file `origin`, as [`load_over`] does.
///
/// # Errors
/// As [`load_over`].
pub fn parse_over<T: DeserializeOwned>(
    text: &str,
    origin: &Path,
    defaults: &str,
    check: impl FnOnce(&T) -> Result<(), Inconsistency>,
) -> Result<T, ConfigError> {
    let source = Source { path: origin, text };
    let parse = || {
        let (node, several) = yaml::parse(text, false)?;
        if several {
            return Err(Fault::of_file(ErrorKind::Syntax, ONE_DOCUMENT));
        }
        let (defaults, _) = yaml::parse(defaults, false)?;
        let value = merged(node.clone(), defaults).read(&Place::default())?;
        check(&value).map_err(|found| {
            let [first, second] =
                found.places.map(|keys| keys.iter().fold(Place::default(), |place, key| place.key(*key)));
            let is_in_file = first.0.iter().try_fold(&node, |node, step| node.get(step)).is_some();
            Fault::new(ErrorKind::InvalidValue, if is_in_file { first } else { second }, found.message)
        })?;
        Ok(value)
    };
    parse().map_err(|fault| source.error(&fault))
}

/// `node` with the keys of `defaults` that it does not have. A mapping without content has none.
fn merged(node: Node, defaults: Node) -> Node {
    match (node, defaults) {
        (Node::Null, defaults @ Node::Map(_)) => defaults,
        (Node::Map(mut entries), Node::Map(defaults)) => {
            for (key, default) in defaults {
                match entries.iter_mut().find(|(name, _)| *name == key) {
                    Some((_, value)) => *value = merged(mem::replace(value, Node::Null), default),
                    None => entries.push((key, default)),
                }
            }
            Node::Map(entries)
        }
        (node, _) => node,
    }
}
