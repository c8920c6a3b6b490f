//! TLS that keeps what the server presents and concludes nothing: the verifier here lets every handshake finish,
//! so that a bad certificate can be read and the session be ended politely. Judging is the verdict's work.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ClientConfig, DigitallySignedStruct, ProtocolVersion, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::observation::{Connection, KeyProof, PresentedChain};
use crate::target::ClientCertificate;

/// Makes TLS clients. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct TlsClients {
    provider: Arc<CryptoProvider>,
    schemes: Arc<[SignatureScheme]>,
    template: ClientConfig,
}

impl TlsClients {
    /// TLS 1.2 and 1.3, all that the provider has, and no resumption: a resumed handshake shows no certificate, and
    /// a cache keyed by server name would report one backend with another's.
    pub(super) fn new() -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let schemes: Arc<[_]> = provider.signature_verification_algorithms.supported_schemes().into();
        let mut template = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Capture::new(Arc::clone(&schemes))))
            .with_no_client_auth();
        template.resumption = Resumption::disabled();
        Ok(Self { provider, schemes, template })
    }

    /// Shakes hands as a client of `name`, which is the SNI unless it is an IP address.
    /// What the server presented lands in the returned capture's hands even when the handshake fails later.
    pub(super) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        name: ServerName<'static>,
        identity: Option<&ClientCertificate>,
        stream: S,
        capture: &mut Option<Arc<Capture>>,
    ) -> io::Result<TlsStream<S>> {
        let fresh = Arc::new(Capture::new(Arc::clone(&self.schemes)));
        *capture = Some(Arc::clone(&fresh));
        let key = identity.map(|identity| self.certified_key(identity)).transpose().map_err(io::Error::other)?;
        let mut config = self.template.clone();
        config.client_auth_cert_resolver = Arc::new(Requested { capture: Arc::clone(&fresh), key });
        config.dangerous().set_certificate_verifier(fresh);
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    fn certified_key(&self, identity: &ClientCertificate) -> Result<Arc<CertifiedKey>, rustls::Error> {
        let key = self.provider.key_provider.load_private_key(identity.key().clone_key())?;
        Ok(Arc::new(CertifiedKey::new(identity.chain().to_vec(), key)))
    }
}

/// The parameters of a finished handshake.
pub(super) fn connection<S>(stream: &TlsStream<S>) -> Connection {
    let (_, session) = stream.get_ref();
    Connection {
        version: match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "unknown",
        },
        cipher: session.negotiated_cipher_suite().map_or("unknown", |suite| registered_name(suite.suite())),
        group: session.negotiated_key_exchange_group().and_then(|group| group.name().as_str()).unwrap_or("unknown"),
    }
}

/// The suite's name in IANA's registry, and so in other programs (RFC 8446 §B.4); the library has its own for TLS 1.3.
fn registered_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        _ => suite.as_str().unwrap_or("unknown"),
    }
}

/// What the server presented in one handshake, filled while it runs.
#[derive(Debug)]
pub(super) struct Capture {
    schemes: Arc<[SignatureScheme]>,
    presented: Mutex<Option<PresentedChain>>,
    proof: Mutex<Option<KeyProof>>,
    certificate_requested: AtomicBool,
}

impl Capture {
    fn new(schemes: Arc<[SignatureScheme]>) -> Self {
        Self {
            schemes,
            presented: Mutex::default(),
            proof: Mutex::default(),
            certificate_requested: AtomicBool::new(false),
        }
    }

    /// Takes out what was presented.
    pub(super) fn take(&self) -> (Option<PresentedChain>, Option<KeyProof>) {
        (self.presented.lock().take(), self.proof.lock().take())
    }

    /// Whether the server asked for a client certificate.
    pub(super) fn certificate_requested(&self) -> bool {
        self.certificate_requested.load(Ordering::Relaxed)
    }

    fn keep_proof(&self, message: &[u8], dss: &DigitallySignedStruct, tls13: bool) {
        let proof =
            KeyProof { scheme: dss.scheme.into(), tls13, message: message.into(), signature: dss.signature().into() };
        *self.proof.lock() = Some(proof);
    }
}

/// The signature is kept and judged after the handshake, over the key itself: the library's own check parses the
/// certificate first and fails for version 1 and unknown critical extensions, whatever the signature.
impl ServerCertVerifier for Capture {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificates =
            std::iter::once(end_entity).chain(intermediates).map(|der| der.clone().into_owned()).collect();
        *self.presented.lock() = Some(PresentedChain { certificates, staple: ocsp_response.into() });
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        _: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.keep_proof(message, dss, false);
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        _: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.keep_proof(message, dss, true);
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.to_vec()
    }
}

/// Notes that the server asked for a certificate, and gives the one there is.
#[derive(Debug)]
struct Requested {
    capture: Arc<Capture>,
    key: Option<Arc<CertifiedKey>>,
}

impl ResolvesClientCert for Requested {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.capture.certificate_requested.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        // Only true makes the library ask `resolve`, which is how a request is noticed.
        true
    }
}
