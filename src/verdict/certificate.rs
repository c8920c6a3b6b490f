//! Certificates and the facts in them, including certificates that no verifier accepts.

use std::borrow::Cow;
use std::net::IpAddr;

use rustls_pki_types::CertificateDer;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use x509_parser::asn1_rs::{Any, Oid};
use x509_parser::oid_registry::{
    OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA1WITHRSA, OID_PKCS1_SHA256WITHRSA,
    OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA, OID_SIG_DSA_WITH_SHA1, OID_SIG_ECDSA_WITH_SHA256,
    OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512, OID_SIG_ED25519, OID_X509_EXT_SUBJECT_ALT_NAME,
};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use super::budget::Budget;
use super::der::content;
use super::extension::{embedded_scts, may_sign_certificates};
use super::key::PublicKey;
use super::oid::SIG_ECDSA_WITH_SHA1;
use super::signature::{SignatureFault, Signed, WEAK_ALGORITHMS};
use crate::text::printable;

/// A certificate as presented. [`super::Judge`] interns equal certificates.
#[derive(Debug)]
pub struct Certificate {
    der: CertificateDer<'static>,
    fingerprint: [u8; 32],
    facts: Option<Facts>,
}

impl Certificate {
    /// Parses `der`, which need not be a certificate.
    pub fn new(der: CertificateDer<'static>) -> Self {
        Self::within(&Budget::default(), der)
    }

    pub(super) fn within(budget: &Budget, der: CertificateDer<'static>) -> Self {
        let fingerprint = fingerprint(&der);
        let facts = Facts::parse(&der, budget);
        Self { der, fingerprint, facts }
    }

    /// The bytes as the server sent them.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// SHA-256 over the bytes.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// SHA-1 over the bytes, which Windows shows as the thumbprint. Not collision-resistant: for display only.
    pub fn thumbprint(&self) -> [u8; 20] {
        Sha1::digest(&self.der).into()
    }

    /// The subject as DER without its header.
    pub(super) fn subject_der(&self) -> Option<&[u8]> {
        let (_, certificate) = X509Certificate::from_der(&self.der).ok()?;
        content(certificate.tbs_certificate.subject.as_raw())
    }

    /// The issuer as DER without its header.
    pub(super) fn issuer_der(&self) -> Option<&[u8]> {
        let (_, certificate) = X509Certificate::from_der(&self.der).ok()?;
        content(certificate.tbs_certificate.issuer.as_raw())
    }

    /// The SubjectPublicKeyInfo as DER.
    pub(super) fn spki(&self) -> Option<&[u8]> {
        let (start, length) = self.facts()?.spki;
        let (start, length) = (usize::try_from(start).ok()?, usize::try_from(length).ok()?);
        self.der.get(start..start.checked_add(length)?)
    }

    /// The facts in the certificate. `None` if the bytes cannot be parsed as one.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_ref()
    }
}

/// SHA-256 over a certificate's bytes.
pub fn fingerprint(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}

/// The fields of a certificate. All text is printable and of bounded length; nothing in it is verified.
#[derive(Debug)]
pub struct Facts {
    /// Start of validity, Unix seconds.
    pub not_before: i64,
    /// End of validity, Unix seconds.
    pub not_after: i64,
    /// Lines: serial number, subject, issuer, the common names, the other names, the DNS names. One allocation, since a
    /// certificate has many short texts and an exporter many certificates. No text contains a line feed.
    text: Box<str>,
    common_names: u8,
    other_names: u8,
    addresses: Box<[IpAddr]>,
    /// The public key.
    pub key: PublicKey,
    /// The algorithm of the issuer's signature.
    pub signature: SignatureAlgorithm,
    /// Whether subject and issuer are equal and the certificate is signed with its own key.
    pub self_signed: bool,
    /// Number of embedded signed certificate timestamps (RFC 6962 §3.3). Their signatures are not verified.
    pub scts: u16,
    /// Whether keyUsage allows to issue certificates.
    pub(super) may_sign_certificates: bool,
    /// Offset and length of the SubjectPublicKeyInfo in the bytes.
    spki: (u32, u32),
}

impl Facts {
    fn parse(der: &[u8], budget: &Budget) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let validity = certificate.validity();
        let spki = certificate.public_key().raw;
        let spki_offset = spki.as_ptr() as usize - der.as_ptr() as usize;
        let common_names: Vec<String> = certificate
            .subject()
            .iter_common_name()
            .filter_map(|name| name.as_str().ok())
            .take(MAX_LESSER_NAMES)
            .map(|name| printable(name, 253))
            .collect();
        let names = subject_alt_names(&certificate);
        let serial = certificate.raw_serial();
        let head = [
            hex(serial.get(..20).unwrap_or(serial)),
            printable_name(certificate.subject()),
            printable_name(certificate.issuer()),
        ];
        let lines: Vec<&str> = head
            .iter()
            .chain(&common_names)
            .chain(&names.others)
            .map(String::as_str)
            .chain(names.dns.iter().map(|name| &**name))
            .collect();
        let self_issued = certificate.subject().as_raw() == certificate.issuer().as_raw();
        Some(Self {
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
            text: lines.join("\n").into(),
            common_names: u8::try_from(common_names.len()).unwrap_or(u8::MAX),
            other_names: u8::try_from(names.others.len()).unwrap_or(u8::MAX),
            addresses: names.addresses.into(),
            key: PublicKey::from_spki(certificate.public_key()),
            signature: SignatureAlgorithm::from_oid(&certificate.signature_algorithm.algorithm),
            self_signed: self_issued && is_signed_with(der, spki, budget),
            scts: u16::try_from(embedded_scts(&certificate)).unwrap_or(u16::MAX),
            may_sign_certificates: may_sign_certificates(&certificate),
            spki: (u32::try_from(spki_offset).ok()?, u32::try_from(spki.len()).ok()?),
        })
    }

    /// The serial number in hexadecimal, lower case, without separators.
    pub fn serial(&self) -> &str {
        self.line(0)
    }

    /// The subject in the format of RFC 4514.
    pub fn subject(&self) -> &str {
        self.line(1)
    }

    /// The issuer in the format of RFC 4514.
    pub fn issuer(&self) -> &str {
        self.line(2)
    }

    /// The subject's common names, which clients no longer match (RFC 9525 §2). At most 8.
    pub fn common_names(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n').skip(HEAD_LINES).take(self.common_names.into())
    }

    /// The dNSName and iPAddress entries of the subject alternative names, DNS names first. Malformed addresses are left
    /// out. Names are unmodified, except for bytes that are not UTF-8, which are read as ISO 8859-1, and line feeds, which
    /// are replaced by U+0085; such names match nothing.
    pub fn names(&self) -> impl Iterator<Item = PresentedName<'_>> {
        self.dns_names().map(PresentedName::Dns).chain(self.addresses.iter().copied().map(PresentedName::Ip))
    }

    /// The dNSName entries among [`Self::names`].
    pub fn dns_names(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n').skip(HEAD_LINES + usize::from(self.common_names) + usize::from(self.other_names))
    }

    /// The URIs and email addresses among the subject alternative names, which match no server name. At most 8 short ones.
    pub(super) fn other_names(&self) -> impl Iterator<Item = PresentedName<'_>> {
        let lines = self.text.split('\n').skip(HEAD_LINES + usize::from(self.common_names));
        lines.take(self.other_names.into()).filter_map(|line| {
            let (kind, name) = line.split_at_checked(1)?;
            Some(if kind == URI_LINE { PresentedName::Uri(name) } else { PresentedName::Mailbox(name) })
        })
    }

    fn line(&self, number: usize) -> &str {
        self.text.split('\n').nth(number).unwrap_or_default()
    }
}

const HEAD_LINES: usize = 3;

/// One subject alternative name (RFC 5280 §4.2.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PresentedName<'a> {
    /// A dNSName, in its original case; it may be a wildcard.
    Dns(&'a str),
    /// An iPAddress of 4 or 16 octets.
    Ip(IpAddr),
    /// A uniformResourceIdentifier.
    Uri(&'a str),
    /// An rfc822Name.
    Mailbox(&'a str),
}

impl std::fmt::Display for PresentedName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(name) | Self::Uri(name) | Self::Mailbox(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// The algorithm of a certificate's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureAlgorithm {
    /// The `signature` label.
    pub name: &'static str,
    /// Whether it uses SHA-1 or MD5.
    pub weak: bool,
}

/// Whether the certificate `der` is signed with the key in `spki`; true if that cannot be checked.
fn is_signed_with(der: &[u8], spki: &[u8], budget: &Budget) -> bool {
    let is_wrong = |signed: Signed<'_>| budget.spend_signature() && signed.check(spki) == Err(SignatureFault::Wrong);
    Signed::parse(der).is_some_and(|(signed, _)| !is_wrong(signed))
}

pub(super) fn printable_name(name: &X509Name<'_>) -> String {
    printable(&name.to_string(), 200)
}

/// The subject alternative names.
#[derive(Default)]
struct Names<'a> {
    dns: Vec<Cow<'a, str>>,
    addresses: Vec<IpAddr>,
    /// Each after a character for its type.
    others: Vec<String>,
}

/// As webpki reads them: up to the first malformed entry.
fn subject_alt_names<'a>(certificate: &'a X509Certificate<'_>) -> Names<'a> {
    let extension = certificate.iter_extensions().find(|extension| extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME);
    let mut rest = extension.and_then(|extension| content(extension.value)).unwrap_or_default();
    let mut names = Names::default();
    while let Some((tag, (after, name))) = rest.first().zip(Any::from_der(rest).ok()) {
        match *tag {
            DNS_NAME => names.dns.push(one_line(name.data)),
            IP_ADDRESS => names.addresses.extend(address(name.data)),
            URI | MAILBOX if name.data.len() <= 253 && names.others.len() < MAX_LESSER_NAMES => {
                let kind = if *tag == URI { URI_LINE } else { MAILBOX_LINE };
                names.others.push(format!("{kind}{}", one_line(name.data)));
            }
            tag if OTHER_NAMES.contains(&tag) => {}
            _ => break,
        }
        rest = after;
    }
    names
}

/// The text of a name, which should be ASCII (RFC 5280 §4.2.1.6), without line feeds.
fn one_line(name: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(name) {
        Ok(text) if !text.contains('\n') => Cow::Borrowed(text),
        Ok(text) => Cow::Owned(text.replace('\n', "\u{85}")),
        Err(_) => {
            Cow::Owned(name.iter().map(|byte| if *byte == b'\n' { '\u{85}' } else { char::from(*byte) }).collect())
        }
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(octets).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

impl SignatureAlgorithm {
    fn from_oid(id: &Oid<'_>) -> Self {
        match SIGNATURE_NAMES.iter().find(|(known, _)| known == id) {
            Some((_, name)) => Self { name, weak: WEAK_ALGORITHMS.contains(id) },
            None => Self { name: "other", weak: false },
        }
    }
}

/// The names of the `signature` label, which are not always those of the registry.
const SIGNATURE_NAMES: &[(Oid<'static>, &str)] = &[
    (OID_PKCS1_MD5WITHRSAENC, "md5WithRSAEncryption"),
    (OID_PKCS1_SHA1WITHRSA, "sha1WithRSAEncryption"),
    (OID_PKCS1_RSASSAPSS, "rsassaPss"),
    (OID_PKCS1_SHA256WITHRSA, "sha256WithRSAEncryption"),
    (OID_PKCS1_SHA384WITHRSA, "sha384WithRSAEncryption"),
    (OID_PKCS1_SHA512WITHRSA, "sha512WithRSAEncryption"),
    (OID_SIG_DSA_WITH_SHA1, "dsa-with-sha1"),
    (SIG_ECDSA_WITH_SHA1, "ecdsa-with-SHA1"),
    (OID_SIG_ECDSA_WITH_SHA256, "ecdsa-with-SHA256"),
    (OID_SIG_ECDSA_WITH_SHA384, "ecdsa-with-SHA384"),
    (OID_SIG_ECDSA_WITH_SHA512, "ecdsa-with-SHA512"),
    (OID_SIG_ED25519, "Ed25519"),
];

/// Identifier octets of GeneralName (RFC 5280 §4.2.1.6).
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
const URI: u8 = 0x86;
const MAILBOX: u8 = 0x81;
const OTHER_NAMES: [u8; 7] = [0xa0, MAILBOX, 0xa3, 0xa4, 0xa5, URI, 0x88];
/// The first characters of lines with other names.
const URI_LINE: &str = "u";
const MAILBOX_LINE: &str = "m";
/// Common names kept for one certificate, and other names.
const MAX_LESSER_NAMES: usize = 8;

/// Lower-case hexadecimal without separators.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('?');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Facts {
        /// Facts with these names and no others.
        pub(in crate::verdict) fn named(names: &[PresentedName<'_>], common_name: Option<&str>) -> Self {
            let dns = names.iter().filter_map(|name| match name {
                PresentedName::Dns(name) => Some(*name),
                PresentedName::Ip(_) | PresentedName::Uri(_) | PresentedName::Mailbox(_) => None,
            });
            let addresses = names.iter().filter_map(|name| match name {
                PresentedName::Ip(ip) => Some(*ip),
                PresentedName::Dns(_) | PresentedName::Uri(_) | PresentedName::Mailbox(_) => None,
            });
            Self {
                not_before: 0,
                not_after: 0,
                text: ["", "", ""].into_iter().chain(common_name).chain(dns).collect::<Vec<_>>().join("\n").into(),
                common_names: u8::from(common_name.is_some()),
                other_names: 0,
                addresses: addresses.collect(),
                key: PublicKey::Other,
                signature: SignatureAlgorithm { name: "other", weak: false },
                self_signed: false,
                scts: 0,
                may_sign_certificates: true,
                spki: (0, 0),
            }
        }
    }

    #[test]
    fn no_facts_without_a_certificate() {
        for der in [&[][..], &[0x30], &[0x30, 0x80, 0x01], b"-----BEGIN CERTIFICATE-----"] {
            assert!(Certificate::new(der.to_vec().into()).facts().is_none(), "{der:?}");
        }
    }

    #[test]
    fn encodes_hexadecimal() {
        assert_eq!(hex(&[0x00, 0xff, 0x1a]), "00ff1a");
    }
}
