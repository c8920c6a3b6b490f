//! What some senders refuse although the chain is valid. `tests/fleet/src/cases/differences.rs` has the runs and sources
//! behind each rule.

use std::sync::Arc;

use x509_parser::asn1_rs::{Oid, oid};
use x509_parser::extensions::{GeneralName, NameConstraints};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use super::budget::Budget;
use super::certificate::Certificate;
use super::constraints;
use super::der::wrap_sequence;
use super::extension::{self, DIGITAL_SIGNATURE, KEY_AGREEMENT, KEY_ENCIPHERMENT};
use super::roots::CandidateRoot;
use super::senders::{self, Candidate, identify};
use crate::reason::{ChainWarning, Sender};
use crate::trust::TrustStore;

/// A set of [`ChainWarning`]s, each with its causes and the senders that refuse the chain for each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Warnings([[Senders; Cause::ALL.len()]; ChainWarning::ALL.len()]);

impl Warnings {
    /// The warnings in the order of [`ChainWarning::ALL`], each with the senders that refuse the chain for any cause.
    pub fn iter(self) -> impl Iterator<Item = (ChainWarning, Senders)> {
        let with_senders = |(warning, causes): (ChainWarning, [Senders; Cause::ALL.len()])| {
            (warning, causes.into_iter().fold(Senders::UNKNOWN, Senders::and))
        };
        let all = ChainWarning::ALL.iter().copied().zip(self.0).map(with_senders);
        all.filter(|(_, senders)| *senders != Senders::UNKNOWN)
    }

    /// The senders that refuse the chain with this warning for this cause; none if it does not apply.
    pub fn senders(self, warning: ChainWarning, cause: Cause) -> Option<Senders> {
        let senders = self.0.get(warning as usize)?.get(cause as usize).copied()?;
        Some(senders).filter(|senders| *senders != Senders::UNKNOWN)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    fn add(&mut self, warning: ChainWarning, cause: Cause, senders: Senders) {
        if let Some(known) = self.0.get_mut(warning as usize).and_then(|causes| causes.get_mut(cause as usize)) {
            *known = known.and(senders);
        }
    }
}

/// What causes a warning, and so who can fix it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The key usage or the common name of the server certificate.
    ServerCertificate,
    /// Any of the certificates that are presented, or their order.
    Presented,
    /// The root, or other certificates in the trust store: the server's operator does not choose them.
    Store,
}

impl Cause {
    /// All causes, in the order of their discriminants.
    pub const ALL: [Self; 3] = [Self::ServerCertificate, Self::Presented, Self::Store];
}

/// A set of senders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Senders(u8);

impl Senders {
    /// No warning.
    const UNKNOWN: Self = Self(0);
    /// A warning for which no sender is known to refuse the chain.
    const NONE: Self = Self(1 << 7);
    const OPENSSL: Self = Self(1 << Sender::OpenSsl as u8 | 1 << Sender::Postfix as u8);
    const GNUTLS: Self = Self(1 << Sender::GnuTls as u8);
    const GO: Self = Self(1 << Sender::Go as u8);

    /// The senders in the order of [`Sender::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Sender> {
        Sender::ALL.iter().copied().filter(move |sender| self.0 & (1 << *sender as u8) != 0)
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What senders see besides the path.
pub(super) struct SenderView<'a> {
    /// All certificates, leaf first, in the order of the server.
    pub(super) presented: Vec<Candidate<'a>>,
    pub(super) store: &'a TrustStore,
    pub(super) budget: &'a Budget,
    /// The warnings for them, whatever the path.
    warnings: Warnings,
}

impl<'a> SenderView<'a> {
    pub(super) fn new(presented: &'a [Arc<Certificate>], store: &'a TrustStore, budget: &'a Budget) -> Self {
        let count = presented.len();
        let presented: Vec<_> = presented.iter().filter_map(|one| Candidate::parse(one.der().as_ref())).collect();
        let warnings = of_presented(&presented, count);
        Self { presented, store, budget, warnings }
    }
}

/// The warnings for a path that verifies at `time`: `members`, leaf first, and its root.
pub(super) fn for_path(
    view: &SenderView<'_>,
    members: &[Arc<Certificate>],
    root: Option<&CandidateRoot<'_>>,
    time: i64,
) -> Warnings {
    let mut warnings = view.warnings;
    let path: Vec<X509Certificate<'_>> =
        members.iter().filter_map(|member| Some(X509Certificate::from_der(member.der()).ok()?.1)).collect();
    let of_root = root.and_then(|root| root.certificate.as_ref());
    if let Some(leaf) = path.first() {
        add_key_usage(&mut warnings, leaf);
        if violates_as_common_name(&path, root, view.budget) {
            let senders = Senders::OPENSSL.and(Senders::GNUTLS);
            warnings.add(ChainWarning::CommonNameConstraints, Cause::ServerCertificate, senders);
        }
    }
    let presented = path.iter().skip(1).map(|issuer| (issuer, Cause::Presented));
    for (issuer, cause) in presented.chain(of_root.map(|root| (root, Cause::Store))) {
        if extension::key_usage(issuer) == Some(0) {
            warnings.add(ChainWarning::KeyUsage, cause, Senders::OPENSSL.and(Senders::GNUTLS));
        }
    }
    if let Some(root) = of_root {
        add_serial(&mut warnings, root, Cause::Store);
        add_root_extensions(&mut warnings, root);
    }
    let issuers = path.iter().skip(1).chain(of_root);
    let identified: Vec<_> = path.iter().zip(issuers).map(|(child, issuer)| identify(child, issuer)).collect();
    let accepted = senders::accept(view, members, root, time);
    // What is wrong with this path explains why a sender did not take it; if nothing is, the sender took another one.
    if !accepted.openssl {
        let (is_identified, is_root) =
            (identified.iter().all(|link| link.by_any), of_root.is_none_or(senders::is_root));
        let is_self_issued = of_root.is_none_or(|root| root.subject().as_raw() == root.issuer().as_raw());
        if !is_identified {
            warnings.add(ChainWarning::AuthorityKeyIdentifier, Cause::Presented, Senders::OPENSSL);
        }
        if !is_root && is_self_issued {
            warnings.add(ChainWarning::AuthorityKeyIdentifier, Cause::Store, Senders::OPENSSL);
        }
        if !is_self_issued {
            warnings.add(ChainWarning::RootNotSelfSigned, Cause::Store, Senders::OPENSSL);
        }
        if is_identified && is_root {
            let cause = if accepted.is_misled_by_store { Cause::Store } else { Cause::Presented };
            warnings.add(ChainWarning::IssuerOrder, cause, Senders::OPENSSL);
        }
    }
    if !accepted.gnutls {
        // GnuTLS tries all roots of the store, and only one of the issuers that are presented.
        let is_identified = identified.iter().all(|link| link.by_key);
        let warning = if is_identified { ChainWarning::IssuerOrder } else { ChainWarning::AuthorityKeyIdentifier };
        warnings.add(warning, Cause::Presented, Senders::GNUTLS);
    }
    warnings
}

/// The warnings at `time` for a self-signed server certificate that is in the trust store.
pub(super) fn for_trusted_leaf(view: &SenderView<'_>, time: i64) -> Warnings {
    let mut warnings = view.warnings;
    let Some(leaf) = view.presented.first() else { return warnings };
    add_key_usage(&mut warnings, &leaf.certificate);
    if !senders::is_root(&leaf.certificate) {
        warnings.add(ChainWarning::AuthorityKeyIdentifier, Cause::Presented, Senders::OPENSSL);
    } else if !senders::openssl_trusts_leaf(view, time) {
        warnings.add(ChainWarning::IssuerOrder, Cause::Store, Senders::OPENSSL);
    }
    warnings
}

fn add_key_usage(warnings: &mut Warnings, leaf: &X509Certificate<'_>) {
    match extension::key_usage(leaf) {
        None => {}
        // RFC 5280 §4.2.1.3 requires at least one bit. OpenSSL rejects the certificate; GnuTLS ignores the extension.
        Some(0) => warnings.add(ChainWarning::KeyUsage, Cause::ServerCertificate, Senders::OPENSSL),
        Some(bits) if bits & (DIGITAL_SIGNATURE | KEY_ENCIPHERMENT | KEY_AGREEMENT) == 0 => {
            warnings.add(ChainWarning::KeyUsage, Cause::ServerCertificate, Senders::OPENSSL.and(Senders::GNUTLS));
        }
        Some(bits) if bits & DIGITAL_SIGNATURE == 0 => {
            warnings.add(ChainWarning::NoDigitalSignature, Cause::ServerCertificate, Senders::GNUTLS);
        }
        Some(_) => {}
    }
}

/// What depends on all presented certificates: Go parses all of them, and GnuTLS limits their number.
fn of_presented(presented: &[Candidate<'_>], count: usize) -> Warnings {
    let mut warnings = Warnings::default();
    for candidate in presented {
        add_serial(&mut warnings, &candidate.certificate, Cause::Presented);
        add_names(&mut warnings, &candidate.certificate);
    }
    if count > GNUTLS_MAX_CERTIFICATES {
        warnings.add(ChainWarning::ManyCertificates, Cause::Presented, Senders::GNUTLS);
    }
    warnings
}

fn add_serial(warnings: &mut Warnings, certificate: &X509Certificate<'_>, cause: Cause) {
    let serial = certificate.raw_serial();
    let is_negative = serial.first().is_some_and(|first| first & 0x80 != 0);
    let length = serial.strip_prefix(&[0]).unwrap_or(serial).len();
    let is_padded = matches!(serial, [0, 0..=0x7f, ..] | [0xff, 0x80..=0xff, ..]);
    if serial.is_empty() || is_padded {
        // Not DER (X.690 §8.3).
        warnings.add(ChainWarning::SerialNumber, cause, Senders::OPENSSL.and(Senders::GO));
    } else if is_negative {
        warnings.add(ChainWarning::SerialNumber, cause, Senders::GO);
    } else if length > 20 {
        warnings.add(ChainWarning::SerialNumber, cause, Senders::NONE);
    }
}

fn add_names(warnings: &mut Warnings, certificate: &X509Certificate<'_>) {
    let names = certificate.iter_extensions().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    for name in names.flatten() {
        match name {
            GeneralName::DNSName("") => warnings.add(ChainWarning::SubjectAltName, Cause::Presented, Senders::GNUTLS),
            GeneralName::IPAddress(octets) if ![4, 16].contains(&octets.len()) => {
                warnings.add(ChainWarning::SubjectAltName, Cause::Presented, Senders::GO);
            }
            // An IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2).
            GeneralName::IPAddress([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..]) => {
                warnings.add(ChainWarning::SubjectAltName, Cause::Presented, Senders::GO);
            }
            GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) if !text.is_ascii() => {
                warnings.add(ChainWarning::SubjectAltName, Cause::Presented, Senders::GO);
            }
            GeneralName::Invalid(..) => warnings.add(ChainWarning::SubjectAltName, Cause::Presented, Senders::GO),
            _ => {}
        }
    }
}

fn add_root_extensions(warnings: &mut Warnings, root: &X509Certificate<'_>) {
    let (mut has_basic_constraints, mut has_key_usage) = (false, false);
    for extension in root.iter_extensions() {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(_) => has_basic_constraints = true,
            ParsedExtension::KeyUsage(_) => has_key_usage = true,
            ParsedExtension::ExtendedKeyUsage(usage) if !usage.server_auth => {
                let senders = if usage.any { Senders::OPENSSL } else { Senders::OPENSSL.and(Senders::GO) };
                warnings.add(ChainWarning::RootExtendedKeyUsage, Cause::Store, senders);
            }
            _ => {}
        }
        if let Some(senders) = extension.critical.then(|| refuse_critical(&extension.oid)).flatten() {
            warnings.add(ChainWarning::RootCriticalExtension, Cause::Store, senders);
        }
    }
    // Version 1 has no extensions.
    if root.version().0 >= 2 && !has_basic_constraints {
        let senders = if has_key_usage { Senders::GO } else { Senders::GO.and(Senders::OPENSSL) };
        warnings.add(ChainWarning::RootBasicConstraints, Cause::Store, senders);
    }
}

/// Who refuses this critical extension of a root although some sender processes it: the supported extensions of OpenSSL
/// (`X509_supported_extension` in v3_purp.c) and Go (`processExtensions` in parser.go).
fn refuse_critical(id: &Oid<'_>) -> Option<Senders> {
    let openssl = if OPENSSL_EXTENSIONS.contains(id) { Senders::UNKNOWN } else { Senders::OPENSSL };
    let go = if GO_EXTENSIONS.contains(id) { Senders::UNKNOWN } else { Senders::GO };
    Some(openssl.and(go)).filter(|senders| *senders != Senders::UNKNOWN)
}

/// Whether the common name is checked as a DNS name and violates the constraints of a CA on the path (RFC 6125 §6.4.4:
/// only if there are no DNS names).
fn violates_as_common_name(path: &[X509Certificate<'_>], root: Option<&CandidateRoot<'_>>, budget: &Budget) -> bool {
    let Some((leaf, issuers)) = path.split_first() else { return false };
    let names = leaf.iter_extensions().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    if names.flatten().any(|name| matches!(name, GeneralName::DNSName(_))) {
        return false;
    }
    let names = leaf.subject().iter_common_name().filter_map(|name| name.as_str().ok()).filter(|name| is_host(name));
    let names: Vec<_> = names.map(GeneralName::DNSName).collect();
    let violate = |constraints: &NameConstraints<'_>| constraints::are_violated(constraints, names.iter(), budget);
    let by_issuer = issuers.iter().flat_map(|issuer| issuer.iter_extensions()).any(|extension| {
        matches!(extension.parsed_extension(), ParsedExtension::NameConstraints(constraints) if violate(constraints))
    });
    let of_root = root.and_then(|root| root.root.anchor().name_constraints.as_ref()).map(|der| wrap_sequence(der));
    by_issuer || of_root.is_some_and(|der| NameConstraints::from_der(&der).is_ok_and(|(_, found)| violate(&found)))
}

/// Whether OpenSSL takes it for a DNS name (`cn2dnsid` in v3_ncons.c): it has a dot within.
fn is_host(name: &str) -> bool {
    let is_valid = name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet));
    is_valid && name.trim_matches('.').contains('.')
}

/// `DEFAULT_MAX_VERIFY_DEPTH` in lib/gnutls_int.h of 3.7.
const GNUTLS_MAX_CERTIFICATES: usize = 16;

const OPENSSL_EXTENSIONS: [Oid<'static>; 14] = [
    oid!(2.5.29.15),
    oid!(2.5.29.17),
    oid!(2.5.29.19),
    oid!(2.5.29.30),
    oid!(2.5.29.31),
    oid!(2.5.29.32),
    oid!(2.5.29.33),
    oid!(2.5.29.36),
    oid!(2.5.29.37),
    oid!(2.5.29.54),
    oid!(1.3.6.1.5.5.7.1.7),
    oid!(1.3.6.1.5.5.7.1.8),
    oid!(1.3.6.1.5.5.7.1.14),
    oid!(2.16.840.1.113730.1.1),
];

const GO_EXTENSIONS: [Oid<'static>; 11] = [
    oid!(2.5.29.15),
    oid!(2.5.29.17),
    oid!(2.5.29.19),
    oid!(2.5.29.30),
    oid!(2.5.29.31),
    oid!(2.5.29.32),
    oid!(2.5.29.33),
    oid!(2.5.29.35),
    oid!(2.5.29.36),
    oid!(2.5.29.37),
    oid!(2.5.29.54),
];
