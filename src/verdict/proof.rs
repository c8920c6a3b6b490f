//! Whether the peer holds the private key of its certificate. The handshake signature is verified with the
//! SubjectPublicKeyInfo alone, which also works for certificates that webpki cannot parse.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer};
use webpki::RawPublicKeyEntity;

use super::certificate::Certificate;
use crate::observation::KeyProof;

/// Whether `proof` is a valid signature with the key of `leaf`. `None` if that cannot be checked.
pub(super) fn verify(proof: &KeyProof, leaf: &Certificate, algorithms: &WebPkiSupportedAlgorithms) -> Option<bool> {
    // webpki rejects signatures with a small RSA key without checking them.
    if leaf.facts()?.key.is_weak() {
        return None;
    }
    let spki = SubjectPublicKeyInfoDer::from(leaf.spki()?);
    let key = RawPublicKeyEntity::try_from(&spki).ok()?;
    let mut result = None;
    for algorithm in algorithms_for(proof, algorithms)? {
        match key.verify_signature(*algorithm, &proof.message, &proof.signature) {
            Ok(()) => return Some(true),
            Err(webpki::Error::InvalidSignatureForPublicKey) => result = Some(false),
            Err(_) => {}
        }
    }
    result
}

/// In TLS 1.3, unlike TLS 1.2, an ECDSA scheme implies the curve (RFC 8446 §4.2.3): the first algorithm of the scheme.
fn algorithms_for<'a>(
    proof: &KeyProof,
    algorithms: &'a WebPkiSupportedAlgorithms,
) -> Option<&'a [&'static dyn SignatureVerificationAlgorithm]> {
    let (_, all) = algorithms.mapping.iter().find(|(scheme, _)| u16::from(*scheme) == proof.scheme)?;
    if proof.tls13 { all.get(..1) } else { Some(all) }
}
