use std::net::IpAddr;

use super::*;
use crate::discovery::FoundHost;
use crate::observation::{Connection, Failure, Phases, PresentedChain};
use crate::reason::{ProbeReason, Stage};
use crate::target::{Endpoint, HostTarget, IpFamily, ProbeSettings, ServerName, TargetName, TlsMode, UserLabels};
use crate::trust::TrustStore;
use crate::verdict::AssessmentInput;

const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn backend(state: &TargetState) -> Backend {
    Backend::new(state.known_hosts().remove(0).endpoint, ADDRESS)
}

fn state(interval: Duration, tls: TlsMode) -> TargetState {
    let host = ServerName::parse("smtp.example.com").expect("a name");
    let endpoint = Arc::new(Endpoint { server_name: host.clone(), port: 25, tls });
    let settings = ProbeSettings {
        interval,
        timeout: Duration::from_secs(5),
        ip_family: IpFamily::Any,
        ..ProbeSettings::default()
    };
    let target = Target {
        name: TargetName::new("one").expect("a name"),
        kind: TargetKind::Host(HostTarget { host, addresses: vec![ADDRESS], endpoint }),
        labels: UserLabels::default(),
        settings: Arc::new(settings),
    };
    let mut state = TargetState::new(Arc::new(target), 0);
    begin(&mut state);
    state
}

fn begin(state: &mut TargetState) {
    state.begin(Instant::now());
    let KnownHost { endpoint, preference } = state.known_hosts().remove(0);
    let host = FoundHost {
        endpoint,
        preference,
        addresses: vec![ADDRESS],
        without_route: 0,
        ipv4_failed: false,
        ipv6_failed: false,
    };
    let found = Discovered { hosts: vec![host], report: None };
    assert_eq!(state.discovered(Some(found), None, 64, SystemTime::now()), [backend(state)]);
}

fn judged(outcome: Result<(), (Stage, ProbeReason)>) -> Judged {
    Judged {
        at: SystemTime::now(),
        duration: Duration::ZERO,
        phases: Phases::default(),
        outcome: outcome
            .map(|()| Connection { version: "TLSv1.3", cipher: "TLS13_AES_128_GCM_SHA256", group: "X25519" })
            .map_err(|(stage, reason)| Failure::new(stage, reason, "")),
        assessment: None,
        issuers_learned: 0,
        rate_limited: false,
    }
}

const REFUSED: (Stage, ProbeReason) = (Stage::Connect, ProbeReason::Refused);

/// After each outcome: the seconds until the backend is probed again between rounds.
#[track_caller]
fn check_reprobes(interval: u64, outcomes: &[(bool, Option<u64>)]) {
    let mut state = state(Duration::from_secs(interval), TlsMode::StartTls);
    for (place, (success, expected)) in outcomes.iter().enumerate() {
        let now = Instant::now();
        state.queue(&backend(&state)).expect("a backend that is not in progress");
        assert_eq!(state.queue(&backend(&state)), None, "in progress");
        state.probed(&backend(&state), judged(if *success { Ok(()) } else { Err(REFUSED) }), SystemTime::now());
        let planned = state.plan_reprobe(&backend(&state), now);
        assert_eq!(planned.map(|at| (at - now).as_secs()), *expected, "outcome {place} of {outcomes:?}");
        assert_eq!(planned.is_some_and(|at| state.wants_reprobe(&backend(&state), at)), planned.is_some());
    }
}

#[test]
fn a_new_failure_is_probed_again_soon() {
    let soon = Some(60);
    check_reprobes(300, &[(true, None), (false, soon), (false, soon), (false, None), (false, None), (true, None)]);
    check_reprobes(300, &[(false, soon), (true, None), (false, soon)]);
    check_reprobes(60, &[(false, None), (false, None)]);
    check_reprobes(30, &[(false, None)]);
}

#[test]
fn a_local_failure_changes_no_report() {
    let mut state = state(Duration::from_secs(300), TlsMode::StartTls);
    state.queue(&backend(&state)).expect("a backend");
    state.probed(&backend(&state), judged(Ok(())), SystemTime::now());
    let before = state.report();
    begin(&mut state);
    state.queue(&backend(&state)).expect("a backend");
    state.not_probed(&backend(&state));
    assert!(state.end_round(SystemTime::now()), "the round ends");
    let after = state.report();
    assert!(Arc::ptr_eq(&before.endpoints[0].backends[0], &after.endpoints[0].backends[0]));
    assert_eq!(after.counters.probes, 1);
    assert!(state.queue(&backend(&state)).is_some(), "no longer in progress");
}

#[test]
fn counts_consecutive_handshake_errors() {
    let mut state = state(Duration::from_secs(300), TlsMode::StartTls);
    for (outcome, expected) in [
        (Err((Stage::Handshake, ProbeReason::TlsVersion)), 1),
        (Err((Stage::Session, ProbeReason::ClientCertificateRequired)), 2),
        (Err(REFUSED), 2),
        (Err((Stage::StartTls, ProbeReason::StartTlsNotOffered)), 2),
        (Err((Stage::Session, ProbeReason::Eof)), 2),
        (Err((Stage::Handshake, ProbeReason::Timeout)), 3),
        (Ok(()), 0),
    ] {
        state.probed(&backend(&state), judged(outcome), SystemTime::now());
        assert_eq!(state.report().endpoints[0].backends[0].handshake_errors, expected, "{outcome:?}");
    }
}

#[test]
fn backends_that_time_out_queue_in_the_slow_lane() {
    use ProbeReason::{Eof, Timeout};
    for (tls, outcome, expected) in [
        (TlsMode::StartTls, Ok(()), Lane::Normal),
        (TlsMode::StartTls, Err((Stage::Connect, Timeout)), Lane::Slow),
        (TlsMode::StartTls, Err((Stage::Greeting, Timeout)), Lane::Slow),
        (TlsMode::StartTls, Err((Stage::Greeting, Eof)), Lane::Normal),
        (TlsMode::StartTls, Err((Stage::Handshake, Timeout)), Lane::Normal),
        (TlsMode::Implicit, Err((Stage::Handshake, Timeout)), Lane::Slow),
    ] {
        let mut state = state(Duration::from_secs(300), tls);
        state.probed(&backend(&state), judged(outcome), SystemTime::now());
        assert_eq!(state.queue(&backend(&state)), Some(expected), "{tls:?} {outcome:?}");
    }
}

#[test]
fn logs_changes_only() {
    let mut state = state(Duration::from_secs(300), TlsMode::StartTls);
    let eof = (Stage::Greeting, ProbeReason::Eof);
    for (outcome, expected) in
        [(Ok(()), true), (Ok(()), false), (Err(REFUSED), true), (Err(REFUSED), false), (Err(eof), true), (Ok(()), true)]
    {
        let news = state.probed(&backend(&state), judged(outcome), SystemTime::now());
        assert_eq!(news.is_some(), expected, "{outcome:?}");
    }
}

/// The certificate presented in each probe (`a` or `b`; a space is a failure), and which of the probes are logged (`!`).
#[track_caller]
fn check_logged(presented: &str, expected: &str) {
    let [a, b] = ["a", "b"].map(|name| {
        let signed = rcgen::generate_simple_self_signed([format!("{name}.example.com")]).expect("a certificate");
        let chain = PresentedChain { certificates: vec![signed.cert.der().clone()], staple: Box::default() };
        let server_name = &ServerName::parse("smtp.example.com").expect("a name");
        let trust = &TrustStore::new("none", Vec::new());
        let input = AssessmentInput { server_name, expect_names: &[], ehlo_name: None, trust, known: None };
        Judge::default().assess(chain, None, &input, SystemTime::now())
    });
    let mut state = state(Duration::from_secs(300), TlsMode::StartTls);
    let logged = presented.chars().map(|presented| {
        let judged = match presented {
            'a' => Judged { assessment: Some(a.clone()), ..judged(Ok(())) },
            'b' => Judged { assessment: Some(b.clone()), ..judged(Ok(())) },
            _ => judged(Err(REFUSED)),
        };
        if state.probed(&backend(&state), judged, SystemTime::now()).is_some() { '!' } else { '.' }
    });
    assert_eq!(logged.collect::<String>(), expected, "{presented}");
}

#[test]
fn alternating_certificates_are_logged_a_few_times_only() {
    check_logged("aaaa", "!...");
    check_logged("aaabbb", "!..!..");
    check_logged("abab", "!!!!");
    check_logged("abababababaaabb", "!!!!...........");
    check_logged("ababab  aaab  b", "!!!!..!.!...!.!");
}

#[test]
fn backs_off_longer_each_time_a_server_limits_the_rate() {
    let minute = Duration::from_secs(60);
    let mut state = state(minute, TlsMode::StartTls);
    let which = backend(&state);
    let limited = |rate_limited| Judged { rate_limited, ..judged(Err((Stage::Greeting, ProbeReason::Rejected4xx))) };
    let mut now = Instant::now();
    for (rate_limited, rounds) in [(true, 1), (true, 3), (true, 7), (false, 0), (true, 1)] {
        state.probed(&which, limited(rate_limited), SystemTime::now());
        state.rest(&which, now);
        // A probe that fails on this host has no effect.
        state.not_probed(&which);
        assert_eq!(
            state.plan_reprobe(&which, now).filter(|_| rate_limited),
            None,
            "no probe between the rounds either"
        );
        let left_out = (1..20).take_while(|round| state.rests(&which, now + minute * *round)).count();
        assert_eq!(left_out, rounds);
        now += minute * 20;
    }
}

fn found(name: &str, preference: u16, last: u8) -> FoundHost {
    let server_name = ServerName::parse(name).expect("a name");
    FoundHost {
        endpoint: Arc::new(Endpoint { server_name, port: 25, tls: TlsMode::StartTls }),
        preference: Some(preference),
        addresses: vec![[192, 0, 2, last].into()],
        without_route: 0,
        ipv4_failed: false,
        ipv6_failed: false,
    }
}

/// After each round: the hosts with their preference, in parentheses those no longer resolved.
#[track_caller]
fn check_hosts(state: &mut TargetState, hosts: Option<Vec<FoundHost>>, expected: &[&str]) {
    state.begin(Instant::now());
    let found = hosts.map(|hosts| Discovered { hosts, report: None });
    for backend in state.discovered(found, None, 64, SystemTime::now()) {
        state.probed(&backend, judged(Ok(())), SystemTime::now());
    }
    assert!(state.end_round(SystemTime::now()));
    let report = state.report();
    let shown = report.endpoints.iter().map(|endpoint| {
        let name = format!("{} {:?}", endpoint.endpoint.server_name, endpoint.preference.unwrap_or_default());
        if endpoint.backends.iter().any(|backend| backend.resolved) { name } else { format!("({name})") }
    });
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

#[test]
fn hosts_follow_their_records() {
    let mut state = state(Duration::from_secs(300), TlsMode::StartTls);
    let domain = ServerName::parse("example.com").expect("a name");
    let kind = TargetKind::Mx(crate::target::MxTarget { domain, port: 25, tls: TlsMode::StartTls });
    let target = Target { kind, ..(*state.target).clone() };
    assert_eq!(state.retarget(Arc::new(target)), Retargeted::Everything);
    let (a, b) =
        (|preference| found("a.example.com", preference, 1), |preference| found("b.example.com", preference, 2));
    check_hosts(&mut state, None, &[]);
    check_hosts(&mut state, Some(vec![a(10), b(20)]), &["a.example.com 10", "b.example.com 20"]);
    check_hosts(&mut state, Some(vec![b(5), a(10)]), &["b.example.com 5", "a.example.com 10"]);
    // A failed lookup changes nothing.
    check_hosts(&mut state, None, &["b.example.com 5", "a.example.com 10"]);
    for _ in 0..2 {
        check_hosts(&mut state, Some(vec![a(10)]), &["a.example.com 10", "b.example.com 5"]);
    }
    check_hosts(&mut state, Some(vec![a(10)]), &["a.example.com 10", "(b.example.com 5)"]);
    check_hosts(&mut state, Some(vec![a(10), b(5)]), &["a.example.com 10", "b.example.com 5"]);
}
