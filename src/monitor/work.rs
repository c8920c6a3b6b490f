//! What runs in tasks of its own: lookups, and probes with their judgement.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{OptionFuture, join};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::sync::Semaphore;

use super::backend::Judged;
use super::lag::{LagWatch, TOLERANCE};
use super::{Clock, TargetId};
use crate::discovery::{Discovered, KnownHost, Resolvers};
use crate::file::FileReader;
use crate::observation::{LocalFailure, Observation};
use crate::probe::Prober;
use crate::reason::{LocalReason, ProbeReason, Stage};
use crate::target::{AllowedAddresses, Backend, ProbeSettings, ServerName, Target};
use crate::trust::TrustStore;
use crate::verdict::{AssessmentInput, Judge, JudgedChain, unix};

/// The tools of all tasks.
#[derive(Clone)]
pub(super) struct Workshop {
    pub(super) prober: Prober,
    pub(super) judge: Arc<Judge>,
    pub(super) resolvers: Arc<Resolvers>,
    pub(super) files: FileReader,
    pub(super) clock: Clock,
    pub(super) lag: LagWatch,
    /// Places for judging chains that are new.
    pub(super) benches: Arc<Semaphore>,
}

/// What a lookup task brings.
pub(super) enum LookedUp {
    /// The hosts of a target.
    Hosts {
        found: Discovered,
        /// The certificate that should be served, where a file says so and can be read.
        file: Option<CertificateDer<'static>>,
        /// Where the target would lead to and may not.
        refused: Vec<SocketAddr>,
    },
    /// This host failed. The certificate file was read all the same.
    Local(LocalFailure, Option<CertificateDer<'static>>),
    /// The addresses of names, where that could be found out.
    Names(BTreeMap<ServerName, Option<Vec<IpAddr>>>),
}

/// What a probe task brings: a judgement for each job.
pub(super) type Probed = Result<Vec<(TargetId, u32, Judged)>, Box<LocalFailure>>;

/// In whose name a probe is judged.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: TargetId,
    pub(super) generation: u32,
    pub(super) target: Arc<Target>,
    pub(super) trust: TrustStore,
    /// What the backend presented last time: most often it is the same.
    pub(super) known: Option<Arc<JudgedChain>>,
}

impl Workshop {
    /// The same tools with other resolvers.
    pub(super) fn with_resolvers(&self, resolvers: Resolvers) -> Self {
        Self { resolvers: Arc::new(resolvers), ..self.clone() }
    }

    /// `known` are the hosts as of the last lookup.
    pub(super) async fn look_up(self: Arc<Self>, target: Arc<Target>, known: Vec<KnownHost>) -> LookedUp {
        let patience = target.settings.timeout.min(MAX_LOOKUP);
        let found = self.resolvers.discover(&target.kind, &target.settings, &known, patience);
        let file = target.settings.certificate_file.as_deref().map(|path| certificate_in(&self.files, path));
        let (found, file) = join(found, OptionFuture::from(file)).await;
        let file = file.flatten();
        match found {
            Ok(found) => LookedUp::Hosts { found, file, refused: Vec::new() },
            Err(local) => LookedUp::Local(local, file),
        }
    }

    /// Where names lead, as far as that is found out in a moment.
    pub(super) async fn look_up_names(self: Arc<Self>, target: Arc<Target>, names: Vec<ServerName>) -> LookedUp {
        let patience = target.settings.timeout.min(NAMES_PATIENCE);
        LookedUp::Names(self.resolvers.resolve_names(names, &target.settings, patience).await)
    }

    /// Looks up a target that comes from outside, and leaves out what it may not reach.
    pub(super) async fn look_up_within(self: Arc<Self>, reach: AllowedAddresses, target: Arc<Target>) -> LookedUp {
        let patience = target.settings.timeout.min(MAX_LOOKUP);
        let looked_up = self.resolvers.discover_allowed(&reach, &target.kind, &target.settings, patience);
        match looked_up.await {
            Ok((found, refused)) => LookedUp::Hosts { found, file: None, refused },
            Err(local) => LookedUp::Local(local, None),
        }
    }

    /// Probes once, by the settings of the first job, and judges for all of them.
    pub(super) async fn probe(self: Arc<Self>, backend: Backend, jobs: Vec<Job>) -> Probed {
        let begin = Instant::now();
        let Some(lead) = jobs.first().map(|job| Arc::clone(&job.target)) else { return Ok(Vec::new()) };
        let seen = self.prober.probe(&backend, &lead.settings, (self.clock)()).await?;
        if self.was_late(&seen, &lead.settings, begin) {
            let detail = "a timeout while the exporter was over a second late";
            return Err(Box::new(LocalFailure::new(LocalReason::Overloaded, detail)));
        }
        let mut judged = Vec::with_capacity(jobs.len());
        let mut left = jobs.len();
        let mut seen = Some(seen);
        for job in jobs {
            left -= 1;
            // The last one needs no copy, and most often there is but one.
            let Some(seen) = (if left == 0 { seen.take() } else { seen.clone() }) else { break };
            let (id, generation) = (job.id, job.generation);
            judged.push((id, generation, Arc::clone(&self).judged(seen, &backend, job).await?));
        }
        Ok(judged)
    }

    async fn judged(
        self: Arc<Self>,
        seen: Observation,
        backend: &Backend,
        job: Job,
    ) -> Result<Judged, Box<LocalFailure>> {
        let Job { target, trust, known, .. } = job;
        let Some(presented) = &seen.presented else {
            return Ok(self.judge(seen, backend, &target, &trust, None));
        };
        let same = known.filter(|known| known.holds_for(presented, &trust, unix(seen.at)));
        let recall = || self.judge.cached(presented, &trust, seen.at);
        if let Some(known) = same.or_else(recall).filter(|known| self.judge.is_quick(known)) {
            return Ok(self.judge(seen, backend, &target, &trust, Some(&known)));
        }
        // A chain that was made to be hard can take seconds: not on a thread that others wait for, and only so many.
        let _bench = self.benches.acquire().await;
        if let Some(known) = recall().filter(|known| self.judge.is_quick(known)) {
            return Ok(self.judge(seen, backend, &target, &trust, Some(&known)));
        }
        let (this, backend) = (Arc::clone(&self), backend.clone());
        let judged = tokio::task::spawn_blocking(move || this.judge(seen, &backend, &target, &trust, None));
        judged.await.map_err(|panic| Box::new(LocalFailure::new(LocalReason::Defect, panic)))
    }

    /// Whether a timeout may be this process's own fault.
    fn was_late(&self, seen: &Observation, settings: &ProbeSettings, begin: Instant) -> bool {
        let Some(failure) = seen.outcome.as_ref().err().filter(|failure| failure.reason == ProbeReason::Timeout) else {
            return false;
        };
        let limit = if failure.stage == Stage::Connect { settings.connect_timeout } else { settings.timeout };
        // The watch may be woken after the probe: the probe's own lateness tells as well.
        seen.duration > limit + TOLERANCE || self.lag.since(begin)
    }

    fn judge(
        &self,
        seen: Observation,
        backend: &Backend,
        target: &Target,
        trust: &TrustStore,
        known: Option<&Arc<JudgedChain>>,
    ) -> Judged {
        let input = AssessmentInput {
            server_name: &backend.endpoint.server_name,
            expect_names: &target.settings.expect_names,
            ehlo_name: seen.ehlo_name.as_deref(),
            trust,
            known,
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
            rate_limited: seen.rate_limited,
        }
    }
}

/// The first certificate in a PEM file; none where that cannot be had in a moment.
async fn certificate_in(files: &FileReader, path: &Path) -> Option<CertificateDer<'static>> {
    let read = tokio::time::timeout(FILE_PATIENCE, files.read(path, None)).await.ok()??;
    CertificateDer::from_pem_slice(&read.ok()?.bytes).ok()
}

/// Chains that are judged at once.
pub(super) const BENCHES: usize = 2;
/// A lookup takes this long at most.
const MAX_LOOKUP: Duration = Duration::from_secs(10);
/// Names are looked up at the end of a round, which waits for it.
const NAMES_PATIENCE: Duration = Duration::from_secs(3);
const FILE_PATIENCE: Duration = Duration::from_secs(5);
