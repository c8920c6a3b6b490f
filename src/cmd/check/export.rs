//! Presented chains as PEM files.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempPath;

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

/// Writes the chain that each backend presented last to a file in `folder` and returns the number of files. Each file is
/// complete when it gets its name, and no file gets its name before all are written.
///
/// # Errors
/// If one of the files exists and `force` is not set, or one cannot be written, for example because the disk is full: then
/// nothing is written. If one cannot be renamed, for example because another process has created it meanwhile.
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
    let failed = |name: &str, error: io::Error| format!("cannot write {}: {error}", folder.join(name).display());
    let mut written = Vec::new();
    for (name, text) in &files {
        written.push((name, write_temporary(folder, text).map_err(|error| failed(name, error))?));
    }
    for (name, temporary) in written {
        // Neither follows a symbolic link.
        let path = folder.join(name);
        let renamed = if force { temporary.persist(path) } else { temporary.persist_noclobber(path) };
        renamed.map_err(|error| failed(name, error.error))?;
    }
    Ok(files.len())
}

/// Writes a file with a random name, which is removed if it is dropped. The file of a killed run does not block later runs.
fn write_temporary(folder: &Path, text: &str) -> io::Result<TempPath> {
    // The crate adds the random name to its error, and the caller the name of the file.
    let mut cause = None;
    let created = tempfile::Builder::new().prefix(TEMPORARY).make_in(folder, |path| {
        let opened = OpenOptions::new().write(true).create_new(true).mode(BEFORE_UMASK).open(path);
        opened.map_err(|error| cause.insert(error).kind().into())
    });
    let mut file = created.map_err(|error| cause.unwrap_or(error))?;
    file.as_file_mut().write_all(text.as_bytes())?;
    // Some file systems report only here that they are full.
    file.as_file().sync_all()?;
    Ok(file.into_temp_path())
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

/// The beginning of temporary file names.
const TEMPORARY: &str = ".smtp-tls-exporter-";
/// The permissions of new files, from which the umask is subtracted.
const BEFORE_UMASK: u32 = 0o666;

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
