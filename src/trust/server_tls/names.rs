//! The names of versions, cipher suites and key exchange groups in Go, which configuration files use.

use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::{cipher_suite as suites, kx_group as groups};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl TlsVersion {
    /// The names and their versions.
    pub const ALL: [(&'static str, Self); 2] = [("TLS12", Self::Tls12), ("TLS13", Self::Tls13)];

    pub(super) fn protocol(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::Tls12 => &version::TLS12,
            Self::Tls13 => &version::TLS13,
        }
    }
}

/// A cipher suite that can be configured.
#[derive(Clone, Copy, Debug)]
pub struct CipherSuite(SupportedCipherSuite);

impl CipherSuite {
    /// The suite with this name (RFC 8446 §B.4, RFC 5289, RFC 7905).
    pub fn from_name(name: &str) -> Option<Self> {
        SUITES.iter().find(|(known, _)| *known == name).map(|(_, suite)| Self(*suite))
    }

    /// The names of all suites that can be configured.
    pub fn names() -> Vec<&'static str> {
        SUITES.iter().map(|(name, _)| *name).collect()
    }

    /// The suite, if it is one of TLS 1.2.
    pub(super) fn for_tls12(self) -> Option<SupportedCipherSuite> {
        self.is_of_tls12().then_some(self.0)
    }

    /// Whether the suite is one of TLS 1.2.
    pub fn is_of_tls12(self) -> bool {
        self.0.tls13().is_none()
    }

    /// Whether HTTP/2 requires that a server supports this suite or its counterpart for the other type of key (RFC 9113 §9.2.2).
    pub fn is_required_by_http2(self) -> bool {
        [suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]
            .contains(&self.0)
    }
}

/// A key exchange group that can be configured.
#[derive(Clone, Copy, Debug)]
pub struct Curve(&'static dyn SupportedKxGroup);

impl Curve {
    /// The group with this name in Go.
    pub fn from_name(name: &str) -> Option<Self> {
        CURVES.into_iter().find(|(known, _)| *known == name).map(|(_, group)| Self(group))
    }

    /// The names of all groups that can be configured.
    pub fn names() -> Vec<&'static str> {
        CURVES.iter().map(|(name, _)| *name).collect()
    }

    pub(super) fn group(self) -> &'static dyn SupportedKxGroup {
        self.0
    }
}

const SUITES: [(&str, SupportedCipherSuite); 9] = [
    ("TLS_AES_128_GCM_SHA256", suites::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", suites::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", suites::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];
const CURVES: [(&str, &dyn SupportedKxGroup); 3] =
    [("X25519", groups::X25519), ("CurveP256", groups::SECP256R1), ("CurveP384", groups::SECP384R1)];
