use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::client_errors;
use crate::reason::{AdviceKind, ChainReason, Severity};
use crate::render::fixture::{now, report};

/// Adds the path of every key of `value`: `a.b`, `a[].b`. Excluded are labels, which are the user's, and the keys of times
/// and client errors, which are documented once.
fn keys(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| keys(item, &format!("{path}[]"), found)),
        Value::Object(map) => {
            let is_time = map.keys().eq(["rfc3339", "unix"]);
            let is_client_errors = map.contains_key("dotnet");
            if is_time || is_client_errors || path == "targets[].labels" {
                return;
            }
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                keys(value, &path, found);
                found.insert(path);
            }
        }
        _ => {}
    }
}

/// Every key in the tables of `docs/api.md`, with the prefix that its heading gives.
fn documented() -> BTreeSet<String> {
    let page = std::fs::read_to_string("docs/api.md").expect("the page");
    let mut prefix = None;
    let mut found = BTreeSet::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let path = heading.split('`').nth(1).map(|path| format!(".{path}")).unwrap_or_default();
            // The first section describes the document itself.
            prefix = Some(prefix.map_or_else(String::new, |_: String| format!("targets[]{path}.")));
        }
        let Some(cell) = line.strip_prefix("| `").and_then(|rest| rest.split(" | ").next()) else { continue };
        for key in format!("`{cell}").split(", ") {
            let key = key.trim_matches('`');
            let key = format!("{}{key}", prefix.as_deref().unwrap_or_default());
            assert!(found.insert(key.clone()), "{key} is there twice");
        }
    }
    found
}

#[test]
fn the_page_documents_every_key_and_no_other() {
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
    let mut found = BTreeSet::new();
    let mut add_keys = |json: &str, path| keys(&serde_json::from_str(json).expect("JSON"), path, &mut found);
    add_keys(&target(&report, advice, now()), "targets[]");
    add_keys(&targets_json(&[Arc::new(report)], &ShardReport::default(), now()), "");
    let page = documented();
    let (missing, gone): (Vec<_>, Vec<_>) = (found.difference(&page).collect(), page.difference(&found).collect());
    assert!(missing.is_empty() && gone.is_empty(), "not in docs/api.md: {missing:#?}\nonly there: {gone:#?}");
    assert!(found.len() > 100, "{}", found.len());
}

#[test]
fn escapes_characters_that_control_a_terminal() {
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

#[test]
fn pieces_form_one_indented_document() {
    for (count, end) in
        [(0, "\n  \"targets\": []\n}\n"), (1, "\n      ]\n    }\n  ]\n}\n"), (3, "\n      ]\n    }\n  ]\n}\n")]
    {
        let targets = iter::repeat_with(|| Arc::new(report())).take(count);
        let pieces: Vec<String> = targets_json_pieces(targets, &ShardReport::default(), now()).collect();
        assert_eq!(pieces.len(), count + 2);
        let text = pieces.concat();
        assert!(
            text.starts_with("{\n  \"version\": 1,\n  \"at\": {\n    \"rfc3339\": ") && text.ends_with(end),
            "{text}"
        );
        assert_eq!(
            text.matches("\n    },\n    {\n      \"name\": \"smtp.example.com:587\",\n").count(),
            count.saturating_sub(1)
        );
        let document: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(document["targets"].as_array().map(Vec::len), Some(count));
    }
}
