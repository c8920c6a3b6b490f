//! Findings for people: the verdicts first, then the facts, then the words that others have for what is wrong.

use crate::client_errors::{self, ClientErrors};
use crate::text::printable;
use crate::verdict::certificate::hex;
use crate::verdict::{Certificate, Facts, NameVerdict};
use crate::verify::Verification;

use super::moment::{days, rfc3339};
use super::wrap::{WIDTH, hanging, hanging_in};

pub(super) fn write(verification: &Verification) -> String {
    let mut out = String::new();
    names(&mut out, verification);
    chain(&mut out, verification);
    if let Some(leaf) = verification.chain.certificates().first() {
        out.push_str("\nCERTIFICATE\n");
        certificate(&mut out, leaf, verification.at, WIDTH);
        if verification.chain.ocsp().must_staple() {
            row(&mut out, "stapling", "the server must staple an OCSP response (RFC 7633)");
        }
    }
    others(&mut out, verification);
    out
}

fn names(out: &mut String, verification: &Verification) {
    out.push_str("NAMES\n");
    for (name, verdict) in &verification.names {
        let lead = format!("  {name}  ");
        match verdict {
            None => hanging(out, &lead, "unknown, the certificate cannot be read"),
            Some(NameVerdict::Match) => hanging(out, &lead, "ok"),
            Some(NameVerdict::Mismatch(reason)) => {
                hanging(out, &lead, "NO MATCH");
                finding(out, reason.as_str(), reason.doc());
            }
        }
    }
}

fn chain(out: &mut String, verification: &Verification) {
    out.push_str("\nCHAIN\n");
    row(out, "trusted", answer(verification.trusted));
    row(out, "valid", answer(Some(verification.valid)));
    for reason in verification.reasons.iter() {
        finding(out, reason.as_str(), reason.doc());
    }
    row(out, "presented", &counted(verification.chain.certificates().len(), "certificate"));
    row(out, "judged at", &moment(verification.at));
    if let Some(end) = verification.not_after {
        row(out, "ends", &moment(end));
    }
    if let Some(end) = verification.verified_not_after.filter(|end| Some(*end) != verification.not_after) {
        row(out, "path ends", &moment(end));
    }
}

/// The facts of one certificate, a row each, in lines of `columns`.
pub(super) fn certificate(out: &mut String, leaf: &Certificate, at: i64, columns: usize) {
    let mut row = |label: &str, value: &str| hanging_in(out, columns, &format!("  {label:<10}  "), value);
    if let Some(facts) = leaf.facts() {
        row("subject", or_none(facts.subject()));
        row("issuer", or_none(facts.issuer()));
        row("names", or_none(&presented(facts)));
        row("not before", &moment(facts.not_before));
        row("not after", &format!("{} ({})", moment(facts.not_after), left(at, facts.not_after)));
        row("key", &facts.key.label());
        row("signature", facts.signature.name);
        row("serial", facts.serial());
    }
    row("sha256", &hex(&leaf.fingerprint()));
    row("sha1", &hex(&leaf.thumbprint()));
}

fn others(out: &mut String, verification: &Verification) {
    let mut said = Vec::new();
    let mut reasons = Vec::new();
    for (_, verdict) in &verification.names {
        if let Some(NameVerdict::Mismatch(reason)) = verdict
            && !reasons.contains(reason)
        {
            reasons.push(*reason);
            said.push((reason.as_str(), client_errors::for_name(*reason)));
        }
    }
    said.extend(verification.reasons.iter().map(|reason| (reason.as_str(), client_errors::for_chain(reason))));
    if said.is_empty() {
        return;
    }
    out.push_str("\nWHAT OTHERS SAY\n");
    for (word, client_errors) in said {
        hanging(out, "  ", word);
        words(out, WIDTH, &client_errors);
    }
}

/// What each client says, in lines of `columns`.
pub(super) fn words(out: &mut String, columns: usize, client_errors: &ClientErrors) {
    for (client, words) in client_errors.clients() {
        let mut lead = format!("    {client:<12}  ");
        for text in words.texts {
            hanging_in(out, columns, &lead, text);
            lead = " ".repeat(lead.chars().count());
        }
        if let Some(when) = words.accepts {
            hanging_in(out, columns, &lead, &format!("(accepts it {when})"));
        }
    }
}

fn finding(out: &mut String, word: &str, meaning: &str) {
    hanging(out, "    ", &format!("{word}: {meaning}"));
}

fn row(out: &mut String, label: &str, value: &str) {
    hanging(out, &format!("  {label:<10}  "), value);
}

fn answer(verdict: Option<bool>) -> &'static str {
    match verdict {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "unknown, the certificates are valid at no common moment",
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

fn moment(unix: i64) -> String {
    rfc3339(unix).unwrap_or_else(|| format!("{unix} s"))
}

/// Whole days, counted towards zero.
fn left(from: i64, to: i64) -> String {
    let days = days(from, to);
    let whole = days.abs().trunc();
    let unit = if whole == 1.0 { "day" } else { "days" };
    if to < from { format!("{whole} {unit} ago") } else { format!("in {whole} {unit}") }
}

fn presented(facts: &Facts) -> String {
    let all = facts.names().count();
    let shown = facts.names().take(MAX_NAMES).map(|name| printable(&name.to_string(), 253)).collect::<Vec<_>>();
    let more = all.checked_sub(MAX_NAMES).filter(|more| *more > 0);
    shown.join(", ") + &more.map(|more| format!(" and {more} more")).unwrap_or_default()
}

/// A number of things.
pub(super) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Presented names that are written out; JSON has all.
const MAX_NAMES: usize = 100;
