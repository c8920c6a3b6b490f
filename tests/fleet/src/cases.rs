//! The table of certificates: chains that servers present, and what must be concluded of each.
//!
//! The words are the published label values. A case says what is concluded *now*, and whether OpenSSL 3.0 concludes the
//! same; where it does not, why. OpenSSL is asked about the chain by `openssl verify -purpose sslserver -auth_level 2`,
//! which sees no handshake, and about the name by `openssl x509 -checkhost` or `-checkip`.

use rustls_pki_types::CertificateDer;

use crate::Identity;
use fixture::Fixture;

mod constraints;
mod encoding;
mod fixture;
mod issuer;
mod keys;
mod names;
mod paths;
mod validity;

/// A chain, where it is met, and what is true of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its own, in kebab-case.
    pub name: &'static str,
    /// What the server presents, and the key that signs its handshakes.
    pub identity: Identity,
    /// The trust store.
    pub roots: Vec<CertificateDer<'static>>,
    /// What other servers of the fleet present, under the same roots.
    pub other_servers: Vec<Identity>,
    /// The name that the client asks for.
    pub server_name: &'static str,
    /// What must be concluded.
    pub expected: Expected,
    /// Whether OpenSSL concludes the same.
    pub openssl: Openssl,
}

/// What must be concluded of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Of the name.
    pub name: NameOutcome,
    /// Whether a path leads to a root with time set aside; none where no moment exists at which it could be said.
    pub trusted: Option<bool>,
    /// Whether a path leads to a root now.
    pub valid: bool,
    /// All that is wrong, in the order of [`CHAIN_REASONS`].
    pub errors: &'static [&'static str],
}

/// Whether the certificate carries the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameOutcome {
    /// It does.
    Match,
    /// It does not, for one of [`NAME_REASONS`].
    Mismatch(&'static str),
    /// Nothing of the certificate can be parsed.
    Unknown,
}

/// OpenSSL's conclusions beside ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Openssl {
    /// On the chain: it is accepted exactly where [`Expected::valid`].
    pub chain: Agreement,
    /// On the name: it is found exactly where it matches.
    pub name: Agreement,
}

/// Whether OpenSSL concludes the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// It does.
    Agrees,
    /// It concludes the opposite, for this reason.
    Differs(&'static str),
    /// It cannot say, for this reason.
    Unparsed(&'static str),
}

/// Every reason against a chain, in the order in which they are told.
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

/// Every reason against a name.
pub const NAME_REASONS: [&str; 5] = ["not_listed", "wildcard_depth", "cn_only", "no_san", "ip_reference"];

/// Makes the whole table, with fresh keys.
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
    ];
    topics.into_iter().flatten().collect()
}

impl Case {
    /// Nothing is wrong with it.
    fn new(name: &'static str, identity: Identity, roots: Vec<CertificateDer<'static>>) -> Self {
        Self {
            name,
            identity,
            roots,
            other_servers: Vec::new(),
            server_name: HOST,
            expected: Expected { name: NameOutcome::Match, trusted: Some(true), valid: true, errors: &[] },
            openssl: Openssl { chain: Agreement::Agrees, name: Agreement::Agrees },
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

    /// Not trusted.
    fn rejected(self, errors: &'static [&'static str]) -> Self {
        self.concludes(Some(false), errors)
    }

    /// Trusted, but not now.
    fn outside_validity(self, errors: &'static [&'static str]) -> Self {
        self.concludes(Some(true), errors)
    }

    /// Of no moment can it be said whether it is trusted.
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

    fn openssl_chain(self, chain: Agreement) -> Self {
        Self { openssl: Openssl { chain, ..self.openssl }, ..self }
    }

    fn openssl_name(self, name: Agreement) -> Self {
        Self { openssl: Openssl { name, ..self.openssl }, ..self }
    }
}

/// The name that clients ask for unless a case says otherwise.
const HOST: &str = "smtp.example.com";
