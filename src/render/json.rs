//! Findings as JSON. Keys are always there; what is not known is null.

use serde::Serialize;

use self::common::{Chain, Finding, Leaf, Moment, Name};
use crate::verify::Verification;

mod common;
mod target;

pub(super) use self::target::{one, write_all};

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
        let must_staple = verification.chain.ocsp().must_staple();
        Self {
            names: verification.names.iter().map(|(name, verdict)| Name::new(name, *verdict)).collect(),
            chain: Chain {
                trusted: verification.trusted,
                valid: Some(verification.valid),
                errors: verification.reasons.iter().map(Finding::from).collect(),
                not_after: verification.not_after.map(Moment::from),
                verified_not_after: verification.verified_not_after.map(Moment::from),
            },
            certificate: leaf.map(|leaf| Leaf::new(leaf, must_staple, verification.at, usize::MAX)),
            presented: verification.chain.certificates().len(),
            at: Moment::from(verification.at),
        }
    }
}
