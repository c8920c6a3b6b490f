//! Tests of the case table: it is complete, uses the published reasons, agrees with webpki, and can be served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use smtp_fleet::cases::{self, CHAIN_REASONS, CHAIN_WARNINGS, Case, DIFFERENCES, NAME_REASONS, NameOutcome, Outcome};
use smtp_fleet::client::AcceptAny;
use smtp_fleet::{Fleet, ServerSpec, TlsMode};
use webpki::{EndEntityCert, KeyUsage};

use crate::client::run_session;

/// Empty certificates cannot be sent (RFC 8446 §4.4.2: cert_data<1..2^24-1>).
const UNSENDABLE: [&str; 2] = ["leaf-of-no-octets", "noise-beside"];

/// Reasons that never occur alone. The private keys of distrusted keys are not available.
const NEVER_ALONE: [&str; 1] = ["distrusted"];

#[test]
fn uses_only_published_reasons_in_their_order() {
    let order = |error: &&str| CHAIN_REASONS.iter().position(|reason| reason == error);
    let mut names = BTreeSet::new();
    for case in cases::all() {
        let Case { name, expected, .. } = &case;
        assert!(names.insert(case.name), "{name}: twice");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'), "{name}");
        let orders: Vec<_> = expected.errors.iter().map(order).collect();
        assert!(
            orders.iter().all(Option::is_some) && orders.is_sorted_by(|one, next| one < next),
            "{name}: {orders:?}"
        );
        let order = |warning: &&str| CHAIN_WARNINGS.iter().position(|known| known == warning);
        let orders: Vec<_> = expected.warnings.iter().map(order).collect();
        assert!(
            orders.iter().all(Option::is_some) && orders.is_sorted_by(|one, next| one < next),
            "{name}: {orders:?}"
        );
        assert!(expected.valid || expected.warnings.is_empty(), "{name}");
        assert_eq!(expected.valid, expected.errors.is_empty(), "{name}");
        assert!(!expected.valid || expected.trusted == Some(true), "{name}");
        let known = |reason: &&str| NAME_REASONS.contains(reason);
        assert!(!matches!(expected.name, NameOutcome::Mismatch(reason) if !known(&reason)), "{name}");
    }
    assert!(names.len() > 85);
}

#[test]
fn has_every_reason_alone_and_in_combination() {
    let (mut alone, mut together): (BTreeSet<&str>, BTreeSet<&str>) = Default::default();
    let mut mismatches: BTreeMap<&str, BTreeSet<bool>> = BTreeMap::new();
    for case in cases::all() {
        match case.expected.errors {
            [error] => drop(alone.insert(error)),
            errors => together.extend(errors),
        }
        if let NameOutcome::Mismatch(reason) = case.expected.name {
            mismatches.entry(reason).or_default().insert(case.expected.valid);
        }
    }
    let never_alone: Vec<_> = CHAIN_REASONS.iter().filter(|reason| !alone.contains(*reason)).collect();
    let never_combined: Vec<_> = CHAIN_REASONS.iter().filter(|reason| !together.contains(*reason)).collect();
    assert_eq!((&*never_alone, &*never_combined), (&NEVER_ALONE.each_ref()[..], &[][..]));
    for reason in NAME_REASONS {
        let chains = mismatches.get(reason).map(BTreeSet::len);
        assert_eq!(chains, Some(2), "{reason}: with a valid chain, and with an invalid one");
    }
}

#[test]
fn warns_of_what_senders_refuse() {
    let cases = cases::all();
    let mut listed = BTreeSet::new();
    for name in DIFFERENCES.iter().flat_map(|row| row.cases) {
        assert!(cases.iter().any(|case| case.name == *name), "{name}: no such case");
        assert!(listed.insert(name), "{name}: listed twice");
    }
    for case in &cases {
        let Case { name, expected, .. } = case;
        let refuses = |outcome| matches!(outcome, Outcome::Refuses | Outcome::RefusesSince(_));
        let is_refused = case.outcomes().into_iter().any(refuses);
        if expected.valid && is_refused {
            assert!(!expected.warnings.is_empty(), "{name}: no warning");
        }
        // Clients need not support long serial numbers, but these do.
        if !is_refused && expected.valid && expected.warnings != ["serial_number"] {
            assert!(expected.warnings.is_empty(), "{name}: {:?}", expected.warnings);
        }
    }
    let alone = |warning: &&str| cases.iter().any(|case| case.expected.warnings == [*warning]);
    assert!(CHAIN_WARNINGS.iter().all(alone));
}

#[test]
fn agrees_with_webpki() {
    let is_beyond = |case: &Case, start: &str| case.name.starts_with(start);
    let (beyond, within): (Vec<_>, Vec<_>) =
        cases::all().into_iter().partition(|case| BEYOND_WEBPKI.iter().any(|start| is_beyond(case, start)));
    within.iter().for_each(check);
    for start in BEYOND_WEBPKI {
        let mut cases = beyond.iter().filter(|case| is_beyond(case, start));
        assert!(cases.any(|case| webpki_accepts(case, 0) != Some(case.expected.valid)), "{start}");
    }
}

/// How the names of cases begin on which the exporter is stricter or laxer than webpki: webpki checks neither the dates and
/// extensions of roots nor keyUsage, and rejects a CA certificate that is itself trusted.
const BEYOND_WEBPKI: [&str; 5] =
    ["root-", "trusted-", "self-signed-authority-and-trusted", "issuer-without-key-cert-sign", "noise-"];

/// Whether webpki accepts the chain that many seconds from now; `None` if it cannot parse the server certificate.
fn webpki_accepts(case: &Case, seconds: i64) -> Option<bool> {
    let leaf = EndEntityCert::try_from(case.identity.leaf_der()).ok()?;
    let roots: Vec<_> = case.roots.iter().map(webpki::anchor_from_trusted_cert).collect::<Result<_, _>>().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs().checked_add_signed(seconds).unwrap()));
    // As many as the exporter examines.
    let rest: Vec<CertificateDer<'_>> = case.identity.chain().iter().skip(1).take(63).cloned().collect();
    let usage = KeyUsage::server_auth();
    Some(leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &roots, &rest, time, usage, None, None).is_ok())
}

#[track_caller]
fn check(case: &Case) {
    let Case { name, expected, .. } = case;
    let has = |reason| expected.errors.contains(&reason);
    let leaf = match EndEntityCert::try_from(case.identity.leaf_der()) {
        Ok(leaf) => leaf,
        Err(error) => {
            let expected = has("unsupported_version") || has("critical_extension") || has("malformed");
            return assert!(expected, "{name}: {error:?}");
        }
    };
    let verify = |seconds: i64| webpki_accepts(case, seconds) == Some(true);
    // webpki checks neither the size of the leaf's key nor its proof.
    if expected.errors != ["weak_key"] && !has("key_proof_failed") {
        assert_eq!(verify(0), expected.valid, "{name}");
        let ever = TIMES.into_iter().any(verify) && !has("weak_key");
        assert_eq!(ever, expected.trusted == Some(true), "{name}");
    }
    let reference = ServerName::try_from(case.server_name).unwrap();
    let found = leaf.verify_is_valid_for_subject_name(&reference);
    // webpki does not parse the times of a certificate until it compares them.
    if expected.name != NameOutcome::Unknown {
        assert_eq!(found.is_ok(), expected.name == NameOutcome::Match, "{name}: {found:?}");
    }
}

/// Seconds from now, at least one in each interval in which all certificates of some chain are valid.
const TIMES: [i64; 9] = [-60 * DAY, -5 * DAY, -2 * HOUR, -HOUR / 4, 0, HOUR / 4, 3 * HOUR, 5 * DAY, 60 * DAY];
const DAY: i64 = 24 * HOUR;
const HOUR: i64 = 3_600;

#[tokio::test]
async fn serves_every_identity() {
    let cases: Vec<_> = cases::all().into_iter().filter(|case| !UNSENDABLE.contains(&case.name)).collect();
    let mut identities = cases.iter().map(|case| case.identity.clone());
    let spec =
        ServerSpec { identity: identities.next(), more_identities: identities.collect(), ..ServerSpec::default() };
    let fleet = Fleet::start(vec![spec]).await.unwrap();
    let addr = fleet.addrs()[0];
    let signature_valid = Arc::new(AtomicBool::new(false));
    let config = Arc::new(AcceptAny::recording(&signature_valid).into_config());
    for Case { name, identity, expected, .. } in &cases {
        let outcome = run_session(addr, TlsMode::StartTls, &config).await;
        let outcome = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(outcome.leaf, *identity.leaf_der(), "{name}");
        // rustls checks no signature if webpki cannot parse the certificate or rejects the key as too small.
        let small_key = identity.key().is_none() && expected.errors.contains(&"weak_key");
        if !small_key && EndEntityCert::try_from(identity.leaf_der()).is_ok() {
            let failed = expected.errors.contains(&"key_proof_failed");
            assert_eq!(signature_valid.load(Ordering::Relaxed), !failed, "{name}");
        }
    }
}
