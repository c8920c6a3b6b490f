//! `health` with TLS, client certificates and basic authentication.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use smtp_fleet::{CertSpec, Issuer, Pki, Purpose};
use tempfile::TempDir;

/// An HTTPS server that answers as an exporter which is ready, to requests with the credentials `user:secret` if it asks for
/// them.
#[derive(Clone, Default)]
struct Spec {
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
    versions: Vec<&'static SupportedProtocolVersion>,
    /// Clients must present a certificate of this root.
    client_root: Option<CertificateDer<'static>>,
    requires_password: bool,
}

impl Spec {
    fn new(pki: &Pki, spec: &CertSpec) -> Self {
        let identity = pki.issue(spec);
        Self {
            chain: identity.chain().to_vec(),
            key: identity.key_pem().into_bytes(),
            versions: vec![&TLS12, &TLS13],
            ..Self::default()
        }
    }

    /// Starts it. It serves until the test ends.
    fn start(self) -> SocketAddr {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&self.versions);
        let builder = builder.expect("versions");
        let builder = match self.client_root {
            Some(root) => {
                let mut roots = RootCertStore::empty();
                roots.add(root).expect("a root");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("a verifier"))
            }
            None => builder.with_no_client_auth(),
        };
        let key = PrivateKeyDer::from_pem_slice(&self.key).expect("a key");
        let config = Arc::new(builder.with_single_cert(self.chain, key).expect("a certificate"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let at = listener.local_addr().expect("an address");
        thread::spawn(move || {
            for stream in listener.incoming() {
                let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
                let mut stream = BufReader::new(StreamOwned::new(session, stream.expect("a client")));
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).is_ok_and(|length| length > 0) {}
                let is_right =
                    head.contains("\r\nauthorization: Basic dXNlcjpzZWNyZXQ=\r\n") || !self.requires_password;
                let status = if is_right { "200 OK" } else { "401 Unauthorized" };
                // A client that has rejected the server is gone.
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.get_mut().write_all(answer.as_bytes());
                stream.get_mut().conn.send_close_notify();
                let _ = stream.get_mut().flush();
                // If bytes of the client were not read, TCP would reset the connection before the client reads an alert.
                let socket = &mut stream.get_mut().sock;
                let _ = socket.shutdown(Shutdown::Write);
                let _ = socket.read_to_end(&mut Vec::new());
            }
        });
        at
    }
}

#[track_caller]
fn check(folder: &Path, args: &str, code: i32, message: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"));
    command.arg("health").args(args.split_whitespace()).current_dir(folder).stdin(Stdio::null());
    // The system roots of the test.
    command.env("SSL_CERT_FILE", "stranger.pem").env_remove("SSL_CERT_DIR");
    let output = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args}: {text}");
    assert!(text.contains(message) && text.is_empty() == message.is_empty(), "{args}: {text}");
    assert!(!text.contains("secret") && output.stdout.is_empty(), "{args}: {text}");
}

fn folder(pki: &Pki) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).expect("a file");
    write("root.pem", pki.root_pem().as_bytes());
    write("stranger.pem", pki.untrusted_root_pem().as_bytes());
    for (name, issuer) in [("own", Issuer::Intermediate), ("foreign", Issuer::Untrusted)] {
        let identity =
            pki.issue(&CertSpec::valid_for(&["client.example"]).with_purpose(Purpose::Client).with_issuer(issuer));
        write(&format!("{name}.pem"), identity.chain_pem().as_bytes());
        write(&format!("{name}.key"), identity.key_pem().as_bytes());
    }
    write("password", b"secret\n");
    write("password-crlf", b"secret\r\n");
    write("password-bare", b"secret");
    write("password-lines", b"secret\n\n");
    write("password-long", &[b'x'; 10_000]);
    write("empty", b"");
    folder
}

#[test]
fn verifies_the_server() {
    let pki = Pki::new();
    let folder = folder(&pki);
    let on_loopback = CertSpec::valid_for(&["127.0.0.1", "localhost"]);
    let check = |args: &str, at: SocketAddr, code, message| {
        let args = args.replace("AT", &at.to_string()).replace("PORT", &at.port().to_string());
        check(folder.path(), &args, code, message);
    };
    for versions in [vec![&TLS12], vec![&TLS13]] {
        let at = Spec { versions, ..Spec::new(&pki, &on_loopback) }.start();
        check("--ca-file=root.pem https://AT", at, 0, "");
        check("--ca-file=root.pem https://localhost:PORT/prefix", at, 0, "");
        check("https://AT", at, 1, "--ca-file");
        check("--ca-file=stranger.pem https://AT", at, 1, "not trusted");
        check("--insecure https://AT", at, 0, "");
        check("http://AT", at, 1, "invalid HTTP response");
    }
    let at = Spec::new(&pki, &on_loopback.clone().with_issuer(Issuer::Untrusted)).start();
    check("https://AT", at, 0, "");
    check("--ca-file=root.pem https://AT", at, 1, "not trusted");
    let at = Spec::new(&pki, &CertSpec::valid_for(&["other.example"])).start();
    check("--ca-file=root.pem https://AT", at, 1, "other.example");
    check("--insecure https://AT", at, 0, "");
    let at = Spec::new(&pki, &on_loopback.with_validity(-100, -50)).start();
    check("--ca-file=root.pem https://AT", at, 1, "xpired");
    check("--insecure https://AT", at, 0, "");
    // Plain HTTP.
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let at = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let mut stream = listener.accept().expect("a client").0;
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    check("--ca-file=root.pem https://AT", at, 1, "does not use TLS");
}

#[test]
fn a_self_signed_certificate_may_be_the_root() {
    let pki = Pki::new();
    let folder = folder(&pki);
    // As made by `openssl req -x509`.
    let self_signed = |name: &str, is_ca: bool, is_expired: bool| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::NoCa };
        if is_expired {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(folder.path().join("self.pem"), certificate.pem()).expect("a file");
        let chain = vec![certificate.der().clone()];
        Spec { chain, key: key.serialize_pem().into_bytes(), versions: vec![&TLS13], ..Spec::default() }.start()
    };
    for is_ca in [false, true] {
        let at = self_signed("127.0.0.1", is_ca, false);
        check(folder.path(), &format!("--ca-file=self.pem https://{at}"), 0, "");
        check(folder.path(), &format!("--ca-file=root.pem https://{at}"), 1, "invalid server certificate");
        let at = self_signed("127.0.0.2", is_ca, false);
        check(folder.path(), &format!("--ca-file=self.pem https://{at}"), 1, "127.0.0.2");
        let at = self_signed("127.0.0.1", is_ca, true);
        check(folder.path(), &format!("--ca-file=self.pem https://{at}"), 1, "xpired");
    }
}

#[test]
fn sends_a_client_certificate() {
    let pki = Pki::new();
    let folder = folder(&pki);
    for versions in [vec![&TLS12], vec![&TLS13]] {
        let server = Spec::new(&pki, &CertSpec::valid_for(&["127.0.0.1"]));
        let at = Spec { versions, client_root: Some(pki.root_der()), ..server }.start();
        let check = |args: &str, code, message| {
            check(folder.path(), &format!("{args} --ca-file=root.pem https://{at}"), code, message);
        };
        check("--cert-file=own.pem --key-file=own.key", 0, "");
        check("--cert-file=foreign.pem --key-file=foreign.key", 1, "--cert-file");
        check("", 1, "client certificate");
        check("--cert-file=own.pem --key-file=foreign.key", 2, "--key-file: foreign.key");
        check("--cert-file=none.pem --key-file=own.key", 2, "--cert-file: none.pem");
        check("--cert-file=own.pem --key-file=empty", 2, "--key-file: empty");
    }
}

#[test]
fn sends_a_password() {
    let pki = Pki::new();
    let folder = folder(&pki);
    let server = Spec::new(&pki, &CertSpec::valid_for(&["127.0.0.1"]));
    let at = Spec { requires_password: true, ..server }.start();
    let check = |args: &str, code, message| {
        check(folder.path(), &format!("{args} --ca-file=root.pem https://{at}"), code, message);
    };
    for file in ["password", "password-crlf", "password-bare"] {
        check(&format!("--user=user --password-file={file}"), 0, "");
    }
    check("", 1, "401");
    check("--user=other --password-file=password", 1, "401");
    check("--user=user --password-file=password-lines", 1, "401");
    check("--user=user --password-file=none", 2, "--password-file: none");
    check("--user=user --password-file=password-long", 2, "--password-file");
    check("--user=user --password-file=/dev/zero", 2, "not a regular file");
    check("--user=user:x --password-file=password", 2, "--user");
}

#[test]
fn incomplete_flags_are_invalid_usage() {
    let pki = Pki::new();
    let folder = folder(&pki);
    for (args, message) in [
        ("--user=user https://127.0.0.1:1", "--password-file"),
        ("--password-file=password https://127.0.0.1:1", "--user"),
        ("--cert-file=own.pem https://127.0.0.1:1", "--key-file"),
        ("--key-file=own.key https://127.0.0.1:1", "--cert-file"),
        ("--insecure --ca-file=root.pem https://127.0.0.1:1", "--ca-file"),
        ("--ca-file=root.pem http://127.0.0.1:1", "https://"),
        ("--insecure http://127.0.0.1:1", "https://"),
        ("--cert-file=own.pem --key-file=own.key http://127.0.0.1:1", "https://"),
        ("--ca-file=none.pem https://127.0.0.1:1", "--ca-file"),
        ("--ca-file=empty https://127.0.0.1:1", "--ca-file"),
        ("--ca-file=own.key https://127.0.0.1:1", "--ca-file"),
    ] {
        check(folder.path(), args, 2, message);
    }
}
