//! Records of sessions and counts of connections.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::watch;
use tokio::time::timeout;

/// One session, as observed by the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// The lines received before and inside TLS, in order, without CRLF.
    pub commands: Vec<String>,
    /// The server name in the ClientHello (RFC 6066 §3).
    pub sni: Option<String>,
    /// Whether a TLS handshake completed.
    pub tls: bool,
    /// Whether that handshake resumed an earlier session.
    pub resumed: bool,
    /// Whether QUIT was received.
    pub quit: bool,
    /// Whether the client sent data before the greeting was complete, or after STARTTLS without waiting for the reply.
    pub early_talker: bool,
}

/// The sessions and connection counts of one server.
#[derive(Debug)]
pub(crate) struct SessionLog {
    state: Mutex<State>,
    accepted: watch::Sender<usize>,
    finished: watch::Sender<usize>,
}

impl SessionLog {
    pub(crate) fn accepted(&self) -> usize {
        *self.accepted.borrow()
    }

    pub(crate) fn peak(&self) -> usize {
        self.state().peak
    }

    pub(crate) fn sessions(&self) -> Vec<Session> {
        self.state().sessions.iter().cloned().collect()
    }

    /// Records an accepted connection.
    pub(crate) fn accept(self: &Arc<Self>, socket: impl AsFd) -> SessionRecorder {
        let mut number = 0;
        self.accepted.send_modify(|accepted| {
            number = *accepted;
            *accepted += 1;
        });
        if let Ok(handle) = socket.as_fd().try_clone_to_owned() {
            self.state().add(number, handle);
        }
        SessionRecorder { number, session: Session::default(), log: Some(Arc::clone(self)) }
    }

    pub(crate) async fn wait_accepted(&self, n: usize, server: SocketAddr) {
        wait_for_count(&self.accepted, n, "accepted connections", server).await;
    }

    pub(crate) async fn wait_sessions(&self, n: usize, server: SocketAddr) {
        wait_for_count(&self.finished, n, "finished sessions", server).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SessionLog {
    fn default() -> Self {
        Self { state: Mutex::default(), accepted: watch::Sender::new(0), finished: watch::Sender::new(0) }
    }
}

/// Records one open connection. On drop, the session is added to the log.
#[derive(Debug)]
pub(crate) struct SessionRecorder {
    pub(crate) session: Session,
    /// Counted from 0, in the order of acceptance.
    pub(crate) number: usize,
    log: Option<Arc<SessionLog>>,
}

impl SessionRecorder {
    /// A recorder without a log.
    pub(crate) fn discarding() -> Self {
        Self { session: Session::default(), number: 0, log: None }
    }

    /// Counts the connection as closed. Must be called before the last reply is sent, otherwise the client could
    /// reconnect before it is counted; and before the socket is closed, since the duplicated handle delays the close.
    pub(crate) fn mark_closed(&mut self) {
        if let Some(log) = &self.log {
            log.state().open.remove(&self.number);
        }
    }

    /// Adds the session to the log.
    pub(crate) fn finish(&mut self) {
        self.mark_closed();
        if let Some(log) = self.log.take() {
            let session = std::mem::take(&mut self.session);
            log.state().push(session);
            log.finished.send_modify(|finished| *finished += 1);
        }
    }
}

impl Drop for SessionRecorder {
    fn drop(&mut self) {
        self.finish();
    }
}

#[derive(Debug, Default)]
struct State {
    sessions: VecDeque<Session>,
    /// A duplicated handle to the socket of every open connection.
    open: HashMap<usize, OwnedFd>,
    peak: usize,
}

impl State {
    fn push(&mut self, session: Session) {
        if self.sessions.len() == MAX_SESSIONS {
            self.sessions.pop_front();
        }
        self.sessions.push_back(session);
    }

    fn add(&mut self, number: usize, handle: OwnedFd) {
        self.open.insert(number, handle);
        // A client may reconnect before the task of its last connection has noticed that it ended. The kernel knows it.
        if self.open.len() > self.peak {
            let open = self.open.values().filter(|handle| !hung_up(handle)).count();
            self.peak = self.peak.max(open);
        }
    }
}

/// Whether the peer has closed, even if unread bytes remain.
fn hung_up(socket: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::RDHUP)];
    poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

async fn wait_for_count(count: &watch::Sender<usize>, n: usize, what: &str, server: SocketAddr) {
    let mut count = count.subscribe();
    if timeout(TIMEOUT, count.wait_for(|count| *count >= n)).await.is_err() {
        panic!("{server} has {} of {n} {what} after {TIMEOUT:?}", *count.borrow());
    }
}

/// A test that waits longer than this is considered stuck.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Bounds memory: a fleet may run for days.
const MAX_SESSIONS: usize = 16_384;
