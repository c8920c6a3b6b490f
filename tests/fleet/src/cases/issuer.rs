//! Issuers: unknown, missing, trusted, cross-signed, and not allowed to issue.

use super::Case;
use super::fixture::{DAY, Fixture, HOUR, authority, leaf, p256};
use super::validity::{expired_leaf, future_leaf};
use crate::Identity;
use crate::pki::Extension;
use crate::pki::x509::{Ca, CertBuilder};

pub(super) fn cases(fixture: &Fixture) -> Vec<Case> {
    [untrusted(fixture), missing(fixture), trust_anchors(fixture), cross_signed(fixture), authorities(fixture)].concat()
}

fn untrusted(fixture: &Fixture) -> Vec<Case> {
    let Fixture { key, untrusted_root, .. } = fixture;
    let self_signed = |name, builder: &CertBuilder| fixture.chain(name, vec![builder.self_sign(key)]);
    vec![
        self_signed("self-signed", &leaf()).rejected(&["self_signed"]),
        self_signed("self-signed-authority", &as_ca(leaf())).rejected(&["self_signed"]),
        self_signed("self-signed-expired", &expired_leaf()).rejected(&["expired", "self_signed"]),
        self_signed("self-signed-not-yet-valid", &future_leaf()).rejected(&["not_yet_valid", "self_signed"]),
        fixture
            .chain("self-signed-with-strays", vec![leaf().self_sign(key), fixture.intermediate.der()])
            .rejected(&["self_signed"]),
        fixture
            .chain("self-issued-by-another-key", vec![leaf().sign(key, &leaf().subject, &p256())])
            .rejected(&["unknown_issuer"]),
        fixture
            .chain("issuer-unknown", vec![untrusted_root.issue(&leaf(), key)])
            .with_other_servers(vec![other_server(fixture)])
            .rejected(&["unknown_issuer"]),
        fixture.issued_by("untrusted-root-presented", untrusted_root, &leaf()).rejected(&["unknown_issuer"]),
        fixture
            .issued_by("untrusted-root-presented-and-expired", untrusted_root, &expired_leaf())
            .rejected(&["expired", "unknown_issuer"]),
        fixture
            .issued_by(
                "untrusted-root-itself-expired",
                &Ca::root(&authority().valid_between(-9 * DAY, -DAY), &p256()),
                &leaf(),
            )
            .rejected(&["expired", "unknown_issuer"]),
        fixture
            .issued_by("root-of-the-same-name", &Ca::root(&CertBuilder::authority("Root"), &p256()), &leaf())
            .rejected(&["bad_signature"]),
    ]
}

fn missing(fixture: &Fixture) -> Vec<Case> {
    let Fixture { key, intermediate, .. } = fixture;
    let leaf_only = |name, builder: &CertBuilder| {
        fixture.chain(name, vec![fixture.leaf(builder)]).with_other_servers(vec![other_server(fixture)])
    };
    let first = fixture.sub(&CertBuilder::authority("First"));
    let second = first.sub(&CertBuilder::authority("Second"), &p256());
    let third = second.sub(&CertBuilder::authority("Third"), &p256());
    let full_chain = vec![third.issue(&CertBuilder::leaf(&[OTHER_NAME]), key), third.der(), second.der(), first.der()];
    let full_chain = vec![key.identity(full_chain)];
    let same_name = fixture.sub(&CertBuilder::authority("Intermediate"));
    vec![
        leaf_only("missing-intermediate", &leaf()).rejected(&["missing_intermediate"]),
        leaf_only("missing-intermediate-and-expired", &expired_leaf()).rejected(&["expired", "missing_intermediate"]),
        fixture.chain("missing-intermediate-nowhere-seen", vec![fixture.leaf(&leaf())]).rejected(&["unknown_issuer"]),
        fixture
            .chain("missing-intermediate-of-the-same-name", vec![fixture.leaf(&leaf())])
            .with_other_servers(vec![
                key.identity(vec![same_name.issue(&CertBuilder::leaf(&[OTHER_NAME]), key), same_name.der()]),
            ])
            .rejected(&["unknown_issuer"]),
        fixture
            .chain("missing-three-intermediates", vec![third.issue(&leaf(), key)])
            .with_other_servers(full_chain.clone())
            .rejected(&["missing_intermediate"]),
        fixture
            .chain("missing-the-middle-intermediate", vec![third.issue(&leaf(), key), third.der(), first.der()])
            .with_other_servers(full_chain)
            .rejected(&["missing_intermediate"]),
        fixture
            .chain("missing-intermediate-of-a-stranger", vec![fixture.untrusted_root.issue(&leaf(), key)])
            .with_other_servers(vec![key.identity(vec![
                fixture.untrusted_root.issue(&CertBuilder::leaf(&[OTHER_NAME]), key),
                fixture.untrusted_root.der(),
            ])])
            .rejected(&["unknown_issuer"]),
        fixture
            .chain("root-in-place-of-the-intermediate", vec![fixture.leaf(&leaf()), fixture.root.der()])
            .with_other_servers(vec![
                key.identity(vec![fixture.leaf(&CertBuilder::leaf(&[OTHER_NAME])), intermediate.der()]),
            ])
            .rejected(&["missing_intermediate"]),
    ]
}

fn trust_anchors(fixture: &Fixture) -> Vec<Case> {
    let Fixture { key, root, intermediate, .. } = fixture;
    let self_signed = leaf().self_sign(key);
    let self_signed_ca = as_ca(leaf()).self_sign(key);
    let untrusted = fixture.untrusted_root.issue(&leaf(), key);
    let not_a_ca = Ca::root(
        &CertBuilder::authority("Not A CA").with_extension(Extension::basic_constraints(false, None)),
        &p256(),
    );
    let no_intermediates = Ca::root(
        &CertBuilder::authority("No Intermediates").with_extension(Extension::basic_constraints(true, Some(0))),
        &p256(),
    );
    let unknown_extension =
        Ca::root(&CertBuilder::authority("Unknown Extension").with_extension(Extension::unknown(true)), &p256());
    let same_name = Ca::root(&CertBuilder::authority("Root"), &p256());
    vec![
        fixture.chain("root-signs-directly", vec![root.issue(&leaf(), key)]),
        fixture.chain("self-signed-and-trusted", vec![self_signed.clone()]).with_roots(&[&self_signed]),
        fixture.chain("self-signed-authority-and-trusted", vec![self_signed_ca.clone()]).with_roots(&[&self_signed_ca]),
        fixture
            .chain("leaf-among-the-roots", vec![untrusted.clone()])
            .with_roots(&[&untrusted])
            .rejected(&["unknown_issuer"]),
        fixture
            .case("root-is-an-intermediate", &leaf())
            .with_roots(&[&intermediate.der()])
            .warned(&["root_not_self_signed"]),
        fixture
            .chain("root-is-an-intermediate-not-presented", vec![fixture.leaf(&leaf())])
            .with_roots(&[&intermediate.der()])
            .warned(&["root_not_self_signed"]),
        fixture
            .case("two-roots-of-the-same-name", &leaf())
            .with_roots(&[&same_name.der(), &root.der()])
            .warned(&["issuer_order"]),
        fixture.under_root("root-is-no-authority", &not_a_ca, &leaf()).rejected(&["not_a_ca"]),
        fixture.under_root("root-allows-no-intermediate", &no_intermediates, &leaf()).rejected(&["path_too_long"]),
        fixture
            .under_root("root-with-an-unknown-critical-extension", &unknown_extension, &leaf())
            .rejected(&["critical_extension"]),
    ]
}

/// An intermediate with certificates from two roots.
fn cross_signed(fixture: &Fixture) -> Vec<Case> {
    let Fixture { key, root, untrusted_root, .. } = fixture;
    let other_root = Ca::root(&CertBuilder::authority("Other Root"), &p256());
    let shared_key = p256();
    let ca = root.sub(&authority(), &shared_key);
    let issued = ca.issue(&leaf(), key);
    let cross_certificate = |root: &Ca, spec: &CertBuilder| root.issue(spec, &shared_key);
    let expired = || authority().valid_between(-100 * DAY, -HOUR);
    let bridge = |spec: CertBuilder| {
        other_root.issue(&CertBuilder { subject: CertBuilder::authority("Root").subject, ..spec }, root.key())
    };
    let same_name = root.issue(&authority(), &p256());
    vec![
        fixture
            .chain(
                "crossed-first-path-dead",
                vec![issued.clone(), cross_certificate(untrusted_root, &authority()), ca.der()],
            )
            .warned(&["issuer_order"]),
        fixture.chain(
            "crossed-second-path-dead",
            vec![issued.clone(), ca.der(), cross_certificate(untrusted_root, &authority())],
        ),
        fixture
            .chain(
                "crossed-both-roots-trusted",
                vec![issued.clone(), cross_certificate(&other_root, &authority()), ca.der()],
            )
            .with_roots(&[&root.der(), &other_root.der()]),
        fixture
            .chain(
                "crossed-expired-or-untrusted",
                vec![
                    issued.clone(),
                    cross_certificate(untrusted_root, &authority()),
                    cross_certificate(root, &expired()),
                ],
            )
            .outside_validity(&["expired"]),
        fixture
            .chain("bridge-to-another-root-expired", vec![issued.clone(), ca.der(), bridge(expired())])
            .with_roots(&[&root.der(), &other_root.der()]),
        fixture
            .chain("bridge-to-the-only-trusted-root", vec![issued.clone(), ca.der(), bridge(authority())])
            .with_roots(&[&other_root.der()]),
        fixture
            .chain("bridge-expired-to-the-only-trusted-root", vec![issued.clone(), ca.der(), bridge(expired())])
            .with_roots(&[&other_root.der()])
            .outside_validity(&["expired"]),
        fixture
            .chain("intermediate-of-the-same-name-with-another-key", vec![issued, same_name, ca.der()])
            .warned(&["issuer_order"]),
    ]
}

/// Issuers that are not CAs, and leaves that are.
fn authorities(fixture: &Fixture) -> Vec<Case> {
    let not_a_ca = fixture.sub(&authority().with_extension(Extension::basic_constraints(false, None)));
    let without_basic_constraints =
        fixture.sub(&authority().without_extension(&Extension::basic_constraints(true, None)));
    let expired = fixture
        .sub(&authority().with_extension(Extension::basic_constraints(false, None)).valid_between(-90 * DAY, -DAY));
    vec![
        fixture.issued_by("issuer-is-no-authority", &not_a_ca, &leaf()).rejected(&["not_a_ca"]),
        fixture
            .issued_by("issuer-does-not-say-that-it-is-an-authority", &without_basic_constraints, &leaf())
            .rejected(&["not_a_ca"]),
        fixture.issued_by("issuer-is-no-authority-and-expired", &expired, &leaf()).rejected(&["expired", "not_a_ca"]),
        fixture.case("leaf-is-an-authority", &as_ca(leaf())).rejected(&["ca_as_end_entity"]),
        fixture
            .case("leaf-is-an-authority-and-expired", &as_ca(expired_leaf()))
            .rejected(&["expired", "ca_as_end_entity"]),
        fixture
            .issued_by("leaf-is-an-authority-of-a-stranger", &fixture.untrusted_root, &as_ca(leaf()))
            .rejected(&["unknown_issuer", "ca_as_end_entity"]),
        fixture.case("leaf-with-a-path-length", &leaf().with_extension(Extension::basic_constraints(false, Some(0)))),
        fixture.case(
            "leaf-without-basic-constraints",
            &leaf().without_extension(&Extension::basic_constraints(false, None)),
        ),
    ]
}

/// What another server presents.
fn other_server(fixture: &Fixture) -> Identity {
    fixture.key.identity(vec![fixture.leaf(&CertBuilder::leaf(&[OTHER_NAME])), fixture.intermediate.der()])
}

fn as_ca(builder: CertBuilder) -> CertBuilder {
    builder.with_extension(Extension::basic_constraints(true, None))
}

const OTHER_NAME: &str = "mx.example.com";
