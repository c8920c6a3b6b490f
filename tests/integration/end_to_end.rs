//! End to end: from servers and a name server to the metrics.

use std::time::Duration;

use smtp_fleet::{AuthoritySpec, CertSpec, ServerSpec, profiles};

use crate::service_fixture::{ServiceFixture, check, pki};
use crate::support::request;

#[tokio::test]
async fn exports_a_partial_hostname_mismatch() {
    let pki = pki();
    let specs = || vec![profiles::good(&pki), profiles::alias_missing(&pki), profiles::alias_missing(&pki)];
    let fixture = ServiceFixture::new(vec![(profiles::ALIAS, specs())], ", labels: {team: mail}").await;
    let answer = fixture.metrics().await;
    let target = format!("target=\"{0}\",server_name=\"{0}\"", profiles::ALIAS);
    let of_target = |metric: &str, value| (format!("smtp_tls_{metric}{{{target},team=\"mail\"}}"), Some(value));
    let of_backend = |metric: &str, index, more: &str, value| {
        let backend = fixture.backend(index);
        let labels = format!("{target},backend=\"{backend}\",tls=\"starttls\"{more},team=\"mail\"");
        (format!("smtp_tls_{metric}{{{labels}}}"), value)
    };
    let mismatch = ",reason=\"not_listed\",presented=\"mail.example.com\"";
    check(
        &answer,
        &[
            of_target("target_backends_resolved", 3.0),
            of_target("target_backends_reachable", 3.0),
            of_target("target_backends_hostname_matched", 1.0),
            of_target("target_backends_hostname_mismatched", 2.0),
            of_target("target_backends_chain_valid", 3.0),
            of_backend("cert_hostname_match", 0, "", Some(1.0)),
            of_backend("cert_hostname_match", 1, "", Some(0.0)),
            of_backend("cert_hostname_match", 2, "", Some(0.0)),
            of_backend("cert_hostname_mismatch_info", 0, mismatch, None),
            of_backend("cert_hostname_mismatch_info", 1, mismatch, Some(1.0)),
            of_backend("chain_trusted", 1, "", Some(1.0)),
            of_backend("chain_valid", 1, "", Some(1.0)),
            of_backend("probe_success", 2, "", Some(1.0)),
            of_backend("handshake_errors", 2, "", Some(0.0)),
        ],
    );
}

#[tokio::test]
async fn exports_each_kind_of_failure() {
    let pki = pki();
    let named = |name: &str| CertSpec::valid_for(&[name]);
    let day = 86_400;
    let expired = pki.issue(&named("expired.example.com").with_validity(-90 * day, -3 * day));
    let fixture = ServiceFixture::new(
        vec![
            ("expired.example.com", vec![ServerSpec::new(expired)]),
            ("plain.example.com", vec![profiles::no_starttls(&pki)]),
            ("untrusted.example.com", vec![profiles::untrusted(&pki)]),
            ("mutual.example.com", vec![profiles::client_certificate(&pki, smtp_fleet::TlsVersions::Tls13)]),
        ],
        "",
    )
    .await;
    let answer = fixture.metrics().await;
    let series = |metric: &str, name: &str, index, more: &str| {
        let backend = fixture.backend(index);
        format!(
            "smtp_tls_{metric}{{target=\"{name}\",server_name=\"{name}\",backend=\"{backend}\",tls=\"starttls\"{more}}}"
        )
    };
    let failure = |stage: &str, reason: &str| format!(",stage=\"{stage}\",reason=\"{reason}\"");
    let expired = "expired.example.com";
    let days = answer.value(&series("cert_expiry_days", expired, 0, "")).expect("days");
    assert!((-3.1..-2.9).contains(&days), "{days}");
    let (plain, untrusted, mutual) = ("plain.example.com", "untrusted.example.com", "mutual.example.com");
    check(
        &answer,
        &[
            (series("cert_hostname_match", expired, 0, ""), Some(1.0)),
            (series("chain_trusted", expired, 0, ""), Some(1.0)),
            (series("chain_valid", expired, 0, ""), Some(0.0)),
            (series("chain_error", expired, 0, ",reason=\"expired\""), Some(1.0)),
            (series("probe_success", plain, 1, ""), Some(0.0)),
            (series("probe_failure_info", plain, 1, &failure("starttls", "starttls_not_offered")), Some(1.0)),
            (series("cert_hostname_match", plain, 1, ""), None),
            (series("chain_trusted", plain, 1, ""), None),
            (series("handshake_errors", plain, 1, ""), Some(0.0)),
            (series("chain_trusted", untrusted, 2, ""), Some(0.0)),
            (series("chain_error", untrusted, 2, ",reason=\"unknown_issuer\""), Some(1.0)),
            (series("probe_failure_info", mutual, 3, &failure("session", "client_certificate_required")), Some(1.0)),
            (series("handshake_errors", mutual, 3, ""), Some(1.0)),
        ],
    );
    let took = answer.value(&series("probe_duration_seconds", plain, 1, "")).expect("a duration");
    assert!(took < 10.0, "the probe ends without waiting for the timeout: {took} s");
    let counted = |metric: &str| answer.value(&format!("smtp_tls_{metric}{{target=\"{plain}\"}}"));
    assert_eq!((counted("probes_total"), counted("probe_failures_total")), (Some(1.0), Some(1.0)));
}

#[tokio::test]
async fn certificate_metrics_of_a_stopped_server_stay() {
    let pki = pki();
    let fixture = ServiceFixture::new(vec![(profiles::ALIAS, vec![profiles::good(&pki)])], "").await;
    let labels = format!(
        "target=\"{0}\",server_name=\"{0}\",backend=\"{1}\",tls=\"starttls\"",
        profiles::ALIAS,
        fixture.backend(0)
    );
    let series = |metric: &str, more: &str| format!("smtp_tls_{metric}{{{labels}{more}}}");
    let before = fixture.metrics().await;
    let not_after = before.value(&series("cert_not_after_timestamp_seconds", ""));
    assert!(not_after.is_some());
    assert!(before.text().contains("smtp_tls_connection_info{"));
    fixture.fleet.servers()[0].stop().await;
    fixture.rounds([profiles::ALIAS]).await;
    let after = fixture.metrics().await;
    check(
        &after,
        &[
            (series("probe_success", ""), Some(0.0)),
            (series("probe_consecutive_failures", ""), Some(1.0)),
            (series("probe_failure_info", ",stage=\"connect\",reason=\"refused\""), Some(1.0)),
            (series("cert_hostname_match", ""), Some(1.0)),
            (series("cert_not_after_timestamp_seconds", ""), not_after),
            (series("chain_valid", ""), Some(1.0)),
        ],
    );
    assert!(!after.text().contains("smtp_tls_connection_info{"), "the negotiated parameters are no longer current");
}

#[tokio::test]
async fn serves_pages_metrics_and_management_endpoints() {
    let pki = pki();
    let fixture = ServiceFixture::new(vec![(profiles::ALIAS, vec![profiles::good(&pki)])], "").await;
    for (method, path, fields, status, kind) in [
        ("GET", "/", "", 200, "text/html"),
        ("GET", "/metrics", "", 200, "text/plain; version=0.0.4"),
        (
            "GET",
            "/metrics",
            "Accept: application/openmetrics-text;version=1.0.0\r\n",
            200,
            "application/openmetrics-text",
        ),
        ("HEAD", "/metrics", "", 200, "text/plain"),
        ("GET", "/-/healthy", "", 200, "text/plain"),
        ("GET", "/-/ready", "", 200, "text/plain"),
        ("GET", "/-/reload", "", 405, ""),
        ("POST", "/-/reload", "", 500, "text/plain"),
        ("GET", "/nowhere", "", 404, ""),
    ] {
        let answer = request(fixture.address, method, path, fields).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.head);
        let found = answer.header("content-type").unwrap_or_default();
        assert!(found.starts_with(kind), "{method} {path}: {found}");
    }
    let open = request(fixture.address, "GET", "/metrics", "Accept: application/openmetrics-text\r\n").await;
    assert!(open.text().ends_with("# EOF\n"));
    let end = fixture.running.until(tokio::time::sleep(Duration::ZERO)).await;
    end.expect("a clean shutdown");
}

#[tokio::test]
async fn exports_expected_names_and_validity_dates() {
    let pki = pki();
    let day = 86_400;
    let spec = CertSpec::valid_for(&["smtp.example.com", "mail.example.com"]).with_validity(-day, 20 * day);
    let identity = pki.issue(&spec);
    // An intermediate that is not on the path expires first among the presented certificates.
    let stale = pki.root().sub(&AuthoritySpec { not_after: 5 * day, ..AuthoritySpec::named("Stale") });
    let chain = identity.chain().iter().chain([stale.der()]).cloned().collect();
    let spec = ServerSpec::new(identity.with_chain(chain));
    let names = ", expect_names: [smtp.example.com, bücher.example, 192.0.2.1, mail.example.com.]";
    let fixture = ServiceFixture::new(vec![(profiles::ALIAS, vec![spec])], names).await;
    let labels = format!(
        "target=\"{0}\",server_name=\"{0}\",backend=\"{1}\",tls=\"starttls\"",
        profiles::ALIAS,
        fixture.backend(0)
    );
    let series = |metric: &str, more: &str| format!("smtp_tls_{metric}{{{labels}{more}}}");
    let name = |name: &str| series("cert_name_match", &format!(",name=\"{name}\""));
    let answer = fixture.metrics().await;
    check(
        &answer,
        &[
            (name("smtp.example.com"), Some(1.0)),
            (name("mail.example.com"), Some(1.0)),
            (name("xn--bcher-kva.example"), Some(0.0)),
            (name("192.0.2.1"), Some(0.0)),
            (series("cert_ehlo_match", ""), Some(1.0)),
            (series("chain_valid", ""), Some(1.0)),
        ],
    );
    let value = |metric: &str| answer.value(&series(metric, "")).unwrap_or_else(|| panic!("{metric}"));
    let not_after = value("cert_not_after_timestamp_seconds");
    assert_eq!(value("verified_chain_not_after_timestamp_seconds"), not_after);
    assert_eq!(value("cert_not_before_timestamp_seconds"), not_after - 21.0 * 86_400.0);
    let stale = value("chain_not_after_timestamp_seconds") - not_after;
    assert!((-15.1..-14.9).contains(&(stale / 86_400.0)), "{stale}");
    let days = value("cert_expiry_days");
    assert!((19.9..20.0).contains(&days), "{days} days, calculated at the time of the scrape");
}
