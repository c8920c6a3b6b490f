//! OCSP responses (RFC 6960) signed at run time, valid and invalid.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use der::asn1::{BitString, Null, ObjectIdentifier, OctetString};
use der::{DateTime, Decode, Encode};
use rcgen::{
    CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData,
    SigningKey,
};
use rustls_pki_types::{AlgorithmIdentifier, CertificateDer, alg_id};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use x509_cert::Certificate;
use x509_cert::ext::pkix::CrlReason;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{
    AsResponseBytes, BasicOcspResponse, CertId, CertStatus, OcspResponse, OcspResponseStatus, ResponderId,
    ResponseData, RevokedInfo, SingleResponse, Version,
};

use super::authority::{Authority, DAY, Key, from_now, subject};
use super::{Extension, KeyKind};

/// The content of an OCSP response and its signer.
#[derive(Clone, Debug)]
pub struct ResponseSpec {
    /// The single responses, in order.
    pub responses: Vec<SingleResponseSpec>,
    /// The signer.
    pub responder: Responder,
    /// How the responder is identified.
    pub responder_id: ResponderIdKind,
    /// How many copies of the leaf certificate are sent, without use, before the responder's certificate.
    pub padding: usize,
    /// A flaw in the response as a whole.
    pub flaw: Option<Flaw>,
}

impl ResponseSpec {
    /// A correct response: `status` of the leaf, an hour old, valid for a week, signed by the issuer.
    pub fn new(status: Status) -> Self {
        Self {
            responses: vec![SingleResponseSpec::new(status)],
            responder: Responder::Issuer,
            responder_id: ResponderIdKind::Key,
            padding: 0,
            flaw: None,
        }
    }

    /// A correct response with the status good.
    pub fn good() -> Self {
        Self::new(Status::Good)
    }

    setters! {
        /// Replaces the single responses.
        with_responses(responses: Vec<SingleResponseSpec>);
        /// Sets the signer.
        with_responder(responder: Responder);
        /// Sets how the responder is identified.
        with_responder_id(responder_id: ResponderIdKind);
        /// Adds `padding` unused certificates.
        with_padding(padding: usize);
    }

    /// Sets a flaw.
    pub fn with_flaw(self, flaw: Flaw) -> Self {
        Self { flaw: Some(flaw), ..self }
    }

    /// Signs the response for `leaf`, which `issuer` has issued. Returns DER, as it is stapled.
    ///
    /// # Panics
    /// If a strict parser rejects the certificate of `leaf` or `issuer`.
    pub fn sign(&self, issuer: &Authority, leaf: &CertificateDer<'_>) -> Vec<u8> {
        if self.flaw == Some(Flaw::TryLater) {
            return to_der(&OcspResponse::try_later());
        }
        let leaf = Certificate::from_der(leaf).expect("a leaf");
        let authority = Certificate::from_der(issuer.der()).expect("an issuer");
        let signer = self.responder.signer(issuer, &authority);
        let responses = self.responses.iter().map(|statement| statement.encode(&authority, &leaf));
        let critical = self.flaw == Some(Flaw::CriticalExtension);
        let signed = ResponseData {
            version: Version::V1,
            responder_id: match self.responder_id {
                ResponderIdKind::Name => ResponderId::ByName(signer.name.clone()),
                ResponderIdKind::Key => ResponderId::ByKey(octets(&Sha1::digest(signer.key().der_bytes()))),
                ResponderIdKind::UnknownKey => ResponderId::ByKey(octets(&[0x5a; 20])),
            },
            produced_at: generalized_time(0),
            responses: responses.collect(),
            response_extensions: critical.then(|| vec![critical_extension()]),
        };
        let mut signature = signer.key().sign(&to_der(&signed)).expect("a generated key signs");
        let mut algorithm = signature_algorithm(signer.key());
        match self.flaw {
            Some(Flaw::WrongSignature) => {
                signature = signer.key().sign(b"something else").expect("a generated key signs");
            }
            Some(Flaw::WeakAlgorithm) => algorithm.oid = ECDSA_WITH_SHA1,
            _ => {}
        }
        let mut certificates = vec![leaf.clone(); self.padding];
        certificates.extend(signer.certificate);
        let basic = BasicOcspResponse {
            tbs_response_data: signed,
            signature_algorithm: algorithm,
            signature: BitString::from_bytes(&signature).expect("a signature"),
            certs: (!certificates.is_empty()).then_some(certificates),
        };
        let mut bytes = basic.to_response_bytes().expect("a response");
        if self.flaw == Some(Flaw::OtherType) {
            bytes.response_type = NO_CHECK;
        }
        let response = OcspResponse { response_status: OcspResponseStatus::Successful, response_bytes: Some(bytes) };
        to_der(&response)
    }
}

/// The status of one certificate in a response (RFC 6960 §4.2.1, SingleResponse).
#[derive(Clone, Debug)]
pub struct SingleResponseSpec {
    /// Which certificate it identifies.
    pub cert_id: CertIdKind,
    /// The hash of the issuer's name and key.
    pub hash: Hash,
    /// The status.
    pub status: Status,
    /// thisUpdate, in seconds from now.
    pub this_update: i64,
    /// nextUpdate, in seconds from now; `None`: newer information may be available at any time.
    pub next_update: Option<i64>,
    /// Whether it has an unknown critical extension.
    pub critical: bool,
}

impl SingleResponseSpec {
    /// `status` of the leaf, an hour old, valid for a week, with SHA-1 as most responders use.
    pub fn new(status: Status) -> Self {
        Self {
            cert_id: CertIdKind::Leaf,
            hash: Hash::Sha1,
            status,
            this_update: -3600,
            next_update: Some(7 * DAY),
            critical: false,
        }
    }

    setters! {
        /// Sets which certificate it identifies.
        with_cert_id(cert_id: CertIdKind);
        /// Sets the hash.
        with_hash(hash: Hash);
    }

    /// Sets thisUpdate and nextUpdate, in seconds from now.
    pub fn with_times(self, this_update: i64, next_update: Option<i64>) -> Self {
        Self { this_update, next_update, ..self }
    }

    fn encode(&self, issuer: &Certificate, leaf: &Certificate) -> SingleResponse {
        let name = to_der(&issuer.tbs_certificate.subject);
        let key = issuer.tbs_certificate.subject_public_key_info.subject_public_key.raw_bytes();
        let altered = |bytes: &[u8], kind: CertIdKind| [bytes, if self.cert_id == kind { b"!" } else { b"" }].concat();
        let serial = &leaf.tbs_certificate.serial_number;
        SingleResponse {
            cert_id: CertId {
                hash_algorithm: AlgorithmIdentifierOwned { oid: self.hash.oid(), parameters: Some(Null.into()) },
                issuer_name_hash: octets(&self.hash.digest(&altered(&name, CertIdKind::OtherIssuer))),
                issuer_key_hash: octets(&self.hash.digest(&altered(key, CertIdKind::OtherKey))),
                serial_number: match self.cert_id {
                    CertIdKind::OtherSerial => SerialNumber::from(0x5eed_u32),
                    CertIdKind::Leaf | CertIdKind::OtherIssuer | CertIdKind::OtherKey => serial.clone(),
                },
            },
            cert_status: match self.status {
                Status::Good => CertStatus::good(),
                Status::Unknown => CertStatus::unknown(),
                Status::Revoked => CertStatus::revoked(RevokedInfo {
                    revocation_time: generalized_time(-2 * DAY),
                    revocation_reason: Some(CrlReason::KeyCompromise),
                }),
            },
            this_update: generalized_time(self.this_update),
            next_update: self.next_update.map(generalized_time),
            single_extensions: self.critical.then(|| vec![critical_extension()]),
        }
    }
}

/// Which certificate a CertID identifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertIdKind {
    /// The leaf.
    Leaf,
    /// A certificate with another serial number.
    OtherSerial,
    /// A certificate whose issuer has another name.
    OtherIssuer,
    /// A certificate whose issuer has another key.
    OtherKey,
}

/// A certificate's status (RFC 6960 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not revoked.
    Good,
    /// Revoked two days ago because of a key compromise.
    Revoked,
    /// Not known to the responder.
    Unknown,
}

/// How a CertID hashes the issuer's name and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1, which nearly all responders use.
    Sha1,
    /// SHA-224, which no responder uses.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha224 => Sha224::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::Sha1 => "1.3.14.3.2.26",
            Self::Sha224 => "2.16.840.1.101.3.4.2.4",
            Self::Sha256 => "2.16.840.1.101.3.4.2.1",
            Self::Sha384 => "2.16.840.1.101.3.4.2.2",
            Self::Sha512 => "2.16.840.1.101.3.4.2.3",
        })
    }
}

/// The signer of a response.
#[derive(Clone, Debug)]
pub enum Responder {
    /// The leaf's issuer.
    Issuer,
    /// A delegated responder, whose certificate is sent with the response (RFC 6960 §4.2.2.2).
    Delegate(DelegateSpec),
    /// An unknown key under the issuer's name.
    UnknownKey,
}

impl Responder {
    /// A correct delegated responder.
    pub fn delegate() -> Self {
        Self::Delegate(DelegateSpec::default())
    }

    fn signer<'a>(&self, issuer: &'a Authority, certificate: &Certificate) -> Signer<'a> {
        let name = certificate.tbs_certificate.subject.clone();
        match self {
            Self::Issuer => Signer { name, key: SignerKey::Issuer(issuer), certificate: None },
            Self::UnknownKey => {
                Signer { name, key: SignerKey::Own(Box::new(Key::generate(KeyKind::P256))), certificate: None }
            }
            Self::Delegate(delegate) => {
                let key = Key::generate(delegate.key);
                let der = delegate.certify(delegate.certified_by.as_ref().unwrap_or(issuer), &key);
                let certificate = Certificate::from_der(&der).expect("a certificate");
                let name = certificate.tbs_certificate.subject.clone();
                let sent = delegate.presented.then_some(certificate);
                Signer { name, key: SignerKey::Own(Box::new(key)), certificate: sent }
            }
        }
    }
}

/// A delegated responder's certificate.
#[derive(Clone, Debug)]
pub struct DelegateSpec {
    /// Its issuer; `None` is the leaf's issuer, as RFC 6960 §4.2.2.2 requires.
    pub certified_by: Option<Authority>,
    /// Whether its extended key usage is OCSPSigning; otherwise it is serverAuth.
    pub ocsp_signing: bool,
    /// Start of validity, in seconds from now.
    pub not_before: i64,
    /// End of validity, in seconds from now.
    pub not_after: i64,
    /// The kind of key.
    pub key: KeyKind,
    /// Whether it is sent with the response.
    pub presented: bool,
    /// Additional extensions, encoded unchanged.
    pub extensions: Vec<Extension>,
}

impl DelegateSpec {
    fn certify(&self, issuer: &Authority, key: &Key) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.serial_number = Some(issuer.next_serial().into());
        params.not_before = from_now(self.not_before);
        params.not_after = from_now(self.not_after);
        params.distinguished_name = subject(Some("Fleet OCSP Responder"));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match self.ocsp_signing {
            true => ExtendedKeyUsagePurpose::OcspSigning,
            false => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        let no_check = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 48, 1, 5], vec![0x05, 0]);
        params.custom_extensions = self.extensions.iter().map(Extension::encode).chain([no_check]).collect();
        let signed = params.signed_by(&key.pair, issuer.signer());
        signed.expect("a generated key signs").der().clone()
    }
}

impl Default for DelegateSpec {
    /// A correct delegated responder, valid for a month.
    fn default() -> Self {
        Self {
            certified_by: None,
            ocsp_signing: true,
            not_before: -DAY,
            not_after: 30 * DAY,
            key: KeyKind::P256,
            presented: true,
            extensions: Vec::new(),
        }
    }
}

/// How a response identifies its responder (RFC 6960 §4.2.1, ResponderID).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponderIdKind {
    /// By its subject.
    Name,
    /// By the hash of its key.
    Key,
    /// By the hash of a key that does not exist.
    UnknownKey,
}

/// Flaws of a response as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The error `tryLater` in place of a response.
    TryLater,
    /// The response type is not id-pkix-ocsp-basic.
    OtherType,
    /// The signature is over other data.
    WrongSignature,
    /// The signature algorithm claims SHA-1.
    WeakAlgorithm,
    /// It has an unknown critical extension.
    CriticalExtension,
}

struct Signer<'a> {
    name: x509_cert::name::Name,
    key: SignerKey<'a>,
    certificate: Option<Certificate>,
}

enum SignerKey<'a> {
    Issuer(&'a Authority),
    Own(Box<Key>),
}

impl Signer<'_> {
    fn key(&self) -> &KeyPair {
        match &self.key {
            SignerKey::Issuer(authority) => authority.signer().key(),
            SignerKey::Own(key) => &key.pair,
        }
    }
}

fn signature_algorithm(key: &KeyPair) -> AlgorithmIdentifierOwned {
    let known: [(&rcgen::SignatureAlgorithm, AlgorithmIdentifier); 4] = [
        (&rcgen::PKCS_ECDSA_P256_SHA256, alg_id::ECDSA_SHA256),
        (&rcgen::PKCS_ECDSA_P384_SHA384, alg_id::ECDSA_SHA384),
        (&rcgen::PKCS_ED25519, alg_id::ED25519),
        (&rcgen::PKCS_RSA_SHA256, alg_id::RSA_PKCS1_SHA256),
    ];
    let (_, content) = known.into_iter().find(|(algorithm, _)| *algorithm == key.algorithm()).expect("a known key");
    let length = u8::try_from(content.as_ref().len()).expect("a short identifier");
    let sequence = [&[0x30, length], content.as_ref()].concat();
    AlgorithmIdentifierOwned::from_der(&sequence).expect("an algorithm")
}

fn critical_extension() -> x509_cert::ext::Extension {
    x509_cert::ext::Extension { extn_id: UNKNOWN_OID, critical: true, extn_value: octets(&[0x05, 0]) }
}

fn generalized_time<T: From<DateTime>>(seconds_from_now: i64) -> T {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_secs();
    let seconds = now.checked_add_signed(seconds_from_now).expect("the time is after 1970");
    DateTime::from_unix_duration(Duration::from_secs(seconds)).expect("the time is before 10000").into()
}

fn octets(bytes: &[u8]) -> OctetString {
    OctetString::new(bytes).expect("less than 256 MiB")
}

fn to_der(value: &impl Encode) -> Vec<u8> {
    value.to_der().expect("the value encodes")
}

const ECDSA_WITH_SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.1");
/// id-pkix-ocsp-nocheck, which is not a response type.
const NO_CHECK: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.5");
/// Under the enterprise number for examples (RFC 5612).
const UNKNOWN_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.1");
