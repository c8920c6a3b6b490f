//! Termination signals.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Installs the handlers, and returns a future that resolves on SIGTERM or SIGINT.
///
/// # Errors
/// If a handler cannot be installed.
pub(super) fn termination() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
