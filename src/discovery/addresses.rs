//! The addresses of one host. A and AAAA are looked up separately, so that neither family's answer hides a failure of the
//! other.

use std::net::IpAddr;

use futures_util::future::try_join_all;
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::time::Instant;

use super::interfaces::has_ipv6;
use super::name_servers::{self, Records, Servers};
use super::query::{Answer, Differences, query};
use crate::net::has_route;
use crate::observation::{LocalFailure, LookupFailure};
use crate::reason::LookupReason;
use crate::target::{IpFamily, ServerName};

/// The addresses of a host, and what failed.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    /// Sorted, each once.
    pub(super) addresses: Vec<IpAddr>,
    /// The addresses left out because this host has no route to them, sorted.
    pub(super) without_route: Vec<IpAddr>,
    pub(super) ipv4_failed: bool,
    pub(super) ipv6_failed: bool,
    pub(super) failures: Vec<LookupFailure>,
    pub(super) differences: Differences,
    /// The name is an alias (CNAME).
    pub(super) aliased: bool,
    /// The name of the search list that has the addresses; none if it is the name as written.
    pub(super) found_as: Option<ServerName>,
    /// The other names of the search list, if none of them has an address either.
    pub(super) searched: Vec<ServerName>,
}

impl Addresses {
    /// Whether the lookup returned an address.
    pub(super) fn is_found(&self) -> bool {
        !self.addresses.is_empty() || !self.without_route.is_empty()
    }

    /// Whether the name has no address, as opposed to a lookup that failed.
    pub(super) fn is_absent(&self) -> bool {
        !self.is_found() && self.failures.iter().all(|failure| failure.reason.has_none())
    }
}

/// The addresses that are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    types: &'static [RecordType],
    /// Only those to which this host has a route.
    with_route: bool,
}

impl From<IpFamily> for Wanted {
    fn from(family: IpFamily) -> Self {
        Self::new(family, has_ipv6)
    }
}

impl Wanted {
    fn new(family: IpFamily, has_ipv6: impl Fn() -> bool) -> Self {
        let types: &[RecordType] = match family {
            IpFamily::Auto if !has_ipv6() => &[RecordType::A],
            IpFamily::Auto | IpFamily::Any => BOTH,
            IpFamily::Ipv4 => &[RecordType::A],
            IpFamily::Ipv6 => &[RecordType::AAAA],
        };
        Self { types, with_route: family == IpFamily::Auto }
    }

    /// No query is saved there, and it may list the loopback address of IPv6.
    const fn in_hosts_file(self) -> Self {
        Self { types: if self.with_route { BOTH } else { self.types }, ..self }
    }
}

/// Looks up a host: in the hosts file if the resolver uses it, else at the name servers, until `deadline`.
///
/// # Errors
/// If this host failed.
pub(super) async fn look_up(
    host: &ServerName,
    servers: &Servers,
    wanted: Wanted,
    deadline: Instant,
) -> Result<Addresses, LocalFailure> {
    let name = host.dns().and_then(name_servers::absolute);
    let wanted = if servers.hosts_entry(host).is_some() { wanted.in_hosts_file() } else { wanted };
    let query = |family: RecordType| {
        let name = name.as_ref();
        async move {
            match (servers.hosts_entry(host), name) {
                (Some(entry), _) => Ok(of_family(entry, family)),
                (None, None) => Ok(Answer::new(Err(LookupReason::NxDomain))),
                (None, Some(name)) => {
                    query(servers, deadline, |server| name_servers::addresses(server, name, family)).await
                }
            }
        }
    };
    let queries = wanted.types.iter().map(|family| query(*family));
    let answers = if servers.repeat {
        // One after the other: a server may take turns with every query.
        let mut answers = Vec::new();
        for query in queries {
            answers.push(query.await?);
        }
        answers
    } else {
        try_join_all(queries).await?
    };
    let mut found = collect(host, wanted, answers);
    if let Some(name) = name.filter(|_| found.is_absent() && servers.hosts_entry(host).is_none()) {
        let alias = end_of_aliases(&name, servers, deadline).await;
        found.failures.iter_mut().for_each(|failure| failure.alias.clone_from(&alias));
    }
    Ok(found)
}

/// The name to which `name` is an alias in the end, of which an answer without records speaks (RFC 6604 §3).
async fn end_of_aliases(name: &Name, servers: &Servers, deadline: Instant) -> Option<ServerName> {
    let (mut end, mut servers) = (name.clone(), servers.clone());
    servers.repeat = false;
    for _ in 0..MAX_ALIASES {
        let answer = query(&servers, deadline, |server| name_servers::alias(server, &end)).await;
        match answer.ok().and_then(|answer| answer.result.ok()).and_then(|records| records.data.into_iter().next()) {
            Some(target) => end = target,
            None => break,
        }
    }
    if end == *name { None } else { ServerName::parse(&end.to_utf8()).ok() }
}

/// As [`look_up`], but with the search list of the resolver, in the order of libc: the first name that has an address or
/// cannot be looked up is that of the host. The hosts file is searched for the name as written only.
pub(super) async fn search(
    host: &ServerName,
    servers: &Servers,
    wanted: Wanted,
    deadline: Instant,
) -> Result<Addresses, LocalFailure> {
    let candidates = match &servers.search {
        Some(list) if servers.hosts_entry(host).is_none() => list.candidates(host),
        _ => Vec::new(),
    };
    let in_dns = Servers { hosts: None, ..servers.clone() };
    let (mut absent, mut searched) = (None, Vec::new());
    for candidate in candidates {
        let mut found = look_up(&candidate, &in_dns, wanted, deadline).await?;
        // That no server can be reached is not about this candidate.
        let unreachable = found.failures.iter_mut().filter(|failure| failure.reason == LookupReason::Unreachable);
        unreachable.for_each(|failure| failure.name = host.clone());
        let is_as_written = candidate == *host;
        if !found.is_absent() {
            return Ok(Addresses { found_as: Some(candidate).filter(|_| !is_as_written), ..found });
        }
        if is_as_written {
            absent = Some(found);
        } else {
            searched.push(candidate);
        }
    }
    match absent {
        Some(absent) => Ok(Addresses { searched, ..absent }),
        None => look_up(host, servers, wanted, deadline).await,
    }
}

fn of_family(entry: &[IpAddr], family: RecordType) -> Answer<IpAddr> {
    let data: Vec<_> = entry.iter().copied().filter(|ip| ip.is_ipv4() == (family == RecordType::A)).collect();
    Answer::new(if data.is_empty() { Err(LookupReason::NoData) } else { Ok(Records { data, aliased: false }) })
}

fn collect(host: &ServerName, wanted: Wanted, answers: Vec<Answer<IpAddr>>) -> Addresses {
    let all = |reasons: &[LookupReason]| {
        answers.iter().all(|answer| answer.result.as_ref().is_err_and(|reason| reasons.contains(reason)))
    };
    // Some servers answer NXDOMAIN if a name has no record of this type, though it has others (RFC 4074 §4.2). So a name
    // does not exist only if the answers for all types say so.
    let does_not_exist = all(&[LookupReason::NxDomain]);
    let has_none = all(&[LookupReason::NxDomain, LookupReason::NoData]);
    let mut found = Addresses::default();
    let has_records = answers.iter().any(|answer| answer.result.is_ok());
    for (family, answer) in wanted.types.iter().zip(answers) {
        let existence = answer.differences.existence && !has_records;
        found.differences.merge(Differences { existence, ..answer.differences });
        let failure = match answer.result {
            Ok(records) => {
                found.addresses.extend(records.data);
                found.aliased |= records.aliased;
                answer.partial_failure
            }
            Err(LookupReason::NxDomain) if does_not_exist => Some(LookupReason::NxDomain),
            Err(LookupReason::NxDomain | LookupReason::NoData) if has_none => Some(LookupReason::NoData),
            // A name with addresses of only one family is not a failure.
            Err(LookupReason::NxDomain | LookupReason::NoData) => answer.partial_failure,
            Err(reason) => Some(reason),
        };
        let Some(reason) = failure else { continue };
        let (record_type, failed) = match *family {
            RecordType::A => ("A", &mut found.ipv4_failed),
            _ => ("AAAA", &mut found.ipv6_failed),
        };
        *failed = true;
        found.failures.push(LookupFailure {
            name: host.clone(),
            record_type,
            reason,
            alias: None,
            is_partial: has_records,
        });
    }
    found.addresses.sort_unstable();
    found.addresses.dedup();
    if wanted.with_route {
        let all = std::mem::take(&mut found.addresses);
        (found.addresses, found.without_route) = all.into_iter().partition(|ip| ip.is_ipv4() || has_route(*ip));
    }
    found
}

const MAX_ALIASES: usize = 8;
const BOTH: &[RecordType] = &[RecordType::A, RecordType::AAAA];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use LookupReason::{NoData, NxDomain, ServFail, Timeout};

    use super::super::hosts_file::HostsFile;
    use super::*;

    #[tokio::test]
    async fn uses_all_addresses_of_the_hosts_file_to_which_there_is_a_route() {
        let hosts = Arc::new(HostsFile::parse(b"127.0.0.1 a.test\n::1 a.test\n"));
        let servers = Servers { hosts: Some(hosts), ..Servers::default() };
        let host = ServerName::parse("a.test").expect("a name");
        for (family, expected) in [(IpFamily::Auto, 2), (IpFamily::Any, 2), (IpFamily::Ipv4, 1), (IpFamily::Ipv6, 1)] {
            let wanted = Wanted::new(family, || false);
            let found = look_up(&host, &servers, wanted, Instant::now()).await.expect("no local failure");
            assert_eq!(found.addresses.len() + found.without_route.len(), expected, "{family:?}: {found:?}");
        }
    }

    #[test]
    fn queries_for_ipv6_addresses_only_if_they_can_be_used() {
        use RecordType::{A, AAAA};
        for (family, has_ipv6, expected) in [
            (IpFamily::Auto, true, &[A, AAAA][..]),
            (IpFamily::Auto, false, &[A]),
            (IpFamily::Any, false, &[A, AAAA]),
            (IpFamily::Ipv4, true, &[A]),
            (IpFamily::Ipv6, false, &[AAAA]),
        ] {
            assert_eq!(Wanted::new(family, || has_ipv6).types, expected, "{family:?}, IPv6: {has_ipv6}");
        }
    }

    type Result = super::super::query::QueryResult<IpAddr>;

    fn ok(text: &str) -> Result {
        Ok(Records { data: vec![text.parse().expect("an address")], aliased: false })
    }

    /// The failures by type, with `~` if other records were found.
    #[track_caller]
    fn check(a: Result, aaaa: Result, expected: &[(&str, LookupReason)]) {
        let host = ServerName::parse("a.test").expect("a name");
        let what = format!("A {a:?}, AAAA {aaaa:?}");
        let (is_partial, addresses) = (a.is_ok() || aaaa.is_ok(), usize::from(a.is_ok()) + usize::from(aaaa.is_ok()));
        let found = collect(&host, Wanted::new(IpFamily::Any, || true), vec![Answer::new(a), Answer::new(aaaa)]);
        let failures: Vec<_> = found.failures.iter().map(|failure| (failure.record_type, failure.reason)).collect();
        assert_eq!((failures.as_slice(), found.addresses.len()), (expected, addresses), "{what}");
        assert!(found.failures.iter().all(|failure| failure.is_partial == is_partial), "{what}");
        let failed = |family| expected.iter().any(|(record_type, _)| *record_type == family);
        assert_eq!((found.ipv4_failed, found.ipv6_failed), (failed("A"), failed("AAAA")), "{what}");
    }

    #[test]
    fn a_name_does_not_exist_only_if_all_answers_say_so() {
        let (v4, v6) = (|| ok("192.0.2.1"), || ok("2001:db8::1"));
        check(v4(), v6(), &[]);
        check(v4(), Err(NoData), &[]);
        check(v4(), Err(NxDomain), &[]);
        check(Err(NxDomain), v6(), &[]);
        check(v4(), Err(ServFail), &[("AAAA", ServFail)]);
        check(Err(Timeout), v6(), &[("A", Timeout)]);
        check(Err(NxDomain), Err(NxDomain), &[("A", NxDomain), ("AAAA", NxDomain)]);
        check(Err(NoData), Err(NxDomain), &[("A", NoData), ("AAAA", NoData)]);
        check(Err(NxDomain), Err(NoData), &[("A", NoData), ("AAAA", NoData)]);
        check(Err(NoData), Err(ServFail), &[("AAAA", ServFail)]);
        check(Err(NxDomain), Err(ServFail), &[("AAAA", ServFail)]);
        check(Err(Timeout), Err(NxDomain), &[("A", Timeout)]);
        check(Err(ServFail), Err(Timeout), &[("A", ServFail), ("AAAA", Timeout)]);
    }
}
