//! One probe: from a backend to an observation, under one deadline.
//!
//! A probe never judges. What the server presents is kept whatever happens afterwards, and a failure says at which
//! stage it came. SMTP is left by QUIT wherever it is still spoken, so that no server logs a lost connection.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::{Instant, timeout_at};

use crate::observation::{Failure, LocalFailure, Observation};
use crate::reason::ProbeReason;
use crate::target::{Backend, ProbeSettings};

mod dial;
mod failure;
mod handshake;
mod session;
pub mod smtp;

use handshake::{Capture, TlsClients};
use session::{Sight, Stop, Street};

/// Probes backends. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Prober {
    tls: Arc<TlsClients>,
}

impl Prober {
    /// A prober with TLS set up.
    ///
    /// # Errors
    /// When the TLS library refuses its own defaults, which no input can cause.
    pub fn new() -> Result<Self, rustls::Error> {
        Ok(Self { tls: Arc::new(TlsClients::new()?) })
    }

    /// Connects to `backend` once and tells what was seen; `at` is the wall clock, taken down as it is.
    /// Takes `settings.timeout` at most, and a second more where a QUIT is still to be said.
    ///
    /// # Errors
    /// Where this machine failed, so that nothing is known of the server.
    pub async fn probe(
        &self,
        backend: &Backend,
        settings: &ProbeSettings,
        at: SystemTime,
    ) -> Result<Observation, Box<LocalFailure>> {
        let begin = Instant::now();
        let mut sight = Sight::new(begin);
        let deadline = begin + settings.timeout;
        let street = Street { prober: self, backend, settings, begin };
        let outcome = match timeout_at(deadline, street.walk(&mut sight)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(Stop::Failed(failure))) => Err(failure),
            Ok(Err(Stop::Local(local))) => return Err(local),
            Err(_) => sight.proven.ok_or_else(|| {
                let detail = format_args!("no answer within {:?}", settings.timeout);
                Failure::new(sight.stage, ProbeReason::Timeout, detail)
            }),
        };
        let duration = begin.elapsed();
        if let Some(farewell) = sight.farewell.take() {
            farewell.say().await;
        }
        let (presented, proof) = sight.capture.as_deref().map(Capture::take).unwrap_or_default();
        Ok(Observation {
            at,
            duration,
            phases: sight.phases,
            outcome,
            presented,
            proof,
            ehlo_name: sight.ehlo_name,
            rate_limited: sight.rate_limited,
        })
    }
}
