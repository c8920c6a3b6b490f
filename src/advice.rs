//! What to do about what was found. Pure: advice is made of a report when somebody reads it, and nothing is advised
//! that is not true of every backend it names. Of backends that DNS names no longer nothing is said; what is known of
//! those that fail now is said as last seen.

use std::time::SystemTime;

use crate::client_errors::ClientErrors;
use crate::reason::{AdviceKind, Severity};
use crate::snapshot::TargetReport;
use crate::target::Backend;

mod alternates;
mod chain;
mod context;
mod lookup;
mod names;
mod phrases;
mod probe_failures;
mod renewal;
mod request;
#[cfg(test)]
mod tests;
mod validity;

use context::Scene;

/// One thing that is wrong, or the way out of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// What it is about.
    pub kind: AdviceKind,
    /// How bad what it is about is.
    pub severity: Severity,
    /// The backends that it is true of; empty where it is about the target as a whole.
    pub backends: Vec<Backend>,
    /// What is wrong and what to do, in a few sentences. Printable, in one line.
    pub text: String,
    /// A text ready to be sent to whoever runs the backends, several lines; where somebody else has to act.
    pub request: Option<String>,
    /// What clients report that land on these backends, where they fail.
    pub clients: Option<ClientErrors>,
}

/// All advice on a target as of `now`, the most urgent first; the ways out of a mismatch follow upon it. At most
/// [`MAX_ADVICE`].
pub fn advise(report: &TargetReport, now: SystemTime) -> Vec<Advice> {
    let mut stories = lookup::of(report);
    for endpoint in &report.endpoints {
        let scene = Scene::of(report, endpoint, now);
        let rooms = [probe_failures::of, names::of, chain::of, validity::of, renewal::of];
        let mut found: Vec<Story> = rooms.iter().flat_map(|room| room(&scene)).collect();
        if report.endpoints.len() > 1 {
            let place = phrases::place(&endpoint.endpoint);
            for advice in found.iter_mut().flatten() {
                advice.text = format!("{place}: {}", advice.text);
            }
        }
        stories.append(&mut found);
    }
    stories.sort_by_key(|story| story.iter().map(|advice| advice.severity).min());
    let mut advice: Vec<Advice> = stories.into_iter().flatten().collect();
    advice.truncate(MAX_ADVICE);
    advice
}

/// Advice that belongs together, in the order in which it is told.
type Story = Vec<Advice>;

/// Pieces of advice on one target.
pub const MAX_ADVICE: usize = 100;
