//! Who signed, and whether that may be believed.

use super::fixture::{DAY, HOUR, Hands, authority, leaf, p256};
use super::validity::{future, past};
use super::{Agreement, Case};
use crate::Identity;
use crate::pki::Extension;
use crate::pki::x509::{Ca, CertBuilder};

pub(super) fn cases(hands: &Hands) -> Vec<Case> {
    [unknown(hands), missing(hands), anchors(hands), crossed(hands), authorities(hands)].concat()
}

fn unknown(hands: &Hands) -> Vec<Case> {
    let Hands { key, stranger, .. } = hands;
    let itself = |name, builder: &CertBuilder| hands.chain(name, vec![builder.self_sign(key)]);
    vec![
        itself("self-signed", &leaf()).refused(&["self_signed"]),
        itself("self-signed-authority", &as_ca(leaf())).refused(&["self_signed"]),
        itself("self-signed-expired", &past()).refused(&["expired", "self_signed"]),
        itself("self-signed-not-yet-valid", &future()).refused(&["not_yet_valid", "self_signed"]),
        hands
            .chain("self-signed-with-strays", vec![leaf().self_sign(key), hands.intermediate.der()])
            .refused(&["self_signed"]),
        hands
            .chain("self-issued-by-another-key", vec![leaf().sign(key, &leaf().subject, &p256())])
            .refused(&["unknown_issuer"]),
        hands
            .chain("issuer-unknown", vec![stranger.issue(&leaf(), key)])
            .where_others_present(vec![good(hands)])
            .refused(&["unknown_issuer"]),
        hands.from("untrusted-root-presented", stranger, &leaf()).refused(&["unknown_issuer"]),
        hands.from("untrusted-root-presented-and-expired", stranger, &past()).refused(&["expired", "unknown_issuer"]),
        hands
            .from(
                "untrusted-root-itself-expired",
                &Ca::root(&authority().valid_between(-9 * DAY, -DAY), &p256()),
                &leaf(),
            )
            .refused(&["expired", "unknown_issuer"]),
        hands
            .from("root-of-the-same-name", &Ca::root(&CertBuilder::authority("Root"), &p256()), &leaf())
            .refused(&["bad_signature"]),
    ]
}

fn missing(hands: &Hands) -> Vec<Case> {
    let Hands { key, intermediate, .. } = hands;
    let alone = |name, builder: &CertBuilder| {
        hands.chain(name, vec![hands.leaf(builder)]).where_others_present(vec![good(hands)])
    };
    let first = hands.sub(&CertBuilder::authority("First"));
    let second = first.sub(&CertBuilder::authority("Second"), &p256());
    let third = second.sub(&CertBuilder::authority("Third"), &p256());
    let whole = vec![third.issue(&CertBuilder::leaf(&[OTHER]), key), third.der(), second.der(), first.der()];
    let whole = vec![key.identity(whole)];
    let namesake = hands.sub(&CertBuilder::authority("Intermediate"));
    vec![
        alone("missing-intermediate", &leaf()).refused(&["missing_intermediate"]),
        alone("missing-intermediate-and-expired", &past()).refused(&["expired", "missing_intermediate"]),
        hands.chain("missing-intermediate-nowhere-seen", vec![hands.leaf(&leaf())]).refused(&["unknown_issuer"]),
        hands
            .chain("missing-intermediate-of-the-same-name", vec![hands.leaf(&leaf())])
            .where_others_present(vec![
                key.identity(vec![namesake.issue(&CertBuilder::leaf(&[OTHER]), key), namesake.der()]),
            ])
            .refused(&["unknown_issuer"]),
        hands
            .chain("missing-three-intermediates", vec![third.issue(&leaf(), key)])
            .where_others_present(whole.clone())
            .refused(&["missing_intermediate"]),
        hands
            .chain("missing-the-middle-intermediate", vec![third.issue(&leaf(), key), third.der(), first.der()])
            .where_others_present(whole)
            .refused(&["missing_intermediate"]),
        hands
            .chain("missing-intermediate-of-a-stranger", vec![hands.stranger.issue(&leaf(), key)])
            .where_others_present(vec![
                key.identity(vec![hands.stranger.issue(&CertBuilder::leaf(&[OTHER]), key), hands.stranger.der()]),
            ])
            .refused(&["unknown_issuer"]),
        hands
            .chain("root-in-place-of-the-intermediate", vec![hands.leaf(&leaf()), hands.root.der()])
            .where_others_present(vec![
                key.identity(vec![hands.leaf(&CertBuilder::leaf(&[OTHER])), intermediate.der()]),
            ])
            .refused(&["missing_intermediate"]),
    ]
}

fn anchors(hands: &Hands) -> Vec<Case> {
    let Hands { key, root, intermediate, .. } = hands;
    let own = leaf().self_sign(key);
    let own_ca = as_ca(leaf()).self_sign(key);
    let stranger = hands.stranger.issue(&leaf(), key);
    let no_ca =
        Ca::root(&CertBuilder::authority("No CA").with_extension(Extension::basic_constraints(false, None)), &p256());
    let short =
        Ca::root(&CertBuilder::authority("Short").with_extension(Extension::basic_constraints(true, Some(0))), &p256());
    let odd = Ca::root(&CertBuilder::authority("Odd").with_extension(Extension::unknown(true)), &p256());
    let namesake = Ca::root(&CertBuilder::authority("Root"), &p256());
    vec![
        hands.chain("root-signs-directly", vec![root.issue(&leaf(), key)]),
        hands.chain("self-signed-and-trusted", vec![own.clone()]).under(&[&own]),
        hands
            .chain("self-signed-authority-and-trusted", vec![own_ca.clone()])
            .under(&[&own_ca])
            .refused(&["ca_as_end_entity"])
            .openssl_chain(Agreement::Differs(CA_LEAF)),
        hands.chain("leaf-among-the-roots", vec![stranger.clone()]).under(&[&stranger]).refused(&["unknown_issuer"]),
        hands
            .case("root-is-an-intermediate", &leaf())
            .under(&[&intermediate.der()])
            .openssl_chain(Agreement::Differs(PARTIAL)),
        hands
            .chain("root-is-an-intermediate-not-presented", vec![hands.leaf(&leaf())])
            .under(&[&intermediate.der()])
            .openssl_chain(Agreement::Differs(PARTIAL)),
        hands
            .case("two-roots-of-the-same-name", &leaf())
            .under(&[&namesake.der(), &root.der()])
            .openssl_chain(Agreement::Differs(FIRST)),
        hands
            .from("root-is-no-authority", &no_ca.sub(&authority(), &p256()), &leaf())
            .under(&[&no_ca.der()])
            .openssl_chain(Agreement::Differs(ROOT_EXTENSIONS)),
        hands
            .from("root-allows-no-intermediate", &short.sub(&authority(), &p256()), &leaf())
            .under(&[&short.der()])
            .openssl_chain(Agreement::Differs(ROOT_EXTENSIONS)),
        hands
            .from("root-with-an-unknown-critical-extension", &odd.sub(&authority(), &p256()), &leaf())
            .under(&[&odd.der()])
            .openssl_chain(Agreement::Differs(ROOT_EXTENSIONS)),
    ]
}

/// An intermediate that two roots have certified.
fn crossed(hands: &Hands) -> Vec<Case> {
    let Hands { key, root, stranger, .. } = hands;
    let other_root = Ca::root(&CertBuilder::authority("Other Root"), &p256());
    let crossed = p256();
    let ca = root.sub(&authority(), &crossed);
    let issued = ca.issue(&leaf(), key);
    let by = |root: &Ca, spec: &CertBuilder| root.issue(spec, &crossed);
    let stale = || authority().valid_between(-100 * DAY, -HOUR);
    let bridge = |spec: CertBuilder| {
        other_root.issue(&CertBuilder { subject: CertBuilder::authority("Root").subject, ..spec }, root.key())
    };
    let decoy = root.issue(&authority(), &p256());
    vec![
        hands
            .chain("crossed-first-path-dead", vec![issued.clone(), by(stranger, &authority()), ca.der()])
            .openssl_chain(Agreement::Differs(FIRST)),
        hands.chain("crossed-second-path-dead", vec![issued.clone(), ca.der(), by(stranger, &authority())]),
        hands
            .chain("crossed-both-roots-trusted", vec![issued.clone(), by(&other_root, &authority()), ca.der()])
            .under(&[&root.der(), &other_root.der()]),
        hands
            .chain("crossed-expired-or-untrusted", vec![issued.clone(), by(stranger, &authority()), by(root, &stale())])
            .untimely(&["expired"]),
        hands
            .chain("bridge-to-another-root-expired", vec![issued.clone(), ca.der(), bridge(stale())])
            .under(&[&root.der(), &other_root.der()]),
        hands
            .chain("bridge-to-the-only-trusted-root", vec![issued.clone(), ca.der(), bridge(authority())])
            .under(&[&other_root.der()]),
        hands
            .chain("bridge-expired-to-the-only-trusted-root", vec![issued.clone(), ca.der(), bridge(stale())])
            .under(&[&other_root.der()])
            .untimely(&["expired"]),
        hands
            .chain("intermediate-of-the-same-name-with-another-key", vec![issued, decoy, ca.der()])
            .openssl_chain(Agreement::Differs(FIRST)),
    ]
}

/// Who may sign.
fn authorities(hands: &Hands) -> Vec<Case> {
    let plain = hands.sub(&authority().with_extension(Extension::basic_constraints(false, None)));
    let silent = hands.sub(&authority().without_extension(&Extension::basic_constraints(true, None)));
    let stale = hands
        .sub(&authority().with_extension(Extension::basic_constraints(false, None)).valid_between(-90 * DAY, -DAY));
    vec![
        hands.from("issuer-is-no-authority", &plain, &leaf()).refused(&["not_a_ca"]),
        hands.from("issuer-does-not-say-that-it-is-an-authority", &silent, &leaf()).refused(&["not_a_ca"]),
        hands.from("issuer-is-no-authority-and-expired", &stale, &leaf()).refused(&["expired", "not_a_ca"]),
        hands
            .case("leaf-is-an-authority", &as_ca(leaf()))
            .refused(&["ca_as_end_entity"])
            .openssl_chain(Agreement::Differs(CA_LEAF)),
        hands.case("leaf-is-an-authority-and-expired", &as_ca(past())).refused(&["expired", "ca_as_end_entity"]),
        hands
            .from("leaf-is-an-authority-of-a-stranger", &hands.stranger, &as_ca(leaf()))
            .refused(&["unknown_issuer", "ca_as_end_entity"]),
        hands.case("leaf-with-a-path-length", &leaf().with_extension(Extension::basic_constraints(false, Some(0)))),
        hands.case(
            "leaf-without-basic-constraints",
            &leaf().without_extension(&Extension::basic_constraints(false, None)),
        ),
    ]
}

/// What another server of the fleet presents.
fn good(hands: &Hands) -> Identity {
    hands.key.identity(vec![hands.leaf(&CertBuilder::leaf(&[OTHER])), hands.intermediate.der()])
}

fn as_ca(builder: CertBuilder) -> CertBuilder {
    builder.with_extension(Extension::basic_constraints(true, None))
}

const OTHER: &str = "mx.example.com";

pub(super) const FIRST: &str = "OpenSSL follows the first issuer of a name and does not go back (openssl-verification-options(1), \
    Certification Path Building)";
const CA_LEAF: &str =
    "OpenSSL lets a CA certificate be a server's; webpki refuses it, since its key signs more than handshakes";
const PARTIAL: &str = "OpenSSL wants a self-signed root unless X509_V_FLAG_PARTIAL_CHAIN is set; any name and key may \
    be a trust anchor (RFC 5280 §6.1.1 d)";
const ROOT_EXTENSIONS: &str =
    "OpenSSL checks the root's extensions; RFC 5280 §6.1.1 (d) gives a trust anchor a name and a key alone";
