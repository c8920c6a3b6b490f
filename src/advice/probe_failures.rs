//! Probes that stopped before they had seen all.

use super::context::{Scene, grouped, story};
use super::phrases::{self, Listed, Place};
use super::request::Letter;
use super::{Advice, Story};
use crate::client_errors;
use crate::observation::Failure;
use crate::reason::{AdviceKind, ProbeReason, Severity, Stage};
use crate::snapshot::BackendReport;
use crate::target::TlsMode;

/// One story for each stage and reason.
pub(super) fn of(scene: &Scene<'_>) -> Vec<Story> {
    let (limited, others): (Vec<_>, Vec<_>) = scene
        .resolved
        .iter()
        .copied()
        .partition(|report| report.probe.as_ref().is_some_and(|probe| probe.rate_limited));
    let failing: Vec<&BackendReport> = others.into_iter().filter(|report| failure(report).is_some()).collect();
    let groups = grouped(&failing, |report| failure(report).map(|failure| (failure.stage, failure.reason)));
    let mut stories: Vec<Story> =
        groups.into_iter().filter_map(|(stop, reports)| Some(story(stopped(scene, stop?, &reports)))).collect();
    if !limited.is_empty() {
        stories.push(story(rate_limited(scene, &limited)));
    }
    stories
}

fn failure(report: &BackendReport) -> Option<&Failure> {
    report.probe.as_ref()?.outcome.as_ref().err()
}

fn stopped(scene: &Scene<'_>, (stage, reason): (Stage, ProbeReason), reports: &[&BackendReport]) -> Advice {
    let (kind, severity) = match (stage, reason) {
        (_, ProbeReason::ClientCertificateRequired) => (AdviceKind::Handshake, Severity::Warning),
        (_, ProbeReason::StartTlsNotOffered | ProbeReason::StartTlsRefused | ProbeReason::PlaintextAfterStartTls) => {
            (AdviceKind::StartTls, scene.refusal())
        }
        (Stage::Handshake, _) | (Stage::Session, ProbeReason::TlsAlert | ProbeReason::UnrecognizedName) => {
            (AdviceKind::Handshake, Severity::Critical)
        }
        _ => (AdviceKind::Unreachable, Severity::Critical),
    };
    let noted: Vec<Place<'_>> = reports.iter().map(|report| place(report, detail(report))).collect();
    let listed = Listed::of(&noted);
    let said =
        listed.note.as_ref().filter(|note| !note.is_empty()).map(|note| format!(" ({note})")).unwrap_or_default();
    let (wrong, todo) = sentence(scene, stage, reason);
    let ours = ours(scene, stage, reason).map(|ours| format!(" {ours}.")).unwrap_or_default();
    let text = format!("{}: {wrong}{said}. {todo}.{ours}", listed.list);
    let clients = client_errors::for_probe(reason);
    let letter = Letter {
        subject: format!("SMTP over TLS fails at {stage} ({reason})"),
        wrong: format!("What is wrong: {wrong}."),
        todo: format!("{todo}."),
        clients: clients.as_ref(),
    };
    Advice { request: Some(letter.on_stops(scene, reports)), clients, ..scene.say(kind, severity, &noted, &text) }
}

/// The server's own words, where the reason alone does not tell.
fn detail(report: &BackendReport) -> String {
    let told = |failure: &&Failure| {
        use ProbeReason as Why;
        matches!(
            failure.reason,
            Why::Rejected4xx | Why::Rejected5xx | Why::StartTlsRefused | Why::TlsAlert | Why::ProtocolViolation
        )
    };
    failure(report).filter(told).map(|failure| failure.detail.to_string()).unwrap_or_default()
}

/// What is wrong, after "A and B:", and what to do.
fn sentence(scene: &Scene<'_>, stage: Stage, reason: ProbeReason) -> (String, &'static str) {
    let (port, name) = (scene.endpoint().port, scene.server_name());
    let implicit = scene.endpoint().tls == TlsMode::Implicit;
    match reason {
        ProbeReason::StartTlsNotOffered => (
            format!(
                "STARTTLS is not offered on port {port}, so that clients which demand TLS fail, and others send in the clear"
            ),
            "Switch it on (Postfix `smtpd_tls_security_level = may`, Exim `tls_advertise_hosts = *`); if it is on, look for a \
             firewall or proxy that takes it out",
        ),
        ProbeReason::StartTlsRefused => (
            "STARTTLS is offered, and refused when it is asked for".to_owned(),
            "See the server's log: most often it could not load its certificate or key",
        ),
        ProbeReason::PlaintextAfterStartTls => (
            "bytes follow the answer to STARTTLS in the clear (CVE-2011-0411), which careful clients refuse".to_owned(),
            "Mend or update the server, or the proxy before it",
        ),
        ProbeReason::TlsVersion => (
            "no TLS version is spoken that is still safe, 1.2 or 1.3".to_owned(),
            "Switch on TLS 1.2 and 1.3, which may take an update of the server",
        ),
        ProbeReason::NoCommonParams => (
            "no cipher suite, group or signature scheme of today is accepted".to_owned(),
            "Allow ECDHE with AES-GCM or ChaCha20, and P-256 or X25519; see that the kind of key fits them",
        ),
        ProbeReason::ClientCertificateRequired => (
            "a client certificate is demanded, so that clients without one fail".to_owned(),
            "If that is not meant so, let the server ask for none",
        ),
        ProbeReason::UnrecognizedName => (
            format!("the server knows no certificate for {name} and ends the handshake"),
            "Give it a certificate for that name, or one to fall back on",
        ),
        ProbeReason::TlsAlert => {
            ("TLS is ended by the server with an alert".to_owned(), "See the server's log for why")
        }
        ProbeReason::NotTls if implicit => (
            format!("what port {port} says at once is not TLS"),
            "If STARTTLS is meant to be spoken there, tell clients so; else switch TLS on",
        ),
        ProbeReason::NotTls => (
            "after STARTTLS comes something other than TLS".to_owned(),
            "See the server's log, and whether a proxy stands before it",
        ),
        ProbeReason::NoCertificate => {
            ("no certificate is presented".to_owned(), "Give the server its certificate and key")
        }
        ProbeReason::ChainTooLarge => (
            "the certificates that are sent are larger than 64 KiB".to_owned(),
            "Present the server's certificate and its intermediates, and nothing else",
        ),
        ProbeReason::ProtocolViolation => {
            ("the TLS protocol is broken by the server".to_owned(), "Update it, or what stands before it")
        }
        ProbeReason::Refused => (
            format!("connections to port {port} are refused"),
            "Start the server, or stop sending clients to this address until it is back",
        ),
        ProbeReason::Unreachable => (
            "the address cannot be reached from here".to_owned(),
            "See to the network and the firewalls, or stop sending clients to this address until it is back",
        ),
        ProbeReason::Timeout if stage == Stage::Connect => (
            format!("nothing answers on port {port} in time"),
            "See whether the server is up and a firewall drops the connection, or stop sending clients to this address",
        ),
        ProbeReason::Timeout | ProbeReason::Eof if stage == Stage::Greeting && !implicit => (
            format!("no greeting comes on port {port}{}", ended(reason)),
            "See the server's log, and whether TLS is spoken at once on this port, as on 465",
        ),
        ProbeReason::Timeout | ProbeReason::Eof | ProbeReason::Reset => (
            format!("{} {}", during(stage), ended(reason).trim_start_matches(", ")),
            "See the server's log, and whether something between here and there cuts connections",
        ),
        ProbeReason::Rejected4xx => (
            format!("{} the server answers that it cannot for now", during(stage)),
            "See the server's log, and whether this machine is allowed to connect",
        ),
        ProbeReason::Rejected5xx => (
            format!("{} the server refuses", during(stage)),
            "See the server's log, and whether this machine is allowed to connect",
        ),
        ProbeReason::MalformedReply | ProbeReason::ReplyTooLarge => (
            format!("{} something comes that is no SMTP reply", during(stage)),
            "See whether a mail server listens on this port, and what stands before it",
        ),
    }
}

/// What else whoever runs the exporter can do, which is no matter of those who run the servers.
fn ours(scene: &Scene<'_>, stage: Stage, reason: ProbeReason) -> Option<&'static str> {
    let implicit = scene.endpoint().tls == TlsMode::Implicit;
    match reason {
        ProbeReason::ClientCertificateRequired => {
            Some("If it is, give the target a `client_certificate`, and it is probed as such clients see it")
        }
        ProbeReason::NotTls if implicit => Some("The target says `tls: starttls` then"),
        ProbeReason::Timeout | ProbeReason::Eof if stage == Stage::Greeting && !implicit => {
            Some("The target says `tls: implicit` then")
        }
        _ => None,
    }
}

fn during(stage: Stage) -> &'static str {
    match stage {
        Stage::Resolve | Stage::Connect => "on connecting,",
        Stage::Greeting => "in place of the greeting,",
        Stage::Ehlo => "after EHLO,",
        Stage::StartTls => "after STARTTLS,",
        Stage::Handshake => "in the TLS handshake,",
        Stage::Session => "once TLS is up,",
    }
}

fn ended(reason: ProbeReason) -> &'static str {
    match reason {
        ProbeReason::Timeout => ", nothing comes in time",
        ProbeReason::Eof => ", the connection is closed",
        _ => ", the connection is reset",
    }
}

fn rate_limited(scene: &Scene<'_>, reports: &[&BackendReport]) -> Advice {
    let places: Vec<Place<'_>> = reports.iter().map(|report| place(report, String::new())).collect();
    let text = format!(
        "{}: the server limits how often it may be asked from here (421). It is probed less often until it no longer does: \
         allow this machine there, or lengthen `interval`.",
        phrases::list(&places)
    );
    scene.say(AdviceKind::RateLimited, Severity::Warning, &places, &text)
}

fn place(report: &BackendReport, note: String) -> Place<'_> {
    Place { backend: &report.backend, seen_at: None, note }
}
