//! Sets of chain reasons.

use crate::reason::ChainReason;

/// A set of [`ChainReason`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(u32);

const _: () = assert!(ChainReason::ALL.len() <= u32::BITS as usize);

impl Reasons {
    /// Adds `reason`.
    pub fn insert(&mut self, reason: ChainReason) {
        self.0 |= 1 << reason as u32;
    }

    /// Adds `reason` if `condition` is true.
    pub fn insert_if(&mut self, condition: bool, reason: ChainReason) {
        if condition {
            self.insert(reason);
        }
    }

    /// Removes `reason`.
    pub fn remove(&mut self, reason: ChainReason) {
        self.0 &= !(1 << reason as u32);
    }

    /// Adds all reasons of `others`.
    pub fn extend(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// Whether `reason` is in the set.
    pub fn contains(self, reason: ChainReason) -> bool {
        self.0 & (1 << reason as u32) != 0
    }

    /// The reasons in the order of [`ChainReason::ALL`].
    pub fn iter(self) -> impl Iterator<Item = ChainReason> {
        ChainReason::ALL.iter().copied().filter(move |reason| self.contains(*reason))
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl From<ChainReason> for Reasons {
    fn from(reason: ChainReason) -> Self {
        let mut reasons = Self::default();
        reasons.insert(reason);
        reasons
    }
}
