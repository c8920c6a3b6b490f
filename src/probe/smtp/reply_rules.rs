//! What a reply that refuses the client says: one table, in which the first row that applies decides.
//!
//! Faults precede limits, so that a limit never hides a fault of the server. `docs/replies.md` is generated from the table.

use super::phrases::{ReplyText, status};
use super::reply::{Class, Reply};
use crate::reason::{RejectionCause, Stage};

/// A row of the table. It applies if each condition that is not empty holds.
#[derive(Clone, Copy, Debug)]
pub struct ReplyRule {
    /// What the reply says.
    pub cause: RejectionCause,
    /// What it answers: the connection (`greeting`), EHLO or STARTTLS, before TLS or inside it.
    pub to: &'static [Stage],
    /// The reply codes; a single digit means the class.
    pub codes: &'static [u16],
    /// Subject and detail of the enhanced code (RFC 3463 §2), whose class repeats that of the reply code.
    pub status: &'static [(u16, u16)],
    /// Phrases, one of which is in the text of all lines: `word*` means words with this beginning, `..` for words
    /// such as "concurrent", "SMTP" or "from", `@name` for a host name or URL that contains `name`, `@` for any.
    pub phrases: &'static [&'static str],
    /// The reply has no text besides the name of the server and its protocol.
    pub is_bare: bool,
    /// The server has requested a client certificate in this connection.
    pub is_certificate_requested: bool,
    /// Who sends such replies, or which specification defines them.
    pub source: &'static str,
}

impl ReplyRule {
    fn applies(
        &self,
        to: Stage,
        code: u16,
        reply_status: Option<(u16, u16)>,
        text: &ReplyText,
        is_bare: bool,
        requested: bool,
    ) -> bool {
        let is_code = |allowed: &u16| *allowed == code || *allowed == code / 100;
        (self.to.is_empty() || self.to.contains(&to))
            && (self.codes.is_empty() || self.codes.iter().any(is_code))
            && (self.status.is_empty() || reply_status.is_some_and(|status| self.status.contains(&status)))
            && (self.phrases.is_empty() || text.contains_any(self.phrases))
            && (!self.is_bare || is_bare)
            && (!self.is_certificate_requested || requested)
    }
}

/// What `reply` says. `to` is what it answers: [`Stage::Greeting`], [`Stage::Ehlo`] or [`Stage::StartTls`].
/// `is_certificate_requested`: whether the server has requested a client certificate in this connection. None if the reply
/// does not refuse the client, or gives no cause that the table knows.
pub fn cause(to: Stage, reply: &Reply, is_certificate_requested: bool) -> Option<RejectionCause> {
    if !matches!(reply.class(), Class::Transient | Class::Permanent) {
        return None;
    }
    let lines: Vec<_> = reply.lines().collect();
    let text = ReplyText::new(lines.iter().map(AsRef::as_ref));
    // In greetings, the server's name may precede the enhanced code.
    let reply_status = lines.iter().find_map(|line| line.split_whitespace().take(2).find_map(status));
    // Text that cannot be read, for example in another character set, may say anything.
    let is_bare = text.is_bare() && !reply.has_unreadable_text();
    let applies =
        |rule: &&ReplyRule| rule.applies(to, reply.code, reply_status, &text, is_bare, is_certificate_requested);
    let rule = REPLY_RULES.iter().find(applies);
    rule.map(|rule| rule.cause)
}

const ANY: ReplyRule = ReplyRule {
    cause: RejectionCause::Closing,
    to: &[],
    codes: &[],
    status: &[],
    phrases: &[],
    is_bare: false,
    is_certificate_requested: false,
    source: "",
};

/// The table.
pub const REPLY_RULES: &[ReplyRule] = {
    use RejectionCause as Cause;
    use Stage::{Ehlo, Greeting, StartTls};
    &[
        ReplyRule {
            cause: Cause::ServerFault,
            phrases: &["server configuration error"],
            source: "Postfix smtpd_check.c (451 4.3.5 <name>: Helo command rejected: Server configuration error)",
            ..ANY
        },
        ReplyRule {
            cause: Cause::BlocklistUnusable,
            phrases: &[
                "open resolver*",
                "public resolver*",
                "excessive number of queries",
                "@/returnc/",
                "@127.255.255.",
            ],
            source: "Spamhaus: return codes 127.255.255.0/24, which are errors and no listings",
            ..ANY
        },
        ReplyRule {
            cause: Cause::EhloName,
            to: &[Ehlo],
            phrases: &[
                "helo command rejected",
                "helo command blocked",
                "helo command @ blocked",
                "helo name .. not",
                "ehlo name .. not",
                "helo name does not",
                "ehlo name does not",
                "bad helo",
                "bad ehlo",
                "invalid helo",
                "invalid ehlo",
            ],
            source: "Postfix smtpd_check.c: the text that follows may be that of any rule of the administrator",
            ..ANY
        },
        ReplyRule {
            cause: Cause::TlsUnavailable,
            phrases: &[
                "tls not available",
                "tls is not available",
                "tls .. unavailable",
                "tls not currently available",
                "tls initialization failed",
                "initialize tls",
                "starttls not available",
                "starttls unavailable",
            ],
            source: "Postfix smtpd.c, Sendmail srvrsmtp.c, Exim smtp_in.c; RFC 3207 §4",
            ..ANY
        },
        ReplyRule {
            cause: Cause::TlsUnavailable,
            to: &[StartTls],
            phrases: &[
                "certificate*",
                "no certificate*",
                "private key",
                "no private key",
                "key file",
                "security subsystem",
                "local problem",
                "local error",
            ],
            source: "TLS patch of netqmail (qmail-smtpd.c: 454 TLS missing certificate)",
            ..ANY
        },
        ReplyRule {
            cause: Cause::ServerFault,
            phrases: &[
                "local problem",
                "local error",
                "local data error",
                "configuration error",
                "configuration problem",
                "internal error",
                "internal server error",
                "internal failure",
                "mail system error",
                "system problem",
                "no system resources",
                "insufficient system resources",
                "insufficient resources",
                "insufficient space",
                "disk space",
                "no disk space",
                "no space left",
                "disk full",
                "disk is full",
                "space shortage",
                "out of disk",
                "out of memory",
                "too many open files",
                "fork failed",
                "unable to fork",
                "downstream server error",
            ],
            source: "Postfix smtpd.c and postscreen_smtpd.c, Exim daemon.c, smtp_in.c and globals.c, Sendmail srvrsmtp.c, \
                     Exchange (back pressure), Gmail",
            ..ANY
        },
        ReplyRule {
            cause: Cause::ServerFault,
            status: &[(3, 1), (3, 5)],
            source: "RFC 3463 §3.4: X.3.1 mail system full, X.3.5 system incorrectly configured",
            ..ANY
        },
        ReplyRule {
            cause: Cause::Blocklisted,
            phrases: &[
                "blocked using",
                "blocklist*",
                "blacklist*",
                "block list*",
                "black list*",
                "blocked list",
                "denylist*",
                "dnsbl*",
                "rbl*",
                "spamhaus*",
                "spamcop*",
                "@ .. listed",
                "ip .. listed",
                "ip address .. listed",
                "your address .. listed",
                "address is listed",
                "addresses are listed",
                "client .. listed",
                "host .. listed",
                "sender .. listed",
                "server is listed",
                "domain is listed",
                "network is listed",
                "range is listed",
                "you are listed",
                "been listed",
                "@spamhaus.org",
                "@spamcop.net",
                "@barracudacentral.org",
                "@sorbs.net",
            ],
            source: "Postfix default_rbl_reply, Exchange (connection filtering), Outlook.com (S3150)",
            ..ANY
        },
        ReplyRule {
            cause: Cause::Greylisted,
            phrases: &["greylist*", "graylist*", "grey list*", "gray list*"],
            source: "RFC 6647 §5.1; Postgrey, Rspamd",
            ..ANY
        },
        ReplyRule {
            cause: Cause::ReverseDns,
            phrases: &[
                "reverse dns",
                "reverse hostname",
                "reverse host name",
                "reverse lookup",
                "reverse ip",
                "reverse address",
                "rdns",
                "no reverse",
                "no rdns",
                "no ptr",
                "ptr",
                "find your hostname",
                "find your host name",
                "resolve your address",
                "resolve your ip",
            ],
            source: "Postfix reject_unknown_client_hostname, Sendmail require_rdns, Gmail",
            ..ANY
        },
        ReplyRule { cause: Cause::ReverseDns, status: &[(7, 25)], source: "RFC 7372 §3.3", ..ANY },
        ReplyRule {
            cause: Cause::ServerFault,
            codes: &[4],
            phrases: &[
                "database*",
                "mysql*",
                "mariadb*",
                "postgres*",
                "pgsql*",
                "sqlite*",
                "sql error",
                "ldap*",
                "redis*",
                "memcache*",
                "backend*",
                "upstream*",
                "back end*",
                "temporary lookup failure",
                "table lookup failure",
                "user lookup",
                "lookup impossible",
                "resources exhausted",
                "resource exhausted",
                "out of resources",
                "unable to connect to",
                "could not connect to",
                "failed to connect to",
            ],
            source: "Postfix smtpd_check.c (451 4.3.0 Temporary lookup failure); servers that repeat the error of a database, \
                     whose limit it is then",
            ..ANY
        },
        ReplyRule {
            cause: Cause::ServerFault,
            codes: &[4],
            status: &[(4, 1)],
            source: "RFC 3463 §3.5: X.4.1 no answer from host, which is the next server and not the client",
            ..ANY
        },
        ReplyRule {
            cause: Cause::AccessDenied,
            phrases: &[
                "limited to auth*",
                "limited to internal",
                "limited to local",
                "limited to permitted",
                "limited to trusted",
                "restricted to auth*",
                "restricted to internal",
                "restricted to local",
                "restricted to permitted",
                "restricted to trusted",
                "access .. restricted",
            ],
            source: "Access rules that mention no limit",
            ..ANY
        },
        ReplyRule {
            cause: Cause::AccessDenied,
            codes: &[5],
            phrases: &["dynamic ip*", "dynamic address*", "dynamic range*", "dialup*", "dial up", "residential ip*"],
            source: "Rules against clients with dynamic addresses (T-Online: Dialup/transient IP)",
            ..ANY
        },
        ReplyRule {
            cause: Cause::IdleTimeout,
            phrases: &[
                "connection time limit",
                "maximum connection time",
                "max connection time",
                "session time limit",
                "connection lifetime",
                "session lifetime",
                "maximum lifetime",
                "max lifetime",
                "maximum duration",
                "max duration",
                "idle connection*",
                "idle session*",
            ],
            source: "Limits of the duration of a connection, not of the number of connections",
            ..ANY
        },
        ReplyRule {
            cause: Cause::IdleTimeout,
            codes: &[421, 451],
            status: &[(4, 2)],
            source: "RFC 3463 §3.5: X.4.2 bad connection",
            ..ANY
        },
        ReplyRule {
            cause: Cause::ProtocolError,
            phrases: &[
                "synchronization error",
                "synchronisation error",
                "synchronization lost",
                "synchronisation lost",
            ],
            source: "Exim smtp_in.c (554): the client sends too early, which is not a rate",
            ..ANY
        },
        ReplyRule {
            cause: Cause::ConnectionLimit,
            phrases: &[
                "too many .. connect*",
                "too many .. clients",
                "too much .. connection*",
                "too many .. session*",
                "many .. connections",
                "no more .. connection*",
                "connection* .. limit*",
                "connection* .. exceed*",
                "exceed* .. connection*",
                "accept* more connections",
                "any more .. connection*",
                "connections per",
                "connection per",
                "already .. connection*",
                "reduce .. connection*",
                "connections .. @ .. limited",
                "number of connections restricted",
                "number of connections is restricted",
                "connection .. quota",
                "connection rate",
                "connection frequency",
                "frequency limit*",
                "session* .. limit*",
                "session* .. exceed*",
                "limits for how many",
                "concurrency limit*",
                "concurrent .. limit*",
                "limit* .. connection*",
                "limit .. sessions",
                "max .. connection*",
                "maximum .. connection*",
                "maximum .. sessions",
                "maximum allowed connection*",
                "rate limit*",
                "rate control*",
                "ratelimit*",
                "rate exceed*",
                "rate has exceed*",
                "exceed* the rate",
                "exceed* your rate",
                "unusual rate",
                "excessive rate",
                "excessive .. connection*",
                "high rate",
                "high .. connection rate",
                "unexpected volume",
                "excessive volume",
                "throttl*",
                "slow down",
                "slower",
                "too fast",
                "too quickly",
                "too frequent*",
                "too often",
                "trop de connexions",
                "viele verbindungen",
            ],
            source: "Postfix smtpd.c (421 4.7.0, 450 4.7.1, 454 4.7.0), Exim daemon.c and smtp_in.c, Sendmail conncontrol, \
                     ratecontrol and daemon.c, Exchange (421 and 432 4.3.2), Outlook.com (451 4.7.650 and 4.7.652, 421 \
                     RP-001), Gmail (421 4.7.0 and 4.7.28), Yahoo (TSS04), Cisco (421 #4.4.5), Amazon SES",
            ..ANY
        },
        ReplyRule {
            cause: Cause::ConnectionLimit,
            status: &[(7, 28)],
            source: "IANA registry of enhanced status codes: X.7.28 mail flood detected; Gmail",
            ..ANY
        },
        ReplyRule {
            cause: Cause::ClientCertificate,
            to: &[Greeting, Ehlo],
            phrases: &[
                "client cert*",
                "clients cert*",
                "no client cert*",
                "without client cert*",
                "without .. certificate*",
                "your .. certificate*",
                "tls client auth*",
                "ssl client auth*",
                "certificate required",
                "certificate is required",
                "requires .. certificate*",
            ],
            source: "Postfix smtpd.c (421 4.7.1 No client certificate presented)",
            ..ANY
        },
        ReplyRule {
            cause: Cause::TlsUnavailable,
            to: &[StartTls],
            codes: &[454],
            source: "RFC 3207 §4: 454 TLS not available due to temporary reason",
            ..ANY
        },
        ReplyRule {
            cause: Cause::IdleTimeout,
            codes: &[421, 451],
            phrases: &["timeout", "timed out", "time out", "time limit", "idle"],
            source: "Postfix smtpd.c and postscreen_smtpd.c (421 4.4.2), Exim smtp_in.c, Gmail (451 4.4.2)",
            ..ANY
        },
        ReplyRule {
            cause: Cause::NoMailService,
            codes: &[5],
            status: &[(3, 2)],
            phrases: &["not accept mail", "not accept email", "not accept messages", "doesnt accept mail"],
            source: "RFC 7504 §3: 521 5.3.2; not to be confused with X.3.2 of a server that is in service again later",
            ..ANY
        },
        ReplyRule {
            cause: Cause::ServerUnavailable,
            codes: &[4],
            phrases: &[
                "busy",
                "overload*",
                "at capacity",
                "load too high",
                "too much load",
                "high load",
                "load average",
                "shutting down",
                "shut down",
                "maintenance",
                "connection slots",
                "service .. unavailable",
                "service .. not available",
                "service not currently available",
                "server .. unavailable",
                "server .. not available",
                "server not currently available",
                "temporarily unavailable",
                "technical problem*",
                "technical difficulties",
                "temporary problem",
                "not accepting",
                "temporary failure",
                "temporary error",
                "temporary system failure",
            ],
            source: "Postfix smtpd.c and postscreen_smtpd.c (421 4.3.2), Exim daemon.c, OpenSMTPD smtp_session.c, Gmail (421 \
                     4.4.5); RFC 5321 §4.2.3",
            ..ANY
        },
        ReplyRule {
            cause: Cause::ServerUnavailable,
            status: &[(3, 2), (4, 5)],
            source: "RFC 3463 §3.4 and §3.5: X.3.2 system not accepting network messages, X.4.5 mail system congestion; \
                     Exchange",
            ..ANY
        },
        ReplyRule {
            cause: Cause::StartTlsRequired,
            to: &[Greeting, Ehlo],
            phrases: &["starttls", "tls required", "encryption required", "requires tls"],
            source: "RFC 3207 §4: 530 Must issue a STARTTLS command first, which servers must not send to EHLO",
            ..ANY
        },
        ReplyRule {
            cause: Cause::EhloUnsupported,
            to: &[Ehlo],
            codes: &[500, 502],
            source: "RFC 5321 §4.2.4 and §4.3.2",
            ..ANY
        },
        ReplyRule {
            cause: Cause::EhloUnsupported,
            to: &[Ehlo],
            phrases: &[
                "command not implemented",
                "command not recognized",
                "command not supported",
                "command unrecognized",
                "command unknown",
                "unrecognized command",
                "unknown command",
                "ehlo not supported",
                "ehlo not implemented",
            ],
            source: "The texts of RFC 5321 §4.2.2 with another code",
            ..ANY
        },
        ReplyRule {
            cause: Cause::ProtocolError,
            phrases: &[
                "protocol error",
                "protocol violation",
                "pipelining",
                "bad sequence",
                "out of sequence",
                "break rules",
                "pregreet*",
            ],
            source: "Postfix postscreen_smtpd.c (550 and 521 5.5.1), Exim smtp_in.c (554); RFC 5321 §4.3.2",
            ..ANY
        },
        ReplyRule {
            cause: Cause::ProtocolError,
            codes: &[503],
            source: "RFC 5321 §4.2.3: 503 bad sequence of commands",
            ..ANY
        },
        ReplyRule {
            cause: Cause::AccessDenied,
            phrases: &[
                "client host rejected",
                "helo not permitted",
                "ehlo not permitted",
                "helo not allowed",
                "ehlo not allowed",
                "ehlo command not permitted",
                "ehlo command not allowed",
            ],
            source: "Postfix smtpd_client_restrictions: the text that follows may mention host names",
            ..ANY
        },
        ReplyRule {
            cause: Cause::EhloName,
            to: &[Ehlo],
            phrases: &[
                "helo",
                "ehlo",
                "fqdn",
                "fully qualified",
                "invalid domain",
                "invalid host*",
                "invalid name",
                "domain name",
                "host name",
                "hostname",
            ],
            source: "Postfix smtpd_helo_restrictions, Exim helo_verify_hosts (550 and 451), OpenSMTPD smtp_session.c (501)",
            ..ANY
        },
        ReplyRule {
            cause: Cause::ClientCertificate,
            phrases: &[
                "certificate*",
                "no .. certificate*",
                "without .. certificate*",
                "certificate* .. not",
                "cert",
                "no .. cert",
                "not authenticated",
            ],
            is_certificate_requested: true,
            source: "Sendmail srvrsmtp.c (403 4.7.0 not authenticated)",
            ..ANY
        },
        ReplyRule {
            cause: Cause::EhloName,
            to: &[Ehlo],
            codes: &[501, 504],
            source: "RFC 5321 §4.2.3 and §4.3.2: the argument of EHLO is not valid or not accepted",
            ..ANY
        },
        ReplyRule {
            cause: Cause::AccessDenied,
            phrases: &[
                "denied",
                "rejected",
                "refused",
                "not allowed",
                "not permitted",
                "not authorized",
                "not authenticated",
                "unauthorized",
                "forbidden",
                "prohibited",
                "banned",
                "blocked",
                "go away",
                "not welcome",
                "reputation",
                "policy",
                "whitelist*",
                "not .. whitelist*",
                "allowlist*",
                "not .. allowlist*",
                "authentication required",
                "smtp service not available",
            ],
            source: "Postfix smtpd_client_restrictions, Exim host_reject_connection (554) and ACLs, Sendmail access_db, Gmail \
                     (421 4.7.0 IP not in whitelist)",
            ..ANY
        },
        ReplyRule {
            cause: Cause::AccessDenied,
            codes: &[5],
            phrases: &["your ip", "connecting ip", "source of spam", "not accepting messages"],
            source: "Sendmail srvrsmtp.c (554 ESMTP not accepting messages); texts that name the address of the \
                     client as the reason",
            ..ANY
        },
        ReplyRule {
            cause: Cause::NoMailService,
            phrases: &["no smtp service", "no mail service", "not accept mail", "no smtp here"],
            source: "RFC 5321 §3.1: 554 No SMTP service here; RFC 7504 §3",
            ..ANY
        },
        ReplyRule {
            cause: Cause::AccessDenied,
            codes: &[5],
            status: &[(7, 0), (7, 1)],
            source: "RFC 3463 §3.8: X.7.1 delivery not authorized, message refused",
            ..ANY
        },
        ReplyRule {
            cause: Cause::NoMailService,
            to: &[Greeting],
            codes: &[521, 554],
            is_bare: true,
            source: "RFC 5321 §4.2.3 and §4.3.2: 554 in place of the greeting; RFC 7504 §3: 521",
            ..ANY
        },
        ReplyRule {
            cause: Cause::Closing,
            codes: &[421],
            source: "RFC 5321 §3.8: 421 announces that the server closes the connection",
            ..ANY
        },
    ]
};

#[cfg(test)]
mod tests;
