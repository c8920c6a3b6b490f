//! Findings as text: a table for people, JSON for programs.

use crate::verify::Verification;

mod json;
mod moment;
mod table;
mod wrap;

/// For people and tickets, at most 80 columns wide where words allow it.
pub fn table(verification: &Verification) -> String {
    table::write(verification)
}

/// One JSON object; `docs/verdicts.md` tells its keys.
pub fn json(verification: &Verification) -> String {
    json::write(verification)
}
