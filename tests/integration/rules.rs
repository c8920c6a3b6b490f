//! `smtp-tls-exporter rules`, and the note of `--config.check` on labels that the shipped rules drop: the real binary.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};

use expect_test::expect_file;

/// The output of a command, run in `folder`.
fn output(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"));
    command.args(args).current_dir(folder).output().expect("it runs")
}

/// Standard output and standard error of a command that succeeds, run in `folder`.
#[track_caller]
fn run(folder: &Path, args: &[&str]) -> (String, String) {
    let output = output(folder, args);
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
    assert_eq!(run(Path::new("."), &["rules", "--parameters=deploy/prometheus/parameters.yaml"]), (rules, err));
}

/// Each parameter changes nothing but its own value. The new values do not occur in the shipped rules.
#[test]
fn each_parameter_replaces_its_default() {
    let folder = tempfile::tempdir().expect("a folder");
    let (shipped, _) = run(folder.path(), &["rules"]);
    for (text, default, new) in [
        (r#"selectors: {exporter: 'job="x:x"'}"#, r#"job=~".*smtp[-_]tls.*",job!~".*probe.*""#, r#"job="x:x""#),
        (r#"selectors: {probe: 'job="x:x"'}"#, r#"job=~".*smtp[-_]tls.*",job=~".*probe.*""#, r#"job="x:x""#),
        ("labels: {cluster: k8s_a}", "cluster", "k8s_a"),
        ("labels: {namespace: k8s_b}", "namespace", "k8s_b"),
        ("labels: {kept: [tier_a]}", "namespace, team", "namespace, tier_a"),
        ("labels: {kept: [tier_b, tier_a]}", "namespace, team", "namespace, tier_a, tier_b"),
        ("runbook_url: http://a.test/b//", "https://runbooks.example.com/smtp-tls", "http://a.test/b"),
        ("thresholds: {certificate_expiring_days: 3217}", "21", "3217"),
        ("thresholds: {certificate_expiring_lifetime_ratio: 0.625}", "0.25", "0.625"),
        ("thresholds: {certificate_about_to_expire_days: 19}", "7", "19"),
        ("thresholds: {certificate_about_to_expire_lifetime_ratio: 0.125}", "0.1", "0.125"),
        ("thresholds: {client_certificate_expiring_days: 3217}", "14", "3217"),
        ("thresholds: {not_reloaded_hours: 167}", "2", "167"),
        ("thresholds: {certificates_differ_hours: 167}", "2", "167"),
        ("thresholds: {backend_flapping_changes: 97}", "8", "97"),
        ("", "", "no difference"),
        ("thresholds:\nlabels: {}\n", "", "no difference"),
    ] {
        std::fs::write(folder.path().join("parameters.yaml"), text).expect("a file");
        let (rules, err) = run(folder.path(), &["rules", "--parameters=parameters.yaml"]);
        assert_eq!(err, "", "{text}");
        check_replaced(text, &shipped, &rules, default, new);
    }
}

/// Checks that `rules` are the `shipped` ones with `default` replaced by `new` in some lines.
#[track_caller]
fn check_replaced(name: &str, shipped: &str, rules: &str, default: &str, new: &str) {
    assert_eq!(shipped.lines().count(), rules.lines().count(), "{name}");
    let changed: Vec<_> = shipped.lines().zip(rules.lines()).filter(|(before, after)| before != after).collect();
    for (before, after) in &changed {
        assert_eq!(after.replace(new, default), **before, "{name}");
    }
    assert_eq!(changed.is_empty(), default.is_empty(), "{name}");
}

#[test]
fn labels_of_the_command_line_and_the_configuration_add_to_those_of_the_parameters() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    config(folder, "config", &["env_name: live, cluster: a"], "");
    std::fs::write(folder.join("none.yaml"), "{labels: {kept: []}}").expect("a file");
    std::fs::write(folder.join("tier.yaml"), "labels: {cluster: k8s_cluster, kept: [tier]}").expect("a file");
    for (args, expected) in [
        (&["--parameters=none.yaml"][..], "job, cluster, namespace"),
        (&["--parameters=none.yaml", "--label=zone"], "job, cluster, namespace, zone"),
        (&["--parameters=tier.yaml"], "job, k8s_cluster, namespace, tier"),
        (&["--parameters=tier.yaml", "--label=zone", "--label=tier"], "job, k8s_cluster, namespace, tier, zone"),
        // With another name for the label of the scrape, `cluster` is a label of targets.
        (
            &["--parameters=tier.yaml", "--config.file=config.yaml"],
            "job, k8s_cluster, namespace, cluster, env_name, tier",
        ),
    ] {
        let (rules, _) = run(folder, &[&["rules"], args].concat());
        assert_eq!(rules.lines().find(|line| line.starts_with("#     job, ")), Some(&*format!("#     {expected}")));
    }
}

#[test]
fn errors_of_parameter_files_are_those_of_the_golden_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut golden = String::new();
    for text in INVALID_PARAMETERS {
        std::fs::write(folder.path().join("parameters.yaml"), text).expect("a file");
        let output = output(folder.path(), &["rules", "--parameters=parameters.yaml"]);
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!((output.status.code(), &*output.stdout), (Some(2), &b""[..]), "{text}: {error}");
        let error = error.trim_end().trim_start_matches("smtp-tls-exporter: ");
        assert!(error.starts_with("parameters.yaml: "), "{text}: {error}");
        let _ = writeln!(golden, "{text}\n---\n{error}\n");
    }
    expect_file!["../golden/parameter-errors.txt"].assert_eq(&golden);
    for (file, text) in [("missing.yaml", "not found"), (".", "directory")] {
        let output = output(folder.path(), &["rules", "--parameters", file]);
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(text), "{error}");
    }
}

const INVALID_PARAMETERS: &[&str] = &[
    "- a",
    "text",
    "a: [",
    "selectors: {}\n---\nlabels: {}",
    "threshold: {}",
    "labels:\n  clusters: a",
    "thresholds:\n  certificate_expiring_day: 1",
    "selectors: {exporter: 1}",
    "selectors: {exporter: }",
    "selectors: {exporter: ''}",
    "selectors: {exporter: '{job=\"a\"}'}",
    "selectors: {probe: 'job=\"a'}",
    "selectors: {probe: 'job=\"a\"} or up{job=\"b\"'}",
    "selectors: {exporter: 'job=\"a\"', probe: 'job=\"a\"'}",
    "labels: {cluster: a-b}",
    "labels: {cluster: pod}",
    "labels: {cluster: target}",
    "labels: {cluster: job}",
    "labels:\n  namespace: cluster",
    "labels:\n  cluster: namespace",
    "labels: {kept: team}",
    "labels: {kept: [team, 1]}",
    "labels: {kept: [team, severity]}",
    "labels: {kept: [team, tier, team]}",
    "labels: {kept: [team, namespace]}",
    "labels:\n  cluster: team",
    "runbook_url: wiki.example.net",
    "runbook_url: 'https://wiki.example.net/a b'",
    "runbook_url: 'https://wiki.example.net/{{ .Labels.job }}'",
    "thresholds: {certificate_expiring_days: '21'}",
    "thresholds: {certificate_expiring_days: 21.5}",
    "thresholds: {certificate_expiring_days: 0}",
    "thresholds: {client_certificate_expiring_days: 3651}",
    "thresholds: {client_certificate_expiring_days: 99999999999999999999}",
    "thresholds: {certificate_expiring_lifetime_ratio: 0}",
    "thresholds: {certificate_expiring_lifetime_ratio: 1}",
    "thresholds: {certificate_expiring_lifetime_ratio: 1.5}",
    "thresholds: {certificate_expiring_lifetime_ratio: .nan}",
    "thresholds: {certificate_expiring_lifetime_ratio: 25%}",
    "thresholds:\n  certificate_about_to_expire_days: 21",
    "thresholds:\n  certificate_expiring_days: 7",
    "thresholds:\n  certificate_expiring_lifetime_ratio: 0.4\n  certificate_about_to_expire_lifetime_ratio: 0.5",
    "thresholds: {not_reloaded_hours: 1}",
    "thresholds: {certificates_differ_hours: 169}",
    "thresholds: {backend_flapping_changes: 1}",
];

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

/// The build of the dashboards and the Helm chart are tested with the same parameters.
#[test]
fn accepts_and_refuses_parameters() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules/parameters/cases.yaml");
    let cases: BTreeMap<String, Vec<serde_yaml::Value>> =
        serde_yaml::from_str(&std::fs::read_to_string(path).expect("cases")).expect("YAML");
    let folder = tempfile::tempdir().expect("a folder");
    for (group, code) in [("accepted", 0), ("refused", 2), ("refused_by_regular_expression", 2)] {
        for case in &cases[group] {
            let text = serde_yaml::to_string(case).expect("YAML");
            std::fs::write(folder.path().join("parameters.yaml"), &text).expect("a file");
            let output = output(folder.path(), &["rules", "--parameters=parameters.yaml"]);
            let err = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{text}: {err}");
            assert_eq!(err.contains("parameters.yaml:"), code == 2, "{text}: {err}");
        }
    }
}
