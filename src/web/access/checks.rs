//! Checks of passwords, one at a time: bcrypt takes much CPU time, and anyone can ask for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::users::CredentialsId;
use crate::net::ClientAddress;

/// A short queue of checks, with one of each client. Requests with the same credentials share a check.
pub(super) struct Checks {
    turn: Arc<Semaphore>,
    pending: Arc<Mutex<Pending>>,
    /// Clients that have sent a right password, the last ones.
    trusted: Mutex<VecDeque<Option<ClientAddress>>>,
}

/// The checks that wait or run, in the order of arrival.
#[derive(Default)]
struct Pending {
    last: u64,
    checks: BTreeMap<u64, Check>,
}

struct Check {
    client: Option<ClientAddress>,
    id: CredentialsId,
    /// Gone if all clients that waited for it have disconnected.
    result: WeakShared<BoxFuture<'static, bool>>,
}

/// The entry of a check, which dropping this removes.
struct PendingEntry {
    pending: Arc<Mutex<Pending>>,
    number: u64,
}

/// Too many checks wait, or one of the same client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy;

impl Checks {
    pub(super) fn new() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), pending: Arc::default(), trusted: Mutex::default() }
    }

    /// The result of `work`, or of a pending check of the same credentials. If all futures of a check are dropped while it
    /// waits, it leaves the queue; once it runs, it runs to its end, and counts as one of its client until then.
    ///
    /// # Errors
    /// If a check of other credentials is pending for this client, or if too many are pending.
    pub(super) async fn run(
        &self,
        client: Option<ClientAddress>,
        id: CredentialsId,
        work: impl FnOnce() -> bool + Send + 'static,
    ) -> Result<bool, Busy> {
        let check = self.join_or_queue(client, id, work)?;
        Ok(check.await)
    }

    /// A client has sent a right password. When many checks wait, it can still queue one.
    pub(super) fn trust(&self, client: Option<ClientAddress>) {
        let mut trusted = self.trusted.lock();
        if trusted.contains(&client) {
            return;
        }
        if trusted.len() >= MAX_TRUSTED {
            trusted.pop_front();
        }
        trusted.push_back(client);
    }

    fn join_or_queue(
        &self,
        client: Option<ClientAddress>,
        id: CredentialsId,
        work: impl FnOnce() -> bool + Send + 'static,
    ) -> Result<Shared<BoxFuture<'static, bool>>, Busy> {
        let mut pending = self.pending.lock();
        let mut same = pending.checks.values().filter(|check| check.id == id);
        if let Some(result) = same.find_map(|check| check.result.upgrade()) {
            return Ok(result);
        }
        let limit = if self.trusted.lock().contains(&client) { MAX_PENDING + RESERVED } else { MAX_PENDING };
        if pending.checks.len() >= limit || pending.checks.values().any(|check| check.client == client) {
            return Err(Busy);
        }
        pending.last += 1;
        let number = pending.last;
        let (turn, entry) = (Arc::clone(&self.turn), PendingEntry { pending: Arc::clone(&self.pending), number });
        let result = async move {
            // The semaphore is never closed.
            let Ok(turn) = turn.acquire_owned().await else { return false };
            let work = move || {
                let _held = (turn, entry);
                work()
            };
            // A panic is not a right password.
            spawn_blocking(work).await.unwrap_or(false)
        };
        let result = result.boxed().shared();
        if let Some(weak) = result.downgrade() {
            pending.checks.insert(number, Check { client, id, result: weak });
        }
        Ok(result)
    }
}

impl Drop for PendingEntry {
    fn drop(&mut self) {
        self.pending.lock().checks.remove(&self.number);
    }
}

/// Checks that wait or run. With the highest cost, each takes about a second.
const MAX_PENDING: usize = 16;
/// Further ones of clients that have sent a right password.
const RESERVED: usize = 16;
/// Clients that are remembered for it.
const MAX_TRUSTED: usize = 64;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn client(number: u8) -> Option<ClientAddress> {
        Some(IpAddr::from([192, 0, 2, number]).into())
    }

    type Result = BoxFuture<'static, std::result::Result<bool, Busy>>;

    /// A check for a client whose credentials have this number, polled once.
    fn start(checks: &Arc<Checks>, number: u8, id: u8, work: impl FnOnce() -> bool + Send + 'static) -> Result {
        let (checks, id) = (Arc::clone(checks), CredentialsId::from([id; 32]));
        let mut check = async move { checks.run(client(number), id, work).await }.boxed();
        match (&mut check).now_or_never() {
            Some(result) => async move { result }.boxed(),
            None => check,
        }
    }

    fn unexpected() -> bool {
        panic!("this check does not run")
    }

    /// A check that runs until the returned sender is used.
    fn blocked(checks: &Arc<Checks>, number: u8, id: u8) -> (Result, mpsc::Sender<bool>) {
        let (sender, receiver) = mpsc::channel();
        (start(checks, number, id, move || receiver.recv().unwrap_or(false)), sender)
    }

    fn now(check: Result) -> Option<std::result::Result<bool, Busy>> {
        check.now_or_never()
    }

    async fn result(check: Result) -> std::result::Result<bool, Busy> {
        timeout(Duration::from_secs(60), check).await.expect("the check ends")
    }

    #[tokio::test]
    async fn each_client_has_one_check_and_the_queue_is_short() {
        let checks = Arc::new(Checks::new());
        let (running, release) = blocked(&checks, 0, 0);
        assert_eq!(now(start(&checks, 0, 100, unexpected)), Some(Err(Busy)));
        let mut waiting: Vec<_> =
            (1..MAX_PENDING as u8).map(|number| start(&checks, number, number, || false)).collect();
        assert_eq!(now(start(&checks, 1, 101, unexpected)), Some(Err(Busy)));
        assert_eq!(now(start(&checks, 99, 99, unexpected)), Some(Err(Busy)), "the queue is full");
        // Unless the client has sent a right password before.
        checks.trust(client(98));
        let trusted = start(&checks, 98, 98, || true);
        // A client that disconnects frees its place.
        drop(waiting.pop());
        drop(trusted);
        waiting.push(start(&checks, 99, 99, || true));
        release.send(true).expect("a running check");
        assert_eq!(result(running).await, Ok(true));
        for (index, check) in waiting.into_iter().enumerate() {
            assert_eq!(result(check).await, Ok(index + 2 == MAX_PENDING), "{index}");
        }
        assert!(checks.pending.lock().checks.is_empty());
        assert_eq!(result(start(&checks, 1, 1, || true)).await, Ok(true));
    }

    #[tokio::test]
    async fn equal_credentials_share_a_check() {
        let checks = Arc::new(Checks::new());
        let (first, release) = blocked(&checks, 1, 1);
        let others = [1, 1, 2, 3].map(|number| start(&checks, number, 1, unexpected));
        // Whichever of them disconnects, the others get the result.
        drop(first);
        release.send(true).expect("a running check");
        for other in others {
            assert_eq!(result(other).await, Ok(true));
        }
    }

    #[tokio::test]
    async fn a_running_check_counts_until_its_end() {
        let checks = Arc::new(Checks::new());
        let (running, release) = blocked(&checks, 1, 1);
        drop(running);
        assert_eq!(now(start(&checks, 1, 1, unexpected)), Some(Err(Busy)));
        let next = start(&checks, 2, 2, || true);
        release.send(true).expect("a running check");
        assert_eq!(result(next).await, Ok(true));
        assert!(checks.pending.lock().checks.is_empty());
    }

    #[tokio::test]
    async fn a_panic_is_not_a_right_password() {
        let checks = Arc::new(Checks::new());
        assert_eq!(result(start(&checks, 1, 1, || panic!("expected by the test"))).await, Ok(false));
        assert_eq!(result(start(&checks, 1, 1, || true)).await, Ok(true));
    }
}
