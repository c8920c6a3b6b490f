//! Lookups that wait: one queue for each resolver, so that a resolver that is slow delays only its own names. Pure.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Queues of items of type `T`.
#[derive(Debug)]
pub(super) struct LookupQueues<T>(HashMap<Arc<str>, Queue<T>>);

#[derive(Debug)]
struct Queue<T> {
    running: usize,
    waiting: VecDeque<T>,
}

impl<T> Default for LookupQueues<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> LookupQueues<T> {
    pub(super) fn push(&mut self, resolver: &Arc<str>, item: T) {
        let queue = self.0.entry(Arc::clone(resolver)).or_insert(Queue { running: 0, waiting: VecDeque::new() });
        queue.waiting.push_back(item);
    }

    /// The next item of a resolver that has a free slot. The slot is taken until [`LookupQueues::release`].
    pub(super) fn pop(&mut self) -> Option<(Arc<str>, T)> {
        let mut free = self.0.iter_mut().filter(|(_, queue)| queue.running < PER_RESOLVER);
        free.find_map(|(resolver, queue)| {
            let item = queue.waiting.pop_front()?;
            queue.running += 1;
            Some((Arc::clone(resolver), item))
        })
    }

    /// Removes what waits and does not satisfy `is_kept`.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(&T) -> bool) {
        self.0.values_mut().for_each(|queue| queue.waiting.retain(|item| is_kept(item)));
        self.0.retain(|_, queue| queue.running > 0 || !queue.waiting.is_empty());
    }

    /// Returns a slot.
    pub(super) fn release(&mut self, resolver: &Arc<str>) {
        if let Some(queue) = self.0.get_mut(resolver) {
            queue.running = queue.running.saturating_sub(1);
            if queue.running == 0 && queue.waiting.is_empty() {
                self.0.remove(resolver);
            }
        }
    }
}

/// Concurrent lookups of one resolver, each with a socket or two.
const PER_RESOLVER: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_resolver_delays_only_its_own_names() {
        let (slow, quick): (Arc<str>, Arc<str>) = ("slow".into(), "quick".into());
        let mut queues = LookupQueues::default();
        (0..100).for_each(|number| queues.push(&slow, number));
        assert_eq!(std::iter::from_fn(|| queues.pop()).count(), PER_RESOLVER);
        queues.push(&quick, 1000);
        assert_eq!(queues.pop(), Some((Arc::clone(&quick), 1000)));
        assert_eq!(queues.pop(), None);
        queues.release(&slow);
        assert_eq!(queues.pop(), Some((Arc::clone(&slow), PER_RESOLVER)));
        queues.retain(|number| *number % 2 == 1);
        queues.release(&slow);
        assert_eq!(queues.pop(), Some((Arc::clone(&slow), PER_RESOLVER + 1)), "those that were removed are skipped");
        queues.release(&quick);
        assert_eq!(queues.0.len(), 1, "an unused queue is removed");
    }
}
