//! Presented chains as PEM files.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use crate::cmd::Error;
use crate::render;
use crate::snapshot::{BackendReport, TargetReport};
use crate::target::TargetKind;
use crate::text::file_name;

/// Creates the directory for the PEM files if it does not exist.
///
/// # Errors
/// If it cannot be created, or is not a directory.
pub(super) fn prepare(folder: &Path) -> Result<(), Error> {
    let created = fs::create_dir_all(folder);
    created.map_err(|error| format!("cannot create the directory {}: {error}", folder.display()).into())
}

/// Writes the chain that each backend presented last to a file in `folder` and returns the number of files.
///
/// # Errors
/// If one of the files exists and `force` is not set: then nothing is written. If one cannot be written.
pub(super) fn write(folder: &Path, force: bool, reports: &[Arc<TargetReport>]) -> Result<usize, Error> {
    let files = files(reports);
    let exists = |name: &&String| !force && fs::symlink_metadata(folder.join(name)).is_ok();
    let mut existing = files.iter().map(|(name, _)| name).filter(exists);
    if let Some(first) = existing.next() {
        let (and_more, them) = match existing.count() {
            0 => (" exists".to_owned(), "it"),
            others => (format!(" and {others} more exist"), "them"),
        };
        let first = folder.join(first);
        let first = first.display();
        return Err(format!("{first}{and_more}: nothing was written (use --force to overwrite {them})").into());
    }
    for (name, text) in &files {
        write_file(folder, name, text, force)
            .map_err(|error| format!("cannot write {}: {error}", folder.join(name).display()))?;
    }
    Ok(files.len())
}

fn write_file(folder: &Path, name: &str, text: &str, force: bool) -> io::Result<()> {
    let path = folder.join(name);
    if !force {
        return create(&path, text);
    }
    // A rename replaces the file atomically, and a symbolic link itself.
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    create(&temporary, text).and_then(|()| fs::rename(&temporary, &path)).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
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
