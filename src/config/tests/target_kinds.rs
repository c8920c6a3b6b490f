//! `mx` and `submission` targets.

use super::errors::check as refused;
use super::{accepted, name};
use crate::target::{MxTarget, SubmissionTarget, TargetKind, TlsMode};

/// The targets of this entry have these names and kinds.
#[track_caller]
fn check(entry: &str, expected: &[(&str, TargetKind)]) {
    let config = accepted(&format!("defaults: {{trust: mozilla}}\ntargets: [{{{entry}}}]"));
    let found: Vec<_> = config.targets.iter().map(|target| (target.name.as_str(), target.kind.clone())).collect();
    assert_eq!(found, expected, "{entry}");
}

fn mx(domain: &str, port: u16, tls: TlsMode) -> TargetKind {
    TargetKind::Mx(MxTarget { domain: name(domain), port, tls })
}

fn submission(domain: &str) -> TargetKind {
    TargetKind::Submission(SubmissionTarget { domain: name(domain) })
}

#[test]
fn domains_become_targets() {
    use TlsMode::{Implicit, StartTls};
    check("mx: Example.COM.", &[("mx:example.com", mx("example.com", 25, StartTls))]);
    check("mx: bücher.example", &[("mx:xn--bcher-kva.example", mx("xn--bcher-kva.example", 25, StartTls))]);
    check(
        "mx: [a.test, b.test]",
        &[("mx:a.test", mx("a.test", 25, StartTls)), ("mx:b.test", mx("b.test", 25, StartTls))],
    );
    check("mx: a.test, port: 2525, name: in", &[("in", mx("a.test", 2525, StartTls))]);
    check("mx: a.test, port: 465", &[("mx:a.test", mx("a.test", 465, Implicit))]);
    check("mx: a.test, tls: implicit", &[("mx:a.test", mx("a.test", 25, Implicit))]);
    check("submission: a.test", &[("submission:a.test", submission("a.test"))]);
    check("submission: a.test, name: out", &[("out", submission("a.test"))]);
    check(
        "submission: [a.test, b.test]",
        &[("submission:a.test", submission("a.test")), ("submission:b.test", submission("b.test"))],
    );
}

#[test]
fn one_domain_may_be_in_targets_of_each_kind() {
    let config = accepted(
        "defaults: {trust: mozilla}\ntargets: [{mx: a.test, labels: {team: x}, samples: 2}, {submission: a.test}]",
    );
    let [mx, submission] = config.targets.as_slice() else { panic!("two targets") };
    assert_eq!(mx.labels.iter().collect::<Vec<_>>(), [("team", "x")]);
    assert_eq!((mx.policy.samples, submission.policy.samples), (2, 1));
}

#[test]
fn what_dns_says_is_not_given() {
    refused(
        "targets: [{mx: a.test, addresses: [192.0.2.1]}]",
        "targets[0].addresses: found `addresses` with `mx`, allowed is what DNS says of the hosts in the MX records; `addresses` goes with `host`",
    );
    refused(
        "targets: [{mx: a.test, server_name: b.test}]",
        "targets[0].server_name: found `server_name` with `mx`, allowed is what DNS says of the hosts in the MX records; `server_name` goes with `host`",
    );
    refused(
        "targets: [{submission: a.test, addresses: []}]",
        "targets[0].addresses: found `addresses` with `submission`, allowed is what DNS says of the hosts in the SRV records; `addresses` goes with `host`",
    );
    refused(
        "targets: [{submission: a.test, port: 587}]",
        "targets[0].port: found `port` with `submission`, allowed is what the SRV records say; `port` goes with `host` and `mx`",
    );
    refused(
        "targets: [{submission: a.test, tls: implicit}]",
        "targets[0].tls: found `tls` with `submission`, allowed is what the SRV records say; `tls` goes with `host` and `mx`",
    );
}

#[test]
fn domains_are_no_addresses() {
    refused(
        "targets: [{mx: 192.0.2.1}]",
        "targets[0].mx: found `192.0.2.1` (an IP address), allowed is a domain, whose MX records are looked up (line 1, column 16)",
    );
    refused(
        "targets: [{mx: [a.test, '[2001:db8::1]']}]",
        "targets[0].mx[1]: found `[2001:db8::1]` (an IP address), allowed is a domain, whose MX records are looked up (line 1, column 25)",
    );
    refused(
        "targets: [{submission: 192.0.2.1}]",
        "targets[0].submission: found `192.0.2.1` (an IP address), allowed is a domain, whose SRV records are looked up (line 1, column 24)",
    );
    refused(
        "targets: [{mx: a..test}]",
        "targets[0].mx: found `a..test` (a label of the name is empty), allowed is a domain, whose MX records are looked up (line 1, column 16)",
    );
    let long = ["abcdefghi"; 26].join(".");
    refused(
        &format!("targets: [{{mx: {long}}}]"),
        &format!(
            "targets[0].mx: found `{}…` (the name has more than 253 octets), allowed is a domain, whose MX records are looked up (line 1, column 16)",
            &long[..60]
        ),
    );
    refused(
        "targets: [{mx: \"a.test:25\"}]",
        "targets[0].mx: found `a.test:25` (the port goes into a key of its own), allowed is a domain, whose MX records are looked up (line 1, column 16)",
    );
    refused(
        "targets: [{submission: \"a.test:25\"}]",
        "targets[0].submission: found `a.test:25` (the records name the ports), allowed is a domain, whose SRV records are looked up (line 1, column 24)",
    );
    refused(
        "targets: [{mx: 5}]",
        "targets[0].mx: found the number 5, allowed is a domain, whose MX records are looked up, or a list of them (line 1, column 16)",
    );
    refused(
        "targets: [{submission: {a: b}}]",
        "targets[0].submission: found a mapping, allowed is a domain, whose SRV records are looked up, or a list of them (line 1, column 24)",
    );
}

#[test]
fn lists_of_domains() {
    refused("targets: [{mx: []}]", "targets[0].mx: found an empty list, allowed is at least one domain");
    refused(
        "targets: [{submission: [a.test], name: x}]",
        "targets[0].name: found the name `x` for a list of domains, each of which is a target, allowed is a name of its own for each target: give one domain, or no name",
    );
    refused(
        "targets: [{mx: [a.test, A.test.]}]",
        "targets[0].mx[1]: found the name `mx:a.test` a second time, after targets[0].mx[0], allowed is a name of its own (key `name`) for each target",
    );
    refused(
        "targets: [{mx: a.test}, {mx: a.test, port: 26}]",
        "targets[1].mx: found the name `mx:a.test` a second time, after targets[0].mx, allowed is a name of its own (key `name`) for each target",
    );
}
