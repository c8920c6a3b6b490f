//! Names, chains and times that are wrong, each by its reason.

use super::*;

#[test]
fn valid_is_said_of_valid_chains_only() {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let good = ca.chain(&leaf(&["smtp.example.com", "mail.example.com"]));
    let expired = between(leaf(&["mail.example.com"]), "20260101000000Z", "20260501000000Z");
    let shows = |address, chain: &[_]| fixture.shows(&ca, address, chain);
    let two = |second: BackendReport| {
        let report = fixture.report(vec![shows("192.0.2.10", &good), second]);
        with_alternates(report, &[("mail.example.com", Some(&["192.0.2.10", "192.0.2.11"]))])
    };
    let bad = ca.chain(&leaf(&["mail.example.com"]));
    let use_mail = |text: &str, report: &TargetReport| check_text(report, AdviceKind::UseAlternateName, text);
    use_mail("Let clients use mail.example.com: valid on both and resolves to them.", &two(shows("192.0.2.11", &bad)));
    use_mail(
        "The certificates of both carry mail.example.com, and it resolves to them; but the chain of 192.0.2.11 is not \
         valid. Mend that, then let clients use mail.example.com.",
        &two(shows("192.0.2.11", &ca.chain(&expired))),
    );
    let mut unproved = shows("192.0.2.11", &bad);
    if let Some(last) = &mut unproved.last_certificate {
        last.assessment.proof = None;
    }
    use_mail(
        "The certificates of both carry mail.example.com, and it resolves to them; but whether the chain of 192.0.2.11 is \
         valid is not known. Mend that, then let clients use mail.example.com.",
        &two(unproved),
    );
    use_mail(
        "Let clients use mail.example.com: valid on both and resolves to them. 192.0.2.11 (as last seen at 2026-05-31 22:59 \
         UTC) cannot be probed now.",
        &two(past(shows("192.0.2.11", &bad))),
    );
    let several = shows("192.0.2.11", &bad);
    let last = several.last_certificate.clone().map(|last| LastCertificate { distinct: 2, ..last });
    use_mail(
        "Let clients use mail.example.com: valid on both and resolves to them. 192.0.2.11 showed more than one certificate \
         lately, of which one was looked at for this.",
        &two(BackendReport { last_certificate: last, ..several }),
    );
    let mut capped = two(shows("192.0.2.11", &bad));
    capped.endpoints[0].skipped = vec![(SkipReason::Cap, 2)];
    use_mail(
        "Let clients use mail.example.com: valid on both and resolves to them. 2 more addresses of smtp.example.com are not \
         probed, and nothing is known of what is there.",
        &capped,
    );
    let alone = fixture.report(vec![shows("192.0.2.11", &bad), unnamed(shows("192.0.2.10", &good))]);
    let alone = with_alternates(alone, &[("mail.example.com", Some(&["192.0.2.11"]))]);
    use_mail("Let clients use mail.example.com: valid on 192.0.2.11 and resolves to it.", &alone);
}

#[test]
fn mismatches_are_told_by_their_reason() {
    let ca = TestCa::new();
    let told = |server_name: &str, builders: &[(&str, CertBuilder)], expected: &[&str]| {
        let fixture = EndpointFixture::of(server_name);
        let shows = |(address, builder): &(&str, CertBuilder)| fixture.shows(&ca, address, &ca.chain(builder));
        let report = fixture.report(builders.iter().map(shows).collect());
        let found: Vec<String> = advise(&report, now())
            .iter()
            .filter(|advice| {
                use AdviceKind::{IpReference, Reissue, WildcardDepth};
                matches!(advice.kind, Reissue | WildcardDepth | IpReference)
            })
            .map(line)
            .collect();
        assert_eq!(found, expected, "\n{}", found.join("\n"));
    };
    told(
        "smtp.example.com",
        &[("192.0.2.11", leaf(&["mail.example.com"])), ("192.0.2.12", leaf(&["a.test", "b.test", "192.0.2.12"]))],
        &["critical reissue [192.0.2.11 192.0.2.12] 192.0.2.11 (mail.example.com) and 192.0.2.12 (a.test, b.test and \
           192.0.2.12) lack smtp.example.com, they present the names in parentheses: have their certificates reissued with \
           smtp.example.com added to the names they have."],
    );
    told(
        "a.smtp.example.com",
        &[("192.0.2.11", leaf(&["*.example.com"]))],
        &[
            "critical reissue [192.0.2.11] 192.0.2.11 lacks a.smtp.example.com, it presents *.example.com: have its \
             certificate reissued with a.smtp.example.com added to the names it has.",
            "info wildcard_depth [192.0.2.11] *.example.com on 192.0.2.11 stands for exactly one label (RFC 9525 §6.3): it \
             covers names such as mail.example.com, not a.smtp.example.com, which lies 2 labels below example.com. Have \
             a.smtp.example.com or *.smtp.example.com added, or let clients use a name one label below example.com that \
             leads there.",
        ],
    );
    told(
        "example.com",
        &[("192.0.2.11", leaf(&["*.example.com"]))],
        &[
            "critical reissue [192.0.2.11] 192.0.2.11 lacks example.com, it presents *.example.com: have its certificate \
             reissued with example.com added to the names it has.",
            "info wildcard_depth [192.0.2.11] *.example.com on 192.0.2.11 stands for exactly one label (RFC 9525 §6.3): it \
             covers names such as mail.example.com, not example.com, which has no label before example.com. Have \
             example.com added, or let clients use a name one label below example.com that leads there.",
        ],
    );
    let common = leaf(&[]).with_common_name("smtp.example.com");
    let bare = common.without_extension(&Extension::subject_alternative_names(&[]));
    let none = leaf(&[]).without_extension(&Extension::subject_alternative_names(&[]));
    told(
        "smtp.example.com",
        &[
            ("192.0.2.11", bare),
            ("192.0.2.12", leaf(&["mail.example.com"]).with_common_name("smtp.example.com")),
            ("192.0.2.13", none),
        ],
        &[
            "critical reissue [192.0.2.12] 192.0.2.12 has smtp.example.com as common name only, which clients read no longer \
             (RFC 9525 §2): have its certificate reissued with smtp.example.com as a subject alternative name.",
            "critical reissue [192.0.2.13] 192.0.2.13 presents a certificate without any DNS name: have its certificate \
             reissued with smtp.example.com as a subject alternative name.",
            "warning reissue [192.0.2.11] 192.0.2.11 has smtp.example.com as common name only, which clients read no longer \
             (RFC 9525 §2): have its certificate reissued with smtp.example.com as a subject alternative name.",
        ],
    );
    told(
        "192.0.2.11",
        &[("192.0.2.11", leaf(&["mail.example.com"]))],
        &["critical ip_reference [192.0.2.11] 192.0.2.11 does not carry 192.0.2.11 as an IP address, it presents \
           mail.example.com: let clients use a DNS name, or have its certificate reissued with the address as a subject \
           alternative name of its own."],
    );
}

#[test]
fn chains_are_told_by_their_reason() {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let good = leaf(&["smtp.example.com"]);
    let full = fixture.shows(&ca, "192.0.2.10", &ca.chain(&good));
    let only = |chain: &[_], expected: &str| {
        check(&fixture.report(vec![full.clone(), fixture.shows(&ca, "192.0.2.11", chain)]), &[expected]);
    };
    let intermediate = Certificate::new(ca.intermediate.der());
    only(
        &[ca.intermediate.issue(&good, &ca.key)],
        &format!(
            "critical missing_intermediate [192.0.2.11] 192.0.2.11: the intermediate CN=Example Intermediate (SHA-256 {}) is \
             not sent, though a path needs it. Append the missing certificate after the server's own in the file that it \
             presents (Postfix `smtpd_tls_chain_files`, Exim `tls_certificate`), and reload the server.",
            hex(&intermediate.fingerprint())
        ),
    );
    only(
        &[good.self_sign(&ca.key)],
        "critical self_signed [192.0.2.11] 192.0.2.11: the certificate is signed with its own key, so that clients have no \
         reason to trust it. Have a CA that clients trust issue one for smtp.example.com; if it is meant to be like this, \
         give the certificate to the clients. Where it is to be trusted here as well, name it in `trust_stores`.",
    );
    let stranger = between(CertBuilder::authority("Stranger"), "20200101000000Z", "20400101000000Z");
    let stranger = Ca::root(&stranger, &Key::generate(KeyAlgorithm::P256));
    only(
        &[stranger.issue(&good, &ca.key), stranger.der()],
        "critical unknown_issuer [192.0.2.11] 192.0.2.11: no path leads from the certificate, issued by CN=Stranger, to a \
         root of the trust store `test`. Present a certificate of a CA that clients trust; if this is a private CA's, give its root to the clients. Where that root is to be trusted here as well, name it in `trust_stores`.",
    );
    only(
        &[stranger.issue(&good, &ca.key)],
        "critical unknown_issuer [192.0.2.11] 192.0.2.11: no path leads from the certificate, issued by CN=Stranger, to a \
         root of the trust store `test`. Send the CA's intermediates along with the certificate, which comes alone; if that \
         is not it, present a certificate of a CA that clients trust; if this is a private CA's, give its root to the clients. Where that root is to be trusted here as well, name it in `trust_stores`.",
    );
    let forged = good.sign(&ca.key, &Name::common("Example Intermediate"), &ca.key);
    only(
        &[forged, ca.intermediate.der()],
        "critical bad_chain [192.0.2.11] 192.0.2.11: a signature in the chain was not made with its issuer's key. Present \
         the chain as the CA gives it, the server's certificate first.",
    );
    let old = between(CertBuilder::authority("Old"), "20200101000000Z", "20260101000000Z");
    let old = ca.root.sub(&old, &Key::generate(KeyAlgorithm::P256));
    only(
        &[old.issue(&good, &ca.key), old.der()],
        &format!(
            "critical expired [192.0.2.11] 192.0.2.11: the intermediate CN=Old (SHA-256 {}) has expired; replace it by the \
             CA's current one in the file that the server presents, and reload the server.",
            hex(&Certificate::new(old.der()).fingerprint())
        ),
    );
    only(
        &ca.chain(&good.with_extension(Extension::must_staple())),
        "warning staple [192.0.2.11] 192.0.2.11: the certificate demands a stapled OCSP response (RFC 7633), and none is \
         sent. Switch stapling on, or have the certificate issued anew without that demand where the server cannot staple.",
    );
}

#[test]
fn times_are_told() {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let valid =
        |from, until| fixture.shows(&ca, "192.0.2.11", &ca.chain(&between(leaf(&["smtp.example.com"]), from, until)));
    let only = |backend: BackendReport, expected: &[&str]| check(&fixture.report(vec![backend]), expected);
    only(valid("20260501000000Z", "20260615000000Z"), &[]);
    only(
        valid("20260101000000Z", "20260531000000Z"),
        &[
            "critical expired [192.0.2.11] The certificate of 192.0.2.11 expired 24 hours ago, on 2026-05-31 00:00 UTC: renew \
           what has expired, and reload the server; where that happens by itself, see why it did not.",
        ],
    );
    only(
        past(valid("20260101000000Z", "20260529000000Z")),
        &[
            "critical unreachable [192.0.2.11] 192.0.2.11: nothing answers on port 587 in time. See whether the server is up \
             and a firewall drops the connection, or stop sending clients to this address.",
            "critical expired [192.0.2.11] The certificate of 192.0.2.11 (as last seen at 2026-05-31 22:59 UTC) expired 3 \
             days ago, on 2026-05-29 00:00 UTC: renew what has expired, and reload the server; where that happens by itself, \
             see why it did not.",
        ],
    );
    only(
        valid("20260101000000Z", "20260607000000Z"),
        &[
            "warning expires_soon [192.0.2.11] The certificate of 192.0.2.11 expires in 6 days, on 2026-06-07 00:00 UTC: renew \
           and reload in time; where that happens by itself, see why it has not.",
        ],
    );
    only(
        valid("20260527000000Z", "20260602000000Z"),
        &[
            "warning expires_soon [192.0.2.11] The certificate of 192.0.2.11 expires in 24 hours, on 2026-06-02 00:00 UTC with \
           less than a fifth of 6 days left: renew and reload in time; where that happens by itself, see why it has not.",
        ],
    );
    only(valid("20260529000000Z", "20260604000000Z"), &[]);
    only(
        valid("20260601000700Z", "20260901000000Z"),
        &[
            "critical clock [192.0.2.11] The certificate of 192.0.2.11 begins only in 7 minutes, on 2026-06-01 00:07 UTC: a \
           clock is wrong, this machine's or that of whoever issued it; check both against NTP. If they are right, clients \
           have to wait that long.",
        ],
    );
    only(
        valid("20260701000000Z", "20260901000000Z"),
        &[
            "critical not_yet_valid [192.0.2.11] The certificate of 192.0.2.11 begins only in 30 days, on 2026-07-01 00:00 UTC: \
           it is issued for later; present the one before it until then, or have one issued that is valid now.",
        ],
    );
    let ending = between(CertBuilder::authority("Ending"), "20200101000000Z", "20260605000000Z");
    let ending = ca.root.sub(&ending, &Key::generate(KeyAlgorithm::P256));
    let chain = [ending.issue(&leaf(&["smtp.example.com"]), &ca.key), ending.der()];
    only(
        fixture.shows(&ca, "192.0.2.11", &chain),
        &[
            "warning expires_soon [192.0.2.11] An intermediate in the chain of 192.0.2.11 expires in 4 days, on 2026-06-05 \
           00:00 UTC, before the server's own certificate: replace it by the CA's current one in the file that the server \
           presents.",
        ],
    );
}

#[test]
fn renewals_that_did_not_arrive() {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let builder = |from, until| between(leaf(&["smtp.example.com"]), from, until);
    let (old, new) = (ca.chain(&builder("20260326000000Z", "20260624000000Z")), ca.chain(&leaf(&["smtp.example.com"])));
    let own = ca.chain(&builder("20260415000000Z", "20260801000000Z"));
    let shows = |address, chain: &[_]| fixture.shows(&ca, address, chain);
    let both = |chain: &[_]| fixture.report(vec![shows("192.0.2.10", &new), shows("192.0.2.11", chain)]);
    // A certificate of its own that is not due yet.
    check(&both(&own), &[]);
    check(
        &both(&old),
        &["info renewed_partly [192.0.2.11] 192.0.2.10 presents a renewed certificate (until 2026-09-01 00:00 UTC), \
           192.0.2.11 an older one for the same names (until 2026-06-24 00:00 UTC): renew there, too, or put the new one \
           there, and reload the server."],
    );
    let with_file = |mut report: TargetReport, file: Option<&[_]>| {
        let settings = ProbeSettings {
            certificate_file: Some(std::path::Path::new("/etc/ssl/mail.pem").into()),
            ..(*report.target.settings).clone()
        };
        report.target = Arc::new(Target { settings: Arc::new(settings), ..(*report.target).clone() });
        report.file = file
            .map(|chain: &[rustls_pki_types::CertificateDer<'static>]| Arc::new(Certificate::new(chain[0].clone())));
        report
    };
    let one = |chain: &[_]| fixture.report(vec![shows("192.0.2.11", chain)]);
    check(&with_file(one(&new), Some(&new)), &[]);
    check(
        &with_file(one(&old), Some(&new)),
        &[
            "warning not_reloaded [192.0.2.11] The file /etc/ssl/mail.pem holds a newer certificate (until 2026-09-01 00:00 UTC) \
           than 192.0.2.11 presents (until 2026-06-24 00:00 UTC): reload the server.",
        ],
    );
    check(
        &with_file(one(&old), Some(&ca.chain(&leaf(&["mail.example.com"])))),
        &[
            "warning not_reloaded [192.0.2.11] The file /etc/ssl/mail.pem holds a newer certificate (until 2026-09-01 00:00 UTC) \
           than 192.0.2.11 presents (until 2026-06-24 00:00 UTC): reload the server. But mind that the new one lacks \
           smtp.example.com.",
        ],
    );
    check(
        &with_file(one(&new), Some(&old)),
        &[
            "warning not_reloaded [192.0.2.11] 192.0.2.11 presents another certificate than the file /etc/ssl/mail.pem holds: \
           see which file the server presents, or mend `certificate_file`.",
        ],
    );
    check(
        &with_file(one(&new), None),
        &[
            "warning file_unreadable [] `certificate_file` /etc/ssl/mail.pem cannot be read, or holds no certificate: mend the \
           file, its rights or the config.",
        ],
    );
    check(&TargetReport { last_round: None, ..with_file(one(&new), None) }, &[]);
}

#[test]
fn expected_names_that_are_missing() {
    let ca = TestCa::new();
    let fixture = EndpointFixture {
        expect_names: vec![name("smtp.example.com"), name("mx.example.com")],
        ..EndpointFixture::of("smtp.example.com")
    };
    let report = fixture.report(vec![fixture.shows(&ca, "192.0.2.11", &ca.chain(&leaf(&["smtp.example.com"])))]);
    check(
        &report,
        &[
            "warning expected_name [192.0.2.11] 192.0.2.11 lacks mx.example.com, which the config expects (`expect_names`): have \
           its certificate reissued with what is missing added.",
        ],
    );
    let report = fixture.report(vec![fixture.shows(&ca, "192.0.2.11", &ca.chain(&leaf(&["mail.example.com"])))]);
    let request = advise(&report, now()).remove(0).request.unwrap_or_default();
    assert!(request.contains("and add smtp.example.com and mx.example.com; then"), "{request}");
}
