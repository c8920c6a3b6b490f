//! A fleet with a bit of everything, and pages as plain text.

use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::metrics::fixture::{TestCa, classic, name, now};
use crate::reason::{ChainReason, LookupReason, ProbeReason, Resolves, Stage};
use crate::snapshot::{AlternateName, Change, Condition, Fleet, LookupFailure, StateChange};
use crate::target::Backend;
use crate::web::status::{Pages, Query};

/// [`classic`], with alternate names and changes of state of the target `relay`.
pub(super) fn eventful(ca: &TestCa) -> Fleet {
    let mut fleet = classic(ca);
    let relay = Arc::make_mut(fleet.targets.first_mut().expect("a target"));
    let endpoint = relay.endpoints.first_mut().expect("an endpoint");
    let alternate = |text: &str, resolves, addresses: &[&str]| AlternateName {
        name: name(text),
        resolves,
        addresses: addresses.iter().map(|address| address.parse::<IpAddr>().expect("an address")).collect(),
    };
    endpoint.alternates = [
        alternate("mail.example.com", Resolves::All, &["192.0.2.10", "192.0.2.11"]),
        alternate("mx1.example.com", Resolves::Part, &["192.0.2.10"]),
        alternate("www.example.com", Resolves::Elsewhere, &["192.0.2.80"]),
        alternate("old.example.com", Resolves::Nowhere, &[]),
        alternate("odd.example.com", Resolves::Unknown, &[]),
    ]
    .into();
    let backend = |address: &str| Backend::new(Arc::clone(&endpoint.endpoint), address.parse().expect("an address"));
    let ok =
        Condition { failure: None, name: Some(true), chain: vec![], staple: vec![], fingerprint: Some([0xab; 32]) };
    let bad = Condition {
        failure: Some((Stage::Handshake, ProbeReason::TlsAlert)),
        name: Some(false),
        chain: vec![ChainReason::Expired, ChainReason::MissingIntermediate],
        ..ok.clone()
    };
    let failure = LookupFailure {
        name: name("smtp.example.com"),
        record_type: "AAAA",
        reason: LookupReason::ServFail,
        alias: None,
        is_partial: true,
    };
    let changes = [
        Change::Condition(backend("192.0.2.10"), ok),
        Change::Condition(backend("192.0.2.11"), bad),
        Change::Resolved(backend("192.0.2.13"), true),
        Change::Resolved(backend("2001:db8::10"), false),
        Change::Lookup([failure].into()),
        Change::Lookup([].into()),
        Change::Resolved(backend("192.0.2.12"), true),
    ];
    relay.changes = (0..)
        .zip(changes)
        .map(|(n, change)| StateChange { at: now() - Duration::from_secs(600 - n * 60), change })
        .collect();
    fleet
}

/// The page that `write` writes.
pub(super) fn written(write: impl FnOnce(&Pages, &mut dyn Write) -> io::Result<()>) -> String {
    let mut page = Vec::new();
    write(&Pages::new(String::new(), "/metrics".to_owned()), &mut page).expect("memory takes everything");
    String::from_utf8(page).expect("text")
}

pub(super) fn overview_page(fleet: &Fleet, query: &str) -> String {
    written(|pages, out| pages.overview(fleet.clone(), &Query::parse(query), now(), out))
}

pub(super) fn target_page(fleet: &Fleet, name: &str) -> String {
    let report =
        fleet.targets.iter().find(|report| report.target.name.as_str() == name).expect("a target of this name");
    written(|pages, out| pages.target(Arc::clone(report), &fleet.exporter, now(), out))
}

/// A page as plain text, a block element to a line, with textual attributes in brackets. The version and values that
/// differ from run to run are replaced.
pub(super) fn plain(html: &str) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    let mut rest = html;
    while let Some((text, tail)) = rest.split_once('<') {
        let (tag, tail) = tail.split_once('>').expect("the end of a tag");
        line.push_str(&unescaped(text));
        rest = tail;
        let name = tag.trim_start_matches('/').split([' ', '>']).next().unwrap_or_default();
        match (name, tag.starts_with('/')) {
            ("style" | "script", false) => {
                rest = rest.split_once(&format!("</{name}>")).expect("the end of an element").1;
            }
            // A request to send is advice, not the page's own text.
            ("pre", true) => line = format!("{} …", line.trim().lines().next().unwrap_or_default()),
            ("dt", true) => line.push_str(": "),
            ("a" | "span", true) => line.push(' '),
            _ => {}
        }
        if !INLINE.contains(&name) && (name != "dd" || tag.starts_with('/')) && tag != "/dt" {
            end_line(&mut lines, &mut line);
        }
        for attribute in ["title", "aria-label", "placeholder"] {
            if let Some((_, value)) = tag.split_once(&format!(" {attribute}=\"")) {
                let value = value.split('"').next().unwrap_or_default();
                line.push_str(&format!("[{attribute}: {}] ", unescaped(value)));
            }
        }
    }
    line.push_str(&unescaped(rest));
    end_line(&mut lines, &mut line);
    lines.replace(env!("CARGO_PKG_VERSION"), "<version>")
}

/// Elements that share a line with the text around them.
const INLINE: [&str; 7] = ["a", "b", "code", "small", "span", "strong", "time"];

fn end_line(lines: &mut String, line: &mut String) {
    let is_random = |word: &&str| word.len() > 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = line.split_whitespace().map(|word| if is_random(&word) { "<hex>" } else { word });
    let text = words.collect::<Vec<_>>().join(" ");
    if !text.is_empty() {
        *lines += &text;
        lines.push('\n');
    }
    line.clear();
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}
