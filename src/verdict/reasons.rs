//! Sets of reasons against a chain.

use crate::reason::ChainReason;

/// A set of reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(u32);

const _: () = assert!(ChainReason::ALL.len() <= u32::BITS as usize);

impl Reasons {
    /// Adds one.
    pub fn insert(&mut self, reason: ChainReason) {
        self.0 |= 1 << reason as u32;
    }

    /// Adds one where that holds.
    pub fn insert_if(&mut self, holds: bool, reason: ChainReason) {
        if holds {
            self.insert(reason);
        }
    }

    /// Takes one out.
    pub fn remove(&mut self, reason: ChainReason) {
        self.0 &= !(1 << reason as u32);
    }

    /// Adds all of `others`.
    pub fn extend(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// Whether it is among them.
    pub fn contains(self, reason: ChainReason) -> bool {
        self.0 & (1 << reason as u32) != 0
    }

    /// All of them in the order of declaration.
    pub fn iter(self) -> impl Iterator<Item = ChainReason> {
        ChainReason::ALL.iter().copied().filter(move |reason| self.contains(*reason))
    }

    /// Whether there is none.
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
