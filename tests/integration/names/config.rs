//! Configs of the exporter, whole and in parts.

use std::path::Path;

use serde_yaml::Value;
use smtp_tls_exporter::config::Config;

use super::Complaints;

/// Complains of a block of a page that is a part of the exporter's config and would not load.
pub(super) fn check_part(place: &str, text: &str, complaints: &mut Complaints<'_>) {
    let yaml: Value = match serde_yaml::from_str(text) {
        Ok(yaml) => yaml,
        Err(error) => return complaints.one(place, error.to_string()),
    };
    if yaml.get("scrape_configs").is_some() {
        return;
    }
    let mut whole = text.to_owned();
    if yaml.get("targets").is_none() {
        whole.push_str("\ntargets: [{host: smtp.example.com}]\n");
    }
    if yaml.get("defaults").is_none() {
        // Not every machine has roots of its own.
        whole.push_str("\ndefaults: {trust: mozilla}\n");
    }
    if let Err(error) = parse(&whole) {
        complaints.one(place, error);
    }
}

/// Complains of keys that the exporter does not know in what looks like its config. The files that it names need not be
/// on this machine.
pub(super) fn check_file(text: &str, complaints: &mut Complaints<'_>) {
    let Ok(yaml) = serde_yaml::from_str::<Value>(text) else { return };
    let has_targets = ["targets", "target_files"].iter().any(|key| yaml.get(*key).is_some());
    if let Some(error) = parse(text).err().filter(|error| has_targets && error.contains("unknown key")) {
        complaints.one("its keys", error);
    }
}

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("config")).map_err(|error| error.to_string())
}
