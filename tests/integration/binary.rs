//! The binary as a user runs it: exit codes, messages, signals, log lines.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use smtp_fleet::{Fleet, Pki, TlsMode, profiles};

use crate::support::{Environment, request, target, until};

fn exporter(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"));
    command.args(args).stdin(Stdio::null());
    command
}

/// A running exporter with the lines that it has logged.
pub(crate) struct Exporter {
    process: Child,
    lines: mpsc::Receiver<String>,
    log: Vec<String>,
    address: SocketAddr,
}

impl Exporter {
    pub(crate) fn start(env: &Environment, text: &str, more: &[&str]) -> Self {
        let file = env.folder.path().join("config.yaml");
        std::fs::write(&file, text).expect("the config is written");
        let config = format!("--config.file={}", file.display());
        let args = [&[config.as_str(), "--web.listen-address=127.0.0.1:0"], more].concat();
        let mut process = exporter(&args).stderr(Stdio::piped()).spawn().expect("the exporter starts");
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

    /// Where it serves.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next line that contains `text`.
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

    /// The exit code and the log, after SIGTERM.
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
        // It has ended already where all went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn wrong_usage_and_wrong_configs_exit_with_2() {
    let env = Environment::new(&Pki::new());
    let file = |name: &str, text: &str| {
        let path = env.folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        format!("--config.file={}", path.display())
    };
    let good = file("good.yaml", "targets: [{host: smtp.example.com, trust: mozilla}]");
    let port = file("port.yaml", "targets:\n  - host: smtp.example.com\n    port: 70000\n");
    for (args, code, message) in [
        (vec!["--help"], 0, ""),
        (vec!["--version"], 0, ""),
        (vec!["--no-such-flag"], 2, "--no-such-flag"),
        (vec!["--config.file=/nonexistent/config.yaml"], 2, "no such file"),
        (vec![port.as_str()], 2, "targets[0].port: found 70000, allowed is 1 to 65535 (line 3, column 11)"),
        (vec![good.as_str(), "--config.check"], 0, ""),
        (vec![good.as_str(), "--web.listen-address=nowhere"], 1, "nowhere"),
        (vec![good.as_str(), "--web.telemetry-path=/-/ready"], 2, "--web.telemetry-path"),
    ] {
        let output = exporter(&args).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(message), "{args:?}: {text}");
    }
}

#[test]
fn a_check_tells_targets_and_target_files() {
    #[track_caller]
    fn check(globs: &str, expected: &str, warning: &str) {
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
        assert_eq!((&*out, &*err), (&*format!("{} is valid: {expected}\n", path.display()), warning));
    }
    check("", "1 targets", "");
    check("target_files: ['*.json']", "3 targets, 2 target files", "");
    check(
        "target_files: ['*.yml']",
        "1 targets, 0 target files",
        "smtp-tls-exporter: warning: no file matches target_files pattern `*.yml`\n",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_for_each_change_and_none_for_what_stays() {
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
        let lines = |place: usize| -> Vec<&String> {
            let backend = fleet.servers()[place].addr().to_string();
            log.iter().filter(|line| line.contains(&backend)).collect()
        };
        let changes = lines(0);
        let is_ok: Vec<bool> = changes.iter().map(|line| line.contains("backend recovered")).collect();
        // A server that goes down in the midst of a probe fails in two ways, one after the other.
        assert!([&[true, false, true][..], &[true, false, false, true]].contains(&&*is_ok), "{changes:#?}");
        assert_eq!(lines(1).len(), 1, "a bad certificate, all the time:\n{}", log.join("\n"));
        if format == "json" {
            assert!(log.iter().all(|line| line.starts_with('{') && line.ends_with('}')), "{}", log.join("\n"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_waits_for_no_slow_server() {
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
async fn sighup_loads_the_config_anew_and_a_wrong_one_changes_nothing() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::good(&pki)]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let entry = |name: &str| target(name, profiles::ALIAS, fleet.port(), TlsMode::StartTls, &fleet.ips());
    let mut exporter = Exporter::start(&env, &Environment::yaml("interval: 60s", "", &[entry("one")]), &[]);
    let file = env.folder.path().join("config.yaml");
    let targets = async |address| {
        let answer = request(address, "GET", "/metrics", "").await;
        let value = |name| answer.value(name).expect("a value");
        (value("smtp_tls_exporter_targets"), value("smtp_tls_exporter_config_last_reload_successful"))
    };
    assert_eq!(targets(exporter.address).await, (1.0, 1.0));
    std::fs::write(&file, "targets: []").expect("a config");
    exporter.signal("-HUP");
    exporter.wait_line("config not loaded");
    assert_eq!(targets(exporter.address).await, (1.0, 0.0));
    std::fs::write(&file, Environment::yaml("interval: 60s", "", &[entry("one"), entry("two")])).expect("a config");
    let answer = request(exporter.address, "POST", "/-/reload", "Content-Length: 0\r\n").await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert_eq!(targets(exporter.address).await, (2.0, 1.0));
    assert_eq!(exporter.end().0, Some(0));
}
