//! What backends presented, as files.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::render;
use crate::snapshot::{BackendReport, TargetReport};
use crate::target::{TargetKind, TargetName};

/// A directory for PEM files.
#[derive(Debug)]
pub(super) struct Export {
    folder: PathBuf,
    force: bool,
}

impl Export {
    /// Makes the directory where it is missing.
    ///
    /// # Errors
    /// When it cannot be made, or is something else.
    pub(super) fn prepare(folder: &Path, force: bool) -> Result<Self, ExportError> {
        let fault = |error| ExportError::Folder(folder.to_owned(), error);
        fs::create_dir_all(folder).map_err(fault)?;
        Ok(Self { folder: folder.to_owned(), force })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes what each backend presented last, a file each; tells how many in words.
    ///
    /// # Errors
    /// When one of the files is there already and may not be replaced: then nothing is written. When one cannot be
    /// written.
    pub(super) fn write(&self, reports: &[Arc<TargetReport>]) -> Result<String, ExportError> {
        let files = files(reports);
        let there = |name: &&String| !self.force && fs::symlink_metadata(self.folder.join(name)).is_ok();
        let mut existing = files.iter().map(|(name, _)| name).filter(there);
        if let Some(first) = existing.next() {
            return Err(ExportError::Exists { file: self.folder.join(first), others: existing.count() });
        }
        for (name, text) in &files {
            self.put(name, text).map_err(|error| ExportError::File(self.folder.join(name), error))?;
        }
        Ok(if files.len() == 1 { "1 file".to_owned() } else { format!("{} files", files.len()) })
    }

    fn put(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.folder.join(name);
        if !self.force {
            return create(&path, text);
        }
        // Replaced as a whole, and a link itself in place of what it leads to.
        let fresh = self.folder.join(format!(".{name}.{}", std::process::id()));
        create(&fresh, text).and_then(|()| fs::rename(&fresh, &path)).inspect_err(|_| {
            // What is left over says nothing that the error doesn't.
            let _ = fs::remove_file(&fresh);
        })
    }
}

/// A file that is not there yet; also a link that leads nowhere is there.
fn create(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

/// A name and the PEM text for each backend that presented something.
fn files(reports: &[Arc<TargetReport>]) -> Vec<(String, String)> {
    let mut taken = HashSet::new();
    let mut files = Vec::new();
    for report in reports {
        for backend in report.backends() {
            let Some(last) = &backend.last_certificate else { continue };
            let name = unique(&stem(report, backend), &mut taken);
            files.push((name, render::pem(last.assessment.chain.certificates())));
        }
    }
    files
}

/// What a file is about: its target, where its name says more than the rest, server name, address and port.
fn stem(report: &TargetReport, backend: &BackendReport) -> String {
    let target = &report.target;
    let default =
        matches!(target.kind, TargetKind::Host(_)) && target.kind.default_name().as_ref() == Some(&target.name);
    let target = (!default).then(|| safe(TargetName::as_str(&target.name)));
    let endpoint = &backend.backend.endpoint;
    let rest = [endpoint.server_name.to_string(), backend.backend.address.to_string(), endpoint.port.to_string()];
    target.into_iter().chain(rest.iter().map(|part| safe(part))).collect::<Vec<_>>().join("_")
}

/// `text` as a part of a file name: nothing but letters, digits, `-`, `_` and dots that don't come first.
fn safe(text: &str) -> String {
    let is_safe = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let cleaned: String = text.chars().take(MAX_PART).map(|c| if is_safe(&c) { c } else { '-' }).collect();
    match cleaned.strip_prefix(['.', '-']) {
        Some(rest) => format!("_{rest}"),
        None => cleaned,
    }
}

/// `stem` with its ending, and a number where that is taken. Case does not tell files apart everywhere.
fn unique(stem: &str, taken: &mut HashSet<String>) -> String {
    let mut name = format!("{stem}.pem");
    let mut number = 1;
    while !taken.insert(name.to_ascii_lowercase()) {
        number += 1;
        name = format!("{stem}_{number}.pem");
    }
    name
}

/// Why nothing, or not all, was written.
#[derive(Debug)]
pub(crate) enum ExportError {
    /// The directory cannot be made.
    Folder(PathBuf, io::Error),
    /// A file is there, and perhaps others.
    Exists { file: PathBuf, others: usize },
    /// A file cannot be written.
    File(PathBuf, io::Error),
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path, error) => write!(f, "--export={}: {error}", path.display()),
            Self::Exists { file, others: 0 } => {
                write!(f, "{} is there already: nothing was written; --force replaces it", file.display())
            }
            Self::Exists { file, others } => {
                write!(
                    f,
                    "{} and {others} more are there already: nothing was written; --force replaces them",
                    file.display()
                )
            }
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

/// Characters of one part: four of them and a number are less than the 255 octets of a file name.
const MAX_PART: usize = 56;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_safe() {
        for (text, expected) in [
            ("smtp.example.com", "smtp.example.com"),
            ("mx:example.com", "mx-example.com"),
            ("2001:db8::1", "2001-db8--1"),
            ("../../etc/passwd", "_.-..-etc-passwd"),
            (".hidden", "_hidden"),
            ("-rf", "_rf"),
            ("a\0b\nc\\d\u{202e}", "a-b-c-d-"),
            ("", ""),
        ] {
            assert_eq!(safe(text), expected, "{text:?}");
        }
        assert_eq!(safe(&"ü".repeat(300)).len(), MAX_PART);
    }

    #[test]
    fn names_of_files_differ() {
        let mut taken = HashSet::new();
        let found = ["a", "A", "a_2", "a", "b"].map(|stem| unique(stem, &mut taken));
        assert_eq!(found, ["a.pem", "A_2.pem", "a_2_2.pem", "a_3.pem", "b.pem"]);
    }
}
