//! Refuses requests that browsers make for pages of other origins, and requests to other hosts (DNS rebinding).

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::authority::{Authority, Host, Malformed, Origin};

/// A value of `--web.allowed-hosts`: a host that requests may be sent to or the names below it, with a port or with any, or all
/// hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost(Allowed);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    All,
    Host(Authority),
    /// The names that have one or more labels before this one.
    Below(Authority),
}

impl FromStr for AllowedHost {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text == ANY {
            return Ok(Self(Allowed::All));
        }
        let allowed = match text.strip_prefix(ANY_LABELS) {
            Some(domain) => domain.parse().map(Allowed::Below),
            None => text.parse().map(Allowed::Host),
        };
        match allowed {
            // An IP address has nothing below it.
            Ok(Allowed::Below(Authority { host: Host::Address(_), .. })) | Err(Malformed) => Err(EXPECTED),
            Ok(allowed) => Ok(Self(allowed)),
        }
    }
}

impl AllowedHost {
    fn permits(&self, host: &Authority) -> bool {
        let (allowed, is_host) = match &self.0 {
            Allowed::All => return true,
            Allowed::Host(allowed) => (allowed, allowed.host.is(&host.host)),
            Allowed::Below(domain) => (domain, host.host.is_below(&domain.host)),
        };
        let is_port = match (allowed.port, host.port) {
            (None, _) => true,
            // Behind a proxy, it may be the default port of HTTPS.
            (Some(allowed), None) => [80, 443].contains(&allowed),
            (Some(allowed), Some(port)) => allowed == port,
        };
        is_port && is_host
    }
}

/// How the exporter is reached.
#[derive(Debug)]
pub(super) struct Site {
    external: Option<Origin>,
    allowed: Vec<AllowedHost>,
}

impl Site {
    pub(super) fn new(external_url: Option<&str>, allowed: Vec<AllowedHost>) -> Self {
        Self { external: external_url.and_then(|url| Origin::of_url(url).ok()), allowed }
    }

    /// Whether a request is not known to come from a page of another origin. Requests that do not come from a browser have
    /// none of the fields (<https://www.w3.org/TR/fetch-metadata/>, RFC 6454 §7).
    fn is_own_origin(&self, request: &Request) -> bool {
        let headers = request.headers();
        let is_own_site = match single(headers, &SEC_FETCH_SITE) {
            Ok(None) => true,
            Ok(Some(site)) => ["same-origin", "none"].contains(&site),
            Err(Malformed) => false,
        };
        // Browsers send `Sec-Fetch-Site` to trustworthy URLs only, and no `Origin` for images and links. What is left of them
        // over plain HTTP is `Referer`, unless the page suppresses it.
        is_own_site
            && self.is_own(request, single(headers, &header::ORIGIN), str::parse)
            && self.is_own(request, single(headers, &header::REFERER), Origin::of_url)
    }

    /// Whether a field is absent or has the origin that the exporter is reached at.
    fn is_own(
        &self,
        request: &Request,
        field: Result<Option<&str>, Malformed>,
        parse: impl Fn(&str) -> Result<Origin, Malformed>,
    ) -> bool {
        match field {
            Ok(None) => true,
            Ok(Some(text)) => parse(text)
                .is_ok_and(|origin| host_of(request).is_ok_and(|host| self.is_origin_of(&origin, host.as_ref()))),
            Err(Malformed) => false,
        }
    }

    /// Whether `origin` is the one that the exporter is reached at, in a request to `host`.
    fn is_origin_of(&self, origin: &Origin, host: Option<&Authority>) -> bool {
        match (&self.external, host) {
            (Some(external), _) if external.is(origin) => true,
            // The scheme at the external host is known.
            (Some(external), Some(host)) if external.is_at(host) => false,
            // A proxy may terminate TLS, so the scheme is not known.
            (_, Some(host)) => origin.is_at(host),
            (_, None) => false,
        }
    }

    /// Whether requests to `host` are answered. Those to an IP address always are, because a page that is loaded from an IP
    /// address does not depend on DNS.
    fn permits(&self, host: &Authority) -> bool {
        let is_external = |external: &Origin| external.authority.host.is(&host.host);
        host.host.is_fixed()
            || self.external.as_ref().is_some_and(is_external)
            || self.allowed.iter().any(|allowed| allowed.permits(host))
    }

    fn checks_hosts(&self) -> bool {
        self.external.is_some() || !self.allowed.is_empty()
    }
}

/// Middleware: status 403 for requests that a page of another origin makes.
pub(super) async fn refuse_other_origins(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    if site.is_own_origin(&request) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "requests from pages of other origins are not allowed\n").into_response()
}

/// Middleware: status 403 for requests to other hosts, if the names of the exporter are configured.
pub(super) async fn refuse_other_hosts(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    match host_of(&request) {
        _ if !site.checks_hosts() => {}
        // Not a browser: they send it always.
        Ok(None) => {}
        Ok(Some(host)) if site.permits(&host) => {}
        Ok(Some(_)) => {
            let text = "host not allowed: expected an IP address, localhost, the host of --web.external-url, or one of \
                        --web.allowed-hosts\n";
            return (StatusCode::FORBIDDEN, text).into_response();
        }
        Err(Malformed) => return (StatusCode::BAD_REQUEST, "invalid host\n").into_response(),
    }
    next.run(request).await
}

/// The host that a request is sent to: that of the target if it is a URL, else that of the `Host` field (RFC 9112 §3.2.2).
fn host_of(request: &Request) -> Result<Option<Authority>, Malformed> {
    match request.uri().authority() {
        Some(authority) => authority.as_str().parse().map(Some),
        None => single(request.headers(), &header::HOST)?.map(str::parse).transpose(),
    }
}

/// The value of a field that must not occur twice.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Malformed> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| value.to_str().map_err(|_| Malformed)).transpose()?;
    if values.next().is_some() { Err(Malformed) } else { Ok(first) }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const ANY: &str = "*";
const ANY_LABELS: &str = "*.";
const EXPECTED: &str = "expected HOST or *.DOMAIN, with or without :PORT, or `*`";
