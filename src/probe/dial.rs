//! Opens TCP connections, and distinguishes failures of this host from those of the network.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::net::has_route;
use crate::observation::LocalFailure;
use crate::reason::LocalReason;

/// Connects without Nagle's algorithm: each SMTP command is a small write whose reply is waited for.
pub(super) async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The failure if `error` comes from this host, not from the network or the peer.
pub(super) fn local_failure(error: &io::Error, address: SocketAddr) -> Option<LocalFailure> {
    let reason = match error.raw_os_error()? {
        libc::EMFILE | libc::ENFILE => LocalReason::FileDescriptors,
        libc::ENOBUFS | libc::ENOMEM => LocalReason::Buffers,
        libc::EADDRNOTAVAIL => LocalReason::LocalAddress,
        libc::EACCES | libc::EPERM => LocalReason::Forbidden,
        // A router on the path can cause the same error. It is local only if this host has no route.
        libc::ENETUNREACH if !has_route(address.ip()) => LocalReason::NoRoute,
        _ => return None,
    };
    Some(LocalFailure { reason, detail: error.to_string().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinguishes_local_failures_from_those_of_the_peer() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 25));
        for (errno, expected) in [
            (libc::EMFILE, Some(LocalReason::FileDescriptors)),
            (libc::ENFILE, Some(LocalReason::FileDescriptors)),
            (libc::ENOBUFS, Some(LocalReason::Buffers)),
            (libc::EADDRNOTAVAIL, Some(LocalReason::LocalAddress)),
            (libc::EACCES, Some(LocalReason::Forbidden)),
            (libc::EPERM, Some(LocalReason::Forbidden)),
            // Loopback has a route, so the error is not local.
            (libc::ENETUNREACH, None),
            (libc::ECONNREFUSED, None),
            (libc::ETIMEDOUT, None),
        ] {
            let found = local_failure(&io::Error::from_raw_os_error(errno), loopback);
            assert_eq!(found.map(|failure| failure.reason), expected, "errno {errno}");
        }
        assert_eq!(local_failure(&io::Error::other("no errno"), loopback), None);
    }
}
