//! Spans of time.

/// A time in which a path verifies, Unix seconds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The latest start of validity on the path.
    pub from: i64,
    /// The earliest end of validity on the path.
    pub until: i64,
}

impl Span {
    /// Whether `moment` lies in it.
    pub(super) fn contains(self, moment: i64) -> bool {
        (self.from..=self.until).contains(&moment)
    }

    /// The time that both have in common; begins after its end where there is none.
    pub(super) fn intersect(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), until: self.until.min(other.until) }
    }
}
