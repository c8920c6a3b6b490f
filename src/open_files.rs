//! How many files this process may open, and what it opens them for.

/// The limit of open files (`RLIMIT_NOFILE`, in systemd `LimitNOFILE`), and its division. Sockets are files, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    limit: usize,
}

impl OpenFiles {
    /// The division of a limit.
    pub const fn within(limit: usize) -> Self {
        Self { limit }
    }

    /// Raises the soft limit of this process to the hard one.
    pub fn raised() -> Self {
        Self::of(rlimit::increase_nofile_limit(u64::MAX).unwrap_or(USUAL_LIMIT))
    }

    /// The soft limit of this process.
    pub fn current() -> Self {
        Self::of(rlimit::Resource::NOFILE.get_soft().unwrap_or(USUAL_LIMIT))
    }

    fn of(limit: u64) -> Self {
        Self::within(usize::try_from(limit).unwrap_or(usize::MAX))
    }

    /// Concurrent connections of HTTP clients; at least 1.
    pub fn http_connections(self) -> usize {
        MAX_HTTP_CONNECTIONS.min(self.limit / 4).max(1)
    }

    /// Concurrent probes, each of which has one connection, beside the lookups at so many name servers; at least 1. A low
    /// limit is shared with the lookups, which fail if no file is free.
    pub fn probes(self, name_servers: usize) -> usize {
        let others = others(name_servers).saturating_add(self.http_connections());
        self.limit.saturating_sub(others).max(self.limit / 4).max(1)
    }

    /// The limit that this number of concurrent probes needs.
    pub fn needed(probes: usize, name_servers: usize) -> usize {
        probes.saturating_add(others(name_servers)).saturating_add(MAX_HTTP_CONNECTIONS)
    }
}

/// Files that are neither those of probes nor of HTTP clients.
fn others(name_servers: usize) -> usize {
    name_servers.saturating_mul(PER_NAME_SERVER).saturating_add(OWN)
}

/// The A and AAAA queries of 64 concurrent lookups.
const PER_NAME_SERVER: usize = 128;
/// HTTP connections that are being closed, listeners, files that are being read, and what the runtimes need.
const OWN: usize = 64;
const MAX_HTTP_CONNECTIONS: usize = 512;
/// The soft limit of most systems.
const USUAL_LIMIT: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit, the number of name servers, and how many HTTP connections and probes are possible.
    #[track_caller]
    fn check(limit: usize, name_servers: usize, http: usize, probes: usize) {
        let files = OpenFiles::within(limit);
        assert_eq!((files.http_connections(), files.probes(name_servers)), (http, probes), "{limit}, {name_servers}");
    }

    #[test]
    fn divides_the_limit() {
        check(0, 1, 1, 1);
        check(64, 1, 16, 16);
        check(1024, 1, 256, 1024 - 128 - 64 - 256);
        check(1024, 8, 256, 256);
        check(4096, 3, 512, 4096 - 3 * 128 - 64 - 512);
        check(usize::MAX, usize::MAX, 512, usize::MAX / 4);
    }

    #[test]
    fn the_needed_limit_is_enough() {
        for (probes, name_servers) in [(1, 1), (1024, 1), (1024, 20), (100_000, 3), (usize::MAX, 1)] {
            let needed = OpenFiles::needed(probes, name_servers);
            assert!(OpenFiles::within(needed).probes(name_servers) >= probes.min(usize::MAX / 2), "{probes}");
        }
        assert_eq!(OpenFiles::needed(100_000, 3), 100_000 + 512 + 3 * 128 + 64);
        let below = OpenFiles::needed(100_000, 3) - 1;
        assert_eq!(OpenFiles::within(below).probes(3), 99_999);
    }

    /// The formula is in the comment above the line.
    #[test]
    fn the_limit_of_the_systemd_unit_is_enough_for_the_default_and_16_name_servers() {
        let unit = std::fs::read_to_string("deploy/systemd/smtp-tls-exporter.service").expect("the unit");
        let limit = unit.lines().find_map(|line| line.strip_prefix("LimitNOFILE=")).expect("a limit");
        assert!(limit.parse::<usize>().expect("a number") >= OpenFiles::needed(1024, 16));
    }
}
