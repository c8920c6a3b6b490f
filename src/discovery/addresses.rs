//! The addresses of one host. A and AAAA are looked up apart, so that neither family's failure hides in the other's
//! answer.

use std::net::IpAddr;

use futures_util::future::join_all;
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::time::Instant;

use super::name_servers::{self, Records, Servers};
use super::query::{self, Heard};
use crate::net::has_route;
use crate::observation::LookupFailure;
use crate::reason::LookupReason;
use crate::target::{IpFamily, ServerName};

/// What was found out of a host's addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    /// Sorted, each once.
    pub(super) addresses: Vec<IpAddr>,
    /// Addresses left out because this machine has no route to their family.
    pub(super) without_route: usize,
    pub(super) ipv4_failed: bool,
    pub(super) ipv6_failed: bool,
    pub(super) failures: Vec<LookupFailure>,
    /// Servers that were compared gave different answers.
    pub(super) disagree: bool,
    /// The name is an alias of another one.
    pub(super) aliased: bool,
}

/// Looks a host up: in the hosts file where it counts, else at the name servers until `deadline`.
pub(super) async fn look_up(host: &ServerName, servers: &Servers, ip_family: IpFamily, deadline: Instant) -> Addresses {
    let families = families(ip_family);
    let Some(name) = host.dns().and_then(name_servers::absolute) else {
        let none = |_: &RecordType| Heard::new(Err(LookupReason::NxDomain));
        return gather(host, ip_family, families, families.iter().map(none).collect());
    };
    let heard = match servers.hosts_entry(&name) {
        Some(entry) => families.iter().map(|family| of_family(&entry, *family)).collect(),
        None => join_all(families.iter().map(|family| ask(servers, &name, *family, deadline))).await,
    };
    gather(host, ip_family, families, heard)
}

async fn ask(servers: &Servers, name: &Name, family: RecordType, deadline: Instant) -> Heard<IpAddr> {
    query::put(servers, deadline, |server| name_servers::addresses(server, name, family)).await
}

fn of_family(entry: &[IpAddr], family: RecordType) -> Heard<IpAddr> {
    let data: Vec<_> = entry.iter().copied().filter(|ip| ip.is_ipv4() == (family == RecordType::A)).collect();
    let answer = if data.is_empty() { Err(LookupReason::NoData) } else { Ok(Records { data, aliased: false }) };
    Heard::new(answer)
}

fn gather(host: &ServerName, ip_family: IpFamily, families: &[RecordType], heard: Vec<Heard<IpAddr>>) -> Addresses {
    // The other family has addresses, or fails for a reason of its own.
    let other_tells = heard.iter().any(|heard| !matches!(heard.answer, Err(LookupReason::NoData)));
    let mut found = Addresses::default();
    for (family, heard) in families.iter().zip(heard) {
        found.disagree |= heard.disagree;
        let failure = match heard.answer {
            Ok(records) => {
                found.addresses.extend(records.data);
                found.aliased |= records.aliased;
                heard.partly
            }
            // A name of one family only is as it should be.
            Err(LookupReason::NoData) if other_tells => heard.partly,
            Err(reason) => Some(reason),
        };
        let Some(reason) = failure else { continue };
        let (record_type, failed) = match family {
            RecordType::A => ("A", &mut found.ipv4_failed),
            _ => ("AAAA", &mut found.ipv6_failed),
        };
        *failed = true;
        found.failures.push(LookupFailure { name: host.clone(), record_type, reason });
    }
    found.addresses.sort_unstable();
    found.addresses.dedup();
    if ip_family == IpFamily::Auto {
        let before = found.addresses.len();
        found.addresses.retain(|ip| ip.is_ipv4() || has_route(*ip));
        found.without_route = before - found.addresses.len();
    }
    found
}

fn families(ip_family: IpFamily) -> &'static [RecordType] {
    match ip_family {
        IpFamily::Auto | IpFamily::Any => &[RecordType::A, RecordType::AAAA],
        IpFamily::Ipv4 => &[RecordType::A],
        IpFamily::Ipv6 => &[RecordType::AAAA],
    }
}
