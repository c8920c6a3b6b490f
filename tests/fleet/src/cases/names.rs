//! Names (RFC 9525 §6.3), under a chain in which nothing is wrong.

use super::fixture::{Hands, leaf};
use super::validity::past;
use super::{Agreement, Case, HOST};
use crate::pki::Extension;
use crate::pki::x509::{CertBuilder, GeneralName, Name};

pub(super) fn cases(hands: &Hands) -> Vec<Case> {
    [plain(hands), wildcards(hands), common_names(hands), addresses(hands), odd(hands)].concat()
}

fn plain(hands: &Hands) -> Vec<Case> {
    let lists = |name, names: &[&str]| hands.case(name, &CertBuilder::leaf(names));
    vec![
        lists("name-in-another-case", &["SMTP.Example.COM"]),
        lists("name-listed-last", &["mail.example.com", "192.0.2.1", HOST]),
        lists("name-asked-with-a-trailing-dot", &[HOST]).asked_for("smtp.example.com.").openssl_name(
            Agreement::Differs("OpenSSL compares the dot too; an absolute name is the same name (RFC 1034 §3.1)"),
        ),
        lists("name-with-underscore", &["mail_x.example.com"]).asked_for("mail_x.example.com"),
        lists("name-of-one-label", &["mailhost"]).asked_for("mailhost"),
        lists("name-as-a-label", &["xn--bcher-kva.example.com"]).asked_for("xn--bcher-kva.example.com"),
        lists("name-not-listed", &["mail.example.com"]).mismatched("not_listed"),
        lists("name-not-listed-but-longer", &["smtp.example.com.example.org"]).mismatched("not_listed"),
        lists("name-not-listed-but-its-parent", &["example.com"]).mismatched("not_listed"),
        lists("name-listed-with-a-trailing-dot", &["smtp.example.com."]).mismatched("not_listed"),
        lists("name-listed-with-a-leading-dot", &[".example.com"]).mismatched("not_listed"),
        hands
            .case(
                "name-not-listed-and-expired",
                &past().with_common_name("mail").with_alternative_names(&[GeneralName::dns("mail.example.com")]),
            )
            .untimely(&["expired"])
            .mismatched("not_listed"),
        hands.case("names-of-sixty-kilobytes", &crowd(2600)),
        hands
            .case("names-of-sixty-kilobytes-without-this-one", &crowd(2600))
            .asked_for("absent.example.com")
            .mismatched("not_listed"),
    ]
}

fn wildcards(hands: &Hands) -> Vec<Case> {
    let lists = |name, presented, reference| hands.case(name, &CertBuilder::leaf(&[presented])).asked_for(reference);
    let wrong = |name, presented, reference| lists(name, presented, reference).mismatched("not_listed");
    let partial =
        Agreement::Differs("OpenSSL lets a wildcard be a part of a label (RFC 6125 §6.4.3); RFC 9525 §6.3 does not");
    vec![
        lists("wildcard", "*.example.com", HOST),
        lists("wildcard-in-another-case", "*.EXAMPLE.com", HOST),
        lists("wildcard-over-an-a-label", "*.example.com", "xn--bcher-kva.example.com"),
        lists("wildcard-too-shallow", "*.example.com", "a.smtp.example.com").mismatched("wildcard_depth"),
        lists("wildcard-for-its-parent", "*.example.com", "example.com").mismatched("wildcard_depth"),
        hands
            .case(
                "wildcard-too-shallow-and-expired",
                &past().with_alternative_names(&[GeneralName::dns("*.example.com")]),
            )
            .asked_for("a.smtp.example.com")
            .untimely(&["expired"])
            .mismatched("wildcard_depth"),
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

fn common_names(hands: &Hands) -> Vec<Case> {
    let silent = |name, builder: CertBuilder| {
        hands.case(name, &builder.without_extension(&Extension::subject_alternative_names(&[])))
    };
    let carries = |name, common_name: &str, names: &[&str]| {
        hands.case(name, &CertBuilder::leaf(names).with_common_name(common_name))
    };
    let differs = Agreement::Differs(COMMON_NAME);
    vec![
        silent("common-name-only", leaf()).mismatched("cn_only").openssl_name(differs),
        silent("common-name-only-with-wildcard", leaf().with_common_name("*.example.com"))
            .mismatched("cn_only")
            .openssl_name(differs),
        silent("common-name-only-and-expired", past())
            .untimely(&["expired"])
            .mismatched("cn_only")
            .openssl_name(differs),
        silent("no-names-at-all", CertBuilder { subject: Name::empty(), ..leaf() }).mismatched("no_san"),
        silent("no-names-but-another-common-name", leaf().with_common_name("mail")).mismatched("no_san"),
        carries("common-name-beside-other-names", HOST, &["mail.example.com"]).mismatched("cn_only"),
        carries("common-name-beside-an-address", HOST, &["192.0.2.1"]).mismatched("cn_only").openssl_name(differs),
        carries("common-name-beside-a-shallow-wildcard", "a.smtp.example.com", &["*.example.com"])
            .asked_for("a.smtp.example.com")
            .mismatched("wildcard_depth"),
        carries("addresses-only", "mail", &["192.0.2.1"]).mismatched("no_san"),
        hands
            .case(
                "mail-address-only",
                &leaf()
                    .with_common_name("mail")
                    .with_alternative_names(&[GeneralName::Email(b"postmaster@example.com".to_vec())]),
            )
            .mismatched("no_san"),
        hands.case("names-empty", &leaf().with_common_name("mail").with_alternative_names(&[])).mismatched("no_san"),
    ]
}

fn addresses(hands: &Hands) -> Vec<Case> {
    let lists = |name, names: &[&str], reference| hands.case(name, &CertBuilder::leaf(names)).asked_for(reference);
    let mapped =
        GeneralName::Ip("::ffff:192.0.2.1".parse::<std::net::Ipv6Addr>().expect("an address").octets().to_vec());
    vec![
        lists("address", &["192.0.2.1"], "192.0.2.1"),
        lists("address6", &[HOST, "2001:db8::1"], "2001:db8::1"),
        lists("address-not-listed", &[HOST, "192.0.2.2"], "192.0.2.1").mismatched("ip_reference"),
        lists("address6-not-listed", &["2001:db8::2"], "2001:db8::1").mismatched("ip_reference"),
        hands
            .case("address-as-a-name", &leaf().with_alternative_names(&[GeneralName::dns("192.0.2.1")]))
            .asked_for("192.0.2.1")
            .mismatched("ip_reference"),
        hands
            .case("address-as-a-common-name", &leaf().with_common_name("192.0.2.1"))
            .asked_for("192.0.2.1")
            .mismatched("ip_reference"),
        hands
            .case("address-mapped", &leaf().with_alternative_names(&[mapped]))
            .asked_for("192.0.2.1")
            .mismatched("ip_reference"),
        hands
            .case("address-not-listed-and-expired", &past())
            .asked_for("192.0.2.1")
            .untimely(&["expired"])
            .mismatched("ip_reference"),
    ]
}

fn odd(hands: &Hands) -> Vec<Case> {
    let lists =
        |name, names: &[GeneralName]| hands.case(name, &leaf().with_common_name("mail").with_alternative_names(names));
    let u_label = || GeneralName::Dns("bücher.example.com".into());
    vec![
        lists("name-behind-a-u-label", &[u_label(), GeneralName::dns(HOST)]),
        lists(
            "name-behind-an-address-of-five-octets",
            &[GeneralName::Ip(vec![192, 0, 2, 1, 0]), GeneralName::dns(HOST)],
        ),
        lists("name-behind-an-empty-one", &[GeneralName::dns(""), GeneralName::dns(HOST)]),
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
            .asked_for("xn--bcher-kva.example.com")
            .mismatched("not_listed"),
        lists(
            "name-with-a-nul",
            &[GeneralName::Dns(b"smtp.example.com\0.example.org".to_vec()), GeneralName::dns("mail.example.com")],
        )
        .mismatched("not_listed"),
        lists("name-with-a-space", &[GeneralName::dns("smtp.example.com ")]).mismatched("not_listed"),
        lists(
            "name-in-a-uri",
            &[GeneralName::Uri(b"smtp://smtp.example.com/".to_vec()), GeneralName::dns("mail.example.com")],
        )
        .mismatched("not_listed"),
    ]
}

/// So many names of which the last is the one asked for.
pub(super) fn crowd(size: usize) -> CertBuilder {
    let mut names: Vec<_> =
        (1..size).map(|number| GeneralName::dns(&format!("host-{number:04}.example.com"))).collect();
    names.push(GeneralName::dns(HOST));
    leaf().with_alternative_names(&names)
}

/// Why OpenSSL finds a name where we say `cn_only`.
pub(super) const COMMON_NAME: &str =
    "OpenSSL reads the common name where no DNS name is listed (X509_check_host(3)); RFC 9525 §2 does away with that";
