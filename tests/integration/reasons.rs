//! Every reason for a failed probe and for a bad OCSP staple, from the behavior of a server to the metrics. The reasons
//! for chains and names are covered by `certificates.rs`, those for lookups by `monitor.rs`.

use std::collections::BTreeSet;

use smtp_fleet::ocsp::{CertIdKind, Flaw, ResponseSpec, SingleResponseSpec, Status};
use smtp_fleet::{CertSpec, Extension, Identity, ServerSpec, TlsMode, profiles};
use smtp_tls_exporter::reason::{OcspReason, OcspStatus, ProbeReason, Stage};

use crate::probe::expected_failure;
use crate::service_fixture::{ServiceFixture, check, pki};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exports_every_probe_failure_reason() {
    let profiles = profiles::all(&pki());
    let names: Vec<String> =
        profiles.iter().map(|(profile, _)| format!("{}.example.com", profile.replace('_', "-"))).collect();
    let tls = |(profile, spec): &(&str, ServerSpec)| {
        let implicit = spec.tls == TlsMode::Implicit || profile.contains("implicit");
        if implicit { "implicit" } else { "starttls" }
    };
    let cases = names.iter().zip(&profiles).map(|(name, case)| {
        let ((profile, spec), tls) = (case, tls(case));
        let timeout = if matches!(*profile, "silent" | "stalls_mid_handshake") { "1s" } else { "20s" };
        (name.as_str(), vec![spec.clone()], format!(", tls: {tls}, timeout: {timeout}, connect_timeout: 1s"))
    });
    let fixture = ServiceFixture::with_keys(cases.collect()).await;
    // No profile refuses connections: a stopped server does.
    fixture.fleet.servers()[0].stop().await;
    fixture.rounds([names[0].as_str()]).await;
    let answer = fixture.metrics().await;
    let mut covered = BTreeSet::new();
    for (index, (name, case)) in names.iter().zip(&profiles).enumerate() {
        let (backend, (profile, _), tls) = (fixture.backend(index), case, tls(case));
        let labels = format!("target=\"{name}\",server_name=\"{name}\",backend=\"{backend}\",tls=\"{tls}\"");
        let failure = if index == 0 { Some((Stage::Connect, ProbeReason::Refused)) } else { expected_failure(profile) };
        let info = |stage: &str, reason: &str| {
            format!("smtp_tls_probe_failure_info{{{labels},stage=\"{stage}\",reason=\"{reason}\"}}")
        };
        let success = (format!("smtp_tls_probe_success{{{labels}}}"), Some(if failure.is_none() { 1.0 } else { 0.0 }));
        match failure {
            Some((stage, reason)) => {
                covered.insert(reason);
                check(&answer, &[success, (info(stage.as_str(), reason.as_str()), Some(1.0))]);
            }
            None => check(&answer, &[success]),
        }
    }
    // Servers reject only certificates that were sent; see the module `client_certificates`.
    covered.insert(ProbeReason::ClientCertificateRejected);
    // No address on loopback is unreachable.
    covered.insert(ProbeReason::Unreachable);
    assert_eq!(covered, ProbeReason::ALL.iter().copied().collect());
}

/// A staple, and the expected status and reasons.
struct StapleCase {
    host: &'static str,
    must_staple: bool,
    staple: Option<ResponseSpec>,
    status: Option<OcspStatus>,
    reasons: &'static [OcspReason],
}

#[tokio::test]
async fn exports_the_status_and_every_reason_of_ocsp_staples() {
    use OcspReason::{Revoked, StapleInvalid, StapleMissing, StapleStale};
    use OcspStatus::{Good, Unknown};
    let good = ResponseSpec::good;
    let with = |response| good().with_responses(vec![response]);
    let old = |status| with(SingleResponseSpec::new(status).with_times(-9 * 86_400, Some(-86_400)));
    let early = SingleResponseSpec::new(Status::Good).with_times(3_600, None);
    let row = |host, staple, status, reasons| StapleCase { host, must_staple: false, staple, status, reasons };
    let rows = [
        row("none.example.com", None, None, &[]),
        row("good.example.com", Some(good()), Some(Good), &[]),
        row("unknown.example.com", Some(ResponseSpec::new(Status::Unknown)), Some(Unknown), &[]),
        row("stale.example.com", Some(old(Status::Good)), Some(Good), &[StapleStale]),
        row("early.example.com", Some(with(early)), Some(Good), &[StapleInvalid]),
        row("revoked.example.com", Some(ResponseSpec::new(Status::Revoked)), Some(OcspStatus::Revoked), &[Revoked]),
        row("gone.example.com", Some(old(Status::Revoked)), Some(OcspStatus::Revoked), &[StapleStale, Revoked]),
        row(
            "other.example.com",
            Some(with(SingleResponseSpec::new(Status::Good).with_cert_id(CertIdKind::OtherSerial))),
            None,
            &[StapleInvalid],
        ),
        row("forged.example.com", Some(good().with_flaw(Flaw::WrongSignature)), None, &[StapleInvalid]),
        StapleCase { must_staple: true, ..row("must.example.com", Some(good()), Some(Good), &[]) },
        StapleCase { must_staple: true, ..row("missing.example.com", None, None, &[StapleMissing]) },
    ];
    let pki = pki();
    let identity = |row: &StapleCase| -> Identity {
        let spec = CertSpec::valid_for(&[row.host]).with_extension(Extension::embedded_scts(2));
        let spec = if row.must_staple { spec.with_extension(Extension::must_staple()) } else { spec };
        let identity = pki.issue(&spec);
        let staple = row.staple.as_ref().map(|staple| staple.sign(pki.intermediate(), identity.leaf_der()));
        staple.map_or_else(|| identity.clone(), |staple| identity.with_staple(staple))
    };
    let cases = rows.iter().map(|row| (row.host, vec![ServerSpec::new(identity(row))]));
    let fixture = ServiceFixture::new(cases.collect(), "").await;
    let answer = fixture.metrics().await;
    for (index, StapleCase { host, staple, status, reasons, .. }) in rows.iter().enumerate() {
        let labels =
            format!("target=\"{host}\",server_name=\"{host}\",backend=\"{}\",tls=\"starttls\"", fixture.backend(index));
        let series = |metric: &str, more: &str| format!("smtp_tls_{metric}{{{labels}{more}}}");
        let stapled = if staple.is_some() { 1.0 } else { 0.0 };
        check(&answer, &[(series("ocsp_stapled", ""), Some(stapled)), (series("cert_scts", ""), Some(2.0))]);
        // A staple has no effect on the verdict on the chain.
        check(&answer, &[(series("chain_valid", ""), Some(1.0))]);
        for word in OcspStatus::ALL {
            let expected = (*status == Some(*word)).then_some(1.0);
            check(&answer, &[(series("ocsp_status", &format!(",status=\"{word}\"")), expected)]);
        }
        for word in OcspReason::ALL {
            let expected = reasons.contains(word).then_some(1.0);
            check(&answer, &[(series("ocsp_error", &format!(",reason=\"{word}\"")), expected)]);
        }
        let next_update = answer.value(&series("ocsp_next_update_timestamp_seconds", ""));
        assert_eq!(next_update.is_some(), status.is_some() && *host != "early.example.com", "{host}: {next_update:?}");
    }
}
