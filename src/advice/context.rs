//! The backends of one endpoint that advice may name, with their verdicts as of now.

use std::sync::Arc;
use std::time::SystemTime;

use super::Advice;
use super::phrases::{self, BackendList, ListedBackend};
use crate::client_errors::ClientErrors;
use crate::reason::{AdviceKind, OcspReason, Severity};
use crate::snapshot::{BackendReport, EndpointReport, LastCertificate, TargetReport};
use crate::target::{Endpoint, ServerName, TargetKind};
use crate::text::printable;
use crate::verdict::{Assessment, Certificate, Facts, Reasons, name, unix};

pub(super) struct Context<'a> {
    pub(super) target: &'a TargetReport,
    pub(super) report: &'a EndpointReport,
    /// Unix seconds.
    pub(super) now: i64,
    /// All backends currently in DNS.
    pub(super) resolved: Vec<&'a BackendReport>,
    /// The last certificates of the resolved backends that have presented one.
    pub(super) certificates: Vec<BackendCertificate<'a>>,
}

/// A backend and the certificate that it presented last.
pub(super) struct BackendCertificate<'a> {
    pub(super) report: &'a BackendReport,
    pub(super) last: &'a LastCertificate,
    pub(super) leaf: &'a Arc<Certificate>,
    /// None if the certificate cannot be parsed.
    pub(super) facts: Option<&'a Facts>,
    pub(super) reasons: Reasons,
    /// Whether the chain is trusted, within its validity period and not revoked according to its staple.
    pub(super) valid: Option<bool>,
    /// Whether the last probe saw no certificate, so that this one is older.
    pub(super) is_outdated: bool,
}

impl<'a> Context<'a> {
    pub(super) fn new(target: &'a TargetReport, report: &'a EndpointReport, now: SystemTime) -> Self {
        let resolved: Vec<&BackendReport> = report.resolved().map(|backend| &**backend).collect();
        let certificates = resolved.iter().filter_map(|backend| BackendCertificate::new(backend, now)).collect();
        Self { target, report, now: unix(now), resolved, certificates }
    }

    pub(super) fn endpoint(&self) -> &'a Endpoint {
        &self.report.endpoint
    }

    pub(super) fn server_name(&self) -> &'a ServerName {
        &self.endpoint().server_name
    }

    /// The severity of a failure of clients that verify certificates. Most clients that follow MX records do not.
    pub(super) fn rejection_severity(&self) -> Severity {
        match self.target.target.kind {
            TargetKind::Mx(_) => Severity::Warning,
            TargetKind::Host(_) | TargetKind::Submission(_) => Severity::Critical,
        }
    }

    /// [`Self::rejection_severity`], or a warning if at least two of the four clients may accept the certificate.
    pub(super) fn rejection_severity_by(&self, clients: &ClientErrors) -> Severity {
        let accepting = clients.clients().iter().filter(|(_, error)| error.accepts.is_some()).count();
        if accepting >= 2 { Severity::Warning } else { self.rejection_severity() }
    }

    /// Where a server name is replaced by another one: ` in the MX records of example.com`; empty for a host, whose name
    /// is in the configuration of the clients.
    pub(super) fn in_records(&self) -> String {
        match &self.target.target.kind {
            TargetKind::Host(_) => String::new(),
            TargetKind::Mx(mx) => format!(" in the MX records of {}", mx.domain),
            TargetKind::Submission(submission) => format!(" in the SRV records of {}", submission.domain),
        }
    }

    pub(super) fn certificates_where(
        &self,
        condition: impl Fn(&BackendCertificate<'a>) -> bool,
    ) -> Vec<&BackendCertificate<'a>> {
        self.certificates.iter().filter(|certificate| condition(certificate)).collect()
    }
}

impl<'a> BackendCertificate<'a> {
    fn new(report: &'a BackendReport, now: SystemTime) -> Option<Self> {
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
            is_outdated: probe.is_none_or(|probe| probe.outcome.is_err() && last.seen_at < probe.at),
        })
    }

    pub(super) fn assessment(&self) -> &'a Assessment {
        &self.last.assessment
    }

    pub(super) fn lists(&self, name: &ServerName) -> bool {
        self.facts.is_some_and(|facts| name::judge(name, facts).is_match())
    }

    /// The backend in a list, with a note of its own; empty for none.
    pub(super) fn with_note(&self, note: String) -> ListedBackend<'a> {
        let seen_at = self.is_outdated.then(|| unix(self.last.seen_at));
        ListedBackend { backend: &self.report.backend, seen_at, note }
    }
}

/// Advice without a request and without client errors.
pub(super) fn advice(kind: AdviceKind, severity: Severity, backends: &[ListedBackend<'_>], text: &str) -> Advice {
    Advice {
        kind,
        severity,
        backends: backends.iter().map(|listed| listed.backend.clone()).collect(),
        text: printable(text, phrases::MAX_TEXT_CHARS),
        request: None,
        clients: None,
    }
}

/// The backends of these certificates, without notes.
pub(super) fn backends<'a>(certificates: &[&BackendCertificate<'a>]) -> Vec<ListedBackend<'a>> {
    certificates.iter().map(|certificate| certificate.with_note(String::new())).collect()
}

/// The backends of `certificates`, each with a note; none if there are no certificates.
pub(super) fn list_with_notes<'a>(
    certificates: &[&BackendCertificate<'a>],
    note: impl Fn(&BackendCertificate<'a>) -> String,
) -> Option<(Vec<ListedBackend<'a>>, BackendList)> {
    let listed: Vec<ListedBackend<'a>> =
        certificates.iter().map(|certificate| certificate.with_note(note(certificate))).collect();
    let backends = BackendList::new(&listed);
    (!listed.is_empty()).then_some((listed, backends))
}

/// As [`list_with_notes`], with notes on the facts of certificates that can be parsed.
pub(super) fn list_with_fact_notes<'a>(
    certificates: &[&BackendCertificate<'a>],
    note: impl Fn(&Facts) -> String,
) -> Option<(Vec<ListedBackend<'a>>, BackendList)> {
    list_with_notes(certificates, |certificate| certificate.facts.map(&note).unwrap_or_default())
}

/// Splits `items` by a key; groups and their members keep their order.
pub(super) fn group_by<T: Copy, K: PartialEq>(items: &[T], key: impl Fn(T) -> K) -> Vec<(K, Vec<T>)> {
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
