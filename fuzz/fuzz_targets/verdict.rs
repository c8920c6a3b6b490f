//! Arbitrary bytes as a presented chain, its staple and its key proof: the verdicts do not panic, terminate quickly
//! and never call such a chain valid.
//!
//! The input is a sequence of DER elements, each used as a certificate; the rest is the staple and the signature.

#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use rustls_pki_types::CertificateDer;
use smtp_tls_exporter::observation::{KeyProof, PresentedChain};
use smtp_tls_exporter::target::ServerName;
use smtp_tls_exporter::trust::TrustStore;
use smtp_tls_exporter::trust::anchors::Roots;
use smtp_tls_exporter::verdict::{AssessmentInput, Judge};

struct Fixture {
    judge: Judge,
    trust: TrustStore,
    name: ServerName,
    expected: Vec<ServerName>,
    now: SystemTime,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let name = |text| ServerName::parse(text).expect("a name");
    Fixture {
        judge: Judge::default(),
        trust: TrustStore::new("mozilla", Roots::Mozilla.load().expect("built-in roots")),
        name: name("smtp.example.com"),
        expected: vec![name("192.0.2.1"), name("2001:db8::1"), name("a.b.example.com")],
        now: UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    }
});

fuzz_target!(|input: &[u8]| {
    let Fixture { judge, trust, name, expected, now } = &*FIXTURE;
    let mut rest = input;
    let mut certificates = Vec::new();
    while let Some((element, after)) = element(rest).filter(|_| certificates.len() < 20) {
        certificates.push(CertificateDer::from(element.to_vec()));
        rest = after;
    }
    if certificates.is_empty() {
        certificates.push(CertificateDer::from(input.to_vec()));
    }
    let proof = KeyProof { scheme: 0x0403, tls13: true, message: input.into(), signature: rest.into() };
    let presented = PresentedChain { certificates, staple: rest.into() };
    let against = AssessmentInput {
        server_name: name,
        expect_names: expected,
        ehlo_name: Some("mail.example.com"),
        trust,
        known: None,
    };
    let assessment = judge.assess(presented, Some(&proof), &against, *now);
    let valid = assessment.valid(*now);
    assert!(valid != Some(true), "the key proof is random");
    assert_eq!(
        assessment.chain.verdict().valid(1_800_000_000),
        assessment.chain.verdict().reasons(1_800_000_000).is_empty()
    );
});

/// Splits `input` after its first DER element, going by the length octets only.
fn element(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = match *input.get(1)? {
        short @ 0..0x80 => usize::from(short) + 2,
        0x81 => usize::from(*input.get(2)?) + 3,
        0x82 => usize::from(u16::from_be_bytes([*input.get(2)?, *input.get(3)?])) + 4,
        _ => return None,
    };
    (input.first() == Some(&0x30) && length <= input.len()).then(|| input.split_at(length))
}
