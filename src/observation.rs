//! What one lookup or one probe observed: bytes and numbers, without verdicts.

use std::fmt;
use std::io;
use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;

use crate::reason::{ClientAuth, LocalReason, LookupReason, Phase, ProbeReason, RejectionCause, Stage};
use crate::target::ServerName;
use crate::text::printable;

/// The outcome of a lookup of a target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LookupReport {
    /// The addresses of every host were found, or the domain states that it has no host (RFC 7505).
    pub success: bool,
    /// Number of hosts in MX or SRV records; none for `host` targets, and if the records are not known.
    pub hosts: Option<usize>,
    /// From the first query to the last answer.
    pub duration: Duration,
    /// The queries that failed.
    pub failures: Vec<LookupFailure>,
    /// Whether name servers disagreed; none if they are not compared.
    pub disagree: Option<bool>,
    /// Whether repeated queries got different answers, from one name server or from several that are not compared.
    pub varies: bool,
    /// The names of the search list that were looked up besides the name as written, if none of them has an address.
    pub searched: Vec<ServerName>,
}

/// A query that failed, or a record without a usable host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupFailure {
    /// The queried name.
    pub name: ServerName,
    /// The record type: `A`, `AAAA`, `MX`, `SRV`.
    pub record_type: &'static str,
    /// The reason.
    pub reason: LookupReason,
    /// The name at the end of its aliases (CNAME), to which the reason applies; none if it is no alias.
    pub alias: Option<ServerName>,
    /// Other queries returned addresses of the name.
    pub is_partial: bool,
}

/// One probe of one backend.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Start of the probe, by the wall clock.
    pub at: SystemTime,
    /// From the start of the connection to the outcome.
    pub duration: Duration,
    /// Durations of the finished phases.
    pub phases: Phases,
    /// The TLS parameters if the server answered positively inside TLS, else the failure.
    pub outcome: Result<Connection, Failure>,
    /// What the server presented, even if a later stage failed.
    pub presented: Option<PresentedChain>,
    /// The handshake signature, not verified.
    pub proof: Option<KeyProof>,
    /// The server's name in its last EHLO reply or, before that, in its greeting.
    pub ehlo_name: Option<Box<str>>,
    /// The answer to a request for a client certificate; none if the server requested none, or the answer was not sent.
    pub client_auth: Option<ClientAuth>,
}

/// The durations of the phases of a probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases([Option<Duration>; Phase::ALL.len()]);

impl Phases {
    /// Records that `phase` took `duration`.
    pub fn set(&mut self, phase: Phase, duration: Duration) {
        self.0[phase as usize] = Some(duration);
    }

    /// The finished phases in order.
    pub fn iter(&self) -> impl Iterator<Item = (Phase, Duration)> {
        Phase::ALL.iter().copied().zip(self.0).filter_map(|(phase, duration)| Some((phase, duration?)))
    }
}

/// The negotiated TLS parameters, by their names in the IANA registry; `unknown` for those that the TLS library does not
/// know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite.
    pub cipher: &'static str,
    /// The key exchange group.
    pub group: &'static str,
}

/// Where and why a probe failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The stage.
    pub stage: Stage,
    /// The reason.
    pub reason: ProbeReason,
    /// The evidence (a reply, an error, an alert), printable and at most [`MAX_DETAIL`] characters long.
    pub detail: Box<str>,
    /// What the reply says, if it refuses the client and the cause is known.
    pub cause: Option<RejectionCause>,
}

impl Failure {
    /// A failure with `detail` made printable and cut at [`MAX_DETAIL`] characters.
    pub fn new(stage: Stage, reason: ProbeReason, detail: impl fmt::Display) -> Self {
        Self { stage, reason, detail: printable(&detail.to_string(), MAX_DETAIL).into(), cause: None }
    }

    /// The same failure with what the reply says.
    pub fn with_cause(self, cause: Option<RejectionCause>) -> Self {
        Self { cause, ..self }
    }
}

/// Enough for a reply of several lines, whose last one may be the explanation.
pub const MAX_DETAIL: usize = 500;

/// A failure of this host. The state of the server is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFailure {
    /// The reason.
    pub reason: LocalReason,
    /// The evidence.
    pub detail: Box<str>,
}

impl LocalFailure {
    /// A failure with its evidence.
    pub fn new(reason: LocalReason, detail: impl fmt::Display) -> Self {
        Self { reason, detail: detail.to_string().into() }
    }

    /// The failure if `error` comes from this host, not from the network or the peer. `has_route` is whether this host
    /// has a route to the peer.
    pub fn from_io(error: &io::Error, has_route: impl Fn() -> bool) -> Option<Self> {
        let reason = match error.raw_os_error()? {
            libc::EMFILE | libc::ENFILE => LocalReason::FileDescriptors,
            libc::ENOBUFS | libc::ENOMEM => LocalReason::Buffers,
            libc::EADDRNOTAVAIL => LocalReason::LocalAddress,
            libc::EACCES | libc::EPERM => LocalReason::Forbidden,
            // A router on the path can cause the same error. It is local only if this host has no route.
            libc::ENETUNREACH | libc::EAFNOSUPPORT if !has_route() => LocalReason::NoRoute,
            _ => return None,
        };
        Some(Self::new(reason, error))
    }
}

/// The certificates that a server sent, and the stapled OCSP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentedChain {
    /// In the order sent, normally leaf first; never empty.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Empty if none was sent.
    pub staple: Box<[u8]>,
}

/// The server's signature over the handshake, which proves possession of the leaf's private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyProof {
    /// The TLS SignatureScheme code point (RFC 8446 §4.2.3).
    pub scheme: u16,
    /// Whether the scheme is subject to the rules of TLS 1.3, not those of TLS 1.2.
    pub tls13: bool,
    /// The signed bytes.
    pub message: Box<[u8]>,
    /// The signature.
    pub signature: Box<[u8]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinguishes_local_failures_from_those_of_the_peer() {
        for (errno, has_route, expected) in [
            (libc::EMFILE, true, Some(LocalReason::FileDescriptors)),
            (libc::ENFILE, true, Some(LocalReason::FileDescriptors)),
            (libc::ENOBUFS, true, Some(LocalReason::Buffers)),
            (libc::EADDRNOTAVAIL, true, Some(LocalReason::LocalAddress)),
            (libc::EACCES, true, Some(LocalReason::Forbidden)),
            (libc::EPERM, true, Some(LocalReason::Forbidden)),
            (libc::ENETUNREACH, false, Some(LocalReason::NoRoute)),
            (libc::EAFNOSUPPORT, false, Some(LocalReason::NoRoute)),
            (libc::ENETUNREACH, true, None),
            (libc::ECONNREFUSED, false, None),
            (libc::ETIMEDOUT, false, None),
        ] {
            let found = LocalFailure::from_io(&io::Error::from_raw_os_error(errno), || has_route);
            assert_eq!(found.map(|failure| failure.reason), expected, "errno {errno}, route: {has_route}");
        }
        assert_eq!(LocalFailure::from_io(&io::Error::other("no errno"), || false), None);
    }
}
