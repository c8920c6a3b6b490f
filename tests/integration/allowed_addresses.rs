//! MX and SRV records of others that lead to internal addresses or to other services: nothing connects there, and every
//! output shows it. Text of servers that do not speak SMTP is not shown.

use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use smtp_fleet::{Answer, CertSpec, Chunk, Dns, Fleet, RecordType, Script, ServerSpec, Step, TlsMode};
use smtp_tls_exporter::target::TargetName;

use crate::service_fixture::{ServiceFixture, check, metrics, pki, rounds, service};
use crate::support::{self, Environment, request};

/// Two servers; only the first one may be connected to, in the tests that allow its address.
struct Site {
    fleet: Fleet,
    dns: Dns,
    env: Environment,
}

impl Site {
    async fn new() -> Self {
        let server = |name: &str| ServerSpec::new(pki().issue(&CertSpec::valid_for(&[name])));
        let fleet = Fleet::start(vec![server("mx.good.test"), server("mx.good.test")]).await.expect("a fleet");
        let dns = Dns::start().await.expect("a responder");
        Self { fleet, dns, env: Environment::new(&pki()) }
    }

    fn ip(&self, place: usize) -> IpAddr {
        self.fleet.ips()[place]
    }

    fn accepted(&self) -> Vec<usize> {
        self.fleet.servers().iter().map(smtp_fleet::Server::accepted).collect()
    }

    /// The configuration with these defaults and targets, of which `PORT` is the port of the servers.
    fn text(&self, defaults: &str, targets: &[&str]) -> String {
        let port = self.fleet.port().to_string();
        let targets: Vec<String> = targets.iter().map(|target| target.replace("PORT", &port)).collect();
        let defaults = format!("resolver: test, interval: 60s, ip_family: any{}", defaults.replace("PORT", &port));
        Environment::yaml(&defaults, &Environment::resolver(&self.dns), &targets)
    }
}

/// The host of `domain` has these addresses.
fn set_mx(dns: &Dns, domain: &str, addresses: &[&str]) {
    let host = format!("mx.{domain}");
    dns.set_mx(domain, &[(10, &host)]);
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
    let of = |v4: bool| addresses.iter().copied().filter(|ip| ip.is_ipv4() == v4).collect::<Vec<_>>();
    for (record_type, of_type) in [(RecordType::A, of(true)), (RecordType::AAAA, of(false))] {
        let answer = if of_type.is_empty() { Answer::NoData } else { Answer::Addresses(of_type) };
        dns.set(&host, record_type, answer);
    }
}

fn series(metric: &str, target: &str, more: &str) -> String {
    format!("smtp_tls_{metric}{{target=\"{target}\"{more}}}")
}

async fn document(address: std::net::SocketAddr, target: &str) -> Value {
    let answer = request(address, "GET", &format!("/api/v1/targets/{target}"), "").await;
    let json: Value = serde_json::from_str(answer.text()).unwrap_or_else(|error| panic!("{error}: {}", answer.text()));
    json["targets"].as_array().and_then(|all| all.first()).cloned().unwrap_or(json)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_others_do_not_lead_to_internal_addresses() {
    let site = Site::new().await;
    let (own, mapped) = (site.ip(0).to_string(), format!("::ffff:{}", site.ip(0)));
    let addresses: &[(&str, &[&str])] = &[
        ("own.test", &[&own]),
        ("mapped.test", &[&mapped]),
        ("loopback.test", &["127.0.0.10"]),
        ("loopback6.test", &["::1"]),
        ("mapped-loopback.test", &["::ffff:127.0.0.1"]),
        ("nat64.test", &["64:ff9b::7f00:1"]),
        ("metadata.test", &["169.254.169.254"]),
        ("unspecified.test", &["0.0.0.0"]),
        ("multicast.test", &["224.0.0.1"]),
        ("many.test", &["127.0.0.10", "::1", "fe80::1", "255.255.255.255"]),
    ];
    for (domain, addresses) in addresses {
        set_mx(&site.dns, domain, addresses);
    }
    // An exchange that is an alias of a name of this host.
    site.dns.set_mx("aliased.test", &[(10, "mx.aliased.test")]);
    site.dns.set("mx.aliased.test", RecordType::CNAME, Answer::Cname("mx.own.test".into()));
    // Without MX records, the domain is the host.
    site.dns.set("implicit.test", RecordType::MX, Answer::NoData);
    site.dns.set_addresses("implicit.test", &[site.ip(0)]);
    // The address is allowed, the port is not.
    site.dns.set_srv("_submission._tcp.ssh.test", &[(0, 0, 22, "ssh.test")]);
    site.dns.set_addresses("ssh.test", &["192.0.2.1".parse().expect("an address")]);
    let mut expected: Vec<(String, &str, u32)> = addresses
        .iter()
        .map(|(domain, all)| (format!("mx:{domain}"), "address_not_allowed", u32::try_from(all.len()).expect("few")))
        .collect();
    expected.extend([
        ("mx:aliased.test".to_owned(), "address_not_allowed", 1),
        ("mx:implicit.test".to_owned(), "address_not_allowed", 1),
        ("submission:ssh.test".to_owned(), "port_not_allowed", 1),
    ]);
    let names: Vec<&str> = expected.iter().map(|(name, ..)| name.as_str()).collect();
    let targets: Vec<String> = names
        .iter()
        .map(|name| match name.split_once(':') {
            Some(("mx", domain)) => format!("{{mx: {domain}, port: PORT}}"),
            _ => format!("{{submission: {}}}", name.trim_start_matches("submission:")),
        })
        .collect();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let text = site.text("", &targets);
    let (service, address) = service(site.env.config(&text), None).await;
    let running = service.start().expect("a service");
    rounds(&running, names.iter().copied()).await;
    let answer = metrics(address).await;
    for (target, reason, count) in &expected {
        let reason_label = format!(",reason=\"{reason}\"");
        check(
            &answer,
            &[
                (series("target_addresses_skipped", target, &reason_label), Some(f64::from(*count))),
                (series("target_lookup_success", target, ""), Some(1.0)),
                (series("probes_total", target, ""), Some(0.0)),
            ],
        );
        let json = document(address, target).await;
        assert_eq!(json["state"], "critical", "{target}: {json:#}");
        let endpoint = &json["endpoints"][0];
        assert_eq!(endpoint["backends"], json!([]), "{target}: {json:#}");
        assert_eq!(endpoint["skipped"], json!([{"reason": reason, "count": count}]), "{target}: {json:#}");
        assert_eq!(json["lookup"]["failures"], json!([]), "{target}: {json:#}");
        assert_eq!(json["advice"][0]["kind"], "addresses_skipped", "{target}: {json:#}");
        let key = if *reason == "port_not_allowed" { "`allow_ports`" } else { "`allow_addresses`" };
        assert!(json["advice"][0]["text"].as_str().is_some_and(|text| text.contains(key)), "{target}: {json:#}");
        let page = request(address, "GET", &format!("/targets/{target}"), "").await;
        let words = format!("not probed: {}", reason.replace('_', " "));
        assert!(page.text().contains(&words), "{target}: {}", page.text());
        assert!(!page.text().contains("no address to probe"), "{target}: {}", page.text());
    }
    assert!(!answer.text().contains("smtp_tls_target_lookup_failure_info{"), "{}", answer.text());
    let many = document(address, "mx:many.test").await;
    let shown: Vec<&str> =
        many["endpoints"][0]["not_allowed"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(shown, ["127.0.0.10", "255.255.255.255", "::1", "fe80::1"]);
    std::fs::write(site.env.folder.path().join("config.yaml"), text).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-tls-exporter"));
    command.args(["check", "--config.file=config.yaml"]).current_dir(site.env.folder.path()).stdin(Stdio::null());
    let output = tokio::task::block_in_place(|| command.output().expect("it runs"));
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}");
    let words = table.split_whitespace().collect::<Vec<_>>().join(" ");
    for (target, reason, _) in &expected {
        let section = words.split_once(&format!("{target} FAILING")).unwrap_or_else(|| panic!("{target}: {table}")).1;
        let (problem, _) = section.split_once("ACTIONS").unwrap_or_else(|| panic!("{target}: {table}"));
        assert!(problem.contains(reason) && !problem.contains("no address to probe"), "{target}: {problem}");
    }
    assert_eq!(site.accepted(), [0, 0], "no server was connected to");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_addresses_and_those_in_the_lists_are_probed() {
    let site = Site::new().await;
    let [first, second] = [0, 1].map(|place| site.ip(place).to_string());
    set_mx(&site.dns, "good.test", &[&first, &second, "0.0.0.0"]);
    let port = site.fleet.port();
    site.dns.set_srv("_submission._tcp.good.test", &[(0, 0, port, "mx.good.test"), (0, 0, 22, "mx.good.test")]);
    // Hosts in the configuration are not restricted.
    let targets = [
        format!("{{mx: good.test, port: PORT, name: one, allow_addresses: [{first}]}}"),
        "{submission: good.test, name: srv, allow_ports: [PORT]}".to_owned(),
        "{host: mx.good.test, port: PORT, name: host}".to_owned(),
    ];
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let text = site.text(", allow_addresses: [127.0.0.0/8]", &targets);
    let (service, address) = service(site.env.config(&text), None).await;
    let running = service.start().expect("a service");
    rounds(&running, ["one", "srv"]).await;
    let of_host = |metric: &str, target: &str| series(metric, target, ",server_name=\"mx.good.test\"");
    let answer = metrics(address).await;
    check(
        &answer,
        &[
            (of_host("target_backends_reachable", "one"), Some(1.0)),
            (series("target_addresses_skipped", "one", ",reason=\"address_not_allowed\""), Some(2.0)),
            (of_host("target_backends_reachable", "srv"), Some(2.0)),
            (series("target_addresses_skipped", "srv", ",reason=\"address_not_allowed\""), Some(1.0)),
            (series("target_addresses_skipped", "srv", ",reason=\"port_not_allowed\""), Some(3.0)),
            (series("target_addresses_skipped", "host", ",reason=\"address_not_allowed\""), None),
        ],
    );
    for (target, state) in [("one", "warning"), ("srv", "warning")] {
        assert_eq!(document(address, target).await["state"], state, "{target}");
    }
    let host = running.handle.round(&TargetName::new("host").expect("a name")).await.expect("a round");
    assert_eq!(host.resolved().count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_lists_take_effect_with_the_reload() {
    let site = Site::new().await;
    let [first, second] = [0, 1].map(|place| site.ip(place).to_string());
    set_mx(&site.dns, "good.test", &[&first, &second]);
    let config = |allowed: &str| {
        let text = site.text(&format!(", allow_addresses: [{allowed}]"), &["{mx: good.test, port: PORT}"]);
        site.env.config(&text)
    };
    let running = support::Running::start(config("127.0.0.0/8"));
    let report = running.round("mx:good.test").await;
    assert_eq!((report.resolved().count(), report.not_allowed()), (2, 0));
    // Even if DNS fails from now on, so that the addresses would be kept.
    site.dns.set("good.test", RecordType::MX, Answer::ServFail);
    for record_type in [RecordType::A, RecordType::AAAA] {
        site.dns.set("mx.good.test", record_type, Answer::ServFail);
    }
    running.handle.reload(config(&first)).await.expect("a reload");
    let fleet = running.handle.fleet();
    let report = fleet.targets.first().expect("a target");
    let left: Vec<String> = report.backends().map(|backend| backend.backend.address.to_string()).collect();
    assert_eq!((left, report.not_allowed()), (vec![first.clone()], 1));
    let report = running.round("mx:good.test").await;
    assert_eq!(report.backends().count(), 1, "it is kept while lookups fail");
    let accepted = site.accepted();
    set_mx(&site.dns, "good.test", &[&first, &second]);
    let report = running.round("mx:good.test").await;
    assert_eq!((report.resolved().count(), report.not_allowed()), (1, 1));
    assert_eq!(site.accepted()[1], accepted[1], "the second server is not connected to");
    running.handle.reload(config("127.0.0.0/8")).await.expect("a reload");
    let report = running.round("mx:good.test").await;
    assert_eq!((report.resolved().count(), report.not_allowed()), (2, 0));
    running.stop().await;
}

/// What a server sends that does not speak SMTP, with the word `SECRET`, and what the failure says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_of_other_services_is_not_shown() {
    let greeting = |bytes: &[u8]| Script {
        greeting: vec![Chunk { pause: Duration::ZERO, bytes: bytes.to_vec() }],
        ..Script::default()
    };
    let ehlo = |lines: &[&str]| Script::with_reply(Step::Ehlo, lines);
    let cases: [(&str, Script, &str); 14] = [
        ("ssh.test", greeting(b"SSH-2.0-OpenSSH_9.2p1 SECRET\r\n"), "SSH"),
        ("http.test", greeting(b"HTTP/1.1 400 SECRET\r\nServer: SECRET\r\n\r\n"), "HTTP"),
        ("imap.test", greeting(b"* OK SECRET\r\n"), "IMAP"),
        ("pop3.test", greeting(b"+OK SECRET\r\n"), "POP3"),
        ("alert.test", greeting(b"\x15\x03\x01\x00\x02\x02\x46SECRET"), "TLS"),
        ("mysql.test", greeting(b"J\x00\x00\x00\x0a8.0.36-SECRET\x00"), "does not speak SMTP"),
        ("redis.test", greeting(b"-ERR SECRET\r\n"), "does not speak SMTP"),
        ("code.test", greeting(b"999 SECRET\r\n"), "does not speak SMTP"),
        ("zero.test", greeting(b"000 SECRET\r\n"), "does not speak SMTP"),
        ("before.test", greeting(b"SECRET\r\n220 mx ESMTP\r\n"), "does not speak SMTP"),
        ("later.test", greeting(b"220-mx ESMTP\r\nSECRET\r\n220 mx\r\n"), "has no code"),
        ("control.test", greeting(b"554 \x00\x1b[31mSECRET\r\n"), "554"),
        ("early.test", greeting(b"220 mx ESMTP\r\nSECRET\r\n"), "before the command"),
        ("ehlo.test", ehlo(&["250-mx", "SECRET", "250 STARTTLS"]), "has no code"),
    ];
    let servers = cases.iter().map(|(host, script, _)| {
        let identity = pki().issue(&CertSpec::valid_for(&[host]));
        let server = ServerSpec::new(identity).with_tls(TlsMode::StartTls).with_script(script.clone());
        (*host, vec![server])
    });
    let site = ServiceFixture::new(servers.collect(), ", timeout: 5s, connect_timeout: 1s").await;
    let paths = ["/metrics", "/", "/api/v1/targets"].map(str::to_owned);
    let of_targets = cases.iter().flat_map(|(host, ..)| [format!("/targets/{host}"), format!("/probe?target={host}")]);
    for path in paths.into_iter().chain(of_targets) {
        let text = request(site.address, "GET", &path, "").await.text().to_owned();
        assert!(!text.contains("SECRET"), "{path}: {text}");
    }
    for (host, _, expected) in &cases {
        let json = document(site.address, host).await;
        let probe = &json["endpoints"][0]["backends"][0]["probe"];
        assert!(probe["detail"].as_str().is_some_and(|detail| detail.contains(expected)), "{host}: {probe:#}");
        assert_eq!(probe["success"], false, "{host}: {probe:#}");
    }
}
