//! One round over all targets, within a timeout.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::terminal::ProgressLine;
use crate::cmd::Error;
use crate::config::Config;
use crate::monitor::Monitor;
use crate::snapshot::Fleet;
use crate::target::TargetName;

/// Probes all targets concurrently and returns their reports when they are finished or after `limit`. Reports of targets
/// that are not finished have no `last_round`. `None` if `interrupted` resolves first.
pub(super) async fn run(
    config: Config,
    limit: Duration,
    mut progress: ProgressLine,
    interrupted: impl Future<Output = ()>,
) -> Result<Option<Fleet>, Error> {
    let mut waiting: Vec<TargetName> = config.targets.iter().map(|target| target.name.clone()).collect();
    let (monitor, handle) = Monitor::single_round(config, Arc::new(SystemTime::now))?;
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
        handle.settled().await;
    };
    tokio::select! {
        // All rounds are requested before the monitor starts one itself: nothing is probed twice.
        biased;
        () = interrupted => return Ok(None),
        _ = tokio::time::timeout(limit, all) => {}
        // Never completes: it stops when this future is dropped.
        () = monitor.run(pending()) => {}
    }
    Ok(Some(handle.fleet()))
}

/// Time for the lookups, which precede the probes, in addition to the timeout of probes.
pub(super) const GRACE: Duration = Duration::from_secs(1);
