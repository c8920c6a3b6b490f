//! Who may connect now. Pure.
//!
//! First the slot of the address, at most two to one address and port, then the permit, so that what waits for a slot
//! holds none. Backends that did not answer last time share a part of the permits: however many of them there are, the
//! others are never kept waiting by them.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

/// Where a probe queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Answered last time, or is not known yet.
    Normal,
    /// Timed out last time, in the connect or the greeting; or is no target of the config.
    Slow,
}

/// Slots, permits and queues for things of type `T`.
#[derive(Debug)]
pub(super) struct Admission<T> {
    permits: usize,
    normal: Queue<T>,
    slow: Queue<T>,
    slots: HashMap<SocketAddr, Slot<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    what: T,
    address: SocketAddr,
    lane: Lane,
    since: Instant,
}

#[derive(Debug)]
struct Queue<T> {
    in_use: usize,
    ready: VecDeque<Waiting<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    taken: usize,
    waiting: VecDeque<Waiting<T>>,
}

/// Something that may begin; its ticket is given back when it ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted<T> {
    pub(super) what: T,
    pub(super) ticket: Ticket,
}

/// A permit and a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    address: SocketAddr,
    lane: Lane,
}

impl<T> Admission<T> {
    /// With so many permits; one at least.
    pub(super) fn new(permits: usize) -> Self {
        let queue = || Queue { in_use: 0, ready: VecDeque::new() };
        Self { permits: permits.max(1), normal: queue(), slow: queue(), slots: HashMap::new() }
    }

    /// Changes the number of permits; those that are out stay out.
    pub(super) fn set_permits(&mut self, permits: usize) {
        self.permits = permits.max(1);
    }

    /// Queues `what`, which was due at `since`.
    pub(super) fn request(&mut self, what: T, address: SocketAddr, lane: Lane, since: Instant) {
        let waiting = Waiting { what, address, lane, since };
        let slot = self.slots.entry(address).or_insert_with(|| Slot { taken: 0, waiting: VecDeque::new() });
        if slot.taken < PER_ADDRESS {
            slot.taken += 1;
            self.queue(lane).ready.push_back(waiting);
        } else {
            slot.waiting.push_back(waiting);
        }
    }

    /// What may begin now, the one that has waited longest first.
    pub(super) fn admit(&mut self) -> Option<Admitted<T>> {
        if self.in_use() >= self.permits {
            return None;
        }
        let slow_may = self.slow.in_use < self.slow_permits();
        let head = |queue: &Queue<T>| queue.ready.front().map(|waiting| waiting.since);
        let lane = match (head(&self.normal), head(&self.slow).filter(|_| slow_may)) {
            (None, None) => return None,
            (Some(normal), Some(slow)) if slow < normal => Lane::Slow,
            (None, Some(_)) => Lane::Slow,
            (Some(_), _) => Lane::Normal,
        };
        let queue = self.queue(lane);
        let Waiting { what, address, lane, .. } = queue.ready.pop_front()?;
        queue.in_use += 1;
        // After the rush of a start the room it took is given back.
        if queue.ready.is_empty() {
            queue.ready.shrink_to(KEPT);
        }
        Some(Admitted { what, ticket: Ticket { address, lane } })
    }

    /// Takes a ticket back.
    pub(super) fn release(&mut self, ticket: Ticket) {
        let queue = self.queue(ticket.lane);
        queue.in_use = queue.in_use.saturating_sub(1);
        let Some(slot) = self.slots.get_mut(&ticket.address) else { return };
        // Whoever waits in the slow lane keeps no other one from an address, either.
        let first = slot.waiting.iter().position(|waiting| waiting.lane == Lane::Normal).unwrap_or_default();
        match slot.waiting.remove(first) {
            Some(next) => self.queue(next.lane).ready.push_back(next),
            None if slot.taken > 1 => slot.taken -= 1,
            None => {
                self.slots.remove(&ticket.address);
                if self.slots.is_empty() {
                    self.slots.shrink_to(KEPT);
                }
            }
        }
    }

    /// Permits that are out.
    pub(super) fn in_use(&self) -> usize {
        self.normal.in_use + self.slow.in_use
    }

    /// Since when the one that has waited longest for a permit has been due.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let heads = [self.normal.ready.front(), self.slow.ready.front()];
        heads.into_iter().flatten().map(|waiting| waiting.since).min()
    }

    fn slow_permits(&self) -> usize {
        (self.permits / SLOW_SHARE).max(1)
    }

    fn queue(&mut self, lane: Lane) -> &mut Queue<T> {
        match lane {
            Lane::Normal => &mut self.normal,
            Lane::Slow => &mut self.slow,
        }
    }
}

/// Connections to one address and port.
const PER_ADDRESS: usize = 2;
/// Entries for which room is kept while there are none.
const KEPT: usize = 64;
/// The slow lane has one permit in so many.
const SLOW_SHARE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> SocketAddr {
        ([192, 0, 2, n], 25).into()
    }

    fn admitted(admission: &mut Admission<u8>) -> (Vec<u8>, Vec<Ticket>) {
        let all: Vec<_> = std::iter::from_fn(|| admission.admit()).collect();
        all.into_iter().map(|admitted| (admitted.what, admitted.ticket)).unzip()
    }

    #[test]
    fn admits_two_connections_to_an_address() {
        let mut admission = Admission::new(10);
        let now = Instant::now();
        for n in 1..=5 {
            admission.request(n, address(1), Lane::Normal, now);
        }
        admission.request(9, address(2), Lane::Normal, now);
        let (first, tickets) = admitted(&mut admission);
        assert_eq!(first, [1, 2, 9], "a request that waits for its address does not delay others");
        admission.release(tickets[0]);
        assert_eq!(admitted(&mut admission).0, [3]);
        admission.release(tickets[1]);
        assert_eq!(admitted(&mut admission).0, [4]);
    }

    #[test]
    fn admits_the_normal_lane_first_at_an_address() {
        let mut admission = Admission::new(10);
        let now = Instant::now();
        for (n, lane) in [(1, Lane::Slow), (2, Lane::Slow), (3, Lane::Slow), (4, Lane::Normal), (5, Lane::Normal)] {
            admission.request(n, address(1), lane, now);
        }
        let (mut started, mut tickets) = admitted(&mut admission);
        while let Some(ticket) = tickets.pop() {
            admission.release(ticket);
            let (more, their_tickets) = admitted(&mut admission);
            started.extend(more);
            tickets.extend(their_tickets);
        }
        assert_eq!(started, [1, 2, 4, 5, 3]);
    }

    #[test]
    fn slow_backends_share_a_quarter_of_the_permits() {
        let mut admission = Admission::new(8);
        let now = Instant::now();
        for n in 0..20 {
            admission.request(n, address(n), Lane::Slow, now);
        }
        let (slow, tickets) = admitted(&mut admission);
        assert_eq!(slow, [0, 1]);
        for n in 100..120 {
            admission.request(n, address(n), Lane::Normal, now);
        }
        assert_eq!(admitted(&mut admission).0, [100, 101, 102, 103, 104, 105]);
        assert_eq!(admission.in_use(), 8);
        admission.release(tickets[0]);
        // A slow request that has waited equally long takes no precedence.
        assert_eq!(admitted(&mut admission).0, [106]);
        assert_eq!(admission.oldest(), Some(now));
    }

    #[test]
    fn admits_the_longest_waiting_request_of_both_lanes() {
        let mut admission = Admission::new(1);
        let now = Instant::now();
        let later = now + std::time::Duration::from_secs(1);
        admission.request(1, address(1), Lane::Normal, later);
        admission.request(2, address(2), Lane::Slow, now);
        let (first, tickets) = admitted(&mut admission);
        assert_eq!(first, [2]);
        admission.release(tickets[0]);
        assert_eq!(admitted(&mut admission).0, [1]);
    }

    #[test]
    fn removes_unused_address_slots() {
        let mut admission = Admission::new(4);
        for n in 0..200 {
            admission.request(n, address(n), Lane::Normal, Instant::now());
            let (_, tickets) = admitted(&mut admission);
            tickets.into_iter().for_each(|ticket| admission.release(ticket));
        }
        assert!(admission.slots.is_empty(), "{} slots", admission.slots.len());
        assert_eq!(admission.in_use(), 0);
    }
}
