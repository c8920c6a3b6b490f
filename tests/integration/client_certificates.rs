//! Servers that request a client certificate: what an alert after it means, and who has to act, from the server to the
//! metrics, the page, JSON and `check`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::SignatureScheme;
use serde_json::{Value, json};
use smtp_fleet::{CertSpec, Fleet, Issuer, Pki, Purpose, ServerSpec, Step, TlsVersions, profiles};
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::probe::Prober;
use smtp_tls_exporter::reason::{ClientAuth, ProbeReason as Why, Stage};
use smtp_tls_exporter::target::{Backend, Endpoint, ProbeSettings, ServerName, TlsMode};
use smtp_tls_exporter::trust::client_certificate;

use crate::service_fixture::{metrics, rounds, service};
use crate::support::{Environment, request, settings};

const DAY: i64 = 86_400;

fn client() -> CertSpec {
    CertSpec::valid_for(&["probe.example.net"]).with_purpose(Purpose::Client)
}

/// Writes a client certificate and its key as `NAME.pem` and `NAME.key`.
fn write(folder: &Path, name: &str, pki: &Pki, spec: &CertSpec) {
    let identity = pki.issue(spec);
    fs::write(folder.join(format!("{name}.pem")), identity.chain_pem()).expect("a file");
    fs::write(folder.join(format!("{name}.key")), identity.key_pem()).expect("a file");
}

/// A server that accepts only signatures of this kind from clients.
fn only(pki: &Pki, versions: TlsVersions, scheme: SignatureScheme) -> ServerSpec {
    ServerSpec { client_schemes: vec![scheme], ..profiles::client_certificate(pki, versions) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_means_what_was_sent_before_it() {
    use ClientAuth::{NoCommonScheme, NotConfigured, Sent, SentUnlisted};
    use Stage::{Handshake, Session};
    use Step::{ClientCertificate as AfterCertificate, Tls as AfterFinished};
    use TlsVersions::{Tls12, Tls13};
    use Why::{ClientCertificateRejected as Rejected, ClientCertificateRequired as Required, TlsAlert};
    let pki = Pki::new();
    let env = Environment::new(&pki);
    let folder = env.folder.path();
    write(folder, "own", &pki, &client());
    write(folder, "foreign", &pki, &client().with_issuer(Issuer::Untrusted));
    let load = |name: &str| {
        let [cert, key] = ["pem", "key"].map(|end| folder.join(format!("{name}.{end}")));
        Some(Arc::new(client_certificate::load(&cert, &key).expect("a client certificate")))
    };
    let mut rows = Vec::new();
    let mut row = |spec, own: Option<&str>, stage, reason, answer| {
        rows.push((spec, own.map(str::to_owned), stage, reason, answer));
    };
    let rejects = |versions, at, alert| profiles::rejects_client_certificate(&pki, versions, at, alert);
    for (versions, at, stage) in [
        (Tls12, AfterCertificate, Handshake),
        (Tls12, AfterFinished, Session),
        (Tls13, AfterCertificate, Session),
        (Tls13, AfterFinished, Session),
    ] {
        for alert in [42, 43, 44, 45, 46, 48, 49, 51] {
            row(rejects(versions, at, alert), Some("own"), stage, Rejected, Some(Sent));
        }
        row(rejects(versions, at, 48), Some("foreign"), stage, Rejected, Some(SentUnlisted));
        // The alert before Finished in TLS 1.3 is the one of the TLS library.
        row(rejects(versions, at, 116), None, stage, Required, Some(NotConfigured));
    }
    // Alerts that are about something else, or that mean something else in the other version.
    row(rejects(Tls12, AfterCertificate, 40), None, Handshake, Required, Some(NotConfigured));
    row(rejects(Tls12, AfterCertificate, 42), None, Handshake, Required, Some(NotConfigured));
    row(rejects(Tls12, AfterCertificate, 40), Some("own"), Handshake, Rejected, Some(Sent));
    row(rejects(Tls12, AfterCertificate, 116), Some("own"), Handshake, Rejected, Some(Sent));
    row(rejects(Tls12, AfterCertificate, 80), Some("own"), Handshake, TlsAlert, Some(Sent));
    row(rejects(Tls12, AfterCertificate, 48), None, Handshake, TlsAlert, Some(NotConfigured));
    row(rejects(Tls13, AfterFinished, 80), Some("own"), Session, TlsAlert, Some(Sent));
    row(rejects(Tls13, AfterFinished, 45), None, Session, TlsAlert, Some(NotConfigured));
    row(rejects(Tls13, AfterFinished, 40), None, Session, TlsAlert, Some(NotConfigured));
    let without_request = |versions, alert| {
        let script = smtp_fleet::Fault::terminates(AfterFinished, smtp_fleet::Termination::Alert(alert));
        profiles::versions(&pki, versions).with_fault(script)
    };
    row(without_request(Tls13, 45), Some("own"), Session, TlsAlert, None);
    row(without_request(Tls12, 48), Some("own"), Session, TlsAlert, None);
    // A server without a common signature scheme gets an empty Certificate.
    for (versions, stage) in [(Tls12, Handshake), (Tls13, Session)] {
        let spec = only(&pki, versions, SignatureScheme::ECDSA_NISTP384_SHA384);
        row(spec, Some("own"), stage, Required, Some(NoCommonScheme));
    }

    let fleet = Fleet::start(rows.iter().map(|(spec, ..)| spec.clone()).collect()).await.expect("a fleet");
    let prober = Prober::new().expect("a prober");
    for ((spec, own, stage, reason, answer), address) in rows.into_iter().zip(fleet.addrs()) {
        let case = format!("{own:?} to {:?} {:?}", spec.versions, spec.script.fault);
        let server_name = ServerName::parse(profiles::ALIAS).expect("a name");
        let endpoint = Endpoint { server_name, port: address.port(), tls: TlsMode::StartTls };
        let backend = Backend::new(Arc::new(endpoint), address.ip());
        let settings =
            ProbeSettings { client_certificate: own.as_deref().and_then(load), ..settings(Duration::from_secs(20)) };
        let seen = prober.probe(&backend, &settings, SystemTime::now()).await.expect("no local failure");
        let failure = seen.outcome.expect_err("a failure");
        assert_eq!(failure.reason, reason, "{case}: {failure:?}");
        // In TLS 1.2, an alert after the server's Finished can arrive together with it, before the handshake has ended.
        let arrives_together = stage == Session && spec.versions == Tls12 && failure.stage == Handshake;
        assert!(failure.stage == stage || arrives_together, "{case}: {failure:?}");
        assert_eq!(seen.client_auth, answer, "{case}");
        assert!(seen.presented.is_some(), "{case}: the server's certificate is kept");
        assert_eq!(failure.detail.contains("signature scheme"), answer == Some(NoCommonScheme), "{case}: {failure:?}");
    }
}

/// A target, and who has to act.
struct Case {
    name: &'static str,
    spec: ServerSpec,
    /// The name of the files of the client certificate.
    own: &'static str,
    reason: &'static str,
    client_certificate: &'static str,
    kind: &'static str,
    /// Whether something is requested of the server's operator.
    request: bool,
    mentions: &'static [&'static str],
}

fn cases(pki: &Pki) -> Vec<Case> {
    use TlsVersions::{Tls12, Tls13};
    let rejects = |versions, alert| profiles::rejects_client_certificate(pki, versions, Step::ClientCertificate, alert);
    let replies = |text: &str| {
        let reply = format!("421 4.7.1 mail.example.com Error: {text}");
        profiles::replies_to_client_certificate(pki, Tls13, &reply)
    };
    let own_fault = |name, spec, own, mentions| Case {
        name,
        spec,
        own,
        reason: "client_certificate_rejected",
        client_certificate: "sent",
        kind: "client_certificate",
        request: false,
        mentions,
    };
    let sound = |name, spec, own, mentions| Case { request: true, ..own_fault(name, spec, own, mentions) };
    vec![
        own_fault(
            "expired-12",
            rejects(Tls12, 45),
            "expired",
            &["Renew", "expired.pem", "expired on", "certificate_expired (45)"],
        ),
        own_fault("expired-13", rejects(Tls13, 45), "expired", &["expired.pem", "expired on"]),
        own_fault("early-13", rejects(Tls13, 45), "early", &["early.pem", "not valid before", "clock"]),
        own_fault("purpose-12", rejects(Tls12, 43), "purpose", &["purpose.pem", "clientAuth"]),
        own_fault("usage-13", rejects(Tls13, 43), "usage", &["usage.pem", "digitalSignature"]),
        own_fault("postfix-13", replies("Client certificate not trusted"), "expired", &["expired.pem", "421 4.7.1"]),
        sound("postfix-trust-13", replies("Client certificate not trusted"), "sound", &["421 4.7.1", "not wanted"]),
        Case {
            reason: "client_certificate_required",
            client_certificate: "not_configured",
            kind: "handshake",
            ..sound(
                "postfix-none-13",
                replies("No client certificate presented"),
                "",
                &["client certificate is required"],
            )
        },
        // The alert does not name the fault.
        own_fault("unspecific-13", rejects(Tls13, 42), "expired", &["expired.pem", "expired on"]),
        Case {
            reason: "tls_alert",
            ..own_fault("internal-12", rejects(Tls12, 80), "expired", &["expired.pem", "expired on"])
        },
        Case {
            client_certificate: "no_common_scheme",
            reason: "client_certificate_required",
            ..own_fault(
                "scheme-13",
                only(pki, Tls13, SignatureScheme::ECDSA_NISTP384_SHA384),
                "sound",
                &["sound.pem", "signature scheme", "not sent"],
            )
        },
        sound("unknown-12", rejects(Tls12, 48), "sound", &["unknown_ca (48)", "issuer", "trusted", "not wanted"]),
        sound("denied-13", rejects(Tls13, 49), "sound", &["access_denied (49)", "CN=probe.example.net"]),
        Case {
            client_certificate: "sent_unlisted",
            ..sound("unlisted-13", rejects(Tls13, 48), "foreign", &["not among the CAs that the server lists"])
        },
        Case {
            reason: "client_certificate_required",
            client_certificate: "not_configured",
            kind: "handshake",
            ..sound("none-12", rejects(Tls12, 40), "", &["client certificate is required"])
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_our_certificate_is_not_reported_as_the_servers() {
    let pki = Pki::new();
    let env = Environment::new(&pki);
    let folder = env.folder.path();
    for (name, spec) in [
        ("sound", client()),
        ("expired", client().with_validity(-90 * DAY, -DAY)),
        ("early", client().with_validity(DAY, 90 * DAY)),
        ("purpose", client().with_purpose(Purpose::Server)),
        ("usage", client().with_signing(false)),
        ("foreign", client().with_issuer(Issuer::Untrusted)),
    ] {
        write(folder, name, &pki, &spec);
    }
    let cases = cases(&pki);
    let fleet = Fleet::start(cases.iter().map(|case| case.spec.clone()).collect()).await.expect("a fleet");
    let targets: Vec<String> = cases
        .iter()
        .zip(fleet.addrs())
        .map(|(case, address)| {
            let own = match case.own {
                "" => String::new(),
                own => format!(", client_certificate: {{cert: {own}.pem, key: {own}.key}}"),
            };
            format!(
                "{{name: {}, host: {}, port: {}, addresses: [{}]{own}}}",
                case.name,
                profiles::ALIAS,
                address.port(),
                address.ip()
            )
        })
        .collect();
    let file = folder.join("config.yaml");
    fs::write(&file, Environment::yaml("interval: 1h", "", &targets)).expect("a file");

    let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
    let (service, address) = service(config, None).await;
    let running = service.start().expect("a service");
    rounds(&running, cases.iter().map(|case| case.name)).await;
    let scraped = metrics(address).await;
    let document = request(address, "GET", "/api/v1/targets", "").await;
    let document: Value = serde_json::from_str(document.text()).expect("JSON");
    let check = |output: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"));
        command.args(["check", "--config.file=config.yaml", output]).current_dir(folder);
        let found = tokio::task::block_in_place(|| command.output().expect("it runs"));
        assert_eq!(found.status.code(), Some(1), "{output}");
        String::from_utf8(found.stdout).expect("text")
    };
    let checked: Value = serde_json::from_str(&check("--output=json")).expect("JSON");
    let table = check("--output=table");
    let table = table.split_whitespace().collect::<Vec<_>>().join(" ");
    for (case, server) in cases.iter().zip(fleet.addrs()) {
        let name = case.name;
        let labels =
            format!("target=\"{name}\",server_name=\"{}\",backend=\"{server}\",tls=\"starttls\"", profiles::ALIAS);
        // Only alerts of TLS 1.2 arrive in the handshake.
        let stage = if name.ends_with("12") { "handshake" } else { "session" };
        let series = format!("smtp_tls_probe_failure_info{{{labels},stage=\"{stage}\",reason=\"{}\"}}", case.reason);
        assert_eq!(scraped.value(&series), Some(1.0), "{series}");
        let page = request(address, "GET", &format!("/targets/{name}"), "").await;
        for (source, document) in [("JSON", &document), ("check", &checked)] {
            let targets = document["targets"].as_array().expect("targets");
            let target = targets.iter().find(|target| target["name"] == name).unwrap_or_else(|| panic!("{name}"));
            let probe = &target["endpoints"][0]["backends"][0]["probe"];
            assert_eq!(probe["reason"], case.reason, "{name} in {source}: {probe:#}");
            assert_eq!(probe["client_certificate"], case.client_certificate, "{name} in {source}: {probe:#}");
            let advice = target["advice"].as_array().expect("advice");
            let of_kind: Vec<&Value> = advice.iter().filter(|advice| advice["kind"] == case.kind).collect();
            let [found] = of_kind.as_slice() else { panic!("{name} in {source}: {advice:#?}") };
            assert_eq!(found["request"].is_string(), case.request, "{name} in {source}: {found:#}");
            assert_eq!(found["severity"], json!("warning"), "{name} in {source}");
            // Nothing else asks the server's operator for something.
            let requests = advice.iter().filter(|advice| advice["request"].is_string()).count();
            assert_eq!(requests, usize::from(case.request), "{name} in {source}: {advice:#?}");
            let text = found["text"].as_str().expect("a text");
            for part in case.mentions {
                assert!(text.contains(part), "{name} in {source}: {part} in {text}");
            }
            if source == "check" {
                let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(table.contains(&words), "{words} in\n{table}");
            }
        }
        assert_eq!(page.status, 200, "{name}: {}", page.head);
        for part in case.mentions.iter().take(1) {
            assert!(page.text().contains(part), "{name}: {part} in {}", page.text());
        }
        assert_eq!(page.text().contains("Request to send to the server"), case.request, "{name}: {}", page.text());
    }
    running.until(async {}).await.expect("a clean shutdown");
}
