//! The words of the pages and of all errors, in one file to be looked at as a whole.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::future::pending;

use axum::response::IntoResponse;
use expect_test::expect_file;

use super::*;
use crate::metrics::fixture::{name, now};
use crate::snapshot::TargetReport;
use crate::target::{NotAllowed, TargetKind};
use crate::web::fixture::{eventful, overview_page, plain, target_page, written};
use crate::web::probe::{ProbeError, ProbeRequest, Refusals};

/// A fleet whose one-off probes end in this error; in none at all if there is no error.
struct Refusing(Fleet, Option<OneOffError>, ProbeAccess);

impl FleetSource for Refusing {
    fn fleet(&self) -> Fleet {
        self.0.clone()
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn probe_access(&self) -> ProbeAccess {
        self.2
    }

    fn permits(&self, _: &TargetKind) -> Result<(), NotAllowed> {
        match self.1 {
            Some(OneOffError::NotAllowed(reason)) => Err(reason),
            _ => Ok(()),
        }
    }

    fn probe_once(&self, _: TargetKind, _: ClientAddress) -> BoxFuture<'static, Result<OneOff, OneOffError>> {
        match self.1.clone() {
            Some(error) => at_once(Err(error)).boxed(),
            None => pending().boxed(),
        }
    }
}

#[tokio::test]
async fn texts() {
    let mut text = String::new();
    pages(&mut text);
    api_errors(&mut text).await;
    probe_errors(&mut text).await;
    server_errors(&mut text).await;
    expect_file!["../../../tests/golden/page.txt"].assert_eq(&text);
}

fn add(text: &mut String, title: &str, body: &str) {
    writeln!(text, "===== {title}\n{}\n", body.trim_end()).expect("strings take everything");
}

async fn add_answer(text: &mut String, router: &Router, request: request::Builder, title: &str) {
    let answer = ask(router, request).await;
    let title = format!("{title} -> {}", answer.status().as_u16());
    add(text, &title, &super::text(answer).await);
}

async fn add_get(text: &mut String, router: &Router, path: &str) {
    add_answer(text, router, Request::get(path), &format!("GET {path}")).await;
}

fn main_part(page: &str) -> String {
    plain(
        page.split_once("<main id=\"main\" tabindex=\"-1\">")
            .map(|(_, rest)| rest.split("</main>").next().unwrap_or_default())
            .expect("a main part"),
    )
}

fn pages(text: &mut String) {
    let ca = TestCa::new();
    let fleet = eventful(&ca);
    let overview = |fleet: &Fleet, query: &str| main_part(&overview_page(fleet, query));
    add(text, "the overview", &plain(&overview_page(&fleet, "")));
    for target in ["relay", "unknown", "fresh"] {
        add(text, &format!("the page of the target {target}"), &main_part(&target_page(&fleet, target)));
    }
    let not_found = written(|pages, out| pages.not_found("unknown", &fleet.exporter, now(), out));
    add(text, "the page of an unknown target", &plain(&not_found));
    add(text, "the overview, filtered: nxdomain, state critical", &overview(&fleet, "q=nxdomain&state=critical"));
    add(text, "the overview, filtered: state ok", &overview(&fleet, "state=ok"));
    let empty = Fleet { targets: vec![], ..fleet.clone() };
    add(text, "the overview without targets", &overview(&empty, ""));
    let mut failing = empty;
    failing.exporter.reload_successful = false;
    failing.exporter.schedule_lag = Duration::from_secs(75);
    add(text, "the overview of an exporter with problems", &overview(&failing, ""));

    // Many backends, one above the limits of a page, and many targets.
    let alias = name("smtp.example.com");
    let assessment = ca.assess(&alias, &["smtp.example.com", "mail.example.com"], (2027, 1));
    let backends = (0..70).map(|n| {
        let backend = crate::metrics::fixture::backend(&alias, &format!("198.51.100.{n}"));
        crate::metrics::fixture::reachable(backend, assessment.clone())
    });
    let many = target("many", &[], &alias, backends.collect());
    let many = Arc::new(TargetReport { last_round: Some(now()), ..many });
    let targets = Fleet { targets: vec![many; 600], ..fleet };
    let page = overview(&targets, "page=2");
    let of_interest = |line: &&str| line.contains("backends") || line.contains("Page ") || line.contains("[aria-label");
    let lines: Vec<&str> = page.lines().filter(of_interest).collect();
    let (first, last) = (lines.iter().take(6), lines.iter().rev().take(6).rev());
    add(
        text,
        "the overview of 600 targets, page 2, in part",
        &first.chain(last).copied().collect::<Vec<_>>().join("\n"),
    );
    let page = plain(&target_page(&targets, "many"));
    let lines = page.lines().filter(|line| line.contains("more") || line.contains("same"));
    let lines: BTreeSet<&str> = lines.collect();
    add(text, "the page of a target with 70 backends, in part", &lines.into_iter().collect::<Vec<_>>().join("\n"));
}

async fn api_errors(text: &mut String) {
    let ca = TestCa::new();
    let mut fleet = classic(&ca);
    let relay = fleet.targets.first().expect("a target");
    // The same address and port for another server name.
    let twin = target(
        "twin",
        &[],
        &name("mail.example.com"),
        vec![crate::metrics::fixture::backend(&name("mail.example.com"), "192.0.2.10")],
    );
    let endpoints = relay.endpoints.iter().chain(&twin.endpoints).cloned().collect();
    fleet.targets.push(Arc::new(TargetReport { endpoints, ..twin }));
    fleet.targets.push(Arc::new(crate::metrics::fixture::both_modes(&ca, "modes", "192.0.2.10")));
    let router = site(fleet, &Options::default());
    for path in [
        "/api/v1/targets/nobody",
        "/api/v1/targets/nobody/backends/192.0.2.10:587/chain.pem",
        "/api/v1/targets/relay/backends/192.0.2.99:587/chain.pem",
        "/api/v1/targets/relay/backends/192.0.2.10:587/chain.pem?server_name=mail.example.com",
        "/api/v1/targets/relay/backends/192.0.2.13:587/chain.pem",
        "/api/v1/targets/twin/backends/192.0.2.10:587/chain.pem",
        "/api/v1/targets/modes/backends/192.0.2.10:587/chain.pem",
        "/api/v1/targets/modes/backends/192.0.2.10:587/chain.pem?tls=none",
        "/api/v1/nothing",
        "/-/reload",
    ] {
        add_get(text, &router, path).await;
    }
    let long = format!("/?q={}", "x".repeat(5_000));
    add_answer(text, &router, Request::get(long), "GET /?q=<5,000 characters>").await;
}

async fn probe_errors(text: &mut String) {
    let ca = TestCa::new();
    let ended = site(classic(&ca), &Options::default());
    let long = format!("/probe?target={}", "a".repeat(600));
    for path in [
        "/probe",
        "/probe?target=a.test&target=a.test",
        "/probe?target=a.test&hostname=b&hostname=c",
        "/probe?target=a.test&hostname=a..b",
        "/probe?target=mx:a.test&hostname=b.test",
        "/probe?target=https://smtp.example.com",
        "/probe?target=mx1.example.com:0",
        // This source probes nothing.
        "/probe?target=mx1.example.com",
        "/probe?target=relay",
    ] {
        add_get(text, &ended, path).await;
    }
    add_answer(text, &ended, Request::get(long), "GET /probe?target=<600 characters>").await;
    let refusing = |error, access| router(Refusing(classic(&ca), error, access), reloads().0, &Options::default());
    for (error, path) in [
        (OneOffError::NotAllowed(NotAllowed::Nothing), "/probe?target=smtp.example.net"),
        (OneOffError::NotAllowed(NotAllowed::Target), "/probe?target=smtp.example.net"),
        (OneOffError::NotAllowed(NotAllowed::Port(2525)), "/probe?target=mx1.example.com:2525"),
        (OneOffError::TooMany, "/probe?target=mx1.example.com"),
    ] {
        add_get(text, &refusing(Some(error), ProbeAccess::default()), path).await;
    }
    for (access, title) in [
        (ProbeAccess { enabled: false, configured: true }, "GET /probe?target=relay, disabled"),
        (ProbeAccess { enabled: true, configured: false }, "GET /probe?target=relay, not for configured targets"),
    ] {
        let router = refusing(Some(OneOffError::NotAllowed(NotAllowed::Target)), access);
        add_answer(text, &router, Request::get("/probe?target=relay"), title).await;
    }
    let request = ProbeRequest::parse("target=inner.example.com").expect("a request");
    let none = Refusals::default();
    for (refused, refusals) in [
        (1, Refusals { has_addresses: true, ..none }),
        (3, Refusals { has_ports: true, ..none }),
        (1, Refusals { has_unroutable: true, ..none }),
        (3, Refusals { has_addresses: true, has_ports: true, has_unroutable: true }),
    ] {
        let answer = ProbeError::all_refused(&request, refused, refusals).into_response();
        let title = format!("GET /probe?target=inner.example.com -> {}", answer.status().as_u16());
        add(text, &title, &super::text(answer).await);
    }
    let request = Request::get("/probe?target=mx1.example.com").header("x-prometheus-scrape-timeout-seconds", "0.01");
    let title = "GET /probe?target=mx1.example.com, waiting until the scrape times out";
    add_answer(text, &refusing(None, ProbeAccess::default()), request, title).await;
}

async fn server_errors(text: &mut String) {
    let empty = site(nothing(), &Options::default());
    let busy = Timeouts { slot: Duration::ZERO, stall: LONG, turn: LONG, body: LONG };
    let full = router_with(busy, large(&TestCa::new(), 200), reloads().0, &Options::default());
    add_get(text, &empty, "/-/healthy").await;
    add_get(text, &empty, "/-/ready").await;
    add_get(text, &full, "/-/ready").await;
    let mut scrapes = Vec::new();
    for _ in 0..4 {
        scrapes.push(get_page(&full, "/metrics").await);
    }
    add_answer(text, &full, Request::get("/metrics"), "GET /metrics, 4 of them being answered").await;
    add_answer(text, &full, Request::post("/metrics"), "POST /metrics").await;
    let reloading = site(nothing(), &lifecycle());
    add_answer(text, &reloading, Request::post("/-/reload"), "POST /-/reload while shutting down").await;
    add_answer(text, &empty, Request::post("/-/reload"), "POST /-/reload without --web.enable-lifecycle").await;
    let (reloader, mut requests) = reloads();
    let router = router(nothing(), reloader, &lifecycle());
    let monitor = tokio::spawn(async move {
        for answer in [Ok(()), Err("config.yaml: targets[0].port: invalid value (line 3, column 5)".to_owned())] {
            requests.received().await.expect("a request");
            requests.start();
            requests.finish(answer);
        }
    });
    for _ in 0..2 {
        add_answer(text, &router, Request::post("/-/reload"), "POST /-/reload").await;
    }
    monitor.await.expect("the monitor's stand-in");
    for path in ["/probe", "/-/x", "/api/x", "/targets/x", "/x?y"] {
        let error = Options::new(path.to_owned(), None, None).err().unwrap_or_default();
        add(text, &format!("--web.telemetry-path={path}"), &error);
    }
    let foreign = |builder: request::Builder| builder.header("origin", "https://other.example");
    add_answer(text, &empty, foreign(Request::post("/-/reload")), "POST /-/reload from another origin").await;
    let options = Options { allowed_hosts: vec!["exporter.example".parse().expect("a host")], ..Options::default() };
    let request = Request::get("/metrics").header("host", "other.example");
    add_answer(text, &site(nothing(), &options), request, "GET /metrics from another host").await;
    let request = Request::get("/metrics").header("host", "other.example:x");
    add_answer(text, &site(nothing(), &options), request, "GET /metrics from a malformed host").await;
    for url in ["https://", "ftp://exporter.example", "https://user@exporter.example/"] {
        let error = Options::new("/metrics".to_owned(), None, Some(url.to_owned())).err().unwrap_or_default();
        add(text, &format!("--web.external-url={url}"), &error);
    }
}
