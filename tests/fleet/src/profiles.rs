//! Server behaviors: every kind of server that a probe is likely to connect to, each described by one [`ServerSpec`].

use std::time::Duration;

use crate::pki::{CertSpec, Issuer, Pki, Presented};
use crate::script::{Chunk, Delivery, Fault, Script, ServerSpec, Step, Termination, TlsMode, TlsVersions, lines};

/// The name that clients connect to and send as SNI.
pub const ALIAS: &str = "smtp.example.com";

/// The host name that servers announce in greetings and EHLO replies.
pub const HOST: &str = "mail.example.com";

/// The delay of the slow profiles in [`all`].
pub const PAUSE: Duration = Duration::from_millis(250);

/// Declares each profile as a function, and lists it in `PROFILES` under the same name.
macro_rules! profiles {
    ($pki:ident; $($(#[$doc:meta])* $name:ident => $spec:expr;)+) => {
        $($(#[$doc])* pub fn $name($pki: &Pki) -> ServerSpec { $spec })+

        const PROFILES: &[(&str, fn(&Pki) -> ServerSpec)] = &[$((stringify!($name), $name)),+];
    };
}

profiles! {
    pki;

    /// A correct server: STARTTLS, alias and host name in the certificate, complete chain.
    good => presents(pki, &valid());

    /// A correct server with implicit TLS.
    implicit => good(pki).with_tls(TlsMode::Implicit);

    /// The certificate lists the host name but not the alias.
    alias_missing => presents(pki, &CertSpec::valid_for(&[HOST]));

    /// Correct names, expired an hour ago.
    expired => presents(pki, &valid().with_validity(-90 * DAY, -HOUR));

    /// Correct names, valid from tomorrow.
    not_yet_valid => presents(pki, &valid().with_validity(DAY, 90 * DAY));

    /// Correct names, self-signed.
    self_signed => presents(pki, &valid().with_issuer(Issuer::SelfSigned));

    /// Correct names, but the server does not send the intermediate.
    missing_intermediate => presents(pki, &valid().with_presented(Presented::LeafOnly));

    /// Correct names, issued by an untrusted root.
    untrusted => presents(pki, &valid().with_issuer(Issuer::Untrusted));

    /// A chain of more than 64 KiB, which exceeds the limit of rustls.
    chain_too_large => {
        let identity = pki.issue(&valid());
        let mut chain = identity.chain().to_vec();
        let padding = pki.intermediate().der();
        chain.extend(std::iter::repeat_n(padding.clone(), 70_000 / padding.len()));
        ServerSpec::new(identity.with_chain(chain))
    };

    /// An empty Certificate message.
    no_certificate => ServerSpec::new(pki.issue(&valid()).with_chain(Vec::new()));

    /// The EHLO reply does not offer STARTTLS.
    no_starttls => good(pki).with_script(Script {
        ehlo: lines(&["250-mail.example.com", "250 HELP"]),
        starttls: lines(&["502 5.5.1 Command not implemented"]),
        ..Script::default()
    });

    /// Greets with 421 (too many connections) and closes.
    greeting_421 => good(pki)
        .with_script(Script::with_greeting("421 4.7.0 mail.example.com Too many connections"))
        .with_fault(Fault::terminates(Step::Greeted, Termination::Close));

    /// Greets with 554, then answers everything except QUIT with 503 (RFC 5321 §3.1).
    greeting_554 => good(pki)
        .with_script(Script::with_greeting("554 5.7.1 mail.example.com No SMTP service here"))
        .with_fault(Fault::RejectsAll);

    /// Last reply lines that consist of the code only, which clients must accept (RFC 5321 §4.2).
    bare_codes => good(pki).with_script(Script {
        greeting: vec![Chunk::line("220")],
        ehlo: lines(&["250-mail.example.com", "250-STARTTLS", "250"]),
        starttls: lines(&["220"]),
        ehlo_in_tls: lines(&["250"]),
        ..Script::default()
    });

    /// STARTTLS is the last line of the EHLO reply.
    starttls_last => good(pki).with_script(Script {
        ehlo: lines(&["250-mail.example.com", "250 STARTTLS"]),
        ..Script::default()
    });

    /// Sends every byte in a separate write.
    byte_by_byte => good(pki).with_script(Script { delivery: Delivery::ByteByByte, ..Script::default() });

    /// Sends a greeting that is not text.
    garbage_greeting => good(pki).with_script(Script {
        greeting: vec![Chunk { pause: Duration::ZERO, bytes: b"\x00\xff\xfe\x80\x01\x02\xc3\x28\r\n".to_vec() }],
        ..Script::default()
    });

    /// A multiline reply with different codes, which RFC 5321 §4.2.1 forbids.
    mixed_codes => good(pki).with_script(Script {
        ehlo: lines(&["250-mail.example.com", "250-STARTTLS", "550 5.7.1 No"]),
        ..Script::default()
    });

    /// Answers EHLO before TLS with a 5xx code.
    ehlo_refused => good(pki).with_script(Script { ehlo: lines(&["550 5.7.1 Go away"]), ..Script::default() });

    /// Greets with 554 inside implicit TLS, then answers everything except QUIT with 503 (RFC 5321 §3.1).
    implicit_greeting_554 => greeting_554(pki).with_tls(TlsMode::Implicit);

    /// Greets with 421 inside implicit TLS and closes.
    implicit_greeting_421 => greeting_421(pki).with_tls(TlsMode::Implicit);

    /// Answers EHLO inside TLS with a 5xx code; the TLS session itself is established.
    ehlo_refused_in_tls => good(pki).with_script(Script {
        ehlo_in_tls: lines(&["550 5.7.1 Go away"]),
        ..Script::default()
    });

    /// Sends a plaintext reply after the 220 for STARTTLS, in the same segment (CVE-2011-0411).
    injects_plaintext => good(pki).with_script(Script {
        starttls: lines(&["220 2.0.0 Ready to start TLS", "250 2.0.0 Injected"]),
        ..Script::default()
    });

    /// An endless greeting of `220-` lines.
    endless_lines => with_greeting_fault(pki, Fault::EndlessLines);

    /// A greeting that is one endless line.
    endless_line => with_greeting_fault(pki, Fault::EndlessLine);
}

/// Every profile, with a stable name that is also valid as a label value.
pub fn all(pki: &Pki) -> Vec<(&'static str, ServerSpec)> {
    let mut all: Vec<_> = PROFILES.iter().map(|(name, profile)| (*name, profile(pki))).collect();
    all.extend([
        ("starttls_454", starttls_refused(pki, "454 4.7.0 TLS not available")),
        ("starttls_501", starttls_refused(pki, "501 5.5.4 Syntax error")),
        ("slow_greeting", slow_greeting(pki, PAUSE)),
        ("screening", screening(pki, PAUSE)),
        ("plain_on_implicit_port", plain_on_implicit_port()),
        ("tls12_only", versions(pki, TlsVersions::Tls12)),
        ("tls13_only", versions(pki, TlsVersions::Tls13)),
        ("client_certificate_tls12", client_certificate(pki, TlsVersions::Tls12)),
        ("client_certificate_tls13", client_certificate(pki, TlsVersions::Tls13)),
    ]);
    all.extend(TERMINATIONS.map(|(name, at, how)| (name, terminates(pki, at, how))));
    all
}

const TERMINATIONS: [(&str, Step, Termination); 11] = [
    ("closes_at_once", Step::Connected, Termination::Close),
    ("silent", Step::Connected, Termination::Stall),
    ("closes_mid_handshake", Step::ClientHello, Termination::Close),
    ("resets_mid_handshake", Step::ClientHello, Termination::Reset),
    ("stalls_mid_handshake", Step::ClientHello, Termination::Stall),
    ("unrecognized_name", Step::ClientHello, Termination::Alert(112)),
    ("old_tls", Step::ClientHello, Termination::Alert(70)),
    ("nothing_in_common", Step::ClientHello, Termination::Alert(40)),
    ("internal_error", Step::ClientHello, Termination::Alert(80)),
    // A handshake record with a ServerHelloDone (RFC 5246 §7.4.5) where the ServerHello should be.
    ("out_of_turn", Step::ClientHello, Termination::Record(&[22, 3, 3, 0, 4, 14, 0, 0, 0])),
    ("dies_after_tls", Step::EhloInTls, Termination::Close),
];

/// STARTTLS is offered and then answered with `reply` (RFC 3207 §4: 454 or 501).
pub fn starttls_refused(pki: &Pki, reply: &str) -> ServerSpec {
    good(pki).with_script(Script { starttls: lines(&[reply]), ..Script::default() })
}

/// Sends the greeting after `pause`.
pub fn slow_greeting(pki: &Pki, pause: Duration) -> ServerSpec {
    good(pki).with_script(Script {
        greeting: vec![Chunk::delayed(pause, "220 mail.example.com ESMTP")],
        ..Script::default()
    })
}

/// Sends `220-`, pauses, then sends `220 `, like Postfix's postscreen; a client that talks during the pause gets 521.
pub fn screening(pki: &Pki, pause: Duration) -> ServerSpec {
    good(pki).with_script(Script {
        greeting: vec![Chunk::line("220-mail.example.com ESMTP"), Chunk::delayed(pause, "220 mail.example.com ESMTP")],
        pregreet: Some("521 5.5.1 Protocol error".to_owned()),
        ..Script::default()
    })
}

/// Plaintext SMTP on a port where the client expects implicit TLS.
pub fn plain_on_implicit_port() -> ServerSpec {
    ServerSpec::default()
}

/// A correct server that terminates the connection at step `at`.
pub fn terminates(pki: &Pki, at: Step, how: Termination) -> ServerSpec {
    good(pki).with_fault(Fault::terminates(at, how))
}

/// A correct server that supports only the given TLS versions.
pub fn versions(pki: &Pki, versions: TlsVersions) -> ServerSpec {
    ServerSpec { versions, ..good(pki) }
}

/// Accepts only clients with a certificate issued under the trusted root.
pub fn client_certificate(pki: &Pki, versions: TlsVersions) -> ServerSpec {
    ServerSpec { versions, client_ca: Some(pki.root_der()), ..good(pki) }
}

/// Requests a client certificate, and ends TLS with `alert` at step `at`, whatever the client sends.
pub fn rejects_client_certificate(pki: &Pki, versions: TlsVersions, at: Step, alert: u8) -> ServerSpec {
    client_certificate(pki, versions).with_fault(Fault::terminates(at, Termination::Alert(alert)))
}

/// Requests a client certificate, and answers EHLO inside TLS with `reply` whatever the client sends, as Postfix does with
/// `smtpd_tls_req_ccert = yes`.
pub fn replies_to_client_certificate(pki: &Pki, versions: TlsVersions, reply: &str) -> ServerSpec {
    let script = Script { ehlo_in_tls: lines(&[reply]), ..Script::default() };
    ServerSpec { accepts_any_client: true, ..client_certificate(pki, versions) }.with_script(script)
}

/// Several identities behind one address, presented in turn.
pub fn load_balanced(pki: &Pki, certificates: &[CertSpec]) -> ServerSpec {
    let mut identities = certificates.iter().map(|spec| pki.issue(spec));
    ServerSpec { identity: identities.next(), more_identities: identities.collect(), ..ServerSpec::default() }
}

fn valid() -> CertSpec {
    CertSpec::valid_for(&[ALIAS, HOST])
}

fn presents(pki: &Pki, certificate: &CertSpec) -> ServerSpec {
    ServerSpec::new(pki.issue(certificate))
}

fn with_greeting_fault(pki: &Pki, fault: Fault) -> ServerSpec {
    let script = Script { greeting: Vec::new(), ..Script::default() };
    good(pki).with_script(script).with_fault(fault)
}

/// Seconds.
const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;
