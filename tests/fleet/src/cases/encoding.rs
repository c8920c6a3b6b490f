//! The encoding of certificates: versions, extensions, fields, and bytes that are not certificates.

use rustls_pki_types::CertificateDer;

use super::fixture::{Fixture, authority, leaf, p256};
use super::validity::expired_leaf;
use super::{Agreement, Case, HOST, NameOutcome, names};
use crate::pki::Extension;
use crate::pki::x509::{Ca, CertBuilder, GeneralName, Name, SignatureAlgorithm, Version};

pub(super) fn cases(fixture: &Fixture) -> Vec<Case> {
    [versions(fixture), extensions(fixture), fields(fixture), unparsable(fixture)].concat()
}

fn versions(fixture: &Fixture) -> Vec<Case> {
    let with_version = |version, builder: CertBuilder| CertBuilder { version, extensions: Vec::new(), ..builder };
    let v1 = |builder| with_version(Version::V1, builder);
    let root = Ca::root(&v1(CertBuilder::authority("Old Root")), &p256());
    let cn_only = |case: Case| case.name_mismatch("cn_only").openssl_name(Agreement::Differs(names::COMMON_NAME));
    vec![
        cn_only(fixture.case("version-1", &v1(leaf())).rejected(&["unsupported_version"])),
        cn_only(fixture.case("version-2", &with_version(Version::V2, leaf())).rejected(&["unsupported_version"])),
        cn_only(
            fixture.case("version-1-and-expired", &v1(expired_leaf())).rejected(&["expired", "unsupported_version"]),
        ),
        cn_only(fixture.issued_by("version-1-of-a-stranger", &fixture.untrusted_root, &v1(leaf())))
            .rejected(&["unknown_issuer", "unsupported_version"]),
        cn_only(fixture.chain("version-1-self-signed", vec![v1(leaf()).self_sign(&fixture.key)]))
            .rejected(&["self_signed", "unsupported_version"]),
        fixture
            .issued_by("issuer-version-1", &fixture.sub(&v1(authority())), &leaf())
            .rejected(&["not_a_ca", "unsupported_version"]),
        fixture.issued_by("root-version-1", &root.sub(&authority(), &p256()), &leaf()).with_roots(&[&root.der()]),
    ]
}

fn extensions(fixture: &Fixture) -> Vec<Case> {
    let with_unknown_extension = |builder: CertBuilder| builder.with_extension(Extension::unknown(true));
    // certificatePolicies with one policy (RFC 5280 §4.2.1.4).
    let policies = || Extension { oid: vec![2, 5, 29, 32], critical: true, value: POLICIES.to_vec() };
    // inhibitAnyPolicy (RFC 5280 §4.2.1.14).
    let policy = Extension { oid: vec![2, 5, 29, 54], critical: true, value: vec![0x02, 0x01, 0x00] };
    vec![
        fixture.case("extension-unknown", &leaf().with_extension(Extension::unknown(false))),
        fixture
            .case("extension-unknown-and-critical", &with_unknown_extension(leaf()))
            .rejected(&["critical_extension"]),
        fixture
            .case("extension-unknown-and-critical-and-expired", &with_unknown_extension(expired_leaf()))
            .rejected(&["expired", "critical_extension"]),
        fixture
            .issued_by(
                "issuer-extension-unknown-and-critical",
                &fixture.sub(&with_unknown_extension(authority())),
                &leaf(),
            )
            .rejected(&["critical_extension"]),
        fixture
            .issued_by("issuer-inhibits-any-policy", &fixture.sub(&authority().with_extension(policy)), &leaf())
            .rejected(&["critical_extension"]),
        fixture.case("policies-critical", &leaf().with_extension(policies())).rejected(&["critical_extension"]),
        fixture
            .issued_by("issuer-policies-critical", &fixture.sub(&authority().with_extension(policies())), &leaf())
            .rejected(&["critical_extension"]),
        fixture.case("policies", &leaf().with_extension(Extension { critical: false, ..policies() })),
        fixture.case(
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

fn fields(fixture: &Fixture) -> Vec<Case> {
    let with_duplicate_extension = |mut builder: CertBuilder| {
        builder.extensions.push(Extension::leaf_key_usage());
        builder
    };
    let mismatched_algorithms = CertBuilder { inner_algorithm: Some(SignatureAlgorithm::EcdsaSha384), ..leaf() };
    let with_unique_id = |builder: CertBuilder| CertBuilder { unique_id: true, ..builder };
    vec![
        fixture.case("extension-twice", &with_duplicate_extension(leaf())).rejected(&["malformed"]),
        fixture.case("algorithms-disagree", &mismatched_algorithms).rejected(&["malformed"]),
        fixture.case("unique-id", &with_unique_id(leaf())).rejected(&["malformed"]),
        fixture.case("unique-id-and-expired", &with_unique_id(expired_leaf())).rejected(&["expired", "malformed"]),
        fixture
            .issued_by("issuer-with-unique-id", &fixture.sub(&with_unique_id(authority())), &leaf())
            .rejected(&["malformed"]),
        fixture.case("serial-negative", &CertBuilder { serial: vec![0xff, 0x01], ..leaf() }).warned(&["serial_number"]),
        fixture.case("serial-zero", &CertBuilder { serial: vec![0x00], ..leaf() }),
        fixture
            .case("serial-of-forty-octets", &CertBuilder { serial: vec![0x5a; 40], ..leaf() })
            .warned(&["serial_number"]),
    ]
}

/// Bytes that are not certificates.
fn unparsable(fixture: &Fixture) -> Vec<Case> {
    let Fixture { intermediate, .. } = fixture;
    let issued = fixture.leaf(&leaf());
    let truncated =
        |der: &CertificateDer<'_>| CertificateDer::from(der.get(..der.len() - 10).unwrap_or_default().to_vec());
    let with_trailing_data = |der: &CertificateDer<'_>| CertificateDer::from([der, &[0x05, 0x00][..]].concat());
    let empty = || CertificateDer::from(Vec::new());
    let garbage = || CertificateDer::from(b"Subject: not a certificate\r\n\r\nindeed".to_vec());
    let unparsable_leaf = |name, leaf| {
        let unparsed = Agreement::Unparsed("the certificate cannot be parsed");
        fixture
            .chain(name, vec![leaf, intermediate.der()])
            .rejected(&["malformed"])
            .with_name_outcome(NameOutcome::Unknown)
            .openssl_name(unparsed)
    };
    vec![
        unparsable_leaf("leaf-cut-off", truncated(&issued)),
        unparsable_leaf("leaf-of-no-octets", empty()),
        unparsable_leaf("leaf-of-noise", garbage()),
        fixture.chain("issuer-of-noise", vec![issued.clone(), garbage()]).rejected(&["unknown_issuer", "malformed"]),
        fixture
            .chain("issuer-cut-off", vec![issued.clone(), truncated(&intermediate.der())])
            .rejected(&["unknown_issuer", "malformed"]),
        fixture
            .chain("noise-beside", vec![issued.clone(), garbage(), intermediate.der(), empty()])
            .rejected(&["malformed"]),
        fixture
            .chain("noise-beside-and-expired", vec![fixture.leaf(&expired_leaf()), garbage(), intermediate.der()])
            .rejected(&["expired", "malformed"]),
        fixture
            .chain("leaf-with-trailing-octets", vec![with_trailing_data(&issued), intermediate.der()])
            .rejected(&["malformed"])
            .with_name_outcome(NameOutcome::Unknown)
            .openssl_name(Agreement::Differs(TRAILING_DATA)),
    ]
}

const TRAILING_DATA: &str = "OpenSSL reads the first value and ignores trailing data; the octets must be exactly one \
    certificate (RFC 8446 §4.4.2)";

/// The policy 1.2.3.4.
const POLICIES: [u8; 9] = [0x30, 0x07, 0x30, 0x05, 0x06, 0x03, 0x2a, 0x03, 0x04];
