//! Resolves targets to hosts (MX, SRV) and hosts to addresses (A, AAAA).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::Instant;

use crate::file::FileReader;
use crate::observation::{LocalFailure, LookupReport};
use crate::reason::SkipReason;
use crate::target::{AllowedAddresses, Endpoint, HostTarget, ProbeSettings, ResolverSpec, ServerName, TargetKind};

mod addresses;
mod client;
mod health;
mod hosts;
mod hosts_file;
mod interfaces;
mod name_servers;
mod provider;
mod query;
mod resolv_conf;
mod system;
mod validation;

use addresses::{Addresses, Wanted};
use hosts::{DomainHosts, MAX_HOSTS};
use name_servers::{NameServers, Servers};

/// The resolvers of the configuration.
#[derive(Debug)]
pub struct Resolvers {
    by_name: HashMap<Arc<str>, NameServers>,
    repeat: bool,
}

/// How often a query is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queries {
    /// To one name server, or to each of them if they are compared.
    Once,
    /// To each name server, until its answers bring nothing new: finds all addresses of a name whose answers change from
    /// query to query.
    Repeated,
}

/// The result of one lookup of a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovered {
    /// The hosts of the target. If their records could not be looked up, the hosts known before.
    pub hosts: Vec<FoundHost>,
    /// How it went; none if nothing had to be looked up.
    pub report: Option<LookupReport>,
}

/// A host of a target, with its addresses.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundHost {
    /// Server name, port and TLS mode.
    pub endpoint: Arc<Endpoint>,
    /// MX preference (RFC 5321 §5.1) or SRV priority (RFC 2782); none for other hosts.
    pub preference: Option<u16>,
    /// Sorted, each once.
    pub addresses: Vec<IpAddr>,
    /// The addresses left out because connections to them are not allowed, each once.
    pub not_allowed: Vec<(SkipReason, IpAddr)>,
    /// Number of allowed addresses left out because this host has no route to them.
    pub without_route: usize,
    /// The A lookup failed.
    pub ipv4_failed: bool,
    /// The AAAA lookup failed.
    pub ipv6_failed: bool,
    /// The name of the search list that has the addresses; none if it is the name as written.
    pub found_as: Option<ServerName>,
}

/// A host that an earlier lookup of the target found.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownHost {
    /// Server name, port and TLS mode.
    pub endpoint: Arc<Endpoint>,
    /// MX preference or SRV priority.
    pub preference: Option<u16>,
}

impl Resolvers {
    /// Sets up the resolvers without sending a query. `reader` reads this host's files.
    pub fn new(specs: &BTreeMap<Arc<str>, ResolverSpec>, reader: &FileReader, queries: Queries) -> Self {
        let servers = specs.iter().map(|(name, spec)| (Arc::clone(name), NameServers::new(spec, reader)));
        Self { by_name: servers.collect(), repeat: queries == Queries::Repeated }
    }

    /// Looks up the hosts of a target and their addresses, within `timeout`. If the records that name the hosts cannot be
    /// looked up, the hosts in `known` are used. Addresses that [`ProbeSettings::check_address`] refuses are left out. Probes
    /// connect to the addresses checked here, as nothing is looked up again.
    ///
    /// # Errors
    /// If this host failed, so that nothing is known about the target.
    pub async fn discover(
        &self,
        target: &TargetKind,
        settings: &ProbeSettings,
        known: &[KnownHost],
        timeout: Duration,
    ) -> Result<Discovered, LocalFailure> {
        let check = |address| settings.check_address(target, address);
        self.find(target, settings, Some(known), &check, timeout).await
    }

    /// As [`Resolvers::discover`], for a target that is not configured: addresses that `allowed` refuses are left out.
    ///
    /// # Errors
    /// As [`Resolvers::discover`].
    pub async fn discover_allowed(
        &self,
        allowed: &AllowedAddresses,
        target: &TargetKind,
        settings: &ProbeSettings,
        timeout: Duration,
    ) -> Result<Discovered, LocalFailure> {
        self.find(target, settings, None, &|address| allowed.check(address), timeout).await
    }

    /// `known` is none for targets that are looked up once: all of their hosts are new, so nothing is logged about them.
    async fn find(
        &self,
        target: &TargetKind,
        settings: &ProbeSettings,
        known: Option<&[KnownHost]>,
        check: AddressCheck<'_>,
        timeout: Duration,
    ) -> Result<Discovered, LocalFailure> {
        if let TargetKind::Host(host) = target
            && let Some(addresses) = configured_addresses(host)
        {
            let addresses = Addresses { addresses, ..Addresses::default() };
            let host = KnownHost { endpoint: Arc::clone(&host.endpoint), preference: None };
            let host = FoundHost::new(host, addresses, check);
            return Ok(Discovered { hosts: vec![host], report: None });
        }
        let start = Instant::now();
        let servers = self.servers(settings).await?;
        // The other half of the time is for the addresses of the hosts.
        let (half, deadline) = (start + timeout / 2, start + timeout);
        let known_hosts = known.unwrap_or_default();
        let wanted = Wanted::from(settings.ip_family);
        let found = match target {
            TargetKind::Host(target) => {
                let found = match target.is_qualified {
                    true => addresses::look_up(&target.host, &servers, wanted, deadline).await?,
                    false => addresses::search(&target.host, &servers, wanted, deadline).await?,
                };
                let host = KnownHost { endpoint: Arc::clone(&target.endpoint), preference: None };
                let hosts = DomainHosts { hosts: vec![host], ..DomainHosts::default() };
                let addresses = BTreeMap::from([(target.endpoint.server_name.clone(), found)]);
                return Ok(assemble(hosts, &addresses, &servers, check, start));
            }
            TargetKind::Mx(mx) => hosts::mx_hosts(mx, &servers, known_hosts, half).await?,
            TargetKind::Submission(submission) => {
                hosts::submission_hosts(submission, &servers, known_hosts, half).await?
            }
        };
        let names: BTreeSet<ServerName> = found.hosts.iter().map(|host| host.endpoint.server_name.clone()).collect();
        let addresses = look_up_all(names, &servers, wanted, deadline).await?;
        if let Some(known) = known {
            log_new_hosts(target, &found, &addresses, known);
        }
        Ok(assemble(found, &addresses, &servers, check, start))
    }

    async fn servers(&self, settings: &ProbeSettings) -> Result<Servers, LocalFailure> {
        let servers = match self.by_name.get(&settings.resolver) {
            Some(servers) => servers.current().await?,
            None => Servers::default(),
        };
        Ok(Servers { repeat: self.repeat, ..servers })
    }

    /// The addresses of each of the first 64 of `names`, within `timeout`: empty if the name has none, `None` if it could
    /// not be looked up.
    pub async fn resolve_names(
        &self,
        names: Vec<ServerName>,
        settings: &ProbeSettings,
        timeout: Duration,
    ) -> BTreeMap<ServerName, Option<Vec<IpAddr>>> {
        let deadline = Instant::now() + timeout;
        let names = names.into_iter().take(MAX_NAMES);
        let Ok(servers) = &self.servers(settings).await else { return names.map(|name| (name, None)).collect() };
        let wanted = Wanted::from(settings.ip_family);
        let lookups = names.map(|name| async move {
            let found = addresses::look_up(&name, servers, wanted, deadline).await.ok();
            let is_known = |found: &Addresses| found.failures.iter().all(|failure| failure.reason.has_none());
            (name, found.filter(is_known).map(|found| found.addresses))
        });
        stream::iter(lookups).buffer_unordered(CONCURRENT_LOOKUPS).collect().await
    }
}

async fn look_up_all(
    names: impl IntoIterator<Item = ServerName>,
    servers: &Servers,
    wanted: Wanted,
    deadline: Instant,
) -> Result<BTreeMap<ServerName, Addresses>, LocalFailure> {
    let lookups = names.into_iter().map(|name| async move {
        let found = addresses::look_up(&name, servers, wanted, deadline).await?;
        Ok((name, found))
    });
    stream::iter(lookups).buffer_unordered(CONCURRENT_LOOKUPS).try_collect().await
}

/// The addresses of a host that needs no lookup, sorted, each once.
fn configured_addresses(target: &HostTarget) -> Option<Vec<IpAddr>> {
    if target.addresses.is_empty() {
        return target.host.ip().map(|ip| vec![ip]);
    }
    let addresses: BTreeSet<IpAddr> = target.addresses.iter().map(IpAddr::to_canonical).collect();
    Some(addresses.into_iter().collect())
}

/// Joins hosts and addresses. A name with several ports was looked up once.
fn assemble(
    found: DomainHosts,
    addresses: &BTreeMap<ServerName, Addresses>,
    servers: &Servers,
    check: AddressCheck<'_>,
    start: Instant,
) -> Discovered {
    let DomainHosts { hosts, count, mut failures, mut differences } = found;
    let success = failures.is_empty() && addresses.values().all(Addresses::is_found);
    for found in addresses.values() {
        failures.extend(found.failures.iter().cloned());
        differences.merge(found.differences);
    }
    let disagree = differences.servers || differences.existence;
    let report = LookupReport {
        success,
        hosts: count,
        duration: start.elapsed(),
        failures,
        disagree: servers.compare.then_some(disagree),
        varies: differences.queries || (disagree && !servers.compare),
        searched: addresses.values().flat_map(|found| found.searched.iter().cloned()).collect(),
    };
    let hosts = hosts.into_iter().map(|host| {
        let found = addresses.get(&host.endpoint.server_name).cloned().unwrap_or_default();
        FoundHost::new(host, found, check)
    });
    Discovered { hosts: hosts.collect(), report: Some(report) }
}

/// Logs problems of hosts that were not known before, so that each is logged once.
fn log_new_hosts(
    target: &TargetKind,
    found: &DomainHosts,
    addresses: &BTreeMap<ServerName, Addresses>,
    known: &[KnownHost],
) {
    let domain = match target {
        TargetKind::Host(host) => &host.host,
        TargetKind::Mx(mx) => &mx.domain,
        TargetKind::Submission(submission) => &submission.domain,
    };
    let is_known = |endpoint: &Arc<Endpoint>| known.iter().any(|host| host.endpoint == *endpoint);
    let mut any_new = false;
    for KnownHost { endpoint, preference } in found.hosts.iter().filter(|host| !is_known(&host.endpoint)) {
        any_new = true;
        let aliased = addresses.get(&endpoint.server_name).is_some_and(|found| found.aliased);
        // A domain without MX records may itself be an alias.
        if aliased && preference.is_some() {
            let host = &endpoint.server_name;
            tracing::warn!(%domain, %host, "MX or SRV record points to an alias (RFC 5321 §5.1, RFC 2782)");
        }
    }
    if let Some(count) = found.count.filter(|count| any_new && *count > MAX_HOSTS) {
        tracing::warn!(%domain, hosts = count, limit = MAX_HOSTS, "hosts skipped: too many MX or SRV records");
    }
}

impl FoundHost {
    fn new(host: KnownHost, found: Addresses, check: AddressCheck<'_>) -> Self {
        let KnownHost { endpoint, preference } = host;
        let Addresses { mut addresses, mut without_route, ipv4_failed, ipv6_failed, found_as, .. } = found;
        let mut not_allowed = Vec::new();
        for list in [&mut addresses, &mut without_route] {
            list.retain(|ip| match check(SocketAddr::new(*ip, endpoint.port)) {
                Ok(()) => true,
                Err(reason) => {
                    not_allowed.push((reason, *ip));
                    false
                }
            });
        }
        let without_route = without_route.len();
        Self { endpoint, preference, addresses, not_allowed, without_route, ipv4_failed, ipv6_failed, found_as }
    }
}

/// Whether a target may connect to an address; if not, why.
type AddressCheck<'a> = &'a (dyn Fn(SocketAddr) -> Result<(), SkipReason> + Sync);

const MAX_NAMES: usize = 64;
const CONCURRENT_LOOKUPS: usize = 8;
