//! The table of certificate chains that servers present, with the expected verdict for each.
//!
//! The reasons are the published label values. A case states the verdict at the *current* time, and whether OpenSSL 3.0
//! agrees; if not, why. The chain is compared with `openssl verify -purpose sslserver -auth_level 2`, which sees no
//! handshake, and the name with `openssl x509 -checkhost` or `-checkip`.

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
    /// Whether OpenSSL agrees.
    pub openssl: Openssl,
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

/// Whether OpenSSL agrees with the expected verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Openssl {
    /// On the chain: OpenSSL accepts it if and only if [`Expected::valid`].
    pub chain: Agreement,
    /// On the name: OpenSSL finds it if and only if it matches.
    pub name: Agreement,
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

    fn openssl_chain(self, chain: Agreement) -> Self {
        Self { openssl: Openssl { chain, ..self.openssl }, ..self }
    }

    fn openssl_name(self, name: Agreement) -> Self {
        Self { openssl: Openssl { name, ..self.openssl }, ..self }
    }
}

/// The default reference name.
const HOST: &str = "smtp.example.com";
