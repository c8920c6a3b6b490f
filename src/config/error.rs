//! What is wrong with a configuration: where, of which kind, and in words.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

use crate::text::escaped;

/// Why a configuration was rejected. `Display` is one line with the file, the key, the problem and the position.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{line}")]
pub struct ConfigError {
    file: PathBuf,
    kind: ErrorKind,
    place: String,
    /// The place without what the operator has named.
    public_place: Box<str>,
    position: Option<(usize, usize)>,
    line: String,
}

impl ConfigError {
    /// The error for a fault in `file`. `position` is its line and column.
    pub(super) fn new(file: &Path, fault: &Fault, position: Option<(usize, usize)>) -> Self {
        let (place, position) = (fault.place.to_string(), fault.position.or(position));
        let public_place = fault.place.public().to_string().into();
        let before = if place.is_empty() { String::new() } else { format!("{place}: ") };
        let after = position.map(|(line, column)| format!(" (line {line}, column {column})")).unwrap_or_default();
        let line = escaped(&format!("{}: {before}{}{after}", file.display(), fault.message));
        Self { file: file.to_owned(), kind: fault.kind, place, public_place, position, line }
    }

    /// Where it is and of which kind, in one line: the file relative to `folder`, which is not shown, and the place without
    /// keys that the operator has chosen, and without values.
    pub fn summary(&self, folder: &Path) -> String {
        let file = relative(&self.file, folder);
        let file = file.to_string_lossy();
        let before = if self.public_place.is_empty() { String::new() } else { format!("{}: ", self.public_place) };
        let after = self.position.map(|(line, column)| format!(" (line {line}, column {column})")).unwrap_or_default();
        escaped(&format!("{file}: {before}{}{after}", self.kind.as_str()))
    }

    /// The file with the fault: the configuration file or a target file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The key with the fault, such as `targets[3].port`; empty if it is the file as a whole.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The kind of the fault.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Line and column, both from 1, if known.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.position
    }
}

/// What is wrong, apart from the place and the wording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Not one valid YAML document in UTF-8 or UTF-16.
    Syntax,
    /// A key that does not exist in this place.
    UnknownKey,
    /// A required key, or the whole content, is absent.
    Missing,
    /// A key, a list element or a target name occurs twice.
    Duplicate,
    /// Keys or entries that exclude each other.
    Conflict,
    /// A value of the wrong YAML type.
    WrongType,
    /// A value of the right type that is malformed, out of range or inconsistent with another one.
    InvalidValue,
    /// The name of a trust store or resolver that is not defined.
    UnknownReference,
    /// A file that cannot be read, or a PEM file without usable content.
    File,
    /// Larger or deeper than the exporter reads.
    TooLarge,
}

impl ErrorKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax error",
            Self::UnknownKey => "unknown key",
            Self::Missing => "missing key or content",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflicting values",
            Self::WrongType => "wrong type",
            Self::InvalidValue => "invalid value",
            Self::UnknownReference => "unknown trust store or resolver",
            Self::File => "file not usable",
            Self::TooLarge => "too large",
        }
    }
}

/// A [`ConfigError`] without its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: ErrorKind,
    pub(super) place: Place,
    /// Whether the fault is in this key of the mapping at `place`.
    pub(super) key: Option<String>,
    pub(super) message: String,
    /// Line and column if they are known without looking for `place`.
    pub(super) position: Option<(usize, usize)>,
    /// Whether the fault is in the configuration file although another file is being read.
    pub(super) of_defaults: bool,
}

impl Fault {
    pub(super) fn new(kind: ErrorKind, place: Place, message: impl Into<String>) -> Self {
        Self { kind, place, key: None, message: message.into(), position: None, of_defaults: false }
    }

    /// A fault of the file as a whole.
    pub(super) fn of_file(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::new(kind, Place::default(), message)
    }

    /// Whether the file is rejected as a whole, so that no value is at fault.
    pub(super) fn is_of_whole_file(&self) -> bool {
        use ErrorKind::{File, Missing, Syntax, TooLarge};
        self.place == Place::default() && matches!(self.kind, File | Missing | Syntax | TooLarge)
    }

    /// An unusable file that is named at `place`. The text of `error` begins with its path.
    pub(super) fn file(place: Place, error: impl fmt::Display, expected: &str) -> Self {
        Self::new(ErrorKind::File, place, format!("{error} (expected {expected})"))
    }
}

/// The path of a value in a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place(pub(super) Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Place {
    /// The value of `key` in the mapping at this place.
    pub(super) fn key(&self, key: impl Into<String>) -> Self {
        self.then(Step::Key(key.into()))
    }

    /// An element of the list at this place.
    pub(super) fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    /// With `*` in place of keys that are not those of the configuration: names of trust stores, resolvers and labels.
    fn public(&self) -> Self {
        let public = |step: &Step| match step {
            Step::Key(key) if !KEYS.contains(&key.as_str()) => Step::Key("*".to_owned()),
            step => step.clone(),
        };
        Self(self.0.iter().map(public).collect())
    }

    fn then(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(number, step)| match step {
            Step::Key(_) if number > 0 => write!(f, ".{step}"),
            _ => step.fmt(f),
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Key(key) => f.write_str(key),
        }
    }
}

/// The path of `file` from `folder`.
fn relative(file: &Path, folder: &Path) -> PathBuf {
    let absolute = |path: &Path| std::path::absolute(Path::new(".").join(path)).unwrap_or_else(|_| path.to_owned());
    let (file, folder) = (absolute(file), absolute(folder));
    let common = file.components().zip(folder.components()).take_while(|(one, other)| one == other).count();
    let up = folder.components().skip(common).map(|_| Component::ParentDir);
    up.chain(file.components().skip(common)).collect()
}

/// `text` in backticks, cut if it is long.
pub(super) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN).collect();
    if shown.len() == text.len() { format!("`{text}`") } else { format!("`{shown}…`") }
}

/// The suggestion and the list of what is allowed instead of `word`: ``did you mean `port`? (expected one of …)``.
pub(super) fn suggestion(word: &str, allowed: &[impl AsRef<str>]) -> String {
    let near = allowed.iter().map(|name| (strsim::damerau_levenshtein(word, name.as_ref()), name.as_ref())).min();
    let list = allowed.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match near {
        Some((distance, name)) if distance <= MAX_TYPOS && distance < name.len() => {
            format!("did you mean `{name}`? (expected one of {list})")
        }
        _ if allowed.len() == 1 => format!("expected {list}"),
        _ => format!("expected one of {list}"),
    }
}

/// The keys of the configuration, of target files and of the web configuration.
const KEYS: [&str; 59] = [
    "addresses",
    "allow",
    "allow_addresses",
    "allow_ports",
    "backend_retention",
    "backends_per_target",
    "basic_auth_users",
    "burst",
    "cert",
    "cert_file",
    "certificate_file",
    "cipher_suites",
    "client_allowed_sans",
    "client_auth_type",
    "client_ca",
    "client_ca_file",
    "client_certificate",
    "compare",
    "concurrent_probes",
    "configured",
    "connect_timeout",
    "curve_preferences",
    "defaults",
    "ehlo_name",
    "enabled",
    "expect_names",
    "files",
    "headers",
    "host",
    "http2",
    "http_server_config",
    "interval",
    "ip_family",
    "key",
    "key_file",
    "labels",
    "limits",
    "max_version",
    "min_version",
    "mx",
    "name",
    "nameservers",
    "port",
    "prefer_server_cipher_suites",
    "probe",
    "rate_limit",
    "resolver",
    "resolvers",
    "roots",
    "samples",
    "server_name",
    "submission",
    "target_files",
    "targets",
    "timeout",
    "tls",
    "tls_server_config",
    "trust",
    "trust_stores",
];
/// Characters of a value that a message shows.
const SHOWN: usize = 60;
/// Edits by which a misspelled word differs from the one that is suggested.
const MAX_TYPOS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn summaries_show_keys_of_the_configuration_only() {
        #[track_caller]
        fn check(text: &str, place: &str) {
            let error = Config::parse(text, Path::new("/etc/exporter/config.yaml")).expect_err("an invalid file");
            let summary = error.summary(Path::new("/etc/exporter"));
            let begin = if place.is_empty() { "config.yaml: ".to_owned() } else { format!("config.yaml: {place}: ") };
            assert!(summary.starts_with(&begin), "{summary}");
            assert!(!summary.contains("S3cret"), "{summary}");
        }
        check("trust_stores: {S3cret: {files: [S3cret.pem]}}", "trust_stores.*.files[0]");
        check("trust_stores: {S3cret: {S3cret: 1}}", "trust_stores.*");
        check("resolvers: {S3cret: {nameservers: [S3cret]}}", "resolvers.*.nameservers[0]");
        check("targets: [{host: a.test, labels: {S3cret: []}}]", "targets[0].labels.*");
        check("targets: [{host: a.test, labels: {S3cret: {S3cret: {files: 1}}}}]", "targets[0].labels.*");
        check("targets: [{host: a.test, port: S3cret}]", "targets[0].port");
        check("targets: [{host: a.test, S3cret: 1}]", "targets[0]");
        check("S3cret: 1", "");
        check("defaults: {trust: S3cret}\ntargets: [{host: a.test}]", "defaults.trust");
    }

    /// The errors list the keys that are expected instead of an unknown one.
    #[test]
    fn knows_all_keys() {
        for text in [
            "x: 1",
            "defaults: {x: 1}",
            "limits: {x: 1}",
            "probe: {x: 1}",
            "trust_stores: {a: {x: 1}}",
            "resolvers: {a: {x: 1}}",
            "targets: [{x: 1}]",
            "targets: [{client_certificate: {x: 1}}]",
        ] {
            let error = Config::parse(text, Path::new("config.yaml")).expect_err("an unknown key");
            assert_eq!(error.kind(), ErrorKind::UnknownKey, "{error}");
            let line = error.to_string();
            let (_, expected) =
                line.split_once("expected one of ").or_else(|| line.split_once("expected ")).expect("keys");
            let keys =
                expected.split([' ', ')']).map(|key| key.trim_end_matches(',')).take_while(|key| !key.starts_with('('));
            let keys: Vec<_> = keys.filter(|key| !key.is_empty()).collect();
            assert!(!keys.is_empty(), "{line}");
            for key in keys {
                assert!(KEYS.contains(&key), "{key} in {line}");
            }
        }
    }

    #[test]
    fn summaries_tell_files_apart() {
        for (file, folder, expected) in [
            ("/etc/x/a.json", "/etc/x", "a.json"),
            ("/etc/x/one/a.json", "/etc/x", "one/a.json"),
            ("/etc/y/a.json", "/etc/x", "../y/a.json"),
            ("/srv/a.json", "/etc/x", "../../srv/a.json"),
            ("/etc/x/../y/a.json", "/etc/x", "../y/a.json"),
            ("one/a.json", "", "one/a.json"),
            ("sub/one/a.json", "sub", "one/a.json"),
        ] {
            assert_eq!(relative(Path::new(file), Path::new(folder)), Path::new(expected), "{file} from {folder}");
        }
    }
}
