//! The stages of a probe, in order: connect, greeting, EHLO, STARTTLS, handshake, and SMTP inside TLS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

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
    quit: Option<BoxFuture<'static, ()>>,
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

    /// Ends the session with QUIT, if it can still be sent.
    pub(super) async fn end(&mut self) {
        if let Some(quit) = self.quit.take() {
            quit.await;
        }
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
    /// The probe was given up.
    Cancelled,
}

impl From<Failure> for SessionError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Why a dialogue ended.
enum DialogueEnd {
    /// By a reply, or because the probe was given up: QUIT can still be sent.
    Quit(SessionError),
    /// The probe was given up before the server sent anything.
    Abandoned,
    /// Nothing can be sent any more.
    Broken(SmtpError),
}

impl From<SmtpError> for DialogueEnd {
    fn from(error: SmtpError) -> Self {
        Self::Broken(error)
    }
}

impl From<Failure> for DialogueEnd {
    fn from(failure: Failure) -> Self {
        Self::Quit(failure.into())
    }
}

pub(super) struct ProbeSession<'a> {
    pub(super) tls: &'a TlsClients,
    pub(super) backend: &'a Backend,
    pub(super) settings: &'a ProbeSettings,
    pub(super) start: Instant,
    /// The probe is given up: no further command is sent but QUIT.
    pub(super) cancel: &'a CancellationToken,
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
            TlsMode::StartTls => self.start_tls(stream, &ehlo, state).await?,
        };
        self.secure(stream, &ehlo, state).await
    }

    async fn connect(&self, state: &mut ProbeState) -> Result<TcpStream, SessionError> {
        let address = self.backend.socket_addr();
        let timeout = self.settings.connect_timeout;
        let connected = self.unless_cancelled(timeout_at(self.start + timeout, dial(address))).await?;
        let stream = match connected {
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
        let handshake = self.tls.handshake(name, identity, stream, &mut state.capture);
        let stream = match self.backend.endpoint.tls {
            // Nothing was said before it that QUIT could end.
            TlsMode::Implicit => self.unless_cancelled(handshake).await?,
            TlsMode::StartTls => self.with_grace(handshake).await?,
        };
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => return Err(failure::of_io(state.stage, &error, state.tls()).into()),
        };
        state.finish(Phase::Handshake);
        state.stage = Stage::Session;
        let connection = handshake::connection(&stream);
        let mut dialogue = Dialogue::new(stream);
        match self.smtp_inside_tls(&mut dialogue, ehlo, connection, state).await {
            Ok(()) => {
                state.quit = Some(dialogue.quit(QUIT_TIMEOUT).boxed());
                Ok(connection)
            }
            Err(DialogueEnd::Quit(end)) => {
                state.quit = Some(dialogue.quit(QUIT_TIMEOUT).boxed());
                Err(end)
            }
            Err(DialogueEnd::Abandoned) => Err(SessionError::Cancelled),
            Err(DialogueEnd::Broken(_)) if state.proven.is_some() => Ok(connection),
            Err(DialogueEnd::Broken(error)) => Err(failure::of_smtp(state.stage, &error, state.tls()).into()),
        }
    }

    /// EHLO after the handshake, which discards what was learned before it (RFC 3207 §4.2); with implicit TLS
    /// (RFC 8314 §3) the greeting comes first.
    async fn smtp_inside_tls<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        dialogue: &mut Dialogue<S>,
        ehlo: &str,
        connection: Connection,
        state: &mut ProbeState,
    ) -> Result<(), DialogueEnd> {
        if self.backend.endpoint.tls == TlsMode::Implicit {
            let greeting = self.greeting(dialogue).await?;
            state.finish(Phase::Greeting);
            // After a 554 greeting only QUIT is allowed (RFC 5321 §3.1).
            if greeting.class() != Class::Success {
                return Err(failure::of_reply_in_tls(Stage::Greeting, &greeting, state.tls()).into());
            }
            state.proven = Some(connection);
            state.ehlo_name = server_name_of(&greeting);
        }
        let reply = self.command(dialogue, ehlo).await?;
        if reply.class() != Class::Success {
            return Err(failure::of_reply_in_tls(Stage::Ehlo, &reply, state.tls()).into());
        }
        state.proven = Some(connection);
        state.ehlo_name = server_name_of(&reply);
        Ok(())
    }

    /// Reads the greeting. If the probe is given up, nothing is sent before its end, and nothing at all if it has not begun.
    async fn greeting<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        dialogue: &mut Dialogue<S>,
    ) -> Result<Reply, DialogueEnd> {
        match self.cancel.run_until_cancelled(dialogue.wait_for_bytes()).await {
            Some(begun) => begun?,
            None => return Err(DialogueEnd::Abandoned),
        }
        Ok(dialogue.reply().await?)
    }

    /// Sends a command and reads its reply, unless the probe is given up.
    async fn command<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        dialogue: &mut Dialogue<S>,
        line: &str,
    ) -> Result<Reply, DialogueEnd> {
        if self.cancel.is_cancelled() {
            return Err(DialogueEnd::Quit(SessionError::Cancelled));
        }
        match self.with_grace(dialogue.command(line)).await {
            Ok(reply) => Ok(reply?),
            Err(cancelled) => Err(DialogueEnd::Quit(cancelled)),
        }
    }

    /// A step for which the server may take a moment after the probe was given up.
    async fn with_grace<T>(&self, step: impl Future<Output = T>) -> Result<T, SessionError> {
        let given_up = async {
            self.cancel.cancelled().await;
            sleep(GRACE).await;
        };
        tokio::select! {
            biased;
            done = step => Ok(done),
            () = given_up => Err(SessionError::Cancelled),
        }
    }

    /// Waits for something after which the server has still not sent anything.
    async fn unless_cancelled<T>(&self, step: impl Future<Output = T>) -> Result<T, SessionError> {
        self.cancel.run_until_cancelled(step).await.ok_or(SessionError::Cancelled)
    }

    /// RFC 3207: greeting, EHLO, STARTTLS, and no further byte from the server until the client starts TLS.
    async fn start_tls(
        &self,
        stream: TcpStream,
        ehlo: &str,
        state: &mut ProbeState,
    ) -> Result<TcpStream, SessionError> {
        let mut dialogue = Dialogue::new(stream);
        let failed = |stage, error| failure::of_smtp(stage, &error, TlsProgress::default()).into();
        match self.plaintext_dialogue(&mut dialogue, ehlo, state).await {
            Ok(()) => dialogue.into_silent_stream().await.map_err(|error| failed(state.stage, error)),
            Err(DialogueEnd::Quit(end)) => {
                state.quit = Some(dialogue.quit(QUIT_TIMEOUT).boxed());
                Err(end)
            }
            Err(DialogueEnd::Abandoned) => Err(SessionError::Cancelled),
            Err(DialogueEnd::Broken(error)) => Err(failed(state.stage, error)),
        }
    }

    async fn plaintext_dialogue(
        &self,
        dialogue: &mut Dialogue<TcpStream>,
        ehlo: &str,
        state: &mut ProbeState,
    ) -> Result<(), DialogueEnd> {
        state.stage = Stage::Greeting;
        let greeting = self.greeting(dialogue).await?;
        state.finish(Phase::Greeting);
        if greeting.class() != Class::Success {
            return Err(failure::of_reply(state.stage, &greeting).into());
        }

        state.stage = Stage::Ehlo;
        let reply = self.command(dialogue, ehlo).await?;
        if reply.class() != Class::Success {
            return Err(failure::of_reply(state.stage, &reply).into());
        }

        state.stage = Stage::StartTls;
        if !reply.has_keyword("STARTTLS") {
            let detail = "EHLO does not list STARTTLS";
            return Err(Failure::new(state.stage, ProbeReason::StartTlsNotOffered, detail).into());
        }
        let reply = self.command(dialogue, "STARTTLS").await?;
        if reply.code != 220 {
            return Err(failure::of_reply(state.stage, &reply).into());
        }
        state.finish(Phase::StartTls);
        Ok(())
    }
}

/// The name that a server gives for itself in its greeting and in its reply to EHLO (RFC 5321 §4.2, §4.1.1.1).
fn server_name_of(reply: &Reply) -> Option<Box<str>> {
    reply.first_word().filter(|word| word.len() <= 255).map(Into::into)
}

const QUIT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a server may take for the reply or handshake that is pending when the probe is given up.
const GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::target::{Endpoint, ServerName};

    /// `sent` are the bytes that a server has sent when the probe is given up, `then` those that it sends after that; the
    /// result is the code of the greeting, if it is awaited.
    async fn check(sent: &str, then: &str, expected: Option<u16>) {
        let tls = TlsClients::new().expect("TLS clients");
        let server_name = ServerName::parse("smtp.example.com").expect("a name");
        let endpoint = Endpoint { server_name, port: 25, tls: TlsMode::StartTls };
        let backend = Backend::new(Arc::new(endpoint), [192, 0, 2, 1].into());
        let (settings, cancel) = (ProbeSettings::default(), CancellationToken::new());
        let start = Instant::now();
        let session = ProbeSession { tls: &tls, backend: &backend, settings: &settings, start, cancel: &cancel };
        let (client, mut server) = tokio::io::duplex(100);
        let mut dialogue = Dialogue::new(client);
        let mut greeting = Box::pin(session.greeting(&mut dialogue));
        server.write_all(sent.as_bytes()).await.expect("the first bytes");
        assert!((&mut greeting).now_or_never().is_none(), "{sent:?}");
        cancel.cancel();
        server.write_all(then.as_bytes()).await.expect("the rest");
        match greeting.await {
            Ok(reply) => assert_eq!(Some(reply.code), expected, "{sent:?}"),
            Err(end) => assert!(matches!(end, DialogueEnd::Abandoned) && expected.is_none(), "{sent:?}"),
        }
    }

    #[tokio::test]
    async fn a_given_up_probe_awaits_a_greeting_that_has_begun() {
        check("", "", None).await;
        check("2", "20 mail.example.com\r\n", Some(220)).await;
        check("220-mail.example.com\r\n", "220 mail.example.com\r\n", Some(220)).await;
        check("554-no\r\n554", " no\r\n", Some(554)).await;
    }
}
