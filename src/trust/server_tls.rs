//! The TLS of the exporter's own HTTP server.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoClientAuth, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Root;
use client_verifier::ClientVerifier;

pub use names::{CipherSuite, Curve, TlsVersion};

mod client_verifier;
mod names;

/// What the TLS of the HTTP server is built from.
#[derive(Debug)]
pub struct ServerTlsSettings {
    /// The certificate of the server, then its intermediates; not empty.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key of the certificate.
    pub key: PrivateKeyDer<'static>,
    /// Whether clients are asked for certificates, and which are accepted.
    pub client_auth: ClientAuth,
    /// What client certificates must chain to.
    pub client_roots: Vec<Root>,
    /// Whether the names of `client_roots` are sent to clients, which choose their certificate by them.
    pub announces_roots: bool,
    /// A client certificate must have one of these subject alternative names; none if it does not matter.
    pub client_sans: Option<Vec<String>>,
    /// The lowest version.
    pub min_version: TlsVersion,
    /// The highest version, which is not lower.
    pub max_version: TlsVersion,
    /// The cipher suites for TLS 1.2 by preference; all if empty.
    pub cipher_suites: Vec<CipherSuite>,
    /// The key exchange groups by preference; the default ones if empty.
    pub curves: Vec<Curve>,
    /// Whether the server's order of cipher suites counts rather than the client's.
    pub prefers_own_order: bool,
    /// Whether HTTP/2 is offered besides HTTP/1.1.
    pub http2: bool,
}

/// Whether clients are asked for a certificate, and which are accepted. A client always has to prove that it has the key of the
/// certificate that it presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Clients are not asked.
    None,
    /// Clients are asked; any certificate, or none.
    Request,
    /// Any certificate.
    RequireAny,
    /// A certificate that chains to a client CA, or none.
    VerifyIfGiven,
    /// A certificate that chains to a client CA.
    RequireAndVerify,
}

impl ClientAuth {
    /// The names in Go and their values. Two names have the same one.
    pub const ALL: [(&'static str, Self); 6] = [
        ("NoClientCert", Self::None),
        ("RequestClientCert", Self::Request),
        ("RequireAnyClientCert", Self::RequireAny),
        ("RequireClientCert", Self::RequireAny),
        ("VerifyClientCertIfGiven", Self::VerifyIfGiven),
        ("RequireAndVerifyClientCert", Self::RequireAndVerify),
    ];

    /// Whether certificates are verified by the client CAs.
    pub const fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }

    const fn requires(self) -> bool {
        matches!(self, Self::RequireAny | Self::RequireAndVerify)
    }
}

/// The TLS of the HTTP server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// The configuration for connections.
    pub config: Arc<ServerConfig>,
    /// Unix time in seconds from which the certificate is valid.
    pub not_before: i64,
    /// Unix time in seconds until which the certificate is valid.
    pub not_after: i64,
}

impl ServerTls {
    /// The TLS for these settings.
    ///
    /// # Errors
    /// If the settings do not fit together.
    pub fn new(settings: ServerTlsSettings) -> Result<Self, ServerTlsError> {
        let provider = Arc::new(provider(&settings));
        let [not_before, not_after] = validity(&settings.chain).ok_or(ServerTlsError::Malformed)?;
        let key = CertifiedKey::from_der(settings.chain, settings.key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => ServerTlsError::OtherKey,
            rustls::Error::InvalidCertificate(_) => ServerTlsError::Malformed,
            _ => ServerTlsError::UnusableKey,
        })?;
        let fits = |suite: &SupportedCipherSuite| match suite {
            SupportedCipherSuite::Tls12(suite) => key.key.choose_scheme(suite.sign).is_some(),
            SupportedCipherSuite::Tls13(_) => false,
        };
        if settings.max_version == TlsVersion::Tls12
            && settings.cipher_suites.iter().any(|suite| suite.is_of_tls12())
            && !provider.cipher_suites.iter().any(fits)
        {
            return Err(ServerTlsError::SuitesOfOtherKey);
        }
        let versions: Vec<&'static SupportedProtocolVersion> = [TlsVersion::Tls13, TlsVersion::Tls12]
            .into_iter()
            .filter(|version| (settings.min_version..=settings.max_version).contains(version))
            .map(TlsVersion::protocol)
            .collect();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|_| ServerTlsError::NoCipherSuite)?;
        let verifier: Arc<dyn rustls::server::danger::ClientCertVerifier> = match settings.client_auth {
            ClientAuth::None => Arc::new(NoClientAuth),
            client_auth => Arc::new(
                ClientVerifier::new(
                    client_auth,
                    settings.client_roots,
                    settings.announces_roots,
                    settings.client_sans,
                    &provider,
                )
                .map_err(ServerTlsError::ClientAuth)?,
            ),
        };
        let resolver = Arc::new(SingleCertAndKey::from(key));
        let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver);
        config.ignore_client_order = settings.prefers_own_order;
        config.alpn_protocols =
            if settings.http2 { vec![HTTP_2.to_vec(), HTTP_1.to_vec()] } else { vec![HTTP_1.to_vec()] };
        if settings.client_auth != ClientAuth::None {
            // A resumed session would not verify the client certificate again, which may have expired.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Self { config: Arc::new(config), not_before, not_after })
    }
}

/// The cipher suites of TLS 1.3 are always enabled, as in Go.
fn provider(settings: &ServerTlsSettings) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if !settings.cipher_suites.is_empty() {
        provider.cipher_suites.retain(|suite| suite.tls13().is_some());
        let chosen = settings.cipher_suites.iter().filter_map(|suite| suite.for_tls12());
        provider.cipher_suites.extend(chosen);
    }
    if !settings.curves.is_empty() {
        provider.kx_groups = settings.curves.iter().map(|curve| curve.group()).collect();
    }
    provider
}

/// The dates of the first certificate, in Unix time; none if it cannot be parsed.
fn validity(chain: &[CertificateDer<'_>]) -> Option<[i64; 2]> {
    let (_, certificate) = X509Certificate::from_der(chain.first()?).ok()?;
    let validity = certificate.validity();
    Some([validity.not_before.timestamp(), validity.not_after.timestamp()])
}

/// Why there is no TLS for the settings.
#[derive(Debug, Error)]
pub enum ServerTlsError {
    /// The certificate cannot be parsed.
    #[error("first certificate cannot be parsed")]
    Malformed,
    /// The key is invalid or of an unsupported type.
    #[error("private key is invalid or of an unsupported type")]
    UnusableKey,
    /// The key is not the one of the certificate.
    #[error("private key does not match the certificate")]
    OtherKey,
    /// No cipher suite can be used with any of the versions.
    #[error("no cipher suite for any of the enabled TLS versions")]
    NoCipherSuite,
    /// All cipher suites need a key of another type, so each handshake would fail.
    #[error("no cipher suite fits the key of the certificate: RSA keys need TLS_ECDHE_RSA_…, others TLS_ECDHE_ECDSA_…")]
    SuitesOfOtherKey,
    /// Client certificates cannot be verified.
    #[error("client certificates cannot be verified: {0}")]
    ClientAuth(VerifierError),
}

/// Why there is no verifier of client certificates.
pub type VerifierError = rustls::server::VerifierBuilderError;

/// Protocol names (RFC 7301 §6, RFC 9113 §3.1).
const HTTP_1: &[u8] = b"http/1.1";
const HTTP_2: &[u8] = b"h2";
