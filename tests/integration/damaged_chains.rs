//! Damaged chains: arbitrary bytes never cause a panic, and a certificate changed after signing is never valid.

use std::cell::Cell;
use std::time::SystemTime;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use rustls_pki_types::CertificateDer;
use smtp_fleet::cases::{self, Case};
use smtp_tls_exporter::observation::{KeyProof, PresentedChain};
use smtp_tls_exporter::target::ServerName;
use smtp_tls_exporter::trust::{Root, TrustStore};
use smtp_tls_exporter::verdict::{AssessmentInput, Judge, unix};

/// One change to the bytes of a certificate.
#[derive(Clone, Debug)]
enum Damage {
    Flip { at: Index, bit: u8 },
    Cut { at: Index, length: usize },
    Repeat { at: Index, length: usize },
    Truncate { at: Index },
}

impl Damage {
    fn strategy() -> impl Strategy<Value = Self> {
        prop_oneof![
            6 => (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Self::Flip { at, bit }),
            1 => (any::<Index>(), 1..9usize).prop_map(|(at, length)| Self::Cut { at, length }),
            1 => (any::<Index>(), 1..9usize).prop_map(|(at, length)| Self::Repeat { at, length }),
            1 => any::<Index>().prop_map(|at| Self::Truncate { at }),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Flip { at, bit } => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Self::Cut { at, length } => {
                let at = at.index(bytes.len());
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Self::Repeat { at, length } => {
                let at = at.index(bytes.len());
                let piece = bytes[at..(at + length).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            Self::Truncate { at } => bytes.truncate(at.index(bytes.len())),
        }
    }
}

/// The number of damaged chains judged, and of those with a changed leaf that can still be parsed.
#[derive(Default)]
struct Counts {
    judged: Cell<usize>,
    parsed: Cell<usize>,
}

fn check(case: &Case, index: Index, damage: &[Damage], judge: &Judge, counts: &Counts) -> Result<(), TestCaseError> {
    let chain = case.identity.chain();
    let index = index.index(chain.len());
    let mut certificates = chain.to_vec();
    let mut bytes = certificates[index].to_vec();
    damage.iter().for_each(|damage| damage.apply(&mut bytes));
    certificates[index] = CertificateDer::from(bytes);
    let is_changed = certificates[0] != chain[0];

    let now = SystemTime::now();
    let trust = TrustStore::new(case.name, case.roots.iter().filter_map(|root| Root::new(root).ok()).collect());
    let server_name = ServerName::parse(case.server_name).expect("a server name");
    let expect_names = std::slice::from_ref(&server_name);
    let ehlo_name = Some(case.server_name);
    let input = AssessmentInput { server_name: &server_name, expect_names, ehlo_name, trust: &trust, known: None };
    let noise: Box<[u8]> = certificates[0].iter().rev().copied().collect();
    let proof = KeyProof { scheme: 0x0403, tls13: true, message: Box::from([1]), signature: noise.clone() };
    let assessment = judge.assess(PresentedChain { certificates, staple: noise }, Some(&proof), &input, now);

    let verdict = assessment.chain.verdict();
    let valid = verdict.valid(unix(now));
    prop_assert_eq!(valid, verdict.reasons(unix(now)).is_empty(), "{}: {:?}", case.name, verdict);
    prop_assert!(!(valid && is_changed), "{}: the leaf was changed", case.name);
    prop_assert_ne!(assessment.valid(now), Some(true), "{}: the key proof is invalid", case.name);
    counts.judged.set(counts.judged.get() + 1);
    if is_changed && assessment.leaf().is_some_and(|leaf| leaf.facts().is_some()) {
        counts.parsed.set(counts.parsed.get() + 1);
    }
    Ok(())
}

#[test]
fn damaged_chains_are_never_valid() {
    let (judge, counts) = (Judge::default(), Counts::default());
    for case in cases::all() {
        let config = ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let damage = (any::<Index>(), prop::collection::vec(Damage::strategy(), 1..4));
        let outcome = runner.run(&damage, |(index, damage)| check(&case, index, &damage, &judge, &counts));
        outcome.unwrap_or_else(|error| panic!("{}: {error}", case.name));
    }
    let (judged, parsed) = (counts.judged.get(), counts.parsed.get());
    assert!(judged > 1_500 && parsed > 200, "{judged} judged, {parsed} damaged leaves parsed");
}
