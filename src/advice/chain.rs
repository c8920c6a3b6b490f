//! Chains that clients reject, apart from validity periods, and stapled OCSP responses.

use super::context::{BackendCertificate, Context, advice, backends, group_by};
use super::phrases;
use super::request::Problem;
use super::{Advice, AdviceGroup};
use crate::client_errors::{self, ClientErrors};
use crate::reason::{AdviceKind, ChainReason, OcspReason, Severity};
use crate::text::{conjunction, plural};

pub(super) fn advise(context: &Context<'_>) -> Vec<AdviceGroup> {
    let mut found = Vec::new();
    for reason in ChainReason::ALL {
        let certificates = context.certificates_where(|certificate| certificate.reasons.contains(*reason));
        if certificates.is_empty() {
            continue;
        }
        let (kind, problem) = match reason {
            // Reported together with the certificate whose period it is.
            ChainReason::Expired | ChainReason::NotYetValid => continue,
            ChainReason::MissingIntermediate => {
                found.extend(missing_intermediate(context, &certificates));
                continue;
            }
            ChainReason::UnknownIssuer => {
                found.extend(unknown_issuer(context, &certificates));
                continue;
            }
            ChainReason::SelfSigned => (AdviceKind::SelfSigned, self_signed_problem(context)),
            _ => (AdviceKind::BadChain, chain_problem(*reason)),
        };
        found.push(chain_advice(context, kind, *reason, &certificates, &problem));
    }
    found.extend(OcspReason::ALL.iter().filter_map(|reason| staple(context, *reason)));
    found.into_iter().map(|advice| vec![advice]).collect()
}

fn chain_advice(
    context: &Context<'_>,
    kind: AdviceKind,
    reason: ChainReason,
    certificates: &[&BackendCertificate<'_>],
    problem: &Problem,
) -> Advice {
    let clients = client_errors::for_chain(reason);
    certificate_advice(context, kind, context.rejection_severity_by(&clients), certificates, problem, clients)
}

/// Advice with a request and the errors of clients.
pub(super) fn certificate_advice(
    context: &Context<'_>,
    kind: AdviceKind,
    severity: Severity,
    certificates: &[&BackendCertificate<'_>],
    problem: &Problem,
    clients: ClientErrors,
) -> Advice {
    let backends = backends(certificates);
    let request = problem.request_for_certificates(context, certificates, Some(&clients));
    let text = problem.text(&phrases::list(&backends), "");
    Advice { request: Some(request), clients: Some(clients), ..advice(kind, severity, &backends, &text) }
}

fn missing_intermediate(context: &Context<'_>, certificates: &[&BackendCertificate<'_>]) -> Vec<Advice> {
    let groups = group_by(certificates, |certificate| {
        let missing = certificate.assessment().missing();
        missing.iter().map(|certificate| certificate.fingerprint()).collect::<Vec<_>>()
    });
    let to_advice = |(_, certificates): (Vec<[u8; 32]>, Vec<&BackendCertificate<'_>>)| {
        let missing = certificates.first().map(|first| first.assessment().missing()).unwrap_or_default();
        let count = missing.len();
        let names = conjunction(missing.iter().map(|missing| phrases::certificate(missing)), count);
        let problem = Problem::new(
            plural(count, "intermediate certificate is not sent", "intermediate certificates are not sent"),
            format!(
                "{} not send the {} {names}, which {} needed to build the chain",
                plural(certificates.len(), "the server does", "the servers do"),
                plural(count, "intermediate", "intermediates"),
                plural(count, "is", "are"),
            ),
            format!(
                "append {} to the certificate file after the server certificate (Postfix `smtpd_tls_chain_files`, Exim \
                 `tls_certificate`) and reload the server",
                plural(count, "the intermediate", "the intermediates in this order")
            ),
        );
        let reason = ChainReason::MissingIntermediate;
        chain_advice(context, AdviceKind::MissingIntermediate, reason, &certificates, &problem)
    };
    groups.into_iter().map(to_advice).collect()
}

fn unknown_issuer(context: &Context<'_>, certificates: &[&BackendCertificate<'_>]) -> Vec<Advice> {
    let store = &context.target.target.settings.trust;
    let groups = group_by(certificates, |certificate| {
        let is_alone = certificate.assessment().chain.certificates().len() == 1;
        (certificate.facts.map(|facts| facts.issuer()).unwrap_or_default(), is_alone)
    });
    let to_advice = |((issuer, is_alone), certificates): ((&str, bool), Vec<&BackendCertificate<'_>>)| {
        let issued_by = if issuer.is_empty() { String::new() } else { format!(" (issued by {issuer})") };
        let fix = "present a certificate from a CA that clients trust; if this CA is private, install its root \
                   certificate on the clients";
        let fix = if is_alone {
            format!(
                "send the intermediate certificates of the CA along with the server certificate, which is sent alone. If \
                 that does not help, {fix}"
            )
        } else {
            fix.to_owned()
        };
        let problem = Problem {
            exporter_fix: Some("If the exporter should trust that root as well, add it to `trust_stores`."),
            ..Problem::new(
                "certificate has no path to a trusted root",
                format!("the certificate{issued_by} has no path to a root in the trust store `{store}`"),
                fix,
            )
        };
        chain_advice(context, AdviceKind::UnknownIssuer, ChainReason::UnknownIssuer, &certificates, &problem)
    };
    groups.into_iter().map(to_advice).collect()
}

fn self_signed_problem(context: &Context<'_>) -> Problem {
    Problem {
        exporter_fix: Some("If the exporter should trust it as well, add it to `trust_stores`."),
        ..Problem::new(
            "certificate is self-signed",
            "the certificate is self-signed, so clients have no reason to trust it",
            format!(
                "replace the certificate with one for {} from a CA that clients trust; if it is self-signed on purpose, \
                 install it on the clients",
                context.server_name()
            ),
        )
    }
}

pub(super) fn chain_problem(reason: ChainReason) -> Problem {
    let as_provided = "present the chain as the CA provides it, starting with the server certificate";
    let (description, fix) = match reason {
        ChainReason::BadValidity => (
            "the validity period of a certificate in the chain ends before it begins",
            "have that certificate reissued",
        ),
        ChainReason::NotACa => {
            ("a certificate in the chain was issued by a certificate that is not a CA certificate", as_provided)
        }
        ChainReason::CaAsEndEntity => (
            "the server certificate is a CA certificate, which some clients reject",
            "replace the certificate with one that is issued for the server and is not a CA certificate",
        ),
        ChainReason::WeakKey => (
            "an RSA key in the chain has fewer than 2048 bits, which strict clients reject",
            "have the certificate reissued with an RSA key of 2048 bits or more, or with a P-256 key, by a CA that uses such \
             keys itself",
        ),
        ChainReason::BadSignature => ("a signature in the chain was not made with the key of its issuer", as_provided),
        ChainReason::WeakSignatureAlgorithm => (
            "a certificate in the chain is signed with SHA-1 or MD5, which strict clients reject",
            "have that certificate reissued with SHA-256 or better",
        ),
        ChainReason::UnsupportedAlgorithm => (
            "a signature in the chain uses an algorithm that many clients cannot verify",
            "have the certificate reissued with RSA, or with ECDSA on P-256 or P-384",
        ),
        ChainReason::MissingEku => (
            "a certificate in the chain has an extended key usage that does not include TLS servers",
            "have that certificate reissued with the extended key usage serverAuth",
        ),
        ChainReason::NameConstraints => (
            "a name in the certificate is outside the name constraints of a CA above it",
            "have the certificate reissued by another CA, or without that name",
        ),
        ChainReason::PathTooLong => {
            ("the chain has more certificates than one of its CAs or a client allows", as_provided)
        }
        ChainReason::TooComplex => {
            ("so many certificates are presented that building a path would take more work than allowed", as_provided)
        }
        ChainReason::Distrusted => (
            "a key in the chain is on a list of distrusted keys",
            "replace the certificate with one from another CA and with a new key",
        ),
        ChainReason::UnsupportedVersion => (
            "a certificate in the chain is not an X.509 version 3 certificate",
            "have that certificate reissued as X.509 version 3",
        ),
        ChainReason::CriticalExtension => (
            "a certificate in the chain has a critical extension that clients do not understand",
            "have that certificate reissued without the extension",
        ),
        ChainReason::Malformed => ("one of the certificates that are sent cannot be parsed", as_provided),
        ChainReason::KeyProofFailed => (
            "the handshake is signed with a key that does not belong to the certificate",
            "configure the private key that belongs to the certificate, and check whether another device answers in place of \
             the server",
        ),
        // These have advice of their own.
        ChainReason::Expired
        | ChainReason::NotYetValid
        | ChainReason::SelfSigned
        | ChainReason::UnknownIssuer
        | ChainReason::MissingIntermediate => (reason.doc().trim_end_matches('.'), as_provided),
    };
    // The consequence is not part of the subject line.
    let (subject, _) = description.split_once(", which").unwrap_or((description, ""));
    Problem::new(subject, description, fix)
}

/// Advice on stapled OCSP responses. If the last probe saw no certificate, only a revocation is reported: the server
/// may have renewed its response.
fn staple(context: &Context<'_>, reason: OcspReason) -> Option<Advice> {
    let certificates = context.certificates_where(|certificate| {
        let mut reasons = certificate.assessment().chain.ocsp().reasons(context.now);
        reasons.any(|found| found == reason) && (!certificate.is_outdated || reason == OcspReason::Revoked)
    });
    let severity = if reason == OcspReason::Revoked { context.rejection_severity() } else { Severity::Warning };
    let (problem, clients) = (staple_problem(reason), client_errors::for_ocsp(reason));
    (!certificates.is_empty())
        .then(|| certificate_advice(context, AdviceKind::Staple, severity, &certificates, &problem, clients))
}

pub(super) fn staple_problem(reason: OcspReason) -> Problem {
    match reason {
        OcspReason::StapleMissing => Problem::new(
            "stapled OCSP response is missing",
            "the certificate requires a stapled OCSP response (RFC 7633), but none is sent",
            "enable OCSP stapling; if the server cannot staple, have the certificate reissued without that requirement",
        ),
        OcspReason::StapleStale => Problem::new(
            "stapled OCSP response is out of date",
            "the stapled OCSP response is out of date",
            "find out why the server has not fetched a new one; a restart may help",
        ),
        OcspReason::StapleInvalid => Problem::new(
            "stapled OCSP response is not valid",
            "the stapled OCSP response is not valid for this certificate",
            "make the server fetch a new one, and do so after every renewal",
        ),
        OcspReason::Revoked => Problem::new(
            "certificate is revoked",
            "the stapled OCSP response says that the certificate is revoked",
            "replace the certificate with a new one that has a new key",
        ),
    }
}
