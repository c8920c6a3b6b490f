//! `probe`: what may be probed that is no target.

use super::accepted;
use super::errors::check;

const ALLOWED: &str = "smtp.example.com, *.example.com or * (with or without :PORT), such a name after mx: or submission: \
                       (without), or a network such as 192.0.2.0/24";

/// The patterns of this list as they are understood.
#[track_caller]
fn check_accepted(list: &str, expected: &[&str]) {
    let config = accepted(&format!(
        "probe: {{allow: {list}}}\ntargets: [{{host: a.test, trust: mozilla}}]\ndefaults: {{trust: mozilla}}"
    ));
    let allow = config.one_offs.map(|one_offs| one_offs.allow).unwrap_or_default();
    assert_eq!(allow.patterns().iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{list}");
}

#[test]
fn patterns_that_are_accepted() {
    check_accepted("[]", &[]);
    check_accepted("[SMTP.Example.com., \"*.bücher.test:2525\"]", &["smtp.example.com", "*.xn--bcher-kva.test:2525"]);
    check_accepted("[\"*\", \"mx:*\", \"submission:*.a.test\"]", &["*", "mx:*", "submission:*.a.test"]);
    check_accepted("[10.0.0.0/8, 2001:db8::/32, \"[::1]:25\"]", &["10.0.0.0/8", "2001:db8::/32", "[::1]:25"]);
}

#[track_caller]
fn check_refused(pattern: &str, found: &str) {
    check(
        &format!("targets: [{{host: a.test}}]\nprobe: {{allow: [{pattern}]}}"),
        &format!("probe.allow[0]: found {found}, allowed is {ALLOWED} (line 2, column 17)"),
    );
}

#[test]
fn patterns_that_are_refused() {
    check_refused("a..test", "`a..test` (a label of the name is empty)");
    check_refused("a*.test", "`a*.test` (a `*` stands alone, or before the first dot)");
    check_refused("\"a.test:0\"", "`a.test:0` (the port is no number from 1 to 65535)");
    check_refused("\"mx:a.test:25\"", "`mx:a.test:25` (a port does not go with a domain)");
    check_refused("10.1.0.0/8", "`10.1.0.0/8` (the network of that length is 10.0.0.0/8)");
    check_refused("10.0.0.0/33", "`10.0.0.0/33` (the length after the `/` is none of this kind of address)");
    check_refused("25", "the number 25");
    check_refused("true", "the boolean true");
    check(
        "targets: [{host: a.test}]\nprobe: {allow: [a.test, A.test.]}",
        "probe.allow[1]: found the value `A.test.` twice, allowed is each value once (line 2, column 25)",
    );
    check("probe: {deny: []}", "probe: unknown key `deny`, allowed are allow (line 1, column 9)");
}

#[test]
fn one_offs_are_probed_as_defaults_say() {
    // Without a target, and with what no target names.
    let config = accepted(
        "defaults: {trust: own, resolver: own, timeout: 7s, samples: 3, ehlo_name: probe.example.net}\n\
         trust_stores: {own: {files: [DIR/ca.pem]}, other: {files: [DIR/ca.pem]}}\n\
         resolvers: {own: {nameservers: [192.0.2.53]}, other: {nameservers: [192.0.2.53]}}\n\
         probe: {allow: [a.test]}",
    );
    let policy = config.one_offs.expect("one-offs").policy;
    assert_eq!((policy.timeout.as_secs(), policy.samples), (7, 1), "samples are for what is probed on and on");
    assert_eq!(config.trust_stores.keys().map(|name| &**name).collect::<Vec<_>>(), ["own"]);
    assert_eq!(config.resolvers.keys().map(|name| &**name).collect::<Vec<_>>(), ["own"]);
    assert!(accepted("targets: [{host: a.test, trust: mozilla}]").one_offs.is_none());
    check("probe: {allow: []}", "targets: found no targets, allowed is at least one, here or in `target_files`");
    check(
        "defaults: {timeout: 10m}\nprobe: {allow: [a.test]}",
        "defaults.timeout: found 10m, allowed is at most the interval, 5m",
    );
}
