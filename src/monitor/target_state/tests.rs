use super::*;
use crate::discovery::FoundHost;
use crate::monitor::TargetId;
use crate::monitor::dedup::ProbeDedup;
use crate::observation::{Connection, Failure, LookupFailure, Phases, PresentedChain};
use crate::reason::{LookupReason, ProbeReason, RejectionCause, SkipReason, Stage};
use crate::snapshot::ProbeReport;
use crate::target::{Endpoint, HostTarget, IpFamily, ProbeSettings, TargetName, TlsMode, UserLabels};
use crate::verdict::{AssessmentInput, Judge};

const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// A target with one backend, which is probed in its first round.
struct Fixture {
    state: TargetState,
    dedup: ProbeDedup,
    lookups: u64,
}

impl Fixture {
    fn new(interval: Duration, tls: TlsMode) -> Self {
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
            kind: TargetKind::Host(HostTarget { host, is_qualified: false, addresses: vec![ADDRESS], endpoint }),
            labels: UserLabels::default(),
            settings: Arc::new(settings),
        };
        let state = TargetState::new(Arc::new(target), Origin::default());
        let mut fixture = Self { state, dedup: ProbeDedup::default(), lookups: 0 };
        fixture.begin();
        fixture
    }

    /// A round begins, and its lookup finds the address of the host.
    fn begin(&mut self) {
        let KnownHost { endpoint, preference } = self.state.known_hosts().remove(0);
        let host = FoundHost {
            endpoint,
            preference,
            addresses: vec![ADDRESS],
            not_allowed: Vec::new(),
            without_route: 0,
            ipv4_failed: false,
            ipv6_failed: false,
            found_as: None,
        };
        self.look_up(Some(Discovered { hosts: vec![host], report: None }), 64, Instant::now());
    }

    fn look_up(&mut self, found: Option<Discovered>, cap: usize, now: Instant) -> RosterChange {
        self.lookups += 1;
        let known = self.state.backends().map(|backend| backend.id).collect();
        self.state.phase.round_due(known, self.lookups);
        self.state.begin_round(now);
        let dedup = &mut self.dedup;
        let change =
            self.state.discovered(found, cap, (now, SystemTime::now()), |key| dedup.join(key, TargetId::default()));
        let members: Vec<_> = self.state.backends().map(|backend| backend.id).collect();
        self.state.phase.looked_up(|id| members.contains(&id), &change.added);
        change
    }

    fn id(&self) -> BackendId {
        self.state.backends().next().expect("a backend").id
    }

    fn probed(&mut self, judged: Judged) -> Option<Arc<BackendReport>> {
        let id = self.id();
        self.state.probed(id, judged, (Instant::now(), SystemTime::now()))
    }

    fn only(&self) -> &BackendState {
        self.state.backends().next().expect("a backend")
    }
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
        client_auth: None,
    }
}

const REFUSED: (Stage, ProbeReason) = (Stage::Connect, ProbeReason::Refused);

/// After each outcome: the seconds until the backend is probed again between rounds.
#[track_caller]
fn check_reprobes(interval: u64, outcomes: &[(bool, Option<u64>)]) {
    let mut fixture = Fixture::new(Duration::from_secs(interval), TlsMode::StartTls);
    let id = fixture.id();
    for (place, (success, expected)) in outcomes.iter().enumerate() {
        let now = Instant::now();
        fixture.state.queue(id).expect("a backend that is not in progress");
        assert_eq!(fixture.state.queue(id), None, "in progress");
        fixture.probed(judged(if *success { Ok(()) } else { Err(REFUSED) }));
        let planned = fixture.state.plan_reprobe(id, now);
        assert_eq!(planned.map(|at| (at - now).as_secs()), *expected, "outcome {place} of {outcomes:?}");
        assert_eq!(fixture.only().reprobe_at, planned);
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
    let mut fixture = Fixture::new(Duration::from_secs(300), TlsMode::StartTls);
    let id = fixture.id();
    fixture.state.queue(id).expect("a backend");
    fixture.probed(judged(Ok(())));
    let before = fixture.state.report();
    fixture.state.phase.end();
    fixture.begin();
    fixture.state.queue(id).expect("a backend");
    fixture.state.not_probed(id);
    assert!(fixture.state.phase.is_probed(), "the round can end");
    let after = fixture.state.report();
    assert!(Arc::ptr_eq(&before.endpoints[0].backends[0], &after.endpoints[0].backends[0]));
    assert_eq!(after.counters.probes, 1);
    assert!(fixture.state.queue(id).is_some(), "no longer in progress");
}

#[test]
fn a_result_that_is_older_than_the_last_one_changes_nothing() {
    let mut fixture = Fixture::new(Duration::from_secs(300), TlsMode::StartTls);
    let older = judged(Err(REFUSED));
    fixture.probed(Judged { at: older.at + Duration::from_nanos(1), ..judged(Ok(())) });
    assert!(fixture.probed(older).is_none());
    assert!(fixture.only().report.is_reachable());
    assert_eq!(fixture.state.counters.probes, 1);
}

#[test]
fn a_failed_lookup_is_repeated_until_three_have_failed() {
    let failed = || {
        let name = ServerName::parse("smtp.example.com").expect("a name");
        let failure =
            LookupFailure { name, record_type: "A", reason: LookupReason::Timeout, alias: None, is_partial: false };
        let failures = vec![failure];
        let report = LookupReport { failures, ..LookupReport::default() };
        Some(Discovered { hosts: Vec::new(), report: Some(report) })
    };
    let found = || Some(Discovered { hosts: Vec::new(), report: None });
    for (interval, lookups) in [
        (3600, &[(failed(), Some(60)), (failed(), Some(60)), (failed(), None), (failed(), None), (found(), None)][..]),
        (300, &[(found(), None), (failed(), Some(60)), (found(), None), (failed(), Some(60))]),
        (5, &[(failed(), Some(5)), (failed(), Some(5)), (failed(), None)]),
    ] {
        let mut fixture = Fixture::new(Duration::from_secs(interval), TlsMode::StartTls);
        for (place, (found, expected)) in lookups.iter().enumerate() {
            let now = Instant::now();
            fixture.look_up(found.clone(), 64, now);
            let planned = fixture.state.plan_lookup(now).map(|at| (at - now).as_secs());
            assert_eq!(planned, *expected, "lookup {place} at an interval of {interval} s");
        }
    }
}

#[test]
fn counts_consecutive_handshake_errors() {
    let mut fixture = Fixture::new(Duration::from_secs(300), TlsMode::StartTls);
    for (outcome, expected) in [
        (Err((Stage::Handshake, ProbeReason::TlsVersion)), 1),
        (Err((Stage::Session, ProbeReason::ClientCertificateRequired)), 2),
        (Err(REFUSED), 2),
        (Err((Stage::StartTls, ProbeReason::StartTlsNotOffered)), 2),
        (Err((Stage::Session, ProbeReason::Eof)), 2),
        (Err((Stage::Handshake, ProbeReason::Timeout)), 3),
        (Ok(()), 0),
    ] {
        fixture.probed(judged(outcome));
        assert_eq!(fixture.only().report.handshake_errors, expected, "{outcome:?}");
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
        (TlsMode::StartTls, Err((Stage::Ehlo, Timeout)), Lane::Slow),
        (TlsMode::StartTls, Err((Stage::StartTls, Timeout)), Lane::Slow),
        (TlsMode::StartTls, Err((Stage::Handshake, Timeout)), Lane::Slow),
        (TlsMode::StartTls, Err((Stage::Session, Timeout)), Lane::Slow),
        (TlsMode::Implicit, Err((Stage::Handshake, Timeout)), Lane::Slow),
        (TlsMode::Implicit, Err((Stage::Handshake, Eof)), Lane::Normal),
    ] {
        let mut fixture = Fixture::new(Duration::from_secs(300), tls);
        fixture.probed(judged(outcome));
        assert_eq!(fixture.state.queue(fixture.id()), Some(expected), "{tls:?} {outcome:?}");
    }
}

#[test]
fn logs_changes_only() {
    let mut fixture = Fixture::new(Duration::from_secs(300), TlsMode::StartTls);
    let eof = (Stage::Greeting, ProbeReason::Eof);
    for (outcome, expected) in
        [(Ok(()), true), (Ok(()), false), (Err(REFUSED), true), (Err(REFUSED), false), (Err(eof), true), (Ok(()), true)]
    {
        assert_eq!(fixture.probed(judged(outcome)).is_some(), expected, "{outcome:?}");
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
    let mut fixture = Fixture::new(Duration::from_secs(300), TlsMode::StartTls);
    let logged = presented.chars().map(|presented| {
        let judged = match presented {
            'a' => Judged { assessment: Some(a.clone()), ..judged(Ok(())) },
            'b' => Judged { assessment: Some(b.clone()), ..judged(Ok(())) },
            _ => judged(Err(REFUSED)),
        };
        if fixture.probed(judged).is_some() { '!' } else { '.' }
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

fn refused(cause: Option<RejectionCause>) -> Judged {
    let failure = Failure::new(Stage::Greeting, ProbeReason::Rejected4xx, "421").with_cause(cause);
    Judged { outcome: Err(failure), ..judged(Ok(())) }
}

#[test]
fn backs_off_longer_each_time_a_server_limits_the_rate() {
    let minute = Duration::from_secs(60);
    let mut fixture = Fixture::new(minute, TlsMode::StartTls);
    let id = fixture.id();
    let mut now = Instant::now();
    let limit = Some(RejectionCause::ConnectionLimit);
    for (cause, rounds) in [(limit, 1), (limit, 3), (limit, 7), (None, 0), (limit, 1)] {
        fixture.state.probed(id, refused(cause), (now, SystemTime::now()));
        // A probe that fails on this host has no effect.
        fixture.state.not_probed(id);
        let planned = fixture.state.plan_reprobe(id, now).filter(|_| cause == limit);
        assert_eq!(planned, None, "no probe between the rounds either");
        let left_out = (1..20).take_while(|round| fixture.only().is_backing_off(now + minute * *round)).count();
        assert_eq!(left_out, rounds);
        now += minute * 20;
    }
    for _ in 0..100 {
        fixture.state.probed(id, refused(limit), (now, SystemTime::now()));
    }
    assert!(!fixture.only().is_backing_off(now + Duration::from_secs(3600)), "at most an hour");
}

#[test]
fn only_a_limit_slows_probes_down() {
    for cause in RejectionCause::ALL.iter().copied().map(Some).chain([None]) {
        let mut fixture = Fixture::new(Duration::from_secs(300), TlsMode::StartTls);
        let (id, now) = (fixture.id(), Instant::now());
        fixture.probed(refused(cause));
        let is_limit = cause == Some(RejectionCause::ConnectionLimit);
        assert_eq!(fixture.only().is_backing_off(now + Duration::from_secs(299)), is_limit, "{cause:?}");
        assert_eq!(fixture.only().report.probe.as_ref().map(ProbeReport::rate_limited), Some(is_limit), "{cause:?}");
        let waits = matches!(cause, Some(RejectionCause::Closing | RejectionCause::ServerUnavailable)) || is_limit;
        assert_eq!(fixture.state.plan_reprobe(id, now).is_none(), waits, "{cause:?}");
    }
}

#[test]
fn handshake_errors_end_when_data_arrives_inside_tls() {
    use ProbeReason as Why;
    let mut fixture = Fixture::new(Duration::from_secs(60), TlsMode::StartTls);
    let mut errors = |outcome| {
        fixture.probed(judged(outcome));
        fixture.only().report.handshake_errors
    };
    for reason in [Why::Rejected4xx, Why::Rejected5xx, Why::MalformedReply, Why::ReplyTooLarge] {
        let counts = [Why::TlsVersion, Why::Reset, Why::Eof].map(|reason| errors(Err((Stage::Handshake, reason))));
        assert_eq!(counts, [1, 2, 3]);
        // Without TLS, nothing is known about it.
        assert_eq!(errors(Err((Stage::Greeting, Why::Rejected5xx))), 3);
        assert_eq!(errors(Err((Stage::Session, Why::Eof))), 3);
        assert_eq!(errors(Err((Stage::Session, reason))), 0, "{reason}");
    }
}

fn found(name: &str, preference: u16, last: u8) -> FoundHost {
    let server_name = ServerName::parse(name).expect("a name");
    FoundHost {
        endpoint: Arc::new(Endpoint { server_name, port: 25, tls: TlsMode::StartTls }),
        preference: Some(preference),
        addresses: vec![[192, 0, 2, last].into()],
        not_allowed: Vec::new(),
        without_route: 0,
        ipv4_failed: false,
        ipv6_failed: false,
        found_as: None,
    }
}

/// The number of addresses without a route is reported when no other address is left, and not again.
#[test]
fn a_target_without_route_is_logged_once() {
    let mut fixture = Fixture::new(Duration::from_secs(60), TlsMode::StartTls);
    fixture.state.phase.end();
    let found = |addresses: usize, without_route| {
        let KnownHost { endpoint, preference } = fixture.state.known_hosts().remove(0);
        let host = found("smtp.example.com", 0, 1);
        let addresses = host.addresses.iter().copied().take(addresses).collect();
        FoundHost { endpoint, preference, addresses, without_route, ..host }
    };
    let failed = FoundHost { ipv4_failed: true, ..found(0, 2) };
    let rounds = [(1, 1), (0, 2), (0, 2), (0, 3), (0, 0), (0, 1), (1, 0)].map(|(up, down)| found(up, down));
    assert_eq!(fixture.state.newly_without_route(&Discovered { hosts: vec![failed], report: None }), None);
    let logged = rounds.map(|host| {
        let discovered = Discovered { hosts: vec![host], report: None };
        let logged = fixture.state.newly_without_route(&discovered);
        fixture.look_up(Some(discovered), 64, Instant::now());
        fixture.state.phase.end();
        logged
    });
    assert_eq!(logged, [None, Some(2), None, None, None, Some(1), None]);
}

/// Addresses that are not allowed, as of the last lookup of their family that did not fail.
#[test]
fn addresses_that_are_not_allowed_are_kept_while_lookups_fail() {
    use SkipReason::{AddressNotAllowed, PortNotAllowed};
    let mut fixture = Fixture::new(Duration::from_secs(60), TlsMode::StartTls);
    fixture.state.phase.end();
    let (v4, v6): ([IpAddr; 3], [IpAddr; 2]) = (
        [1, 2, 3].map(|last| [127, 0, 0, last].into()),
        ["::1", "fe80::1"].map(|text| text.parse().expect("an address")),
    );
    let address = |ip| (AddressNotAllowed, ip);
    // The lookup, the families that failed, the number that is reported, and whether it is logged.
    type Round<'a> = (&'a [(SkipReason, IpAddr)], [bool; 2], usize, bool);
    let rounds: [Round<'_>; 10] = [
        (&[address(v4[0]), address(v4[1]), address(v6[0])], [false, false], 3, true),
        (&[], [true, true], 3, false),
        (&[address(v4[2])], [false, true], 2, true),
        (&[address(v4[0])], [false, true], 2, false),
        (&[], [false, true], 1, false),
        (&[address(v6[0]), address(v6[1])], [true, false], 2, true),
        (&[address(v4[0]), (PortNotAllowed, v4[0])], [false, true], 4, true),
        (&[(PortNotAllowed, v4[0]), address(v4[0])], [false, true], 4, false),
        (&[], [true, false], 2, false),
        (&[], [false, false], 0, false),
    ];
    for (place, (not_allowed, [ipv4_failed, ipv6_failed], reported, logged)) in rounds.into_iter().enumerate() {
        let KnownHost { endpoint, preference } = fixture.state.known_hosts().remove(0);
        let host = FoundHost {
            endpoint,
            preference,
            not_allowed: not_allowed.to_vec(),
            ipv4_failed,
            ipv6_failed,
            ..found("smtp.example.com", 0, 1)
        };
        let discovered = Discovered { hosts: vec![host], report: None };
        assert_eq!(!fixture.state.new_not_allowed(&discovered).is_empty(), logged, "round {place}");
        fixture.look_up(Some(discovered), 64, Instant::now());
        fixture.state.phase.end();
        let report = fixture.state.report();
        let named: usize = report.endpoints.iter().map(|endpoint| endpoint.not_allowed.len()).sum();
        assert_eq!((report.not_allowed(), named), (reported, reported), "round {place}");
    }
}

/// After each round: the hosts with their preference, in parentheses those no longer resolved.
#[track_caller]
fn check_hosts(fixture: &mut Fixture, hosts: Option<Vec<FoundHost>>, expected: &[&str]) {
    fixture.look_up(hosts.map(|hosts| Discovered { hosts, report: None }), 64, Instant::now());
    for id in fixture.state.backends().map(|backend| backend.id).collect::<Vec<_>>() {
        fixture.state.probed(id, judged(Ok(())), (Instant::now(), SystemTime::now()));
    }
    assert!(fixture.state.phase.is_probed());
    fixture.state.phase.end();
    let report = fixture.state.report();
    let shown = report.endpoints.iter().map(|endpoint| {
        let name = format!("{} {:?}", endpoint.endpoint.server_name, endpoint.preference.unwrap_or_default());
        if endpoint.backends.iter().any(|backend| backend.resolved) { name } else { format!("({name})") }
    });
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

/// A fixture whose target is a domain.
fn domain() -> Fixture {
    let mut fixture = Fixture::new(Duration::from_secs(300), TlsMode::StartTls);
    let domain = ServerName::parse("example.com").expect("a name");
    let kind = TargetKind::Mx(crate::target::MxTarget { domain, port: 25, tls: TlsMode::StartTls });
    let target = Target { kind, ..(*fixture.state.target).clone() };
    assert_eq!(fixture.state.retarget(Arc::new(target)), TargetChange::Everything);
    fixture
}

#[test]
fn hosts_follow_their_records() {
    let mut state = domain();
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

#[test]
fn results_of_other_settings_or_without_probes_are_not_recent() {
    let mut fixture = Fixture::new(Duration::from_secs(300), TlsMode::StartTls);
    let (now, minute) = (Instant::now(), Duration::from_secs(60));
    fixture.state.end_round(now, SystemTime::now());
    for (seconds, expected) in [(0, true), (60, true), (61, false)] {
        assert_eq!(fixture.state.ended_within(minute, now + Duration::from_secs(seconds)), expected, "{seconds} s");
    }
    fixture.state.begin_lookup();
    fixture.state.end_round(now, SystemTime::now());
    assert!(!fixture.state.ended_within(minute, now), "nothing was probed");
    fixture.state.begin_round(now);
    assert!(fixture.state.ended_within(minute, now));
    let settings = ProbeSettings { interval: minute, ..(*fixture.state.target.settings).clone() };
    let target = Target { settings: Arc::new(settings), ..(*fixture.state.target).clone() };
    assert_ne!(fixture.state.retarget(Arc::new(target)), TargetChange::Labels);
    assert!(!fixture.state.ended_within(minute, now));
}

/// The cap holds for all hosts together, including those that are no longer in DNS; those that are come first.
#[test]
fn the_cap_bounds_the_backends_of_all_hosts() {
    let mut fixture = domain();
    for round in 0..40_u8 {
        let hosts = (0..3).map(|host| found(&format!("mx{round}-{host}.example.com"), 10, round * 3 + host));
        let change = fixture.look_up(Some(Discovered { hosts: hosts.collect(), report: None }), 8, Instant::now());
        let ids: Vec<_> = fixture.state.backends().map(|backend| backend.id).collect();
        assert!(ids.len() <= 8, "{} backends in round {round}", ids.len());
        assert_eq!(change.added.len(), 3, "all that are in DNS now, in round {round}");
        for id in ids {
            fixture.state.probed(id, judged(Ok(())), (Instant::now(), SystemTime::now()));
        }
        fixture.state.phase.end();
    }
    // More in DNS than fit: the known ones stay.
    let many = || {
        Some(Discovered {
            hosts: (0..10).map(|n| found(&format!("h{n}.example.com"), 10, 200 + n)).collect(),
            report: None,
        })
    };
    fixture.look_up(many(), 8, Instant::now());
    let backends = |fixture: &Fixture| fixture.state.backends().map(|backend| backend.id).collect::<Vec<_>>();
    let (before, skipped) = (backends(&fixture), fixture.state.over_cap());
    assert_eq!((before.len(), skipped), (8, 2));
    fixture.state.phase.end();
    fixture.look_up(many(), 8, Instant::now());
    assert_eq!((backends(&fixture), fixture.state.over_cap()), (before, 2));
}
