//! The walls of the house: which module may import which, read from the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

// Cargo runs tests in the crate's own folder.

/// For each room: the crate's modules and the outside crates that its files may not name.
const RULES: &[(&str, &[&str])] = &[
    ("reason", &["crate::", "tokio", "hickory", "webpki::", "x509_", "axum", "std::net::Tcp", "std::fs"]),
    ("client_errors", &["tokio", "hickory", "webpki::", "x509_", "axum", "std::net", "std::fs"]),
    ("target", &["tokio", "hickory", "webpki::", "x509_", "axum", "std::fs"]),
    ("trust", &["tokio", "hickory", "x509_", "axum"]),
    ("observation", &["tokio", "hickory", "webpki::", "x509_", "axum", "std::fs"]),
    ("config", &["tokio", "hickory", "webpki::", "x509_", "axum"]),
    ("discovery", &["tokio_rustls", "webpki::", "x509_", "axum"]),
    ("probe", &["hickory", "webpki::", "x509_", "axum"]),
    ("verdict", &["tokio", "hickory", "axum", "std::fs", "trust::anchors", "SystemTime::now", "Instant::now"]),
    ("snapshot", &["tokio", "hickory", "webpki::", "x509_", "axum", "std::fs"]),
    ("monitor", &["tokio_rustls", "hickory", "webpki::", "x509_", "axum"]),
    ("verify", &["tokio", "hickory", "webpki::", "x509_", "axum", "SystemTime::now", "Instant::now"]),
    ("advice", &["tokio", "hickory", "webpki::", "x509_", "axum", "std::fs", "SystemTime::now", "Instant::now"]),
    ("render", &["tokio", "hickory", "webpki::", "x509_", "axum", "std::fs", "SystemTime::now", "Instant::now"]),
    ("metrics", &["tokio", "hickory", "webpki::", "x509_", "axum", "SystemTime::now", "Instant::now"]),
    ("web", &["tokio_rustls", "hickory", "webpki::", "x509_", "Monitor", "Prober", "Resolvers"]),
    ("check", &["tokio_rustls", "hickory", "webpki::", "x509_", "axum", "Prober", "Resolvers"]),
    ("health", &["tokio_rustls", "hickory", "webpki::", "x509_"]),
    ("service", &["tokio_rustls", "hickory", "webpki::", "x509_", "Prober", "Resolvers"]),
];

/// For each room: the only ones of the crate's modules that it may import, beside itself.
const NEIGHBOURS: &[(&str, &[&str])] = &[
    ("target", &["net"]),
    ("trust", &[]),
    ("observation", &["reason", "target"]),
    ("config", &["target", "net", "trust"]),
    ("reason", &[]),
    ("client_errors", &["reason"]),
    ("net", &[]),
    ("discovery", &["reason", "target", "observation", "net"]),
    ("probe", &["reason", "target", "observation", "net"]),
    ("verdict", &["reason", "target", "observation", "trust"]),
    ("snapshot", &["reason", "target", "observation", "verdict"]),
    ("monitor", &["config", "discovery", "probe", "verdict", "snapshot", "reason", "target", "trust", "observation"]),
    ("verify", &["trust", "target", "observation", "reason", "verdict"]),
    ("advice", &["snapshot", "verdict", "reason", "client_errors", "target", "observation"]),
    ("render", &["verify", "advice", "snapshot", "verdict", "reason", "client_errors", "target", "observation"]),
    (
        "web",
        &[
            "metrics",
            "snapshot",
            "monitor",
            "advice",
            "render",
            "reason",
            "client_errors",
            "target",
            "observation",
            "verdict",
        ],
    ),
    ("service", &["config", "monitor", "web"]),
    (
        "check",
        &[
            "cli",
            "config",
            "monitor",
            "service",
            "render",
            "metrics",
            "verify",
            "snapshot",
            "reason",
            "target",
            "trust",
            "observation",
        ],
    ),
    ("health", &["cli"]),
    ("logging", &["cli"]),
    ("cli", &["config", "target"]),
];

fn files(room: &str) -> Vec<PathBuf> {
    let source = PathBuf::from("src");
    let mut found = vec![source.join(format!("{room}.rs"))];
    let mut folders = vec![source.join(room)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// Whether the file is compiled for tests only.
fn is_test(path: &Path) -> bool {
    path.iter().any(|part| part == "tests" || part == "tests.rs" || part == "fixture.rs")
}

/// The lines that the compiler sees outside tests, without comments.
fn code(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    before_tests.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned()).collect()
}

fn imported(line: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let words = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap_or_default().split(',').map(str::trim).collect(),
            None => vec![rest],
        };
        for word in words {
            let name: String = word.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            names.insert(name);
        }
    }
    names
}

#[test]
fn rooms_name_only_what_they_may() {
    let mut wrong = Vec::new();
    for (room, forbidden) in RULES {
        let files = files(room);
        assert!(files[0].exists(), "{room} is a room");
        for path in files {
            let is_test = is_test(&path);
            for (number, line) in code(&path).iter().enumerate().filter(|_| !is_test) {
                for word in forbidden.iter().filter(|word| line.contains(**word)) {
                    wrong.push(format!("{}:{}: {room} may not name {word}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn data_runs_one_way() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (room, neighbours) in NEIGHBOURS {
        for path in files(room) {
            let is_test = is_test(&path);
            for (number, line) in code(&path).iter().enumerate().filter(|_| !is_test) {
                for name in imported(line) {
                    seen += 1;
                    if name != *room && !neighbours.contains(&name.as_str()) {
                        wrong.push(format!("{}:{}: {room} imports {name}", path.display(), number + 1));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 40, "the sources were read: {seen} imports");
}
