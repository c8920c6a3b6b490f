//! The hosts that a domain's MX or SRV records name.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join;
use hickory_resolver::proto::rr::Name;
use tokio::time::Instant;

use super::KnownHost;
use super::name_servers::{self, Exchange, Location, Servers};
use super::query::{self, Heard};
use crate::observation::LookupFailure;
use crate::reason::LookupReason;
use crate::target::{Endpoint, MxTarget, ServerName, SubmissionTarget, TlsMode};

/// What was found out.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Sorted by preference, then by name; each once, at most [`MAX_HOSTS`]. Where records could not be looked up,
    /// the hosts that were known from them come last.
    pub(super) hosts: Vec<KnownHost>,
    /// How many hosts the records name, those over the bound among them; none where not all records are known.
    pub(super) count: Option<usize>,
    /// Records that could not be looked up, and those that name no host that could be.
    pub(super) failures: Vec<LookupFailure>,
    /// Servers that were compared gave different answers.
    pub(super) disagree: bool,
}

/// The hosts that take a domain's mail (RFC 5321 §5.1): those of its MX records, none by a null MX (RFC 7505), or the
/// domain itself where it has no MX record, which then has no preference.
pub(super) async fn mail_hosts(target: &MxTarget, servers: &Servers, known: &[KnownHost], deadline: Instant) -> Named {
    let domain = &target.domain;
    let heard = match domain.dns().and_then(name_servers::absolute) {
        Some(name) => query::put(servers, deadline, |server| name_servers::exchanges(server, &name)).await,
        None => Heard::new(Err(LookupReason::NxDomain)),
    };
    let mut gathered = Gathered { disagree: heard.disagree, ..Gathered::default() };
    let endpoint = |server_name| Endpoint { server_name, port: target.port, tls: target.tls };
    match heard.answer {
        Ok(records) => {
            let is_null = matches!(records.data.as_slice(), [Exchange { preference: _, host }] if host.is_root());
            for Exchange { preference, host } in records.data {
                match server_name(&host) {
                    Ok(name) => gathered.add(endpoint(name), Some(preference)),
                    Err(LookupReason::NullMx) if is_null => {}
                    Err(reason) => gathered.fail(domain, "MX", reason),
                }
            }
        }
        Err(LookupReason::NoData) => gathered.add(endpoint(domain.clone()), None),
        Err(reason) => gathered.miss(domain, "MX", reason),
    }
    if let Some(reason) = heard.partly {
        gathered.miss(domain, "MX", reason);
    }
    gathered.into_named(known, |_| true)
}

/// The hosts that SRV records name for a domain's own users (RFC 6186 §3.1, RFC 8314 §5.1). A service that has no
/// record, or whose only one says that it is not offered, is no failure while the other one is there.
pub(super) async fn submission_hosts(
    target: &SubmissionTarget,
    servers: &Servers,
    known: &[KnownHost],
    deadline: Instant,
) -> Named {
    let [first, second] = SERVICES.map(|(service, tls)| Service::new(service, tls, &target.domain));
    let (heard_first, heard_second) = join(first.ask(servers, deadline), second.ask(servers, deadline)).await;
    let is_absent =
        |heard: &Heard<Location>| matches!(heard.answer, Err(LookupReason::NxDomain | LookupReason::NoData));
    let none_is_there = is_absent(&heard_first) && is_absent(&heard_second);
    let mut gathered = Gathered::default();
    let mut unknown = Vec::new();
    for (service, heard) in [(first, heard_first), (second, heard_second)] {
        gathered.disagree |= heard.disagree;
        let absent = is_absent(&heard);
        let failure = match heard.answer {
            Ok(records) => {
                let is_offered = !matches!(records.data.as_slice(), [location] if location.host.is_root());
                for Location { priority, port, host } in records.data.into_iter().filter(|_| is_offered) {
                    match server_name(&host) {
                        Ok(server_name) => {
                            gathered.add(Endpoint { server_name, port, tls: service.tls }, Some(priority));
                        }
                        Err(_) => gathered.fail(&service.label, "SRV", LookupReason::NoData),
                    }
                }
                heard.partly
            }
            Err(_) if absent && !none_is_there => heard.partly,
            Err(reason) => Some(reason),
        };
        if let Some(reason) = failure {
            gathered.miss(&service.label, "SRV", reason);
            unknown.push(service.tls);
        }
    }
    gathered.into_named(known, |host| unknown.contains(&host.endpoint.tls))
}

/// One of the services of a domain.
struct Service {
    /// What failures are reported under: the domain where the service's own name would be too long.
    label: ServerName,
    name: Option<Name>,
    tls: TlsMode,
}

impl Service {
    fn new(service: &str, tls: TlsMode, domain: &ServerName) -> Self {
        let full = ServerName::parse(&format!("{service}.{domain}")).ok();
        let name = full.as_ref().and_then(ServerName::dns).and_then(name_servers::absolute);
        Self { label: full.unwrap_or_else(|| domain.clone()), name, tls }
    }

    async fn ask(&self, servers: &Servers, deadline: Instant) -> Heard<Location> {
        match &self.name {
            Some(name) => query::put(servers, deadline, |server| name_servers::locations(server, name)).await,
            None => Heard::new(Err(LookupReason::NxDomain)),
        }
    }
}

/// The host as a server name. The root stands for no host (RFC 7505 §3); what is no host name, or is the text of an IP
/// address (RFC 5321 §5.1 wants a name there), has no address that could be used.
fn server_name(host: &Name) -> Result<ServerName, LookupReason> {
    if host.is_root() {
        return Err(LookupReason::NullMx);
    }
    let name = ServerName::parse(&host.to_ascii()).map_err(|_| LookupReason::NoData)?;
    if name.ip().is_some() { Err(LookupReason::NoData) } else { Ok(name) }
}

/// Hosts by what they are sorted by: name, port and mode; with the best preference.
#[derive(Default)]
struct Gathered {
    hosts: BTreeMap<(ServerName, u16, bool), (Endpoint, Option<u16>)>,
    failures: Vec<LookupFailure>,
    /// Records that may name hosts are not known.
    missed: bool,
    disagree: bool,
}

impl Gathered {
    fn add(&mut self, endpoint: Endpoint, preference: Option<u16>) {
        let key = (endpoint.server_name.clone(), endpoint.port, endpoint.tls == TlsMode::StartTls);
        let (_, best) = self.hosts.entry(key).or_insert((endpoint, preference));
        *best = (*best).min(preference);
    }

    /// Notes a failure, once.
    fn fail(&mut self, name: &ServerName, record_type: &'static str, reason: LookupReason) {
        let failure = LookupFailure { name: name.clone(), record_type, reason };
        if !self.failures.contains(&failure) {
            self.failures.push(failure);
        }
    }

    /// Notes that records could not be looked up.
    fn miss(&mut self, name: &ServerName, record_type: &'static str, reason: LookupReason) {
        self.missed = true;
        self.fail(name, record_type, reason);
    }

    /// Where records were missed, the hosts that were `known` from these count on, after those that were found.
    fn into_named(self, known: &[KnownHost], is_from_missed: impl Fn(&KnownHost) -> bool) -> Named {
        let count = (!self.missed).then_some(self.hosts.len());
        let found = self.hosts.into_values().map(|(endpoint, preference)| {
            // One endpoint is held once.
            let before = known.iter().map(|host| &host.endpoint).find(|known| ***known == endpoint);
            let endpoint = before.map_or_else(|| Arc::new(endpoint), Arc::clone);
            KnownHost { endpoint, preference }
        });
        let mut hosts: Vec<KnownHost> = found.collect();
        // Stable, so that names stay in order.
        hosts.sort_by_key(|host| host.preference);
        hosts.truncate(MAX_HOSTS);
        if self.missed {
            let is_new = |host: &&KnownHost| hosts.iter().all(|found| found.endpoint != host.endpoint);
            let kept: Vec<_> = known.iter().filter(|host| is_from_missed(host)).filter(is_new).cloned().collect();
            hosts.extend(kept);
            hosts.truncate(MAX_HOSTS);
        }
        Named { hosts, count, failures: self.failures, disagree: self.disagree }
    }
}

/// How many hosts of a target are looked up and probed.
pub(super) const MAX_HOSTS: usize = 64;
const SERVICES: [(&str, TlsMode); 2] =
    [("_submissions._tcp", TlsMode::Implicit), ("_submission._tcp", TlsMode::StartTls)];
