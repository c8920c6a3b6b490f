//! The backends of one endpoint that advice may name, with their verdicts as of now.

use std::sync::Arc;
use std::time::SystemTime;

use crate::client_errors::ClientErrors;
use crate::reason::{OcspReason, Severity};
use crate::snapshot::{BackendReport, EndpointReport, LastCertificate, TargetReport};
use crate::target::{Endpoint, ServerName, TargetKind};
use crate::verdict::{Assessment, Certificate, Facts, Reasons, Warnings, name, unix};

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
    pub(super) warnings: Warnings,
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
            warnings: last.assessment.warnings(now),
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
}
