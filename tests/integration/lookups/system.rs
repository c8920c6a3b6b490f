//! `/etc/resolv.conf` in all its forms.

use smtp_tls_exporter::target::{ResolverSpec, SystemResolver};

use super::*;

/// Makes the resolver `system` that of a host with `lines` and the name server in its `resolv.conf`.
pub(super) fn with_system(server: SocketAddr, lines: &str) -> impl FnOnce(&mut Config, &Environment) {
    with_file(server.port(), format!("{lines}nameserver {}\n", server.ip()))
}

fn with_file(port: u16, resolv_conf: impl AsRef<[u8]>) -> impl FnOnce(&mut Config, &Environment) {
    move |config, env| {
        let path = |name: &str| env.folder.path().join(name);
        std::fs::write(path("resolv.conf"), resolv_conf).expect("a file");
        let files = SystemResolver {
            resolv_conf: path("resolv.conf"),
            hosts: path("hosts"),
            port,
            ..SystemResolver::default()
        };
        config.resolvers.insert("system".into(), ResolverSpec::System(files));
    }
}

const HOST: &str = "smtp.example.com";

fn zone(dns: &Dns, ip: IpAddr) {
    dns.set_addresses(HOST, &[ip]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_lines_are_ignored() {
    for (what, lines) in [
        ("a domain that is too long", &*format!("search {}\n", "a".repeat(300))),
        ("a label that is too long", &format!("search {}.test b.test\n", "a".repeat(64))),
        ("invalid domains", "search -- a..b .. \u{fc}\u{2603}.test\n"),
        ("the root", "search .\n"),
        ("no domain", "search\ndomain\n"),
        ("options", "options ndots:5 timeout:1 attempts:1 rotate edns0 trust-ad unknown-thing:3\n"),
        ("options without values", "options ndots: timeout:x attempts:-1 ndots:999999999999999999999\noptions\n"),
        ("other keywords", "sortlist 130.155.160.0/255.255.240.0\nfamily inet4\nlookup file bind\n\u{0}\n"),
        ("comments", "# search a.test\n; nameserver 192.0.2.1\nsearch a.test # b.test\n"),
        ("other line ends", "search a.test\r\noptions ndots:2\r\n"),
        ("tabs and indentation", "search\ta.test\n\t options\tndots:1\n"),
        ("invalid name servers", "nameserver\nnameserver dns.test\nnameserver 192.0.2\nnameserver fe80::1%nowhere\n"),
    ] {
        let dns = Dns::start().await.expect("a name server");
        let server = dns.addr();
        let site = Site::new(dns, &[HOST], "", zone, with_system(server, lines)).await;
        site.rounds(&[HOST]).await;
        let shown = site.shown(HOST).await;
        assert_eq!(shown.of_target("lookup_success", HOST), Some(1.0), "{what}");
        assert_eq!(addresses(&shown.json), [site.ip().to_string()], "{what}");
        assert_eq!(shown.json["healthy"], true, "{what}: {:#}", shown.json);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_name_server_it_is_that_on_localhost() {
    for lines in
        ["", "search a.test\n", "nameserver\n", "nameserver bad\noptions ndots:1\n", "# nameserver 192.0.2.1\n"]
    {
        let dns = Dns::start_on_localhost().await.expect("a name server");
        let port = dns.addr().port();
        let site = Site::new(dns, &[HOST], "", zone, with_file(port, lines)).await;
        site.rounds(&[HOST]).await;
        assert_eq!(addresses(&site.shown(HOST).await.json), [site.ip().to_string()], "{lines:?}");
    }
    // Nothing answers there: the texts say so, and nothing about the zone.
    let dead = Dns::start_on_localhost().await.expect("a name server");
    let port = dead.addr().port();
    drop(dead);
    let unused = Dns::start().await.expect("a name server");
    let site = Site::new(unused, &[HOST], "ip_family: any", zone, move |config, env| {
        with_file(port, "")(config, env);
        std::fs::remove_file(env.folder.path().join("resolv.conf")).expect("the file goes");
        // The domain of this host is searched.
        if let Some(ResolverSpec::System(system)) = config.resolvers.get_mut("system") {
            (system.hostname, system.options) = ("probe.example.net".to_owned(), Some("ndots:5".to_owned()));
        }
    })
    .await;
    site.rounds(&[HOST]).await;
    let shown = site.shown(HOST).await;
    assert_eq!(failures(&shown.json), ["A", "AAAA"].map(|kind| [HOST, kind, "dns_unreachable"].map(str::to_owned)));
    let texts = advice(&shown.json, "dns");
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].1.contains("resolv.conf"), "{texts:?}");
    for word in ["zone", "DNSSEC", "does not exist"] {
        assert!(!texts[0].1.contains(word) && !shown.page.contains(word), "{word}: {texts:?}\n{}", shown.page);
    }
}

/// With `ip_family: auto`, AAAA is queried if this host has an IPv6 address other than loopback and link-local ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aaaa_is_queried_as_this_host_permits() {
    let interfaces = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let has_ipv6 = interfaces.lines().any(|line| !line.starts_with("fe8") && !line.starts_with("000000"));
    for (family, expected) in [("auto", has_ipv6), ("any", true), ("ipv4", false), ("ipv6", true)] {
        let dns = Dns::start().await.expect("a name server");
        let settings = format!("resolver: test, ip_family: {family}");
        let site = Site::new(dns, &[HOST], &settings, zone, |_, _| {}).await;
        site.rounds(&[HOST]).await;
        let queries = site.dns.queries();
        assert_eq!(queries.iter().any(|(_, kind, _)| *kind == RecordType::AAAA), expected, "{family}: {queries:?}");
    }
}
