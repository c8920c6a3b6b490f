//! TLS connections of commands to HTTP servers, such as a running exporter. Unlike those of probes, they are made to verified
//! servers only, unless verification is disabled.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::target::ClientCertificate;
use crate::trust::{Root, check_dates};

/// Which servers are trusted.
pub enum ServerTrust {
    /// Those whose chain ends at one of these roots, and those that present one of them as their own certificate, which is
    /// common for self-signed certificates.
    Roots(Vec<Root>),
    /// All: nothing is verified.
    Any,
}

/// Connects to HTTP servers with TLS 1.2 or 1.3, and verifies the server.
pub struct TlsClient(TlsConnector);

impl TlsClient {
    /// A client that sends `certificate` to servers that request one.
    ///
    /// # Errors
    /// If there are no roots, or if the certificate is unusable.
    pub fn new(trust: ServerTrust, certificate: Option<ClientCertificate>) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match trust {
            ServerTrust::Roots(roots) => Arc::new(RootsOrPinned::new(roots, &provider)?),
            ServerTrust::Any => Arc::new(AcceptAny(Arc::clone(&provider))),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match certificate {
            Some(certificate) => builder.with_client_auth_cert(certificate.chain, certificate.key)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Performs a handshake with the server of this name or IP address.
    ///
    /// # Errors
    /// If the name is invalid, the handshake fails or the server is not trusted.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(&self, host: &str, stream: S) -> io::Result<TlsStream<S>> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.0.connect(name, stream).await
    }
}

/// A TLS error for people, with what to do about it.
pub struct Explained<'a>(pub &'a (dyn std::error::Error + 'static));

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut found = Some(self.0);
        while let Some(error) = found {
            // An I/O error is transparent to the error that it wraps.
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let tls = error.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref::<Error>()));
            if let Some(tls) = tls {
                return explain(tls, f);
            }
            found = error.source();
        }
        fmt::Display::fmt(self.0, f)
    }
}

fn explain(error: &Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use rustls::AlertDescription::{AccessDenied, BadCertificate, CertificateRequired, UnknownCA};
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => write!(f, "invalid server certificate: {other}"),
        Error::InvalidCertificate(error) => match certificate_problem(error) {
            Some(problem) => write!(f, "invalid server certificate: {problem}"),
            None => write!(f, "invalid server certificate: {error}"),
        },
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            f.write_str("the server does not use TLS on this port")
        }
        Error::AlertReceived(CertificateRequired) => {
            f.write_str("the server requires a client certificate; --cert-file and --key-file set it")
        }
        Error::AlertReceived(BadCertificate | UnknownCA | AccessDenied) => {
            write!(f, "{error}: the server may require another client certificate (--cert-file, --key-file)")
        }
        _ => write!(f, "{error}"),
    }
}

/// What is wrong with a certificate; none if the text of the error says it: rustls prints these as the code names them.
fn certificate_problem(error: &CertificateError) -> Option<&'static str> {
    use CertificateError as Why;
    Some(match error {
        Why::UnknownIssuer => "its issuer is not trusted; --ca-file sets the trusted roots",
        Why::BadEncoding => "it is malformed",
        Why::BadSignature => "a signature in its chain is invalid",
        Why::UnsupportedSignatureAlgorithmContext { .. }
        | Why::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "a signature algorithm in its chain is not supported, or not for the key of the issuer"
        }
        Why::InvalidPurpose => "its extended key usage does not permit server authentication",
        Why::UnhandledCriticalExtension => "it has a critical extension that is not supported",
        Why::Revoked => "it is revoked",
        _ => return None,
    })
}

/// Verifies chains as browsers do. In addition, a trusted certificate may be the server's own, even if it is that of a CA.
#[derive(Debug)]
struct RootsOrPinned {
    chains: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl RootsOrPinned {
    fn new(roots: Vec<Root>, provider: &Arc<CryptoProvider>) -> Result<Self, Error> {
        let anchors = RootCertStore { roots: roots.iter().map(|root| root.anchor().clone()).collect() };
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(anchors), Arc::clone(provider)).build();
        let chains = chains.map_err(|error| Error::General(error.to_string()))?;
        Ok(Self { chains, pinned: roots.iter().filter_map(|root| root.certificate().cloned()).collect() })
    }
}

impl ServerCertVerifier for RootsOrPinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        staple: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.pinned.iter().any(|pinned| pinned == leaf) {
            return self.chains.verify_server_cert(leaf, intermediates, name, staple, now);
        }
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| CertificateError::BadEncoding)?;
        check_dates(&parsed, now)?;
        verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// Accepts all servers.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _staple: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::UnixTime;

    use super::*;

    #[test]
    fn explains_certificate_errors_in_words() {
        use CertificateError as Why;
        let (oid, time) = (Vec::new(), UnixTime::since_unix_epoch(std::time::Duration::ZERO));
        let cases = [
            (Why::UnknownIssuer, "--ca-file"),
            (Why::BadEncoding, "malformed"),
            (Why::BadSignature, "signature"),
            (
                Why::UnsupportedSignatureAlgorithmForPublicKeyContext {
                    signature_algorithm_id: oid.clone(),
                    public_key_algorithm_id: oid,
                },
                "signature algorithm",
            ),
            (Why::InvalidPurpose, "extended key usage"),
            (Why::UnhandledCriticalExtension, "critical extension"),
            (Why::Revoked, "revoked"),
            (Why::ExpiredContext { time, not_after: time }, "expired"),
        ];
        for (error, expected) in cases {
            let error = Error::InvalidCertificate(error);
            let text = Explained(&error).to_string();
            let text = text.strip_prefix("invalid server certificate: ").unwrap_or_else(|| panic!("{text}"));
            let is_code = |word: &str| word.chars().skip(1).any(char::is_uppercase) && word != "(UNIX),";
            assert!(text.contains(expected) && !text.contains(['{', '[']), "{text}");
            assert!(!text.split(' ').any(is_code), "{text}");
        }
    }
}
