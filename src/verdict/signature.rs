//! Verifies the signature of a certificate or an OCSP response with one public key.

use rustls_pki_types::SubjectPublicKeyInfoDer;
use webpki::RawPublicKeyEntity;
use x509_parser::asn1_rs::{Any, FromDer, Oid, Tag};
use x509_parser::oid_registry::{
    OID_HASH_SHA1, OID_MD5_WITH_RSA, OID_PKCS1_MD2WITHRSAENC, OID_PKCS1_MD4WITHRSAENC, OID_PKCS1_MD5WITHRSAENC,
    OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA, OID_SIG_DSA_WITH_SHA1,
};
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::key::PublicKey;
use super::oid::{HASH_MD5, OIW_DSA_WITH_SHA, OIW_DSA_WITH_SHA1, OIW_MD5_WITH_RSA, SIG_ECDSA_WITH_SHA1};

/// Why a signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignatureFault {
    /// The signature was checked and does not match the key and the message.
    Wrong,
    /// The algorithm uses SHA-1 or an older hash; not checked.
    WeakAlgorithm,
    /// The key is RSA of less than 2048 bits; not checked.
    WeakKey,
    /// The signature cannot be checked: the algorithm or key type is not supported, the RSA key has more than 8192
    /// bits, the key cannot be parsed, or it does not fit the algorithm.
    UnsupportedAlgorithm,
}

/// The structure that a certificate (RFC 5280 §4.1) and a basic OCSP response (RFC 6960 §4.2.1) have in common: the
/// signed message, the algorithm, and the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signed<'a> {
    /// The signed DER element, with its header.
    pub(super) message: &'a [u8],
    /// An AlgorithmIdentifier (RFC 5280 §4.1.1.2) without its header.
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Also returns what follows the signature inside the outer SEQUENCE. `None` for another structure or trailing data.
    pub(super) fn parse(der: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (_, outer) = element(der, Tag::Sequence).filter(|(rest, _)| rest.is_empty())?;
        let (rest, _) = element(outer, Tag::Sequence)?;
        let message = outer.get(..outer.len().checked_sub(rest.len())?)?;
        let (rest, algorithm) = element(rest, Tag::Sequence)?;
        let (rest, signature) = element(rest, Tag::BitString)?;
        // The first octet of a BIT STRING is the number of unused bits: a signature has none.
        let signature = signature.strip_prefix(&[0])?;
        Some((Self { message, algorithm, signature }, rest))
    }

    /// Verifies the signature with the key in `spki`, the DER of a SubjectPublicKeyInfo.
    pub(super) fn check(&self, spki: &[u8]) -> Result<(), SignatureFault> {
        if is_weak(self.algorithm) {
            return Err(SignatureFault::WeakAlgorithm);
        }
        // webpki rejects every signature with an RSA key of less than 2048 bits as invalid, without checking it.
        match modulus_bits(spki) {
            Some(..2048) => return Err(SignatureFault::WeakKey),
            Some(8193..) => return Err(SignatureFault::UnsupportedAlgorithm),
            _ => {}
        }
        let spki = SubjectPublicKeyInfoDer::from(spki);
        let key = RawPublicKeyEntity::try_from(&spki).map_err(|_| SignatureFault::UnsupportedAlgorithm)?;
        // The identifier of an ECDSA algorithm does not name the curve: webpki has one entry for each curve.
        for verifier in
            webpki::ALL_VERIFICATION_ALGS.iter().filter(|known| known.signature_alg_id().as_ref() == self.algorithm)
        {
            match key.verify_signature(*verifier, self.message, self.signature) {
                Ok(()) => return Ok(()),
                Err(webpki::Error::InvalidSignatureForPublicKey) => return Err(SignatureFault::Wrong),
                Err(_) => {}
            }
        }
        Err(SignatureFault::UnsupportedAlgorithm)
    }
}

/// The rest of `der` after its first element, and the content of that element, which must have the tag `tag`.
fn element(der: &[u8], tag: Tag) -> Option<(&[u8], &[u8])> {
    let (rest, any) = Any::from_der(der).ok()?;
    let header = &any.header;
    let is_expected = header.tag() == tag && header.is_universal() && header.constructed() == (tag == Tag::Sequence);
    is_expected.then_some((rest, any.data))
}

fn modulus_bits(spki: &[u8]) -> Option<usize> {
    match PublicKey::from_spki(&SubjectPublicKeyInfo::from_der(spki).ok()?.1) {
        PublicKey::Rsa(bits) => Some(bits),
        _ => None,
    }
}

fn is_weak(algorithm: &[u8]) -> bool {
    let Ok((parameters, id)) = Oid::from_der(algorithm) else { return false };
    if id != OID_PKCS1_RSASSAPSS {
        return WEAK_ALGORITHMS.contains(&id);
    }
    // The hash is in the parameters; the default is SHA-1 (RFC 4055 §3.1).
    let hash = Any::from_der(parameters).ok().and_then(|(_, any)| RsaSsaPssParams::try_from(any).ok());
    hash.is_some_and(|parameters| WEAK_HASHES.contains(parameters.hash_algorithm_oid()))
}

/// Signature algorithms on MD2, MD4, MD5, SHA-0 and SHA-1 (RFC 3279 §2.2, and the OIW's arc).
pub(super) const WEAK_ALGORITHMS: &[Oid<'static>] = &[
    OID_PKCS1_MD2WITHRSAENC,
    OID_PKCS1_MD4WITHRSAENC,
    OID_PKCS1_MD5WITHRSAENC,
    OID_PKCS1_SHA1WITHRSA,
    OID_SIG_DSA_WITH_SHA1,
    SIG_ECDSA_WITH_SHA1,
    OIW_MD5_WITH_RSA,
    OIW_DSA_WITH_SHA,
    OID_MD5_WITH_RSA,
    OIW_DSA_WITH_SHA1,
    OID_SHA1_WITH_RSA,
];

const WEAK_HASHES: &[Oid<'static>] = &[HASH_MD5, OID_HASH_SHA1];

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PublicKeyData, RsaKeySize};
    use rustls::SignatureScheme;
    use rustls::crypto::aws_lc_rs::sign::any_supported_type;
    use rustls_pki_types::{PrivatePkcs8KeyDer, alg_id};
    use smtp_fleet::{CertSpec, KeyKind, Pki};
    use x509_parser::asn1_rs::{ToDer, oid};
    use x509_parser::oid_registry::{OID_PKCS1_RSAENCRYPTION, OID_PKCS1_SHA224WITHRSA, OID_SIG_ED448};

    use super::*;

    /// id-sha224 (RFC 4055 §2.1), which the registry lacks.
    const HASH_SHA224: Oid<'static> = oid!(2.16.840.1.101.3.4.2.4);
    const MESSAGE: &[u8] = b"signed message";

    #[test]
    fn verifies_every_algorithm() {
        let rsa = generate(&rcgen::PKCS_RSA_SHA256);
        let rsa3072 = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072).expect("a key");
        let p256 = generate(&rcgen::PKCS_ECDSA_P256_SHA256);
        let p384 = generate(&rcgen::PKCS_ECDSA_P384_SHA384);
        let p521 = generate(&rcgen::PKCS_ECDSA_P521_SHA512);
        let ed25519 = generate(&rcgen::PKCS_ED25519);
        let unsupported = Err(SignatureFault::UnsupportedAlgorithm);
        for (what, key, algorithm, scheme, expected) in [
            ("RSA SHA-256", &rsa, alg_id::RSA_PKCS1_SHA256, SignatureScheme::RSA_PKCS1_SHA256, Ok(())),
            ("RSA SHA-384", &rsa, alg_id::RSA_PKCS1_SHA384, SignatureScheme::RSA_PKCS1_SHA384, Ok(())),
            ("RSA SHA-512", &rsa, alg_id::RSA_PKCS1_SHA512, SignatureScheme::RSA_PKCS1_SHA512, Ok(())),
            ("RSA 3072 SHA-384", &rsa3072, alg_id::RSA_PKCS1_SHA384, SignatureScheme::RSA_PKCS1_SHA384, Ok(())),
            ("PSS SHA-256", &rsa, alg_id::RSA_PSS_SHA256, SignatureScheme::RSA_PSS_SHA256, Ok(())),
            ("PSS SHA-384", &rsa, alg_id::RSA_PSS_SHA384, SignatureScheme::RSA_PSS_SHA384, Ok(())),
            ("PSS SHA-512", &rsa, alg_id::RSA_PSS_SHA512, SignatureScheme::RSA_PSS_SHA512, Ok(())),
            ("P-256", &p256, alg_id::ECDSA_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256, Ok(())),
            ("P-384", &p384, alg_id::ECDSA_SHA384, SignatureScheme::ECDSA_NISTP384_SHA384, Ok(())),
            ("P-521", &p521, alg_id::ECDSA_SHA512, SignatureScheme::ECDSA_NISTP521_SHA512, Ok(())),
            ("Ed25519", &ed25519, alg_id::ED25519, SignatureScheme::ED25519, Ok(())),
            // Hash or padding that was not used for signing.
            (
                "other hash",
                &rsa,
                alg_id::RSA_PKCS1_SHA512,
                SignatureScheme::RSA_PKCS1_SHA256,
                Err(SignatureFault::Wrong),
            ),
            (
                "other padding",
                &rsa,
                alg_id::RSA_PSS_SHA256,
                SignatureScheme::RSA_PKCS1_SHA256,
                Err(SignatureFault::Wrong),
            ),
            (
                "other hash of the curve",
                &p256,
                alg_id::ECDSA_SHA384,
                SignatureScheme::ECDSA_NISTP256_SHA256,
                Err(SignatureFault::Wrong),
            ),
            // Algorithm that does not fit the key.
            ("RSA, EC key", &p256, alg_id::RSA_PKCS1_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256, unsupported),
            ("EC, RSA key", &rsa, alg_id::ECDSA_SHA256, SignatureScheme::RSA_PKCS1_SHA256, unsupported),
            ("Ed25519, EC key", &p256, alg_id::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256, unsupported),
        ] {
            let (spki, signature) = (key.subject_public_key_info(), sign(key, scheme));
            verify(what, (&spki, &algorithm, MESSAGE, &signature), expected);
            if expected.is_ok() {
                let other = generate_like(key).subject_public_key_info();
                let cut = signature.get(1..).expect("a signature");
                verify(what, (&spki, &algorithm, b"another message", &signature), Err(SignatureFault::Wrong));
                verify(what, (&other, &algorithm, MESSAGE, &signature), Err(SignatureFault::Wrong));
                verify(what, (&spki, &algorithm, MESSAGE, cut), Err(SignatureFault::Wrong));
                verify(what, (&spki, &algorithm, MESSAGE, &[]), Err(SignatureFault::Wrong));
            }
        }
    }

    #[test]
    fn distinguishes_unchecked_from_wrong() {
        let ec = generate(&rcgen::PKCS_ECDSA_P256_SHA256).subject_public_key_info();
        let rsa = rsa_spki(2048);
        let unsupported = SignatureFault::UnsupportedAlgorithm;
        let [weak, weak_key] = [SignatureFault::WeakAlgorithm, SignatureFault::WeakKey];
        let rsa_sha224 = with_null(&OID_PKCS1_SHA224WITHRSA);
        for (what, spki, algorithm, expected) in [
            ("MD2", &rsa, &*with_null(&OID_PKCS1_MD2WITHRSAENC), weak),
            ("MD5", &rsa, &with_null(&OID_PKCS1_MD5WITHRSAENC), weak),
            ("SHA-1", &rsa, &with_null(&OID_PKCS1_SHA1WITHRSA), weak),
            ("OIW SHA-1", &rsa, &with_null(&OID_SHA1_WITH_RSA), weak),
            ("ECDSA SHA-1", &ec, &encode(&SIG_ECDSA_WITH_SHA1), weak),
            ("DSA SHA-1", &ec, &encode(&OID_SIG_DSA_WITH_SHA1), weak),
            ("PSS with the default hash", &rsa, &[&*encode(&OID_PKCS1_RSASSAPSS), &[0x30, 0]].concat(), weak),
            ("PSS with SHA-1", &rsa, &pss(&OID_HASH_SHA1), weak),
            ("PSS without parameters", &rsa, &encode(&OID_PKCS1_RSASSAPSS), unsupported),
            ("PSS with SHA-224", &rsa, &pss(&HASH_SHA224), unsupported),
            ("SHA-224", &rsa, &rsa_sha224, unsupported),
            ("Ed448", &ec, &encode(&OID_SIG_ED448), unsupported),
            ("no algorithm", &ec, &[], unsupported),
            ("not DER", &ec, &[0xff; 9], unsupported),
            ("RSA 512", &rsa_spki(512), &alg_id::RSA_PKCS1_SHA256, weak_key),
            ("RSA 1024", &rsa_spki(1024), &alg_id::RSA_PKCS1_SHA256, weak_key),
            ("RSA 2047", &rsa_spki(2047), &alg_id::RSA_PKCS1_SHA256, weak_key),
            ("RSA 1024 SHA-1", &rsa_spki(1024), &with_null(&OID_PKCS1_SHA1WITHRSA), weak),
            ("RSA 2048", &rsa, &alg_id::RSA_PKCS1_SHA256, SignatureFault::Wrong),
            ("RSA 8192", &rsa_spki(8192), &alg_id::RSA_PKCS1_SHA256, SignatureFault::Wrong),
            ("RSA 8200", &rsa_spki(8200), &alg_id::RSA_PKCS1_SHA256, unsupported),
            ("RSA 65536", &rsa_spki(65_536), &alg_id::RSA_PKCS1_SHA256, unsupported),
            ("no key", &Vec::new(), &alg_id::RSA_PKCS1_SHA256, unsupported),
            ("truncated key", &ec[..ec.len() - 1].to_vec(), &alg_id::ECDSA_SHA256, unsupported),
            ("key with trailing data", &[&*ec, &[0]].concat(), &alg_id::ECDSA_SHA256, unsupported),
        ] {
            verify(what, (spki, algorithm, MESSAGE, &[0x5a; 256]), Err(expected));
        }
    }

    #[test]
    fn verifies_a_certificate_with_its_issuer() {
        let pki = Pki::new();
        let issuer = x509_parser::parse_x509_certificate(pki.intermediate().der()).expect("a certificate").1;
        let other_key = generate(&rcgen::PKCS_ECDSA_P256_SHA256).subject_public_key_info();
        for key in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519] {
            let identity = pki.issue(&CertSpec::valid_for(&["smtp.example.com"]).with_key(key));
            let (signed, rest) = Signed::parse(identity.leaf_der()).expect("a certificate");
            assert!(rest.is_empty(), "nothing follows the signature of a certificate");
            assert_eq!(signed.check(issuer.public_key().raw), Ok(()));
            assert_eq!(signed.check(&other_key), Err(SignatureFault::Wrong));
        }
    }

    #[test]
    fn rejects_other_structures() {
        const BITS: &[u8] = &[0x03, 2, 0, 9];
        const VALID: &[u8] = &[0x30, 8, 0x30, 0, 0x30, 0, 0x03, 2, 0, 9];
        assert!(Signed::parse(VALID).is_some(), "the structure that the rows change");
        for (what, der) in [
            ("empty", Vec::new()),
            ("trailing data", [VALID, &[0]].concat()),
            ("truncated", VALID[..VALID.len() - 1].to_vec()),
            ("an octet string instead of a bit string", [&[0x30, 8, 0x30, 0, 0x30, 0, 0x04], &BITS[1..]].concat()),
            ("a set as message", [&[0x30, 8, 0x31, 0, 0x30, 0], BITS].concat()),
            ("a primitive sequence", [&[0x10], &VALID[1..]].concat()),
            ("a primitive message", [&[0x30, 8, 0x10, 0, 0x30, 0], BITS].concat()),
            ("a constructed bit string", [&[0x30, 8, 0x30, 0, 0x30, 0, 0x23], &BITS[1..]].concat()),
            ("a tagged message", [&[0x30, 8, 0xb0, 0, 0x30, 0], BITS].concat()),
            ("unused bits", [&[0x30, 8, 0x30, 0, 0x30, 0], &[0x03, 2, 1, 8][..]].concat()),
            ("no signature", vec![0x30, 4, 0x30, 0, 0x30, 0]),
            ("an empty bit string", vec![0x30, 6, 0x30, 0, 0x30, 0, 0x03, 0]),
            ("an indefinite length", [&[0x30, 0x80, 0x30, 0, 0x30, 0], BITS, &[0, 0]].concat()),
        ] {
            assert_eq!(Signed::parse(&der), None, "{what}");
        }
    }

    #[track_caller]
    fn verify(what: &str, signed: (&[u8], &[u8], &[u8], &[u8]), expected: Result<(), SignatureFault>) {
        let (spki, algorithm, message, signature) = signed;
        assert_eq!(Signed { message, algorithm, signature }.check(spki), expected, "{what}");
    }

    fn generate(algorithm: &'static rcgen::SignatureAlgorithm) -> KeyPair {
        KeyPair::generate_for(algorithm).expect("a key")
    }

    fn generate_like(key: &KeyPair) -> KeyPair {
        generate(key.algorithm())
    }

    fn sign(key: &KeyPair, scheme: SignatureScheme) -> Vec<u8> {
        let key = any_supported_type(&PrivatePkcs8KeyDer::from(key.serialize_der()).into()).expect("a key");
        key.choose_scheme(&[scheme]).expect("a scheme of the key").sign(MESSAGE).expect("a signature")
    }

    /// An RSA key with a modulus of `bits` bits that is not a product of known primes.
    fn rsa_spki(bits: usize) -> Vec<u8> {
        let mut modulus = vec![0xa5; bits.div_ceil(8)];
        modulus[0] = if bits.is_multiple_of(8) { 0xa5 } else { (1 << (bits % 8)) - 1 };
        let number = if modulus[0] >= 0x80 { [&[0], &*modulus].concat() } else { modulus };
        let key = tlv(Tag::Sequence, &[tlv(Tag::Integer, &number), tlv(Tag::Integer, &[1, 0, 1])].concat());
        let algorithm = tlv(Tag::Sequence, &with_null(&OID_PKCS1_RSAENCRYPTION));
        tlv(Tag::Sequence, &[algorithm, tlv(Tag::BitString, &[&[0], &*key].concat())].concat())
    }

    fn pss(hash: &Oid<'_>) -> Vec<u8> {
        let hash = tlv(Tag::Sequence, &encode(hash));
        let tagged = [&[0xa0, u8::try_from(hash.len()).expect("short")], &*hash].concat();
        [encode(&OID_PKCS1_RSASSAPSS), tlv(Tag::Sequence, &tagged)].concat()
    }

    fn with_null(oid: &Oid<'_>) -> Vec<u8> {
        [&*encode(oid), &[0x05, 0]].concat()
    }

    fn encode(oid: &Oid<'_>) -> Vec<u8> {
        oid.to_der_vec().expect("an identifier")
    }

    fn tlv(tag: Tag, content: &[u8]) -> Vec<u8> {
        Any::from_tag_and_data(tag, content).to_der_vec().expect("it is encoded")
    }
}
