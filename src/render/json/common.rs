//! JSON objects that the result of `verify` and the report of a target share.

use serde::Serialize;

use crate::client_errors::{self, ClientError, ClientErrors};
use crate::reason::{ChainReason, NameReason, OcspReason, ProbeReason};
use crate::target::ServerName;
use crate::text::{days, printable, rfc3339};
use crate::verdict::certificate::hex;
use crate::verdict::{Certificate, NameVerdict};

#[derive(Serialize)]
pub(super) struct NameJson {
    name: String,
    r#match: Option<bool>,
    reason: Option<&'static str>,
    meaning: Option<&'static str>,
    client_errors: Option<ClientErrorsJson>,
}

impl NameJson {
    pub(super) fn new(name: &ServerName, verdict: Option<NameVerdict>) -> Self {
        let finding = match verdict {
            Some(NameVerdict::Mismatch(reason)) => Some(FindingJson::from(reason)),
            Some(NameVerdict::Match) | None => None,
        };
        Self {
            name: name.to_string(),
            r#match: verdict.map(NameVerdict::is_match),
            reason: finding.as_ref().map(|finding| finding.reason),
            meaning: finding.as_ref().map(|finding| finding.meaning),
            client_errors: finding.and_then(|finding| finding.client_errors),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ChainJson {
    pub(super) trusted: Option<bool>,
    pub(super) valid: Option<bool>,
    pub(super) errors: Vec<FindingJson>,
    pub(super) not_after: Option<TimeJson>,
    pub(super) verified_not_after: Option<TimeJson>,
}

#[derive(Serialize)]
pub(super) struct FindingJson {
    pub(super) reason: &'static str,
    pub(super) meaning: &'static str,
    pub(super) client_errors: Option<ClientErrorsJson>,
}

impl From<ChainReason> for FindingJson {
    fn from(reason: ChainReason) -> Self {
        let client_errors = client_errors::for_chain(reason).into();
        Self { reason: reason.as_str(), meaning: reason.doc(), client_errors: Some(client_errors) }
    }
}

impl From<NameReason> for FindingJson {
    fn from(reason: NameReason) -> Self {
        let client_errors = client_errors::for_name(reason).into();
        Self { reason: reason.as_str(), meaning: reason.doc(), client_errors: Some(client_errors) }
    }
}

impl From<OcspReason> for FindingJson {
    fn from(reason: OcspReason) -> Self {
        let client_errors = client_errors::for_ocsp(reason).into();
        Self { reason: reason.as_str(), meaning: reason.doc(), client_errors: Some(client_errors) }
    }
}

impl From<ProbeReason> for FindingJson {
    fn from(reason: ProbeReason) -> Self {
        let client_errors = client_errors::for_probe(reason).map(ClientErrorsJson::from);
        Self { reason: reason.as_str(), meaning: reason.doc(), client_errors }
    }
}

#[derive(Serialize)]
pub(super) struct ClientErrorsJson {
    dotnet: ClientErrorJson,
    openssl: ClientErrorJson,
    postfix: ClientErrorJson,
    go: ClientErrorJson,
}

impl From<ClientErrors> for ClientErrorsJson {
    fn from(client_errors: ClientErrors) -> Self {
        let ClientErrors { dotnet, openssl, postfix, go } = client_errors;
        Self { dotnet: dotnet.into(), openssl: openssl.into(), postfix: postfix.into(), go: go.into() }
    }
}

#[derive(Serialize)]
pub(super) struct ClientErrorJson {
    texts: &'static [&'static str],
    accepts: Option<&'static str>,
}

impl From<ClientError> for ClientErrorJson {
    fn from(error: ClientError) -> Self {
        Self { texts: error.texts, accepts: error.accepts }
    }
}

#[derive(Serialize)]
pub(super) struct CertificateJson<'a> {
    fingerprint_sha256: String,
    thumbprint_sha1: String,
    serial: Option<&'a str>,
    subject: Option<&'a str>,
    issuer: Option<&'a str>,
    key: Option<String>,
    signature: Option<&'static str>,
    not_before: Option<TimeJson>,
    not_after: Option<TimeJson>,
    expiry_days: Option<f64>,
    names: Option<Vec<String>>,
    names_total: Option<usize>,
    scts: Option<u16>,
    must_staple: bool,
}

impl<'a> CertificateJson<'a> {
    /// The facts of `leaf` as of `at` (Unix seconds), with at most `max_names` of its names.
    pub(super) fn new(leaf: &'a Certificate, must_staple: bool, at: i64, max_names: usize) -> Self {
        let facts = leaf.facts();
        Self {
            fingerprint_sha256: hex(&leaf.fingerprint()),
            thumbprint_sha1: hex(&leaf.thumbprint()),
            serial: facts.map(|facts| facts.serial()),
            subject: facts.map(|facts| facts.subject()),
            issuer: facts.map(|facts| facts.issuer()),
            key: facts.map(|facts| facts.key.label()),
            signature: facts.map(|facts| facts.signature.name),
            not_before: facts.map(|facts| TimeJson::from(facts.not_before)),
            not_after: facts.map(|facts| TimeJson::from(facts.not_after)),
            expiry_days: facts.map(|facts| days(at, facts.not_after)),
            names: facts
                .map(|facts| facts.names().take(max_names).map(|name| printable(&name.to_string(), 253)).collect()),
            names_total: facts.map(|facts| facts.names().count()),
            scts: facts.map(|facts| facts.scts),
            must_staple,
        }
    }
}

#[derive(Serialize)]
pub(super) struct TimeJson {
    rfc3339: Option<String>,
    unix: i64,
}

impl From<i64> for TimeJson {
    fn from(unix: i64) -> Self {
        Self { rfc3339: rfc3339(unix), unix }
    }
}
