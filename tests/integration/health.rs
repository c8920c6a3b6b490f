//! `health` against exporters that are ready or not, and against other servers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

use smtp_fleet::Pki;

use crate::binary::Exporter;
use crate::support::Environment;

#[track_caller]
fn check(args: &[&str], code: i32, message: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"));
    let output = command.arg("health").args(args).stdin(Stdio::null()).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    assert!(text.contains(message) && text.is_empty() == message.is_empty(), "{args:?}: {text}");
    assert!(output.stdout.is_empty(), "{args:?}");
}

#[test]
fn a_running_exporter_is_ready() {
    let env = Environment::new(&Pki::new());
    let text = "targets: [{host: smtp.example.com, addresses: [127.0.0.1], trust: mozilla}]";
    let exporter = Exporter::start(&env, text, &["--web.route-prefix=/mail"]);
    let at = exporter.address();
    check(&[&format!("http://{at}/mail")], 0, "");
    check(&[&format!("http://{at}/mail/")], 0, "");
    check(&[&format!("http://{at}")], 1, "404");
    assert_eq!(exporter.end().0, Some(0));
    check(&[&format!("http://{at}/mail")], 1, "cannot connect");
}

#[test]
fn only_status_200_is_ready() {
    #[track_caller]
    fn answered(answer: &'static [u8], code: i32, message: &str) {
        let at = server(move |mut stream| {
            let mut head = [0; 4096];
            // The request arrives in one piece.
            let length = stream.read(&mut head).unwrap_or_default();
            let here = format!("host: {}\r\n", stream.local_addr().expect("an address"));
            let head = String::from_utf8_lossy(&head[..length]).to_lowercase();
            assert!(head.starts_with("get /-/ready http/1.1\r\n") && head.contains(&here), "{head}");
            // The client may disconnect early.
            let _ = stream.write_all(answer);
        });
        check(&[&format!("http://{at}")], code, message);
    }
    answered(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 0, "");
    answered(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", 1, "503");
    answered(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n", 1, "302");
    answered(b"HTTP/1.0 400 Bad Request\r\n\r\nclient sent an HTTP request to an HTTPS server\n", 1, "https://");
    // The body is not read.
    answered(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 99999\r\n\r\n", 1, "503");
    answered(b"220 mail.example.com ESMTP\r\n", 1, "HTTP");
    answered(b"", 1, "HTTP");
    answered(&[b'x'; 1 << 20], 1, "HTTP");
}

#[test]
fn silent_servers_time_out() {
    let at = server(|mut stream| {
        let mut all = Vec::new();
        // Until the client disconnects.
        let _ = stream.read_to_end(&mut all);
    });
    check(&["--timeout=1s", &format!("http://{at}")], 1, "1 s");
    let at = server(|mut stream| while stream.write_all(b"HTTP/1.1 200 OK\r\nx: y\r\n").is_ok() {});
    check(&["--timeout=1s", &format!("http://{at}")], 1, "response");
}

#[test]
fn other_urls_are_invalid_usage() {
    for url in ["ftp://127.0.0.1:1", "127.0.0.1:1", "http://u:p@127.0.0.1:1", "http://127.0.0.1:1/?x"] {
        check(&[url], 2, "http://HOST:PORT");
    }
    check(&["--timeout=0s"], 2, "1s to 10m");
}

/// Serves one connection. The thread ends with it.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let at = listener.local_addr().expect("an address");
    thread::spawn(move || serve(listener.accept().expect("a client").0));
    at
}
