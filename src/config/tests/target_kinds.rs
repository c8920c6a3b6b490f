//! `mx` and `submission` targets.

use super::{accepted, name};
use crate::target::{MxTarget, SubmissionTarget, TargetKind, TlsMode};

/// This entry yields targets with these names and kinds.
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
fn each_domain_becomes_a_target() {
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
fn mx_and_submission_targets_may_share_a_domain() {
    let config = accepted(
        "defaults: {trust: mozilla}\ntargets: [{mx: a.test, labels: {team: x}, samples: 2}, {submission: a.test}]",
    );
    let [mx, submission] = config.targets.as_slice() else { panic!("two targets") };
    assert_eq!(mx.labels.iter().collect::<Vec<_>>(), [("team", "x")]);
    assert_eq!((mx.settings.samples, submission.settings.samples), (2, 1));
}
