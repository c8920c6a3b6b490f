//! What one lookup or one probe saw: bytes and numbers, nothing concluded.

use std::fmt;
use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;

use crate::reason::{LocalReason, LookupReason, Phase, ProbeReason, Stage};
use crate::target::ServerName;
use crate::text::printable;

/// How a lookup went.
#[derive(Clone, Debug, PartialEq)]
pub struct LookupReport {
    /// It gave the addresses of every host of the target; also where a domain says that it has none (RFC 7505).
    pub success: bool,
    /// How many hosts MX or SRV records name; none for hosts that the config names, and where that was not found out.
    pub hosts: Option<usize>,
    /// From the first question to the last answer.
    pub duration: Duration,
    /// What failed.
    pub failures: Vec<LookupFailure>,
    /// Whether name servers disagreed; none where they are not compared.
    pub disagree: Option<bool>,
}

/// A question that was not answered with addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupFailure {
    /// The name that was asked for.
    pub name: ServerName,
    /// The record type: `A`, `AAAA`, `MX`, `SRV`.
    pub record_type: &'static str,
    /// Why.
    pub reason: LookupReason,
}

/// One probe of one backend.
#[derive(Clone, Debug)]
pub struct Observation {
    /// When the probe began, on the wall clock.
    pub at: SystemTime,
    /// From the first packet to the end.
    pub duration: Duration,
    /// How long each phase took; only phases that were finished.
    pub phases: Phases,
    /// TLS parameters where TLS came up and an SMTP reply was read inside it, else where and why it stopped.
    pub outcome: Result<Connection, Failure>,
    /// What the server presented, also when a later step failed.
    pub presented: Option<PresentedChain>,
    /// The handshake signature, not yet checked.
    pub proof: Option<KeyProof>,
    /// The name that the server gave in its last EHLO reply, or in its greeting before that.
    pub ehlo_name: Option<Box<str>>,
    /// The server said that it limits connections or rate (a 421, RFC 5321 §3.8).
    pub rate_limited: bool,
}

/// How long the phases of a probe took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases([Option<Duration>; Phase::ALL.len()]);

impl Phases {
    /// Notes that `phase` is finished.
    pub fn set(&mut self, phase: Phase, duration: Duration) {
        self.0[phase as usize] = Some(duration);
    }

    /// The finished phases in order.
    pub fn iter(&self) -> impl Iterator<Item = (Phase, Duration)> {
        Phase::ALL.iter().copied().zip(self.0).filter_map(|(phase, duration)| Some((phase, duration?)))
    }
}

/// What was negotiated. Words are the IANA registry's, bounded by what the TLS library knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite.
    pub cipher: &'static str,
    /// The key exchange group.
    pub group: &'static str,
}

/// Where and why a probe stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Where.
    pub stage: Stage,
    /// Why.
    pub reason: ProbeReason,
    /// The evidence for a log line (a reply's text, an alert's name); made printable and cut.
    pub detail: Box<str>,
}

impl Failure {
    /// A failure whose detail is cleaned of control characters and cut at 200 characters.
    pub fn new(stage: Stage, reason: ProbeReason, detail: impl fmt::Display) -> Self {
        Self { stage, reason, detail: printable(&detail.to_string(), 200).into() }
    }
}

/// A failure on this machine's side, which says nothing about the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFailure {
    /// Why.
    pub reason: LocalReason,
    /// The evidence for a log line.
    pub detail: Box<str>,
}

/// The certificates as sent, leaf first, with the stapled OCSP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentedChain {
    /// As sent; never empty.
    pub certificates: Vec<CertificateDer<'static>>,
    /// As sent; empty where none came.
    pub staple: Box<[u8]>,
}

/// The server's signature over the handshake, which binds the leaf's key to the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyProof {
    /// The TLS SignatureScheme code point (RFC 8446 §4.2.3).
    pub scheme: u16,
    /// Whether the rules of TLS 1.3 hold for the scheme, rather than those of TLS 1.2.
    pub tls13: bool,
    /// What was signed.
    pub message: Box<[u8]>,
    /// The signature.
    pub signature: Box<[u8]>,
}
