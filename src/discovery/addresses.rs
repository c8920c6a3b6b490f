//! The addresses of one host. A and AAAA are looked up separately, so that neither family's answer hides a failure of the
//! other.

use std::net::IpAddr;

use futures_util::future::try_join_all;
use hickory_resolver::proto::rr::RecordType;
use tokio::time::Instant;

use super::name_servers::{self, Records, Servers};
use super::query::{Answer, query};
use crate::net::has_route;
use crate::observation::{LocalFailure, LookupFailure};
use crate::reason::LookupReason;
use crate::target::{IpFamily, ServerName};

/// The addresses of a host, and what failed.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    /// Sorted, each once.
    pub(super) addresses: Vec<IpAddr>,
    /// Number of addresses left out because this host has no route to them.
    pub(super) without_route: usize,
    pub(super) ipv4_failed: bool,
    pub(super) ipv6_failed: bool,
    pub(super) failures: Vec<LookupFailure>,
    /// The compared servers gave different answers.
    pub(super) disagree: bool,
    /// The name is an alias (CNAME).
    pub(super) aliased: bool,
}

/// Looks up a host: in the hosts file if the resolver uses it, else at the name servers, until `deadline`.
///
/// # Errors
/// If this host failed.
pub(super) async fn look_up(
    host: &ServerName,
    servers: &Servers,
    ip_family: IpFamily,
    deadline: Instant,
) -> Result<Addresses, LocalFailure> {
    let families = families(ip_family);
    let Some(name) = host.dns().and_then(name_servers::absolute) else {
        let none = |_: &RecordType| Answer::new(Err(LookupReason::NxDomain));
        return Ok(collect(host, ip_family, families, families.iter().map(none).collect()));
    };
    let answers = match servers.hosts_entry(&name) {
        Some(entry) => families.iter().map(|family| of_family(&entry, *family)).collect(),
        None => {
            let name = &name;
            let queries = families
                .iter()
                .map(|family| query(servers, deadline, |server| name_servers::addresses(server, name, *family)));
            try_join_all(queries).await?
        }
    };
    Ok(collect(host, ip_family, families, answers))
}

fn of_family(entry: &[IpAddr], family: RecordType) -> Answer<IpAddr> {
    let data: Vec<_> = entry.iter().copied().filter(|ip| ip.is_ipv4() == (family == RecordType::A)).collect();
    Answer::new(if data.is_empty() { Err(LookupReason::NoData) } else { Ok(Records { data, aliased: false }) })
}

fn collect(host: &ServerName, ip_family: IpFamily, families: &[RecordType], answers: Vec<Answer<IpAddr>>) -> Addresses {
    let all_no_data = answers.iter().all(|answer| matches!(answer.result, Err(LookupReason::NoData)));
    let mut found = Addresses::default();
    for (family, answer) in families.iter().zip(answers) {
        found.disagree |= answer.disagree;
        let failure = match answer.result {
            Ok(records) => {
                found.addresses.extend(records.data);
                found.aliased |= records.aliased;
                answer.partial_failure
            }
            // A name with addresses of only one family is not a failure.
            Err(LookupReason::NoData) if !all_no_data => answer.partial_failure,
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
