//! Who may use the endpoints, and how often: basic authentication (RFC 7617), a rate limit, and header fields of responses,
//! as in the web configuration of Prometheus.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::log_limit::LogLimit;
use crate::net::ClientAddress;

mod checks;
mod credentials;
mod headers;
mod password;
mod rate_limit;
#[cfg(test)]
mod tests;
mod users;

pub use headers::{ResponseHeaders, ResponseHeadersError};
pub use password::{PasswordHash, PasswordHashError};
pub use rate_limit::{NoBurst, RateLimit};
pub use users::NoRandomness;

use checks::{Busy, Checks};
use credentials::Credentials;
use users::{Lookup, Users};

/// Who may use the endpoints. By default, everyone.
#[derive(Default)]
pub struct Access {
    users: Option<Arc<Users>>,
    rate_limit: Option<RateLimit>,
    headers: ResponseHeaders,
}

impl Access {
    /// Without users, no password is required.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn new(
        users: BTreeMap<String, PasswordHash>,
        rate_limit: Option<RateLimit>,
        headers: ResponseHeaders,
    ) -> Result<Self, NoRandomness> {
        Ok(Self { users: Users::new(users)?.map(Arc::new), rate_limit, headers })
    }

    /// Takes over the passwords that were checked with `previous`, except those of users that were changed or removed.
    pub fn keep_verified(&mut self, previous: &Self) {
        if let Some((users, previous)) = self.users.as_mut().and_then(Arc::get_mut).zip(previous.users.as_ref()) {
            users.keep_verified(previous);
        }
    }

    fn admits(&self, now: Instant) -> bool {
        self.rate_limit.as_ref().is_none_or(|limit| limit.admit(now))
    }
}

/// Without names and hashes.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let users = self.users.as_ref().map_or(0, |users| users.len());
        f.debug_struct("Access").field("users", &users).finish_non_exhaustive()
    }
}

/// Applies the current [`Access`] to requests.
pub(super) struct Gate {
    access: watch::Receiver<Arc<Access>>,
    checks: Checks,
    log: Mutex<LogLimit>,
}

impl Gate {
    pub(super) fn new(access: watch::Receiver<Arc<Access>>) -> Self {
        Self { access, checks: Checks::new(), log: Mutex::new(LogLimit::new(LOG_PERIOD)) }
    }

    fn access(&self) -> Arc<Access> {
        Arc::clone(&self.access.borrow())
    }

    async fn authenticate(
        &self,
        users: Arc<Users>,
        client: Option<ClientAddress>,
        lookup: Option<Lookup>,
    ) -> Result<(), Refusal> {
        let is_right = match lookup {
            None => false,
            Some(Lookup::Verified) => true,
            Some(Lookup::Unverified(unverified)) => {
                self.checks.run(client, unverified.id, move || users.verify(&unverified)).await?
            }
        };
        if !is_right {
            self.log_failure(client);
            return Err(Refusal::Unauthorized);
        }
        self.checks.trust(client);
        Ok(())
    }

    /// Logs the client but not the user name: a person may have entered a password there.
    fn log_failure(&self, client: Option<ClientAddress>) {
        let client = client.map(|client| client.to_string());
        // One message for all clients: there can be many.
        if let Some(omitted) = self.log.lock().admit("", Instant::now()) {
            tracing::warn!(client, omitted, "authentication failed");
        }
    }
}

/// Middleware: status 429 for requests above the rate limit, and 401 for those without the right credentials.
pub(super) async fn require_access(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let access = gate.access();
    if !access.admits(Instant::now()) {
        return Refusal::RateLimited.into_response();
    }
    if let Some(users) = &access.users {
        // A browser asks for a password only after a response without one.
        if !request.headers().contains_key(header::AUTHORIZATION) {
            return Refusal::Unauthorized.into_response();
        }
        let client = request.extensions().get().copied();
        let lookup = Credentials::of(request.headers()).and_then(|credentials| users.look_up(&credentials));
        if let Err(refusal) = gate.authenticate(Arc::clone(users), client, lookup).await {
            return refusal.into_response();
        }
    }
    next.run(request).await
}

/// Middleware: sets the configured header fields.
pub(super) async fn set_configured_headers(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    gate.access().headers.set_in(response.headers_mut());
    response
}

/// Why a request is not answered. The responses are those of exporter-toolkit.
enum Refusal {
    Unauthorized,
    RateLimited,
    /// A password cannot be checked now.
    Busy,
}

impl From<Busy> for Refusal {
    fn from(Busy: Busy) -> Self {
        Self::Busy
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text, field) = match self {
            Self::Unauthorized => {
                let challenge = (header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
                (StatusCode::UNAUTHORIZED, "Unauthorized\n", Some(challenge))
            }
            Self::RateLimited | Self::Busy => {
                let retry = (header::RETRY_AFTER, HeaderValue::from_static("1"));
                (StatusCode::TOO_MANY_REQUESTS, "Too Many Requests\n", Some(retry))
            }
        };
        let mut response = (status, text).into_response();
        response.headers_mut().extend(field);
        response
    }
}

const LOG_PERIOD: Duration = Duration::from_secs(10);
