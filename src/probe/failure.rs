//! Maps errors of the stages to published reasons.

use std::io;

use rustls::{AlertDescription, Error as TlsError, InvalidMessage, PeerIncompatible};

use super::smtp::SmtpError;
use super::smtp::reply::{Class, Reply, ReplyError};
use super::smtp::reply_rules::cause;
use crate::observation::Failure;
use crate::reason::{ClientAuth, ProbeReason, RejectionCause, Stage};

/// How far TLS had come when it failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TlsProgress {
    /// The server has chosen cipher suite, group and signature scheme.
    pub(super) is_negotiated: bool,
    /// The answer to a request for a client certificate, once it is sent.
    pub(super) client_auth: Option<ClientAuth>,
}

/// The failure for an error of the SMTP dialogue, before or inside TLS.
pub(super) fn of_smtp(stage: Stage, error: &SmtpError, tls: TlsProgress) -> Failure {
    match error {
        SmtpError::Io(error) => of_io(stage, error, tls),
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

/// The failure for a complete reply to `stage` that does not allow the probe to go on, before TLS.
pub(super) fn of_reply(stage: Stage, reply: &Reply) -> Failure {
    let reason = match stage {
        Stage::StartTls => ProbeReason::StartTlsRefused,
        _ => rejection_reason(reply),
    };
    Failure::new(stage, reason, reply).with_cause(cause(stage, reply, false))
}

/// The failure for a reply that refuses the client inside TLS. `to` is what it answers, as in [`cause`]. If the server
/// requested a client certificate, the reply can be about it: Postfix with `smtpd_tls_req_ccert = yes` ends the handshake,
/// and replies 421 4.7.1 to EHLO.
pub(super) fn of_reply_in_tls(to: Stage, reply: &Reply, tls: TlsProgress) -> Failure {
    let cause = cause(to, reply, tls.client_auth.is_some());
    let reason = match tls.client_auth.filter(|_| cause == Some(RejectionCause::ClientCertificate)) {
        Some(answer) if answer.is_sent() => ProbeReason::ClientCertificateRejected,
        Some(_) => ProbeReason::ClientCertificateRequired,
        None => return Failure::new(Stage::Session, rejection_reason(reply), reply).with_cause(cause),
    };
    Failure::new(Stage::Session, reason, reply)
}

fn rejection_reason(reply: &Reply) -> ProbeReason {
    match reply.class() {
        Class::Transient => ProbeReason::Rejected4xx,
        Class::Permanent => ProbeReason::Rejected5xx,
        // A positive code that is not allowed here (RFC 5321 §4.3.2).
        Class::Success | Class::Continue => ProbeReason::MalformedReply,
    }
}

/// The failure for an error of the stream.
pub(super) fn of_io(stage: Stage, error: &io::Error, tls: TlsProgress) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        Some(TlsError::AlertReceived(alert)) => {
            let (reason, name) = (alert_reason(*alert, stage, tls), alert_name(*alert));
            let not_sent = match tls.client_auth {
                Some(ClientAuth::NoCommonScheme) if reason == ProbeReason::ClientCertificateRequired => NOT_SENT,
                _ => "",
            };
            Failure::new(stage, reason, format_args!("received TLS alert {name}{not_sent}"))
        }
        Some(error) => Failure::new(stage, tls_reason(error, tls), error),
        None if is_message_too_large(error) => Failure::new(
            stage,
            too_large_reason(tls),
            "a handshake message exceeds the limit of 64 KiB, with its record headers",
        ),
        None => Failure::new(stage, io_reason(error), error),
    }
}

/// Whether the TLS library ran out of space for a handshake message: it says so without an error of its own type. TCP has no
/// errors of this kind.
fn is_message_too_large(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

/// The reason for a handshake message that is too large. Until the server has sent its signature, the only message that can
/// grow without a violation of the protocol is the one with the certificates (RFC 8446 §4.4.2). The TLS library does not
/// say which message it is.
fn too_large_reason(tls: TlsProgress) -> ProbeReason {
    if tls.is_negotiated { ProbeReason::ProtocolViolation } else { ProbeReason::ChainTooLarge }
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
        // Not from the operating system, so from the TLS library.
        _ if error.raw_os_error().is_none() => ProbeReason::ProtocolViolation,
        _ => ProbeReason::Unreachable,
    }
}

/// What an alert is about depends on what was sent before it (RFC 8446 §6.2).
fn alert_reason(alert: AlertDescription, stage: Stage, tls: TlsProgress) -> ProbeReason {
    use AlertDescription as Alert;
    let is_empty = tls.client_auth.is_some_and(|answer| !answer.is_sent());
    match alert {
        // Decrypt error: the signature in CertificateVerify. Handshake failure: what earlier versions call for
        // (RFC 5246 §7.4.6). Certificate required: servers that ignore certificates that they do not accept.
        Alert::NoCertificate
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied
        | Alert::DecryptError
        | Alert::HandshakeFailure
        | Alert::CertificateRequired
            if tls.client_auth.is_some_and(ClientAuth::is_sent) =>
        {
            ProbeReason::ClientCertificateRejected
        }
        Alert::CertificateRequired => ProbeReason::ClientCertificateRequired,
        // TLS 1.2 has no alert for it. Java and Go send a bad certificate.
        Alert::NoCertificate | Alert::BadCertificate if is_empty => ProbeReason::ClientCertificateRequired,
        Alert::HandshakeFailure if is_empty && stage == Stage::Handshake => ProbeReason::ClientCertificateRequired,
        Alert::ProtocolVersion => ProbeReason::TlsVersion,
        Alert::HandshakeFailure | Alert::InsufficientSecurity if !tls.is_negotiated => ProbeReason::NoCommonParams,
        Alert::UnrecognisedName => ProbeReason::UnrecognizedName,
        _ => ProbeReason::TlsAlert,
    }
}

/// The reason for an error that the TLS library found.
fn tls_reason(error: &TlsError, tls: TlsProgress) -> ProbeReason {
    match error {
        TlsError::PeerIncompatible(incompatible) => match incompatible {
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => ProbeReason::TlsVersion,
            // Extensions that were not offered.
            PeerIncompatible::ServerSentHelloRetryRequestWithUnknownExtension
            | PeerIncompatible::IncorrectCertificateTypeExtension
            | PeerIncompatible::UnsolicitedCertificateTypeExtension => ProbeReason::ProtocolViolation,
            _ => ProbeReason::NoCommonParams,
        },
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
            ProbeReason::NotTls
        }
        TlsError::InvalidMessage(
            InvalidMessage::HandshakePayloadTooLarge | InvalidMessage::CertificatePayloadTooLarge,
        ) => too_large_reason(tls),
        TlsError::NoCertificatesPresented => ProbeReason::NoCertificate,
        _ => ProbeReason::ProtocolViolation,
    }
}

const NOT_SENT: &str = "; the client certificate was not sent: the server accepts no signature scheme of its key";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_tls_library_are_not_those_of_the_network() {
        use ProbeReason::{ChainTooLarge, Eof, ProtocolViolation, Reset, Timeout, Unreachable};
        const FULL: &str = "message buffer full";
        let too_large = |message: InvalidMessage| io::Error::new(io::ErrorKind::InvalidData, TlsError::from(message));
        let os = io::Error::from_raw_os_error;
        for (error, before, after) in [
            // As rustls 0.23 reports it, in `msgs/deframer/buffers.rs`.
            (io::Error::new(io::ErrorKind::InvalidData, FULL), ChainTooLarge, ProtocolViolation),
            (too_large(InvalidMessage::HandshakePayloadTooLarge), ChainTooLarge, ProtocolViolation),
            (too_large(InvalidMessage::CertificatePayloadTooLarge), ChainTooLarge, ProtocolViolation),
            (too_large(InvalidMessage::MessageTooLarge), ProtocolViolation, ProtocolViolation),
            (io::Error::other("received plaintext buffer full"), ProtocolViolation, ProtocolViolation),
            (io::ErrorKind::WriteZero.into(), ProtocolViolation, ProtocolViolation),
            (io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof"), Eof, Eof),
            (os(libc::ECONNRESET), Reset, Reset),
            (os(libc::EPIPE), Reset, Reset),
            (os(libc::ETIMEDOUT), Timeout, Timeout),
            (os(libc::EHOSTUNREACH), Unreachable, Unreachable),
            (os(libc::EPROTO), Unreachable, Unreachable),
        ] {
            for (stage, is_negotiated, expected) in
                [(Stage::Handshake, false, before), (Stage::Handshake, true, after), (Stage::Session, true, after)]
            {
                let failure = of_io(stage, &error, TlsProgress { is_negotiated, client_auth: None });
                assert_eq!((failure.stage, failure.reason), (stage, expected), "{error:?} {is_negotiated}");
                assert!(!failure.detail.contains(FULL), "{failure:?}");
            }
        }
    }
}
