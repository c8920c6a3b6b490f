//! The hosts of a domain, from its MX or SRV records.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::try_join_all;
use hickory_resolver::proto::rr::Name;
use tokio::time::Instant;

use super::KnownHost;
use super::name_servers::{self, MxRecord, Servers, SrvRecord};
use super::query::{Answer, Differences, query};
use crate::observation::{LocalFailure, LookupFailure};
use crate::reason::LookupReason;
use crate::target::{Endpoint, MxTarget, ServerName, SubmissionTarget, TlsMode};

/// The hosts of a domain, and what failed.
#[derive(Debug, Default)]
pub(super) struct DomainHosts {
    /// Sorted by preference, then by name; unique, at most [`MAX_HOSTS`]. If records could not be looked up, the hosts
    /// known from them come last.
    pub(super) hosts: Vec<KnownHost>,
    /// Number of hosts in the records, before the limit; none if not all records are known.
    pub(super) count: Option<usize>,
    /// Records that could not be looked up, and records without a usable host.
    pub(super) failures: Vec<LookupFailure>,
    pub(super) differences: Differences,
}

/// The mail hosts of a domain (RFC 5321 §5.1): those of its MX records, none for a null MX (RFC 7505), or without MX
/// records the domain itself, without a preference.
pub(super) async fn mx_hosts(
    target: &MxTarget,
    servers: &Servers,
    known: &[KnownHost],
    deadline: Instant,
) -> Result<DomainHosts, LocalFailure> {
    let domain = &target.domain;
    let answer = match domain.dns().and_then(name_servers::absolute) {
        Some(name) => query(servers, deadline, |server| name_servers::mx_records(server, &name)).await?,
        None => Answer::new(Err(LookupReason::NxDomain)),
    };
    let mut collected = Collected { differences: answer.differences, ..Collected::default() };
    let endpoint = |server_name| Endpoint { server_name, port: target.port, tls: target.tls };
    match answer.result {
        Ok(records) => {
            let is_null = matches!(records.data.as_slice(), [MxRecord { preference: _, host }] if host.is_root());
            for MxRecord { preference, host } in records.data {
                match server_name(&host) {
                    Ok(name) => collected.add(endpoint(name), Some(preference)),
                    Err(LookupReason::NullMx) if is_null => {}
                    Err(reason) => collected.fail(domain, "MX", reason),
                }
            }
        }
        Err(LookupReason::NoData) => collected.add(endpoint(domain.clone()), None),
        Err(reason) => collected.query_failed(domain, "MX", reason),
    }
    if let Some(reason) = answer.partial_failure {
        collected.query_failed(domain, "MX", reason);
    }
    Ok(collected.into_hosts(known, |_| true))
}

/// The submission hosts of a domain from its SRV records (RFC 6186 §3.1, RFC 8314 §5.1). It is not a failure if one of
/// the two services has no record, or if its only record says that it is not offered (a target of `.`, RFC 2782).
pub(super) async fn submission_hosts(
    target: &SubmissionTarget,
    servers: &Servers,
    known: &[KnownHost],
    deadline: Instant,
) -> Result<DomainHosts, LocalFailure> {
    let services = SERVICES.map(|(service, tls)| SrvService::new(service, tls, &target.domain));
    let answers = try_join_all(services.iter().map(|service| service.query(servers, deadline))).await?;
    let is_absent =
        |answer: &Answer<SrvRecord>| matches!(answer.result, Err(LookupReason::NxDomain | LookupReason::NoData));
    let all_absent = answers.iter().all(is_absent);
    let mut collected = Collected::default();
    let mut unknown = Vec::new();
    for (service, answer) in services.iter().zip(answers) {
        collected.differences.merge(answer.differences);
        let absent = is_absent(&answer);
        let failure = match answer.result {
            Ok(records) => {
                let is_offered = !matches!(records.data.as_slice(), [record] if record.host.is_root());
                for SrvRecord { priority, port, host } in records.data.into_iter().filter(|_| is_offered) {
                    match server_name(&host) {
                        Ok(server_name) => {
                            collected.add(Endpoint { server_name, port, tls: service.tls }, Some(priority));
                        }
                        Err(_) => collected.fail(&service.label, "SRV", LookupReason::NoData),
                    }
                }
                answer.partial_failure
            }
            Err(_) if absent && !all_absent => answer.partial_failure,
            Err(reason) => Some(reason),
        };
        if let Some(reason) = failure {
            collected.query_failed(&service.label, "SRV", reason);
            unknown.push(service.tls);
        }
    }
    Ok(collected.into_hosts(known, |host| unknown.contains(&host.endpoint.tls)))
}

struct SrvService {
    /// The name in failures: that of the service, or of the domain if the former is too long.
    label: ServerName,
    name: Option<Name>,
    tls: TlsMode,
}

impl SrvService {
    fn new(service: &str, tls: TlsMode, domain: &ServerName) -> Self {
        let full = ServerName::parse(&format!("{service}.{domain}")).ok();
        let name = full.as_ref().and_then(ServerName::dns).and_then(name_servers::absolute);
        Self { label: full.unwrap_or_else(|| domain.clone()), name, tls }
    }

    async fn query(&self, servers: &Servers, deadline: Instant) -> Result<Answer<SrvRecord>, LocalFailure> {
        match &self.name {
            Some(name) => query(servers, deadline, |server| name_servers::srv_records(server, name)).await,
            None => Ok(Answer::new(Err(LookupReason::NxDomain))),
        }
    }
}

/// Returns `host` as a server name.
///
/// # Errors
/// If it is the root, which means no host (RFC 7505 §3), or is not a host name. IP address literals are not host names
/// (RFC 5321 §5.1).
fn server_name(host: &Name) -> Result<ServerName, LookupReason> {
    if host.is_root() {
        return Err(LookupReason::NullMx);
    }
    let name = ServerName::parse(&host.to_ascii()).map_err(|_| LookupReason::NoData)?;
    if name.ip().is_some() { Err(LookupReason::NoData) } else { Ok(name) }
}

#[derive(Default)]
struct Collected {
    /// Sorted by name, port and TLS mode; with the lowest preference.
    hosts: BTreeMap<(ServerName, u16, bool), (Endpoint, Option<u16>)>,
    failures: Vec<LookupFailure>,
    /// Some records could not be looked up.
    incomplete: bool,
    differences: Differences,
}

impl Collected {
    fn add(&mut self, endpoint: Endpoint, preference: Option<u16>) {
        let key = (endpoint.server_name.clone(), endpoint.port, endpoint.tls == TlsMode::StartTls);
        let (_, best) = self.hosts.entry(key).or_insert((endpoint, preference));
        *best = (*best).min(preference);
    }

    /// Adds a failure unless it is known.
    fn fail(&mut self, name: &ServerName, record_type: &'static str, reason: LookupReason) {
        let failure = LookupFailure { name: name.clone(), record_type, reason, alias: None, is_partial: false };
        if !self.failures.contains(&failure) {
            self.failures.push(failure);
        }
    }

    fn query_failed(&mut self, name: &ServerName, record_type: &'static str, reason: LookupReason) {
        self.incomplete = true;
        self.fail(name, record_type, reason);
    }

    /// The hosts found and, if a query failed, the `known` hosts that came from its records.
    fn into_hosts(self, known: &[KnownHost], is_from_failed: impl Fn(&KnownHost) -> bool) -> DomainHosts {
        let count = (!self.incomplete).then_some(self.hosts.len());
        let found = self.hosts.into_values().map(|(endpoint, preference)| {
            // Equal endpoints share one allocation.
            let before = known.iter().map(|host| &host.endpoint).find(|known| ***known == endpoint);
            let endpoint = before.map_or_else(|| Arc::new(endpoint), Arc::clone);
            KnownHost { endpoint, preference }
        });
        let mut hosts: Vec<KnownHost> = found.collect();
        // A stable sort keeps the order of names.
        hosts.sort_by_key(|host| host.preference);
        hosts.truncate(MAX_HOSTS);
        if self.incomplete {
            let is_new = |host: &&KnownHost| hosts.iter().all(|found| found.endpoint != host.endpoint);
            let kept: Vec<_> = known.iter().filter(|host| is_from_failed(host)).filter(is_new).cloned().collect();
            hosts.extend(kept);
            hosts.truncate(MAX_HOSTS);
        }
        DomainHosts { hosts, count, failures: self.failures, differences: self.differences }
    }
}

pub(super) const MAX_HOSTS: usize = 64;
const SERVICES: [(&str, TlsMode); 2] =
    [("_submissions._tcp", TlsMode::Implicit), ("_submission._tcp", TlsMode::StartTls)];
