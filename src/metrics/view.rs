//! The rows of an exposition: one for each target, server name and backend, with rendered labels and with verdicts as of
//! the time of the scrape.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::SystemTime;

use super::family::{ScopeLabels, render};
use crate::snapshot::{
    AlternateName, BackendCounts, BackendReport, EndpointReport, Fleet, LastCertificate, ProbeReport, TargetReport,
};
use crate::target::{Backend, ServerName};
use crate::verdict::{Assessment, Facts};

/// The rows of a fleet, by scope.
#[derive(Default)]
pub(super) struct FleetView<'a> {
    pub(super) targets: Vec<LabeledRow<&'a TargetReport>>,
    pub(super) endpoints: Vec<LabeledRow<&'a EndpointReport>>,
    pub(super) server_names: Vec<LabeledRow<ServerNameView<'a>>>,
    pub(super) backends: Vec<LabeledRow<BackendView<'a>>>,
    /// The labels of all rows, concatenated: about forty families write them, so they are rendered once, and read in order.
    rendered: String,
}

/// A row and the range of its labels.
pub(super) struct LabeledRow<T> {
    pub(super) data: T,
    labels: LabelRange,
}

#[derive(Clone, Copy)]
struct LabelRange {
    start: usize,
    /// Length of the exporter's own labels.
    fixed: usize,
    end: usize,
}

/// Counts over the resolved backends of a server name. Endpoints with the same labels, those of one target that differ in
/// port or TLS mode, are counted together.
#[derive(Default)]
pub(super) struct ServerNameView<'a> {
    pub(super) counts: BackendCounts,
    pub(super) found_as: Option<&'a ServerName>,
    pub(super) alternates: Vec<&'a AlternateName>,
    /// Fingerprints of the certificates.
    pub(super) certificates: BTreeSet<[u8; 32]>,
    pub(super) earliest_not_after: Option<i64>,
}

/// A backend that has been probed.
pub(super) struct BackendView<'a> {
    pub(super) target: &'a TargetReport,
    pub(super) report: &'a BackendReport,
    pub(super) probe: &'a ProbeReport,
}

impl<'a> FleetView<'a> {
    pub(super) fn new(fleet: &'a Fleet, now: SystemTime) -> Self {
        let mut view = Self::default();
        for target in &fleet.targets {
            view.add_target(target, now);
        }
        view
    }

    /// Returns the labels of a row of this view.
    pub(super) fn labels<T>(&self, row: &LabeledRow<T>) -> ScopeLabels<'_> {
        let LabelRange { start, fixed, end } = row.labels;
        ScopeLabels::new(self.rendered.get(start..end).unwrap_or_default(), fixed)
    }

    /// Returns the backends with their labels.
    pub(super) fn backends(&self) -> impl Iterator<Item = (ScopeLabels<'_>, &BackendView<'a>)> {
        self.backends.iter().map(|row| (self.labels(row), &row.data))
    }

    /// Returns the verdicts on the last certificate of each backend that has one, with the labels of the backend.
    pub(super) fn assessments(&self) -> impl Iterator<Item = (ScopeLabels<'_>, &'a Assessment)> {
        self.backends().filter_map(|(labels, backend)| Some((labels, backend.assessment()?)))
    }

    fn add_target(&mut self, report: &'a TargetReport, now: SystemTime) {
        let mut user = String::new();
        for (name, value) in report.target.labels.iter() {
            render(&mut user, name, value);
        }
        let mut fixed = String::new();
        render(&mut fixed, "target", report.target.name.as_str());
        let labels = self.render(&fixed, None, &user);
        self.targets.push(LabeledRow { data: report, labels });

        let first = self.server_names.len();
        for endpoint in &report.endpoints {
            let mut fixed = fixed.clone();
            render(&mut fixed, "server_name", &endpoint.endpoint.server_name.to_string());
            let labels = self.render(&fixed, None, &user);
            self.endpoints.push(LabeledRow { data: endpoint, labels });
            for backend in &endpoint.backends {
                let Some(probe) = &backend.probe else { continue };
                let labels = self.render(&fixed, Some(&backend.backend), &user);
                let data = BackendView { target: report, report: backend, probe };
                self.backends.push(LabeledRow { data, labels });
            }
            self.count(endpoint, first, labels, now);
        }
    }

    /// Adds an endpoint to the counts of its server name. The rows of its target start at `first`.
    fn count(&mut self, endpoint: &'a EndpointReport, first: usize, labels: LabelRange, now: SystemTime) {
        let text = |range: LabelRange| self.rendered.get(range.start..range.end);
        let others = self.server_names.iter().skip(first).take_while(|row| text(row.labels) != text(labels));
        let at = first + others.count();
        if at == self.server_names.len() {
            self.server_names.push(LabeledRow { data: ServerNameView::default(), labels });
        }
        if let Some(row) = self.server_names.get_mut(at) {
            row.data.add(endpoint, now);
        }
    }

    fn render(&mut self, fixed: &str, backend: Option<&Backend>, user: &str) -> LabelRange {
        let out = &mut self.rendered;
        let start = out.len();
        out.push_str(fixed);
        if let Some(backend) = backend {
            let tls = backend.endpoint.tls.as_str();
            // Writing to a String cannot fail, and neither value needs escaping.
            let _ = write!(out, ",backend=\"{}\",tls=\"{tls}\"", backend.socket_addr());
        }
        let fixed = out.len() - start;
        if !user.is_empty() {
            out.push(',');
            out.push_str(user);
        }
        LabelRange { start, fixed, end: out.len() }
    }
}

impl<'a> BackendView<'a> {
    pub(super) fn last(&self) -> Option<&'a LastCertificate> {
        self.report.last_certificate.as_ref()
    }

    pub(super) fn assessment(&self) -> Option<&'a Assessment> {
        Some(&self.last()?.assessment)
    }

    pub(super) fn facts(&self) -> Option<&'a Facts> {
        self.assessment()?.facts()
    }
}

impl<'a> ServerNameView<'a> {
    fn add(&mut self, endpoint: &'a EndpointReport, now: SystemTime) {
        self.counts += endpoint.counts(now);
        self.found_as = self.found_as.or(endpoint.found_as.as_ref());
        for alternate in endpoint.alternates.iter() {
            // Two ports of one server name can have the same alternate name.
            if !self.alternates.iter().any(|known| known.name == alternate.name) {
                self.alternates.push(alternate);
            }
        }
        for leaf in endpoint.resolved().filter_map(|backend| backend.last_certificate.as_ref()?.assessment.leaf()) {
            self.certificates.insert(leaf.fingerprint());
            let not_after = leaf.facts().map(|facts| facts.not_after);
            self.earliest_not_after = [self.earliest_not_after, not_after].into_iter().flatten().min();
        }
    }
}
