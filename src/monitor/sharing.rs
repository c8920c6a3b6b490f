//! Which targets lead to the same server under the same name: one probe serves them all. Pure.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::TargetId;
use crate::target::{Backend, ClientCertificate};

/// A number for all that decides what a probe shows: address, port, mode, server name and client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(u64);

impl Key {
    pub(super) fn new(backend: &Backend, client_certificate: Option<&ClientCertificate>) -> Self {
        let mut hasher = DefaultHasher::new();
        backend.hash(&mut hasher);
        client_certificate.map(ClientCertificate::chain).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The targets of each key. Most keys have one.
#[derive(Debug, Default)]
pub(super) struct Sharing(HashMap<Key, Sharers>);

#[derive(Debug)]
enum Sharers {
    One(TargetId),
    #[expect(clippy::box_collection, reason = "there are as many entries as backends, and nearly none is of this kind")]
    Many(Box<Vec<TargetId>>),
}

impl Sharing {
    /// Notes that `target` has a backend of this key.
    pub(super) fn join(&mut self, key: Key, target: TargetId) {
        match self.0.get_mut(&key) {
            None => drop(self.0.insert(key, Sharers::One(target))),
            Some(Sharers::Many(all)) if !all.contains(&target) => all.push(target),
            Some(sharers @ Sharers::One(_)) => {
                if let Sharers::One(first) = *sharers
                    && first != target
                {
                    *sharers = Sharers::Many(Box::new(vec![first, target]));
                }
            }
            Some(Sharers::Many(_)) => {}
        }
    }

    /// Notes that `target` has none any more.
    pub(super) fn leave(&mut self, key: Key, target: TargetId) {
        match self.0.get_mut(&key) {
            Some(Sharers::One(only)) if *only == target => drop(self.0.remove(&key)),
            Some(Sharers::Many(all)) => {
                all.retain(|each| *each != target);
                if let [last] = all[..] {
                    self.0.insert(key, Sharers::One(last));
                }
            }
            Some(Sharers::One(_)) | None => {}
        }
    }

    /// All that have one, in the order in which they joined.
    pub(super) fn of(&self, key: Key) -> &[TargetId] {
        match self.0.get(&key) {
            None => &[],
            Some(Sharers::One(only)) => std::slice::from_ref(only),
            Some(Sharers::Many(all)) => all,
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::target::{Endpoint, ServerName, TlsMode};

    fn key(name: &str, port: u16, tls: TlsMode, last: u8) -> Key {
        let server_name = ServerName::parse(name).expect("a name");
        Key::new(&Backend::new(Arc::new(Endpoint { server_name, port, tls }), [192, 0, 2, last].into()), None)
    }

    #[test]
    fn targets_join_and_leave() {
        let key = key("a.example", 25, TlsMode::StartTls, 1);
        let mut sharing = Sharing::default();
        assert!(sharing.of(key).is_empty());
        for (target, expected) in [(1, &[1][..]), (1, &[1]), (2, &[1, 2]), (3, &[1, 2, 3]), (2, &[1, 2, 3])] {
            sharing.join(key, target);
            assert_eq!(sharing.of(key), expected, "{target} joins");
        }
        for (target, expected) in [(1, &[2, 3][..]), (7, &[2, 3]), (3, &[2]), (3, &[2]), (2, &[][..])] {
            sharing.leave(key, target);
            assert_eq!(sharing.of(key), expected, "{target} leaves");
        }
    }

    #[test]
    fn different_endpoints_have_different_keys() {
        use TlsMode::{Implicit, StartTls};
        let one = key("a.example", 25, StartTls, 1);
        assert_eq!(one, key("A.example.", 25, StartTls, 1));
        for other in [
            key("b.example", 25, StartTls, 1),
            key("a.example", 26, StartTls, 1),
            key("a.example", 25, Implicit, 1),
            key("a.example", 25, StartTls, 2),
        ] {
            assert_ne!(one, other);
        }
    }
}
