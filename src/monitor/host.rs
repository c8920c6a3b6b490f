//! One host of a target from round to round: which addresses it has, and the backends there. No I/O; time is an
//! argument.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::backend::BackendState;
use super::dedup::BackendId;
use super::roster::Roster;
use crate::discovery::KnownHost;
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
    /// Number of addresses that the last lookup found and that are not probed for other reasons.
    skipped: Vec<(SkipReason, usize)>,
    /// Some of those that are not allowed.
    not_allowed: Arc<[IpAddr]>,
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
            skipped: Vec::new(),
            not_allowed: Arc::default(),
            alternates: Arc::default(),
        }
    }

    /// Whether the backend at `address` answered the last probe.
    pub(super) fn is_answering(&self, address: IpAddr) -> bool {
        let known = self.backends.iter().find(|backend| backend.report.backend.address == address);
        known.is_some_and(|backend| backend.report.is_reachable())
    }

    /// Sets which addresses the last lookup found that are not probed, apart from those beyond the cap.
    pub(super) fn set_skipped(&mut self, without_route: usize, not_allowed: &[(SkipReason, IpAddr)]) {
        self.skipped = skipped(without_route, not_allowed);
        self.not_allowed = not_allowed.iter().map(|(_, ip)| *ip).take(MAX_NOT_ALLOWED).collect();
    }

    /// Number of addresses that the last lookup found and to which this host has no route.
    pub(super) fn without_route(&self) -> usize {
        self.skipped.iter().filter(|(reason, _)| *reason == SkipReason::NoRoute).map(|(_, count)| count).sum()
    }

    /// Whether `not_allowed` is what the last lookup found.
    pub(super) fn skips_as_before(&self, not_allowed: &[(SkipReason, IpAddr)]) -> bool {
        let refusals = self.skipped.iter().copied().filter(|(reason, _)| reason.is_not_allowed());
        refusals.eq(skipped(0, not_allowed))
    }

    /// Ends the backends to which `check` does not allow connections any more.
    pub(super) fn drop_not_allowed(&mut self, check: impl Fn(SocketAddr) -> Result<(), SkipReason>) {
        let check = |ip: IpAddr| check(SocketAddr::new(ip, self.host.endpoint.port));
        let removed = self.roster.remove(|ip| check(ip).is_err());
        self.backends.retain(|backend| check(backend.report.backend.address).is_ok());
        let removed: Vec<_> = removed.into_iter().filter_map(|ip| Some((check(ip).err()?, ip))).collect();
        for (reason, count) in skipped(0, &removed) {
            match self.skipped.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, sum)) => *sum += count,
                None => self.skipped.push((reason, count)),
            }
        }
        let added = removed.iter().map(|(_, ip)| *ip);
        self.not_allowed = self.not_allowed.iter().copied().chain(added).take(MAX_NOT_ALLOWED).collect();
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
        self.set_skipped(0, &[]);
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
        let over_cap = Some((SkipReason::Cap, self.over_cap)).filter(|(_, count)| *count > 0);
        EndpointReport {
            endpoint: Arc::clone(&self.host.endpoint),
            preference: self.host.preference,
            found_as: self.found_as.clone(),
            held: self.roster.held(),
            backends: self.backends.iter().map(|backend| Arc::clone(&backend.report)).collect(),
            skipped: over_cap.into_iter().chain(self.skipped.iter().copied()).collect(),
            not_allowed: Arc::clone(&self.not_allowed),
            alternates: Arc::clone(&self.alternates),
        }
    }
}

/// The number of addresses by reason, those without any left out.
fn skipped(without_route: usize, not_allowed: &[(SkipReason, IpAddr)]) -> Vec<(SkipReason, usize)> {
    let refused = |reason| (reason, not_allowed.iter().filter(|(other, _)| *other == reason).count());
    let all = [
        (SkipReason::NoRoute, without_route),
        refused(SkipReason::AddressNotAllowed),
        refused(SkipReason::PortNotAllowed),
    ];
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// Addresses that are not allowed, kept for each host.
const MAX_NOT_ALLOWED: usize = 10;
