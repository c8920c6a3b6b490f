//! The cases by what is wrong: from the text files, and those that text files cannot hold.

use super::{Case, MAIN};

pub(super) fn all() -> Vec<Case> {
    let groups: [fn() -> Vec<Case>; 11] =
        [documents, config_files, bombs, keys, types, values, names, domains, stores, probe, target_files];
    groups.into_iter().flat_map(|cases| cases()).collect()
}

/// Line ends matter here.
pub(super) fn documents() -> Vec<Case> {
    vec![
        Case::config("empty config", "", "Missing config.yaml - -", &["targets"]),
        Case::config("config of comments", "# only a comment\n---\n", "Missing config.yaml - -", &["targets"]),
        Case::config("document is null", "null", "Missing config.yaml - -", &[]),
        Case::config("document is a list", "- a", "WrongType config.yaml - 1:1", &[]),
        Case::config("document is a string", "text", "WrongType config.yaml - 1:1", &["text"]),
        Case::config("unclosed list", "targets: [\n", "Syntax config.yaml - 2:1", &[]),
        Case::config("unclosed quote", "targets: 'x", "Syntax config.yaml - 1:12", &[]),
        Case::config("tab as indentation", "\ttargets:", "Syntax config.yaml - 1:1", &[]),
        Case::config("control character", "targets: []\n# \u{1}", "Syntax config.yaml - 2:3", &[]),
        Case::config("two documents", "targets: []\n---\ntargets: []\n", "Syntax config.yaml - -", &[]),
        Case::config("undeclared tag", "targets: [!x!y a]\n", "Syntax config.yaml - 1:11", &["tag"]),
        Case::config("undefined alias", "targets: [*nobody]", "Syntax config.yaml - 1:11", &[]),
        Case::config("blank targets", "targets:", "Missing config.yaml targets 1:9", &["target_files"]),
        Case::config("no targets", "targets: []", "Missing config.yaml targets 1:10", &["target_files"]),
        Case::config("only limits", "limits: {}", "Missing config.yaml targets -", &["target_files"]),
    ]
}

pub(super) fn config_files() -> Vec<Case> {
    let comments = |mebibytes: usize| "#".repeat(mebibytes << 20);
    vec![
        Case::new("missing config file", "File config.yaml - -", &[]),
        Case::new("directory as config file", "File config.yaml - -", &[]).file("config.yaml/file", ""),
        Case::config("config in Latin-1", b"# \xc3\xbc\n# \xc3\xbc\xfc\n", "Syntax config.yaml - 2:4", &["UTF-8"]),
        Case::config("half a character of UTF-16", b"\xff\xfe#", "Syntax config.yaml - -", &["UTF-16"]),
        Case::config("half a surrogate pair of UTF-16", b"\xff\xfe\x3d\xd8", "Syntax config.yaml - -", &["UTF-16"]),
        Case::config("config above 16 MiB", comments(17), "TooLarge config.yaml - -", &["16 MiB"]),
        Case::config("config of 16 MiB of comments", comments(16), "Missing config.yaml - -", &["targets"]),
    ]
}

/// What a quadratic or recursive parser would take minutes for.
pub(super) fn bombs() -> Vec<Case> {
    let flow = |levels: usize| format!("targets: {}", "[".repeat(levels));
    let quoted = |part: &str| format!("targets: {}", part.repeat(1 << 18));
    let block = format!("targets:\n  - {}a", "- ".repeat(40_000));
    let repeated = format!("  - &t {{host: [&a a.test{}]}}\n{}", ", *a".repeat(300), "  - *t\n".repeat(300));
    let tripled: String = (1..20).map(|n| format!("  - &a{n} [*a{p}, *a{p}, *a{p}]\n", p = n - 1)).collect();
    let tripled = format!("  - &a0 [lol]\n{tripled}");
    let list = |entries: String| format!("targets:\n{entries}");
    let quadratic = format!("x-a: &a [{}]\ntargets:\n{}", "a,".repeat(50_000), "  - *a\n".repeat(50_000));
    let long = format!("x-a: &a {}\ntargets: [{}]", "a".repeat(1 << 20), "*a,".repeat(10_000));
    vec![
        Case::config("flow lists 40000 levels deep", flow(40_000), "TooLarge config.yaml - 1:74", &["64"]),
        Case::config("flow lists that fill 16 MiB", flow((16 << 20) - 9), "TooLarge config.yaml - 1:74", &["64"]),
        Case::config("flow lists between quoted brackets", quoted("[\"]\","), "TooLarge config.yaml - 1:330", &["64"]),
        Case::config(
            "flow lists between doubled apostrophes",
            quoted("[''']',"),
            "TooLarge config.yaml - 1:458",
            &["64"],
        ),
        Case::config(
            "flow lists between anchored quotes",
            quoted("[&a \"]\","),
            "TooLarge config.yaml - 1:522",
            &["64"],
        ),
        Case::config(
            "flow lists between unpaired quotes",
            quoted("[a \" , \"]\" , "),
            "TooLarge config.yaml - 1:842",
            &["64"],
        ),
        Case::config("flow lists between apostrophes", quoted("[']',"), "TooLarge config.yaml - 1:330", &["64"]),
        Case::config(
            "flow lists between quotes of two lines",
            quoted("[\"\n]\","),
            "TooLarge config.yaml - 65:4",
            &["64"],
        ),
        Case::config("flow lists between comments", quoted("[ #\"]\n"), "TooLarge config.yaml - 65:1", &["64"]),
        Case::config(
            "20000 %TAG directives",
            "%TAG !a! tag:example.com,2000:a-long-name-that-fills-the-line\n".repeat(20_000),
            "TooLarge config.yaml - -",
            &["%TAG"],
        ),
        Case::config("block lists 40000 levels deep", block, "TooLarge config.yaml - 2:129", &[]),
        Case::config("alias that repeats a long list", quadratic, "TooLarge config.yaml - 1:28230", &["16 MiB"]),
        Case::config("alias that repeats a long string", long, "TooLarge config.yaml - 1:6", &["16 MiB"]),
        Case::config("alias that repeats a list 300 times", list(repeated), "TooLarge config.yaml - -", &[]),
        Case::config("aliases that triple a list 19 times", list(tripled), "TooLarge config.yaml - -", &[]),
    ]
}

pub(super) fn keys() -> Vec<Case> {
    Case::read(include_str!("keys.txt"))
}

pub(super) fn types() -> Vec<Case> {
    Case::read(include_str!("types.txt"))
}

pub(super) fn values() -> Vec<Case> {
    let mut cases = Case::read(include_str!("values.txt"));
    let text = |value: String| format!("targets: [{{host: a.test, labels: {{team: {value}}}}}]");
    let host = |value: String| format!("targets: [{{host: {value}}}]");
    let facts = "InvalidValue config.yaml targets[0].labels.team 1:41";
    cases.push(Case::config("label value of 1025 bytes", text("x".repeat(1025)), facts, &["xxxxxxxxxx", "1024"]));
    let facts = "InvalidValue config.yaml targets[0].host 1:18";
    cases.push(Case::config("host of 100000 bytes", host("ü".repeat(50_000)), facts, &[]));
    cases
}

pub(super) fn names() -> Vec<Case> {
    Case::read(include_str!("names.txt"))
}

pub(super) fn stores() -> Vec<Case> {
    Case::read(include_str!("stores.txt"))
}

pub(super) fn probe() -> Vec<Case> {
    Case::read(include_str!("probe.txt"))
}

pub(super) fn domains() -> Vec<Case> {
    let mut cases = Case::read(include_str!("domains.txt"));
    let long = format!("targets: [{{mx: {}}}]", ["abcdefghi"; 26].join("."));
    let facts = "InvalidValue config.yaml targets[0].mx 1:16";
    cases.push(Case::config("mx of more than 253 bytes", long, facts, &["abcdefghi.abcdefghi.abcdefghi", "253"]));
    cases
}

pub(super) fn target_files() -> Vec<Case> {
    let mut cases = Case::read(include_str!("target_files.txt"));
    let mut add = |name: &str, facts: &str, words: &[&str], text: String| {
        cases.push(Case::config(name, MAIN, facts, words).file("one.sd", text));
    };
    add("target file with flow lists 65 levels deep", "TooLarge one.sd - 1:65", &["64"], "[".repeat(65));
    add("target file above 16 MiB", "TooLarge one.sd - -", &["16 MiB"], "#".repeat(17 << 20));
    cases.push(Case::config("dangling link as target file", MAIN, "File one.sd - -", &[]).link("one.sd", "missing"));
    let many = Case::config("10001 target files", MAIN, "TooLarge config.yaml target_files[0] 2:16", &["10000"]);
    cases.push((0..=10_000).fold(many, |many, number| many.file(format!("{number}.sd"), "")));
    cases
}
