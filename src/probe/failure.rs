//! Maps errors of the stages to published reasons.

use std::io;

use rustls::{AlertDescription, Error as TlsError, InvalidMessage, PeerIncompatible, PeerMisbehaved};

use super::smtp::SmtpError;
use super::smtp::reply::{Class, Reply, ReplyError};
use super::smtp::reply_rules::cause;
use crate::observation::Failure;
use crate::reason::{ProbeReason, Stage};

/// The failure for an error of the SMTP dialogue, before or inside TLS.
pub(super) fn of_smtp(stage: Stage, error: &SmtpError, certificate_requested: bool) -> Failure {
    match error {
        SmtpError::Io(error) => of_io(stage, error, certificate_requested),
        SmtpError::Eof => Failure::new(stage, ProbeReason::Eof, "the server closed the connection"),
        SmtpError::Reply(error @ (ReplyError::LineTooLong | ReplyError::TooLarge)) => {
            Failure::new(stage, ProbeReason::ReplyTooLarge, error)
        }
        SmtpError::Reply(error) => Failure::new(stage, ProbeReason::MalformedReply, error),
        SmtpError::EarlyReply(bytes) => {
            let detail = format_args!("{bytes} bytes received before the command was sent");
            Failure::new(stage, ProbeReason::MalformedReply, detail)
        }
        SmtpError::BytesBeforeTls(bytes) => {
            let detail = format_args!("{bytes} bytes received in plaintext after the reply to STARTTLS");
            Failure::new(stage, ProbeReason::PlaintextAfterStartTls, detail)
        }
    }
}

/// The failure for a complete reply that does not allow the probe to go on. `to` is what it answers, as in
/// [`cause`]; inside TLS, that is not `stage`.
pub(super) fn of_reply(stage: Stage, to: Stage, reply: &Reply) -> Failure {
    let reason = match reply.class() {
        _ if stage == Stage::StartTls => ProbeReason::StartTlsRefused,
        Class::Transient => ProbeReason::Rejected4xx,
        Class::Permanent => ProbeReason::Rejected5xx,
        // A positive code that is not allowed here (RFC 5321 §4.3.2).
        Class::Success | Class::Continue => ProbeReason::MalformedReply,
    };
    Failure::new(stage, reason, reply).with_cause(cause(to, reply))
}

/// The failure for an error of the stream.
pub(super) fn of_io(stage: Stage, error: &io::Error, certificate_requested: bool) -> Failure {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    match tls {
        Some(TlsError::AlertReceived(alert)) => {
            let reason = tls_reason(&TlsError::AlertReceived(*alert), certificate_requested);
            Failure::new(stage, reason, format_args!("received TLS alert {}", alert_name(*alert)))
        }
        Some(tls) => Failure::new(stage, tls_reason(tls, certificate_requested), tls),
        None => Failure::new(stage, io_reason(error), error),
    }
}

/// The alert's name and number as in RFC 8446 §6. The library's names differ in case, and one in spelling.
fn alert_name(alert: AlertDescription) -> String {
    let number = u8::from(alert);
    let Some(name) = alert.as_str() else { return number.to_string() };
    let mut text = String::with_capacity(name.len() + 8);
    for c in name.replace("Unrecognised", "Unrecognized").replace("CA", "Ca").chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    format!("{text} ({number})")
}

fn io_reason(error: &io::Error) -> ProbeReason {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => ProbeReason::Refused,
        Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted => ProbeReason::Reset,
        Kind::UnexpectedEof => ProbeReason::Eof,
        Kind::TimedOut => ProbeReason::Timeout,
        _ => ProbeReason::Unreachable,
    }
}

fn tls_reason(error: &TlsError, certificate_requested: bool) -> ProbeReason {
    use AlertDescription as Alert;
    match error {
        TlsError::AlertReceived(Alert::CertificateRequired) => ProbeReason::ClientCertificateRequired,
        // TLS 1.2 has no specific alert for it, so the server's request for a certificate decides.
        TlsError::AlertReceived(Alert::HandshakeFailure | Alert::BadCertificate | Alert::NoCertificate)
            if certificate_requested =>
        {
            ProbeReason::ClientCertificateRequired
        }
        TlsError::AlertReceived(Alert::ProtocolVersion) => ProbeReason::TlsVersion,
        TlsError::AlertReceived(Alert::HandshakeFailure | Alert::InsufficientSecurity) => ProbeReason::NoCommonParams,
        TlsError::AlertReceived(Alert::UnrecognisedName) => ProbeReason::UnrecognizedName,
        TlsError::AlertReceived(_) => ProbeReason::TlsAlert,
        TlsError::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => ProbeReason::TlsVersion,
        TlsError::PeerIncompatible(_)
        | TlsError::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedCipherSuite)
        | TlsError::NoApplicationProtocol => ProbeReason::NoCommonParams,
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
            ProbeReason::NotTls
        }
        TlsError::InvalidMessage(
            InvalidMessage::HandshakePayloadTooLarge | InvalidMessage::CertificatePayloadTooLarge,
        ) => ProbeReason::ChainTooLarge,
        TlsError::NoCertificatesPresented => ProbeReason::NoCertificate,
        _ => ProbeReason::ProtocolViolation,
    }
}
