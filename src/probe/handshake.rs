//! TLS handshakes that record what the server presents. The verifier accepts everything, so that a bad certificate can
//! be read and the session ended with QUIT; `verdict` checks the recorded chain and signature later.

use std::io;
use std::sync::Arc;

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
use crate::reason::ClientAuth;
use crate::target::ClientCertificate;

#[derive(Debug)]
pub(super) struct TlsClients {
    provider: Arc<CryptoProvider>,
    schemes: Arc<[SignatureScheme]>,
    template: ClientConfig,
}

impl TlsClients {
    /// TLS 1.2 and 1.3 with all algorithms of the provider. Resumption is disabled: a resumed handshake presents no
    /// certificate, and a cache keyed by server name would mix up the backends of a name.
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

    /// Performs a handshake with `name` as SNI, unless it is an IP address (RFC 6066 §3), and with `identity` as the
    /// client certificate. `capture` is set before it starts, so that what the server presented is kept even if the
    /// handshake fails.
    pub(super) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        name: ServerName<'static>,
        identity: Option<Identity>,
        stream: S,
        capture: &mut Option<Arc<Capture>>,
    ) -> io::Result<TlsStream<S>> {
        let verifier = Arc::new(Capture::new(Arc::clone(&self.schemes)));
        *capture = Some(Arc::clone(&verifier));
        let mut config = self.template.clone();
        config.client_auth_cert_resolver =
            Arc::new(ClientCertificateResolver { capture: Arc::clone(&verifier), identity });
        config.dangerous().set_certificate_verifier(verifier);
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// The certificate in the form that the TLS library uses.
    ///
    /// # Errors
    /// If its key cannot be used, which was checked when it was loaded.
    pub(super) fn identity(&self, certificate: &Arc<ClientCertificate>) -> Result<Identity, rustls::Error> {
        let key = self.provider.key_provider.load_private_key(certificate.key.clone_key())?;
        let key = Arc::new(CertifiedKey::new(certificate.chain.clone(), key));
        Ok(Identity { certificate: Arc::clone(certificate), key })
    }
}

/// A client certificate with its key.
#[derive(Debug)]
pub(super) struct Identity {
    certificate: Arc<ClientCertificate>,
    key: Arc<CertifiedKey>,
}

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

/// The suite's name in the IANA registry (RFC 8446 §B.4). The library's names for TLS 1.3 differ.
fn registered_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        _ => suite.as_str().unwrap_or("unknown"),
    }
}

/// Records what the server presents during one handshake.
#[derive(Debug, Default)]
pub(super) struct Capture {
    schemes: Arc<[SignatureScheme]>,
    presented: Mutex<Option<PresentedChain>>,
    proof: Mutex<Option<KeyProof>>,
    client_auth: Mutex<Option<ClientAuth>>,
}

impl Capture {
    fn new(schemes: Arc<[SignatureScheme]>) -> Self {
        Self { schemes, ..Self::default() }
    }

    pub(super) fn take(&self) -> (Option<PresentedChain>, Option<KeyProof>) {
        (self.presented.lock().take(), self.proof.lock().take())
    }

    /// How a request for a client certificate was answered; none if there was none, or the answer was not sent yet: a
    /// client sends it after it has checked the signature in TLS 1.2 (RFC 5246 §7.3), at the end of the handshake in
    /// TLS 1.3 (RFC 8446 §2).
    pub(super) fn client_auth(&self, is_finished: bool) -> Option<ClientAuth> {
        let is_sent = is_finished || self.proof.lock().as_ref().is_some_and(|proof| !proof.tls13);
        self.client_auth.lock().filter(|_| is_sent)
    }

    /// Whether the server has chosen cipher suite, group and signature scheme.
    pub(super) fn is_negotiated(&self) -> bool {
        self.proof.lock().is_some()
    }

    /// Records the signature, which `verdict` checks with the bare public key: the library's check parses the certificate
    /// first and fails for version 1 and unknown critical extensions, whatever the signature is.
    fn record_proof(&self, message: &[u8], dss: &DigitallySignedStruct, tls13: bool) -> HandshakeSignatureValid {
        let proof =
            KeyProof { scheme: dss.scheme.into(), tls13, message: message.into(), signature: dss.signature().into() };
        *self.proof.lock() = Some(proof);
        HandshakeSignatureValid::assertion()
    }
}

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
        Ok(self.record_proof(message, dss, false))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        _: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(self.record_proof(message, dss, true))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.to_vec()
    }
}

/// Answers a request for a client certificate, and records the answer. The configured certificate is sent even if the
/// server does not list its issuer: such lists may be incomplete (RFC 8446 §4.4.2.3: SHOULD).
#[derive(Debug)]
struct ClientCertificateResolver {
    capture: Arc<Capture>,
    identity: Option<Identity>,
}

impl ResolvesClientCert for ClientCertificateResolver {
    fn resolve(&self, acceptable: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let answer = match &self.identity {
            None => ClientAuth::NotConfigured,
            Some(Identity { key, .. }) if key.key.choose_scheme(schemes).is_none() => ClientAuth::NoCommonScheme,
            Some(Identity { certificate, .. }) if !certificate.is_issued_by_any(acceptable) => ClientAuth::SentUnlisted,
            Some(_) => ClientAuth::Sent,
        };
        *self.capture.client_auth.lock() = Some(answer);
        self.identity.as_ref().filter(|_| answer.is_sent()).map(|identity| Arc::clone(&identity.key))
    }

    fn has_certs(&self) -> bool {
        // The library calls `resolve`, which records the request, only if this is true.
        true
    }
}
