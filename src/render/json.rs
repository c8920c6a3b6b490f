//! Reports as JSON. Every key is always present; unknown values are null.

use serde::Serialize;

use self::common::{CertificateJson, ChainJson, FindingJson, NameJson, TimeJson};
use crate::verify::Verification;

mod common;
mod target;

pub(super) use self::target::{one, write_all};

pub(super) fn write(verification: &Verification) -> String {
    // Cannot fail: map keys are strings and numbers are finite.
    serde_json::to_string_pretty(&VerificationJson::from(verification)).unwrap_or_default() + "\n"
}

#[derive(Serialize)]
struct VerificationJson<'a> {
    names: Vec<NameJson>,
    chain: ChainJson,
    certificate: Option<CertificateJson<'a>>,
    presented: usize,
    at: TimeJson,
}

impl<'a> From<&'a Verification> for VerificationJson<'a> {
    fn from(verification: &'a Verification) -> Self {
        let leaf = verification.chain.certificates().first();
        let must_staple = verification.chain.ocsp().must_staple();
        Self {
            names: verification.names.iter().map(|(name, verdict)| NameJson::new(name, *verdict)).collect(),
            chain: ChainJson {
                trusted: verification.trusted,
                valid: Some(verification.valid),
                errors: verification.reasons.iter().map(FindingJson::from).collect(),
                not_after: verification.not_after.map(TimeJson::from),
                verified_not_after: verification.verified_not_after.map(TimeJson::from),
            },
            certificate: leaf.map(|leaf| CertificateJson::new(leaf, must_staple, verification.at, usize::MAX)),
            presented: verification.chain.certificates().len(),
            at: TimeJson::from(verification.at),
        }
    }
}
