//! What all pages have around them: head, style, script, links, and the policy that lets a browser use just these.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::links::Links;
use super::text::counted;
use super::times::moment;
use crate::snapshot::ExporterReport;

/// The parts of a page that differ.
pub(super) struct PageParts {
    /// Before the program's name.
    pub(super) title: String,
    /// Above what is refreshed.
    pub(super) banner: Markup,
    /// What is refreshed.
    pub(super) main: Markup,
}

/// A whole page.
pub(super) fn page(
    links: &Links,
    telemetry: &str,
    exporter: &ExporterReport,
    parts: &PageParts,
    now: SystemTime,
) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (parts.title) " · smtp-tls-exporter" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a class="skip" href="#main" { "Skip to the targets" }
                header {
                    a class="brand" href=(links.home()) { "smtp-tls-exporter" }
                    p class="tagline" { "The TLS certificate of every backend behind an SMTP name" }
                    button id="pause" class="scripted" type="button" aria-pressed="false" { "Pause refresh" }
                }
                (parts.banner)
                p id="stale" role="status" {}
                main id="main" tabindex="-1" {
                    (alarms(exporter, now))
                    (parts.main)
                    p class="asof" { "As of " (moment(now, now)) span class="scripted" { ", refreshed every 20 s" } }
                }
                footer {
                    nav aria-label="Endpoints" {
                        a href=(links.to(telemetry)) { "Metrics" }
                        a href=(links.to("/api/v1/targets")) { "JSON" }
                        a href=(links.to("/-/healthy")) { "Health" }
                        a href=(links.to("/-/ready")) { "Readiness" }
                    }
                    p { "smtp-tls-exporter " (env!("CARGO_PKG_VERSION")) }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// The Content-Security-ProbeSettings (CSP 3) of pages: the one style, the one script, forms and requests to here.
pub(super) fn policy() -> String {
    format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; connect-src 'self'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'",
        source(STYLE),
        source(SCRIPT)
    )
}

fn source(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// What is wrong with the exporter itself.
fn alarms(exporter: &ExporterReport, now: SystemTime) -> Markup {
    html! {
        @if let Some(loaded) = exporter.reload_success_at.filter(|_| !exporter.reload_successful) {
            p class="alarm" {
                strong { "The config could not be reloaded." } " The one loaded at " (moment(loaded, now)) " is running."
            }
        }
        @if exporter.schedule_lag.as_secs() >= MAX_LAG {
            p class="alarm" {
                strong { "The exporter is late." } " Probes have been waiting for their turn for "
                (counted(usize::try_from(exporter.schedule_lag.as_secs()).unwrap_or(usize::MAX), "second")) "."
            }
        }
    }
}

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Seconds of lag that a page speaks of.
const MAX_LAG: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    /// Elements end where their end tag stands, whatever the language within, and a parser drops carriage returns
    /// before the browser hashes.
    #[test]
    fn assets_can_stand_inline() {
        for asset in [STYLE, SCRIPT] {
            let lower = asset.to_ascii_lowercase();
            assert!(!["</style", "</script", "<!--", "\r", "\0"].iter().any(|mark| lower.contains(mark)));
            assert!(!lower.contains("http:") && !lower.contains("https:") && !lower.contains("url("));
        }
    }

    #[test]
    fn a_hash_is_as_browsers_make_it() {
        // SHA-256 of nothing, as FIPS 180-4 gives it.
        assert_eq!(source(""), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }
}
