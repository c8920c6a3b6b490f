//! From answers of name servers to what is shown: the metrics, the JSON document, the status page and `check`.

use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};

use serde_json::Value;
use smtp_fleet::{Answer, Dns, Fleet, RecordType, profiles};
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::service::Running;

use crate::service_fixture::{metrics, pki, rounds, service};
use crate::support::{self, Environment, request};

mod families;
mod repeated;
mod search;
mod system;

/// Two mail servers, a name server, and a service with targets.
struct Site {
    fleet: Fleet,
    dns: Dns,
    env: Environment,
    text: String,
    running: Running,
    address: SocketAddr,
}

/// What is shown of one target.
struct Shown {
    metrics: support::Answer,
    json: Value,
    page: String,
}

impl Site {
    /// Targets with these names, at the hosts of the same names, and with the `settings` of all; `zone` sets the
    /// answers, with the address of the first mail server, and `change` changes the configuration before the service starts.
    async fn new(
        dns: Dns,
        names: &[&str],
        settings: &str,
        zone: impl FnOnce(&Dns, IpAddr),
        change: impl FnOnce(&mut Config, &Environment),
    ) -> Self {
        let pki = pki();
        let fleet = Fleet::start(vec![profiles::good(&pki), profiles::good(&pki)]).await.expect("a fleet");
        zone(&dns, fleet.ips()[0]);
        let env = Environment::new(&pki);
        let target = |name: &&str| {
            let port = fleet.port();
            let host = name.strip_suffix('.').unwrap_or(name);
            format!("{{name: {host}, host: {name}, server_name: {}, port: {port}}}", profiles::ALIAS)
        };
        let targets: Vec<String> = names.iter().map(target).collect();
        let settings = format!("interval: 1h, timeout: 5s, connect_timeout: 1s, {settings}");
        let text = Environment::yaml(&settings, &Environment::resolver(&dns), &targets);
        std::fs::write(env.folder.path().join("config.yaml"), &text).expect("a file");
        let mut config = env.config(&text);
        change(&mut config, &env);
        let (service, address) = service(config, None).await;
        Self { fleet, dns, env, text, running: service.start().expect("a service"), address }
    }

    /// The address of the first mail server; that of the second one is next to it.
    fn ip(&self) -> IpAddr {
        self.fleet.ips()[0]
    }

    /// Lets each target have a round that begins now.
    async fn rounds(&self, names: &[&str]) {
        let names = || names.iter().map(|name| name.strip_suffix('.').unwrap_or(name));
        // The first may have started before.
        rounds(&self.running, names()).await;
        rounds(&self.running, names()).await;
    }

    async fn shown(&self, target: &str) -> Shown {
        let metrics = metrics(self.address).await;
        let json = request(self.address, "GET", &format!("/api/v1/targets/{target}"), "").await;
        let page = request(self.address, "GET", &format!("/targets/{target}"), "").await;
        assert_eq!((json.status, page.status), (200, 200), "{target}");
        Shown { metrics, json: serde_json::from_slice(&json.body).expect("JSON"), page: page.text().to_owned() }
    }

    /// The exit code and the JSON document of `check` with all targets of the configuration.
    fn check(&self) -> (Option<i32>, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"));
        command.args(["check", "--config.file=config.yaml", "--output=json"]).current_dir(self.env.folder.path());
        let output = tokio::task::block_in_place(|| command.stdin(Stdio::null()).output().expect("it runs"));
        let json = serde_json::from_slice(&output.stdout);
        (output.status.code(), json.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
    }
}

impl Shown {
    /// The value of a metric that has only the label `target`.
    fn of_target(&self, metric: &str, target: &str) -> Option<f64> {
        self.metrics.value(&format!("smtp_tls_target_{metric}{{target=\"{target}\"}}"))
    }
}

/// The failures of a lookup as name, type and reason.
fn failures(json: &Value) -> Vec<[String; 3]> {
    let text = |failure: &Value, key: &str| failure[key].as_str().expect("a text").to_owned();
    let failures = json["lookup"]["failures"].as_array().unwrap_or_else(|| panic!("no lookup in {json:#}"));
    failures.iter().map(|failure| ["name", "type", "reason"].map(|key| text(failure, key))).collect()
}

/// The texts of the advice of a kind, and their severities.
fn advice<'a>(json: &'a Value, kind: &str) -> Vec<(&'a str, &'a str)> {
    let all = json["advice"].as_array().expect("advice").iter().filter(|advice| advice["kind"] == kind);
    all.map(|advice| (advice["severity"].as_str().expect("text"), advice["text"].as_str().expect("text"))).collect()
}

fn target<'a>(json: &'a Value, name: &str) -> &'a Value {
    let mut targets = json["targets"].as_array().expect("targets").iter();
    targets.find(|target| target["name"] == name).unwrap_or_else(|| panic!("{name} in {json:#}"))
}

fn addresses(json: &Value) -> Vec<&str> {
    let backends = json["endpoints"][0]["backends"].as_array().expect("backends");
    backends.iter().map(|backend| backend["address"].as_str().expect("an address")).collect()
}
