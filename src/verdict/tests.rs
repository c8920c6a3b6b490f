//! Caching: equal chains are judged once, entries that no report uses are removed, and a change of the roots or of the
//! known intermediates changes the verdict.

use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use smtp_fleet::x509::{Ca, CertBuilder, Key, KeyAlgorithm};
use smtp_fleet::{Authority, AuthoritySpec, CertSpec, Identity, Issuer, Pki, Presented};

use super::*;
use crate::text::SECONDS_PER_DAY as DAY;

fn store(name: &str, root: &Authority) -> TrustStore {
    let anchor = webpki::anchor_from_trusted_cert(root.der()).expect("a root").to_owned();
    TrustStore::new(name, vec![anchor])
}

fn presented(identity: &Identity) -> PresentedChain {
    PresentedChain { certificates: identity.chain().to_vec(), staple: Box::default() }
}

/// A judge with one trust store and one server name.
struct Fixture {
    judge: Judge,
    name: ServerName,
    trust: TrustStore,
    now: SystemTime,
}

impl Fixture {
    fn new(pki: &Pki) -> Self {
        let name = ServerName::parse(NAME).expect("a name");
        Self { judge: Judge::default(), name, trust: store("test", pki.root()), now: SystemTime::now() }
    }

    fn assess(&self, identity: &Identity) -> Assessment {
        self.judge.assess(presented(identity), None, &self.input(), self.now)
    }

    fn input(&self) -> AssessmentInput<'_> {
        let (server_name, trust) = (&self.name, &self.trust);
        AssessmentInput { server_name, expect_names: &[], ehlo_name: None, trust, known: None }
    }

    #[track_caller]
    fn check(&self, assessment: &Assessment, days: i64, valid: bool, reasons: &[ChainReason]) {
        let at = self.now + Duration::from_secs(u64::try_from(days * DAY).expect("a later day"));
        assert_eq!(assessment.chain.verdict().valid(unix(at)), valid, "after {days} days");
        assert_eq!(assessment.reasons(at).iter().collect::<Vec<_>>(), reasons, "after {days} days");
    }
}

#[test]
fn reasons_depend_on_the_time() {
    use ChainReason::{Expired, NotYetValid};
    let pki = Pki::new();
    let fixture = Fixture::new(&pki);
    let assessment = fixture.assess(&pki.issue(&CertSpec::valid_for(&[NAME]).with_validity(10 * DAY, 20 * DAY)));
    fixture.check(&assessment, 0, false, &[NotYetValid]);
    fixture.check(&assessment, 9, false, &[NotYetValid]);
    fixture.check(&assessment, 11, true, &[]);
    fixture.check(&assessment, 21, false, &[Expired]);
    assert_eq!(assessment.chain.verdict().trusted(), Some(true));
}

#[test]
fn reassesses_with_other_roots() {
    let pki = Pki::new();
    let mut fixture = Fixture::new(&pki);
    let identity = pki.issue(&CertSpec::valid_for(&[NAME]));
    let before = fixture.assess(&identity);
    fixture.check(&before, 0, true, &[]);
    fixture.trust = store("test", &Authority::root(&AuthoritySpec::named("Other Root")));
    let after = fixture.judge.reassess(&before, &fixture.input(), fixture.now);
    fixture.check(&after, 0, false, &[ChainReason::UnknownIssuer]);
}

#[test]
fn completes_a_chain_from_another_server() {
    use ChainReason::{Expired, MissingIntermediate, UnknownIssuer};
    let pki = Pki::new();
    let fixture = Fixture::new(&pki);
    let upper = pki.root().sub(&AuthoritySpec::named("Upper"));
    let lower = Issuer::Authority(upper.sub(&AuthoritySpec::named("Lower")));
    let spec = CertSpec::valid_for(&[NAME]).with_issuer(lower);
    let complete = pki.issue(&spec);
    let leaf_only = pki.issue(&spec.clone().with_presented(Presented::LeafOnly));
    let expired = pki.issue(&spec.with_presented(Presented::LeafOnly).with_validity(-20 * DAY, -10 * DAY));

    let before = fixture.assess(&leaf_only);
    fixture.check(&before, 0, false, &[UnknownIssuer]);
    assert!(before.lacks_issuer() && before.missing().is_empty());
    assert_eq!(fixture.judge.issuers_learned(), 0);

    fixture.check(&fixture.assess(&complete), 0, true, &[]);
    assert_eq!(fixture.judge.issuers_learned(), 2);
    assert!(!fixture.judge.is_quick(&before.chain));
    let after = fixture.judge.reassess(&before, &fixture.input(), fixture.now);
    fixture.check(&after, 0, false, &[MissingIntermediate]);
    let missing: Vec<_> = after.missing().iter().map(|certificate| certificate.der().clone()).collect();
    assert_eq!(missing, complete.chain()[1..], "both, the issuer of the leaf first");
    fixture.check(&fixture.assess(&expired), 0, false, &[Expired, MissingIntermediate]);
}

#[test]
fn judges_equal_chains_once() {
    let pki = Pki::new();
    let fixture = Fixture::new(&pki);
    let identity = pki.issue(&CertSpec::valid_for(&[NAME]));
    let (first, second) = (fixture.assess(&identity), fixture.assess(&identity));
    assert!(Arc::ptr_eq(&first.chain, &second.chain));
    let other = fixture.assess(&pki.issue(&CertSpec::valid_for(&[NAME])));
    assert!(!Arc::ptr_eq(&first.chain, &other.chain));
    assert!(Arc::ptr_eq(&first.chain.certificates()[1], &other.chain.certificates()[1]), "the intermediate is shared");
    let with_staple = PresentedChain { staple: Box::from([1]), ..presented(&identity) };
    let stapled = fixture.judge.assess(with_staple, None, &fixture.input(), fixture.now);
    assert!(!Arc::ptr_eq(&first.chain, &stapled.chain), "other staple");
}

#[test]
fn a_new_certificate_at_every_probe_does_not_leak_memory() {
    let pki = Pki::new();
    let fixture = Fixture::new(&pki);
    let mut last = None;
    for _ in 0..3000 {
        last = Some(fixture.assess(&pki.issue_with_shared_key(&CertSpec::valid_for(&[NAME]))));
    }
    assert!(last.is_some_and(|last| last.chain.verdict().valid(unix(fixture.now))));
    let (certificates, chains) = fixture.judge.cache.sizes();
    assert!(
        certificates <= 600 && chains <= 600,
        "{certificates} certificates and {chains} chains in the cache, one of them in use"
    );
    assert_eq!(fixture.judge.issuers_learned(), 1);
}

#[test]
fn gives_up_on_cross_signed_cas() {
    // Each level has eight CAs of the same name; each of them is a possible issuer of all eight CAs of the level below.
    let level = |below: usize| -> Vec<CertificateDer<'static>> {
        let issuer =
            Ca::root(&CertBuilder::authority(&format!("Level {}", below + 1)), &Key::generate(KeyAlgorithm::P256));
        let subject = CertBuilder::authority(&format!("Level {below}"));
        (0..8).map(|_| issuer.sub(&subject, &Key::generate(KeyAlgorithm::P256)).der()).collect()
    };
    let key = Key::generate(KeyAlgorithm::P256);
    let leaf = Ca::root(&CertBuilder::authority("Level 0"), &Key::generate(KeyAlgorithm::P256))
        .issue(&CertBuilder::leaf(&[NAME]), &key);
    let certificates: Vec<_> = std::iter::once(leaf).chain((0..7).flat_map(level)).collect();
    assert!(certificates.len() < 64);
    let fixture = Fixture::new(&Pki::new());
    let presented = PresentedChain { certificates, staple: Box::default() };
    let assessment = fixture.judge.assess(presented, None, &fixture.input(), fixture.now);
    assert!(assessment.reasons(fixture.now).contains(ChainReason::TooComplex));
    assert!(!assessment.lacks_issuer(), "it is not extended");
}

const NAME: &str = "smtp.example.com";
