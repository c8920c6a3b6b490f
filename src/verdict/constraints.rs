//! Name constraints (RFC 5280 §4.2.1.10) of CA certificates. Only checked for a path that does not verify: webpki may
//! have stopped there before it checked them.

use x509_parser::extensions::{GeneralName, GeneralSubtree, NameConstraints};

/// Whether one of `names` violates `constraints`. As in webpki, a name of a kind that is constrained but not supported
/// does. Each comparison takes 1 from `budget`; at 0 the remaining ones are skipped.
pub(super) fn are_violated(constraints: &NameConstraints<'_>, names: &[GeneralName<'_>], budget: &mut usize) -> bool {
    names.iter().any(|name| {
        let mut is_in = |subtrees: &Option<Vec<GeneralSubtree<'_>>>,
                         matches: fn(&GeneralName<'_>, &GeneralName<'_>) -> bool| {
            let of_kind = subtrees.iter().flatten().filter(|subtree| same_kind(name, &subtree.base));
            let mut found = None;
            for subtree in of_kind {
                if *budget == 0 {
                    return None;
                }
                *budget -= 1;
                found = Some(found.unwrap_or(false) || matches(name, &subtree.base));
            }
            found
        };
        let is_supported = matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_));
        let permitted = is_in(&constraints.permitted_subtrees, is_within);
        let excluded = is_in(&constraints.excluded_subtrees, |name, base| is_within(name, base) || covers(name, base));
        match (permitted, excluded) {
            (None, None) => false,
            _ if !is_supported => true,
            (permitted, excluded) => permitted == Some(false) || excluded == Some(true),
        }
    })
}

fn same_kind(name: &GeneralName<'_>, base: &GeneralName<'_>) -> bool {
    std::mem::discriminant(name) == std::mem::discriminant(base)
}

fn is_within(name: &GeneralName<'_>, base: &GeneralName<'_>) -> bool {
    match (name, base) {
        (GeneralName::DNSName(name), GeneralName::DNSName(base)) => is_dns_within(name, base),
        (GeneralName::IPAddress(address), GeneralName::IPAddress(base)) => is_ip_within(address, base),
        _ => false,
    }
}

/// Whether `name` is `base` or a subdomain of it. A base that begins with a dot, which RFC 5280 does not define but
/// some roots have, matches subdomains only.
fn is_dns_within(name: &str, base: &str) -> bool {
    let (name, base) = (name.to_ascii_lowercase(), base.to_ascii_lowercase());
    match name.strip_suffix(&*base) {
        None => false,
        Some(before) => before.is_empty() || base.is_empty() || base.starts_with('.') || before.ends_with('.'),
    }
}

/// Whether the wildcard `name` matches `base`.
fn covers(name: &GeneralName<'_>, base: &GeneralName<'_>) -> bool {
    let (GeneralName::DNSName(name), GeneralName::DNSName(base)) = (name, base) else { return false };
    let parent = name.strip_prefix("*.");
    parent.zip(base.split_once('.')).is_some_and(|(parent, (_, above))| parent.eq_ignore_ascii_case(above))
}

/// `base` is an address followed by a mask of the same length.
fn is_ip_within(address: &[u8], base: &[u8]) -> bool {
    let Some((network, mask)) = base.split_at_checked(address.len()).filter(|(_, mask)| mask.len() == address.len())
    else {
        return false;
    };
    address.iter().zip(network).zip(mask).all(|((address, network), mask)| address & mask == network & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subtrees<'a>(bases: &[GeneralName<'a>]) -> Option<Vec<GeneralSubtree<'a>>> {
        let subtrees: Vec<_> = bases.iter().map(|base| GeneralSubtree { base: base.clone() }).collect();
        (!subtrees.is_empty()).then_some(subtrees)
    }

    #[track_caller]
    fn check(permitted: &[GeneralName<'_>], excluded: &[GeneralName<'_>], name: GeneralName<'_>, is_violated: bool) {
        let constraints =
            NameConstraints { permitted_subtrees: subtrees(permitted), excluded_subtrees: subtrees(excluded) };
        assert_eq!(are_violated(&constraints, &[name], &mut 100), is_violated);
    }

    #[test]
    fn checks_permitted_and_excluded_subtrees() {
        use GeneralName::{DNSName, IPAddress, URI};
        let example = &[DNSName("example.com")];
        let network = &[IPAddress(&[192, 0, 2, 0, 255, 255, 255, 0])];
        check(example, &[], DNSName("example.com"), false);
        check(example, &[], DNSName("SMTP.example.COM"), false);
        check(example, &[], DNSName("badexample.com"), true);
        check(example, &[], DNSName("example.net"), true);
        check(&[DNSName(".example.com")], &[], DNSName("smtp.example.com"), false);
        check(&[DNSName(".example.com")], &[], DNSName("example.com"), true);
        check(&[DNSName("")], &[], DNSName("example.com"), false);
        check(&[], &[DNSName("")], DNSName("example.com"), true);
        check(&[], example, DNSName("smtp.example.com"), true);
        check(&[], example, DNSName("example.net"), false);
        check(&[DNSName("example.com"), DNSName("example.net")], &[], DNSName("example.net"), false);
        check(example, example, DNSName("example.com"), true);
        check(example, &[], DNSName("*.example.com"), false);
        check(&[], &[DNSName("smtp.example.com")], DNSName("*.example.com"), true);
        check(&[], &[DNSName("smtp.example.com")], DNSName("*.example.net"), false);
        check(network, &[], IPAddress(&[192, 0, 2, 7]), false);
        check(network, &[], IPAddress(&[192, 0, 3, 7]), true);
        check(network, &[], IPAddress(&[0; 16]), true);
        check(&[], network, IPAddress(&[192, 0, 2, 7]), true);
        // Other kinds of names: not constrained, or constrained and not supported.
        check(example, &[], IPAddress(&[192, 0, 2, 7]), false);
        check(example, &[], URI("https://example.net"), false);
        check(&[URI("example.com")], &[], URI("https://example.com"), true);
        check(&[], &[URI("example.net")], URI("https://example.com"), true);
    }

    #[test]
    fn stops_when_the_budget_is_spent() {
        let bases = vec![GeneralName::DNSName("a"); 10];
        let constraints = NameConstraints { permitted_subtrees: subtrees(&bases), excluded_subtrees: None };
        let names = vec![GeneralName::DNSName("a"); 1000];
        let mut budget = 100;
        assert!(!are_violated(&constraints, &names, &mut budget));
        assert_eq!(budget, 0);
    }
}
