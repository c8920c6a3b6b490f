//! One round over all targets of a config, within bounds.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::CheckError;
use super::terminal::Progress;
use crate::cmd::signals::termination;
use crate::config::Config;
use crate::monitor::Monitor;
use crate::snapshot::Fleet;
use crate::target::TargetName;

/// Looks up and probes all at once, and gives what is known when all is done or the time is over: then reports without a
/// `last_round` are of targets that were not finished. None where a signal ended it.
pub(super) async fn run(
    config: Config,
    patience: Duration,
    mut progress: Progress,
) -> Result<Option<Fleet>, CheckError> {
    let interrupted = termination().map_err(CheckError::Runtime)?;
    let mut waiting: Vec<TargetName> = config.targets.iter().map(|target| target.name.clone()).collect();
    let (monitor, handle) = Monitor::new(config, Arc::new(SystemTime::now)).map_err(CheckError::Monitor)?;
    let total = waiting.len();
    let mut rounds: FuturesUnordered<_> = waiting
        .iter()
        .cloned()
        .map(|name| {
            let handle = handle.clone();
            async move {
                handle.round(&name).await;
                name
            }
        })
        .collect();
    let all = async {
        progress.show(total, &waiting);
        while let Some(name) = rounds.next().await {
            waiting.retain(|each| *each != name);
            progress.show(total, &waiting);
        }
    };
    tokio::select! {
        // In this order all is asked for before the monitor begins anything by itself: nothing is probed twice.
        biased;
        () = interrupted => return Ok(None),
        _ = tokio::time::timeout(patience + GRACE, all) => {}
        // Ends with this function, whatever is under way.
        () = monitor.run(pending()) => {}
    }
    Ok(Some(handle.fleet()))
}

/// Lookups take a part of the time before probes begin: these have a little more than was asked for.
pub(super) const GRACE: Duration = Duration::from_secs(1);
