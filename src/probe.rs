//! One probe: from a backend to an observation, under one deadline.
//!
//! A probe draws no conclusions. Whatever the server presented is kept even if a later stage fails, and a failure names
//! its stage. While the connection still carries SMTP, it is closed with QUIT, so that no server logs a lost connection.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::observation::{Failure, LocalFailure, Observation};
use crate::reason::{LocalReason, ProbeReason};
use crate::target::{Backend, ProbeSettings};

mod failure;
mod handshake;
mod session;
pub mod smtp;

use handshake::{Capture, TlsClients};
use session::{ProbeSession, ProbeState, SessionError};

/// Probes backends. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Prober {
    tls: Arc<TlsClients>,
}

impl Prober {
    /// A prober whose TLS clients are ready.
    ///
    /// # Errors
    /// If the TLS library rejects its own defaults, which no input can cause.
    pub fn new() -> Result<Self, rustls::Error> {
        Ok(Self { tls: Arc::new(TlsClients::new()?) })
    }

    /// Connects to `backend` once and returns what was observed; `at` is the wall clock time to record.
    /// Takes at most `settings.timeout`, plus one second for a QUIT.
    ///
    /// # Errors
    /// If this host failed, so that nothing is known about the server.
    pub async fn probe(
        &self,
        backend: &Backend,
        settings: &ProbeSettings,
        at: SystemTime,
    ) -> Result<Observation, Box<LocalFailure>> {
        // Nothing cancels it.
        let cancelled = || Box::new(LocalFailure::new(LocalReason::Defect, "a probe was cancelled"));
        self.probe_until(backend, settings, at, &CancellationToken::new()).await?.ok_or_else(cancelled)
    }

    /// As [`Prober::probe`], but gives the probe up when `cancel` is cancelled, and returns none. A connection on which the
    /// server has sent nothing is closed immediately. Any other one ends with QUIT: after the greeting, since nothing may be
    /// sent before its end; after the reply to the last command, or a second without one; and after the handshake. If
    /// the handshake takes longer than a second, the connection is closed.
    ///
    /// # Errors
    /// As [`Prober::probe`].
    pub async fn probe_until(
        &self,
        backend: &Backend,
        settings: &ProbeSettings,
        at: SystemTime,
        cancel: &CancellationToken,
    ) -> Result<Option<Observation>, Box<LocalFailure>> {
        let start = Instant::now();
        let mut state = ProbeState::new(start);
        let session = ProbeSession { tls: &self.tls, backend, settings, start, cancel };
        let ended = timeout_at(start + settings.timeout, session.run(&mut state)).await;
        let outcome = match ended {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(SessionError::Failed(failure))) => Err(failure),
            Ok(Err(SessionError::Local(local))) => return Err(local),
            Ok(Err(SessionError::Cancelled)) => {
                state.end().await;
                return Ok(None);
            }
            Err(_) => state.proven.ok_or_else(|| {
                let detail = format_args!("no answer within {:?}", settings.timeout);
                Failure::new(state.stage, ProbeReason::Timeout, detail)
            }),
        };
        let duration = start.elapsed();
        state.end().await;
        let client_auth = state.client_auth();
        let (presented, proof) = state.capture.as_deref().map(Capture::take).unwrap_or_default();
        Ok(Some(Observation {
            at,
            duration,
            phases: state.phases,
            outcome,
            presented,
            proof,
            ehlo_name: state.ehlo_name,
            client_auth,
        }))
    }
}
