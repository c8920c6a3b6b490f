//! `smtp-tls-exporter man`; `tests/cli/run` checks the syntax of the pages.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use clap::CommandFactory;
use smtp_tls_exporter::cmd::cli::Args;

fn man(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"));
    command.arg("man").args(args).stdin(Stdio::null()).output().expect("it runs")
}

fn pages(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).expect("a directory").map(|entry| entry.expect("an entry").path());
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    entries.map(|path| (name(&path), fs::read_to_string(&path).expect("text"))).collect()
}

#[test]
fn every_command_has_a_page_with_its_flags() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("share/man1");
    let flag = format!("--dir={}", target.display());
    // Twice: existing pages are replaced.
    for _ in 0..2 {
        let output = man(&[&flag]);
        assert_eq!((output.status.code(), &*output.stdout, &*output.stderr), (Some(0), &b""[..], &b""[..]));
    }
    let pages = pages(&target);
    let mut root = Args::command().disable_help_subcommand(true);
    root.build();
    for command in root.get_subcommands().chain([&root]) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        let page = pages.get(&format!("{name}.1")).unwrap_or_else(|| panic!("{name} in {:?}", pages.keys()));
        assert!(page.starts_with(&format!(".TH {} 1 ", name.to_uppercase())), "{page}");
        let plain = page.replace("\\-", "-");
        for flag in command.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(plain.contains(&format!("--{flag}")), "--{flag} in {name}");
        }
    }
    let check = &pages["smtp-tls-exporter-check.1"];
    for line in [".SH EXAMPLES", ".SH EXIT CODES", "  A plugin for Nagios or Icinga", "  3  UNKNOWN: "] {
        assert!(check.contains(&format!("\n{line}")), "{line} in {check}");
    }
    assert_eq!(pages.len(), root.get_subcommands().count() + 1, "{:?}", pages.keys());
    let output = man(&[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(pages["smtp-tls-exporter.1"].as_bytes(), output.stdout);
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    fs::create_dir_all(folder.path().join("taken/smtp-tls-exporter.1")).expect("a directory");
    for (path, cause) in [("file", "file"), ("file/below", "file/below"), ("taken", "taken/smtp-tls-exporter.1")] {
        let output = man(&[&format!("--dir={}", folder.path().join(path).display())]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(cause), "{error}");
    }
}
