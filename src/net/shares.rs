//! Places that clients share, so that none of them takes all. Pure.

use std::collections::BTreeMap;

use super::ClientAddress;

/// What waits for one of a number of places, by client, and how many places each client holds. `O` is the order of what one
/// client waits for.
///
/// A client that is alone may hold all places but a reserve of a quarter. In the reserve, a client may hold at most as many
/// places as stay free, so that others find one. Of the clients that may take a place, the one that holds the fewest is
/// next; equal ones take turns.
#[derive(Debug)]
pub struct Shares<O, T> {
    clients: BTreeMap<ClientAddress, Share<O, T>>,
    waiting: usize,
    turns: u64,
}

#[derive(Debug)]
struct Share<O, T> {
    held: usize,
    /// When the client last took a place.
    turn: u64,
    waiting: BTreeMap<O, T>,
}

impl<O, T> Default for Shares<O, T> {
    fn default() -> Self {
        Self { clients: BTreeMap::new(), waiting: 0, turns: 0 }
    }
}

impl<O: Ord + Copy, T> Shares<O, T> {
    /// Adds something that waits for a place.
    pub fn insert(&mut self, client: ClientAddress, order: O, item: T) {
        let share = self.clients.entry(client).or_insert(Share { held: 0, turn: 0, waiting: BTreeMap::new() });
        self.waiting += usize::from(share.waiting.insert(order, item).is_none());
    }

    /// Whether too much waits for one more thing of this client, see [`Shares::make_room`].
    pub fn is_full(&self, client: ClientAddress) -> bool {
        self.waiting >= MAX_WAITING || self.waiting_of(client) >= MAX_WAITING_PER_CLIENT
    }

    /// Makes room for one more thing that a client waits for. If too much waits, the last thing of the client that waits for
    /// the most is removed and returned.
    ///
    /// # Errors
    /// If the client waits for too much itself, or if no client waits for more.
    pub fn make_room(&mut self, client: ClientAddress) -> Result<Option<T>, QueueFull> {
        let own = self.waiting_of(client);
        if own >= MAX_WAITING_PER_CLIENT {
            return Err(QueueFull);
        }
        if self.waiting < MAX_WAITING {
            return Ok(None);
        }
        let largest = self.clients.iter_mut().max_by_key(|(_, share)| share.waiting.len());
        let (largest, share) = largest.filter(|(_, share)| share.waiting.len() > own + 1).ok_or(QueueFull)?;
        let last = share.waiting.last_key_value().map(|(order, _)| *order);
        let largest = *largest;
        Ok(last.and_then(|order| self.remove(largest, &order)))
    }

    /// Removes something that waits.
    pub fn remove(&mut self, client: ClientAddress, order: &O) -> Option<T> {
        let item = self.clients.get_mut(&client)?.waiting.remove(order);
        self.waiting -= usize::from(item.is_some());
        self.forget_idle(client);
        item
    }

    /// Something that waits.
    pub fn get(&self, client: ClientAddress, order: &O) -> Option<&T> {
        self.clients.get(&client)?.waiting.get(order)
    }

    /// Removes what does not satisfy `is_kept`.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&T) -> bool) {
        self.clients.values_mut().for_each(|share| share.waiting.retain(|_, item| is_kept(item)));
        self.clients.retain(|_, share| !share.is_idle());
        self.waiting = self.clients.values().map(|share| share.waiting.len()).sum();
    }

    /// Which client may take a place next, and the first thing that it waits for. `free` of `places` are free.
    pub fn next(&self, free: usize, places: usize) -> Option<(ClientAddress, O)> {
        if free == 0 || self.waiting == 0 {
            return None;
        }
        let may_take = |held: usize| held < free || free > places / RESERVED;
        let heads = self.clients.iter().filter(|(_, share)| may_take(share.held)).filter_map(|(client, share)| {
            let (order, _) = share.waiting.first_key_value()?;
            Some(((share.held, share.turn, *order), *client))
        });
        heads.min().map(|((.., order), client)| (client, order))
    }

    /// A client takes a place.
    pub fn hold(&mut self, client: ClientAddress) {
        self.turns += 1;
        let share = self.clients.entry(client).or_insert(Share { held: 0, turn: 0, waiting: BTreeMap::new() });
        share.held += 1;
        share.turn = self.turns;
    }

    /// A client returns a place.
    pub fn release(&mut self, client: ClientAddress) {
        if let Some(share) = self.clients.get_mut(&client) {
            share.held = share.held.saturating_sub(1);
            self.forget_idle(client);
        }
    }

    /// How many things wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many things a client waits for.
    pub fn waiting_of(&self, client: ClientAddress) -> usize {
        self.clients.get(&client).map_or(0, |share| share.waiting.len())
    }

    fn forget_idle(&mut self, client: ClientAddress) {
        if self.clients.get(&client).is_some_and(Share::is_idle) {
            self.clients.remove(&client);
        }
    }
}

/// Too much waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

impl<O, T> Share<O, T> {
    fn is_idle(&self) -> bool {
        self.held == 0 && self.waiting.is_empty()
    }
}

/// One in this many places is kept from a client that is alone.
const RESERVED: usize = 4;
/// What all clients, and each of them, may wait for, where [`Shares::make_room`] is used.
const MAX_WAITING: usize = 512;
const MAX_WAITING_PER_CLIENT: usize = 128;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn client(number: usize) -> ClientAddress {
        let last = u8::try_from(number).expect("a small number");
        ClientAddress::from(std::net::IpAddr::from(Ipv4Addr::new(192, 0, 2, last)))
    }

    /// Places, and which client holds each.
    struct Places {
        shares: Shares<usize, usize>,
        free: usize,
        total: usize,
    }

    impl Places {
        /// `waiting` is how many places each client asks for, one client after the other.
        fn new(total: usize, waiting: &[usize]) -> Self {
            let mut places = Self { shares: Shares::default(), free: total, total };
            for (number, count) in waiting.iter().enumerate() {
                for order in 0..*count {
                    places.shares.insert(client(number), number * 1000 + order, number);
                }
            }
            places
        }

        fn take(&mut self) -> Option<usize> {
            let (client, order) = self.shares.next(self.free, self.total)?;
            let number = self.shares.remove(client, &order);
            self.shares.hold(client);
            self.free -= 1;
            number
        }

        fn take_all(&mut self) -> Vec<usize> {
            std::iter::from_fn(|| self.take()).collect()
        }

        fn release(&mut self, number: usize) {
            self.shares.release(client(number));
            self.free += 1;
        }
    }

    fn count(taken: &[usize], number: usize) -> usize {
        taken.iter().filter(|each| **each == number).count()
    }

    /// `expected` is how many places each client gets if all ask at once.
    #[track_caller]
    fn check(total: usize, waiting: &[usize], expected: &[usize]) {
        let taken = Places::new(total, waiting).take_all();
        let found: Vec<_> = (0..waiting.len()).map(|number| count(&taken, number)).collect();
        assert_eq!(found, expected, "{total} places for {waiting:?}");
    }

    #[test]
    fn divides_places_between_clients() {
        check(32, &[500], &[24]);
        check(32, &[20], &[20]);
        check(1, &[5], &[1]);
        check(2, &[5], &[2]);
        check(32, &[500, 3], &[21, 3]);
        check(32, &[500, 500], &[12, 12]);
        check(3, &[9, 9, 9, 9], &[1, 1, 1, 0]);
        check(0, &[1], &[0]);
    }

    #[test]
    fn a_new_client_finds_a_place_while_others_hold_all_they_may() {
        let mut places = Places::new(32, &[500]);
        assert_eq!(places.take_all().len(), 24);
        for (new, expected) in [(1, 4), (2, 2), (3, 1), (4, 1), (5, 0)] {
            for order in 0..500 {
                places.shares.insert(client(new), order, new);
            }
            let taken = places.take_all();
            assert_eq!((count(&taken, new), taken.len()), (expected, expected), "client {new}");
        }
        // The client with the fewest places is next, and the one with the most waits.
        places.release(0);
        assert_eq!(places.take_all(), [5]);
        places.release(0);
        assert_eq!(places.take_all(), [] as [usize; 0], "the last place is for a client that has none");
    }

    #[test]
    fn clients_take_turns() {
        let mut places = Places::new(1, &[3, 2, 1]);
        let served = std::iter::from_fn(|| {
            let taken = places.take()?;
            places.release(taken);
            Some(taken)
        });
        assert_eq!(served.collect::<Vec<_>>(), [0, 1, 2, 0, 1, 0]);
        assert_eq!((places.shares.waiting(), places.shares.clients.len()), (0, 0), "nothing is kept of idle clients");
    }

    #[test]
    fn makes_room_at_the_expense_of_the_largest_client() {
        let mut places = Places::new(1, &[128, 128, 128, 127]);
        let shares = &mut places.shares;
        assert_eq!(shares.make_room(client(0)).err(), Some(QueueFull), "its own queue is full");
        assert_eq!(shares.make_room(client(4)), Ok(None));
        shares.insert(client(4), 0, 4);
        for order in 1..100 {
            let dropped = shares.make_room(client(4));
            assert!(matches!(dropped, Ok(Some(0..=3))), "{order}: {dropped:?}");
            shares.insert(client(4), order, 4);
        }
        let counts: Vec<_> = (0..5).map(|number| shares.waiting_of(client(number))).collect();
        assert_eq!((counts.iter().sum(), shares.waiting()), (512, 512), "{counts:?}");
        assert!(counts[4] == 100 && counts.iter().all(|count| (100..=105).contains(count)), "{counts:?}");
        while let Ok(Some(_)) = shares.make_room(client(4)) {
            shares.insert(client(4), 1000 + shares.waiting_of(client(4)), 4);
        }
        assert!(shares.waiting_of(client(4)) <= 104, "no client waits for more than others");
    }

    #[test]
    fn what_is_removed_takes_no_place() {
        let mut places = Places::new(8, &[3, 2]);
        assert_eq!(places.shares.remove(client(0), &1), Some(0));
        assert_eq!(places.shares.remove(client(0), &1), None);
        assert_eq!((places.shares.waiting(), places.shares.waiting_of(client(0))), (4, 2));
        places.shares.retain(|number| *number == 1);
        assert_eq!(
            (places.shares.waiting(), places.shares.waiting_of(client(0)), places.shares.clients.len()),
            (2, 0, 1)
        );
        assert_eq!(places.take_all(), [1, 1]);
    }
}
