//! Calls webpki's path validation, with a bound on its work, and maps its errors to reasons.

use std::cell::Cell;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage, VerifiedPath};

use crate::reason::ChainReason;

/// The path on which `leaf` verifies for server authentication at `time` (Unix seconds).
pub(super) fn verify<'p>(
    leaf: &'p EndEntityCert<'p>,
    intermediates: &'p [CertificateDer<'p>],
    roots: &'p [TrustAnchor<'_>],
    time: i64,
) -> Result<VerifiedPath<'p>, Error> {
    let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(time).unwrap_or(0)));
    let usage = BudgetedVerifier { usage: KeyUsage::server_auth(), steps_left: Cell::new(MAX_STEPS) };
    leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, roots, intermediates, time, usage, None, None)
}

/// Checks the extended key usage, as webpki does at each step of path building; stops the search after [`MAX_STEPS`].
struct BudgetedVerifier {
    usage: KeyUsage,
    steps_left: Cell<u32>,
}

impl ExtendedKeyUsageValidator for BudgetedVerifier {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let left = self.steps_left.get().checked_sub(1).ok_or(Error::MaximumPathBuildCallsExceeded)?;
        self.steps_left.set(left);
        self.usage.validate(purposes)
    }
}

/// Whether the search stopped because it took too much work.
pub(super) fn is_budget_exceeded(error: &Error) -> bool {
    matches!(
        error,
        Error::MaximumNameConstraintComparisonsExceeded
            | Error::MaximumPathBuildCallsExceeded
            | Error::MaximumSignatureChecksExceeded
    )
}

/// Whether verification stopped at a certificate that is outside of its validity period.
pub(super) fn is_time_error(error: &Error) -> bool {
    matches!(error, Error::CertExpired { .. } | Error::CertNotValidYet { .. })
}

/// Whether the key of the certificate is on webpki's list of distrusted keys, which webpki checks first.
pub(super) fn is_distrusted(der: &CertificateDer<'_>) -> bool {
    let Ok(certificate) = EndEntityCert::try_from(der) else { return false };
    let epoch = UnixTime::since_unix_epoch(Duration::ZERO);
    let verified = certificate.verify_for_usage(&[], &[], &[], epoch, KeyUsage::server_auth(), None, None);
    verified.is_err_and(|error| error == Error::CertDistrusted)
}

/// The reason for an error of parsing a certificate.
pub(super) fn parse_reason(error: &Error) -> ChainReason {
    match error {
        Error::UnsupportedCertVersion => ChainReason::UnsupportedVersion,
        Error::UnsupportedCriticalExtension => ChainReason::CriticalExtension,
        _ => ChainReason::Malformed,
    }
}

/// The reason for an error that is not a time error ([`is_time_error`]).
pub(super) fn reason_for(error: &Error) -> ChainReason {
    #[expect(deprecated, reason = "webpki may still return the old variants")]
    match error {
        Error::UnknownIssuer => ChainReason::UnknownIssuer,
        Error::CaUsedAsEndEntity => ChainReason::CaAsEndEntity,
        Error::EndEntityUsedAsCa => ChainReason::NotACa,
        Error::InvalidCertValidity => ChainReason::BadValidity,
        Error::InvalidSignatureForPublicKey => ChainReason::BadSignature,
        Error::UnsupportedSignatureAlgorithm
        | Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKey
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => ChainReason::UnsupportedAlgorithm,
        Error::RequiredEkuNotFound | Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            ChainReason::MissingEku
        }
        Error::NameConstraintViolation | Error::MalformedNameConstraint | Error::InvalidNetworkMaskConstraint => {
            ChainReason::NameConstraints
        }
        Error::PathLenConstraintViolated | Error::MaximumPathDepthExceeded => ChainReason::PathTooLong,
        Error::MaximumNameConstraintComparisonsExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumSignatureChecksExceeded => ChainReason::TooComplex,
        Error::CertDistrusted => ChainReason::Distrusted,
        _ => parse_reason(error),
    }
}

/// Steps of path building in one call. A few dozen CAs that cross-sign each other form millions of paths, and webpki's
/// own limit takes minutes to reach.
const MAX_STEPS: u32 = 2_000;
