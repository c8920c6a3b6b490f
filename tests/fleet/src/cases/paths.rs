//! The order of the certificates sent, unrelated certificates among them, and the length of paths.

use rustls_pki_types::CertificateDer;

use super::Case;
use super::fixture::{Fixture, authority, leaf, p256};
use super::validity::expired_leaf;
use crate::pki::Extension;
use crate::pki::x509::{Ca, CertBuilder};

pub(super) fn cases(fixture: &Fixture) -> Vec<Case> {
    [orderings(fixture), many_issuers(fixture), length(fixture)].concat()
}

fn orderings(fixture: &Fixture) -> Vec<Case> {
    let Fixture { key, root, intermediate, untrusted_root, .. } = fixture;
    let issued = fixture.leaf(&leaf());
    let first = fixture.sub(&CertBuilder::authority("First"));
    let second = first.sub(&CertBuilder::authority("Second"), &p256());
    let two_below = second.issue(&leaf(), key);
    vec![
        fixture.chain("in-order", vec![two_below.clone(), second.der(), first.der()]),
        fixture.chain("intermediates-reversed", vec![two_below.clone(), first.der(), second.der()]),
        fixture.chain("root-sent-along", vec![issued.clone(), intermediate.der(), root.der()]),
        fixture.chain("root-sent-before-the-intermediate", vec![issued.clone(), root.der(), intermediate.der()]),
        fixture.chain("leaf-sent-twice", vec![issued.clone(), issued.clone(), intermediate.der()]),
        fixture.chain(
            "intermediate-sent-thrice",
            vec![issued.clone(), intermediate.der(), intermediate.der(), intermediate.der()],
        ),
        fixture.chain(
            "unrelated-beside",
            vec![issued.clone(), untrusted_root.der(), first.der(), intermediate.der(), second.der()],
        ),
        fixture.chain(
            "two-leaves",
            vec![issued, fixture.leaf(&CertBuilder::leaf(&["mx.example.com"])), intermediate.der()],
        ),
        fixture
            .with_identity(
                "intermediate-first",
                intermediate.key().identity(vec![intermediate.der(), fixture.leaf(&leaf())]),
            )
            .rejected(&["ca_as_end_entity"])
            .name_mismatch("no_san"),
    ]
}

/// Many certificates with the same name as the leaf's issuer, issued by an untrusted root; finally more than a verifier
/// examines.
fn many_issuers(fixture: &Fixture) -> Vec<Case> {
    let Fixture { intermediate, untrusted_root, .. } = fixture;
    let same_name: Vec<_> =
        (0..70).map(|_| fixture.untrusted_root.sub(&CertBuilder::authority("Intermediate"), &p256()).der()).collect();
    let chain = |head: &[&CertificateDer<'static>], count: usize, tail: &[&CertificateDer<'static>]| {
        let (head, tail) = (head.iter().copied().cloned(), tail.iter().copied().cloned());
        head.chain(same_name.iter().take(count).cloned()).chain(tail).collect()
    };
    let (issued, expired, own_issuer) = (fixture.leaf(&leaf()), fixture.leaf(&expired_leaf()), intermediate.der());
    let untrusted_leaf = untrusted_root.issue(&leaf(), &fixture.key);
    vec![
        fixture.chain("crowded", chain(&[&issued, &own_issuer], 20, &[])).warned(&["many_certificates"]),
        fixture
            .chain("crowded-in-between", chain(&[&issued], 20, &[&own_issuer]))
            .warned(&["issuer_order", "many_certificates"]),
        fixture
            .chain("crowded-in-between-and-expired", chain(&[&expired], 20, &[&own_issuer]))
            .outside_validity(&["expired"]),
        fixture.chain("crowded-under-a-stranger", chain(&[&untrusted_leaf], 20, &[])).rejected(&["unknown_issuer"]),
        fixture.chain("overcrowded-but-found", chain(&[&issued, &own_issuer], 70, &[])).warned(&["many_certificates"]),
        fixture.chain("overcrowded-and-not-found", chain(&[&issued], 70, &[&own_issuer])).rejected(&["too_complex"]),
        fixture
            .chain("overcrowded-and-expired", chain(&[&expired], 70, &[&own_issuer]))
            .rejected(&["expired", "too_complex"]),
    ]
}

fn length(fixture: &Fixture) -> Vec<Case> {
    let none_below = fixture.sub(&authority().with_extension(Extension::basic_constraints(true, Some(0))));
    let one_below = fixture.sub(&authority().with_extension(Extension::basic_constraints(true, Some(1))));
    let under = |ca: &Ca, builder: &CertBuilder| {
        let below = ca.sub(&CertBuilder::authority("Below"), &p256());
        vec![below.issue(builder, &fixture.key), below.der(), ca.der()]
    };
    vec![
        fixture.chain("six-intermediates", chain_of(fixture, 6, &leaf())),
        fixture.chain("seven-intermediates", chain_of(fixture, 7, &leaf())).rejected(&["path_too_long"]),
        fixture.chain("ten-intermediates", chain_of(fixture, 10, &leaf())).rejected(&["path_too_long"]),
        fixture
            .chain("ten-intermediates-and-expired", chain_of(fixture, 10, &expired_leaf()))
            .rejected(&["expired", "path_too_long"]),
        fixture.issued_by("path-length-kept", &none_below, &leaf()),
        fixture.chain("path-length-one-kept", under(&one_below, &leaf())),
        fixture.chain("path-length-exceeded", under(&none_below, &leaf())).rejected(&["path_too_long"]),
        fixture
            .chain("path-length-exceeded-and-expired", under(&none_below, &expired_leaf()))
            .rejected(&["expired", "path_too_long"]),
    ]
}

/// A leaf under this many intermediates.
fn chain_of(fixture: &Fixture, intermediates: usize, builder: &CertBuilder) -> Vec<CertificateDer<'static>> {
    let mut chain = Vec::new();
    let mut top = fixture.root.clone();
    for level in 0..intermediates {
        top = top.sub(&CertBuilder::authority(&format!("Level {level}")), &p256());
        chain.insert(0, top.der());
    }
    chain.insert(0, top.issue(builder, &fixture.key));
    chain
}
