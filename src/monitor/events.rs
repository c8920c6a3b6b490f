//! The log of the monitor: one line for each change of a backend's or a lookup's state, none for what stays as it is; and
//! failures of this host, at intervals for each reason.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use crate::discovery::FoundHost;
use crate::observation::{LocalFailure, LookupReport};
use crate::reason::{LocalReason, SkipReason};
use crate::snapshot::{BackendReport, Condition};
use crate::target::{Endpoint, TargetName};
use crate::text::list;
use crate::verdict::certificate::hex;

/// Logs the changed condition of a backend.
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

/// Logs that a target has more addresses than are probed.
pub(super) fn over_cap(target: &TargetName, skipped: usize, cap: usize) {
    tracing::warn!(%target, skipped, cap, "addresses skipped: limits.backends_per_target reached");
}

/// Logs that a target that is not configured resolves to addresses that are not permitted. The client does not learn them.
pub(super) fn not_permitted(target: &TargetName, hosts: &[FoundHost]) {
    for FoundHost { endpoint, not_allowed, .. } in hosts.iter().filter(|host| !host.not_allowed.is_empty()) {
        let addresses = list(not_allowed.iter().map(|(_, ip)| ip.to_string()), MAX_ADDRESSES);
        tracing::debug!(%target, port = endpoint.port, addresses, "addresses skipped: not permitted by probe.allow");
    }
}

/// Logs that addresses of a host in MX or SRV records are not probed, because the configuration does not allow it.
pub(super) fn not_allowed(target: &TargetName, host: &FoundHost) {
    let Endpoint { server_name, port, .. } = &*host.endpoint;
    let reason = host.not_allowed.iter().map(|(reason, _)| *reason).next();
    let reason = reason.map(SkipReason::as_str);
    let addresses = list(host.not_allowed.iter().map(|(_, ip)| ip.to_string()), MAX_ADDRESSES);
    tracing::warn!(%target, %server_name, port, reason, addresses, "addresses skipped: not allowed");
}

/// Logs that a lookup fails in another way than the one before it, or no longer. `has_backends`: whether the target had
/// backends before.
pub(super) fn lookup(
    target: &TargetName,
    before: Option<&LookupReport>,
    after: Option<&LookupReport>,
    has_backends: bool,
) {
    let failures = |report: Option<&LookupReport>| report.map(|report| report.failures.clone()).unwrap_or_default();
    let (old, new) = (failures(before), failures(after));
    if old == new {
        return;
    }
    if new.is_empty() {
        tracing::info!(%target, "lookup recovered");
    }
    for failure in new {
        let (name, r#type, reason) = (&failure.name, failure.record_type, failure.reason);
        if has_backends {
            tracing::warn!(%target, %name, r#type, %reason, "lookup failed; keeping known backends");
        } else {
            tracing::warn!(%target, %name, r#type, %reason, "lookup failed; no known backends");
        }
    }
}

/// Logs that none of the addresses of a target can be probed, because this host has no route to them.
pub(super) fn without_route(target: &TargetName, addresses: usize) {
    let reason = SkipReason::NoRoute;
    tracing::warn!(%target, addresses, %reason, "no address to probe: this host has no IPv6 route");
}

/// Logs failures of this host: the first of each reason, and then the first after every [`PAUSE`], with their number.
#[derive(Debug, Default)]
pub(super) struct LocalFailures(HashMap<LocalReason, Logged>);

#[derive(Debug)]
struct Logged {
    at: Instant,
    /// Failures since then.
    since: u64,
}

impl LocalFailures {
    /// Returns whether a line is written.
    pub(super) fn note(&mut self, failure: &LocalFailure, now: Instant) -> bool {
        let mut count = 1;
        if let Some(last) = self.0.get_mut(&failure.reason) {
            last.since += 1;
            if now.duration_since(last.at) < PAUSE {
                return false;
            }
            count = last.since;
        }
        self.0.insert(failure.reason, Logged { at: now, since: 0 });
        tracing::warn!(
            reason = %failure.reason, detail = %failure.detail, count, "probe or lookup failed on the exporter host"
        );
        true
    }
}

/// Addresses in one line of the log.
const MAX_ADDRESSES: usize = 10;
/// Time between two lines about failures of this host with the same reason.
const PAUSE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_failures_are_logged_again_after_a_pause() {
        let (mut log, start) = (LocalFailures::default(), Instant::now());
        let failure = |reason| LocalFailure { reason, detail: "".into() };
        let (one, other) = (failure(LocalReason::ALL[0]), failure(LocalReason::ALL[1]));
        for (second, failure, expected) in [
            (0, &one, true),
            (1, &one, false),
            (1, &other, true),
            (599, &one, false),
            (600, &one, true),
            (601, &one, false),
            (5000, &one, true),
        ] {
            assert_eq!(log.note(failure, start + Duration::from_secs(second)), expected, "after {second} s");
        }
    }
}
