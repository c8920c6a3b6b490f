//! Findings as JSON. Keys are always there; what is not known is null.

use serde::Serialize;

use crate::elsewhere::{self, Elsewhere, Words};
use crate::observation::printable;
use crate::reason::{ChainReason, NameReason};
use crate::target::ServerName;
use crate::verdict::certificate::hex;
use crate::verdict::{Certificate, NameVerdict};
use crate::verify::Verification;

use super::moment::{days, rfc3339};

pub(super) fn write(verification: &Verification) -> String {
    // Maps have keys of text and numbers are finite: nothing here can fail.
    serde_json::to_string_pretty(&Report::from(verification)).unwrap_or_default() + "\n"
}

#[derive(Serialize)]
struct Report<'a> {
    names: Vec<Name>,
    chain: Chain,
    certificate: Option<Leaf<'a>>,
    presented: usize,
    at: Moment,
}

impl<'a> From<&'a Verification> for Report<'a> {
    fn from(verification: &'a Verification) -> Self {
        let leaf = verification.chain.certificates().first();
        Self {
            names: verification.names.iter().map(|(name, verdict)| Name::new(name, *verdict)).collect(),
            chain: Chain {
                trusted: verification.trusted,
                valid: verification.valid,
                errors: verification.reasons.iter().map(Finding::from).collect(),
                not_after: verification.not_after.map(Moment::from),
                verified_not_after: verification.verified_not_after.map(Moment::from),
            },
            certificate: leaf.map(|leaf| Leaf::new(leaf, verification.chain.ocsp().must_staple(), verification.at)),
            presented: verification.chain.certificates().len(),
            at: Moment::from(verification.at),
        }
    }
}

#[derive(Serialize)]
struct Name {
    name: String,
    r#match: Option<bool>,
    reason: Option<&'static str>,
    meaning: Option<&'static str>,
    elsewhere: Option<Everyone>,
}

impl Name {
    fn new(name: &ServerName, verdict: Option<NameVerdict>) -> Self {
        let found = match verdict {
            Some(NameVerdict::Mismatch(reason)) => Some(Finding::from(reason)),
            Some(NameVerdict::Match) | None => None,
        };
        Self {
            name: name.to_string(),
            r#match: verdict.map(NameVerdict::is_match),
            reason: found.as_ref().map(|found| found.reason),
            meaning: found.as_ref().map(|found| found.meaning),
            elsewhere: found.map(|found| found.elsewhere),
        }
    }
}

#[derive(Serialize)]
struct Chain {
    trusted: Option<bool>,
    valid: bool,
    errors: Vec<Finding>,
    not_after: Option<Moment>,
    verified_not_after: Option<Moment>,
}

#[derive(Serialize)]
struct Finding {
    reason: &'static str,
    meaning: &'static str,
    elsewhere: Everyone,
}

impl From<ChainReason> for Finding {
    fn from(reason: ChainReason) -> Self {
        let elsewhere = elsewhere::of_chain(reason).into();
        Self { reason: reason.as_str(), meaning: reason.doc(), elsewhere }
    }
}

impl From<NameReason> for Finding {
    fn from(reason: NameReason) -> Self {
        let elsewhere = elsewhere::of_name(reason).into();
        Self { reason: reason.as_str(), meaning: reason.doc(), elsewhere }
    }
}

#[derive(Serialize)]
struct Everyone {
    dotnet: Saying,
    openssl: Saying,
    postfix: Saying,
    go: Saying,
}

impl From<Elsewhere> for Everyone {
    fn from(elsewhere: Elsewhere) -> Self {
        let Elsewhere { dotnet, openssl, postfix, go } = elsewhere;
        Self { dotnet: dotnet.into(), openssl: openssl.into(), postfix: postfix.into(), go: go.into() }
    }
}

#[derive(Serialize)]
struct Saying {
    texts: &'static [&'static str],
    accepts: Option<&'static str>,
}

impl From<Words> for Saying {
    fn from(words: Words) -> Self {
        Self { texts: words.texts, accepts: words.accepts }
    }
}

#[derive(Serialize)]
struct Leaf<'a> {
    fingerprint_sha256: String,
    serial: Option<&'a str>,
    subject: Option<&'a str>,
    issuer: Option<&'a str>,
    key: Option<String>,
    signature: Option<&'static str>,
    not_before: Option<Moment>,
    not_after: Option<Moment>,
    expiry_days: Option<f64>,
    names: Option<Vec<String>>,
    scts: Option<u16>,
    must_staple: bool,
}

impl<'a> Leaf<'a> {
    fn new(leaf: &'a Certificate, must_staple: bool, at: i64) -> Self {
        let facts = leaf.facts();
        Self {
            fingerprint_sha256: hex(&leaf.fingerprint()),
            serial: facts.map(|facts| facts.serial()),
            subject: facts.map(|facts| facts.subject()),
            issuer: facts.map(|facts| facts.issuer()),
            key: facts.map(|facts| facts.key.label()),
            signature: facts.map(|facts| facts.signature.name),
            not_before: facts.map(|facts| Moment::from(facts.not_before)),
            not_after: facts.map(|facts| Moment::from(facts.not_after)),
            expiry_days: facts.map(|facts| days(at, facts.not_after)),
            names: facts.map(|facts| facts.names().map(|name| printable(&name.to_string(), 253)).collect()),
            scts: facts.map(|facts| facts.scts),
            must_staple,
        }
    }
}

#[derive(Serialize)]
struct Moment {
    rfc3339: Option<String>,
    unix: i64,
}

impl From<i64> for Moment {
    fn from(unix: i64) -> Self {
        Self { rfc3339: rfc3339(unix), unix }
    }
}
