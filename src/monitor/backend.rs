//! One backend's state between its probes: what is known of it, what it presented before, what was logged. No I/O; time
//! is an argument.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::admission::Lane;
use super::dedup::BackendId;
use crate::observation::{Connection, Failure, Phases};
use crate::reason::{ClientAuth, ProbeReason, RejectionCause, Stage};
use crate::snapshot::{BackendReport, Condition, LastCertificate, ProbeReport};
use crate::target::{Backend, ProbeSettings};
use crate::verdict::{Assessment, JudgedChain};

/// A finished probe with its verdicts.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) at: SystemTime,
    pub(super) duration: Duration,
    pub(super) phases: Phases,
    pub(super) outcome: Result<Connection, Failure>,
    pub(super) assessment: Option<Assessment>,
    /// [`Judge::issuers_learned`](crate::verdict::Judge::issuers_learned) before the assessment.
    pub(super) issuers_learned: u64,
    pub(super) client_auth: Option<ClientAuth>,
}

impl Judged {
    fn cause(&self) -> Option<RejectionCause> {
        self.outcome.as_ref().err()?.cause
    }
}

/// A backend between its probes and in them.
#[derive(Debug)]
pub(super) struct BackendState {
    pub(super) id: BackendId,
    pub(super) report: Arc<BackendReport>,
    /// A probe is queued, running, or waiting for its verdicts.
    pub(super) in_progress: bool,
    /// A reassessment of its certificates is queued or running.
    pub(super) reassessing: bool,
    /// When it is probed outside of a round.
    pub(super) reprobe_at: Option<Instant>,
    /// Connections in this round.
    pub(super) sampled: u32,
    /// The last certificates, as many as there are samples in a round, if that is more than one.
    samples: Vec<LastCertificate>,
    seen: Vec<SeenCertificate>,
    logged: Option<Logged>,
    back_off: Option<Box<BackOff>>,
}

/// The condition that was logged last.
#[derive(Clone, Copy, Debug)]
struct Logged {
    digest: u64,
    was_failure: bool,
}

/// The server limits connections or their rate.
#[derive(Clone, Copy, Debug)]
struct BackOff {
    /// Number of consecutive probes in which it said so.
    times: u32,
    until: Instant,
}

#[derive(Clone, Copy, Debug)]
struct SeenCertificate {
    fingerprint: [u8; 8],
    at: Instant,
    /// The condition that was logged last with this certificate, and how often in a row.
    logged: u64,
    times: u8,
}

impl BackendState {
    pub(super) fn new(id: BackendId, backend: Backend) -> Self {
        let report =
            BackendReport { backend, resolved: true, probe: None, last_certificate: None, handshake_errors: 0 };
        Self {
            id,
            report: Arc::new(report),
            in_progress: false,
            reassessing: false,
            reprobe_at: None,
            sampled: 0,
            samples: Vec::new(),
            seen: Vec::new(),
            logged: None,
            back_off: None,
        }
    }

    /// A server that let a probe time out is likely to do so again.
    pub(super) fn lane(&self) -> Lane {
        let failure = self.report.probe.as_ref().and_then(|probe| probe.outcome.as_ref().err());
        let timed_out = failure.is_some_and(|failure| failure.reason == ProbeReason::Timeout);
        if timed_out { Lane::Slow } else { Lane::Normal }
    }

    /// The settings have changed: results on the way are void.
    pub(super) fn reset(&mut self) {
        self.in_progress = false;
        self.reassessing = false;
        self.reprobe_at = None;
        self.samples.clear();
    }

    /// Applies a finished probe. `file` is the fingerprint of the certificate that should be presented.
    pub(super) fn probed(&mut self, judged: Judged, settings: &ProbeSettings, file: Option<[u8; 32]>, now: Instant) {
        self.in_progress = false;
        self.sampled = self.sampled.saturating_add(1);
        self.set_back_off(judged.cause().is_some_and(RejectionCause::is_limit), settings.pace(), now);
        let old = &self.report;
        let failures = old.probe.as_ref().map_or(0, |probe| probe.consecutive_failures);
        let handshake_errors = match &judged.outcome {
            Ok(_) => 0,
            Err(failure) if ended_in_tls(failure) => old.handshake_errors.saturating_add(1),
            Err(failure) if read_inside_tls(failure) => 0,
            Err(_) => old.handshake_errors,
        };
        let last = match judged.assessment {
            Some(assessment) => Some(self.last_certificate(assessment, judged.at, settings, file, now)),
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
                client_auth: judged.client_auth,
            }),
            last_certificate: last,
            handshake_errors,
        });
    }

    /// The assessments that readers see, or will see.
    pub(super) fn assessments(&self) -> impl Iterator<Item = &Assessment> {
        self.report.last_certificate.iter().chain(&self.samples).map(|last| &last.assessment)
    }

    /// Replaces assessments by later ones of the same chain: pairs of the old chain and the new assessment.
    pub(super) fn reassessed(&mut self, found: &[(Arc<JudgedChain>, Assessment)]) {
        let later = |held: &Assessment| {
            let (_, new) = found.iter().find(|(old, _)| Arc::ptr_eq(old, &held.chain))?;
            Some(Assessment { proof: held.proof, ehlo: held.ehlo, ..new.clone() })
        };
        for sample in &mut self.samples {
            if let Some(assessment) = later(&sample.assessment) {
                sample.assessment = assessment;
            }
        }
        self.update_last(|last| Some(LastCertificate { assessment: later(&last.assessment)?, ..last.clone() }));
    }

    /// The file with the certificate that should be presented has changed.
    pub(super) fn compare_with_file(&mut self, file: Option<[u8; 32]>) {
        let matches = |last: &LastCertificate| {
            let leaf = last.assessment.leaf().map(|leaf| leaf.fingerprint());
            file.map(|file| leaf == Some(file))
        };
        for sample in &mut self.samples {
            sample.file_match = matches(sample);
        }
        self.update_last(|last| Some(LastCertificate { file_match: matches(last), ..last.clone() }));
    }

    fn update_last(&mut self, update: impl Fn(&LastCertificate) -> Option<LastCertificate>) {
        if let Some(last) = self.report.last_certificate.as_ref().and_then(update) {
            self.report = Arc::new(BackendReport { last_certificate: Some(last), ..(*self.report).clone() });
        }
    }

    /// A server that limits the rate is not probed for twice the time between probes, then for twice as long each time.
    fn set_back_off(&mut self, rate_limited: bool, pace: Duration, now: Instant) {
        let times = self.back_off.as_ref().map_or(0, |back_off| back_off.times).saturating_add(1);
        // A round that is due slightly early must not be left out.
        let pause = pace.saturating_mul(1 << times.min(10)).min(MAX_BACK_OFF.max(pace)).saturating_sub(pace / 2);
        self.back_off = rate_limited.then(|| Box::new(BackOff { times, until: now + pause }));
    }

    /// Whether the server is to be left alone until the next round at least.
    pub(super) fn asks_to_wait(&self) -> bool {
        let cause = self.report.probe.as_ref().and_then(ProbeReport::cause);
        cause.is_some_and(RejectionCause::asks_to_wait)
    }

    /// Whether it is not probed because its server limits the rate.
    pub(super) fn is_backing_off(&self, now: Instant) -> bool {
        self.back_off.as_ref().is_some_and(|back_off| now < back_off.until)
    }

    /// The report, if its condition is to be logged: it differs from the one that was logged last.
    pub(super) fn condition_change(&mut self, now: SystemTime) -> Option<Arc<BackendReport>> {
        // A certificate that expired since the last probe is a change.
        let condition = Condition::of(&self.report, now)?;
        let digest = condition.digest();
        if self.logged.is_some_and(|last| last.digest == digest) {
            return None;
        }
        let last = self.logged.replace(Logged { digest, was_failure: false });
        // Certificates that alternate, as those of several servers behind one address, are logged until that is plain.
        let short = condition.fingerprint.filter(|_| condition.failure.is_none());
        let short: Option<[u8; 8]> = short.and_then(|fingerprint| fingerprint.first_chunk().copied());
        if let Some(seen) = self.seen.iter_mut().find(|seen| Some(seen.fingerprint) == short) {
            let again = seen.logged == digest && !last.is_some_and(|last| last.was_failure);
            seen.times = if again { seen.times.saturating_add(1) } else { 1 };
            seen.logged = digest;
            return (seen.times <= MAX_LOGGED).then(|| Arc::clone(&self.report));
        }
        self.logged = Some(Logged { digest, was_failure: true });
        Some(Arc::clone(&self.report))
    }

    fn last_certificate(
        &mut self,
        assessment: Assessment,
        at: SystemTime,
        settings: &ProbeSettings,
        file: Option<[u8; 32]>,
        now: Instant,
    ) -> LastCertificate {
        let fingerprint = assessment.leaf().map(|leaf| leaf.fingerprint());
        self.note_seen(fingerprint, settings.backend_retention, now);
        let fresh = LastCertificate {
            seen_at: at,
            file_match: file.map(|file| fingerprint == Some(file)),
            distinct: self.seen.len(),
            mismatched_samples: None,
            assessment,
        };
        if settings.samples <= 1 {
            return fresh;
        }
        let kept = usize::try_from(settings.samples).unwrap_or(usize::MAX);
        while self.samples.len() >= kept {
            self.samples.remove(0);
        }
        self.samples.push(fresh.clone());
        let mismatched = self.samples.iter().filter(|last| name_mismatches(last)).count();
        let worst = self.samples.iter().min_by_key(|last| goodness(last, at)).cloned().unwrap_or(fresh);
        LastCertificate { distinct: self.seen.len(), mismatched_samples: Some(mismatched), ..worst }
    }

    /// Remembers which certificates were presented at this address, a few at most.
    fn note_seen(&mut self, fingerprint: Option<[u8; 32]>, retention: Duration, now: Instant) {
        let Some(fingerprint) = fingerprint.and_then(|long| long.first_chunk().copied()) else { return };
        self.seen.retain(|seen| now.duration_since(seen.at) <= retention);
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.fingerprint == fingerprint) {
            seen.at = now;
            return;
        }
        if self.seen.len() < MAX_SEEN {
            // Nearly every address presents one certificate: no memory is reserved for more.
            self.seen.reserve_exact(1);
            self.seen.push(SeenCertificate { fingerprint, at: now, logged: 0, times: 0 });
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
            matches!(
                failure.reason,
                Why::TlsAlert | Why::ClientCertificateRequired | Why::ClientCertificateRejected | Why::UnrecognizedName
            )
        }
        _ => false,
    }
}

/// Whether data was received inside TLS, so that the handshake had succeeded.
fn read_inside_tls(failure: &Failure) -> bool {
    use ProbeReason as Why;
    failure.stage == Stage::Session
        && matches!(failure.reason, Why::Rejected4xx | Why::Rejected5xx | Why::MalformedReply | Why::ReplyTooLarge)
}

/// A server that limits the rate is probed again after this time at the latest.
const MAX_BACK_OFF: Duration = Duration::from_secs(3600);
/// How often a certificate is logged that comes back in the same condition.
const MAX_LOGGED: u8 = 2;
/// Certificates remembered for one address.
const MAX_SEEN: usize = 16;
