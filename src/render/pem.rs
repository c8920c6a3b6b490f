//! Certificates as text (RFC 7468 §5).

use std::sync::Arc;

use ::pem::{EncodeConfig, LineEnding, Pem, encode_config};

use crate::verdict::Certificate;

pub(super) fn write<'a>(certificates: impl IntoIterator<Item = &'a Arc<Certificate>>) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    let texts =
        certificates.into_iter().map(|each| encode_config(&Pem::new("CERTIFICATE", each.der().to_vec()), config));
    texts.collect()
}
