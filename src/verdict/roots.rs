//! The roots of a trust store at which a path may end. A trust anchor is only a name and a key (RFC 5280 §6.1.1 d), but
//! senders also check the dates and the extensions of its certificate.

use std::collections::HashSet;
use std::sync::Arc;

use rustls_pki_types::{Der, TrustAnchor};
use webpki::{EndEntityCert, Error};
use x509_parser::asn1_rs::{Oid, oid};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use super::certificate::{Certificate, printable_name};
use super::extension;
use super::reasons::Reasons;
use super::validity::ValidityPeriod;
use crate::reason::ChainReason;
use crate::trust::{Root, TrustStore};

/// A root that has issued a certificate of a chain, going by its name.
#[derive(Debug)]
pub(super) struct CandidateRoot<'a> {
    pub(super) root: &'a Root,
    /// None if only name and key are known, or the certificate cannot be parsed.
    pub(super) certificate: Option<X509Certificate<'a>>,
    /// Unlimited if there is no certificate; may be empty.
    pub(super) validity: ValidityPeriod,
    /// Why all senders reject it as an issuer at any time.
    pub(super) reasons: Reasons,
    /// How many intermediates may be below it.
    path_length: Option<u32>,
}

impl<'a> CandidateRoot<'a> {
    fn new(root: &'a Root) -> Self {
        let parsed = root.certificate().and_then(|der| Some((der, X509Certificate::from_der(der).ok()?.1)));
        let mut found = Self {
            root,
            certificate: None,
            validity: ValidityPeriod::UNLIMITED,
            reasons: Reasons::default(),
            path_length: None,
        };
        let Some((der, certificate)) = parsed else { return found };
        found.validity = ValidityPeriod::of(&certificate);
        found.reasons.insert_if(found.validity.is_empty(), ChainReason::BadValidity);
        found.reasons.insert_if(!extension::may_sign_certificates(&certificate), ChainReason::NotACa);
        for extension in certificate.iter_extensions() {
            if let ParsedExtension::BasicConstraints(constraints) = extension.parsed_extension() {
                found.reasons.insert_if(!constraints.ca, ChainReason::NotACa);
                found.path_length = constraints.path_len_constraint;
            }
        }
        let is_rejected = EndEntityCert::try_from(der).is_err_and(|error| error == Error::UnsupportedCriticalExtension);
        let is_unknown = certificate.iter_extensions().any(|extension| extension.critical && !is_known(&extension.oid));
        found.reasons.insert_if(is_rejected && is_unknown, ChainReason::CriticalExtension);
        found.certificate = Some(certificate);
        found
    }

    /// What all senders reject about it at any time as the end of a path with that many intermediates. Self-issued ones do
    /// not count (RFC 5280 §4.2.1.9).
    pub(super) fn reasons_above(&self, intermediates: impl FnOnce() -> usize) -> Reasons {
        let mut reasons = self.reasons;
        let is_exceeded = self.path_length.is_some_and(|most| u32::try_from(intermediates()).is_ok_and(|n| n > most));
        reasons.insert_if(is_exceeded, ChainReason::PathTooLong);
        reasons
    }

    /// Whether its subject is `subject`, DER without its header.
    pub(super) fn has_name(&self, subject: &[u8]) -> bool {
        self.root.anchor().subject.as_ref() == subject
    }

    /// Its name, key and name constraints.
    pub(super) fn anchor(&self) -> TrustAnchor<'a> {
        let anchor = self.root.anchor();
        TrustAnchor {
            subject: Der::from_slice(&anchor.subject),
            subject_public_key_info: Der::from_slice(&anchor.subject_public_key_info),
            name_constraints: anchor.name_constraints.as_ref().map(|constraints| Der::from_slice(constraints)),
        }
    }

    /// What outputs print about it. None if only name and key are known.
    pub(super) fn summary(&self, reasons: Reasons) -> Option<Arc<PathRoot>> {
        let certificate = self.certificate.as_ref()?;
        let subject = printable_name(certificate.subject()).into();
        let is_self_issued = certificate.subject().as_raw() == certificate.issuer().as_raw();
        Some(Arc::new(PathRoot { subject, is_self_issued, validity: self.validity, reasons }))
    }
}

/// The roots of `store` that have the name of the issuer of a certificate in `chain`.
pub(super) fn candidates<'a>(chain: &[Arc<Certificate>], store: &'a TrustStore) -> Vec<CandidateRoot<'a>> {
    let issuers: HashSet<&[u8]> = chain.iter().filter_map(|certificate| certificate.issuer_der()).collect();
    let found = store.roots().iter().filter(|root| issuers.contains(root.anchor().subject.as_ref()));
    found.map(CandidateRoot::new).collect()
}

/// The certificate of the root at which a path ends.
#[derive(Debug, PartialEq, Eq)]
pub struct PathRoot {
    /// The subject in the format of RFC 4514.
    pub subject: Box<str>,
    /// Whether it has its own name as issuer; otherwise it is an intermediate in the trust store.
    pub is_self_issued: bool,
    /// When it is valid.
    pub validity: ValidityPeriod,
    /// What is wrong with it as the end of this path, apart from its validity period.
    pub reasons: Reasons,
}

/// Whether some sender processes this extension, even though webpki rejects it if it is critical.
fn is_known(id: &Oid<'_>) -> bool {
    KNOWN_ARCS.iter().any(|arc| id.as_bytes().starts_with(arc.as_bytes()))
}

/// id-ce and id-pe (RFC 5280 appendix A), and the extensions of Netscape.
const KNOWN_ARCS: [Oid<'static>; 3] = [oid!(2.5.29), oid!(1.3.6.1.5.5.7.1), oid!(2.16.840.1.113730.1)];
