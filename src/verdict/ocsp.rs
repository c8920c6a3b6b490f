//! The stapled OCSP response (RFC 6960): whether it is about this certificate, whether the issuer or its delegate
//! signed it, and the status. Whether it is current is decided when the verdict is read, since that depends on the
//! time.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_cert::der::asn1::{AnyRef, OctetStringRef};
use x509_cert::der::oid::db::rfc5912::{ID_SHA_1, ID_SHA_256, ID_SHA_384, ID_SHA_512};
use x509_cert::der::oid::db::rfc6960::ID_PKIX_OCSP_BASIC;
use x509_cert::der::{self, Decode, ErrorKind, Reader, SliceReader, Tag, TagMode, TagNumber, Tagged};
use x509_cert::ext::Extensions;
use x509_ocsp::{CertId, CertStatus, OcspGeneralizedTime, OcspResponse, OcspResponseStatus, SingleResponse, Version};
use x509_parser::asn1_rs::BitString;
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

use super::certificate::Certificate;
use super::der::wrap_sequence;
use super::extension;
use super::signature::Signed;
use crate::reason::{OcspReason, OcspStatus};
use crate::trust::{Root, TrustStore};

/// The verdict on the OCSP response stapled to a certificate, or on its absence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspVerdict {
    must_staple: bool,
    staple: Staple,
}

impl OcspVerdict {
    /// Whether the server stapled a response, valid or not.
    pub fn is_stapled(&self) -> bool {
        self.staple != Staple::Missing
    }

    /// Whether the certificate requires a staple (RFC 7633).
    pub fn must_staple(&self) -> bool {
        self.must_staple
    }

    /// The certificate status in the staple. `None` unless the staple is about this certificate and correctly signed.
    /// The staple may be stale or not yet valid: see [`Self::reasons`].
    pub fn status(&self) -> Option<OcspStatus> {
        self.statement().map(|statement| statement.status)
    }

    /// nextUpdate (RFC 6960 §4.2.2.1) in Unix seconds. `None` if there is no [`Self::status`] or the staple has none.
    pub fn next_update(&self) -> Option<i64> {
        self.statement()?.next_update
    }

    /// Everything that is wrong at `now` (Unix seconds).
    pub fn reasons(&self, now: i64) -> impl Iterator<Item = OcspReason> {
        let statement = self.statement();
        let missing = self.must_staple && !self.is_stapled();
        let stale = statement.and_then(|statement| statement.next_update).is_some_and(|next_update| next_update < now);
        let invalid =
            self.staple == Staple::Invalid || statement.is_some_and(|statement| !statement.valid_at.contains(&now));
        let revoked = statement.is_some_and(|statement| statement.status == OcspStatus::Revoked);
        let reasons = [
            (missing, OcspReason::StapleMissing),
            (stale, OcspReason::StapleStale),
            (invalid, OcspReason::StapleInvalid),
            (revoked, OcspReason::Revoked),
        ];
        reasons.into_iter().filter_map(|(applies, reason)| applies.then_some(reason))
    }

    fn statement(&self) -> Option<&Statement> {
        match &self.staple {
            Staple::Valid(statement) => Some(statement),
            Staple::Missing | Staple::Unverified | Staple::Invalid => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Staple {
    Missing,
    /// No error was found, but the issuer's key is not known.
    Unverified,
    Invalid,
    Valid(Statement),
}

/// A status signed by the issuer or its delegate.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Statement {
    status: OcspStatus,
    next_update: Option<i64>,
    /// From thisUpdate on, regardless of nextUpdate, while the responder's certificate is within its validity period.
    valid_at: RangeInclusive<i64>,
}

/// The verdict on `staple`, which is empty if there was none. The keys of the issuer are taken from the chain that it
/// was presented with and from the roots.
pub(super) fn for_chain(chain: &[Arc<Certificate>], staple: &[u8], store: &TrustStore) -> OcspVerdict {
    let Some((leaf, others)) = chain.split_first() else {
        return OcspVerdict { must_staple: false, staple: Staple::Missing };
    };
    let mut keys: Vec<Vec<u8>> = Vec::new();
    if let Some(issuer) = leaf.issuer_der().filter(|_| !staple.is_empty()) {
        let others = others.iter().filter(|other| other.subject_der() == Some(issuer));
        keys.extend(others.filter_map(|other| other.spki()).map(<[u8]>::to_vec).take(MAX_ISSUERS));
        let roots = store.roots().iter().map(Root::anchor).filter(|root| *root.subject == *issuer);
        keys.extend(roots.map(|root| wrap_sequence(&root.subject_public_key_info)).take(MAX_ISSUERS));
    }
    judge(staple, leaf, &keys.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// The verdict on `staple`, which is empty if there was none.
///
/// `issuer_keys` are the SubjectPublicKeyInfos (DER) of every certificate or root whose subject is the issuer of
/// `leaf`. Keys that did not sign the leaf are ignored; without any other the staple is not verified. The revocation
/// of a delegated responder's certificate is not checked.
fn judge(staple: &[u8], leaf: &Certificate, issuer_keys: &[&[u8]]) -> OcspVerdict {
    let parsed = X509Certificate::from_der(leaf.der()).ok().filter(|(rest, _)| rest.is_empty());
    let signed = Signed::parse(leaf.der());
    let Some(((_, certificate), (signed, _))) = parsed.zip(signed) else {
        let staple = if staple.is_empty() { Staple::Missing } else { Staple::Unverified };
        return OcspVerdict { must_staple: false, staple };
    };
    let must_staple = extension::must_staple(&certificate);
    if staple.is_empty() {
        return OcspVerdict { must_staple, staple: Staple::Missing };
    }
    let outer = if staple.len() <= MAX_STAPLE_BYTES { OcspResponse::from_der(staple).ok() } else { None };
    let staple = match outer.as_ref().and_then(Response::parse) {
        Some(response) => response.judge(&certificate, &signed, issuer_keys),
        None => Staple::Invalid,
    };
    OcspVerdict { must_staple, staple }
}

/// A successful basic response, parsed but not verified.
struct Response<'a> {
    signed: Signed<'a>,
    /// The ResponderID, a CHOICE, with its tag and length.
    responder: &'a [u8],
    statements: Vec<SingleResponse>,
    /// DER elements as sent, possibly not certificates.
    certificates: Vec<&'a [u8]>,
}

impl<'a> Response<'a> {
    fn parse(outer: &'a OcspResponse) -> Option<Self> {
        let bytes = outer.response_bytes.as_ref().filter(|bytes| bytes.response_type == ID_PKIX_OCSP_BASIC)?;
        if outer.response_status != OcspResponseStatus::Successful {
            return None;
        }
        let (signed, rest) = Signed::parse(bytes.response.as_bytes())?;
        let (responder, statements) = response_data(signed.message).ok()?;
        Some(Self { signed, responder, statements, certificates: certificates(rest).ok()? })
    }

    fn judge(&self, leaf: &X509Certificate<'_>, signed_leaf: &Signed<'_>, issuer_keys: &[&[u8]]) -> Staple {
        let is_of_leaf = |id: &CertId| {
            id.serial_number.as_bytes() == leaf.raw_serial()
                && digest(id, leaf.issuer().as_raw()).as_deref() == Some(id.issuer_name_hash.as_bytes())
        };
        let statements: Vec<_> = self.statements.iter().filter(|statement| is_of_leaf(&statement.cert_id)).collect();
        if statements.is_empty() {
            return Staple::Invalid;
        }
        // The server may present any certificate with the issuer's name: its key counts only if it signed the leaf.
        let issuers = issuer_keys.iter().filter(|spki| signed_leaf.check(spki).is_ok());
        let mut issuers = issuers.filter_map(|spki| Signer::issuer(leaf, spki)).peekable();
        if issuers.peek().is_none() {
            return Staple::Unverified;
        }
        let found = issuers.find_map(|issuer| {
            let is_of_issuer = |id: &CertId| digest(id, issuer.key).as_deref() == Some(id.issuer_key_hash.as_bytes());
            let statements = statements.iter().filter(|statement| is_of_issuer(&statement.cert_id));
            // Of several statements about the certificate, the most severe; of those, the newest.
            let statement = statements.max_by_key(|statement| (severity(statement), unix(statement.this_update)))?;
            Some((issuer, *statement))
        });
        let statement = found.and_then(|(issuer, statement)| {
            let valid = self.signer_validity(&issuer)?;
            Statement::new(statement, &valid)
        });
        statement.map_or(Staple::Invalid, Staple::Valid)
    }

    /// The validity period of the responder's certificate: unlimited for the issuer itself, otherwise that of the
    /// certificate that delegates signing. `None` if neither signed the response.
    fn signer_validity(&self, issuer: &Signer<'_>) -> Option<RangeInclusive<i64>> {
        if self.identifies(issuer) && self.signed.check(issuer.spki).is_ok() {
            return Some(i64::MIN..=i64::MAX);
        }
        self.certificates.iter().find_map(|der| {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            let (signed, _) = Signed::parse(der)?;
            let delegate = Signer::subject(&certificate);
            let is_delegate = self.identifies(&delegate)
                && certificate.issuer().as_raw() == issuer.name
                && may_sign_responses(&certificate)
                && signed.check(issuer.spki).is_ok();
            let validity = certificate.validity();
            let period = validity.not_before.timestamp()..=validity.not_after.timestamp();
            (is_delegate && self.signed.check(delegate.spki).is_ok()).then_some(period)
        })
    }

    /// Whether the ResponderID identifies `signer`, by its name or by the SHA-1 of its key (RFC 6960 §4.2.2.3).
    fn identifies(&self, signer: &Signer<'_>) -> bool {
        let Ok(responder) = AnyRef::from_der(self.responder) else { return false };
        match responder.tag() {
            Tag::ContextSpecific { constructed: true, number: TagNumber::N1 } => responder.value() == signer.name,
            Tag::ContextSpecific { constructed: true, number: TagNumber::N2 } => {
                OctetStringRef::from_der(responder.value())
                    .is_ok_and(|hash| hash.as_bytes() == Sha1::digest(signer.key).as_slice())
            }
            _ => false,
        }
    }
}

/// An entity that may have signed the response.
struct Signer<'a> {
    name: &'a [u8],
    /// The SubjectPublicKeyInfo as DER.
    spki: &'a [u8],
    /// The content of its BIT STRING.
    key: &'a [u8],
}

impl<'a> Signer<'a> {
    fn issuer(leaf: &'a X509Certificate<'_>, spki: &'a [u8]) -> Option<Self> {
        let (_, parsed) = SubjectPublicKeyInfo::from_der(spki).ok()?;
        let BitString { data: Cow::Borrowed(key), .. } = parsed.subject_public_key else { return None };
        Some(Self { name: leaf.issuer().as_raw(), spki, key })
    }

    fn subject(certificate: &'a X509Certificate<'_>) -> Self {
        let spki = certificate.public_key();
        Self { name: certificate.subject().as_raw(), spki: spki.raw, key: &spki.subject_public_key.data }
    }
}

/// Whether it may sign OCSP responses (RFC 6960 §4.2.2.2) and has no unknown critical extension.
fn may_sign_responses(certificate: &X509Certificate<'_>) -> bool {
    let has_usage = certificate.extended_key_usage().ok().flatten().is_some_and(|usage| usage.value.ocsp_signing);
    let is_unknown = |extension: &ParsedExtension<'_>| {
        matches!(extension, ParsedExtension::UnsupportedExtension { .. } | ParsedExtension::ParseError { .. })
    };
    let mut critical = certificate.iter_extensions().filter(|extension| extension.critical);
    has_usage && !critical.any(|extension| is_unknown(extension.parsed_extension()))
}

impl Statement {
    fn new(single: &SingleResponse, signer_validity: &RangeInclusive<i64>) -> Option<Self> {
        let this_update = unix(single.this_update);
        let next_update = single.next_update.map(unix);
        if next_update.is_some_and(|next_update| next_update < this_update) {
            return None;
        }
        let from = this_update.saturating_sub(CLOCK_SKEW).max(*signer_validity.start());
        Some(Self { status: status(single), next_update, valid_at: from..=*signer_validity.end() })
    }
}

fn status(single: &SingleResponse) -> OcspStatus {
    match single.cert_status {
        CertStatus::Good(_) => OcspStatus::Good,
        CertStatus::Revoked(_) => OcspStatus::Revoked,
        CertStatus::Unknown(_) => OcspStatus::Unknown,
    }
}

fn severity(single: &SingleResponse) -> u8 {
    match status(single) {
        OcspStatus::Good => 0,
        OcspStatus::Unknown => 1,
        OcspStatus::Revoked => 2,
    }
}

fn unix(time: OcspGeneralizedTime) -> i64 {
    i64::try_from(time.0.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
}

/// The hash of `bytes` with the algorithm of `id`, if it is supported.
fn digest(id: &CertId, bytes: &[u8]) -> Option<Vec<u8>> {
    match id.hash_algorithm.oid {
        ID_SHA_1 => Some(Sha1::digest(bytes).to_vec()),
        ID_SHA_256 => Some(Sha256::digest(bytes).to_vec()),
        ID_SHA_384 => Some(Sha384::digest(bytes).to_vec()),
        ID_SHA_512 => Some(Sha512::digest(bytes).to_vec()),
        _ => None,
    }
}

/// Parses a ResponseData (RFC 6960 §4.2.1): the ResponderID as DER, and the single responses. Not with
/// [`x509_ocsp::ResponseData`], which sorts the SETs of a name in quadratic time.
fn response_data(der: &[u8]) -> der::Result<(&[u8], Vec<SingleResponse>)> {
    let mut reader = SliceReader::new(der)?;
    let read = reader.sequence(|reader| {
        let _: Option<Version> = reader.context_specific(TagNumber::N0, TagMode::Explicit)?;
        let responder = reader.tlv_bytes()?;
        let _: OcspGeneralizedTime = reader.decode()?;
        let statements = reader.sequence(|reader| {
            let mut statements = Vec::new();
            while !reader.is_finished() {
                let statement: SingleResponse = reader.decode()?;
                refuse_critical(statement.single_extensions.as_ref())?;
                statements.push(statement);
                limit(statements.len(), MAX_STATEMENTS)?;
            }
            Ok(statements)
        })?;
        let extensions: Option<Extensions> = reader.context_specific(TagNumber::N1, TagMode::Explicit)?;
        refuse_critical(extensions.as_ref())?;
        Ok((responder, statements))
    })?;
    reader.finish(read)
}

/// The certificates in `der`, which follows the signature: `[0] EXPLICIT SEQUENCE OF Certificate OPTIONAL`.
fn certificates(der: &[u8]) -> der::Result<Vec<&[u8]>> {
    if der.is_empty() {
        return Ok(Vec::new());
    }
    let tagged = AnyRef::from_der(der)?;
    tagged.tag().assert_eq(Tag::ContextSpecific { constructed: true, number: TagNumber::N0 })?;
    let mut reader = SliceReader::new(tagged.value())?;
    let certificates = reader.sequence(|reader| {
        let mut certificates = Vec::new();
        while !reader.is_finished() {
            certificates.push(reader.tlv_bytes()?);
            limit(certificates.len(), MAX_CERTIFICATES)?;
        }
        Ok(certificates)
    })?;
    reader.finish(certificates)
}

fn limit(count: usize, max: usize) -> der::Result<()> {
    if count > max { Err(ErrorKind::Overlength.into()) } else { Ok(()) }
}

/// No extension is supported, so none may be critical (RFC 6960 §4.4).
fn refuse_critical(extensions: Option<&Extensions>) -> der::Result<()> {
    let critical = extensions.into_iter().flatten().find(|extension| extension.critical);
    critical.map_or(Ok(()), |extension| Err(ErrorKind::OidUnknown { oid: extension.extn_id }.into()))
}

/// How far the responder's clock may be ahead, in seconds.
const CLOCK_SKEW: i64 = 300;

const MAX_STAPLE_BYTES: usize = 64 * 1024;
const MAX_STATEMENTS: usize = 16;
const MAX_CERTIFICATES: usize = 8;
/// Maximum number of keys that are tried as the issuer's, for the presented certificates and the roots each.
const MAX_ISSUERS: usize = 8;

#[cfg(test)]
mod tests;
