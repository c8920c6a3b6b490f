//! `/etc/resolv.conf` (resolv.conf(5)), read as by libc: what is not needed here or not valid is ignored, and what is
//! missing has its default.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::num::IntErrorKind;

use super::interfaces::index_of;
use crate::target::{ServerName, SystemResolver};
use crate::text::printable;

/// What the file and the environment say.
#[derive(Debug, PartialEq)]
pub(super) struct ResolvConf {
    /// At least one, at most three.
    pub(super) name_servers: Vec<SocketAddr>,
    pub(super) search: SearchList,
}

/// The domains in which names are looked up that are not fully qualified.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SearchList {
    domains: Vec<SearchDomain>,
    /// A name with at least as many dots is first looked up as written.
    ndots: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum SearchDomain {
    Root,
    Domain(ServerName),
}

impl ResolvConf {
    /// Reads the file in `bytes`; empty if there is none.
    pub(super) fn parse(bytes: &[u8], system: &SystemResolver) -> Self {
        let mut name_servers = Vec::new();
        let mut domains: Option<Vec<&str>> = None;
        let mut ndots = DEFAULT_NDOTS;
        let text = String::from_utf8_lossy(bytes);
        for line in text.trim_start_matches('\u{feff}').lines() {
            let mut words = words(line);
            match words.next() {
                Some("nameserver") => match words.next().and_then(|word| name_server(word, system.port)) {
                    Some(server) => name_servers.push(server),
                    None => {
                        let line = printable(line, MAX_SHOWN);
                        tracing::warn!(line, "line of resolv.conf ignored: expected an IP address");
                    }
                },
                // The last line applies; one without a domain does not count.
                Some("search") => domains = Some(words.collect()).filter(|all: &Vec<_>| !all.is_empty()).or(domains),
                Some("domain") => domains = words.next().map(|domain| vec![domain]).or(domains),
                Some("options") => ndots = ndots_in(words.collect()).unwrap_or(ndots),
                _ => {}
            }
        }
        name_servers.truncate(MAX_NAME_SERVERS);
        if name_servers.is_empty() {
            name_servers.push((Ipv4Addr::LOCALHOST, system.port).into());
        }
        let by_hostname = || system.hostname.split_once('.').map(|(_, domain)| vec![domain]).unwrap_or_default();
        // The environment overrides the file (resolv.conf(5)).
        let domains = match &system.local_domain {
            Some(domains) => domains.lines().next().unwrap_or_default().split_whitespace().collect(),
            None => domains.unwrap_or_else(by_hostname),
        };
        let ndots = system.options.as_deref().and_then(|options| ndots_in(words(options).collect())).unwrap_or(ndots);
        let domains = domains.into_iter().filter_map(search_domain).collect();
        Self { name_servers, search: SearchList { domains, ndots } }
    }
}

impl SearchList {
    /// The fully qualified names to look up for `name`, in this order; `name` itself is
    /// one of them. Those that are too long are left out.
    pub(super) fn candidates(&self, name: &ServerName) -> Vec<ServerName> {
        let Some(text) = name.dns() else { return Vec::new() };
        // Names of this host (RFC 6761 §6.3).
        if text == "localhost" || text.ends_with(".localhost") {
            return vec![name.clone()];
        }
        let as_written = || Some(name.clone());
        let searched = self.domains.iter().map(|domain| match domain {
            SearchDomain::Root => as_written(),
            SearchDomain::Domain(domain) => ServerName::parse(&format!("{text}.{domain}")).ok(),
        });
        let is_first = text.matches('.').count() >= self.ndots;
        let first = is_first.then(as_written).flatten();
        let mut candidates = Vec::new();
        for candidate in std::iter::once(first).chain(searched).chain([as_written()]).flatten() {
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        candidates
    }
}

/// The words of a line up to a comment.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace().take_while(|word| !word.starts_with(['#', ';']))
}

/// An address, with the interface of a link-local one after `%` (RFC 4007 §11).
fn name_server(word: &str, port: u16) -> Option<SocketAddr> {
    let Some((address, interface)) = word.split_once('%') else {
        return Some(SocketAddr::new(word.parse::<IpAddr>().ok()?, port));
    };
    let scope = interface.parse().ok().or_else(|| index_of(interface))?;
    Some(SocketAddrV6::new(address.parse().ok()?, port, 0, scope).into())
}

/// The option `ndots:N`; the last one applies. The other options are about how servers are queried, or about calls of libc.
/// `N` may follow after blanks.
fn ndots_in(options: Vec<&str>) -> Option<usize> {
    let last = options.iter().rposition(|option| option.starts_with("ndots:"))?;
    let value = options.get(last)?.strip_prefix("ndots:")?;
    let value = if value.is_empty() { options.get(last + 1).copied().unwrap_or_default() } else { value };
    Some(as_ndots(value))
}

/// The number at the start of `value`, or 0, as from atoi(3). glibc stores it in four bits without a sign: a negative number
/// wraps around, and a larger one is the maximum.
fn as_ndots(value: &str) -> usize {
    let is_part = |(at, c): &(usize, char)| c.is_ascii_digit() || (*at == 0 && matches!(c, '+' | '-'));
    let number: String = value.char_indices().take_while(is_part).map(|(_, c)| c).collect();
    match number.parse::<isize>() {
        Ok(number) if number < 0 => number.rem_euclid(16).unsigned_abs(),
        Ok(number) => number.unsigned_abs().min(MAX_NDOTS),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => MAX_NDOTS,
        Err(_) => 0,
    }
}

fn search_domain(word: &str) -> Option<SearchDomain> {
    if word == "." {
        return Some(SearchDomain::Root);
    }
    // libc skips a leading dot.
    match ServerName::parse(word.strip_prefix('.').unwrap_or(word)) {
        Ok(domain) if domain.dns().is_some() => Some(SearchDomain::Domain(domain)),
        _ => {
            let domain = printable(word, MAX_SHOWN);
            tracing::warn!(domain, "search domain of resolv.conf ignored: not a valid domain");
            None
        }
    }
}

/// As in libc.
const MAX_NAME_SERVERS: usize = 3;
const DEFAULT_NDOTS: usize = 1;
const MAX_NDOTS: usize = 15;
const MAX_SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn system() -> SystemResolver {
        SystemResolver { port: 53, hostname: "probe".to_owned(), ..SystemResolver::default() }
    }

    #[track_caller]
    fn check_servers(text: &str, expected: &[&str]) {
        let found = ResolvConf::parse(text.as_bytes(), &system()).name_servers;
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{text:?}");
    }

    #[test]
    fn finds_name_servers_on_all_valid_lines() {
        let default = &["127.0.0.1:53"];
        check_servers("", default);
        check_servers("\n# nameserver 192.0.2.1\n;nameserver 192.0.2.1\n", default);
        check_servers("search example.com\noptions ndots:5\n", default);
        check_servers(
            "nameserver\nnameserver \nnameserver dns.test\nnameserver 192.0.2\nnameservers 192.0.2.1\n",
            default,
        );
        check_servers("nameserver 192.0.2.1\n", &["192.0.2.1:53"]);
        check_servers("nameserver 192.0.2.1", &["192.0.2.1:53"]);
        check_servers("nameserver\t192.0.2.1 \t# primary\r\nnameserver 192.0.2.2;\n", &["192.0.2.1:53"]);
        check_servers(
            "\u{feff}nameserver 192.0.2.1\n  nameserver 2001:db8::1\n",
            &["192.0.2.1:53", "[2001:db8::1]:53"],
        );
        check_servers("nameserver bad\nnameserver 192.0.2.2\nsearch b\u{fc}cher.test\n", &["192.0.2.2:53"]);
        check_servers("nameserver fe80::1%1\nnameserver fe80::1%lo\n", &["[fe80::1%1]:53", "[fe80::1%1]:53"]);
        check_servers("nameserver fe80::1%nowhere0\nnameserver 192.0.2.1%lo\n", default);
        let many: String = (1..9).map(|number| format!("nameserver 192.0.2.{number}\n")).collect();
        check_servers(&many, &["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"]);
    }

    #[track_caller]
    fn check_search(text: &str, system: &SystemResolver, name: &str, expected: &[&str]) {
        let conf = ResolvConf::parse(text.as_bytes(), system);
        let found = conf.search.candidates(&ServerName::parse(name).expect("a name"));
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{name} with {text:?}");
    }

    #[test]
    fn looks_names_up_in_the_order_of_libc() {
        let check = |text: &str, name: &str, expected: &[&str]| check_search(text, &system(), name, expected);
        check("", "smtp", &["smtp"]);
        check("", "smtp.test", &["smtp.test"]);
        check("search a.test b.test\n", "smtp", &["smtp.a.test", "smtp.b.test", "smtp"]);
        check("search a.test b.test\n", "smtp.mail", &["smtp.mail", "smtp.mail.a.test", "smtp.mail.b.test"]);
        let kubernetes = "search mail.svc.cluster.test svc.cluster.test cluster.test\noptions ndots:5\n";
        check(
            kubernetes,
            "smtp.mail.svc",
            &[
                "smtp.mail.svc.mail.svc.cluster.test",
                "smtp.mail.svc.svc.cluster.test",
                "smtp.mail.svc.cluster.test",
                "smtp.mail.svc",
            ],
        );
        let six = "a.b.c.d.e.f";
        check("search x.test\noptions ndots:5\n", six, &[six, "a.b.c.d.e.f.x.test"]);
        check("search x.test\noptions ndots:6\n", six, &["a.b.c.d.e.f.x.test", six]);
        check("search x.test\noptions ndots:0\n", "smtp", &["smtp", "smtp.x.test"]);
        // Other and invalid options.
        let odd =
            "options debug ndots:2 timeout:1 attempts:1 rotate edns0 trust-ad unknown-thing:3 ndots xndots:0 :0\n";
        check(&format!("search x.test\n{odd}"), "a.b", &["a.b.x.test", "a.b"]);
        check(&format!("search x.test\n{odd}"), "a.b.c", &["a.b.c", "a.b.c.x.test"]);
        check("search x.test\noptions ndots:99999999999999999999\noptions rotate\n", "a.b", &["a.b.x.test", "a.b"]);
        let searched_first = |option: &str, dots: &str, is_searched: bool| {
            let (name, searched) = (format!("a{dots}"), format!("a{dots}.x.test"));
            let order = if is_searched { [&*searched, &*name] } else { [&*name, &*searched] };
            check(&format!("search x.test\noptions {option}\n"), &name, &order);
        };
        // The number of dots from which on glibc looks a name up as written first.
        for (option, ndots) in [
            ("ndots: 5", 5),
            ("ndots:\t5 rotate", 5),
            ("ndots:+4", 4),
            ("ndots:-1", 15),
            ("ndots:-3", 13),
            ("ndots:-16", 0),
            ("ndots:-99999999999999999999", 0),
            ("ndots:16", 15),
            ("ndots:x", 0),
            ("ndots:+-4", 0),
            ("ndots:3 ndots:", 0),
            ("ndots:3 ndots: rotate", 0),
            ("ndots: 3 ndots: # 4", 0),
            ("ndots: ndots:3", 3),
        ] {
            searched_first(option, &".b".repeat(ndots), false);
            if let Some(fewer) = ndots.checked_sub(1) {
                searched_first(option, &".b".repeat(fewer), true);
            }
        }
        check("search x.test\noptions ndots:2x\n", "a.b", &["a.b.x.test", "a.b"]);
        check("search x.test\noptions\noptions ndots:3 # 1\n", "a.b", &["a.b.x.test", "a.b"]);
        // The last line applies.
        check("search a.test\nsearch b.test\n", "smtp", &["smtp.b.test", "smtp"]);
        check("search a.test\ndomain b.test c.test\n", "smtp", &["smtp.b.test", "smtp"]);
        check("domain a.test\nsearch b.test c.test\n", "smtp", &["smtp.b.test", "smtp.c.test", "smtp"]);
        check("search a.test\nsearch\ndomain\nsearch \n", "smtp", &["smtp.a.test", "smtp"]);
        check("search a.test # b.test\r\nsortlist 192.0.2.0\r\n", "smtp", &["smtp.a.test", "smtp"]);
        // Odd domains.
        check("search .\n", "smtp", &["smtp"]);
        check("search a.test. . b.test\n", "smtp", &["smtp.a.test", "smtp", "smtp.b.test"]);
        check("search\t.a.test A.test a.test.\n", "smtp", &["smtp.a.test", "smtp"]);
        check("search b\u{fc}cher.test _tcp.test\n", "smtp", &["smtp.xn--bcher-kva.test", "smtp._tcp.test", "smtp"]);
        let long = "a.".repeat(126);
        let label = "a".repeat(64);
        check(
            &format!("search {long}test {label}.test a..test -- 192.0.2.1 x$.test b.test\n"),
            "smtp",
            &["smtp.b.test", "smtp"],
        );
        check("search a.test\n", "localhost", &["localhost"]);
        check("search a.test\n", "192.0.2.1", &[]);
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let host = SystemResolver { hostname: "probe.own.test".to_owned(), ..system() };
        check_search("", &host, "smtp", &["smtp.own.test", "smtp"]);
        check_search("search a.test\n", &host, "smtp", &["smtp.a.test", "smtp"]);
        let with = |domains: &str| SystemResolver { local_domain: Some(domains.to_owned()), ..host.clone() };
        check_search(
            "search a.test\n",
            &with("b.test\tc.test\nd.test"),
            "smtp",
            &["smtp.b.test", "smtp.c.test", "smtp"],
        );
        check_search("search a.test\n", &with(""), "smtp", &["smtp"]);
        let with = |options: &str| SystemResolver { options: Some(options.to_owned()), ..system() };
        check_search("search a.test\noptions ndots:5\n", &with("rotate ndots:1"), "a.b", &["a.b", "a.b.a.test"]);
        check_search("search a.test\noptions ndots:5\n", &with("rotate"), "a.b", &["a.b.a.test", "a.b"]);
    }
}
