//! A certificate's bytes and the facts in them, also where no verifier would accept it.

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

use super::der::content;
use super::extension::embedded_scts;
use super::key::Key;
use super::oid::SIG_ECDSA_WITH_SHA1;
use super::signature::{SignatureFault, Signed, WEAK_ALGORITHMS};
use crate::text::printable;

/// A certificate as presented. Equal certificates are kept once ([`super::Judge`] interns them).
#[derive(Debug)]
pub struct Certificate {
    der: CertificateDer<'static>,
    fingerprint: [u8; 32],
    facts: Option<Facts>,
}

impl Certificate {
    /// Parses what can be parsed.
    pub fn new(der: CertificateDer<'static>) -> Self {
        let fingerprint = fingerprint(&der);
        let facts = Facts::parse(&der);
        Self { der, fingerprint, facts }
    }

    /// The bytes as sent.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// SHA-256 over the bytes.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// SHA-1 over the bytes, which Windows shows as thumbprint. It tells certificates apart where nobody forges one.
    pub fn thumbprint(&self) -> [u8; 20] {
        Sha1::digest(&self.der).into()
    }

    /// The subject as DER without its header.
    pub(super) fn subject_der(&self) -> Option<&[u8]> {
        let (_, certificate) = X509Certificate::from_der(&self.der).ok()?;
        content(certificate.tbs_certificate.subject.as_raw())
    }

    /// The issuer, likewise.
    pub(super) fn issuer_der(&self) -> Option<&[u8]> {
        let (_, certificate) = X509Certificate::from_der(&self.der).ok()?;
        content(certificate.tbs_certificate.issuer.as_raw())
    }

    /// The SubjectPublicKeyInfo, whole.
    pub(super) fn spki(&self) -> Option<&[u8]> {
        let (start, length) = self.facts()?.spki;
        let (start, length) = (usize::try_from(start).ok()?, usize::try_from(length).ok()?);
        self.der.get(start..start.checked_add(length)?)
    }

    /// None where the bytes are no certificate.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_ref()
    }
}

/// SHA-256 over a certificate's bytes.
pub fn fingerprint(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}

/// What a certificate says. All text is printable and cut; nothing in it was verified.
#[derive(Debug)]
pub struct Facts {
    /// Start of validity, Unix seconds.
    pub not_before: i64,
    /// End of validity, Unix seconds.
    pub not_after: i64,
    /// Lines: serial, subject, issuer, the common names, the DNS names. One piece of memory, since a certificate has
    /// many short texts and an exporter many certificates; none of them contains a line's end.
    text: Box<str>,
    common_names: usize,
    addresses: Box<[IpAddr]>,
    /// The public key.
    pub key: Key,
    /// The algorithm of the issuer's signature.
    pub signature: Signature,
    /// Subject and issuer are equal and the certificate's own key made the signature.
    pub self_signed: bool,
    /// Signed certificate timestamps that are embedded (RFC 6962 §3.3); their signatures are not judged.
    pub scts: u16,
    /// The SubjectPublicKeyInfo within the bytes: where it begins, and its length.
    spki: (u32, u32),
}

impl Facts {
    /// The serial number in hexadecimal, lower case, without separators.
    pub fn serial(&self) -> &str {
        self.line(0)
    }

    /// The subject, as RFC 4514 writes names.
    pub fn subject(&self) -> &str {
        self.line(1)
    }

    /// The issuer, likewise.
    pub fn issuer(&self) -> &str {
        self.line(2)
    }

    /// The subject's common names, which clients no longer match (RFC 9525 §2).
    pub fn common_names(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n').skip(HEAD).take(self.common_names)
    }

    /// The subject alternative names that can be server names, as they stand, DNS names first. Malformed ones, and
    /// those with a line's end in them, are left out.
    pub fn names(&self) -> impl Iterator<Item = PresentedName<'_>> {
        let dns = self.text.split('\n').skip(HEAD + self.common_names).map(PresentedName::Dns);
        dns.chain(self.addresses.iter().copied().map(PresentedName::Ip))
    }

    fn line(&self, number: usize) -> &str {
        self.text.split('\n').nth(number).unwrap_or_default()
    }
}

/// Lines before the names.
const HEAD: usize = 3;

/// One subject alternative name (RFC 5280 §4.2.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresentedName<'a> {
    /// A dNSName, in any case, perhaps with a wildcard.
    Dns(&'a str),
    /// An iPAddress of 4 or 16 octets.
    Ip(IpAddr),
}

impl std::fmt::Display for PresentedName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// A signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The `signature` label.
    pub name: &'static str,
    /// Built on SHA-1 or MD5.
    pub weak: bool,
}

impl Facts {
    fn parse(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let validity = certificate.validity();
        let spki = certificate.public_key().raw;
        let spki_at = spki.as_ptr() as usize - der.as_ptr() as usize;
        let common_names: Vec<String> = certificate
            .subject()
            .iter_common_name()
            .filter_map(|name| name.as_str().ok())
            .take(8)
            .map(|name| printable(name, 253))
            .collect();
        let (dns_names, addresses) = alternative_names(&certificate);
        let serial = certificate.raw_serial();
        let head =
            [hex(serial.get(..20).unwrap_or(serial)), cleaned(certificate.subject()), cleaned(certificate.issuer())];
        let lines: Vec<&str> = head.iter().chain(&common_names).map(String::as_str).chain(dns_names).collect();
        let self_issued = certificate.subject().as_raw() == certificate.issuer().as_raw();
        Some(Self {
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
            text: lines.join("\n").into(),
            common_names: common_names.len(),
            addresses: addresses.into(),
            key: Key::of(certificate.public_key()),
            signature: Signature::of(&certificate.signature_algorithm.algorithm),
            self_signed: self_issued && made_its_signature(der, spki),
            scts: u16::try_from(embedded_scts(&certificate)).unwrap_or(u16::MAX),
            spki: (u32::try_from(spki_at).ok()?, u32::try_from(spki.len()).ok()?),
        })
    }
}

/// Whether the key made the signature, as far as that can be checked.
fn made_its_signature(der: &[u8], spki: &[u8]) -> bool {
    Signed::parse(der).is_some_and(|(signed, _)| signed.check(spki) != Err(SignatureFault::Wrong))
}

fn cleaned(name: &X509Name<'_>) -> String {
    printable(&name.to_string(), 200)
}

/// As verifiers read them: names before one that is malformed count, what follows it does not.
fn alternative_names<'a>(certificate: &'a X509Certificate<'_>) -> (Vec<&'a str>, Vec<IpAddr>) {
    let extension = certificate.iter_extensions().find(|extension| extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME);
    let mut rest = extension.and_then(|extension| content(extension.value)).unwrap_or_default();
    let (mut dns_names, mut addresses) = (Vec::new(), Vec::new());
    while let Some((tag, (after, name))) = rest.first().zip(Any::from_der(rest).ok()) {
        match *tag {
            DNS_NAME => dns_names.extend(str::from_utf8(name.data).ok().filter(|name| !name.contains('\n'))),
            IP_ADDRESS => addresses.extend(address(name.data)),
            tag if OTHER_NAMES.contains(&tag) => {}
            _ => break,
        }
        rest = after;
    }
    (dns_names, addresses)
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(octets).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

impl Signature {
    fn of(id: &Oid<'_>) -> Self {
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

/// Identifier octets of the kinds of names (RFC 5280 §4.2.1.6).
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
const OTHER_NAMES: [u8; 7] = [0xa0, 0x81, 0xa3, 0xa4, 0xa5, 0x86, 0x88];

/// Lower-case hexadecimal without separators.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('?');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
impl Facts {
    /// Facts with these names and nothing else.
    pub(super) fn named(names: &[PresentedName<'_>], common_name: Option<&str>) -> Self {
        let dns = names.iter().filter_map(|name| match name {
            PresentedName::Dns(name) => Some(*name),
            PresentedName::Ip(_) => None,
        });
        let addresses = names.iter().filter_map(|name| match name {
            PresentedName::Ip(ip) => Some(*ip),
            PresentedName::Dns(_) => None,
        });
        Self {
            not_before: 0,
            not_after: 0,
            text: ["", "", ""].into_iter().chain(common_name).chain(dns).collect::<Vec<_>>().join("\n").into(),
            common_names: usize::from(common_name.is_some()),
            addresses: addresses.collect(),
            key: Key::Other,
            signature: Signature { name: "other", weak: false },
            self_signed: false,
            scts: 0,
            spki: (0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_certificate_have_no_facts() {
        for der in [&[][..], &[0x30], &[0x30, 0x80, 0x01], b"-----BEGIN CERTIFICATE-----"] {
            assert!(Certificate::new(der.to_vec().into()).facts().is_none(), "{der:?}");
        }
    }

    #[test]
    fn hexadecimal() {
        assert_eq!(hex(&[0x00, 0xff, 0x1a]), "00ff1a");
    }
}
