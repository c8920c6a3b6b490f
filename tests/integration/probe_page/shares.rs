//! How clients share `/probe`, and what becomes of the rounds of clients that are gone. Clients are addresses of loopback.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;
use crate::support::{answer, send};

pub(super) fn client(number: u8) -> IpAddr {
    [127, 0, 0, number].into()
}

fn silent() -> ServerSpec {
    profiles::terminates(&pki(), Step::Connected, Termination::Stall)
}

/// A site whose first server is good; `count` further ones accept and never speak.
async fn with_silent(count: usize) -> Site {
    let specs = std::iter::once(profiles::good(&pki())).chain(std::iter::repeat_with(silent).take(count)).collect();
    Site::new(specs, LOOPBACK, ELSEWHERE).await
}

impl Site {
    /// Sends a request and does not wait for its answer.
    async fn ask(&self, client: IpAddr, query: &str, fields: &str) -> TcpStream {
        send(client, self.address, "GET", &format!("/probe?{}", filled(query, &self.fleet)), fields).await
    }

    /// Asks for the silent servers from `first` on.
    async fn ask_silent(&self, clients: impl Fn(usize) -> IpAddr, places: std::ops::Range<usize>) -> Vec<TcpStream> {
        let mut streams = Vec::new();
        for place in places {
            let fields = if place % 2 == 0 { "" } else { "Connection: keep-alive\r\n" };
            streams.push(self.ask(clients(place), &format!("target={}", self.backend(place + 1)), fields).await);
        }
        streams
    }

    /// Connections to the silent servers.
    fn silent_accepted(&self) -> usize {
        self.fleet.servers()[1..].iter().map(smtp_fleet::Server::accepted).sum()
    }

    /// Another client gets the result of a good server before its scrape times out, which the silent ones outlast.
    async fn check_good(&self, number: u8) {
        let fields = "X-Prometheus-Scrape-Timeout-Seconds: 30\r\n";
        let answer = answer(self.ask(client(number), GOOD, fields).await).await;
        check(&answer, &[("probe_success", Some(1.0))]);
    }
}

const GOOD: &str = "target=IP0:PORT&hostname=smtp.example.com";

/// Clients that hang up after their request, of one address or of many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_hang_up_leave_their_places() {
    let one: fn(usize) -> IpAddr = |_| client(2);
    let many: fn(usize) -> IpAddr = |place| IpAddr::from([127, 0, 1, u8::try_from(place).expect("a small number")]);
    let site = with_silent(64).await;
    for (clients, requests, rounds) in [(one, 32, 24), (one, 64, 24), (many, 64, 32)] {
        let before = site.silent_accepted();
        let streams = site.ask_silent(clients, 0..requests).await;
        until(async || (site.silent_accepted() - before == rounds).then_some(())).await;
        drop(streams);
        site.check_good(3).await;
        // All connections are closed, long before the servers time out, and none of the requests that waited is served.
        for server in &site.fleet.servers()[1..] {
            server.wait_sessions(server.accepted()).await;
            assert!(server.sessions().iter().all(|session| session.commands.is_empty()));
        }
        let in_flight = "smtp_tls_exporter_probes_in_flight";
        until(async || (metrics(site.address).await.value(in_flight) == Some(0.0)).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_client_leaves_a_reserve_to_others() {
    let site = with_silent(64).await;
    let _streams = site.ask_silent(|_| client(2), 0..64).await;
    until(async || (site.silent_accepted() == 24).then_some(())).await;
    // Requests wait until the scrape times out.
    let fields = "X-Prometheus-Scrape-Timeout-Seconds: 0.1\r\n";
    let late = answer(site.ask(client(2), GOOD, fields).await).await;
    check_refused(&late, "a request that waits", 503, &["scrape timeout"]);
    assert_eq!(late.header("retry-after"), Some("1"));
    let mut others = JoinSet::new();
    let site = Arc::new(site);
    for number in 0..12 {
        site.dns.set_addresses(&format!("a{number}.wild.test"), &site.fleet.ips()[..1]);
        let site = Arc::clone(&site);
        others.spawn(async move {
            let fields = "X-Prometheus-Scrape-Timeout-Seconds: 30\r\n";
            let stream = site.ask(client(3), &format!("target=a{number}.wild.test:PORT"), fields).await;
            let name = format!("a{number}.wild.test");
            let reachable =
                filled("smtp_tls_target_backends_reachable{target=\"NAME:PORT\",server_name=\"NAME\"}", &site.fleet);
            check(&answer(stream).await, &[(&reachable.replace("NAME", &name), Some(1.0))]);
        });
    }
    while let Some(done) = others.join_next().await {
        done.expect("an answer");
    }
    // Configured targets, and the metrics, have places of their own.
    let relay = answer(site.ask(client(2), "target=relay", "").await).await;
    assert_eq!((relay.status, request(site.address, "GET", "/metrics", "").await.status), (200, 200));
    assert_eq!(site.silent_accepted(), 24);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_of_a_client_is_limited() {
    let site = with_silent(1).await;
    let mut requests = JoinSet::new();
    // 24 rounds, 128 requests in the queue, and 8 more.
    for number in 0..160 {
        site.dns.set_addresses(&format!("n{number}.wild.test"), &site.fleet.ips()[1..]);
        let stream = site.ask(client(2), &format!("target=n{number}.wild.test:PORT"), "").await;
        requests.spawn(answer(stream));
    }
    for _ in 0..8 {
        let full = requests.join_next().await.expect("a request").expect("an answer");
        check_refused(&full, "a request too many", 503, &["waiting"]);
        assert_eq!(full.header("retry-after"), Some("1"));
    }
    site.check_good(3).await;
    assert!(requests.try_join_next().is_none(), "the others wait");
}

/// Requests for a configured target.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_share_requests_in_progress() {
    let site = Site::new(vec![profiles::good(&pki())], LOOPBACK, ELSEWHERE).await;
    let before = site.accepted();
    site.fleet.servers()[0].replace(silent());
    let quick = "X-Prometheus-Scrape-Timeout-Seconds: 0.1\r\n";
    let mut waiting = Vec::new();
    // All that one client may hold: then, its next request waits.
    let next = until(async || {
        waiting.push(site.ask(client(2), "target=relay", "").await);
        let next = answer(site.ask(client(2), "target=relay", quick).await).await;
        (next.status == 503).then_some(next)
    });
    check_refused(&next.await, "a request that waits", 503, &["scrape timeout"]);
    // A quick request may take the last place for a moment.
    assert!((48..52).contains(&waiting.len()), "{}", waiting.len());
    let other = answer(site.ask(client(3), "target=relay", quick).await).await;
    check(&other, &[("probe_success", Some(0.0))]);
    assert_eq!(request(site.address, "GET", "/metrics", "").await.status, 200, "scrapes are not affected");
    drop(waiting);
    until(async || (answer(site.ask(client(2), "target=relay", quick).await).await.status == 200).then_some(())).await;
    assert_eq!(site.accepted() - before, 1, "one round for all requests, which goes on without them");
}

/// Requests in progress and in the queue at the time of a shutdown, of configured targets and of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_answers_503() {
    let site = with_silent(26).await;
    site.fleet.servers()[0].replace(silent());
    let before = site.accepted();
    let mut streams = site.ask_silent(|_| client(2), 0..26).await;
    streams.push(site.ask(client(3), "target=relay", "").await);
    until(async || (site.accepted() - before == 25).then_some(())).await;
    let Site { running, fleet: _fleet, .. } = site;
    let (ended, answers) = tokio::join!(
        running.until(std::future::ready(())),
        futures_util::future::join_all(streams.into_iter().map(answer))
    );
    ended.expect("no error");
    for answer in answers {
        check_refused(&answer, "a request during the shutdown", 503, &["shutting down"]);
    }
}

/// A server that speaks sees QUIT, even if it does not reply to EHLO.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_given_up_session_ends_with_quit() {
    let server = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = server.local_addr().expect("an address");
    let allow = format!("[\"127.0.0.0/8:{}\"]", address.port());
    let site = Site::new(vec![profiles::good(&pki())], &allow, ELSEWHERE).await;
    for reply in ["", "250-mail.example.com\r\n250 STARTTLS\r\n"] {
        let client = site.ask(client(2), &format!("target={address}"), "").await;
        let (stream, _) = server.accept().await.expect("a connection");
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.get_mut().write_all(b"220 mail.example.com ESMTP\r\n").await.expect("a greeting");
        stream.read_line(&mut line).await.expect("EHLO");
        assert!(line.starts_with("EHLO "), "{line}");
        drop(client);
        stream.get_mut().write_all(reply.as_bytes()).await.expect("a reply");
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.expect("the rest");
        // If the reply arrives before the client is known to be gone, STARTTLS precedes it.
        assert!(rest == "QUIT\r\n" || (!reply.is_empty() && rest == "STARTTLS\r\nQUIT\r\n"), "{rest}");
    }
}

/// Rounds of configured targets go on without clients.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_round_of_a_configured_target_goes_on() {
    let site = Site::new(vec![profiles::good(&pki())], "[]", "host: smtp.example.com, port: PORT").await;
    let server = &site.fleet.servers()[0];
    let (accepted, sessions) = (server.accepted(), server.sessions().len());
    server.replace(profiles::slow_greeting(&pki(), Duration::from_millis(500)));
    let client = site.ask(client(2), "target=relay", "").await;
    server.wait_accepted(accepted + 1).await;
    drop(client);
    server.wait_sessions(sessions + 1).await;
    let session = server.sessions().pop().expect("a session");
    assert!(session.tls && session.quit, "{session:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_goes_on_while_somebody_waits_for_it() {
    let site = Site::new(vec![profiles::good(&pki())], LOOPBACK, ELSEWHERE).await;
    let server = &site.fleet.servers()[0];
    let before = server.accepted();
    server.replace(profiles::slow_greeting(&pki(), Duration::from_millis(500)));
    let first = site.ask(client(2), GOOD.split('&').next().expect("a target"), "").await;
    server.wait_accepted(before + 1).await;
    let target = || filled("IP0:PORT", &site.fleet).parse().expect("a target");
    let mut second = site.running.handle.probe_once(target(), client(3).into()).await.expect("the same round");
    drop(first);
    second.end().await.expect("the end");
    assert_eq!((second.report().target.counters.failures, server.accepted() - before), (0, 1));

    // One that was given up is not joined.
    server.replace(silent());
    let third = site.running.handle.probe_once(target(), client(3).into()).await.expect("a round");
    server.wait_accepted(before + 2).await;
    server.replace(profiles::good(&pki()));
    drop(third);
    let mut fourth = site.running.handle.probe_once(target(), client(3).into()).await.expect("another round");
    fourth.end().await.expect("the end");
    assert_eq!((fourth.report().target.counters.failures, server.accepted() - before), (0, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_switch_requests_off() {
    let relay = "host: smtp.example.com, port: PORT";
    let others = "[\"127.0.0.0/8:PORT\"]";
    let site = Site::new(vec![profiles::good(&pki())], others, relay).await;
    for (keys, configured, other, key) in [
        ("", 200, 200, ""),
        (", enabled: false", 403, 403, "probe.enabled"),
        (", configured: false", 403, 200, "probe.configured"),
        (", enabled: true, configured: true", 200, 200, ""),
    ] {
        site.reload(&format!("{others}{keys}"), relay).await;
        let queries =
            [("target=relay", configured), ("target=smtp.example.com:PORT", configured), ("target=IP0:PORT", other)];
        for (query, status) in queries {
            let answer = site.probe(query, "").await;
            assert_eq!(answer.status, status, "{query} with {keys}: {}", answer.text());
            assert!(status == 200 || answer.text().contains(key), "{query} with {keys}: {}", answer.text());
            let head = request(site.address, "HEAD", &format!("/probe?{}", filled(query, &site.fleet)), "").await;
            assert_eq!(head.status, status, "{query} with {keys}");
        }
    }
    // A configured target that a pattern permits is probed like one that is not configured.
    site.reload(&format!("{LOOPBACK}, configured: false"), relay).await;
    let answer = site.probe("target=smtp.example.com:PORT", "").await;
    check(&answer, &[("probe_success", Some(1.0)), ("probe_addresses_refused", Some(0.0))]);
}
