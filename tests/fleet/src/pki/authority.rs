//! Certificate authorities and keys.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose,
    NameConstraints,
};
use rustls::crypto::aws_lc_rs;
use rustls::sign::SigningKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

use super::KeyKind;

/// A certificate authority, or, if [`AuthoritySpec::ca`] is false, an issuer whose certificate is not a CA certificate.
/// Cheap to clone.
#[derive(Clone)]
pub struct Authority(Arc<AuthorityInner>);

impl Authority {
    /// Creates a self-signed authority.
    pub fn root(spec: &AuthoritySpec) -> Self {
        let key = Key::generate(spec.key);
        let params = spec.params(1);
        let certificate = params.self_signed(&key.pair);
        let der = certificate.expect("a generated key signs").der().clone();
        Self::from_parts(params, key, der, Vec::new())
    }

    /// Creates an authority under this one.
    pub fn sub(&self, spec: &AuthoritySpec) -> Self {
        let key = Key::generate(spec.key);
        let params = spec.params(self.next_serial());
        let certificate = params.signed_by(&key.pair, &self.0.issuer);
        let der = certificate.expect("a generated key signs").der().clone();
        let mut presented = vec![der.clone()];
        presented.extend(self.0.presented.iter().cloned());
        Self::from_parts(params, key, der, presented)
    }

    /// The authority's own certificate.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.0.der
    }

    /// This authority and those above it, without the root: what a server sends after the leaf.
    pub(super) fn presented(&self) -> &[CertificateDer<'static>] {
        &self.0.presented
    }

    pub(super) fn signer(&self) -> &rcgen::Issuer<'static, KeyPair> {
        &self.0.issuer
    }

    fn from_parts(
        params: CertificateParams,
        key: Key,
        der: CertificateDer<'static>,
        presented: Vec<CertificateDer<'static>>,
    ) -> Self {
        Self(Arc::new(AuthorityInner {
            issuer: rcgen::Issuer::new(params, key.pair),
            der,
            presented,
            serial: AtomicU64::new(2),
        }))
    }

    pub(super) fn next_serial(&self) -> u64 {
        self.0.serial.fetch_add(1, Ordering::Relaxed)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

struct AuthorityInner {
    issuer: rcgen::Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    presented: Vec<CertificateDer<'static>>,
    serial: AtomicU64,
}

/// The content of an authority's certificate.
#[derive(Clone, Debug)]
pub struct AuthoritySpec {
    /// The subject.
    pub common_name: String,
    /// Start of validity, in seconds from now.
    pub not_before: i64,
    /// End of validity, in seconds from now.
    pub not_after: i64,
    /// The maximum number of intermediates below it (RFC 5280 §4.2.1.9); `None` means no limit.
    pub path_length: Option<u8>,
    /// The cA flag of the basic constraints.
    pub ca: bool,
    /// Domains it may issue for (RFC 5280 §4.2.1.10); empty means no constraint.
    pub permitted_domains: Vec<String>,
    /// The kind of key.
    pub key: KeyKind,
}

impl AuthoritySpec {
    /// A correct authority, valid from a month ago for ten years.
    pub fn named(common_name: &str) -> Self {
        Self {
            common_name: common_name.to_owned(),
            not_before: -30 * DAY,
            not_after: 3650 * DAY,
            path_length: None,
            ca: true,
            permitted_domains: Vec::new(),
            key: KeyKind::P256,
        }
    }

    fn params(&self, serial: u64) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.serial_number = Some(serial.into());
        params.not_before = from_now(self.not_before);
        params.not_after = from_now(self.not_after);
        params.distinguished_name = subject(Some(&self.common_name));
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.is_ca = match (self.ca, self.path_length) {
            (false, _) => IsCa::ExplicitNoCa,
            (true, None) => IsCa::Ca(BasicConstraints::Unconstrained),
            (true, Some(below)) => IsCa::Ca(BasicConstraints::Constrained(below)),
        };
        if !self.permitted_domains.is_empty() {
            let domains = self.permitted_domains.iter().cloned();
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: domains.map(GeneralSubtree::DnsName).collect(),
                excluded_subtrees: Vec::new(),
            });
        }
        params
    }
}

/// A private key, as rcgen and rustls use it.
pub(super) struct Key {
    pub(super) pair: KeyPair,
    pub(super) signer: Arc<dyn SigningKey>,
}

impl Key {
    pub(super) fn generate(kind: KeyKind) -> Self {
        let pair = KeyPair::generate_for(match kind {
            KeyKind::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyKind::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyKind::Ed25519 => &rcgen::PKCS_ED25519,
            KeyKind::Rsa2048 => &rcgen::PKCS_RSA_SHA256,
        });
        let pair = pair.expect("a key is generated");
        let signer = aws_lc_rs::sign::any_supported_type(&pkcs8(&pair));
        Self { signer: signer.expect("a generated key is supported"), pair }
    }

    pub(super) fn der(&self) -> PrivateKeyDer<'static> {
        pkcs8(&self.pair)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

pub(super) fn subject(common_name: Option<&str>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(common_name) = common_name {
        subject.push(DnType::CommonName, common_name);
    }
    subject
}

pub(super) fn from_now(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::seconds(seconds)
}

fn pkcs8(pair: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(pair.serialize_der()).into()
}

/// Seconds.
pub(super) const DAY: i64 = 86_400;
