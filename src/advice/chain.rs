//! Chains that are refused, time set aside, and stapled OCSP responses.

use super::context::{Scene, Shown, grouped, places, story};
use super::phrases::{self, Listed};
use super::request::Letter;
use super::{Advice, Story};
use crate::client_errors;
use crate::reason::{AdviceKind, ChainReason, OcspReason, Severity};

/// One story for each reason and what goes with it.
pub(super) fn of(scene: &Scene<'_>) -> Vec<Story> {
    let mut stories = Vec::new();
    for reason in ChainReason::ALL {
        let shown = scene.whose(|shown| shown.reasons.contains(*reason));
        if shown.is_empty() {
            continue;
        }
        match reason {
            // Told together with the certificate that it is of.
            ChainReason::Expired | ChainReason::NotYetValid => {}
            ChainReason::MissingIntermediate => stories.extend(missing_intermediate(scene, &shown)),
            ChainReason::UnknownIssuer => stories.extend(unknown_issuer(scene, &shown)),
            ChainReason::SelfSigned => {
                stories.push(chain(scene, AdviceKind::SelfSigned, *reason, &shown, self_signed(scene)));
            }
            _ => stories.push(chain(scene, AdviceKind::BadChain, *reason, &shown, other(*reason))),
        }
    }
    for reason in OcspReason::ALL {
        stories.extend(staple(scene, *reason).map(story));
    }
    stories
}

/// What is wrong, in words that follow "A and B:", and what is to be done.
pub(super) struct Sentence {
    pub(super) wrong: String,
    pub(super) todo: String,
    /// What else whoever runs the exporter can do, which is no matter of those who run the servers.
    ours: Option<&'static str>,
}

impl Sentence {
    fn new(wrong: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { wrong: wrong.into(), todo: todo.into(), ours: None }
    }
}

fn chain(
    scene: &Scene<'_>,
    kind: AdviceKind,
    reason: ChainReason,
    shown: &[&Shown<'_>],
    Sentence { wrong, todo, ours }: Sentence,
) -> Story {
    let clients = client_errors::for_chain(reason);
    let places = places(shown);
    let ours = ours.map(|ours| format!(" {ours}.")).unwrap_or_default();
    let text = format!("{}: {wrong}. {}.{ours}", phrases::list(&places), capital(&todo));
    let letter = Letter {
        subject: format!("certificate chain is refused ({reason})"),
        wrong: format!("{}.", capital(&wrong)),
        todo: format!("{todo}."),
        clients: Some(&clients),
    };
    let request = letter.on_certificates(scene, shown);
    let advice = scene.say(kind, scene.refusal_by(&clients), &places, &text);
    story(Advice { request: Some(request), clients: Some(clients), ..advice })
}

fn missing_intermediate(scene: &Scene<'_>, shown: &[&Shown<'_>]) -> Vec<Story> {
    let groups = grouped(shown, |shown| {
        let missing = shown.assessment().missing();
        missing.iter().map(|certificate| certificate.fingerprint()).collect::<Vec<_>>()
    });
    let tell = |(_, shown): (Vec<[u8; 32]>, Vec<&Shown<'_>>)| {
        let missing = shown.first().map(|shown| shown.assessment().missing()).unwrap_or_default();
        let names = phrases::some_of(missing.iter().map(|missing| phrases::certificate(missing)), missing.len());
        let many = if missing.len() > 1 { "s, in this order" } else { "" };
        let sentence = Sentence::new(
            format!("the intermediate {names} is not sent, though a path needs it"),
            format!(
                "append the missing certificate{many} after the server's own in the file that it presents (Postfix \
                 `smtpd_tls_chain_files`, Exim `tls_certificate`), and reload the server"
            ),
        );
        chain(scene, AdviceKind::MissingIntermediate, ChainReason::MissingIntermediate, &shown, sentence)
    };
    groups.into_iter().map(tell).collect()
}

fn unknown_issuer(scene: &Scene<'_>, shown: &[&Shown<'_>]) -> Vec<Story> {
    let store = &scene.target.target.settings.trust;
    let groups = grouped(shown, |shown| {
        let alone = shown.assessment().chain.certificates().len() == 1;
        (shown.facts.map(|facts| facts.issuer()).unwrap_or_default(), alone)
    });
    let tell = |((issuer, alone), shown): ((&str, bool), Vec<&Shown<'_>>)| {
        let by = if issuer.is_empty() { String::new() } else { format!(", issued by {issuer},") };
        let wrong = format!("no path leads from the certificate{by} to a root of the trust store `{store}`");
        let todo = "present a certificate of a CA that clients trust; if this is a private CA's, give its root to the \
                    clients";
        let todo = if alone {
            format!(
                "send the CA's intermediates along with the certificate, which comes alone; if that is not it, {todo}"
            )
        } else {
            todo.to_owned()
        };
        let sentence = Sentence { ours: Some(TRUST_ROOT), ..Sentence::new(wrong, todo) };
        chain(scene, AdviceKind::UnknownIssuer, ChainReason::UnknownIssuer, &shown, sentence)
    };
    groups.into_iter().map(tell).collect()
}

fn self_signed(scene: &Scene<'_>) -> Sentence {
    let sentence = Sentence::new(
        "the certificate is signed with its own key, so that clients have no reason to trust it",
        format!(
            "have a CA that clients trust issue one for {}; if it is meant to be like this, give the certificate to the \
             clients",
            scene.server_name()
        ),
    );
    Sentence { ours: Some(TRUST_CERTIFICATE), ..sentence }
}

pub(super) fn other(reason: ChainReason) -> Sentence {
    let as_given = "present the chain as the CA gives it, the server's certificate first";
    match reason {
        ChainReason::BadValidity => Sentence::new(
            "the validity of a certificate in the chain ends before it begins",
            "have that certificate issued anew",
        ),
        ChainReason::NotACa => {
            Sentence::new("a certificate in the chain was issued by one that is no CA certificate", as_given)
        }
        ChainReason::CaAsEndEntity => Sentence::new(
            "a CA certificate is presented as the server's own, which some clients refuse",
            "have a certificate issued that is for the server alone",
        ),
        ChainReason::WeakKey => Sentence::new(
            "an RSA key of less than 2048 bits is in use, which stricter clients refuse",
            "have the certificate issued anew over a key of 2048 bits or more, or over a P-256 key, by a CA that uses such",
        ),
        ChainReason::BadSignature => {
            Sentence::new("a signature in the chain was not made with its issuer's key", as_given)
        }
        ChainReason::WeakSignatureAlgorithm => Sentence::new(
            "a certificate in the chain is signed with SHA-1 or MD5, which stricter clients refuse",
            "have it issued anew with SHA-256 or better",
        ),
        ChainReason::UnsupportedAlgorithm => Sentence::new(
            "a signature in the chain is of a kind that many clients cannot check",
            "have the certificate issued anew with RSA or ECDSA on P-256 or P-384",
        ),
        ChainReason::MissingEku => Sentence::new(
            "a certificate in the chain says what it is for, and a TLS server is not among it",
            "have it issued anew with the extended key usage serverAuth",
        ),
        ChainReason::NameConstraints => Sentence::new(
            "a name of the certificate lies outside those that a CA above it may issue for",
            "have it issued by another CA, or without that name",
        ),
        ChainReason::PathTooLong => {
            Sentence::new("the path has more certificates than a CA on it, or a client, allows", as_given)
        }
        ChainReason::TooComplex => {
            Sentence::new("so much is presented that finding a path takes more work than is allowed", as_given)
        }
        ChainReason::Distrusted => Sentence::new(
            "a key on the path is on a list of withdrawn ones",
            "have a certificate issued by another CA, over a new key",
        ),
        ChainReason::UnsupportedVersion => {
            Sentence::new("a certificate in the chain is not of version 3", "have it issued anew as X.509 version 3")
        }
        ChainReason::CriticalExtension => Sentence::new(
            "a certificate in the chain has a critical extension that clients do not know",
            "have it issued anew without that extension",
        ),
        ChainReason::Malformed => Sentence::new("a certificate that is sent cannot be parsed", as_given),
        ChainReason::KeyProofFailed => Sentence::new(
            "the handshake is signed with another key than the certificate's",
            "configure the key that belongs to the certificate, and see whether something in between answers in its place",
        ),
        // These have words of their own.
        ChainReason::Expired
        | ChainReason::NotYetValid
        | ChainReason::SelfSigned
        | ChainReason::UnknownIssuer
        | ChainReason::MissingIntermediate => Sentence::new(reason.doc().trim_end_matches('.'), as_given),
    }
}

/// Staples. One that was good when it was seen is not called stale later.
fn staple(scene: &Scene<'_>, reason: OcspReason) -> Option<Advice> {
    let now = scene.moment();
    let holds = |shown: &Shown<'_>| shown.assessment().chain.ocsp().reasons(now).any(|found| found == reason);
    let shown = scene.whose(|shown| holds(shown) && !(shown.is_past && reason != OcspReason::Revoked));
    if shown.is_empty() {
        return None;
    }
    let places = places(&shown);
    let listed = Listed::of(&places);
    let (wrong, todo) = match reason {
        OcspReason::StapleMissing => (
            "the certificate demands a stapled OCSP response (RFC 7633), and none is sent",
            "switch stapling on, or have the certificate issued anew without that demand where the server cannot staple",
        ),
        OcspReason::StapleStale => (
            "the stapled OCSP response is out of date",
            "see why the server has fetched no new one; restarting it may help",
        ),
        OcspReason::StapleInvalid => (
            "the stapled OCSP response is not a good one for this certificate",
            "let the server fetch it anew, after every renewal, too",
        ),
        OcspReason::Revoked => (
            "the stapled OCSP response says that the certificate is revoked",
            "have a new certificate issued over a new key",
        ),
    };
    let clients = client_errors::for_ocsp(reason);
    let severity = if reason == OcspReason::Revoked { scene.refusal() } else { Severity::Warning };
    let letter = Letter {
        subject: format!("stapled OCSP response ({reason})"),
        wrong: format!("{}.", capital(wrong)),
        todo: format!("{todo}."),
        clients: Some(&clients),
    };
    let request = Some(letter.on_certificates(scene, &shown));
    let text = format!("{}: {wrong}. {}.", listed.list, capital(todo));
    Some(Advice { request, clients: Some(clients), ..scene.say(AdviceKind::Staple, severity, &places, &text) })
}

/// With its first letter in upper case.
fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().collect::<String>() + rest.as_str()).unwrap_or_default()
}

const TRUST_ROOT: &str = "Where that root is to be trusted here as well, name it in `trust_stores`";
const TRUST_CERTIFICATE: &str = "Where it is to be trusted here as well, name it in `trust_stores`";
