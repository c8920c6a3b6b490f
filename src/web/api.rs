//! Targets as JSON, and what their backends presented as PEM. Errors are JSON, too: `{"error": "…"}`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use axum::http::{HeaderValue, StatusCode, header};

use super::desk::Sheet;
use crate::render;
use crate::snapshot::{BackendReport, Fleet, TargetReport};
use crate::target::ServerName;
use crate::text::printable;

/// All targets.
pub(super) fn targets(fleet: &Fleet, now: SystemTime) -> Sheet {
    json(StatusCode::OK, render::targets_json(&fleet.targets, now))
}

/// The target of this name.
pub(super) fn target(fleet: &Fleet, name: &str, now: SystemTime) -> Sheet {
    match find(fleet, name) {
        Some(report) => json(StatusCode::OK, render::target_json(report, now)),
        None => no_target(name),
    }
}

/// What the backend of this label presented. `query` is the part of the URL behind the question mark, where a
/// `server_name` tells backends apart that share address and port.
pub(super) fn chain(fleet: &Fleet, name: &str, backend: &str, query: &str) -> Sheet {
    let Some(report) = find(fleet, name) else { return no_target(name) };
    let mut matches = backends(report, backend);
    if let Some(server_name) = server_name(query) {
        let server_name = ServerName::parse(&server_name).ok();
        matches.retain(|backend| Some(&backend.backend.endpoint.server_name) == server_name.as_ref());
    }
    let Some(first) = matches.first() else {
        let text = format!("no backend {} of this server name in target {}", quoted(backend), quoted(name));
        return error(StatusCode::NOT_FOUND, &text);
    };
    let of_one_name = |other: &&BackendReport| other.backend.endpoint.server_name == first.backend.endpoint.server_name;
    if !matches.iter().all(of_one_name) {
        let text = "several server names are probed at this backend: say which by ?server_name=";
        return error(StatusCode::BAD_REQUEST, text);
    }
    let Some(last) = matches.iter().find_map(|backend| backend.last_certificate.as_ref()) else {
        return error(StatusCode::NOT_FOUND, "this backend has not presented a certificate, or not for long");
    };
    let disposition = format!("attachment; filename=\"{}\"", file_name(first));
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

/// The backends at an address and a port, written as in the `backend` label.
fn backends<'a>(report: &'a TargetReport, label: &str) -> Vec<&'a BackendReport> {
    let Ok(address) = label.parse::<SocketAddr>() else { return Vec::new() };
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    report.backends().map(|backend| &**backend).filter(|backend| backend.backend.socket_addr() == address).collect()
}

fn server_name(query: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find_map(|(key, value)| (key == "server_name").then(|| value.into_owned()))
}

/// Letters, digits, dots, hyphens and underscores, and no dot in front.
fn file_name(backend: &BackendReport) -> String {
    let backend = &backend.backend;
    let name = format!("{}_{}_{}", backend.endpoint.server_name, backend.address, backend.endpoint.port);
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    name.trim_start_matches('.').chars().map(safe).chain(".pem".chars()).collect()
}

fn no_target(name: &str) -> Sheet {
    error(StatusCode::NOT_FOUND, &format!("no target {}", quoted(name)))
}

fn error(status: StatusCode, text: &str) -> Sheet {
    json(status, format!("{}\n", serde_json::json!({ "error": text })))
}

fn json(status: StatusCode, text: String) -> Sheet {
    Sheet { status, content_type: "application/json", headers: Vec::new(), text }
}

fn quoted(text: &str) -> String {
    format!("{:?}", printable(text, MAX_QUOTED))
}

/// Characters of a request's own text in an error.
const MAX_QUOTED: usize = 200;
