//! Caching: equal chains are judged once, entries that no report uses are removed, and a change of the roots or of the
//! known intermediates changes the verdict.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use smtp_fleet::x509::{Ca, CertBuilder, Key, KeyAlgorithm, Name};
use smtp_fleet::{Authority, AuthoritySpec, CertSpec, Identity, Issuer, Pki, Presented};

use super::*;
use crate::reason::ChainWarning;
use crate::text::SECONDS_PER_DAY as DAY;
use crate::trust::Root;
use hostile_chains::HostileChain;

mod hostile_chains;

fn store(name: &str, root: &Authority) -> TrustStore {
    TrustStore::new(name, vec![Root::new(root.der()).expect("a root")])
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
fn a_path_ends_with_its_root() {
    use ChainReason::{Expired, UnknownIssuer};
    let key = Key::generate(KeyAlgorithm::P256);
    let spec = || CertBuilder::authority("Root");
    let old = Ca::root(&spec().valid_between(-100 * DAY, 10 * DAY), &key);
    let renewed = Ca::root(&spec().valid_between(5 * DAY, 100 * DAY), &key);
    let other = Ca::root(&spec(), &Key::generate(KeyAlgorithm::P256));
    let leaf_key = Key::generate(KeyAlgorithm::P256);
    let identity =
        leaf_key.identity(vec![old.issue(&CertBuilder::leaf(&[NAME]).valid_between(-DAY, 50 * DAY), &leaf_key)]);
    let store = |roots: &[&Ca]| {
        TrustStore::new("test", roots.iter().map(|root| Root::new(&root.der()).expect("a root")).collect())
    };
    let mut fixture = Fixture::new(&Pki::new());
    let ends = |assessment: &Assessment, day: i64| {
        let end = assessment.chain.verdict().verified_not_after(unix(fixture.now) + day * DAY);
        end.map(|end| (end - unix(fixture.now) + DAY / 2) / DAY)
    };
    let assess = |trust: TrustStore| {
        let input = AssessmentInput { trust: &trust, ..fixture.input() };
        fixture.judge.assess(presented(&identity), None, &input, fixture.now)
    };

    let by_old = assess(store(&[&old]));
    fixture.check(&by_old, 9, true, &[]);
    fixture.check(&by_old, 11, false, &[Expired]);
    assert_eq!((by_old.chain.verdict().trusted(), ends(&by_old, 0)), (Some(true), Some(10)));
    for roots in [[&old, &renewed], [&renewed, &old]] {
        let by_both = assess(store(&roots));
        for (day, end) in [(0, 10), (11, 50), (49, 50)] {
            fixture.check(&by_both, day, true, &[]);
            assert_eq!(ends(&by_both, day), Some(end), "after {day} days");
        }
        fixture.check(&by_both, 51, false, &[Expired]);
    }
    let by_renewed = assess(store(&[&renewed]));
    fixture.check(&by_renewed, 0, false, &[ChainReason::NotYetValid]);
    fixture.check(&by_renewed, 6, true, &[]);
    fixture.check(&assess(store(&[])), 0, false, &[UnknownIssuer]);

    // Equal names and keys with other dates are another store.
    assert_ne!(store(&[&old]).id(), store(&[&renewed]).id());
    fixture.trust = store(&[&renewed]);
    let after = fixture.judge.reassess(&by_old, &fixture.input(), fixture.now);
    fixture.check(&after, 0, false, &[ChainReason::NotYetValid]);
    assert!(!Arc::ptr_eq(&by_old.chain, &after.chain));
    assert_ne!(store(&[&old, &other]).id(), store(&[&other, &old]).id());
}

#[test]
fn warnings_are_those_of_the_path_at_the_time() {
    // OpenSSL follows the first issuer while it is valid, and does not go back when its root has expired.
    let (first_key, second_key) = (Key::generate(KeyAlgorithm::P256), Key::generate(KeyAlgorithm::P256));
    let first = Ca::root(&CertBuilder::authority("First Root").valid_between(-100 * DAY, 10 * DAY), &first_key);
    let second = Ca::root(&CertBuilder::authority("Second Root"), &second_key);
    let (ca_key, leaf_key) = (Key::generate(KeyAlgorithm::P256), Key::generate(KeyAlgorithm::P256));
    let ca = first.sub(&CertBuilder::authority("Intermediate"), &ca_key);
    let crossed = second.sub(&CertBuilder::authority("Intermediate"), &ca_key);
    let chain = vec![ca.issue(&CertBuilder::leaf(&[NAME]), &leaf_key), ca.der(), crossed.der()];
    let roots = [&first, &second].map(|root| Root::new(&root.der()).expect("a root"));
    let trust = TrustStore::new("test", roots.to_vec());
    let fixture = Fixture::new(&Pki::new());
    let input = AssessmentInput { trust: &trust, ..fixture.input() };
    let assessment = fixture.judge.assess(presented(&leaf_key.identity(chain)), None, &input, fixture.now);
    for (day, expected) in [(0, &[][..]), (11, &[ChainWarning::IssuerOrder]), (91, &[])] {
        let at = fixture.now + Duration::from_secs(day * DAY.unsigned_abs());
        let found: Vec<_> = assessment.warnings(at).iter().map(|(warning, _)| warning).collect();
        assert_eq!(found, expected, "after {day} days");
    }
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

/// The verdict on `chain` by the root `root`, and what it took.
fn judge_within_budget(
    chain: &[CertificateDer<'static>],
    root: &CertificateDer<'static>,
    now: SystemTime,
) -> (ChainVerdict, Budget) {
    let budget = Budget::default();
    let chain: Vec<_> = chain.iter().map(|der| Arc::new(Certificate::within(&budget, der.clone()))).collect();
    let store = TrustStore::new("test", vec![Root::new(root).expect("a root")]);
    let (verdict, _) = chain::judge(&chain, &store, unix(now), &budget);
    (verdict, budget)
}

#[test]
fn bounds_the_work_for_hostile_chains() {
    let now = SystemTime::now();
    for HostileChain { what, certificates, root } in hostile_chains::all() {
        let octets: usize = certificates.iter().map(|der| der.len() + 5).sum();
        assert!(octets <= hostile_chains::MESSAGE_LIMIT, "{what}: {octets} octets");
        let (verdict, budget) = judge_within_budget(&certificates, &root, now);
        let reasons = verdict.reasons(unix(now));
        assert!(!verdict.valid(unix(now)), "{what}");
        assert!(reasons.contains(ChainReason::TooComplex), "{what}");
        let (steps, signatures) = (budget.steps.load(Relaxed), budget.signatures.load(Relaxed));
        assert!(steps <= 400 && signatures <= 100, "{what}: {steps} steps, {signatures} signatures checked");
    }
}

#[test]
fn warnings_are_found_within_the_budget() {
    let root_key = Key::generate(KeyAlgorithm::P256);
    let root = Ca::root(&CertBuilder::authority("Root"), &root_key);
    let (ca_key, leaf_key) = (Key::generate(KeyAlgorithm::P521), Key::generate(KeyAlgorithm::P256));
    let ca = root.sub(&CertBuilder::authority("Intermediate"), &ca_key);
    // Before the issuer there are others of the same name, which OpenSSL and GnuTLS would follow.
    let others = (0..60).map(|_| {
        let key = Key::generate(KeyAlgorithm::P521);
        CertBuilder::authority("Intermediate").sign(&key, &Name::common("Root"), &Key::generate(KeyAlgorithm::P256))
    });
    let leaf = ca.issue(&CertBuilder::leaf(&[NAME]), &leaf_key);
    let chain: Vec<_> = [leaf].into_iter().chain(others).chain([ca.der()]).collect();
    let now = SystemTime::now();
    let (verdict, budget) = judge_within_budget(&chain, &root.der(), now);
    let signatures = budget.signatures.load(Relaxed);
    assert!(signatures <= 100, "{signatures} signatures checked");
    let warnings: Vec<_> = verdict.warnings(unix(now)).iter().map(|(warning, _)| warning).collect();
    let expected =
        if verdict.valid(unix(now)) { &[ChainWarning::IssuerOrder, ChainWarning::ManyCertificates][..] } else { &[] };
    assert_eq!(warnings, expected, "{verdict:?}");
}

#[test]
fn keeps_the_periods_found_before_the_budget_is_exhausted() {
    use ChainReason::{Expired, TooComplex};
    let (root_key, key) = (Key::generate(KeyAlgorithm::P256), Key::generate(KeyAlgorithm::P256));
    let root = Ca::root(&CertBuilder::authority("Root"), &root_key);
    let issuer = root.sub(&CertBuilder::authority("Level 0").valid_between(-50 * DAY, 10 * DAY), &key);
    // At other times, there is nothing but CAs with other keys and the same names.
    let others = hostile_chains::cross_signed(&[12, 12, 12]);
    let now = SystemTime::now();
    for (what, until, days) in [
        ("valid", 90 * DAY, [(0, &[][..]), (11, &[Expired, TooComplex])]),
        ("expired", -DAY, [(0, &[Expired, TooComplex]), (11, &[Expired, TooComplex])]),
    ] {
        let leaf = issuer.issue(&CertBuilder::leaf(&[NAME]).valid_between(-300 * DAY, until), &key);
        let chain: Vec<_> = [leaf, issuer.der()].into_iter().chain(others.iter().cloned()).collect();
        let (verdict, budget) = judge_within_budget(&chain, &root.der(), now);
        assert!(budget.is_exhausted(), "{what}");
        assert_eq!(verdict.trusted(), Some(true), "{what}");
        for (day, reasons) in days {
            assert_eq!(verdict.reasons(unix(now) + day * DAY).iter().collect::<Vec<_>>(), reasons, "{what}, {day}");
        }
    }
}

#[test]
fn extends_a_chain_within_its_budget() {
    let pki = Pki::new();
    let fixture = Fixture::new(&pki);
    let leaf_only = fixture.assess(&pki.issue(&CertSpec::valid_for(&[NAME]).with_presented(Presented::LeafOnly)));
    fixture.assess(&pki.issue(&CertSpec::valid_for(&[NAME])));
    let completed = |budget: &Budget| {
        let completed =
            fixture.judge.completed(&leaf_only.chain, &fixture.trust, unix(fixture.now), MAX_MISSING, budget);
        completed.map(|chain| chain.verdict().valid(unix(fixture.now)))
    };
    let exhausted = Budget::default();
    exhausted.spend(usize::MAX);
    assert_eq!(completed(&exhausted), Some(false));
    assert_eq!(completed(&Budget::default()), Some(true));
}

const NAME: &str = "smtp.example.com";
