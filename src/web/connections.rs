//! Which connections are open, and which one is closed when there are too many.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::net::ClientAddress;

/// How many connections are open at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    /// Of all clients.
    pub(super) total: usize,
    /// Part of `total` that a single client cannot use, so that others do not depend on what it does.
    pub(super) reserve: usize,
}

/// The open connections. A new one is always admitted. If there are too many, another one is closed that waits for a request;
/// only without such a connection, one whose request is in progress.
#[derive(Clone, Debug)]
pub(super) struct Connections(Arc<Mutex<Table>>);

/// A connection that is open until this is dropped.
pub(super) struct Connection {
    table: Connections,
    id: Id,
    /// Cancelled when the connection must be closed.
    pub(super) close: CancellationToken,
}

/// A request in progress: until this and those of the same connection are dropped, the connection is closed only if none waits
/// for a request.
pub(super) struct Activity {
    connection: Arc<Connection>,
    is_suspended: bool,
}

type Id = u64;

#[derive(Debug)]
struct Table {
    limits: ConnectionLimits,
    /// The number of events so far, which orders them.
    clock: u64,
    open: HashMap<Id, Entry>,
    clients: HashMap<ClientAddress, Client>,
}

#[derive(Debug)]
struct Entry {
    client: ClientAddress,
    /// Requests in progress: several with HTTP/2.
    requests: usize,
    since: u64,
    close: CancellationToken,
}

/// The connections of a client by the time at which their state began.
#[derive(Debug, Default)]
struct Client {
    idle: BTreeMap<u64, Id>,
    active: BTreeMap<u64, Id>,
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self(Arc::new(Mutex::new(Table { limits, clock: 0, open: HashMap::new(), clients: HashMap::new() })))
    }

    /// Admits a connection, and closes another one if there are too many.
    pub(super) fn open(&self, client: ClientAddress) -> Connection {
        let close = CancellationToken::new();
        let id = self.0.lock().open(client, close.clone());
        Connection { table: self.clone(), id, close }
    }

    /// Closes a connection that waits for a request. False if there is none.
    pub(super) fn close_idle(&self) -> bool {
        let mut table = self.0.lock();
        let id = table.most_idle(None);
        id.is_some_and(|id| table.remove(id))
    }
}

impl Connection {
    /// A request was received.
    pub(super) fn begin(self: &Arc<Self>) -> Activity {
        self.table.0.lock().count(self.id, |requests| requests + 1);
        Activity { connection: Arc::clone(self), is_suspended: false }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.table.0.lock().remove(self.id);
    }
}

impl Activity {
    /// The request does not count until [`Activity::resume`]: its client does not accept the response.
    pub(super) fn suspend(&mut self) {
        if !std::mem::replace(&mut self.is_suspended, true) {
            self.end();
        }
    }

    pub(super) fn resume(&mut self) {
        if std::mem::take(&mut self.is_suspended) {
            self.connection.table.0.lock().count(self.connection.id, |requests| requests + 1);
        }
    }

    fn end(&self) {
        self.connection.table.0.lock().count(self.connection.id, |requests| requests.saturating_sub(1));
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        if !self.is_suspended {
            self.end();
        }
    }
}

impl Table {
    fn open(&mut self, client: ClientAddress, close: CancellationToken) -> Id {
        self.clock += 1;
        let id = self.clock;
        let entry = Entry { client, requests: 0, since: id, close };
        self.open.insert(id, entry);
        let of_client = self.clients.entry(client).or_default();
        of_client.idle.insert(id, id);
        let closed = if of_client.len() > self.limits.total.saturating_sub(self.limits.reserve).max(1) {
            of_client.first(id)
        } else if self.open.len() > self.limits.total {
            self.excess(id)
        } else {
            None
        };
        if let Some(closed) = closed {
            self.remove(closed);
        }
        id
    }

    /// The connection to close in favor of `new`.
    fn excess(&self, new: Id) -> Option<Id> {
        self.most_idle(Some(new)).or_else(|| {
            let active = self.clients.values().filter(|client| !client.active.is_empty());
            let most = active.max_by_key(|client| (client.len(), Reverse(client.active.keys().next())))?;
            most.active.values().next().copied()
        })
    }

    /// The oldest idle connection, apart from `new`, of the client with the most of them.
    fn most_idle(&self, new: Option<Id>) -> Option<Id> {
        let idle = self.clients.values().filter_map(|client| {
            let first = client.idle.iter().find(|(_, id)| Some(**id) != new)?;
            Some((client.idle.len(), Reverse(first)))
        });
        idle.max().map(|(_, Reverse((_, id)))| *id)
    }

    /// Removes a connection and closes it. False if it was removed before.
    fn remove(&mut self, id: Id) -> bool {
        let Some(entry) = self.open.remove(&id) else { return false };
        if let Some(client) = self.clients.get_mut(&entry.client) {
            client.of_state(entry.requests > 0).remove(&entry.since);
            if client.len() == 0 {
                self.clients.remove(&entry.client);
            }
        }
        entry.close.cancel();
        true
    }

    /// Changes the number of requests in progress. The state of the connection starts again with the first and after the last one.
    fn count(&mut self, id: Id, change: impl FnOnce(usize) -> usize) {
        self.clock += 1;
        let Some(entry) = self.open.get_mut(&id) else { return };
        let Some(client) = self.clients.get_mut(&entry.client) else { return };
        let before = entry.requests;
        entry.requests = change(before);
        if (before > 0) == (entry.requests > 0) {
            return;
        }
        client.of_state(before > 0).remove(&entry.since);
        entry.since = self.clock;
        client.of_state(entry.requests > 0).insert(entry.since, id);
    }
}

impl Client {
    fn len(&self) -> usize {
        self.idle.len() + self.active.len()
    }

    fn of_state(&mut self, is_active: bool) -> &mut BTreeMap<u64, Id> {
        if is_active { &mut self.active } else { &mut self.idle }
    }

    /// The connection to close, which is not `new`. The oldest in its state: a request that is short is not hit even if
    /// others arrive at a high rate.
    fn first(&self, new: Id) -> Option<Id> {
        self.idle.values().chain(self.active.values()).find(|id| **id != new).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    /// Runs steps on a table of 8 connections, with a reserve of 2. Each letter is a client: `a` opens an
    /// idle connection, `A` opens one and begins a request. Returns what is left, in the order of opening.
    #[track_caller]
    fn check(steps: &str, expected: &str) {
        let limits = ConnectionLimits { total: 8, reserve: 2 };
        let connections = Connections::new(limits);
        let mut opened = Vec::new();
        for letter in steps.chars().filter(|c| c.is_ascii_alphabetic()) {
            let address = Ipv4Addr::new(127, 0, 0, letter.to_ascii_lowercase() as u8);
            let connection = Arc::new(connections.open(IpAddr::V4(address).into()));
            assert!(!connection.close.is_cancelled(), "{steps}: {letter} is admitted");
            let activity = letter.is_ascii_uppercase().then(|| connection.begin());
            opened.push((letter, connection, activity));
            assert!(connections.0.lock().open.len() <= limits.total, "{steps}");
        }
        let left: String =
            opened.iter().filter(|(_, connection, _)| !connection.close.is_cancelled()).map(|(c, ..)| *c).collect();
        assert_eq!(left, expected, "{steps}");
        drop(opened);
        let table = connections.0.lock();
        assert!(table.open.is_empty() && table.clients.is_empty(), "{steps}: {table:?}");
    }

    #[test]
    fn closes_a_connection_of_the_largest_client() {
        check("aaaaaa", "aaaaaa");
        // A single client does not get the reserve, and its own idle connection is closed first.
        check("aaaaaaaaa", "aaaaaa");
        check("aAAAAAA", "AAAAAA");
        check("AAAAAAA", "AAAAAA");
        check("AAAAAAa", "AAAAAa");
        // A second client gets the reserve, and its share for requests in progress.
        check("AAAAAAbb", "AAAAAAbb");
        check("AAAAAABBBBBB", "AAAABBBB");
        check("aaaaaaBBB", "aaaaaBBB");
        // Requests in progress do not end in favor of connections that wait for one, however many there are.
        check("AAAAAAbbb", "AAAAAAbb");
        check("AAAAAAbbbbbb", "AAAAAAbb");
        check("AAAAAbcdefghijk", "AAAAAijk");
        check("AAAAAAbcbcbcbc", "AAAAAAbc");
        check("AAAABBBbbbbcccc", "AAAABBBc");
        // An active client with few connections keeps them.
        check("BBaaaaaaaaaaaa", "BBaaaaaa");
        check("Bbaaaaaaaaaaaac", "Bbaaaaac");
        // Many clients: idle connections before active ones, and the oldest first.
        check("abcdefghi", "bcdefghi");
        check("AAbcdefghi", "AAdefghi");
        check("ABCDEFGhI", "ABCDEFGI");
        check("ABCDEFGHi", "BCDEFGHi");
        check("aabbccddE", "abbccddE");
    }

    #[test]
    fn a_connection_is_idle_before_and_after_its_request() {
        let client = ClientAddress::from(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let connections = Connections::new(ConnectionLimits { total: 3, reserve: 1 });
        let [first, second] = [(); 2].map(|()| Arc::new(connections.open(client)));
        // The second one has been idle for longer.
        drop(first.begin());
        let third = Arc::new(connections.open(client));
        let closed = |connection: &Arc<Connection>| connection.close.is_cancelled();
        assert_eq!([&first, &second, &third].map(closed), [false, true, false]);
        let activity = first.begin();
        let fourth = Arc::new(connections.open(client));
        assert_eq!([&first, &third, &fourth].map(closed), [false, true, false]);
        assert!(connections.close_idle() && closed(&fourth));
        assert!(!connections.close_idle() && !closed(&first));
        drop(activity);
        assert!(connections.close_idle() && closed(&first));
        // Requests that share a connection.
        let shared = Arc::new(connections.open(client));
        let [one, other] = [(); 2].map(|()| shared.begin());
        drop(one);
        assert!(!connections.close_idle() && !closed(&shared));
        drop(other);
        assert!(connections.close_idle() && closed(&shared));
        // A response that the client does not accept.
        let stalled = Arc::new(connections.open(client));
        let mut activity = stalled.begin();
        activity.suspend();
        activity.resume();
        assert!(!connections.close_idle());
        activity.suspend();
        assert!(connections.close_idle() && closed(&stalled));
        drop(activity);
        // What happens on a closed connection changes nothing.
        drop(first.begin());
        assert!(connections.0.lock().open.is_empty());
    }
}
