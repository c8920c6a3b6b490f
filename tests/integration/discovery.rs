//! From names to addresses, with real DNS packets to a responder on loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::A as ARecord;
use smtp_fleet::{Answer, Dns, RecordType, Transport};
use smtp_tls_exporter::discovery::{Discovered, FoundHost, Queries, Resolvers};
use smtp_tls_exporter::file::FileReader;
use smtp_tls_exporter::observation::LocalFailure;
use smtp_tls_exporter::reason::{LocalReason, LookupReason};
use smtp_tls_exporter::target::{
    Endpoint, HostTarget, IpFamily, ProbeSettings, ResolverSpec, ServerName, TargetKind, TlsMode,
};

mod hosts;
mod silent_servers;

const TIMEOUT: Duration = Duration::from_secs(10);

fn settings(ip_family: IpFamily) -> ProbeSettings {
    ProbeSettings { ip_family, resolver: "test".into(), ..crate::support::settings(TIMEOUT) }
}

fn host(name: &str) -> HostTarget {
    let host = ServerName::parse(name).expect("a name");
    let endpoint = Arc::new(Endpoint { server_name: host.clone(), port: 25, tls: TlsMode::StartTls });
    HostTarget { host, is_qualified: false, addresses: Vec::new(), endpoint }
}

fn resolvers(name_servers: Vec<SocketAddr>, compare: bool) -> Resolvers {
    let spec = ResolverSpec::Listed { name_servers, compare };
    Resolvers::new(&BTreeMap::from([("test".into(), spec)]), &FileReader::default(), Queries::Once)
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().expect("an address")).collect()
}

/// Resolves a `host` target.
async fn find(resolvers: &Resolvers, target: HostTarget, family: IpFamily, timeout: Duration) -> Discovered {
    resolvers.discover(&TargetKind::Host(target), &settings(family), &[], timeout).await.expect("no local failure")
}

/// The only host that was found.
#[track_caller]
fn only(found: &Discovered) -> &FoundHost {
    let [host] = found.hosts.as_slice() else { panic!("one host: {found:?}") };
    host
}

/// The addresses, and the failures by record type.
type Expected<'a> = (&'a [&'a str], &'a [(&'a str, LookupReason)]);

#[track_caller]
fn check(name: &str, found: &Discovered, (addresses, failures): Expected<'_>) {
    let host = only(found);
    assert_eq!(host.addresses, ips(addresses), "{name}");
    let report = found.report.as_ref().unwrap_or_else(|| panic!("{name}: no lookup"));
    let seen: Vec<_> = report.failures.iter().map(|failure| (failure.record_type, failure.reason)).collect();
    assert_eq!(seen, failures, "{name}");
    assert_eq!(report.success, !addresses.is_empty(), "{name}");
    let failed = |family| failures.iter().any(|(record_type, _)| *record_type == family);
    assert_eq!((host.ipv4_failed, host.ipv6_failed), (failed("A"), failed("AAAA")), "{name}");
}

#[tokio::test]
async fn resolves_hosts_from_answers_of_every_kind() {
    use LookupReason::{Bogus, NoData, NxDomain, ServFail};
    use RecordType::{A, AAAA};
    let dns = Dns::start().await.expect("a responder");
    let v4 = ips(&["192.0.2.2", "192.0.2.1"]);
    let v6 = ips(&["2001:db8::1"]);
    let many: Vec<IpAddr> = (1..=200).map(|n| [192, 0, 2, n].into()).collect();
    let many_texts: Vec<String> = many.iter().map(ToString::to_string).collect();
    let many_texts: Vec<&str> = many_texts.iter().map(String::as_str).collect();
    dns.set("two.test", A, Answer::Addresses(v4.clone()));
    dns.set("both.test", A, Answer::Addresses(v4.clone()));
    dns.set("both.test", AAAA, Answer::Addresses(v6.clone()));
    dns.set("six.test", AAAA, Answer::Addresses(v6.clone()));
    dns.set("mapped.test", AAAA, Answer::Addresses(ips(&["::ffff:192.0.2.7"])));
    dns.set("alias.test", RecordType::CNAME, Answer::Cname("two.test".into()));
    dns.set("alias-only.test", RecordType::CNAME, Answer::CnameOnly("alias.test".into()));
    dns.set("dangling.test", RecordType::CNAME, Answer::CnameOnly("gone.test".into()));
    dns.set("loop.test", RecordType::CNAME, Answer::CnameOnly("loop.test".into()));
    dns.set("large.test", A, Answer::Addresses(many.clone()));
    dns.set("truncated.test", A, Answer::Truncated(v4.clone()));
    dns.set("bogus.test", A, Answer::Bogus(v4.clone()));
    dns.set("bogus.test", AAAA, Answer::Bogus(v6.clone()));
    dns.set("half.test", A, Answer::Addresses(v4.clone()));
    dns.set("half.test", AAAA, Answer::ServFail);
    dns.set("half-nodata.test", A, Answer::NoData);
    dns.set("half-nodata.test", AAAA, Answer::ServFail);
    dns.set("failing.test", A, Answer::ServFail);
    dns.set("failing.test", AAAA, Answer::ServFail);
    dns.set("refused.test", A, Answer::Refused);
    dns.set("refused.test", AAAA, Answer::Refused);
    dns.set("empty.test", A, Answer::NoData);
    dns.set("mail_x.test", A, Answer::Addresses(v4.clone()));
    dns.set("xn--bcher-kva.test", A, Answer::Addresses(v4.clone()));
    let other = "other.test.".parse().expect("a name");
    let foreign = smtp_fleet::Record::from_rdata(other, 60, RData::A(ARecord::new(192, 0, 2, 99)));
    dns.set("foreign.test", A, Answer::Records(vec![foreign]));
    let resolvers = resolvers(vec![dns.addr()], false);
    let two: &[&str] = &["192.0.2.1", "192.0.2.2"];
    for (name, expected) in [
        ("two.test", (two, &[][..])),
        ("TWO.test.", (two, &[])),
        ("both.test", (&["192.0.2.1", "192.0.2.2", "2001:db8::1"], &[])),
        ("six.test", (&["2001:db8::1"], &[])),
        ("mapped.test", (&["192.0.2.7"], &[])),
        ("alias.test", (two, &[])),
        ("alias-only.test", (two, &[])),
        ("dangling.test", (&[], &[("A", NxDomain), ("AAAA", NxDomain)])),
        ("large.test", (&many_texts, &[])),
        ("truncated.test", (two, &[])),
        ("half.test", (two, &[("AAAA", ServFail)])),
        ("bogus.test", (&[], &[("A", Bogus), ("AAAA", Bogus)])),
        ("failing.test", (&[], &[("A", ServFail), ("AAAA", ServFail)])),
        ("half-nodata.test", (&[], &[("AAAA", ServFail)])),
        ("refused.test", (&[], &[("A", ServFail), ("AAAA", ServFail)])),
        ("empty.test", (&[], &[("A", NoData), ("AAAA", NoData)])),
        ("nowhere.test", (&[], &[("A", NxDomain), ("AAAA", NxDomain)])),
        ("mail_x.test", (two, &[])),
        ("bücher.test", (two, &[])),
        ("foreign.test", (&[], &[("A", NoData), ("AAAA", NoData)])),
    ] {
        let found = find(&resolvers, host(name), IpFamily::Any, TIMEOUT).await;
        check(name, &found, expected);
    }
    let found = find(&resolvers, host("loop.test"), IpFamily::Any, TIMEOUT).await;
    assert!(only(&found).addresses.is_empty() && !found.report.expect("a report").success, "an alias of itself");
    let queries = dns.queries();
    let over_tcp = |name: &str| queries.iter().any(|(query, _, by)| query == name && *by == Transport::Tcp);
    assert!(over_tcp("truncated.test") && over_tcp("large.test"), "truncated answers are requested over TCP");
    assert!(!over_tcp("two.test"));
    assert!(queries.iter().all(|(name, _, _)| name.ends_with(".test")), "no search list: {queries:?}");
}

#[tokio::test]
async fn queries_only_the_configured_address_families() {
    let dns = Dns::start().await.expect("a responder");
    dns.set("both.test", RecordType::A, Answer::Addresses(ips(&["192.0.2.1"])));
    dns.set("both.test", RecordType::AAAA, Answer::Addresses(ips(&["2001:db8::1"])));
    let resolvers = resolvers(vec![dns.addr()], false);
    for (family, expected, types) in [
        (IpFamily::Ipv4, &["192.0.2.1"][..], &[RecordType::A][..]),
        (IpFamily::Ipv6, &["2001:db8::1"], &[RecordType::AAAA]),
        (IpFamily::Any, &["192.0.2.1", "2001:db8::1"], &[RecordType::A, RecordType::AAAA]),
    ] {
        let before = dns.queries().len();
        let found = find(&resolvers, host("both.test"), family, TIMEOUT).await;
        check("both.test", &found, (expected, &[]));
        let mut queried: Vec<_> =
            dns.queries().split_off(before).into_iter().map(|(_, record_type, _)| record_type).collect();
        queried.sort();
        assert_eq!(queried, types, "{family:?}");
    }
    // Without an IPv6 route on this host, the IPv6 address is counted and not used.
    let found = find(&resolvers, host("both.test"), IpFamily::Auto, TIMEOUT).await;
    let found = only(&found);
    assert_eq!(found.addresses.len() + found.without_route, 2);
    assert_eq!(found.addresses.contains(&ips(&["2001:db8::1"])[0]), found.without_route == 0);
}

#[tokio::test]
async fn literal_addresses_are_not_looked_up() {
    let dns = Dns::start().await.expect("a responder");
    let resolvers = resolvers(vec![dns.addr()], false);
    let configured = ips(&["192.0.2.9", "::ffff:192.0.2.8", "192.0.2.9"]);
    let configured = HostTarget { addresses: configured, ..host("configured.test") };
    for (target, expected) in [
        (host("192.0.2.1"), &["192.0.2.1"][..]),
        (host("[2001:db8::1]"), &["2001:db8::1"]),
        (configured, &["192.0.2.8", "192.0.2.9"]),
    ] {
        let found = find(&resolvers, target, IpFamily::Auto, TIMEOUT).await;
        assert_eq!(only(&found).addresses, ips(expected));
        assert_eq!(found.report, None);
    }
    assert_eq!(dns.queries(), []);
}

#[tokio::test]
async fn falls_back_to_the_next_name_server_after_a_timeout() {
    let (silent, replying) = (Dns::start().await.expect("a responder"), Dns::start().await.expect("a responder"));
    silent.set("two.test", RecordType::A, Answer::NoReply);
    replying.set("two.test", RecordType::A, Answer::Addresses(ips(&["192.0.2.1"])));
    let both = resolvers(vec![silent.addr(), replying.addr()], false);
    let begin = Instant::now();
    let found = find(&both, host("two.test"), IpFamily::Ipv4, TIMEOUT).await;
    check("two.test", &found, (&["192.0.2.1"], &[]));
    assert!(begin.elapsed() < TIMEOUT, "{:?}", begin.elapsed());

    // A timeout of one address family does not discard the answer of the other one.
    replying.set("two.test", RecordType::AAAA, Answer::NoReply);
    let timeout = Duration::from_millis(500);
    let half = resolvers(vec![replying.addr()], false);
    let found = find(&half, host("two.test"), IpFamily::Any, timeout).await;
    check("two.test", &found, (&["192.0.2.1"], &[("AAAA", LookupReason::Timeout)]));

    let alone = resolvers(vec![silent.addr()], false);
    let begin = Instant::now();
    let found = find(&alone, host("two.test"), IpFamily::Ipv4, timeout).await;
    check("two.test", &found, (&[], &[("A", LookupReason::Timeout)]));
    assert!(begin.elapsed() < timeout * 4, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn compares_the_answers_of_all_name_servers() {
    let (one, other) = (Dns::start().await.expect("a responder"), Dns::start().await.expect("a responder"));
    let both = resolvers(vec![one.addr(), other.addr()], true);
    let (a, b) = (ips(&["192.0.2.1", "192.0.2.2"]), ips(&["192.0.2.2", "192.0.2.3"]));
    let mut rotated = a.clone();
    rotated.reverse();
    let failed = &[("A", LookupReason::ServFail)][..];
    for (first, second, expected, failures, disagree) in [
        (Answer::Addresses(a.clone()), Answer::Addresses(rotated), &["192.0.2.1", "192.0.2.2"][..], &[][..], false),
        (Answer::Addresses(a.clone()), Answer::Addresses(b), &["192.0.2.1", "192.0.2.2", "192.0.2.3"], &[], true),
        (Answer::Addresses(a.clone()), Answer::NxDomain, &["192.0.2.1", "192.0.2.2"], &[], true),
        // The addresses that only the failing name server has are unknown: the failure is reported.
        (Answer::ServFail, Answer::Addresses(a), &["192.0.2.1", "192.0.2.2"], failed, false),
    ] {
        one.set("two.test", RecordType::A, first.clone());
        other.set("two.test", RecordType::A, second.clone());
        let found = find(&both, host("two.test"), IpFamily::Ipv4, TIMEOUT).await;
        let what = format!("{first:?} and {second:?}");
        check(&what, &found, (expected, failures));
        assert_eq!(found.report.and_then(|report| report.disagree), Some(disagree), "{what}");
    }
}

/// Resolves `two.test` at these name servers.
async fn two(name_servers: &[SocketAddr], compare: bool) -> Result<Discovered, LocalFailure> {
    let target = TargetKind::Host(host("two.test"));
    resolvers(name_servers.to_vec(), compare).discover(&target, &settings(IpFamily::Ipv4), &[], TIMEOUT).await
}

#[tokio::test]
async fn failures_of_this_host_are_not_those_of_a_name_server() {
    let dns = Dns::start().await.expect("a responder");
    dns.set("two.test", RecordType::A, Answer::Addresses(ips(&["192.0.2.1"])));
    // The kernel refuses to send to a broadcast address.
    let forbidden = SocketAddr::from(([255, 255, 255, 255], 53));
    for compare in [false, true] {
        let failure = two(&[forbidden], compare).await.expect_err("a local failure");
        assert_eq!(failure.reason, LocalReason::Forbidden);
        let found = two(&[forbidden, dns.addr()], compare).await.expect("an answer");
        check("two.test", &found, (&["192.0.2.1"], &[]));
    }
    let names = vec![ServerName::parse("two.test").expect("a name")];
    let unknown = resolvers(vec![forbidden], false).resolve_names(names, &settings(IpFamily::Ipv4), TIMEOUT).await;
    assert_eq!(unknown.into_values().collect::<Vec<_>>(), [None]);
}

/// Runs itself in a process of its own, as the limit holds for all tests in a process.
#[test]
fn a_lack_of_descriptors_is_a_local_failure() {
    const NAME: &str = "discovery::a_lack_of_descriptors_is_a_local_failure";
    if std::env::var_os(NAME).is_none() {
        let this = std::env::current_exe().expect("a path");
        let child = std::process::Command::new(this).args(["--exact", NAME]).env(NAME, "1").output().expect("a child");
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let dns = Dns::start().await.expect("a responder");
        dns.set("two.test", RecordType::A, Answer::Addresses(ips(&["192.0.2.1"])));
        let (soft, hard) = rlimit::Resource::NOFILE.get().expect("the limit");
        rlimit::Resource::NOFILE.set(3, hard).expect("a lower limit");
        let failure = two(&[dns.addr()], false).await;
        rlimit::Resource::NOFILE.set(soft, hard).expect("the limit as before");
        assert_eq!(failure.map_err(|failure| failure.reason), Err(LocalReason::FileDescriptors));
        check("two.test", &two(&[dns.addr()], false).await.expect("an answer"), (&["192.0.2.1"], &[]));
    });
}

/// The names that were queried.
fn queried(dns: &Dns) -> BTreeSet<String> {
    dns.queries().into_iter().map(|(name, _, _)| name).collect()
}
