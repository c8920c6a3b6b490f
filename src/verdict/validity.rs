//! Validity periods.

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
    pub(super) fn contains(self, time: i64) -> bool {
        (self.from..=self.until).contains(&time)
    }

    /// The time that both periods have in common.
    pub(super) fn intersect(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), until: self.until.min(other.until) }
    }
}
