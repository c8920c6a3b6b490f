//! The published reports, found by name and by service.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::snapshot::TargetReport;
use crate::target::{ServerName, TargetIndex, TargetKind};

#[derive(Debug, Default)]
pub(super) struct Reports {
    /// One slot for each target, in the order of the configuration.
    slots: Box<[Mutex<Arc<TargetReport>>]>,
    index: TargetIndex,
}

impl Reports {
    pub(super) fn new(reports: impl IntoIterator<Item = TargetReport>) -> Self {
        let reports: Vec<_> = reports.into_iter().collect();
        let index = TargetIndex::new(reports.iter().map(|report| &*report.target));
        Self { slots: reports.into_iter().map(|report| Mutex::new(Arc::new(report))).collect(), index }
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
        self.get(self.index.find(name)?)
    }

    pub(super) fn find_service(
        &self,
        kind: &TargetKind,
        server_name: Option<&ServerName>,
    ) -> Option<Arc<TargetReport>> {
        self.get(self.index.find_service(kind, server_name)?)
    }
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
