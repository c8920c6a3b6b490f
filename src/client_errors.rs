//! The words of other programs: what .NET and MailKit, OpenSSL, Postfix and Go say where this exporter gives one of its
//! reasons, so that whoever searches for an error of theirs finds the verdict behind it, and the other way round.
//!
//! Some verdicts are not every client's: [`ClientError::accepts`] says which client takes what is refused here, and when.
//!
//! Sources: OpenSSL 3.0.19 (`s_client`, `verify`) and Postfix 3.7.11 (`posttls-finger -l secure`) were run on chains
//! and handshakes of these kinds, but for `distrusted`, `too_complex`, `unsupported_algorithm` and revocation, which
//! are from their sources. .NET's flags are those to which its chain builder on Linux maps OpenSSL's codes, and Windows'
//! where it has none. Go's texts are those of `crypto/x509` and `crypto/tls`. What stands in angle brackets varies.

use crate::reason::{ChainReason, NameReason, OcspReason, ProbeReason};

/// What each of the four clients says of one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientErrors {
    /// `SslPolicyErrors` first, then the `X509ChainStatusFlags` behind it; an exception where neither is reached.
    /// MailKit accepts `SslPolicyErrors.None` only.
    pub dotnet: ClientError,
    /// As `openssl s_client` and `openssl verify` print it, at security level 1 unless said otherwise.
    pub openssl: ClientError,
    /// As the SMTP client logs it at the levels `verify` and `secure`, then what stands in the delivery status. At
    /// `may` and `encrypt` it delivers whatever the certificate.
    pub postfix: ClientError,
    /// As errors of `crypto/x509` and `crypto/tls` read.
    pub go: ClientError,
}

/// What one client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientError {
    /// Each text that may be seen, in order; empty where the client never refuses.
    pub texts: &'static [&'static str],
    /// When the client accepts what is refused here, as words after "accepts it"; none where it always refuses.
    pub accepts: Option<&'static str>,
}

impl ClientErrors {
    /// The four in the order in which they are shown, each with its name.
    pub const fn clients(&self) -> [(&'static str, ClientError); 4] {
        [(".NET/MailKit", self.dotnet), ("OpenSSL", self.openssl), ("Postfix", self.postfix), ("Go", self.go)]
    }
}

impl ClientError {
    const fn refusing(texts: &'static [&'static str]) -> Self {
        Self { texts, accepts: None }
    }

    const fn accepting(when: &'static str) -> Self {
        Self { texts: &[], accepts: Some(when) }
    }

    const fn but_accepting(self, when: &'static str) -> Self {
        Self { accepts: Some(when), ..self }
    }
}

/// What others say of a chain that is not valid for this reason.
pub const fn for_chain(reason: ChainReason) -> ClientErrors {
    match reason {
        ChainReason::Expired => ClientErrors {
            dotnet: CHAIN_TIME,
            openssl: ClientError::refusing(&["verify error:num=10:certificate has expired"]),
            postfix: EXPIRED_POSTFIX,
            go: ClientError::refusing(&[
                "x509: certificate has expired or is not yet valid: current time <now> is after <notAfter>",
            ]),
        },
        ChainReason::NotYetValid => ClientErrors {
            dotnet: CHAIN_TIME,
            openssl: ClientError::refusing(&["verify error:num=9:certificate is not yet valid"]),
            postfix: ClientError::refusing(&[
                "server certificate verification failed for <server>: certificate not yet valid",
                NOT_VERIFIED,
            ]),
            go: ClientError::refusing(&[
                "x509: certificate has expired or is not yet valid: current time <now> is before <notBefore>",
            ]),
        },
        ChainReason::BadValidity => ClientErrors {
            dotnet: CHAIN_TIME,
            openssl: ClientError::refusing(&[
                "verify error:num=10:certificate has expired",
                "verify error:num=9:certificate is not yet valid",
            ]),
            postfix: EXPIRED_POSTFIX,
            go: ClientError::refusing(&["x509: certificate has expired or is not yet valid: <times>"]),
        },
        ChainReason::SelfSigned => ClientErrors {
            dotnet: ClientError::refusing(&[CHAIN_ERRORS, "UntrustedRoot"]),
            openssl: ClientError::refusing(&["verify error:num=18:self-signed certificate"]),
            postfix: ClientError::refusing(&[
                "certificate verification failed for <server>: self-signed certificate",
                NOT_VERIFIED,
            ]),
            go: UNKNOWN_AUTHORITY_GO,
        },
        ChainReason::UnknownIssuer => ClientErrors {
            dotnet: ClientError::refusing(&[CHAIN_ERRORS, "UntrustedRoot", "PartialChain"]),
            openssl: ClientError::refusing(&[
                "verify error:num=19:self-signed certificate in certificate chain",
                "verify error:num=20:unable to get local issuer certificate",
                "verify error:num=21:unable to verify the first certificate",
            ]),
            postfix: UNTRUSTED_ISSUER_POSTFIX,
            go: UNKNOWN_AUTHORITY_GO,
        },
        ChainReason::MissingIntermediate => ClientErrors {
            dotnet: ClientError::refusing(&[CHAIN_ERRORS, "PartialChain"])
                .but_accepting("where it can fetch the issuer from the address in the certificate, or has it stored"),
            openssl: ClientError::refusing(&[
                "verify error:num=20:unable to get local issuer certificate",
                "verify error:num=21:unable to verify the first certificate",
            ]),
            postfix: UNTRUSTED_ISSUER_POSTFIX,
            go: UNKNOWN_AUTHORITY_GO,
        },
        ChainReason::NotACa => ClientErrors {
            dotnet: ClientError::refusing(&[CHAIN_ERRORS, "InvalidBasicConstraints", "NotValidForUsage"]),
            openssl: ClientError::refusing(&[
                "verify error:num=79:invalid CA certificate",
                "verify error:num=26:unsuitable certificate purpose",
            ]),
            postfix: ClientError::refusing(&[
                "CA certificate verification failed for <server>: num=79:invalid CA certificate",
                NOT_VERIFIED,
            ]),
            go: ClientError::refusing(&[
                "x509: certificate is not authorized to sign other certificates",
                "x509: certificate signed by unknown authority \
                 (possibly because of \"x509: invalid signature: parent certificate cannot sign this kind of \
                 certificate\" while trying to verify candidate authority certificate \"<issuer>\")",
            ]),
        },
        ChainReason::CaAsEndEntity => ACCEPTED_BY_ALL,
        ChainReason::WeakKey => ClientErrors {
            dotnet: ClientError::refusing(&[CHAIN_ERRORS, "HasWeakSignature"]).but_accepting("from 1024 bits on"),
            openssl: ClientError::refusing(&[
                "verify error:num=66:EE certificate key too weak",
                "verify error:num=67:CA certificate key too weak",
            ])
            .but_accepting("from 1024 bits on, below security level 2"),
            postfix: ClientError::accepting("from 1024 bits on"),
            go: ClientError::refusing(&["crypto/rsa: <bits>-bit keys are insecure"]).but_accepting("from 1024 bits on"),
        },
        ChainReason::BadSignature => ClientErrors {
            dotnet: ClientError::refusing(&[CHAIN_ERRORS, "NotSignatureValid"]),
            openssl: ClientError::refusing(&["verify error:num=7:certificate signature failure"]),
            postfix: ClientError::refusing(&[
                "server certificate verification failed for <server>: num=7:certificate signature failure",
                "CA certificate verification failed for <server>: num=7:certificate signature failure",
                NOT_VERIFIED,
            ]),
            go: ClientError::refusing(&["x509: certificate signed by unknown authority \
                 (possibly because of \"<failure>\" \
                 while trying to verify candidate authority certificate \"<issuer>\")"]),
        },
        ChainReason::WeakSignatureAlgorithm => ClientErrors {
            dotnet: ClientError::refusing(&[CHAIN_ERRORS, "HasWeakSignature"])
                .but_accepting("on SHA-1, unless the system's policy forbids it"),
            openssl: ClientError::refusing(&["verify error:num=68:CA signature digest algorithm too weak"])
                .but_accepting("at security level 0"),
            postfix: ClientError::refusing(&[
                "server certificate verification failed for <server>: num=68:CA signature digest algorithm too weak",
                NOT_VERIFIED,
            ]),
            go: ClientError::refusing(&["x509: certificate signed by unknown authority \
                 (possibly because of \"x509: cannot verify signature: insecure algorithm SHA1-RSA\" \
                 while trying to verify candidate authority certificate \"<issuer>\")"]),
        },
        ChainReason::UnsupportedAlgorithm => ClientErrors {
            dotnet: ClientError::refusing(&[CHAIN_ERRORS, "NotSignatureValid"])
                .but_accepting("where the system knows it"),
            openssl: ClientError::refusing(&[
                "verify error:num=7:certificate signature failure",
                "verify error:num=6:unable to decode issuer public key",
            ])
            .but_accepting("where it knows the algorithm, as it does secp256k1, Ed448 and DSA"),
            postfix: ClientError::refusing(&[
                "server certificate verification failed for <server>: num=7:certificate signature failure",
                NOT_VERIFIED,
            ])
            .but_accepting("where its OpenSSL does"),
            go: ClientError::refusing(&["x509: certificate signed by unknown authority \
                 (possibly because of \"x509: cannot verify signature: algorithm unimplemented\" \
                 while trying to verify candidate authority certificate \"<issuer>\")"]),
        },
        ChainReason::MissingEku => ClientErrors {
            dotnet: ClientError::refusing(&[CHAIN_ERRORS, "NotValidForUsage"]),
            openssl: ClientError::refusing(&["verify error:num=26:unsuitable certificate purpose"]),
            postfix: ClientError::refusing(&[
                "certificate verification failed for <server>: not designated for use as a server certificate",
                "certificate verification failed for <server>: not designated for use as a CA certificate",
                NOT_VERIFIED,
            ]),
            go: ClientError::refusing(&["x509: certificate specifies an incompatible key usage"])
                .but_accepting("where the usage is anyExtendedKeyUsage"),
        },
        ChainReason::NameConstraints => ClientErrors {
            dotnet: ClientError::refusing(&[
                CHAIN_ERRORS,
                "HasNotPermittedNameConstraint",
                "HasExcludedNameConstraint",
                "InvalidNameConstraints",
            ]),
            openssl: ClientError::refusing(&[
                "verify error:num=47:permitted subtree violation",
                "verify error:num=48:excluded subtree violation",
            ]),
            postfix: ClientError::refusing(&[
                "server certificate verification failed for <server>: num=47:permitted subtree violation",
                "server certificate verification failed for <server>: num=48:excluded subtree violation",
                NOT_VERIFIED,
            ]),
            go: ClientError::refusing(&[
                "x509: a root or intermediate certificate is not authorized to sign for this name: <name>",
            ]),
        },
        ChainReason::PathTooLong => ClientErrors {
            dotnet: ClientError::refusing(&[CHAIN_ERRORS, "InvalidBasicConstraints"]).but_accepting(LONG_PATH),
            openssl: ClientError::refusing(&["verify error:num=25:path length constraint exceeded"])
                .but_accepting(LONG_PATH),
            postfix: ClientError::refusing(&[
                "CA certificate verification failed for <server>: num=25:path length constraint exceeded",
                "certificate verification failed for <server>: certificate chain longer than limit(<depth>)",
                NOT_VERIFIED,
            ])
            .but_accepting(LONG_PATH),
            go: ClientError::refusing(&["x509: too many intermediates for path length constraint"])
                .but_accepting(LONG_PATH),
        },
        ChainReason::TooComplex => ClientErrors {
            dotnet: ClientError::accepting("where it finds a path in time"),
            openssl: ClientError::refusing(&["verify error:num=22:certificate chain too long"])
                .but_accepting("where it finds a path, which may take it long"),
            postfix: ClientError::refusing(&[
                "certificate verification failed for <server>: certificate chain longer than limit(<depth>)",
                NOT_VERIFIED,
            ])
            .but_accepting("where its OpenSSL finds a path"),
            go: ClientError::refusing(&[
                "x509: signature check attempts limit reached while verifying certificate chain",
            ])
            .but_accepting("where it finds a path within 100 signatures"),
        },
        ChainReason::Distrusted => ClientErrors {
            dotnet: ClientError::refusing(&[CHAIN_ERRORS, "ExplicitDistrust"]),
            openssl: ClientError::refusing(&["verify error:num=28:certificate rejected"]),
            postfix: ClientError::refusing(&[
                "CA certificate verification failed for <server>: num=28:certificate rejected",
                NOT_VERIFIED,
            ]),
            go: UNKNOWN_AUTHORITY_GO.but_accepting("where the root is among the system's files"),
        },
        ChainReason::UnsupportedVersion => ClientErrors {
            dotnet: ClientError::refusing(&[CHAIN_ERRORS, "InvalidBasicConstraints"])
                .but_accepting("on the server's own certificate"),
            openssl: ClientError::refusing(&["verify error:num=79:invalid CA certificate"])
                .but_accepting("on the server's own certificate"),
            postfix: ClientError::refusing(&[
                "CA certificate verification failed for <server>: num=79:invalid CA certificate",
                NOT_VERIFIED,
            ])
            .but_accepting("on the server's own certificate"),
            go: ClientError::refusing(&["x509: certificate is not authorized to sign other certificates"])
                .but_accepting("on the server's own certificate"),
        },
        ChainReason::CriticalExtension => ClientErrors {
            dotnet: ClientError::refusing(&[CHAIN_ERRORS, "HasNotSupportedCriticalExtension"]),
            openssl: ClientError::refusing(&["verify error:num=34:unhandled critical extension"]),
            postfix: ClientError::refusing(&[
                "server certificate verification failed for <server>: num=34:unhandled critical extension",
                "CA certificate verification failed for <server>: num=34:unhandled critical extension",
                NOT_VERIFIED,
            ]),
            go: ClientError::refusing(&["x509: unhandled critical extension"]),
        },
        ChainReason::Malformed => ClientErrors {
            dotnet: HANDSHAKE_DOTNET,
            openssl: ClientError::refusing(&[
                "error:0A08000D:SSL routines:tls_process_server_certificate:ASN1 lib",
                "error:0A000087:SSL routines:tls_process_server_certificate:cert length mismatch",
            ])
            .but_accepting("where what is odd is in an extension that it does not read"),
            postfix: HANDSHAKE_POSTFIX.but_accepting("where its OpenSSL does"),
            go: ClientError::refusing(&["tls: failed to parse certificate from server: x509: malformed certificate"]),
        },
        ChainReason::KeyProofFailed => ClientErrors {
            dotnet: HANDSHAKE_DOTNET,
            openssl: ClientError::refusing(&[
                "error:0A00007B:SSL routines:tls_process_cert_verify:bad signature",
                "error:0A00007B:SSL routines:tls_process_key_exchange:bad signature",
            ]),
            postfix: HANDSHAKE_POSTFIX,
            go: ClientError::refusing(&["tls: invalid signature by the server certificate: <failure>"]),
        },
    }
}

/// What others say of a certificate that does not carry the server name for this reason.
pub const fn for_name(reason: NameReason) -> ClientErrors {
    match reason {
        NameReason::NotListed => ClientErrors {
            dotnet: NAME_DOTNET,
            openssl: NAME_OPENSSL.but_accepting("where a wildcard is part of a label (`m*.example.com`)"),
            postfix: NAME_POSTFIX,
            go: NAME_GO,
        },
        NameReason::WildcardDepth => {
            ClientErrors { dotnet: NAME_DOTNET, openssl: NAME_OPENSSL, postfix: NAME_POSTFIX, go: NAME_GO }
        }
        NameReason::CnOnly => ClientErrors {
            dotnet: NAME_DOTNET.but_accepting(NO_DNS_SAN),
            openssl: NAME_OPENSSL.but_accepting(NO_DNS_SAN),
            postfix: NAME_POSTFIX.but_accepting(NO_DNS_SAN),
            go: ClientError::refusing(&[
                "x509: certificate relies on legacy Common Name field, use SANs instead",
                "x509: certificate is valid for <presented>, not <name>",
            ]),
        },
        NameReason::NoSan => ClientErrors {
            dotnet: NAME_DOTNET,
            openssl: NAME_OPENSSL,
            postfix: NAME_POSTFIX,
            go: ClientError::refusing(&["x509: certificate is not valid for any names, but wanted to match <name>"]),
        },
        NameReason::IpReference => ClientErrors {
            dotnet: NAME_DOTNET,
            openssl: ClientError::refusing(&["verify error:num=64:IP address mismatch"]),
            postfix: NAME_POSTFIX,
            go: ClientError::refusing(&[
                "x509: cannot validate certificate for <address> because it doesn't contain any IP SANs",
                "x509: certificate is valid for <presented>, not <address>",
            ]),
        },
    }
}

/// What others say of a stapled OCSP response with this fault. Most look at none.
pub const fn for_ocsp(reason: OcspReason) -> ClientErrors {
    match reason {
        OcspReason::StapleMissing | OcspReason::StapleStale | OcspReason::StapleInvalid => ClientErrors {
            dotnet: ClientError::refusing(&[CHAIN_ERRORS, "RevocationStatusUnknown", "OfflineRevocation"])
                .but_accepting("where revocation is not checked, or can be asked for elsewhere"),
            openssl: ClientError::accepting("always, and prints the response with `-status`"),
            postfix: ClientError::accepting("always"),
            go: ClientError::accepting("always"),
        },
        OcspReason::Revoked => ClientErrors {
            dotnet: ClientError::refusing(&[CHAIN_ERRORS, "Revoked"]).but_accepting("where revocation is not checked"),
            openssl: ClientError::refusing(&["verify error:num=23:certificate revoked"])
                .but_accepting("unless a CRL says so, too, and `-crl_check` is on"),
            postfix: ClientError::accepting("always"),
            go: ClientError::accepting("always"),
        },
    }
}

/// What others say where a probe failed for this reason; none where no words of theirs are well known.
pub const fn for_probe(reason: ProbeReason) -> Option<ClientErrors> {
    Some(match reason {
        ProbeReason::NoCertificate => ClientErrors {
            dotnet: ClientError::refusing(&[
                "RemoteCertificateNotAvailable",
                "The SSL certificate for the server was not available.",
            ]),
            openssl: ClientError::refusing(&[
                "no peer certificate available",
                "error:0A00009F:SSL routines:tls_process_server_certificate:length mismatch",
            ]),
            postfix: HANDSHAKE_POSTFIX,
            go: ClientError::refusing(&["tls: received empty certificates message"]),
        },
        ProbeReason::TlsVersion => ClientErrors {
            dotnet: HANDSHAKE_DOTNET,
            openssl: ClientError::refusing(&[
                "error:0A000102:SSL routines:ssl_choose_client_version:unsupported protocol",
                "error:0A00014D:SSL routines:tls_process_key_exchange:legacy sigalg disallowed or unsupported",
            ])
            .but_accepting("at security level 0"),
            postfix: HANDSHAKE_POSTFIX.but_accepting("where its OpenSSL does, unless `smtp_tls_protocols` forbids it"),
            go: ClientError::refusing(&[
                "tls: server selected unsupported protocol version <version>",
                "remote error: tls: protocol version not supported",
            ]),
        },
        ProbeReason::NoCommonParams => ClientErrors {
            dotnet: HANDSHAKE_DOTNET.but_accepting("where the system allows older parameters"),
            openssl: HANDSHAKE_FAILURE_OPENSSL.but_accepting("where it is told to allow older parameters"),
            postfix: HANDSHAKE_POSTFIX.but_accepting("where its OpenSSL allows older parameters"),
            go: ClientError::refusing(&["remote error: tls: handshake failure"])
                .but_accepting("where it still offers RSA key exchange or CBC"),
        },
        ProbeReason::ClientCertificateRequired => ClientErrors {
            dotnet: HANDSHAKE_DOTNET,
            openssl: ClientError::refusing(&[
                "error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required",
                HANDSHAKE_FAILURE,
            ]),
            postfix: ClientError::refusing(&[
                "TLS library problem: error:0A00045C:SSL routines::tlsv13 alert certificate required",
                "lost connection with <server> while <command>",
            ]),
            go: ClientError::refusing(&[
                "remote error: tls: certificate required",
                "remote error: tls: handshake failure",
            ]),
        },
        ProbeReason::UnrecognizedName => ClientErrors {
            dotnet: HANDSHAKE_DOTNET,
            openssl: ClientError::refusing(&["error:0A000458:SSL routines:ssl3_read_bytes:tlsv1 unrecognized name"]),
            postfix: HANDSHAKE_POSTFIX.but_accepting("at levels without DANE, where it sends no name unless told to"),
            go: ClientError::refusing(&["remote error: tls: unrecognized name"]),
        },
        ProbeReason::NotTls => ClientErrors {
            dotnet: ClientError::refusing(&["Cannot determine the frame size or a corrupted frame was received."]),
            openssl: ClientError::refusing(&["error:0A00010B:SSL routines:ssl3_get_record:wrong version number"]),
            postfix: HANDSHAKE_POSTFIX,
            go: ClientError::refusing(&["tls: first record does not look like a TLS handshake"]),
        },
        ProbeReason::StartTlsNotOffered => ClientErrors {
            dotnet: ClientError::refusing(&["The SMTP server does not support the STARTTLS extension."])
                .but_accepting("in the clear, with `StartTlsWhenAvailable`"),
            openssl: ClientError::refusing(&["Didn't find STARTTLS in server response, trying anyway..."]),
            postfix: ClientError::refusing(&["TLS is required, but was not offered by host <server>"])
                .but_accepting("in the clear, at the level `may`"),
            go: ClientError::accepting("in the clear, by `smtp.SendMail`"),
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
        | ProbeReason::StartTlsRefused
        | ProbeReason::PlaintextAfterStartTls
        | ProbeReason::TlsAlert
        | ProbeReason::ChainTooLarge
        | ProbeReason::ProtocolViolation => return None,
    })
}

const CHAIN_ERRORS: &str = "RemoteCertificateChainErrors";
const NAME_MISMATCH: &str = "RemoteCertificateNameMismatch";
const NOT_VERIFIED: &str = "Server certificate not verified";
const HANDSHAKE_FAILURE: &str = "error:0A000410:SSL routines:ssl3_read_bytes:sslv3 alert handshake failure";
const NO_DNS_SAN: &str = "where the certificate has no DNS name among its SANs";
const LONG_PATH: &str = "where no CA sets a limit and the path is merely long";

const CHAIN_TIME: ClientError = ClientError::refusing(&[CHAIN_ERRORS, "NotTimeValid"]);
const HANDSHAKE_DOTNET: ClientError = ClientError::refusing(&["AuthenticationException"]);
const NAME_DOTNET: ClientError = ClientError::refusing(&[
    NAME_MISMATCH,
    "The host name did not match the name given in the server's SSL certificate.",
]);

const HANDSHAKE_FAILURE_OPENSSL: ClientError = ClientError::refusing(&[HANDSHAKE_FAILURE]);
const NAME_OPENSSL: ClientError = ClientError::refusing(&["verify error:num=62:hostname mismatch"]);

const EXPIRED_POSTFIX: ClientError = ClientError::refusing(&[
    "server certificate verification failed for <server>: certificate has expired",
    "CA certificate verification failed for <server>: certificate has expired",
    NOT_VERIFIED,
]);
const UNTRUSTED_ISSUER_POSTFIX: ClientError =
    ClientError::refusing(&["certificate verification failed for <server>: untrusted issuer <issuer>", NOT_VERIFIED]);
const NAME_POSTFIX: ClientError = ClientError::refusing(&[
    "server certificate verification failed for <server>: num=62:hostname mismatch",
    NOT_VERIFIED,
]);
const HANDSHAKE_POSTFIX: ClientError = ClientError::refusing(&[
    "SSL_connect error to <server>: -1",
    "TLS library problem: <error of OpenSSL>",
    "Cannot start TLS: handshake failure",
]);

const UNKNOWN_AUTHORITY_GO: ClientError = ClientError::refusing(&["x509: certificate signed by unknown authority"]);
const NAME_GO: ClientError = ClientError::refusing(&["x509: certificate is valid for <presented>, not <name>"]);

const ACCEPTED_BY_ALL: ClientErrors = ClientErrors {
    dotnet: ClientError::accepting("always"),
    openssl: ClientError::accepting("always"),
    postfix: ClientError::accepting("always"),
    go: ClientError::accepting("always"),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, errors: ClientErrors) {
        for (client, words) in errors.clients() {
            assert!(!words.texts.is_empty() || words.accepts.is_some(), "{word}: {client} says nothing at all");
            for text in words.texts.iter().copied().chain(words.accepts) {
                assert!(!text.is_empty() && text == text.trim(), "{word}: {client}: {text:?}");
                // The texts are written over several lines in the sources.
                assert!(!text.contains("  ") && !text.contains('\n'), "{word}: {client}: {text:?}");
                assert_eq!(text.matches('<').count(), text.matches('>').count(), "{word}: {client}: {text:?}");
            }
        }
    }

    #[test]
    fn every_reason_has_words() {
        ChainReason::ALL.iter().for_each(|reason| check(reason.as_str(), for_chain(*reason)));
        NameReason::ALL.iter().for_each(|reason| check(reason.as_str(), for_name(*reason)));
        OcspReason::ALL.iter().for_each(|reason| check(reason.as_str(), for_ocsp(*reason)));
        let probes: Vec<_> =
            ProbeReason::ALL.iter().filter_map(|reason| Some((*reason, for_probe(*reason)?))).collect();
        probes.iter().for_each(|(reason, elsewhere)| check(reason.as_str(), *elsewhere));
        assert!(probes.iter().any(|(reason, _)| *reason == ProbeReason::NoCertificate));
    }

    #[test]
    fn policy_errors_are_the_one_of_their_kind() {
        for reason in ChainReason::ALL {
            let texts = for_chain(*reason).dotnet.texts;
            let expected = matches!(texts, [] | [CHAIN_ERRORS, _, ..] | ["AuthenticationException"]);
            assert!(expected, "{reason}: {texts:?}");
        }
        for reason in NameReason::ALL {
            assert_eq!(for_name(*reason).dotnet.texts.first(), Some(&NAME_MISMATCH), "{reason}");
        }
    }
}
