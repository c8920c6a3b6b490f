//! Replies as servers send them. Each line is a reply, `/` separates its lines.

use super::super::phrases::FILLERS;
use super::super::reply::ReplyDecoder;
use super::*;
use RejectionCause as Cause;
use Stage::{Ehlo, Greeting, StartTls};

fn reply(text: &str) -> Reply {
    let lines: Vec<&str> = text.split(" / ").collect();
    let (last, first) = lines.split_last().expect("a line");
    let bytes: String =
        first.iter().map(|line| line.replacen(' ', "-", 1) + "\r\n").collect::<String>() + last + "\r\n";
    let (_, reply) = ReplyDecoder::default().decode(bytes.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    reply.expect("a complete reply")
}

#[track_caller]
fn check(to: Stage, expected: Option<Cause>, texts: &[&str]) {
    check_with(false, to, expected, texts);
}

#[track_caller]
fn check_with(is_certificate_requested: bool, to: Stage, expected: Option<Cause>, texts: &[&str]) {
    for text in texts {
        for variant in [(*text).to_owned(), text.to_uppercase(), text.to_lowercase()] {
            assert_eq!(cause(to, &reply(&variant), is_certificate_requested), expected, "{variant} to {to}");
        }
    }
}

#[test]
fn finds_limits_of_connections_and_their_rate() {
    let limits = [
        "421 4.7.0 mail.example.com Error: too many connections from 192.0.2.1",
        "450 4.7.1 mail.example.com Error: too many connections",
        "450 4.7.1 Client host rejected: connection rate exceeded",
        "450 4.7.1 <unknown[192.0.2.1]>: Client host rejected: too many connections from your host",
        "421 Too many concurrent SMTP connections; please try again later.",
        "421 mail.example.com: Too many concurrent SMTP connections; please try again later",
        "421 Too many concurrent SMTP connections from this IP address; please try again later.",
        "421 too many connections",
        "421 Too many connections",
        "421 4.3.2 Too many open connections.",
        "421 4.3.2 Connection rate limit exceeded.",
        "452 4.3.2 Connection rate limit exceeded.",
        "421 Too many SMTP sessions for this host",
        "421 #4.4.5 Too many connections from your host.",
        "421 #4.4.5 Too many TLS sessions at this time",
        "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel",
        "421 4.3.2 The maximum number of concurrent server connections has exceeded a per-source limit, closing transmission \
         channel",
        "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information.",
        "451 4.7.652 The mail server [192.0.2.1] has exceeded the maximum number of connections. (S3115)",
        "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. (S775)",
        "421 RP-001 The mail server IP connecting to the server has exceeded the rate limit allowed.",
        "421 PR(ct1) The mail server IP connecting to Windows Live Hotmail server has exceeded the connection limit allowed.",
        "421 4.7.28 [192.0.2.1] Our system has detected an unusual rate of / 421 4.7.28 unsolicited mail originating from \
         your IP address. To protect our / 421 4.7.28 users from spam, mail sent from your IP address has been temporarily / \
         421 4.7.28 rate limited. - gsmtp",
        "421 4.7.0 [192.0.2.1 15] Our system has detected an unusual rate of / 421 4.7.0 unsolicited mail originating from \
         your IP address.",
        "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints",
        "421 4.7.28 gsmtp",
        "454 4.7.0 Error: too many new TLS sessions from 192.0.2.1",
        "421 Server busy, too many connections from your IP",
        "421 mail.example.com Service not available, closing / 421 too many connections from your address",
        "421 4.7.0 mail.example.com wait / 421 4.7.0 too many / 421 4.7.0 simultaneous connections",
        "550 Connection frequency limited",
        "554 5.7.1 Too many connections",
        "421 Trop de connexions, veuillez verifier votre configuration",
        "421 You are connecting too often, slow down",
        "421 Maximum connections reached",
        "421 rate-limited",
        "421 4.7.0 Throttled",
        "421 server is not currently available, possibly due to too many connections",
        "421 Too many connections are not permitted",
        "421 Too many connects from your address",
        "421 too many clients",
        "421 4.7.1 - Connection refused - 192.0.2.1 - Too many concurrent connections (10) from source IP",
        "421 4.7.0 192.0.2.1 has been temporarily blocked due to too many connections",
        "554 5.5.0 connection refused because your server has exceeded the number of connections",
        "421 RP-001 Unfortunately, some messages from 192.0.2.1 weren't sent. Please try again. We have limits for how many \
         messages can be sent per hour and per day.",
        "421 Unable to open the SMTP session: Connection limit per IP reached",
        "421 Cannot accept more connections at this time",
        "421 max connections per host reached",
        "421 Concurrent sessions exceeded",
        "421 Excessive number of connections",
        "421 4.7.0 TLS handshake rate limit exceeded",
        "421 4.7.0 Number of connections restricted to 5 per host",
        "421 4.7.0 mail.example.com cannot accept any more connections",
        "421 mail.example.com Only 2 connections per IP allowed",
        "421 Already 10 connections from your IP",
        "450 4.7.1 Max. 10 concurrent connections per IP",
        "421 4.3.2 Please reduce the number of concurrent connections",
        "421 mx1.example.com too many / 421 mx1.example.com connections from 192.0.2.1",
        "421 4.7.0 mx1.example.com too many / 421 4.7.0 mx1.example.com connections from 192.0.2.1",
        "554 5.7.1 Only one connection per client allowed",
        "421 4.7.0 Too many connections with this EHLO name",
        "421 4.7.0 Connections from [192.0.2.1] are limited to 5",
        "421 Maximum 5 connections per IP address are allowed",
        "454 4.7.0 Connection rate limit exceeded for clients without certificate",
    ];
    check(Greeting, Some(Cause::ConnectionLimit), &limits);
    check(Ehlo, Some(Cause::ConnectionLimit), &limits);
    check(StartTls, Some(Cause::ConnectionLimit), &limits);
}

#[test]
fn does_not_take_other_replies_for_limits() {
    let closing = [
        "421 4.7.0 Try again later",
        "421 4.7.0 Try again later, closing connection",
        "421",
        "421 mail.example.com closing connection",
        "421 4.7.0 mail.example.com closing connection",
        "421 4.7.0 mail.example.com Error: too many errors",
        "421 4.7.1 Intrusion prevention active for [192.0.2.1]",
        "421 too many messages in this connection",
        "421 too-many-connections.example.com goodbye",
        "421 mail.example.com goodbye, not because of a rate limit",
        "421 4.7.0 no rate limit applies to you, goodbye",
        "421 4.7.0 you haven't exceeded our rate limits, goodbye",
    ];
    check(Greeting, Some(Cause::Closing), &closing);
    check(Ehlo, Some(Cause::Closing), &closing);
    check(StartTls, Some(Cause::Closing), &closing);
    check(Greeting, None, &["450 4.3.0 Please try again later.", "451 4.7.1 Please try again later", "550 5.0.0 no"]);
    check(Greeting, None, &["450", "550", "220 Too many connections", "250 too many connections", "354 rate limit"]);
    let out_of_service = [
        "421 4.3.2 Service not available",
        "421 mail.example.com Service not available, closing transmission channel",
        "421 4.3.2 System not accepting network messages",
        "421 4.3.2 Service currently unavailable",
        "421 4.3.2 All server ports are busy",
        "421 4.3.2 All screening ports are busy",
        "421 4.4.5 Server busy, try again later.",
        "421 Too much load; please try again later.",
        "421 mail.example.com: Too much load; please try again later",
        "421 mail.example.com is shutting down",
        "451 SMTP service not available",
        "421 4.3.0 Temporary Error",
        "421 4.7.0 mail.example.com Service unavailable - try again later",
        "450 4.7.1 Server busy. Please try again later from [192.0.2.1]. (S775)",
        "421 Server is at capacity, connection rejected",
    ];
    check(Greeting, Some(Cause::ServerUnavailable), &out_of_service);
}

#[test]
fn finds_faults_before_limits() {
    check(
        StartTls,
        Some(Cause::TlsUnavailable),
        &[
            "454 4.7.0 TLS not available due to local problem",
            "454 4.3.0 TLS not available due to local problem",
            "454 TLS not available due to temporary reason",
            "454 TLS not available",
            "454 TLS currently unavailable",
            "451 TLS currently unavailable",
            "454 4.3.3 TLS not available after start",
            "503 5.5.0 TLS not available",
            "454 TLS missing certificate: error:0200100D:system library:fopen:Permission denied (#4.3.0)",
            "454 4.3.0 Try again later",
            "454",
            "451 cannot load private key",
            "554 5.7.0 certificate could not be read",
            "421 4.7.0 TLS not available",
            "454 4.7.0 TLS not available, too many connections to the key server",
            "454 4.7.0 too many TLS sessions / 454 4.7.0 TLS not available due to local problem",
            "454 4.7.0 Not a rate limit: TLS not available",
            "454 4.7.0 TLS not available: connection rate limit exceeded",
            "554 5.7.3 Unable to initialize security subsystem",
            "454 4.7.28 TLS not available due to local problem",
        ],
    );
    check(StartTls, None, &["501 5.5.4 Syntax error (no parameters allowed)", "530 no"]);
    let faults = [
        "451 Temporary local problem",
        "421 Temporary local problem - please try later",
        "421 4.3.0 mail.example.com Server local error",
        "421 4.3.0 mail.example.com Server local data error",
        "421 4.3.5 Server configuration error",
        "421 4.3.0 Mail system error",
        "421 4.3.0 Temporary System Problem. Try again later",
        "421 Local configuration error; please try again later",
        "452 4.4.5 insufficient disk space; try again later",
        "452 4.3.1 Insufficient system resources",
        "452 Space shortage, please try later",
        "421 4.3.2 No system resources",
        "421 Internal server error",
        "421 4.3.1 mail system full",
        "421 Temporary local problem: too many connections to the database",
        "451 4.3.5 try again later",
        "421 4.4.1 Unable to connect to backend",
        "421 4.4.1 no answer",
        "421 4.3.0 Cannot connect to the database, too many connections",
        "421 mysql error: Too many connections",
        "421 4.3.0 Temporary lookup failure: connect to mysql server: Too many connections",
        "421 4.4.1 Unable to connect to backend: too many connections",
        "421 4.3.2 LDAP connection limit exceeded, user lookup impossible",
        "421 4.3.2 Too many connections, system resources exhausted",
        "451 4.3.0 <probe.example.net>: Temporary lookup failure",
        "451 4.3.5 <probe.example.net>: Helo command rejected: Server configuration error",
        "421 PostgreSQL: FATAL: sorry, too many clients already",
        "421 4.3.0 SQL error: too many connections",
        "421 4.3.2 cannot connect to upstream, too many connections",
    ];
    check(Greeting, Some(Cause::ServerFault), &faults);
    check(Ehlo, Some(Cause::ServerFault), &faults);
}

#[test]
fn finds_what_is_wrong_with_the_client() {
    check(
        Ehlo,
        Some(Cause::EhloName),
        &[
            "504 5.5.2 <probe>: Helo command rejected: need fully-qualified hostname",
            "450 4.7.1 <probe.example.net>: Helo command rejected: Host not found",
            "554 5.7.1 <probe>: Helo command rejected: Access denied",
            "501 5.5.2 <[192.0.2.1]>: Helo command rejected: Invalid name",
            "501 5.5.4 Invalid domain name",
            "501 5.5.1 Invalid command argument: EHLO requires domain name",
            "501 Syntactically invalid EHLO argument(s)",
            "550 HELO should be a FQDN",
            "550 Access denied - Invalid HELO name (See RFC2821 4.1.1.1)",
            "550 You must HELO with a valid host name",
            "421 4.7.0 Too many invalid EHLO commands",
            "550 R1: HELO should be a FQDN or address literal (See RFC 2821 4.1.1.1)",
            "550 EHLO argument does not match calling host",
            "451 EHLO argument does not match calling host",
            "501 5.0.0",
            "504",
            "550 5.7.1 your hostname / 550 5.7.1 is not fully qualified",
            "554 5.7.1 Service unavailable; Helo command [probe.example.net] blocked using dbl.spamhaus.org; \
             https://www.spamhaus.org/query/domain/probe.example.net",
            "554 5.7.1 <probe.example.net>: Helo command rejected: blacklisted",
            "554 5.7.1 <probe.example.net>: Helo command rejected: listed in local badhelo",
            "421 4.7.0 <probe.example.net>: Helo command rejected: timeout looking up your name",
            "451 4.7.1 <probe>: Helo command rejected: Service unavailable; try later",
            "550 5.7.1 <probe.example.net>: Helo command rejected: Mail server misconfigured - connection limit for broken \
             HELO",
            "450 4.7.1 <probe.example.net>: Helo command rejected: Access denied by policy: connection rate ok",
            "450 4.7.1 <certificate-exporter.example.net>: Helo command rejected: Host not found",
            "550 5.7.1 Client sent bad EHLO name / 550 5.7.1 limit of connections is lower for such clients",
            "550 5.7.1 EHLO name does not match reverse DNS",
            "550 5.7.1 HELO name is not a name of 192.0.2.1 in reverse DNS",
        ],
    );
    check(
        Ehlo,
        Some(Cause::EhloUnsupported),
        &[
            "502 5.5.1 command not recognized",
            "500 5.5.1 Command unrecognized",
            "502",
            "550 EHLO command not supported",
        ],
    );
    let blocked = [
        "550 5.7.1 Client host blocked using zen.spamhaus.org",
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
        "550 5.7.1 Service unavailable, Client host [192.0.2.1] blocked using Spamhaus.",
        "554 5.7.1 Client host [192.0.2.1] listed in local table",
        "554 5.7.1 Your address has been listed by our administrators",
        "550 https://www.spamhaus.org/query/ip/192.0.2.1",
        "550 Your IP address 192.0.2.1 is listed at example.org",
        "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list",
        "554 Your IP (192.0.2.1) is listed in our DNSBL",
        "550 5.7.1 rejected, see https://www.spamhaus.org/query/ip/192.0.2.1",
        "550 5.7.1 part of your network is on our block list (S3150)",
        "554 gmx.net (mxgmx101) Nemesis ESMTP Service not available / 554 No SMTP service / 554 IP address is black listed.",
        "421 4.7.1 your address is blacklisted, too many connections were seen",
    ];
    check(Greeting, Some(Cause::Blocklisted), &blocked);
    check(Ehlo, Some(Cause::Blocklisted), &blocked);
    let unusable = [
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; Error: open resolver; \
         https://check.spamhaus.org/returnc/pub/192.0.2.53/",
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; Excessive Number of Queries | \
         https://check.spamhaus.org/returnc/vol/192.0.2.53/",
        "554 5.7.1 <probe.example.net>: Helo command rejected: Error: open resolver",
        "554 192.0.2.1 is listed in zen.example.org: 127.255.255.254",
    ];
    check(Greeting, Some(Cause::BlocklistUnusable), &unusable);
    check(Ehlo, Some(Cause::BlocklistUnusable), &unusable);
    check(
        Greeting,
        Some(Cause::Greylisted),
        &["450 4.2.0 greylisted", "451 4.7.1 Greylisting in action, please come back later", "421 Graylisted"],
    );
    check(
        Greeting,
        Some(Cause::ReverseDns),
        &[
            "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]",
            "550 5.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]",
            "550 5.7.25 no",
            "554 No PTR record",
        ],
    );
    let denied = [
        "554 5.7.1 Access denied",
        "554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied",
        "550 5.7.1 Go away",
        "554 SMTP service not available",
        "421 4.7.0 IP not in whitelist for RCPT domain, closing connection.",
        "554 5.7.1 no",
        "421 Connections are limited to authenticated hosts",
        "530 5.7.0 Authentication required",
        "554 Your IP address 192.0.2.1 is not whitelisted",
        "554 Sorry, dynamic IP range",
        "554 IP=192.0.2.1 - Dialup/transient IP. Use a mailgateway",
        "554 mx.example.com ESMTP not accepting messages",
        "521 Your IP 192.0.2.1 has been identified as a source of spam",
        "554 5.7.1 Rejected: see our rate limit policy; your IP is in a dynamic range",
        "554 5.7.1 <localhost[127.0.0.1]>: Client host rejected: Generic hostname, please use your ISP relay",
        "550 5.7.1 Command EHLO not permitted from 192.0.2.1",
        "554 5.7.1 Client host rejected: only hosts listed in our relay table may connect",
        "554 5.7.1 Connection refused for one of the reasons listed at https://mail.example.com/policy",
        "550 5.7.1 Access denied. To be unblocked, write to the address listed on https://mail.example.com/policy",
        "554 5.7.1 Only MX hosts listed in SPF may connect",
        "554 5.7.1 Access denied, the reasons are listed at https://mail.example.com/policy",
        "554 5.7.1 Your address is in our database of bad clients",
        "550 5.7.1 Your connecting IP is not in our allowlist",
        "550 5.7.1 Rejected by local configuration",
        "554 5.7.1 Access is restricted to known hosts",
    ];
    check(Greeting, Some(Cause::AccessDenied), &denied);
    check(Ehlo, Some(Cause::AccessDenied), &denied);
}

#[test]
fn finds_problems_of_the_protocol() {
    let protocol = [
        "550 5.5.1 Protocol error",
        "521 5.5.1 Protocol error",
        "554 SMTP synchronization error",
        "503 5.5.1 Bad sequence",
        "421 4.7.0 Your client sends data too fast, protocol synchronization lost",
    ];
    check(Greeting, Some(Cause::ProtocolError), &protocol);
    check(Ehlo, Some(Cause::ProtocolError), &protocol);
    check(Ehlo, Some(Cause::StartTlsRequired), &["530 5.7.0 Must issue a STARTTLS", "530 STARTTLS first"]);
    check(
        Greeting,
        Some(Cause::IdleTimeout),
        &[
            "421 4.4.2 timeout",
            "421 4.4.2 mail.example.com Error: timeout exceeded",
            "451 4.4.2 bad connection",
            "421 maximum connection time exceeded",
            "421 4.4.2 Connection exceeded maximum lifetime",
            "421 Session exceeded maximum duration",
            "421 Session lifetime exceeded",
            "421 4.4.2 Idle connection limit exceeded, closing",
            "421 Idle connection limit exceeded, closing",
        ],
    );
    check(Greeting, Some(Cause::NoMailService), &["554 No SMTP service here", "554", "521 Host does not accept mail"]);
    check(
        Greeting,
        Some(Cause::NoMailService),
        &[
            "554 5.7.1 mail.example.com No SMTP service here",
            "521 5.3.2 mx.example.com does not accept mail",
            "554 5.3.2 Host does not accept mail",
            "554 mx.example.com ESMTP",
            "554 5.0.0 mx.example.com ESMTP",
        ],
    );
    check(
        Greeting,
        None,
        &[
            "554 IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact tobr@rx.t-online.de to \
             clarify.)",
            "554 Transaction failed",
            "554 SMTP server down for maintenance",
            "554 https://mail.example.com/help",
        ],
    );
    check(Greeting, Some(Cause::ServerUnavailable), &["421 4.3.2 mx.example.com does not accept mail now"]);
}

#[test]
fn finds_replies_about_the_client_certificate() {
    let explicit = [
        "530 5.7.1 TLS client authentication required",
        "554 5.7.0 No valid client cert",
        "421 4.7.1 mail.example.com Error: No client certificate presented",
        "421 4.7.1 mail.example.com Error: Client certificate not trusted",
        "550 5.7.1 This service requires a certificate",
        "421 4.7.0 Service not available without a valid client certificate",
        "421 4.7.0 Service not available, your TLS certificate was not accepted",
    ];
    let implied = [
        "403 4.7.0 not authenticated",
        "554 5.7.1 no certificate",
        "554 5.7.1 unknown certificate",
        "554 5.7.1 certificate is not in our list",
    ];
    for to in [Greeting, Ehlo] {
        check_with(true, to, Some(Cause::ClientCertificate), &explicit);
        check_with(false, to, Some(Cause::ClientCertificate), &explicit);
        check_with(true, to, Some(Cause::ClientCertificate), &implied);
        // Host names, URLs, and what the client sent are not about a certificate.
        check_with(
            true,
            to,
            Some(Cause::ConnectionLimit),
            &[
                "421 4.7.0 certificate-mx.example.com Error: too many connections from 192.0.2.1",
                "454 4.7.0 Connection rate limit exceeded for clients without certificate",
            ],
        );
        check_with(
            true,
            to,
            Some(Cause::AccessDenied),
            &["554 5.7.1 Relay access denied: see https://certificates.example.com/help"],
        );
        check_with(
            true,
            to,
            Some(Cause::ServerFault),
            &["451 4.3.0 Temporary lookup failure of your client certificate"],
        );
    }
    check(Greeting, Some(Cause::AccessDenied), &["403 4.7.0 not authenticated"]);
    check_with(
        true,
        Ehlo,
        Some(Cause::EhloName),
        &["450 4.7.1 <certificate-exporter.example.net>: Helo command rejected: Host not found"],
    );
}

#[test]
fn finds_why_starttls_is_refused() {
    for (text, expected) in [
        ("421 4.3.2 mail.example.com Service shutting down", Some(Cause::ServerUnavailable)),
        ("421 4.4.2 mail.example.com Error: timeout exceeded", Some(Cause::IdleTimeout)),
        ("554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied", Some(Cause::AccessDenied)),
        ("550 5.7.1 STARTTLS not permitted on this port", Some(Cause::AccessDenied)),
        ("530 5.7.0 Authentication required", Some(Cause::AccessDenied)),
        ("451 4.7.1 Greylisted", Some(Cause::Greylisted)),
        ("503 5.5.1 Send hello first", Some(Cause::ProtocolError)),
        ("454 4.3.0 TLS library problem: too many open files", Some(Cause::ServerFault)),
        ("421 4.7.0 mail.example.com Error: too many errors", Some(Cause::Closing)),
        ("502 5.5.1 Command not implemented", None),
        ("501 5.5.4 Syntax error (no parameters allowed)", None),
    ] {
        check(StartTls, expected, &[text]);
    }
}

/// Text in another character set, or with control characters, is text, and only lines that are shown decide.
#[test]
fn unreadable_text_is_text() {
    for (bytes, to, expected) in [
        (&b"554\r\n"[..], Greeting, Some(Cause::NoMailService)),
        (b"554 mail.example.com ESMTP\r\n", Greeting, Some(Cause::NoMailService)),
        (b"554 mail.example.com\r\r\n", Greeting, Some(Cause::NoMailService)),
        (b"554 mail.example.com - ***\r\n", Greeting, Some(Cause::NoMailService)),
        ("554 mail.example.com \u{2013} ESMTP\r\n".as_bytes(), Greeting, Some(Cause::NoMailService)),
        (b"554 \xff\xfe\r\n", Greeting, None),
        (b"521 \xff\r\n", Greeting, None),
        (b"554 mail.example.com \xff\xfe\r\n", Greeting, None),
        (b"554-mail.example.com\r\n554 \xff\r\n", Greeting, None),
        // A dot between letters makes a name.
        (b"554 a\xff.\xffb.c\r\n", Greeting, None),
        // KOI8-R, Shift-JIS, ISO-2022-JP, Latin-1.
        (b"554 \xe4\xcf\xd3\xd4\xd5\xd0 \xda\xc1\xd0\xd2\xc5\xdd\xc5\xce\r\n", Greeting, None),
        (b"554 \x83\x41\x83\x4e\x83\x5a\x83\x58\x8b\x91\x94\xdb\r\n", Greeting, None),
        (b"554 \x1b$B5qH]\x1b(B\r\n", Greeting, None),
        (b"554 refus\xe9\r\n", Greeting, None),
        ("554 \u{274c}\r\n".as_bytes(), Greeting, None),
        ("554 \u{0434}\u{043e}\r\n".as_bytes(), Greeting, None),
        (b"554 \x00\x01\r\n", Greeting, None),
        (b"554 \x7f\r\n", Greeting, None),
        (b"554-mail.example.com\r\n554 \x07\r\n", Greeting, None),
        // The phrase is in a line that is not shown.
        (b"421 too many connections\x07\r\n", Greeting, Some(Cause::Closing)),
        (b"554 5.7.1 access denied\x1b[0m\r\n", Greeting, None),
        (b"554-access denied\r\n554 \x07\r\n", Greeting, Some(Cause::AccessDenied)),
        (b"554-access denied\r\n554 \xff\r\n", Greeting, Some(Cause::AccessDenied)),
        (b"421 too many connections\r\r\n", Greeting, Some(Cause::ConnectionLimit)),
        (b"554 \xff\xfe\r\n", Ehlo, None),
    ] {
        let (_, reply) = ReplyDecoder::default().decode(bytes).expect("a reply");
        let reply = reply.expect("a complete reply");
        assert_eq!(cause(to, &reply, false), expected, "{} to {to}", bytes.escape_ascii());
    }
}

#[test]
fn every_row_has_a_source_and_a_condition() {
    for rule in REPLY_RULES {
        assert!(!rule.source.is_empty() && !rule.source.contains("  "), "{rule:?}");
        assert!(!(rule.codes.is_empty() && rule.status.is_empty() && rule.phrases.is_empty()), "{rule:?}");
        for phrase in rule.phrases {
            assert_eq!(*phrase, phrase.to_lowercase(), "{rule:?}");
            // `..` takes all fillers, so that none can follow it.
            let after = phrase.split(".. ").skip(1).filter_map(|rest| rest.split(' ').next());
            assert!(after.into_iter().all(|word| !FILLERS.contains(&word)), "{phrase}");
        }
    }
    for cause in RejectionCause::ALL {
        assert!(REPLY_RULES.iter().any(|rule| rule.cause == *cause), "{cause}");
    }
}
