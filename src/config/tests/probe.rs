//! `probe`: what may be probed on request without being a target.

use super::accepted;
use crate::target::ProbeAccess;

/// The patterns of this list in their canonical form.
#[track_caller]
fn check(list: &str, expected: &[&str]) {
    let config = accepted(&format!(
        "probe: {{allow: {list}}}\ntargets: [{{host: a.test, trust: mozilla}}]\ndefaults: {{trust: mozilla}}"
    ));
    let allow = config.one_offs.map(|one_offs| one_offs.allow).unwrap_or_default();
    assert_eq!(allow.patterns().iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{list}");
}

#[test]
fn patterns_are_normalized() {
    check("[]", &[]);
    check("[SMTP.Example.com., \"*.bücher.test:2525\"]", &["smtp.example.com", "*.xn--bcher-kva.test:2525"]);
    check("[\"*\", \"mx:*\", \"submission:*.a.test\"]", &["*", "mx:*", "submission:*.a.test"]);
    check("[10.0.0.0/8, 2001:db8::/32, \"[::1]:25\"]", &["10.0.0.0/8", "2001:db8::/32", "[::1]:25"]);
}

#[test]
fn requested_probes_use_the_defaults() {
    // Without targets, and with a trust store and a resolver that no target uses.
    let config = accepted(
        "defaults: {trust: own, resolver: own, timeout: 7s, samples: 3, ehlo_name: probe.example.net}\n\
         trust_stores: {own: {files: [PEM/ca.pem]}, other: {files: [PEM/ca.pem]}}\n\
         resolvers: {own: {nameservers: [192.0.2.53]}, other: {nameservers: [192.0.2.53]}}\n\
         probe: {allow: [a.test]}",
    );
    let settings = config.one_offs.expect("one-offs").settings;
    assert_eq!((settings.timeout.as_secs(), settings.samples), (7, 1), "`samples` applies to periodic probes only");
    assert_eq!(config.trust_stores.keys().map(|name| &**name).collect::<Vec<_>>(), ["own"]);
    assert_eq!(config.resolvers.keys().map(|name| &**name).collect::<Vec<_>>(), ["own"]);
    assert!(accepted("targets: [{host: a.test, trust: mozilla}]").one_offs.is_none());
}

#[test]
fn requests_are_accepted_unless_switched_off() {
    for (keys, enabled, configured, permits_others) in [
        ("{}", true, true, false),
        ("{allow: [a.test]}", true, true, true),
        ("{enabled: true, configured: true}", true, true, false),
        ("{enabled: false, allow: [a.test]}", false, true, false),
        ("{configured: false, allow: [a.test]}", true, false, true),
    ] {
        let config = accepted(&format!("defaults: {{trust: mozilla}}\nprobe: {keys}\ntargets: [{{host: a.test}}]"));
        assert_eq!(config.probe_access, ProbeAccess { enabled, configured }, "{keys}");
        assert_eq!(config.one_offs.is_some(), permits_others, "{keys}");
    }
}
