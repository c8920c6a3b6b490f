//! Chains that some mail senders refuse and others accept, and what all of them refuse although a trust anchor is only a
//! name and a key in RFC 5280 §6.1.1 (d): the dates and extensions of the root.

use rustls_pki_types::CertificateDer;

use super::fixture::{DAY, Fixture, HOUR, authority, leaf, p256};
use super::validity::expired_leaf;
use super::{Agreement, Case, HOST, NameOutcome, names};
use crate::pki::Extension;
use crate::pki::x509::{
    ANY_EXTENDED_KEY_USAGE, CLIENT_AUTH, CRL_SIGN, Ca, CertBuilder, DATA_ENCIPHERMENT, DIGITAL_SIGNATURE, GeneralName,
    KEY_AGREEMENT, KEY_CERT_SIGN, KEY_ENCIPHERMENT, Key, KeyAlgorithm, NON_REPUDIATION, Name, SERVER_AUTH,
    SignatureAlgorithm, Time, Version,
};

pub(super) fn cases(fixture: &Fixture) -> Vec<Case> {
    [
        root_dates(fixture),
        root_extensions(fixture),
        issuers(fixture),
        identifiers(fixture),
        serials(fixture),
        key_usages(fixture),
        trusted_leaves(fixture),
        fields(fixture),
    ]
    .concat()
}

fn named_root(spec: CertBuilder) -> Ca {
    Ca::root(&spec, &p256())
}

fn root_spec() -> CertBuilder {
    CertBuilder::authority("Private Root")
}

fn root_dates(fixture: &Fixture) -> Vec<Case> {
    let Fixture { key, .. } = fixture;
    let old = named_root(root_spec().valid_between(-100 * DAY, -DAY));
    let renewed = Ca::root(&root_spec(), old.key());
    let later = Ca::root(&root_spec().valid_between(DAY, 100 * DAY), old.key());
    let other_key = named_root(root_spec());
    let other = named_root(CertBuilder::authority("Other Root"));
    let ca_key = p256();
    let from_old = old.sub(&authority(), &ca_key);
    let from_other = other.sub(&authority(), &ca_key);
    let issued = from_old.issue(&leaf(), key);
    let bridge = other.issue(&root_spec(), old.key());
    let direct = old.issue(&leaf(), key);
    vec![
        fixture
            .chain("root-expired-signs-directly", vec![direct.clone()])
            .with_roots(&[&old.der()])
            .outside_validity(&["expired"]),
        fixture.under_root("root-expired-and-leaf-expired", &old, &expired_leaf()).outside_validity(&["expired"]),
        fixture
            .under_root("root-expired-before-the-leaf-begins", &old, &leaf().valid_between(-HOUR, DAY))
            .undetermined(&["expired"]),
        fixture
            .under_root("root-validity-reversed", &named_root(root_spec().valid_between(DAY, -DAY)), &leaf())
            .undetermined(&["bad_validity"]),
        fixture
            .under_root("root-renewed-before-the-expired-one", &old, &leaf())
            .with_roots(&[&renewed.der(), &old.der()]),
        fixture
            .under_root("root-expired-and-not-yet-renewed", &old, &leaf())
            .with_roots(&[&old.der(), &later.der()])
            .outside_validity(&["expired"]),
        fixture
            .under_root("root-expired-beside-one-with-another-key", &old, &leaf())
            .with_roots(&[&old.der(), &other_key.der()])
            .outside_validity(&["expired"]),
        fixture
            .under_root("root-expired-and-renewed-one-presented", &old, &leaf())
            .with_roots(&[&old.der()])
            .outside_validity(&["expired"]),
        fixture
            .chain("root-expired-but-crossed", vec![issued.clone(), from_old.der(), bridge.clone()])
            .with_roots(&[&old.der(), &other.der()])
            .warned(&["issuer_order"]),
        fixture
            .chain("root-expired-not-trusted-but-crossed", vec![issued.clone(), from_old.der(), bridge])
            .with_roots(&[&other.der()]),
        fixture
            .chain(
                "intermediate-crossed-by-an-expired-root-first",
                vec![issued.clone(), from_old.der(), from_other.der()],
            )
            .with_roots(&[&old.der(), &other.der()])
            .warned(&["issuer_order"]),
        fixture
            .chain(
                "intermediate-crossed-by-an-expired-root-last",
                vec![issued.clone(), from_other.der(), from_old.der()],
            )
            .with_roots(&[&old.der(), &other.der()]),
        fixture
            .chain("root-expired-sent-along", vec![issued, from_old.der(), old.der()])
            .with_roots(&[&old.der()])
            .outside_validity(&["expired"]),
        fixture.under_root("root-expires-soon", &named_root(root_spec().valid_between(-100 * DAY, DAY)), &leaf()),
    ]
}

fn root_extensions(fixture: &Fixture) -> Vec<Case> {
    let with = |extension: Extension| named_root(root_spec().with_extension(extension));
    let bare = CertBuilder { extensions: Vec::new(), ..root_spec() };
    let no_basic_constraints = root_spec().without_extension(&Extension::basic_constraints(true, None));
    let no_key_usage = root_spec().without_extension(&Extension::ca_key_usage());
    let one_below = with(Extension::basic_constraints(true, Some(1)));
    let none_below = with(Extension::basic_constraints(true, Some(0)));
    let lower = one_below.sub(&CertBuilder::authority("First"), &p256());
    let lowest = lower.sub(&authority(), &p256());
    let tampered = |der: &CertificateDer<'_>| {
        let mut octets = der.to_vec();
        if let Some(last) = octets.last_mut() {
            *last ^= 1;
        }
        CertificateDer::from(octets)
    };
    let sound = named_root(root_spec());
    let old_not_signing = named_root(root_spec().with_extension(Extension::key_usage(&[CRL_SIGN])));
    let reissued = Ca::root(&root_spec(), old_not_signing.key());
    let eku = |purposes: &[&[u64]]| with(Extension::extended_key_usage(purposes));
    vec![
        fixture
            .under_root("root-without-key-cert-sign", &with(Extension::key_usage(&[CRL_SIGN])), &leaf())
            .rejected(&["not_a_ca"]),
        fixture
            .under_root("root-with-digital-signature-only", &with(Extension::key_usage(&[DIGITAL_SIGNATURE])), &leaf())
            .rejected(&["not_a_ca"]),
        fixture
            .under_root(
                "root-without-key-cert-sign-uncritical",
                &with(Extension { critical: false, ..Extension::key_usage(&[DIGITAL_SIGNATURE, CRL_SIGN]) }),
                &leaf(),
            )
            .rejected(&["not_a_ca"]),
        fixture
            .under_root("root-without-key-cert-sign-and-reissued", &old_not_signing, &leaf())
            .with_roots(&[&old_not_signing.der(), &reissued.der()])
            .warned(&["issuer_order"]),
        fixture.under_root("root-without-key-usage", &named_root(no_key_usage), &leaf()),
        fixture
            .under_root("root-without-basic-constraints", &named_root(no_basic_constraints), &leaf())
            .warned(&["root_basic_constraints"]),
        fixture.under_root("root-without-extensions", &named_root(bare), &leaf()).warned(&["root_basic_constraints"]),
        fixture
            .chain("root-allows-one-of-two", vec![lowest.issue(&leaf(), &fixture.key), lowest.der(), lower.der()])
            .with_roots(&[&one_below.der()])
            .rejected(&["path_too_long"]),
        fixture.under_root("root-allows-one", &one_below, &leaf()),
        fixture
            .chain("root-allows-no-intermediate-and-there-is-none", vec![none_below.issue(&leaf(), &fixture.key)])
            .with_roots(&[&none_below.der()]),
        fixture.under_root("root-eku-server", &eku(&[SERVER_AUTH]), &leaf()),
        fixture.under_root("root-eku-client-only", &eku(&[CLIENT_AUTH]), &leaf()).warned(&["root_extended_key_usage"]),
        fixture
            .under_root("root-eku-any-only", &eku(&[ANY_EXTENDED_KEY_USAGE]), &leaf())
            .warned(&["root_extended_key_usage"]),
        fixture
            .under_root(
                "root-with-a-critical-identifier",
                &with(Extension { critical: true, ..Extension::subject_key_identifier(&[1; 20]) }),
                &leaf(),
            )
            .warned(&["root_critical_extension"]),
        fixture.under_root(
            "root-inhibits-any-policy",
            &with(Extension { oid: vec![2, 5, 29, 54], critical: true, value: vec![0x02, 0x01, 0x00] }),
            &leaf(),
        ),
        fixture
            .under_root(
                "root-with-a-critical-information-access",
                &with(Extension { oid: vec![1, 3, 6, 1, 5, 5, 7, 1, 1], critical: true, value: vec![0x30, 0x00] }),
                &leaf(),
            )
            .warned(&["root_critical_extension"]),
        fixture.under_root("root-with-an-unknown-extension", &with(Extension::unknown(false)), &leaf()),
        fixture.under_root("root-signature-bad", &sound, &leaf()).with_roots(&[&tampered(&sound.der())]),
        fixture
            .under_root(
                "root-identifier-differs-from-itself",
                &named_root(
                    root_spec()
                        .with_extension(Extension::subject_key_identifier(&[1; 20]))
                        .with_extension(Extension::authority_key_identifier(&[2; 20])),
                ),
                &leaf(),
            )
            .warned(&["authority_key_identifier"]),
        fixture
            .under_root(
                "root-serial-negative",
                &named_root(CertBuilder { serial: vec![0xff, 1], ..root_spec() }),
                &leaf(),
            )
            .warned(&["serial_number"]),
    ]
}

fn issuers(fixture: &Fixture) -> Vec<Case> {
    let with = |extension: Extension| fixture.sub(&authority().with_extension(extension));
    let no_key_usage = fixture.sub(&authority().without_extension(&Extension::ca_key_usage()));
    let ca_key = p256();
    let not_signing = fixture.root.sub(&authority().with_extension(Extension::key_usage(&[CRL_SIGN])), &ca_key);
    let signing = fixture.root.sub(&authority(), &ca_key);
    let issued = signing.issue(&leaf(), &fixture.key);
    let crowd = |count: usize| {
        let others = (0..count).map(|number| fixture.sub(&CertBuilder::authority(&format!("Other {number}"))).der());
        [fixture.leaf(&leaf()), fixture.intermediate.der()].into_iter().chain(others).collect::<Vec<_>>()
    };
    vec![
        fixture
            .issued_by("issuer-without-key-cert-sign", &with(Extension::key_usage(&[CRL_SIGN])), &leaf())
            .rejected(&["not_a_ca"]),
        fixture
            .issued_by(
                "issuer-without-key-cert-sign-and-expired",
                &with(Extension::key_usage(&[DIGITAL_SIGNATURE])),
                &expired_leaf(),
            )
            .rejected(&["expired", "not_a_ca"]),
        fixture
            .issued_by(
                "issuer-without-key-cert-sign-uncritical",
                &with(Extension { critical: false, ..Extension::key_usage(&[DIGITAL_SIGNATURE]) }),
                &leaf(),
            )
            .rejected(&["not_a_ca"]),
        fixture.issued_by("issuer-without-key-usage", &no_key_usage, &leaf()),
        fixture
            .chain(
                "issuer-without-key-cert-sign-beside-another",
                vec![issued.clone(), not_signing.der(), signing.der()],
            )
            .warned(&["issuer_order"]),
        fixture.chain("sixteen-certificates", crowd(14)),
        fixture.chain("seventeen-certificates", crowd(15)).warned(&["many_certificates"]),
        fixture
            .chain("forty-intermediates", {
                let mut chain = Vec::new();
                let mut top = fixture.root.clone();
                for level in 0..40 {
                    top = top.sub(&CertBuilder::authority(&format!("Level {level}")), &p256());
                    chain.insert(0, top.der());
                }
                chain.insert(0, top.issue(&leaf(), &fixture.key));
                chain
            })
            .rejected(&["path_too_long"]),
    ]
}

fn identifiers(fixture: &Fixture) -> Vec<Case> {
    let identified = fixture.sub(&authority().with_extension(Extension::subject_key_identifier(&[1; 20])));
    let anonymous = fixture.sub(&authority());
    let refers = |identifier: &[u8]| leaf().with_extension(Extension::authority_key_identifier(identifier));
    // The first octet keeps the number positive.
    let numbered = fixture.sub(&CertBuilder { serial: vec![0, 0x87], ..authority() });
    let root = named_root(root_spec().with_extension(Extension::subject_key_identifier(&[3; 20])));
    let wrong_ca = |identifier: &[u8]| {
        root.sub(&authority().with_extension(Extension::authority_key_identifier(identifier)), &p256())
    };
    let ca_key = p256();
    let ca = |identifier: &[u8]| {
        fixture.root.sub(&authority().with_extension(Extension::subject_key_identifier(identifier)), &ca_key)
    };
    let (first, second) = (ca(&[1; 20]), ca(&[2; 20]));
    vec![
        fixture.issued_by("identifiers-agree", &identified, &refers(&[1; 20])),
        fixture.issued_by("identifier-differs", &identified, &refers(&[2; 20])).warned(&["authority_key_identifier"]),
        fixture.issued_by("identifier-shorter", &identified, &refers(&[1; 8])).warned(&["authority_key_identifier"]),
        fixture.issued_by("identifier-without-counterpart", &anonymous, &refers(&[2; 20])),
        fixture
            .issued_by(
                "identifier-differs-and-expired",
                &identified,
                &expired_leaf().with_extension(Extension::authority_key_identifier(&[2; 20])),
            )
            .outside_validity(&["expired"]),
        fixture.issued_by("identifier-of-the-root-agrees", &wrong_ca(&[3; 20]), &leaf()).with_roots(&[&root.der()]),
        fixture
            .issued_by("identifier-of-the-root-differs", &wrong_ca(&[4; 20]), &leaf())
            .with_roots(&[&root.der()])
            .warned(&["authority_key_identifier"]),
        fixture.issued_by(
            "issuer-and-serial-agree",
            &numbered,
            &leaf().with_extension(Extension::authority_certificate("Root", &[0, 0x87])),
        ),
        fixture
            .issued_by(
                "issuer-and-serial-differ-in-the-serial",
                &numbered,
                &leaf().with_extension(Extension::authority_certificate("Root", &[8])),
            )
            .warned(&["authority_key_identifier"]),
        fixture
            .issued_by(
                "issuer-and-serial-differ-in-the-issuer",
                &numbered,
                &leaf().with_extension(Extension::authority_certificate("Other", &[0, 0x87])),
            )
            .warned(&["authority_key_identifier"]),
        fixture.issued_by(
            "signed-with-rsa-pss-and-identified",
            &fixture
                .root
                .sub(&authority().with_extension(Extension::subject_key_identifier(&[1; 20])), &fixture.rsa_2048),
            &refers(&[1; 20]).with_signature_algorithm(SignatureAlgorithm::RsaPssSha256),
        ),
        fixture.chain(
            "identifier-agrees-with-the-second-issuer",
            vec![first.issue(&refers(&[2; 20]), &fixture.key), first.der(), second.der()],
        ),
    ]
}

fn serials(fixture: &Fixture) -> Vec<Case> {
    let unparsed = Agreement::Unparsed("the serial number is not in DER");
    let with_serial = |name, serial: Vec<u8>| fixture.case(name, &CertBuilder { serial, ..leaf() });
    vec![
        with_serial("serial-of-twenty-octets", vec![0x5a; 20]),
        with_serial("serial-of-twenty-one-octets", vec![0x5a; 21]).warned(&["serial_number"]),
        with_serial("serial-of-twenty-octets-and-a-sign", [vec![0], vec![0xa5; 20]].concat()),
        with_serial("serial-negative-one", vec![0xff]).warned(&["serial_number"]),
        with_serial("serial-padded", vec![0, 0, 7]).warned(&["serial_number"]).openssl_name(unparsed),
        with_serial("serial-of-no-octets", vec![]).warned(&["serial_number"]).openssl_name(unparsed),
        fixture
            .issued_by(
                "serial-of-the-issuer-negative",
                &fixture.sub(&CertBuilder { serial: vec![0x80, 1], ..authority() }),
                &leaf(),
            )
            .warned(&["serial_number"]),
        fixture
            .issued_by(
                "serial-of-the-issuer-of-forty-octets",
                &fixture.sub(&CertBuilder { serial: vec![0x5a; 40], ..authority() }),
                &leaf(),
            )
            .warned(&["serial_number"]),
    ]
}

fn key_usages(fixture: &Fixture) -> Vec<Case> {
    let ecdsa = |name, bits: &[u8]| fixture.case(name, &leaf().with_extension(Extension::key_usage(bits)));
    let rsa_key = Key::generate(KeyAlgorithm::P384);
    let p384 = |name, bits: &[u8]| {
        let issued = fixture.intermediate.issue(&leaf().with_extension(Extension::key_usage(bits)), &rsa_key);
        fixture.with_identity(name, rsa_key.identity(vec![issued, fixture.intermediate.der()]))
    };
    vec![
        fixture.case("key-usage-absent", &leaf().without_extension(&Extension::leaf_key_usage())),
        ecdsa("key-usage-cert-sign-only", &[KEY_CERT_SIGN]).warned(&["key_usage"]),
        ecdsa("key-usage-cert-sign-and-crl-sign", &[KEY_CERT_SIGN, CRL_SIGN]).warned(&["key_usage"]),
        ecdsa("key-usage-crl-sign-only", &[CRL_SIGN]).warned(&["key_usage"]),
        ecdsa("key-usage-encipherment-only", &[KEY_ENCIPHERMENT]).warned(&["no_digital_signature"]),
        ecdsa("key-usage-agreement-only", &[KEY_AGREEMENT]).warned(&["no_digital_signature"]),
        ecdsa("key-usage-non-repudiation-only", &[NON_REPUDIATION]).warned(&["key_usage"]),
        ecdsa("key-usage-data-encipherment-only", &[DATA_ENCIPHERMENT]).warned(&["key_usage"]),
        ecdsa("key-usage-signature-and-encipherment", &[DIGITAL_SIGNATURE, KEY_ENCIPHERMENT]),
        ecdsa("key-usage-signature-and-cert-sign", &[DIGITAL_SIGNATURE, KEY_CERT_SIGN]),
        ecdsa("key-usage-empty", &[]).warned(&["key_usage"]),
        fixture
            .issued_by(
                "issuer-key-usage-empty",
                &fixture.sub(&authority().with_extension(Extension::key_usage(&[]))),
                &leaf(),
            )
            .warned(&["key_usage"]),
        fixture
            .under_root(
                "root-key-usage-empty",
                &named_root(root_spec().with_extension(Extension::key_usage(&[]))),
                &leaf(),
            )
            .warned(&["key_usage"]),
        p384("key-usage-agreement-only-p384", &[KEY_AGREEMENT]).warned(&["no_digital_signature"]),
        fixture
            .case(
                "key-usage-encipherment-only-uncritical",
                &leaf().with_extension(Extension { critical: false, ..Extension::key_usage(&[KEY_ENCIPHERMENT]) }),
            )
            .warned(&["no_digital_signature"]),
        fixture
            .case(
                "eku-server-and-any",
                &leaf().with_extension(Extension::extended_key_usage(&[ANY_EXTENDED_KEY_USAGE, CLIENT_AUTH])),
            )
            .rejected(&["missing_eku"]),
    ]
}

fn trusted_leaves(fixture: &Fixture) -> Vec<Case> {
    let Fixture { key, untrusted_root, .. } = fixture;
    // As `openssl req -x509` makes it.
    let made_by_req = || {
        leaf()
            .without_extension(&Extension::leaf_key_usage())
            .without_extension(&Extension::extended_key_usage(&[]))
            .with_extension(Extension::basic_constraints(true, None))
            .with_extension(Extension::subject_key_identifier(&[5; 20]))
            .with_extension(Extension::authority_key_identifier(&[5; 20]))
    };
    let trusted = |name, spec: CertBuilder| {
        let der = spec.self_sign(key);
        fixture.chain(name, vec![der.clone()]).with_roots(&[&der])
    };
    let trusted_with_key = |name, spec: CertBuilder, key: &Key| {
        let der = spec.self_sign(key);
        fixture.with_identity(name, key.identity(vec![der.clone()])).with_roots(&[&der])
    };
    let plain = leaf().self_sign(key);
    let again = leaf().self_sign(key);
    let other_key = leaf().self_sign(&p256());
    let req = made_by_req().self_sign(key);
    let req_again = made_by_req().self_sign(key);
    let old = made_by_req().valid_between(-90 * DAY, -DAY).self_sign(key);
    let ca = as_ca(leaf());
    let issued_ca = untrusted_root.issue(&ca, key);
    let self_issued = ca.sign(key, &ca.subject, &p256());
    let bad = tamper(&req);
    let by_root = fixture.root.issue(&leaf(), key);
    vec![
        trusted("trusted-self-signed-authority", made_by_req()),
        fixture
            .chain(
                "trusted-self-signed-authority-beside-strays",
                vec![req.clone(), fixture.intermediate.der(), req.clone()],
            )
            .with_roots(&[&fixture.root.der(), &req]),
        trusted("trusted-self-signed-authority-expired", made_by_req().valid_between(-90 * DAY, -HOUR))
            .outside_validity(&["expired"]),
        trusted("trusted-self-signed-authority-not-yet-valid", made_by_req().valid_between(HOUR, 90 * DAY))
            .outside_validity(&["not_yet_valid"]),
        trusted("trusted-self-signed-authority-of-another-name", {
            made_by_req().with_alternative_names(&[GeneralName::dns("mail.example.com")]).with_common_name("mail")
        })
        .name_mismatch("not_listed"),
        trusted(
            "trusted-self-signed-authority-for-clients",
            made_by_req().with_extension(Extension::extended_key_usage(&[CLIENT_AUTH])),
        )
        .rejected(&["missing_eku"]),
        trusted("trusted-self-signed-authority-with-a-critical-extension", {
            made_by_req().with_extension(Extension::unknown(true))
        })
        .rejected(&["critical_extension"]),
        trusted_with_key("trusted-self-signed-authority-rsa-1024", made_by_req(), &fixture.rsa_1024)
            .rejected(&["weak_key"]),
        trusted_with_key("trusted-self-signed-authority-rsa-2048", made_by_req(), &fixture.rsa_2048),
        trusted(
            "trusted-self-signed-authority-for-signing-certificates",
            made_by_req().with_extension(Extension::ca_key_usage()),
        )
        .warned(&["key_usage"]),
        trusted(
            "trusted-self-signed-authority-for-both",
            made_by_req().with_extension(Extension::key_usage(&[DIGITAL_SIGNATURE, KEY_CERT_SIGN])),
        ),
        trusted(
            "trusted-self-signed-authority-without-key-cert-sign",
            made_by_req().with_extension(Extension::key_usage(&[DIGITAL_SIGNATURE])),
        ),
        trusted(
            "trusted-self-signed-authority-path-length-0",
            made_by_req().with_extension(Extension::basic_constraints(true, Some(0))),
        ),
        trusted(
            "trusted-self-signed-authority-with-constraints",
            made_by_req().with_extension(Extension::name_constraints(&[GeneralName::dns("example.org")], &[])),
        ),
        trusted(
            "trusted-self-signed-identifier-differs",
            made_by_req().with_extension(Extension::authority_key_identifier(&[6; 20])),
        )
        .warned(&["authority_key_identifier"]),
        trusted("trusted-self-signed-expired", expired_leaf()).outside_validity(&["expired"]),
        trusted(
            "trusted-self-signed-without-key-cert-sign",
            leaf().with_extension(Extension::key_usage(&[KEY_ENCIPHERMENT])),
        )
        .warned(&["no_digital_signature"]),
        trusted("trusted-self-signed-key-cert-sign-only", leaf().with_extension(Extension::ca_key_usage()))
            .warned(&["key_usage"]),
        trusted("trusted-self-signed-version-1", CertBuilder { version: Version::V1, extensions: vec![], ..leaf() })
            .name_mismatch("cn_only")
            .rejected(&["unsupported_version"])
            .openssl_name(Agreement::Differs(names::COMMON_NAME)),
        trusted("trusted-self-signed-serial-negative", CertBuilder { serial: vec![0x80], ..made_by_req() })
            .warned(&["serial_number"]),
        trusted_with_key(
            "trusted-self-signed-authority-sha1",
            made_by_req().with_signature_algorithm(SignatureAlgorithm::RsaSha1),
            &fixture.rsa_2048,
        ),
        trusted_with_key("trusted-self-signed-authority-ed25519", made_by_req(), &Key::generate(KeyAlgorithm::Ed25519)),
        fixture
            .chain("trusted-self-signed-signature-bad", vec![bad.clone()])
            .with_roots(&[&bad])
            .rejected(&["ca_as_end_entity", "bad_signature"]),
        fixture
            .chain("trusted-self-signed-after-another", vec![plain.clone()])
            .with_roots(&[&again, &plain])
            .warned(&["issuer_order"]),
        fixture
            .chain("trusted-self-signed-authority-after-another", vec![req.clone()])
            .with_roots(&[&req_again, &req])
            .warned(&["issuer_order"]),
        fixture.chain("trusted-self-signed-before-another", vec![plain.clone()]).with_roots(&[&plain, &again]),
        fixture.chain("trusted-self-signed-after-an-expired-one", vec![req.clone()]).with_roots(&[&old, &req]),
        fixture
            .chain("trusted-self-signed-after-one-with-another-key", vec![plain.clone()])
            .with_roots(&[&other_key, &plain])
            .warned(&["issuer_order"]),
        fixture.chain("trusted-self-signed-reissued", vec![again]).with_roots(&[&plain]).rejected(&["self_signed"]),
        fixture
            .chain("trusted-self-signed-authority-reissued", vec![req_again.clone()])
            .with_roots(&[&req])
            .rejected(&["self_signed"]),
        fixture
            .chain("trusted-self-signed-authority-reissued-after-expiry", vec![req_again])
            .with_roots(&[&old])
            .rejected(&["self_signed"]),
        fixture
            .chain("trusted-self-signed-authority-expired-and-renewed", vec![old.clone()])
            .with_roots(&[&old, &req])
            .outside_validity(&["expired"]),
        fixture
            .chain("trusted-authority-not-self-signed", vec![issued_ca.clone()])
            .with_roots(&[&issued_ca])
            .rejected(&["unknown_issuer", "ca_as_end_entity"]),
        fixture
            .chain("trusted-authority-self-issued-by-another-key", vec![self_issued.clone()])
            .with_roots(&[&self_issued])
            .rejected(&["not_a_ca", "ca_as_end_entity", "bad_signature"]),
        fixture
            .chain("trusted-leaf-beside-its-root", vec![by_root.clone()])
            .with_roots(&[&by_root, &fixture.root.der()]),
        fixture
            .with_identity("trusted-root-presented-as-leaf", fixture.root.key().identity(vec![fixture.root.der()]))
            .name_mismatch("no_san")
            .warned(&["key_usage"]),
    ]
}

fn fields(fixture: &Fixture) -> Vec<Case> {
    let beside = |spec: CertBuilder| vec![fixture.leaf(&leaf()), fixture.intermediate.der(), fixture.sub(&spec).der()];
    let times = |name, not_before, not_after| fixture.case(name, &CertBuilder { not_before, not_after, ..leaf() });
    vec![
        fixture.case("subject-empty-and-names-uncritical", &CertBuilder { subject: Name::empty(), ..leaf() }),
        times("times-in-utc-without-seconds", Time::UtcText("2401010000Z"), Time::FromNow(90 * DAY))
            .rejected(&["malformed"]),
        times("times-in-utc-with-an-offset", Time::UtcText("240101000000+0100"), Time::FromNow(90 * DAY))
            .rejected(&["malformed"]),
        times("times-with-fractions", Time::Text("20240101000000.5Z"), Time::FromNow(90 * DAY))
            .rejected(&["malformed"]),
        times("times-without-zone", Time::Text("20240101000000"), Time::FromNow(90 * DAY))
            .rejected(&["malformed"])
            .with_name_outcome(NameOutcome::Unknown)
            .openssl_name(Agreement::Differs("OpenSSL does not parse the times until it compares them")),
        times("times-in-utc-after-2049", Time::FromNow(-DAY), Time::UtcText("491231235959Z")),
        fixture
            .chain(
                "noise-after-the-chain",
                vec![fixture.leaf(&leaf()), fixture.intermediate.der(), b"noise".to_vec().into()],
            )
            .rejected(&["malformed"]),
        fixture
            .chain("serial-of-a-stray-negative", beside(CertBuilder { serial: vec![0x80, 1], ..authority() }))
            .warned(&["serial_number"]),
        fixture.chain(
            "version-1-beside",
            beside(CertBuilder { version: Version::V1, extensions: Vec::new(), ..authority() }),
        ),
        fixture.chain("expired-beside", beside(authority().valid_between(-90 * DAY, -DAY))),
        fixture.case(
            "names-critical",
            &leaf().with_extension(Extension {
                critical: true,
                ..Extension::subject_alternative_names(&[GeneralName::dns(HOST)])
            }),
        ),
        fixture.case(
            "basic-constraints-uncritical",
            &leaf().with_extension(Extension { critical: false, ..Extension::basic_constraints(false, None) }),
        ),
        fixture.issued_by(
            "issuer-basic-constraints-uncritical",
            &fixture.sub(
                &authority().with_extension(Extension { critical: false, ..Extension::basic_constraints(true, None) }),
            ),
            &leaf(),
        ),
        fixture
            .issued_by(
                "issuer-subject-key-identifier-critical",
                &fixture.sub(
                    &authority()
                        .with_extension(Extension { critical: true, ..Extension::subject_key_identifier(&[1; 20]) }),
                ),
                &leaf(),
            )
            .rejected(&["critical_extension"]),
    ]
}

fn as_ca(builder: CertBuilder) -> CertBuilder {
    builder.with_extension(Extension::basic_constraints(true, None))
}

fn tamper(der: &CertificateDer<'_>) -> CertificateDer<'static> {
    let mut octets = der.to_vec();
    if let Some(last) = octets.last_mut() {
        *last ^= 1;
    }
    octets.into()
}
