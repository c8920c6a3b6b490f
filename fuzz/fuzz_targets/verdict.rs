//! Arbitrary bytes as a presented chain, and as its staple and key proof: nothing panics, nothing takes for ever, and
//! nothing but a chain under the roots is ever called valid.
//!
//! The input is DER elements end to end, each a certificate; what does not read as one is the staple.

#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use rustls_pki_types::CertificateDer;
use smtp_tls_exporter::trust::anchors::Roots;
use smtp_tls_exporter::observation::{KeyProof, PresentedChain};
use smtp_tls_exporter::target::ServerName;
use smtp_tls_exporter::trust::TrustStore;
use smtp_tls_exporter::verdict::{Judge, Question};

struct Bench {
    judge: Judge,
    trust: TrustStore,
    name: ServerName,
    expected: Vec<ServerName>,
    now: SystemTime,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let name = |text| ServerName::parse(text).expect("a name");
    Bench {
        judge: Judge::default(),
        trust: TrustStore::new("mozilla", Roots::Mozilla.load().expect("built in")),
        name: name("smtp.example.com"),
        expected: vec![name("192.0.2.1"), name("2001:db8::1"), name("a.b.example.com")],
        now: UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    }
});

fuzz_target!(|input: &[u8]| {
    let Bench { judge, trust, name, expected, now } = &*BENCH;
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
    let question =
        Question { server_name: name, expect_names: expected, ehlo_name: Some("mail.example.com"), trust, known: None };
    let assessment = judge.assess(presented, Some(&proof), &question, *now);
    let valid = assessment.valid(*now);
    assert!(valid != Some(true), "no key signed the input");
    assert_eq!(assessment.chain.verdict().valid(1_800_000_000), assessment.chain.verdict().reasons(1_800_000_000).is_empty());
});

/// The DER element at the start of `input`, by its length octets alone, and what follows it.
fn element(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = match *input.get(1)? {
        short @ 0..0x80 => usize::from(short) + 2,
        0x81 => usize::from(*input.get(2)?) + 3,
        0x82 => usize::from(u16::from_be_bytes([*input.get(2)?, *input.get(3)?])) + 4,
        _ => return None,
    };
    (input.first() == Some(&0x30) && length <= input.len()).then(|| input.split_at(length))
}
