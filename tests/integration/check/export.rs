//! `--export` and `--show-certs`: presented certificates as files and in full.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

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
    fs::write(env.path("other"), "").expect("a file");
    let mode = |path: &str| fs::metadata(env.path(path)).expect("a file").permissions().mode();
    assert_eq!(mode(&format!("out/put/{one}")), mode("other"), "the permissions follow the umask");

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

/// A run whose files cannot be written leaves nothing that gets in the way of the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_leaves_no_files() {
    let env = CheckEnvironment::new(|pki| vec![profiles::good(pki), profiles::good(pki)]).await;
    env.dns.set_addresses(profiles::ALIAS, &env.fleet.ips());
    let args = ["--config.file=config.yaml", &env.at(profiles::ALIAS), "--export=out"];
    fs::create_dir(env.path("out")).expect("a folder");
    // What a run that was killed leaves.
    fs::write(env.path("out/.smtp-tls-exporter-aB3dE6"), "").expect("a file");
    for force in [&[][..], &["--force"]] {
        // Like a full disk: no file may become larger than one KiB (EFBIG, because SIGXFSZ is ignored).
        let mut shell = Command::new("bash");
        shell.args(["-c", r#"trap '' XFSZ; ulimit -f 1; exec "$0" "$@""#]);
        let command = env.command(&[&args[..], force].concat());
        shell.arg(command.get_program()).args(command.get_args()).current_dir(env.path("")).stdin(Stdio::null());
        let output = tokio::task::block_in_place(|| shell.output().expect("it runs"));
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("out/") && error.contains(".pem: "), "{error}");
        assert_eq!(files(&env, "out").len(), 1, "{force:?}");
    }
    let output = env.run(&args[1..]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(files(&env, "out").len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_without_write_access_is_an_error() {
    let env = CheckEnvironment::new(|pki| vec![profiles::good(pki)]).await;
    env.dns.set_addresses(profiles::ALIAS, &env.fleet.ips());
    // No user can create files there, not even root.
    for force in [&[][..], &["--force"]] {
        let output = env.run(&[&[&*env.at(profiles::ALIAS), "--export=/proc/self"], force].concat());
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("/proc/self/") && error.contains(".pem: "), "{error}");
        assert_eq!((error.matches("/proc/self/").count(), error.matches(".smtp-tls").count()), (1, 0), "{error}");
        assert!(text(&output.stdout).contains(profiles::ALIAS), "the result is printed all the same");
    }
}

/// Of runs at the same time, one writes each file, and every file is complete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_at_the_same_time_write_whole_files() {
    let env = CheckEnvironment::new(|pki| vec![profiles::good(pki)]).await;
    env.dns.set_addresses(profiles::ALIAS, &env.fleet.ips());
    let target = env.at(profiles::ALIAS);
    for force in [&[][..], &["--force"]] {
        let run = || {
            let args = [&["--config.file=config.yaml", &target, "--export=out"], force].concat();
            env.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts")
        };
        let runs: Vec<_> = (0..4).map(|_| run()).collect();
        let ended =
            tokio::task::block_in_place(|| runs.into_iter().map(|run| run.wait_with_output().expect("it ends")));
        let mut codes = Vec::new();
        for output in ended {
            let error = text(&output.stderr);
            assert!(output.status.success() || error.contains(".pem"), "{error}");
            codes.push(output.status.code());
        }
        let succeeded = codes.iter().filter(|code| **code == Some(0)).count();
        assert_eq!(succeeded, if force.is_empty() { 1 } else { 4 }, "{codes:?}");
        let found = files(&env, "out");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found.values().all(|pem| pem.ends_with("-----END CERTIFICATE-----\n")), "{found:?}");
    }
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
