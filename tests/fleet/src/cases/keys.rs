//! Keys, signatures, and proof of possession of the key.

use rustls_pki_types::CertificateDer;

use super::fixture::{DAY, Fixture, HOUR, authority, leaf, p256};
use super::validity::expired_leaf;
use super::{Agreement, Case, names};
use crate::Extension;
use crate::pki::x509::{Ca, CertBuilder, Key, KeyAlgorithm, SignatureAlgorithm, Version};

pub(super) fn cases(fixture: &Fixture) -> Vec<Case> {
    [kinds(fixture), weak(fixture), signatures(fixture), unsupported(fixture), distrusted(fixture), proofs(fixture)]
        .concat()
}

/// Supported keys.
fn kinds(fixture: &Fixture) -> Vec<Case> {
    let leaf_key = |name, key: &Key| {
        let chain = vec![fixture.intermediate.issue(&leaf(), key), fixture.intermediate.der()];
        fixture.with_identity(name, key.identity(chain))
    };
    let issuer_key = |name, key: &Key| {
        let ca = fixture.root.sub(&authority(), key);
        fixture.issued_by(name, &ca, &leaf())
    };
    vec![
        leaf_key("key-rsa-2048", &fixture.rsa_2048),
        leaf_key("key-rsa-4096", &fixture.rsa_4096),
        leaf_key("key-p384", &Key::generate(KeyAlgorithm::P384)),
        leaf_key("key-p521", &Key::generate(KeyAlgorithm::P521)),
        leaf_key("key-ed25519", &Key::generate(KeyAlgorithm::Ed25519)),
        issuer_key("issuer-key-rsa-2048", &fixture.rsa_2048),
        issuer_key("issuer-key-rsa-4096", &fixture.rsa_4096),
        issuer_key("issuer-key-p384", &Key::generate(KeyAlgorithm::P384)),
        issuer_key("issuer-key-p521", &Key::generate(KeyAlgorithm::P521)),
        issuer_key("issuer-key-ed25519", &Key::generate(KeyAlgorithm::Ed25519)),
    ]
}

/// RSA with 1,024 bits.
fn weak(fixture: &Fixture) -> Vec<Case> {
    let rsa_1024 = &fixture.rsa_1024;
    let leaf_key = |name, issuer: &Ca, builder: &CertBuilder| {
        fixture.with_identity(name, rsa_1024.identity(vec![issuer.issue(builder, rsa_1024), issuer.der()]))
    };
    let ca = fixture.root.sub(&authority(), rsa_1024);
    let expired = fixture.root.sub(&authority().valid_between(-90 * DAY, -HOUR), rsa_1024);
    let root = Ca::root(&CertBuilder::authority("Small Root"), rsa_1024);
    vec![
        leaf_key("key-rsa-1024", &fixture.intermediate, &leaf()).rejected(&["weak_key"]),
        leaf_key("key-rsa-1024-and-expired", &fixture.intermediate, &expired_leaf()).rejected(&["expired", "weak_key"]),
        leaf_key("key-rsa-1024-of-a-stranger", &fixture.untrusted_root, &leaf())
            .rejected(&["unknown_issuer", "weak_key"]),
        fixture.issued_by("issuer-key-rsa-1024", &ca, &leaf()).rejected(&["weak_key"]),
        fixture.issued_by("issuer-key-rsa-1024-and-expired", &expired, &leaf()).rejected(&["expired", "weak_key"]),
        fixture
            .chain("issuer-key-rsa-1024-and-bad-signature", vec![tampered(&ca.issue(&leaf(), &fixture.key)), ca.der()])
            .rejected(&["weak_key"]),
        fixture
            .issued_by("issuer-key-rsa-1024-with-sha1", &ca, &with_sha1(leaf()))
            .rejected(&["weak_key", "weak_signature_algorithm"]),
        fixture.under_root("root-key-rsa-1024", &root, &leaf()).rejected(&["weak_key"]),
        fixture
            .chain("root-key-rsa-1024-signs-directly", vec![root.issue(&leaf(), &fixture.key)])
            .with_roots(&[&root.der()])
            .rejected(&["weak_key"]),
    ]
}

/// Invalid signatures, and signatures with weak algorithms.
fn signatures(fixture: &Fixture) -> Vec<Case> {
    let Fixture { key, root, intermediate, rsa_2048, .. } = fixture;
    let rsa = root.sub(&authority(), rsa_2048);
    let rsa_root = Ca::root(&with_sha1(CertBuilder::authority("RSA Root")), rsa_2048);
    let signed = |name, algorithm| fixture.issued_by(name, &rsa, &leaf().with_signature_algorithm(algorithm));
    let bad_signature =
        |name, builder: &CertBuilder| fixture.chain(name, vec![tampered(&fixture.leaf(builder)), intermediate.der()]);
    let leaf_over_rsa_1024 = fixture.intermediate.issue(&leaf(), &fixture.rsa_1024);
    vec![
        signed("signature-rsa-sha384", SignatureAlgorithm::RsaSha384),
        signed("signature-rsa-sha512", SignatureAlgorithm::RsaSha512),
        signed("signature-rsa-pss", SignatureAlgorithm::RsaPssSha256),
        signed("signature-sha1", SignatureAlgorithm::RsaSha1).rejected(&["weak_signature_algorithm"]),
        signed("signature-md5", SignatureAlgorithm::RsaMd5).rejected(&["weak_signature_algorithm"]),
        fixture
            .issued_by("signature-sha1-and-expired", &rsa, &with_sha1(expired_leaf()))
            .rejected(&["expired", "weak_signature_algorithm"]),
        fixture
            .issued_by("signature-sha1-on-the-intermediate", &rsa_root.sub(&with_sha1(authority()), &p256()), &leaf())
            .with_roots(&[&rsa_root.der()])
            .rejected(&["weak_signature_algorithm"]),
        fixture.under_root("signature-sha1-on-the-root", &rsa_root, &leaf()),
        bad_signature("signature-bad", &leaf()).rejected(&["bad_signature"]),
        bad_signature("signature-bad-and-expired", &expired_leaf()).rejected(&["expired", "bad_signature"]),
        fixture
            .chain("signature-bad-on-the-intermediate", vec![fixture.leaf(&leaf()), tampered(&intermediate.der())])
            .rejected(&["bad_signature"]),
        fixture
            .with_identity("signature-bad-over-rsa-1024", {
                fixture.rsa_1024.identity(vec![tampered(&leaf_over_rsa_1024), intermediate.der()])
            })
            .rejected(&["weak_key", "bad_signature"]),
        fixture
            .chain(
                "signature-by-the-wrong-key",
                vec![leaf().sign(key, &CertBuilder::authority("Intermediate").subject, &p256()), intermediate.der()],
            )
            .rejected(&["bad_signature"]),
    ]
}

/// Algorithms that are not weak but that webpki does not support.
fn unsupported(fixture: &Fixture) -> Vec<Case> {
    let secp256k1 = fixture.root.sub(&authority(), &Key::generate(KeyAlgorithm::Secp256k1));
    let large = fixture.root.sub(&authority(), &Key::generate(KeyAlgorithm::Rsa8448));
    let rsa = fixture.root.sub(&authority(), &fixture.rsa_2048);
    let mislabeled = CertBuilder { algorithm: Some(SignatureAlgorithm::RsaSha256), ..leaf() };
    vec![
        fixture.issued_by("issuer-key-secp256k1", &secp256k1, &leaf()).rejected(&["unsupported_algorithm"]),
        fixture
            .issued_by("issuer-key-secp256k1-and-expired", &secp256k1, &expired_leaf())
            .rejected(&["expired", "unsupported_algorithm"]),
        fixture.issued_by("issuer-key-rsa-8448", &large, &leaf()).rejected(&["unsupported_algorithm"]),
        fixture
            .issued_by("signature-sha224", &rsa, &leaf().with_signature_algorithm(SignatureAlgorithm::RsaSha224))
            .rejected(&["unsupported_algorithm"]),
        fixture
            .issued_by("signature-of-another-kind-than-the-key", &fixture.intermediate, &mislabeled)
            .rejected(&["unsupported_algorithm"]),
    ]
}

/// Distrusted keys. Their private keys are not available, so other keys sign in their place.
fn distrusted(fixture: &Fixture) -> Vec<Case> {
    let distrusted = |builder: CertBuilder| CertBuilder { spki: Some(distrusted_spki()), ..builder };
    let ca = fixture.sub(&distrusted(authority()));
    // The same kind of key, so that the signature scheme fits the certificate.
    let other = Key::generate(KeyAlgorithm::P384);
    vec![
        fixture.issued_by("issuer-key-distrusted", &ca, &leaf()).rejected(&["bad_signature", "distrusted"]),
        fixture.issued_by("issuer-key-distrusted-and-expired", &ca, &expired_leaf()).rejected(&[
            "expired",
            "bad_signature",
            "distrusted",
        ]),
        fixture
            .with_identity(
                "key-distrusted",
                other.identity(vec![fixture.leaf(&distrusted(leaf())), fixture.intermediate.der()]),
            )
            .rejected(&["distrusted", "key_proof_failed"]),
    ]
}

/// Handshakes signed with a key other than the certificate's. This hides the verdict on the chain, since a certificate
/// proves nothing about a peer that does not hold its key.
fn proofs(fixture: &Fixture) -> Vec<Case> {
    let other = p256();
    let signed_by_other_key = |name, builder: &CertBuilder| {
        fixture.with_identity(name, other.identity(vec![fixture.leaf(builder), fixture.intermediate.der()]))
    };
    vec![
        signed_by_other_key("key-of-another", &leaf()).rejected(&["key_proof_failed"]),
        signed_by_other_key("key-of-another-and-expired", &expired_leaf()).rejected(&["expired", "key_proof_failed"]),
        // Verifiers do not parse these certificates, but the proof is still checked.
        signed_by_other_key(
            "key-of-another-and-version-1",
            &CertBuilder { version: Version::V1, extensions: Vec::new(), ..leaf() },
        )
        .rejected(&["unsupported_version", "key_proof_failed"])
        .name_mismatch("cn_only")
        .openssl_name(Agreement::Differs(names::COMMON_NAME)),
        signed_by_other_key("key-of-another-and-extension", &leaf().with_extension(Extension::unknown(true)))
            .rejected(&["critical_extension", "key_proof_failed"]),
    ]
}

fn with_sha1(builder: CertBuilder) -> CertBuilder {
    builder.with_signature_algorithm(SignatureAlgorithm::RsaSha1)
}

/// Changes the last octet, which belongs to the signature.
fn tampered(der: &CertificateDer<'_>) -> CertificateDer<'static> {
    let mut octets = der.to_vec();
    if let Some(last) = octets.last_mut() {
        *last ^= 1;
    }
    octets.into()
}

/// The key of e-commerce monitoring GmbH's "EMDVTLSCAG3B", which is on webpki's built-in list of distrusted keys
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

/// Its uncompressed point on P-384.
const DISTRUSTED_POINT: [u8; 97] = [
    0x04, 0xe7, 0x9e, 0xd9, 0xc0, 0x4a, 0x97, 0x73, 0xc4, 0x73, 0x5e, 0x51, 0x11, 0x1d, 0xa8, 0x5a, 0xc2, 0xbd, 0x5e,
    0x64, 0xab, 0x37, 0x4b, 0x80, 0xe1, 0x2c, 0xbc, 0x20, 0x38, 0xec, 0x1e, 0x4f, 0x0e, 0x3b, 0x81, 0x2f, 0xc9, 0x85,
    0x9e, 0x1e, 0x67, 0xaf, 0xb0, 0x4e, 0x2f, 0x8b, 0xc9, 0x7f, 0x74, 0x85, 0xba, 0x65, 0xaa, 0x91, 0x1e, 0xe8, 0xa4,
    0xe4, 0x5b, 0x62, 0xd5, 0xcc, 0x03, 0xd5, 0x6b, 0xe6, 0x78, 0xb3, 0xc3, 0x8c, 0xb4, 0xdc, 0x93, 0x7c, 0xa2, 0x46,
    0x0e, 0x23, 0x84, 0x53, 0xc8, 0x92, 0x93, 0x5d, 0x29, 0xd4, 0x4f, 0x91, 0xe1, 0x56, 0x06, 0xb6, 0x3c, 0xce, 0xda,
    0xb4, 0x68,
];
