//! Validity periods.

use super::Case;
use super::fixture::{DAY, Fixture, HOUR, authority, leaf, p256};
use crate::pki::x509::{Ca, CertBuilder, Time};

pub(super) fn cases(fixture: &Fixture) -> Vec<Case> {
    let expired = fixture.sub(&authority().valid_between(-100 * DAY, -HOUR));
    let future = fixture.sub(&authority().valid_between(HOUR, 100 * DAY));
    let reversed = leaf().valid_between(DAY, -DAY);
    let old_root = Ca::root(&CertBuilder::authority("Old Root").valid_between(-100 * DAY, -DAY), &p256());
    let renewed_root = Ca::root(&CertBuilder::authority("Old Root"), old_root.key());
    let future_root = Ca::root(&CertBuilder::authority("Future Root").valid_between(DAY, 100 * DAY), &p256());
    vec![
        fixture.case("good", &leaf()),
        fixture.case("expired", &expired_leaf()).outside_validity(&["expired"]),
        fixture.case("not-yet-valid", &future_leaf()).outside_validity(&["not_yet_valid"]),
        fixture.issued_by("intermediate-expired", &expired, &leaf()).outside_validity(&["expired"]),
        fixture.issued_by("intermediate-not-yet-valid", &future, &leaf()).outside_validity(&["not_yet_valid"]),
        fixture.issued_by("leaf-and-intermediate-expired", &expired, &expired_leaf()).outside_validity(&["expired"]),
        fixture
            .issued_by("leaf-and-intermediate-have-no-common-instant", &expired, &leaf().valid_between(-HOUR / 2, DAY))
            .undetermined(&["expired"]),
        fixture
            .issued_by("intermediate-expired-before-leaf-begins", &expired, &future_leaf())
            .undetermined(&["expired", "not_yet_valid"]),
        fixture
            .issued_by("leaf-expired-before-intermediate-begins", &future, &expired_leaf())
            .undetermined(&["expired", "not_yet_valid"]),
        fixture.case("validity-reversed", &reversed).undetermined(&["bad_validity"]),
        fixture
            .issued_by("validity-reversed-under-expired", &expired, &reversed)
            .undetermined(&["expired", "bad_validity"]),
        fixture
            .issued_by("intermediate-validity-reversed", &fixture.sub(&authority().valid_between(DAY, -DAY)), &leaf())
            .undetermined(&["bad_validity"]),
        fixture
            .chain("expired-intermediate-beside-a-fresh-one", {
                let fresh = fixture.root.issue(&authority(), expired.key());
                vec![expired.issue(&leaf(), &fixture.key), expired.der(), fresh]
            })
            .warned(&["issuer_order"]),
        fixture.under_root("root-expired", &old_root, &leaf()).outside_validity(&["expired"]),
        fixture.under_root("root-not-yet-valid", &future_root, &leaf()).outside_validity(&["not_yet_valid"]),
        fixture
            .under_root("root-expired-and-renewed", &old_root, &leaf())
            .with_roots(&[&old_root.der(), &renewed_root.der()]),
        fixture.case(
            "times-generalized-before-2050",
            &CertBuilder {
                not_before: Time::GeneralizedFromNow(-DAY),
                not_after: Time::GeneralizedFromNow(90 * DAY),
                ..leaf()
            },
        ),
        fixture.case("valid-beyond-2049", &leaf().valid_between(-DAY, 365 * 40 * DAY)),
        fixture.case("valid-for-ever", &CertBuilder { not_after: Time::Text("99991231235959Z"), ..leaf() }),
        fixture
            .case("begun-in-1960", &CertBuilder { not_before: Time::Text("19600101000000Z"), ..leaf() })
            .rejected(&["malformed"]),
    ]
}

/// A server certificate that has expired.
pub(super) fn expired_leaf() -> CertBuilder {
    leaf().valid_between(-90 * DAY, -HOUR)
}

/// A server certificate that is not yet valid.
pub(super) fn future_leaf() -> CertBuilder {
    leaf().valid_between(2 * HOUR, 90 * DAY)
}
