//! The backends of one endpoint that advice may name, with their verdicts read for now.

use std::sync::Arc;
use std::time::SystemTime;

use super::phrases::{self, Place};
use super::{Advice, Story};
use crate::client_errors::ClientErrors;
use crate::reason::{AdviceKind, OcspReason, Severity};
use crate::snapshot::{BackendReport, EndpointReport, LastCertificate, TargetReport};
use crate::target::{Endpoint, ServerName, TargetKind};
use crate::text::printable;
use crate::verdict::{Assessment, Certificate, Facts, NameVerdict, Reasons, unix};

/// One endpoint at one moment.
pub(super) struct Scene<'a> {
    pub(super) target: &'a TargetReport,
    pub(super) report: &'a EndpointReport,
    pub(super) now: SystemTime,
    /// All backends that DNS names.
    pub(super) resolved: Vec<&'a BackendReport>,
    /// Those of them whose certificate is known.
    pub(super) shown: Vec<Shown<'a>>,
}

/// A backend and the certificate that it presented last.
pub(super) struct Shown<'a> {
    pub(super) report: &'a BackendReport,
    pub(super) last: &'a LastCertificate,
    pub(super) leaf: &'a Arc<Certificate>,
    /// None where the certificate cannot be read.
    pub(super) facts: Option<&'a Facts>,
    pub(super) reasons: Reasons,
    /// The chain is trusted and in time, and not said to be revoked.
    pub(super) valid: Option<bool>,
    /// The last probe brought no certificate: what is known is older.
    pub(super) is_past: bool,
}

impl<'a> Scene<'a> {
    pub(super) fn of(target: &'a TargetReport, report: &'a EndpointReport, now: SystemTime) -> Self {
        let resolved: Vec<&BackendReport> = report.resolved().map(|backend| &**backend).collect();
        let shown = resolved.iter().filter_map(|backend| Shown::of(backend, now)).collect();
        Self { target, report, now, resolved, shown }
    }

    pub(super) fn endpoint(&self) -> &'a Endpoint {
        &self.report.endpoint
    }

    pub(super) fn server_name(&self) -> &'a ServerName {
        &self.endpoint().server_name
    }

    /// Unix seconds.
    pub(super) fn moment(&self) -> i64 {
        unix(self.now)
    }

    /// How bad it is that a client which judges certificates fails: most that follow MX records do not judge them.
    pub(super) fn refusal(&self) -> Severity {
        match self.target.target.kind {
            TargetKind::Mx(_) => Severity::Warning,
            TargetKind::Host(_) | TargetKind::Submission(_) => Severity::Critical,
        }
    }

    /// [`Self::refusal`], unless two or more of the four clients accept it after all.
    pub(super) fn refusal_by(&self, clients: &ClientErrors) -> Severity {
        let accepting = clients.clients().iter().filter(|(_, words)| words.accepts.is_some()).count();
        if accepting >= 2 { Severity::Warning } else { self.refusal() }
    }

    /// What names a server of this target: clients, or records.
    pub(super) fn namers(&self) -> String {
        match &self.target.target.kind {
            TargetKind::Host(_) => "clients".to_owned(),
            TargetKind::Mx(mx) => format!("the MX records of {}", mx.domain),
            TargetKind::Submission(submission) => format!("the SRV records of {}", submission.domain),
        }
    }

    /// The certificates that fulfil a condition.
    pub(super) fn whose(&self, condition: impl Fn(&Shown<'a>) -> bool) -> Vec<&Shown<'a>> {
        self.shown.iter().filter(|shown| condition(shown)).collect()
    }

    /// Advice on these backends, which clients say nothing of and nobody has to be asked for.
    pub(super) fn say(&self, kind: AdviceKind, severity: Severity, places: &[Place<'_>], text: &str) -> Advice {
        Advice {
            kind,
            severity,
            backends: places.iter().map(|place| place.backend.clone()).collect(),
            text: printable(text, phrases::MAX_TEXT),
            request: None,
            clients: None,
        }
    }
}

impl<'a> Shown<'a> {
    fn of(report: &'a BackendReport, now: SystemTime) -> Option<Self> {
        let last = report.last_certificate.as_ref()?;
        let probe = report.probe.as_ref();
        let leaf = last.assessment.leaf()?;
        let mut staple = last.assessment.chain.ocsp().reasons(unix(now));
        let is_revoked = staple.any(|reason| reason == OcspReason::Revoked);
        Some(Self {
            report,
            last,
            leaf,
            facts: leaf.facts(),
            reasons: last.assessment.reasons(now),
            valid: if is_revoked { Some(false) } else { last.assessment.valid(now) },
            is_past: probe.is_none_or(|probe| probe.outcome.is_err() && last.seen_at < probe.at),
        })
    }

    pub(super) fn assessment(&self) -> &'a Assessment {
        &self.last.assessment
    }

    pub(super) fn name(&self) -> Option<NameVerdict> {
        self.last.assessment.name
    }

    /// Its place in a list.
    pub(super) fn place(&self) -> Place<'a> {
        Place { backend: &self.report.backend, seen_at: self.is_past.then_some(self.last.seen_at), note: String::new() }
    }

    /// Its place in a list, with a fact that others may not share.
    pub(super) fn noted(&self, note: String) -> Place<'a> {
        Place { note, ..self.place() }
    }
}

/// Their places in a list.
pub(super) fn places<'a>(shown: &[&Shown<'a>]) -> Vec<Place<'a>> {
    shown.iter().map(|shown| shown.place()).collect()
}

/// A story of one piece.
pub(super) fn story(advice: Advice) -> Story {
    vec![advice]
}

/// Parts `items` by a key; parts and their members keep their order.
pub(super) fn grouped<T: Copy, K: PartialEq>(items: &[T], key: impl Fn(T) -> K) -> Vec<(K, Vec<T>)> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    for item in items {
        let key = key(*item);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(*item),
            None => groups.push((key, vec![*item])),
        }
    }
    groups
}
