//! Answers that differ between A and AAAA, and name servers that do not support EDNS.

use super::*;
use smtp_fleet::EdnsSupport;

const NO_FAILURE: &[(&str, &str)] = &[];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_of_one_family_does_not_hide_the_other() {
    let dns = Dns::start().await.expect("a name server");
    let (v4, v6) = (IpAddr::from([127, 0, 0, 9]), "::1".parse().expect("an address"));
    let a = || Answer::Addresses(vec![v4]);
    let aaaa = || Answer::Addresses(vec![v6]);
    let both = |reason| vec![("A", reason), ("AAAA", reason)];
    let none = NO_FAILURE.to_vec();
    // The answers, whether the lookup succeeds, the failures, and the severity of the advice about DNS.
    let cases = [
        ("v6-nxdomain", a(), Answer::NxDomain, true, none.clone(), None),
        ("v6-nodata", a(), Answer::NoData, true, none.clone(), None),
        ("v4-nxdomain", Answer::NxDomain, aaaa(), true, none.clone(), None),
        ("v6-servfail", a(), Answer::ServFail, true, vec![("AAAA", "dns_servfail")], Some("warning")),
        ("v6-refused", a(), Answer::Refused, true, vec![("AAAA", "dns_servfail")], Some("warning")),
        ("v6-formerr", a(), Answer::FormErr, true, vec![("AAAA", "dns_servfail")], Some("warning")),
        ("v6-notimp", a(), Answer::NotImp, true, vec![("AAAA", "dns_servfail")], Some("warning")),
        ("v6-timeout", a(), Answer::NoReply, true, vec![("AAAA", "dns_timeout")], Some("warning")),
        ("v6-bogus", a(), Answer::Bogus(vec![v6]), true, vec![("AAAA", "dns_bogus")], Some("warning")),
        ("v4-servfail", Answer::ServFail, aaaa(), true, vec![("A", "dns_servfail")], Some("warning")),
        ("truncated", Answer::Truncated(vec![v4]), Answer::Truncated(vec![v6]), true, none.clone(), None),
        ("neither", Answer::NxDomain, Answer::NxDomain, false, both("nxdomain"), Some("critical")),
        ("empty", Answer::NoData, Answer::NxDomain, false, both("nodata"), Some("critical")),
        ("broken", Answer::ServFail, Answer::ServFail, false, both("dns_servfail"), Some("critical")),
        ("half", Answer::NxDomain, Answer::ServFail, false, vec![("AAAA", "dns_servfail")], Some("critical")),
        ("half-nodata", Answer::ServFail, Answer::NoData, false, vec![("A", "dns_servfail")], Some("critical")),
    ];
    let hosts: Vec<String> = cases.iter().map(|(name, ..)| format!("{name}.test")).collect();
    for (host, (_, a, aaaa, ..)) in hosts.iter().zip(&cases) {
        dns.set(host, RecordType::A, a.clone());
        dns.set(host, RecordType::AAAA, aaaa.clone());
    }
    let names: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let site = Site::new(dns, &names, "resolver: test, ip_family: any", |_, _| {}, |_, _| {}).await;
    site.rounds(&names).await;
    let (code, checked) = site.check();
    assert_eq!(code, Some(1), "some targets fail");
    for (host, (_, _, _, success, expected, severity)) in hosts.iter().zip(&cases) {
        let shown = site.shown(host).await;
        assert_eq!(shown.of_target("lookup_success", host), Some(f64::from(*success)), "{host}");
        for record_type in ["A", "AAAA"] {
            for reason in ["nxdomain", "nodata", "dns_servfail", "dns_timeout", "dns_bogus", "dns_unreachable"] {
                let labels = format!("target=\"{host}\",name=\"{host}\",type=\"{record_type}\",reason=\"{reason}\"");
                let is_shown =
                    shown.metrics.value(&format!("smtp_tls_target_lookup_failure_info{{{labels}}}")).is_some();
                assert_eq!(is_shown, expected.contains(&(record_type, reason)), "{labels}");
            }
        }
        let does_not_exist = expected.first().is_some_and(|(_, reason)| *reason == "nxdomain");
        for json in [&shown.json, target(&checked, host)] {
            assert_eq!(json["lookup"]["success"], *success, "{host}");
            let found = failures(json);
            let found: Vec<(&str, &str)> = found.iter().map(|[_, kind, reason]| (&**kind, &**reason)).collect();
            assert_eq!(&found, expected, "{host}");
            let texts = advice(json, "dns");
            assert!(texts.iter().all(|(found, _)| Some(*found) == *severity), "{host}: {texts:?}");
            assert_eq!(texts.is_empty(), severity.is_none(), "{host}");
            let told = texts.iter().any(|(_, text)| text.contains("does not exist"));
            assert_eq!(told, does_not_exist, "{host}: {texts:?}");
            let backends = usize::from(*success);
            assert!(addresses(json).len() >= backends, "{host}: {json:#}");
        }
        assert_eq!(shown.page.contains("does not exist"), does_not_exist, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backends_of_a_family_that_fails_are_held() {
    const HOST: &str = "held.test";
    let dns = Dns::start().await.expect("a name server");
    let v6: IpAddr = "::1".parse().expect("an address");
    let both = |dns: &Dns, ip| dns.set_addresses(HOST, &[ip, v6]);
    let site = Site::new(dns, &[HOST], "resolver: test, ip_family: any", both, |_, _| {}).await;
    let held = async |what: &str, expected: f64, has_both: bool| {
        site.rounds(&[HOST]).await;
        let shown = site.shown(HOST).await;
        assert_eq!(shown.of_target("held_backends", HOST), Some(expected), "{what}");
        assert_eq!(shown.json["endpoints"][0]["held"], expected as usize, "{what}");
        assert_eq!(addresses(&shown.json).len(), if has_both { 2 } else { 1 }, "{what}");
        assert_eq!(shown.page.contains("keeping known backends"), expected > 0.0, "{what}");
        let resolved =
            format!("target=\"{HOST}\",server_name=\"{}\",backend=\"[::1]:{}\"", profiles::ALIAS, site.fleet.port());
        let resolved = shown.metrics.value(&format!("smtp_tls_backend_resolved{{{resolved},tls=\"starttls\"}}"));
        assert_eq!(resolved, has_both.then_some(1.0), "{what}");
    };
    held("both families", 0.0, true).await;
    for answer in [Answer::ServFail, Answer::Refused, Answer::NotImp, Answer::NoReply] {
        site.dns.set(HOST, RecordType::AAAA, answer.clone());
        held(&format!("AAAA {answer:?}"), 1.0, true).await;
        assert_eq!(site.shown(HOST).await.of_target("lookup_success", HOST), Some(1.0), "{answer:?}");
    }
    site.dns.set(HOST, RecordType::A, Answer::ServFail);
    held("neither family", 2.0, true).await;
    both(&site.dns, site.ip());
    held("both families again", 0.0, true).await;
    // It fails and is no longer in DNS, so it is dropped.
    site.dns.set(HOST, RecordType::AAAA, Answer::NxDomain);
    held("no AAAA records", 0.0, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_reject_edns_are_queried_without_it() {
    const HOST: &str = "plain.test";
    for edns in
        [EdnsSupport::FormErr, EdnsSupport::Header, EdnsSupport::NotImp, EdnsSupport::BadVersion, EdnsSupport::Dropped]
    {
        let dns = Dns::start().await.expect("a name server");
        dns.set_edns(edns);
        // More than 512 bytes: the answer is requested over TCP.
        let many = (0..40).map(|n| IpAddr::from([127, 0, 0, n + 1])).collect();
        let zone = |dns: &Dns, _| dns.set(HOST, RecordType::A, Answer::Addresses(many));
        let site = Site::new(dns, &[HOST], "resolver: test", zone, |_, _| {}).await;
        site.rounds(&[HOST]).await;
        let shown = site.shown(HOST).await;
        assert_eq!(shown.of_target("lookup_success", HOST), Some(1.0), "{edns:?}");
        assert_eq!((failures(&shown.json), addresses(&shown.json).len()), (vec![], 40), "{edns:?}");
        site.dns.set(HOST, RecordType::A, Answer::Addresses(vec![site.ip()]));
        let (code, checked) = site.check();
        assert_eq!((code, failures(target(&checked, HOST))), (Some(0), vec![]), "{edns:?}: {checked:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_an_alias_is_what_does_not_exist() {
    const HOST: &str = "alias.test";
    let dns = Dns::start().await.expect("a name server");
    let zone = |dns: &Dns, _| {
        dns.set(HOST, RecordType::CNAME, Answer::CnameOnly("second.test".into()));
        dns.set("second.test", RecordType::CNAME, Answer::CnameOnly("gone.test".into()));
    };
    let site = Site::new(dns, &[HOST], "resolver: test", zone, |_, _| {}).await;
    site.rounds(&[HOST]).await;
    let shown = site.shown(HOST).await;
    assert!(
        failures(&shown.json).iter().all(|[name, _, reason]| name == HOST && reason == "nxdomain"),
        "{:#}",
        shown.json
    );
    let texts = advice(&shown.json, "dns");
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].1.starts_with("alias.test is an alias (CNAME) of gone.test"), "{texts:?}");
}
