//! `--export` and `--show-certs`: presented certificates as files and in full.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;

use smtp_fleet::{CertSpec, ServerSpec, profiles};

use super::{CheckEnvironment, text};

/// The names and contents of the files in the folder `name`.
fn files(env: &CheckEnvironment, name: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(env.path(name)).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries
        .map(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
            (name, fs::read_to_string(&path).unwrap_or_default())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exports_the_presented_chains_and_overwrites_only_by_force() {
    let env = CheckEnvironment::new(|_| vec![ServerSpec::default()]).await;
    let identity = env.pki.issue(&CertSpec::valid_for(&[profiles::ALIAS]));
    env.fleet.servers()[0].replace(ServerSpec::new(identity.clone()));
    let (ip, port) = (env.fleet.ips()[0], env.fleet.port());
    env.config(&[
        format!("{{host: {}, port: {port}, addresses: [{ip}]}}", profiles::ALIAS),
        format!("{{name: ../../odd:name, host: {}, port: {port}, addresses: [{ip}]}}", profiles::ALIAS),
    ]);
    let (one, two) =
        (format!("{}_{ip}_{port}.pem", profiles::ALIAS), format!("_.-..-odd-name_{}_{ip}_{port}.pem", profiles::ALIAS));
    let output = env.run(&["--export=out/put"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let message = text(&output.stderr);
    assert!(message.contains("out/put") && message.contains('2'), "{message}");
    let chain = identity.chain_pem().replace("\r\n", "\n");
    assert_eq!(files(&env, "out/put"), BTreeMap::from([(one.clone(), chain.clone()), (two.clone(), chain.clone())]));

    // Existing files and links, dangling ones included, are kept, and no other file is written.
    fs::remove_file(env.path("out/put").join(&one)).expect("a file");
    for is_link in [false, true] {
        let path = env.path("out/put").join(&two);
        fs::remove_file(&path).expect("a file");
        if is_link {
            symlink(env.path("elsewhere.pem"), &path).expect("a link");
        } else {
            fs::write(&path, "mine").expect("a file");
        }
        let output = env.run(&["--export=out/put"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stdout).contains(profiles::ALIAS), "the result is printed all the same");
        let error = text(&output.stderr);
        assert!(error.contains(&format!("out/put/{two}")) && error.contains("--force"), "{error}");
        assert_eq!(files(&env, "out/put").len(), 1);
        assert!(!env.path("elsewhere.pem").exists());
    }
    let output = env.run(&["--export=out/put", "--force"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(files(&env, "out/put"), BTreeMap::from([(one, chain.clone()), (two.clone(), chain)]));
    assert!(!env.path("elsewhere.pem").exists(), "a link is replaced, not followed");
    let kind = fs::symlink_metadata(env.path("out/put").join(two)).expect("a file").file_type();
    assert!(kind.is_file());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn show_certs_prints_every_certificate_once() {
    let env = CheckEnvironment::classic().await;
    let output = env.run(&[&env.at(profiles::ALIAS), "--show-certs"]);
    let found = text(&output.stdout);
    let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let certificate = smtp_tls_exporter::verdict::Certificate::new(env.pki.intermediate().der().clone());
    for (part, count) in
        [(hex(&certificate.thumbprint()), 3), (hex(&certificate.fingerprint()), 3), ("CN=Fleet Root\n".to_owned(), 3)]
    {
        assert_eq!(found.matches(&part).count(), count, "{part} in\n{found}");
    }
}
