//! Validity periods.

use super::fixture::{DAY, HOUR, Hands, authority, leaf, p256};
use super::{Agreement, Case};
use crate::pki::x509::{Ca, CertBuilder, Time};

pub(super) fn cases(hands: &Hands) -> Vec<Case> {
    let stale = hands.sub(&authority().valid_between(-100 * DAY, -HOUR));
    let early = hands.sub(&authority().valid_between(HOUR, 100 * DAY));
    let reversed = leaf().valid_between(DAY, -DAY);
    let old_root = Ca::root(&CertBuilder::authority("Old Root").valid_between(-100 * DAY, -DAY), &p256());
    let under_old_root = old_root.sub(&authority(), &p256());
    let renewed_root = Ca::root(&CertBuilder::authority("Old Root"), old_root.key());
    let future_root = Ca::root(&CertBuilder::authority("Future Root").valid_between(DAY, 100 * DAY), &p256());
    vec![
        hands.case("good", &leaf()),
        hands.case("expired", &past()).untimely(&["expired"]),
        hands.case("not-yet-valid", &future()).untimely(&["not_yet_valid"]),
        hands.from("intermediate-expired", &stale, &leaf()).untimely(&["expired"]),
        hands.from("intermediate-not-yet-valid", &early, &leaf()).untimely(&["not_yet_valid"]),
        hands.from("leaf-and-intermediate-expired", &stale, &past()).untimely(&["expired"]),
        hands
            .from("leaf-and-intermediate-have-no-common-instant", &stale, &leaf().valid_between(-HOUR / 2, DAY))
            .undecided(&["expired"]),
        hands
            .from("intermediate-expired-before-leaf-begins", &stale, &future())
            .undecided(&["expired", "not_yet_valid"]),
        hands.from("leaf-expired-before-intermediate-begins", &early, &past()).undecided(&["expired", "not_yet_valid"]),
        hands.case("validity-reversed", &reversed).refused(&["bad_validity"]),
        hands.from("validity-reversed-under-expired", &stale, &reversed).refused(&["expired", "bad_validity"]),
        hands
            .from("intermediate-validity-reversed", &hands.sub(&authority().valid_between(DAY, -DAY)), &leaf())
            .refused(&["bad_validity"]),
        hands.chain("expired-intermediate-beside-a-fresh-one", {
            let fresh = hands.root.issue(&authority(), stale.key());
            vec![stale.issue(&leaf(), &hands.key), stale.der(), fresh]
        }),
        hands
            .from("root-expired", &under_old_root, &leaf())
            .under(&[&old_root.der()])
            .openssl_chain(Agreement::Differs(ROOT_TIME)),
        hands
            .from("root-not-yet-valid", &future_root.sub(&authority(), &p256()), &leaf())
            .under(&[&future_root.der()])
            .openssl_chain(Agreement::Differs(ROOT_TIME)),
        hands.from("root-expired-and-renewed", &under_old_root, &leaf()).under(&[&old_root.der(), &renewed_root.der()]),
        hands.case(
            "times-generalized-before-2050",
            &CertBuilder {
                not_before: Time::GeneralizedFromNow(-DAY),
                not_after: Time::GeneralizedFromNow(90 * DAY),
                ..leaf()
            },
        ),
        hands.case("valid-beyond-2049", &leaf().valid_between(-DAY, 365 * 40 * DAY)),
        hands.case("valid-for-ever", &CertBuilder { not_after: Time::Text("99991231235959Z"), ..leaf() }),
        hands
            .case("begun-in-1960", &CertBuilder { not_before: Time::Text("19600101000000Z"), ..leaf() })
            .refused(&["malformed"])
            .openssl_chain(Agreement::Differs(EPOCH)),
    ]
}

/// A certificate that has ended.
pub(super) fn past() -> CertBuilder {
    leaf().valid_between(-90 * DAY, -HOUR)
}

/// A certificate that has not begun.
pub(super) fn future() -> CertBuilder {
    leaf().valid_between(2 * HOUR, 90 * DAY)
}

const ROOT_TIME: &str =
    "OpenSSL checks the root's validity; RFC 5280 §6.1.1 (d) gives a trust anchor a name and a key, no validity";
const EPOCH: &str = "webpki reads no time before 1970; RFC 5280 §4.1.2.5 has no such bound";
