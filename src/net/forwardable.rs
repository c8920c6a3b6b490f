//! Ranges of addresses that no router forwards: those of the host itself, of its link, and of groups of hosts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};

use super::{NAT64, Network, v4, v6};

/// The range that contains `ip` if no router forwards packets to it (RFC 6890 §2.2.2, §2.2.3) or if it is a multicast
/// address; none for the address of a host on another link, private addresses included.
///
/// An IPv6 address that embeds an IPv4 address is treated like the latter, because a translator or a tunnel passes packets
/// on to it. Its range is the IPv6 one that embeds the IPv4 range.
pub fn non_forwardable_range(ip: IpAddr) -> Option<Network> {
    let ip = ip.to_canonical();
    let own = RANGES.iter().find(|range| range.contains(&ip)).copied();
    let range = own.or_else(|| match ip {
        IpAddr::V4(_) => None,
        IpAddr::V6(ip) => embedded(ip).into_iter().find_map(|(address, end)| {
            let range = RANGES.iter().find(|range| range.contains(&IpAddr::V4(address)))?;
            Some(IpNet::new(IpAddr::V6(ip), end(range.prefix_len())).ok()?.trunc())
        }),
    });
    range.map(Network)
}

/// Whether all addresses of `network` are in one range of [`non_forwardable_range`].
pub fn is_non_forwardable(network: Network) -> bool {
    let ends = [network.0.network(), network.0.broadcast()];
    ends.into_iter().filter_map(non_forwardable_range).any(|range| network.is_within(range))
}

/// An embedded IPv4 address, and the prefix lengths in the IPv6 address.
type Embedded = (Ipv4Addr, PrefixLength);

/// The prefix length in an IPv6 address for one in the IPv4 address that it embeds.
type PrefixLength = fn(u8) -> u8;

/// The IPv4 addresses that `ip` embeds.
fn embedded(ip: Ipv6Addr) -> Vec<Embedded> {
    let bits = ip.to_bits();
    let at = |end: u32| Ipv4Addr::from_bits(low(bits >> (128 - end)));
    let last: Embedded = (at(128), |length| 96 + length);
    // IPv4-compatible (RFC 4291 §2.5.5.1), translated (RFC 2765 §2.1), and NAT64 (RFC 6052 §2.1).
    if [COMPATIBLE, TRANSLATED, NAT64].iter().any(|net| net.contains(&ip)) {
        return vec![last];
    }
    if LOCAL_NAT64.contains(&ip) {
        let found = local_nat64(bits);
        return if found.is_empty() { vec![last] } else { found };
    }
    // 6to4 (RFC 3056 §2).
    if SIX_TO_FOUR.contains(&ip) {
        return vec![(at(48), |length| 16 + length)];
    }
    // Teredo: the server, and the client with all bits inverted (RFC 4380 §4).
    if TEREDO.contains(&ip) {
        return vec![(at(64), |length| 32 + length), (Ipv4Addr::from_bits(!low(bits)), |length| 96 + length)];
    }
    // ISATAP, in any prefix (RFC 5214 §6.1).
    if matches!(ip.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, _, _]) { vec![last] } else { Vec::new() }
}

/// The addresses that a local translator with a prefix of 48, 56 or 64 bits embeds (RFC 8215, RFC 6052 §2.2). None if bits
/// are set that have to be zero for these lengths: then the prefix has 96 bits.
fn local_nat64(bits: u128) -> Vec<Embedded> {
    if (bits >> 56) & 0xff != 0 {
        return Vec::new();
    }
    // Without bits 64 to 71, which are not part of the IPv4 address.
    let joined = ((bits >> 64) << 56) | (bits & ((1 << 56) - 1));
    let layouts: [(u32, PrefixLength); 3] = [
        (48, |length| if length > 16 { 56 + length } else { 48 + length }),
        (56, |length| if length > 8 { 64 + length } else { 56 + length }),
        (64, |length| 72 + length),
    ];
    let fits = layouts.into_iter().filter(|(start, _)| joined & ((1 << (88 - start)) - 1) == 0);
    fits.map(|(start, end)| (Ipv4Addr::from_bits(low(joined >> (88 - start))), end)).collect()
}

/// The lowest 32 bits.
const fn low(bits: u128) -> u32 {
    let [.., a, b, c, d] = bits.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The ranges of both families, without those of embedded addresses.
const RANGES: [IpNet; 9] = [
    // "This network": connections to 0.0.0.0 reach this host (RFC 1122 §3.2.1.3).
    v4(0, 0, 0, 8),
    // Loopback.
    v4(127, 0, 0, 8),
    // Link-local (RFC 3927), with the metadata services of clouds.
    v4(169, 254, 0, 16),
    // Multicast (RFC 5771).
    v4(224, 0, 0, 4),
    // Broadcast (RFC 919 §7).
    IpNet::V4(ipnet::Ipv4Net::new_assert(Ipv4Addr::BROADCAST, 32)),
    // Unspecified and loopback (RFC 4291 §2.5.2, §2.5.3).
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
    // Link-local (RFC 4291 §2.5.6).
    v6(0xfe80, 0, 10),
    // Multicast (RFC 4291 §2.7).
    v6(0xff00, 0, 8),
];

const COMPATIBLE: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 96);
const TRANSLATED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96);
const LOCAL_NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48);
const SIX_TO_FOUR: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16);
const TEREDO: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32);

#[cfg(test)]
mod tests {
    use super::*;

    /// Each range with addresses in it; `-` for addresses that are in none.
    const TABLE: &str = "
        0.0.0.0/8 | 0.0.0.0 0.0.0.1 0.255.255.255 ::ffff:0.0.0.0
        127.0.0.0/8 | 127.0.0.1 127.0.0.10 127.255.255.255 ::ffff:127.0.0.1
        169.254.0.0/16 | 169.254.0.1 169.254.169.254 ::ffff:169.254.169.254
        224.0.0.0/4 | 224.0.0.1 239.255.255.255 ::ffff:224.0.0.1
        255.255.255.255 | 255.255.255.255 ::ffff:255.255.255.255
        :: | ::
        ::1 | ::1
        fe80::/10 | fe80::1 febf::1 fe80::5efe:192.0.2.1
        ff00::/8 | ff02::1 ff05::2
        ::/104 | ::2 ::0.1.2.3
        ::127.0.0.0/104 | ::127.0.0.1
        ::ffff:0:127.0.0.0/104 | ::ffff:0:127.0.0.1
        64:ff9b::127.0.0.0/104 | 64:ff9b::7f00:1 64:ff9b::127.255.255.255
        64:ff9b::0.0.0.0/104 | 64:ff9b::
        64:ff9b::169.254.0.0/112 | 64:ff9b::169.254.169.254
        64:ff9b::224.0.0.0/100 | 64:ff9b::224.0.0.1
        64:ff9b::255.255.255.255 | 64:ff9b::255.255.255.255
        64:ff9b:1::127.0.0.0/104 | 64:ff9b:1::7f00:1
        64:ff9b:1:fffe::169.254.0.0/112 | 64:ff9b:1:fffe::169.254.169.254
        64:ff9b:1:7f00::/56 | 64:ff9b:1:7f00:0:100::
        64:ff9b:1:a9fe::/64 | 64:ff9b:1:a9fe:a9:fe00::
        64:ff9b:1:ff7f::/64 | 64:ff9b:1:ff7f:0:1::
        64:ff9b:1:1:7f::/80 | 64:ff9b:1:1:7f:0:100:0
        2002:7f00::/24 | 2002:7f00:1:: 2002:7fff:ffff::1
        2002:a9fe::/32 | 2002:a9fe:a9fe::1
        2002::/24 | 2002::1
        2001:0:7f00::/40 | 2001:0:7f00:1::1
        2001:0:808:808::8000:0/104 | 2001:0:808:808::80ff:fffe
        2001:db8::5efe:127.0.0.0/104 | 2001:db8::5efe:127.0.0.1
        2001:db8::200:5efe:169.254.0.0/112 | 2001:db8::200:5efe:169.254.169.254
        - | 1.1.1.1 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0 223.255.255.255 240.0.0.1 255.255.255.254
        - | 10.0.0.1 172.16.0.1 192.168.0.1 100.64.0.1 192.0.2.1 198.18.0.1 fd00::1 fc00::1 fec0::1 2001:db8::1 2600::1
        - | ::10.0.0.1 ::8.8.8.8 ::ffff:10.0.0.1 ::ffff:0:8.8.8.8 64:ff9b::8.8.8.8 64:ff9b::10.0.0.1 64:ff9b:1::8.8.8.8
        - | 64:ff9b:1:fffe::8.8.8.8 64:ff9b:1:808:8:800:: 64:ff9b:1:ff08:8:808:: 64:ff9b:1:fffe:8:808:800:0
        - | 64:ff9b:2::7f00:1 2002:808:808::1 2002:a00:1::1 2001:0:808:808::f7f7:f7f7 2001:1::7f00:1 2001:db8::7f00:1
        - | 2001:db8::5efe:8.8.8.8 2001:db8::100:5efe:127.0.0.1 2003:7f00:1::
    ";

    #[test]
    fn finds_networks_that_are_not_forwarded() {
        for line in TABLE.lines().filter_map(|line| line.split('|').next()).filter(|range| range.contains(':')) {
            let range: Network = line.replace(' ', "").parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(is_non_forwardable(range), "{range}");
        }
        for (networks, expected) in [
            (
                "127.0.0.0/8 127.0.0.1 127.128.0.0/9 169.254.169.254 224.0.0.0/24 255.255.255.255 0.0.0.0/8 0.0.0.0",
                true,
            ),
            (":: ::1 fe80::/10 fe80::/64 ff02::/16 ::ffff:127.0.0.0/104 ::127.0.0.0/104 64:ff9b::127.0.0.1", true),
            ("64:ff9b:1:a9fe:a9:fe00::/88 2002:7f00:1::/48 2001:0:7f00:1::/64 2001:db8::5efe:127.0.0.1", true),
            (
                "0.0.0.0/0 0.0.0.0/7 126.0.0.0/7 10.0.0.0/8 10.0.0.1 192.0.2.0/24 169.254.0.0/15 255.255.255.254/31",
                false,
            ),
            (
                "::/0 ::/8 ::/96 ::/127 fe00::/7 fc00::/7 fd00::1 2001:db8::/32 64:ff9b::/96 64:ff9b::10.0.0.0/104",
                false,
            ),
            ("64:ff9b:1::/48 2002::/16 2001::/32 ::ffff:0:0/96 fe80::/9", false),
        ] {
            for network in networks.split(' ') {
                let parsed = network.parse().unwrap_or_else(|error| panic!("{network}: {error}"));
                assert_eq!(is_non_forwardable(parsed), expected, "{network}");
            }
        }
    }

    #[test]
    fn finds_addresses_that_are_not_forwarded() {
        for line in TABLE.lines().filter(|line| !line.trim().is_empty()) {
            let (range, addresses) = line.split_once('|').expect("two cells");
            let range = Some(range.replace(' ', "")).filter(|range| range != "-");
            let expected = range.map(|range| range.parse::<Network>().unwrap_or_else(|_| panic!("{line}")));
            for address in addresses.split_whitespace() {
                let ip = address.parse().unwrap_or_else(|_| panic!("{address} is an address"));
                assert_eq!(non_forwardable_range(ip), expected, "{address}");
                assert!(expected.is_none_or(|range| range.contains(ip)), "{address}");
            }
        }
    }
}
