//! Probes that stop, lookups that fail, and those who can be asked about it.

use super::*;

#[test]
fn probes_that_stop() {
    let stopped = |fixture: &EndpointFixture, stage, reason, detail: &str, expected: &str| {
        let backends = vec![
            fixture.fails("192.0.2.11", stage, reason, detail),
            fixture.fails("192.0.2.12", stage, reason, detail),
        ];
        check(&fixture.report(backends), &[expected]);
    };
    let (starttls, implicit) =
        (EndpointFixture::of("smtp.example.com"), EndpointFixture::at("smtp.example.com", 465, TlsMode::Implicit));
    stopped(
        &starttls,
        Stage::StartTls,
        ProbeReason::StartTlsNotOffered,
        "",
        "critical starttls [192.0.2.11 192.0.2.12] 192.0.2.11 and 192.0.2.12: STARTTLS is not offered on port 587, so that \
         clients which demand TLS fail, and others send in the clear. Switch it on (Postfix `smtpd_tls_security_level = \
         may`, Exim `tls_advertise_hosts = *`); if it is on, look for a firewall or proxy that takes it out.",
    );
    stopped(
        &starttls,
        Stage::StartTls,
        ProbeReason::StartTlsRefused,
        "454 4.7.0 TLS not available",
        "critical starttls [192.0.2.11 192.0.2.12] 192.0.2.11 and 192.0.2.12: STARTTLS is offered, and refused when it is \
         asked for (454 4.7.0 TLS not available). See the server's log: most often it could not load its certificate or \
         key.",
    );
    stopped(
        &implicit,
        Stage::Handshake,
        ProbeReason::NotTls,
        "",
        "critical handshake [192.0.2.11 192.0.2.12] 192.0.2.11 and 192.0.2.12: what port 465 says at once is not TLS. If STARTTLS is meant to be spoken there, tell clients so; else switch TLS on. The target says `tls: starttls` then.",
    );
    stopped(
        &starttls,
        Stage::Session,
        ProbeReason::ClientCertificateRequired,
        "",
        "warning handshake [192.0.2.11 192.0.2.12] 192.0.2.11 and 192.0.2.12: a client certificate is demanded, so that \
         clients without one fail. If that is not meant so, let the server ask for none. If it is, give the target a `client_certificate`, and it is probed as such clients see it.",
    );
    stopped(
        &starttls,
        Stage::Greeting,
        ProbeReason::Timeout,
        "",
        "critical unreachable [192.0.2.11 192.0.2.12] 192.0.2.11 and 192.0.2.12: no greeting comes on port 587, nothing comes \
         in time. See the server's log, and whether TLS is spoken at once on this port, as on 465. The target says `tls: implicit` then.",
    );
    let limited = starttls.fails("192.0.2.11", Stage::Greeting, ProbeReason::Rejected4xx, "421 too many connections");
    let probe = limited.probe.clone().map(|probe| crate::snapshot::ProbeReport { rate_limited: true, ..probe });
    check(
        &starttls.report(vec![BackendReport { probe, ..limited }, starttls.fresh("192.0.2.12")]),
        &[
            "warning rate_limited [192.0.2.11] 192.0.2.11: the server limits how often it may be asked from here (421). It is \
           probed less often until it no longer does: allow this machine there, or lengthen `interval`.",
        ],
    );
}

#[test]
fn every_stop_has_words() {
    let fixture = EndpointFixture::of("smtp.example.com");
    for stage in Stage::ALL {
        for reason in ProbeReason::ALL {
            let advice = advise(&fixture.report(vec![fixture.fails("192.0.2.11", *stage, *reason, "detail")]), now());
            let [advice] = advice.as_slice() else { panic!("{stage} {reason}: {advice:?}") };
            assert!(!advice.text.contains("  ") && !advice.text.contains(",,"), "{}", advice.text);
            assert!(advice.request.is_some(), "{stage} {reason}");
        }
    }
}

#[test]
fn lookups_that_fail() {
    let fixture = EndpointFixture::of("smtp.example.com");
    let failures = |types: &[&'static str], reason| -> Vec<LookupFailure> {
        let failure =
            |record_type: &&'static str| LookupFailure { name: name("smtp.example.com"), record_type, reason };
        types.iter().map(failure).collect()
    };
    let looked_up = |failures: Vec<LookupFailure>, disagree| {
        let (success, duration) = (failures.is_empty(), Duration::ZERO);
        let lookup = LookupReport { success, hosts: None, duration, failures, disagree };
        TargetReport { lookup: Some(Arc::new(lookup)), ..fixture.report(vec![]) }
    };
    check(
        &looked_up(failures(&["A", "AAAA"], LookupReason::NxDomain), None),
        &["critical dns [] smtp.example.com does not exist in DNS (asked for A and AAAA): mend the name, or its zone."],
    );
    check(
        &looked_up(failures(&["AAAA"], LookupReason::ServFail), Some(true)),
        &[
            "warning dns [] The resolver `system` fails on smtp.example.com (AAAA; SERVFAIL, REFUSED or the like): see to the \
             zone's servers, its delegation and its DNSSEC signatures.",
            "warning nameservers_disagree [] The name servers of the resolver `system` give different answers for relay, so \
             that clients meet different servers: compare the zone on each (its serial, first).",
        ],
    );
}

#[test]
fn a_null_mx_is_no_fault() {
    let fixture = EndpointFixture::at("example.com", 25, TlsMode::StartTls);
    let report = TargetReport { endpoints: vec![], ..fixture.report(vec![]) };
    let target = Target { kind: TargetKind::Mx(MxTarget::new(name("example.com"))), ..(*report.target).clone() };
    let lookup = LookupReport {
        success: true,
        hosts: Some(0),
        duration: Duration::ZERO,
        failures: vec![],
        disagree: Some(false),
    };
    check(
        &TargetReport { target: Arc::new(target), lookup: Some(Arc::new(lookup)), ..report },
        &["info dns [] example.com says by a null MX that it takes no mail (RFC 7505): nothing is probed."],
    );
}

#[test]
fn an_address_of_several_servers_is_told_as_such() {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let report = fixture.shows(&ca, "192.0.2.11", &ca.chain(&leaf(&["mail.example.com"])));
    let last = report.last_certificate.clone().map(|last| LastCertificate {
        distinct: 2,
        mismatched_samples: Some(1),
        ..last
    });
    check_text(
        &fixture.report(vec![BackendReport { last_certificate: last, ..report }]),
        AdviceKind::Reissue,
        "192.0.2.11 lacks smtp.example.com, it presents mail.example.com on 1 connection of its latest: have its certificate \
         reissued with smtp.example.com added to the names it has.",
    );
}

#[test]
fn mail_exchangers_are_named_by_records() {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::at("mx1.example.com", 25, TlsMode::StartTls));
    let kind = TargetKind::Mx(MxTarget::new(name("example.com")));
    let bad = ca.chain(&leaf(&["mail.example.com"]));
    let report = with_alternates(
        fixture.report(vec![fixture.shows(&ca, "192.0.2.11", &bad)]),
        &[("mail.example.com", Some(&["192.0.2.11"]))],
    );
    let other = EndpointFixture::at("mx2.example.com", 25, TlsMode::StartTls);
    let mut report = TargetReport { target: Arc::new(Target { kind, ..(*report.target).clone() }), ..report };
    report.endpoints.push(other.endpoint_report(vec![other.fails(
        "192.0.2.12",
        Stage::Connect,
        ProbeReason::Refused,
        "",
    )]));
    check(
        &report,
        &[
            "critical unreachable [192.0.2.12] mx2.example.com:25: 192.0.2.12: connections to port 25 are refused. Start the \
             server, or stop sending clients to this address until it is back.",
            "warning reissue [192.0.2.11] mx1.example.com:25: 192.0.2.11 lacks mx1.example.com, it presents mail.example.com: \
             have its certificate reissued with mx1.example.com added to the names it has.",
            "info use_shared_name [192.0.2.11] mx1.example.com:25: Let the MX records of example.com use mail.example.com: \
             valid on 192.0.2.11 and resolves to it.",
        ],
    );
}

#[test]
fn commands_fit_the_endpoint() {
    let check = |fixture: &EndpointFixture, address: &str, expected: &str| {
        assert_eq!(letter::command(&fixture.fresh(address).backend), format!("openssl s_client -connect {expected}"));
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
