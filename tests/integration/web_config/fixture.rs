//! A service with a web configuration, and clients.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, ServerName};
use smtp_fleet::{CertSpec, Identity, Issuer, Pki, Purpose};
use smtp_tls_exporter::config::Config;
use smtp_tls_exporter::service::{Notifier, Running, Service, WebSettings};
use smtp_tls_exporter::web;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::service_fixture::pki;

/// A service whose files are in a folder: `server.pem` with its key for `localhost`, and `ca.pem`, which issues client
/// certificates.
pub(super) struct WebFixture {
    pub(super) folder: TempDir,
    pub(super) address: SocketAddr,
    _running: Running,
}

/// The keys of TLS, with `more`.
pub(super) fn tls(more: &str) -> String {
    format!("tls_server_config: {{cert_file: server.pem, key_file: server.key, {more}}}\n")
}

pub(super) fn write_identity(folder: &Path, name: &str, identity: &Identity) {
    std::fs::write(folder.join(format!("{name}.pem")), identity.chain_pem()).expect("a file");
    std::fs::write(folder.join(format!("{name}.key")), identity.key_pem()).expect("a file");
}

/// Replaces a file at once.
pub(super) fn replace(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    std::fs::write(folder.join("new"), text).expect("a file");
    std::fs::rename(folder.join("new"), folder.join(name)).expect("a file");
}

impl WebFixture {
    pub(super) async fn start(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write_identity(folder.path(), "server", &pki().issue(&CertSpec::valid_for(&["localhost"])));
        std::fs::write(folder.path().join("ca.pem"), pki().root_pem()).expect("a file");
        Self::start_in(folder, text).await
    }

    pub(super) async fn start_in(folder: TempDir, text: &str) -> Self {
        let [main, web_file] = ["config.yaml", "web.yaml"].map(|name| folder.path().join(name));
        std::fs::write(&main, "targets: [{host: 127.0.0.1, port: 1, trust: mozilla}]").expect("a file");
        std::fs::write(&web_file, text).expect("a file");
        let web_config = WebSettings::load(web_file).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let listeners = web::bind(&"127.0.0.1:0".parse().expect("an address")).await.expect("a listener");
        let address = listeners[0].local_addr().expect("an address");
        let service = Service {
            config: Config::load(&main).expect("a config"),
            config_file: Some(main),
            hangup: None,
            auto_reload: None,
            listeners,
            web: web::Options { enable_lifecycle: true, ..web::Options::default() },
            web_config: Some(web_config),
            notifier: Notifier::default(),
        };
        let running = service.start_watching(Duration::from_millis(20)).expect("a service");
        Self { folder, address, _running: running }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A connection with a TLS handshake.
    pub(super) async fn connect(&self, client: &Client) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(client.config())).connect(name, stream).await
    }

    /// The response to a request for `path`; an error if the connection ends before it.
    pub(super) async fn get(&self, client: &Client, path: &str, fields: &str) -> std::io::Result<String> {
        let mut stream = self.connect(client).await?;
        exchange(&mut stream, "GET", path, fields).await
    }
}

/// The response to one request.
pub(super) async fn exchange(
    stream: &mut TlsStream<TcpStream>,
    method: &str,
    path: &str,
    fields: &str,
) -> std::io::Result<String> {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await?;
    match String::from_utf8(response).expect("text") {
        response if response.is_empty() => Err(std::io::ErrorKind::UnexpectedEof.into()),
        response => Ok(response),
    }
}

/// The settings of a client, which trusts the root of the PKI.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) identity: Option<Identity>,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    pub(super) suites: Vec<rustls::CipherSuite>,
    pub(super) groups: Vec<rustls::NamedGroup>,
    pub(super) protocols: Vec<&'static str>,
}

impl Default for Client {
    fn default() -> Self {
        let versions = vec![&rustls::version::TLS13, &rustls::version::TLS12];
        Self { identity: None, versions, suites: vec![], groups: vec![], protocols: vec![] }
    }
}

impl Client {
    pub(super) fn with(identity: Identity) -> Self {
        Self { identity: Some(identity), ..Self::default() }
    }

    fn config(&self) -> ClientConfig {
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| self.suites.is_empty() || self.suites.contains(&suite.suite()));
        provider.kx_groups.retain(|group| self.groups.is_empty() || self.groups.contains(&group.name()));
        let mut roots = RootCertStore::empty();
        roots.add(pki().root_der()).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&self.versions)
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            // Sends it whatever the server asks for.
            Some(identity) => builder.with_client_cert_resolver(Arc::new(Always(identity.clone()))),
        };
        config.alpn_protocols = self.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

/// Sends a certificate even if the server does not list its issuer.
struct Always(Identity);

impl std::fmt::Debug for Always {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Always")
    }
}

impl rustls::client::ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        let key = self.0.key().expect("a key");
        let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(key).expect("a supported key");
        Some(Arc::new(rustls::sign::CertifiedKey::new(self.0.chain().to_vec(), signer)))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A client certificate for `client.example.net`.
pub(super) fn client_spec() -> CertSpec {
    CertSpec::valid_for(&["client.example.net"]).with_purpose(Purpose::Client)
}

pub(super) fn issue(spec: &CertSpec) -> Identity {
    pki().issue(spec)
}

/// A certificate with a key of another one.
pub(super) fn with_foreign_key(spec: &CertSpec) -> Identity {
    let chain: Vec<CertificateDer<'static>> = issue(spec).chain().to_vec();
    Identity::new(chain, issue(spec).key().expect("a key").clone_key())
}

pub(super) fn self_signed() -> Identity {
    issue(&client_spec().with_issuer(Issuer::SelfSigned))
}

pub(super) fn of_other_ca() -> Identity {
    Pki::new().issue(&client_spec())
}
