//! The layering rules of the architecture: which module may import which, read from the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

// Cargo runs tests in the crate's own folder.

/// For each module: crates, modules and items that its files must not name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("reason", &["crate::", "tokio", "hickory", "webpki::", "x509_", "axum", "std::net", "std::fs"]),
    ("client_errors", &["tokio", "hickory", "webpki::", "x509_", "axum", "std::net", "std::fs"]),
    ("text", &["tokio", "hickory", "webpki::", "x509_", "axum", "std::net", "std::fs"]),
    ("file", &["crate::", "tokio"]),
    ("open_files", &["crate::", "tokio"]),
    ("net", &["tokio", "hickory", "webpki::", "x509_", "axum", "std::fs"]),
    ("target", &["tokio", "hickory", "webpki::", "x509_", "axum", "std::fs"]),
    ("observation", &["tokio", "hickory", "webpki::", "x509_", "axum", "std::fs"]),
    ("trust", &["tokio", "hickory", "axum"]),
    ("config", &["tokio", "hickory", "webpki::", "x509_", "axum"]),
    ("discovery", &["tokio_rustls", "webpki::", "x509_", "axum"]),
    ("probe", &["hickory", "webpki::", "x509_", "axum"]),
    ("verdict", &["tokio", "hickory", "axum", "std::fs", "trust::anchors", "SystemTime::now", "Instant::now"]),
    ("snapshot", &["tokio", "hickory", "webpki::", "x509_", "axum", "std::fs", "SystemTime::now", "Instant::now"]),
    ("monitor", &["tokio_rustls", "hickory", "webpki::", "x509_", "axum"]),
    ("verify", &["tokio", "hickory", "webpki::", "x509_", "axum", "SystemTime::now", "Instant::now"]),
    ("metrics", &["tokio", "hickory", "webpki::", "x509_", "axum", "SystemTime::now", "Instant::now"]),
    ("advice", &["tokio", "hickory", "webpki::", "x509_", "axum", "std::fs", "SystemTime::now", "Instant::now"]),
    ("render", &["tokio", "hickory", "webpki::", "x509_", "axum", "std::fs", "SystemTime::now", "Instant::now"]),
    ("rules", &["tokio", "hickory", "webpki::", "x509_", "axum", "std::fs", "SystemTime::now", "Instant::now"]),
    ("web", &["hickory", "webpki::", "x509_", "Monitor", "Prober", "Resolvers"]),
    ("service", &["tokio_rustls", "hickory", "webpki::", "x509_", "Prober", "Resolvers"]),
    ("tls_client", &["hickory", "axum", "hyper", "std::fs"]),
    ("cmd", &["tokio_rustls", "hickory", "webpki::", "x509_", "Prober", "Resolvers"]),
];

/// For each module: the only other modules of the crate that it may import.
const ALLOWED: &[(&str, &[&str])] = &[
    ("reason", &[]),
    ("text", &[]),
    ("net", &[]),
    ("file", &[]),
    ("open_files", &[]),
    ("client_errors", &["reason"]),
    ("target", &["net", "reason"]),
    ("observation", &["reason", "target", "text"]),
    ("trust", &["file", "target", "text"]),
    // The metric table holds the label names that configured labels must not use.
    ("config", &["target", "net", "trust", "file", "text", "metrics"]),
    ("discovery", &["reason", "target", "observation", "net", "file", "text"]),
    ("probe", &["reason", "target", "observation", "net", "text"]),
    ("verdict", &["reason", "target", "observation", "trust", "text"]),
    ("snapshot", &["reason", "target", "observation", "verdict", "text"]),
    (
        "monitor",
        &[
            "config",
            "discovery",
            "probe",
            "verdict",
            "snapshot",
            "reason",
            "target",
            "trust",
            "observation",
            "file",
            "net",
            "open_files",
            "text",
        ],
    ),
    ("verify", &["trust", "target", "observation", "reason", "verdict"]),
    ("metrics", &["snapshot", "verdict", "reason", "target", "observation", "text"]),
    ("advice", &["snapshot", "verdict", "reason", "client_errors", "target", "observation", "text"]),
    (
        "render",
        &["verify", "advice", "snapshot", "verdict", "reason", "client_errors", "target", "observation", "text"],
    ),
    (
        "web",
        &[
            "net",
            "open_files",
            "snapshot",
            "monitor",
            "advice",
            "render",
            "metrics",
            "reason",
            "client_errors",
            "target",
            "observation",
            "verdict",
            "net",
            "text",
        ],
    ),
    ("rules", &["config", "target", "text"]),
    ("service", &["config", "monitor", "snapshot", "target", "web", "text"]),
    ("tls_client", &["target", "trust"]),
    (
        "cmd",
        &[
            "tls_client",
            "config",
            "monitor",
            "service",
            "web",
            "metrics",
            "render",
            "rules",
            "verify",
            "snapshot",
            "reason",
            "target",
            "trust",
            "observation",
            "file",
            "text",
        ],
    ),
];

fn files(module: &str) -> Vec<PathBuf> {
    let source = PathBuf::from("src");
    let mut found = vec![source.join(format!("{module}.rs"))];
    let mut folders = vec![source.join(module)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry.expect("a readable entry").path();
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

/// The lines of a module that are compiled outside tests, each with its place.
fn lines(module: &str) -> Vec<(String, String)> {
    let files = files(module);
    assert!(files[0].exists(), "no module {module}");
    let of_file = |path: PathBuf| {
        let numbered = code(&path).into_iter().enumerate();
        numbered.map(move |(number, line)| (format!("{}:{}", path.display(), number + 1), line)).collect::<Vec<_>>()
    };
    files.into_iter().filter(|path| !is_test(path)).flat_map(of_file).collect()
}

/// The code outside tests, without comments.
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
fn modules_do_not_name_what_their_layer_forbids() {
    let mut violations = Vec::new();
    for (module, forbidden) in FORBIDDEN {
        for (place, line) in lines(module) {
            for word in forbidden.iter().filter(|word| line.contains(**word)) {
                violations.push(format!("{place}: {module} must not name {word}"));
            }
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn modules_import_only_lower_layers() {
    let mut violations = Vec::new();
    let mut imports = 0;
    for (module, allowed) in ALLOWED {
        for (place, line) in lines(module) {
            for name in imported(&line) {
                imports += 1;
                if name != *module && !allowed.contains(&name.as_str()) {
                    violations.push(format!("{place}: {module} must not import {name}"));
                }
            }
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    assert!(imports > 40, "found only {imports} imports");
}

#[test]
fn every_module_has_a_rule() {
    let library = fs::read_to_string("src/lib.rs").expect("src/lib.rs is readable");
    let modules: Vec<&str> =
        library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(modules.len() > 10, "{modules:?}");
    for module in modules {
        assert!(ALLOWED.iter().any(|(name, _)| *name == module), "no layering rule for `{module}`");
    }
}
