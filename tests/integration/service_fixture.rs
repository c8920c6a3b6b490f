//! A service over a fleet, as Prometheus meets it.

use std::net::SocketAddr;

use futures_util::future::join_all;
use smtp_fleet::{Dns, Fleet, Pki, ServerSpec};
use smtp_tls_exporter::service::{Running, Service};
use smtp_tls_exporter::target::TargetName;
use smtp_tls_exporter::web;

use crate::support::{Answer, Environment, request};

/// A service over one fleet, with a target for each case: its name, and its servers in order.
pub(crate) struct ServiceFixture {
    pub(crate) fleet: Fleet,
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    _env: Environment,
    _dns: Dns,
}

impl ServiceFixture {
    /// A target for each case: its name, which is also the host's, and its servers.
    pub(crate) async fn new(cases: Vec<(&str, Vec<ServerSpec>)>, extra: &str) -> Self {
        Self::of(cases.into_iter().map(|(name, specs)| (name, specs, extra.to_owned())).collect()).await
    }

    /// Likewise, with further keys for each case's target.
    pub(crate) async fn of(cases: Vec<(&str, Vec<ServerSpec>, String)>) -> Self {
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
        let resolvers = format!("resolvers: {{test: {{nameservers: [\"{}\"]}}}}", dns.addr());
        let config = env.config(&Environment::yaml("resolver: test, interval: 60s", &resolvers, &targets));
        let listeners = web::bind("127.0.0.1:0").await.expect("a listener");
        let address = listeners[0].local_addr().expect("an address");
        let service = Service { config, config_file: None, listeners, web: web::Options::default() };
        let running = service.start().expect("a service");
        let fixture = Self { fleet, running, address, _env: env, _dns: dns };
        fixture.round(cases.iter().map(|(name, ..)| *name)).await;
        fixture
    }

    pub(crate) async fn round(&self, names: impl IntoIterator<Item = &str>) {
        let names: Vec<_> = names.into_iter().map(|name| TargetName::new(name).expect("a name")).collect();
        for report in join_all(names.iter().map(|name| self.running.handle.round(name))).await {
            report.expect("a round");
        }
    }

    pub(crate) async fn metrics(&self) -> Answer {
        let answer = request(self.address, "GET", "/metrics", TEXT).await;
        assert_eq!(answer.status, 200, "{}", answer.head);
        answer
    }

    pub(crate) fn backend(&self, place: usize) -> String {
        self.fleet.addrs()[place].to_string()
    }
}

thread_local! {
    /// One for a test: its servers and its trust store must have the same roots.
    static PKI: std::rc::Rc<Pki> = std::rc::Rc::new(Pki::new());
}

pub(crate) fn pki() -> std::rc::Rc<Pki> {
    PKI.with(Clone::clone)
}

/// Each row: a series as the exposition writes it, and its value; none where it must not be there.
#[track_caller]
pub(crate) fn check(answer: &Answer, rows: &[(String, Option<f64>)]) {
    for (series, expected) in rows {
        assert_eq!(answer.value(series), *expected, "{series}\nin\n{}", answer.text());
    }
}

const TEXT: &str = "Accept: text/plain;version=0.0.4\r\n";
