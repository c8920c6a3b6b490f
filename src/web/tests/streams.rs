//! Slow clients: how much is rendered for them, for how long, and what they see when they are cut off.

use std::sync::Arc;

use axum::body::BodyDataStream;
use futures_util::StreamExt;
use parking_lot::Mutex;

use super::*;
use crate::metrics::fixture::{backend, name, reachable};
use crate::snapshot::TargetReport;
use crate::web::api::Reports;
use crate::web::renderer::CHUNK_BYTES;

const CLIENTS: usize = 35;
/// Chunks of a body in memory: in the writer's buffer, about to be sent, and sent before the client receives the first.
const CHUNKS_OF_BODY: usize = 4;

/// Nothing is ended in favor of others.
const PATIENT: Timeouts = Timeouts { slot: LONG, stall: LONG, turn: LONG, body: LONG };

/// Targets of 32 backends each.
fn fleet_of(targets: usize) -> Fleet {
    let ca = TestCa::new();
    let alias = name("smtp.example.com");
    let assessment = ca.assess(&alias, &["smtp.example.com"], (2027, 1));
    let backends: Vec<_> =
        (0..32).map(|n| reachable(backend(&alias, &format!("192.0.2.{n}")), assessment.clone())).collect();
    let targets = (0..targets).map(|n| Arc::new(target(&format!("relay-{n:03}"), &[], &alias, backends.clone())));
    Fleet { targets: targets.collect(), exporter: ExporterReport::default() }
}

fn site_with(timeouts: Timeouts, fleet: Fleet) -> Router {
    router_with(timeouts, fleet, reloads().0, &Options::default())
}

#[tokio::test]
async fn a_bounded_part_is_rendered_for_slow_clients() {
    let fleet = fleet_of(100);
    let reports = fleet.targets.clone();
    let router = site_with(Timeouts { slot: SHORT, ..PATIENT }, fleet);
    let size = text(get_page(&router, "/api/v1/targets/relay-000").await).await.len();

    let (mut received, mut refused) = (Vec::new(), 0);
    for answer in futures_util::future::join_all((0..CLIENTS).map(|_| get_page(&router, "/api/v1/targets"))).await {
        if answer.status() == StatusCode::OK {
            received.push(answer.into_body().into_data_stream());
        } else {
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(field(&answer, header::RETRY_AFTER), "1");
            refused += 1;
        }
    }
    assert_eq!((received.len(), refused), (CONCURRENT_DOCUMENTS, CLIENTS - CONCURRENT_DOCUMENTS));
    const READ: usize = 3;
    for body in &mut received {
        for _ in 0..READ {
            let chunk = body.next().await.expect("a chunk").expect("no error");
            assert!(chunk.len() <= CHUNK_BYTES, "{}", chunk.len());
        }
    }
    // An answer refers to the targets that it has not rendered yet, and to no report.
    let referred: usize = reports.iter().map(Arc::weak_count).sum();
    let rendered = received.len() * reports.len() - referred;
    let most = received.len() * (READ + CHUNKS_OF_BODY) * CHUNK_BYTES;
    assert!(rendered * size > READ * CHUNK_BYTES && (rendered - received.len()) * size <= most, "{rendered}");

    // One client receives everything, the others disconnect: all slots are free again.
    let mut whole = received.pop().expect("a body");
    while let Some(chunk) = whole.next().await {
        chunk.expect("no error");
    }
    drop(received);
    let router = &router;
    let asking = async {
        let ask_all = || futures_util::future::join_all((0..CONCURRENT_DOCUMENTS).map(|_| get_page(router, "/")));
        while ask_all().await.iter().any(|answer| answer.status() != StatusCode::OK) {}
    };
    timeout(LONG, asking).await.expect("all slots are free");
}

#[tokio::test]
async fn a_client_that_is_too_slow_sees_an_aborted_body() {
    let mut fleet = large(&TestCa::new(), 4000);
    fleet.targets.extend(fleet_of(200).targets);
    for path in ["/metrics", "/api/v1/targets", "/api/v1/targets/large"] {
        let router = site_with(Timeouts { body: SHORT, ..PATIENT }, fleet.clone());
        // The connection does not stall: it would be closed for that much later.
        let server = Server::start(router, Limits { write: LONG, ..Limits::default() }).await;
        let mut slow = server.begin(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        for _ in 0..20 {
            let _ = slow.read(&mut [0; 100]).await;
            tokio::time::sleep(SHORT / 10).await;
        }
        let received = rest(&mut slow).await;
        assert!(!received.ends_with("\r\n0\r\n\r\n"), "{path}: {} bytes", received.len());
        server.finish().await;
    }
}

#[tokio::test]
async fn a_stalled_scrape_frees_its_slot() {
    // Ended by the limit of a write, or by that of a body.
    for (write, body) in [(SHORT, LONG), (LONG, SHORT)] {
        let router = site_with(Timeouts { body, ..PATIENT }, large(&TestCa::new(), 4000));
        let server = Server::start(router, Limits { write, ..Limits::default() }).await;
        let mut stalled = Vec::new();
        for _ in 0..CONCURRENT_SCRAPES {
            stalled.push(server.begin(SCRAPE).await);
        }
        let scraping = async {
            let mut begins = [0; 12];
            while begins != *b"HTTP/1.1 200" {
                server.connect(SCRAPE).await.read_exact(&mut begins).await.expect("the start of an answer");
            }
        };
        timeout(LONG, scraping).await.expect("a free slot");
    }
}

#[tokio::test]
async fn a_panic_aborts_the_body_and_frees_the_slot() {
    let pool = RenderPool::new(1, PATIENT, "requests");
    let (request, _) = Request::new(()).into_parts();
    for _ in 0..2 {
        let write = |out: &mut BodyWriter| -> io::Result<()> {
            out.write_all(b"a part")?;
            panic!("a defect")
        };
        let mut body: BodyDataStream = pool.body(&request, write).await.expect("a slot").into_data_stream();
        let mut last = None;
        while let Some(part) = body.next().await {
            last = Some(part.is_ok());
        }
        assert_eq!(last, Some(false));
    }
}

/// A source whose reports are replaced.
#[derive(Clone)]
struct Changing(Arc<Mutex<Fleet>>);

impl FleetSource for Changing {
    fn fleet(&self) -> Fleet {
        self.0.lock().clone()
    }

    fn is_ready(&self) -> bool {
        true
    }
}

#[test]
fn a_slow_client_keeps_no_replaced_report() {
    let source = Changing(Arc::new(Mutex::new(fleet_of(5))));
    let mut reports = Reports::new(Arc::new(source.clone()));
    let first = reports.next().expect("a report");
    let old: Vec<_> = source.fleet().targets.iter().map(Arc::downgrade).collect();
    drop(first);
    // Each report is replaced, and a reload removes a target.
    let replaced = |report: &Arc<TargetReport>| Arc::new(TargetReport::clone(report));
    {
        let mut fleet = source.0.lock();
        fleet.targets = fleet.targets.iter().map(replaced).collect();
        fleet.targets.remove(1);
    }
    assert!(old.iter().all(|report| report.upgrade().is_none()));
    let second = reports.next().expect("a report");
    let third = source.fleet().targets.remove(2);
    source.0.lock().targets[2] = replaced(&third);
    drop(third);
    let names: Vec<_> = [second].into_iter().chain(reports).map(|report| report.target.name.to_string()).collect();
    assert_eq!(names, ["relay-002", "relay-003", "relay-004"]);
}
