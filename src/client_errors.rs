//! Error messages of mail clients: what .NET with MailKit, OpenSSL, Postfix and Go print for each reason of this
//! exporter, so that you can find the verdict for an error message, and the error message for a verdict.
//!
//! Clients differ in what they accept: [`ClientError::accepts`] says when a client accepts what this exporter rejects.
//!
//! Sources: OpenSSL 3.0.19 (`s_client`, `verify`) and Postfix 3.7.11 (`posttls-finger -l secure`), run against such
//! chains and handshakes; for `distrusted`, `too_complex`, `unsupported_algorithm` and revocation, and for Postfix without
//! STARTTLS (`smtp_proto.c`), their source code. The
//! flags of .NET are those to which its chain builder on Linux maps OpenSSL's codes, or else those of Windows. The texts
//! of Go are those of `crypto/x509` and `crypto/tls`. Text in angle brackets varies.

use serde::Serialize;

use crate::reason::{ChainReason, NameReason, OcspReason, ProbeReason};

/// A reason with everything that outputs print about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The value in labels, logs and JSON.
    pub reason: &'static str,
    /// One sentence.
    pub meaning: &'static str,
    /// None if clients do not notice it, or report nothing characteristic.
    pub client_errors: Option<ClientErrors>,
}

/// Implements the conversion from a type of reasons, with the function that returns the client errors.
macro_rules! finding_from {
    ($($reason:ident: $client_errors:expr;)+) => { $(
        impl From<$reason> for Finding {
            fn from(reason: $reason) -> Self {
                let client_errors = $client_errors(reason).into();
                Self { reason: reason.as_str(), meaning: reason.doc(), client_errors }
            }
        }
    )+ };
}

finding_from! { ChainReason: for_chain; NameReason: for_name; OcspReason: for_ocsp; ProbeReason: for_probe; }

/// The errors of each of the four clients for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClientErrors {
    /// `SslPolicyErrors`, then the `X509ChainStatusFlags` of the chain, or an exception if there are none. MailKit
    /// accepts only `SslPolicyErrors.None`.
    pub dotnet: ClientError,
    /// Output of `openssl s_client` and `openssl verify`, at security level 1 by default.
    pub openssl: ClientError,
    /// Log of the SMTP client at the security levels `verify` and `secure`, then the delivery status. At `may` and
    /// `encrypt` it delivers regardless of the certificate.
    pub postfix: ClientError,
    /// Errors of `crypto/x509` and `crypto/tls`.
    pub go: ClientError,
}

/// The errors of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClientError {
    /// Each possible text, in order; empty if the client never reports an error.
    pub texts: &'static [&'static str],
    /// When the client accepts what this exporter rejects, as a clause after "accepts it"; none if never.
    pub accepts: Option<&'static str>,
}

impl ClientErrors {
    /// Returns the four clients with their names, in display order.
    pub const fn clients(&self) -> [(&'static str, ClientError); 4] {
        [(".NET/MailKit", self.dotnet), ("OpenSSL", self.openssl), ("Postfix", self.postfix), ("Go", self.go)]
    }
}

/// One row: for each client its texts and, after `=>`, when it accepts what this exporter rejects. Clients that are not
/// listed are those of the base after `..`.
macro_rules! errors {
    ($( ..$base:expr; )? $( $client:ident: $texts:expr $(=> $accepts:expr)?; )+) => {
        ClientErrors {
            $( $client: ClientError { texts: &$texts, accepts: errors!(@accepts $($accepts)?) }, )+ $( ..$base )?
        }
    };
    (@accepts) => { None };
    (@accepts $accepts:expr) => { Some($accepts) };
}

/// Returns the client errors for a chain that is not valid for this reason.
pub const fn for_chain(reason: ChainReason) -> ClientErrors {
    match reason {
        ChainReason::Expired => EXPIRED,
        ChainReason::NotYetValid => errors! {
            ..EXPIRED;
            openssl: ["verify error:num=9:certificate is not yet valid"];
            postfix: ["server certificate verification failed for <server>: certificate not yet valid", NOT_VERIFIED];
            go: ["x509: certificate has expired or is not yet valid: current time <now> is before <notBefore>"];
        },
        ChainReason::BadValidity => errors! {
            ..EXPIRED;
            openssl: ["verify error:num=10:certificate has expired", "verify error:num=9:certificate is not yet valid"];
            go: ["x509: certificate has expired or is not yet valid: <times>"];
        },
        ChainReason::SelfSigned => errors! {
            ..UNKNOWN_ISSUER;
            dotnet: [CHAIN_ERRORS, "UntrustedRoot"];
            openssl: ["verify error:num=18:self-signed certificate"];
            postfix: ["certificate verification failed for <server>: self-signed certificate", NOT_VERIFIED];
        },
        ChainReason::UnknownIssuer => UNKNOWN_ISSUER,
        ChainReason::MissingIntermediate => errors! {
            ..UNKNOWN_ISSUER;
            dotnet: [CHAIN_ERRORS, "PartialChain"]
                => "if it can download the issuer from the URL in the certificate, or has it in a local store";
            openssl: [
                "verify error:num=20:unable to get local issuer certificate",
                "verify error:num=21:unable to verify the first certificate",
            ];
        },
        ChainReason::NotACa => errors! {
            dotnet: [CHAIN_ERRORS, "InvalidBasicConstraints", "NotValidForUsage"];
            openssl: [
                "verify error:num=79:invalid CA certificate",
                "verify error:num=26:unsuitable certificate purpose",
            ];
            postfix: POSTFIX_INVALID_CA;
            go: [
                "x509: certificate is not authorized to sign other certificates",
                "x509: certificate signed by unknown authority \
                 (possibly because of \"x509: invalid signature: parent certificate cannot sign this kind of \
                 certificate\" while trying to verify candidate authority certificate \"<issuer>\")",
            ];
        },
        ChainReason::CaAsEndEntity => errors! {
            dotnet: [CHAIN_ERRORS, "NotValidForUsage"] => WITH_KEY_USAGE;
            openssl: ["verify error:num=26:unsuitable certificate purpose"] => WITH_KEY_USAGE;
            postfix: [
                "certificate verification failed for <server>: not designated for use as a server certificate",
                NOT_VERIFIED,
            ] => WITH_KEY_USAGE;
            go: [] => "always";
        },
        ChainReason::WeakKey => errors! {
            dotnet: [CHAIN_ERRORS, "HasWeakSignature"] => AT_LEAST_1024_BITS;
            openssl: [
                "verify error:num=66:EE certificate key too weak",
                "verify error:num=67:CA certificate key too weak",
            ] => "if the key has at least 1024 bits and the security level is below 2";
            postfix: [] => AT_LEAST_1024_BITS;
            go: ["crypto/rsa: <bits>-bit keys are insecure"] => AT_LEAST_1024_BITS;
        },
        ChainReason::BadSignature => errors! {
            dotnet: [CHAIN_ERRORS, "NotSignatureValid"];
            openssl: ["verify error:num=7:certificate signature failure"];
            postfix: [
                "server certificate verification failed for <server>: num=7:certificate signature failure",
                "CA certificate verification failed for <server>: num=7:certificate signature failure",
                NOT_VERIFIED,
            ];
            go: ["x509: certificate signed by unknown authority (possibly because of \"<failure>\" \
                 while trying to verify candidate authority certificate \"<issuer>\")"];
        },
        ChainReason::WeakSignatureAlgorithm => errors! {
            dotnet: [CHAIN_ERRORS, "HasWeakSignature"] => "for SHA-1, unless the system's policy forbids it";
            openssl: ["verify error:num=68:CA signature digest algorithm too weak"] => "at security level 0";
            postfix: [
                "server certificate verification failed for <server>: num=68:CA signature digest algorithm too weak",
                NOT_VERIFIED,
            ];
            go: ["x509: certificate signed by unknown authority \
                 (possibly because of \"x509: cannot verify signature: insecure algorithm SHA1-RSA\" \
                 while trying to verify candidate authority certificate \"<issuer>\")"];
        },
        ChainReason::UnsupportedAlgorithm => errors! {
            dotnet: [CHAIN_ERRORS, "NotSignatureValid"] => "if the system supports the algorithm";
            openssl: [
                "verify error:num=7:certificate signature failure",
                "verify error:num=6:unable to decode issuer public key",
            ] => "if it supports the algorithm, such as secp256k1, Ed448 or DSA";
            postfix: [
                "server certificate verification failed for <server>: num=7:certificate signature failure",
                NOT_VERIFIED,
            ] => IF_ITS_OPENSSL_DOES;
            go: ["x509: certificate signed by unknown authority \
                 (possibly because of \"x509: cannot verify signature: algorithm unimplemented\" \
                 while trying to verify candidate authority certificate \"<issuer>\")"];
        },
        ChainReason::MissingEku => errors! {
            dotnet: [CHAIN_ERRORS, "NotValidForUsage"];
            openssl: ["verify error:num=26:unsuitable certificate purpose"];
            postfix: [
                "certificate verification failed for <server>: not designated for use as a server certificate",
                "certificate verification failed for <server>: not designated for use as a CA certificate",
                NOT_VERIFIED,
            ];
            go: ["x509: certificate specifies an incompatible key usage"] => "if the usage is anyExtendedKeyUsage";
        },
        ChainReason::NameConstraints => errors! {
            dotnet: [
                CHAIN_ERRORS,
                "HasNotPermittedNameConstraint",
                "HasExcludedNameConstraint",
                "InvalidNameConstraints",
            ];
            openssl: [
                "verify error:num=47:permitted subtree violation",
                "verify error:num=48:excluded subtree violation",
            ];
            postfix: [
                "server certificate verification failed for <server>: num=47:permitted subtree violation",
                "server certificate verification failed for <server>: num=48:excluded subtree violation",
                NOT_VERIFIED,
            ];
            go: ["x509: a root or intermediate certificate is not authorized to sign for this name: <name>"];
        },
        ChainReason::PathTooLong => errors! {
            dotnet: [CHAIN_ERRORS, "InvalidBasicConstraints"] => WITHIN_CA_LIMITS;
            openssl: ["verify error:num=25:path length constraint exceeded"] => WITHIN_CA_LIMITS;
            postfix: [
                "CA certificate verification failed for <server>: num=25:path length constraint exceeded",
                POSTFIX_DEPTH,
                NOT_VERIFIED,
            ] => WITHIN_CA_LIMITS;
            go: ["x509: too many intermediates for path length constraint"] => WITHIN_CA_LIMITS;
        },
        ChainReason::TooComplex => errors! {
            dotnet: [] => "if it finds a path in time";
            openssl: ["verify error:num=22:certificate chain too long"]
                => "if it finds a path, which can take a long time";
            postfix: [POSTFIX_DEPTH, NOT_VERIFIED] => "if its OpenSSL finds a path";
            go: ["x509: signature check attempts limit reached while verifying certificate chain"]
                => "if it finds a path within 100 signature checks";
        },
        ChainReason::Distrusted => errors! {
            dotnet: [CHAIN_ERRORS, "ExplicitDistrust"];
            openssl: ["verify error:num=28:certificate rejected"];
            postfix: ["CA certificate verification failed for <server>: num=28:certificate rejected", NOT_VERIFIED];
            go: [GO_UNKNOWN_AUTHORITY] => "if the root is in the system's certificate files";
        },
        ChainReason::UnsupportedVersion => errors! {
            dotnet: [CHAIN_ERRORS, "InvalidBasicConstraints"] => ON_SERVER_CERTIFICATE;
            openssl: ["verify error:num=79:invalid CA certificate"] => ON_SERVER_CERTIFICATE;
            postfix: POSTFIX_INVALID_CA => ON_SERVER_CERTIFICATE;
            go: ["x509: certificate is not authorized to sign other certificates"] => ON_SERVER_CERTIFICATE;
        },
        ChainReason::CriticalExtension => errors! {
            dotnet: [CHAIN_ERRORS, "HasNotSupportedCriticalExtension"] => PROCESSES_EXTENSION;
            openssl: ["verify error:num=34:unhandled critical extension"] => PROCESSES_EXTENSION;
            postfix: [
                "server certificate verification failed for <server>: num=34:unhandled critical extension",
                "CA certificate verification failed for <server>: num=34:unhandled critical extension",
                NOT_VERIFIED,
            ] => PROCESSES_EXTENSION;
            go: ["x509: unhandled critical extension"] => PROCESSES_EXTENSION;
        },
        ChainReason::Malformed => errors! {
            ..HANDSHAKE;
            openssl: [
                "error:0A08000D:SSL routines:tls_process_server_certificate:ASN1 lib",
                "error:0A000087:SSL routines:tls_process_server_certificate:cert length mismatch",
            ] => "if the malformed part is in an extension that it does not parse";
            postfix: POSTFIX_HANDSHAKE => IF_ITS_OPENSSL_DOES;
            go: ["tls: failed to parse certificate from server: x509: malformed certificate"];
        },
        ChainReason::KeyProofFailed => errors! {
            ..HANDSHAKE;
            openssl: [
                "error:0A00007B:SSL routines:tls_process_cert_verify:bad signature",
                "error:0A00007B:SSL routines:tls_process_key_exchange:bad signature",
            ];
            go: ["tls: invalid signature by the server certificate: <failure>"];
        },
    }
}

/// Returns the client errors for a certificate that does not match the server name for this reason.
pub const fn for_name(reason: NameReason) -> ClientErrors {
    match reason {
        NameReason::NotListed => errors! {
            ..NAME;
            openssl: [OPENSSL_NAME] => "if a wildcard for a part of a label matches (`m*.example.com`)";
        },
        NameReason::WildcardDepth => NAME,
        NameReason::CnOnly => errors! {
            dotnet: DOTNET_NAME => WITHOUT_DNS_SAN;
            openssl: [OPENSSL_NAME] => WITHOUT_DNS_SAN;
            postfix: POSTFIX_NAME => WITHOUT_DNS_SAN;
            go: ["x509: certificate relies on legacy Common Name field, use SANs instead", GO_NAME];
        },
        NameReason::NoSan => errors! {
            ..NAME;
            go: ["x509: certificate is not valid for any names, but wanted to match <name>"];
        },
        NameReason::IpReference => errors! {
            ..NAME;
            openssl: ["verify error:num=64:IP address mismatch"];
            go: [
                "x509: cannot validate certificate for <address> because it doesn't contain any IP SANs",
                "x509: certificate is valid for <presented>, not <address>",
            ];
        },
    }
}

/// Returns the client errors for a stapled OCSP response that is not valid for this reason. Most clients ignore it.
pub const fn for_ocsp(reason: OcspReason) -> ClientErrors {
    match reason {
        OcspReason::StapleMissing | OcspReason::StapleStale | OcspReason::StapleInvalid => errors! {
            ..ACCEPTED;
            dotnet: [CHAIN_ERRORS, "RevocationStatusUnknown", "OfflineRevocation"]
                => "if it does not check revocation, or gets the status from another source";
            openssl: [] => "always, and prints the response with `-status`";
        },
        OcspReason::Revoked => errors! {
            ..ACCEPTED;
            dotnet: [CHAIN_ERRORS, "Revoked"] => "if it does not check revocation";
            openssl: ["verify error:num=23:certificate revoked"]
                => "unless `-crl_check` is set and a CRL lists the certificate, too";
        },
    }
}

/// Returns the client errors for a probe that failed for this reason; none if no characteristic error is known.
pub const fn for_probe(reason: ProbeReason) -> Option<ClientErrors> {
    Some(match reason {
        ProbeReason::NoCertificate => errors! {
            ..HANDSHAKE;
            dotnet: ["RemoteCertificateNotAvailable", "The SSL certificate for the server was not available."];
            openssl: [
                "no peer certificate available",
                "error:0A00009F:SSL routines:tls_process_server_certificate:length mismatch",
            ];
            go: ["tls: received empty certificates message"];
        },
        ProbeReason::TlsVersion => errors! {
            ..HANDSHAKE;
            openssl: [
                "error:0A000102:SSL routines:ssl_choose_client_version:unsupported protocol",
                "error:0A00014D:SSL routines:tls_process_key_exchange:legacy sigalg disallowed or unsupported",
            ] => "at security level 0";
            postfix: POSTFIX_HANDSHAKE => "if its OpenSSL does, unless `smtp_tls_protocols` forbids it";
            go: [
                "tls: server selected unsupported protocol version <version>",
                "remote error: tls: protocol version not supported",
            ];
        },
        ProbeReason::NoCommonParams => errors! {
            dotnet: DOTNET_HANDSHAKE => "if the system allows legacy parameters";
            openssl: [OPENSSL_HANDSHAKE_FAILURE] => "if it is configured to allow legacy parameters";
            postfix: POSTFIX_HANDSHAKE => "if its OpenSSL allows legacy parameters";
            go: [GO_HANDSHAKE_FAILURE] => "if it still offers RSA key exchange or CBC";
        },
        ProbeReason::ClientCertificateRequired => errors! {
            ..HANDSHAKE;
            openssl: [
                "error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required",
                OPENSSL_HANDSHAKE_FAILURE,
            ];
            postfix: [
                "TLS library problem: error:0A00045C:SSL routines::tlsv13 alert certificate required",
                "lost connection with <server> while <command>",
                "TLS library problem: error:0A000410:SSL routines::sslv3 alert handshake failure",
            ];
            go: ["remote error: tls: certificate required", GO_HANDSHAKE_FAILURE];
        },
        ProbeReason::ClientCertificateRejected => errors! {
            ..HANDSHAKE;
            openssl: [
                "error:0A000418:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca",
                "error:0A000415:SSL routines:ssl3_read_bytes:sslv3 alert certificate expired",
                "error:0A000412:SSL routines:ssl3_read_bytes:sslv3 alert bad certificate",
            ] => "with a client certificate that the server accepts";
            postfix: [
                "TLS library problem: error:0A000418:SSL routines::tlsv1 alert unknown ca",
                "TLS library problem: error:0A000415:SSL routines::sslv3 alert certificate expired",
                "lost connection with <server> while <command>",
            ] => "with a client certificate that the server accepts";
            go: [
                "remote error: tls: unknown certificate authority",
                "remote error: tls: expired certificate",
                "remote error: tls: bad certificate",
            ] => "with a client certificate that the server accepts";
        },
        ProbeReason::UnrecognizedName => errors! {
            ..HANDSHAKE;
            openssl: ["error:0A000458:SSL routines:ssl3_read_bytes:tlsv1 unrecognized name"];
            postfix: POSTFIX_HANDSHAKE => "at security levels without DANE, where it sends no SNI by default";
            go: ["remote error: tls: unrecognized name"];
        },
        ProbeReason::NotTls => errors! {
            ..HANDSHAKE;
            dotnet: ["Cannot determine the frame size or a corrupted frame was received."];
            openssl: ["error:0A00010B:SSL routines:ssl3_get_record:wrong version number"];
            go: ["tls: first record does not look like a TLS handshake"];
        },
        ProbeReason::StartTlsNotOffered => errors! {
            dotnet: ["The SMTP server does not support the STARTTLS extension."]
                => "in plaintext, with `StartTlsWhenAvailable`";
            openssl: ["Didn't find STARTTLS in server response, trying anyway..."];
            postfix: ["TLS is required, but was not offered by host <server>"]
                => "in plaintext, at security level `may`";
            go: [] => "in plaintext, with `smtp.SendMail`";
        },
        ProbeReason::StartTlsRefused => errors! {
            dotnet: ["<reply>"];
            openssl: ["error:0A00010B:SSL routines:ssl3_get_record:wrong version number"];
            postfix: ["TLS is required, but host <server> refused to start TLS: <reply>"]
                => "in plaintext, at security level `may`";
            go: ["<reply>"];
        },
        ProbeReason::Refused
        | ProbeReason::Unreachable
        | ProbeReason::Reset
        | ProbeReason::Eof
        | ProbeReason::Timeout
        | ProbeReason::Rejected4xx
        | ProbeReason::Rejected5xx
        | ProbeReason::MalformedReply
        | ProbeReason::ReplyTooLarge
        | ProbeReason::PlaintextAfterStartTls
        | ProbeReason::TlsAlert
        | ProbeReason::ChainTooLarge
        | ProbeReason::ProtocolViolation => return None,
    })
}

const ACCEPTED: ClientErrors =
    errors! { dotnet: [] => "always"; openssl: [] => "always"; postfix: [] => "always"; go: [] => "always"; };
const EXPIRED: ClientErrors = errors! {
    dotnet: [CHAIN_ERRORS, "NotTimeValid"];
    openssl: ["verify error:num=10:certificate has expired"];
    postfix: [
        "server certificate verification failed for <server>: certificate has expired",
        "CA certificate verification failed for <server>: certificate has expired",
        NOT_VERIFIED,
    ];
    go: ["x509: certificate has expired or is not yet valid: current time <now> is after <notAfter>"];
};
/// The clients that print the same for any failed handshake.
const HANDSHAKE: ClientErrors = errors! { dotnet: DOTNET_HANDSHAKE; openssl: []; postfix: POSTFIX_HANDSHAKE; go: []; };
const NAME: ClientErrors =
    errors! { dotnet: DOTNET_NAME; openssl: [OPENSSL_NAME]; postfix: POSTFIX_NAME; go: [GO_NAME]; };
const UNKNOWN_ISSUER: ClientErrors = errors! {
    dotnet: [CHAIN_ERRORS, "UntrustedRoot", "PartialChain"];
    openssl: [
        "verify error:num=19:self-signed certificate in certificate chain",
        "verify error:num=20:unable to get local issuer certificate",
        "verify error:num=21:unable to verify the first certificate",
    ];
    postfix: ["certificate verification failed for <server>: untrusted issuer <issuer>", NOT_VERIFIED];
    go: [GO_UNKNOWN_AUTHORITY];
};

const AT_LEAST_1024_BITS: &str = "if the key has at least 1024 bits";
const IF_ITS_OPENSSL_DOES: &str = "if its OpenSSL does";
const ON_SERVER_CERTIFICATE: &str = "on the server certificate";
const PROCESSES_EXTENSION: &str = "if it processes the extension, such as certificatePolicies";
const WITHIN_CA_LIMITS: &str = "if the path is within the limits that its CAs set";
const WITH_KEY_USAGE: &str = "if it has no keyUsage, or one with digitalSignature, keyEncipherment or keyAgreement";
const WITHOUT_DNS_SAN: &str = "if the certificate lists no DNS names (SAN)";

const CHAIN_ERRORS: &str = "RemoteCertificateChainErrors";
const DOTNET_HANDSHAKE: [&str; 1] = ["AuthenticationException"];
const DOTNET_NAME: [&str; 2] =
    ["RemoteCertificateNameMismatch", "The host name did not match the name given in the server's SSL certificate."];

const OPENSSL_HANDSHAKE_FAILURE: &str = "error:0A000410:SSL routines:ssl3_read_bytes:sslv3 alert handshake failure";
const OPENSSL_NAME: &str = "verify error:num=62:hostname mismatch";

const NOT_VERIFIED: &str = "Server certificate not verified";
const POSTFIX_DEPTH: &str =
    "certificate verification failed for <server>: certificate chain longer than limit(<depth>)";
const POSTFIX_HANDSHAKE: [&str; 3] = [
    "SSL_connect error to <server>: -1",
    "TLS library problem: <error of OpenSSL>",
    "Cannot start TLS: handshake failure",
];
const POSTFIX_INVALID_CA: [&str; 2] =
    ["CA certificate verification failed for <server>: num=79:invalid CA certificate", NOT_VERIFIED];
const POSTFIX_NAME: [&str; 2] =
    ["server certificate verification failed for <server>: num=62:hostname mismatch", NOT_VERIFIED];

const GO_HANDSHAKE_FAILURE: &str = "remote error: tls: handshake failure";
const GO_NAME: &str = "x509: certificate is valid for <presented>, not <name>";
const GO_UNKNOWN_AUTHORITY: &str = "x509: certificate signed by unknown authority";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reason: &str, errors: ClientErrors) {
        for (client, error) in errors.clients() {
            assert!(!error.texts.is_empty() || error.accepts.is_some(), "{reason}: {client} has no text");
            for text in error.texts.iter().copied().chain(error.accepts) {
                assert!(!text.is_empty() && text == text.trim(), "{reason}: {client}: {text:?}");
                // Long texts are continued over several lines in the source.
                assert!(!text.contains("  ") && !text.contains('\n'), "{reason}: {client}: {text:?}");
                assert_eq!(text.matches('<').count(), text.matches('>').count(), "{reason}: {client}: {text:?}");
            }
        }
    }

    #[test]
    fn every_reason_has_well_formed_client_errors() {
        ChainReason::ALL.iter().for_each(|reason| check(reason.as_str(), for_chain(*reason)));
        NameReason::ALL.iter().for_each(|reason| check(reason.as_str(), for_name(*reason)));
        OcspReason::ALL.iter().for_each(|reason| check(reason.as_str(), for_ocsp(*reason)));
        let probes = ProbeReason::ALL.iter().filter_map(|reason| Some((*reason, for_probe(*reason)?)));
        let probes: Vec<_> = probes.inspect(|(reason, errors)| check(reason.as_str(), *errors)).collect();
        assert!(probes.iter().any(|(reason, _)| *reason == ProbeReason::NoCertificate));
    }

    #[test]
    fn maps_each_verdict_to_one_dotnet_policy_error() {
        for reason in ChainReason::ALL {
            let texts = for_chain(*reason).dotnet.texts;
            let expected = matches!(texts, [] | [CHAIN_ERRORS, _, ..] | ["AuthenticationException"]);
            assert!(expected, "{reason}: {texts:?}");
        }
        for reason in NameReason::ALL {
            assert_eq!(for_name(*reason).dotnet.texts.first(), Some(&"RemoteCertificateNameMismatch"), "{reason}");
        }
    }
}
