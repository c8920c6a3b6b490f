//! What connections did, and how many there were.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::watch;
use tokio::time::timeout;

/// What one connection did, as the server saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// The lines received, before TLS and inside it, in order, without CRLF.
    pub commands: Vec<String>,
    /// The server name of the ClientHello (RFC 6066 §3).
    pub sni: Option<String>,
    /// Whether a TLS handshake was finished.
    pub tls: bool,
    /// Whether that handshake resumed an earlier session.
    pub resumed: bool,
    /// Whether QUIT was received.
    pub quit: bool,
    /// Whether the client talked before the greeting was complete, or on past STARTTLS without waiting for the answer.
    pub early_talker: bool,
}

/// The books of one server.
#[derive(Debug)]
pub(crate) struct Ledger {
    books: Mutex<Books>,
    accepted: watch::Sender<usize>,
    finished: watch::Sender<usize>,
}

impl Ledger {
    pub(crate) fn accepted(&self) -> usize {
        *self.accepted.borrow()
    }

    pub(crate) fn peak(&self) -> usize {
        self.books().peak
    }

    pub(crate) fn sessions(&self) -> Vec<Session> {
        self.books().sessions.iter().cloned().collect()
    }

    /// Enters a connection that was accepted.
    pub(crate) fn enter(self: &Arc<Self>, socket: impl AsFd) -> Visit {
        let mut number = 0;
        self.accepted.send_modify(|accepted| {
            number = *accepted;
            *accepted += 1;
        });
        if let Ok(handle) = socket.as_fd().try_clone_to_owned() {
            self.books().enter(number, handle);
        }
        Visit { number, session: Session::default(), ledger: Some(Arc::clone(self)) }
    }

    pub(crate) async fn wait_accepted(&self, n: usize, whose: SocketAddr) {
        reach(&self.accepted, n, "accepted connections", whose).await;
    }

    pub(crate) async fn wait_sessions(&self, n: usize, whose: SocketAddr) {
        reach(&self.finished, n, "finished sessions", whose).await;
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self { books: Mutex::default(), accepted: watch::Sender::new(0), finished: watch::Sender::new(0) }
    }
}

/// A connection while it lasts. Dropped, in whatever way, it is entered in the ledger.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) session: Session,
    /// From 0 on, in the order of acceptance.
    pub(crate) number: usize,
    ledger: Option<Arc<Ledger>>,
}

impl Visit {
    /// One that nobody asks about.
    pub(crate) fn unrecorded() -> Self {
        Self { session: Session::default(), number: 0, ledger: None }
    }

    /// Counts the connection as over. Comes before the last word is sent, or the client could be back before it is
    /// counted; and before the socket is closed, which another handle on it would put off.
    pub(crate) fn leave(&mut self) {
        if let Some(ledger) = &self.ledger {
            ledger.books().present.remove(&self.number);
        }
    }

    /// Enters the session: nothing more will be seen of it.
    pub(crate) fn finish(&mut self) {
        self.leave();
        if let Some(ledger) = self.ledger.take() {
            let session = std::mem::take(&mut self.session);
            ledger.books().keep(session);
            ledger.finished.send_modify(|finished| *finished += 1);
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.finish();
    }
}

#[derive(Debug, Default)]
struct Books {
    sessions: VecDeque<Session>,
    /// A second handle on the socket of every open connection.
    present: HashMap<usize, OwnedFd>,
    peak: usize,
}

impl Books {
    fn keep(&mut self, session: Session) {
        if self.sessions.len() == KEPT {
            self.sessions.pop_front();
        }
        self.sessions.push_back(session);
    }

    fn enter(&mut self, number: usize, handle: OwnedFd) {
        self.present.insert(number, handle);
        // A client may be back before the task of its last connection has seen that one end, but the kernel has seen it.
        if self.present.len() > self.peak {
            let open = self.present.values().filter(|handle| !hung_up(handle)).count();
            self.peak = self.peak.max(open);
        }
    }
}

/// Whether the peer has closed, read or unread bytes notwithstanding.
fn hung_up(socket: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::RDHUP)];
    poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

async fn reach(count: &watch::Sender<usize>, n: usize, what: &str, whose: SocketAddr) {
    let mut count = count.subscribe();
    if timeout(PATIENCE, count.wait_for(|count| *count >= n)).await.is_err() {
        panic!("{whose} has {} of {n} {what} after {PATIENCE:?}", *count.borrow());
    }
}

/// A test that waits longer than this waits for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// A fleet may stand for days.
const KEPT: usize = 16_384;
