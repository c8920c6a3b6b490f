//! Targets found by name and by service. The maps are built when the targets change, so that a request costs the same however
//! many targets there are.

use std::collections::HashMap;

use super::{ServerName, Target, TargetKind, TargetName};

/// The positions of targets in a list.
#[derive(Debug, Default)]
pub struct TargetIndex {
    by_name: HashMap<TargetName, usize>,
    /// The first target of each service: by its default name and, for hosts, also with its server name.
    by_service: HashMap<(TargetName, Option<ServerName>), usize>,
}

impl TargetIndex {
    /// The index of targets with different names.
    pub fn new<'a>(targets: impl IntoIterator<Item = &'a Target>) -> Self {
        let mut index = Self::default();
        for (position, target) in targets.into_iter().enumerate() {
            for service in services(target) {
                index.by_service.entry(service).or_insert(position);
            }
            index.by_name.insert(target.name.clone(), position);
        }
        index
    }

    /// The position of the target with this name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The position of the first target with the host and port, or the domain, of `kind`, whatever its addresses and its TLS
    /// mode. If `server_name` is given, a host must have this server name.
    pub fn find_service(&self, kind: &TargetKind, server_name: Option<&ServerName>) -> Option<usize> {
        self.by_service.get(&(kind.default_name()?, server_name.cloned())).copied()
    }
}

fn services(target: &Target) -> impl Iterator<Item = (TargetName, Option<ServerName>)> {
    let server_name = match &target.kind {
        TargetKind::Host(host) => Some(host.endpoint.server_name.clone()),
        TargetKind::Mx(_) | TargetKind::Submission(_) => None,
    };
    let of_any = target.kind.default_name().map(|name| (name, None));
    let of_name = of_any.clone().filter(|_| server_name.is_some()).map(|(name, _)| (name, server_name));
    of_any.into_iter().chain(of_name)
}
