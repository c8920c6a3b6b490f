//! Names to use in place of one that certificates do not list.

use super::*;

/// Three backends: `mail` is on all certificates, `smtp` on one.
pub(super) fn classic(ca: &TestCa, fixture: &EndpointFixture) -> TargetReport {
    let (good, bad) = (leaf(&["smtp.example.com", "mail.example.com"]), leaf(&["mail.example.com"]));
    fixture.report(vec![
        fixture.presents(ca, "192.0.2.10", &ca.chain(&good)),
        fixture.presents(ca, "192.0.2.11", &ca.chain(&bad)),
        fixture.presents(ca, "192.0.2.12", &ca.chain(&bad)),
    ])
}

const ALL: &[&str] = &["192.0.2.10", "192.0.2.11", "192.0.2.12"];
const REISSUE: Expected = (
    "critical reissue [192.0.2.11 192.0.2.12] request RemoteCertificateNameMismatch",
    &["192.0.2.11 and 192.0.2.12 ", "smtp.example.com", "mail.example.com"],
);
const REISSUE_ONE: Expected =
    ("critical reissue [192.0.2.11] request RemoteCertificateNameMismatch", &["192.0.2.11", "smtp.example.com"]);
const QUEUED: Expected = ("info queued_mail []", &[]);
const ELSEWHERE: &str = "info shared_name_elsewhere [192.0.2.10 192.0.2.11 192.0.2.12]";
const USE_MAIL: Expected = ("info use_shared_name [192.0.2.10 192.0.2.11]", &["mail.example.com"]);
const USE_BUT: Expected = ("info use_shared_name [192.0.2.10 192.0.2.11]", &["mail.example.com", "192.0.2.11"]);

pub(super) fn cases() -> Vec<Case> {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let classic = classic(&ca, &fixture);
    let mut cases = Vec::new();
    let mut resolving = |name, addresses: Option<&[&str]>, expected| {
        let report = with_alternates(classic.clone(), &[("mail.example.com", addresses)]);
        cases.push(case(name, report, expected));
    };
    resolving(
        "An alternate name on all certificates that resolves to all backends",
        Some(ALL),
        &[REISSUE, ("info use_shared_name [192.0.2.10 192.0.2.11 192.0.2.12]", &["mail.example.com"]), QUEUED],
    );
    resolving(
        "An alternate name that resolves to some of the backends",
        Some(&["192.0.2.10", "192.0.2.11"]),
        &[REISSUE, (ELSEWHERE, &["mail.example.com", "192.0.2.10 and 192.0.2.11", "192.0.2.12"]), QUEUED],
    );
    resolving(
        "An alternate name that resolves to a backend and to another address",
        Some(&["192.0.2.10", "198.51.100.7"]),
        &[REISSUE, (ELSEWHERE, &["mail.example.com", "also", "198.51.100.7", "smtp.example.com"]), QUEUED],
    );
    resolving(
        "An alternate name that resolves to another address only",
        Some(&["198.51.100.7"]),
        &[REISSUE, (ELSEWHERE, &["mail.example.com", "198.51.100.7", "smtp.example.com"]), QUEUED],
    );
    resolving(
        "An alternate name without addresses",
        Some(&[]),
        &[REISSUE, (ELSEWHERE, &["mail.example.com", "192.0.2.10, 192.0.2.11 and 192.0.2.12"]), QUEUED],
    );
    let unknown: &[Expected] = &[REISSUE, (ELSEWHERE, &["mail.example.com"]), QUEUED];
    resolving("An alternate name that could not be resolved", None, unknown);
    cases.push(case("An alternate name that was not looked up yet", classic.clone(), unknown));
    let mut two = with_alternates(classic, &[("mail.example.com", Some(ALL)), ("example.com", Some(ALL))]);
    let both = leaf(&["mail.example.com", "example.com"]);
    two.endpoints[0].backends =
        ALL.iter().map(|address| Arc::new(fixture.presents(&ca, address, &ca.chain(&both)))).collect();
    cases.push(case(
        "Two alternate names",
        two,
        &[
            (
                "critical reissue [192.0.2.10 192.0.2.11 192.0.2.12] request RemoteCertificateNameMismatch",
                &["smtp.example.com"],
            ),
            ("info use_shared_name [192.0.2.10 192.0.2.11 192.0.2.12]", &["mail.example.com", " example.com"]),
            QUEUED,
        ],
    ));
    cases.extend(validity(&ca, &fixture));
    cases.extend(single_backends(&ca, &fixture));
    cases
}

/// A name is called valid only where the chains of all backends are.
fn validity(ca: &TestCa, fixture: &EndpointFixture) -> Vec<Case> {
    let good = ca.chain(&leaf(&["smtp.example.com", "mail.example.com"]));
    let bad = fixture.presents(ca, "192.0.2.11", &ca.chain(&leaf(&["mail.example.com"])));
    let expired = between(leaf(&["mail.example.com"]), "20260101000000Z", "20260501000000Z");
    let two = |second: BackendReport| {
        let report = fixture.report(vec![fixture.presents(ca, "192.0.2.10", &good), second]);
        with_alternates(report, &[("mail.example.com", Some(&["192.0.2.10", "192.0.2.11"]))])
    };
    let mut unproved = bad.clone();
    if let Some(last) = &mut unproved.last_certificate {
        last.assessment.proof = None;
    }
    let last = bad.last_certificate.clone().map(|last| LastCertificate { distinct: 2, ..last });
    let several = BackendReport { last_certificate: last, ..bad.clone() };
    let mut capped = two(bad.clone());
    capped.endpoints[0].skipped = vec![(SkipReason::Cap, 2)];
    let alone = fixture.report(vec![bad.clone(), unresolved(fixture.presents(ca, "192.0.2.10", &good))]);
    vec![
        case("An alternate name on two valid certificates", two(bad.clone()), &[REISSUE_ONE, USE_MAIL, QUEUED]),
        case(
            "An alternate name while a chain is not valid",
            two(fixture.presents(ca, "192.0.2.11", &ca.chain(&expired))),
            &[
                REISSUE_ONE,
                USE_BUT,
                QUEUED,
                ("critical expired [192.0.2.11] request NotTimeValid", &["192.0.2.11", "2026-05-01"]),
            ],
        ),
        case(
            "An alternate name while it is not known whether a chain is valid",
            two(unproved),
            &[REISSUE_ONE, USE_BUT, QUEUED],
        ),
        case(
            "An alternate name while a backend fails",
            two(now_failing(bad)),
            &[
                ("critical unreachable [192.0.2.11] request", &["192.0.2.11", "587"]),
                REISSUE_ONE,
                (
                    "info use_shared_name [192.0.2.10 192.0.2.11]",
                    &["mail.example.com", "192.0.2.11", "2026-05-31 22:59"],
                ),
                QUEUED,
            ],
        ),
        case(
            "An alternate name while an address presents several certificates",
            two(several),
            &[REISSUE_ONE, USE_BUT, QUEUED],
        ),
        case(
            "An alternate name while addresses are skipped",
            capped,
            &[
                REISSUE_ONE,
                (
                    "info use_shared_name [192.0.2.10 192.0.2.11]",
                    &["mail.example.com", "2 more addresses", "smtp.example.com"],
                ),
                QUEUED,
            ],
        ),
        case(
            "An alternate name and a single backend",
            with_alternates(alone, &[("mail.example.com", Some(&["192.0.2.11"]))]),
            &[REISSUE_ONE, ("info use_shared_name [192.0.2.11]", &["mail.example.com", "192.0.2.11"]), QUEUED],
        ),
    ]
}

/// The name of one backend where no name is on all certificates.
fn single_backends(ca: &TestCa, fixture: &EndpointFixture) -> Vec<Case> {
    let presents = |address, names: &[&str]| fixture.presents(ca, address, &ca.chain(&leaf(names)));
    let one = presents("192.0.2.10", &["smtp.example.com", "mx1.example.com"]);
    let two = presents("192.0.2.11", &["mx2.example.com"]);
    let refused = fixture.fails("192.0.2.12", Stage::Connect, ProbeReason::Refused, "");
    const UNKNOWN: Expected = ("info use_backend_name [192.0.2.10]", &["mx1.example.com", "192.0.2.10", "192.0.2.12"]);
    vec![
        case(
            "No name on all certificates",
            fixture.report(vec![one.clone(), two.clone()]),
            &[REISSUE_ONE, ("info use_backend_name [192.0.2.10]", &["mx1.example.com", "192.0.2.10"]), QUEUED],
        ),
        case(
            "No name on all certificates, with a backend that was not probed yet",
            fixture.report(vec![one.clone(), two.clone(), fixture.unprobed("192.0.2.12")]),
            &[REISSUE_ONE, UNKNOWN, QUEUED],
        ),
        case(
            "No name on all certificates, with a backend that was never reached",
            fixture.report(vec![one.clone(), two.clone(), refused]),
            &[("critical unreachable [192.0.2.12] request", &["192.0.2.12", "587"]), REISSUE_ONE, UNKNOWN, QUEUED],
        ),
        case(
            "No name on all certificates while both backends fail",
            fixture.report(vec![now_failing(one), now_failing(two)]),
            &[
                ("critical unreachable [192.0.2.10 192.0.2.11] request", &["192.0.2.10 and 192.0.2.11", "587"]),
                REISSUE_ONE,
            ],
        ),
    ]
}
