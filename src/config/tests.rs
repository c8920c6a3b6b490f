//! The config from outside: what is refused, what is accepted, and the example.

mod accepted;
mod errors;
mod example;
mod probe;
mod target_files;
mod target_kinds;

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use super::{Config, ConfigError};
use crate::target::ServerName;

/// Parses `text` as the file `config.yaml`.
fn config(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("config.yaml"))
}

/// The config of this text, with `DIR` for a folder of test files.
#[track_caller]
fn accepted(text: &str) -> Config {
    config(&Folder::shared().fill(text)).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn name(text: &str) -> ServerName {
    ServerName::parse(text).expect("a name")
}

/// A folder with the files that configs name.
struct Folder(tempfile::TempDir);

impl Folder {
    fn shared() -> &'static Self {
        static FOLDER: OnceLock<Folder> = OnceLock::new();
        FOLDER.get_or_init(Self::new)
    }

    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        let (ca, ca_key) = certificate("ca.test", IsCa::Ca(BasicConstraints::Unconstrained));
        let (other, _) = certificate("other.test", IsCa::Ca(BasicConstraints::Unconstrained));
        let (client, client_key) = certificate("client.test", IsCa::NoCa);
        folder.write("ca.pem", &ca);
        folder.write("ca.key", &ca_key);
        folder.write("two.pem", &format!("a comment\n{ca}\n{other}"));
        folder.write("client.pem", &client);
        folder.write("client.key", &client_key);
        folder.write("empty.pem", "\n");
        folder.write("garbage.pem", "garbage\n");
        folder.write("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
        folder.write("base64.pem", "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n");
        folder.write("no-root.pem", &format!("{ca}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
        folder.write("no-certificate.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        folder.write("no-key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
        folder
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).expect("a file");
    }

    fn path(&self) -> &str {
        self.0.path().to_str().expect("a path in UTF-8")
    }

    /// `text` with this folder in place of `DIR`.
    fn fill(&self, text: &str) -> String {
        text.replace("DIR", self.path())
    }
}

/// A self-signed certificate and its key, as PEM.
fn certificate(name: &str, is_ca: IsCa) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
    params.is_ca = is_ca;
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}
