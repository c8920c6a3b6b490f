//! The verifier of paths as it is used here: asked for one moment, with a bound on its work, and its errors in our words.

use std::cell::Cell;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage, VerifiedPath};

use crate::reason::ChainReason;

/// Verifies `leaf` as a TLS server's at `moment`, Unix seconds.
pub(super) fn verify<'p>(
    leaf: &'p EndEntityCert<'p>,
    intermediates: &'p [CertificateDer<'p>],
    roots: &'p [TrustAnchor<'_>],
    moment: i64,
) -> Result<VerifiedPath<'p>, Error> {
    let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(moment).unwrap_or(0)));
    let usage = Frugal { usage: KeyUsage::server_auth(), steps_left: Cell::new(MAX_STEPS) };
    leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, roots, intermediates, time, usage, None, None)
}

/// The usual key usage, asked at each step of the search; after too many of them the search is given up.
struct Frugal {
    usage: KeyUsage,
    steps_left: Cell<u32>,
}

impl ExtendedKeyUsageValidator for Frugal {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let left = self.steps_left.get().checked_sub(1).ok_or(Error::MaximumPathBuildCallsExceeded)?;
        self.steps_left.set(left);
        self.usage.validate(purposes)
    }
}

/// Whether it gave up for the work.
pub(super) fn is_of_effort(error: &Error) -> bool {
    matches!(
        error,
        Error::MaximumNameConstraintComparisonsExceeded
            | Error::MaximumPathBuildCallsExceeded
            | Error::MaximumSignatureChecksExceeded
    )
}

/// Whether the moment is at fault, or what hid behind that is not known.
pub(super) fn is_of_time(error: &Error) -> bool {
    matches!(error, Error::CertExpired { .. } | Error::CertNotValidYet { .. })
}

/// Whether the verifier's own list of withdrawn keys has the certificate's, which it looks up before all else.
pub(super) fn is_distrusted(der: &CertificateDer<'_>) -> bool {
    let Ok(certificate) = EndEntityCert::try_from(der) else { return false };
    let epoch = UnixTime::since_unix_epoch(Duration::ZERO);
    let verified = certificate.verify_for_usage(&[], &[], &[], epoch, KeyUsage::server_auth(), None, None);
    verified.is_err_and(|error| error == Error::CertDistrusted)
}

/// Why a certificate cannot be taken apart.
pub(super) fn of_form(error: &Error) -> ChainReason {
    match error {
        Error::UnsupportedCertVersion => ChainReason::UnsupportedVersion,
        Error::UnsupportedCriticalExtension => ChainReason::CriticalExtension,
        _ => ChainReason::Malformed,
    }
}

/// The reason for an error that is not about time.
pub(super) fn of_error(error: &Error) -> ChainReason {
    #[expect(deprecated, reason = "old variants may still come where the newer ones carry context")]
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
        _ => of_form(error),
    }
}

/// Steps of the search for paths in one try. With their issuers crossed, a few dozen certificates make millions of
/// paths, and the verifier's own bound is minutes away.
const MAX_STEPS: u32 = 2_000;
