//! Which probes may connect now. Pure.
//!
//! A probe needs a permit, and one of two slots of its address and port; while it waits, it holds neither. Backends that
//! timed out last time and probes of targets that are not configured share a part of the permits, so that they never keep
//! others waiting, however many of them there are.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::SocketAddr;
use std::time::Instant;

/// Where a probe waits, in ascending order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// Requested for targets only that are not configured.
    AdHoc,
    /// The last probe of the backend timed out.
    Slow,
    /// The backend replied last time, or was not probed yet.
    Normal,
}

/// Permits, slots and queues for probes that are identified by `K`.
#[derive(Debug)]
pub(super) struct Admission<K> {
    permits: usize,
    /// Permits in use, by lane.
    in_use: [usize; LANES],
    /// What waits for a permit, by lane, the longest waiting first.
    ready: [BTreeMap<Turn, K>; LANES],
    /// All that is waiting, for a permit or a slot.
    waiting: HashMap<K, Waiting>,
    addresses: HashMap<SocketAddr, Address<K>>,
    requests: u64,
}

/// The time since which a probe has been due, and the number of its request.
type Turn = (Instant, u64);

#[derive(Clone, Copy, Debug)]
struct Waiting {
    address: SocketAddr,
    lane: Lane,
    turn: Turn,
}

/// An address that has connections.
#[derive(Debug)]
struct Address<K> {
    /// The lane of each connection.
    open: Vec<Lane>,
    /// What waits for one of them to end.
    parked: Vec<K>,
}

/// A permit and a slot, to be returned by [`Admission::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    address: SocketAddr,
    lane: Lane,
}

impl<K: Copy + Eq + Hash> Admission<K> {
    /// `permits` is the maximum number of concurrent probes, at least 1.
    pub(super) fn new(permits: usize) -> Self {
        Self {
            permits: permits.max(1),
            in_use: [0; LANES],
            ready: [const { BTreeMap::new() }; LANES],
            waiting: HashMap::new(),
            addresses: HashMap::new(),
            requests: 0,
        }
    }

    /// Changes the number of permits. Those in use stay valid.
    pub(super) fn set_permits(&mut self, permits: usize) {
        self.permits = permits.max(1);
    }

    /// Queues the probe `key`, due since `since`.
    pub(super) fn request(&mut self, key: K, address: SocketAddr, lane: Lane, since: Instant) {
        self.requests += 1;
        let turn = (since, self.requests);
        self.waiting.insert(key, Waiting { address, lane, turn });
        self.ready[lane as usize].insert(turn, key);
    }

    /// Moves the probe `key` to `lane` if that takes precedence and it is still waiting.
    pub(super) fn lift(&mut self, key: K, lane: Lane) {
        if let Some(waiting) = self.waiting.get_mut(&key).filter(|waiting| waiting.lane < lane) {
            let is_ready = self.ready[waiting.lane as usize].remove(&waiting.turn).is_some();
            waiting.lane = lane;
            // A parked probe may be stopped by a bound that does not apply to its new lane.
            if !is_ready && let Some(address) = self.addresses.get_mut(&waiting.address) {
                address.parked.retain(|parked| *parked != key);
            }
            self.ready[lane as usize].insert(waiting.turn, key);
        }
    }

    /// The next probe to start: the longest waiting of all lanes that have a free permit.
    pub(super) fn admit(&mut self) -> Option<(K, Ticket)> {
        while self.in_use() < self.permits {
            let limited = self.in_use[Lane::AdHoc as usize] + self.in_use[Lane::Slow as usize];
            let may_start = |lane: &Lane| *lane == Lane::Normal || limited < (self.permits / LIMITED_SHARE).max(1);
            let head = |lane: Lane| Some((self.ready[lane as usize].first_key_value()?.0.0, lane));
            // Of requests that have waited equally long, that of the higher lane.
            let heads = [Lane::Normal, Lane::Slow, Lane::AdHoc].into_iter().filter(may_start).filter_map(head);
            let (_, lane) = heads.min_by_key(|(since, _)| *since)?;
            let (_, key) = self.ready[lane as usize].pop_first()?;
            let Some(Waiting { address, .. }) = self.waiting.get(&key).copied() else { continue };
            let slots = self.addresses.entry(address).or_insert(Address { open: Vec::new(), parked: Vec::new() });
            let ad_hoc = slots.open.iter().filter(|open| **open == Lane::AdHoc).count();
            // One slot is left for configured targets.
            if slots.open.len() >= PER_ADDRESS || (lane == Lane::AdHoc && ad_hoc >= PER_ADDRESS - 1) {
                slots.parked.push(key);
                continue;
            }
            slots.open.push(lane);
            self.in_use[lane as usize] += 1;
            self.waiting.remove(&key);
            // The memory of a rush, as at the start, is returned.
            if self.waiting.is_empty() {
                self.waiting.shrink_to(KEPT);
                self.addresses.shrink_to(KEPT);
            }
            return Some((key, Ticket { address, lane }));
        }
        None
    }

    /// Returns a ticket. What waited for its address waits for a permit now.
    pub(super) fn release(&mut self, ticket: Ticket) {
        self.in_use[ticket.lane as usize] = self.in_use[ticket.lane as usize].saturating_sub(1);
        let Some(address) = self.addresses.get_mut(&ticket.address) else { return };
        if let Some(at) = address.open.iter().position(|lane| *lane == ticket.lane) {
            address.open.swap_remove(at);
        }
        let parked = std::mem::take(&mut address.parked);
        if address.open.is_empty() {
            self.addresses.remove(&ticket.address);
        }
        for key in parked {
            if let Some(Waiting { lane, turn, .. }) = self.waiting.get(&key) {
                self.ready[*lane as usize].insert(*turn, key);
            }
        }
    }

    /// Number of permits in use.
    pub(super) fn in_use(&self) -> usize {
        self.in_use.iter().sum()
    }

    /// Since when the probe of a configured target that has waited longest for a permit has been due.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let lanes = [Lane::Slow, Lane::Normal].into_iter();
        lanes.filter_map(|lane| Some(self.ready[lane as usize].first_key_value()?.0.0)).min()
    }
}

const LANES: usize = 3;
/// Maximum number of connections to one address and port.
const PER_ADDRESS: usize = 2;
/// Slow and ad hoc probes have one in this many permits.
const LIMITED_SHARE: usize = 4;
/// Capacity that is kept while nothing waits.
const KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(n: u8) -> SocketAddr {
        ([192, 0, 2, n], 25).into()
    }

    /// Requests are `(key, last octet of the address, lane)`, due one after the other.
    fn admission(permits: usize, requests: &[(u8, u8, Lane)]) -> Admission<u8> {
        let mut admission = Admission::new(permits);
        let now = Instant::now();
        for (second, (key, octet, lane)) in requests.iter().enumerate() {
            admission.request(*key, address(*octet), *lane, now + Duration::from_secs(second as u64));
        }
        admission
    }

    fn admitted(admission: &mut Admission<u8>) -> (Vec<u8>, Vec<Ticket>) {
        std::iter::from_fn(|| admission.admit()).unzip()
    }

    /// All keys in the order in which they start if each started probe ends before the next one starts.
    fn order(admission: &mut Admission<u8>) -> Vec<u8> {
        let (mut started, mut tickets) = admitted(admission);
        while let Some(ticket) = tickets.pop() {
            admission.release(ticket);
            let (more, theirs) = admitted(admission);
            started.extend(more);
            tickets.extend(theirs);
        }
        assert!(admission.addresses.is_empty() && admission.waiting.is_empty() && admission.in_use() == 0);
        started
    }

    #[test]
    fn admits_two_connections_to_an_address() {
        use Lane::Normal;
        let mut admission =
            admission(10, &[(1, 1, Normal), (2, 1, Normal), (3, 1, Normal), (4, 1, Normal), (9, 2, Normal)]);
        let (first, tickets) = admitted(&mut admission);
        assert_eq!(first, [1, 2, 9], "a request that waits for its address does not delay others");
        admission.release(tickets[0]);
        assert_eq!(admitted(&mut admission).0, [3]);
        admission.release(tickets[1]);
        assert_eq!(admitted(&mut admission).0, [4]);
    }

    #[test]
    fn slow_and_ad_hoc_probes_share_a_quarter_of_the_permits() {
        let mut admission = Admission::new(8);
        let now = Instant::now();
        for n in 0..20 {
            admission.request(n, address(n), if n % 2 == 0 { Lane::Slow } else { Lane::AdHoc }, now);
        }
        let (limited, tickets) = admitted(&mut admission);
        assert_eq!(limited, [0, 2], "configured targets first");
        for n in 100..120 {
            admission.request(n, address(n), Lane::Normal, now);
        }
        assert_eq!(admitted(&mut admission).0, [100, 101, 102, 103, 104, 105]);
        assert_eq!(admission.in_use(), 8);
        admission.release(tickets[0]);
        assert_eq!(admitted(&mut admission).0, [106], "a slow request that waited equally long has no precedence");
        assert_eq!(admission.oldest(), Some(now));
    }

    #[test]
    fn admits_the_longest_waiting_request_of_all_lanes() {
        let requests = [(1, 1, Lane::Slow), (2, 2, Lane::Normal), (3, 3, Lane::AdHoc), (4, 4, Lane::Normal)];
        assert_eq!(order(&mut admission(1, &requests)), [1, 2, 3, 4]);
    }

    #[test]
    fn waiting_ad_hoc_probes_hold_no_slot_of_a_configured_target() {
        let ad_hoc = [1, 2, 3].map(|key| (key, 1, Lane::AdHoc));
        let mut admission = admission(8, &[&ad_hoc[..], &[(9, 1, Lane::Normal)]].concat());
        assert_eq!(admitted(&mut admission).0, [1, 9]);
    }

    #[test]
    fn a_higher_claim_lifts_a_waiting_probe() {
        let requests = [(1, 1, Lane::AdHoc), (2, 2, Lane::AdHoc), (3, 3, Lane::AdHoc)];
        let mut admission = admission(4, &requests);
        assert_eq!(admitted(&mut admission).0, [1], "the share of ad hoc probes");
        for (key, lane, expected) in [
            (1, Lane::Normal, &[][..]),
            (2, Lane::Slow, &[]),
            (2, Lane::AdHoc, &[]),
            (2, Lane::Normal, &[2]),
            (3, Lane::Normal, &[3]),
            (7, Lane::Normal, &[]),
        ] {
            admission.lift(key, lane);
            assert_eq!(admitted(&mut admission).0, expected, "{key} to {lane:?}");
        }
        // Also one that waits for its address.
        let requests = [(1, 1, Lane::AdHoc), (2, 1, Lane::AdHoc)];
        let mut admission = self::admission(8, &requests);
        assert_eq!(admitted(&mut admission).0, [1]);
        admission.lift(2, Lane::Normal);
        assert_eq!(admitted(&mut admission).0, [2]);
    }

    #[test]
    fn removes_unused_addresses() {
        let mut admission = Admission::new(4);
        for n in 0..200 {
            admission.request(n, address(n), Lane::Normal, Instant::now());
        }
        assert_eq!(order(&mut admission).len(), 200);
    }
}
