//! Certificates encoded field by field, including those that certificate libraries refuse to create but servers present.

use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use yasna::models::ObjectIdentifier;
use yasna::{DERWriter, Tag, tags};

use super::Extension;
use super::authority::{DAY, from_now};

pub use extension::{
    ANY_EXTENDED_KEY_USAGE, CLIENT_AUTH, CRL_SIGN, DATA_ENCIPHERMENT, DIGITAL_SIGNATURE, GeneralName, KEY_AGREEMENT,
    KEY_CERT_SIGN, KEY_ENCIPHERMENT, NON_REPUDIATION, SERVER_AUTH,
};
pub use key::{Key, KeyAlgorithm, SignatureAlgorithm};

mod extension;
mod key;

/// The fields of a certificate (RFC 5280 §4.1). Nothing is checked: fields may contradict each other.
#[derive(Clone, Debug)]
pub struct CertBuilder {
    /// The version.
    pub version: Version,
    /// The content octets of the serial number.
    pub serial: Vec<u8>,
    /// The subject.
    pub subject: Name,
    /// Start of validity.
    pub not_before: Time,
    /// End of validity.
    pub not_after: Time,
    /// A SubjectPublicKeyInfo in place of the key's own.
    pub spki: Option<Vec<u8>>,
    /// Whether it has a subjectUniqueID (§4.1.2.8).
    pub unique_id: bool,
    /// The extensions, in order; if empty, the field is omitted.
    pub extensions: Vec<Extension>,
    /// The signature algorithm; `None` is the default of the issuer's key.
    pub algorithm: Option<SignatureAlgorithm>,
    /// The algorithm in the signed part, if it differs from the outer one (§4.1.2.3 forbids that).
    pub inner_algorithm: Option<SignatureAlgorithm>,
}

impl CertBuilder {
    /// A correct server certificate for these names, valid from a day ago for 91 days. The first DNS name is the common
    /// name; IP addresses become iPAddress entries.
    pub fn leaf(names: &[&str]) -> Self {
        let general = |name: &&str| name.parse().map_or_else(|_| GeneralName::dns(name), GeneralName::ip);
        let names: Vec<_> = names.iter().map(general).collect();
        let common_name = names.iter().find_map(|name| match name {
            GeneralName::Dns(name) => std::str::from_utf8(name).ok(),
            _ => None,
        });
        Self {
            subject: common_name.map_or_else(Name::empty, Name::common),
            extensions: vec![
                Extension::basic_constraints(false, None),
                Extension::leaf_key_usage(),
                Extension::extended_key_usage(&[SERVER_AUTH]),
                Extension::subject_alternative_names(&names),
            ],
            ..Self::bare()
        }
    }

    /// A correct CA certificate, valid from a month ago for ten years.
    pub fn authority(common_name: &str) -> Self {
        Self {
            subject: Name::common(common_name),
            not_before: Time::FromNow(-30 * DAY),
            not_after: Time::FromNow(3650 * DAY),
            extensions: vec![Extension::basic_constraints(true, None), Extension::ca_key_usage()],
            ..Self::bare()
        }
    }

    /// Sets the validity period, in seconds from now.
    pub fn valid_between(self, not_before: i64, not_after: i64) -> Self {
        Self { not_before: Time::FromNow(not_before), not_after: Time::FromNow(not_after), ..self }
    }

    /// Adds an extension, or replaces the one with the same OID.
    pub fn with_extension(mut self, extension: Extension) -> Self {
        match self.extensions.iter_mut().find(|present| present.oid == extension.oid) {
            Some(present) => *present = extension,
            None => self.extensions.push(extension),
        }
        self
    }

    /// Removes the extension with the same OID as `example`.
    pub fn without_extension(mut self, example: &Extension) -> Self {
        self.extensions.retain(|present| present.oid != example.oid);
        self
    }

    /// Sets the subject alternative names.
    pub fn with_alternative_names(self, names: &[GeneralName]) -> Self {
        self.with_extension(Extension::subject_alternative_names(names))
    }

    /// Sets the common name.
    pub fn with_common_name(self, common_name: &str) -> Self {
        Self { subject: Name::common(common_name), ..self }
    }

    /// Sets the signature algorithm.
    pub fn with_signature_algorithm(self, algorithm: SignatureAlgorithm) -> Self {
        Self { algorithm: Some(algorithm), ..self }
    }

    /// Issues a certificate for `key` in the name of `issuer`, signed with `issuer_key`.
    pub fn sign(&self, key: &Key, issuer: &Name, issuer_key: &Key) -> CertificateDer<'static> {
        let algorithm = self.algorithm.unwrap_or_else(|| issuer_key.algorithm());
        let spki = self.spki.as_deref().unwrap_or_else(|| key.spki());
        let tbs = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                if let Some(version) = self.version.number() {
                    writer.next().write_tagged(Tag::context(0), |writer| writer.write_u8(version));
                }
                write_primitive(writer.next(), tags::TAG_INTEGER, &self.serial);
                write_identifier(writer.next(), self.inner_algorithm.unwrap_or(algorithm));
                writer.next().write_der(issuer.der());
                writer.next().write_sequence(|writer| {
                    self.not_before.write(writer.next());
                    self.not_after.write(writer.next());
                });
                writer.next().write_der(self.subject.der());
                writer.next().write_der(spki);
                if self.unique_id {
                    writer.next().write_tagged_implicit(Tag::context(2), |writer| writer.write_bitvec_bytes(&[1], 8));
                }
                if !self.extensions.is_empty() {
                    writer.next().write_tagged(Tag::context(3), |writer| {
                        writer.write_sequence(|writer| {
                            for extension in &self.extensions {
                                write_extension(writer.next(), extension);
                            }
                        });
                    });
                }
            });
        });
        let signature = issuer_key.sign(algorithm, &tbs);
        let der = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_der(&tbs);
                write_identifier(writer.next(), algorithm);
                writer.next().write_bitvec_bytes(&signature, signature.len() * 8);
            });
        });
        der.into()
    }

    /// Issues a self-signed certificate for `key`.
    pub fn self_sign(&self, key: &Key) -> CertificateDer<'static> {
        self.sign(key, &self.subject, key)
    }

    fn bare() -> Self {
        Self {
            version: Version::V3,
            serial: serial(),
            subject: Name::empty(),
            not_before: Time::FromNow(-DAY),
            not_after: Time::FromNow(90 * DAY),
            spki: None,
            unique_id: false,
            extensions: Vec::new(),
            algorithm: None,
            inner_algorithm: None,
        }
    }
}

/// A name, a key and their certificate, which issue other certificates whether or not they are allowed to.
#[derive(Clone, Debug)]
pub struct Ca {
    name: Name,
    key: Key,
    der: CertificateDer<'static>,
}

impl Ca {
    /// Creates a self-signed authority.
    pub fn root(spec: &CertBuilder, key: &Key) -> Self {
        Self { name: spec.subject.clone(), key: key.clone(), der: spec.self_sign(key) }
    }

    /// Creates an authority under this one.
    pub fn sub(&self, spec: &CertBuilder, key: &Key) -> Self {
        Self { name: spec.subject.clone(), key: key.clone(), der: self.issue(spec, key) }
    }

    /// Issues a certificate for `key`.
    pub fn issue(&self, spec: &CertBuilder, key: &Key) -> CertificateDer<'static> {
        spec.sign(key, &self.name, &self.key)
    }

    /// Its certificate.
    pub fn der(&self) -> CertificateDer<'static> {
        self.der.clone()
    }

    /// Its key.
    pub fn key(&self) -> &Key {
        &self.key
    }
}

/// A distinguished name (RFC 5280 §4.1.2.4), encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Vec<u8>);

impl Name {
    /// A name without attributes.
    pub fn empty() -> Self {
        Self(yasna::construct_der(|writer| writer.write_sequence(|_| ())))
    }

    /// A name with only a common name.
    pub fn common(common_name: &str) -> Self {
        Self(yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_set(|writer| {
                    writer.next().write_sequence(|writer| {
                        writer.next().write_oid(&ObjectIdentifier::from_slice(&[2, 5, 4, 3]));
                        writer.next().write_utf8_string(common_name);
                    });
                });
            });
        }))
    }

    fn der(&self) -> &[u8] {
        &self.0
    }
}

/// The version of a certificate (RFC 5280 §4.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The field is absent.
    V1,
    /// Version 2, which added unique identifiers.
    V2,
    /// Version 3, which added extensions.
    V3,
}

impl Version {
    const fn number(self) -> Option<u8> {
        match self {
            Self::V1 => None,
            Self::V2 => Some(1),
            Self::V3 => Some(2),
        }
    }
}

/// A time in a certificate (RFC 5280 §4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Seconds from now: UTCTime through 2049, GeneralizedTime after.
    FromNow(i64),
    /// Seconds from now, always as GeneralizedTime.
    GeneralizedFromNow(i64),
    /// The text of a GeneralizedTime.
    Text(&'static str),
    /// The text of a UTCTime.
    UtcText(&'static str),
}

impl Time {
    fn write(self, writer: DERWriter<'_>) {
        match self {
            Self::FromNow(seconds) => {
                let time = from_now(seconds);
                if (1950..2050).contains(&time.year()) {
                    let text = format_time(time, 2);
                    write_primitive(writer, tags::TAG_UTCTIME, text.as_bytes());
                } else {
                    Self::GeneralizedFromNow(seconds).write(writer);
                }
            }
            Self::GeneralizedFromNow(seconds) => {
                write_primitive(writer, tags::TAG_GENERALIZEDTIME, format_time(from_now(seconds), 4).as_bytes());
            }
            Self::Text(text) => write_primitive(writer, tags::TAG_GENERALIZEDTIME, text.as_bytes()),
            Self::UtcText(text) => write_primitive(writer, tags::TAG_UTCTIME, text.as_bytes()),
        }
    }
}

fn format_time(time: OffsetDateTime, year_digits: u32) -> String {
    let year = time.year() % 10_i32.pow(year_digits);
    let (month, day) = (u8::from(time.month()), time.day());
    let (hour, minute, second) = time.to_hms();
    format!("{year:0width$}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z", width = year_digits as usize)
}

fn write_extension(writer: DERWriter<'_>, extension: &Extension) {
    writer.write_sequence(|writer| {
        writer.next().write_oid(&ObjectIdentifier::from_slice(&extension.oid));
        if extension.critical {
            writer.next().write_bool(true);
        }
        writer.next().write_bytes(&extension.value);
    });
}

fn write_identifier(writer: DERWriter<'_>, algorithm: SignatureAlgorithm) {
    writer.write_sequence(|writer| writer.next().write_der(&algorithm.identifier()));
}

/// Writes a primitive value with any tag and any content.
fn write_primitive(writer: DERWriter<'_>, tag: Tag, octets: &[u8]) {
    writer.write_tagged_implicit(tag, |writer| writer.write_bytes(octets));
}

/// Eight random octets that encode a positive integer.
fn serial() -> Vec<u8> {
    let mut octets = [0; 8];
    aws_lc_rs::rand::fill(&mut octets).expect("the system provides randomness");
    octets[0] = octets[0] & 0x7f | 0x40;
    octets.to_vec()
}
