//! Calls webpki's path validation, with a bound on its work, and maps its errors to reasons.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage, VerifiedPath};

use super::budget::{Budget, Budgeted};
use super::validity::ValidityPeriod;
use crate::reason::ChainReason;

/// Verifies chains with the same intermediates and roots at several times.
pub(super) struct Verifier<'p> {
    pub(super) leaf: &'p EndEntityCert<'p>,
    pub(super) intermediates: &'p [CertificateDer<'p>],
    pub(super) roots: &'p [TrustAnchor<'p>],
    pub(super) budget: &'p Budget,
    /// What each attempt costs at most besides the steps of path building and the signatures.
    pub(super) cost: usize,
}

impl<'p> Verifier<'p> {
    /// The path on which the leaf verifies for server authentication at `time` (Unix seconds). `accept` decides on each path
    /// that ends at a root; if it rejects one, the search continues.
    pub(super) fn verify(
        &self,
        time: i64,
        accept: &dyn Fn(&VerifiedPath<'_>) -> Result<(), Error>,
    ) -> Result<VerifiedPath<'p>, Error> {
        if !self.budget.spend(self.cost) {
            return Err(Error::MaximumPathBuildCallsExceeded);
        }
        let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(time).unwrap_or(0)));
        let algorithms = webpki::ALL_VERIFICATION_ALGS.iter();
        let algorithms: Vec<_> =
            algorithms.map(|algorithm| Budgeted { algorithm: *algorithm, budget: self.budget }).collect();
        let algorithms: Vec<&dyn SignatureVerificationAlgorithm> = algorithms.iter().map(|one| one as _).collect();
        let usage = BudgetedUsage { budget: self.budget, octets: self.intermediates.iter().map(|der| der.len()).sum() };
        let verified =
            self.leaf.verify_for_usage(&algorithms, self.roots, self.intermediates, time, usage, None, Some(accept));
        // Without budget, signatures appear to be wrong.
        verified.map_err(|error| if self.budget.is_exhausted() { Error::MaximumPathBuildCallsExceeded } else { error })
    }
}

/// Checks the extended key usage, as webpki does at each step of path building. After that, the step parses all
/// intermediates: a few dozen CAs that cross-sign each other form millions of paths, and webpki's own limit takes
/// minutes to reach.
struct BudgetedUsage<'a> {
    budget: &'a Budget,
    octets: usize,
}

impl ExtendedKeyUsageValidator for BudgetedUsage<'_> {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        if !self.budget.spend_step(self.octets) {
            return Err(Error::MaximumPathBuildCallsExceeded);
        }
        KeyUsage::server_auth().validate(purposes)
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

/// The error for a reason to reject a root.
pub(super) fn error_for(reason: ChainReason) -> Error {
    match reason {
        ChainReason::BadValidity => Error::InvalidCertValidity,
        ChainReason::NotACa => Error::EndEntityUsedAsCa,
        ChainReason::PathTooLong => Error::PathLenConstraintViolated,
        ChainReason::CriticalExtension => Error::UnsupportedCriticalExtension,
        _ => Error::UnknownIssuer,
    }
}

/// The error for a root that is not within its validity period `validity` at `time`, Unix seconds.
pub(super) fn time_error(validity: ValidityPeriod, time: i64) -> Error {
    let [at, from, until] = [time, validity.from, validity.until]
        .map(|seconds| UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or(0))));
    if validity.until < time {
        Error::CertExpired { time: at, not_after: until }
    } else {
        Error::CertNotValidYet { time: at, not_before: from }
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
