//! The rows of an exposition: one for each target, server name and backend, with rendered labels and with verdicts as of
//! the time of the scrape.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::SystemTime;

use super::family::{ScopeLabels, render};
use crate::reason::SkipReason;
use crate::snapshot::{
    AlternateName, BackendCounts, BackendReport, EndpointReport, Fleet, LastCertificate, ProbeReport, TargetReport,
};
use crate::target::{Backend, ServerName};

/// The rows of a fleet, by scope.
#[derive(Default)]
pub(super) struct FleetView<'a> {
    pub(super) targets: Vec<LabeledRow<&'a TargetReport>>,
    pub(super) endpoints: Vec<LabeledRow<&'a EndpointReport>>,
    pub(super) server_names: Vec<LabeledRow<ServerNameView<'a>>>,
    pub(super) backends: Vec<LabeledRow<BackendView<'a>>>,
    /// The labels of all rows, concatenated.
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
    fixed_end: usize,
    user_start: usize,
    end: usize,
}

/// Counts over the resolved backends of a server name. Endpoints of one target that differ only in port are counted
/// together, since their labels are equal.
pub(super) struct ServerNameView<'a> {
    name: &'a ServerName,
    pub(super) counts: BackendCounts,
    pub(super) skipped: Vec<(SkipReason, usize)>,
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
        let LabelRange { start, fixed_end, user_start, end } = row.labels;
        let piece = |from, to| self.rendered.get(from..to).unwrap_or_default();
        ScopeLabels { all: piece(start, end), fixed: piece(start, fixed_end), user: piece(user_start, end) }
    }

    /// Returns the last certificate of each backend that has one, with the labels of the backend.
    pub(super) fn certificates(&self) -> impl Iterator<Item = (ScopeLabels<'_>, &'a LastCertificate)> {
        self.backends.iter().filter_map(|row| Some((self.labels(row), row.data.report.last_certificate.as_ref()?)))
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
        let name = &endpoint.endpoint.server_name;
        match self.server_names.iter_mut().skip(first).find(|row| row.data.name == name) {
            Some(row) => row.data.add(endpoint, now),
            None => {
                let mut data = ServerNameView::new(name);
                data.add(endpoint, now);
                self.server_names.push(LabeledRow { data, labels });
            }
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
        let fixed_end = out.len();
        if !user.is_empty() {
            out.push(',');
        }
        let user_start = out.len();
        out.push_str(user);
        LabelRange { start, fixed_end, user_start, end: out.len() }
    }
}

impl<'a> ServerNameView<'a> {
    fn new(name: &'a ServerName) -> Self {
        Self {
            name,
            counts: BackendCounts::default(),
            skipped: Vec::new(),
            alternates: Vec::new(),
            certificates: BTreeSet::new(),
            earliest_not_after: None,
        }
    }

    fn add(&mut self, endpoint: &'a EndpointReport, now: SystemTime) {
        self.counts += endpoint.counts(now);
        for (reason, count) in &endpoint.skipped {
            match self.skipped.iter_mut().find(|(other, _)| other == reason) {
                Some((_, sum)) => *sum += count,
                None => self.skipped.push((*reason, *count)),
            }
        }
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
