//! TLS client configurations for tests and benchmarks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// A verifier that accepts every certificate and every handshake signature.
#[derive(Debug)]
pub struct AcceptAny {
    provider: Arc<CryptoProvider>,
    signature_valid: Option<Arc<AtomicBool>>,
}

impl AcceptAny {
    /// Checks nothing.
    pub fn unchecked() -> Self {
        Self { provider: Arc::new(aws_lc_rs::default_provider()), signature_valid: None }
    }

    /// Checks the handshake signature and stores in `signature_valid` whether it is valid.
    pub fn recording(signature_valid: &Arc<AtomicBool>) -> Self {
        Self { signature_valid: Some(Arc::clone(signature_valid)), ..Self::unchecked() }
    }

    /// A client configuration with this verifier and without a client certificate.
    ///
    /// # Panics
    /// Never: the provider supports all protocol versions.
    pub fn into_config(self) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .expect("the provider supports all protocol versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(self))
            .with_no_client_auth()
    }

    fn accept(&self, verify: impl FnOnce() -> Result<HandshakeSignatureValid, rustls::Error>) -> Accepted {
        if let Some(signature_valid) = &self.signature_valid {
            signature_valid.store(verify().is_ok(), Ordering::Relaxed);
        }
        Ok(HandshakeSignatureValid::assertion())
    }
}

type Accepted = Result<HandshakeSignatureValid, rustls::Error>;

impl ServerCertVerifier for AcceptAny {
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

    fn verify_tls12_signature(&self, bytes: &[u8], leaf: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Accepted {
        self.accept(|| verify_tls12_signature(bytes, leaf, dss, &self.provider.signature_verification_algorithms))
    }

    fn verify_tls13_signature(&self, bytes: &[u8], leaf: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Accepted {
        self.accept(|| verify_tls13_signature(bytes, leaf, dss, &self.provider.signature_verification_algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
