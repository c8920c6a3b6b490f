//! The hosts in MX and SRV records, and their addresses.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use hickory_proto::rr::Name;
use hickory_proto::rr::rdata::MX;
use smtp_tls_exporter::discovery::KnownHost;
use smtp_tls_exporter::target::{MxTarget, SubmissionTarget};

use super::*;

fn mx(domain: &str) -> TargetKind {
    let domain = ServerName::parse(domain).expect("a name");
    TargetKind::Mx(MxTarget { domain, port: 25, tls: TlsMode::StartTls })
}

fn submission(domain: &str) -> TargetKind {
    TargetKind::Submission(SubmissionTarget { domain: ServerName::parse(domain).expect("a name") })
}

fn known(host: &str, port: u16, tls: TlsMode, preference: u16) -> KnownHost {
    let server_name = ServerName::parse(host).expect("a name");
    KnownHost { endpoint: Arc::new(Endpoint { server_name, port, tls }), preference: Some(preference) }
}

/// A name of these labels, which are not parsed or escaped.
fn labels(labels: &[&str]) -> Name {
    let mut name = Name::from_labels(labels.iter().map(|label| label.as_bytes())).expect("a name");
    name.set_fqdn(true);
    name
}

fn mx_record(owner: Name, preference: u16, host: Name) -> smtp_fleet::Record {
    smtp_fleet::Record::from_rdata(owner, 60, RData::MX(MX::new(preference, host)))
}

/// A host as `10 mx.test:25 starttls 192.0.2.1`, with `-` for no preference the reason after addresses that are not allowed, and
/// `A failed` if its lookup failed.
fn row(host: &FoundHost) -> String {
    let preference = host.preference.map_or_else(|| "-".into(), |preference| preference.to_string());
    let Endpoint { server_name, port, tls } = &*host.endpoint;
    let mut row = format!("{preference} {server_name}:{port} {}", tls.as_str());
    for address in &host.addresses {
        row += &format!(" {address}");
    }
    for (reason, address) in &host.not_allowed {
        row += &format!(" {address} {reason}");
    }
    for (failed, word) in [(host.ipv4_failed, " A failed"), (host.ipv6_failed, " AAAA failed")] {
        row += if failed { word } else { "" };
    }
    row
}

/// The hosts as rows, the number of hosts in the records, and the failures as `name TYPE reason`.
#[track_caller]
fn check(what: &str, found: &Discovered, hosts: &[&str], count: Option<usize>, failures: &[&str]) {
    let rows: Vec<String> = found.hosts.iter().map(row).collect();
    assert_eq!(rows, hosts, "{what}");
    let report = found.report.as_ref().unwrap_or_else(|| panic!("{what}: no lookup"));
    let seen: Vec<String> =
        report.failures.iter().map(|one| format!("{} {} {}", one.name, one.record_type, one.reason)).collect();
    assert_eq!(seen, failures, "{what}");
    assert_eq!((report.hosts, report.success), (count, failures.is_empty()), "{what}");
    assert_eq!(report.disagree, None, "{what}");
}

/// A zone with the hosts `a.test`, `b.test` and `c.test`.
async fn zone() -> Dns {
    let dns = Dns::start().await.expect("a responder");
    for (host, address) in [("a.test", "192.0.2.1"), ("b.test", "192.0.2.2"), ("c.test", "192.0.2.3")] {
        dns.set(host, RecordType::A, Answer::Addresses(ips(&[address])));
    }
    dns
}

async fn find(dns: &Dns, target: &TargetKind, known: &[KnownHost]) -> Discovered {
    let settings = ProbeSettings { allow_ports: vec![26], ..settings(IpFamily::Ipv4) };
    resolvers(vec![dns.addr()], false).discover(target, &settings, known, TIMEOUT).await.expect("no local failure")
}

#[tokio::test]
async fn resolves_mx_records_of_every_kind() {
    let dns = zone().await;
    dns.set_mx("two.test", &[(20, "b.test"), (10, "a.test")]);
    dns.set_mx("equal.test", &[(10, "c.test"), (10, "a.test"), (5, "b.test"), (10, "b.test")]);
    dns.set_mx("case.test", &[(10, "A.Test"), (20, "a.test"), (30, "mail_x.test")]);
    dns.set("mail_x.test", RecordType::A, Answer::Addresses(ips(&["192.0.2.4"])));
    dns.set("implicit.test", RecordType::A, Answer::Addresses(ips(&["192.0.2.5"])));
    dns.set("alias.test", RecordType::CNAME, Answer::Cname("two.test".into()));
    dns.set("alias-only.test", RecordType::CNAME, Answer::CnameOnly("alias.test".into()));
    dns.set("implicit-alias.test", RecordType::CNAME, Answer::CnameOnly("implicit.test".into()));
    dns.set("dangling.test", RecordType::CNAME, Answer::CnameOnly("gone.test".into()));
    dns.set_mx("null.test", &[(0, ".")]);
    dns.set("null-alias.test", RecordType::CNAME, Answer::Cname("null.test".into()));
    dns.set_mx("half-null.test", &[(0, "."), (10, "a.test")]);
    dns.set_mx("to-alias.test", &[(10, "www.test"), (20, "b.test")]);
    dns.set("www.test", RecordType::CNAME, Answer::CnameOnly("a.test".into()));
    dns.set_mx("one-gone.test", &[(10, "gone.test"), (20, "a.test"), (30, "empty.test"), (40, "b.test")]);
    dns.set("empty.test", RecordType::A, Answer::NoData);
    dns.set_mx("all-gone.test", &[(10, "gone.test"), (20, "broken.test")]);
    dns.set("all-gone.test", RecordType::A, Answer::Addresses(ips(&["192.0.2.6"])));
    dns.set("broken.test", RecordType::A, Answer::ServFail);
    dns.set_mx("literal.test", &[(10, "192.0.2.1"), (20, "a.test"), (30, "192.0.2.2")]);
    let exchanges = ["*", "a", "two words", "a.b", "a\u{0}", "ü"].into_iter().map(|label| labels(&[label, "test"]));
    let records = exchanges.map(|host| mx_record(labels(&["odd", "test"]), 20, host));
    dns.set("odd.test", RecordType::MX, Answer::Records(records.collect()));
    dns.set_mx("only-odd.test", &[(10, "*.test")]);
    let other = mx_record(labels(&["other", "test"]), 1, labels(&["b", "test"]));
    dns.set("foreign.test", RecordType::MX, Answer::Records(vec![other]));
    dns.set("foreign.test", RecordType::A, Answer::Addresses(ips(&["192.0.2.7"])));
    let (a, b) = ("10 a.test:25 starttls 192.0.2.1", "20 b.test:25 starttls 192.0.2.2");
    for (domain, hosts, count, failures) in [
        ("two.test", &[a, b][..], Some(2), &[][..]),
        ("TWO.test.", &[a, b], Some(2), &[]),
        ("equal.test", &["5 b.test:25 starttls 192.0.2.2", a, "10 c.test:25 starttls 192.0.2.3"], Some(3), &[]),
        ("case.test", &[a, "30 mail_x.test:25 starttls 192.0.2.4"], Some(2), &[]),
        ("implicit.test", &["- implicit.test:25 starttls 192.0.2.5"], Some(1), &[]),
        ("alias.test", &[a, b], Some(2), &[]),
        ("alias-only.test", &[a, b], Some(2), &[]),
        ("implicit-alias.test", &["- implicit-alias.test:25 starttls 192.0.2.5"], Some(1), &[]),
        ("dangling.test", &[], None, &["dangling.test MX nxdomain"]),
        ("null.test", &[], Some(0), &[]),
        ("null-alias.test", &[], Some(0), &[]),
        ("half-null.test", &[a], Some(1), &["half-null.test MX null_mx"]),
        ("to-alias.test", &["10 www.test:25 starttls 192.0.2.1", b], Some(2), &[]),
        (
            "one-gone.test",
            &[
                "10 gone.test:25 starttls A failed",
                "20 a.test:25 starttls 192.0.2.1",
                "30 empty.test:25 starttls A failed",
                "40 b.test:25 starttls 192.0.2.2",
            ],
            Some(4),
            &["empty.test A nodata", "gone.test A nxdomain"],
        ),
        (
            "all-gone.test",
            &["10 gone.test:25 starttls A failed", "20 broken.test:25 starttls A failed"],
            Some(2),
            &["broken.test A dns_servfail", "gone.test A nxdomain"],
        ),
        ("literal.test", &["20 a.test:25 starttls 192.0.2.1"], Some(1), &["literal.test MX nodata"]),
        ("odd.test", &["20 a.test:25 starttls 192.0.2.1"], Some(1), &["odd.test MX nodata"]),
        ("only-odd.test", &[], Some(0), &["only-odd.test MX nodata"]),
        ("foreign.test", &["- foreign.test:25 starttls 192.0.2.7"], Some(1), &[]),
        ("gone.test", &[], None, &["gone.test MX nxdomain"]),
    ] {
        check(domain, &find(&dns, &mx(domain), &[]).await, hosts, count, failures);
    }
    let queries = dns.queries();
    assert!(queries.iter().all(|(name, _, _)| name.ends_with(".test") && !name.contains(' ')), "{queries:?}");
    let fallback = ("all-gone.test".to_owned(), RecordType::A);
    assert!(!queries.into_iter().any(|(name, record_type, _)| (name, record_type) == fallback));
}

#[tokio::test]
async fn mx_hosts_have_the_port_and_tls_mode_of_the_target() {
    let dns = zone().await;
    dns.set_mx("two.test", &[(10, "a.test")]);
    let domain = ServerName::parse("two.test").expect("a name");
    let target = TargetKind::Mx(MxTarget { domain, port: 465, tls: TlsMode::Implicit });
    check("implicit", &find(&dns, &target, &[]).await, &["10 a.test:465 implicit 192.0.2.1"], Some(1), &[]);
}

#[tokio::test]
async fn looks_up_both_address_families_of_mx_hosts() {
    let dns = zone().await;
    dns.set("a.test", RecordType::AAAA, Answer::Addresses(ips(&["2001:db8::1"])));
    dns.set("b.test", RecordType::AAAA, Answer::ServFail);
    dns.set_mx("both.test", &[(10, "a.test"), (20, "b.test"), (30, "c.test"), (40, "gone.test")]);
    let resolvers = resolvers(vec![dns.addr()], false);
    let found =
        resolvers.discover(&mx("both.test"), &settings(IpFamily::Any), &[], TIMEOUT).await.expect("no local failure");
    let hosts = [
        "10 a.test:25 starttls 192.0.2.1 2001:db8::1",
        "20 b.test:25 starttls 192.0.2.2 AAAA failed",
        "30 c.test:25 starttls 192.0.2.3",
        "40 gone.test:25 starttls A failed AAAA failed",
    ];
    let failures = ["b.test AAAA dns_servfail", "gone.test A nxdomain", "gone.test AAAA nxdomain"];
    check("both families", &found, &hosts, Some(4), &failures);
}

#[tokio::test]
async fn keeps_known_hosts_while_their_records_cannot_be_looked_up() {
    let dns = zone().await;
    let hosts = [known("b.test", 25, TlsMode::StartTls, 10), known("gone.test", 25, TlsMode::StartTls, 20)];
    let rows = ["10 b.test:25 starttls 192.0.2.2", "20 gone.test:25 starttls A failed"];
    for (answer, reason) in
        [(Answer::ServFail, "dns_servfail"), (Answer::Refused, "dns_servfail"), (Answer::NxDomain, "nxdomain")]
    {
        dns.set("lost.test", RecordType::MX, answer);
        let failures = [format!("lost.test MX {reason}"), "gone.test A nxdomain".into()];
        let failures = failures.each_ref().map(String::as_str);
        check(reason, &find(&dns, &mx("lost.test"), &hosts).await, &rows, None, &failures);
    }
    // Once the records are found again, known hosts that they do not contain are dropped.
    dns.set_mx("lost.test", &[(10, "a.test")]);
    check("found", &find(&dns, &mx("lost.test"), &hosts).await, &["10 a.test:25 starttls 192.0.2.1"], Some(1), &[]);

    // A timeout of the MX lookup leaves time to resolve the known hosts.
    dns.set("lost.test", RecordType::MX, Answer::NoReply);
    let timeout = Duration::from_secs(1);
    let resolvers = resolvers(vec![dns.addr()], false);
    let found = resolvers
        .discover(&mx("lost.test"), &settings(IpFamily::Ipv4), &hosts, timeout)
        .await
        .expect("no local failure");
    check("silence", &found, &rows, None, &["lost.test MX dns_timeout", "gone.test A nxdomain"]);

    // If only one of two services fails, only its known hosts are kept.
    dns.set("_submissions._tcp.lost.test", RecordType::SRV, Answer::ServFail);
    dns.set_srv("_submission._tcp.lost.test", &[(1, 0, 587, "a.test")]);
    let hosts = [known("b.test", 465, TlsMode::Implicit, 3), known("c.test", 587, TlsMode::StartTls, 4)];
    let rows = ["1 a.test:587 starttls 192.0.2.1", "3 b.test:465 implicit 192.0.2.2"];
    let failures = ["_submissions._tcp.lost.test SRV dns_servfail"];
    check("one service", &find(&dns, &submission("lost.test"), &hosts).await, &rows, None, &failures);
}

#[tokio::test]
async fn resolves_srv_records_of_every_kind() {
    let dns = zone().await;
    let set = |domain: &str, implicit: &[(u16, u16, u16, &str)], starttls: &[(u16, u16, u16, &str)]| {
        for (service, locations) in [("_submissions", implicit), ("_submission", starttls)] {
            if !locations.is_empty() {
                dns.set_srv(&format!("{service}._tcp.{domain}"), locations);
            }
        }
    };
    let alias = |name: &str, to: Answer| dns.set(name, RecordType::CNAME, to);
    set("both.test", &[(0, 1, 465, "a.test")], &[(0, 1, 587, "a.test")]);
    set("ports.test", &[(5, 0, 10465, "B.test")], &[(0, 0, 2525, "a.test"), (9, 0, 26, "a.test")]);
    set("twice.test", &[], &[(7, 1, 587, "a.test"), (3, 2, 587, "A.TEST")]);
    set("swapped.test", &[(0, 0, 587, "a.test")], &[(0, 0, 465, "a.test")]);
    set("not-offered.test", &[(0, 0, 465, "a.test")], &[(0, 0, 0, ".")]);
    set("neither-offered.test", &[(0, 0, 0, ".")], &[(0, 0, 0, ".")]);
    set("dot-alone.test", &[(0, 0, 0, ".")], &[]);
    set("dot-beside.test", &[(0, 0, 0, "."), (1, 0, 465, "a.test")], &[]);
    set("literal.test", &[(0, 0, 465, "192.0.2.1")], &[(0, 0, 587, "a.test")]);
    set("one.test", &[], &[(0, 0, 587, "a.test")]);
    set("gone-host.test", &[(0, 0, 465, "gone.test")], &[(0, 0, 587, "gone.test"), (1, 0, 587, "a.test")]);
    set("nodata.test", &[(0, 0, 465, "a.test")], &[]);
    dns.set("_submission._tcp.nodata.test", RecordType::SRV, Answer::NoData);
    set("broken.test", &[], &[(0, 0, 587, "a.test")]);
    dns.set("_submissions._tcp.broken.test", RecordType::SRV, Answer::ServFail);
    alias("_submissions._tcp.alias.test", Answer::Cname("_submissions._tcp.both.test".into()));
    alias("_submission._tcp.alias.test", Answer::CnameOnly("_submission._tcp.both.test".into()));
    alias("_submission._tcp.chain.test", Answer::CnameOnly("_submission._tcp.alias.test".into()));
    alias("_submissions._tcp.chain.test", Answer::CnameOnly("_submissions._tcp.alias.test".into()));
    alias("_submission._tcp.dangling.test", Answer::CnameOnly("gone.test".into()));
    alias("_submission._tcp.loop.test", Answer::CnameOnly("_submission._tcp.loop.test".into()));
    let both = &["0 a.test:465 implicit 192.0.2.1", "0 a.test:587 starttls 192.0.2.1"][..];
    let starttls = &both[1..];
    let implicit = &both[..1];
    for (domain, hosts, count, failures) in [
        ("both.test", both, Some(2), &[][..]),
        (
            "ports.test",
            &[
                "0 a.test:2525 starttls 192.0.2.1",
                "5 b.test:10465 implicit 192.0.2.2 port_not_allowed",
                "9 a.test:26 starttls 192.0.2.1",
            ],
            Some(3),
            &[],
        ),
        ("twice.test", &["3 a.test:587 starttls 192.0.2.1"], Some(1), &[]),
        ("swapped.test", &["0 a.test:465 starttls 192.0.2.1", "0 a.test:587 implicit 192.0.2.1"], Some(2), &[]),
        ("not-offered.test", implicit, Some(1), &[]),
        ("neither-offered.test", &[], Some(0), &[]),
        ("dot-alone.test", &[], Some(0), &[]),
        (
            "dot-beside.test",
            &["1 a.test:465 implicit 192.0.2.1"],
            Some(1),
            &["_submissions._tcp.dot-beside.test SRV nodata"],
        ),
        ("literal.test", starttls, Some(1), &["_submissions._tcp.literal.test SRV nodata"]),
        ("one.test", starttls, Some(1), &[]),
        (
            "gone-host.test",
            &[
                "0 gone.test:465 implicit A failed",
                "0 gone.test:587 starttls A failed",
                "1 a.test:587 starttls 192.0.2.1",
            ],
            Some(3),
            &["gone.test A nxdomain"],
        ),
        ("nodata.test", implicit, Some(1), &[]),
        ("broken.test", starttls, None, &["_submissions._tcp.broken.test SRV dns_servfail"]),
        ("alias.test", both, Some(2), &[]),
        ("chain.test", both, Some(2), &[]),
        (
            "dangling.test",
            &[],
            None,
            &["_submissions._tcp.dangling.test SRV nxdomain", "_submission._tcp.dangling.test SRV nxdomain"],
        ),
        ("loop.test", &[], None, &["_submission._tcp.loop.test SRV dns_servfail"]),
        (
            "nowhere.test",
            &[],
            None,
            &["_submissions._tcp.nowhere.test SRV nxdomain", "_submission._tcp.nowhere.test SRV nxdomain"],
        ),
    ] {
        check(domain, &find(&dns, &submission(domain), &[]).await, hosts, count, failures);
    }
    // A domain that is too long for a service prefix.
    let long = [&["a123456"; 30].join("."), "a2345678.test"].join(".");
    let failures = [format!("{long} SRV nxdomain")];
    let failures = failures.each_ref().map(String::as_str);
    check("long", &find(&dns, &submission(&long), &[]).await, &[], None, &failures);
}

#[tokio::test]
async fn looks_up_a_host_with_several_ports_once() {
    let dns = zone().await;
    dns.set_srv("_submissions._tcp.both.test", &[(0, 0, 465, "a.test"), (1, 0, 10465, "a.test")]);
    dns.set_srv("_submission._tcp.both.test", &[(0, 0, 587, "a.test")]);
    let found = find(&dns, &submission("both.test"), &[]).await;
    assert_eq!(found.hosts.len(), 3, "{found:?}");
    assert_eq!(dns.queries().iter().filter(|(name, _, _)| name == "a.test").count(), 1);
}

#[tokio::test]
async fn limits_the_number_of_hosts_and_of_concurrent_lookups() {
    let dns = Dns::start().await.expect("a responder");
    let names: Vec<String> = (0..70).map(|n| format!("mail-exchanger-{n:02}.pool.test")).collect();
    for name in &names {
        dns.set(name, RecordType::A, Answer::Addresses(ips(&["192.0.2.1"])));
    }
    let records: Vec<(u16, &str)> = names.iter().rev().map(|name| (10, name.as_str())).collect();
    dns.set_mx("many.test", &records);
    let rows: Vec<String> = names.iter().take(64).map(|name| format!("10 {name}:25 starttls 192.0.2.1")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    for round in ["first", "second"] {
        check(round, &find(&dns, &mx("many.test"), &[]).await, &rows, Some(70), &[]);
    }
    let queries = dns.queries();
    assert!(queries.contains(&("many.test".into(), RecordType::MX, Transport::Tcp)), "the answer is over 1,232 octets");

    // Eight lookups run at a time: while none is answered, no other one starts.
    for name in &names {
        dns.set(name, RecordType::A, Answer::NoReply);
    }
    let before = dns.queries().len();
    let timeout = Duration::from_secs(1);
    let resolvers = resolvers(vec![dns.addr()], false);
    let begin = Instant::now();
    let found =
        resolvers.discover(&mx("many.test"), &settings(IpFamily::Ipv4), &[], timeout).await.expect("no local failure");
    assert!(begin.elapsed() < timeout * 4, "{:?}", begin.elapsed());
    let failures = &found.report.as_ref().expect("a report").failures;
    assert!(failures.len() == 64 && failures.iter().all(|failure| failure.reason == LookupReason::Timeout));
    let queries = dns.queries().split_off(before);
    let names: BTreeSet<_> = queries
        .into_iter()
        .filter(|(_, record_type, _)| *record_type == RecordType::A)
        .map(|(name, _, _)| name)
        .collect();
    assert_eq!(names.len(), 8, "{names:?}");
}

#[tokio::test]
async fn merges_the_hosts_of_all_compared_name_servers() {
    type SetUp<'a> = &'a dyn Fn(&Dns);
    let (one, other) = (zone().await, zone().await);
    let both = resolvers(vec![one.addr(), other.addr()], true);
    let rows =
        ["10 a.test:25 starttls 192.0.2.1", "20 b.test:25 starttls 192.0.2.2", "30 c.test:25 starttls 192.0.2.3"];
    let known = [known("c.test", 25, TlsMode::StartTls, 30)];
    let records: &[_] = &[(10, "a.test"), (20, "b.test")];
    let fails: SetUp<'_> = &|dns| dns.set("two.test", RecordType::MX, Answer::ServFail);
    let denies: SetUp<'_> = &|dns| dns.set("two.test", RecordType::MX, Answer::NxDomain);
    let same: SetUp<'_> = &|dns| dns.set_mx("two.test", records);
    let reversed: SetUp<'_> = &|dns| dns.set_mx("two.test", &[(20, "b.test"), (10, "a.test")]);
    let shorter: SetUp<'_> = &|dns| dns.set_mx("two.test", &[(20, "b.test")]);
    let better: SetUp<'_> = &|dns| dns.set_mx("two.test", &[(10, "a.test"), (15, "b.test")]);
    for (what, first, second, hosts, count, failures, disagree) in [
        ("different order", same, reversed, &rows[..2], Some(2), &[][..], false),
        ("a host missing", same, shorter, &rows[..2], Some(2), &[], true),
        ("different preference", same, better, &[rows[0], "15 b.test:25 starttls 192.0.2.2"], Some(2), &[], true),
        ("one returns NXDOMAIN", denies, same, &rows[..2], Some(2), &[], true),
        // The hosts that only the failing name server has are unknown: the known host is kept.
        (
            "one returns no records and one fails",
            &|dns| dns.set("two.test", RecordType::MX, Answer::NoData),
            fails,
            &["- two.test:25 starttls A failed", rows[2]],
            None,
            &["two.test MX dns_servfail", "two.test A nodata"],
            false,
        ),
        ("one fails", same, fails, &rows, None, &["two.test MX dns_servfail"], false),
    ] {
        first(&one);
        second(&other);
        let mut found =
            both.discover(&mx("two.test"), &settings(IpFamily::Ipv4), &known, TIMEOUT).await.expect("no local failure");
        let disagreed = found.report.as_mut().and_then(|report| report.disagree.take());
        assert_eq!(disagreed, Some(disagree), "{what}");
        check(what, &found, hosts, count, failures);
    }
    // The addresses of each host are compared, too.
    one.set_mx("two.test", records);
    other.set_mx("two.test", records);
    other.set("a.test", RecordType::A, Answer::Addresses(ips(&["192.0.2.9"])));
    let found =
        both.discover(&mx("two.test"), &settings(IpFamily::Ipv4), &[], TIMEOUT).await.expect("no local failure");
    assert_eq!(found.report.and_then(|report| report.disagree), Some(true));
    assert_eq!(row(&found.hosts[0]), "10 a.test:25 starttls 192.0.2.1 192.0.2.9");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().expect("no panic while writing");
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while writing").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn warns_once_about_an_mx_host_that_is_an_alias() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .with_max_level(tracing::Level::WARN)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // With a single subscriber, tracing would disable events that the thread of another test is the first to log.
    let _other = tracing::Dispatch::new(tracing_subscriber::registry());
    tracing::callsite::rebuild_interest_cache();
    let dns = zone().await;
    dns.set("www.test", RecordType::CNAME, Answer::Cname("a.test".into()));
    dns.set_mx("to-alias.test", &[(10, "www.test"), (20, "b.test")]);
    let found = find(&dns, &mx("to-alias.test"), &[]).await;
    let lines = log.lines();
    let [line] = lines.as_slice() else { panic!("one line: {lines:?}") };
    assert!(line.contains("host=www.test") && line.contains("domain=to-alias.test"), "{line}");
    let known: Vec<KnownHost> = found
        .hosts
        .iter()
        .map(|host| KnownHost { endpoint: Arc::clone(&host.endpoint), preference: host.preference })
        .collect();
    let again = find(&dns, &mx("to-alias.test"), &known).await;
    assert_eq!(again.hosts, found.hosts);
    assert!(again.hosts.iter().zip(&known).all(|(host, known)| Arc::ptr_eq(&host.endpoint, &known.endpoint)));
    assert_eq!(log.lines().len(), 1, "{:?}", log.lines());
}
