//! Probes that failed.

use super::Advice;
use super::client_certificates::{self, OwnFault};
use super::context::Context;
use super::phrases::BackendList;
use super::rejections;
use super::request::Problem;
use crate::client_errors;
use crate::observation::Failure;
use crate::reason::{AdviceKind, ClientAuth, ProbeReason, RejectionCause, Severity, Stage};
use crate::snapshot::BackendReport;
use crate::target::TlsMode;
use crate::text::{group_by, or_none};

pub(super) fn advise(context: &Context<'_>) -> Vec<Advice> {
    let reports = context.resolved.iter().copied();
    let failing = reports.filter_map(|report| {
        let probe = report.probe.as_ref()?;
        let failure = probe.outcome.as_ref().err()?;
        OwnFault::of(context, probe, failure).is_none().then_some((report, failure))
    });
    let groups = group_by(failing, |(_, failure)| (failure.stage, failure.reason, failure.cause));
    let to_advice = |((stage, reason, cause), failing): (_, Vec<_>)| match cause {
        Some(RejectionCause::ConnectionLimit) => limit_advice(&failing),
        Some(RejectionCause::EhloName) => ehlo_name_advice(&failing),
        _ => failure_advice(context, stage, reason, cause, &failing),
    };
    groups.into_iter().map(to_advice).collect()
}

fn failure_advice(
    context: &Context<'_>,
    stage: Stage,
    reason: ProbeReason,
    cause: Option<RejectionCause>,
    failing: &[Failing<'_>],
) -> Advice {
    // A refused STARTTLS says something about TLS only without another cause.
    let is_about_tls = matches!(cause, None | Some(RejectionCause::TlsUnavailable));
    let (kind, severity) = match (stage, reason) {
        (_, ProbeReason::StartTlsRefused) if !is_about_tls => {
            (AdviceKind::Unreachable, cause.map_or(Severity::Critical, rejections::severity))
        }
        (_, ProbeReason::ClientCertificateRequired) => (AdviceKind::Handshake, Severity::Warning),
        (_, ProbeReason::ClientCertificateRejected) => (AdviceKind::ClientCertificate, Severity::Warning),
        (_, ProbeReason::StartTlsNotOffered | ProbeReason::StartTlsRefused | ProbeReason::PlaintextAfterStartTls) => {
            (AdviceKind::StartTls, context.rejection_severity())
        }
        (Stage::Handshake, _) | (Stage::Session, ProbeReason::TlsAlert | ProbeReason::UnrecognizedName) => {
            (AdviceKind::Handshake, Severity::Critical)
        }
        _ => (AdviceKind::Unreachable, cause.map_or(Severity::Critical, rejections::severity)),
    };
    let backends = list(failing);
    let problem = match (reason, cause) {
        (ProbeReason::Rejected4xx | ProbeReason::Rejected5xx, _) | (ProbeReason::StartTlsRefused, Some(_)) => {
            rejections::problem(context, stage, reason, cause)
        }
        _ => failure_problem(context, stage, reason, failing),
    };
    let clients = client_errors::for_probe(reason).filter(|_| is_about_tls);
    let text = problem.text(&backends.list, &backends.note_in_parentheses());
    backends.advice(kind, severity, &text).with_request(context, &problem, failing, clients)
}

type Failing<'a> = (&'a BackendReport, &'a Failure);

fn list(failing: &[Failing<'_>]) -> BackendList {
    BackendList::new(failing.iter().map(|(report, failure)| (&report.backend, None, detail(failure))))
}

/// The server's reply or alert, for reasons that do not imply it.
fn detail(failure: &Failure) -> String {
    match failure.reason {
        ProbeReason::Rejected4xx
        | ProbeReason::Rejected5xx
        | ProbeReason::StartTlsRefused
        | ProbeReason::MalformedReply
        | ProbeReason::TlsAlert
        | ProbeReason::ClientCertificateRejected
        | ProbeReason::ProtocolViolation => failure.detail.to_string(),
        _ => String::new(),
    }
}

/// Only the exporter is affected, so that there is nothing to request for other clients.
fn limit_advice(failing: &[Failing<'_>]) -> Advice {
    let backends = list(failing);
    let text = format!(
        "{}: the server limits connections or their rate{}. Exclude the exporter host from the limit on the server (Postfix \
         `smtpd_client_event_limit_exceptions`), or increase `interval` for the target. Until the limit no longer applies, \
         the exporter probes less often.",
        backends.list,
        backends.note_in_parentheses()
    );
    backends.advice(AdviceKind::RateLimited, Severity::Warning, &text)
}

fn ehlo_name_advice(failing: &[Failing<'_>]) -> Advice {
    let backends = list(failing);
    let text = format!(
        "{}: the server rejects the name that the exporter sends with EHLO{}. Set `ehlo_name` for the target to a fully \
         qualified name of the exporter host that DNS resolves to its address (RFC 5321 §4.1.1.1). Some servers require that \
         it is also the reverse DNS name of that address, or that it is not on a block list.",
        backends.list,
        backends.note_in_parentheses()
    );
    backends.advice(AdviceKind::Unreachable, Severity::Warning, &text)
}

fn failure_problem(context: &Context<'_>, stage: Stage, reason: ProbeReason, failing: &[Failing<'_>]) -> Problem {
    let (port, name) = (context.endpoint().port, context.server_name());
    let is_implicit = context.endpoint().tls == TlsMode::Implicit;
    let is_before_greeting = stage == Stage::Greeting || stage == Stage::Session && is_implicit;
    let problem = Problem::plain;
    match reason {
        ProbeReason::StartTlsNotOffered => problem(
            &format!(
                "STARTTLS is not offered on port {port}, so clients that require TLS fail and others send in cleartext"
            ),
            "enable STARTTLS (Postfix `smtpd_tls_security_level = may`, Exim `tls_advertise_hosts = *`); if it is enabled, \
             look for a firewall or proxy that removes it",
        ),
        ProbeReason::StartTlsRefused => problem(
            "STARTTLS is offered, but the STARTTLS command is refused",
            "check the server log, and whether a firewall or proxy in front of the server changes or intercepts SMTP commands",
        ),
        ProbeReason::PlaintextAfterStartTls => problem(
            "cleartext data follows the reply to STARTTLS (CVE-2011-0411), which careful clients reject",
            "fix or update the server, or the proxy in front of it",
        ),
        ProbeReason::TlsVersion => problem(
            "neither TLS 1.2 nor TLS 1.3 is supported, and older versions are not secure",
            "enable TLS 1.2 and TLS 1.3, which may require an update of the server",
        ),
        ProbeReason::NoCommonParams => problem(
            "no current cipher suite, group or signature scheme is accepted",
            "enable ECDHE with AES-GCM or ChaCha20, and P-256 or X25519, and check that the type of the server key matches",
        ),
        ProbeReason::ClientCertificateRequired => problem(
            "a client certificate is required, so clients without one fail",
            "configure the server not to require client certificates, unless this is intended",
        )
        .with_exporter_fix(
            "If it is intended, set `client_certificate` for the target, so that it is probed as such clients connect.",
        ),
        ProbeReason::ClientCertificateRejected => rejected_certificate(context, failing),
        ProbeReason::UnrecognizedName => problem(
            &format!("the TLS handshake is aborted because there is no certificate for {name}"),
            "configure a certificate for that name, or a default certificate",
        ),
        ProbeReason::TlsAlert | ProbeReason::Eof | ProbeReason::Reset
            if let Some(note) = note_on_client_auth(failing) =>
        {
            let event = match reason {
                ProbeReason::TlsAlert => "TLS is aborted with an alert".to_owned(),
                _ => format!("{} {}", outcome(reason), during(stage)),
            };
            problem(&event, "check the server log for the cause").with_exporter_fix(note)
        }
        ProbeReason::TlsAlert => problem("TLS is aborted with an alert", "check the server log for the cause"),
        ProbeReason::NotTls if is_implicit => problem(
            &format!("connections to port {port} do not begin with TLS"),
            "enable implicit TLS on this port, or configure clients to use STARTTLS if that is intended",
        )
        .with_exporter_fix("If STARTTLS is intended, set `tls: starttls` for the target."),
        ProbeReason::NotTls => problem(
            "the data that follows STARTTLS is not TLS",
            "check the server log, and whether there is a proxy in front of the server",
        ),
        ProbeReason::NoCertificate => {
            problem("no certificate is presented", "configure the certificate and the key of the server")
        }
        ProbeReason::ChainTooLarge => problem(
            "a message of the TLS handshake, usually the one with the certificates, is larger than 64 KiB",
            "present the server certificate and its intermediates only; if it does so already, check the TLS software of the \
             server, or the proxy in front of it",
        ),
        ProbeReason::ProtocolViolation => {
            problem("the server violates the TLS protocol", "update the server, or the proxy in front of it")
        }
        ProbeReason::Refused => problem(
            &format!("connections to port {port} are refused"),
            "start the server, or stop directing clients to this address until it is available again",
        ),
        ProbeReason::Unreachable => problem(
            "the address is unreachable from the exporter host",
            "check the network and the firewalls, or stop directing clients to this address until it is available again",
        ),
        ProbeReason::Timeout if stage == Stage::Connect => problem(
            &format!("connections to port {port} time out"),
            "check whether the server is running and whether a firewall drops the connections, or stop directing clients to \
             this address",
        ),
        ProbeReason::Timeout if is_before_greeting && !is_implicit => problem(
            &format!("no SMTP greeting is received on port {port} before the timeout"),
            "check the server log, and whether this port uses implicit TLS, as port 465 does",
        )
        .with_exporter_fix(
            "If it does, set `tls: implicit` for the target. Some servers make clients wait for the greeting (Postfix \
             `postscreen_greet_wait`, Sendmail `greet_pause`, Exim `delay`): if this one does, increase `timeout` for the \
             target.",
        ),
        ProbeReason::Timeout if is_before_greeting => problem(
            &format!("no SMTP reply is received inside TLS on port {port} before the timeout"),
            "check the server log",
        )
        .with_exporter_fix(
            "Some servers make clients wait for the greeting: if this one does, increase `timeout` for the target.",
        ),
        ProbeReason::Timeout if matches!(stage, Stage::Ehlo | Stage::StartTls | Stage::Session) => problem(
            &format!("{} {}", outcome(reason), during(stage)),
            "check the server log, and whether a device on the network path drops packets",
        )
        .with_exporter_fix(
            "Some servers make clients wait for a reply (Exim `delay`, checks of the client in DNS): if this one does, \
             increase `timeout` for the target.",
        ),
        ProbeReason::Eof if stage == Stage::Greeting && !is_implicit => problem(
            &format!("no SMTP greeting is received on port {port} before the connection is closed"),
            "check the server log, and whether this port uses implicit TLS, as port 465 does",
        )
        .with_exporter_fix("If it does, set `tls: implicit` for the target."),
        ProbeReason::Timeout | ProbeReason::Eof | ProbeReason::Reset => problem(
            &match stage {
                Stage::Greeting => format!("no SMTP greeting is received on port {port} before {}", outcome(reason)),
                _ => format!("{} {}", outcome(reason), during(stage)),
            },
            "check the server log, and whether a device on the network path closes connections",
        ),
        ProbeReason::Rejected4xx | ProbeReason::Rejected5xx => rejections::problem(context, stage, reason, None),
        ProbeReason::MalformedReply | ProbeReason::ReplyTooLarge => problem(
            &format!("the server sends something other than a valid SMTP reply {}", during(stage)),
            "check whether a mail server listens on this port, and whether there is a proxy in front of it",
        ),
    }
}

/// What the servers may have closed the connection for, if all requested a client certificate.
fn note_on_client_auth(failing: &[Failing<'_>]) -> Option<&'static str> {
    let answers = |is_meant: fn(ClientAuth) -> bool| {
        let answer = |report: &BackendReport| report.probe.as_ref()?.client_auth;
        failing.iter().all(|(report, _)| answer(report).is_some_and(is_meant))
    };
    if answers(|answer| answer == ClientAuth::NotConfigured) {
        Some(
            "The server had requested a client certificate, and none is configured. If it requires one, set \
             `client_certificate` for the target.",
        )
    } else if answers(ClientAuth::is_sent) {
        Some(
            "The server had requested a client certificate, and the configured one was sent. If the server does not accept \
             it, set another `client_certificate` for the target.",
        )
    } else {
        None
    }
}

/// A client certificate without a known fault. Whether its issuer or the certificate itself is not accepted is known to
/// the server only.
fn rejected_certificate(context: &Context<'_>, failing: &[Failing<'_>]) -> Problem {
    let is_unlisted = |(report, _): &Failing<'_>| {
        report.probe.as_ref().is_some_and(|probe| probe.client_auth == Some(ClientAuth::SentUnlisted))
    };
    let identity = client_certificates::certificate(context).map(|certificate| {
        let [subject, issuer] = [&certificate.subject, &certificate.issuer].map(|name| or_none(name));
        format!(" (subject {subject}, issuer {issuer})")
    });
    let cause = if failing.iter().all(is_unlisted) {
        "its issuer is not among the CAs that the server lists"
    } else {
        "either its issuer is not trusted there, or this certificate is not wanted"
    };
    let subject = "the client certificate of the exporter host is rejected";
    Problem::new(
        subject,
        format!("{subject}{}: {cause}", identity.unwrap_or_default()),
        "add the issuer to the CAs that are trusted for client certificates, or permit this certificate. If neither is \
         intended, say which client certificate is expected",
    )
    .with_exporter_fix(
        "The certificate is valid by its dates and usage. To send another one, set `client_certificate`.",
    )
}

pub(super) fn during(stage: Stage) -> &'static str {
    match stage {
        Stage::Resolve | Stage::Connect => "while connecting",
        Stage::Greeting => "in place of the greeting",
        Stage::Ehlo => "after EHLO",
        Stage::StartTls => "after STARTTLS",
        Stage::Handshake => "during the TLS handshake",
        Stage::Session => "inside TLS",
    }
}

fn outcome(reason: ProbeReason) -> &'static str {
    match reason {
        ProbeReason::Timeout => "the connection times out",
        ProbeReason::Eof => "the connection is closed",
        _ => "the connection is reset",
    }
}
