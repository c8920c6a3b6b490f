//! The parts that all pages share: head, style, script and links; and the Content-Security-Policy for them.

use std::io::{self, Write};
use std::time::SystemTime;

use axum::http::HeaderValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::Pages;
use super::elements::{timestamp, write_around};
use crate::snapshot::ExporterReport;
use crate::text::span;

/// The parts of a page that differ.
pub(super) struct PageParts {
    /// The title, without the name of the program.
    pub(super) title: String,
    /// Above the part that is refreshed.
    pub(super) banner: Markup,
    /// The part that is refreshed.
    pub(super) main: Markup,
}

/// Writes a page: `parts` with what `rows` writes in place of their [`ROWS`](super::elements::ROWS).
pub(super) fn write(
    pages: &Pages,
    exporter: &ExporterReport,
    parts: &PageParts,
    now: SystemTime,
    out: &mut dyn Write,
    rows: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let Pages { links, telemetry, .. } = pages;
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
                a class="skip" href="#main" { "Skip to content" }
                header {
                    a class="brand" href=(links.home()) { "smtp-tls-exporter" }
                    p class="tagline" { "TLS certificates of every backend behind an SMTP name" }
                    button id="pause" class="scripted" type="button" aria-pressed="false" { "Pause refresh" }
                }
                (parts.banner)
                p id="stale" role="status" {}
                main id="main" tabindex="-1" {
                    (problems(exporter, now))
                    (parts.main)
                    p class="asof" { "As of " (timestamp(now, now)) span class="scripted" { ", refreshed every 20 s" } }
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
    write_around(page, out, rows)
}

/// The Content-Security-Policy (CSP 3): the style and the script of the page, forms and requests to the exporter.
pub(in crate::web) fn policy() -> Option<HeaderValue> {
    // Always valid: base64 is visible ASCII.
    HeaderValue::try_from(format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; connect-src 'self'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'",
        source(STYLE),
        source(SCRIPT)
    ))
    .ok()
}

fn source(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

fn problems(exporter: &ExporterReport, now: SystemTime) -> Markup {
    html! {
        @if !exporter.reload_successful {
            p class="alarm" {
                strong { "The configuration could not be loaded completely." }
                " The last valid content is still in use; the log has the errors."
                @if let Some(loaded) = exporter.reload_success_at {
                    " The last complete reload was at " (timestamp(loaded, now)) "."
                }
            }
        }
        @if exporter.web_reload_successful == Some(false) {
            p class="alarm" {
                strong { "The web configuration could not be loaded." }
                " The last valid one is still in use; the log has the errors."
            }
        }
        @if exporter.schedule_lag.as_secs() >= MAX_LAG {
            p class="alarm" {
                strong { "The exporter is falling behind." } " Probes start "
                (span(exporter.schedule_lag.as_secs())) " late."
            }
        }
    }
}

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Seconds of lag from which a page shows it.
const MAX_LAG: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    /// An end tag ends its element even within a string, and parsers drop carriage returns before the content is hashed.
    #[test]
    fn style_and_script_can_be_inline() {
        for asset in [STYLE, SCRIPT] {
            let lower = asset.to_ascii_lowercase();
            assert!(!["</style", "</script", "<!--", "\r", "\0"].iter().any(|mark| lower.contains(mark)));
            assert!(!lower.contains("http:") && !lower.contains("https:") && !lower.contains("url("));
        }
    }

    #[test]
    fn hashes_are_those_of_browsers() {
        // SHA-256 of the empty message (FIPS 180-4).
        assert_eq!(source(""), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }
}
