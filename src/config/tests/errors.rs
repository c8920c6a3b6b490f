//! Configs that are rejected: what is wrong and where, apart from the wording, which
//! `tests/golden/config-errors.txt` shows as a whole.
//!
//! Most cases are in `errors/*.txt`:
//!
//! ```text
//! === NAME
//! KIND FILE PLACE LINE:COLUMN | WORD | WORD …
//! config.yaml
//! [other.sd]
//! the target file other.sd
//! ```
//!
//! A place or position that the error lacks is `-`. Every wording must contain the words, such as the value found, the
//! nearest known key or a limit. A case that starts with a target file has the config [`MAIN`]. `PEM` stands for the
//! folder of [`PemFiles`].

mod cases;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use expect_test::expect_file;

use super::{MAIN, PemFiles, Site};
use crate::config::ConfigError;

/// A config that is rejected, and the facts that its error must state.
struct Case {
    name: String,
    facts: String,
    words: Vec<String>,
    /// Paths below the folder of the config.
    files: Vec<(String, Content)>,
}

enum Content {
    Bytes(Vec<u8>),
    LinkTo(&'static str),
}

impl Case {
    fn new(name: &str, facts: &str, words: &[&str]) -> Self {
        let words = words.iter().map(ToString::to_string).collect();
        Self { name: name.to_owned(), facts: facts.to_owned(), words, files: Vec::new() }
    }

    fn config(name: &str, config: impl Into<Vec<u8>>, facts: &str, words: &[&str]) -> Self {
        Self::new(name, facts, words).file("config.yaml", config)
    }

    fn file(mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.into(), Content::Bytes(content.into())));
        self
    }

    fn link(mut self, path: &str, to: &'static str) -> Self {
        self.files.push((path.to_owned(), Content::LinkTo(to)));
        self
    }

    /// The cases of a text file.
    fn read(text: &str) -> Vec<Self> {
        text.split("=== ").skip(1).map(Self::parse).collect()
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.trim_end().lines();
        let name = lines.next().expect("a name");
        let mut facts = lines.next().expect("facts").split(" | ");
        let case = Self::new(name, facts.next().expect("a kind"), &facts.collect::<Vec<_>>());
        let mut files = vec![("config.yaml", String::new())];
        for line in lines {
            match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                Some(path) if path.ends_with(".sd") => files.push((path, String::new())),
                _ => files.last_mut().expect("a file").1.extend([line, "\n"]),
            }
        }
        if files[0].1.is_empty() {
            MAIN.clone_into(&mut files[0].1);
        }
        files.into_iter().fold(case, |case, (path, text)| case.file(path, text))
    }

    /// Loads the config, which must fail: the facts of the error and its message, with `DIR` for the config's folder.
    #[track_caller]
    fn rejection(&self) -> (String, String) {
        let site = Site::default();
        let pem = PemFiles::shared();
        for (path, content) in &self.files {
            match content {
                Content::Bytes(bytes) => match str::from_utf8(bytes) {
                    Ok(text) if text.contains("PEM") => site.write(path, pem.fill(text)),
                    _ => site.write(path, bytes),
                },
                Content::LinkTo(to) => site.link(path, to),
            }
        }
        let error = match site.load() {
            Ok(config) => config.files.failures().first().cloned(),
            Err(error) => Some(error),
        };
        let error = error.unwrap_or_else(|| panic!("{}: accepted", self.name));
        let message = error.to_string().replace(site.path(), "DIR").replace(pem.path(), "PEM");
        (facts(&error, &site), message)
    }

    /// The input as the golden file shows it: long files, and files beyond the third, are cut.
    fn shown(&self) -> String {
        let mut shown = String::new();
        for (path, content) in self.files.iter().take(SHOWN_FILES) {
            if path != "config.yaml" {
                _ = writeln!(shown, "[{path}]");
            }
            match content {
                Content::Bytes(bytes) => shown.push_str(&visible(bytes)),
                Content::LinkTo(to) => _ = writeln!(shown, "(a link to {to})"),
            }
        }
        if let Some(more @ 1..) = self.files.len().checked_sub(SHOWN_FILES) {
            _ = writeln!(shown, "[{more} more files]");
        }
        shown
    }
}

/// Kind, file, place and position of an error.
fn facts(error: &ConfigError, site: &Site) -> String {
    let or_none = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let file = error.file().strip_prefix(site.path()).unwrap_or_else(|_| error.file()).display();
    let position = error.position().map(|(line, column)| format!("{line}:{column}")).unwrap_or_default();
    format!("{:?} {file} {} {}", error.kind(), or_none(error.place()), or_none(&position))
}

/// `bytes` as lines of printable text.
fn visible(bytes: &[u8]) -> String {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * SHOWN_CHARS)]);
    let mut shown = String::new();
    for c in start.trim_end_matches('\n').chars().take(SHOWN_CHARS) {
        if c.is_control() && c != '\n' { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    if start.chars().count() > SHOWN_CHARS {
        _ = write!(shown, "… ({} bytes)", bytes.len());
    }
    if !shown.is_empty() {
        shown.push('\n');
    }
    shown
}

const SHOWN_FILES: usize = 3;
const SHOWN_CHARS: usize = 200;

/// Each case is rejected with its facts, in a message of one line that states them.
#[track_caller]
fn check(cases: &[Case]) {
    assert!(!cases.is_empty(), "no cases");
    for case in cases {
        let (facts, message) = case.rejection();
        assert_eq!(facts, case.facts, "{}: {message}", case.name);
        let stated = facts.split([' ', ':']).skip(1).filter(|fact| *fact != "-");
        for word in stated.chain(case.words.iter().map(String::as_str)) {
            assert!(message.contains(word), "{}: no {word:?} in: {message}", case.name);
        }
        assert!(!message.contains(char::is_control), "{}: {message:?}", case.name);
        assert!(message.chars().count() < 1000, "{}: {message}", case.name);
    }
}

#[test]
fn rejects_documents_that_are_empty_or_not_yaml() {
    check(&cases::documents());
}

#[test]
fn rejects_config_files_that_cannot_be_read() {
    check(&cases::config_files());
}

#[test]
fn rejects_unknown_missing_and_repeated_keys() {
    check(&cases::keys());
}

#[test]
fn rejects_values_of_the_wrong_type() {
    check(&cases::types());
}

#[test]
fn rejects_values_out_of_range() {
    check(&cases::values());
}

#[test]
fn rejects_malformed_names_addresses_and_labels() {
    check(&cases::names());
}

#[test]
fn rejects_unusable_trust_stores_resolvers_and_client_certificates() {
    check(&cases::stores());
}

#[test]
fn rejects_malformed_probe_patterns() {
    check(&cases::probe());
}

#[test]
fn rejects_malformed_domains_and_keys_that_contradict_dns() {
    check(&cases::domains());
}

#[test]
fn rejects_broken_target_files() {
    check(&cases::target_files());
}

#[test]
fn rejects_yaml_bombs_in_linear_time() {
    let cases = cases::bombs();
    let largest = "[".repeat(16 << 20);
    let before = cpu_time();
    assert_eq!(largest.bytes().filter(|byte| *byte == b'[').count(), largest.len());
    let one_pass = cpu_time() - before;
    let before = cpu_time();
    check(&cases);
    // Measured in CPU time against one pass over the largest file: quadratic behavior takes minutes.
    let took = cpu_time() - before;
    assert!(took < one_pass * 50, "{took:?} against {one_pass:?}");
}

/// The CPU time that this thread has used.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

#[test]
fn error_texts_match_the_golden_file() {
    let mut text = String::new();
    let mut names = BTreeSet::new();
    for case in &cases::all() {
        assert!(names.insert(case.name.clone()), "two cases are named {:?}", case.name);
        let (_, message) = case.rejection();
        _ = write!(text, "## {}\n{}---\n{message}\n\n", case.name, case.shown());
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    expect_file!["../../../tests/golden/config-errors.txt"].assert_eq(&text);
}
