//! Finds the paths that a glob pattern matches.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use glob::{MatchOptions, Pattern, PatternError};

/// The existing paths that a pattern matches, in no particular order and possibly more than once. An error has the directory
/// that cannot be read.
///
/// The walk of the crate `glob` panics at names that are not UTF-8. Here, `*` and `?` match them, like other names.
pub(super) struct MatchingPaths {
    parts: Vec<Part>,
    /// Paths, and how many parts they have matched.
    todo: Vec<(PathBuf, usize)>,
}

enum Part {
    Name(String),
    Pattern(Pattern),
    /// `**`: any number of directories.
    Directories,
}

impl MatchingPaths {
    /// The paths that `pattern` matches. A relative one is relative to `folder`, whose name is no part of the pattern.
    ///
    /// # Errors
    /// If the pattern is invalid.
    pub(super) fn new(pattern: &str, folder: &Path) -> Result<Self, PatternError> {
        let mut parts = Vec::new();
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            match part {
                "**" if matches!(parts.last(), Some(Part::Directories)) => {}
                "**" => parts.push(Part::Directories),
                _ if part.contains(['*', '?', '[']) => parts.push(Part::Pattern(Pattern::new(part)?)),
                _ => parts.push(Part::Name(part.to_owned())),
            }
        }
        // Only directories have such a path.
        if pattern.ends_with('/') {
            parts.push(Part::Name(".".to_owned()));
        }
        let start = if pattern.starts_with('/') { Path::new("/") } else { folder };
        Ok(Self { parts, todo: vec![(start.to_owned(), 0)] })
    }

    /// Adds the paths that continue `path`, which has matched the parts before `index`, by one part.
    fn step(&mut self, path: &Path, index: usize) -> io::Result<()> {
        match self.parts.get(index) {
            None => {}
            Some(Part::Name(name)) => {
                let next = path.join(name);
                // A dangling link is reported when it is read.
                if fs::symlink_metadata(&next).is_ok() {
                    self.todo.push((next, index + 1));
                }
            }
            Some(Part::Pattern(pattern)) => {
                for name in names(path)? {
                    if pattern.matches_with(&name.to_string_lossy(), MATCH_OPTIONS) {
                        self.todo.push((path.join(name), index + 1));
                    }
                }
            }
            Some(Part::Directories) => {
                let folders = names(path)?.into_iter().map(|name| path.join(name)).filter(|path| path.is_dir());
                self.todo.extend(folders.map(|folder| (folder, index)));
                self.todo.push((path.to_owned(), index + 1));
            }
        }
        Ok(())
    }
}

impl Iterator for MatchingPaths {
    type Item = Result<PathBuf, (PathBuf, io::Error)>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((path, index)) = self.todo.pop() {
            if index >= self.parts.len() {
                return Some(Ok(path));
            }
            if let Err(error) = self.step(&path, index) {
                return Some(Err((path, error)));
            }
        }
        None
    }
}

/// The names in a directory, without those that begin with a dot, which editors and Kubernetes use. None if `folder` is not
/// a directory.
fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries?,
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    names.filter(|name| !name.as_ref().is_ok_and(|name| name.as_encoded_bytes().starts_with(b"."))).collect()
}

const MATCH_OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
