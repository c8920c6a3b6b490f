//! Web configurations: which are accepted, and what is wrong with others.

use std::process::Command;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::{Site, certificate};
use crate::config::{ConfigError, ErrorKind, WebConfig, WebConfigFiles};

/// A folder with `server.pem`, `server.key`, `other.key`, `expired.pem` and its key, `ca.pem`, and files that are none of these.
fn site() -> Site {
    let site = Site::default();
    let (server, key) = certificate("server.test", false);
    let (ca, other) = certificate("ca.test", true);
    site.write("server.pem", server);
    site.write("server.key", key);
    site.write("other.key", other);
    site.write("ca.pem", ca);
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["server.test".to_owned()]).expect("a name");
    params.not_after = date_time_ymd(2020, 1, 1);
    site.write("expired.pem", params.self_signed(&key).expect("a certificate").pem());
    site.write("expired.key", key.serialize_pem());
    site.write("empty", "");
    site.write("huge", vec![b' '; 17 * 1024 * 1024]);
    assert!(Command::new("mkfifo").arg(site.join("fifo")).status().expect("mkfifo runs").success());
    site
}

fn load(site: &Site, text: &str) -> Result<WebConfig, ConfigError> {
    site.write("web.yaml", text);
    WebConfig::load(&site.join("web.yaml"), &mut WebConfigFiles::default())
}

/// The keys of a valid TLS configuration, with `more`.
fn tls(more: &str) -> String {
    format!("tls_server_config: {{cert_file: server.pem, key_file: server.key, {more}}}")
}

#[test]
fn accepts_what_the_toolkit_accepts() {
    let site = site();
    let check = |text: &str, has_tls: bool, warnings: &[&str]| {
        let config = load(&site, text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(config.tls.is_some(), has_tls, "{text}");
        assert_eq!(config.warnings.len(), warnings.len(), "{text}: {:?}", config.warnings);
        for (warning, part) in config.warnings.iter().zip(warnings) {
            assert!(warning.contains(part), "{text}: {warning}");
        }
    };
    check("", false, &[]);
    check("# nothing", false, &[]);
    check("{}", false, &[]);
    check("tls_server_config:", false, &[]);
    check("tls_server_config: {}", false, &[]);
    check("tls_server_config: {cert_file: '', key_file: null}", false, &["no effect"]);
    check("tls_server_config: {min_version: TLS13}", false, &["no effect"]);
    check("http_server_config: {http2: off, headers: {X-XSS-Protection: 1}}", false, &[]);
    check("basic_auth_users: {alice: hash}", false, &["clear text"]);
    check("rate_limit: {interval: 0, burst: 0}", false, &[]);
    check("rate_limit: {interval: 1.5s, burst: 3}", false, &[]);
    check(&tls(""), true, &[]);
    check(&tls("client_auth_type: NoClientCert"), true, &[]);
    check(&tls("client_auth_type: RequestClientCert"), true, &[]);
    check(&tls("client_auth_type: RequireClientCert"), true, &[]);
    check(&tls("client_auth_type: RequireAnyClientCert"), true, &[]);
    check(&tls("client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem"), true, &[]);
    check(&tls("client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem"), true, &[]);
    check(&tls("client_allowed_sans: [a.test]"), true, &["client_allowed_sans"]);
    check(&tls("client_allowed_sans: null"), true, &[]);
    check(&tls("min_version: TLS13, max_version: TLS13, curve_preferences: [CurveP384, X25519]"), true, &[]);
    check(&tls("prefer_server_cipher_suites: no"), true, &["prefer_server_cipher_suites"]);
    let suite = "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], prefer_server_cipher_suites: yes";
    check(&tls(suite), true, &[]);
    check(&tls(&format!("{suite}, min_version: TLS13")), true, &["prefer_server_cipher_suites"]);
    check(&(tls("") + "\nbasic_auth_users:"), true, &["no users"]);
    check(
        &(tls("") + "\nbasic_auth_users: {alice: hash, 'a:b': hash, \"a\\tb\": hash}"),
        true,
        &["no client", "no client"],
    );
    check(&tls("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]"), true, &[]);
    let inline = "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384], max_version: TLS12";
    check(&format!("{}\nhttp_server_config: {{http2: false}}", tls(inline)), true, &[]);
    check("tls_server_config: {cert_file: expired.pem, key_file: expired.key}", true, &["expired on 2020-01-01"]);
    let [cert, key] = ["server.pem", "server.key"]
        .map(|file| std::fs::read_to_string(site.join(file)).expect("a file").replace('\n', "\n    "));
    check(&format!("tls_server_config:\n  cert: |\n    {cert}\n  key: |\n    {key}\n"), true, &[]);
}

#[test]
fn reads_users_headers_and_the_rate_limit() {
    let text = "basic_auth_users: {alice: $2y$10$abc, 123: 456}\nrate_limit: {interval: 2s, burst: 3}\n\
                http_server_config: {headers: {X-Frame-Options: deny, X-XSS-Protection: 1}}";
    let config = load(&site(), text).unwrap_or_else(|error| panic!("{error}"));
    let users: Vec<_> = config.users.iter().map(|(user, hash)| (user.as_str(), hash.as_str())).collect();
    assert_eq!(users, [("123", "456"), ("alice", "$2y$10$abc")]);
    let headers: Vec<_> = config.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(headers, [("X-Frame-Options", "deny"), ("X-XSS-Protection", "1")]);
    assert_eq!((config.rate_limit.interval, config.rate_limit.burst), (Duration::from_secs(2), 3));
    let error = config.invalid_user("alice", "too short").to_string();
    assert!(error.contains("basic_auth_users.alice") && !error.contains("$2y"), "{error}");
}

#[test]
fn rejects_what_it_cannot_apply() {
    use ErrorKind::{Conflict, File, InvalidValue, Missing, Syntax, UnknownKey, WrongType};
    let site = site();
    let check = |text: &str, kind: ErrorKind, place: &str, part: &str| {
        let error = load(&site, text).err().unwrap_or_else(|| panic!("accepted: {text}"));
        assert_eq!((error.kind(), error.place()), (kind, place), "{error}\n{text}");
        assert!(error.to_string().contains(part), "{error} lacks {part}");
        assert!(!error.to_string().contains("S3cret"), "{error}");
    };
    const TLS: &str = "tls_server_config";
    check("tls_server: {}", UnknownKey, "", "expected one of tls_server_config");
    check("tls_server_config: {cert_filse: server.pem}", UnknownKey, TLS, "did you mean `cert_file`?");
    check("tls_server_config: {cert_file: server.pem}", Missing, TLS, "`key`");
    check("tls_server_config: {key_file: server.key}", Missing, TLS, "`cert`");
    check("tls_server_config: {client_auth_type: RequestClientCert}", Missing, TLS, "`cert`");
    check("tls_server_config: {cert: '', key_file: server.key}", Missing, TLS, "`cert`");
    check(&tls("cert: x"), Conflict, "tls_server_config.cert_file", "only one of");
    check(&tls("key: S3cret"), Conflict, "tls_server_config.key_file", "only one of");
    check(
        "tls_server_config: {cert_file: none, key_file: server.key}",
        File,
        "tls_server_config.cert_file",
        "not found",
    );
    check("tls_server_config: {cert_file: server.pem, key_file: .}", File, "tls_server_config.key_file", "directory");
    check("tls_server_config: {cert_file: fifo, key_file: server.key}", File, "tls_server_config.cert_file", "regular");
    check("tls_server_config: {cert_file: huge, key_file: server.key}", File, "tls_server_config.cert_file", "larger");
    check("tls_server_config: {cert_file: empty, key_file: server.key}", File, "tls_server_config.cert_file", "empty");
    let other = "tls_server_config: {cert_file: server.pem, key_file: other.key}";
    check(other, File, "tls_server_config.key_file", "does not match");
    check("tls_server_config: {cert_file: server.pem, key: S3cret}", File, "tls_server_config.key", "no PEM");
    let damaged = format!("tls_server_config: {{cert_file: server.pem, key: S3cret{}}}", "A".repeat(64));
    check(&damaged, File, "tls_server_config.key", "unexpected line 1");
    check(&tls("client_ca_file: ca.pem"), Conflict, "tls_server_config.client_auth_type", "client_auth_type");
    let missing_ca = tls("client_auth_type: RequireAndVerifyClientCert, client_ca_file: none");
    check(&missing_ca, File, "tls_server_config.client_ca_file", "not found");
    let empty_ca = tls("client_auth_type: RequireAndVerifyClientCert, client_ca_file: empty");
    check(&empty_ca, File, "tls_server_config.client_ca_file", "empty");
    check(&tls("client_auth_type: x"), InvalidValue, "tls_server_config.client_auth_type", "RequestClientCert");
    let not_supported = "not supported; expected one of TLS12, TLS13";
    check(&tls("min_version: TLS11"), InvalidValue, "tls_server_config.min_version", not_supported);
    check(&tls("max_version: TLS10"), InvalidValue, "tls_server_config.max_version", not_supported);
    check(&tls("max_version: TLS14"), InvalidValue, "tls_server_config.max_version", "TLS12, TLS13");
    check(&tls("min_version: TLS13, max_version: TLS12"), Conflict, "tls_server_config.min_version", "higher");
    let suite = tls("cipher_suites: [TLS_RSA_WITH_AES_128_GCM_SHA256]");
    check(&suite, InvalidValue, "tls_server_config.cipher_suites[0]", "not supported; expected one of TLS_AES_128_GCM");
    let suite = tls("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA25]");
    check(
        &suite,
        InvalidValue,
        "tls_server_config.cipher_suites[0]",
        "did you mean `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`?",
    );
    let suite = tls("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]");
    check(&suite, Conflict, "tls_server_config.cipher_suites", "http2: false");
    let none = format!(
        "{}\nhttp_server_config: {{http2: false}}",
        tls("cipher_suites: [TLS_AES_128_GCM_SHA256], max_version: TLS12")
    );
    check(&none, Conflict, "tls_server_config.cipher_suites", "no cipher suite");
    let other = tls("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256], max_version: TLS12");
    check(&other, Conflict, "tls_server_config.cipher_suites", "TLS_ECDHE_ECDSA");
    let curve = tls("curve_preferences: [X25519, CurveP521]");
    let not_supported = "not supported; expected one of X25519, CurveP256, CurveP384";
    check(&curve, InvalidValue, "tls_server_config.curve_preferences[1]", not_supported);
    let curve = tls("curve_preferences: [CurveP265]");
    check(&curve, InvalidValue, "tls_server_config.curve_preferences[0]", "did you mean `CurveP256`?");
    check(
        &tls("prefer_server_cipher_suites: 7"),
        InvalidValue,
        "tls_server_config.prefer_server_cipher_suites",
        "true",
    );
    check("tls_server_config: S3cret", WrongType, TLS, "got a string");
    check("S3cret", WrongType, "", "got a string");
    check("basic_auth_users: S3cret", WrongType, "basic_auth_users", "got a string");
    check("basic_auth_users: {alice: [S3cret]}", WrongType, "basic_auth_users.alice", "got a list");
    check("basic_auth_users: {alice: a, alice: b}", ErrorKind::Duplicate, "basic_auth_users", "alice");
    check("rate_limit: {interval: 1d}", InvalidValue, "rate_limit.interval", "with a unit");
    check("rate_limit: {interval: 5}", InvalidValue, "rate_limit.interval", "with a unit");
    check("rate_limit: {interval: 1s, burst: many}", InvalidValue, "rate_limit.burst", "a whole number");
    check("http_server_config: {http2: maybe}", InvalidValue, "http_server_config.http2", "true or false");
    check("http_server_config: {header: {}}", UnknownKey, "http_server_config", "did you mean `headers`?");
    check("a: [", Syntax, "", "invalid YAML");
    check("{}\n---\n{}", Syntax, "", "one document");
}

#[test]
fn is_not_read_from_what_is_not_a_file() {
    let site = site();
    for (name, kind) in [("none", ErrorKind::File), ("fifo", ErrorKind::File), ("huge", ErrorKind::TooLarge)] {
        let error = WebConfig::load(&site.join(name), &mut WebConfigFiles::default()).err().expect("an error");
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[test]
fn notices_changes_of_all_files_that_it_names() {
    let site = site();
    site.write("web.yaml", tls("client_auth_type: RequestClientCert, client_ca_file: ca.pem"));
    for name in ["web.yaml", "server.pem", "server.key", "ca.pem"] {
        let mut files = WebConfigFiles::default();
        WebConfig::load(&site.join("web.yaml"), &mut files).unwrap_or_else(|error| panic!("{error}"));
        assert!(!files.have_changed(), "{name}");
        let text = std::fs::read(site.join(name)).expect("a file");
        site.write("new", [text.as_slice(), b"\n"].concat());
        std::fs::rename(site.join("new"), site.join(name)).expect("a file");
        assert!(files.have_changed(), "{name}");
    }
}

#[test]
fn the_example_is_valid_with_all_its_keys() {
    let site = site();
    for (from, to) in [("server.pem", "exporter.pem"), ("server.key", "exporter.key"), ("ca.pem", "client-ca.pem")] {
        std::fs::copy(site.join(from), site.join(to)).expect("a file");
    }
    let example = std::fs::read_to_string("deploy/web-config.example.yaml").expect("a file");
    let is_key = |text: &str| text.split_once(':').is_some_and(|(key, _)| !key.trim_start().contains(' '));
    let uncommented = example.lines().map(|line| match line.split_once("# ") {
        Some((indent, rest)) if indent.trim().is_empty() && is_key(rest) => format!("{indent}{rest}\n"),
        _ => format!("{line}\n"),
    });
    let all: String = uncommented.collect();
    for (text, users) in [(example.as_str(), 0), (all.as_str(), 1)] {
        let config = load(&site, text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!((config.tls.is_some(), config.users.len(), config.warnings.len()), (true, users, 0), "{text}");
        assert_eq!(config.headers.len(), users, "{text}");
    }
}
