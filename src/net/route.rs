//! The routing table of this host.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Whether this host has a route to `address`. Connecting a UDP socket consults the routing table and sends nothing.
pub fn has_route(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Any port will do; this is the discard port (RFC 863).
    match UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((address, 9))) {
        Ok(()) => true,
        // Other errors, such as a lack of file descriptors, are not about routes.
        Err(error) => {
            !matches!(
                error.kind(),
                ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable | ErrorKind::Unsupported
            ) && error.raw_os_error() != Some(libc::EAFNOSUPPORT)
        }
    }
}
