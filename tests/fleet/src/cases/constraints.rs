//! Extended key usages and name constraints.

use std::net::IpAddr;

use super::fixture::{Fixture, authority, leaf, p256};
use super::validity::expired_leaf;
use super::{Agreement, Case, HOST, names};
use crate::pki::Extension;
use crate::pki::x509::{ANY_EXTENDED_KEY_USAGE, CLIENT_AUTH, Ca, CertBuilder, GeneralName, SERVER_AUTH};

pub(super) fn cases(fixture: &Fixture) -> Vec<Case> {
    [purposes(fixture), domains(fixture), addresses(fixture), unusual(fixture)].concat()
}

fn purposes(fixture: &Fixture) -> Vec<Case> {
    let with =
        |builder: CertBuilder, purposes: &[&[u64]]| builder.with_extension(Extension::extended_key_usage(purposes));
    let from = |name, purposes: &[&[u64]]| fixture.issued_by(name, &fixture.sub(&with(authority(), purposes)), &leaf());
    vec![
        fixture.case("eku-absent", &leaf().without_extension(&Extension::extended_key_usage(&[]))),
        fixture.case("eku-server-and-client", &with(leaf(), &[CLIENT_AUTH, SERVER_AUTH])),
        fixture.case(
            "eku-critical",
            &leaf().with_extension(Extension { critical: true, ..Extension::extended_key_usage(&[SERVER_AUTH]) }),
        ),
        fixture.case("eku-client-only", &with(leaf(), &[CLIENT_AUTH])).rejected(&["missing_eku"]),
        fixture.case("eku-any-only", &with(leaf(), &[ANY_EXTENDED_KEY_USAGE])).rejected(&["missing_eku"]),
        fixture.case("eku-empty", &with(leaf(), &[])).rejected(&["missing_eku"]),
        fixture
            .case("eku-client-only-and-expired", &with(expired_leaf(), &[CLIENT_AUTH]))
            .rejected(&["expired", "missing_eku"]),
        fixture
            .issued_by("eku-client-only-of-a-stranger", &fixture.untrusted_root, &with(leaf(), &[CLIENT_AUTH]))
            .rejected(&["unknown_issuer", "missing_eku"]),
        from("issuer-eku-server", &[SERVER_AUTH]),
        from("issuer-eku-client-only", &[CLIENT_AUTH]).rejected(&["missing_eku"]),
        from("issuer-eku-any-only", &[ANY_EXTENDED_KEY_USAGE]).rejected(&["missing_eku"]),
    ]
}

fn domains(fixture: &Fixture) -> Vec<Case> {
    let ca = |permitted: &[&str], excluded: &[&str]| {
        let names = |names: &[&str]| names.iter().map(|name| GeneralName::dns(name)).collect::<Vec<_>>();
        fixture.sub(&authority().with_extension(Extension::name_constraints(&names(permitted), &names(excluded))))
    };
    let only_example_org = ca(&["example.org"], &[]);
    let non_critical =
        Extension { critical: false, ..Extension::name_constraints(&[GeneralName::dns("example.org")], &[]) };
    let root = Ca::root(&CertBuilder::authority("Constrained Root").with_extension(non_critical.clone()), &p256());
    let no_names = leaf().without_extension(&Extension::subject_alternative_names(&[]));
    vec![
        fixture.issued_by("names-permitted", &ca(&["example.com"], &[]), &leaf()),
        fixture.issued_by("names-permitted-exactly", &ca(&[HOST], &[]), &leaf()),
        fixture.issued_by("names-permitted-below-a-dot", &ca(&[".example.com"], &[]), &leaf()),
        fixture.issued_by("names-permitted-by-the-second", &ca(&["example.org", "example.com"], &[]), &leaf()),
        fixture.issued_by("wildcard-permitted", &ca(&["example.com"], &[]), &CertBuilder::leaf(&["*.example.com"])),
        fixture.issued_by("names-not-permitted", &only_example_org, &leaf()).rejected(&["name_constraints"]),
        fixture
            .issued_by("names-not-permitted-and-expired", &only_example_org, &expired_leaf())
            .rejected(&["expired", "name_constraints"]),
        fixture
            .issued_by(
                "one-name-of-two-not-permitted",
                &ca(&["example.com"], &[]),
                &CertBuilder::leaf(&[HOST, "smtp.example.org"]),
            )
            .rejected(&["name_constraints"]),
        fixture
            .issued_by("names-not-permitted-but-alike", &ca(&["ample.com"], &[]), &leaf())
            .rejected(&["name_constraints"]),
        fixture
            .issued_by("wildcard-beyond-what-is-permitted", &ca(&[HOST], &[]), &CertBuilder::leaf(&["*.example.com"]))
            .rejected(&["name_constraints"]),
        fixture
            .issued_by(
                "names-not-permitted-by-an-uncritical-constraint",
                &fixture.sub(&authority().with_extension(non_critical)),
                &leaf(),
            )
            .rejected(&["name_constraints"]),
        fixture
            .issued_by("names-not-permitted-by-the-root", &root.sub(&authority(), &p256()), &leaf())
            .with_roots(&[&root.der()])
            .rejected(&["name_constraints"]),
        fixture.issued_by("names-excluded", &ca(&[], &["example.com"]), &leaf()).rejected(&["name_constraints"]),
        fixture
            .issued_by("names-permitted-and-excluded", &ca(&["example.com"], &[HOST]), &leaf())
            .rejected(&["name_constraints"]),
        fixture.issued_by("other-names-excluded", &ca(&["example.com"], &["mx.example.com"]), &leaf()),
        fixture
            .issued_by("common-name-not-permitted", &only_example_org, &no_names)
            .name_mismatch("cn_only")
            .openssl_name(Agreement::Differs(names::COMMON_NAME))
            .warned(&["common_name_constraints"]),
    ]
}

fn addresses(fixture: &Fixture) -> Vec<Case> {
    let ca = |permitted: &[(&str, &str)], excluded: &[(&str, &str)]| {
        let names = |ranges: &[(&str, &str)]| {
            ranges.iter().map(|(base, mask)| GeneralName::network(ip(base), ip(mask))).collect::<Vec<_>>()
        };
        fixture.sub(&authority().with_extension(Extension::name_constraints(&names(permitted), &names(excluded))))
    };
    let (ipv4, ipv6) = (CertBuilder::leaf(&["192.0.2.1"]), CertBuilder::leaf(&["2001:db8::1"]));
    let (network, other) = (("192.0.2.0", "255.255.255.0"), ("198.51.100.0", "255.255.255.0"));
    let network_v6 = ("2001:db8::", "ffff:ffff::");
    vec![
        fixture.issued_by("address-permitted", &ca(&[network], &[]), &ipv4).with_server_name("192.0.2.1"),
        fixture.issued_by("address6-permitted", &ca(&[network_v6], &[]), &ipv6).with_server_name("2001:db8::1"),
        fixture
            .issued_by("address-not-permitted", &ca(&[other], &[]), &ipv4)
            .with_server_name("192.0.2.1")
            .rejected(&["name_constraints"]),
        fixture
            .issued_by("address6-not-permitted-by-range-of-ipv4", &ca(&[network], &[]), &ipv6)
            .with_server_name("2001:db8::1")
            .rejected(&["name_constraints"]),
        fixture
            .issued_by("address-excluded", &ca(&[], &[network]), &ipv4)
            .with_server_name("192.0.2.1")
            .rejected(&["name_constraints"]),
        fixture
            .issued_by("address6-excluded", &ca(&[], &[network_v6]), &ipv6)
            .with_server_name("2001:db8::1")
            .rejected(&["name_constraints"]),
        fixture.issued_by("other-addresses-excluded", &ca(&[], &[other]), &ipv4).with_server_name("192.0.2.1"),
        fixture.issued_by("address-constrained-and-name-listed", &ca(&[other], &[]), &leaf()),
        fixture
            .issued_by("address-mask-with-a-gap", &ca(&[("192.0.2.0", "255.0.255.0")], &[]), &ipv4)
            .with_server_name("192.0.2.1")
            .rejected(&["name_constraints"]),
    ]
}

fn unusual(fixture: &Fixture) -> Vec<Case> {
    let ca = |permitted: &[GeneralName]| {
        fixture.sub(&authority().with_extension(Extension::name_constraints(permitted, &[])))
    };
    let ipv4 = CertBuilder::leaf(&["192.0.2.1"]);
    let many: Vec<_> = (0..105).map(|number| GeneralName::dns(&format!("{number:02}.example"))).collect();
    let many = [vec![GeneralName::dns("example.com")], many].concat();
    vec![
        fixture
            .issued_by("address-constraint-of-five-octets", &ca(&[GeneralName::Ip(vec![192, 0, 2, 0, 255])]), &ipv4)
            .with_server_name("192.0.2.1")
            .rejected(&["name_constraints"]),
        fixture
            .issued_by("name-constraint-with-a-trailing-dot", &ca(&[GeneralName::dns("example.com.")]), &leaf())
            .rejected(&["name_constraints"]),
        fixture
            .issued_by("directory-permitted", &ca(&[GeneralName::Directory(HOST.to_owned())]), &leaf())
            .rejected(&["name_constraints"]),
        fixture.issued_by("mail-constrained", &ca(&[GeneralName::Email(b"example.org".to_vec())]), &leaf()),
        fixture
            .issued_by("more-constraints-than-are-compared", &ca(&many), &names::many_names(2450))
            .rejected(&["too_complex"]),
    ]
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
