//! The targets: which are configured or probed once, and which backends they have.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use slotmap::SlotMap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::dedup::{BackendId, ProbeDedup};
use super::once::{OneOffError, OneOffReport, OneOffRequest};
use super::published::Published;
use super::target_state::{AdHoc, Origin, TargetChange, TargetState};
use super::worker::{Party, Worker};
use super::{Clock, TargetId};
use crate::config::OneOffs;
use crate::discovery::Discovered;
use crate::net::{ClientAddress, Shares};
use crate::target::{AllowedAddresses, NotAllowed, ProbeAccess, Target, TargetKind, TargetName, UserLabels};
use crate::trust::TrustStore;

/// All targets, their trust stores, and where their reports are published.
pub(super) struct Targets {
    clock: Clock,
    pub(super) published: Arc<Published>,
    trust_stores: BTreeMap<Arc<str>, TrustStore>,
    pub(super) one_offs: Option<Arc<OneOffs>>,
    states: SlotMap<TargetId, TargetState>,
    /// The configured targets.
    by_name: HashMap<TargetName, TargetId>,
    /// Those that are probed once.
    ad_hoc: Vec<TargetId>,
    /// Requests that wait for one of [`MAX_ONE_OFFS`] places, in the order of arrival.
    pub(super) one_off_requests: Shares<u64, OneOffRequest>,
    pub(super) dedup: ProbeDedup,
    /// Backends whose last chain lacks an issuer that is not known.
    lacking_issuer: HashSet<(TargetId, BackendId)>,
}

/// A configured target, and what its entry means for it.
#[derive(Debug)]
pub(super) struct Installed {
    pub(super) id: TargetId,
    /// None if it is new.
    pub(super) change: Option<TargetChange>,
    /// The verdicts on its certificates have to be renewed.
    pub(super) is_outdated: bool,
}

impl Targets {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            published: Arc::new(Published::new()),
            trust_stores: BTreeMap::new(),
            one_offs: None,
            states: SlotMap::with_key(),
            by_name: HashMap::new(),
            ad_hoc: Vec::new(),
            one_off_requests: Shares::default(),
            dedup: ProbeDedup::default(),
            lacking_issuer: HashSet::new(),
        }
    }

    pub(super) fn get(&self, id: TargetId) -> Option<&TargetState> {
        self.states.get(id)
    }

    pub(super) fn get_mut(&mut self, id: TargetId) -> Option<&mut TargetState> {
        self.states.get_mut(id)
    }

    /// The configured target with this name.
    pub(super) fn named(&self, name: &TargetName) -> Option<TargetId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn backends_of(&self, id: TargetId) -> Vec<BackendId> {
        let state = self.states.get(id);
        state.map(|state| state.backends().map(|backend| backend.id).collect()).unwrap_or_default()
    }

    /// Makes `targets` the configured ones; without `is_complete`, a part of the configuration could not be loaded. What is known of those that stay is kept.
    pub(super) fn install(
        &mut self,
        targets: Vec<Arc<Target>>,
        trust_stores: BTreeMap<Arc<str>, TrustStore>,
        is_complete: bool,
    ) -> Vec<Installed> {
        let old_stores = std::mem::replace(&mut self.trust_stores, trust_stores);
        let longest = targets.iter().map(|target| target.settings.timeout).max().unwrap_or_default();
        let mut before = std::mem::take(&mut self.by_name);
        let mut all = Vec::with_capacity(targets.len());
        for (slot, target) in targets.into_iter().enumerate() {
            let (name, store) = (target.name.clone(), Arc::clone(&target.settings.trust));
            let (id, change) = match before.remove(&name) {
                Some(id) => self.retarget(id, slot, target),
                None => {
                    let origin = Origin::Configured { slot, waiters: Vec::new() };
                    (self.states.insert(TargetState::new(target, origin)), None)
                }
            };
            let roots_changed = old_stores.get(&store) != self.trust_stores.get(&store);
            self.by_name.insert(name, id);
            all.push(Installed { id, change, is_outdated: roots_changed || change != Some(TargetChange::Labels) });
        }
        before.into_values().for_each(|id| self.remove(id));
        self.published.replace_all(all.iter().filter_map(|target| Some(self.states.get(target.id)?.report())));
        let anchors = self.trust_stores.iter().map(|(name, store)| (Arc::clone(name), store.roots().len()));
        let loaded_at = is_complete.then(|| (self.clock)());
        self.published.set_config(loaded_at, anchors.collect(), longest);
        all
    }

    /// Applies a configuration entry to the target with its name. With other settings, the target gets another identifier, so
    /// that results on the way are void.
    fn retarget(&mut self, id: TargetId, slot: usize, target: Arc<Target>) -> (TargetId, Option<TargetChange>) {
        let Some(state) = self.states.get_mut(id) else { return (id, None) };
        if let Origin::Configured { slot: old, .. } = &mut state.origin {
            *old = slot;
        }
        let backends: Vec<BackendId> = state.backends().map(|backend| backend.id).collect();
        let change = state.retarget(target);
        if change == TargetChange::Labels {
            return (id, Some(change));
        }
        let Some(mut state) = self.states.remove(id) else { return (id, None) };
        let Self { states, dedup, .. } = self;
        let later = states.insert_with_key(|later| {
            state.rejoin(|key| dedup.join(key, later));
            state
        });
        backends.into_iter().for_each(|backend| self.leave(id, backend));
        (later, Some(change))
    }

    fn remove(&mut self, id: TargetId) {
        if let Some(state) = self.states.remove(id) {
            state.backends().for_each(|backend| self.leave(id, backend.id));
        }
    }

    fn leave(&mut self, id: TargetId, backend: BackendId) {
        self.dedup.leave(backend, id);
        self.lacking_issuer.remove(&(id, backend));
    }

    /// Which requests are accepted from now on.
    pub(super) fn set_one_offs(&mut self, access: ProbeAccess, one_offs: Option<OneOffs>) {
        self.one_offs = one_offs.map(Arc::new);
        self.published.set_probe_access(access, self.one_offs.clone());
    }

    /// What the configuration permits of a one-off round of this target.
    pub(super) fn one_off_rules(&self, kind: &TargetKind) -> Result<(&OneOffs, AllowedAddresses), OneOffError> {
        let Some(rules) = &self.one_offs else {
            return Err(OneOffError::NotAllowed(NotAllowed::Nothing));
        };
        let allowed = rules.allow.permit(kind);
        allowed.map(|allowed| (&**rules, allowed)).map_err(OneOffError::NotAllowed)
    }

    /// The one-off round of this target, if it is in progress.
    pub(super) fn one_off_of(&self, kind: &TargetKind) -> Option<TargetId> {
        let is_same = |id: &&TargetId| self.states.get(**id).is_some_and(|state| state.target.kind == *kind);
        self.ad_hoc.iter().find(is_same).copied()
    }

    /// The number of one-off rounds in progress.
    pub(super) fn one_off_count(&self) -> usize {
        self.ad_hoc.len()
    }

    /// Adds a target that is probed once, which takes a place of the client.
    pub(super) fn add_one_off(
        &mut self,
        kind: TargetKind,
        client: ClientAddress,
        worker: &Arc<Worker>,
    ) -> Result<TargetId, OneOffError> {
        let (rules, allowed) = self.one_off_rules(&kind)?;
        let settings = Arc::clone(&rules.settings);
        let trust = self.trust_stores.get(&settings.trust).cloned().ok_or(OneOffError::Ended)?;
        let name = kind.default_name().ok_or(OneOffError::NotAllowed(NotAllowed::Target))?;
        let target = Arc::new(Target { name, kind, labels: UserLabels::default(), settings });
        let report = Arc::new(TargetState::new(Arc::clone(&target), Origin::default()).report());
        let origin = AdHoc {
            allowed,
            worker: Arc::clone(worker),
            trust,
            refused: 0,
            reports: watch::Sender::new(OneOffReport { target: report, refused: 0, ended: false }),
            started_by: client,
            clients: Vec::new(),
            cancel: CancellationToken::new(),
        };
        let id = self.states.insert(TargetState::new(target, Origin::AdHoc(Box::new(origin))));
        self.ad_hoc.push(id);
        self.one_off_requests.hold(client);
        Ok(id)
    }

    /// Removes a target that is probed once, and frees its place.
    pub(super) fn remove_one_off(&mut self, id: TargetId) {
        if let Some(Origin::AdHoc(origin)) = self.states.get(id).map(|state| &state.origin) {
            self.one_off_requests.release(origin.started_by);
            self.ad_hoc.retain(|each| *each != id);
            self.remove(id);
        }
    }

    /// The clients that wait for the pending probe of a backend through one-off rounds, each once.
    pub(super) fn clients_of(&self, backend: BackendId) -> Vec<ClientAddress> {
        let waiters = self.dedup.waiters(backend).iter().filter_map(|target| self.states.get(*target));
        let clients = waiters.filter_map(|state| match &state.origin {
            Origin::AdHoc(origin) => Some(&origin.clients),
            Origin::Configured { .. } => None,
        });
        let clients: BTreeSet<_> = clients.flatten().copied().collect();
        clients.into_iter().collect()
    }

    /// Applies a lookup; returns the backends that are new.
    pub(super) fn discovered(&mut self, id: TargetId, found: Discovered, cap: usize, now: Instant) -> Vec<BackendId> {
        let at = (self.clock)();
        let Self { states, dedup, .. } = self;
        let Some(state) = states.get_mut(id) else { return Vec::new() };
        let change = state.discovered(Some(found), cap, (now, at), |key| dedup.join(key, id));
        let members: HashSet<BackendId> = state.backends().map(|backend| backend.id).collect();
        state.phase.looked_up(|backend| members.contains(&backend), &change.added);
        change.removed.into_iter().for_each(|backend| self.leave(id, backend));
        change.added
    }

    /// Whether a backend is probed in a round of a target: unless its server limits the rate, or another target probes it.
    pub(super) fn is_probed(&self, id: TargetId, backend: BackendId, is_requested: bool, now: Instant) -> bool {
        let state = self.states.get(id).and_then(|state| state.backend(backend));
        let may_be_probed = state.is_some_and(|backend| !backend.is_backing_off(now));
        may_be_probed && (is_requested || !self.is_served_by_another(id, backend))
    }

    /// Whether another target keeps the report of this backend current: the one that probes it most often, as long as it does.
    fn is_served_by_another(&self, id: TargetId, backend: BackendId) -> bool {
        let owners = self.dedup.owners(backend);
        let Some(state) = self.states.get(id).filter(|_| owners.len() > 1) else { return false };
        let last = state.backend(backend).and_then(|backend| backend.report.probe.as_ref());
        let Some(age) = last.map(|probe| (self.clock)().duration_since(probe.at).unwrap_or_default()) else {
            return false;
        };
        let pace = state.target.settings.pace();
        let mut others = owners.iter().filter_map(|other| Some((*other, self.states.get(*other)?)));
        others.any(|(other, theirs)| {
            let settings = &theirs.target.settings;
            let is_more_often = (settings.pace(), other) < (pace, id);
            is_more_often && !theirs.is_ad_hoc() && age <= settings.pace() * 2 + settings.timeout
        })
    }

    /// All configured targets that have the backend, the one that probes it most often first: its settings apply. If only
    /// one-off rounds request the probe, it is theirs alone.
    pub(super) fn parties(&self, id: BackendId) -> Vec<Party> {
        let waiters: Vec<_> =
            self.dedup.waiters(id).iter().filter_map(|target| Some((*target, self.states.get(*target)?))).collect();
        let is_shared = waiters.iter().any(|(_, state)| !state.is_ad_hoc());
        let owners = if is_shared { self.dedup.owners(id) } else { &[] };
        let owners = owners.iter().filter_map(|target| Some((*target, self.states.get(*target)?)));
        let mut all: Vec<_> = owners.filter(|(_, state)| !state.is_ad_hoc()).collect();
        all.sort_by_key(|(target, state)| (state.target.settings.pace(), *target));
        all.extend(waiters.into_iter().filter(|(_, state)| state.is_ad_hoc()));
        let party = |(target, state): (TargetId, &TargetState)| {
            let last = state.backend(id)?.report.last_certificate.as_ref();
            let known = last.map(|last| Arc::clone(&last.assessment.chain));
            Some(Party { id: target, target: Arc::clone(&state.target), trust: self.trust(state)?.clone(), known })
        };
        all.into_iter().filter_map(party).collect()
    }

    /// Ends the round of a target: its report is published as complete, and those who wait get it.
    pub(super) fn end_round(&mut self, id: TargetId) {
        let at = (self.clock)();
        if let Some(state) = self.states.get_mut(id) {
            state.end_round(Instant::now(), at);
            self.publish(id, true);
        }
    }

    /// Publishes what is known of a target.
    pub(super) fn publish(&mut self, id: TargetId, ended: bool) {
        let Some(state) = self.states.get_mut(id) else { return };
        let report = state.report();
        match &mut state.origin {
            Origin::Configured { slot, waiters } => {
                let report = self.published.publish(*slot, report);
                if ended {
                    // A client that has disconnected is not an error.
                    waiters.drain(..).for_each(|waiter| drop(waiter.send(Arc::clone(&report))));
                }
            }
            Origin::AdHoc(origin) => {
                let target = Arc::new(report);
                origin.reports.send_replace(OneOffReport { target, refused: origin.refused, ended });
                if ended {
                    self.remove_one_off(id);
                }
            }
        }
    }

    pub(super) fn trust<'a>(&'a self, state: &'a TargetState) -> Option<&'a TrustStore> {
        match &state.origin {
            Origin::AdHoc(origin) => Some(&origin.trust),
            Origin::Configured { .. } => self.trust_stores.get(&state.target.settings.trust),
        }
    }

    /// Records whether the last chain of a backend lacks an issuer that is not known.
    pub(super) fn set_lacking(&mut self, id: TargetId, backend: BackendId, lacks_issuer: bool) {
        if lacks_issuer {
            self.lacking_issuer.insert((id, backend));
        } else {
            self.lacking_issuer.remove(&(id, backend));
        }
    }

    /// The backends whose last chain lacks an issuer.
    pub(super) fn lacking_issuer(&self) -> Vec<(TargetId, BackendId)> {
        self.lacking_issuer.iter().copied().collect()
    }

    /// The sizes of all collections that hold state.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 4] {
        [self.states.len(), self.by_name.len(), self.ad_hoc.len(), self.lacking_issuer.len()]
    }
}

/// Concurrent one-off rounds.
pub(super) const MAX_ONE_OFFS: usize = 32;
