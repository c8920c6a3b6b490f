//! Certificates that were renewed, but are not presented everywhere.

use super::Advice;
use super::context::{BackendCertificate, Context};
use super::phrases::{advice, list, list_with_fact_notes};
use super::request::Problem;
use super::validity::is_about_to_expire;
use crate::reason::{AdviceKind, Severity};
use crate::text::{group_by, plural, printable, utc};
use crate::verdict::{Facts, name};

/// Renewed on some backends only; renewed on disk but not presented.
pub(super) fn advise(context: &Context<'_>) -> Vec<Advice> {
    renewed_partly(context).into_iter().chain(certificate_file(context)).collect()
}

/// Old certificates next to newer ones for the same names. Backends may have certificates of their own, which are not
/// renewed at the same time: one counts as old when less than a third of its lifetime is left, because it should have been
/// renewed by then.
fn renewed_partly(context: &Context<'_>) -> Vec<Advice> {
    let is_old = |facts: &Facts| {
        let lifetime = facts.not_after.saturating_sub(facts.not_before);
        facts.not_after.saturating_sub(context.now) < lifetime / 3
    };
    let old = context.certificates_where(|certificate| certificate.facts.is_some_and(is_old));
    // The usual case: nothing to compare.
    if old.is_empty() || old.len() == context.certificates.len() {
        return Vec::new();
    }
    let all: Vec<(&BackendCertificate<'_>, &Facts)> =
        context.certificates.iter().filter_map(|certificate| Some((certificate, certificate.facts?))).collect();
    let to_advice = |(_, same): (Vec<String>, Vec<(&BackendCertificate<'_>, &Facts)>)| {
        let (newest, facts) = same.iter().copied().max_by_key(|(_, facts)| facts.not_after)?;
        let is_before = |old: &Facts| old.not_after < facts.not_after && old.not_before < facts.not_before;
        let old = same.iter().filter(|(_, old)| is_old(old) && is_before(old));
        let old: Vec<&BackendCertificate<'_>> = old.map(|(certificate, _)| *certificate).collect();
        let is_newest =
            |certificate: &&BackendCertificate<'_>| certificate.leaf.fingerprint() == newest.leaf.fingerprint();
        let new: Vec<&BackendCertificate<'_>> =
            same.iter().map(|(certificate, _)| *certificate).filter(is_newest).collect();
        // A certificate that clients reject is not suggested.
        let is_usable = !is_old(facts) && newest.valid == Some(true);
        if is_usable { not_renewed(context, &old, &new, facts) } else { None }
    };
    group_by(all, |(_, facts)| sorted_names(facts)).into_iter().filter_map(to_advice).collect()
}

fn not_renewed(
    context: &Context<'_>,
    old: &[&BackendCertificate<'_>],
    new: &[&BackendCertificate<'_>],
    newest: &Facts,
) -> Option<Advice> {
    let old_backends = list_with_fact_notes(old, |facts| valid_until(facts.not_after))?;
    let new_backends = list(new)?;
    let text = format!(
        "{} still {} an older certificate{}, while {} {} a renewed one for the same names ({}): renew the older certificate \
         as well, or replace it with the renewed one, and reload the server.",
        old_backends.list,
        old_backends.plural("presents", "present"),
        old_backends.note_in_parentheses(),
        new_backends.list,
        new_backends.plural("presents", "present"),
        valid_until(newest.not_after)
    );
    let is_urgent = |certificate: &&BackendCertificate<'_>| {
        let now = context.now;
        certificate.facts.is_some_and(|facts| facts.not_after < now || is_about_to_expire(facts, now))
    };
    let severity = if old.iter().any(is_urgent) { Severity::Warning } else { Severity::Info };
    let here = plural(old.len(), "on this server", "on these servers");
    let problem = Problem::new(
        "certificate is older than on other servers",
        format!(
            "other servers behind {} present a newer certificate for the same names ({})",
            context.server_name(),
            valid_until(newest.not_after)
        ),
        format!("renew the certificate {here} as well, or install the newer one, and reload the server"),
    );
    let advice = old_backends.advice(AdviceKind::RenewedPartly, severity, &text);
    Some(advice.with_request(context, &problem, old, None))
}

/// DNS names and addresses in lower case.
fn sorted_names(facts: &Facts) -> Vec<String> {
    let mut names: Vec<String> = facts.names().map(|name| name.to_string().to_ascii_lowercase()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The certificate in the target's `certificate_file` compared with those that are presented.
fn certificate_file(context: &Context<'_>) -> Option<Advice> {
    let path = context.target.target.settings.certificate_file.as_ref()?;
    let path = printable(&path.display().to_string(), MAX_PATH_CHARS);
    let file = match context.target.file.as_ref()? {
        Ok(file) => file,
        Err(error) => {
            // Reported for the first endpoint only.
            let is_first = context.target.endpoints.first().is_some_and(|first| std::ptr::eq(first, context.report));
            let text = format!(
                "The `certificate_file` {path} has no readable certificate: {}. Fix the file, its permissions or the \
                 configuration.",
                printable(error, MAX_PATH_CHARS)
            );
            return is_first.then(|| advice(AdviceKind::FileUnreadable, Severity::Warning, &text));
        }
    };
    let different = context.certificates_where(|certificate| certificate.leaf.fingerprint() != file.fingerprint());
    if let Some(on_disk) = file.facts() {
        let is_older = |certificate: &&BackendCertificate<'_>| {
            certificate.facts.is_some_and(|presented| {
                on_disk.not_before > presented.not_before && on_disk.not_after > presented.not_after
            })
        };
        let older: Vec<&BackendCertificate<'_>> = different.iter().copied().filter(is_older).collect();
        if !older.is_empty() {
            return not_reloaded(context, &path, on_disk, &older);
        }
    }
    let backends = list(&different)?;
    let text = format!(
        "{} {} certificate than the one in {path}: check which file the server uses, or correct `certificate_file`.",
        backends.list,
        backends.plural("presents a different", "present a different")
    );
    Some(backends.advice(AdviceKind::NotReloaded, Severity::Warning, &text))
}

fn not_reloaded(
    context: &Context<'_>,
    path: &str,
    on_disk: &Facts,
    older: &[&BackendCertificate<'_>],
) -> Option<Advice> {
    let backends = list_with_fact_notes(older, |facts| valid_until(facts.not_after))?;
    let mut text = format!(
        "{} {} an older certificate{} than the one in {path} ({}): reload the server.",
        backends.list,
        backends.plural("presents", "present"),
        backends.note_in_parentheses(),
        valid_until(on_disk.not_after)
    );
    if !name::judge(context.server_name(), on_disk).is_match() {
        text.push_str(&format!(" Note that the newer certificate does not list {}.", context.server_name()));
    }
    let problem = Problem::new(
        "renewed certificate is not presented",
        format!("the file {path} contains a newer certificate ({})", valid_until(on_disk.not_after)),
        "reload the server, so that it presents the newer certificate",
    );
    let advice = backends.advice(AdviceKind::NotReloaded, Severity::Warning, &text);
    Some(advice.with_request(context, &problem, older, None))
}

fn valid_until(at: i64) -> String {
    format!("valid until {}", utc(at))
}

const MAX_PATH_CHARS: usize = 200;
