//! One backend's state between its probes: what is known of it, what it showed before, what was logged. No I/O; time
//! is an argument.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::admission::Lane;
use crate::observation::{Connection, Failure, Phases};
use crate::reason::{ProbeReason, Stage};
use crate::snapshot::{BackendReport, Condition, LastCertificate, ProbeReport};
use crate::target::{Backend, Endpoint, Target, TlsMode};
use crate::verdict::Assessment;

/// A finished probe, judged.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) at: SystemTime,
    pub(super) duration: Duration,
    pub(super) phases: Phases,
    pub(super) outcome: Result<Connection, Failure>,
    pub(super) assessment: Option<Assessment>,
    /// [`Judge::issuers_learned`](crate::verdict::Judge::issuers_learned) before the assessment.
    pub(super) issuers_learned: u64,
    pub(super) rate_limited: bool,
}

/// A backend between its probes and in them.
#[derive(Debug)]
pub(super) struct BackendState {
    pub(super) report: Arc<BackendReport>,
    /// A probe is queued or running.
    pub(super) busy: bool,
    pub(super) reprobe_at: Option<Instant>,
    seen: Vec<Seen>,
    /// Connections in this round.
    pub(super) sampled: u32,
    /// The last certificates, as many as there are samples in a round, where that is more than one.
    pub(super) samples: Vec<LastCertificate>,
    /// The condition that was logged last, and whether it was a failure.
    logged: Option<u64>,
    logged_failure: bool,
    /// How often in a row the server said that it limits us, and until when it is left alone therefore.
    limited: u32,
    rests_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    fingerprint: [u8; 8],
    at: SystemTime,
    /// The condition that was told last with this certificate, and how often.
    told: u64,
    times: u8,
}

impl BackendState {
    pub(super) fn new(endpoint: &Arc<Endpoint>, address: IpAddr) -> Self {
        let report = BackendReport {
            backend: Backend::new(Arc::clone(endpoint), address),
            resolved: true,
            probe: None,
            last_certificate: None,
            handshake_errors: 0,
        };
        let report = Arc::new(report);
        Self {
            report,
            busy: false,
            reprobe_at: None,
            seen: Vec::new(),
            sampled: 0,
            samples: Vec::new(),
            logged: None,
            logged_failure: false,
            limited: 0,
            rests_until: None,
        }
    }

    /// A server that let us wait last time is likely to do so again.
    pub(super) fn lane(&self) -> Lane {
        let failure = self.report.probe.as_ref().and_then(|probe| probe.outcome.as_ref().err());
        let implicit = self.report.backend.endpoint.tls == TlsMode::Implicit;
        match failure.filter(|failure| failure.reason == ProbeReason::Timeout).map(|failure| failure.stage) {
            Some(Stage::Connect | Stage::Greeting) => Lane::Slow,
            // The first word of a server that speaks TLS at once.
            Some(Stage::Handshake) if implicit => Lane::Slow,
            _ => Lane::Normal,
        }
    }

    /// Takes in a finished probe.
    pub(super) fn take_in(&mut self, judged: Judged, target: &Target, file: Option<[u8; 32]>) {
        self.sampled = self.sampled.saturating_add(1);
        let old = &self.report;
        let failures = old.probe.as_ref().map_or(0, |probe| probe.consecutive_failures);
        let handshake_errors = match &judged.outcome {
            Ok(_) => 0,
            Err(failure) if ended_in_tls(failure) => old.handshake_errors.saturating_add(1),
            Err(_) => old.handshake_errors,
        };
        let last = match judged.assessment {
            Some(assessment) => Some(self.hold(assessment, judged.at, target, file)),
            None => self.report.last_certificate.clone(),
        };
        self.report = Arc::new(BackendReport {
            backend: self.report.backend.clone(),
            resolved: self.report.resolved,
            probe: Some(ProbeReport {
                at: judged.at,
                duration: judged.duration,
                phases: judged.phases,
                consecutive_failures: if judged.outcome.is_ok() { 0 } else { failures.saturating_add(1) },
                outcome: judged.outcome,
                rate_limited: judged.rate_limited,
            }),
            last_certificate: last,
            handshake_errors,
        });
    }

    /// Leaves a server alone that said that it limits us: for twice the time between probes, then for twice as long
    /// each time. What is asked for by hand is probed all the same.
    pub(super) fn rest(&mut self, pace: Duration, now: Instant) {
        let limited = self.report.probe.as_ref().is_some_and(|probe| probe.rate_limited);
        self.limited = if limited { self.limited.saturating_add(1) } else { 0 };
        // A round that is due a little before its time must not be left out.
        let pause = pace.saturating_mul(1 << self.limited.min(10)).min(MAX_REST.max(pace)).saturating_sub(pace / 2);
        self.rests_until = limited.then(|| now + pause);
    }

    /// Whether it is left alone.
    pub(super) fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    /// The report, where its condition is another one than was logged last.
    pub(super) fn news(&mut self, now: SystemTime) -> Option<Arc<BackendReport>> {
        // What was logged is remembered, not judged again: a certificate that expired since then is news.
        let condition = Condition::of(&self.report, now);
        let mark = condition.as_ref().map(Condition::digest);
        if mark == self.logged {
            return None;
        }
        self.logged = mark;
        // Certificates that take turns, as several servers behind one address do, are told until that is plain.
        let works = condition.filter(|condition| condition.failure.is_none());
        let short = works.and_then(|condition| condition.fingerprint?.first_chunk().copied());
        let seen = self.seen.iter_mut().find(|seen| Some(seen.fingerprint) == short);
        if let (Some(seen), Some(mark)) = (seen, mark) {
            let again = seen.told == mark && !std::mem::take(&mut self.logged_failure);
            seen.times = if again { seen.times.saturating_add(1) } else { 1 };
            seen.told = mark;
            return (seen.times <= MAX_TOLD).then(|| Arc::clone(&self.report));
        }
        self.logged_failure = true;
        Some(Arc::clone(&self.report))
    }

    fn hold(
        &mut self,
        assessment: Assessment,
        at: SystemTime,
        target: &Target,
        file: Option<[u8; 32]>,
    ) -> LastCertificate {
        let fingerprint = assessment.leaf().map(|leaf| leaf.fingerprint());
        self.note(fingerprint, at, target.settings.backend_retention);
        let fresh = LastCertificate {
            seen_at: at,
            file_match: file.map(|file| fingerprint == Some(file)),
            distinct: self.seen.len(),
            mismatched_samples: None,
            assessment,
        };
        if target.settings.samples <= 1 {
            return fresh;
        }
        let kept = usize::try_from(target.settings.samples).unwrap_or(usize::MAX);
        while self.samples.len() >= kept {
            self.samples.remove(0);
        }
        self.samples.push(fresh.clone());
        let mismatched = self.samples.iter().filter(|last| name_mismatches(last)).count();
        let worst = self.samples.iter().min_by_key(|last| goodness(last, at)).cloned().unwrap_or(fresh);
        LastCertificate { distinct: self.seen.len(), mismatched_samples: Some(mismatched), ..worst }
    }

    /// Remembers which certificates this address showed, a few at most.
    fn note(&mut self, fingerprint: Option<[u8; 32]>, at: SystemTime, retention: Duration) {
        let Some(fingerprint) = fingerprint.and_then(|long| long.first_chunk().copied()) else { return };
        self.seen.retain(|seen| at.duration_since(seen.at).is_ok_and(|age| age <= retention));
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.fingerprint == fingerprint) {
            seen.at = at;
            return;
        }
        if self.seen.len() < MAX_SEEN {
            // Nearly every address shows one certificate: no room is taken for more before they come.
            self.seen.reserve_exact(1);
            self.seen.push(Seen { fingerprint, at, told: 0, times: 0 });
        }
    }
}

fn name_mismatches(last: &LastCertificate) -> bool {
    last.assessment.name.is_some_and(|name| !name.is_match())
}

/// Worse certificates compare as less.
fn goodness(last: &LastCertificate, now: SystemTime) -> (bool, bool, i64) {
    let not_after = last.assessment.facts().map_or(i64::MIN, |facts| facts.not_after);
    (!name_mismatches(last), last.assessment.valid(now) == Some(true), not_after)
}

fn ended_in_tls(failure: &Failure) -> bool {
    use ProbeReason as Why;
    match failure.stage {
        Stage::Handshake => true,
        Stage::Session => {
            matches!(failure.reason, Why::TlsAlert | Why::ClientCertificateRequired | Why::UnrecognizedName)
        }
        _ => false,
    }
}

/// A server that limits us is looked at again after this long at the latest.
const MAX_REST: Duration = Duration::from_secs(3600);
/// How often a certificate is told of that comes back in the same condition.
const MAX_TOLD: u8 = 2;
/// Certificates remembered for one address.
const MAX_SEEN: usize = 16;
