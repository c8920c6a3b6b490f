//! What findings of a file and findings of a target have in common.

use serde::Serialize;

use crate::client_errors::{self, ClientError, ClientErrors};
use crate::reason::{ChainReason, NameReason, OcspReason, ProbeReason};
use crate::render::moment::{days, rfc3339};
use crate::target::ServerName;
use crate::text::printable;
use crate::verdict::certificate::hex;
use crate::verdict::{Certificate, NameVerdict};

#[derive(Serialize)]
pub(super) struct Name {
    name: String,
    r#match: Option<bool>,
    reason: Option<&'static str>,
    meaning: Option<&'static str>,
    client_errors: Option<Everyone>,
}

impl Name {
    pub(super) fn new(name: &ServerName, verdict: Option<NameVerdict>) -> Self {
        let found = match verdict {
            Some(NameVerdict::Mismatch(reason)) => Some(Finding::from(reason)),
            Some(NameVerdict::Match) | None => None,
        };
        Self {
            name: name.to_string(),
            r#match: verdict.map(NameVerdict::is_match),
            reason: found.as_ref().map(|found| found.reason),
            meaning: found.as_ref().map(|found| found.meaning),
            client_errors: found.and_then(|found| found.client_errors),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Chain {
    pub(super) trusted: Option<bool>,
    pub(super) valid: Option<bool>,
    pub(super) errors: Vec<Finding>,
    pub(super) not_after: Option<Moment>,
    pub(super) verified_not_after: Option<Moment>,
}

#[derive(Serialize)]
pub(super) struct Finding {
    pub(super) reason: &'static str,
    pub(super) meaning: &'static str,
    pub(super) client_errors: Option<Everyone>,
}

impl From<ChainReason> for Finding {
    fn from(reason: ChainReason) -> Self {
        let client_errors = client_errors::for_chain(reason).into();
        Self { reason: reason.as_str(), meaning: reason.doc(), client_errors: Some(client_errors) }
    }
}

impl From<NameReason> for Finding {
    fn from(reason: NameReason) -> Self {
        let client_errors = client_errors::for_name(reason).into();
        Self { reason: reason.as_str(), meaning: reason.doc(), client_errors: Some(client_errors) }
    }
}

impl From<OcspReason> for Finding {
    fn from(reason: OcspReason) -> Self {
        let client_errors = client_errors::for_ocsp(reason).into();
        Self { reason: reason.as_str(), meaning: reason.doc(), client_errors: Some(client_errors) }
    }
}

impl From<ProbeReason> for Finding {
    fn from(reason: ProbeReason) -> Self {
        let client_errors = client_errors::for_probe(reason).map(Everyone::from);
        Self { reason: reason.as_str(), meaning: reason.doc(), client_errors }
    }
}

#[derive(Serialize)]
pub(super) struct Everyone {
    dotnet: Saying,
    openssl: Saying,
    postfix: Saying,
    go: Saying,
}

impl From<ClientErrors> for Everyone {
    fn from(client_errors: ClientErrors) -> Self {
        let ClientErrors { dotnet, openssl, postfix, go } = client_errors;
        Self { dotnet: dotnet.into(), openssl: openssl.into(), postfix: postfix.into(), go: go.into() }
    }
}

#[derive(Serialize)]
pub(super) struct Saying {
    texts: &'static [&'static str],
    accepts: Option<&'static str>,
}

impl From<ClientError> for Saying {
    fn from(words: ClientError) -> Self {
        Self { texts: words.texts, accepts: words.accepts }
    }
}

#[derive(Serialize)]
pub(super) struct Leaf<'a> {
    fingerprint_sha256: String,
    thumbprint_sha1: String,
    serial: Option<&'a str>,
    subject: Option<&'a str>,
    issuer: Option<&'a str>,
    key: Option<String>,
    signature: Option<&'static str>,
    not_before: Option<Moment>,
    not_after: Option<Moment>,
    expiry_days: Option<f64>,
    names: Option<Vec<String>>,
    names_total: Option<usize>,
    scts: Option<u16>,
    must_staple: bool,
}

impl<'a> Leaf<'a> {
    /// The facts of `leaf` as of `at`, with at most `most` of its names.
    pub(super) fn new(leaf: &'a Certificate, must_staple: bool, at: i64, most: usize) -> Self {
        let facts = leaf.facts();
        Self {
            fingerprint_sha256: hex(&leaf.fingerprint()),
            thumbprint_sha1: hex(&leaf.thumbprint()),
            serial: facts.map(|facts| facts.serial()),
            subject: facts.map(|facts| facts.subject()),
            issuer: facts.map(|facts| facts.issuer()),
            key: facts.map(|facts| facts.key.label()),
            signature: facts.map(|facts| facts.signature.name),
            not_before: facts.map(|facts| Moment::from(facts.not_before)),
            not_after: facts.map(|facts| Moment::from(facts.not_after)),
            expiry_days: facts.map(|facts| days(at, facts.not_after)),
            names: facts.map(|facts| facts.names().take(most).map(|name| printable(&name.to_string(), 253)).collect()),
            names_total: facts.map(|facts| facts.names().count()),
            scts: facts.map(|facts| facts.scts),
            must_staple,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Moment {
    rfc3339: Option<String>,
    unix: i64,
}

impl From<i64> for Moment {
    fn from(unix: i64) -> Self {
        Self { rfc3339: rfc3339(unix), unix }
    }
}
