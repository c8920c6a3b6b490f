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
    check(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any], None);
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
