//! Why no path verifies. Verifiers stop at the first error; here every certificate and every signature on the path
//! with the fewest errors is checked separately, so that no error hides another.
//!
//! This module only finds reasons; whether a path verifies is decided in [`super::chain`].

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use webpki::EndEntityCert;
use x509_parser::asn1_rs::Oid;
use x509_parser::extensions::{GeneralName, NameConstraints};
use x509_parser::oid_registry::{
    OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_EXTENDED_KEY_USAGE, OID_X509_EXT_NAME_CONSTRAINTS,
};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use super::budget::Budget;
use super::certificate::Certificate;
use super::constraints;
use super::der::{content, wrap_sequence};
use super::reasons::Reasons;
use super::roots::{CandidateRoot, PathRoot};
use super::signature::{SignatureFault, Signed};
use super::validity::ValidityPeriod;
use super::verifier::{is_distrusted, parse_reason};
use crate::reason::ChainReason;

/// The errors on the path that has the fewest.
#[derive(Debug, Default)]
pub(super) struct Diagnosis {
    /// All errors except expired and not-yet-valid certificates.
    pub(super) reasons: Reasons,
    /// When all certificates on the path are within their validity periods; may be empty.
    pub(super) validity: Option<ValidityPeriod>,
    /// The subject (DER without its header) of the issuer that the path lacks: neither presented nor trusted.
    pub(super) missing_issuer: Option<Box<[u8]>>,
    /// The root at which the path ends.
    pub(super) root: Option<Arc<PathRoot>>,
}

/// Finds the errors of `chain`, leaf first, with `roots`. Of several paths, those with valid signatures that reach a
/// root are preferred, then the one with the fewest errors at `now`. What exceeds the budget is not checked.
pub(super) fn diagnose(
    chain: &[Arc<Certificate>],
    roots: &[CandidateRoot<'_>],
    now: i64,
    budget: &Budget,
) -> Diagnosis {
    let nodes: Vec<Option<Node<'_>>> = chain.iter().map(|certificate| Node::parse(certificate)).collect();
    let issuers: Vec<_> = nodes.iter().map(|node| issuers(node.as_ref(), &nodes)).collect();
    let mut search = Search {
        nodes: &nodes,
        issuers: &issuers,
        roots,
        links: HashMap::new(),
        paths_left: MAX_PATHS,
        best: None,
        now,
        budget,
    };
    search.extend(&mut vec![0]);
    let Some(CandidatePath { members, root, mut reasons, validity, .. }) = search.best else {
        return Diagnosis { reasons: ChainReason::Malformed.into(), ..Diagnosis::default() };
    };
    let path: Vec<&Node<'_>> = members.iter().filter_map(|index| nodes.get(*index)?.as_ref()).collect();
    if violates_constraints(&path, root, budget) {
        reasons.insert(ChainReason::NameConstraints);
    }
    let lacks_issuer = reasons.contains(ChainReason::UnknownIssuer);
    // A certificate that cannot be parsed may be the missing issuer.
    if lacks_issuer && nodes.iter().any(Option::is_none) {
        reasons.insert(ChainReason::Malformed);
    }
    let missing_issuer = path.last().filter(|_| lacks_issuer).map(|last| last.issuer.into());
    let count = || path.iter().skip(1).filter(|node| !node.is_self_issued()).count();
    let root = root.and_then(|root| root.summary(root.reasons_above(count)));
    Diagnosis { reasons, validity, missing_issuer, root }
}

/// The errors of a server certificate that is itself trusted, and when it is valid.
pub(super) fn faults_of(leaf: &Certificate) -> (Reasons, ValidityPeriod) {
    match Node::parse(leaf) {
        Some(node) => (node.faults, node.validity),
        None => (ChainReason::Malformed.into(), ValidityPeriod::UNLIMITED),
    }
}

/// A presented certificate as a node of the graph of paths.
struct Node<'a> {
    certificate: X509Certificate<'a>,
    /// DER without its header, as in trust anchors.
    subject: &'a [u8],
    /// DER without its header.
    issuer: &'a [u8],
    spki: &'a [u8],
    identity: Identity,
    signed: Option<Signed<'a>>,
    is_self_signed: bool,
    is_ca: bool,
    /// Whether its keyUsage allows to issue certificates.
    may_sign: bool,
    path_length: Option<u32>,
    /// Errors that do not depend on its position on the path.
    faults: Reasons,
    /// Signed with SHA-1 or MD5.
    is_weakly_signed: bool,
    /// Empty if it ends before it starts.
    validity: ValidityPeriod,
}

impl<'a> Node<'a> {
    fn parse(presented: &'a Certificate) -> Option<Self> {
        let facts = presented.facts()?;
        let (_, certificate) = X509Certificate::from_der(presented.der()).ok()?;
        let validity = ValidityPeriod { from: facts.not_before, until: facts.not_after };
        let mut node = Self {
            subject: content(certificate.tbs_certificate.subject.as_raw())?,
            issuer: content(certificate.tbs_certificate.issuer.as_raw())?,
            spki: certificate.tbs_certificate.subject_pki.raw,
            identity: Sha256::new()
                .chain_update(certificate.tbs_certificate.subject.as_raw())
                .chain_update(certificate.tbs_certificate.subject_pki.raw)
                .finalize()
                .into(),
            signed: Signed::parse(presented.der()).map(|(signed, _)| signed),
            is_self_signed: facts.self_signed,
            is_ca: false,
            may_sign: facts.may_sign_certificates,
            path_length: None,
            faults: Reasons::default(),
            is_weakly_signed: facts.signature.weak,
            validity,
            certificate,
        };
        if let Err(error) = EndEntityCert::try_from(presented.der()) {
            node.faults.insert(parse_reason(&error));
        }
        node.faults.insert_if(validity.is_empty(), ChainReason::BadValidity);
        // Verifiers do not support times before 1970.
        node.faults.insert_if(facts.not_before < 0 || facts.not_after < 0, ChainReason::Malformed);
        node.faults.insert_if(facts.key.is_weak(), ChainReason::WeakKey);
        node.faults.insert_if(is_distrusted(presented.der()), ChainReason::Distrusted);
        node.read_extensions();
        Some(node)
    }

    fn read_extensions(&mut self) {
        for extension in self.certificate.iter_extensions() {
            match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(constraints) => {
                    (self.is_ca, self.path_length) = (constraints.ca, constraints.path_len_constraint);
                }
                ParsedExtension::ExtendedKeyUsage(usage) if !usage.server_auth => {
                    self.faults.insert(ChainReason::MissingEku);
                }
                ParsedExtension::ParseError { .. } if READ_BY_VERIFIERS.contains(&extension.oid) => {
                    self.faults.insert(ChainReason::Malformed);
                }
                _ => {}
            }
        }
    }

    fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    fn names(&self) -> impl Iterator<Item = &GeneralName<'a>> {
        let names = self.certificate.iter_extensions().filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        });
        names.flatten()
    }
}

/// A hash of a name and a key.
type Identity = [u8; 32];

fn issuers(node: Option<&Node<'_>>, nodes: &[Option<Node<'_>>]) -> Vec<(usize, Identity)> {
    let named = |issuer: &&Node<'_>| node.is_some_and(|node| node.issuer == issuer.subject);
    let all = nodes.iter().enumerate();
    all.filter_map(|(index, issuer)| issuer.as_ref().filter(named).map(|issuer| (index, issuer.identity))).collect()
}

/// A path from the leaf: indexes of presented certificates, and the root if it reaches one.
struct CandidatePath<'a> {
    rank: Rank,
    members: Vec<usize>,
    root: Option<&'a CandidateRoot<'a>>,
    reasons: Reasons,
    validity: Option<ValidityPeriod>,
}

/// Whether a signature is wrong, whether there is no root, the number of errors, the length. The lowest is best.
type Rank = (bool, bool, usize, usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Issuer {
    Presented(usize),
    Root(usize),
}

struct Search<'a> {
    nodes: &'a [Option<Node<'a>>],
    /// For each node the presented certificates with the name of its issuer: index and identity.
    issuers: &'a [Vec<(usize, Identity)>],
    roots: &'a [CandidateRoot<'a>],
    /// Results of signature checks, by certificate and issuer.
    links: HashMap<(usize, Issuer), Result<(), SignatureFault>>,
    paths_left: usize,
    best: Option<CandidatePath<'a>>,
    now: i64,
    budget: &'a Budget,
}

impl<'a> Search<'a> {
    fn node(&self, index: usize) -> Option<&'a Node<'a>> {
        self.nodes.get(index)?.as_ref()
    }

    /// Considers all paths that begin with `members`.
    fn extend(&mut self, members: &mut Vec<usize>) {
        let Some(head) = members.last().and_then(|index| self.node(*index)) else { return };
        // It is its own issuer, and its verdict does not depend on a path unless it is itself in the trust store.
        if members.len() == 1 && head.is_self_signed {
            return self.consider(members, None, None);
        }
        let mut has_issuer = false;
        for (index, root) in self.roots.iter().enumerate().filter(|(_, root)| root.has_name(head.issuer)) {
            has_issuer = true;
            self.consider(members, Some(index), Some(root));
        }
        let issuers = members.last().and_then(|index| self.issuers.get(*index)).map(Vec::as_slice).unwrap_or_default();
        for (index, identity) in issuers {
            // The same name and key twice on a path is a loop (RFC 4158 §5.2).
            if members.iter().any(|member| self.node(*member).is_some_and(|node| node.identity == *identity)) {
                continue;
            }
            has_issuer = true;
            if self.paths_left > 0 {
                members.push(*index);
                self.extend(members);
                members.pop();
            }
        }
        if !has_issuer {
            self.consider(members, None, None);
        }
    }

    fn consider(&mut self, members: &[usize], root_index: Option<usize>, root: Option<&'a CandidateRoot<'a>>) {
        let Some(left) = self.paths_left.checked_sub(1) else { return };
        self.paths_left = left;
        let (reasons, validity) = self.faults(members, root_index);
        let is_current = validity.is_none_or(|validity| validity.contains(self.now));
        let rank = (
            reasons.contains(ChainReason::BadSignature),
            root.is_none(),
            reasons.iter().count() + usize::from(!is_current),
            members.len(),
        );
        if self.best.as_ref().is_none_or(|best| rank < best.rank) {
            self.best = Some(CandidatePath { rank, members: members.to_vec(), root, reasons, validity });
        }
    }

    fn faults(&mut self, members: &[usize], root: Option<usize>) -> (Reasons, Option<ValidityPeriod>) {
        let mut reasons = Reasons::default();
        let mut path_validity: Option<ValidityPeriod> = None;
        for (position, index) in members.iter().enumerate() {
            let Some(node) = self.node(*index) else { continue };
            reasons.extend(node.faults);
            if !node.validity.is_empty() {
                path_validity = Some(path_validity.map_or(node.validity, |path| path.intersect(node.validity)));
            }
            if let Some(intermediates_below) = position.checked_sub(1) {
                reasons.insert_if(!node.is_ca || !node.may_sign, ChainReason::NotACa);
                let too_long =
                    node.path_length.is_some_and(|most| u32::try_from(intermediates_below).is_ok_and(|n| n > most));
                reasons.insert_if(too_long, ChainReason::PathTooLong);
            }
            let issuer = members.get(position + 1).copied().map(Issuer::Presented);
            match issuer.or_else(|| root.map(Issuer::Root)) {
                Some(issuer) => {
                    reasons.extend(self.link(*index, issuer).err().map(signature_reasons).unwrap_or_default());
                }
                // The signature of a self-signed certificate is not checked, but a weak algorithm of the leaf is an
                // error.
                None => reasons.insert_if(position == 0 && node.is_weakly_signed, ChainReason::WeakSignatureAlgorithm),
            }
        }
        if let Some(root) = root.and_then(|index| self.roots.get(index)) {
            let above = members.iter().skip(1).filter_map(|index| self.node(*index));
            reasons.extend(root.reasons_above(|| above.filter(|node| !node.is_self_issued()).count()));
            if !root.validity.is_empty() {
                path_validity = Some(path_validity.map_or(root.validity, |path| path.intersect(root.validity)));
            }
        }
        let leaf = members.first().and_then(|index| self.node(*index));
        let is_self_signed = root.is_none() && members.len() == 1 && leaf.is_some_and(|leaf| leaf.is_self_signed);
        reasons.insert_if(is_self_signed, ChainReason::SelfSigned);
        reasons.insert_if(!is_self_signed && root.is_none(), ChainReason::UnknownIssuer);
        reasons.insert_if(!is_self_signed && leaf.is_some_and(|leaf| leaf.is_ca), ChainReason::CaAsEndEntity);
        reasons.insert_if(members.len() > MAX_INTERMEDIATES + 1, ChainReason::PathTooLong);
        (reasons, path_validity)
    }

    fn link(&mut self, child: usize, issuer: Issuer) -> Result<(), SignatureFault> {
        if let Some(known) = self.links.get(&(child, issuer)) {
            return *known;
        }
        let signed = self.node(child).and_then(|node| node.signed).filter(|_| self.budget.spend_signature());
        let checked = match issuer {
            Issuer::Presented(index) => signed.zip(self.node(index)).map(|(signed, issuer)| signed.check(issuer.spki)),
            Issuer::Root(index) => signed
                .zip(self.roots.get(index))
                .map(|(signed, root)| signed.check(&wrap_sequence(&root.root.anchor().subject_public_key_info))),
        };
        // A certificate whose signature cannot be parsed is malformed, which is among its own errors. The caller reports
        // an exhausted budget.
        let checked = checked.unwrap_or(Ok(()));
        self.links.insert((child, issuer), checked);
        checked
    }
}

fn signature_reasons(fault: SignatureFault) -> Reasons {
    match fault {
        SignatureFault::Wrong => ChainReason::BadSignature.into(),
        SignatureFault::WeakAlgorithm => ChainReason::WeakSignatureAlgorithm.into(),
        SignatureFault::WeakKey => ChainReason::WeakKey.into(),
        SignatureFault::UnsupportedAlgorithm => ChainReason::UnsupportedAlgorithm.into(),
    }
}

/// Whether a certificate on the path has a name that violates the name constraints of a CA above it, or of the root.
fn violates_constraints(path: &[&Node<'_>], root: Option<&CandidateRoot<'_>>, budget: &Budget) -> bool {
    let violates = |below: &[&Node<'_>], constraints: &NameConstraints<'_>| {
        below.iter().any(|node| constraints::are_violated(constraints, node.names(), budget))
    };
    let by_ca = path.iter().enumerate().skip(1).any(|(position, ca)| {
        let below = path.get(..position).unwrap_or_default();
        ca.certificate.iter_extensions().any(|extension| match extension.parsed_extension() {
            ParsedExtension::NameConstraints(constraints) => violates(below, constraints),
            ParsedExtension::ParseError { .. } => extension.oid == OID_X509_EXT_NAME_CONSTRAINTS,
            _ => false,
        })
    });
    let by_root = root.and_then(|root| root.root.anchor().name_constraints.as_ref()).is_some_and(|der| {
        NameConstraints::from_der(&wrap_sequence(der)).map_or(true, |(_, constraints)| violates(path, &constraints))
    });
    by_ca || by_root
}

const MAX_PATHS: usize = 64;
/// Certificates between leaf and root that webpki accepts.
const MAX_INTERMEDIATES: usize = 6;
const READ_BY_VERIFIERS: [Oid<'static>; 2] = [OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_EXTENDED_KEY_USAGE];
