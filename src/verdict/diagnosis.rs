//! Why no path verifies. Verifiers stop at the first thing that is wrong; here every certificate and every link of the
//! path on which least is wrong is looked at by itself, so that nothing hides anything else.
//!
//! Nothing is trusted on the word of this module: whether a path verifies is for [`super::chain`] to say.

use std::collections::HashMap;
use std::sync::Arc;

use rustls_pki_types::TrustAnchor;
use webpki::EndEntityCert;
use x509_parser::asn1_rs::Oid;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{
    OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_EXTENDED_KEY_USAGE, OID_X509_EXT_NAME_CONSTRAINTS,
};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use super::certificate::Certificate;
use super::constraints;
use super::der::{content, whole};
use super::reasons::Reasons;
use super::signature::{SignatureFault, Signed};
use super::validity::Span;
use super::verifier::{is_distrusted, of_form};
use crate::reason::ChainReason;

/// What is wrong on the path on which least is wrong.
#[derive(Debug, Default)]
pub(super) struct Diagnosis {
    /// All of it but what is about time.
    pub(super) reasons: Reasons,
    /// The time in which every certificate of the path is valid; begins after its end where there is none.
    pub(super) window: Option<Span>,
    /// The name of the issuer that nobody has, where the path ends for want of one: DER without its header.
    pub(super) wanted: Option<Box<[u8]>>,
}

/// Looks for what is wrong with `chain`, leaf first, under `roots`. Of several paths the one that has least wrong with
/// it at `now` counts; those whose signatures hold and that reach a root come first.
pub(super) fn diagnose(chain: &[Arc<Certificate>], roots: &[TrustAnchor<'_>], now: i64) -> Diagnosis {
    let nodes: Vec<Option<Node<'_>>> = chain.iter().map(|certificate| Node::parse(certificate)).collect();
    let mut search = Search { nodes: &nodes, roots, links: HashMap::new(), paths_left: MAX_PATHS, best: None, now };
    search.extend(&mut vec![0]);
    let Some(Candidate { members, root, mut reasons, window, .. }) = search.best else {
        return Diagnosis { reasons: ChainReason::Malformed.into(), ..Diagnosis::default() };
    };
    let path: Vec<&Node<'_>> = members.iter().filter_map(|index| nodes.get(*index)?.as_ref()).collect();
    if breaks_constraints(&path, root) {
        reasons.insert(ChainReason::NameConstraints);
    }
    let is_open = reasons.contains(ChainReason::UnknownIssuer);
    // What cannot be read may be the certificate that is missing.
    if is_open && nodes.iter().any(Option::is_none) {
        reasons.insert(ChainReason::Malformed);
    }
    let wanted = path.last().filter(|_| is_open).map(|last| last.issuer.into());
    Diagnosis { reasons, window, wanted }
}

/// One presented certificate, as far as it says something about a path.
struct Node<'a> {
    certificate: X509Certificate<'a>,
    /// Subject and issuer as DER without their header, as trust anchors have them.
    subject: &'a [u8],
    issuer: &'a [u8],
    spki: &'a [u8],
    signed: Option<Signed<'a>>,
    is_self_signed: bool,
    is_ca: bool,
    path_length: Option<u32>,
    /// What is wrong with it whatever its place.
    faults: Reasons,
    /// It is signed with SHA-1 or MD5.
    is_weakly_signed: bool,
    validity: Option<Span>,
}

impl<'a> Node<'a> {
    fn parse(of: &'a Certificate) -> Option<Self> {
        let facts = of.facts()?;
        let (_, certificate) = X509Certificate::from_der(of.der()).ok()?;
        let span = Span { from: facts.not_before, until: facts.not_after };
        let mut node = Self {
            subject: content(certificate.tbs_certificate.subject.as_raw())?,
            issuer: content(certificate.tbs_certificate.issuer.as_raw())?,
            spki: certificate.tbs_certificate.subject_pki.raw,
            signed: Signed::parse(of.der()).map(|(signed, _)| signed),
            is_self_signed: facts.self_signed,
            is_ca: false,
            path_length: None,
            faults: Reasons::default(),
            is_weakly_signed: facts.signature.weak,
            validity: (span.from <= span.until).then_some(span),
            certificate,
        };
        if let Err(error) = EndEntityCert::try_from(of.der()) {
            node.faults.insert(of_form(&error));
        }
        node.faults.insert_if(node.validity.is_none(), ChainReason::BadValidity);
        // Verifiers know no time before 1970.
        node.faults.insert_if(facts.not_before < 0 || facts.not_after < 0, ChainReason::Malformed);
        if facts.key.is_weak() {
            node.faults.insert(ChainReason::WeakKey);
        }
        if is_distrusted(of.der()) {
            node.faults.insert(ChainReason::Distrusted);
        }
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

    fn names(&self) -> impl Iterator<Item = &GeneralName<'a>> {
        let names = self.certificate.iter_extensions().filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        });
        names.flatten()
    }
}

/// A path from the leaf: presented certificates by their index, and the root where it reaches one.
struct Candidate<'a> {
    rank: Rank,
    members: Vec<usize>,
    root: Option<&'a TrustAnchor<'a>>,
    reasons: Reasons,
    window: Option<Span>,
}

/// Wrong signature, no root, number of faults, length: less is better.
type Rank = (bool, bool, usize, usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Issuer {
    Presented(usize),
    Root(usize),
}

struct Search<'a> {
    nodes: &'a [Option<Node<'a>>],
    roots: &'a [TrustAnchor<'a>],
    /// Signatures that were checked, by certificate and issuer.
    links: HashMap<(usize, Issuer), Result<(), SignatureFault>>,
    paths_left: usize,
    best: Option<Candidate<'a>>,
    now: i64,
}

impl<'a> Search<'a> {
    fn node(&self, index: usize) -> Option<&'a Node<'a>> {
        self.nodes.get(index)?.as_ref()
    }

    /// Tries every way on from the last certificate of `members`.
    fn extend(&mut self, members: &mut Vec<usize>) {
        let Some(head) = members.last().and_then(|index| self.node(*index)) else { return };
        let mut leads_on = false;
        for (index, root) in self.roots.iter().enumerate().filter(|(_, root)| root.subject.as_ref() == head.issuer) {
            leads_on = true;
            self.consider(members, Some(index), Some(root));
        }
        for (index, next) in self.nodes.iter().enumerate() {
            let Some(next) = next.as_ref().filter(|next| next.subject == head.issuer) else { continue };
            // The same key under the same name leads nowhere new (RFC 4158 §5.2).
            let path = members.iter().filter_map(|index| self.node(*index));
            if path.clone().any(|member| member.subject == next.subject && member.spki == next.spki) {
                continue;
            }
            leads_on = true;
            if self.paths_left > 0 {
                members.push(index);
                self.extend(members);
                members.pop();
            }
        }
        if !leads_on {
            self.consider(members, None, None);
        }
    }

    fn consider(&mut self, members: &[usize], root_index: Option<usize>, root: Option<&'a TrustAnchor<'a>>) {
        let Some(left) = self.paths_left.checked_sub(1) else { return };
        self.paths_left = left;
        let (reasons, window) = self.faults(members, root_index);
        let is_timely = window.is_none_or(|window| window.contains(self.now));
        let rank = (
            reasons.contains(ChainReason::BadSignature),
            root.is_none(),
            reasons.iter().count() + usize::from(!is_timely),
            members.len(),
        );
        if self.best.as_ref().is_none_or(|best| rank < best.rank) {
            self.best = Some(Candidate { rank, members: members.to_vec(), root, reasons, window });
        }
    }

    fn faults(&mut self, members: &[usize], root: Option<usize>) -> (Reasons, Option<Span>) {
        let mut reasons = Reasons::default();
        let mut window: Option<Span> = None;
        for (place, index) in members.iter().enumerate() {
            let Some(node) = self.node(*index) else { continue };
            reasons.extend(node.faults);
            if let Some(validity) = node.validity {
                window = Some(window.map_or(validity, |window| window.intersect(validity)));
            }
            if let Some(intermediates_below) = place.checked_sub(1) {
                reasons.insert_if(!node.is_ca, ChainReason::NotACa);
                let too_long =
                    node.path_length.is_some_and(|most| u32::try_from(intermediates_below).is_ok_and(|n| n > most));
                reasons.insert_if(too_long, ChainReason::PathTooLong);
            }
            let above = members.get(place + 1).copied().map(Issuer::Presented);
            match above.or_else(|| root.map(Issuer::Root)) {
                Some(issuer) => reasons.extend(self.link(*index, issuer).err().map(of_signature).unwrap_or_default()),
                // What a root says of itself counts for nothing, but the leaf's signature is looked at in any case.
                None => reasons.insert_if(place == 0 && node.is_weakly_signed, ChainReason::WeakSignatureAlgorithm),
            }
        }
        let leaf = members.first().and_then(|index| self.node(*index));
        let is_self_signed = root.is_none() && members.len() == 1 && leaf.is_some_and(|leaf| leaf.is_self_signed);
        reasons.insert_if(is_self_signed, ChainReason::SelfSigned);
        reasons.insert_if(!is_self_signed && root.is_none(), ChainReason::UnknownIssuer);
        reasons.insert_if(!is_self_signed && leaf.is_some_and(|leaf| leaf.is_ca), ChainReason::CaAsEndEntity);
        reasons.insert_if(members.len() > MAX_INTERMEDIATES + 1, ChainReason::PathTooLong);
        (reasons, window)
    }

    fn link(&mut self, child: usize, issuer: Issuer) -> Result<(), SignatureFault> {
        if let Some(known) = self.links.get(&(child, issuer)) {
            return *known;
        }
        let signed = self.node(child).and_then(|node| node.signed);
        let checked = match issuer {
            Issuer::Presented(index) => signed.zip(self.node(index)).map(|(signed, issuer)| signed.check(issuer.spki)),
            Issuer::Root(index) => signed
                .zip(self.roots.get(index))
                .map(|(signed, root)| signed.check(&whole(&root.subject_public_key_info))),
        };
        // Where there is no signature to check, the form of the certificate is at fault, and told.
        let checked = checked.unwrap_or(Ok(()));
        self.links.insert((child, issuer), checked);
        checked
    }
}

fn of_signature(fault: SignatureFault) -> Reasons {
    match fault {
        SignatureFault::Wrong => ChainReason::BadSignature.into(),
        SignatureFault::WeakAlgorithm => ChainReason::WeakSignatureAlgorithm.into(),
        SignatureFault::WeakKey => ChainReason::WeakKey.into(),
        SignatureFault::UnsupportedAlgorithm => ChainReason::UnsupportedAlgorithm.into(),
    }
}

/// Whether an authority on the path, or the root, constrains a name of a certificate below it.
fn breaks_constraints(path: &[&Node<'_>], root: Option<&TrustAnchor<'_>>) -> bool {
    let mut budget = MAX_COMPARISONS;
    let mut breaks = |below: &[&Node<'_>], constraints: &x509_parser::extensions::NameConstraints<'_>| {
        below.iter().any(|node| {
            let names: Vec<_> = node.names().cloned().collect();
            constraints::are_broken(constraints, &names, &mut budget)
        })
    };
    let by_authority = path.iter().enumerate().skip(1).any(|(place, authority)| {
        let below = path.get(..place).unwrap_or_default();
        authority.certificate.iter_extensions().any(|extension| match extension.parsed_extension() {
            ParsedExtension::NameConstraints(constraints) => breaks(below, constraints),
            ParsedExtension::ParseError { .. } => extension.oid == OID_X509_EXT_NAME_CONSTRAINTS,
            _ => false,
        })
    });
    let by_root = root.and_then(|root| root.name_constraints.as_ref()).is_some_and(|der| {
        x509_parser::extensions::NameConstraints::from_der(&whole(der))
            .map_or(true, |(_, constraints)| breaks(path, &constraints))
    });
    by_authority || by_root
}

/// Paths that are looked at.
const MAX_PATHS: usize = 64;
/// Names held against constraints: a bound on the work that a hostile chain can cause.
const MAX_COMPARISONS: usize = 100_000;
/// Certificates between leaf and root that verifiers follow.
const MAX_INTERMEDIATES: usize = 6;
/// Extensions whose form verifiers check.
const READ_BY_VERIFIERS: [Oid<'static>; 2] = [OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_EXTENDED_KEY_USAGE];
