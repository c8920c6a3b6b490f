//! One signature under one public key, for certificates and OCSP responses alike.

use rustls_pki_types::SubjectPublicKeyInfoDer;
use webpki::RawPublicKeyEntity;
use x509_parser::asn1_rs::{Any, FromDer, Oid, Tag, oid};
use x509_parser::public_key::PublicKey;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::certificate::bits;

/// Whether `signature` over `message` was made by the key in `spki`, the DER of a whole SubjectPublicKeyInfo, with the
/// algorithm whose AlgorithmIdentifier (RFC 5280 §4.1.1.2) has the content `algorithm`: its octets without the tag and
/// length of the SEQUENCE around them.
pub(super) fn check(spki: &[u8], algorithm: &[u8], message: &[u8], signature: &[u8]) -> Result<(), SignatureFault> {
    if is_weak(algorithm) {
        return Err(SignatureFault::WeakAlgorithm);
    }
    // Below 2048 bits the library would call every signature wrong without looking at it.
    match modulus_bits(spki) {
        Some(..2048) => return Err(SignatureFault::WeakKey),
        Some(8193..) => return Err(SignatureFault::UnsupportedAlgorithm),
        _ => {}
    }
    let spki = SubjectPublicKeyInfoDer::from(spki);
    let key = RawPublicKeyEntity::try_from(&spki).map_err(|_| SignatureFault::UnsupportedAlgorithm)?;
    // An ECDSA algorithm does not say the curve: there is a candidate for each, and the key's is the one that fits.
    for candidate in webpki::ALL_VERIFICATION_ALGS.iter().filter(|known| *known.signature_alg_id() == *algorithm) {
        match key.verify_signature(*candidate, message, signature) {
            Ok(()) => return Ok(()),
            Err(webpki::Error::InvalidSignatureForPublicKey) => return Err(SignatureFault::Wrong),
            Err(_) => {}
        }
    }
    Err(SignatureFault::UnsupportedAlgorithm)
}

/// Why a signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignatureFault {
    /// It was checked, and this key did not make it over this message.
    Wrong,
    /// It is built on SHA-1 or on MD5 or its elders; not checked.
    WeakAlgorithm,
    /// The key is RSA of less than 2048 bits; not checked.
    WeakKey,
    /// It cannot be checked: an algorithm or key that is not known, an RSA key of more than 8192 bits, a key that
    /// cannot be parsed or is of another kind than the algorithm's.
    UnsupportedAlgorithm,
}

/// The shape that a certificate (RFC 5280 §4.1) and a basic OCSP response (RFC 6960 §4.2.1) have in common: what is
/// signed, by which algorithm, and the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signed<'a> {
    /// What is signed: the first element with its tag and length, as it was sent.
    pub(super) message: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Takes the outer SEQUENCE of `der` apart; also gives what follows the signature inside it. None where `der` has
    /// another shape or does not end with the SEQUENCE.
    pub(super) fn parse(der: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (_, outer) = element(der, Tag::Sequence).filter(|(rest, _)| rest.is_empty())?;
        let (rest, _) = element(outer, Tag::Sequence)?;
        let message = outer.get(..outer.len().checked_sub(rest.len())?)?;
        let (rest, algorithm) = element(rest, Tag::Sequence)?;
        let (rest, signature) = element(rest, Tag::BitString)?;
        // The first octet counts the bits that are not used: a signature is whole octets.
        let signature = signature.strip_prefix(&[0])?;
        Some((Self { message, algorithm, signature }, rest))
    }

    /// Whether the key in `spki` made the signature; see [`check`].
    pub(super) fn check(&self, spki: &[u8]) -> Result<(), SignatureFault> {
        check(spki, self.algorithm, self.message, self.signature)
    }
}

/// What follows the element at the start of `der`, and the element's content, where it has this tag.
fn element(der: &[u8], tag: Tag) -> Option<(&[u8], &[u8])> {
    let (rest, any) = Any::from_der(der).ok()?;
    any.header.assert_tag(tag).ok()?;
    any.header.assert_class(x509_parser::asn1_rs::Class::Universal).ok()?;
    Some((rest, any.data))
}

fn modulus_bits(spki: &[u8]) -> Option<usize> {
    let (_, spki) = SubjectPublicKeyInfo::from_der(spki).ok()?;
    match spki.parsed() {
        Ok(PublicKey::RSA(rsa)) => Some(bits(rsa.modulus)),
        _ => None,
    }
}

fn is_weak(algorithm: &[u8]) -> bool {
    let Ok((parameters, id)) = Oid::from_der(algorithm) else { return false };
    if id != RSASSA_PSS {
        return WEAK.contains(&id);
    }
    // The hash stands in the parameters, and is SHA-1 where they leave it out (RFC 4055 §3.1).
    let hash = Any::from_der(parameters).ok().and_then(|(_, any)| RsaSsaPssParams::try_from(any).ok());
    hash.is_some_and(|parameters| WEAK_HASHES.contains(parameters.hash_algorithm_oid()))
}

const RSASSA_PSS: Oid<'static> = oid!(1.2.840.113549.1.1.10);

/// Signature algorithms on MD2, MD4, MD5 and SHA-1: RFC 3279 §2.2, and their elders in the OIW's arc.
const WEAK: &[Oid<'static>] = &[
    oid!(1.2.840.113549.1.1.2),
    oid!(1.2.840.113549.1.1.3),
    oid!(1.2.840.113549.1.1.4),
    oid!(1.2.840.113549.1.1.5),
    oid!(1.2.840.10040.4.3),
    oid!(1.2.840.10045.4.1),
    oid!(1.3.14.3.2.3),
    oid!(1.3.14.3.2.13),
    oid!(1.3.14.3.2.25),
    oid!(1.3.14.3.2.27),
    oid!(1.3.14.3.2.29),
];

/// MD5 and SHA-1.
const WEAK_HASHES: &[Oid<'static>] = &[oid!(1.2.840.113549.2.5), oid!(1.3.14.3.2.26)];
