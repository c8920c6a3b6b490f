//! One target's state from round to round: who its backends are, what is known of each, and what readers see of it.
//! No I/O; time is an argument.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;

use super::admission::Lane;
use super::backend::{BackendState, Judged};
use crate::discovery::Discovered;
use crate::discovery::roster::{Bounds, Roster, Round};
use crate::observation::LookupReport;
use crate::reason::SkipReason;
use crate::snapshot::{BackendReport, Counters, EndpointReport, Held, TargetReport};
use crate::target::{Backend, Endpoint, Target, TargetKind};
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
    roster: Roster,
    backends: Vec<BackendState>,
    skipped: Vec<(SkipReason, usize)>,
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
    /// These addresses have not been probed in this round yet.
    Probing(Vec<IpAddr>),
}

impl TargetState {
    pub(super) fn new(target: Arc<Target>, place: usize) -> Self {
        Self {
            target,
            place,
            generation: 0,
            progress: Progress::Idle,
            waiters: Vec::new(),
            counters: Counters::default(),
            roster: Roster::default(),
            backends: Vec::new(),
            skipped: Vec::new(),
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
            self.roster = Roster::default();
            self.skipped.clear();
            self.lookup = None;
        }
        if endpoint(&before) != endpoint(&self.target) {
            self.backends.clear();
        }
        for backend in &mut self.backends {
            backend.busy = false;
            backend.reprobe_at = None;
            backend.samples.clear();
        }
        if interrupted || other_kind { Change::Everything } else { Change::Policy }
    }

    /// Replaces the verdicts on all certificates that are held.
    pub(super) fn rejudge(&mut self, judge: impl Fn(&Backend, &Assessment) -> Assessment) {
        for BackendState { report, samples, .. } in &mut self.backends {
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
        let held = self.backends.iter().filter_map(|backend| backend.report.held.as_ref());
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

    /// Takes in what a lookup brought, and says what is to be probed now.
    pub(super) fn discovered(
        &mut self,
        found: Discovered,
        file: Option<[u8; 32]>,
        cap: usize,
        now: SystemTime,
    ) -> Vec<IpAddr> {
        let round = Round { named: &found.addresses, ipv4_failed: found.ipv4_failed, ipv6_failed: found.ipv6_failed };
        let bounds = Bounds { retention: self.target.policy.backend_retention, cap };
        let answering = |address: IpAddr| {
            let known = self.backends.iter().find(|backend| backend.report.backend.address == address);
            known.is_some_and(|backend| backend.report.is_reachable())
        };
        let over_cap = self.roster.update(round, answering, bounds, now);
        let skipped = [(SkipReason::Cap, over_cap), (SkipReason::NoRoute, found.without_route)];
        self.skipped = skipped.into_iter().filter(|(_, count)| *count > 0).collect();
        self.lookup = found.report.map(Arc::new);
        self.file = file;
        let endpoint = endpoint(&self.target);
        let mut known = std::mem::take(&mut self.backends);
        self.backends = self
            .roster
            .members()
            .map(|(address, resolved)| {
                let at = known.iter().position(|backend| backend.report.backend.address == address);
                let mut state = at.map_or_else(|| BackendState::new(endpoint, address), |at| known.swap_remove(at));
                if state.report.resolved != resolved {
                    state.report = Arc::new(BackendReport { resolved, ..(*state.report).clone() });
                }
                state.reprobe_at = None;
                state.sampled = 0;
                state
            })
            .collect();
        let addresses: Vec<IpAddr> = self.backends.iter().map(|backend| backend.report.backend.address).collect();
        self.progress = Progress::Probing(addresses.clone());
        addresses
    }

    /// Marks a backend as queued; none where it is gone or queued already.
    pub(super) fn queue(&mut self, address: IpAddr) -> Option<(Backend, Lane)> {
        let backend = self.backend(address).filter(|backend| !backend.busy)?;
        backend.busy = true;
        backend.reprobe_at = None;
        Some((backend.report.backend.clone(), backend.lane()))
    }

    /// The backend at `address`, while it is one, and the chain that it presented last.
    pub(super) fn backend_at(&self, address: IpAddr) -> Option<(Backend, Option<Arc<JudgedChain>>)> {
        let report =
            self.backends.iter().map(|backend| &backend.report).find(|report| report.backend.address == address)?;
        let known = report.held.as_ref().map(|held| Arc::clone(&held.assessment.chain));
        Some((report.backend.clone(), known))
    }

    /// Whether a due entry for another probe outside a round still holds.
    pub(super) fn wants_reprobe(&mut self, address: IpAddr, at: Instant) -> bool {
        self.backend(address).is_some_and(|backend| backend.reprobe_at == Some(at))
    }

    /// Takes in a finished probe; the report after it where the log is to tell of a change.
    pub(super) fn probed(&mut self, address: IpAddr, judged: Judged, now: SystemTime) -> Option<Arc<BackendReport>> {
        self.counters.count(&judged.outcome);
        self.tick_off(address);
        let (target, file) = (Arc::clone(&self.target), self.file);
        let backend = self.backend(address)?;
        backend.busy = false;
        backend.take_in(judged, &target, file);
        backend.news(now)
    }

    /// Takes in a probe that this machine could not make.
    pub(super) fn not_probed(&mut self, address: IpAddr) {
        self.tick_off(address);
        if let Some(backend) = self.backend(address) {
            backend.busy = false;
        }
    }

    /// When a backend is to be probed outside a round, if at all: soon after a failure that is new, and for each
    /// further sample.
    pub(super) fn plan_reprobe(&mut self, address: IpAddr, now: Instant) -> Option<Instant> {
        let policy = Arc::clone(&self.target.policy);
        let backend = self.backend(address)?;
        let failures = backend.report.probe.as_ref().map(|probe| probe.consecutive_failures);
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
            endpoints: vec![EndpointReport {
                endpoint: Arc::clone(endpoint(&self.target)),
                backends: self.backends.iter().map(|backend| Arc::clone(&backend.report)).collect(),
                skipped: self.skipped.clone(),
            }],
            counters: self.counters.clone(),
        }
    }

    pub(super) fn lookup(&self) -> Option<&Arc<LookupReport>> {
        self.lookup.as_ref()
    }

    fn tick_off(&mut self, address: IpAddr) {
        if let Progress::Probing(left) = &mut self.progress {
            left.retain(|each| *each != address);
        }
    }

    fn backend(&mut self, address: IpAddr) -> Option<&mut BackendState> {
        self.backends.iter_mut().find(|backend| backend.report.backend.address == address)
    }
}

fn endpoint(target: &Target) -> &Arc<Endpoint> {
    match &target.kind {
        TargetKind::Host(host) => &host.endpoint,
    }
}

/// After a new failure a backend is probed again this soon, where its interval is longer.
const REPROBE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Connection, Failure, Phases};
    use crate::reason::{ProbeReason, Stage};
    use crate::target::{EhloName, HostTarget, IpFamily, Labels, Policy, ServerName, TargetName, TlsMode};

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

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
        let found =
            Discovered { addresses: vec![ADDRESS], ipv4_failed: false, ipv6_failed: false, ..Discovered::unknown() };
        assert_eq!(state.discovered(found, None, 64, SystemTime::now()), [ADDRESS]);
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
            state.queue(ADDRESS).expect("a backend that is not busy");
            assert_eq!(state.queue(ADDRESS), None, "it is busy");
            state.probed(ADDRESS, judged(if *success { Ok(()) } else { Err(REFUSED) }), SystemTime::now());
            let planned = state.plan_reprobe(ADDRESS, now);
            assert_eq!(planned.map(|at| (at - now).as_secs()), *expected, "outcome {place} of {outcomes:?}");
            assert_eq!(planned.is_some_and(|at| state.wants_reprobe(ADDRESS, at)), planned.is_some());
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
        state.queue(ADDRESS).expect("a backend");
        state.probed(ADDRESS, judged(Ok(())), SystemTime::now());
        let before = state.report();
        begin(&mut state);
        state.queue(ADDRESS).expect("a backend");
        state.not_probed(ADDRESS);
        assert!(state.end_round(SystemTime::now()), "the round ends all the same");
        let after = state.report();
        assert!(Arc::ptr_eq(&before.endpoints[0].backends[0], &after.endpoints[0].backends[0]));
        assert_eq!(after.counters.probes, 1);
        assert!(state.queue(ADDRESS).is_some(), "it is not busy any more");
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
            state.probed(ADDRESS, judged(outcome), SystemTime::now());
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
            state.probed(ADDRESS, judged(outcome), SystemTime::now());
            assert_eq!(state.queue(ADDRESS).map(|(_, lane)| lane), Some(expected), "{tls:?} {outcome:?}");
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
            let news = state.probed(ADDRESS, judged(outcome), SystemTime::now());
            assert_eq!(news.is_some(), expected, "{outcome:?}");
        }
    }
}
