//! Advice: the problems in a report and their remedies. Pure: advice is derived when a report is read. Backends that
//! are no longer in DNS are left out; facts that are older than the last probe are dated.

use std::time::SystemTime;

use crate::client_errors::ClientErrors;
use crate::reason::{AdviceKind, Severity};
use crate::snapshot::TargetReport;
use crate::target::Backend;

mod alternates;
mod chain;
mod client_certificates;
mod context;
mod lookup;
mod names;
mod phrases;
mod probe_failures;
mod rejections;
mod renewal;
mod request;
#[cfg(test)]
mod tests;
mod validity;

use context::Context;

/// A problem, or a remedy for one.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// What it is about.
    pub kind: AdviceKind,
    /// How severe the problem is.
    pub severity: Severity,
    /// The backends that it is about; empty if it is about the target as a whole.
    pub backends: Vec<Backend>,
    /// What is wrong and what to do, in a few sentences. Printable, in one line.
    pub text: String,
    /// A message of several lines that can be sent to the server's operator; none if nobody else has to act.
    pub request: Option<String>,
    /// The errors that clients report when they connect to these backends.
    pub clients: Option<ClientErrors>,
}

/// All advice on a target as of `now`, the most severe first; remedies for a mismatch follow it. At most
/// [`MAX_ADVICE`] pieces.
pub fn advise(report: &TargetReport, now: SystemTime) -> Vec<Advice> {
    // Sorting by severity keeps each group together.
    let single = |advice: Advice| vec![advice];
    let mut groups: Vec<Vec<Advice>> = lookup::advise(report).into_iter().map(single).collect();
    for endpoint in &report.endpoints {
        let context = Context::new(report, endpoint, now);
        let others = groups.len();
        groups.extend(client_certificates::advise(&context).into_iter().map(single));
        groups.extend(probe_failures::advise(&context).into_iter().map(single));
        groups.push(names::mismatches(&context));
        let rules = [names::expected_names, chain::advise, validity::advise, renewal::advise];
        groups.extend(rules.iter().flat_map(|rule| rule(&context)).map(single));
        if report.endpoints.len() > 1 {
            let endpoint = endpoint.endpoint.server_name.with_port(endpoint.endpoint.port);
            for advice in groups.iter_mut().skip(others).flatten() {
                advice.text = format!("{endpoint}: {}", advice.text);
            }
        }
    }
    groups.sort_by_key(|group| group.iter().map(|advice| advice.severity).min());
    let mut advice: Vec<Advice> = groups.into_iter().flatten().collect();
    advice.truncate(MAX_ADVICE);
    advice
}

/// Maximum number of pieces of advice on one target.
pub const MAX_ADVICE: usize = 100;
