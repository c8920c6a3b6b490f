//! `smtp-tls-exporter verify`: the real binary on generated chains.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use expect_test::expect_file;
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use smtp_fleet::cases;
use smtp_fleet::{AuthoritySpec, CertSpec, Extension, Issuer, Pki, Presented, Purpose};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::golden::normalized;
use crate::support::Environment;

const HOST: &str = "smtp.example.com";
const DAY: i64 = 86_400;

/// A folder with chains and roots, in which the binary runs.
struct VerifyEnvironment {
    env: Environment,
    pki: Pki,
}

impl VerifyEnvironment {
    fn new() -> Self {
        let pki = Pki::new();
        let this = Self { env: Environment::new(&pki), pki };
        this.file("good.pem", this.issue(&CertSpec::valid_for(&[HOST])));
        this
    }

    fn folder(&self) -> &Path {
        self.env.folder.path()
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.folder().join(name), text).expect("a file");
    }

    fn issue(&self, spec: &CertSpec) -> String {
        self.pki.issue(spec).chain_pem()
    }

    /// Runs `verify` with the words of `args` in the folder, with the system roots in `system.pem`.
    fn run(&self, args: &str, input: &str) -> Output {
        let mut process = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"))
            .arg("verify")
            .args(args.split_whitespace())
            .current_dir(self.folder())
            .env("SSL_CERT_FILE", "system.pem")
            .env_remove("SSL_CERT_DIR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        // The process may exit without reading its input.
        let _ = process.stdin.take().expect("standard input").write_all(input.as_bytes());
        process.wait_with_output().expect("it ends")
    }

    /// Exit code and JSON, with only the root of the fleet.
    #[track_caller]
    fn verify(&self, args: &str, input: &str) -> (Option<i32>, Value) {
        let output = self.run(&format!("--no-system-roots --ca-file root.pem --output=json {args}"), input);
        let text = String::from_utf8(output.stdout).expect("text");
        let error = String::from_utf8_lossy(&output.stderr);
        let json = serde_json::from_str(&text).unwrap_or_else(|wrong| panic!("{args}: {wrong} in {text}{error}"));
        assert!(error.is_empty(), "{args}: {error}");
        (output.status.code(), json)
    }

    /// Checks the values at JSON pointers.
    #[track_caller]
    fn check(&self, args: &str, code: i32, expected: &[(&str, Value)]) {
        let (found, json) = self.verify(args, "");
        assert_eq!(found, Some(code), "{args}: {json:#}");
        for (at, value) in expected {
            assert_eq!(json.pointer(at), Some(value), "{args}: {at} in {json:#}");
        }
    }

    /// Checks an error for invalid usage or input: exit code 2, nothing on standard output, and `cause` in the message.
    #[track_caller]
    fn fails(&self, args: &str, input: &str, cause: &str) {
        let output = self.run(args, input);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args}: {error}");
        assert!(output.stdout.is_empty(), "{args}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(error.contains(cause), "{args}: {error}");
    }
}

fn pem(der: &[u8]) -> String {
    pem::encode(&pem::Pem::new("CERTIFICATE", der))
}

fn reasons(json: &Value) -> Vec<&str> {
    let errors = json.pointer("/chain/errors").and_then(Value::as_array).expect("errors");
    errors.iter().filter_map(|error| error["reason"].as_str()).collect()
}

#[test]
fn names() {
    let env = VerifyEnvironment::new();
    let idn = ["xn--bcher-kva.example", "192.0.2.1", "2001:db8::1", "*.wild.example.com"];
    env.file("idn.pem", env.issue(&CertSpec::valid_for(&idn)));
    env.file("cn.pem", env.issue(&CertSpec { common_name: Some(HOST.into()), ..CertSpec::default() }));
    env.check(
        "--host smtp.example.com good.pem",
        0,
        &[
            ("/names", json!([{"name": HOST, "match": true, "reason": null, "meaning": null, "client_errors": null, "near_misses": []}])),
            ("/chain/trusted", json!(true)),
            ("/chain/valid", json!(true)),
            ("/chain/errors", json!([])),
            ("/certificate/names", json!([HOST])),
            ("/certificate/subject", json!("CN=smtp.example.com")),
            ("/certificate/issuer", json!("CN=Fleet Intermediate")),
            ("/certificate/key", json!("ECDSA P-256")),
            ("/certificate/signature", json!("ecdsa-with-SHA256")),
            ("/presented", json!(2)),
            ("/leaf_position", json!(null)),
        ],
    );
    // As when the files of the CA were concatenated in the wrong order.
    let pem = env.issue(&CertSpec::valid_for(&[HOST]));
    let (leaf, issuer) =
        pem.split_at(pem.find("-----END").and_then(|end| pem[end..].find('\n').map(|eol| end + eol + 1)).expect("two"));
    env.file("reversed.pem", format!("{issuer}{leaf}"));
    env.file("reversed-with-root.pem", format!("{}{issuer}{leaf}", env.pki.root_pem()));
    env.check(
        "--host smtp.example.com reversed.pem",
        1,
        &[("/leaf_position", json!(2)), ("/names/0/match", json!(false))],
    );
    env.check("--host smtp.example.com reversed-with-root.pem", 1, &[("/leaf_position", json!(3))]);
    env.file("root-last.pem", format!("{pem}{}", env.pki.root_pem()));
    env.check("--host smtp.example.com root-last.pem", 0, &[("/leaf_position", json!(null))]);
    env.check(
        "--host SMTP.Example.COM. --host mail.example.com good.pem",
        1,
        &[
            ("/names/0/name", json!(HOST)),
            ("/names/0/match", json!(true)),
            ("/names/1/match", json!(false)),
            ("/names/1/reason", json!("not_listed")),
            ("/names/1/client_errors/dotnet/texts/0", json!("RemoteCertificateNameMismatch")),
            ("/names/1/client_errors/openssl/texts", json!(["verify error:num=62:hostname mismatch"])),
            ("/names/1/client_errors/go/accepts", json!(null)),
            ("/chain/valid", json!(true)),
        ],
    );
    env.check(
        "--host bücher.example --host 192.0.2.1 --host [2001:db8::1] --host a.wild.example.com idn.pem",
        0,
        &[("/names/0/name", json!("xn--bcher-kva.example")), ("/names/2/name", json!("2001:db8::1"))],
    );
    env.check(
        "--host 192.0.2.2 --host a.b.wild.example.com --host other.example idn.pem",
        1,
        &[
            ("/names/0/reason", json!("ip_reference")),
            ("/names/1/reason", json!("wildcard_depth")),
            ("/names/2/reason", json!("not_listed")),
        ],
    );
    env.check(
        "--host smtp.example.com --host 192.0.2.1 cn.pem",
        1,
        &[
            ("/names/0/reason", json!("cn_only")),
            ("/names/0/client_errors/go/accepts", json!(null)),
            ("/certificate/names", json!([])),
        ],
    );
    let (_, json) = env.verify("--host smtp.example.com cn.pem", "");
    assert!(json.pointer("/names/0/client_errors/postfix/accepts").is_some_and(Value::is_string), "{json:#}");
}

#[test]
fn verifies_at_the_given_time() {
    let env = VerifyEnvironment::new();
    let now = OffsetDateTime::now_utc();
    env.file("old.pem", env.issue(&CertSpec::valid_for(&[HOST]).with_validity(-90 * DAY, -DAY)));
    let not_after = |args| {
        let (_, json) = env.verify(args, "");
        json.pointer("/certificate/not_after/unix").and_then(Value::as_i64).expect("an end")
    };
    let end = OffsetDateTime::from_unix_timestamp(not_after("--host smtp.example.com good.pem")).expect("a time");
    for (file, at, code, expected) in [
        ("good.pem", now, 0, None),
        ("good.pem", now - Duration::days(2), 1, Some("not_yet_valid")),
        // The last second of validity is a part of it (RFC 5280 §4.1.2.5).
        ("good.pem", end, 0, None),
        ("good.pem", end + Duration::seconds(1), 1, Some("expired")),
        ("good.pem", now - Duration::days(30_000), 1, Some("not_yet_valid")),
        ("good.pem", now + Duration::days(300_000), 1, Some("expired")),
        ("old.pem", now, 1, Some("expired")),
        ("old.pem", now - Duration::days(30), 0, None),
    ] {
        let at = at.format(&Rfc3339).expect("a text");
        let (found, json) = env.verify(&format!("--host {HOST} --at {at} {file}"), "");
        assert_eq!(found, Some(code), "{file} at {at}: {json:#}");
        assert_eq!(reasons(&json), expected.as_slice(), "{file} at {at}: {json:#}");
        assert_eq!(json.pointer("/chain/trusted"), Some(&json!(true)), "{file} at {at}: trusted apart from time");
        assert_eq!(json.pointer("/chain/valid"), Some(&json!(code == 0)), "{file} at {at}: {json:#}");
    }
    // An offset does not change the time.
    env.check(
        "--host smtp.example.com --at 2001-02-03T04:05:06+02:00 good.pem",
        1,
        &[("/at", json!({"rfc3339": "2001-02-03T02:05:06Z", "unix": 981_165_906}))],
    );
    let (_, json) = env.verify(&format!("--host {HOST} --at {} good.pem", end.format(&Rfc3339).expect("text")), "");
    assert_eq!(json.pointer("/certificate/expiry_days"), Some(&json!(0.0)));
    assert_eq!(json.pointer("/certificate/not_after"), json.pointer("/at"));
    assert_eq!(json.pointer("/chain/not_after"), json.pointer("/at"));
    assert_eq!(json.pointer("/chain/verified_not_after"), json.pointer("/at"));
}

#[test]
fn chains() {
    let env = VerifyEnvironment::new();
    let spec = || CertSpec::valid_for(&[HOST]);
    let not_a_ca = env.pki.root().sub(&AuthoritySpec { ca: false, ..AuthoritySpec::named("No Authority") });
    let narrow = AuthoritySpec { permitted_domains: vec!["example.net".into()], ..AuthoritySpec::named("Narrow") };
    let narrow = env.pki.root().sub(&narrow);
    let odd = Extension { oid: vec![1, 3, 6, 1, 4, 1, 99999, 1], critical: true, value: vec![5, 0] };
    let rows: [(&str, CertSpec, i32, Value, &[&str]); 8] = [
        ("root", spec().with_issuer(Issuer::Root), 0, json!(true), &[]),
        ("self-signed", spec().with_issuer(Issuer::SelfSigned), 1, json!(false), &["self_signed"]),
        ("stranger", spec().with_issuer(Issuer::Untrusted), 1, json!(false), &["unknown_issuer"]),
        ("leaf-only", spec().with_presented(Presented::LeafOnly), 1, json!(false), &["unknown_issuer"]),
        ("not-a-ca", spec().with_issuer(Issuer::Authority(not_a_ca)), 1, json!(false), &["not_a_ca"]),
        ("narrow", spec().with_issuer(Issuer::Authority(narrow)), 1, json!(false), &["name_constraints"]),
        ("client", spec().with_purpose(Purpose::Client), 1, json!(false), &["missing_eku"]),
        ("critical", spec().with_extension(odd), 1, json!(false), &["critical_extension"]),
    ];
    for (name, spec, code, trusted, expected) in rows {
        env.file(name, env.issue(&spec));
        let (found, json) = env.verify(&format!("--host {HOST} {name}"), "");
        assert_eq!(found, Some(code), "{name}: {json:#}");
        assert_eq!(reasons(&json), expected, "{name}: {json:#}");
        assert_eq!(json.pointer("/chain/trusted"), Some(&trusted), "{name}: {json:#}");
        assert_eq!(json.pointer("/names/0/match"), Some(&json!(true)), "{name}: independent of the chain");
        for error in json.pointer("/chain/errors").and_then(Value::as_array).expect("errors") {
            assert!(error["meaning"].is_string(), "{name}: {error:#}");
            for client in ["dotnet", "openssl", "postfix", "go"] {
                assert!(error["client_errors"][client]["texts"].is_array(), "{name}: {client} in {error:#}");
            }
        }
    }
}

#[test]
fn trusts_system_roots_and_ca_files() {
    let env = VerifyEnvironment::new();
    env.file("stranger.pem", env.pki.untrusted_root_pem());
    env.file("strange.pem", env.issue(&CertSpec::valid_for(&[HOST]).with_issuer(Issuer::Untrusted)));
    env.file("system.pem", env.pki.root_pem());
    for (args, code) in [
        ("good.pem", 0),
        ("strange.pem", 1),
        ("--ca-file stranger.pem strange.pem", 0),
        ("--ca-file stranger.pem good.pem", 0),
        ("--no-system-roots --ca-file stranger.pem strange.pem", 0),
        ("--no-system-roots --ca-file stranger.pem good.pem", 1),
        ("--no-system-roots --ca-file stranger.pem --ca-file root.pem good.pem", 0),
    ] {
        let output = env.run(&format!("--host {HOST} {args}"), "");
        assert_eq!(output.status.code(), Some(code), "{args}: {}", String::from_utf8_lossy(&output.stdout));
    }
    env.fails("--host a.example --no-system-roots good.pem", "", "--ca-file");
    std::fs::remove_file(env.folder().join("system.pem")).expect("a file");
    env.fails("--host a.example good.pem", "", "--no-system-roots");
}

#[test]
fn reads_standard_input() {
    let env = VerifyEnvironment::new();
    let chain = env.issue(&CertSpec::valid_for(&[HOST]));
    let (code, json) = env.verify("--host smtp.example.com -", &chain);
    assert_eq!((code, json.pointer("/presented")), (Some(0), Some(&json!(2))), "{json:#}");
    let roots = "--host a.example --no-system-roots --ca-file root.pem -";
    env.fails(roots, "", "standard input");
    env.fails(roots, "hello", "standard input");
}

#[test]
fn unparsable_certificates_are_reported_as_malformed() {
    let env = VerifyEnvironment::new();
    let identity = env.pki.issue(&CertSpec::valid_for(&[HOST]));
    let whole = identity.leaf_der().as_ref();
    let above = pem(&identity.chain()[1]);
    for (name, leaf) in [("cut", &whole[..whole.len() - 1]), ("junk", b"junk".as_slice()), ("nothing", &[])] {
        env.file(name, pem(leaf) + &above);
        let (code, json) = env.verify(&format!("--host {HOST} {name}"), "");
        assert_eq!((code, reasons(&json)), (Some(1), vec!["malformed"]), "{name}: {json:#}");
        assert_eq!(json.pointer("/names/0/match"), Some(&json!(null)), "{name}: {json:#}");
        assert_eq!(json.pointer("/chain/valid"), Some(&json!(false)), "{name}: {json:#}");
        assert_eq!(json.pointer("/certificate/subject"), Some(&json!(null)), "{name}: {json:#}");
        let fingerprint = json.pointer("/certificate/fingerprint_sha256").and_then(Value::as_str);
        assert_eq!(fingerprint.map(str::len), Some(64), "{name}: {json:#}");
        let table = env.run(&format!("--host {HOST} --no-system-roots --ca-file root.pem {name}"), "");
        let table = String::from_utf8(table.stdout).expect("text");
        assert!(table.contains("  smtp.example.com  unknown") && table.contains("malformed"), "{table}");
    }
}

#[test]
fn unreadable_files_exit_with_2_and_are_named() {
    let env = VerifyEnvironment::new();
    let good = env.issue(&CertSpec::valid_for(&[HOST]));
    let identity = env.pki.issue(&CertSpec::valid_for(&[HOST]));
    env.file("empty.pem", " \n");
    env.file("key.pem", identity.key_pem());
    env.file("der.pem", identity.leaf_der());
    env.file("no-end.pem", good.rsplit_once("-----END").expect("an end").0);
    env.file("no-base64.pem", good.replacen("\nMII", "\n!!!", 1));
    env.file("large.pem", good + &"#".repeat(16 * 1024 * 1024));
    env.file("with-key.pem", identity.key_pem() + &identity.chain_pem());
    std::fs::create_dir(env.folder().join("folder")).expect("a folder");
    for file in ["absent.pem", "folder", "empty.pem", "key.pem", "der.pem", "no-end.pem", "no-base64.pem", "large.pem"]
    {
        let roots = "--host a.example --no-system-roots --ca-file";
        for args in [format!("{roots} root.pem {file}"), format!("{roots} {file} good.pem")] {
            env.fails(&args, "", file);
        }
    }
    env.check("--host smtp.example.com with-key.pem", 0, &[("/presented", json!(2))]);
}

#[test]
fn invalid_usage_exits_with_2_and_names_the_cause() {
    let env = VerifyEnvironment::new();
    for (args, cause) in [
        ("good.pem", "--host <NAME>"),
        ("--host smtp.example.com", "<CHAIN.pem>"),
        ("--host a..b good.pem", "a..b"),
        ("--host *.example.com good.pem", "*.example.com"),
        ("--host a.example --at yesterday good.pem", "--at <RFC3339>"),
        ("--host a.example --at 2026-02-30T00:00:00Z good.pem", "2026-02-30T00:00:00Z"),
        ("--host a.example --at 2026-02-03 good.pem", "--at <RFC3339>"),
        ("--host a.example --output=xml good.pem", "table, json"),
        ("--host a.example good.pem good.pem", "unexpected argument"),
    ] {
        env.fails(args, "", cause);
    }
}

#[test]
fn tables_are_those_of_the_golden_file() {
    let env = VerifyEnvironment::new();
    let hostile = ["\u{1b}[31mred.example.com", "smtp.example.com"];
    env.file("hostile.pem", env.issue(&CertSpec::valid_for(&hostile).with_validity(-2 * DAY, -DAY)));
    let many: Vec<String> = (0..150).map(|n| format!("host-{n}.example.com")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    env.file("many.pem", env.issue(&CertSpec::valid_for(&many)));
    env.file("self-signed.pem", env.issue(&CertSpec::valid_for(&[HOST]).with_issuer(Issuer::SelfSigned)));
    env.file("unparsable.pem", pem(b"junk"));
    // An hour later, no validity period ends in a whole number of days.
    let at = (OffsetDateTime::now_utc() + Duration::hours(1)).format(&Rfc3339).expect("a time");
    let mut golden = String::new();
    for (args, code) in [
        ("--host smtp.example.com good.pem", 0),
        ("--host mail.example.com --host 192.0.2.1 hostile.pem", 1),
        ("--host smtp.example.com self-signed.pem", 1),
        ("--host smtp.example.com unparsable.pem", 1),
        ("--host host-7.example.com many.pem", 0),
    ] {
        let output = env.run(&format!("--no-system-roots --ca-file root.pem --at {at} {args}"), "");
        let text = String::from_utf8(output.stdout).expect("text");
        assert_eq!(output.status.code(), Some(code), "{args}: {text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{args}: no line is over 80 columns:\n{text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{args}: {text:?}");
        golden.push_str(&format!("$ smtp-tls-exporter verify {args}\n{text}\n"));
    }
    expect_file!["../golden/verify.txt"].assert_eq(&normalized(&golden));
}

#[test]
fn prints_what_some_senders_refuse() {
    let env = VerifyEnvironment::new();
    let cases = cases::all();
    let pem = |certificates: &[CertificateDer<'_>]| -> String {
        certificates.iter().map(|der| pem::encode(&pem::Pem::new("CERTIFICATE", der.as_ref()))).collect()
    };
    for (name, expected) in [
        ("key-usage-cert-sign-only", "warning key_usage: … Refused by OpenSSL, Postfix and GnuTLS."),
        ("serial-of-twenty-one-octets", "warning serial_number: …"),
        ("good", "…"),
    ] {
        let case = cases.iter().find(|case| case.name == name).expect("a case");
        env.file("chain.pem", pem(case.identity.chain()));
        env.file("roots.pem", pem(&case.roots));
        let args = "--host smtp.example.com --no-system-roots --ca-file roots.pem chain.pem";
        let output = env.run(args, "");
        let text = String::from_utf8(output.stdout).expect("text").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(expected.split('…').all(|part| text.contains(part.trim())), "{name}: {expected} in {text}");
        assert_eq!((output.status.code(), text.contains("warning")), (Some(0), name != "good"), "{name}: {text}");
    }
}
