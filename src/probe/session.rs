//! The stages of a probe, in order: connect, greeting, EHLO, STARTTLS, handshake, and SMTP inside TLS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::failure::{self, TlsProgress};
use super::handshake::{self, Capture, TlsClients};
use super::smtp::reply::{Class, Reply};
use super::smtp::{Dialogue, SmtpError};
use crate::net::has_route;
use crate::observation::{Connection, Failure, LocalFailure, Phases};
use crate::reason::{ClientAuth, LocalReason, Phase, ProbeReason, Stage};
use crate::target::{Backend, ProbeSettings, TlsMode};

/// What a probe has observed so far. Kept outside of the session, so that nothing is lost when the deadline ends it.
pub(super) struct ProbeState {
    pub(super) stage: Stage,
    phase_start: Instant,
    pub(super) phases: Phases,
    pub(super) capture: Option<Arc<Capture>>,
    /// Set once a positive reply was read inside TLS.
    pub(super) proven: Option<Connection>,
    pub(super) ehlo_name: Option<Box<str>>,
    /// Sends QUIT, which is all that is left to do.
    pub(super) quit: Option<BoxFuture<'static, ()>>,
}

impl ProbeState {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            stage: Stage::Connect,
            phase_start: start,
            phases: Phases::default(),
            capture: None,
            proven: None,
            ehlo_name: None,
            quit: None,
        }
    }

    fn finish(&mut self, phase: Phase) {
        let now = Instant::now();
        self.phases.set(phase, now - self.phase_start);
        self.phase_start = now;
    }

    /// How a request for a client certificate was answered so far.
    pub(super) fn client_auth(&self) -> Option<ClientAuth> {
        self.capture.as_deref()?.client_auth(self.stage == Stage::Session)
    }

    /// What is known of the TLS session, to tell what an alert is about.
    fn tls(&self) -> TlsProgress {
        let is_negotiated = self.capture.as_deref().is_some_and(Capture::is_negotiated);
        TlsProgress { is_negotiated, client_auth: self.client_auth() }
    }
}

/// Why a session ended without TLS.
pub(super) enum SessionError {
    Failed(Failure),
    /// This host failed.
    Local(Box<LocalFailure>),
}

impl From<Failure> for SessionError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

pub(super) struct ProbeSession<'a> {
    pub(super) tls: &'a TlsClients,
    pub(super) backend: &'a Backend,
    pub(super) settings: &'a ProbeSettings,
    pub(super) start: Instant,
}

/// Connects without Nagle's algorithm: each SMTP command is a small write whose reply is waited for.
async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl ProbeSession<'_> {
    pub(super) async fn run(&self, state: &mut ProbeState) -> Result<Connection, SessionError> {
        let stream = self.connect(state).await?;
        let local = stream.local_addr().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |local| local.ip());
        let ehlo = format!("EHLO {}", self.settings.ehlo_name.argument(local));
        let stream = match self.backend.endpoint.tls {
            TlsMode::Implicit => stream,
            TlsMode::StartTls => start_tls(stream, &ehlo, state).await?,
        };
        self.secure(stream, &ehlo, state).await
    }

    async fn connect(&self, state: &mut ProbeState) -> Result<TcpStream, SessionError> {
        let address = self.backend.socket_addr();
        let timeout = self.settings.connect_timeout;
        let stream = match timeout_at(self.start + timeout, dial(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                return Err(match LocalFailure::from_io(&error, || has_route(address.ip())) {
                    Some(local) => SessionError::Local(Box::new(local)),
                    None => failure::of_io(Stage::Connect, &error, TlsProgress::default()).into(),
                });
            }
            Err(_) => {
                let detail = format_args!("no answer within {timeout:?}");
                return Err(Failure::new(Stage::Connect, ProbeReason::Timeout, detail).into());
            }
        };
        state.finish(Phase::Connect);
        Ok(stream)
    }

    /// The handshake and SMTP inside TLS. Only a reply proves that TLS is up: a TLS 1.3 server rejects a missing client
    /// certificate after the client has finished its part (RFC 8446 §4.4.2.4).
    async fn secure(&self, stream: TcpStream, ehlo: &str, state: &mut ProbeState) -> Result<Connection, SessionError> {
        state.stage = Stage::Handshake;
        let Some(name) = self.backend.endpoint.server_name.to_pki() else {
            let local = LocalFailure::new(LocalReason::Defect, "the server name cannot be used for TLS");
            return Err(SessionError::Local(Box::new(local)));
        };
        let identity = self.settings.client_certificate.as_ref().map(|certificate| self.tls.identity(certificate));
        let identity = identity.transpose().map_err(|error| {
            let detail = format_args!("the client certificate cannot be used for TLS: {error}");
            SessionError::Local(Box::new(LocalFailure::new(LocalReason::Defect, detail)))
        })?;
        let stream = match self.tls.handshake(name, identity, stream, &mut state.capture).await {
            Ok(stream) => stream,
            Err(error) => return Err(failure::of_io(state.stage, &error, state.tls()).into()),
        };
        state.finish(Phase::Handshake);
        state.stage = Stage::Session;
        let connection = handshake::connection(&stream);
        let mut dialogue = Dialogue::new(stream);
        match self.smtp_inside_tls(&mut dialogue, ehlo, connection, state).await {
            Ok(refusal) => {
                state.quit = Some(dialogue.quit(QUIT_TIMEOUT).boxed());
                refusal.map_or(Ok(connection), |failure| Err(failure.into()))
            }
            Err(_) if state.proven.is_some() => Ok(connection),
            Err(error) => Err(failure::of_smtp(state.stage, &error, state.tls()).into()),
        }
    }

    /// EHLO after the handshake, which discards what was learned before it (RFC 3207 §4.2); with implicit TLS
    /// (RFC 8314 §3) the greeting comes first. Returns a failure if the server refuses one of them.
    async fn smtp_inside_tls<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        dialogue: &mut Dialogue<S>,
        ehlo: &str,
        connection: Connection,
        state: &mut ProbeState,
    ) -> Result<Option<Failure>, SmtpError> {
        if self.backend.endpoint.tls == TlsMode::Implicit {
            let greeting = dialogue.reply().await?;
            state.finish(Phase::Greeting);
            // After a 554 greeting only QUIT is allowed (RFC 5321 §3.1).
            if greeting.class() != Class::Success {
                return Ok(Some(failure::of_reply_in_tls(Stage::Greeting, &greeting, state.tls())));
            }
            state.proven = Some(connection);
            state.ehlo_name = server_name_of(&greeting);
        }
        let reply = dialogue.command(ehlo).await?;
        if reply.class() != Class::Success {
            return Ok(Some(failure::of_reply_in_tls(Stage::Ehlo, &reply, state.tls())));
        }
        state.proven = Some(connection);
        state.ehlo_name = server_name_of(&reply);
        Ok(None)
    }
}

/// RFC 3207: greeting, EHLO, STARTTLS, and no further byte from the server until the client starts TLS.
async fn start_tls(stream: TcpStream, ehlo: &str, state: &mut ProbeState) -> Result<TcpStream, Failure> {
    let mut dialogue = Dialogue::new(stream);
    match plaintext_dialogue(&mut dialogue, ehlo, state).await {
        Ok(None) => {
            let stream = dialogue.into_silent_stream().await;
            stream.map_err(|error| failure::of_smtp(state.stage, &error, TlsProgress::default()))
        }
        Ok(Some(failure)) => {
            state.quit = Some(dialogue.quit(QUIT_TIMEOUT).boxed());
            Err(failure)
        }
        Err(error) => Err(failure::of_smtp(state.stage, &error, TlsProgress::default())),
    }
}

/// Returns a failure if a reply ends the dialogue, so that QUIT can still be sent.
async fn plaintext_dialogue(
    dialogue: &mut Dialogue<TcpStream>,
    ehlo: &str,
    state: &mut ProbeState,
) -> Result<Option<Failure>, SmtpError> {
    state.stage = Stage::Greeting;
    let greeting = dialogue.reply().await?;
    state.finish(Phase::Greeting);
    if greeting.class() != Class::Success {
        return Ok(Some(failure::of_reply(state.stage, &greeting)));
    }

    state.stage = Stage::Ehlo;
    let reply = dialogue.command(ehlo).await?;
    if reply.class() != Class::Success {
        return Ok(Some(failure::of_reply(state.stage, &reply)));
    }

    state.stage = Stage::StartTls;
    if !reply.has_keyword("STARTTLS") {
        let detail = "EHLO does not list STARTTLS";
        return Ok(Some(Failure::new(state.stage, ProbeReason::StartTlsNotOffered, detail)));
    }
    let reply = dialogue.command("STARTTLS").await?;
    if reply.code != 220 {
        return Ok(Some(failure::of_reply(state.stage, &reply)));
    }
    state.finish(Phase::StartTls);
    Ok(None)
}

/// The name that a server gives for itself in its greeting and in its reply to EHLO (RFC 5321 §4.2, §4.1.1.1).
fn server_name_of(reply: &Reply) -> Option<Box<str>> {
    reply.first_word().filter(|word| word.len() <= 255).map(Into::into)
}

const QUIT_TIMEOUT: Duration = Duration::from_secs(1);
