//! The paths that OpenSSL and GnuTLS try. Unlike webpki and Go, they choose one issuer for each certificate and do not go
//! back, so they refuse some chains for which there is a path that verifies.

use std::rc::Rc;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::{GeneralName, KeyIdentifier};
use x509_parser::oid_registry::{
    OID_KEY_TYPE_EC_PUBLIC_KEY, OID_PKCS1_RSAENCRYPTION, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
    OID_SIG_ECDSA_WITH_SHA512, OID_SIG_ED25519,
};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate, X509Name};

use super::certificate::Certificate;
use super::der::{content, wrap_sequence};
use super::extension::may_sign_certificates;
use super::roots::CandidateRoot;
use super::signature::Signed;
use super::validity::ValidityPeriod;
use super::warnings::SenderView;
use crate::trust::Root;

/// Who finds a path that verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) openssl: bool,
    pub(super) gnutls: bool,
    /// Whether the first certificate that OpenSSL takes in place of one on the path that verifies is in the trust store.
    pub(super) is_misled_by_store: bool,
}

/// Who finds a path at `time`, if `members`, leaf first, and `root` are one that verifies. What exceeds the budget is
/// taken to verify.
pub(super) fn accept(
    view: &SenderView<'_>,
    members: &[Arc<Certificate>],
    root: Option<&CandidateRoot<'_>>,
    time: i64,
) -> Accepted {
    let mut verified: Vec<&[u8]> = members.iter().map(|member| member.der().as_ref()).collect();
    verified.extend(root.and_then(|root| root.root.certificate()).map(|der| der.as_ref()));
    let walk = Walk { view, verified: &verified, time };
    let mut path = Vec::new();
    let openssl = walk.openssl(&mut path).unwrap_or(false);
    let other = path.iter().find(|member| !walk.verified.contains(&member.der));
    // Without another certificate, it took a root of which only name and key are known.
    let is_misled_by_store = other.is_none_or(|other| view.store.contains(&CertificateDer::from(other.der)));
    Accepted { openssl, gnutls: walk.gnutls().unwrap_or(false), is_misled_by_store }
}

/// Whether OpenSSL takes the first certificate that is presented, which is self-signed and in the store, for the one in the
/// store: of those with its name, it compares a single one with it (`build_chain` in x509_vfy.c of 3.0).
pub(super) fn openssl_trusts_leaf(view: &SenderView<'_>, time: i64) -> bool {
    let walk = Walk { view, verified: &[], time };
    let Some(leaf) = view.presented.first() else { return true };
    match walk.trusted_issuer(leaf) {
        Some(Issuer::Certificate(found)) => found.der == leaf.der,
        Some(Issuer::Anchor(_)) => false,
        None => true,
    }
}

/// Whether a certificate's authority key identifier (RFC 5280 §4.2.1.1) is that of its issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identification {
    /// By keyIdentifier, which GnuTLS compares.
    pub(super) by_key: bool,
    /// By all its parts, which OpenSSL compares (`X509_check_akid` in v3_purp.c).
    pub(super) by_any: bool,
}

/// A part that one of the two lacks is not compared.
pub(super) fn identify(child: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Identification {
    let authority = child.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(authority) => Some(authority),
        _ => None,
    });
    let Some(authority) = authority else { return Identification { by_key: true, by_any: true } };
    let subject = issuer.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(KeyIdentifier(subject)) => Some(*subject),
        _ => None,
    });
    let by_key =
        authority.key_identifier.as_ref().zip(subject).is_none_or(|(KeyIdentifier(key), subject)| *key == subject);
    let by_serial = authority.authority_cert_serial.is_none_or(|serial| serial == issuer.raw_serial());
    let mut names = authority.authority_cert_issuer.iter().flatten().filter_map(|name| match name {
        GeneralName::DirectoryName(name) => Some(name),
        _ => None,
    });
    let by_issuer = names.next().is_none_or(|name| is_same_name(name, issuer.issuer()));
    Identification { by_key, by_any: by_key && by_serial && by_issuer }
}

/// As OpenSSL compares names: without regard to case and to the type of strings (`X509_NAME_cmp`).
fn is_same_name(one: &X509Name<'_>, other: &X509Name<'_>) -> bool {
    one.as_raw() == other.as_raw() || one.to_string().eq_ignore_ascii_case(&other.to_string())
}

/// Whether OpenSSL takes it for self-signed (`EXFLAG_SS`), which it does not check with the key.
pub(super) fn is_root(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw() && identify(certificate, certificate).by_any
}

/// A certificate that may be on a path. Cheap to clone.
#[derive(Clone)]
pub(super) struct Candidate<'a> {
    der: &'a [u8],
    pub(super) certificate: Rc<X509Certificate<'a>>,
}

impl<'a> Candidate<'a> {
    pub(super) fn parse(der: &'a [u8]) -> Option<Self> {
        Some(Self { der, certificate: Rc::new(X509Certificate::from_der(der).ok()?.1) })
    }

    fn validity(&self) -> ValidityPeriod {
        ValidityPeriod::of(&self.certificate)
    }

    /// Whether its name is that of the issuer of `child`.
    fn is_named_by(&self, child: &Self) -> bool {
        self.certificate.subject().as_raw() == child.certificate.issuer().as_raw()
    }

    /// Whether OpenSSL considers it as the issuer of `child` (`ossl_x509_likely_issued` in v3_purp.c).
    fn is_likely_issuer_of(&self, child: &Self) -> bool {
        self.is_named_by(child) && identify(&child.certificate, &self.certificate).by_any && self.has_key_for(child)
    }

    /// Whether it may issue certificates: roots of version 1 cannot say so.
    fn may_issue(&self) -> bool {
        let mut constraints =
            self.certificate.iter_extensions().filter_map(|extension| match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(constraints) => Some(constraints.ca),
                _ => None,
            });
        may_sign_certificates(&self.certificate) && constraints.next().unwrap_or_else(|| is_root(&self.certificate))
    }

    /// Whether its key is of the kind with which `child` is signed; true if that is not known.
    fn has_key_for(&self, child: &Self) -> bool {
        let key = &self.certificate.public_key().algorithm.algorithm;
        let signature = &child.certificate.signature_algorithm.algorithm;
        let is_ecdsa =
            [OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512].contains(signature);
        match () {
            () if *key == OID_KEY_TYPE_EC_PUBLIC_KEY => is_ecdsa,
            () if *key == OID_PKCS1_RSAENCRYPTION => !is_ecdsa && *signature != OID_SIG_ED25519,
            () if *key == OID_SIG_ED25519 => *signature == OID_SIG_ED25519,
            () => true,
        }
    }
}

/// What follows a certificate.
enum Issuer<'a> {
    Certificate(Candidate<'a>),
    /// A root of which only name and key are known.
    Anchor(&'a Root),
}

struct Walk<'a> {
    view: &'a SenderView<'a>,
    /// The path that is known to verify.
    verified: &'a [&'a [u8]],
    time: i64,
}

impl<'a> Walk<'a> {
    /// Whether OpenSSL finds a path (`build_chain` in x509_vfy.c of 3.0). For each certificate it takes an issuer from the
    /// store, or else one of those presented: the first one with matching names and identifiers that is valid now, or else
    /// the one that expires last. The path must end at a self-signed certificate of the store. `path` gets the certificates.
    fn openssl(&self, path: &mut Vec<Candidate<'a>>) -> Option<bool> {
        path.push(self.view.presented.first()?.clone());
        let mut is_trusted = false;
        while path.len() <= MAX_LENGTH {
            let head = &path.last()?.clone();
            let issuer = match self.trusted_issuer(head) {
                Some(Issuer::Anchor(root)) => {
                    return Some(self.links_verify(path) && self.is_signed_by_anchor(head, root));
                }
                Some(Issuer::Certificate(issuer)) => {
                    is_trusted = true;
                    issuer
                }
                None if is_trusted || is_root(&head.certificate) => return Some(false),
                None => {
                    let unused = |candidate: &&Candidate<'_>| path.iter().all(|member| member.der != candidate.der);
                    let found = self.view.presented.iter().filter(unused);
                    let found = found.filter(|candidate| candidate.is_likely_issuer_of(head));
                    match self.latest(found.cloned().map(Issuer::Certificate))? {
                        Issuer::Certificate(issuer) => issuer,
                        Issuer::Anchor(_) => return None,
                    }
                }
            };
            path.push(issuer);
            if is_trusted && path.last().is_some_and(|last| is_root(&last.certificate)) {
                return Some(self.links_verify(path));
            }
        }
        None
    }

    /// The issuer that OpenSSL takes from the store.
    fn trusted_issuer(&self, child: &Candidate<'a>) -> Option<Issuer<'a>> {
        let likely = self.trusted(child).filter(|issuer| match issuer {
            Issuer::Certificate(candidate) => candidate.is_likely_issuer_of(child),
            Issuer::Anchor(_) => true,
        });
        self.latest(likely)
    }

    /// Whether GnuTLS finds a path: each certificate is followed by the first presented one with the name and key identifier
    /// of its issuer, until one has an issuer in the store.
    fn gnutls(&self) -> Option<bool> {
        let mut path = vec![self.view.presented.first()?.clone()];
        while path.len() <= MAX_LENGTH {
            let head = path.last()?;
            let is_issuer = |candidate: &Candidate<'_>| {
                candidate.is_named_by(head) && identify(&head.certificate, &candidate.certificate).by_key
            };
            let ends = self.trusted(head).any(|issuer| match issuer {
                Issuer::Certificate(root) => is_issuer(&root) && self.is_link(head, &root),
                Issuer::Anchor(root) => self.is_signed_by_anchor(head, root),
            });
            if ends {
                return Some(true);
            }
            let unused = |candidate: &&Candidate<'_>| path.iter().all(|member| member.der != candidate.der);
            let issuer = self.view.presented.iter().filter(unused).find(|candidate| is_issuer(candidate))?;
            if !self.is_link(head, issuer) {
                return Some(false);
            }
            path.push(issuer.clone());
        }
        None
    }

    /// The certificates of the store with the name of the issuer of `child`.
    fn trusted(&self, child: &Candidate<'a>) -> impl Iterator<Item = Issuer<'a>> {
        let issuer = content(child.certificate.tbs_certificate.issuer.as_raw()).unwrap_or_default().to_vec();
        let named = self.view.store.roots().iter().filter(move |root| root.anchor().subject.as_ref() == issuer);
        named.filter_map(|root| match root.certificate() {
            Some(der) => Candidate::parse(der.as_ref()).map(Issuer::Certificate),
            None => Some(Issuer::Anchor(root)),
        })
    }

    /// The first that is valid now, or else the one that expires last.
    fn latest(&self, issuers: impl Iterator<Item = Issuer<'a>>) -> Option<Issuer<'a>> {
        let mut latest: Option<Issuer<'a>> = None;
        for issuer in issuers {
            let validity = |issuer: &Issuer<'_>| match issuer {
                Issuer::Certificate(candidate) => candidate.validity(),
                Issuer::Anchor(_) => ValidityPeriod::UNLIMITED,
            };
            if validity(&issuer).contains(self.time) {
                return Some(issuer);
            }
            if latest.as_ref().is_none_or(|known| validity(known).until < validity(&issuer).until) {
                latest = Some(issuer);
            }
        }
        latest
    }

    fn links_verify(&self, path: &[Candidate<'a>]) -> bool {
        path.iter().zip(path.iter().skip(1)).all(|(child, issuer)| self.is_link(child, issuer))
    }

    /// Whether `issuer` is valid, may issue certificates and has signed `child`.
    fn is_link(&self, child: &Candidate<'_>, issuer: &Candidate<'_>) -> bool {
        let mut verified = self.verified.iter().zip(self.verified.iter().skip(1));
        verified.any(|link| link == (&child.der, &issuer.der))
            || issuer.validity().contains(self.time)
                && issuer.may_issue()
                && self.is_signed_with(child, issuer.certificate.public_key().raw)
    }

    fn is_signed_by_anchor(&self, child: &Candidate<'_>, root: &Root) -> bool {
        self.is_signed_with(child, &wrap_sequence(&root.anchor().subject_public_key_info))
    }

    fn is_signed_with(&self, child: &Candidate<'_>, spki: &[u8]) -> bool {
        !self.view.budget.spend_signature()
            || Signed::parse(child.der).is_some_and(|(signed, _)| signed.check(spki).is_ok())
    }
}

/// Certificates on a path; webpki accepts eight with leaf and root.
const MAX_LENGTH: usize = 12;
