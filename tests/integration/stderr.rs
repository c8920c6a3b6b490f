//! Standard error: priorities for the journal of systemd, and characters that are not printable.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, pipe};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Device and inode, as in `JOURNAL_STREAM`.
fn stream_of(file: impl AsFd) -> String {
    let file = File::from(file.as_fd().try_clone_to_owned().expect("a descriptor"));
    let metadata = file.metadata().expect("metadata");
    format!("{}:{}", metadata.dev(), metadata.ino())
}

fn exporter(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"));
    command.args(args).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).env_remove("JOURNAL_STREAM");
    command
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    let valid = "{host: a.test, trust: mozilla, addresses: [127.0.0.1], port: 1}";
    file("valid.yaml", &format!("targets: [{valid}]\n"));
    file("warning.yaml", &format!("target_files: ['*.none']\ntargets: [{valid}]\n"));
    file("invalid.yaml", "targets: [{hosts: a.test}]\n");
    folder
}

/// Runs `command` and returns the lines on standard error, which is one end of `ends`.
fn lines(mut command: Command, (mut reader, writer): (impl Read, OwnedFd)) -> Vec<String> {
    let mut process = command.stderr(writer).spawn().expect("it starts");
    // Closes the writing end.
    drop(command);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("text");
    process.wait().expect("it ends");
    text.lines().map(str::to_owned).collect()
}

fn socket() -> (UnixStream, OwnedFd) {
    let (reader, writer) = UnixStream::pair().expect("a pair of sockets");
    (reader, writer.into())
}

#[test]
fn every_line_for_the_journal_has_its_priority() {
    let folder = folder();
    for (args, priorities) in [
        ("--config.file=missing.yaml", &["<3>"][..]),
        ("--config.file=missing.yaml --log.format=json", &["<3>"]),
        ("--config.file=invalid.yaml --config.check", &["<3>"]),
        ("--config.file=warning.yaml --config.check", &["<4>"]),
        ("--config.file=valid.yaml --web.listen-address=192.0.2.1:1", &["<3>"]),
        ("check --config.file=missing.yaml", &["<3>"]),
        ("check --config.file=valid.yaml --export=.", &["<6>"]),
        ("verify --host=a.test missing.pem", &["<3>"]),
        ("health http://127.0.0.1:1", &["<3>"]),
        // A usage error has several lines, and empty ones between them.
        ("--no-such-flag", &["<3>"; 6]),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        let (reader, writer) = socket();
        let mut command = exporter(folder.path(), &args);
        command.env("JOURNAL_STREAM", stream_of(&writer));
        let found = lines(command, (reader, writer));
        let prefixes: Vec<&str> = found.iter().filter_map(|line| line.get(..3)).collect();
        assert_eq!(prefixes, priorities, "{args:?}: {found:#?}");
        let rest = found.iter().map(|line| &line[3..]);
        assert!(rest.clone().all(|line| !line.starts_with('<')), "{found:#?}");
        if args.contains(&"--log.format=json") {
            rest.for_each(|line| drop(serde_json::from_str::<serde_json::Value>(line).expect("JSON")));
        }
    }
}

#[test]
fn other_streams_have_no_priorities() {
    let folder = folder();
    let path = folder.path().join("log");
    for args in ["--config.file=missing.yaml", "--config.file=invalid.yaml --config.check", "--no-such-flag"] {
        let args: Vec<&str> = args.split(' ').collect();
        let check = |name: &str, lines: &[String], is_journal: bool| {
            assert!(!lines.is_empty(), "{args:?} {name}");
            let prefixed = lines.iter().filter(|line| line.starts_with("<3>")).count();
            assert_eq!(prefixed, if is_journal { lines.len() } else { 0 }, "{args:?} {name}: {lines:#?}");
        };
        let file = || {
            let writer = File::create(&path).expect("a file");
            let reader = File::open(&path).expect("a file");
            (reader, writer)
        };
        // A file whose device and inode the variable names, and a pipe: the decision does not depend on the kind.
        let (mut reader, writer) = file();
        let mut command = exporter(folder.path(), &args);
        let stream = stream_of(&writer);
        let output = command.env("JOURNAL_STREAM", &stream).stderr(writer).output().expect("it runs");
        assert!(output.stderr.is_empty());
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("text");
        check("file", &text.lines().map(str::to_owned).collect::<Vec<_>>(), true);
        let (reader, writer) = pipe().expect("a pipe");
        let mut command = exporter(folder.path(), &args);
        command.env("JOURNAL_STREAM", stream_of(&writer));
        check("pipe", &lines(command, (reader, writer.into())), true);

        // The variable names another file, or none.
        for value in [None, Some(stream.as_str()), Some("0:0"), Some(""), Some("1"), Some("a:b")] {
            let mut command = exporter(folder.path(), &args);
            if let Some(value) = value {
                command.env("JOURNAL_STREAM", value);
            }
            check(&format!("socket, {value:?}"), &lines(command, socket()), false);
        }
        // The device is that of the pipe, but the inode is another.
        let (reader, writer) = pipe().expect("a pipe");
        let other = stream_of(pipe().expect("a pipe").1);
        let mut command = exporter(folder.path(), &args);
        command.env("JOURNAL_STREAM", other);
        check("another pipe", &lines(command, (reader, writer.into())), false);
    }
}

/// Lines of the log about a target whose name has characters that are not visible.
#[test]
fn log_lines_have_the_priority_of_their_level_and_are_escaped() {
    let folder = folder();
    let closed = TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr().expect("an address");
    let name = format!("\u{5e9}\u{5dc}{INVISIBLE}");
    let target = format!("{{name: {}, host: a.test, addresses: [127.0.0.1], port: {}}}", in_yaml(&name), closed.port());
    fs::write(folder.path().join("names.yaml"), format!("defaults: {{trust: mozilla}}\ntargets: [{target}]\n"))
        .expect("a file");
    for (format, escape) in [("logfmt", r"\u{202e}"), ("json", r"\u202e")] {
        let args = ["--config.file=names.yaml", "--web.listen-address=127.0.0.1:0", "--log.level=debug"];
        let (reader, writer) = socket();
        let mut command = exporter(folder.path(), &args);
        command.arg(format!("--log.format={format}")).env("JOURNAL_STREAM", stream_of(&writer));
        let mut process = command.stderr(writer).spawn().expect("it starts");
        // Closes the writing end.
        drop(command);
        let mut seen: Vec<String> = Vec::new();
        let mut lines = BufReader::new(reader).lines();
        // In any order.
        let events = ["reading file", "listening", "probe failed"];
        while !events.iter().all(|event| seen.iter().any(|line| line.contains(event))) {
            seen.push(lines.next().expect("a line").expect("text"));
        }
        process.kill().expect("it runs");
        process.wait().expect("it ends");
        let lines = events.map(|event| &**seen.iter().find(|line| line.contains(event)).expect("a line"));
        assert_eq!(lines.map(|line| &line[..3]), ["<7>", "<6>", "<4>"], "{seen:#?}");
        let [.., last] = lines;
        assert!(last.contains(escape) && last.contains("\u{5e9}\u{5dc}"), "{last}");
        assert!(!last.contains(|c: char| c.is_control() || INVISIBLE.contains(c)), "{last}");
        if format == "json" {
            let event: serde_json::Value = serde_json::from_str(&last[3..]).expect("JSON");
            assert_eq!(event["target"], name.as_str(), "escaped, not changed");
        }
    }
}

/// `text` as a string of YAML in ASCII.
fn in_yaml(text: &str) -> String {
    let escaped: String = text.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
    format!("\"{escaped}\"")
}

/// Characters that change the order of text, that are invisible, or that control a terminal.
const INVISIBLE: &str = "\u{202e}\u{2066}\u{200b}\u{feff}\u{ad}\u{e0041}\u{2028}";

#[test]
fn messages_escape_characters_that_are_not_printable() {
    let folder = folder();
    let name = format!("\u{5e9}\u{5dc}{INVISIBLE}");
    // Target names have none.
    let control = format!("{name}\u{9b}");
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    let quoted = in_yaml(&name);
    let target = format!("name: {quoted}, host: a.test, addresses: [127.0.0.1], port: 1");
    file("value.yaml", &format!("targets: [{{{target}, trust: {quoted}}}]\n"));
    file("control.yaml", &format!("targets: [{{name: {}, host: a.test}}]\n", in_yaml(&control)));
    file("key.yaml", &format!("targets: [{{{target}, {quoted}: 1}}]\n"));
    file("twice.yaml", &format!("defaults: {{trust: mozilla}}\ntargets: [{{{target}}}, {{{target}}}]\n"));
    file("glob.yaml", &format!("target_files: [{quoted}]\ntargets: [{{{target}, trust: mozilla}}]\n"));
    file("roots.yaml", &format!("trust_stores: {{t: {{files: [{quoted}]}}}}\ntargets: [{{{target}, trust: t}}]\n"));
    file(&format!("{name}.yaml"), &format!("targets: [{{{target}, trust: mozilla}}]\n"));
    let with_name = |args: &str| {
        args.split(' ').map(|word| word.replace("CONTROL", &control).replace("NAME", &name)).collect::<Vec<_>>()
    };
    for args in [
        "--config.check --config.file=value.yaml",
        "--config.check --config.file=control.yaml",
        "--config.check --config.file=CONTROL",
        "check CONTROL",
        "--config.check --config.file=key.yaml",
        "--config.check --config.file=twice.yaml",
        "--config.check --config.file=glob.yaml",
        "--config.check --config.file=roots.yaml",
        "--config.check --config.file=NAME",
        "--config.check --config.file=NAME.yaml",
        "--config.file=value.yaml",
        "--config.file=value.yaml --log.format=json",
        "--config.file=NAME --log.format=json",
        "--web.listen-address=NAME --config.file=valid.yaml",
        "--NAME",
        "--log.level=NAME",
        "check NAME",
        "check --config.file=valid.yaml NAME",
        "check --config.file=NAME.yaml",
        "check --config.file=valid.yaml --export=NAME",
        "check --config.file=valid.yaml --ca-file=NAME",
        "check a.test --name=NAME",
        "verify --host=NAME valid.yaml",
        "verify --host=a.test NAME",
        "verify --host=a.test --ca-file=NAME NAME",
        "health NAME",
    ] {
        let args = with_name(args);
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = exporter(folder.path(), &words);
        let output = command.stdout(Stdio::piped()).output().expect("it runs");
        let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
        let odd: Vec<char> = text.chars().filter(|c| c.is_control() && *c != '\n' || INVISIBLE.contains(*c)).collect();
        assert!(odd.is_empty(), "{args:?}: {odd:?} in {text}");
        // Either escaped or replaced, and letters as they are.
        let (escaped, json) = (text.contains(r"\u{202e}"), text.contains(r"\u202e"));
        assert!(escaped || json || text.contains('\u{fffd}'), "{args:?}: {text}");
        assert!(text.contains("\u{5e9}\u{5dc}"), "{args:?}: {text}");
    }
}
