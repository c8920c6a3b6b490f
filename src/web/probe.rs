//! Answers `/probe?target=…` with a round of one target, like blackbox_exporter.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, timeout_at};

use super::FleetSource;
use super::negotiate;
use super::places::{Place, Places};
use super::renderer::{Busy, RenderPool, TextWriter, unsized_body};
use super::scrape::exposition;
use super::slots::Timeouts;
use crate::metrics::{ProbeResponse, encode_probe_response};
use crate::monitor::OneOffError;
use crate::net::{ClientAddress, Network};
use crate::reason::SkipReason;
use crate::snapshot::TargetReport;
use crate::target::{HostTarget, NotAllowed, ServerName, TargetKind, TargetName};
use crate::text::printable;

pub(super) struct Probes {
    source: Arc<dyn FleetSource>,
    places: Places,
    pool: RenderPool,
    /// A result of a configured target that is not older is returned as it is.
    max_age: Duration,
}

/// Who probes a configured target.
enum Configured {
    /// This exporter.
    Here(TargetName),
    /// Another shard, as the text says.
    OtherShard(String),
}

/// Who waits for an answer, and for how long.
struct Client {
    address: ClientAddress,
    begin: Instant,
    deadline: Instant,
}

impl Client {
    /// Waits until the deadline for something that other clients use.
    async fn wait<T>(&self, turn: impl Future<Output = T>) -> Result<T, ProbeError> {
        timeout_at(self.deadline, turn).await.map_err(|_| ProbeError::unavailable(NO_TURN))
    }
}

impl Probes {
    pub(super) fn new(source: Arc<dyn FleetSource>, timeouts: Timeouts, max_age: Duration) -> Self {
        let pool = RenderPool::new(CONCURRENT_PROBES, timeouts, "probe requests");
        Self { source, places: Places::new(CONCURRENT_PROBES), pool, max_age }
    }

    /// The response to GET or HEAD; HEAD starts no probe, and has the status of GET as far as it is known without one. If the client disconnects, this future is dropped; then it waits for
    /// nothing any more, and a one-off round that no other client waits for is given up.
    pub(super) async fn answer(&self, request: &Parts) -> Result<Response, ProbeError> {
        let begin = Instant::now();
        if !self.source.probe_access().enabled {
            return Err(ProbeError::Refused(StatusCode::FORBIDDEN, DISABLED.to_owned()));
        }
        let format = negotiate::format(&request.headers);
        let wanted = ProbeRequest::parse(request.uri.query().unwrap_or_default())?;
        let requested = self.requested(&wanted)?;
        if request.method == Method::HEAD {
            return Ok(exposition(unsized_body(), format));
        }
        // Requests without an address share one client's part.
        let address = request.extensions.get().copied().unwrap_or_else(|| IpAddr::from(Ipv4Addr::UNSPECIFIED).into());
        let client = Client { address, begin, deadline: begin + time_limit(&request.headers) };
        let (probed, place) = self.probe(&wanted, requested, &client).await?;
        let write = move |out: &mut _| {
            TextWriter::write_to(out, |text| encode_probe_response(probed, SystemTime::now(), format, text))
        };
        let body = self.pool.body(request, write).await.map_err(ProbeError::Busy)?;
        // A slow client keeps a slot for its response, which is ended in favor of others, but not its place.
        drop(place);
        Ok(exposition(body, format))
    }

    /// What a request is for, unless it is refused.
    fn requested(&self, request: &ProbeRequest) -> Result<Requested, ProbeError> {
        let kind = request.kind();
        let configured = self.configured(request, kind.as_ref().ok());
        match configured.as_ref().filter(|_| self.source.probe_access().configured) {
            Some(Configured::Here(name)) => return Ok(Requested::Configured(name.clone())),
            Some(Configured::OtherShard(text)) => return Err(ProbeError::other_shard(request, text)),
            None => {}
        }
        let refused = |error| if configured.is_some() { ProbeError::configured(request) } else { error };
        let kind = kind.map_err(refused)?;
        let permitted = self.source.permits(&kind);
        permitted.map_err(|reason| refused(ProbeError::one_off(request, &OneOffError::NotAllowed(reason))))?;
        Ok(Requested::OneOff(kind))
    }

    async fn probe(
        &self,
        request: &ProbeRequest,
        requested: Requested,
        client: &Client,
    ) -> Result<(ProbeResponse, Place), ProbeError> {
        let kind = match requested {
            Requested::Configured(name) => return self.probe_configured(&name, client).await,
            Requested::OneOff(kind) => kind,
        };
        let refused = |error: OneOffError| ProbeError::one_off(request, &error);
        let started = client.wait(self.source.probe_once(kind, client.address)).await?;
        let mut one_off = started.map_err(refused)?;
        // Requests that wait for their round have no place, so that they do not take those of configured targets.
        let place = self.place(client).await?;
        // At the deadline, the results so far are reported.
        if let Ok(ended) = timeout_at(client.deadline, one_off.end()).await {
            ended.map_err(refused)?;
        }
        let report = one_off.report();
        let has_no_backends = report.target.endpoints.iter().all(|endpoint| endpoint.backends.is_empty());
        if report.refused > 0 && report.ended && has_no_backends {
            return Err(ProbeError::all_refused(request, report.refused, Refusals::of(&report.target)));
        }
        let (target, refused) = (report.target, Some(report.refused));
        let response = ProbeResponse { report: target, ended: report.ended, refused, duration: client.begin.elapsed() };
        Ok((response, place))
    }

    async fn probe_configured(&self, name: &TargetName, client: &Client) -> Result<(ProbeResponse, Place), ProbeError> {
        let place = self.place(client).await?;
        let round = timeout_at(client.deadline, self.source.round(name.clone(), self.max_age)).await;
        let (report, ended) = match round {
            Ok(report) => (report, true),
            Err(_) => (self.source.find(name.as_str()), false),
        };
        let missing = || ProbeError::unavailable(if self.source.has_ended() { SHUTTING_DOWN } else { REMOVED });
        let report = report.ok_or_else(missing)?;
        let response = ProbeResponse { report, ended, refused: None, duration: client.begin.elapsed() };
        Ok((response, place))
    }

    async fn place(&self, client: &Client) -> Result<Place, ProbeError> {
        client.wait(self.places.take(client.address)).await?.map_err(|_| ProbeError::unavailable(QUEUE_FULL))
    }

    /// The configured target that is requested: by its name, else by its host and port, or its domain.
    fn configured(&self, request: &ProbeRequest, kind: Option<&TargetKind>) -> Option<Configured> {
        let (shard, server_name) = (self.source.exporter().shard, request.server_name.as_ref());
        let here = |report: Arc<TargetReport>| Configured::Here(report.target.name.clone());
        let by_name = || {
            let found = self.source.find(&request.target).map(here);
            found.or_else(|| shard.refer_named(&request.target).map(Configured::OtherShard))
        };
        let by_service = || {
            let found = self.source.find_service(kind?, server_name).map(here);
            found.or_else(|| shard.refer_service(kind?, server_name).map(Configured::OtherShard))
        };
        server_name.is_none().then(by_name).flatten().or_else(by_service)
    }
}

/// What is probed for a request.
enum Requested {
    Configured(TargetName),
    OneOff(TargetKind),
}

/// The parameters of a request.
#[derive(Debug, PartialEq)]
pub(super) struct ProbeRequest {
    target: String,
    /// Replaces the name of the host as server name.
    server_name: Option<ServerName>,
}

impl ProbeRequest {
    /// Unknown parameters are ignored, as by blackbox_exporter, among them its `module` and `debug`.
    pub(super) fn parse(query: &str) -> Result<Self, ProbeError> {
        let (mut target, mut hostname) = (None, None);
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*key {
                "target" => &mut target,
                "hostname" => &mut hostname,
                _ => continue,
            };
            if value.len() > MAX_PARAMETER {
                return Err(ProbeError::bad_request(format_args!(
                    "invalid parameter `{key}`: longer than {MAX_PARAMETER} bytes"
                )));
            }
            if slot.replace(value.into_owned()).is_some() {
                return Err(ProbeError::bad_request(format_args!("invalid parameter `{key}`: given more than once")));
            }
        }
        let Some(target) = target.filter(|target| !target.is_empty()) else {
            return Err(ProbeError::bad_request(format_args!("missing parameter `target`")));
        };
        let hostname = hostname.filter(|hostname| !hostname.is_empty());
        let server_name = hostname
            .map(|hostname| ServerName::parse(&hostname))
            .transpose()
            .map_err(|error| ProbeError::bad_request(format_args!("invalid parameter `hostname`: {error}")))?;
        Ok(Self { target, server_name })
    }

    /// The target to probe, if it is not a configured one.
    fn kind(&self) -> Result<TargetKind, ProbeError> {
        let kind: Result<TargetKind, _> = self.target.parse();
        let kind = kind.map_err(|error| {
            ProbeError::bad_request(format_args!(
                "unknown target {}: not configured, and not a valid host or domain: {error}",
                self.quoted()
            ))
        })?;
        match (kind, &self.server_name) {
            (kind, None) => Ok(kind),
            (TargetKind::Host(host), Some(server_name)) => {
                let endpoint = crate::target::Endpoint { server_name: server_name.clone(), ..(*host.endpoint).clone() };
                Ok(TargetKind::Host(HostTarget { endpoint: endpoint.into(), ..host }))
            }
            (_, Some(_)) => Err(ProbeError::bad_request(format_args!(
                "invalid parameter `hostname`: not applicable to the hosts of a domain"
            ))),
        }
    }

    fn quoted(&self) -> String {
        format!("`{}`", printable(&self.target, MAX_QUOTED_CHARS))
    }
}

/// Why a request is not answered with metrics.
#[derive(Debug)]
pub(super) enum ProbeError {
    Busy(Busy),
    Refused(StatusCode, String),
}

impl ProbeError {
    fn bad_request(text: std::fmt::Arguments<'_>) -> Self {
        Self::Refused(StatusCode::BAD_REQUEST, format!("{text}\n{USAGE}\n"))
    }

    fn unavailable(text: &str) -> Self {
        Self::Refused(StatusCode::SERVICE_UNAVAILABLE, format!("{text}\n"))
    }

    /// What the configuration permits is not disclosed: it is content of a file.
    fn one_off(request: &ProbeRequest, error: &OneOffError) -> Self {
        let target = request.quoted();
        let (status, text) = match error {
            OneOffError::NotAllowed(NotAllowed::Nothing) => (
                StatusCode::NOT_FOUND,
                format!("unknown target {target}: not configured, and `probe.allow` is empty\n"),
            ),
            OneOffError::NotAllowed(NotAllowed::Target) => (
                StatusCode::FORBIDDEN,
                format!("unknown target {target}: not configured and not permitted by `probe.allow`\n"),
            ),
            OneOffError::NotAllowed(NotAllowed::Port(port)) => (
                StatusCode::FORBIDDEN,
                format!(
                    "target {target}: port {port} is not permitted by `probe.allow`; patterns without a port permit 25, 465 \
                     and 587\n"
                ),
            ),
            OneOffError::TooMany => return Self::unavailable(QUEUE_FULL),
            OneOffError::Ended => return Self::unavailable(SHUTTING_DOWN),
        };
        Self::Refused(status, text)
    }

    /// A configured target, while these are not probed on request.
    fn configured(request: &ProbeRequest) -> Self {
        let text = format!(
            "target {} is configured, and `probe.configured` is false; it is not permitted by `probe.allow` either\n",
            request.quoted()
        );
        Self::Refused(StatusCode::FORBIDDEN, text)
    }

    /// A configured target of another shard, which `text` names.
    fn other_shard(request: &ProbeRequest, text: &str) -> Self {
        Self::Refused(StatusCode::MISDIRECTED_REQUEST, format!("target {} {text}\n", request.quoted()))
    }

    /// The addresses are not disclosed, because they may be those of an internal network.
    pub(super) fn all_refused(request: &ProbeRequest, refused: usize, refusals: Refusals) -> Self {
        let Refusals { has_addresses, has_unroutable, has_ports } = refusals;
        let what = match (has_addresses || has_unroutable, has_ports) {
            (true, true) => "addresses and ports",
            (false, true) => "ports",
            _ => "addresses",
        };
        let hints = [
            (has_addresses, "to permit addresses, add their network to `probe.allow`"),
            (
                has_ports,
                "to permit ports, add the network to `probe.allow`, with the port unless it is 25, 465 or 587, such as \
                 192.0.2.0/24:2525",
            ),
            (
                has_unroutable,
                "addresses that are not those of a single host, and NAT64 addresses that embed an IPv4 address that is not \
                 public, cannot be permitted",
            ),
        ];
        let hints: String = hints.iter().filter(|(applies, _)| *applies).map(|(_, hint)| format!("; {hint}")).collect();
        let text = format!(
            "target {} resolves only to {what} that are not permitted ({refused} refused){hints}\n",
            request.quoted()
        );
        Self::Refused(StatusCode::FORBIDDEN, text)
    }
}

/// Why addresses are refused, without the addresses.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Refusals {
    /// Addresses that a pattern could permit.
    pub(super) has_addresses: bool,
    /// Addresses that no pattern permits.
    pub(super) has_unroutable: bool,
    pub(super) has_ports: bool,
}

impl Refusals {
    fn of(report: &TargetReport) -> Self {
        let is_permittable = |ip: &IpAddr| Network::from(*ip).permits(*ip);
        let has = |reason| report.skipped().iter().any(|(other, _)| *other == reason);
        let hosts = || report.endpoints.iter().flat_map(|endpoint| &*endpoint.not_allowed);
        let has_ports = has(SkipReason::PortNotAllowed);
        // Refused ports are those of addresses that could be permitted.
        let has_local = has(SkipReason::AddressNotAllowed);
        Self {
            has_addresses: has_local && (has_ports || hosts().any(is_permittable)),
            has_unroutable: has_local && !hosts().all(is_permittable),
            has_ports,
        }
    }
}

impl IntoResponse for ProbeError {
    fn into_response(self) -> Response {
        match self {
            Self::Busy(busy) => busy.into_response(),
            Self::Refused(status @ StatusCode::SERVICE_UNAVAILABLE, text) => {
                (status, [(header::RETRY_AFTER, "1")], text).into_response()
            }
            Self::Refused(status, text) => (status, text).into_response(),
        }
    }
}

/// How long the client waits, less the time for the response. Invalid values are ignored.
fn time_limit(headers: &HeaderMap) -> Duration {
    let text = headers.get(SCRAPE_TIMEOUT).and_then(|value| value.to_str().ok());
    let seconds: Option<f64> = text.and_then(|text| text.trim().parse().ok());
    match seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0) {
        None => DEFAULT_TIME_LIMIT,
        Some(seconds) => {
            let seconds = seconds.min(MAX_TIME_LIMIT.as_secs_f64());
            Duration::from_secs_f64(seconds - seconds.min(1.0) * TIMEOUT_OFFSET)
        }
    }
}

const USAGE: &str = "usage: /probe?target=TARGET, where TARGET is the name of a configured target or, if `probe.allow` \
                     permits it, HOST, HOST:PORT, [IPv6]:PORT, mx:DOMAIN or submission:DOMAIN";
const DISABLED: &str = "`/probe` is disabled: `probe.enabled` is false\n";
const QUEUE_FULL: &str = "too many probe requests are waiting";
const SHUTTING_DOWN: &str = "the exporter is shutting down";
const REMOVED: &str = "the target was removed from the configuration during the probe";
const NO_TURN: &str =
    "too many concurrent probe requests: none ended in time to start this one within the scrape timeout";
/// Requests in progress, not counting those that wait for the start of their one-off round.
const CONCURRENT_PROBES: usize = 64;
/// The longest value of a parameter, in bytes. Names of targets and hosts are at most 255 bytes long.
const MAX_PARAMETER: usize = 512;
const MAX_QUOTED_CHARS: usize = 100;
/// Prometheus's timeout of the scrape.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";
/// Seconds of the timeout that are left for the response, as in blackbox_exporter; half of a timeout below a second.
const TIMEOUT_OFFSET: f64 = 0.5;
const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(120);
/// As long as a server may take for its greeting (RFC 5321 §4.5.3.2.1).
const MAX_TIME_LIMIT: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected` is the target and the host name, or the parameter that the error names.
    #[track_caller]
    fn check_query(query: &str, expected: Result<(&str, Option<&str>), &str>) {
        match (ProbeRequest::parse(query), expected) {
            (Ok(request), Ok((target, name))) => {
                let found = request.server_name.map(|name| name.to_string());
                assert_eq!((&*request.target, found.as_deref()), (target, name), "{query}");
            }
            (Err(error), Err(parameter)) => {
                let ProbeError::Refused(StatusCode::BAD_REQUEST, text) = error else { panic!("{query}: {error:?}") };
                assert!(text.lines().next().is_some_and(|line| line.contains(parameter)), "{text}");
            }
            (found, expected) => panic!("{query}: {found:?} in place of {expected:?}"),
        }
    }

    #[test]
    fn parses_queries_like_blackbox_exporter() {
        check_query("target=a.test", Ok(("a.test", None)));
        check_query("module=smtp_starttls&target=a.test%3A25&debug=true&x", Ok(("a.test:25", None)));
        check_query("target=%5B2600%3A%3A1%5D:25", Ok(("[2600::1]:25", None)));
        check_query("target=the+relay", Ok(("the relay", None)));
        check_query("target=192.0.2.1:25&hostname=Mail.Example.com.", Ok(("192.0.2.1:25", Some("mail.example.com"))));
        check_query("target=a.test&hostname=", Ok(("a.test", None)));
        for query in ["", "target", "target=", "Target=a.test", "target=a.test&target=a.test"] {
            check_query(query, Err("target"));
        }
        check_query(&format!("target={}", "a".repeat(513)), Err("512"));
        for query in ["target=a.test&hostname=b&hostname=c", "target=a.test&hostname=a..b"] {
            check_query(query, Err("hostname"));
        }
    }

    #[track_caller]
    fn check_time_limit(header: Option<&str>, seconds: f64) {
        let mut headers = HeaderMap::new();
        if let Some(text) = header {
            headers.insert(SCRAPE_TIMEOUT, text.parse().expect("a value"));
        }
        assert_eq!(time_limit(&headers).as_secs_f64(), seconds, "{header:?}");
    }

    #[test]
    fn takes_the_scrape_timeout_as_time_limit() {
        check_time_limit(Some("10"), 9.5);
        check_time_limit(Some("10.000000"), 9.5);
        check_time_limit(Some(" 2.5 "), 2.0);
        check_time_limit(Some("1"), 0.5);
        check_time_limit(Some("0.25"), 0.125);
        check_time_limit(Some("3600"), 299.5);
        check_time_limit(Some("1e300"), 299.5);
        for nonsense in [None, Some(""), Some("0"), Some("-1"), Some("NaN"), Some("inf"), Some("-inf"), Some("10s")] {
            check_time_limit(nonsense, 120.0);
        }
    }
}
