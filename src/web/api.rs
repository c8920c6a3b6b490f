//! Targets as JSON, and the chains of their backends as PEM. Errors are JSON: `{"error": "…"}`.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::vec;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{FleetSource, JSON};
use crate::snapshot::{BackendReport, ShardReport, TargetReport};
use crate::target::{Backend, ServerName, Target, TargetName};
use crate::text::{file_name, list, printable};

/// The reports on all targets. It keeps none of them, so that a slow client keeps no report that has been replaced:
/// such a report is skipped in favor of its successor.
pub(super) struct Reports {
    source: Arc<dyn FleetSource>,
    rest: vec::IntoIter<(Arc<Target>, Weak<TargetReport>)>,
}

impl Reports {
    pub(super) fn new(source: Arc<dyn FleetSource>) -> Self {
        let reports = source.fleet().targets;
        let rest: Vec<_> = reports.iter().map(|report| (Arc::clone(&report.target), Arc::downgrade(report))).collect();
        Self { source, rest: rest.into_iter() }
    }
}

impl Iterator for Reports {
    type Item = Arc<TargetReport>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (target, report) = self.rest.next()?;
            if let Some(report) = report.upgrade() {
                return Some(report);
            }
            let current = self.source.fleet().targets;
            let mut current: HashMap<&TargetName, &Arc<TargetReport>> =
                current.iter().map(|report| (&report.target.name, report)).collect();
            let report = current.remove(&target.name).cloned();
            // Targets that a reload has removed are left out.
            let rest = self.rest.by_ref().filter_map(|(target, _)| {
                let report = Arc::downgrade(current.get(&target.name)?);
                Some((target, report))
            });
            self.rest = rest.collect::<Vec<_>>().into_iter();
            if report.is_some() {
                return report;
            }
        }
    }
}

/// The backend with this label whose chain is requested. The parameters `server_name` and `tls` of `query` select one of
/// several backends with the same address and port.
///
/// # Errors
/// If there is no such backend, if there are several, or if it has not presented a certificate.
pub(super) fn backend(report: &TargetReport, label: &str, query: &str) -> Result<Arc<BackendReport>, ApiError> {
    let mut matches = backends(report, label);
    let mut requested = String::new();
    if let Some(text) = parameter(query, "server_name") {
        let server_name = ServerName::parse(&text).ok();
        matches.retain(|backend| Some(&backend.backend.endpoint.server_name) == server_name.as_ref());
        requested += &format!(" with server name {}", quoted(&text));
    }
    if let Some(text) = parameter(query, "tls") {
        matches.retain(|backend| backend.backend.endpoint.tls.as_str() == text);
        requested += &format!(" with TLS mode {}", quoted(&text));
    }
    let Some(first) = matches.first() else {
        let target = quoted(report.target.name.as_str());
        return Err(ApiError::not_found(format!("unknown backend {}{requested} of target {target}", quoted(label))));
    };
    let endpoints = || matches.iter().map(|backend| &backend.backend.endpoint);
    let names = endpoints().map(|endpoint| endpoint.server_name.to_string()).collect();
    let modes = endpoints().map(|endpoint| endpoint.tls.as_str().to_owned()).collect();
    let choices: [(_, _, BTreeSet<String>); 2] = [("server names", "server_name", names), ("TLS modes", "tls", modes)];
    if let Some((what, parameter, choices)) = choices.into_iter().find(|(.., choices)| choices.len() > 1) {
        let (backend, choices) = (quoted(label), list(choices, MAX_NAMES));
        let text = format!("backend {backend} has several {what}: add `?{parameter}=` with one of {choices}");
        return Err(ApiError(StatusCode::BAD_REQUEST, text));
    }
    if first.last_certificate.is_none() {
        let text = format!("backend {} has not presented a certificate recently", quoted(label));
        return Err(ApiError::not_found(text));
    }
    Ok(Arc::clone(first))
}

/// The backends with this `backend` label.
fn backends<'a>(report: &'a TargetReport, label: &str) -> Vec<&'a Arc<BackendReport>> {
    let Ok(address) = label.parse::<SocketAddr>() else { return Vec::new() };
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    report.backends().filter(|backend| backend.backend.socket_addr() == address).collect()
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

/// The name of the file with the chain of the backend.
pub(super) fn pem_name(backend: &Backend) -> String {
    let Backend { endpoint, address } = backend;
    let parts = [endpoint.server_name.to_string(), address.to_string(), endpoint.port.to_string()];
    format!("{}.pem", file_name(parts.iter().map(String::as_str)))
}

/// An error as JSON.
#[derive(Debug)]
pub(super) struct ApiError(StatusCode, String);

impl ApiError {
    /// If it is a target of another shard, says so.
    pub(super) fn unknown_target(name: &str, shard: &ShardReport) -> Self {
        match shard.refer_named(name) {
            Some(text) => Self::not_found(format!("target {} {text}", quoted(name))),
            None => Self::not_found(format!("unknown target {}", quoted(name))),
        }
    }

    fn not_found(text: String) -> Self {
        Self(StatusCode::NOT_FOUND, text)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let headers = [(header::CONTENT_TYPE, JSON), (header::CACHE_CONTROL, "no-store")];
        (self.0, headers, format!("{}\n", serde_json::json!({ "error": self.1 }))).into_response()
    }
}

fn quoted(text: &str) -> String {
    format!("`{}`", printable(text, MAX_QUOTED_CHARS))
}

const MAX_QUOTED_CHARS: usize = 200;
const MAX_NAMES: usize = 10;
