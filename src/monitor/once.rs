//! One-off rounds: one round each of a target that is not configured, on request. They obey all limits, are not part of the
//! fleet, change no other target's report, and leave no state. Clients share them, and a round that no client waits for any
//! more is given up.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::TargetId;
use crate::net::ClientAddress;
use crate::snapshot::TargetReport;
use crate::target::{NotAllowed, TargetKind};

/// A client's part in a one-off round. The round is given up when the last one is dropped before its end.
#[derive(Debug)]
pub struct OneOff {
    reports: watch::Receiver<OneOffReport>,
    /// Reports the departure when it is dropped.
    _departure: DepartureGuard,
}

impl OneOff {
    pub(super) fn new(
        reports: watch::Receiver<OneOffReport>,
        departure: Departure,
        departures: mpsc::UnboundedSender<Departure>,
    ) -> Self {
        Self { reports, _departure: DepartureGuard { departure, departures } }
    }

    /// Waits until the round has ended.
    ///
    /// # Errors
    /// [`OneOffError::Ended`] if the monitor has ended before.
    pub async fn end(&mut self) -> Result<(), OneOffError> {
        self.reports.wait_for(|report| report.ended).await.map(drop).map_err(|_| OneOffError::Ended)
    }

    /// The results so far.
    pub fn report(&self) -> OneOffReport {
        self.reports.borrow().clone()
    }
}

/// A client no longer waits for a one-off round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Departure {
    pub(super) target: TargetId,
    pub(super) client: ClientAddress,
}

#[derive(Debug)]
struct DepartureGuard {
    departure: Departure,
    departures: mpsc::UnboundedSender<Departure>,
}

impl Drop for DepartureGuard {
    fn drop(&mut self) {
        // An error means that the monitor has ended.
        let _ = self.departures.send(self.departure);
    }
}

/// A request for a one-off round. The client has disconnected if the receiver of the reply is gone.
#[derive(Debug)]
pub(super) struct OneOffRequest {
    pub(super) kind: TargetKind,
    pub(super) client: ClientAddress,
    pub(super) reply: oneshot::Sender<Result<OneOff, OneOffError>>,
}

/// The state of a one-off round.
#[derive(Clone, Debug)]
pub struct OneOffReport {
    /// The target, under its default name.
    pub target: Arc<TargetReport>,
    /// Number of addresses that it resolves to and that are not permitted.
    pub refused: usize,
    /// Whether the round has ended.
    pub ended: bool,
}

/// Why a one-off round was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OneOffError {
    /// The configuration does not permit it.
    NotAllowed(NotAllowed),
    /// Too many requests wait, of this client or of all.
    TooMany,
    /// The monitor has ended.
    Ended,
}
