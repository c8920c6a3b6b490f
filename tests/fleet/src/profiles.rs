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

/// Every profile, with a stable name that is also valid as a label value.
pub fn all(pki: &Pki) -> Vec<(&'static str, ServerSpec)> {
    vec![
        ("good", good(pki)),
        ("implicit", implicit(pki)),
        ("alias_missing", alias_missing(pki)),
        ("expired", expired(pki)),
        ("not_yet_valid", not_yet_valid(pki)),
        ("self_signed", self_signed(pki)),
        ("missing_intermediate", missing_intermediate(pki)),
        ("untrusted", untrusted(pki)),
        ("chain_too_large", chain_too_large(pki)),
        ("no_starttls", no_starttls(pki)),
        ("starttls_454", starttls_refused(pki, "454 4.7.0 TLS not available")),
        ("starttls_501", starttls_refused(pki, "501 5.5.4 Syntax error")),
        ("greeting_421", greeting_421(pki)),
        ("greeting_554", greeting_554(pki)),
        ("slow_greeting", slow_greeting(pki, PAUSE)),
        ("screening", screening(pki, PAUSE)),
        ("bare_codes", bare_codes(pki)),
        ("starttls_last", starttls_last(pki)),
        ("byte_by_byte", byte_by_byte(pki)),
        ("garbage_greeting", garbage_greeting(pki)),
        ("mixed_codes", mixed_codes(pki)),
        ("ehlo_refused", ehlo_refused(pki)),
        ("ehlo_refused_in_tls", ehlo_refused_in_tls(pki)),
        ("injects_plaintext", injects_plaintext(pki)),
        ("plain_on_implicit_port", plain_on_implicit_port()),
        ("endless_lines", endless_lines(pki)),
        ("endless_line", endless_line(pki)),
        ("closes_at_once", terminates(pki, Step::Connected, Termination::Close)),
        ("silent", terminates(pki, Step::Connected, Termination::Stall)),
        ("closes_mid_handshake", terminates(pki, Step::ClientHello, Termination::Close)),
        ("resets_mid_handshake", terminates(pki, Step::ClientHello, Termination::Reset)),
        ("stalls_mid_handshake", terminates(pki, Step::ClientHello, Termination::Stall)),
        ("unrecognized_name", terminates(pki, Step::ClientHello, Termination::Alert(112))),
        ("old_tls", terminates(pki, Step::ClientHello, Termination::Alert(70))),
        ("nothing_in_common", terminates(pki, Step::ClientHello, Termination::Alert(40))),
        ("internal_error", terminates(pki, Step::ClientHello, Termination::Alert(80))),
        // A handshake record with a ServerHelloDone (RFC 5246 §7.4.5) where the ServerHello should be.
        ("out_of_turn", terminates(pki, Step::ClientHello, Termination::Record(&[22, 3, 3, 0, 4, 14, 0, 0, 0]))),
        ("no_certificate", no_certificate(pki)),
        ("dies_after_tls", terminates(pki, Step::EhloInTls, Termination::Close)),
        ("tls12_only", versions(pki, TlsVersions::Tls12)),
        ("tls13_only", versions(pki, TlsVersions::Tls13)),
        ("client_certificate_tls12", client_certificate(pki, TlsVersions::Tls12)),
        ("client_certificate_tls13", client_certificate(pki, TlsVersions::Tls13)),
    ]
}

/// A correct server: STARTTLS, alias and host name in the certificate, complete chain.
pub fn good(pki: &Pki) -> ServerSpec {
    presents(pki, &valid())
}

/// A correct server with implicit TLS.
pub fn implicit(pki: &Pki) -> ServerSpec {
    good(pki).with_tls(TlsMode::Implicit)
}

/// The certificate lists the host name but not the alias.
pub fn alias_missing(pki: &Pki) -> ServerSpec {
    presents(pki, &CertSpec::valid_for(&[HOST]))
}

/// Correct names, expired an hour ago.
pub fn expired(pki: &Pki) -> ServerSpec {
    presents(pki, &valid().with_validity(-90 * DAY, -HOUR))
}

/// Correct names, valid from tomorrow.
pub fn not_yet_valid(pki: &Pki) -> ServerSpec {
    presents(pki, &valid().with_validity(DAY, 90 * DAY))
}

/// Correct names, self-signed.
pub fn self_signed(pki: &Pki) -> ServerSpec {
    presents(pki, &valid().with_issuer(Issuer::SelfSigned))
}

/// Correct names, but the server does not send the intermediate.
pub fn missing_intermediate(pki: &Pki) -> ServerSpec {
    presents(pki, &valid().with_presented(Presented::LeafOnly))
}

/// Correct names, issued by an untrusted root.
pub fn untrusted(pki: &Pki) -> ServerSpec {
    presents(pki, &valid().with_issuer(Issuer::Untrusted))
}

/// A chain of more than 64 KiB, which exceeds the limit of rustls.
pub fn chain_too_large(pki: &Pki) -> ServerSpec {
    let identity = pki.issue(&valid());
    let mut chain = identity.chain().to_vec();
    let padding = pki.intermediate().der();
    chain.extend(std::iter::repeat_n(padding.clone(), 70_000 / padding.len()));
    ServerSpec::new(identity.with_chain(chain))
}

/// An empty Certificate message.
pub fn no_certificate(pki: &Pki) -> ServerSpec {
    ServerSpec::new(pki.issue(&valid()).with_chain(Vec::new()))
}

/// The EHLO reply does not offer STARTTLS.
pub fn no_starttls(pki: &Pki) -> ServerSpec {
    good(pki).with_script(Script {
        ehlo: lines(&["250-mail.example.com", "250 HELP"]),
        starttls: lines(&["502 5.5.1 Command not implemented"]),
        ..Script::default()
    })
}

/// STARTTLS is offered and then answered with `reply` (RFC 3207 §4: 454 or 501).
pub fn starttls_refused(pki: &Pki, reply: &str) -> ServerSpec {
    good(pki).with_script(Script { starttls: lines(&[reply]), ..Script::default() })
}

/// Greets with 421 (too many connections) and closes.
pub fn greeting_421(pki: &Pki) -> ServerSpec {
    good(pki)
        .with_script(Script::with_greeting("421 4.7.0 mail.example.com Too many connections"))
        .with_fault(Fault::terminates(Step::Greeted, Termination::Close))
}

/// Greets with 554, then answers everything except QUIT with 503 (RFC 5321 §3.1).
pub fn greeting_554(pki: &Pki) -> ServerSpec {
    good(pki)
        .with_script(Script::with_greeting("554 5.7.1 mail.example.com No SMTP service here"))
        .with_fault(Fault::RejectsAll)
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

/// Last reply lines that consist of the code only, which clients must accept (RFC 5321 §4.2).
pub fn bare_codes(pki: &Pki) -> ServerSpec {
    good(pki).with_script(Script {
        greeting: vec![Chunk::line("220")],
        ehlo: lines(&["250-mail.example.com", "250-STARTTLS", "250"]),
        starttls: lines(&["220"]),
        ehlo_in_tls: lines(&["250"]),
        ..Script::default()
    })
}

/// STARTTLS is the last line of the EHLO reply.
pub fn starttls_last(pki: &Pki) -> ServerSpec {
    good(pki).with_script(Script { ehlo: lines(&["250-mail.example.com", "250 STARTTLS"]), ..Script::default() })
}

/// Sends every byte in a separate write.
pub fn byte_by_byte(pki: &Pki) -> ServerSpec {
    good(pki).with_script(Script { delivery: Delivery::ByteByByte, ..Script::default() })
}

/// Sends a greeting that is not text.
pub fn garbage_greeting(pki: &Pki) -> ServerSpec {
    good(pki).with_script(Script {
        greeting: vec![Chunk { pause: Duration::ZERO, bytes: b"\x00\xff\xfe\x80\x01\x02\xc3\x28\r\n".to_vec() }],
        ..Script::default()
    })
}

/// A multiline reply with different codes, which RFC 5321 §4.2.1 forbids.
pub fn mixed_codes(pki: &Pki) -> ServerSpec {
    good(pki).with_script(Script {
        ehlo: lines(&["250-mail.example.com", "250-STARTTLS", "550 5.7.1 No"]),
        ..Script::default()
    })
}

/// Answers EHLO before TLS with a 5xx code.
pub fn ehlo_refused(pki: &Pki) -> ServerSpec {
    good(pki).with_script(Script { ehlo: lines(&["550 5.7.1 Go away"]), ..Script::default() })
}

/// Answers EHLO inside TLS with a 5xx code; the TLS session itself is established.
pub fn ehlo_refused_in_tls(pki: &Pki) -> ServerSpec {
    good(pki).with_script(Script { ehlo_in_tls: lines(&["550 5.7.1 Go away"]), ..Script::default() })
}

/// Sends a plaintext reply after the 220 for STARTTLS, in the same segment (CVE-2011-0411).
pub fn injects_plaintext(pki: &Pki) -> ServerSpec {
    good(pki).with_script(Script {
        starttls: lines(&["220 2.0.0 Ready to start TLS", "250 2.0.0 Injected"]),
        ..Script::default()
    })
}

/// Plaintext SMTP on a port where the client expects implicit TLS.
pub fn plain_on_implicit_port() -> ServerSpec {
    ServerSpec::default()
}

/// An endless greeting of `220-` lines.
pub fn endless_lines(pki: &Pki) -> ServerSpec {
    with_greeting_fault(pki, Fault::EndlessLines)
}

/// A greeting that is one endless line.
pub fn endless_line(pki: &Pki) -> ServerSpec {
    with_greeting_fault(pki, Fault::EndlessLine)
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
