//! The requests that can be sent to the server's operator.

use std::fmt::Write;

use super::context::{BackendCertificate, Context};
use super::phrases;
use crate::client_errors::ClientErrors;
use crate::reason::Stage;
use crate::snapshot::BackendReport;
use crate::target::{Backend, TlsMode};
use crate::text::{capitalized, plural, printable, utc};
use crate::verdict::certificate::hex;
use crate::verdict::unix;

/// A problem and its fix.
pub(super) struct Problem {
    /// The problem in a few words, for the subject line of the request.
    pub(super) subject: String,
    /// The problem as a sentence without a full stop, which can follow "192.0.2.11: ".
    pub(super) description: String,
    /// What the server's operator can do, as imperative clauses without a full stop, which can follow "Please ".
    pub(super) fix: String,
    /// What the exporter's operator can do; a sentence that is not part of the request.
    pub(super) exporter_fix: Option<&'static str>,
}

impl Problem {
    pub(super) fn new(subject: impl Into<String>, description: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { subject: subject.into(), description: description.into(), fix: fix.into(), exporter_fix: None }
    }

    /// The text of the advice. `detail` follows the problem; empty for none.
    pub(super) fn text(&self, backends: &str, detail: &str) -> String {
        let exporter_fix = self.exporter_fix.map(|fix| format!(" {fix}")).unwrap_or_default();
        format!("{backends}: {}{detail}. {}.{exporter_fix}", self.description, capitalized(&self.fix))
    }

    /// A request about certificates.
    pub(super) fn request_for_certificates(
        &self,
        context: &Context<'_>,
        certificates: &[&BackendCertificate<'_>],
        clients: Option<&ClientErrors>,
    ) -> String {
        let mut facts = String::new();
        for certificate in certificates.iter().take(MAX_SERVERS) {
            write_certificate(&mut facts, certificate);
        }
        let backends: Vec<&Backend> = certificates.iter().map(|certificate| &certificate.report.backend).collect();
        self.request(context, &backends, &facts, clients)
    }

    /// A request about failed probes.
    pub(super) fn request_for_failures(
        &self,
        context: &Context<'_>,
        reports: &[&BackendReport],
        clients: Option<&ClientErrors>,
    ) -> String {
        let mut facts = String::new();
        for report in reports.iter().take(MAX_SERVERS) {
            let Some(probe) = &report.probe else { continue };
            let at = utc(unix(probe.at));
            write_line(&mut facts, &format!("{}, checked at {at}", report.backend.socket_addr()));
            if let Err(failure) = &probe.outcome {
                write_line(&mut facts, &format!("  failed step: {}", step(failure.stage)));
                if !failure.detail.is_empty() {
                    write_line(&mut facts, &format!("  detail: {}", failure.detail));
                }
            }
        }
        let backends: Vec<&Backend> = reports.iter().map(|report| &report.backend).collect();
        self.request(context, &backends, &facts, clients)
    }

    fn request(
        &self,
        context: &Context<'_>,
        backends: &[&Backend],
        facts: &str,
        clients: Option<&ClientErrors>,
    ) -> String {
        let endpoint = context.endpoint();
        let mode = match endpoint.tls {
            TlsMode::StartTls => "STARTTLS",
            TlsMode::Implicit => "implicit TLS",
        };
        // Words for a recipient who does not know the exporter.
        let [subject, description, fix] = [&self.subject, &self.description, &self.fix].map(|text| {
            text.replace("the exporter host", "our monitoring host").replace("the trust store", "our trust store")
        });
        let addresses = phrases::addresses(backends.iter().map(|backend| &backend.address));
        let servers = plural(backends.len(), "this server", "these servers");
        let mut out = String::new();
        write_line(&mut out, &format!("Subject: {addresses}: {subject}"));
        out.push('\n');
        write_line(
            &mut out,
            &format!(
                "Our monitoring of {}, port {} ({mode}), found a problem on {servers}:",
                endpoint.server_name, endpoint.port
            ),
        );
        out.push('\n');
        out.push_str(facts);
        if let Some(more) = backends.len().checked_sub(MAX_SERVERS).filter(|more| *more > 0) {
            write_line(&mut out, &format!("and {more} more"));
        }
        out.push('\n');
        write_line(&mut out, &format!("{}.", capitalized(&description)));
        if let Some(clients) = clients {
            write_errors(&mut out, clients);
        }
        out.push('\n');
        write_line(&mut out, &format!("Please {fix}."));
        out.push('\n');
        write_line(
            &mut out,
            plural(backends.len(), "To verify the fix, run:", "To verify the fix on each server, run:"),
        );
        for backend in backends.iter().take(MAX_SERVERS) {
            write_line(&mut out, &format!("  {}", openssl_command(backend)));
        }
        out.push('\n');
        // OpenSSL prints the return code 0 even if there was no handshake.
        write_line(
            &mut out,
            "The output must contain the server certificate and the line \"Verify return code: 0 (ok)\".",
        );
        write_line(
            &mut out,
            "If the CA is private, add \"-CAfile FILE\" with a file that contains its root certificate.",
        );
        out
    }
}

/// The command that verifies name and chain of a backend.
pub(super) fn openssl_command(backend: &Backend) -> String {
    let (at, name) = (backend.socket_addr(), &backend.endpoint.server_name);
    // Shells interpret brackets.
    let at = if at.is_ipv6() { format!("'{at}'") } else { at.to_string() };
    let starttls = match backend.endpoint.tls {
        TlsMode::StartTls => " -starttls smtp",
        TlsMode::Implicit => "",
    };
    match name.ip() {
        // SNI takes no addresses (RFC 6066 §3).
        Some(ip) => format!("openssl s_client -connect {at}{starttls} -noservername -verify_ip {ip}"),
        None => format!("openssl s_client -connect {at}{starttls} -servername {name} -verify_hostname {name}"),
    }
}

fn step(stage: Stage) -> &'static str {
    match stage {
        Stage::Resolve => "DNS lookup",
        Stage::Connect => "TCP connection",
        Stage::Greeting => "SMTP greeting",
        Stage::Ehlo => "EHLO",
        Stage::StartTls => "STARTTLS",
        Stage::Handshake => "TLS handshake",
        Stage::Session => "SMTP over TLS, after the handshake",
    }
}

fn write_certificate(out: &mut String, certificate: &BackendCertificate<'_>) {
    let seen_at = utc(unix(certificate.last.seen_at));
    write_line(out, &format!("{}, seen at {seen_at}", certificate.report.backend.socket_addr()));
    write_line(out, &format!("  certificate (SHA-256): {}", hex(&certificate.leaf.fingerprint())));
    let Some(facts) = certificate.facts else { return };
    write_line(out, &format!("  names: {}", phrases::names(facts, MAX_NAMES)));
    write_line(out, &format!("  issuer: {}", facts.issuer()));
    write_line(out, &format!("  valid: {} to {}", utc(facts.not_before), utc(facts.not_after)));
}

/// The first error of each client that rejects.
fn write_errors(out: &mut String, clients: &ClientErrors) {
    let errors = clients.clients().into_iter().filter_map(|(client, error)| Some((client, *error.texts.first()?)));
    for (number, (client, text)) in errors.enumerate() {
        if number == 0 {
            out.push('\n');
            write_line(out, "Clients report these errors:");
        }
        write_line(out, &format!("  {client}: {text}"));
    }
}

/// One printable line, whatever the text contains.
fn write_line(out: &mut String, text: &str) {
    let _ = writeln!(out, "{}", printable(text, MAX_LINE));
}

/// Servers that are described one by one.
const MAX_SERVERS: usize = 10;
/// Names of a certificate.
const MAX_NAMES: usize = 20;
/// Characters of a line.
const MAX_LINE: usize = 2_400;
