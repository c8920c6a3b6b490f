//! The context of the image build: `.dockerignore` leaves out nothing that cargo reads.

use std::fs;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

/// Whether the context has the file at `path`: of the patterns that match it or a directory that contains it, the last
/// one decides.
fn is_in_context(dockerignore: &str, path: &Path) -> bool {
    const OPTIONS: MatchOptions =
        MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };
    let lines = dockerignore.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.fold(true, |included, line| {
        let (includes, pattern) = line.strip_prefix('!').map_or((false, line), |pattern| (true, pattern));
        let pattern = Pattern::new(pattern.trim_matches('/')).unwrap_or_else(|error| panic!("{line}: {error}"));
        if path.ancestors().any(|part| pattern.matches_path_with(part, OPTIONS)) { includes } else { included }
    })
}

/// The sources in `folder`, and the files that they include, relative to `root`.
fn add_sources(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root.join(folder)).expect("a readable directory") {
        let entry = entry.expect("an entry");
        let path = folder.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            add_sources(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(root.join(&path)).expect("text");
            found.extend(included(&text).map(|name| normalized(&folder.join(name))));
            found.push(path);
        }
    }
}

/// The arguments of `include!`, `include_str!` and `include_bytes!`. Another argument than a literal is not supported.
fn included(text: &str) -> impl Iterator<Item = &str> {
    let calls = ["include!(", "include_str!(", "include_bytes!("];
    calls.into_iter().flat_map(|call| text.split(call).skip(1)).filter_map(|rest| {
        let rest = rest.trim_start();
        // The names of the macros above, in strings.
        let literal = rest.strip_prefix('"').filter(|rest| !rest.starts_with([',', ']']))?;
        literal.split('"').next()
    })
}

fn normalized(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut done, component| {
        match component {
            Component::ParentDir => drop(done.pop()),
            other => done.push(other),
        }
        done
    })
}

#[test]
fn build_context_has_all_sources_and_what_they_include() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dockerignore = fs::read_to_string(root.join(".dockerignore")).expect("a file");
    let mut needed =
        ["Cargo.toml", "Cargo.lock", "deploy/build-release", "deploy/install-tools"].map(PathBuf::from).to_vec();
    needed.push("tests/fleet/Cargo.toml".into());
    for folder in ["src", "tests/fleet/src", "examples", "benches"] {
        add_sources(root, Path::new(folder), &mut needed);
    }
    for file in ["src/main.rs", "src/rules/template.yaml", "src/web/status/style.css", "config.example.yaml"] {
        assert!(needed.iter().any(|path| path == Path::new(file)), "{file} is found");
    }
    for path in needed {
        assert!(root.join(&path).is_file(), "{} exists", path.display());
        assert!(is_in_context(&dockerignore, &path), "{} is in the build context", path.display());
    }
    for private in
        ["config.yaml", "src/debug.pem", "examples/own.yaml", "src/rules/own.yaml", ".git/config", "deploy/.env"]
    {
        assert!(!is_in_context(&dockerignore, Path::new(private)), "{private}");
    }
}

#[test]
fn the_last_pattern_of_dockerignore_decides() {
    for (dockerignore, path, expected) in [
        ("", "a", true),
        ("*", "a/b", false),
        ("*\n!/src", "src/x/y.rs", true),
        ("*\n!src/", "src/x/y.rs", true),
        ("*\n!/src\n**/*.yaml", "src/x/y.yaml", false),
        ("*\n!/src\n**/*.yaml", "src/y.yaml", false),
        ("**/*.yaml\n!/src/x/y.yaml", "src/x/y.yaml", true),
        ("# *\n\n**/.env*", "deploy/.env.local", false),
        ("/src", "tests/src", true),
    ] {
        assert_eq!(is_in_context(dockerignore, Path::new(path)), expected, "{dockerignore:?}: {path}");
    }
}
