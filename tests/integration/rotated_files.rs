//! CA files and client certificates that are replaced while the service runs, as Kubernetes does it for a Secret.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use smtp_fleet::{CertSpec, Fleet, Issuer, Pki, Purpose, TlsVersions, profiles};
use smtp_tls_exporter::config::Config;

use crate::service_fixture::{metrics, service};
use crate::support::{Environment, until};

/// Writes a version of the Secret: a CA file, and a client certificate that expires in `days`.
fn write(folder: &Path, root: &str, pki: &Pki, issuer: Issuer, days: i64) {
    let spec = CertSpec::valid_for(&["probe.example.net"]).with_purpose(Purpose::Client).with_issuer(issuer);
    let identity = pki.issue(&spec.with_validity(-3_600, days * 86_400));
    fs::create_dir(folder).expect("a folder");
    fs::write(folder.join("ca.pem"), root).expect("a file");
    fs::write(folder.join("tls.crt"), identity.chain_pem()).expect("a file");
    fs::write(folder.join("tls.key"), identity.key_pem()).expect("a file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_secret_changes_what_is_presented_and_trusted() {
    let pki = Pki::new();
    let fleet = Fleet::start(vec![profiles::client_certificate(&pki, TlsVersions::Tls13)]).await.expect("a fleet");
    let env = Environment::new(&pki);
    let secret = env.folder.path().join("secret");
    fs::create_dir(&secret).expect("a folder");
    write(&secret.join("..1"), &pki.untrusted_root_pem(), &pki, Issuer::Untrusted, 10);
    write(&secret.join("..2"), &pki.root_pem(), &pki, Issuer::Intermediate, 20);
    write(&secret.join("..3"), "-----BEGIN CERTIFICATE-----\n", &pki, Issuer::Intermediate, 30);
    // The files are links into a folder that is itself a link, which alone is replaced.
    let swap = |version: &str| {
        symlink(version, secret.join("..data_tmp")).expect("a link");
        fs::rename(secret.join("..data_tmp"), secret.join("..data")).expect("a link");
    };
    swap("..1");
    for file in ["ca.pem", "tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(file), secret.join(file)).expect("a link");
    }
    let server = fleet.addrs()[0];
    let main = env.folder.path().join("config.yaml");
    let text = format!(
        "trust_stores: {{test: {{files: [secret/ca.pem]}}}}\n\
         targets: [{{name: a, host: {}, addresses: [{}], port: {}, trust: test, interval: 1h,\
         client_certificate: {{cert: secret/tls.crt, key: secret/tls.key}}}}]\n",
        profiles::ALIAS,
        server.ip(),
        server.port()
    );
    fs::write(&main, text).expect("a config");
    let config = Config::load(&main).unwrap_or_else(|error| panic!("{error}"));
    let (service, address) = service(config, Some(main)).await;
    let running = service.start_watching(Duration::from_millis(10)).expect("a service");

    let backend = format!("{{target=\"a\",server_name=\"{}\",backend=\"{server}\",tls=\"starttls\"}}", profiles::ALIAS);
    let state = async || {
        let answer = metrics(address).await;
        let value = |series: &str| answer.value(series);
        let expires = value("smtp_tls_client_certificate_not_after_timestamp_seconds{target=\"a\"}")?;
        Some((
            value(&format!("smtp_tls_probe_success{backend}"))?,
            value(&format!("smtp_tls_chain_valid{backend}"))?,
            (expires / 86_400.0).floor(),
            value("smtp_tls_exporter_config_last_reload_successful")?,
        ))
    };
    let wait = async |expected: (f64, f64, f64, f64)| until(async || (state().await? == expected).then_some(())).await;
    let day = |days: f64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time");
        (now.as_secs_f64() / 86_400.0 + days).floor()
    };
    wait((0.0, 0.0, day(10.0), 1.0)).await;
    swap("..2");
    wait((1.0, 1.0, day(20.0), 1.0)).await;
    // The client certificate is valid, the CA file is not.
    swap("..3");
    wait((1.0, 1.0, day(30.0), 0.0)).await;
    swap("..2");
    wait((1.0, 1.0, day(20.0), 1.0)).await;
    running.until(async {}).await.expect("a clean shutdown");
}
