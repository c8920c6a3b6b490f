//! The HTTP endpoints of the exporter: metrics, `/probe`, the status page, the API, health and reload.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready as at_once};
use tokio::sync::{mpsc, oneshot};

use crate::monitor::{Handle, OneOff, OneOffError};
use crate::snapshot::{Fleet, TargetReport};
use crate::target::{TargetKind, TargetName};

mod api;
mod desk;
mod negotiate;
mod probe;
mod scrape;
mod serve;
mod stall;
mod status;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

pub use serve::{bind, serve};

use desk::{Desk, Sheet};
use probe::{ProbeError, Probes};
use scrape::{Patience, Scraper};
use status::{Pages, Query};

/// Where the endpoints get their data.
pub trait FleetSource: Send + Sync + 'static {
    /// The current reports.
    fn fleet(&self) -> Fleet;
    /// Whether a configuration is loaded and probes are being scheduled.
    fn is_ready(&self) -> bool;

    /// As [`Handle::recent_round`]. By default, no target is known.
    fn round(&self, target: TargetName, max_age: Duration) -> BoxFuture<'static, Option<Arc<TargetReport>>> {
        let _ = (target, max_age);
        at_once(None).boxed()
    }

    /// As [`Handle::probe_once`]. By default, no target is probed.
    fn probe_once(&self, target: TargetKind) -> BoxFuture<'static, Result<OneOff, OneOffError>> {
        let _ = target;
        at_once(Err(OneOffError::Ended)).boxed()
    }
}

impl FleetSource for Handle {
    fn fleet(&self) -> Fleet {
        self.fleet()
    }

    fn is_ready(&self) -> bool {
        self.is_ready()
    }

    fn round(&self, target: TargetName, max_age: Duration) -> BoxFuture<'static, Option<Arc<TargetReport>>> {
        let handle = self.clone();
        async move { handle.recent_round(&target, max_age).await }.boxed()
    }

    fn probe_once(&self, target: TargetKind) -> BoxFuture<'static, Result<OneOff, OneOffError>> {
        let handle = self.clone();
        async move { Self::probe_once(&handle, target).await }.boxed()
    }
}

/// The paths of the endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Path of the metrics, below the prefix.
    pub telemetry_path: String,
    /// Prefix of all paths; by default the path of `external_url`.
    pub route_prefix: Option<String>,
    /// URL under which the exporter is reachable from outside, for links.
    pub external_url: Option<String>,
    /// `/probe` of a configured target returns the last result if its round ended at most this long ago.
    pub probe_max_age: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            telemetry_path: "/metrics".to_owned(),
            route_prefix: None,
            external_url: None,
            probe_max_age: PROBE_MAX_AGE,
        }
    }
}

impl Options {
    /// The options from the values of the flags.
    ///
    /// # Errors
    /// If the path of the metrics is reserved for another endpoint.
    pub fn new(
        telemetry_path: String,
        route_prefix: Option<String>,
        external_url: Option<String>,
    ) -> Result<Self, String> {
        let path = normal_path(&telemetry_path);
        if path == PROBE {
            return Err(format!("invalid --web.telemetry-path `{path}`: the path is reserved"));
        }
        if let Some(reserved) = RESERVED_PATHS.iter().find(|reserved| path.starts_with(**reserved)) {
            return Err(format!("invalid --web.telemetry-path `{path}`: paths below `{reserved}` are reserved"));
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

/// A request to reload the configuration: the sender of its result.
pub type ReloadRequest = oneshot::Sender<Result<(), String>>;

/// A router with all endpoints.
pub fn router(source: impl FleetSource, reload: mpsc::Sender<ReloadRequest>, options: &Options) -> Router {
    router_with(Patience::default(), source, reload, options)
}

fn router_with(
    patience: Patience,
    source: impl FleetSource,
    reload: mpsc::Sender<ReloadRequest>,
    options: &Options,
) -> Router {
    let source: Arc<dyn FleetSource> = Arc::new(source);
    let (prefix, external) = (options.internal_prefix(), options.external_prefix());
    let telemetry_path = normal_path(&options.telemetry_path);
    let policy = status::policy();
    let state = AppState {
        scraper: Scraper::new(Arc::clone(&source), patience),
        probes: Probes::new(Arc::clone(&source), options.probe_max_age),
        desk: Desk::new(PAGE_PATIENCE),
        pages: Arc::new(Pages::new(external.clone(), telemetry_path.clone())),
        policy,
        source,
        reload,
    };

    // A map, because paths from the command line may equal others; the last one wins.
    let mut paths: BTreeMap<String, MethodRouter<Arc<AppState>>> = BTreeMap::new();
    if !prefix.is_empty() {
        let home = format!("{external}/");
        for path in ["/", &prefix] {
            let home = home.clone();
            paths.insert(path.to_owned(), get(move || async move { Redirect::to(&home) }));
        }
    }
    paths.insert(format!("{prefix}/"), get(overview));
    paths.insert(format!("{prefix}{PROBE}"), get(probe));
    let telemetry = if telemetry_path.is_empty() { "/" } else { &telemetry_path };
    paths.insert(format!("{prefix}{telemetry}"), get(scrape));
    paths.insert(format!("{prefix}{TARGETS_JSON}"), get(targets_json));
    paths.insert(format!("{prefix}/-/healthy"), get(healthy));
    paths.insert(format!("{prefix}/-/ready"), get(ready));
    paths.insert(format!("{prefix}/-/reload"), post(reload_config).put(reload_config));

    let mut router = Router::new().without_v07_checks();
    for (path, methods) in paths {
        router = router.route(&escape_pattern(&path), methods);
    }
    let prefix = escape_pattern(&prefix);
    router
        .route(&format!("{prefix}{TARGETS}{{*name}}"), get(target))
        .route(&format!("{prefix}{TARGETS_JSON}/{{name}}"), get(target_json))
        .route(&format!("{prefix}{TARGETS_JSON}/{{name}}/backends/{{backend}}/chain.pem"), get(chain))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found\n") })
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n") })
        .layer(axum::middleware::map_response(set_security_headers))
        .with_state(Arc::new(state))
}

struct AppState {
    source: Arc<dyn FleetSource>,
    scraper: Scraper,
    probes: Probes,
    desk: Desk,
    pages: Arc<Pages>,
    policy: Option<HeaderValue>,
    reload: mpsc::Sender<ReloadRequest>,
}

impl AppState {
    async fn page(
        &self,
        headers: &HeaderMap,
        write: impl FnOnce(&Pages, &Fleet, SystemTime) -> (StatusCode, String) + Send + 'static,
    ) -> Response {
        let pages = Arc::clone(&self.pages);
        let policy = self.policy.clone().map(|policy| (header::CONTENT_SECURITY_POLICY, policy));
        let no_referrer = (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        let write = move |fleet: &Fleet, now| {
            let (status, text) = write(&pages, fleet, now);
            let headers = policy.into_iter().chain([no_referrer]).collect();
            Sheet { status, content_type: "text/html; charset=utf-8", headers, text }
        };
        self.data(headers, write).await
    }

    async fn data(
        &self,
        headers: &HeaderMap,
        write: impl FnOnce(&Fleet, SystemTime) -> Sheet + Send + 'static,
    ) -> Response {
        let source = Arc::clone(&self.source);
        self.desk.answer(headers, move || write(&source.fleet(), SystemTime::now())).await
    }
}

async fn scrape(State(state): State<Arc<AppState>>, method: Method, headers: HeaderMap) -> Response {
    state.scraper.answer(&method, &headers)
}

async fn probe(
    State(state): State<Arc<AppState>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ProbeError> {
    state.probes.answer(&method, uri.query().unwrap_or_default(), &headers).await
}

async fn overview(
    State(state): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ErrorResponse> {
    let query = Query::parse(&limited_query(query)?);
    let page = move |pages: &Pages, fleet: &Fleet, now| (StatusCode::OK, pages.overview(fleet, &query, now));
    Ok(state.page(&headers, page).await)
}

async fn target(State(state): State<Arc<AppState>>, name: PathParams<String>, headers: HeaderMap) -> Response {
    let name = path_params(name);
    let page = move |pages: &Pages, fleet: &Fleet, now| match pages.target(fleet, &name, now) {
        Some(page) => (StatusCode::OK, page),
        None => (StatusCode::NOT_FOUND, pages.not_found(fleet, now)),
    };
    state.page(&headers, page).await
}

async fn targets_json(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Response {
    state.data(&headers, api::targets).await
}

async fn target_json(State(state): State<Arc<AppState>>, name: PathParams<String>, headers: HeaderMap) -> Response {
    let name = path_params(name);
    state.data(&headers, move |fleet, now| api::target(fleet, &name, now)).await
}

async fn chain(
    State(state): State<Arc<AppState>>,
    names: PathParams<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ErrorResponse> {
    let query = limited_query(query)?;
    let (name, backend) = path_params(names);
    Ok(state.data(&headers, move |fleet, _| api::chain(fleet, &name, &backend, &query)).await)
}

type PathParams<T> = Result<Path<T>, PathRejection>;

/// The parameters of a path. Parameters that are not UTF-8 become empty, and no name is empty.
fn path_params<T: Default>(path: PathParams<T>) -> T {
    path.map(|Path(names)| names).unwrap_or_default()
}

type ErrorResponse = (StatusCode, &'static str);

/// The query string; empty if there is none.
///
/// # Errors
/// If it is longer than [`MAX_QUERY_BYTES`].
fn limited_query(query: Option<String>) -> Result<String, ErrorResponse> {
    let query = query.unwrap_or_default();
    if query.len() > MAX_QUERY_BYTES { Err((StatusCode::URI_TOO_LONG, "query string too long\n")) } else { Ok(query) }
}

async fn healthy() -> &'static str {
    "healthy\n"
}

async fn ready(State(state): State<Arc<AppState>>) -> (StatusCode, &'static str) {
    if state.source.is_ready() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}

async fn reload_config(State(state): State<Arc<AppState>>) -> (StatusCode, String) {
    let (request, answer) = oneshot::channel();
    // If requests are no longer received, the sender of the answer is dropped with the request.
    let _ = state.reload.send(request).await;
    match answer.await {
        Ok(Ok(())) => (StatusCode::OK, "configuration reloaded\n".to_owned()),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the exporter is shutting down\n".to_owned()),
    }
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
    let path = after_scheme.find('/').and_then(|at| after_scheme.get(at..)).unwrap_or_default();
    path.split(['?', '#']).next().unwrap_or_default()
}

fn escape_pattern(path: &str) -> String {
    path.replace('{', "{{").replace('}', "}}")
}

/// How long a request waits for others to be rendered.
const PAGE_PATIENCE: Duration = Duration::from_secs(10);
const PROBE: &str = "/probe";
/// Two clients that scrape the same target, or one that retries, cause one round.
const PROBE_MAX_AGE: Duration = Duration::from_secs(5);
const TARGETS: &str = "/targets/";
const TARGETS_JSON: &str = "/api/v1/targets";
/// Prefixes that the path of the metrics must not have.
const RESERVED_PATHS: [&str; 3] = ["/-/", "/api/", TARGETS];
const MAX_QUERY_BYTES: usize = 4096;
