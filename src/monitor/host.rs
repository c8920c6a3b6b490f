//! One host of a target from round to round: which addresses it has, and the backends there. No I/O; time is an
//! argument.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::backend::BackendState;
use super::roster::{Bounds, Roster, Round};
use crate::discovery::KnownHost;
use crate::reason::{Resolves, SkipReason};
use crate::snapshot::alternates::{alternate_candidates, resolves};
use crate::snapshot::{AlternateName, BackendReport, EndpointReport};
use crate::target::ServerName;

/// One of a target's hosts, with its backends.
#[derive(Debug)]
pub(super) struct HostState {
    pub(super) host: KnownHost,
    /// Records name it, as of the last lookup that found them out.
    pub(super) named: bool,
    roster: Roster,
    pub(super) backends: Vec<BackendState>,
    pub(super) skipped: Vec<(SkipReason, usize)>,
    alternates: Arc<[AlternateName]>,
}

impl HostState {
    /// One that is not looked up yet.
    pub(super) fn new(host: KnownHost) -> Self {
        Self {
            host,
            named: true,
            roster: Roster::default(),
            backends: Vec::new(),
            skipped: Vec::new(),
            alternates: Arc::default(),
        }
    }

    /// Takes in a round's answers.
    pub(super) fn update(&mut self, round: Round<'_>, without_route: usize, bounds: Bounds, now: SystemTime) {
        let answering = |address: IpAddr| {
            let known = self.backends.iter().find(|backend| backend.report.backend.address == address);
            known.is_some_and(|backend| backend.report.is_reachable())
        };
        let over_cap = self.roster.update(round, answering, bounds, now);
        let skipped = [(SkipReason::Cap, over_cap), (SkipReason::NoRoute, without_route)];
        self.skipped = skipped.into_iter().filter(|(_, count)| *count > 0).collect();
        let mut known = std::mem::take(&mut self.backends);
        self.backends = self
            .roster
            .members()
            .map(|(address, resolved)| {
                let at = known.iter().position(|backend| backend.report.backend.address == address);
                let fresh = || BackendState::new(&self.host.endpoint, address);
                let mut state = at.map_or_else(fresh, |at| known.swap_remove(at));
                if state.report.resolved != resolved {
                    state.report = Arc::new(BackendReport { resolved, ..(*state.report).clone() });
                }
                state.reprobe_at = None;
                state.sampled = 0;
                state
            })
            .collect();
    }

    /// Forgets which addresses are named; what is known of each stays for those that are named again.
    pub(super) fn forget_roster(&mut self) {
        self.roster = Roster::default();
        self.skipped.clear();
    }

    /// Finds the names that may stand in for the server name; true where there are any. What is known of them stays.
    pub(super) fn choose_names(&mut self) -> bool {
        let known = std::mem::take(&mut self.alternates);
        let chosen = alternate_candidates(&self.report()).into_iter().map(|name| {
            let same = known.iter().find(|known| known.name == name).cloned();
            same.unwrap_or_else(|| AlternateName { name, resolves: Resolves::Unknown, addresses: Box::default() })
        });
        self.alternates = chosen.collect();
        !self.alternates.is_empty()
    }

    /// The names that were found.
    pub(super) fn names(&self) -> impl Iterator<Item = &ServerName> {
        self.alternates.iter().map(|shared| &shared.name)
    }

    /// Takes in where names lead. Those that are missing could not be looked up.
    pub(super) fn resolve_names(&mut self, found: &BTreeMap<ServerName, Option<Vec<IpAddr>>>) {
        let report = self.report();
        let told = self.alternates.iter().map(|AlternateName { name, .. }| {
            let addresses = found.get(name).and_then(Option::as_deref);
            let resolves = resolves(addresses, &report);
            AlternateName { name: name.clone(), resolves, addresses: addresses.unwrap_or_default().into() }
        });
        self.alternates = told.collect();
    }

    /// What readers see.
    pub(super) fn report(&self) -> EndpointReport {
        EndpointReport {
            endpoint: Arc::clone(&self.host.endpoint),
            preference: self.host.preference,
            backends: self.backends.iter().map(|backend| Arc::clone(&backend.report)).collect(),
            skipped: self.skipped.clone(),
            alternates: Arc::clone(&self.alternates),
        }
    }
}
