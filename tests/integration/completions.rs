//! `smtp-tls-exporter completions`: the completions of bash in bash; `tests/cli/run` loads the others in their shells.

use std::process::{Command, Output, Stdio};

fn exporter(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"));
    command.args(args).stdin(Stdio::null()).output().expect("it runs")
}

fn script(shell: &str) -> String {
    let output = exporter(&["completions", shell]);
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]), "{shell}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn every_shell_has_every_sub_command_and_flag() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = script(shell);
        assert!(!script.contains("argparse -s"), "it rejects names of flags with dots: {shell}");
        for word in ["check", "verify", "rules", "health", "completions", "man", "config.file", "no-system-roots"] {
            assert!(script.contains(word), "{word} in the completions of {shell}");
        }
    }
    for args in [&["completions"][..], &["completions", "csh"], &["completions", "bash", "zsh"]] {
        let output = exporter(args);
        assert_eq!((output.status.code(), &*output.stdout), (Some(2), &b""[..]), "{args:?}");
    }
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("completions");
    std::fs::write(&path, script("bash")).expect("a file");
    // What bash does on a tab: the words so far, then the command, the current word and the one before it as arguments.
    let complete = r#"
        set -u
        source "$1"; shift
        name=$1
        [[ $(complete -p "$name") =~ -F\ ([^ ]+) ]] || exit 1
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
        word=${@: -1}
        # The current word is empty after `=`, which is a word of its own.
        "${BASH_REMATCH[1]}" "$name" "${word#=}" "${@: -2:1}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    for (words, expected) in [
        (&["ch"][..], &["check"][..]),
        (&["check", "--out"], &["--output"]),
        (&["check", "--output", "n"], &["nagios"]),
        (&["check", "--output", "=", "n"], &["nagios"]),
        (&["check", "--output", "="], &["table", "json", "prometheus", "nagios"]),
        (&["check", "a.test", "--no-s"], &["--no-system-roots"]),
        (&["verify", "--h"], &["--host", "--help"]),
        (&["--log.level", "=", "w"], &["warn"]),
        (&["completions", "z"], &["zsh"]),
        (&["nope"], &[""]),
    ] {
        let mut command = Command::new("bash");
        command.args(["--norc", "-c", complete, "bash"]).arg(&path).arg("smtp-tls-exporter").args(words);
        let output = command.stdin(Stdio::null()).output().expect("bash runs");
        let found = String::from_utf8(output.stdout).expect("text");
        assert_eq!(
            found.lines().collect::<Vec<_>>(),
            expected,
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let syntax = Command::new("bash").arg("-n").arg(&path).output().expect("bash runs");
    assert!(syntax.status.success() && syntax.stderr.is_empty(), "{}", String::from_utf8_lossy(&syntax.stderr));
}
