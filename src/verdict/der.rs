//! Removes and adds the header of a DER element. Trust anchors hold names and keys without it.

use x509_cert::der::asn1::AnyRef;
use x509_cert::der::{Encode, Tag};
use x509_parser::asn1_rs::{Any, FromDer};

/// The content of the first element of `der`.
pub(super) fn content(der: &[u8]) -> Option<&[u8]> {
    Any::from_der(der).ok().map(|(_, any)| any.data)
}

/// A SEQUENCE with this content; empty if the content is longer than DER permits in practice (256 MiB).
pub(super) fn wrap_sequence(content: &[u8]) -> Vec<u8> {
    AnyRef::new(Tag::Sequence, content).and_then(|sequence| sequence.to_der()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_and_removes_headers() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536, 100_000] {
            let bytes = vec![7; length];
            assert_eq!(content(&wrap_sequence(&bytes)), Some(&*bytes), "{length}");
        }
        assert_eq!(wrap_sequence(&[5, 0]), [0x30, 2, 5, 0]);
        assert_eq!(content(&[0x30, 5, 0]), None);
    }
}
