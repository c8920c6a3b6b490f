//! The table of certificate chains that servers present, with the expected verdict for each.
//!
//! The reasons are the published label values. A case states the verdict at the *current* time. [`DIFFERENCES`] has what mail
//! senders do with a chain if it differs; for the name, the case says whether OpenSSL agrees (`openssl x509 -checkhost` or
//! `-checkip`), and if not, why.

use rustls_pki_types::CertificateDer;

use crate::Identity;
use fixture::Fixture;

pub use differences::{DIFFERENCES, Difference, Outcome, SOURCES, VERSIONS};

mod constraints;
mod differences;
mod encoding;
mod fixture;
mod issuer;
mod keys;
mod names;
mod paths;
mod senders;
mod validity;

/// A chain, the conditions under which it is verified, and the expected verdict.
#[derive(Clone, Debug)]
pub struct Case {
    /// A unique name, in kebab-case.
    pub name: &'static str,
    /// The chain that the server presents, and the key that signs its handshakes.
    pub identity: Identity,
    /// The trust store.
    pub roots: Vec<CertificateDer<'static>>,
    /// The identities of other servers, verified with the same roots.
    pub other_servers: Vec<Identity>,
    /// The reference name.
    pub server_name: &'static str,
    /// The expected verdict.
    pub expected: Expected,
    /// Whether OpenSSL finds the name if and only if it matches.
    pub openssl_name: Agreement,
}

/// The expected verdict for a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The verdict on the name.
    pub name: NameOutcome,
    /// Whether the chain verifies up to a trusted root, regardless of validity periods; `None` if there is no time at which
    /// all its certificates are valid.
    pub trusted: Option<bool>,
    /// Whether the chain verifies up to a trusted root now.
    pub valid: bool,
    /// All reasons against the chain, in the order of [`CHAIN_REASONS`].
    pub errors: &'static [&'static str],
    /// Why some senders refuse a valid chain, in the order of [`CHAIN_WARNINGS`].
    pub warnings: &'static [&'static str],
}

/// Whether the certificate matches the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameOutcome {
    /// It matches.
    Match,
    /// It does not match, for one of [`NAME_REASONS`].
    Mismatch(&'static str),
    /// The certificate cannot be parsed.
    Unknown,
}

/// Whether OpenSSL reaches the same result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// The same result.
    Agrees,
    /// The opposite result, for this reason.
    Differs(&'static str),
    /// No result, for this reason.
    Unparsed(&'static str),
}

/// Every reason against a chain, in the order in which they are reported.
pub const CHAIN_REASONS: [&str; 21] = [
    "expired",
    "not_yet_valid",
    "bad_validity",
    "self_signed",
    "unknown_issuer",
    "missing_intermediate",
    "not_a_ca",
    "ca_as_end_entity",
    "weak_key",
    "bad_signature",
    "weak_signature_algorithm",
    "unsupported_algorithm",
    "missing_eku",
    "name_constraints",
    "path_too_long",
    "too_complex",
    "distrusted",
    "unsupported_version",
    "critical_extension",
    "malformed",
    "key_proof_failed",
];

/// Every reason why some senders refuse a valid chain, in the order in which they are reported.
pub const CHAIN_WARNINGS: [&str; 12] = [
    "key_usage",
    "no_digital_signature",
    "authority_key_identifier",
    "serial_number",
    "subject_alt_name",
    "common_name_constraints",
    "root_not_self_signed",
    "root_basic_constraints",
    "root_extended_key_usage",
    "root_critical_extension",
    "issuer_order",
    "many_certificates",
];

/// Every reason against a name.
pub const NAME_REASONS: [&str; 5] = ["not_listed", "wildcard_depth", "cn_only", "no_san", "ip_reference"];

/// Creates the whole table, with new keys.
pub fn all() -> Vec<Case> {
    let fixture = Fixture::new();
    let topics = [
        validity::cases(&fixture),
        issuer::cases(&fixture),
        paths::cases(&fixture),
        keys::cases(&fixture),
        constraints::cases(&fixture),
        encoding::cases(&fixture),
        names::cases(&fixture),
        senders::cases(&fixture),
    ];
    topics.into_iter().flatten().collect()
}

impl Case {
    /// A case without problems.
    fn new(name: &'static str, identity: Identity, roots: Vec<CertificateDer<'static>>) -> Self {
        Self {
            name,
            identity,
            roots,
            other_servers: Vec::new(),
            server_name: HOST,
            expected: Expected {
                name: NameOutcome::Match,
                trusted: Some(true),
                valid: true,
                errors: &[],
                warnings: &[],
            },
            openssl_name: Agreement::Agrees,
        }
    }

    fn with_roots(self, roots: &[&CertificateDer<'static>]) -> Self {
        Self { roots: roots.iter().copied().cloned().collect(), ..self }
    }

    fn with_other_servers(self, other_servers: Vec<Identity>) -> Self {
        Self { other_servers, ..self }
    }

    fn with_server_name(self, server_name: &'static str) -> Self {
        Self { server_name, ..self }
    }

    /// The chain is not trusted.
    fn rejected(self, errors: &'static [&'static str]) -> Self {
        self.concludes(Some(false), errors)
    }

    /// The chain is trusted but outside its validity period.
    fn outside_validity(self, errors: &'static [&'static str]) -> Self {
        self.concludes(Some(true), errors)
    }

    /// There is no time at which trust could be determined.
    fn undetermined(self, errors: &'static [&'static str]) -> Self {
        self.concludes(None, errors)
    }

    fn concludes(self, trusted: Option<bool>, errors: &'static [&'static str]) -> Self {
        Self { expected: Expected { trusted, valid: false, errors, ..self.expected }, ..self }
    }

    fn name_mismatch(self, reason: &'static str) -> Self {
        self.with_name_outcome(NameOutcome::Mismatch(reason))
    }

    fn with_name_outcome(self, name: NameOutcome) -> Self {
        Self { expected: Expected { name, ..self.expected }, ..self }
    }

    /// The chain is valid, and some senders refuse it.
    fn warned(self, warnings: &'static [&'static str]) -> Self {
        Self { expected: Expected { warnings, ..self.expected }, ..self }
    }

    fn openssl_name(self, openssl_name: Agreement) -> Self {
        Self { openssl_name, ..self }
    }

    /// What OpenSSL, GnuTLS and Go do with the chain.
    pub fn outcomes(&self) -> [Outcome; 3] {
        let default = if self.expected.valid { Outcome::Accepts } else { Outcome::Refuses };
        let row = DIFFERENCES.iter().find(|row| row.cases.contains(&self.name));
        row.map_or([default; 3], |row| [row.openssl, row.gnutls, row.go])
    }
}

/// The default reference name.
const HOST: &str = "smtp.example.com";
