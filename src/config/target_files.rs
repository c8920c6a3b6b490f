//! Target files: which ones match `target_files`, whether they have changed, and what they contain: entries as in the
//! configuration, or groups in the `file_sd` format of Prometheus.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use glob::{MatchOptions, Pattern};
use serde::Deserialize;

use super::error::{ConfigError, ErrorKind, Fault, Place, quoted};
use super::scalar::{Glob, MAX_LABEL, Spec, is_label_name, is_reserved};
use super::target::{Candidate, Targets};
use super::yaml::{self, Node};
use super::{Config, Source};
use crate::target::{Target, UserLabels};
use crate::text::counted;

/// The target files of a configuration, and what is needed to load them again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetFiles {
    /// None if the configuration has no `target_files`.
    main: Option<Arc<MainFile>>,
    found: Found,
    /// The last valid text of each file.
    pub(super) contents: BTreeMap<PathBuf, Arc<str>>,
    pub(super) failures: Vec<ConfigError>,
}

/// The configuration file at the time when it was loaded.
#[derive(Debug, PartialEq)]
struct MainFile {
    text: String,
    origin: PathBuf,
    globs: Vec<String>,
}

/// The files that match at a point in time. Equal as long as no file was added, removed, replaced or written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    files: Vec<(PathBuf, Stamp)>,
    unmatched: Vec<String>,
}

/// What changes when a file does.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    /// A file that is moved keeps its time.
    inode: u64,
}

impl TargetFiles {
    /// The files that match `globs` now. The patterns are from the configuration `main`.
    pub(super) fn find(globs: Vec<Glob>, main: Source<'_>) -> Result<Self, Fault> {
        if globs.is_empty() {
            return Ok(Self::default());
        }
        let globs: Vec<_> = globs.into_iter().map(|glob| glob.0).collect();
        let found = Found::now(&globs, super::folder(main.path))?;
        let main = MainFile { text: main.text.to_owned(), origin: main.path.to_owned(), globs };
        Ok(Self { main: Some(Arc::new(main)), found, ..Self::default() })
    }

    /// Reads the files and adds their targets. An invalid file is recorded, and its last valid content in `previous` used.
    pub(super) fn add_to(
        &mut self,
        targets: &mut Targets<'_>,
        main: Source<'_>,
        previous: &Self,
    ) -> Result<(), ConfigError> {
        for (path, _) in &self.found.files {
            let path = path.as_path();
            let mut add = |text: &str| {
                let source = Source { path, text };
                targets.add_file(source).map_err(|fault| if fault.of_defaults { main } else { source }.error(&fault))
            };
            let text = yaml::read(path).map_err(|fault| Source { path, text: "" }.error(&fault));
            let text = text.map(|text| Arc::from(with_joined_surrogates(&text)));
            match text.and_then(|text| add(&text).map(|()| text)) {
                Ok(text) => {
                    self.contents.insert(path.to_owned(), text);
                }
                Err(error) if error.file() == main.path => return Err(error),
                Err(error) => {
                    self.failures.push(error);
                    if let Some(text) = previous.contents.get(path).filter(|text| add(text).is_ok()) {
                        self.contents.insert(path.to_owned(), Arc::clone(text));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether the configuration has `target_files`, even if no file matches.
    pub const fn are_named(&self) -> bool {
        self.main.is_some()
    }

    /// The files that existed when the configuration was loaded, sorted.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.found.files.iter().map(|(path, _)| path.as_path())
    }

    /// The patterns that matched no file when the configuration was loaded.
    pub fn unmatched(&self) -> &[String] {
        &self.found.unmatched
    }

    /// The files that are invalid. Their last valid content, if there is any, is in effect.
    pub fn failures(&self) -> &[ConfigError] {
        &self.failures
    }

    /// The state of the files when the configuration was loaded.
    pub const fn found(&self) -> &Found {
        &self.found
    }

    /// The state of the files now.
    ///
    /// # Errors
    /// If a directory cannot be read, or too many files match.
    pub fn look(&self) -> Result<Found, ConfigError> {
        let Some(main) = &self.main else { return Ok(Found::default()) };
        let source = Source { path: &main.origin, text: &main.text };
        Found::now(&main.globs, super::folder(&main.origin)).map_err(|fault| source.error(&fault))
    }

    /// Whether the configuration file is the same as when it was loaded. False without `target_files`.
    pub fn are_of_current_config(&self) -> bool {
        let is_unchanged = |main: &MainFile| yaml::read(&main.origin).is_ok_and(|text| text == main.text);
        self.main.as_deref().is_some_and(is_unchanged)
    }

    /// The configuration with the current target files. The configuration file itself is not read again, so that a file
    /// that is being edited has no effect. None without `target_files`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load(&self) -> Option<Result<Config, ConfigError>> {
        let main = self.main.as_deref()?;
        Some(Config::parse_after(&main.text, &main.origin, self))
    }
}

impl Found {
    fn now(globs: &[String], folder: &Path) -> Result<Self, Fault> {
        let mut found = Self::default();
        let mut files = BTreeMap::new();
        for (index, glob) in globs.iter().enumerate() {
            let fault = |kind, message| Fault::new(kind, Place::default().key("target_files").index(index), message);
            let pattern = pattern(glob, folder).ok_or_else(|| {
                let message = "relative pattern: expected an absolute one, since the directory is not UTF-8";
                fault(ErrorKind::InvalidValue, message.to_owned())
            })?;
            let matches = glob::glob_with(&pattern, MATCH_OPTIONS).map_err(|error| {
                fault(ErrorKind::InvalidValue, format!("invalid pattern {}: {}", quoted(glob), error.msg))
            })?;
            let mut matched = false;
            for path in matches {
                let path = path.map_err(|error| {
                    fault(ErrorKind::File, format!("{}: {}", error.path().display(), error.error()))
                })?;
                // A dangling link is reported when it is read.
                let metadata = fs::metadata(&path).ok();
                if metadata.as_ref().is_some_and(|metadata| !metadata.is_file()) {
                    continue;
                }
                matched = true;
                files.insert(path, Stamp::new(metadata.as_ref()));
                if files.len() > MAX_FILES {
                    return Err(fault(ErrorKind::TooLarge, format!("too many files: expected at most {MAX_FILES}")));
                }
            }
            if !matched {
                found.unmatched.push(glob.clone());
            }
        }
        found.files = files.into_iter().collect();
        Ok(found)
    }
}

impl Stamp {
    fn new(metadata: Option<&fs::Metadata>) -> Self {
        Self {
            modified: metadata.and_then(|metadata| metadata.modified().ok()),
            length: metadata.map_or(0, fs::Metadata::len),
            inode: metadata.map_or(0, MetadataExt::ino),
        }
    }
}

/// The pattern relative to the working directory; none if `folder` is not UTF-8.
fn pattern(glob: &str, folder: &Path) -> Option<String> {
    if Path::new(glob).is_absolute() || folder.as_os_str().is_empty() {
        return Some(glob.to_owned());
    }
    Some(format!("{}/{glob}", Pattern::escape(folder.to_str()?)))
}

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
fn with_joined_surrogates(text: &str) -> Cow<'_, str> {
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

/// As in a shell, `*` does not match names that begin with a dot, which editors and Kubernetes use.
const MATCH_OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
const MAX_FILES: usize = 10_000;
const LIST: &str = "a list of targets, or of groups as in Prometheus's file_sd";
