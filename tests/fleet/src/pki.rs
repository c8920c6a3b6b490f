//! Certificates issued at run time: by a trusted root, an intermediate under it, and an untrusted root.

use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;

use authority::{DAY, Key, from_now, subject};
use identity::certificate_pem;

pub use authority::{Authority, AuthoritySpec};
pub use identity::Identity;

pub mod ocsp;
pub mod x509;

mod authority;
mod extension;
mod identity;

/// Two P-256 roots, one trusted and one untrusted, and an intermediate under the first. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pki {
    root: Authority,
    intermediate: Authority,
    untrusted_root: Authority,
    shared_key: Arc<Key>,
}

impl Pki {
    /// Generates new keys and authorities.
    #[expect(clippy::new_without_default, reason = "keys are generated: not a default value")]
    pub fn new() -> Self {
        let root = Authority::root(&AuthoritySpec::named("Fleet Root"));
        Self {
            intermediate: root
                .sub(&AuthoritySpec { path_length: Some(0), ..AuthoritySpec::named("Fleet Intermediate") }),
            root,
            untrusted_root: Authority::root(&AuthoritySpec::named("Stranger Root")),
            shared_key: Arc::new(Key::generate(KeyKind::P256)),
        }
    }

    /// The trusted root, as PEM.
    pub fn root_pem(&self) -> String {
        certificate_pem(self.root.der())
    }

    /// The trusted root, as DER.
    pub fn root_der(&self) -> CertificateDer<'static> {
        self.root.der().clone()
    }

    /// The untrusted root, as PEM.
    pub fn untrusted_root_pem(&self) -> String {
        certificate_pem(self.untrusted_root.der())
    }

    /// The trusted root, to create further authorities under it.
    pub fn root(&self) -> &Authority {
        &self.root
    }

    /// The default issuer.
    pub fn intermediate(&self) -> &Authority {
        &self.intermediate
    }

    /// Issues a certificate with a new key.
    pub fn issue(&self, spec: &CertSpec) -> Identity {
        self.issue_for(&Key::generate(spec.key), spec)
    }

    /// Issues a certificate over one P-256 key that all such certificates share (`spec.key` is ignored), which keeps large
    /// farms fast.
    pub fn issue_with_shared_key(&self, spec: &CertSpec) -> Identity {
        self.issue_for(&self.shared_key, spec)
    }

    fn issue_for(&self, key: &Key, spec: &CertSpec) -> Identity {
        let issuer = match &spec.issuer {
            Issuer::Intermediate => Some(&self.intermediate),
            Issuer::Root => Some(&self.root),
            Issuer::Untrusted => Some(&self.untrusted_root),
            Issuer::Authority(authority) => Some(authority),
            Issuer::SelfSigned => None,
        };
        let serial = self.root.next_serial();
        let mut chain = vec![spec.sign(serial, key, issuer)];
        if let (Some(issuer), Presented::Full) = (issuer, spec.presented) {
            chain.extend(issuer.presented().iter().cloned());
        }
        Identity::from_parts(chain, Some(key.der()), Arc::clone(&key.signer), None)
    }
}

/// The content of a certificate, and which chain is sent with it.
#[derive(Clone, Debug)]
pub struct CertSpec {
    /// Subject alternative names (RFC 5280 §4.2.1.6): IP addresses become iPAddress entries, other
    /// names dNSName entries. If empty, the extension is omitted.
    pub names: Vec<String>,
    /// The subject's common name; `None` leaves the subject empty.
    pub common_name: Option<String>,
    /// Start of validity, in seconds from now.
    pub not_before: i64,
    /// End of validity, in seconds from now.
    pub not_after: i64,
    /// The issuer.
    pub issuer: Issuer,
    /// Which certificates the server sends.
    pub presented: Presented,
    /// The kind of the certified key.
    pub key: KeyKind,
    /// The extended key usage (RFC 5280 §4.2.1.12).
    pub purpose: Purpose,
    /// Whether the key usage (RFC 5280 §4.2.1.3) permits signatures; encryption of keys otherwise.
    pub signs: bool,
    /// Additional extensions, encoded unchanged.
    pub extensions: Vec<Extension>,
}

impl CertSpec {
    /// A correct certificate: valid from a day ago for 91 days, issued by the intermediate and sent with it.
    /// The first name is also the common name.
    pub fn valid_for(names: &[&str]) -> Self {
        Self {
            names: names.iter().map(ToString::to_string).collect(),
            common_name: names.first().map(ToString::to_string),
            ..Self::default()
        }
    }

    /// Sets the validity period, in seconds from now.
    pub fn with_validity(self, not_before: i64, not_after: i64) -> Self {
        Self { not_before, not_after, ..self }
    }

    setters! {
        /// Sets the issuer.
        with_issuer(issuer: Issuer);
        /// Sets which certificates are sent.
        with_presented(presented: Presented);
        /// Sets the kind of key.
        with_key(key: KeyKind);
        /// Sets the extended key usage.
        with_purpose(purpose: Purpose);
        /// Sets whether the key usage permits signatures.
        with_signing(signs: bool);
    }

    /// Sets the common name; `None` leaves the subject empty.
    pub fn with_common_name(self, common_name: Option<&str>) -> Self {
        Self { common_name: common_name.map(ToString::to_string), ..self }
    }

    /// Adds an extension.
    pub fn with_extension(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    fn sign(&self, serial: u64, key: &Key, issuer: Option<&Authority>) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(self.names.clone()).expect("names are ASCII (IA5String)");
        params.serial_number = Some(serial.into());
        params.not_before = from_now(self.not_before);
        params.not_after = from_now(self.not_after);
        params.distinguished_name = subject(self.common_name.as_deref());
        let usage = if self.signs { KeyUsagePurpose::DigitalSignature } else { KeyUsagePurpose::KeyEncipherment };
        params.key_usages = vec![usage];
        params.extended_key_usages = self.purpose.usages();
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = issuer.is_some();
        params.custom_extensions = self.extensions.iter().map(Extension::encode).collect();
        let signed = match issuer {
            Some(issuer) => params.signed_by(&key.pair, issuer.signer()),
            None => params.self_signed(&key.pair),
        };
        signed.expect("a generated key signs").der().clone()
    }
}

impl Default for CertSpec {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            common_name: None,
            not_before: -DAY,
            not_after: 90 * DAY,
            issuer: Issuer::Intermediate,
            presented: Presented::Full,
            key: KeyKind::P256,
            purpose: Purpose::Server,
            signs: true,
            extensions: Vec::new(),
        }
    }
}

/// The issuer of a certificate.
#[derive(Clone, Debug)]
pub enum Issuer {
    /// The intermediate under the trusted root.
    Intermediate,
    /// The trusted root itself.
    Root,
    /// The untrusted root.
    Untrusted,
    /// The certificate's own key.
    SelfSigned,
    /// Another authority.
    Authority(Authority),
}

/// How much of the chain a server sends (RFC 8446 §4.4.2 allows it to omit the root).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented {
    /// The certificate and the intermediates above it.
    Full,
    /// The certificate only.
    LeafOnly,
}

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA over P-256.
    P256,
    /// ECDSA over P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA with 2,048 bits; slow to generate.
    Rsa2048,
}

/// The extended key usage of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// serverAuth.
    Server,
    /// clientAuth.
    Client,
    /// No extended key usage extension.
    Unspecified,
}

impl Purpose {
    fn usages(self) -> Vec<ExtendedKeyUsagePurpose> {
        match self {
            Self::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Self::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Self::Unspecified => Vec::new(),
        }
    }
}

/// An encoded certificate extension (RFC 5280 §4.2).
#[derive(Clone, Debug)]
pub struct Extension {
    /// The arcs of the object identifier.
    pub oid: Vec<u64>,
    /// Whether clients that do not recognize it must reject the certificate.
    pub critical: bool,
    /// The DER value inside the octet string.
    pub value: Vec<u8>,
}

impl Extension {
    fn encode(&self) -> CustomExtension {
        let mut encoded = CustomExtension::from_oid_content(&self.oid, self.value.clone());
        encoded.set_criticality(self.critical);
        encoded
    }
}
