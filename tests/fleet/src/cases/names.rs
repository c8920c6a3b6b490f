//! Names (RFC 9525 §6.3).

use super::fixture::{Fixture, leaf};
use super::validity::expired_leaf;
use super::{Agreement, Case, HOST};
use crate::pki::Extension;
use crate::pki::x509::{CertBuilder, GeneralName, Name};

pub(super) fn cases(fixture: &Fixture) -> Vec<Case> {
    [exact(fixture), wildcards(fixture), common_names(fixture), addresses(fixture), unusual(fixture)].concat()
}

fn exact(fixture: &Fixture) -> Vec<Case> {
    let lists = |name, names: &[&str]| fixture.case(name, &CertBuilder::leaf(names));
    vec![
        lists("name-in-another-case", &["SMTP.Example.COM"]),
        lists("name-listed-last", &["mail.example.com", "192.0.2.1", HOST]),
        lists("name-asked-with-a-trailing-dot", &[HOST]).with_server_name("smtp.example.com.").openssl_name(
            Agreement::Differs("OpenSSL compares the trailing dot; an absolute name is the same name (RFC 1034 §3.1)"),
        ),
        lists("name-with-underscore", &["mail_x.example.com"]).with_server_name("mail_x.example.com"),
        lists("name-of-one-label", &["mailhost"]).with_server_name("mailhost"),
        lists("name-as-a-label", &["xn--bcher-kva.example.com"]).with_server_name("xn--bcher-kva.example.com"),
        lists("name-not-listed", &["mail.example.com"]).name_mismatch("not_listed"),
        lists("name-not-listed-but-longer", &["smtp.example.com.example.org"]).name_mismatch("not_listed"),
        lists("name-not-listed-but-its-parent", &["example.com"]).name_mismatch("not_listed"),
        lists("name-listed-with-a-trailing-dot", &["smtp.example.com."]).name_mismatch("not_listed"),
        lists("name-listed-with-a-leading-dot", &[".example.com"]).name_mismatch("not_listed"),
        fixture
            .case(
                "name-not-listed-and-expired",
                &expired_leaf()
                    .with_common_name("mail")
                    .with_alternative_names(&[GeneralName::dns("mail.example.com")]),
            )
            .outside_validity(&["expired"])
            .name_mismatch("not_listed"),
        fixture.case("names-of-sixty-kilobytes", &many_names(2600)),
        fixture
            .case("names-of-sixty-kilobytes-without-this-one", &many_names(2600))
            .with_server_name("absent.example.com")
            .name_mismatch("not_listed"),
    ]
}

fn wildcards(fixture: &Fixture) -> Vec<Case> {
    let lists =
        |name, presented, reference| fixture.case(name, &CertBuilder::leaf(&[presented])).with_server_name(reference);
    let wrong = |name, presented, reference| lists(name, presented, reference).name_mismatch("not_listed");
    let partial =
        Agreement::Differs("OpenSSL allows a wildcard as part of a label (RFC 6125 §6.4.3); RFC 9525 §6.3 does not");
    vec![
        lists("wildcard", "*.example.com", HOST),
        lists("wildcard-in-another-case", "*.EXAMPLE.com", HOST),
        lists("wildcard-over-an-a-label", "*.example.com", "xn--bcher-kva.example.com"),
        lists("wildcard-too-shallow", "*.example.com", "a.smtp.example.com").name_mismatch("wildcard_depth"),
        lists("wildcard-for-its-parent", "*.example.com", "example.com").name_mismatch("wildcard_depth"),
        fixture
            .case(
                "wildcard-too-shallow-and-expired",
                &expired_leaf().with_alternative_names(&[GeneralName::dns("*.example.com")]),
            )
            .with_server_name("a.smtp.example.com")
            .outside_validity(&["expired"])
            .name_mismatch("wildcard_depth"),
        wrong("wildcard-beside-the-dot", "*.example.com", "smtpexample.com"),
        wrong("wildcard-over-one-label", "*.com", "example.com"),
        wrong("wildcard-alone", "*", "mailhost"),
        wrong("wildcard-begins-a-label", "*p.example.com", HOST).openssl_name(partial),
        wrong("wildcard-ends-a-label", "s*.example.com", HOST).openssl_name(partial),
        wrong("wildcard-within-a-label", "s*p.example.com", HOST),
        wrong("wildcard-within-an-a-label", "xn--*.example.com", "xn--bcher-kva.example.com"),
        wrong("wildcard-in-the-second-label", "smtp.*.com", HOST),
        wrong("wildcard-in-the-last-label", "smtp.example.*", HOST),
        wrong("wildcard-twice", "*.*.com", HOST),
        wrong("wildcard-doubled", "**.example.com", HOST),
        wrong("wildcard-with-a-trailing-dot", "*.example.com.", HOST),
    ]
}

fn common_names(fixture: &Fixture) -> Vec<Case> {
    let without_san = |name, builder: CertBuilder| {
        fixture.case(name, &builder.without_extension(&Extension::subject_alternative_names(&[])))
    };
    let with_cn = |name, common_name: &str, names: &[&str]| {
        fixture.case(name, &CertBuilder::leaf(names).with_common_name(common_name))
    };
    let differs = Agreement::Differs(COMMON_NAME);
    vec![
        without_san("common-name-only", leaf()).name_mismatch("cn_only").openssl_name(differs),
        without_san("common-name-only-with-wildcard", leaf().with_common_name("*.example.com"))
            .name_mismatch("cn_only")
            .openssl_name(differs),
        without_san("common-name-only-and-expired", expired_leaf())
            .outside_validity(&["expired"])
            .name_mismatch("cn_only")
            .openssl_name(differs),
        without_san("no-names-at-all", CertBuilder { subject: Name::empty(), ..leaf() }).name_mismatch("no_san"),
        without_san("no-names-but-another-common-name", leaf().with_common_name("mail")).name_mismatch("no_san"),
        with_cn("common-name-beside-other-names", HOST, &["mail.example.com"]).name_mismatch("cn_only"),
        with_cn("common-name-beside-an-address", HOST, &["192.0.2.1"]).name_mismatch("cn_only").openssl_name(differs),
        with_cn("common-name-beside-a-shallow-wildcard", "a.smtp.example.com", &["*.example.com"])
            .with_server_name("a.smtp.example.com")
            .name_mismatch("wildcard_depth"),
        with_cn("addresses-only", "mail", &["192.0.2.1"]).name_mismatch("no_san"),
        fixture
            .case(
                "mail-address-only",
                &leaf()
                    .with_common_name("mail")
                    .with_alternative_names(&[GeneralName::Email(b"postmaster@example.com".to_vec())]),
            )
            .name_mismatch("no_san"),
        fixture
            .case("names-empty", &leaf().with_common_name("mail").with_alternative_names(&[]))
            .name_mismatch("no_san"),
    ]
}

fn addresses(fixture: &Fixture) -> Vec<Case> {
    let lists =
        |name, names: &[&str], reference| fixture.case(name, &CertBuilder::leaf(names)).with_server_name(reference);
    let mapped =
        GeneralName::Ip("::ffff:192.0.2.1".parse::<std::net::Ipv6Addr>().expect("an address").octets().to_vec());
    vec![
        lists("address", &["192.0.2.1"], "192.0.2.1"),
        lists("address6", &[HOST, "2001:db8::1"], "2001:db8::1"),
        lists("address-not-listed", &[HOST, "192.0.2.2"], "192.0.2.1").name_mismatch("ip_reference"),
        lists("address6-not-listed", &["2001:db8::2"], "2001:db8::1").name_mismatch("ip_reference"),
        fixture
            .case("address-as-a-name", &leaf().with_alternative_names(&[GeneralName::dns("192.0.2.1")]))
            .with_server_name("192.0.2.1")
            .name_mismatch("ip_reference"),
        fixture
            .case("address-as-a-common-name", &leaf().with_common_name("192.0.2.1"))
            .with_server_name("192.0.2.1")
            .name_mismatch("ip_reference"),
        fixture
            .case("address-mapped", &leaf().with_alternative_names(&[mapped]))
            .with_server_name("192.0.2.1")
            .name_mismatch("ip_reference")
            .warned(&["subject_alt_name"]),
        fixture
            .case("address-not-listed-and-expired", &expired_leaf())
            .with_server_name("192.0.2.1")
            .outside_validity(&["expired"])
            .name_mismatch("ip_reference"),
    ]
}

fn unusual(fixture: &Fixture) -> Vec<Case> {
    let lists = |name, names: &[GeneralName]| {
        fixture.case(name, &leaf().with_common_name("mail").with_alternative_names(names))
    };
    let u_label = || GeneralName::Dns("bücher.example.com".into());
    vec![
        lists("name-behind-a-u-label", &[u_label(), GeneralName::dns(HOST)]).warned(&["subject_alt_name"]),
        lists(
            "name-behind-an-address-of-five-octets",
            &[GeneralName::Ip(vec![192, 0, 2, 1, 0]), GeneralName::dns(HOST)],
        )
        .warned(&["subject_alt_name"]),
        lists("name-behind-an-empty-one", &[GeneralName::dns(""), GeneralName::dns(HOST)])
            .warned(&["subject_alt_name"]),
        lists(
            "name-behind-other-kinds",
            &[
                GeneralName::Email(b"postmaster@example.com".to_vec()),
                GeneralName::Uri(b"https://example.com/".to_vec()),
                GeneralName::Directory("Somebody".to_owned()),
                GeneralName::dns(HOST),
            ],
        ),
        lists("name-as-a-u-label", &[u_label(), GeneralName::dns("mail.example.com")])
            .with_server_name("xn--bcher-kva.example.com")
            .name_mismatch("not_listed")
            .warned(&["subject_alt_name"]),
        lists(
            "name-with-a-nul",
            &[GeneralName::Dns(b"smtp.example.com\0.example.org".to_vec()), GeneralName::dns("mail.example.com")],
        )
        .name_mismatch("not_listed"),
        lists("name-with-a-space", &[GeneralName::dns("smtp.example.com ")]).name_mismatch("not_listed"),
        lists(
            "name-in-a-uri",
            &[GeneralName::Uri(b"smtp://smtp.example.com/".to_vec()), GeneralName::dns("mail.example.com")],
        )
        .name_mismatch("not_listed"),
    ]
}

/// A certificate with this many names; the last one is the reference name.
pub(super) fn many_names(size: usize) -> CertBuilder {
    let mut names: Vec<_> =
        (1..size).map(|number| GeneralName::dns(&format!("host-{number:04}.example.com"))).collect();
    names.push(GeneralName::dns(HOST));
    leaf().with_alternative_names(&names)
}

/// Why OpenSSL finds a name where the expected reason is `cn_only`.
pub(super) const COMMON_NAME: &str =
    "OpenSSL uses the common name if no DNS name is listed (X509_check_host(3)); RFC 9525 §2 forbids that";
