//! The stapled OCSP response (RFC 6960): is it about this certificate, did the issuer or its delegate sign it, what
//! does it say. What depends on the moment is kept as numbers and decided when it is read.

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
use super::der::whole;
use super::extension;
use super::signature::Signed;
use crate::reason::{OcspReason, OcspStatus};
use crate::trust::TrustStore;

/// What is concluded from the staple that came with a certificate, or from its absence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspVerdict {
    must_staple: bool,
    staple: Staple,
}

impl OcspVerdict {
    /// Whether the server sent a staple, however bad.
    pub fn is_stapled(&self) -> bool {
        self.staple != Staple::Missing
    }

    /// Whether the certificate demands of its server to staple (RFC 7633).
    pub fn must_staple(&self) -> bool {
        self.must_staple
    }

    /// What the staple says of the certificate. None unless it is about this certificate and rightly signed; it may be
    /// stale or out of its time, as [`Self::reasons`] tells.
    pub fn status(&self) -> Option<OcspStatus> {
        self.sound().map(|said| said.status)
    }

    /// When the responder will know more, at the latest: nextUpdate (RFC 6960 §4.2.2.1) in Unix seconds, where there is
    /// a [`Self::status`] and the staple gives one.
    pub fn next_update(&self) -> Option<i64> {
        self.sound()?.next_update
    }

    /// All that is wrong at `now` (Unix seconds).
    pub fn reasons(&self, now: i64) -> impl Iterator<Item = OcspReason> {
        let said = self.sound();
        let missing = self.must_staple && !self.is_stapled();
        let stale = said.and_then(|said| said.next_update).is_some_and(|next_update| next_update < now);
        let invalid = self.staple == Staple::Invalid || said.is_some_and(|said| !said.credible.contains(&now));
        let revoked = said.is_some_and(|said| said.status == OcspStatus::Revoked);
        let reasons = [
            (missing, OcspReason::StapleMissing),
            (stale, OcspReason::StapleStale),
            (invalid, OcspReason::StapleInvalid),
            (revoked, OcspReason::Revoked),
        ];
        reasons.into_iter().filter_map(|(holds, reason)| holds.then_some(reason))
    }

    fn sound(&self) -> Option<&Statement> {
        match &self.staple {
            Staple::Sound(statement) => Some(statement),
            Staple::Missing | Staple::Undecided | Staple::Invalid => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Staple {
    Missing,
    /// Nothing wrong was found, but no key is known to be the issuer's.
    Undecided,
    Invalid,
    Sound(Statement),
}

/// What the issuer, or a responder in its name, signed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Statement {
    status: OcspStatus,
    next_update: Option<i64>,
    /// The moments at which it may be believed, nextUpdate aside: thisUpdate has come, and the responder's certificate
    /// is valid.
    credible: RangeInclusive<i64>,
}

/// Judges `staple`, empty where none came, by the chain that it was sent with and the roots.
pub(super) fn of_chain(chain: &[Arc<Certificate>], staple: &[u8], store: &TrustStore) -> OcspVerdict {
    let Some((leaf, others)) = chain.split_first() else {
        return OcspVerdict { must_staple: false, staple: Staple::Missing };
    };
    let mut keys: Vec<Vec<u8>> = Vec::new();
    if let Some(issuer) = leaf.issuer_der().filter(|_| !staple.is_empty()) {
        let others = others.iter().filter(|other| other.subject_der() == Some(issuer));
        keys.extend(others.filter_map(|other| other.spki()).map(<[u8]>::to_vec).take(MAX_ISSUERS));
        let roots = store.anchors().iter().filter(|root| *root.subject == *issuer);
        keys.extend(roots.map(|root| whole(&root.subject_public_key_info)).take(MAX_ISSUERS));
    }
    judge(staple, leaf, &keys.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// Judges `staple`, empty where none came, against the certificate that it was sent with.
///
/// `issuer_keys` are the SubjectPublicKeyInfos (whole DER) of every certificate or root whose subject is the leaf's
/// issuer. One that cannot be shown to have signed the leaf does not count; where none is left, what the staple says is
/// not known. Whether a delegated responder's certificate is itself revoked is not asked.
fn judge(staple: &[u8], leaf: &Certificate, issuer_keys: &[&[u8]]) -> OcspVerdict {
    let parsed = X509Certificate::from_der(leaf.der()).ok().filter(|(rest, _)| rest.is_empty());
    let signed = Signed::parse(leaf.der());
    let Some(((_, certificate), (signed, _))) = parsed.zip(signed) else {
        let staple = if staple.is_empty() { Staple::Missing } else { Staple::Undecided };
        return OcspVerdict { must_staple: false, staple };
    };
    let must_staple = extension::must_staple(&certificate);
    if staple.is_empty() {
        return OcspVerdict { must_staple, staple: Staple::Missing };
    }
    let outer = if staple.len() <= MAX_LENGTH { OcspResponse::from_der(staple).ok() } else { None };
    let staple = match outer.as_ref().and_then(Response::parse) {
        Some(response) => response.judge(&certificate, &signed, issuer_keys),
        None => Staple::Invalid,
    };
    OcspVerdict { must_staple, staple }
}

/// A response with status successful and of type basic. Nothing in it is believed yet.
struct Response<'a> {
    signed: Signed<'a>,
    /// The ResponderID, a CHOICE, with its tag and length.
    responder: &'a [u8],
    statements: Vec<SingleResponse>,
    /// As they were sent; they may be no certificates at all.
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
        let of_leaf = |id: &CertId| {
            id.serial_number.as_bytes() == leaf.raw_serial()
                && digest(id, leaf.issuer().as_raw()).as_deref() == Some(id.issuer_name_hash.as_bytes())
        };
        let statements: Vec<_> = self.statements.iter().filter(|statement| of_leaf(&statement.cert_id)).collect();
        if statements.is_empty() {
            return Staple::Invalid;
        }
        // Anyone can send along a CA certificate of the issuer's name: its key counts only if it signed the leaf.
        let issuers = issuer_keys.iter().filter(|spki| signed_leaf.check(spki).is_ok());
        let mut issuers = issuers.filter_map(|spki| Signer::issuer(leaf, spki)).peekable();
        if issuers.peek().is_none() {
            return Staple::Undecided;
        }
        let by_issuer = issuers.find_map(|issuer| {
            let of_issuer = |id: &CertId| digest(id, issuer.key).as_deref() == Some(id.issuer_key_hash.as_bytes());
            let statements = statements.iter().filter(|statement| of_issuer(&statement.cert_id));
            // The worst where several are about the same certificate, and of those the newest.
            let statement = statements.max_by_key(|statement| (severity(statement), unix(statement.this_update)))?;
            Some((issuer, *statement))
        });
        let statement = by_issuer.and_then(|(issuer, statement)| {
            let valid = self.signer_validity(&issuer)?;
            Statement::new(statement, &valid)
        });
        statement.map_or(Staple::Invalid, Staple::Sound)
    }

    /// When the certificate of the one who signed is valid, where that is the issuer (who is not asked for it) or a
    /// responder that the issuer certified for this.
    fn signer_validity(&self, issuer: &Signer<'_>) -> Option<RangeInclusive<i64>> {
        if self.names(issuer) && self.signed.check(issuer.spki).is_ok() {
            return Some(i64::MIN..=i64::MAX);
        }
        self.certificates.iter().find_map(|der| {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            let (signed, _) = Signed::parse(der)?;
            let delegate = Signer::subject(&certificate);
            let certified = self.names(&delegate)
                && certificate.issuer().as_raw() == issuer.name
                && may_sign_responses(&certificate)
                && signed.check(issuer.spki).is_ok();
            let validity = certificate.validity();
            let valid = validity.not_before.timestamp()..=validity.not_after.timestamp();
            (certified && self.signed.check(delegate.spki).is_ok()).then_some(valid)
        })
    }

    /// Whether the ResponderID means `signer` (RFC 6960 §4.2.2.3): by name, or by SHA-1 of the key.
    fn names(&self, signer: &Signer<'_>) -> bool {
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

/// Somebody who may have signed the response.
struct Signer<'a> {
    /// The distinguished name's DER.
    name: &'a [u8],
    /// The SubjectPublicKeyInfo's DER.
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

/// The extended key usage says so (RFC 6960 §4.2.2.2), and nothing critical is left that is not understood.
fn may_sign_responses(certificate: &X509Certificate<'_>) -> bool {
    let delegated = certificate.extended_key_usage().ok().flatten().is_some_and(|usage| usage.value.ocsp_signing);
    let is_unknown = |extension: &ParsedExtension<'_>| {
        matches!(extension, ParsedExtension::UnsupportedExtension { .. } | ParsedExtension::ParseError { .. })
    };
    let mut critical = certificate.iter_extensions().filter(|extension| extension.critical);
    delegated && !critical.any(|extension| is_unknown(extension.parsed_extension()))
}

impl Statement {
    fn new(single: &SingleResponse, signer_validity: &RangeInclusive<i64>) -> Option<Self> {
        let this_update = unix(single.this_update);
        let next_update = single.next_update.map(unix);
        if next_update.is_some_and(|next_update| next_update < this_update) {
            return None;
        }
        let from = this_update.saturating_sub(CLOCK_SKEW).max(*signer_validity.start());
        Some(Self { status: status(single), next_update, credible: from..=*signer_validity.end() })
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

/// The hash that `id` names, over `bytes`; none where it is not known.
fn digest(id: &CertId, bytes: &[u8]) -> Option<Vec<u8>> {
    match id.hash_algorithm.oid {
        ID_SHA_1 => Some(Sha1::digest(bytes).to_vec()),
        ID_SHA_256 => Some(Sha256::digest(bytes).to_vec()),
        ID_SHA_384 => Some(Sha384::digest(bytes).to_vec()),
        ID_SHA_512 => Some(Sha512::digest(bytes).to_vec()),
        _ => None,
    }
}

/// Takes a ResponseData (RFC 6960 §4.2.1) apart: the ResponderID as it stands, and the single responses. Not by
/// [`x509_ocsp::ResponseData`], which sorts a name's SETs in quadratic time, which a server could make us pay.
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
                bound(statements.len(), MAX_STATEMENTS)?;
            }
            Ok(statements)
        })?;
        let extensions: Option<Extensions> = reader.context_specific(TagNumber::N1, TagMode::Explicit)?;
        refuse_critical(extensions.as_ref())?;
        Ok((responder, statements))
    })?;
    reader.finish(read)
}

/// `der` is what follows the signature: `[0] EXPLICIT SEQUENCE OF Certificate OPTIONAL`.
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
            bound(certificates.len(), MAX_CERTIFICATES)?;
        }
        Ok(certificates)
    })?;
    reader.finish(certificates)
}

fn bound(found: usize, allowed: usize) -> der::Result<()> {
    if found > allowed { Err(ErrorKind::Overlength.into()) } else { Ok(()) }
}

/// No extension is understood here, so none may be critical (RFC 6960 §4.4).
fn refuse_critical(extensions: Option<&Extensions>) -> der::Result<()> {
    let critical = extensions.into_iter().flatten().find(|extension| extension.critical);
    critical.map_or(Ok(()), |extension| Err(ErrorKind::OidUnknown { oid: extension.extn_id }.into()))
}

/// How far a responder's clock may be ahead of ours, in seconds.
const CLOCK_SKEW: i64 = 300;

/// In octets.
const MAX_LENGTH: usize = 64 * 1024;
const MAX_STATEMENTS: usize = 16;
const MAX_CERTIFICATES: usize = 8;
/// Keys that are tried as the issuer's, among the presented certificates and among the roots.
const MAX_ISSUERS: usize = 8;

#[cfg(test)]
mod tests;
