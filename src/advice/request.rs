//! Texts that are ready to be sent to whoever runs the servers.

use std::fmt::Write;

use super::context::{Scene, Shown};
use super::phrases;
use crate::client_errors::ClientErrors;
use crate::snapshot::BackendReport;
use crate::target::{Backend, TlsMode};
use crate::text::printable;
use crate::verdict::certificate::hex;
use crate::verdict::unix;

/// What a letter says beside the facts.
pub(super) struct Letter<'a> {
    /// What is wrong, in a few words: `certificate lacks smtp.example.com`. The servers are added.
    pub(super) subject: String,
    /// What is wrong, as a sentence.
    pub(super) wrong: String,
    /// What is to be done, as a sentence.
    pub(super) todo: String,
    pub(super) clients: Option<&'a ClientErrors>,
}

impl Letter<'_> {
    /// About certificates.
    pub(super) fn on_certificates(&self, scene: &Scene<'_>, shown: &[&Shown<'_>]) -> String {
        let mut facts = String::new();
        for shown in shown.iter().take(MAX_SERVERS) {
            certificate(&mut facts, shown);
        }
        let backends: Vec<&Backend> = shown.iter().map(|shown| &shown.report.backend).collect();
        self.write(scene, &backends, &facts)
    }

    /// About servers that stop a probe.
    pub(super) fn on_stops(&self, scene: &Scene<'_>, reports: &[&BackendReport]) -> String {
        let mut facts = String::new();
        for report in reports.iter().take(MAX_SERVERS) {
            let Some(probe) = &report.probe else { continue };
            line(
                &mut facts,
                &format!("{}, probed on {}", report.backend.socket_addr(), phrases::moment(unix(probe.at))),
            );
            if let Err(failure) = &probe.outcome {
                line(&mut facts, &format!("  stopped at: {} ({})", failure.stage, failure.reason));
                line(&mut facts, &format!("  in detail: {}", failure.detail));
            }
        }
        let backends: Vec<&Backend> = reports.iter().map(|report| &report.backend).collect();
        self.write(scene, &backends, &facts)
    }

    fn write(&self, scene: &Scene<'_>, backends: &[&Backend], facts: &str) -> String {
        let endpoint = scene.endpoint();
        let how = match endpoint.tls {
            TlsMode::StartTls => "STARTTLS",
            TlsMode::Implicit => "TLS at once",
        };
        let addresses = phrases::addresses(backends.iter().map(|backend| &backend.address));
        let mut out = String::new();
        line(&mut out, &format!("Subject: {}: {}", addresses, self.subject));
        out.push('\n');
        let servers = if backends.len() == 1 { "this server" } else { "these servers" };
        let name = &endpoint.server_name;
        line(&mut out, &format!("Clients that connect to {name} on port {} ({how}) reach {servers}:", endpoint.port));
        out.push('\n');
        out.push_str(facts);
        if let Some(more) = backends.len().checked_sub(MAX_SERVERS).filter(|more| *more > 0) {
            line(&mut out, &format!("and {more} more"));
        }
        out.push('\n');
        line(&mut out, &self.wrong);
        if let Some(clients) = self.clients {
            report(&mut out, clients);
        }
        out.push('\n');
        line(&mut out, &format!("Please: {}", self.todo));
        out.push('\n');
        line(&mut out, "To check it afterwards:");
        for backend in backends.iter().take(MAX_SERVERS) {
            line(&mut out, &format!("  {}", command(backend)));
        }
        // It says so as well where there was no handshake.
        line(&mut out, "It must show the certificate, and say: Verify return code: 0 (ok)");
        line(&mut out, "(with -CAfile and the root's file, where the root is a private one)");
        out
    }
}

/// What shows whether a backend is as it should be.
pub(super) fn command(backend: &Backend) -> String {
    let (at, name) = (backend.socket_addr(), &backend.endpoint.server_name);
    // Shells read brackets.
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

fn certificate(out: &mut String, shown: &Shown<'_>) {
    let (backend, seen_at) = (&shown.report.backend, unix(shown.last.seen_at));
    line(out, &format!("{}, seen on {}", backend.socket_addr(), phrases::moment(seen_at)));
    line(out, &format!("  certificate (SHA-256): {}", hex(&shown.leaf.fingerprint())));
    let Some(facts) = shown.facts else { return };
    line(out, &format!("  names: {}", phrases::names(facts, MAX_NAMES)));
    line(out, &format!("  issuer: {}", facts.issuer()));
    line(out, &format!("  valid: {} to {}", phrases::moment(facts.not_before), phrases::moment(facts.not_after)));
}

/// The first words of each client that refuses.
fn report(out: &mut String, clients: &ClientErrors) {
    let said = clients.clients().into_iter().filter_map(|(client, words)| Some((client, *words.texts.first()?)));
    for (number, (client, text)) in said.enumerate() {
        if number == 0 {
            line(out, "Clients report:");
        }
        line(out, &format!("  {client}: {text}"));
    }
}

/// One line, whatever is in it.
fn line(out: &mut String, text: &str) {
    let _ = writeln!(out, "{}", printable(text, MAX_LINE));
}

/// Servers that are described one by one.
const MAX_SERVERS: usize = 10;
/// Names of a certificate that are listed.
const MAX_NAMES: usize = 20;
/// Characters of a line.
const MAX_LINE: usize = 2_400;
