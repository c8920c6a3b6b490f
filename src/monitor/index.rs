//! The published reports, found by name and by service. The maps are built when the targets change, so that a request costs
//! the same however many targets there are.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::snapshot::TargetReport;
use crate::target::{ServerName, Target, TargetKind, TargetName};

/// One slot for each target, in the order of the configuration.
#[derive(Debug, Default)]
pub(super) struct Reports {
    slots: Box<[Mutex<Arc<TargetReport>>]>,
    by_name: HashMap<TargetName, usize>,
    /// The first target of each service: by its default name and, for hosts, also with its server name.
    by_service: HashMap<(TargetName, Option<ServerName>), usize>,
}

impl Reports {
    pub(super) fn new(reports: impl IntoIterator<Item = TargetReport>) -> Self {
        let slots: Box<[_]> = reports.into_iter().map(|report| Mutex::new(Arc::new(report))).collect();
        let (mut by_name, mut by_service) = (HashMap::new(), HashMap::new());
        for (slot, report) in slots.iter().enumerate() {
            let target = Arc::clone(&report.lock().target);
            for service in services(&target) {
                by_service.entry(service).or_insert(slot);
            }
            by_name.insert(target.name.clone(), slot);
        }
        Self { slots, by_name, by_service }
    }

    pub(super) fn all(&self) -> Vec<Arc<TargetReport>> {
        self.slots.iter().map(|slot| Arc::clone(&slot.lock())).collect()
    }

    pub(super) fn get(&self, slot: usize) -> Option<Arc<TargetReport>> {
        self.slots.get(slot).map(|slot| Arc::clone(&slot.lock()))
    }

    /// Replaces the report on a target that stays the same.
    pub(super) fn replace(&self, slot: usize, report: Arc<TargetReport>) {
        if let Some(slot) = self.slots.get(slot) {
            *slot.lock() = report;
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<TargetReport>> {
        self.get(*self.by_name.get(name)?)
    }

    pub(super) fn find_service(
        &self,
        kind: &TargetKind,
        server_name: Option<&ServerName>,
    ) -> Option<Arc<TargetReport>> {
        self.get(*self.by_service.get(&(kind.default_name()?, server_name.cloned()))?)
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::target_state::{Origin, TargetState};
    use super::*;
    use crate::config::Config;

    const TARGETS: &str = "
        defaults: {trust: mozilla}
        targets:
        - {host: a.test, name: plain}
        - {host: a.test, name: again}
        - {host: b.test, port: 2525, name: pinned, addresses: [192.0.2.1], server_name: Mail.b.test, tls: implicit}
        - {host: b.test, port: 2525, name: second, server_name: other.b.test}
        - {host: '2001:db8::1', name: literal, server_name: c.test}
        - {host: c.test., port: 465, name: c.test}
        - {mx: d.test, port: 2525, name: inbound}
        - {submission: d.test, name: outbound}
        - {host: e.test, name: 'a.test:25'}";

    fn reports() -> Reports {
        let config = Config::parse(TARGETS, Path::new("config.yaml")).expect("a config");
        Reports::new(config.targets.into_iter().map(|target| TargetState::new(target, Origin::default()).report()))
    }

    #[test]
    fn finds_targets_by_service() {
        let reports = reports();
        let check = |text: &str, server_name: Option<&str>, expected: Option<&str>| {
            let kind: TargetKind = text.parse().expect("a target");
            let server_name = server_name.map(|name| ServerName::parse(name).expect("a name"));
            let found = reports.find_service(&kind, server_name.as_ref());
            let found = found.as_ref().map(|report| report.target.name.as_str());
            assert_eq!(found, expected, "{text} with {server_name:?}");
        };
        // Of several ones, the first.
        check("a.test", None, Some("plain"));
        check("A.test.:587", None, Some("plain"));
        check("a.test:26", None, None);
        check("a.test", Some("a.test"), Some("plain"));
        check("a.test", Some("x.test"), None);
        // Addresses, server name and TLS mode of its own.
        check("b.test:2525", None, Some("pinned"));
        check("b.test:2525", Some("mail.b.test"), Some("pinned"));
        check("b.test:2525", Some("other.b.test"), Some("second"));
        check("b.test:2525", Some("b.test"), None);
        check("b.test", None, None);
        check("[2001:db8:0::1]:587", None, Some("literal"));
        check("c.test:465", None, Some("c.test"));
        check("c.test", None, None);
        check("mx:d.test", None, Some("inbound"));
        check("submission:d.test", None, Some("outbound"));
        check("mx:a.test", None, None);
        check("e.test", None, Some("a.test:25"));
    }

    #[test]
    fn finds_targets_by_name() {
        let reports = reports();
        for (slot, report) in reports.all().iter().enumerate() {
            let found = reports.find(report.target.name.as_str()).expect("a report");
            assert!(Arc::ptr_eq(&found, report));
            let successor = Arc::new(TargetReport::clone(report));
            reports.replace(slot, Arc::clone(&successor));
            let found = reports.find(report.target.name.as_str()).expect("a report");
            assert!(Arc::ptr_eq(&found, &successor));
        }
        for unknown in ["", "Plain", "b.test:2525", "mx:d.test"] {
            assert!(reports.find(unknown).is_none(), "{unknown}");
        }
    }
}
