//! What the judge remembers: equal work is done once, nothing is kept that nobody holds, and no verdict outlives what
//! it was made from.

use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use smtp_fleet::x509::{Ca, CertBuilder, Key, KeyAlgorithm};
use smtp_fleet::{Authority, AuthoritySpec, CertSpec, Identity, Issuer, Pki, Presented};

use super::*;

fn store(name: &str, root: &Authority) -> TrustStore {
    let anchor = webpki::anchor_from_trusted_cert(root.der()).expect("a root").to_owned();
    TrustStore::new(name, vec![anchor])
}

fn presented(identity: &Identity) -> PresentedChain {
    PresentedChain { certificates: identity.chain().to_vec(), staple: Box::default() }
}

/// A judge under one trust store, asked for one name.
struct Bench {
    judge: Judge,
    name: ServerName,
    trust: TrustStore,
    now: SystemTime,
}

impl Bench {
    fn new(pki: &Pki) -> Self {
        let name = ServerName::parse(NAME).expect("a name");
        Self { judge: Judge::default(), name, trust: store("lab", pki.root()), now: SystemTime::now() }
    }

    fn assess(&self, identity: &Identity) -> Assessment {
        self.judge.assess(presented(identity), None, &self.question(), self.now)
    }

    fn question(&self) -> Question<'_> {
        let (server_name, trust) = (&self.name, &self.trust);
        Question { server_name, expect_names: &[], ehlo_name: None, trust, known: None }
    }

    #[track_caller]
    fn check(&self, assessment: &Assessment, days: i64, valid: bool, reasons: &[ChainReason]) {
        let at = self.now + Duration::from_secs(u64::try_from(days * DAY).expect("a later day"));
        assert_eq!(assessment.chain.verdict().valid(unix(at)), valid, "after {days} days");
        assert_eq!(assessment.reasons(at).iter().collect::<Vec<_>>(), reasons, "after {days} days");
    }
}

#[test]
fn a_verdict_goes_with_the_clock() {
    use ChainReason::{Expired, NotYetValid};
    let pki = Pki::new();
    let bench = Bench::new(&pki);
    let assessment = bench.assess(&pki.issue(&CertSpec::valid_for(&[NAME]).with_validity(10 * DAY, 20 * DAY)));
    bench.check(&assessment, 0, false, &[NotYetValid]);
    bench.check(&assessment, 9, false, &[NotYetValid]);
    bench.check(&assessment, 11, true, &[]);
    bench.check(&assessment, 21, false, &[Expired]);
    assert_eq!(assessment.chain.verdict().trusted(), Some(true));
}

#[test]
fn other_roots_give_another_verdict() {
    let pki = Pki::new();
    let mut bench = Bench::new(&pki);
    let identity = pki.issue(&CertSpec::valid_for(&[NAME]));
    let before = bench.assess(&identity);
    bench.check(&before, 0, true, &[]);
    bench.trust = store("lab", &Authority::root(&AuthoritySpec::named("Other Root")));
    let after = bench.judge.reassess(&before, &bench.question(), bench.now);
    bench.check(&after, 0, false, &[ChainReason::UnknownIssuer]);
}

#[test]
fn an_intermediate_that_another_server_sends_is_missed() {
    use ChainReason::{Expired, MissingIntermediate, UnknownIssuer};
    let pki = Pki::new();
    let bench = Bench::new(&pki);
    let upper = pki.root().sub(&AuthoritySpec::named("Upper"));
    let lower = Issuer::Authority(upper.sub(&AuthoritySpec::named("Lower")));
    let spec = CertSpec::valid_for(&[NAME]).with_issuer(lower);
    let full = pki.issue(&spec);
    let bare = pki.issue(&spec.clone().with_presented(Presented::LeafOnly));
    let stale = pki.issue(&spec.with_presented(Presented::LeafOnly).with_validity(-20 * DAY, -10 * DAY));

    let before = bench.assess(&bare);
    bench.check(&before, 0, false, &[UnknownIssuer]);
    assert!(before.lacks_issuer() && before.missing().is_empty());
    assert_eq!(bench.judge.issuers_learnt(), 0);

    bench.check(&bench.assess(&full), 0, true, &[]);
    assert_eq!(bench.judge.issuers_learnt(), 2);
    assert!(!bench.judge.is_quick(&before.chain));
    let after = bench.judge.reassess(&before, &bench.question(), bench.now);
    bench.check(&after, 0, false, &[MissingIntermediate]);
    let missing: Vec<_> = after.missing().iter().map(|certificate| certificate.der().clone()).collect();
    assert_eq!(missing, full.chain()[1..], "both, from the leaf's issuer upwards");
    bench.check(&bench.assess(&stale), 0, false, &[Expired, MissingIntermediate]);
}

#[test]
fn equal_chains_are_judged_once() {
    let pki = Pki::new();
    let bench = Bench::new(&pki);
    let identity = pki.issue(&CertSpec::valid_for(&[NAME]));
    let (first, second) = (bench.assess(&identity), bench.assess(&identity));
    assert!(Arc::ptr_eq(&first.chain, &second.chain));
    let other = bench.assess(&pki.issue(&CertSpec::valid_for(&[NAME])));
    assert!(!Arc::ptr_eq(&first.chain, &other.chain));
    assert!(Arc::ptr_eq(&first.chain.certificates()[1], &other.chain.certificates()[1]), "one intermediate");
    let staple = PresentedChain { staple: Box::from([1]), ..presented(&identity) };
    let stapled = bench.judge.assess(staple, None, &bench.question(), bench.now);
    assert!(!Arc::ptr_eq(&first.chain, &stapled.chain), "another staple is another chain");
}

#[test]
fn a_new_certificate_at_every_probe_fills_no_memory() {
    let pki = Pki::new();
    let bench = Bench::new(&pki);
    let mut held = None;
    for _ in 0..3000 {
        held = Some(bench.assess(&pki.issue_with_shared_key(&CertSpec::valid_for(&[NAME]))));
    }
    assert!(held.is_some_and(|held| held.chain.verdict().valid(unix(bench.now))));
    let (certificates, chains) = bench.judge.memo.sizes();
    assert!(
        certificates <= 600 && chains <= 600,
        "{certificates} certificates and {chains} chains for one that is held"
    );
    assert_eq!(bench.judge.issuers_learnt(), 1);
}

#[test]
fn a_maze_of_authorities_is_given_up() {
    // Each of eight authorities of a level bears the name that all eight below it call their issuer.
    let level = |below: usize| -> Vec<CertificateDer<'static>> {
        let issuer =
            Ca::root(&CertBuilder::authority(&format!("Level {}", below + 1)), &Key::generate(KeyAlgorithm::P256));
        let subject = CertBuilder::authority(&format!("Level {below}"));
        (0..8).map(|_| issuer.sub(&subject, &Key::generate(KeyAlgorithm::P256)).der()).collect()
    };
    let key = Key::generate(KeyAlgorithm::P256);
    let leaf = Ca::root(&CertBuilder::authority("Level 0"), &Key::generate(KeyAlgorithm::P256))
        .issue(&CertBuilder::leaf(&[NAME]), &key);
    let maze: Vec<_> = std::iter::once(leaf).chain((0..7).flat_map(level)).collect();
    assert!(maze.len() < 64);
    let bench = Bench::new(&Pki::new());
    let presented = PresentedChain { certificates: maze, staple: Box::default() };
    let assessment = bench.judge.assess(presented, None, &bench.question(), bench.now);
    assert!(assessment.reasons(bench.now).contains(ChainReason::TooComplex));
    assert!(!assessment.lacks_issuer(), "nor is it tried again with more");
}

const NAME: &str = "smtp.example.com";
const DAY: i64 = 86_400;
