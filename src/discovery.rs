//! From a target to the hosts behind it, and from those to their addresses.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;

use crate::observation::{LookupFailure, LookupReport};
use crate::target::{AllowedAddresses, Endpoint, HostTarget, ProbeSettings, ResolverSpec, ServerName, TargetKind};

mod addresses;
mod hosts;
mod name_servers;
mod query;
mod validation;

use addresses::Addresses;
use hosts::{MAX_HOSTS, Named};
use name_servers::{NameServers, Servers};

/// The resolvers of a config, by name.
#[derive(Debug)]
pub struct Resolvers(HashMap<Arc<str>, NameServers>);

/// What one lookup of a target brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovered {
    /// The hosts behind the target. Where that could not be found out, those that were known.
    pub hosts: Vec<FoundHost>,
    /// How it went; none where nothing had to be looked up.
    pub report: Option<LookupReport>,
}

/// A host behind a target.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundHost {
    /// Server name, port and TLS mode.
    pub endpoint: Arc<Endpoint>,
    /// As MX or SRV records say.
    pub preference: Option<u16>,
    /// Sorted, each once.
    pub addresses: Vec<IpAddr>,
    /// Addresses left out because this machine has no route to their family.
    pub without_route: usize,
    /// The A lookup failed.
    pub ipv4_failed: bool,
    /// The AAAA lookup failed.
    pub ipv6_failed: bool,
}

/// A host that was behind a target before.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownHost {
    /// Server name, port and TLS mode.
    pub endpoint: Arc<Endpoint>,
    /// As MX or SRV records said.
    pub preference: Option<u16>,
}

impl Resolvers {
    /// Sets up the resolvers; nothing is asked yet.
    ///
    /// # Errors
    /// With the resolver's name and the reason, when the DNS library refuses its configuration.
    pub fn new(specs: &BTreeMap<Arc<str>, ResolverSpec>) -> Result<Self, String> {
        let servers = specs.iter().map(|(name, spec)| {
            let servers = NameServers::new(spec).map_err(|error| format!("resolver {name}: {error}"))?;
            Ok((Arc::clone(name), servers))
        });
        servers.collect::<Result<_, _>>().map(Self)
    }

    /// Finds the hosts of a target and their addresses, within `patience`. Where the hosts cannot be found out, those in
    /// `known` are looked up.
    pub async fn discover(
        &self,
        target: &TargetKind,
        settings: &ProbeSettings,
        known: &[KnownHost],
        patience: Duration,
    ) -> Discovered {
        self.find(target, settings, known, patience, News::Logged).await
    }

    /// As [`Resolvers::discover`], for a target that comes from outside: addresses that it may not reach are left out,
    /// and given apart. What is connected to is what was judged here, for nothing is looked up a second time.
    pub async fn discover_within(
        &self,
        reach: &AllowedAddresses,
        target: &TargetKind,
        settings: &ProbeSettings,
        patience: Duration,
    ) -> (Discovered, Vec<SocketAddr>) {
        let mut found = self.find(target, settings, &[], patience, News::Unlogged).await;
        let mut refused = Vec::new();
        for FoundHost { endpoint, addresses, .. } in &mut found.hosts {
            addresses.retain(|ip| {
                let to = SocketAddr::new(*ip, endpoint.port);
                let allowed = reach.permits(to);
                if !allowed {
                    refused.push(to);
                }
                allowed
            });
        }
        (found, refused)
    }

    async fn find(
        &self,
        target: &TargetKind,
        settings: &ProbeSettings,
        known: &[KnownHost],
        patience: Duration,
        news: News,
    ) -> Discovered {
        if let TargetKind::Host(host) = target
            && let Some(addresses) = given_addresses(host)
        {
            let host = FoundHost::given(Arc::clone(&host.endpoint), addresses);
            return Discovered { hosts: vec![host], report: None };
        }
        let servers = self.0.get(&settings.resolver).map(NameServers::current).unwrap_or_default();
        let begin = Instant::now();
        // What is left of the time must do for the hosts.
        let (half, deadline) = (begin + patience / 2, begin + patience);
        let named = match target {
            TargetKind::Host(host) => return discover_host(host, settings, &servers, begin, deadline).await,
            TargetKind::Mx(mx) => hosts::mail_hosts(mx, &servers, known, half).await,
            TargetKind::Submission(submission) => hosts::submission_hosts(submission, &servers, known, half).await,
        };
        let names: BTreeSet<ServerName> = named.hosts.iter().map(|host| host.endpoint.server_name.clone()).collect();
        let servers_of_hosts = &servers;
        let each = names.into_iter().map(|name| async move {
            let found = addresses::look_up(&name, servers_of_hosts, settings.ip_family, deadline).await;
            (name, found)
        });
        let found: BTreeMap<_, _> = stream::iter(each).buffer_unordered(HOSTS_AT_ONCE).collect().await;
        if news == News::Logged {
            log_news(target, &named, &found, known);
        }
        assemble(named, &found, servers.compare, begin)
    }
}

impl Resolvers {
    /// The addresses of each of `names`, within `patience`: none at all where it has none, no answer where that could not
    /// be found out. 64 are looked up at most.
    pub async fn addresses(
        &self,
        names: Vec<ServerName>,
        settings: &ProbeSettings,
        patience: Duration,
    ) -> BTreeMap<ServerName, Option<Vec<IpAddr>>> {
        let servers = &self.0.get(&settings.resolver).map(NameServers::current).unwrap_or_default();
        let deadline = Instant::now() + patience;
        let each = names.into_iter().take(MAX_NAMES).map(|name| async move {
            let found = addresses::look_up(&name, servers, settings.ip_family, deadline).await;
            let has_none = |failure: &LookupFailure| failure.reason.has_none();
            let is_known = found.failures.iter().all(has_none);
            (name, is_known.then_some(found.addresses))
        });
        stream::iter(each).buffer_unordered(HOSTS_AT_ONCE).collect().await
    }
}

/// Whether the log tells what is odd about new hosts. To a target that is looked up once, all are new.
#[derive(Clone, Copy, PartialEq)]
enum News {
    Logged,
    Unlogged,
}

/// The addresses of a host that is not looked up.
fn given_addresses(target: &HostTarget) -> Option<Vec<IpAddr>> {
    if target.addresses.is_empty() { target.host.ip().map(|ip| vec![ip]) } else { Some(target.addresses.clone()) }
}

async fn discover_host(
    target: &HostTarget,
    settings: &ProbeSettings,
    servers: &Servers,
    begin: Instant,
    deadline: Instant,
) -> Discovered {
    let mut found = addresses::look_up(&target.host, servers, settings.ip_family, deadline).await;
    let failures = std::mem::take(&mut found.failures);
    let report = LookupReport {
        success: failures.is_empty(),
        hosts: None,
        duration: begin.elapsed(),
        failures,
        disagree: servers.compare.then_some(found.disagree),
    };
    let host = FoundHost::new(Arc::clone(&target.endpoint), None, found);
    Discovered { hosts: vec![host], report: Some(report) }
}

/// Puts the hosts and the addresses of each together. A name that stands on several ports was looked up once.
fn assemble(named: Named, found: &BTreeMap<ServerName, Addresses>, compare: bool, begin: Instant) -> Discovered {
    let Named { hosts, count, mut failures, disagree } = named;
    failures.extend(found.values().flat_map(|found| found.failures.iter().cloned()));
    let report = LookupReport {
        success: failures.is_empty(),
        hosts: count,
        duration: begin.elapsed(),
        failures,
        disagree: compare.then(|| disagree || found.values().any(|found| found.disagree)),
    };
    let hosts = hosts.into_iter().map(|KnownHost { endpoint, preference }| {
        let addresses = found.get(&endpoint.server_name).cloned().unwrap_or_default();
        FoundHost::new(endpoint, preference, addresses)
    });
    Discovered { hosts: hosts.collect(), report: Some(report) }
}

/// Says what is odd about hosts that were not known: once, not in every round.
fn log_news(target: &TargetKind, named: &Named, found: &BTreeMap<ServerName, Addresses>, known: &[KnownHost]) {
    let domain = match target {
        TargetKind::Host(host) => &host.host,
        TargetKind::Mx(mx) => &mx.domain,
        TargetKind::Submission(submission) => &submission.domain,
    };
    let is_known = |endpoint: &Arc<Endpoint>| known.iter().any(|host| host.endpoint == *endpoint);
    let mut any_new = false;
    for KnownHost { endpoint, preference } in named.hosts.iter().filter(|host| !is_known(&host.endpoint)) {
        any_new = true;
        let aliased = found.get(&endpoint.server_name).is_some_and(|found| found.aliased);
        // An implicit MX may be an alias: the domain is asked for as such.
        if aliased && preference.is_some() {
            let host = &endpoint.server_name;
            tracing::warn!(%domain, %host, "an MX or SRV record names an alias (against RFC 5321 §5.1 and RFC 2782)");
        }
    }
    if let Some(count) = named.count.filter(|count| any_new && *count > MAX_HOSTS) {
        tracing::warn!(%domain, hosts = count, probed = MAX_HOSTS, "more hosts than are looked up");
    }
}

impl FoundHost {
    fn new(endpoint: Arc<Endpoint>, preference: Option<u16>, found: Addresses) -> Self {
        let Addresses { addresses, without_route, ipv4_failed, ipv6_failed, .. } = found;
        Self { endpoint, preference, addresses, without_route, ipv4_failed, ipv6_failed }
    }

    fn given(endpoint: Arc<Endpoint>, addresses: Vec<IpAddr>) -> Self {
        let mut addresses: Vec<IpAddr> = addresses.into_iter().map(|ip| ip.to_canonical()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        Self::new(endpoint, None, Addresses { addresses, ..Addresses::default() })
    }
}

/// Names that are looked up beside a target's own.
const MAX_NAMES: usize = 64;
/// How many hosts of a target are looked up at the same time.
const HOSTS_AT_ONCE: usize = 8;
