//! What is sent beside a path, in which order, and how long a path may be.

use rustls_pki_types::CertificateDer;

use super::fixture::{Hands, authority, leaf, p256};
use super::validity::past;
use super::{Agreement, Case};
use crate::pki::Extension;
use crate::pki::x509::{Ca, CertBuilder};

pub(super) fn cases(hands: &Hands) -> Vec<Case> {
    [shuffled(hands), crowded(hands), long(hands)].concat()
}

fn shuffled(hands: &Hands) -> Vec<Case> {
    let Hands { key, root, intermediate, stranger, .. } = hands;
    let issued = hands.leaf(&leaf());
    let first = hands.sub(&CertBuilder::authority("First"));
    let second = first.sub(&CertBuilder::authority("Second"), &p256());
    let deep = second.issue(&leaf(), key);
    vec![
        hands.chain("in-order", vec![deep.clone(), second.der(), first.der()]),
        hands.chain("intermediates-reversed", vec![deep.clone(), first.der(), second.der()]),
        hands.chain("root-sent-along", vec![issued.clone(), intermediate.der(), root.der()]),
        hands.chain("root-sent-before-the-intermediate", vec![issued.clone(), root.der(), intermediate.der()]),
        hands.chain("leaf-sent-twice", vec![issued.clone(), issued.clone(), intermediate.der()]),
        hands.chain(
            "intermediate-sent-thrice",
            vec![issued.clone(), intermediate.der(), intermediate.der(), intermediate.der()],
        ),
        hands.chain(
            "unrelated-beside",
            vec![issued.clone(), stranger.der(), first.der(), intermediate.der(), second.der()],
        ),
        hands
            .chain("two-leaves", vec![issued, hands.leaf(&CertBuilder::leaf(&["mx.example.com"])), intermediate.der()]),
        hands
            .served("intermediate-first", intermediate.key().identity(vec![intermediate.der(), hands.leaf(&leaf())]))
            .refused(&["ca_as_end_entity"])
            .mismatched("no_san"),
    ]
}

/// Many certificates of the name that the leaf's issuer has, from a stranger; in the end more than are looked at.
fn crowded(hands: &Hands) -> Vec<Case> {
    let Hands { intermediate, stranger, .. } = hands;
    let namesakes: Vec<_> =
        (0..70).map(|_| hands.stranger.sub(&CertBuilder::authority("Intermediate"), &p256()).der()).collect();
    let chain = |head: &[&CertificateDer<'static>], crowd: usize, tail: &[&CertificateDer<'static>]| {
        let (head, tail) = (head.iter().copied().cloned(), tail.iter().copied().cloned());
        head.chain(namesakes.iter().take(crowd).cloned()).chain(tail).collect()
    };
    let (issued, expired, own) = (hands.leaf(&leaf()), hands.leaf(&past()), intermediate.der());
    let from_stranger = stranger.issue(&leaf(), &hands.key);
    let differs = Agreement::Differs(super::issuer::FIRST);
    vec![
        hands.chain("crowded", chain(&[&issued, &own], 20, &[])),
        hands.chain("crowded-in-between", chain(&[&issued], 20, &[&own])).openssl_chain(differs),
        hands.chain("crowded-in-between-and-expired", chain(&[&expired], 20, &[&own])).untimely(&["expired"]),
        hands.chain("crowded-under-a-stranger", chain(&[&from_stranger], 20, &[])).refused(&["unknown_issuer"]),
        hands.chain("overcrowded-but-found", chain(&[&issued, &own], 70, &[])),
        hands.chain("overcrowded-and-not-found", chain(&[&issued], 70, &[&own])).refused(&["too_complex"]),
        hands.chain("overcrowded-and-expired", chain(&[&expired], 70, &[&own])).refused(&["expired", "too_complex"]),
    ]
}

fn long(hands: &Hands) -> Vec<Case> {
    let differs = Agreement::Differs(
        "OpenSSL follows up to 100 certificates (SSL_CTX_set_verify_depth); webpki six intermediates",
    );
    let none_below = hands.sub(&authority().with_extension(Extension::basic_constraints(true, Some(0))));
    let one_below = hands.sub(&authority().with_extension(Extension::basic_constraints(true, Some(1))));
    let under = |ca: &Ca, builder: &CertBuilder| {
        let below = ca.sub(&CertBuilder::authority("Below"), &p256());
        vec![below.issue(builder, &hands.key), below.der(), ca.der()]
    };
    vec![
        hands.chain("six-intermediates", ladder(hands, 6, &leaf())),
        hands
            .chain("seven-intermediates", ladder(hands, 7, &leaf()))
            .refused(&["path_too_long"])
            .openssl_chain(differs),
        hands.chain("ten-intermediates", ladder(hands, 10, &leaf())).refused(&["path_too_long"]).openssl_chain(differs),
        hands.chain("ten-intermediates-and-expired", ladder(hands, 10, &past())).refused(&["expired", "path_too_long"]),
        hands.from("path-length-kept", &none_below, &leaf()),
        hands.chain("path-length-one-kept", under(&one_below, &leaf())),
        hands.chain("path-length-exceeded", under(&none_below, &leaf())).refused(&["path_too_long"]),
        hands
            .chain("path-length-exceeded-and-expired", under(&none_below, &past()))
            .refused(&["expired", "path_too_long"]),
    ]
}

/// A leaf under so many intermediates.
fn ladder(hands: &Hands, rungs: usize, builder: &CertBuilder) -> Vec<CertificateDer<'static>> {
    let mut chain = Vec::new();
    let mut top = hands.root.clone();
    for rung in 0..rungs {
        top = top.sub(&CertBuilder::authority(&format!("Rung {rung}")), &p256());
        chain.insert(0, top.der());
    }
    chain.insert(0, top.issue(builder, &hands.key));
    chain
}
