//! Removes and adds the header of a DER element. Trust anchors hold names and keys without it.

use x509_parser::asn1_rs::{Any, FromDer};

/// The content of the first element of `der`.
pub(super) fn content(der: &[u8]) -> Option<&[u8]> {
    Any::from_der(der).ok().map(|(_, any)| any.data)
}

pub(super) fn wrap_sequence(content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut der = vec![SEQUENCE];
    match (content.len(), u8::try_from(significant.len())) {
        (0..128, _) => der.push(significant.first().copied().unwrap_or(0)),
        (_, Ok(octets)) => {
            der.push(LONG_FORM | octets);
            der.extend(significant);
        }
        // A usize has fewer than 256 octets.
        (_, Err(_)) => {}
    }
    der.extend(content);
    der
}

const SEQUENCE: u8 = 0x30;
const LONG_FORM: u8 = 0x80;

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
