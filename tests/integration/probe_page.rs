//! `/probe` through the real router and monitor: who is probed, who is refused, what is answered and when.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use flate2::read::GzDecoder;
use smtp_fleet::{Dns, Fleet, ServerSpec, Step, Termination, profiles};
use smtp_tls_exporter::service::{Running, Service};
use smtp_tls_exporter::target::TargetName;
use smtp_tls_exporter::web;
use tokio::task::JoinSet;

use crate::service_fixture::pki;
use crate::support::{Answer, Environment, request, until};

/// A service over a fleet, with a `relay` of the config's and some rules for others.
struct Site {
    fleet: Fleet,
    dns: Dns,
    running: Running,
    address: SocketAddr,
    env: Environment,
}

impl Site {
    /// `allow` is the list of `probe.allow`, `relay` the keys of the target. `PORT` is the fleet's, `IP0` its first
    /// address, and so on.
    async fn new(specs: Vec<ServerSpec>, allow: &str, relay: &str) -> Self {
        let env = Environment::new(&pki());
        let fleet = Fleet::start(specs).await.expect("a fleet");
        let dns = Dns::start().await.expect("a responder");
        dns.set_addresses(profiles::ALIAS, &fleet.ips());
        let config = env.config(&Self::text(&fleet, &dns, allow, relay));
        let listeners = web::bind("127.0.0.1:0").await.expect("a listener");
        let address = listeners[0].local_addr().expect("an address");
        let service = Service { config, config_file: None, listeners, web: web::Options::default() };
        let running = service.start().expect("a service");
        running.handle.round(&TargetName::new("relay").expect("a name")).await.expect("a round");
        Self { fleet, dns, running, address, env }
    }

    fn text(fleet: &Fleet, dns: &Dns, allow: &str, relay: &str) -> String {
        let rest = format!("resolvers: {{test: {{nameservers: [\"{}\"]}}}}\nprobe: {{allow: {allow}}}", dns.addr());
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
/// Somewhere that is no part of the tests, at an address that is known.
const ELSEWHERE: &str = "host: mail.example.com, port: PORT, addresses: [IP0]";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_of_the_config_is_probed_when_somebody_asks() {
    let specs = vec![profiles::good(&pki()), profiles::alias_missing(&pki())];
    let site = Site::new(specs, "[]", "host: smtp.example.com, port: PORT, labels: {team: mail}").await;
    let before = site.accepted();
    let endpoint = "{target=\"relay\",server_name=\"smtp.example.com\",team=\"mail\"}";
    let [matched, mismatched] =
        ["hostname_matched", "hostname_mismatched"].map(|count| format!("smtp_tls_target_backends_{count}{endpoint}"));
    // By its name, and as what it is.
    for query in ["target=relay", "target=SMTP.example.com.:PORT", "module=smtp_starttls&debug=true&target=relay"] {
        let answer = site.probe(query, "").await;
        check(&answer, &[("probe_success", Some(0.0)), (&matched, Some(1.0)), (&mismatched, Some(1.0))]);
        let info = format!(
            "smtp_tls_cert_hostname_mismatch_info{{target=\"relay\",server_name=\"smtp.example.com\",backend=\"{}\"",
            site.backend(1)
        );
        assert!(answer.text().contains(&info), "{}", answer.text());
        for absent in ["probe_addresses_refused", "smtp_tls_exporter_", "process_"] {
            assert!(!answer.text().contains(absent), "{absent} in\n{}", answer.text());
        }
    }
    assert_eq!(site.accepted() - before, 6, "a round each");
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
async fn formats_are_those_of_scrapes() {
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
    assert_eq!(site.accepted() - before, 4, "neither probes");
}

/// Who may be probed that no config names. The network around is opened, so that loopback can be reached.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patterns_allow_others() {
    let site = Site::new(vec![profiles::good(&pki())], LOOPBACK, ELSEWHERE).await;
    let port = site.fleet.port();
    site.dns.set_addresses("a.b.wild.test", &site.fleet.ips());
    site.dns.set_srv("_submission._tcp.srv.test", &[(0, 0, port, profiles::ALIAS)]);
    for (query, name, success) in [
        ("target=smtp.example.com:PORT", "smtp.example.com:PORT", 1.0),
        ("target=SMTP.EXAMPLE.COM.:PORT&module=x", "smtp.example.com:PORT", 1.0),
        ("target=IP0:PORT&hostname=Mail.Example.com", "IP0:PORT", 1.0),
        ("target=submission:srv.test", "submission:srv.test", 1.0),
        // Its certificate carries neither.
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

    // None of them stands anywhere else.
    let metrics = request(site.address, "GET", "/metrics", "").await;
    assert!(!metrics.text().contains("wild.test") && !metrics.text().contains("srv.test"), "{}", metrics.text());
    check(
        &metrics,
        &[("smtp_tls_exporter_targets", Some(1.0)), ("smtp_tls_probes_total{target=\"relay\"}", Some(1.0))],
    );
    let page = request(site.address, "GET", "/", "").await;
    assert!(!page.text().contains("wild.test"), "{}", page.text());
}

#[track_caller]
fn check_refused(answer: &Answer, query: &str, status: u16, words: &str) {
    assert_eq!(answer.status, status, "{query}: {}", answer.text());
    assert!(answer.text().contains(words), "{query}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(!answer.text().contains("127."), "{query} tells no addresses: {}", answer.text());
}

/// Whatever names resolve to, and whoever is asked for: nothing is connected to that is not open to all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_led_inside() {
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
    // Nobody may scan ports by records of his own: were it not for its port, this one would be open.
    dns.set_srv("_submission._tcp.scan.test", &[(0, 0, 22, "inner.test")]);
    dns.set_addresses("inner.test", &[address("10.0.0.1")]);
    for (target, words) in [
        ("smtp.example.com:PORT", "leads to 1 addresses or ports that are not public or not allowed"),
        ("smtp.example.com", "leads to 1 addresses"),
        ("mixed.test:PORT", "leads to 4 addresses"),
        ("mx:mx.test", "leads to 1 addresses"),
        ("submission:srv.test", "leads to 5 addresses"),
        ("submission:scan.test", "leads to 1 addresses"),
        ("[::1]:PORT", "no target of the config"),
        ("[fd00::1]:25", "no target of the config"),
        ("[64:ff9b::a00:1]:25", "no target of the config"),
        ("169.254.169.254:25", "no target of the config"),
        ("smtp.example.com:22", "port 22 is not allowed"),
        ("10.0.0.1:22", "port 22 is not allowed"),
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
    assert_eq!(site.accepted(), before, "nobody was connected to");
}

/// What may not be reached is left out and counted; what may is probed, and the whole is no success.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_is_refused_is_told() {
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
async fn requests_that_make_no_sense_are_told_so() {
    let site = Site::new(vec![profiles::good(&pki())], "[smtp.example.com]", ELSEWHERE).await;
    let before = site.accepted();
    let long = format!("target={}", "a".repeat(600));
    for (query, status, words) in [
        ("", 400, "target: is missing"),
        ("target=", 400, "target: is missing"),
        ("target=relay&target=relay", 400, "target: is given twice"),
        (&long, 400, "target: at most 512 bytes"),
        ("target=relay&hostname=a..b", 400, "hostname: a label of the name is empty"),
        ("target=mx:a.test&hostname=b.test", 400, "hostname: goes with a host"),
        ("target=smtp.example.com:0", 400, "the port is no number from 1 to 65535"),
        ("target=https://smtp.example.com", 400, "no target of the config"),
        ("target=2130706433", 400, "no target of the config"),
        ("target=0177.0.0.1", 400, "no target of the config"),
        ("target=%1b%5b31mx%0d%0ay", 400, "\u{fffd}[31mx\u{fffd}\u{fffd}y is no target"),
        ("target=other.example.com", 403, "probe.allow has only: smtp.example.com"),
        ("target=smtp.example.com:2525", 403, "port 2525 is not allowed"),
        // The config's own target has another name in TLS.
        ("target=relay&hostname=b.test", 403, "relay is no target of the config"),
    ] {
        let answer = site.probe(query, "").await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
        assert!(answer.text().contains(words), "{query}: {}", answer.text());
    }
    site.reload("[]", ELSEWHERE).await;
    let answer = site.probe("target=smtp.example.com", "").await;
    check_refused(&answer, "closed", 404, "smtp.example.com is no target of the config, and probe.allow is empty");
    assert_eq!(site.accepted(), before);
}

/// A scrape has an end; the round that it began goes on, and the next one finds it there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_comes_before_the_scrape_times_out() {
    for (allow, relay, target) in
        [(LOOPBACK, ELSEWHERE, "smtp.example.com:PORT"), ("[]", "host: smtp.example.com, port: PORT", "relay")]
    {
        let site = Site::new(vec![profiles::good(&pki())], allow, relay).await;
        let server = &site.fleet.servers()[0];
        server.replace(profiles::slow_greeting(&pki(), std::time::Duration::from_secs(3)));
        let before = server.accepted();
        let query = format!("target={target}");
        let early = site.probe(&query, "X-Prometheus-Scrape-Timeout-Seconds: 0.5\r\n").await;
        check(&early, &[("probe_success", Some(0.0))]);
        assert!(early.value("probe_duration_seconds").is_some_and(|took| took < 2.5), "{}", early.text());
        let whole = site.probe(&query, "X-Prometheus-Scrape-Timeout-Seconds: nonsense\r\n").await;
        check(&whole, &[("probe_success", Some(1.0))]);
        assert_eq!(server.accepted() - before, 1, "{target}: the round was joined");
    }
}

/// What is known is shown while the rest is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_backend_hides_no_other() {
    let silent = profiles::terminates(&pki(), Step::Connected, Termination::Stall);
    let site = Site::new(vec![profiles::good(&pki()), profiles::good(&pki())], LOOPBACK, ELSEWHERE).await;
    site.fleet.servers()[1].replace(silent);
    let target = filled("smtp.example.com:PORT", &site.fleet).parse().expect("a target");
    let one_off = site.running.handle.probe_once(target).await.expect("a round");
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
        format!("smtp_tls_probe_success{{target=\"{name}\",server_name=\"smtp.example.com\",backend=\"{backend}\"}}")
    };
    check(&answer, &[("probe_success", Some(0.0)), (&series(0), Some(1.0)), (&series(1), None)]);
}

/// An answer that is waited for while others wait: so many, and no more. Who hangs up makes room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_wait_at_once_and_no_more() {
    let site = Site::new(vec![profiles::good(&pki())], "[]", ELSEWHERE).await;
    let site = Arc::new(site);
    site.fleet.servers()[0].replace(profiles::terminates(&pki(), Step::Connected, Termination::Stall));
    let mut waiting = JoinSet::new();
    // Whoever finds no place tries again: in the end they have all places, and the one that is quick has none.
    for _ in 0..70 {
        let site = Arc::clone(&site);
        waiting.spawn(async move {
            while site.probe("target=relay", "").await.status == 503 {
                tokio::task::yield_now().await;
            }
        });
    }
    let quick = async || site.probe("target=relay", "X-Prometheus-Scrape-Timeout-Seconds: 0.1\r\n").await;
    until(async || (quick().await.status == 503).then_some(())).await;
    let full = quick().await;
    check_refused(&full, "full", 503, "too many probes at once");
    assert_eq!(full.header("retry-after"), Some("1"));
    assert_eq!(request(site.address, "GET", "/metrics", "").await.status, 200, "scrapes are not kept waiting");
    waiting.shutdown().await;
    until(async || (quick().await.status == 200).then_some(())).await;
    assert_eq!(site.fleet.servers()[0].accepted(), 2, "one round for all of them");
}

/// Somebody else's probe of a server that the config names, too: it is not that target's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_ask_for_is_not_counted_for_targets() {
    // The same server under the same name, and yet another target: its address is given.
    let site =
        Site::new(vec![profiles::good(&pki())], LOOPBACK, "host: smtp.example.com, port: PORT, addresses: [IP0]").await;
    let server = &site.fleet.servers()[0];
    let before = site.running.handle.fleet();
    server.replace(profiles::alias_missing(&pki()));
    let answer = site.probe("target=smtp.example.com:PORT", "").await;
    let name = filled("smtp.example.com:PORT", &site.fleet);
    let row = format!("smtp_tls_target_info{{target=\"{name}\",kind=\"host\"}}");
    check(&answer, &[("probe_success", Some(0.0)), (&row, Some(1.0))]);
    let after = site.running.handle.fleet();
    assert!(Arc::ptr_eq(&before.targets[0], &after.targets[0]), "its report is the one before");
    assert_eq!(server.accepted(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_does_not_end_what_was_begun() {
    let site = Site::new(vec![profiles::good(&pki())], LOOPBACK, ELSEWHERE).await;
    let site = Arc::new(site);
    let server = &site.fleet.servers()[0];
    server.replace(profiles::slow_greeting(&pki(), std::time::Duration::from_secs(1)));
    let asking = Arc::clone(&site);
    let answer = tokio::spawn(async move { asking.probe("target=smtp.example.com:PORT", "").await });
    server.wait_accepted(2).await;
    site.reload("[]", ELSEWHERE).await;
    check(&answer.await.expect("an answer"), &[("probe_success", Some(1.0))]);
    assert_eq!(site.probe("target=smtp.example.com:PORT", "").await.status, 404);
}
