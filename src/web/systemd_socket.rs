//! Listeners that systemd has bound and passed on (sd_listen_fds(3)).

use std::env;
use std::net::TcpListener;
use std::process;

use listenfd::ListenFd;
use socket2::SockRef;
use thiserror::Error;

/// The listening TCP sockets that systemd has passed to this process, nonblocking as those of [`super::bind`]. To be
/// called once, before any thread is started: the environment variables are removed.
///
/// # Errors
/// If there is none, or if a passed socket is anything else.
pub fn systemd_listeners() -> Result<Vec<TcpListener>, SystemdSocketError> {
    // The sockets may be for the process that has started this one.
    if number("LISTEN_PID") != Some(process::id()) {
        return Err(SystemdSocketError::None);
    }
    let count = number("LISTEN_FDS").unwrap_or(0);
    if count > MAX_SOCKETS {
        return Err(SystemdSocketError::TooMany(count));
    }
    let mut passed = ListenFd::from_env();
    let listeners = (0..passed.len())
        .map(|index| {
            let listener = passed.take_tcp_listener(index).ok().flatten();
            listener.and_then(prepared).ok_or(SystemdSocketError::NotListening { file: FIRST_FILE + index })
        })
        .collect::<Result<Vec<_>, _>>()?;
    if listeners.is_empty() { Err(SystemdSocketError::None) } else { Ok(listeners) }
}

fn number(variable: &str) -> Option<u32> {
    env::var(variable).ok()?.parse().ok()
}

/// The listener, nonblocking, if it is one: with `Accept=yes`, systemd passes a connection instead.
fn prepared(listener: TcpListener) -> Option<TcpListener> {
    let is_listener = SockRef::from(&listener).is_listener().unwrap_or(false);
    (is_listener && listener.set_nonblocking(true).is_ok()).then_some(listener)
}

/// Why the sockets of systemd cannot be used.
#[derive(Debug, Error)]
pub enum SystemdSocketError {
    /// No socket was passed to this process.
    #[error("no sockets passed by systemd (LISTEN_FDS, LISTEN_PID)")]
    None,
    /// More sockets than a server listens on.
    #[error("{0} sockets passed by systemd: expected at most {MAX_SOCKETS}")]
    TooMany(u32),
    /// One of them is a socket of another kind, no socket, or closed.
    #[error("not a listening TCP socket: fd {file}, passed by systemd")]
    NotListening {
        /// The number of the file descriptor; the sockets are in the order of the socket unit.
        file: usize,
    },
}

const MAX_SOCKETS: u32 = 64;
/// SD_LISTEN_FDS_START of sd_listen_fds(3).
const FIRST_FILE: usize = 3;
