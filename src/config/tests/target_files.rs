//! Files of targets: what is accepted, what is refused, and what counts as a change.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::config::{Config, ConfigError};

const MAIN: &str = "defaults: {trust: mozilla}\ntarget_files: ['*.sd']\ntargets: [{host: a.test}]\n";

/// A folder with a config and files of targets.
struct Site(TempDir);

impl Site {
    fn new(main: &str, files: &[(&str, &str)]) -> Self {
        let site = Self(tempfile::tempdir().expect("a folder"));
        site.write("config.yaml", main);
        files.iter().for_each(|(name, text)| site.write(name, text));
        site
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.0.path().join("config.yaml"))
    }

    #[track_caller]
    fn config(&self) -> Config {
        self.load().unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The config with a file of this text has these targets with these labels, beside `a.test:587`.
#[track_caller]
fn accepted(text: &str, expected: &[(&str, &[(&str, &str)])]) {
    let config = Site::new(MAIN, &[("one.sd", text)]).config();
    let found: Vec<_> = config.targets.iter().map(|t| (t.name.as_str(), t.labels.iter().collect::<Vec<_>>())).collect();
    let expected = expected.iter().map(|(name, labels)| (*name, labels.to_vec()));
    assert_eq!(found, [("a.test:587", vec![])].into_iter().chain(expected).collect::<Vec<_>>(), "{text}");
}

/// The config `main` with a file `one.sd` of this text is refused so; `DIR` stands for the folder.
#[track_caller]
fn refused_with(main: &str, files: &[(&str, &str)], expected: &str) {
    let site = Site::new(main, files);
    let expected = expected.replace("DIR", site.0.path().to_str().expect("UTF-8"));
    assert_eq!(site.load().err().map(|error| error.to_string()), Some(expected), "{files:?}");
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    refused_with(MAIN, &[("one.sd", text)], &format!("DIR/one.sd: {expected}"));
}

#[test]
fn targets_as_in_the_config() {
    accepted("[]", &[]);
    accepted(
        "- host: b.test\n  labels: {team: x}\n- mx: [c.test, d.test]\n- submission: e.test\n",
        &[("b.test:587", &[("team", "x")]), ("mx:c.test", &[]), ("mx:d.test", &[]), ("submission:e.test", &[])],
    );
    accepted(r#"[{"host": "b.test", "port": 465, "name": "b"}]"#, &[("b", &[])]);
}

#[test]
fn groups_of_file_sd() {
    let all = "
- targets: [b.test, 'b.test:465', '[2001:db8::1]:25', 'mx:c.test', 'submission:c.test', bücher.example]
  labels: {team: x, __meta_zone: z, __address__: y}
- labels:
  targets: []
- targets: [192.0.2.1]
";
    let team: &[(&str, &str)] = &[("team", "x")];
    accepted(
        all,
        &[
            ("b.test:587", team),
            ("b.test:465", team),
            ("[2001:db8::1]:25", team),
            ("mx:c.test", team),
            ("submission:c.test", team),
            ("xn--bcher-kva.example:587", team),
            ("192.0.2.1:587", &[]),
        ],
    );
}

#[test]
fn json_as_prometheus_and_others_write_it() {
    let team: &[(&str, &str)] = &[("team", "a/b é")];
    let one = [("b.test:25", team)];
    accepted(r#"[{"targets":["b.test:25"],"labels":{"team":"a\/b \u00e9","__meta_x":"\"[{"}}]"#, &one);
    accepted(
        "[\n\t{\n\t\t\"targets\": [\n\t\t\t\"b.test:25\"\n\t\t],\n\t\t\"labels\": {\n\t\t\t\"team\": \"a/b é\"\n\t\t}\n\t}\n]\n",
        &one,
    );
    accepted(
        "[\r\n  {\r\n    \"labels\": {\"team\": \"a/b é\"},\r\n    \"targets\": [\"b.test:25\"]\r\n  }\r\n]\r\n",
        &one,
    );
    accepted(
        r#"[{"labels":{"team":"\ud83d\ude00"},"targets":["b.test:25"]}]"#,
        &[("b.test:25", &[("team", "\u{1f600}")])],
    );
    refused(
        r#"[{"targets":["b.test:x"],"labels":{"team":"\ud83d\ude00"}}]"#,
        "found `b.test:x` (the port is no number from 1 to 65535), allowed is a target such as smtp.example.com, smtp.example.com:465, \"[2001:db8::1]:25\", mx:example.com or submission:example.com (line 1, column 23)",
    );
}

#[test]
fn what_is_no_list_of_targets() {
    refused(
        "",
        "found an empty document, allowed is a list of targets, or of groups as in Prometheus's file_sd (`[]` where there are none)",
    );
    refused(
        "targets: []",
        "found a mapping, allowed is a list of targets, or of groups as in Prometheus's file_sd (line 1, column 1)",
    );
    refused("- b.test", "[0]: found the text `b.test`, allowed is a mapping of keys (line 1, column 3)");
    refused(
        "[{\"targets\": [}]",
        "found YAML that cannot be parsed (did not find expected node content, while parsing a flow node), allowed is valid YAML (line 1, column 15)",
    );
    refused(
        "- host: b.test\n- targets: [b.test]\n",
        "[1]: found an entry with the key `targets` after one without, allowed is either targets as in the config or Prometheus's file_sd in one file (line 2, column 3)",
    );
    refused(
        "- targets: [b.test]\n- host: b.test\n",
        "[1]: found an entry without the key `targets` after one with it, allowed is either targets as in the config or Prometheus's file_sd in one file (line 2, column 3)",
    );
    refused(
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        "found `[` and `{` nested too deep, allowed is at most 64 levels (line 1, column 65)",
    );
    refused_with(
        MAIN,
        &[("one.sd", &"#".repeat(17 << 20))],
        "DIR/one.sd: found a file of more than 16 MiB, allowed is 16 MiB at most",
    );
}

#[test]
fn wrong_values_are_told_with_their_place() {
    refused(
        "- host: b.test\n- host: b.test\n  port: 70000\n",
        "[1].port: found 70000, allowed is 1 to 65535 (line 3, column 9)",
    );
    refused(
        "- host: b.test\n  mx: b.test\n",
        "[0]: found the keys `host` and `mx` in one entry, allowed is exactly one of `host`, `mx` and `submission` (line 1, column 3)",
    );
    refused(
        "- host: b.test\n  interval: 10s\n  timeout: 20s\n",
        "[0].timeout: found 20s, allowed is at most the interval, 10s",
    );
    refused(
        "- targets: [b.test]\n  label: {}\n",
        "[0]: unknown key `label`, allowed are targets, labels (line 2, column 3)",
    );
    refused("- targets: b.test\n", "[0].targets: found the text `b.test`, allowed is a list (line 1, column 12)");
    let spec = "a target such as smtp.example.com, smtp.example.com:465, \"[2001:db8::1]:25\", mx:example.com or submission:example.com";
    refused(
        "- targets: [25]\n",
        &format!("[0].targets[0]: found the number 25, allowed is {spec} (line 1, column 13)"),
    );
    refused(
        "- targets: [b.test, 'b.test:x']\n",
        &format!(
            "[0].targets[1]: found `b.test:x` (the port is no number from 1 to 65535), allowed is {spec} (line 1, column 21)"
        ),
    );
    refused(
        "- targets: ['mx:192.0.2.1']\n",
        &format!(
            "[0].targets[0]: found `mx:192.0.2.1` (an IP address is no domain), allowed is {spec} (line 1, column 13)"
        ),
    );
    refused(
        r#"[{"targets": ["b.test"], "labels": {"team": 5}}]"#,
        "[0].labels.team: found the number 5, allowed is a text of at most 1024 bytes (numbers and booleans in quotes) (line 1, column 45)",
    );
    refused(
        "- targets: []\n  labels: [a]\n",
        "[0].labels: found a list, allowed is a mapping of names (line 2, column 11)",
    );
    refused(
        "- targets: []\n  labels: {job: mail}\n",
        "[0].labels: found `job` (Prometheus sets it), allowed is a label name ([a-zA-Z_][a-zA-Z0-9_]*, not __*) that neither Prometheus nor this exporter uses itself (line 2, column 12)",
    );
}

#[test]
fn names_are_unique_over_all_files() {
    let allowed = "allowed is a name of its own (key `name`) for each target";
    refused(
        "- host: A.test\n",
        &format!(
            "[0].host: found the name `a.test:587` a second time, after targets[0].host of DIR/config.yaml, {allowed}"
        ),
    );
    refused(
        "- targets: [b.test, 'b.test:587']\n",
        &format!("[0].targets[1]: found the name `b.test:587` a second time, after [0].targets[0], {allowed}"),
    );
    refused_with(
        MAIN,
        &[("one.sd", "- targets: ['mx:b.test']\n"), ("two.sd", "- host: b.test\n- mx: b.test\n")],
        &format!(
            "DIR/two.sd: [1].mx: found the name `mx:b.test` a second time, after [0].targets[0] of DIR/one.sd, {allowed}"
        ),
    );
}

#[test]
fn defaults_are_told_with_the_file_that_gives_them() {
    refused_with(
        "defaults: {trust: nobody}\ntarget_files: ['*.sd']\n",
        &[("one.sd", "- targets: [b.test]\n")],
        "DIR/config.yaml: defaults.trust: found `nobody`, allowed is one of mozilla, system",
    );
    refused_with(
        "defaults: {timeout: 10m}\ntarget_files: ['*.sd']\n",
        &[("one.sd", "- host: b.test\n")],
        "DIR/config.yaml: defaults.timeout: found 10m, allowed is at most the interval, 5m",
    );
    refused_with(
        "defaults: {timeout: 20s}\ntarget_files: ['*.sd']\n",
        &[("one.sd", "- host: b.test\n  interval: 10s\n")],
        "DIR/one.sd: [0].interval: found 10s, allowed is at least defaults.timeout, 20s",
    );
}

#[test]
fn globs() {
    #[track_caller]
    fn check(globs: &str, names: &[&str], unmatched: &[&str]) {
        let files = [
            ("[x]/one.sd", "- host: one.test\n"),
            ("[x]/two.sd", "- targets: [two.test]\n"),
            ("[x]/.hidden.sd", "nonsense"),
            ("[x]/deep/er/three.sd", "- host: three.test\n"),
            ("[x]/folder.sd/four", "- host: four.test\n"),
        ];
        let site = Site::new("", &files);
        let main = format!("defaults: {{trust: mozilla}}\ntarget_files: {globs}\n");
        // The folder's own name is no pattern.
        site.write("[x]/config.yaml", &main.replace("DIR", site.0.path().to_str().expect("UTF-8")));
        let config = Config::load(&site.0.path().join("[x]/config.yaml")).unwrap_or_else(|error| panic!("{error}"));
        let found: Vec<_> = config.targets.iter().map(|target| target.name.as_str()).collect();
        assert_eq!(found, names.iter().map(|name| format!("{name}.test:587")).collect::<Vec<_>>(), "{globs}");
        let fill = |glob: &&str| glob.replace("DIR", site.0.path().to_str().expect("UTF-8"));
        assert_eq!(config.target_files.unmatched(), unmatched.iter().map(fill).collect::<Vec<_>>(), "{globs}");
        assert_eq!(config.target_files.paths().len(), names.len(), "{globs}");
    }
    check("['*.sd']", &["one", "two"], &[]);
    check("['*.sd', 'o*', one.sd]", &["one", "two"], &[]);
    check("['**/*.sd']", &["three", "one", "two"], &[]);
    check("['folder.sd/*', 't?o.sd']", &["four", "two"], &[]);
    check("['DIR/none/*', none.sd]", &[], &["DIR/none/*", "none.sd"]);
}

#[test]
fn globs_are_globs() {
    let allowed = "allowed is a glob of files, such as targets/*.yaml";
    for (globs, expected) in [
        ("['']", format!("target_files[0]: found ``, {allowed} (line 1, column 16)")),
        ("[a, 'b[']", format!("target_files[1]: found `b[` (invalid range pattern), {allowed} (line 1, column 19)")),
        ("[5]", format!("target_files[0]: found the number 5, {allowed} (line 1, column 16)")),
        ("x.yaml", "target_files: found the text `x.yaml`, allowed is a list (line 1, column 15)".to_owned()),
    ] {
        refused_with(&format!("target_files: {globs}"), &[], &format!("DIR/config.yaml: {expected}"));
    }
}

#[test]
fn files_are_bounded_in_number() {
    let site = Site::new("target_files: ['*.sd']\n", &[]);
    (0..=10_000).for_each(|number| fs::write(site.0.path().join(format!("{number}.sd")), "").expect("a file"));
    let path = site.0.path().join("config.yaml");
    let expected =
        format!("{}: target_files[0]: found more than 10000 files, allowed is 10000 at most", path.display());
    assert_eq!(site.load().err().map(|error| error.to_string()), Some(expected));
}

#[test]
fn paths_are_relative_to_the_file_that_gives_them() {
    let main = "defaults: {trust: mozilla}\ntarget_files: ['sub/*']\n";
    let site = Site::new(main, &[("sub/one.yaml", "- host: b.test\n  certificate_file: mail.pem\n")]);
    let file = site.config().targets[0].policy.certificate_file.clone();
    assert_eq!(file.as_deref(), Some(site.0.path().join("sub/mail.pem").as_path()));
}

#[test]
fn a_change_is_seen_and_loaded_with_the_config_as_it_was() {
    let site = Site::new(MAIN, &[("one.sd", "- host: b.test\n")]);
    let config = site.config();
    let files = &config.target_files;
    let look = || files.look().expect("readable");
    let path = |name: &str| site.0.path().join(name);
    assert_eq!(look(), *files.found());

    site.write("other", "- host: c.test\n");
    site.write("config.yaml", "half-edited: [");
    assert_eq!(look(), *files.found(), "neither is a file of targets");

    site.write("two.sd", "- host: c.test\n");
    let added = look();
    assert_ne!(added, *files.found());
    let again = files.load().expect("files are named").expect("a config");
    let names = |config: &Config| config.targets.iter().map(|target| target.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&again), ["a.test:587", "b.test:587", "c.test:587"]);
    assert_eq!(*again.target_files.found(), added);

    site.write("two.sd", "- host: cc.test\n");
    let written = look();
    assert_ne!(written, added, "its length");

    let times = fs::metadata(path("two.sd")).and_then(|metadata| metadata.modified()).expect("a time");
    site.write("new", "- host: dd.test\n");
    fs::File::options().write(true).open(path("new")).and_then(|file| file.set_modified(times)).expect("a time");
    fs::rename(path("new"), path("two.sd")).expect("moved");
    let moved = look();
    assert_ne!(moved, written, "another file of the same length and time");

    fs::remove_file(path("two.sd")).expect("removed");
    assert_eq!(look(), *files.found());
    std::os::unix::fs::symlink("nowhere", path("two.sd")).expect("a link");
    assert_ne!(look(), *files.found());
    let error = files.load().expect("files are named").err().map(|error| error.to_string());
    let expected = format!("{}: found no such file, allowed is a readable YAML file", path("two.sd").display());
    assert_eq!(error, Some(expected));
}

#[test]
fn without_files_of_targets_nothing_is_watched() {
    let config = Config::parse("targets: [{host: a.test, trust: mozilla}]", Path::new("c.yaml")).expect("a config");
    let files = &config.target_files;
    assert!(!files.are_named() && files.load().is_none());
    assert_eq!(files.look().expect("nothing to look at"), *files.found());
}
