//! Probes that fail because of the exporter's own client certificate. The servers need no change, so there is no request.

use super::Advice;
use super::context::Context;
use super::phrases::BackendList;
use crate::observation::Failure;
use crate::reason::{AdviceKind, ClientAuth, ProbeReason, Severity, Stage};
use crate::snapshot::{BackendReport, ProbeReport};
use crate::target::{ClientCertificate, ClientCertificateFault};
use crate::text::{group_by, printable, utc};
use crate::verdict::unix;

/// What is wrong on this side.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum OwnFault {
    /// The certificate that was sent.
    Certificate(ClientCertificateFault),
    /// The type of its key, so that it was not sent.
    Key,
}

impl OwnFault {
    /// What explains a failed probe; none if nothing does.
    pub(super) fn of(context: &Context<'_>, probe: &ProbeReport, failure: &Failure) -> Option<Self> {
        use ProbeReason as Why;
        let certificate = certificate(context)?;
        match (probe.client_auth?, failure.stage, failure.reason) {
            (ClientAuth::NoCommonScheme, _, Why::ClientCertificateRequired) => Some(Self::Key),
            // Some servers end the connection without an alert, or with an unspecific one.
            (
                ClientAuth::Sent | ClientAuth::SentUnlisted,
                Stage::Handshake | Stage::Session,
                Why::ClientCertificateRejected | Why::TlsAlert | Why::Eof | Why::Reset,
            ) => certificate.fault(unix(probe.at)).map(Self::Certificate),
            _ => None,
        }
    }
}

/// Advice on the backends whose failures are explained by this side.
pub(super) fn advise(context: &Context<'_>) -> Vec<Advice> {
    let Some(certificate) = certificate(context) else { return Vec::new() };
    let failing = context.resolved.iter().copied().filter_map(|report| {
        let probe = report.probe.as_ref()?;
        let failure = probe.outcome.as_ref().err()?;
        Some((report, failure, OwnFault::of(context, probe, failure)?))
    });
    let groups = group_by(failing, |(.., fault)| fault);
    groups.into_iter().map(|(fault, failing)| advice(certificate, fault, &failing)).collect()
}

fn advice(
    certificate: &ClientCertificate,
    fault: OwnFault,
    failing: &[(&BackendReport, &Failure, OwnFault)],
) -> Advice {
    use ClientCertificateFault as Fault;
    let items = failing.iter().map(|(report, failure, _)| (&report.backend, None, failure.detail.to_string()));
    let backends = BackendList::new(items);
    let file = printable(&certificate.file.display().to_string(), MAX_PATH_CHARS);
    let (change, problem) = match fault {
        OwnFault::Certificate(Fault::Expired) => {
            ("Renew the client certificate", format!("it expired on {}", utc(certificate.not_after)))
        }
        OwnFault::Certificate(Fault::NotYetValid) => (
            "Check the clock of the exporter host, or replace the client certificate",
            format!("it is not valid before {}", utc(certificate.not_before)),
        ),
        OwnFault::Certificate(Fault::WrongPurpose) => (
            "Replace the client certificate",
            "its extended key usage does not permit client authentication (`clientAuth`)".to_owned(),
        ),
        OwnFault::Certificate(Fault::NoSignatures) => (
            "Replace the client certificate",
            "its key usage does not permit signatures (`digitalSignature`)".to_owned(),
        ),
        OwnFault::Certificate(Fault::IntermediateExpired(end)) => {
            ("Replace the intermediates of the client certificate", format!("one of them expired on {}", utc(end)))
        }
        OwnFault::Key => (
            "Replace the client certificate by one with another type of key (ECDSA with P-256, or RSA)",
            "the server accepts no signature scheme of its key, so it was not sent".to_owned(),
        ),
    };
    let rejects = match fault {
        OwnFault::Certificate(_) => backends.plural("ends TLS after it is sent", "end TLS after it is sent"),
        OwnFault::Key => backends.plural("requires one", "require one"),
    };
    let text = format!(
        "{change} in {file} (`client_certificate`): {problem}, and {} {rejects}{}. The exporter loads the files when they \
         change. Until then, it is not known whether other clients can connect.",
        backends.list,
        backends.note_in_parentheses()
    );
    backends.advice(AdviceKind::ClientCertificate, Severity::Warning, &text)
}

pub(super) fn certificate<'a>(context: &Context<'a>) -> Option<&'a ClientCertificate> {
    context.target.target.settings.client_certificate.as_deref()
}

const MAX_PATH_CHARS: usize = 200;
