//! Target files: what they may contain, which globs find them, and what counts as a change.

use std::fs;
use std::path::Path;

use super::{MAIN, Site};
use crate::config::{Config, ErrorKind};

/// A folder with this config and these files.
fn site(config: &str, files: &[(&str, &str)]) -> Site {
    let site = Site::default();
    site.write("config.yaml", config);
    files.iter().for_each(|(name, text)| site.write(name, text));
    site
}

/// The config with a file of this text has these targets with these labels, beside `a.test:587`.
#[track_caller]
fn accepted(text: &str, expected: &[(&str, &[(&str, &str)])]) {
    let config = site(MAIN, &[("one.sd", text)]).config();
    let found: Vec<_> = config.targets.iter().map(|t| (t.name.as_str(), t.labels.iter().collect::<Vec<_>>())).collect();
    let expected = expected.iter().map(|(name, labels)| (*name, labels.to_vec()));
    assert_eq!(found, [("a.test:587", vec![])].into_iter().chain(expected).collect::<Vec<_>>(), "{text}");
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

#[test]
fn accepts_groups_in_file_sd_format() {
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
fn accepts_file_sd_json_of_common_writers() {
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
    let files = &config.target_files;
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
    assert_eq!(*again.target_files.found(), added);

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
    let error = files.load().expect("target files are configured").expect_err("a dangling link");
    assert_eq!((error.kind(), error.file()), (ErrorKind::File, site.join("two.sd").as_path()));
}

#[test]
fn watches_nothing_without_target_files() {
    let config = Config::parse("targets: [{host: a.test, trust: mozilla}]", Path::new("c.yaml")).expect("a config");
    let files = &config.target_files;
    assert!(!files.are_named() && files.load().is_none());
    assert_eq!(files.look().expect("no folder to read"), *files.found());
}
