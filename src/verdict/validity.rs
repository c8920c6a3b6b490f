//! Validity periods.

use x509_parser::prelude::X509Certificate;

/// The validity period of a certificate or a path, in Unix seconds, both ends included. Empty if `until` is before
/// `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidityPeriod {
    /// notBefore; of a path, the latest one.
    pub from: i64,
    /// notAfter; of a path, the earliest one.
    pub until: i64,
}

impl ValidityPeriod {
    /// The period of what has no dates.
    pub(super) const UNLIMITED: Self = Self { from: i64::MIN, until: i64::MAX };

    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self { from: validity.not_before.timestamp(), until: validity.not_after.timestamp() }
    }

    /// Whether it ends before it starts.
    pub(super) fn is_empty(self) -> bool {
        self.until < self.from
    }

    pub(super) fn contains(self, time: i64) -> bool {
        (self.from..=self.until).contains(&time)
    }

    /// The time that both periods have in common.
    pub(super) fn intersect(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), until: self.until.min(other.until) }
    }
}
