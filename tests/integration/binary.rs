//! The binary: exit codes, messages, help, signals, log lines.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::CommandFactory;
use expect_test::expect_file;
use smtp_fleet::{CertSpec, Fleet, Pki, TlsMode, profiles};
use smtp_tls_exporter::cmd::cli::Args;

use crate::support::{Environment, request, target, until};

pub(crate) fn exporter(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"));
    command.args(args).stdin(Stdio::null());
    command
}

/// A running exporter and its log.
pub(crate) struct Exporter {
    process: Child,
    lines: mpsc::Receiver<String>,
    log: Vec<String>,
    address: SocketAddr,
}

impl Exporter {
    pub(crate) fn start(env: &Environment, text: &str, more: &[&str]) -> Self {
        Self::start_by(exporter, env, text, more)
    }

    /// Starts it by `command`, which is given the arguments.
    pub(crate) fn start_by(
        command: impl FnOnce(&[&str]) -> Command,
        env: &Environment,
        text: &str,
        more: &[&str],
    ) -> Self {
        let file = env.folder.path().join("config.yaml");
        std::fs::write(&file, text).expect("the config is written");
        let config = format!("--config.file={}", file.display());
        let args = [&[config.as_str(), "--web.listen-address=127.0.0.1:0"], more].concat();
        let mut process = command(&args).stderr(Stdio::piped()).spawn().expect("the exporter starts");
        let stderr = process.stderr.take().expect("standard error");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|l| sender.send(l))
        });
        let mut this = Self { process, lines, log: Vec::new(), address: ([127, 0, 0, 1], 0).into() };
        let listening = this.wait_line("listening");
        let address = listening.split("address").nth(1).expect("an address");
        let address: String =
            address.chars().skip_while(|c| !c.is_ascii_digit()).take_while(|c| !" \",".contains(*c)).collect();
        this.address = address.parse().expect("an address");
        this
    }

    /// The address it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for a line that contains `text`.
    fn wait_line(&mut self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| {
                panic!("no line with {text:?} after\n{}", self.log.join("\n"));
            });
            self.log.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.process.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Exit code, duration and log after SIGTERM.
    pub(crate) fn end(mut self) -> (Option<i32>, Duration, Vec<String>) {
        self.signal("-TERM");
        let begin = Instant::now();
        let status = self.process.wait().expect("it ends");
        let took = begin.elapsed();
        self.log.extend(self.lines.iter());
        (status.code(), took, std::mem::take(&mut self.log))
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // Fails if it has exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn invalid_usage_and_configurations_exit_with_2() {
    let env = Environment::new(&Pki::new());
    let file = |name: &str, text: &str| {
        let path = env.folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        format!("--config.file={}", path.display())
    };
    let valid = file("valid.yaml", "targets: [{host: smtp.example.com, trust: mozilla}]");
    let port = file("port.yaml", "targets:\n  - host: smtp.example.com\n    port: 70000\n");
    // Nobody writes to it, so opening it would wait forever.
    let fifo = env.folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
    let fifo_config = format!("--config.file={}", fifo.display());
    let targets = "targets: [{host: smtp.example.com, trust: own}]\n";
    let fifo_store = file("store.yaml", &format!("trust_stores: {{own: {{files: [fifo]}}}}\n{targets}"));
    let fifo_key = "client_certificate: {cert: root.pem, key: fifo}";
    let fifo_key = format!("targets: [{{host: smtp.example.com, trust: mozilla, {fifo_key}}}]\n");
    let fifo_key = file("key.yaml", &fifo_key);
    for (args, code, causes) in [
        (vec!["--help"], 0, &[][..]),
        (vec!["--version"], 0, &[]),
        (vec!["--no-such-flag"], 2, &["--no-such-flag"]),
        (vec!["--config.file=/nonexistent/config.yaml"], 2, &["/nonexistent/config.yaml"]),
        (vec![port.as_str()], 2, &["port.yaml", "targets[0].port", "70000", "line 3"]),
        (vec![fifo_config.as_str()], 2, &["/fifo", "not a regular file"]),
        (vec![fifo_store.as_str()], 2, &["trust_stores.own.files[0]", "/fifo: not a regular file"]),
        (vec![fifo_key.as_str()], 2, &["client_certificate.key", "/fifo: not a regular file"]),
        (vec![valid.as_str(), "--config.check"], 0, &[]),
        (vec![valid.as_str(), "--web.listen-address=192.0.2.1:1"], 1, &["192.0.2.1:1"]),
        (vec![valid.as_str(), "--web.listen-address=name.invalid:1"], 1, &["name.invalid:1"]),
        (vec![valid.as_str(), "--web.telemetry-path=/-/ready"], 2, &["--web.telemetry-path"]),
        (vec![valid.as_str(), "--web.external-url=https://a b/"], 2, &["--web.external-url", "https://a b/"]),
        (vec![valid.as_str(), "--web.external-url=https://a.test?x=/y"], 2, &["--web.external-url", "query"]),
        (vec![valid.as_str(), "--web.allowed-hosts=a.test,b.test:x"], 2, &["--web.allowed-hosts", "b.test:x"]),
    ] {
        let output = exporter(&args).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(causes.iter().all(|cause| text.contains(cause)), "{args:?}: {text}");
        assert_eq!(text.is_empty(), code == 0, "{args:?}: {text}");
    }
}

/// The errors of the sub-commands for invalid usage, configurations and files. Those of the configuration itself are in
/// `config-errors.txt`.
#[test]
fn usage_errors_are_those_of_the_golden_file() {
    let pki = Pki::new();
    let env = Environment::new(&pki);
    let identity = pki.issue(&CertSpec::valid_for(&["smtp.example.com"]));
    let chain = identity.chain_pem();
    let file = |name: &str, text: &[u8]| std::fs::write(env.folder.path().join(name), text).expect("a file");
    file("valid.yaml", b"defaults: {trust: mozilla}\ntargets: [{host: a.test, name: relay}]\n");
    file("invalid.yaml", b"defaults: {trust: mozilla}\ntargets: [{host: a.test, port: 0}]\n");
    file("empty", b"");
    file("good.pem", chain.as_bytes());
    file("key.pem", identity.key_pem().as_bytes());
    file("no-end.pem", chain.rsplit_once("-----END").expect("an end").0.as_bytes());
    file("no-base64.pem", chain.replacen("\nMII", "\n!!!", 1).as_bytes());
    file("large.pem", "#".repeat(16 * 1024 * 1024 + 1).as_bytes());
    std::fs::create_dir(env.folder.path().join("folder")).expect("a folder");
    let mut golden = String::new();
    for args in USAGE_ERRORS.lines() {
        let words = args.split_whitespace().map(|word| word.trim_matches('\'')).collect::<Vec<_>>();
        let mut command = exporter(&words);
        command.current_dir(env.folder.path()).env("SSL_CERT_FILE", "missing.pem").env_remove("SSL_CERT_DIR");
        let output = command.output().expect("it runs");
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!((output.status.code(), &*output.stdout), (Some(2), &b""[..]), "{args}: {error}");
        // Lines of the log start with the time.
        let error = error.split_once(" level=").map_or_else(|| error.clone(), |(_, rest)| format!("ts=… level={rest}"));
        golden.push_str(&format!("$ smtp-tls-exporter {args}\n{}\n\n", error.trim_end()));
    }
    expect_file!["../golden/usage-errors.txt"].assert_eq(&golden);
}

const USAGE_ERRORS: &str = "\
--no-such-flag
--log.level=all
--config.file=missing.yaml
--config.file=folder
--config.file=empty
--config.file=invalid.yaml
--config.file=invalid.yaml --config.check
--config.file=valid.yaml --web.telemetry-path=/-/ready
--config.file=valid.yaml --web.telemetry-path=/-/ready --config.check
--config.file=valid.yaml --web.telemetry-path=/x?y
--config.file=valid.yaml --web.telemetry-path=/é --config.check
--config.file=valid.yaml --web.route-prefix=//x
--config.file=valid.yaml --web.route-prefix=/a/../b --config.check
--config.file=valid.yaml --web.external-url=https:// --config.check
--web.listen-address=
--web.listen-address=foo
--web.listen-address=foo --config.check
--web.listen-address=foo --web.systemd-socket
--web.listen-address=127.0.0.1
--web.listen-address=:
--web.listen-address=:99999
--web.listen-address=1.2.3.4:x
--web.listen-address=[::1
--web.listen-address=::1:80
--web.listen-address=::1
--config.file=valid.yaml --web.external-url=https://user@a.test/
--web.allowed-hosts=a.test,b.test:x
--config.auto-reload-interval=500ms
--config.auto-reload-interval=1w
--config.auto-reload-interval=often
--config.file=valid.yaml --web.systemd-socket
--shard=0
--total-shards=2
--shard=0 --total-shards=0
--shard=0 --total-shards=1025
--shard=0 --total-shards=-1
--shard=0 --total-shards=two
--shard=-1 --total-shards=2
--shard=+1 --total-shards=2
--shard= --total-shards=2
--shard=1.0 --total-shards=2
--shard=1024 --total-shards=2
--shard=99999999999999999999 --total-shards=2
--shard=hostname --total-shards=2
--config.file=valid.yaml --shard=2 --total-shards=2
--config.file=valid.yaml --shard=2 --total-shards=2 --config.check
--config.file=invalid.yaml --shard=1 --total-shards=2
check
check --no-such-flag
check a.test --timeout=0
check a.test --timeout=1h
check a.test --force
check a.test --name=b..test
check a.test
check a.test --no-system-roots
check a.test --no-system-roots --ca-file=empty
check --config.file=missing.yaml
check --config.file=invalid.yaml
check --config.file=valid.yaml a_b.test:0
check --config.file=valid.yaml mx:192.0.2.1
check --config.file=valid.yaml mx:a.test --name=b.test
check --config.file=valid.yaml relay --export=good.pem
verify good.pem
verify --host a.test
verify --host a..b good.pem
verify --host *.example.com good.pem
verify --host a.test --at yesterday good.pem
verify --host a.test --at 2026-02-30T00:00:00Z good.pem
verify --host a.test --output=xml good.pem
verify --host a.test good.pem good.pem
verify --host a.test good.pem
verify --host a.test --no-system-roots good.pem
verify --host a.test --no-system-roots --ca-file empty good.pem
verify --host a.test --no-system-roots --ca-file good.pem -
verify --host a.test --no-system-roots --ca-file good.pem missing.pem
verify --host a.test --no-system-roots --ca-file good.pem folder
verify --host a.test --no-system-roots --ca-file good.pem key.pem
verify --host a.test --no-system-roots --ca-file good.pem no-end.pem
verify --host a.test --no-system-roots --ca-file good.pem no-base64.pem
verify --host a.test --no-system-roots --ca-file good.pem large.pem
rules --label
rules --label=
rules --label=a-b
rules --label=target
rules --label=node
rules --label=severity
rules --label=nan
rules --config.file=missing.yaml
rules --config.file=invalid.yaml
rules --config.file=valid.yaml --config.file=folder
rules team
health ftp://127.0.0.1:1
health 127.0.0.1:1
health http://127.0.0.1:1 --timeout=0s
";

#[test]
fn help_is_that_of_the_golden_file() {
    let mut golden = String::new();
    let mut root = Args::command().term_width(100);
    root.build();
    let names: Vec<String> = root.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let mut add = |command: &mut clap::Command| {
        let (short, long) = (command.render_help().to_string(), command.render_long_help().to_string());
        for (flag, help) in [("-h", short), ("--help", long)] {
            let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
            let help: Vec<&str> = help.lines().map(str::trim_end).collect();
            golden.push_str(&format!("===== {name} {flag} =====\n\n{}\n\n", help.join("\n")));
        }
    };
    add(&mut root);
    for name in names.iter().filter(|name| *name != "help") {
        add(root.find_subcommand_mut(name).expect("a sub-command"));
    }
    expect_file!["../golden/help.txt"].assert_eq(&golden);
}

#[test]
fn a_check_of_the_configuration_counts_targets_and_target_files() {
    #[track_caller]
    fn check(globs: &str, counts: &[&str], warning: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.yaml");
        let text = format!("{globs}\ntargets: [{{host: a.test, trust: mozilla}}]\ndefaults: {{trust: mozilla}}\n");
        std::fs::write(&path, text).expect("a file");
        for name in ["b", "c"] {
            std::fs::write(folder.path().join(format!("{name}.json")), format!(r#"[{{"host": "{name}.test"}}]"#))
                .expect("a file");
        }
        let config = format!("--config.file={}", path.display());
        let output = exporter(&[&config, "--config.check"]).output().expect("it runs");
        assert_eq!(output.status.code(), Some(0));
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let result = out.strip_prefix(&path.display().to_string()).expect("the file first");
        let found: Vec<&str> = result.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
        assert_eq!(found, counts, "{out}");
        assert!(err.contains(warning) && err.is_empty() == warning.is_empty(), "{err}");
    }
    check("", &["1"], "");
    check("target_files: ['*.json']", &["3", "2"], "");
    check("target_files: ['*.yml']", &["1", "0"], "*.yml");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_one_line_per_change() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki), profiles::alias_missing(&pki)]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let one = target("one", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips());
    let text = Environment::yaml("interval: 2s", "", &[one]);
    for format in ["logfmt", "json"] {
        let mut exporter = Exporter::start(&env, &text, &[&format!("--log.format={format}")]);
        let address = exporter.address;
        let probes = async move |least: f64| {
            until(async || {
                let answer = request(address, "GET", "/metrics", "").await;
                answer.value("smtp_tls_probes_total{target=\"one\"}").filter(|probes| *probes >= least)
            })
            .await
        };
        let seen = probes(6.0).await;
        fleet.servers()[0].stop().await;
        exporter.wait_line("connect");
        fleet.servers()[0].start().await.expect("it comes back");
        probes(seen + 6.0).await;
        let (code, took, log) = exporter.end();
        assert_eq!(code, Some(0), "{}", log.join("\n"));
        assert!(took < Duration::from_secs(5), "{took:?}");
        let lines = |index: usize| -> Vec<&String> {
            let backend = fleet.servers()[index].addr().to_string();
            log.iter().filter(|line| line.contains(&backend)).collect()
        };
        let changes = lines(0);
        let is_ok: Vec<bool> = changes.iter().map(|line| line.to_lowercase().contains("info")).collect();
        // A server that stops during a probe may fail in two ways, one after the other.
        assert!([&[true, false, true][..], &[true, false, false, true]].contains(&&*is_ok), "{changes:#?}");
        assert_eq!(lines(1).len(), 1, "the same problem all the time:\n{}", log.join("\n"));
        if format == "json" {
            assert!(log.iter().all(|line| line.starts_with('{') && line.ends_with('}')), "{}", log.join("\n"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_does_not_wait_for_slow_servers() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::slow_greeting(&pki, Duration::from_secs(3600))]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let one = target("one", profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips());
    let exporter = Exporter::start(&env, &Environment::yaml("interval: 60s", "", &[one]), &[]);
    fleet.servers()[0].wait_accepted(1).await;
    let (code, took, log) = exporter.end();
    assert_eq!(code, Some(0), "{}", log.join("\n"));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_on_sighup_and_keeps_the_configuration_if_the_new_one_is_invalid() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki)]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let entry = |name: &str| target(name, profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips());
    let text = Environment::yaml("interval: 60s", "", &[entry("one")]);
    let mut exporter = Exporter::start(&env, &text, &["--web.enable-lifecycle"]);
    let file = env.folder.path().join("config.yaml");
    let targets = async |address| {
        let answer = request(address, "GET", "/metrics", "").await;
        let value = |name| answer.value(name).expect("a value");
        (value("smtp_tls_exporter_targets"), value("smtp_tls_exporter_config_last_reload_successful"))
    };
    assert_eq!(targets(exporter.address).await, (1.0, 1.0));
    std::fs::write(&file, "targets: []").expect("a config");
    exporter.signal("-HUP");
    exporter.wait_line("reload failed");
    assert_eq!(targets(exporter.address).await, (1.0, 0.0));
    std::fs::write(&file, "targets:\n  - {host: a.test, port: secret}").expect("a config");
    let answer = request(exporter.address, "POST", "/-/reload", "Content-Length: 0\r\n").await;
    let place = ["config.yaml: targets[0].port: ", "line 2"].iter().all(|part| answer.text().contains(part));
    assert!(answer.status == 500 && place && !answer.text().contains("secret"), "{}", answer.text());
    exporter.wait_line("secret");
    std::fs::write(&file, Environment::yaml("interval: 60s", "", &[entry("one"), entry("two")])).expect("a config");
    let answer = request(exporter.address, "POST", "/-/reload", "Content-Length: 0\r\n").await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert_eq!(targets(exporter.address).await, (2.0, 1.0));
    assert_eq!(exporter.end().0, Some(0));
}

/// A command that sends itself these signals while they are blocked, so that they are pending when the exporter starts.
/// Tests in the background of a shell ignore SIGINT, and bash would discard a pending signal that it ignores.
fn with_pending(signals: &[&str], args: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP,INT,TERM", "--block-signal=HUP,INT,TERM", "bash", "-c"]);
    command.arg(r#"for signal in $SIGNALS; do kill -s "$signal" $$; done; exec "$0" "$@""#);
    command.arg(env!("CARGO_BIN_EXE_smtp-tls-exporter")).args(args);
    command.env("SIGNALS", signals.join(" ")).stdin(Stdio::null());
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_that_arrive_during_the_start_are_handled() {
    let env = Environment::new(&Pki::new());
    let text = "targets: [{host: smtp.example.com, addresses: [127.0.0.1], trust: mozilla}]";
    let mut exporter = Exporter::start_by(|args| with_pending(&["HUP"], args), &env, text, &[]);
    exporter.wait_line("configuration reloaded");
    assert_eq!(request(exporter.address, "GET", "/-/healthy", "").await.status, 200);
    let (code, _, log) = exporter.end();
    assert_eq!(code, Some(0), "{}", log.join("\n"));

    let config = format!("--config.file={}", env.folder.path().join("config.yaml").display());
    for signals in [&["TERM"][..], &["INT"], &["HUP", "TERM"]] {
        let output = with_pending(signals, &[&config, "--web.listen-address=127.0.0.1:0"]).output().expect("it runs");
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{signals:?}: {:?}\n{log}", output.status);
        assert!(!log.contains("fatal error"), "{log}");
    }
}

/// They end before they read their endless standard input or connect to the silent server.
#[test]
fn other_commands_end_by_signals_that_arrive_during_the_start() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    for args in [
        &["--help"][..],
        &["--no-such-flag"],
        &["--config.file=/dev/stdin", "--config.check"],
        &["verify", "--host", "a.test", "-"],
        &["rules", "--config.file=/dev/stdin"],
        &["health", &url],
    ] {
        for (name, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
            assert_eq!(end(with_pending(&[name], args)), (None, Some(number), String::new()), "{args:?} {name}");
        }
    }
    let check = ["check", "a.test", "--config.file=/dev/stdin"];
    for (name, code, signal) in [("TERM", Some(130), None), ("INT", Some(130), None), ("HUP", None, Some(1))] {
        assert_eq!(end(with_pending(&[name], &check)), (code, signal, String::new()), "{name}");
    }
}

/// The exit code or the signal that ends a command whose standard input stays open, and its output.
fn end(mut command: Command) -> (Option<i32>, Option<i32>, String) {
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let _open = process.stdin.take();
    let output = process.wait_with_output().expect("it ends");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    (output.status.code(), output.status.signal(), text)
}

#[test]
fn a_result_that_cannot_be_written_exits_with_2_unless_the_reader_has_gone() {
    let pki = Pki::new();
    let env = Environment::new(&pki);
    let chain = pki.issue(&CertSpec::valid_for(&["smtp.example.com"])).chain_pem();
    let closed = TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr().expect("an address");
    let config =
        format!("targets: [{{host: 127.0.0.1, port: {}, trust: mozilla, labels: {{team: mail}}}}]", closed.port());
    for (name, text) in [("chain.pem", &chain), ("root.pem", &pki.root_pem()), ("config.yaml", &config)] {
        std::fs::write(env.folder.path().join(name), text).expect("a file");
    }
    for (args, code) in [
        ("--help", 0),
        ("--version", 0),
        ("check --help", 0),
        ("--config.check", 0),
        ("rules", 0),
        ("rules --config.file=config.yaml", 0),
        ("check --config.file=config.yaml", 1),
        ("check --config.file=config.yaml --output=json", 1),
        ("verify --no-system-roots --ca-file=root.pem --host=smtp.example.com chain.pem", 0),
        ("verify --no-system-roots --ca-file=root.pem --host=mail.example.com chain.pem", 1),
    ] {
        let words: Vec<&str> = args.split(' ').collect();
        let run = |out: Stdio| {
            let output = exporter(&words).current_dir(env.folder.path()).stdout(out).output().expect("it runs");
            (output.status.code(), String::from_utf8(output.stderr).expect("text"))
        };
        let (found, error) = run(full().into());
        assert_eq!(found, Some(2), "{args}: {error}");
        assert!(error.contains("standard output") && error.lines().count() == 1, "{args}: {error}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        assert_eq!(run(writer.into()), (Some(code), String::new()), "{args}");
    }
}

#[test]
fn messages_that_cannot_be_written_do_not_change_the_exit_code() {
    let env = Environment::new(&Pki::new());
    let text = "targets: [{host: a.test, trust: mozilla}]\ndefaults: {trust: mozilla}\ntarget_files: ['*.none']\n";
    std::fs::write(env.folder.path().join("config.yaml"), text).expect("a file");
    for (args, code) in [
        ("--no-such-flag", 2),
        ("--config.check", 0),
        ("--config.file=missing.yaml", 2),
        ("--config.file=missing.yaml --log.format=json", 2),
        ("--config.file=missing.yaml --config.check", 2),
        ("--web.listen-address=192.0.2.1:1", 1),
        ("--web.listen-address=nowhere", 2),
        ("verify --host=a.test missing.pem", 2),
        ("health http://127.0.0.1:1", 1),
    ] {
        let words: Vec<&str> = args.split(' ').collect();
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        for error in [Stdio::from(full()), writer.into()] {
            let output = exporter(&words).current_dir(env.folder.path()).stderr(error).output().expect("it runs");
            assert_eq!(output.status.code(), Some(code), "{args}");
        }
    }
}

#[test]
fn a_low_open_file_limit_is_logged() {
    let env = Environment::new(&Pki::new());
    // None: neither the limit nor the number of probes is below what is needed.
    for (limits, limit, expected) in [
        ("", 256, Some("concurrent_probes=64")),
        ("limits: {concurrent_probes: 1000}", 256, Some("possible=64")),
        ("limits: {concurrent_probes: 64}", 256, None),
        ("", 4096, None),
    ] {
        let text = format!("targets: [{{host: 127.0.0.1, port: 1, trust: mozilla}}]\n{limits}");
        let start = |args: &[&str]| {
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!(r#"ulimit -n {limit}; exec "$0" "$@""#));
            command.arg(env!("CARGO_BIN_EXE_smtp-tls-exporter")).args(args);
            command
        };
        let (code, _, log) = Exporter::start_by(start, &env, &text, &[]).end();
        assert_eq!(code, Some(0), "{log:?}");
        let lines: Vec<&String> = log.iter().filter(|line| line.contains("open file limit")).collect();
        assert_eq!(lines.len(), usize::from(expected.is_some()), "{log:?}");
        if let (Some(line), Some(expected)) = (lines.first(), expected) {
            assert!(line.contains(expected) && line.contains("needed="), "{line}");
        }
    }
}

/// A file to which nothing can be written.
fn full() -> std::fs::File {
    std::fs::File::options().write(true).open("/dev/full").expect("it opens")
}

#[test]
fn an_error_at_the_start_is_logged_once_in_the_chosen_format() {
    let env = Environment::new(&Pki::new());
    std::fs::write(env.folder.path().join("config.yaml"), "targets: [{host: a.test, trust: mozilla}]").expect("a file");
    for (args, code, cause) in [
        ("--config.file=missing.yaml", 2, "missing.yaml: "),
        ("--web.telemetry-path=/-/ready", 2, "--web.telemetry-path"),
        ("--web.listen-address=192.0.2.1:1", 1, "192.0.2.1:1"),
    ] {
        let run = |format: &str| {
            let words: Vec<&str> = args.split(' ').chain([format]).collect();
            let output = exporter(&words).current_dir(env.folder.path()).output().expect("it runs");
            let log = String::from_utf8(output.stderr).expect("text");
            assert_eq!((output.status.code(), log.lines().count()), (Some(code), 1), "{args}: {log}");
            assert!(output.stdout.is_empty(), "{args}");
            log
        };
        let log: serde_json::Value = serde_json::from_str(&run("--log.format=json")).expect("JSON");
        assert_eq!((&log["level"], &log["message"]), (&"ERROR".into(), &"fatal error".into()), "{log}");
        let error = log["error"].as_str().expect("a text");
        assert!(error.contains(cause), "{log}");
        let line = run("--log.format=logfmt");
        let parts = ["level=error", "message=\"fatal error\"", error];
        assert!(line.starts_with("ts=") && parts.iter().all(|part| line.contains(part)), "{line}");
    }
}
