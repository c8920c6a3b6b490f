//! Listeners that systemd has bound and passed on (sd_listen_fds(3)).

use std::env;
use std::io;
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
            let listener = passed.take_tcp_listener(index).and_then(|listener| listener.ok_or_else(not_listening));
            listener.and_then(prepared).map_err(|error| SystemdSocketError::Unusable { number: index + 1, error })
        })
        .collect::<Result<Vec<_>, _>>()?;
    if listeners.is_empty() { Err(SystemdSocketError::None) } else { Ok(listeners) }
}

fn number(variable: &str) -> Option<u32> {
    env::var(variable).ok()?.parse().ok()
}

/// With `Accept=yes`, systemd passes a connection instead.
fn prepared(listener: TcpListener) -> io::Result<TcpListener> {
    if !SockRef::from(&listener).is_listener()? {
        return Err(not_listening());
    }
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn not_listening() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a listening TCP socket")
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
    /// One of them cannot be used.
    #[error("socket {number} passed by systemd cannot be used: {error}")]
    Unusable {
        /// Its number, from 1, in the order of the socket unit.
        number: usize,
        /// Why.
        error: io::Error,
    },
}

const MAX_SOCKETS: u32 = 64;
