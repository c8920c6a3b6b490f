//! Whether a certificate lists a name (RFC 9525 §6).

use std::net::IpAddr;

use super::certificate::{Facts, PresentedName};
use crate::reason::NameReason;
use crate::target::ServerName;

/// Whether the reference identifier matches one of the presented identifiers, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameVerdict {
    /// It matches one.
    Match,
    /// It matches none.
    Mismatch(NameReason),
}

impl NameVerdict {
    /// Whether the name matches.
    pub const fn is_match(self) -> bool {
        matches!(self, Self::Match)
    }
}

/// Matches `reference` against the subject alternative names. The common name only determines the reason of a mismatch.
pub fn judge(reference: &ServerName, facts: &Facts) -> NameVerdict {
    match (reference.ip(), reference.dns()) {
        (Some(ip), _) => judge_ip(ip, facts),
        (None, Some(name)) => judge_dns(name, facts),
        (None, None) => NameVerdict::Mismatch(NameReason::NotListed),
    }
}

fn judge_ip(reference: IpAddr, facts: &Facts) -> NameVerdict {
    // RFC 9525 §6.5 compares octets: an IPv4 address does not match its IPv4-mapped IPv6 form.
    let listed = facts.names().any(|name| name == PresentedName::Ip(reference));
    if listed { NameVerdict::Match } else { NameVerdict::Mismatch(NameReason::IpReference) }
}

fn judge_dns(reference: &str, facts: &Facts) -> NameVerdict {
    let mut has_dns_names = false;
    let mut differs_in_depth = false;
    for presented in facts.dns_names() {
        has_dns_names = true;
        if matches(presented, reference) {
            return NameVerdict::Match;
        }
        differs_in_depth |= wildcard_parent(presented, reference).is_some();
    }
    let in_common_name = || facts.common_names().any(|name| matches(name, reference));
    NameVerdict::Mismatch(match has_dns_names {
        _ if differs_in_depth => NameReason::WildcardDepth,
        _ if in_common_name() => NameReason::CnOnly,
        true => NameReason::NotListed,
        false => NameReason::NoSan,
    })
}

/// RFC 9525 §6.3: labels are compared case-insensitively, and `*` matches exactly the left-most label. As in clients, a
/// wildcard must be followed by at least two labels, and a presented name with a trailing dot matches nothing.
pub(super) fn matches(presented: &str, reference: &str) -> bool {
    match presented.strip_prefix("*.") {
        None => presented.eq_ignore_ascii_case(reference) && is_dns_name(presented),
        Some(parent) => {
            is_wildcard_parent(parent)
                && reference.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
        }
    }
}

/// The parent of the wildcard `presented`, in lower case, if the reference is that parent or any name below it.
pub(crate) fn wildcard_parent(presented: &str, reference: &str) -> Option<String> {
    let parent = presented.strip_prefix("*.").filter(|parent| is_wildcard_parent(parent))?.to_ascii_lowercase();
    let below = reference.strip_suffix(&*parent)?;
    (below.is_empty() || below.ends_with('.')).then_some(parent)
}

/// Whether a DNS name, or a wildcard, can match anything.
pub(super) fn is_valid(presented: &str) -> bool {
    match presented.strip_prefix("*.") {
        None => is_dns_name(presented),
        Some(parent) => is_wildcard_parent(parent),
    }
}

fn is_wildcard_parent(parent: &str) -> bool {
    parent.contains('.') && is_dns_name(parent)
}

fn is_dns_name(name: &str) -> bool {
    let label_is_valid = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.len() <= 253
        && name.split('.').all(label_is_valid)
        && name.rsplit('.').next().is_some_and(|last| !last.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;
    use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
    use smtp_fleet::{CertSpec, Extension, Issuer, Pki};
    use webpki::EndEntityCert;

    use super::super::certificate::Certificate;
    use super::super::der::wrap_sequence;
    use super::*;

    fn certificate(names: &[&'static str], common_name: Option<&str>) -> Facts {
        let names: Vec<_> =
            names.iter().map(|text| text.parse().map_or(PresentedName::Dns(text), PresentedName::Ip)).collect();
        Facts::named(&names, common_name)
    }

    #[track_caller]
    fn check(reference: &str, names: &[&'static str], common_name: Option<&str>, expected: NameVerdict) {
        let name = ServerName::parse(reference).expect("a server name");
        assert_eq!(judge(&name, &certificate(names, common_name)), expected, "{reference} against {names:?}");
    }

    #[test]
    fn matches_names() {
        use NameReason::{CnOnly, IpReference, NoSan, NotListed, WildcardDepth};
        use NameVerdict::{Match, Mismatch};
        check("smtp.example.com", &["smtp.example.com"], None, Match);
        check("smtp.example.com", &["mail.example.com", "SMTP.Example.COM"], None, Match);
        check("smtp.example.com.", &["smtp.example.com"], None, Match);
        check("smtp.example.com", &["*.example.com"], None, Match);
        check("bücher.example.com", &["xn--bcher-kva.example.com"], None, Match);
        check("mail_x.example.com", &["mail_x.example.com"], None, Match);
        check("192.0.2.1", &["192.0.2.1"], None, Match);
        check("2001:db8::1", &["2001:db8::1"], None, Match);
        check("smtp.example.com", &["mail.example.com"], None, Mismatch(NotListed));
        check("smtp.example.com", &["smtp.example.com."], None, Mismatch(NotListed));
        check("smtp.example.com", &["s*.example.com"], None, Mismatch(NotListed));
        check("smtp.example.com", &["*smtp.example.com"], None, Mismatch(NotListed));
        check("smtp.example.com", &["smtp.*.com"], None, Mismatch(NotListed));
        check("example.com", &["*.com"], None, Mismatch(NotListed));
        check("smtp.example.com", &["*"], None, Mismatch(NotListed));
        check("smtp.example.com", &["*."], None, Mismatch(NotListed));
        check("a.smtp.example.com", &["*.example.com"], None, Mismatch(WildcardDepth));
        check("example.com", &["*.example.com"], None, Mismatch(WildcardDepth));
        check("badexample.com", &["*.example.com"], None, Mismatch(NotListed));
        check("smtp.example.com", &[], Some("smtp.example.com"), Mismatch(CnOnly));
        check("smtp.example.com", &["mail.example.com"], Some("smtp.example.com"), Mismatch(CnOnly));
        check("smtp.example.com", &[], Some("other"), Mismatch(NoSan));
        check("smtp.example.com", &["192.0.2.1"], None, Mismatch(NoSan));
        check("192.0.2.1", &["smtp.example.com"], None, Mismatch(IpReference));
        check("192.0.2.1", &["192.0.2.2"], Some("192.0.2.1"), Mismatch(IpReference));
    }

    /// A certificate with these elements as subject alternative names, valid or not.
    fn presenting(pki: &Pki, elements: &[(u8, Vec<u8>)]) -> Certificate {
        let mut names = Vec::new();
        for (tag, value) in elements {
            names.push(*tag);
            names.extend(wrap_sequence(value).get(1..).expect("a length and the value"));
        }
        let extension = Extension { oid: vec![2, 5, 29, 17], critical: false, value: wrap_sequence(&names) };
        let spec = CertSpec::default().with_issuer(Issuer::Root).with_extension(extension);
        Certificate::new(pki.issue_with_shared_key(&spec).leaf_der().clone())
    }

    /// Few different labels, so that random names often match, and some invalid ones.
    fn label() -> impl Strategy<Value = String> {
        prop_oneof![
            12 => prop::sample::select(vec!["a", "A", "a", "A", "a_", "xn--bcher-kva", "1"]).prop_map(str::to_owned),
            3 => Just("*".to_owned()),
            1 => prop::sample::select(vec!["", "-a", "a-", "a*", "*a", "bücher", "a b"]).prop_map(str::to_owned),
        ]
    }

    fn presented() -> impl Strategy<Value = (u8, Vec<u8>)> {
        let dns = prop::collection::vec(label(), 1..4).prop_map(|labels| labels.join("."));
        let ip = prop::sample::select(vec![vec![192, 0, 2, 1], vec![192, 0, 2, 2], vec![0; 16], vec![1, 2, 3]]);
        prop_oneof![
            8 => dns.prop_map(|name| (DNS, name.into_bytes())),
            2 => ip.prop_map(|octets| (IP, octets)),
            1 => (any::<u8>(), prop::collection::vec(any::<u8>(), 0..6)),
        ]
    }

    fn reference() -> impl Strategy<Value = ServerName> {
        let dns = prop::collection::vec(label(), 1..4).prop_map(|labels| labels.join("."));
        let any = prop_oneof![8 => dns, 1 => Just("192.0.2.1".to_owned()), 1 => Just("::".to_owned())];
        any.prop_filter_map("a server name", |text| ServerName::parse(&text).ok())
    }

    #[test]
    fn agrees_with_webpki() {
        let pki = Pki::new();
        let (matched, mismatched) = (Cell::new(0), Cell::new(0));
        let config = ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let inputs = (prop::collection::vec(presented(), 0..5), reference());
        let outcome = runner.run(&inputs, |(elements, reference)| {
            let certificate = presenting(&pki, &elements);
            let theirs = EndEntityCert::try_from(certificate.der()).expect("a certificate");
            let theirs = theirs.verify_is_valid_for_subject_name(&reference.to_pki().expect("a server name"));
            let ours = judge(&reference, certificate.facts().expect("facts")).is_match();
            let count = if ours { &matched } else { &mismatched };
            count.set(count.get() + 1);
            prop_assert_eq!(ours, theirs.is_ok(), "{:?}", theirs);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{error}"));
        assert!(
            matched.get() > 100 && mismatched.get() > 100,
            "{} matched, {} did not",
            matched.get(),
            mismatched.get()
        );
    }

    const DNS: u8 = 0x82;
    const IP: u8 = 0x87;
}
