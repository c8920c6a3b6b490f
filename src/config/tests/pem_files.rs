//! CA files and client certificates: what counts as a change, and what is used when one becomes invalid.

use std::process::Command;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};

use super::{Site, certificate};
use crate::config::{Config, ErrorKind};

const TEXT: &str = "
trust_stores: {own: {files: [data/ca.pem]}}
targets:
  - {host: a.test, trust: own, client_certificate: {cert: data/client.pem, key: data/client.key}}
";

/// A folder with a config whose PEM files are behind a link, as those of a Secret are.
fn site() -> Site {
    let site = Site::default();
    site.write("config.yaml", TEXT);
    for version in ["one", "two", "mixed"] {
        let (ca, _) = certificate("ca.test", true);
        let (client, key) = certificate("client.test", false);
        site.write(&format!("{version}/ca.pem"), ca);
        site.write(&format!("{version}/client.pem"), client);
        site.write(&format!("{version}/client.key"), key);
    }
    let (_, other_key) = certificate("client.test", false);
    site.write("mixed/ca.pem", "-----BEGIN CERTIFICATE-----\n");
    site.write("mixed/client.key", other_key);
    site.link("data", "one");
    site
}

fn swap(site: &Site, version: &str) {
    site.link("data.new", version);
    std::fs::rename(site.join("data.new"), site.join("data")).expect("a link");
}

/// What is read from the files: a hash of the roots, and the client certificate.
fn content(config: &Config) -> ([u8; 32], Vec<u8>) {
    let certificate = config.targets[0].settings.client_certificate.as_ref().expect("a client certificate");
    (config.trust_stores["own"].id(), certificate.chain[0].to_vec())
}

#[test]
fn an_invalid_file_keeps_its_last_valid_content() {
    let site = site();
    let one = site.config();
    assert!(one.files.are_watched() && !one.files.has_target_files());
    assert_eq!(one.files.look().expect("files"), *one.files.found());

    swap(&site, "mixed");
    assert_ne!(one.files.look().expect("files"), *one.files.found(), "another link");
    let mixed = one.files.load().expect("files").expect("a config");
    assert_eq!(content(&mixed), content(&one));
    let failures: Vec<_> = mixed.files.failures().iter().map(|error| (error.kind(), error.place())).collect();
    let places = ["trust_stores.own.files[0]", "targets[0].client_certificate.key"];
    assert_eq!(failures, places.map(|place| (ErrorKind::File, place)));

    // Without last valid content, it is an error.
    assert_eq!(site.load().expect_err("invalid files").kind(), ErrorKind::File);

    swap(&site, "two");
    let two = mixed.files.load().expect("files").expect("a config");
    assert!(two.files.failures().is_empty());
    let (old, new) = (content(&one), content(&two));
    assert!(old.0 != new.0 && old.1 != new.1);

    std::fs::remove_file(site.join("two/ca.pem")).expect("removed");
    let removed = Config::load_after(&site.join("config.yaml"), &two.files).expect("a config");
    assert_eq!((content(&removed), removed.files.failures().len()), (new, 1));
}

#[test]
fn a_file_that_is_written_in_place_with_its_old_time_has_changed() {
    let site = site();
    let config = site.config();
    let path = site.join("one/ca.pem");
    let time = std::fs::metadata(&path).and_then(|data| data.modified()).expect("a time");
    let text = std::fs::read(&path).expect("a file");
    // The clock of the file system must have advanced.
    let changed = loop {
        std::fs::write(&path, &text).expect("a file");
        std::fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(time)).expect("a time");
        let found = config.files.look().expect("files");
        if found != *config.files.found() {
            break found;
        }
    };
    assert_eq!(changed, config.files.look().expect("files"));
}

#[test]
fn warns_of_client_certificates_that_servers_reject() {
    let check = |edit: fn(&mut CertificateParams), word: Option<&str>| {
        let site = site();
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["client.test".to_owned()]).expect("a name");
        edit(&mut params);
        site.write("one/client.pem", params.self_signed(&key).expect("a certificate").pem());
        site.write("one/client.key", key.serialize_pem());
        // Reported once for all targets with the same files.
        site.write(
            "config.yaml",
            format!("{TEXT}  - {}", TEXT.lines().last().expect("a target").replace("  - {host: a", "{host: b")),
        );
        let warnings = site.config().warnings;
        let expected = word.map(|word| (true, word));
        let found = warnings.first().map(|warning| {
            (
                warning.contains("targets[0].client_certificate.cert"),
                word.filter(|word| warning.contains(word)).unwrap_or(warning),
            )
        });
        assert_eq!((found, warnings.len()), (expected, usize::from(word.is_some())));
    };
    check(|_| {}, None);
    check(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth], None);
    check(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any], Some("client authentication"));
    check(
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
        Some("client authentication"),
    );
    check(|params| params.not_after = date_time_ymd(2020, 1, 2), Some("expired on 2020-01-02"));
    check(|params| params.not_before = date_time_ymd(2090, 1, 2), Some("not valid before 2090-01-02"));
}

#[test]
fn no_path_of_the_configuration_opens_a_fifo() {
    // A read of one would wait forever.
    for file in ["one/ca.pem", "one/client.pem", "one/client.key", "config.yaml"] {
        let site = site();
        let valid = site.config();
        std::fs::remove_file(site.join(file)).expect("removed");
        assert!(Command::new("mkfifo").arg(site.join(file)).status().expect("mkfifo").success());
        let error = site.load().expect_err("a FIFO");
        assert_eq!(error.kind(), ErrorKind::File, "{file}: {error}");
        assert!(error.to_string().contains("not a regular file"), "{file}: {error}");
        if file != "config.yaml" {
            let later = valid.files.load().expect("files").expect("a config");
            assert_eq!((content(&later), later.files.failures().len()), (content(&valid), 1), "{file}");
        }
    }
    // It is not taken for a target file either.
    let site = site();
    site.write("config.yaml", "target_files: ['*.fifo']\n");
    assert!(Command::new("mkfifo").arg(site.join("a.fifo")).status().expect("mkfifo").success());
    assert_eq!(site.config().files.unmatched(), ["*.fifo"]);
}

/// A CA file with a valid root and, after it, what `edit` makes of another one.
#[track_caller]
fn check_bundle(what: &str, edit: impl FnOnce(&str) -> Vec<u8>, expected: Option<usize>) {
    let site = site();
    let (first, second) = (certificate("ca.test", true).0, certificate("other.test", true).0);
    site.write("one/ca.pem", [first.as_bytes(), &edit(&second)].concat());
    match (site.load(), expected) {
        (Ok(config), Some(roots)) => assert_eq!(config.trust_stores["own"].roots().len(), roots, "{what}"),
        (Err(error), None) => {
            assert_eq!((error.kind(), error.place()), (ErrorKind::File, "trust_stores.own.files[0]"), "{what}");
            let line = first.lines().count() + 1;
            assert!(error.to_string().contains(&format!("line {line}")), "{what}: {error}");
        }
        (found, expected) => panic!("{what}: {:?}, expected {expected:?}", found.map(|_| "loaded")),
    }
}

#[test]
fn what_looks_like_pem_is_read_or_reported() {
    let replaced = |from: &'static str, to: &'static str| move |pem: &str| pem.replace(from, to).into_bytes();
    check_bundle("hyphens of a word processor", replaced("-----", "\u{2014}\u{2013}\u{2014}"), None);
    check_bundle("blank of a web page", replaced("BEGIN ", "BEGIN\u{a0}"), None);
    check_bundle("two blanks", replaced("BEGIN ", "BEGIN  "), None);
    check_bundle("a tab", replaced("BEGIN ", "BEGIN\t"), None);
    check_bundle("no blank", replaced("BEGIN ", "BEGIN"), None);
    check_bundle(
        "blanks within the hyphens",
        replaced("-----BEGIN CERTIFICATE-----", "----- BEGIN CERTIFICATE -----"),
        None,
    );
    check_bundle("four hyphens", replaced("-----", "----"), None);
    check_bundle("lower case", |pem| pem.to_lowercase().into_bytes(), None);
    check_bundle("another case", replaced("CERTIFICATE", "Certificate"), None);
    for label in
        ["CERTIFICATES", "CERTIFICATE ", "X.509 CERTIFICATE", "CERTIFICATE CHAIN", "PKCS #7 SIGNED DATA", "CMS"]
    {
        check_bundle(label, |pem| pem.replace("CERTIFICATE", label).into_bytes(), None);
    }
    check_bundle(
        "no markers",
        |pem| pem.lines().filter(|line| !line.contains('-')).collect::<Vec<_>>().join("\n").into(),
        None,
    );
    check_bundle("UTF-16", |pem| pem.encode_utf16().flat_map(u16::to_le_bytes).collect(), None);

    check_bundle("a byte order mark", |pem| format!("\u{feff}{pem}").into_bytes(), Some(2));
    check_bundle("a comment", |pem| pem.lines().map(|line| format!("# {line}\n")).collect::<String>().into(), Some(1));
    let digest = "d7a7a0fb5d7e2731d771e9484ebcdef71d5f0c3e0a2948782bc83ee0ea699ef4";
    let text = format!("A root -- the END\n{}\n{digest}\nSHA1 Fingerprint=AA:BB\n", "=".repeat(70));
    check_bundle("text", |pem| format!("{text}{pem}").into_bytes(), Some(2));
    for label in ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST", "X509 CRL", "EC PARAMETERS", "PRIVATE KEY"] {
        check_bundle(label, |pem| pem.replace("CERTIFICATE", label).into_bytes(), Some(1));
    }
}

#[test]
fn names_the_place_of_the_certificate_that_belongs_to_the_key() {
    let site = site();
    let text = |name: &str| std::fs::read_to_string(site.join(name)).expect("a file");
    site.write("one/client.pem", format!("{}{}", text("one/ca.pem"), text("one/client.pem")));
    let error = site.load().expect_err("the leaf is not first");
    assert_eq!(error.place(), "targets[0].client_certificate.cert");
    assert!(error.to_string().contains("certificate 2"), "{error}");
}
