//! The bounded words that labels, logs and documents use.
//!
//! Each enum lists its members in `ALL`, names them in `as_str` and says in
//! `doc` when they are given; `docs/metrics.md` is made from these lines.

macro_rules! vocabulary {
    (
        $(#[$meta:meta])*
        $name:ident { $( $(#[doc = $doc:literal])+ $variant:ident = $text:literal, )+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $( $(#[doc = $doc])+ $variant, )+ }

        impl $name {
            /// Every member, in the order of declaration.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];

            /// The word as it stands in labels and logs.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )+ }
            }

            /// When this word is given.
            pub fn doc(self) -> &'static str {
                match self { $( Self::$variant => concat!($($doc),+).trim_ascii(), )+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

vocabulary! {
    /// Where a probe stopped.
    Stage {
        /// The name could not be turned into addresses.
        Resolve = "resolve",
        /// TCP did not come up.
        Connect = "connect",
        /// The server's first reply (RFC 5321 §3.1) was missing, malformed or a refusal.
        Greeting = "greeting",
        /// EHLO before TLS (RFC 5321 §4.1.1.1) failed.
        Ehlo = "ehlo",
        /// STARTTLS (RFC 3207) was not offered, was refused or was answered wrongly.
        StartTls = "starttls",
        /// The TLS handshake failed.
        Handshake = "handshake",
        /// TLS came up, but no SMTP reply could be read inside it.
        Session = "session",
    }
}

vocabulary! {
    /// A timed part of a probe.
    Phase {
        /// From the first packet until TCP is up.
        Connect = "connect",
        /// From TCP (TLS, where implicit) until the greeting is complete.
        Greeting = "greeting",
        /// From the greeting until STARTTLS is answered, EHLO included.
        StartTls = "starttls",
        /// The TLS handshake.
        Handshake = "handshake",
    }
}

vocabulary! {
    /// Why a lookup gave no address.
    LookupReason {
        /// The name does not exist (RFC 8020).
        NxDomain = "nxdomain",
        /// The name exists, but has neither an A nor an AAAA record that could be used.
        NoData = "nodata",
        /// No name server answered in time.
        Timeout = "dns_timeout",
        /// A name server answered SERVFAIL, REFUSED or another error, or could not be spoken to.
        ServFail = "dns_servfail",
        /// The answer failed DNSSEC validation.
        Bogus = "dns_bogus",
        /// The domain says by a null MX that it takes no mail (RFC 7505).
        NullMx = "null_mx",
    }
}

impl LookupReason {
    /// Whether it says that there is nothing, rather than that nothing could be found out.
    pub const fn has_none(self) -> bool {
        matches!(self, Self::NxDomain | Self::NoData | Self::NullMx)
    }
}

vocabulary! {
    /// Why a probe failed; the stage says where.
    ProbeReason {
        /// The connection was refused.
        Refused = "refused",
        /// The network or the host cannot be reached.
        Unreachable = "unreachable",
        /// The peer reset the connection.
        Reset = "reset",
        /// The peer closed the connection before it had answered.
        Eof = "eof",
        /// The peer did not answer in time.
        Timeout = "timeout",
        /// A 4xx reply (RFC 5321 §4.2.1) where a positive one was needed.
        Rejected4xx = "rejected_4xx",
        /// A 5xx reply (RFC 5321 §4.2.1) where a positive one was needed.
        Rejected5xx = "rejected_5xx",
        /// What came is not an SMTP reply (RFC 5321 §4.2), or its lines carry different codes.
        MalformedReply = "malformed_reply",
        /// A reply longer than the bounds on lines and bytes.
        ReplyTooLarge = "reply_too_large",
        /// The EHLO reply does not list STARTTLS.
        StartTlsNotOffered = "starttls_not_offered",
        /// STARTTLS is listed, and was answered with something other than 220.
        StartTlsRefused = "starttls_refused",
        /// Bytes came between the 220 and TLS: an injection or a broken proxy (CVE-2011-0411).
        PlaintextAfterStartTls = "plaintext_after_starttls",
        /// The server speaks no TLS version that is still safe (TLS 1.2 or 1.3).
        TlsVersion = "tls_version",
        /// No cipher suite, group or signature scheme in common.
        NoCommonParams = "no_common_params",
        /// The server demands a client certificate.
        ClientCertificateRequired = "client_certificate_required",
        /// The server knows no certificate for the name that was asked for (alert 112).
        UnrecognizedName = "unrecognized_name",
        /// The server ended TLS with another alert.
        TlsAlert = "tls_alert",
        /// The bytes that came are not TLS.
        NotTls = "not_tls",
        /// The server presented no certificate.
        NoCertificate = "no_certificate",
        /// The certificate message is larger than 64 KiB.
        ChainTooLarge = "chain_too_large",
        /// The server broke the TLS protocol.
        ProtocolViolation = "protocol_violation",
    }
}

vocabulary! {
    /// Why a chain is not valid; several may hold at once.
    ChainReason {
        /// The validity of a certificate on the path has ended.
        Expired = "expired",
        /// The validity of a certificate on the path has not begun yet.
        NotYetValid = "not_yet_valid",
        /// The validity of a certificate on the path ends before it begins.
        BadValidity = "bad_validity",
        /// The server's certificate is signed with its own key, and is no root of the trust store.
        SelfSigned = "self_signed",
        /// The path ends at a certificate whose issuer is neither presented nor a root of the trust store, and that no
        /// other server presented either.
        UnknownIssuer = "unknown_issuer",
        /// The server does not present an intermediate certificate that the path needs. Another server presented it on a
        /// path that verifies.
        MissingIntermediate = "missing_intermediate",
        /// A certificate that issued another one on the path is no CA certificate (RFC 5280 §4.2.1.9).
        NotACa = "not_a_ca",
        /// The server's own certificate is a CA certificate, and not a self-signed one.
        CaAsEndEntity = "ca_as_end_entity",
        /// An RSA key of less than 2048 bits on the path, the server's and the root's among them.
        WeakKey = "weak_key",
        /// A signature on the path was not made with the issuer's key.
        BadSignature = "bad_signature",
        /// The server's certificate or an intermediate is signed with SHA-1 or MD5.
        WeakSignatureAlgorithm = "weak_signature_algorithm",
        /// A signature on the path is of an algorithm or by a key that cannot be checked.
        UnsupportedAlgorithm = "unsupported_algorithm",
        /// A certificate on the path says what it is for, and a TLS server is not among it (RFC 5280 §4.2.1.12).
        MissingEku = "missing_eku",
        /// A name lies outside those that a CA above it may issue for (RFC 5280 §4.2.1.10).
        NameConstraints = "name_constraints",
        /// More certificates than a CA on the path allows below it (RFC 5280 §4.2.1.9), or more than six intermediates.
        PathTooLong = "path_too_long",
        /// More than 64 of the presented certificates may stand on a path and none was found among those, or finding
        /// one would take more work than is allowed.
        TooComplex = "too_complex",
        /// A key on the path is on the verifier's list of withdrawn ones, whatever the trust store says.
        Distrusted = "distrusted",
        /// A certificate on the path is not of version 3 (RFC 5280 §4.1.2.1).
        UnsupportedVersion = "unsupported_version",
        /// A certificate on the path has a critical extension that is not understood (RFC 5280 §4.2).
        CriticalExtension = "critical_extension",
        /// A certificate on the path, or one that may belong there, cannot be parsed.
        Malformed = "malformed",
        /// The handshake was signed with another key than the certificate's (RFC 8446 §4.4.3).
        KeyProofFailed = "key_proof_failed",
    }
}

vocabulary! {
    /// Why the server name is not among the presented names.
    NameReason {
        /// The certificate lists other names.
        NotListed = "not_listed",
        /// A wildcard covers one label, and the name is deeper or shorter (RFC 9525 §6.3).
        WildcardDepth = "wildcard_depth",
        /// Only the common name carries it, which clients no longer read (RFC 9525 §2).
        CnOnly = "cn_only",
        /// The certificate lists no name of this kind at all.
        NoSan = "no_san",
        /// The server name is an IP address that the certificate does not list.
        IpReference = "ip_reference",
    }
}

vocabulary! {
    /// What a stapled OCSP response says of the certificate (RFC 6960 §2.2).
    OcspStatus {
        /// It is not revoked.
        Good = "good",
        /// It is revoked, for good or for a while.
        Revoked = "revoked",
        /// The responder does not know the certificate.
        Unknown = "unknown",
    }
}

vocabulary! {
    /// What is wrong with a stapled OCSP response (RFC 6960).
    OcspReason {
        /// The certificate demands a staple (RFC 7633), and the server sent none.
        StapleMissing = "staple_missing",
        /// The staple's nextUpdate has passed (RFC 6960 §4.2.2.1).
        StapleStale = "staple_stale",
        /// The staple cannot be parsed, is over the bounds on its size or reports an error; or it is for another
        /// certificate; or neither the certificate's issuer nor a responder that it certified for this (RFC 6960
        /// §4.2.2.2) signed it, with an algorithm that can be checked; or the responder's certificate is not valid
        /// now; or thisUpdate is more than five minutes ahead. A signature is not judged while no key is known that made
        /// the certificate's own.
        StapleInvalid = "staple_invalid",
        /// A staple that is signed as it must be says that the certificate is revoked, however old the staple is.
        Revoked = "revoked",
    }
}

vocabulary! {
    /// Why a probe failed on this machine's side: nothing is said about the server.
    LocalReason {
        /// No file descriptor was free (EMFILE, ENFILE).
        FileDescriptors = "file_descriptors",
        /// The kernel had no buffer or memory to spare (ENOBUFS, ENOMEM).
        Buffers = "buffers",
        /// No local address or port was free (EADDRNOTAVAIL).
        LocalAddress = "local_address",
        /// This machine's rules forbid the connection (EACCES, EPERM).
        Forbidden = "forbidden",
        /// This machine has no route to the address (ENETUNREACH).
        NoRoute = "no_route",
        /// The exporter itself was over a second late while the probe timed out.
        Overloaded = "overloaded",
        /// A probe ended by a defect of the exporter.
        Defect = "defect",
    }
}

vocabulary! {
    /// Why an address is not probed.
    SkipReason {
        /// The target has more addresses than `limits.backends_per_target`.
        Cap = "cap",
        /// This machine has no IPv6 route (`ip_family: auto`).
        NoRoute = "no_route",
    }
}

vocabulary! {
    /// Where a name leads, held against the backends of another one.
    Resolves {
        /// To all of these backends, and nowhere else.
        All = "all",
        /// To a part of these backends, and nowhere else.
        Part = "some",
        /// To an address that is none of these backends, perhaps beside some of them.
        Elsewhere = "elsewhere",
        /// It has no address.
        Nowhere = "nowhere",
        /// It could not be found out.
        Unknown = "unknown",
    }
}

vocabulary! {
    /// What a piece of advice is about.
    AdviceKind {
        /// Another name is on the certificates of all backends and leads to them.
        UseAlternateName = "use_shared_name",
        /// A name is on the certificates of all backends, but does not lead to all of them and nowhere else, or it is not
        /// known whether it does.
        AlternateNameElsewhere = "shared_name_elsewhere",
        /// No name was found that all backends carry: the name of one, at the cost of redundancy.
        UseBackendName = "use_backend_name",
        /// Certificates lack the server name and have to be issued anew.
        Reissue = "reissue",
        /// Mail that is queued keeps the name that it was queued with.
        QueuedMail = "queued_mail",
        /// A wildcard stands for one label only (RFC 9525 §6.3).
        WildcardDepth = "wildcard_depth",
        /// An IP address is asked for that the certificate does not carry.
        IpReference = "ip_reference",
        /// An intermediate is not sent.
        MissingIntermediate = "missing_intermediate",
        /// The certificate signed itself.
        SelfSigned = "self_signed",
        /// No path leads to a trusted root.
        UnknownIssuer = "unknown_issuer",
        /// The chain is refused for something else.
        BadChain = "bad_chain",
        /// A certificate has expired.
        Expired = "expired",
        /// A certificate is about to expire: in less than 14 days, or in less than a fifth of its lifetime where that is
        /// shorter.
        ExpiresSoon = "expires_soon",
        /// A certificate begins within a day: a clock is wrong.
        Clock = "clock",
        /// A certificate is issued for later.
        NotYetValid = "not_yet_valid",
        /// Some backends present a renewed certificate, others an older one for the same names.
        RenewedPartly = "renewed_partly",
        /// The certificate on disk is another one than is served.
        NotReloaded = "not_reloaded",
        /// The certificate on disk cannot be read.
        FileUnreadable = "file_unreadable",
        /// A name that the config expects is missing.
        ExpectedName = "expected_name",
        /// The stapled OCSP response is wrong or missing.
        Staple = "staple",
        /// Servers offer no STARTTLS, or refuse it.
        StartTls = "starttls",
        /// The handshake fails.
        Handshake = "handshake",
        /// Servers cannot be reached, or do not speak SMTP as they should.
        Unreachable = "unreachable",
        /// Servers limit connections or rate.
        RateLimited = "rate_limited",
        /// Lookups fail.
        Dns = "dns",
        /// Name servers give different answers.
        NameServersDisagree = "nameservers_disagree",
    }
}

vocabulary! {
    /// How bad it is.
    Severity {
        /// Clients that land on these backends fail.
        Critical = "critical",
        /// Some clients fail, or all of them will soon.
        Warning = "warning",
        /// Good to know, or the way out of something worse.
        Info = "info",
    }
}
