//! The result of `verify` for people: verdicts, certificate, client errors.

use super::page::{Page, time};
use crate::client_errors::{ClientErrors, Finding};
use crate::text::{conjunction, counted};
use crate::verdict::near_miss::near_misses;
use crate::verdict::{NameVerdict, Senders};
use crate::verify::Verification;

/// The result of `verify` as a table, at most 80 columns wide unless a word is longer.
pub fn table(verification: &Verification) -> String {
    let mut page = Page::default();
    let mut findings = names(&mut page, verification);
    findings.extend(chain(&mut page, verification));
    if let Some(leaf) = verification.chain.certificates().first() {
        page.title("", "CERTIFICATE");
        page.certificate(leaf, verification.at);
        if verification.chain.ocsp().must_staple() {
            page.row("OCSP staple", "required by the must-staple extension (RFC 7633)");
        }
    }
    let mut all: Vec<(&str, ClientErrors)> = Vec::new();
    for Finding { reason, client_errors, .. } in findings {
        if !all.iter().any(|(known, _)| *known == reason) {
            all.extend(client_errors.map(|errors| (reason, errors)));
        }
    }
    page.client_errors(&all);
    page.text
}

fn names(page: &mut Page, verification: &Verification) -> Vec<Finding> {
    page.title("", "NAMES");
    let mut findings = Vec::new();
    for (name, verdict) in &verification.names {
        let lead = format!("  {name}  ");
        match verdict {
            None => page.hang(&lead, "unknown: the certificate cannot be parsed"),
            Some(NameVerdict::Match) => page.hang(&lead, "ok"),
            Some(NameVerdict::Mismatch(reason)) => {
                page.hang(&lead, "NO");
                findings.push(finding(page, (*reason).into()));
                let facts = verification.chain.certificates().first().and_then(|leaf| leaf.facts());
                for near in facts.map(|facts| near_misses(name, facts)).into_iter().flatten().take(MAX_NEAR_MISSES) {
                    page.hang("    ", &format!("presented: {}, which {}", near.quoted(MAX_NAME), near.predicate()));
                }
            }
        }
    }
    findings
}

fn chain(page: &mut Page, verification: &Verification) -> Vec<Finding> {
    page.title("", "CHAIN");
    page.row("trusted", answer(verification.trusted));
    page.row("valid", answer(Some(verification.valid)));
    let findings = verification.reasons.iter().map(|reason| finding(page, reason.into())).collect();
    for (warning, senders) in verification.warnings.iter() {
        page.hang("    ", &format!("warning {warning}: {}{}", warning.doc(), refused_by(senders)));
    }
    page.row("presented", &counted(verification.chain.certificates().len(), "certificate"));
    if let Some(position) = verification.leaf_position {
        let wrong = format!("NO: the server certificate is number {position} in the file; move it to the front");
        page.row("leaf first", &wrong);
    }
    page.row("checked at", &time(verification.at));
    if let Some(end) = verification.not_after {
        page.row("expires", &time(end));
    }
    if let Some(end) = verification.verified_not_after.filter(|end| Some(*end) != verification.not_after) {
        page.row("path expires", &time(end));
    }
    findings
}

fn refused_by(senders: Senders) -> String {
    let names = conjunction(senders.iter().map(|sender| sender.title().to_owned()), usize::MAX);
    if names.is_empty() { names } else { format!(" Refused by {names}.") }
}

fn finding(page: &mut Page, finding: Finding) -> Finding {
    page.hang("    ", &format!("{}: {}", finding.reason, finding.meaning));
    finding
}

/// For each name.
const MAX_NEAR_MISSES: usize = 3;
const MAX_NAME: usize = 253;

fn answer(verdict: Option<bool>) -> &'static str {
    match verdict {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "unknown: there is no time at which all certificates are valid",
    }
}
