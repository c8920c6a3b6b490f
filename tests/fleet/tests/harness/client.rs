//! A mail client as simple as can be: EHLO, STARTTLS, EHLO, QUIT, with the certificate verified.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use smtp_fleet::{Identity, Pki, TlsMode, profiles};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Trusts the PKI's root, and shows `identity` where one is asked for.
pub(crate) fn trusting(pki: &Pki, identity: Option<&Identity>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(pki.root_der()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = identity.key().map(PrivateKeyDer::clone_key).unwrap();
            builder.with_client_auth_cert(identity.chain().to_vec(), key).unwrap()
        }
    })
}

/// What a visit that came to its end saw.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The code that answered EHLO inside TLS.
    pub(crate) ehlo: String,
    /// The certificate presented.
    pub(crate) leaf: CertificateDer<'static>,
}

/// A whole conversation. The error names the stage and what went wrong there.
pub(crate) async fn visit(addr: SocketAddr, tls: TlsMode, config: &Arc<ClientConfig>) -> Result<Seen, String> {
    let stream = TcpStream::connect(addr).await.map_err(at("connect"))?;
    match tls {
        TlsMode::Implicit => inside(stream, config, true).await,
        TlsMode::StartTls => {
            let mut wire = BufReader::new(stream);
            expect(&mut wire, "greeting", "220").await?;
            let offers = ask(&mut wire, "EHLO client.example.net").await?;
            if !offers.iter().any(|line| line[3..].contains("STARTTLS")) {
                ask(&mut wire, "QUIT").await?;
                return Err("ehlo: no STARTTLS".to_owned());
            }
            wire.write_all(b"STARTTLS\r\n").await.map_err(at("starttls"))?;
            expect(&mut wire, "starttls", "220").await?;
            if !wire.buffer().is_empty() {
                return Err("starttls: plaintext behind the reply".to_owned());
            }
            inside(wire.into_inner(), config, false).await
        }
    }
}

async fn inside(stream: TcpStream, config: &Arc<ClientConfig>, greeted: bool) -> Result<Seen, String> {
    let name = ServerName::try_from(profiles::ALIAS).unwrap();
    let handshake = TlsConnector::from(Arc::clone(config)).connect(name, stream);
    let stream = timeout(PATIENCE, handshake).await;
    let stream = stream.map_err(at("handshake"))?.map_err(at("handshake"))?;
    let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let mut wire = BufReader::new(stream);
    if greeted {
        expect(&mut wire, "greeting", "220").await?;
    }
    let ehlo = ask(&mut wire, "EHLO client.example.net").await?;
    let bye = ask(&mut wire, "QUIT").await?;
    assert_eq!(&bye[0][..3], "221");
    assert_eq!(wire.read(&mut [0]).await.map_err(at("end"))?, 0);
    let ehlo = ehlo[0][..3].to_owned();
    Ok(Seen { ehlo, leaf })
}

async fn ask<S>(wire: &mut BufReader<S>, command: &str) -> Result<Vec<String>, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let line = format!("{command}\r\n");
    wire.write_all(line.as_bytes()).await.map_err(at(command))?;
    wire.flush().await.map_err(at(command))?;
    reply(wire).await.map_err(at(command))
}

async fn expect<S>(wire: &mut BufReader<S>, stage: &str, code: &str) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let lines = reply(wire).await.map_err(at(stage))?;
    match lines[0].starts_with(code) {
        true => Ok(()),
        false => {
            // A refused client still says goodbye (RFC 5321 §3.1), if it is still heard.
            let _ = ask(wire, "QUIT").await;
            Err(format!("{stage}: {}", &lines[0][..3]))
        }
    }
}

/// A reply (RFC 5321 §4.2.1) of 4 KiB at most.
pub(crate) async fn reply<S>(wire: &mut BufReader<S>) -> io::Result<Vec<String>>
where
    S: AsyncRead + Unpin,
{
    let mut lines: Vec<String> = Vec::new();
    let mut limited = wire.take(4096);
    loop {
        let mut line = String::new();
        timeout(PATIENCE, limited.read_line(&mut line)).await??;
        let line = match line.strip_suffix("\r\n") {
            Some(line) => line.to_owned(),
            None if limited.limit() == 0 => return Err(io::Error::other("too long")),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        };
        if line.len() < 3 || lines.last().is_some_and(|last| last[..3] != line[..3]) {
            return Err(io::Error::other("malformed"));
        }
        let more = line[3..].starts_with('-');
        lines.push(line);
        if !more {
            return Ok(lines);
        }
    }
}

fn at<E: std::fmt::Debug>(stage: &str) -> impl FnOnce(E) -> String {
    move |error| format!("{stage}: {error:?}")
}

/// A failure where a test expected an answer.
const PATIENCE: Duration = Duration::from_secs(20);
