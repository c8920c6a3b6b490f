//! What runs outside of the owner task: lookups, probes, and the verdicts on what they observed. Workers get their input by
//! value and return a result; they never see the owner's state.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls_pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

use super::backend::Judged;
use super::dedup::BackendId;
use super::lag::{LagWatch, TOLERANCE};
use super::{Clock, TargetId};
use crate::discovery::{Discovered, KnownHost, Resolvers};
use crate::file::FileReader;
use crate::observation::{LocalFailure, Observation};
use crate::probe::Prober;
use crate::reason::{LocalReason, ProbeReason, Stage};
use crate::target::{AllowedAddresses, Backend, ProbeSettings, ServerName, Target};
use crate::trust::TrustStore;
use crate::trust::anchors::{PemFault, parse_certificates};
use crate::verdict::{Assessment, AssessmentInput, Judge, JudgedChain, unix};

/// The tools of all workers. Cheap to clone.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) prober: Prober,
    pub(super) judge: Arc<Judge>,
    pub(super) resolvers: Arc<Resolvers>,
    pub(super) files: FileReader,
    pub(super) clock: Clock,
    pub(super) lag: LagWatch,
}

/// The result of a job.
#[derive(Debug)]
pub(super) enum Output {
    /// A lookup of a target is finished.
    LookedUp(Result<Discovered, LocalFailure>),
    /// The certificate that should be presented; none if the file cannot be read in time.
    FileRead(Result<CertificateDer<'static>, Arc<str>>),
    /// Alternate names were looked up: those that are missing could not be.
    Resolved(BTreeMap<ServerName, Option<Vec<IpAddr>>>),
    /// A probe is finished.
    Probed(Probed),
    /// The verdicts for each of the targets.
    Judged(BackendId, Vec<(TargetId, Judged)>),
    /// The certificates of a backend were reassessed.
    Reassessed(Reassessed),
    /// A lookup was given up, because nothing waits for it.
    Cancelled,
}

/// The result of a probe.
#[derive(Debug)]
pub(super) enum Probed {
    /// With the verdicts for each of the targets, because they were known.
    Judged(Vec<(TargetId, Judged)>),
    /// The verdicts take longer.
    Unjudged(Box<VerifyJob>),
    /// This host could not make the probe.
    Failed(Box<LocalFailure>),
    /// It was given up.
    Cancelled,
}

/// An observation, and the targets for which it is to be judged.
#[derive(Debug)]
pub(super) struct VerifyJob {
    pub(super) id: BackendId,
    observation: Observation,
    backend: Backend,
    parties: Vec<Party>,
}

impl VerifyJob {
    /// The targets on whose behalf the probe was made.
    pub(super) fn targets(&self) -> Vec<TargetId> {
        self.parties.iter().map(|party| party.id).collect()
    }
}

/// A target on whose behalf a probe is made.
#[derive(Debug)]
pub(super) struct Party {
    pub(super) id: TargetId,
    pub(super) target: Arc<Target>,
    pub(super) trust: TrustStore,
    /// What the backend presented last time: usually, it is the same.
    pub(super) known: Option<Arc<JudgedChain>>,
}

/// Certificates of one backend whose verdicts may have changed.
#[derive(Debug)]
pub(super) struct ReassessJob {
    pub(super) target_id: TargetId,
    pub(super) id: BackendId,
    pub(super) backend: Backend,
    pub(super) target: Arc<Target>,
    pub(super) trust: TrustStore,
    pub(super) assessments: Vec<Assessment>,
}

/// The result of a [`ReassessJob`].
#[derive(Debug)]
pub(super) struct Reassessed {
    pub(super) target_id: TargetId,
    pub(super) id: BackendId,
    /// The chains as they were judged before, and their new assessments.
    pub(super) assessments: Vec<(Arc<JudgedChain>, Assessment)>,
    /// [`Judge::issuers_learned`] before the assessments.
    pub(super) issuers_learned: u64,
}

impl Worker {
    /// Looks up a target; `known` are its hosts as of the last lookup. `allowed` is set for a one-off target.
    pub(super) async fn look_up(
        self: Arc<Self>,
        target: Arc<Target>,
        known: Vec<KnownHost>,
        allowed: Option<AllowedAddresses>,
    ) -> Output {
        let timeout = target.settings.timeout.min(MAX_LOOKUP);
        let (kind, settings) = (&target.kind, &target.settings);
        // Large futures: a task takes their memory only while it runs, since many can be spawned together.
        Output::LookedUp(match &allowed {
            Some(allowed) => Box::pin(self.resolvers.discover_allowed(allowed, kind, settings, timeout)).await,
            None => Box::pin(self.resolvers.discover(kind, settings, &known, timeout)).await,
        })
    }

    /// Reads the first certificate of a PEM file.
    pub(super) async fn read_file(self: Arc<Self>, path: Arc<Path>) -> Output {
        let read = tokio::time::timeout(FILE_TIMEOUT, self.files.read(&path, None)).await;
        let contents = match read {
            Ok(Some(read)) => read.map_err(|error| PemFault::Io(io::Error::new(error.kind(), error.to_string()))),
            Ok(None) => Err(PemFault::Io(io::Error::other("cannot be read"))),
            Err(_) => Err(PemFault::Io(io::Error::new(io::ErrorKind::TimedOut, "the file system does not respond"))),
        };
        let certificates = contents.and_then(|contents| parse_certificates(&contents.bytes));
        let first = certificates.and_then(|found| found.into_iter().next().ok_or(PemFault::NoCertificate));
        Output::FileRead(first.map_err(|fault| fault.to_string().into()))
    }

    /// Looks up alternate names.
    pub(super) async fn resolve(self: Arc<Self>, target: Arc<Target>, names: Vec<ServerName>) -> Output {
        let timeout = target.settings.timeout.min(MAX_RESOLUTION);
        Output::Resolved(Box::pin(self.resolvers.resolve_names(names, &target.settings, timeout)).await)
    }

    /// Probes once, by the settings of the first party, unless it is given up by `cancel`.
    pub(super) async fn probe(
        self: Arc<Self>,
        id: BackendId,
        backend: Backend,
        parties: Vec<Party>,
        cancel: CancellationToken,
    ) -> Output {
        Output::Probed(match self.observe(&backend, &parties, &cancel).await {
            Err(failure) => Probed::Failed(failure),
            Ok(None) => Probed::Cancelled,
            Ok(Some(observation)) => {
                let mut job = Box::new(VerifyJob { id, observation, backend, parties });
                if self.recall(&mut job) { Probed::Judged(self.judge_all(*job)) } else { Probed::Unjudged(job) }
            }
        })
    }

    /// Judges an observation. Takes a while if the chain is new.
    pub(super) async fn verify(self: Arc<Self>, mut job: Box<VerifyJob>) -> Output {
        let id = job.id;
        let judge = move || {
            // The same chain may have been judged while this job waited.
            self.recall(&mut job);
            Output::Judged(id, self.judge_all(*job))
        };
        computed(judge).await
    }

    /// Judges certificates again.
    pub(super) async fn reassess(self: Arc<Self>, job: Box<ReassessJob>) -> Output {
        computed(move || {
            let now = (self.clock)();
            let issuers_learned = self.judge.issuers_learned();
            let input = AssessmentInput {
                server_name: &job.backend.endpoint.server_name,
                expect_names: &job.target.settings.expect_names,
                ehlo_name: None,
                trust: &job.trust,
                known: None,
            };
            let again = |before: &Assessment| self.judge.reassess(before, &input, now);
            let assessments = job.assessments.iter().map(|before| (Arc::clone(&before.chain), again(before))).collect();
            Output::Reassessed(Reassessed { target_id: job.target_id, id: job.id, assessments, issuers_learned })
        })
        .await
    }

    /// None if it was cancelled.
    async fn observe(
        &self,
        backend: &Backend,
        parties: &[Party],
        cancel: &CancellationToken,
    ) -> Result<Option<Observation>, Box<LocalFailure>> {
        let started = Instant::now();
        let Some(lead) = parties.first() else { return Err(Box::new(defect("a probe of no target"))) };
        let seen = self.prober.probe_until(backend, &lead.target.settings, (self.clock)(), cancel).await?;
        let Some(seen) = seen else { return Ok(None) };
        if self.was_late(&seen, &lead.target.settings, started) {
            let detail = "a timeout while the exporter was over a second late";
            return Err(Box::new(LocalFailure::new(LocalReason::Overloaded, detail)));
        }
        Ok(Some(seen))
    }

    /// Whether a timeout may be the fault of this process.
    fn was_late(&self, seen: &Observation, settings: &ProbeSettings, started: Instant) -> bool {
        let Some(failure) = seen.outcome.as_ref().err().filter(|failure| failure.reason == ProbeReason::Timeout) else {
            return false;
        };
        let limit = if failure.stage == Stage::Connect { settings.connect_timeout } else { settings.timeout };
        // The watch may wake up after the probe: the lateness of the probe counts as well.
        seen.duration > limit + TOLERANCE || self.lag.since(started)
    }

    /// Finds a known verdict on the chain for each party; false if one of them has none, so that paths must be built.
    fn recall(&self, job: &mut VerifyJob) -> bool {
        let VerifyJob { observation, parties, .. } = job;
        let Some(presented) = &observation.presented else { return true };
        let mut all = true;
        for Party { trust, known, .. } in parties {
            let same = known.take().filter(|known| known.holds_for(presented, trust, unix(observation.at)));
            *known = same.or_else(|| self.judge.cached(presented, trust, observation.at));
            all &= known.as_ref().is_some_and(|known| self.judge.is_quick(known));
        }
        all
    }

    fn judge_all(&self, job: VerifyJob) -> Vec<(TargetId, Judged)> {
        let VerifyJob { observation, backend, parties, .. } = job;
        let last = parties.len().saturating_sub(1);
        let mut observation = Some(observation);
        let mut judged = Vec::with_capacity(parties.len());
        for (place, party) in parties.into_iter().enumerate() {
            // The last party needs no copy, and usually there is only one.
            let Some(seen) = (if place == last { observation.take() } else { observation.clone() }) else { break };
            judged.push((party.id, self.judge(seen, &backend, &party)));
        }
        judged
    }

    fn judge(&self, seen: Observation, backend: &Backend, party: &Party) -> Judged {
        let input = AssessmentInput {
            server_name: &backend.endpoint.server_name,
            expect_names: &party.target.settings.expect_names,
            ehlo_name: seen.ehlo_name.as_deref(),
            trust: &party.trust,
            known: party.known.as_ref(),
        };
        let issuers_learned = self.judge.issuers_learned();
        let assessment = seen.presented.map(|chain| self.judge.assess(chain, seen.proof.as_ref(), &input, seen.at));
        Judged {
            at: seen.at,
            duration: seen.duration,
            phases: seen.phases,
            outcome: seen.outcome,
            assessment,
            issuers_learned,
            client_auth: seen.client_auth,
        }
    }
}

/// Runs `work` on a thread that nothing else waits for. A panic goes on in the caller.
async fn computed(work: impl FnOnce() -> Output + Send + 'static) -> Output {
    match tokio::task::spawn_blocking(work).await {
        Ok(output) => output,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime shuts down.
            Err(_) => std::future::pending().await,
        },
    }
}

/// A failure of this process itself.
pub(super) fn defect(detail: &str) -> LocalFailure {
    LocalFailure::new(LocalReason::Defect, detail)
}

/// Limit for a lookup of a target.
const MAX_LOOKUP: Duration = Duration::from_secs(10);
/// Limit for the lookup of alternate names, for which the end of a round waits.
const MAX_RESOLUTION: Duration = Duration::from_secs(3);
const FILE_TIMEOUT: Duration = Duration::from_secs(5);
