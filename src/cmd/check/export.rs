//! Presented chains as PEM files.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::render;
use crate::snapshot::{BackendReport, TargetReport};
use crate::target::TargetKind;
use crate::text::file_name;

/// The directory for the PEM files.
#[derive(Debug)]
pub(super) struct Export {
    folder: PathBuf,
    force: bool,
}

impl Export {
    /// Creates the directory if it does not exist.
    ///
    /// # Errors
    /// If it cannot be created, or is not a directory.
    pub(super) fn prepare(folder: &Path, force: bool) -> Result<Self, ExportError> {
        let to_error = |error| ExportError::Folder(folder.to_owned(), error);
        fs::create_dir_all(folder).map_err(to_error)?;
        Ok(Self { folder: folder.to_owned(), force })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes the chain that each backend presented last to a file and returns the number of files.
    ///
    /// # Errors
    /// If one of the files exists and may not be overwritten: then nothing is written. If one cannot be written.
    pub(super) fn write(&self, reports: &[Arc<TargetReport>]) -> Result<usize, ExportError> {
        let files = files(reports);
        let exists = |name: &&String| !self.force && fs::symlink_metadata(self.folder.join(name)).is_ok();
        let mut existing = files.iter().map(|(name, _)| name).filter(exists);
        if let Some(first) = existing.next() {
            return Err(ExportError::Exists { file: self.folder.join(first), others: existing.count() });
        }
        for (name, text) in &files {
            self.write_file(name, text).map_err(|error| ExportError::File(self.folder.join(name), error))?;
        }
        Ok(files.len())
    }

    fn write_file(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.folder.join(name);
        if !self.force {
            return create(&path, text);
        }
        // A rename replaces the file atomically, and a symbolic link itself.
        let temporary = self.folder.join(format!(".{name}.{}", std::process::id()));
        create(&temporary, text).and_then(|()| fs::rename(&temporary, &path)).inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })
    }
}

/// Creates a file. Fails if it exists, also as a dangling symbolic link.
fn create(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

/// File name and PEM text for each backend that presented a chain.
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

/// The file name without its extension: target (unless it has its default name), server name, address and port.
fn stem(report: &TargetReport, backend: &BackendReport) -> String {
    let target = &report.target;
    let default =
        matches!(target.kind, TargetKind::Host(_)) && target.kind.default_name().as_ref() == Some(&target.name);
    let endpoint = &backend.backend.endpoint;
    let rest = [endpoint.server_name.to_string(), backend.backend.address.to_string(), endpoint.port.to_string()];
    file_name((!default).then(|| target.name.as_str()).into_iter().chain(rest.iter().map(String::as_str)))
}

/// `stem` with its extension, and with a number if the name is taken. Some file systems ignore case.
fn unique(stem: &str, taken: &mut HashSet<String>) -> String {
    let mut name = format!("{stem}.pem");
    let mut number = 1;
    while !taken.insert(name.to_ascii_lowercase()) {
        number += 1;
        name = format!("{stem}_{number}.pem");
    }
    name
}

/// Why the export failed.
#[derive(Debug)]
pub(crate) enum ExportError {
    /// The directory cannot be created.
    Folder(PathBuf, io::Error),
    /// A file exists, and perhaps others.
    Exists { file: PathBuf, others: usize },
    /// A file cannot be written.
    File(PathBuf, io::Error),
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path, error) => write!(f, "cannot create the directory {}: {error}", path.display()),
            Self::Exists { file, others: 0 } => {
                write!(f, "{} exists: nothing was written (use --force to overwrite it)", file.display())
            }
            Self::Exists { file, others } => {
                let file = file.display();
                write!(f, "{file} and {others} more exist: nothing was written (use --force to overwrite them)")
            }
            Self::File(path, error) => write!(f, "cannot write {}: {error}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_unique() {
        let mut taken = HashSet::new();
        let found = ["a", "A", "a_2", "a", "b"].map(|stem| unique(stem, &mut taken));
        assert_eq!(found, ["a.pem", "A_2.pem", "a_2_2.pem", "a_3.pem", "b.pem"]);
    }
}
