//! The interpreter of scripts: the part of SMTP (RFC 5321) with STARTTLS (RFC 3207) that a probe uses.

use std::io;

use rustls::HandshakeKind;
use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::client_auth::{abort_handshake, send_alert};
use super::connection::{Connection, Transport, terminate};
use super::prepared::ConnectionSpec;
use super::session_log::SessionRecorder;
use crate::script::{Fault, Script, Step, Termination, TlsMode};

/// Serves one connection until it ends, and records in `recorder` what the client does.
pub(crate) async fn run(
    stream: TcpStream,
    spec: &ConnectionSpec<'_>,
    recorder: &mut SessionRecorder,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if let Some(how) = spec.script.termination(Step::Connected) {
        return terminate(stream, how, recorder).await;
    }
    match spec.tls {
        TlsMode::Implicit => {
            let Some(stream) = handshake(stream, spec, recorder).await? else {
                return Ok(());
            };
            let connection = Connection::new(stream, spec.script.delivery);
            let Some(connection) = send_greeting(connection, spec.script, recorder).await? else {
                return Ok(());
            };
            serve_commands(connection, spec, Channel::Tls, recorder).await.map(drop)
        }
        TlsMode::StartTls => {
            let connection = Connection::new(stream, spec.script.delivery);
            let Some(connection) = send_greeting(connection, spec.script, recorder).await? else {
                return Ok(());
            };
            let Some(stream) = serve_commands(connection, spec, Channel::Plain, recorder).await? else {
                return Ok(());
            };
            let Some(stream) = handshake(stream, spec, recorder).await? else {
                return Ok(());
            };
            let connection = Connection::new(stream, spec.script.delivery);
            serve_commands(connection, spec, Channel::Tls, recorder).await.map(drop)
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Channel {
    Plain,
    Tls,
}

/// Sends the greeting. Returns the connection if the session continues.
async fn send_greeting<S: Transport>(
    mut connection: Connection<S>,
    script: &Script,
    recorder: &mut SessionRecorder,
) -> io::Result<Option<Connection<S>>> {
    for chunk in &script.greeting {
        if connection.client_talks_within(chunk.pause).await? {
            recorder.session.early_talker = true;
            if let Some(reply) = &script.pregreet {
                connection.send(format!("{reply}\r\n").as_bytes()).await?;
                connection.terminate(Termination::Close, recorder).await?;
                return Ok(None);
            }
        }
        connection.send(&chunk.bytes).await?;
    }
    match script.fault {
        Fault::EndlessLines => send_forever(&mut connection, b"", b"220-and there is more\r\n").await?,
        Fault::EndlessLine => send_forever(&mut connection, b"220 ", b"and so on ").await?,
        _ => {}
    }
    match script.termination(Step::Greeted) {
        Some(how) => connection.terminate(how, recorder).await.map(|()| None),
        None => Ok(Some(connection)),
    }
}

/// Returns only on an error, when the client has disconnected.
async fn send_forever<S: Transport>(connection: &mut Connection<S>, first: &[u8], rest: &[u8]) -> io::Result<()> {
    connection.send(first).await?;
    let rest = rest.repeat(128);
    loop {
        connection.send(&rest).await?;
    }
}

/// Performs the TLS handshake. Returns the TLS stream if the session continues.
async fn handshake(
    stream: TcpStream,
    spec: &ConnectionSpec<'_>,
    recorder: &mut SessionRecorder,
) -> io::Result<Option<TlsStream<TcpStream>>> {
    let Some(config) = spec.config else {
        return terminate(stream, Termination::Close, recorder).await.map(|()| None);
    };
    if let Some(Termination::Alert(alert)) = spec.script.termination(Step::ClientCertificate) {
        return abort_handshake(stream, config, alert, recorder).await.map(|()| None);
    }
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    recorder.session.sni = hello.client_hello().server_name().map(str::to_owned);
    if let Some(how) = spec.script.termination(Step::ClientHello) {
        return terminate(hello.io, how, recorder).await.map(|()| None);
    }
    let stream = hello.into_stream(config.clone()).await?;
    recorder.session.tls = true;
    recorder.session.resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
    match spec.script.termination(Step::Tls) {
        Some(Termination::Alert(alert)) => {
            let stream = send_alert(stream, alert).await?;
            terminate(stream, Termination::Close, recorder).await.map(|()| None)
        }
        Some(how) => terminate(stream, how, recorder).await.map(|()| None),
        None => Ok(Some(stream)),
    }
}

/// Answers commands. Returns the transport if the client starts TLS on it.
///
/// State from before TLS is discarded: the client must send EHLO again (RFC 3207 §4.2).
async fn serve_commands<S: Transport>(
    mut connection: Connection<S>,
    spec: &ConnectionSpec<'_>,
    channel: Channel,
    recorder: &mut SessionRecorder,
) -> io::Result<Option<S>> {
    let script = spec.script;
    let mut greeted = false;
    while let Some(line) = connection.read_line().await? {
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        recorder.session.commands.push(line);
        recorder.session.quit |= verb == "QUIT";
        if let Some(how) = step_of(&verb, channel).and_then(|step| script.termination(step)) {
            return connection.terminate(how, recorder).await.map(|()| None);
        }
        let reply = match verb.as_str() {
            "QUIT" => {
                recorder.mark_closed();
                connection.send(b"221 2.0.0 Bye\r\n").await?;
                return connection.terminate(Termination::Close, recorder).await.map(|()| None);
            }
            _ if script.fault == Fault::RejectsAll => reply(&["503 5.5.1 Bad sequence of commands"]),
            "EHLO" => {
                greeted = true;
                match channel {
                    Channel::Plain => reply(&script.ehlo),
                    Channel::Tls => reply(&script.ehlo_in_tls),
                }
            }
            "HELO" => {
                greeted = true;
                reply(&["250 mail.example.com"])
            }
            "NOOP" | "RSET" => reply(&["250 2.0.0 Ok"]),
            "STARTTLS" if channel == Channel::Tls => reply(&["503 5.5.1 Already in TLS"]),
            _ if !greeted => reply(&["503 5.5.1 Send EHLO first"]),
            "STARTTLS" => {
                if !script.starttls.first().is_some_and(|line| line.starts_with("220")) {
                    reply(&script.starttls)
                } else if spec.config.is_none() {
                    reply(&["454 4.7.0 TLS not available"])
                } else {
                    connection.send(reply(&script.starttls).as_bytes()).await?;
                    let (stream, pipelined) = connection.into_transport();
                    recorder.session.early_talker |= pipelined;
                    return Ok(Some(stream));
                }
            }
            "MAIL" if channel == Channel::Plain => reply(&["530 5.7.0 Issue STARTTLS first"]),
            "MAIL" | "RCPT" | "DATA" => reply(&["550 5.7.1 Mail is not accepted here"]),
            _ => reply(&["500 5.5.2 Command unrecognized"]),
        };
        connection.send(reply.as_bytes()).await?;
    }
    connection.terminate(Termination::Close, recorder).await.map(|()| None)
}

fn step_of(verb: &str, channel: Channel) -> Option<Step> {
    match (verb, channel) {
        ("EHLO", Channel::Plain) => Some(Step::Ehlo),
        ("EHLO", Channel::Tls) => Some(Step::EhloInTls),
        ("STARTTLS", Channel::Plain) => Some(Step::StartTls),
        ("QUIT", _) => Some(Step::Quit),
        _ => None,
    }
}

fn reply<L: AsRef<str>>(lines: &[L]) -> String {
    lines.iter().flat_map(|line| [line.as_ref(), "\r\n"]).collect()
}

impl Script {
    pub(super) fn termination(&self, step: Step) -> Option<Termination> {
        match self.fault {
            Fault::Terminates { at, how } if at == step => Some(how),
            _ => None,
        }
    }
}
