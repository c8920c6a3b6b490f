//! Names that are looked up with the search list of the host.

use std::sync::Arc;

use super::system::with_system;
use super::*;
use smtp_tls_exporter::config::OneOffs;
use smtp_tls_exporter::target::{Allow, AllowPattern};

const LIST: &str = "search mail.svc.cluster.test svc.cluster.test cluster.test\noptions ndots:5\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finds_cluster_names_in_the_order_of_libc() {
    use Answer::{NoData, NxDomain, Refused, ServFail};
    use RecordType::{A, AAAA};
    let name = "smtp.mail.svc";
    let names =
        ["smtp.mail.svc.mail.svc.cluster.test", "smtp.mail.svc.svc.cluster.test", "smtp.mail.svc.cluster.test", name];
    // The answer for each candidate in this order, `None` for an address; then the index of the one that is used, and how
    // many of them are queried.
    let cases = [
        ("the third", [Some(NxDomain), Some(NxDomain), None, None], Some(2), 3, &[][..]),
        ("after a name without addresses", [Some(NoData), Some(NxDomain), None, None], Some(2), 3, &[]),
        ("the first", [None, None, None, None], Some(0), 1, &[]),
        ("as written, at last", [Some(NxDomain), Some(NxDomain), Some(NxDomain), None], Some(3), 4, &[]),
        ("none", [Some(NxDomain), Some(NxDomain), Some(NxDomain), Some(NxDomain)], None, 4, &[(3, "nxdomain")]),
        (
            "none, one with other records",
            [Some(NoData), Some(NxDomain), Some(NxDomain), Some(NxDomain)],
            None,
            4,
            &[(3, "nxdomain")],
        ),
        ("SERVFAIL", [Some(NxDomain), Some(ServFail), None, None], None, 2, &[(1, "dns_servfail")]),
        ("REFUSED", [Some(Refused), None, None, None], None, 1, &[(0, "dns_servfail")]),
    ];
    for (what, answers, used, queried, failed) in cases {
        let dns = Dns::start().await.expect("a name server");
        let server = dns.addr();
        let zone = |dns: &Dns, ip| {
            for (candidate, answer) in names.iter().zip(answers) {
                dns.set(candidate, A, answer.clone().unwrap_or_else(|| Answer::Addresses(vec![ip])));
                dns.set(candidate, AAAA, answer.unwrap_or(NxDomain));
            }
        };
        let site = Site::new(dns, &[name], "ip_family: any", zone, with_system(server, LIST)).await;
        site.rounds(&[name]).await;
        let before = site.dns.queries().len();
        rounds(&site.running, [name]).await;
        let mut asked: Vec<String> = site.dns.queries().split_off(before).into_iter().map(|(name, ..)| name).collect();
        asked.retain(|name| name.starts_with("smtp.mail"));
        asked.dedup();
        assert_eq!(asked, names[..queried], "{what}");
        let shown = site.shown(name).await;
        let found_as = used.map(|index| names[index]).filter(|found| *found != name);
        assert_eq!(shown.json["endpoints"][0]["found_as"].as_str(), found_as, "{what}");
        assert_eq!(shown.of_target("lookup_success", name), Some(f64::from(used.is_some())), "{what}");
        let reported = failures(&shown.json);
        let expected: Vec<[String; 3]> = failed
            .iter()
            .flat_map(|(index, reason)| ["A", "AAAA"].map(|kind| [names[*index], kind, reason].map(str::to_owned)))
            .collect();
        assert_eq!(reported, expected, "{what}");
        let info = found_as.map(|found| {
            let labels = format!("target=\"{name}\",server_name=\"{}\",name=\"{found}\"", profiles::ALIAS);
            shown.metrics.value(&format!("smtp_tls_endpoint_found_name_info{{{labels}}}"))
        });
        assert!(info.is_none_or(|info| info == Some(1.0)), "{what}");
        assert_eq!(found_as.is_some(), shown.metrics.text().contains("\nsmtp_tls_endpoint_found_name_info{"), "{what}");
        assert_eq!(shown.page.contains("Found in DNS as"), found_as.is_some(), "{what}");
        let is_absent = failed.iter().any(|(_, reason)| *reason == "nxdomain");
        assert_eq!(
            shown.json["lookup"]["searched"].as_array().map(Vec::len),
            Some(if is_absent { 3 } else { 0 }),
            "{what}"
        );
        // The certificate matches the configured name.
        let backend = &shown.json["endpoints"][0]["backends"][0];
        assert_eq!(backend["name"]["match"].as_bool(), used.map(|_| true), "{what}: {backend:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_with_a_trailing_dot_and_hosts_of_records_are_not_searched() {
    let dns = Dns::start().await.expect("a name server");
    let server = dns.addr();
    let zone = |dns: &Dns, ip| dns.set_addresses("smtp.mail.svc.cluster.test", &[ip]);
    let site = Site::new(dns, &["smtp.mail.svc."], "", zone, with_system(server, LIST)).await;
    site.rounds(&["smtp.mail.svc"]).await;
    let shown = site.shown("smtp.mail.svc").await;
    assert_eq!(failures(&shown.json)[0], ["smtp.mail.svc", "A", "nxdomain"]);
    assert!(site.dns.queries().iter().all(|(name, ..)| name == "smtp.mail.svc"), "{:?}", site.dns.queries());

    let dns = Dns::start().await.expect("a name server");
    dns.set_mx("mail.svc", &[(10, "mx.svc")]);
    dns.set_addresses("mx.svc.cluster.test", &["192.0.2.1".parse().expect("an address")]);
    dns.set_mx("other.svc.cluster.test", &[(10, "mx.svc")]);
    let server = dns.addr();
    let env = Environment::new(&pki());
    let targets = ["{mx: mail.svc}", "{mx: other.svc}", "{submission: mail.svc}"].map(str::to_owned);
    let mut config = env.config(&Environment::yaml("interval: 1h", "", &targets));
    with_system(server, LIST)(&mut config, &env);
    let running = support::Running::start(config);
    for (target, expected) in [
        ("mx:mail.svc", "mx.svc A nxdomain"),
        ("mx:other.svc", "other.svc MX nxdomain"),
        ("submission:mail.svc", "_submissions._tcp.mail.svc SRV nxdomain"),
    ] {
        let report = running.round(target).await;
        let failure = report.lookup.as_ref().expect("a lookup").failures.first().expect("a failure").clone();
        assert_eq!(format!("{} {} {}", failure.name, failure.record_type, failure.reason), expected);
    }
    assert!(dns.queries().iter().all(|(name, ..)| name.ends_with(".svc")), "{:?}", dns.queries());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hosts_file_is_searched_for_the_name_as_written() {
    let dns = Dns::start().await.expect("a name server");
    let server = dns.addr();
    let zone = |dns: &Dns, ip| {
        dns.set_addresses("smtp.mail.svc.cluster.test", &[ip]);
        dns.set_addresses("other.svc.cluster.test", &[ip]);
    };
    let site = Site::new(dns, &["smtp.mail.svc", "other.svc"], "", zone, |config, env| {
        with_system(server, LIST)(config, env);
        let hosts = "127.0.0.7 smtp.mail.svc\n127.0.0.8 other.svc.mail.svc.cluster.test\n";
        std::fs::write(env.folder.path().join("hosts"), hosts).expect("a file");
    })
    .await;
    site.rounds(&["smtp.mail.svc", "other.svc"]).await;
    let (smtp, other) = (site.shown("smtp.mail.svc").await, site.shown("other.svc").await);
    assert_eq!(addresses(&smtp.json), ["127.0.0.7"]);
    assert_eq!(smtp.json["endpoints"][0]["found_as"], Value::Null);
    assert_eq!(addresses(&other.json), [site.ip().to_string()]);
    assert_eq!(other.json["endpoints"][0]["found_as"], "other.svc.cluster.test");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_off_targets_are_searched_as_configured_ones() {
    let dns = Dns::start().await.expect("a name server");
    let server = dns.addr();
    let zone = |dns: &Dns, ip| dns.set_addresses("smtp.mail.svc.cluster.test", &[ip]);
    let site = Site::new(dns, &["other.test"], "", zone, |config, env| {
        with_system(server, LIST)(config, env);
        let settings = Arc::clone(&config.targets[0].settings);
        let pattern = |text: &str| text.parse::<AllowPattern>().expect("a pattern");
        let allow = Allow::new([pattern("smtp.mail.svc"), pattern("127.0.0.0/8")]);
        config.one_offs = Some(OneOffs { allow, settings });
    })
    .await;
    for (target, found) in [("smtp.mail.svc:25", true), ("smtp.mail.svc.:25", false)] {
        let answer = request(site.address, "GET", &format!("/probe?target={target}"), "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let info = "smtp_tls_endpoint_found_name_info{target=\"smtp.mail.svc:25\",server_name=\"smtp.mail.svc\",\
                    name=\"smtp.mail.svc.cluster.test\"}";
        assert_eq!(answer.value(info), found.then_some(1.0), "{target}: {}", answer.text());
    }
}
