//! What mail senders do with the chains on which they, or webpki and they, do not agree. `tests/real` runs the senders on
//! every case; `docs/verdicts.md` prints the table.

/// Chains with something in common, and what each sender does with them.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// What the chains have in common.
    pub what: &'static str,
    /// The names of the cases.
    pub cases: &'static [&'static str],
    /// OpenSSL, and Postfix with it.
    pub openssl: Outcome,
    /// GnuTLS.
    pub gnutls: Outcome,
    /// Go.
    pub go: Outcome,
    /// .NET, which the tests do not run.
    pub dotnet: Outcome,
    /// Java, which decides nothing; not run by `tests/real`.
    pub java: Outcome,
}

/// What a sender does with a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was run, and accepts the chain.
    Accepts,
    /// It was run, and refuses the chain.
    Refuses,
    /// It was run: from this minor version of Go 1 on, it refuses the chain, and accepted it before.
    RefusesSince(u32),
    /// It was run: from this minor version of Go 1 on, it accepts the chain, and refused it before.
    AcceptsSince(u32),
    /// It was run, and accepts some of the cases.
    Varies,
    /// It was not run: it refuses the chain according to this entry of [`SOURCES`], counted from 0.
    Cited(usize),
    /// It was not run, and there is no source.
    Unknown,
}

/// What was run to make the table, with versions.
pub const VERSIONS: &str = "OpenSSL 3.0.22 (`s_client`, security level 2), GnuTLS 3.7.9 (`gnutls-cli`), Go 1.19.8, 1.24.4 and \
    1.27.3 (`crypto/tls`), Java 17.0.15 (`X509TrustManager`)";

/// Sources on senders that were not run.
pub const SOURCES: [&str; 2] = [
    ".NET on Linux uses OpenSSL for TLS, builds chains with its `X509_verify_cert`, and reports the errors as chain status: \
     [OpenSslX509ChainProcessor.cs](https://github.com/dotnet/runtime/blob/main/src/libraries/System.Security.Cryptography/src/System/Security/Cryptography/X509Certificates/OpenSslX509ChainProcessor.cs)",
    "On Windows, .NET uses CryptoAPI, whose errors are defined for every certificate of the chain, the root included: \
     [CERT_TRUST_STATUS](https://learn.microsoft.com/windows/win32/api/wincrypt/ns-wincrypt-cert_trust_status)",
];

/// On Linux.
const LINUX: Outcome = Outcome::Cited(0);
/// On Windows, and on Linux as OpenSSL.
const WINDOWS: Outcome = Outcome::Cited(1);

/// One row: what, cases, outcomes of OpenSSL, GnuTLS, Go, .NET and Java.
const fn row(what: &'static str, cases: &'static [&'static str], outcomes: [Outcome; 5]) -> Difference {
    let [openssl, gnutls, go, dotnet, java] = outcomes;
    Difference { what, cases, openssl, gnutls, go, dotnet, java }
}

use Outcome::{Accepts, AcceptsSince, Refuses, RefusesSince, Unknown, Varies};

/// All rows. A case that is in none is accepted by OpenSSL, GnuTLS and Go if it is valid, and refused if not.
pub const DIFFERENCES: &[Difference] = &[
    // What all senders refuse although it is not in RFC 5280 §6.1.1 (d), where a trust anchor is a name and a key.
    row(
        "The root in the trust store has expired, and no other path ends at a valid one",
        &[
            "root-expired",
            "root-expired-signs-directly",
            "root-expired-before-the-leaf-begins",
            "root-expired-and-not-yet-renewed",
            "root-expired-beside-one-with-another-key",
            "root-expired-and-renewed-one-presented",
            "root-expired-sent-along",
            "root-expired-and-leaf-expired",
        ],
        [Refuses, Refuses, Refuses, WINDOWS, Varies],
    ),
    row(
        "The root in the trust store is not yet valid",
        &["root-not-yet-valid"],
        [Refuses, Refuses, Refuses, WINDOWS, Accepts],
    ),
    row(
        "The validity period of the root ends before it starts",
        &["root-validity-reversed"],
        [Refuses, Refuses, Refuses, WINDOWS, Accepts],
    ),
    row(
        "The keyUsage of an intermediate or of the root lacks keyCertSign",
        &[
            "issuer-without-key-cert-sign",
            "issuer-without-key-cert-sign-uncritical",
            "issuer-without-key-cert-sign-and-expired",
            "root-without-key-cert-sign",
            "root-without-key-cert-sign-uncritical",
            "root-with-digital-signature-only",
        ],
        [Refuses, Refuses, Refuses, WINDOWS, Refuses],
    ),
    row(
        "The basic constraints of the root say that it is not a CA",
        &["root-is-no-authority"],
        [Refuses, Refuses, Refuses, WINDOWS, Refuses],
    ),
    row(
        "The path length constraint of the root is exceeded",
        &["root-allows-no-intermediate", "root-allows-one-of-two"],
        [Refuses, Refuses, Refuses, WINDOWS, Accepts],
    ),
    row(
        "The root has a critical extension that no sender recognizes",
        &["root-with-an-unknown-critical-extension"],
        [Refuses, Refuses, Refuses, WINDOWS, Accepts],
    ),
    row(
        "Something that is not a certificate is sent after the chain",
        &["noise-after-the-chain", "noise-beside", "noise-beside-and-expired"],
        [Refuses, Refuses, Refuses, LINUX, Refuses],
    ),
    row(
        "The server certificate is self-signed, and the trust store has another one with the same name and key",
        &["trusted-self-signed-reissued", "trusted-self-signed-authority-reissued-after-expiry"],
        [Refuses, Refuses, Refuses, LINUX, Varies],
    ),
    // What some senders refuse.
    row(
        "The keyUsage of the server certificate has none of digitalSignature, keyEncipherment and keyAgreement",
        &[
            "key-usage-cert-sign-only",
            "key-usage-cert-sign-and-crl-sign",
            "key-usage-crl-sign-only",
            "key-usage-data-encipherment-only",
            "key-usage-non-repudiation-only",
        ],
        [Refuses, Refuses, Accepts, Unknown, Refuses],
    ),
    row(
        "As before, and the server certificate is self-signed and in the trust store",
        &[
            "trusted-self-signed-authority-for-signing-certificates",
            "trusted-self-signed-key-cert-sign-only",
            "trusted-root-presented-as-leaf",
        ],
        [Refuses, Refuses, Accepts, Unknown, Accepts],
    ),
    row(
        "The keyUsage of the server certificate is empty",
        &["key-usage-empty"],
        [Refuses, Accepts, Accepts, LINUX, Refuses],
    ),
    row(
        "The keyUsage of an intermediate or of the root is empty",
        &["issuer-key-usage-empty", "root-key-usage-empty"],
        [Refuses, Refuses, Accepts, LINUX, Refuses],
    ),
    row(
        "The keyUsage of the server certificate has keyEncipherment or keyAgreement, but not digitalSignature",
        &[
            "key-usage-encipherment-only",
            "key-usage-encipherment-only-uncritical",
            "key-usage-agreement-only",
            "key-usage-agreement-only-p384",
        ],
        [Accepts, Refuses, Accepts, Unknown, Refuses],
    ),
    row(
        "As before, and the server certificate is self-signed and in the trust store",
        &["trusted-self-signed-without-key-cert-sign"],
        [Accepts, Refuses, Accepts, Unknown, Accepts],
    ),
    row(
        "The key identifier in an authority key identifier is not that of the issuer",
        &["identifier-differs", "identifier-shorter", "identifier-of-the-root-differs"],
        [Refuses, Refuses, Accepts, LINUX, Varies],
    ),
    row(
        "The issuer or serial number in an authority key identifier is not that of the issuer's certificate",
        &["issuer-and-serial-differ-in-the-issuer", "issuer-and-serial-differ-in-the-serial"],
        [Refuses, Accepts, Accepts, LINUX, Accepts],
    ),
    row(
        "The authority key identifier of a self-signed root or of a trusted server certificate is not its own",
        &["root-identifier-differs-from-itself", "trusted-self-signed-identifier-differs"],
        [Refuses, Accepts, Accepts, LINUX, Accepts],
    ),
    row(
        "A serial number is negative",
        &[
            "serial-negative",
            "serial-negative-one",
            "serial-of-the-issuer-negative",
            "serial-of-a-stray-negative",
            "root-serial-negative",
            "trusted-self-signed-serial-negative",
        ],
        [Accepts, Accepts, RefusesSince(23), Unknown, Accepts],
    ),
    row(
        "A serial number is not encoded in DER: it is empty or padded",
        &["serial-of-no-octets", "serial-padded"],
        [Refuses, Accepts, Refuses, LINUX, Varies],
    ),
    row(
        "A serial number has more than 20 octets, which clients need not support (RFC 5280 §4.1.2.2)",
        &["serial-of-twenty-one-octets", "serial-of-forty-octets", "serial-of-the-issuer-of-forty-octets"],
        [Accepts, Accepts, Accepts, Unknown, Accepts],
    ),
    row(
        "A subject alternative name is not ASCII, or an IP address of five octets",
        &["name-as-a-u-label", "name-behind-a-u-label", "name-behind-an-address-of-five-octets"],
        [Accepts, Accepts, Refuses, Unknown, Accepts],
    ),
    row(
        "A subject alternative name is an IPv4-mapped IPv6 address",
        &["address-mapped"],
        [Accepts, Accepts, RefusesSince(27), Unknown, Accepts],
    ),
    row(
        "A subject alternative name is an empty DNS name",
        &["name-behind-an-empty-one"],
        [Accepts, Refuses, Accepts, Unknown, Accepts],
    ),
    row(
        "The common name of a server certificate without DNS names violates name constraints",
        &["common-name-not-permitted"],
        [Refuses, Refuses, Accepts, LINUX, Refuses],
    ),
    row(
        "The trust store has an intermediate of the path but not the root above it (OpenSSL needs \
         `X509_V_FLAG_PARTIAL_CHAIN`)",
        &["root-is-an-intermediate", "root-is-an-intermediate-not-presented"],
        [Refuses, Accepts, Accepts, LINUX, Accepts],
    ),
    row(
        "The root has a keyUsage but no basic constraints",
        &["root-without-basic-constraints"],
        [Accepts, Accepts, Refuses, Unknown, Refuses],
    ),
    row(
        "The root has version 3 and no extensions",
        &["root-without-extensions"],
        [Refuses, Accepts, Refuses, LINUX, Refuses],
    ),
    row(
        "The extended key usage of the root does not include serverAuth or anyExtendedKeyUsage",
        &["root-eku-client-only"],
        [Refuses, Accepts, Refuses, Unknown, Accepts],
    ),
    row(
        "The extended key usage of the root is anyExtendedKeyUsage",
        &["root-eku-any-only"],
        [Refuses, Accepts, Accepts, Unknown, Accepts],
    ),
    row(
        "The root has a critical extension that must not be critical, such as a key identifier",
        &["root-with-a-critical-identifier", "root-with-a-critical-information-access"],
        [Refuses, Accepts, RefusesSince(24), LINUX, Accepts],
    ),
    row(
        "The root has a critical inhibitAnyPolicy",
        &["root-inhibits-any-policy"],
        [Accepts, Accepts, AcceptsSince(24), Unknown, Accepts],
    ),
    row(
        "The first issuer that is presented, of several with the same name, is expired while another one is valid",
        &["expired-intermediate-beside-a-fresh-one"],
        [Accepts, Refuses, Accepts, Unknown, Accepts],
    ),
    row(
        "The first issuer that is presented, of several with the same name, leads to no valid root, has another key, or may \
         not issue certificates",
        &[
            "crossed-first-path-dead",
            "intermediate-crossed-by-an-expired-root-first",
            "intermediate-of-the-same-name-with-another-key",
            "issuer-without-key-cert-sign-beside-another",
            "crowded-in-between",
        ],
        [Refuses, Refuses, Accepts, LINUX, Accepts],
    ),
    row(
        "The first root of several with the same name in the trust store has another key, has expired while another path is \
         valid, or may not issue certificates",
        &["two-roots-of-the-same-name", "root-expired-but-crossed", "root-without-key-cert-sign-and-reissued"],
        [Refuses, Accepts, Accepts, LINUX, Accepts],
    ),
    row(
        "The server certificate is self-signed and in the trust store, after another one with the same name",
        &[
            "trusted-self-signed-after-another",
            "trusted-self-signed-authority-after-another",
            "trusted-self-signed-after-one-with-another-key",
        ],
        [Refuses, Accepts, Accepts, LINUX, Accepts],
    ),
    row(
        "More than 16 certificates are presented",
        &["seventeen-certificates", "crowded", "overcrowded-but-found"],
        [Accepts, Refuses, Accepts, Unknown, Accepts],
    ),
    // What the exporter refuses and some senders accept.
    row(
        "The server certificate is a CA certificate",
        &["leaf-is-an-authority"],
        [Accepts, Accepts, Accepts, Unknown, Accepts],
    ),
    row(
        "The server certificate is a CA certificate whose keyUsage has keyCertSign and cRLSign only",
        &["intermediate-first"],
        [Refuses, Refuses, Accepts, Unknown, Refuses],
    ),
    row(
        "The server certificate is in the trust store, but is not self-signed",
        &["leaf-among-the-roots", "trusted-authority-not-self-signed"],
        [Refuses, Accepts, Accepts, LINUX, Accepts],
    ),
    row(
        "The server certificate is in the trust store and has its own name as issuer, but is not signed with its own key",
        &["trusted-authority-self-issued-by-another-key", "trusted-self-signed-signature-bad"],
        [Accepts, Accepts, Accepts, Unknown, Accepts],
    ),
    row(
        "The server certificate is a self-signed CA certificate, and the trust store has another one with the same name and \
         key",
        &["trusted-self-signed-authority-reissued"],
        [Refuses, Accepts, Refuses, LINUX, Accepts],
    ),
    row(
        "A self-signed server certificate in the trust store has an unknown critical extension",
        &["trusted-self-signed-authority-with-a-critical-extension"],
        [Refuses, Accepts, Refuses, LINUX, Accepts],
    ),
    row(
        "A subject key identifier is critical",
        &["issuer-subject-key-identifier-critical"],
        [Refuses, Accepts, RefusesSince(24), LINUX, Refuses],
    ),
    row(
        "An intermediate has a critical inhibitAnyPolicy",
        &["issuer-inhibits-any-policy"],
        [Accepts, Accepts, AcceptsSince(24), Unknown, Accepts],
    ),
    row(
        "The server certificate or an intermediate has critical certificate policies",
        &["policies-critical", "issuer-policies-critical"],
        [Accepts, Accepts, Accepts, Unknown, Accepts],
    ),
    row(
        "The extended key usage of the server certificate is anyExtendedKeyUsage without serverAuth",
        &["eku-any-only", "eku-server-and-any"],
        [Refuses, Accepts, Accepts, Unknown, Accepts],
    ),
    row(
        "The extended key usage of the server certificate is empty",
        &["eku-empty"],
        [Refuses, Accepts, Accepts, Unknown, Refuses],
    ),
    row(
        "The extended key usage of an intermediate is anyExtendedKeyUsage",
        &["issuer-eku-any-only"],
        [Refuses, Refuses, Accepts, Unknown, Accepts],
    ),
    row(
        "The certificate is not of version 3",
        &["version-1", "version-2", "trusted-self-signed-version-1"],
        [Accepts, Accepts, Accepts, Unknown, Accepts],
    ),
    row(
        "A certificate has a unique identifier (RFC 5280 §4.1.2.8), or is valid from before 1970",
        &["unique-id", "issuer-with-unique-id", "begun-in-1960"],
        [Accepts, Accepts, Accepts, Unknown, Accepts],
    ),
    row(
        "A time of the server certificate has no seconds",
        &["times-in-utc-without-seconds"],
        [Refuses, Accepts, Accepts, LINUX, Accepts],
    ),
    row(
        "A time of the server certificate has an offset instead of Z",
        &["times-in-utc-with-an-offset"],
        [Refuses, Refuses, Accepts, LINUX, Accepts],
    ),
    row(
        "An RSA key has 1024 bits",
        &[
            "key-rsa-1024",
            "issuer-key-rsa-1024",
            "root-key-rsa-1024",
            "root-key-rsa-1024-signs-directly",
            "trusted-self-signed-authority-rsa-1024",
        ],
        [Refuses, Accepts, Accepts, Unknown, Accepts],
    ),
    row(
        "The issuer's RSA key has more than 8192 bits",
        &["issuer-key-rsa-8448"],
        [Accepts, Accepts, RefusesSince(24), Unknown, Accepts],
    ),
    row("A signature is made with SHA-224", &["signature-sha224"], [Accepts, Accepts, Refuses, Unknown, Accepts]),
    row("The issuer's key is on secp256k1", &["issuer-key-secp256k1"], [Accepts, Refuses, Refuses, Unknown, Refuses]),
    row(
        "A mask in IP address constraints has a gap",
        &["address-mask-with-a-gap"],
        [Accepts, Refuses, Refuses, Unknown, Refuses],
    ),
    row(
        "Name constraints are on directory names",
        &["directory-permitted"],
        [Accepts, Accepts, Refuses, Unknown, Accepts],
    ),
    row(
        "IP address constraints are on another address family, or a constraint has a trailing dot",
        &["address6-not-permitted-by-range-of-ipv4", "name-constraint-with-a-trailing-dot"],
        [Refuses, Accepts, Refuses, LINUX, Refuses],
    ),
    row(
        "There are more names and name constraints than webpki compares (250,000)",
        &["more-constraints-than-are-compared"],
        [Accepts, Accepts, AcceptsSince(27), Unknown, Accepts],
    ),
    row(
        "The path has seven to ten intermediates",
        &["seven-intermediates", "ten-intermediates"],
        [Accepts, Accepts, Accepts, Unknown, Accepts],
    ),
    row("The path has forty intermediates", &["forty-intermediates"], [Accepts, Refuses, Accepts, Unknown, Accepts]),
    row(
        "The issuer is presented after 70 others of the same name",
        &["overcrowded-and-not-found"],
        [Refuses, Refuses, Accepts, LINUX, Accepts],
    ),
];
