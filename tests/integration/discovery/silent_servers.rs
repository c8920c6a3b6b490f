//! Name servers that do not answer: they cost few timeouts and get few queries.

use super::*;

/// Enough for a timeout to count.
const SHORT: Duration = Duration::from_millis(700);

/// Resolves all of the names at once, and returns how many have an address.
async fn find_all(resolvers: &Resolvers, names: &[String], timeout: Duration) -> usize {
    let found = join_all(names.iter().map(|name| find(resolvers, host(name), IpFamily::Ipv4, timeout))).await;
    found.iter().filter(|found| !only(found).addresses.is_empty()).count()
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}.test")).collect()
}

fn set(dns: &Dns, names: &[String], answer: &Answer) {
    names.iter().for_each(|name| dns.set(name, RecordType::A, answer.clone()));
}

#[tokio::test]
async fn a_silent_name_server_costs_one_timeout() {
    let (silent, replying) = (Dns::start().await.expect("a responder"), Dns::start().await.expect("a responder"));
    let names = names("host", 10);
    set(&silent, &names, &Answer::NoReply);
    set(&replying, &names, &Answer::Addresses(ips(&["192.0.2.1"])));
    let both = resolvers(vec![silent.addr(), replying.addr()], false);
    for name in &names {
        assert_eq!(find_all(&both, std::slice::from_ref(name), TIMEOUT).await, 1, "{name}");
    }
    assert_eq!(queried(&silent), BTreeSet::from(["host0.test".to_owned()]));
}

#[tokio::test]
async fn few_queries_at_a_time_go_to_servers_that_are_all_silent() {
    let dns = Dns::start().await.expect("a responder");
    let (first, second) = (names("first", 20), names("second", 20));
    set(&dns, &first, &Answer::NoReply);
    set(&dns, &second, &Answer::NoReply);
    let resolvers = resolvers(vec![dns.addr()], false);
    assert_eq!(find_all(&resolvers, &first, SHORT).await, 0);
    assert_eq!(queried(&dns).len(), 20);
    assert_eq!(find_all(&resolvers, &second, SHORT).await, 0);
    assert_eq!(queried(&dns).len(), 20 + 4);
    // It answers again: nobody has to wait.
    set(&dns, &second, &Answer::Addresses(ips(&["192.0.2.1"])));
    assert_eq!(find_all(&resolvers, &second, TIMEOUT).await, 20);
    set(&dns, &first, &Answer::Addresses(ips(&["192.0.2.1"])));
    assert_eq!(find_all(&resolvers, &first, SHORT).await, 20);
}

#[tokio::test]
async fn a_lame_zone_does_not_limit_the_queries_for_other_names() {
    let dns = Dns::start().await.expect("a responder");
    let (lame, other) = (names("lame", 14), names("other", 2));
    set(&dns, &lame, &Answer::NoReply);
    set(&dns, &other, &Answer::Addresses(ips(&["192.0.2.1"])));
    let resolvers = resolvers(vec![dns.addr()], false);
    for (lame, other) in lame.chunks(7).zip(&other) {
        assert_eq!(find_all(&resolvers, lame, SHORT).await, 0);
        assert_eq!(find_all(&resolvers, std::slice::from_ref(other), TIMEOUT).await, 1);
    }
    assert_eq!(queried(&dns).len(), 16);
}
