//! The one interpreter of scripts: SMTP (RFC 5321) with STARTTLS (RFC 3207), as far as a probe goes.

use std::io;

use rustls::HandshakeKind;
use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::{Transport, Wire, end};
use super::prepared::Scene;
use super::session_log::Visit;
use crate::script::{Fault, Script, Step, Termination, TlsMode};

/// Plays a scene on a connection, to its end. `visit` learns what the client does as it does it.
pub(crate) async fn play(stream: TcpStream, scene: &Scene<'_>, visit: &mut Visit) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if let Some(how) = scene.script.termination(Step::Connected) {
        return end(stream, how, visit).await;
    }
    match scene.tls {
        TlsMode::Implicit => {
            let Some(stream) = secure(stream, scene, visit).await? else {
                return Ok(());
            };
            let wire = Wire::new(stream, scene.script.delivery);
            let Some(wire) = greet(wire, scene.script, visit).await? else {
                return Ok(());
            };
            converse(wire, scene, Privacy::Tls, visit).await.map(drop)
        }
        TlsMode::StartTls => {
            let wire = Wire::new(stream, scene.script.delivery);
            let Some(wire) = greet(wire, scene.script, visit).await? else {
                return Ok(());
            };
            let Some(stream) = converse(wire, scene, Privacy::Plain, visit).await? else {
                return Ok(());
            };
            let Some(stream) = secure(stream, scene, visit).await? else {
                return Ok(());
            };
            let wire = Wire::new(stream, scene.script.delivery);
            converse(wire, scene, Privacy::Tls, visit).await.map(drop)
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Privacy {
    Plain,
    Tls,
}

/// Sends the greeting; the wire, if the conversation goes on.
async fn greet<S: Transport>(mut wire: Wire<S>, script: &Script, visit: &mut Visit) -> io::Result<Option<Wire<S>>> {
    for chunk in &script.greeting {
        if wire.overhears(chunk.pause).await? {
            visit.session.early_talker = true;
            if let Some(reply) = &script.pregreet {
                wire.send(format!("{reply}\r\n").as_bytes()).await?;
                wire.end(Termination::Close, visit).await?;
                return Ok(None);
            }
        }
        wire.send(&chunk.bytes).await?;
    }
    match script.fault {
        Fault::EndlessLines => forever(&mut wire, b"", b"220-and there is more\r\n").await?,
        Fault::EndlessLine => forever(&mut wire, b"220 ", b"and so on ").await?,
        _ => {}
    }
    match script.termination(Step::Greeted) {
        Some(how) => wire.end(how, visit).await.map(|()| None),
        None => Ok(Some(wire)),
    }
}

/// Returns only by an error: the client is gone.
async fn forever<S: Transport>(wire: &mut Wire<S>, first: &[u8], rest: &[u8]) -> io::Result<()> {
    wire.send(first).await?;
    let rest = rest.repeat(128);
    loop {
        wire.send(&rest).await?;
    }
}

/// Shakes hands; the secured stream, if the conversation goes on.
async fn secure(stream: TcpStream, scene: &Scene<'_>, visit: &mut Visit) -> io::Result<Option<TlsStream<TcpStream>>> {
    let Some(config) = scene.config else {
        return end(stream, Termination::Close, visit).await.map(|()| None);
    };
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    visit.session.sni = hello.client_hello().server_name().map(str::to_owned);
    if let Some(how) = scene.script.termination(Step::ClientHello) {
        return end(hello.io, how, visit).await.map(|()| None);
    }
    let stream = hello.into_stream(config.clone()).await?;
    visit.session.tls = true;
    visit.session.resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
    match scene.script.termination(Step::Tls) {
        Some(how) => end(stream, how, visit).await.map(|()| None),
        None => Ok(Some(stream)),
    }
}

/// Answers commands. What it returns, if anything, is a transport on which the client now starts TLS.
///
/// Nothing said before TLS is known here inside it: EHLO has to come again (RFC 3207 §4.2).
async fn converse<S: Transport>(
    mut wire: Wire<S>,
    scene: &Scene<'_>,
    privacy: Privacy,
    visit: &mut Visit,
) -> io::Result<Option<S>> {
    let script = scene.script;
    let mut introduced = false;
    while let Some(line) = wire.line().await? {
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        visit.session.commands.push(line);
        visit.session.quit |= verb == "QUIT";
        if let Some(how) = moment_of(&verb, privacy).and_then(|moment| script.termination(moment)) {
            return wire.end(how, visit).await.map(|()| None);
        }
        let reply = match verb.as_str() {
            "QUIT" => {
                visit.leave();
                wire.send(b"221 2.0.0 Bye\r\n").await?;
                return wire.end(Termination::Close, visit).await.map(|()| None);
            }
            _ if script.fault == Fault::RejectsAll => reply(&["503 5.5.1 Bad sequence of commands"]),
            "EHLO" => {
                introduced = true;
                match privacy {
                    Privacy::Plain => reply(&script.ehlo),
                    Privacy::Tls => reply(&script.ehlo_in_tls),
                }
            }
            "HELO" => {
                introduced = true;
                reply(&["250 mail.example.com"])
            }
            "NOOP" | "RSET" => reply(&["250 2.0.0 Ok"]),
            "STARTTLS" if privacy == Privacy::Tls => reply(&["503 5.5.1 Already in TLS"]),
            _ if !introduced => reply(&["503 5.5.1 Send EHLO first"]),
            "STARTTLS" => {
                if !script.starttls.first().is_some_and(|line| line.starts_with("220")) {
                    reply(&script.starttls)
                } else if scene.config.is_none() {
                    reply(&["454 4.7.0 TLS not available"])
                } else {
                    wire.send(reply(&script.starttls).as_bytes()).await?;
                    let (stream, pipelined) = wire.into_transport();
                    visit.session.early_talker |= pipelined;
                    return Ok(Some(stream));
                }
            }
            "MAIL" if privacy == Privacy::Plain => reply(&["530 5.7.0 Issue STARTTLS first"]),
            "MAIL" | "RCPT" | "DATA" => reply(&["550 5.7.1 No mail is taken here"]),
            _ => reply(&["500 5.5.2 Command unrecognized"]),
        };
        wire.send(reply.as_bytes()).await?;
    }
    wire.end(Termination::Close, visit).await.map(|()| None)
}

fn moment_of(verb: &str, privacy: Privacy) -> Option<Step> {
    match (verb, privacy) {
        ("EHLO", Privacy::Plain) => Some(Step::Ehlo),
        ("EHLO", Privacy::Tls) => Some(Step::EhloInTls),
        ("STARTTLS", Privacy::Plain) => Some(Step::StartTls),
        ("QUIT", _) => Some(Step::Quit),
        _ => None,
    }
}

fn reply<L: AsRef<str>>(lines: &[L]) -> String {
    lines.iter().flat_map(|line| [line.as_ref(), "\r\n"]).collect()
}

impl Script {
    fn termination(&self, moment: Step) -> Option<Termination> {
        match self.fault {
            Fault::Terminates { at, how } if at == moment => Some(how),
            _ => None,
        }
    }
}
