//! The result of `verify` for people: verdicts, certificate, client errors.

use crate::client_errors::{self, ClientErrors};
use crate::text::{counted, distance, list, or_none, printable, rfc3339};
use crate::verdict::certificate::hex;
use crate::verdict::{Certificate, Facts, NameVerdict};
use crate::verify::Verification;

use super::wrap::{WIDTH, hanging, hanging_in};

pub(super) fn write(verification: &Verification) -> String {
    let mut out = String::new();
    names(&mut out, verification);
    chain(&mut out, verification);
    if let Some(leaf) = verification.chain.certificates().first() {
        out.push_str("\nCERTIFICATE\n");
        certificate(&mut out, leaf, verification.at, WIDTH);
        if verification.chain.ocsp().must_staple() {
            row(&mut out, WIDTH, "OCSP staple", "required by the must-staple extension (RFC 7633)");
        }
    }
    all_client_errors(&mut out, verification);
    out
}

fn names(out: &mut String, verification: &Verification) {
    out.push_str("NAMES\n");
    for (name, verdict) in &verification.names {
        let lead = format!("  {name}  ");
        match verdict {
            None => hanging(out, &lead, "unknown: the certificate cannot be parsed"),
            Some(NameVerdict::Match) => hanging(out, &lead, "ok"),
            Some(NameVerdict::Mismatch(reason)) => {
                hanging(out, &lead, "NO");
                finding(out, reason.as_str(), reason.doc());
            }
        }
    }
}

fn chain(out: &mut String, verification: &Verification) {
    out.push_str("\nCHAIN\n");
    row(out, WIDTH, "trusted", answer(verification.trusted));
    row(out, WIDTH, "valid", answer(Some(verification.valid)));
    for reason in verification.reasons.iter() {
        finding(out, reason.as_str(), reason.doc());
    }
    row(out, WIDTH, "presented", &counted(verification.chain.certificates().len(), "certificate"));
    row(out, WIDTH, "checked at", &time(verification.at));
    if let Some(end) = verification.not_after {
        row(out, WIDTH, "expires", &time(end));
    }
    if let Some(end) = verification.verified_not_after.filter(|end| Some(*end) != verification.not_after) {
        row(out, WIDTH, "path expires", &time(end));
    }
}

/// The facts of one certificate as of `now` (Unix seconds), one row each, in lines of `columns`.
pub(super) fn certificate(out: &mut String, leaf: &Certificate, now: i64, columns: usize) {
    let mut row = |label: &str, value: &str| row(out, columns, label, value);
    if let Some(facts) = leaf.facts() {
        row("subject", or_none(facts.subject()));
        row("issuer", or_none(facts.issuer()));
        row("names", or_none(&presented(facts)));
        row("not before", &time(facts.not_before));
        row("not after", &format!("{} ({})", time(facts.not_after), distance(facts.not_after, now)));
        row("key", &facts.key.label());
        row("signature", facts.signature.name);
        row("serial", facts.serial());
    }
    row("sha256", &hex(&leaf.fingerprint()));
    row("sha1", &hex(&leaf.thumbprint()));
}

fn all_client_errors(out: &mut String, verification: &Verification) {
    let mut all = Vec::new();
    for (_, verdict) in &verification.names {
        if let Some(NameVerdict::Mismatch(reason)) = verdict
            && !all.iter().any(|(word, _)| *word == reason.as_str())
        {
            all.push((reason.as_str(), client_errors::for_name(*reason)));
        }
    }
    all.extend(verification.reasons.iter().map(|reason| (reason.as_str(), client_errors::for_chain(reason))));
    if all.is_empty() {
        return;
    }
    out.push_str("\nCLIENT ERRORS\n");
    for (word, errors) in all {
        client_errors_of(out, WIDTH, word, &errors);
    }
}

/// The errors of each client for the reason `word`, in lines of `columns`.
pub(super) fn client_errors_of(out: &mut String, columns: usize, word: &str, errors: &ClientErrors) {
    hanging_in(out, columns, "  ", word);
    for (client, error) in errors.clients() {
        let mut lead = format!("    {client:<12}  ");
        for text in error.texts {
            hanging_in(out, columns, &lead, text);
            lead = " ".repeat(lead.chars().count());
        }
        if let Some(when) = error.accepts {
            hanging_in(out, columns, &lead, &format!("(accepts it {when})"));
        }
    }
}

fn finding(out: &mut String, word: &str, meaning: &str) {
    hanging(out, "    ", &format!("{word}: {meaning}"));
}

fn row(out: &mut String, columns: usize, label: &str, value: &str) {
    hanging_in(out, columns, &format!("  {label:<12}  "), value);
}

fn answer(verdict: Option<bool>) -> &'static str {
    match verdict {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "unknown: the validity periods of the certificates do not overlap",
    }
}

fn time(unix: i64) -> String {
    rfc3339(unix).unwrap_or_else(|| format!("{unix} s since 1970"))
}

fn presented(facts: &Facts) -> String {
    list(facts.names().map(|name| printable(&name.to_string(), 253)), MAX_NAMES)
}

/// Names in a table; JSON has all of them.
const MAX_NAMES: usize = 100;
