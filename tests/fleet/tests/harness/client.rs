//! A minimal mail client: EHLO, STARTTLS, EHLO, QUIT, with certificate verification.

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

/// Trusts the PKI's root, and presents `identity` if the server requests a client certificate.
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

/// What a complete session observed.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The reply code to EHLO inside TLS.
    pub(crate) ehlo: String,
    /// The certificate that the server presented.
    pub(crate) leaf: CertificateDer<'static>,
}

/// Runs a whole session. The error names the step and the cause.
pub(crate) async fn run_session(addr: SocketAddr, tls: TlsMode, config: &Arc<ClientConfig>) -> Result<Outcome, String> {
    let stream = TcpStream::connect(addr).await.map_err(at("connect"))?;
    match tls {
        TlsMode::Implicit => run_inside_tls(stream, config, true).await,
        TlsMode::StartTls => {
            let mut connection = BufReader::new(stream);
            expect_code(&mut connection, "greeting", "220").await?;
            let offers = send_command(&mut connection, "EHLO client.example.net").await?;
            if !offers.iter().any(|line| line[3..].contains("STARTTLS")) {
                send_command(&mut connection, "QUIT").await?;
                return Err("ehlo: no STARTTLS".to_owned());
            }
            connection.write_all(b"STARTTLS\r\n").await.map_err(at("starttls"))?;
            expect_code(&mut connection, "starttls", "220").await?;
            if !connection.buffer().is_empty() {
                return Err("starttls: plaintext after the reply".to_owned());
            }
            run_inside_tls(connection.into_inner(), config, false).await
        }
    }
}

async fn run_inside_tls(stream: TcpStream, config: &Arc<ClientConfig>, greeted: bool) -> Result<Outcome, String> {
    let name = ServerName::try_from(profiles::ALIAS).unwrap();
    let handshake = TlsConnector::from(Arc::clone(config)).connect(name, stream);
    let stream = timeout(TIMEOUT, handshake).await;
    let stream = stream.map_err(at("handshake"))?.map_err(at("handshake"))?;
    let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let mut connection = BufReader::new(stream);
    if greeted {
        expect_code(&mut connection, "greeting", "220").await?;
    }
    let ehlo = send_command(&mut connection, "EHLO client.example.net").await?;
    let bye = send_command(&mut connection, "QUIT").await?;
    assert_eq!(&bye[0][..3], "221");
    assert_eq!(connection.read(&mut [0]).await.map_err(at("end"))?, 0);
    let ehlo = ehlo[0][..3].to_owned();
    Ok(Outcome { ehlo, leaf })
}

async fn send_command<S>(connection: &mut BufReader<S>, command: &str) -> Result<Vec<String>, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let line = format!("{command}\r\n");
    connection.write_all(line.as_bytes()).await.map_err(at(command))?;
    connection.flush().await.map_err(at(command))?;
    read_reply(connection).await.map_err(at(command))
}

async fn expect_code<S>(connection: &mut BufReader<S>, step: &str, code: &str) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let lines = read_reply(connection).await.map_err(at(step))?;
    match lines[0].starts_with(code) {
        true => Ok(()),
        false => {
            // A rejected client still sends QUIT (RFC 5321 §3.1) if the connection is open.
            let _ = send_command(connection, "QUIT").await;
            Err(format!("{step}: {}", &lines[0][..3]))
        }
    }
}

/// Reads a reply (RFC 5321 §4.2.1) of at most 4 KiB.
pub(crate) async fn read_reply<S>(connection: &mut BufReader<S>) -> io::Result<Vec<String>>
where
    S: AsyncRead + Unpin,
{
    let mut lines: Vec<String> = Vec::new();
    let mut limited = connection.take(4096);
    loop {
        let mut line = String::new();
        timeout(TIMEOUT, limited.read_line(&mut line)).await??;
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

fn at<E: std::fmt::Debug>(step: &str) -> impl FnOnce(E) -> String {
    move |error| format!("{step}: {error:?}")
}

/// After this time a missing reply is a failure.
const TIMEOUT: Duration = Duration::from_secs(20);
