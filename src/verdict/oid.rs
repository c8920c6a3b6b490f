//! Object identifiers that `oid-registry` lacks.

use x509_parser::asn1_rs::{Oid, oid};

/// ecdsa-with-SHA1 (RFC 3279 §2.2.3).
pub(super) const SIG_ECDSA_WITH_SHA1: Oid<'static> = oid!(1.2.840.10045.4.1);
/// md5 (RFC 3279 §2.2.1).
pub(super) const HASH_MD5: Oid<'static> = oid!(1.2.840.113549.2.5);
/// md5WithRSA in the arc of the OIW Security SIG, `1.3.14.3.2`.
pub(super) const OIW_MD5_WITH_RSA: Oid<'static> = oid!(1.3.14.3.2.3);
/// dsaWithSHA in the same arc, on SHA-0.
pub(super) const OIW_DSA_WITH_SHA: Oid<'static> = oid!(1.3.14.3.2.13);
/// dsaWithSHA1 in the same arc.
pub(super) const OIW_DSA_WITH_SHA1: Oid<'static> = oid!(1.3.14.3.2.27);
/// id-pe-tlsfeature (RFC 7633).
pub(super) const PE_TLS_FEATURE: Oid<'static> = oid!(1.3.6.1.5.5.7.1.24);
