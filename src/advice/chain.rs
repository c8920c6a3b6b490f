//! Chains that clients reject, apart from validity periods, and stapled OCSP responses.

use super::Advice;
use super::context::{BackendCertificate, Context};
use super::phrases::{self, list};
use super::request::Problem;
use crate::client_errors::{self, ClientErrors};
use crate::reason::{AdviceKind, ChainReason, ChainWarning, OcspReason, Severity};
use crate::text::{conjunction, group_by, plural};
use crate::verdict::{Cause, Senders};

pub(super) fn advise(context: &Context<'_>) -> Vec<Advice> {
    let mut found = Vec::new();
    for reason in ChainReason::ALL {
        let with_reason = context.certificates_where(|certificate| certificate.reasons.contains(*reason));
        let (by_root, certificates): (Vec<_>, Vec<_>) =
            with_reason.into_iter().partition(|certificate| is_fault_of_root(certificate, *reason, context.now));
        found.extend(roots(context, *reason, by_root));
        let (kind, problems) = match reason {
            // Reported together with the certificate whose period it is.
            ChainReason::Expired | ChainReason::NotYetValid => continue,
            ChainReason::MissingIntermediate => (AdviceKind::MissingIntermediate, missing_intermediates(certificates)),
            ChainReason::UnknownIssuer => (AdviceKind::UnknownIssuer, unknown_issuers(context, certificates)),
            ChainReason::SelfSigned => (AdviceKind::SelfSigned, vec![(self_signed_problem(context), certificates)]),
            _ => (AdviceKind::BadChain, vec![(chain_problem(*reason), certificates)]),
        };
        let clients = client_errors::for_chain(*reason);
        let severity = context.rejection_severity_by(&clients);
        found.extend(problems.iter().filter_map(|(problem, certificates)| {
            certificate_advice(context, kind, severity, certificates, problem, clients)
        }));
    }
    found.extend(warnings(context));
    found.extend(OcspReason::ALL.iter().filter_map(|reason| staple(context, *reason)));
    found
}

/// Advice with a request and the errors of clients; none if there are no certificates.
pub(super) fn certificate_advice(
    context: &Context<'_>,
    kind: AdviceKind,
    severity: Severity,
    certificates: &[&BackendCertificate<'_>],
    problem: &Problem,
    clients: ClientErrors,
) -> Option<Advice> {
    let backends = list(certificates)?;
    let text = problem.text(&backends.list, "");
    Some(backends.advice(kind, severity, &text).with_request(context, problem, certificates, Some(clients)))
}

/// Problems, each with the certificates that have it.
type Problems<'c, 'a> = Vec<(Problem, Vec<&'c BackendCertificate<'a>>)>;

fn missing_intermediates<'c, 'a>(certificates: Vec<&'c BackendCertificate<'a>>) -> Problems<'c, 'a> {
    let groups = group_by(certificates, |certificate| {
        let missing = certificate.assessment().missing();
        missing.iter().map(|certificate| certificate.fingerprint()).collect::<Vec<_>>()
    });
    let with_problem = |(_, certificates): (_, Vec<&'c BackendCertificate<'a>>)| {
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
        (problem, certificates)
    };
    groups.into_iter().map(with_problem).collect()
}

fn unknown_issuers<'c, 'a>(context: &Context<'_>, certificates: Vec<&'c BackendCertificate<'a>>) -> Problems<'c, 'a> {
    let store = &context.target.target.settings.trust;
    let groups = group_by(certificates, |certificate| {
        let chain = &certificate.assessment().chain;
        let is_alone = chain.certificates().len() == 1;
        let issuer = certificate.facts.map(|facts| facts.issuer()).unwrap_or_default();
        (issuer, is_alone, chain.verdict().is_leaf_in_store())
    });
    let with_problem = |((issuer, is_alone, is_in_store), certificates): ((&str, bool, bool), _)| {
        let issued_by = if issuer.is_empty() { String::new() } else { format!(" (issued by {issuer})") };
        if is_in_store {
            let fix = if is_alone {
                "send the intermediate certificates of the CA along with the server certificate"
            } else {
                TRUSTED_CA
            };
            let problem = Problem::new(
                "certificate has no path to a trusted root",
                format!(
                    "the certificate{issued_by} has no path to a root in the trust store `{store}`. The certificate itself \
                     is in that store, but it is not self-signed, so OpenSSL and Postfix do not accept it on its own"
                ),
                fix,
            );
            let exporter_fix =
                "Add the root certificate of the CA to `trust_stores` in place of the server certificate.";
            return (problem.with_exporter_fix(exporter_fix), certificates);
        }
        let send_intermediates = if is_alone {
            "send the intermediate certificates of the CA along with the server certificate, which is sent alone. If that \
             does not help, "
        } else {
            ""
        };
        let problem = Problem::new(
            "certificate has no path to a trusted root",
            format!("the certificate{issued_by} has no path to a root in the trust store `{store}`"),
            format!("{send_intermediates}{TRUSTED_CA}"),
        );
        let exporter_fix = "If the exporter should trust that root as well, add it to `trust_stores`.";
        (problem.with_exporter_fix(exporter_fix), certificates)
    };
    groups.into_iter().map(with_problem).collect()
}

fn self_signed_problem(context: &Context<'_>) -> Problem {
    Problem::new(
        "certificate is self-signed",
        "the certificate is self-signed, so clients have no reason to trust it",
        format!(
            "replace the certificate with one for {} from a CA that clients trust; if it is self-signed on purpose, install \
             it on the clients",
            context.server_name()
        ),
    )
    .with_exporter_fix("If the exporter should trust it as well, add it to `trust_stores`.")
}

/// Whether the root at which the path ends is the certificate that has this problem. Its validity period has advice of its
/// own.
fn is_fault_of_root(certificate: &BackendCertificate<'_>, reason: ChainReason, now: i64) -> bool {
    let assessment = certificate.assessment();
    let chain = assessment.completed.as_ref().unwrap_or(&assessment.chain);
    chain.verdict().root(now).is_some_and(|root| root.reasons.contains(reason))
}

/// Advice on roots that all senders reject. It is for the owner of the trust store and of the CA: the server's operator does
/// not choose the root.
fn roots(context: &Context<'_>, reason: ChainReason, certificates: Vec<&BackendCertificate<'_>>) -> Vec<Advice> {
    let (description, fix) = match reason {
        ChainReason::BadValidity => {
            ("has a validity period that ends before it begins", "with a validity period that ends after it begins")
        }
        ChainReason::NotACa => (
            "is not a CA certificate, or its key usage does not allow to issue certificates",
            "with the basic constraints CA:TRUE and the key usage keyCertSign",
        ),
        ChainReason::PathTooLong => {
            ("allows fewer intermediates than the chain has", "with a larger path length constraint or none")
        }
        ChainReason::CriticalExtension => {
            ("has a critical extension that senders do not understand", "without the extension")
        }
        _ => return Vec::new(),
    };
    let subject = |certificate: &BackendCertificate<'_>| {
        let assessment = certificate.assessment();
        let chain = assessment.completed.as_ref().unwrap_or(&assessment.chain);
        chain.verdict().root(context.now).map(phrases::root).unwrap_or_default()
    };
    let clients = client_errors::for_chain(reason);
    let to_advice = |(subject, certificates): (String, Vec<&BackendCertificate<'_>>)| {
        let backends = list(&certificates)?;
        let text = format!(
            "The {subject} in the trust store `{}`, at which the chain of {} ends, {description}. Have the CA reissue \
             it for the same key {fix}, and replace it in `trust_stores` and in the trust stores of the senders.",
            context.target.target.settings.trust, backends.list,
        );
        let advice = backends.advice(AdviceKind::BadChain, context.rejection_severity(), &text);
        Some(Advice { clients: Some(clients), ..advice })
    };
    group_by(certificates, subject).into_iter().filter_map(to_advice).collect()
}

/// Valid chains that some senders refuse.
fn warnings(context: &Context<'_>) -> Vec<Advice> {
    let mut found = Vec::new();
    for warning in ChainWarning::ALL {
        for cause in Cause::ALL {
            let senders = |certificate: &BackendCertificate<'_>| certificate.warnings.senders(*warning, cause);
            let certificates = context.certificates_where(|certificate| senders(certificate).is_some());
            for (senders, certificates) in group_by(certificates, senders) {
                let senders = senders.unwrap_or_default();
                if cause == Cause::Store {
                    found.extend(store_warnings(context, *warning, senders, certificates));
                    continue;
                }
                let problem = warning_problem(*warning, cause, senders);
                let Some(backends) = list(&certificates) else { continue };
                let text = problem.text(&backends.list, "");
                let advice = backends.advice(AdviceKind::ChainWarning, Severity::Warning, &text);
                found.push(advice.with_request(context, &problem, &certificates, None));
            }
        }
    }
    found
}

/// Advice on warnings that the root or the trust store causes. It is for the owner of the trust store and of the CA.
fn store_warnings(
    context: &Context<'_>,
    warning: ChainWarning,
    senders: Senders,
    certificates: Vec<&BackendCertificate<'_>>,
) -> Vec<Advice> {
    let end = |certificate: &BackendCertificate<'_>| {
        let root = certificate.assessment().chain.verdict().root(context.now).map(phrases::root);
        (root, certificate.facts.is_some_and(|facts| facts.self_signed))
    };
    let to_advice = |((root, is_self_signed), certificates): ((Option<String>, bool), Vec<&BackendCertificate<'_>>)| {
        let backends = list(&certificates)?;
        let store = &context.target.target.settings.trust;
        let text = if is_self_signed {
            let description = format!(
                "The trust store `{store}` contains another certificate with the name of the self-signed server certificate \
                 of {}, and some senders compare only that one with it",
                backends.list
            );
            format!(
                "{}. Remove the other certificate from `trust_stores` and from the trust stores of the senders.",
                with_senders(description, senders)
            )
        } else {
            store_text(warning, root.as_deref(), store, &backends.list, senders)
        };
        Some(backends.advice(AdviceKind::ChainWarning, Severity::Warning, &text))
    };
    group_by(certificates, end).into_iter().filter_map(to_advice).collect()
}

/// `root` is the root with its subject; none if only its name and key are known.
pub(super) fn store_text(
    warning: ChainWarning,
    root: Option<&str>,
    store: &str,
    backends: &str,
    senders: Senders,
) -> String {
    let reissued = |with: &str| {
        format!(
            "Have the CA reissue it for the same key {with}, and replace it in `trust_stores` and in the trust stores of the \
             senders."
        )
    };
    let (description, fix) = match warning {
        ChainWarning::KeyUsage => ("has an empty key usage", reissued("with the key usage keyCertSign")),
        ChainWarning::AuthorityKeyIdentifier => (
            "has an authority key identifier that is not its own",
            reissued("with its own authority key identifier or none"),
        ),
        ChainWarning::SerialNumber => (
            "has a serial number that is negative, longer than 20 octets or not encoded correctly",
            reissued("with a positive serial number of at most 20 octets"),
        ),
        ChainWarning::RootBasicConstraints => (
            "has no basic constraints, so nothing in it says that it is a CA certificate",
            reissued("with the basic constraints CA:TRUE"),
        ),
        ChainWarning::RootExtendedKeyUsage => (
            "has an extended key usage that does not include TLS servers",
            reissued("without extended key usage"),
        ),
        ChainWarning::RootCriticalExtension => (
            "has a critical extension that some senders do not understand",
            reissued("without the extension"),
        ),
        ChainWarning::RootNotSelfSigned => (
            "is in the store without the root above it",
            "Add the self-signed root above it to `trust_stores` and to the trust stores of the senders.".to_owned(),
        ),
        ChainWarning::IssuerOrder
        // The store does not cause these.
        | ChainWarning::NoDigitalSignature
        | ChainWarning::SubjectAltName
        | ChainWarning::CommonNameConstraints
        | ChainWarning::ManyCertificates => {
            let refuse = with_senders(
                format!(
                    "The trust store `{store}` contains another certificate with the name of an issuer in the chain of \
                     {backends}, and some senders try only that one, which does not verify"
                ),
                senders,
            );
            return format!(
                "{refuse}. Remove the certificates that have expired, have another key or must not issue certificates from \
                 `trust_stores` and from the trust stores of the senders."
            );
        }
    };
    let root = root.unwrap_or("root");
    let text = format!("The {root} in the trust store `{store}`, at which the chain of {backends} ends, {description}");
    format!("{}. {fix}", with_senders(text, senders))
}

/// `description`, followed by the senders that refuse the chain.
fn with_senders(description: impl Into<String>, senders: Senders) -> String {
    let description = description.into();
    let names = conjunction(senders.iter().map(|sender| sender.title().to_owned()), usize::MAX);
    match senders.iter().count() {
        0 => description,
        count => format!("{description}: {names} {} the chain", plural(count, "refuses", "refuse")),
    }
}

/// The problem with what a server presents.
pub(super) fn warning_problem(warning: ChainWarning, cause: Cause, senders: Senders) -> Problem {
    let (subject, description, fix) = match warning {
        ChainWarning::KeyUsage if cause == Cause::ServerCertificate => (
            "key usage does not allow TLS",
            "the key usage of the certificate allows neither signatures nor key exchange",
            "reissue the certificate with the key usage digitalSignature",
        ),
        ChainWarning::KeyUsage => (
            "key usage of an intermediate is empty",
            "the key usage of an intermediate is empty",
            "have the intermediate reissued for the same key with the key usage keyCertSign",
        ),
        ChainWarning::NoDigitalSignature => (
            "key usage does not include digitalSignature",
            "the key usage of the certificate does not include digitalSignature, with which the server signs handshakes",
            "reissue the certificate with the key usage digitalSignature",
        ),
        ChainWarning::AuthorityKeyIdentifier => (
            "authority key identifier does not match",
            "the authority key identifier of a certificate in the chain is not that of its issuer",
            "have that certificate reissued with the identifier of the issuer's current certificate, or present the issuer's \
             certificate that it names",
        ),
        ChainWarning::SerialNumber => (
            "serial number is not valid",
            "the serial number of a certificate in the chain is negative, longer than 20 octets or not encoded correctly",
            "have that certificate reissued with a positive serial number of at most 20 octets",
        ),
        ChainWarning::SubjectAltName => (
            "a subject alternative name is not valid",
            "a subject alternative name of a certificate that is sent is not a valid DNS name or IP address",
            "have that certificate reissued without the name, with internationalized names in ASCII form (`xn--`)",
        ),
        ChainWarning::CommonNameConstraints => (
            "common name violates name constraints",
            "the common name of the certificate, which lists no DNS names, is outside the name constraints of a CA above it",
            "reissue the certificate with its names as DNS subject alternative names, or with another common name",
        ),
        ChainWarning::ManyCertificates => (
            "too many certificates are sent",
            "more certificates are sent than some senders read",
            "send only the certificates between the server certificate and the root",
        ),
        ChainWarning::IssuerOrder
        // Only the store causes these.
        | ChainWarning::RootNotSelfSigned
        | ChainWarning::RootBasicConstraints
        | ChainWarning::RootExtendedKeyUsage
        | ChainWarning::RootCriticalExtension => {
            let problem = Problem::new(
                "an issuer has several certificates",
                with_senders(
                    "several certificates of the same name can be the issuer, and some senders try only one of them, which \
                     does not verify",
                    senders,
                ),
                "send only the certificates of one path to a trusted root",
            );
            let exporter_fix = "If the trust store contains expired certificates of the CA, remove them as well.";
            return problem.with_exporter_fix(exporter_fix);
        }
    };
    Problem::new(subject, with_senders(description, senders), fix)
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
            "the server certificate is a CA certificate and is not a self-signed one in the trust store",
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
            "a certificate in the chain has a critical extension that some clients do not understand",
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
    Problem::plain(description, fix)
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
    certificate_advice(context, AdviceKind::Staple, severity, &certificates, &problem, clients)
}

pub(super) fn staple_problem(reason: OcspReason) -> Problem {
    let (subject, description, fix) = match reason {
        OcspReason::StapleMissing => (
            "stapled OCSP response is missing",
            "the certificate requires a stapled OCSP response (RFC 7633), but none is sent",
            "enable OCSP stapling; if the server cannot staple, have the certificate reissued without that requirement",
        ),
        OcspReason::StapleStale => (
            "stapled OCSP response is out of date",
            "the stapled OCSP response is out of date",
            "find out why the server has not fetched a new one; a restart may help",
        ),
        OcspReason::StapleInvalid => (
            "stapled OCSP response is not valid",
            "the stapled OCSP response is not valid for this certificate",
            "make the server fetch a new one, and do so after every renewal",
        ),
        OcspReason::Revoked => (
            "certificate is revoked",
            "the stapled OCSP response says that the certificate is revoked",
            "replace the certificate with a new one that has a new key",
        ),
    };
    Problem::new(subject, description, fix)
}

/// What to do about an unknown CA.
const TRUSTED_CA: &str = "present a certificate from a CA that clients trust; if this CA is private, install its root \
    certificate on the clients";
