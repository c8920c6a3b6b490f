//! The cast: every kind of server a probe is likely to meet, each a row of data.

use std::time::Duration;

use crate::pki::{CertSpec, Issuer, Pki, Presented};
use crate::script::{Chunk, Delivery, Fault, Script, ServerSpec, Step, Termination, TlsMode, TlsVersions, lines};

/// The name that clients ask for.
pub const ALIAS: &str = "smtp.example.com";

/// The name that servers have of themselves, in greetings and EHLO replies.
pub const HOST: &str = "mail.example.com";

/// How long the slow ones of [`all`] take.
pub const PAUSE: Duration = Duration::from_millis(250);

/// Every kind, under a name that is stable and fit for a label.
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

/// Nothing is wrong: STARTTLS, the alias and the host in the certificate, the whole chain.
pub fn good(pki: &Pki) -> ServerSpec {
    presents(pki, &valid())
}

/// Nothing is wrong, with TLS from the first byte.
pub fn implicit(pki: &Pki) -> ServerSpec {
    good(pki).with_tls(TlsMode::Implicit)
}

/// The certificate lists the host, not the alias.
pub fn alias_missing(pki: &Pki) -> ServerSpec {
    presents(pki, &CertSpec::valid_for(&[HOST]))
}

/// The right names, expired an hour ago.
pub fn expired(pki: &Pki) -> ServerSpec {
    presents(pki, &valid().with_validity(-90 * DAY, -HOUR))
}

/// The right names, valid from tomorrow on.
pub fn not_yet_valid(pki: &Pki) -> ServerSpec {
    presents(pki, &valid().with_validity(DAY, 90 * DAY))
}

/// The right names, signed by the certificate's own key.
pub fn self_signed(pki: &Pki) -> ServerSpec {
    presents(pki, &valid().with_issuer(Issuer::SelfSigned))
}

/// The right names, without the intermediate that leads to the root.
pub fn missing_intermediate(pki: &Pki) -> ServerSpec {
    presents(pki, &valid().with_presented(Presented::LeafOnly))
}

/// The right names, from a root that nobody trusts.
pub fn untrusted(pki: &Pki) -> ServerSpec {
    presents(pki, &valid().with_issuer(Issuer::Untrusted))
}

/// A chain of more than 64 KiB, beyond what rustls reads.
pub fn chain_too_large(pki: &Pki) -> ServerSpec {
    let identity = pki.issue(&valid());
    let mut chain = identity.chain().to_vec();
    let padding = pki.intermediate().der();
    chain.extend(std::iter::repeat_n(padding.clone(), 70_000 / padding.len()));
    ServerSpec::new(identity.with_chain(chain))
}

/// The certificate message is empty.
pub fn no_certificate(pki: &Pki) -> ServerSpec {
    ServerSpec::new(pki.issue(&valid()).with_chain(Vec::new()))
}

/// EHLO offers no STARTTLS.
pub fn no_starttls(pki: &Pki) -> ServerSpec {
    good(pki).with_script(Script {
        ehlo: lines(&["250-mail.example.com", "250 HELP"]),
        starttls: lines(&["502 5.5.1 Command not implemented"]),
        ..Script::default()
    })
}

/// STARTTLS is offered, and answered with `reply` (RFC 3207 §4: 454 or 501).
pub fn starttls_refused(pki: &Pki, reply: &str) -> ServerSpec {
    good(pki).with_script(Script { starttls: lines(&[reply]), ..Script::default() })
}

/// 421 and an end: too many connections.
pub fn greeting_421(pki: &Pki) -> ServerSpec {
    good(pki)
        .with_script(Script::with_greeting("421 4.7.0 mail.example.com Too many connections"))
        .with_fault(Fault::terminates(Step::Greeted, Termination::Close))
}

/// 554, then 503 to everything but QUIT (RFC 5321 §3.1).
pub fn greeting_554(pki: &Pki) -> ServerSpec {
    good(pki)
        .with_script(Script::with_greeting("554 5.7.1 mail.example.com No SMTP service here"))
        .with_fault(Fault::RejectsAll)
}

/// The greeting comes after `pause`.
pub fn slow_greeting(pki: &Pki, pause: Duration) -> ServerSpec {
    good(pki).with_script(Script {
        greeting: vec![Chunk::delayed(pause, "220 mail.example.com ESMTP")],
        ..Script::default()
    })
}

/// `220-`, a pause, `220 `, as Postfix's postscreen has it; who talks in the pause is answered 521.
pub fn screening(pki: &Pki, pause: Duration) -> ServerSpec {
    good(pki).with_script(Script {
        greeting: vec![Chunk::line("220-mail.example.com ESMTP"), Chunk::delayed(pause, "220 mail.example.com ESMTP")],
        pregreet: Some("521 5.5.1 Protocol error".to_owned()),
        ..Script::default()
    })
}

/// Last lines of a code alone, which RFC 5321 §4.2 tells clients to take.
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

/// Every byte in a write of its own.
pub fn byte_by_byte(pki: &Pki) -> ServerSpec {
    good(pki).with_script(Script { delivery: Delivery::ByteByByte, ..Script::default() })
}

/// A greeting that is no text.
pub fn garbage_greeting(pki: &Pki) -> ServerSpec {
    good(pki).with_script(Script {
        greeting: vec![Chunk { pause: Duration::ZERO, bytes: b"\x00\xff\xfe\x80\x01\x02\xc3\x28\r\n".to_vec() }],
        ..Script::default()
    })
}

/// A reply whose lines have different codes (RFC 5321 §4.2.1 forbids it).
pub fn mixed_codes(pki: &Pki) -> ServerSpec {
    good(pki).with_script(Script {
        ehlo: lines(&["250-mail.example.com", "250-STARTTLS", "550 5.7.1 No"]),
        ..Script::default()
    })
}

/// EHLO is answered with a 5xx before TLS.
pub fn ehlo_refused(pki: &Pki) -> ServerSpec {
    good(pki).with_script(Script { ehlo: lines(&["550 5.7.1 Go away"]), ..Script::default() })
}

/// EHLO is answered with a 5xx inside TLS: TLS came up and SMTP was spoken in it, all the same.
pub fn ehlo_refused_in_tls(pki: &Pki) -> ServerSpec {
    good(pki).with_script(Script { ehlo_in_tls: lines(&["550 5.7.1 Go away"]), ..Script::default() })
}

/// A reply in clear behind STARTTLS's 220, in the same segment (CVE-2011-0411).
pub fn injects_plaintext(pki: &Pki) -> ServerSpec {
    good(pki).with_script(Script {
        starttls: lines(&["220 2.0.0 Ready to start TLS", "250 2.0.0 Injected"]),
        ..Script::default()
    })
}

/// Plain SMTP where a client expects TLS from the first byte.
pub fn plain_on_implicit_port() -> ServerSpec {
    ServerSpec::default()
}

/// A greeting of `220-` lines without end.
pub fn endless_lines(pki: &Pki) -> ServerSpec {
    babbling(pki, Fault::EndlessLines)
}

/// A greeting of one line without end.
pub fn endless_line(pki: &Pki) -> ServerSpec {
    babbling(pki, Fault::EndlessLine)
}

/// In order until `at`, then it breaks off.
pub fn terminates(pki: &Pki, at: Step, how: Termination) -> ServerSpec {
    good(pki).with_fault(Fault::terminates(at, how))
}

/// In order, with the TLS versions given.
pub fn versions(pki: &Pki, versions: TlsVersions) -> ServerSpec {
    ServerSpec { versions, ..good(pki) }
}

/// Lets in only clients with a certificate under the trusted root.
pub fn client_certificate(pki: &Pki, versions: TlsVersions) -> ServerSpec {
    ServerSpec { versions, client_ca: Some(pki.root_der()), ..good(pki) }
}

/// Several identities behind one address, in turn.
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

fn babbling(pki: &Pki, fault: Fault) -> ServerSpec {
    let script = Script { greeting: Vec::new(), ..Script::default() };
    good(pki).with_script(script).with_fault(fault)
}

/// In seconds.
const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;
