//! Extensions found in certificates of mail servers.

use super::Extension;

impl Extension {
    /// Must-staple: the TLS feature `status_request` (RFC 7633 §4).
    pub fn must_staple() -> Self {
        Self::tls_features(vec![0x30, 3, 0x02, 1, 5])
    }

    /// TLS features (RFC 7633 §4) with this content, valid or not.
    pub fn tls_features(value: Vec<u8>) -> Self {
        Self { oid: vec![1, 3, 6, 1, 5, 5, 7, 1, 24], critical: false, value }
    }

    /// `count` well-formed signed certificate timestamps (RFC 6962 §3.3) from a log that does not exist.
    ///
    /// # Panics
    /// If `count` is more than 1,000.
    pub fn embedded_scts(count: usize) -> Self {
        // Version 1, log id, timestamp, no extensions, a four-byte ECDSA signature with SHA-256.
        let timestamp = [&[0], &[0x5a; 32][..], &[0; 8], &[0, 0], &[4, 3, 0, 4], &[1, 2, 3, 4]].concat();
        let list = with_length(&timestamp).repeat(count);
        let list = with_length(&list);
        let length = u16::try_from(list.len()).expect("less than 64 KiB").to_be_bytes();
        // The extension value is itself an octet string.
        let value = [&[0x04, 0x82], &length[..], &list].concat();
        Self { oid: vec![1, 3, 6, 1, 4, 1, 11129, 2, 4, 2], critical: false, value }
    }
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("less than 64 KiB").to_be_bytes();
    [&length, bytes].concat()
}
