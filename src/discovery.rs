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
        let outcomes = self.look_up(&target.host, policy, patience).await;
        outcomes.into_discovered(&target.host, policy.ip_family, begin.elapsed())
    }

    async fn look_up(&self, host: &ServerName, policy: &Policy, patience: Duration) -> Outcomes {
        let families = families(policy.ip_family);
        let name = host.dns().and_then(|dns| Name::from_str_relaxed(format!("{dns}.")).ok());
        let servers = self.0.get(&policy.resolver).map(NameServers::current);
        let (name, servers) = match (name, servers) {
            (Some(name), Some(servers)) => (name, servers),
            (None, _) => return Outcomes::all(families, LookupReason::NxDomain),
            (_, None) => return Outcomes::all(families, LookupReason::ServFail),
        };
        if let Some(addresses) = servers.hosts_entry(&name) {
            return Outcomes::from_hosts(families, &addresses);
        }
        let each = families.iter().map(|family| ask_family(&servers, &name, *family, patience));
        let families = join_all(each).await;
        let disagree = servers.compare.then(|| families.iter().any(|family| family.disagree));
        Outcomes { families, disagree }
    }
}

/// What was heard of one family.
struct Family {
    record_type: RecordType,
    addresses: Addresses,
    /// A server that is compared with others failed: what only it names is not known.
    partly: Option<LookupReason>,
    /// Servers that were compared gave different answers.
    disagree: bool,
}

impl Family {
    fn new(record_type: RecordType, addresses: Addresses) -> Self {
        Self { record_type, addresses, partly: None, disagree: false }
    }
}

/// Asks for one family. The time is each family's own, so that neither's silence costs the other its answer.
async fn ask_family(servers: &Servers, name: &Name, record_type: RecordType, patience: Duration) -> Family {
    let ask = |server| async move {
        let answer = name_servers::ask(server, name, record_type);
        tokio::time::timeout(patience, answer).await.unwrap_or(Err(LookupReason::Timeout))
    };
    if servers.compare {
        return union(record_type, join_all(servers.servers.iter().map(ask)).await);
    }
    let in_turn = async {
        let mut last = Err(LookupReason::ServFail);
        for server in &servers.servers {
            last = ask(server).await;
            // Only a server that could not say sends us to the next one.
            if could_say(&last) {
                break;
            }
        }
        last
    };
    let addresses = tokio::time::timeout(patience, in_turn).await.unwrap_or(Err(LookupReason::Timeout));
    Family::new(record_type, addresses)
}

fn could_say(answer: &Addresses) -> bool {
    !matches!(answer, Err(LookupReason::Timeout | LookupReason::ServFail))
}

/// All addresses that any server names; they disagree where those that answered did not answer the same.
fn union(record_type: RecordType, answers: Vec<Addresses>) -> Family {
    let (said, failed): (Vec<Addresses>, Vec<Addresses>) = answers.into_iter().partition(could_say);
    let failed = failed.into_iter().find_map(Result::err);
    let said: Vec<Result<BTreeSet<IpAddr>, LookupReason>> =
        said.into_iter().map(|answer| answer.map(|addresses| addresses.into_iter().collect())).collect();
    let disagree = said.windows(2).any(|pair| matches!(pair, [a, b] if a != b));
    let all: BTreeSet<IpAddr> = said.iter().flatten().flatten().copied().collect();
    let negative = said.into_iter().find_map(Result::err);
    match (all.is_empty(), negative.or(failed)) {
        (false, _) => {
            let addresses = Ok(all.into_iter().collect());
            Family { record_type, addresses, partly: failed, disagree }
        }
        (true, reason) => {
            let addresses = Err(reason.unwrap_or(LookupReason::ServFail));
            Family { record_type, addresses, partly: None, disagree }
        }
    }
}

struct Outcomes {
    families: Vec<Family>,
    disagree: Option<bool>,
}

impl Outcomes {
    fn all(families: &[RecordType], reason: LookupReason) -> Self {
        Self { families: families.iter().map(|family| Family::new(*family, Err(reason))).collect(), disagree: None }
    }

    fn from_hosts(families: &[RecordType], addresses: &[IpAddr]) -> Self {
        let of = |family: RecordType| -> Addresses {
            let wanted = addresses.iter().copied().filter(|ip| ip.is_ipv4() == (family == RecordType::A));
            let wanted: Vec<_> = wanted.collect();
            if wanted.is_empty() { Err(LookupReason::NoData) } else { Ok(wanted) }
        };
        Self { families: families.iter().map(|family| Family::new(*family, of(*family))).collect(), disagree: None }
    }

    fn into_discovered(self, host: &ServerName, ip_family: IpFamily, duration: Duration) -> Discovered {
        let any = self.families.iter().any(|family| family.addresses.is_ok());
        let mut found = Discovered::fixed(Vec::new());
        let mut failures = Vec::new();
        for Family { record_type, addresses, partly, .. } in self.families {
            let failure = match addresses {
                Ok(addresses) => {
                    found.addresses.extend(addresses);
                    partly
                }
                // A name of one family only is as it should be.
                Err(LookupReason::NoData) if any => None,
                Err(reason) => Some(reason),
            };
            let Some(reason) = failure else { continue };
            let (word, failed) = match record_type {
                RecordType::A => ("A", &mut found.ipv4_failed),
                _ => ("AAAA", &mut found.ipv6_failed),
            };
            *failed = true;
            failures.push(LookupFailure { name: host.clone(), record_type: word, reason });
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
