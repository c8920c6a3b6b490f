//! Which files of targets there are: what the globs of `target_files` match, and whether that has changed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use glob::{MatchOptions, Pattern};

use super::error::{ConfigError, ErrorKind, Fault, quoted};
use super::{Config, scalar, text};

/// The files of targets that a config names, and what it takes to load them anew.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetFiles {
    /// None where the config names no such files.
    source: Option<Arc<Source>>,
    found: Found,
}

/// The config file as it was when it was loaded.
#[derive(Debug, PartialEq)]
struct Source {
    text: String,
    origin: PathBuf,
    globs: Vec<String>,
}

/// What the globs match at one moment. Equal as long as no file was added, removed, replaced or written.
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
    /// A file that is moved here keeps its time.
    inode: u64,
}

impl TargetFiles {
    /// What `globs` match now, which stand in the file `origin` of this text.
    pub(super) fn find(globs: Vec<scalar::Glob>, text: &str, origin: &Path) -> Result<Self, Fault> {
        if globs.is_empty() {
            return Ok(Self::default());
        }
        let globs: Vec<_> = globs.into_iter().map(|glob| glob.0).collect();
        let found = Found::now(&globs, super::folder(origin))?;
        let source = Source { text: text.to_owned(), origin: origin.to_owned(), globs };
        Ok(Self { source: Some(Arc::new(source)), found })
    }

    /// Whether the config names files of targets, be there any or not.
    pub const fn are_named(&self) -> bool {
        self.source.is_some()
    }

    /// The files that were there when the config was loaded, sorted.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.found.files.iter().map(|(path, _)| path.as_path())
    }

    /// The globs that matched no file when the config was loaded, as they stand in the config.
    pub fn unmatched(&self) -> &[String] {
        &self.found.unmatched
    }

    /// What was there when the config was loaded.
    pub const fn found(&self) -> &Found {
        &self.found
    }

    /// What is there now. Asks the file system.
    ///
    /// # Errors
    /// When a folder cannot be read, or when there are too many files.
    pub fn look(&self) -> Result<Found, ConfigError> {
        let Some(source) = &self.source else { return Ok(Found::default()) };
        Found::now(&source.globs, super::folder(&source.origin))
            .map_err(|fault| ConfigError::new(&source.origin, fault))
    }

    /// Whether the config file still says what was loaded of it. False where no files of targets are named.
    pub fn are_of_current_config(&self) -> bool {
        let unchanged = |source: &Source| text::read(&source.origin).is_ok_and(|text| text == source.text);
        self.source.as_deref().is_some_and(unchanged)
    }

    /// The config with the files as they are now. The config file itself is not read again: what was loaded of it
    /// holds, even if somebody is editing it. None where no files of targets are named.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load(&self) -> Option<Result<Config, ConfigError>> {
        self.source.as_ref().map(|source| Config::parse(&source.text, &source.origin))
    }
}

impl Found {
    fn now(globs: &[String], folder: &Path) -> Result<Self, Fault> {
        let mut files = BTreeMap::new();
        let mut unmatched = Vec::new();
        for (index, glob) in globs.iter().enumerate() {
            let place = || format!("target_files[{index}]");
            let pattern = pattern(glob, folder).ok_or_else(|| {
                let found = format!("{} in a folder whose path is not UTF-8", quoted(glob));
                Fault::at(ErrorKind::InvalidValue, place(), found, "an absolute path there")
            })?;
            let matches = glob::glob_with(&pattern, HIDDEN_APART).map_err(|error| {
                Fault::at(ErrorKind::InvalidValue, place(), quoted(glob), format_args!("a glob ({})", error.msg))
            })?;
            let mut any = false;
            for path in matches {
                let path = path.map_err(|error| {
                    let found = format!("{} that cannot be read ({})", error.path().display(), error.error());
                    Fault::at(ErrorKind::File, place(), found, "folders that this user may read")
                })?;
                // A link that leads nowhere is told when it is read.
                let stamp = match fs::metadata(&path) {
                    Ok(metadata) if !metadata.is_file() => continue,
                    Ok(metadata) => {
                        Stamp { modified: metadata.modified().ok(), length: metadata.len(), inode: metadata.ino() }
                    }
                    Err(_) => Stamp { modified: None, length: 0, inode: 0 },
                };
                any = true;
                files.insert(path, stamp);
                if files.len() > MAX_FILES {
                    return Err(Fault::at(
                        ErrorKind::TooLarge,
                        place(),
                        format_args!("more than {MAX_FILES} files"),
                        format_args!("at most {MAX_FILES}"),
                    ));
                }
            }
            if !any {
                unmatched.push(glob.clone());
            }
        }
        Ok(Self { files: files.into_iter().collect(), unmatched })
    }
}

/// The glob from where the process stands; none where `folder` cannot be written in one.
fn pattern(glob: &str, folder: &Path) -> Option<String> {
    if Path::new(glob).is_absolute() || folder.as_os_str().is_empty() {
        return Some(glob.to_owned());
    }
    Some(format!("{}/{glob}", Pattern::escape(folder.to_str()?)))
}

/// As in a shell, `*` matches no name that begins with a dot: those are editors' and Kubernetes's own.
const HIDDEN_APART: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

const MAX_FILES: usize = 10_000;
