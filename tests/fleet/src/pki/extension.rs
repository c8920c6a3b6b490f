//! Extensions that certificates of mail servers are known to carry.

use super::Extension;

impl Extension {
    /// Demands a staple: the TLS feature `status_request` (RFC 7633 §4).
    pub fn must_staple() -> Self {
        Self::tls_features(vec![0x30, 3, 0x02, 1, 5])
    }

    /// TLS features (RFC 7633 §4) with this content, right or wrong.
    pub fn tls_features(value: Vec<u8>) -> Self {
        Self { oid: vec![1, 3, 6, 1, 5, 5, 7, 1, 24], critical: false, value }
    }

    /// So many signed certificate timestamps (RFC 6962 §3.3), each in the right form and of no log.
    ///
    /// # Panics
    /// Over 1,000.
    pub fn embedded_scts(count: usize) -> Self {
        // Version 1, the log's id, the time, no extensions, an ECDSA signature with SHA-256 of four octets.
        let timestamp = [&[0], &[0x5a; 32][..], &[0; 8], &[0, 0], &[4, 3, 0, 4], &[1, 2, 3, 4]].concat();
        let list = with_length(&timestamp).repeat(count);
        let list = with_length(&list);
        let length = u16::try_from(list.len()).expect("less than 64 KiB").to_be_bytes();
        // An octet string inside the extension's own.
        let value = [&[0x04, 0x82], &length[..], &list].concat();
        Self { oid: vec![1, 3, 6, 1, 4, 1, 11129, 2, 4, 2], critical: false, value }
    }
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("less than 64 KiB").to_be_bytes();
    [&length, bytes].concat()
}
