//! Requests for client certificates, and TLS alerts because of them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::Acceptor;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ConnectionTrafficSecrets, DigitallySignedStruct, DistinguishedName, OtherError, ProtocolVersion,
    RootCertStore, ServerConfig, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::terminate;
use super::session_log::SessionRecorder;
use crate::script::Termination;

/// Requests a certificate and accepts any, or none.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    /// The CAs in the request.
    subjects: Vec<DistinguishedName>,
    /// The signature schemes in the request.
    schemes: Vec<SignatureScheme>,
    /// A certificate is required.
    pub(super) is_mandatory: bool,
    /// Rejects every certificate with this alert.
    pub(super) alert: Option<u8>,
}

impl ClientVerifier {
    /// With the subject of `authority` in the request, and these schemes; all of the provider if there are none.
    pub(super) fn new(
        authority: &CertificateDer<'static>,
        schemes: &[SignatureScheme],
        provider: &CryptoProvider,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone()).expect("a client CA parses");
        let schemes = match schemes {
            [] => provider.signature_verification_algorithms.supported_schemes(),
            some => some.to_vec(),
        };
        Self { subjects: roots.subjects(), schemes, is_mandatory: false, alert: None }
    }
}

/// The error for which the TLS library sends the alert; for alerts about something else, any error.
fn error_for(alert: u8) -> CertificateError {
    match alert {
        43 => CertificateError::InvalidPurpose,
        44 => CertificateError::Revoked,
        45 => CertificateError::Expired,
        46 => CertificateError::Other(OtherError(Arc::new(io::Error::other("certificate unknown")))),
        48 => CertificateError::UnknownIssuer,
        49 => CertificateError::ApplicationVerificationFailure,
        51 => CertificateError::BadSignature,
        _ => CertificateError::BadEncoding,
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match self.alert {
            Some(alert) => Err(error_for(alert).into()),
            None => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// Performs a handshake that ends with `alert` after the client's Certificate and before its Finished is read.
pub(super) async fn abort_handshake(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
    alert: u8,
    recorder: &mut SessionRecorder,
) -> io::Result<()> {
    let stream = AlertStream { stream, alert };
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    recorder.session.sni = hello.client_hello().server_name().map(str::to_owned);
    match hello.into_stream(Arc::clone(config)).into_fallible().await {
        Ok(_) => Err(io::Error::other("the handshake did not fail")),
        Err((_, stream)) => terminate(stream.stream, Termination::Close, recorder).await,
    }
}

/// Replaces the alert in unencrypted alert records, which are those before Finished in TLS 1.2.
struct AlertStream {
    stream: TcpStream,
    alert: u8,
}

impl AsyncRead for AlertStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for AlertStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match buf {
            [21, 3, 3, 0, 2, level, _] => {
                let record = [21, 3, 3, 0, 2, *level, self.alert];
                Pin::new(&mut self.stream).poll_write(cx, &record)
            }
            _ => Pin::new(&mut self.stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Sends an encrypted fatal alert, which the TLS library does not do by itself, and returns the transport.
pub(super) async fn send_alert(stream: TlsStream<TcpStream>, alert: u8) -> io::Result<TcpStream> {
    let (mut stream, connection) = stream.into_inner();
    let is_tls13 = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
    let (sequence, secrets) = connection.dangerous_extract_secrets().map_err(io::Error::other)?.tx;
    let (algorithm, key, iv): (&Algorithm, _, _) = match &secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref()).map_err(io::Error::other)?);
    // RFC 8446 §5.3; RFC 5288 §3, with the nonce of TLS 1.3 as the explicit one.
    let mut nonce = [0; 12];
    nonce.copy_from_slice(iv.as_ref());
    nonce[4..].iter_mut().zip(sequence.to_be_bytes()).for_each(|(byte, mask)| *byte ^= mask);
    let record = if is_tls13 {
        let header = [23, 3, 3, 0, 19];
        seal(&key, nonce, &header, vec![2, alert, 21], &header)?
    } else {
        let additional = [&sequence.to_be_bytes()[..], &[21, 3, 3, 0, 2]].concat();
        let start = [&[21, 3, 3, 0, 26], &nonce[4..]].concat();
        seal(&key, nonce, &additional, vec![2, alert], &start)?
    };
    stream.write_all(&record).await?;
    Ok(stream)
}

/// `start` and the encrypted `content`.
fn seal(
    key: &LessSafeKey,
    nonce: [u8; 12],
    additional: &[u8],
    mut content: Vec<u8>,
    start: &[u8],
) -> io::Result<Vec<u8>> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::from(additional), &mut content).map_err(io::Error::other)?;
    Ok([start, &content].concat())
}
