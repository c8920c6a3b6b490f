//! Reports as text: a table for people, JSON for programs, the output of a monitoring plugin, and certificates as PEM.

use std::sync::Arc;

use ::pem::{EncodeConfig, LineEnding, Pem, encode_config};

use crate::verdict::Certificate;

mod json;
mod page;
mod plugin;
mod style;
mod table;
mod targets;

#[cfg(test)]
mod fixture;

pub use self::json::{json, target_json, targets_json, targets_json_pieces};
pub use self::plugin::{PluginOutput, plugin_output, plugin_status};
pub use self::style::Style;
pub use self::table::table;
pub use self::targets::targets_table;

/// Certificates as PEM (RFC 7468 §5), in the order given.
pub fn pem<'a>(certificates: impl IntoIterator<Item = &'a Arc<Certificate>>) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    let pem = |each: &Arc<Certificate>| encode_config(&Pem::new("CERTIFICATE", each.der().to_vec()), config);
    certificates.into_iter().map(pem).collect()
}
