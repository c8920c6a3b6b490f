//! A service over a fleet, scraped the way Prometheus scrapes it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use smtp_fleet::{Dns, Fleet, Pki, ServerSpec};
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::service::{Notifier, Running, Service};
use smtp_tls_exporter::target::TargetName;
use smtp_tls_exporter::web;

use crate::support::{Answer, Environment, request};

/// A service that probes one fleet. Each target has the name of its host.
pub(crate) struct ServiceFixture {
    pub(crate) fleet: Fleet,
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    _needed: (Environment, Dns),
}

impl ServiceFixture {
    /// One target per case: its host, and the servers that the host resolves to. `extra` is added to each target.
    pub(crate) async fn new(cases: Vec<(&str, Vec<ServerSpec>)>, extra: &str) -> Self {
        Self::with_keys(cases.into_iter().map(|(name, specs)| (name, specs, extra.to_owned())).collect()).await
    }

    /// The same, with further keys for each target, as in `, tls: implicit`.
    pub(crate) async fn with_keys(cases: Vec<(&str, Vec<ServerSpec>, String)>) -> Self {
        let env = Environment::new(&pki());
        let fleet =
            Fleet::start(cases.iter().flat_map(|(_, specs, _)| specs.clone()).collect()).await.expect("a fleet");
        let dns = Dns::start().await.expect("a responder");
        let mut ips = fleet.ips().into_iter();
        let targets: Vec<String> = cases
            .iter()
            .map(|(name, specs, extra)| {
                let addresses: Vec<_> = ips.by_ref().take(specs.len()).collect();
                dns.set_addresses(name, &addresses);
                format!("{{host: {name}, port: {}, name: {name}{extra}}}", fleet.port())
            })
            .collect();
        let text = Environment::yaml("resolver: test, interval: 60s", &Environment::resolver(&dns), &targets);
        let (service, address) = service(env.config(&text), None).await;
        let running = service.start().expect("a service");
        let fixture = Self { fleet, running, address, _needed: (env, dns) };
        fixture.rounds(cases.iter().map(|(name, ..)| *name)).await;
        fixture
    }

    pub(crate) async fn rounds(&self, names: impl IntoIterator<Item = &str>) {
        rounds(&self.running, names).await;
    }

    pub(crate) async fn metrics(&self) -> Answer {
        metrics(self.address).await
    }

    /// The value of the label `backend` for the server at `index` in the fleet.
    pub(crate) fn backend(&self, index: usize) -> String {
        self.fleet.addrs()[index].to_string()
    }
}

/// A service that listens on a free port of loopback, not yet started.
pub(crate) async fn service(config: Config, config_file: Option<PathBuf>) -> (Service, SocketAddr) {
    let listeners = web::bind(&"127.0.0.1:0".parse().expect("an address")).await.expect("a listener");
    let address = listeners[0].local_addr().expect("an address");
    // Each request of a test that may cause a round does so.
    let web = web::Options { probe_max_age: Duration::ZERO, enable_lifecycle: true, ..web::Options::default() };
    let (auto_reload, notifier) = (None, Notifier::default());
    (Service { config, config_file, hangup: None, auto_reload, listeners, web, web_config: None, notifier }, address)
}

/// Waits for one round of each target.
pub(crate) async fn rounds(running: &Running, names: impl IntoIterator<Item = &str>) {
    let names: Vec<_> = names.into_iter().map(|name| TargetName::new(name).expect("a name")).collect();
    for report in join_all(names.iter().map(|name| running.handle.round(name))).await {
        report.expect("a round");
    }
}

/// The metrics in the text format.
pub(crate) async fn metrics(address: SocketAddr) -> Answer {
    let answer = request(address, "GET", "/metrics", "Accept: text/plain;version=0.0.4\r\n").await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    answer
}

thread_local! {
    /// One per test: servers and trust store need the same root.
    static PKI: std::rc::Rc<Pki> = std::rc::Rc::new(Pki::new());
}

pub(crate) fn pki() -> std::rc::Rc<Pki> {
    PKI.with(Clone::clone)
}

/// Each row is a series, as written in the text format, and its value; `None` if the series must be absent.
#[track_caller]
pub(crate) fn check(answer: &Answer, rows: &[(String, Option<f64>)]) {
    for (series, expected) in rows {
        assert_eq!(answer.value(series), *expected, "{series}\nin\n{}", answer.text());
    }
}
