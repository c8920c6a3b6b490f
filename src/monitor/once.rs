//! One-off rounds: one round each of a target that is not configured, on request. They obey all limits, are not part of the
//! fleet, change no other target's report, and leave no state.

use std::sync::Arc;

use tokio::sync::watch;

use crate::snapshot::TargetReport;
use crate::target::{Allow, NotAllowed};

/// A one-off round that was started. Dropping it does not end the round.
#[derive(Clone, Debug)]
pub struct OneOff(pub(super) watch::Receiver<OneOffReport>);

impl OneOff {
    /// Waits until the round or the monitor has ended.
    pub async fn end(&mut self) {
        // An error means that there will be no more reports.
        let _ = self.0.wait_for(|report| report.ended).await;
    }

    /// The results so far.
    pub fn report(&self) -> OneOffReport {
        self.0.borrow().clone()
    }
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
    /// The configuration does not permit it. With what it permits, which may be nothing.
    NotAllowed(NotAllowed, Allow),
    /// Too many are in progress.
    TooMany,
    /// The monitor has ended.
    Ended,
}
