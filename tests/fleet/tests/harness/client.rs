//! A mail client as simple as can be: EHLO, STARTTLS, EHLO, QUIT, with the certificate verified.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
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

/// Takes whatever certificate is presented, and whatever signature comes with it, which is noted in `proved`.
pub(crate) fn accepting(proved: &Arc<AtomicBool>) -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let verifier = Arc::new(AnyCertificate { algorithms, proved: Arc::clone(proved) });
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

#[derive(Debug)]
struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
    /// Whether the handshake was signed with the certificate's key, as far as rustls can tell.
    proved: Arc<AtomicBool>,
}

impl AnyCertificate {
    fn note(
        &self,
        proof: Result<HandshakeSignatureValid, rustls::Error>,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.proved.store(proof.is_ok(), Ordering::Relaxed);
        Ok(HandshakeSignatureValid::assertion())
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.note(verify_tls12_signature(message, leaf, signed, &self.algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.note(verify_tls13_signature(message, leaf, signed, &self.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
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
