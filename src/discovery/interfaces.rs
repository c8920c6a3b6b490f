//! The IPv6 addresses of this host's network interfaces.

use std::fs;
use std::io::ErrorKind;
use std::net::Ipv6Addr;

/// An address of an interface.
struct Address<'a> {
    ip: Ipv6Addr,
    /// The index of the interface.
    index: u32,
    /// The name of the interface.
    interface: &'a str,
}

/// Whether this host has an IPv6 address by which it can reach another network. True if that is not known.
pub(super) fn has_ipv6() -> bool {
    match fs::read_to_string(IF_INET6) {
        Ok(text) => addresses(&text).any(|address| is_usable(address.ip)),
        // The kernel has no IPv6.
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

/// The index of an interface that has an IPv6 address.
pub(super) fn index_of(interface: &str) -> Option<u32> {
    let text = fs::read_to_string(IF_INET6).ok()?;
    addresses(&text).find(|address| address.interface == interface).map(|address| address.index)
}

fn is_usable(ip: Ipv6Addr) -> bool {
    !ip.is_loopback() && !ip.is_unicast_link_local()
}

/// The lines of the file: address, index, prefix length, scope, flags, name, all but the last in hexadecimal.
fn addresses(text: &str) -> impl Iterator<Item = Address<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let ip = u128::from_str_radix(fields.next()?, 16).ok()?.into();
        let index = u32::from_str_radix(fields.next()?, 16).ok()?;
        Some(Address { ip, index, interface: fields.nth(3)? })
    })
}

const IF_INET6: &str = "/proc/net/if_inet6";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_and_interfaces() {
        let lo = "00000000000000000000000000000001 01 80 10 80       lo\n";
        let link = "fe800000000000000000fcfffe000001 04 40 20 80     eth0\n";
        let unique_local = "fd000000000000000000000000000002 0a 40 00 02     eth1\n";
        let global = "20010db8000000000000000000000001 0b 40 00 80     eth2\n";
        for (text, is_usable, interfaces) in [
            (String::new(), false, &[][..]),
            (lo.to_owned(), false, &[(1, "lo")]),
            ([lo, link].concat(), false, &[(1, "lo"), (4, "eth0")]),
            ([lo, unique_local].concat(), true, &[(1, "lo"), (10, "eth1")]),
            ([link, "a line that is too short\n", global].concat(), true, &[(4, "eth0"), (11, "eth2")]),
        ] {
            let found: Vec<_> = addresses(&text).map(|address| (address.index, address.interface)).collect();
            assert_eq!(found, interfaces, "{text}");
            assert_eq!(addresses(&text).any(|address| super::is_usable(address.ip)), is_usable, "{text}");
        }
    }
}
