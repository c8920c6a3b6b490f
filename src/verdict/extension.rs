//! Certificate extensions that webpki's path validation ignores.

use x509_cert::der::Decode;
use x509_cert::der::asn1::Int;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::X509Certificate;

use super::oid::PE_TLS_FEATURE;

/// Whether the certificate requires OCSP stapling: its TLS features (RFC 7633 §4) include `status_request` (5) or
/// `status_request_v2` (17). An extension that cannot be parsed requires nothing.
pub(super) fn must_staple(certificate: &X509Certificate<'_>) -> bool {
    let mut extensions = certificate.iter_extensions().filter(|extension| extension.oid == PE_TLS_FEATURE);
    extensions.any(|extension| {
        let features = Vec::<Int>::from_der(extension.value);
        features.is_ok_and(|features| features.iter().any(|feature| matches!(feature.as_bytes(), [5] | [17])))
    })
}

/// The bits of keyUsage (RFC 5280 §4.2.1.3), the first one lowest. None if the extension is absent or cannot be parsed.
pub(super) fn key_usage(certificate: &X509Certificate<'_>) -> Option<u16> {
    certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::KeyUsage(usage) => Some(usage.flags),
        _ => None,
    })
}

/// Whether keyUsage allows to issue certificates. RFC 5280 does not allow an empty one; senders differ on it.
pub(super) fn may_sign_certificates(certificate: &X509Certificate<'_>) -> bool {
    key_usage(certificate).is_none_or(|bits| bits == 0 || bits & KEY_CERT_SIGN != 0)
}

/// digitalSignature.
pub(super) const DIGITAL_SIGNATURE: u16 = 1;
/// keyEncipherment.
pub(super) const KEY_ENCIPHERMENT: u16 = 1 << 2;
/// keyAgreement.
pub(super) const KEY_AGREEMENT: u16 = 1 << 4;
/// keyCertSign.
const KEY_CERT_SIGN: u16 = 1 << 5;

/// The number of embedded signed certificate timestamps (RFC 6962 §3.3). Their signatures are not verified.
pub(super) fn embedded_scts(certificate: &X509Certificate<'_>) -> usize {
    let lists = certificate.iter_extensions().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SCT(timestamps) => Some(timestamps.len()),
        _ => None,
    });
    lists.sum()
}

#[cfg(test)]
mod tests {
    use smtp_fleet::{CertSpec, Extension, Pki};
    use x509_parser::prelude::FromDer;

    use super::*;

    #[test]
    fn counts_embedded_timestamps() {
        let truncated = |by: usize| {
            let mut extension = Extension::embedded_scts(3);
            extension.value.truncate(extension.value.len() - by);
            extension
        };
        for (what, extensions, expected) in [
            ("none", Vec::new(), 0),
            ("one", vec![Extension::embedded_scts(1)], 1),
            ("three", vec![Extension::embedded_scts(3)], 3),
            ("many", vec![Extension::embedded_scts(60)], 60),
            ("truncated", vec![truncated(1)], 0),
            ("not a list", vec![Extension { value: vec![0x05, 0], ..Extension::embedded_scts(1) }], 0),
        ] {
            let spec = CertSpec { extensions, ..CertSpec::valid_for(&["smtp.example.com"]) };
            let identity = Pki::new().issue(&spec);
            let (_, certificate) = X509Certificate::from_der(identity.leaf_der()).expect("a certificate");
            assert_eq!(embedded_scts(&certificate), expected, "{what}");
        }
    }
}
