//! One target's state from round to round: who its backends are, what is known of each, and what readers see of it.
//! No I/O; time is an argument.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;

use super::admission::Lane;
use super::backend::{BackendState, Judged};
use super::host::HostState;
use super::sharing::Key;
use crate::discovery::roster::{Bounds, Round};
use crate::discovery::{Discovered, KnownHost};
use crate::observation::LookupReport;
use crate::reason::SkipReason;
use crate::snapshot::{BackendReport, Counters, Held, TargetReport};
use crate::target::{Backend, Target, TargetKind};
use crate::verdict::{Assessment, Judge, JudgedChain};

/// A target between its rounds and in them.
#[derive(Debug)]
pub(super) struct TargetState {
    pub(super) target: Arc<Target>,
    /// Where its report stands on the board.
    pub(super) place: usize,
    /// Due entries of an older generation are void.
    pub(super) generation: u32,
    pub(super) progress: Progress,
    /// Who asked for a round and waits for its end.
    pub(super) waiters: Vec<oneshot::Sender<Arc<TargetReport>>>,
    pub(super) counters: Counters,
    hosts: Vec<HostState>,
    lookup: Option<Arc<LookupReport>>,
    file: Option<[u8; 32]>,
    begun_at: Option<Instant>,
    last_round: Option<SystemTime>,
}

/// What a changed entry means for what is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing: due entries, the round and its probes go on.
    Labels,
    /// Due entries and probes under way are void.
    Policy,
    /// Likewise, and a round must begin at once.
    Everything,
}

/// Where a target stands in its round.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Between rounds.
    Idle,
    /// Its addresses are being looked up.
    LookingUp,
    /// These have not been probed in this round yet.
    Probing(Vec<Backend>),
}

impl TargetState {
    pub(super) fn new(target: Arc<Target>, place: usize) -> Self {
        Self {
            hosts: named_by_config(&target),
            target,
            place,
            generation: 0,
            progress: Progress::Idle,
            waiters: Vec::new(),
            counters: Counters::default(),
            lookup: None,
            file: None,
            begun_at: None,
            last_round: None,
        }
    }

    /// Takes over a changed entry of the same name: counters stay, and so do the backends of an unchanged endpoint.
    pub(super) fn retarget(&mut self, target: Arc<Target>) -> Change {
        let before = std::mem::replace(&mut self.target, target);
        let other_kind = before.kind != self.target.kind;
        if !other_kind && before.policy == self.target.policy {
            return Change::Labels;
        }
        self.generation = self.generation.wrapping_add(1);
        let interrupted = self.progress != Progress::Idle || self.is_new();
        self.begun_at = None;
        self.progress = Progress::Idle;
        if other_kind {
            self.lookup = None;
            let named = named_by_config(&self.target);
            // Where only the addresses are given anew, what is known of those that stay is kept.
            if !named.is_empty() && self.hosts.iter().map(|host| &host.host).eq(named.iter().map(|host| &host.host)) {
                for host in &mut self.hosts {
                    host.forget_roster();
                }
            } else {
                self.hosts = named;
            }
        }
        for backend in self.hosts.iter_mut().flat_map(|host| &mut host.backends) {
            backend.busy = false;
            backend.reprobe_at = None;
            backend.samples.clear();
        }
        if interrupted || other_kind { Change::Everything } else { Change::Policy }
    }

    /// Replaces the verdicts on all certificates that are held.
    pub(super) fn rejudge(&mut self, judge: impl Fn(&Backend, &Assessment) -> Assessment) {
        for BackendState { report, samples, .. } in self.hosts.iter_mut().flat_map(|host| &mut host.backends) {
            for sample in samples {
                sample.assessment = judge(&report.backend, &sample.assessment);
            }
            if let Some(held) = &report.held {
                let held = Held { assessment: judge(&report.backend, &held.assessment), ..held.clone() };
                *report = Arc::new(BackendReport { held: Some(held), ..(**report).clone() });
            }
        }
    }

    /// Whether a chain that is held leads to no root for want of an issuer, and one of that name is known by now.
    pub(super) fn may_be_completed(&self, judge: &Judge) -> bool {
        let held = self.backends().filter_map(|backend| backend.report.held.as_ref());
        let mut lacking = held.map(|held| &held.assessment).filter(|assessment| assessment.lacks_issuer());
        lacking.any(|assessment| !judge.is_quick(&assessment.chain))
    }

    /// Whether no round was finished yet.
    pub(super) fn is_new(&self) -> bool {
        self.last_round.is_none()
    }

    /// Begins a round with its lookup.
    pub(super) fn begin(&mut self, now: Instant) {
        self.progress = Progress::LookingUp;
        self.begun_at = Some(now);
    }

    /// Whether the last round began so short a time ago.
    pub(super) fn begun_within(&self, time: Duration, now: Instant) -> bool {
        self.begun_at.is_some_and(|begun| now.duration_since(begun) < time)
    }

    /// The hosts as of the last lookup that found them out.
    pub(super) fn known_hosts(&self) -> Vec<KnownHost> {
        self.hosts.iter().filter(|host| host.named).map(|host| host.host.clone()).collect()
    }

    /// Takes in what a lookup brought, none where it brought nothing, and says what is to be probed now.
    pub(super) fn discovered(
        &mut self,
        found: Option<Discovered>,
        file: Option<[u8; 32]>,
        cap: usize,
        now: SystemTime,
    ) -> Vec<Backend> {
        let retention = self.target.policy.backend_retention;
        let mut left = cap;
        let mut update = |host: &mut HostState, round: Round<'_>, without_route: usize| {
            host.update(round, without_route, Bounds { retention, cap: left }, now);
            left = left.saturating_sub(host.backends.len());
        };
        let is_known = found.is_some();
        let Discovered { hosts, report } = found.unwrap_or(Discovered { hosts: Vec::new(), report: None });
        let mut before = std::mem::take(&mut self.hosts);
        for found in hosts {
            let host = KnownHost { endpoint: found.endpoint, preference: found.preference };
            let at = before.iter().position(|known| known.host.endpoint == host.endpoint);
            let mut state = at.map_or_else(|| HostState::new(host.clone()), |at| before.remove(at));
            state.host.preference = host.preference;
            state.named = true;
            let (ipv4_failed, ipv6_failed) = (found.ipv4_failed, found.ipv6_failed);
            update(&mut state, Round { named: &found.addresses, ipv4_failed, ipv6_failed }, found.without_route);
            self.hosts.push(state);
        }
        // Hosts that are named no longer go as addresses do that are named no longer.
        for mut state in before {
            state.named &= !is_known;
            update(&mut state, Round { named: &[], ipv4_failed: !is_known, ipv6_failed: !is_known }, 0);
            if !state.backends.is_empty() || named_by_config(&self.target).iter().any(|named| named.host == state.host)
            {
                self.hosts.push(state);
            }
        }
        self.lookup = report.map(Arc::new);
        self.file = file;
        let backends: Vec<Backend> = self.backends().map(|backend| backend.report.backend.clone()).collect();
        self.progress = Progress::Probing(backends.clone());
        backends
    }

    /// Marks a backend as queued; none where it is gone or queued already.
    pub(super) fn queue(&mut self, which: &Backend) -> Option<Lane> {
        let backend = self.backend(which).filter(|backend| !backend.busy)?;
        backend.busy = true;
        backend.reprobe_at = None;
        Some(backend.lane())
    }

    /// Whether `which` is a backend now, and the chain that it presented last.
    pub(super) fn last_chain(&self, which: &Backend) -> Option<Option<Arc<JudgedChain>>> {
        let backend = self.backends().find(|backend| backend.report.backend == *which)?;
        Some(backend.report.held.as_ref().map(|held| Arc::clone(&held.assessment.chain)))
    }

    /// When a backend was probed last, as far as this target knows.
    pub(super) fn last_probe(&self, which: &Backend) -> Option<SystemTime> {
        let backend = self.backends().find(|backend| backend.report.backend == *which)?;
        Some(backend.report.probe.as_ref()?.at)
    }

    /// Takes back that a backend is queued.
    pub(super) fn unqueue(&mut self, which: &Backend) {
        if let Some(backend) = self.backend(which) {
            backend.busy = false;
        }
    }

    /// After a finished probe: leaves the backend alone where its server said that it limits us.
    pub(super) fn rest(&mut self, which: &Backend, now: Instant) {
        let pace = self.pace();
        if let Some(backend) = self.backend(which) {
            backend.rest(pace, now);
        }
    }

    /// Whether a backend is left alone because its server limits us.
    pub(super) fn rests(&self, which: &Backend, now: Instant) -> bool {
        self.backends().any(|backend| backend.report.backend == *which && backend.rests(now))
    }

    /// Addresses beyond the cap.
    pub(super) fn over_cap(&self) -> usize {
        let skipped = self.hosts.iter().flat_map(|host| &host.skipped);
        skipped.filter(|(reason, _)| *reason == SkipReason::Cap).map(|(_, count)| count).sum()
    }

    /// Ticks a backend off that need not be probed in this round.
    pub(super) fn is_served(&mut self, which: &Backend) {
        self.tick_off(which);
    }

    /// From one probe of a backend to the next.
    pub(super) fn pace(&self) -> Duration {
        self.target.policy.pace()
    }

    /// What its backends have in common with equal ones of other targets.
    pub(super) fn key(&self, which: &Backend) -> Key {
        Key::new(which, self.target.policy.client_certificate.as_ref())
    }

    /// The keys of all its backends.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.backends().map(|backend| self.key(&backend.report.backend)).collect()
    }

    /// Whether a due entry for another probe outside a round still holds.
    pub(super) fn wants_reprobe(&mut self, which: &Backend, at: Instant) -> bool {
        self.backend(which).is_some_and(|backend| backend.reprobe_at == Some(at))
    }

    /// Takes in a finished probe; the report after it where the log is to tell of a change.
    pub(super) fn probed(&mut self, which: &Backend, judged: Judged, now: SystemTime) -> Option<Arc<BackendReport>> {
        self.counters.count(&judged.outcome);
        self.tick_off(which);
        let (target, file) = (Arc::clone(&self.target), self.file);
        let backend = self.backend(which)?;
        backend.busy = false;
        backend.take_in(judged, &target, file);
        backend.news(now)
    }

    /// Takes in a probe that this machine could not make.
    pub(super) fn not_probed(&mut self, which: &Backend) {
        self.tick_off(which);
        if let Some(backend) = self.backend(which) {
            backend.busy = false;
        }
    }

    /// When a backend is to be probed outside a round, if at all: soon after a failure that is new, and for each
    /// further sample.
    pub(super) fn plan_reprobe(&mut self, which: &Backend, now: Instant) -> Option<Instant> {
        let policy = Arc::clone(&self.target.policy);
        let backend = self.backend(which)?;
        let failures = backend.report.probe.as_ref().map(|probe| probe.consecutive_failures);
        if backend.rests(now) {
            return None;
        }
        let after = match failures {
            // None: this machine failed before anything was known.
            None | Some(1 | 2) if policy.interval > REPROBE => REPROBE,
            Some(0) if backend.sampled < policy.samples => policy.interval / policy.samples,
            _ => return None,
        };
        backend.reprobe_at = Some(now + after);
        backend.reprobe_at
    }

    /// Ends the round where nothing of it is left; true if so.
    pub(super) fn end_round(&mut self, now: SystemTime) -> bool {
        let ended = matches!(&self.progress, Progress::Probing(left) if left.is_empty());
        if ended {
            self.progress = Progress::Idle;
            self.last_round = Some(now);
        }
        ended
    }

    /// What readers see.
    pub(super) fn report(&self) -> TargetReport {
        TargetReport {
            target: Arc::clone(&self.target),
            lookup: self.lookup.clone(),
            last_round: self.last_round,
            endpoints: self.hosts.iter().map(HostState::report).collect(),
            counters: self.counters.clone(),
            file: None,
            changes: Arc::default(),
        }
    }

    pub(super) fn lookup(&self) -> Option<&Arc<LookupReport>> {
        self.lookup.as_ref()
    }

    fn tick_off(&mut self, which: &Backend) {
        if let Progress::Probing(left) = &mut self.progress {
            left.retain(|each| each != which);
        }
    }

    fn backends(&self) -> impl Iterator<Item = &BackendState> {
        self.hosts.iter().flat_map(|host| &host.backends)
    }

    fn backend(&mut self, which: &Backend) -> Option<&mut BackendState> {
        let mut all = self.hosts.iter_mut().flat_map(|host| &mut host.backends);
        all.find(|backend| backend.report.backend == *which)
    }
}

/// The hosts that need not be found out.
fn named_by_config(target: &Target) -> Vec<HostState> {
    match &target.kind {
        TargetKind::Host(host) => {
            vec![HostState::new(KnownHost { endpoint: Arc::clone(&host.endpoint), preference: None })]
        }
        TargetKind::Mx(_) | TargetKind::Submission(_) => Vec::new(),
    }
}

/// After a new failure a backend is probed again this soon, where its interval is longer.
const REPROBE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::discovery::FoundHost;
    use crate::observation::{Connection, Failure, Phases, PresentedChain};
    use crate::reason::{ProbeReason, Stage};
    use crate::target::{EhloName, Endpoint, HostTarget, IpFamily, Labels, Policy, ServerName, TargetName, TlsMode};
    use crate::trust::TrustStore;
    use crate::verdict::Question;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn backend(state: &TargetState) -> Backend {
        Backend::new(state.known_hosts().remove(0).endpoint, ADDRESS)
    }

    fn state(interval: Duration, tls: TlsMode) -> TargetState {
        let host = ServerName::parse("smtp.example.com").expect("a name");
        let endpoint = Arc::new(Endpoint { server_name: host.clone(), port: 25, tls });
        let policy = Policy {
            interval,
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            ehlo_name: EhloName::AddressLiteral,
            ip_family: IpFamily::Any,
            backend_retention: Duration::from_secs(3600),
            samples: 1,
            expect_names: Vec::new(),
            trust: "system".into(),
            resolver: "system".into(),
            client_certificate: None,
            certificate_file: None,
        };
        let target = Target {
            name: TargetName::new("one").expect("a name"),
            kind: TargetKind::Host(HostTarget { host, addresses: vec![ADDRESS], endpoint }),
            labels: Labels::default(),
            policy: Arc::new(policy),
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
            rate_limited: false,
        }
    }

    const REFUSED: (Stage, ProbeReason) = (Stage::Connect, ProbeReason::Refused);

    /// After each outcome: how soon the backend is probed again outside its rounds.
    #[track_caller]
    fn check_reprobes(interval: u64, outcomes: &[(bool, Option<u64>)]) {
        let mut state = state(Duration::from_secs(interval), TlsMode::StartTls);
        for (place, (success, expected)) in outcomes.iter().enumerate() {
            let now = Instant::now();
            state.queue(&backend(&state)).expect("a backend that is not busy");
            assert_eq!(state.queue(&backend(&state)), None, "it is busy");
            state.probed(&backend(&state), judged(if *success { Ok(()) } else { Err(REFUSED) }), SystemTime::now());
            let planned = state.plan_reprobe(&backend(&state), now);
            assert_eq!(planned.map(|at| (at - now).as_secs()), *expected, "outcome {place} of {outcomes:?}");
            assert_eq!(planned.is_some_and(|at| state.wants_reprobe(&backend(&state), at)), planned.is_some());
        }
    }

    #[test]
    fn a_new_failure_is_looked_at_again_soon() {
        let soon = Some(60);
        check_reprobes(300, &[(true, None), (false, soon), (false, soon), (false, None), (false, None), (true, None)]);
        check_reprobes(300, &[(false, soon), (true, None), (false, soon)]);
        check_reprobes(60, &[(false, None), (false, None)]);
        check_reprobes(30, &[(false, None)]);
    }

    #[test]
    fn a_local_failure_touches_no_report() {
        let mut state = state(Duration::from_secs(300), TlsMode::StartTls);
        state.queue(&backend(&state)).expect("a backend");
        state.probed(&backend(&state), judged(Ok(())), SystemTime::now());
        let before = state.report();
        begin(&mut state);
        state.queue(&backend(&state)).expect("a backend");
        state.not_probed(&backend(&state));
        assert!(state.end_round(SystemTime::now()), "the round ends all the same");
        let after = state.report();
        assert!(Arc::ptr_eq(&before.endpoints[0].backends[0], &after.endpoints[0].backends[0]));
        assert_eq!(after.counters.probes, 1);
        assert!(state.queue(&backend(&state)).is_some(), "it is not busy any more");
    }

    #[test]
    fn handshake_errors_count_what_ended_in_tls() {
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
    fn who_let_us_wait_queues_in_the_slow_lane() {
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
    fn a_line_is_due_for_each_change_only() {
        let mut state = state(Duration::from_secs(300), TlsMode::StartTls);
        let eof = (Stage::Greeting, ProbeReason::Eof);
        for (outcome, expected) in [
            (Ok(()), true),
            (Ok(()), false),
            (Err(REFUSED), true),
            (Err(REFUSED), false),
            (Err(eof), true),
            (Ok(()), true),
        ] {
            let news = state.probed(&backend(&state), judged(outcome), SystemTime::now());
            assert_eq!(news.is_some(), expected, "{outcome:?}");
        }
    }

    /// Which of two certificates a server shows, failures as spaces, and which of the probes are told of.
    #[track_caller]
    fn check_told(shown: &str, expected: &str) {
        let [a, b] = ["a", "b"].map(|name| {
            let signed = rcgen::generate_simple_self_signed([format!("{name}.example.com")]).expect("a certificate");
            let presented = PresentedChain { certificates: vec![signed.cert.der().clone()], staple: Box::default() };
            let server_name = &ServerName::parse("smtp.example.com").expect("a name");
            let trust = &TrustStore::new("none", Vec::new());
            let question = Question { server_name, expect_names: &[], ehlo_name: None, trust, known: None };
            Judge::default().assess(presented, None, &question, SystemTime::now())
        });
        let mut state = state(Duration::from_secs(300), TlsMode::StartTls);
        let told = shown.chars().map(|shown| {
            let judged = match shown {
                'a' => Judged { assessment: Some(a.clone()), ..judged(Ok(())) },
                'b' => Judged { assessment: Some(b.clone()), ..judged(Ok(())) },
                _ => judged(Err(REFUSED)),
            };
            if state.probed(&backend(&state), judged, SystemTime::now()).is_some() { '!' } else { '.' }
        });
        assert_eq!(told.collect::<String>(), expected, "{shown}");
    }

    #[test]
    fn certificates_that_take_turns_are_told_until_that_is_plain() {
        check_told("aaaa", "!...");
        check_told("aaabbb", "!..!..");
        check_told("abab", "!!!!");
        check_told("abababababaaabb", "!!!!...........");
        check_told("ababab  aaab  b", "!!!!..!.!...!.!");
    }

    #[test]
    fn a_server_that_limits_us_is_left_alone_for_longer_each_time() {
        let minute = Duration::from_secs(60);
        let mut state = state(minute, TlsMode::StartTls);
        let which = backend(&state);
        let limited =
            |rate_limited| Judged { rate_limited, ..judged(Err((Stage::Greeting, ProbeReason::Rejected4xx))) };
        let mut now = Instant::now();
        for (rate_limited, rounds) in [(true, 1), (true, 3), (true, 7), (false, 0), (true, 1)] {
            state.probed(&which, limited(rate_limited), SystemTime::now());
            state.rest(&which, now);
            // A probe that this machine fails to make says nothing of the server.
            state.not_probed(&which);
            assert_eq!(state.plan_reprobe(&which, now).filter(|_| rate_limited), None, "not in between either");
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

    /// After each round: the hosts with their preference, and in parentheses those that are named no longer.
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
    fn hosts_come_and_go_as_their_records_do() {
        let mut state = state(Duration::from_secs(300), TlsMode::StartTls);
        let domain = ServerName::parse("example.com").expect("a name");
        let kind = TargetKind::Mx(crate::target::MxTarget { domain, port: 25, tls: TlsMode::StartTls });
        let target = Target { kind, ..(*state.target).clone() };
        assert_eq!(state.retarget(Arc::new(target)), Change::Everything);
        let (a, b) =
            (|preference| found("a.example.com", preference, 1), |preference| found("b.example.com", preference, 2));
        check_hosts(&mut state, None, &[]);
        check_hosts(&mut state, Some(vec![a(10), b(20)]), &["a.example.com 10", "b.example.com 20"]);
        check_hosts(&mut state, Some(vec![b(5), a(10)]), &["b.example.com 5", "a.example.com 10"]);
        // Nothing is known of a round: nothing changes.
        check_hosts(&mut state, None, &["b.example.com 5", "a.example.com 10"]);
        for _ in 0..2 {
            check_hosts(&mut state, Some(vec![a(10)]), &["a.example.com 10", "b.example.com 5"]);
        }
        check_hosts(&mut state, Some(vec![a(10)]), &["a.example.com 10", "(b.example.com 5)"]);
        check_hosts(&mut state, Some(vec![a(10), b(5)]), &["a.example.com 10", "b.example.com 5"]);
    }
}
