//! Clients of the HTTP server, as its limits see them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// What counts as one client: an IPv4 address, or an IPv6 network of 64 bits, since a host can use any address of its
/// network (RFC 4291 §2.5.1). It is the address of the connection: forwarded headers are never read, because any client can
/// set them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientAddress(IpAddr);

impl From<IpAddr> for ClientAddress {
    fn from(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V4(ip) => IpAddr::V4(ip),
            IpAddr::V6(ip) if ip.is_loopback() => IpAddr::V6(ip),
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & NETWORK)),
        })
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The mask of the first 64 bits.
const NETWORK: u128 = !(u64::MAX as u128);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(a: &str, b: &str, are_one: bool) {
        let [first, second] = [a, b].map(|text| ClientAddress::from(text.parse::<IpAddr>().expect("an address")));
        assert_eq!(first == second, are_one, "{a} and {b}");
    }

    #[test]
    fn takes_an_ipv6_network_for_one_client() {
        check("192.0.2.1", "192.0.2.2", false);
        check("192.0.2.1", "::ffff:192.0.2.1", true);
        check("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true);
        check("2001:db8:0:1::1", "2001:db8:0:2::1", false);
        check("::1", "::2", false);
    }
}
