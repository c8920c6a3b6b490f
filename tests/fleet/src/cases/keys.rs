//! Keys, signatures, and who holds the key.

use rustls_pki_types::CertificateDer;

use super::fixture::{DAY, HOUR, Hands, authority, leaf, p256};
use super::validity::past;
use super::{Agreement, Case, names};
use crate::Extension;
use crate::pki::x509::{Ca, CertBuilder, Key, KeyAlgorithm, SignatureAlgorithm, Version};

pub(super) fn cases(hands: &Hands) -> Vec<Case> {
    [kinds(hands), weak(hands), signatures(hands), unsupported(hands), distrusted(hands), proofs(hands)].concat()
}

/// Keys in order.
fn kinds(hands: &Hands) -> Vec<Case> {
    let over = |name, key: &Key| {
        let chain = vec![hands.intermediate.issue(&leaf(), key), hands.intermediate.der()];
        hands.served(name, key.identity(chain))
    };
    let throughout = |name, key: &Key| {
        let ca = hands.root.sub(&authority(), key);
        hands.from(name, &ca, &leaf())
    };
    vec![
        over("key-rsa-2048", &hands.rsa_2048),
        over("key-rsa-4096", &hands.rsa_4096),
        over("key-p384", &Key::generate(KeyAlgorithm::P384)),
        over("key-p521", &Key::generate(KeyAlgorithm::P521)),
        over("key-ed25519", &Key::generate(KeyAlgorithm::Ed25519)),
        throughout("issuer-key-rsa-2048", &hands.rsa_2048),
        throughout("issuer-key-rsa-4096", &hands.rsa_4096),
        throughout("issuer-key-p384", &Key::generate(KeyAlgorithm::P384)),
        throughout("issuer-key-p521", &Key::generate(KeyAlgorithm::P521)),
        throughout("issuer-key-ed25519", &Key::generate(KeyAlgorithm::Ed25519)),
    ]
}

/// RSA of 1,024 bits.
fn weak(hands: &Hands) -> Vec<Case> {
    let small = &hands.rsa_1024;
    let over = |name, issuer: &Ca, builder: &CertBuilder| {
        hands.served(name, small.identity(vec![issuer.issue(builder, small), issuer.der()]))
    };
    let ca = hands.root.sub(&authority(), small);
    let stale = hands.root.sub(&authority().valid_between(-90 * DAY, -HOUR), small);
    let root = Ca::root(&CertBuilder::authority("Small Root"), small);
    vec![
        over("key-rsa-1024", &hands.intermediate, &leaf()).refused(&["weak_key"]),
        over("key-rsa-1024-and-expired", &hands.intermediate, &past()).refused(&["expired", "weak_key"]),
        over("key-rsa-1024-of-a-stranger", &hands.stranger, &leaf()).refused(&["unknown_issuer", "weak_key"]),
        hands.from("issuer-key-rsa-1024", &ca, &leaf()).refused(&["weak_key"]),
        hands.from("issuer-key-rsa-1024-and-expired", &stale, &leaf()).refused(&["expired", "weak_key"]),
        hands
            .chain("issuer-key-rsa-1024-and-bad-signature", vec![tampered(&ca.issue(&leaf(), &hands.key)), ca.der()])
            .refused(&["weak_key"]),
        hands
            .from("issuer-key-rsa-1024-with-sha1", &ca, &leaf().with_signature_algorithm(SignatureAlgorithm::RsaSha1))
            .refused(&["weak_key", "weak_signature_algorithm"]),
        hands
            .from("root-key-rsa-1024", &root.sub(&authority(), &p256()), &leaf())
            .under(&[&root.der()])
            .refused(&["weak_key"]),
        hands
            .chain("root-key-rsa-1024-signs-directly", vec![root.issue(&leaf(), &hands.key)])
            .under(&[&root.der()])
            .refused(&["weak_key"]),
    ]
}

/// Signatures that are broken, or of broken algorithms.
fn signatures(hands: &Hands) -> Vec<Case> {
    let Hands { key, root, intermediate, rsa_2048, .. } = hands;
    let rsa = root.sub(&authority(), rsa_2048);
    let rsa_root =
        Ca::root(&CertBuilder::authority("RSA Root").with_signature_algorithm(SignatureAlgorithm::RsaSha1), rsa_2048);
    let signed = |name, algorithm| hands.from(name, &rsa, &leaf().with_signature_algorithm(algorithm));
    let bad = |name, builder: &CertBuilder| hands.chain(name, vec![tampered(&hands.leaf(builder)), intermediate.der()]);
    let small = hands.intermediate.issue(&leaf(), &hands.rsa_1024);
    vec![
        signed("signature-rsa-sha384", SignatureAlgorithm::RsaSha384),
        signed("signature-rsa-sha512", SignatureAlgorithm::RsaSha512),
        signed("signature-rsa-pss", SignatureAlgorithm::RsaPssSha256),
        signed("signature-sha1", SignatureAlgorithm::RsaSha1).refused(&["weak_signature_algorithm"]),
        signed("signature-md5", SignatureAlgorithm::RsaMd5).refused(&["weak_signature_algorithm"]),
        hands
            .from("signature-sha1-and-expired", &rsa, &past().with_signature_algorithm(SignatureAlgorithm::RsaSha1))
            .refused(&["expired", "weak_signature_algorithm"]),
        hands
            .from(
                "signature-sha1-on-the-intermediate",
                &rsa_root.sub(&authority().with_signature_algorithm(SignatureAlgorithm::RsaSha1), &p256()),
                &leaf(),
            )
            .under(&[&rsa_root.der()])
            .refused(&["weak_signature_algorithm"]),
        hands
            .from("signature-sha1-on-the-root", &rsa_root.sub(&authority(), &p256()), &leaf())
            .under(&[&rsa_root.der()]),
        bad("signature-bad", &leaf()).refused(&["bad_signature"]),
        bad("signature-bad-and-expired", &past()).refused(&["expired", "bad_signature"]),
        hands
            .chain("signature-bad-on-the-intermediate", vec![hands.leaf(&leaf()), tampered(&intermediate.der())])
            .refused(&["bad_signature"]),
        hands
            .served("signature-bad-over-rsa-1024", {
                hands.rsa_1024.identity(vec![tampered(&small), intermediate.der()])
            })
            .refused(&["weak_key", "bad_signature"]),
        hands
            .chain(
                "signature-by-the-wrong-key",
                vec![leaf().sign(key, &CertBuilder::authority("Intermediate").subject, &p256()), intermediate.der()],
            )
            .refused(&["bad_signature"]),
    ]
}

/// Algorithms that are not weak, and that webpki does not have.
fn unsupported(hands: &Hands) -> Vec<Case> {
    let differs = Agreement::Differs(LACKING);
    let koblitz = hands.root.sub(&authority(), &Key::generate(KeyAlgorithm::Secp256k1));
    let large = hands.root.sub(&authority(), &Key::generate(KeyAlgorithm::Rsa8448));
    let rsa = hands.root.sub(&authority(), &hands.rsa_2048);
    let mislabelled = CertBuilder { algorithm: Some(SignatureAlgorithm::RsaSha256), ..leaf() };
    vec![
        hands
            .from("issuer-key-secp256k1", &koblitz, &leaf())
            .refused(&["unsupported_algorithm"])
            .openssl_chain(differs),
        hands
            .from("issuer-key-secp256k1-and-expired", &koblitz, &past())
            .refused(&["expired", "unsupported_algorithm"]),
        hands.from("issuer-key-rsa-8448", &large, &leaf()).refused(&["unsupported_algorithm"]).openssl_chain(differs),
        hands
            .from("signature-sha224", &rsa, &leaf().with_signature_algorithm(SignatureAlgorithm::RsaSha224))
            .refused(&["unsupported_algorithm"])
            .openssl_chain(differs),
        hands
            .from("signature-of-another-kind-than-the-key", &hands.intermediate, &mislabelled)
            .refused(&["unsupported_algorithm"]),
    ]
}

/// Keys that nobody here holds. What they are said to have signed was signed by others.
fn distrusted(hands: &Hands) -> Vec<Case> {
    let distrusted = |builder: CertBuilder| CertBuilder { spki: Some(distrusted_spki()), ..builder };
    let ca = hands.sub(&distrusted(authority()));
    // A key of the same kind, so that the handshake is signed in the way that the certificate calls for.
    let other = Key::generate(KeyAlgorithm::P384);
    vec![
        hands.from("issuer-key-distrusted", &ca, &leaf()).refused(&["bad_signature", "distrusted"]),
        hands.from("issuer-key-distrusted-and-expired", &ca, &past()).refused(&[
            "expired",
            "bad_signature",
            "distrusted",
        ]),
        hands
            .served("key-distrusted", other.identity(vec![hands.leaf(&distrusted(leaf())), hands.intermediate.der()]))
            .refused(&["distrusted", "key_proof_failed"])
            .openssl_chain(Agreement::Differs(DISTRUST)),
    ]
}

/// Handshakes signed with a key that is not the certificate's. What is concluded of the chain alone is hidden by that,
/// since a certificate proves nothing of a peer without its key.
fn proofs(hands: &Hands) -> Vec<Case> {
    let differs = Agreement::Differs("`openssl verify` is given certificates and no handshake");
    let other = p256();
    let by_another = |name, builder: &CertBuilder| {
        hands.served(name, other.identity(vec![hands.leaf(builder), hands.intermediate.der()]))
    };
    vec![
        by_another("key-of-another", &leaf()).refused(&["key_proof_failed"]).openssl_chain(differs),
        by_another("key-of-another-and-expired", &past()).refused(&["expired", "key_proof_failed"]),
        // Verifiers don't parse these, and the proof is checked all the same.
        by_another(
            "key-of-another-and-version-1",
            &CertBuilder { version: Version::V1, extensions: Vec::new(), ..leaf() },
        )
        .refused(&["unsupported_version", "key_proof_failed"])
        .mismatched("cn_only")
        .openssl_name(Agreement::Differs(names::COMMON_NAME))
        .openssl_chain(differs),
        by_another("key-of-another-and-extension", &leaf().with_extension(Extension::unknown(true)))
            .refused(&["critical_extension", "key_proof_failed"]),
    ]
}

/// The last octet, which is the signature's, changed.
fn tampered(der: &CertificateDer<'_>) -> CertificateDer<'static> {
    let mut octets = der.to_vec();
    if let Some(last) = octets.last_mut() {
        *last ^= 1;
    }
    octets.into()
}

/// The key of e-commerce monitoring GmbH's "EMDVTLSCAG3B", which webpki refuses by its built-in list
/// (rustls-webpki 0.103, `src/data/distrusted/EMDVTLSCAG3B.spki.der`).
fn distrusted_spki() -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_sequence(|writer| {
                for oid in [&[1, 2, 840, 10045, 2, 1][..], &[1, 3, 132, 0, 34]] {
                    writer.next().write_oid(&yasna::models::ObjectIdentifier::from_slice(oid));
                }
            });
            writer.next().write_bitvec_bytes(&DISTRUSTED_POINT, DISTRUSTED_POINT.len() * 8);
        });
    })
}

/// Its point on P-384, uncompressed.
const DISTRUSTED_POINT: [u8; 97] = [
    0x04, 0xe7, 0x9e, 0xd9, 0xc0, 0x4a, 0x97, 0x73, 0xc4, 0x73, 0x5e, 0x51, 0x11, 0x1d, 0xa8, 0x5a, 0xc2, 0xbd, 0x5e,
    0x64, 0xab, 0x37, 0x4b, 0x80, 0xe1, 0x2c, 0xbc, 0x20, 0x38, 0xec, 0x1e, 0x4f, 0x0e, 0x3b, 0x81, 0x2f, 0xc9, 0x85,
    0x9e, 0x1e, 0x67, 0xaf, 0xb0, 0x4e, 0x2f, 0x8b, 0xc9, 0x7f, 0x74, 0x85, 0xba, 0x65, 0xaa, 0x91, 0x1e, 0xe8, 0xa4,
    0xe4, 0x5b, 0x62, 0xd5, 0xcc, 0x03, 0xd5, 0x6b, 0xe6, 0x78, 0xb3, 0xc3, 0x8c, 0xb4, 0xdc, 0x93, 0x7c, 0xa2, 0x46,
    0x0e, 0x23, 0x84, 0x53, 0xc8, 0x92, 0x93, 0x5d, 0x29, 0xd4, 0x4f, 0x91, 0xe1, 0x56, 0x06, 0xb6, 0x3c, 0xce, 0xda,
    0xb4, 0x68,
];

const LACKING: &str = "OpenSSL has it; webpki has P-256, P-384, P-521, Ed25519, ML-DSA, and RSA of 2048 to 8192 bits, \
    over SHA-256 to SHA-512 (webpki::ALL_VERIFICATION_ALGS)";
const DISTRUST: &str =
    "OpenSSL has no list of keys that are not to be trusted; webpki has (DISTRUSTED_SPKIS in verify_cert.rs)";
