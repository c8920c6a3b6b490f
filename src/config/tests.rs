//! The config from outside: what is rejected, what is accepted, and the example.

mod accepted;
mod errors;
mod example;
mod pem_files;
mod probe;
mod shards;
mod target_files;
mod target_kinds;
mod web_config;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tempfile::TempDir;

use super::{Config, ConfigError, Files};
use crate::target::ServerName;

/// The config of this text; `PEM` stands for the folder of [`PemFiles`].
#[track_caller]
fn accepted(text: &str) -> Config {
    let text = PemFiles::shared().fill(text);
    Config::parse(&text, Path::new("config.yaml")).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The config without the text that it was read from.
fn without_files(config: &Config) -> Config {
    Config { files: Files::default(), ..config.clone() }
}

/// A config with one target that takes its other targets from files.
const MAIN: &str = "defaults: {trust: mozilla}\ntarget_files: ['*.sd']\ntargets: [{host: a.test}]\n";

fn name(text: &str) -> ServerName {
    ServerName::parse(text).expect("a name")
}

/// A folder with the PEM files that configs name.
struct PemFiles(Site);

impl PemFiles {
    fn shared() -> &'static Self {
        static FILES: OnceLock<PemFiles> = OnceLock::new();
        FILES.get_or_init(Self::new)
    }

    fn new() -> Self {
        let site = Site::default();
        let (ca, ca_key) = certificate("ca.test", true);
        let (other, _) = certificate("other.test", true);
        let (client, client_key) = certificate("client.test", false);
        site.write("ca.pem", &ca);
        site.write("ca.key", &ca_key);
        site.write("two.pem", format!("a comment\n{ca}\n{other}"));
        site.write("client.pem", &client);
        site.write("client.key", &client_key);
        let encrypted = client_key.replace("PRIVATE", "ENCRYPTED PRIVATE");
        site.write("encrypted.key", format!("a comment\n{encrypted}"));
        site.write("both.key", format!("{encrypted}{client_key}"));
        let header = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n";
        site.write("legacy.key", format!("{header}AAAA\n-----END RSA PRIVATE KEY-----\n"));
        site.write("empty.pem", "\n");
        site.write("garbage.pem", "garbage\n");
        site.write("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
        site.write("base64.pem", "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n");
        site.write("joined.pem", format!("{}{other}", ca.trim_end()));
        site.write("unclosed.pem", format!("{}{other}", ca.replace("-----END CERTIFICATE-----\n", "")));
        site.write("indented.pem", format!("{ca}{}", other.replace("-----BEGIN", " -----BEGIN")));
        site.write("trusted.pem", format!("{ca}{}", other.replace(" CERTIFICATE-", " TRUSTED CERTIFICATE-")));
        site.write("short.pem", format!("{ca}----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
        let mixed = format!("\u{feff}subject=CN = ca -- END of text\n{ca_key}{ca}\nissuer\n\n{other}");
        site.write("mixed.pem", mixed.replace('\n', "\r\n"));
        site.write("no-root.pem", format!("{ca}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
        site.write("no-certificate.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        site.write("no-key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
        Self(site)
    }

    fn path(&self) -> &str {
        self.0.path()
    }

    /// `text` with this folder in place of `PEM`.
    fn fill(&self, text: &str) -> String {
        text.replace("PEM", self.path())
    }
}

/// A folder with a `config.yaml` and the files beside it.
struct Site(TempDir);

impl Default for Site {
    fn default() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }
}

impl Site {
    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    fn link(&self, name: &str, to: &str) {
        symlink(to, self.join(name)).expect("a link");
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn path(&self) -> &str {
        self.0.path().to_str().expect("a path in UTF-8")
    }

    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.join("config.yaml"))
    }

    #[track_caller]
    fn config(&self) -> Config {
        self.load().unwrap_or_else(|error| panic!("{error}"))
    }
}

/// A self-signed certificate and its key, as PEM.
fn certificate(name: &str, is_ca: bool) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
    params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::NoCa };
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}
