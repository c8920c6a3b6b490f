use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::client_errors;
use crate::reason::{AdviceKind, ChainReason, Severity};
use crate::render::fixture::{now, report};

/// Every key of `value` with its way there: `a.b`, `a[].b`. Labels are the user's; what is told once for all places is
/// not gone into.
fn keys(value: &Value, way: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|each| keys(each, &format!("{way}[]"), found)),
        Value::Object(map) => {
            let is_moment = map.keys().eq(["rfc3339", "unix"]);
            let is_elsewhere = map.contains_key("dotnet");
            if is_moment || is_elsewhere || way == "targets[].labels" {
                return;
            }
            for (key, value) in map {
                let way = if way.is_empty() { key.clone() } else { format!("{way}.{key}") };
                keys(value, &way, found);
                found.insert(way);
            }
        }
        _ => {}
    }
}

/// Every key of the tables of `docs/api.md`, with what its heading puts before it.
fn documented() -> BTreeSet<String> {
    let page = std::fs::read_to_string("docs/api.md").expect("the page");
    let mut before = String::new();
    let mut found = BTreeSet::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let place = heading.split('`').nth(1).map(|place| format!(".{place}")).unwrap_or_default();
            before = if heading == "Document" { String::new() } else { format!("targets[]{place}.") };
        }
        let Some(cell) = line.strip_prefix("| `").and_then(|rest| rest.split(" | ").next()) else { continue };
        for key in format!("`{cell}").split(", ") {
            let key = key.trim_matches('`');
            assert!(found.insert(format!("{before}{key}")), "{before}{key} stands twice");
        }
    }
    found
}

#[test]
fn the_page_has_every_key_and_no_other() {
    let report = report();
    let endpoint = report.endpoints.first().expect("an endpoint");
    let advice = vec![Advice {
        kind: AdviceKind::Reissue,
        severity: Severity::Critical,
        backends: endpoint.backends.iter().map(|backend| backend.backend.clone()).collect(),
        text: "text".to_owned(),
        request: Some("a\nb".to_owned()),
        clients: Some(client_errors::for_chain(ChainReason::Expired)),
    }];
    let target = Whole::new(&report, advice, now());
    let json = text(&Document { version: VERSION, at: unix(now()).into(), targets: vec![target] });
    let mut found = BTreeSet::new();
    keys(&serde_json::from_str(&json).expect("JSON"), "", &mut found);
    let page = documented();
    let (missing, gone): (Vec<_>, Vec<_>) = (found.difference(&page).collect(), page.difference(&found).collect());
    assert!(missing.is_empty() && gone.is_empty(), "not in docs/api.md: {missing:#?}\nonly there: {gone:#?}");
    assert!(found.len() > 100, "{}", found.len());
}

#[test]
fn what_a_terminal_might_obey_is_escaped_and_stays_what_it_is() {
    for (given, expected) in [
        ("plain, über", "\"plain, über\"\n"),
        ("a\u{1b}[31m", "\"a\\u001b[31m\"\n"),
        ("\u{9b}31m\u{7f}", "\"\\u009b31m\\u007f\"\n"),
        ("\u{202e}evil\r\n", "\"\\u202eevil\\r\\n\"\n"),
        ("\u{e0041}", "\"\\udb40\\udc41\"\n"),
    ] {
        let json = text(&given);
        assert_eq!(json, expected, "{given:?}");
        assert_eq!(serde_json::from_str::<String>(&json).ok().as_deref(), Some(given));
    }
}
