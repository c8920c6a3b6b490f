//! The metric families of the exporter and its process.

use std::fmt;
use std::iter::once;

use super::family::{Families, ScopeLabels};
use super::process::Process;
use super::table;
use crate::reason::LocalReason;
use crate::snapshot::Fleet;
use crate::verdict::unix;

pub(super) fn encode(families: &mut Families<'_>, fleet: &Fleet, process: Option<&Process>) -> fmt::Result {
    let exporter = &fleet.exporter;
    families.info(table::BUILD_INFO, once((ScopeLabels::default(), [VERSION, REVISION])))?;
    families.one(table::RELOAD_SUCCESSFUL, Some(exporter.reload_successful))?;
    families.one(table::RELOAD_SUCCESS_TIME, exporter.reload_success_at.map(unix))?;
    families.one(table::RELOAD_RUNNING, Some(exporter.reload_running))?;
    families.one(table::WEB_RELOAD_SUCCESSFUL, exporter.web_reload_successful)?;
    let stores = exporter.trust_anchors.iter();
    families
        .labeled(table::TRUST_ANCHORS, stores.map(|(store, count)| (ScopeLabels::default(), [&**store], *count)))?;
    families.one(table::TARGETS, Some(fleet.targets.len()))?;
    families.one(table::SHARD_ORDINAL, Some(exporter.shard.shard.ordinal()))?;
    families.one(table::TOTAL_SHARDS, Some(exporter.shard.shard.total()))?;
    families.one(table::PROBES_IN_FLIGHT, Some(exporter.probes_in_flight))?;
    families.one(table::SCHEDULE_LAG, Some(exporter.schedule_lag))?;
    let errors = LocalReason::ALL.iter().map(|reason| {
        let counted = exporter.local_errors.iter().find(|(other, _)| other == reason);
        (ScopeLabels::default(), [reason.as_str()], counted.map_or(0, |(_, count)| *count))
    });
    families.labeled(table::LOCAL_ERRORS, errors)?;
    process.map_or(Ok(()), |process| encode_process(families, process))
}

fn encode_process(families: &mut Families<'_>, process: &Process) -> fmt::Result {
    families.one(table::PROCESS_CPU, Some(process.cpu_seconds))?;
    families.one(table::PROCESS_OPEN_FDS, process.open_fds)?;
    families.one(table::PROCESS_MAX_FDS, process.max_fds)?;
    families.one(table::PROCESS_VIRTUAL_MEMORY, Some(process.virtual_memory_bytes))?;
    families.one(table::PROCESS_RESIDENT_MEMORY, Some(process.resident_memory_bytes))?;
    families.one(table::PROCESS_START_TIME, process.start_time_seconds)?;
    families.one(table::PROCESS_THREADS, Some(process.threads))
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Set in the environment of release builds.
const REVISION: &str = match option_env!("SMTP_TLS_EXPORTER_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};
