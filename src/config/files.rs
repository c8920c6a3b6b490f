//! The files that a configuration refers to: whether they have changed, and what to load them again with.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use glob::{MatchOptions, Pattern};

use super::error::{ConfigError, ErrorKind, Fault, Place, quoted};
use super::scalar::Glob;
use super::target::Targets;
use super::target_files::with_joined_surrogates;
use super::yaml;
use super::{Config, Source};

/// The target files of a configuration, and what is needed to load them again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Files {
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

impl Files {
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

/// As in a shell, `*` does not match names that begin with a dot, which editors and Kubernetes use.
const MATCH_OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
const MAX_FILES: usize = 10_000;
