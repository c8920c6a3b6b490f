//! `check` with answers that change from query to query.

use super::*;

const HOST: &str = "pool.test";

/// The address in the network of `ip` with this last octet.
fn sibling(ip: IpAddr, last: u8) -> IpAddr {
    let IpAddr::V4(ip) = ip else { panic!("an IPv4 address") };
    let [a, b, c, _] = ip.octets();
    [a, b, c, last].into()
}

/// `check` of a host whose server has these sets of the last octets of addresses, in turns, for A queries.
async fn checked(sets: &[&[u8]]) -> (Option<i32>, Value, Site) {
    let dns = Dns::start().await.expect("a name server");
    let zone = |dns: &Dns, ip| {
        let sets = sets.iter().map(|set| set.iter().map(|last| sibling(ip, *last)).collect());
        dns.set(HOST, RecordType::A, Answer::InTurns(sets.collect()));
    };
    let site = Site::new(dns, &[HOST], "resolver: test", zone, |_, _| {}).await;
    let (code, json) = site.check();
    let json = target(&json, HOST).clone();
    (code, json, site)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_the_union_of_answers_that_take_turns() {
    // The mail servers are at the first two addresses; the others refuse connections.
    for (sets, count, varies, code) in [
        (&[&[1][..], &[2]][..], 2, true, 0),
        (&[&[1], &[3]], 2, true, 1),
        (&[&[3], &[1]], 2, true, 1),
        (&[&[1, 2], &[3, 4], &[5, 6]], 6, true, 1),
        (&[&[1], &[]], 1, true, 0),
        (&[&[1]], 1, false, 0),
        (&[&[1, 2], &[2, 1]], 2, false, 0),
    ] {
        for _ in 0..2 {
            let (found, json, site) = checked(sets).await;
            assert_eq!((found, addresses(&json).len()), (Some(code), count), "{sets:?}: {json:#}");
            assert_eq!(json["lookup"]["varies"], varies, "{sets:?}");
            assert_eq!(json["lookup"]["success"], true, "{sets:?}");
            let advice = advice(&json, "answers_vary");
            assert_eq!(advice.len(), usize::from(varies), "{sets:?}");
            assert!(advice.iter().all(|(severity, _)| *severity == "info"), "{sets:?}");
            drop(site);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_asks_once_per_round() {
    let (_, _, site) = checked(&[&[1], &[2]]).await;
    site.rounds(&[HOST]).await;
    let before = site.dns.queries().len();
    site.rounds(&[HOST]).await;
    let queries = site.dns.queries().split_off(before);
    let count = queries.iter().filter(|(name, kind, _)| name == HOST && *kind == RecordType::A).count();
    assert_eq!(count, 2, "two rounds: {queries:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_asks_all_name_servers_and_reports_that_they_differ() {
    let (one, other) = (Dns::start().await.expect("a server"), Dns::start().await.expect("a server"));
    let unused = Dns::start().await.expect("a server");
    let site = Site::new(unused, &[HOST], "resolver: test", |_, _| {}, |_, _| {}).await;
    let path = site.env.folder.path().join("config.yaml");
    let run = |servers: &[SocketAddr]| {
        let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
        let resolver = format!("resolvers: {{test: {{nameservers: {servers:?}}}}}");
        std::fs::write(&path, site.text.replace(&Environment::resolver(&site.dns), &resolver)).expect("a file");
        let (code, json) = site.check();
        (code, target(&json, HOST).clone())
    };
    let servers = [one.addr(), other.addr()];
    let answer = |dns: &Dns, last: u8| dns.set(HOST, RecordType::A, Answer::Addresses(vec![sibling(site.ip(), last)]));
    answer(&one, 1);
    answer(&other, 1);
    let (code, json) = run(&servers);
    assert_eq!((code, &json["lookup"]["varies"], addresses(&json).len()), (Some(0), &Value::from(false), 1));
    // Each has a part of the pool: that may be intended, since these servers are not configured to be compared.
    answer(&other, 2);
    let (code, json) = run(&servers);
    assert_eq!((code, &json["lookup"]["varies"], addresses(&json).len()), (Some(0), &Value::from(true), 2));
    assert_eq!((advice(&json, "answers_vary").len(), &json["lookup"]["disagree"]), (1, &Value::Null));
    // One that fails is no problem: the other one is queried instead.
    for failing in [Answer::ServFail, Answer::NoReply] {
        other.set(HOST, RecordType::A, failing.clone());
        other.set(HOST, RecordType::AAAA, failing);
        let (code, json) = run(&servers);
        assert_eq!((code, failures(&json), addresses(&json).len()), (Some(0), vec![], 1), "{json:#}");
    }
}
