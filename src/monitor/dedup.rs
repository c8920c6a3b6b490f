//! Backends by identity: equal backends of several targets share one probe. Pure.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use slotmap::{SlotMap, new_key_type};

use super::TargetId;
use crate::target::{Backend, ClientCertificate};

new_key_type! {
    /// A backend that targets have, or that is being probed. Never reused for another one.
    pub(super) struct BackendId;
}

/// Everything that decides what a probe observes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProbeKey {
    pub(super) backend: Backend,
    pub(super) client_certificate: Option<Arc<ClientCertificate>>,
}

/// The backends of all targets.
#[derive(Debug, Default)]
pub(super) struct ProbeDedup {
    entries: SlotMap<BackendId, Entry>,
    ids: HashTable<BackendId>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Entry {
    key: ProbeKey,
    owners: Owners,
    /// The targets that wait for the probe that is queued or running; none if there is no such probe.
    #[expect(clippy::box_collection, reason = "few backends have a pending probe at one time")]
    waiters: Option<Box<Vec<TargetId>>>,
}

/// The targets that have a backend. Nearly always one.
#[derive(Debug)]
enum Owners {
    None,
    One(TargetId),
    #[expect(clippy::box_collection, reason = "there are as many entries as backends, and nearly none is of this kind")]
    Many(Box<Vec<TargetId>>),
}

impl ProbeDedup {
    /// The backend with this key, which `target` has from now on.
    pub(super) fn join(&mut self, key: ProbeKey, target: TargetId) -> BackendId {
        let Self { entries, ids, hasher } = self;
        let hash = hasher.hash_one(&key);
        let known = ids.find(hash, |id| entries.get(*id).is_some_and(|entry| entry.key == key)).copied();
        let id = known.unwrap_or_else(|| {
            let id = entries.insert(Entry { key, owners: Owners::None, waiters: None });
            let rehash = |id: &BackendId| entries.get(*id).map_or(0, |entry| hasher.hash_one(&entry.key));
            ids.insert_unique(hash, id, rehash);
            id
        });
        if let Some(entry) = entries.get_mut(id) {
            entry.owners.add(target);
        }
        id
    }

    /// `target` no longer has the backend.
    pub(super) fn leave(&mut self, id: BackendId, target: TargetId) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.owners.remove(target);
        }
        self.remove_unused(id);
    }

    /// The targets that have the backend.
    pub(super) fn owners(&self, id: BackendId) -> &[TargetId] {
        match self.entries.get(id).map(|entry| &entry.owners) {
            None | Some(Owners::None) => &[],
            Some(Owners::One(only)) => std::slice::from_ref(only),
            Some(Owners::Many(all)) => all,
        }
    }

    /// Endpoint and address.
    pub(super) fn backend(&self, id: BackendId) -> Option<&Backend> {
        self.entries.get(id).map(|entry| &entry.key.backend)
    }

    /// Adds a target that waits for a probe of the backend; true if none was pending, so that one must be queued.
    pub(super) fn wait(&mut self, id: BackendId, waiter: TargetId) -> bool {
        let Some(entry) = self.entries.get_mut(id) else { return false };
        let is_new = entry.waiters.is_none();
        entry.waiters.get_or_insert_default().push(waiter);
        is_new
    }

    /// The targets that wait for the pending probe.
    pub(super) fn waiters(&self, id: BackendId) -> &[TargetId] {
        self.entries.get(id).and_then(|entry| entry.waiters.as_deref()).map(Vec::as_slice).unwrap_or_default()
    }

    /// A target no longer waits for the pending probe; true if nothing waits for it any more.
    pub(super) fn stop_waiting(&mut self, id: BackendId, waiter: TargetId) -> bool {
        let Some(waiters) = self.entries.get_mut(id).and_then(|entry| entry.waiters.as_mut()) else { return false };
        waiters.retain(|each| *each != waiter);
        waiters.is_empty()
    }

    /// The probe has ended, or is not made: returns those that waited for it.
    pub(super) fn probe_ended(&mut self, id: BackendId) -> Vec<TargetId> {
        let waiters = self.entries.get_mut(id).and_then(|entry| entry.waiters.take());
        self.remove_unused(id);
        waiters.map(|waiters| *waiters).unwrap_or_default()
    }

    /// Number of backends.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn remove_unused(&mut self, id: BackendId) {
        let is_unused = |entry: &Entry| matches!(entry.owners, Owners::None) && entry.waiters.is_none();
        if !self.entries.get(id).is_some_and(is_unused) {
            return;
        }
        if let Some(entry) = self.entries.remove(id) {
            let found = self.ids.find_entry(self.hasher.hash_one(&entry.key), |each| *each == id);
            found.map(hashbrown::hash_table::OccupiedEntry::remove).ok();
        }
    }
}

impl Owners {
    fn add(&mut self, target: TargetId) {
        match self {
            Self::None => *self = Self::One(target),
            Self::One(first) if *first != target => *self = Self::Many(Box::new(vec![*first, target])),
            Self::Many(all) if !all.contains(&target) => all.push(target),
            Self::One(_) | Self::Many(_) => {}
        }
    }

    fn remove(&mut self, target: TargetId) {
        match self {
            Self::One(only) if *only == target => *self = Self::None,
            Self::Many(all) => {
                all.retain(|each| *each != target);
                if let [last] = all[..] {
                    *self = Self::One(last);
                }
            }
            Self::None | Self::One(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use slotmap::KeyData;

    use super::*;
    use crate::target::{Endpoint, ServerName, TlsMode};

    fn key(name: &str, port: u16, tls: TlsMode, last: u8) -> ProbeKey {
        let server_name = ServerName::parse(name).expect("a name");
        let backend = Backend::new(Arc::new(Endpoint { server_name, port, tls }), [192, 0, 2, last].into());
        ProbeKey { backend, client_certificate: None }
    }

    fn target(number: u64) -> TargetId {
        KeyData::from_ffi(1 << 32 | number).into()
    }

    #[test]
    fn targets_join_and_leave() {
        let key = || key("a.example", 25, TlsMode::StartTls, 1);
        let mut dedup = ProbeDedup::default();
        let id = dedup.join(key(), target(1));
        for (joins, expected) in [(1, &[1][..]), (2, &[1, 2]), (3, &[1, 2, 3]), (2, &[1, 2, 3])] {
            assert_eq!(dedup.join(key(), target(joins)), id);
            assert_eq!(dedup.owners(id), expected.iter().copied().map(target).collect::<Vec<_>>(), "{joins} joins");
        }
        for (leaves, expected) in [(1, &[2, 3][..]), (7, &[2, 3]), (3, &[2]), (3, &[2]), (2, &[][..])] {
            dedup.leave(id, target(leaves));
            assert_eq!(dedup.owners(id), expected.iter().copied().map(target).collect::<Vec<_>>(), "{leaves} leaves");
        }
        assert!(dedup.entries.is_empty() && dedup.ids.is_empty());
        assert_ne!(dedup.join(key(), target(1)), id, "an identifier is not used again");
    }

    #[test]
    fn a_pending_probe_keeps_its_backend() {
        let mut dedup = ProbeDedup::default();
        let id = dedup.join(key("a.example", 25, TlsMode::StartTls, 1), target(1));
        assert!(dedup.wait(id, target(1)), "none was pending");
        assert!(!dedup.wait(id, target(2)), "one is pending");
        dedup.leave(id, target(1));
        assert!(dedup.backend(id).is_some() && dedup.owners(id).is_empty());
        assert_eq!(dedup.waiters(id), [target(1), target(2)]);
        assert_eq!([1, 1, 2].map(|gone| dedup.stop_waiting(id, target(gone))), [false, false, true]);
        assert!(dedup.backend(id).is_some() && !dedup.wait(id, target(3)), "the probe is still pending");
        assert_eq!(dedup.probe_ended(id), [target(3)]);
        assert!(!dedup.stop_waiting(id, target(3)));
        assert!(dedup.backend(id).is_none() && dedup.entries.is_empty() && dedup.ids.is_empty());
    }

    #[test]
    fn different_endpoints_are_different_backends() {
        use TlsMode::{Implicit, StartTls};
        let mut dedup = ProbeDedup::default();
        let mut join = |key| dedup.join(key, target(1));
        let one = join(key("a.example", 25, StartTls, 1));
        assert_eq!(one, join(key("A.example.", 25, StartTls, 1)));
        for other in [
            key("b.example", 25, StartTls, 1),
            key("a.example", 26, StartTls, 1),
            key("a.example", 25, Implicit, 1),
            key("a.example", 25, StartTls, 2),
        ] {
            assert_ne!(one, join(other));
        }
    }
}
