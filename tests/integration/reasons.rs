//! Every reason of a failed probe and of a staple, from a server's doing to what Prometheus scrapes. Those of chains
//! and names are the table of certificates' (`certificates.rs`), those of lookups the monitor's.

use std::collections::BTreeSet;

use smtp_fleet::ocsp::{CertIdKind, Flaw, ResponseSpec, SingleResponseSpec, Status};
use smtp_fleet::{CertSpec, Extension, Identity, ServerSpec, TlsMode, profiles};
use smtp_tls_exporter::reason::{OcspReason, OcspStatus, ProbeReason};

use crate::probe::failure_of;
use crate::service_fixture::{ServiceFixture, check, pki};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_failed_probes() {
    let kinds = profiles::all(&pki());
    let names: Vec<String> = kinds.iter().map(|(kind, _)| format!("{}.example.com", kind.replace('_', "-"))).collect();
    let cases = names.iter().zip(&kinds).map(|(name, (kind, spec))| {
        let implicit = spec.tls == TlsMode::Implicit || kind.contains("implicit");
        let tls = if implicit { "implicit" } else { "starttls" };
        let timeout = if matches!(*kind, "silent" | "stalls_mid_handshake") { "1s" } else { "20s" };
        (name.as_str(), vec![spec.clone()], format!(", tls: {tls}, timeout: {timeout}, connect_timeout: 1s"))
    });
    let fixture = ServiceFixture::of(cases.collect()).await;
    // One that is gone.
    fixture.fleet.servers()[0].stop().await;
    fixture.round([names[0].as_str()]).await;
    let answer = fixture.metrics().await;
    let mut met = BTreeSet::new();
    for (place, (name, (kind, _))) in names.iter().zip(&kinds).enumerate() {
        let labels = format!("target=\"{name}\",server_name=\"{name}\",backend=\"{}\"", fixture.backend(place));
        let gone = (smtp_tls_exporter::reason::Stage::Connect, ProbeReason::Refused);
        let failure = if place == 0 { Some(gone) } else { failure_of(kind) };
        let info = |stage: &str, reason: &str| {
            format!("smtp_tls_probe_failure_info{{{labels},stage=\"{stage}\",reason=\"{reason}\"}}")
        };
        let success = (format!("smtp_tls_probe_success{{{labels}}}"), Some(if failure.is_none() { 1.0 } else { 0.0 }));
        match failure {
            Some((stage, reason)) => {
                met.insert(reason);
                check(&answer, &[success, (info(stage.as_str(), reason.as_str()), Some(1.0))]);
            }
            None => check(&answer, &[success]),
        }
    }
    // No address on loopback is unreachable.
    met.insert(ProbeReason::Unreachable);
    assert_eq!(met, ProbeReason::ALL.iter().copied().collect());
}

/// What a staple comes to.
struct Row {
    host: &'static str,
    must_staple: bool,
    staple: Option<ResponseSpec>,
    status: Option<OcspStatus>,
    reasons: &'static [OcspReason],
}

#[tokio::test]
async fn of_staples() {
    use OcspReason::{Revoked, StapleInvalid, StapleMissing, StapleStale};
    use OcspStatus::{Good, Unknown};
    let good = ResponseSpec::good;
    let with = |statement| good().with_responses(vec![statement]);
    let old = |status| with(SingleResponseSpec::new(status).with_times(-9 * 86_400, Some(-86_400)));
    let early = SingleResponseSpec::new(Status::Good).with_times(3_600, None);
    let row = |host, staple, status, reasons| Row { host, must_staple: false, staple, status, reasons };
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
        Row { must_staple: true, ..row("must.example.com", Some(good()), Some(Good), &[]) },
        Row { must_staple: true, ..row("missing.example.com", None, None, &[StapleMissing]) },
    ];
    let pki = pki();
    let identity = |row: &Row| -> Identity {
        let spec = CertSpec::valid_for(&[row.host]).with_extension(Extension::embedded_scts(2));
        let spec = if row.must_staple { spec.with_extension(Extension::must_staple()) } else { spec };
        let identity = pki.issue(&spec);
        let staple = row.staple.as_ref().map(|staple| staple.sign(pki.intermediate(), identity.leaf_der()));
        staple.map_or_else(|| identity.clone(), |staple| identity.with_staple(staple))
    };
    let cases = rows.iter().map(|row| (row.host, vec![ServerSpec::new(identity(row))]));
    let fixture = ServiceFixture::new(cases.collect(), "").await;
    let answer = fixture.metrics().await;
    for (place, Row { host, staple, status, reasons, .. }) in rows.iter().enumerate() {
        let labels = format!("target=\"{host}\",server_name=\"{host}\",backend=\"{}\"", fixture.backend(place));
        let series = |metric: &str, more: &str| format!("smtp_tls_{metric}{{{labels}{more}}}");
        let stapled = if staple.is_some() { 1.0 } else { 0.0 };
        check(&answer, &[(series("ocsp_stapled", ""), Some(stapled)), (series("cert_scts", ""), Some(2.0))]);
        // A staple is no matter of the chain.
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
