//! The form of certificates: versions, extensions, and bytes that are none.

use rustls_pki_types::CertificateDer;

use super::fixture::{Hands, authority, leaf, p256};
use super::validity::past;
use super::{Agreement, Case, HOST, NameOutcome, names};
use crate::pki::Extension;
use crate::pki::x509::{Ca, CertBuilder, GeneralName, Name, SignatureAlgorithm, Version};

pub(super) fn cases(hands: &Hands) -> Vec<Case> {
    [versions(hands), extensions(hands), fields(hands), debris(hands)].concat()
}

fn versions(hands: &Hands) -> Vec<Case> {
    let old = |version, builder: CertBuilder| CertBuilder { version, extensions: Vec::new(), ..builder };
    let v1 = |builder| old(Version::V1, builder);
    let root = Ca::root(&v1(CertBuilder::authority("Old Root")), &p256());
    let named = |case: Case| case.mismatched("cn_only").openssl_name(Agreement::Differs(names::COMMON_NAME));
    let differs = Agreement::Differs("OpenSSL takes certificates of versions 1 and 2; webpki version 3 alone");
    vec![
        named(hands.case("version-1", &v1(leaf())).refused(&["unsupported_version"])).openssl_chain(differs),
        named(hands.case("version-2", &old(Version::V2, leaf())).refused(&["unsupported_version"]))
            .openssl_chain(differs),
        named(hands.case("version-1-and-expired", &v1(past())).refused(&["expired", "unsupported_version"])),
        named(hands.from("version-1-of-a-stranger", &hands.stranger, &v1(leaf())))
            .refused(&["unknown_issuer", "unsupported_version"]),
        named(hands.chain("version-1-self-signed", vec![v1(leaf()).self_sign(&hands.key)]))
            .refused(&["self_signed", "unsupported_version"]),
        hands
            .from("issuer-version-1", &hands.sub(&v1(authority())), &leaf())
            .refused(&["not_a_ca", "unsupported_version"]),
        hands.from("root-version-1", &root.sub(&authority(), &p256()), &leaf()).under(&[&root.der()]),
    ]
}

fn extensions(hands: &Hands) -> Vec<Case> {
    let odd = |builder: CertBuilder| builder.with_extension(Extension::unknown(true));
    // inhibitAnyPolicy (RFC 5280 §4.2.1.14).
    let policy = Extension { oid: vec![2, 5, 29, 54], critical: true, value: vec![0x02, 0x01, 0x00] };
    vec![
        hands.case("extension-unknown", &leaf().with_extension(Extension::unknown(false))),
        hands.case("extension-unknown-and-critical", &odd(leaf())).refused(&["critical_extension"]),
        hands
            .case("extension-unknown-and-critical-and-expired", &odd(past()))
            .refused(&["expired", "critical_extension"]),
        hands
            .from("issuer-extension-unknown-and-critical", &hands.sub(&odd(authority())), &leaf())
            .refused(&["critical_extension"]),
        hands
            .from("issuer-inhibits-any-policy", &hands.sub(&authority().with_extension(policy)), &leaf())
            .refused(&["critical_extension"])
            .openssl_chain(Agreement::Differs("OpenSSL processes policies (RFC 5280 §6.1), webpki does not")),
        hands.case(
            "subject-empty",
            &CertBuilder {
                subject: Name::empty(),
                ..leaf().with_extension(Extension {
                    critical: true,
                    ..Extension::subject_alternative_names(&[GeneralName::dns(HOST)])
                })
            },
        ),
    ]
}

fn fields(hands: &Hands) -> Vec<Case> {
    let doubled = |mut builder: CertBuilder| {
        builder.extensions.push(Extension::leaf_key_usage());
        builder
    };
    let disagreeing = CertBuilder { inner_algorithm: Some(SignatureAlgorithm::EcdsaSha384), ..leaf() };
    let with_unique_id = |builder: CertBuilder| CertBuilder { unique_id: true, ..builder };
    let differs = Agreement::Differs("OpenSSL reads unique identifiers (RFC 5280 §4.1.2.8); webpki refuses them");
    vec![
        hands.case("extension-twice", &doubled(leaf())).refused(&["malformed"]),
        hands.case("algorithms-disagree", &disagreeing).refused(&["malformed"]),
        hands.case("unique-id", &with_unique_id(leaf())).refused(&["malformed"]).openssl_chain(differs),
        hands.case("unique-id-and-expired", &with_unique_id(past())).refused(&["expired", "malformed"]),
        hands
            .from("issuer-with-unique-id", &hands.sub(&with_unique_id(authority())), &leaf())
            .refused(&["malformed"])
            .openssl_chain(differs),
        hands.case("serial-negative", &CertBuilder { serial: vec![0xff, 0x01], ..leaf() }),
        hands.case("serial-zero", &CertBuilder { serial: vec![0x00], ..leaf() }),
        hands.case("serial-of-forty-octets", &CertBuilder { serial: vec![0x5a; 40], ..leaf() }),
    ]
}

/// Bytes that are no certificate.
fn debris(hands: &Hands) -> Vec<Case> {
    let Hands { intermediate, .. } = hands;
    let issued = hands.leaf(&leaf());
    let cut = |der: &CertificateDer<'_>| CertificateDer::from(der.get(..der.len() - 10).unwrap_or_default().to_vec());
    let longer = |der: &CertificateDer<'_>| CertificateDer::from([der, &[0x05, 0x00][..]].concat());
    let empty = || CertificateDer::from(Vec::new());
    let noise = || CertificateDer::from(b"Subject: not a certificate\r\n\r\nindeed".to_vec());
    let lost = |name, leaf| {
        let unparsed = Agreement::Unparsed("the certificate cannot be parsed");
        hands
            .chain(name, vec![leaf, intermediate.der()])
            .refused(&["malformed"])
            .named(NameOutcome::Unknown)
            .openssl_chain(unparsed)
            .openssl_name(unparsed)
    };
    vec![
        lost("leaf-cut-off", cut(&issued)),
        lost("leaf-of-no-octets", empty()),
        lost("leaf-of-noise", noise()),
        hands
            .chain("issuer-of-noise", vec![issued.clone(), noise()])
            .refused(&["unknown_issuer", "malformed"])
            .openssl_chain(Agreement::Unparsed(BESIDE)),
        hands
            .chain("issuer-cut-off", vec![issued.clone(), cut(&intermediate.der())])
            .refused(&["unknown_issuer", "malformed"])
            .openssl_chain(Agreement::Unparsed(BESIDE)),
        hands.chain("noise-beside", vec![issued.clone(), noise(), intermediate.der(), empty()]),
        hands
            .chain("noise-beside-and-expired", vec![hands.leaf(&past()), noise(), intermediate.der()])
            .untimely(&["expired"]),
        hands
            .chain("leaf-with-trailing-octets", vec![longer(&issued), intermediate.der()])
            .refused(&["malformed"])
            .named(NameOutcome::Unknown)
            .openssl_chain(Agreement::Differs(TRAILING))
            .openssl_name(Agreement::Differs(TRAILING)),
    ]
}

const BESIDE: &str =
    "nothing of what is sent along can be parsed, which `openssl verify -untrusted` takes for a usage error";
const TRAILING: &str = "OpenSSL reads the first value and lets what follows be; the octets sent are to be one \
    certificate (RFC 8446 §4.4.2)";
