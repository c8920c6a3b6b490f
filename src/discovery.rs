//! From a target to the addresses behind it. A and AAAA are looked up apart, so that neither family's failure hides
//! in the other's answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hickory_resolver::proto::rr::{Name, RecordType};

use crate::observation::{LookupFailure, LookupReport};
use crate::reason::LookupReason;
use crate::route::has_route;
use crate::target::{HostTarget, IpFamily, Policy, ResolverSpec, ServerName};

mod name_servers;
pub mod roster;

use name_servers::{Addresses, NameServers, Servers};

/// The resolvers of a config, by name.
#[derive(Debug)]
pub struct Resolvers(HashMap<Arc<str>, NameServers>);

/// What one lookup of a target brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovered {
    /// Sorted, each once.
    pub addresses: Vec<IpAddr>,
    /// Addresses left out because this machine has no route to their family.
    pub without_route: usize,
    /// The A lookup failed.
    pub ipv4_failed: bool,
    /// The AAAA lookup failed.
    pub ipv6_failed: bool,
    /// How it went; none where nothing had to be looked up.
    pub report: Option<LookupReport>,
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

    /// Finds the addresses of a host target, within `patience`.
    pub async fn discover(&self, target: &HostTarget, policy: &Policy, patience: Duration) -> Discovered {
        let fixed = match target.host.ip() {
            _ if !target.addresses.is_empty() => Some(target.addresses.clone()),
            ip => ip.map(|ip| vec![ip]),
        };
        if let Some(addresses) = fixed {
            return Discovered::fixed(addresses);
        }
        let begin = Instant::now();
        let families = families(policy.ip_family);
        let outcomes = match tokio::time::timeout(patience, self.look_up(&target.host, policy, families)).await {
            Ok(outcomes) => outcomes,
            Err(_) => Outcomes::all(families, LookupReason::Timeout),
        };
        outcomes.into_discovered(&target.host, policy.ip_family, begin.elapsed())
    }

    async fn look_up(&self, host: &ServerName, policy: &Policy, families: &'static [RecordType]) -> Outcomes {
        let name = host.dns().and_then(|dns| Name::from_str_relaxed(format!("{dns}.")).ok());
        let servers = self.0.get(&policy.resolver).map_or(Err(LookupReason::ServFail), NameServers::current);
        let (name, servers) = match (name, servers) {
            (Some(name), Ok(servers)) => (name, servers),
            (None, _) => return Outcomes::all(families, LookupReason::NxDomain),
            (_, Err(reason)) => return Outcomes::all(families, reason),
        };
        if let Some(addresses) = servers.hosts_entry(&name) {
            return Outcomes::from_hosts(families, &addresses);
        }
        let each = families.iter().map(|family| ask_family(&servers, &name, *family));
        let answers = join_all(each).await;
        Outcomes {
            disagree: servers.compare.then(|| answers.iter().any(|(_, disagree)| *disagree)),
            families: families.iter().copied().zip(answers.into_iter().map(|(outcome, _)| outcome)).collect(),
        }
    }
}

/// One family's outcome, and whether servers that were compared gave different ones.
async fn ask_family(servers: &Servers, name: &Name, family: RecordType) -> (Addresses, bool) {
    if servers.compare {
        let answers = join_all(servers.servers.iter().map(|server| name_servers::ask(server, name, family))).await;
        return union(answers);
    }
    let mut last = Err(LookupReason::ServFail);
    for server in &servers.servers {
        last = name_servers::ask(server, name, family).await;
        // Only a server that could not say sends us to the next one.
        if !matches!(last, Err(LookupReason::Timeout | LookupReason::ServFail)) {
            break;
        }
    }
    (last, false)
}

/// All addresses that any server names; they disagree where those that answered did not answer the same.
fn union(answers: Vec<Addresses>) -> (Addresses, bool) {
    let said: Vec<Result<BTreeSet<IpAddr>, LookupReason>> = answers
        .into_iter()
        .map(|answer| answer.map(|addresses| addresses.into_iter().collect()))
        .filter(|answer| !matches!(answer, Err(LookupReason::Timeout | LookupReason::ServFail)))
        .collect();
    let disagree = said.windows(2).any(|pair| matches!(pair, [a, b] if a != b));
    let all: BTreeSet<IpAddr> = said.iter().flatten().flatten().copied().collect();
    let outcome = match (all.is_empty(), said.into_iter().find_map(Result::err)) {
        (false, _) => Ok(all.into_iter().collect()),
        (true, reason) => Err(reason.unwrap_or(LookupReason::ServFail)),
    };
    (outcome, disagree)
}

struct Outcomes {
    families: Vec<(RecordType, Addresses)>,
    disagree: Option<bool>,
}

impl Outcomes {
    fn all(families: &[RecordType], reason: LookupReason) -> Self {
        Self { families: families.iter().map(|family| (*family, Err(reason))).collect(), disagree: None }
    }

    fn from_hosts(families: &[RecordType], addresses: &[IpAddr]) -> Self {
        let of = |family: RecordType| -> Addresses {
            let wanted = addresses.iter().copied().filter(|ip| ip.is_ipv4() == (family == RecordType::A));
            let wanted: Vec<_> = wanted.collect();
            if wanted.is_empty() { Err(LookupReason::NoData) } else { Ok(wanted) }
        };
        Self { families: families.iter().map(|family| (*family, of(*family))).collect(), disagree: None }
    }

    fn into_discovered(self, host: &ServerName, ip_family: IpFamily, duration: Duration) -> Discovered {
        let any = self.families.iter().any(|(_, outcome)| outcome.is_ok());
        let mut found = Discovered::fixed(Vec::new());
        let mut failures = Vec::new();
        for (family, outcome) in self.families {
            match outcome {
                Ok(addresses) => found.addresses.extend(addresses),
                // A name of one family only is as it should be.
                Err(LookupReason::NoData) if any => {}
                Err(reason) => {
                    let record_type = if family == RecordType::A { "A" } else { "AAAA" };
                    failures.push(LookupFailure { name: host.clone(), record_type, reason });
                    match family {
                        RecordType::A => found.ipv4_failed = true,
                        _ => found.ipv6_failed = true,
                    }
                }
            }
        }
        found.addresses.sort_unstable();
        found.addresses.dedup();
        if ip_family == IpFamily::Auto {
            let before = found.addresses.len();
            found.addresses.retain(|ip| ip.is_ipv4() || has_route(*ip));
            found.without_route = before - found.addresses.len();
        }
        found.report = Some(LookupReport { success: failures.is_empty(), duration, failures, disagree: self.disagree });
        found
    }
}

impl Discovered {
    /// Nothing is known: what was known before stays.
    pub fn unknown() -> Self {
        Self { addresses: Vec::new(), without_route: 0, ipv4_failed: true, ipv6_failed: true, report: None }
    }

    fn fixed(addresses: Vec<IpAddr>) -> Self {
        let mut addresses: Vec<IpAddr> = addresses.into_iter().map(|ip| ip.to_canonical()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        Self { addresses, without_route: 0, ipv4_failed: false, ipv6_failed: false, report: None }
    }
}

fn families(ip_family: IpFamily) -> &'static [RecordType] {
    match ip_family {
        IpFamily::Auto | IpFamily::Any => &[RecordType::A, RecordType::AAAA],
        IpFamily::Ipv4 => &[RecordType::A],
        IpFamily::Ipv6 => &[RecordType::AAAA],
    }
}
