//! Reports as text: a table for people, JSON for programs.

use std::sync::Arc;
use std::time::SystemTime;

use crate::advice::advise;
use crate::snapshot::TargetReport;
use crate::verdict::Certificate;
use crate::verify::Verification;

mod json;
mod pem;
mod style;
mod table;
mod targets;
mod wrap;

#[cfg(test)]
mod fixture;

pub use self::style::Style;

/// The result of `verify` as a table, at most 80 columns wide unless a word is longer.
pub fn table(verification: &Verification) -> String {
    table::write(verification)
}

/// Targets as a table: the backends of each one, its problems and the advice on it.
pub fn targets_table(targets: &[Arc<TargetReport>], now: SystemTime, style: &Style) -> String {
    targets::write(targets, now, style)
}

/// The result of `verify` as one JSON object; `docs/verdicts.md` describes its keys.
pub fn json(verification: &Verification) -> String {
    json::write(verification)
}

/// Certificates as PEM (RFC 7468), in the order given.
pub fn pem<'a>(certificates: impl IntoIterator<Item = &'a Arc<Certificate>>) -> String {
    pem::write(certificates)
}

/// Targets with their backends, verdicts and advice as one JSON object, indented; `docs/api.md` describes its keys.
pub fn targets_json(targets: &[Arc<TargetReport>], now: SystemTime) -> String {
    json::write_all(targets, now)
}

/// One target, in the form of an item of [`targets_json`].
pub fn target_json(target: &TargetReport, now: SystemTime) -> String {
    json::one(target, advise(target, now), now)
}
