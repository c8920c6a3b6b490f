//! Findings as text: a table for people, JSON for programs.

use std::sync::Arc;
use std::time::SystemTime;

use crate::advice::advise;
use crate::snapshot::TargetReport;
use crate::verdict::Certificate;
use crate::verify::Verification;

mod json;
mod moment;
mod pem;
mod style;
mod table;
mod targets;
mod wrap;

#[cfg(test)]
mod fixture;

pub use self::style::Style;

/// For people and tickets, at most 80 columns wide where words allow it.
pub fn table(verification: &Verification) -> String {
    table::write(verification)
}

/// Targets for people and tickets: each one's backends, what is wrong, and what to do about it.
pub fn targets_table(targets: &[Arc<TargetReport>], now: SystemTime, style: &Style) -> String {
    targets::write(targets, now, style)
}

/// One JSON object; `docs/verdicts.md` tells its keys.
pub fn json(verification: &Verification) -> String {
    json::write(verification)
}

/// Certificates as PEM (RFC 7468), in the order given.
pub fn pem<'a>(certificates: impl IntoIterator<Item = &'a Arc<Certificate>>) -> String {
    pem::write(certificates)
}

/// Targets with their backends, verdicts and advice as one JSON object; `docs/api.md` tells its keys. No whitespace is
/// needed to read it, some is there.
pub fn targets_json(targets: &[Arc<TargetReport>], now: SystemTime) -> String {
    json::write_all(targets, now)
}

/// One target, as it stands in [`targets_json`].
pub fn target_json(target: &TargetReport, now: SystemTime) -> String {
    json::one(target, advise(target, now), now)
}
