//! `smtp-tls-exporter check`: the real binary against a fleet and its DNS server.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use smtp_fleet::{Answer, Blackhole, CertSpec, Dns, Fleet, Pki, RecordType, ServerSpec, Step, Termination, profiles};
use smtp_tls_exporter::service::{Notifier, Service};

use crate::support::Environment;

mod export;
mod hostile;
mod nagios;
mod replies;
mod table;

/// A fleet, names that resolve to it, and a configuration with both.
struct CheckEnvironment {
    pki: Pki,
    env: Environment,
    fleet: Fleet,
    dns: Dns,
}

impl CheckEnvironment {
    async fn new(servers: impl FnOnce(&Pki) -> Vec<ServerSpec>) -> Self {
        let pki = Pki::new();
        let fleet = Fleet::start(servers(&pki)).await.expect("a fleet");
        let dns = Dns::start().await.expect("a responder");
        let this = Self { env: Environment::new(&pki), pki, fleet, dns };
        this.config(&[]);
        this
    }

    /// Three servers behind the alias, which only the certificate of the first lists.
    async fn classic() -> Self {
        let this =
            Self::new(|pki| vec![profiles::good(pki), profiles::alias_missing(pki), profiles::alias_missing(pki)])
                .await;
        this.dns.set_addresses(profiles::ALIAS, &this.fleet.ips());
        this.dns.set_addresses(profiles::HOST, &this.fleet.ips());
        this
    }

    /// Writes `config.yaml` with these targets; without any, with an unused one.
    fn config(&self, targets: &[String]) {
        let resolvers = Environment::resolver(&self.dns);
        let unused = ["{host: unused.example.com}".to_owned()];
        let targets = if targets.is_empty() { &unused } else { targets };
        let text = Environment::yaml("resolver: test, allow_addresses: [127.0.0.0/8]", &resolvers, targets);
        std::fs::write(self.path("config.yaml"), text).expect("a file");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.env.folder.path().join(name)
    }

    fn at(&self, host: &str) -> String {
        format!("{host}:{}", self.fleet.port())
    }

    /// `check` with these arguments, in the folder of the configuration.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"));
        command.arg("check").args(args).current_dir(self.env.folder.path()).stdin(Stdio::null());
        command.env("SSL_CERT_FILE", "nowhere.pem");
        for name in ["SSL_CERT_DIR", "NO_COLOR", "COLUMNS", "TERM"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs it with the configuration.
    fn run(&self, args: &[&str]) -> Output {
        self.run_bare(&[&["--config.file=config.yaml"], args].concat())
    }

    fn run_bare(&self, args: &[&str]) -> Output {
        tokio::task::block_in_place(|| self.command(args).output().expect("it runs"))
    }

    #[track_caller]
    fn json(&self, code: i32, args: &[&str]) -> Value {
        let output = self.run(&[&["--output=json"], args].concat());
        assert_eq!(output.status.code(), Some(code), "{}\n{}", text(&output.stdout), text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// Checks the values at JSON pointers.
#[track_caller]
fn check(json: &Value, expected: &[(&str, Value)]) {
    for (at, value) in expected {
        assert_eq!(json.pointer(at), Some(value), "{at} in {json:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_the_backends_that_do_not_list_the_alias() {
    let env = CheckEnvironment::classic().await;
    let target = env.at(profiles::ALIAS);
    let output = env.run(&[&target]);
    let found = text(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), ""), "{found}");
    let addresses = env.fleet.addrs();
    for part in [addresses[1].to_string(), addresses[2].to_string(), profiles::HOST.to_owned(), "not_listed".to_owned()]
    {
        assert!(found.contains(&part), "{part} in\n{found}");
    }
    let json = env.json(1, &[&target]);
    let advice = json.pointer("/targets/0/advice").and_then(Value::as_array).expect("advice");
    let advice =
        |kind: &str| advice.iter().find(|each| each["kind"] == kind).unwrap_or_else(|| panic!("{kind} in {json:#}"));
    assert_eq!(advice("use_shared_name")["backends"].as_array().map(Vec::len), Some(3), "{json:#}");
    let alternate = advice("use_shared_name")["text"].as_str().expect("a text");
    assert!(alternate.contains(profiles::HOST), "{alternate}");
    assert!(found.split_whitespace().collect::<Vec<_>>().join(" ").contains(alternate), "{alternate} in\n{found}");
    let reissue = advice("reissue");
    let wrong = addresses[1..]
        .iter()
        .map(|at| json!({"server_name": profiles::ALIAS, "backend": at.to_string(), "tls": "starttls"}));
    assert_eq!(reissue["backends"], Value::Array(wrong.collect()));
    let request = reissue["request"].as_str().expect("a request");
    let command = format!("openssl s_client -connect {} -starttls smtp -servername {}", addresses[1], profiles::ALIAS);
    assert!(request.contains(&command) && request.contains(&addresses[2].ip().to_string()), "{request}");
    let of = |index: usize, key: &str| json.pointer(&format!("/targets/0/endpoints/0/backends/{index}{key}")).cloned();
    for (index, matches) in [(0, true), (1, false), (2, false)] {
        assert_eq!(of(index, "/backend"), Some(json!(addresses[index].to_string())));
        assert_eq!(of(index, "/name/match"), Some(json!(matches)));
        assert_eq!(of(index, "/ok"), Some(json!(matches)));
        assert_eq!(of(index, "/chain/valid"), Some(json!(true)));
    }
    check(
        &json,
        &[
            ("/version", json!(1)),
            ("/targets/0/name", json!(target)),
            ("/targets/0/kind", json!("host")),
            ("/targets/0/healthy", json!(false)),
            ("/targets/0/state", json!("critical")),
            ("/targets/0/endpoints/0/server_name", json!(profiles::ALIAS)),
            ("/targets/0/endpoints/0/backends/1/name/reason", json!("not_listed")),
            ("/targets/0/endpoints/0/backends/1/certificate/names", json!([profiles::HOST])),
        ],
    );
    // The name that all of them list.
    let output = env.run(&[&env.at(profiles::HOST)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    for server in env.fleet.servers() {
        assert_eq!(server.accepted(), 3, "one probe per run");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_are_configured_or_given() {
    let env = CheckEnvironment::classic().await;
    let (port, ips) = (env.fleet.port(), env.fleet.ips());
    env.config(&[
        format!("{{name: relay, host: {}, port: {port}, labels: {{team: mail}}}}", profiles::HOST),
        format!(
            "{{host: {}, port: {port}, expect_names: [other.example.com], addresses: [{}]}}",
            profiles::HOST,
            ips[0]
        ),
    ]);
    let names = |json: &Value| -> Vec<String> {
        let targets = json["targets"].as_array().expect("targets");
        targets.iter().filter_map(|target| target["name"].as_str().map(str::to_owned)).collect()
    };
    // By configured name, by default name, not configured, and given twice.
    let json = env.json(0, &["relay"]);
    assert_eq!(names(&json), ["relay"]);
    check(&json, &[("/targets/0/labels", json!({"team": "mail"})), ("/targets/0/healthy", json!(true))]);
    let host = env.at(profiles::HOST);
    let json = env.json(1, &[&host, "relay", &host]);
    assert_eq!(names(&json), [host.as_str(), "relay"]);
    check(
        &json,
        &[
            ("/targets/0/state", json!("warning")),
            (
                "/targets/0/endpoints/0/backends/0/expected_names",
                json!([{"name": "other.example.com", "match": false}]),
            ),
            ("/targets/1/state", json!("ok")),
        ],
    );
    let address = format!("{}:{port}", ips[1]);
    assert_eq!(names(&env.json(1, &[&address])), [address.as_str()]);
    assert_eq!(names(&env.json(1, &[])), ["relay", &host], "all configured targets");
    // An address with a server name and roots, without a configuration.
    let name = format!("--name={}", profiles::HOST);
    for (args, code) in [
        (&[address.as_str(), &name, "--ca-file=root.pem", "--no-system-roots"][..], 0),
        (&[&address, &format!("--name={}", profiles::ALIAS), "--ca-file=root.pem", "--no-system-roots"], 1),
        (&[&address, "--ca-file=root.pem", "--no-system-roots"], 1),
    ] {
        let output = env.run_bare(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}{}", text(&output.stdout), text(&output.stderr));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn domains_are_checked_by_their_records() {
    let env = CheckEnvironment::new(|pki| {
        let named = |name: &str| ServerSpec::new(pki.issue(&CertSpec::valid_for(&[name])));
        vec![named("mx1.example.com"), named("wrong.example.com")]
    })
    .await;
    let (dns, ips) = (&env.dns, env.fleet.ips());
    dns.set_mx("example.com", &[(20, "mx2.example.com."), (10, "mx1.example.com.")]);
    dns.set_addresses("mx1.example.com", &ips[..1]);
    dns.set_addresses("mx2.example.com", &ips[1..]);
    dns.set_mx("quiet.example.com", &[(0, ".")]);
    dns.set("broken.example.com", RecordType::MX, Answer::ServFail);
    let domain = |name: &str| format!("{{mx: {name}, port: {}}}", env.fleet.port());
    env.config(&["example.com", "quiet.example.com", "broken.example.com"].map(domain));
    let json = env.json(1, &["mx:example.com"]);
    check(
        &json,
        &[
            ("/targets/0/lookup/hosts", json!(2)),
            ("/targets/0/endpoints/0/preference", json!(10)),
            ("/targets/0/endpoints/0/backends/0/ok", json!(true)),
            ("/targets/0/endpoints/1/server_name", json!("mx2.example.com")),
            ("/targets/0/endpoints/1/backends/0/name/reason", json!("not_listed")),
        ],
    );
    let lookup = |failures: &[(&str, &str, &str)]| -> Vec<Value> {
        failures.iter().map(|(name, kind, reason)| json!({"name": name, "type": kind, "reason": reason})).collect()
    };
    for (target, code, failures) in [
        ("mx:quiet.example.com", 0, lookup(&[])),
        ("mx:broken.example.com", 1, lookup(&[("broken.example.com", "MX", "dns_servfail")])),
        (
            "nowhere.example.com",
            1,
            lookup(&[("nowhere.example.com", "A", "nxdomain"), ("nowhere.example.com", "AAAA", "nxdomain")]),
        ),
    ] {
        let mut json = env.json(code, &[target]);
        check(&json, &[("/targets/0/healthy", json!(code == 0))]);
        let found = json["targets"][0]["lookup"]["failures"].as_array_mut().expect("failures");
        found.iter_mut().filter_map(Value::as_object_mut).for_each(|failure| drop(failure.remove("meaning")));
        assert_eq!(*found, failures, "{target}");
        let table = env.run(&[target]);
        assert_eq!(table.status.code(), Some(code), "{target}");
        for failure in failures {
            let (name, reason) = (failure["name"].as_str(), failure["reason"].as_str());
            let table = text(&table.stdout);
            assert!([name, reason].into_iter().flatten().all(|word| table.contains(word)), "{failure} in\n{table}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_output_has_the_series_of_metrics() {
    let env = CheckEnvironment::classic().await;
    let port = env.fleet.port();
    let one = |name: &str, host: &str| format!("{{name: {name}, host: {host}, port: {port}, labels: {{team: mail}}}}");
    env.config(&[one("good", profiles::HOST), one("bad", profiles::ALIAS), one("gone", "nowhere.example.com")]);
    let output = env.run(&["--output=prometheus"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let series = |text: &str| -> Vec<String> {
        let own = |line: &&str| !line.starts_with("smtp_tls_exporter_") && !line.starts_with("process_");
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter(own);
        let mut series: Vec<String> = samples
            .map(|line| {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
                assert!(value.parse::<f64>().is_ok(), "{line}");
                series.to_owned()
            })
            .collect();
        series.sort();
        series
    };
    let found = series(text(&output.stdout));
    let mut names: Vec<&str> = text(&output.stdout).lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert!(names.iter().all(|name| name.starts_with("smtp_tls_") && !name.contains("exporter_")), "{names:?}");
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "each family once");

    let config = smtp_tls_exporter::config::Config::load(&env.path("config.yaml")).expect("a config");
    let listeners =
        smtp_tls_exporter::web::bind(&"127.0.0.1:0".parse().expect("an address")).await.expect("a listener");
    let address = listeners[0].local_addr().expect("an address");
    let web = smtp_tls_exporter::web::Options::default();
    let service = Service {
        config,
        config_file: None,
        hangup: None,
        auto_reload: None,
        listeners,
        web,
        web_config: None,
        notifier: Notifier::default(),
    };
    let running = service.start().expect("a service");
    for name in ["good", "bad", "gone"] {
        let name = smtp_tls_exporter::target::TargetName::new(name).expect("a name");
        running.handle.round(&name).await.expect("a round");
    }
    let answer = crate::support::request(address, "GET", "/metrics", "Accept: text/plain;version=0.0.4\r\n").await;
    assert_eq!(found, series(answer.text()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_servers_do_not_delay_others() {
    const TIMEOUT: Duration = Duration::from_secs(5);
    let env = CheckEnvironment::new(|pki| {
        let silent = profiles::terminates(pki, Step::Connected, Termination::Stall);
        let good = profiles::good(pki);
        (0..44).map(|number| if number < 40 { good.clone() } else { silent.clone() }).collect()
    })
    .await;
    let mut holes = Vec::new();
    for _ in 0..3 {
        holes.push(Blackhole::start().await.expect("a black hole"));
    }
    let addresses = env.fleet.addrs().into_iter().chain(holes.iter().map(Blackhole::addr));
    let mut targets: Vec<String> = addresses
        .enumerate()
        .map(|(number, at)| {
            let (ip, port) = (at.ip(), at.port());
            format!("{{name: t{number}, host: {}, port: {port}, addresses: [{ip}]}}", profiles::ALIAS)
        })
        .collect();
    for name in ["a", "b", "c"] {
        [RecordType::A, RecordType::AAAA].iter().for_each(|kind| {
            env.dns.set(&format!("{name}.example.com"), *kind, Answer::NoReply);
        });
        targets.push(format!("{{name: t{}, host: {name}.example.com}}", targets.len()));
    }
    assert_eq!(targets.len(), 50);
    env.config(&targets);
    let begin = Instant::now();
    let json = env.json(1, &[&format!("--timeout={}s", TIMEOUT.as_secs())]);
    let took = begin.elapsed();
    assert!(took < TIMEOUT + Duration::from_secs(2), "{took:?}");
    for (number, target) in json["targets"].as_array().expect("targets").iter().enumerate() {
        let reason = |at: &str| target.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let probe = "/endpoints/0/backends/0/probe";
        let (stage, found) = (reason(&format!("{probe}/stage")), reason(&format!("{probe}/reason")));
        let expected = match number {
            0..40 => ("", ""),
            40..44 => ("greeting", "timeout"),
            44..47 => ("connect", "timeout"),
            _ => ("", ""),
        };
        assert_eq!((&*stage, &*found), expected, "t{number} in {target:#}");
        assert_eq!(target["healthy"], json!(number < 40), "t{number} in {target:#}");
        if number >= 47 {
            assert_eq!(reason("/lookup/failures/0/reason"), "dns_timeout", "t{number} in {target:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partial_results_are_printed_after_the_timeout() {
    let env = CheckEnvironment::new(|pki| vec![profiles::good(pki)]).await;
    let hole = Blackhole::start().await.expect("a black hole");
    let (ip, port) = (hole.addr().ip(), hole.addr().port());
    // At most two connections to one address at once: the other three targets wait until the timeout.
    let mut targets: Vec<String> = (0..5)
        .map(|number| format!("{{name: h{number}, host: h{number}.test, port: {port}, addresses: [{ip}]}}"))
        .collect();
    targets.push(format!(
        "{{name: good, host: {}, port: {}, addresses: {:?}}}",
        profiles::ALIAS,
        env.fleet.port(),
        env.fleet.ips()
    ));
    env.config(&targets);
    let json = env.json(1, &["--timeout=1s"]);
    let targets = json["targets"].as_array().expect("targets");
    let count = |key: &str, value: &Value| targets.iter().filter(|target| target.pointer(key) == Some(value)).count();
    assert_eq!(count("/last_round", &Value::Null), 3, "{json:#}");
    assert_eq!(count("/endpoints/0/backends/0/probe/reason", &json!("timeout")), 2, "{json:#}");
    assert_eq!((count("/healthy", &json!(true)), count("/name", &json!("good"))), (1, 1), "{json:#}");
    let output = env.run(&["--timeout=1s"]);
    let found = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{found}");
    assert!((0..5).all(|number| found.contains(&format!("h{number}  "))), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_prints_nothing() {
    let env = CheckEnvironment::new(|pki| vec![profiles::terminates(pki, Step::Connected, Termination::Stall)]).await;
    let target = format!("{}:{}", env.fleet.ips()[0], env.fleet.port());
    let mut command = env.command(&["--config.file=config.yaml", &target, "--timeout=60s"]);
    let process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    env.fleet.servers()[0].wait_accepted(1).await;
    let begin = Instant::now();
    let status = Command::new("kill").args(["-INT", &process.id().to_string()]).status().expect("kill runs");
    assert!(status.success());
    let output = tokio::task::block_in_place(|| process.wait_with_output().expect("it ends"));
    assert_eq!((output.status.code(), text(&output.stdout), text(&output.stderr)), (Some(130), "", ""));
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_usage_exits_with_2_and_names_the_cause() {
    let env = CheckEnvironment::classic().await;
    let invalid = "defaults: {trust: system}\ntargets: [{host: a.test, port: 0}]\n";
    std::fs::write(env.path("invalid.yaml"), invalid).expect("a file");
    std::fs::write(env.path("empty.txt"), "").expect("a file");
    for (args, cause) in [
        (&[][..], "<TARGET>"),
        (&["--no-such-flag"], "--no-such-flag"),
        (&["a.test", "--timeout=0"], "--timeout"),
        (&["a.test", "--timeout=1h"], "--timeout"),
        (&["a.test", "--force"], "--export <DIR>"),
        (&["a.test"], "--ca-file"),
        (&["a.test", "--no-system-roots"], "--ca-file"),
        (&["a.test", "--no-system-roots", "--ca-file=empty.txt"], "empty.txt"),
        (&["--config.file=missing.yaml"], "missing.yaml"),
        (&["--config.file=invalid.yaml"], "targets[0].port"),
        (&["--config.file=config.yaml", "foo bar"], "`foo bar`"),
        (&["--config.file=config.yaml", "mx:192.0.2.1"], "mx:192.0.2.1"),
        (&["--config.file=config.yaml", "mx:a.test", "--name=b.test"], "--name"),
        (&["--config.file=config.yaml", "a.test", "--export=empty.txt"], "empty.txt"),
    ] {
        let output = env.run_bare(args);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(cause), "{args:?}: {error}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}
