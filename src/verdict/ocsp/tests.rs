use std::time::{Duration, Instant, SystemTime};

use smtp_fleet::ocsp::{
    CertIdKind, DelegateSpec, Flaw, Hash, Responder, ResponderIdKind, ResponseSpec, SingleResponseSpec,
    Status as Stapled,
};
use smtp_fleet::{Authority, AuthoritySpec, CertSpec, Extension, Issuer, KeyKind, Pki};
use x509_cert::der::Encode;

use super::OcspReason::{Revoked, StapleInvalid, StapleMissing, StapleStale};
use super::*;
use crate::text::SECONDS_PER_DAY as DAY;

/// A leaf, its issuer, and another CA with the same name.
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

/// Checks the status and the current reasons of a presented staple.
#[track_caller]
fn check(what: &str, verdict: &OcspVerdict, status: Option<OcspStatus>, reasons: &[OcspReason]) {
    assert!(verdict.is_stapled(), "{what}: {verdict:?}");
    assert_eq!(verdict.status(), status, "{what}: {verdict:?}");
    assert_eq!(verdict.reasons(now()).collect::<Vec<_>>(), reasons, "{what}: {verdict:?}");
}

#[test]
fn reads_the_status_of_the_leaf() {
    let fixture = OcspFixture::new();
    let [good, revoked, unknown] = [OcspStatus::Good, OcspStatus::Revoked, OcspStatus::Unknown].map(Some);
    let single = SingleResponseSpec::new;
    let hashed = |hash| single(Stapled::Good).with_hash(hash);
    let timed = |status, this_update, next_update| single(status).with_times(this_update, next_update);
    let about = |about| single(Stapled::Good).with_cert_id(about);
    let critical = SingleResponseSpec { critical: true, ..single(Stapled::Good) };
    let others = |count| vec![about(CertIdKind::OtherSerial); count];
    let rows: &[(_, _, _, &[_])] = &[
        ("good", vec![single(Stapled::Good)], good, &[]),
        ("revoked", vec![single(Stapled::Revoked)], revoked, &[Revoked]),
        ("unknown", vec![single(Stapled::Unknown)], unknown, &[]),
        ("SHA-256", vec![hashed(Hash::Sha256)], good, &[]),
        ("SHA-384", vec![hashed(Hash::Sha384)], good, &[]),
        ("SHA-512", vec![hashed(Hash::Sha512)], good, &[]),
        ("unsupported hash", vec![hashed(Hash::Sha224)], None, &[StapleInvalid]),
        ("stale", vec![timed(Stapled::Good, -9 * DAY, Some(-60))], good, &[StapleStale]),
        ("stale and revoked", vec![timed(Stapled::Revoked, -9 * DAY, Some(-60))], revoked, &[StapleStale, Revoked]),
        ("no nextUpdate", vec![timed(Stapled::Good, -60, None)], good, &[]),
        ("no nextUpdate, one year old", vec![timed(Stapled::Good, -365 * DAY, None)], good, &[]),
        ("thisUpdate within the clock skew", vec![timed(Stapled::Good, 240, Some(DAY))], good, &[]),
        ("thisUpdate in the future", vec![timed(Stapled::Good, 600, Some(DAY))], good, &[StapleInvalid]),
        (
            "thisUpdate in the future, revoked",
            vec![timed(Stapled::Revoked, 600, Some(DAY))],
            revoked,
            &[StapleInvalid, Revoked],
        ),
        ("nextUpdate before thisUpdate", vec![timed(Stapled::Good, -60, Some(-120))], None, &[StapleInvalid]),
        ("other serial number", vec![about(CertIdKind::OtherSerial)], None, &[StapleInvalid]),
        ("other issuer name", vec![about(CertIdKind::OtherIssuer)], None, &[StapleInvalid]),
        ("other issuer key", vec![about(CertIdKind::OtherKey)], None, &[StapleInvalid]),
        ("a critical extension", vec![critical], None, &[StapleInvalid]),
        ("no single response", Vec::new(), None, &[StapleInvalid]),
        ("after others", [others(3), vec![single(Stapled::Good)]].concat(), good, &[]),
        (
            "other certificate revoked",
            vec![
                SingleResponseSpec { cert_id: CertIdKind::OtherSerial, ..single(Stapled::Revoked) },
                single(Stapled::Good),
            ],
            good,
            &[],
        ),
        ("two hashes", vec![hashed(Hash::Sha256), hashed(Hash::Sha1)], good, &[]),
        ("good, then revoked", vec![single(Stapled::Good), single(Stapled::Revoked)], revoked, &[Revoked]),
        ("revoked, then good", vec![single(Stapled::Revoked), single(Stapled::Good)], revoked, &[Revoked]),
        ("unknown, then good", vec![single(Stapled::Unknown), single(Stapled::Good)], unknown, &[]),
        ("good twice, one stale", vec![timed(Stapled::Good, -9 * DAY, Some(-60)), single(Stapled::Good)], good, &[]),
        ("16 single responses", [others(15), vec![single(Stapled::Good)]].concat(), good, &[]),
        ("17 single responses", [others(16), vec![single(Stapled::Good)]].concat(), None, &[StapleInvalid]),
    ];
    for (what, responses, status, reasons) in rows {
        fixture.check(what, &ResponseSpec::good().with_responses(responses.clone()), *status, reasons);
    }
}

#[test]
fn accepts_the_issuer_and_its_delegates() {
    let fixture = OcspFixture::new();
    let good = Some(OcspStatus::Good);
    let by = |delegate| ResponseSpec::good().with_responder(Responder::Delegate(delegate));
    let spec = DelegateSpec::default;
    let other = Authority::root(&AuthoritySpec::named("Other CA"));
    let same_name = fixture.impostor.clone();
    let unknown = Extension { oid: vec![1, 3, 6, 1, 4, 1, 32473, 1], critical: true, value: vec![0x05, 0] };
    let delegated = ResponseSpec::good().with_responder(Responder::delegate());
    let other_key = ResponseSpec::good().with_responder(Responder::UnknownKey);
    let rows: &[(_, _, _, &[_])] = &[
        ("the issuer, by key", ResponseSpec::good(), good, &[]),
        ("the issuer, by name", ResponseSpec::good().with_responder_id(ResponderIdKind::Name), good, &[]),
        (
            "the issuer, by an unknown key",
            ResponseSpec::good().with_responder_id(ResponderIdKind::UnknownKey),
            None,
            &[StapleInvalid],
        ),
        (
            "other key, by the issuer's name",
            other_key.clone().with_responder_id(ResponderIdKind::Name),
            None,
            &[StapleInvalid],
        ),
        ("other key, by key", other_key, None, &[StapleInvalid]),
        ("a delegate, by key", delegated.clone(), good, &[]),
        ("a delegate, by name", delegated.clone().with_responder_id(ResponderIdKind::Name), good, &[]),
        (
            "a delegate, by an unknown key",
            delegated.clone().with_responder_id(ResponderIdKind::UnknownKey),
            None,
            &[StapleInvalid],
        ),
        ("a delegate with P-384", by(DelegateSpec { key: KeyKind::P384, ..spec() }), good, &[]),
        ("a delegate with Ed25519", by(DelegateSpec { key: KeyKind::Ed25519, ..spec() }), good, &[]),
        ("a delegate with RSA", by(DelegateSpec { key: KeyKind::Rsa2048, ..spec() }), good, &[]),
        ("a delegate without OCSPSigning", by(DelegateSpec { ocsp_signing: false, ..spec() }), None, &[StapleInvalid]),
        ("a delegate of another CA", by(DelegateSpec { certified_by: Some(other), ..spec() }), None, &[StapleInvalid]),
        (
            "a delegate of a CA with the same name",
            by(DelegateSpec { certified_by: Some(same_name), ..spec() }),
            None,
            &[StapleInvalid],
        ),
        (
            "an expired delegate",
            by(DelegateSpec { not_before: -9 * DAY, not_after: -60, ..spec() }),
            good,
            &[StapleInvalid],
        ),
        ("a delegate not yet valid", by(DelegateSpec { not_before: 3600, ..spec() }), good, &[StapleInvalid]),
        (
            "a delegate whose certificate is missing",
            by(DelegateSpec { presented: false, ..spec() }),
            None,
            &[StapleInvalid],
        ),
        (
            "a delegate with a critical extension",
            by(DelegateSpec { extensions: vec![unknown], ..spec() }),
            None,
            &[StapleInvalid],
        ),
        ("a delegate among 8 certificates", delegated.clone().with_padding(7), good, &[]),
        ("a delegate among 9 certificates", delegated.clone().with_padding(8), None, &[StapleInvalid]),
        ("the issuer, 8 unused certificates", ResponseSpec::good().with_padding(8), good, &[]),
        ("the issuer, 9 unused certificates", ResponseSpec::good().with_padding(9), None, &[StapleInvalid]),
        ("wrong signature", ResponseSpec::good().with_flaw(Flaw::WrongSignature), None, &[StapleInvalid]),
        ("wrong signature of a delegate", delegated.with_flaw(Flaw::WrongSignature), None, &[StapleInvalid]),
        ("SHA-1", ResponseSpec::good().with_flaw(Flaw::WeakAlgorithm), None, &[StapleInvalid]),
        ("tryLater", ResponseSpec::good().with_flaw(Flaw::TryLater), None, &[StapleInvalid]),
        ("other response type", ResponseSpec::good().with_flaw(Flaw::OtherType), None, &[StapleInvalid]),
        ("a critical extension", ResponseSpec::good().with_flaw(Flaw::CriticalExtension), None, &[StapleInvalid]),
    ];
    for (what, spec, status, reasons) in rows {
        fixture.check(what, spec, *status, reasons);
    }
}

#[test]
fn supports_every_key_type() {
    for key in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519, KeyKind::Rsa2048] {
        let fixture = OcspFixture::with_leaf(key, &CertSpec::valid_for(&["smtp.example.com"]));
        for responder in [Responder::Issuer, Responder::delegate()] {
            let spec = ResponseSpec::good().with_responder(responder.clone());
            fixture.check(&format!("{key:?} {responder:?}"), &spec, Some(OcspStatus::Good), &[]);
        }
    }
}

#[test]
fn only_keys_that_signed_the_leaf_count() {
    let fixture = OcspFixture::new();
    let good = Some(OcspStatus::Good);
    let by_issuer = fixture.staple(&ResponseSpec::good());
    let by_impostor = ResponseSpec::good().sign(&fixture.impostor, fixture.leaf.der());
    let other_leaf = SingleResponseSpec::new(Stapled::Good).with_cert_id(CertIdKind::OtherSerial);
    let other_leaf = fixture.staple(&ResponseSpec::good().with_responses(vec![other_leaf]));
    let (issuer, impostor) = (&*spki(&fixture.issuer), &*spki(&fixture.impostor));
    let other_type = AuthoritySpec { key: KeyKind::Ed25519, ..AuthoritySpec::named(ISSUER) };
    let other_type = Authority::root(&other_type);
    let of_other_type = ResponseSpec::good().sign(&other_type, fixture.leaf.der());
    let other_type = &*spki(&other_type);
    type Row<'a> = (&'a str, &'a [u8], &'a [&'a [u8]], Option<OcspStatus>, &'a [OcspReason]);
    let rows: &[Row<'_>] = &[
        ("the issuer", &by_issuer, &[issuer], good, &[]),
        ("the issuer among others", &by_issuer, &[impostor, b"garbage", issuer, issuer], good, &[]),
        ("no key", &by_issuer, &[], None, &[]),
        ("impostor only", &by_issuer, &[impostor], None, &[]),
        ("garbage only", &by_issuer, &[b"garbage", b""], None, &[]),
        ("no key, other certificate", &other_leaf, &[], None, &[StapleInvalid]),
        ("by the impostor, both keys", &by_impostor, &[impostor, issuer], None, &[StapleInvalid]),
        ("by the impostor, impostor only", &by_impostor, &[impostor], None, &[]),
        ("other key type, both keys", &of_other_type, &[other_type, issuer], None, &[StapleInvalid]),
        ("other key type only", &of_other_type, &[other_type], None, &[]),
    ];
    for (what, staple, keys, status, reasons) in rows {
        check(what, &judge(staple, &fixture.leaf, keys), *status, reasons);
    }
}

#[test]
fn reasons_depend_on_the_time() {
    let fixture = OcspFixture::new();
    let delegate = DelegateSpec { not_after: 10 * DAY, ..DelegateSpec::default() };
    let verdict = fixture.judge(&fixture.staple(&ResponseSpec::good().with_responder(Responder::Delegate(delegate))));
    let next_update = verdict.next_update().expect("a week from now");
    let statement = verdict.statement().expect("a valid staple");
    let [from, until] = [*statement.valid_at.start(), *statement.valid_at.end()];
    // nextUpdate is in a week, thisUpdate one hour ago, and the clock skew five minutes.
    assert_eq!(next_update - from, 7 * DAY + 3600 + 300);
    assert!(next_update < until, "the certificate of the delegate ends after nextUpdate");
    for (what, at, reasons) in [
        ("before thisUpdate", from - 1, &[StapleInvalid][..]),
        ("within the clock skew", from, &[]),
        ("at nextUpdate", next_update, &[]),
        ("after nextUpdate", next_update + 1, &[StapleStale]),
        ("at the delegate's notAfter", until, &[StapleStale]),
        ("after the delegate's notAfter", until + 1, &[StapleStale, StapleInvalid]),
        ("far in the future", i64::MAX, &[StapleStale, StapleInvalid]),
        ("far in the past", i64::MIN, &[StapleInvalid]),
    ] {
        assert_eq!(verdict.reasons(at).collect::<Vec<_>>(), reasons, "{what}");
    }
}

#[test]
fn reads_must_staple() {
    let features = |value: &[u8]| Extension::tls_features(value.to_vec());
    for (what, extension, must_staple) in [
        ("status_request", Extension::must_staple(), true),
        ("status_request_v2", features(&[0x30, 3, 2, 1, 17]), true),
        ("critical", Extension { critical: true, ..Extension::must_staple() }, true),
        ("among other features", features(&[0x30, 10, 2, 1, 6, 2, 2, 1, 0, 2, 1, 5]), true),
        ("other feature", features(&[0x30, 3, 2, 1, 6]), false),
        ("longer integer ending in 5", features(&[0x30, 4, 2, 2, 1, 5]), false),
        ("no feature", features(&[0x30, 0]), false),
        ("an integer", features(&[2, 1, 5]), false),
        ("truncated", features(&[0x30, 3, 2, 1]), false),
        ("trailing data", features(&[0x30, 3, 2, 1, 5, 0]), false),
        ("empty", features(&[]), false),
        ("other extension", Extension { oid: vec![1, 3, 6, 1, 5, 5, 7, 1, 23], ..Extension::must_staple() }, false),
    ] {
        let spec = CertSpec::valid_for(&["smtp.example.com"]).with_extension(extension);
        let fixture = OcspFixture::with_leaf(KeyKind::P256, &spec);
        let missing = fixture.judge(&[]);
        assert!(!missing.is_stapled() && missing.status().is_none() && missing.next_update().is_none(), "{what}");
        let expected = if must_staple { &[StapleMissing][..] } else { &[] };
        assert_eq!(missing.reasons(now()).collect::<Vec<_>>(), expected, "{what}");
        fixture.check(what, &ResponseSpec::good(), Some(OcspStatus::Good), &[]);
        fixture.check(what, &ResponseSpec::good().with_flaw(Flaw::TryLater), None, &[StapleInvalid]);
    }
}

#[test]
fn rejects_staples_above_64_kib() {
    let names: Vec<String> = (0..400).map(|number| format!("host-{number}.smtp.example.com")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let fixture = OcspFixture::with_leaf(KeyKind::P256, &CertSpec::valid_for(&names));
    let length = |padding| fixture.staple(&ResponseSpec::good().with_padding(padding)).len();
    assert!(length(5) <= MAX_STAPLE_BYTES && length(6) > MAX_STAPLE_BYTES, "{} and {}", length(5), length(6));
    fixture.check("large", &ResponseSpec::good().with_padding(5), Some(OcspStatus::Good), &[]);
    fixture.check("too large", &ResponseSpec::good().with_padding(6), None, &[StapleInvalid]);
}

/// `x509_ocsp::ResponseData` takes a minute to sort this name.
#[test]
fn parses_a_long_name_in_linear_time() {
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
fn garbage_is_invalid() {
    let fixture = OcspFixture::new();
    let staple = fixture.staple(&ResponseSpec::good());
    for (what, garbage) in [
        ("one octet", vec![0]),
        ("an empty sequence", vec![0x30, 0]),
        ("successful without response", vec![0x30, 3, 0x0a, 1, 0]),
        ("a certificate", fixture.leaf.der().to_vec()),
        ("text", b"HTTP/1.1 200 OK".to_vec()),
        ("trailing data", [&*staple, &[0]].concat()),
        ("truncated", staple[..staple.len() - 1].to_vec()),
        ("zeros", vec![0; 70_000]),
    ] {
        check(what, &fixture.judge(&garbage), None, &[StapleInvalid]);
    }
    let unparsable = Certificate::new(b"garbage".to_vec().into());
    check("unparsable leaf", &judge(&staple, &unparsable, &[&spki(&fixture.issuer)]), None, &[]);
    assert_eq!(judge(&[], &unparsable, &[]).reasons(now()).count(), 0);
}

/// A changed staple has no status: every octet is either signed or part of the structure around it. The staples here have
/// no unused certificates, which could be changed.
#[test]
fn mutated_staples_have_no_status() {
    let fixture = OcspFixture::new();
    let issuer = spki(&fixture.issuer);
    let mut random = Random(0x5eed);
    let all: fn(usize) -> Vec<u8> = |_| (0..8).map(|bit| 1 << bit).collect();
    let some: fn(usize) -> Vec<u8> = |at| vec![0x20, 1 << (at % 8)];
    // The certificate of the delegate makes the staple long: only two bits of each octet, one of them the constructed
    // bit.
    for (responder, masks) in [(Responder::Issuer, all), (Responder::delegate(), some)] {
        let spec = ResponseSpec::new(Stapled::Revoked).with_responder(responder);
        let staple = fixture.staple(&spec);
        fixture.check("unchanged", &spec, Some(OcspStatus::Revoked), &[Revoked]);
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

    /// Changes, removes, adds, repeats or swaps a few octets.
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
