//! Hostile clients: what they hold, and whether others are served.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;

use super::*;
use crate::metrics::fixture::name;
use crate::snapshot::ShardReport;
use crate::target::Shard;
use crate::web::connections::ConnectionLimits;

/// Of a client that behaves well, with what an attacker holds.
const PROMPT: Duration = Duration::from_secs(10);

fn small(total: usize, reserve: usize) -> Limits {
    let connections = ConnectionLimits { total, reserve };
    Limits { connections, head: LONG, write: LONG, drain: SHORT, ..Limits::default() }
}

/// Requests everything that monitoring needs.
async fn check_served(server: &Server, number: u8) {
    for (sent, ends) in [(ASK, "healthy\n"), (SCRAPE, "\r\n0\r\n\r\n")] {
        let asking = async { rest(&mut server.connect_as(number, sent).await).await };
        let answer = timeout(PROMPT, asking).await.expect("an answer in time");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(ends), "client {number}: {answer:.300}");
    }
}

/// Whether the server has closed the connection, or else has not sent anything for a moment.
async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(timeout(SHORT, stream.read(&mut [0; 1])).await, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn half_open_connections_keep_nobody_out() {
    for sent in ["", "GET /metr", ASK_AND_STAY] {
        let server = Server::start(site(classic(&TestCa::new()), &Options::default()), small(16, 4)).await;
        let mut held = Vec::new();
        // One client, then many.
        for number in (0..40).map(|_| 1).chain(3..40) {
            held.push(server.connect_as(number, sent).await);
        }
        for number in [1, 2, 3, 200] {
            check_served(&server, number).await;
        }
        let open = join_all(held.iter_mut().map(async |stream| {
            if sent == ASK_AND_STAY {
                let _ = stream.read(&mut [0; 1024]).await;
            }
            !is_closed(stream).await
        }));
        let open = open.await.into_iter().filter(|open| *open).count();
        assert!((1..=16).contains(&open), "{open} connections after {sent:?}");
        server.finish().await;
    }
}

#[tokio::test]
async fn a_flood_of_half_open_connections_keeps_nobody_out() {
    // The test has both ends of each connection.
    let files = rlimit::increase_nofile_limit(u64::MAX).expect("a limit");
    let count = usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(1_000).min(2_500);
    assert!(count >= 20, "open files are limited to {files}");
    let limits = Limits::default();
    let server = Server::start(site(classic(&TestCa::new()), &Options::default()), limits).await;
    let mut held = Vec::new();
    for number in 0..count {
        // Half of them from one address, half from many.
        let [high, low] =
            if number % 2 == 0 { [1, 1] } else { u16::try_from(number).unwrap_or_default().to_be_bytes() };
        let sent = ["", "GET /metrics HTTP/1.1\r\nhost: "][number / 2 % 2];
        held.push(server.connect_from(Ipv4Addr::new(127, 1, high, low), sent).await);
    }
    check_served(&server, 1).await;
    let is_open = |stream: &&TcpStream| matches!(stream.try_read(&mut [0; 1]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
    let most = limits.connections.total;
    let open = async {
        while held.iter().filter(is_open).count() > most {
            tokio::task::yield_now().await;
        }
    };
    timeout(PROMPT, open).await.expect("the others are closed");
    server.finish().await;
}

#[tokio::test]
async fn an_active_client_keeps_its_connections_while_others_open_many() {
    let server = Server::start(site(large(&TestCa::new(), 4000), &Options::default()), small(16, 4)).await;
    let mut busy = server.begin(SCRAPE).await;
    let mut held = Vec::new();
    for number in 2..60 {
        held.push(server.connect_as(number, "GET").await);
        held.push(server.connect_as(2, "").await);
    }
    let received = rest(&mut busy).await;
    assert!(received.ends_with("\r\n0\r\n\r\n"), "{} bytes", received.len());
    server.finish().await;
}

/// A router with a large exposition.
fn slow_site(timeouts: Timeouts) -> Router {
    router_with(timeouts, large(&TestCa::new(), 4000), reloads().0, &Options::default())
}

/// Nothing ends but by stalling.
const STALLING: Timeouts = Timeouts { slot: LONG, stall: SHORT, turn: LONG, body: LONG };

#[tokio::test]
async fn slow_readers_are_ended_only_when_others_wait() {
    for clients in [[2, 3, 4, 5], [1, 1, 1, 1]] {
        let server = Server::start(slow_site(STALLING), small(64, 4)).await;
        let mut slow = Vec::new();
        for number in clients {
            let mut stream = server.connect_as(number, SCRAPE).await;
            stream.read_exact(&mut [0; 12]).await.expect("the start of an answer");
            slow.push(stream);
        }
        tokio::time::sleep(2 * SHORT).await;
        // Health needs no slot.
        let answer = rest(&mut server.connect(ASK).await).await;
        assert!(answer.ends_with("healthy\n"), "{answer}");
        let answer = timeout(PROMPT, async { rest(&mut server.connect_as(1, SCRAPE).await).await }).await;
        assert!(answer.expect("an answer in time").ends_with("\r\n0\r\n\r\n"), "{clients:?}");
        // One was ended in favor of the scrape; the others bother nobody.
        let whole = join_all(slow.iter_mut().map(rest)).await.iter().filter(|it| it.ends_with("\r\n0\r\n\r\n")).count();
        assert_eq!(whole, clients.len() - 1, "{clients:?}");
        server.finish().await;
    }
}

#[tokio::test]
async fn a_client_with_more_responses_than_its_share_loses_one() {
    let server = Server::start(slow_site(STALLING), small(64, 4)).await;
    let hurry = CancellationToken::new();
    let mut greedy = Vec::new();
    for _ in 0..CONCURRENT_SCRAPES {
        let mut stream = server.connect_as(2, SCRAPE).await;
        stream.read_exact(&mut [0; 12]).await.expect("the start of an answer");
        greedy.push(stream);
    }
    let reading = tokio::spawn(join_all(greedy.into_iter().map({
        let hurry = hurry.clone();
        move |mut stream| {
            let hurry = hurry.clone();
            async move {
                let mut received = Vec::new();
                let mut piece = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = stream.read(&mut piece).await {
                    received.extend_from_slice(&piece[..length]);
                    hurry.run_until_cancelled(tokio::time::sleep(SHORT / 2)).await;
                }
                received.ends_with(b"\r\n0\r\n\r\n")
            }
        }
    })));
    check_served(&server, 3).await;
    hurry.cancel();
    let whole = reading.await.expect("no panic").into_iter().filter(|whole| *whole).count();
    assert_eq!(whole, CONCURRENT_SCRAPES - 1);
    server.finish().await;
}

/// A source whose rounds end immediately.
struct Immediate(Fleet);

impl FleetSource for Immediate {
    fn fleet(&self) -> Fleet {
        self.0.clone()
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn round(&self, target: TargetName, _: Duration) -> BoxFuture<'static, Option<Arc<TargetReport>>> {
        at_once(self.find(target.as_str())).boxed()
    }
}

/// Responses to `/probe` that are not read keep no place of a request in progress.
#[tokio::test]
async fn slow_readers_of_probe_responses_keep_nobody_out() {
    let fleet = Immediate(large(&TestCa::new(), 4000));
    let target = fleet.0.targets.first().expect("a target").target.name.to_string();
    let router = router_with(STALLING, fleet, reloads().0, &Options::default());
    let server = Server::start(router, small(200, 4)).await;
    let ask = format!("GET /probe?target={target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut slow = Vec::new();
    for number in [2; 48].into_iter().chain([3; 16]) {
        let mut stream = server.connect_as(number, &ask).await;
        stream.read_exact(&mut [0; 12]).await.expect("the start of an answer");
        slow.push(stream);
    }
    for number in [2, 3, 4] {
        let answer = timeout(PROMPT, async { rest(&mut server.connect_as(number, &ask).await).await }).await;
        let answer = answer.expect("an answer in time");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n0\r\n\r\n"), "{answer:.300}");
    }
    server.finish().await;
}

/// A source of many targets, none of which is requested. It is shard 0 of 2; shard 1 has the target `relay`.
#[derive(Clone, Default)]
struct Unlisted(Arc<AtomicUsize>);

impl FleetSource for Unlisted {
    fn fleet(&self) -> Fleet {
        self.0.fetch_add(1, Ordering::Relaxed);
        nothing()
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn exporter(&self) -> ExporterReport {
        let relay = target("relay", &[], &name("smtp.example.com"), vec![]).target;
        let shard = ShardReport::new(Shard::new(0, 2).expect("a shard"), vec![relay]);
        ExporterReport { shard, ..ExporterReport::default() }
    }

    fn find(&self, _: &str) -> Option<Arc<TargetReport>> {
        None
    }

    fn permits(&self, _: &TargetKind) -> Result<(), NotAllowed> {
        Err(NotAllowed::Target)
    }
}

#[tokio::test]
async fn a_request_for_an_unknown_target_does_not_look_at_all_targets() {
    let source = Unlisted::default();
    let router = router(source.clone(), reloads().0, &Options::default());
    for (path, status) in [
        ("/probe?target=unknown.test", 403),
        ("/probe?target=unknown.test:25&hostname=a.test", 403),
        ("/probe?target=mx:unknown.test", 403),
        ("/probe?target=the+unknown", 400),
        ("/targets/unknown", 404),
        ("/api/v1/targets/unknown", 404),
        ("/api/v1/targets/unknown/backends/192.0.2.1:25/chain.pem", 404),
        ("/probe?target=relay", 421),
        ("/probe?target=SMTP.example.com.:587", 421),
        ("/probe?target=smtp.example.com:587&hostname=smtp.example.com", 421),
        ("/probe?target=smtp.example.com:587&hostname=a.test", 403),
        ("/probe?target=relay&hostname=a.test", 403),
        ("/targets/relay", 404),
        ("/api/v1/targets/relay", 404),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = ask(&router, Request::builder().method(method).uri(path)).await;
            assert_eq!(answer.status().as_u16(), status, "{method} {path}");
            drop(bytes(answer).await);
        }
    }
    assert_eq!(source.0.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn answers_503_if_no_slot_becomes_free() {
    let timeouts = Timeouts { slot: SHORT, stall: LONG, turn: LONG, body: LONG };
    let router = slow_site(timeouts);
    let mut answers = Vec::new();
    for _ in 0..CONCURRENT_SCRAPES {
        answers.push(get_page(&router, "/metrics").await);
    }
    let fifth = get_page(&router, "/metrics").await;
    assert_eq!(fifth.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(field(&fifth, header::RETRY_AFTER), "1");
    assert_eq!(field(&fifth, header::CONTENT_TYPE), "text/plain; charset=utf-8");
    let head = ask(&router, Request::head("/metrics")).await;
    assert_eq!(head.status(), StatusCode::OK);
    // One client reads to the end, another one disconnects.
    let router = slow_site(Timeouts { slot: LONG, ..timeouts });
    let mut answers = Vec::new();
    for _ in 0..CONCURRENT_SCRAPES {
        answers.push(get_page(&router, "/metrics").await);
    }
    for _ in 0..2 {
        let waiting = tokio::spawn({
            let router = router.clone();
            async move { get_page(&router, "/metrics").await.status() }
        });
        let answer = answers.pop().expect("an answer");
        if answers.len() % 2 == 0 {
            drop(answer);
        } else {
            drop(bytes(answer).await);
        }
        assert_eq!(timeout(LONG, waiting).await.expect("in time").expect("no panic"), StatusCode::OK);
    }
}
