//! Reports as text: a table for people, JSON for programs, and certificates as PEM.

use std::sync::Arc;
use std::time::SystemTime;

use ::pem::{EncodeConfig, LineEnding, Pem, encode_config};

use crate::snapshot::TargetReport;
use crate::verdict::Certificate;
use crate::verify::Verification;

mod json;
mod style;
mod table;
mod targets;
mod wrap;

#[cfg(test)]
mod fixture;

pub use self::json::{json, target_json, targets_json, targets_json_pieces};
pub use self::style::Style;

/// The result of `verify` as a table, at most 80 columns wide unless a word is longer.
pub fn table(verification: &Verification) -> String {
    table::write(verification)
}

/// Targets as a table: the backends of each one, its problems and the advice on it.
pub fn targets_table(targets: &[Arc<TargetReport>], now: SystemTime, style: &Style) -> String {
    targets::write(targets, now, style)
}

/// Certificates as PEM (RFC 7468 §5), in the order given.
pub fn pem<'a>(certificates: impl IntoIterator<Item = &'a Arc<Certificate>>) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    let pem = |each: &Arc<Certificate>| encode_config(&Pem::new("CERTIFICATE", each.der().to_vec()), config);
    certificates.into_iter().map(pem).collect()
}
