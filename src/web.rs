//! The HTTP endpoints of the exporter: metrics, `/probe`, the status page, the API, health and reload.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Redirect, Response, Result};
use axum::routing::{MethodRouter, get, post};
use hyper::body::Body;
use tokio::sync::watch;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;

use crate::render;

mod access;
mod api;
mod authority;
mod connection;
mod connections;
mod http2;
mod listen_address;
mod log_limit;
mod negotiate;
mod origin;
mod places;
mod probe;
mod reload;
mod renderer;
mod route_path;
mod scrape;
mod serve;
mod slots;
mod source;
mod status;
mod stream;
mod systemd_socket;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

pub use access::{
    Access, NoBurst, NoRandomness, PasswordHash, PasswordHashError, RateLimit, ResponseHeaders, ResponseHeadersError,
};
pub use listen_address::{ListenAddress, ListenAddressError};
pub use log_limit::LogLimit;
pub use origin::AllowedHost;
pub use reload::{ReloadRequests, ReloadResult, Reloader, reloads};
pub use serve::{CurrentTls, bind, serve};
pub use source::FleetSource;
pub use systemd_socket::{SystemdSocketError, systemd_listeners};

use access::{Gate, require_access, set_configured_headers};
use api::{ApiError, Reports};
use authority::Origin;
use origin::{Site, refuse_other_hosts, refuse_other_origins};
use probe::Probes;
use renderer::{BodyWriter, RenderPool};
use route_path::is_route_path;
use slots::Timeouts;
use status::{Pages, Query};

/// The paths of the endpoints, and who may use them.
#[derive(Clone, Debug)]
pub struct Options {
    /// Path of the metrics, below the prefix.
    pub telemetry_path: String,
    /// Prefix of all paths; by default the path of `external_url`.
    pub route_prefix: Option<String>,
    /// URL under which the exporter is reachable from outside, for links. Its host is one of the hosts that requests may
    /// be sent to.
    pub external_url: Option<String>,
    /// Further hosts that requests may be sent to. Without any, and without `external_url`, hosts are not checked.
    pub allowed_hosts: Vec<AllowedHost>,
    /// Whether requests may reload the configuration.
    pub enable_lifecycle: bool,
    /// `/probe` of a configured target returns the last result if its round ended at most this long ago.
    pub probe_max_age: Duration,
    /// Who may use the endpoints other than `/-/healthy` and `/-/ready`. A new value applies to requests that arrive from
    /// then on; passwords that were checked are checked again.
    pub access: watch::Receiver<Arc<Access>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            telemetry_path: "/metrics".to_owned(),
            route_prefix: None,
            external_url: None,
            allowed_hosts: vec![],
            enable_lifecycle: false,
            probe_max_age: PROBE_MAX_AGE,
            access: watch::channel(Arc::default()).1,
        }
    }
}

impl Options {
    /// The options from the values of the flags.
    ///
    /// # Errors
    /// If no request can have one of the paths, if the path of the metrics is reserved for another endpoint, or if the URL
    /// has no valid host, or a query or a fragment.
    pub fn new(
        telemetry_path: String,
        route_prefix: Option<String>,
        external_url: Option<String>,
    ) -> Result<Self, String> {
        let paths = [("--web.telemetry-path", Some(&telemetry_path)), ("--web.route-prefix", route_prefix.as_ref())];
        for (flag, path) in paths {
            if let Some(path) = path.filter(|path| !is_route_path(path)) {
                let expected = "expected the path of a URL, percent-encoded, without empty, `.` and `..` segments";
                return Err(format!("invalid {flag} `{path}`: {expected}"));
            }
        }
        let path = normal_path(&telemetry_path);
        if path == PROBE {
            return Err(format!("invalid --web.telemetry-path `{path}`: the path is reserved"));
        }
        if let Some(reserved) = RESERVED_PATHS.iter().find(|reserved| path.starts_with(**reserved)) {
            return Err(format!("invalid --web.telemetry-path `{path}`: paths below `{reserved}` are reserved"));
        }
        if let Some(url) = external_url.as_deref().filter(|url| url.contains(['?', '#'])) {
            return Err(format!("invalid --web.external-url `{url}`: expected no query and no fragment"));
        }
        // A path alone is accepted as well.
        if let Some(url) = external_url.as_deref().filter(|url| url.contains("://"))
            && Origin::of_url(url).is_err()
        {
            let expected = "expected http:// or https://, a host, and optionally a port and a path";
            return Err(format!("invalid --web.external-url `{url}`: {expected}"));
        }
        Ok(Self { telemetry_path, route_prefix, external_url, ..Self::default() })
    }

    /// The prefix of the routes: empty, or with a leading and no trailing slash.
    fn internal_prefix(&self) -> String {
        self.route_prefix.as_deref().map_or_else(|| self.external_prefix(), normal_path)
    }

    /// The prefix of links, likewise.
    fn external_prefix(&self) -> String {
        match (&self.external_url, &self.route_prefix) {
            (Some(url), _) => normal_path(path_of(url)),
            (None, Some(prefix)) => normal_path(prefix),
            (None, None) => String::new(),
        }
    }
}

/// A router with all endpoints.
pub fn router(source: impl FleetSource, reload: Reloader, options: &Options) -> Router {
    router_with(TIMEOUTS, source, reload, options)
}

fn router_with(timeouts: Timeouts, source: impl FleetSource, reload: Reloader, options: &Options) -> Router {
    let source: Arc<dyn FleetSource> = Arc::new(source);
    let (prefix, external) = (options.internal_prefix(), options.external_prefix());
    let telemetry_path = normal_path(&options.telemetry_path);
    let scrape_timeouts = Timeouts { slot: timeouts.slot.min(SCRAPE_WAIT), ..timeouts };
    let gate = Arc::new(Gate::new(options.access.clone()));
    let site = Arc::new(Site::new(options.external_url.as_deref(), options.allowed_hosts.clone()));
    let state = AppState {
        scrapes: RenderPool::new(CONCURRENT_SCRAPES, scrape_timeouts, "scrapes"),
        probes: Probes::new(Arc::clone(&source), timeouts, options.probe_max_age),
        documents: RenderPool::new(CONCURRENT_DOCUMENTS, timeouts, "requests"),
        pages: Arc::new(Pages::new(external.clone(), telemetry_path.clone())),
        policy: status::policy(),
        source,
        reload,
    };
    let compression =
        CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(SizeAbove::new(MIN_COMPRESSED));
    let compressed = |methods: MethodRouter<Arc<AppState>>| methods.layer(compression.clone());
    let same_origin = from_fn_with_state(Arc::clone(&site), refuse_other_origins);

    // A map, because paths from the command line may equal others; the last one wins.
    let mut paths: BTreeMap<String, MethodRouter<Arc<AppState>>> = BTreeMap::new();
    if !prefix.is_empty() {
        let home = format!("{external}/");
        for path in ["/", &prefix] {
            let home = home.clone();
            paths.insert(path.to_owned(), get(move || async move { Redirect::to(&home) }));
        }
    }
    paths.insert(format!("{prefix}/"), compressed(get(overview)));
    paths.insert(format!("{prefix}{PROBE}"), compressed(get(probe)).layer(same_origin.clone()));
    let telemetry = if telemetry_path.is_empty() { "/" } else { &telemetry_path };
    paths.insert(format!("{prefix}{telemetry}"), get(scrape));
    paths.insert(format!("{prefix}{TARGETS_JSON}"), compressed(get(targets_json)));
    let reload = if options.enable_lifecycle {
        post(reload_config).put(reload_config)
    } else {
        let refused = || async { (StatusCode::FORBIDDEN, LIFECYCLE_DISABLED) };
        post(refused).put(refused)
    };
    paths.insert(format!("{prefix}/-/reload"), reload.layer(same_origin));
    let health = [(format!("{prefix}/-/healthy"), get(healthy)), (format!("{prefix}/-/ready"), get(ready))];
    paths.retain(|path, _| !health.iter().any(|(health, _)| health == path));

    let mut router = Router::new().without_v07_checks();
    for (path, methods) in paths {
        router = router.route(&escape_pattern(&path), methods);
    }
    let prefix = escape_pattern(&prefix);
    router = router
        .route(&format!("{prefix}{TARGETS}{{*name}}"), compressed(get(target)))
        .route(&format!("{prefix}{TARGETS_JSON}/{{name}}"), compressed(get(target_json)))
        .route(&format!("{prefix}{TARGETS_JSON}/{{name}}/backends/{{backend}}/chain.pem"), compressed(get(chain)))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found\n") })
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(&gate), require_access))
        .layer(from_fn_with_state(site, refuse_other_hosts));
    // Health checks have no password, and use any name or address of the exporter.
    let mut open = Router::new().without_v07_checks();
    for (path, methods) in health {
        open = open.route(&escape_pattern(&path), methods);
    }
    router
        .merge(open.method_not_allowed_fallback(method_not_allowed))
        .layer(from_fn(refuse_bodies))
        .layer(map_response(set_security_headers))
        .layer(from_fn_with_state(gate, set_configured_headers))
        .with_state(Arc::new(state))
}

struct AppState {
    source: Arc<dyn FleetSource>,
    scrapes: RenderPool,
    probes: Probes,
    /// Pages, JSON and PEM.
    documents: RenderPool,
    pages: Arc<Pages>,
    policy: Option<HeaderValue>,
    reload: Reloader,
}

impl AppState {
    async fn page(
        &self,
        request: &Parts,
        write: impl FnOnce(&Pages, SystemTime, &mut BodyWriter) -> io::Result<()> + Send + 'static,
    ) -> Result<Response> {
        let pages = Arc::clone(&self.pages);
        let write = move |out: &mut _| write(&pages, SystemTime::now(), out);
        let mut page = self.document(request, "text/html; charset=utf-8", write).await?;
        let policy = self.policy.clone().map(|policy| (header::CONTENT_SECURITY_POLICY, policy));
        page.headers_mut().extend(policy);
        page.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        Ok(page)
    }

    async fn document(
        &self,
        request: &Parts,
        content_type: &'static str,
        write: impl FnOnce(&mut BodyWriter) -> io::Result<()> + Send + 'static,
    ) -> Result<Response> {
        let body = self.documents.body(request, write).await?;
        Ok(([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")], body).into_response())
    }

    fn unknown_target(&self, name: &str) -> ApiError {
        ApiError::unknown_target(name, &self.source.exporter().shard)
    }
}

type AppRef = State<Arc<AppState>>;

async fn scrape(State(state): AppRef, request: Parts) -> Result<Response> {
    Ok(scrape::answer(Arc::clone(&state.source), &state.scrapes, &request).await?)
}

async fn probe(State(state): AppRef, request: Parts) -> Result<Response> {
    Ok(state.probes.answer(&request).await?)
}

async fn overview(State(state): AppRef, request: Parts) -> Result<Response> {
    let (query, source) = (Query::parse(limited_query(&request)?), Arc::clone(&state.source));
    state.page(&request, move |pages, now, out| pages.overview(source.fleet(), &query, now, out)).await
}

async fn target(State(state): AppRef, name: PathParams<String>, request: Parts) -> Result<Response> {
    let name = path_params(name);
    let (report, source) = (state.source.find(&name), Arc::clone(&state.source));
    let status = if report.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let page = move |pages: &Pages, now, out: &mut BodyWriter| {
        let exporter = source.exporter();
        match report {
            Some(report) => pages.target(report, &exporter, now, out),
            None => pages.not_found(&name, &exporter, now, out),
        }
    };
    Ok((status, state.page(&request, page).await?).into_response())
}

async fn targets_json(State(state): AppRef, request: Parts) -> Result<Response> {
    let (reports, shard) = (Reports::new(Arc::clone(&state.source)), state.source.exporter().shard);
    let write = move |out: &mut BodyWriter| {
        let mut pieces = render::targets_json_pieces(reports, &shard, SystemTime::now());
        pieces.try_for_each(|piece| out.write_all(piece.as_bytes()))
    };
    state.document(&request, JSON, write).await
}

async fn target_json(State(state): AppRef, name: PathParams<String>, request: Parts) -> Result<Response> {
    let name = path_params(name);
    let report = state.source.find(&name).ok_or_else(|| state.unknown_target(&name))?;
    let write = move |out: &mut BodyWriter| out.write_all(render::target_json(&report, SystemTime::now()).as_bytes());
    state.document(&request, JSON, write).await
}

async fn chain(State(state): AppRef, names: PathParams<(String, String)>, request: Parts) -> Result<Response> {
    let query = limited_query(&request)?;
    let (name, label) = path_params(names);
    let report = state.source.find(&name).ok_or_else(|| state.unknown_target(&name))?;
    let backend = api::backend(&report, &label, query)?;
    let disposition = format!("attachment; filename=\"{}\"", api::pem_name(&backend.backend));
    let write = move |out: &mut BodyWriter| {
        let chain = backend.last_certificate.iter().flat_map(|last| last.assessment.chain.certificates());
        out.write_all(render::pem(chain).as_bytes())
    };
    let document = state.document(&request, "application/x-pem-file", write).await?;
    Ok(([(header::CONTENT_DISPOSITION, disposition)], document).into_response())
}

type PathParams<T> = Result<Path<T>, PathRejection>;

/// The parameters of a path. Parameters that are not UTF-8 become empty, and no name is empty.
fn path_params<T: Default>(path: PathParams<T>) -> T {
    path.map(|Path(names)| names).unwrap_or_default()
}

/// The query string; empty if there is none.
///
/// # Errors
/// If it is longer than [`MAX_QUERY_BYTES`].
fn limited_query(request: &Parts) -> Result<&str, (StatusCode, &'static str)> {
    let query = request.uri.query().unwrap_or_default();
    if query.len() > MAX_QUERY_BYTES { Err((StatusCode::URI_TOO_LONG, "query string too long\n")) } else { Ok(query) }
}

async fn method_not_allowed() -> (StatusCode, &'static str) {
    (StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n")
}

async fn healthy() -> &'static str {
    "healthy\n"
}

async fn ready(State(state): State<Arc<AppState>>) -> (StatusCode, &'static str) {
    if state.source.is_ready() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}

async fn reload_config(State(state): State<Arc<AppState>>) -> (StatusCode, String) {
    match state.reload.reload().await {
        Some(Ok(())) => (StatusCode::OK, "configuration reloaded\n".to_owned()),
        Some(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        None => (StatusCode::INTERNAL_SERVER_ERROR, "the exporter is shutting down\n".to_owned()),
    }
}

/// Middleware: status 400 for GET and HEAD with a body, which has no meaning there (RFC 9110 §9.3.1). It would not be read.
async fn refuse_bodies(request: Request, next: Next) -> Response {
    if [Method::GET, Method::HEAD].contains(request.method()) && !request.body().is_end_stream() {
        let close = [(header::CONNECTION, HeaderValue::from_static("close"))];
        return (StatusCode::BAD_REQUEST, close, "unexpected request body\n").into_response();
    }
    next.run(request).await
}

/// Responses without a policy of their own run no scripts, load nothing and are not framed. Content types are not sniffed.
async fn set_security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ));
    response
}

/// The path with a leading and no trailing slash; empty for the root.
fn normal_path(path: &str) -> String {
    let path = path.trim_matches('/');
    if path.is_empty() { String::new() } else { format!("/{path}") }
}

fn path_of(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    after_scheme.find('/').and_then(|at| after_scheme.get(at..)).unwrap_or_default()
}

fn escape_pattern(path: &str) -> String {
    path.replace('{', "{{").replace('}', "}}")
}

const TIMEOUTS: Timeouts = Timeouts {
    slot: Duration::from_secs(10),
    stall: Duration::from_secs(1),
    // The default scrape timeout of Prometheus.
    turn: Duration::from_secs(10),
    body: Duration::from_secs(120),
};
/// Less than the default scrape timeout of Prometheus.
const SCRAPE_WAIT: Duration = Duration::from_secs(5);
/// Enough for a pair of Prometheus servers and a person.
const CONCURRENT_SCRAPES: usize = 4;
/// Pages, JSON documents and chains.
const CONCURRENT_DOCUMENTS: usize = 8;
/// Bytes below which compression does not save a packet.
const MIN_COMPRESSED: u64 = 1_024;
const LIFECYCLE_DISABLED: &str =
    "reload over HTTP is not enabled: start the exporter with --web.enable-lifecycle, or send SIGHUP\n";
const PROBE: &str = "/probe";
/// Two clients that scrape the same target, or one that retries, cause one round.
const PROBE_MAX_AGE: Duration = Duration::from_secs(5);
const TARGETS: &str = "/targets/";
const TARGETS_JSON: &str = "/api/v1/targets";
/// Prefixes that the path of the metrics must not have.
const RESERVED_PATHS: [&str; 3] = ["/-/", "/api/", TARGETS];
const MAX_QUERY_BYTES: usize = 4096;
const JSON: &str = "application/json";
