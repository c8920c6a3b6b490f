use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::metrics::fixture::{TestCa, backend, classic, failing, name, now, reachable, target};
use crate::observation::Failure;
use crate::reason::{ChainReason, LookupReason, ProbeReason, Resolves, Stage};
use crate::snapshot::{AlternateName, BackendReport, Change, Condition, LookupFailure, StateChange, TargetReport};
use crate::target::Backend;

fn overview(fleet: &Fleet, query: &str) -> String {
    Pages::new(String::new(), "/metrics".to_owned()).overview(fleet, &Query::parse(query), now())
}

fn detail(fleet: &Fleet, name: &str) -> String {
    Pages::new(String::new(), "/metrics".to_owned()).target(fleet, name, now()).expect("a target of this name")
}

/// What a reader sees, without elements and with single spaces.
fn text(html: &str) -> String {
    let body = html.split("<main").nth(1).and_then(|rest| rest.split("</main>").next()).expect("a main part");
    let mut text = String::new();
    let mut is_tag = true;
    for c in body.chars() {
        match c {
            '<' => is_tag = true,
            '>' if is_tag => {
                is_tag = false;
                text.push(' ');
            }
            _ if !is_tag => text.push(c),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The targets in the order of the page.
fn listed(html: &str) -> Vec<&str> {
    html.split("<li id=\"t-").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

fn fleet(targets: Vec<TargetReport>) -> Fleet {
    Fleet { targets: targets.into_iter().map(Arc::new).collect(), ..classic(&TestCa::new()) }
}

/// A target whose first round is over.
fn looked_at(name_of_target: &str, backends: Vec<BackendReport>) -> TargetReport {
    let report = target(name_of_target, &[("team", "mail")], &name("smtp.example.com"), backends);
    TargetReport { last_round: Some(now() - Duration::from_secs(29)), ..report }
}

const GOOD: &[&str] = &["smtp.example.com", "mail.example.com"];

fn good(ca: &TestCa, address: &str) -> BackendReport {
    let alias = name("smtp.example.com");
    reachable(backend(&alias, address), ca.assess(&alias, GOOD, (2027, 1)))
}

fn with_name(ca: &TestCa, presented: &[&str]) -> BackendReport {
    let alias = name("smtp.example.com");
    reachable(backend(&alias, "192.0.2.7"), ca.assess(&alias, presented, (2027, 1)))
}

#[test]
fn the_worst_comes_first() {
    let ca = TestCa::new();
    let bad = || with_name(&ca, &["mail.example.com"]);
    let unexpected = with_name(&ca, &["smtp.example.com"]);
    let fleet = fleet(vec![
        looked_at("b-well", vec![good(&ca, "192.0.2.1")]),
        target("a-fresh", &[], &name("smtp.example.com"), vec![]),
        looked_at("a-well", vec![good(&ca, "192.0.2.1")]),
        looked_at("z-bad", vec![good(&ca, "192.0.2.1"), bad()]),
        looked_at("m-warns", vec![unexpected]),
        looked_at("c-bad", vec![bad()]),
        looked_at("gone", vec![good(&ca, "192.0.2.1"), BackendReport { resolved: false, ..bad() }]),
    ]);
    #[track_caller]
    fn check(fleet: &Fleet, query: &str, expected: &[&str]) {
        assert_eq!(listed(&overview(fleet, query)), expected, "{query}");
    }
    check(&fleet, "", &["c-bad", "z-bad", "m-warns", "a-fresh", "a-well", "b-well", "gone"]);
    check(&fleet, "state=critical", &["c-bad", "z-bad"]);
    check(&fleet, "state=warning", &["m-warns"]);
    check(&fleet, "state=unknown", &["a-fresh"]);
    check(&fleet, "state=ok", &["a-well", "b-well", "gone"]);
    check(&fleet, "state=nonsense&q=BAD", &["c-bad", "z-bad"]);
    check(&fleet, "q=team%3Dmail+well", &["a-well", "b-well"]);
    check(&fleet, "q=192.0.2.7%3A587", &["c-bad", "z-bad", "m-warns", "gone"]);
    check(&fleet, "q=example+intermediate&state=warning", &["m-warns"]);
    check(&fleet, "q=nowhere", &[]);
    check(&fleet, "page=99", &["c-bad", "z-bad", "m-warns", "a-fresh", "a-well", "b-well", "gone"]);

    let page = overview(&fleet, "q=bad");
    for expected in [
        "<title>2 critical, 1 warning · smtp-tls-exporter</title>",
        "<a href=\"/?q=bad\" aria-current=\"true\"><b>2</b> all</a>",
        "<a class=\"critical\" href=\"/?q=bad&amp;state=critical\"><b>2</b>",
        "<a class=\"ok\" href=\"/?q=bad&amp;state=ok\"><b>0</b>",
        "name=\"q\" value=\"bad\"",
    ] {
        assert!(page.contains(expected), "{expected} in {page}");
    }
    assert!(overview(&fleet, "state=ok").contains("<input type=\"hidden\" name=\"state\" value=\"ok\">"));
    // Unfolded where something is to be seen, folded where not.
    assert_eq!(overview(&fleet, "state=critical").matches("<details open data-open>").count(), 2);
    assert_eq!(overview(&fleet, "state=ok").matches("<details>").count(), 3);
}

#[test]
fn verdicts_are_words() {
    let ca = TestCa::new();
    let alias = name("smtp.example.com");
    let check = |report: BackendReport, expected: &str| {
        let fleet = fleet(vec![looked_at("t", vec![report])]);
        let page = text(&overview(&fleet, ""));
        assert!(page.contains(expected), "{expected} in {page}");
    };
    check(good(&ca, "192.0.2.1"), "1 backend well expires in 214 days · looked at 29 s ago");
    check(good(&ca, "192.0.2.1"), "192.0.2.1:587 ✓ TLSv1.3 ✓ name ok ✓ chain ok expires in 214 days");
    check(good(&ca, "2001:db8::1"), "[2001:db8::1]:587 ✓ TLSv1.3");
    check(backend(&alias, "192.0.2.1"), "192.0.2.1:587 … not probed yet");
    check(with_name(&ca, &["a.example", "b.example"]), "✗ NAME MISSING, lists a.example, b.example ✓ chain ok");
    check(with_name(&ca, &["a.x", "b.x", "c.x", "d.x", "e.x"]), "lists a.x, b.x, c.x and 2 more");
    check(
        with_name(&ca, &["smtp.example.com"]),
        "✓ name ok ✓ chain ok expires in 214 days ! an expected name is missing",
    );
    let old = ca.assess(&alias, GOOD, (2026, 5));
    check(reachable(backend(&alias, "192.0.2.1"), old), "✗ CHAIN: expired expired 31 days ago");
    let failed = failing(backend(&alias, "192.0.2.1"), Some(ca.assess(&alias, GOOD, (2027, 1))));
    let last = "✗ fails in greeting: timeout ✓ name ok ✓ chain ok expires in 214 days certificate last seen 60 min ago";
    check(failed, last);
    let gone = BackendReport { resolved: false, ..good(&ca, "192.0.2.1") };
    check(gone, "No longer named by DNS, still probed for a while 192.0.2.1:587 ✓ TLSv1.3");
    let mut stray = good(&ca, "192.0.2.1");
    if let Some(last) = &mut stray.last_certificate {
        (last.file_match, last.mismatched_samples, last.distinct) = (Some(false), Some(2), 3);
    }
    check(stray, "! not the certificate on disk ! 2 of the last samples lack the name 3 certificates seen here");
}

#[test]
fn a_target_in_one_line() {
    let ca = TestCa::new();
    let alias = name("smtp.example.com");
    let bad = || with_name(&ca, &["mail.example.com"]);
    let failed = || failing(backend(&alias, "192.0.2.9"), None);
    let check = |backends: Vec<BackendReport>, expected: &str| {
        let page = overview(&fleet(vec![looked_at("t", backends)]), "");
        let line = format!("<span class=\"headline\">{expected}</span>");
        assert!(page.contains(&line), "{line} in {page}");
    };
    check(vec![good(&ca, "192.0.2.1"), good(&ca, "192.0.2.2")], "2 backends well");
    check(vec![good(&ca, "192.0.2.1"), bad(), bad()], "2 of 3 backends lack the name: clients fail now and then");
    check(vec![bad()], "the backend lacks the name");
    check(vec![bad(), bad()], "all 2 backends lack the name");
    check(vec![good(&ca, "192.0.2.1"), failed()], "1 of 2 backends fails: timeout");
    check(vec![backend(&alias, "192.0.2.1")], "the backend not probed yet");
    check(vec![], "not looked up yet");
    let old = reachable(backend(&alias, "192.0.2.1"), ca.assess(&alias, GOOD, (2026, 5)));
    check(
        vec![old, bad()],
        "1 of 2 backends lacks the name: clients fail now and then; 1 of 2 backends has a bad chain: expired",
    );

    let page = overview(&classic(&ca), "");
    assert!(page.contains("<span class=\"headline\">lookup fails: nxdomain</span>"), "{page}");
}

#[test]
fn whatever_others_write_stays_text() {
    let ca = TestCa::new();
    let hostile = "</title><script>alert('1')</script>&\"\u{1b}[31m\u{202e}";
    let alias = name("smtp.example.com");
    let names = ["<img src=x onerror=alert(2)>\u{1b}[0m", "\"'><b>"];
    let mut failed = failing(backend(&alias, "192.0.2.1"), Some(ca.assess(&alias, &names, (2027, 1))));
    if let Some(probe) = &mut failed.probe {
        probe.outcome = Err(Failure::new(Stage::Greeting, ProbeReason::Timeout, "554 <i>no\u{202e}</i>"));
    }
    let report = target(hostile, &[("team", "\"><u>\u{2066}")], &alias, vec![failed]);
    let fleet = fleet(vec![report]);
    for page in [overview(&fleet, "q=%22%3E%3Cq%3E"), overview(&fleet, ""), detail(&fleet, hostile)] {
        for mark in ["<script>alert", "<img", "<b>", "<i>", "<u>", "<q>", "\u{1b}", "\u{202e}", "\u{2066}"] {
            // The counts are bold by our own doing.
            let found = page.matches(mark).count()
                - if mark == "<b>" { page.matches("<b>1</b>").count() + page.matches("<b>0</b>").count() } else { 0 };
            assert_eq!(found, 0, "{mark} in {page}");
        }
        assert_eq!(page.matches("<script>").count(), 1, "{page}");
    }
    let page = overview(&fleet, "");
    for expected in [
        "&lt;/title&gt;&lt;script&gt;alert('1')&lt;/script&gt;&amp;&quot;\u{fffd}[31m\u{fffd}",
        "href=\"/targets/%3C%2Ftitle%3E%3Cscript%3Ealert%28%271%27%29%3C%2Fscript%3E%26%22%1B%5B31m%E2%80%AE\"",
        "NAME MISSING, lists &lt;img src=x onerror=alert(2)&gt;\u{fffd}[0m, &quot;'&gt;&lt;b&gt;",
        "team=&quot;&gt;&lt;u&gt;\u{fffd}",
    ] {
        assert!(page.contains(expected), "{expected} in {page}");
    }
}

#[test]
fn a_page_of_one_target() {
    let ca = TestCa::new();
    let mut fleet = classic(&ca);
    let relay = Arc::make_mut(fleet.targets.first_mut().expect("a target"));
    let endpoint = relay.endpoints.first_mut().expect("an endpoint");
    let shared = |text: &str, resolves, addresses: &[&str]| AlternateName {
        name: name(text),
        resolves,
        addresses: addresses.iter().map(|address| address.parse::<IpAddr>().expect("an address")).collect(),
    };
    endpoint.alternates = [
        shared("mail.example.com", Resolves::All, &["192.0.2.10", "192.0.2.11"]),
        shared("www.example.com", Resolves::Elsewhere, &["192.0.2.80"]),
        shared("old.example.com", Resolves::Nowhere, &[]),
    ]
    .into();
    let of = |address: &str| Backend::new(Arc::clone(&endpoint.endpoint), address.parse().expect("an address"));
    let well =
        Condition { failure: None, name: Some(true), chain: vec![], staple: vec![], fingerprint: Some([0xab; 32]) };
    let bad = Condition {
        failure: Some((Stage::Handshake, ProbeReason::TlsAlert)),
        name: Some(false),
        chain: vec![ChainReason::Expired, ChainReason::MissingIntermediate],
        ..well.clone()
    };
    let failure = LookupFailure { name: name("smtp.example.com"), record_type: "AAAA", reason: LookupReason::ServFail };
    let changes = [
        Change::Condition(of("192.0.2.10"), well),
        Change::Condition(of("192.0.2.11"), bad),
        Change::Resolved(of("192.0.2.13"), true),
        Change::Resolved(of("2001:db8::10"), false),
        Change::Lookup([failure].into()),
        Change::Lookup([].into()),
    ];
    relay.changes = (0..)
        .zip(changes)
        .map(|(n, what)| StateChange { at: now() - Duration::from_secs(600 - n * 60), what })
        .collect();

    let page = detail(&fleet, "relay");
    let found = text(&page);
    for expected in [
        "relay 2 of 4 backends lack the name: clients fail now and then; ",
        "Labels team=mail Last round 2026-05-31 23:59:31 UTC, 29 s ago , every 60 s",
        "✓ succeeded in 4 ms, name servers agree",
        "Names that the certificates of all these backends carry: mail.example.com leads to all of them and nowhere else: \
         192.0.2.10, 192.0.2.11 www.example.com leads elsewhere: 192.0.2.80 old.example.com has no address",
        "Addresses not probed: 3. The target has more addresses than",
        "Failed in greeting . The server's first reply",
        "Because timeout . The peer did not answer in time. It said no greeting In a row 2 failures",
        "Phases connect 8 ms greeting 125 ms starttls 31 ms handshake 62 ms",
        "TLS TLSv1.3, TLS13_AES_256_GCM_SHA384, X25519",
        "Name not listed . The certificate lists other names.",
        "The server's own certificate: CN=mail.example.com",
        "Names mail.example.com 192.0.2.11 Key ECDSA P-256, signed by ecdsa-with-SHA256",
        "Valid until 2027-01-01 00:00:00 UTC, in 214 days",
        "No longer named by DNS, still probed for a while [2001:db8::10]:587",
        // The newest first.
        "2026-05-31 23:55:00 UTC, 5 min ago ✓ lookup is well 2026-05-31 23:54:00 UTC, 6 min ago \
         ✗ lookup fails: smtp.example.com AAAA: dns servfail",
        "! [2001:db8::10]:587 is no longer named by DNS",
        "✗ 192.0.2.11:587 fails in handshake: tls alert, name missing, chain: expired, missing intermediate, \
         certificate abababab…",
        "✓ 192.0.2.10:587 is well, certificate abababab…",
    ] {
        assert!(found.contains(expected), "{expected} in {found}");
    }
    for expected in [
        "id=\"b-smtp.example.com-192.0.2.11%3A587-starttls\"",
        "href=\"/api/v1/targets/relay/backends/%5B2001%3Adb8%3A%3A10%5D%3A587/chain.pem?server_name=smtp.example.com\"",
    ] {
        assert!(page.contains(expected), "{expected} in {page}");
    }
    assert!(overview(&fleet, "").contains("href=\"/targets/relay#b-smtp.example.com-192.0.2.11%3A587-starttls\""));
    let page = Pages::new(String::new(), "/metrics".to_owned());
    assert!(page.target(&fleet, "Relay", now()).is_none() && page.target(&fleet, "", now()).is_none());
}

#[test]
fn what_backends_share_is_shown_once() {
    let ca = TestCa::new();
    let alias = name("smtp.example.com");
    let assessment = ca.assess(&alias, GOOD, (2027, 1));
    let backends = (1..=3).map(|n| reachable(backend(&alias, &format!("192.0.2.{n}")), assessment.clone())).collect();
    let page = detail(&fleet(vec![looked_at("t", backends)]), "t");
    assert_eq!(page.matches("The server's own certificate").count(), 1);
    let again = "Presents the same certificates as <a href=\"#b-smtp.example.com-192.0.2.1%3A587-starttls\">";
    assert_eq!(page.matches(again).count(), 2, "{page}");
}

#[test]
fn the_exporter_tells_of_its_own_troubles() {
    let mut fleet = classic(&TestCa::new());
    let alarms = |fleet: &Fleet| overview(fleet, "").matches("class=\"alarm\"").count();
    assert_eq!(alarms(&fleet), 0);
    fleet.exporter.reload_successful = false;
    fleet.exporter.schedule_lag = Duration::from_secs(75);
    assert_eq!(alarms(&fleet), 2);
    assert!(text(&overview(&fleet, "")).contains("waiting for their turn for 75 seconds"));
    let nothing = Fleet { targets: vec![], ..fleet };
    assert!(text(&overview(&nothing, "")).contains("The config has no targets."));
}

#[test]
fn large_fleets_stay_usable() {
    let ca = TestCa::new();
    let alias = name("smtp.example.com");
    let (well, bad) = (ca.assess(&alias, GOOD, (2027, 1)), ca.assess(&alias, &["mail.example.com"], (2027, 1)));
    let targets = (0..2_000).map(|n| {
        let backends = (1..=3).map(|host| {
            let assessment = if n % 50 == 0 && host > 1 { &bad } else { &well };
            reachable(backend(&alias, &format!("192.0.2.{host}")), assessment.clone())
        });
        looked_at(&format!("relay-{n:04}"), backends.collect())
    });
    let fleet = fleet(targets.collect());
    let begun = Instant::now();
    let page = overview(&fleet, "");
    println!("{} bytes in {:?}", page.len(), begun.elapsed());
    let names = listed(&page);
    assert_eq!((names.len(), names.first(), names.get(40)), (250, Some(&"relay-0000"), Some(&"relay-0001")));
    assert!(page.len() < 750_000, "{} bytes", page.len());
    assert!(page.contains("<b>2,000</b> all") && page.contains("Page 1 of 8"));
    assert!(page.contains("<a rel=\"next\" href=\"/?page=2\">"));
    assert_eq!(listed(&overview(&fleet, "page=8")).last(), Some(&"relay-1999"));
    assert_eq!(listed(&overview(&fleet, "page=9")).last(), Some(&"relay-1999"));

    // Wherever there is a target with many backends, those are left to its own page.
    let many = (0..60_u8).map(|n| reachable(backend(&alias, &format!("198.51.100.{n}")), bad.clone()));
    let many = Arc::new(looked_at("many", many.collect()));
    let page = overview(&Fleet { targets: vec![many; 2_000], ..fleet }, "");
    assert_eq!(page.matches("48 more backends").count(), 167);
    assert_eq!(page.matches(">60 backends</a>").count(), 83);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
}
