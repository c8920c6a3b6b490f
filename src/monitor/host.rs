//! One host of a target from round to round: which addresses it has, and the backends there. No I/O; time is an
//! argument.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::backend::BackendState;
use super::dedup::BackendId;
use super::roster::Roster;
use crate::discovery::{FoundHost, KnownHost};
use crate::reason::{Resolves, SkipReason};
use crate::snapshot::alternates::{alternate_candidates, resolves};
use crate::snapshot::{AlternateName, BackendReport, EndpointReport};
use crate::target::{Backend, ServerName};

/// A host of a target, with its backends.
#[derive(Debug)]
pub(super) struct HostState {
    pub(super) host: KnownHost,
    /// Whether records list it, as of the last lookup that found them.
    pub(super) listed: bool,
    /// The name of the search list that its addresses were found at last; none if it is the name as written.
    pub(super) found_as: Option<ServerName>,
    pub(super) roster: Roster,
    pub(super) backends: Vec<BackendState>,
    /// Number of addresses beyond the cap.
    pub(super) over_cap: usize,
    /// Number of addresses to which this host has no route, as of the last lookup that found any.
    without_route: usize,
    /// IPv4 and IPv6 addresses that are not allowed, each as of the last lookup of the family that did not fail.
    not_allowed: [NotAllowed; 2],
    alternates: Arc<[AlternateName]>,
}

impl HostState {
    /// A host that has not been looked up yet.
    pub(super) fn new(host: KnownHost) -> Self {
        Self {
            host,
            listed: true,
            found_as: None,
            roster: Roster::default(),
            backends: Vec::new(),
            over_cap: 0,
            without_route: 0,
            not_allowed: Default::default(),
            alternates: Arc::default(),
        }
    }

    /// Whether the backend at `address` answered the last probe.
    pub(super) fn is_answering(&self, address: IpAddr) -> bool {
        let known = self.backends.iter().find(|backend| backend.report.backend.address == address);
        known.is_some_and(|backend| backend.report.is_reachable())
    }

    /// Sets which of the addresses that a lookup found are not probed, apart from those beyond the cap. The addresses of a
    /// family whose lookup failed are kept, as its backends are.
    pub(super) fn set_skipped(&mut self, found: &FoundHost) {
        let has_failed = [found.ipv4_failed, found.ipv6_failed];
        if found.without_route > 0 || has_failed == [false; 2] || !found.addresses.is_empty() {
            self.without_route = found.without_route;
        }
        for ((known, found), has_failed) in
            self.not_allowed.iter_mut().zip(by_family(&found.not_allowed)).zip(has_failed)
        {
            if !has_failed || !found.counts.is_empty() {
                *known = found;
            }
        }
    }

    /// Forgets which addresses are not probed, apart from those beyond the cap.
    pub(super) fn forget_skipped(&mut self) {
        self.without_route = 0;
        self.not_allowed = Default::default();
    }

    /// Number of addresses to which this host has no route, as of the last lookup that found any.
    pub(super) fn without_route(&self) -> usize {
        self.without_route
    }

    /// Whether the addresses that are not allowed are as many as those known of their families.
    pub(super) fn skips_as_before(&self, not_allowed: &[(SkipReason, IpAddr)]) -> bool {
        let found = by_family(not_allowed);
        self.not_allowed
            .iter()
            .zip(&found)
            .all(|(known, found)| found.counts.is_empty() || known.counts == found.counts)
    }

    /// Ends the backends to which `check` does not allow connections any more.
    pub(super) fn drop_not_allowed(&mut self, check: impl Fn(SocketAddr) -> Result<(), SkipReason>) {
        let check = |ip: IpAddr| check(SocketAddr::new(ip, self.host.endpoint.port));
        let removed = self.roster.remove(|ip| check(ip).is_err());
        self.backends.retain(|backend| check(backend.report.backend.address).is_ok());
        for ip in removed {
            if let Err(reason) = check(ip) {
                self.not_allowed[family(ip)].add(reason, ip);
            }
        }
    }

    /// Makes the backends those of the roster; `join` returns the identifier of a new one. Returns the backends that were
    /// removed.
    pub(super) fn apply_roster(&mut self, mut join: impl FnMut(Backend) -> BackendId) -> Vec<BackendState> {
        let mut known = std::mem::take(&mut self.backends);
        let members = self.roster.members().map(|(address, resolved)| {
            let at = known.iter().position(|backend| backend.report.backend.address == address);
            let mut state = at.map(|at| known.swap_remove(at)).unwrap_or_else(|| {
                let backend = Backend::new(Arc::clone(&self.host.endpoint), address);
                BackendState::new(join(backend.clone()), backend)
            });
            if state.report.resolved != resolved {
                state.report = Arc::new(BackendReport { resolved, ..(*state.report).clone() });
            }
            state
        });
        self.backends = members.collect();
        known
    }

    /// Forgets which addresses are in DNS; what is known of each stays for those that are listed again.
    pub(super) fn forget_roster(&mut self) {
        self.roster = Roster::default();
        self.over_cap = 0;
        self.forget_skipped();
    }

    /// Chooses the names that may replace the server name; true if there are any. What is known of them stays.
    pub(super) fn choose_alternates(&mut self) -> bool {
        let known = std::mem::take(&mut self.alternates);
        let chosen = alternate_candidates(&self.report()).into_iter().map(|name| {
            let same = known.iter().find(|known| known.name == name).cloned();
            same.unwrap_or_else(|| AlternateName { name, resolves: Resolves::Unknown, addresses: Box::default() })
        });
        self.alternates = chosen.collect();
        !self.alternates.is_empty()
    }

    /// The chosen names.
    pub(super) fn alternates(&self) -> impl Iterator<Item = &ServerName> {
        self.alternates.iter().map(|alternate| &alternate.name)
    }

    /// Applies what the names resolve to. Those that are missing in `found` could not be looked up.
    pub(super) fn alternates_resolved(&mut self, found: &BTreeMap<ServerName, Option<Vec<IpAddr>>>) {
        let report = self.report();
        let resolved = self.alternates.iter().map(|AlternateName { name, .. }| {
            let addresses = found.get(name).and_then(Option::as_deref);
            let resolves = resolves(addresses, &report);
            AlternateName { name: name.clone(), resolves, addresses: addresses.unwrap_or_default().into() }
        });
        self.alternates = resolved.collect();
    }

    /// What readers see.
    pub(super) fn report(&self) -> EndpointReport {
        let [v4, v6] = &self.not_allowed;
        let mut skipped = BTreeMap::from([(SkipReason::Cap, self.over_cap), (SkipReason::NoRoute, self.without_route)]);
        for (reason, count) in v4.counts.iter().chain(&v6.counts) {
            *skipped.entry(*reason).or_default() += count;
        }
        EndpointReport {
            endpoint: Arc::clone(&self.host.endpoint),
            preference: self.host.preference,
            found_as: self.found_as.clone(),
            held: self.roster.held(),
            backends: self.backends.iter().map(|backend| Arc::clone(&backend.report)).collect(),
            skipped: skipped.into_iter().filter(|(_, count)| *count > 0).collect(),
            not_allowed: v4.first.iter().chain(&v6.first).copied().take(MAX_NOT_ALLOWED).collect(),
            alternates: Arc::clone(&self.alternates),
        }
    }
}

/// Addresses of one family that are not allowed.
#[derive(Debug, Default)]
struct NotAllowed {
    counts: BTreeMap<SkipReason, usize>,
    /// At most [`MAX_NOT_ALLOWED`] of them.
    first: Vec<IpAddr>,
}

impl NotAllowed {
    fn add(&mut self, reason: SkipReason, ip: IpAddr) {
        *self.counts.entry(reason).or_default() += 1;
        if self.first.len() < MAX_NOT_ALLOWED {
            self.first.push(ip);
        }
    }
}

/// IPv4 and IPv6 addresses apart.
fn by_family(not_allowed: &[(SkipReason, IpAddr)]) -> [NotAllowed; 2] {
    let mut families = [NotAllowed::default(), NotAllowed::default()];
    for (reason, ip) in not_allowed {
        families[family(*ip)].add(*reason, *ip);
    }
    families
}

/// The place of the address family in a pair.
fn family(ip: IpAddr) -> usize {
    usize::from(ip.is_ipv6())
}

/// Addresses that are not allowed, kept for each host.
const MAX_NOT_ALLOWED: usize = 10;
