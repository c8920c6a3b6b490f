//! Certificates outside of their validity periods, or close to the end of them.

use super::Advice;
use super::chain::certificate_advice;
use super::context::{BackendCertificate, Context};
use super::phrases::{self, BackendList, list, list_with_fact_notes, list_with_notes};
use super::request::Problem;
use crate::client_errors::{self, ClientErrors};
use crate::reason::{AdviceKind, ChainReason, Severity};
use crate::text::{SECONDS_PER_DAY, distance, group_by, span, utc};
use crate::verdict::validity::ValidityPeriod;
use crate::verdict::{Facts, PathRoot};

pub(super) fn advise(context: &Context<'_>) -> Vec<Advice> {
    let server_certificates = [
        expired(context),
        not_yet_valid(context, true),
        not_yet_valid(context, false),
        expires_soon(context),
        path_expires_soon(context),
    ];
    let roots = root_expires_soon(context);
    let intermediates = [ChainReason::Expired, ChainReason::NotYetValid].map(|reason| intermediates(context, reason));
    server_certificates.into_iter().flatten().chain(roots).chain(intermediates.into_iter().flatten()).collect()
}

fn expired(context: &Context<'_>) -> Option<Advice> {
    let certificates =
        context.certificates_where(|certificate| dated(certificate).is_some_and(|facts| facts.not_after < context.now));
    let backends = list_with_fact_notes(&certificates, |facts| when(facts.not_after, context.now))?;
    let text = format!(
        "{} expired{}: {}. If renewal is automatic, find out why it did not happen.",
        certificates_of(&backends),
        shared_note(&backends),
        renew(&backends, "it", "them")
    );
    let problem = Problem::new(
        "certificate has expired",
        backends.plural("the certificate has expired", "the certificates have expired"),
        renew(&backends, "the certificate", "the certificates"),
    );
    let clients = client_errors::for_chain(ChainReason::Expired);
    let advice = backends.advice(AdviceKind::Expired, context.rejection_severity(), &text);
    Some(advice.with_request(context, &problem, &certificates, Some(clients)))
}

/// Server certificates whose validity period has not begun: within a day, which suggests a wrong clock, or later.
fn not_yet_valid(context: &Context<'_>, within_a_day: bool) -> Option<Advice> {
    let certificates = context.certificates_where(|certificate| {
        let wait = dated(certificate).map(|facts| facts.not_before.saturating_sub(context.now));
        wait.is_some_and(|wait| wait > 0 && (wait <= SECONDS_PER_DAY) == within_a_day)
    });
    let backends = list_with_fact_notes(&certificates, |facts| when(facts.not_before, context.now))?;
    let (kind, fix, requested_fix) = if within_a_day {
        let fix = "check the clocks of the exporter host and of the issuer against NTP, because one of them is probably wrong. \
                   If both are right, clients must wait until then";
        let requested_fix = "check the clock of the issuer against NTP. If both the clock of the issuer and ours are right, \
                             clients must wait until the certificate becomes valid";
        (AdviceKind::Clock, fix, requested_fix)
    } else {
        let fix = "present the previous certificate until then, or have one issued that is valid now";
        let requested_fix = "present the previous certificate until this one becomes valid, or have one issued that is valid \
                             now";
        (AdviceKind::NotYetValid, fix, requested_fix)
    };
    let become_valid = backends.plural("becomes", "become");
    let start = backends.note.as_deref().unwrap_or("later");
    let text = format!("{} {become_valid} valid {start}: {fix}.", certificates_of(&backends));
    let problem = Problem::new(
        "certificate is not valid yet",
        format!("at {} by our clock, the certificate was not valid yet", utc(context.now)),
        requested_fix,
    );
    let clients = client_errors::for_chain(ChainReason::NotYetValid);
    let advice = backends.advice(kind, context.rejection_severity(), &text);
    Some(advice.with_request(context, &problem, &certificates, Some(clients)))
}

/// The facts of a certificate, unless its validity period ends before it begins, which has advice of its own.
fn dated<'a>(certificate: &BackendCertificate<'a>) -> Option<&'a Facts> {
    certificate.facts.filter(|facts| facts.not_before <= facts.not_after)
}

fn expires_soon(context: &Context<'_>) -> Option<Advice> {
    let now = context.now;
    let certificates =
        context.certificates_where(|certificate| certificate.facts.is_some_and(|facts| is_about_to_expire(facts, now)));
    let backends = list_with_fact_notes(&certificates, |facts| {
        let lifetime = facts.not_after.saturating_sub(facts.not_before);
        let expiry = when(facts.not_after, now);
        if lifetime / 5 < EXPIRES_SOON {
            format!("{expiry}, with less than a fifth of its lifetime of {} left", span(lifetime.unsigned_abs()))
        } else {
            expiry
        }
    })?;
    let text = format!(
        "{} {}{}: {} before then. If renewal is automatic, find out why it has not happened.",
        certificates_of(&backends),
        backends.plural("expires", "expire"),
        shared_note(&backends),
        renew(&backends, "it", "them")
    );
    let problem = Problem::new(
        "certificate expires soon",
        backends.plural("the certificate expires soon", "the certificates expire soon"),
        format!("{} before that date", renew(&backends, "the certificate", "the certificates")),
    );
    let advice = backends.advice(AdviceKind::ExpiresSoon, Severity::Warning, &text);
    Some(advice.with_request(context, &problem, &certificates, None))
}

/// Paths that expire within 14 days and before the server certificate, because of an intermediate.
fn path_expires_soon(context: &Context<'_>) -> Option<Advice> {
    let now = context.now;
    let expiry = |certificate: &BackendCertificate<'_>| {
        let root = certificate.assessment().chain.verdict().root(now);
        path_end(certificate, now).filter(|end| root.is_none_or(|root| root.validity.until != *end))
    };
    let certificates = context.certificates_where(|certificate| expiry(certificate).is_some());
    let note = |certificate: &BackendCertificate<'_>| expiry(certificate).map(|end| when(end, now)).unwrap_or_default();
    let backends = list_with_notes(&certificates, note)?;
    let text = format!(
        "An intermediate in the chain of {} expires{}, before the server certificate does: replace it with the CA's \
         current one in the certificate file, and reload the server.",
        backends.list,
        shared_note(&backends)
    );
    Some(backends.advice(AdviceKind::ExpiresSoon, Severity::Warning, &text))
}

/// As [`path_expires_soon`], if it is the root that expires.
fn root_expires_soon(context: &Context<'_>) -> Vec<Advice> {
    let expiring = |certificate: &BackendCertificate<'_>| {
        let end = path_end(certificate, context.now)?;
        let root = certificate.assessment().chain.verdict().root(context.now)?;
        (root.validity.until == end).then(|| (phrases::root(root), replacement(root), end))
    };
    let certificates = context.certificates_where(|certificate| expiring(certificate).is_some());
    let to_advice = |(root, certificates): (Option<(String, &str, i64)>, Vec<&BackendCertificate<'_>>)| {
        let (root, replacement, end) = root?;
        let backends = list(&certificates)?;
        let text = format!(
            "The {root} in the trust store `{}`, at which the chain of {} ends, expires {}, before the server certificate \
             does. {replacement}",
            context.target.target.settings.trust,
            backends.list,
            when(end, context.now),
        );
        Some(backends.advice(AdviceKind::ExpiresSoon, Severity::Warning, &text))
    };
    group_by(certificates, expiring).into_iter().filter_map(to_advice).collect()
}

/// When the path of a valid chain ends, if that is within 14 days and before the server certificate expires, and no other
/// path replaces it.
fn path_end(certificate: &BackendCertificate<'_>, now: i64) -> Option<i64> {
    let verdict = certificate.assessment().chain.verdict();
    let end = verdict.verified_not_after(now).filter(|_| certificate.valid == Some(true))?;
    let ends = end.saturating_sub(now) < EXPIRES_SOON && !verdict.valid(end.saturating_add(1));
    certificate.facts.filter(|facts| ends && end < facts.not_after).map(|_| end)
}

/// Chains outside of their validity periods because of a certificate above the server certificate.
fn intermediates(context: &Context<'_>, reason: ChainReason) -> Vec<Advice> {
    let culprit = |certificate: &BackendCertificate<'_>| Culprit::of(certificate, reason, context.now);
    let certificates = context.certificates_where(|certificate| {
        let is_leaf = certificate.facts.is_some_and(|facts| match reason {
            ChainReason::Expired => facts.not_after < context.now,
            _ => facts.not_before > context.now,
        });
        let is_above = !is_leaf || matches!(culprit(certificate), Culprit::Root(_));
        certificate.reasons.contains(reason) && is_above
    });
    let (kind, is_outside_text) = match reason {
        ChainReason::Expired => (AdviceKind::Expired, "has expired"),
        _ => (AdviceKind::NotYetValid, "is not valid yet"),
    };
    let clients = client_errors::for_chain(reason);
    let to_advice = |(culprit, certificates): (Culprit, Vec<&BackendCertificate<'_>>)| {
        let certificate = match culprit {
            Culprit::Root(root) => return root.advice(context, kind, is_outside_text, &certificates, clients),
            Culprit::Intermediate(name) => format!("the intermediate {name}"),
            Culprit::Unknown => "a certificate above the server certificate".to_owned(),
        };
        let problem = Problem::new(
            format!("intermediate certificate {is_outside_text}"),
            format!("{certificate} {is_outside_text}"),
            "replace that certificate with the CA's current one in the certificate file, and reload the server",
        );
        certificate_advice(context, kind, context.rejection_severity(), &certificates, &problem, clients)
    };
    group_by(certificates, culprit).into_iter().filter_map(to_advice).collect()
}

/// The certificate above the server certificate that is outside of its validity period.
#[derive(PartialEq)]
enum Culprit {
    Root(RootCulprit),
    Intermediate(String),
    /// There are several candidates, or none.
    Unknown,
}

/// A certificate of the trust store that is outside of its validity period.
#[derive(PartialEq)]
struct RootCulprit {
    /// With its subject.
    root: String,
    /// When its period ends or begins.
    at: i64,
    replacement: &'static str,
    /// Whether it is an intermediate, which the server does not send.
    is_intermediate_missing: bool,
}

impl RootCulprit {
    /// Advice for the owner of the trust store and of the CA: the server's operator does not choose the root, but may have
    /// to send an intermediate.
    fn advice(
        &self,
        context: &Context<'_>,
        kind: AdviceKind,
        is_outside: &str,
        certificates: &[&BackendCertificate<'_>],
        clients: ClientErrors,
    ) -> Option<Advice> {
        let Self { root, at, replacement, is_intermediate_missing } = self;
        let backends = list(certificates)?;
        let text = format!(
            "The {root} in the trust store `{}`, at which the chain of {} ends, {is_outside} ({}). {replacement}",
            context.target.target.settings.trust,
            backends.list,
            when(*at, context.now),
        );
        if !is_intermediate_missing {
            let advice = backends.advice(kind, context.rejection_severity(), &text);
            return Some(Advice { clients: Some(clients), ..advice });
        }
        let problem = Problem::new(
            "intermediate certificates are not sent",
            format!("the server certificate is sent alone, and the {root} in the trust store {is_outside}"),
            "send the intermediate certificates of the CA along with the server certificate",
        );
        let text = format!("{text} The server certificate is sent alone: {}.", problem.fix);
        let advice = backends.advice(kind, context.rejection_severity(), &text);
        // Clients with another trust store report another error.
        let advice = advice.with_request(context, &problem, certificates, None);
        Some(Advice { clients: Some(clients), ..advice })
    }
}

impl Culprit {
    fn of(certificate: &BackendCertificate<'_>, reason: ChainReason, now: i64) -> Self {
        let is_outside = |from: i64, until: i64| if reason == ChainReason::Expired { until < now } else { now < from };
        let assessment = certificate.assessment();
        let above = assessment.chain.certificates().iter().skip(1).chain(assessment.missing());
        let mut outside =
            above.filter(|one| one.facts().is_some_and(|facts| is_outside(facts.not_before, facts.not_after)));
        let chain = assessment.completed.as_ref().unwrap_or(&assessment.chain);
        if let Some(root) = chain.verdict().root(now) {
            let ValidityPeriod { from, until } = root.validity;
            if is_outside(from, until) {
                return Self::Root(RootCulprit {
                    root: phrases::root(root),
                    at: if reason == ChainReason::Expired { until } else { from },
                    replacement: replacement(root),
                    is_intermediate_missing: !root.is_self_issued && assessment.chain.certificates().len() == 1,
                });
            }
        }
        match (outside.next(), outside.next()) {
            (Some(only), None) => Self::Intermediate(phrases::certificate(only)),
            _ => Self::Unknown,
        }
    }
}

/// Whether a certificate that is valid at `now` (Unix seconds) has less than 14 days left, or less than a fifth of its
/// lifetime if that is shorter (for lifetimes under 70 days).
pub(super) fn is_about_to_expire(facts: &Facts, now: i64) -> bool {
    let lifetime = facts.not_after.saturating_sub(facts.not_before);
    (facts.not_before..=facts.not_after).contains(&now)
        && facts.not_after.saturating_sub(now) < EXPIRES_SOON.min(lifetime / 5)
}

/// `one` and `many` are the certificates in the words of the sentence.
fn renew(backends: &BackendList, one: &'static str, many: &'static str) -> String {
    format!("renew {} and reload the {}", backends.plural(one, many), backends.plural("server", "servers"))
}

fn certificates_of(backends: &BackendList) -> String {
    format!("{} of {}", backends.plural("The certificate", "The certificates"), backends.list)
}

/// The shared note at the end of a clause.
fn shared_note(backends: &BackendList) -> String {
    backends.note.as_ref().map(|note| format!(" {note}")).unwrap_or_default()
}

/// `in 3 days, on 2026-06-04 00:00:00 UTC`.
fn when(at: i64, now: i64) -> String {
    format!("{}, on {}", distance(at, now), utc(at))
}

/// What to do about a root, or an intermediate in its place, that clients no longer accept, or not for long.
const fn replacement(root: &PathRoot) -> &'static str {
    if root.is_self_issued { REPLACE_ROOT } else { REPLACE_INTERMEDIATE }
}

/// What to do about a root that clients no longer accept, or not for long.
const REPLACE_ROOT: &str = "Replace it with the CA's current root, or ask the CA for one, in `trust_stores` and in the trust \
    stores of the senders. No certificate of the server has to change if the CA keeps the key of the root.";
const REPLACE_INTERMEDIATE: &str = "Remove it from `trust_stores` and from the trust stores of the senders, which need the \
    root above it, or replace it with the CA's current one.";
/// Remaining validity, in seconds, below which expiry is reported.
const EXPIRES_SOON: i64 = 14 * SECONDS_PER_DAY;
