//! Kinds and sizes of public keys.

use x509_parser::oid_registry::{OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_SIG_ED25519};
use x509_parser::public_key::PublicKey as ParsedKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// A public key's kind and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA; the size of the modulus in bits.
    Rsa(usize),
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// Any other key.
    Other,
}

impl PublicKey {
    pub(super) fn from_spki(spki: &SubjectPublicKeyInfo<'_>) -> Self {
        match spki.parsed() {
            Ok(ParsedKey::RSA(rsa)) => Self::Rsa(bits(rsa.modulus)),
            Ok(ParsedKey::EC(_)) => {
                let curves =
                    [(OID_EC_P256, Self::P256), (OID_NIST_EC_P384, Self::P384), (OID_NIST_EC_P521, Self::P521)];
                let curve = spki.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
                let known = curve.and_then(|curve| curves.into_iter().find(|(id, _)| *id == curve));
                known.map_or(Self::Other, |(_, key)| key)
            }
            _ if spki.algorithm.algorithm == OID_SIG_ED25519 => Self::Ed25519,
            _ => Self::Other,
        }
    }

    /// The `key` label.
    pub fn label(self) -> String {
        match self {
            Self::Rsa(bits) => format!("RSA {bits}"),
            Self::P256 => "ECDSA P-256".to_owned(),
            Self::P384 => "ECDSA P-384".to_owned(),
            Self::P521 => "ECDSA P-521".to_owned(),
            Self::Ed25519 => "Ed25519".to_owned(),
            Self::Other => "other".to_owned(),
        }
    }

    /// Whether it is RSA of less than 2048 bits.
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::Rsa(bits) if bits < 2048)
    }
}

/// The number of bits of an unsigned big-endian integer without leading zeros.
fn bits(number: &[u8]) -> usize {
    let number = number.iter().position(|octet| *octet != 0).and_then(|at| number.get(at..)).unwrap_or_default();
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_bits_without_leading_zeros() {
        for (number, expected) in
            [(&[][..], 0), (&[0, 0], 0), (&[1], 1), (&[0x80], 8), (&[0x00, 0x80, 0x00], 16), (&[0x7f, 0xff], 15)]
        {
            assert_eq!(bits(number), expected, "{number:?}");
        }
    }
}
