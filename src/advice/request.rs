//! The requests that can be sent to the server's operator.

use super::context::{BackendCertificate, Context};
use super::{Advice, phrases};
use crate::client_errors::ClientErrors;
use crate::observation::Failure;
use crate::reason::Stage;
use crate::snapshot::BackendReport;
use crate::target::{Backend, TlsMode};
use crate::text::{capitalized, plural, printable, utc};
use crate::verdict::certificate::hex;
use crate::verdict::unix;

pub(super) struct Problem {
    /// The problem in a few words, for the subject line of the request.
    pub(super) subject: String,
    /// The problem as a sentence without a full stop, which can follow "192.0.2.11: ".
    pub(super) description: String,
    /// What the server's operator can do, as imperative clauses without a full stop, which can follow "Please ".
    pub(super) fix: String,
    /// What the exporter's operator can do; a sentence that is not part of the request.
    exporter_fix: Option<&'static str>,
}

impl Problem {
    /// A problem whose subject is the description without its consequence.
    pub(super) fn plain(description: &str, fix: &str) -> Self {
        let consequence = [", which ", ", so ", ", and "].iter().filter_map(|start| description.find(start)).min();
        let subject = consequence.and_then(|at| description.get(..at)).unwrap_or(description);
        Self::new(subject, description, fix)
    }

    pub(super) fn new(subject: impl Into<String>, description: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { subject: subject.into(), description: description.into(), fix: fix.into(), exporter_fix: None }
    }

    /// With what the exporter's operator can do.
    pub(super) fn with_exporter_fix(self, fix: &'static str) -> Self {
        Self { exporter_fix: Some(fix), ..self }
    }

    /// The text of the advice. `detail` follows the problem; empty for none.
    pub(super) fn text(&self, backends: &str, detail: &str) -> String {
        let exporter_fix = self.exporter_fix.map(|fix| format!(" {fix}")).unwrap_or_default();
        format!("{backends}: {}{detail}. {}.{exporter_fix}", self.description, capitalized(&self.fix))
    }

    /// The message to the operator of these servers.
    fn request(&self, context: &Context<'_>, servers: &[impl Server], clients: Option<&ClientErrors>) -> String {
        let backends: Vec<&Backend> = servers.iter().map(Server::backend).collect();
        let endpoint = context.endpoint();
        // Words for a recipient who does not know the exporter.
        let [subject, description, fix] = [&self.subject, &self.description, &self.fix].map(|text| {
            text.replace("the exporter host", "our monitoring host").replace("the trust store", "our trust store")
        });
        let addresses = phrases::addresses(backends.iter().map(|backend| &backend.address));
        let these = plural(servers.len(), "this server", "these servers");
        let mut lines = vec![
            format!("Subject: {addresses}: {subject}"),
            String::new(),
            format!(
                "Our monitoring of {}, port {} ({}), found a problem on {these}:",
                endpoint.server_name,
                endpoint.port,
                endpoint.tls.title()
            ),
            String::new(),
        ];
        lines.extend(servers.iter().take(MAX_SERVERS).flat_map(Server::facts));
        if let Some(more @ 1..) = backends.len().checked_sub(MAX_SERVERS) {
            lines.push(format!("and {more} more"));
        }
        lines.extend([String::new(), format!("{}.", capitalized(&description))]);
        lines.extend(clients.into_iter().flat_map(errors));
        lines.extend([
            String::new(),
            format!("Please {fix}."),
            String::new(),
            plural(backends.len(), "To verify the fix, run:", "To verify the fix on each server, run:").to_owned(),
        ]);
        lines.extend(backends.iter().take(MAX_SERVERS).map(|backend| format!("  {}", openssl_command(backend))));
        // OpenSSL prints the return code 0 even if there was no handshake.
        lines.extend(VERIFIED.map(str::to_owned));
        lines.iter().map(|line| printable(line, MAX_LINE_CHARS) + "\n").collect()
    }
}

impl Advice {
    /// With the request to fix `problem` on these servers, and the errors of clients.
    pub(super) fn with_request(
        self,
        context: &Context<'_>,
        problem: &Problem,
        servers: &[impl Server],
        clients: Option<ClientErrors>,
    ) -> Self {
        Self { request: Some(problem.request(context, servers, clients.as_ref())), clients, ..self }
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

/// A server that a request is about.
pub(super) trait Server {
    fn backend(&self) -> &Backend;

    /// What was seen there, in lines.
    fn facts(&self) -> Vec<String>;
}

impl Server for (&BackendReport, &Failure) {
    fn backend(&self) -> &Backend {
        &self.0.backend
    }

    fn facts(&self) -> Vec<String> {
        let (report, failure) = self;
        let at = report.probe.as_ref().map(|probe| format!(", checked at {}", utc(unix(probe.at))));
        let mut lines = vec![
            format!("{}{}", report.backend.socket_addr(), at.unwrap_or_default()),
            format!("  failed step: {}", step(failure.stage)),
        ];
        if !failure.detail.is_empty() {
            lines.push(format!("  detail: {}", failure.detail));
        }
        lines
    }
}

impl Server for &BackendCertificate<'_> {
    fn backend(&self) -> &Backend {
        &self.report.backend
    }

    fn facts(&self) -> Vec<String> {
        let mut lines = vec![
            format!("{}, seen at {}", self.report.backend.socket_addr(), utc(unix(self.last.seen_at))),
            format!("  certificate (SHA-256): {}", hex(&self.leaf.fingerprint())),
        ];
        if let Some(facts) = self.facts {
            lines.extend([
                format!("  names: {}", phrases::names(&self.report.backend.endpoint.server_name, facts, MAX_NAMES)),
                format!("  issuer: {}", facts.issuer()),
                format!("  valid: {} to {}", utc(facts.not_before), utc(facts.not_after)),
            ]);
        }
        lines
    }
}

/// The first error of each client, and when it reports none, after a heading.
fn errors(clients: &ClientErrors) -> Vec<String> {
    let errors = clients.clients().into_iter().filter_map(|(client, error)| {
        let text = error.texts.first()?;
        let accepts = error.accepts.map(|condition| format!(" (accepts it {condition})")).unwrap_or_default();
        Some(format!("  {client}: {text}{accepts}"))
    });
    let errors: Vec<String> = errors.collect();
    let heading = [String::new(), "Clients report these errors:".to_owned()];
    if errors.is_empty() { errors } else { heading.into_iter().chain(errors).collect() }
}

const VERIFIED: [&str; 3] = [
    "",
    "The output must contain the server certificate and the line \"Verify return code: 0 (ok)\".",
    "If the CA is private, add \"-CAfile FILE\" with a file that contains its root certificate.",
];
const MAX_SERVERS: usize = 10;
const MAX_NAMES: usize = 20;
const MAX_LINE_CHARS: usize = 2_400;
