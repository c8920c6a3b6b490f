//! Targets as JSON, and the chains of their backends as PEM. Errors are JSON: `{"error": "…"}`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use axum::http::{HeaderValue, StatusCode, header};

use super::desk::Sheet;
use crate::render;
use crate::snapshot::{BackendReport, Fleet, TargetReport};
use crate::target::{Backend, ServerName};
use crate::text::{file_name, list, printable};

pub(super) fn targets(fleet: &Fleet, now: SystemTime) -> Sheet {
    json(StatusCode::OK, render::targets_json(&fleet.targets, now))
}

pub(super) fn target(fleet: &Fleet, name: &str, now: SystemTime) -> Sheet {
    match find(fleet, name) {
        Some(report) => json(StatusCode::OK, render::target_json(report, now)),
        None => unknown_target(name),
    }
}

/// The chain that the backend with this label presented last. The parameter `server_name` of `query` selects one of
/// several backends with the same address and port.
pub(super) fn chain(fleet: &Fleet, name: &str, backend: &str, query: &str) -> Sheet {
    let Some(report) = find(fleet, name) else { return unknown_target(name) };
    let mut matches = backends(report, backend);
    let requested = server_name(query);
    if let Some(requested) = &requested {
        let server_name = ServerName::parse(requested).ok();
        matches.retain(|backend| Some(&backend.backend.endpoint.server_name) == server_name.as_ref());
    }
    let Some(first) = matches.first() else {
        let with_name = requested.map(|name| format!(" with server name {}", quoted(&name))).unwrap_or_default();
        let text = format!("unknown backend {}{with_name} of target {}", quoted(backend), quoted(name));
        return error(StatusCode::NOT_FOUND, &text);
    };
    let mut names: Vec<&ServerName> = matches.iter().map(|backend| &backend.backend.endpoint.server_name).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() > 1 {
        let names = list(names.into_iter().map(ToString::to_string), MAX_NAMES);
        let text =
            format!("backend {} has several server names: add `?server_name=` with one of {names}", quoted(backend));
        return error(StatusCode::BAD_REQUEST, &text);
    }
    let Some(last) = matches.iter().find_map(|backend| backend.last_certificate.as_ref()) else {
        let text = format!("backend {} has not presented a certificate recently", quoted(backend));
        return error(StatusCode::NOT_FOUND, &text);
    };
    let disposition = format!("attachment; filename=\"{}\"", pem_name(&first.backend));
    Sheet {
        status: StatusCode::OK,
        content_type: "application/x-pem-file",
        headers: HeaderValue::try_from(disposition)
            .map(|value| (header::CONTENT_DISPOSITION, value))
            .into_iter()
            .collect(),
        text: render::pem(last.assessment.chain.certificates()),
    }
}

fn find<'a>(fleet: &'a Fleet, name: &str) -> Option<&'a Arc<TargetReport>> {
    fleet.targets.iter().find(|report| report.target.name.as_str() == name)
}

/// The backends with this `backend` label.
fn backends<'a>(report: &'a TargetReport, label: &str) -> Vec<&'a BackendReport> {
    let Ok(address) = label.parse::<SocketAddr>() else { return Vec::new() };
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    report.backends().map(|backend| &**backend).filter(|backend| backend.backend.socket_addr() == address).collect()
}

fn server_name(query: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find_map(|(key, value)| (key == "server_name").then(|| value.into_owned()))
}

fn pem_name(backend: &Backend) -> String {
    let Backend { endpoint, address } = backend;
    let parts = [endpoint.server_name.to_string(), address.to_string(), endpoint.port.to_string()];
    format!("{}.pem", file_name(parts.iter().map(String::as_str)))
}

fn unknown_target(name: &str) -> Sheet {
    error(StatusCode::NOT_FOUND, &format!("unknown target {}", quoted(name)))
}

fn error(status: StatusCode, text: &str) -> Sheet {
    json(status, format!("{}\n", serde_json::json!({ "error": text })))
}

fn json(status: StatusCode, text: String) -> Sheet {
    Sheet { status, content_type: "application/json", headers: Vec::new(), text }
}

fn quoted(text: &str) -> String {
    format!("`{}`", printable(text, MAX_QUOTED_CHARS))
}

const MAX_QUOTED_CHARS: usize = 200;
const MAX_NAMES: usize = 10;
