//! The stages of a probe.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::handshake::{self, Capture};
use super::smtp::reply::{Class, Reply};
use super::smtp::{self, Dialogue};
use super::{Prober, dial, failure};
use crate::observation::{Connection, Failure, LocalFailure, Phases};
use crate::reason::{LocalReason, Phase, ProbeReason, Stage};
use crate::target::{Backend, EhloName, ProbeSettings, TlsMode};

/// What a probe has seen so far. It outlives the walk, so that the deadline loses nothing.
pub(super) struct Sight {
    pub(super) stage: Stage,
    since: Instant,
    pub(super) phases: Phases,
    pub(super) capture: Option<Arc<Capture>>,
    /// Set once a reply was read inside TLS.
    pub(super) proven: Option<Connection>,
    pub(super) ehlo_name: Option<Box<str>>,
    pub(super) rate_limited: bool,
    pub(super) farewell: Option<Farewell>,
}

impl Sight {
    pub(super) fn new(begin: Instant) -> Self {
        Self {
            stage: Stage::Connect,
            since: begin,
            phases: Phases::default(),
            capture: None,
            proven: None,
            ehlo_name: None,
            rate_limited: false,
            farewell: None,
        }
    }

    fn finish(&mut self, phase: Phase) {
        let now = Instant::now();
        self.phases.set(phase, now - self.since);
        self.since = now;
    }

    fn hear(&mut self, reply: &Reply) {
        // RFC 5321 §3.8: the server is closing, most often because of a limit; RFC 3463 §3.8: for reasons of policy, and
        // not for good.
        let is_policy = || reply.first_word().is_some_and(|word| word.starts_with("4.7."));
        self.rate_limited |= reply.code == 421 || reply.class() == Class::Transient && is_policy();
    }

    fn certificate_requested(&self) -> bool {
        self.capture.as_deref().is_some_and(Capture::certificate_requested)
    }
}

pub(super) enum Stop {
    Failed(Failure),
    Local(Box<LocalFailure>),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A dialogue that is over but for the QUIT.
pub(super) enum Farewell {
    Plain(Dialogue<TcpStream>),
    Tls(Box<Dialogue<tokio_rustls::client::TlsStream<TcpStream>>>),
}

impl Farewell {
    pub(super) async fn say(self) {
        match self {
            Self::Plain(dialogue) => dialogue.quit(QUIT_PATIENCE).await,
            Self::Tls(dialogue) => dialogue.quit(QUIT_PATIENCE).await,
        }
    }
}

/// The stages in their order.
pub(super) struct Street<'a> {
    pub(super) prober: &'a Prober,
    pub(super) backend: &'a Backend,
    pub(super) settings: &'a ProbeSettings,
    pub(super) begin: Instant,
}

impl Street<'_> {
    pub(super) async fn walk(&self, sight: &mut Sight) -> Result<Connection, Stop> {
        let stream = self.connect(sight).await?;
        let ehlo = self.ehlo_command(&stream);
        let stream = match self.backend.endpoint.tls {
            TlsMode::Implicit => stream,
            TlsMode::StartTls => self.start_tls(stream, &ehlo, sight).await?,
        };
        self.session(stream, &ehlo, sight).await
    }

    async fn connect(&self, sight: &mut Sight) -> Result<TcpStream, Stop> {
        let address = self.backend.socket_addr();
        let patience = self.begin + self.settings.connect_timeout;
        let stream = match timeout_at(patience, dial::dial(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(connect_failure(&error, address)),
            Err(_) => {
                let detail = format_args!("no answer within {:?}", self.settings.connect_timeout);
                return Err(Failure::new(Stage::Connect, ProbeReason::Timeout, detail).into());
            }
        };
        sight.finish(Phase::Connect);
        Ok(stream)
    }

    fn ehlo_command(&self, stream: &TcpStream) -> String {
        match &self.settings.ehlo_name {
            EhloName::Name(name) => format!("EHLO {name}"),
            literal @ EhloName::AddressLiteral => {
                let local = stream.local_addr().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |local| local.ip());
                format!("EHLO {}", literal.argument(local))
            }
        }
    }

    /// RFC 3207: greeting, EHLO, STARTTLS, and silence until the client speaks TLS.
    async fn start_tls(&self, stream: TcpStream, ehlo: &str, sight: &mut Sight) -> Result<TcpStream, Failure> {
        let mut dialogue = Dialogue::new(stream);
        match plain(&mut dialogue, ehlo, sight).await {
            Ok(()) => {}
            Err(Plain::Refused(failure)) => {
                sight.farewell = Some(Farewell::Plain(dialogue));
                return Err(failure);
            }
            Err(Plain::Broken(failure)) => return Err(failure),
        }
        let stream = dialogue.into_silent_stream().await;
        stream.map_err(|error| failure::of_smtp(Stage::StartTls, &error, false))
    }

    /// The handshake, and the first reply inside it, which is what proves that TLS came up: a TLS 1.3 server that
    /// wants a client certificate says so only after the client's part is done.
    async fn session(&self, stream: TcpStream, ehlo: &str, sight: &mut Sight) -> Result<Connection, Stop> {
        sight.stage = Stage::Handshake;
        let Some(name) = self.backend.endpoint.server_name.to_pki() else {
            let detail = "the server name has no form for TLS".into();
            return Err(Stop::Local(Box::new(LocalFailure { reason: LocalReason::Defect, detail })));
        };
        let identity = self.settings.client_certificate.as_ref();
        let stream = match self.prober.tls.handshake(name, identity, stream, &mut sight.capture).await {
            Ok(stream) => stream,
            Err(error) => {
                return Err(failure::of_io(Stage::Handshake, &error, sight.certificate_requested()).into());
            }
        };
        sight.finish(Phase::Handshake);
        sight.stage = Stage::Session;
        let connection = handshake::connection(&stream);
        let mut dialogue = Dialogue::new(stream);
        match self.first_words_inside(&mut dialogue, ehlo, connection, sight).await {
            Ok(()) => {
                sight.farewell = Some(Farewell::Tls(Box::new(dialogue)));
                Ok(connection)
            }
            Err(_) if sight.proven.is_some() => Ok(connection),
            Err(error) => Err(failure::of_smtp(Stage::Session, &error, sight.certificate_requested()).into()),
        }
    }

    async fn first_words_inside<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        dialogue: &mut Dialogue<S>,
        ehlo: &str,
        connection: Connection,
        sight: &mut Sight,
    ) -> Result<(), smtp::SmtpError> {
        if self.backend.endpoint.tls == TlsMode::Implicit {
            let greeting = dialogue.reply().await?;
            sight.proven = Some(connection);
            sight.hear(&greeting);
            sight.finish(Phase::Greeting);
            // A server that refuses is left politely, without an EHLO.
            if greeting.class() != Class::Success {
                return Ok(());
            }
            sight.ehlo_name = server_name_of(&greeting);
        }
        // What was learnt before TLS is forgotten (RFC 3207 §4.2), so EHLO is said anew.
        let reply = dialogue.command(ehlo).await?;
        sight.proven = Some(connection);
        sight.hear(&reply);
        if reply.class() == Class::Success {
            sight.ehlo_name = server_name_of(&reply);
        }
        Ok(())
    }
}

/// How the plain part ended, where it did not lead to TLS.
enum Plain {
    /// By a reply: SMTP is still spoken.
    Refused(Failure),
    /// By something else.
    Broken(Failure),
}

async fn plain(dialogue: &mut Dialogue<TcpStream>, ehlo: &str, sight: &mut Sight) -> Result<(), Plain> {
    let broken = |stage| move |error| Plain::Broken(failure::of_smtp(stage, &error, false));
    let refused = |stage, reply: &Reply| Plain::Refused(failure::of_reply(stage, reply));

    sight.stage = Stage::Greeting;
    let greeting = dialogue.reply().await.map_err(broken(Stage::Greeting))?;
    sight.hear(&greeting);
    sight.finish(Phase::Greeting);
    if greeting.class() != Class::Success {
        return Err(refused(Stage::Greeting, &greeting));
    }

    sight.stage = Stage::Ehlo;
    let reply = dialogue.command(ehlo).await.map_err(broken(Stage::Ehlo))?;
    sight.hear(&reply);
    if reply.class() != Class::Success {
        return Err(refused(Stage::Ehlo, &reply));
    }

    sight.stage = Stage::StartTls;
    if !reply.has_keyword("STARTTLS") {
        let failure = Failure::new(Stage::StartTls, ProbeReason::StartTlsNotOffered, "EHLO does not list STARTTLS");
        return Err(Plain::Refused(failure));
    }
    let reply = dialogue.command("STARTTLS").await.map_err(broken(Stage::StartTls))?;
    sight.hear(&reply);
    if reply.code != 220 {
        return Err(Plain::Refused(Failure::new(Stage::StartTls, ProbeReason::StartTlsRefused, &reply)));
    }
    sight.finish(Phase::StartTls);
    Ok(())
}

fn server_name_of(reply: &Reply) -> Option<Box<str>> {
    reply.first_word().filter(|word| word.len() <= 255).map(Into::into)
}

fn connect_failure(error: &io::Error, address: SocketAddr) -> Stop {
    match dial::local_failure(error, address) {
        Some(local) => Stop::Local(Box::new(local)),
        None => Stop::Failed(failure::of_io(Stage::Connect, error, false)),
    }
}

/// How long the answer to a QUIT is waited for.
const QUIT_PATIENCE: Duration = Duration::from_secs(1);
