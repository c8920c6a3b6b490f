//! The fixed values of labels, logs and JSON documents.
//!
//! The variants of each enum have a value (`as_str`) and a meaning (`doc`). The tables in `docs/metrics.md` and
//! `docs/verdicts.md` are generated from them.

/// Defines enums whose variants each have a value, and a meaning: the doc comment.
macro_rules! vocabulary {
    ($(
        $(#[$meta:meta])*
        enum $name:ident { $( $(#[doc = $doc:literal])+ $variant:ident = $text:literal, )+ }
    )+) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $( $(#[doc = $doc])+ $variant, )+ }

        impl $name {
            /// All variants, in the order of declaration.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];

            /// Returns the value in labels, logs and JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )+ }
            }

            /// Returns the meaning: one sentence, without Markdown except code spans.
            pub fn doc(self) -> &'static str {
                match self { $( Self::$variant => concat!($($doc),+).trim_ascii(), )+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )+ };
}

vocabulary! {
    /// Where a probe stopped.
    enum Stage {
        /// The name could not be resolved to addresses.
        Resolve = "resolve",
        /// The TCP connection could not be established.
        Connect = "connect",
        /// The server's greeting (RFC 5321 §3.1) was missing, malformed or a rejection.
        Greeting = "greeting",
        /// EHLO before TLS (RFC 5321 §4.1.1.1) failed.
        Ehlo = "ehlo",
        /// STARTTLS (RFC 3207) was not offered, was refused, or received an invalid reply.
        StartTls = "starttls",
        /// The TLS handshake failed.
        Handshake = "handshake",
        /// The TLS handshake succeeded, but SMTP inside TLS failed: the server refused the client, or sent no valid reply.
        Session = "session",
    }

    /// A timed part of a probe.
    enum Phase {
        /// From the first packet until the TCP connection is established.
        Connect = "connect",
        /// From the established connection (TCP, or TLS if implicit) until the greeting is complete.
        Greeting = "greeting",
        /// From the greeting until the reply to STARTTLS, including EHLO.
        StartTls = "starttls",
        /// The TLS handshake.
        Handshake = "handshake",
    }

    /// Why a lookup returned no address.
    enum LookupReason {
        /// The name does not exist (RFC 8020).
        NxDomain = "nxdomain",
        /// The name exists, but has no usable A or AAAA record.
        NoData = "nodata",
        /// No name server can be reached: they refuse queries, or the network does not deliver them.
        Unreachable = "dns_unreachable",
        /// No name server answered in time.
        Timeout = "dns_timeout",
        /// A name server answered SERVFAIL, REFUSED or another error.
        ServFail = "dns_servfail",
        /// The answer failed DNSSEC validation (RFC 4035 §4.3).
        Bogus = "dns_bogus",
        /// The domain has a null MX record: it accepts no mail (RFC 7505).
        NullMx = "null_mx",
    }

    /// Why a probe failed. The stage says where.
    enum ProbeReason {
        /// The connection was refused.
        Refused = "refused",
        /// The network or the host is unreachable.
        Unreachable = "unreachable",
        /// The peer reset the connection.
        Reset = "reset",
        /// The peer closed the connection before it answered.
        Eof = "eof",
        /// The peer did not answer in time.
        Timeout = "timeout",
        /// The server sent a 4xx reply where a positive one was required (RFC 5321 §4.2.1).
        Rejected4xx = "rejected_4xx",
        /// The server sent a 5xx reply where a positive one was required (RFC 5321 §4.2.1).
        Rejected5xx = "rejected_5xx",
        /// The server's answer is not an SMTP reply, or its lines have different codes (RFC 5321 §4.2).
        MalformedReply = "malformed_reply",
        /// The reply exceeds the limits on lines or bytes.
        ReplyTooLarge = "reply_too_large",
        /// The EHLO reply does not list STARTTLS.
        StartTlsNotOffered = "starttls_not_offered",
        /// The server lists STARTTLS, but answered it with a code other than 220 (RFC 3207 §4).
        StartTlsRefused = "starttls_refused",
        /// Plaintext arrived between the 220 reply and the TLS handshake: an injection or a broken proxy
        /// (CVE-2011-0411).
        PlaintextAfterStartTls = "plaintext_after_starttls",
        /// The server supports neither TLS 1.2 nor TLS 1.3.
        TlsVersion = "tls_version",
        /// The server and the exporter have no cipher suite, group or signature scheme in common.
        NoCommonParams = "no_common_params",
        /// The server requires a client certificate.
        ClientCertificateRequired = "client_certificate_required",
        /// The server rejected the client certificate that the exporter sent, by a TLS alert (RFC 8446 §6.2) or a reply.
        ClientCertificateRejected = "client_certificate_rejected",
        /// The server has no certificate for the requested name (TLS alert 112, RFC 6066 §3).
        UnrecognizedName = "unrecognized_name",
        /// The server ended TLS with another alert (RFC 8446 §6.2).
        TlsAlert = "tls_alert",
        /// The server's answer is not TLS.
        NotTls = "not_tls",
        /// The server presented no certificate.
        NoCertificate = "no_certificate",
        /// A message of the TLS handshake, usually the one with the certificates, is larger than 64 KiB.
        ChainTooLarge = "chain_too_large",
        /// The server violated the TLS protocol.
        ProtocolViolation = "protocol_violation",
    }

    /// What a reply that refuses the client says about the cause, by the rules in `docs/replies.md`.
    enum RejectionCause {
        /// The server cannot start TLS, in most cases because it could not load its certificate or key.
        TlsUnavailable = "tls_unavailable",
        /// The server has a fault of its own, such as a full disk or an error in its configuration.
        ServerFault = "server_fault",
        /// A block list refuses the queries of the server, so that the server rejects every client.
        BlocklistUnusable = "blocklist_unusable",
        /// The client is on a block list.
        Blocklisted = "blocklisted",
        /// The server defers clients that it does not know yet.
        Greylisted = "greylisted",
        /// The server requires a matching reverse DNS name of the client.
        ReverseDns = "reverse_dns",
        /// The server limits connections or their rate.
        ConnectionLimit = "connection_limit",
        /// The server waited too long for the client.
        IdleTimeout = "idle_timeout",
        /// The server is busy, overloaded, shutting down or in maintenance.
        ServerUnavailable = "server_unavailable",
        /// The server does not implement EHLO.
        EhloUnsupported = "ehlo_unsupported",
        /// The server requires a client certificate, which it does not request.
        ClientCertificate = "client_certificate",
        /// The server rejects the name that the client sends with EHLO.
        EhloName = "ehlo_name",
        /// The server demands STARTTLS before it accepts EHLO.
        StartTlsRequired = "starttls_required",
        /// The server reports a violation of the SMTP protocol.
        ProtocolError = "protocol_error",
        /// The server refuses this client.
        AccessDenied = "access_denied",
        /// The server accepts no mail on this port.
        NoMailService = "no_mail_service",
        /// The server closes the connection without another of these causes.
        Closing = "closing",
    }

    /// How the exporter answered a server that requested a client certificate (RFC 8446 §4.4.2).
    enum ClientAuth {
        /// The configured client certificate was sent.
        Sent = "sent",
        /// The configured client certificate was sent, although no CA that the server lists as acceptable issued it.
        SentUnlisted = "sent_unlisted",
        /// No client certificate was sent, because none is configured.
        NotConfigured = "not_configured",
        /// The configured client certificate was not sent, because the server accepts no signature scheme of its key.
        NoCommonScheme = "no_common_scheme",
    }

    /// Why a chain is not valid. Several reasons can apply at once.
    enum ChainReason {
        /// A certificate on the path, the root included, has expired (RFC 5280 §4.1.2.5).
        Expired = "expired",
        /// A certificate on the path, the root included, is not yet valid (RFC 5280 §4.1.2.5).
        NotYetValid = "not_yet_valid",
        /// The validity period of a certificate on the path, the root included, ends before it starts (RFC 5280 §4.1.2.5).
        BadValidity = "bad_validity",
        /// The server certificate is self-signed and is not itself in the trust store.
        SelfSigned = "self_signed",
        /// The path ends at a certificate whose issuer is not in the trust store and was not presented by this or any
        /// other server.
        UnknownIssuer = "unknown_issuer",
        /// The server does not send an intermediate certificate that the path needs; another server sent it in a chain
        /// that verifies (RFC 8446 §4.4.2).
        MissingIntermediate = "missing_intermediate",
        /// An issuer on the path, the root included, is not a CA certificate (RFC 5280 §4.2.1.9), or its keyUsage does
        /// not allow to issue certificates (RFC 5280 §4.2.1.3).
        NotACa = "not_a_ca",
        /// The server certificate is a CA certificate (RFC 5280 §4.2.1.9), other than a self-signed one that is itself in
        /// the trust store.
        CaAsEndEntity = "ca_as_end_entity",
        /// An RSA key on the path, including those of the server certificate and the root, has fewer than 2048 bits.
        WeakKey = "weak_key",
        /// A signature on the path was not made with the issuer's key (RFC 5280 §6.1.3).
        BadSignature = "bad_signature",
        /// The server certificate or an intermediate is signed with SHA-1 or MD5.
        WeakSignatureAlgorithm = "weak_signature_algorithm",
        /// A signature on the path uses an algorithm or a key that the exporter cannot verify.
        UnsupportedAlgorithm = "unsupported_algorithm",
        /// The extended key usage of a certificate on the path does not include TLS servers (RFC 5280 §4.2.1.12).
        MissingEku = "missing_eku",
        /// A name in a certificate on the path violates the name constraints of a CA above it (RFC 5280 §4.2.1.10).
        NameConstraints = "name_constraints",
        /// The path is longer than a CA on it allows (RFC 5280 §4.2.1.9), or has more than six intermediates.
        PathTooLong = "path_too_long",
        /// More than 64 presented certificates are candidates for the path and no path was found among the first 64, or
        /// the search exceeded its budget.
        TooComplex = "too_complex",
        /// A key on the path is on the verifier's list of distrusted keys, regardless of the trust store.
        Distrusted = "distrusted",
        /// A certificate on the path is not of X.509 version 3 (RFC 5280 §4.1.2.1).
        UnsupportedVersion = "unsupported_version",
        /// A certificate on the path has a critical extension that the verifier does not recognize (RFC 5280 §4.2).
        CriticalExtension = "critical_extension",
        /// A certificate on the path, or a candidate for it, cannot be parsed, or what is sent is not a certificate.
        Malformed = "malformed",
        /// The handshake was not signed with the key of the server certificate (RFC 8446 §4.4.3).
        KeyProofFailed = "key_proof_failed",
    }

    /// Why some senders refuse a valid chain.
    enum ChainWarning {
        /// The keyUsage of the server certificate allows neither signatures nor key exchange, or that of an issuer allows
        /// nothing at all (RFC 5280 §4.2.1.3).
        KeyUsage = "key_usage",
        /// The keyUsage of the server certificate does not include digitalSignature, with which servers sign handshakes
        /// (RFC 8446 §4.4.2.2).
        NoDigitalSignature = "no_digital_signature",
        /// The authority key identifier of a certificate on the path is not that of its issuer (RFC 5280 §4.2.1.1).
        AuthorityKeyIdentifier = "authority_key_identifier",
        /// The serial number of a presented certificate or of the root is negative, not in DER, or longer than the 20
        /// octets that clients have to support (RFC 5280 §4.1.2.2).
        SerialNumber = "serial_number",
        /// A presented certificate has a subject alternative name that is not valid (RFC 5280 §4.2.1.6).
        SubjectAltName = "subject_alt_name",
        /// The common name of a server certificate without DNS names violates the name constraints of a CA above it (RFC
        /// 5280 §4.2.1.10).
        CommonNameConstraints = "common_name_constraints",
        /// The trust store contains an intermediate of the path but not the root above it.
        RootNotSelfSigned = "root_not_self_signed",
        /// The root has no basic constraints, so nothing in it says that it is a CA certificate (RFC 5280 §4.2.1.9).
        RootBasicConstraints = "root_basic_constraints",
        /// The extended key usage of the root does not include TLS servers (RFC 5280 §4.2.1.12).
        RootExtendedKeyUsage = "root_extended_key_usage",
        /// The root has a critical extension that some senders do not recognize (RFC 5280 §4.2).
        RootCriticalExtension = "root_critical_extension",
        /// Some senders try only one of several issuers of the same name, and not the one on the path that verifies. For a
        /// self-signed server certificate, they compare only another one of the trust store with it.
        IssuerOrder = "issuer_order",
        /// More certificates are presented than some senders read.
        ManyCertificates = "many_certificates",
    }

    /// A mail sender, or the library with which senders verify chains.
    enum Sender {
        /// OpenSSL, with which .NET on Linux also builds chains.
        OpenSsl = "openssl",
        /// Postfix, which uses OpenSSL.
        Postfix = "postfix",
        /// GnuTLS, which Exim uses on Debian.
        GnuTls = "gnutls",
        /// Go's `crypto/x509`.
        Go = "go",
    }

    /// Why the certificate does not match the server name.
    enum NameReason {
        /// The certificate lists other names.
        NotListed = "not_listed",
        /// A wildcard in the certificate covers exactly one label, and the server name has more or fewer (RFC 9525
        /// §6.3).
        WildcardDepth = "wildcard_depth",
        /// Only the common name matches, which clients no longer check (RFC 9525 §2).
        CnOnly = "cn_only",
        /// The certificate lists no names of this type (DNS name or IP address).
        NoSan = "no_san",
        /// The server name is an IP address that the certificate does not list.
        IpReference = "ip_reference",
    }

    /// How a presented name differs from the server name that it looks like.
    enum NameDifference {
        /// It ends with a dot.
        TrailingDot = "trailing_dot",
        /// It begins with a dot.
        LeadingDot = "leading_dot",
        /// It has two dots in a row.
        EmptyLabel = "empty_label",
        /// It contains white space.
        WhiteSpace = "white_space",
        /// It contains invisible characters.
        Invisible = "invisible_characters",
        /// It contains characters that only look like ASCII characters.
        Lookalike = "lookalike_characters",
        /// It is written in Unicode (U-label), not in the ASCII form (A-label) that certificates contain (RFC 5280 §7.2).
        ULabel = "u_label",
        /// It begins with a scheme, a keyword or a slash.
        Prefix = "prefix",
        /// It has the form of an email address.
        Mailbox = "mailbox",
        /// It contains a port.
        Port = "port",
        /// It contains a path.
        Path = "path",
        /// It contains quotation marks, brackets, commas or semicolons.
        Punctuation = "punctuation",
        /// It is a list of several names in one entry.
        List = "list",
        /// It has a wildcard that is not the whole first label before at least two others (RFC 9525 §6.3).
        Wildcard = "wildcard",
        /// It is an IP address in an entry for DNS names.
        AddressAsDnsName = "address_as_dns_name",
        /// It is an IPv4-mapped IPv6 address, which does not match the IPv4 address (RFC 9525 §6.5).
        MappedAddress = "ipv4_mapped_address",
        /// It is an entry for URIs or email addresses, which clients do not compare.
        OtherType = "other_type",
    }

    /// The status of the certificate in a stapled OCSP response (RFC 6960 §2.2).
    enum OcspStatus {
        /// The certificate is not revoked.
        Good = "good",
        /// The certificate is revoked, permanently or temporarily.
        Revoked = "revoked",
        /// The responder does not know the certificate.
        Unknown = "unknown",
    }

    /// Why a stapled OCSP response is not valid (RFC 6960).
    enum OcspReason {
        /// The certificate requires a stapled OCSP response (RFC 7633), and the server sent none.
        StapleMissing = "staple_missing",
        /// The nextUpdate time of the stapled response has passed (RFC 6960 §4.2.2.1).
        StapleStale = "staple_stale",
        /// The stapled response cannot be parsed, reports an error, is for another certificate, is not yet valid, or is
        /// not validly signed (RFC 6960 §3.2).
        StapleInvalid = "staple_invalid",
        /// A stapled response with a valid signature says that the certificate is revoked, even if the response is
        /// stale (RFC 6960 §2.2).
        Revoked = "revoked",
    }

    /// Why a probe or a lookup failed on the exporter host. Such a failure says nothing about the server.
    enum LocalReason {
        /// No file descriptor was available (EMFILE, ENFILE).
        FileDescriptors = "file_descriptors",
        /// The kernel had no buffer or memory available (ENOBUFS, ENOMEM).
        Buffers = "buffers",
        /// No local address or port was available (EADDRNOTAVAIL).
        LocalAddress = "local_address",
        /// The exporter host's firewall or security policy forbids the connection (EACCES, EPERM).
        Forbidden = "forbidden",
        /// The exporter host has no route to the address (ENETUNREACH).
        NoRoute = "no_route",
        /// The exporter host's name servers are not known: `/etc/resolv.conf` cannot be read.
        NameServers = "name_servers",
        /// The exporter itself was more than a second late when the probe timed out.
        Overloaded = "overloaded",
        /// A bug in the exporter ended the probe or the lookup.
        Defect = "defect",
    }

    /// Why an address is not probed.
    enum SkipReason {
        /// The target has more addresses than `limits.backends_per_target`.
        Cap = "cap",
        /// The exporter host has no IPv6 route (`ip_family: auto`).
        NoRoute = "no_route",
        /// MX or SRV records lead to an address that no router forwards (loopback, link-local, multicast, broadcast or
        /// unspecified), and `allow_addresses` does not list it. In responses of `/probe`: `probe.allow` does not permit it.
        AddressNotAllowed = "address_not_allowed",
        /// An SRV record has a port other than 25, 465, 587 and 2525 that `allow_ports` does not list. In responses of
        /// `/probe`: `probe.allow` does not permit it.
        PortNotAllowed = "port_not_allowed",
    }

    /// What a name resolves to, compared with the backends of another name.
    enum Resolves {
        /// The name resolves to all of the backends and to no other address.
        All = "all",
        /// The name resolves to some of the backends and to no other address.
        Part = "some",
        /// The name resolves to an address that is not one of the backends.
        Elsewhere = "elsewhere",
        /// The name has no address.
        Nowhere = "nowhere",
        /// The name could not be looked up.
        Unknown = "unknown",
    }

    /// What a piece of advice is about.
    enum AdviceKind {
        /// Another name is listed by the certificates of all backends and resolves to them.
        UseAlternateName = "use_shared_name",
        /// Another name is listed by the certificates of all backends, but it does not resolve to exactly these, or
        /// this is not known.
        AlternateNameElsewhere = "shared_name_elsewhere",
        /// No name is listed by the certificates of all backends: use the name of one of them, at the cost of
        /// redundancy.
        UseBackendName = "use_backend_name",
        /// Certificates do not list the server name and have to be reissued.
        Reissue = "reissue",
        /// Mail that is already queued keeps the name with which it was queued.
        QueuedMail = "queued_mail",
        /// A wildcard covers exactly one label (RFC 9525 §6.3).
        WildcardDepth = "wildcard_depth",
        /// The server name is an IP address that the certificate does not list.
        IpReference = "ip_reference",
        /// An intermediate certificate is not sent.
        MissingIntermediate = "missing_intermediate",
        /// The certificate is self-signed.
        SelfSigned = "self_signed",
        /// There is no path to a trusted root.
        UnknownIssuer = "unknown_issuer",
        /// The chain is not valid for another reason.
        BadChain = "bad_chain",
        /// The chain is valid, but some senders refuse it.
        ChainWarning = "chain_warning",
        /// A certificate has expired.
        Expired = "expired",
        /// A certificate expires in less than 14 days, or in less than a fifth of its lifetime if that is shorter.
        ExpiresSoon = "expires_soon",
        /// A certificate becomes valid within a day: a clock is wrong.
        Clock = "clock",
        /// A certificate becomes valid later.
        NotYetValid = "not_yet_valid",
        /// Some backends present a renewed certificate, others an older one for the same names.
        RenewedPartly = "renewed_partly",
        /// The certificate file on disk differs from the certificate that the server presents.
        NotReloaded = "not_reloaded",
        /// The certificate file on disk cannot be read.
        FileUnreadable = "file_unreadable",
        /// The certificate does not list a name in `expect_names`.
        ExpectedName = "expected_name",
        /// The stapled OCSP response is not valid or is missing.
        Staple = "staple",
        /// Servers do not offer STARTTLS, or refuse it.
        StartTls = "starttls",
        /// The TLS handshake fails.
        Handshake = "handshake",
        /// Servers reject the client certificate of the exporter, or it cannot be sent.
        ClientCertificate = "client_certificate",
        /// Servers cannot be reached, refuse the client, or do not speak SMTP correctly.
        Unreachable = "unreachable",
        /// Servers limit connections or their rate.
        RateLimited = "rate_limited",
        /// Lookups fail.
        Dns = "dns",
        /// Name servers return different answers.
        NameServersDisagree = "nameservers_disagree",
        /// Repeated queries get different answers.
        AnswersVary = "answers_vary",
        /// MX or SRV records lead to addresses or ports that are not allowed, or the exporter host has no route to any address.
        AddressesSkipped = "addresses_skipped",
    }

    /// How severe a finding is.
    enum Severity {
        /// Clients that connect to these backends fail.
        Critical = "critical",
        /// Some clients fail, or all of them will soon.
        Warning = "warning",
        /// Background information, or the remedy for a more severe finding.
        Info = "info",
    }

    /// The state of a target or a backend.
    enum HealthState {
        /// No problem.
        Ok = "ok",
        /// No round is finished, or this host could not probe a backend.
        Unknown = "unknown",
        /// Some clients fail, or all of them will fail soon.
        Warning = "warning",
        /// Clients fail.
        Critical = "critical",
    }
}

impl Sender {
    /// Its name in sentences.
    pub const fn title(self) -> &'static str {
        match self {
            Self::OpenSsl => "OpenSSL",
            Self::Postfix => "Postfix",
            Self::GnuTls => "GnuTLS",
            Self::Go => "Go",
        }
    }
}

impl ClientAuth {
    /// Whether a certificate was sent.
    pub const fn is_sent(self) -> bool {
        matches!(self, Self::Sent | Self::SentUnlisted)
    }
}

impl LookupReason {
    /// Whether the name has no address, as opposed to a lookup that failed.
    pub const fn has_none(self) -> bool {
        matches!(self, Self::NxDomain | Self::NoData | Self::NullMx)
    }
}

impl SkipReason {
    /// Whether the configuration does not allow connections to the address.
    pub const fn is_not_allowed(self) -> bool {
        matches!(self, Self::AddressNotAllowed | Self::PortNotAllowed)
    }
}

impl RejectionCause {
    /// Whether the server asks for fewer connections, so that it is probed less often.
    pub const fn is_limit(self) -> bool {
        matches!(self, Self::ConnectionLimit)
    }

    /// Whether the server is to be left alone until the next round.
    pub const fn asks_to_wait(self) -> bool {
        matches!(self, Self::ConnectionLimit | Self::ServerUnavailable | Self::Closing)
    }
}
