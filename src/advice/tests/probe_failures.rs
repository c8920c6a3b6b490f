//! Probes that fail, lookups that fail, and targets of other kinds.

use rustls_pki_types::PrivatePkcs8KeyDer;

use super::*;
use crate::reason::{ClientAuth, RejectionCause as Cause};
use crate::snapshot::{EndpointReport, ProbeReport};
use crate::target::{ClientCertificate, SubmissionTarget};

pub(super) fn cases() -> Vec<Case> {
    [failures(), lookups(), mail_exchangers()].into_iter().flatten().collect()
}

fn failures() -> Vec<Case> {
    let failing = |title, fixture: &EndpointFixture, stage, reason, detail: &str, expected| {
        let backends = ["192.0.2.11", "192.0.2.12"].map(|address| fixture.fails(address, stage, reason, detail));
        case(title, fixture.report(backends.into()), expected)
    };
    let (starttls, implicit) =
        (EndpointFixture::of("smtp.example.com"), EndpointFixture::at("smtp.example.com", 465, TlsMode::Implicit));
    let different = vec![
        starttls.fails("192.0.2.11", Stage::Ehlo, ProbeReason::Rejected5xx, "554 5.7.1 go away"),
        starttls.fails("192.0.2.12", Stage::Ehlo, ProbeReason::Rejected5xx, "502 5.5.2 what"),
    ];
    vec![
        failing(
            "STARTTLS is not offered",
            &starttls,
            Stage::StartTls,
            ProbeReason::StartTlsNotOffered,
            "",
            &[(
                "critical starttls [192.0.2.11 192.0.2.12] request The SMTP server does not support the STARTTLS extension.",
                &[
                    "192.0.2.11 and 192.0.2.12",
                    "port 587",
                    "(Postfix `smtpd_tls_security_level = may`, Exim `tls_advertise_hosts = *`)",
                ],
            )],
        ),
        failing(
            "STARTTLS is refused",
            &starttls,
            Stage::StartTls,
            ProbeReason::StartTlsRefused,
            "454 4.7.0 TLS not available",
            &[(
                "critical starttls [192.0.2.11 192.0.2.12] request <reply>",
                &["192.0.2.11 and 192.0.2.12", "454 4.7.0 TLS not available"],
            )],
        ),
        failing(
            "No TLS on a port with implicit TLS",
            &implicit,
            Stage::Handshake,
            ProbeReason::NotTls,
            "",
            &[(
                "critical handshake [192.0.2.11 192.0.2.12] request Cannot determine the frame size or a corrupted frame was \
                 received.",
                &["192.0.2.11 and 192.0.2.12", "465", "STARTTLS", "`tls: starttls`"],
            )],
        ),
        failing(
            "A client certificate is required",
            &starttls,
            Stage::Session,
            ProbeReason::ClientCertificateRequired,
            "",
            &[(
                "warning handshake [192.0.2.11 192.0.2.12] request AuthenticationException",
                &["192.0.2.11 and 192.0.2.12", "`client_certificate`"],
            )],
        ),
        failing(
            "A client certificate is rejected",
            &starttls,
            Stage::Session,
            ProbeReason::ClientCertificateRejected,
            "received TLS alert unknown_ca (48)",
            &[(
                "warning client_certificate [192.0.2.11 192.0.2.12] request AuthenticationException",
                &["192.0.2.11 and 192.0.2.12", "unknown_ca (48)", "`client_certificate`"],
            )],
        ),
        own_certificate(&starttls),
        failing(
            "No greeting",
            &starttls,
            Stage::Greeting,
            ProbeReason::Timeout,
            "",
            &[(
                "critical unreachable [192.0.2.11 192.0.2.12] request",
                &["192.0.2.11 and 192.0.2.12", "587", "465", "`tls: implicit`", "`timeout`", "wait"],
            )],
        ),
        failing(
            "No reply to EHLO in time",
            &starttls,
            Stage::Ehlo,
            ProbeReason::Timeout,
            "",
            &[(
                "critical unreachable [192.0.2.11 192.0.2.12] request",
                &["192.0.2.11 and 192.0.2.12", "EHLO", "`timeout`", "wait"],
            )],
        ),
        failing(
            "STARTTLS is not implemented",
            &starttls,
            Stage::StartTls,
            ProbeReason::StartTlsRefused,
            "502 5.5.1 Command not implemented",
            &[(
                "critical starttls [192.0.2.11 192.0.2.12] request <reply>",
                &["192.0.2.11 and 192.0.2.12", "502 5.5.1 Command not implemented", "firewall or proxy"],
            )],
        ),
        closes_after_certificate(&starttls),
        case(
            "STARTTLS is refused for different causes",
            starttls.report(vec![
                starttls.refuses("192.0.2.11", Stage::StartTls, "451 4.7.1 Greylisted", Cause::Greylisted),
                starttls.refuses("192.0.2.12", Stage::StartTls, "454 4.7.0 TLS not available", Cause::TlsUnavailable),
            ]),
            &[
                (
                    "critical starttls [192.0.2.12] request <reply>",
                    &["192.0.2.12", "454 4.7.0 TLS not available", "certificate or key"],
                ),
                ("warning unreachable [192.0.2.11] request", &["192.0.2.11", "451 4.7.1 Greylisted", "greylisting"]),
            ],
        ),
        case(
            "Different replies to EHLO",
            starttls.report(different),
            &[(
                "critical unreachable [192.0.2.11 192.0.2.12] request",
                &["192.0.2.11 (554 5.7.1 go away) and 192.0.2.12 (502 5.5.2 what)", "EHLO"],
            )],
        ),
        failing(
            "A greeting inside TLS that does not arrive in time",
            &implicit,
            Stage::Session,
            ProbeReason::Timeout,
            "",
            &[(
                "critical unreachable [192.0.2.11 192.0.2.12] request",
                &["192.0.2.11 and 192.0.2.12", "465", "`timeout`", "wait"],
            )],
        ),
        case(
            "A server that limits the rate",
            starttls.report(vec![
                starttls.refuses("192.0.2.11", Stage::Greeting, "421 too many connections", Cause::ConnectionLimit),
                starttls.unprobed("192.0.2.12"),
            ]),
            &[("warning rate_limited [192.0.2.11]", &["192.0.2.11", "421 too many connections", "`interval`"])],
        ),
        case(
            "A limit, and a fault on another backend",
            starttls.report(vec![
                starttls.refuses("192.0.2.11", Stage::Greeting, "421 too many connections", Cause::ConnectionLimit),
                starttls.refuses("192.0.2.12", Stage::Greeting, "452 disk full", Cause::ServerFault),
            ]),
            &[
                ("critical unreachable [192.0.2.12] request", &["192.0.2.12", "452 disk full", "disk"]),
                ("warning rate_limited [192.0.2.11]", &["192.0.2.11", "421 too many connections"]),
            ],
        ),
        case(
            "Different causes of the same reason",
            starttls.report(vec![
                starttls.refuses("192.0.2.11", Stage::Ehlo, "504 need fully-qualified hostname", Cause::EhloName),
                starttls.refuses("192.0.2.12", Stage::Ehlo, "550 blocked using zen.spamhaus.org", Cause::Blocklisted),
            ]),
            &[
                (
                    "warning unreachable [192.0.2.11]",
                    &["192.0.2.11", "504 need fully-qualified hostname", "`ehlo_name`"],
                ),
                (
                    "warning unreachable [192.0.2.12] request",
                    &["192.0.2.12", "zen.spamhaus.org", "block list", "Allow", "exporter host"],
                ),
            ],
        ),
    ]
}

/// The texts on each cause, before and inside TLS; those of other stages only if they differ.
pub(super) fn every_cause() -> String {
    let mut page = "\n## Every cause of a rejection\n".to_owned();
    let starttls = EndpointFixture::of("smtp.example.com");
    for cause in Cause::ALL {
        let mut found: Vec<String> = Vec::new();
        for stage in [Stage::Greeting, Stage::Ehlo, Stage::StartTls, Stage::Session] {
            let report = starttls.report(vec![starttls.refuses("192.0.2.11", stage, "550 reply", *cause)]);
            let advice = advise(&report, now());
            let [advice] = advice.as_slice() else { panic!("{stage} {cause}: {advice:?}") };
            is_well_formed(advice);
            assert!(advice.text.contains("(550 reply)"), "the reply is quoted: {}", advice.text);
            // Other clients may get another reply, unless it is about TLS.
            let is_about_tls = stage == Stage::StartTls && *cause == Cause::TlsUnavailable;
            assert_eq!(advice.kind == AdviceKind::StartTls, is_about_tls, "{}", advice.text);
            assert_eq!(advice.text.contains("certificate or key"), *cause == Cause::TlsUnavailable, "{}", advice.text);
            assert_eq!(advice.clients.is_some(), is_about_tls, "{}", advice.text);
            let is_limit = *cause == Cause::ConnectionLimit;
            assert_eq!(advice.kind == AdviceKind::RateLimited, is_limit, "{}", advice.text);
            assert_eq!(advice.text.contains("limit"), is_limit, "{}", advice.text);
            if stage != Stage::StartTls && !found.contains(&advice.text) {
                let _ = writeln!(page, "\n{cause} ({stage})\n{}", advice.text);
                found.push(advice.text.clone());
            }
        }
    }
    page
}

/// A server that closes the connection after it got a client certificate without a known fault.
fn closes_after_certificate(fixture: &EndpointFixture) -> Case {
    let report = fixture.fails("192.0.2.11", Stage::Session, ProbeReason::Eof, "the server closed the connection");
    let probe = report.probe.map(|probe| ProbeReport { client_auth: Some(ClientAuth::Sent), ..probe });
    case(
        "A connection that is closed after a client certificate",
        fixture.report(vec![BackendReport { probe, ..report }]),
        &[(
            "critical unreachable [192.0.2.11] request",
            &["192.0.2.11", "had requested a client certificate", "was sent", "`client_certificate`"],
        )],
    )
}

/// Servers that reject a client certificate, which is at fault.
fn own_certificate(fixture: &EndpointFixture) -> Case {
    let rejects = |address, stage, reason, detail| {
        let report = fixture.fails(address, stage, reason, detail);
        let probe = report.probe.map(|probe| ProbeReport { client_auth: Some(ClientAuth::Sent), ..probe });
        BackendReport { probe, ..report }
    };
    let report = fixture.report(vec![
        rejects(
            "192.0.2.11",
            Stage::Session,
            ProbeReason::ClientCertificateRejected,
            "received TLS alert certificate_expired (45)",
        ),
        rejects("192.0.2.12", Stage::Session, ProbeReason::Eof, "the server closed the connection"),
        fixture.fails("192.0.2.13", Stage::Connect, ProbeReason::Refused, ""),
    ]);
    let end = crate::verdict::unix(now()) - 86_400;
    let certificate = ClientCertificate {
        file: "/etc/smtp-tls-exporter/client.pem".into(),
        chain: Vec::new(),
        key: PrivatePkcs8KeyDer::from(Vec::new()).into(),
        subject: "CN=probe.example.net".into(),
        issuer: "CN=Example Intermediate".into(),
        issuers: Vec::new(),
        not_before: 0,
        not_after: end,
        intermediates_not_after: None,
        permits_signatures: true,
        permits_client_auth: true,
    };
    let settings = ProbeSettings { client_certificate: Some(certificate.into()), ..(*report.target.settings).clone() };
    let target = Target { settings: settings.into(), ..(*report.target).clone() };
    case(
        "An expired client certificate is rejected",
        TargetReport { target: target.into(), ..report },
        &[
            ("critical unreachable [192.0.2.13] request", &["192.0.2.13"]),
            (
                "warning client_certificate [192.0.2.11 192.0.2.12]",
                &[
                    "/etc/smtp-tls-exporter/client.pem",
                    "expired on 2026-05-31 00:00:00 UTC",
                    "192.0.2.11",
                    "192.0.2.12",
                ],
            ),
        ],
    )
}

/// The texts on each reason; with the stage and the port if they differ by these.
pub(super) fn every_failure() -> String {
    let mut page = "## Every probe failure\n".to_owned();
    let starttls = EndpointFixture::of("smtp.example.com");
    let implicit = EndpointFixture::at("smtp.example.com", 465, TlsMode::Implicit);
    for reason in ProbeReason::ALL {
        let mut found: Vec<(String, String)> = Vec::new();
        for (stage, fixture) in Stage::ALL.iter().flat_map(|stage| [(stage, &starttls), (stage, &implicit)]) {
            let report = fixture.report(vec![fixture.fails("192.0.2.11", *stage, *reason, "detail")]);
            let advice = advise(&report, now());
            let [advice] = advice.as_slice() else { panic!("{stage} {reason}: {advice:?}") };
            is_well_formed(advice);
            assert!(advice.request.is_some(), "{stage} {reason}");
            let is_known =
                found.iter().any(|(_, text)| text.replace("587", "465") == advice.text.replace("587", "465"));
            // No backend is probed before its name is resolved.
            if *stage != Stage::Resolve && !is_known {
                found.push((format!(" ({stage}, port {})", fixture.endpoint.port), advice.text.clone()));
            }
        }
        let differ = found.len() > 1;
        for (place, text) in found {
            let _ = writeln!(page, "\n{reason}{}\n{text}", if differ { &place } else { "" });
        }
    }
    page
}

fn lookups() -> Vec<Case> {
    let fixture = EndpointFixture::of("smtp.example.com");
    let failures = |types: &[&'static str], reason, is_partial| {
        let failure = |record_type: &&'static str| LookupFailure {
            name: name("smtp.example.com"),
            record_type,
            reason,
            alias: None,
            is_partial,
        };
        types.iter().map(failure).collect::<Vec<_>>()
    };
    let reported = |lookup| TargetReport { lookup: Some(Arc::new(lookup)), ..fixture.report(vec![]) };
    let looked_up = |types: &[&'static str], reason| {
        reported(LookupReport { failures: failures(types, reason, false), ..LookupReport::default() })
    };
    const BOTH: &[&str] = &["A", "AAAA"];
    vec![
        case(
            "A name that does not exist",
            looked_up(BOTH, LookupReason::NxDomain),
            &[("critical dns []", &["smtp.example.com", "A and AAAA"])],
        ),
        case(
            "A name that does not exist with the search list either",
            reported(LookupReport {
                failures: failures(BOTH, LookupReason::NxDomain, false),
                searched: vec![name("smtp.example.com.example.net")],
                ..LookupReport::default()
            }),
            &[("critical dns []", &["smtp.example.com.example.net", "search list"])],
        ),
        case(
            "A name without IPv4 addresses on a host without IPv6",
            looked_up(&["A"], LookupReason::NoData),
            &[("critical dns []", &["smtp.example.com", "AAAA is not queried"])],
        ),
        case(
            "A name server that cannot be reached",
            looked_up(BOTH, LookupReason::Unreachable),
            &[("critical dns []", &["smtp.example.com", "`system`", "/etc/resolv.conf"])],
        ),
        case(
            "A name without addresses",
            looked_up(BOTH, LookupReason::NoData),
            &[("critical dns []", &["smtp.example.com", "A and AAAA"])],
        ),
        case(
            "A lookup that times out",
            looked_up(BOTH, LookupReason::Timeout),
            &[("critical dns []", &["smtp.example.com", "A and AAAA", "`system`"])],
        ),
        case(
            "A lookup that fails for AAAA, and name servers that disagree",
            reported(LookupReport {
                success: true,
                failures: failures(&["AAAA"], LookupReason::ServFail, true),
                disagree: Some(true),
                ..LookupReport::default()
            }),
            &[
                ("warning dns []", &["smtp.example.com", "AAAA", "`system`", "SERVFAIL", "DNSSEC"]),
                ("warning nameservers_disagree []", &["`system`", "relay"]),
            ],
        ),
        case(
            "A lookup that fails for A, without AAAA records",
            looked_up(&["A"], LookupReason::ServFail),
            &[("critical dns []", &["smtp.example.com", "A", "`system`"])],
        ),
        case(
            "Answers that change from query to query",
            reported(LookupReport { success: true, varies: true, ..LookupReport::default() }),
            &[("info answers_vary []", &["relay", "different answers"])],
        ),
        case(
            "An answer that fails DNSSEC validation",
            looked_up(BOTH, LookupReason::Bogus),
            &[("critical dns []", &["smtp.example.com", "A and AAAA", "DNSSEC", "DS record"])],
        ),
        case(
            "A null MX beside other MX records",
            looked_up(&["MX"], LookupReason::NullMx),
            &[("info dns []", &["smtp.example.com", "MX", "RFC 7505"])],
        ),
    ]
}

fn mail_exchangers() -> Vec<Case> {
    let kind = || TargetKind::Mx(MxTarget::new(name("example.com")));
    let with_kind = |report: TargetReport| TargetReport {
        target: Arc::new(Target { kind: kind(), ..(*report.target).clone() }),
        ..report
    };
    let fixture = EndpointFixture::at("example.com", 25, TlsMode::StartTls);
    let lookup = LookupReport { success: true, hosts: Some(0), disagree: Some(false), ..LookupReport::default() };
    let null_mx =
        TargetReport { endpoints: vec![], lookup: Some(Arc::new(lookup)), ..with_kind(fixture.report(vec![])) };
    let (ca, one) = (TestCa::new(), EndpointFixture::at("mx1.example.com", 25, TlsMode::StartTls));
    let bad = ca.chain(&leaf(&["mail.example.com"]));
    let report = one.report(vec![one.presents(&ca, "192.0.2.11", &bad)]);
    let mut two = with_kind(with_alternates(report, &[("mail.example.com", Some(&["192.0.2.11"]))]));
    let other = EndpointFixture::at("mx2.example.com", 25, TlsMode::StartTls);
    let refused = other.fails("192.0.2.12", Stage::Connect, ProbeReason::Refused, "");
    two.endpoints.push(other.endpoint_report(vec![refused]));
    // The only host, or besides one that is probed.
    let skipped = |reason, addresses: &[&str], probed: Vec<EndpointReport>| {
        let lookup = LookupReport { success: true, hosts: Some(1), ..LookupReport::default() };
        let local = EndpointFixture::at("local.example.com", 25, TlsMode::StartTls);
        let local = EndpointReport {
            skipped: vec![(reason, addresses.len())],
            not_allowed: addresses.iter().map(|text| text.parse().expect("an address")).collect(),
            ..local.endpoint_report(vec![])
        };
        let endpoints = [local].into_iter().chain(probed).collect();
        TargetReport { endpoints, lookup: Some(Arc::new(lookup)), ..with_kind(fixture.report(vec![])) }
    };
    let sound = one.endpoint_report(vec![one.presents(&ca, "192.0.2.11", &ca.chain(&leaf(&["mx1.example.com"])))]);
    let mut ports = skipped(SkipReason::PortNotAllowed, &["192.0.2.1"], vec![]);
    let domain = SubmissionTarget { domain: name("example.com") };
    ports.target = Arc::new(Target { kind: TargetKind::Submission(domain), ..(*ports.target).clone() });
    let ports_report = ports.clone();
    let srv = |ports: &[(u16, TlsMode)]| {
        let endpoints = ports.iter().map(|(port, tls)| EndpointReport {
            skipped: vec![(SkipReason::PortNotAllowed, 1)],
            not_allowed: ["192.0.2.1".parse().expect("an address")].into(),
            ..EndpointFixture::at("srv.example.com", *port, *tls).endpoint_report(vec![])
        });
        TargetReport { endpoints: endpoints.collect(), ..ports_report.clone() }
    };
    let invalid = srv(&[(0, TlsMode::StartTls), (0, TlsMode::Implicit)]);
    let mixed = srv(&[(0, TlsMode::StartTls), (22, TlsMode::StartTls), (22, TlsMode::Implicit)]);
    let routeless = |others: Vec<EndpointReport>| {
        let mut report = skipped(SkipReason::NoRoute, &["2001:db8::1", "2001:db8::2"], others);
        report.endpoints[0].not_allowed = [].into();
        report
    };
    let unrouted = routeless(vec![]);
    let partly = routeless(vec![sound.clone()]);
    vec![
        case(
            "SRV records with port 0",
            invalid,
            &[("critical addresses_skipped []", &["srv.example.com:0 ", "SRV", "port 0", "invalid"])],
        ),
        case(
            "SRV records with port 0 and a port twice",
            mixed,
            &[(
                "critical addresses_skipped []",
                &["srv.example.com:0 and srv.example.com:22 ", "add 22 to `allow_ports`", "port 0", "invalid"],
            )],
        ),
        case(
            "An MX host with IPv6 addresses only, and no IPv6 route",
            unrouted,
            &[("critical addresses_skipped []", &["local.example.com:25", "IPv6 route", "`ip_family`"])],
        ),
        case(
            "An MX host with IPv6 addresses only, no IPv6 route, and another host",
            partly,
            &[("info addresses_skipped []", &["local.example.com:25", "IPv6 route"])],
        ),
        case(
            "An MX host with a loopback address",
            skipped(SkipReason::AddressNotAllowed, &["127.0.0.10"], vec![]),
            &[(
                "critical addresses_skipped []",
                &["local.example.com", "127.0.0.10", "`allow_addresses`", "example.com"],
            )],
        ),
        case(
            "An MX host with loopback addresses, and another one",
            skipped(SkipReason::AddressNotAllowed, &["127.0.0.10", "::1"], vec![sound]),
            &[("warning addresses_skipped []", &["local.example.com", "127.0.0.10", "::1", "`allow_addresses`"])],
        ),
        case(
            "An SRV record with the port of another service",
            ports,
            &[("critical addresses_skipped []", &["local.example.com:25", "SRV", "`allow_ports`"])],
        ),
        case("A null MX", null_mx, &[("info dns []", &["example.com", "RFC 7505"])]),
        case(
            "Two mail exchangers",
            two,
            &[
                ("critical unreachable [192.0.2.12] request", &["mx2.example.com:25: ", "192.0.2.12", "port 25"]),
                (
                    "warning reissue [192.0.2.11] request RemoteCertificateNameMismatch",
                    &["mx1.example.com:25: ", "192.0.2.11", "mail.example.com"],
                ),
                (
                    "info use_shared_name [192.0.2.11]",
                    &["mx1.example.com:25: ", "the MX records of example.com", "mail.example.com", "192.0.2.11"],
                ),
            ],
        ),
    ]
}

#[test]
fn commands_fit_the_endpoint() {
    let check = |fixture: &EndpointFixture, address: &str, expected: &str| {
        assert_eq!(
            request::openssl_command(&fixture.unprobed(address).backend),
            format!("openssl s_client -connect {expected}")
        );
    };
    let named = "-servername smtp.example.com -verify_hostname smtp.example.com";
    let implicit = EndpointFixture::at("smtp.example.com", 465, TlsMode::Implicit);
    check(&EndpointFixture::of("smtp.example.com"), "192.0.2.11", &format!("192.0.2.11:587 -starttls smtp {named}"));
    check(&implicit, "192.0.2.11", &format!("192.0.2.11:465 {named}"));
    check(&implicit, "2001:db8::1", &format!("'[2001:db8::1]:465' {named}"));
    check(
        &EndpointFixture::of("192.0.2.11"),
        "192.0.2.11",
        "192.0.2.11:587 -starttls smtp -noservername -verify_ip 192.0.2.11",
    );
}
