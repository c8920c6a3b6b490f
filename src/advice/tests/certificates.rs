//! Names, chains and validity periods that are wrong, each by its reason.

use rustls_pki_types::CertificateDer;

use super::*;

pub(super) fn cases() -> Vec<Case> {
    [names(), expected_names(), chains(), roots(), stores(), validity(), renewals()].into_iter().flatten().collect()
}

fn names() -> Vec<Case> {
    let ca = TestCa::new();
    let presenting = |title, server_name: &str, builders: &[(&str, CertBuilder)], expected| {
        let fixture = EndpointFixture::of(server_name);
        let presents = |(address, builder): &(&str, CertBuilder)| fixture.presents(&ca, address, &ca.chain(builder));
        case(title, fixture.report(builders.iter().map(presents).collect()), expected)
    };
    let wildcard = |title, server_name, expected| {
        presenting(title, server_name, &[("192.0.2.11", leaf(&["*.example.com"]))], expected)
    };
    let common = leaf(&[]).with_common_name("smtp.example.com");
    let bare = common.without_extension(&Extension::subject_alternative_names(&[]));
    let none = leaf(&[]).without_extension(&Extension::subject_alternative_names(&[]));
    let fixture = EndpointFixture::of("smtp.example.com");
    let several = fixture.presents(&ca, "192.0.2.11", &ca.chain(&leaf(&["mail.example.com"])));
    let last = several.last_certificate.clone();
    let last = last.map(|last| LastCertificate { distinct: 2, mismatched_samples: Some(1), ..last });
    const REISSUE: &str = "critical reissue [192.0.2.11] request RemoteCertificateNameMismatch";
    const ELSEWHERE: Expected = ("info shared_name_elsewhere [192.0.2.11]", &["mail.example.com", "192.0.2.11"]);
    const QUEUED: Expected = ("info queued_mail []", &[]);
    vec![
        presenting(
            "Certificates that list different names",
            "smtp.example.com",
            &[("192.0.2.11", leaf(&["mail.example.com"])), ("192.0.2.12", leaf(&["a.test", "b.test", "192.0.2.12"]))],
            &[
                (
                    "critical reissue [192.0.2.11 192.0.2.12] request RemoteCertificateNameMismatch",
                    &[
                        "192.0.2.11 (mail.example.com) and 192.0.2.12 (a.test, b.test and 192.0.2.12)",
                        "smtp.example.com",
                    ],
                ),
                ("info use_backend_name [192.0.2.11]", &["mail.example.com", "192.0.2.11"]),
                QUEUED,
            ],
        ),
        wildcard(
            "A wildcard above the name",
            "a.smtp.example.com",
            &[
                (REISSUE, &["192.0.2.11", "a.smtp.example.com", " *.example.com"]),
                (
                    "info wildcard_depth [192.0.2.11]",
                    &[
                        "*.example.com",
                        "192.0.2.11",
                        "RFC 9525 §6.3",
                        "mail.example.com",
                        "2 labels",
                        "*.smtp.example.com",
                    ],
                ),
            ],
        ),
        wildcard(
            "A wildcard below the name",
            "example.com",
            &[
                (REISSUE, &["192.0.2.11", " example.com", " *.example.com"]),
                ("info wildcard_depth [192.0.2.11]", &["*.example.com", "192.0.2.11", "RFC 9525 §6.3"]),
            ],
        ),
        presenting(
            "The name in the common name only, and no name at all",
            "smtp.example.com",
            &[
                ("192.0.2.11", bare),
                ("192.0.2.12", leaf(&["mail.example.com"]).with_common_name("smtp.example.com")),
                ("192.0.2.13", none),
            ],
            &[
                (
                    "critical reissue [192.0.2.12] request RemoteCertificateNameMismatch",
                    &["192.0.2.12", "smtp.example.com", "RFC 9525 §2"],
                ),
                (
                    "critical reissue [192.0.2.13] request RemoteCertificateNameMismatch",
                    &["192.0.2.13", "smtp.example.com"],
                ),
                (
                    "warning reissue [192.0.2.11] request RemoteCertificateNameMismatch",
                    &["192.0.2.11", "smtp.example.com", "RFC 9525 §2"],
                ),
                ("info use_backend_name [192.0.2.12]", &["mail.example.com", "192.0.2.12"]),
                QUEUED,
            ],
        ),
        presenting(
            "An IP address as server name",
            "192.0.2.11",
            &[("192.0.2.11", leaf(&["mail.example.com"]))],
            &[
                (
                    "critical ip_reference [192.0.2.11] request RemoteCertificateNameMismatch",
                    &["192.0.2.11", "mail.example.com"],
                ),
                ELSEWHERE,
                QUEUED,
            ],
        ),
        case(
            "An address that presents several certificates",
            fixture.report(vec![BackendReport { last_certificate: last, ..several }]),
            &[
                (REISSUE, &["192.0.2.11", "smtp.example.com", "mail.example.com", "1 recent connection"]),
                ELSEWHERE,
                QUEUED,
            ],
        ),
    ]
}

fn expected_names() -> Vec<Case> {
    let ca = TestCa::new();
    let fixture = EndpointFixture {
        expect_names: vec![name("smtp.example.com"), name("mx.example.com"), name("mx2.example.com")],
        ..EndpointFixture::of("smtp.example.com")
    };
    let presents = |address, names: &[&str]| fixture.presents(&ca, address, &ca.chain(&leaf(names)));
    const MISSING: &str = "warning expected_name [192.0.2.11] request";
    vec![
        case(
            "An expected name that is missing",
            fixture.report(vec![presents("192.0.2.11", &["smtp.example.com", "mx2.example.com"])]),
            &[(MISSING, &["192.0.2.11", "mx.example.com", "`expect_names`"])],
        ),
        case(
            "Different expected names that are missing",
            fixture.report(vec![
                presents("192.0.2.11", &["smtp.example.com", "mx2.example.com"]),
                presents("192.0.2.12", &["smtp.example.com"]),
            ]),
            &[(
                "warning expected_name [192.0.2.11 192.0.2.12] request",
                &["192.0.2.11 (mx.example.com) and 192.0.2.12 (mx.example.com and mx2.example.com)", "`expect_names`"],
            )],
        ),
        case(
            "The server name and expected names that are missing",
            fixture.report(vec![presents("192.0.2.11", &["mail.example.com"])]),
            &[
                ("critical reissue [192.0.2.11] request RemoteCertificateNameMismatch", &["192.0.2.11"]),
                ("info shared_name_elsewhere [192.0.2.11]", &["mail.example.com"]),
                ("info queued_mail []", &[]),
                (MISSING, &["192.0.2.11", "mx.example.com and mx2.example.com"]),
            ],
        ),
    ]
}

#[test]
fn a_reissue_request_asks_for_expected_names_as_well() {
    let reports = expected_names();
    let advice = advise(&reports.last().expect("a case").report, now());
    let request = advice.first().and_then(|advice| advice.request.as_deref()).expect("a request");
    for name in ["smtp.example.com", "mx.example.com", "mx2.example.com"] {
        assert!(request.contains(name), "{name} in {request}");
    }
}

fn intermediate(name: &str, from: &'static str, until: &'static str) -> CertBuilder {
    between(CertBuilder::authority(name), from, until)
}

fn key() -> Key {
    Key::generate(KeyAlgorithm::P256)
}

fn chains() -> Vec<Case> {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let good = leaf(&["smtp.example.com"]);
    let beside_a_complete_chain = |title, chain: &[_], expected| {
        let full = fixture.presents(&ca, "192.0.2.10", &ca.chain(&good));
        case(title, fixture.report(vec![full, fixture.presents(&ca, "192.0.2.11", chain)]), expected)
    };
    let stranger = Ca::root(&intermediate("Stranger", "20200101000000Z", "20400101000000Z"), &key());
    let old = ca.root.sub(&intermediate("Old", "20200101000000Z", "20260101000000Z"), &key());
    let later = ca.root.sub(&intermediate("Later", "20260701000000Z", "20400101000000Z"), &key());
    let forged = good.sign(&ca.key, &Name::common("Example Intermediate"), &ca.key);
    vec![
        beside_a_complete_chain(
            "An intermediate that is not sent",
            &[ca.intermediate.issue(&good, &ca.key)],
            &[(
                "critical missing_intermediate [192.0.2.11] request PartialChain",
                &[
                    "192.0.2.11",
                    "CN=Example Intermediate (SHA-256 ",
                    "Postfix `smtpd_tls_chain_files`, Exim `tls_certificate`",
                ],
            )],
        ),
        beside_a_complete_chain(
            "A self-signed certificate",
            &[good.self_sign(&ca.key)],
            &[(
                "critical self_signed [192.0.2.11] request UntrustedRoot",
                &["192.0.2.11", "smtp.example.com", "`trust_stores`"],
            )],
        ),
        beside_a_complete_chain(
            "An unknown issuer that is sent",
            &[stranger.issue(&good, &ca.key), stranger.der()],
            &[(
                "critical unknown_issuer [192.0.2.11] request PartialChain",
                &["192.0.2.11", "CN=Stranger", "`test`", "`trust_stores`"],
            )],
        ),
        beside_a_complete_chain(
            "An unknown issuer that is not sent",
            &[stranger.issue(&good, &ca.key)],
            &[(
                "critical unknown_issuer [192.0.2.11] request PartialChain",
                &["192.0.2.11", "CN=Stranger", "`test`", "intermediate", "`trust_stores`"],
            )],
        ),
        beside_a_complete_chain(
            "A signature by another key",
            &[forged, ca.intermediate.der()],
            &[("critical bad_chain [192.0.2.11] request NotSignatureValid", &["192.0.2.11"])],
        ),
        beside_a_complete_chain(
            "An expired intermediate",
            &[old.issue(&good, &ca.key), old.der()],
            &[(
                "critical expired [192.0.2.11] request NotTimeValid",
                &["192.0.2.11", "the intermediate CN=Old (SHA-256 "],
            )],
        ),
        beside_a_complete_chain(
            "An intermediate that is not valid yet",
            &[later.issue(&good, &ca.key), later.der()],
            &[(
                "critical not_yet_valid [192.0.2.11] request NotTimeValid",
                &["192.0.2.11", "the intermediate CN=Later (SHA-256 "],
            )],
        ),
        beside_a_complete_chain(
            "A stapled OCSP response that is missing",
            &ca.chain(&good.clone().with_extension(Extension::must_staple())),
            &[("warning staple [192.0.2.11] request OfflineRevocation", &["192.0.2.11", "RFC 7633"])],
        ),
    ]
}

/// Problems of the root, which are not for the server's operator, and chains that only some senders refuse.
fn roots() -> Vec<Case> {
    let fixture = EndpointFixture::of("smtp.example.com");
    let root = |until| intermediate("Example Root", "20200101000000Z", until);
    let under = |title, root: CertBuilder, leaf: CertBuilder, expected| {
        let ca = TestCa::with_root(root);
        let backends = ["192.0.2.11", "192.0.2.12"].map(|address| fixture.presents(&ca, address, &ca.chain(&leaf)));
        case(title, fixture.report(backends.into()), expected)
    };
    let good = || leaf(&["smtp.example.com"]);
    const LATER: &str = "20400101000000Z";
    const BOTH: &str = "192.0.2.11 and 192.0.2.12";
    vec![
        under(
            "A root that has expired",
            root("20260530000000Z"),
            good(),
            &[(
                "critical expired [192.0.2.11 192.0.2.12] NotTimeValid",
                &["CN=Example Root", "`test`", BOTH, "2 days ago, on 2026-05-30 00:00", "`trust_stores`"],
            )],
        ),
        under(
            "A root and a server certificate that have expired",
            root("20260530000000Z"),
            between(good(), "20260101000000Z", "20260531000000Z"),
            &[
                ("critical expired [192.0.2.11 192.0.2.12] request NotTimeValid", &["2026-05-31 00:00"]),
                ("critical expired [192.0.2.11 192.0.2.12] NotTimeValid", &["CN=Example Root", "2026-05-30 00:00"]),
            ],
        ),
        under(
            "A root that expires soon",
            root("20260605000000Z"),
            good(),
            &[(
                "warning expires_soon [192.0.2.11 192.0.2.12]",
                &["CN=Example Root", BOTH, "in 4 days, on 2026-06-05 00:00", "`trust_stores`"],
            )],
        ),
        under(
            "A root that must not issue certificates",
            root(LATER).with_extension(Extension::leaf_key_usage()),
            good(),
            &[(
                "critical bad_chain [192.0.2.11 192.0.2.12] NotValidForUsage",
                &["CN=Example Root", BOTH, "CA:TRUE", "keyCertSign", "`trust_stores`"],
            )],
        ),
        under(
            "A root without basic constraints",
            root(LATER).without_extension(&Extension::basic_constraints(true, None)),
            good(),
            &[("warning chain_warning [192.0.2.11 192.0.2.12]", &["CN=Example Root", BOTH, "CA:TRUE", "Go refuses"])],
        ),
        under(
            "A root with an empty key usage",
            root(LATER).with_extension(Extension::key_usage(&[])),
            good(),
            &[(
                "warning chain_warning [192.0.2.11 192.0.2.12]",
                &["CN=Example Root", BOTH, "keyCertSign", "OpenSSL, Postfix and GnuTLS refuse"],
            )],
        ),
        under(
            "A root with the authority key identifier of another one",
            root(LATER)
                .with_extension(Extension::subject_key_identifier(&[1; 20]))
                .with_extension(Extension::authority_key_identifier(&[2; 20])),
            good(),
            &[(
                "warning chain_warning [192.0.2.11 192.0.2.12]",
                &["CN=Example Root", BOTH, "authority key identifier", "OpenSSL and Postfix refuse"],
            )],
        ),
        under(
            "Negative serial numbers of a root and of a server certificate",
            CertBuilder { serial: vec![0x80], ..root(LATER) },
            CertBuilder { serial: vec![0x81], ..good() },
            &[
                ("warning chain_warning [192.0.2.11 192.0.2.12] request", &[BOTH, "serial number", "Go refuses"]),
                ("warning chain_warning [192.0.2.11 192.0.2.12]", &["CN=Example Root", BOTH, "Go refuses"]),
            ],
        ),
        under(
            "A key usage that some senders refuse",
            root(LATER),
            good().with_extension(Extension::ca_key_usage()),
            &[(
                "warning chain_warning [192.0.2.11 192.0.2.12] request",
                &[BOTH, "digitalSignature", "OpenSSL, Postfix and GnuTLS refuse"],
            )],
        ),
    ]
}

/// What is wrong with certificates in the trust store other than the root.
fn stores() -> Vec<Case> {
    let fixture = EndpointFixture::of("smtp.example.com");
    let good = leaf(&["smtp.example.com"]);
    let ca = TestCa::new();
    let old =
        ca.root.sub(&intermediate("Example Intermediate", "20200101000000Z", "20260530000000Z"), ca.intermediate.key());
    let (root, current) = (ca.root.der(), ca.intermediate.der());
    let sent = [ca.intermediate.issue(&good, &ca.key), current.clone()];
    let sent_with_old = [sent.clone().to_vec(), vec![old.der()]].concat();
    let old_first = [ca.intermediate.issue(&good, &ca.key), old.der(), current.clone()];
    let empty = ca.root.sub(
        &intermediate("Empty", "20200101000000Z", "20400101000000Z").with_extension(Extension::key_usage(&[])),
        &key(),
    );
    let with_empty = [empty.issue(&good, &ca.key), empty.der()];
    let beside = |title, ca: &TestCa, chain: &[CertificateDer<'static>], expected| {
        case(title, fixture.report(vec![fixture.presents(ca, "192.0.2.11", chain)]), expected)
    };
    let with_old = TestCa::new().trusting(&[old.der(), root.clone()]);
    let only_root = TestCa::new().trusting(std::slice::from_ref(&root));
    let only_old = TestCa::new().trusting(&[old.der()]);
    let own_leaf = TestCa::new().trusting(&sent[..1]);
    let own = good.self_sign(&ca.key);
    let twins = TestCa::new().trusting(&[good.self_sign(&ca.key), own.clone()]);
    let only_current = TestCa::new().trusting(&[current]);
    vec![
        beside(
            "An expired intermediate in the trust store",
            &with_old,
            &sent,
            &[("warning chain_warning [192.0.2.11]", &["192.0.2.11", "`trust_stores`", "OpenSSL and Postfix refuse"])],
        ),
        beside(
            "An expired intermediate in the trust store that is sent as well",
            &with_old,
            &sent_with_old,
            &[("warning chain_warning [192.0.2.11]", &["192.0.2.11", "`trust_stores`", "OpenSSL and Postfix refuse"])],
        ),
        beside(
            "An expired intermediate that is sent before the current one",
            &only_root,
            &old_first,
            &[("warning chain_warning [192.0.2.11] request", &["192.0.2.11", "one path", "GnuTLS refuses"])],
        ),
        beside(
            "An intermediate in the trust store without the root",
            &only_current,
            &sent,
            &[(
                "warning chain_warning [192.0.2.11]",
                &["intermediate CN=Example Intermediate", "192.0.2.11", "OpenSSL and Postfix"],
            )],
        ),
        beside(
            "A server certificate that is sent alone, whose intermediate in the trust store has expired",
            &only_old,
            &sent[..1],
            &[(
                "critical expired [192.0.2.11] request NotTimeValid",
                &["The intermediate CN=Example Intermediate", "2026-05-30", "`trust_stores`", "is sent alone"],
            )],
        ),
        beside(
            "An expired intermediate in the trust store without the root, and a current one that is sent",
            &only_old,
            &sent,
            &[(
                "critical expired [192.0.2.11] NotTimeValid",
                &["The intermediate CN=Example Intermediate", "2026-05-30", "`trust_stores`"],
            )],
        ),
        beside(
            "A server certificate in the trust store that is sent alone",
            &own_leaf,
            &sent[..1],
            &[(
                "critical unknown_issuer [192.0.2.11] request PartialChain",
                &["192.0.2.11", "OpenSSL and Postfix", "Send the intermediate certificates", "`trust_stores`"],
            )],
        ),
        beside(
            "A server certificate in the trust store that is sent with its intermediate",
            &own_leaf,
            &sent,
            &[(
                "critical unknown_issuer [192.0.2.11] request PartialChain",
                &["192.0.2.11", "OpenSSL and Postfix", "Present a certificate from a CA", "`trust_stores`"],
            )],
        ),
        beside(
            "A self-signed certificate in the trust store after another one",
            &twins,
            &[own],
            &[("warning chain_warning [192.0.2.11]", &["192.0.2.11", "`trust_stores`", "OpenSSL and Postfix refuse"])],
        ),
        beside(
            "An intermediate with an empty key usage",
            &only_root,
            &with_empty,
            &[("warning chain_warning [192.0.2.11] request", &["intermediate", "192.0.2.11", "keyCertSign"])],
        ),
    ]
}

#[test]
fn a_missing_or_expired_intermediate_has_its_fingerprint() {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let good = leaf(&["smtp.example.com"]);
    let full = fixture.presents(&ca, "192.0.2.10", &ca.chain(&good));
    let old = ca.root.sub(&intermediate("Old", "20200101000000Z", "20260101000000Z"), &key());
    for (chain, culprit) in [
        (vec![ca.intermediate.issue(&good, &ca.key)], ca.intermediate.der()),
        (vec![old.issue(&good, &ca.key), old.der()], old.der()),
    ] {
        let report = fixture.report(vec![full.clone(), fixture.presents(&ca, "192.0.2.11", &chain)]);
        let fingerprint = hex(&Certificate::new(culprit).fingerprint());
        for advice in advise(&report, now()) {
            let request = advice.request.unwrap_or_default();
            assert!(advice.text.contains(&fingerprint) && request.contains(&fingerprint), "{}", advice.text);
        }
    }
}

fn validity() -> Vec<Case> {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let valid = |from, until| {
        fixture.presents(&ca, "192.0.2.11", &ca.chain(&between(leaf(&["smtp.example.com"]), from, until)))
    };
    let only = |title, backend: BackendReport, expected| case(title, fixture.report(vec![backend]), expected);
    let ending = ca.root.sub(&intermediate("Ending", "20200101000000Z", "20260605000000Z"), &key());
    let chain = [ending.issue(&leaf(&["smtp.example.com"]), &ca.key), ending.der()];
    const EXPIRED: &str = "critical expired [192.0.2.11] request NotTimeValid";
    const EXPIRES_SOON: &str = "warning expires_soon [192.0.2.11] request";
    vec![
        only("A certificate with 14 days left", valid("20260501000000Z", "20260615000000Z"), &[]),
        only(
            "An expired certificate",
            valid("20260101000000Z", "20260531000000Z"),
            &[(EXPIRED, &["192.0.2.11", "2026-05-31 00:00"])],
        ),
        only(
            "An expired certificate on a backend that fails",
            now_failing(valid("20260101000000Z", "20260529000000Z")),
            &[
                ("critical unreachable [192.0.2.11] request", &["192.0.2.11", "587"]),
                (EXPIRED, &["192.0.2.11", "2026-05-31 22:59", "3 days ago", "2026-05-29 00:00"]),
            ],
        ),
        only(
            "A certificate that expires soon",
            valid("20260101000000Z", "20260607000000Z"),
            &[(EXPIRES_SOON, &["192.0.2.11", "in 6 days", "2026-06-07 00:00"])],
        ),
        only(
            "A short-lived certificate that expires soon",
            valid("20260527000000Z", "20260602000000Z"),
            &[(EXPIRES_SOON, &["192.0.2.11", "2026-06-02 00:00", "6 days"])],
        ),
        only("A short-lived certificate with time left", valid("20260529000000Z", "20260604000000Z"), &[]),
        only(
            "A certificate that becomes valid within a day",
            valid("20260601000700Z", "20260901000000Z"),
            &[(
                "critical clock [192.0.2.11] request NotTimeValid",
                &["192.0.2.11", "in 7 min", "2026-06-01 00:07", "NTP"],
            )],
        ),
        only(
            "A certificate that becomes valid later",
            valid("20260701000000Z", "20260901000000Z"),
            &[(
                "critical not_yet_valid [192.0.2.11] request NotTimeValid",
                &["192.0.2.11", "in 30 days", "2026-07-01 00:00"],
            )],
        ),
        only(
            "An intermediate that expires soon",
            fixture.presents(&ca, "192.0.2.11", &chain),
            &[("warning expires_soon [192.0.2.11]", &["ntermediate", "192.0.2.11", "in 4 days", "2026-06-05 00:00"])],
        ),
    ]
}

fn renewals() -> Vec<Case> {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let builder = |from, until| between(leaf(&["smtp.example.com"]), from, until);
    let (old, new) = (ca.chain(&builder("20260326000000Z", "20260624000000Z")), ca.chain(&leaf(&["smtp.example.com"])));
    let own = ca.chain(&builder("20260415000000Z", "20260801000000Z"));
    let presents = |address, chain: &[_]| fixture.presents(&ca, address, chain);
    let beside_new = |chain: &[_]| fixture.report(vec![presents("192.0.2.10", &new), presents("192.0.2.11", chain)]);
    let with_file = |chain: &[_], file: Option<&[CertificateDer<'static>]>| {
        let report = fixture.report(vec![presents("192.0.2.11", chain)]);
        let settings = ProbeSettings {
            certificate_file: Some(std::path::Path::new("/etc/ssl/mail.pem").into()),
            ..(*report.target.settings).clone()
        };
        let target = Target { settings: Arc::new(settings), ..(*report.target).clone() };
        let file = file.and_then(|chain| chain.first()).map(|leaf| Arc::new(Certificate::new(leaf.clone())));
        TargetReport { target: Arc::new(target), file: Some(file.ok_or_else(|| "no such file".into())), ..report }
    };
    const NOT_RELOADED: &str = "warning not_reloaded [192.0.2.11] request";
    vec![
        case("Different certificates that are not due for renewal", beside_new(&own), &[]),
        case(
            "A certificate that was renewed on one of two backends",
            beside_new(&old),
            &[(
                "info renewed_partly [192.0.2.11] request",
                &["192.0.2.10", "192.0.2.11", "2026-09-01 00:00", "2026-06-24 00:00"],
            )],
        ),
        case("The certificate in certificate_file", with_file(&new, Some(&new)), &[]),
        case(
            "A newer certificate in certificate_file",
            with_file(&old, Some(&new)),
            &[(NOT_RELOADED, &["/etc/ssl/mail.pem", "192.0.2.11", "2026-09-01 00:00", "2026-06-24 00:00"])],
        ),
        case(
            "A newer certificate in certificate_file that does not list the name",
            with_file(&old, Some(&ca.chain(&leaf(&["mail.example.com"])))),
            &[(NOT_RELOADED, &["/etc/ssl/mail.pem", "192.0.2.11", "2026-09-01 00:00", "smtp.example.com"])],
        ),
        case(
            "Another certificate in certificate_file",
            with_file(&new, Some(&old)),
            &[("warning not_reloaded [192.0.2.11]", &["/etc/ssl/mail.pem", "192.0.2.11", "`certificate_file`"])],
        ),
        case(
            "An unreadable certificate_file",
            with_file(&new, None),
            &[("warning file_unreadable []", &["/etc/ssl/mail.pem", "`certificate_file`", "no such file"])],
        ),
        case("A certificate_file before the first round", TargetReport { file: None, ..with_file(&new, None) }, &[]),
    ]
}
