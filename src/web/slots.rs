//! Responses in progress: how many there are, who waits for one to end, and which one is ended for that.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::net::ClientAddress;

/// Limits of time for responses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// Until another response is complete and frees its slot.
    pub(super) slot: Duration,
    /// While another client waits: until the client has received the next chunk of a response.
    pub(super) stall: Duration,
    /// While another client waits: until the client has received the whole response.
    pub(super) turn: Duration,
    /// Until the client has received the whole response, even if no other client waits.
    pub(super) body: Duration,
}

/// A limited number of responses in progress. A slot that becomes free is given to the client with the fewest.
///
/// While a client waits, a response that makes no progress is ended; then one of a client that has more slots than its
/// share; then one that takes long. Otherwise, a slow client is not disturbed.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    state: Arc<Mutex<State>>,
    timeouts: Timeouts,
}

/// The right to send a response, or to wait for it, until this is dropped or ended in favor of another client.
pub(super) struct Slot {
    slots: Slots,
    id: Id,
}

/// Chunks have been requested after the response was ended.
#[derive(Debug)]
pub(super) struct Ended;

type Id = u64;

#[derive(Debug)]
struct State {
    capacity: usize,
    last_id: Id,
    held: BTreeMap<Id, Held>,
    /// In the order of arrival.
    waiting: BTreeMap<Id, Waiting>,
}

#[derive(Debug)]
struct Held {
    /// None if it is not known before the response.
    client: Option<ClientAddress>,
    /// None before the response.
    response: Option<Progress>,
}

#[derive(Debug)]
struct Progress {
    since: Instant,
    /// Since when the client has had the last chunk and has not asked for another one.
    idle_since: Option<Instant>,
    /// Closes the connection.
    connection: CancellationToken,
}

#[derive(Debug)]
struct Waiting {
    client: Option<ClientAddress>,
    since: Instant,
    granted: oneshot::Sender<()>,
}

impl Slots {
    pub(super) fn new(capacity: usize, timeouts: Timeouts) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(capacity))), timeouts }
    }

    pub(super) const fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Waits for a slot; None if there is none in time.
    pub(super) async fn acquire(&self, client: Option<ClientAddress>) -> Option<Slot> {
        let begin = Instant::now();
        let (granted, mut grant) = oneshot::channel();
        // If this is given up, the slot is dropped, whether or not it was granted.
        let slot = Slot { slots: self.clone(), id: self.state.lock().wait(Waiting { client, since: begin, granted }) };
        let deadline = begin + self.timeouts.slot;
        loop {
            self.state.lock().assign(Instant::now(), &self.timeouts);
            let look = (Instant::now() + self.timeouts.stall / LOOKS_PER_STALL).min(deadline);
            tokio::select! {
                biased;
                _ = &mut grant => return Some(slot),
                () = sleep_until(look) => {
                    if look == deadline {
                        return None;
                    }
                }
            }
        }
    }
}

impl Slot {
    pub(super) const fn timeouts(&self) -> Timeouts {
        self.slots.timeouts
    }

    /// The response begins. `connection` closes its connection.
    pub(super) fn begin(&self, client: Option<ClientAddress>, connection: CancellationToken) {
        self.slots.state.lock().begin(self.id, client, connection, Instant::now());
    }

    /// The client is ready for a chunk.
    ///
    /// # Errors
    /// If the response has been ended.
    pub(super) fn ask(&self) -> Result<(), Ended> {
        self.slots.state.lock().set_idle(self.id, None)
    }

    /// The client gets a chunk.
    pub(super) fn give(&self) {
        // An ended response is noticed with the next chunk.
        let _ = self.slots.state.lock().set_idle(self.id, Some(Instant::now()));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.state.lock().release(self.id, Instant::now(), &self.slots.timeouts);
    }
}

impl State {
    fn new(capacity: usize) -> Self {
        Self { capacity, last_id: 0, held: BTreeMap::new(), waiting: BTreeMap::new() }
    }

    fn wait(&mut self, waiting: Waiting) -> Id {
        self.last_id += 1;
        self.waiting.insert(self.last_id, waiting);
        self.last_id
    }

    fn begin(&mut self, id: Id, client: Option<ClientAddress>, connection: CancellationToken, now: Instant) {
        if let Some(held) = self.held.get_mut(&id) {
            held.client = client;
            held.response = Some(Progress { since: now, idle_since: Some(now), connection });
        }
    }

    fn set_idle(&mut self, id: Id, since: Option<Instant>) -> Result<(), Ended> {
        let held = self.held.get_mut(&id).ok_or(Ended)?;
        if let Some(response) = &mut held.response {
            response.idle_since = since;
        }
        Ok(())
    }

    fn release(&mut self, id: Id, now: Instant, timeouts: &Timeouts) {
        self.waiting.remove(&id);
        self.held.remove(&id);
        self.assign(now, timeouts);
    }

    /// Gives free slots to waiting clients, and ends responses in favor of the others.
    fn assign(&mut self, now: Instant, timeouts: &Timeouts) {
        while let Some(next) = self.next() {
            if self.held.len() >= self.capacity {
                let Some(ended) = self.excess(next, now, timeouts) else { return };
                if let Some(response) = self.held.remove(&ended).and_then(|held| held.response) {
                    response.connection.cancel();
                }
            }
            let Some(waiting) = self.waiting.remove(&next) else { return };
            self.held.insert(next, Held { client: waiting.client, response: None });
            // If it has given up, its slot is dropped.
            let _ = waiting.granted.send(());
        }
    }

    /// The next one to get a slot: of the clients with the fewest slots, the one that has waited longest.
    fn next(&self) -> Option<Id> {
        let waiting = self.waiting.iter().map(|(id, waiting)| (self.count(waiting.client), *id));
        waiting.min().map(|(_, id)| id)
    }

    fn count(&self, client: Option<ClientAddress>) -> usize {
        self.held.values().filter(|held| held.client.is_some() && held.client == client).count()
    }

    /// The response to end in favor of `next`.
    fn excess(&self, next: Id, now: Instant, timeouts: &Timeouts) -> Option<Id> {
        let next = self.waiting.get(&next)?;
        let responses = || self.held.iter().filter_map(|(id, held)| Some((*id, held, held.response.as_ref()?)));
        let stalled = responses().filter_map(|(id, _, response)| Some((response.idle_since?, id)));
        let stalled = stalled.min().filter(|(since, _)| now.duration_since(*since) >= timeouts.stall);
        if let Some((_, id)) = stalled {
            return Some(id);
        }
        if now.duration_since(next.since) < timeouts.stall {
            return None;
        }
        let own = self.count(next.client);
        let larger = responses().map(|(id, held, response)| (self.count(held.client), Reverse(response.since), id));
        let larger = larger.max().filter(|(count, ..)| *count > own + 1);
        let longest = || {
            let longest = responses().map(|(id, _, response)| (response.since, id)).min();
            longest.filter(|(since, _)| now.duration_since(*since) >= timeouts.turn).map(|(_, id)| id)
        };
        larger.map(|(.., id)| id).or_else(longest)
    }
}

/// How often a waiting client looks for responses that have become slow.
const LOOKS_PER_STALL: u32 = 4;

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TIMEOUTS: Timeouts =
        Timeouts { slot: Duration::from_secs(30), stall: SECOND, turn: Duration::from_secs(10), body: Duration::MAX };

    fn client(number: u8) -> Option<ClientAddress> {
        Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, number)).into())
    }

    /// A table of slots and its time.
    struct Simulation {
        state: State,
        now: Instant,
    }

    impl Simulation {
        fn new(capacity: usize) -> Self {
            Self { state: State::new(capacity), now: Instant::now() }
        }

        /// Someone waits for a slot.
        fn wait(&mut self, number: u8) -> (Id, oneshot::Receiver<()>) {
            let (granted, grant) = oneshot::channel();
            let id = self.state.wait(Waiting { client: client(number), since: self.now, granted });
            self.state.assign(self.now, &TIMEOUTS);
            (id, grant)
        }

        /// A slot is free, and the response begins.
        fn begin(&mut self, number: u8) -> (Id, CancellationToken) {
            let (id, mut grant) = self.wait(number);
            grant.try_recv().expect("a slot");
            let connection = CancellationToken::new();
            self.state.begin(id, client(number), connection.clone(), self.now);
            (id, connection)
        }
    }

    /// Waits for a slot as `number`, while each response of the clients `of` makes progress unless it is among `stalled`.
    /// Returns the responses that were ended, and the seconds until then.
    fn run(of: &[u8], number: u8, stalled: &[usize]) -> (Vec<usize>, u64) {
        let mut simulation = Simulation::new(of.len());
        let mut held = Vec::new();
        for number in of {
            held.push(simulation.begin(*number));
            simulation.now += SECOND / 1000;
        }
        let begin = simulation.now;
        let (_, mut grant) = simulation.wait(number);
        while grant.try_recv().is_err() {
            simulation.now += SECOND / 4;
            for (index, (id, _)) in held.iter().enumerate() {
                if !stalled.contains(&index) {
                    simulation.state.set_idle(*id, None).expect("in progress");
                    simulation.state.set_idle(*id, Some(simulation.now)).expect("in progress");
                }
            }
            simulation.state.assign(simulation.now, &TIMEOUTS);
        }
        let ended = held.iter().enumerate().filter(|(_, (id, connection))| {
            assert_eq!(simulation.state.set_idle(*id, None).is_err(), connection.is_cancelled());
            connection.is_cancelled()
        });
        (ended.map(|(index, _)| index).collect(), (simulation.now - begin).as_secs())
    }

    #[test]
    fn ends_the_response_that_is_slowest_or_above_its_share() {
        // Without progress, also those of the same client.
        assert_eq!(run(&[1, 1, 1, 1], 2, &[0, 1, 2, 3]), (vec![0], 1));
        assert_eq!(run(&[1, 2, 3, 4], 5, &[2]), (vec![2], 1));
        assert_eq!(run(&[1, 1, 1, 1], 1, &[3]), (vec![3], 1));
        // With progress, but more than its share.
        assert_eq!(run(&[1, 1, 1, 1], 2, &[]), (vec![0], 1));
        assert_eq!(run(&[3, 1, 1], 2, &[]), (vec![1], 1));
        // With progress, but for long.
        assert_eq!(run(&[1, 2, 3, 4], 5, &[]), (vec![0], 10));
        assert_eq!(run(&[1, 1], 1, &[]), (vec![0], 10));
    }

    #[test]
    fn a_stalled_response_is_kept_until_someone_waits() {
        let mut simulation = Simulation::new(2);
        let [(_, first), (second, _)] = [simulation.begin(1), simulation.begin(1)];
        simulation.now += 60 * SECOND;
        simulation.state.assign(simulation.now, &TIMEOUTS);
        simulation.state.release(second, simulation.now, &TIMEOUTS);
        let _third = simulation.begin(2);
        assert!(!first.is_cancelled());
        let (_, mut grant) = simulation.wait(3);
        assert!(grant.try_recv().is_ok() && first.is_cancelled(), "immediately");
    }

    #[test]
    fn what_has_not_begun_or_is_being_rendered_is_not_ended() {
        let mut simulation = Simulation::new(2);
        let _probe = simulation.wait(1);
        let (rendering, connection) = simulation.begin(2);
        simulation.state.set_idle(rendering, None).expect("in progress");
        let (_, mut grant) = simulation.wait(3);
        simulation.now += 9 * SECOND;
        simulation.state.assign(simulation.now, &TIMEOUTS);
        assert!(grant.try_recv().is_err() && !connection.is_cancelled());
    }

    #[test]
    fn gives_slots_to_the_client_with_the_fewest() {
        let mut simulation = Simulation::new(2);
        let [(first, _), (second, _)] = [simulation.begin(1), simulation.begin(1)];
        let [(third, mut of_first), (fourth, mut of_other)] = [simulation.wait(1), simulation.wait(2)];
        let (gone, _) = simulation.wait(3);
        simulation.state.release(gone, simulation.now, &TIMEOUTS);
        simulation.state.release(first, simulation.now, &TIMEOUTS);
        assert_eq!((of_first.try_recv().is_ok(), of_other.try_recv().is_ok()), (false, true));
        // The slot of a client that has gone is given to the next one.
        simulation.state.release(fourth, simulation.now, &TIMEOUTS);
        assert!(of_first.try_recv().is_ok());
        for id in [second, third, third] {
            simulation.state.release(id, simulation.now, &TIMEOUTS);
        }
        assert!(simulation.state.held.is_empty() && simulation.state.waiting.is_empty());
    }
}
