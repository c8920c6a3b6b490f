//! What changed of a target: the last changes, for whoever asks what happened while nobody looked.

use std::iter::once;
use std::sync::Arc;
use std::time::SystemTime;

use crate::snapshot::{Change, MAX_CHANGES, StateChange};

/// The last changes, the newest last.
#[derive(Debug, Default)]
pub(super) struct History(Arc<[StateChange]>);

impl History {
    /// Adds a change; the oldest goes where there are too many.
    pub(super) fn note(&mut self, at: SystemTime, change: Change) {
        let too_many = (self.0.len() + 1).saturating_sub(MAX_CHANGES);
        self.0 = self.0.iter().skip(too_many).cloned().chain(once(StateChange { at, change })).collect();
    }

    pub(super) fn changes(&self) -> Arc<[StateChange]> {
        Arc::clone(&self.0)
    }
}
