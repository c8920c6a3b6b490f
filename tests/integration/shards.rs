//! Exporters that share the targets of one configuration.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;

use serde_json::Value;
use smtp_fleet::{Fleet, Pki, TlsMode, profiles};
use smtp_tls_exporter::target::ordinal_of_host_name;

use crate::binary::{Exporter, exporter};
use crate::service_fixture::metrics;
use crate::support::{Answer, Environment, request, target, until};

const SHARDS: u32 = 3;

/// The exporters of all shards, of the same configuration.
struct Shards {
    fleet: Fleet,
    env: Environment,
    exporters: Vec<Exporter>,
}

impl Shards {
    /// Four targets in the configuration, two in a target file.
    async fn start() -> Self {
        let pki = Pki::new();
        let env = Environment::new(&pki);
        let fleet = Fleet::start((0..10).map(|_| profiles::good(&pki)).collect()).await.expect("a fleet");
        let targets: Vec<String> = (0..4).map(|number| Self::target(&fleet, number)).collect();
        let rest = format!("target_files: ['*.list.yaml']\nprobe: {{allow: ['127.0.0.0/8:{}']}}", fleet.port());
        let text = Environment::yaml("interval: 1h", &rest, &targets);
        let this = Self { fleet, env, exporters: Vec::new() };
        this.write_file(&[4, 5]);
        let start = |ordinal| {
            let flags = [format!("--shard={ordinal}"), format!("--total-shards={SHARDS}")];
            let flags = [&flags[0], &flags[1], "--web.enable-lifecycle"];
            Exporter::start(&this.env, &text, &flags)
        };
        let exporters = (0..SHARDS).map(start).collect();
        Self { exporters, ..this }
    }

    fn target(fleet: &Fleet, number: usize) -> String {
        let address: IpAddr = fleet.ips()[number];
        target(&format!("relay-{number}"), "smtp.example.com", fleet.port(), TlsMode::StartTls, &[address])
    }

    fn write_file(&self, numbers: &[usize]) {
        let targets = numbers.iter().map(|number| format!("- {}\n", Self::target(&self.fleet, *number)));
        fs::write(self.env.folder.path().join("more.list.yaml"), targets.collect::<String>()).expect("a file");
    }

    /// The targets in the metrics of each shard whose first round has finished.
    async fn probed(&self) -> Vec<BTreeSet<usize>> {
        let mut shards = Vec::new();
        for exporter in &self.exporters {
            let answer = metrics(exporter.address()).await;
            let lines =
                answer.text().lines().filter_map(|line| line.strip_prefix("smtp_tls_probe_success{target=\"relay-"));
            shards.push(lines.map(|rest| rest[..1].parse().expect("a number")).collect());
        }
        shards
    }

    /// Waits until these targets are probed by one shard each, and by no other one.
    async fn wait(&self, numbers: &[usize]) -> Vec<BTreeSet<usize>> {
        until(async || {
            let shards = self.probed().await;
            let all: Vec<usize> = shards.iter().flatten().copied().collect();
            let distinct: BTreeSet<usize> = all.iter().copied().collect();
            assert_eq!(all.len(), distinct.len(), "{shards:?}");
            distinct.into_iter().eq(numbers.iter().copied()).then_some(shards)
        })
        .await
    }

    async fn get(&self, shard: usize, path: &str) -> Answer {
        request(self.exporters[shard].address(), "GET", path, "").await
    }
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_target_is_probed_by_one_shard() {
    let site = Shards::start().await;
    let shards = site.wait(&[0, 1, 2, 3, 4, 5]).await;
    for (number, server) in site.fleet.servers().iter().enumerate() {
        assert_eq!(server.accepted(), usize::from(number < 6), "connections to server {number}");
    }
    let mut count = 0.0;
    for (ordinal, shard) in shards.iter().enumerate() {
        let answer = metrics(site.exporters[ordinal].address()).await;
        assert_eq!(answer.value("smtp_tls_exporter_shard_ordinal"), Some(ordinal as f64));
        assert_eq!(answer.value("smtp_tls_exporter_total_shards"), Some(f64::from(SHARDS)));
        let targets = answer.value("smtp_tls_exporter_targets").expect("a value");
        assert_eq!(targets, shard.len() as f64);
        count += targets;
        let listed = json(&site.get(ordinal, "/api/v1/targets").await);
        assert_eq!(listed["shard"]["ordinal"], ordinal);
        assert_eq!(listed["shard"]["total"], SHARDS);
        assert_eq!(listed["shard"]["other_targets"], 6 - shard.len());
        assert_eq!(listed["targets"].as_array().map(Vec::len), Some(shard.len()));
        let page = site.get(ordinal, "/").await;
        assert!(page.text().contains(&format!("shard {ordinal} of {SHARDS}")), "{}", page.text());
    }
    assert_eq!(count, 6.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_of_target_files_keep_the_shard() {
    let site = Shards::start().await;
    let before = site.wait(&[0, 1, 2, 3, 4, 5]).await;
    site.write_file(&[5, 6, 7, 8]);
    let after = site.wait(&[0, 1, 2, 3, 5, 6, 7, 8]).await;
    let kept = |shards: &[BTreeSet<usize>]| -> Vec<Vec<usize>> {
        shards
            .iter()
            .map(|shard| shard.iter().copied().filter(|number| [0, 1, 2, 3, 5].contains(number)).collect())
            .collect()
    };
    assert_eq!(kept(&before), kept(&after));
    // As a whole.
    for exporter in &site.exporters {
        let answer = request(exporter.address(), "POST", "/-/reload", "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(site.wait(&[0, 1, 2, 3, 5, 6, 7, 8]).await, after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probe_refers_to_the_shard_of_a_configured_target() {
    let site = Shards::start().await;
    let shards = site.wait(&[0, 1, 2, 3, 4, 5]).await;
    for number in 0..6 {
        let owner = shards.iter().position(|shard| shard.contains(&number)).expect("a shard");
        for ordinal in 0..SHARDS as usize {
            let answer = site.get(ordinal, &format!("/probe?target=relay-{number}")).await;
            let api = site.get(ordinal, &format!("/api/v1/targets/relay-{number}")).await;
            if ordinal == owner {
                assert_eq!((answer.status, api.status), (200, 200), "{}", answer.text());
                continue;
            }
            let facts = [format!("relay-{number}"), format!("shard {owner} of {SHARDS}"), format!("shard {ordinal}")];
            let page = site.get(ordinal, &format!("/targets/relay-{number}")).await;
            assert_eq!((answer.status, api.status, page.status), (421, 404, 404), "{}", answer.text());
            assert!(page.text().contains(&format!("shard {owner} of {SHARDS}")), "{}", page.text());
            for fact in facts {
                assert!(answer.text().contains(&fact), "{fact} in {}", answer.text());
                assert!(api.text().contains(&fact), "{fact} in {}", api.text());
            }
        }
    }
    // Not configured, so that every shard probes it.
    let other = site.fleet.addrs()[9];
    for ordinal in 0..SHARDS as usize {
        let answer = site.get(ordinal, &format!("/probe?target={other}&hostname=smtp.example.com")).await;
        assert_eq!((answer.status, answer.value("probe_success")), (200, Some(1.0)), "{}", answer.text());
        let unknown = site.get(ordinal, "/probe?target=unknown.test").await;
        assert_eq!(unknown.status, 403, "{}", unknown.text());
        assert_eq!(site.get(ordinal, "/api/v1/targets/unknown").await.status, 404);
    }
}

/// Runs `--config.check` with these flags. Returns the exit code, and what it prints.
fn check_config(env: &Environment, flags: &[&str]) -> (Option<i32>, String) {
    let file = format!("--config.file={}", env.folder.path().join("config.yaml").display());
    let output = exporter(&[&[file.as_str(), "--config.check"], flags].concat()).output().expect("it runs");
    (
        output.status.code(),
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat(),
    )
}

#[test]
fn the_check_of_the_configuration_counts_the_targets_of_the_shard() {
    let env = Environment::new(&Pki::new());
    let write = |text: &str| fs::write(env.folder.path().join("config.yaml"), text).expect("a file");
    let names: Vec<String> = (0..1000).map(|number| format!("{{host: smtp-{number}.example.com}}")).collect();
    write(&format!("defaults: {{trust: mozilla}}\ntargets: [{}]\n", names.join(", ")));
    let mut total = 0;
    for ordinal in 0..4 {
        let (code, text) = check_config(&env, &[&format!("--shard={ordinal}"), "--total-shards=4"]);
        assert_eq!(code, Some(0), "{text}");
        let (all, own) = text.trim_end().split_once("; ").expect("two parts");
        assert!(all.ends_with("1,000 targets"), "{text}");
        let count =
            own.strip_prefix(&format!("shard {ordinal} of 4 probes ")).and_then(|rest| rest.strip_suffix(" targets"));
        let count: i32 = count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{text}"));
        assert!((count - 250).abs() < 60, "{text}");
        total += count;
    }
    assert_eq!(total, 1000);
    for flags in [&[][..], &["--shard=0", "--total-shards=1"]] {
        let (code, text) = check_config(&env, flags);
        assert!(code == Some(0) && text.ends_with("1,000 targets\n"), "{flags:?}: {text}");
    }
    // Also the targets of other shards are checked.
    write("defaults: {trust: mozilla}\ntargets: [{host: a.test}, {host: b.test, port: 0}, {host: c.test}]\n");
    for ordinal in 0..4 {
        let (code, text) = check_config(&env, &[&format!("--shard={ordinal}"), "--total-shards=4"]);
        assert!(code == Some(2) && text.contains("targets[1].port"), "{text}");
    }
}

#[test]
fn takes_the_ordinal_from_the_host_name() {
    let env = Environment::new(&Pki::new());
    fs::write(env.folder.path().join("config.yaml"), "targets: [{host: a.test, trust: mozilla}]").expect("a file");
    let (code, text) = check_config(&env, &["--shard=from-hostname", "--total-shards=1024"]);
    let name = fs::read_to_string("/proc/sys/kernel/hostname").expect("the host name");
    let (expected, fact) = match ordinal_of_host_name(name.trim_end()) {
        Some(ordinal @ 0..1024) => (0, format!("shard {ordinal} of 1024")),
        Some(ordinal) => (2, ordinal.to_string()),
        None => (2, name.trim_end().to_owned()),
    };
    assert!(code == Some(expected) && text.contains(&fact), "{expected} {fact}: {text}");
}
