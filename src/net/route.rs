//! What this machine's routing table says.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Whether this machine knows a route to `address`: connecting a UDP socket asks the routing table and sends nothing.
pub fn has_route(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // The discard port (RFC 863): some port must be named.
    match UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((address, 9))) {
        Ok(()) => true,
        // Anything else, a want of descriptors say, is no word about routes.
        Err(error) => {
            !matches!(
                error.kind(),
                ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable | ErrorKind::Unsupported
            ) && error.raw_os_error() != Some(libc::EAFNOSUPPORT)
        }
    }
}
