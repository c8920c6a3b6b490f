//! What to do about what was found. Pure: advice is made of a report when somebody reads it, and nothing is advised
//! that is not true of every backend it names.

use std::time::SystemTime;

use crate::elsewhere::Elsewhere;
use crate::reason::{AdviceKind, Severity};
use crate::snapshot::TargetReport;
use crate::target::Backend;

/// One thing that is wrong, or the way out of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// What it is about.
    pub kind: AdviceKind,
    /// How bad what it is about is.
    pub severity: Severity,
    /// The backends that it is true of; empty where it is about the target as a whole.
    pub backends: Vec<Backend>,
    /// What is wrong and what to do, in one or two sentences. Printable, in one line.
    pub text: String,
    /// A text ready to be sent to whoever runs the backends, several lines; where somebody else has to act.
    pub request: Option<String>,
    /// What clients report that land on these backends, where they fail.
    pub clients: Option<Elsewhere>,
}

/// All advice on a target as of `now`, the most urgent first.
pub fn advise(report: &TargetReport, now: SystemTime) -> Vec<Advice> {
    let _ = (report, now);
    Vec::new()
}
