use std::time::{Duration, Instant, SystemTime};

use smtp_fleet::ocsp::{
    CertIdKind, DelegateSpec, Flaw, Hash, Responder, ResponderIdKind, ResponseSpec, SingleResponseSpec, Status as Said,
};
use smtp_fleet::{Authority, AuthoritySpec, CertSpec, Extension, Issuer, KeyKind, Pki};
use x509_cert::der::Encode;

use super::OcspReason::{Revoked, StapleInvalid, StapleMissing, StapleStale};
use super::*;

/// A leaf, its issuer, and one who gave itself the issuer's name.
struct OcspFixture {
    issuer: Authority,
    impostor: Authority,
    leaf: Certificate,
}

impl OcspFixture {
    fn new() -> Self {
        Self::with_leaf(KeyKind::P256, &CertSpec::valid_for(&["smtp.example.com"]))
    }

    fn with_leaf(key: KeyKind, spec: &CertSpec) -> Self {
        let named = AuthoritySpec { key, ..AuthoritySpec::named(ISSUER) };
        let issuer = Authority::root(&named);
        let identity = Pki::new().issue(&spec.clone().with_issuer(Issuer::Authority(issuer.clone())));
        Self { issuer, impostor: Authority::root(&named), leaf: Certificate::new(identity.leaf_der().clone()) }
    }

    fn staple(&self, spec: &ResponseSpec) -> Vec<u8> {
        spec.sign(&self.issuer, self.leaf.der())
    }

    fn judge(&self, staple: &[u8]) -> OcspVerdict {
        judge(staple, &self.leaf, &[&spki(&self.issuer)])
    }

    #[track_caller]
    fn check(&self, what: &str, spec: &ResponseSpec, status: Option<OcspStatus>, reasons: &[OcspReason]) {
        check(what, &self.judge(&self.staple(spec)), status, reasons);
    }
}

/// Of a staple that came: its status, and the reasons that hold now.
#[track_caller]
fn check(what: &str, verdict: &OcspVerdict, status: Option<OcspStatus>, reasons: &[OcspReason]) {
    assert!(verdict.is_stapled(), "{what}: {verdict:?}");
    assert_eq!(verdict.status(), status, "{what}: {verdict:?}");
    assert_eq!(verdict.reasons(now()).collect::<Vec<_>>(), reasons, "{what}: {verdict:?}");
}

#[test]
fn what_a_staple_says() {
    let fixture = OcspFixture::new();
    let [good, revoked, unknown] = [OcspStatus::Good, OcspStatus::Revoked, OcspStatus::Unknown].map(Some);
    let says = SingleResponseSpec::new;
    let hashed = |hash| says(Said::Good).with_hash(hash);
    let timed = |status, this_update, next_update| says(status).with_times(this_update, next_update);
    let about = |about| says(Said::Good).with_cert_id(about);
    let critical = SingleResponseSpec { critical: true, ..says(Said::Good) };
    let others = |count| vec![about(CertIdKind::OtherSerial); count];
    let rows: &[(_, _, _, &[_])] = &[
        ("good", vec![says(Said::Good)], good, &[]),
        ("revoked", vec![says(Said::Revoked)], revoked, &[Revoked]),
        ("unknown", vec![says(Said::Unknown)], unknown, &[]),
        ("SHA-256", vec![hashed(Hash::Sha256)], good, &[]),
        ("SHA-384", vec![hashed(Hash::Sha384)], good, &[]),
        ("SHA-512", vec![hashed(Hash::Sha512)], good, &[]),
        ("a hash that is not known", vec![hashed(Hash::Sha224)], None, &[StapleInvalid]),
        ("stale", vec![timed(Said::Good, -9 * DAY, Some(-60))], good, &[StapleStale]),
        ("stale and revoked", vec![timed(Said::Revoked, -9 * DAY, Some(-60))], revoked, &[StapleStale, Revoked]),
        ("no nextUpdate", vec![timed(Said::Good, -60, None)], good, &[]),
        ("no nextUpdate, a year old", vec![timed(Said::Good, -365 * DAY, None)], good, &[]),
        ("a little ahead", vec![timed(Said::Good, 240, Some(DAY))], good, &[]),
        ("ahead", vec![timed(Said::Good, 600, Some(DAY))], good, &[StapleInvalid]),
        ("ahead and revoked", vec![timed(Said::Revoked, 600, Some(DAY))], revoked, &[StapleInvalid, Revoked]),
        ("ends before it begins", vec![timed(Said::Good, -60, Some(-120))], None, &[StapleInvalid]),
        ("another serial number", vec![about(CertIdKind::OtherSerial)], None, &[StapleInvalid]),
        ("another issuer's name", vec![about(CertIdKind::OtherIssuer)], None, &[StapleInvalid]),
        ("another issuer's key", vec![about(CertIdKind::OtherKey)], None, &[StapleInvalid]),
        ("a critical extension", vec![critical], None, &[StapleInvalid]),
        ("no statement", Vec::new(), None, &[StapleInvalid]),
        ("one after others", [others(3), vec![says(Said::Good)]].concat(), good, &[]),
        (
            "others revoked",
            vec![SingleResponseSpec { cert_id: CertIdKind::OtherSerial, ..says(Said::Revoked) }, says(Said::Good)],
            good,
            &[],
        ),
        ("by two hashes", vec![hashed(Hash::Sha256), hashed(Hash::Sha1)], good, &[]),
        ("good, then revoked", vec![says(Said::Good), says(Said::Revoked)], revoked, &[Revoked]),
        ("revoked, then good", vec![says(Said::Revoked), says(Said::Good)], revoked, &[Revoked]),
        ("unknown, then good", vec![says(Said::Unknown), says(Said::Good)], unknown, &[]),
        ("good twice, once stale", vec![timed(Said::Good, -9 * DAY, Some(-60)), says(Said::Good)], good, &[]),
        ("sixteen statements", [others(15), vec![says(Said::Good)]].concat(), good, &[]),
        ("seventeen statements", [others(16), vec![says(Said::Good)]].concat(), None, &[StapleInvalid]),
    ];
    for (what, statements, status, reasons) in rows {
        fixture.check(what, &ResponseSpec::good().with_responses(statements.clone()), *status, reasons);
    }
}

#[test]
fn who_signs_a_staple() {
    let fixture = OcspFixture::new();
    let good = Some(OcspStatus::Good);
    let by = |delegate| ResponseSpec::good().with_responder(Responder::Delegate(delegate));
    let order = DelegateSpec::default;
    let other = Authority::root(&AuthoritySpec::named("Somebody Else"));
    let renamed = fixture.impostor.clone();
    let unknown = Extension { oid: vec![1, 3, 6, 1, 4, 1, 32473, 1], critical: true, value: vec![0x05, 0] };
    let delegated = ResponseSpec::good().with_responder(Responder::delegate());
    let stranger = ResponseSpec::good().with_responder(Responder::UnknownKey);
    let rows: &[(_, _, _, &[_])] = &[
        ("the issuer, by key", ResponseSpec::good(), good, &[]),
        ("the issuer, by name", ResponseSpec::good().with_responder_id(ResponderIdKind::Name), good, &[]),
        (
            "the issuer as nobody",
            ResponseSpec::good().with_responder_id(ResponderIdKind::UnknownKey),
            None,
            &[StapleInvalid],
        ),
        (
            "a stranger in the issuer's name",
            stranger.clone().with_responder_id(ResponderIdKind::Name),
            None,
            &[StapleInvalid],
        ),
        ("a stranger by its key", stranger, None, &[StapleInvalid]),
        ("a delegate, by key", delegated.clone(), good, &[]),
        ("a delegate, by name", delegated.clone().with_responder_id(ResponderIdKind::Name), good, &[]),
        (
            "a delegate as nobody",
            delegated.clone().with_responder_id(ResponderIdKind::UnknownKey),
            None,
            &[StapleInvalid],
        ),
        ("a delegate on P-384", by(DelegateSpec { key: KeyKind::P384, ..order() }), good, &[]),
        ("a delegate on Ed25519", by(DelegateSpec { key: KeyKind::Ed25519, ..order() }), good, &[]),
        ("a delegate on RSA", by(DelegateSpec { key: KeyKind::Rsa2048, ..order() }), good, &[]),
        ("a delegate for TLS servers", by(DelegateSpec { ocsp_signing: false, ..order() }), None, &[StapleInvalid]),
        ("a delegate of another CA", by(DelegateSpec { certified_by: Some(other), ..order() }), None, &[StapleInvalid]),
        (
            "a delegate of an impostor",
            by(DelegateSpec { certified_by: Some(renamed), ..order() }),
            None,
            &[StapleInvalid],
        ),
        (
            "an expired delegate",
            by(DelegateSpec { not_before: -9 * DAY, not_after: -60, ..order() }),
            good,
            &[StapleInvalid],
        ),
        ("a delegate to come", by(DelegateSpec { not_before: 3600, ..order() }), good, &[StapleInvalid]),
        ("a delegate not sent along", by(DelegateSpec { presented: false, ..order() }), None, &[StapleInvalid]),
        (
            "a delegate with a critical extension",
            by(DelegateSpec { extensions: vec![unknown], ..order() }),
            None,
            &[StapleInvalid],
        ),
        ("a delegate among eight", delegated.clone().with_padding(7), good, &[]),
        ("a delegate among nine", delegated.clone().with_padding(8), None, &[StapleInvalid]),
        ("the issuer with eight for nothing", ResponseSpec::good().with_padding(8), good, &[]),
        ("the issuer with nine for nothing", ResponseSpec::good().with_padding(9), None, &[StapleInvalid]),
        ("a wrong signature", ResponseSpec::good().with_flaw(Flaw::WrongSignature), None, &[StapleInvalid]),
        ("a delegate's wrong signature", delegated.with_flaw(Flaw::WrongSignature), None, &[StapleInvalid]),
        ("SHA-1", ResponseSpec::good().with_flaw(Flaw::WeakAlgorithm), None, &[StapleInvalid]),
        ("an error", ResponseSpec::good().with_flaw(Flaw::TryLater), None, &[StapleInvalid]),
        ("another type", ResponseSpec::good().with_flaw(Flaw::OtherType), None, &[StapleInvalid]),
        ("a critical extension", ResponseSpec::good().with_flaw(Flaw::CriticalExtension), None, &[StapleInvalid]),
    ];
    for (what, spec, status, reasons) in rows {
        fixture.check(what, spec, *status, reasons);
    }
}

#[test]
fn issuers_of_every_kind() {
    for key in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519, KeyKind::Rsa2048] {
        let fixture = OcspFixture::with_leaf(key, &CertSpec::valid_for(&["smtp.example.com"]));
        for responder in [Responder::Issuer, Responder::delegate()] {
            let spec = ResponseSpec::good().with_responder(responder.clone());
            fixture.check(&format!("{key:?} {responder:?}"), &spec, Some(OcspStatus::Good), &[]);
        }
    }
}

#[test]
fn the_issuer_is_who_signed_the_leaf() {
    let fixture = OcspFixture::new();
    let good = Some(OcspStatus::Good);
    let ours = fixture.staple(&ResponseSpec::good());
    let theirs = ResponseSpec::good().sign(&fixture.impostor, fixture.leaf.der());
    let elsewhere = SingleResponseSpec::new(Said::Good).with_cert_id(CertIdKind::OtherSerial);
    let elsewhere = fixture.staple(&ResponseSpec::good().with_responses(vec![elsewhere]));
    let (issuer, impostor) = (&*spki(&fixture.issuer), &*spki(&fixture.impostor));
    let other_kind = AuthoritySpec { key: KeyKind::Ed25519, ..AuthoritySpec::named(ISSUER) };
    let other_kind = Authority::root(&other_kind);
    let of_other_kind = ResponseSpec::good().sign(&other_kind, fixture.leaf.der());
    let other_kind = &*spki(&other_kind);
    type Row<'a> = (&'a str, &'a [u8], &'a [&'a [u8]], Option<OcspStatus>, &'a [OcspReason]);
    let rows: &[Row<'_>] = &[
        ("the issuer", &ours, &[issuer], good, &[]),
        ("among others", &ours, &[impostor, b"no key", issuer, issuer], good, &[]),
        ("nobody known", &ours, &[], None, &[]),
        ("only an impostor known", &ours, &[impostor], None, &[]),
        ("only garbage known", &ours, &[b"no key", b""], None, &[]),
        ("nobody known, about another certificate", &elsewhere, &[], None, &[StapleInvalid]),
        ("the impostor's, with its key sent along", &theirs, &[impostor, issuer], None, &[StapleInvalid]),
        ("the impostor's, the issuer not known", &theirs, &[impostor], None, &[]),
        ("one's with another kind of key", &of_other_kind, &[other_kind, issuer], None, &[StapleInvalid]),
        ("one's with another kind of key, the issuer not known", &of_other_kind, &[other_kind], None, &[]),
    ];
    for (what, staple, keys, status, reasons) in rows {
        check(what, &judge(staple, &fixture.leaf, keys), *status, reasons);
    }
}

#[test]
fn time_passes_over_a_verdict() {
    let fixture = OcspFixture::new();
    let delegate = DelegateSpec { not_after: 10 * DAY, ..DelegateSpec::default() };
    let verdict = fixture.judge(&fixture.staple(&ResponseSpec::good().with_responder(Responder::Delegate(delegate))));
    let next_update = verdict.next_update().expect("a week from now");
    let statement = verdict.sound().expect("it is in order");
    let [from, until] = [*statement.credible.start(), *statement.credible.end()];
    // A week and the hour that it is old, and the five minutes that a clock may differ.
    assert_eq!(next_update - from, 7 * DAY + 3600 + 300);
    assert!(next_update < until, "the delegate outlives its word");
    for (what, at, reasons) in [
        ("before its time", from - 1, &[StapleInvalid][..]),
        ("within the difference of clocks", from, &[]),
        ("at nextUpdate", next_update, &[]),
        ("after nextUpdate", next_update + 1, &[StapleStale]),
        ("at the delegate's end", until, &[StapleStale]),
        ("after the delegate's end", until + 1, &[StapleStale, StapleInvalid]),
        ("ever after", i64::MAX, &[StapleStale, StapleInvalid]),
        ("long before", i64::MIN, &[StapleInvalid]),
    ] {
        assert_eq!(verdict.reasons(at).collect::<Vec<_>>(), reasons, "{what}");
    }
}

#[test]
fn a_certificate_may_demand_a_staple() {
    let features = |value: &[u8]| Extension::tls_features(value.to_vec());
    for (what, extension, demands) in [
        ("status_request", Extension::must_staple(), true),
        ("status_request_v2", features(&[0x30, 3, 2, 1, 17]), true),
        ("critical", Extension { critical: true, ..Extension::must_staple() }, true),
        ("among others", features(&[0x30, 10, 2, 1, 6, 2, 2, 1, 0, 2, 1, 5]), true),
        ("another feature", features(&[0x30, 3, 2, 1, 6]), false),
        ("a longer number that ends in 5", features(&[0x30, 4, 2, 2, 1, 5]), false),
        ("none", features(&[0x30, 0]), false),
        ("a bare number", features(&[2, 1, 5]), false),
        ("cut short", features(&[0x30, 3, 2, 1]), false),
        ("more behind it", features(&[0x30, 3, 2, 1, 5, 0]), false),
        ("empty", features(&[]), false),
        (
            "of another extension",
            Extension { oid: vec![1, 3, 6, 1, 5, 5, 7, 1, 23], ..Extension::must_staple() },
            false,
        ),
    ] {
        let spec = CertSpec::valid_for(&["smtp.example.com"]).with_extension(extension);
        let fixture = OcspFixture::with_leaf(KeyKind::P256, &spec);
        let missing = fixture.judge(&[]);
        assert!(!missing.is_stapled() && missing.status().is_none() && missing.next_update().is_none(), "{what}");
        let expected = if demands { &[StapleMissing][..] } else { &[] };
        assert_eq!(missing.reasons(now()).collect::<Vec<_>>(), expected, "{what}");
        fixture.check(what, &ResponseSpec::good(), Some(OcspStatus::Good), &[]);
        fixture.check(what, &ResponseSpec::good().with_flaw(Flaw::TryLater), None, &[StapleInvalid]);
    }
}

#[test]
fn a_staple_is_bounded() {
    let names: Vec<String> = (0..400).map(|number| format!("host-{number}.smtp.example.com")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let fixture = OcspFixture::with_leaf(KeyKind::P256, &CertSpec::valid_for(&names));
    let length = |padding| fixture.staple(&ResponseSpec::good().with_padding(padding)).len();
    assert!(length(5) <= MAX_LENGTH && length(6) > MAX_LENGTH, "{} and {}", length(5), length(6));
    fixture.check("large", &ResponseSpec::good().with_padding(5), Some(OcspStatus::Good), &[]);
    fixture.check("too large", &ResponseSpec::good().with_padding(6), None, &[StapleInvalid]);
}

/// A parser that sorts what it reads took a minute over this.
#[test]
fn a_long_name_takes_no_time() {
    let names: Vec<_> =
        (0..=70).rev().flat_map(|high| (0..=70).rev().map(move |low| name_element(high, low))).collect();
    let name = tlv(BY_NAME, &tlv(Tag::Sequence, &tlv(Tag::Set, &names.concat())));
    let data = tlv(
        Tag::Sequence,
        &[&*name, &tlv(Tag::GeneralizedTime, b"20260101000000Z"), &tlv(Tag::Sequence, &[])].concat(),
    );
    let before = Instant::now();
    assert_eq!(response_data(&data), Ok((&*name, Vec::new())));
    assert!(data.len() > 50_000 && before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
}

fn name_element(high: u8, low: u8) -> Vec<u8> {
    tlv(Tag::Sequence, &[tlv(Tag::ObjectIdentifier, &[0x55, 4, 3]), tlv(Tag::Utf8String, &[high, low])].concat())
}

fn tlv(tag: Tag, content: &[u8]) -> Vec<u8> {
    AnyRef::new(tag, content).and_then(|element| element.to_der()).expect("it is encoded")
}

#[test]
fn garbage_is_invalid_or_undecided() {
    let fixture = OcspFixture::new();
    let whole = fixture.staple(&ResponseSpec::good());
    for (what, staple) in [
        ("a zero", vec![0]),
        ("an empty sequence", vec![0x30, 0]),
        ("successful and nothing else", vec![0x30, 3, 0x0a, 1, 0]),
        ("a certificate", fixture.leaf.der().to_vec()),
        ("text", b"HTTP/1.1 200 OK".to_vec()),
        ("more behind it", [&*whole, &[0]].concat()),
        ("cut short", whole[..whole.len() - 1].to_vec()),
        ("zeros", vec![0; 70_000]),
    ] {
        check(what, &fixture.judge(&staple), None, &[StapleInvalid]);
    }
    let unreadable = Certificate::new(b"no certificate".to_vec().into());
    check("a leaf that cannot be read", &judge(&whole, &unreadable, &[&spki(&fixture.issuer)]), None, &[]);
    assert_eq!(judge(&[], &unreadable, &[]).reasons(now()).count(), 0);
}

/// No change makes another statement of a staple, or leaves it one. All that it says is under a signature; outside are
/// the frame, whose every octet is needed, and certificates that nobody needs, which the staples here are without.
#[test]
fn mutated_staples_say_nothing() {
    let fixture = OcspFixture::new();
    let issuer = spki(&fixture.issuer);
    let mut random = Random(0x5eed);
    let all: fn(usize) -> Vec<u8> = |_| (0..8).map(|bit| 1 << bit).collect();
    let some: fn(usize) -> Vec<u8> = |at| vec![0x20, 1 << (at % 8)];
    // The delegate's certificate makes its staple long: not all of the bits, but always that of the constructed form.
    for (responder, masks) in [(Responder::Issuer, all), (Responder::delegate(), some)] {
        let spec = ResponseSpec::new(Said::Revoked).with_responder(responder);
        let staple = fixture.staple(&spec);
        fixture.check("unharmed", &spec, Some(OcspStatus::Revoked), &[Revoked]);
        let flips = (0..staple.len()).flat_map(|at| masks(at).into_iter().map(move |mask| (at, mask)));
        let flipped = flips.map(|(at, mask)| {
            let mut mutant = staple.clone();
            mutant[at] ^= mask;
            mutant
        });
        let shuffled: Vec<_> = (0..1_000).map(|_| random.mutate(&staple)).collect();
        for mutant in flipped.chain(shuffled).filter(|mutant| *mutant != staple) {
            let verdict = judge(&mutant, &fixture.leaf, &[&issuer]);
            assert_eq!(verdict.status(), None, "{}", crate::verdict::certificate::hex(&mutant));
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(limit.max(1)).expect("small")).expect("small")
    }

    /// A few octets changed, removed, added, doubled or exchanged.
    fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            let octet = u8::try_from(self.below(256)).expect("an octet");
            match self.below(6) {
                0 => bytes[at] = octet,
                1 => bytes.insert(at, octet),
                2 => drop(bytes.remove(at)),
                3 => bytes.truncate(at.max(1)),
                4 => bytes.extend_from_within(at..),
                _ => {
                    let other = self.below(bytes.len());
                    bytes.swap(at, other);
                }
            }
        }
        bytes
    }
}

fn spki(authority: &Authority) -> Vec<u8> {
    let (_, certificate) = x509_parser::parse_x509_certificate(authority.der()).expect("a certificate");
    certificate.public_key().raw.to_vec()
}

fn now() -> i64 {
    crate::verdict::unix(SystemTime::now())
}

const ISSUER: &str = "Issuer of the Leaf";
const BY_NAME: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber::N1 };
const DAY: i64 = 86_400;
