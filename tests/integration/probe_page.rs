//! `/probe` through the router and the monitor: which targets are probed or refused, and what is answered when.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use flate2::read::GzDecoder;
use smtp_fleet::{Dns, Fleet, ServerSpec, Step, Termination, profiles};
use smtp_tls_exporter::service::Running;

use crate::service_fixture::{metrics, pki, rounds, service};
use crate::support::{Answer, Environment, request, until};

mod shares;

/// A service over a fleet, with a configured target `relay` and patterns for other targets.
struct Site {
    fleet: Fleet,
    dns: Dns,
    running: Running,
    address: SocketAddr,
    env: Environment,
}

impl Site {
    /// `allow` is `probe.allow`, `relay` the keys of the target. `PORT` becomes the fleet's port, `IP0` its first
    /// address, and so on.
    async fn new(specs: Vec<ServerSpec>, allow: &str, relay: &str) -> Self {
        let env = Environment::new(&pki());
        let fleet = Fleet::start(specs).await.expect("a fleet");
        let dns = Dns::start().await.expect("a responder");
        dns.set_addresses(profiles::ALIAS, &fleet.ips());
        let config = env.config(&Self::text(&fleet, &dns, allow, relay));
        let (service, address) = service(config, None).await;
        let running = service.start().expect("a service");
        // The round that the schedule starts may have ended just before: tests count from here, not from zero.
        rounds(&running, ["relay"]).await;
        Self { fleet, dns, running, address, env }
    }

    fn text(fleet: &Fleet, dns: &Dns, allow: &str, relay: &str) -> String {
        let rest = format!("{}\nprobe: {{allow: {allow}}}", Environment::resolver(dns));
        let text = Environment::yaml(
            "resolver: test, interval: 1h, timeout: 50s, ip_family: any",
            &rest,
            &[format!("{{name: relay, {relay}}}")],
        );
        filled(&text, fleet)
    }

    async fn reload(&self, allow: &str, relay: &str) {
        let config = self.env.config(&Self::text(&self.fleet, &self.dns, allow, relay));
        self.running.handle.reload(config).await.expect("a reload");
    }

    async fn probe(&self, query: &str, fields: &str) -> Answer {
        request(self.address, "GET", &format!("/probe?{}", filled(query, &self.fleet)), fields).await
    }

    fn accepted(&self) -> usize {
        self.fleet.servers().iter().map(smtp_fleet::Server::accepted).sum()
    }

    fn backend(&self, place: usize) -> String {
        self.fleet.addrs()[place].to_string()
    }
}

fn filled(text: &str, fleet: &Fleet) -> String {
    let text = text.replace("PORT", &fleet.port().to_string());
    fleet.ips().iter().enumerate().fold(text, |text, (at, ip)| text.replace(&format!("IP{at}"), &ip.to_string()))
}

/// `HOST:PORT` is the configured target, even if a pattern permits it: the address in DNS may be another server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finds_a_configured_target_by_host_and_port_whatever_its_settings() {
    for (relay, hostname) in [
        ("host: smtp.example.com, port: PORT, addresses: [IP0]", "smtp.example.com"),
        ("host: mail.example.com, port: PORT, addresses: [IP0], server_name: smtp.example.com", "smtp.example.com"),
        ("host: smtp.example.com, port: PORT, addresses: [IP0], expect_names: [smtp.example.com]", "smtp.example.com"),
        ("host: IP0, port: PORT, server_name: smtp.example.com", "smtp.example.com"),
        ("host: smtp.example.com, port: PORT, addresses: [IP0], tls: implicit", "smtp.example.com"),
    ] {
        let allow = "[\"smtp.example.com:PORT\", \"mail.example.com:PORT\", \"127.0.0.0/8:PORT\"]";
        let site = Site::new(vec![profiles::good(&pki()), profiles::good(&pki())], allow, relay).await;
        let host = relay.split([' ', ',']).nth(1).expect("a host");
        for query in [format!("target={host}:PORT"), format!("target={host}:PORT&hostname={hostname}")] {
            let answer = site.probe(&query, "").await;
            let info = "smtp_tls_target_info{target=\"relay\",kind=\"host\"}";
            let success = f64::from(u8::from(!relay.contains("implicit")));
            check(&answer, &[("probe_success", Some(success)), (info, Some(1.0))]);
        }
        // Another server name is another target.
        let other = site.probe(&format!("target={host}:PORT&hostname=other.example.com"), "").await;
        assert_eq!(other.value("smtp_tls_target_info{target=\"relay\",kind=\"host\"}"), None, "{relay}");
    }
}

/// Each row: a series and its value.
#[track_caller]
fn check(answer: &Answer, rows: &[(&str, Option<f64>)]) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    for (series, expected) in rows {
        assert_eq!(answer.value(series), *expected, "{series}\nin\n{}", answer.text());
    }
}

const LOOPBACK: &str =
    "[\"smtp.example.com:PORT\", \"*.wild.test:PORT\", \"127.0.0.0/8:PORT\", \"submission:*\", \"mx:*\"]";
/// A target that the test does not ask for, at a fixed address.
const ELSEWHERE: &str = "host: mail.example.com, port: PORT, addresses: [IP0]";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_a_configured_target_on_request() {
    let specs = vec![profiles::good(&pki()), profiles::alias_missing(&pki())];
    let site = Site::new(specs, "[]", "host: smtp.example.com, port: PORT, labels: {team: mail}").await;
    let before = site.accepted();
    let endpoint = "{target=\"relay\",server_name=\"smtp.example.com\",team=\"mail\"}";
    let [matched, mismatched] =
        ["hostname_matched", "hostname_mismatched"].map(|count| format!("smtp_tls_target_backends_{count}{endpoint}"));
    // By its name, and by its host and port.
    for query in ["target=relay", "target=SMTP.example.com.:PORT", "module=smtp_starttls&debug=true&target=relay"] {
        let answer = site.probe(query, "").await;
        check(&answer, &[("probe_success", Some(0.0)), (&matched, Some(1.0)), (&mismatched, Some(1.0))]);
        let info = format!(
            "smtp_tls_cert_hostname_mismatch_info{{target=\"relay\",server_name=\"smtp.example.com\",backend=\"{}\",tls=\"starttls\"",
            site.backend(1)
        );
        assert!(answer.text().contains(&info), "{}", answer.text());
        for absent in ["probe_addresses_refused", "smtp_tls_exporter_", "process_"] {
            assert!(!answer.text().contains(absent), "{absent} in\n{}", answer.text());
        }
    }
    assert_eq!(site.accepted() - before, 6, "one round each");
    site.fleet.servers()[1].replace(profiles::good(&pki()));
    let answer = site.probe("target=relay", "").await;
    check(&answer, &[("probe_success", Some(1.0)), (&mismatched, Some(0.0))]);
    let value = |name: &str| answer.value(name).unwrap_or_else(|| panic!("{name} in\n{}", answer.text()));
    let earliest = value("probe_ssl_earliest_cert_expiry");
    let leaf = value(&format!("smtp_tls_target_earliest_not_after_timestamp_seconds{endpoint}"));
    assert!(earliest > 1e9 && earliest <= leaf, "{earliest} {leaf}");
    assert!(value("probe_ssl_last_chain_expiry_timestamp_seconds") <= leaf);
    assert!(value("probe_duration_seconds") >= value("probe_dns_lookup_time_seconds"));
    assert!(value("probe_dns_lookup_time_seconds") > 0.0);

    let dead = &site.fleet.servers()[1];
    dead.stop().await;
    check(&site.probe("target=relay", "").await, &[("probe_success", Some(0.0)), (&matched, Some(2.0))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn negotiates_formats_as_for_scrapes() {
    let site = Site::new(vec![profiles::good(&pki())], "[]", ELSEWHERE).await;
    let before = site.accepted();
    for (accept, content_type, end) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", ""),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8", "\n# EOF\n"),
    ] {
        let plain = site.probe("target=relay", &format!("Accept: {accept}\r\n")).await;
        let packed = site.probe("target=relay", &format!("Accept: {accept}\r\nAccept-Encoding: gzip\r\n")).await;
        let mut text = String::new();
        GzDecoder::new(&*packed.body).read_to_string(&mut text).expect("gzip");
        for (answer, text, coding) in [(&plain, plain.text(), None), (&packed, &*text, Some("gzip"))] {
            assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)));
            assert_eq!(answer.header("content-encoding"), coding);
            assert_eq!(answer.header("vary"), Some("accept, accept-encoding"));
            assert!(text.contains("\nprobe_success 1\n") && text.ends_with(end), "{text}");
            assert!(text.contains("# TYPE probe_success gauge\n"), "{text}");
        }
    }
    assert_eq!(site.accepted() - before, 4);
    let head = request(site.address, "HEAD", "/probe?target=relay", "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(request(site.address, "POST", "/probe?target=relay", "").await.status, 405);
    assert_eq!(site.accepted() - before, 4, "neither request probes");
}

/// Targets that are not configured. The network is permitted, so that loopback addresses can be reached.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patterns_permit_unconfigured_targets() {
    let site = Site::new(vec![profiles::good(&pki())], LOOPBACK, ELSEWHERE).await;
    let probes = |metrics: &Answer| metrics.value("smtp_tls_probes_total{target=\"relay\"}");
    let before = probes(&metrics(site.address).await);
    let port = site.fleet.port();
    site.dns.set_addresses("a.b.wild.test", &site.fleet.ips());
    site.dns.set_srv("_submission._tcp.srv.test", &[(0, 0, port, profiles::ALIAS)]);
    for (query, name, success) in [
        ("target=smtp.example.com:PORT", "smtp.example.com:PORT", 1.0),
        ("target=SMTP.EXAMPLE.COM.:PORT&module=x", "smtp.example.com:PORT", 1.0),
        ("target=IP0:PORT&hostname=Mail.Example.com", "IP0:PORT", 1.0),
        ("target=submission:srv.test", "submission:srv.test", 1.0),
        // The certificate lists neither.
        ("target=a.b.wild.test:PORT", "a.b.wild.test:PORT", 0.0),
        ("target=IP0:PORT", "IP0:PORT", 0.0),
    ] {
        let answer = site.probe(query, "").await;
        let info = format!("smtp_tls_probes_total{{target=\"{}\"}}", filled(name, &site.fleet));
        check(&answer, &[("probe_success", Some(success)), ("probe_addresses_refused", Some(0.0)), (&info, Some(1.0))]);
    }
    assert_eq!(site.probe("target=IP0:PORT", "").await.value("probe_dns_lookup_time_seconds"), Some(0.0));
    let missing = site.probe("target=none.wild.test:PORT", "").await;
    let failed = filled("smtp_tls_target_lookup_success{target=\"none.wild.test:PORT\"}", &site.fleet);
    check(&missing, &[("probe_success", Some(0.0)), (&failed, Some(0.0)), ("probe_ssl_earliest_cert_expiry", None)]);

    // They appear nowhere else.
    let metrics = metrics(site.address).await;
    assert!(!metrics.text().contains("wild.test") && !metrics.text().contains("srv.test"), "{}", metrics.text());
    check(&metrics, &[("smtp_tls_exporter_targets", Some(1.0))]);
    assert!(before.is_some() && probes(&metrics) == before, "relay was not probed again: {}", metrics.text());
    let page = request(site.address, "GET", "/", "").await;
    assert!(!page.text().contains("wild.test"), "{}", page.text());
}

#[track_caller]
fn check_refused(answer: &Answer, query: &str, status: u16, words: &[&str]) {
    assert_eq!(answer.status, status, "{query}: {}", answer.text());
    for word in words {
        assert!(answer.text().contains(word), "{word} in the answer to {query}: {}", answer.text());
    }
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(!answer.text().contains("127."), "{query}: an address is disclosed: {}", answer.text());
}

/// Neither names nor literals reach an address that is not public or not permitted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_local_addresses_and_unusual_ports() {
    let all = "[\"*\", \"*:PORT\", \"mx:*\", \"submission:*\", 0.0.0.0/0, \"0.0.0.0/0:PORT\", \"::/0\", \"[::/0]:PORT\", \
               10.0.0.0/8, \"10.0.0.0/8:PORT\"]";
    let site = Site::new(vec![profiles::good(&pki())], all, ELSEWHERE).await;
    let before = site.accepted();
    let (dns, ips, port) = (&site.dns, site.fleet.ips(), site.fleet.port());
    let address = |text: &str| -> IpAddr { text.parse().expect("an address") };
    dns.set_addresses("mixed.test", &[ips[0], address("0.0.0.0"), address("::1"), address("169.254.169.254")]);
    dns.set_mx("mx.test", &[(10, profiles::ALIAS)]);
    dns.set_mx("literal.test", &[(10, &ips[0].to_string())]);
    dns.set_srv("_submission._tcp.srv.test", &[(0, 0, port, profiles::ALIAS), (0, 0, 22, "mixed.test")]);
    // The address is permitted, the port of the SRV record is not: records must not make the exporter a port scanner.
    dns.set_srv("_submission._tcp.scan.test", &[(0, 0, 22, "inner.test")]);
    dns.set_addresses("inner.test", &[address("10.0.0.1")]);
    dns.set_addresses("embedded.test", &[address("64:ff9b::a00:1")]);
    for (target, words) in [
        ("smtp.example.com:PORT", &["smtp.example.com", "1 "][..]),
        ("smtp.example.com", &["smtp.example.com", "1 "]),
        ("mixed.test:PORT", &["mixed.test", "4 "]),
        ("mx:mx.test", &["mx:mx.test", "1 "]),
        ("submission:srv.test", &["submission:srv.test", "only to addresses", "5 "]),
        ("submission:scan.test", &["submission:scan.test", "only to ports", "1 "]),
        ("embedded.test:PORT", &["embedded.test:", "only to addresses", "NAT64"]),
        ("[::1]:PORT", &["[::1]:", "probe.allow"]),
        ("[fd00::1]:25", &["[fd00::1]:25", "probe.allow"]),
        ("[64:ff9b::a00:1]:25", &["[64:ff9b::a00:1]:25", "probe.allow"]),
        ("169.254.169.254:25", &["169.254.169.254:25", "probe.allow"]),
        ("smtp.example.com:22", &["smtp.example.com:22", "port 22"]),
        ("10.0.0.1:22", &["10.0.0.1:22", "port 22"]),
    ] {
        let answer = site.probe(&format!("target={target}"), "").await;
        check_refused(&answer, target, 403, words);
    }
    for target in ["IP0:PORT", "[::ffff:IP0]:PORT"] {
        let answer = site.probe(&format!("target={target}"), "").await;
        assert_eq!(answer.status, 403, "{}", answer.text());
    }
    let literal = site.probe("target=mx:literal.test", "").await;
    check(&literal, &[("probe_success", Some(0.0)), ("probe_addresses_refused", Some(0.0))]);
    assert_eq!(site.accepted(), before, "no server was connected to");
}

/// Refused addresses are counted, the others are probed; the result is not a success.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_refused_addresses() {
    let specs = vec![profiles::good(&pki()), profiles::good(&pki())];
    let site = Site::new(specs, "[\"*:PORT\", \"IP1:PORT\"]", ELSEWHERE).await;
    let before: Vec<_> = site.fleet.servers().iter().map(smtp_fleet::Server::accepted).collect();
    let answer = site.probe("target=smtp.example.com:PORT", "").await;
    let name = filled("smtp.example.com:PORT", &site.fleet);
    let reachable = format!("smtp_tls_target_backends_reachable{{target=\"{name}\",server_name=\"smtp.example.com\"}}");
    check(&answer, &[("probe_success", Some(0.0)), ("probe_addresses_refused", Some(1.0)), (&reachable, Some(1.0))]);
    let after: Vec<_> = site.fleet.servers().iter().map(smtp_fleet::Server::accepted).collect();
    assert_eq!(after, [before[0], before[1] + 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejects_invalid_requests() {
    let site = Site::new(vec![profiles::good(&pki())], "[smtp.example.com]", ELSEWHERE).await;
    let before = site.accepted();
    let long = format!("target={}", "a".repeat(600));
    for (query, status, words) in [
        ("", 400, &["target"][..]),
        ("target=", 400, &["target"]),
        ("target=relay&target=relay", 400, &["target"]),
        (&long, 400, &["target", "512"]),
        ("target=relay&hostname=a..b", 400, &["hostname"]),
        ("target=mx:a.test&hostname=b.test", 400, &["hostname"]),
        ("target=smtp.example.com:0", 400, &["smtp.example.com:0", "port"]),
        ("target=https://smtp.example.com", 400, &["https://smtp.example.com"]),
        ("target=2130706433", 400, &["2130706433"]),
        ("target=0177.0.0.1", 400, &["0177.0.0.1"]),
        ("target=%1b%5b31mx%0d%0ay", 400, &["\u{fffd}[31mx\u{fffd}\u{fffd}y"]),
        ("target=other.example.com", 403, &["other.example.com", "probe.allow"]),
        ("target=smtp.example.com:2525", 403, &["smtp.example.com:2525", "port 2525"]),
        // The configured target has another server name.
        ("target=relay&hostname=b.test", 403, &["relay", "probe.allow"]),
    ] {
        let answer = site.probe(query, "").await;
        check_refused(&answer, query, status, words);
        let head = request(site.address, "HEAD", &format!("/probe?{}", filled(query, &site.fleet)), "").await;
        assert_eq!((head.status, head.body.len()), (status, 0), "HEAD of {query}");
    }
    site.reload("[]", ELSEWHERE).await;
    let answer = site.probe("target=smtp.example.com", "").await;
    check_refused(&answer, "target=smtp.example.com", 404, &["smtp.example.com"]);
    assert_eq!(site.accepted(), before);
}

/// An answer comes before the scrape times out. The round of a configured target goes on, and the next request joins it;
/// that of another one is given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_before_the_scrape_times_out() {
    for (allow, relay, target, connections) in
        [(LOOPBACK, ELSEWHERE, "smtp.example.com:PORT", 2), ("[]", "host: smtp.example.com, port: PORT", "relay", 1)]
    {
        let site = Site::new(vec![profiles::good(&pki())], allow, relay).await;
        let server = &site.fleet.servers()[0];
        server.replace(profiles::slow_greeting(&pki(), std::time::Duration::from_secs(1)));
        let before = server.accepted();
        let query = format!("target={target}");
        let early = site.probe(&query, "X-Prometheus-Scrape-Timeout-Seconds: 0.1\r\n").await;
        check(&early, &[("probe_success", Some(0.0))]);
        let whole = site.probe(&query, "X-Prometheus-Scrape-Timeout-Seconds: nonsense\r\n").await;
        check(&whole, &[("probe_success", Some(1.0))]);
        assert_eq!(server.accepted() - before, connections, "{target}");
    }
}

/// Results are available while other backends are still being probed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_backend_does_not_delay_other_results() {
    let silent = profiles::terminates(&pki(), Step::Connected, Termination::Stall);
    let site = Site::new(vec![profiles::good(&pki()), profiles::good(&pki())], LOOPBACK, ELSEWHERE).await;
    site.fleet.servers()[1].replace(silent);
    let target = filled("smtp.example.com:PORT", &site.fleet).parse().expect("a target");
    let one_off = site.running.handle.probe_once(target, shares::client(9).into()).await.expect("a round");
    let known = until(async || {
        let report = one_off.report().target;
        let backends = report.endpoints.first().map(|endpoint| endpoint.backends.clone()).unwrap_or_default();
        backends.iter().any(|backend| backend.is_reachable()).then_some(backends)
    });
    let known: Vec<_> = known.await.iter().map(|backend| backend.probe.is_some()).collect();
    assert_eq!(known, [true, false]);
    assert!(!one_off.report().ended);
    let answer = site.probe("target=smtp.example.com:PORT", "X-Prometheus-Scrape-Timeout-Seconds: 0.1\r\n").await;
    let series = |place: usize| {
        let name = filled("smtp.example.com:PORT", &site.fleet);
        let backend = site.backend(place);
        format!(
            "smtp_tls_probe_success{{target=\"{name}\",server_name=\"smtp.example.com\",backend=\"{backend}\",tls=\"starttls\"}}"
        )
    };
    check(&answer, &[("probe_success", Some(0.0)), (&series(0), Some(1.0)), (&series(1), None)]);
}

/// A one-off probe of a configured target's server does not change that target's report.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_off_probes_do_not_count_for_configured_targets() {
    // The same server and name, but a different target, because its host is an address.
    let relay = "host: IP0, port: PORT, server_name: smtp.example.com";
    let site = Site::new(vec![profiles::good(&pki())], LOOPBACK, relay).await;
    let server = &site.fleet.servers()[0];
    let (before, accepted) = (site.running.handle.fleet(), server.accepted());
    server.replace(profiles::alias_missing(&pki()));
    let answer = site.probe("target=smtp.example.com:PORT", "").await;
    let name = filled("smtp.example.com:PORT", &site.fleet);
    let row = format!("smtp_tls_target_info{{target=\"{name}\",kind=\"host\"}}");
    check(&answer, &[("probe_success", Some(0.0)), (&row, Some(1.0))]);
    let after = site.running.handle.fleet();
    assert!(Arc::ptr_eq(&before.targets[0], &after.targets[0]), "the report is unchanged");
    assert_eq!(server.accepted() - accepted, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_does_not_cancel_a_probe() {
    let site = Site::new(vec![profiles::good(&pki())], LOOPBACK, ELSEWHERE).await;
    let site = Arc::new(site);
    let server = &site.fleet.servers()[0];
    let before = server.accepted();
    server.replace(profiles::slow_greeting(&pki(), std::time::Duration::from_secs(1)));
    let asking = Arc::clone(&site);
    let answer = tokio::spawn(async move { asking.probe("target=smtp.example.com:PORT", "").await });
    server.wait_accepted(before + 1).await;
    site.reload("[]", ELSEWHERE).await;
    check(&answer.await.expect("an answer"), &[("probe_success", Some(1.0))]);
    assert_eq!(site.probe("target=smtp.example.com:PORT", "").await.status, 404);
}
