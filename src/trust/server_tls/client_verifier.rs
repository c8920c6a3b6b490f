//! Checks the certificates of HTTP clients.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{ClientAuth, VerifierError};
use crate::trust::{Root, check_dates};

/// Asks clients for a certificate.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    client_auth: ClientAuth,
    /// None if certificates are not verified.
    chains: Option<Arc<dyn ClientCertVerifier>>,
    roots: Vec<Root>,
    hints: Vec<DistinguishedName>,
    sans: Option<Vec<String>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientVerifier {
    pub(super) fn new(
        client_auth: ClientAuth,
        roots: Vec<Root>,
        announces_roots: bool,
        sans: Option<Vec<String>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, VerifierError> {
        let store = RootCertStore { roots: roots.iter().map(|root| root.anchor().clone()).collect() };
        let hints = if announces_roots { store.subjects() } else { Vec::new() };
        let algorithms = provider.signature_verification_algorithms;
        let chains = if client_auth.verifies() {
            Some(WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider)).build()?)
        } else {
            None
        };
        Ok(Self { client_auth, chains, roots, hints, sans, algorithms })
    }

    /// Whether the certificate itself is one of the client CAs, as a self-signed one may be.
    fn is_root(&self, certificate: &CertificateDer<'_>) -> bool {
        self.roots.iter().filter_map(Root::certificate).any(|root| root.as_ref() == certificate.as_ref())
    }

    fn has_permitted_san(&self, certificate: &X509Certificate<'_>) -> bool {
        let Some(permitted) = &self.sans else { return true };
        let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
        names.value.general_names.iter().filter_map(text_of).any(|name| permitted.contains(&name))
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        // Without a certificate there is no name that is permitted.
        self.client_auth.requires() || self.sans.is_some()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let (_, parsed) = X509Certificate::from_der(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        if let Some(chains) = &self.chains {
            // A path of one certificate, which may be that of a CA.
            if self.is_root(end_entity) {
                check_single(&parsed, now)?;
            } else {
                chains.verify_client_cert(end_entity, intermediates, now)?;
            }
        }
        if !self.has_permitted_san(&parsed) {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Checks the dates and the purpose of a certificate that is trusted as it is.
fn check_single(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), CertificateError> {
    check_dates(certificate, now)?;
    match certificate.extended_key_usage() {
        Ok(Some(usage)) if !usage.value.client_auth && !usage.value.any => Err(CertificateError::InvalidPurpose),
        Ok(_) => Ok(()),
        Err(_) => Err(CertificateError::BadEncoding),
    }
}

/// A subject alternative name as it is written in `client_allowed_sans`; none for other types (RFC 5280 §4.2.1.6).
fn text_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => Some((*text).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(|octets| IpAddr::from(Ipv4Addr::from(octets)));
            let address =
                v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(|octets| Ipv6Addr::from(octets).to_canonical()));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}
