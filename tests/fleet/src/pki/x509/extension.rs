//! Certificate extensions (RFC 5280 §4.2), well-formed or not.

use std::net::IpAddr;

use yasna::models::ObjectIdentifier;
use yasna::{DERWriter, Tag};

use super::super::Extension;

impl Extension {
    /// basicConstraints (§4.2.1.9); `below` is pathLenConstraint.
    pub fn basic_constraints(ca: bool, below: Option<u8>) -> Self {
        Self::standard(19, true, |writer| {
            writer.write_sequence(|writer| {
                if ca {
                    writer.next().write_bool(true);
                }
                if let Some(below) = below {
                    writer.next().write_u8(below);
                }
            });
        })
    }

    /// keyUsage (§4.2.1.3) with digitalSignature.
    pub fn leaf_key_usage() -> Self {
        Self::key_usage(&[DIGITAL_SIGNATURE])
    }

    /// keyUsage (§4.2.1.3) with keyCertSign and cRLSign.
    pub fn ca_key_usage() -> Self {
        Self::key_usage(&[KEY_CERT_SIGN, CRL_SIGN])
    }

    /// keyUsage (§4.2.1.3) with these bits, each less than 8.
    pub fn key_usage(bits: &[u8]) -> Self {
        let octet = bits.iter().fold(0, |octet, bit| octet | 0b1000_0000 >> bit);
        let length = bits.iter().max().map_or(0, |last| usize::from(*last) + 1);
        let octets = if bits.is_empty() { Vec::new() } else { vec![octet] };
        Self::standard(15, true, |writer| writer.write_bitvec_bytes(&octets, length))
    }

    /// subjectKeyIdentifier (§4.2.1.2).
    pub fn subject_key_identifier(identifier: &[u8]) -> Self {
        Self::standard(14, false, |writer| writer.write_bytes(identifier))
    }

    /// authorityKeyIdentifier (§4.2.1.1) with a keyIdentifier.
    pub fn authority_key_identifier(identifier: &[u8]) -> Self {
        Self::standard(35, false, |writer| {
            writer.write_sequence(|writer| {
                writer.next().write_tagged_implicit(Tag::context(0), |writer| writer.write_bytes(identifier));
            });
        })
    }

    /// authorityKeyIdentifier (§4.2.1.1) with authorityCertIssuer and authorityCertSerialNumber.
    pub fn authority_certificate(issuer: &str, serial: &[u8]) -> Self {
        Self::standard(35, false, |writer| {
            writer.write_sequence(|writer| {
                writer.next().write_tagged_implicit(Tag::context(1), |writer| {
                    writer.write_sequence(|writer| GeneralName::Directory(issuer.to_owned()).write(writer.next()));
                });
                writer.next().write_tagged_implicit(Tag::context(2), |writer| writer.write_bytes(serial));
            });
        })
    }

    /// extKeyUsage (§4.2.1.12) with these object identifiers.
    pub fn extended_key_usage(purposes: &[&[u64]]) -> Self {
        Self::standard(37, false, |writer| {
            writer.write_sequence(|writer| {
                for purpose in purposes {
                    writer.next().write_oid(&ObjectIdentifier::from_slice(purpose));
                }
            });
        })
    }

    /// subjectAltName (§4.2.1.6).
    pub fn subject_alternative_names(names: &[GeneralName]) -> Self {
        Self::standard(17, false, |writer| {
            writer.write_sequence(|writer| {
                for name in names {
                    name.write(writer.next());
                }
            });
        })
    }

    /// nameConstraints (§4.2.1.10).
    pub fn name_constraints(permitted: &[GeneralName], excluded: &[GeneralName]) -> Self {
        Self::standard(30, true, |writer| {
            writer.write_sequence(|writer| {
                for (tag, subtrees) in [(0, permitted), (1, excluded)] {
                    if subtrees.is_empty() {
                        continue;
                    }
                    writer.next().write_tagged_implicit(Tag::context(tag), |writer| {
                        writer.write_sequence(|writer| {
                            for base in subtrees {
                                writer.next().write_sequence(|writer| base.write(writer.next()));
                            }
                        });
                    });
                }
            });
        })
    }

    /// An extension that no client recognizes.
    pub fn unknown(critical: bool) -> Self {
        // The enterprise number for documentation (RFC 5612).
        Self { oid: vec![1, 3, 6, 1, 4, 1, 32_473, 1], critical, value: vec![0x05, 0x00] }
    }

    fn standard(last: u64, critical: bool, value: impl FnOnce(DERWriter<'_>)) -> Self {
        Self { oid: vec![2, 5, 29, last], critical, value: yasna::construct_der(value) }
    }
}

/// A GeneralName (RFC 5280 §4.2.1.6) with any content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GeneralName {
    /// rfc822Name.
    Email(Vec<u8>),
    /// dNSName.
    Dns(Vec<u8>),
    /// directoryName with a common name.
    Directory(String),
    /// uniformResourceIdentifier.
    Uri(Vec<u8>),
    /// iPAddress: 4 or 16 octets for an address, twice as many for a range (§4.2.1.10).
    Ip(Vec<u8>),
}

impl GeneralName {
    /// A dNSName.
    pub fn dns(name: &str) -> Self {
        Self::Dns(name.into())
    }

    /// An iPAddress.
    pub fn ip(address: IpAddr) -> Self {
        Self::Ip(octets(address))
    }

    /// An iPAddress range, by address and mask.
    pub fn network(address: IpAddr, mask: IpAddr) -> Self {
        Self::Ip([octets(address), octets(mask)].concat())
    }

    fn write(&self, writer: DERWriter<'_>) {
        let (tag, octets) = match self {
            Self::Email(octets) => (1, octets),
            Self::Dns(octets) => (2, octets),
            Self::Uri(octets) => (6, octets),
            Self::Ip(octets) => (7, octets),
            Self::Directory(common_name) => {
                let name = super::Name::common(common_name);
                return writer.write_tagged(Tag::context(4), |writer| writer.write_der(name.der()));
            }
        };
        writer.write_tagged_implicit(Tag::context(tag), |writer| writer.write_bytes(octets));
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Bits of keyUsage (RFC 5280 §4.2.1.3).
pub const DIGITAL_SIGNATURE: u8 = 0;
/// See [`DIGITAL_SIGNATURE`].
pub const NON_REPUDIATION: u8 = 1;
/// See [`DIGITAL_SIGNATURE`].
pub const KEY_ENCIPHERMENT: u8 = 2;
/// See [`DIGITAL_SIGNATURE`].
pub const DATA_ENCIPHERMENT: u8 = 3;
/// See [`DIGITAL_SIGNATURE`].
pub const KEY_AGREEMENT: u8 = 4;
/// See [`DIGITAL_SIGNATURE`].
pub const KEY_CERT_SIGN: u8 = 5;
/// See [`DIGITAL_SIGNATURE`].
pub const CRL_SIGN: u8 = 6;
/// id-kp-serverAuth (RFC 5280 §4.2.1.12).
pub const SERVER_AUTH: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 1];
/// id-kp-clientAuth (RFC 5280 §4.2.1.12).
pub const CLIENT_AUTH: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 2];
/// anyExtendedKeyUsage (RFC 5280 §4.2.1.12).
pub const ANY_EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37, 0];
