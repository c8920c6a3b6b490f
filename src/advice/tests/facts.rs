//! On random fleets: advice holds for every backend that it names, and leaves none out.

use std::collections::BTreeSet;
use std::net::IpAddr;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rustls_pki_types::CertificateDer;
use smtp_fleet::x509::{Ca, CertBuilder, Key, KeyAlgorithm};

use super::*;
use crate::target::ServerName;
use crate::verdict::name as names;

/// A backend of a random fleet.
#[derive(Clone, Debug)]
struct SampleBackend {
    chain: Option<usize>,
    /// 0 to 2: probed successfully; 3: seen earlier, failing now; 4: failing at STARTTLS.
    state: u8,
    resolved: bool,
}

fn fleets() -> impl Strategy<Value = Vec<SampleBackend>> {
    let backend = (prop::option::weighted(0.9, 0..CHAINS), 0..5_u8, prop::bool::weighted(0.85));
    prop::collection::vec(backend.prop_map(|(chain, state, resolved)| SampleBackend { chain, state, resolved }), 1..6)
}

/// Chains by their names, then by their defects.
fn chains(ca: &TestCa) -> Vec<Vec<CertificateDer<'static>>> {
    let stranger = Ca::root(&CertBuilder::authority("Stranger"), &Key::generate(KeyAlgorithm::P256));
    let mut chains = Vec::new();
    for listed in NAMES {
        let builder = leaf(listed);
        let lone = ca.intermediate.issue(&builder, &ca.key);
        chains.push(ca.chain(&builder));
        chains.push(ca.chain(&builder));
        chains.push(ca.chain(&between(builder.clone(), "20260101000000Z", "20260530000000Z")));
        chains.push(ca.chain(&between(builder.clone(), "20260301000000Z", "20260605000000Z")));
        chains.push(ca.chain(&between(builder.clone(), "20260601000300Z", "20260901000000Z")));
        chains.push(vec![lone]);
        chains.push(vec![builder.self_sign(&ca.key)]);
        chains.push(vec![stranger.issue(&builder, &ca.key)]);
    }
    assert_eq!(chains.len(), CHAINS);
    chains
}

fn address(index: usize) -> String {
    format!("192.0.2.{}", 10 + index)
}

fn build(
    ca: &TestCa,
    fixture: &EndpointFixture,
    chains: &[Vec<CertificateDer<'static>>],
    fleet: &[SampleBackend],
    resolutions: &[u8],
) -> TargetReport {
    let backends = fleet.iter().enumerate().map(|(index, backend)| {
        let address = address(index);
        let report = match backend.chain {
            Some(chain) if backend.state == 3 => now_failing(fixture.presents(ca, &address, &chains[chain])),
            Some(chain) => fixture.presents(ca, &address, &chains[chain]),
            None => fixture.unprobed(&address),
        };
        let report = if backend.state == 4 {
            fixture.fails(&address, Stage::StartTls, ProbeReason::StartTlsNotOffered, "")
        } else {
            report
        };
        BackendReport { resolved: backend.resolved, ..report }
    });
    let report = fixture.report(backends.collect());
    let candidates = crate::snapshot::alternates::alternate_candidates(&report.endpoints[0]);
    let resolved: Vec<String> =
        fleet.iter().enumerate().filter(|(_, backend)| backend.resolved).map(|(n, _)| address(n)).collect();
    let all: Vec<&str> = resolved.iter().map(String::as_str).collect();
    let texts: Vec<String> = candidates.iter().map(ToString::to_string).collect();
    let alternates: Vec<(&str, Option<&[&str]>)> = texts
        .iter()
        .zip(resolutions)
        .map(|(name, resolution)| {
            let addresses: Option<&[&str]> = match resolution {
                0 | 1 => Some(&all),
                2 => all.get(..1),
                3 => Some(&["198.51.100.7"]),
                4 => Some(&[]),
                _ => None,
            };
            (name.as_str(), addresses)
        })
        .collect();
    with_alternates(report, &alternates)
}

#[test]
fn advice_holds_and_is_complete() {
    let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
    let chains = chains(&ca);
    // Each chain is verified once.
    let assessed: Vec<_> = chains.iter().map(|chain| ca.assess_chain(&fixture, chain)).collect();
    let mut seen = BTreeSet::new();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::with_cases(600) }, rng);
    let cell = std::cell::RefCell::new(&mut seen);
    let result = runner.run(&(fleets(), prop::collection::vec(0..6_u8, 3)), |(fleet, resolutions)| {
        let report = build(&ca, &fixture, &chains, &fleet, &resolutions);
        let advice = advise(&report, now());
        cell.borrow_mut().extend(advice.iter().map(|advice| advice.kind));
        advice.iter().for_each(|advice| assert_holds(&report, advice));
        assert_complete(&report, &advice);
        Ok(())
    });
    result.expect("advice that holds");
    drop(assessed);
    use AdviceKind as A;
    for kind in [
        A::UseAlternateName,
        A::AlternateNameElsewhere,
        A::UseBackendName,
        A::Reissue,
        A::QueuedMail,
        A::MissingIntermediate,
    ] {
        assert!(seen.contains(&kind), "{kind} occurs");
    }
    for kind in [A::SelfSigned, A::UnknownIssuer, A::Expired, A::ExpiresSoon, A::Clock, A::RenewedPartly, A::StartTls] {
        assert!(seen.contains(&kind), "{kind} occurs");
    }
}

/// The reports of the backends that advice names.
fn named<'a>(report: &'a TargetReport, advice: &Advice) -> Vec<&'a BackendReport> {
    let all = || report.endpoints.iter().flat_map(|endpoint| &endpoint.backends);
    let find = |backend: &Backend| all().find(|report| report.backend == *backend).expect("a backend of the target");
    advice.backends.iter().map(|backend| &**find(backend)).collect()
}

fn resolved(report: &TargetReport) -> Vec<&BackendReport> {
    let all = report.endpoints.iter().flat_map(|endpoint| &endpoint.backends);
    all.map(|backend| &**backend).filter(|backend| backend.resolved).collect()
}

fn not_after(report: &BackendReport) -> i64 {
    report.leaf().and_then(|leaf| leaf.facts()).map_or(i64::MAX, |facts| facts.not_after)
}

fn has(report: &BackendReport, reason: ChainReason) -> bool {
    report.last_certificate.as_ref().is_some_and(|last| last.assessment.reasons(now()).contains(reason))
}

fn matches_name(report: &BackendReport, name: &ServerName) -> bool {
    report.leaf().and_then(|leaf| leaf.facts()).is_some_and(|facts| names::judge(name, facts).is_match())
}

fn is_valid(report: &BackendReport) -> bool {
    report.last_certificate.as_ref().and_then(|last| last.assessment.valid(now())) == Some(true)
}

/// The names that a text mentions, without the server name.
fn mentioned_names(text: &str) -> Vec<ServerName> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"-.*".contains(c));
    let words = words.map(|word| word.trim_end_matches('.')).filter(|word| !word.contains('*'));
    let names = words.filter(|word| word.ends_with(".example.com") && *word != "smtp.example.com");
    names.map(name).collect()
}

fn assert_holds(report: &TargetReport, advice: &Advice) {
    let (named, resolved, text) = (named(report, advice), resolved(report), advice.text.as_str());
    assert!(named.iter().all(|backend| backend.resolved), "{text}");
    // Addresses have two digits at the end: none is the beginning of another.
    for backend in report.endpoints[0].backends.iter().filter(|backend| !backend.resolved) {
        assert!(!text.contains(&backend.backend.address.to_string()), "a backend that is not in DNS in: {text}");
    }
    let unix = crate::verdict::unix(now());
    let every = |condition: &dyn Fn(&BackendReport) -> bool| {
        assert!(!named.is_empty() && named.iter().all(|backend| condition(backend)), "{text}");
    };
    match advice.kind {
        AdviceKind::Reissue => every(&|backend| backend.name_matches() == Some(false)),
        AdviceKind::UseAlternateName | AdviceKind::AlternateNameElsewhere => {
            assert_eq!(named.len(), resolved.len(), "{text}");
            let names = mentioned_names(text);
            assert!(!names.is_empty(), "{text}");
            for name in &names {
                every(&|backend| matches_name(backend, name));
            }
            let not_valid: Vec<_> = named.iter().filter(|backend| !is_valid(backend)).collect();
            assert_eq!(text.contains("the chain"), !not_valid.is_empty(), "{text}");
            for backend in not_valid {
                assert!(text.contains(&backend.backend.address.to_string()), "{text}");
            }
            if advice.kind == AdviceKind::UseAlternateName {
                let addresses: BTreeSet<IpAddr> = resolved.iter().map(|backend| backend.backend.address).collect();
                for name in &names {
                    let known = report.endpoints[0].alternates.iter().find(|alternate| alternate.name == *name);
                    let found = known.into_iter().flat_map(|alternate| alternate.addresses.iter().copied());
                    assert_eq!(found.collect::<BTreeSet<IpAddr>>(), addresses, "{text}");
                }
            }
        }
        AdviceKind::UseBackendName => {
            let names = mentioned_names(text);
            assert_eq!((names.len(), named.len()), (1, 1), "{text}");
            every(&|backend| matches_name(backend, &names[0]) && is_valid(backend) && backend.is_reachable());
        }
        AdviceKind::MissingIntermediate => every(&|backend| has(backend, ChainReason::MissingIntermediate)),
        AdviceKind::SelfSigned => every(&|backend| has(backend, ChainReason::SelfSigned)),
        AdviceKind::UnknownIssuer => every(&|backend| has(backend, ChainReason::UnknownIssuer)),
        AdviceKind::Clock => every(&|backend| has(backend, ChainReason::NotYetValid)),
        AdviceKind::Expired => every(&|backend| not_after(backend) < unix),
        AdviceKind::ExpiresSoon => every(&|backend| (unix..unix + 14 * 86_400).contains(&not_after(backend))),
        AdviceKind::RenewedPartly => {
            let names = |report: &BackendReport| -> Option<Vec<String>> {
                Some(report.leaf()?.facts()?.names().map(|name| name.to_string()).collect())
            };
            every(&|old| resolved.iter().any(|new| names(new) == names(old) && not_after(new) > not_after(old)));
        }
        AdviceKind::StartTls | AdviceKind::Unreachable => {
            every(&|backend| backend.probe.as_ref().is_some_and(|probe| probe.outcome.is_err()));
        }
        AdviceKind::QueuedMail => assert!(named.is_empty()),
        kind => panic!("unexpected {kind}: {text}"),
    }
}

/// Each problem is reported for every backend that has it.
fn assert_complete(report: &TargetReport, advice: &[Advice]) {
    let advised = |kind: AdviceKind| -> BTreeSet<IpAddr> {
        let of_kind = advice.iter().filter(|advice| advice.kind == kind);
        of_kind.flat_map(|advice| &advice.backends).map(|backend| backend.address).collect()
    };
    let with = |condition: &dyn Fn(&BackendReport) -> bool| -> BTreeSet<IpAddr> {
        let all = resolved(report).into_iter().filter(|backend| condition(backend));
        all.map(|backend| backend.backend.address).collect()
    };
    let unix = crate::verdict::unix(now());
    assert_eq!(advised(AdviceKind::Reissue), with(&|backend| backend.name_matches() == Some(false)));
    assert_eq!(advised(AdviceKind::Expired), with(&|backend| not_after(backend) < unix));
    assert_eq!(advised(AdviceKind::SelfSigned), with(&|backend| has(backend, ChainReason::SelfSigned)));
    assert_eq!(advised(AdviceKind::UnknownIssuer), with(&|backend| has(backend, ChainReason::UnknownIssuer)));
    assert_eq!(
        advised(AdviceKind::MissingIntermediate),
        with(&|backend| has(backend, ChainReason::MissingIntermediate))
    );
    let fails = |backend: &BackendReport| backend.probe.as_ref().is_some_and(|probe| probe.outcome.is_err());
    let failing: BTreeSet<IpAddr> =
        advised(AdviceKind::StartTls).union(&advised(AdviceKind::Unreachable)).copied().collect();
    assert_eq!(failing, with(&fails));
}

const NAMES: &[&[&str]] = &[
    &["smtp.example.com", "mail.example.com"],
    &["mail.example.com"],
    &["*.example.com"],
    &["mx1.example.com", "mail.example.com"],
    &["mx2.example.com"],
];
/// Eight of each.
const CHAINS: usize = 40;
