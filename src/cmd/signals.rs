//! Signals, which are blocked from the start of the process until a command handles them.

use std::io;

use nix::sys::signal::{SigSet, Signal as Number};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM, SIGINT and SIGHUP are blocked: the kernel keeps those that arrive until they are unblocked.
#[derive(Debug)]
#[must_use]
pub struct BlockedSignals(());

impl BlockedSignals {
    /// Blocks the signals. Only for a process with a single thread: other threads would keep their own mask.
    pub fn block() -> Self {
        // Fails only for invalid arguments.
        let _ = set().thread_block();
        Self(())
    }

    /// Unblocks the signals, also if they were blocked when the process was started. Those without a handler have their
    /// default action.
    pub fn unblock(self) {
        let _ = set().thread_unblock();
    }

    /// Handles SIGTERM and SIGINT, and unblocks the signals. The future resolves on one of the two.
    ///
    /// # Errors
    /// If a handler cannot be installed.
    pub(super) fn termination(self) -> io::Result<impl Future<Output = ()>> {
        let terminated = handle_termination()?;
        self.unblock();
        Ok(terminated)
    }

    /// As [`BlockedSignals::termination`], and handles SIGHUP.
    ///
    /// # Errors
    /// If a handler cannot be installed.
    pub(super) fn termination_and_hangup(self) -> io::Result<(impl Future<Output = ()>, Signal)> {
        let handled = (handle_termination()?, signal(SignalKind::hangup())?);
        self.unblock();
        Ok(handled)
    }
}

fn handle_termination() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn set() -> SigSet {
    [Number::SIGTERM, Number::SIGINT, Number::SIGHUP].into_iter().collect()
}
