//! Does the peer hold the certificate's key? The handshake signature is checked over the SubjectPublicKeyInfo alone,
//! so that it is also judged for certificates that no verifier parses.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer};
use webpki::RawPublicKeyEntity;

use super::certificate::Certificate;
use crate::observation::KeyProof;

/// Whether `proof` was made with `leaf`'s key; none where that cannot be decided.
pub(super) fn judge(proof: &KeyProof, leaf: &Certificate, algorithms: &WebPkiSupportedAlgorithms) -> Option<bool> {
    // The library refuses small keys without looking at the signature.
    if leaf.facts()?.key.is_weak() {
        return None;
    }
    let spki = SubjectPublicKeyInfoDer::from(leaf.spki()?);
    let key = RawPublicKeyEntity::try_from(&spki).ok()?;
    let mut decided = None;
    for algorithm in candidates(proof, algorithms)? {
        match key.verify_signature(*algorithm, &proof.message, &proof.signature) {
            Ok(()) => return Some(true),
            Err(webpki::Error::InvalidSignatureForPublicKey) => decided = Some(false),
            Err(_) => {}
        }
    }
    decided
}

/// TLS 1.3 binds a scheme to one curve (RFC 8446 §4.2.3), TLS 1.2 does not.
fn candidates<'a>(
    proof: &KeyProof,
    algorithms: &'a WebPkiSupportedAlgorithms,
) -> Option<&'a [&'static dyn SignatureVerificationAlgorithm]> {
    let (_, all) = algorithms.mapping.iter().find(|(scheme, _)| u16::from(*scheme) == proof.scheme)?;
    if proof.tls13 { all.get(..1) } else { Some(all) }
}
