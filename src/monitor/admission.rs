//! Which probes may connect now. Pure.
//!
//! A probe needs a permit, and one of two slots of its address and port; while it waits, it holds neither. Backends that
//! timed out last time and probes of targets that are not configured share a part of the permits, so that they never keep
//! others waiting, however many of them there are. The clients that request the latter share what is left of that part.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::SocketAddr;
use std::time::Instant;

use crate::net::{ClientAddress, Shares};

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
    /// What waits for a permit in the lanes of configured targets, the longest waiting first.
    slow: BTreeMap<Turn, K>,
    normal: BTreeMap<Turn, K>,
    /// What waits for a permit in the ad hoc lane: under each client that waits for it.
    ad_hoc: Shares<Turn, K>,
    /// All that is waiting, for a permit or a slot.
    waiting: HashMap<K, Waiting>,
    addresses: HashMap<SocketAddr, Address<K>>,
    requests: u64,
}

/// The time since which a probe has been due, and the number of its request.
type Turn = (Instant, u64);

#[derive(Clone, Debug)]
struct Waiting {
    address: SocketAddr,
    lane: Lane,
    turn: Turn,
    /// The clients that wait for it, in the ad hoc lane.
    clients: Vec<ClientAddress>,
    /// It waits for a slot of its address.
    is_parked: bool,
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
    /// The client whose share it is, in the ad hoc lane.
    client: Option<ClientAddress>,
}

impl Ticket {
    /// Whether only targets wait for the probe that are not configured.
    pub(super) fn is_ad_hoc(&self) -> bool {
        self.lane == Lane::AdHoc
    }
}

impl<K: Copy + Eq + Hash> Admission<K> {
    /// `permits` is the maximum number of concurrent probes, at least 1.
    pub(super) fn new(permits: usize) -> Self {
        Self {
            permits: permits.max(1),
            in_use: [0; LANES],
            slow: BTreeMap::new(),
            normal: BTreeMap::new(),
            ad_hoc: Shares::default(),
            waiting: HashMap::new(),
            addresses: HashMap::new(),
            requests: 0,
        }
    }

    /// Changes the number of permits. Those in use stay valid.
    pub(super) fn set_permits(&mut self, permits: usize) {
        self.permits = permits.max(1);
    }

    /// Queues the probe `key`, due since `since`. `clients` are those that wait for it, in the ad hoc lane.
    pub(super) fn request(
        &mut self,
        key: K,
        address: SocketAddr,
        lane: Lane,
        clients: Vec<ClientAddress>,
        since: Instant,
    ) {
        self.requests += 1;
        let turn = (since, self.requests);
        self.waiting.insert(key, Waiting { address, lane, turn, clients, is_parked: true });
        self.ready(key);
    }

    /// Moves the probe `key` to `lane` if that takes precedence and it is still waiting.
    pub(super) fn lift(&mut self, key: K, lane: Lane) {
        if self.waiting.get(&key).is_some_and(|waiting| waiting.lane < lane) {
            // A parked probe may be stopped by a bound that does not apply to its new lane.
            self.unready(key);
            self.unpark(key);
            if let Some(waiting) = self.waiting.get_mut(&key) {
                waiting.lane = lane;
                waiting.clients = Vec::new();
            }
            self.ready(key);
        }
    }

    /// Changes the clients that wait for the probe `key`, if it is still waiting in the ad hoc lane.
    pub(super) fn set_clients(&mut self, key: K, clients: Vec<ClientAddress>) {
        if self.waiting.get(&key).is_some_and(|waiting| waiting.lane == Lane::AdHoc && waiting.clients != clients) {
            let was_ready = self.unready(key);
            if let Some(waiting) = self.waiting.get_mut(&key) {
                waiting.clients = clients;
            }
            if was_ready {
                self.ready(key);
            }
        }
    }

    /// Gives up the probe `key`; false if it is not waiting.
    pub(super) fn cancel(&mut self, key: K) -> bool {
        self.unready(key);
        self.unpark(key);
        self.waiting.remove(&key).is_some()
    }

    /// The next probe to start: the longest waiting of all lanes that have a free permit.
    pub(super) fn admit(&mut self) -> Option<(K, Ticket)> {
        while self.in_use() < self.permits {
            let (key, client) = self.head()?;
            self.unready(key);
            let Some(Waiting { address, lane, .. }) = self.waiting.get(&key).cloned() else { continue };
            let slots = self.addresses.entry(address).or_insert(Address { open: Vec::new(), parked: Vec::new() });
            let ad_hoc = slots.open.iter().filter(|open| **open == Lane::AdHoc).count();
            // One slot is left for configured targets.
            if slots.open.len() >= PER_ADDRESS || (lane == Lane::AdHoc && ad_hoc >= PER_ADDRESS - 1) {
                slots.parked.push(key);
                continue;
            }
            slots.open.push(lane);
            self.in_use[lane as usize] += 1;
            client.into_iter().for_each(|client| self.ad_hoc.hold(client));
            self.waiting.remove(&key);
            // The memory of a rush, as at the start, is returned.
            if self.waiting.is_empty() {
                self.waiting.shrink_to(KEPT);
                self.addresses.shrink_to(KEPT);
            }
            return Some((key, Ticket { address, lane, client }));
        }
        None
    }

    /// Returns a ticket. What waited for its address waits for a permit now.
    pub(super) fn release(&mut self, ticket: Ticket) {
        self.in_use[ticket.lane as usize] = self.in_use[ticket.lane as usize].saturating_sub(1);
        ticket.client.into_iter().for_each(|client| self.ad_hoc.release(client));
        let Some(address) = self.addresses.get_mut(&ticket.address) else { return };
        if let Some(at) = address.open.iter().position(|lane| *lane == ticket.lane) {
            address.open.swap_remove(at);
        }
        let parked = std::mem::take(&mut address.parked);
        if address.open.is_empty() {
            self.addresses.remove(&ticket.address);
        }
        parked.into_iter().for_each(|key| self.ready(key));
    }

    /// Number of permits in use.
    pub(super) fn in_use(&self) -> usize {
        self.in_use.iter().sum()
    }

    /// Since when the probe of a configured target that has waited longest for a permit has been due.
    pub(super) fn oldest(&self) -> Option<Instant> {
        [&self.slow, &self.normal].into_iter().filter_map(|lane| Some(lane.first_key_value()?.0.0)).min()
    }

    #[cfg(test)]
    pub(super) fn is_unused(&self) -> bool {
        self.in_use() == 0 && self.waiting.is_empty() && self.ad_hoc.waiting() == 0 && self.addresses.is_empty()
    }

    /// The probe whose turn it is, and the client whose share it takes.
    fn head(&self) -> Option<(K, Option<ClientAddress>)> {
        let share = (self.permits / LIMITED_SHARE).max(1);
        let free = share.saturating_sub(self.in_use[Lane::AdHoc as usize] + self.in_use[Lane::Slow as usize]);
        let configured = |lane: &BTreeMap<Turn, K>| lane.first_key_value().map(|(turn, key)| (turn.0, *key, None));
        let slow = if free > 0 { configured(&self.slow) } else { None };
        // A part is left for configured targets.
        let places = share - share / LEFT_SHARE;
        let next = self.ad_hoc.next(free.min(places.saturating_sub(self.in_use[Lane::AdHoc as usize])), places);
        let ad_hoc = next.and_then(|(client, turn)| Some((turn.0, *self.ad_hoc.get(client, &turn)?, Some(client))));
        // Of requests that have waited equally long, that of the higher lane.
        let heads = [configured(&self.normal), slow, ad_hoc].into_iter().flatten();
        heads.min_by_key(|(since, ..)| *since).map(|(_, key, client)| (key, client))
    }

    /// Lets a waiting probe wait for a permit.
    fn ready(&mut self, key: K) {
        let Some(waiting) = self.waiting.get_mut(&key) else { return };
        waiting.is_parked = false;
        match waiting.lane {
            Lane::Normal => _ = self.normal.insert(waiting.turn, key),
            Lane::Slow => _ = self.slow.insert(waiting.turn, key),
            Lane::AdHoc => waiting.clients.iter().for_each(|client| self.ad_hoc.insert(*client, waiting.turn, key)),
        }
    }

    /// A waiting probe does not wait for a permit any more; whether it did.
    fn unready(&mut self, key: K) -> bool {
        let Some(waiting) = self.waiting.get_mut(&key) else { return false };
        match waiting.lane {
            Lane::Normal => _ = self.normal.remove(&waiting.turn),
            Lane::Slow => _ = self.slow.remove(&waiting.turn),
            Lane::AdHoc => {
                for client in &waiting.clients {
                    self.ad_hoc.remove(*client, &waiting.turn);
                }
            }
        }
        !std::mem::replace(&mut waiting.is_parked, true)
    }

    fn unpark(&mut self, key: K) {
        let address = self.waiting.get(&key).map(|waiting| waiting.address);
        if let Some(address) = address.and_then(|address| self.addresses.get_mut(&address)) {
            address.parked.retain(|parked| *parked != key);
        }
    }
}

const LANES: usize = 3;
/// Maximum number of connections to one address and port.
const PER_ADDRESS: usize = 2;
/// Slow and ad hoc probes have one in this many permits.
const LIMITED_SHARE: usize = 4;
/// Ad hoc probes leave one in this many of these permits to slow ones.
const LEFT_SHARE: usize = 8;
/// Capacity that is kept while nothing waits.
const KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(n: u8) -> SocketAddr {
        ([192, 0, 2, n], 25).into()
    }

    fn client(n: u8) -> ClientAddress {
        std::net::IpAddr::from([198, 51, 100, n]).into()
    }

    /// The clients of a request that does not say more.
    fn clients(lane: Lane) -> Vec<ClientAddress> {
        if lane == Lane::AdHoc { vec![client(1)] } else { Vec::new() }
    }

    /// Requests are `(key, last octet of the address, lane)`, due one after the other.
    fn admission(permits: usize, requests: &[(u8, u8, Lane)]) -> Admission<u8> {
        let mut admission = Admission::new(permits);
        let now = Instant::now();
        for (second, (key, octet, lane)) in requests.iter().enumerate() {
            admission.request(*key, address(*octet), *lane, clients(*lane), now + Duration::from_secs(second as u64));
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
        assert!(admission.is_unused());
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
            let lane = if n % 2 == 0 { Lane::Slow } else { Lane::AdHoc };
            admission.request(n, address(n), lane, clients(lane), now);
        }
        let (limited, tickets) = admitted(&mut admission);
        assert_eq!(limited, [0, 2], "configured targets first");
        for n in 100..120 {
            admission.request(n, address(n), Lane::Normal, Vec::new(), now);
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
            admission.request(n, address(n), Lane::Normal, Vec::new(), Instant::now());
        }
        assert_eq!(order(&mut admission).len(), 200);
    }

    /// A client with many silent servers, and another one.
    #[test]
    fn clients_share_the_permits_of_ad_hoc_probes() {
        use Lane::{AdHoc, Slow};
        let (mut admission, now) = (Admission::new(128), Instant::now());
        for n in 0..100 {
            admission.request(n, address(n), AdHoc, vec![client(1)], now);
        }
        // Of the 32 permits, 4 are left to slow probes, and 7 to other clients.
        let (mut all, mut tickets) = admitted(&mut admission);
        assert_eq!(all, (0..21).collect::<Vec<_>>());
        for n in 200..210 {
            admission.request(n, address(n), AdHoc, vec![client(2)], now + Duration::from_secs(1));
        }
        admission.set_clients(50, vec![client(1), client(2)]);
        assert_eq!(admitted(&mut admission).0, [50, 200, 201, 202], "the oldest of the other client, then its own");
        admission.request(220, address(220), Slow, Vec::new(), now);
        assert_eq!(admitted(&mut admission).0, [220]);
        // Nothing waits for these any more.
        assert!(admission.cancel(60) && !admission.cancel(60) && !admission.cancel(0));
        admission.set_clients(203, vec![client(3)]);
        assert_eq!(admitted(&mut admission).0, [203], "a third client");
        while let Some(ticket) = tickets.pop() {
            admission.release(ticket);
            let (more, theirs) = admitted(&mut admission);
            all.extend(more);
            tickets.extend(theirs);
        }
        assert!(!all.contains(&60) && all.contains(&99) && all.contains(&209), "{all:?}");
        assert_eq!((admission.ad_hoc.waiting(), admission.waiting.len()), (0, 0));
    }

    #[test]
    fn a_cancelled_probe_does_not_wait_for_its_address() {
        use Lane::AdHoc;
        let mut admission = admission(8, &[(1, 1, AdHoc), (2, 1, AdHoc), (3, 1, AdHoc)]);
        let (first, tickets) = admitted(&mut admission);
        assert_eq!(first, [1]);
        assert!(admission.cancel(2));
        admission.release(tickets[0]);
        assert_eq!(admitted(&mut admission).0, [3]);
    }
}
