//! The log: one line for each change of a backend's or a lookup's state, none for what stays as it is.

use std::sync::Arc;
use std::time::SystemTime;

use crate::observation::LookupReport;
use crate::snapshot::{BackendReport, Condition};
use crate::target::TargetName;
use crate::verdict::certificate::hex;

/// Writes the line for a backend whose condition changed.
pub(super) fn backend(target: &TargetName, after: &BackendReport, now: SystemTime) {
    let Some(condition) = Condition::of(after, now) else { return };
    let backend = after.backend.socket_addr();
    let server_name = &after.backend.endpoint.server_name;
    let chain = condition.chain.iter().map(|reason| reason.as_str()).collect::<Vec<_>>().join(",");
    let staple = condition.staple.iter().map(|reason| reason.as_str()).collect::<Vec<_>>().join(",");
    let name = match condition.name {
        Some(true) => "match",
        Some(false) => "mismatch",
        None => "unknown",
    };
    let fingerprint = condition.fingerprint.map(|bytes| hex(&bytes)).unwrap_or_default();
    let failure = after.probe.as_ref().and_then(|probe| probe.outcome.as_ref().err());
    match failure {
        Some(failure) => tracing::warn!(
            %target, %backend, %server_name, stage = %failure.stage, reason = %failure.reason,
            detail = %failure.detail, name, chain, "probe failed"
        ),
        None if condition.is_ok() => {
            tracing::info!(%target, %backend, %server_name, name, fingerprint, "backend recovered");
        }
        None => {
            tracing::warn!(
                %target, %backend, %server_name, name, chain, staple, fingerprint, "certificate problem"
            );
        }
    }
}

/// Writes the line for a target that has more addresses than are probed.
pub(super) fn over_cap(target: &TargetName, skipped: usize, cap: usize) {
    tracing::warn!(%target, skipped, cap, "addresses skipped: limits.backends_per_target reached");
}

/// Writes a line where a lookup fails otherwise than the one before it, or no longer.
pub(super) fn lookup(target: &TargetName, before: Option<&Arc<LookupReport>>, after: Option<&LookupReport>) {
    let failures = |report: Option<&LookupReport>| report.map(|report| report.failures.clone()).unwrap_or_default();
    let (old, new) = (failures(before.map(|report| &**report)), failures(after));
    if old == new {
        return;
    }
    if new.is_empty() {
        tracing::info!(%target, "lookup recovered");
    }
    for failure in new {
        tracing::warn!(
            %target, name = %failure.name, r#type = failure.record_type, reason = %failure.reason,
            "lookup failed; keeping known backends"
        );
    }
}
