//! What accepted configs contain.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{PemFiles, Site, accepted, name, without_files};
use crate::config::{Config, ErrorKind, yaml};
use crate::target::{EhloName, HostTarget, IpFamily, ProbeSettings, ResolverSpec, Target, TargetKind, TlsMode};

/// The only target of this text.
#[track_caller]
fn only(text: &str) -> Arc<Target> {
    let config = accepted(text);
    let [target] = config.targets.as_slice() else { panic!("one target in {text}") };
    Arc::clone(target)
}

/// The settings of a target with these keys.
#[track_caller]
fn settings(defaults: &str, target: &str) -> ProbeSettings {
    let text = format!("defaults: {{{defaults}}}\ntargets: [{{host: a.test, trust: mozilla, {target}}}]");
    ProbeSettings::clone(&only(&text).settings)
}

fn host(target: &Target) -> &HostTarget {
    match &target.kind {
        TargetKind::Host(host) => host,
        other => panic!("{other:?}"),
    }
}

/// Settings with these values, otherwise those of an empty target with Mozilla's roots.
fn settings_of(
    [interval, timeout, connect_timeout, backend_retention]: [Duration; 4],
    ehlo_name: &str,
    ip_family: IpFamily,
    samples: u32,
    expect_names: &[&str],
) -> ProbeSettings {
    ProbeSettings {
        interval,
        timeout,
        connect_timeout,
        ehlo_name: EhloName::Name(ehlo_name.into()),
        ip_family,
        backend_retention,
        samples,
        expect_names: expect_names.iter().copied().map(name).collect(),
        ..settings("", "")
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_host_may_be_written_with_a_trailing_dot() {
    let config = accepted("targets: [{host: [a.test, b.test.], trust: mozilla}, {host: c.test., trust: mozilla}]");
    let hosts = config.targets.iter().map(|target| (host(target).host.to_string(), host(target).is_qualified));
    let expected = [("a.test", false), ("b.test", true), ("c.test", true)];
    assert_eq!(hosts.collect::<Vec<_>>(), expected.map(|(host, is_qualified)| (host.to_owned(), is_qualified)));
}

#[test]
fn omitted_keys_have_built_in_defaults() {
    let target = only("targets: [{host: SMTP.example.com., trust: mozilla}]");
    assert_eq!(target.name.as_str(), "smtp.example.com:587");
    assert_eq!(target.labels.iter().count(), 0);
    let host = host(&target);
    assert_eq!(host.host, name("smtp.example.com"));
    assert_eq!(host.addresses, [] as [IpAddr; 0]);
    assert_eq!(host.endpoint.server_name, host.host);
    assert_eq!((host.endpoint.port, host.endpoint.tls), (587, TlsMode::StartTls));

    let settings = &target.settings;
    assert_eq!(
        (settings.interval, settings.timeout, settings.connect_timeout),
        (seconds(300), seconds(20), seconds(5))
    );
    assert_eq!(settings.ehlo_name, crate::config::machine::this_machine());
    assert_eq!(settings.ip_family, IpFamily::Auto);
    assert_eq!((settings.backend_retention, settings.samples), (seconds(3600), 1));
    assert_eq!(settings.expect_names, []);
    assert_eq!((&*settings.trust, &*settings.resolver), ("mozilla", "system"));
    assert_eq!((&settings.client_certificate, &settings.certificate_file), (&None, &None));

    let config = accepted("targets: [{host: a.test, trust: mozilla}]");
    assert_eq!(config.limits.concurrent_probes, None);
    assert_eq!(config.limits.backends_per_target, 64);
}

#[test]
fn reads_every_key_of_a_target() {
    let text = "
resolvers: {public: {nameservers: [192.0.2.53]}}
targets:
  - host: bücher.example
    port: 2525
    tls: implicit
    name: relay
    labels: {team: mail, tier: '1', empty: ''}
    addresses: [192.0.2.10, '2001:db8::10', '::ffff:192.0.2.11']
    server_name: mail.example.com
    interval: 1m30s
    timeout: 10s
    connect_timeout: 500ms
    ehlo_name: Probe.Example.NET
    ip_family: ipv6
    backend_retention: 0
    samples: 3
    expect_names: [mx.example.com, 192.0.2.10]
    trust: mozilla
    resolver: public
";
    let target = only(text);
    assert_eq!(target.name.as_str(), "relay");
    assert_eq!(target.labels.iter().collect::<Vec<_>>(), [("empty", ""), ("team", "mail"), ("tier", "1")]);
    let host = host(&target);
    assert_eq!(host.host, name("xn--bcher-kva.example"));
    let addresses = ["192.0.2.10", "2001:db8::10", "192.0.2.11"].map(|ip| ip.parse::<IpAddr>().expect("an address"));
    assert_eq!(host.addresses, addresses);
    assert_eq!(host.endpoint.server_name, name("mail.example.com"));
    assert_eq!((host.endpoint.port, host.endpoint.tls), (2525, TlsMode::Implicit));
    let times = [seconds(90), seconds(10), Duration::from_millis(500), Duration::ZERO];
    let names = ["mx.example.com", "192.0.2.10"];
    let expected = settings_of(times, "probe.example.net", IpFamily::Ipv6, 3, &names);
    assert_eq!(*target.settings, ProbeSettings { resolver: "public".into(), ..expected });
    assert_eq!(&*target.settings.trust, "mozilla");
}

#[test]
fn keys_of_a_target_override_defaults() {
    let defaults = "interval: 1m, timeout: 30s, connect_timeout: 2s, ehlo_name: '[192.0.2.1]', ip_family: any, \
                    backend_retention: 1d, samples: 2, expect_names: [b.test], resolver: system";
    let inherited = settings_of([60, 30, 2, 86_400].map(seconds), "[192.0.2.1]", IpFamily::Any, 2, &["b.test"]);
    assert_eq!(settings(defaults, ""), inherited);

    let own = "interval: 2m, timeout: 40s, connect_timeout: 3s, ehlo_name: a.test, ip_family: ipv4, \
               backend_retention: 2h, samples: 1, expect_names: []";
    let overridden = settings_of([120, 40, 3, 7200].map(seconds), "a.test", IpFamily::Ipv4, 1, &[]);
    assert_eq!(settings(defaults, own), overridden);
}

#[test]
fn lists_of_a_target_replace_those_of_defaults() {
    let text = "
defaults: {allow_addresses: [127.0.0.0/8, '::1/128'], allow_ports: [10025]}
targets:
  - {mx: a.test, trust: mozilla}
  - {mx: b.test, trust: mozilla, allow_addresses: [169.254.1.1, '::ffff:127.0.0.0/104', '64:ff9b::127.0.0.0/104']}
  - {submission: c.test, trust: mozilla, allow_addresses: [], allow_ports: [1, 65535]}
  - {host: d.test, trust: mozilla}
";
    let config = accepted(text);
    let found = config.targets.iter().map(|target| {
        let networks: Vec<String> = target.settings.allow_addresses.iter().map(ToString::to_string).collect();
        (networks.join(" "), target.settings.allow_ports.clone())
    });
    let expected = [
        ("127.0.0.0/8 ::1", vec![10_025]),
        ("169.254.1.1 127.0.0.0/8 64:ff9b::7f00:0/104", vec![10_025]),
        ("", vec![1, 65_535]),
        ("127.0.0.0/8 ::1", vec![10_025]),
    ];
    assert_eq!(found.collect::<Vec<_>>(), expected.map(|(networks, ports)| (networks.to_owned(), ports)));
}

#[test]
fn built_in_timeouts_shrink_to_fit() {
    #[track_caller]
    fn check(defaults: &str, target: &str, millis: [u64; 3]) {
        let settings = settings(defaults, target);
        let found = [settings.interval, settings.timeout, settings.connect_timeout];
        assert_eq!(found, millis.map(Duration::from_millis), "{defaults} | {target}");
    }
    check("", "interval: 10s", [10_000, 10_000, 5_000]);
    check("interval: 10s", "", [10_000, 10_000, 5_000]);
    check("", "interval: 3s", [3_000, 3_000, 3_000]);
    check("", "timeout: 2s", [300_000, 2_000, 2_000]);
    check("timeout: 2s", "", [300_000, 2_000, 2_000]);
    check("timeout: 1m", "interval: 1m", [60_000, 60_000, 5_000]);
    check("connect_timeout: 20s", "", [300_000, 20_000, 20_000]);
    check(
        "interval: 10s, timeout: 10s",
        "interval: 1h, timeout: 30s, connect_timeout: 30s",
        [3_600_000, 30_000, 30_000],
    );
}

#[test]
fn each_host_of_a_list_becomes_a_target() {
    let hosts = "[a.test, 192.0.2.1, '2001:DB8::1', '[2001:db8::2]']";
    let config =
        accepted(&format!("targets:\n  - {{host: {hosts}, port: 465, trust: mozilla, labels: {{team: x}}}}\n"));
    let names: Vec<_> = config.targets.iter().map(|target| target.name.as_str()).collect();
    assert_eq!(names, ["a.test:465", "192.0.2.1:465", "[2001:db8::1]:465", "[2001:db8::2]:465"]);
    for target in &config.targets {
        let host = host(target);
        assert_eq!(host.endpoint.server_name, host.host);
        assert_eq!(host.endpoint.tls, TlsMode::Implicit);
        assert_eq!(target.labels.iter().collect::<Vec<_>>(), [("team", "x")]);
        assert!(Arc::ptr_eq(&target.settings, &config.targets[0].settings));
    }
}

#[test]
fn tls_mode_defaults_to_that_of_the_port() {
    let mode = |keys: &str| host(&only(&format!("targets: [{{host: a.test, trust: mozilla, {keys}}}]"))).endpoint.tls;
    assert_eq!(mode("port: 25"), TlsMode::StartTls);
    assert_eq!(mode("port: 465"), TlsMode::Implicit);
    assert_eq!(mode("port: 465, tls: starttls"), TlsMode::StartTls);
    assert_eq!(mode("port: 25, tls: implicit"), TlsMode::Implicit);
}

#[test]
fn targets_may_share_an_endpoint() {
    let config = accepted("defaults: {trust: mozilla}\ntargets: [{host: a.test}, {host: a.test, name: again}]");
    assert_eq!(host(&config.targets[0]), host(&config.targets[1]));
}

#[test]
fn ehlo_names_are_normalized_to_ascii() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let settings = settings("", &format!("ehlo_name: \"{text}\""));
        assert_eq!(settings.ehlo_name, EhloName::Name(expected.into()));
    }
    check("probe.example.net", "probe.example.net");
    check("Probe.Example.NET.", "probe.example.net");
    check("sonde.bücher.example", "sonde.xn--bcher-kva.example");
    check("[192.0.2.1]", "[192.0.2.1]");
    check("[IPv6:2001:DB8:0::1]", "[IPv6:2001:db8::1]");
    check("[ipv6:2001:db8::1]", "[IPv6:2001:db8::1]");
}

#[test]
fn name_servers_default_to_port_53() {
    let text = "
resolvers:
  unused: {nameservers: [192.0.2.1]}
  public:
    nameservers: [192.0.2.53, '192.0.2.54:5353', '[2001:db8::1]:5353', '2001:db8::1', '[2001:db8::2]', 2001:db8::3]
    compare: true
targets: [{host: a.test, trust: mozilla, resolver: public}]
";
    let config = accepted(text);
    let servers = [
        "192.0.2.53:53",
        "192.0.2.54:5353",
        "[2001:db8::1]:5353",
        "[2001:db8::1]:53",
        "[2001:db8::2]:53",
        "[2001:db8::3]:53",
    ];
    let name_servers = servers.map(|server| server.parse::<SocketAddr>().expect("an address")).to_vec();
    let expected = [("public".into(), ResolverSpec::Listed { name_servers, compare: true })];
    assert_eq!(config.resolvers, expected.into());

    let config = accepted("targets: [{host: a.test, trust: mozilla}]");
    let system = config.resolvers.into_iter().collect::<Vec<_>>();
    assert!(matches!(&system[..], [(name, ResolverSpec::System(system))] if &**name == "system" && system.port == 53));
}

#[test]
fn loads_only_the_trust_stores_in_use() {
    let text = "
trust_stores:
  own: {files: [PEM/ca.pem, PEM/two.pem]}
  more: {roots: mozilla, files: [PEM/ca.pem]}
  mixed: {files: [PEM/mixed.pem]}
  unused: {files: [PEM/ca.pem]}
targets:
  - {host: a.test, trust: own}
  - {host: b.test, trust: more}
  - {host: c.test, trust: mozilla}
  - {host: d.test, trust: own}
  - {host: e.test, trust: mixed}
";
    let config = accepted(text);
    let sizes: Vec<_> = config.trust_stores.iter().map(|(name, store)| (&**name, store.roots().len())).collect();
    let mozilla = webpki_roots::TLS_SERVER_ROOTS.len();
    assert_eq!(sizes, [("mixed", 2), ("more", mozilla + 1), ("mozilla", mozilla), ("own", 3)]);
    assert!(config.trust_stores.iter().all(|(name, store)| **name == *store.name()));
}

#[test]
fn paths_are_relative_to_the_config_file() {
    let text = "
trust_stores: {own: {files: [ca.pem]}}
targets:
  - host: a.test
    trust: own
    certificate_file: later.pem
    client_certificate: {cert: client.pem, key: client.key}
";
    let pem = PemFiles::shared();
    let folder = Path::new(pem.path());
    pem.0.write("relative.yaml", text);
    let config = Config::load(&folder.join("relative.yaml")).expect("a config");
    let settings = &config.targets[0].settings;
    assert_eq!(settings.certificate_file.as_deref(), Some(folder.join("later.pem").as_path()));
    assert_eq!(settings.client_certificate.as_ref().map(|certificate| certificate.chain.len()), Some(1));
    assert_eq!(config.trust_stores["own"].roots().len(), 1);

    let absolute = only("targets: [{host: a.test, trust: mozilla, certificate_file: /etc/ssl/mail.pem}]");
    assert_eq!(absolute.settings.certificate_file.as_deref(), Some(Path::new("/etc/ssl/mail.pem")));
}

#[test]
fn equal_policies_are_shared() {
    let client = "client_certificate: {cert: PEM/client.pem, key: PEM/both.key}";
    let mut text = "defaults: {trust: mozilla, interval: 1m}\ntargets:\n".to_owned();
    for number in 0..3_000 {
        text.push_str(&format!("  - {{host: a{number}.test}}\n"));
        text.push_str(&format!("  - {{host: b{number}.test, interval: 60s}}\n"));
        text.push_str(&format!("  - {{host: c{number}.test, {client}}}\n"));
        text.push_str(&format!("  - {{host: d{number}.test, certificate_file: /etc/ssl/{number}.pem}}\n"));
    }
    let started = Instant::now();
    let config = accepted(&text);
    assert!(started.elapsed() < seconds(20), "took {:?}", started.elapsed());
    assert_eq!(config.targets.len(), 12_000);
    let mut policies: Vec<_> = config.targets.iter().map(|target| Arc::as_ptr(&target.settings)).collect();
    policies.sort_unstable();
    policies.dedup();
    assert_eq!(policies.len(), 3_002, "one for each certificate file, and two that are shared");
}

#[test]
fn accepts_aliases_and_blank_sections() {
    let text = "
%YAML 1.2
---
defaults:
trust_stores:
resolvers:
limits:
targets:
  - host: a.test
    trust: mozilla
    labels: &labels
      team: '[[[ {{{ # no comment'
  - {host: b.test, trust: mozilla, labels: *labels}
"
    .trim_start();
    let config = accepted(text);
    assert_eq!(config.targets[0].labels, config.targets[1].labels);
}

#[test]
fn accepts_merge_keys_and_ignores_x_keys() {
    let text = "
x-common: &common {port: 465, trust: mozilla, labels: &team {team: mail}}
x-slow: &slow {interval: 1h, port: 25}
defaults:
  <<: {timeout: 7s}
targets:
  - {<<: *common, host: a.test}
  - {host: b.test, port: 2525, <<: [*common, *slow]}
  - <<: *common
    host: c.test
    labels: {<<: *team, tier: gold}
  - {<<: *slow, <<: *common, host: d.test}
";
    let config = accepted(text);
    let labels = |target: &Target| target.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
    let found: Vec<_> = config
        .targets
        .iter()
        .map(|target| (target.name.as_str(), target.settings.interval.as_secs(), labels(target)))
        .collect();
    assert_eq!(
        found,
        [
            ("a.test:465", 300, "team=mail".to_owned()),
            ("b.test:2525", 3600, "team=mail".to_owned()),
            ("c.test:465", 300, "team=mail,tier=gold".to_owned()),
            ("d.test:25", 3600, "team=mail".to_owned()),
        ]
    );
    assert!(config.targets.iter().all(|target| target.settings.timeout == seconds(7)));
    assert_eq!(config.warnings, [] as [String; 0]);
}

#[test]
fn accepts_byte_order_marks_and_crlf() {
    let text = "defaults: {trust: mozilla}\ntargets:\n  - host: a.test\n    labels:\n      team: mail\n";
    let plain = without_files(&accepted(text));
    for other in [format!("\u{feff}{text}"), text.replace('\n', "\r\n"), format!("\u{feff}---\n{text}...\n")] {
        assert_eq!(without_files(&accepted(&other)), plain, "{other:?}");
        let site = Site::default();
        site.write("config.yaml", &other);
        assert_eq!(without_files(&site.config()), plain, "{other:?}");
    }
}

#[test]
fn accepts_utf_16_and_declared_tags() {
    let text = "%TAG !e! tag:yaml.org,2002:\n---\ntargets: [{host: !e!str bücher.example, trust: mozilla}]\n";
    let site = Site::default();
    let units = "\u{feff}".encode_utf16().chain(text.encode_utf16());
    site.write("config.yaml", units.flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    assert_eq!(without_files(&site.config()), without_files(&accepted(text)));
}

#[test]
fn only_flow_collections_count_as_nesting() {
    #[track_caller]
    fn check(text: &str, is_allowed: bool) {
        let is_too_large = yaml::parse(text, false).is_err_and(|fault| fault.kind == ErrorKind::TooLarge);
        assert_eq!(is_too_large, !is_allowed, "{}", text.chars().take(60).collect::<String>());
    }
    let many = "[".repeat(100);
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    check(&nested(64), true);
    check(&nested(65), false);
    check(&nested(5_000), false);
    check(&many, false);
    check(&format!("- - ? {many}"), false);
    check(&format!("a: &anchor {many}"), false);
    check(&"[{\n".repeat(100), false);
    check(&"{a: ".repeat(100), false);
    check(&"[a, 'b', \"c\", ".repeat(100), false);
    check(&"[ don't ,".repeat(100), false);
    check(&format!("a: |\n  x\nb: {many}"), false);
    check(&format!("a: x#y\nb: {many}"), false);
    check(&"- [] \n- {}\n".repeat(100), true);
    check(&"- a: [x, {b: c}]\n".repeat(100), true);
    for text in
        ["a: '{}'", "a: 'it''s {}'", "a: \"\\\"{}\"", "a: \"x\n  {}\"", "a: x{}", "a: don't {}", "a: x # {}", "# {}"]
    {
        check(&text.replace("{}", &many), true);
    }
    check(&format!("a: |\n  {many}\n\n  {many}\nb: c"), true);
    for text in
        ["rock 'n roll", "rock, \"n roll", "'it''s [[[ {{{'", "&a '[[['", "!!str \"[[[\"", "it's \" # don't '[[["]
    {
        let lines = "- {a: 'b', c: \"d\", e: [x]}\n".repeat(5_000);
        check(&format!("- a: {text}\n{lines}"), true);
    }
    check(&format!("- a: >-\n    {many}\n  b: c"), true);
}

#[test]
fn warns_of_values_that_look_like_environment_variables() {
    #[track_caller]
    fn check(value: &str, is_variable: bool) {
        let text = format!("targets:\n  - host: a.test\n    trust: mozilla\n    name: '{value}'\n");
        let expected = format!(
            "config.yaml: targets[0].name: `{value}` is used as it is: environment variables are not expanded (line 4, \
             column 11)"
        );
        let expected = if is_variable { vec![expected] } else { vec![] };
        assert_eq!(accepted(&text).warnings, expected, "{value}");
    }
    for value in [
        "${NAME}",
        "$NAME",
        "mail-${NAME}.test",
        "$_x1",
        "${a}${b}",
        "${NAME:-mail}",
        "${NAME-x}",
        "${NAME:?unset}",
        "${NAME+x}",
        "${a:=${b}}",
        "mail-$ENV",
        "$TEAM-x",
        "$TEAM.x",
        "$5 $MAIL_2/x",
        "$$NAME",
    ] {
        check(value, true);
    }
    let hosts: String = (0..3_000).map(|number| format!("  - {{host: a{number}.test, name: $A{number}}}\n")).collect();
    let config = accepted(&format!("defaults: {{trust: mozilla}}\ntargets:\n{hosts}"));
    assert_eq!(config.warnings.len(), 11, "ten, and one with their number");
    assert!(config.warnings[10].contains("3,000 values"), "{:?}", config.warnings);
    for value in [
        "$",
        "$$",
        "$5",
        "a$b",
        "${}",
        "${NAME",
        "${5}",
        "${a b}",
        "{NAME}",
        "cost: $ 5",
        "US$5M",
        "a$B",
        "pa$SWord",
        "$a b",
    ] {
        check(value, false);
    }
}
