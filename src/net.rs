//! Networks, routes, and the scopes of IP addresses (RFC 6890).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use thiserror::Error;

mod client;
mod forwardable;
mod route;
mod shares;

pub use self::client::ClientAddress;
pub use self::forwardable::{is_non_forwardable, non_forwardable_range};
pub use self::route::has_route;
pub use self::shares::{QueueFull, Shares};

/// A range of addresses in CIDR notation (RFC 4632 §3.1): `192.0.2.0/24`, `2001:db8::/32`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network(IpNet);

impl Network {
    /// Whether it contains `ip`; IPv4-mapped addresses count as IPv4.
    pub fn contains(self, ip: IpAddr) -> bool {
        self.0.contains(&ip.to_canonical())
    }

    /// Whether all of its addresses are in `other`.
    pub fn is_within(self, other: Self) -> bool {
        other.0.contains(&self.0)
    }

    /// Whether it permits connections to `ip`: it contains `ip` and, if `ip` is local, is itself within a local range.
    /// `0.0.0.0/0` permits all global addresses, but no loopback or private ones.
    pub fn permits(self, ip: IpAddr) -> bool {
        self.contains(ip)
            && match AddressScope::of(ip) {
                AddressScope::Global => true,
                AddressScope::Local => LOCAL.iter().any(|range| range.contains(&self.0)),
                AddressScope::Unroutable => false,
            }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Parses an address, or an address and a prefix length. IPv4-mapped ones become IPv4.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (ip, length) = match text.split_once('/') {
            Some((ip, length)) => (ip, Some(length)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| NetworkError::Address)?;
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let length: u8 = match length {
            None => longest,
            Some(digits) if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(NetworkError::PrefixLength);
            }
            Some(digits) => digits.parse().map_err(|_| NetworkError::PrefixLength)?,
        };
        let (ip, length) = match (ip, ip.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(mapped)) if length >= MAPPED => (IpAddr::V4(mapped), length - MAPPED),
            _ => (ip, length),
        };
        let net = IpNet::new(ip, length).map_err(|_| NetworkError::PrefixLength)?;
        if net.trunc() == net { Ok(Self(net)) } else { Err(NetworkError::HostBits(Self(net.trunc()))) }
    }
}

impl From<IpAddr> for Network {
    fn from(ip: IpAddr) -> Self {
        Self(ip.to_canonical().into())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

/// Why a text is not a valid network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// The part before the slash is not an IP address.
    #[error("invalid IP address")]
    Address,
    /// The prefix length is not a number, or too long.
    #[error("invalid prefix length: expected 0 to 32 for IPv4, 0 to 128 for IPv6")]
    PrefixLength,
    /// The address has bits set after the prefix. Holds the network without them.
    #[error("host bits are set: expected {0}")]
    HostBits(Network),
}

/// Whether `ip` can be the address of a single host: it is not unspecified, multicast or broadcast.
pub fn is_unicast(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressScope {
    /// A host on the Internet.
    Global,
    /// This host, its link, a private network, a tunnel into any of those, or a range that is not assigned to hosts (the
    /// special-purpose registries of RFC 6890).
    Local,
    /// Not the address of a single host, or a NAT64 address that embeds an IPv4 address that is not global. The latter
    /// host is permitted by its IPv4 address only.
    Unroutable,
}

impl AddressScope {
    pub(crate) fn of(ip: IpAddr) -> Self {
        let ip = match ip.to_canonical() {
            // A translator forwards to the embedded IPv4 address, which must be global (RFC 6052 §3.1).
            IpAddr::V6(v6) if NAT64.contains(&v6) => {
                let [.., a, b, c, d] = v6.octets();
                let is_global = Self::of(Ipv4Addr::new(a, b, c, d).into()) == Self::Global;
                return if is_global { Self::Global } else { Self::Unroutable };
            }
            ip => ip,
        };
        let within = |ranges: &[IpNet]| ranges.iter().any(|range| range.contains(&ip));
        match () {
            () if within(&UNROUTABLE) => Self::Unroutable,
            () if within(&LOCAL) => Self::Local,
            () => Self::Global,
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), length))
}

const fn v6(first: u16, second: u16, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0), length))
}

/// Prefix length of IPv4-mapped addresses, `::ffff:0:0/96` (RFC 4291 §2.5.5.2).
const MAPPED: u8 = 96;

/// The well-known prefix of translators (RFC 6052 §2.1).
const NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

const UNROUTABLE: [IpNet; 5] = [
    // "This network" (RFC 791 §3.2); connections to 0.0.0.0 reach this host.
    v4(0, 0, 0, 8),
    // Multicast (RFC 5771), reserved and broadcast (RFC 1112 §4, RFC 919 §7).
    v4(224, 0, 0, 3),
    // Unspecified (RFC 4291 §2.5.2).
    v6(0, 0, 128),
    // Multicast (RFC 4291 §2.7).
    v6(0xff00, 0, 8),
    // Discard (RFC 6666).
    v6(0x100, 0, 64),
];

const LOCAL: [IpNet; 21] = [
    // Private (RFC 1918).
    v4(10, 0, 0, 8),
    v4(172, 16, 0, 12),
    v4(192, 168, 0, 16),
    // Carrier-grade NAT (RFC 6598).
    v4(100, 64, 0, 10),
    // Loopback (RFC 1122 §3.2.1.3), link-local (RFC 3927) with the metadata services of clouds.
    v4(127, 0, 0, 8),
    v4(169, 254, 0, 16),
    // Protocol assignments (RFC 6890 §2.1), 6to4 relays (RFC 7526).
    v4(192, 0, 0, 24),
    v4(192, 88, 99, 24),
    // Documentation (RFC 5737), benchmarks (RFC 2544).
    v4(192, 0, 2, 24),
    v4(198, 51, 100, 24),
    v4(203, 0, 113, 24),
    v4(198, 18, 0, 15),
    // All IPv6 that is not global unicast (RFC 4291 §2.4): loopback, link-local, unique local, IPv4-compatible, local
    // translation (RFC 8215).
    v6(0, 0, 3),
    v6(0x4000, 0, 2),
    v6(0x8000, 0, 1),
    // Protocol assignments (RFC 2928), including Teredo (RFC 4380).
    v6(0x2001, 0, 23),
    // 6to4 (RFC 3056), which embeds an IPv4 address.
    v6(0x2002, 0, 16),
    // Documentation (RFC 3849, RFC 9637).
    v6(0x2001, 0xdb8, 32),
    v6(0x3fff, 0, 20),
    // Direct delegation of AS112 (RFC 7534, RFC 7535).
    v6(0x2620, 0x4f, 32),
    v4(192, 175, 48, 24),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|_| panic!("{text} is an address"))
    }

    #[test]
    fn scopes_follow_the_registries() {
        for (expected, addresses) in [
            (
                AddressScope::Global,
                "1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 172.15.255.255 \
                 172.32.0.0 192.0.1.0 192.167.255.255 198.17.255.255 198.20.0.0 223.255.255.255 2000:: 2001:200::1 \
                 2600::1 2a00::1 3ffe::1 ::ffff:1.1.1.1 64:ff9b::1.1.1.1",
            ),
            (
                AddressScope::Local,
                "10.0.0.0 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1 100.127.255.255 127.0.0.1 \
                 127.255.255.254 169.254.169.254 192.0.0.8 192.0.2.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 \
                 192.88.99.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::1 ::127.0.0.1 fe80::1 febf::1 fc00::1 fd12:3456::1 \
                 fec0::1 64:ff9b:1::7f00:1 2001::1 2001:0:7f00:1:: 2001:2::1 2002:7f00:1::1 2001:db8::1 3fff::1 4000::1 \
                 5f00::1",
            ),
            (
                AddressScope::Unroutable,
                "0.0.0.0 0.1.2.3 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 :: ff02::1 100::1 ::ffff:0.0.0.0 \
                 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254",
            ),
        ] {
            for address in addresses.split(' ') {
                assert_eq!(AddressScope::of(ip(address)), expected, "{address}");
            }
        }
    }

    #[track_caller]
    fn check(text: &str, shown: &str, permitted: &str, denied: &str) {
        let network: Network = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(network.to_string(), shown);
        let mut addresses: Vec<&str> = permitted.split_whitespace().chain(denied.split_whitespace()).collect();
        addresses.retain(|address| network.permits(ip(address)));
        assert_eq!(addresses.join(" "), permitted, "{text}");
    }

    #[test]
    fn networks_permit_local_addresses_only_if_they_are_local() {
        check("10.0.0.0/8", "10.0.0.0/8", "10.1.2.3 ::ffff:10.1.2.3", "11.0.0.1 192.168.0.1 64:ff9b::10.0.0.1");
        check("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.2 ::1");
        check("127.0.0.0/9", "127.0.0.0/9", "127.0.0.1", "127.128.0.1");
        check("0.0.0.0/0", "0.0.0.0/0", "1.1.1.1 9.9.9.9", "127.0.0.1 10.0.0.1 169.254.169.254 0.0.0.0 224.0.0.1 ::1");
        check("8.0.0.0/5", "8.0.0.0/5", "9.9.9.9", "10.0.0.1");
        check("::/0", "::/0", "2600::1", "::1 fe80::1 fd00::1 ff02::1 ::ffff:127.0.0.1 1.1.1.1");
        check("fd00::/8", "fd00::/8", "fd00::1", "fc00::1 fe80::1");
        check("::1", "::1", "::1", ":: 127.0.0.1");
        check("::ffff:10.0.0.0/104", "10.0.0.0/8", "10.1.2.3", "11.0.0.1");
        check("0.0.0.0/8", "0.0.0.0/8", "", "0.0.0.0");
        check("224.0.0.0/4", "224.0.0.0/4", "", "224.0.0.1");
        check("64:ff9b::/96", "64:ff9b::/96", "64:ff9b::9.9.9.9", "64:ff9b::127.0.0.1");
    }

    #[test]
    fn rejects_invalid_networks() {
        for (text, expected) in [
            ("", NetworkError::Address),
            ("a.test", NetworkError::Address),
            ("10.0.0/8", NetworkError::Address),
            ("010.0.0.0/8", NetworkError::Address),
            ("/8", NetworkError::Address),
            ("10.0.0.0/", NetworkError::PrefixLength),
            ("10.0.0.0/+8", NetworkError::PrefixLength),
            ("10.0.0.0/33", NetworkError::PrefixLength),
            ("10.0.0.0/8/8", NetworkError::PrefixLength),
            ("fd00::/129", NetworkError::PrefixLength),
            ("fd00::/1000", NetworkError::PrefixLength),
            ("10.1.0.0/8", NetworkError::HostBits("10.0.0.0/8".parse().expect("a network"))),
        ] {
            assert_eq!(text.parse::<Network>(), Err(expected), "{text:?}");
        }
    }
}
