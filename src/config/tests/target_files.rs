//! Target files: what they may contain, which globs find them, and what counts as a change.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use super::{MAIN, Site};
use crate::config::{Config, ErrorKind};

/// A folder with this config and these files.
fn site(config: &str, files: &[(&str, impl AsRef<[u8]>)]) -> Site {
    let site = Site::default();
    site.write("config.yaml", config);
    files.iter().for_each(|(name, text)| site.write(name, text));
    site
}

/// The config with a file of this text has these targets with these labels, beside `a.test:587`.
#[track_caller]
fn accepted(text: impl AsRef<[u8]>, expected: &[(&str, &[(&str, &str)])]) {
    let text = text.as_ref();
    let config = site(MAIN, &[("one.sd", text)]).config();
    assert_eq!(config.files.failures(), [], "{}", text.escape_ascii());
    let found: Vec<_> = config.targets.iter().map(|t| (t.name.as_str(), t.labels.iter().collect::<Vec<_>>())).collect();
    let expected = expected.iter().map(|(name, labels)| (*name, labels.to_vec()));
    let expected: Vec<_> = [("a.test:587", vec![])].into_iter().chain(expected).collect();
    assert_eq!(found, expected, "{}", text.escape_ascii());
}

#[test]
fn accepts_target_entries_as_in_the_config() {
    accepted("[]", &[]);
    accepted(
        "- host: b.test\n  labels: {team: x}\n- mx: [c.test, d.test]\n- submission: e.test\n",
        &[("b.test:587", &[("team", "x")]), ("mx:c.test", &[]), ("mx:d.test", &[]), ("submission:e.test", &[])],
    );
    accepted(r#"[{"host": "b.test", "port": 465, "name": "b"}]"#, &[("b", &[])]);
}

/// Groups as Prometheus accepts them.
#[test]
fn accepts_groups_in_file_sd_format() {
    let team: &[(&str, &str)] = &[("team", "mail")];
    let emoji: &[(&str, &str)] = &[("team", "a/b é \u{1f600}")];
    let (b, c) = ("b.test:587", "c.test:587");
    for (text, expected) in [
        ("", &[][..]),
        ("# comment\n", &[]),
        ("---\n", &[]),
        ("null\n", &[]),
        ("[]", &[]),
        ("- {}\n", &[]),
        ("- labels: {a: b}\n", &[]),
        ("- targets:\n  labels:\n", &[]),
        (r#"[{"targets":null,"labels":null}]"#, &[]),
        ("- targets: [b.test]\n", &[(b, &[][..])]),
        ("- targets: [b.test]\n...\n", &[(b, &[])]),
        ("-\n  targets:\n    - b.test # comment\n", &[(b, &[])]),
        ("- targets:\t[b.test]\n", &[(b, &[])]),
        ("- {targets: [b.test,], labels: {team: mail,}}\n", &[(b, team)]),
        ("- \"targets\": ['b.test']\n  'labels': {\"team\": mail}\n", &[(b, team)]),
        ("- {\"targets\":[\"b.test\"],\"labels\":{\"team\":\"mail\"}}\n", &[(b, team)]),
        (r#"[{"targets": ["b.test"], "labels": {"team": "mail"}}]"#, &[(b, team)]),
        ("- labels:\n    team: >-\n      mail\n  targets:\n  - b.test\n", &[(b, team)]),
        ("- targets: [b.test]\n  labels:\n    team: !!str mail\n    __meta_note: 'it''s'\n", &[(b, team)]),
        (
            "- {targets: [b.test], labels: {a: .inf, b: .nan, c: 0o17, d: 017, e: +1, f: 1_000, g: on}}\n",
            &[(
                b,
                &[("a", ".inf"), ("b", ".nan"), ("c", "0o17"), ("d", "017"), ("e", "+1"), ("f", "1_000"), ("g", "on")],
            )],
        ),
        ("\u{feff}- targets: [b.test]\r\n  labels:\r\n    team: mail\r\n", &[(b, team)]),
        ("%YAML 1.1\n---\n- targets: [b.test]\n", &[(b, &[])]),
        ("- targets: [b.test]\n---\n- targets: [c.test]\n", &[(b, &[])]),
        (
            "- targets: [b.test, 'b.test:465', '[2001:db8::1]:25', 'mx:c.test', 'submission:c.test', bücher.example]\n",
            &[
                (b, &[]),
                ("b.test:465", &[]),
                ("[2001:db8::1]:25", &[]),
                ("mx:c.test", &[]),
                ("submission:c.test", &[]),
                ("xn--bcher-kva.example:587", &[]),
            ],
        ),
        ("- {targets: [b.test], labels: {__meta_zone: z, __address__: y, team: mail}}\n", &[(b, team)]),
        (
            "- {targets: [b.test], labels: {a: 1.10, b: true, c: 0x10, d: yes, e: 2020-01-01, f: 1e3, g: !!str 5, h: !x y}}",
            &[(
                b,
                &[
                    ("a", "1.10"),
                    ("b", "true"),
                    ("c", "0x10"),
                    ("d", "yes"),
                    ("e", "2020-01-01"),
                    ("f", "1e3"),
                    ("g", "5"),
                    ("h", "y"),
                ],
            )],
        ),
        (
            "- {targets: [b.test], labels: {a: , b: null, c: ~, d: '', e: 'null', true: x}}",
            &[(b, &[("e", "null"), ("true", "x")])],
        ),
        (
            r#"[{"targets": ["b.test"], "labels": {"a": 5, "b": null, "c": false}}]"#,
            &[(b, &[("a", "5"), ("c", "false")])],
        ),
        (
            "- {targets: [b.test], labels: {job: j, instance: i, group: g, name: n, backend: x, le: '1'}}",
            &[(
                b,
                &[
                    ("exported_backend", "x"),
                    ("exported_group", "g"),
                    ("exported_instance", "i"),
                    ("exported_job", "j"),
                    ("exported_le", "1"),
                    ("exported_name", "n"),
                ],
            )],
        ),
        (
            "- {targets: [b.test], labels: {job: j, exported_job: e}}",
            &[(b, &[("exported_exported_job", "j"), ("exported_job", "e")])],
        ),
        (
            "- &a {targets: [b.test], labels: &l {team: mail}}\n- {<<: *a, targets: [c.test]}\n\
             - {targets: ['d.test:25'], labels: {<<: *l, x: 1.0}}\n",
            &[(b, team), (c, team), ("d.test:25", &[("team", "mail"), ("x", "1.0")])],
        ),
        (
            "- {targets: [b.test], labels: &l {a: '1'}}\n- {targets: [c.test], labels: &m {b: '2'}}\n\
             - {targets: ['d.test:25'], labels: {<<: *l, <<: *m, x: y}}\n",
            &[(b, &[("a", "1")]), (c, &[("b", "2")]), ("d.test:25", &[("a", "1"), ("b", "2"), ("x", "y")])],
        ),
        ("- {targets: [&b b.test], labels: {team: &v mail}}\n- {targets: [*b], labels: {team: *v}}", &[(b, team)]),
        ("- targets: [b.test, 'b.test:587', B.test.]\n", &[(b, &[])]),
        (
            "- {targets: [b.test], labels: {a: '1', b: '2'}}\n- {targets: [b.test, c.test], labels: {b: '3', c: '4'}}\n",
            &[(b, &[("a", "1"), ("b", "2"), ("c", "4")]), (c, &[("b", "3"), ("c", "4")])],
        ),
        (
            r#"[{"targets":["b.test"],"labels":{"team":"a\/b \u00e9 \ud83d\ude00","__meta_x":"\"[{\\ud83d"}}]"#,
            &[(b, emoji)],
        ),
        ("[\n\t{\n\t\t\"targets\": [\n\t\t\t\"b.test\"\n\t\t]\n\t}\n]\n", &[(b, &[])]),
        ("- targets: [b.test]\n  labels:\n    team: |-\n      mail\n", &[(b, team)]),
        ("- targets: [b.test]\r  labels: {team: mail}\r- targets: []\r", &[(b, team)]),
        ("- targets: [true, 2020-01-01, 'no']\n", &[("true:587", &[]), ("2020-01-01:587", &[]), ("no:587", &[])]),
        (
            "- {targets: [b.test], labels: {? a, ~: b, True: c, team: \"ma\\\n  il\"}}\n",
            &[(b, &[("True", "c"), ("team", "mail")])],
        ),
        (
            "- {targets: [b.test], labels: {a: 99999999999999999999, b: -1, c: !!int 5, d: !!float 5, e: 2020-01-01T00:00:00Z}}\n",
            &[(
                b,
                &[("a", "99999999999999999999"), ("b", "-1"), ("c", "5"), ("d", "5"), ("e", "2020-01-01T00:00:00Z")],
            )],
        ),
        ("- !group {targets: !list [!name b.test], labels: !map {team: !x mail}}\n", &[(b, team)]),
        ("%TAG !e! tag:example.com,2000:\n---\n- targets: [b.test]\n", &[(b, &[])]),
        ("%TAG !e! tag:yaml.org,2002:\n%TAG !f! tag:example.com,2000:\n---\n- targets: [!e!str b.test]\n", &[(b, &[])]),
        ("---\n---\n- targets: [c.test]\n", &[]),
        ("- targets: [b.test]\n---\n- [\n", &[(b, &[])]),
        ("- targets: [b.test]\n...\n}{\n", &[(b, &[])]),
        ("- &a {targets: [b.test]}\n- *a\n- &a {targets: [c.test]}\n- *a\n", &[(b, &[]), (c, &[])]),
        (
            "- &a {targets: [c.test], labels: {a: '1'}}\n- {<<: [*a], targets: [b.test]}\n",
            &[(c, &[("a", "1")]), (b, &[("a", "1")])],
        ),
        (
            "- targets: [b.test]\n  labels: {team: 'it''s [[[ {{{', x: \"]]] # }\"} # don't [[[\n",
            &[(b, &[("team", "it's [[[ {{{"), ("x", "]]] # }")])],
        ),
        (r#"[{"targets":["c.test"],"targets":["b.test"],"labels":{"team":"x","team":"mail"}}]"#, &[(b, team)]),
        (
            r#"[{"Targets":["b.test"],"LABELS":{"team":"mail"}},{"Targets":["d.test"],"targets":["c.test"]}]"#,
            &[(b, team), (c, &[])],
        ),
        (
            r#"[{"targets":["b.test"],"labels":{"a":"\ud83dx\ud83d\ude00\ude00","b":"\\ud83d","c":"\u00e9"}}]"#,
            &[(b, &[("a", "\u{fffd}x\u{1f600}\u{fffd}"), ("b", r"\ud83d"), ("c", "é")])],
        ),
        (
            "[{\"targets\":[\"b.test\"],\"labels\":{\"a\":\"1\u{7f}2\u{85}3\u{2028}4\u{feff}5\u{ffff}\"}}]",
            &[(b, &[("a", "1\u{7f}2\u{85}3\u{2028}4\u{feff}5\u{ffff}")])],
        ),
        ("\t[\t{\t\"targets\"\t:\t[\t\"b.test\"\t]\t}\t]\t\n\t", &[(b, &[])]),
        (r#" [ { "labels" : { } , "targets" : [ "b.test" ] } , { } ] "#, &[(b, &[])]),
    ] {
        accepted(text, expected);
        accepted_by_prometheus(text.as_bytes());
    }
}

#[test]
fn accepts_the_encodings_of_prometheus() {
    let text = "- targets: [b.test]\n  labels: {team: mäil \u{1f600}}\n";
    let team: &[(&str, &str)] = &[("team", "mäil \u{1f600}")];
    for encode in [u16::to_le_bytes, u16::to_be_bytes] {
        let bytes: Vec<u8> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(encode).collect();
        accepted(&bytes, &[("b.test:587", team)]);
        accepted_by_prometheus(&bytes);
    }
    let latin1 = b"[{\"targets\":[\"b.test\"],\"labels\":{\"team\":\"m\xe4il\"}}]";
    accepted(latin1, &[("b.test:587", &[("team", "m\u{fffd}il")])]);
    accepted_by_prometheus(latin1);
}

#[test]
fn accepts_large_inventories() {
    let groups = 3_000;
    let all: Vec<_> = (0..groups).map(|number| format!("a{number}.test:587")).collect();
    let aliases: String = (1..groups).map(|n| format!("- {{targets: [a{n}.test], labels: *l}}\n")).collect();
    let block: String = (1..groups).map(|n| format!("- {{targets: [a{n}.test], labels: {{x: z}}}} # {{[\n")).collect();
    let flow: String =
        (1..groups).map(|n| format!(" {{'targets': ['a{n}.test'], labels: {{x: \"[{{'\"}}}},\n")).collect();
    for (text, value) in [
        (format!("# {}\n- {{targets: [a0.test], labels: {{x: z}}}}\n{}", "[".repeat(40_000), block), "z"),
        (format!("- {{targets: [a0.test], labels: &l {{x: 'y'}}}}\n{aliases}"), "y"),
        (format!("[{{targets: [a0.test], labels: {{x: \"[{{'\"}}}},\n{flow}]"), "[{'"),
    ] {
        let labels: &[_] = &[("x", value)];
        accepted(&text, &all.iter().map(|name| (name.as_str(), labels)).collect::<Vec<_>>());
        accepted_by_prometheus(text.as_bytes());
    }
}

/// If the environment names a promtool, it accepts the same file as YAML or as JSON.
#[track_caller]
fn accepted_by_prometheus(text: &[u8]) {
    let Some(promtool) = std::env::var_os("PROMTOOL") else { return };
    let checks = ["groups.yaml", "groups.json"].map(|name| {
        let path = format!("scrape_configs: [{{job_name: x, file_sd_configs: [{{files: [{name}]}}]}}]\n");
        let site = site("", &[(name, text), ("prometheus.yaml", path.as_bytes())]);
        let check = Command::new(&promtool).args(["check", "config"]).arg(site.join("prometheus.yaml")).output();
        check.expect("promtool runs")
    });
    let reasons = || checks.iter().map(|check| String::from_utf8_lossy(&check.stderr)).collect::<Vec<_>>().join("\n");
    assert!(checks.iter().any(|check| check.status.success()), "{}\n{}", text.escape_ascii(), reasons());
}

/// Prometheus keeps the targets of a file that is being written, too.
#[test]
fn blank_json_files_are_errors() {
    for (name, text, is_valid) in [
        ("one.json", "", false),
        ("one.JSON", " \n\t", false),
        ("one.json", "null", true),
        ("one.json", "[]", true),
        ("one.yaml", "", true),
    ] {
        let main = MAIN.replace("*.sd", "one.*");
        let config = site(&main, &[(name, text)]).config();
        assert_eq!(config.files.failures().is_empty(), is_valid, "{name} {text:?}");
    }
}

#[test]
fn long_label_values_of_groups_are_cut_with_one_warning() {
    let text = format!("- {{targets: [b.test], labels: {{a: 'x{}', job: {}}}}}", "ü".repeat(600), "y".repeat(50_000));
    let (a, job) = (format!("x{}", "ü".repeat(511)), "y".repeat(1024));
    accepted(&text, &[("b.test:587", &[("a", &a), ("exported_job", &job)])]);
    accepted_by_prometheus(text.as_bytes());
    let config = site(MAIN, &[("one.sd", &text), ("two.sd", &text.replace("b.test", "c.test"))]).config();
    let [warning] = config.warnings.as_slice() else { panic!("{:?}", config.warnings) };
    assert!(warning.starts_with("4 label values longer than 1024 bytes"), "{warning}");
    assert!(warning.contains("one.sd: [0].labels.a: for example `a` (line 1, column 35)"), "{warning}");
    let limit = format!("- {{targets: [b.test], labels: {{a: {}}}}}", "y".repeat(1024));
    assert_eq!(site(MAIN, &[("one.sd", limit)]).config().warnings, [] as [String; 0]);
}

#[test]
fn targets_of_several_groups_have_one_warning() {
    let groups = "- {targets: [b.test, c.test, a.test], labels: {x: '1'}}\n";
    let others = "- {targets: [c.test, b.test], labels: {x: '2', y: '2'}}\n- {targets: [b.test], labels: {x: '1'}}\n";
    let config = site(MAIN, &[("one.sd", groups), ("two.sd", others)]).config();
    let labels: Vec<_> = config.targets.iter().map(|target| target.labels.iter().collect::<Vec<_>>()).collect();
    let both = vec![("x", "1"), ("y", "2")];
    assert_eq!(labels, [vec![("x", "1")], both.clone(), both], "a target of the configuration gets labels, too");
    let [warning] = config.warnings.as_slice() else { panic!("{:?}", config.warnings) };
    assert!(warning.starts_with("3 targets") && warning.contains("one.sd: [0].targets[2]"), "{warning}");
}

#[test]
fn an_invalid_file_leaves_the_others_in_effect() {
    let site = site(MAIN, &[("one.sd", "- host: b.test\n"), ("two.sd", "- host: c.test\n- hots: d.test\n")]);
    let names = |config: &Config| config.targets.iter().map(|target| target.name.to_string()).collect::<Vec<_>>();
    let failures = |config: &Config| {
        let failures = config.files.failures().iter();
        failures.map(|error| (error.file().to_owned(), error.kind())).collect::<Vec<_>>()
    };
    let first = site.config();
    assert_eq!(names(&first), ["a.test:587", "b.test:587"]);
    assert_eq!(failures(&first), [(site.join("two.sd"), ErrorKind::UnknownKey)]);

    site.write("two.sd", "- host: c.test\n");
    let second = first.files.load().expect("target files").expect("a config");
    assert_eq!((names(&second).join(" "), failures(&second)), ("a.test:587 b.test:587 c.test:587".to_owned(), vec![]));

    site.write("one.sd", "[");
    site.write("two.sd", "- host: d.test\n");
    let third = second.files.load().expect("target files").expect("a config");
    assert_eq!(names(&third), ["a.test:587", "b.test:587", "d.test:587"], "the last valid content of one.sd");
    assert_eq!(failures(&third), [(site.join("one.sd"), ErrorKind::Syntax)]);

    site.write("config.yaml", MAIN.replace("a.test", "e.test"));
    let fourth = Config::load_after(&site.join("config.yaml"), &third.files).expect("a config");
    assert_eq!(names(&fourth), ["e.test:587", "b.test:587", "d.test:587"]);
    assert_eq!(names(&site.config()), ["e.test:587", "d.test:587"]);
}

#[test]
fn globs_find_target_files() {
    #[track_caller]
    fn check(globs: &str, names: &[&str], unmatched: &[&str]) {
        let files = [
            ("[x]/one.sd", "- host: one.test\n"),
            ("[x]/two.sd", "- targets: [two.test]\n"),
            ("[x]/.hidden.sd", "nonsense"),
            ("[x]/deep/er/three.sd", "- host: three.test\n"),
            ("[x]/folder.sd/four", "- host: four.test\n"),
        ];
        let site = site("", &files);
        let main = format!("defaults: {{trust: mozilla}}\ntarget_files: {globs}\n");
        // Glob characters in the path of the folder itself match literally.
        site.write("[x]/config.yaml", main.replace("DIR", site.path()));
        let config = Config::load(&site.join("[x]/config.yaml")).unwrap_or_else(|error| panic!("{error}"));
        let found: Vec<_> = config.targets.iter().map(|target| target.name.as_str()).collect();
        assert_eq!(found, names.iter().map(|name| format!("{name}.test:587")).collect::<Vec<_>>(), "{globs}");
        let fill = |glob: &&str| glob.replace("DIR", site.path());
        assert_eq!(config.files.unmatched(), unmatched.iter().map(fill).collect::<Vec<_>>(), "{globs}");
        assert_eq!(config.files.target_files().len(), names.len(), "{globs}");
    }
    check("['*.sd']", &["one", "two"], &[]);
    check("['*.sd', 'o*', one.sd]", &["one", "two"], &[]);
    check("['**/*.sd']", &["three", "one", "two"], &[]);
    check("['folder.sd/*', 't?o.sd']", &["four", "two"], &[]);
    check("['DIR/none/*', none.sd]", &[], &["DIR/none/*", "none.sd"]);
    check("['**/**/t*.sd', './*er.sd/../o*.sd']", &["three", "one", "two"], &[]);
    check("['*.sd/', '**', 'one.sd/*', '.h*']", &[], &["*.sd/", "**", "one.sd/*", ".h*"]);
}

/// `*` and `?` match names that are not UTF-8, and such names do not affect other files.
#[test]
fn globs_match_names_that_are_not_utf8() {
    #[track_caller]
    fn check(folder: &[u8], globs: &str, file: &[u8], is_found: bool) {
        let site = Site::default();
        let folder = site.join("").join(OsStr::from_bytes(folder));
        let write = |name: &[u8], text: &str| {
            let path = folder.join(OsStr::from_bytes(name));
            path.parent().map(fs::create_dir_all).expect("a folder").expect("it is created");
            fs::write(path, text).expect("it is written");
        };
        write(b"config.yaml", &format!("defaults: {{trust: mozilla}}\ntarget_files: {globs}\n"));
        write(b"good.sd", "- host: good.test\n");
        write(b"deep/good.sd", "- host: deep.test\n");
        write(file, "- host: other.test\n");
        let config = Config::load(&folder.join("config.yaml")).unwrap_or_else(|error| panic!("{error}"));
        let what = format!("{globs}: {}", file.escape_ascii());
        assert_eq!(config.files.failures(), [], "{what}");
        let names: Vec<_> = config.targets.iter().map(|target| target.name.as_str()).collect();
        assert!(names.contains(&"good.test:587") || names.contains(&"deep.test:587"), "{what}: {names:?}");
        assert_eq!(names.contains(&"other.test:587"), is_found, "{what}: {names:?}");
        assert_eq!(config.files.look().expect("readable folders"), *config.files.found(), "{what}");
    }
    check(b"", "['*.sd']", b"\xff.sd", true);
    check(b"", "['*.sd']", b"caf\xe9.sd", true);
    check(b"", "['*.sd', '?.sd']", b"\xff.sd", true);
    check(b"", "['*.sd']", b"\xff.txt", false);
    check(b"", "['*.sd']", b".\xff.sd", false);
    check(b"", "['g*.sd']", b"\xff.sd", false);
    check(b"", "['**/*.sd']", b"\xff/\xfe.sd", true);
    check(b"", "['**/g*.sd']", b"\xff/\xfe.sd", false);
    check(b"", "['*/*.sd']", b"\xff/x.sd", true);
    check(b"", "['*/good.sd']", b"\xff/x.sd", false);
    check(b"", "['*.sd']", b"\xf0\x9f\x98.sd/x", false);
    check(b"", "['*.sd']", b"\xed\xa0\x80.sd", true);
    // Another name of the folder is no part of the patterns.
    check(b"\xff", "['*.sd']", b"one.sd", true);
    check(b"\xff[x]", "['**/*.sd']", b"\xfe.sd", true);
}

#[test]
fn paths_are_relative_to_the_file_that_contains_them() {
    let main = "defaults: {trust: mozilla}\ntarget_files: ['sub/*']\n";
    let site = site(main, &[("sub/one.yaml", "- host: b.test\n  certificate_file: mail.pem\n")]);
    let file = site.config().targets[0].settings.certificate_file.clone();
    assert_eq!(file.as_deref(), Some(site.join("sub/mail.pem").as_path()));
}

#[test]
fn detects_changed_target_files_and_loads_them_with_the_config_in_use() {
    let site = site(MAIN, &[("one.sd", "- host: b.test\n")]);
    let config = site.config();
    let files = &config.files;
    let look = || files.look().expect("a readable folder");
    assert_eq!(look(), *files.found());

    site.write("other", "- host: c.test\n");
    site.write("config.yaml", "half-edited: [");
    assert_eq!(look(), *files.found(), "neither is a target file");

    site.write("two.sd", "- host: c.test\n");
    let added = look();
    assert_ne!(added, *files.found());
    let again = files.load().expect("target files are configured").expect("a config");
    let names = |config: &Config| config.targets.iter().map(|target| target.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&again), ["a.test:587", "b.test:587", "c.test:587"]);
    assert_eq!(*again.files.found(), added);

    site.write("two.sd", "- host: cc.test\n");
    let written = look();
    assert_ne!(written, added, "another length");

    let times = fs::metadata(site.join("two.sd")).and_then(|metadata| metadata.modified()).expect("a time");
    site.write("new", "- host: dd.test\n");
    fs::File::options().write(true).open(site.join("new")).and_then(|file| file.set_modified(times)).expect("a time");
    fs::rename(site.join("new"), site.join("two.sd")).expect("moved");
    let moved = look();
    assert_ne!(moved, written, "another file of the same length and time");

    fs::remove_file(site.join("two.sd")).expect("removed");
    assert_eq!(look(), *files.found());
    site.link("two.sd", "missing");
    assert_ne!(look(), *files.found());
    let config = files.load().expect("target files are configured").expect("a config");
    let [error] = config.files.failures() else { panic!("{:?}", config.files) };
    assert_eq!((error.kind(), error.file()), (ErrorKind::File, site.join("two.sd").as_path()));
}

#[test]
fn watches_nothing_without_files() {
    let config = Config::parse("targets: [{host: a.test, trust: mozilla}]", Path::new("c.yaml")).expect("a config");
    let files = &config.files;
    assert!(!files.has_target_files() && !files.are_watched());
    assert_eq!(files.look().expect("no folder to read"), *files.found());
}
