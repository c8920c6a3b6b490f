//! The metric families of the exporter and its process.

use std::fmt;
use std::iter::once;

use super::family::{Families, SampleValue, ScopeLabels};
use super::process::Process;
use super::table::{self, Metric};
use crate::reason::LocalReason;
use crate::snapshot::Fleet;
use crate::verdict::unix;

pub(super) fn encode(families: &mut Families<'_>, fleet: &Fleet, process: Option<&Process>) -> fmt::Result {
    let exporter = &fleet.exporter;
    families.info(table::BUILD_INFO, once((EXPORTER, [VERSION, REVISION])))?;
    one(families, table::RELOAD_SUCCESSFUL, Some(exporter.reload_successful))?;
    one(families, table::RELOAD_SUCCESS_TIME, exporter.reload_success_at.map(unix))?;
    let stores = exporter.trust_anchors.iter();
    families.labeled(table::TRUST_ANCHORS, stores.map(|(store, count)| (EXPORTER, [&**store], *count)))?;
    one(families, table::TARGETS, Some(fleet.targets.len()))?;
    one(families, table::PROBES_IN_FLIGHT, Some(exporter.probes_in_flight))?;
    one(families, table::SCHEDULE_LAG, Some(exporter.schedule_lag))?;
    let errors = LocalReason::ALL.iter().map(|reason| {
        let counted = exporter.local_errors.iter().find(|(other, _)| other == reason);
        (EXPORTER, [reason.as_str()], counted.map_or(0, |(_, count)| *count))
    });
    families.labeled(table::LOCAL_ERRORS, errors)?;
    process.map_or(Ok(()), |process| encode_process(families, process))
}

fn encode_process(families: &mut Families<'_>, process: &Process) -> fmt::Result {
    one(families, table::PROCESS_CPU, Some(process.cpu_seconds))?;
    one(families, table::PROCESS_OPEN_FDS, process.open_fds)?;
    one(families, table::PROCESS_MAX_FDS, process.max_fds)?;
    one(families, table::PROCESS_VIRTUAL_MEMORY, Some(process.virtual_memory_bytes))?;
    one(families, table::PROCESS_RESIDENT_MEMORY, Some(process.resident_memory_bytes))?;
    one(families, table::PROCESS_START_TIME, process.start_time_seconds)?;
    one(families, table::PROCESS_THREADS, Some(process.threads))
}

fn one(families: &mut Families<'_>, metric: &'static Metric, value: Option<impl Into<SampleValue>>) -> fmt::Result {
    families.plain(metric, value.map(|value| (EXPORTER, value)))
}

const EXPORTER: ScopeLabels<'static> = ScopeLabels { all: "", fixed: "", user: "" };
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Set in the environment of release builds.
const REVISION: &str = match option_env!("SMTP_TLS_EXPORTER_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};
