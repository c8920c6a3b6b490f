use std::sync::Arc;
use std::time::{Duration, Instant};

use super::elements::HealthState;
use super::*;
use crate::metrics::fixture::{TestCa, backend, classic, failing, name, now, reachable, target};
use crate::observation::Failure;
use crate::reason::{NameReason, ProbeReason, SkipReason, Stage};
use crate::snapshot::{BackendReport, ShardReport, TargetReport};
use crate::target::Shard;
use crate::web::fixture::{eventful, overview_page as overview, plain, target_page as detail};

/// The names of the targets in the order of the page.
fn listed(html: &str) -> Vec<&str> {
    html.split("<li id=\"t-").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// The text between `before` and `after`, without tags; empty if there is none.
fn between(html: &str, before: &str, after: &str) -> String {
    let (_, rest) = html.split_once(before).unwrap_or_default();
    plain(rest.split(after).next().unwrap_or_default()).trim().to_owned()
}

#[track_caller]
fn assert_contains(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "{part} in {page}");
    }
}

/// State and text of each verdict, without the symbol.
fn verdicts(html: &str) -> Vec<(&str, String)> {
    let each = html.split("class=\"verdict ").skip(1);
    each.map(|rest| (rest.split('"').next().unwrap_or_default(), between(rest, "</span> ", "</span>"))).collect()
}

fn fleet(targets: Vec<TargetReport>) -> Fleet {
    Fleet { targets: targets.into_iter().map(Arc::new).collect(), ..classic(&TestCa::new()) }
}

/// A target after its first round.
fn probed(name_of_target: &str, backends: Vec<BackendReport>) -> TargetReport {
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
fn the_overview_counts_the_targets_of_other_shards() {
    let of = |targets: Vec<TargetReport>, shard: Shard, others: &[&str]| {
        let mut fleet = fleet(targets);
        let others = others.iter().map(|other| target(other, &[], &name("smtp.example.com"), vec![]).target);
        fleet.exporter.shard = ShardReport::new(shard, others.collect());
        plain(&overview(&fleet, ""))
    };
    let second = Shard::new(1, 3).expect("a shard");
    let page = of(vec![probed("a", vec![])], second, &["b", "c"]);
    assert_contains(&page, &["shard 1 of 3", "2 targets"]);
    let page = of(vec![], second, &["b"]);
    assert_contains(&page, &["shard 1 of 3", "1 target", "This shard has no targets."]);
    let page = of(vec![probed("a", vec![])], Shard::default(), &[]);
    assert!(!page.contains("shard"), "{page}");
}

#[test]
fn sorts_targets_by_state_and_filters_them() {
    let ca = TestCa::new();
    let bad = || with_name(&ca, &["mail.example.com"]);
    let unexpected = with_name(&ca, &["smtp.example.com"]);
    let fleet = fleet(vec![
        probed("b-ok", vec![good(&ca, "192.0.2.1")]),
        target("a-fresh", &[], &name("smtp.example.com"), vec![]),
        probed("a-ok", vec![good(&ca, "192.0.2.1")]),
        probed("z-bad", vec![good(&ca, "192.0.2.1"), bad()]),
        probed("m-warns", vec![unexpected.clone()]),
        probed("y-warns", vec![good(&ca, "192.0.2.1"), unexpected]),
        probed("c-bad", vec![bad()]),
        probed("gone", vec![good(&ca, "192.0.2.1"), BackendReport { resolved: false, ..bad() }]),
    ]);
    #[track_caller]
    fn check(fleet: &Fleet, query: &str, expected: &[&str]) {
        assert_eq!(listed(&overview(fleet, query)), expected, "{query}");
    }
    check(&fleet, "", &["z-bad", "y-warns", "c-bad", "m-warns", "a-fresh", "a-ok", "b-ok", "gone"]);
    check(&fleet, "state=critical", &["z-bad", "c-bad"]);
    check(&fleet, "state=warning", &["y-warns", "m-warns"]);
    check(&fleet, "state=unknown", &["a-fresh"]);
    check(&fleet, "state=ok", &["a-ok", "b-ok", "gone"]);
    check(&fleet, "state=nonsense&q=BAD", &["z-bad", "c-bad"]);
    check(&fleet, "q=team%3Dmail+ok", &["a-ok", "b-ok"]);
    check(&fleet, "q=192.0.2.7%3A587", &["z-bad", "y-warns", "c-bad", "m-warns", "gone"]);
    check(&fleet, "q=example+intermediate&state=warning", &["y-warns", "m-warns"]);
    check(&fleet, "q=nowhere", &[]);
    check(&fleet, "page=99", &["z-bad", "y-warns", "c-bad", "m-warns", "a-fresh", "a-ok", "b-ok", "gone"]);

    let page = overview(&fleet, "q=bad");
    let counts = [
        "<title>2 critical, 2 warning · smtp-tls-exporter</title>",
        "<a href=\"/?q=bad\" aria-current=\"true\"><b>2</b>",
        "<a class=\"critical\" href=\"/?q=bad&amp;state=critical\"><b>2</b>",
        "<a class=\"ok\" href=\"/?q=bad&amp;state=ok\"><b>0</b>",
        "name=\"q\" value=\"bad\"",
    ];
    assert_contains(&page, &counts);
    assert!(overview(&fleet, "state=ok").contains("<input type=\"hidden\" name=\"state\" value=\"ok\">"));
    // Targets that are ok are collapsed.
    assert_eq!(overview(&fleet, "state=critical").matches("<details open data-open>").count(), 2);
    assert_eq!(overview(&fleet, "state=ok").matches("<details>").count(), 3);
}

#[test]
fn a_backend_has_a_verdict_for_each_check() {
    let ca = TestCa::new();
    let alias = name("smtp.example.com");
    // The state of each verdict, and what its text contains.
    let check = |report: BackendReport, expected: &[(&str, &str)]| -> String {
        let page = overview(&fleet(vec![probed("t", vec![report])]), "");
        let found = verdicts(&page);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((state, text), (expected, part)) in found.iter().zip(expected) {
            assert!(state == expected && text.contains(part), "{expected} and {part} in {found:?}");
        }
        page
    };
    let page = check(good(&ca, "192.0.2.1"), &[("ok", "TLSv1.3"), ("ok", "name"), ("ok", "chain")]);
    assert!(page.contains("214 days") && page.contains(">192.0.2.1:587</a>"), "{page}");
    assert!(page.contains("<li id=\"t-t\" class=\"target ok\">"), "{page}");
    let page = check(good(&ca, "2001:db8::1"), &[("ok", ""), ("ok", ""), ("ok", "")]);
    assert!(page.contains(">[2001:db8::1]:587</a>"), "{page}");
    check(backend(&alias, "192.0.2.1"), &[("unknown", "")]);
    check(
        with_name(&ca, &["a.example", "b.example"]),
        &[("ok", ""), ("critical", "a.example, b.example"), ("ok", ""), ("warning", "")],
    );
    let page = check(
        with_name(&ca, &["a.x", "b.x", "c.x", "d.x", "e.x"]),
        &[("ok", ""), ("critical", "a.x, b.x, c.x"), ("ok", ""), ("warning", "")],
    );
    assert!(!verdicts(&page)[1].1.contains("d.x"), "{page}");
    check(with_name(&ca, &["smtp.example.com"]), &[("ok", ""), ("ok", ""), ("ok", ""), ("warning", "expected name")]);
    let old = ca.assess(&alias, GOOD, (2026, 5));
    let page = check(reachable(backend(&alias, "192.0.2.1"), old), &[("ok", ""), ("ok", ""), ("critical", "expired")]);
    assert!(page.contains("31 days ago"), "{page}");
    let failed = failing(backend(&alias, "192.0.2.1"), Some(ca.assess(&alias, GOOD, (2027, 1))));
    let page = check(failed, &[("critical", "greeting: timeout"), ("ok", ""), ("ok", "")]);
    assert!(page.contains("datetime=\"2026-05-31T22:59:30Z\""), "the time at which it was seen: {page}");
    let gone = BackendReport { resolved: false, ..good(&ca, "192.0.2.1") };
    check(gone, &[("ok", ""), ("ok", ""), ("ok", "")]);
    let mut stray = good(&ca, "192.0.2.1");
    if let Some(last) = &mut stray.last_certificate {
        (last.file_match, last.mismatched_samples, last.distinct) = (Some(false), Some(2), 3);
    }
    check(stray, &[("ok", ""), ("ok", ""), ("ok", ""), ("warning", "disk"), ("warning", "2")]);
}

#[test]
fn a_headline_counts_the_backends_that_fail() {
    let ca = TestCa::new();
    let alias = name("smtp.example.com");
    let bad = || with_name(&ca, &["mail.example.com"]);
    let failed = || failing(backend(&alias, "192.0.2.9"), None);
    let headline = |fleet: &Fleet| between(&overview(fleet, ""), "<span class=\"headline\">", "</span>");
    let check = |backends: Vec<BackendReport>, expected: &[&str]| {
        let found = headline(&fleet(vec![probed("t", backends)]));
        let mut rest = &*found;
        for part in expected {
            rest = rest.split_once(part).unwrap_or_else(|| panic!("{part} in {found}")).1;
        }
        assert!(!rest.contains("backends"), "{found}");
    };
    check(vec![good(&ca, "192.0.2.1"), good(&ca, "192.0.2.2")], &["2 backends"]);
    check(vec![good(&ca, "192.0.2.1"), bad(), bad()], &["2 of 3 backends", "name"]);
    check(vec![bad()], &["name"]);
    check(vec![bad(), bad()], &["2 backends", "name"]);
    check(vec![good(&ca, "192.0.2.1"), failed()], &["1 of 2 backends", "timeout"]);
    check(vec![backend(&alias, "192.0.2.1")], &["probed yet"]);
    check(vec![], &["yet"]);
    let old = reachable(backend(&alias, "192.0.2.1"), ca.assess(&alias, GOOD, (2026, 5)));
    check(vec![old, bad()], &["1 of 2 backends", "name", "1 of 2 backends", "chain", "expired"]);
    let mut unknown = classic(&ca);
    unknown.targets.retain(|report| report.target.name.as_str() == "unknown");
    assert!(headline(&unknown).contains("nxdomain"));
    let skipping = |backends| {
        let mut report = probed("t", backends);
        report.endpoints[0].skipped = vec![(SkipReason::NoRoute, 2)];
        headline(&fleet(vec![report]))
    };
    assert!(skipping(vec![]).contains("2 addresses are not probed: no route"), "{}", skipping(vec![]));
    let partly = skipping(vec![good(&ca, "192.0.2.1")]);
    assert!(!partly.contains("not probed"), "{partly}");
}

#[test]
fn foreign_text_is_escaped_and_printable() {
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
            // The page itself sets its counts in bold.
            let found = page.matches(mark).count()
                - if mark == "<b>" { page.matches("<b>1</b>").count() + page.matches("<b>0</b>").count() } else { 0 };
            assert_eq!(found, 0, "{mark} in {page}");
        }
        assert_eq!(page.matches("<script>").count(), 1, "{page}");
    }
    let page = overview(&fleet, "");
    let texts = [
        "&lt;/title&gt;&lt;script&gt;alert('1')&lt;/script&gt;&amp;&quot;\u{fffd}[31m\u{fffd}",
        "href=\"/targets/%3C%2Ftitle%3E%3Cscript%3Ealert%28%271%27%29%3C%2Fscript%3E%26%22%1B%5B31m%E2%80%AE\"",
        "&quot;&lt;img src=x onerror=alert(2)&gt;\\u{1b}[0m&quot;, &quot;\\&quot;'&gt;&lt;b&gt;&quot;",
        "team=&quot;&gt;&lt;u&gt;\u{fffd}",
    ];
    assert_contains(&page, &texts);
}

#[test]
fn the_page_of_a_target_has_all_facts() {
    let fleet = eventful(&TestCa::new());
    assert!(overview(&fleet, "").contains("href=\"/targets/relay#b-smtp.example.com-192.0.2.11%3A587-starttls\""));
    let page = detail(&fleet, "relay");
    let found = plain(&page);
    let facts = [
        "2 of 4 backends",
        "team=mail",
        "60 s",
        "4 ms",
        "mail.example.com",
        "192.0.2.10, 192.0.2.11",
        "192.0.2.80",
        "old.example.com",
        "limits.backends_per_target",
        Stage::Greeting.doc(),
        ProbeReason::Timeout.doc(),
        "no greeting",
        "failures: 2",
        "connect 8 ms greeting 125 ms starttls 31 ms handshake 62 ms",
        "TLSv1.3, TLS13_AES_256_GCM_SHA384, X25519",
        NameReason::NotListed.doc(),
        "CN=mail.example.com",
        "ECDSA P-256",
        "ecdsa-with-SHA256",
        "2027-01-01 00:00:00 UTC, in 214 days",
        "abababab",
    ];
    assert_contains(&found, &facts);
    let places = [
        "<div class=\"heading critical\">",
        "datetime=\"2026-05-31T23:59:31Z\"",
        "id=\"b-smtp.example.com-192.0.2.11%3A587-starttls\"",
        "href=\"/api/v1/targets/relay/backends/%5B2001%3Adb8%3A%3A10%5D%3A587/chain.pem?server_name=smtp.example.com&amp;tls=starttls\"",
    ];
    assert_contains(&page, &places);
}

#[test]
fn the_newest_change_comes_first() {
    let page = detail(&eventful(&TestCa::new()), "relay");
    let (_, changes) = page.split_once("<ol class=\"changes\">").expect("changes");
    // The oldest one is collapsed.
    let (latest, older) = changes.split_once("</ol>").expect("the end of the latest changes");
    for ((state, text), (expected, about)) in verdicts(latest).iter().zip([
        ("ok", "192.0.2.12:587"),
        ("ok", "lookup"),
        ("critical", "smtp.example.com AAAA: dns servfail"),
        ("warning", "[2001:db8::10]:587"),
        ("ok", "192.0.2.13:587"),
        ("critical", "192.0.2.11:587"),
    ]) {
        assert_eq!(*state, expected, "{text}");
        assert!(text.contains(about), "{about} in {text}");
    }
    assert_eq!(verdicts(latest).len(), 6);
    for word in ["handshake", "tls alert", "name", "expired", "missing intermediate", "abababab"] {
        assert!(latest.contains(word), "{word} in {latest}");
    }
    assert!(latest.contains("datetime=\"2026-05-31T23:56:00Z\""), "{latest}");
    assert!(between(older, "id=\"older-changes\"", "</ol>").contains("192.0.2.10:587"));
}

#[test]
fn a_chain_of_several_backends_is_shown_once() {
    let ca = TestCa::new();
    let alias = name("smtp.example.com");
    let assessment = ca.assess(&alias, GOOD, (2027, 1));
    let backends = (1..=3).map(|n| reachable(backend(&alias, &format!("192.0.2.{n}")), assessment.clone())).collect();
    let page = detail(&fleet(vec![probed("t", backends)]), "t");
    let certificates = assessment.chain.certificates().len();
    assert_eq!(page.matches("class=\"certificate\"").count(), certificates);
    assert_eq!(page.matches("<a href=\"#b-smtp.example.com-192.0.2.1%3A587-starttls\">").count(), 2, "{page}");
}

#[test]
fn advice_is_computed_once_for_each_report() {
    let ca = TestCa::new();
    let pages = Pages::new(String::new(), "/metrics".to_owned());
    let load = |fleet: &Fleet, now| {
        pages.advice.forget_replaced(fleet.targets.len());
        let views = pages.views(fleet.targets.clone(), now);
        views.into_iter().map(|view| (view.advice, view.state)).collect::<Vec<_>>()
    };
    let mut fleet = fleet(vec![
        probed("bad", vec![with_name(&ca, &["mail.example.com"])]),
        probed("ok", vec![good(&ca, "192.0.2.1")]),
        probed("gone", vec![good(&ca, "192.0.2.1")]),
    ]);
    let same = |a: &[(Arc<[_]>, HealthState)], b: &[(Arc<[_]>, HealthState)]| {
        a.iter().zip(b).map(|((a, _), (b, _))| Arc::ptr_eq(a, b)).collect::<Vec<_>>()
    };
    let first = load(&fleet, now());
    assert_eq!(same(&first, &load(&fleet, now() + Duration::from_secs(60))), [true; 3]);
    // A report is replaced, and a target is removed.
    let report = Arc::clone(&fleet.targets[0]);
    fleet.targets[0] = Arc::new(TargetReport::clone(&report));
    fleet.targets.pop();
    drop(report);
    let second = load(&fleet, now());
    assert_eq!(same(&first, &second), [false, true]);
    assert_eq!(same(&second, &load(&fleet, now())), [true; 2]);
    assert_eq!(pages.advice.len(), 2);
    // The state of a report changes with time: its certificate expires.
    let later = load(&fleet, now() + Duration::from_secs(365 * 86_400));
    assert_eq!(same(&second, &later), [true, false]);
    assert_eq!((second[1].1, later[1].1), (HealthState::Ok, HealthState::Critical));
}

#[test]
fn problems_of_the_exporter_are_shown_on_each_page() {
    let mut fleet = classic(&TestCa::new());
    let alarms = |page: &str| page.matches("class=\"alarm\"").count();
    assert_eq!(alarms(&overview(&fleet, "")), 0);
    fleet.exporter.reload_successful = false;
    fleet.exporter.web_reload_successful = Some(false);
    fleet.exporter.schedule_lag = Duration::from_secs(75);
    assert_eq!((alarms(&overview(&fleet, "")), alarms(&detail(&fleet, "relay"))), (3, 3));
    let empty = overview(&Fleet { targets: vec![], ..fleet }, "");
    assert!(empty.contains("75 s") && empty.contains("class=\"nothing\""), "{empty}");
}

#[test]
fn pages_of_large_fleets_are_bounded() {
    let ca = TestCa::new();
    let alias = name("smtp.example.com");
    let (ok, bad) = (ca.assess(&alias, GOOD, (2027, 1)), ca.assess(&alias, &["mail.example.com"], (2027, 1)));
    let targets = (0..2_000).map(|n| {
        let backends = (1..=3).map(|host| {
            let assessment = if n % 50 == 0 && host > 1 { &bad } else { &ok };
            reachable(backend(&alias, &format!("192.0.2.{host}")), assessment.clone())
        });
        probed(&format!("relay-{n:04}"), backends.collect())
    });
    let fleet = fleet(targets.collect());
    let started = Instant::now();
    let page = overview(&fleet, "");
    println!("{} bytes in {:?}", page.len(), started.elapsed());
    let names = listed(&page);
    assert_eq!((names.len(), names.first(), names.get(40)), (250, Some(&"relay-0000"), Some(&"relay-0001")));
    assert!(page.len() < 750_000, "{} bytes", page.len());
    assert!(page.contains("<b>2,000</b>") && page.contains("class=\"pager\""));
    assert!(page.contains("<a rel=\"next\" href=\"/?page=2\">"));
    assert_eq!(listed(&overview(&fleet, "page=8")).last(), Some(&"relay-1999"));
    assert_eq!(listed(&overview(&fleet, "page=9")).last(), Some(&"relay-1999"));

    // Of targets with many backends, the overview shows some or none.
    let many = (0..60_u8).map(|n| reachable(backend(&alias, &format!("198.51.100.{n}")), bad.clone()));
    let many = Arc::new(probed("many", many.collect()));
    let page = overview(&Fleet { targets: vec![many; 2_000], ..fleet }, "");
    assert_eq!(page.matches(">48 more").count(), 167);
    assert_eq!(page.matches(">60 backend").count(), 83);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
}

#[test]
fn foreign_text_is_printable() {
    assert_eq!(elements::clean("a\u{1b}[0m\u{202e}\n"), "a\u{fffd}[0m\u{fffd}\u{fffd}");
    assert_eq!(elements::clean_lines("a\r\nb\u{202e}\n\nc"), "a\nb\u{fffd}\n\nc");
    assert_eq!(elements::prose("set `a<b`.").into_string(), "set <code>a&lt;b</code>.");
    assert_eq!(elements::prose("a ` b\u{202e}").into_string(), "a ` b\u{fffd}");
}

#[test]
fn reasons_are_words() {
    assert_eq!(elements::spaced("missing_intermediate"), "missing intermediate");
    assert_eq!(elements::unique(["timeout", "tls_alert", "timeout"]), "timeout, tls alert");
}
