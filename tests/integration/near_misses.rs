//! Presented names that people read as the server name, and clients do not: what the page, JSON, `check` and `verify` say
//! about them.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use smtp_fleet::x509::GeneralName;
use smtp_fleet::{CertSpec, Extension, Fleet, Identity, Pki, ServerSpec, profiles};
use smtp_tls_exporter::config::Config;

use crate::service_fixture::{metrics, rounds, service};
use crate::support::{Environment, request};

struct Case {
    host: &'static str,
    /// The contents of the dNSName entries.
    presented: &'static [&'static [u8]],
    /// The entry that looks like the host, in quotation marks.
    quoted: &'static str,
    differences: &'static [&'static str],
}

fn cases() -> Vec<Case> {
    let case = |host, presented, quoted, differences| Case { host, presented, quoted, differences };
    vec![
        case("dot.example.com", &[b"dot.example.com."], "\"dot.example.com.\"", &["trailing_dot"]),
        case("lead.example.com", &[b".example.com"], "\".example.com\"", &["leading_dot"]),
        case("blank.example.com", &[b"blank.example.com "], "\"blank.example.com \"", &["white_space"]),
        case("tab.example.com", &[b"tab.example.com\t"], "\"tab.example.com\\t\"", &["white_space"]),
        case("line.example.com", &[b"line.example.com\n"], "\"line.example.com\\u{85}\"", &["white_space"]),
        case("nul.example.com", &[b"nul.example.com\0"], "\"nul.example.com\\u{0}\"", &["invisible_characters"]),
        case(
            "zero.example.com",
            &[b"zero\xe2\x80\x8b.example.com"],
            "\"zero\\u{200b}.example.com\"",
            &["invisible_characters"],
        ),
        case("port.example.com", &[b"port.example.com:25"], "\"port.example.com:25\"", &["port"]),
        case("scheme.example.com", &[b"smtp://scheme.example.com"], "\"smtp://scheme.example.com\"", &["prefix"]),
        case("path.example.com", &[b"path.example.com/"], "\"path.example.com/\"", &["path"]),
        case(
            "mail.example.com",
            &[b"mailto:postmaster@mail.example.com"],
            "\"mailto:postmaster@mail.example.com\"",
            &["prefix", "mailbox"],
        ),
        case("wild.example.com", &[b"* .example.com"], "\"* .example.com\"", &["white_space"]),
        case("star.example.com", &[b"*example.com", b"*example.com"], "\"*example.com\"", &["wildcard"]),
        case(
            "conf.example.com",
            &[b"subjectAltName=DNS.1:conf.example.com"],
            "\"subjectAltName=DNS.1:conf.example.com\"",
            &["prefix"],
        ),
        case(
            "list.example.com",
            &[b"other.example.com, list.example.com"],
            "\"other.example.com, list.example.com\"",
            &["list"],
        ),
        case("xn--bcher-kva.example.com", &[b"b\xc3\xbccher.example.com"], "\"bücher.example.com\"", &["u_label"]),
        case("xn--bcher-kva.example.net", &[b"b\xfccher.example.net"], "\"bücher.example.net\"", &["u_label"]),
        // It is not hidden behind the others.
        case(
            "last.example.com",
            &[
                b"a.example.com",
                b"b.example.com",
                b"c.example.com",
                b"d.example.com",
                b"e.example.com",
                b"last.example.com.",
            ],
            "\"last.example.com.\"",
            &["trailing_dot"],
        ),
        case("192.0.2.1", &[b"192.0.2.1"], "\"192.0.2.1\"", &["address_as_dns_name"]),
    ]
}

fn identity(pki: &Pki, names: &[&[u8]]) -> Identity {
    let names: Vec<GeneralName> = names.iter().map(|name| GeneralName::Dns(name.to_vec())).collect();
    let names = Extension::subject_alternative_names(&names);
    pki.issue_with_shared_key(&CertSpec::default().with_common_name(Some("mail")).with_extension(names))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn says_what_is_odd_about_a_name_that_looks_right() {
    let pki = Pki::new();
    let env = Environment::new(&pki);
    let folder = env.folder.path();
    let cases = cases();
    let identities: Vec<Identity> = cases.iter().map(|case| identity(&pki, case.presented)).collect();
    let fleet = Fleet::start(identities.iter().cloned().map(ServerSpec::new).collect()).await.expect("a fleet");
    let target = |(case, address): (&Case, std::net::SocketAddr)| {
        format!("{{name: {0}, host: {0}, port: {1}, addresses: [{2}]}}", case.host, address.port(), address.ip())
    };
    // An address as host needs no `addresses`, but another server name than the address that is probed.
    let is_name = |case: &Case| case.host.parse::<std::net::IpAddr>().is_err();
    let named: Vec<_> = cases.iter().zip(fleet.addrs()).filter(|(case, _)| is_name(case)).collect();
    let targets: Vec<String> = named.iter().copied().map(target).collect();
    let file = folder.join("config.yaml");
    fs::write(&file, Environment::yaml("interval: 1h", "", &targets)).expect("a file");
    let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
    let (service, address) = service(config, None).await;
    let running = service.start().expect("a service");
    rounds(&running, named.iter().map(|(case, _)| case.host)).await;
    let scraped = metrics(address).await;
    let document = request(address, "GET", "/api/v1/targets", "").await;
    let document: Value = serde_json::from_str(document.text()).expect("JSON");
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"));
        command.args(args).current_dir(folder);
        let found = tokio::task::block_in_place(|| command.output().expect("it runs"));
        assert_eq!(found.status.code(), Some(1), "{args:?}: {}", String::from_utf8_lossy(&found.stderr));
        String::from_utf8(found.stdout).expect("text")
    };
    let table = run(&["check", "--config.file=config.yaml"]);
    let table = table.split_whitespace().collect::<Vec<_>>().join(" ");
    for (case, server) in &named {
        let host = case.host;
        let labels = format!("target=\"{host}\",server_name=\"{host}\",backend=\"{server}\",tls=\"starttls\"");
        assert!(
            scraped.text().contains(&format!("smtp_tls_cert_hostname_mismatch_info{{{labels},reason=\"not_listed\"")),
            "{host} in {}",
            scraped.text()
        );
        let targets = document["targets"].as_array().expect("targets");
        let target = targets.iter().find(|target| target["name"] == host).unwrap_or_else(|| panic!("{host}"));
        let near = &target["endpoints"][0]["backends"][0]["name"]["near_misses"];
        assert_eq!(near[0]["differences"], json!(case.differences), "{host}: {near:#}");
        assert_eq!(near.as_array().map(Vec::len), Some(1), "{host}: {near:#}");
        let meaning = near[0]["meaning"].as_str().expect("a meaning");
        let page = request(address, "GET", &format!("/targets/{host}"), "").await;
        let page = page.text().replace("&quot;", "\"");
        assert!(page.contains(case.quoted) && page.contains(meaning), "{host}: {meaning} in {page}");
        let advice = target["advice"].as_array().expect("advice");
        let reissue = advice.iter().find(|advice| advice["kind"] == "reissue").expect("a reissue");
        for key in ["text", "request"] {
            let text = reissue[key].as_str().expect("a text");
            assert!(text.contains(case.quoted) && text.contains(meaning), "{host}: {meaning} in {text}");
        }
        let odd = format!("{}, which {meaning}", case.quoted).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(table.contains(&odd), "{odd} in {table}");
    }
    for (case, identity) in cases.iter().zip(&identities) {
        fs::write(folder.join("chain.pem"), identity.chain_pem()).expect("a file");
        let name = format!("--host={}", case.host);
        let args = ["verify", &name, "--ca-file=root.pem", "--no-system-roots", "chain.pem"];
        let found = run(&args).split_whitespace().collect::<Vec<_>>().join(" ");
        let quoted = case.quoted.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(found.contains(&format!("presented: {quoted}, which ")), "{}: {found}", case.host);
        let json: Value = serde_json::from_str(&run(&[&args[..], &["--output=json"]].concat())).expect("JSON");
        assert_eq!(json["names"][0]["near_misses"][0]["differences"], json!(case.differences), "{}", case.host);
    }
    running.until(async {}).await.expect("a clean shutdown");
}

/// The same for a name that the configuration expects.
#[tokio::test]
async fn says_what_is_odd_about_an_expected_name() {
    let pki = Pki::new();
    let env = Environment::new(&pki);
    let identity = identity(&pki, &[b"smtp.example.com", b"mail.example.com."]);
    let fleet = Fleet::start(vec![ServerSpec::new(identity)]).await.expect("a fleet");
    let server = fleet.addrs()[0];
    let target = format!(
        "{{name: a, host: {}, port: {}, addresses: [{}], expect_names: [mail.example.com]}}",
        profiles::ALIAS,
        server.port(),
        server.ip()
    );
    let (service, address) = service(env.config(&Environment::yaml("", "", &[target])), None).await;
    let running = service.start().expect("a service");
    rounds(&running, ["a"]).await;
    let found = request(address, "GET", "/api/v1/targets/a", "").await;
    let found: Value = serde_json::from_str(found.text()).expect("JSON");
    let advice = found["advice"].as_array().expect("advice");
    let expected = advice.iter().find(|advice| advice["kind"] == "expected_name").expect("advice on it");
    for key in ["text", "request"] {
        let text = expected[key].as_str().expect("a text");
        assert!(text.contains("\"mail.example.com.\" ends with a dot"), "{text}");
    }
    running.until(async {}).await.expect("a clean shutdown");
}

/// A certificate with another name that matches needs no explanation.
#[tokio::test]
async fn a_name_that_matches_has_no_near_miss() {
    let pki = Pki::new();
    let env = Environment::new(&pki);
    let identity = identity(&pki, &[b"smtp.example.com.", b"smtp.example.com"]);
    let fleet = Fleet::start(vec![ServerSpec::new(identity)]).await.expect("a fleet");
    let server = fleet.addrs()[0];
    let target =
        format!("{{name: a, host: {}, port: {}, addresses: [{}]}}", profiles::ALIAS, server.port(), server.ip());
    let (service, address) = service(env.config(&Environment::yaml("", "", &[target])), None).await;
    let running = service.start().expect("a service");
    rounds(&running, ["a"]).await;
    let found = request(address, "GET", "/api/v1/targets/a", "").await;
    let found: Value = serde_json::from_str(found.text()).expect("JSON");
    let name = &found["endpoints"][0]["backends"][0]["name"];
    assert_eq!((&name["match"], &name["near_misses"]), (&json!(true), &json!([])), "{name:#}");
    assert_eq!(found["advice"], json!([]));
    running.until(async {}).await.expect("a clean shutdown");
}
