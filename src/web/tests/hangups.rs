//! Clients that hang up while their request is in progress, and what they may send after it.

use std::future::pending;

use axum::routing::any;
use tokio::sync::mpsc;

use super::*;

/// What happens to the handler of a request.
#[derive(Debug, PartialEq)]
enum Event {
    Started,
    Dropped,
}

struct DropGuard(mpsc::UnboundedSender<Event>);

impl Drop for DropGuard {
    fn drop(&mut self) {
        let _ = self.0.send(Event::Dropped);
    }
}

/// A server whose path `/wait` never answers.
async fn waiting_server() -> (Server, mpsc::UnboundedReceiver<Event>) {
    let (sender, events) = mpsc::unbounded_channel();
    let wait = move || async move {
        let _ = sender.send(Event::Started);
        let _guard = DropGuard(sender);
        pending::<()>().await;
    };
    let router = Router::new().route("/wait", any(wait)).route("/quick", any(async || "quick"));
    let limits = Limits { head: LONG, write: LONG, drain: SHORT, ..Limits::default() };
    (Server::start(router, limits).await, events)
}

async fn next(events: &mut mpsc::UnboundedReceiver<Event>, about: &str) -> Event {
    timeout(LONG, events.recv()).await.unwrap_or_else(|_| panic!("no event: {about}")).expect("a server")
}

/// What follows the first line of a request; the first part is sent with it, the second one once its handler runs.
const VARIANTS: [(&str, &str); 14] = [
    ("\r\n", ""),
    ("\r\nG", ""),
    ("\r\n", "G"),
    ("\r\nGET /wait HTTP/1.1\r\n\r\n", "GET /wait HTTP/1.1\r\n\r\n"),
    ("connection: close\r\n\r\n", "G"),
    ("content-length: 10\r\n\r\n", ""),
    ("content-length: 10\r\n\r\nabc", ""),
    ("content-length: 10\r\n\r\nabc", "def"),
    ("content-length: 3\r\n\r\nabc", ""),
    ("content-length: 3\r\n\r\nabcG", "E"),
    ("transfer-encoding: chunked\r\n\r\n", ""),
    ("transfer-encoding: chunked\r\n\r\n3\r\nab", ""),
    ("transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "G"),
    ("content-length: 10\r\nexpect: 100-continue\r\n\r\n", ""),
];

#[tokio::test]
async fn a_client_that_hangs_up_ends_its_request_whatever_it_sent() {
    let (server, mut events) = waiting_server().await;
    for method in ["GET", "POST"] {
        for (first, second) in VARIANTS {
            let about = format!("{method} {first:?} {second:?}");
            let mut stream = server.connect(&format!("{method} /wait HTTP/1.1\r\nhost: x\r\n{first}")).await;
            assert_eq!(next(&mut events, &about).await, Event::Started, "{about}");
            stream.write_all(second.as_bytes()).await.expect("sent");
            assert!(timeout(SHORT / 10, events.recv()).await.is_err(), "{about}: the request goes on");
            drop(stream);
            assert_eq!(next(&mut events, &about).await, Event::Dropped, "{about}");
        }
    }
    server.finish().await;
}

/// The end of what a client sends counts as its end, with or without further bytes.
#[tokio::test]
async fn a_half_closed_connection_ends_its_request() {
    let (server, mut events) = waiting_server().await;
    for after in ["", "G"] {
        let mut stream = server.connect(&format!("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n{after}")).await;
        assert_eq!(next(&mut events, after).await, Event::Started);
        stream.shutdown().await.expect("half closed");
        assert_eq!(next(&mut events, after).await, Event::Dropped);
        assert_eq!(rest(&mut stream).await, "");
    }
    server.finish().await;
}

#[tokio::test]
async fn a_client_may_send_a_limited_number_of_bytes_ahead() {
    let (server, mut events) = waiting_server().await;
    for (length, is_closed) in [(15_000, false), (100_000, true)] {
        let mut stream = server.connect("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert_eq!(next(&mut events, "").await, Event::Started);
        // The server may close the connection before it has received all of it.
        let _ = stream.write_all(&vec![b'x'; length]).await;
        if is_closed {
            assert_eq!(next(&mut events, "too much").await, Event::Dropped);
            continue;
        }
        assert!(timeout(SHORT, events.recv()).await.is_err(), "the request goes on");
        drop(stream);
        assert_eq!(next(&mut events, "a hang-up").await, Event::Dropped);
    }
    server.finish().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_turn() {
    let server = Server::start(site(classic(&TestCa::new()), &Options::default()), Limits::default()).await;
    let last = "GET /-/healthy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    for count in [1, 2, 100] {
        let mut stream = server.connect(&(ASK_AND_STAY.repeat(count) + last)).await;
        let received = rest(&mut stream).await;
        assert_eq!(received.matches("healthy\n").count(), count + 1, "{received}");
    }
    // Sent in pieces, with a response between that takes longer.
    let mut stream = server.connect(&SCRAPE.replace("connection: close\r\n", "")).await;
    for piece in last.as_bytes().chunks(7) {
        stream.write_all(piece).await.expect("sent");
    }
    let received = rest(&mut stream).await;
    assert!(received.contains("\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n") && received.ends_with("healthy\n"), "{received}");
    server.finish().await;
}

#[tokio::test]
async fn refuses_get_and_head_with_a_body() {
    let server = Server::start(site(classic(&TestCa::new()), &lifecycle()), Limits::default()).await;
    for path in ["/probe?target=relay", "/metrics", "/", "/api/v1/targets", "/-/healthy", "/nowhere"] {
        for method in ["GET", "HEAD"] {
            for (first, _) in
                VARIANTS.iter().filter(|(first, _)| first.contains("content-length") || first.contains("chunked"))
            {
                let mut stream = server.connect(&format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{first}")).await;
                let answer = rest(&mut stream).await;
                assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{method} {path} {first:?}: {answer}");
            }
        }
    }
    for sent in [
        "GET /-/healthy HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "GET /-/healthy HTTP/1.0\r\n\r\n",
    ] {
        let answer = rest(&mut server.connect(sent).await).await;
        assert!(answer.ends_with("healthy\n"), "{answer}");
    }
    let reload = "POST /-/reload HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc";
    let answer = rest(&mut server.connect(reload).await).await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "a body of another method is ignored: {answer}");
    server.finish().await;
}

/// 20 requests of a client, and the half-open connections of 33 others, which are more than the server accepts.
#[tokio::test]
async fn requests_in_progress_outlast_half_open_connections_of_others() {
    for (clients, each) in [(33, 16), (255, 2)] {
        let (server, mut events) = waiting_server().await;
        let mut active = Vec::new();
        for _ in 0..20 {
            active.push(server.connect_as(1, "GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await);
            assert_eq!(next(&mut events, "").await, Event::Started);
        }
        let mut held = Vec::new();
        for number in 0..clients {
            for _ in 0..each {
                held.push(server.connect_from(Ipv4Addr::new(127, 0, 2, number), "GET").await);
            }
        }
        let answer = rest(&mut server.connect_as(3, ASK).await).await;
        assert!(answer.ends_with("healthy\n") || answer.contains(" 404 "), "{answer}");
        assert!(events.try_recv().is_err(), "no request ended");
        drop(active);
        for _ in 0..20 {
            assert_eq!(next(&mut events, "").await, Event::Dropped);
        }
        server.finish().await;
    }
}
