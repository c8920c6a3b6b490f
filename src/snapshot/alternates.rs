//! Alternate names: names that match the certificates of all backends of an endpoint. If a certificate does not list the
//! server name, clients can use one of them instead. Pure: the monitor looks the names up.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use super::EndpointReport;
use crate::reason::{Resolves, SkipReason};
use crate::target::ServerName;
use crate::verdict::certificate::PresentedName;
use crate::verdict::{Facts, name};

/// The names to look up: those that match the certificate of every resolved backend, wildcards included, and that one of the
/// certificates lists literally. At most [`MAX_ALTERNATES`] and without the server name; those that share the most
/// labels with it come first.
///
/// Empty if all resolved backends match the server name, or if the certificate of one of them is unknown.
pub fn alternate_candidates(endpoint: &EndpointReport) -> Vec<ServerName> {
    let resolved = || endpoint.resolved();
    if !resolved().any(|backend| backend.name_matches() == Some(false)) {
        return Vec::new();
    }
    let certificates: Option<Vec<(_, &Facts)>> = resolved()
        .map(|backend| {
            let leaf = backend.leaf()?;
            Some((leaf.fingerprint(), leaf.facts()?))
        })
        .collect();
    let Some(mut certificates) = certificates else { return Vec::new() };
    certificates.sort_by_key(|(fingerprint, _)| *fingerprint);
    certificates.dedup_by_key(|(fingerprint, _)| *fingerprint);
    let mut certificates: Vec<&Facts> = certificates.into_iter().map(|(_, facts)| facts).collect();
    // The shortest list has all candidates; very long ones are mostly hostile.
    certificates.sort_by_key(|facts| facts.names().count());

    let server_name = &endpoint.endpoint.server_name;
    let listed = certificates.iter().flat_map(|facts| facts.names()).filter_map(exact).take(MAX_PARSED);
    let parsed = listed.filter_map(|name| ServerName::parse(name).ok()).filter(|name| name.dns().is_some());
    let mut names: BTreeSet<ServerName> = parsed.filter(|name| name != server_name).collect();
    for facts in &certificates {
        let presented = ListedNames::of(facts);
        names.retain(|name| name.dns().is_some_and(|name| presented.may_match(name)));
    }
    let mut names: Vec<ServerName> = names.into_iter().collect();
    names.sort_by_cached_key(|name| Reverse(common_labels(name, server_name)));
    let matches_all = |name: &ServerName| certificates.iter().all(|facts| name::judge(name, facts).is_match());
    names.into_iter().take(MAX_JUDGED).filter(matches_all).take(MAX_ALTERNATES).collect()
}

/// What a name with these `addresses` (none if the lookup failed) resolves to, compared with the resolved backends of
/// `endpoint`.
///
/// Only the number of skipped addresses is known: if all addresses that are not backends could be skipped ones, the
/// result is [`Resolves::Unknown`].
pub fn resolves(addresses: Option<&[IpAddr]>, endpoint: &EndpointReport) -> Resolves {
    let Some(addresses) = addresses else { return Resolves::Unknown };
    let addresses: BTreeSet<IpAddr> = addresses.iter().map(IpAddr::to_canonical).collect();
    if addresses.is_empty() {
        return Resolves::Nowhere;
    }
    let resolved = endpoint.resolved();
    let backends: BTreeSet<IpAddr> = resolved.map(|backend| backend.backend.address).collect();
    let others: Vec<&IpAddr> = addresses.difference(&backends).collect();
    if others.is_empty() {
        return if backends.len() == addresses.len() { Resolves::All } else { Resolves::Part };
    }
    let skipped = |reason: SkipReason| -> usize {
        endpoint.skipped.iter().filter(|(other, _)| *other == reason).map(|(_, count)| count).sum()
    };
    let no_route = skipped(SkipReason::NoRoute);
    let of_any_family: usize =
        SkipReason::ALL.iter().filter(|reason| **reason != SkipReason::NoRoute).map(|reason| skipped(*reason)).sum();
    // Only IPv6 addresses are skipped without a route.
    let ipv4 = others.iter().filter(|address| address.is_ipv4()).count();
    let may_be_skipped = ipv4 <= of_any_family && others.len() <= of_any_family.saturating_add(no_route);
    if may_be_skipped { Resolves::Unknown } else { Resolves::Elsewhere }
}

/// The number of labels, from the right, that two names have in common.
pub fn common_labels(one: &ServerName, other: &ServerName) -> usize {
    let (Some(one), Some(other)) = (one.dns(), other.dns()) else { return 0 };
    one.rsplit('.').zip(other.rsplit('.')).take_while(|(one, other)| one == other).count()
}

/// The DNS name unless it is a wildcard.
fn exact(name: PresentedName<'_>) -> Option<&str> {
    dns(name).filter(|name| !name.contains('*'))
}

/// The names that a certificate lists, in lower case.
struct ListedNames<'a>(HashSet<Cow<'a, str>>);

impl<'a> ListedNames<'a> {
    fn of(facts: &'a Facts) -> Self {
        let lower = |name: &'a str| match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(name.to_ascii_lowercase()),
            false => Cow::Borrowed(name),
        };
        Self(facts.names().filter_map(dns).map(lower).collect())
    }

    /// False if the certificate does not match `name`; otherwise [`name::judge`] decides.
    fn may_match(&self, name: &str) -> bool {
        let by_wildcard = || name.split_once('.').is_some_and(|(_, parent)| self.0.contains(&*format!("*.{parent}")));
        self.0.contains(name) || by_wildcard()
    }
}

fn dns(name: PresentedName<'_>) -> Option<&str> {
    match name {
        PresentedName::Dns(name) => Some(name),
        PresentedName::Ip(_) | PresentedName::Uri(_) | PresentedName::Mailbox(_) => None,
    }
}

/// Maximum number of alternate names kept per endpoint.
pub const MAX_ALTERNATES: usize = 10;
/// Listed names that are parsed.
const MAX_PARSED: usize = 2_000;
/// Names that are matched against every certificate.
const MAX_JUDGED: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::BackendReport;
    use crate::snapshot::fixture::{EndpointFixture, TestCa, leaf, name, unresolved};

    /// The candidates of backends that present these names.
    #[track_caller]
    fn check(ca: &TestCa, presented: &[&[&str]], expected: &[&str]) {
        let fixture = EndpointFixture::of("smtp.example.com");
        let presents = |(index, names): (usize, &&[&str])| {
            fixture.presents(ca, &format!("192.0.2.{}", 10 + index), &ca.chain(&leaf(names)))
        };
        check_backends(&fixture, presented.iter().enumerate().map(presents).collect(), expected);
    }

    #[track_caller]
    fn check_backends(fixture: &EndpointFixture, backends: Vec<BackendReport>, expected: &[&str]) {
        let found = alternate_candidates(&fixture.endpoint_report(backends));
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn candidates_match_all_certificates() {
        let ca = &TestCa::new();
        check(ca, &[&["smtp.example.com", "mail.example.com"], &["mail.example.com"]], &["mail.example.com"]);
        check(ca, &[&["smtp.example.com"], &["mail.example.com"]], &[]);
        check(ca, &[&["mail.example.com"]], &["mail.example.com"]);
        // All match the server name: no alternate is needed.
        check(ca, &[&["smtp.example.com", "mail.example.com"], &["*.example.com", "mail.example.com"]], &[]);
        // One by a wildcard, the other literally. A wildcard itself is not a candidate.
        check(ca, &[&["*.example.net"], &["MX.Example.NET", "a.b.example.net"]], &["mx.example.net"]);
        check(ca, &[&["*.example.net"], &["*.example.net"]], &[]);
        check(ca, &[&["192.0.2.1"], &["192.0.2.1"]], &[]);
        // Those with most common labels first, then by name.
        check(
            ca,
            &[&["b.test", "mail.example.com", "a.test", "mx.example.com", "example.com"]],
            &["example.com", "mail.example.com", "mx.example.com", "a.test", "b.test"],
        );
    }

    #[test]
    fn every_resolved_backend_counts() {
        let (ca, fixture) = (TestCa::new(), EndpointFixture::of("smtp.example.com"));
        let chain = ca.chain(&leaf(&["mail.example.com"]));
        let lacking = fixture.presents(&ca, "192.0.2.10", &chain);
        let other = fixture.presents(&ca, "192.0.2.11", &ca.chain(&leaf(&["other.example.com"])));
        check_backends(&fixture, vec![lacking.clone(), unresolved(other.clone())], &["mail.example.com"]);
        check_backends(&fixture, vec![lacking.clone(), other], &[]);
        check_backends(&fixture, vec![lacking.clone(), fixture.unprobed("192.0.2.12")], &[]);
        check_backends(
            &fixture,
            vec![lacking.clone(), unresolved(fixture.unprobed("192.0.2.12"))],
            &["mail.example.com"],
        );
        let unreadable = fixture.presents(&ca, "192.0.2.12", &[vec![0x30, 0x00].into()]);
        check_backends(&fixture, vec![lacking, unreadable], &[]);
    }

    #[test]
    fn long_lists_are_cut() {
        let ca = &TestCa::new();
        let names: Vec<String> = (0..1_500).map(|n| format!("n{n:04}.example.com")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let first: Vec<&str> = names.iter().copied().take(MAX_ALTERNATES).collect();
        check(ca, &[&names, &names[..1_499]], &first);
        check(ca, &[&names, &["n1499.example.com"]], &["n1499.example.com"]);
    }

    #[test]
    fn addresses_are_compared_with_backends() {
        let fixture = EndpointFixture::of("smtp.example.com");
        let backends = vec![
            fixture.unprobed("192.0.2.10"),
            fixture.unprobed("2001:db8::1"),
            unresolved(fixture.unprobed("192.0.2.12")),
        ];
        let mut endpoint = fixture.endpoint_report(backends);
        let mut check = |skipped: &[(SkipReason, usize)], addresses: &[&str], expected: Resolves| {
            endpoint.skipped = skipped.to_vec();
            let parsed: Vec<IpAddr> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
            assert_eq!(resolves(Some(&parsed), &endpoint), expected, "{addresses:?} with {skipped:?}");
        };
        use SkipReason::{AddressNotAllowed, Cap, NoRoute};
        check(&[], &["2001:db8::1", "::ffff:192.0.2.10"], Resolves::All);
        check(&[], &["192.0.2.10"], Resolves::Part);
        check(&[], &["192.0.2.10", "2001:db8::1", "192.0.2.12"], Resolves::Elsewhere);
        check(&[], &["198.51.100.7"], Resolves::Elsewhere);
        check(&[], &[], Resolves::Nowhere);
        // Other addresses may be skipped ones.
        check(&[(Cap, 1)], &["192.0.2.10", "198.51.100.7"], Resolves::Unknown);
        check(&[(Cap, 1)], &["198.51.100.8", "198.51.100.7"], Resolves::Elsewhere);
        check(&[(AddressNotAllowed, 1)], &["127.0.0.1"], Resolves::Unknown);
        check(&[(NoRoute, 1)], &["2001:db8::2"], Resolves::Unknown);
        check(&[(NoRoute, 1)], &["198.51.100.7"], Resolves::Elsewhere);
        check(&[(Cap, 1)], &["192.0.2.10", "2001:db8::1"], Resolves::All);
        assert_eq!(resolves(None, &endpoint), Resolves::Unknown);
        assert_eq!(common_labels(&name("a.example.com"), &name("b.example.com")), 2);
        assert_eq!(common_labels(&name("192.0.2.1"), &name("192.0.2.1")), 0);
    }
}
