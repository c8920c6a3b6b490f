//! A queue that takes turns between those who put something in. Pure.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Instant;

/// Items of type `T`, in one queue for each `K`. One that puts in many items waits for them itself; the others are not
/// delayed by more than one item in each turn.
#[derive(Debug)]
pub(super) struct FairQueue<K, T> {
    queues: HashMap<K, VecDeque<(Added, T)>>,
    /// Each key that has items, once.
    turns: VecDeque<K>,
    /// When all items were added.
    added: BTreeSet<Added>,
    count: u64,
}

/// The time of an item, and its number.
type Added = (Instant, u64);

impl<K, T> Default for FairQueue<K, T> {
    fn default() -> Self {
        Self { queues: HashMap::new(), turns: VecDeque::new(), added: BTreeSet::new(), count: 0 }
    }
}

impl<K: Copy + Eq + Hash, T> FairQueue<K, T> {
    pub(super) fn push(&mut self, key: K, since: Instant, item: T) {
        let queue = self.queues.entry(key).or_default();
        if queue.is_empty() {
            self.turns.push_back(key);
        }
        self.count += 1;
        self.added.insert((since, self.count));
        queue.push_back(((since, self.count), item));
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let key = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&key)?;
        let (added, item) = queue.pop_front()?;
        self.added.remove(&added);
        if queue.is_empty() {
            self.queues.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        Some(item)
    }

    /// The earliest time in the queue.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.added.first().map(|(since, _)| *since)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn takes_turns() {
        let (mut queue, now) = (FairQueue::default(), Instant::now());
        let items = ["a1", "a2", "a3", "a4", "b1", "c1", "b2"];
        for (second, item) in items.into_iter().enumerate() {
            let key = item.chars().next().expect("a letter");
            queue.push(key, now + Duration::from_secs(second as u64), item);
        }
        let mut popped = Vec::new();
        for (oldest, item) in [(0, "a1"), (1, "b1"), (1, "c1"), (1, "a2"), (2, "b2"), (2, "a3"), (3, "a4")] {
            assert_eq!(queue.oldest(), Some(now + Duration::from_secs(oldest)), "before {item}");
            popped.extend(queue.pop());
            assert_eq!(popped.last(), Some(&item));
        }
        assert!(queue.is_empty() && queue.queues.is_empty() && queue.pop().is_none() && queue.oldest().is_none());
    }
}
