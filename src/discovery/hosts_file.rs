//! The hosts file (hosts(5)).

use std::collections::HashMap;
use std::net::IpAddr;

/// The addresses of each name, in lower case without a trailing dot.
#[derive(Debug, Default, PartialEq)]
pub(super) struct HostsFile(HashMap<String, Vec<IpAddr>>);

impl HostsFile {
    /// Lines that are not valid are skipped, as by libc.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut hosts = Self::default();
        for line in String::from_utf8_lossy(bytes).trim_start_matches('\u{feff}').lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for name in words {
                let known = hosts.0.entry(normalized(name)).or_default();
                if !known.contains(&address.to_canonical()) {
                    known.push(address.to_canonical());
                }
            }
        }
        hosts
    }

    /// The addresses of `name`; none if it is not listed.
    pub(super) fn get(&self, name: &str) -> Option<&[IpAddr]> {
        self.0.get(&normalized(name)).map(Vec::as_slice)
    }
}

fn normalized(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_names_on_all_valid_lines() {
        let hosts = HostsFile::parse(
            b"\xef\xbb\xbf192.0.2.1 Relay.test alias.test. # other.test\r\n\t192.0.2.2\trelay.test\n192.0.2.1 relay.test\n\
              # 192.0.2.3 relay.test\n192.0.2 bad.test\nfe80::1%eth0 bad.test\n\xff bad.test\n2001:db8::1 relay.test\n192.0.2.9\n",
        );
        for (name, expected) in [
            ("relay.test", &["192.0.2.1", "192.0.2.2", "2001:db8::1"][..]),
            ("RELAY.test.", &["192.0.2.1", "192.0.2.2", "2001:db8::1"]),
            ("alias.test", &["192.0.2.1"]),
            ("other.test", &[]),
            ("bad.test", &[]),
            ("test", &[]),
        ] {
            let found = hosts.get(name).unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(found, expected, "{name}");
        }
    }
}
