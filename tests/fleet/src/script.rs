//! Descriptions of servers, as data for one interpreter (`server::dialogue`).

use std::time::Duration;

use rustls::SignatureScheme;
use rustls_pki_types::CertificateDer;

use crate::pki::Identity;

/// One server: its certificate, when TLS begins, and what it sends.
#[derive(Clone, Debug, Default)]
pub struct ServerSpec {
    /// The certificate it presents; without one, STARTTLS is answered with 454.
    pub identity: Option<Identity>,
    /// Further identities, used in turn after the first, one per connection: the address behaves like a load balancer.
    pub more_identities: Vec<Identity>,
    /// Implicit TLS or STARTTLS.
    pub tls: TlsMode,
    /// The supported TLS versions.
    pub versions: TlsVersions,
    /// The CA that must have issued the client certificate; `None` requests no client certificate.
    pub client_ca: Option<CertificateDer<'static>>,
    /// Whether clients may have any certificate, or none, if one is requested.
    pub accepts_any_client: bool,
    /// The signature schemes that it accepts from clients; empty for all.
    pub client_schemes: Vec<SignatureScheme>,
    /// What it sends.
    pub script: Script,
}

impl ServerSpec {
    /// A correct server that offers STARTTLS.
    pub fn new(identity: Identity) -> Self {
        Self { identity: Some(identity), ..Self::default() }
    }

    setters! {
        /// Sets the TLS mode.
        with_tls(tls: TlsMode);
        /// Replaces the script.
        with_script(script: Script);
    }

    /// Sets the script's fault.
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.script.fault = fault;
        self
    }
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// After STARTTLS (RFC 3207).
    #[default]
    StartTls,
    /// Implicit TLS, from the first byte (RFC 8314 §3.3).
    Implicit,
}

/// The TLS versions that a server supports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// TLS 1.2 and 1.3.
    #[default]
    Both,
    /// TLS 1.2 only.
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

/// What a server sends. The default is a correct server. Lines are sent unchanged, so replies may be malformed.
#[derive(Clone, Debug)]
pub struct Script {
    /// The greeting, in chunks.
    pub greeting: Vec<Chunk>,
    /// The reply to a client that talks before the greeting is complete, after which the server closes the connection;
    /// `None` tolerates such clients.
    pub pregreet: Option<String>,
    /// The reply to EHLO before TLS.
    pub ehlo: Vec<String>,
    /// The reply to STARTTLS, sent in one write; TLS begins after it if the first line has code 220.
    /// Lines after the `220 ` line are plaintext injected before the handshake.
    pub starttls: Vec<String>,
    /// The reply to EHLO inside TLS.
    pub ehlo_in_tls: Vec<String>,
    /// How bytes are written.
    pub delivery: Delivery,
    /// Where the server deviates from the protocol.
    pub fault: Fault,
}

impl Script {
    /// The default script with another greeting, sent in one chunk (CRLF is added).
    pub fn with_greeting(line: &str) -> Self {
        Self { greeting: vec![Chunk::line(line)], ..Self::default() }
    }

    /// The default script that answers `step` with `reply`. The replies to [`Step::Connected`], [`Step::Ehlo`],
    /// [`Step::StartTls`] and [`Step::EhloInTls`] can be replaced.
    ///
    /// # Panics
    /// If the script has no reply to `step`.
    pub fn with_reply(step: Step, reply: &[&str]) -> Self {
        let mut script = Self::default();
        match step {
            Step::Connected => script.greeting = reply.iter().map(|line| Chunk::line(line)).collect(),
            Step::Ehlo => script.ehlo = lines(reply),
            Step::StartTls => script.starttls = lines(reply),
            Step::EhloInTls => script.ehlo_in_tls = lines(reply),
            step => panic!("no reply to {step:?}"),
        }
        script
    }
}

impl Default for Script {
    fn default() -> Self {
        Self {
            greeting: vec![Chunk::line("220 mail.example.com ESMTP")],
            pregreet: None,
            ehlo: lines(&["250-mail.example.com", "250-SIZE 10240000", "250-STARTTLS", "250 HELP"]),
            starttls: lines(&["220 2.0.0 Ready to start TLS"]),
            ehlo_in_tls: lines(&["250-mail.example.com", "250-SIZE 10240000", "250 AUTH PLAIN LOGIN"]),
            delivery: Delivery::Whole,
            fault: Fault::None,
        }
    }
}

/// A part of the greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// How long to wait before sending it.
    pub pause: Duration,
    /// What to send.
    pub bytes: Vec<u8>,
}

impl Chunk {
    /// A line without a pause; CRLF is added.
    pub fn line(line: &str) -> Self {
        Self::delayed(Duration::ZERO, line)
    }

    /// A line after a pause; CRLF is added.
    pub fn delayed(pause: Duration, line: &str) -> Self {
        Self { pause, bytes: format!("{line}\r\n").into_bytes() }
    }
}

/// How bytes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// One write per reply.
    #[default]
    Whole,
    /// One write, and inside TLS one record, per byte: replies arrive split at every position.
    ByteByByte,
}

/// Where a server deviates from the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// No deviation.
    #[default]
    None,
    /// It terminates the connection.
    Terminates {
        /// At which step.
        at: Step,
        /// In which way.
        how: Termination,
    },
    /// After the greeting it answers everything except QUIT with 503, as RFC 5321 §3.1 requires after a 554 greeting.
    RejectsAll,
    /// After the greeting, endless `220-` lines.
    EndlessLines,
    /// After the greeting, one endless line.
    EndlessLine,
}

impl Fault {
    /// Terminates the connection at step `at` by `how`.
    pub fn terminates(at: Step, how: Termination) -> Self {
        Self::Terminates { at, how }
    }
}

/// Steps of an SMTP session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The connection is accepted; nothing is sent yet.
    Connected,
    /// The greeting is sent.
    Greeted,
    /// EHLO was read before TLS and is not answered yet.
    Ehlo,
    /// STARTTLS was read and is not answered yet.
    StartTls,
    /// The ClientHello was read and is not answered yet.
    ClientHello,
    /// The client's Certificate was read; its Finished is not read yet. Only for an alert; in TLS 1.3, one of 42 to 46, 48,
    /// 49 and 51, or 116 without a certificate.
    ClientCertificate,
    /// The handshake is complete.
    Tls,
    /// EHLO was read inside TLS and is not answered yet.
    EhloInTls,
    /// QUIT was read and is not answered yet.
    Quit,
}

/// Ways to terminate a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Termination {
    /// An orderly close: close_notify inside TLS, then FIN.
    Close,
    /// RST (SO_LINGER 0).
    Reset,
    /// Sends nothing more until the client closes.
    Stall,
    /// A fatal TLS alert (numbers in RFC 8446 §6.2), then an orderly close; for the steps of the handshake.
    Alert(u8),
    /// These bytes, then an orderly close.
    Record(&'static [u8]),
}

pub(crate) fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(ToString::to_string).collect()
}
