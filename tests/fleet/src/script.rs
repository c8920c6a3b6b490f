//! What a server is: rows of data that one interpreter plays.

use std::time::Duration;

use rustls_pki_types::CertificateDer;

use crate::pki::Identity;

/// One server: what it presents, when TLS begins, and what it says.
#[derive(Clone, Debug, Default)]
pub struct ServerSpec {
    /// What it presents; without one STARTTLS is answered 454.
    pub identity: Option<Identity>,
    /// Further identities, taken in turn after the first, one a connection: an address that is a load balancer.
    pub more_identities: Vec<Identity>,
    /// When TLS begins.
    pub tls: TlsMode,
    /// The protocol versions spoken.
    pub versions: TlsVersions,
    /// The authority whose clients alone are let in; `None` asks for no client certificate.
    pub client_ca: Option<CertificateDer<'static>>,
    /// What it says.
    pub script: Script,
}

impl ServerSpec {
    /// A server in order that offers STARTTLS.
    pub fn new(identity: Identity) -> Self {
        Self { identity: Some(identity), ..Self::default() }
    }

    /// With TLS from the first byte, or by STARTTLS.
    pub fn with_tls(self, tls: TlsMode) -> Self {
        Self { tls, ..self }
    }

    /// With another script.
    pub fn with_script(self, script: Script) -> Self {
        Self { script, ..self }
    }

    /// With a fault in its script.
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
    /// With the first byte (RFC 8314 §3.3).
    Implicit,
}

/// The TLS versions a server speaks.
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

/// What a server says. The default is a server in order; the lines are written as they stand, so a reply may be as wrong as wanted.
#[derive(Clone, Debug)]
pub struct Script {
    /// The greeting, in pieces.
    pub greeting: Vec<Chunk>,
    /// Answered, before hanging up, to a client that talks during a pause of the greeting; `None` lets it pass.
    pub pregreet: Option<String>,
    /// The lines that answer EHLO before TLS.
    pub ehlo: Vec<String>,
    /// The lines that answer STARTTLS, written at once; TLS begins after them if the first has code 220.
    /// Lines after the `220 ` one are plaintext injected ahead of the handshake.
    pub starttls: Vec<String>,
    /// The lines that answer EHLO inside TLS.
    pub ehlo_in_tls: Vec<String>,
    /// How bytes go out.
    pub delivery: Delivery,
    /// Where the server leaves the protocol.
    pub fault: Fault,
}

impl Script {
    /// The default script under another greeting, sent in one piece (CRLF is added).
    pub fn with_greeting(line: &str) -> Self {
        Self { greeting: vec![Chunk::line(line)], ..Self::default() }
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

/// A piece of the greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// How long to wait before it.
    pub pause: Duration,
    /// What to send then.
    pub bytes: Vec<u8>,
}

impl Chunk {
    /// A line, at once; CRLF is added.
    pub fn line(line: &str) -> Self {
        Self::delayed(Duration::ZERO, line)
    }

    /// A line after a pause; CRLF is added.
    pub fn delayed(pause: Duration, line: &str) -> Self {
        Self { pause, bytes: format!("{line}\r\n").into_bytes() }
    }
}

/// How bytes go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// A reply a write.
    #[default]
    Whole,
    /// A byte a write, and a TLS record a byte: replies come split at every place.
    ByteByByte,
}

/// Where a server leaves the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nowhere.
    #[default]
    None,
    /// It breaks off.
    Terminates {
        /// When.
        at: Step,
        /// In what way.
        how: Termination,
    },
    /// After the greeting it answers everything but QUIT with 503, as RFC 5321 §3.1 has it after a 554 greeting.
    RejectsAll,
    /// After the greeting, `220-` lines without end.
    EndlessLines,
    /// After the greeting, one line without end.
    EndlessLine,
}

impl Fault {
    /// Breaks off at `at` by `how`.
    pub fn terminates(at: Step, how: Termination) -> Self {
        Self::Terminates { at, how }
    }
}

/// Moments of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Connected, nothing said.
    Connected,
    /// The greeting is out.
    Greeted,
    /// EHLO was read before TLS, and not answered.
    Ehlo,
    /// STARTTLS was read, and not answered.
    StartTls,
    /// The ClientHello was read, and not answered.
    ClientHello,
    /// The handshake is done.
    Tls,
    /// EHLO was read inside TLS, and not answered.
    EhloInTls,
    /// QUIT was read, and not answered.
    Quit,
}

/// Ways to break off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Termination {
    /// An orderly end: close_notify where there is TLS, and FIN.
    Close,
    /// RST, through SO_LINGER 0.
    Reset,
    /// Silence, for as long as the client stays.
    Stall,
    /// A fatal TLS alert in clear (RFC 8446 §6.2 has the numbers), then an orderly end: meant for [`Step::ClientHello`].
    Alert(u8),
    /// These bytes, then an orderly end.
    Record(&'static [u8]),
}

pub(crate) fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(ToString::to_string).collect()
}
