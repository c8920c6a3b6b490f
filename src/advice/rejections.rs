//! Replies that refuse the exporter host, by their cause. What a reply says to one client is not known to be true of
//! others: the texts speak of others only where it follows from the cause.

use super::context::Context;
use super::probe_failures::during;
use super::request::Problem;
use crate::reason::{ProbeReason, RejectionCause, Severity, Stage};

/// A warning if the reply is about this client.
pub(super) const fn severity(cause: RejectionCause) -> Severity {
    match cause {
        RejectionCause::Blocklisted
        | RejectionCause::Greylisted
        | RejectionCause::ReverseDns
        | RejectionCause::ConnectionLimit
        | RejectionCause::ClientCertificate
        | RejectionCause::EhloName => Severity::Warning,
        RejectionCause::TlsUnavailable
        | RejectionCause::ServerFault
        | RejectionCause::BlocklistUnusable
        | RejectionCause::IdleTimeout
        | RejectionCause::ServerUnavailable
        | RejectionCause::EhloUnsupported
        | RejectionCause::StartTlsRequired
        | RejectionCause::ProtocolError
        | RejectionCause::AccessDenied
        | RejectionCause::NoMailService
        | RejectionCause::Closing => Severity::Critical,
    }
}

pub(super) fn problem(
    context: &Context<'_>,
    stage: Stage,
    reason: ProbeReason,
    cause: Option<RejectionCause>,
) -> Problem {
    let during = during(stage);
    let problem = Problem::plain;
    match cause {
        Some(RejectionCause::TlsUnavailable) => problem(
            &format!("the server reports {during} that it cannot start TLS"),
            "check the server log; in most cases, the server could not load its certificate or key",
        ),
        Some(RejectionCause::ServerFault) => problem(
            &format!("the server reports a fault of its own {during}"),
            "check the server log, and the configuration, the disk space and the memory of the server",
        ),
        Some(RejectionCause::BlocklistUnusable) => problem(
            "the server treats an error code of a block list as a listing, so every client is rejected",
            "query the block list through a DNS resolver of the server itself, not through a public one, and reject only \
             clients whose return code is a listing (for Postfix, add the codes to `reject_rbl_client`)",
        ),
        Some(RejectionCause::Blocklisted) => problem(
            "the server refuses the exporter host because of a block list",
            "allow the address of the exporter host on the server, or have it removed from the block list that the reply names",
        )
        .with_exporter_fix("Clients that are not listed are not affected."),
        Some(RejectionCause::Greylisted) => problem(
            "the server defers the exporter host by greylisting",
            "exempt the address of the exporter host from greylisting",
        )
        .with_exporter_fix("Mail servers are accepted when they try again later."),
        Some(RejectionCause::ReverseDns) => problem(
            "the server refuses the exporter host because its address has no matching reverse DNS name",
            "allow the address of the exporter host on the server",
        )
        .with_exporter_fix("Otherwise, add a PTR record for that address, with a name that resolves to the address."),
        Some(RejectionCause::ClientCertificate) => problem(
            &format!("the server demands a client certificate {during} without requesting one in a TLS handshake"),
            "configure the server to request client certificates, or not to require them",
        ),
        Some(RejectionCause::ServerUnavailable) => problem(
            &format!("the server reports {during} that it is busy or not in service"),
            "check whether the server is overloaded, shutting down or in maintenance",
        ),
        Some(RejectionCause::IdleTimeout) => problem(
            &format!("the server reports {during} that it waited too long for the exporter host"),
            "check the timeouts of the server, and whether a device on the network path delays packets",
        ),
        Some(RejectionCause::EhloUnsupported) => problem(
            if stage == Stage::Session {
                "the server does not recognize EHLO inside TLS, so clients cannot use any extensions"
            } else {
                "the server does not recognize EHLO, so clients cannot use STARTTLS"
            },
            "enable ESMTP on the server; if it is enabled, look for a firewall or proxy that changes SMTP commands",
        ),
        Some(RejectionCause::StartTlsRequired) => problem(
            &format!("the server demands STARTTLS {during}"),
            "configure the server to accept EHLO before STARTTLS (RFC 3207 §4); inside TLS, check whether a proxy in front of \
             the server ends TLS",
        ),
        Some(RejectionCause::ProtocolError) => problem(
            &format!("the server reports a violation of the SMTP protocol {during}"),
            "check the server log, and whether a load balancer in front of the server sends data of its own, such as a PROXY \
             header that the server does not expect",
        ),
        Some(RejectionCause::NoMailService) => problem(
            &format!("the server accepts no mail on port {}", context.endpoint().port),
            "enable the mail service on this port, or stop directing clients to this address",
        ),
        Some(RejectionCause::AccessDenied) => with_ehlo_name(
            stage,
            problem(
                &format!("the server refuses the exporter host {during}"),
                "allow the address of the exporter host on the server, and check whether the rule that refuses it applies to \
                 other clients, too",
            ),
        ),
        // The first two have advice of their own.
        Some(RejectionCause::EhloName | RejectionCause::ConnectionLimit | RejectionCause::Closing) | None => {
            // Only 421 is `Closing`.
            let is_temporary = reason == ProbeReason::Rejected4xx || cause == Some(RejectionCause::Closing);
            let kind = if is_temporary { "temporary" } else { "permanent" };
            with_ehlo_name(
                stage,
                problem(
                    &format!("the server replies with a {kind} error {during}"),
                    "check the server log, and whether the exporter host is allowed to connect",
                ),
            )
        }
    }
}

/// The reply may be about the EHLO name, without saying so.
fn with_ehlo_name(stage: Stage, problem: Problem) -> Problem {
    match stage {
        Stage::Ehlo | Stage::Session => {
            problem.with_exporter_fix("If the server rejects the EHLO name, set `ehlo_name` for the target.")
        }
        _ => problem,
    }
}
