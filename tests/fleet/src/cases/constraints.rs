//! What a key may be used for, and for which names an authority may sign.

use std::net::IpAddr;

use super::fixture::{Hands, authority, leaf, p256};
use super::validity::past;
use super::{Agreement, Case, HOST, names};
use crate::pki::Extension;
use crate::pki::x509::{ANY_EXTENDED_KEY_USAGE, CLIENT_AUTH, Ca, CertBuilder, GeneralName, SERVER_AUTH};

pub(super) fn cases(hands: &Hands) -> Vec<Case> {
    [purposes(hands), domains(hands), addresses(hands), odd(hands)].concat()
}

fn purposes(hands: &Hands) -> Vec<Case> {
    let with =
        |builder: CertBuilder, purposes: &[&[u64]]| builder.with_extension(Extension::extended_key_usage(purposes));
    let from = |name, purposes: &[&[u64]]| hands.from(name, &hands.sub(&with(authority(), purposes)), &leaf());
    vec![
        hands.case("eku-absent", &leaf().without_extension(&Extension::extended_key_usage(&[]))),
        hands.case("eku-server-and-client", &with(leaf(), &[CLIENT_AUTH, SERVER_AUTH])),
        hands.case(
            "eku-critical",
            &leaf().with_extension(Extension { critical: true, ..Extension::extended_key_usage(&[SERVER_AUTH]) }),
        ),
        hands.case("eku-client-only", &with(leaf(), &[CLIENT_AUTH])).refused(&["missing_eku"]),
        hands.case("eku-any-only", &with(leaf(), &[ANY_EXTENDED_KEY_USAGE])).refused(&["missing_eku"]),
        hands.case("eku-empty", &with(leaf(), &[])).refused(&["missing_eku"]),
        hands.case("eku-client-only-and-expired", &with(past(), &[CLIENT_AUTH])).refused(&["expired", "missing_eku"]),
        hands
            .from("eku-client-only-of-a-stranger", &hands.stranger, &with(leaf(), &[CLIENT_AUTH]))
            .refused(&["unknown_issuer", "missing_eku"]),
        from("issuer-eku-server", &[SERVER_AUTH]),
        from("issuer-eku-client-only", &[CLIENT_AUTH]).refused(&["missing_eku"]),
        from("issuer-eku-any-only", &[ANY_EXTENDED_KEY_USAGE]).refused(&["missing_eku"]),
    ]
}

fn domains(hands: &Hands) -> Vec<Case> {
    let ca = |permitted: &[&str], excluded: &[&str]| {
        let names = |names: &[&str]| names.iter().map(|name| GeneralName::dns(name)).collect::<Vec<_>>();
        hands.sub(&authority().with_extension(Extension::name_constraints(&names(permitted), &names(excluded))))
    };
    let only_example_org = ca(&["example.org"], &[]);
    let lax = Extension { critical: false, ..Extension::name_constraints(&[GeneralName::dns("example.org")], &[]) };
    let root = Ca::root(&CertBuilder::authority("Narrow Root").with_extension(lax.clone()), &p256());
    let no_names = leaf().without_extension(&Extension::subject_alternative_names(&[]));
    vec![
        hands.from("names-permitted", &ca(&["example.com"], &[]), &leaf()),
        hands.from("names-permitted-exactly", &ca(&[HOST], &[]), &leaf()),
        hands.from("names-permitted-below-a-dot", &ca(&[".example.com"], &[]), &leaf()),
        hands.from("names-permitted-by-the-second", &ca(&["example.org", "example.com"], &[]), &leaf()),
        hands.from("wildcard-permitted", &ca(&["example.com"], &[]), &CertBuilder::leaf(&["*.example.com"])),
        hands.from("names-not-permitted", &only_example_org, &leaf()).refused(&["name_constraints"]),
        hands
            .from("names-not-permitted-and-expired", &only_example_org, &past())
            .refused(&["expired", "name_constraints"]),
        hands
            .from(
                "one-name-of-two-not-permitted",
                &ca(&["example.com"], &[]),
                &CertBuilder::leaf(&[HOST, "smtp.example.org"]),
            )
            .refused(&["name_constraints"]),
        hands.from("names-not-permitted-but-alike", &ca(&["ample.com"], &[]), &leaf()).refused(&["name_constraints"]),
        hands
            .from("wildcard-beyond-what-is-permitted", &ca(&[HOST], &[]), &CertBuilder::leaf(&["*.example.com"]))
            .refused(&["name_constraints"]),
        hands
            .from(
                "names-not-permitted-by-an-uncritical-constraint",
                &hands.sub(&authority().with_extension(lax)),
                &leaf(),
            )
            .refused(&["name_constraints"]),
        hands
            .from("names-not-permitted-by-the-root", &root.sub(&authority(), &p256()), &leaf())
            .under(&[&root.der()])
            .refused(&["name_constraints"]),
        hands.from("names-excluded", &ca(&[], &["example.com"]), &leaf()).refused(&["name_constraints"]),
        hands
            .from("names-permitted-and-excluded", &ca(&["example.com"], &[HOST]), &leaf())
            .refused(&["name_constraints"]),
        hands.from("other-names-excluded", &ca(&["example.com"], &["mx.example.com"]), &leaf()),
        hands
            .from("common-name-not-permitted", &only_example_org, &no_names)
            .mismatched("cn_only")
            .openssl_chain(Agreement::Differs(CONSTRAINED_COMMON_NAME))
            .openssl_name(Agreement::Differs(names::COMMON_NAME)),
    ]
}

fn addresses(hands: &Hands) -> Vec<Case> {
    let ca = |permitted: &[(&str, &str)], excluded: &[(&str, &str)]| {
        let names = |ranges: &[(&str, &str)]| {
            ranges.iter().map(|(at, mask)| GeneralName::network(ip(at), ip(mask))).collect::<Vec<_>>()
        };
        hands.sub(&authority().with_extension(Extension::name_constraints(&names(permitted), &names(excluded))))
    };
    let (four, six) = (CertBuilder::leaf(&["192.0.2.1"]), CertBuilder::leaf(&["2001:db8::1"]));
    let (network, other) = (("192.0.2.0", "255.255.255.0"), ("198.51.100.0", "255.255.255.0"));
    let network6 = ("2001:db8::", "ffff:ffff::");
    vec![
        hands.from("address-permitted", &ca(&[network], &[]), &four).asked_for("192.0.2.1"),
        hands.from("address6-permitted", &ca(&[network6], &[]), &six).asked_for("2001:db8::1"),
        hands
            .from("address-not-permitted", &ca(&[other], &[]), &four)
            .asked_for("192.0.2.1")
            .refused(&["name_constraints"]),
        hands
            .from("address6-not-permitted-by-range-of-ipv4", &ca(&[network], &[]), &six)
            .asked_for("2001:db8::1")
            .refused(&["name_constraints"]),
        hands
            .from("address-excluded", &ca(&[], &[network]), &four)
            .asked_for("192.0.2.1")
            .refused(&["name_constraints"]),
        hands
            .from("address6-excluded", &ca(&[], &[network6]), &six)
            .asked_for("2001:db8::1")
            .refused(&["name_constraints"]),
        hands.from("other-addresses-excluded", &ca(&[], &[other]), &four).asked_for("192.0.2.1"),
        hands.from("address-constrained-and-name-listed", &ca(&[other], &[]), &leaf()),
        hands
            .from("address-mask-with-a-gap", &ca(&[("192.0.2.0", "255.0.255.0")], &[]), &four)
            .asked_for("192.0.2.1")
            .refused(&["name_constraints"])
            .openssl_chain(Agreement::Differs(MASK)),
    ]
}

fn odd(hands: &Hands) -> Vec<Case> {
    let ca =
        |permitted: &[GeneralName]| hands.sub(&authority().with_extension(Extension::name_constraints(permitted, &[])));
    let four = CertBuilder::leaf(&["192.0.2.1"]);
    let many: Vec<_> = (0..105).map(|number| GeneralName::dns(&format!("{number:02}.example"))).collect();
    let many = [vec![GeneralName::dns("example.com")], many].concat();
    vec![
        hands
            .from("address-constraint-of-five-octets", &ca(&[GeneralName::Ip(vec![192, 0, 2, 0, 255])]), &four)
            .asked_for("192.0.2.1")
            .refused(&["name_constraints"]),
        hands
            .from("name-constraint-with-a-trailing-dot", &ca(&[GeneralName::dns("example.com.")]), &leaf())
            .refused(&["name_constraints"]),
        hands
            .from("directory-permitted", &ca(&[GeneralName::Directory(HOST.to_owned())]), &leaf())
            .refused(&["name_constraints"])
            .openssl_chain(Agreement::Differs(DIRECTORY)),
        hands.from("mail-constrained", &ca(&[GeneralName::Email(b"example.org".to_vec())]), &leaf()),
        hands
            .from("more-constraints-than-are-compared", &ca(&many), &names::crowd(2450))
            .refused(&["too_complex"])
            .openssl_chain(Agreement::Differs(COMPARISONS)),
    ]
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

const COMPARISONS: &str = "OpenSSL makes up to 2^20 comparisons of names with constraints (NAME_CHECK_MAX in \
    v3_ncons.c), webpki 250,000";
const CONSTRAINED_COMMON_NAME: &str = "OpenSSL holds constraints against the common name where no name is listed; \
    webpki reads no common name (RFC 9525 §2)";
const DIRECTORY: &str = "OpenSSL compares directory names; webpki refuses such constraints, the other way that RFC \
    5280 §4.2.1.10 leaves";
const MASK: &str = "OpenSSL takes any mask; RFC 5280 §4.2.1.10 means a prefix as in RFC 4632";
