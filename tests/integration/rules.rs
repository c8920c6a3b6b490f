//! `smtp-tls-exporter rules`, and the note of `--config.check` on labels that the shipped rules drop: the real binary.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use expect_test::expect_file;

/// Standard output and standard error of a command that succeeds, run in `folder`.
#[track_caller]
fn run(folder: &Path, args: &[&str]) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"));
    let output = command.args(args).current_dir(folder).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(0), "{args:?}: {err}");
    (out, err)
}

/// The labels that alerts keep, from the header of the rules.
fn kept(rules: &str) -> &str {
    let header = rules.lines().find_map(|line| line.strip_prefix("#     job, cluster, namespace")).expect("the labels");
    header.trim_start_matches(", ")
}

/// Writes a configuration file whose targets have these labels.
fn config(folder: &Path, name: &str, targets: &[&str], rest: &str) {
    let mut text = format!("defaults: {{trust: mozilla}}\n{rest}targets:\n");
    for (number, labels) in targets.iter().enumerate() {
        let _ = writeln!(text, "  - {{host: {number}.test, labels: {{{labels}}}}}");
    }
    std::fs::write(folder.join(format!("{name}.yaml")), text).expect("a file");
}

#[test]
fn the_shipped_rules_are_those_for_the_label_team() {
    let (rules, err) = run(Path::new("."), &["rules"]);
    assert_eq!(err, "");
    expect_file!["../../deploy/prometheus/smtp-tls.rules.yaml"].assert_eq(&rules);
    assert_eq!(run(Path::new("."), &["rules", "--label=team"]).0, rules);
}

#[test]
fn keeps_the_labels_of_the_command_line_and_of_all_targets() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    config(folder, "none", &["", ""], "");
    config(folder, "one", &["team: mail, tier: gold", "tier: gold, env_name: live"], "");
    config(folder, "two", &["zone: a, cluster: b"], "target_files: ['*.json']\n");
    config(folder, "replica", &["node: a, team: mail, severity: b", "nan: c"], "");
    let groups =
        r#"[{"targets": ["a.test", "b.test"], "labels": {"dc": "x", "job": "y", "__meta_z": "z", "empty": ""}}]"#;
    std::fs::write(folder.join("sd.json"), groups).expect("a file");
    // What standard error names, a line each: labels that alerts cannot keep, then the label of the example routes.
    for (args, expected, notes) in [
        (&["--label=tier", "--label", "env_name", "--label=tier"][..], "env_name, tier", &[][..]),
        (&["--label=namespace", "--label=job", "--label=cluster"], "", &[]),
        (&["--config.file=none.yaml"], "", &["`--label=team`"]),
        (&["--config.file=none.yaml", "--label=team"], "team", &[]),
        (&["--config.file=one.yaml"], "env_name, team, tier", &[]),
        // A target of a group has the label that Prometheus would give it.
        (&["--config.file=two.yaml"], "dc, exported_job, zone", &["`--label=team`"]),
        (&["--config.file=two.yaml", "--config.file=one.yaml"], "dc, env_name, exported_job, team, tier, zone", &[]),
        (
            &["--config.file=one.yaml", "--label=b", "--config.file=two.yaml"],
            "b, dc, env_name, exported_job, team, tier, zone",
            &[],
        ),
        (&["--config.file=replica.yaml"], "team", &["`nan`", "`node`", "`severity`"]),
    ] {
        let (rules, err) = run(folder, &[&["rules"], args].concat());
        assert_eq!(kept(&rules), expected, "{args:?}");
        assert_eq!(err.lines().count(), notes.len(), "{args:?}: {err}");
        assert!(err.lines().zip(notes).all(|(line, name)| line.contains(name)), "{args:?}: {err}");
    }
}

#[test]
fn a_check_of_the_configuration_reports_labels_that_the_shipped_rules_drop() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    config(folder, "team", &["team: mail, cluster: a, namespace: b", ""], "");
    config(folder, "tier", &["team: mail, tier: gold"], "");
    config(folder, "it's two", &["env_name: live", "tier: gold"], "");
    config(folder, "sd", &[""], "target_files: ['*.json']\n");
    config(folder, "replica", &["node: a"], "");
    std::fs::write(folder.join("a.json"), r#"[{"targets": ["a.test"], "labels": {"dc": "x"}}]"#).expect("a file");
    let many: Vec<String> = (0..50).map(|number| format!("l{number:02}: x")).collect();
    config(folder, "many", &[&many.join(", ")], "");
    for (name, facts) in [
        ("team", &[][..]),
        ("tier", &["label `tier` of", "`smtp-tls-exporter rules --config.file=tier.yaml`"]),
        ("it's two", &["labels `env_name` and `tier` of", r"--config.file='it'\''s two.yaml'`"]),
        ("sd", &["label `dc` of", "--config.file=sd.yaml`"]),
        ("replica", &["`node`", "replicas"]),
        ("many", &["`l00`", "`l09` and 40 more"]),
    ] {
        let file = format!("--config.file={name}.yaml");
        let (out, err) = run(folder, &[&file, "--config.check"]);
        assert!(out.contains(" is valid: "), "{out}");
        assert_eq!(err.lines().count(), usize::from(!facts.is_empty()), "{name}: {err}");
        assert!(facts.iter().all(|fact| err.contains(fact)), "{name}: {err}");
        assert!(!err.contains("`team`"), "{name}: {err}");
    }
}
